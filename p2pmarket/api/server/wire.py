"""One HTTP/1.1 connection (RFC 9112): h11 knows what bytes mean, this moves them, within limits of size and time.

Calls follow one another; the next is not read before the last is answered, so who sends many at once waits. Nothing is
read while a call is under way: a caller who leaves does not stop what he began. What nobody wants of a body is read and
thrown away before the answer goes out, because a caller who is still writing would see a broken pipe instead of it. He
who announces a body that is too large is answered at once, and may write on for a moment, for the same reason.

Raised out of here: `h11.RemoteProtocolError` for what is no HTTP, `trio.BrokenResourceError` for a caller who has left;
who is too slow with his next call, or does not read, meets the deadline of the connection's `scope`. (It is one scope
for all of it, because entering one costs as much as reading a call.) After that the connection is of no more use.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import h11
import trio

from p2pmarket import limits
from p2pmarket.errors import BadInput, LimitReached
from p2pmarket.sockets import written

RECEIVE_BYTES = 64 * 1024
SEND_BYTES = 256 * 1024  # so much must be taken in API_SEND_SECONDS
DRAIN_SECONDS = 5
DRAIN_PARTS = 8192  # as they come from the socket, or in chunks, each of which costs some microseconds
BODILESS = frozenset({"HEAD"})

Header = tuple[bytes, bytes]
LAST_ANSWER: Header = (b"connection", b"close")


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
    """The connection; all that is done with it is done within `scope`. `stop` ends it, a call under way excepted."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.scope = trio.CancelScope()
        self._stream = stream
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.API_HEAD_BYTES)
        self._head_only = False
        self._streaming: trio.CancelScope | None = None
        self._waiting = self._stopping = False
        self._received = 0  # bytes of the whole connection
        self._announced = 0  # length of this call's body, as its head has it
        self._unwanted = False  # so much that it is not read

    # What comes in

    async def next_call(self) -> Asked | None:
        """The head of the next call; None if the caller has left.

        A call that comes in the moment in which our patience ends is not taken: nobody would get its answer.
        """
        self._waiting, self._head_only, self._unwanted = True, False, False
        begin = self._received - self._unread()
        self.scope.deadline = trio.current_time() + limits.API_IDLE_SECONDS
        event: object = self._http.next_event()
        if event is h11.NEED_DATA:
            event = await self._event()
        else:
            await trio.lowlevel.checkpoint()  # sent along with the call before: others have their turn between
        self.scope.deadline = math.inf
        self._waiting = False
        if self.scope.cancel_called or not isinstance(event, h11.Request):
            return None
        if self._received - self._unread() - begin > limits.API_HEAD_BYTES:  # it came at once, so h11 lets it pass
            raise h11.RemoteProtocolError(f"its head has more than {limits.API_HEAD_BYTES} bytes", 431)
        return self._asked(event)

    def _unread(self) -> int:
        """How many bytes of what was received belong to what follows."""
        return len(self._http.trailing_data[0])

    def _asked(self, request: h11.Request) -> Asked:
        method = request.method.decode("ascii")
        self._head_only = method in BODILESS
        headers = {name.decode("ascii"): value.decode("latin-1") for name, value in request.headers}
        self._announced = int(headers.get("content-length", "0"))
        return Asked(method, request.target.decode("ascii"), headers)

    async def read_body(self, limit: int) -> bytes:
        """The body; raises LimitReached above `limit` bytes, BadInput if it does not come to its end in time."""
        self._unwanted = self._announced > limit
        if self._unwanted:
            raise LimitReached(f"the body has more than {limit} bytes")
        await self._go_ahead()
        body = bytearray()  # not a list: in parts of one byte each it would take a hundred times as much
        deadline = trio.current_time() + limits.API_BODY_SECONDS
        while not isinstance(event := self._http.next_event(), h11.EndOfMessage):
            if not isinstance(event, h11.Data):
                await self._receive_until(deadline)
                continue
            body += event.data
            if len(body) > limit:
                raise LimitReached(f"the body has more than {limit} bytes")
        return bytes(body)

    async def _receive_until(self, deadline: float) -> None:
        try:
            with trio.fail_at(deadline):
                await self._receive()
        except trio.TooSlowError:
            raise BadInput(f"the body did not arrive within {limits.API_BODY_SECONDS} s") from None

    async def until_gone(self) -> None:
        """Return when the caller has left; what he still says is not heard."""
        try:
            while await self._stream.receive_some(RECEIVE_BYTES):
                pass
        except trio.BrokenResourceError:
            return

    async def _event(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            await self._receive()
        return event

    async def _receive(self) -> None:
        data = await self._stream.receive_some(RECEIVE_BYTES)
        self._received += len(data)
        self._http.receive_data(data)

    async def _go_ahead(self) -> None:
        """Tell a caller who asked whether we want his body (`Expect: 100-continue`)."""
        if self._http.they_are_waiting_for_100_continue:
            await self._send(self._written(h11.InformationalResponse(status_code=100, headers=[])))

    async def _drain(self) -> None:
        if self._http.they_are_waiting_for_100_continue:
            return  # it will not come
        if self._http.their_state is not h11.SEND_BODY or isinstance(self._http.next_event(), h11.EndOfMessage):
            return
        with trio.move_on_after(DRAIN_SECONDS):
            for _ in range(DRAIN_PARTS):
                if isinstance(await self._event(), h11.EndOfMessage):
                    return

    # What goes out

    @property
    def answering(self) -> bool:
        """Whether the answer has begun, so that it can be no other any more."""
        return self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE)

    async def answer(self, answer: Answer) -> None:
        """Send a whole answer."""
        if self._unwanted:
            await self._answer_first(answer)
            return
        await self._drain()
        await self._send(self._whole(answer))

    async def _answer_first(self, answer: Answer) -> None:
        """The last answer of the connection, before the body has come: he may look for it only when he has written."""
        comes = not self._http.they_are_waiting_for_100_continue
        await self._send(self._whole(replace(answer, headers=(*answer.headers, LAST_ANSWER))))
        await self._stream.send_eof()
        if comes:
            await self._drain()

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
        rest = memoryview(data)[written(self._stream, data) :]
        while rest:
            self.scope.deadline = trio.current_time() + limits.API_SEND_SECONDS
            await self._stream.send_all(rest[:SEND_BYTES])
            self.scope.deadline = math.inf
            rest = rest[SEND_BYTES:]

    # Its end

    def stop(self) -> None:
        """End what waits for a call, or streams, now; a call under way goes on and is the last."""
        self._stopping = True
        if self._waiting:
            self.scope.cancel()
        if self._streaming is not None:
            self._streaming.cancel()

    def ends_with(self, streaming: trio.CancelScope) -> None:
        """Within this scope is an answer that may be ended at any moment."""
        self._streaming = streaming
        if self._stopping:
            streaming.cancel()

    async def aclose(self) -> None:
        """Close it."""
        await trio.aclose_forcefully(self._stream)
