"""One choke point between what peers write and what a terminal obeys.

Rules. Whatever comes from a peer, from a file or from the network passes `safe` (one line) or `safe_lines` (free text)
before it is printed for people. A control character is shown in caret notation (`^[` for ESC, `M-^[` for its C1 twin),
what reorders or hides text is shown as its code point (`U+202E`), a letter carries three combining marks at most, and
a width is counted in terminal cells, so that no text can move the cursor, break a table or pass for other text. The
result is a plain string; rich gets it as `Text`, never as markup. JSON output has its own rule, see `output`.

Method: neutralise at one point instead of at each print (kubectl, CVE-2021-25743, is what happens otherwise); the set
of invisible characters is Unicode's Default_Ignorable_Code_Point (UAX #44) plus the blank ones.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

# No text of the protocol is longer; more would only make the normal form slow to compute.
LONGEST = 20_000
MARKS = 3  # Vietnamese and Thai need two, pointed Hebrew three
ELLIPSIS = "…"
DOTTED_CIRCLE = "\u25cc"  # carries a mark that has no letter, as Unicode's own charts do

# Neither letters nor format characters (category Cf), and yet nothing is seen of them.
_BLANK = frozenset(
    [
        *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2065, 0x2800, 0x3164, 0xFFA0),
        *range(0x180B, 0x1810),  # Mongolian selectors
        *range(0xFE00, 0xFE10),  # variation selectors: terminals disagree about the width after them
        *range(0xFFF0, 0xFFFC),
        *range(0x1F1E6, 0x1F200),  # flags: pairs of letters in some terminals, one sign in others
        *range(0x1F3FB, 0x1F400),  # skin tones: joined to what is before in some terminals only
        *range(0xE0000, 0xE1000),
    ]
)
# Format characters, line separators, surrogates, private use and unassigned.
_SHOWN_AS_NUMBER = frozenset({"Cf", "Zl", "Zp", "Cs", "Co", "Cn"})


def safe(text: object, width: int | None = None) -> str:
    """One line of `text` that a terminal shows and does not obey, at most `width` cells wide.

    Line breaks are shown (`^J`); use `safe_lines` where they may stand. A text cut ends in an ellipsis.
    """
    line = _neutral(str(text))
    return line if width is None else cut(line, width)


def safe_lines(text: object, width: int | None = None, *, most: int = 200) -> list[str]:
    """Free text as at most `most` safe lines; only `\\n` and `\\r\\n` break a line."""
    lines = str(text).replace("\r\n", "\n").split("\n")
    shown = [safe(line, width) for line in lines[:most]]
    return shown if len(lines) <= most else [*shown, f"{ELLIPSIS} {len(lines) - most} more lines"]


def cut(line: str, width: int) -> str:
    """`line` (already safe) cut to `width` cells, the last of them an ellipsis where something is missing."""
    if line.isascii():
        fits = len(line) <= width
        return line if fits else (line[: width - 1] + ELLIPSIS if width > 0 else "")
    if cells(line) <= width:
        return line
    if width <= 0:
        return ""
    used = 0
    for at, char in enumerate(line):
        used += _width(char)
        if used > width - 1:
            return line[:at] + ELLIPSIS
    return line


def cells(line: str) -> int:
    """How many terminal cells a safe line takes."""
    return len(line) if line.isascii() else sum(map(_width, line))


def _neutral(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text if len(text) <= LONGEST else text[:LONGEST] + ELLIPSIS
    shortened = text if len(text) <= LONGEST else text[:LONGEST] + ELLIPSIS
    out: list[str] = []
    marks, has_base = 0, False
    for char in _normal(shortened):
        shown = _shown(char)
        if shown is not None:
            out.append(shown)
            marks, has_base = 0, False
        elif not _joins(char):
            out.append(char)
            marks, has_base = 0, not char.isspace()
        elif marks < MARKS:
            out.append(char if has_base else DOTTED_CIRCLE + char)
            marks, has_base = marks + 1, True
    # Leaving out a mark can bring two others together that have a composed form.
    return unicodedata.normalize("NFC", "".join(out))


def _normal(text: str) -> str:
    """NFC without its worst case: sorting one endless run of marks takes quadratic time, so such runs are cut first."""
    kept: list[str] = []
    run = 0
    for char in text:
        run = run + 1 if unicodedata.combining(char) else 0
        if run <= 32:
            kept.append(char)
    return unicodedata.normalize("NFC", "".join(kept))


@lru_cache(maxsize=4096)
def _shown(char: str) -> str | None:
    """What stands for a character that may not be printed; None for one that may."""
    code = ord(char)
    if code < 0x20 or code == 0x7F:
        return "^" + chr(code ^ 0x40)
    if 0x80 <= code < 0xA0:
        return "M-^" + chr((code - 0x80) ^ 0x40)
    if code in _BLANK or unicodedata.category(char) in _SHOWN_AS_NUMBER:
        return f"U+{code:04X}"
    return None


@lru_cache(maxsize=4096)
def _joins(char: str) -> bool:
    """Whether it is drawn on the character before: a mark, or anything else that takes no cell of its own."""
    return unicodedata.category(char)[0] == "M" or _width(char) == 0


@lru_cache(maxsize=4096)
def _width(char: str) -> int:
    """Cells of one character, by the table the tables are laid out with."""
    if char.isascii():
        return 1
    from rich.cells import get_character_cell_size

    return get_character_cell_size(char)
