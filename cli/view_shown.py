"""`market show`: the thing named first, then what it rests on, what was said, and every signed paper. Pure."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from p2pmarket.api import types as t

from . import values as v
from .grid import BOLD, WARN, Cell, Column, Screen, count, grid, pairs_of, short_id, until, when
from .view_fulfil import life_views
from .view_quarrel import dispute_view, ratings_table
from .view_request import sellers_states
from .view_talk import counter_view, notes_view
from .view_trade import deal_view, order_view, quote_view
from .view_way import way


def shown_view(shown: t.Shown, screen: Screen) -> tuple[RenderableType, ...]:
    """The thing named first, then what it rests on, then the signed documents."""
    parts: list[RenderableType] = []
    if shown.deal is not None:
        parts.append(deal_view(shown.deal, screen))
    parts += life_views(shown, screen)
    if shown.order is not None:
        parts.append(order_view(shown.order, screen))
    if shown.kind == "counter":
        parts += [counter_view(one, screen) for one in shown.counters]
    elif shown.quote is not None and shown.kind != "request":
        parts.append(quote_view(shown.quote, screen))
    if shown.announcement is not None:
        parts.append(pairs_of(screen, _announcement_facts(shown.announcement, screen)))
    if shown.request is not None:
        parts.append(_request_whole(shown.request, screen))
    if shown.sellers:
        parts.append(sellers_states(shown.sellers, screen))
    if shown.kind != "counter":
        parts += [counter_view(one, screen) for one in shown.counters]
    parts += [Group(*dispute_view(one, screen)) for one in shown.disputes]
    if shown.ratings:
        parts.append(ratings_table(shown.ratings, screen))
    if shown.notes:
        parts.append(notes_view(shown.notes, screen))
    if shown.documents:
        parts.append(_documents(shown, screen))
    spaced: list[RenderableType] = []
    for part in parts:
        spaced += [Text(""), part] if spaced else [part]
    return tuple(spaced)


def _announcement_facts(announcement: t.Announcement, screen: Screen) -> list[tuple[str, Cell]]:
    return [
        ("announcement", (announcement.id, BOLD)),
        ("state", v.styled(announcement.state)),
        ("category", announcement.category),
        ("serves", ", ".join(announcement.regions)),
        ("held by", count(announcement.holders, "node")),
        ("expires", until(screen, announcement.expires_at)),
    ]


def _request_whole(request: t.Request, screen: Screen) -> RenderableType:
    columns = [
        Column("no", right=True),
        Column("quantity", right=True),
        Column("text", least=10),
        Column("codes", least=6),
    ]
    rows: list[list[Cell]] = [
        [str(line.no), v.quantity(line.quantity), line.text, ", ".join(f"{c.scheme} {c.value}" for c in line.codes)]
        for line in request.lines
    ]
    facts: list[tuple[str, Cell]] = [
        ("request", (request.id, BOLD)),
        ("state", v.styled(request.state)),
        ("category", v.category(request.category)),
        ("subject", request.subject or ""),
        ("to", request.region or ""),
        ("sellers from", request.from_region or ""),
        ("currency", request.currency or ""),
        ("reply by", until(screen, request.reply_by)),
        ("number", request.reference or ""),
        ("you are known to", v.word(request.introduced)),
        ("made for", request.made_for or ""),
        ("asked upstream", ", ".join(request.upstream)),
        *_outcome(request.outcome),
    ]
    return Group(pairs_of(screen, facts), Text(""), grid(screen, columns, rows))


def _outcome(outcome: t.Outcome | None) -> list[tuple[str, Cell]]:
    if outcome is None:
        return []
    price = f", it went for {v.money(outcome.price)}" if outcome.price is not None else ""
    return [("ended", (v.word(outcome.result) + price, WARN)), ("buyer said", outcome.text or "")]


def _documents(shown: t.Shown, screen: Screen) -> RenderableType:
    columns = [
        Column("document"), Column("id", least=8), Column("signer"), Column("to", least=8, goes=3),
        Column("signed"), Column("delivery"), Column("next", least=32), Column("hash", least=10, goes=1),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [
            v.word(document.kind),
            short_id(screen, document.id),
            document.signer,
            v.peer(document.recipient) if document.recipient is not None else "",
            when(screen, document.issued_at),
            v.styled(document.delivery),
            way(document, screen),
            document.hash,
        ]
        for document in shown.documents
    ]
    return grid(screen, columns, rows)
