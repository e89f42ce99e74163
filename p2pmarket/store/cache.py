"""The cache: what we could learn again. It may be deleted at any time, and is made anew when it is damaged."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from p2pmarket.dht.known import kept
from p2pmarket.errors import StoreError
from p2pmarket.limits import SELLERS_KEPT
from p2pmarket.store.database import Database
from p2pmarket.store.migrate import steps_of
from p2pmarket.store.remembering import Remembering
from p2pmarket.store.rows import insert, select
from p2pmarket.store.seen import SeenRatings


class Node(NamedTuple):
    """A contact of the DHT that answered us."""

    contact: str
    address_group: bytes
    bucket: int  # by the first bits of its id
    answered: int


class Seller(NamedTuple):
    """An announcement that we saw."""

    identity: bytes
    category: str
    name: str
    record: bytes
    expires: int


class Cache:
    """The open transaction on the cache."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = Remembering(connection)
        self.ratings = SeenRatings(self._db)

    def keep_nodes(self, nodes: Iterable[Node]) -> None:
        """Remember proven nodes; of too many in all, of a group or in a bucket the longest silent go."""
        for node in nodes:
            insert(self._db, "nodes", node, verb="INSERT OR REPLACE")
        known = self.nodes()
        for node in set(known).difference(kept(known)):
            self._db.execute("DELETE FROM nodes WHERE contact = ?", (node.contact,))

    def nodes(self) -> list[Node]:
        return select(self._db, Node, "nodes", "ORDER BY answered DESC", ())

    def keep_sellers(self, sellers: Iterable[Seller]) -> None:
        for seller in sellers:
            insert(self._db, "sellers", seller, verb="INSERT OR REPLACE")
        self._db.execute(
            "DELETE FROM sellers WHERE rowid IN (SELECT rowid FROM sellers ORDER BY expires DESC LIMIT -1 OFFSET ?)",
            (SELLERS_KEPT,),
        )

    def sellers(self) -> list[Seller]:
        return select(self._db, Seller, "sellers", "ORDER BY expires DESC", ())


def cache_database(home: Path) -> Database[Cache]:
    """The cache of a home folder, not yet open."""
    return Database(home / "cache.sqlite", steps_of("cache"), Cache, full_sync=False)


def discard_cache(home: Path) -> None:
    """Delete a damaged cache: it holds nothing that cannot be learnt again. Raises StoreError."""
    for name in ("cache.sqlite", "cache.sqlite-wal", "cache.sqlite-shm"):
        try:
            (home / name).unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(
                f"{home / name} is damaged and cannot be removed: {error.strerror}", hint="Move it away"
            ) from None
