"""From what a person typed about a deal to the fields of its papers: understood strictly, refused with a hint."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import msgspec

from p2pmarket import limits
from p2pmarket.api.types import bodies_fulfil as b
from p2pmarket.errors import BadInput
from p2pmarket.market.drafting import party_of
from p2pmarket.market.payment_terms import payment_of
from p2pmarket.market.revising import revised_sheet, revised_terms
from p2pmarket.trade import documents as d
from p2pmarket.trade import values as v
from p2pmarket.trade.money import COUNTED_UNITS, decimal_text
from p2pmarket.trade.thread import Contract
from p2pmarket.trade.thread.contract import fitted
from p2pmarket.vocab.deadlines import parse_date, parse_deadline, refuse_past_day
from p2pmarket.vocab.decimals import parse_decimal
from p2pmarket.vocab.lines import check_quantity
from p2pmarket.vocab.units import parse_unit, unit_label

FARTHEST_DAY_SECONDS = 3650 * limits.DAY

Draft = tuple[v.Sheet, v.Terms, v.Party | None]


def day_of(text: str, wall: int, utc_offset: int) -> str:
    """A day, `YYYY-MM-DD`, from a date or what `vocab.deadlines` understands: "fri", "10d". Raises BadInput."""
    try:
        return parse_date(text)
    except BadInput:
        return day_at(parse_deadline(text, wall, utc_offset, FARTHEST_DAY_SECONDS) + utc_offset)


def coming_day(text: str, wall: int, utc_offset: int) -> str:
    """As `day_of`, but what is over is refused: a day by which something is promised."""
    day = day_of(text, wall, utc_offset)
    refuse_past_day(day, wall, utc_offset)
    return day


def day_at(instant: int) -> str:
    """The day of an instant, in UTC."""
    return datetime.fromtimestamp(instant, UTC).date().isoformat()


# Quantities


def parts_of(sheet: v.Sheet, told: Sequence[b.PartLine], left: Mapping[int, Fraction]) -> dict[int, Fraction]:
    """How much of each line named; `left` of a line that names no quantity. Raises BadInput."""
    lines = {line.no: line for line in sheet.lines}
    parts: dict[int, Fraction] = {}
    for part in told:
        if part.no not in lines:
            raise BadInput(f"there is no line {part.no}", hint=f"Lines: {', '.join(map(str, lines))}")
        if part.no in parts:
            raise BadInput(f"line {part.no} is named twice", hint="Name each line once")
        much = left.get(part.no, Fraction(0)) if part.quantity is None else quantity_of(part.quantity, lines[part.no])
        if not much:
            raise BadInput(f"nothing is left of line {part.no}", hint=f"Say how much: {part.no}=5")
        parts[part.no] = much
    return parts


def check_sendable(contract: Contract, parts: Mapping[int, Fraction], left: Mapping[int, Fraction]) -> None:
    """Raise BadInput for more of a line than was ordered, or for a part of a piece. What is left may be exceeded."""
    for no, much in parts.items():
        ordered, unit = contract.quantities[no], contract.lines[no].unit
        said = f"line {no}: {decimal_text(much)} {unit_label(unit)}"
        still = f"{decimal_text(left.get(no, Fraction(0)))} are left to send"
        if much > ordered:
            raise BadInput(f"{said} are more than the {decimal_text(ordered)} ordered", hint=f"Of these {still}")
        if unit in COUNTED_UNITS and ordered.denominator == 1 and much.denominator != 1:
            raise BadInput(f"{said} is no whole number of pieces", hint=f"Ordered are {decimal_text(ordered)}; {still}")


def order_lines(parts: Mapping[int, Fraction]) -> tuple[v.OrderLine, ...]:
    """The same as lines of a document."""
    return tuple(v.OrderLine(no=no, quantity=decimal_text(much)) for no, much in sorted(parts.items()))


def quantity_of(text: str, line: v.QuoteLine, *, zero: bool = False) -> Fraction:
    """A quantity in the line's unit; zero only where that says something. Raises BadInput."""
    value, _, named = text.strip().partition(" ")
    if named.strip() and parse_unit(named) != line.unit:
        raise BadInput(f"line {line.no} is in {line.unit}", hint="Give the quantity in the unit of the contract")
    number = parse_decimal(value)
    return Fraction(number if zero and number == 0 else check_quantity(number))


def received_lines(
    sheet: v.Sheet, told: Sequence[b.ReceivedPart], sent: Mapping[int, Fraction]
) -> tuple[v.ReceiptLine, ...]:
    """What came of `sent`: as told, and in full where nothing is told. What is told damaged or refused came too.

    Of a line of which 10 were sent and 2 are damaged, 8 are fine: they came short of all, so they are told as such.
    Raises BadInput.
    """
    lines = {line.no: line for line in sheet.lines}
    found: list[v.ReceiptLine] = []
    came: dict[int, Fraction] = {}
    for part in told:
        if part.no not in sent or part.no not in lines:
            raise BadInput(f"line {part.no} was not sent", hint=f"Lines sent: {', '.join(map(str, sorted(sent)))}")
        much = quantity_of(part.quantity, lines[part.no], zero=part.condition == "short")
        came[part.no] = came.get(part.no, Fraction(0)) + much
        found.append(_receipt_line(part.no, much, part.condition, part.text))
    counted = {part.no for part in told if part.condition in {"short", "full"}}
    for no, much in sorted(sent.items()):
        rest = much - came.get(no, Fraction(0))
        if rest < 0:
            raise BadInput(f"line {no}: only {decimal_text(much)} were sent")
        if no not in came:
            found.append(_receipt_line(no, much, "full", None))
        elif no not in counted and rest:
            found.append(_receipt_line(no, rest, "short", None))
    return tuple(sorted(found, key=lambda line: (line.no, line.condition)))


def _receipt_line(no: int, much: Fraction, condition: str, text: str | None) -> v.ReceiptLine:
    return v.ReceiptLine(no=no, quantity=decimal_text(much), condition=condition, text=text)  # type: ignore[arg-type]


# Changes


def changed(contract: Contract, asked: d.Request, body: b.ChangeDeal, profile: Callable[[str], str | None]) -> Draft:
    """The contract as it shall be: sheet, terms, and where to deliver if that changes. Raises BadInput."""
    told, out = [], []
    for line in body.lines:
        if line.quantity is not None and _is_zero(line.quantity):
            out.append(line.no)
        else:
            told.append(line)
    revision = msgspec.structs.replace(body, lines=told, drop=[*body.drop, *out])
    sheet = revised_sheet(contract.sheet, asked, revision)
    terms = fitted(revised_terms(contract.terms, revision), sheet.total)
    payment = payment_of(terms.payment, body.payment, sheet)
    terms = msgspec.structs.replace(terms, payment=payment)
    return sheet, terms, party_of(body.deliver_to, body.deliver_to_text, profile)


def _is_zero(text: str) -> bool:
    return parse_decimal(text.split()[0] if text.split() else "") == Decimal(0)
