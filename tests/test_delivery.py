"""The courier over real links: documents are resent until they are acknowledged, in order, and within limits."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing
from market_world import price

from p2pmarket.api.types import bodies as b
from p2pmarket.clock import wall
from p2pmarket.config import Config, Flags, load_config
from p2pmarket.home import load_identity, load_node_key, locked_home
from p2pmarket.keys import ExchangeKey
from p2pmarket.limits import DAY, DOCUMENT_BYTES, HOUR, PLACE_FAILURES, UNACKED_BYTES, UNACKED_DOCUMENTS
from p2pmarket.link import Link, LinkUp, MessageReceived, hint_of
from p2pmarket.market import delivery
from p2pmarket.market.delivery import Courier
from p2pmarket.market.keyring import KeyRing
from p2pmarket.market.market import Market
from p2pmarket.market.papers import TWO_MACHINES
from p2pmarket.market.routes import packed, routes_of
from p2pmarket.messages import Document, decode_untrusted
from p2pmarket.network import DEV
from p2pmarket.open_link import KEEPALIVE, Name, OpenLink
from p2pmarket.peers import Owner, Peers
from p2pmarket.records import Announcement, Record, direct_route, make_announcement
from p2pmarket.store import rows
from p2pmarket.store.cache import cache_database
from p2pmarket.store.database import Database
from p2pmarket.store.ledger import Ledger, ledger_database
from p2pmarket.trade import documents as d

PATIENCE = 20
HOST = "127.0.0.1"
HERE, THERE = (ExchangeKey.from_seed(bytes([no]) * 32) for no in (1, 2))
NAME: Name = (HERE.public, THERE.public)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what has no event of its own."""
    with trio.fail_after(PATIENCE):
        while True:
            if condition():
                return
            await trio.sleep(0.005)


async def saved(ledger: Database[Ledger], read: Callable[[Ledger], object]) -> None:
    """Wait until the ledger says so."""
    with trio.fail_after(PATIENCE):
        while True:
            if await ledger.run(read):
                return
            await trio.sleep(0.005)


@pytest.fixture
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same steps of waiting, shorter."""
    monkeypatch.setattr(delivery, "BACK_OFF_SECONDS", (0.02, 0.05))


@dataclass
class Post(Owner):
    """A ledger, its courier and its links."""

    ledger: Database[Ledger]
    tried: list[str | None] = field(default_factory=list)
    heard: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.keyring = KeyRing()
        self.keyring.add(HERE)
        self.courier = Courier(self.ledger, DEV, self.keyring, lambda ledger, name, reason: self.tried.append(reason))
        self.peers = self.courier.peers = Peers(DEV, self.keyring.by_hint, self, os.urandom)

    def link_up(self, link: OpenLink) -> None:
        self.courier.wake()

    def link_down(self, link: OpenLink) -> None:
        self.courier.end(link.name)

    async def on_messages(self, link: OpenLink, messages: Sequence[bytes]) -> None:
        self.heard.extend(messages)

    async def meet(self, address: tuple[str, int], keep_until: int = 0) -> None:
        routes = packed(routes_of([address]))
        await self.ledger.run(lambda tx: tx.outbox.meet(NAME, routes, keep_until))

    async def queue(self, number: int, size: int = 100, kind: int = d.QUOTE) -> bytes:
        """Something that waits for the other side; its number is its content."""
        envelope = number.to_bytes(4, "big") + bytes(size - 4)
        hash_ = number.to_bytes(32, "big")
        outgoing = rows.Outgoing(
            0, hash_, kind, bytes(32), bytes(32), *NAME, envelope, "queued", None, wall() + DAY, wall()
        )  # fmt: skip
        await self.ledger.run(lambda tx: tx.outbox.queue(outgoing))
        self.courier.wake()
        return hash_

    async def acknowledge(self, number: int) -> None:
        """As if the acknowledgement of one had come."""
        hash_ = number.to_bytes(32, "big")

        def note(tx: Ledger) -> None:
            sent = tx.outbox.of_document(hash_, bytes(32))
            assert sent is not None
            tx.outbox.set_state(sent, "delivered", None, wall())

        await self.ledger.run(note)
        link = self.peers.link(NAME)
        if link is not None:
            self.courier.acknowledged(link, hash_)

    async def states(self) -> list[str]:
        found: list[rows.Outgoing] = await self.ledger.run(lambda tx: tx.outbox.of_thread(bytes(32)))
        return [row.state for row in found]


@pytest.fixture
async def post(tmp_path: Path) -> AsyncIterator[Post]:
    with ledger_database(tmp_path).open() as ledger:
        yield Post(ledger)


class Far:
    """The other side, in the test's hands: it listens, and says only what it is told to."""

    def __init__(self, listener: trio.SocketListener) -> None:
        self._listener = listener
        self.address: tuple[str, int] = listener.socket.getsockname()
        self.calls = 0
        self.flights: list[bytes] = []

    @classmethod
    async def listening(cls) -> Far:
        (listener,) = await trio.open_tcp_listeners(0, host=HOST)
        return cls(listener)

    async def accept(self) -> FarLink:
        """The next connection."""
        with trio.fail_after(PATIENCE):
            stream = await self._listener.accept()
        self.calls += 1
        far = FarLink(stream)
        await far.handshake()
        return far


class FarLink:
    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.link = Link.respond(lambda hint: THERE if hint == hint_of(THERE.public) else None, DEV, os.urandom)

    async def handshake(self) -> None:
        assert isinstance(await self._event(), LinkUp)
        await self.stream.send_all(self.link.data_to_send())

    async def _event(self) -> LinkUp | MessageReceived:
        with trio.fail_after(PATIENCE):
            while (event := self.link.next_event()) is None:
                data = await self.stream.receive_some(65_536)
                assert data, "closed"
                self.link.receive_bytes(bytes(data))
        return event

    async def documents(self, count: int) -> list[Document]:
        """The next documents."""
        found: list[Document] = []
        while len(found) < count:
            event = await self._event()
            assert isinstance(event, MessageReceived)
            message = decode_untrusted(event.data)
            if event.data != KEEPALIVE:
                assert isinstance(message, Document)
                found.append(message)
        return found

    async def numbers(self, count: int) -> list[int]:
        return [int.from_bytes(document.envelope[:4], "big") for document in await self.documents(count)]

    async def nothing_more(self) -> None:
        """Nothing comes until something of ours has made the round."""
        assert self.link.next_event() is None
        with trio.move_on_after(0.1):
            await self._event()
            pytest.fail("something came")


# Resending


@pytest.mark.usefixtures("in_a_hurry")
async def test_the_same_bytes_again_until_they_are_acknowledged(post: Post, nursery: trio.Nursery) -> None:
    far = await Far.listening()
    await post.meet(far.address)
    for number in (1, 2, 3):
        await post.queue(number)
    nursery.start_soon(post.courier.run)
    first = await far.accept()
    sent = await first.documents(3)
    await first.stream.aclose()
    second = await far.accept()
    assert await second.documents(3) == sent
    await post.acknowledge(2)
    await second.stream.aclose()
    third = await far.accept()
    assert await third.documents(2) == [sent[0], sent[2]]
    for number in (1, 3):
        await post.acknowledge(number)
    await third.nothing_more()
    await third.stream.aclose()
    await until(lambda: post.peers.links() == [])
    assert await post.states() == ["delivered"] * 3
    assert far.calls == 3


async def test_nothing_is_sent_twice_on_one_link(post: Post, nursery: trio.Nursery) -> None:
    far = await Far.listening()
    await post.meet(far.address)
    await post.queue(1)
    nursery.start_soon(post.courier.run)
    link = await far.accept()
    assert await link.numbers(1) == [1]
    for _ in range(20):
        post.courier.wake()
        await trio.testing.wait_all_tasks_blocked(0.001)
    await post.queue(2)
    assert await link.numbers(1) == [2]
    assert post.courier.in_flight((1).to_bytes(32, "big"), NAME)
    assert far.calls == 1


@pytest.mark.usefixtures("in_a_hurry")
async def test_a_link_without_acknowledgements_is_given_up(
    post: Post, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = await Far.listening()
    await post.meet(far.address)
    await post.queue(1)
    nursery.start_soon(post.courier.run)
    link = await far.accept()
    assert await link.numbers(1) == [1]
    monkeypatch.setattr(delivery, "ACK_SECONDS", 0)
    post.courier.wake()
    again = await far.accept()
    monkeypatch.undo()
    assert await again.numbers(1) == [1]


async def test_acknowledgements_that_come_prove_the_link_alive(post: Post, nursery: trio.Nursery) -> None:
    """Whoever has always something under way is not cut off for it."""
    far = await Far.listening()
    await post.meet(far.address)
    await post.queue(1)
    await post.queue(2)
    nursery.start_soon(post.courier.run)
    there = await far.accept()
    assert await there.numbers(2) == [1, 2]
    await until(lambda: bool(post.peers.links()))
    (link,) = post.peers.links()
    link.oldest_sent -= delivery.ACK_SECONDS - 1
    before = link.oldest_sent
    await post.acknowledge(1)
    assert link.oldest_sent > before + 1


async def test_an_acknowledgement_of_ours_is_sent_once(post: Post, nursery: trio.Nursery) -> None:
    far = await Far.listening()
    await post.meet(far.address)
    await post.queue(1, kind=d.ACKNOWLEDGEMENT)
    nursery.start_soon(post.courier.run)
    link = await far.accept()
    assert await link.numbers(1) == [1]
    await saved(post.ledger, lambda tx: [row.state for row in tx.outbox.of_thread(bytes(32))] == ["delivered"])


async def test_what_is_sent_once_does_not_go_to_a_replayed_first_flight(post: Post, nursery: trio.Nursery) -> None:
    (listener,) = await trio.open_tcp_listeners(0, host=HOST)
    nursery.start_soon(post.peers.serve, listener)
    calling = Link.initiate(THERE, HERE.public, DEV, os.urandom, [b"a replay"])
    flight = calling.data_to_send()
    await post.meet((HOST, 1))
    await post.queue(1, kind=d.ACKNOWLEDGEMENT)
    unproven: list[OpenLink] = []

    async def answer(link: OpenLink, messages: Sequence[bytes]) -> None:
        waiting = await post.ledger.run(lambda tx: tx.outbox.waiting_for(NAME, wall()))
        await post.courier.send(link, waiting)
        unproven.append(link)

    post.on_messages = answer  # type: ignore[method-assign]
    async with await trio.open_tcp_stream(*listener.socket.getsockname()) as stream:
        await stream.send_all(flight)
        await until(lambda: bool(unproven))
        assert await post.states() == ["queued"]


# Limits


async def test_documents_on_their_way_at_the_limit_and_one_over(post: Post, nursery: trio.Nursery) -> None:
    far = await Far.listening()
    await post.meet(far.address)
    for number in range(UNACKED_DOCUMENTS + 3):
        await post.queue(number)
    nursery.start_soon(post.courier.run)
    link = await far.accept()
    assert await link.numbers(UNACKED_DOCUMENTS) == list(range(UNACKED_DOCUMENTS))
    await link.nothing_more()
    await post.acknowledge(5)
    assert await link.numbers(1) == [UNACKED_DOCUMENTS]
    await link.nothing_more()
    for number in (0, 1, 2):
        await post.acknowledge(number)
    assert await link.numbers(2) == [UNACKED_DOCUMENTS + 1, UNACKED_DOCUMENTS + 2]


async def test_bytes_on_their_way_at_the_limit_and_one_over(post: Post, nursery: trio.Nursery) -> None:
    far = await Far.listening()
    await post.meet(far.address)
    count = UNACKED_BYTES // DOCUMENT_BYTES
    for number in range(count + 2):
        await post.queue(number, DOCUMENT_BYTES - 200)  # with the words of its message it is a quarter
    nursery.start_soon(post.courier.run)
    link = await far.accept()
    assert await link.numbers(count) == list(range(count))
    await link.nothing_more()
    await post.acknowledge(0)
    assert await link.numbers(1) == [count]
    await link.nothing_more()


# Dialling


async def test_the_table_of_pauses(post: Post) -> None:
    table = delivery.BACK_OFF_SECONDS
    for failures in range(1, len(table) + 3):
        await post.courier._note_try(NAME, "nobody there")
        pause = post.courier._tries[NAME].next_try - trio.current_time()
        wanted = table[min(failures, len(table)) - 1]
        assert 0.8 * wanted - 1 <= pause <= 1.2 * wanted
        assert post.courier.next_try(NAME) is not None
    await post.courier._note_try(NAME, None)
    assert post.courier.next_try(NAME) is None
    await post.courier._note_try(NAME, "nobody there")
    assert post.courier._tries[NAME].failures == 1
    assert post.tried == ["nobody there"] * (len(table) + 2) + [None, "nobody there"]


@pytest.mark.usefixtures("in_a_hurry")
async def test_it_is_dialled_until_somebody_answers(post: Post, nursery: trio.Nursery) -> None:
    far = await Far.listening()
    await far._listener.aclose()
    await post.meet(far.address, wall() + HOUR)
    await post.queue(1)
    nursery.start_soon(post.courier.run)
    await until(lambda: len(post.tried) >= 3)
    (listener,) = await trio.open_tcp_listeners(far.address[1], host=HOST)
    link = await Far(listener).accept()
    assert await link.numbers(1) == [1]
    await until(lambda: post.tried[-1] is None)


@pytest.mark.usefixtures("in_a_hurry")
async def test_a_host_that_a_request_named_is_called_rarely_once_nobody_answers(
    post: Post, nursery: trio.Nursery
) -> None:
    """It may be a victim's: the tries go on, the calls do not."""
    far = await Far.listening()
    await far._listener.aclose()
    await post.meet(far.address)
    await post.queue(1)
    nursery.start_soon(post.courier.run)
    await until(lambda: len(post.tried) >= PLACE_FAILURES + 3)
    assert post.peers.counters.dialled == PLACE_FAILURES


@pytest.mark.parametrize("reachable", [False, True])
@pytest.mark.usefixtures("in_a_hurry")
async def test_a_link_from_which_something_is_expected_is_kept_by_who_cannot_be_dialled(
    post: Post, nursery: trio.Nursery, reachable: bool
) -> None:
    far = await Far.listening()
    await post.meet(far.address, wall() + HOUR)
    post.courier.reachable = lambda: reachable
    nursery.start_soon(post.courier.run)
    if reachable:
        await trio.testing.wait_all_tasks_blocked(0.2)
        assert post.peers.counters.dialled == 0
        return
    for _ in range(3):
        link = await far.accept()
        await until(lambda: any(link.keep for link in post.peers.links()))
        await link.stream.aclose()


async def test_no_second_link_to_who_is_calling(post: Post, nursery: trio.Nursery) -> None:
    """His call comes first; what waits for him goes over it."""
    (listener,) = await trio.open_tcp_listeners(0, host=HOST)
    nursery.start_soon(post.peers.serve, listener)
    far = await Far.listening()
    await post.meet(far.address)
    calling = Link.initiate(THERE, HERE.public, DEV, os.urandom, [b"hello"])
    async with await trio.open_tcp_stream(*listener.socket.getsockname()) as stream:
        await stream.send_all(calling.data_to_send())
        await until(lambda: bool(post.heard))
        nursery.start_soon(post.courier.run)
        await post.queue(1)
        while not isinstance(calling.next_event(), LinkUp):
            calling.receive_bytes(bytes(await stream.receive_some(65_536)))
        await stream.send_all(calling.data_to_send())
        with trio.fail_after(PATIENCE):
            while (event := calling.next_event()) is None:
                calling.receive_bytes(bytes(await stream.receive_some(65_536)))
        assert isinstance(event, MessageReceived)
    assert post.peers.counters.dialled == 0


async def test_replayed_first_flights_do_not_keep_us_from_dialling(
    post: Post, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They look like calls of the other side, again and again."""
    monkeypatch.setattr(delivery, "HANDSHAKE_SECONDS", 0.1)
    (listener,) = await trio.open_tcp_listeners(0, host=HOST)
    nursery.start_soon(post.peers.serve, listener)
    far = await Far.listening()
    await post.meet(far.address)
    flight = Link.initiate(THERE, HERE.public, DEV, os.urandom, [b"hello"]).data_to_send()
    async with await trio.open_tcp_stream(*listener.socket.getsockname()) as stream:
        await stream.send_all(flight)
        await until(lambda: post.peers.arriving(NAME))
        nursery.start_soon(post.courier.run)
        await post.queue(1)
        link = await far.accept()
        assert post.peers.arriving(NAME)
        assert await link.numbers(1) == [1]


# Two whole markets


@dataclass
class Daemon:
    market: Market
    stack: ExitStack

    def record(self) -> Record:
        """The announcement of a seller."""
        now = wall()
        announcement = Announcement(
            0, 1, now, now + HOUR, "coffee", ("world",), None, "", self.market.signer.keyring.service.public,
            tuple(direct_route(*address) for address in self.market.reach.announced()), (1, 1), False,
        )  # fmt: skip
        return make_announcement(self.market.signer.identity, DEV, announcement)

    async def table(self, name: str) -> list[tuple[object, ...]]:
        found: list[tuple[object, ...]] = await self.market.ledger.run(
            lambda tx: tx.meta._db.execute(f"SELECT * FROM {name}").fetchall()
        )
        return found


async def daemon(nursery: trio.Nursery, stack: ExitStack, home: Path, **flags: bool) -> Daemon:
    """A market on a port of its own, with what marketd gives it."""
    told: Config = load_config(Flags(home=str(home), listen=f"{HOST}:0", network="dev", **flags), {})  # type: ignore[arg-type]
    stack.enter_context(locked_home(home))
    identity, node_key = load_identity(home), load_node_key(home)
    udp, listener = one_port(stack)
    ledger = stack.enter_context(ledger_database(home).open())
    cache = stack.enter_context(cache_database(home).open())
    market = Market(told, identity, node_key, ledger, cache, udp, None if told.outbound_only else listener)
    await nursery.start(market.run)
    return Daemon(market, stack)


def one_port(stack: ExitStack) -> tuple[socket.socket, trio.SocketListener]:
    """UDP and TCP on one port."""
    while True:
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        tcp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        udp.setblocking(False)
        udp.bind((HOST, 0))
        with suppress(OSError):
            tcp.bind(udp.getsockname())
            tcp.listen()
            return udp, trio.SocketListener(trio.socket.from_stdlib_socket(tcp))


async def ask(buyer: Daemon, *sellers: Daemon) -> rows.Request:
    """A request for ten beans."""
    market = buyer.market

    def work(tx: Ledger) -> tuple[rows.Request, bytes]:
        row = market.buying.open(tx, b.OpenRequest(category="coffee", line_texts=["10 beans"]), [], wall())
        for seller in sellers:
            assert market.buying.ask(tx, row.hash, seller.record(), wall())
        assert row.exchange_public is not None
        return row, tx.keys.seed(row.exchange_public)

    row: rows.Request
    row, seed = await market.ledger.run(work)
    market.signer.keyring.add(ExchangeKey.from_seed(seed))
    market.courier.wake()
    return row


async def quotes(side: Daemon, request: rows.Request) -> list[rows.Quote]:
    found: list[rows.Quote] = await side.market.ledger.run(lambda tx: tx.quotes.of_request(request.hash))
    return found


async def eventually(read: Callable[[Ledger], object], side: Daemon) -> None:
    await saved(side.market.ledger, read)


@pytest.fixture
async def pair(nursery: trio.Nursery, tmp_path: Path) -> AsyncIterator[tuple[Daemon, Daemon]]:
    with ExitStack() as stack:
        buyer = await daemon(nursery, stack, tmp_path / "buyer", outbound_only=True)
        seller = await daemon(nursery, stack, tmp_path / "seller")
        await seller.market.ledger.run(lambda tx: tx.prices.replace([price(1, "B1", "beans")]))
        await seller.market.reload_prices()
        yield buyer, seller
        nursery.cancel_scope.cancel()


async def test_a_trade_over_one_link(pair: tuple[Daemon, Daemon]) -> None:
    buyer, seller = pair
    request = await ask(buyer, seller)
    await eventually(lambda tx: tx.quotes.of_request(request.hash), buyer)
    (quote,) = await quotes(buyer, request)
    await buyer.market.ledger.run(lambda tx: buyer.market.buying.order(tx, b.NewOrder(quote=quote.id), wall()))
    await buyer.market.after_write([])
    await eventually(lambda tx: [order for order in tx.orders.latest() if order.state == "accepted"], buyer)
    for side in (buyer, seller):
        await eventually(lambda tx: not tx.outbox.pending(wall()), side)
        kinds = await side.market.ledger.run(lambda tx: [row.kind for row in tx.documents.of_thread(request.hash)])
        assert sorted(kinds) == sorted([d.REQUEST, d.QUOTE, d.ORDER, d.ORDER_RESPONSE])
    assert [side.market.peers.counters.dialled for side in pair] == [1, 0]


@pytest.mark.usefixtures("in_a_hurry")
async def test_a_quote_by_hand_after_the_link_has_dropped(pair: tuple[Daemon, Daemon]) -> None:
    """The buyer cannot be dialled: he calls again, and finds the quote waiting."""
    buyer, seller = pair
    await seller.market.ledger.run(lambda tx: tx.prices.replace([]))
    await seller.market.reload_prices()
    request = await ask(buyer, seller)
    await eventually(lambda tx: tx.requests.get(request.hash), seller)
    await until(lambda: bool(seller.market.peers.links()))
    await seller.market.peers.links()[0].close()

    def quote(tx: Ledger) -> rows.Quote:
        row = tx.requests.get(request.hash)
        assert row is not None
        return seller.market.selling.quote(tx, row, b.NewQuote(total="9 EUR"), wall())

    made = await seller.market.ledger.run(quote)
    seller.market.courier.wake()
    await eventually(lambda tx: tx.quotes.get(made.hash), buyer)
    assert seller.market.peers.counters.dialled == 0
    await eventually(lambda tx: not tx.outbox.pending(wall()), seller)


@pytest.mark.usefixtures("in_a_hurry")
async def test_links_that_break_all_the_time_double_nothing(pair: tuple[Daemon, Daemon], nursery: trio.Nursery) -> None:
    buyer, seller = pair

    def order(tx: Ledger, body: b.NewOrder) -> object:
        return buyer.market.buying.order(tx, body, wall())

    async def cut() -> None:
        while True:
            for link in seller.market.peers.links():
                await link.close()
            await trio.sleep(0.01)

    async with trio.open_nursery() as cutting:
        cutting.start_soon(cut)
        requests = [await ask(buyer, seller) for _ in range(10)]
        for request in requests:
            await eventually(lambda tx, r=request: tx.quotes.of_request(r.hash), buyer)  # type: ignore[misc]
            (quote,) = await quotes(buyer, request)
            body = b.NewOrder(quote=quote.id)
            await buyer.market.ledger.run(partial(order, body=body))
            await buyer.market.after_write([])
        for side in pair:
            await eventually(lambda tx: sum(o.state == "accepted" for o in tx.orders.latest()) == 10, side)
        cutting.cancel_scope.cancel()
    for side in pair:
        assert len(await side.table("documents")) == 40
        await eventually(lambda tx: not tx.outbox.pending(wall()), side)
    assert [len(await side.table("orders")) for side in pair] == [10, 10]


@pytest.mark.parametrize("two", [False, True])
async def test_a_second_machine_sends_nothing_again_when_a_link_comes_up(post: Post, two: bool) -> None:
    await post.queue(1)

    def give_up(tx: Ledger) -> None:
        (row,) = tx.outbox.of_thread(bytes(32))
        tx.outbox.set_state(row, "failed", rows.NO_ANSWER, wall())
        if two:
            tx.meta.set(TWO_MACHINES, b"1")

    await post.ledger.run(give_up)
    post.courier._heard.add(NAME)
    await post.courier._expected()
    assert await post.states() == ["failed" if two else "queued"]
