"""The DHT on a real UDP socket: one `Node`, one timer, and who waits for which lookup.

All decisions are the node's. This module moves datagrams between it and the socket, asks it when it wants to be woken,
and hands its events to whoever began the lookup. A datagram that the socket cannot take at once is dropped and
counted, as the network would.

At each wake-up the socket is emptied by reads that do not block, up to 512 datagrams, before anything else is done.
What comes from where an answer is awaited is worked at as it is read; the rest waits its turn in a backlog, 64 in each
round between two looks at the socket. So one wake-up of the event loop serves many requests, all replies of a round go
out together, and other tasks have their turn after each. Under a flood the socket's buffer holds out, our own questions
get their answers at once, and it is strangers who are dropped when the backlog is full.
"""

from __future__ import annotations

import math
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from p2pmarket.clock import wall
from p2pmarket.dht import events as dht
from p2pmarket.dht.node import Node
from p2pmarket.limits import DATAGRAM_BYTES, RECORDS_QUEUE

Address = tuple[str, int]
BATCH = 64  # datagrams worked at before the node's answers go out, those awaited not counted
TAKEN = 512  # datagrams taken from the socket at once
BACKLOG = 512  # datagrams that wait to be worked at
ANCHOR_SECONDS = 30  # how often the node's idea of UTC is put right
PROBE = b"\xfe"  # first byte of a datagram or connection that only asks "are you there?", then 16 bytes
PROBE_BYTES = 17


@dataclass(slots=True)
class Counters:
    """What happened to datagrams at the socket."""

    received: int = 0
    sent: int = 0
    not_sent: int = 0
    too_long: int = 0
    crowded_out: int = 0  # nobody waited for them, and too many came at once
    records_dropped: int = 0


class DhtService:
    """A node of the DHT on `sock`, a bound non-blocking UDP socket.

    `on_event` hears what no lookup waits for: addresses seen, clocks seen, dial-backs asked. `on_probe` hears the 16
    bytes of a probe.
    """

    def __init__(
        self,
        node: Node,
        sock: socket.socket,
        on_event: Callable[[dht.Event], None],
        on_probe: Callable[[bytes], None],
    ) -> None:
        self.node = node
        self.counters = Counters()
        self._socket = sock
        self._on_event, self._on_probe = on_event, on_probe
        self._gets: dict[int, trio.MemorySendChannel[dht.Event]] = {}
        self._puts: dict[int, tuple[trio.Event, list[dht.PutDone]]] = {}
        self._backlog = deque[tuple[bytes, Address]]()  # what nobody awaits
        self._changed = trio.Event()
        self._deadline = math.inf  # when `_keep_time` wakes up by itself

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._receive)
            nursery.start_soon(self._keep_time)
            nursery.start_soon(self._anchor_clock)
            task_status.started()

    @asynccontextmanager
    async def get(self, topics: Sequence[bytes], want: int) -> AsyncIterator[trio.MemoryReceiveChannel[dht.Event]]:
        """Look up `topics` until `want` records; yields a channel of RecordsFound and GetProgress, GetDone the last."""
        send, receive = trio.open_memory_channel[dht.Event](RECORDS_QUEUE)
        get = self.node.start_get(topics, want, trio.current_time())
        self._gets[get] = send
        self.flush()
        try:
            async with receive:
                yield receive
        finally:
            if self._gets.pop(get, None) is not None:
                self.node.stop(get, trio.current_time())

    async def put(self, topic: bytes, envelope: bytes, wide: int = 1) -> dht.PutDone:
        """Store a record under a topic, in so many times its region; returns how many nodes took it."""
        done, result = trio.Event(), list[dht.PutDone]()
        put = self.node.start_put(topic, envelope, trio.current_time(), wide)
        self._puts[put] = (done, result)
        self.flush()
        try:
            await done.wait()
        finally:
            self._puts.pop(put, None)
        return result[0]

    def flush(self) -> None:
        """Deliver what the node has to say: to its owners, to the network, to the timer. Follows every call of it."""
        while (event := self.node.next_event()) is not None:
            self._deliver(event)
        for data, address in self.node.datagrams_to_send(trio.current_time()):
            self._send(data, address)
        if self.node.next_timeout() < self._deadline:
            self._changed.set()

    def _deliver(self, event: dht.Event) -> None:
        if isinstance(event, dht.RecordsFound | dht.GetProgress | dht.GetDone):
            self._to_reader(event.get, event)
        elif isinstance(event, dht.PutDone):
            done, result = self._puts.get(event.put, (None, None))
            if done is not None and result is not None:
                result.append(event)
                done.set()
        else:
            self._on_event(event)

    def _to_reader(self, get: int, event: dht.Event) -> None:
        channel = self._gets.get(get)
        if channel is None:
            return
        try:
            channel.send_nowait(event)
        except trio.WouldBlock:
            self.counters.records_dropped += 1
        except trio.BrokenResourceError:
            return  # the reader has left; `get` takes it off the books
        if isinstance(event, dht.GetDone):
            del self._gets[get]
            channel.close()

    def _send(self, data: bytes, address: Address) -> None:
        try:
            self._socket.sendto(data, address)
            self.counters.sent += 1
        except OSError:  # full buffer, no route, refused by a filter: as lost as on the network
            self.counters.not_sent += 1

    async def _receive(self) -> None:
        backlog = self._backlog
        while True:
            if backlog:
                await trio.lowlevel.checkpoint()
            else:
                await trio.lowlevel.wait_readable(self._socket)
            now = trio.current_time()
            self._empty_socket(now)
            for _ in range(min(BATCH, len(backlog))):
                self._take(*backlog.popleft(), now)
            self.flush()

    def _empty_socket(self, now: float) -> None:
        """Take what the socket holds: what is awaited is worked at, the rest waits."""
        receive, awaited, backlog = self._socket.recvfrom, self.node.awaited, self._backlog
        for _ in range(TAKEN):
            try:
                data, (host, port, *_) = receive(DATAGRAM_BYTES + 1)
            except BlockingIOError:
                return
            except ConnectionError:  # an ICMP answer to something that we sent earlier
                continue
            address = (host, port)
            if address in awaited:
                self._take(data, address, now)
            elif len(backlog) < BACKLOG:
                backlog.append((data, address))
            else:
                self.counters.crowded_out += 1

    def _take(self, data: bytes, address: Address, now: float) -> None:
        self.counters.received += 1
        if len(data) > DATAGRAM_BYTES:
            self.counters.too_long += 1
        elif len(data) == PROBE_BYTES and data.startswith(PROBE):
            self._on_probe(data[1:])
        else:
            self.node.receive_datagram(data, address, now)

    async def _keep_time(self) -> None:
        while True:
            self._changed = trio.Event()
            deadline = self._deadline = self.node.next_timeout()
            with trio.move_on_at(deadline):
                await self._changed.wait()
            now = trio.current_time()
            if now >= deadline:
                self._empty_socket(now)  # on a busy machine answers may have come in time, and only wait for us
                self.node.handle_timeouts(now)
                self.flush()
                await trio.lowlevel.checkpoint()

    async def _anchor_clock(self) -> None:
        while True:
            self.node.set_wall(trio.current_time(), wall())
            await trio.sleep(ANCHOR_SECONDS)
