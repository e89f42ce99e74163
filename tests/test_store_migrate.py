"""Opening store files: made whole, brought to the newest schema, or refused and left as they are."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from p2pmarket.errors import LedgerCorrupt, LedgerNewer, StoreError
from p2pmarket.store.migrate import open_migrated, statements, steps_of

STEPS = (
    "CREATE TABLE a (x INTEGER);\nINSERT INTO a VALUES (1);\n",
    "ALTER TABLE a ADD COLUMN y TEXT;\nCREATE TABLE b (z BLOB);\n-- a comment; with a semicolon\nDROP TABLE b;\n",
    "CREATE INDEX a_by_x ON a (x);\nUPDATE a SET y = 'three';\n",
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.sqlite"


def reopen(path: Path, steps: tuple[str, ...] = STEPS) -> sqlite3.Connection:
    return open_migrated(path, steps, full_sync=True)


def make(path: Path, steps: tuple[str, ...] = STEPS) -> None:
    reopen(path, steps).close()


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return [*connection.iterdump(), str(connection.execute("PRAGMA user_version").fetchone())]


def content(path: Path) -> dict[str, bytes]:
    """All files of the folder."""
    return {file.name: file.read_bytes() for file in path.parent.iterdir()}


@pytest.mark.parametrize("first", range(1, len(STEPS)))
def test_an_upgraded_file_equals_a_fresh_one(tmp_path: Path, first: int) -> None:
    fresh, old = tmp_path / "fresh.sqlite", tmp_path / "old.sqlite"
    make(fresh)
    make(old, STEPS[:first])
    make(old)
    assert dump(old) == dump(fresh)


@pytest.mark.parametrize("name", ["ledger", "cache"])
def test_the_real_schemas(tmp_path: Path, name: str) -> None:
    """Every prefix of the steps can be upgraded, and the result is the fresh schema."""
    steps = steps_of(name)
    fresh = tmp_path / "fresh.sqlite"
    make(fresh, steps)
    for count in range(1, len(steps)):
        old = tmp_path / f"old-{count}.sqlite"
        make(old, steps[:count])
        make(old, steps)
        assert dump(old) == dump(fresh)
    with closing(sqlite3.connect(fresh)) as connection:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            connection.execute(f"SELECT * FROM {table}")


@pytest.mark.parametrize("name", ["ledger", "cache"])
def test_no_statement_of_a_script_is_left_out(name: str) -> None:
    for script in steps_of(name):
        rest = script
        for statement in statements(script):
            rest = rest[rest.index(statement) + len(statement) :]
        assert all(line.startswith("--") for line in rest.splitlines() if line.strip())


@pytest.mark.parametrize("bad", [1, 2, 3])
def test_half_a_step_never_remains(path: Path, bad: int) -> None:
    broken = list(STEPS)
    broken[bad - 1] += "CREATE TABLE half (x);\nINSERT INTO nowhere VALUES (1);\n"
    with pytest.raises(StoreError):
        reopen(path, tuple(broken))
    assert not path.exists()  # a new file takes its name when it is whole
    make(path, STEPS[:1])
    before = dump(path)
    if bad > 1:
        with pytest.raises(StoreError):
            reopen(path, tuple(broken))
        if bad == 2:
            assert dump(path) == before
        assert "half" not in "".join(dump(path))
    make(path)
    fresh = path.with_name("fresh.sqlite")
    make(fresh)
    assert dump(path) == dump(fresh)


def test_a_copy_is_kept_before_the_first_step(path: Path) -> None:
    make(path, STEPS[:1])
    with closing(reopen(path, STEPS[:1])) as connection:
        connection.execute("INSERT INTO a VALUES (77)")
    before = dump(path)
    make(path)
    copy = path.with_name("some.sqlite.before-2")
    assert dump(copy) == before
    assert copy.stat().st_mode & 0o777 == 0o600
    make(path)  # nothing to do: no other copy
    assert sorted(file.name for file in path.parent.glob("*before*")) == [copy.name]


def test_an_upgrade_that_failed_keeps_the_oldest_copy(path: Path) -> None:
    make(path, STEPS[:1])
    before = dump(path)
    with pytest.raises(StoreError):
        reopen(path, (*STEPS[:2], "INSERT INTO nowhere VALUES (1);\n"))
    make(path)
    assert dump(path.with_name("some.sqlite.before-2")) == before


def test_a_newer_file_is_refused_and_left_alone(path: Path) -> None:
    make(path)
    before = content(path)
    with pytest.raises(LedgerNewer):
        reopen(path, STEPS[:2])
    assert content(path) == before


NO_DATABASES = {
    "empty": b"",
    "garbage": random.Random(1).randbytes(10_000),
    "pretended": b"SQLite format 3\0" + b"not really" * 500,
    "zeros": bytes(8192),
}


@pytest.mark.parametrize("what", NO_DATABASES)
def test_what_is_no_database_is_refused_and_left_alone(path: Path, what: str) -> None:
    path.write_bytes(NO_DATABASES[what])
    with pytest.raises(LedgerCorrupt) as error:
        reopen(path)
    assert error.value.hint
    assert path.read_bytes() == NO_DATABASES[what]


def filled(path: Path) -> bytes:
    """A store of some pages, all of them in the main file."""
    with closing(reopen(path)) as connection:
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO a VALUES (?, ?)", ((x, "text" * 50) for x in range(2000)))
        connection.execute("COMMIT")
    return path.read_bytes()


def test_a_file_cut_short_is_refused_and_left_alone(path: Path) -> None:
    whole = filled(path)
    assert len(whole) > 40 * 4096
    for size in (0, 1, 99, 100, 512, 4095, 4096, 4097, 8192, len(whole) // 2, len(whole) - 4096, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(StoreError):
            reopen(path)
        assert path.read_bytes() == whole[:size]


def test_a_damaged_page_is_refused(path: Path) -> None:
    """Whichever page of tables or indexes is overwritten, the file is refused; none is replaced."""
    whole = filled(path)
    for page in range(0, len(whole) // 4096, 7):
        spoilt = bytearray(whole)
        spoilt[page * 4096 : page * 4096 + 4096] = b"\xa5" * 4096
        path.write_bytes(spoilt)
        with pytest.raises(LedgerCorrupt):
            reopen(path)
        assert path.read_bytes() == spoilt


def test_rows_that_refer_to_lost_rows_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    make(path, steps_of("ledger"))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO asked VALUES (x'01', x'02', 'n', x'', 'waiting', NULL, 0)")
        connection.commit()
    with pytest.raises(LedgerCorrupt):
        reopen(path, steps_of("ledger"))


def test_a_database_of_somebody_else_is_refused_and_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    with pytest.raises(LedgerCorrupt):
        reopen(path)
    assert path.read_bytes() == before


def test_a_log_without_its_file_is_refused(path: Path) -> None:
    connection = reopen(path)
    connection.execute("INSERT INTO a VALUES (5, 'in the log')")
    shutil.copy(path.with_name("some.sqlite-wal"), path.with_name("kept"))
    connection.close()
    path.unlink()
    path.with_name("kept").rename(path.with_name("some.sqlite-wal"))
    with pytest.raises(LedgerCorrupt):
        reopen(path)
    assert not path.exists()


def test_what_a_crash_while_making_left_is_no_obstacle(path: Path) -> None:
    path.with_name("some.sqlite.new").write_bytes(b"half of a file")
    path.with_name("some.sqlite.new-journal").write_bytes(b"half of a journal")
    make(path)
    assert sorted(content(path)) == ["some.sqlite"]


def test_nobody_else_can_read_the_files(path: Path) -> None:
    old = os.umask(0)
    try:
        with closing(reopen(path, STEPS[:1])) as connection:
            connection.execute("INSERT INTO a VALUES (5)")
            modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
        make(path)
    finally:
        os.umask(old)
    assert modes == {"some.sqlite": 0o600, "some.sqlite-wal": 0o600, "some.sqlite-shm": 0o600}
    assert path.with_name("some.sqlite.before-2").stat().st_mode & 0o777 == 0o600


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as error:
        reopen(tmp_path / "no such folder" / "some.sqlite")
    assert error.value.hint
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError):
        reopen(tmp_path / "folder")


def test_commits_are_on_disk_when_they_return(path: Path) -> None:
    with closing(reopen(path)) as connection:
        settings = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
        assert settings == ["wal", 2]
        assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)
