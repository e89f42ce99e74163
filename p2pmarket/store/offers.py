"""What a seller offers: his announcements and his price list."""

from __future__ import annotations

from collections.abc import Iterable

from p2pmarket.store.remembering import Remembering
from p2pmarket.store.rows import Announced, Price, insert, insert_many, select, select_one


class Announcements:
    """What we announce."""

    def __init__(self, connection: Remembering) -> None:
        self._db = connection

    def put(self, announced: Announced) -> None:
        insert(self._db, "announcements", announced, verb="INSERT OR REPLACE")

    def get(self, category: str) -> Announced | None:
        return select_one(self._db, Announced, "announcements", "WHERE category = ?", (category,))

    def all(self) -> list[Announced]:
        return select(self._db, Announced, "announcements", "ORDER BY category", ())

    def set_holders(self, category: str, holders: int) -> None:
        self._db.execute("UPDATE announcements SET holders = ? WHERE category = ?", (holders, category))

    def forget_holders(self) -> None:
        """Nobody is known to hold any of them."""
        self._db.execute("UPDATE announcements SET holders = 0")

    def remove(self, category: str) -> None:
        self._db.execute("DELETE FROM announcements WHERE category = ?", (category,))


class Prices:
    """The price list, replaced as a whole."""

    def __init__(self, connection: Remembering) -> None:
        self._db = connection

    def replace(self, rows: Iterable[Price]) -> None:
        self._db.execute("DELETE FROM prices")
        insert_many(self._db, "prices", rows)

    def all(self) -> list[Price]:
        return select(self._db, Price, "prices", "ORDER BY row", ())

    def by_code(self, code: str) -> Price | None:
        """The row with that code."""
        return select_one(self._db, Price, "prices", "WHERE code = ?", (code,))

    def by_row(self, row: int) -> Price | None:
        """The row with that number."""
        return select_one(self._db, Price, "prices", "WHERE row = ?", (row,))

    def set_stock(self, row: int, stock: str) -> None:
        self._db.execute("UPDATE prices SET stock = ? WHERE row = ?", (stock, row))
