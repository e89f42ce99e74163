"""Agreed deals in which we must act, as far as no paper in the inbox says so already.

Rules. The columns of an order say that it is our turn; its thread is read only where a paper that waits may say the
same, or where the item is shown. What follows from a paper of the other side (a despatch to receive, an invoice to pay)
is that paper's item; what nobody sent, the deal's own: goods to despatch, a payment that the terms ask for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from p2pmarket.api import types as t
from p2pmarket.market.labels import deal_state
from p2pmarket.market.threads import load_thread
from p2pmarket.market.views import Views, title_of
from p2pmarket.store import rows
from p2pmarket.store.ledger import Ledger
from p2pmarket.trade import documents as d
from p2pmarket.trade import tables
from p2pmarket.trade.thread import Duty, duties_of
from p2pmarket.vocab.deadlines import instant_text

# What a duty is done with; a refund that was announced is the bank's matter.
VERBS: Mapping[tuple[str, str, str], tuple[str, ...]] = {
    ("deal", "agreed", "seller"): ("despatch",),
    ("deal", "in_delivery", "seller"): ("despatch",),
    ("deal", "agreed", "buyer"): ("receive",),
    ("deal", "in_delivery", "buyer"): ("receive",),
    ("deal", "settled", "seller"): ("despatch",),
    ("deal", "closed", "seller"): ("despatch",),
    ("deal", "settled", "buyer"): ("receive",),
    ("deal", "closed", "buyer"): ("receive",),
    ("deal", "disputed", "seller"): ("dispute",),
    ("deal", "disputed", "buyer"): ("dispute",),
    ("payment", "due", "buyer"): ("pay",),
    ("payment", "advised", "seller"): ("confirm-payment",),
    ("payment", "overpaid", "seller"): ("refund",),
    ("proposal", "proposed", "seller"): ("accept", "reject"),
    ("proposal", "proposed", "buyer"): ("accept", "reject"),
}


class Turn(NamedTuple):
    """A deal in which we must act, and its papers that wait in the inbox and ask for something."""

    order: rows.Order
    papers: tuple[d.Opened, ...]


def turns(views: Views, ledger: Ledger, papers: Iterable[d.Opened]) -> list[Turn]:
    """The deals in which it is our turn; `papers`: all that wait in the inbox and ask for something."""
    told: dict[bytes, tuple[d.Opened, ...]] = {}
    for paper in papers:
        deal = getattr(paper.document, "deal", b"")
        told[deal] = (*told.get(deal, ()), paper)
    found = [Turn(row, told.get(row.hash, ())) for row in ledger.orders.our_turn() if not _counts_as_done(row)]
    return [turn for turn in found if _is_plain(turn) or _left(views, ledger, turn)]


def inbox_turn(views: Views, ledger: Ledger, turn: Turn) -> t.InboxItem:
    """The item of such a deal: what can be done, and until when."""
    row, duties = turn.order, _left(views, ledger, turn)
    ends = [duty.until for duty in duties if duty.until is not None]
    return msgspec.structs.replace(
        ordered_item(views, ledger, row),
        id=row.deal,
        kind="deal",
        received_at=instant_text(row.agreed or row.created),
        act_by=instant_text(min(ends)) if ends else None,
        actions=_actions(row, duties),
    )


def ordered_item(views: Views, ledger: Ledger, row: rows.Order) -> t.InboxItem:
    """The item of an order that waits for our word."""
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
        state="seen" if row.seen else "new",
        actions=["accept", "reject", "amend"],
        quotes=None,
    )


def _is_plain(turn: Turn) -> bool:
    """Whether the columns alone say that there is something to do: most deals, so that lists are quick."""
    return not turn.papers and turn.order.payment != "refund_due"


def _counts_as_done(row: rows.Order) -> bool:
    """Whether the buyer need not say any more that all has come."""
    return row.role == "buyer" and deal_state(row) == "completed"


def _left(views: Views, ledger: Ledger, turn: Turn) -> list[Duty]:
    """What is expected of us in the deal and can be done here, but for what one of the papers asks for."""
    row = turn.order
    seller = row.other if row.role == "buyer" else views.identity
    thread = load_thread(ledger, views.reader, views.network, row.request, seller)
    ours = [duty for duty in duties_of(thread, row.hash) if duty.who == row.role and _verbs(duty)]
    return [duty for duty in ours if not any(_asks_for(paper, duty) for paper in turn.papers)]


def _verbs(duty: Duty) -> tuple[str, ...]:
    return VERBS.get((duty.machine, duty.state, duty.who), ())


def _asks_for(paper: d.Opened, duty: Duty) -> bool:
    """Whether a paper of the other side says what is expected."""
    match paper.document:
        case d.Despatch():
            return "receive" in _verbs(duty)
        case d.Invoice():
            return "pay" in _verbs(duty)
        case d.Payment(no=no):
            return duty.machine == "payment" and duty.number == no
        case d.Dispute(step="open" | "proposal"):
            return duty.state == "disputed" or duty.about == paper.hash
    return duty.about == paper.hash


def _actions(row: rows.Order, duties: Iterable[Duty]) -> list[str]:
    """The verbs of the command line, the likely one first."""
    role: tables.Role = "buyer" if row.role == "buyer" else "seller"
    may = tables.actions(tables.DEAL, row.stage, role)
    told = [verb for duty in duties for verb in _verbs(duty)]
    return list(dict.fromkeys([*told, *(verb for verb in ("note", "dispute") if verb in may)]))
