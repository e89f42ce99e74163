"""Wanted lines and quoted lines from files."""

import csv
import io
import os
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pmarket.errors import BadInput
from p2pmarket.limits import DOCUMENT_LINES
from p2pmarket.pricelist import QuoteLineRow, RequestLineRow, read_price_list, read_quote_lines, read_request_lines
from p2pmarket.pricelist.wanted import check_gtin

SAMPLE = Path(__file__).parent / "data" / "online_retail_sample.csv"


def test_real_order_lines_as_a_request() -> None:
    read = read_request_lines(SAMPLE.read_bytes())
    assert read.rows[0] == RequestLineRow(
        2, Decimal(6), "EA", "WHITE HANGING HEART T-LIGHT HOLDER", (("seller", "85123A"),)
    )
    returns = [problem for problem in read.problems if "return" in problem.problem]
    assert len(returns) >= 3
    assert {problem.column for problem in read.problems} == {"Quantity"}
    assert len(read.rows) + len(read.problems) == len(SAMPLE.read_text().splitlines()) - 1


def test_all_columns() -> None:
    text = (
        "sku,ean,mpn,our code,description,qty,unit\n"
        'A1,4006381333931,M-2,B3,Pen,"1,200",box\n,,,,Flour,20 kg,\n,,,,쌀,3포대,\nA2,,,,,5,\n'
    )
    read = read_request_lines(text.encode())
    assert read.problems == ()
    codes = (("seller", "A1"), ("gtin", "4006381333931"), ("mpn", "M-2"), ("buyer", "B3"))
    assert read.rows == (
        RequestLineRow(2, Decimal(1200), "XBX", "Pen", codes),
        RequestLineRow(3, Decimal(20), "KGM", "Flour", ()),
        RequestLineRow(4, Decimal(3), "XSA", "쌀", ()),
        RequestLineRow(5, Decimal(5), "EA", "A2", (("seller", "A2"),)),
    )


def test_every_bad_cell_is_listed() -> None:
    text = (
        "code,gtin,text,quantity,unit\n8.5E+3,1,Pen,0,qq\n,,,1,\nA,,Pen,,\nB,,Pen,-2,\nC,,Pen,2 kg,box\nD,,Pen,1,,x\n"
    )
    read = read_request_lines(text.encode())
    assert read.rows == ()
    assert [(problem.row, problem.column) for problem in read.problems] == [
        (2, "code"), (2, "gtin"), (2, "quantity"), (2, "unit"), (3, "text"), (4, "quantity"), (5, "quantity"),
        (6, "unit"), (7, "columns"),
    ]  # fmt: skip
    assert all(problem.hint for problem in read.problems)
    with pytest.raises(BadInput, match="6 of 6 rows"):
        read.check()


@pytest.mark.parametrize(
    ("text", "message"), [("code,text\nA,Pen\n", "quantity"), ("quantity\n1\n", "description or code"), ("", "empty")]
)
def test_files_that_do_not_fit(text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        read_request_lines(text.encode())


def test_limit_of_lines() -> None:
    assert len(read_request_lines(b"code,quantity\n" + b"a,1\n" * DOCUMENT_LINES).rows) == DOCUMENT_LINES
    with pytest.raises(BadInput, match="1,001 lines"):
        read_request_lines(b"code,quantity\n" + b"a,1\n" * (DOCUMENT_LINES + 1))


def test_mapping_wins() -> None:
    read = read_request_lines(b"quantity,Bestellt,Was\n9,2,Pen\n", {"quantity": "bestellt", "description": "was"})
    assert [(row.quantity, row.text) for row in read.rows] == [(Decimal(2), "Pen")]


@pytest.mark.parametrize("text", ["4006381333931", "40063813 33931", "96385074", "036000291452", "10012345678902"])
def test_good_gtins(text: str) -> None:
    assert check_gtin(text) == text.replace(" ", "")


@pytest.mark.parametrize("text", ["4006381333932", "123", "4.00638E+12", "４００６３８１３３３９３１", ""])
def test_bad_gtins(text: str) -> None:
    with pytest.raises(BadInput):
        check_gtin(text)


def test_quoted_lines() -> None:
    read = read_quote_lines("line;price;quantity;text\n1;2,50 €;;\n3;1.234,5;2,5;instead of red: blue\n".encode())
    assert read.problems == ()
    assert read.rows == (
        QuoteLineRow(2, 1, Decimal("2.5"), "EUR", None, None),
        QuoteLineRow(3, 3, Decimal("1234.5"), None, Decimal("2.5"), "instead of red: blue"),
    )
    assert read_quote_lines(b"no,unit price\n1,0\n", {}, "EUR").rows[0].currency == "EUR"


def test_bad_quoted_lines() -> None:
    read = read_quote_lines(b"line,price,quantity\n0,1,\n1,x,\n2,-1,\n3,1,0\n,1,\n4,,\n5,1,\n5,2,\n1001,1,\n")
    assert [(problem.row, problem.column) for problem in read.problems] == [
        (2, "line"), (3, "price"), (4, "price"), (5, "quantity"), (6, "line"), (7, "price"), (9, "line"), (10, "line"),
    ]  # fmt: skip
    assert [row.line for row in read.rows] == [5]


cells = st.text(max_size=10) | st.sampled_from(["1", "20 kg", "-1", "0", "8.51E+04", "4006381333931", "box"])


@given(st.lists(st.lists(cells, min_size=5, max_size=5), max_size=4))
def test_any_cells_give_rows_or_problems(table: list[list[str]]) -> None:
    file = io.StringIO()
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows([["code", "gtin", "line", "quantity", "price"], *table])
    data = file.getvalue().encode("utf-8", "replace")
    for read in (read_request_lines, read_quote_lines):
        try:
            result = read(data)
        except BadInput:
            assert b"\0" in data
            continue
        assert not {row.row for row in result.rows} & {problem.row for problem in result.problems}


@pytest.mark.skipif("P2PMARKET_RETAIL_CSV" not in os.environ, reason="set P2PMARKET_RETAIL_CSV to the whole file")
def test_the_whole_real_file() -> None:
    """4,546 order lines of December 2010, invoice by invoice as requests, all of them as one price list."""
    data = Path(os.environ["P2PMARKET_RETAIL_CSV"]).read_bytes()
    prices = read_price_list(data, {}, "GBP")
    table = list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    assert (len(prices.rows), prices.problems) == (len(table), ())
    for invoice in sorted({row["InvoiceNo"] for row in table}):
        lines = [row for row in table if row["InvoiceNo"] == invoice]
        file = io.StringIO()
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
        read = read_request_lines(file.getvalue().encode())
        wanted = [Decimal(row["Quantity"]) for row in lines if int(row["Quantity"]) > 0]
        assert [row.quantity for row in read.rows] == wanted
        assert len(read.problems) == len(lines) - len(wanted)
