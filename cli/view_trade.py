"""Quotes, orders, deals, the inbox, and anything else that has an id, as people see them.

Rules. Pure: structs of the API in, something rich can draw out. A list says whose turn it is and until when; a single
thing is shown whole, nothing shortened but what does not fit.
"""

from __future__ import annotations

from decimal import Decimal

from rich.console import Group, RenderableType
from rich.text import Text

from p2pmarket.api import types as t

from . import values as v
from .grid import (
    BOLD,
    DIM,
    GOOD,
    SENT,
    WARN,
    WOULD_SEND,
    Cell,
    Column,
    Screen,
    ago,
    away,
    count,
    grid,
    heading,
    next_step,
    outcome,
    pairs_of,
    short_id,
    until,
    when,
)
from .safe import safe_lines
from .view_request import request_head


def quote_view(quote: t.Quote, screen: Screen) -> RenderableType:
    """One quote whole: its lines, what is added, what is payable, the terms."""
    columns = [
        Column("no", right=True), Column("quantity", right=True), Column("text", least=10), Column("code", least=6),
        Column("price", right=True), Column("tax %", right=True), Column("amount", right=True),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [
            str(line.no),
            v.quantity(line.quantity),
            line.text,
            f"{line.code.scheme} {line.code.value}" if line.code else "",
            v.price(line.price),
            line.tax_rate or "",
            v.money(line.amount),
        ]
        for line in quote.lines
    ]
    facts: list[tuple[str, Cell]] = [
        ("quote", (quote.id, BOLD)),
        ("state", v.styled(quote.state)),
        ("kind", f"{quote.kind}, version {quote.version}"),
        ("seller", v.peer(quote.seller)),
        ("key", quote.seller.identity or quote.seller.key),
        ("rated", v.standing(quote.seller)),
        ("for", quote.request),
        ("issued", when(screen, quote.issued_at)),
        ("valid until", until(screen, quote.valid_until)),
        (
            "turn",
            {"me": "yours", "other": "theirs", "none": ""}[quote.turn] + (f", else {quote.then}" if quote.then else ""),
        ),
        ("you can", ", ".join(v.word(action) for action in quote.actions)),
        ("delivers", v.delivery(quote.delivery)),
        ("place", v.place(quote.delivery)),
        ("if late", v.late(quote.cancel_days)),
        ("payment", v.plan(quote.payment)),
        ("divisible", "yes" if quote.divisible else "no, whole only"),
        ("missing lines", (v.numbers(quote.missing_lines), WARN)),
        ("answers", quote.answers or ""),
        ("countered by", quote.counter or ""),
        ("depends on", ", ".join(quote.upstream)),
        ("referee", quote.referee or ""),
        ("url", quote.url or ""),
    ]
    parts = [pairs_of(screen, facts), Text(""), grid(screen, columns, rows), Text(""), pairs_of(screen, _sums(quote))]
    if quote.text:
        parts += [Text(""), *free_text(quote.text)]
    return Group(*parts)


def _sums(quote: t.Quote) -> list[tuple[str, Cell]]:
    sums: list[tuple[str, Cell]] = [("goods", v.money(quote.goods))]
    sums += [
        (charge.kind, v.money(charge.amount) + (f"  {charge.text}" if charge.text else "")) for charge in quote.charges
    ]
    if Decimal(quote.tax.amount.amount):
        sums.append(("tax included" if quote.tax.included else "tax", v.money(quote.tax.amount)))
    return [*sums, ("total", (v.money(quote.total), f"{BOLD} {GOOD}"))]


def free_text(text: str) -> list[Text]:
    """A peer's words, marked as quoted on every line."""
    return [heading(("│ ", DIM), line) for line in safe_lines(text)]


def order_view(order: t.Order, screen: Screen) -> RenderableType:
    """One order whole."""
    to = order.deliver_to
    return pairs_of(
        screen,
        [
            ("order", (order.id, BOLD)),
            ("state", v.styled(order.state)),
            ("reason", order.reason or ""),
            ("said", order.text or ""),
            ("total", (v.money(order.total), BOLD)),
            ("lines", ", ".join(f"{line.no}: {v.quantity(line.quantity)}" for line in order.lines)),
            ("payment", v.plan(order.payment)),
            ("of quote", order.quote),
            ("deal", order.deal),
            ("number", order.reference or ""),
            ("deliver to", v.recipient(to) if to is not None else ""),
            ("contact", (to.contact or "") if to is not None else ""),
            ("referee", order.referee or ""),
            ("tax id", (to.tax_id or "") if to is not None else ""),
            ("ordered", when(screen, order.created_at)),
            ("answer by", until(screen, order.answer_by) if order.state == "ordered" else ""),
            ("the order is", v.styled(order.delivery)),
        ],
    )


def ordered_view(reply: t.OrderReply, screen: Screen, *, role: t.Role = "buyer") -> tuple[RenderableType, ...]:
    """Answer to an order, or to its acceptance or rejection, and what comes next."""
    order = reply.order
    parts: list[RenderableType] = [order_view(order, screen), Text("")]
    if not reply.created or screen.tried:
        parts.append(outcome(screen, reply.created, "", would=_would(order, role)))
    if role == "buyer" and order.state == "rejected":
        parts += next_step(screen, "a quote is ordered once; ask for a new one, or order another")
    if role == "buyer" and order.state == "ordered":
        parts += next_step(screen, "the seller accepts or rejects; watch it with: market watch")
    if role == "seller" and order.state == "accepted" and not screen.tried:
        deal = short_id(screen, order.deal)
        parts.append(heading(("Both signed. ", GOOD), f"Show it: market show {deal}"))
        parts += next_step(screen, f"market despatch {deal} once goods leave; market invoice {deal}")
    return tuple(parts)


def _would(order: t.Order, role: t.Role) -> str:
    if role == "buyer":
        return "the order would be signed and sent to the seller"
    return f"the order would be {v.word(order.state)}, and the buyer told"


def deal_view(deal: t.Deal, screen: Screen) -> RenderableType:
    """One deal whole."""
    return pairs_of(
        screen,
        [
            ("deal", (deal.id, BOLD)),
            ("state", v.styled(deal.state)),
            ("you are", deal.role),
            ("with", v.peer(deal.other)),
            ("rated", v.standing(deal.other)),
            ("key", deal.other.identity or deal.other.key),
            ("what", deal.title),
            ("total", (v.money(deal.total), BOLD)),
            ("number", deal.reference or ""),
            ("ordered", when(screen, deal.created_at)),
            ("agreed", when(screen, deal.agreed_at)),
            ("payment", v.word(deal.payment_state)),
            ("turn", _turn(deal, screen)),
            ("request", deal.request),
            ("quote", deal.quote),
            ("order", deal.order),
            ("depends on", ", ".join(deal.upstream)),
            ("bought for", deal.made_for or ""),
        ],
    )


def _turn(deal: t.Deal, screen: Screen) -> Cell:
    who = {"me": "yours", "other": "theirs", "none": ""}[deal.turn]
    due = f" until {until(screen, deal.due_at)}" if deal.due_at else ", no date is set"
    then = f"; after that {_follows(deal)}" if deal.due_at else f"; else {_follows(deal)}"
    return (who and who + due + (then if deal.then else ""), WARN if deal.turn == "me" else "")


def _follows(deal: t.Deal) -> str:
    """What follows if nobody acts; where no date is set, nothing is ever overdue."""
    then = v.word(deal.then).removeprefix("after that ")
    return then if deal.due_at else then.removeprefix("overdue: ")


def deals_view(reply: t.Deals, screen: Screen, *, narrowed: bool = False) -> RenderableType:
    """All deals, or those asked for: state, total, whose turn it is, until when."""
    if not reply.deals and narrowed:
        return heading("No deal is like that. All of them: market deals")
    if not reply.deals:
        return heading("No deals yet. A deal begins with an order: market order QUOTE")
    columns = [
        Column("deal"), Column("role", goes=5), Column("state"), Column("with", least=6, goes=4), Column("key"),
        Column("what", least=10, goes=2), Column("total", right=True),
        Column("number", least=4, goes=1), Column("who"), Column("until"), Column("then", least=9),
        Column("ordered", goes=3),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [
            short_id(screen, deal.id),
            deal.role,
            v.styled(deal.state),
            v.name(deal.other),
            v.key(deal.other),
            deal.title,
            v.money(deal.total),
            deal.reference or "",
            (WHO[deal.turn], WARN if deal.turn == "me" else ""),
            away(screen, deal.due_at),
            _then(deal, screen),
            ago(screen, deal.created_at),
        ]
        for deal in reply.deals
    ]
    return grid(screen, columns, rows)


def _then(deal: t.Deal, screen: Screen) -> str:
    """What follows; on a terminal its first words, before the colon: there is no room for more."""
    then = _follows(deal)
    return then.partition(":")[0] if screen.terminal else then


WHO = {"me": "you", "other": "they", "none": "-"}


def inbox_view(reply: t.Inbox, screen: Screen) -> RenderableType:
    """What waits, with what can be done and until when."""
    if not reply.items:
        return heading("Nothing waits for you. ", ("What is under way: ", DIM), "market requests, market deals")
    columns = [
        Column("id"), Column("kind"), Column("from", least=8, goes=6), Column("key"), Column("what", least=10),
        Column("category", least=8, goes=3), Column("region", goes=4),
        Column("priced", right=True, goes=5), Column("came", goes=1),
        Column("act by"), Column("state", goes=2), Column("you can"),
    ]  # fmt: skip
    named = any(item.sender.name for item in reply.items)  # buyers have no name: no column of dashes
    rows: list[list[Cell]] = [
        [
            short_id(screen, item.id),
            (_what_came(item), BOLD),
            v.name(item.sender) if named else "",
            v.key(item.sender),
            f"newest {short_id(screen, item.quotes.newest)} for {item.title}" if item.quotes else item.title,
            item.category or "",
            item.region or "",
            f"{item.matched_lines} of {item.lines}" if item.kind == "request" else "",
            ago(screen, item.received_at),
            away(screen, item.act_by),
            v.styled(item.state),
            ", ".join(v.word(action) for action in item.actions),
        ]
        for item in reply.items
    ]
    return Group(grid(screen, columns, rows), *_commands(reply, screen))


def _what_came(item: t.InboxItem) -> str:
    """The kind; of quotes how many, the new ones alone if there are any."""
    if item.quotes is None:
        return item.kind
    return count(item.quotes.new, "new quote") if item.quotes.new else count(item.quotes.count, "quote")


COMMANDS = {
    ("request", "quote"): "market quote {id} --line N=PRICE",
    ("request", "decline"): "market decline {id} --reason stock",
    ("quotes", "quotes"): "market quotes {id}",
    ("order", "accept"): "market accept {id}",
    ("order", "reject"): "market reject {id} --reason stock",
    ("order", "amend"): "market amend {id} --line N=PRICE",
    ("change", "accept"): "market accept {id}",
    ("change", "reject"): "market reject {id}",
    ("cancellation", "accept"): "market accept {id}",
    ("cancellation", "reject"): "market reject {id}",
    ("despatch", "receive"): "market receive {id}, with --short N=QTY or --damaged N=QTY if it is not whole",
    ("invoice", "pay"): "market pay {id} (--dry-run shows the link)",
    ("payment", "confirm-payment"): "market confirm-payment {id}, or with --not-received",
    ("counter", "quote"): "market quote {id} (yes, as he wants it)",
    ("counter", "counter"): "market counter {id} --line N=PRICE",
    ("counter", "decline"): "market decline {id} --reason price",
    ("amendment", "order"): "market order {id} (yes), or let it go",
    ("amendment", "note"): "market note {id} TEXT",
    ("note", "note"): "market note {id} TEXT",
    ("deal", "despatch"): "market despatch {id}",
    ("deal", "receive"): "market receive {id}",
    ("deal", "pay"): "market pay {id} (--dry-run shows the link)",
    ("deal", "confirm-payment"): "market confirm-payment {id}",
    ("deal", "refund"): "market refund {id}",
    ("deal", "dispute"): "market dispute {id}",
}


def _commands(reply: t.Inbox, screen: Screen) -> list[Text]:
    """The commands that answer an item, as they are typed; of kinds of which there may be many, for the first alone."""
    lines = []
    seen = set()
    for item in reply.items if screen.terminal else ():
        if item.kind in ("request", "order", "deal") and item.kind in seen:
            continue
        seen.add(item.kind)
        told = [COMMANDS[item.kind, action] for action in item.actions if (item.kind, action) in COMMANDS]
        if told:
            commands = " · ".join(told).format(id=short_id(screen, item.id))
            lines.append(heading((f"{v.word(item.kind)} ", DIM), commands))
    return lines


def closed_view(reply: t.RequestReply, screen: Screen) -> RenderableType:
    """A request that was ended."""
    state = v.word(reply.request.state)
    again = f"closed: {state} (it was closed before)"
    note = outcome(screen, reply.created, f"closed: {state}", would=f"it would be closed: {state}", again=again)
    return Group(request_head(reply.request, screen), note)


def withdrawn_view(reply: t.Withdrawn, screen: Screen) -> RenderableType:
    """What was taken back."""
    named = f"{reply.kind} {short_id(screen, reply.id)}"
    again = f"{named} withdrawn before; nothing was done twice"
    return outcome(screen, reply.created, f"{named} withdrawn", would=f"{named} would be withdrawn", again=again)


def quoted_view(reply: t.QuoteReply, screen: Screen) -> tuple[RenderableType, ...]:
    """The quote as the buyer will see it."""
    note = outcome(screen, reply.created, SENT, would=WOULD_SEND, again="This quote was sent before.")
    return (quote_view(reply.quote, screen), Text(""), note)


def declined_view(reply: t.Declined, screen: Screen) -> RenderableType:
    """A no that was sent."""
    what = "counter" if reply.request.startswith("c-") else "request"
    named, reason = f"{what} {short_id(screen, reply.request)}", v.word(reply.reason)
    would, again = f"{named} would be declined: {reason}", f"{named} declined before: {reason}"
    return outcome(screen, reply.created, f"{named} declined: {reason}", would=would, again=again)
