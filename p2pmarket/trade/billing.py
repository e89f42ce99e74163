"""Our own invoices, credits and steps of payments.

Rules as in `trade.making`. Whoever gets money says that it came: the buyer advises, the seller confirms; a refund is
announced by the seller and confirmed by the buyer. Amounts default to what is owed. An invoice of an instalment has one
line for each rate of tax in the contract, tax included, so that its sums say how much of it is tax; where the discounts
of a rate come to more than its goods, that is a discount.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Literal

from p2pmarket.errors import BadInput, WrongState
from p2pmarket.keys import SigningKey
from p2pmarket.trade import tables
from p2pmarket.trade.check_bill import billed_of, rounding, roundings_of
from p2pmarket.trade.documents import Credit, Despatch, Invoice, Opened, Payment
from p2pmarket.trade.fulfilling import acting, one, role_of
from p2pmarket.trade.making import Moment, sealed
from p2pmarket.trade.money import decimal_text, fraction, make_sheet, priced_line, round_half_even
from p2pmarket.trade.thread import Contract, Thread, fold, in_force
from p2pmarket.trade.thread.contract import reduced_line
from p2pmarket.trade.thread.deal import PAYMENT_SIGNERS, free_number, left_of
from p2pmarket.trade.values import Charge, Money, Party, QuoteLine, Sheet


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

    `sheet` replaces what follows from these. Raises NotFound, WrongState, BadInput.
    """
    buyer = acting(thread, key, deal, "invoice")
    contract = in_force(thread, deal)
    if sheet is None and instalment is not None:
        sheet = instalment_sheet(contract, instalment)
    if sheet is None and despatches is not None:
        sheet = _sheet_of(thread, contract, despatches, charges)
        over = billed_of(thread, deal) + sheet.total - contract.sheet.total
        if 0 < over <= roundings_of(thread, deal, sheet):
            sheet = _sheet_of(thread, contract, despatches, (*charges, rounding(over)))
    invoice = Invoice(
        nonce=moment.nonce(),
        issued_at=moment.wall,
        deal=deal,
        number=number,
        sheet=sheet or contract.sheet,
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
    try:
        return make_sheet(sheet.currency, sheet.exponent, lines, charges, tax_included=sheet.tax_included)
    except BadInput as error:
        raise BadInput(
            "the discount of the deal, which stands on its first invoice, comes to more than these parcels",
            hint="Name more parcels, or bill the whole deal: market invoice DEAL",
        ) from error


def instalment_sheet(contract: Contract, number: int) -> Sheet:
    """What an instalment comes to, shared out over the contract's rates of tax. Raises BadInput."""
    terms = contract.terms.payment
    parts = (terms.instalments or ()) if terms is not None else ()
    if not 1 <= number <= len(parts):
        raise BadInput(
            f"the contract has no instalment {number}", hint=f"It has {len(parts)}" if parts else "It has none"
        )
    sheet, amount = contract.sheet, parts[number - 1].amount
    lines: list[QuoteLine] = []
    less: list[Charge] = []
    text = f"instalment {number} of {len(parts)}"
    for rate, share in _shares(sheet, amount):
        if share < 0:
            less.append(Charge(kind="discount", text=text, amount=share, tax_rate=rate))
        else:
            lines.append(_instalment_line(len(lines) + 1, text, share, rate, sheet.exponent))
    return make_sheet(sheet.currency, sheet.exponent, lines, less, tax_included=True)


def _shares(sheet: Sheet, amount: int) -> list[tuple[str | None, int]]:
    """An amount shared out over the rates of tax as the sheet's total is, to the last minor unit."""
    shares, up_to, given = [], 0, 0
    for rate, gross in _gross(sheet):
        up_to += gross
        reached = round_half_even(amount * up_to, sheet.total) if sheet.total else amount
        shares.append((rate, reached - given))
        given = reached
    return shares


def _gross(sheet: Sheet) -> list[tuple[str | None, int]]:
    """What is payable at each rate of tax, tax included; together the total."""
    rated = {tax.rate: tax.base + (0 if sheet.tax_included else tax.amount) for tax in sheet.taxes}
    rest = sheet.total - sum(rated.values())
    found: list[tuple[str | None, int]] = [*rated.items(), (None, rest)]
    return [(rate, gross) for rate, gross in found if gross] or [(None, 0)]


def _instalment_line(no: int, text: str, amount: int, rate: str | None, exponent: int) -> QuoteLine:
    price = decimal_text(Fraction(amount, 10**exponent))
    return priced_line(no, quantity="1", unit="C62", text=text, price=price, exponent=exponent, tax_rate=rate)


def credit_sheet(billed: Sheet, quantities: Mapping[int, Fraction]) -> Sheet:
    """What these quantities of an invoice's (or contract's) lines come to. Raises BadInput."""
    lines = {line.no: line for line in billed.lines}
    if not quantities:
        raise BadInput("a credit names at least one line, or an amount")
    for no, much in quantities.items():
        if no not in lines:
            raise BadInput(f"there is no line {no} to credit", hint=f"Lines: {', '.join(map(str, lines))}")
        if not 0 < much <= fraction(lines[no].quantity):
            raise BadInput(f"line {no}: at most {lines[no].quantity} can be credited")
    reduced = [reduced_line(lines[no], decimal_text(much), billed.exponent) for no, much in sorted(quantities.items())]
    return make_sheet(billed.currency, billed.exponent, reduced, tax_included=billed.tax_included)


def credit_amount_sheet(billed: Sheet, amount: int) -> Sheet:
    """An amount off an invoice (or contract), tax included, booked on its first line. Raises BadInput."""
    if not 0 < amount <= billed.total:
        raise BadInput("a credit is above zero and at most what it is given on")
    first = billed.lines[0]
    line = _instalment_line(first.no, first.text, amount, first.tax_rate, billed.exponent)
    return make_sheet(billed.currency, billed.exponent, [line], tax_included=True)


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
    text: str | None = None,
) -> Opened:
    """We have paid: `amount` in minor units, or all that is owed and not advised yet. Raises WrongState for nothing."""
    seller = acting(thread, key, deal, "pay")
    paid = _owed(thread, deal, amount)
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
        text=text,
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
    state = fold(thread).payments.get((before.deal, before.no), "due")  # which is not shown where nothing is owed
    tables.PAYMENT.step(state, step)
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


def confirm_cash(
    thread: Thread,
    key: SigningKey,
    moment: Moment,
    deal: bytes,
    amount: int | None = None,
    *,
    method: str | None = None,
    text: str | None = None,
) -> Opened:
    """Money came that nobody advised: in cash, say; `amount` in minor units, or all that is owed."""
    buyer = acting(thread, key, deal, "confirm-payment")
    payment = Payment(
        nonce=moment.nonce(),
        issued_at=moment.wall,
        deal=deal,
        step="confirmed",
        no=_next_payment(thread, deal),
        amount=_owed(thread, deal, amount),
        method=method,
        text=text,
    )
    return sealed(thread, payment, key, buyer)


def refund_alone(
    thread: Thread, key: SigningKey, moment: Moment, deal: bytes, amount: int, *, text: str | None = None
) -> Opened:
    """Money goes back of which no payment is left, since each goes back once; `amount` in minor units."""
    buyer = acting(thread, key, deal, "refund")
    payment = Payment(
        nonce=moment.nonce(),
        issued_at=moment.wall,
        deal=deal,
        step="refund_due",
        no=_next_payment(thread, deal),
        amount=_owed(thread, deal, amount),
        text=text,
    )
    return sealed(thread, payment, key, buyer)


def _owed(thread: Thread, deal: bytes, amount: int | None) -> Money:
    """The amount given, or what is owed and not advised. Raises WrongState for nothing."""
    sheet = in_force(thread, deal).sheet
    minor = left_of(thread, deal) if amount is None else amount
    if amount is None and minor <= 0:
        raise WrongState("nothing is left to be paid", hint="Name an amount if money has moved all the same")
    return Money(minor, sheet.currency, sheet.exponent)


def _next_payment(thread: Thread, deal: bytes) -> int:
    """The first number that neither side has used."""
    return free_number({payment.no for _, payment in thread.each(Payment) if payment.deal == deal})
