"""Whatever is changed in an offer, the result is an error that says why, or a document that its receiver takes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trade_world import REQUEST_KEY, WALL, a_request, a_sheet, asked, moment, some_terms

from p2pmarket.api.types.bodies import NewCharge
from p2pmarket.api.types.bodies_talk import RevisedLine, Revision
from p2pmarket.errors import BadInput, LimitReached
from p2pmarket.market.revising import as_answer, revised_sheet, revised_terms
from p2pmarket.trade import check
from p2pmarket.trade.fulfilling import make_counter
from p2pmarket.trade.money import make_sheet, priced_line
from p2pmarket.trade.thread.contract import fitted
from p2pmarket.trade.values import Instalment, PaymentTerms, QuoteLineDetails

NUMBERS = st.integers(1, 4)
PRICES = st.sampled_from(["0", "1", "12.345", "0.000000001", "99999999999999", "-1", "2 EUR", "2 USD", "two", ""])
QUANTITIES = st.sampled_from(["0", "1", "20", "20 kg", "39", "40", "0.5", "7 pcs", "1e5", "-3", "much"])
LINES = st.lists(
    st.builds(
        RevisedLine,
        no=NUMBERS,
        price=st.none() | PRICES,
        quantity=st.none() | QUANTITIES,
        text=st.none() | st.just("other words"),
    ),
    max_size=3,
)
CHARGES = st.lists(
    st.builds(NewCharge, kind=st.sampled_from(["delivery", "service", "discount", "other"]), amount=PRICES), max_size=2
)
REVISIONS = st.builds(
    Revision,
    lines=LINES,
    drop=st.lists(NUMBERS, max_size=2),
    total=st.none() | PRICES,
    charges=CHARGES,
    divisible=st.none() | st.booleans(),
    delivery_days=st.none() | st.integers(0, 3650),
    incoterm=st.none() | st.sampled_from(["DAP", "exw", "NIX"]),
    payment_terms=st.none() | st.just("net 30"),
)


@settings(max_examples=120, deadline=None)
@given(revision=REVISIONS, instalments=st.booleans())
def test_an_error_or_a_document_that_is_taken(revision: Revision, instalments: bool) -> None:
    world, terms = asked().quoted(), some_terms()
    assert world.quote is not None
    if instalments:
        half = a_sheet().total // 2
        parts = tuple(Instalment(amount=part, stage="on_delivery") for part in (half, a_sheet().total - half))
        terms = msgspec.structs.replace(terms, payment=PaymentTerms(stage="instalments", instalments=parts))
    try:
        sheet = revised_sheet(a_sheet(), world.thread.asked, revision)
        changed = fitted(revised_terms(terms, revision), sheet.total)
    except (BadInput, LimitReached):
        return
    opened = make_counter(
        world.thread,
        REQUEST_KEY,
        moment(WALL + 90),
        world.quote.hash,
        sheet=sheet,
        terms=changed,
        valid_until=WALL + 999,
    )
    check.check(world.thread, opened, WALL + 100)


def revised(**changes: Any) -> Any:
    return revised_sheet(a_sheet(), a_request(), Revision(**changes))


def test_a_charge_of_a_line_goes_with_it_and_one_replaces_all_of_its_kind() -> None:
    assert [charge.kind for charge in revised(drop=[1]).charges] == ["delivery"]
    replaced = revised(charges=[NewCharge(kind="delivery", amount="5")])
    assert [(one.kind, one.amount, one.tax_rate) for one in replaced.charges] == [
        ("discount", -100, "7"),
        ("delivery", 500, "19"),  # taxed as the one before
    ]
    assert [one.kind for one in revised(charges=[NewCharge(kind="delivery", amount="0")]).charges] == ["discount"]


def test_a_price_is_for_as_much_as_it_was() -> None:
    line = revised(lines=[RevisedLine(no=2, price="50")]).lines[1]
    assert (line.per, line.quantity, line.amount) == ("100", "40", 2000)


def test_bounds_above_a_smaller_quantity_go() -> None:
    line = priced_line(
        1, request_line=1, quantity="20", unit="KGM", text="a", price="1", exponent=2,
        details=QuoteLineDetails(least="5", step="10", days=3),
    )  # fmt: skip
    sheet = make_sheet("EUR", 2, [line])
    smaller = revised_sheet(sheet, a_request(), Revision(lines=[RevisedLine(no=1, quantity="7")])).lines[0]
    assert smaller.details == QuoteLineDetails(least="5", days=3)
    assert smaller.request_line is None
    back = as_answer(msgspec.structs.replace(smaller, quantity="20"), a_request())
    assert back.request_line == 1


def test_what_is_scaled_goes_with_the_quantity_and_not_with_the_price() -> None:
    def discounts(sheet: Any, **changes: Any) -> list[int]:
        new = revised_sheet(sheet, a_request(), Revision(**changes))
        return [charge.amount for charge in new.charges if charge.kind == "discount"]

    lines = [priced_line(no, quantity="20", unit="KGM", text="a", price="5", exponent=2) for no in (1, 2)]
    sheet = revised_sheet(make_sheet("EUR", 2, lines), a_request(), Revision(total="160"))
    assert discounts(sheet) == [-4000]
    assert discounts(sheet, lines=[RevisedLine(no=1, price="4")]) == [-4000]
    assert discounts(sheet, lines=[RevisedLine(no=1, quantity="10")]) == [-3000]
    assert discounts(sheet, lines=[RevisedLine(no=1, quantity="30", price="9")]) == [-5000]
    assert discounts(sheet, drop=[2]) == [-2000]
    assert discounts(a_sheet(), lines=[RevisedLine(no=1, quantity="10")]) == [-50]  # that of a line, with it


@pytest.mark.parametrize("total", ["250", "250.00 EUR", "€250"])
def test_the_total_is_exact_whatever_the_taxes(total: str) -> None:
    sheet = revised(total=total)
    assert sheet.total == 25_000
    again = revised_sheet(sheet, a_request(), Revision(total="260"))
    assert (again.total, len(again.charges)) == (26_000, len(sheet.charges))
