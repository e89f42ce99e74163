"""A table whose rows are read and changed one by one, by their key.

Rules: a row that was read, added or changed here is kept in memory (`remembering`), so most reads ask nobody, and a
change that changes nothing is not written. Statements that change several rows, or find theirs in another way, go to
the connection itself, which then forgets the table.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Generic, TypeVar

from p2pmarket.store.remembering import Remembering
from p2pmarket.store.rows import columns

Row = TypeVar("Row", bound=tuple[Any, ...])
NUMBER = "seq"  # a first column of that name is numbered by SQLite
HEAVY = "envelope"  # a column of that name may hold 256 KiB
ROW_BYTES = 1024  # what all others together take, about
_UNKNOWN: Any = object()


class Keyed(Generic[Row]):
    """Rows of one type in one table; `key` names the columns of its key, which never change."""

    def __init__(self, connection: Remembering, row_type: type[Row], table: str, *key: str) -> None:
        self._db, self._table, self._key = connection, table, key
        self._kept = connection.keeping(table)
        fields: tuple[str, ...] = row_type._fields  # type: ignore[attr-defined]
        self._made = row_type._make  # type: ignore[attr-defined]
        self._places = [fields.index(name) for name in key]
        self._heavy = fields.index(HEAVY) if HEAVY in fields else None
        self._is_numbered = fields[0] == NUMBER
        self._select = f"SELECT {columns(row_type)} FROM {table} WHERE {_these(key)} LIMIT 1"
        self._insert = f"INTO {table} ({columns(row_type)}) VALUES ({', '.join('?' * len(fields))})"

    def get(self, *key: object) -> Row | None:
        """The row with that key."""
        found: Row | None = self._kept.get(key, _UNKNOWN)
        if found is _UNKNOWN:
            found = self.read(key)
            self._keep(key, found)
        return found

    def read(self, key: tuple[object, ...]) -> Row | None:
        """The row with that key, as the file has it."""
        row = self._db.execute(self._select, key).fetchone()
        return None if row is None else self._made(row)

    def add(self, row: Row, *, verb: str = "INSERT") -> bool:
        """Add a row; with `INSERT OR IGNORE` False if it was there. A number that it has is not used."""
        values = (None, *row[1:]) if self._is_numbered else row
        key = tuple([row[place] for place in self._places])
        cursor = self._db.write(self._table, key, f"{verb} {self._insert}", values)
        if cursor.rowcount != 1:
            return False
        self._keep(key, self._made((cursor.lastrowid, *row[1:])) if self._is_numbered else row)
        return True

    def change(self, *key: object, **columns: object) -> None:
        """Give columns of the row with that key, if there is one, other values."""
        known: Any = self.get(*key)
        changed = known and known._replace(**columns)
        if changed != known:
            self._db.write(self._table, key, _updating(self._table, self._key, *columns), (*columns.values(), *key))
            self._keep(key, changed)

    def _keep(self, key: tuple[object, ...], row: Row | None) -> None:
        heavy = 0 if row is None or self._heavy is None else len(row[self._heavy])
        self._db.keep(self._table, key, row, ROW_BYTES + heavy)


@cache
def _updating(table: str, key: tuple[str, ...], *names: str) -> str:
    marks = ", ".join(f'"{name}" = ?' for name in names)
    return f"UPDATE {table} SET {marks} WHERE {_these(key)}"


def _these(key: tuple[str, ...]) -> str:
    return " AND ".join(f"{name} = ?" for name in key)
