"""Delivery: every document in the outbox reaches its recipient, or visibly has not.

Rules:
- A link carries documents both ways, whoever dialled. Whenever one comes up, all that waits for it goes out, the same
  bytes as before, until the recipient's signed acknowledgement is saved.
- We dial when something waits for a correspondent whose address we know, and while we expect something from one (a
  request or an order is open) and are not known to be reachable: at once, then after 5 seconds, 1 and 2 minutes, then
  every 3 minutes, with jitter, until the deadline: so a partition that heals is over for both in less than 5 minutes.
- Documents go out in the order in which they were queued: a later one may answer for an earlier one.
- When a minute brings no acknowledgement on an open link, what is unacknowledged is sent again on a new one.
- The first flight of a link that somebody else dials may be a replay: it may delay a call of ours once, not for ever,
  and nothing that is sent only once goes over such a link.
- Who is heard again gets what was given up in the meantime, and is called for it for a while (`market.resending`).
- `sent` lives in memory only; after a restart everything that waits is sent again.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import trio

from p2pmarket.clock import wall
from p2pmarket.errors import PeerError, PeerGone, StoreError, Unavailable
from p2pmarket.keys import ExchangeKey
from p2pmarket.limits import DIALS, HANDSHAKE_SECONDS, LINK_MESSAGE_BYTES, MINUTE, UNACKED_DOCUMENTS
from p2pmarket.market.keyring import KeyRing
from p2pmarket.market.papers import TWO_MACHINES
from p2pmarket.market.places import Places
from p2pmarket.market.resending import hear, to_knock
from p2pmarket.market.routes import addresses_of
from p2pmarket.messages import Document, encode
from p2pmarket.network import Network
from p2pmarket.open_link import Name, OpenLink
from p2pmarket.peers import Peers
from p2pmarket.store.database import Database
from p2pmarket.store.ledger import Ledger
from p2pmarket.store.rows import Correspondent, Outgoing
from p2pmarket.trade.documents import ACKNOWLEDGEMENT

BACK_OFF_SECONDS = (5, MINUTE, 2 * MINUTE, 3 * MINUTE)
SPREAD_SECONDS = 0.003  # between calls that begin together: the first answers need not wait for the last calls
ACK_SECONDS = 60
ROUND_SECONDS = 30  # at least so often the outbox is looked through
LONG_ROUND_SECONDS = 0.02
EARLY_BYTES = LINK_MESSAGE_BYTES
EARLY_DOCUMENTS = 8  # in the first flight

Queued = list[tuple[Name, list[Outgoing]]]
"""By link: what waits there, empty if it is not open."""
Tried = Callable[[Ledger, Name, str | None], None]
"""Called in the transaction that notes a try: the link's name, and why it failed (None: it came up)."""


class Tries(NamedTuple):
    """How dialling a correspondent has gone: failures in a row, and the next try in trio time and on the wall."""

    failures: int
    next_try: float
    next_wall: int
    waits_until: float | None = None  # for a call of theirs


NEVER_TRIED = Tries(0, -math.inf, 0)


class Courier:
    """Dials, keeps links, and moves the outbox over them."""

    def __init__(self, ledger: Database[Ledger], network: Network, keyring: KeyRing, tried: Tried):
        self.peers: Peers  # set before run: the two know each other
        self.reachable: Callable[[], bool] = lambda: False
        self.lost: Callable[[Name], None] = lambda name: None  # somebody could not be reached twice in a row
        self.reached: Callable[[Name], None] = lambda name: None
        self._ledger, self._network, self._keyring = ledger, network, keyring
        self._tried = tried
        self._calling: dict[Name, frozenset[bytes]] = {}  # with what rides in the first flight
        self._passed: set[Name] = set()  # links that are coming up, for which more waits than rides in the first flight
        self._news = trio.Event()
        self._ended: set[Name] = set()  # links that ended since a round began
        self._rng = random.Random()
        self._dials = trio.CapacityLimiter(DIALS)
        self._tries: dict[Name, Tries] = {}
        self._places = Places(network)
        self._heard: set[Name] = set()  # links that came up, until the ledger has been asked what was given up there
        self._knocked: tuple[float, list[Correspondent]] = (-math.inf, [])  # and when the ledger was asked

    def hear(self, link: OpenLink) -> None:
        """A link came up: what waits for it goes out, and what was given up for its other end.

        Who was called with documents will answer, and is heard then; the rest of what waits follows the call.
        """
        if link.inbound or not link.in_flight:
            self._heard.add(link.name)
            self.wake()

    def end(self, name: Name) -> None:
        """A link has ended: what waits for its other end, or is expected from there, needs another."""
        self._ended.add(name)
        self.wake()

    def wake(self) -> None:
        """Something was queued, or a correspondent became known."""
        self._news.set()

    def try_now(self, name: Name) -> None:
        """Somebody is elsewhere: dial him there without waiting for the next try."""
        self._tries.pop(name, None)
        self.wake()

    def in_flight(self, hash_: bytes, name: Name) -> bool:
        """Whether a document has gone out over an open link and is not yet acknowledged."""
        link = self.peers.link(name)
        return link is not None and hash_ in link.in_flight

    def next_try(self, name: Name) -> int | None:
        """When a correspondent is dialled again (UTC seconds), if the last try failed."""
        tries = self._tries.get(name, NEVER_TRIED)
        return tries.next_wall if tries.failures else None

    def can_call(self, routes: bytes) -> bool:
        """Whether any of these (packed) routes is one that we may dial."""
        return bool(addresses_of(routes, self._network))

    def acknowledged(self, link: OpenLink, hash_: bytes) -> None:
        """A document was acknowledged: there may be room for others now."""
        for other in self.peers.named(link.name):
            was_full = not other.has_room(LINK_MESSAGE_BYTES)
            if other.in_flight.pop(hash_, None) is not None:
                other.oldest_sent = trio.current_time()
                if was_full:
                    self.wake()

    async def run(self) -> None:
        """Work until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                self._news = trio.Event()
                begun = trio.current_time()
                due = await self._round(nursery)
                spent = trio.current_time() - begun
                if spent > LONG_ROUND_SECONDS:  # much waits for people who are gone: leave the ledger to others too
                    await trio.sleep(spent)
                with trio.move_on_after(min(max(due, 0.05), ROUND_SECONDS)):
                    await self._news.wait()

    async def send(self, link: OpenLink, waiting: Sequence[Outgoing]) -> None:
        """Send these saved documents, as far as the link has room; they all go out together."""
        sent = []
        for outgoing in waiting:
            if not link.has_room(len(outgoing.envelope)):
                break
            if not _awaited(outgoing) and not link.confirmed:
                continue
            if outgoing.hash not in link.in_flight:
                self._note_sent(link, outgoing)
                link.send(message_of(outgoing))
                sent.append(outgoing)
        await self._forget_receipts(sent)

    def collect(self, ledger: Ledger) -> Queued:
        """What the work that ends here has queued; runs in the ledger's thread."""
        links = ledger.outbox.take_queued()
        return [(name, ledger.outbox.waiting_for(name, wall()) if self.peers.link(name) else []) for name in links]

    async def send_queued(self, queued: Queued) -> None:
        """Send what was queued for links that are open; all else is for the next round."""
        served = bool(queued)
        for name, waiting in queued:
            link = self.peers.link(name)
            if link is None or not waiting:
                served = False
                continue
            try:
                await self.send(link, waiting)
            except PeerGone:
                served = False
        if not served:
            self.wake()

    async def _round(self, nursery: trio.Nursery) -> float:
        """Serve every correspondent whose turn it is; returns the seconds until the next one's."""
        soonest = float(ROUND_SECONDS)
        self._ended.clear()
        expected = await self._expected()
        for other, waiting in expected:
            name = (other.local, other.remote)
            link = self.peers.link(name)
            if name in self._ended:
                self.wake()  # what was in flight on the link that ended comes first
            elif link is not None:
                await self._serve(link, other, waiting)
            elif self._may_call(other):
                due = self._tries.get(name, NEVER_TRIED).next_try - trio.current_time()
                if due <= 0:
                    self._begin_call(nursery, other, waiting)
                soonest = min(soonest, due if due > 0 else ROUND_SECONDS)
            elif self.peers.arriving(name):
                soonest = min(soonest, HANDSHAKE_SECONDS)
        self._forget_tries({(other.local, other.remote) for other, _ in expected})
        return soonest

    def _begin_call(self, nursery: trio.Nursery, other: Correspondent, waiting: Sequence[Outgoing]) -> None:
        name, early = (other.local, other.remote), _early(waiting)
        self._calling[name] = frozenset(outgoing.hash for outgoing in early)
        if len(early) < len(waiting):
            self._passed.add(name)
        nursery.start_soon(self._call, other, early, len(self._calling) * SPREAD_SECONDS)

    async def _expected(self) -> list[tuple[Correspondent, list[Outgoing]]]:
        """Whom something waits for, or is expected from, with what can be sent to each now."""
        now, kept = wall(), not self.reachable()
        sent = {link.name: frozenset(link.in_flight) for link in self.peers.links() if link.in_flight}
        moment = trio.current_time()
        later = {name for name, tries in self._tries.items() if tries.next_try > moment and not self.peers.link(name)}
        calling = dict(self._calling)
        passed: set[Name] = set()
        heard, self._heard = self._heard, set()
        looks = moment - self._knocked[0] >= ROUND_SECONDS

        def read(ledger: Ledger) -> list[tuple[Correspondent, list[Outgoing]]]:
            stopped = ledger.meta.get(TWO_MACHINES) is not None
            for _, remote in heard if not stopped else ():
                hear(ledger, remote, (), now)
            if looks:
                self._knocked = (moment, to_knock(ledger, now))
            others = list(dict.fromkeys([*ledger.outbox.expected(now, also_kept=kept), *self._knocked[1]]))
            waiting: dict[Name, list[Outgoing]] = {}
            for pending in ledger.outbox.pending(now):
                name = (pending.local, pending.remote)
                if name in calling and pending.hash not in calling[name]:
                    passed.add(name)
                if name in calling or name in later or pending.hash in sent.get(name, ()):
                    continue
                if len(waiting.setdefault(name, [])) < UNACKED_DOCUMENTS:
                    waiting[name].extend(filter(None, [ledger.outbox.row(pending.seq)]))
            return [(other, waiting.get((other.local, other.remote), [])) for other in others]

        try:
            found: list[tuple[Correspondent, list[Outgoing]]] = await self._ledger.run(read)
        except (StoreError, Unavailable):
            self._heard |= heard
            raise
        if not passed <= self._calling.keys():
            self.wake()  # one of them is up by now
        self._passed |= passed & self._calling.keys()
        return found

    def _forget_tries(self, expected: set[Name]) -> None:
        for name in self._tries.keys() - expected:
            del self._tries[name]

    async def _serve(self, link: OpenLink, other: Correspondent, waiting: Sequence[Outgoing]) -> None:
        link.keep = other.keep_until > wall() and not self.reachable()
        if link.in_flight and trio.current_time() - link.oldest_sent > ACK_SECONDS:
            await link.close()
            return
        try:
            await self.send(link, waiting)
        except PeerGone:
            return  # its end is noticed by its reader

    def _may_call(self, other: Correspondent) -> bool:
        name = (other.local, other.remote)
        if name in self._calling or (self.peers.arriving(name) and self._patient(name)):
            return False
        return bool(addresses_of(other.routes, self._network)) and self._keyring.get(other.local) is not None

    def _patient(self, name: Name) -> bool:
        """Whether to wait for a link that the other side seems to be dialling."""
        tries = self._tries.setdefault(name, NEVER_TRIED)
        if tries.waits_until is None:
            tries = self._tries[name] = tries._replace(waits_until=trio.current_time() + HANDSHAKE_SECONDS)
        return trio.current_time() < (tries.waits_until or 0)

    async def _call(self, other: Correspondent, early: Sequence[Outgoing], pause: float) -> None:
        """One try after a pause, and the life of the link if it comes up."""
        await trio.sleep(pause)
        name = (other.local, other.remote)
        local = self._keyring.get(other.local)
        try:
            if local is not None:
                async with trio.open_nursery() as nursery:
                    await self._dial(nursery, local, other, early)
                    self._calling.pop(name, None)
                    if name in self._passed:
                        self.wake()
                    self._passed.discard(name)
                    await self._forget_receipts(early)
                    await self._note_try(name, None)
        except* PeerError as group:
            await self._note_try(name, _reason(group))
        finally:
            self._calling.pop(name, None)
            self._passed.discard(name)
            self.wake()

    async def _dial(
        self, nursery: trio.Nursery, local: ExchangeKey, other: Correspondent, early: Sequence[Outgoing]
    ) -> None:
        addresses = addresses_of(other.routes, self._network)
        named = not other.keep_until  # he asked us, and may have named anybody's address
        if named:
            addresses = self._places.to_call(addresses, trio.current_time())
            if not addresses:
                raise PeerGone("nobody answered there lately")
        messages = [(_awaited(outgoing), message_of(outgoing)) for outgoing in early]
        try:
            async with self._dials:
                link: OpenLink = await nursery.start(self.peers.dial, local, other.remote, addresses, messages)
        except* PeerError:
            self._places.failed(addresses if named else ())
            raise
        self._places.reached(link.address)

    async def _forget_receipts(self, sent: Sequence[Outgoing]) -> None:
        """An acknowledgement is sent once and not acknowledged itself."""
        receipts = [outgoing.seq for outgoing in sent if outgoing.kind == ACKNOWLEDGEMENT]
        if receipts:
            await self._ledger.run(partial(_delivered, receipts=receipts))

    def _note_sent(self, link: OpenLink, outgoing: Outgoing) -> None:
        if not link.in_flight:
            link.oldest_sent = trio.current_time()
        if _awaited(outgoing):
            link.in_flight[outgoing.hash] = len(outgoing.envelope)

    async def _note_try(self, name: Name, reason: str | None) -> None:
        """Remember how a try went, for the next one and for whoever asks."""
        known = self._tries.get(name, NEVER_TRIED).failures
        failures = known + 1 if reason is not None else 0
        pause = pause_after(failures, self._rng)
        self._tries[name] = Tries(failures, trio.current_time() + pause, wall() + int(pause))
        if reason is None:
            self.reached(name)
        elif failures > 1:
            self.lost(name)
        if failures or known:
            await self._ledger.run(lambda ledger: self._tried(ledger, name, reason))


def pause_after(failures: int, rng: random.Random) -> float:
    """Seconds until the next try after so many failures in a row (0: the link came up, and ended)."""
    return BACK_OFF_SECONDS[min(max(failures, 1), len(BACK_OFF_SECONDS)) - 1] * rng.uniform(0.8, 1.2)


def _awaited(outgoing: Outgoing) -> bytes:
    """The hash whose acknowledgement we wait for: an acknowledgement itself gets none."""
    return b"" if outgoing.kind == ACKNOWLEDGEMENT else outgoing.hash


def message_of(outgoing: Outgoing) -> bytes:
    """The link message that carries a document."""
    return encode(Document(outgoing.kind, outgoing.recipient, outgoing.envelope))


def _early(waiting: Sequence[Outgoing]) -> list[Outgoing]:
    """What may ride in the first flight: the first documents, as far as a link's limits go."""
    chosen: list[Outgoing] = []
    size = 0
    for outgoing in waiting[:EARLY_DOCUMENTS]:
        size += len(outgoing.envelope)
        if chosen and size > EARLY_BYTES:
            break
        chosen.append(outgoing)
    return chosen


def _delivered(ledger: Ledger, receipts: list[int]) -> None:
    for seq in receipts:
        if (sent := ledger.outbox.row(seq)) is not None:
            ledger.outbox.set_state(sent, "delivered", None, wall())


def _reason(group: BaseExceptionGroup[PeerError]) -> str:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error.message if isinstance(error, PeerError) else str(error)
