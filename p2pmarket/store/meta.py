"""Single values, the profile, and stored answers of calls with an idempotency key."""

from __future__ import annotations

from p2pmarket.store.remembering import Remembering
from p2pmarket.store.rows import Replied, insert, select_one


class Meta:
    """The tables `meta`, `profile` and `idempotency`."""

    def __init__(self, connection: Remembering) -> None:
        self._db = connection

    def get(self, key: str) -> bytes | None:
        row = self._db.first("meta", "SELECT value FROM meta WHERE key = ?", (key,))
        return bytes(row[0]) if row else None

    def set(self, key: str, value: bytes) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def delete(self, key: str) -> None:
        self._db.execute("DELETE FROM meta WHERE key = ?", (key,))

    def profile(self) -> dict[str, str]:
        return dict(self._db.all("profile", "SELECT name, value FROM profile"))

    def set_profile(self, name: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO profile VALUES (?, ?)", (name, value))

    def replied(self, key: str) -> Replied | None:
        return select_one(self._db, Replied, "idempotency", "WHERE key = ?", (key,))

    def keep_reply(self, reply: Replied) -> None:
        insert(self._db, "idempotency", reply)
