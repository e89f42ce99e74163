"""Events as listeners see them: the kept row joined with the object it is about, as that is now."""

from __future__ import annotations

from p2pmarket.api import types as t
from p2pmarket.errors import NotFound
from p2pmarket.market.events import Told
from p2pmarket.market.inbox import inbox_request
from p2pmarket.market.quarrel_views import proof_view
from p2pmarket.market.showing import document_info
from p2pmarket.market.views import Views
from p2pmarket.store.ledger import Ledger
from p2pmarket.store.rows import Event
from p2pmarket.trade import documents
from p2pmarket.vocab.deadlines import instant_text

ABOUT_DEALS = frozenset(
    {"change", "cancel", "despatch", "receipt", "invoice", "credit", "payment", "rating", "dispute", "note"}
)


class Rendering:
    """Makes `api.types.Event` of rows. Runs in the ledger's thread."""

    def __init__(self, views: Views, stream: str) -> None:
        self._views, self._stream = views, stream

    def __call__(self, ledger: Ledger, event: Event) -> Told | None:
        """The event with its object, and the request (hash) that it belongs to."""
        data = self._object(ledger, event)
        if data is None:
            return None
        shown = t.Event(
            stream=self._stream, seq=event.seq, time=instant_text(event.time), type=event.type, id=event.id, data=data
        )
        return Told(shown, event.subject)

    def _object(self, ledger: Ledger, event: Event) -> t.Reply | None:
        request = ledger.requests.get(event.subject)
        if request is None:
            return None
        if event.type == "proof.found" and (proof := ledger.proofs.get(event.party)) is not None:
            return proof_view(self._views, ledger, proof)
        if event.type == "request.received":
            return inbox_request(self._views, ledger, request)
        if event.type in {"seller.asked", "seller.declined"}:
            return self._seller(ledger, event)
        if not event.party:
            return self._views.request(ledger, request)
        if event.type == "delivery.changed" and (way := self._way(ledger, event.party)) is not None:
            return way
        party = self._subject(ledger, event.party)
        found = self._seller(ledger, event) or self._quote(ledger, party) or self._order(ledger, event, party)
        return found or self._views.request(ledger, request)  # of a decline, say: no event may leave a gap

    def _way(self, ledger: Ledger, party: bytes) -> t.DocumentInfo | None:
        """How far a paper of ours has come; requests have a seller's state for that, orders their own field."""
        kept = ledger.documents.get(party)
        if kept is None or not kept.ours or kept.kind in {documents.REQUEST, documents.ORDER}:
            return None
        return document_info(self._views, ledger, kept)

    def _subject(self, ledger: Ledger, party: bytes) -> bytes:
        """What is shown for a document that is about an order or a quote: that order or quote."""
        row = ledger.documents.get(party)
        document = self._views.reader.of_row(row) if row is not None else None
        if isinstance(document, documents.OrderResponse):
            return document.order
        if isinstance(found := getattr(document, "deal", None), bytes):
            return found
        if isinstance(document, documents.Note):
            return document.about
        if isinstance(document, documents.Counter):
            return document.answers
        return document.quote if isinstance(document, documents.Withdraw) else party

    def _seller(self, ledger: Ledger, event: Event) -> t.Reply | None:
        asked = ledger.requests.asked_one(event.subject, event.party)
        return self._views.seller_state(ledger, asked) if asked is not None else None

    def _quote(self, ledger: Ledger, hash_: bytes) -> t.Reply | None:
        quote = ledger.quotes.get(hash_)
        return self._views.quote(ledger, quote) if quote is not None else None

    def _order(self, ledger: Ledger, event: Event, hash_: bytes) -> t.Reply | None:
        """Events of orders show the order, all later ones the deal."""
        order = ledger.orders.get(hash_)
        try:
            if order is not None and event.type.partition(".")[0] in ABOUT_DEALS:
                return self._views.deal(ledger, order)
            return self._views.order(ledger, order) if order is not None else None
        except NotFound:
            return None
