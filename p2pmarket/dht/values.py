"""What this node keeps for others: announcements under topics, with quotas that a flood cannot turn against sellers.

Rules. A record is kept only if its signature and times hold and the topic is one of its own. Under a topic a publisher
has one place. In it the newest (epoch, seq) of an announcement wins; an equal one only shows that the publisher is
still there. If two announcements of one seller meet under a common ancestor, the one that comes first by category
text is listed, whatever the order of arrival. A withdrawn announcement leaves a mark until it would have expired, so
that nobody brings it back. Records are dropped when they expire or were not refreshed for two hours.

Quotas count places: per publisher, per group (a /24 or /48) and topic, per group, per topic and in all. A place
counts for the group from which it was put, or for the one its publisher's routes name, once he puts it from there.
What was stored is not thrown out by a newcomer of its own group. A full topic, or a full node, makes room by dropping
the last comer of the group that holds most, the newcomer counted with its own; among groups of equal size a keyed hash
of the group decides, which nobody can compute outside and which differs from node to node. So a flood from one
address, or from two hundred subnets, competes with itself, and twenty holders keep twenty different samples of a crowd.
(OpenDHT drops the oldest value of the address that holds most bytes; this is the same idea without the age.)

Readers get pages: one record of each group, then a second of each, and so on; within a round the order is a secret
one and the reader's seed says where in it he begins. No publisher can buy page one.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from heapq import nsmallest
from typing import TYPE_CHECKING, Final

from p2pmarket import limits, records
from p2pmarket.dht import filing, topics
from p2pmarket.errors import BadMessage
from p2pmarket.network import Network

if TYPE_CHECKING:
    from random import Random

ENVELOPE_HEAD: Final = 3  # CBOR head of a byte string of 256 to 65,535 bytes, which a page pays for each envelope
_RANKS_KEPT: Final = 8192  # groups whose place in the secret order is remembered
FULL_FROM: Final = limits.TOPIC_RECORDS * limits.TOPIC_FULL_PERCENT // 100


class PutStatus(enum.Enum):
    """What became of a put."""

    STORED = "stored"  # kept, or still kept
    STALE = "stale"  # something of this publisher that goes before it is held
    QUOTA = "quota"  # the publisher or his group has used up its share
    FULL = "full"  # the topic or the node is full, and the share of his group is used up
    BAD = "bad"  # signature, time, form or topic does not hold
    NOT_MINE = "not_mine"  # the topic lies outside the region of this node; given by the node, not from here


@dataclass(frozen=True, slots=True)
class Page:
    """Envelopes for one reader; `total` is what the topic lists in all, `full` that publishers should spread."""

    envelopes: tuple[bytes, ...]
    total: int
    full: bool


@dataclass(slots=True)
class _Place:
    """The place of one publisher under one topic: the record listed, if any, and marks of withdrawn ones."""

    group: bytes
    order: int  # of arrival, for eviction
    held_until: float
    envelope: bytes | None = None
    category: str = ""
    version: tuple[int, int] = (0, 0)
    expires: int = 0
    withdrawn: dict[str, tuple[tuple[int, int], int]] = field(default_factory=dict)  # category: version, expires


class _Groups:
    """How many places each group has, and which group has most. Everything in constant time."""

    def __init__(self) -> None:
        self._sizes: dict[bytes, int] = {}
        self._by_size: dict[int, dict[bytes, None]] = {}
        self.largest = 0

    def size(self, group: bytes) -> int:
        return self._sizes.get(group, 0)

    def of_size(self, size: int) -> dict[bytes, None]:
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


class _Topic:
    """The places under one topic."""

    __slots__ = ("groups", "listed", "members", "places", "rounds")

    def __init__(self) -> None:
        self.places: dict[bytes, _Place] = {}  # by publisher
        self.members: dict[bytes, dict[bytes, None]] = {}  # publishers by group, in order of arrival
        self.groups = _Groups()
        self.listed = 0
        self.rounds: list[list[_Place]] | None = None  # listing order, made when asked for

    def add(self, publisher: bytes, place: _Place) -> None:
        self.places[publisher] = place
        self.members.setdefault(place.group, {})[publisher] = None
        self.groups.change(place.group, 1)

    def remove(self, publisher: bytes) -> _Place:
        place = self.places.pop(publisher)
        members = self.members[place.group]
        del members[publisher]
        if not members:
            del self.members[place.group]
        self.groups.change(place.group, -1)
        return place


class Values:
    """All records that this node keeps. `now` is monotonic seconds, `wall` UTC seconds."""

    def __init__(self, network: Network, rng: Random, secrets: Callable[[int], bytes]) -> None:
        self._network = network
        self._rng = rng
        self._secret = secrets(32)
        self._topics: dict[bytes, _Topic] = {}
        self._groups = _Groups()
        self._ranks: dict[bytes, bytes] = {}
        self._comers: dict[bytes, dict[tuple[bytes, bytes], None]] = {}  # (topic, publisher) by group, last comer last
        self._publishers: dict[bytes, int] = {}
        self._count = 0
        self._arrivals = 0

    def __len__(self) -> int:
        """Places in use."""
        return self._count

    def held(self, topic: bytes) -> int:
        """Records listed under `topic`."""
        return self._topics[topic].listed if topic in self._topics else 0

    def nearest_topics(self, target: int, skip: int, count: int) -> list[bytes]:
        """`count` of the topics held, those nearest to `target`, after the first `skip`."""
        if skip >= len(self._topics):
            return []
        near = nsmallest(skip + count, self._topics, key=lambda topic: int.from_bytes(topic, "big") ^ target)
        return near[skip:]

    def topics(self) -> Collection[bytes]:
        """The topics of which something is held."""
        return self._topics.keys()

    def put(self, topic: bytes, envelope: bytes, group: bytes, now: float, wall: int) -> PutStatus:
        """Keep `envelope` under `topic` for a publisher whose proven address belongs to `group`. Never raises."""
        try:
            record = filing.record_untrusted(envelope, self._network, wall)
        except BadMessage:
            return PutStatus.BAD
        return self._keep(topic, record, group, now, wall)

    def take_over(self, topic: bytes, envelope: bytes, group: bytes, now: float, wall: int) -> PutStatus:
        """Keep what a neighbour of `group` holds, until two hours after it was signed. Never raises.

        It counts for the group of its publisher's route, which is only claimed, and without one for the neighbour's.
        """
        try:
            record = filing.record_untrusted(envelope, self._network, wall)
        except BadMessage:
            return PutStatus.BAD
        left = record.announcement.issued + limits.HELD_SECONDS - wall
        found = self._topics.get(topic)
        if left <= 0 or (found is not None and record.signer in found.places):
            return PutStatus.STALE
        addresses = map(records.route_address, record.announcement.routes)
        groups = [self._network.group(*address) for address in addresses if address is not None]
        status = self._keep(topic, record, groups[0] if groups else group, now, wall)
        if status is PutStatus.STORED:
            place = self._topics[topic].places[record.signer]
            place.held_until = min(place.held_until, now + left)
        return status

    def _keep(self, topic: bytes, record: records.Record, group: bytes, now: float, wall: int) -> PutStatus:
        announcement = record.announcement
        if not topics.belongs(self._network, announcement, topic, wall):
            return PutStatus.BAD
        held = self._topics.get(topic)
        place = held.places.get(record.signer) if held is not None else None
        if held is None or place is None:
            made = self._new_place(topic, record.signer, group, now)
            if isinstance(made, PutStatus):
                return made
            held, place = self._topics[topic], made
        elif place.group != group and self._lives_in(announcement, group):
            self._move(held, topic, record.signer, group)
        return self._renew(held, place, record, now)

    def page(self, topic: bytes, seed: int, room_bytes: int, skip: int, wall: int) -> Page:
        """As many envelopes of `topic` as fit `room_bytes`, after the first `skip` of the order that `seed` gives."""
        held = self._topics.get(topic)
        if held is None:
            return Page((), 0, full=False)
        envelopes: list[bytes] = []
        for place in self._listing(held, seed, skip):
            envelope = place.envelope
            if envelope is None or place.expires <= wall:
                continue
            room_bytes -= len(envelope) + ENVELOPE_HEAD
            if room_bytes < 0:
                break
            envelopes.append(envelope)
        return Page(tuple(envelopes), held.listed, full=len(held.places) >= FULL_FROM)

    def sweep(self, now: float, wall: int) -> None:
        """Drop what has expired and what was not refreshed; call it about once a minute."""
        for topic, held in list(self._topics.items()):
            for publisher, place in list(held.places.items()):
                if place.envelope is not None and (place.expires <= wall or place.held_until <= now):
                    place.envelope = None
                    held.listed -= 1
                    held.rounds = None
                if place.withdrawn:
                    place.withdrawn = {name: mark for name, mark in place.withdrawn.items() if mark[1] > wall}
                if place.envelope is None and not place.withdrawn:
                    self._remove(topic, publisher)

    def _new_place(self, topic: bytes, publisher: bytes, group: bytes, now: float) -> _Place | PutStatus:
        """A place for a publisher who has none under `topic`, or why not."""
        if self._publishers.get(publisher, 0) >= limits.PUBLISHER_RECORDS:
            return PutStatus.QUOTA
        held = self._topics.get(topic)
        if self._groups.size(group) >= limits.GROUP_RECORDS:
            return PutStatus.QUOTA
        if held is not None and held.groups.size(group) >= limits.GROUP_TOPIC_RECORDS:
            return PutStatus.QUOTA
        if held is not None and len(held.places) >= limits.TOPIC_RECORDS and not self._make_room_in(topic, group):
            return PutStatus.FULL
        if self._count >= limits.NODE_RECORDS and not self._make_room(group):
            return PutStatus.FULL
        held = self._topics.setdefault(topic, _Topic())  # making room may have dropped it
        self._arrivals += 1
        place = _Place(group, self._arrivals, now + limits.HELD_SECONDS)
        held.add(publisher, place)
        self._count_in(topic, publisher, group)
        self._publishers[publisher] = self._publishers.get(publisher, 0) + 1
        self._count += 1
        return place

    def _lives_in(self, announcement: records.Announcement, group: bytes) -> bool:
        """Whether a direct route of the announcement leads into `group`."""
        addresses = map(records.route_address, announcement.routes)
        return any(self._network.group(*address) == group for address in addresses if address is not None)

    def _move(self, held: _Topic, topic: bytes, publisher: bytes, group: bytes) -> None:
        """Count a place for the group its publisher lives in, not for whoever passed the record on first."""
        if held.groups.size(group) >= limits.GROUP_TOPIC_RECORDS or self._groups.size(group) >= limits.GROUP_RECORDS:
            return
        place = held.remove(publisher)
        self._count_out(topic, publisher, place.group)
        place.group = group
        held.add(publisher, place)
        self._count_in(topic, publisher, group)
        held.rounds = None

    def _count_in(self, topic: bytes, publisher: bytes, group: bytes) -> None:
        self._groups.change(group, 1)
        self._comers.setdefault(group, {})[topic, publisher] = None

    def _count_out(self, topic: bytes, publisher: bytes, group: bytes) -> None:
        self._groups.change(group, -1)
        comers = self._comers[group]
        del comers[topic, publisher]
        if not comers:
            del self._comers[group]

    def _renew(self, held: _Topic, place: _Place, record: records.Record, now: float) -> PutStatus:
        """Let `record` have its say in the place of its publisher."""
        announcement = record.announcement
        version = (announcement.epoch, announcement.seq)
        mark = place.withdrawn.get(announcement.category)
        if mark is not None and version <= mark[0]:
            return PutStatus.STORED if announcement.withdrawn and version == mark[0] else PutStatus.STALE
        same = place.envelope is not None and place.category == announcement.category
        if same and version < place.version:
            return PutStatus.STALE
        if announcement.withdrawn:
            return self._withdraw(held, place, announcement)
        if same and version == place.version and place.envelope != record.envelope:
            return PutStatus.STALE  # two records of one number: the first one seen stays
        if place.envelope is not None and not same and place.category < announcement.category:
            return PutStatus.STALE
        if place.envelope is None:
            held.listed += 1
        place.withdrawn.pop(announcement.category, None)
        place.envelope, place.category = record.envelope, announcement.category
        place.version, place.expires = version, announcement.expires
        place.held_until = now + limits.HELD_SECONDS
        held.rounds = None
        return PutStatus.STORED

    def _withdraw(self, held: _Topic, place: _Place, announcement: records.Announcement) -> PutStatus:
        """Stop listing the announcement and remember it until it would have expired."""
        if place.envelope is not None and place.category == announcement.category:
            place.envelope = None
            held.listed -= 1
            held.rounds = None
        if announcement.category not in place.withdrawn and len(place.withdrawn) >= limits.WITHDRAWN_PER_PUBLISHER:
            del place.withdrawn[min(place.withdrawn, key=lambda name: place.withdrawn[name][1])]
        place.withdrawn[announcement.category] = ((announcement.epoch, announcement.seq), announcement.expires)
        return PutStatus.STORED

    def _make_room_in(self, topic: bytes, group: bytes) -> bool:
        """Drop one place of a full topic for a newcomer of `group`; False if his own group is the one to suffer."""
        held = self._topics[topic]
        size = held.groups.size(group) + 1
        if size > held.groups.largest:
            return False
        crowded = [*held.groups.of_size(held.groups.largest)]
        if size == held.groups.largest:
            crowded.append(group)
        victim = max(crowded, key=self._rank)
        if victim == group:
            return False
        self._remove(topic, next(reversed(held.members[victim])))
        return True

    def _make_room(self, group: bytes) -> bool:
        """Drop one place of a full node: the last comer of a group that holds most."""
        if self._groups.size(group) + 1 >= self._groups.largest:
            return False
        victim = next(iter(self._groups.of_size(self._groups.largest)))
        self._remove(*next(reversed(self._comers[victim])))
        return True

    def _remove(self, topic: bytes, publisher: bytes) -> None:
        held = self._topics[topic]
        place = held.remove(publisher)
        if place.envelope is not None:
            held.listed -= 1
        held.rounds = None
        if not held.places:
            del self._topics[topic]
        self._count_out(topic, publisher, place.group)
        left = self._publishers[publisher] - 1
        if left:
            self._publishers[publisher] = left
        else:
            del self._publishers[publisher]
        self._count -= 1

    def _rank(self, group: bytes) -> bytes:
        """The place of a group in this node's secret order."""
        rank = self._ranks.get(group)
        if rank is None:
            if len(self._ranks) >= _RANKS_KEPT:
                self._ranks.clear()
            rank = self._ranks[group] = hashlib.blake2b(group, key=self._secret, digest_size=8).digest()
        return rank

    def _listing(self, held: _Topic, seed: int, skip: int) -> Iterator[_Place]:
        """The listed places in the reader's order, from the one after the first `skip`."""
        if held.rounds is None:
            held.rounds = self._rounds(held)
        for places in held.rounds:
            if skip >= len(places):
                skip -= len(places)
                continue
            start = seed % len(places)
            for at in range(skip, len(places)):
                yield places[(start + at) % len(places)]
            skip = 0

    def _rounds(self, held: _Topic) -> list[list[_Place]]:
        """First one place of each group, then a second of each, ...; within a round in this node's secret order."""
        rounds: list[list[_Place]] = []
        for group in sorted(held.members, key=self._rank):
            listed = [held.places[publisher] for publisher in held.members[group]]
            for number, place in enumerate(place for place in listed if place.envelope is not None):
                if number == len(rounds):
                    rounds.append([])
                rounds[number].append(place)
        return rounds
