"""Decimals: what is read, what is refused with which hint, and that nothing but BadInput ever comes out."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pmarket.errors import BadInput
from p2pmarket.limits import DECIMAL_DIGITS, DECIMAL_PLACES
from p2pmarket.vocab.decimals import Decimal9, check_decimal, decimal_text, money_text, parse_decimal

mantissas = st.integers(-(10**DECIMAL_DIGITS) + 1, 10**DECIMAL_DIGITS - 1)
scales = st.integers(0, DECIMAL_PLACES)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12.50", "12.5"),
        ("1,234.50", "1234.5"),
        ("1,234,567", "1234567"),
        (" 7 ", "7"),
        ("-3", "-3"),
        ("−3", "-3"),
        ("１２.５", "12.5"),
        ("007", "7"),
        ("0.000000001", "0.000000001"),
        ("1.00000000000", "1"),
        ("+4", "4"),
    ],
)
def test_numbers_people_write(text: str, value: str) -> None:
    assert parse_decimal(text) == Decimal(value)


@pytest.mark.parametrize(("text", "value"), [("12,50", "12.5"), ("1.234,50", "1234.5"), ("1.234", "1234"), ("7", "7")])
def test_decimal_commas_where_they_are_announced(text: str, value: str) -> None:
    assert parse_decimal(text, comma=True) == Decimal(value)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("8.51E+04", "spreadsheet"),
        ("#REF!", "spreadsheet"),
        ("####", "spreadsheet"),
        ("1e5", "exponent"),
        ("12,50", "decimal point"),
        ("1,23,456", "1,234.50"),
        ("NaN", "empty"),
        ("Infinity", "empty"),
        ("", "12.50"),
        ("1.2.3", "12.50"),
        ("0.0000000001", "after the point"),
        ("1" * 19, "18 digits"),
        ("1" * 500, "18 digits"),
        ("٣", "12.50"),
    ],
)
def test_refused_with_a_hint(text: str, hint: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_decimal(text)
    assert hint in str(caught.value.hint)


def test_limits_of_digits_and_places() -> None:
    assert parse_decimal("9" * DECIMAL_DIGITS) == 10**DECIMAL_DIGITS - 1
    assert parse_decimal("0." + "0" * (DECIMAL_PLACES - 1) + "1") == Decimal(1).scaleb(-DECIMAL_PLACES)
    for text in ("9" * (DECIMAL_DIGITS + 1), "0." + "0" * DECIMAL_PLACES + "1"):
        with pytest.raises(BadInput):
            parse_decimal(text)


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("Infinity"), Decimal("sNaN"), Decimal("1e40")])
def test_values_that_are_no_numbers(value: Decimal) -> None:
    with pytest.raises(BadInput):
        check_decimal(value)


@given(mantissas, scales)
def test_document_form_is_exact_and_least(mantissa: int, scale: int) -> None:
    value = Decimal(mantissa).scaleb(-scale)
    form = Decimal9.of(value)
    assert form.decimal == value
    assert form.scale == 0 or form.mantissa % 10
    assert Decimal9.of(parse_decimal(str(form))) == form
    assert Decimal9.of(form.decimal) == form


@given(mantissas, scales)
def test_text_reads_back(mantissa: int, scale: int) -> None:
    value = Decimal(mantissa).scaleb(-scale)
    assert parse_decimal(decimal_text(value)) == value
    assert parse_decimal(f"{value:,f}") == value
    assert "E" not in decimal_text(value)


@given(st.text() | st.text("0123456789.,-+eE"), st.booleans())
def test_only_bad_input_comes_out(text: str, comma: bool) -> None:
    try:
        value = parse_decimal(text, comma=comma)
    except BadInput:
        return
    assert value == check_decimal(value)


@pytest.mark.parametrize(
    ("minor", "exponent", "text"),
    [(1250, 2, "12.50"), (-5, 2, "-0.05"), (1000, 0, "1000"), (1, 3, "0.001"), (0, 2, "0.00"), (-1250, 2, "-12.50")],
)
def test_money_text(minor: int, exponent: int, text: str) -> None:
    assert money_text(minor, exponent) == text
