"""When to look for those who are not where they were. Pure: the time comes in, in seconds of any one clock.

Rules:
- Whoever is reported lost is looked for at once.
- A look in vain may have come before he has announced where he is now, so it is repeated by itself after each of
  `SOON_SECONDS`; from then on only when he is reported lost again, once in `LATER_SECONDS` at most.
- Who is reached is not looked for any more; how often that was done counts on for `FORGET_SECONDS`, so somebody who
  comes and goes is not looked for without end.
- At most `LOST_KEPT` are lost at a time; of the looks, the last `LOST_KEPT` are remembered.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from p2pmarket.limits import HOUR, LOST_KEPT, MINUTE
from p2pmarket.open_link import Name

SOON_SECONDS = (15, 30, MINUTE)
LATER_SECONDS = 10 * MINUTE
FORGET_SECONDS = HOUR


class Looks(NamedTuple):
    """How often somebody was looked for, and when last."""

    times: int
    last: float


NEVER = Looks(0, -math.inf)


class Lost:
    """Who is lost, and when each is looked for."""

    def __init__(self) -> None:
        self.due: dict[Name, float] = {}
        self._looked: dict[Name, Looks] = {}  # the oldest first

    def add(self, name: Name, now: float) -> bool:
        """Somebody could not be reached; whether that is news."""
        if name in self.due or len(self.due) >= LOST_KEPT:
            return False
        looks = self._looks(name, now)
        pauses = (0, *SOON_SECONDS, LATER_SECONDS)
        self.due[name] = looks.last + pauses[min(looks.times, len(pauses) - 1)]
        return True

    def reached(self, name: Name) -> None:
        """He is there."""
        self.due.pop(name, None)

    def now_due(self, now: float) -> list[Name]:
        """Who is to be looked for now."""
        return [name for name, due in self.due.items() if due <= now]

    def looked(self, name: Name, now: float, *, in_vain: bool) -> None:
        """He was looked for; in vain if it may help to look again soon."""
        times = self._looks(name, now).times + 1
        self._looked.pop(name, None)
        self._looked[name] = Looks(times, now)
        if len(self._looked) > LOST_KEPT:
            del self._looked[next(iter(self._looked))]
        still = self.due.pop(name, None) is not None  # not reached meanwhile
        if still and in_vain and times <= len(SOON_SECONDS):
            self.add(name, now)

    def _looks(self, name: Name, now: float) -> Looks:
        looks = self._looked.get(name, NEVER)
        return looks if looks.last + FORGET_SECONDS > now else NEVER
