"""States as people see them: what a row says, and what the clock makes of it. Nothing binding is decided here."""

from __future__ import annotations

from p2pmarket.api import types as t
from p2pmarket.clock import wall
from p2pmarket.store import rows


def request_state(row: rows.Request) -> t.RequestState:
    """The state as shown: an open request is `expired` after reply-by."""
    if row.state == "open" and row.reply_by <= wall():
        return "expired"
    return row.state  # type: ignore[return-value]


def deal_state(row: rows.Order) -> t.DealState:
    """The state of the deal that an order makes."""
    return "agreed" if row.state == "accepted" else row.state  # type: ignore[return-value]


def inbox_state(row: rows.Request | rows.Order) -> t.InboxState:
    """Whether a person has seen or answered what came."""
    if isinstance(row, rows.Order):
        return "seen" if row.seen else "new"
    return row.attention or "new"  # type: ignore[return-value]


def turn_of(row: rows.Order) -> tuple[t.Turn, int | None, str | None]:
    """Who must act, until when (UTC seconds), and what follows if he does not."""
    if row.state != "ordered":
        return "none", None, None
    late = row.answer_by <= wall()
    then = "overdue: it may still be accepted" if late else "after that it may still be accepted, or lapse"
    return ("me" if row.role == "seller" else "other"), row.answer_by, then
