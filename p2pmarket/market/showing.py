"""What `market show` answers: the thing that an id names, what it rests on, what was said about it, and all papers."""

from __future__ import annotations

import msgspec

from p2pmarket.api import types as t
from p2pmarket.errors import NotFound
from p2pmarket.market.deal_views import DealView
from p2pmarket.market.progress import Way, way_of
from p2pmarket.market.quarrel_views import disputes_of_deal, ratings_of_deal
from p2pmarket.market.talk_views import counter_view, note_view
from p2pmarket.market.views import Views
from p2pmarket.store import rows
from p2pmarket.store.ledger import Ledger
from p2pmarket.trade import documents as d
from p2pmarket.vocab.deadlines import instant_text

LISTS = (
    *("sellers", "counters", "notes", "documents"),
    *("proposals", "despatches", "receipts", "invoices", "credits", "payments", "unsent", "missing", "actions"),
    *("disputes", "ratings"),
)


def shown(views: Views, ledger: Ledger, id_: str) -> t.Shown:
    """Anything by its id or a unique prefix of it. Raises NotFound, BadInput."""
    text = id_.strip().lower()
    if text.startswith("a-"):
        return _announcement(views, ledger, text)
    kept = ledger.documents.resolve(text)
    if (order := ledger.orders.get(kept.hash)) is not None:
        return _order(views, ledger, order, deal=text.startswith("d-"))
    if (quote := ledger.quotes.get(kept.hash)) is not None:
        return _quote(views, ledger, quote)
    if (request := ledger.requests.get(kept.hash)) is not None:
        return _request(views, ledger, request)
    return _paper(views, ledger, kept)


def _announcement(views: Views, ledger: Ledger, prefix: str) -> t.Shown:
    for row in ledger.announcements.all():
        if row.id.startswith(prefix):
            return _empty("announcement", row.id, announcement=views.announcement(row, row.holders > 0))
    raise NotFound(f"no announcement has the id {prefix}", hint="market announcements lists them")


def _order(views: Views, ledger: Ledger, order: rows.Order, *, deal: bool) -> t.Shown:
    made = views.deal(ledger, order)
    request, quote = ledger.requests.get(order.request), ledger.quotes.get(order.quote)
    return _empty(
        "deal" if deal else "order",
        order.deal if deal else order.id,
        role=order.role,
        other=made.other,
        request=views.request(ledger, request) if request else None,
        quote=views.quote(ledger, quote) if quote else None,
        order=views.order(ledger, order),
        deal=made,
        disputes=disputes_of_deal(views, ledger, order),
        ratings=ratings_of_deal(views, ledger, order),
        **msgspec.structs.asdict(DealView.of(views, ledger, order).life()),
        **_thread(views, ledger, order.request, quote.seller if quote else None),
    )


def _quote(views: Views, ledger: Ledger, quote: rows.Quote) -> t.Shown:
    request = ledger.requests.get(quote.request)
    made = views.quote(ledger, quote)
    return _empty(
        "quote",
        quote.id,
        role="seller" if quote.ours else "buyer",
        other=None if quote.ours else made.seller,
        request=views.request(ledger, request) if request else None,
        quote=made,
        **_thread(views, ledger, quote.request, quote.seller),
    )


def _request(views: Views, ledger: Ledger, request: rows.Request) -> t.Shown:
    asked = ledger.requests.asked(request.hash) if request.role == "buyer" else []
    return _empty(
        "request",
        request.id,
        role=request.role,
        request=views.request(ledger, request),
        sellers=[views.seller_state(ledger, one) for one in asked],
        **_thread(views, ledger, request.hash, None),
    )


def _paper(views: Views, ledger: Ledger, kept: rows.Document) -> t.Shown:
    """A counter or a note by itself; of any other paper the deal that it belongs to."""
    document = views.reader.of_row(kept)
    request = ledger.requests.get(kept.thread)
    role: t.Role = "seller" if request is not None and request.role == "seller" else "buyer"
    if isinstance(document, d.Counter):
        quote = ledger.quotes.get(document.answers)
        made = views.quote(ledger, quote) if quote else None
        found = counter_view(views, ledger, kept)
        info = [document_info(views, ledger, kept)]
        return _empty("counter", kept.id, role=role, quote=made, counters=[found], documents=info)
    if isinstance(document, d.Note):
        note = note_view(views, ledger, kept)
        return _empty(
            "note", kept.id, role=role, other=note.peer, notes=[note], documents=[document_info(views, ledger, kept)]
        )
    order = ledger.orders.get(getattr(document, "deal", getattr(document, "order", b"")))
    if order is None:
        raise NotFound(f"{kept.id} cannot be shown by itself", hint=f"market show {d.document_id(1, kept.thread)}")
    return _order(views, ledger, order, deal=True)


def _thread(views: Views, ledger: Ledger, thread: bytes, seller: bytes | None) -> dict[str, object]:
    """Counters, notes and papers about a request; with `seller` only those between the buyer and him."""
    papers = ledger.documents.of_thread(thread)
    if seller is not None:
        papers = [one for one in papers if one.hash == thread or seller in (one.signer, one.recipient)]
    return {
        "counters": [counter_view(views, ledger, one) for one in papers if one.kind == d.COUNTER],
        "notes": [note_view(views, ledger, one) for one in papers if one.kind == d.kind_of(d.Note)],
        "documents": [info for one in papers for info in _infos(views, ledger, one, seller)],
    }


def _infos(views: Views, ledger: Ledger, paper: rows.Document, seller: bytes | None) -> list[t.DocumentInfo]:
    """A paper; our own request once for each seller who was asked, for it has a way of its own to each."""
    if paper.kind != d.REQUEST or not paper.ours or seller is not None:
        return [document_info(views, ledger, paper, seller)]
    asked = ledger.requests.asked(paper.hash)
    return [document_info(views, ledger, paper, one.seller) for one in asked] or [document_info(views, ledger, paper)]


def document_info(views: Views, ledger: Ledger, paper: rows.Document, seller: bytes | None = None) -> t.DocumentInfo:
    """One paper; our own request has a way of its own to each seller."""
    recipient = seller or paper.recipient if paper.kind == d.REQUEST else paper.recipient or seller
    document = views.reader.of_row(paper)
    others = "referee" if getattr(document, "step", None) == "opinion" else "other"
    way: Way | None = None
    if paper.ours and recipient:
        outgoing = ledger.outbox.of_document(paper.hash, recipient)
        way = way_of(views.dispatch, ledger, outgoing) if outgoing is not None else None
    return t.DocumentInfo(
        kind=d.NAMES[paper.kind],
        hash=paper.hash.hex(),
        id=paper.id if not paper.id.startswith("x-") else None,
        signer="me" if paper.ours else others,
        recipient=_recipient(views, ledger, paper, recipient) if paper.ours and recipient else None,
        issued_at=instant_text(document.issued_at),
        delivery=way.delivery if way else None,
        reason=way.reason if way else None,
        updated_at=way.updated_at if way else None,
        next=way.next if way else None,
        next_try_at=way.next_try_at if way else None,
        gives_up_at=way.gives_up_at if way else None,
        resent=way.resent if way else None,
    )


def _recipient(views: Views, ledger: Ledger, paper: rows.Document, recipient: bytes) -> t.Peer:
    request = ledger.requests.get(paper.thread)
    if request is not None and request.role == "buyer":
        return views.seller(ledger, paper.thread, recipient)
    return views.buyer(ledger, paper.thread, recipient)


def _empty(kind: str, id_: str, **parts: object) -> t.Shown:
    """The answer with these parts, all others null or empty."""
    names = ("role", "other", "request", "quote", "order", "deal", "announcement", "contract", "balance")
    lists = {name: parts.pop(name, []) for name in LISTS}
    nothing: dict[str, object] = dict.fromkeys(names)
    return t.Shown(kind=kind, id=id_, **{**nothing, **lists, **parts})  # type: ignore[arg-type]
