"""The address book: peers whom the user knows, each under a name that is the user's own."""

from __future__ import annotations

from p2pmarket.store.remembering import Remembering
from p2pmarket.store.rows import Contact, insert, select, select_one


class Contacts:
    """The table `contacts`."""

    def __init__(self, connection: Remembering) -> None:
        self._db = connection

    def put(self, contact: Contact) -> None:
        """Add somebody, or replace what is known of him."""
        insert(self._db, "contacts", contact, verb="INSERT OR REPLACE")

    def get(self, identity: bytes) -> Contact | None:
        return select_one(self._db, Contact, "contacts", "WHERE identity = ?", (identity,))

    def named(self, folded: str) -> Contact | None:
        """The one with that name, in its folded form."""
        return select_one(self._db, Contact, "contacts", "WHERE folded = ?", (folded,))

    def all(self) -> list[Contact]:
        return select(self._db, Contact, "contacts", "ORDER BY folded", ())

    def remove(self, identity: bytes) -> None:
        self._db.execute("DELETE FROM contacts WHERE identity = ?", (identity,))

    def set_record(self, identity: bytes, record: bytes) -> None:
        """Keep an announcement of his, so that he can be asked when nothing else remembers him."""
        self._db.execute("UPDATE contacts SET record = ? WHERE identity = ?", (record, identity))

    # Whom we have met without an entry

    def deals_with(self, identity: bytes) -> int:
        """How many orders with somebody were accepted."""
        (count,) = self._db.execute(
            "SELECT count(*) FROM orders WHERE other = ? AND state = 'accepted'", (identity,)
        ).fetchone()
        return int(count)

    def parties(self) -> list[bytes]:
        """Everybody with whom there was an order."""
        return [bytes(row[0]) for row in self._db.execute("SELECT DISTINCT other FROM orders")]

    def record_of(self, identity: bytes) -> bytes | None:
        """The announcement by which somebody was last asked."""
        found = self._db.execute(
            "SELECT record FROM asked WHERE seller = ? ORDER BY updated DESC LIMIT 1", (identity,)
        ).fetchone()
        return bytes(found[0]) if found else None
