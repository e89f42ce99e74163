"""Currencies and money: the table, shared signs, exactness."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pmarket.errors import BadInput
from p2pmarket.vocab.currencies import Money, currency_name, exponent, money, parse_currency, parse_money, parse_price
from p2pmarket.vocab.decimals import parse_decimal
from p2pmarket.vocab.tables import rows

CODES = [row[0] for row in rows("currencies.tsv")]


def test_table_is_well_formed() -> None:
    assert len(CODES) == len(set(CODES)) == 155
    for code, places, name, *_ in rows("currencies.tsv"):
        assert len(code) == 3
        assert places in {"0", "2", "3", "4"}
        assert name != code


@pytest.mark.parametrize(("code", "places"), [("EUR", 2), ("KRW", 0), ("JPY", 0), ("BHD", 3), ("ISK", 0), ("HUF", 2)])
def test_exponents(code: str, places: int) -> None:
    assert exponent(code) == places


@pytest.mark.parametrize(
    ("text", "amount", "code"),
    [
        ("12.50 EUR", "12.50", "EUR"),
        ("€12.50", "12.50", "EUR"),
        ("EUR 12.5", "12.50", "EUR"),
        ("₩1,000", "1000", "KRW"),
        ("1000원", "1000", "KRW"),
        ("￦1000", "1000", "KRW"),
        ("£2.55", "2.55", "GBP"),
        ("us$ 5", "5.00", "USD"),
        ("-£3", "-3.00", "GBP"),
        ("£-3", "-3.00", "GBP"),
        ("5 Swiss Franc", "5.00", "CHF"),
    ],
)
def test_money_people_write(text: str, amount: str, code: str) -> None:
    read = parse_money(text)
    assert (read.amount, read.currency) == (amount, code)


@pytest.mark.parametrize("text", ["$5", "¥100", "kr 20", "달러 3"])
def test_shared_signs_ask(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_money(text)
    assert "Write the code" in str(caught.value.hint)


@pytest.mark.parametrize(("text", "default"), [("$5", "CAD"), ("¥100", "JPY"), ("kr 20", "SEK"), ("5", "EUR")])
def test_default_currency_settles(text: str, default: str) -> None:
    assert parse_money(text, default).currency == default


def test_default_currency_that_does_not_use_the_sign_settles_nothing() -> None:
    with pytest.raises(BadInput, match="several"):
        parse_money("$5", "EUR")


@pytest.mark.parametrize(
    "text",
    ["12.505 EUR", "1000.5 KRW", "5", "", "EUR", "5 EUR USD", "5 XXQ", "€5 $", "12,50 EUR", "5-6 EUR", "1e3 EUR"],
)
def test_refused(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_money(text)
    assert caught.value.hint


def test_mistyped_code_is_answered_with_a_near_one() -> None:
    with pytest.raises(BadInput) as caught:
        parse_currency("poundd")
    assert "GBP" in str(caught.value.hint)
    with pytest.raises(BadInput):
        currency_name("QQQ")


def test_unit_price_may_have_more_places_than_the_currency() -> None:
    assert parse_price("£0.0125") == (parse_decimal("0.0125"), "GBP")
    assert parse_price("0,0125 €", comma=True) == (parse_decimal("0.0125"), "EUR")


@pytest.mark.parametrize(
    "text", ["1'234.50", "1 234.50", "1'234.50 EUR", "€1 234", "1_000 EUR", "12 EUR 50", "1\u2019234.50"]
)
def test_a_number_in_pieces_is_no_currency(text: str) -> None:
    with pytest.raises(BadInput, match="is not an amount") as caught:
        parse_price(text, "EUR")
    assert "1,234.50" in str(caught.value.hint)
    with pytest.raises(BadInput) as caught:
        parse_price(text, "EUR", comma=True)
    assert "1.234,50" in str(caught.value.hint)


@given(st.sampled_from(CODES), st.integers(-(10**14), 10**14))
def test_money_reads_back(code: str, minor: int) -> None:
    value = Money(minor, code, exponent(code))
    assert parse_money(str(value)) == value
    assert money(parse_decimal(value.amount), code) == value


@given(st.text() | st.text("0123456789.,-+ €$£₩EURkr원"), st.none() | st.sampled_from(CODES))
def test_only_bad_input_comes_out(text: str, default: str | None) -> None:
    try:
        read = parse_money(text, default)
    except BadInput:
        return
    assert read.currency in CODES
