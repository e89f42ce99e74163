"""Things to do later, on the clock that is handed in."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from math import inf


class Timer:
    """Will call `act(now)` unless it is cancelled."""

    __slots__ = ("act",)

    def __init__(self, act: Callable[[float], None]) -> None:
        self.act: Callable[[float], None] | None = act

    def cancel(self) -> None:
        """Do not act. Who would have acted is let go of at once, not when the time comes."""
        self.act = None


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
        queue = self._queue
        while queue and queue[0][2].act is None:
            heappop(queue)
        return queue[0][0] if queue else inf

    def run(self, now: float) -> None:
        """Act for all that is due."""
        while self.next() <= now:
            timer = heappop(self._queue)[2]
            act = timer.act
            if act is not None:
                timer.act = None  # a search holds its timer, and the timer its search
                act(now)
