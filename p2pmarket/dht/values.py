"""What this node keeps for others: announcements under topics, with quotas that a flood cannot turn against sellers.

Rules. A record is kept only if its signature and times hold and the topic is one of its own. Under a key (a topic, or
a shard of it) a publisher has one place. In it the newest (epoch, seq) of an announcement wins; an equal one only shows
that the publisher is still there. If two announcements of one seller meet under a common ancestor, the one that comes
first by category text is listed, whatever the order of arrival. A withdrawn announcement leaves a mark until it would
have expired, so that nobody brings it back. Records are dropped when they expire or were not refreshed for two hours.

Quotas count places: per publisher, per group (a /24 or /48) and key, per group, per key and in all. A place counts for
the group from which it was put, or for the one its publisher's routes name, once he puts it from there. What was
stored is not thrown out by a newcomer of its own group. A full key, or a full node, makes room by dropping the last
comer of the group that holds most, but only for a newcomer whose group holds at least two less. So a flood from one
address, or from two hundred subnets, competes with itself, and nobody who is the only one of his subnet is dropped
for another without being told. (OpenDHT drops the oldest value of the address that holds most bytes; this is the same
idea without the age.)

If more groups come than there are places, each has its turn: a holder takes those groups whose secret rank lies within
a window as wide as its places suffice, and the window moves on every hour. Whoever's turn is over is refused when he
refreshes. All windows differ, so twenty holders keep twenty different samples, none of them a first-come one. Whoever
is refused hears how large the crowd is, and goes to a shard of the topic besides (`shards`).

Readers get pages: one record of each group, then a second of each, and so on; within a round the order is a secret
one and the reader's seed says where in it he begins. No publisher can buy page one.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from heapq import nsmallest
from typing import TYPE_CHECKING, Final

from p2pmarket import limits, records
from p2pmarket.dht import filing, shards, topics
from p2pmarket.dht.crowd import Crowd
from p2pmarket.dht.places import Groups, Place, Shelf
from p2pmarket.errors import BadMessage
from p2pmarket.network import Network

if TYPE_CHECKING:
    from random import Random

ENVELOPE_HEAD: Final = 3  # CBOR head of a byte string of 256 to 65,535 bytes, which a page pays for each envelope
_RANKS_KEPT: Final = 8192  # groups whose place in the secret order is remembered
_SCALE: Final = 1 << 64  # of ranks
_GOLDEN: Final = 0x9E3779B97F4A7C15  # of that scale: by so much the window moves, and never comes back soon
_SAMPLED: Final = limits.TOPIC_RECORDS * 9 // 10  # places that a window should fill, for its estimate may be off


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
    """Envelopes for one reader; `total` is what the key lists in all, `crowd` how many publishers came to it."""

    envelopes: tuple[bytes, ...]
    total: int
    crowd: int


class Values:
    """All records that this node keeps. `now` is monotonic seconds, `wall` UTC seconds."""

    def __init__(
        self,
        network: Network,
        rng: Random,
        secrets: Callable[[int], bytes],
        read_record: Callable[[bytes, Network, int], records.Record] = filing.record_untrusted,
    ) -> None:
        """`read_record`: the record in an envelope, if it holds; raises BadMessage."""
        self._network = network
        self._read_record = read_record
        self._rng = rng
        self._secret = secrets(32)
        self._shelves: dict[bytes, Shelf] = {}  # by key
        self._groups = Groups()
        self._ranks: dict[bytes, int] = {}
        self._comers: dict[bytes, dict[tuple[bytes, bytes], None]] = {}  # (key, publisher) by group, last comer last
        self._publishers: dict[bytes, int] = {}
        self._count = 0
        self._arrivals = 0

    def __len__(self) -> int:
        """Places in use."""
        return self._count

    def held(self, key: bytes) -> int:
        """Records listed under `key`."""
        return self._shelves[key].listed if key in self._shelves else 0

    def crowd(self, key: bytes) -> int:
        """How many publishers came to `key` within the hour, about."""
        return self._shelves[key].size() if key in self._shelves else 0

    def nearest_keys(self, target: int, skip: int, count: int) -> list[tuple[bytes, int]]:
        """`count` of the keys held, those nearest to `target`, after the first `skip`: topic and number of shard."""
        if skip >= len(self._shelves):
            return []
        near = nsmallest(skip + count, self._shelves, key=lambda key: int.from_bytes(key, "big") ^ target)
        return [(self._shelves[key].topic, self._shelves[key].number) for key in near[skip:]]

    def keys(self) -> Collection[bytes]:
        """The keys under which something is held."""
        return self._shelves.keys()

    def put(
        self, topic: bytes, envelope: bytes, group: bytes, now: float, wall: int, number: int = shards.WHOLE
    ) -> PutStatus:
        """Keep `envelope` in shard `number` of `topic` for a publisher whose proven address is of `group`.

        That the shard is the group's is the caller's to see to. Never raises.
        """
        try:
            record = self._read_record(envelope, self._network, wall)
        except BadMessage:
            return PutStatus.BAD
        return self._keep(topic, number, record, group, now, wall)

    def take_over(self, topic: bytes, number: int, envelope: bytes, group: bytes, now: float, wall: int) -> PutStatus:
        """Keep what a neighbour of `group` holds, until two hours after it was signed. Never raises.

        It counts for the group of its publisher's route, which is only claimed, and without one for the neighbour's.
        """
        try:
            record = self._read_record(envelope, self._network, wall)
        except BadMessage:
            return PutStatus.BAD
        left = record.announcement.issued + limits.HELD_SECONDS - wall
        key = shards.key_of(self._network, topic, number)
        found = self._shelves.get(key)
        if left <= 0 or (found is not None and record.signer in found.places):
            return PutStatus.STALE
        addresses = map(records.route_address, record.announcement.routes)
        groups = [self._network.group(*address) for address in addresses if address is not None]
        status = self._keep(topic, number, record, groups[0] if groups else group, now, wall)
        if status is PutStatus.STORED:
            place = self._shelves[key].places[record.signer]
            place.held_until = min(place.held_until, now + left)
        return status

    def hint(self, key: bytes, crowd: int, now: float) -> None:
        """A neighbour says how large the crowd under `key` is."""
        if key in self._shelves:
            self._shelves[key].hint(crowd, now + limits.CROWD_SECONDS)

    def _keep(
        self, topic: bytes, number: int, record: records.Record, group: bytes, now: float, wall: int
    ) -> PutStatus:
        announcement = record.announcement
        if not topics.belongs(self._network, announcement, topic, wall):
            return PutStatus.BAD
        key = shards.key_of(self._network, topic, number)
        held = self._shelves.get(key)
        if held is None:
            held = Shelf(topic, number)
        else:
            self._came(held, group, record.signer, now)
        place = held.places.get(record.signer)
        if place is None:
            made = self._new_place(key, held, record.signer, group, now, wall)
            if isinstance(made, PutStatus):
                return made
            place = made
        elif place.group != group and self._lives_in(announcement, group):
            self._move(held, key, record.signer, group)
        elif not place.withdrawn and not announcement.withdrawn and not self._has_turn(held, place.group, wall):
            self._remove(key, record.signer)
            return PutStatus.FULL
        return self._renew(held, place, record, now)

    def _came(self, held: Shelf, group: bytes, publisher: bytes, now: float) -> None:
        """Count who comes, once there are more than a few."""
        if held.crowd is None:
            if len(held.places) < limits.CROWD_GROUPS:
                return
            held.crowd = Crowd(now)
            for name, place in held.places.items():
                held.crowd.came(self._rank(place.group), int.from_bytes(name[:4], "big"), now)
        held.crowd.came(self._rank(group), int.from_bytes(publisher[:4], "big"), now)

    def _has_turn(self, held: Shelf, group: bytes, wall: int) -> bool:
        """Whether `group` is among those that are kept this hour; all are while there is a place for each."""
        groups = held.crowd.groups() if held.crowd is not None else 0
        if groups <= _SAMPLED:
            return True
        hour = wall // limits.CROWD_SECONDS
        return (self._rank(group) + hour * _GOLDEN) % _SCALE < _SAMPLED * _SCALE // groups

    def page(self, key: bytes, seed: int, room_bytes: int, skip: int, wall: int) -> Page:
        """As many envelopes under `key` as fit `room_bytes`, after the first `skip` of the order that `seed` gives."""
        held = self._shelves.get(key)
        if held is None:
            return Page((), 0, 0)
        envelopes: list[bytes] = []
        for place in self._listing(held, seed, skip):
            envelope = place.envelope
            if envelope is None or place.expires <= wall:
                continue
            room_bytes -= len(envelope) + ENVELOPE_HEAD
            if room_bytes < 0:
                break
            envelopes.append(envelope)
        return Page(tuple(envelopes), held.listed, held.size())

    def sweep(self, now: float, wall: int) -> None:
        """Drop what has expired and what was not refreshed; call it about once a minute."""
        for key, held in list(self._shelves.items()):
            held.pass_time(now)
            for publisher, place in list(held.places.items()):
                if place.envelope is not None and (place.expires <= wall or place.held_until <= now):
                    place.envelope = None
                    held.listed -= 1
                    held.rounds = None
                if place.withdrawn:
                    place.withdrawn = {name: mark for name, mark in place.withdrawn.items() if mark[1] > wall}
                if place.envelope is None and not place.withdrawn:
                    self._remove(key, publisher)

    def _new_place(
        self, key: bytes, held: Shelf, publisher: bytes, group: bytes, now: float, wall: int
    ) -> Place | PutStatus:
        """A place for a publisher who has none under `key`, or why not."""
        if self._publishers.get(publisher, 0) >= limits.PUBLISHER_RECORDS:
            return PutStatus.QUOTA
        if self._groups.size(group) >= limits.GROUP_RECORDS or held.groups.size(group) >= limits.GROUP_TOPIC_RECORDS:
            return PutStatus.QUOTA
        if not self._has_turn(held, group, wall):
            return PutStatus.FULL
        if len(held.places) >= limits.TOPIC_RECORDS and not self._make_room_in(key, group):
            return PutStatus.FULL
        if self._count >= limits.NODE_RECORDS and not self._make_room(group):
            return PutStatus.FULL
        self._shelves[key] = held  # it is new, or making room has emptied it
        self._arrivals += 1
        place = Place(group, self._arrivals, now + limits.HELD_SECONDS)
        held.add(publisher, place)
        self._count_in(key, publisher, group)
        self._publishers[publisher] = self._publishers.get(publisher, 0) + 1
        self._count += 1
        return place

    def _lives_in(self, announcement: records.Announcement, group: bytes) -> bool:
        """Whether a direct route of the announcement leads into `group`."""
        addresses = map(records.route_address, announcement.routes)
        return any(self._network.group(*address) == group for address in addresses if address is not None)

    def _move(self, held: Shelf, key: bytes, publisher: bytes, group: bytes) -> None:
        """Count a place for the group its publisher lives in, not for whoever passed the record on first."""
        if held.groups.size(group) >= limits.GROUP_TOPIC_RECORDS or self._groups.size(group) >= limits.GROUP_RECORDS:
            return
        place = held.remove(publisher)
        self._count_out(key, publisher, place.group)
        place.group = group
        held.add(publisher, place)
        self._count_in(key, publisher, group)
        held.rounds = None

    def _count_in(self, key: bytes, publisher: bytes, group: bytes) -> None:
        self._groups.change(group, 1)
        self._comers.setdefault(group, {})[key, publisher] = None

    def _count_out(self, key: bytes, publisher: bytes, group: bytes) -> None:
        self._groups.change(group, -1)
        comers = self._comers[group]
        del comers[key, publisher]
        if not comers:
            del self._comers[group]

    def _renew(self, held: Shelf, place: Place, record: records.Record, now: float) -> PutStatus:
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

    def _withdraw(self, held: Shelf, place: Place, announcement: records.Announcement) -> PutStatus:
        """Stop listing the announcement and remember it until it would have expired."""
        if place.envelope is not None and place.category == announcement.category:
            place.envelope = None
            held.listed -= 1
            held.rounds = None
        if announcement.category not in place.withdrawn and len(place.withdrawn) >= limits.WITHDRAWN_PER_PUBLISHER:
            del place.withdrawn[min(place.withdrawn, key=lambda name: place.withdrawn[name][1])]
        place.withdrawn[announcement.category] = ((announcement.epoch, announcement.seq), announcement.expires)
        return PutStatus.STORED

    def _make_room_in(self, key: bytes, group: bytes) -> bool:
        """Drop one place of a full key for a newcomer of `group`; False if no group holds two more than his."""
        held = self._shelves[key]
        if held.groups.size(group) + 1 >= held.groups.largest:
            return False
        victim = max(held.groups.of_size(held.groups.largest), key=self._rank)
        self._remove(key, next(reversed(held.members[victim])))
        return True

    def _make_room(self, group: bytes) -> bool:
        """Drop one place of a full node: the last comer of a group that holds most."""
        if self._groups.size(group) + 1 >= self._groups.largest:
            return False
        victim = next(iter(self._groups.of_size(self._groups.largest)))
        self._remove(*next(reversed(self._comers[victim])))
        return True

    def _remove(self, key: bytes, publisher: bytes) -> None:
        held = self._shelves[key]
        place = held.remove(publisher)
        if place.envelope is not None:
            held.listed -= 1
        held.rounds = None
        if not held.places:
            del self._shelves[key]
        self._count_out(key, publisher, place.group)
        left = self._publishers[publisher] - 1
        if left:
            self._publishers[publisher] = left
        else:
            del self._publishers[publisher]
        self._count -= 1

    def _rank(self, group: bytes) -> int:
        """The place of a group in this node's secret order."""
        rank = self._ranks.get(group)
        if rank is None:
            if len(self._ranks) >= _RANKS_KEPT:
                self._ranks.clear()
            digest = hashlib.blake2b(group, key=self._secret, digest_size=8).digest()
            rank = self._ranks[group] = int.from_bytes(digest, "big")
        return rank

    def _listing(self, held: Shelf, seed: int, skip: int) -> Iterator[Place]:
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

    def _rounds(self, held: Shelf) -> list[list[Place]]:
        """First one place of each group, then a second of each, ...; within a round in this node's secret order."""
        rounds: list[list[Place]] = []
        for group in sorted(held.members, key=self._rank):
            listed = [held.places[publisher] for publisher in held.members[group]]
            for number, place in enumerate(place for place in listed if place.envelope is not None):
                if number == len(rounds):
                    rounds.append([])
                rounds[number].append(place)
        return rounds
