"""Checks of despatch and receipt: lines within the order, a receipt within the despatch that it names.

Rules. Each line is named once in a despatch, and once in each condition in a receipt. What is sent again, for what was
damaged say, may exceed the order over several despatches, never within one. Of what is counted in pieces there is no
half. "Full" is all that a despatch holds of a line, "short" less than that.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from p2pmarket import limits
from p2pmarket.trade.check_agreement import agreed, fits, from_buyer, from_seller, named
from p2pmarket.trade.checking import document_of, once, require, signed_by_now
from p2pmarket.trade.documents import Despatch, Opened, Receipt
from p2pmarket.trade.money import COUNTED_UNITS, fraction
from p2pmarket.trade.thread import Contract, Thread
from p2pmarket.trade.values import ReceiptLine


def check_despatch(thread: Thread, opened: Opened, wall: int) -> None:
    """Goods have left, at the buyer."""
    despatch = document_of(opened, Despatch)
    agreed(thread, despatch.deal)
    from_seller(thread, opened, despatch.deal)
    signed_by_now(despatch, wall)
    once(thread, opened)
    left = despatch.despatched_at
    require(left is None or left <= despatch.issued_at + limits.CLOCK_SKEW_SECONDS, "times")
    numbers = [line.no for line in despatch.lines]
    require(len(set(numbers)) == len(numbers), "lines")
    sent = {line.no: fraction(line.quantity) for line in despatch.lines}
    require(all(sent.values()), "lines")
    fits(thread, despatch.deal, lambda contract: _within(contract, sent))


def check_receipt(thread: Thread, opened: Opened, wall: int) -> None:
    """Goods have arrived, at the seller."""
    receipt = document_of(opened, Receipt)
    agreed(thread, receipt.deal)
    from_buyer(thread, opened, receipt.deal)
    signed_by_now(receipt, wall)
    once(thread, opened)
    places = [(line.no, line.condition) for line in receipt.lines]
    require(len(set(places)) == len(places), "lines")
    require(all(line.quantity != "0" or line.condition == "short" for line in receipt.lines), "lines")
    came = _sums(receipt.lines)
    fits(thread, receipt.deal, lambda contract: _within(contract, came))
    if receipt.despatch is not None:
        _, despatch = named(thread, receipt.despatch, Despatch, receipt.deal)
        sent = {line.no: fraction(line.quantity) for line in despatch.lines}
        require(all(no in sent and quantity <= sent[no] for no, quantity in came.items()), "lines")
        _conditions(receipt.lines, sent)


def _conditions(lines: Iterable[ReceiptLine], sent: dict[int, Fraction]) -> None:
    for line in lines:
        quantity = fraction(line.quantity)
        require(
            line.condition != "full" or quantity == sent[line.no], "lines", f"line {line.no}: this is not all of it"
        )
        require(line.condition != "short" or quantity < sent[line.no], "lines", f"line {line.no}: this is all of it")


def _sums(lines: Iterable[ReceiptLine]) -> dict[int, Fraction]:
    came: dict[int, Fraction] = {}
    for line in lines:
        came[line.no] = came.get(line.no, Fraction(0)) + fraction(line.quantity)
    return came


def _within(contract: Contract, quantities: dict[int, Fraction]) -> str | None:
    wanted, lines = contract.quantities, contract.lines
    for no, quantity in quantities.items():
        if no not in wanted or quantity > wanted[no]:
            return "lines"
        pieces = lines[no].unit in COUNTED_UNITS and wanted[no].denominator == 1
        if pieces and quantity.denominator != 1:
            return "lines"
    return None
