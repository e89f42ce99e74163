"""Where a seller is who is not where he was: his announcement is looked up, and he is dialled where it says.

Rules:
- Only sellers are looked for: they announce where they are. A buyer who has moved calls the sellers that he asked.
- Lost is who could not be reached twice in a row while something waits for him, or is expected from him; others are not
  dialled at all. When each is looked for is said in `lost.py`; it is done for one after another.
- A newer announcement of the same identity with the same service key moves the link (`Buying.follow`). Under a crowded
  category one look reads `WHEREABOUTS_READ` announcements, so it may take several to meet his.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import trio

from p2pmarket.clock import wall
from p2pmarket.dht import events as dht
from p2pmarket.dht.topics import read_keys
from p2pmarket.limits import WHEREABOUTS_READ
from p2pmarket.market.buying import Buying
from p2pmarket.market.lost import Lost
from p2pmarket.market.papers import announcement_of
from p2pmarket.open_link import Name
from p2pmarket.records import Record
from p2pmarket.store.database import Database
from p2pmarket.store.ledger import Ledger
from p2pmarket.udp import DhtService

LOOK_SECONDS = 30  # for one look


class Sought(NamedTuple):
    """A seller whom we asked over a link: by which request, and what he announced."""

    request: bytes
    seller: bytes
    category: str


class Whereabouts:
    """Looks for sellers who have moved."""

    def __init__(self, ledger: Database[Ledger], buying: Buying, found: Callable[[Name], None]) -> None:
        self.dht: DhtService  # set before run
        self.remember: Callable[[tuple[Record, ...]], None] = lambda records: None  # what he has announced
        self._ledger, self._buying, self._found = ledger, buying, found
        self._lost = Lost()
        self._news = trio.Event()

    def lost(self, name: Name) -> None:
        """Somebody could not be reached again."""
        if self._lost.add(name, trio.current_time()):
            self._news.set()

    def reached(self, name: Name) -> None:
        """He is there."""
        self._lost.reached(name)

    async def run(self) -> None:
        """Look for whoever is lost, until cancelled."""
        while True:
            self._news = trio.Event()
            for name in self._lost.now_due(trio.current_time()):
                await self._look(name)
            with trio.move_on_at(min(self._lost.due.values(), default=math.inf)):
                await self._news.wait()

    async def _look(self, name: Name) -> None:
        """One look; whoever cannot be reached again after it is lost anew."""
        sought: list[Sought] = await self._ledger.run(partial(self._sought, name=name))
        moved = False
        for one in sought:
            moved |= await self._look_for(one)
        self._lost.looked(name, trio.current_time(), in_vain=bool(sought) and not moved)
        if moved:
            self._found(name)

    def _sought(self, ledger: Ledger, name: Name) -> list[Sought]:
        """Whom we asked over this link: several, if they named one service key."""
        rows = ledger.requests.of_exchange(name[0])
        asked = {one.seller: one for row in rows for one in ledger.requests.asked(row.hash)}  # the last of each
        announced = [(one, announcement_of(one)) for one in asked.values()]
        found = [(one, told) for one, told in announced if told.service_key == name[1]]
        return [Sought(one.request, one.seller, told.category) for one, told in found]

    async def _look_for(self, sought: Sought) -> bool:
        """Whether he has announced another place since."""
        topics = read_keys(self._buying.signer.network, sought.category, None, wall())
        with trio.move_on_after(LOOK_SECONDS):
            async with self.dht.get(topics, WHEREABOUTS_READ) as events:
                async for event in events:
                    if isinstance(event, dht.RecordsFound) and await self._follow(sought, event.records):
                        return True
        return False

    async def _follow(self, sought: Sought, found: tuple[Record, ...]) -> bool:
        his = [record for record in found if record.signer == sought.seller and not record.announcement.withdrawn]
        if not his:
            return False
        self.remember(tuple(his))
        newest = max(his, key=lambda record: record.announcement.issued)
        moved: bool = await self._ledger.run(lambda ledger: self._buying.follow(ledger, sought.request, newest))
        return moved
