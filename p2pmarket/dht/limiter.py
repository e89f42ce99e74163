"""How often others may ask: token buckets per group of addresses, in a table of fixed size.

Refusing costs one look into a dictionary and happens before any cryptography. When the table is full the group known
longest is forgotten, which at most gives it its burst back.
"""

from __future__ import annotations

from collections.abc import Hashable


class Bucket:
    """`burst` at once, `rate` a second in the long run."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._at = now

    def take(self, now: float) -> bool:
        """Whether one more is allowed now."""
        tokens = self._tokens + (now - self._at) * self._rate
        if tokens > self._burst:
            tokens = self._burst
        self._at = now
        if tokens < 1:
            self._tokens = tokens
            return False
        self._tokens = tokens - 1
        return True


class Limiter:
    """One bucket for each key."""

    __slots__ = ("_buckets", "_burst", "_rate", "_size")

    def __init__(self, rate: float, burst: float, size: int) -> None:
        self._rate = rate
        self._burst = burst
        self._size = size
        self._buckets: dict[Hashable, Bucket] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: Hashable, now: float) -> bool:
        """Whether one more of `key` is allowed now."""
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= self._size:
                del self._buckets[next(iter(self._buckets))]
            bucket = self._buckets[key] = Bucket(self._rate, self._burst, now)
        return bucket.take(now)
