"""How large the network is, and how large therefore the region around a key.

Announcements are stored on every node of a region around their key, which is sized to hold 20 honest nodes. Somebody
who puts nodes of his own nearer to the key than all others gains nothing but company: the honest nodes of the region
still hold the records and are still asked. (Storing on "the 20 nearest" would hand the key to him.)

The size comes from the spacing of nodes seen by lookups: if the k-th nearest lies at distance d, about (k - 1) / d
nodes lie in a unit of space. The median of the last lookups counts, so a crowd around one key changes little. While
the network has no more than 40 nodes, the region is everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Final

from p2pmarket import limits
from p2pmarket.dht.contact import ID_BITS

SPACE: Final[int] = 2**ID_BITS
_KEPT = 32  # lookups remembered


class NetworkSize:
    """The estimate of the number of live nodes, from the lookups that this node made."""

    __slots__ = ("_estimates", "_size")

    def __init__(self) -> None:
        self._estimates: dict[int, float] = {}  # by target, oldest first: a target counts once
        self._size: int | None = None

    def seen(self, target: int, distances: Sequence[int], *, exact: bool) -> None:
        """A finished lookup found live nodes at these rising distances from `target`, and no others as near.

        `exact`: it found no others at all.
        """
        if not distances:
            return
        k = len(distances)
        estimate = float(k) if exact else (k - 1) * SPACE / max(distances[-1], 1)
        self._estimates.pop(target, None)
        self._estimates[target] = estimate
        if len(self._estimates) > _KEPT:
            del self._estimates[next(iter(self._estimates))]
        self._size = None

    def size(self, known: int) -> int:
        """Nodes in the network, ourselves not counted; `known` is how many we know and the least it can be."""
        if self._size is None:
            self._size = round(median(self._estimates.values())) if self._estimates else 0
        return max(self._size, known)

    def sure(self) -> bool:
        """Whether any lookup has told something."""
        return bool(self._estimates)

    def near(self, count: int, known: int) -> int:
        """The distance within which the `count` nearest may be expected, and a quarter more; 0 if nothing is known."""
        if not self._estimates:
            return 0
        return min(SPACE // 4 * 5 * count // max(self.size(known), 1), SPACE - 1)

    def radius(self, known: int) -> int:
        """The radius of a region; everything while the network is small."""
        size = self.size(known)
        if size <= limits.SMALL_NETWORK:
            return SPACE - 1
        return SPACE * limits.REGION_NODES // size
