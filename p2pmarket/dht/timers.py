"""Things to do later, on the clock that is handed in."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush


class Timer:
    """Will call `act(now)` unless `cancelled` is set."""

    __slots__ = ("act", "cancelled")

    def __init__(self, act: Callable[[float], None]) -> None:
        self.act = act
        self.cancelled = False


class Timers:
    """A queue of timers; equal moments come in the order in which they were set."""

    __slots__ = ("_count", "_queue")

    def __init__(self) -> None:
        self._queue: list[tuple[float, int, Timer]] = []
        self._count = 0

    def at(self, moment: float, act: Callable[[float], None]) -> Timer:
        """Call `act(now)` at `moment`."""
        timer = Timer(act)
        self._count += 1
        heappush(self._queue, (moment, self._count, timer))
        return timer

    def next(self) -> float:
        """The moment of the next timer that is not cancelled, or inf."""
        while self._queue and self._queue[0][2].cancelled:
            heappop(self._queue)
        return self._queue[0][0] if self._queue else float("inf")

    def run(self, now: float) -> None:
        """Act for all that is due."""
        while self.next() <= now:
            heappop(self._queue)[2].act(now)
