"""Categories: the one form of codes and paths, ancestors, check digits, refusals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pmarket.errors import BadInput
from p2pmarket.limits import CATEGORY_CHARS, CATEGORY_LEVELS
from p2pmarket.vocab.categories import ancestors, is_category, label_of, parse_category
from p2pmarket.vocab.tables import rows


@pytest.mark.parametrize(
    "text", ["cpv:15861000", "15861000", "15861000-1", "CPV: 15861000", "cpv 15861000-1", "cpv15861000"]
)
def test_spellings_of_a_cpv_code(text: str) -> None:
    category = parse_category(text)
    assert (category.code, category.label) == ("cpv:15861000", "Coffee")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("coffee/roasted", "coffee/roasted"),
        (" Coffee / Roasted ", "coffee/roasted"),
        ("Garden--Tools/hand_saws", "garden tools/hand saws"),
        ("ＣＯＦＦＥＥ", "coffee"),
        ("Straße", "strasse"),
        ("커피/원두", "커피/원두"),
        ("커피".encode().decode(), "커피"),
        ("cof\u00adfee", "coffee"),
        ("a\tb", "a b"),
        ("/coffee/", "coffee"),
    ],
)
def test_one_form_of_paths(text: str, code: str) -> None:
    assert parse_category(text).code == code
    assert parse_category(text).label is None


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("15861001", "15861000-1 Coffee"),
        ("cpv:02345678", "market categories"),
        ("15861000-2", "15861000-1"),
        ("1586", "15860000-4"),
        ("cpv:1586", "8 digits"),
        ("15861000/roasted", "8 digits"),
        ("unspsc:50201706", "colon"),
        ("", "coffee/roasted"),
        ("a//b", "coffee/roasted"),
        ("a\x00b", "printed"),
        ("a\ue000b", "printed"),
        ("a\u0378b", "printed"),  # never assigned
        ("\ud800", "printed"),
        ("x" * 10_000, "characters"),
    ],
)
def test_refused_with_a_hint(text: str, hint: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_category(text)
    assert hint in str(caught.value.hint)


def test_limits_of_levels_and_characters() -> None:
    assert parse_category("/".join("a" * CATEGORY_LEVELS)).code
    assert parse_category("b" * CATEGORY_CHARS).code
    for text in ("/".join("a" * (CATEGORY_LEVELS + 1)), "b" * (CATEGORY_CHARS + 1)):
        with pytest.raises(BadInput):
            parse_category(text)


@pytest.mark.parametrize(
    ("code", "wider"),
    [
        ("cpv:15861100", ["cpv:15861000", "cpv:15860000", "cpv:15800000", "cpv:15000000"]),
        ("cpv:15000000", []),
        ("cpv:30000000", []),
        ("cpv:30121000", ["cpv:30120000", "cpv:30100000", "cpv:30000000"]),
        ("a/b/c", ["a/b", "a"]),
        ("a", []),
    ],
)
def test_ancestors(code: str, wider: list[str]) -> None:
    assert ancestors(code) == wider


def test_every_carried_code_is_known_with_its_check_digit() -> None:
    table = list(rows("cpv.tsv"))
    assert len(table) == 9458
    assert table == sorted(table)
    for code, label in table[::97]:
        assert parse_category(code).label == label
        wrong = f"{code[:8]}-{(int(code[-1]) + 1) % 10}"
        with pytest.raises(BadInput):
            parse_category(wrong)


def test_form_of_what_others_announce() -> None:
    assert is_category("cpv:15999999")  # a later table may have it
    assert is_category("coffee/roasted")
    for code in (
        "cpv:1586100",
        "cpv:00000000",
        "Coffee",
        "coffee ",
        "a--b",
        "15861000",
        "",
        "a/b/c/d/e",
        "cpv:１５８６１０００",
    ):
        assert not is_category(code)
    assert label_of("cpv:15999999") is None


@given(st.text() | st.text("abC- _/:커피0123456789ﬁ\u0345ß\u200d"))
def test_form_is_stable_and_only_bad_input_comes_out(text: str) -> None:
    is_category(text)
    try:
        code = parse_category(text).code
    except BadInput:
        return
    assert parse_category(code).code == code
    assert is_category(code)
    assert all(is_category(wider) for wider in ancestors(code))
