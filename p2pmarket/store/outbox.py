"""The outbox: every document on its way to one recipient, until he acknowledged it or its time is over.

A document is queued in the same transaction that made it. `sent` is not written down: after a restart everything that
is not acknowledged is sent again, the same bytes.
"""

from __future__ import annotations

from typing import NamedTuple

from p2pmarket.limits import UNACKED_DOCUMENTS
from p2pmarket.store.keyed import Keyed
from p2pmarket.store.remembering import Remembering
from p2pmarket.store.rows import NO_ANSWER, Correspondent, Outgoing, select, select_one

CLOSED = "the request was closed"
IS_GIVEN_UP = f"state = 'failed' AND reason = '{NO_ANSWER}' AND kind > 2"  # as the indexes have it
GIVEN_UP = frozenset({NO_ANSWER, CLOSED})  # by us; any other reason of a failure is a code that the recipient signed
Link = tuple[bytes, bytes]
"""Our and their X25519 public key: what names a link."""


class Waiting(NamedTuple):
    """How much waits, and since when (UTC seconds)."""

    documents: int
    oldest: int | None


class Pending(NamedTuple):
    """A document that waits, without its bytes."""

    seq: int
    hash: bytes
    local: bytes
    remote: bytes


class Outbox:
    """The tables `outbox` and `correspondents`."""

    def __init__(self, connection: Remembering) -> None:
        self._db = connection
        self._rows = Keyed(connection, Outgoing, "outbox", "hash", "recipient")
        self._correspondents = Keyed(connection, Correspondent, "correspondents", "local", "remote")
        self._queued: set[Link] = set()

    def take_queued(self) -> set[Link]:
        """The links for which something was queued since the last call, if only by a work that was undone."""
        queued, self._queued = self._queued, set()
        return queued

    def queue(self, outgoing: Outgoing) -> None:
        """Add a document unless it is there already."""
        self._queued.add((outgoing.local, outgoing.remote))
        self._rows.add(outgoing, verb="INSERT OR IGNORE")

    def waiting_for(self, link: Link, wall: int) -> list[Outgoing]:
        """What has to go over `link` next, oldest first; more than may be on its way at once is of no use."""
        rest = "WHERE local = ? AND remote = ? AND state = 'queued' AND until > ? ORDER BY seq LIMIT ?"
        return select(self._db, Outgoing, "outbox", rest, (*link, wall, 2 * UNACKED_DOCUMENTS))

    def of_document(self, hash_: bytes, recipient: bytes) -> Outgoing | None:
        return self._rows.get(hash_, recipient)

    def of_thread(self, thread: bytes) -> list[Outgoing]:
        return select(self._db, Outgoing, "outbox", "WHERE thread = ? ORDER BY seq", (thread,))

    def recipients(self, hash_: bytes, link: Link) -> list[bytes]:
        """Who got that document over that link."""
        found = self._db.execute(
            "SELECT recipient FROM outbox WHERE hash = ? AND local = ? AND remote = ? ORDER BY seq", (hash_, *link)
        )
        return [bytes(recipient) for (recipient,) in found]

    def queued_for(self, hash_: bytes, link: Link) -> list[Outgoing]:
        """That document, as far as it waits for that link: for several, if they named one key."""
        rest = "WHERE hash = ? AND local = ? AND remote = ? AND state = 'queued'"
        return select(self._db, Outgoing, "outbox", rest, (hash_, *link))

    def set_state(self, sent: Outgoing, state: str, reason: str | None, wall: int) -> None:
        self._rows.change(sent.hash, sent.recipient, state=state, reason=reason, updated=wall)
        if reason == NO_ANSWER:
            self._db.changed("given up")

    def give_up_late(self, wall: int) -> list[Outgoing]:
        """Fail what nobody acknowledged in time; returns those rows."""
        late = select(self._db, Outgoing, "outbox", "WHERE state = 'queued' AND until <= ?", (wall,))
        for row in late:
            self.set_state(row, "failed", NO_ANSWER, wall)
        return late

    # What was given up

    def gave_up(self) -> bool:
        """Whether anything was given up at all: as a rule nothing was, and this is asked with everything that comes."""
        found = self._db.first("given up", f"SELECT 1 FROM outbox WHERE {IS_GIVEN_UP} LIMIT 1", ()) is not None
        if found:
            self._db.changed("given up")  # it may have been the last
        return found

    def given_up_to(self, remote: bytes, resent: int) -> list[Outgoing]:
        """What nobody acknowledged in time at the other end of links that this key names, and was tried anew fewer
        than `resent` times; oldest first."""
        rest = f"WHERE {IS_GIVEN_UP} AND remote = ? AND resent < ? ORDER BY seq"
        return select(self._db, Outgoing, "outbox", rest, (remote, resent))

    def given_up_for(self, recipient: bytes, resent: int) -> list[Outgoing]:
        """The same of papers for one identity."""
        rest = f"WHERE {IS_GIVEN_UP} AND recipient = ? AND resent < ? ORDER BY seq"
        return select(self._db, Outgoing, "outbox", rest, (recipient, resent))

    def given_up_in(self, thread: bytes, link: Link) -> list[Outgoing]:
        """The same of papers of one request for a link, however often they were tried."""
        rest = f"INDEXED BY outbox_by_thread WHERE thread = ? AND local = ? AND remote = ? AND {IS_GIVEN_UP}"
        return select(self._db, Outgoing, "outbox", f"{rest} ORDER BY seq", (thread, *link))

    def given_up_since(self, wall: int, count: int, resent: int, *, binding: bool) -> list[Outgoing]:
        """The last ones, those given up after a moment, newest first: orders and papers of deals, or all others."""
        rest = f"WHERE {IS_GIVEN_UP} AND (kind BETWEEN 8 AND 18) = ? AND updated > ? AND resent < ?"
        values = (int(binding), wall, resent, count)
        return select(self._db, Outgoing, "outbox", f"{rest} ORDER BY updated DESC LIMIT ?", values)

    def queue_again(self, sent: Outgoing, until: int, wall: int, counted: int) -> None:
        """Try a paper anew until then: the same bytes, in its old place."""
        self._queued.add((sent.local, sent.remote))
        resent = sent.resent + counted
        self._rows.change(
            sent.hash, sent.recipient, state="queued", reason=None, until=until, updated=wall, resent=resent
        )
        self._db.changed("given up")

    def wait_longer(self, thread: bytes, link: Link, until: int) -> None:
        """Give up nothing of a request that waits for a link before then; requests have their own end, and receipts."""
        found = self._db.execute(
            "SELECT hash, recipient FROM outbox INDEXED BY outbox_by_thread "
            "WHERE thread = ? AND local = ? AND remote = ? AND state = 'queued' AND kind > 2 AND until < ?",
            (thread, *link, until),
        )
        for hash_, recipient in found.fetchall():
            self._rows.change(hash_, recipient, until=until)

    def cancel_thread(self, thread: bytes, kind: int, wall: int) -> None:
        """Stop sending a kind of document of a thread: the request is closed."""
        self._db.execute(
            "UPDATE outbox SET state = 'failed', reason = ?, updated = ? "
            "WHERE thread = ? AND kind = ? AND state = 'queued'",
            (CLOSED, wall, thread, kind),
        )

    def waiting(self) -> Waiting:
        row = self._db.execute(
            "SELECT count(*), min(updated) FROM outbox INDEXED BY outbox_queued WHERE state = 'queued'"
        ).fetchone()
        return Waiting(*row)

    # Correspondents

    def meet(self, link: Link, routes: bytes, keep_until: int) -> None:
        """Know the other end of a link; newer routes and a later end replace the old ones."""
        known = self.correspondent(link)
        if known is None:
            self._correspondents.add(Correspondent(*link, routes, keep_until))
        else:
            self._correspondents.change(*link, routes=routes, keep_until=max(known.keep_until, keep_until))

    def is_shared(self, link: Link, hash_: bytes, recipient: bytes) -> bool:
        """Whether a document goes to somebody beside `recipient` over the same link."""
        rest = "WHERE hash = ? AND recipient <> ? AND local = ? AND remote = ?"
        found = self._db.execute(f"SELECT 1 FROM outbox {rest} LIMIT 1", (hash_, recipient, *link))
        return found.fetchone() is not None

    def correspondent(self, link: Link) -> Correspondent | None:
        return self._correspondents.get(*link)

    def expected(self, wall: int, *, also_kept: bool) -> list[Correspondent]:
        """Ends of links for which something is queued, and with `also_kept` those from whom something is expected."""
        queued = (
            "JOIN (SELECT DISTINCT local AS our, remote AS their FROM outbox INDEXED BY outbox_queued "
            "WHERE state = 'queued' AND until > ?) "
            "ON local = our AND remote = their"
        )
        found = select(self._db, Correspondent, "correspondents", queued, (wall,))
        if also_kept:
            found += select(self._db, Correspondent, "correspondents", "WHERE keep_until > ?", (wall,))
        return list(dict.fromkeys(found))

    def pending(self, wall: int) -> list[Pending]:
        """All that waits, oldest first, without its bytes."""
        found = self._db.execute(
            "SELECT seq, hash, local, remote FROM outbox INDEXED BY outbox_queued "
            "WHERE state = 'queued' AND until > ? ORDER BY seq",
            (wall,),
        )
        return [Pending(*row) for row in found]

    def row(self, seq: int) -> Outgoing | None:
        """One document on its way."""
        return select_one(self._db, Outgoing, "outbox", "WHERE seq = ?", (seq,))

    def link_with(self, remote: bytes) -> Link | None:
        """Our seller's link to a correspondent known by that key; never one that we asked somebody over."""
        rest = "WHERE remote = ? AND NOT EXISTS (SELECT 1 FROM requests WHERE exchange_public = local) LIMIT 1"
        found = select(self._db, Correspondent, "correspondents", rest, (remote,))
        return (found[0].local, found[0].remote) if found else None

    def keep_until(self, link: Link, until: int) -> None:
        """Expect something over a link for longer."""
        known = self.correspondent(link)
        if known is not None:
            self._correspondents.change(*link, keep_until=max(known.keep_until, until))

    def release(self, exchange_public: bytes, until: int) -> None:
        """Expect nothing over the links of a key of ours after a moment."""
        self._db.execute("UPDATE correspondents SET keep_until = ? WHERE local = ?", (until, exchange_public))
