"""What waits for a person, as the inbox shows it: requests, orders and the papers that came with deals."""

from __future__ import annotations

from p2pmarket.api import types as t
from p2pmarket.clock import wall
from p2pmarket.errors import StoreError
from p2pmarket.market.labels import inbox_state
from p2pmarket.market.notices import actions_of
from p2pmarket.market.views import Views, title_of
from p2pmarket.store import rows
from p2pmarket.store.ledger import Ledger
from p2pmarket.trade import documents as d
from p2pmarket.trade.values import Sheet
from p2pmarket.vocab.deadlines import instant_text

TITLE_CHARS = 120  # of what a note says


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
    """A paper of a thread that a person should look at; its id is the paper's own.

    An order that was accepted with changes is shown by the new version of the quote: that is what can be ordered.
    """
    kept, request = ledger.documents.get(row.hash), ledger.requests.get(row.thread)
    if kept is None or request is None:
        raise StoreError("a notice without its papers")
    opened = views.reader.opened(kept)
    asked = views.reader.document(ledger, row.thread, d.Request)
    order = ledger.orders.get(getattr(opened.document, "deal", b""))
    role = "seller" if request.role == "seller" else "buyer"
    offered = _offered(ledger, opened.document)
    due = _due(opened.document, offered) or (order.due if order is not None else None)
    return t.InboxItem(
        id=offered.id if offered is not None else kept.id,
        kind=row.kind,  # type: ignore[arg-type]
        sender=_sender(views, ledger, request, order, kept.signer),
        title=_title(opened.document) or title_of(asked),
        category=asked.category,
        region=asked.region,
        lines=_count_lines(opened.document),
        matched_lines=0,
        received_at=instant_text(row.time),
        act_by=instant_text(due) if due else None,
        state=inbox_state(row),
        actions=actions_of(opened, order.stage if order is not None else "ordered", role),  # type: ignore[arg-type]
    )


def is_over(views: Views, ledger: Ledger, row: rows.Notice) -> bool:
    """Whether a version that came instead of an acceptance was let go: its time is over."""
    kept = ledger.documents.get(row.hash) if row.kind == "amendment" and row.state != "answered" else None
    offered = _offered(ledger, views.reader.of_row(kept)) if kept is not None else None
    return offered is not None and offered.valid_until < wall()


def _offered(ledger: Ledger, document: d.Document) -> rows.Quote | None:
    """The version of a quote that the word on an order points to."""
    if isinstance(document, d.OrderResponse) and document.quote is not None:
        return ledger.quotes.get(document.quote)
    return None


def _due(document: d.Document, offered: rows.Quote | None) -> int | None:
    """Until when a counter wants its answer, or a new version can be ordered."""
    if isinstance(document, d.Counter):
        return document.valid_until
    return offered.valid_until if offered is not None else None


def _title(document: d.Document) -> str | None:
    """What a note says, or which files it names."""
    if not isinstance(document, d.Note):
        return None
    said = " ".join((document.text or ", ".join(one.name for one in document.attachments or ())).split())
    return said if len(said) <= TITLE_CHARS else said[: TITLE_CHARS - 1] + "…"


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
