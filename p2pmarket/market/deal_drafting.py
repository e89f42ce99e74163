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
from p2pmarket.market.revising import fitted, revised_sheet, revised_terms
from p2pmarket.trade import documents as d
from p2pmarket.trade import values as v
from p2pmarket.trade.money import decimal_text, round_half_even
from p2pmarket.trade.thread import Contract
from p2pmarket.vocab.currencies import parse_money
from p2pmarket.vocab.deadlines import parse_date, parse_deadline
from p2pmarket.vocab.decimals import parse_decimal, shown
from p2pmarket.vocab.lines import check_quantity
from p2pmarket.vocab.payto import is_payto, parse_payto
from p2pmarket.vocab.units import parse_unit

FARTHEST_DAY_SECONDS = 3650 * limits.DAY

Draft = tuple[v.Sheet, v.Terms, v.Party | None]


def day_of(text: str, wall: int, utc_offset: int) -> str:
    """A day, `YYYY-MM-DD`, from a date or what `vocab.deadlines` understands: "fri", "10d". Raises BadInput."""
    try:
        return parse_date(text)
    except BadInput:
        return day_at(parse_deadline(text, wall, utc_offset, FARTHEST_DAY_SECONDS) + utc_offset)


def day_at(instant: int) -> str:
    """The day of an instant, in UTC."""
    return datetime.fromtimestamp(instant, UTC).date().isoformat()


def minor_of(text: str, sheet: v.Sheet) -> int:
    """An amount above zero in the currency of a deal, in minor units. Raises BadInput."""
    money = parse_money(text, sheet.currency)
    if money.currency != sheet.currency or money.exponent != sheet.exponent:
        raise BadInput(f"the deal is in {sheet.currency}, not {money.currency}", hint="Give the amount in its currency")
    if money.minor <= 0:
        raise BadInput(f"{shown(text)} is no amount to pay", hint=f"Write it as 12.50 {sheet.currency}")
    return money.minor


def checked_methods(methods: Sequence[str]) -> tuple[str, ...]:
    """Ways to pay, whose payto: links are well formed. Raises BadInput."""
    for method in methods:
        if is_payto(method):
            parse_payto(method)
    return tuple(methods)


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
    terms = _payment(revised_terms(contract.terms, revision), sheet, body)
    return sheet, fitted(sheet, terms), party_of(body.deliver_to, body.deliver_to_text, profile)


def _is_zero(text: str) -> bool:
    return parse_decimal(text.split()[0] if text.split() else "") == Decimal(0)


def _payment(terms: v.Terms, sheet: v.Sheet, body: b.ChangeDeal) -> v.Terms:
    """The terms with what was told of payment; what is null stays."""
    old = terms.payment or v.PaymentTerms()
    payment = msgspec.structs.replace(
        old,
        stage=body.payment_stage or old.stage,
        days=body.payment_days if body.payment_days is not None else old.days,
        methods=checked_methods(body.payment_methods) or old.methods,
    )
    if body.instalments:
        parts = _instalments(sheet, body)
        payment = msgspec.structs.replace(payment, stage="instalments", instalments=parts)
    return terms if payment == v.PaymentTerms() else msgspec.structs.replace(terms, payment=payment)


def _instalments(sheet: v.Sheet, body: b.ChangeDeal) -> tuple[v.Instalment, ...]:
    """The parts, which come to the total; "rest" is what the others leave. Raises BadInput."""
    shares = [_share(part.amount, sheet) for part in body.instalments]
    told = [share for share in shares if share is not None]
    rest, rests = sheet.total - sum(told), len(shares) - len(told)
    if rests > 1 or (rest > 0) != (rests == 1) or rest < 0 or any(amount <= 0 for amount in told):
        raise BadInput(
            "the instalments do not come to the total", hint="Write the last one as: --instalment rest@after_delivery"
        )
    return tuple(
        v.Instalment(
            amount=rest if share is None else share,
            stage=part.stage,
            days=part.days,
            due=parse_date(part.due) if part.due else None,
        )
        for share, part in zip(shares, body.instalments, strict=True)
    )


def _share(text: str, sheet: v.Sheet) -> int | None:
    """An amount, a percentage of the total, or None for the rest."""
    word = text.strip().lower()
    if word == "rest":
        return None
    if word.endswith("%"):
        part = Fraction(parse_decimal(word[:-1].strip())) / 100 * sheet.total
        return round_half_even(part.numerator, part.denominator)
    return minor_of(text, sheet)
