"""Lines of requests: what is quantity, what unit, what belongs to the thing."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pmarket.errors import BadInput
from p2pmarket.limits import LINE_TEXT_CHARS
from p2pmarket.vocab.lines import check_quantity, describe, normal_text, parse_line, parse_quantity
from p2pmarket.vocab.units import is_unit


@pytest.mark.parametrize(
    ("text", "value", "unit", "rest"),
    [
        ("20 kg Yirgacheffe", "20", "KGM", "Yirgacheffe"),
        ("20kg flour", "20", "KGM", "flour"),
        ("40 chairs", "40", "EA", "chairs"),
        ("40개 의자", "40", "EA", "의자"),
        ("의자 40개", "40", "EA", "의자"),
        ("커피 원두 20kg", "20", "KGM", "커피 원두"),
        ("1,000 pcs bolts", "1000", "EA", "bolts"),
        ("2 boxes of pens", "2", "XBX", "pens"),
        ("1.5 m rope", "1.5", "MTR", "rope"),
        ("5 L paint", "5", "LTR", "paint"),
        ("2 x 500 ml water", "2", "EA", "500 ml water"),
        ("3 × lamp", "3", "EA", "lamp"),
        ("500 A4 paper", "500", "EA", "A4 paper"),
        ("10 KGM salt", "10", "KGM", "salt"),
        ("12 sq m carpet", "12", "MTK", "carpet"),
        ("３ 박스 사과", "3", "XBX", "사과"),
        ("  7   red \n lamps ", "7", "EA", "red lamps"),
    ],
)
def test_quantities(text: str, value: str, unit: str, rest: str) -> None:
    line = parse_line(text)
    assert (line.value, line.unit, line.text, line.assumed) == (Decimal(value), unit, rest, False)


@pytest.mark.parametrize(
    "text",
    [
        "lamp",
        "24V supply",
        "24 V supply",
        "10 mm bolts",
        "3D printer",
        "4x4 tyres",
        "7-Zip disks",
        "1/2 inch pipe",
        "5G router",
    ],
)
def test_numbers_that_belong_to_the_thing(text: str) -> None:
    line = parse_line(text)
    assert (line.value, line.unit, line.text, line.assumed) == (Decimal(1), "EA", text, True)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "what is wanted"),
        ("0 chairs", "above zero"),
        ("-5 chairs", "above zero"),
        ("20 kg", "text"),
        ("40", "text"),
        ("1,5 kg flour", "decimal point"),
        ("bell \x07", "control"),
        ("\ud800 lamp", "control"),
        ("0.0000000001 kg gold", "after the point"),
        ("의자 0개", "above zero"),
        ("20 kilogramm Yirgacheffe", "Did you mean kg? Write 20 kg Yirgacheffe"),
        ("20kilogramms flour", "Did you mean kg?"),
        ("20 gramm saffron", "Did you mean g?"),
        ("5 mettres rope", "Did you mean m?"),
        ("4 tonnen sand", "if it is a name: 4 pcs tonnen sand"),
        ("1e99 kg X", "Write the number out"),
        ("2.5E+3 kg X", "Write the number out"),
        ("1'000 kg X", "Write the number out"),
        ("99999999999999999999 kg X", "At most 18 digits"),
    ],
)
def test_refused_with_a_hint(text: str, hint: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_line(text)
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize("text", ["zorks X", "pears", "pairing knives", "toys", "cards", "rounds X", "winches"])
def test_a_word_that_may_be_goods_is_no_misspelt_unit(text: str) -> None:
    line = parse_line(f"20 {text}")
    assert (line.value, line.unit, line.text) == (Decimal(20), "EA", text)


def test_limit_of_characters() -> None:
    assert parse_line("b" * LINE_TEXT_CHARS).text
    with pytest.raises(BadInput):
        parse_line("b" * (LINE_TEXT_CHARS + 1))


def test_reading_back() -> None:
    assert describe(parse_line("20kg flour")) == "20 kg of flour"
    assert describe(parse_line("lamp")) == "1 pcs of lamp (no quantity given)"
    assert describe(parse_line("0.50 box eggs")) == "0.5 box of eggs"


def test_quantity_with_and_without_unit() -> None:
    assert parse_quantity("20") == (Decimal(20), None)
    assert parse_quantity("20 kg") == (Decimal(20), "KGM")
    assert parse_quantity("40개") == (Decimal(40), "EA")
    assert parse_quantity("1,5 kg", comma=True) == (Decimal("1.5"), "KGM")
    assert parse_quantity("-2") == (Decimal(-2), None)
    for text in ("kg", "", "20 qqqq", "8.51E+04", "twenty"):
        with pytest.raises(BadInput):
            parse_quantity(text)
    with pytest.raises(BadInput):
        check_quantity(Decimal(0))


def test_texts_match_whatever_their_case_spaces_and_width() -> None:
    assert normal_text(" White  HANGING\tHeart ") == normal_text("white hanging heart")
    assert normal_text("ＣＡＦÉ") == normal_text("cafe\u0301")


typed = st.text() | st.text("0123456789.,- xkg개박스의자 lmV%of").map(lambda text: text)


@given(typed)
def test_only_bad_input_comes_out(text: str) -> None:
    assert normal_text(normal_text(text)) == normal_text(text)
    try:
        line = parse_line(text)
    except BadInput:
        return
    assert line.value > 0
    assert line.text
    assert is_unit(line.unit)
    assert describe(line)


@given(
    st.integers(1, 10**6),
    st.sampled_from(["kg", "pcs", "box", "l", "개", "m"]),
    st.sampled_from(["oak boards", "의자"]),
)
def test_written_lines_read_back(count: int, unit: str, text: str) -> None:
    line = parse_line(f"{count} {unit} {text}")
    assert (line.value, line.text) == (Decimal(count), text)
    assert line == parse_line(f"{count:,}{unit} {text}")
