"""What is traded: `cpv:` and 8 digits (EU Common Procurement Vocabulary 2008), or a free path such as `coffee/roasted`.

Rules: a category has one written form, so that buyer and seller meet under the same topic. A free path is in any
language: folded (NFKC, casefold, NFKC), runs of space, `-` and `_` one space, segments joined by `/`, at most 4 levels
and 120 characters; unassigned, private and control characters are refused, for their folding could change with a
later Unicode. Digits alone are meant as CPV, so no path begins with a level of digits. A code's check digit and
existence are verified where a person types it; for what others announce `is_category` asks the form only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from p2pmarket.errors import BadInput
from p2pmarket.limits import CATEGORY_CHARS, CATEGORY_LEVELS
from p2pmarket.vocab.decimals import shown
from p2pmarket.vocab.tables import table
from p2pmarket.vocab.texts import fold, unprintable

CPV: Final = "cpv:"
_CODE: Final = re.compile(r"cpv:[0-9]{8}")
_DIGITS: Final = re.compile(r"(?P<prefix>cpv ?:? ?)?(?P<code>[0-9]{8})([- ](?P<check>[0-9]))?")
_LIKE_CPV: Final = re.compile(r"cpv ?:.*|cpv ?[0-9].*|[0-9][0-9 .-]*")
_SPACES: Final = re.compile(r"[\s_-]+")


@dataclass(frozen=True, slots=True)
class Category:
    """A category's code and, for CPV, its English label."""

    code: str
    label: str | None = None


def parse_category(text: str, *, near: bool = True) -> Category:
    """What a person types to the category meant: `15861000`, `15861000-1`, `cpv:15861000`, `Coffee / Roasted`.

    Raises BadInput; for an unknown code the hint names the nearest known ones, unless `near` is False (it is slow).
    """
    folded = " ".join(_folded(text).split())
    match = _DIGITS.fullmatch(folded)
    if match:
        return _cpv(match["code"], match["check"], near)
    return Category(_path(folded, text, near))


def is_category(code: str) -> bool:
    """Whether it is a category in its one written form; an unknown CPV code passes, tables may differ by version."""
    if code.startswith(CPV):
        return _CODE.fullmatch(code) is not None and code[4:6] != "00"
    try:
        return parse_category(code).code == code
    except BadInput:
        return False


def ancestors(code: str) -> list[str]:
    """Wider categories, nearest first: a path loses its last segment, a CPV code digits down to its division (2)."""
    if not code.startswith(CPV):
        parts = code.split("/")
        return ["/".join(parts[:count]) for count in range(len(parts) - 1, 0, -1)]
    digits = code[len(CPV) :]
    wider = [digits[:count].ljust(8, "0") for count in range(7, 1, -1)]
    return [CPV + parent for parent in dict.fromkeys(wider) if parent != digits]


def label_of(code: str) -> str | None:
    """English label of a CPV code; None for free paths and unknown codes."""
    found = _entry(code[len(CPV) :]) if _CODE.fullmatch(code) else None
    return found[1] if found else None


def _folded(text: str) -> str:
    if len(text) > 4 * CATEGORY_CHARS:
        raise BadInput("The category is too long", hint=f"At most {CATEGORY_CHARS} characters")
    char = unprintable("".join(" " if char.isspace() else char for char in text))
    if char:
        raise BadInput(
            f"The category holds the character {char}", hint="Use letters, digits and signs that are printed"
        )
    return fold(text)


def _path(folded: str, text: str, near: bool) -> str:
    segments = [_SPACES.sub(" ", segment).strip() for segment in folded.strip().strip("/").split("/")]
    if not all(segments):
        raise BadInput(f"{shown(text)} has an empty level", hint="Write levels such as coffee/roasted")
    if len(segments) > CATEGORY_LEVELS:
        raise BadInput(f"{shown(text)} has {len(segments)} levels", hint=f"At most {CATEGORY_LEVELS}")
    if _LIKE_CPV.fullmatch(segments[0]):
        digits = "".join(char for char in segments[0] if char in "0123456789")[:8]
        raise BadInput(
            f"{shown(text)} is not a CPV code", hint=f"A code has 8 digits. {_nearest_hint(digits if near else '')}"
        )
    if ":" in segments[0]:
        raise BadInput(f"{shown(text)} has a colon", hint="A colon belongs to code systems such as cpv:15861000")
    path = "/".join(segments)
    if len(path) > CATEGORY_CHARS:
        raise BadInput(f"The category has {len(path)} characters", hint=f"At most {CATEGORY_CHARS}")
    return path


def _cpv(digits: str, check: str | None, near: bool) -> Category:
    found = _entry(digits)
    if found is None:
        raise BadInput(f"There is no CPV code {digits}", hint=_nearest_hint(digits if near else ""))
    known_check, label = found
    if check is not None and check != known_check:
        raise BadInput(
            f"Check digit {check} does not belong to CPV code {digits}",
            hint=f"{digits}-{known_check} is {label!r}; compare the digits",
        )
    return Category(CPV + digits, label)


def _entry(digits: str) -> tuple[str, str] | None:
    """Check digit and label of 8 digits, by halving the table's text (sorted, one code a line)."""
    text = table("cpv.tsv")
    low, high = 0, len(text)
    while low < high:
        start = text.rfind("\n", low, (low + high) // 2) + 1 or low
        end = text.index("\n", start)
        if text.startswith(digits, start):
            code, label = text[start:end].split("\t")
            return code[-1], label
        if text[start : start + 8] < digits:
            low = end + 1
        else:
            high = start
    return None


def _nearest_hint(digits: str) -> str:
    """Known codes that share the longest beginning with the digits."""
    for count in range(len(digits), 1, -1):
        found = re.findall(rf"(?m)^{digits[:count]}.*$", table("cpv.tsv"))[:3]
        if found:
            named = "; ".join(line.replace("\t", " ") for line in found)
            return f"Nearest: {named}. Search with: market categories WORD"
    return "Search with: market categories WORD"
