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
    """The state of the deal that an order makes; `completed` once nobody has objected for long enough."""
    if row.completes is not None and row.completes <= wall():
        return "completed"
    return row.stage  # type: ignore[return-value]


def inbox_state(row: rows.Request | rows.Order | rows.Notice) -> t.InboxState:
    """Whether a person has seen or answered what came."""
    if isinstance(row, rows.Notice):
        return row.state  # type: ignore[return-value]
    if isinstance(row, rows.Order):
        return "seen" if row.seen else "new"
    return row.attention or "new"  # type: ignore[return-value]


def turn_of(row: rows.Order) -> tuple[t.Turn, int | None, str | None]:
    """Who must act, until when (UTC seconds), and what follows if he does not."""
    who: t.Turn = "none" if row.turn == "none" else "me" if row.turn == row.role else "other"
    if row.state != "ordered":
        return who, row.due, row.follows
    late = row.answer_by <= wall()
    then = "overdue: it may still be accepted" if late else "after that it may still be accepted, or lapse"
    return who, row.answer_by, then
