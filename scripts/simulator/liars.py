"""Nodes that lie: they stand near a key, make themselves known, and answer so that nothing is found.

A liar has a real place: its id follows from its address and key as everybody's does, so it stands near a key only by
trying addresses and keys. Each one greets honest nodes near the key (that is how it gets into their tables), names
nobody but its fellows, and says to every put that the record is stored. To a get it answers by its manner:

    empty     no records
    fake      records that hold nothing, and a claim of many more
    endless   no records, and new contacts that do not exist
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import cycle
from math import inf
from random import Random

from p2pmarket import limits, messages
from p2pmarket.dht.contact import Address, Contact, node_id, pack_address
from p2pmarket.dht.events import Event
from p2pmarket.dht.session import Opened, Peer, PlainSessions
from p2pmarket.errors import BadMessage
from p2pmarket.keys import ExchangeKey
from p2pmarket.network import Network, parse_ip
from simulator.world import EPOCH, PORT, World

MANNERS = ("empty", "fake", "endless")
KEYS_TRIED = 64  # for each place
GREETED = 24  # honest nodes that a liar makes itself known to
GREETING_SECONDS = 20.0
KEY_BITS = 235  # of an id: those above them are the address's
NAMED = 20  # contacts in a liar's answer


@dataclass(frozen=True, slots=True)
class Place:
    """Where a liar stands: its contact, and the key that goes with it."""

    contact: Contact
    key: ExchangeKey


def best_place(target: bytes, hosts: list[str], port: int, rng: Random) -> Place:
    """The place nearest to `target` that one of `hosts` with some key may take."""
    wanted = int.from_bytes(target, "big")

    def distance(host: str, r: int, public: bytes) -> int:
        ip = parse_ip(host)
        assert ip is not None
        return int.from_bytes(node_id(public, ip.packed, r), "big") ^ wanted

    stands = [(host, r) for host in hosts for r in range(8)]
    host, r = min(stands, key=lambda stand: distance(stand[0], stand[1], bytes(32)) >> KEY_BITS)
    keys = (ExchangeKey(rng.randbytes(32)) for _ in range(KEYS_TRIED))
    key = min(keys, key=lambda key: distance(host, r, key.public))
    return Place(Contact(key.public, host, port, r), key)


@dataclass(slots=True, eq=False)
class Liar:
    """One liar, driven by the world as a node is."""

    place: Place
    manner: str
    network: Network
    rng: Random
    fellows: list[Contact]
    victims: list[Contact]
    contact: Contact = field(init=False)
    _sessions: PlainSessions = field(init=False)
    _out: deque[tuple[bytes, Address]] = field(default_factory=deque)
    _greet_at: float = 0.0

    def __post_init__(self) -> None:
        self.contact = self.place.contact
        self._sessions = PlainSessions(self.place.key, self.network, self.rng.randbytes, self.rng)

    def receive_datagram(self, data: bytes, address: Address, now: float) -> None:
        """Answer whatever may be answered."""
        try:
            opened = self._sessions.open_untrusted(data, address, now)
            message = messages.decode_untrusted(opened.message) if opened is not None else None
        except BadMessage:
            return
        if opened is None or message is None:
            return
        if isinstance(message, messages.Found):
            self._ask(opened.peer, messages.Ping(self.rng.getrandbits(32), self.contact.r), now)
        if not isinstance(message, messages.Request):
            return
        answer = self._answer(opened, message, EPOCH + int(now))
        if answer is not None:
            self._out.append((self._sessions.seal_reply(opened, messages.encode(answer), now), address))

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Address]]:
        out = [*self._out, *self._sessions.datagrams_to_send()]
        self._out.clear()
        return out

    def next_event(self) -> Event | None:
        return None

    def next_timeout(self) -> float:
        return self._greet_at if self.victims else inf

    def handle_timeouts(self, now: float) -> None:
        """Make ourselves known; a ping after the answer confirms the session, and with it our address."""
        self._greet_at = now + GREETING_SECONDS * self.rng.uniform(0.5, 1.5)
        for victim in self.rng.sample(self.victims, min(GREETED, len(self.victims))):
            question = messages.Find(self.rng.getrandbits(32), self.contact.r, self.contact.id)
            self._ask(Peer(victim.address, victim.public), question, now)

    def _ask(self, peer: Peer, question: messages.Request, now: float) -> None:
        self._out.append((self._sessions.seal(peer, messages.encode(question), now), peer.address))

    def _answer(self, opened: Opened, request: messages.Request, wall: int) -> messages.Answer | None:
        seen = pack_address(opened.peer.address)
        match request:
            case messages.Ping():
                return messages.Pong(request.tx, wall, seen)
            case messages.Find():
                return messages.Found(request.tx, wall, seen, self._named(request.target))
            case messages.Get():
                return self._got(request, wall, seen)
            case messages.Put():
                return messages.PutDone(request.tx, wall, seen, 0, 0)
        return None

    def _got(self, request: messages.Get, wall: int, seen: bytes) -> messages.Got:
        contacts = self._named(request.topic) if request.contacts else b""
        if self.manner == "fake":
            record = self.rng.randbytes(200)
            return messages.Got(request.tx, wall, seen, (record,), limits.TOPIC_RECORDS, 20_000, contacts[: 39 * 8])
        return messages.Got(request.tx, wall, seen, (), 0, 0, contacts)

    def _named(self, target: bytes) -> bytes:
        """Fellows, or contacts out of thin air that lie as near to the target as their makers could get them."""
        if self.manner == "endless":
            hosts = [".".join(map(str, (self.rng.randrange(1, 120), *self.rng.randbytes(3)))) for _ in range(NAMED)]
            made = [Contact(self.rng.randbytes(32), host, PORT, self.rng.randrange(8)) for host in hosts]
            return b"".join(contact.packed for contact in made)
        wanted = int.from_bytes(target, "big")
        nearest = sorted(
            self.rng.sample(self.fellows, min(200, len(self.fellows))), key=lambda one: one.long_id ^ wanted
        )
        return b"".join(contact.packed for contact in nearest[:NAMED])


def besiege(
    world: World, target: bytes, hosts: list[list[str]], ids_per_host: int, *, victims: list[Contact] | None = None
) -> int:
    """Liars near `target`: for each subnet, a list of hosts, `ids_per_host` on the best of them. Returns how many.

    They make themselves known to `victims`, or else to the honest nodes near the target.
    """
    rng = world.rng("liars")
    if victims is None:
        near = sorted(world.contacts(), key=lambda contact: contact.long_id ^ int.from_bytes(target, "big"))
        victims = near[: 3 * GREETED]
    places = [best_place(target, subnet, PORT + number, rng) for subnet in hosts for number in range(ids_per_host)]
    fellows = [place.contact for place in places]
    for place, manner in zip(places, cycle(MANNERS), strict=False):
        liar = Liar(place, manner, world.network, Random(rng.getrandbits(64)), fellows, victims)
        world.enter(liar, place.contact.address)
    return len(places)
