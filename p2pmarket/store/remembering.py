"""A connection that remembers single rows while one work runs: a work asks for the same few rows again and again.

Rules: only rows read by `rows.select_one` are remembered, from one `begin` to the next: every work of `Database.run`
begins with an empty memory, so it does not matter how the one before ended. Whatever changes a table forgets its rows.
Nobody else writes to the file, so what is remembered is what SQLite would say.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from functools import cache
from typing import Any

REMEMBERED_ROWS = 64  # a row may hold a document of 256 KiB
_CHANGED = re.compile(r"(?:INSERT(?: OR \w+)? INTO|UPDATE|DELETE FROM) (\w+)")
Key = tuple[str, Sequence[object]]


class Remembering:
    """As much of `sqlite3.Connection` as the tables use, with a memory for rows."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._rows: dict[str, dict[Key, Any]] | None = None
        self._count = 0

    @property
    def total_changes(self) -> int:
        return self._connection.total_changes

    def begin(self) -> None:
        """A work begins; before the first one nothing is remembered."""
        self._rows, self._count = {}, 0

    def execute(self, sql: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        """Run a statement."""
        if self._rows and not sql.startswith("SELECT"):
            self._rows.pop(_table_changed(sql), None)
        return self._connection.execute(sql, values)

    def first(self, table: str, sql: str, values: Sequence[object]) -> Any:
        """The first row (as SQLite has it) that a SELECT from this one table finds, or None."""
        if self._rows is None:
            return self._connection.execute(sql, values).fetchone()
        known = self._rows.setdefault(table, {})
        key = (sql, values)
        if key in known:
            return known[key]
        if self._count == REMEMBERED_ROWS:
            self.begin()
            return self.first(table, sql, values)
        self._count += 1
        row = known[key] = self._connection.execute(sql, values).fetchone()
        return row


@cache
def _table_changed(sql: str) -> str:
    """The one table that a statement of this package changes."""
    found = _CHANGED.match(sql)
    if found is None:
        raise ValueError(f"nobody can tell what this changes: {sql}")
    return found.group(1)
