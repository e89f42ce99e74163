"""Server-sent events (WHATWG HTML, section 9.2): `id` is the event's number, `data` the whole event in one line."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack

import msgspec
import trio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from p2pmarket.api.types import Event
from p2pmarket.limits import STREAM_SILENCE_SECONDS

QUEUE = 64  # events joined into one write, if they are there already
SILENCE = b": still here\n\n"


class EventResponse(Response):
    """Sends the events of an iterator until it ends, the reader leaves, or `stopping` is set.

    `when_done` is closed at the end; the iterator is closed too if it has `aclose`.
    """

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[Event], stopping: trio.Event, when_done: ExitStack) -> None:
        super().__init__(headers={"Cache-Control": "no-store"})
        del self.headers["content-length"]
        self._events, self._stopping, self._when_done = events, stopping, when_done

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._when_done:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            # A first comment, so that the reader knows at once that it is heard.
            await _send(send, SILENCE)
            async with trio.open_nursery() as nursery:
                into, out = trio.open_memory_channel[Event](QUEUE)
                nursery.start_soon(_until_gone, receive, nursery.cancel_scope)
                nursery.start_soon(_until, self._stopping, nursery.cancel_scope)
                nursery.start_soon(_pump, self._events, into)
                await _write(out, send)
                nursery.cancel_scope.cancel()
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def encode_event(event: Event) -> bytes:
    """The block of lines of one event. JSON has no raw line breaks, so one `data` line holds it."""
    number = b"" if event.seq is None else b"id: %d\n" % event.seq
    return b"%sdata: %s\n\n" % (number, msgspec.json.encode(event))


async def _write(out: trio.MemoryReceiveChannel[Event], send: Send) -> None:
    while True:
        blocks = []
        with trio.move_on_after(STREAM_SILENCE_SECONDS):
            try:
                blocks.append(encode_event(await out.receive()))
            except trio.EndOfChannel:
                return
        try:
            while blocks and len(blocks) < QUEUE:
                blocks.append(encode_event(out.receive_nowait()))
        except (trio.WouldBlock, trio.EndOfChannel):
            pass  # the end shows again at the next receive
        await _send(send, b"".join(blocks) or SILENCE)


async def _pump(events: AsyncIterator[Event], into: trio.MemorySendChannel[Event]) -> None:
    try:
        async with into:
            async for event in events:
                await into.send(event)
    finally:
        close = getattr(events, "aclose", None)
        if close is not None:
            await close()


async def _until_gone(receive: Receive, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _until(stopping: trio.Event, scope: trio.CancelScope) -> None:
    await stopping.wait()
    scope.cancel()


async def _send(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})
