"""Units: spellings, one form each, exact conversion."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pmarket.errors import BadInput
from p2pmarket.vocab.tables import rows
from p2pmarket.vocab.units import convertible, find_counted, is_unit, parse_unit, unit_label, unit_name

CODES = sorted({parse_unit(row[0]) for row in rows("units.tsv")})


def test_tables_agree() -> None:
    codes = {row[0] for row in rows("units.tsv")}
    spellings: dict[str, str] = {}
    for code, aliases in rows("unit_aliases.tsv"):
        assert code in codes
        for alias in aliases.split("|"):
            assert spellings.setdefault(alias, code) == code
            assert parse_unit(alias) == code, alias


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("kg", "KGM"),
        ("KGM", "KGM"),
        ("Kilo", "KGM"),
        ("pcs", "EA"),
        ("Pcs.", "EA"),
        ("C62", "EA"),
        ("H87", "EA"),
        ("개", "EA"),
        ("박스", "XBX"),
        ("BX", "XBX"),
        ("boxes", "XBX"),
        ("병", "XBO"),
        ("장", "ST"),
        ("켤레", "PR"),
        ("m²", "MTK"),
        ("L", "LTR"),
        ("㎏", "KGM"),
        ("kgm", "KGM"),
        ("kilowatt hour", "KWH"),
    ],
)
def test_spellings(text: str, code: str) -> None:
    assert parse_unit(text) == code


@pytest.mark.parametrize(("text", "hint"), [("kilogrm", "kilogram"), ("qqqq", "kg"), ("", "kg")])
def test_refused_with_a_hint(text: str, hint: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_unit(text)
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize(
    ("one", "other", "factor"),
    [
        ("KGM", "GRM", Fraction(1000)),
        ("GRM", "KGM", Fraction(1, 1000)),
        ("LTR", "MLT", Fraction(1000)),
        ("C62", "H87", Fraction(1)),
        ("DZN", "EA", Fraction(12)),
        ("LBR", "KGM", Fraction(45359237, 100000000)),
        ("LBR", "ONZ", Fraction(16)),
        ("XBX", "XBX", Fraction(1)),
        ("YRD", "MTR", Fraction(9144, 10000)),
    ],
)
def test_conversions(one: str, other: str, factor: Fraction) -> None:
    assert convertible(one, other) == factor


@pytest.mark.parametrize(("one", "other"), [("KGM", "LTR"), ("XBX", "EA"), ("PR", "EA"), ("XBX", "XCT"), ("QQ", "EA")])
def test_what_does_not_convert(one: str, other: str) -> None:
    assert convertible(one, other) is None


@given(st.sampled_from(CODES), st.sampled_from(CODES), st.sampled_from(CODES))
def test_conversion_is_consistent(one: str, two: str, three: str) -> None:
    there, back = convertible(one, two), convertible(two, one)
    assert (there is None) is (back is None)
    if there is not None and back is not None:
        assert there * back == 1
    onward = convertible(two, three)
    if there is not None and onward is not None:
        assert convertible(one, three) == there * onward


def test_labels() -> None:
    assert (unit_label("KGM"), unit_label("EA"), unit_label("QQ")) == ("kg", "pcs", "QQ")
    assert unit_name("KGM") == "kilogram"
    for code in CODES:
        assert unit_label(code)


@given(st.text(max_size=12))
def test_only_bad_input_comes_out(text: str) -> None:
    find_counted(text)
    try:
        code = parse_unit(text)
    except BadInput:
        return
    assert is_unit(code)
    assert parse_unit(code) == code
