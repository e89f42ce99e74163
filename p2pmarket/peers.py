"""Links to other daemons over TCP: listening, dialling, and one pair of tasks for each open link.

A link carries messages both ways, whoever dialled. It is named by two X25519 keys, ours and theirs. What they
mean is not known here: whole batches go to the owner's `on_messages`, and the reader waits until that returns, so a
peer that sends faster than we can save is slowed down by TCP. It also waits while the other side leaves too much of
what we say unread, so nobody can make us hoard answers.

The first flight of a link may be a replay of an old one. What it says is handed on (every document is idempotent), but
the link counts as open only once the other end has shown that it holds its key now.

A link that one side wants to keep carries a keepalive whenever it has been quiet, and the other side answers it: both
then hear something in time. Only the writer task sends once a link is up; when the reader ends it sends what is left,
a goodbye at last, and closes.

Limits: open links in all and for each address, a time for the handshake, a time of silence. Where no more are let in an
idle one gives way to whoever calls: its other side loses nothing, for what waits is sent over the next. A failing link
ends alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import trio

from p2pmarket import limits
from p2pmarket.errors import MarketError, PeerError, PeerGone
from p2pmarket.keys import ExchangeKey, Secrets
from p2pmarket.link import Link, LinkUp, MessageReceived
from p2pmarket.messages import Goodbye, encode
from p2pmarket.network import Network
from p2pmarket.open_link import KEEPALIVE, QUIET_SECONDS, Address, Name, OpenLink, longest_idle
from p2pmarket.sockets import connected, written
from p2pmarket.udp import PROBE, PROBE_BYTES

CHUNK = 65_536
PROBE_SECONDS = 5
GOODBYE_SECONDS = 1  # for the rest of what we have to say, once the link is to end


class Owner:
    """Who hears of links. Both methods may be called for several links at once."""

    def link_up(self, link: OpenLink) -> None:
        """A link's other end has proved its key."""

    async def on_messages(self, link: OpenLink, messages: Sequence[bytes]) -> None:
        """Messages in the order in which they were sent. PeerError ends the link."""

    def link_down(self, link: OpenLink) -> None:
        """An open link has ended."""


@dataclass(slots=True)
class Counters:
    """What happened to connections."""

    accepted: int = 0
    refused: int = 0
    dialled: int = 0
    failed: int = 0
    broken: int = 0
    gave_way: int = 0


class Peers:
    """All links of a daemon. `key_by_hint` finds our key by the first 8 bytes of its public part's hash."""

    def __init__(
        self,
        network: Network,
        key_by_hint: Callable[[bytes], ExchangeKey | None],
        owner: Owner,
        secrets: Secrets,
    ) -> None:
        self.counters = Counters()
        self._network, self._key_by_hint, self._owner, self._secrets = network, key_by_hint, owner, secrets
        self._open: dict[Name, tuple[OpenLink, ...]] = {}
        self._inbound: dict[bytes, int] = {}
        self._arriving: dict[Name, float] = {}  # until when (trio time)

    def link(self, name: Name) -> OpenLink | None:
        """The newest open link of that name."""
        links = self._open.get(name)
        return links[-1] if links else None

    def arriving(self, name: Name) -> bool:
        """Whether a link of that name is coming up from the other side: no need to dial."""
        return self._arriving.get(name, -math.inf) > trio.current_time()

    def named(self, name: Name) -> tuple[OpenLink, ...]:
        """All open links of that name."""
        return self._open.get(name, ())

    def links(self) -> list[OpenLink]:
        """All open links."""
        return [link for links in self._open.values() for link in links]

    async def serve(self, listener: trio.SocketListener) -> None:
        """Take connections until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                try:
                    stream = await listener.accept()
                except OSError:  # the connection ended before it was taken, or no descriptors are left
                    self.counters.refused += 1
                    await trio.sleep(0.1)
                    continue
                self.counters.accepted += 1
                nursery.start_soon(self._answer, stream)

    async def dial(
        self,
        local: ExchangeKey,
        remote: bytes,
        addresses: Sequence[Address],
        early: Sequence[tuple[bytes, bytes]],
        *,
        task_status: trio.TaskStatus[OpenLink] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Connect, say `early` in the first flight, and run the link until it ends; started when the link is up.

        `early`: (hash of the document that is to be acknowledged, or empty; message).
        Raises PeerGone or another PeerError if it does not come up.
        """
        self.counters.dialled += 1
        with trio.move_on_after(limits.DIAL_SECONDS) as patience:
            stream, address = await self._connect(addresses)
            async with stream:
                link = Link.initiate(local, remote, self._network, self._secrets, [message for _, message in early])
                in_flight = {hash_: len(message) for hash_, message in early if hash_}
                await self._run(stream, link, address, patience, task_status, in_flight=in_flight)
        if patience.cancelled_caught:
            raise PeerGone("no answer in time")

    async def probe(self, address: Address, nonce: bytes) -> bool:
        """Whether a daemon of ours listens at `address` and returns the 16 bytes of `nonce`."""
        with trio.move_on_after(PROBE_SECONDS):
            try:
                async with await connected(address) as stream:
                    await stream.send_all(PROBE + nonce)
                    return await stream.receive_some(PROBE_BYTES) == PROBE + nonce
            except (OSError, trio.BrokenResourceError):
                return False
        return False

    async def _connect(self, addresses: Sequence[Address]) -> tuple[trio.SocketStream, Address]:
        for address in addresses:
            with trio.move_on_after(limits.DIAL_SECONDS / len(addresses)):  # a silent one leaves the next its turn
                try:
                    return await connected(address), address
                except OSError:
                    continue
        self.counters.failed += 1
        raise PeerGone("nobody answers at the addresses told" if addresses else "no address is known")

    async def _answer(self, stream: trio.SocketStream) -> None:
        async with stream:
            try:
                address = stream.socket.getpeername()[:2]
            except OSError:
                return
            group = self._network.group(*address)
            if not self._admit(group) and not await self._give_way(group):
                self.counters.refused += 1
                return
            try:
                await self._handshake_inbound(stream, address)
            except (PeerError, trio.BrokenResourceError, trio.ClosedResourceError):
                self.counters.broken += 1
            finally:
                self._inbound[group] -= 1
                if not self._inbound[group]:
                    del self._inbound[group]

    def _admit(self, group: bytes) -> bool:
        here = self._inbound.get(group, 0)
        if here >= limits.LINKS_PER_ADDRESS or sum(self._inbound.values()) >= limits.LINKS:
            return False
        self._inbound[group] = here + 1
        return True

    async def _give_way(self, group: bytes) -> bool:
        """End the longest idle of the links that were let in, of this address if it has too many; whether one was."""
        links = [link for link in self.links() if link.inbound and not link.ended]
        if self._inbound.get(group, 0) >= limits.LINKS_PER_ADDRESS:
            links = [link for link in links if self._network.group(*link.address) == group]
        link = longest_idle(links, trio.current_time())
        if link is None:
            return False
        self.counters.gave_way += 1
        link.ended = True  # its place is free: its tasks end as soon as they have their turn
        self._inbound[group] = self._inbound.get(group, 0) + 1
        await link.close()
        return True

    async def _handshake_inbound(self, stream: trio.SocketStream, address: Address) -> None:
        link = Link.respond(self._key_by_hint, self._network, self._secrets)
        with trio.move_on_after(limits.HANDSHAKE_SECONDS) as patience:
            first = bytes(await stream.receive_some(CHUNK))
            if first.startswith(PROBE):
                await self._echo_probe(stream, first)
                return
            await self._run(stream, link, address, patience, None, first)

    async def _echo_probe(self, stream: trio.SocketStream, data: bytes) -> None:
        while len(data) < PROBE_BYTES:
            more = await stream.receive_some(PROBE_BYTES - len(data))
            if not more:
                return
            data += more
        await stream.send_all(data[:PROBE_BYTES])

    async def _run(
        self,
        stream: trio.SocketStream,
        link: Link,
        address: Address,
        patience: trio.CancelScope,
        task_status: trio.TaskStatus[OpenLink] | None,
        first: bytes = b"",
        *,
        in_flight: dict[bytes, int] | None = None,
    ) -> None:
        """Handshake, then reader and writer until one ends. `patience` bounds the handshake only."""
        if first_flight := link.data_to_send():
            await self._send(stream, first_flight)
        up = await self._until_up(stream, link, first)
        patience.deadline = float("inf")
        name = (up.local_public, up.remote_public)
        now = trio.current_time()
        open_link = OpenLink(name, address, task_status is None, last_heard=now, _link=link, _stream=stream)
        open_link.in_flight, open_link.oldest_sent = in_flight or {}, now
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write, open_link, nursery.cancel_scope)
                self._count_as_open(open_link)
                if task_status is not None:
                    task_status.started(open_link)
                else:
                    self._arriving[name] = now + limits.HANDSHAKE_SECONDS  # time to prove itself
                await self._read(open_link)
                open_link.ended = True
                open_link._wake.set()
                nursery.cancel_scope.deadline = trio.current_time() + GOODBYE_SECONDS
        finally:
            self._forget(open_link)

    async def _until_up(self, stream: trio.SocketStream, link: Link, data: bytes) -> LinkUp:
        while True:
            try:
                link.receive_bytes(data)
            finally:
                if answer := link.data_to_send():
                    await self._send(stream, answer)
            event = link.next_event()
            if isinstance(event, LinkUp):
                return event
            data = bytes(await self._receive(stream))
            if not data:
                raise PeerGone("the other side closed the connection during the handshake")

    async def _receive(self, stream: trio.SocketStream) -> bytes:
        try:
            return bytes(await stream.receive_some(CHUNK))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise PeerGone("the connection broke") from error

    async def _send(self, stream: trio.SocketStream, data: bytes) -> None:
        try:
            await stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise PeerGone("the connection broke") from error

    async def _read(self, link: OpenLink) -> None:
        """Until the other side ends it, breaks the protocol, takes nothing or has been silent for too long."""
        try:
            with trio.CancelScope() as silence:  # one for all its life, with a deadline that moves
                while True:
                    silence.deadline = math.inf
                    await self._hand_over(link)
                    if not await self._is_heard(link):
                        return
                    silence.deadline = trio.current_time() + limits.LINK_IDLE_SECONDS
                    data = await self._receive(link._stream)
                    if not data:
                        return
                    link.last_heard = trio.current_time()
                    link._link.receive_bytes(data)
                    self._count_as_open(link)
        except MarketError as error:  # theirs: they broke the protocol; ours: we could not save, so they send it again
            self.counters.broken += not isinstance(error, PeerGone)
            if not isinstance(error, PeerGone) and not link._link.closed:
                link.send(encode(Goodbye(error.code)))

    async def _is_heard(self, link: OpenLink) -> bool:
        """Wait until the other side has taken most of what we said; False if it takes nothing."""
        if link.unsent <= limits.UNSENT_BYTES:
            return True
        with trio.move_on_after(limits.LINK_IDLE_SECONDS) as patience:
            while link.unsent > limits.UNSENT_BYTES:
                await link._drained.wait()
        return not patience.cancelled_caught

    def _count_as_open(self, link: OpenLink) -> None:
        links = self._open.get(link.name, ())
        if link.confirmed and link not in links:
            self._open[link.name] = (*links, link)
            self._owner.link_up(link)

    async def _hand_over(self, link: OpenLink) -> None:
        messages = []
        while (event := link._link.next_event()) is not None:
            if isinstance(event, MessageReceived):
                messages.append(event.data)
        if KEEPALIVE in messages and not link.keep:
            link.keep_alive()
        if messages:
            link.answering = True
            await self._owner.on_messages(link, messages)
            link.answering = False

    async def _write(self, link: OpenLink, ending: trio.CancelScope) -> None:
        """Send what is queued, a keepalive when it is quiet, and what is left when the link is to end."""
        while not ending.cancel_called:
            with trio.CancelScope(deadline=trio.current_time() + QUIET_SECONDS):
                await link._wake.wait()  # and nothing more: a scope that ends while the stream takes data tears it
            if link._wake.is_set():
                await self._write_out(link, ending)
            elif link.keep:
                link.keep_alive()

    async def _write_out(self, link: OpenLink, ending: trio.CancelScope) -> None:
        link._wake = trio.Event()
        last, size, data = link.ended, link.unsent, link._link.data_to_send()
        try:
            if rest := memoryview(data)[written(link._stream, data) :]:
                await link._stream.send_all(rest)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            last = True
        link.unsent -= size
        link._drained.set()
        link._drained = trio.Event()
        if last:
            ending.cancel()

    def _forget(self, link: OpenLink) -> None:
        self._arriving.pop(link.name, None)
        links = self._open.pop(link.name, ())
        if rest := tuple(other for other in links if other is not link):
            self._open[link.name] = rest  # a new tuple: other threads read the old one
        self._owner.link_down(link)
