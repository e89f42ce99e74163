"""Links to other daemons over TCP: listening, dialling, and one pair of tasks for each open link.

A link carries messages both ways, whoever dialled. It is named by two X25519 keys, ours and theirs. What they
mean is not known here: whole batches go to the owner's `on_messages`, and the reader waits until that returns, so a
peer that sends faster than we can save is slowed down by TCP.

The first flight of a link may be a replay of an old one. What it says is handed on (every document is idempotent), but
the link counts as open only once the other end has shown that it holds its key now.

Limits: open links in all and for each address, a time for the handshake, a time of silence. A failing link ends alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import trio

from p2pmarket.errors import MarketError, PeerError, PeerGone
from p2pmarket.keys import ExchangeKey, Secrets
from p2pmarket.limits import (
    DIAL_SECONDS,
    HANDSHAKE_SECONDS,
    LINK_IDLE_SECONDS,
    LINKS,
    LINKS_PER_ADDRESS,
    UNACKED_BYTES,
    UNACKED_DOCUMENTS,
)
from p2pmarket.link import Link, LinkUp, MessageReceived
from p2pmarket.messages import Goodbye, Keepalive, encode
from p2pmarket.network import Network
from p2pmarket.udp import PROBE, PROBE_BYTES

Address = tuple[str, int]
Name = tuple[bytes, bytes]
CHUNK = 65_536
PROBE_SECONDS = 5


@dataclass(eq=False, slots=True)
class OpenLink:
    """A link whose other end has proved its key. `in_flight`: documents sent on it and not acknowledged, with sizes."""

    name: Name
    address: Address
    inbound: bool
    up_since: float
    keep: bool = False
    in_flight: dict[bytes, int] = field(default_factory=dict)
    last_heard: float = 0.0
    oldest_sent: float = 0.0
    _link: Link = field(repr=False, kw_only=True)
    _stream: trio.SocketStream = field(repr=False, kw_only=True)
    _wake: trio.Event = field(default_factory=trio.Event, repr=False)

    def send(self, message: bytes) -> None:
        """Queue a message; the link's writer sends it. Raises PeerGone if the link has ended."""
        if self._link.closed:
            raise PeerGone("the link has ended")
        self._link.send(message)
        self._wake.set()

    def has_room(self, size: int) -> bool:
        """Whether one more document may go before others are acknowledged."""
        full = len(self.in_flight) >= UNACKED_DOCUMENTS or sum(self.in_flight.values()) + size > UNACKED_BYTES
        return not full or not self.in_flight

    async def close(self) -> None:
        """End it; its tasks notice."""
        await trio.aclose_forcefully(self._stream)


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
        self._open: dict[Name, list[OpenLink]] = {}
        self._inbound: dict[bytes, int] = {}

    def link(self, name: Name) -> OpenLink | None:
        """The newest open link of that name."""
        links = self._open.get(name)
        return links[-1] if links else None

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
        early: Sequence[bytes],
        *,
        task_status: trio.TaskStatus[OpenLink] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Connect, say `early` in the first flight, and run the link until it ends; started when the link is up.

        Raises PeerGone or another PeerError if it does not come up.
        """
        self.counters.dialled += 1
        with trio.move_on_after(DIAL_SECONDS) as patience:
            stream, address = await self._connect(addresses)
            link = Link.initiate(local, remote, self._network, self._secrets, early)
            async with stream:
                await self._run(stream, link, address, patience, task_status)
        if patience.cancelled_caught:
            raise PeerGone("no answer in time")

    async def probe(self, address: Address, nonce: bytes) -> bool:
        """Whether a daemon of ours listens at `address` and returns the 16 bytes of `nonce`."""
        with trio.move_on_after(PROBE_SECONDS):
            try:
                async with await trio.open_tcp_stream(*address) as stream:
                    await stream.send_all(PROBE + nonce)
                    return await stream.receive_some(PROBE_BYTES) == PROBE + nonce
            except (OSError, trio.BrokenResourceError):
                return False
        return False

    async def _connect(self, addresses: Sequence[Address]) -> tuple[trio.SocketStream, Address]:
        for address in addresses:
            try:
                return await trio.open_tcp_stream(*address), address
            except OSError:
                continue
        self.counters.failed += 1
        raise PeerGone("nobody answers at the addresses told" if addresses else "no address is known")

    async def _answer(self, stream: trio.SocketStream) -> None:
        async with stream:
            try:
                peer = stream.socket.getpeername()
            except OSError:
                return
            address = (peer[0], peer[1])
            group = self._network.group(*address)
            if not self._admit(group):
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
        if here >= LINKS_PER_ADDRESS or sum(self._inbound.values()) >= LINKS:
            return False
        self._inbound[group] = here + 1
        return True

    async def _handshake_inbound(self, stream: trio.SocketStream, address: Address) -> None:
        link = Link.respond(self._key_by_hint, self._network, self._secrets)
        with trio.move_on_after(HANDSHAKE_SECONDS) as patience:
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
    ) -> None:
        """Handshake, then reader and writer until one ends. `patience` bounds the handshake only."""
        await stream.send_all(link.data_to_send())
        up = await self._until_up(stream, link, first)
        patience.deadline = float("inf")
        name = (up.local_public, up.remote_public)
        now = trio.current_time()
        open_link = OpenLink(name, address, task_status is None, now, last_heard=now, _link=link, _stream=stream)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write, open_link, nursery.cancel_scope)
                self._count_as_open(open_link)
                if task_status is not None:
                    task_status.started(open_link)
                await self._read(open_link)
                nursery.cancel_scope.cancel()
        finally:
            self._forget(open_link)

    async def _until_up(self, stream: trio.SocketStream, link: Link, data: bytes) -> LinkUp:
        while True:
            try:
                link.receive_bytes(data)
            finally:
                if answer := link.data_to_send():
                    await stream.send_all(answer)
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

    async def _read(self, link: OpenLink) -> None:
        """Until the other side ends it, breaks the protocol or has been silent for too long."""
        try:
            while True:
                await self._hand_over(link)
                with trio.move_on_after(LINK_IDLE_SECONDS) as silence:
                    data = await self._receive(link._stream)
                if silence.cancelled_caught or not data:
                    return
                link.last_heard = trio.current_time()
                link._link.receive_bytes(data)
                self._count_as_open(link)
        except MarketError as error:  # theirs: they broke the protocol; ours: we could not save, so they send it again
            self.counters.broken += not isinstance(error, PeerGone)
            await self._say_goodbye(link, error)

    def _count_as_open(self, link: OpenLink) -> None:
        links = self._open.get(link.name, [])
        if link._link.confirmed and link not in links:
            self._open[link.name] = [*links, link]
            self._owner.link_up(link)

    async def _hand_over(self, link: OpenLink) -> None:
        messages = []
        while (event := link._link.next_event()) is not None:
            if isinstance(event, MessageReceived):
                messages.append(event.data)
        if messages:
            await self._owner.on_messages(link, messages)

    async def _say_goodbye(self, link: OpenLink, error: MarketError) -> None:
        if isinstance(error, PeerGone) or link._link.closed:
            return
        with trio.move_on_after(1):
            try:
                link._link.send(encode(Goodbye(error.code)))
                await link._stream.send_all(link._link.data_to_send())
            except (PeerError, trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError):
                return

    async def _write(self, link: OpenLink, ending: trio.CancelScope) -> None:
        """Send what is queued; keep a link alive that one of us wants to keep."""
        while True:
            with trio.move_on_after(LINK_IDLE_SECONDS / 3) as quiet:
                await link._wake.wait()
            link._wake = trio.Event()
            if quiet.cancelled_caught and link.keep:
                link._link.send(encode(Keepalive()))
            data = link._link.data_to_send()
            try:
                if data:
                    await link._stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                ending.cancel()
                return

    def _forget(self, link: OpenLink) -> None:
        links = self._open.get(link.name, [])
        if link in links:
            links.remove(link)
        if not links:
            self._open.pop(link.name, None)
        self._owner.link_down(link)
