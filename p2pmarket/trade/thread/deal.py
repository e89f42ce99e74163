"""What happened to one order: the events of its deal, its payments, and the proposals that wait for an answer.

Rules. Every event follows from the set of documents. A cancellation needs a proposal and the other side's acceptance of
it, or the term that lets the buyer end a late deal alone (`late`). A deal is delivered when receipts cover every line
of the contract in force, and completed when it is also paid, less what was credited. A dispute is over when each one
opened was closed by who opened it, or ended by accepting a proposal of the other side; a refund that was agreed so goes
back like one that a cancellation names, a price that was cut so is owed no more, and of a deal that was to be cancelled
so nothing is. A referee's opinion is heard but moves no state and no money.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from fractions import Fraction
from itertools import count

from p2pmarket.trade import tables
from p2pmarket.trade.documents import (
    Cancel,
    Change,
    Credit,
    Despatch,
    Dispute,
    Invoice,
    Opened,
    OrderResponse,
    Payment,
    Receipt,
)
from p2pmarket.trade.money import fraction, round_half_even
from p2pmarket.trade.thread.contract import in_force
from p2pmarket.trade.thread.disputes import disputes_of, settlements_of
from p2pmarket.trade.thread.late import cancelled_alone
from p2pmarket.trade.thread.thread import Thread, in_time

_RESPONSES = {"AB": "acknowledged", "AP": "accepted", "RE": "rejected", "CA": "amended"}


def deal_events(thread: Thread, order_hash: bytes) -> Iterator[str]:
    """What happened to one order."""
    opened, order = thread.orders[order_hash]
    for answer, response in thread.each(OrderResponse):
        if response.order == order_hash and answer.signer == thread.seller and in_time(order, response):
            yield _RESPONSES[response.code]
    if order.quote in thread.withdrawn:
        yield "withdrawn"
    if order_hash not in thread.deals:
        return
    if cancellation_of(thread, order_hash) is not None:
        yield "cancelled"
    yield from _delivery_events(thread, order_hash, opened.signer)
    yield from _dispute_events(thread, order_hash)


def cancellation_of(thread: Thread, order_hash: bytes) -> Cancel | None:
    """What ended the deal: a cancellation that both signed, else one by the term; of several the lowest hash."""
    signed = _signed_cancellations(thread, order_hash) or cancelled_alone(thread, order_hash)
    return signed[min(signed)] if signed else None


def is_cancelled(thread: Thread, order_hash: bytes) -> bool:
    """Whether nothing more is to be delivered and paid: the deal was cancelled, or a dispute about it settled so."""
    settled = settlements_of(thread, order_hash).values()
    return any(proposal.outcome == "cancel" for proposal in settled) or cancellation_of(thread, order_hash) is not None


def _signed_cancellations(thread: Thread, order_hash: bytes) -> dict[bytes, Cancel]:
    """The cancellations that one side proposed and the other has signed, by hash."""
    wishes = {opened.hash: (opened.signer, c) for opened, c in thread.each(Cancel) if c.deal == order_hash}
    signed = {}
    for signer, cancel in wishes.values():
        if cancel.step == "accept" and cancel.about in wishes:
            proposer, proposal = wishes[cancel.about]
            if proposal.step == "propose" and thread.other_side(order_hash, proposer) == signer:
                signed[cancel.about] = proposal
    return signed


def _delivery_events(thread: Thread, order_hash: bytes, buyer: bytes) -> Iterator[str]:
    arrived = arrived_of(thread, order_hash)
    left = any(o.signer == thread.seller and sent.deal == order_hash for o, sent in thread.each(Despatch))
    if left or arrived:
        yield "despatched"
    if not arrived:
        return
    contract = in_force(thread, order_hash)
    if all(arrived.get(no, 0) >= wanted for no, wanted in contract.quantities.items()):
        yield "received"
        if owed_of(thread, order_hash) <= 0:
            yield "completed"


def _dispute_events(thread: Thread, order_hash: bytes) -> Iterator[str]:
    states = set(disputes_of(thread, order_hash).values())
    if states:
        yield "disputed"
    if states and "open" not in states:
        yield "settled" if "settled" in states else "closed"


def arrived_of(thread: Thread, order_hash: bytes) -> dict[int, Fraction]:
    """How much of each line the buyer says he has; what he refused has not arrived."""
    buyer = thread.buyer_of(order_hash)
    arrived: dict[int, Fraction] = {}
    for opened, receipt in thread.each(Receipt):
        if receipt.deal == order_hash and opened.signer == buyer:
            for line in receipt.lines:
                if line.condition != "refused":
                    arrived[line.no] = arrived.get(line.no, Fraction(0)) + fraction(line.quantity)
    return arrived


def credited_of(thread: Thread, order_hash: bytes) -> int:
    """What the seller has given back on invoices, in minor units."""
    mine = (c for o, c in thread.each(Credit) if o.signer == thread.seller and c.deal == order_hash)
    return sum(credit.sheet.total for credit in mine)


def unreceived_of(thread: Thread, order_hash: bytes) -> list[tuple[bytes, Despatch]]:
    """The seller's despatches that no receipt of the buyer names, by rising number."""
    buyer = thread.buyer_of(order_hash)
    here = {r.despatch for o, r in thread.each(Receipt) if (o.signer, r.deal) == (buyer, order_hash)}
    sent = ((o, s) for o, s in thread.each(Despatch) if (o.signer, s.deal) == (thread.seller, order_hash))
    return sorted(((o.hash, s) for o, s in sent if o.hash not in here), key=lambda found: found[1].no)


def missing_of(thread: Thread, order_hash: bytes) -> dict[int, Fraction]:
    """How much of each line of the contract in force has not arrived; lines that have are left out."""
    arrived = arrived_of(thread, order_hash)
    wanted = in_force(thread, order_hash).quantities
    return {no: left for no, much in wanted.items() if (left := much - arrived.get(no, Fraction(0))) > 0}


def awaited_of(thread: Thread, order_hash: bytes) -> list[tuple[bytes, Despatch]]:
    """The despatches of which the buyer is to say what came; what is settled as lost or replaced is over."""
    if is_cancelled(thread, order_hash):
        return []
    over = [
        proposal.issued_at
        for dispute, proposal in settlements_of(thread, order_hash).items()
        if proposal.outcome == "deliver_again" or getattr(thread.documents[dispute].document, "reason", "") == "lost"
    ]
    since = max(over, default=0)
    return [found for found in unreceived_of(thread, order_hash) if found[1].issued_at >= since]


def never_sent_of(thread: Thread, order_hash: bytes) -> dict[int, Fraction]:
    """How much of each line of the contract in force has never left, whatever came of the rest."""
    left: dict[int, Fraction] = {}
    for opened, despatch in thread.each(Despatch):
        if (opened.signer, despatch.deal) == (thread.seller, order_hash):
            for line in despatch.lines:
                left[line.no] = left.get(line.no, Fraction(0)) + fraction(line.quantity)
    arrived, wanted = arrived_of(thread, order_hash), in_force(thread, order_hash).quantities
    gone = {no: max(left.get(no, Fraction(0)), arrived.get(no, Fraction(0))) for no in wanted}
    return {no: much - gone[no] for no, much in wanted.items() if much > gone[no]}


def unsent_of(thread: Thread, order_hash: bytes) -> dict[int, Fraction]:
    """How much of each line is neither there nor on its way."""
    left = missing_of(thread, order_hash)
    for _, despatch in unreceived_of(thread, order_hash):
        for line in despatch.lines:
            left[line.no] = left.get(line.no, Fraction(0)) - fraction(line.quantity)
    return {no: much for no, much in left.items() if much > 0}


# Payments


def payments_of(thread: Thread, order_hash: bytes) -> Mapping[int, str]:
    """The state of each payment of a deal by its number; while something is owed, the next one is due."""
    steps: dict[int, set[str]] = {}
    for _, payment in payment_steps(thread, order_hash):
        steps.setdefault(payment.no, set()).add(payment.step)
    states = {no: tables.PAYMENT.end(steps[no])[0] for no in sorted(steps)}
    ended = order_hash not in thread.accepted or is_cancelled(thread, order_hash)
    if ended or owed_of(thread, order_hash) <= 0:
        return {no: state for no, state in states.items() if state != "due"}
    if not {"due", "advised"} & set(states.values()):
        states[free_number(states)] = "due"
    return states


def free_number(taken: Collection[int]) -> int:
    """The lowest number from 1 that is not taken, so that nobody can use numbers up for the other side."""
    return next(number for number in count(1) if number not in taken)


def owed_of(thread: Thread, order_hash: bytes) -> int:
    """What the buyer still owes, in minor units: the contract in force less what was credited and confirmed.

    What was credited to be billed anew (the invoices come to more than the contract) is owed as before. What the seller
    paid back is not owed again.
    """
    return payable_of(thread, order_hash) - confirmed_of(thread, order_hash)


def confirmed_of(thread: Thread, order_hash: bytes) -> int:
    """What the seller says he has got, in minor units, whether it went back since or not."""
    got: dict[int, int] = {}
    for _, payment in payment_steps(thread, order_hash):
        if payment.step == "confirmed":
            got[payment.no] = max(payment.amount.amount, got.get(payment.no, 0))
    return sum(got.values())


def advised_of(thread: Thread, order_hash: bytes) -> int:
    """What the buyer says he has paid and the seller has not answered, in minor units."""
    states = payments_of(thread, order_hash)
    steps = {p.no: p.amount.amount for _, p in payment_steps(thread, order_hash) if p.step == "advised"}
    return sum(amount for no, amount in steps.items() if states.get(no) == "advised")


def left_of(thread: Thread, order_hash: bytes) -> int:
    """What the buyer has still to pay, in minor units: what is owed and he has not advised; below zero if it is more.

    Of a deal that is cancelled nothing is left.
    """
    left = owed_of(thread, order_hash) - advised_of(thread, order_hash)
    return min(0, left) if is_cancelled(thread, order_hash) else left


REFUNDING = ("refund", "cancel")  # outcomes of a dispute whose amount goes back
SETTLING = (*REFUNDING, "price_cut")  # outcomes that move money


def overpaid_of(thread: Thread, order_hash: bytes) -> int:
    """What the seller has got and has still to give back, in minor units; at least 0.

    Of a deal that stands it is what he got beyond what the deal comes to, of a cancelled one the refund that both
    signed (of what he got, and no more), of one that the buyer ended alone all that came. What settled disputes is the
    least of it, refunds and what was paid of a price that was cut: a credit or a cancellation that says the same does
    not make it twice as much, and what had gone back before the first of them was opened was for something else.
    """
    if order_hash not in thread.deals:
        return 0
    opened = _disputed_since(thread, order_hash, *SETTLING)
    back = [(p.issued_at, p.amount.amount) for _, p in payment_steps(thread, order_hash) if p.step == "refunded"]
    before = sum(amount for when, amount in back if when < opened)
    since = sum(amount for _, amount in back) - before
    promised = settled_refund_of(thread, order_hash) + _paid_of_cut(thread, order_hash)
    settled = min(promised, confirmed_of(thread, order_hash) - before)
    return max(0, settled - since, _beyond(thread, order_hash) - before - since)


def _beyond(thread: Thread, order_hash: bytes) -> int:
    """What goes back without any dispute, in minor units; below zero while something is owed."""
    signed = _signed_cancellations(thread, order_hash)
    if signed:
        refund = signed[min(signed)].refund
        return min(refund.amount, confirmed_of(thread, order_hash)) if refund else 0
    if cancelled_alone(thread, order_hash):
        return confirmed_of(thread, order_hash)
    return -owed_of(thread, order_hash)


def settled_refund_of(thread: Thread, order_hash: bytes) -> int:
    """The refunds that settled the disputes of a deal, in minor units: of what the seller has got, and no more."""
    return min(_promised(thread, order_hash, *REFUNDING), confirmed_of(thread, order_hash))


def cut_of(thread: Thread, order_hash: bytes) -> int:
    """By how much the settlements of its disputes cut the price of a deal, in minor units: by all of it at most."""
    return min(_promised(thread, order_hash, "price_cut"), in_force(thread, order_hash).sheet.total)


def _paid_of_cut(thread: Thread, order_hash: bytes) -> int:
    """How much of the cut the buyer had paid already, in minor units."""
    cut = cut_of(thread, order_hash)
    price = in_force(thread, order_hash).sheet.total - _credited_before_cut(thread, order_hash) - cut
    return min(cut, max(0, confirmed_of(thread, order_hash) - price))


def _promised(thread: Thread, order_hash: bytes, *outcomes: str) -> int:
    """What the settlements with such an outcome come to, in minor units."""
    total = in_force(thread, order_hash).sheet.total
    settled = settlements_of(thread, order_hash).values()
    return sum(_amount_of(proposal, total) for proposal in settled if proposal.outcome in outcomes)


def _disputed_since(thread: Thread, order_hash: bytes, *outcomes: str) -> int:
    """When the first dispute was opened that such an outcome settled; 0 if there is none."""
    settled = settlements_of(thread, order_hash).items()
    opened = (thread.documents[one].document.issued_at for one, proposal in settled if proposal.outcome in outcomes)
    return min(opened, default=0)


def _amount_of(proposal: Dispute, total: int) -> int:
    """The amount of a proposal, or its share of the contract's total; nothing if it names neither."""
    if proposal.amount is not None:
        return proposal.amount.amount
    share = fraction(proposal.share or "0") * total
    return round_half_even(share.numerator, share.denominator)


def payable_of(thread: Thread, order_hash: bytes) -> int:
    """What the deal comes to after all credits and cuts of its price, in minor units, paid or not; at least 0.

    Credits may be of more than a price that was lowered since; what is over was neither paid nor owed.
    A credit given since the dispute was opened says the same as the cut that settled it, so the greater counts.
    """
    total, less = in_force(thread, order_hash).sheet.total, _reducing_of(thread, order_hash)
    if cut := cut_of(thread, order_hash):
        less = max(less, min(_credited_before_cut(thread, order_hash) + cut, total))
    return max(0, total - less)


def _credited_before_cut(thread: Thread, order_hash: bytes) -> int:
    """Of the credits what was given before the first dispute that cut the price: for something else."""
    opened = _disputed_since(thread, order_hash, "price_cut")
    early = (c for o, c in thread.each(Credit) if o.signer == thread.seller and c.deal == order_hash)
    return min(_reducing_of(thread, order_hash), sum(c.sheet.total for c in early if c.issued_at < opened))


def _reducing_of(thread: Thread, order_hash: bytes) -> int:
    """Of the credits what is not billed anew, in minor units."""
    total = in_force(thread, order_hash).sheet.total
    bills = (i for o, i in thread.each(Invoice) if (o.signer, i.deal) == (thread.seller, order_hash))
    twice = max(0, sum(invoice.sheet.total for invoice in bills) - total)
    return max(0, credited_of(thread, order_hash) - twice)


def payment_steps(thread: Thread, order_hash: bytes) -> Iterator[tuple[Opened, Payment]]:
    """The steps of payments that were signed by the side whose word they are."""
    signers = {"buyer": thread.buyer_of(order_hash), "seller": thread.seller}
    for opened, payment in thread.each(Payment):
        if payment.deal == order_hash and opened.signer == signers[PAYMENT_SIGNERS[payment.step]]:
            yield opened, payment


# Whoever gets money says that it came.
PAYMENT_SIGNERS: Mapping[str, tables.Role] = {
    "advised": "buyer",
    "confirmed": "seller",
    "not_received": "seller",
    "refund_due": "seller",
    "refunded": "buyer",
}


# What waits for an answer


def proposals_of(thread: Thread, order_hash: bytes) -> dict[bytes, tables.Role]:
    """Proposals of changes, cancellations and settlements that nobody has answered: by hash, who must answer.

    A change of a lower number than the one in force is no longer asked about: it could not hold.
    """
    if order_hash not in thread.deals:
        return {}
    answered, waiting = set[bytes | None](), {}
    for opened, document in thread.documents_of_deal(order_hash):
        if isinstance(document, Change | Cancel | Dispute):
            if document.step in {"accept", "reject"}:
                answered.add(document.about)
            elif document.step in {"propose", "proposal"}:
                waiting[opened.hash] = opened.signer
    answered.update(cancelled_alone(thread, order_hash))
    newest = in_force(thread, order_hash).version
    over = {found for found, state in disputes_of(thread, order_hash).items() if state != "open"}
    roles: dict[bytes, tables.Role] = {}
    for found, signer in waiting.items():
        document = thread.documents[found].document
        late = isinstance(document, Change) and document.version < newest
        if found not in answered and not late and not (isinstance(document, Dispute) and document.about in over):
            roles[found] = "buyer" if signer == thread.seller else "seller"
    return roles
