"""Putting a record: a search for the region, and a put to every node of it as soon as it is found.

A node that has answered the search from its address has a session with us, and only in a session may a put travel.

A record goes to its topic first. The holders tell how large the crowd there is; if it is large, the record goes to a
shard of the topic too (`shards`), and if there is a crowd in the shard again, to one below that. Which shard it is
follows from our address as the holders see it. A withdrawn announcement goes to every depth where it may have lain.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from p2pmarket import limits, messages
from p2pmarket.dht import shards
from p2pmarket.dht.calls import Call
from p2pmarket.dht.contact import address_untrusted
from p2pmarket.dht.events import PutDone
from p2pmarket.dht.filing import record_untrusted
from p2pmarket.dht.lookup import Candidate, State
from p2pmarket.dht.search import Host, Search
from p2pmarket.dht.values import PutStatus
from p2pmarket.errors import BadMessage

# The numbers of `PutDone.status` on the wire; never reused.
STATUS_NUMBERS: Final = {
    PutStatus.STORED: 0,
    PutStatus.STALE: 1,
    PutStatus.QUOTA: 2,
    PutStatus.FULL: 3,
    PutStatus.BAD: 4,
    PutStatus.NOT_MINE: 5,
}
_STATUS = {number: status for status, number in STATUS_NUMBERS.items()}
_HOLDERS: Final = (0, 1, 2, 3)  # numbers of those who look after the key, whatever they think of the record
_PLACES: Final = 16  # shards that one put writes to


class Keeper(Host, Protocol):
    """What a put needs of its node, besides what a search needs."""

    def keep(self, topic: bytes, number: int, envelope: bytes, now: float) -> None:
        """Keep a record of ours ourselves, if we are one of those who should."""


class _Store:
    """One node that is asked to keep the record."""

    __slots__ = ("answer", "asks", "candidate", "waiting")

    def __init__(self, candidate: Candidate) -> None:
        self.candidate = candidate
        self.asks = 0
        self.waiting = True
        self.answer: messages.PutDone | None = None


class Storing(Search):
    """One record on its way to one key: shard `number` of its topic."""

    def __init__(self, put: Put, number: int, now: float) -> None:
        key = shards.key_of(put.host.network, put.topic, number)
        super().__init__(put.host, key, now, put.stored, region=True, wide=put.wide)
        self.number = number
        self.depth = number.bit_length() - 1
        self._put = put
        self._stores: dict[bytes, _Store] = {}  # by packed contact

    def answered(self, call: Call, answer: messages.Answer, now: float) -> None:
        """A node is found, or says what became of the record."""
        store = call.subject
        if not isinstance(store, _Store):
            super().answered(call, answer, now)
        elif isinstance(answer, messages.PutDone):
            store.answer = answer
            store.waiting = False
            self.pump(now)

    def slow(self, call: Call, now: float) -> None:
        """A put is repeated once; a node that is silent then is not waited for."""
        store = call.subject
        if not isinstance(store, _Store):
            super().slow(call, now)
        elif not self.over and store.waiting:
            if store.asks == 1:
                self._send(store, now)
            else:
                store.waiting = False
            self.pump(now)

    def take(self, candidate: Candidate, answer: messages.Found | messages.Got, now: float) -> None:
        """Store at once where the search will end anyway; in a crowded region that is not known before its end."""
        goal = self.lookup.goal()
        if not self._looks and self.lookup.endgame(goal) and candidate in goal:
            self._store(candidate, now)

    def settled(self, now: float) -> None:
        """Store wherever it was not done yet."""
        for candidate in self.lookup.goal():
            if candidate.state is State.ANSWERED:
                self._store(candidate, now)

    def is_over(self) -> bool:
        """Whether the region is found and everybody in it has answered the put."""
        return self.lookup.done and not any(store.waiting for store in self._stores.values())

    def asked(self) -> int:
        """How many nodes were asked to keep the record."""
        return len(self._stores)

    def answers(self) -> list[messages.PutDone]:
        """What they said."""
        return [store.answer for store in self._stores.values() if store.answer is not None]

    def statuses(self) -> Counter[str]:
        """How often which status was answered, by its name."""
        names = (_STATUS.get(answer.status) for answer in self.answers())
        return Counter(status.value if status is not None else "unknown" for status in names)

    def crowd(self) -> int:
        """What the holders say together about the crowd at this key."""
        return shards.agreed(answer.crowd for answer in self.answers() if answer.status in _HOLDERS)

    def _store(self, candidate: Candidate, now: float) -> None:
        packed = candidate.contact.packed
        if packed not in self._stores and len(self._stores) < 2 * limits.REGION_ASKED:
            store = self._stores[packed] = _Store(candidate)
            self._send(store, now)

    def _send(self, store: _Store, now: float) -> None:
        store.asks += 1
        fields = (self._put.topic, self._put.envelope, self.depth)
        if not self.host.ask(store.candidate.contact, messages.Put, fields, self, store, now):
            store.waiting = False


class Put:
    """One record on its way to one topic and the shards of it that it takes."""

    def __init__(
        self,
        host: Keeper,
        number: int,
        topic: bytes,
        envelope: bytes,
        on_done: Callable[[Put], None],
        wide: int = 1,
    ) -> None:
        self.host: Keeper = host
        self.number = number
        self.topic = topic
        self.envelope = envelope
        self.wide = wide
        self.over = False
        self._on_done = on_done
        self._withdrawn = False
        self._begun: dict[int, Storing] = {}  # by number of the shard
        self._group: bytes | None = None  # of our address, as holders see it

    def start(self, now: float) -> None:
        """Go to the topic itself."""
        with suppress(BadMessage):  # holders will say so
            record = record_untrusted(self.envelope, self.host.network, self.host.wall(now))
            self._withdrawn = record.announcement.withdrawn
        self._begin({shards.WHOLE}, now)

    def stop(self, now: float) -> None:
        """End early; PutDone follows."""
        self.over = True
        for storing in list(self._begun.values()):
            storing.end(now)
        self._end()

    def stored(self, search: Search, now: float) -> None:
        """One key is done with; there may be a crowd to step aside from."""
        if self.over or not isinstance(search, Storing):
            return
        self._group = self._group or self._seen(search)
        below = shards.depths_of(search.crowd(), early=search.number == shards.WHOLE)
        depths = {search.depth + depth for depth in below}
        if self._withdrawn and depths:
            depths |= set(range(search.depth + 1, max(depths) + 1))
        if self._group is not None:
            group, network = self._group, self.host.network
            depths = {min(depth, limits.SHARD_DEPTH) for depth in depths}
            self._begin({shards.number_of(network, self.topic, group, depth) for depth in depths}, now)
        if all(storing.over for storing in self._begun.values()):
            self._end()

    def _begin(self, numbers: set[int], now: float) -> None:
        news = [
            Storing(self, number, now)
            for number in sorted(numbers - self._begun.keys())[: max(0, _PLACES - len(self._begun))]
        ]
        for storing in news:
            self._begun[storing.number] = storing
        for storing in news:
            self.host.keep(self.topic, storing.number, self.envelope, now)
            storing.start(now)

    def _seen(self, storing: Storing) -> bytes | None:
        """The group of our address, as most holders see it."""
        seen = Counter(answer.seen for answer in storing.answers())
        for packed, _ in seen.most_common(1):
            try:
                return self.host.network.group(*address_untrusted(packed))
            except BadMessage:
                return None
        return None

    def _end(self) -> None:
        """Tell of the key where most keep the record."""
        best = max(self._begun.values(), key=lambda storing: storing.statuses()[PutStatus.STORED.value])
        statuses = best.statuses()
        stored = statuses.pop(PutStatus.STORED.value, 0)
        reasons = tuple(sorted(statuses.items()))
        refused = sum(statuses.values())
        self.over = True
        self.host.emit(PutDone(self.number, stored, refused, best.asked(), reasons, tuple(sorted(self._begun))))
        self._on_done(self)
