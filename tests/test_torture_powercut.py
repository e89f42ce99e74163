"""The ledger outlives power cuts; and the disk that proves it can lose data, or the proof would be none."""

from __future__ import annotations

import sqlite3
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from lossy_disk import SECTOR, Adapter, LossyDisk, Platters
from torture_powercut import torture

from p2pmarket.store.migrate import prepare

FAULTS = ("lost", "doubled", "second_signatures", "damaged")
NO_THREAD_DIES = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")


@NO_THREAD_DIES
def test_nothing_promised_is_lost_by_power_cuts(tmp_path: Path) -> None:
    figures = torture(tmp_path, cycles=25, seed=3)
    assert {name: figures[name] for name in FAULTS} == dict.fromkeys(FAULTS, 0)
    assert figures["cycles"] == 25
    assert isinstance(figures["trades"], int)
    assert figures["trades"] > 5


@NO_THREAD_DIES
def test_a_disk_that_does_not_sync_is_found_out(tmp_path: Path) -> None:
    figures = torture(tmp_path, cycles=10, seed=3, heeds_sync=False)
    assert figures["lost"] or figures["damaged"]


def test_only_what_was_not_synced_can_be_lost_and_it_can() -> None:
    file = Platters(b"kept")
    file.write(4, b" and synced")
    file.sync()
    file.write(0, b"KEPT")
    file.write(20, b"late")
    found = Counter(file.after_cut(Random(seed)) for seed in range(200))
    assert all(content[4:15] == b" and synced" for content in found)
    assert {content[:4] for content in found} == {b"kept", b"KEPT"}
    assert {content[20:] for content in found} == {b"", b"late"}


def test_a_long_write_may_arrive_in_part() -> None:
    file = Platters()
    file.write(0, b"\1" * 4 * SECTOR)
    found = {file.after_cut(Random(seed)) for seed in range(200)}
    assert any(0 < content.count(1) < 4 * SECTOR for content in found)
    assert all(content.count(1) % SECTOR == 0 for content in found)


def test_after_the_cut_every_call_fails() -> None:
    disk = LossyDisk({})
    connection = Adapter(disk, "file")
    connection.execute("CREATE TABLE saved (row)")
    disk.cut_after(1)
    for _ in range(2):
        with pytest.raises(sqlite3.OperationalError, match="no power"):
            connection.execute("INSERT INTO saved VALUES (1)")
    connection.close()


def test_a_cut_while_a_file_is_closed_is_no_error_and_loses_nothing() -> None:
    """Closing copies the log into the file; wherever that is cut short, what was committed is there afterwards."""

    def opened(disk: LossyDisk) -> Adapter:
        connection = Adapter(disk, "file")
        prepare(connection, full_sync=True)  # type: ignore[arg-type]
        return connection

    new = LossyDisk({})
    connection = opened(new)
    connection.execute("CREATE TABLE saved (row)")
    connection.close()
    calls = cuts = 0
    while cuts == calls:  # until closing is over before the cut
        calls += 1
        disk = LossyDisk({"file": new.image()["file"]})
        connection = opened(disk)
        connection.execute("INSERT INTO saved VALUES (1)")
        disk.cut_after(calls)
        connection.close()
        cuts += disk.without_power
        again = opened(LossyDisk(disk.image_after_cut(Random(calls))))
        assert again.execute("SELECT row FROM saved").fetchone() == (1,)
        again.close()
    assert cuts > 2
