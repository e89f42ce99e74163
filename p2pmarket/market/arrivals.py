"""What a receipt says of each line, beside how much of it could have come: for showing, nothing binding is decided."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction

from p2pmarket.api import types as t
from p2pmarket.trade import documents as d
from p2pmarket.trade.money import decimal_text, fraction
from p2pmarket.trade.thread import Thread, in_force


def came_lines(thread: Thread, receipt: d.Receipt, unit_of: Callable[[int], str]) -> list[t.ReceivedLine]:
    """The lines of a receipt of this thread."""
    expected = _expected(thread, receipt)
    return [
        t.ReceivedLine(
            no=line.no,
            quantity=t.Quantity(value=line.quantity, unit=unit_of(line.no)),
            condition=line.condition,
            text=line.text,
            of=t.Quantity(value=decimal_text(expected.get(line.no, Fraction(0))), unit=unit_of(line.no)),
        )
        for line in receipt.lines
    ]


def _expected(thread: Thread, receipt: d.Receipt) -> Mapping[int, Fraction]:
    """What the despatch held that the receipt names; without one, what had not come by the receipts before it."""
    sent = thread.documents.get(receipt.despatch or b"")
    if sent is not None and isinstance(sent.document, d.Despatch):
        return {line.no: fraction(line.quantity) for line in sent.document.lines}
    left = dict(in_force(thread, receipt.deal).quantities)
    for _, other in thread.each(d.Receipt):
        if other.deal == receipt.deal and other.no < receipt.no:
            for line in other.lines:
                if line.condition != "refused":
                    left[line.no] = left.get(line.no, Fraction(0)) - fraction(line.quantity)
    return {no: max(Fraction(0), much) for no, much in left.items()}
