"""No text of a peer may steer a terminal, break a table or pass for another text."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from p2pmarket_cli.safe import LONGEST, MARKS, cells, cut, safe, safe_lines
from rich.cells import cell_len

ANY = st.text(alphabet=st.characters(codec=None, categories=None))
# Mostly the dangerous ones, so that runs of them occur.
HOSTILE = st.text(
    alphabet=st.sampled_from(
        "a é한\u1112\u1161\u11ab\x1b\x9b\x07\x7f\r\n\t\u202e\u2066\u200b\u200d\ufe0f\u0301\u0300\u0323🇰🙂字"
    )
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text", "plain text"),
        ("\x1b[31mred\x1b[0m", "^[[31mred^[[0m"),
        ("\x9b2J", "M-^[2J"),
        ("a\nb\r\tc\x7f\0", "a^Jb^M^Ic^?^@"),
        ("invoice\u202egpj.exe", "invoiceU+202Egpj.exe"),
        ("pay\u200bpal", "payU+200Bpal"),
        ("\u3164name", "U+3164name"),
        ("e\u0301", "é"),
        ("\u0301x", "\u25cc\u0301x"),
        ("\ud800", "U+D800"),
        ("\U000e0041", "U+E0041"),
        ("\u2028\u2029", "U+2028U+2029"),
        ("[bold]no markup[/bold]", "[bold]no markup[/bold]"),
        ("커피 원두 20킬로", "커피 원두 20킬로"),
        ("한", "한"),
    ],
)
def test_what_is_shown(text: str, shown: str) -> None:
    assert safe(text) == shown


@given(ANY | HOSTILE)
def test_nothing_that_steers_remains(text: str) -> None:
    for char in safe(text):
        assert unicodedata.category(char) not in {"Cc", "Cf", "Zl", "Zp", "Cs", "Co", "Cn"}


@given(ANY | HOSTILE)
def test_at_most_three_marks_on_a_letter(text: str) -> None:
    run = 0
    for char in safe(text):
        run = run + 1 if unicodedata.category(char)[0] == "M" or cell_len(char) == 0 else 0
        assert run <= MARKS


@given(ANY | HOSTILE)
def test_normal_and_stable(text: str) -> None:
    once = safe(text)
    assert unicodedata.is_normalized("NFC", once)
    assert safe(once) == once


@given(ANY | HOSTILE, st.integers(0, 60))
def test_never_wider_than_asked(text: str, width: int) -> None:
    line = safe(text, width)
    assert cell_len(line) == cells(line) <= width
    if cells(safe(text)) <= width:
        assert line == safe(text)
    elif width > 0:
        assert line.endswith("…")


@given(st.text(alphabet="abc 한é", max_size=30))
def test_ordinary_text_is_untouched(text: str) -> None:
    assert safe(text) == unicodedata.normalize("NFC", text)


def test_wide_characters_count_double() -> None:
    assert cut("한글입니다", 5) == "한글…"
    assert cut("한글입니다", 4) == "한…"
    assert cut("abc", 3) == "abc"
    assert cut("abcd", 3) == "ab…"


def test_long_text_is_cut_and_quick() -> None:
    assert len(safe("a" * LONGEST)) == LONGEST
    assert safe("a" * (LONGEST + 1)) == "a" * LONGEST + "…"
    assert len(safe("a" + "\u0301\u0323" * 500_000)) <= 8


def test_lines() -> None:
    assert safe_lines("one\ntwo\r\nthree\x1b") == ["one", "two", "three^["]
    assert safe_lines("a\n" * 5, most=3) == ["a", "a", "a", "… 3 more lines"]
