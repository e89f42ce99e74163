"""What waits for a person, as the inbox shows it: requests, orders, quotes to choose from, deals and their papers.

What asks for an act comes first, what only tells something behind it, and what is answered last. Of the acts, orders
and papers come before what strangers may ask without end; what ends soonest is first. What names no end is taken to end
a day after it came: so it neither hides what is urgent nor is hidden for long.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from p2pmarket.api import types as t
from p2pmarket.clock import wall
from p2pmarket.errors import StoreError
from p2pmarket.limits import DAY, INBOX_PAPERS
from p2pmarket.market.notices import actions_of, only_tells
from p2pmarket.market.turns import Turn, inbox_turn, ordered_item, turns
from p2pmarket.market.views import Views, title_of
from p2pmarket.store import rows
from p2pmarket.store.ledger import Ledger
from p2pmarket.trade import documents as d
from p2pmarket.trade.values import Sheet
from p2pmarket.vocab.deadlines import instant_text

TITLE_CHARS = 120  # of what a note says
ASKED, OPEN, NEWS, ANSWERED = range(4)  # groups of items, the most urgent first


class Choice(NamedTuple):
    """The quotes that can be ordered of one request of ours, in the order in which they came."""

    request: bytes
    quotes: list[rows.Quote]


class Paper(NamedTuple):
    """A paper of the other side that a person should look at; `due`: until when something is to be done about it."""

    notice: rows.Notice
    opened: d.Opened
    offered: rows.Quote | None
    due: int | None

    @property
    def asks(self) -> bool:
        """Whether something is to be done about it."""
        return self.notice.state != "answered" and not only_tells(self.opened.document)


Waiting: TypeAlias = rows.Request | rows.Order | Paper | Choice | Turn


def waiting(views: Views, ledger: Ledger, *, answered: bool) -> list[Waiting]:
    """All that waits, the most urgent first; what is `answered` too, if it is asked for."""
    papers = _papers(views, ledger, answered=answered)
    found: list[Waiting] = [
        *ledger.orders.waiting(),
        *papers,
        *turns(views, ledger, [paper.opened for paper in papers if paper.asks]),
        *choices(ledger),
        *ledger.requests.open_until("seller", wall()),
    ]
    return sorted(found, key=_urgency)


def not_listed(ledger: Ledger, *, answered: bool) -> int:
    """How many papers are too many to be among those that wait."""
    return max(ledger.notices.count(answered=answered) - INBOX_PAPERS, 0)


def choices(ledger: Ledger) -> list[Choice]:
    """What we can choose from, by request."""
    found: dict[bytes, Choice] = {}
    for quote in ledger.quotes.to_choose(wall()):
        found.setdefault(quote.request, Choice(quote.request, [])).quotes.append(quote)
    return list(found.values())


def _papers(views: Views, ledger: Ledger, *, answered: bool) -> list[Paper]:
    """The papers of the other sides, but for versions that were let go: their time is over."""
    return _current(views, ledger, ledger.notices.latest() if answered else ledger.notices.waiting())


def _current(views: Views, ledger: Ledger, notices: list[rows.Notice]) -> list[Paper]:
    found = [_paper(views, ledger, notice) for notice in notices]
    return [paper for paper in found if paper.notice.state == "answered" or not _is_over(paper)]


def _paper(views: Views, ledger: Ledger, notice: rows.Notice) -> Paper:
    kept = ledger.documents.get(notice.hash)
    if kept is None:
        raise StoreError("a notice without its papers")
    opened = views.reader.opened(kept)
    if only_tells(opened.document):
        return Paper(notice, opened, None, None)
    offered = _offered(ledger, opened.document)
    order = ledger.orders.get(getattr(opened.document, "deal", b""))
    return Paper(notice, opened, offered, _due(opened.document, offered) or (order.due if order is not None else None))


def count_new(views: Views, ledger: Ledger) -> int:
    """How many things wait that nobody has dealt with, or looked at."""
    asking = [paper.opened for paper in _current(views, ledger, ledger.notices.asking()) if paper.asks]
    open_: list[Waiting] = [*choices(ledger), *turns(views, ledger, asking)]
    new = sum(inbox_state(row) == "new" for row in open_)
    return new + ledger.requests.count_waiting(wall()) + len(ledger.orders.waiting()) + ledger.notices.count_new()


def inbox_state(row: Waiting) -> t.InboxState:
    """Whether a person has seen or answered what came."""
    match row:
        case Paper(notice=notice):
            return notice.state  # type: ignore[return-value]
        case rows.Order(seen=seen) | Turn(order=rows.Order(seen=seen)):
            return "seen" if seen else "new"
        case Choice(quotes=quotes):
            return "seen" if all(quote.seen for quote in quotes) else "new"
    return row.attention or "new"  # type: ignore[return-value]


def _urgency(row: Waiting) -> tuple[int, int]:
    """The place of an item in the list: its group, and within it what comes first."""
    match row:
        case rows.Order(answer_by=answer_by):
            return ASKED, answer_by
        case Paper(notice=notice, due=due) if row.asks:
            return ASKED, due or notice.time + DAY
        case Paper(notice=notice):
            return ANSWERED if notice.state == "answered" else NEWS, -notice.time
        case Turn(order=order):
            return OPEN, order.due or (order.agreed or order.created) + DAY
        case Choice(quotes=quotes):
            return OPEN, _first_end(quotes)
    return (ANSWERED, -row.created) if inbox_state(row) == "answered" else (OPEN, row.reply_by)


def _first_end(quotes: list[rows.Quote]) -> int:
    return min(quote.valid_until for quote in quotes)


def inbox_item(views: Views, ledger: Ledger, row: Waiting) -> t.InboxItem:
    """One thing that waits."""
    match row:
        case Paper():
            return inbox_paper(views, ledger, row)
        case Turn():
            return inbox_turn(views, ledger, row)
        case rows.Order():
            return ordered_item(views, ledger, row)
        case Choice():
            return inbox_quotes(views, ledger, row)
    return inbox_request(views, ledger, row)


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
        quotes=None,
    )


def inbox_quotes(views: Views, ledger: Ledger, row: Choice) -> t.InboxItem:
    """The quotes for a request of ours that wait for our choice."""
    request, newest = ledger.requests.get(row.request), row.quotes[-1]
    kept = ledger.documents.get(newest.hash)
    if request is None or kept is None:
        raise StoreError("a quote without its papers")
    asked = views.reader.document(ledger, row.request, d.Request)
    quote = views.reader.document(ledger, newest.hash, d.Quote)
    return t.InboxItem(
        id=request.id,
        kind="quotes",
        sender=views.seller(ledger, row.request, newest.seller),
        title=title_of(asked),
        category=asked.category,
        region=asked.region,
        lines=len(asked.lines),
        matched_lines=len(asked.lines) - len(quote.missing_lines),
        received_at=instant_text(kept.time),
        act_by=instant_text(_first_end(row.quotes)),
        state=inbox_state(row),
        actions=["quotes", "order", "counter", "close"],
        quotes=t.QuotesCame(count=len(row.quotes), new=sum(not quote.seen for quote in row.quotes), newest=newest.id),
    )


def inbox_paper(views: Views, ledger: Ledger, row: Paper) -> t.InboxItem:
    """A paper of a thread that a person should look at; its id is the paper's own.

    An order that was accepted with changes is shown by the new version of the quote: that is what can be ordered.
    """
    opened, request = row.opened, ledger.requests.get(row.notice.thread)
    if request is None:
        raise StoreError("a notice without its papers")
    asked = views.reader.document(ledger, row.notice.thread, d.Request)
    order = ledger.orders.get(getattr(opened.document, "deal", b""))
    role = "seller" if request.role == "seller" else "buyer"
    return t.InboxItem(
        id=row.offered.id if row.offered is not None else opened.id,
        kind=row.notice.kind,  # type: ignore[arg-type]
        sender=_sender(views, ledger, request, order, opened.signer),
        title=_title(opened.document) or title_of(asked),
        category=asked.category,
        region=asked.region,
        lines=_count_lines(opened.document),
        matched_lines=0,
        received_at=instant_text(row.notice.time),
        act_by=instant_text(row.due) if row.due else None,
        state=inbox_state(row),
        actions=actions_of(opened, order.stage if order is not None else "ordered", role),  # type: ignore[arg-type]
        quotes=None,
    )


def _is_over(paper: Paper) -> bool:
    """Whether a version that came instead of an acceptance was let go."""
    return paper.offered is not None and paper.offered.valid_until < wall()


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
