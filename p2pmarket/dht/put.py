"""Putting a record: a search for the region, and a put to every node of it as soon as it is found.

A node that has answered the search from its address has a session with us, and only in a session may a put travel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from p2pmarket import limits, messages
from p2pmarket.dht.calls import Call
from p2pmarket.dht.events import PutDone
from p2pmarket.dht.lookup import Candidate, State
from p2pmarket.dht.search import Host, Search
from p2pmarket.dht.values import PutStatus

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


class _Store:
    """One put under way."""

    __slots__ = ("asks", "candidate", "status", "waiting")

    def __init__(self, candidate: Candidate) -> None:
        self.candidate = candidate
        self.asks = 0
        self.waiting = True
        self.status: str | None = None


class Put(Search):
    """One record on its way to one topic."""

    def __init__(
        self, host: Host, number: int, topic: bytes, envelope: bytes, now: float, on_put: Callable[[Put], None]
    ) -> None:
        super().__init__(host, topic, now, self._done, region=True)
        self.number = number
        self._on_put = on_put
        self._envelope = envelope
        self._stores: dict[bytes, _Store] = {}  # by packed contact

    def answered(self, call: Call, answer: messages.Answer, now: float) -> None:
        """A node is found, or says what became of the record."""
        store = call.subject
        if not isinstance(store, _Store):
            super().answered(call, answer, now)
        elif isinstance(answer, messages.PutDone):
            status = _STATUS.get(answer.status)
            store.status = status.value if status is not None else "unknown"
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

    def _store(self, candidate: Candidate, now: float) -> None:
        packed = candidate.contact.packed
        if packed not in self._stores and len(self._stores) < 2 * limits.REGION_ASKED:
            store = self._stores[packed] = _Store(candidate)
            self._send(store, now)

    def _send(self, store: _Store, now: float) -> None:
        store.asks += 1
        if not self.host.ask(store.candidate.contact, messages.Put, (self.target, self._envelope), self, store, now):
            store.waiting = False

    def _done(self, search: Search, now: float) -> None:
        statuses = Counter(store.status for store in self._stores.values() if store.status is not None)
        stored = statuses.pop(PutStatus.STORED.value, 0)
        reasons = tuple(sorted(statuses.items()))
        self.host.emit(PutDone(self.number, stored, sum(statuses.values()), len(self._stores), reasons))
        self._on_put(self)
