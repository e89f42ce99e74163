"""What waits for a person, as the inbox shows it: requests, orders and the papers that came with deals."""

from __future__ import annotations

from p2pmarket.api import types as t
from p2pmarket.errors import StoreError
from p2pmarket.market.labels import inbox_state
from p2pmarket.market.notices import actions_of
from p2pmarket.market.views import Views, title_of
from p2pmarket.store import rows
from p2pmarket.store.ledger import Ledger
from p2pmarket.trade import documents as d
from p2pmarket.trade.values import Sheet
from p2pmarket.vocab.deadlines import instant_text


def inbox_request(views: Views, ledger: Ledger, row: rows.Request) -> t.InboxItem:
    """A request that somebody sent us."""
    document = views.reader.document(ledger, row.hash, d.Request)
    signer = ledger.documents.get(row.hash)
    if signer is None:
        raise StoreError("a request without its document")
    quoted = any(quote.state == "open" for quote in ledger.quotes.of_thread(row.hash, views.identity))
    return t.InboxItem(
        id=row.id,
        kind="request",
        sender=views.buyer(ledger, row.hash, signer.signer),
        title=title_of(document),
        category=document.category,
        region=document.region,
        lines=len(document.lines),
        matched_lines=row.matched_lines or 0,
        received_at=instant_text(row.created),
        act_by=instant_text(row.reply_by),
        state=inbox_state(row),
        actions=["quote", "withdraw"] if quoted else ["quote", "decline"],
    )


def inbox_order(views: Views, ledger: Ledger, row: rows.Order) -> t.InboxItem:
    """An order that waits for our word."""
    document = views.reader.document(ledger, row.hash, d.Order)
    request = views.reader.document(ledger, row.request, d.Request)
    return t.InboxItem(
        id=row.id,
        kind="order",
        sender=views.other(ledger, row, document),
        title=title_of(request),
        category=request.category,
        region=document.deliver_to.region if document.deliver_to else request.region,
        lines=len(document.lines),
        matched_lines=len(document.lines),
        received_at=instant_text(row.created),
        act_by=instant_text(row.answer_by),
        state=inbox_state(row),
        actions=["accept", "reject"],
    )


def inbox_notice(views: Views, ledger: Ledger, row: rows.Notice) -> t.InboxItem:
    """A paper of a thread that a person should look at; its id is the paper's own."""
    kept, request = ledger.documents.get(row.hash), ledger.requests.get(row.thread)
    if kept is None or request is None:
        raise StoreError("a notice without its papers")
    opened = views.reader.opened(kept)
    asked = views.reader.document(ledger, row.thread, d.Request)
    order = ledger.orders.get(getattr(opened.document, "deal", b""))
    role = "seller" if request.role == "seller" else "buyer"
    return t.InboxItem(
        id=kept.id,
        kind=row.kind,  # type: ignore[arg-type]
        sender=_sender(views, ledger, request, order, kept.signer),
        title=title_of(asked),
        category=asked.category,
        region=asked.region,
        lines=_count_lines(opened.document),
        matched_lines=0,
        received_at=instant_text(row.time),
        act_by=instant_text(order.due) if order is not None and order.due else None,
        state=inbox_state(row),
        actions=actions_of(opened, order.stage if order is not None else "ordered", role),  # type: ignore[arg-type]
    )


def _sender(views: Views, ledger: Ledger, request: rows.Request, order: rows.Order | None, signer: bytes) -> t.Peer:
    if order is not None and signer == order.other:
        return views.other(ledger, order, views.reader.document(ledger, order.hash, d.Order))
    if request.role == "buyer":
        return views.seller(ledger, request.hash, signer)
    return views.buyer(ledger, request.hash, signer)


def _count_lines(document: d.Document) -> int:
    """How many lines a paper has, its own or those of its sheet; a note has none."""
    if isinstance(document, d.Despatch | d.Receipt):
        return len(document.lines)
    sheet = getattr(document, "sheet", None)
    return len(sheet.lines) if isinstance(sheet, Sheet) else 0
