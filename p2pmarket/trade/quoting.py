"""Quotes without a person: the lines of a request matched with the rows of a price list.

Rules. Only what is certain is quoted. A line fits a row if one of its codes is the row's code, or, where no code fits,
if its text is the row's description, both in normal form (folded case and width, single spaces). Everything doubtful
is left to a person with the reason: a code or text that two rows have, a code of one row with the text of another, a
zero price, too little stock for all lines together, less than the row's least quantity, a unit that does not convert,
another currency. What no row fits is missing. Prices stay those of the row: where units differ, the base quantity is
converted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Protocol

from p2pmarket.errors import BadInput
from p2pmarket.trade.money import decimal_text, fraction, priced_line
from p2pmarket.trade.values import Code, QuoteLine, QuoteLineDetails, RequestLine
from p2pmarket.vocab.texts import normal_text
from p2pmarket.vocab.units import convertible

DETAILED_LINES = 750  # a quote line takes 21 CBOR items with details, 14 without; a document may have 16,384


class Row(Protocol):
    """One row of a price list: `price` for `per` of `unit`; `stock` and `min_qty` in `unit`; `tax_rate` in per cent."""

    @property
    def code(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def price(self) -> Decimal: ...
    @property
    def per(self) -> Decimal: ...
    @property
    def currency(self) -> str: ...
    @property
    def stock(self) -> Decimal | None: ...
    @property
    def min_qty(self) -> Decimal | None: ...
    @property
    def lead_days(self) -> int | None: ...
    @property
    def tax_rate(self) -> Decimal | None: ...
    @property
    def url(self) -> str | None: ...


class PriceIndex:
    """The rows of a price list by code and by text, both in normal form. Building it takes a few microseconds a row."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows = tuple(rows)
        self._codes: dict[str, list[int]] = {}
        self._texts: dict[str, list[int]] = {}
        for place, row in enumerate(self.rows):
            for key, table in ((row.code, self._codes), (row.description, self._texts)):
                if key:
                    table.setdefault(normal_text(key), []).append(place)

    def by_code(self, codes: Sequence[Code]) -> set[int]:
        """Places of the rows that any of these codes names."""
        return {place for code in codes for place in self._codes.get(normal_text(code.value), ())}

    def by_text(self, text: str) -> set[int]:
        """Places of the rows with this description."""
        return set(self._texts.get(normal_text(text), ()))


@dataclass(frozen=True, slots=True)
class Drafted:
    """What can be quoted at once, and what cannot.

    `missing_lines`: numbers of the request's lines that are not in `lines`, those of `needs_person` (number, why) too.
    `days`: the longest lead time of the rows used. `divisible`: false if bounds of partial orders had no room.
    """

    lines: tuple[QuoteLine, ...]
    missing_lines: tuple[int, ...]
    needs_person: tuple[tuple[int, str], ...]
    days: int | None
    divisible: bool


def quote_from_prices(
    request_lines: Sequence[RequestLine], index: PriceIndex, *, currency: str, exponent: int
) -> Drafted:
    """Quote what the price list answers with certainty, in `currency` with `exponent` places."""
    matched = [(line, *_match(line, index)) for line in request_lines]
    short = _short_rows(((line, place) for line, place, _ in matched if place is not None), index)
    quoted: list[QuoteLine] = []
    missing, people, days = [], [], []
    detailed = len(request_lines) <= DETAILED_LINES
    for line, place, why in matched:
        if place is None:
            missing.append(line.no)
            if why:
                people.append((line.no, why))
            continue
        row = index.rows[place]
        result = _quoted(line, row, currency, exponent, detailed=detailed, short=place in short)
        if isinstance(result, str):
            missing.append(line.no)
            people.append((line.no, result))
        else:
            quoted.append(result)
            days.append(row.lead_days)
    bounded = any(index.rows[place].min_qty is not None for _, place, _ in matched if place is not None)
    return Drafted(
        tuple(quoted),
        tuple(sorted(missing)),
        tuple(people),
        max((each for each in days if each is not None), default=None),
        detailed or not bounded,
    )


def _match(line: RequestLine, index: PriceIndex) -> tuple[int | None, str]:
    """The row that fits a line; or None and why a person must look ("" if no row fits at all)."""
    by_code = index.by_code(line.codes or ())
    if len(by_code) > 1:
        return None, "the code fits several rows of the price list"
    if by_code and line.text == index.rows[min(by_code)].description:
        return by_code.pop(), ""  # the usual case; normalising texts is most of the work
    by_text = index.by_text(line.text)
    if by_code:
        if by_text and not by_code & by_text:
            return None, "code and text fit different rows of the price list"
        return by_code.pop(), ""
    if len(by_text) > 1:
        return None, "the text fits several rows of the price list"
    return (by_text.pop(), "") if by_text else (None, "")


def _short_rows(matched: Iterable[tuple[RequestLine, int]], index: PriceIndex) -> set[int]:
    """Places of the rows whose stock is less than all lines together want of them."""
    wanted: dict[int, Fraction] = {}
    for line, place in matched:
        if index.rows[place].stock is None:
            continue
        ratio = convertible(line.unit, index.rows[place].unit)
        if ratio is not None:
            wanted[place] = wanted.get(place, Fraction(0)) + fraction(line.quantity) * ratio
    stocks = {place: index.rows[place].stock for place in wanted}
    return {place for place, stock in stocks.items() if stock is not None and wanted[place] > Fraction(stock)}


def _quoted(
    line: RequestLine, row: Row, currency: str, exponent: int, *, detailed: bool, short: bool
) -> QuoteLine | str:
    """The line of the quote, or why a person must look."""
    ratio = convertible(line.unit, row.unit)
    if ratio is None:
        return f"the price is per {row.unit}, the request is in {line.unit}"
    why = _doubt(line, row, currency, ratio, short=short)
    if why is not None:
        return why
    try:
        price, per = _price_in(row, ratio)
        details = _details(row, ratio) if detailed else None
    except BadInput:
        return f"the price per {row.unit} cannot be written exactly per {line.unit}"
    return priced_line(
        line.no,
        request_line=line.no,
        quantity=line.quantity,
        unit=line.unit,
        text=row.description or line.text,
        code=Code("seller", row.code) if row.code else None,
        price=price,
        per=per,
        exponent=exponent,
        tax_rate=None if row.tax_rate is None else decimal_text(row.tax_rate),
        details=details,
    )


def _doubt(line: RequestLine, row: Row, currency: str, ratio: Fraction, *, short: bool) -> str | None:
    if row.price <= 0 or row.per <= 0:
        return "the price is zero"
    if row.currency != currency:
        return f"the price is in {row.currency}"
    if short:
        return f"only {decimal_text(row.stock or 0)} in stock"
    if row.min_qty is not None and fraction(line.quantity) * ratio < Fraction(row.min_qty):
        return f"less than the least quantity, {decimal_text(row.min_qty)}"
    return None


def _price_in(row: Row, ratio: Fraction) -> tuple[str, str]:
    """(price, per) with `per` in the unit of the request: `ratio` units of the row are one of the request's."""
    if ratio == 1:
        return decimal_text(row.price), decimal_text(row.per)
    per = Fraction(row.per) / ratio
    try:
        return decimal_text(row.price), decimal_text(per)
    except BadInput:
        return decimal_text(Fraction(row.price) / per), "1"


def _details(row: Row, ratio: Fraction) -> QuoteLineDetails | None:
    least = None if row.min_qty is None or row.min_qty <= 0 else decimal_text(Fraction(row.min_qty) / ratio)
    if (least, row.lead_days, row.url) == (None, None, None):
        return None
    return QuoteLineDetails(least=least, days=row.lead_days, url=row.url)
