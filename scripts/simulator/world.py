"""The simulated world: nodes, the network between them, and time.

Time is a heap of deliveries and timers; nothing happens between two of them. Every choice comes from generators seeded
with text, so a seed tells the whole run, whatever the interpreter's hash seed. The trace hash covers every datagram
that arrives, with its time, its ends and its bytes: equal hashes are equal runs.

Each pair of nodes has a delay of its own, between half and one and a half times the median asked for, the same in both
directions; each datagram adds up to a tenth of that as jitter, and is lost with the probability asked for.
"""

from __future__ import annotations

import hashlib
import heapq
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from random import Random
from typing import Protocol

from p2pmarket.dht.contact import Address, Contact
from p2pmarket.dht.events import Event
from p2pmarket.dht.node import Node
from p2pmarket.dht.session import PlainSessions, Sessions
from p2pmarket.keys import ExchangeKey
from p2pmarket.network import TEST, Network
from simulator.checked import Checked

EPOCH = 1_800_000_000  # UTC seconds at the start of every run
PORT = 4001
_MASK = 2**64 - 1
_ARRIVAL = struct.Struct(">dIIH")  # time, from, to, length: before each datagram in the trace


class Driven(Protocol):
    """What the world drives: a node, or something that passes for one."""

    @property
    def contact(self) -> Contact | None: ...
    def receive_datagram(self, data: bytes, address: Address, now: float) -> None: ...
    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Address]]: ...
    def next_event(self) -> Event | None: ...
    def next_timeout(self) -> float: ...
    def handle_timeouts(self, now: float) -> None: ...


@dataclass(slots=True, eq=False)
class Member:
    """A node, where it is, and what the world knows of it."""

    index: int
    address: Address
    driven: Driven
    born: float
    alive: bool = True
    timer: float = inf  # the earliest timer on the heap
    sent: int = 0  # datagrams
    sent_bytes: int = 0

    @property
    def node(self) -> Node:
        """The node that works here; only liars are none."""
        assert isinstance(self.driven, Node)
        return self.driven

    @property
    def honest(self) -> bool:
        """Whether this is a node as it should be."""
        return isinstance(self.driven, Node)


@dataclass(slots=True)
class Tally:
    """Datagrams of the whole world."""

    sent: int = 0
    bytes: int = 0
    lost: int = 0
    to_the_dead: int = 0
    largest: int = 0


@dataclass(slots=True)
class World:
    """`rtt` is the median round trip in seconds, `loss` a probability, `cipher` "plain" or "noise"."""

    seed: int
    rtt: float = 0.1
    loss: float = 0.01
    cipher: str = "plain"
    network: Network = TEST
    now: float = 0.0
    members: list[Member] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    on_event: Callable[[Member, Event], None] = field(default=lambda member, event: None)
    cut: Callable[[Member, Member], bool] | None = None  # whether nothing passes between two nodes
    _at: dict[Address, Member] = field(default_factory=dict)
    _subnets: set[bytes] = field(default_factory=set)
    _heap: list[tuple[float, int, Member | None, object, Member | None]] = field(default_factory=list)
    _count: int = 0
    _read_record: Checked = field(default_factory=Checked)
    _trace: hashlib._Hash = field(default_factory=hashlib.sha256)
    _chance: Random = field(init=False)
    _places: Random = field(init=False)
    _pair_salt: int = field(init=False)

    def __post_init__(self) -> None:
        self._chance = self.rng("loss and jitter")
        self._places = self.rng("addresses")
        self._pair_salt = self.rng("delays").getrandbits(64)

    def rng(self, use: str) -> Random:
        """A generator of its own for `use`, told by the seed."""
        return Random(f"{self.seed}/{use}")

    @property
    def wall(self) -> int:
        """UTC seconds."""
        return EPOCH + int(self.now)

    @property
    def trace_hash(self) -> str:
        """The hash of all that has arrived so far."""
        return self._trace.hexdigest()

    def add(self, *, address: Address | None = None, reachable: bool = True) -> Member:
        """A new node, in a /24 of its own unless `address` says otherwise; one that is not reachable is a client."""
        index = len(self.members)
        where = address or (self.new_host(), PORT)
        rng = self.rng(f"node {index} choices")
        secrets = self.rng(f"node {index} secrets").randbytes
        key = ExchangeKey.from_seed(secrets(32))
        kind = Sessions if self.cipher == "noise" else PlainSessions
        # Generators of their own: both ciphers must leave the node the same choices.
        hidden, guess = self.rng(f"node {index} session secrets").randbytes, self.rng(f"node {index} session choices")
        sessions = kind(key, self.network, hidden, guess)
        node = Node(
            self.network,
            key,
            sessions,
            rng=rng,
            secrets=secrets,
            now=self.now,
            wall=self.wall,
            listen_port=where[1],
            address=where if reachable else None,
            client=not reachable,
            read_record=self._read_record,
        )
        return self.enter(node, where)

    def enter(self, node: Driven, where: Address) -> Member:
        """A node made elsewhere takes its place at `where`."""
        member = Member(len(self.members), where, node, self.now)
        self.members.append(member)
        self._at[where] = member
        self.flush(member)
        return member

    def new_host(self) -> str:
        """A public IPv4 address in a /24 where nobody is yet."""
        while True:
            packed = bytes((self._places.randrange(1, 224), *self._places.randbytes(2), self._places.randrange(1, 255)))
            host = ".".join(map(str, packed))
            if packed[0] != 127 and packed[:3] not in self._subnets and self.network.admits(host, PORT):
                self._subnets.add(packed[:3])
                return host

    def contact(self, member: Member) -> Contact:
        """The member as others are told of it."""
        contact = member.driven.contact
        assert contact is not None, "a client has no contact"
        return contact

    def contacts(self) -> list[Contact]:
        """The living, honest nodes that hold records."""
        found = (member.driven.contact for member in self.members if member.alive and member.honest)
        return [contact for contact in found if contact is not None]

    def living(self) -> list[Member]:
        return [member for member in self.members if member.alive]

    def kill(self, member: Member) -> None:
        """From now on it neither hears nor speaks."""
        member.alive = False

    def call_at(self, time: float, action: Callable[[], None]) -> None:
        """Run `action` at `time`, before whatever else is due then."""
        self._push(time, None, action, None)

    def flush(self, member: Member) -> None:
        """Take what the node wants to send, tell its events, set its timer. Call it after every call on a node."""
        node = member.driven
        while True:
            for data, address in node.datagrams_to_send(self.now):
                self._send(member, data, address)
            event = node.next_event()
            if event is None:
                break
            self.on_event(member, event)
        due = node.next_timeout()
        if due < member.timer:
            member.timer = max(due, self.now)
            self._push(member.timer, member, None, None)

    def run_until(self, end: float, *, stop: Callable[[], bool] | None = None) -> None:
        """Let time pass to `end`, or until `stop()` holds after some event."""
        heap = self._heap
        while heap and heap[0][0] <= end:
            self.now, _, member, what, source = heapq.heappop(heap)
            if member is None:
                assert callable(what)
                what()
            elif member.alive:
                if source is None:
                    self._ring(member)
                else:
                    assert isinstance(what, bytes)
                    self._deliver(member, what, source)
            if stop is not None and stop():
                return
        self.now = end

    def _deliver(self, member: Member, data: bytes, source: Member) -> None:
        """A datagram arrives."""
        now = self.now
        self._trace.update(_ARRIVAL.pack(now, source.index, member.index, len(data)) + data)
        member.driven.receive_datagram(data, source.address, now)
        self.flush(member)

    def _ring(self, member: Member) -> None:
        """A timer of the node has ended, unless an earlier one took its place."""
        if member.timer != self.now:
            return
        member.timer = inf
        if member.driven.next_timeout() <= self.now:
            member.driven.handle_timeouts(self.now)
        self.flush(member)

    def _send(self, member: Member, data: bytes, address: Address) -> None:
        tally = self.tally
        size = len(data)
        tally.sent += 1
        tally.bytes += size
        if size > tally.largest:
            tally.largest = size
        member.sent += 1
        member.sent_bytes += size
        target = self._at.get(address)
        if self._chance.random() < self.loss:
            tally.lost += 1
        elif target is None or not target.alive or (self.cut is not None and self.cut(member, target)):
            tally.to_the_dead += 1
        else:
            self._push(self.now + self._delay(member.index, target.index), target, data, member)

    def _delay(self, one: int, other: int) -> float:
        """Seconds from `one` to `other`."""
        low, high = (one, other) if one < other else (other, one)
        mixed = (low * 0x9E3779B97F4A7C15 ^ high * 0xC2B2AE3D27D4EB4F) + self._pair_salt & _MASK
        mixed = (mixed ^ mixed >> 29) * 0xBF58476D1CE4E5B9 & _MASK
        share = (mixed ^ mixed >> 32) / 2**64
        return self.rtt / 2 * (0.5 + share) * (1 + 0.1 * self._chance.random())

    def _push(self, time: float, member: Member | None, what: object, source: Member | None) -> None:
        """A delivery of bytes from `source`, the end of a timer of `member` (neither), or a call without a member."""
        self._count += 1
        heapq.heappush(self._heap, (time, self._count, member, what, source))
