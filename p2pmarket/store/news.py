"""What is told: the event stream, and the notices that wait for a person."""

from __future__ import annotations

from p2pmarket.limits import INBOX_PAPERS
from p2pmarket.store.remembering import Remembering
from p2pmarket.store.rows import Event, Notice, insert, select, select_one

NEWS = ("credit", "note", "rating", "receipt")  # kinds that never ask for anything


class Notices:
    """Documents of others that a person should look at."""

    def __init__(self, connection: Remembering) -> None:
        self._db = connection

    def add(self, notice: Notice) -> None:
        insert(self._db, "notices", notice)

    def get(self, hash_: bytes) -> Notice | None:
        return select_one(self._db, Notice, "notices", "WHERE hash = ?", (hash_,))

    def waiting(self) -> list[Notice]:
        """Those that nobody has answered, as `latest`."""
        return self._first("WHERE state <> 'answered'")

    def asking(self) -> list[Notice]:
        """Of those the ones that may ask for something, as `latest`."""
        return self._first(f"WHERE state <> 'answered' AND kind NOT IN {NEWS}")

    def latest(self) -> list[Notice]:
        """Answered or not: of more than `INBOX_PAPERS` those that may wait for an act, and then the newest."""
        return self._first("")

    def _first(self, rest: str) -> list[Notice]:
        order = f"ORDER BY state = 'answered', kind IN {NEWS}, time DESC LIMIT ?"
        return select(self._db, Notice, "notices", f"{rest} {order}", (INBOX_PAPERS,))

    def count(self, *, answered: bool) -> int:
        """Those that nobody has answered, or all."""
        rest = "" if answered else "WHERE state <> 'answered'"
        (count,) = self._db.execute(f"SELECT count(*) FROM notices {rest}").fetchone()
        return int(count)

    def count_new(self) -> int:
        """Those that nobody has seen."""
        (count,) = self._db.execute("SELECT count(*) FROM notices WHERE state = 'new'").fetchone()
        return int(count)

    def of_thread(self, thread: bytes) -> list[Notice]:
        """Those of a request that nobody has answered."""
        if self._db.first("notices", "SELECT 1 FROM notices WHERE state <> 'answered' LIMIT 1", ()) is None:
            return []  # as a rule, and this is asked with everything that comes
        return select(self._db, Notice, "notices", "WHERE thread = ? AND state <> 'answered' ORDER BY time", (thread,))

    def set_state(self, hash_: bytes, state: str) -> None:
        self._db.execute("UPDATE notices SET state = ? WHERE hash = ?", (state, hash_))


class Events:
    """The event stream. `added`: those since somebody last took them."""

    def __init__(self, connection: Remembering) -> None:
        self._db = connection
        self._added: list[Event] = []

    def take_added(self) -> list[Event]:
        """What was added since the last call, if only by a work that was undone: each work begins with such a call."""
        added, self._added = self._added, []
        return added

    def add(self, time: int, type_: str, id_: str, subject: bytes, party: bytes = b"") -> None:
        cursor = self._db.execute(
            "INSERT INTO events (time, type, id, subject, party) VALUES (?, ?, ?, ?, ?)",
            (time, type_, id_, subject, party),
        )
        self._added.append(Event(cursor.lastrowid or 0, time, type_, id_, subject, party))

    def since(self, seq: int, limit: int) -> list[Event]:
        return select(self._db, Event, "events", "WHERE seq > ? ORDER BY seq LIMIT ?", (seq, limit))

    def last(self) -> int:
        (seq,) = self._db.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()
        return int(seq)
