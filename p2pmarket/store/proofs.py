"""Proofs that somebody contradicts himself: two signed documents where one was allowed, each with its recipient."""

from __future__ import annotations

from p2pmarket.errors import BadInput, NotFound
from p2pmarket.store.remembering import Remembering
from p2pmarket.store.rows import Proof, insert, select, select_one


class Proofs:
    """The table `proofs`."""

    def __init__(self, connection: Remembering) -> None:
        self._db = connection

    def add(self, proof: Proof) -> bool:
        """Keep a proof; False if it was here."""
        before = self._db.total_changes
        insert(self._db, "proofs", proof, verb="INSERT OR IGNORE")
        return self._db.total_changes != before

    def count(self, signer: bytes) -> int:
        """How many there are against a signer."""
        (count,) = self._db.first("proofs", "SELECT count(*) FROM proofs WHERE signer = ?", (signer,))
        return int(count)

    def latest(self) -> list[Proof]:
        """All, newest first."""
        return select(self._db, Proof, "proofs", "ORDER BY time DESC, hash", ())

    def get(self, hash_: bytes) -> Proof | None:
        return select_one(self._db, Proof, "proofs", "WHERE hash = ?", (hash_,))

    def resolve(self, prefix: str) -> Proof:
        """The one proof whose id begins so. Raises NotFound, BadInput."""
        text = prefix.strip().lower()
        found = select(self._db, Proof, "proofs", "WHERE id >= ? AND id < ? LIMIT 2", (text, text + "\x7f"))
        if not found or len(text) < 4:
            raise NotFound(f"no proof has the id {prefix}", hint="market proofs lists them")
        if len(found) > 1:
            raise BadInput(f"{prefix} fits more than one proof", hint="Give more of its characters")
        return found[0]
