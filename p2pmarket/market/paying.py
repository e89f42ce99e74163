"""How much a payment is for and which payment is meant: what was typed, held against what is left.

Nobody is told of more than is left of the deal or invoice unless he who pays insists: the money may have moved all the
same. More than the other side would take is refused here, in words that name what is left.
"""

from __future__ import annotations

from p2pmarket.api.types import bodies_fulfil as b
from p2pmarket.errors import BadInput, WrongState
from p2pmarket.market.deal_papers import Open
from p2pmarket.market.payment_terms import minor_of
from p2pmarket.trade import billing, fulfilling, tables
from p2pmarket.trade import documents as d
from p2pmarket.trade.bills import bills_of, paid_of
from p2pmarket.trade.thread import contracts, fold, in_force
from p2pmarket.trade.thread.deal import advised_of, left_of, overpaid_of
from p2pmarket.vocab.decimals import money_text

# What the payer says


def not_completed(deal: Open) -> None:
    """Raise WrongState for a deal of which all is received and paid."""
    if deal.row.role == "buyer" and fold(deal.thread).deals[deal.hash] == "completed":
        raise WrongState(
            "this deal is completed: all of it is paid, nothing is left",
            hint=f"If money has moved all the same, tell the seller: market note {deal.row.deal} TEXT",
            details={"state": "completed"},
        )


def to_pay(deal: Open, invoice: bytes | None, body: b.NewPayment) -> int:
    """The amount typed, else all that is left of invoice, instalment or deal. Raises WrongState, BadInput."""
    left, most, what = _asked(deal, invoice, body.instalment)
    if body.amount is None:
        if left <= 0:
            raise WrongState(f"nothing is left to be paid of {what}", hint=_why_nothing(deal))
        return left
    amount = minor_of(body.amount, in_force(deal.thread, deal.hash).sheet)
    is_left = f"{amount_text(deal, max(0, left))} is left to be paid"
    if amount > most:
        raise BadInput(
            f"{amount_text(deal, amount)} is more than {what} comes to, which is {amount_text(deal, most)}; {is_left}",
            hint="Leave --amount out to pay what is left" if left > 0 else _why_nothing(deal),
        )
    if amount > left and not body.anyway:
        hint = "To pay that, leave --amount out; if more has moved all the same, add --anyway"
        raise WrongState(
            f"{amount_text(deal, amount)} is more than is owed: of {what} {is_left}",
            hint=hint if left > 0 else _why_nothing(deal),
        )
    return amount


def _asked(deal: Open, invoice: bytes | None, instalment: int | None) -> tuple[int, int, str]:
    """What is left, what one payment may come to at most, and of what."""
    thread, of_deal = deal.thread, left_of(deal.thread, deal.hash)
    whole = max(contract.sheet.total for contract in contracts(thread, deal.hash))
    if invoice is not None:
        named = fulfilling.one(thread, d.Invoice, invoice, "invoice")
        asks = sum(bill.open for bill in bills_of(thread, deal.hash) if bill.hash == invoice)
        return asks, named.sheet.total, f"invoice {named.number}"
    if instalment is not None:
        part = billing.instalment_sheet(in_force(thread, deal.hash), instalment).total
        return min(of_deal, _left_of_part(deal, instalment, part)), part, f"instalment {instalment}"
    return of_deal, whole, "this deal"


def _left_of_part(deal: Open, instalment: int, part: int) -> int:
    """What the invoices of an instalment ask for, or, if it stands on none, what was not paid of it."""
    bills = [bill for bill in bills_of(deal.thread, deal.hash) if bill.due and bill.invoice.instalment == instalment]
    if bills:
        return sum(bill.open for bill in bills)
    paid = paid_of(deal.thread, deal.hash).values()
    return part - sum(one.amount for one in paid if one.instalment == instalment)


def _why_nothing(deal: Open) -> str:
    advised = advised_of(deal.thread, deal.hash)
    waits = f"{amount_text(deal, advised)} is advised and waits for the seller's word. " if advised else ""
    return f"{waits}See: market show {deal.row.deal}. If more has moved all the same: --amount M --anyway"


# What the payee says


def waiting_payment(deal: Open) -> int | None:
    """The payment named, else the one that waits for our word; None if there is none. Raises WrongState for several."""
    if isinstance(deal.named.document, d.Payment):
        return deal.named.document.no
    waits = "refund_due" if deal.row.role == "buyer" else "advised"
    payments = fold(deal.thread).payments
    numbers = sorted(no for (about, no), at in payments.items() if (about, at) == (deal.hash, waits))
    if len(numbers) > 1:
        found = [moves_of(deal, no) for no in numbers]
        names = ", ".join(f"{moves[0][0].id} ({amount_text(deal, moves[-1][1].amount.amount)})" for moves in found)
        raise WrongState(
            "more than one payment waits for your word",
            hint=f"Name one, as in market confirm-payment {found[0][0][0].id}: {names}",
            details={"payments": [moves[0][0].id for moves in found]},
        )
    return numbers[0] if numbers else None


def moves_of(deal: Open, number: int) -> list[tuple[d.Opened, d.Payment]]:
    """The steps of one payment, in the order in which they follow each other."""
    moves = [(opened, move) for opened, move in deal.each(d.Payment) if move.no == number]
    return sorted(moves, key=lambda one: tables.PAYMENT.order.index(one[1].step))


def confirmed_amount(deal: Open, about: bytes, typed: str | None) -> int | None:
    """None for the amount that was advised, which alone can be confirmed. Raises BadInput for another."""
    before = fulfilling.one(deal.thread, d.Payment, about, "payment")
    amount = _typed(deal, typed)
    if before.step != "confirmed" and amount not in (None, before.amount.amount):
        raise BadInput(
            f"this payment is of {amount_text(deal, before.amount.amount)}: it came, or it did not",
            hint="Leave --amount out, or say --not-received: then the payer can say anew how much he paid",
        )
    return at_most(deal, amount, before.amount.amount, "what was paid")


def cash_amount(deal: Open, typed: str | None) -> int | None:
    """What came unannounced; None for all that is owed. Raises BadInput for more than the deal comes to."""
    most = max(contract.sheet.total for contract in contracts(deal.thread, deal.hash))
    return at_most(deal, _typed(deal, typed), most, "the deal comes to")


def refunded_amount(deal: Open, paid: d.Payment, typed: str | None) -> int | None:
    """What goes back of a payment: as typed, else what was paid too much, else (None) all of a payment that was named.

    Raises BadInput, WrongState if nothing was paid too much but what is on its way back.
    """
    if typed is None:
        too_much = _too_much(deal)
        if too_much <= 0 and not isinstance(deal.named.document, d.Payment):
            raise WrongState(
                "nothing was paid too much that is not on its way back",
                hint="To give back more, name the payment or the amount: market refund PAYMENT [--amount SUM]",
                details={"under_way": amount_text(deal, _under_way(deal))},
            )
        return min(max(0, too_much), paid.amount.amount) or None
    return at_most(deal, _typed(deal, typed), paid.amount.amount, "this payment was")


def rest_refunded(deal: Open, typed: str | None) -> int:
    """What goes back where all payments do already: as typed, else what was paid too much beyond that.

    One word is of what the deal comes to at most, which is what the other side takes; the rest goes with another.
    Raises WrongState if nothing was, BadInput for more.
    """
    too_much = _too_much(deal)
    if too_much <= 0:
        raise WrongState(
            "each payment that was confirmed goes back already, and nothing was paid too much beyond that",
            hint=f"To give back more, credit it first: market credit {deal.row.deal} --amount SUM",
            details={"under_way": amount_text(deal, _under_way(deal))},
        )
    amount = at_most(deal, _typed(deal, typed), too_much, "what was paid too much")
    most = max(contract.sheet.total for contract in contracts(deal.thread, deal.hash))
    return min(too_much, most) if amount is None else amount


def _too_much(deal: Open) -> int:
    """What was paid too much and is not on its way back."""
    return overpaid_of(deal.thread, deal.hash) - _under_way(deal)


def _under_way(deal: Open) -> int:
    """What is on its way back."""
    states = fold(deal.thread).payments
    return sum(
        move.amount.amount
        for _, move in deal.each(d.Payment)
        if move.step == "refund_due" and states.get((deal.hash, move.no)) == "refund_due"
    )


def _typed(deal: Open, text: str | None) -> int | None:
    return minor_of(text, in_force(deal.thread, deal.hash).sheet) if text is not None else None


def at_most(deal: Open, amount: int | None, most: int, what: str) -> int | None:
    """The amount. Raises BadInput for more than the other side would take."""
    if amount is not None and amount > most:
        raise BadInput(
            f"{amount_text(deal, amount)} is more than {what}: {amount_text(deal, most)}",
            hint=f"Name at most {amount_text(deal, most)}, or leave --amount out",
        )
    return amount


def amount_text(deal: Open, minor: int) -> str:
    """An amount of a deal with its currency."""
    sheet = in_force(deal.thread, deal.hash).sheet
    return f"{money_text(minor, sheet.exponent)} {sheet.currency}"
