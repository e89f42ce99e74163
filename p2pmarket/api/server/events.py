"""Server-sent events (WHATWG HTML, section 9.2): `id` is the event's number, `data` the whole event in one line."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence

import msgspec
import trio

from p2pmarket.api.server.wire import Header, Wire
from p2pmarket.api.types import Event
from p2pmarket.errors import MarketError
from p2pmarket.limits import STREAM_SILENCE_SECONDS

SILENCE = b": still here\n\n"
HEADERS: tuple[Header, ...] = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"connection", b"close"),  # nothing is heard of what follows
)
KEPT = 64  # encoded events, for others who listen too
log = logging.getLogger("p2pmarket.api")

Events = AsyncIterator[Event | Sequence[Event]]


def encode_event(event: Event) -> bytes:
    """The block of lines of one event. JSON has no raw line breaks, so one `data` line holds it."""
    number = b"" if event.seq is None else b"id: %d\n" % event.seq
    return b"%sdata: %s\n\n" % (number, msgspec.json.encode(event))


class Encoder:
    """Encodes each event once, however many listen: they are all handed the same object at about the same time."""

    def __init__(self) -> None:
        self._made: dict[int, tuple[Event, bytes]] = {}  # by the object's address, which it keeps as long as we do

    def blocks(self, told: Event | Sequence[Event]) -> bytes:
        """The blocks of all of them."""
        if isinstance(told, Event):
            return self._block(told)
        return b"".join([self._block(event) for event in told])

    def _block(self, event: Event) -> bytes:
        made = self._made.get(id(event))
        if made is not None:
            return made[1]
        block = encode_event(event)
        if len(self._made) >= KEPT:
            del self._made[next(iter(self._made))]
        self._made[id(event)] = event, block
        return block


class EventSender:
    """Sends the events of an iterator until it ends, the reader leaves, or the server stops."""

    def __init__(self, wire: Wire, encoder: Encoder) -> None:
        self._wire, self._encoder = wire, encoder
        self._sending = trio.Lock()
        self._scope = trio.CancelScope()
        self._sent_at = 0.0
        self._whole = True  # an answer broken off within a part, or that nobody reads, cannot be ended

    async def run(self, events: Events) -> None:
        """All of it; closes `events` if it has `aclose`."""
        try:
            # A first comment, so that the reader knows at once that it is heard.
            if await self._wire.begin(HEADERS, SILENCE):
                await self._stream(events)
        finally:
            if close := getattr(events, "aclose", None):
                await close()

    async def _stream(self, events: Events) -> None:
        self._sent_at = trio.current_time()
        self._wire.ends_with(self._scope)
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._until_gone)
                nursery.start_soon(self._show_life)
                await self._pass_on(events)
                nursery.cancel_scope.cancel()
        if self._whole:
            await self._wire.end()

    async def _pass_on(self, events: Events) -> None:
        try:
            async for told in events:
                if blocks := self._encoder.blocks(told):
                    await self._send(blocks)
        except MarketError as error:
            log.warning("a stream of events ends: %s", error.message)  # it can be taken up with `since`

    async def _show_life(self) -> None:
        while True:
            await trio.sleep_until(self._sent_at + STREAM_SILENCE_SECONDS)
            if trio.current_time() >= self._sent_at + STREAM_SILENCE_SECONDS:
                await self._send(SILENCE)

    async def _until_gone(self) -> None:
        await self._wire.until_gone()
        self._leave()

    def _leave(self) -> None:
        self._whole = False
        self._scope.cancel()

    async def _send(self, data: bytes) -> None:
        if self._sending.locked():
            await self._sending.acquire()
        else:
            self._sending.acquire_nowait()  # without a turn of the scheduler
        try:
            self._sent_at = trio.current_time()
            self._whole = False
            await self._wire.more(data)
            self._whole = True
        except trio.BrokenResourceError:
            self._leave()
        finally:
            self._sending.release()
