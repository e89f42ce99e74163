"""Nodes that lie: they stand near a key, make themselves known, and answer so that nothing is found.

A liar has a real place: its id follows from its address and key as everybody's does, so it stands near a key only by
trying addresses and keys. Each one greets honest nodes near the key (that is how it gets into their tables), names
nobody but its fellows, and says to every put that the record is stored. To a get it answers by its manner:

    empty     no records
    fake      records that hold nothing, and a claim of many more
    endless   no records, and ever new contacts that do not exist, nearer to the key than any that does
    slow      no records, as late as an answer still counts
    inventive as many records as a key may hold, page after page: rightly signed, by sellers whom the liars invented
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush, heapreplace
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

MANNERS = ("empty", "fake", "endless", "slow")
INVENTIVE = "inventive"
PAGE = 3  # records in one of its answers
KEYS_TRIED = 64  # for each place
PHANTOMS = 1000  # contacts that do not exist, made once
PHANTOM_TRIES = 2**21  # addresses tried for all of them
GREETED = 24  # honest nodes that a liar makes itself known to, each time
GREETING_SECONDS = 20.0  # between two rounds of a liar, at least
GREETINGS_PER_SECOND = 200  # of all liars: more would only meet the rate limits of the greeted
LATE_SECONDS = (0.8, 2.8)  # after which the slow ones answer
KEY_BITS = 235  # of an id: those above them are the address's
NAMED = 20  # contacts in a liar's answer


@dataclass(frozen=True, slots=True)
class Place:
    """Where a liar stands: its contact, and the key that goes with it."""

    contact: Contact
    key: ExchangeKey


def best_places(target: bytes, hosts: list[str], count: int, rng: Random) -> list[Place]:
    """`count` places near `target`, on the best of `hosts` first, each host with the best of its eight ids."""
    wanted = int.from_bytes(target, "big")
    empty = bytes(32)
    stands = [min((_distance(wanted, empty, ip_of(host), r) >> KEY_BITS, host, r) for r in range(8)) for host in hosts]
    stands.sort()
    places = []
    for number in range(count):
        _, host, r = stands[number % len(stands)]
        keys = [ExchangeKey(rng.randbytes(32)) for _ in range(KEYS_TRIED)]
        key = min(keys, key=lambda key: _distance(wanted, key.public, ip_of(host), r))
        places.append(Place(Contact(key.public, host, PORT + number // len(stands), r), key))
    return places


def phantoms(target: bytes, network: Network, rng: Random) -> list[Contact]:
    """Contacts nobody is at. Any address may be named, so they stand nearer to `target` than who must own his."""
    wanted = int.from_bytes(target, "big") >> KEY_BITS
    empty = bytes(32)
    best: list[tuple[int, bytes, int]] = []
    for _ in range(PHANTOM_TRIES):
        ip = rng.randbytes(4)
        r = ip[3] & 7
        off = int.from_bytes(node_id(empty, ip, r), "big") >> KEY_BITS ^ wanted
        if len(best) < PHANTOMS:
            heappush(best, (-off, ip, r))
        elif off < -best[0][0]:
            heapreplace(best, (-off, ip, r))
    hosts = [(".".join(map(str, ip)), r) for _, ip, r in best]
    return [Contact(rng.randbytes(32), host, PORT, r) for host, r in hosts if network.admits(host, PORT)]


def ip_of(host: str) -> bytes:
    ip = parse_ip(host)
    assert ip is not None
    return ip.packed


def _distance(target: int, public: bytes, ip: bytes, r: int) -> int:
    return int.from_bytes(node_id(public, ip, r), "big") ^ target


@dataclass(slots=True, eq=False)
class Liar:
    """One liar, driven by the world as a node is."""

    place: Place
    manner: str
    network: Network
    rng: Random
    fellows: list[Contact]
    invented: list[Contact]
    victims: list[Contact]
    pause: float  # between two rounds of greetings
    now: float
    records: Sequence[bytes]  # of sellers who do not exist
    contact: Contact = field(init=False)
    _sessions: PlainSessions = field(init=False)
    _out: list[tuple[float, int, bytes, Address]] = field(default_factory=list)  # when, and in which order
    _count: int = 0
    _greet_at: float = field(init=False)

    def __post_init__(self) -> None:
        self.contact = self.place.contact
        self._greet_at = self.now + self.pause * self.rng.random()
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
            late = self.rng.uniform(*LATE_SECONDS) if self.manner == "slow" else 0.0
            self._send(now + late, self._sessions.seal_reply(opened, messages.encode(answer), now), address)

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Address]]:
        out = self._sessions.datagrams_to_send()
        while self._out and self._out[0][0] <= now:
            _, _, data, address = heappop(self._out)
            out.append((data, address))
        return out

    def next_event(self) -> Event | None:
        return None

    def next_timeout(self) -> float:
        return min(self._greet_at if self.victims else inf, self._out[0][0] if self._out else inf)

    def handle_timeouts(self, now: float) -> None:
        """Make ourselves known; a ping after the answer confirms the session, and with it our address."""
        if now < self._greet_at or not self.victims:
            return
        self._greet_at = now + self.pause * self.rng.uniform(0.5, 1.5)
        for victim in self.rng.sample(self.victims, min(GREETED, len(self.victims))):
            question = messages.Find(self.rng.getrandbits(32), self.contact.r, self.contact.id)
            self._ask(Peer(victim.address, victim.public), question, now)

    def _ask(self, peer: Peer, question: messages.Request, now: float) -> None:
        self._send(now, self._sessions.seal(peer, messages.encode(question), now), peer.address)

    def _send(self, when: float, data: bytes, address: Address) -> None:
        self._count += 1
        heappush(self._out, (when, self._count, data, address))

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
        if self.manner == INVENTIVE:
            total = min(len(self.records), limits.TOPIC_RECORDS)
            start = self.place.contact.id[31] + request.skip
            page = tuple(self.records[(start + n) % len(self.records)] for n in range(min(PAGE, total - request.skip)))
            return messages.Got(request.tx, wall, seen, page, total, total, contacts[: 39 * 4])
        if self.manner == "fake":
            record = self.rng.randbytes(200)
            return messages.Got(request.tx, wall, seen, (record,), limits.TOPIC_RECORDS, 20_000, contacts[: 39 * 8])
        return messages.Got(request.tx, wall, seen, (), 0, 0, contacts)

    def _named(self, target: bytes) -> bytes:
        """Fellows, or contacts that do not exist."""
        if self.manner == "endless":
            return b"".join(contact.packed for contact in self.rng.sample(self.invented, NAMED))
        wanted = int.from_bytes(target, "big")
        some = self.rng.sample(self.fellows, min(200, len(self.fellows)))
        nearest = sorted(some, key=lambda one: one.long_id ^ wanted)
        return b"".join(contact.packed for contact in nearest[:NAMED])


def besiege(
    world: World,
    target: bytes,
    hosts: list[list[str]],
    ids_per_subnet: int,
    *,
    victims: list[Contact] | None = None,
    records: Sequence[bytes] = (),
) -> int:
    """Liars near `target`: for each subnet, a list of hosts, `ids_per_subnet` on the best of them. Returns how many.

    They make themselves known to `victims`, or else to the honest nodes near the target. With `records` of invented
    sellers every other one is inventive.
    """
    rng = world.rng("liars")
    if victims is None:
        near = sorted(world.contacts(), key=lambda contact: contact.long_id ^ int.from_bytes(target, "big"))
        victims = near[: 3 * GREETED]
    places = [place for subnet in hosts for place in best_places(target, subnet, ids_per_subnet, rng)]
    fellows = [place.contact for place in places]
    invented = phantoms(target, world.network, rng)
    pause = max(GREETING_SECONDS, len(places) * min(GREETED, len(victims)) / GREETINGS_PER_SECOND)
    manners = [each for manner in MANNERS for each in (INVENTIVE, manner)] if records else MANNERS
    for place, manner in zip(places, cycle(manners), strict=False):
        chance = Random(rng.getrandbits(64))
        liar = Liar(place, manner, world.network, chance, fellows, invented, victims, pause, world.now, records)
        world.enter(liar, place.contact.address)
    return len(places)
