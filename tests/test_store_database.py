"""The thread that owns a file: groups of works, their errors, a full disk, and the end."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from p2pmarket.errors import DiskFull, LedgerCorrupt, NotFound, StoreError, Unavailable
from p2pmarket.limits import STORE_QUEUE
from p2pmarket.store.database import GROUP, Database

STEPS = ("CREATE TABLE a (x INTEGER PRIMARY KEY, y BLOB);\n",)
Connection = sqlite3.Connection
Work = Callable[[Connection], Any]


def database(path: Path, *, full_sync: bool = False) -> Database[Connection]:
    return Database(path, STEPS, lambda connection: connection, full_sync=full_sync)


@pytest.fixture
async def store(tmp_path: Path) -> Any:
    with database(tmp_path / "some.sqlite").open() as opened:
        yield opened


def put(x: int, y: bytes = b"") -> Work:
    return lambda db: db.execute("INSERT INTO a VALUES (?, ?)", (x, y)).rowcount


def all_rows(db: Connection) -> list[int]:
    return [x for (x,) in db.execute("SELECT x FROM a ORDER BY x")]


def on_disk(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as connection:
        return all_rows(connection)


class Gate:
    """A work that holds the thread until it is told to go on, so that others gather behind it."""

    def __init__(self) -> None:
        self.entered, self._go = threading.Event(), threading.Event()

    def __call__(self, db: Connection) -> None:
        self.entered.set()
        assert self._go.wait(20)

    async def held(self) -> None:
        await trio.to_thread.run_sync(self.entered.wait, 20)

    def open(self) -> None:
        self._go.set()


async def in_one_group(store: Database[Connection], works: list[Work]) -> list[Any]:
    """Run works that wait together; their results or errors, in order."""
    gate, results = Gate(), [None] * len(works)

    async def run(place: int, work: Work) -> None:
        try:
            results[place] = await store.run(work)
        except Exception as error:  # noqa: BLE001 the test looks at it
            results[place] = error  # type: ignore[call-overload]

    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.run, gate)
        await gate.held()
        for place, work in enumerate(works):
            nursery.start_soon(run, place, work)
            await trio.testing.wait_all_tasks_blocked()  # queued in this order
        gate.open()
    return results


# Groups


async def test_a_result_and_what_it_saved(store: Database[Connection]) -> None:
    assert await store.run(put(1)) == 1
    assert await store.run(all_rows) == [1]
    assert on_disk(store.path) == [1]


async def test_works_that_gather_share_a_commit_and_keep_their_order(store: Database[Connection]) -> None:
    before = store.commits
    seen = await in_one_group(store, [lambda db, x=x: put(x)(db) and all_rows(db) for x in range(10)])  # type: ignore[misc]
    assert seen == [list(range(x + 1)) for x in range(10)]
    assert store.commits == before + 1


async def test_reading_is_no_commit(store: Database[Connection]) -> None:
    await store.run(all_rows)
    assert store.commits == 0


async def test_a_work_that_raises_undoes_only_its_own_changes(store: Database[Connection]) -> None:
    class Ours(Exception):
        pass

    def fail(error: Exception) -> Work:
        def work(db: Connection) -> None:
            put(100)(db)
            db.execute("DELETE FROM a WHERE x = 1")
            raise error

        return work

    works = [put(1), fail(Ours()), put(2), fail(NotFound("x")), put(1), lambda db: db.execute("nonsense"), put(3)]
    results = await in_one_group(store, works)
    assert [type(result) for result in results] == [int, Ours, int, NotFound, StoreError, StoreError, int]
    assert on_disk(store.path) == [1, 2, 3]


async def test_more_works_than_a_group(store: Database[Connection]) -> None:
    count = 2 * GROUP + 10
    before = store.commits
    assert await in_one_group(store, [put(x) for x in range(count)]) == [1] * count
    assert on_disk(store.path) == list(range(count))
    assert store.commits - before == 3


async def test_a_queue_at_the_limit_and_one_over(store: Database[Connection]) -> None:
    gate = Gate()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.run, gate)
        await gate.held()
        for _ in range(STORE_QUEUE):
            nursery.start_soon(store.run, all_rows)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(Unavailable):
            await store.run(put(1))
        gate.open()
    assert await store.run(all_rows) == []


async def test_a_caller_that_is_cancelled_learns_first_that_it_is_saved(store: Database[Connection]) -> None:
    gate, told = Gate(), []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.run, gate)
        await gate.held()

        async def save() -> None:
            with trio.CancelScope() as scope:
                scope.cancel()
                told.append(await store.run(put(7)))

        nursery.start_soon(save)
        await trio.testing.wait_all_tasks_blocked()
        gate.open()
    assert told == [1]


# Beginning and end


async def test_works_that_are_queued_at_the_end_are_done(tmp_path: Path) -> None:
    path = tmp_path / "some.sqlite"
    gate, results = Gate(), []

    async def run(store: Database[Connection], x: int) -> None:
        results.append(await store.run(put(x)))

    async with trio.open_nursery() as nursery:
        with database(path).open() as store:
            nursery.start_soon(store.run, gate)
            await gate.held()
            for x in range(100):
                nursery.start_soon(run, store, x)
            await trio.testing.wait_all_tasks_blocked()
            threading.Timer(0.05, gate.open).start()  # the end of the block waits for the thread
        with pytest.raises(Unavailable):
            await store.run(all_rows)
    assert results == [1] * 100
    assert on_disk(path) == list(range(100))


async def test_nothing_is_taken_before_it_is_open(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        await database(tmp_path / "some.sqlite").run(all_rows)


async def test_a_damaged_file_is_an_error_of_opening(tmp_path: Path) -> None:
    (tmp_path / "some.sqlite").write_bytes(b"garbage" * 1000)
    with pytest.raises(LedgerCorrupt), database(tmp_path / "some.sqlite").open():
        pytest.fail("it was opened")


async def test_a_fault_of_ours_while_opening_is_not_a_hang(tmp_path: Path) -> None:
    def wrap(connection: Connection) -> Connection:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), Database(tmp_path / "a", STEPS, wrap, full_sync=True).open():
        pytest.fail("it was opened")


async def test_a_work_that_ends_the_transaction_hurts_nobody_for_long(store: Database[Connection]) -> None:
    """As SQLite itself does on some errors: the group fails as a whole, and the next one works."""

    def end(db: Connection) -> None:
        db.execute("ROLLBACK")
        raise sqlite3.OperationalError("the disk fails")

    results = await in_one_group(store, [put(1), end, put(2)])
    assert [type(result) for result in results] == [StoreError] * 3
    assert "the disk fails" in str(results[0])
    assert await store.run(put(3)) == 1
    assert on_disk(store.path) == [3]


# A full disk


async def test_a_full_file_is_told_and_loses_nothing(store: Database[Connection]) -> None:
    await store.run(lambda db: db.execute("PRAGMA max_page_count=20"))
    saved: list[int] = []

    async def save_on() -> None:
        for x in range(100):
            await store.run(put(x, bytes(4000)))
            saved.append(x)

    with pytest.raises(DiskFull):
        await save_on()
    assert 5 < len(saved) < 20
    assert on_disk(store.path) == saved
    works = [put(1000), put(1001, bytes(8000)), put(1002)]
    results = await in_one_group(store, works)  # SQLite ends the whole transaction: all of the group may come again
    assert isinstance(results[1], DiskFull)
    acknowledged = [x for x, result in zip((1000, 1001, 1002), results, strict=True) if result == 1]
    assert on_disk(store.path) == saved + acknowledged
    await store.run(lambda db: db.execute("PRAGMA max_page_count=1000"))
    await store.run(put(2000, bytes(4000)))
    assert on_disk(store.path) == [*saved, *acknowledged, 2000]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB, if we may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(place)]
    if os.getuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs to mount a small file system")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


async def test_a_full_disk(small_disk: Path) -> None:
    """Filled by somebody else again and again: what was acknowledged is there, and it goes on when there is room."""
    path, ballast = small_disk / "some.sqlite", small_disk / "ballast"
    saved: list[int] = []
    refused = 0
    numbers = iter(range(10**6))

    async def save(store: Database[Connection], x: int) -> None:
        nonlocal refused
        try:
            await store.run(put(x, os.urandom(3000)))
        except DiskFull:
            refused += 1
        else:
            saved.append(x)

    for _ in range(10):
        with database(path, full_sync=True).open() as store:
            for free in (30_000, 70_000, 200_000):
                fill(ballast, free)
                before = refused
                while refused == before:
                    async with trio.open_nursery() as nursery:
                        for _ in range(5):
                            nursery.start_soon(save, store, next(numbers))
                assert await store.run(all_rows) == sorted(saved)  # reading goes on
                ballast.unlink()
                await store.run(put(x := next(numbers)))
                saved.append(x)
                await store.run(lambda db: db.execute("UPDATE a SET y = NULL"))
        assert on_disk(path) == sorted(saved)
    assert refused >= 30


async def test_a_disk_that_is_full_from_the_beginning(small_disk: Path) -> None:
    path = small_disk / "some.sqlite"
    fill(small_disk / "ballast", 8192)
    with pytest.raises(DiskFull), database(path).open():
        pytest.fail("it was opened")
    (small_disk / "ballast").unlink()
    with database(path).open() as store:
        await store.run(put(1))
    assert on_disk(path) == [1]


def fill(ballast: Path, free: int) -> None:
    """Take all room but `free` bytes."""
    room = os.statvfs(ballast.parent)
    with suppress(OSError):
        ballast.write_bytes(bytes(max(0, room.f_bavail * room.f_bsize - free)))
