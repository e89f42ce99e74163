"""A deal whose seller is late: the day that both agreed on, and the buyer's right to end it alone, if both signed that.

Rules. All dates are those in the documents: no clock is asked. The days of the term `cancel_days` count from the agreed
day of delivery, or where none was agreed from the acceptance. Once they are over, a cancellation that the buyer
proposes needs no second signature, as long as the seller signed no despatch up to then, and the buyer no receipt.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

from p2pmarket.limits import DAY
from p2pmarket.trade.documents import Cancel, Despatch, Receipt
from p2pmarket.trade.thread.contract import in_force
from p2pmarket.trade.thread.thread import Thread


def until_delivered(thread: Thread, order_hash: bytes) -> int | None:
    """The end of the time of delivery that both signed: a day, or so many days after the acceptance; UTC seconds."""
    terms = in_force(thread, order_hash).terms.delivery
    if terms is None or order_hash not in thread.accepted:
        return None
    if terms.latest is not None:
        return end_of(terms.latest)
    return thread.accepted[order_hash].document.issued_at + terms.days * DAY if terms.days is not None else None


def cancels_alone_from(thread: Thread, order_hash: bytes) -> int | None:
    """After which instant the buyer may end the deal alone (UTC seconds); None if both signed nothing of the kind."""
    if order_hash not in thread.accepted:
        return None
    days = in_force(thread, order_hash).terms.cancel_days
    if days is None:
        return None
    due = until_delivered(thread, order_hash)
    return (due if due is not None else thread.accepted[order_hash].document.issued_at) + days * DAY


def cancelled_alone(thread: Thread, order_hash: bytes) -> dict[bytes, Cancel]:
    """The buyer's proposals that end the deal without a second signature, by hash."""
    after = cancels_alone_from(thread, order_hash)
    if after is None:
        return {}
    buyer, seller = thread.buyer_of(order_hash), thread.seller
    left = [o.document.issued_at for o, s in thread.each(Despatch) if (o.signer, s.deal) == (seller, order_hash)]
    came = [o.document.issued_at for o, r in thread.each(Receipt) if (o.signer, r.deal) == (buyer, order_hash)]
    first = min([*left, *came], default=None)
    return {
        opened.hash: cancel
        for opened, cancel in thread.each(Cancel)
        if (opened.signer, cancel.deal, cancel.step) == (buyer, order_hash, "propose")
        and after < cancel.issued_at
        and (first is None or cancel.issued_at < first)
    }


def end_of(day: str) -> int | None:
    """The last second of a day in UTC; None for a day that no calendar has."""
    try:
        found = date.fromisoformat(day)
    except ValueError:
        return None
    return int(datetime(found.year, found.month, found.day, tzinfo=UTC).timestamp()) + DAY - 1
