"""Our X25519 keys that links are encrypted to, and which of them serve requests to single sellers who know us."""

from __future__ import annotations

from p2pmarket.errors import NotFound
from p2pmarket.store.remembering import Remembering


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

    def of(self, seller: bytes) -> tuple[bytes, int] | None:
        """The public key that serves requests to a seller, and when it was made."""
        select = "SELECT public, made FROM standing_keys WHERE seller = ?"
        found: tuple[bytes, int] | None = self._db.first("standing_keys", select, (seller,))
        return found

    def put(self, seller: bytes, public: bytes, made: int) -> None:
        """Take another one for a seller from now on."""
        self._db.execute("INSERT OR REPLACE INTO standing_keys VALUES (?, ?, ?)", (seller, public, made))

    def forget(self) -> None:
        """Take new ones for everybody."""
        self._db.execute("DELETE FROM standing_keys")
