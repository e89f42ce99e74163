"""A new offer from one that stands: what is named is changed, all else stays, and every sum is made anew.

So a counter, a new version and an amended order are full documents, however little their maker said. A line that
answers a line of the request is for all of it; in another quantity it becomes an extra, and the request's line counts
as left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction

import msgspec

from p2pmarket.api.types import bodies_talk as b
from p2pmarket.api.types.bodies import NewCharge, NewQuote
from p2pmarket.api.types.bodies_fulfil import ChangeDeal
from p2pmarket.errors import BadInput
from p2pmarket.market.pricing import INCOTERMS
from p2pmarket.trade import documents as d
from p2pmarket.trade import values as v
from p2pmarket.trade.money import fraction, line_amount, make_sheet, priced_line
from p2pmarket.trade.thread.contract import scaled
from p2pmarket.vocab.currencies import money, parse_price
from p2pmarket.vocab.deadlines import parse_date, refuse_past_day
from p2pmarket.vocab.decimals import decimal_text, parse_decimal
from p2pmarket.vocab.lines import check_quantity
from p2pmarket.vocab.regions import parse_region
from p2pmarket.vocab.units import parse_unit

AGREED = "to the total"  # the text of the charge that brings an offer to the total wanted


def refuse_past_days(body: b.Revision | NewQuote, wall: int) -> None:
    """Raise BadInput for a day of delivery or of an instalment that is over."""
    payment = body.payment if isinstance(body, NewQuote | ChangeDeal) else None
    dues = [part.due for part in payment.instalments] if payment is not None else []
    for day in filter(None, (body.delivery_latest, *dues)):
        refuse_past_day(day, wall, body.utc_offset_s)


def revised_sheet(sheet: v.Sheet, asked: d.Request, body: b.Revision) -> v.Sheet:
    """The sheet with the changes. Raises BadInput, LimitReached."""
    lines = {line.no: line for line in sheet.lines}
    for told in body.lines:
        lines[told.no] = _line(lines.get(told.no), told, sheet, asked)
    for no in body.drop:
        if lines.pop(no, None) is None:
            raise BadInput(f"there is no line {no} to leave out", hint=_has(sheet.lines))
    if not lines:
        raise BadInput("no line is left", hint=_without_lines(body))
    kept = list(_kept(sheet, lines))
    charges = _charges(kept, body.charges, sheet.currency, _one_rate(lines.values()))
    if body.total is not None:
        charges = [charge for charge in charges if charge.text != AGREED]
    made = _made(sheet, lines, charges)
    if body.total is None:
        return made
    return _made(sheet, lines, [*charges, *_to_total(made, body.total)])


def revised_terms(terms: v.Terms, body: b.Revision) -> v.Terms:
    """The terms with the changes. Raises BadInput."""
    old = terms.delivery or v.Delivery()
    in_days, by_date = body.delivery_days is not None, body.delivery_latest is not None
    delivery = msgspec.structs.replace(
        old,
        days=body.delivery_days if in_days else None if by_date else old.days,
        latest=parse_date(body.delivery_latest or "") if by_date else None if in_days else old.latest,
        incoterm=_incoterm(body.incoterm) if body.incoterm else old.incoterm,
        place=body.place or old.place,
        ships_from=parse_region(body.ships_from) if body.ships_from else old.ships_from,
    )
    return msgspec.structs.replace(
        terms,
        divisible=terms.divisible if body.divisible is None else body.divisible,
        delivery=delivery if delivery != v.Delivery() else None,
        payment=v.PaymentTerms(text=body.payment_terms) if body.payment_terms else terms.payment,
        cancel_days=terms.cancel_days if body.cancel_days is None else body.cancel_days,
    )


def as_answer(line: v.QuoteLine, asked: d.Request) -> v.QuoteLine:
    """The line as an answer to the request's line of its number if it is for all of that, else as an extra."""
    wanted = {one.no: one for one in asked.lines}.get(line.request_line or line.no)
    whole = wanted is not None and (wanted.quantity, wanted.unit) == (line.quantity, line.unit)
    return msgspec.structs.replace(line, request_line=wanted.no if wanted is not None and whole else None)


# Parts


def _without_lines(body: b.Revision) -> str:
    """What to do instead of taking every line out: of a deal, an order, a quote."""
    if isinstance(body, ChangeDeal):
        return "To end the deal, or take back an order: market cancel"
    if isinstance(body, b.Amend):
        return "Say no to the order with: market reject"
    return "Say no with: market decline, or let the quote go"


def _line(line: v.QuoteLine | None, told: b.RevisedLine, sheet: v.Sheet, asked: d.Request) -> v.QuoteLine:
    if line is None:
        line = _new_line(told, sheet, asked)
    price = _price(told, sheet.currency) if told.price is not None else line.price
    quantity = _quantity(told, line.unit) if told.quantity is not None else line.quantity
    changed = msgspec.structs.replace(
        line,
        price=price,
        quantity=quantity,
        text=told.text or line.text,
        amount=line_amount(price, quantity, line.per, sheet.exponent),
        details=_details(line.details, quantity),
    )
    return changed if quantity == line.quantity else as_answer(changed, asked)


def _new_line(told: b.RevisedLine, sheet: v.Sheet, asked: d.Request) -> v.QuoteLine:
    wanted = {line.no: line for line in asked.lines}.get(told.no)
    if wanted is None:
        raise BadInput(f"there is no line {told.no}", hint=_has(sheet.lines))
    if told.price is None:
        raise BadInput(f"line {told.no} was not quoted", hint=f"Say what it is to cost: --line {told.no}=PRICE")
    return priced_line(
        wanted.no,
        request_line=wanted.no,
        quantity=wanted.quantity,
        unit=wanted.unit,
        text=wanted.text,
        price=_price(told, sheet.currency),
        exponent=sheet.exponent,
        tax_rate=_one_rate(sheet.lines),
    )


def _details(details: v.QuoteLineDetails | None, quantity: str) -> v.QuoteLineDetails | None:
    """Bounds of a partial order hold no longer where they are above the quantity."""
    if details is None:
        return None
    fits = {name: bound for name in ("least", "step") if (bound := getattr(details, name)) is not None}
    gone = {name: None for name, bound in fits.items() if fraction(bound) > fraction(quantity)}
    return msgspec.structs.replace(details, **gone)


def _price(told: b.RevisedLine, currency: str) -> str:
    value, written = parse_price(told.price or "", currency)
    if written != currency:
        raise BadInput(
            f"line {told.no}: a price in {written} in an offer in {currency}", hint="One offer, one currency"
        )
    if value < 0:
        raise BadInput(f"line {told.no}: the price is below zero", hint="Give a discount as a charge")
    return decimal_text(value)


def _quantity(told: b.RevisedLine, unit: str) -> str:
    value, _, named = (told.quantity or "").strip().partition(" ")
    if named.strip() and parse_unit(named) != unit:
        raise BadInput(f"line {told.no} is in {unit}", hint="Give the quantity in the unit of the line")
    return decimal_text(check_quantity(parse_decimal(value)))


def _kept(sheet: v.Sheet, lines: Mapping[int, v.QuoteLine]) -> Iterator[v.Charge]:
    """The charges of what is left; one that is scaled goes with the quantities, and no new price changes it."""
    left = {old.no: (old, lines[old.no].quantity) for old in sheet.lines if old.no in lines}
    goods = sum(line_amount(old.price, quantity, old.per, sheet.exponent) for old, quantity in left.values())
    for charge in sheet.charges:
        if charge.line is None:
            share = Fraction(goods, sheet.goods) if sheet.goods else Fraction(1)
        elif charge.line in left:
            old, quantity = left[charge.line]
            share = fraction(quantity) / fraction(old.quantity)
        else:
            continue
        part = scaled(charge, share)
        if part.amount or not charge.amount:
            yield part


def _charges(before: Iterable[v.Charge], told: list[NewCharge], currency: str, rate: str | None) -> list[v.Charge]:
    """The charges, those of the kinds named replaced."""
    kinds = {charge.kind for charge in told}
    rates = {charge.kind: charge.tax_rate for charge in before}
    made = [charge for charge in before if charge.kind not in kinds]
    for charge in told:
        value, written = parse_price(charge.amount, currency)
        if written != currency:
            raise BadInput(f"a charge in {written} in an offer in {currency}", hint="One offer, one currency")
        if charge.kind != "discount" and value < 0:
            raise BadInput("a charge below zero", hint="Use a charge of kind discount")
        minor = money(abs(value), currency).minor
        amount = -minor if charge.kind == "discount" else minor
        if amount:
            made.append(
                v.Charge(kind=charge.kind, amount=amount, text=charge.text, tax_rate=rates.get(charge.kind, rate))
            )
    return made


def _one_rate(lines: Iterable[v.QuoteLine]) -> str | None:
    """The tax rate if all lines have the same one."""
    rates = {line.tax_rate for line in lines}
    return rates.pop() if len(rates) == 1 else None


def _to_total(sheet: v.Sheet, total: str) -> list[v.Charge]:
    """The charge that brings a sheet to a total; it carries no tax, so the total is exact.

    It is scaled: a part of the offer costs that part of the total agreed on.
    """
    value, written = parse_price(total, sheet.currency)
    if written != sheet.currency:
        raise BadInput(f"a total in {written} for an offer in {sheet.currency}", hint="One offer, one currency")
    if value < 0:
        raise BadInput("the total is below zero", hint="Write what is to be paid in all")
    missing = money(value, sheet.currency).minor - sheet.total
    if not missing:
        return []
    return [v.Charge(kind="discount" if missing < 0 else "other", amount=missing, text=AGREED, scaled=True)]


def _made(sheet: v.Sheet, lines: dict[int, v.QuoteLine], charges: list[v.Charge]) -> v.Sheet:
    ordered = [lines[no] for no in sorted(lines)]
    return make_sheet(sheet.currency, sheet.exponent, ordered, charges, tax_included=sheet.tax_included)


def _incoterm(text: str) -> str:
    code = text.strip().upper()
    if code not in INCOTERMS:
        raise BadInput(f"{text[:20]!r} is no Incoterm", hint=f"Incoterms 2020: {', '.join(INCOTERMS)}")
    return code


def _has(lines: Iterable[v.QuoteLine]) -> str:
    return f"It has the lines {', '.join(str(line.no) for line in lines)}"
