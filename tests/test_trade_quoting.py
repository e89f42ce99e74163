"""Automatic quotes: what is certain is quoted, what is doubtful goes to a person, the rest is missing."""

from __future__ import annotations

from decimal import Decimal
from time import perf_counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trade_world import WALL, asked, some_terms

from p2pmarket.pricelist.prices import read_price_list
from p2pmarket.trade.documents import Quote, pack
from p2pmarket.trade.money import check_totals, make_sheet
from p2pmarket.trade.quoting import DETAILED_LINES, Drafted, PriceIndex, quote_from_prices
from p2pmarket.trade.values import Code, RequestLine


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a price list."""

    code: str = ""
    description: str = ""
    unit: str = "EA"
    price: Decimal = Decimal("2.55")
    per: Decimal = Decimal(1)
    currency: str = "GBP"
    stock: Decimal | None = None
    min_qty: Decimal | None = None
    lead_days: int | None = None
    tax_rate: Decimal | None = None
    url: str | None = None


def line(text: str = "anything", *codes: str, no: int = 1, quantity: str = "6", unit: str = "EA") -> RequestLine:
    found = tuple(Code("buyer", code) for code in codes) or None
    return RequestLine(no=no, quantity=quantity, unit=unit, text=text, codes=found)


def draft(rows: list[Price], *lines: RequestLine) -> Drafted:
    return quote_from_prices(lines, PriceIndex(rows), currency="GBP", exponent=2)


LANTERN = Price(code="71053", description="WHITE METAL LANTERN")


def test_a_code_matches_whatever_its_scheme_and_case() -> None:
    drafted = draft([LANTERN, Price(code="85123A")], line("other words", "85123a"))
    assert [(quoted.no, quoted.request_line, quoted.amount) for quoted in drafted.lines] == [(1, 1, 1530)]
    assert drafted.lines[0].code == Code("seller", "85123A")
    assert drafted.lines[0].text == "other words"  # the row has no description
    assert (drafted.missing_lines, drafted.needs_person) == ((), ())


@pytest.mark.parametrize("text", ["White metal lantern", " WHITE  METAL\tLANTERN ", "ＷＨＩＴＥ METAL LANTERN"])
def test_a_text_matches_in_normal_form(text: str) -> None:
    assert draft([LANTERN], line(text)).lines[0].text == "WHITE METAL LANTERN"
    assert draft([LANTERN], line(text, "unknown code")).lines


@pytest.mark.parametrize("text", ["WHITE METAL LANTERNS", "METAL LANTERN", "x"])
def test_nothing_is_guessed(text: str) -> None:
    drafted = draft([LANTERN], line(text, no=7))
    assert (drafted.lines, drafted.missing_lines, drafted.needs_person) == ((), (7,), ())


@pytest.mark.parametrize(
    ("rows", "wanted", "why"),
    [
        ([LANTERN, Price(code="71053")], line("x", "71053"), "code fits several"),
        ([LANTERN, Price(code="a")], line("x", "71053", "a"), "code fits several"),
        ([LANTERN, Price(description="white metal lantern")], line("White Metal Lantern"), "text fits several"),
        ([LANTERN, Price(code="a", description="lamp")], line("lamp", "71053"), "different rows"),
        ([Price(code="a", price=Decimal(0))], line("x", "a"), "zero"),
        ([Price(code="a", currency="EUR")], line("x", "a"), "EUR"),
        ([Price(code="a", stock=Decimal(5))], line("x", "a"), "only 5 in stock"),
        ([Price(code="a", min_qty=Decimal(7))], line("x", "a"), "least quantity, 7"),
        ([Price(code="a", unit="KGM")], line("x", "a"), "per KGM"),
        ([Price(code="a", unit="XBX")], line("x", "a"), "per XBX"),
        ([Price(code="a", unit="LBR", per=Decimal("0.000000001"), price=Decimal("0.000000001"))],
         line("x", "a", unit="KGM"), "cannot be written"),
    ],
)  # fmt: skip
def test_doubts_go_to_a_person(rows: list[Price], wanted: RequestLine, why: str) -> None:
    drafted = draft(rows, wanted)
    assert drafted.lines == ()
    assert drafted.missing_lines == (1,)
    ((no, reason),) = drafted.needs_person
    assert no == 1
    assert why in reason


def test_stock_is_for_all_lines_together() -> None:
    rows = [Price(code="a", stock=Decimal(12))]
    assert len(draft(rows, line("x", "a"), line("y", "a", no=2)).lines) == 2
    drafted = draft(rows, line("x", "a"), line("y", "a", no=2, quantity="7"))
    assert drafted.missing_lines == (1, 2)
    assert len(drafted.needs_person) == 2


@pytest.mark.parametrize(
    ("row", "wanted", "price", "per", "amount"),
    [
        (
            Price(code="a", unit="GRM", per=Decimal(50), price=Decimal(1)),
            line("x", "a", unit="KGM"),
            "1",
            "0.05",
            12000,
        ),
        (Price(code="a", unit="KGM", price=Decimal(12)), line("x", "a", unit="GRM", quantity="500"), "12", "1000", 600),
        (Price(code="a", unit="DZN", price=Decimal(6)), line("x", "a", quantity="18"), "6", "12", 900),
        (Price(code="a", unit="EA", price=Decimal(1)), line("x", "a", unit="C62"), "1", "1", 600),
        (Price(code="a", unit="LBR", price=Decimal(1)), line("x", "a", unit="KGM"), "1", "0.45359237", 1323),
    ],
)
def test_units_convert_exactly(row: Price, wanted: RequestLine, price: str, per: str, amount: int) -> None:
    (quoted,) = draft([row], wanted).lines
    assert (quoted.price, quoted.per, quoted.unit, quoted.amount) == (price, per, wanted.unit, amount)


def test_bounds_and_links_come_along() -> None:
    row = Price(
        code="a", unit="DZN", min_qty=Decimal("0.5"), lead_days=4, tax_rate=Decimal("20.0"), url="https://x.y/a"
    )
    drafted = draft([row, LANTERN], line("x", "a"), line("white metal lantern", no=2))
    first, second = drafted.lines
    assert first.details is not None
    assert (first.details.least, first.details.days, first.details.url) == ("6", 4, "https://x.y/a")
    assert first.tax_rate == "20"
    assert second.details is None
    assert (drafted.days, drafted.divisible) == (4, True)


def test_above_the_limit_of_details_a_quote_is_ordered_whole() -> None:
    rows = [Price(code=str(n), min_qty=Decimal(2), description="WHITE METAL LANTERN", url="https://x.y") for n in range(1000)]  # fmt: skip # noqa: E501
    for count, divisible in ((DETAILED_LINES, True), (DETAILED_LINES + 1, False), (1000, False)):
        wanted = tuple(line("x", str(n), no=n + 1) for n in range(count))
        drafted = draft(rows, *wanted)
        assert (len(drafted.lines), drafted.divisible) == (count, divisible)
        sheet = make_sheet("GBP", 2, drafted.lines)
        quote = Quote(
            nonce=b"n" * 16, issued_at=WALL, request=b"r" * 32, version=1, kind="firm", valid_until=WALL + 1,
            sheet=sheet, terms=some_terms(),
        )  # fmt: skip
        assert pack(quote)


def test_a_partial_quote_names_what_is_missing_and_a_person_adds_it_as_version_two() -> None:
    rows = [Price(description="Yirgacheffe", unit="KGM", currency="EUR"), Price(description="cups", currency="EUR", price=Decimal(0))]  # fmt: skip # noqa: E501
    world = asked()
    drafted = quote_from_prices(world.thread.asked.lines, PriceIndex(rows), currency="EUR", exponent=2)
    assert drafted.missing_lines == (2, 3)
    assert [no for no, _ in drafted.needs_person] == [2]
    first = world.quoted(sheet=make_sheet("EUR", 2, drafted.lines))
    assert first.quote
    assert isinstance(first.quote.document, Quote)
    assert first.quote.document.missing_lines == (2, 3)
    by_hand = msgspec.structs.replace(drafted.lines[0], no=2, request_line=2, quantity="40", unit="EA", amount=10200)
    second = first.quoted(sheet=make_sheet("EUR", 2, [*drafted.lines, by_hand]))
    assert second.quote
    assert isinstance(second.quote.document, Quote)
    assert (second.quote.document.version, second.quote.document.missing_lines) == (2, (3,))


@given(
    st.lists(st.builds(Price, code=st.sampled_from("abc"), price=st.decimals(0, 9, places=3),
                       unit=st.sampled_from(["EA", "DZN", "KGM"]), stock=st.none() | st.decimals(0, 20, places=0)),
             max_size=5),
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 30)), min_size=1, max_size=8),
)  # fmt: skip
def test_every_line_is_quoted_or_missing_and_every_quote_adds_up(
    rows: list[Price], wanted: list[tuple[str, int]]
) -> None:
    lines = [line("x", code, no=n, quantity=str(quantity)) for n, (code, quantity) in enumerate(wanted, 1)]
    drafted = draft(rows, *lines)
    quoted = [each.request_line or 0 for each in drafted.lines]
    assert sorted([*quoted, *drafted.missing_lines]) == [each.no for each in lines]
    assert {no for no, _ in drafted.needs_person} <= set(drafted.missing_lines)
    if drafted.lines:
        check_totals(make_sheet("GBP", 2, drafted.lines))


def test_rows_of_a_price_list_are_understood() -> None:
    data = b"code,description,unit,price,currency,stock\n71053,WHITE METAL LANTERN,pcs,3.39,GBP,10\n"
    rows = read_price_list(data).rows
    drafted = quote_from_prices([line("?", "71053")], PriceIndex(rows), currency="GBP", exponent=2)
    assert [quoted.amount for quoted in drafted.lines] == [2034]


def test_a_long_request_against_a_long_list() -> None:
    """592 lines against 4,000 rows: a figure to read with -s, and all of it right."""
    rows = [Price(code=f"{n}A", description=f"ARTICLE {n}", stock=Decimal(1000)) for n in range(4000)]
    lines = [
        line(f"article {n * 3}" if n % 2 else "?", *([] if n % 2 else [f"{n * 3}a"]), no=n + 1) for n in range(592)
    ]
    started = perf_counter()
    index = PriceIndex(rows)
    indexed = perf_counter()
    drafted = quote_from_prices(lines, index, currency="GBP", exponent=2)
    print(f"index {(indexed - started) * 1000:.1f} ms, draft {(perf_counter() - indexed) * 1000:.1f} ms")
    assert [quoted.code for quoted in drafted.lines] == [Code("seller", f"{n * 3}A") for n in range(592)]
    assert drafted.missing_lines == ()
