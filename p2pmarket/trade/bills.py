"""What each invoice still asks for: to which of them the payments of a deal count, named there or not.

Rules. A payment counts to the invoice that it names, or to those of the instalment that it names, up to what they come
to less credits. What is over, and payments that name neither, count to the other invoices in the order in which they
were signed. What nobody needs stays where it was named. All open amounts together are at most what is left of the deal;
the first take theirs first. All of it follows from the set of documents, so both sides reckon the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from p2pmarket.trade.check_bill import credited_on
from p2pmarket.trade.documents import Invoice, Payment
from p2pmarket.trade.thread import Thread
from p2pmarket.trade.thread.deal import left_of, payment_steps, payments_of


@dataclass(frozen=True, slots=True)
class Bill:
    """One invoice, in minor units: `due` less credits, `paid` as confirmed, `told` with what waits for a word, `open`.

    `hash` is the invoice's.
    """

    hash: bytes
    invoice: Invoice
    due: int
    paid: int
    told: int
    open: int


@dataclass(frozen=True, slots=True)
class Paid:
    """What one payment comes to, by the payee's word before the payer's, and what it is for."""

    amount: int
    confirmed: bool
    invoice: bytes | None
    instalment: int | None


def bills_of(thread: Thread, order_hash: bytes) -> tuple[Bill, ...]:
    """The seller's invoices of a deal, the oldest first, with what counts to each."""
    found = _invoices(thread, order_hash)
    dues = [max(0, bill.sheet.total - credited_on(thread, order_hash, hash_)) for hash_, bill in found]
    money = paid_of(thread, order_hash).values()
    paid = _applied(found, dues, [one for one in money if one.confirmed])
    told = _applied(found, dues, list(money))
    left = max(0, left_of(thread, order_hash))
    bills = []
    for (hash_, bill), due, came, said in zip(found, dues, paid, told, strict=True):
        asks = min(left, max(0, due - said))
        left -= asks
        bills.append(Bill(hash_, bill, due, came, said, asks))
    return tuple(bills)


def shares_of(thread: Thread, order_hash: bytes, number: int) -> dict[bytes, int]:
    """How much of one payment counts to which invoice, in minor units; what counts to none is left out."""
    found = _invoices(thread, order_hash)
    dues = [max(0, bill.sheet.total - credited_on(thread, order_hash, hash_)) for hash_, bill in found]
    money = paid_of(thread, order_hash)
    others = [one for no, one in money.items() if no != number]
    levels = zip(_applied(found, dues, list(money.values())), _applied(found, dues, others), strict=True)
    shares = [more - less for more, less in levels]
    return {hash_: share for (hash_, _), share in zip(found, shares, strict=True) if share > 0}


def paid_of(thread: Thread, order_hash: bytes) -> Mapping[int, Paid]:
    """What was confirmed, or is advised and waits for a word, by the number of the payment."""
    states = payments_of(thread, order_hash)
    steps: dict[int, list[Payment]] = {}
    for _, payment in payment_steps(thread, order_hash):
        if payment.step in {"advised", "confirmed"}:
            steps.setdefault(payment.no, []).append(payment)
    return {
        no: _paid(told)
        for no, told in sorted(steps.items())
        if states.get(no) == "advised" or any(one.step == "confirmed" for one in told)
    }


def _paid(told: Sequence[Payment]) -> Paid:
    """One payment from its steps."""
    came = [one.amount.amount for one in told if one.step == "confirmed"]
    return Paid(
        amount=max(came or [one.amount.amount for one in told]),
        confirmed=bool(came),
        invoice=min((one.invoice for one in told if one.invoice is not None), default=None),
        instalment=min((one.instalment for one in told if one.instalment is not None), default=None),
    )


def _invoices(thread: Thread, order_hash: bytes) -> list[tuple[bytes, Invoice]]:
    """The seller's invoices, the oldest first; numbers that count on stand in their order."""
    found = [
        (opened.hash, bill)
        for opened, bill in thread.each(Invoice)
        if (opened.signer, bill.deal) == (thread.seller, order_hash)
    ]
    return sorted(found, key=lambda one: (one[1].issued_at, len(one[1].number), one[1].number, one[0]))


def _applied(found: Sequence[tuple[bytes, Invoice]], dues: Sequence[int], money: Sequence[Paid]) -> list[int]:
    """How much of `money` counts to each invoice: what names fewest of them first."""
    levels = [0] * len(found)
    aims = sorted((_aims(found, one), _others(found, one), one.amount) for one in money)
    aims.sort(key=lambda aim: len(aim[0]) or len(found) + 1)
    over = [(named, others, _pour(levels, dues, named, amount)) for named, others, amount in aims]
    for named, others, left in over:
        rest = _pour(levels, dues, others, left)
        if named:
            levels[named[0]] += rest
    return levels


def _aims(found: Sequence[tuple[bytes, Invoice]], paid: Paid) -> tuple[int, ...]:
    """The places of the invoices that a payment names."""
    if paid.invoice is not None:
        return tuple(place for place, (hash_, _) in enumerate(found) if hash_ == paid.invoice)
    if paid.instalment is None:
        return ()
    return tuple(place for place, (_, bill) in enumerate(found) if bill.instalment == paid.instalment)


def _others(found: Sequence[tuple[bytes, Invoice]], paid: Paid) -> tuple[int, ...]:
    """The places where the rest of a payment counts: an instalment paid before it is billed pays for no other."""
    ahead = paid.invoice is None and paid.instalment is not None and not _aims(found, paid)
    return tuple(place for place, (_, bill) in enumerate(found) if bill.instalment is None or not ahead)


def _pour(levels: list[int], dues: Sequence[int], places: Sequence[int], amount: int) -> int:
    """Fill these places up to what is due there, one after the other; what is over."""
    for place in places:
        much = max(0, min(amount, dues[place] - levels[place]))
        levels[place] += much
        amount -= much
    return amount
