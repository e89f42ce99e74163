"""A connection that remembers single rows: a work, and the next ones, ask for the same few rows again and again.

Rules: only what is read by `first` and `all`, or kept by its key, is remembered. What `first` found is remembered from
one `begin` to the next: every work of `Database.run` begins without it, so it does not matter how the one before ended.
Rows of the quiet tables, which every work asks for and few change, are remembered beyond it, and so are rows that were
kept by their key, until a work is undone. Whatever changes a table forgets its rows; `write` forgets the one with that
key. Nobody else writes to the file, so what is remembered is what SQLite would say.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from functools import cache
from typing import Any

REMEMBERED_ROWS = 64  # a row may hold a document of 256 KiB
QUIET_ROWS = 256  # of these a row has a KiB or two
KEPT_ROWS = 512  # by their keys
KEPT_BYTES = 4 * 1024 * 1024  # of these rows together
QUIET = frozenset({"meta", "profile", "contacts", "prices", "notices", "recalls", "standing_keys", "given up"})
_CHANGED = re.compile(r"(?:INSERT(?: OR \w+)? INTO|UPDATE|DELETE FROM) (\w+)")
Key = tuple[str, Sequence[object]]


class Remembering:
    """As much of `sqlite3.Connection` as the tables use, with a memory for rows."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._rows: dict[str, dict[Key, Any]] | None = None
        self._quiet: dict[str, dict[Key, Any]] = {}
        self._kept: dict[str, dict[Sequence[object], Any]] = {}
        self._count = self._kept_rows = self._kept_bytes = 0

    @property
    def total_changes(self) -> int:
        return self._connection.total_changes

    def begin(self) -> None:
        """A work begins; before the first one nothing is remembered."""
        self._rows, self._count = {}, 0

    def forget(self) -> None:
        """A work was undone, and so may be what it or another one of its transaction has read."""
        self._quiet.clear()
        self._forget_kept()
        self.begin()

    def changed(self, table: str) -> None:
        """Rows of a table are other ones now."""
        if self._rows:
            self._rows.pop(table, None)
        self._quiet.pop(table, None)
        if table in self._kept:
            self._kept[table].clear()

    def execute(self, sql: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        """Run a statement."""
        if not sql.startswith("SELECT"):
            self.changed(_table_changed(sql))
        return self._connection.execute(sql, values)

    def first(self, table: str, sql: str, values: Sequence[object]) -> Any:
        """The first row (as SQLite has it) that a SELECT from this one table finds, or None."""
        if self._rows is None:
            return self._connection.execute(sql, values).fetchone()
        known = (self._quiet if table in QUIET else self._rows).setdefault(table, {})
        key = (sql, values)
        if key in known:
            return known[key]
        row = self._connection.execute(sql, values).fetchone()
        self._remember(table, key, row)
        return row

    def keeping(self, table: str) -> dict[Sequence[object], Any]:
        """What is remembered of a table (no quiet one) by key, always the same object; None for a row not there."""
        return self._kept.setdefault(table, {})

    def keep(self, table: str, key: Sequence[object], row: Any, size: int) -> None:
        """Remember that this, with about so many bytes, is the row with that key, or (None) that there is none."""
        if self._rows is None:
            return
        if self._kept_rows >= KEPT_ROWS or self._kept_bytes + size > KEPT_BYTES:
            self._forget_kept()
        known = self._kept[table]
        self._kept_rows += key not in known
        self._kept_bytes += size
        known[key] = row

    def write(self, table: str, key: Sequence[object], sql: str, values: Sequence[object]) -> sqlite3.Cursor:
        """Run a statement that changes at most the row with that key; what it is now is not known."""
        if self._rows:
            self._rows.pop(table, None)
        self._kept[table].pop(key, None)
        return self._connection.execute(sql, values)

    def all(self, table: str, sql: str) -> Sequence[Any]:
        """All rows (as SQLite has them) of a quiet table."""
        key: Key = (sql, ())
        found: Sequence[Any] | None = self._quiet.get(table, {}).get(key)
        if found is None:
            found = self._connection.execute(sql).fetchall()
            if self._rows is not None:
                self._remember(table, key, found)
        return found

    def _forget_kept(self) -> None:
        for known in self._kept.values():
            known.clear()
        self._kept_rows = self._kept_bytes = 0

    def _remember(self, table: str, key: Key, found: Any) -> None:
        """Keep what was found; of too much nothing is kept but this."""
        if table in QUIET:
            if sum(map(len, self._quiet.values())) >= QUIET_ROWS:
                self._quiet.clear()
            self._quiet.setdefault(table, {})[key] = found
            return
        if self._count == REMEMBERED_ROWS:
            self.begin()
        assert self._rows is not None
        self._count += 1
        self._rows.setdefault(table, {})[key] = found


@cache
def _table_changed(sql: str) -> str:
    """The one table that a statement of this package changes."""
    found = _CHANGED.match(sql)
    if found is None:
        raise ValueError(f"nobody can tell what this changes: {sql}")
    return found.group(1)
