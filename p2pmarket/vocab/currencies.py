"""Currencies (ISO 4217) and amounts of money.

Rules: an amount is an integer of minor units beside its currency and exponent. A sign that several currencies share
(`$`, `¥`, `kr`) is refused unless the default currency is one of them: a guess here costs money. An amount with more
places than the currency has is refused, never rounded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Final

from p2pmarket.errors import BadInput
from p2pmarket.limits import AMOUNT_CHARS
from p2pmarket.vocab.decimals import check_decimal, money_text, parse_decimal, shown
from p2pmarket.vocab.tables import rows
from p2pmarket.vocab.texts import close_words, normal_text

_AMOUNT: Final = re.compile(
    r"(?P<before>[^\d+-]*)(?P<minus>[+-]?)(?P<after_sign>[^\d]*?)(?P<number>\d[\d.,]*(e[+-]?\d+)?)(?P<after>.*)"
)


@dataclass(frozen=True, slots=True)
class Currency:
    """One currency of ISO 4217; `exponent` is the number of places of its minor unit."""

    code: str
    exponent: int
    name: str
    korean: str


@dataclass(frozen=True, slots=True)
class Money:
    """`minor` units of a currency that has `exponent` decimal places."""

    minor: int
    currency: str
    exponent: int

    @property
    def amount(self) -> str:
        """Decimal string as it stands in JSON: `12.50`."""
        return money_text(self.minor, self.exponent)

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"


def exponent(code: str) -> int:
    """Places of the currency's minor unit; raises BadInput for a code that is not in ISO 4217."""
    return _known(code).exponent


def currency_name(code: str) -> str:
    """English name; raises BadInput for an unknown code."""
    return _known(code).name


def parse_currency(text: str, default: str | None = None, *, near: bool = True) -> str:
    """A code, name, sign or word (`eur`, `Euro`, `€`, `원`) to its code; `default` settles shared signs.

    Raises BadInput; the hint names the candidates, or (unless `near` is False: it is slow) the codes most like it.
    """
    word = normal_text(text)
    candidates = _words().get(word, ())
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        if default in candidates:
            return str(default)
        names = ", ".join(candidates)
        raise BadInput(f"{shown(text)} is used by several currencies", hint=f"Write the code: {names}")
    alike = close_words(word, list(_words()), 3) if near else []
    codes = dict.fromkeys(code for name in alike for code in _words()[name])
    hint = f"Did you mean {', '.join(codes)}?" if codes else "Write an ISO 4217 code such as EUR, USD or KRW"
    raise BadInput(f"Unknown currency {shown(text)}", hint=hint)


def parse_price(
    text: str, default: str | None = None, *, comma: bool = False, near: bool = True
) -> tuple[Decimal, str | None]:
    """A unit price (at most 9 places) with or without currency: `£2.55`, `12.50 EUR`, `1000원`, `0.0125`.

    Returns the number and its currency: the one written, else `default`. Raises BadInput.
    """
    match = _AMOUNT.fullmatch(normal_text(text)) if len(text) <= AMOUNT_CHARS else None
    if not match:
        raise BadInput(f"{shown(text)} is not an amount", hint="Write an amount such as 12.50 EUR")
    if any(char.isdecimal() for char in match["after"]):  # 1'234.50, 1 234: no currency has a digit
        number = "1.234,50" if comma else "1,234.50"
        raise BadInput(f"{shown(text)} is not an amount", hint=f"Write the number without gaps, or as {number}")
    words = [part.strip() for part in (match["before"] + match["after_sign"], match["after"]) if part.strip()]
    value = parse_decimal(match["minus"] + match["number"], comma=comma)
    if not words:
        return value, default
    codes = {parse_currency(word, default, near=near) for word in words}
    if len(codes) > 1:
        raise BadInput(f"{shown(text)} names two currencies", hint="Write one, such as 12.50 EUR")
    return value, codes.pop()


def parse_money(text: str, default_currency: str | None = None) -> Money:
    """An amount that can be paid: `12.50 EUR`, `€12.50`, `₩1,000`; raises BadInput."""
    value, currency = parse_price(text, default_currency)
    if currency is None:
        raise BadInput(f"{shown(text)} has no currency", hint=f"Write it with its currency: {text.strip()[:30]} EUR")
    return money(value, currency)


def money(value: Decimal, currency: str) -> Money:
    """The decimal as minor units; raises BadInput if the currency has fewer places than the value."""
    places = exponent(currency)
    minor = check_decimal(value).scaleb(places)
    if minor != minor.to_integral_value():
        unit = f"{places} decimal places" if places else "no decimal places"
        raise BadInput(f"{value:f} {currency} cannot be paid", hint=f"{currency} has {unit}")
    check_decimal(minor)
    return Money(int(minor), currency, places)


def _known(code: str) -> Currency:
    found = _currencies().get(code)
    if found is None:
        raise BadInput(f"Unknown currency {shown(code)}", hint="Write an ISO 4217 code such as EUR, USD or KRW")
    return found


@cache
def _currencies() -> dict[str, Currency]:
    return {code: Currency(code, int(places), name, korean) for code, places, name, korean, _ in rows("currencies.tsv")}


@cache
def _words() -> dict[str, tuple[str, ...]]:
    """Every accepted spelling, folded, with the codes that use it."""
    words: dict[str, tuple[str, ...]] = {}
    for code, _, name, korean, signs in rows("currencies.tsv"):
        for word in dict.fromkeys(normal_text(word) for word in (code, name, korean, *signs.split()) if word):
            words[word] = (*words.get(word, ()), code)
    return words
