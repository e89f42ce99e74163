"""What scenarios do with a world: let a crowd join, look things up, publish, read, kill, and count.

A `Crowd` owns the world's events: whoever starts an operation gets its end by the operation's number.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random

from p2pmarket import records
from p2pmarket.dht.contact import Contact
from p2pmarket.dht.events import Event, GetDone, Joined, LookupDone, PutDone, RecordsFound
from p2pmarket.keys import SigningKey
from p2pmarket.limits import RECORD_SECONDS
from simulator.world import Member, World

BOOTSTRAPS = 8  # the first nodes; every other one is told three of them
JOINS_PER_SECOND = 50.0
SETTLE_SECONDS = 60.0


@dataclass(slots=True)
class Lookup:
    """One lookup: who asked for what, when, and what came."""

    member: Member
    target: bytes
    started: float
    ended: float | None = None
    contacts: tuple[Contact, ...] = ()


@dataclass(slots=True)
class Get:
    """One category read: publishers found, when the first came, when it was done."""

    member: Member
    topic: bytes
    started: float
    first: float | None = None
    ended: float | None = None
    asked: int = 0
    found: set[bytes] = field(default_factory=set)


@dataclass(slots=True)
class Put:
    """One record given to its holders."""

    member: Member
    started: float
    ended: float | None = None
    stored: int = 0
    asked: int = 0


class Crowd:
    """Nodes that joined one after the other, and the operations they run."""

    def __init__(self, world: World, *, talk: bool = True) -> None:
        self.world = world
        self.rng: Random = world.rng("crowd")
        self.joined: set[int] = set()
        self._talk = talk
        self._running: dict[tuple[int, int], Lookup | Get | Put] = {}
        world.on_event = self._on_event

    def say(self, text: str) -> None:
        """Progress, on stderr."""
        if self._talk:
            print(f"[{self.world.now:8.1f} s] {text}", file=sys.stderr, flush=True)

    def join(self, count: int) -> None:
        """Let `count` nodes join, then a minute pass."""
        start = self.world.now
        for number in range(count):
            self.world.call_at(start + number / JOINS_PER_SECOND, self.join_one)
        end = start + count / JOINS_PER_SECOND
        while self.world.now < end:
            self.world.run_until(min(end, self.world.now + 10))
            self.say(f"{len(self.world.members)} of {count} nodes started, {self.world.tally.sent} datagrams")
        self.world.run_until(end + SETTLE_SECONDS)
        self.say(f"{len(self.joined)} of {count} nodes joined, {self.world.tally.sent} datagrams")

    def join_one(self) -> None:
        """One more node, told of three of the first ones."""
        member = self.world.add()
        seeds = [seed for seed in self.world.members[:BOOTSTRAPS] if seed.alive and seed is not member]
        chosen = self.rng.sample(seeds, min(3, len(seeds)))
        member.node.bootstrap([self.world.contact(seed) for seed in chosen], self.world.now)
        self.world.flush(member)

    def kill(self, share: float) -> None:
        """End `share` of the living nodes at once."""
        living = self.world.living()
        for member in self.rng.sample(living, round(share * len(living))):
            self.world.kill(member)
        self.say(f"{len(self.world.living())} of {len(living)} nodes are left")

    def lookups(self, count: int, *, spread: float = 2.0) -> list[Lookup]:
        """`count` lookups of random keys, begun within `spread` seconds, each from another node if possible."""
        askers = self._some(count)
        found: list[Lookup] = []
        for number, member in enumerate(askers):
            target = self.rng.randbytes(32)
            when = self.world.now + spread * number / count
            self.world.call_at(when, partial(self._look_up, found, member, target))
        self._run_until_done(spread + 60, found, count)
        return found

    def publish(self, topic: bytes, category: str, count: int) -> list[bytes]:
        """`count` sellers, each at another node, put their announcement; returns their keys."""
        puts: list[Put] = []
        sellers = self._some(count)
        keys: list[bytes] = []
        for member in sellers:
            record = announce(self.world, member, category, self.rng)
            keys.append(record.signer)
            puts.append(self._put(member, topic, record.envelope))
        self._run_until_done(60, puts, count)
        stored = [put.stored for put in puts]
        self.say(f"{count} sellers put their record, each on {min(stored)} to {max(stored)} nodes")
        return keys

    def gets(self, count: int, topic: bytes, want: int, *, spread: float = 2.0) -> list[Get]:
        """`count` reads of `topic` by random nodes."""
        found: list[Get] = []
        for number, member in enumerate(self._some(count)):
            when = self.world.now + spread * number / count
            self.world.call_at(when, partial(self._get, found, member, topic, want))
        self._run_until_done(spread + 60, found, count)
        return found

    def nearest(self, target: bytes, count: int) -> set[bytes]:
        """The keys of the `count` living nodes nearest to `target`."""
        wanted = int.from_bytes(target, "big")
        contacts = [self.world.contact(member) for member in self.world.living()]
        contacts.sort(key=lambda contact: contact.long_id ^ wanted)
        return {contact.public for contact in contacts[:count]}

    def _some(self, count: int) -> list[Member]:
        """Random living nodes, as different as can be."""
        living = self.world.living()
        chosen: list[Member] = []
        while len(chosen) < count:
            chosen += self.rng.sample(living, min(count - len(chosen), len(living)))
        return chosen

    def _look_up(self, begun: list[Lookup], member: Member, target: bytes) -> None:
        lookup = Lookup(member, target, self.world.now)
        begun.append(lookup)
        self._begin(member, member.node.start_lookup(target, self.world.now), lookup)

    def _get(self, begun: list[Get], member: Member, topic: bytes, want: int) -> None:
        get = Get(member, topic, self.world.now)
        begun.append(get)
        self._begin(member, member.node.start_get([topic], want, self.world.now), get)

    def _put(self, member: Member, topic: bytes, envelope: bytes) -> Put:
        put = Put(member, self.world.now)
        self._begin(member, member.node.start_put(topic, envelope, self.world.now), put)
        return put

    def _begin(self, member: Member, number: int, operation: Lookup | Get | Put) -> None:
        self._running[member.index, number] = operation
        self.world.flush(member)

    def _run_until_done(self, patience: float, operations: Sequence[Lookup | Get | Put], count: int) -> None:
        """Let time pass until all have ended, but no longer than `patience` seconds."""
        end = self.world.now + patience
        self.world.run_until(end, stop=lambda: not self._running and len(operations) == count)
        self._running.clear()

    def _on_event(self, member: Member, event: Event) -> None:
        now = self.world.now
        if isinstance(event, Joined):
            self.joined.add(member.index)
        elif isinstance(event, RecordsFound):
            get = self._running.get((member.index, event.get))
            if isinstance(get, Get):
                get.first = now if get.first is None else get.first
                get.found.update(record.signer for record in event.records)
        elif isinstance(event, LookupDone):
            lookup = self._running.pop((member.index, event.lookup), None)
            if isinstance(lookup, Lookup):
                lookup.ended, lookup.contacts = now, tuple(event.contacts)
        elif isinstance(event, GetDone):
            get = self._running.pop((member.index, event.get), None)
            if isinstance(get, Get):
                get.ended, get.asked = now, event.asked
        elif isinstance(event, PutDone):
            put = self._running.pop((member.index, event.put), None)
            if isinstance(put, Put):
                put.ended, put.stored, put.asked = now, event.stored, event.asked


def announce(world: World, member: Member, category: str, rng: Random) -> records.Record:
    """A fresh seller's announcement, reached at the member's address."""
    announcement = records.Announcement(
        epoch=0,
        seq=1,
        issued=world.wall,
        expires=world.wall + RECORD_SECONDS,
        category=category,
        regions=(records.WORLD,),
        located=None,
        name=f"Seller {member.index}",
        service_key=rng.randbytes(32),
        routes=(records.direct_route(*member.address),),
        versions=(1, 1),
        withdrawn=False,
    )
    return records.make_announcement(SigningKey.from_seed(rng.randbytes(32)), world.network, announcement)
