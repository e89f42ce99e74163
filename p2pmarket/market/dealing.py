"""Everything between two sides beside asking, quoting and ordering: talk, changes, delivery, bills, ratings, quarrels.

One way in (`take`) and one way out (`send`) for all these kinds, inside one transaction of the ledger's thread: what
came is checked, kept, folded into the columns, noticed and told; what we make is kept, queued and folded. What a kind
needs beyond that stands in its own module and is called from here by the table `AFTER`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from p2pmarket import limits
from p2pmarket.errors import NotFound, StoreError
from p2pmarket.keys import SigningKey
from p2pmarket.market.hearing import heard_counter, heard_note
from p2pmarket.market.notices import notice
from p2pmarket.market.own_keys import sign_key
from p2pmarket.market.papers import Reader, Signer, queue
from p2pmarket.market.threads import check_room, load_thread, project, require_room
from p2pmarket.records import Route
from p2pmarket.store import rows
from p2pmarket.store.ledger import Ledger
from p2pmarket.trade import check, making
from p2pmarket.trade import documents as d
from p2pmarket.trade.checking import unknown
from p2pmarket.trade.thread import State, Thread

DEAL_LINK_SECONDS = 30 * limits.DAY  # after the last paper of a deal, how long the line is kept
Link = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Dealing:
    """What both sides do after a quote. `routes`: how others can dial us now; `give_back`: stock of cancelled deals."""

    signer: Signer
    reader: Reader
    routes: Callable[[], tuple[Route, ...]]
    give_back: Callable[[Ledger, Thread], None]

    def moment(self, wall: int) -> making.Moment:
        """Now, with fresh randomness."""
        return making.Moment(wall, self.signer.secrets)

    # Finding

    def thread(self, ledger: Ledger, request: bytes, seller: bytes) -> Thread:
        """All that passed about a request between its buyer and one seller."""
        return load_thread(ledger, self.reader, self.signer.network, request, seller)

    def deal_thread(self, ledger: Ledger, order: rows.Order) -> Thread:
        """The thread that an order, and the deal it became, belongs to."""
        return self.thread(ledger, order.request, self.seller_of(order))

    def seller_of(self, order: rows.Order) -> bytes:
        """The seller's identity: the other side's, or ours."""
        return order.other if order.role == "buyer" else self.signer.identity.public

    def key(self, thread: Thread, row: rows.Request) -> SigningKey:
        """Our key in a thread: the identity once it has an order, and a seller's always; else the request's."""
        return self.signer.identity if row.role == "seller" or thread.orders else sign_key(row)

    def link(self, ledger: Ledger, row: rows.Request, seller: bytes) -> Link:
        """The link of a thread. Raises NotFound if there was never one."""
        if row.role == "buyer":
            sent = ledger.outbox.of_document(row.hash, seller)
            if sent is None:
                raise NotFound("that seller was not asked")
            return (sent.local, sent.remote)
        link = ledger.outbox.link_with(bytes(row.buyer_exchange or b""))
        if link is None:
            raise StoreError("a request without the link it came over")
        return link

    def link_of(self, ledger: Ledger, opened: d.Opened) -> Link | None:
        """The link over which the other side of a kept document is reached."""
        kept = ledger.documents.get(opened.hash)
        row = ledger.requests.get(kept.thread) if kept is not None else None
        if row is None:
            return None
        seller = self.signer.identity.public if row.role == "seller" else opened.signer
        return self.link(ledger, row, seller)

    def about(self, ledger: Ledger, opened: d.Opened) -> bytes | None:
        """The request that a document belongs to; None if what it is about is not here."""
        found = getattr(opened.document, "order", None) or _about(opened.document)
        if not found:
            found = getattr(opened.document, "request", b"")
        kept = ledger.documents.get(found)
        return kept.thread if kept is not None else None

    # Out

    def send(self, ledger: Ledger, thread: Thread, opened: d.Opened, wall: int) -> State:
        """Keep a document of ours, queue it for the other side, and write down what follows from it."""
        row = self._row(ledger, thread.request.hash)
        link = self.link(ledger, row, thread.seller)
        require_room(thread, opened)
        self.reader.keep(ledger, opened, row.hash, wall, ours=True)
        queue(ledger, opened, row.hash, link, wall)
        self._keep_line(ledger, row, link, wall)
        thread = thread.adding(opened)
        self._end(ledger, thread, opened)
        return project(ledger, thread, wall)

    # In

    def take(self, ledger: Ledger, opened: d.Opened, wall: int) -> None:
        """A document of the other side. Raises Refusal."""
        row, seller = self._place(ledger, opened)
        thread = self.thread(ledger, row.hash, seller)
        check.check(thread, opened, wall)
        check_room(thread, opened)
        self.reader.keep(ledger, opened, row.hash, wall, ours=False)
        notice(ledger, opened, row.hash, wall)
        self._keep_line(ledger, row, self.link(ledger, row, seller), wall)
        thread = thread.adding(opened)
        self._end(ledger, thread, opened)
        project(ledger, thread, wall)
        after = AFTER.get(type(opened.document))
        if after is not None:
            after(ledger, self, thread, opened, wall)
        ledger.events.add(wall, event_of(opened), self._named(ledger, opened, row), row.hash, opened.hash)

    def _end(self, ledger: Ledger, thread: Thread, opened: d.Opened) -> None:
        """Whatever may have ended a deal: what it had taken from the stock is there again."""
        if isinstance(opened.document, d.Cancel | d.Change | d.Dispute):
            self.give_back(ledger, thread)

    def _place(self, ledger: Ledger, opened: d.Opened) -> tuple[rows.Request, bytes]:
        """The request and the seller that a document is about. Raises Refusal."""
        about = _about(opened.document)
        order = ledger.orders.get(about)
        if order is not None:
            return self._row(ledger, order.request), self.seller_of(order)
        kept = ledger.documents.get(about)
        row = ledger.requests.get(kept.thread) if kept is not None else None
        if row is None:
            raise unknown("unknown_deal" if hasattr(opened.document, "deal") else "unknown_document")
        if row.role == "seller":
            return row, self.signer.identity.public
        if ledger.requests.asked_one(row.hash, opened.signer) is None:
            raise unknown("unknown_request")
        return row, opened.signer

    def _row(self, ledger: Ledger, request: bytes) -> rows.Request:
        row = ledger.requests.get(request)
        if row is None:
            raise StoreError("a thread without its request")
        return row

    def _keep_line(self, ledger: Ledger, row: rows.Request, link: Link, wall: int) -> None:
        """Nobody can dial a buyer behind a router: he keeps the line open as long as papers may come."""
        if row.role == "buyer" and ledger.orders.open_of_request(row.hash):
            ledger.outbox.keep_until(link, wall + DEAL_LINK_SECONDS)

    def _named(self, ledger: Ledger, opened: d.Opened, row: rows.Request) -> str:
        """The id that an event names: of the deal, or of the request."""
        order = ledger.orders.get(_about(opened.document))
        return order.deal if order is not None else row.id


def _about(document: d.Document) -> bytes:
    """What a document is about: its deal, the quote it counters, or what a note names."""
    if isinstance(document, d.Counter):
        return document.request
    found = document.about if isinstance(document, d.Note) else getattr(document, "deal", b"")
    return found if isinstance(found, bytes) else b""


def event_of(opened: d.Opened) -> str:
    """The type of the event that tells of a document; a payment's says whose word it is, not that money came."""
    if isinstance(opened.document, d.Payment):
        return f"payment.{opened.document.step}"
    return f"{opened.name}.received"


After = Callable[[Ledger, Dealing, Thread, d.Opened, int], None]
AFTER: Mapping[type[d.Document], After] = {d.Counter: heard_counter, d.Note: heard_note}

__all__ = ["AFTER", "Dealing", "event_of"]
