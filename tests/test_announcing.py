"""Announcements kept alive: what is taken back, changed or asked for while they are being published is not lost."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import trio
from market_world import Clock
from trade_world import key

from p2pmarket import records
from p2pmarket.clock import wall
from p2pmarket.config import Flags, load_config
from p2pmarket.dht import events as dht
from p2pmarket.market import readback as readback_module
from p2pmarket.market.announcing import LIFE_SECONDS, Announcer
from p2pmarket.market.keyring import KeyRing
from p2pmarket.market.papers import Signer
from p2pmarket.market.readback import ReadBack, Seen
from p2pmarket.network import TEST
from p2pmarket.store.database import Database
from p2pmarket.store.ledger import Ledger, ledger_database
from p2pmarket.store.rows import Announced
from p2pmarket.udp import DhtService


class Holders:
    """A network that takes every record, and in which something happens meanwhile: a real one is too quick for that."""

    def __init__(self) -> None:
        self.took: list[records.Announcement] = []
        self.meanwhile: list[Callable[[], Awaitable[object]]] = []
        self._more = trio.Event()

    async def put(self, topic: bytes, envelope: bytes, wide: int = 1) -> dht.PutDone:
        while self.meanwhile:
            await self.meanwhile.pop(0)()
        await trio.lowlevel.checkpoint()
        self.took.append(records.record_untrusted(envelope, TEST, wall()).announcement)
        self._more.set()
        self._more = trio.Event()
        return dht.PutDone(1, 3, 0, 3)

    async def until(self, look: Callable[[records.Announcement], bool]) -> records.Announcement:
        """The first record taken that is so."""
        with trio.fail_after(5):
            while not any(map(look, self.took)):
                await self._more.wait()
        return next(filter(look, self.took))


Kept = tuple[Announcer, Database[Ledger], Holders]


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Kept]:
    """An announcer with `ice` and `tea` announced, not running yet."""
    with ledger_database(tmp_path).open() as ledger:
        signer = Signer(TEST, key("me"), KeyRing(), random.Random(1).randbytes)
        await ledger.run(lambda tx: signer.keyring.load(tx, signer.secrets, wall()))
        announcer, holders = Announcer(ledger, signer, lambda: ()), Holders()
        announcer.dht = holders  # type: ignore[assignment]
        for category in ("ice", "tea"):
            await announce(announcer, ledger, category, "world")
        yield announcer, ledger, holders


async def announce(announcer: Announcer, ledger: Database[Ledger], category: str, region: str) -> None:
    await ledger.run(lambda tx: announcer.announce(tx, category, [region]))


async def test_what_is_taken_back_while_another_is_published_stays_taken_back(
    kept: Kept, nursery: trio.Nursery
) -> None:
    announcer, ledger, holders = kept
    first, second = [row.category for row in await ledger.run(lambda tx: tx.announcements.all())]
    holders.meanwhile.append(lambda: ledger.run(lambda tx: announcer.withdraw(tx, second)))
    nursery.start_soon(announcer.run)
    await holders.until(lambda told: told.category == second)
    assert [(told.category, told.withdrawn) for told in holders.took][-1] == (second, True)
    assert (await ledger.run(lambda tx: tx.announcements.get(second))).state == "withdrawn"
    assert (await ledger.run(lambda tx: tx.announcements.get(first))).state == "announced"


async def test_what_is_changed_while_it_is_published_is_published_again(kept: Kept, nursery: trio.Nursery) -> None:
    announcer, ledger, holders = kept

    async def change() -> None:
        await announce(announcer, ledger, "ice", "KR")
        nursery.start_soon(announcer.publish, "ice")

    holders.meanwhile.append(change)
    nursery.start_soon(announcer.run)
    told = await holders.until(lambda told: told.category == "ice" and told.regions == ("KR",))
    assert told.seq == max(one.seq for one in holders.took if one.category == "ice")


async def test_a_new_address_while_a_record_is_published_publishes_it_again(kept: Kept, nursery: trio.Nursery) -> None:
    announcer, _, holders = kept

    async def move() -> None:
        announcer.refresh()

    holders.meanwhile.append(move)
    nursery.start_soon(announcer.run)
    first = await holders.until(lambda told: told.category == "ice")
    await holders.until(lambda told: told.category == "ice" and told.seq > first.seq)


async def test_an_announcement_that_expired_while_the_machine_slept_is_still_compared(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    announcer, ledger, _ = kept
    config = load_config(Flags(home=str(tmp_path), network="test"), {})
    own: DhtService = announcer.dht
    reader = ReadBack(config, ledger, Signer(TEST, key("me"), KeyRing(), random.Random(1).randbytes), announcer, own)
    row: Announced = await ledger.run(lambda tx: tx.announcements.get("tea"))
    seen = Seen(records.record_untrusted(row.envelope, TEST, wall()), 8)
    announcer.hidden.add("tea")
    monkeypatch.setattr(readback_module, "wall", Clock(wall() + LIFE_SECONDS + 1))
    await reader._conclude(row, seen)
    assert announcer.hidden == set()
