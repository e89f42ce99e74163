"""The market: all parts of a running daemon, built once and run in one nursery.

Order of start: the ledger is open, keys are read, then the parts are made and joined, then they run; the API answers
last. Nothing is stored that outlives `run`.
"""

from __future__ import annotations

import random
import secrets as random_secrets
import socket
from collections.abc import Sequence
from functools import partial

import trio

from p2pmarket import keys
from p2pmarket.api import types as t
from p2pmarket.clock import wall
from p2pmarket.config import Config
from p2pmarket.dht.contact import Contact, parse_contact
from p2pmarket.dht.known import proven
from p2pmarket.dht.node import Node
from p2pmarket.dht.session import Sessions
from p2pmarket.errors import BadInput, PeerGone
from p2pmarket.keys import ExchangeKey, SigningKey
from p2pmarket.limits import MINUTE, PORTIONS_AT_ONCE
from p2pmarket.market.announcing import Announcer
from p2pmarket.market.buying import Buying
from p2pmarket.market.dealing import Dealing
from p2pmarket.market.delivery import Courier, Queued
from p2pmarket.market.events import Bus, Told
from p2pmarket.market.health import Health
from p2pmarket.market.hooks import run_hook
from p2pmarket.market.keyring import KeyRing
from p2pmarket.market.neighbours import Neighbours
from p2pmarket.market.papers import Reader, Signer
from p2pmarket.market.pricing import PriceBook
from p2pmarket.market.rating import Reputation
from p2pmarket.market.reach import Reach, Reachability
from p2pmarket.market.readback import ReadBack
from p2pmarket.market.recalling import Recalling, is_restored, is_restored_lately
from p2pmarket.market.recalls import RecallService
from p2pmarket.market.receiving import Arrived, Receiving, Said, Taken, portions
from p2pmarket.market.rendering import Rendering
from p2pmarket.market.routes import routes_of
from p2pmarket.market.searching import Search, Searcher
from p2pmarket.market.selling import Selling
from p2pmarket.market.services import keep_running
from p2pmarket.market.talking import Talking
from p2pmarket.market.views import Views
from p2pmarket.market.whereabouts import Whereabouts
from p2pmarket.open_link import Name, OpenLink
from p2pmarket.peers import Owner, Peers
from p2pmarket.records import Record, Route
from p2pmarket.store.cache import Cache, Seller
from p2pmarket.store.cache import Node as KnownNode
from p2pmarket.store.database import Database
from p2pmarket.store.ledger import Ledger
from p2pmarket.store.rows import Price, Request
from p2pmarket.trade import documents
from p2pmarket.udp import DhtService
from p2pmarket.vocab.deadlines import instant_text

SAVE_NODES_SECONDS = (2, 5, 15, 60, 5 * MINUTE)  # pauses, the last one for all that follow: a young daemon knows few
ENDED_UNTIL = "ended_until"  # in the ledger: deadlines up to this moment have been told
LONG_BYTES = 16_384  # of documents; opening so much takes milliseconds
DEADLINE_SECONDS = 1  # how exactly a deadline's passing is noticed


class Market(Owner):
    """One daemon's market. `sock` and `listener` share one port."""

    def __init__(
        self,
        config: Config,
        identity: SigningKey,
        node_key: ExchangeKey,
        ledger: Database[Ledger],
        cache: Database[Cache],
        sock: socket.socket,
        listener: trio.SocketListener | None,
    ) -> None:
        self.config, self.ledger, self.cache = config, ledger, cache
        self.started = wall()
        self.port = sock.getsockname()[1]
        self.signer = Signer(config.network, identity, KeyRing(), random_secrets.token_bytes)
        self.reader = Reader()
        self.stream, self._moved, self._restored = "", False, False
        self._node_key, self._socket, self._listener = node_key, sock, listener
        self._seen: list[Record] = []
        self._sellers: list[Seller] | None = None  # those that the cache keeps, once they were read
        self._reloading, self._opening = trio.Lock(), trio.Lock()
        self._taking = trio.CapacityLimiter(PORTIONS_AT_ONCE)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Everything but the local API, until cancelled; started when verbs may be called."""
        prices = await self.ledger.run(self._load)
        self._build(prices)
        async with trio.open_nursery() as nursery:
            if self._listener is not None:
                nursery.start_soon(self.peers.serve, self._listener)
            await nursery.start(self.dht.run)
            await self._bootstrap()
            nursery.start_soon(self.health.tell_if_alone)
            await nursery.start(self.reachability.run)
            if self.config.hook:
                await nursery.start(partial(run_hook, self.config.hook, self.bus))
            services = {
                "delivery": self.courier.run,
                "announcements": self.announcer.run,
                "searches": self.searcher.run,
                "whereabouts": self.whereabouts.run,
                "ratings": self.reputation.run,
                "known nodes": self._keep_nodes,
                "recalls": self.recalls.run,
                "reading back": self.readback.run,
                "deadlines": self._watch_deadlines,
            }
            if self.config.local:
                services["neighbours"] = Neighbours(self.dht, self._node_key.public, self._local_address()).run
            for name, service in services.items():
                nursery.start_soon(keep_running, name, service)
            task_status.started()

    # Building

    def _load(self, ledger: Ledger) -> list[Price]:
        self.signer.keyring.load(ledger, self.signer.secrets, wall())
        kept = ledger.meta.get("stream")
        if kept is None:
            kept = keys.base32(self.signer.secrets(10)).encode()
            ledger.meta.set("stream", kept)
        self.stream = kept.decode()
        self._moved, self._restored = is_restored(ledger), is_restored_lately(ledger, wall())
        return ledger.prices.all()

    def _build(self, prices: list[Price]) -> None:
        network, now = self.config.network, trio.current_time()
        self.reach = Reach(self._bound(), self.config.outbound_only, self.config.advertise)
        self.courier = Courier(self.ledger, network, self.signer.keyring, self._note_try)
        self.reputation = Reputation(self.ledger, self.cache, self.signer, self.reader)
        standing = self.reputation.standing
        self.views = Views(self.reader, self.signer.identity.public, self.courier, self.signer.network, standing)
        self.bus = Bus(self.ledger, Rendering(self.views, self.stream), self.stream)
        self.bus.overhear = self.reputation.overhear
        self.ledger.harvest, self.ledger.deliver = self.bus.harvest, self.bus.deliver
        self.peers = Peers(network, self.signer.keyring.by_hint, self, self.signer.secrets)
        self.courier.peers, self.courier.reachable = self.peers, self._is_called
        self.buying = Buying(self.signer, self.reader, self.routes)
        self.selling = Selling(self.signer, self.reader, PriceBook.of(prices, self.config.quoting), self.routes)
        self.dealing = Dealing(self.signer, self.reader, self.routes, self.selling.give_back)
        self.talking = Talking(self.dealing, self.selling)
        self.recalling = Recalling(self.dealing, moved=self._moved, expecting=self._restored)
        self.recalls = RecallService(self.ledger, self.recalling, self.peers, self.signer)
        self.receiving = Receiving(self.buying, self.selling, self.dealing, self.recalling)
        self.reachability = Reachability(self.reach, self.port, self.signer.secrets, self._reach_changed)
        self.announcer = Announcer(self.ledger, self.signer, self.routes)
        self.searcher = Searcher(self.ledger, self.buying, self._tell_progress, self._remember)
        self.searcher.asked = self.courier.wake
        self.whereabouts = Whereabouts(self.ledger, self.buying, self.courier.try_now)
        self.courier.lost, self.courier.reached = self.whereabouts.lost, self.whereabouts.reached
        sessions = Sessions(self._node_key, network, self.signer.secrets, random.Random())
        node = Node(
            network,
            self._node_key,
            sessions,
            rng=random.Random(),
            secrets=self.signer.secrets,
            now=now,
            wall=wall(),
            listen_port=self.port,
        )
        if self.reach.address is not None and not self.config.outbound_only:
            node.set_address(self.reach.address, now)
        self.dht = DhtService(node, self._socket, self.reachability.on_event, self.reachability.on_probe)
        self.readback = ReadBack(self.config, self.ledger, self.signer, self.announcer, self.dht)
        self.reachability.dht = self.announcer.dht = self.searcher.dht = self.reputation.dht = self.dht
        self.reachability.peers, self.whereabouts.dht = self.peers, self.dht
        self.whereabouts.remember = self._remember
        self.health = Health(
            config=self.config,
            signer=self.signer,
            node=node,
            peers=self.peers,
            reach=self.reach,
            announcer=self.announcer,
            views=self.views,
            bus=self.bus,
            port=self.port,
            started=self.started,
        )

    def _local_address(self) -> tuple[str, int]:
        return (self._socket.getsockname()[0], self.port)

    def _is_called(self) -> bool:
        """Whether others can dial us, and will: after a move to another machine they may call the old one."""
        return self.reach.reachable and not self.recalling.expecting

    def _bound(self) -> tuple[str, int] | None:
        """The address that we are bound to, if it is one that others may dial."""
        host = self._socket.getsockname()[0]
        return (host, self.port) if self.config.network.admits(host, self.port) else None

    def routes(self) -> tuple[Route, ...]:
        """How others can dial us now."""
        return routes_of(self.reach.announced())

    # Links: the courier and the receiving side share them

    def link_up(self, link: OpenLink) -> None:
        """Send what waits for it, what was given up too, and what it may have to know of recalls."""
        self.courier.hear(link)
        self.recalls.came_up(link)

    def link_down(self, link: OpenLink) -> None:
        """Dial it again if something waits, or is expected."""
        self.courier.end(link.name)

    async def on_messages(self, link: OpenLink, messages: Sequence[bytes]) -> None:
        """Save what came, then acknowledge it, then send what follows from it; by portions, so that all have a turn."""
        group = self.config.network.group(*link.address)
        for portion in portions(messages):
            batch = await self._open(portion, link.name, group)
            if batch:
                await self._take(link, batch)

    async def _open(self, portion: Sequence[bytes], name: Name, group: bytes) -> list[Arrived | Said]:
        """Open documents, long ones beside the event loop and one portion at a time. Raises BadMessage, PeerGone."""
        if sum(map(len, portion)) <= LONG_BYTES:
            return self.receiving.open_untrusted(portion, name, group)
        async with self._opening:
            return await trio.to_thread.run_sync(self.receiving.open_untrusted, portion, name, group)

    async def _take(self, link: OpenLink, batch: list[Arrived | Said]) -> None:
        async with self._taking:
            taken: Taken = await self.ledger.run(lambda ledger: self.receiving.take(ledger, batch))
        for hash_ in taken.acknowledged:
            self.courier.acknowledged(link, hash_)
        for message in taken.shown:
            self.recalls.show(link, message)
        await self._answer(link, taken)
        if taken.for_others:
            self.courier.wake()
        await self._after_sale()

    async def _answer(self, link: OpenLink, taken: Taken) -> None:
        """Acknowledgements and what follows from them in one flight."""
        try:
            for answer in taken.answers:
                link.send(answer)
            await self.courier.send(link, taken.waiting)
        except PeerGone:
            return  # what was not sent stays in the outbox

    # After something was written

    async def after_write(self, queued: Queued) -> None:
        """Send what was queued, and read the price list again if stock was taken."""
        await self.courier.send_queued(queued)
        await self._after_sale()

    async def _after_sale(self) -> None:
        if self.selling.stock_changed:
            await self.reload_prices()

    async def reload_prices(self) -> None:
        """Take the ledger's price list into memory."""
        async with self._reloading:  # one after another, so that the newest list is the one that stays
            self.selling.stock_changed, is_read = False, False
            try:
                rows: list[Price] = await self.ledger.run(lambda ledger: ledger.prices.all())
                self.selling.book = await trio.to_thread.run_sync(PriceBook.of, rows, self.config.quoting)
                is_read = True
            finally:  # cancelled with the link that sold it, or the disk failed: whoever writes next reads it
                self.selling.stock_changed = self.selling.stock_changed or not is_read

    def _note_try(self, ledger: Ledger, name: Name, reason: str | None) -> None:
        """A try to dial a seller: he is unreachable, or no longer."""
        if ledger.requests.by_exchange(name[0]) is None:
            return
        answer = "waiting" if reason is None else "unreachable"
        waiting = ledger.outbox.waiting_for(name, wall())
        for thread, seller in dict.fromkeys((sent.thread, sent.recipient) for sent in waiting):
            request, asked = ledger.requests.get(thread), ledger.requests.asked_one(thread, seller)
            if request is None or asked is None or asked.answer not in {"waiting", "unreachable"}:
                continue
            if (asked.answer, asked.reason) != (answer, reason):
                ledger.requests.set_answer(request.hash, asked.seller, answer, reason, wall())
                ledger.events.add(wall(), "delivery.changed", request.id, request.hash, asked.seller)

    def _reach_changed(self) -> None:
        self.announcer.refresh()
        self.reputation.refresh()
        self.searcher.nudge()
        self.courier.wake()

    # Searches

    async def _tell_progress(self, request: Request, search: Search) -> None:
        """Progress is told, not kept; it carries the request as it stands."""
        shown = t.Search(
            nodes_asked=search.nodes_asked,
            sellers_found=search.sellers_found,
            widened_to=list(search.widened_to),
            complete=search.complete,
        )
        event = t.Event(
            stream=self.stream, seq=None, time=instant_text(wall()), type="search.progress", id=request.id, data=shown
        )
        self.bus.tell(Told(event, request.hash))

    def _remember(self, found: tuple[Record, ...]) -> None:
        self._seen.extend(found[: 1000 - len(self._seen)])

    async def remembered(self) -> list[Seller]:
        """Announcements seen lately, the ones of this minute too."""
        if self._sellers is not None and not self._seen:
            return self._sellers
        sellers = [_seller(record) for record in self._seen]
        self._seen.clear()
        self._sellers = None  # whoever asks before they are kept waits for it, too

        def keep(cache: Cache) -> list[Seller]:
            cache.keep_sellers(sellers)
            return cache.sellers()

        self._sellers = await self.cache.run(keep)
        return self._sellers

    # The network

    async def _bootstrap(self) -> None:
        """Join by the nodes we know, then by those we were given."""
        known: list[KnownNode] = await self.cache.run(lambda cache: cache.nodes())
        contacts = [contact for node in known if (contact := _contact(node.contact)) is not None]
        own = self._node_key.public
        usable = [contact for contact in (*contacts, *self.config.bootstraps) if contact.public != own]
        self.dht.node.bootstrap(dict.fromkeys(usable), trio.current_time())
        self.dht.flush()

    async def _keep_nodes(self) -> None:
        pauses = iter(SAVE_NODES_SECONDS)
        while True:
            await trio.sleep(next(pauses, SAVE_NODES_SECONDS[-1]))
            found = proven(self.dht.node.table, trio.current_time(), wall())
            nodes = [KnownNode(one.contact.text(), one.address_group, one.bucket, one.answered) for one in found]
            if nodes:
                await self.cache.run(partial(_keep_nodes, nodes=nodes))
            await self.remembered()
            self._sellers = None  # thousands may be known: they are read again when somebody names one

    # Deadlines

    async def _watch_deadlines(self) -> None:
        """Tell of requests whose reply-by has passed, and of documents that nobody took in time."""
        last: int = await self.ledger.run(lambda ledger: int(ledger.meta.get(ENDED_UNTIL) or b"0"))
        while True:
            now = wall()
            await self.ledger.run(partial(_pass_deadlines, last=last, now=now))
            last = now
            await trio.sleep(DEADLINE_SECONDS)


def _pass_deadlines(ledger: Ledger, last: int, now: int) -> None:
    """Note what ended between two moments; the second is kept if anything did, so a stop in between misses nothing."""
    ended = ledger.requests.ended_between(last, now)
    if ended:
        ledger.meta.set(ENDED_UNTIL, str(now).encode())
    for request in ended:
        if request.role == "buyer":
            for asked in ledger.requests.asked(request.hash):
                if asked.answer == "waiting":
                    ledger.requests.set_answer(request.hash, asked.seller, "silent", None, now)
                    ledger.events.add(now, "delivery.changed", request.id, request.hash, asked.seller)
        ledger.events.add(now, "request.closed", request.id, request.hash)
    for late in ledger.outbox.give_up_late(now):
        if late.kind not in {documents.REQUEST, documents.ACKNOWLEDGEMENT}:  # those end with their request
            id_ = documents.document_id(late.kind, late.hash)
            ledger.events.add(now, "delivery.changed", id_, late.thread, late.hash)


def _keep_nodes(cache: Cache, nodes: list[KnownNode]) -> None:
    cache.keep_nodes(nodes)


def _contact(text: str) -> Contact | None:
    try:
        return parse_contact(text)
    except BadInput:
        return None


def _seller(record: Record) -> Seller:
    announcement = record.announcement
    return Seller(record.signer, announcement.category, announcement.name, record.envelope, announcement.expires)
