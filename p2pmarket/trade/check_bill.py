"""Checks of invoice, credit and payment against what the deal comes to.

Rules. An invoice of the whole deal has the sheet of the contract, to the last field. One of named despatches has its
lines for the quantities sent, charges of the contract, and at most a discount called "rounding" for what parts come to
more than the whole. One of an instalment comes to that instalment's amount. All invoices together, less what was
credited on them, come to no more than the contract. All credits on an invoice come to no more than it, all others to
no more than the deal. Of a payment the payee says that it came, so an advice is the buyer's and a confirmation the
seller's; what answers another step has its number, invoice and instalment. Cash that nobody advised, and money that
goes back beyond one payment, answer nothing. A payto link is well formed.
"""

from __future__ import annotations

from fractions import Fraction

from p2pmarket import limits
from p2pmarket.trade.check_agreement import agreed, at_most_total, fits, from_buyer, from_seller, named
from p2pmarket.trade.checking import document_of, once, require, signed_by_now
from p2pmarket.trade.documents import Credit, Despatch, Invoice, Opened, Order, Payment
from p2pmarket.trade.money import check_totals, fraction
from p2pmarket.trade.thread import Contract, Thread
from p2pmarket.trade.thread.contract import reduced_line
from p2pmarket.trade.thread.deal import PAYMENT_SIGNERS
from p2pmarket.trade.values import Charge, Instalment, Sheet
from p2pmarket.vocab.payto import is_wellformed

ROUNDING = "rounding"  # the text of a discount that evens out what parts come to more than the whole


def check_invoice(thread: Thread, opened: Opened, wall: int) -> None:
    """What is owed, at the buyer."""
    invoice = document_of(opened, Invoice)
    order = agreed(thread, invoice.deal)
    from_seller(thread, opened, invoice.deal)
    signed_by_now(invoice, wall)
    once(thread, opened)
    _sound(invoice.sheet, order)
    require(invoice.due is None or invoice.due >= invoice.date, "times")
    require(all(map(is_wellformed, invoice.methods)), "terms")
    require(invoice.despatches is None or invoice.instalment is None, "code")
    if invoice.despatches is not None:
        sent = _sent(thread, invoice.deal, invoice.despatches)
        most = roundings_of(thread, invoice.deal, invoice.sheet, besides=opened.hash)
        fits(thread, invoice.deal, lambda contract: _bills_despatches(contract, invoice.sheet, sent, most))
    else:
        fits(thread, invoice.deal, lambda contract: _bills(contract, invoice))
    given = credited_on(thread, invoice.deal, opened.hash)
    billed = billed_of(thread, invoice.deal, besides=opened.hash) + invoice.sheet.total - given
    fits(thread, invoice.deal, lambda contract: None if billed <= contract.sheet.total else "totals")


def check_credit(thread: Thread, opened: Opened, wall: int) -> None:
    """What is given back, at the buyer."""
    credit = document_of(opened, Credit)
    order = agreed(thread, credit.deal)
    from_seller(thread, opened, credit.deal)
    signed_by_now(credit, wall)
    once(thread, opened)
    _sound(credit.sheet, order)
    require(credit.sheet.total > 0, "totals")
    given = credited_on(thread, credit.deal, credit.invoice, besides=opened.hash) + credit.sheet.total
    if credit.invoice is None:
        fits(thread, credit.deal, lambda contract: _gives_back(contract, credit.sheet, given))
        return
    _, invoice = named(thread, credit.invoice, Invoice, credit.deal)
    require(given <= invoice.sheet.total, "totals")
    require({line.no for line in credit.sheet.lines} <= {line.no for line in invoice.sheet.lines}, "lines")


def check_payment(thread: Thread, opened: Opened, wall: int) -> None:
    """Money on its way or arrived, at the side that did not say so."""
    payment = document_of(opened, Payment)
    agreed(thread, payment.deal)
    sides = {"buyer": from_buyer, "seller": from_seller}
    sides[PAYMENT_SIGNERS[payment.step]](thread, opened, payment.deal)
    signed_by_now(payment, wall)
    once(thread, opened)
    paid = payment.paid_at
    require(paid is None or paid <= payment.issued_at + limits.CLOCK_SKEW_SECONDS, "times")
    require(payment.method is None or is_wellformed(payment.method), "terms")
    at_most_total(thread, payment.deal, payment.amount)
    if payment.instalment is not None:
        fits(thread, payment.deal, lambda contract: _pays_part(contract, payment))
    if payment.invoice is not None:
        _, invoice = named(thread, payment.invoice, Invoice, payment.deal)
        require(payment.amount.amount <= invoice.sheet.total, "totals")
        require(payment.instalment in (None, invoice.instalment), "code")
    _answers_step(thread, payment)


_ANSWERED_STEPS = {
    "advised": (),
    "confirmed": ("advised",),
    "not_received": ("advised",),
    "refund_due": ("confirmed",),
    "refunded": ("refund_due", "confirmed"),
}


_ALONE = frozenset({"confirmed", "refund_due"})  # cash, say, and money back of which no payment is left


def _answers_step(thread: Thread, payment: Payment) -> None:
    """What answers another step copies it; what begins a payment of its own answers nothing."""
    steps = _ANSWERED_STEPS[payment.step]
    if not steps or (payment.step in _ALONE and payment.about is None):
        require(payment.about is None, "code")
        require(payment.step != "refund_due" or (payment.invoice, payment.instalment) == (None, None), "code")
        return
    _, before = named(thread, payment.about, Payment, payment.deal)
    require(before.step in steps, "code")
    copied = (payment.no, payment.invoice, payment.instalment)
    require(copied == (before.no, before.invoice, before.instalment), "code")
    if before.step == "confirmed":
        require(payment.amount.amount <= before.amount.amount, "totals")
    else:
        require(payment.amount == before.amount, "totals")


def _sound(sheet: Sheet, order: Order) -> None:
    require((sheet.currency, sheet.exponent) == (order.currency, order.exponent), "currency")
    check_totals(sheet)


def _bills(contract: Contract, invoice: Invoice) -> str | None:
    """An invoice of everything, or of one instalment."""
    if invoice.instalment is None:
        if {line.no: line.quantity for line in invoice.sheet.lines} != {o.no: o.quantity for o in contract.chosen}:
            return "lines"
        return None if invoice.sheet == contract.sheet else "totals"
    part = _part(contract, invoice.instalment)
    if part is None:
        return "terms"
    return None if invoice.sheet.total == part.amount else "totals"


def _bills_despatches(contract: Contract, sheet: Sheet, sent: dict[int, Fraction], most: int) -> str | None:
    """Lines as in the contract, for what was sent; charges of the contract, and `most` taken off for rounding."""
    lines = contract.lines
    if {line.no: fraction(line.quantity) for line in sheet.lines} != sent or not sent.keys() <= lines.keys():
        return "lines"
    exponent = contract.sheet.exponent
    if any(line != reduced_line(lines[line.no], line.quantity, exponent) for line in sheet.lines):
        return "totals"
    charges, more = list(contract.sheet.charges), []
    for charge in sheet.charges:
        if charge in charges:
            charges.remove(charge)
        else:
            more.append(charge)
    if more and (len(more) > 1 or more[0] != rounding(-more[0].amount) or not 0 < -more[0].amount <= most):
        return "totals"
    same = sheet.tax_included == contract.sheet.tax_included
    return None if same and sheet.total <= contract.sheet.total else "totals"


def rounding(amount: int) -> Charge:
    """The discount that takes off what roundings have added: each of them at most one minor unit."""
    return Charge(kind="discount", text=ROUNDING, amount=-amount)


def roundings_of(thread: Thread, order_hash: bytes, sheet: Sheet, besides: bytes = b"") -> int:
    """How many amounts were rounded in the invoices of despatches and in this sheet; `besides` is not counted."""
    others = [
        invoice.sheet
        for opened, invoice in thread.each(Invoice)
        if (opened.signer, invoice.deal) == (thread.seller, order_hash)
        and opened.hash != besides
        and invoice.despatches is not None
    ]
    return sum(len(one.lines) + len(one.taxes) for one in (*others, sheet))


def _gives_back(contract: Contract, sheet: Sheet, given: int) -> str | None:
    """`given`: what all credits on the deal come to."""
    if not {line.no for line in sheet.lines} <= contract.lines.keys():
        return "lines"
    return None if given <= contract.sheet.total else "totals"


def billed_of(thread: Thread, order_hash: bytes, besides: bytes = b"") -> int:
    """What the seller's invoices come to, less what he credited on them; `besides` is not counted."""
    bills = {
        opened.hash: invoice.sheet.total
        for opened, invoice in thread.each(Invoice)
        if (opened.signer, invoice.deal) == (thread.seller, order_hash) and opened.hash != besides
    }
    return sum(total - credited_on(thread, order_hash, found) for found, total in bills.items())


def credited_on(thread: Thread, order_hash: bytes, invoice: bytes | None, besides: bytes = b"") -> int:
    """What the seller has given back on one invoice, or (None) on the deal alone; `besides` is not counted."""
    return sum(
        credit.sheet.total
        for opened, credit in thread.each(Credit)
        if (opened.signer, credit.deal, credit.invoice) == (thread.seller, order_hash, invoice)
        and opened.hash != besides
    )


def _pays_part(contract: Contract, payment: Payment) -> str | None:
    part = _part(contract, payment.instalment or 0)
    if part is None:
        return "terms"
    return None if payment.amount.amount <= part.amount else "totals"


def _part(contract: Contract, number: int) -> Instalment | None:
    terms = contract.terms.payment
    parts = terms.instalments or () if terms is not None else ()
    return parts[number - 1] if 1 <= number <= len(parts) else None


def _sent(thread: Thread, order_hash: bytes, despatches: tuple[bytes, ...]) -> dict[int, Fraction]:
    """What the despatches hold together."""
    require(len(set(despatches)) == len(despatches), "lines")
    sent: dict[int, Fraction] = {}
    for found in despatches:
        for line in named(thread, found, Despatch, order_hash)[1].lines:
            sent[line.no] = sent.get(line.no, Fraction(0)) + fraction(line.quantity)
    return sent
