"""Who must act in a thread, until when, and what follows if he does not: for lists and reminders, never for state.

Rules. The deadline of a state is a field that somebody signed: `tables.TURNS` names it, this module finds it. A date is
taken to end with its day in UTC. Days of delivery count from the acceptance, days of payment from the stage they name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime

from p2pmarket.limits import DAY
from p2pmarket.trade import tables
from p2pmarket.trade.documents import Invoice, OrderResponse, Quote, Receipt
from p2pmarket.trade.thread.contract import in_force
from p2pmarket.trade.thread.fold import State, fold
from p2pmarket.trade.thread.thread import Thread


@dataclass(frozen=True, slots=True)
class Duty:
    """What is expected of `who`: `machine` and `state` say where, `about` the quote, order or proposal.

    `until` is in UTC seconds, null where nothing was signed; `number` is that of a payment.
    """

    machine: str
    state: str
    about: bytes
    who: tables.Role
    until: int | None
    then: str
    number: int | None = None


def duties(thread: Thread) -> tuple[Duty, ...]:
    """All that is expected of either side."""
    return tuple(_duties(thread, fold(thread)))


def duties_of(thread: Thread, order_hash: bytes) -> tuple[Duty, ...]:
    """What is expected in one deal: of the order itself, its payments and the proposals about it."""
    mine = {order_hash, *(opened.hash for opened, _ in thread.documents_of_deal(order_hash))}
    return tuple(duty for duty in duties(thread) if duty.machine not in {"answer", "quote"} and duty.about in mine)


def _duties(thread: Thread, state: State) -> Iterator[Duty]:
    yield from _duty(tables.ANSWER, state.answer, thread.request.hash, thread.asked.reply_by)
    for found, at in state.quotes.items():
        yield from _duty(tables.QUOTE, at, found, thread.quotes[found].valid_until)
    for found, at in state.deals.items():
        yield from _duty(tables.DEAL, at, found, _until_deal(thread, found, at))
    for (found, number), at in state.payments.items():
        yield from _duty(tables.PAYMENT, at, found, _until_paid(thread, found) if at == "due" else None, number)
    for proposal, who in state.proposals.items():
        yield Duty("proposal", "proposed", proposal, who, None, "nothing changes")


def _duty(
    machine: tables.Machine, state: str, about: bytes, until: int | None, no: int | None = None
) -> Iterator[Duty]:
    turn = tables.turn_of(machine, state)
    if turn is not None:
        yield Duty(machine.name, state, about, turn.who, until if turn.until else None, turn.then, no)


def _until_deal(thread: Thread, order_hash: bytes, state: str) -> int | None:
    _, order = thread.orders[order_hash]
    if state in {"ordered", "acknowledged"}:
        return order.answer_by
    if state == "amended":
        responses = (r for _, r in thread.each(OrderResponse) if r.order == order_hash and r.quote in thread.quotes)
        amended: list[Quote] = [thread.quotes[r.quote] for r in responses if r.quote is not None]
        return max((quote.valid_until for quote in amended), default=None)
    return _until_delivered(thread, order_hash)


def _until_delivered(thread: Thread, order_hash: bytes) -> int | None:
    """The date of delivery that both signed: a day, or so many days after the acceptance."""
    terms = in_force(thread, order_hash).terms.delivery
    if terms is None or order_hash not in thread.accepted:
        return None
    if terms.latest is not None:
        return _end_of(terms.latest)
    return thread.accepted[order_hash].document.issued_at + terms.days * DAY if terms.days is not None else None


def _until_paid(thread: Thread, order_hash: bytes) -> int | None:
    """The day on the newest invoice, else what the terms say once their stage has come."""
    bills = [(o.document.issued_at, o.hash, bill.due) for o, bill in thread.each(Invoice) if bill.deal == order_hash]
    if bills:
        due = max(bills)[2]
        if due is not None:
            return _end_of(due)
    terms = in_force(thread, order_hash).terms.payment
    if terms is None or terms.days is None or order_hash not in thread.accepted:
        return None
    came = [o.document.issued_at for o, receipt in thread.each(Receipt) if receipt.deal == order_hash]
    if terms.stage in {"on_delivery", "after_delivery"}:
        return max(came) + terms.days * DAY if came else None
    return thread.accepted[order_hash].document.issued_at + terms.days * DAY


def _end_of(day: str) -> int | None:
    """The last second of a day in UTC; None for a day that no calendar has."""
    try:
        found = date.fromisoformat(day)
    except ValueError:
        return None
    return int(datetime(found.year, found.month, found.day, tzinfo=UTC).timestamp()) + DAY - 1
