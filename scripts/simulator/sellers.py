"""Sellers in a simulated crowd: they announce, refresh within the hour as a daemon does, and are read by others."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from p2pmarket import limits, records
from p2pmarket.dht import topics
from p2pmarket.keys import SigningKey
from simulator.crowd import Crowd, Get
from simulator.figures import mean
from simulator.world import Member

CATEGORY = "simulated goods"


@dataclass(slots=True, eq=False)
class Seller:
    """One seller, at one node."""

    member: Member
    key: SigningKey
    seq: int = 0


class Market:
    """The sellers of one category, and those who look for them."""

    def __init__(self, crowd: Crowd, category: str = CATEGORY) -> None:
        self.crowd = crowd
        self.category = category
        self.sellers: list[Seller] = []

    def open(self, count: int, *, members: list[Member] | None = None, refresh: bool = True) -> None:
        """`count` sellers announce, at as many random nodes or at `members`; half a minute passes for it."""
        world = self.crowd.world
        places = members or self.crowd.some(count)
        self.sellers += [Seller(member, SigningKey(self.crowd.rng.randbytes(32))) for member in places]
        for number, seller in enumerate(self.sellers[-count:]):
            begin = self._announce_and_again if refresh else self.announce
            world.call_at(world.now + 30 * number / count, partial(begin, seller))
        world.run_until(world.now + 40)
        self.crowd.say(f"{count} sellers have announced")

    def announce(self, seller: Seller) -> None:
        """Sign and put the next record of a seller."""
        if not seller.member.alive:
            return
        record = self.record(seller)
        world = self.crowd.world
        for topic in topics.publish_keys(world.network, record.announcement, world.wall):
            seller.member.node.start_put(topic, record.envelope, world.now)
        world.flush(seller.member)

    def record(self, seller: Seller) -> records.Record:
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
            withdrawn=False,
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

    def _announce_and_again(self, seller: Seller) -> None:
        self.announce(seller)
        spread = self.crowd.rng.uniform(-limits.REFRESH_JITTER_SECONDS, limits.REFRESH_JITTER_SECONDS)
        self.crowd.world.call_at(
            self.crowd.world.now + limits.REFRESH_SECONDS + spread, partial(self._announce_and_again, seller)
        )
