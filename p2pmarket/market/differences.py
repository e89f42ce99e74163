"""What changed between two offers: line by line, charge by charge, and in the terms, in words for people."""

from __future__ import annotations

from collections.abc import Iterator

from p2pmarket.api import types as t
from p2pmarket.market.sheets import payment_text
from p2pmarket.trade import values as v
from p2pmarket.trade.money import COUNTED_UNITS
from p2pmarket.vocab.decimals import money_text
from p2pmarket.vocab.units import unit_label

Offer = tuple[v.Sheet, v.Terms]


def differences(before: Offer, after: Offer) -> list[t.Difference]:
    """All that is not the same, lines first, the total last."""
    pairs = [*_lines(before[0], after[0]), *_charges(before[0], after[0]), *_terms(before[1], after[1])]
    pairs.append(("payment", payment_text(before[1].payment, before[0]), payment_text(after[1].payment, after[0])))
    pairs.append(("total", _amount(before[0], before[0].total), _amount(after[0], after[0].total)))
    return [t.Difference(what=what, before=was, after=now) for what, was, now in pairs if was != now]


Pair = tuple[str, str | None, str | None]


def _amount(sheet: v.Sheet, minor: int) -> str:
    return f"{money_text(minor, sheet.exponent)} {sheet.currency}"


def _lines(before: v.Sheet, after: v.Sheet) -> Iterator[Pair]:
    old, new = ({line.no: line for line in sheet.lines} for sheet in (before, after))
    for no in sorted({**old, **new}):
        was, now = old.get(no), new.get(no)
        if was is None or now is None:
            yield f"line {no}", _line(was, before) if was else None, _line(now, after) if now else None
            continue
        yield f"line {no} price", _price(was, before), _price(now, after)
        yield f"line {no} quantity", f"{was.quantity} {_unit(was)}", f"{now.quantity} {_unit(now)}"
        yield f"line {no} text", was.text, now.text


def _unit(line: v.QuoteLine) -> str:
    return "pcs" if line.unit in COUNTED_UNITS else unit_label(line.unit)


def _price(line: v.QuoteLine, sheet: v.Sheet) -> str:
    per = "" if line.per == "1" else f"{line.per} "
    return f"{line.price} {sheet.currency} / {per}{_unit(line)}"


def _line(line: v.QuoteLine, sheet: v.Sheet) -> str:
    return f"{line.quantity} {_unit(line)} {line.text}, {_price(line, sheet)}"


def _charges(before: v.Sheet, after: v.Sheet) -> Iterator[Pair]:
    for kind in dict.fromkeys(charge.kind for sheet in (before, after) for charge in sheet.charges):
        yield kind, _sum(before, kind), _sum(after, kind)


def _sum(sheet: v.Sheet, kind: str) -> str | None:
    amounts = [charge.amount for charge in sheet.charges if charge.kind == kind]
    return _amount(sheet, sum(amounts)) if amounts else None


def _terms(before: v.Terms, after: v.Terms) -> Iterator[Pair]:
    yield "divisible", _yes(before.divisible), _yes(after.divisible)
    old, new = before.delivery or v.Delivery(), after.delivery or v.Delivery()
    for name in v.Delivery.__struct_fields__:
        was, now = getattr(old, name), getattr(new, name)
        yield f"delivery {name}".replace("_", " "), _text(was), _text(now)
    yield "cancelled alone, days late", _text(before.cancel_days), _text(after.cancel_days)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _text(value: object) -> str | None:
    return None if value is None else str(value)
