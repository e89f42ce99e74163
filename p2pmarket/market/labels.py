"""States as people see them: what a row says, and what the clock makes of it. Nothing binding is decided here."""

from __future__ import annotations

from p2pmarket.api import types as t
from p2pmarket.clock import wall
from p2pmarket.store import rows
from p2pmarket.trade import tables


def request_state(row: rows.Request) -> t.RequestState:
    """The state as shown: an open request is `expired` after reply-by."""
    if row.state == "open" and row.reply_by <= wall():
        return "expired"
    return row.state  # type: ignore[return-value]


def deal_state(row: rows.Order) -> t.DealState:
    """The state of the deal that an order makes; `completed` once nobody has objected for long enough."""
    if row.completes is not None and row.completes <= wall():
        return "completed"
    return row.stage  # type: ignore[return-value]


def turn_of(row: rows.Order) -> tuple[t.Turn, int | None, str | None]:
    """Who must act, until when (UTC seconds), and what follows if he does not."""
    who: t.Turn = "none" if row.turn == "none" else "me" if row.turn == row.role else "other"
    if row.state != "ordered":
        return who, row.due, row.follows
    late = row.answer_by <= wall()
    then = "overdue: it may still be accepted" if late else "after that it may still be accepted, or lapse"
    return who, row.answer_by, then


def quote_turn(row: rows.Quote, kind: str) -> tuple[t.Turn, str | None, list[str]]:
    """Who must act about a quote, what follows if he does not, and what we can do."""
    role: tables.Role = "seller" if row.ours else "buyer"
    expired = tables.quote_label(row.state, row.valid_until, wall()) == "expired"
    cannot = {"order", "counter"} if expired else {"order"} if kind == "indicative" else set()
    cannot |= {"counter"} if row.counter is not None else set()  # each version is countered once
    can = [verb for verb in tables.actions(tables.QUOTE, row.state, role) if verb not in cannot]
    due = tables.turn_of(tables.QUOTE, row.state)
    if due is None or expired:
        return "none", None, can
    return tables.turn(tables.QUOTE, row.state, role), due.then, can
