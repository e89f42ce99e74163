"""Links between daemons over real sockets on loopback. Where seconds matter the clock is trio's mock clock."""

from __future__ import annotations

import hashlib
import os
import random
import socket
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from p2pmarket import limits
from p2pmarket.errors import BadMessage, DiskFull, MarketError, PeerError, PeerGone, VersionMismatch
from p2pmarket.keys import ExchangeKey
from p2pmarket.link import VERSION, Link, LinkUp, MessageReceived, hint_of
from p2pmarket.messages import Goodbye, decode_untrusted
from p2pmarket.network import DEV, TEST, Network
from p2pmarket.open_link import KEEPALIVE, QUIET_SECONDS, OpenLink
from p2pmarket.peers import Owner, Peers
from p2pmarket.udp import PROBE

PATIENCE = 20  # seconds until a test gives up
HOST = "127.0.0.1"


def key(name: str) -> ExchangeKey:
    return ExchangeKey.from_seed(hashlib.sha256(name.encode()).digest())


SERVER, CLIENT = key("server"), key("client")
NAME_HERE, NAME_THERE = (CLIENT.public, SERVER.public), (SERVER.public, CLIENT.public)


@pytest.fixture
def jumping_clock() -> MockClock:
    """Jumps ahead whenever nothing has happened for a moment."""
    return MockClock(autojump_threshold=0.02)


@dataclass
class Ears(Owner):
    """An owner that writes down what it hears; `react` answers a batch of messages."""

    react: Callable[[OpenLink, Sequence[bytes]], None] = lambda link, messages: None
    heard: list[bytes] = field(default_factory=list)
    ups: list[OpenLink] = field(default_factory=list)
    downs: list[OpenLink] = field(default_factory=list)
    news: trio.Event = field(default_factory=trio.Event)

    def link_up(self, link: OpenLink) -> None:
        self.ups.append(link)
        self._tell()

    async def on_messages(self, link: OpenLink, messages: Sequence[bytes]) -> None:
        self.heard.extend(messages)
        self._tell()
        self.react(link, messages)

    def link_down(self, link: OpenLink) -> None:
        self.downs.append(link)
        self._tell()

    def _tell(self) -> None:
        self.news.set()
        self.news = trio.Event()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something to be heard."""
        with trio.fail_after(PATIENCE * 1000):  # the clock may be one that jumps
            while not condition():
                await self.news.wait()


@dataclass
class End:
    """A daemon's links, listening."""

    peers: Peers
    ears: Ears
    address: tuple[str, int]

    async def dial(self, nursery: trio.Nursery, other: End, *early: bytes) -> OpenLink:
        """A link from here to there; it runs in the nursery."""
        first = [(b"", message) for message in early]
        link: OpenLink = await nursery.start(self.peers.dial, CLIENT, SERVER.public, [other.address], first)
        return link


async def listening(nursery: trio.Nursery, own: ExchangeKey, network: Network = TEST) -> End:
    ears = Ears()
    peers = Peers(network, lambda hint: own if hint == hint_of(own.public) else None, ears, os.urandom)
    (listener,) = await trio.open_tcp_listeners(0, host=HOST, backlog=512)
    nursery.start_soon(peers.serve, listener)
    address: tuple[str, int] = listener.socket.getsockname()
    return End(peers, ears, address)


@pytest.fixture
async def server(nursery: trio.Nursery) -> End:
    return await listening(nursery, SERVER)


@pytest.fixture
async def client(nursery: trio.Nursery) -> End:
    return await listening(nursery, CLIENT)


class Raw:
    """The dialler's end of a link in the test's own hands."""

    def __init__(self, stream: trio.SocketStream, early: Sequence[bytes] = ()) -> None:
        self.stream = stream
        self.link = Link.initiate(CLIENT, SERVER.public, TEST, os.urandom, early)
        self.first_flight = self.link.data_to_send()

    @classmethod
    async def up(cls, server: End, early: Sequence[bytes] = ()) -> Raw:
        raw = cls(await trio.open_tcp_stream(*server.address), early)
        await raw.stream.send_all(raw.first_flight)
        assert isinstance(await raw.event(), LinkUp)
        await raw.flush()
        return raw

    async def flush(self) -> None:
        await self.stream.send_all(self.link.data_to_send())

    async def say(self, message: bytes) -> None:
        self.link.send(message)
        await self.flush()

    async def event(self) -> LinkUp | MessageReceived | None:
        """The next event; None when the other side has closed."""
        with trio.fail_after(PATIENCE * 1000):
            while (event := self.link.next_event()) is None:
                try:
                    data = await self.stream.receive_some(65_536)
                except trio.BrokenResourceError:  # closed with something of ours unread
                    return None
                if not data:
                    return None
                self.link.receive_bytes(bytes(data))
        return event


# Messages


async def test_early_messages_come_first_and_once_and_in_order(server: End, client: End, nursery: trio.Nursery) -> None:
    early = [b"first", b"second", bytes(100_000), b"last of the early ones"]  # the third does not fit the first flight
    link = await client.dial(nursery, server, *early)
    link.send(b"later")
    await server.ears.until(lambda: b"later" in server.ears.heard)
    assert server.ears.heard == [*early, b"later"]
    server.ears.ups[0].send(b"answer")
    await client.ears.until(lambda: bool(client.ears.heard))
    assert client.ears.heard == [b"answer"]
    assert (link.name, server.ears.ups[0].name) == (NAME_HERE, NAME_THERE)
    assert (link.inbound, server.ears.ups[0].inbound) == (False, True)


async def test_the_longest_message_passes_and_one_more_byte_does_not(
    server: End, client: End, nursery: trio.Nursery
) -> None:
    link = await client.dial(nursery, server)
    longest = os.urandom(limits.LINK_MESSAGE_BYTES)
    link.send(longest)
    await server.ears.until(lambda: bool(server.ears.heard))
    assert server.ears.heard == [longest]
    with pytest.raises(MarketError):
        link.send(longest + b"x")


async def test_two_links_of_one_name_at_once(server: End, client: End, nursery: trio.Nursery) -> None:
    first = await client.dial(nursery, server)
    second = await client.dial(nursery, server)
    await server.ears.until(lambda: len(server.ears.ups) == 2)
    assert client.peers.link(NAME_HERE) is second
    assert server.peers.links() == server.ears.ups
    for link in (first, second):
        link.send(b"x")
    await server.ears.until(lambda: server.ears.heard == [b"x", b"x"])
    await second.close()
    await client.ears.until(lambda: client.ears.downs == [second])
    await server.ears.until(lambda: len(server.ears.downs) == 1)
    assert client.peers.link(NAME_HERE) is first
    first.send(b"y")
    await server.ears.until(lambda: b"y" in server.ears.heard)
    await first.close()
    await server.ears.until(lambda: len(server.ears.downs) == 2)
    assert server.peers.links() == []
    assert server.peers.link(NAME_THERE) is None


async def test_a_message_in_the_moment_that_a_rest_ends_is_whole(
    jumping_clock: MockClock, server: End, client: End, nursery: trio.Nursery
) -> None:
    """The writer is about to wake for it when it has been quiet for long enough, too."""
    link = await client.dial(nursery, server)
    await wait_all_tasks_blocked(0.01)
    link.send(b"an order")
    jumping_clock.jump(QUIET_SECONDS)
    await server.ears.until(lambda: b"an order" in server.ears.heard)
    link.send(b"another")
    await server.ears.until(lambda: server.ears.heard[-2:] == [b"an order", b"another"])


async def test_nothing_can_be_sent_on_an_ended_link(server: End, client: End, nursery: trio.Nursery) -> None:
    link = await client.dial(nursery, server)
    await server.ears.until(lambda: bool(server.ears.ups))
    await link.close()
    await server.ears.until(lambda: bool(server.ears.downs))
    with pytest.raises(PeerGone):
        server.ears.ups[0].send(b"too late")


# Dialling


async def test_nobody_there(client: End) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))  # bound, but not listening
        for addresses in ([], [taken.getsockname()]):
            with pytest.raises(PeerGone):
                await client.peers.dial(CLIENT, SERVER.public, addresses, [])
    assert client.peers.counters.failed == 2


async def test_the_second_address_is_tried(server: End, client: End, nursery: trio.Nursery) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        addresses = [taken.getsockname(), server.address]
        link = await nursery.start(client.peers.dial, CLIENT, SERVER.public, addresses, [])
    assert link.address == server.address


@pytest.mark.parametrize("early", [[], [bytes(60_000)] * 5])
async def test_who_accepts_and_resets_is_gone(client: End, nursery: trio.Nursery, early: list[bytes]) -> None:
    """The reset comes at once, so it may be met while sending the first flight."""
    (listener,) = await trio.open_tcp_listeners(0, host=HOST)

    async def reset() -> None:
        while True:
            stream = await listener.accept()
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await trio.aclose_forcefully(stream)

    nursery.start_soon(reset)
    first = [(b"", message) for message in early]
    for _ in range(20):
        with pytest.raises(PeerGone):
            await client.peers.dial(CLIENT, SERVER.public, [listener.socket.getsockname()], first)


async def test_who_accepts_and_says_nothing_is_gone_in_time(jumping_clock: MockClock, client: End) -> None:
    with socket.socket() as mute:
        mute.bind((HOST, 0))
        mute.listen()
        before = trio.current_time()
        with pytest.raises(PeerGone):
            await client.peers.dial(CLIENT, SERVER.public, [mute.getsockname()], [])
    assert trio.current_time() - before == pytest.approx(limits.DIAL_SECONDS)


async def test_a_key_that_no_link_can_be_encrypted_to(server: End, client: End) -> None:
    """Others tell us whom to dial: a point of small order is an error of theirs."""
    with pytest.raises(BadMessage):
        await client.peers.dial(CLIENT, bytes(32), [server.address], [])


async def test_another_key_answers(server: End, client: End) -> None:
    with pytest.raises(PeerError):
        await client.peers.dial(CLIENT, key("somebody else").public, [server.address], [])
    assert server.ears.ups == []


async def test_a_daemon_of_another_network(nursery: trio.Nursery, client: End) -> None:
    other = await listening(nursery, SERVER, DEV)
    with pytest.raises(PeerError):
        await client.peers.dial(CLIENT, SERVER.public, [other.address], [(b"", b"x")])
    assert other.ears.heard == []


async def test_versions_that_do_not_fit(server: End, client: End, nursery: trio.Nursery) -> None:
    async with await trio.open_tcp_stream(*server.address) as stream:
        await stream.send_all(bytes([VERSION + 1]) + bytes(100))
        assert await stream.receive_some(100) == bytes([0, VERSION, VERSION, VERSION + 1])
        assert await stream.receive_some(100) == b""

    (listener,) = await trio.open_tcp_listeners(0, host=HOST)

    async def newer() -> None:
        async with await listener.accept() as stream:
            await stream.send_all(bytes([0, VERSION + 1, VERSION + 2, VERSION]))
            while await stream.receive_some(65_536):
                pass

    nursery.start_soon(newer)
    with pytest.raises(VersionMismatch) as mismatch:
        await client.peers.dial(CLIENT, SERVER.public, [listener.socket.getsockname()], [])
    assert mismatch.value.details["theirs"] == [VERSION + 1, VERSION + 2]


# Who may not hold a connection


@pytest.mark.parametrize("bytes_a_second", [0, 1])
async def test_a_handshake_that_takes_too_long(jumping_clock: MockClock, server: End, bytes_a_second: int) -> None:
    async with await trio.open_tcp_stream(*server.address) as stream, trio.open_nursery() as nursery:
        flight = Raw(stream).first_flight
        before = trio.current_time()

        async def drip() -> None:
            for byte in flight:
                await trio.sleep(1)
                try:
                    await stream.send_all(bytes([byte]))
                except trio.BrokenResourceError:
                    return

        if bytes_a_second:
            nursery.start_soon(drip)
        with suppress(trio.BrokenResourceError):  # the close may meet a byte under way
            assert await stream.receive_some(100) == b""
        assert trio.current_time() - before == pytest.approx(limits.HANDSHAKE_SECONDS)
        nursery.cancel_scope.cancel()
    assert server.ears.ups == []


async def test_links_from_one_address_at_the_limit_and_one_over(server: End) -> None:
    raws = [await Raw.up(server) for _ in range(limits.LINKS_PER_ADDRESS)]
    await server.ears.until(lambda: len(server.ears.ups) == limits.LINKS_PER_ADDRESS)
    async with await trio.open_tcp_stream(*server.address) as one_over:
        assert await one_over.receive_some(1) == b""
    assert server.peers.counters.refused == 1
    await raws[0].stream.aclose()
    await server.ears.until(lambda: len(server.ears.downs) == 1)
    raws.append(await Raw.up(server))  # the place is free again
    await server.ears.until(lambda: len(server.ears.ups) == limits.LINKS_PER_ADDRESS + 1)


async def full(server: End) -> list[Raw]:
    """As many links from one address as are let in."""
    raws = [await Raw.up(server) for _ in range(limits.LINKS_PER_ADDRESS)]
    await server.ears.until(lambda: len(server.ears.ups) == limits.LINKS_PER_ADDRESS)
    return raws


async def is_let_in(server: End) -> bool:
    """Whether somebody who calls now gets a link."""
    before = server.peers.counters.refused
    async with await trio.open_tcp_stream(*server.address) as caller:
        link = Link.initiate(CLIENT, SERVER.public, TEST, os.urandom)
        with suppress(trio.BrokenResourceError):
            await caller.send_all(link.data_to_send())
            answer = await caller.receive_some(100)
            return bool(answer) and server.peers.counters.refused == before
    return False


async def test_a_link_that_was_idle_gives_way(mock_clock: MockClock, server: End) -> None:
    raws = await full(server)
    mock_clock.jump(limits.LINK_SPARE_SECONDS - 0.1)
    assert not await is_let_in(server)
    for raw in raws[1:]:
        await raw.say(b"still here")
    heard = len(raws) - 1
    await server.ears.until(lambda: len(server.ears.heard) == heard)
    mock_clock.jump(0.1)
    assert await is_let_in(server)
    assert server.ears.downs[0] is server.ears.ups[0]
    assert server.peers.counters.gave_way == 1


@pytest.mark.parametrize("why", ["kept", "in flight", "unsent"])
async def test_a_link_with_something_to_do_gives_no_way(mock_clock: MockClock, server: End, why: str) -> None:
    raws = await full(server)
    for link in server.ears.ups:
        link.keep = why == "kept"
        link.in_flight = {b"hash": 100} if why == "in flight" else {}
        link.unsent = int(why == "unsent")
    mock_clock.jump(limits.LINK_SPARE_SECONDS)
    assert not await is_let_in(server)
    assert len(raws) == limits.LINKS_PER_ADDRESS


async def test_a_link_whose_messages_are_worked_at_gives_no_way(mock_clock: MockClock, server: End) -> None:
    raws, go_on = await full(server), trio.Event()

    class Slow(Ears):
        async def on_messages(self, link: OpenLink, messages: Sequence[bytes]) -> None:
            await go_on.wait()
            link.send(b"saved")

    server.peers._owner = Slow()
    for raw in raws:
        await raw.say(b"a document")
    await wait_all_tasks_blocked(0.01)
    mock_clock.jump(limits.LINK_SPARE_SECONDS)
    assert not await is_let_in(server)
    go_on.set()
    for raw in raws:
        event = await raw.event()
        assert isinstance(event, MessageReceived)
        assert event.data == b"saved"
    assert await is_let_in(server)


async def test_links_that_the_other_side_keeps_give_way_last(mock_clock: MockClock, server: End) -> None:
    raws = await full(server)
    await raws[0].say(KEEPALIVE)
    await server.ears.until(lambda: server.ears.ups[0].kept_at == trio.current_time())
    mock_clock.jump(1)
    for raw in raws[1:]:
        await raw.say(b"still here")
    await server.ears.until(lambda: len(server.ears.heard) == len(raws))
    mock_clock.jump(limits.LINK_SPARE_SECONDS)
    assert await is_let_in(server)
    assert server.ears.ups[0] not in server.ears.downs


async def test_links_in_all_at_the_limit_and_one_over(nursery: trio.Nursery) -> None:
    server = await listening(nursery, SERVER, DEV)  # counts every port as an address of its own
    streams = []
    for _ in range(limits.LINKS):
        streams.append(await trio.open_tcp_stream(*server.address))
        await streams[-1].send_all(bytes([VERSION]))  # the rest may take its time
    async with await trio.open_tcp_stream(*server.address) as one_over:
        assert await one_over.receive_some(1) == b""
    assert server.peers.counters.refused == 1
    for stream in streams:
        await stream.aclose()
    await wait_all_tasks_blocked(0.01)
    async with await trio.open_tcp_stream(*server.address) as after:
        await after.send_all(PROBE + bytes(16))
        assert await after.receive_some(17) == PROBE + bytes(16)


async def test_garbage_ends_its_own_connection_only(server: End, client: End, nursery: trio.Nursery) -> None:
    rng = random.Random(1)
    good = bytes([VERSION]) + hint_of(SERVER.public)
    link = await client.dial(nursery, server)
    await server.ears.until(lambda: bool(server.ears.ups))
    for _ in range(150):
        prefix = rng.choice([b"", good, good[:5], PROBE])
        async with await trio.open_tcp_stream(*server.address) as stream:
            await stream.send_all(prefix + rng.randbytes(rng.randrange(400)))
            await stream.send_eof()
            try:
                while await stream.receive_some(1000):
                    pass
            except trio.BrokenResourceError:
                continue
    link.send(b"still here")
    await server.ears.until(lambda: server.ears.heard == [b"still here"])
    assert len(server.ears.ups) == 1


@pytest.mark.parametrize("garbage", [bytes(100), b"\xff" * 70_000, b"\0\x05hello"])
async def test_garbage_on_an_open_link_ends_it(server: End, garbage: bytes) -> None:
    raw = await Raw.up(server, [b"good"])
    await server.ears.until(lambda: bool(server.ears.ups))
    await raw.stream.send_all(garbage)
    await server.ears.until(lambda: bool(server.ears.downs))
    assert server.ears.heard == [b"good"]
    assert server.peers.links() == []
    assert server.peers.counters.broken == 1


async def test_a_replayed_first_flight_is_heard_but_is_no_link(server: End, client: End, nursery: trio.Nursery) -> None:
    """Whoever recorded the first flight can send it again; the real link stays the one that is used."""
    recorded = Raw(await trio.open_tcp_stream(*server.address), [b"a document"])
    await recorded.stream.send_all(recorded.first_flight)
    await server.ears.until(lambda: server.ears.heard == [b"a document"])
    assert server.peers.links() == []
    link = await client.dial(nursery, server)
    await server.ears.until(lambda: len(server.ears.ups) == 1)
    async with await trio.open_tcp_stream(*server.address) as replay:
        await replay.send_all(recorded.first_flight)
        await server.ears.until(lambda: len(server.ears.heard) == 2)
        assert server.peers.link(NAME_THERE) is server.ears.ups[0]
        assert len(server.peers.links()) == 1
        link.send(b"the real one")
        await server.ears.until(lambda: b"the real one" in server.ears.heard)
    await server.ears.until(lambda: len(server.ears.downs) == 1)
    assert server.peers.link(NAME_THERE) is server.ears.ups[0]


# Silence


async def test_a_silent_link_ends_on_both_sides(
    jumping_clock: MockClock, server: End, client: End, nursery: trio.Nursery
) -> None:
    await client.dial(nursery, server)
    before = trio.current_time()
    await server.ears.until(lambda: bool(server.ears.downs))
    await client.ears.until(lambda: bool(client.ears.downs))
    assert trio.current_time() - before == pytest.approx(limits.LINK_IDLE_SECONDS, abs=5)


@pytest.mark.parametrize("keeper", ["dialler", "answerer", "both"])
async def test_a_link_that_one_side_keeps_stays_open(
    jumping_clock: MockClock, server: End, client: End, nursery: trio.Nursery, keeper: str
) -> None:
    link = await client.dial(nursery, server)
    await server.ears.until(lambda: bool(server.ears.ups))
    other = server.ears.ups[0]
    link.keep, other.keep = keeper in {"dialler", "both"}, keeper in {"answerer", "both"}
    await trio.sleep(20 * limits.LINK_IDLE_SECONDS)
    assert (client.ears.downs, server.ears.downs) == ([], [])
    most = 20 * limits.LINK_IDLE_SECONDS / (limits.LINK_IDLE_SECONDS / 3) + 2
    assert len(server.ears.heard) + len(client.ears.heard) <= 2 * most
    link.keep = other.keep = False
    before = trio.current_time()
    await client.ears.until(lambda: bool(client.ears.downs))
    await server.ears.until(lambda: bool(server.ears.downs))
    assert trio.current_time() - before <= 2 * limits.LINK_IDLE_SECONDS


async def test_who_answers_keepalives_at_once_makes_no_storm(jumping_clock: MockClock, server: End) -> None:
    raw = await Raw.up(server)
    for _ in range(50):
        raw.link.send(KEEPALIVE)
    await raw.flush()
    await server.ears.until(lambda: len(server.ears.heard) == 50)
    assert await raw.event() == MessageReceived(KEEPALIVE)
    assert await raw.event() is None  # one answer, then the silence that ends it


async def test_a_peer_that_does_not_read_is_not_read_from_either(jumping_clock: MockClock, server: End) -> None:
    """Each of its messages asks for an answer; what waits for it stays bounded, and at last the link ends."""
    answer = bytes(10_000)

    def answer_each(link: OpenLink, messages: Sequence[bytes]) -> None:
        for _ in messages:
            link.send(answer)

    server.ears.react = answer_each
    raw = await Raw.up(server)
    most = 0

    async def ask() -> None:
        nonlocal most
        try:
            while True:
                raw.link.send(b"question")
                await raw.flush()
                most = max(most, *(link.unsent for link in server.ears.ups), 0)
        except trio.BrokenResourceError:
            return

    await server.ears.until(lambda: bool(server.ears.ups))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await server.ears.until(lambda: bool(server.ears.downs))
        nursery.cancel_scope.cancel()
    batch = 65_536 // 20 * len(answer)  # of one reading of the socket
    assert limits.UNSENT_BYTES < most <= limits.UNSENT_BYTES + batch


# Endings


@pytest.mark.parametrize("error", [BadMessage("nonsense"), DiskFull("the disk is full")])
async def test_a_goodbye_says_why(server: End, error: MarketError) -> None:
    def refuse(link: OpenLink, messages: Sequence[bytes]) -> None:
        raise error

    server.ears.react = refuse
    raw = await Raw.up(server, [b"a document"])
    said = await raw.event()
    assert isinstance(said, MessageReceived)
    assert decode_untrusted(said.data) == Goodbye(error.code)
    assert await raw.event() is None
    await server.ears.until(lambda: bool(server.ears.downs))


async def test_a_goodbye_while_others_send_and_nobody_reads(jumping_clock: MockClock, server: End) -> None:
    """Reader and others have something to say at once, and the stream is full: the link ends, nothing else does."""

    def fill_and_refuse(link: OpenLink, messages: Sequence[bytes]) -> None:
        if b"the end" in messages:
            raise BadMessage("nonsense")
        for _ in range(30):
            link.send(bytes(300_000))

    server.ears.react = fill_and_refuse
    raw = await Raw.up(server)
    raw.link.send(b"fill")
    await raw.flush()
    await server.ears.until(lambda: bool(server.ears.heard) and bool(server.ears.ups))
    server.ears.ups[0].unsent = 0  # as if it had room, so that it reads on
    server.ears.ups[0]._drained.set()
    raw.link.send(b"the end")
    await raw.flush()
    await server.ears.until(lambda: bool(server.ears.downs))
    with pytest.raises(PeerGone):
        server.ears.ups[0].send(b"more")
    await (await Raw.up(server)).stream.aclose()


async def test_what_was_said_before_the_end_still_goes(server: End) -> None:
    server.ears.react = lambda link, messages: link.send(b"answer")
    raw = await Raw.up(server)
    raw.link.send(b"question")
    await raw.flush()
    await raw.stream.send_eof()
    assert await raw.event() == MessageReceived(b"answer")
    assert await raw.event() is None


# Probes


async def test_probes(server: End, client: End) -> None:
    nonce = os.urandom(16)
    assert await client.peers.probe(server.address, nonce)
    async with await trio.open_tcp_stream(*server.address) as stream:
        for at in range(17):
            await stream.send_all((PROBE + nonce)[at : at + 1])
        assert await stream.receive_some(100) == PROBE + nonce
    assert server.ears.ups == []


async def test_probes_that_fail(jumping_clock: MockClock, client: End, nursery: trio.Nursery) -> None:
    (liar,) = await trio.open_tcp_listeners(0, host=HOST)

    async def lie() -> None:
        async with await liar.accept() as stream:
            await stream.send_all(PROBE + bytes(16))

    nursery.start_soon(lie)
    assert not await client.peers.probe(liar.socket.getsockname(), os.urandom(16))
    with socket.socket() as mute:
        mute.bind((HOST, 0))
        assert not await client.peers.probe(mute.getsockname(), bytes(16))
        mute.listen()
        assert not await client.peers.probe(mute.getsockname(), bytes(16))


# How much may be on its way


async def test_room_at_the_limits_and_one_over(server: End, client: End, nursery: trio.Nursery) -> None:
    link = await client.dial(nursery, server)
    assert link.has_room(limits.UNACKED_BYTES + 1)  # one always may go, however large
    link.in_flight = {bytes([no]): 1 for no in range(limits.UNACKED_DOCUMENTS - 1)}
    assert link.has_room(1)
    link.in_flight[b"one more"] = 1
    assert not link.has_room(1)
    link.in_flight = {b"a": limits.UNACKED_BYTES - 10}
    assert link.has_room(10)
    assert not link.has_room(11)


async def test_ending_the_daemon_ends_every_link(client: End, nursery: trio.Nursery) -> None:
    async with trio.open_nursery() as inner:
        server = await listening(inner, SERVER)
        await client.dial(nursery, server)
        await server.ears.until(lambda: bool(server.ears.ups))
        inner.cancel_scope.cancel()
    await client.ears.until(lambda: bool(client.ears.downs))
    dial = partial(client.peers.dial, CLIENT, SERVER.public, [server.address], [])
    with pytest.raises(PeerGone):
        await dial()
