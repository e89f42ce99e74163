"""Our own invoices, credits and steps of payments.

Rules as in `trade.making`. Whoever gets money says that it came: the buyer advises, the seller confirms; a refund is
announced by the seller and confirmed by the buyer. Amounts default to all that the contract in force comes to.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

from p2pmarket.errors import BadInput, WrongState
from p2pmarket.keys import SigningKey
from p2pmarket.trade import tables
from p2pmarket.trade.documents import Credit, Despatch, Invoice, Opened, Payment
from p2pmarket.trade.fulfilling import acting, one, role_of
from p2pmarket.trade.making import Moment, sealed
from p2pmarket.trade.money import decimal_text, fraction, make_sheet
from p2pmarket.trade.thread import Contract, Thread, fold, in_force
from p2pmarket.trade.thread.contract import reduced_line
from p2pmarket.trade.thread.deal import PAYMENT_SIGNERS
from p2pmarket.trade.values import Charge, Money, Party, Sheet


def make_invoice(
    thread: Thread,
    key: SigningKey,
    moment: Moment,
    deal: bytes,
    number: str,
    *,
    date: str,
    due: str | None = None,
    despatches: tuple[bytes, ...] | None = None,
    charges: Sequence[Charge] = (),
    instalment: int | None = None,
    sheet: Sheet | None = None,
    payee: Party | None = None,
    methods: tuple[str, ...] = (),
    text: str | None = None,
) -> Opened:
    """What is owed: for the whole deal, for `despatches` with `charges` of the contract, or for an instalment.

    An instalment's `sheet` is the caller's. Raises NotFound, WrongState, BadInput.
    """
    buyer = acting(thread, key, deal, "invoice")
    contract = in_force(thread, deal)
    if sheet is None:
        sheet = contract.sheet if despatches is None else _sheet_of(thread, contract, despatches, charges)
    invoice = Invoice(
        nonce=moment.nonce(),
        issued_at=moment.wall,
        deal=deal,
        number=number,
        sheet=sheet,
        date=date,
        due=due,
        instalment=instalment,
        despatches=despatches,
        payee=payee,
        methods=methods,
        text=text,
    )
    return sealed(thread, invoice, key, buyer)


def _sheet_of(thread: Thread, contract: Contract, despatches: tuple[bytes, ...], charges: Sequence[Charge]) -> Sheet:
    """The lines of the contract for what these despatches hold together."""
    sent: dict[int, Fraction] = {}
    for found in despatches:
        for line in one(thread, Despatch, found, "despatch").lines:
            sent[line.no] = sent.get(line.no, Fraction(0)) + fraction(line.quantity)
    gone = sent.keys() - contract.lines.keys()
    if gone:
        raise BadInput(f"line {min(gone)} is not in the contract any more")
    sheet = contract.sheet
    lines = [reduced_line(contract.lines[no], decimal_text(sent[no]), sheet.exponent) for no in sorted(sent)]
    return make_sheet(sheet.currency, sheet.exponent, lines, charges, tax_included=sheet.tax_included)


def make_credit(
    thread: Thread,
    key: SigningKey,
    moment: Moment,
    deal: bytes,
    number: str,
    *,
    sheet: Sheet,
    date: str,
    invoice: bytes | None = None,
    reason: str | None = None,
    text: str | None = None,
) -> Opened:
    """Give back part or all of an invoice or deal; the amounts of `sheet` are positive."""
    buyer = acting(thread, key, deal, "credit")
    credit = Credit(
        nonce=moment.nonce(),
        issued_at=moment.wall,
        deal=deal,
        number=number,
        invoice=invoice,
        sheet=sheet,
        date=date,
        reason=reason,
        text=text,
    )
    return sealed(thread, credit, key, buyer)


def advise_payment(
    thread: Thread,
    key: SigningKey,
    moment: Moment,
    deal: bytes,
    amount: int | None = None,
    *,
    invoice: bytes | None = None,
    instalment: int | None = None,
    method: str | None = None,
    reference: str | None = None,
    proof: bytes | None = None,
) -> Opened:
    """We have paid: `amount` in minor units, or all that the deal comes to."""
    seller = acting(thread, key, deal, "pay")
    sheet = in_force(thread, deal).sheet
    paid = Money(sheet.total if amount is None else amount, sheet.currency, sheet.exponent)
    payment = Payment(
        nonce=moment.nonce(),
        issued_at=moment.wall,
        deal=deal,
        step="advised",
        no=_next_payment(thread, deal),
        invoice=invoice,
        instalment=instalment,
        amount=paid,
        method=method,
        reference=reference,
        paid_at=moment.wall,
        proof=proof,
    )
    return sealed(thread, payment, key, seller)


def answer_payment(
    thread: Thread,
    key: SigningKey,
    moment: Moment,
    about: bytes,
    step: Literal["confirmed", "not_received", "refund_due", "refunded"],
    amount: int | None = None,
    *,
    text: str | None = None,
) -> Opened:
    """The next step of a payment: it came, it did not, it must go back (the seller says), it came back (the buyer).

    `amount`, in minor units, is only for less than the whole. Raises NotFound, WrongState, BadInput.
    """
    before = one(thread, Payment, about, "payment")
    other = acting(thread, key, before.deal, "confirm-payment" if key.public == thread.seller else None)
    if PAYMENT_SIGNERS[step] != role_of(thread, key, before.deal):
        raise WrongState("that is for the other side to say")
    states = fold(thread).payments
    tables.PAYMENT.step(states[before.deal, before.no], step)
    was = before.amount
    payment = Payment(
        nonce=moment.nonce(),
        issued_at=moment.wall,
        deal=before.deal,
        step=step,
        no=before.no,
        about=about,
        invoice=before.invoice,
        instalment=before.instalment,
        amount=was if amount is None else Money(amount, was.currency, was.exponent),
        text=text,
    )
    return sealed(thread, payment, key, other)


def confirm_cash(thread: Thread, key: SigningKey, moment: Moment, deal: bytes, amount: int | None = None) -> Opened:
    """Money came that nobody advised: in cash, say; `amount` in minor units, or all that the deal comes to."""
    buyer = acting(thread, key, deal, "confirm-payment")
    sheet = in_force(thread, deal).sheet
    payment = Payment(
        nonce=moment.nonce(),
        issued_at=moment.wall,
        deal=deal,
        step="confirmed",
        no=_next_payment(thread, deal),
        amount=Money(sheet.total if amount is None else amount, sheet.currency, sheet.exponent),
    )
    return sealed(thread, payment, key, buyer)


def _next_payment(thread: Thread, deal: bytes) -> int:
    """The first number that neither side has used."""
    return max((payment.no for _, payment in thread.each(Payment) if payment.deal == deal), default=0) + 1
