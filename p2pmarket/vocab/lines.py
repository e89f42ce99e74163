"""One wanted line as people type it: `20 kg Yirgacheffe`, `40 chairs`, `20kg flour`, `40개 의자`, `의자 40개`.

Rules: a leading number is the quantity, a unit directly behind it the unit, the rest the text. A number that belongs to
the thing is left in the text (`24V supply`, `10 mm bolts`, `3D printer`, `4x4 tyres`): then one piece is wanted, and
`assumed` says so. In Korean the quantity may stand at the end. A word that is no unit is a name: `20 zorks`. What is
surely neither is refused: a measure misspelt (`20 kilogramm`), a number with an exponent. What was understood is always
read back (`describe`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from p2pmarket.errors import BadInput
from p2pmarket.limits import LINE_TEXT_CHARS
from p2pmarket.vocab.decimals import decimal_text, parse_decimal, shown
from p2pmarket.vocab.texts import normal_text as normal_text
from p2pmarket.vocab.texts import one_line, unprintable
from p2pmarket.vocab.units import EACH, find_counted, is_symbol, misspelt_measure, parse_unit, unit_label

_LEADING: Final = re.compile(r"(?P<number>[+-]?\d[\d.,]*)(?P<gap> ?)(?P<rest>.*)")
_TRAILING: Final = re.compile(r"(?P<text>.*\S) (?P<number>\d[\d.,]*) ?(?P<unit>[^\W\d_]+)")
_QUANTITY: Final = re.compile(r"(?P<number>[+-]?\d[\d.,]*) ?(?P<unit>[^\d\s.,+-].*)")
_TIMES: Final = re.compile(r"[x×*] +(?P<text>\D.*|\d.*)")
_NO_NUMBER: Final = re.compile(r"[+-]?\d[\d.,]*(e[+-]?\d+|(['’_]\d{3})+)(?=[\s.,]|$)", re.IGNORECASE)
_SIZES: Final = frozenset({"MMT", "CMT", "INH", "P1"})  # describe a thing, hardly ever how much of it is wanted
_HANGUL: Final = re.compile("[가-힣]")


@dataclass(frozen=True, slots=True)
class ParsedLine:
    """What one line asks for; `assumed` when no quantity was written and one piece is meant."""

    value: Decimal
    unit: str
    text: str
    assumed: bool = False


def parse_line(text: str) -> ParsedLine:
    """Understand one line of a request; raises BadInput (zero or negative quantity, no text, too long)."""
    clean = line_text(text)
    return _leading(clean) or _trailing(clean) or ParsedLine(Decimal(1), EACH, clean, assumed=True)


def line_text(text: str) -> str:
    """The text of a line, tidied; raises BadInput if it is empty, too long or has control characters."""
    clean = one_line(text)
    if not clean:
        raise BadInput("The line is empty", hint="Say what is wanted: 20 kg coffee")
    if len(clean) > LINE_TEXT_CHARS:
        raise BadInput(f"The line has {len(clean)} characters", hint=f"At most {LINE_TEXT_CHARS}")
    if char := unprintable(clean):
        raise BadInput(f"The line holds the character {char}", hint="Remove control characters")
    return clean


def check_quantity(value: Decimal) -> Decimal:
    """The value itself if one can ask for that much; raises BadInput for zero and less."""
    if value <= 0:
        raise BadInput(f"Quantity {decimal_text(value)} cannot be asked for", hint="Write a quantity above zero")
    return value


def parse_quantity(text: str, *, comma: bool = False, near: bool = True) -> tuple[Decimal, str | None]:
    """A number with or without unit (`20`, `20 kg`, `40개`) to value and unit code; raises BadInput.

    The sign is not judged here: `check_quantity` does that. `comma` as in `parse_decimal`, `near` as in `parse_unit`.
    """
    match = _QUANTITY.fullmatch(one_line(text))
    if not match:
        return parse_decimal(text, comma=comma), None
    return parse_decimal(match["number"], comma=comma), parse_unit(match["unit"], near=near)


def describe(line: ParsedLine) -> str:
    """Read a line back: `20 kg of Yirgacheffe`, `40 pcs of chairs`, `1 pcs of lamp (no quantity given)`."""
    note = " (no quantity given)" if line.assumed else ""
    return f"{decimal_text(line.value)} {unit_label(line.unit)} of {line.text}{note}"


def _leading(clean: str) -> ParsedLine | None:
    match = _LEADING.fullmatch(clean)
    if not match:
        return None
    _refuse_misspelt(clean, match["number"], match["rest"])
    unit, text = _unit_and_text(match["rest"], glued=not match["gap"])
    if unit is None:
        return None
    value = check_quantity(parse_decimal(match["number"].rstrip(".,")))
    if not text:
        raise BadInput(f"{shown(clean)} does not say of what", hint="Add the text: 20 kg coffee")
    return ParsedLine(value, unit, text)


def _refuse_misspelt(clean: str, number: str, rest: str) -> None:
    """Raise BadInput for what looks like a quantity and cannot be read as one."""
    if odd := _NO_NUMBER.match(clean):
        raise BadInput(f"{shown(odd[0])} is not a number", hint="Write the number out: 1000 kg flour, 1,000 kg flour")
    word, _, text = rest.removeprefix("of ").partition(" ")
    meant = misspelt_measure(word) if text else None  # a word alone is what is wanted
    if meant is not None:
        unit = unit_label(meant)
        hint = f"Did you mean {unit}? Write {number} {unit} {text}; if it is a name: {number} pcs {word} {text}"
        raise BadInput(f"Unknown unit {shown(word)}", hint=hint)


def _unit_and_text(rest: str, *, glued: bool) -> tuple[str | None, str]:
    """The unit (None: the number belongs to the thing) and the text behind a leading number."""
    times = _TIMES.fullmatch(rest)
    if times:
        return EACH, times["text"]
    for words in (2, 1):
        parts = rest.split(" ")
        unit = find_counted(" ".join(parts[:words])) if len(parts) >= words else None
        if unit in _SIZES:
            return None, rest
        if unit is not None:
            text = " ".join(parts[words:])
            return unit, text.removeprefix("of ").removeprefix("의 ")
    if glued and rest:
        return None, rest
    # `24 V supply` is one supply: the symbol of a unit that nothing is counted in describes the thing.
    return (None if is_symbol(rest.split(" ")[0]) else EACH), rest


def _trailing(clean: str) -> ParsedLine | None:
    """`의자 40개`: in Korean the quantity follows."""
    match = _TRAILING.fullmatch(clean)
    if not match or not _HANGUL.search(clean):
        return None
    unit = find_counted(match["unit"])
    if unit is None or unit in _SIZES:
        return None
    return ParsedLine(check_quantity(parse_decimal(match["number"])), unit, match["text"])
