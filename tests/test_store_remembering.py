"""What a ledger remembers of rows is what SQLite would say, whatever is written and undone between."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pmarket.errors import StoreError
from p2pmarket.store.ledger import Ledger, ledger_database
from p2pmarket.store.migrate import open_migrated, steps_of
from p2pmarket.store.remembering import QUIET_ROWS, REMEMBERED_ROWS, Remembering, _table_changed
from p2pmarket.store.rows import Replied, Request

SCHEMA = (
    "CREATE TABLE prices (code TEXT PRIMARY KEY, description TEXT, amount INTEGER)",
    "CREATE TABLE others (code TEXT PRIMARY KEY, description TEXT, amount INTEGER)",
)
REPLIED = Replied("k", "route", b"", b"", 0)
CODES = st.sampled_from("abc")
STEPS = st.one_of(
    st.tuples(st.just("read"), st.sampled_from(("prices", "others")), CODES),
    st.tuples(st.just("insert"), st.sampled_from(("prices", "others")), CODES),
    st.tuples(st.just("update"), st.sampled_from(("prices", "others")), CODES),
    st.tuples(st.just("delete"), st.sampled_from(("prices", "others")), CODES),
    st.tuples(st.sampled_from(("begin", "commit", "undo")), st.just(""), st.just("")),
)


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as opened:
        for statement in SCHEMA:
            opened.execute(statement)
        yield opened


def read(db: Remembering, table: str, code: str) -> object:
    return db.first(table, f"SELECT amount FROM {table} WHERE code = ? LIMIT 1", (code,))


CHANGES: dict[str, Callable[[str], str]] = {
    "insert": lambda table: f"INSERT OR REPLACE INTO {table} VALUES (?, 'x', 0)",
    "update": lambda table: f"UPDATE {table} SET amount = amount + 1 WHERE code = ?",
    "delete": lambda table: f"DELETE FROM {table} WHERE code = ?",
}


@given(st.lists(STEPS, max_size=40))
def test_it_says_what_sqlite_says(steps: list[tuple[str, str, str]]) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as opened:
        for statement in SCHEMA:
            opened.execute(statement)
        db = Remembering(opened)
        db.begin()
        opened.execute("BEGIN")
        for verb, table, code in steps:
            if verb == "begin":
                db.begin()
            elif verb in {"commit", "undo"}:
                opened.execute("COMMIT" if verb == "commit" else "ROLLBACK")
                opened.execute("BEGIN")
                db.begin() if verb == "commit" else db.forget()
            elif verb == "read":
                said = opened.execute(f"SELECT amount FROM {table} WHERE code = ? LIMIT 1", (code,)).fetchone()
                assert read(db, table, code) == said
            else:
                db.execute(CHANGES[verb](table), (code,))


def test_a_row_is_read_once_in_a_work(connection: sqlite3.Connection) -> None:
    db, asked = Remembering(connection), list[str]()
    connection.set_trace_callback(asked.append)
    db.begin()
    for _ in range(3):
        read(db, "others", "a")
    assert len(asked) == 1
    db.begin()
    read(db, "others", "a")
    assert len(asked) == 2


def test_a_row_of_a_quiet_table_is_read_once_until_it_changes_or_a_work_is_undone(
    connection: sqlite3.Connection,
) -> None:
    db, asked = Remembering(connection), list[str]()
    for _ in range(3):
        db.begin()
        read(db, "prices", "a")
        db.all("prices", "SELECT code FROM prices")
        connection.set_trace_callback(asked.append)
    assert asked == []
    db.execute(CHANGES["insert"]("prices"), ("a",))
    assert read(db, "prices", "a") == (0,)
    assert db.all("prices", "SELECT code FROM prices") == [("a",)]
    asked.clear()
    db.forget()
    read(db, "prices", "a")
    assert len(asked) == 1


def test_nothing_is_remembered_before_the_first_work(connection: sqlite3.Connection) -> None:
    db, asked = Remembering(connection), list[str]()
    connection.set_trace_callback(asked.append)
    read(db, "prices", "a")
    read(db, "prices", "a")
    assert len(asked) == 2


@pytest.mark.parametrize(("table", "most"), [("others", REMEMBERED_ROWS), ("prices", QUIET_ROWS)])
@pytest.mark.parametrize("over", [0, 1])
def test_only_so_many_rows_are_remembered(connection: sqlite3.Connection, table: str, most: int, over: int) -> None:
    db, asked = Remembering(connection), list[str]()
    db.begin()
    for number in range(most + over):
        read(db, table, str(number))
    connection.set_trace_callback(asked.append)
    read(db, table, "0")
    assert bool(asked) == bool(over)


def test_a_statement_that_nobody_can_read_is_refused() -> None:
    with pytest.raises(ValueError, match="nobody can tell"):
        _table_changed("REPLACE INTO prices VALUES (1)")


async def test_what_was_undone_is_not_remembered(tmp_path: Path) -> None:
    """Nor what another work of the same transaction has read, when that could not be committed."""
    database = ledger_database(tmp_path)

    def sets(ledger: Ledger) -> None:
        ledger.meta.set("k", b"never")
        assert ledger.meta.get("k") == b"never"
        raise LookupError

    def lost(ledger: Ledger) -> None:
        assert ledger.meta.get("k") is None
        ledger.meta.set("k", b"lost")
        assert ledger.meta.get("k") == b"lost"
        ledger._db._connection.execute("ROLLBACK")  # as SQLite does when the disk is full
        raise sqlite3.OperationalError("the disk fails")

    def fails(ledger: Ledger) -> None:
        assert ledger.meta.replied("k") is None
        ledger.meta.keep_reply(REPLIED)
        assert ledger.meta.replied("k") == REPLIED
        raise LookupError

    with database.open():
        with pytest.raises(LookupError):
            await database.run(fails)
        assert await database.run(lambda ledger: ledger.meta.replied("k")) is None
        for work, error in ((sets, LookupError), (lost, StoreError)):
            with pytest.raises(error):
                await database.run(work)
            assert await database.run(lambda ledger: ledger.meta.get("k")) is None


def test_a_link_found_by_looking_at_two_tables_is_not_remembered(tmp_path: Path) -> None:
    """Whether a link is one over which we asked follows from the requests, not from the correspondents."""
    with closing(open_migrated(tmp_path / "ledger.sqlite", steps_of("ledger"), full_sync=False)) as opened:
        opened.execute("PRAGMA foreign_keys = OFF")
        ledger = Ledger(opened)
        ledger.begin_work()
        ledger.outbox.meet((b"local", b"remote"), b"", 0)
        assert ledger.outbox.link_with(b"remote") == (b"local", b"remote")
        ledger.requests.add(Request(b"hash", "r-x", "buyer", "open", "x", 0, 0, exchange_public=b"local"))
        assert ledger.outbox.link_with(b"remote") is None
