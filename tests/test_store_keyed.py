"""What is remembered of rows by their key, and of threads, is what the file says, whatever is written and undone."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pmarket.store import remembering
from p2pmarket.store.keyed import ROW_BYTES, Keyed
from p2pmarket.store.made import MADE_BYTES, MADE_THREADS, Made
from p2pmarket.store.remembering import KEPT_ROWS, Remembering


class Paper(NamedTuple):
    """A row with all that a table may have: a number, a key of two columns, and bytes that may be many."""

    seq: int
    hash: bytes
    recipient: bytes
    envelope: bytes
    state: str
    until: int | None


SCHEMA = """CREATE TABLE papers (seq INTEGER PRIMARY KEY, hash BLOB NOT NULL, recipient BLOB NOT NULL,
envelope BLOB NOT NULL, state TEXT NOT NULL, until INTEGER, UNIQUE (hash, recipient))"""
HASHES = st.sampled_from([b"a", b"b", b"c"])
STEPS = st.one_of(
    st.tuples(st.sampled_from(("get", "add", "add or ignore", "wait", "all wait")), HASHES, st.integers(0, 2)),
    st.tuples(st.sampled_from(("begin", "commit", "undo")), st.just(b""), st.just(0)),
)


def paper(hash_: bytes, until: int | None = None, envelope: bytes = b"x") -> Paper:
    return Paper(0, hash_, b"r", envelope, "queued", until)


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as opened:
        opened.execute(SCHEMA)
        yield opened


def keyed(connection: sqlite3.Connection) -> tuple[Remembering, Keyed[Paper]]:
    db = Remembering(connection)
    db.begin()
    return db, Keyed(db, Paper, "papers", "hash", "recipient")


def asked_by(connection: sqlite3.Connection) -> list[str]:
    """The statements from now on."""
    asked = list[str]()
    connection.set_trace_callback(asked.append)
    return asked


@given(st.lists(STEPS, max_size=40))
def test_it_says_what_sqlite_says(steps: list[tuple[str, bytes, int]]) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as opened:
        opened.execute(SCHEMA)
        db, papers = keyed(opened)
        opened.execute("BEGIN")
        for verb, hash_, number in steps:
            match verb:
                case "begin":
                    db.begin()
                case "commit" | "undo":
                    opened.execute("COMMIT" if verb == "commit" else "ROLLBACK")
                    opened.execute("BEGIN")
                    db.begin() if verb == "commit" else db.forget()
                case "add":
                    with suppress(sqlite3.IntegrityError):
                        assert papers.add(paper(hash_, number))
                case "add or ignore":
                    there = papers.read((hash_, b"r")) is not None
                    assert papers.add(paper(hash_, number), verb="INSERT OR IGNORE") is not there
                case "wait":
                    papers.change(hash_, b"r", until=number)
                case "all wait":
                    db.execute("UPDATE papers SET until = ?", (number,))
            for found in (b"a", b"b", b"c") if verb == "get" else (hash_,):
                assert papers.get(found, b"r") == papers.read((found, b"r"))


def test_a_row_is_read_once_beyond_its_work_until_one_is_undone(connection: sqlite3.Connection) -> None:
    db, papers = keyed(connection)
    papers.add(paper(b"a"))
    asked = asked_by(connection)
    for _ in range(3):
        db.begin()
        assert papers.get(b"a", b"r") is not None
    assert asked == []
    db.forget()
    papers.get(b"a", b"r")
    assert len(asked) == 1


def test_that_a_row_is_not_there_is_remembered_until_it_is(connection: sqlite3.Connection) -> None:
    _, papers = keyed(connection)
    asked = asked_by(connection)
    assert papers.get(b"a", b"r") is papers.get(b"a", b"r") is None
    assert len(asked) == 1
    papers.add(paper(b"a"))
    assert papers.get(b"a", b"r") == paper(b"a")._replace(seq=1)


def test_a_change_that_changes_nothing_is_not_written(connection: sqlite3.Connection) -> None:
    _, papers = keyed(connection)
    papers.add(paper(b"a", 1))
    asked = asked_by(connection)
    papers.change(b"a", b"r", until=1, state="queued")
    papers.change(b"nobody", b"r", until=2)
    assert [sql.split()[0] for sql in asked] == ["SELECT"]
    papers.change(b"a", b"r", until=2)
    assert asked[-1].startswith("UPDATE")


def test_nothing_is_remembered_before_the_first_work(connection: sqlite3.Connection) -> None:
    papers = Keyed(Remembering(connection), Paper, "papers", "hash", "recipient")
    papers.add(paper(b"a"))
    asked = asked_by(connection)
    papers.get(b"a", b"r")
    papers.get(b"a", b"r")
    assert len(asked) == 2


@pytest.mark.parametrize("over", [0, 1])
def test_only_so_many_rows_are_kept(connection: sqlite3.Connection, over: int) -> None:
    _, papers = keyed(connection)
    for number in range(KEPT_ROWS + over):
        papers.add(paper(number.to_bytes(4, "big")))
    asked = asked_by(connection)
    papers.get(bytes(4), b"r")
    assert bool(asked) == bool(over)


@pytest.mark.parametrize("over", [0, 1])
def test_only_so_many_bytes_are_kept(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, over: int
) -> None:
    monkeypatch.setattr(remembering, "KEPT_BYTES", 2 * (ROW_BYTES + 1000))
    _, papers = keyed(connection)
    papers.add(paper(b"a", envelope=bytes(1000)))
    papers.add(paper(b"b", envelope=bytes(1000 + over)))
    asked = asked_by(connection)
    papers.get(b"a", b"r")
    assert bool(asked) == bool(over)


def test_a_row_that_is_kept_again_counts_once(connection: sqlite3.Connection) -> None:
    _, papers = keyed(connection)
    papers.add(paper(b"a"))
    for number in range(KEPT_ROWS):
        papers.change(b"a", b"r", until=number)
    asked = asked_by(connection)
    papers.get(b"a", b"r")
    assert asked == []


# What was made of threads


def test_what_was_made_is_known_until_a_document_comes() -> None:
    made = Made()
    made.begin()
    made.keep(b"thread", b"seller", "it", 1)
    made.keep(b"thread", b"rival", "another", 1)
    assert made.get(b"thread", b"seller") == "it"
    assert made.get(b"thread", b"nobody") is made.get(b"other", b"seller") is None
    made.drop(b"thread")
    assert made.get(b"thread", b"seller") is made.get(b"thread", b"rival") is None


def test_what_was_made_before_the_first_work_is_not_kept() -> None:
    made = Made()
    made.keep(b"thread", b"seller", "it", 1)
    assert made.get(b"thread", b"seller") is None


@pytest.mark.parametrize("over", [0, 1])
def test_only_so_much_that_was_made_is_kept(over: int) -> None:
    made = Made()
    made.begin()
    made.keep(b"large", b"seller", "it", MADE_BYTES + over)
    assert (made.get(b"large", b"seller") is None) == bool(over)
    made.clear()
    for number in range(MADE_THREADS + over):
        made.keep(bytes([number]), b"seller", "it", 1)
    assert (made.get(bytes(1), b"seller") is None) == bool(over)
