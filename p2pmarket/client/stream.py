"""Server-sent events (WHATWG HTML, section 9.2) that survive a lost connection.

A stream remembers the number of its last event and resumes after it, so nothing is missed or told twice. While the
daemon is away it tries again with growing pauses, for `patience` seconds, then raises NoDaemon.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator

import msgspec

from p2pmarket.api.types import Event
from p2pmarket.client.wire import ClosedError, Connection
from p2pmarket.errors import MarketError, NoDaemon
from p2pmarket.limits import STREAM_SILENCE_SECONDS

PAUSES = (0.1, 0.2, 0.5, 1.0, 2.0)  # seconds between attempts, the last one for all that follow
DEAD_SECONDS = 3 * STREAM_SILENCE_SECONDS  # without even a comment


class EventStream:
    """Iterate over it for events, or call `wait` where something else must happen between them.

    `connect(since)` makes a connection whose answer's head was read, or raises.
    """

    def __init__(
        self, connect: Callable[[int | None], Connection], since: int | None, *, last: str | None, patience: float
    ) -> None:
        self.since = since
        self.ended = False
        self._connect, self._last, self._patience = connect, last, patience
        self._ready: deque[Event] = deque()
        self._text = b""
        self._heard = self._retry_at = time.monotonic()
        self._attempts = 0
        self._connection: Connection | None = connect(since)
        self._read_chunks(self._connection)

    def __enter__(self) -> EventStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Event]:
        while not self.ended:
            event = self.wait()
            if event is not None:
                yield event

    def close(self) -> None:
        """Leave the stream; safe to repeat."""
        self.ended = True
        self._drop()

    def wait(self, timeout: float | None = None) -> Event | None:
        """The next event; None if none came within `timeout` seconds or the stream has ended. Raises NoDaemon."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self.ended:
            if self._ready:
                return self._deliver(self._ready.popleft())
            left = DEAD_SECONDS if deadline is None else deadline - time.monotonic()
            if left <= 0:
                return None
            self._advance(min(left, DEAD_SECONDS))
        return None

    def _deliver(self, event: Event) -> Event:
        if event.seq is not None:
            self.since = event.seq
        if event.type == self._last:
            self.close()
        return event

    def _advance(self, left: float) -> None:
        """Do one thing that takes at most about `left` seconds: reconnect, pause, or read."""
        if self._connection is None:
            self._reconnect(left)
            return
        try:
            self._connection.fill(left)
        except TimeoutError:
            if time.monotonic() - self._heard >= DEAD_SECONDS:
                self._drop()
        except ClosedError:
            self._drop()
        else:
            self._heard = time.monotonic()
            self._read_chunks(self._connection)

    def _read_chunks(self, connection: Connection) -> None:
        while (chunk := connection.take_chunk()) is not None:
            if not chunk:
                self._drop()
                return
            self._attempts = 0
            *blocks, self._text = (self._text + chunk).split(b"\n\n")
            self._ready += [event for block in blocks if (event := parse_block(block)) is not None]

    def _reconnect(self, left: float) -> None:
        now = time.monotonic()
        if now < self._retry_at:
            time.sleep(min(left, self._retry_at - now))
            return
        self._retry_at = now + PAUSES[min(self._attempts, len(PAUSES) - 1)]
        self._attempts += 1
        try:
            self._connection = self._connect(self.since)
        except MarketError as error:
            if not error.retryable or now - self._heard > self._patience:
                raise
        except (ClosedError, TimeoutError):
            if now - self._heard > self._patience:
                raise NoDaemon("the daemon closes the stream as soon as it is opened") from None
        else:
            self._heard = time.monotonic()
            self._read_chunks(self._connection)  # some may have come with the answer's head

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection, self._text = None, b""


def parse_block(block: bytes) -> Event | None:
    """The event of one block of lines; None for a comment."""
    data = b"\n".join(line[5:].lstrip() for line in block.split(b"\n") if line.startswith(b"data:"))
    return msgspec.json.decode(data, type=Event) if data else None
