"""Bills and payments of a deal, inside one transaction. Nothing here moves money: it says what was asked, paid and got.

Amounts that are left out are what is left: of an invoice what it still asks for, of a deal what is owed. Money that
nobody advised is confirmed only by naming it, so that no word given twice confirms what did not come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from p2pmarket import limits
from p2pmarket.api.types import bodies_fulfil as b
from p2pmarket.errors import BadInput, WrongState
from p2pmarket.market.deal_drafting import coming_day, day_at, parts_of
from p2pmarket.market.deal_papers import Done, Open, open_deal, paper_named, send
from p2pmarket.market.dealing import Dealing
from p2pmarket.market.paying import (
    amount_text,
    at_most,
    cash_amount,
    confirmed_amount,
    moves_of,
    not_completed,
    refunded_amount,
    rest_refunded,
    to_pay,
    waiting_payment,
)
from p2pmarket.market.payment_terms import checked_methods, minor_of
from p2pmarket.store.ledger import Ledger
from p2pmarket.trade import billing, fulfilling
from p2pmarket.trade import documents as d
from p2pmarket.trade import values as v
from p2pmarket.trade.check_bill import credited_on
from p2pmarket.trade.money import fraction
from p2pmarket.trade.thread import Contract, fold, in_force

PROOF_BYTES = 1024
ANSWERED = {"confirmed": ("advised",), "not_received": ("advised",), "refunded": ("refund_due", "confirmed")}


@dataclass(frozen=True, slots=True)
class Billing:
    """The verbs of money, for both sides."""

    dealing: Dealing

    # Bills

    def invoice(self, ledger: Ledger, prefix: str, body: b.NewInvoice, wall: int) -> Done:
        """Bill the deal, the next instalment, or what was sent."""
        deal = open_deal(self.dealing, ledger, prefix)
        fulfilling.acting(deal.thread, deal.key, deal.hash, "invoice")
        contract = in_force(deal.thread, deal.hash)
        instalment, despatches = _billed(ledger, deal, contract, body)
        terms = contract.terms.payment or v.PaymentTerms()
        opened = billing.make_invoice(
            deal.thread,
            deal.key,
            self.dealing.moment(wall),
            deal.hash,
            body.number or _number(deal, d.Invoice, ""),
            date=day_at(wall + body.utc_offset_s),
            due=_due(terms, body, wall),
            instalment=instalment,
            despatches=despatches,
            charges=() if _standing(deal) else contract.sheet.charges,  # they stand on the first bill of a part
            methods=checked_methods(body.pay_to) or terms.methods,
            text=body.text,
        )
        return send(self.dealing, ledger, deal, opened, wall)

    def credit(self, ledger: Ledger, prefix: str, body: b.NewCredit, wall: int) -> Done:
        """Give back lines, an amount, or all of an invoice or deal."""
        deal = open_deal(self.dealing, ledger, prefix)
        fulfilling.acting(deal.thread, deal.key, deal.hash, "credit")
        bill = deal.named.document
        about = deal.named.hash if isinstance(bill, d.Invoice) else None
        sheet = bill.sheet if isinstance(bill, d.Invoice) else in_force(deal.thread, deal.hash).sheet
        opened = billing.make_credit(
            deal.thread,
            deal.key,
            self.dealing.moment(wall),
            deal.hash,
            body.number or _number(deal, d.Credit, "C"),
            sheet=_given_back(deal, sheet, about, body),
            date=day_at(wall),
            invoice=about,
            reason=body.reason,
            text=body.text,
        )
        return send(self.dealing, ledger, deal, opened, wall)

    # Payments

    def pay(self, ledger: Ledger, prefix: str, body: b.NewPayment, wall: int) -> Done:
        """Say that we have paid."""
        deal = open_deal(self.dealing, ledger, prefix)
        not_completed(deal)
        fulfilling.acting(deal.thread, deal.key, deal.hash, "pay")
        invoice = deal.named.hash if isinstance(deal.named.document, d.Invoice) else None
        if body.invoice is not None:
            invoice = paper_named(ledger, deal, d.Invoice, body.invoice)
        proof = body.proof.encode() if body.proof else None
        if proof is not None and len(proof) > PROOF_BYTES:
            raise BadInput("the proof is too long", hint=f"At most {PROOF_BYTES:,} bytes, a transaction id, say")
        checked_methods((body.method,) if body.method else ())
        opened = billing.advise_payment(
            deal.thread,
            deal.key,
            self.dealing.moment(wall),
            deal.hash,
            to_pay(deal, invoice, body),
            invoice=invoice,
            instalment=body.instalment or _instalment_of(deal, invoice),
            method=body.method,
            reference=body.reference,
            proof=proof,
            text=body.text,
        )
        return send(self.dealing, ledger, deal, opened, wall)

    def confirm(self, ledger: Ledger, prefix: str, body: b.ConfirmPayment, wall: int) -> Done:
        """Say that money came, that it did not, or (the buyer) that the refund came."""
        deal = open_deal(self.dealing, ledger, prefix)
        step: Literal["confirmed", "not_received", "refunded"]
        step = "refunded" if deal.row.role == "buyer" else "not_received" if body.not_received else "confirmed"
        number = waiting_payment(deal)
        if number is None:
            return self._confirm_unadvised(ledger, deal, step, body, wall)
        moves = moves_of(deal, number)
        before = [opened.hash for opened, move in moves if move.step == step]
        if before and fold(deal.thread).payments.get((deal.hash, number)) != "advised":
            return Done(deal.row, (before[-1],), created=False)
        about = next((opened.hash for opened, move in reversed(moves) if move.step in ANSWERED[step]), None)
        if about is None:
            raise WrongState("nobody has said that this money is on its way", hint=f"See: market show {deal.row.deal}")
        amount = confirmed_amount(deal, about, body.amount)
        opened = billing.answer_payment(
            deal.thread, deal.key, self.dealing.moment(wall), about, step, amount, text=body.text
        )
        return send(self.dealing, ledger, deal, opened, wall)

    def _confirm_unadvised(self, ledger: Ledger, deal: Open, step: str, body: b.ConfirmPayment, wall: int) -> Done:
        """Money that nobody advised is named by its amount or by the way it came."""
        if step != "confirmed" or (body.amount is None and body.method is None):
            hint = f"See: market show {deal.row.deal}"
            if step == "confirmed":
                hint = f"Money that nobody advised: market confirm-payment {deal.row.deal} --cash"
            raise WrongState("no payment of this deal waits for your word", hint=hint)
        opened = billing.confirm_cash(
            deal.thread,
            deal.key,
            self.dealing.moment(wall),
            deal.hash,
            cash_amount(deal, body.amount),
            method=checked_methods((body.method,))[0] if body.method else None,
            text=body.text,
        )
        return send(self.dealing, ledger, deal, opened, wall)

    def refund(self, ledger: Ledger, prefix: str, body: b.Refund, wall: int) -> Done:
        """Say that money goes back: of the payment named, or of the newest that was confirmed, or beyond them all."""
        deal = open_deal(self.dealing, ledger, prefix)
        fulfilling.acting(deal.thread, deal.key, deal.hash, "refund")
        moment = self.dealing.moment(wall)
        standing = _refundable(deal)
        if not standing:
            rest = rest_refunded(deal, body.amount)
            made = billing.refund_alone(deal.thread, deal.key, moment, deal.hash, rest, text=body.text)
            return send(self.dealing, ledger, deal, made, wall)
        opened, paid = max(standing, key=lambda one: one[1].no)
        amount = refunded_amount(deal, paid, body.amount)
        made = billing.answer_payment(deal.thread, deal.key, moment, opened.hash, "refund_due", amount, text=body.text)
        return send(self.dealing, ledger, deal, made, wall)


# What is billed


def _billed(
    ledger: Ledger, deal: Open, contract: Contract, body: b.NewInvoice
) -> tuple[int | None, tuple[bytes, ...] | None]:
    """What an invoice is for: an instalment, despatches, or neither, which is all."""
    if body.instalment is not None and body.despatches:
        raise BadInput("an invoice is for an instalment or for despatches, not for both")
    standing = _standing(deal)
    if body.despatches:
        named = tuple(paper_named(ledger, deal, d.Despatch, one) for one in body.despatches)
        _check_unbilled(standing, named)
        return None, named
    if body.instalment is not None:
        _check_unbilled(standing, body.instalment)
        return body.instalment, None
    parts = (contract.terms.payment.instalments or ()) if contract.terms.payment else ()
    if parts:
        taken = {bill.instalment for bill in standing}
        left = [number for number in range(1, len(parts) + 1) if number not in taken]
        if left:
            return left[0], None
    elif not standing:
        return None, None
    billed = {found for bill in standing for found in bill.despatches or ()}
    sent = tuple(opened.hash for opened, _ in deal.each(d.Despatch) if opened.hash not in billed)
    if parts or not sent or any(bill.despatches is None for bill in standing):
        raise WrongState(
            "all of it has been billed", hint="To bill it anew, give the invoice back first: market credit INVOICE"
        )
    return None, sent


def _check_unbilled(standing: Sequence[d.Invoice], asked: int | tuple[bytes, ...]) -> None:
    """Raise WrongState for an instalment, or despatches, for which an invoice stands: the rest could not be billed."""
    for bill in standing:
        if isinstance(asked, int) and bill.instalment == asked:
            what = f"instalment {asked} is billed"
        elif not isinstance(asked, int) and set(asked) & set(bill.despatches or ()):
            what = "what was sent with this despatch is billed"
        else:
            continue
        raise WrongState(
            f"{what} by {bill.number} already", hint="To bill it anew, give that back first: market credit INVOICE"
        )


def _standing(deal: Open) -> list[d.Invoice]:
    """Invoices that were not given back whole."""
    return [
        bill
        for opened, bill in deal.each(d.Invoice)
        if credited_on(deal.thread, deal.hash, opened.hash) < max(1, bill.sheet.total)
    ]


def _due(terms: v.PaymentTerms, body: b.NewInvoice, wall: int) -> str | None:
    """The day on which an invoice is to be paid: as told, else as the terms say."""
    if body.due is not None:
        return coming_day(body.due, wall, body.utc_offset_s)
    return day_at(wall + body.utc_offset_s + terms.days * limits.DAY) if terms.days is not None else None


def _number(deal: Open, kind: type[d.Invoice] | type[d.Credit], letter: str) -> str:
    """The next number that no such paper of the deal has: the first letters of its id, and a count."""
    used = {paper.number for _, paper in deal.each(kind)}
    numbers = (f"{deal.row.deal[2:8].upper()}-{letter}{n}" for n in range(1, len(used) + 2))
    return next(number for number in numbers if number not in used)


def _given_back(deal: Open, sheet: v.Sheet, about: bytes | None, body: b.NewCredit) -> v.Sheet:
    if body.lines and body.amount is not None:
        raise BadInput("a credit names lines or an amount, not both")
    left = sheet.total - credited_on(deal.thread, deal.hash, about)
    if body.lines:
        whole = {line.no: fraction(line.quantity) for line in sheet.lines}
        named = billing.credit_sheet(sheet, parts_of(sheet, body.lines, whole))
        if named.total > left:
            raise BadInput(
                f"these lines come to {amount_text(deal, named.total)}, "
                f"and {amount_text(deal, max(0, left))} can still be given back",
                hint="Name less of them, or an amount: --amount M",
            )
        return named
    if body.amount is None and left <= 0:
        raise WrongState("all of it has been given back")
    amount = left if body.amount is None else minor_of(body.amount, sheet)
    at_most(deal, amount, max(0, left), "what can still be given back")
    return sheet if amount == sheet.total else billing.credit_amount_sheet(sheet, amount)


# What is paid


def _refundable(deal: Open) -> list[tuple[d.Opened, d.Payment]]:
    """The payments that can go back: each does so once, in whole or in part. Raises WrongState for one that does."""
    confirmed = [(opened, move) for opened, move in deal.each(d.Payment) if move.step == "confirmed"]
    if not confirmed:
        raise WrongState("no payment of this deal was confirmed, so nothing can go back")
    states, named = fold(deal.thread).payments, deal.named.document
    standing = [one for one in confirmed if states.get((deal.hash, one[1].no)) == "confirmed"]
    if not isinstance(named, d.Payment):
        return standing
    meant = [one for one in standing if one[1].no == named.no]
    if not meant:
        raise WrongState(
            "this payment was not confirmed, or goes back already: each does so once",
            hint=f"What else was paid too much goes back with: market refund {deal.row.deal}",
        )
    return meant


def _instalment_of(deal: Open, invoice: bytes | None) -> int | None:
    """The instalment that an invoice is for."""
    bills = {opened.hash: bill.instalment for opened, bill in deal.each(d.Invoice)}
    return bills.get(invoice) if invoice is not None else None
