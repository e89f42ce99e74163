"""What a node tells the program around it. Plain values, in the order in which things happened."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from p2pmarket import limits
from p2pmarket.dht.contact import Address, Contact
from p2pmarket.dht.session import Opened
from p2pmarket.records import Record


@dataclass(frozen=True, slots=True)
class Asked:
    """A request whose answer takes time."""

    opened: Opened
    tx: int


@dataclass(frozen=True, slots=True)
class RecordsFound:
    """Records of get `get` that are new to it or newer than what it told before; checked, and belonging to `topic`."""

    get: int
    topic: bytes
    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class GetProgress:
    """How many nodes get `get` has asked, and how many answered."""

    get: int
    asked: int
    answered: int


@dataclass(frozen=True, slots=True)
class GetDone:
    """The end of get `get`: `found` sellers; `total` the most that one holder lists, `crowd` how many there are."""

    get: int
    asked: int
    answered: int
    found: int
    total: int = 0
    crowd: int = 0


@dataclass(frozen=True, slots=True)
class PutDone:
    """The end of put `put`: how many other nodes keep the record, how many refused, how many were asked to keep it.

    All of the place where most keep it: the topic itself, or one of its shards. `reasons` counts the refusals by
    `PutStatus` value, `places` are the numbers of the shards that were written to.
    """

    put: int
    stored: int
    refused: int
    asked: int
    reasons: tuple[tuple[str, int], ...] = ()
    places: tuple[int, ...] = (1,)


@dataclass(frozen=True, slots=True)
class LookupDone:
    """The nearest live nodes found by lookup `lookup`, nearest first, ourselves included if we are one of them.

    `asked` nodes were asked, `hops` of them one after the other to reach the nearest.
    """

    lookup: int
    contacts: tuple[Contact, ...]
    asked: int = 0
    hops: int = 0


@dataclass(frozen=True, slots=True)
class DialBackAsked:
    """`peer` asks for a TCP connection to `address` that shows `nonce`; reply by `Node.answer_dial_back`.

    `asked` is the node's own note of the request.
    """

    peer: bytes
    address: Address
    nonce: bytes
    asked: Asked


@dataclass(frozen=True, slots=True)
class DialBackAnswered:
    """`peer` has tried to dial us back."""

    peer: bytes
    tcp_ok: bool


@dataclass(frozen=True, slots=True)
class AddressSeen:
    """Our public address, as independent peers agree on it."""

    address: Address


@dataclass(frozen=True, slots=True)
class ClockSeen:
    """Peers' clocks are `offset_s` seconds ahead of ours (median of `peers`)."""

    offset_s: float
    peers: int


@dataclass(frozen=True, slots=True)
class Joined:
    """The first lookup of ourselves found others."""

    contacts: int


Event = (
    RecordsFound
    | GetProgress
    | GetDone
    | PutDone
    | LookupDone
    | DialBackAsked
    | DialBackAnswered
    | AddressSeen
    | ClockSeen
    | Joined
)


class EventQueue:
    """Events that the program around has not read yet, at most `limits.EVENTS`."""

    __slots__ = ("_events", "dropped")

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self.dropped = 0

    def put(self, event: Event) -> None:
        """Add an event; progress not read yet is replaced by later progress of the same get."""
        events = self._events
        if events and isinstance(event, GetProgress):
            last = events[-1]
            if isinstance(last, GetProgress) and last.get == event.get:
                events.pop()
        if len(events) < limits.EVENTS:
            events.append(event)
        else:
            self.dropped += 1

    def next(self) -> Event | None:
        """The oldest event."""
        return self._events.popleft() if self._events else None
