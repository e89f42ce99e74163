"""How many publishers come to a topic, whether they find room or not.

Rules. A holder cannot remember everybody whom it refuses, so it samples groups of addresses: of all groups that came
within an epoch it keeps the 64 whose keyed hash is smallest (the k minimum values of Bar-Yossef et al. 2002), and how
far up the scale they reach tells how many there are. Of each it notes its publishers as marks among 32 slots, and at
most eight of them count, as many as a group may have places: no subnet makes a crowd by itself, and nobody outside can
know which groups are sampled. An epoch lasts as long as every publisher needs to come once; the one before counts while
the new one fills, so the figure follows a topic that grows at once and one that shrinks within two epochs.
"""

from __future__ import annotations

from typing import Final

from p2pmarket import limits

_SCALE: Final = 1 << 64
_SLOTS: Final = 32


class _Epoch:
    """The groups with the smallest hashes: marks of their publishers, by hash. All others hash to `bar` or more."""

    __slots__ = ("bar", "kept")

    def __init__(self) -> None:
        self.kept: dict[int, int] = {}
        self.bar = _SCALE

    def came(self, group: int, publisher: int) -> None:
        mark = 1 << publisher % _SLOTS
        if group in self.kept:
            self.kept[group] |= mark
        elif group < self.bar:
            self.kept[group] = mark
            if len(self.kept) > limits.CROWD_GROUPS:
                self.bar = max(self.kept)
                del self.kept[self.bar]

    def groups(self) -> int:
        return len(self.kept) * _SCALE // self.bar

    def publishers(self) -> int:
        most = limits.GROUP_TOPIC_RECORDS
        return sum(min(marks.bit_count(), most) for marks in self.kept.values()) * _SCALE // self.bar


class Crowd:
    """The estimate for one topic. `now` is monotonic seconds."""

    __slots__ = ("_before", "_began", "_present")

    def __init__(self, now: float) -> None:
        self._present = _Epoch()
        self._before = _Epoch()
        self._began = now

    def came(self, group: int, publisher: int, now: float) -> None:
        """A publisher has come. `group` is a keyed hash of 64 bits, `publisher` any number that tells him apart."""
        self.pass_time(now)
        self._present.came(group, publisher)

    def pass_time(self, now: float) -> None:
        """Begin another epoch when it is time."""
        epochs = int((now - self._began) // limits.CROWD_SECONDS)
        if epochs > 0:
            self._before = self._present if epochs == 1 else _Epoch()
            self._present = _Epoch()
            self._began += epochs * limits.CROWD_SECONDS

    def groups(self) -> int:
        """About how many groups came within the hour."""
        return max(self._present.groups(), self._before.groups())

    def publishers(self) -> int:
        """About how many publishers came within the hour, at most eight of each group."""
        return max(self._present.publishers(), self._before.publishers())
