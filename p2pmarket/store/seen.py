"""Ratings of others that were found in the network: what could be looked up again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from p2pmarket.limits import RATINGS_KEPT
from p2pmarket.store.remembering import Remembering
from p2pmarket.store.rows import insert, select


class SeenRating(NamedTuple):
    """The newest rating of one peer by another that was found: `issued` and `version` say which, `seen` when."""

    rated: bytes
    rater: bytes
    envelope: bytes
    issued: int
    version: int
    seen: int


class SeenRatings:
    """The table `ratings` of the cache."""

    def __init__(self, connection: Remembering) -> None:
        self._db = connection

    def replace(self, rated: bytes, ratings: Iterable[SeenRating]) -> None:
        """Keep these as all that is known of one peer; of more than RATINGS_KEPT in all those seen first go."""
        self._db.execute("DELETE FROM ratings WHERE rated = ?", (rated,))
        for rating in ratings:
            insert(self._db, "ratings", rating)
        self._db.execute(
            "DELETE FROM ratings WHERE rowid IN (SELECT rowid FROM ratings ORDER BY seen DESC LIMIT -1 OFFSET ?)",
            (RATINGS_KEPT,),
        )

    def all(self) -> list[SeenRating]:
        return select(self._db, SeenRating, "ratings", "ORDER BY seen", ())
