"""The normal form of short texts: what is compared, never what is shown.

Rules: NFKC, casefold, NFKC (Unicode 15 section 3.13, "compatibility caseless matching"), invisible characters
dropped, runs of white space become one space. The function is idempotent.
"""

from __future__ import annotations

import unicodedata

from p2pmarket.limits import NEAR_WORD_CHARS

VARIATION_SELECTORS = range(0xFE00, 0xFE10)  # how a sign is drawn, not which sign it is


def fold(text: str) -> str:
    """Casefolded compatibility form without invisible characters; white space is left as it is."""
    if text.isascii():
        return text.lower()
    seen = unicodedata.normalize("NFKC", "".join(char for char in text if not invisible(char)))
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", seen.casefold()).casefold())


def invisible(char: str) -> bool:
    """Whether it draws nothing: joiners, soft hyphens, direction marks, variation selectors."""
    return ord(char) in VARIATION_SELECTORS or (char > "\x7f" and unicodedata.category(char) == "Cf")


def normal_text(text: str) -> str:
    """The form in which lines and descriptions are matched: folded, white space collapsed, ends stripped."""
    return " ".join(fold(text).split())


def one_line(text: str) -> str:
    """The text as it is shown and sent: runs of white space (line breaks too) become one space."""
    return " ".join(text.split())


def unprintable(text: str) -> str | None:
    """Name of the first control, surrogate, private or unassigned character (`U+0007`), or None."""
    for char in text:
        if unicodedata.category(char) in {"Cc", "Cs", "Co", "Cn"}:
            return f"U+{ord(char):04X}"
    return None


def edits(word: str, other: str) -> int:
    """How many letters must be put in, left out or replaced to make one word of the other."""
    before = list(range(len(other) + 1))
    for row, letter in enumerate(word, 1):
        line = [row]
        for column, wanted in enumerate(other, 1):
            line.append(min(before[column] + 1, line[-1] + 1, before[column - 1] + (letter != wanted)))
        before = line
    return before[-1]


def close_words(word: str, known: list[str], count: int) -> list[str]:
    """The known words most like a mistyped one, best first."""
    if len(word) > NEAR_WORD_CHARS:
        return []
    from difflib import get_close_matches  # needed only when something was not understood

    return get_close_matches(word, known, n=count, cutoff=0.72)
