"""Places: countries by ISO 3166-1 alpha-2, their parts by the form of ISO 3166-2, and the whole world.

Rules: a region is `world`, `KR` or `KR-11`. Names are read in English, Korean and the country's own languages, alpha-3
codes too. Parts of a country are accepted by their form (no table of 5,000 subdivisions), the country before the
hyphen must exist. A region covers itself and its parts, `world` covers everything.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from p2pmarket.errors import BadInput
from p2pmarket.vocab.decimals import shown
from p2pmarket.vocab.tables import rows
from p2pmarket.vocab.texts import close_words, normal_text

WORLD: Final = "world"
CODE_CHARS: Final = 2
_WORLD_WORDS: Final = frozenset(
    {"world", "worldwide", "everywhere", "anywhere", "*", "세계", "전세계", "전 세계", "어디나"}
)
_SUBDIVISION: Final = re.compile(r"([a-z]{2})-([a-z0-9]{1,3})")
_CODE: Final = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?")
_GROUPS: Final = frozenset({"eu", "european union", "europe", "asia", "africa", "유럽", "아시아", "eea", "schengen"})


def parse_region(text: str) -> str:
    """A code or a name to its code: `kr`, `Korea`, `대한민국`, `Deutschland`, `KR-11`, `world`; raises BadInput."""
    word = normal_text(text).removeprefix("the ")
    if word in _WORLD_WORDS:
        return WORLD
    names = _names()
    if word in names:
        return names[word]
    part = _SUBDIVISION.fullmatch(word)
    if part and part[1] in names:
        return f"{names[part[1]]}-{part[2].upper()}"
    if word in _GROUPS:
        raise BadInput(f"{shown(text)} is a group of countries", hint="Name the countries one by one, or 'world'")
    # A wrong code says nothing of the right one: any letter changed makes another country.
    close = close_words(word, list(names), 4) if len(word) > CODE_CHARS else []
    near = dict.fromkeys(names[name] for name in close)
    hint = ", ".join(f"{code} ({region_name(code)})" for code in near)
    raise BadInput(
        f"Unknown region {shown(text)}",
        hint=f"Did you mean {hint}?" if near else "Write a country code or name such as KR or Korea, or 'world'",
    )


def is_region(code: str) -> bool:
    """Whether it is a region in its one written form. Asks the form only, so that tables may grow with versions."""
    return code == WORLD or _CODE.fullmatch(code) is not None


def covers(served: str, wanted: str) -> bool:
    """Whether goods wanted in a region can come from one who serves `served` (both are codes)."""
    return served in {WORLD, wanted} or wanted.startswith(f"{served}-")


def country_of(code: str) -> str | None:
    """The country of a region, None for the world."""
    return None if code == WORLD else code[:2]


def region_name(code: str) -> str:
    """English name of the region; of the country with the part in brackets; the code itself if unknown."""
    if code == WORLD:
        return "worldwide"
    for row in rows("regions.tsv"):
        if row[0] == code[:2]:
            return row[1] if len(code) == 2 else f"{row[1]} ({code})"
    return code


@cache
def _names() -> dict[str, str]:
    """Every accepted spelling, folded, to its code. The codes themselves win over any name."""
    names: dict[str, str] = {}
    for code, english, korean, others in rows("regions.tsv"):
        for name in (english, korean, *others.split("|")):
            names.setdefault(normal_text(name), code)
    names.pop("", None)
    return names | {code.casefold(): code for code, *_ in rows("regions.tsv")}
