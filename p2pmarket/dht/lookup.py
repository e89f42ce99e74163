"""One lookup: a search for the nodes nearest to a target, as an object without a socket or a clock.

There are no rounds. The contacts known at the start are dealt to disjoint paths; whoever is named by an answer belongs
to the path that first named him, so a liar misleads only his own path (S/Kademlia, Baumgart and Mies 2007). Each path
asks its nearest contacts, a few at a time. A contact that stays silent for its soft time-out no longer holds a place
in flight, and the next one in the order is asked besides it; if it is among the best, it is asked once more, and if it
is silent again the lookup goes on as if it did not exist, though a late answer still counts.

Endgame: once the nearest contact known has answered, or as soon as all the best contacts known lie as near as the
nearest of the whole network should (its size is estimated), all the rest of the best are asked at once.

The goal is the `size` nearest live contacts, one per group, and whoever else lies within `radius` of the target, up
to `cap`. If more groups than that lie within the radius, somebody may have crowded it, and the nearest are the ones he
could choose: the goal is then a random choice of `cap` groups. The lookup is over when everybody in the goal has
answered.

A liar can name any number of contacts that do not exist and that stand nearer to the target than all who do. So whoever
names others vouches for them, together with all of his group: some of those he named may be under way or silent, few
once the target is found crowded, and one more for each that has answered. Whom nobody has room to vouch for is not
asked. Those who exist are named by many, and what a group of liars can use up are a few queries. Of each group of
contacts too only a few are remembered for each path.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum
from itertools import islice
from operator import attrgetter

from p2pmarket import limits
from p2pmarket.dht.contact import Contact
from p2pmarket.dht.region import SPACE

_distance = attrgetter("distance")

# Contacts of distinct groups that a sound region hardly ever has within this share (a power of two) of its radius:
# 20, 5, 1.25 and 0.3 are expected, twice as many while the network's size is not known well.
_CROWDED = ((0, limits.REGION_ASKED), (2, 20), (4, 10), (6, 8))


class State(IntEnum):
    """Where a candidate stands."""

    NEW = 0
    ASKED = 1
    SLOW = 2  # silent beyond the soft time-out, asked once more if it matters
    ANSWERED = 3
    SILENT = 4  # as good as dead; a late answer makes it ANSWERED


# Enum members are slow to reach through their class, and the loops below run for every answer.
_NEW, _ASKED, _SLOW, _ANSWERED, _SILENT = State


class Voucher:
    """A group that has named contacts: how many of them were asked and have not answered, and how many have."""

    __slots__ = ("answered", "open", "room", "turn")

    def __init__(self) -> None:
        self.open = 0
        self.answered = 0
        self.room = 0  # left in the present turn
        self.turn = 0

    def rest(self, most: int) -> int:
        """How many more it may vouch for."""
        return most + self.answered - self.open


class Candidate:
    """A contact that a lookup knows; `vouchers` are those who named it, None if it needs none."""

    __slots__ = ("asks", "contact", "distance", "group", "hop", "late", "path", "state", "voucher", "vouchers")

    def __init__(
        self, contact: Contact, distance: int, group: bytes, path: int, hop: int, vouchers: list[Voucher] | None
    ) -> None:
        self.contact = contact
        self.distance = distance
        self.group = group
        self.path = path
        self.hop = hop  # 1: known at the start; one more for each who had to name the next
        self.state = _NEW
        self.asks = 0
        self.late = False  # has been slow once
        self.vouchers = vouchers
        self.voucher: Voucher | None = None  # who vouches for it, once it was asked


class Lookup:
    """The search for `target` (an id as integer).

    `near`: the distance within which the network is expected to have `size` nodes, 0 if unknown; `radius`: everybody
    nearer than this belongs to the goal besides the `size` nearest; `group_of` tells a contact's group; `draw` gives a
    random number for the choice within a crowded radius (without it the nearest are chosen). While `waiting` is set,
    more contacts are to come by `offer`: the goal is not asked yet and the lookup is not over. Once `closing` is set
    nobody is asked whom others only named.
    """

    __slots__ = (
        "_candidates",
        "_distances",
        "_draw",
        "_flying",
        "_named",
        "_near",
        "_ranks",
        "_turn",
        "_unproven",
        "_vouchers",
        "_wide",
        "asked_count",
        "cap",
        "closing",
        "done",
        "group_of",
        "known",
        "radius",
        "size",
        "target",
        "waiting",
    )

    def __init__(
        self,
        target: int,
        contacts: Iterable[Contact],
        group_of: Callable[[Contact], bytes],
        *,
        size: int = limits.BUCKET_CONTACTS,
        near: int = 0,
        radius: int = 0,
        cap: int = limits.REGION_ASKED,
        draw: Callable[[], float] = float,
    ) -> None:
        self.target = target
        self.group_of = group_of
        self.size = size
        self.radius = radius
        self.cap = cap
        self.done = False
        self.asked_count = 0
        self.waiting = False
        self.closing = False
        self._near = near
        self._draw = draw
        self._ranks: dict[bytes, float] = {}  # by group
        self._named: dict[tuple[bytes, int], int] = {}  # contacts remembered of a group by a path
        self._vouchers: dict[bytes, Voucher] = {}  # by group
        self._unproven = limits.LOOKUP_UNPROVEN
        self._turn = 0  # each time that candidates are gone through, vouchers have their room anew
        self._candidates: list[Candidate] = []  # by distance
        self._distances: list[int] = []  # theirs
        self.known: dict[bytes, Candidate | None] = {}  # by packed contact; None: never asked
        self._flying = [0] * limits.PATHS
        self._wide = [False] * limits.PATHS  # a path that had an answer may have several queries in flight
        self.offer(contacts)

    def __iter__(self) -> Iterator[Candidate]:
        """All candidates remembered, nearest first."""
        return iter(self._candidates)

    def next_queries(self, most: int = limits.LOOKUP_QUERIES) -> list[Candidate]:
        """Whom to ask now, `most` at most; each one returned counts as asked.

        Sets `done` when there is nothing left to wait for.
        """
        goal = self.goal(spare_slow=True)
        queries = [candidate for candidate in goal if candidate.state is _SLOW and candidate.asks == 1]
        if self.endgame(goal) and not self.waiting:
            queries += [candidate for candidate in goal if candidate.state is _NEW]
        else:
            queries += self._search()
        queries = queries[: max(0, min(most, limits.LOOKUP_QUERIES - self.asked_count))]
        for candidate in queries:
            self._fly(candidate)
        self.done = not queries and not self.waiting and self._settled(goal)
        return queries

    def offer(self, contacts: Iterable[Contact]) -> None:
        """Contacts from elsewhere, dealt to the paths."""
        for number, contact in enumerate(sorted(contacts, key=lambda contact: contact.long_id ^ self.target)):
            self._offer(contact, number % limits.PATHS, 1)

    def answered(self, candidate: Candidate, contacts: Iterable[Contact]) -> None:
        """`candidate` named `contacts`; at most 28 of them are looked at."""
        self._land(candidate)
        if candidate.state is not _ANSWERED:
            candidate.state = _ANSWERED
            if candidate.voucher is not None:
                candidate.voucher.open -= 1
                candidate.voucher.answered += 1
        self._wide[candidate.path] = True
        voucher = self._vouchers.get(candidate.group)
        if voucher is None:
            voucher = self._vouchers[candidate.group] = Voucher()
        known, path, hop = self.known, candidate.path, candidate.hop + 1
        for contact in islice(contacts, limits.FOUND_CONTACTS):
            if contact.packed not in known:
                self._offer(contact, path, hop, voucher)
                continue
            named = known[contact.packed]  # the usual case: somebody has named it before
            if named is not None and named.state is _NEW:
                vouchers = named.vouchers
                if vouchers is not None and voucher not in vouchers:
                    vouchers.append(voucher)

    def slow(self, candidate: Candidate) -> None:
        """The soft time-out of the newest query to `candidate` has passed."""
        if candidate.state is _ASKED:
            self._land(candidate)
            candidate.late = True
            candidate.state = _SLOW if candidate.asks == 1 else _SILENT

    def failed(self, candidate: Candidate) -> None:
        """`candidate` will not answer any more."""
        if candidate.state is not _ANSWERED:
            self._land(candidate)
            candidate.state = _SILENT

    def drop(self, contact: Contact) -> None:
        """Never ask `contact` (it is ourselves)."""
        self.known[contact.packed] = None

    def beware(self) -> None:
        """Trust those who name others less: somebody has crowded the target."""
        self._unproven = limits.LOOKUP_UNPROVEN_CROWDED

    def goal(self, *, spare_slow: bool = False) -> list[Candidate]:
        """The nearest live candidates, one per group.

        `spare_slow`: some more for those that are slow to answer, as many as it will probably take if they are dead.
        """
        chosen: dict[bytes, Candidate] = {}  # by group
        size, slow = self.size, 0
        left = size
        radius = self.radius
        self._turn += 1
        for candidate in self._candidates:
            if left <= 0 and candidate.distance > radius:
                break
            state, group = candidate.state, candidate.group
            if state is _SILENT or group in chosen or (state is _NEW and not self._vouched(candidate)):
                continue
            chosen[group] = candidate
            left -= 1
            if spare_slow and candidate.late and state is not _ANSWERED:
                slow += 1
                more = self.size + slow + slow * slow // self.size
                left += more - size
                size = more
        goal = list(chosen.values())
        return goal if len(goal) <= max(size, self.cap) else self._sample(goal)

    def crowded(self) -> bool:
        """Whether more groups stand around the target than can be by chance."""
        if not self.radius or self.radius >= SPACE - 1:
            return False
        distances: dict[bytes, int] = {}
        self._turn += 1
        for candidate in self._candidates:
            if candidate.distance > self.radius:
                break
            if candidate.state is not _SILENT and self._vouched(candidate):
                distances.setdefault(candidate.group, candidate.distance)
        return any(
            sum(distance <= self.radius >> halvings for distance in distances.values()) > most
            for halvings, most in _CROWDED
        )

    def _sample(self, chosen: list[Candidate]) -> list[Candidate]:
        """`cap` of these by a random rank that each group keeps, nearest first."""
        for candidate in chosen:
            if candidate.group not in self._ranks:
                self._ranks[candidate.group] = self._draw()
        ranks = self._ranks
        return sorted(sorted(chosen, key=lambda candidate: ranks[candidate.group])[: self.cap], key=_distance)

    def nearest(self) -> list[Contact]:
        """The contacts of the goal that answered, nearest first: the result."""
        return [candidate.contact for candidate in self.goal() if candidate.state is _ANSWERED]

    def alive(self) -> list[Contact]:
        """All contacts that answered, nearest first."""
        return [candidate.contact for candidate in self._candidates if candidate.state is _ANSWERED]

    @property
    def hops(self) -> int:
        """Questions one after the other that it took to reach the nearest who answered; 0 if nobody did."""
        return next((candidate.hop for candidate in self._candidates if candidate.state is _ANSWERED), 0)

    def endgame(self, goal: list[Candidate]) -> bool:
        """Whether the nearest have been reached, so that all of the goal may be asked."""
        if len(goal) >= self.size and goal[self.size - 1].distance <= self._near:
            return True
        if self._near >= SPACE - 1:  # the network is so small that all who are known belong to the goal
            return True
        for candidate in goal:
            if candidate.state is not _SLOW:
                return candidate.state is _ANSWERED
        return False

    def _settled(self, goal: list[Candidate]) -> bool:
        """Whether all whose answer matters have answered, or nobody is left who could."""
        if any(candidate.late for candidate in goal):
            goal = self.goal()  # without spares
        if not any(self._flying):
            return True
        return bool(goal) and all(candidate.state is _ANSWERED for candidate in goal)

    def _search(self) -> list[Candidate]:
        """The next candidates of each path, as far as its queries in flight allow."""
        room = [
            (limits.PATH_QUERIES if wide else 1) - flying for wide, flying in zip(self._wide, self._flying, strict=True)
        ]
        best = [limits.PATH_QUERIES] * limits.PATHS  # only so many of the nearest of a path are worth asking
        queries = []
        self._turn += 1
        for candidate in self._candidates:
            path = candidate.path
            state = candidate.state
            if best[path] and state is not _SILENT and state is not _SLOW and self._vouched(candidate):
                best[path] -= 1
                if state is _NEW and room[path] > 0:
                    room[path] -= 1
                    queries.append(candidate)
                if not any(best):
                    break
        return queries

    def _vouched(self, candidate: Candidate) -> bool:
        """Whether a candidate may count: somebody vouches for it, who has less room then in this turn."""
        if candidate.state is not _NEW:
            return True
        vouchers = candidate.vouchers
        if vouchers is None:
            return True
        if self.closing:
            return False
        for voucher in vouchers:
            if voucher.turn != self._turn:
                voucher.turn = self._turn
                voucher.room = voucher.rest(self._unproven)
            if voucher.room > 0:
                voucher.room -= 1
                return True
        return False

    def _offer(self, contact: Contact, path: int, hop: int, voucher: Voucher | None = None) -> None:
        """Remember a contact that `voucher` names; None: it needs nobody to vouch for it."""
        if contact.packed in self.known:
            known = self.known[contact.packed]
            if known is not None and voucher is None:
                known.vouchers = None
            return
        group = self.group_of(contact)
        named = self._named.get((group, path), 0)
        if named >= limits.LOOKUP_GROUP_CONTACTS:
            return
        self._named[group, path] = named + 1
        distance = contact.long_id ^ self.target
        candidate = Candidate(contact, distance, group, path, hop, None if voucher is None else [voucher])
        self.known[contact.packed] = candidate
        at = bisect_right(self._distances, distance)
        self._distances.insert(at, distance)
        self._candidates.insert(at, candidate)
        if len(self._candidates) > limits.LOOKUP_CONTACTS:
            self._forget()

    def _forget(self) -> None:
        """Drop a candidate that was not asked: one that nobody has room to vouch for, else the farthest."""
        self._turn += 1
        last = -1
        for at, candidate in enumerate(self._candidates):
            if candidate.state is _NEW:
                last = at
                if not self._vouched(candidate):
                    break
        if last >= 0:
            del self._distances[last]
            del self.known[self._candidates.pop(last).contact.packed]

    def _fly(self, candidate: Candidate) -> None:
        candidate.state = _ASKED
        candidate.asks += 1
        if candidate.asks == 1:
            self.asked_count += 1
            if candidate.vouchers:
                candidate.voucher = max(candidate.vouchers, key=lambda voucher: voucher.rest(0))
                candidate.voucher.open += 1
        self._flying[candidate.path] += 1

    def _land(self, candidate: Candidate) -> None:
        if candidate.state is _ASKED:
            self._flying[candidate.path] -= 1
