"""Our X25519 keys that links are encrypted to, and which of them serve requests to single sellers who know us."""

from __future__ import annotations

from p2pmarket.errors import NotFound
from p2pmarket.store.remembering import Remembering
from p2pmarket.store.rows import StandingKey, insert, select_one


class Keys:
    """The table `exchange_keys`."""

    def __init__(self, connection: Remembering) -> None:
        self._db = connection

    def add(self, public: bytes, seed: bytes, use: str, created: int) -> None:
        self._db.execute("INSERT INTO exchange_keys VALUES (?, ?, ?, ?)", (public, seed, use, created))

    def seed(self, public: bytes) -> bytes:
        """The seed of one key; raises NotFound."""
        row = self._db.first("exchange_keys", "SELECT seed FROM exchange_keys WHERE public = ?", (public,))
        if row is None:
            raise NotFound("no such key")
        return bytes(row[0])

    def all(self, use: str) -> list[tuple[bytes, bytes, int]]:
        """(public, seed, created) of every key with that use, newest first."""
        return self._db.execute(
            "SELECT public, seed, created FROM exchange_keys WHERE use = ? ORDER BY created DESC", (use,)
        ).fetchall()


class StandingKeys:
    """The table `standing_keys`: the newest for each seller."""

    def __init__(self, connection: Remembering) -> None:
        self._db = connection

    def of(self, seller: bytes) -> StandingKey | None:
        """The key that serves requests to a seller."""
        return select_one(self._db, StandingKey, "standing_keys", "WHERE seller = ?", (seller,))

    def put(self, key: StandingKey) -> None:
        """Take another one for a seller from now on."""
        insert(self._db, "standing_keys", key, verb="INSERT OR REPLACE")

    def forget(self) -> None:
        """Take new ones for everybody."""
        self._db.execute("DELETE FROM standing_keys")
