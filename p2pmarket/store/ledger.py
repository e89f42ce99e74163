"""The ledger: typed methods over its tables, grouped by what they are about.

A `Ledger` value is what a work gets from `Database.run`: it lives inside one transaction of the ledger's thread. No
rule of trade is decided here; `market` decides, this module writes down.
"""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from p2pmarket.errors import BadInput, NotFound
from p2pmarket.keys import KEY_BYTES
from p2pmarket.store.database import Database
from p2pmarket.store.keyed import Keyed
from p2pmarket.store.link_keys import Keys, StandingKeys
from p2pmarket.store.made import Made
from p2pmarket.store.meta import Meta
from p2pmarket.store.migrate import steps_of
from p2pmarket.store.news import Events, Notices
from p2pmarket.store.offers import Announcements, Prices
from p2pmarket.store.outbox import Outbox
from p2pmarket.store.people import Contacts
from p2pmarket.store.proofs import Proofs
from p2pmarket.store.recalls import Recalls
from p2pmarket.store.remembering import Remembering
from p2pmarket.store.rows import (
    Asked,
    Document,
    Folded,
    Order,
    Quote,
    Request,
    select,
    select_each,
    select_one,
)

FIRSTS = "the first request by a link key"  # in memory only: its hash
ID_PREFIX_CHARS = 4  # the shortest prefix of an id that people may type, after its letter


class Ledger:
    """The open transaction, table by table."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        db = Remembering(connection)
        self._db = db
        self.meta = Meta(db)
        self.keys = Keys(db)
        self.standing_keys = StandingKeys(db)
        self.made = Made()
        self.documents = Documents(db, self.made)
        self.requests = Requests(db)
        self.quotes = Quotes(db)
        self.orders = Orders(db)
        self.notices = Notices(db)
        self.recalls = Recalls(db)
        self.outbox = Outbox(db)
        self.contacts = Contacts(db)
        self.announcements = Announcements(db)
        self.prices = Prices(db)
        self.events = Events(db)
        self.proofs = Proofs(db)

    def begin_work(self) -> None:
        """What an earlier work read is forgotten, and what it would have told if it was undone."""
        self._db.begin()
        self.made.begin()
        self.events.take_added()

    def forget(self) -> None:
        """A work was undone: what was read in its transaction may not be so."""
        self._db.forget()
        self.made.clear()


def ledger_database(home: Path) -> Database[Ledger]:
    """The ledger of a home folder, not yet open."""
    database = Database(home / "ledger.sqlite", steps_of("ledger"), Ledger, full_sync=True)
    database.begin, database.undone = Ledger.begin_work, Ledger.forget
    return database


class _Table:
    def __init__(self, connection: Remembering) -> None:
        self._db = connection


class Documents(_Table):
    """Signed documents."""

    def __init__(self, connection: Remembering, made: Made) -> None:
        super().__init__(connection)
        self._made = made
        self._rows = Keyed(connection, Document, "documents", "hash")

    def get(self, hash_: bytes) -> Document | None:
        return self._rows.get(hash_)

    def add(self, document: Document) -> None:
        self._made.drop(document.thread)
        self._rows.add(document)

    def set_ack(self, hash_: bytes, ack: bytes) -> None:
        self._rows.change(hash_, ack=ack)

    def of_thread(self, thread: bytes) -> list[Document]:
        return select(self._db, Document, "documents", "WHERE thread = ? ORDER BY seq", (thread,))

    def between(self, thread: bytes, seller: bytes) -> list[Document]:
        """The documents of a request to or from one seller, without the request itself."""
        rest = "WHERE thread = ?1 AND hash <> ?1 AND (signer = ?2 OR recipient = ?2) ORDER BY seq"
        return select(self._db, Document, "documents", rest, (thread, seller))

    def disputes_beside(self, thread: bytes, seller: bytes) -> list[Document]:
        """Steps of disputes about a request that are neither from nor to that seller."""
        rest = "WHERE thread = ?1 AND kind = 18 AND signer <> ?2 AND recipient <> ?2 ORDER BY seq"
        return select(self._db, Document, "documents", rest, (thread, seller))

    def ratings(self) -> list[Document]:
        """All ratings, ours and those of our deals."""
        return select(self._db, Document, "documents", "WHERE kind = 17 ORDER BY seq", ())

    def newest_rating(self, signer: bytes, rated: bytes) -> Document | None:
        """What somebody last said of somebody."""
        rest = "WHERE kind = 17 AND signer = ? AND recipient = ? ORDER BY seq DESC"
        return select_one(self._db, Document, "documents", rest, (signer, rated))

    def of_signer(self, thread: bytes, kind: int, signer: bytes) -> list[Document]:
        """The documents of a kind by one signer about a request."""
        rest = "WHERE thread = ? AND kind = ? AND signer = ? ORDER BY seq"
        return select(self._db, Document, "documents", rest, (thread, kind, signer))

    def holding(self, kind: int, content: bytes) -> list[bytes]:
        """Hashes of the documents of a kind in whose bytes these stand."""
        found = self._db.execute(
            "SELECT hash FROM documents WHERE kind = ? AND instr(envelope, ?) > 0 ORDER BY seq", (kind, content)
        )
        return [bytes(row[0]) for row in found]

    def resolve(self, prefix: str) -> Document:
        """The one document whose id begins with `prefix` (a deal's id finds its order); NotFound, BadInput."""
        text = prefix.strip().lower()
        if text.startswith("d-"):
            text = f"o-{text[2:]}"
        if len(text) < 2 + ID_PREFIX_CHARS or text[1] != "-":
            raise BadInput(
                f"{prefix!r} is no id", hint="Ids look like r-abcd…; a prefix of at least 4 characters is enough"
            )
        rest = "WHERE hash >= ? AND hash <= ? AND id >= ? AND id < ? LIMIT 2"
        found = select(self._db, Document, "documents", rest, (*_hashes_of(text[2:]), text, text + "\x7f"))
        if not found:
            raise NotFound(f"nothing here has the id {prefix}")
        if len(found) > 1:
            raise BadInput(f"{prefix} fits more than one id", hint="Give more of its characters")
        return found[0]


class Requests(_Table):
    """Requests of both roles, and the sellers whom ours were sent to."""

    def __init__(self, connection: Remembering) -> None:
        super().__init__(connection)
        self._rows = Keyed(connection, Request, "requests", "hash")
        self._asked = Keyed(connection, Asked, "asked", "request", "seller")
        self._firsts = connection.keeping(FIRSTS)

    def add(self, request: Request) -> None:
        self._firsts.pop((request.exchange_public,), None)
        self._rows.add(request)

    def get(self, hash_: bytes) -> Request | None:
        return self._rows.get(hash_)

    def of_role(self, role: str) -> Iterator[Request]:
        """The newest first."""
        return select_each(self._db, Request, "requests", "WHERE role = ? ORDER BY created DESC, rowid DESC", (role,))

    def open_until(self, role: str, wall: int) -> list[Request]:
        """Open ones whose reply-by is still to come."""
        return select(
            self._db,
            Request,
            "requests",
            "WHERE role = ? AND state = 'open' AND reply_by > ? ORDER BY created",
            (role, wall),
        )

    def made_for(self, request: bytes) -> list[Request]:
        """Our requests that serve a request of our inbox."""
        return select(self._db, Request, "requests", "WHERE made_for = ? ORDER BY created", (request,))

    def by_exchange(self, public: bytes) -> Request | None:
        """The request of ours whose links use that key, the first if it is a standing one."""
        if (key := (public,)) not in self._firsts:
            rest = "WHERE exchange_public = ? ORDER BY rowid LIMIT 1"
            row = self._db.execute(f"SELECT hash FROM requests {rest}", key).fetchone()
            found = row and bytes(row[0])
            self._db.keep(FIRSTS, key, found, KEY_BYTES)
        else:
            found = self._firsts[key]
        return self.get(found) if found else None

    def of_exchange(self, public: bytes) -> list[Request]:
        """All requests of ours whose links use that key."""
        return select(self._db, Request, "requests", "WHERE exchange_public = ? ORDER BY rowid", (public,))

    def count_of_exchange(self, public: bytes) -> int:
        (count,) = self._db.execute("SELECT count(*) FROM requests WHERE exchange_public = ?", (public,)).fetchone()
        return int(count)

    def of_buyer(self, exchange: bytes) -> list[Request]:
        """All requests that somebody sent us over links of that key of his."""
        return select(self._db, Request, "requests", "WHERE buyer_exchange = ? ORDER BY rowid", (exchange,))

    def count_of_buyer(self, exchange: bytes) -> int:
        (count,) = self._db.execute("SELECT count(*) FROM requests WHERE buyer_exchange = ?", (exchange,)).fetchone()
        return int(count)

    def ended_between(self, last: int, now: int) -> list[Request]:
        """Open ones whose reply-by lies after `last` and not after `now`."""
        rest = "WHERE state = 'open' AND reply_by > ? AND reply_by <= ?"
        return select(self._db, Request, "requests", rest, (last, now))

    def count_waiting(self, wall: int) -> int:
        """A seller's open requests that nobody has answered."""
        (count,) = self._db.execute(
            "SELECT count(*) FROM requests INDEXED BY requests_waiting "
            "WHERE role = 'seller' AND state = 'open' AND reply_by > ? AND attention <> 'answered'",
            (wall,),
        ).fetchone()
        return int(count)

    def count_from_group(self, group: bytes, since: int) -> int:
        (count,) = self._db.execute(
            "SELECT count(*) FROM requests WHERE role = 'seller' AND address_group = ? AND created > ?", (group, since)
        ).fetchone()
        return int(count)

    def set_state(self, hash_: bytes, state: str) -> None:
        self._rows.change(hash_, state=state)

    def set_attention(self, hash_: bytes, attention: str) -> None:
        self._rows.change(hash_, attention=attention)

    def set_matched(self, hash_: bytes, lines: int, doubts: str) -> None:
        """How many lines our prices cover, and (JSON, line -> why) what a person must look at."""
        self._rows.change(hash_, matched_lines=lines, doubts=doubts)

    def set_search(self, hash_: bytes, search: str) -> None:
        self._rows.change(hash_, search=search)

    def ask(self, asked: Asked) -> bool:
        """Note that a seller is asked; False when he was already."""
        return self._asked.add(asked, verb="INSERT OR IGNORE")

    def asked(self, request: bytes) -> list[Asked]:
        return select(self._db, Asked, "asked", "WHERE request = ? ORDER BY updated", (request,))

    def count_asked(self, request: bytes) -> int:
        (count,) = self._db.execute("SELECT count(*) FROM asked WHERE request = ?", (request,)).fetchone()
        return int(count)

    def asked_one(self, request: bytes, seller: bytes) -> Asked | None:
        return self._asked.get(request, seller)

    def set_record(self, request: bytes, seller: bytes, record: bytes) -> None:
        """Keep a seller's newer announcement."""
        self._asked.change(request, seller, record=record)

    def set_answer(self, request: bytes, seller: bytes, answer: str, reason: str | None, wall: int) -> None:
        self._asked.change(request, seller, answer=answer, reason=reason, updated=wall)


class Quotes(_Table):
    """Quotes given and got."""

    def __init__(self, connection: Remembering) -> None:
        super().__init__(connection)
        self._rows = Keyed(connection, Quote, "quotes", "hash")

    def add(self, quote: Quote) -> None:
        self._rows.add(quote)

    def get(self, hash_: bytes) -> Quote | None:
        return self._rows.get(hash_)

    def of_request(self, request: bytes) -> list[Quote]:
        return select(self._db, Quote, "quotes", "WHERE request = ? ORDER BY seller, version", (request,))

    def of_thread(self, request: bytes, seller: bytes) -> list[Quote]:
        return select(self._db, Quote, "quotes", "WHERE request = ? AND seller = ? ORDER BY version", (request, seller))

    def set_state(self, hash_: bytes, state: str) -> None:
        self._rows.change(hash_, state=state)

    def set_counter(self, hash_: bytes, counter: bytes) -> None:
        """Note the buyer's counter to a quote."""
        self._rows.change(hash_, counter=counter)

    def mark_seen(self, hash_: bytes) -> None:
        self._rows.change(hash_, seen=1)

    def to_choose(self, wall: int) -> list[Quote]:
        """What we got and can still order, of requests that are not over; in the order in which it came.

        Of a request that was awarded in part that is the rest: whoever lost was told so, and his quote is not open.
        """
        rest = (
            "WHERE ours = 0 AND state = 'open' AND valid_until > ? "
            "AND request IN (SELECT hash FROM requests WHERE state IN ('open', 'enough', 'awarded')) ORDER BY rowid"
        )
        return select(self._db, Quote, "quotes", rest, (wall,))


class Orders(_Table):
    """Orders and the deals they became."""

    def __init__(self, connection: Remembering) -> None:
        super().__init__(connection)
        self._rows = Keyed(connection, Order, "orders", "hash")

    def add(self, order: Order) -> None:
        self._rows.add(order)

    def get(self, hash_: bytes) -> Order | None:
        return self._rows.get(hash_)

    def of_quote(self, request: bytes, quote: bytes) -> list[Order]:
        """The orders of one of a request's quotes."""
        rest = "WHERE request = ? AND quote = ? ORDER BY created"
        return select(self._db, Order, "orders", rest, (request, quote))

    def of_request(self, request: bytes) -> list[Order]:
        return select(self._db, Order, "orders", "WHERE request = ? ORDER BY created", (request,))

    def open_of_request(self, request: bytes) -> bool:
        """Whether an order of a request waits for the seller's word, or has become a deal."""
        rest = "WHERE request = ? AND state IN ('ordered', 'accepted')"
        return select_one(self._db, Order, "orders", rest, (request,)) is not None

    def latest(self) -> Iterator[Order]:
        """All, the newest first."""
        return select_each(self._db, Order, "orders", "ORDER BY created DESC, rowid DESC", ())

    def of_party(self, request: bytes, other: bytes) -> list[Order]:
        """The orders of a request with that identity."""
        return select(self._db, Order, "orders", "WHERE request = ? AND other = ?", (request, other))

    def waiting(self) -> list[Order]:
        """Orders that wait for our word."""
        return select(self._db, Order, "orders", "WHERE role = 'seller' AND state = 'ordered' ORDER BY created", ())

    def our_turn(self) -> list[Order]:
        """Orders that both have signed and in which we must act."""
        return select(self._db, Order, "orders", "WHERE turn = role AND agreed IS NOT NULL ORDER BY created", ())

    def dealt_with(self, identity: bytes) -> bool:
        """Whether there is an accepted order with that identity."""
        row = select_one(self._db, Order, "orders", "WHERE other = ? AND state = 'accepted'", (identity,))
        return row is not None

    def set_taken(self, hash_: bytes, taken: str | None) -> None:
        """What an order has taken from the stock (JSON), or that nothing is to come back."""
        self._rows.change(hash_, taken=taken)

    def mark_seen(self, hash_: bytes) -> None:
        self._rows.change(hash_, seen=1)

    def set_state(self, hash_: bytes, folded: Folded) -> None:
        """Write down what the documents fold to."""
        self._rows.change(hash_, **folded._asdict())

    def answer(self, hash_: bytes, response: bytes, agreed: int | None) -> None:
        """Note the seller's word; the state follows from the documents."""
        self._rows.change(hash_, response=response, agreed=agreed)


def _hashes_of(prefix: str) -> tuple[bytes, bytes]:
    """The least and the greatest hash whose base32 begins so; an empty range if none does."""
    try:
        least, greatest = (base64.b32decode(prefix[:32].ljust(32, fill).upper()) for fill in "a7")  # 20 bytes
    except ValueError:
        return b"\xff", b""
    return least, greatest + 13 * b"\xff"
