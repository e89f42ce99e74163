"""The event bus over a real ledger: without a gap, in order, told after the commit, and bounded."""

from __future__ import annotations

import ast
import re
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import trio
import trio.testing

from p2pmarket.api import types as t
from p2pmarket.errors import NotFound, StoreError, Unavailable
from p2pmarket.limits import EVENT_QUEUE, STREAMS
from p2pmarket.market.events import Bus, Told
from p2pmarket.market.hooks import run_hook
from p2pmarket.market.notices import NOTICES
from p2pmarket.store.database import Database
from p2pmarket.store.ledger import Ledger, ledger_database
from p2pmarket.store.rows import Event
from p2pmarket.trade import documents as d

ROOT = Path(__file__).resolve().parent.parent
EVENT_WORD = re.compile(
    r"(request|search|seller|delivery|quote|counter|note|order|rating|dispute|proof|thread|payment)\.[a-z_]+"
)

NOTHING_TO_SHOW = "shown to nobody"
SEARCH = t.Search(nodes_asked=0, sellers_found=0, widened_to=[], complete=False)


def render(ledger: Ledger, event: Event) -> Told | None:
    """The event with its number alone."""
    if event.id == NOTHING_TO_SHOW:
        return None
    shown = t.Event(stream="s", seq=event.seq, time="", type="search.progress", id=event.id, data=SEARCH)
    return Told(shown, event.subject)


@dataclass
class Station:
    ledger: Database[Ledger]
    bus: Bus

    async def happen(self, *ids: str) -> None:
        """Events of one work."""

        def write(ledger: Ledger) -> None:
            for id_ in ids:
                ledger.events.add(0, "search.progress", id_, b"subject")

        await self.ledger.run(write)


@pytest.fixture
async def station(tmp_path: Path) -> AsyncIterator[Station]:
    with ledger_database(tmp_path).open() as ledger:
        bus = Bus(ledger, render, "s")
        ledger.harvest, ledger.deliver = bus.harvest, bus.deliver
        yield Station(ledger, bus)


def waiting(receive: trio.MemoryReceiveChannel[Told]) -> list[str]:
    """The ids that a listener has not taken yet."""
    found = []
    while True:
        try:
            found.append(str(receive.receive_nowait().event.id))
        except (trio.WouldBlock, trio.EndOfChannel):
            return found


async def test_events_are_told_once_and_in_order_when_they_are_saved(station: Station) -> None:
    _, one = station.bus.listen()
    await station.happen("a", "b")
    assert waiting(one) == ["a", "b"]  # the writer hears of it after the listeners
    _, two = station.bus.listen()
    await station.happen("c")
    assert (waiting(one), waiting(two)) == (["c"], ["c"])
    assert [told.event.id for told in await station.bus.page(0)] == ["a", "b", "c"]


async def test_what_is_undone_is_not_told(station: Station) -> None:
    _, one = station.bus.listen()

    def undone(ledger: Ledger) -> None:
        ledger.events.add(0, "search.progress", "never", b"")
        raise NotFound("x")

    with pytest.raises(NotFound):
        await station.ledger.run(undone)
    await station.happen("a")
    assert waiting(one) == ["a"]
    assert [told.event.seq for told in await station.bus.page(0)] == [1]


async def test_what_could_not_be_committed_is_not_told(station: Station) -> None:
    _, one = station.bus.listen()

    def lost(ledger: Ledger) -> None:
        ledger.events.add(0, "search.progress", "never", b"")
        ledger.meta._db._connection.execute("ROLLBACK")  # as SQLite does when the disk is full
        raise sqlite3.OperationalError("the disk fails")

    with pytest.raises(StoreError):
        await station.ledger.run(lost)
    await station.happen("a")
    assert waiting(one) == ["a"]


async def test_pages_follow_one_another_without_a_gap(station: Station) -> None:
    ids = [f"{no}" for no in range(50)]
    await station.happen(*ids)
    found: list[str | None] = []
    since = 0
    while page := await station.bus.page(since, 7):
        found += [told.event.id for told in page]
        since = page[-1].event.seq or 0
    assert found == ids


async def test_events_without_an_object_end_no_page(station: Station) -> None:
    await station.happen(*[NOTHING_TO_SHOW] * 30, "a", *[NOTHING_TO_SHOW] * 30, "b", "c")
    page = await station.bus.page(0, 2)
    assert [told.event.id for told in page] == ["a", "b"]
    assert [told.event.id for told in await station.bus.page(page[-1].event.seq or 0, 2)] == ["c"]


async def test_a_slow_listener_is_cut_off_and_misses_nothing(station: Station) -> None:
    _, slow = station.bus.listen()
    _, quick = station.bus.listen()
    ids = [f"{no}" for no in range(EVENT_QUEUE + 1)]
    await station.happen(*ids[:-1])
    assert station.bus.cut_off == 0
    assert waiting(quick) == ids[:-1]
    await station.happen(ids[-1])
    assert station.bus.cut_off == 1
    assert waiting(quick) == ids[-1:]
    got = [told async for told in slow]  # it ends
    assert [told.event.id for told in got] == ids[:-1]
    assert [told.event.id for told in await station.bus.page(got[-1].event.seq or 0)] == ids[-1:]


async def test_a_listener_that_left_is_forgotten(station: Station) -> None:
    _, gone = station.bus.listen()
    listener, stays = station.bus.listen()
    await gone.aclose()
    await station.happen("a")
    assert waiting(stays) == ["a"]
    station.bus.leave(listener)
    station.bus.leave(listener)
    await station.happen("b")
    assert waiting(stays) == []


async def test_listeners_at_the_limit_and_one_over(station: Station) -> None:
    listeners = [station.bus.listen()[0] for _ in range(STREAMS)]
    with pytest.raises(Unavailable):
        station.bus.listen()
    station.bus.leave(listeners[0])
    station.bus.listen()


async def test_progress_is_told_and_not_kept(station: Station) -> None:
    _, one = station.bus.listen()
    event = t.Event(stream="s", seq=None, time="", type="search.progress", id="r", data=SEARCH)
    station.bus.tell(Told(event, b"subject"))
    assert waiting(one) == ["r"]
    assert await station.bus.page(0) == []


async def test_a_hook_that_was_cut_off_goes_on(station: Station, nursery: trio.Nursery, tmp_path: Path) -> None:
    """More events at once than a listener may have waiting: the next one is passed on again."""
    seen = tmp_path / "seen"
    command = ["sh", "-c", f'echo "$MARKET_ID" >> {seen}; cat > /dev/null']
    await nursery.start(run_hook, command, station.bus)
    await station.happen(*["burst"] * (EVENT_QUEUE + 2))
    assert station.bus.cut_off == 1
    await trio.testing.wait_all_tasks_blocked()
    with trio.fail_after(20):
        while not seen.exists() or "after" not in seen.read_text():
            await station.happen("after")
            await trio.sleep(0.05)


async def test_a_cancelled_writer_has_told(station: Station) -> None:
    _, one = station.bus.listen()
    with trio.CancelScope() as scope:
        scope.cancel()
        await station.happen("a")
    assert waiting(one) == ["a"]


# The types


def emitted() -> set[str]:
    """Every type the daemon has a word for: in its code, and made of the papers that it takes."""
    words = set()
    for path in (ROOT / "p2pmarket" / "market").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        constants = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        words |= {word for word in constants if isinstance(word, str) and EVENT_WORD.fullmatch(word)}
    assert len(words) > 15
    papers = [d.KINDS[kind] for kind in NOTICES if kind != d.ORDER_RESPONSE]
    names = {d.NAMES[d.kind_of(paper)] for paper in papers if paper is not d.Payment}
    steps = get_args(get_type_hints(d.Payment)["step"])
    return {*words, *(f"{name}.received" for name in names), *(f"payment.{step}" for step in steps), "end"}


def test_every_type_that_the_daemon_emits_is_in_the_list_that_watch_takes() -> None:
    assert emitted() == set(t.EVENT_TYPES)


def test_the_paper_on_the_api_names_every_type() -> None:
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert [name for name in t.EVENT_TYPES if f"`{name}`" not in text] == []
