"""Exact numbers: decimals of people and files, and the form they have in documents.

Rules: no float anywhere. A number has at most 18 digits, at most 9 of them after the point. `1,234.50` is read (groups
of exactly three); a decimal comma only where the caller says that commas are decimal (a file with `;` between its
columns). No exponents: `8.51E+04` is what a spreadsheet made of something else, and nobody knows of what. In
documents a number is `Decimal9`: mantissa and scale, least scale, so equal numbers have equal bytes.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from p2pmarket.errors import BadInput
from p2pmarket.limits import DECIMAL_DIGITS, DECIMAL_PLACES

SPREADSHEET_HINT: Final = "A spreadsheet rewrote this: format the column as text and enter the original again"
_POINT: Final = re.compile(r"[+-]?(\d+|\d{1,3}(,\d{3})+)(\.\d+)?")
_COMMA: Final = re.compile(r"[+-]?(\d+|\d{1,3}(\.\d{3})+)(,\d+)?")
_SCIENTIFIC: Final = re.compile(r"[+-]?\d+([.,]\d+)?e[+-]\d+", re.IGNORECASE)
_SPREADSHEET_ERROR: Final = re.compile(r"#(ref|n/a|value|name|num|null|div/0|spill)[!?]?|#{3,}", re.IGNORECASE)


@dataclass(frozen=True, slots=True, order=False)
class Decimal9:
    """`mantissa` / 10**`scale`, 0 <= scale <= 9, least scale that is exact."""

    mantissa: int
    scale: int

    @classmethod
    def of(cls, value: Decimal) -> Decimal9:
        """The document form of a decimal; raises BadInput if it does not fit."""
        _, digits, exponent = check_decimal(value).as_tuple()
        mantissa = int("".join(map(str, digits))) * (-1 if value < 0 else 1)
        scale = -int(exponent)
        if scale < 0:
            return cls(mantissa * 10**-scale, 0)
        while scale and mantissa % 10 == 0:
            mantissa, scale = mantissa // 10, scale - 1
        return cls(mantissa, scale)

    @property
    def decimal(self) -> Decimal:
        """The same number, exact."""
        return Decimal(self.mantissa).scaleb(-self.scale)

    def __str__(self) -> str:
        return decimal_text(self.decimal)


def parse_decimal(text: str, *, comma: bool = False) -> Decimal:
    """Read a number as people write it; `comma` says that the comma is the decimal sign.

    Full-width digits are read. Raises BadInput with a hint for exponents, doubtful separators and oversize.
    """
    clean = unicodedata.normalize("NFKC", text).strip().replace("\N{MINUS SIGN}", "-")
    refuse_spreadsheet_damage(clean)
    if not clean.isascii() or not (_COMMA if comma else _POINT).fullmatch(clean):
        raise BadInput(f"{shown(text)} is not a number", hint=_number_hint(clean, comma))
    plain = clean.replace(".", "").replace(",", ".") if comma else clean.replace(",", "")
    if len(plain) > 4 * DECIMAL_DIGITS:
        raise BadInput(f"{shown(text)} has too many digits", hint=_SIZE_HINT)
    return check_decimal(Decimal(plain))


_SIZE_HINT: Final = f"At most {DECIMAL_DIGITS} digits, {DECIMAL_PLACES} of them after the point"


def check_decimal(value: Decimal) -> Decimal:
    """The value itself if it is finite and within 18 digits and 9 places; raises BadInput otherwise."""
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise BadInput(f"{value} is not a number")
    text = "".join(map(str, digits)).lstrip("0")
    significant = text.rstrip("0")
    places = -(exponent + len(text) - len(significant)) if significant else 0
    if len(significant) + max(0, -places) > DECIMAL_DIGITS or places > DECIMAL_PLACES:
        raise BadInput(f"{shown(str(value))} has too many digits", hint=_SIZE_HINT)
    whole = Decimal((sign, tuple(map(int, significant)) or (0,), -places))
    return whole if places >= 0 else Decimal(int(whole))


def decimal_text(value: Decimal) -> str:
    """Plain decimal string, no exponent, no trailing zeros after the point."""
    text = f"{value:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def money_text(minor: int, exponent: int) -> str:
    """An amount in minor units as a decimal string: (1250, 2) is `12.50`, (1000, 0) is `1000`."""
    if exponent == 0:
        return str(minor)
    digits = str(abs(minor)).rjust(exponent + 1, "0")
    return f"{'-' if minor < 0 else ''}{digits[:-exponent]}.{digits[-exponent:]}"


def refuse_spreadsheet_damage(text: str) -> None:
    """Raise BadInput for what spreadsheets leave behind: `8.51E+04`, `#REF!`, `#####`."""
    if _SCIENTIFIC.fullmatch(text) or _SPREADSHEET_ERROR.fullmatch(text):
        raise BadInput(f"{shown(text)} is spreadsheet damage", hint=SPREADSHEET_HINT)


def shown(text: str) -> str:
    """The text in quotes, shortened, for a message."""
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _number_hint(text: str, comma: bool) -> str:
    if not comma and re.fullmatch(r"[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+", text):
        return "Write a decimal point (12.50); a decimal comma is read only in files with ; between the columns"
    if comma and re.fullmatch(r"[+-]?(\d+|\d{1,3}(,\d{3})+)\.\d+", text):
        return "This file has decimal commas; write 12,50 here too"
    if re.fullmatch(r"[+-]?\d+([.,]\d+)?e\d+", text, re.IGNORECASE):
        return "Write the number out, without an exponent"
    if text.casefold().strip("+-") in {"nan", "inf", "infinity", "null", "none"}:
        return "Leave it empty, or write a number such as 12.50"
    return "Write a number such as 12.50 or 1,234.50"
