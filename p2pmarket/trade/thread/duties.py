"""Who must act in a thread, until when, and what follows if he does not: for lists and reminders, never for state.

Rules. The deadline of a state is a field that somebody signed: `tables.TURNS` names it, this module finds it. A date is
taken to end with its day in UTC. Days of delivery count from the acceptance, days of payment from the stage they name.
While goods are under way the seller owes what he has not sent and the buyer his word on what was sent; so it is again
once a dispute was closed, and for what was promised to settle one. In an open dispute he is to speak who did not speak
last. Payment is asked for once an invoice is open or the stage that the terms name has come; terms that name none mean
after delivery.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from p2pmarket.limits import COMPLETE_SECONDS, DAY
from p2pmarket.trade import tables
from p2pmarket.trade.documents import Despatch, Invoice, OrderResponse, Payment, Quote, Receipt
from p2pmarket.trade.thread.contract import in_force
from p2pmarket.trade.thread.deal import (
    advised_of,
    awaited_of,
    is_cancelled,
    left_of,
    missing_of,
    never_sent_of,
    overpaid_of,
    owed_of,
    payments_of,
    unsent_of,
)
from p2pmarket.trade.thread.disputes import settlements_of, speakers_of
from p2pmarket.trade.thread.fold import State, fold
from p2pmarket.trade.thread.late import end_of, until_delivered
from p2pmarket.trade.thread.thread import Thread
from p2pmarket.trade.values import Instalment, PaymentTerms


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


def duties_of(thread: Thread, order_hash: bytes, state: State | None = None) -> tuple[Duty, ...]:
    """What is expected in one deal: of the order itself, its payments and the proposals about it.

    `state`: the fold of the thread, if it is at hand.
    """
    mine = {order_hash, *(opened.hash for opened, _ in thread.documents_of_deal(order_hash))}
    found = _duties(thread, state or fold(thread))
    return tuple(duty for duty in found if duty.machine not in {"answer", "quote"} and duty.about in mine)


def _duties(thread: Thread, state: State) -> Iterator[Duty]:
    yield from _duty(tables.ANSWER, state.answer, thread.request.hash, thread.asked.reply_by)
    for found, at in state.quotes.items():
        yield from _duty(tables.QUOTE, at, found, thread.quotes[found].valid_until)
    for found, at in state.deals.items():
        if at in {"agreed", "in_delivery", "settled", "closed"}:
            yield from _delivery(thread, found, at)
        elif at == "disputed":
            yield from _dispute(thread, found)
        elif at != "amended" or _still_offered(thread, state, found):
            yield from _duty(tables.DEAL, at, found, _until_answered(thread, found, at))
        yield from _money_back(thread, state, found)
    for (found, number), at in state.payments.items():
        if at != "due":
            yield from _duty(tables.PAYMENT, at, found, None, number)
        elif left_of(thread, found) > 0 and (stage := _payable(thread, found)) is not None:
            yield from _duty(tables.PAYMENT, at, found, stage.until, number)
    for proposal, who in state.proposals.items():
        yield Duty("proposal", "proposed", proposal, who, None, "nothing changes")


def _duty(
    machine: tables.Machine, state: str, about: bytes, until: int | None, no: int | None = None
) -> Iterator[Duty]:
    turn = tables.turn_of(machine, state)
    if turn is not None:
        until = until if turn.until else None
        yield Duty(machine.name, state, about, turn.who, until, _then(turn, until), no)


def _then(turn: tables.Turn, until: int | None) -> str:
    """What follows; nothing is overdue that has no end."""
    return turn.then if until is not None else turn.then.removeprefix("overdue: ")


def _still_offered(thread: Thread, state: State, order_hash: bytes) -> bool:
    """Whether a version that an amended order points to can be ordered, or has not come yet."""
    pointed = {response.quote for _, response in thread.each(OrderResponse) if response.order == order_hash}
    return any(state.quotes.get(quote, "open") in {"open", "countered"} for quote in pointed if quote is not None)


def _until_answered(thread: Thread, order_hash: bytes, state: str) -> int | None:
    _, order = thread.orders[order_hash]
    if state in {"ordered", "acknowledged"}:
        return order.answer_by
    if state == "amended":
        responses = (r for _, r in thread.each(OrderResponse) if r.order == order_hash and r.quote in thread.quotes)
        amended: list[Quote] = [thread.quotes[r.quote] for r in responses if r.quote is not None]
        return max((quote.valid_until for quote in amended), default=None)
    return None


# Delivery


def _delivery(thread: Thread, order_hash: bytes, state: str) -> Iterator[Duty]:
    """The seller sends what is not on its way; the buyer says what came of what was sent."""
    until = until_delivered(thread, order_hash) if state != "settled" else None
    seller, buyer = tables.TURNS["deal", "agreed"], tables.TURNS["deal", "in_delivery"]
    if _to_despatch(thread, order_hash, state):
        yield Duty("deal", state, order_hash, seller.who, until, _then(seller, until))
    for _, despatch in awaited_of(thread, order_hash):
        came = end_of(despatch.expected) if despatch.expected else until
        then = buyer.then if state == "in_delivery" else "stays open"  # only there silence counts
        yield Duty("deal", state, order_hash, buyer.who, came, then)


def _to_despatch(thread: Thread, order_hash: bytes, state: str) -> bool:
    """Whether the seller has to send something: what is left of the contract, or what was promised to settle a dispute.

    What left and came short is settled; what never left is owed as before, unless money goes back instead.
    """
    if is_cancelled(thread, order_hash):
        return False
    if state != "settled":
        return bool(unsent_of(thread, order_hash))
    settled = [(proposal.outcome, proposal.issued_at) for proposal in settlements_of(thread, order_hash).values()]
    again = max((when for outcome, when in settled if outcome == "deliver_again"), default=0)
    sent = (s.issued_at for o, s in thread.each(Despatch) if (o.signer, s.deal) == (thread.seller, order_hash))
    if max(sent, default=0) < again:
        return True
    return "refund" not in dict(settled) and bool(never_sent_of(thread, order_hash))


def _dispute(thread: Thread, order_hash: bytes) -> Iterator[Duty]:
    """In each open dispute the side that did not speak last."""
    for who in speakers_of(thread, order_hash):
        yield Duty("deal", "disputed", order_hash, who, None, tables.TURNS["deal", "disputed"].then)


def _last_arrival(thread: Thread, order_hash: bytes) -> int | None:
    """When the buyer last said that goods came; None before."""
    buyer = thread.buyer_of(order_hash)
    came = (o.document.issued_at for o, r in thread.each(Receipt) if (o.signer, r.deal) == (buyer, order_hash))
    return max(came, default=None)


def completes_at(thread: Thread, order_hash: bytes, state: State | None = None) -> int | None:
    """From when on (UTC seconds) a deal that nobody objected to is shown as completed; None while more is to do.

    Everything is sent, what is owed is paid as far as the buyer says, nobody waits for an answer, and neither side has
    disputed anything for so long since the last receipt, or, where none came, since the last despatch.
    """
    state = state or fold(thread)
    if state.deals[order_hash] not in {"in_delivery", "delivered"} or unsent_of(thread, order_hash):
        return None
    if owed_of(thread, order_hash) > advised_of(thread, order_hash) or _answers_open(thread, state, order_hash):
        return None
    seller = thread.seller
    left = [
        max(opened.document.issued_at, (end_of(despatch.expected) or 0) if despatch.expected else 0)
        for opened, despatch in thread.each(Despatch)
        if (opened.signer, despatch.deal) == (seller, order_hash)
    ]
    came = _last_arrival(thread, order_hash) or 0
    return max(*left, came, 0) + COMPLETE_SECONDS


def _answers_open(thread: Thread, state: State, order_hash: bytes) -> bool:
    mine = {opened.hash for opened, _ in thread.documents_of_deal(order_hash)}
    return any(proposal in mine for proposal in state.proposals)


# Money


@dataclass(frozen=True, slots=True)
class _Stage:
    """That payment is asked for, and until when."""

    until: int | None


def _payable(thread: Thread, order_hash: bytes) -> _Stage | None:
    """Whether the buyer is to pay now: by the newest invoice, else by the terms once their stage has come."""
    seller = thread.seller
    bills = [
        (opened.document.issued_at, opened.hash, bill.due)
        for opened, bill in thread.each(Invoice)
        if (opened.signer, bill.deal) == (seller, order_hash)
    ]
    due = max(bills)[2] if bills else None
    if due is not None:
        return _Stage(end_of(due))
    terms = in_force(thread, order_hash).terms.payment or PaymentTerms()
    found = [_stage_of(thread, order_hash, part) for part in _open_parts(thread, order_hash, terms)]
    come = [stage for stage in found if stage is not None]
    if come:
        return min(come, key=lambda stage: (stage.until is None, stage.until or 0))
    return _Stage(None) if bills else None


def _open_parts(thread: Thread, order_hash: bytes, terms: PaymentTerms) -> list[Instalment | PaymentTerms]:
    """What of the terms is still to be paid: instalments that no payment names which stands, or all in one."""
    if not terms.instalments:
        return [terms]
    states = payments_of(thread, order_hash)
    named = ((p.no, p.instalment) for _, p in thread.each(Payment) if p.deal == order_hash)
    paid = {instalment for no, instalment in named if states.get(no, "due") != "due"}
    return [part for number, part in enumerate(terms.instalments, 1) if number not in paid]


def _stage_of(thread: Thread, order_hash: bytes, part: Instalment | PaymentTerms) -> _Stage | None:
    """When a part is to be paid; None while its stage has not come."""
    day = part.due if isinstance(part, Instalment) else None
    if day is not None:
        return _Stage(end_of(day))
    if part.stage in {"before_order", "before_delivery"}:
        begins = thread.accepted[order_hash].document.issued_at
    else:
        came = _last_arrival(thread, order_hash)
        if came is None or (part.stage != "on_delivery" and missing_of(thread, order_hash)):
            return None
        begins = came
    return _Stage(begins + part.days * DAY if part.days is not None else None)


def _money_back(thread: Thread, state: State, order_hash: bytes) -> Iterator[Duty]:
    """What has to go back, by a credit, cancellation or settlement; once it was announced its payment says so."""
    announced = any(about == order_hash and at == "refund_due" for (about, _), at in state.payments.items())
    if order_hash in thread.accepted and not announced and overpaid_of(thread, order_hash) > 0:
        turn = tables.TURNS["payment", "refund_due"]
        yield Duty("payment", "overpaid", order_hash, turn.who, None, turn.then)
