"""Sums: line amounts, taxes, totals of a quote and of a partial order. Integers only, rounded where it is said.

Rules. amount of a line = price x quantity / per, in minor units, rounded half to even once per line. Tax is computed
per rate on the sum of the lines and charges of that rate, rounded half to even once per rate; where prices include tax
it is the part of that sum, base x rate / (100 + rate). What has no rate is not taxed. total = goods + charges + tax, or
goods + charges where tax is included.

A partial order pays each line anew for its own quantity. A charge is whole unless it says that it is scaled: then it is
amount x goods ordered / goods quoted (of a line: x quantity ordered / quantity quoted), rounded half to even. A charge
of a line is paid if that line is ordered at all. A quote that is not divisible is ordered whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from p2pmarket import limits
from p2pmarket.errors import BadInput, LimitReached, Refusal
from p2pmarket.trade.values import Charge, Code, OrderLine, QuoteLine, QuoteLineDetails, Sheet, Tax, Terms

COUNTED_UNITS = frozenset({"C62", "H87", "EA"})  # there is no half of them
_ONE = Fraction(1)


@dataclass(frozen=True, slots=True)
class Totals:
    """What a set of lines and charges comes to, in minor units; `charges` is their sum."""

    goods: int
    charges: int
    taxes: tuple[Tax, ...]
    tax: int
    total: int


def round_half_even(numerator: int, denominator: int) -> int:
    """numerator / denominator as the nearest integer, the even one of two; the denominator is positive."""
    quotient, rest = divmod(numerator, denominator)
    twice = 2 * rest
    return quotient + (twice > denominator or (twice == denominator and quotient % 2 == 1))


def parts(decimal: str) -> tuple[int, int]:
    """(mantissa, places) of a decimal in document form: "2.55" is (255, 2)."""
    whole, _, places = decimal.partition(".")
    return int(whole + places), len(places)


def fraction(decimal: str) -> Fraction:
    """The value of a decimal in document form."""
    mantissa, places = parts(decimal)
    return Fraction(mantissa, 10**places)


def decimal_text(value: Decimal | Fraction | int) -> str:
    """The one form of a decimal in documents, "20" or "2.55". Raises BadInput if it needs more than 9 places."""
    numerator, denominator = value.as_integer_ratio()
    scaled, rest = divmod(numerator * 10**9, denominator)
    if rest or not 0 <= scaled < 10**24:
        raise BadInput(
            f"{value} cannot be written", hint="Use a number from 0 to 999999999999999 with at most 9 places"
        )
    whole, places = divmod(scaled, 10**9)
    return f"{whole}.{places:09}".rstrip("0").rstrip(".")


def line_amount(price: str, quantity: str, per: str, exponent: int, ratio: Fraction = _ONE) -> int:
    """price x quantity x ratio / per in units of 10**-exponent; `ratio` = units of `per` in one unit of `quantity`."""
    p, p_places = parts(price)
    q, q_places = parts(quantity)
    b, b_places = parts(per)
    numerator = p * q * ratio.numerator * 10 ** (exponent + b_places)
    return round_half_even(numerator, b * ratio.denominator * 10 ** (p_places + q_places))


def priced_line(
    no: int,
    *,
    quantity: str,
    unit: str,
    text: str,
    price: str,
    exponent: int,
    per: str = "1",
    request_line: int | None = None,
    code: Code | None = None,
    tax_rate: str | None = None,
    details: QuoteLineDetails | None = None,
) -> QuoteLine:
    """A quote line with its amount; `per` is in `unit`."""
    return QuoteLine(
        no=no,
        request_line=request_line,
        quantity=quantity,
        unit=unit,
        text=text,
        code=code,
        price=price,
        per=per,
        amount=line_amount(price, quantity, per, exponent),
        tax_rate=tax_rate,
        details=details,
    )


def totals(
    goods: Iterable[tuple[str | None, int]], charges: Iterable[tuple[str | None, int]], *, tax_included: bool
) -> Totals:
    """The totals of lines and charges given as (tax rate, amount)."""
    goods, charges = tuple(goods), tuple(charges)
    bases: dict[str, int] = {}
    for rate, amount in (*goods, *charges):
        if rate is not None:
            bases[rate] = bases.get(rate, 0) + amount
    taxes = tuple(_tax(rate, bases[rate], included=tax_included) for rate in sorted(bases, key=fraction))
    goods_sum, charges_sum = sum(amount for _, amount in goods), sum(amount for _, amount in charges)
    tax = sum(t.amount for t in taxes)
    return Totals(goods_sum, charges_sum, taxes, tax, goods_sum + charges_sum + (0 if tax_included else tax))


def _tax(rate: str, base: int, *, included: bool) -> Tax:
    mantissa, places = parts(rate)
    hundred = 100 * 10**places
    return Tax(rate=rate, base=base, amount=round_half_even(base * mantissa, hundred + (mantissa if included else 0)))


def make_sheet(
    currency: str,
    exponent: int,
    lines: Sequence[QuoteLine],
    charges: Sequence[Charge] = (),
    *,
    tax_included: bool = False,
) -> Sheet:
    """A price sheet with its totals. Raises LimitReached for amounts out of range, BadInput for a total below zero."""
    sums = _sheet_totals(lines, charges, tax_included=tax_included)
    amounts = [sums.goods, sums.tax, sums.total, *(line.amount for line in lines), *(tax.base for tax in sums.taxes)]
    if max(map(abs, amounts)) > limits.AMOUNT:
        raise LimitReached("an amount is too large", hint="Split it into several quotes")
    if sums.total < 0:
        raise BadInput("the total is below zero", hint="Make the discount smaller")
    return Sheet(
        currency=currency,
        exponent=exponent,
        lines=tuple(lines),
        charges=tuple(charges),
        tax_included=tax_included,
        goods=sums.goods,
        taxes=sums.taxes,
        tax=sums.tax,
        total=sums.total,
    )


def _sheet_totals(lines: Iterable[QuoteLine], charges: Iterable[Charge], *, tax_included: bool) -> Totals:
    return totals(
        ((line.tax_rate, line.amount) for line in lines),
        ((charge.tax_rate, charge.amount) for charge in charges),
        tax_included=tax_included,
    )


def check_totals(sheet: Sheet) -> None:
    """Recompute every amount of a sheet. Raises Refusal: `lines` (numbers, quantities) or `totals` (amounts)."""
    numbers = {line.no for line in sheet.lines}
    if len(numbers) != len(sheet.lines) or any(c.line is not None and c.line not in numbers for c in sheet.charges):
        raise Refusal("lines", "line numbers are not unique, or a charge names a line that is not there")
    for line in sheet.lines:
        if line.quantity == "0" or line.per == "0":
            raise Refusal("lines", f"line {line.no}: quantity and base quantity must be above zero")
        if line.amount != line_amount(line.price, line.quantity, line.per, sheet.exponent):
            raise Refusal("totals", f"line {line.no}: the amount is not price x quantity / per")
    sums = _sheet_totals(sheet.lines, sheet.charges, tax_included=sheet.tax_included)
    if (sheet.goods, sheet.taxes, sheet.tax, sheet.total) != (sums.goods, sums.taxes, sums.tax, sums.total):
        raise Refusal("totals", "goods, tax or total are not the sum of the lines and charges")


# Partial orders


def whole(sheet: Sheet) -> tuple[OrderLine, ...]:
    """All lines of a sheet with their full quantities."""
    return tuple(OrderLine(no=line.no, quantity=line.quantity) for line in sheet.lines)


def choice_problem(sheet: Sheet, terms: Terms, chosen: Sequence[OrderLine]) -> str | None:
    """Why these lines and quantities cannot be ordered from a quote, as a sentence; None if they can."""
    offered = {line.no: line for line in sheet.lines}
    if not chosen or len({line.no for line in chosen}) != len(chosen):
        return "each ordered line is named once, and there is at least one"
    for line in chosen:
        if line.no not in offered:
            return f"the quote has no line {line.no}"
        problem = _quantity_problem(offered[line.no], line.quantity)
        if problem is not None:
            return f"line {line.no}: {problem}"
    ordered = {line.no: line.quantity for line in chosen}
    if not terms.divisible and ordered != {line.no: line.quantity for line in sheet.lines}:
        return "the quote can only be ordered whole"
    return None


def _quantity_problem(line: QuoteLine, quantity: str) -> str | None:
    if quantity == line.quantity:
        return None
    wanted = fraction(quantity)
    if not 0 < wanted < fraction(line.quantity):
        return f"the quantity must be above 0 and at most {line.quantity}"
    details = line.details or QuoteLineDetails()
    if details.least is not None and wanted < fraction(details.least):
        return f"at least {details.least} must be ordered"
    step = details.step or ("1" if line.unit in COUNTED_UNITS and "." not in line.quantity else None)
    if step is not None and step != "0" and wanted % fraction(step):
        return f"the quantity must be a multiple of {step}"
    return None


def order_totals(sheet: Sheet, chosen: Sequence[OrderLine]) -> Totals:
    """What the chosen lines of a checked sheet come to; `choice_problem` must have found nothing."""
    offered = {line.no: line for line in sheet.lines}
    ordered = {line.no: line.quantity for line in chosen}
    goods = [
        (line.tax_rate, line_amount(line.price, ordered[no], line.per, sheet.exponent))
        for no, line in offered.items()
        if no in ordered
    ]
    goods_sum = sum(amount for _, amount in goods)
    charges = []
    for charge in sheet.charges:
        if charge.line is None:
            share = Fraction(goods_sum, sheet.goods) if sheet.goods else _ONE
        elif charge.line in ordered:
            share = fraction(ordered[charge.line]) / fraction(offered[charge.line].quantity)
        else:
            continue
        scaled = charge.amount * share if charge.scaled else _ONE * charge.amount
        charges.append((charge.tax_rate, round_half_even(scaled.numerator, scaled.denominator)))
    return totals(goods, charges, tax_included=sheet.tax_included)
