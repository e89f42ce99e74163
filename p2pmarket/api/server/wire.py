"""One HTTP/1.1 connection (RFC 9112): h11 knows what bytes mean, this moves them, within limits of size and time.

Calls follow one another; the next is not read before the last is answered, so who sends many at once waits. Nothing is
read while a call is under way: a caller who leaves does not stop what he began. What nobody wants of a body is read and
thrown away before the answer goes out, because a caller who is still writing would see a broken pipe instead of it.

Raised out of here: `h11.RemoteProtocolError` for what is no HTTP; `trio.BrokenResourceError` and `trio.TooSlowError`
for a caller who has left or does not read. After any of them the connection is of no more use.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import h11
import trio

from p2pmarket import limits
from p2pmarket.errors import BadInput, LimitReached

RECEIVE_BYTES = 64 * 1024
SEND_BYTES = 256 * 1024  # so much must be taken in API_SEND_SECONDS
DRAIN_SECONDS = 5
BODILESS = frozenset({"HEAD"})

Header = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Asked:
    """The head of a call: its headers by their names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer but for its length."""

    status: int
    body: bytes
    headers: tuple[Header, ...] = ()


class Wire:
    """The connection. `stop` ends it at once if nothing is lost by that."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.API_HEAD_BYTES)
        self._harmless: trio.CancelScope | None = None
        self._head_only = False
        self._stopping = False

    # What comes in

    async def next_call(self) -> Asked | None:
        """The head of the next call; None if there will be none: the caller left, was too slow, or we stop."""
        with self.interruptible(trio.CancelScope(deadline=trio.current_time() + limits.API_IDLE_SECONDS)):
            event = await self._event()
            if isinstance(event, h11.Request):
                return self._asked(event)
        return None

    def _asked(self, request: h11.Request) -> Asked:
        method = request.method.decode("ascii")
        self._head_only = method in BODILESS
        headers = {name.decode("ascii"): value.decode("latin-1") for name, value in request.headers}
        return Asked(method, request.target.decode("ascii"), headers)

    async def read_body(self, limit: int) -> bytes:
        """The body; raises LimitReached above `limit` bytes, BadInput if it does not come to its end in time."""
        parts, total = [], 0
        try:
            with trio.fail_after(limits.API_BODY_SECONDS):
                await self._go_ahead()
                while isinstance(event := await self._event(), h11.Data):
                    parts.append(bytes(event.data))
                    total += len(event.data)
                    if total > limit:
                        raise LimitReached(f"the body has more than {limit} bytes")
        except trio.TooSlowError:
            raise BadInput(f"the body did not arrive within {limits.API_BODY_SECONDS} s") from None
        return b"".join(parts)

    async def until_gone(self) -> None:
        """Return when the caller has left; what he still says is not heard."""
        try:
            while await self._stream.receive_some(RECEIVE_BYTES):
                pass
        except trio.BrokenResourceError:
            return

    async def _event(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._stream.receive_some(RECEIVE_BYTES))
        return event

    async def _go_ahead(self) -> None:
        """Tell a caller who asked whether we want his body (`Expect: 100-continue`)."""
        if self._http.they_are_waiting_for_100_continue:
            await self._send(self._written(h11.InformationalResponse(status_code=100, headers=[])))

    async def _drain(self) -> None:
        if self._http.they_are_waiting_for_100_continue:
            return  # it will not come
        with trio.move_on_after(DRAIN_SECONDS):
            while self._http.their_state is h11.SEND_BODY:
                await self._event()

    # What goes out

    @property
    def answering(self) -> bool:
        """Whether the answer has begun, so that it can be no other any more."""
        return self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE)

    async def answer(self, answer: Answer) -> None:
        """Send a whole answer."""
        await self._drain()
        await self._send(self._whole(answer))

    async def refuse(self, answer: Answer) -> None:
        """Answer what was no HTTP, unless an answer has begun."""
        if not self.answering:
            await self._send(self._whole(answer))

    async def begin(self, headers: tuple[Header, ...], part: bytes) -> bool:
        """The head and the first part of an answer whose end is not known; False if the caller wants only the head."""
        await self._drain()
        head = self._written(h11.Response(status_code=200, headers=list(headers)))
        rest = h11.EndOfMessage() if self._head_only else h11.Data(data=part)
        await self._send(head + self._written(rest))
        return not self._head_only

    async def more(self, part: bytes) -> None:
        """Another part."""
        await self._send(self._written(h11.Data(data=part)))

    async def end(self) -> None:
        """The end of an answer in parts."""
        await self._send(self._written(h11.EndOfMessage()))

    def ready_again(self) -> bool:
        """Whether another call may follow."""
        if self._stopping or self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    def _whole(self, answer: Answer) -> bytes:
        length = (b"content-length", b"%d" % len(answer.body))
        parts = [self._written(h11.Response(status_code=answer.status, headers=[*answer.headers, length]))]
        if not self._head_only:
            parts.append(self._written(h11.Data(data=answer.body)))
        parts.append(self._written(h11.EndOfMessage()))
        return b"".join(parts)

    def _written(self, event: h11.Event) -> bytes:
        return self._http.send(event) or b""

    async def _send(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            with trio.fail_after(limits.API_SEND_SECONDS):
                await self._stream.send_all(rest[:SEND_BYTES])
            rest = rest[SEND_BYTES:]

    # Its end

    @contextmanager
    def interruptible(self, scope: trio.CancelScope) -> Iterator[None]:
        """What is inside ends when the server stops."""
        self._harmless = scope
        if self._stopping:
            scope.cancel()
        try:
            with scope:
                yield
        finally:
            self._harmless = None

    def stop(self) -> None:
        """End what waits, or streams, now; a call under way goes on and is the last."""
        self._stopping = True
        if self._harmless is not None:
            self._harmless.cancel()

    async def aclose(self) -> None:
        """Close it."""
        await trio.aclose_forcefully(self._stream)
