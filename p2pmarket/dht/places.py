"""The places under one key, and how many each group of addresses has: what `values` decides upon."""

from __future__ import annotations

from dataclasses import dataclass, field

from p2pmarket.dht.crowd import Crowd
from p2pmarket.dht.shards import agreed

_VOICES = 2  # neighbours at least that must tell of a crowd


@dataclass(slots=True)
class Place:
    """The place of one publisher under one key: the record listed, if any, and marks of withdrawn ones."""

    group: bytes
    order: int  # of arrival, for eviction
    held_until: float
    envelope: bytes | None = None
    category: str = ""
    version: tuple[int, int] = (0, 0)
    expires: int = 0
    withdrawn: dict[str, tuple[tuple[int, int], int]] = field(default_factory=dict)  # category: version, expires


class Groups:
    """How many places each group has, and which group has most. Everything in constant time."""

    def __init__(self) -> None:
        self._sizes: dict[bytes, int] = {}
        self._by_size: dict[int, dict[bytes, None]] = {}
        self.largest = 0

    def size(self, group: bytes) -> int:
        """Places of `group`."""
        return self._sizes.get(group, 0)

    def of_size(self, size: int) -> dict[bytes, None]:
        """The groups with just so many places."""
        return self._by_size.get(size, {})

    def change(self, group: bytes, by: int) -> None:
        """`by` is 1 or -1."""
        old = self._sizes.get(group, 0)
        new = old + by
        if old:
            peers = self._by_size[old]
            del peers[group]
            if not peers:
                del self._by_size[old]
        if new:
            self._sizes[group] = new
            self._by_size.setdefault(new, {})[group] = None
        else:
            del self._sizes[group]
        if new > self.largest or self.largest not in self._by_size:
            self.largest = new  # a group that shrank from the top is now itself at the top, one lower


class Shelf:
    """The places under one key: those of shard `number` of `topic`."""

    __slots__ = (
        "_hints",
        "_hints_until",
        "crowd",
        "groups",
        "listed",
        "members",
        "number",
        "places",
        "rounds",
        "topic",
    )

    def __init__(self, topic: bytes, number: int) -> None:
        self.topic = topic
        self.number = number
        self.places: dict[bytes, Place] = {}  # by publisher
        self.members: dict[bytes, dict[bytes, None]] = {}  # publishers by group, in order of arrival
        self.groups = Groups()
        self.listed = 0
        self.rounds: list[list[Place]] | None = None  # listing order, made when asked for
        self.crowd: Crowd | None = None  # while there are few places these are the crowd
        self._hints: list[int] = []  # what neighbours say the crowd is
        self._hints_until = 0.0

    def add(self, publisher: bytes, place: Place) -> None:
        """A new place."""
        self.places[publisher] = place
        self.members.setdefault(place.group, {})[publisher] = None
        self.groups.change(place.group, 1)

    def remove(self, publisher: bytes) -> Place:
        """Take a place away."""
        place = self.places.pop(publisher)
        members = self.members[place.group]
        del members[publisher]
        if not members:
            del self.members[place.group]
        self.groups.change(place.group, -1)
        return place

    def hint(self, crowd: int, until: float) -> None:
        """A neighbour says so; it counts until we have seen for ourselves."""
        self._hints.append(crowd)
        self._hints_until = until

    def pass_time(self, now: float) -> None:
        """Forget what is too old to count."""
        if self._hints and now >= self._hints_until:
            self._hints.clear()
        if self.crowd is not None:
            self.crowd.pass_time(now)

    def size(self) -> int:
        """How many publishers came within the hour, about."""
        seen = self.crowd.publishers() if self.crowd is not None else 0
        told = agreed(self._hints) if len(self._hints) >= _VOICES else 0
        return max(len(self.places), seen, told)
