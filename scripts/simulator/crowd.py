"""What scenarios do with a world: let a crowd join, look things up, publish, read, kill, and count.

A `Crowd` owns the world's events: whoever starts an operation gets its end by the operation's number.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random

from p2pmarket.dht.contact import Contact
from p2pmarket.dht.events import Event, GetDone, Joined, LookupDone, PutDone, RecordsFound
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
    asked: int = 0
    hops: int = 0


@dataclass(slots=True)
class Get:
    """One category read: publishers found, when the first came, when it was done."""

    member: Member
    started: float
    first: float | None = None
    ended: float | None = None
    asked: int = 0
    found: set[bytes] = field(default_factory=set)


@dataclass(slots=True)
class Putting:
    """Puts of one member that are under way, and what to do after the last."""

    left: int
    after: Callable[[], None]


class Crowd:
    """Nodes that joined one after the other, and the operations they run."""

    def __init__(self, world: World, *, talk: bool = True) -> None:
        self.world = world
        self.rng: Random = world.rng("crowd")
        self.joined: set[int] = set()
        self._talk = talk
        self._running: dict[tuple[int, int], Lookup | Get] = {}
        self._puts: dict[tuple[int, int], Putting] = {}
        world.on_event = self._on_event

    def say(self, text: str) -> None:
        """Progress, on stderr."""
        if self._talk:
            print(f"[{self.world.now:8.1f} s] {text}", file=sys.stderr, flush=True)

    def join(self, count: int) -> None:
        """Let `count` nodes join, then a minute pass."""
        start = self.world.now
        for number in range(count):
            self.world.call_at(start + number / JOINS_PER_SECOND, self._join_one)
        end = start + count / JOINS_PER_SECOND
        while self.world.now < end:
            self.world.run_until(min(end, self.world.now + 10))
            self.say(f"{len(self.world.members)} of {count} nodes started, {self.world.tally.sent} datagrams")
        self.world.run_until(end + SETTLE_SECONDS)
        self.say(f"{len(self.joined)} of {count} nodes joined, {self.world.tally.sent} datagrams")

    def _join_one(self) -> None:
        self.join_one()

    def join_one(self, *, reachable: bool = True) -> Member:
        """One more node, told of three of the first ones; a client if it is not reachable."""
        member = self.world.add(reachable=reachable)
        seeds = [seed for seed in self.world.members[:BOOTSTRAPS] if seed.alive and seed is not member]
        chosen = self.rng.sample(seeds, min(3, len(seeds)))
        member.node.bootstrap([self.world.contact(seed) for seed in chosen], self.world.now)
        self.world.flush(member)
        return member

    def kill(self, share: float) -> None:
        """End `share` of the living nodes at once."""
        living = self.world.living()
        for member in self.rng.sample(living, round(share * len(living))):
            self.world.kill(member)
        self.say(f"{len(self.world.living())} of {len(living)} nodes are left")

    def lookups(self, count: int, *, spread: float = 2.0) -> list[Lookup]:
        """`count` lookups of random keys, begun within `spread` seconds, each from another node if possible."""
        askers = self.some(count)
        found: list[Lookup] = []
        for number, member in enumerate(askers):
            target = self.rng.randbytes(32)
            when = self.world.now + spread * number / count
            self.world.call_at(when, partial(self._look_up, found, member, target))
        self._run_until_done(spread + 60, found, count)
        return found

    def gets(
        self,
        count: int,
        topics: Sequence[bytes],
        want: int,
        *,
        spread: float = 2.0,
        readers: list[Member] | None = None,
    ) -> list[Get]:
        """`count` reads of `topics` by random nodes, or by `readers`."""
        found: list[Get] = []
        for number, member in enumerate(readers or self.some(count)):
            when = self.world.now + spread * number / count
            self.world.call_at(when, partial(self._get, found, member, topics, want))
        self._run_until_done(spread + 60, found, count)
        return found

    def after_puts(self, member: Member, puts: Sequence[int], act: Callable[[], None]) -> None:
        """Call `act` when all these puts of `member` are done."""
        putting = Putting(len(puts), act)
        self._puts.update({(member.index, put): putting for put in puts})

    def nearest(self, target: bytes, count: int) -> set[bytes]:
        """The keys of the `count` living nodes nearest to `target`."""
        wanted = int.from_bytes(target, "big")
        contacts = self.world.contacts()
        contacts.sort(key=lambda contact: contact.long_id ^ wanted)
        return {contact.public for contact in contacts[:count]}

    def nodes(self) -> list[Member]:
        """The living that are nodes as they should be."""
        return [member for member in self.world.members if member.alive and member.honest]

    def some(self, count: int) -> list[Member]:
        """Random living nodes, as different as can be."""
        living = self.nodes()
        chosen: list[Member] = []
        while len(chosen) < count:
            chosen += self.rng.sample(living, min(count - len(chosen), len(living)))
        return chosen

    def _look_up(self, begun: list[Lookup], member: Member, target: bytes) -> None:
        lookup = Lookup(member, target, self.world.now)
        begun.append(lookup)
        self._begin(member, member.node.start_lookup(target, self.world.now), lookup)

    def _get(self, begun: list[Get], member: Member, topics: Sequence[bytes], want: int) -> None:
        get = Get(member, self.world.now)
        begun.append(get)
        self._begin(member, member.node.start_get(topics, want, self.world.now), get)

    def _begin(self, member: Member, number: int, operation: Lookup | Get) -> None:
        self._running[member.index, number] = operation
        self.world.flush(member)

    def _run_until_done(self, patience: float, operations: Sequence[Lookup | Get], count: int) -> None:
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
        elif isinstance(event, PutDone):
            putting = self._puts.pop((member.index, event.put), None)
            if putting is not None:
                putting.left -= 1
                if not putting.left:
                    self.world.call_at(now, putting.after)
        elif isinstance(event, LookupDone):
            lookup = self._running.pop((member.index, event.lookup), None)
            if isinstance(lookup, Lookup):
                lookup.ended, lookup.contacts = now, tuple(event.contacts)
                lookup.asked, lookup.hops = event.asked, event.hops
        elif isinstance(event, GetDone):
            get = self._running.pop((member.index, event.get), None)
            if isinstance(get, Get):
                get.ended, get.asked = now, event.asked
