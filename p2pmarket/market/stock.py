"""The stock of the price list: taken by an acceptance, given back by the end of the deal. Inside one transaction.

Rules. Quoted is not reserved; accepting takes the stock. A person may sell more than there is: then it ends at zero,
and what was really taken stands with the order. A deal that is cancelled gives that back, once, less what was
despatched, to the row that it came from: the one of that code, or without codes of that description. A row that is
gone, or counts nothing any more, gets nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from p2pmarket import limits
from p2pmarket.store import rows
from p2pmarket.store.ledger import Ledger
from p2pmarket.trade import documents as d
from p2pmarket.trade.thread import Thread
from p2pmarket.trade.thread.deal import is_cancelled
from p2pmarket.trade.values import QuoteLine
from p2pmarket.vocab.decimals import decimal_text
from p2pmarket.vocab.units import convertible

PriceOf = Callable[[QuoteLine], rows.Price | None]


class Taken(NamedTuple):
    """What one line of an order took from one row; `ratio` units of the row are one of the line. Both as fractions."""

    no: int
    code: str
    description: str
    amount: str
    ratio: str


def lasts(order: d.Order, quote: d.Quote, price_of: PriceOf) -> bool:
    """Whether there is enough of everything that is counted."""
    return all(rest >= 0 for _, _, _, rest in _uses(order, quote, price_of))


def take(ledger: Ledger, order_hash: bytes, order: d.Order, quote: d.Quote, price_of: PriceOf) -> bool:
    """Take the stock of an order; whether the price list has changed."""
    taken = []
    for no, price, ratio, rest in list(_uses(order, quote, price_of)):
        wanted = Fraction(next(line.quantity for line in order.lines if line.no == no)) * ratio
        got = max(min(wanted, wanted + rest), Fraction(0))
        ledger.prices.set_stock(price.row, _stock_text(rest))
        taken.append(Taken(no, price.code, price.description, str(got), str(ratio)))
    if taken:
        ledger.orders.set_taken(order_hash, json.dumps(taken))
    return bool(taken)


def give_back(ledger: Ledger, thread: Thread, order_hash: bytes) -> bool:
    """Give back what a cancelled deal of ours had taken; whether the price list has changed."""
    row = ledger.orders.get(order_hash)
    if row is None or row.taken is None or not is_cancelled(thread, order_hash):
        return False
    ledger.orders.set_taken(order_hash, None)
    changed = False
    for taken in (Taken(*one) for one in json.loads(row.taken)):
        back = Fraction(taken.amount) - _despatched(thread, order_hash, taken.no) * Fraction(taken.ratio)
        price = _row_of(ledger, taken)
        if price is not None and price.stock is not None and back > 0:
            ledger.prices.set_stock(price.row, _stock_text(Fraction(price.stock) + back))
            changed = True
    return changed


def _uses(order: d.Order, quote: d.Quote, price_of: PriceOf) -> Iterator[tuple[int, rows.Price, Fraction, Fraction]]:
    """(line, row, units of the row in one of the line, what is left of it) for each line whose stock is counted."""
    lines = {line.no: line for line in quote.sheet.lines}
    left: dict[int, Fraction] = {}
    for chosen in order.lines:
        price = price_of(lines[chosen.no])
        ratio = convertible(lines[chosen.no].unit, price.unit) if price is not None else None
        if price is None or price.stock is None or ratio is None:
            continue
        left[price.row] = left.get(price.row, Fraction(price.stock)) - Fraction(chosen.quantity) * ratio
        yield chosen.no, price, ratio, left[price.row]


def _despatched(thread: Thread, order_hash: bytes, no: int) -> Fraction:
    sent = (s for o, s in thread.each(d.Despatch) if (o.signer, s.deal) == (thread.seller, order_hash))
    return sum((Fraction(line.quantity) for one in sent for line in one.lines if line.no == no), Fraction(0))


def _row_of(ledger: Ledger, taken: Taken) -> rows.Price | None:
    if taken.code:
        return ledger.prices.by_code(taken.code)
    found = [price for price in ledger.prices.all() if price.description == taken.description]
    return found[0] if len(found) == 1 else None


def _stock_text(rest: Fraction) -> str:
    """A stock as the price list has it; of what its places cannot say, a little less."""
    places = 10**limits.DECIMAL_PLACES
    return decimal_text(Decimal(max(rest, Fraction(0)) * places // 1) / places)
