"""Requests under way: which answer belongs to which, and how long silence is normal.

An answer counts only if its transaction, the peer's key and the address match the request. A request has a soft
time-out, after which its owner is told that the peer is slow and may do something else meanwhile, and a hard one,
after which an answer counts no more. The soft one is srtt + 4 rttvar of that peer (Jacobson 1988, RFC 6298, without
its slow start of one second), or srtt + 2 rttvar of all peers together for a stranger, within 80 ms and 1 s. A query
repeated a little early costs one datagram; waiting for the dead costs the user's time.
"""

from __future__ import annotations

from heapq import heappop, heappush
from math import inf
from typing import Protocol

from p2pmarket import limits
from p2pmarket.dht.contact import Address, Contact
from p2pmarket.messages import Answer

_FIRST_SECONDS = 0.5  # soft time-out before anything was measured
_RTTS_KEPT = 256  # peers whose round-trip time is remembered


class Owner(Protocol):
    """Who made a request and waits for what becomes of it."""

    def answered(self, call: Call, answer: Answer, now: float) -> None:
        """The answer has come."""

    def slow(self, call: Call, now: float) -> None:
        """The soft time-out has passed."""

    def failed(self, call: Call, now: float) -> None:
        """The hard time-out has passed."""


class Call:
    """One request: to whom, when, for whom. `subject` is the owner's own note."""

    __slots__ = ("contact", "hard_at", "owner", "sent", "slow", "subject", "tx", "wants")

    def __init__(
        self,
        tx: int,
        contact: Contact,
        wants: type[Answer],
        owner: Owner,
        subject: object,
        sent: float,
        hard_at: float,
    ) -> None:
        self.tx = tx
        self.contact = contact
        self.wants = wants
        self.owner = owner
        self.subject = subject
        self.sent = sent
        self.hard_at = hard_at
        self.slow = False


class RoundTrips:
    """Estimates of the round-trip time: (srtt, rttvar) of everybody and of some peers, in seconds."""

    __slots__ = ("_all", "_peers")

    def __init__(self) -> None:
        self._all: tuple[float, float] | None = None
        self._peers: dict[bytes, tuple[float, float]] = {}

    def measured(self, public: bytes, rtt: float) -> None:
        """An answer of `public` took `rtt` seconds."""
        usual = rtt if self._all is None else min(rtt, self._all[0] + 4 * self._all[1])  # some are late on purpose
        self._all = _smoothed(self._all, usual)
        known = self._peers.pop(public, None)
        self._peers[public] = (rtt, min(rtt, self._all[1]) / 2) if known is None else _smoothed(known, rtt)
        if len(self._peers) > _RTTS_KEPT:
            del self._peers[next(iter(self._peers))]

    def patience(self, public: bytes) -> float:
        """After how many seconds `public` counts as slow."""
        if self._all is None:
            return _FIRST_SECONDS
        known = self._peers.get(public)
        seconds = self._all[0] + 2 * self._all[1] if known is None else known[0] + 4 * known[1]
        return min(max(seconds, limits.SOFT_SECONDS_MIN), limits.SOFT_SECONDS_MAX)


def _smoothed(known: tuple[float, float] | None, rtt: float) -> tuple[float, float]:
    if known is None:
        return rtt, rtt / 2
    srtt, rttvar = known
    return srtt + (rtt - srtt) / 8, rttvar + (abs(srtt - rtt) - rttvar) / 4


class Calls:
    """All requests under way, at most `limits.PENDING_CALLS`."""

    def __init__(self, first_tx: int) -> None:
        self.round_trips = RoundTrips()
        self._pending: dict[int, Call] = {}
        self.awaited: dict[Address, int] = {}  # where something was asked and not answered yet, how often
        self._timers: list[tuple[float, int]] = []
        self._next_tx = first_tx
        self.last_answer = float("-inf")  # when anybody answered last

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def full(self) -> bool:
        """Whether no more may be asked now."""
        return len(self._pending) >= limits.PENDING_CALLS

    def tx(self) -> int:
        """A transaction number that is not in use."""
        self._next_tx = (self._next_tx + 1) & 0xFFFFFFFF
        return self._next_tx

    def add(self, call: Call) -> None:
        """Start to wait for the answer to `call`."""
        self._pending[call.tx] = call
        address = call.contact.address
        self.awaited[address] = self.awaited.get(address, 0) + 1
        soft_at = call.sent + self.round_trips.patience(call.contact.public)
        heappush(self._timers, (soft_at if soft_at < call.hard_at else call.hard_at, call.tx))

    def match(self, answer: Answer, public: bytes, address: Address, now: float) -> Call | None:
        """The request that `answer` answers, which is then over; None if there is none such."""
        call = self._pending.get(answer.tx)
        if call is None or type(answer) is not call.wants:
            return None
        if call.contact.public != public or call.contact.address != address:
            return None
        self._end(call)
        self.last_answer = now
        self.round_trips.measured(public, now - call.sent)
        return call

    def next_timeout(self) -> float:
        """When `expired` has something to say, at the earliest; inf if nothing is under way."""
        timers, pending = self._timers, self._pending
        while timers and timers[0][1] not in pending:
            heappop(timers)
        return timers[0][0] if timers else inf

    def expired(self, now: float) -> Call | None:
        """A call whose soft or hard time-out has passed (`call.slow` after the first); None if there is none."""
        while self._timers and self._timers[0][0] <= now:
            call = self._pending.get(heappop(self._timers)[1])
            if call is None:
                continue
            if not call.slow and now < call.hard_at:
                call.slow = True
                heappush(self._timers, (call.hard_at, call.tx))
            else:
                call.slow = False
                self._end(call)
            return call
        return None

    def _end(self, call: Call) -> None:
        del self._pending[call.tx]
        address = call.contact.address
        left = self.awaited[address] - 1
        if left:
            self.awaited[address] = left
        else:
            del self.awaited[address]
