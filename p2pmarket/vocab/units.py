"""Units of measure: UN/ECE Recommendation 20, packages of Recommendation 21 with an X in front.

Rules: one written form per unit. The three codes for a single thing (C62 one, H87 piece, EA each) are EA; the package
codes that Recommendation 20 has given up (BX, BG, ...) are read as those of Recommendation 21 (XBX, XBG). Units of one
dimension convert by exact fractions; counted packages never do, for nobody knows what is in the box.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import cache
from typing import Final

from p2pmarket.errors import BadInput
from p2pmarket.limits import NEAR_WORD_CHARS
from p2pmarket.vocab.decimals import shown
from p2pmarket.vocab.tables import rows
from p2pmarket.vocab.texts import close_words, edits, normal_text

EACH: Final = "EA"

_SAME: Final = {
    "C62": EACH, "H87": EACH, "BX": "XBX", "BG": "XBG", "BO": "XBO", "CA": "XCX", "PK": "XPK", "PA": "XPA",
    "RO": "XRO", "RL": "XRL", "JR": "XJR", "CY": "XCY", "CH": "XCN", "AM": "XAM", "VI": "XVI", "Z2": "XCH", "T3": "MIL",
}  # fmt: skip

_POUND: Final = Fraction(45_359_237, 100_000)  # grams, exact by definition (1959)
_FOOT: Final = Fraction(3048, 10)  # millimetres
_US_GALLON: Final = Fraction(3_785_411_784, 1_000_000)  # millilitres
_UK_GALLON: Final = Fraction(454_609, 100)

# Size of each unit in the smallest sensible unit of its dimension.
_DIMENSIONS: Final[tuple[dict[str, Fraction], ...]] = (
    {
        "MGM": Fraction(1, 1000), "GRM": Fraction(1), "KGM": Fraction(1000), "DTN": Fraction(100_000),
        "TNE": Fraction(1_000_000), "LBR": _POUND, "ONZ": _POUND / 16, "STN": _POUND * 2000, "LTN": _POUND * 2240,
    },
    {
        "MLT": Fraction(1), "CMQ": Fraction(1), "CLT": Fraction(10), "DLT": Fraction(100), "LTR": Fraction(1000),
        "DMQ": Fraction(1000), "HLT": Fraction(100_000), "MTQ": Fraction(1_000_000), "GLL": _US_GALLON,
        "GLI": _UK_GALLON, "QT": _US_GALLON / 4, "QTI": _UK_GALLON / 4, "PT": _US_GALLON / 8, "PTI": _UK_GALLON / 8,
        "OZA": _US_GALLON / 128, "OZI": _UK_GALLON / 160,
    },
    {
        "MMT": Fraction(1), "CMT": Fraction(10), "MTR": Fraction(1000), "LM": Fraction(1000),
        "KMT": Fraction(1_000_000), "INH": _FOOT / 12, "FOT": _FOOT, "YRD": _FOOT * 3, "SMI": _FOOT * 5280,
    },
    {
        "MMK": Fraction(1), "CMK": Fraction(100), "DMK": Fraction(10_000), "MTK": Fraction(1_000_000),
        "HAR": Fraction(10**10), "INK": (_FOOT / 12) ** 2, "FTK": _FOOT**2, "YDK": (_FOOT * 3) ** 2,
        "ACR": (_FOOT * 3) ** 2 * 4840,
    },
    {"SEC": Fraction(1), "MIN": Fraction(60), "HUR": Fraction(3600), "DAY": Fraction(86_400), "WEE": Fraction(604_800)},
    {EACH: Fraction(1), "HD": Fraction(6), "DZN": Fraction(12), "GRO": Fraction(144), "MIL": Fraction(1000)},
    {"WHR": Fraction(1), "KWH": Fraction(1000), "MWH": Fraction(1_000_000)},
)  # fmt: skip


def parse_unit(text: str, *, near: bool = True) -> str:
    """What people write (`kg`, `pcs`, `개`, `박스`, `KGM`, `H87`) to the unit's one code.

    Raises BadInput; the hint names the words most like it, unless `near` is False (it is slow).
    """
    code = find_unit(text)
    if code is None:
        words = _words()
        alike = close_words(normal_text(text), list(words), 3) if near else []
        hint = f"Did you mean {', '.join(alike)}?" if alike else "Write a unit such as pcs, kg, l, m, box, 개 or 박스"
        raise BadInput(f"Unknown unit {shown(text)}", hint=hint)
    return code


def find_unit(text: str) -> str | None:
    """As `parse_unit`, None for what is no unit. Codes and symbols count as printed, words in any case."""
    clean = text.strip()
    if clean in _SAME:
        return _SAME[clean]
    if clean in _names():
        return clean
    word = normal_text(clean)
    found = _words().get(word) or _words().get(word.rstrip(".")) or _symbols().get(clean)
    if found is None and word.upper() in _names():
        found = word.upper()
    return None if found is None else _SAME.get(found, found)


def find_counted(text: str) -> str | None:
    """The unit a word stands for where a quantity is typed before a text: words and capital codes only.

    Single letters count in small script only (`3d` may be days, `3D printer` is not), litres excepted.
    """
    clean = text.strip()
    if clean in _SAME or clean in _names():
        return _SAME.get(clean, clean) if len(clean) > 2 or clean == EACH else None
    if len(clean) == 1 and clean.isascii() and clean.isupper() and clean != "L":
        return None
    return _words().get(normal_text(clean)) or _words().get(normal_text(clean).rstrip("."))


def misspelt_measure(text: str) -> str | None:
    """The code of the measure that a word is like and not; None for what may be goods.

    Only long words for weights, volumes, lengths and areas, and from the first letter on: `pears` are no `pairs`,
    `toys` no `tons`, `rounds` no `pounds`. Of a short word a doubled last letter counts: `gramm`.
    """
    word = normal_text(text).rstrip(".")
    if not 5 <= len(word) <= NEAR_WORD_CHARS or find_counted(text) is not None:
        return None
    near = [(edits(word, name), code) for name, code in _measures().items() if _may_mean(word, name)]
    return min(near)[1] if near else None


def _may_mean(word: str, name: str) -> bool:
    if len(name) < 6:
        return word == name + name[-1]
    most = 2 if len(name) >= 8 else 1
    return word[0] == name[0] and abs(len(word) - len(name)) <= most and edits(word, name) <= most


def is_symbol(text: str) -> bool:
    """Whether it is the printed symbol of any unit (`V`, `mA`, `Gbit/s`), even one that several units share."""
    return any(row[2] == text for row in rows("units.tsv") if row[2] not in {"", "1"})


def is_unit(code: str) -> bool:
    """Whether it has the form of a unit code. Asks the form only, so that tables may grow with versions."""
    return re.fullmatch(r"[A-Z0-9]{2,3}", code) is not None and code not in _SAME


def unit_name(code: str) -> str:
    """English name of a unit; the code itself if unknown."""
    return _names().get(code, code)


def unit_label(code: str) -> str:
    """What stands behind a number: `kg`, `pcs`, `box`; the code itself if unknown."""
    for row in rows("unit_aliases.tsv"):
        if row[0] == code:
            return row[1].split("|")[0]
    return next((row[2] or row[1] for row in rows("units.tsv") if row[0] == code), code)


def convertible(unit: str, other: str) -> Fraction | None:
    """How many `other` one `unit` is, exactly; None if they measure different things."""
    unit, other = _SAME.get(unit, unit), _SAME.get(other, other)
    if unit == other:
        return Fraction(1)
    for sizes in _DIMENSIONS:
        if unit in sizes and other in sizes:
            return sizes[unit] / sizes[other]
    return None


@cache
def _names() -> dict[str, str]:
    return {code: name for code, name, _ in rows("units.tsv")}


@cache
def _measures() -> dict[str, str]:
    """Words for weights, volumes, lengths and areas, of four letters or more."""
    codes = set().union(*_DIMENSIONS[:4])
    return {word: code for word, code in _words().items() if code in codes and len(word) >= 4 and word.isalpha()}


@cache
def _symbols() -> dict[str, str]:
    """Symbols as printed; one that two units share belongs to neither."""
    symbols: dict[str, str] = {}
    shared = set()
    for code, _, symbol in rows("units.tsv"):
        if symbol in symbols and _SAME.get(code, code) != _SAME.get(symbols[symbol], symbols[symbol]):
            shared.add(symbol)
        symbols[symbol] = code
    return {symbol: code for symbol, code in symbols.items() if symbol and symbol not in shared and symbol != "1"}


@cache
def _words() -> dict[str, str]:
    words = {normal_text(name): _SAME.get(code, code) for code, name in _names().items()}
    for code, aliases in rows("unit_aliases.tsv"):
        words |= {normal_text(alias): code for alias in aliases.split("|")}
    return words
