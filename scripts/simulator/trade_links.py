"""How two parties' documents travel between them on a simulated clock: the courier's rules over a network with a hole.

A link is believed until something sent on it has not been acknowledged for a minute, or nothing was heard for a minute
and a half. TCP sends lost segments again, and connects only while there is a network. What has no link is dialled again
after the courier's own pauses. One who cannot be dialled keeps his line open. Who gave up a paper goes on calling, and
sends it again once the link is there (market.resending).
"""

from __future__ import annotations

import heapq
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "tests"))

from market_world import Side

from p2pmarket.limits import DIAL_SECONDS, LINK_IDLE_SECONDS, MINUTE
from p2pmarket.market import receiving
from p2pmarket.market.delivery import ACK_SECONDS, message_of, pause_after
from p2pmarket.market.resending import hear, to_knock
from p2pmarket.store import rows

LATENCY = 0.05
RETRANSMITS = [0.2 * 2**number for number in range(12)]  # seconds after a segment was lost, as TCP does
SYNS = (0.0, 1.0, 3.0, 7.0)  # seconds after a connection was begun
Name = tuple[bytes, bytes]


@dataclass
class End:
    """What one side believes of one link."""

    open: bool = False
    generation: int = 0
    heard: float = 0.0
    sent_at: float = 0.0
    in_flight: set[bytes] = field(default_factory=set)
    failures: int = 0
    next_try: float = 0.0
    dialling: bool = False


@dataclass
class Wires:
    """The links of two sides, their events in order of time, and the hole in the network from `cut_from` on."""

    rng: Random
    cut_from: float
    cut_until: float
    is_buyer_dialled: bool
    now: float = 0.0
    resent: int = 0  # papers that had been given up, and went out again
    buyer: Side = field(init=False)
    seller: Side = field(init=False)
    _ends: dict[tuple[str, Name], End] = field(default_factory=dict)
    _queue: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)

    def at(self, moment: float, act: Callable[[], None]) -> None:
        """Do something at a moment."""
        heapq.heappush(self._queue, (max(moment, self.now), next(self._numbers), act))

    def step(self) -> bool:
        """The next thing that happens; False if nothing is to happen any more."""
        if not self._queue:
            return False
        self.now, _, act = heapq.heappop(self._queue)
        act()
        return True

    def is_up(self, moment: float) -> bool:
        """Whether there is a network."""
        return not self.cut_from <= moment < self.cut_until

    def end(self, side: Side, name: Name) -> End:
        """What a side believes of a link, as the side names it."""
        return self._ends.setdefault((side.name, name), End())

    def other(self, side: Side) -> Side:
        """The party that this one trades with."""
        return self.seller if side is self.buyer else self.buyer

    def wake(self, side: Side, name: Name) -> None:
        """Look what there is to do for one link: send, notice that it has ended, or dial."""
        end = self.end(side, name)
        waiting = [one for one in self._waiting(side, name) if one.hash not in end.in_flight]
        keeps = (side is self.buyer and not self.is_buyer_dialled) or self._knocks(side, name)
        if end.open:
            self._serve(side, name, end, waiting)
        elif (waiting or keeps) and not end.dialling and (side is self.buyer or self.is_buyer_dialled):
            if end.next_try > self.now:
                self.at(end.next_try, lambda: self.wake(side, name))
            else:
                self._dial(side, name, end)

    def _waiting(self, side: Side, name: Name) -> list[rows.Outgoing]:
        return side.run(lambda tx: tx.outbox.waiting_for(name, side.clock()))

    def _knocks(self, side: Side, name: Name) -> bool:
        """Whether a side goes on calling somebody for whom it has given up a paper."""
        return name in {(other.local, other.remote) for other in side.run(lambda tx: to_knock(tx, side.clock()))}

    def _hear(self, side: Side, name: Name) -> None:
        """A link is there: what was given up goes out again."""
        self.resent += len(side.run(lambda tx: hear(tx, name[1], (), side.clock())))

    def _serve(self, side: Side, name: Name, end: End, waiting: list[rows.Outgoing]) -> None:
        is_late = bool(end.in_flight) and self.now - end.sent_at > ACK_SECONDS
        if is_late or self.now - end.heard > LINK_IDLE_SECONDS:
            self._hang_up(side, name, end)
            return
        if waiting:
            if not end.in_flight:
                end.sent_at = self.now
            end.in_flight.update(one.hash for one in waiting)
            self._transmit(side, name, [message_of(one) for one in waiting])
        if end.in_flight:
            self.at(end.sent_at + ACK_SECONDS + 1, lambda: self.wake(side, name))

    def _hang_up(self, side: Side, name: Name, end: End) -> None:
        end.open, end.in_flight = False, set()
        other = self.end(self.other(side), (name[1], name[0]))
        if self.is_up(self.now) and other.generation == end.generation and other.open:
            self.at(self.now + LATENCY, lambda: self._hear_end(self.other(side), (name[1], name[0]), end.generation))
        self.wake(side, name)

    def _hear_end(self, side: Side, name: Name, generation: int) -> None:
        end = self.end(side, name)
        if end.generation == generation and end.open:
            end.open, end.in_flight = False, set()
            self.wake(side, name)

    def _dial(self, side: Side, name: Name, end: End) -> None:
        end.dialling = True
        tries = [self.now + later for later in SYNS if later < DIAL_SECONDS]
        up = next((moment for moment in tries if self.is_up(moment)), None)
        if up is not None:
            self.at(up + 2 * LATENCY, lambda: self._come_up(side, name))
        else:
            self.at(self.now + DIAL_SECONDS, lambda: self._failed(side, name, end))

    def _failed(self, side: Side, name: Name, end: End) -> None:
        end.dialling = False
        end.failures += 1
        end.next_try = self.now + pause_after(end.failures, self.rng)
        self.wake(side, name)

    def _come_up(self, side: Side, name: Name) -> None:
        """Both ends believe in a new link; what was in flight on an older one is not waited for."""
        generation = next(self._numbers)
        self.end(side, name).failures = 0
        self.end(side, name).next_try = self.now + pause_after(0, self.rng)
        for one, as_named in ((side, name), (self.other(side), (name[1], name[0]))):
            self._hear(one, as_named)
            end = self.end(one, as_named)
            end.open, end.generation, end.heard, end.in_flight, end.dialling = True, generation, self.now, set(), False
            self.wake(one, as_named)
            self._watch_silence(one, as_named, generation)

    def _watch_silence(self, side: Side, name: Name, generation: int) -> None:
        """Keepalives are heard while the network is there; without them the link ends."""
        end = self.end(side, name)
        if not end.open or end.generation != generation:
            return
        if self.is_up(self.now) and self.end(self.other(side), (name[1], name[0])).open:
            end.heard = self.now
        self.wake(side, name)
        if end.open and self.now < self.cut_until + MINUTE:
            self.at(self.now + LINK_IDLE_SECONDS / 3, lambda: self._watch_silence(side, name, generation))

    def _transmit(self, side: Side, name: Name, messages: list[bytes]) -> None:
        """TCP: it arrives at once, or with the first segment that is sent again once there is a network."""
        generation = self.end(side, name).generation
        for later in (0.0, *RETRANSMITS):
            if self.is_up(self.now + later):
                arrives = self.now + later + LATENCY * self.rng.uniform(1, 2)
                self.at(arrives, lambda: self._arrive(self.other(side), (name[1], name[0]), generation, messages))
                return

    def _arrive(self, side: Side, name: Name, generation: int, messages: list[bytes]) -> None:
        end = self.end(side, name)
        if not end.open or end.generation != generation:
            return  # the other end of a link that is no more: it is told, and sends again on another
        end.heard = self.now
        with patch.object(receiving, "wall", side.clock):
            taken = side.take(messages, name)
        end.in_flight.difference_update(taken.acknowledged)
        if taken.answers:
            self._transmit(side, name, taken.answers)
        self.wake(side, name)
