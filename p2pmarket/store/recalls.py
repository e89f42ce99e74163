"""After a restore: which threads are read-only, until the other side has returned what was lost."""

from __future__ import annotations

from p2pmarket.store.remembering import Remembering


class Recalls:
    """The table `recalls`; empty on a peer that was never restored."""

    def __init__(self, connection: Remembering) -> None:
        self._db = connection

    def begin(self, ours: bytes, keep_until: int) -> int:
        """Make every thread with somebody read-only, and expect all of them; how many there are. `ours`: identity."""
        self._db.execute(
            "INSERT OR IGNORE INTO recalls "
            "SELECT request, seller FROM asked WHERE EXISTS "
            "(SELECT 1 FROM outbox WHERE hash = request AND recipient = seller AND state <> 'queued')"
        )
        self._db.execute("INSERT OR IGNORE INTO recalls SELECT hash, ? FROM requests WHERE role = 'seller'", (ours,))
        self._db.execute("UPDATE correspondents SET keep_until = max(keep_until, ?)", (keep_until,))
        return self.count()

    def add(self, thread: bytes, seller: bytes) -> None:
        """Make one thread read-only."""
        self._db.execute("INSERT OR IGNORE INTO recalls VALUES (?, ?)", (thread, seller))

    def end(self, thread: bytes, seller: bytes | None = None) -> int:
        """Open a thread again, with one seller or with all; how many were closed."""
        cursor = self._db.execute(
            "DELETE FROM recalls WHERE thread = ?1 AND (?2 IS NULL OR seller = ?2)", (thread, seller)
        )
        return cursor.rowcount

    def end_all(self) -> int:
        """Open all threads; how many were closed."""
        return self._db.execute("DELETE FROM recalls").rowcount

    def is_read_only(self, thread: bytes, *parties: bytes) -> bool:
        """Whether nothing may be signed in the thread between these parties, one of whom is its seller."""
        if self._db.first("recalls", "SELECT 1 FROM recalls LIMIT 1", ()) is None:  # as a rule
            return False
        marks = ", ".join("?" * len(parties))
        rest = f"SELECT 1 FROM recalls WHERE thread = ? AND seller IN ({marks}) LIMIT 1"
        return self._db.first("recalls", rest, (thread, *parties)) is not None

    def count(self) -> int:
        """How many threads are read-only."""
        (count,) = self._db.execute("SELECT count(*) FROM recalls").fetchone()
        return int(count)
