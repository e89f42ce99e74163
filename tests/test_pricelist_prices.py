"""Price lists: columns, cells, every bad row and column at once, nothing lost on the way out and in."""

import csv
import io
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pmarket.errors import BadInput
from p2pmarket.limits import CODE_CHARS, LINE_TEXT_CHARS, PRICE_ROWS, URL_CHARS
from p2pmarket.pricelist import PriceRow, RowProblem, read_price_list, write_price_list
from p2pmarket.pricelist.prices import COLUMNS
from p2pmarket.vocab.lines import normal_text

SAMPLE = Path(__file__).parent / "data" / "online_retail_sample.csv"
FULL = (
    "code,description,unit,price,per,currency,stock,min_qty,category,lead_days,tax_rate,url\n"
    'Y-1,Yirgacheffe G1,kg,£12.345,10,GBP,"1,200",5,15861000-1,3,20%,https://example.org/y\n'
)


def test_all_columns() -> None:
    read = read_price_list(FULL.encode())
    assert (read.problems, read.notes, read.ignored) == ((), (), ())
    assert read.rows == (
        PriceRow(
            "Y-1", "Yirgacheffe G1", "KGM", Decimal("12.345"), Decimal(10), "GBP", Decimal(1200), Decimal(5),
            "cpv:15861000", 3, Decimal(20), "https://example.org/y", 2,
        ),
    )  # fmt: skip


def test_few_columns_have_sensible_rest() -> None:
    (row,) = read_price_list(b"description,price\nLamp,2.50\n", {}, "EUR").rows
    assert row == PriceRow("", "Lamp", "EA", Decimal("2.5"), Decimal(1), "EUR", row=2)


@pytest.mark.parametrize(
    ("text", "mapping"),
    [
        ("StockCode,Description,UnitPrice,Currency\nA,Lamp,2.5,GBP\n", {}),
        ("품번;품명;단가;통화\nA;Lamp;2,5;GBP\n", {}),
        ("SKU\tProduct Name\tPrice (£)\nA\tLamp\t2.5\n", {}),
        ("sku,name,list price [GBP]\nA,Lamp,2.5\n", {}),
        ("x,y,Price,Old price (£)\nA,Lamp,9,2.5\n", {"code": "x", "description": "Y", "price": "old PRICE (£)"}),
        ("code,name,price\nA,Lamp,2.5 £\n", {}),
        ("code,name,price\nA,Lamp,GBP 2.5\n", {}),
    ],
)
def test_columns_by_name_synonym_and_mapping(text: str, mapping: dict[str, str]) -> None:
    (row,) = read_price_list(text.encode(), mapping).rows
    assert (row.code, row.description, row.price, row.currency) == ("A", "Lamp", Decimal("2.5"), "GBP")


@pytest.mark.parametrize(
    ("text", "mapping", "message"),
    [
        ("code,description\nA,Lamp\n", {}, "No column for price"),
        ("price\n2\n", {}, "code or description"),
        ("code,price,unit price\nA,1,2\n", {}, "Two columns for price"),
        ("code,price\nA,1\n", {"cost": "price"}, "Unknown field"),
        ("code,price\nA,1\n", {"price": "Cost"}, "no column named"),
        ("code,price,price\nA,1,2\n", {"price": "price"}, "several columns"),
    ],
)
def test_headers_that_do_not_fit(text: str, mapping: dict[str, str], message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        read_price_list(text.encode(), mapping, "EUR")
    assert caught.value.hint


BAD_ROWS = """code,description,unit,price,per,currency,stock,min_qty,category,lead_days,tax_rate,url
8.51E+04,Lamp,pcs,1,,EUR,,,,,,
A,#REF!,pcs,1,,EUR,,,,,,
B,Lamp,pxs,"1,5",0,EUX,-1,0,15861001,1.5,0.2,ftp://x
C,Lamp,pcs,,,EUR,,,,,,
D,Lamp,pcs,-1,,EUR,,,,,,
,,pcs,1,,EUR,,,,,,
E,Lamp,pcs,£1,,EUR,,,,,,
F,Lamp,pcs,1,,,,,,,,
G,Lamp,pcs,1,,EUR,,,,,,,surplus
H,Lamp,pcs,NaN,,EUR,,,,,,
I,good,pcs,1,,EUR,,,,,,
"""


def test_every_bad_row_and_column_is_listed_once() -> None:
    read = read_price_list(BAD_ROWS.encode())
    assert [row.code for row in read.rows] == ["I"]
    found = {(problem.row, problem.column) for problem in read.problems}
    bad_b = {"unit", "price", "per", "currency", "stock", "min_qty", "category", "lead_days", "tax_rate", "url"}
    assert found == {
        (2, "code"), (3, "description"), *((4, column) for column in bad_b), (5, "price"), (6, "price"),
        (7, "description"), (8, "currency"), (9, "currency"), (10, "columns"), (11, "price"),
    }  # fmt: skip
    assert len(read.problems) == len(found)
    assert all(problem.hint for problem in read.problems)


def test_check_refuses_and_carries_all_problems_for_programs() -> None:
    read_price_list(FULL.encode()).check()
    with pytest.raises(BadInput, match="10 of 11 rows") as caught:
        read_price_list(BAD_ROWS.encode()).check()
    problems = caught.value.details["problems"]
    assert isinstance(problems, list)
    assert problems[0] == {
        "row": 2, "column": "code", "problem": "'8.51E+04' is spreadsheet damage",
        "hint": "A spreadsheet rewrote this: format the column as text and enter the original again",
    }  # fmt: skip
    assert len(problems) == 19


def test_zero_prices_and_codes_that_stand_twice_are_noted() -> None:
    read = read_price_list(b"code,description,price\nA,x,0\nB,y,1\nB,z,2\n,q,1\n,q,1\n", {}, "EUR")
    assert not read.problems
    assert [row.needs_person for row in read.rows] == [True, False, False, False, False]
    assert [(note.row, note.column) for note in read.notes] == [(2, "price"), (4, "code")]


@pytest.mark.parametrize(
    ("text", "prices"),
    [
        ("a;price\nx;2,55\ny;1.234,50\n", ["2.55", "1234.5"]),
        ("a;price\nx;2.55\ny;1,234.50\n", ["2.55", "1234.5"]),
        ('a,price\nx,2.55\ny,"1,234.50"\n', ["2.55", "1234.5"]),
        ("a\tprice\nx\t2.55\ny\t1,234.50\n", ["2.55", "1234.5"]),
        ("a;price\nx;€2,55\ny;1,234\n", ["2.55", "1.234"]),
        ("a;price\nx;7\ny;12\n", ["7", "12"]),
    ],
)
def test_decimal_signs(text: str, prices: list[str]) -> None:
    read = read_price_list(text.encode(), {"code": "a"}, "EUR")
    assert [row.price for row in read.rows] == [Decimal(price) for price in prices]


@pytest.mark.parametrize("cell", ["1,234", "1.234", "€1.234", "1,234 €"])
def test_what_can_be_read_two_ways_is_refused(cell: str) -> None:
    read = read_price_list(f"code;price\nx;{cell}\n".encode(), {}, "EUR")
    assert [problem.problem for problem in read.problems] == [f"{cell!r} can be read two ways"]


def test_a_comma_between_commas_separates_thousands() -> None:
    read = read_price_list(b'code,price,stock\nx,"1,234","12,000"\ny,"\xe2\x82\xac1,234",7\n', {}, "EUR")
    assert [row.price for row in read.rows] == [1234, 1234]
    assert [row.stock for row in read.rows] == [12000, 7]
    assert not read.problems


def test_thousands_are_doubtful_beside_decimal_commas() -> None:
    """With --skip-bad only the other row would be left out."""
    read = read_price_list(b'code,price\nx,"1,234"\ny,"2,50"\n', {}, "EUR")
    assert [(one.row, one.column, one.problem) for one in read.problems] == [
        (2, "price", "'1,234' can be read two ways"),
        (3, "price", "'2,50' is not a number"),
    ]
    read = read_price_list(b'code,price\nx,"1,234"\ny,"2,50"\nz,2.50\n', {}, "EUR")  # that shows what a point is
    assert [row.price for row in read.rows] == [1234, Decimal("2.5")]


def test_mixed_decimal_signs_are_refused() -> None:
    read = read_price_list(b"code;price\nx;2,55\ny;2.55\n", {}, "EUR")
    assert [(problem.row, problem.column) for problem in read.problems] == [(3, "price")]
    assert "decimal commas" in str(read.problems[0].hint)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp949"])
def test_korean_list_in_every_encoding(encoding: str) -> None:
    read = read_price_list("품번,품명,단위,단가\nA1,하얀 의자,개,12000원\n".encode(encoding))
    assert read.rows == (PriceRow("A1", "하얀 의자", "EA", Decimal(12000), Decimal(1), "KRW", row=2),)


def test_limits_of_rows() -> None:
    assert len(read_price_list(b"code,price\n" + b"a,1\n" * PRICE_ROWS, {}, "EUR").rows) == PRICE_ROWS
    with pytest.raises(BadInput, match="rows"):
        read_price_list(b"code,price\n" + b"a,1\n" * (PRICE_ROWS + 1), {}, "EUR")


@pytest.mark.parametrize(
    ("column", "limit", "start"),
    [("code", CODE_CHARS, ""), ("description", LINE_TEXT_CHARS, ""), ("url", URL_CHARS, "https://a/")],
)
def test_limits_of_cells(column: str, limit: int, start: str) -> None:
    for surplus in (0, 1):
        cells = {"code": "A", "description": "B", "url": ""} | {column: start + "x" * (limit + surplus - len(start))}
        text = f"code,description,url,price\n{cells['code']},{cells['description']},{cells['url']},1\n"
        read = read_price_list(text.encode(), {}, "EUR")
        assert [problem.column for problem in read.problems] == [column] * surplus


def test_real_order_lines_as_a_price_list() -> None:
    read = read_price_list(SAMPLE.read_bytes(), {}, "GBP")
    assert not read.problems
    assert {row.price for row in read.rows if row.needs_person} == {Decimal(0)}
    assert sum(note.problem.startswith("price is zero") for note in read.notes) == 4
    assert read.rows[0].code == "85123A"
    assert read.rows[0].description == "WHITE HANGING HEART T-LIGHT HOLDER"
    assert "InvoiceNo" in read.ignored
    again = read_price_list(write_price_list(read.rows).encode())
    assert [replace(row, row=0) for row in again.rows] == [replace(row, row=0) for row in read.rows]


def test_unreadable_dates_and_codes_of_spreadsheets() -> None:
    read = read_price_list(b"code,description,price\n1.00E+12,x,1\n84029E,x,1\n1E5,x,1\n#N/A,x,1\n", {}, "EUR")
    assert [problem.row for problem in read.problems] == [2, 5]


words = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=20)
codes = words.filter(lambda text: not read_price_list(csv_of([text]), {}, "EUR").problems)
texts = st.lists(words, min_size=1, max_size=4).map(" ".join).filter(lambda text: not text.startswith("#"))
amounts = st.decimals(0, 10**9, places=4, allow_nan=False, allow_infinity=False)
counts = st.decimals("0.001", 10**6, places=3, allow_nan=False, allow_infinity=False)
price_rows = st.builds(
    PriceRow,
    codes,
    texts,
    st.sampled_from(["EA", "KGM", "XBX", "LTR", "P1", "M33"]),
    amounts,
    counts,
    st.sampled_from(["EUR", "KRW", "USD", "BHD"]),
    st.none() | counts,
    st.none() | counts,
    st.none() | st.sampled_from(["cpv:15861000", "coffee/roasted", "커피"]),
    st.none() | st.integers(0, 999),
    st.none() | st.decimals(1, 100, places=2, allow_nan=False, allow_infinity=False),
    st.none() | st.just("https://example.org/a?b=c,d"),
)


def csv_of(codes_: list[str]) -> bytes:
    file = io.StringIO()
    csv.writer(file).writerows([["code", "price"], *([code, "1"] for code in codes_)])
    return file.getvalue().encode()


@settings(max_examples=60)
@given(st.lists(price_rows, max_size=5))
def test_written_lists_read_back(rows: list[PriceRow]) -> None:
    read = read_price_list(write_price_list(rows).encode())
    assert read.problems == ()
    assert list(read.rows) == [replace(row, row=number) for number, row in enumerate(rows, start=2)]


cells = st.text(max_size=12) | st.sampled_from(["1", "8.51E+04", "£2", "kg", "1,5", "EUR", "-1", '"', "15861000"])


@given(st.lists(st.lists(cells, min_size=12, max_size=12), max_size=4), st.sampled_from(",;\t"))
def test_any_cells_give_rows_or_problems(table: list[list[str]], delimiter: str) -> None:
    file = io.StringIO()
    csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([COLUMNS, *table])
    try:
        read = read_price_list(file.getvalue().encode("utf-8", "replace"), {}, "EUR")
    except BadInput:
        assert "\0" in file.getvalue()
        return
    bad = {problem.row for problem in read.problems}
    assert not bad & {row.row for row in read.rows}
    assert all(isinstance(problem, RowProblem) for problem in (*read.problems, *read.notes))
    assert all(normal_text(row.description) == normal_text(normal_text(row.description)) for row in read.rows)


@given(st.binary(max_size=300) | st.text('code,price;\t\n"12.5E+#£').map(str.encode))
def test_only_bad_input_comes_out(data: bytes) -> None:
    try:
        read = read_price_list(b"code,description,price\n" + data, {}, "EUR")
    except BadInput:
        return
    assert read.encoding


def test_a_wrong_column_answers_for_every_row() -> None:
    """100,000 cells that are no unit: each is listed, only the first get the slow search for near words."""
    data = b"code,unit,price\n" + b"".join(b"a,lamp no %d,1\n" % number for number in range(PRICE_ROWS))
    read = read_price_list(data, {}, "EUR")
    assert len(read.problems) == PRICE_ROWS
    assert read.rows == ()


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("filling", ["x", "1", " ,", "(", "9."])
def test_endless_cells_are_refused_at_once(column: str, filling: str) -> None:
    """No pattern may take quadratic time: each of these cells has nearly as many characters as a cell may have."""
    values = {"code": "A", "price": "1"} | {column: (filling * 120_000)[:120_000]}
    file = io.StringIO()
    csv.writer(file).writerows([values.keys(), values.values()])
    read = read_price_list(file.getvalue().encode(), {}, "EUR")
    assert [problem.column for problem in read.problems] == [column]


def test_endless_header_is_refused_at_once() -> None:
    with pytest.raises(BadInput, match="No column"):
        read_price_list(b"a" + b" " * 120_000 + b"(x,code\n1,2\n")
