"""By which links a payment can be paid: those of the invoices that it counts to, else those that the contract names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from p2pmarket.api import types as t
from p2pmarket.market.sheets import money_of
from p2pmarket.trade import documents as d
from p2pmarket.trade.bills import bills_of, shares_of
from p2pmarket.trade.thread import Thread, in_force
from p2pmarket.vocab.decimals import money_text
from p2pmarket.vocab.payto import is_payto, payto_for


@dataclass(frozen=True, slots=True)
class Ways:
    """How one payment is paid: the links, the words and links they come from, and how much of it is for what."""

    payto: list[str]
    methods: list[str]
    shares: list[t.PaymentShare]


def ways_of(thread: Thread, order_hash: bytes, payment: d.Payment) -> Ways:
    """The way the payer named, else for each invoice its own, else those of the contract or of the newest invoice."""
    sheet, terms = in_force(thread, order_hash).sheet, in_force(thread, order_hash).terms.payment
    own = (payment.method,) if payment.method is not None else ()
    agreed = terms.methods if terms is not None else ()
    counted, bills = shares_of(thread, order_hash, payment.no), bills_of(thread, order_hash)
    methods: list[str] = []
    shares: list[t.PaymentShare] = []
    for bill in bills:
        if (much := counted.get(bill.hash)) is not None:
            ways, number = own or bill.invoice.methods or agreed, bill.invoice.number
            methods += ways
            payto = links(ways, money_text(much, sheet.exponent), sheet.currency, payment.reference or number)
            id_, amount = thread.documents[bill.hash].id, money_of(much, sheet)
            shares.append(t.PaymentShare(invoice=id_, number=number, amount=amount, payto=payto))
    payto = [link for share in shares for link in share.payto]
    rest = payment.amount.amount - sum(counted.values())
    if rest > 0:
        ways = own or agreed or next((bill.invoice.methods for bill in reversed(bills) if bill.invoice.methods), ())
        methods += ways
        payto += links(
            ways, money_text(rest, sheet.exponent), sheet.currency, payment.reference or d.deal_id(order_hash)
        )
    return Ways(payto, list(dict.fromkeys(methods)), shares)


def links(methods: Iterable[str], amount: str, currency: str, reference: str) -> list[str]:
    """The payto: links among ways to pay, with amount and reference."""
    return [payto_for(one, amount, currency, reference) for one in methods if is_payto(one)]
