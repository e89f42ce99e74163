"""Lookups on the network: a `Lookup` decides whom to ask, a `Search` asks and hands it the answers.

A search ends when its lookup does or after ten seconds, whichever comes first; what it has found by then is the
result. In the last four of them nobody is asked whom others only named, which leaves time for those known to live.
`Get` and `Put` are searches that do more with each answer.

On its way to a region a search asks nodes that have nothing to do with what it looks for. They are asked for a random
point of the region, so that only those near the key learn it; the contacts they name are as good.

A search for a region that turns out to be crowded looks around in it before it chooses whom to ask: those who crowd a
key stand nearer to it than all others and fill the answers to a question for it. So it looks up one random point in
each of the halves of the region, of its quarters, and so on, which the key does not lie in: honest nodes stand there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

from p2pmarket import limits, messages
from p2pmarket.dht.calls import Call, Owner
from p2pmarket.dht.contact import Contact
from p2pmarket.dht.events import Event
from p2pmarket.dht.lookup import Candidate, Lookup
from p2pmarket.dht.region import SPACE, NetworkSize
from p2pmarket.dht.timers import Timer
from p2pmarket.network import Network

if TYPE_CHECKING:
    from random import Random

FAR = 4  # regions; nothing is kept from farther away
_LOOKS = 4  # points looked up around a crowded key; the last one covers a sixteenth of the region
_LOOK_SECONDS = 2.0  # for each of them: liars may send a look on a long way, but not keep what it has found


class Host(Protocol):
    """What a search needs of its node."""

    network: Network
    rng: Random
    size: NetworkSize

    contact: Contact | None

    @property
    def known(self) -> int: ...
    def starting_points(self, target: int, count: int) -> list[Contact]: ...
    def group_of(self, contact: Contact) -> bytes: ...
    def contacts_in(self, packed: bytes) -> list[Contact]: ...
    def ask(
        self, contact: Contact, kind: type[messages.Request], fields: tuple[object, ...], owner: Owner, subject: object,
        now: float,
    ) -> bool: ...  # fmt: skip
    def at(self, moment: float, act: Callable[[float], None]) -> Timer: ...
    def emit(self, event: Event) -> None: ...
    def bad_record(self) -> None: ...
    def wall(self, now: float) -> int: ...


class Search:
    """A search for the live nodes nearest to `target`; `on_done(search, now)` is called once at its end."""

    def __init__(
        self,
        host: Host,
        target: bytes,
        now: float,
        on_done: Callable[[Search, float], None],
        *,
        more: Iterable[Contact] = (),
        region: bool = False,
        size: int = limits.BUCKET_CONTACTS,
        wide: int = 1,
    ) -> None:
        """`more`: contacts to begin with besides the table's; `region`: the goal is the region, not the k nearest.

        `wide`: how many times the region, and of a crowded one how many times as many nodes.
        """
        self.host = host
        self.target = target
        self.over = False
        self._on_done = on_done
        long_target = int.from_bytes(target, "big")
        radius = min(host.size.radius(host.known) * wide, SPACE - 1) if region else 0
        if region and host.size.size(host.known) <= limits.SMALL_NETWORK:
            size = limits.REGION_ASKED
        self.lookup = Lookup(
            long_target,
            {contact.packed: contact for contact in (*host.starting_points(long_target, size), *more)}.values(),
            host.group_of,
            size=size,
            near=host.size.near(size, host.known),
            radius=radius,
            cap=limits.REGION_ASKED * wide,
            draw=host.rng.random,
        )
        self._region = region
        self._blurred = (long_target ^ host.rng.randrange(self.lookup.radius + 1)).to_bytes(32, "big")
        self._looks: list[Search] = []  # around a crowded key
        if host.contact is not None:
            self.lookup.drop(host.contact)
        self._deadline = host.at(now + limits.LOOKUP_SECONDS - limits.LOOKUP_CLOSING_SECONDS, self._close)

    def start(self, now: float) -> None:
        """Ask the first contacts; with nobody to ask the search is over at once."""
        self.pump(now)

    def answered(self, call: Call, answer: messages.Answer, now: float) -> None:
        """An answer to a query of this search."""
        if self.over:
            return
        candidate = call.subject
        if isinstance(candidate, Candidate) and isinstance(answer, (messages.Found, messages.Got)):
            self.lookup.answered(candidate, self.host.contacts_in(answer.contacts))
            self.take(candidate, answer, now)
        self.pump(now)

    def slow(self, call: Call, now: float) -> None:
        """A query of this search takes long."""
        if not self.over and isinstance(call.subject, Candidate):
            self.lookup.slow(call.subject)
            self.pump(now)

    def failed(self, call: Call, now: float) -> None:
        """A query of this search was never answered."""
        if not self.over and isinstance(call.subject, Candidate):
            self.lookup.failed(call.subject)
            self.pump(now)

    def pump(self, now: float) -> None:
        """Ask whomever the lookup wants to ask now, and see whether that was all."""
        if self._region and not self._looks and not self.over and self.lookup.crowded():
            self._look_around(now)
        while not self.over and (room := self.room()) and (queries := self.lookup.next_queries(room)):
            refused = [candidate for candidate in queries if not self.query(candidate, now)]
            for candidate in refused:
                self.lookup.failed(candidate)
            if not refused:
                break
        if not self.over and self.lookup.done:
            self.settled(now)
        if not self.over and self.is_over():
            self.end(now)

    def end(self, now: float) -> None:
        """Stop here."""
        if self.over:
            return
        self.over = True
        self._deadline.cancel()
        for look in self._looks:
            look.end(now)
        if self.lookup.done and not self._looks:
            self._measure()
        self._on_done(self, now)

    # What kinds of searches do differently.

    def query(self, candidate: Candidate, now: float) -> bool:
        """Ask one candidate; False if that is not possible."""
        target = self._blurred if self.far(candidate) else self.target
        return self.host.ask(candidate.contact, messages.Find, (target,), self, candidate, now)

    def room(self) -> int:
        """How many may be asked now."""
        return limits.LOOKUP_QUERIES

    def take(self, candidate: Candidate, answer: messages.Found | messages.Got, now: float) -> None:
        """More to do with an answer than to learn contacts."""

    @property
    def besieged(self) -> bool:
        """Whether the region is so crowded that only some of it is asked: then no holder has what all hold."""
        return bool(self._looks)

    def settled(self, now: float) -> None:
        """The goal of the lookup is reached; this may be said more than once."""

    def is_over(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self.lookup.done

    def far(self, candidate: Candidate) -> bool:
        """Whether a candidate stands where nothing can be kept, so that it need not know what is looked for."""
        return self._region and candidate.distance > FAR * self.lookup.radius

    def _close(self, now: float) -> None:
        """Time is running out: make do with those found so far."""
        self._deadline = self.host.at(now + limits.LOOKUP_CLOSING_SECONDS, self.end)
        self.lookup.closing = True
        for look in self._looks:
            look.end(now)
        self.lookup.waiting = False
        self.pump(now)

    def _look_around(self, now: float) -> None:
        """Look up points of the region on other sides than the key's."""
        self.lookup.waiting = True
        self.lookup.beware()
        top = self.lookup.radius.bit_length() - 1
        for bit in range(top, max(top - _LOOKS, 0), -1):
            width = min(1 << bit, self.lookup.radius - (1 << bit) + 1)
            point = self.lookup.target ^ (1 << bit) ^ self.host.rng.randrange(width)
            look = Search(self.host, point.to_bytes(32, "big"), now, self._looked)
            look.lookup.beware()
            self._looks.append(look)
            self.host.at(now + _LOOK_SECONDS, look.end)
        for look in self._looks:
            look.start(now)

    def _looked(self, look: Search, now: float) -> None:
        """One look has ended; the search goes on with what all have found."""
        if self.over:
            return
        self.lookup.offer(look.lookup.alive())
        if all(other.over for other in self._looks):
            self.lookup.waiting = False
            self.pump(now)

    def _measure(self) -> None:
        """Learn from the spacing of the nodes found how large the network is."""
        lookup = self.lookup
        distances = [contact.long_id ^ lookup.target for contact in lookup.nearest()]
        exact = len(distances) < lookup.size
        self.host.size.seen(lookup.target, distances if exact else distances[: limits.BUCKET_CONTACTS], exact=exact)
