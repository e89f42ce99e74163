"""Sellers in a simulated crowd: they announce, refresh within the hour as a daemon does, and are read by others.

A seller works at a node of the crowd, or as a *visitor*: a client with an address of his own that knows some nodes,
publishes and leaves. A market of thousands is made of visitors, each in a /24 of his own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import inf

from p2pmarket import limits, records
from p2pmarket.dht import topics
from p2pmarket.dht.contact import Address, Contact
from p2pmarket.dht.events import Event
from p2pmarket.keys import SigningKey
from simulator.crowd import Crowd, Get
from simulator.figures import mean
from simulator.world import PORT, Member

CATEGORY = "simulated goods"
VISITOR_CONTACTS = 20  # nodes that a visitor knows
SIZES_SEEN = 8  # lookups that told him how large the network is


class Gone:
    """What is left of a visitor."""

    contact: Contact | None = None

    def receive_datagram(self, data: bytes, address: Address, now: float) -> None:
        """Nobody is there."""

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Address]]:
        return []

    def next_event(self) -> Event | None:
        return None

    def next_timeout(self) -> float:
        return inf

    def handle_timeouts(self, now: float) -> None:
        """Nothing is due."""


@dataclass(slots=True, eq=False)
class Seller:
    """One seller, at one node or as a visitor."""

    member: Member  # of a visitor: the last one he came as
    key: SigningKey
    visiting: bool = False
    seq: int = 0


class Market:
    """The sellers of one category, and those who look for them."""

    def __init__(self, crowd: Crowd, category: str = CATEGORY) -> None:
        self.crowd = crowd
        self.category = category
        self.sellers: list[Seller] = []
        self._hosts: list[Contact] = []
        self._targets: list[tuple[int, list[int]]] = []

    def open(self, count: int, *, members: list[Member] | None = None, refresh: bool = True) -> None:
        """`count` sellers announce, at as many random nodes or at `members`; half a minute passes for it."""
        places = members or self.crowd.some(count)
        self.sellers += [Seller(member, self._key()) for member in places]
        self.announce_all(self.sellers[-count:], 30, refresh=refresh)
        self.crowd.say(f"{count} sellers have announced")

    def visit(self, count: int) -> None:
        """`count` more sellers who come as visitors; they do not announce yet."""
        world = self.crowd.world
        for _ in range(count):
            nowhere = Member(-1, (world.new_host(), PORT), Gone(), world.now, alive=False)
            self.sellers.append(Seller(nowhere, self._key(), visiting=True))

    def strangers(self, member: Member, count: int) -> list[Seller]:
        """Sellers with keys of their own who name `member` as theirs; they are not of this market."""
        return [Seller(member, self._key()) for _ in range(count)]

    def announce_all(self, sellers: list[Seller], seconds: float, *, refresh: bool = False) -> None:
        """Each announces once within so many seconds, and again and again if he is to `refresh`."""
        world = self.crowd.world
        for number, seller in enumerate(sellers):
            begin = self._announce_and_again if refresh else self.announce
            world.call_at(world.now + seconds * number / len(sellers), partial(begin, seller))
        world.run_until(world.now + seconds + 10)

    def announce(self, seller: Seller, *, withdrawn: bool = False) -> None:
        """Sign and put the next record of a seller."""
        if seller.visiting:
            seller.member = self._visitor(seller.member.address)
        member = seller.member
        if not member.alive:
            return
        record = self.record(seller, withdrawn=withdrawn)
        world = self.crowd.world
        puts = [
            member.node.start_put(topic, record.envelope, world.now)
            for topic in topics.publish_keys(world.network, record.announcement, world.wall)
        ]
        if seller.visiting:
            self.crowd.after_puts(member, puts, partial(self._leave, member))
        world.flush(member)

    def record(self, seller: Seller, *, withdrawn: bool = False) -> records.Record:
        """The next record of a seller, valid for a day."""
        world = self.crowd.world
        seller.seq += 1
        announcement = records.Announcement(
            epoch=0,
            seq=seller.seq,
            issued=world.wall,
            expires=world.wall + limits.RECORD_SECONDS,
            category=self.category,
            regions=(records.WORLD,),
            located=None,
            name=f"Seller {seller.member.index}",
            service_key=seller.key.public,
            routes=(records.direct_route(*seller.member.address),),
            versions=(1, 1),
            withdrawn=withdrawn,
        )
        return records.make_announcement(seller.key, world.network, announcement)

    def read(self, count: int, *, readers: list[Member] | None = None, spread: float = 2.0) -> list[Get]:
        """`count` reads that want all sellers."""
        return self.crowd.gets(count, self.keys(), len(self.sellers), spread=spread, readers=readers)

    def keys(self) -> tuple[bytes, ...]:
        """What a reader asks for now."""
        world = self.crowd.world
        return topics.read_keys(world.network, self.category, None, world.wall)

    def found_ratio(self, gets: list[Get], among: list[Seller] | None = None) -> float:
        """The share of `among` (all sellers) that each read found, on average."""
        wanted = {seller.key.public for seller in (self.sellers if among is None else among)}
        return mean([len(get.found & wanted) / len(wanted) for get in gets])

    def _key(self) -> SigningKey:
        return SigningKey(self.crowd.rng.randbytes(32))

    def _visitor(self, address: Address) -> Member:
        """A client at this address, as it is when it has been in the network before."""
        world = self.crowd.world
        if not self._hosts:
            self._hosts = world.contacts()
            self._targets = [(target, self._distances(target)) for target in map(self._random_id, range(SIZES_SEEN))]
        member = world.add(address=address, reachable=False)
        for target, distances in self._targets:
            member.node.size.seen(target, distances, exact=False)
        for host in self.crowd.rng.sample(self._hosts, min(VISITOR_CONTACTS, len(self._hosts))):
            member.node.table.heard(host, world.now)
        return member

    def _random_id(self, _: int) -> int:
        return int.from_bytes(self.crowd.rng.randbytes(32), "big")

    def _distances(self, target: int) -> list[int]:
        """Of the nearest nodes, as a lookup would have found them."""
        return sorted(contact.long_id ^ target for contact in self._hosts)[: limits.BUCKET_CONTACTS]

    def _leave(self, member: Member) -> None:
        self.crowd.world.kill(member)
        member.driven = Gone()

    def _announce_and_again(self, seller: Seller) -> None:
        self.announce(seller)
        spread = self.crowd.rng.uniform(-limits.REFRESH_JITTER_SECONDS, limits.REFRESH_JITTER_SECONDS)
        self.crowd.world.call_at(
            self.crowd.world.now + limits.REFRESH_SECONDS + spread, partial(self._announce_and_again, seller)
        )
