"""Sums, against exact fractions and against sums done by hand."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trade_world import a_sheet, some_terms

from p2pmarket import limits
from p2pmarket.errors import BadInput, LimitReached, Refusal
from p2pmarket.trade.money import (
    check_totals,
    choice_problem,
    decimal_text,
    fraction,
    line_amount,
    make_sheet,
    order_totals,
    priced_line,
    round_half_even,
    totals,
    whole,
)
from p2pmarket.trade.values import Charge, OrderLine, QuoteLine, QuoteLineDetails, Sheet

decimals = st.builds(lambda m, s: decimal_text(Fraction(m, 10**s)), st.integers(1, 10**9), st.integers(0, 9))
rates = st.sampled_from([None, "0", "5.5", "7", "19", "20"])


@pytest.mark.parametrize(
    ("price", "quantity", "per", "exponent", "amount"),
    [
        ("2.55", "6", "1", 2, 1530),
        ("0.125", "1", "1", 2, 12),  # half to even
        ("0.135", "1", "1", 2, 14),
        ("0.375", "1", "1", 2, 38),
        ("99.99", "40", "100", 2, 4000),
        ("1000", "3", "1", 0, 3000),
        ("0.5", "1", "1", 0, 0),
        ("1.5", "1", "1", 0, 2),
        ("0.000000001", "1000000000", "1", 3, 1000),
        ("10", "1", "3", 2, 333),
    ],
)
def test_line_amounts(price: str, quantity: str, per: str, exponent: int, amount: int) -> None:
    assert line_amount(price, quantity, per, exponent) == amount


def test_a_base_in_another_unit() -> None:
    assert line_amount("1.20", "20", "100", 2, Fraction(1000)) == 24000  # 1.20 for 100 g, 20 kg


@given(decimals, decimals, decimals, st.integers(0, 4))
def test_a_line_is_rounded_once_half_to_even(price: str, quantity: str, per: str, exponent: int) -> None:
    exact = fraction(price) * fraction(quantity) / fraction(per) * 10**exponent
    assert line_amount(price, quantity, per, exponent) == round(exact)


@given(st.integers(-(10**12), 10**12), st.integers(1, 10**6))
def test_rounding_is_that_of_decimal(numerator: int, denominator: int) -> None:
    assert round_half_even(numerator, denominator) == round(Fraction(numerator, denominator))
    halves = Decimal(numerator) / 2
    assert round_half_even(numerator, 2) == int(halves.to_integral_value(ROUND_HALF_EVEN))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (Decimal("2.50"), "2.5"),
        (Decimal("1E+3"), "1000"),
        (Fraction(1, 8), "0.125"),
        (Decimal("1E-9"), "0.000000001"),
    ],
)
def test_decimals_as_text(value: Decimal | Fraction | int, text: str) -> None:
    assert decimal_text(value) == text
    assert fraction(text) == Fraction(value)


@pytest.mark.parametrize("value", [Fraction(1, 3), Decimal("1E-10"), -1, 10**15])
def test_what_has_no_text(value: Decimal | Fraction | int) -> None:
    with pytest.raises(BadInput):
        decimal_text(value)


def test_the_totals_of_a_sheet_by_hand() -> None:
    sheet = a_sheet()
    # 20 x 12.345 = 246.90; 40 x 99.99 / 100 = 40.00; delivery 9.90; discount -1.00
    assert sheet.goods == 24690 + 4000
    assert [(tax.rate, tax.base, tax.amount) for tax in sheet.taxes] == [("7", 24590, 1721), ("19", 4990, 948)]
    assert sheet.tax == 2669
    assert sheet.total == 28690 + 890 + 2669


def test_tax_within_the_prices() -> None:
    sums = totals([("19", 11900), (None, 100)], [("7", 107)], tax_included=True)
    assert [(tax.rate, tax.amount) for tax in sums.taxes] == [("7", 7), ("19", 1900)]
    assert (sums.tax, sums.total) == (1907, 12107)


lines = st.lists(st.tuples(decimals, decimals, decimals, rates), min_size=1, max_size=8)
charge_lists = st.lists(st.tuples(st.integers(0, 10**6), rates, st.booleans(), st.booleans()), max_size=4)


def sheet_of(
    drawn: list[tuple[str, str, str, str | None]], charges: list[tuple[int, str | None, bool, bool]], *, included: bool
) -> Sheet:
    priced = [
        priced_line(n, request_line=n, quantity=quantity, unit="KGM", text="x", price=price, per=per, exponent=2, tax_rate=rate)  # noqa: E501
        for n, (price, quantity, per, rate) in enumerate(drawn, 1)
    ]  # fmt: skip
    extras = [
        Charge(kind="other", amount=amount, tax_rate=rate, scaled=scaled, line=1 if bound else None)
        for amount, rate, scaled, bound in charges
    ]
    return make_sheet("EUR", 2, priced, extras, tax_included=included)


small = st.lists(st.tuples(*[st.sampled_from(["1", "2.5", "10", "0.125", "7"])] * 3, rates), min_size=1, max_size=8)


@given(small, charge_lists, st.booleans())
def test_what_is_made_adds_up_and_a_whole_order_costs_the_total(
    drawn: list[tuple[str, str, str, str | None]], charges: list[tuple[int, str | None, bool, bool]], included: bool
) -> None:
    sheet = sheet_of(drawn, charges, included=included)
    check_totals(sheet)
    chosen = whole(sheet)
    assert choice_problem(sheet, some_terms(divisible=False), chosen) is None
    sums = order_totals(sheet, chosen[::-1])
    assert (sums.goods, sums.taxes, sums.total) == (sheet.goods, sheet.taxes, sheet.total)
    if not included:
        assert sheet.total == sheet.goods + sum(c.amount for c in sheet.charges) + sheet.tax


@given(small, charge_lists, st.booleans(), st.data())
def test_one_amount_changed_does_not_add_up(
    drawn: list[tuple[str, str, str, str | None]],
    charges: list[tuple[int, str | None, bool, bool]],
    included: bool,
    data: st.DataObject,
) -> None:
    sheet = sheet_of(drawn, charges, included=included)
    field = data.draw(st.sampled_from(["goods", "tax", "total", "exponent"]))
    wrong = getattr(sheet, field) + data.draw(st.sampled_from([1, 2]))
    if field == "exponent" and sheet.goods == 0:
        return
    with pytest.raises(Refusal):
        check_totals(msgspec.structs.replace(sheet, **{field: wrong}))


def test_amounts_at_the_limit_and_over() -> None:
    def sheet(price: int) -> Sheet:
        line = priced_line(1, quantity="1", unit="EA", text="x", price=str(price), exponent=2)
        return make_sheet("EUR", 2, [line])

    assert sheet(limits.AMOUNT // 100).total == limits.AMOUNT
    with pytest.raises(LimitReached):
        sheet(limits.AMOUNT // 100 + 1)


# Partial orders


def order(*chosen: tuple[int, str]) -> tuple[OrderLine, ...]:
    return tuple(OrderLine(no=no, quantity=quantity) for no, quantity in chosen)


def test_a_partial_order_by_hand() -> None:
    sums = order_totals(a_sheet(), order((1, "7.5")))
    # 7.5 x 12.345 = 92.59; delivery whole 9.90; discount 7.5/20 of 1.00 = 0.38 (half to even)
    assert sums.goods == 9259
    assert sums.charges == 990 - 38
    assert [(tax.rate, tax.base, tax.amount) for tax in sums.taxes] == [("7", 9221, 645), ("19", 990, 188)]
    assert sums.total == 9259 + 952 + 833


def test_a_charge_of_a_line_is_paid_with_that_line_only() -> None:
    sums = order_totals(a_sheet(), order((2, "10")))
    assert (sums.goods, sums.charges) == (1000, 990)
    scaled = msgspec.structs.replace(a_sheet(), charges=(Charge(kind="delivery", amount=1000, scaled=True),))
    assert order_totals(scaled, order((2, "40"))).charges == round(Fraction(1000 * 4000, 28690))
    fixed = msgspec.structs.replace(a_sheet(), charges=(Charge(kind="service", amount=500, line=1),))
    assert order_totals(fixed, order((1, "1"))).charges == 500
    assert order_totals(fixed, order((2, "1"))).charges == 0


def bounded(line: QuoteLine, *, least: str | None = None, step: str | None = None) -> Sheet:
    return msgspec.structs.replace(
        a_sheet(),
        lines=(msgspec.structs.replace(line, details=QuoteLineDetails(least=least, step=step)), a_sheet().lines[1]),
    )


@pytest.mark.parametrize(
    ("chosen", "problem"),
    [
        (order((1, "20"), (2, "40")), None),
        (order((1, "0.5")), None),
        (order((2, "39")), None),
        (order((2, "0.5")), "multiple of 1"),
        (order((1, "20.1")), "at most 20"),
        (order((1, "0")), "above 0"),
        (order((3, "1")), "no line 3"),
        (order((1, "1"), (1, "2")), "named once"),
        (order(), "at least one"),
    ],
)
def test_choices(chosen: tuple[OrderLine, ...], problem: str | None) -> None:
    found = choice_problem(a_sheet(), some_terms(), chosen)
    assert (found is None) if problem is None else problem in (found or "")


def test_least_quantity_and_step() -> None:
    line = a_sheet().lines[0]
    assert choice_problem(bounded(line, least="5"), some_terms(), order((1, "5"))) is None
    assert "at least 5" in (choice_problem(bounded(line, least="5"), some_terms(), order((1, "4.9"))) or "")
    assert choice_problem(bounded(line, step="2.5"), some_terms(), order((1, "7.5"))) is None
    assert "multiple of 2.5" in (choice_problem(bounded(line, step="2.5"), some_terms(), order((1, "8"))) or "")
    assert choice_problem(bounded(line, step="3"), some_terms(), order((1, "20"))) is None  # the whole line always


def test_what_is_not_divisible_is_ordered_whole() -> None:
    terms = some_terms(divisible=False)
    assert choice_problem(a_sheet(), terms, whole(a_sheet())) is None
    assert "whole" in (choice_problem(a_sheet(), terms, order((1, "20"))) or "")
    assert "whole" in (choice_problem(a_sheet(), terms, order((1, "20"), (2, "39"))) or "")
