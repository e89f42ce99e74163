"""What a node tells the program around it. Plain values, in the order in which things happened."""

from __future__ import annotations

from dataclasses import dataclass

from p2pmarket.dht.contact import Address, Contact
from p2pmarket.records import Record


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
    """The end of get `get`: `found` sellers; `total` the most that one holder lists; `full`: shards may hold more."""

    get: int
    asked: int
    answered: int
    found: int
    total: int = 0
    full: bool = False


@dataclass(frozen=True, slots=True)
class PutDone:
    """The end of put `put`: how many other nodes keep the record, how many refused, how many were asked to keep it.

    `reasons` counts the refusals by `PutStatus` value.
    """

    put: int
    stored: int
    refused: int
    asked: int
    reasons: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class LookupDone:
    """The nearest live contacts of lookup `lookup`, nearest first."""

    lookup: int
    contacts: tuple[Contact, ...]
    asked: int = 0


@dataclass(frozen=True, slots=True)
class DialBackAsked:
    """`peer` asks for a TCP connection to `address` that shows `nonce`; reply by `Node.answer_dial_back`."""

    peer: bytes
    address: Address
    nonce: bytes
    source: Address
    tx: int


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
