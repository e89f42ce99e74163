"""A request as people see it: while it waits, its quotes side by side, and what to do if nobody answers.

Rules. Pure: structs of the API in, something rich can draw out. Every seller asked is in the table with what he has got
and what he answered; nothing is ever a blank page. Prices are compared in one currency only: another one is marked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

from rich.console import Group, RenderableType
from rich.text import Text

from p2pmarket import limits
from p2pmarket.api import types as t

from . import values as v
from .grid import (
    BAD,
    BOLD,
    DIM,
    GOOD,
    WARN,
    Cell,
    Column,
    Screen,
    ago,
    away,
    count,
    grid,
    heading,
    instant,
    short_id,
    span,
    until,
    when,
)
from .view_way import way

ANSWER_ORDER = ("quoted", "waiting", "declined", "silent", "unreachable")


def compared_currency(request: t.Request, quotes: Sequence[t.Quote]) -> str | None:
    """The currency in which quotes are compared: the one asked for, else the one most of them are in."""
    if request.currency or not quotes:
        return request.currency
    return Counter(quote.total.currency for quote in quotes).most_common(1)[0][0]


def best_quote(request: t.Request, quotes: Sequence[t.Quote]) -> t.Quote | None:
    """Of the open quotes in the compared currency the one with most lines, then the lowest total."""
    currency = compared_currency(request, quotes)
    able = [quote for quote in quotes if quote.state == "open" and quote.total.currency == currency]
    return min(able, key=lambda quote: (len(quote.missing_lines), Decimal(quote.total.amount)), default=None)


def _total(quote: t.Quote, currency: str | None, best: t.Quote | None) -> Cell:
    text = v.money(quote.total)
    if quote.total.currency != currency:
        return (f"{text} *", WARN)
    return (text, f"{BOLD} {GOOD}") if best is not None and quote.id == best.id else text


def _quote_id(quote: t.Quote, screen: Screen) -> str:
    """The id, and for people which version it is; in a pipe the id stands alone."""
    return short_id(screen, quote.id) + (f" v{quote.version}" if quote.version > 1 and screen.terminal else "")


def _line_cell(quote: t.Quote, request: t.Request) -> Cell:
    text = v.covered(quote, len(request.lines))
    return (text, WARN) if quote.missing_lines else text


def request_head(request: t.Request, screen: Screen) -> RenderableType:
    """Id, state, category, places and deadline, then the lines as they were understood."""
    label = {"open": "open until", "expired": "ended"}.get(request.state, f"{v.word(request.state)}; reply-by")
    places = [
        f"to {request.region}" if request.region else "",
        f"from {request.from_region}" * bool(request.from_region),
    ]
    parts = [v.category(request.category), *places, f"{label} {until(screen, request.reply_by)}"]
    head = heading(
        ("request ", DIM),
        (short_id(screen, request.id), BOLD),
        ("  ", ""),
        "  ·  ".join(part for part in parts if part),
    )
    shown = request.lines[:5] if screen.terminal else request.lines
    lines: list[RenderableType] = [
        heading(("understood: " if at == 0 else " " * 12, DIM), v.line(line)) for at, line in enumerate(shown)
    ]
    if len(shown) < len(request.lines):
        lines.append(heading((f"            and {len(request.lines) - len(shown)} more lines", DIM)))
    subject = [heading(("subject: ", DIM), request.subject)] if request.subject else []
    return Group(head, *subject, *lines)


def progress(request: t.Request, sellers: Sequence[t.SellerState], quotes: Sequence[t.Quote], screen: Screen) -> Text:
    """One line: how far the search is, how the sellers stand, and how long is left."""
    search = request.search
    answers = Counter[str](seller.answer for seller in sellers)
    pieces = [
        "searched" if search.complete else "searching",
        f"{count(search.nodes_asked, 'node')} asked, {count(search.sellers_found, 'seller')} found",
        f"widened to {', '.join(search.widened_to)}" if search.widened_to else "",
        ", ".join(f"{answers[answer]} {answer}" for answer in ANSWER_ORDER if answers[answer]),
        f"{len(quotes)} of {count(request.quotes_wanted, 'quote')} wanted" if _limited(request) else "",
        _left(request, screen),
    ]
    return heading((" · ".join(piece for piece in pieces if piece), DIM))


def _limited(request: t.Request) -> bool:
    """Whether the buyer said how many quotes he wants."""
    return 0 < request.quotes_wanted < limits.QUOTES_WANTED


def _left(request: t.Request, screen: Screen) -> str:
    end = instant(request.reply_by)
    if end is None or request.state != "open":
        return ""
    seconds = max(0, int(end - screen.now))
    if seconds >= 2 * 86400:
        return f"{span(seconds)} left"
    hours, rest = divmod(seconds, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02} left"


def waiting_view(
    report: t.RequestReport, screen: Screen, *, rows: int | None = None, near: Sequence[t.CategoryMatch] = ()
) -> RenderableType:
    """The live picture of a request: head, progress, one row a seller; `rows` of them fit."""
    request = report.request
    parts = [request_head(request, screen), progress(request, report.sellers, report.quotes, screen)]
    if report.sellers or report.quotes:
        parts.append(sellers_table(report, screen, rows=rows))
    elif request.search.complete and not request.search.sellers_found:
        parts.append(no_sellers(request, near))
    if _foreign(request, report.quotes):
        parts.append(_foreign_note(request, report.quotes))
    return Group(*parts)


def sellers_table(report: t.RequestReport, screen: Screen, *, rows: int | None = None) -> RenderableType:
    """What each seller has got and answered, quotes first, best on top."""
    request = report.request
    best = best_quote(request, report.quotes)
    currency = compared_currency(request, report.quotes)
    newest = {quote.seller.key: quote for quote in sorted(report.quotes, key=lambda quote: quote.version)}
    states = {seller.seller.key: seller for seller in report.sellers}
    keys = sorted({**states, **newest}, key=lambda key: _rank(states.get(key), newest.get(key), currency))
    shown = keys if rows is None else keys[: max(1, rows)]
    table = grid(
        screen,
        [
            Column("quote"), Column("seller", least=8), Column("key"), Column("delivery", goes=2),
            Column("answer", least=7), Column("next", least=16, goes=3),
            Column("total", right=True), Column("lines"), Column("delivers", least=7),
            Column("valid until", goes=1),
        ],
        [_seller_row(request, states.get(key), newest.get(key), best, currency, screen) for key in shown],
    )  # fmt: skip
    if len(shown) < len(keys):
        return Group(table, heading((f"… and {count(len(keys) - len(shown), 'more seller')}", DIM)))
    return table


def _rank(state: t.SellerState | None, quote: t.Quote | None, currency: str | None) -> tuple[int, int, int, Decimal]:
    if quote is not None:
        foreign = int(quote.total.currency != currency)
        return (0, foreign, len(quote.missing_lines), Decimal(quote.total.amount))
    answer = state.answer if state is not None else "waiting"
    return (1 + ANSWER_ORDER.index(answer), 0, 0, Decimal(0))


def _seller_row(
    request: t.Request,
    state: t.SellerState | None,
    quote: t.Quote | None,
    best: t.Quote | None,
    currency: str | None,
    screen: Screen,
) -> list[Cell]:
    peer = quote.seller if quote is not None else state.seller if state is not None else None
    cells: list[Cell] = [_quote_id(quote, screen) if quote is not None else ""]
    cells += [v.name(peer), peer.fingerprint] if peer is not None else ["", ""]
    cells += [v.styled(state.delivery) if state is not None else "", _stands(state, quote)]
    cells.append(way(state, screen) if state is not None else "")
    if quote is None:
        return [*cells, "", "", "", ""]
    delivery = v.delivery(quote.delivery)
    return [
        *cells,
        _total(quote, currency, best),
        _line_cell(quote, request),
        delivery,
        when(screen, quote.valid_until),
    ]


def _answer(state: t.SellerState) -> Cell:
    text, style = v.styled(state.answer)
    return (f"{text}: {v.word(state.reason)}" if state.reason else text, style)


def _stands(state: t.SellerState | None, quote: t.Quote | None) -> Cell:
    """What a seller answered, and what became of his quote since."""
    if quote is None or quote.state == "open":
        return _answer(state) if state is not None else v.styled("quoted")
    return v.styled(quote.state)


def no_sellers(request: t.Request, near: Sequence[t.CategoryMatch] = ()) -> RenderableType:
    """Nobody sells this here: how far was looked, what is near, what to try."""
    search = request.search
    widened = f", also under {', '.join(search.widened_to)}" if search.widened_to else ""
    code = request.category.code
    found = (f"No seller of {v.category(request.category)} was found", WARN)
    parts = [heading(found, f": {count(search.nodes_asked, 'node')} asked{widened}.")]
    if near:
        names = [match.code + (f" ({match.label})" if match.label else "") for match in near[:6]]
        parts.append(heading(("Near it: ", DIM), ", ".join(names)))
    tries = ["a wider category (market categories WORD)"]
    if request.region or request.from_region:
        tries.append("no region, or a larger one")
    tries.append("sellers you know (--to NAME)")
    parts.append(heading(("Try: ", DIM), "; ".join(tries)))
    if request.state == "open":
        parts.append(heading(f"The request stays open: whoever announces {code} before reply-by is asked too."))
    if search.nodes_asked == 0:
        parts.append(
            heading(("No other peer is known", WARN), ": see market doctor, or start marketd --bootstrap CONTACT.")
        )
    return Group(*parts)


def _foreign(request: t.Request, quotes: Sequence[t.Quote]) -> list[t.Quote]:
    currency = compared_currency(request, quotes)
    return [quote for quote in quotes if quote.total.currency != currency]


def _foreign_note(request: t.Request, quotes: Sequence[t.Quote]) -> Text:
    currency = compared_currency(request, quotes) or ""
    return heading(("* ", WARN), (f"another currency than {currency}: not compared", DIM))


def quotes_view(
    reply: t.Quotes, screen: Screen, *, sellers: Sequence[t.SellerState] = ()
) -> tuple[RenderableType, ...]:
    """Quotes side by side: price, lines, delivery, terms, place and validity; then the `sellers` without a quote."""
    request, quotes = reply.request, reply.quotes
    others = _others(sellers, quotes, screen)
    if not quotes:
        asked = request.counts.asked
        none = heading(f"No quote yet: {count(asked, 'seller')} asked, {count(request.counts.declined, 'decline')}.")
        return (request_head(request, screen), *([none, *others] if asked else [no_sellers(request)]))
    best, currency = best_quote(request, quotes), compared_currency(request, quotes)
    columns = [
        Column("quote"), Column("seller", least=8), Column("key"), Column("total", right=True), Column("lines"),
        Column("missing", least=7, goes=4), Column("delivers", least=8), Column("rated", least=8, goes=7),
        Column("terms", least=8, goes=2), Column("place", least=6, goes=1),
        Column("valid until", goes=6), Column("state", goes=3), Column("notes", least=6, goes=5),
    ]  # fmt: skip
    rows = [_quote_row(request, quote, best, currency, screen) for quote in quotes]
    parts: list[RenderableType] = [request_head(request, screen), Text(""), grid(screen, columns, rows)]
    if _foreign(request, quotes):
        parts.append(_foreign_note(request, quotes))
    if any(quote.seller.contradicted for quote in quotes):
        parts.append(heading(("! ", BAD), ("has signed two documents where one was allowed: market proofs", DIM)))
    parts += others
    if best is not None and screen.terminal:
        parts.append(heading(("Order the best: ", DIM), f"market order {short_id(screen, best.id)}"))
    return tuple(parts)


def _others(sellers: Sequence[t.SellerState], quotes: Sequence[t.Quote], screen: Screen) -> list[RenderableType]:
    """Those asked whose quote is not there: what they got, and what they said."""
    quoted = {quote.seller.key for quote in quotes}
    states = [state for state in sellers if state.seller.key not in quoted]
    if not states:
        return []
    return [Text(""), sellers_states(states, screen)]


def sellers_states(sellers: Sequence[t.SellerState], screen: Screen) -> RenderableType:
    """What each seller has got and answered, and what the daemon does next for those who have nothing yet."""
    columns = [
        Column("seller", least=8), Column("key"), Column("delivery"), Column("answer", least=7), Column("next", least=8)
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [v.name(one.seller), v.key(one.seller), v.styled(one.delivery), _answer(one), way(one, screen)]
        for one in sorted(sellers, key=lambda one: ANSWER_ORDER.index(one.answer))
    ]
    return grid(screen, columns, rows)


def _quote_row(
    request: t.Request, quote: t.Quote, best: t.Quote | None, currency: str | None, screen: Screen
) -> list[Cell]:
    terms = quote.payment_terms or ""
    notes = [
        "indicative" if quote.kind == "indicative" else "",
        f"countered by {short_id(screen, quote.counter)}" if quote.counter and quote.state == "countered" else "",
        f"version {quote.version}" if quote.version > 1 and not screen.terminal else "",
        "whole only" if not quote.divisible else "",
        f"tax {'included' if quote.tax.included else 'added'}" if Decimal(quote.tax.amount.amount) else "",
    ]
    return [
        _quote_id(quote, screen),
        v.name(quote.seller),
        v.key(quote.seller),
        _total(quote, currency, best),
        _line_cell(quote, request),
        (v.numbers(quote.missing_lines), WARN),
        v.delivery(quote.delivery),
        v.standing(quote.seller),
        terms,
        v.place(quote.delivery),
        when(screen, quote.valid_until),
        v.styled(quote.state),
        ", ".join(note for note in notes if note),
    ]


def requests_view(reply: t.Requests, screen: Screen, *, narrowed: bool = False) -> RenderableType:
    """Requests of ours, or those asked for, newest first."""
    if not reply.requests and narrowed:
        return heading("No request is like that. All of them: market requests")
    if not reply.requests:
        return heading('No requests yet. Ask for something: market request CATEGORY "20 kg WHAT"')
    columns = [
        Column("request"), Column("category", least=10), Column("what", least=10), Column("state"),
        Column("reply by"), Column("asked", right=True), Column("quotes", right=True),
        Column("made", goes=1),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [
            short_id(screen, request.id),
            v.category(request.category),
            v.title(request.lines, request.subject),
            v.styled(request.state),
            away(screen, request.reply_by) if request.state == "open" else when(screen, request.reply_by),
            str(request.counts.asked),
            f"{request.counts.quoted}" + (f" of {request.quotes_wanted}" if _limited(request) else ""),
            ago(screen, request.created_at),
        ]
        for request in reply.requests
    ]
    return grid(screen, columns, rows)
