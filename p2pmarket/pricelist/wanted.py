"""Lines from files: what a buyer wants and what a seller answers (`--file` of `market request` and `market quote`).

Rules: as for price lists, all rows are read and every bad cell is listed. A quantity of zero or less is a problem, so
the returns of a real order file are never asked for by accident. Quantity may carry its unit (`20 kg`). A GTIN is
checked by its check digit (GS1 General Specifications, section 7.9).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from p2pmarket.errors import BadInput
from p2pmarket.limits import DOCUMENT_LINES, PRICE_ROWS
from p2pmarket.pricelist.columns import Cells, RowProblem, find_columns, refuse_problems
from p2pmarket.pricelist.prices import number_reader, number_style, read_code, read_text, refuse_doubtful
from p2pmarket.pricelist.sheet import read_sheet
from p2pmarket.vocab.currencies import parse_price
from p2pmarket.vocab.decimals import decimal_text, shown
from p2pmarket.vocab.lines import check_quantity, parse_quantity
from p2pmarket.vocab.units import EACH, parse_unit

REQUEST_COLUMNS: Final = ("code", "gtin", "mpn", "buyer_code", "description", "quantity", "unit")
QUOTE_COLUMNS: Final = ("line", "price", "quantity", "description")
_SCHEMES: Final = {"code": "seller", "gtin": "gtin", "mpn": "mpn", "buyer_code": "buyer"}


@dataclass(frozen=True, slots=True)
class RequestLineRow:
    """One wanted line; `codes` are (scheme, value) with the schemes gtin, mpn, seller, buyer."""

    row: int
    quantity: Decimal
    unit: str
    text: str
    codes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class RequestLines:
    """Good rows and all problems of a file of wanted lines."""

    rows: tuple[RequestLineRow, ...]
    problems: tuple[RowProblem, ...]
    ignored: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise BadInput that lists every problem, if there is one."""
        refuse_problems(self.problems, len(self.rows))


@dataclass(frozen=True, slots=True)
class QuoteLineRow:
    """The price of one line of a request; `currency` if known, `quantity` and `text` where they differ from it."""

    row: int
    line: int
    price: Decimal
    currency: str | None
    quantity: Decimal | None
    text: str | None


@dataclass(frozen=True, slots=True)
class QuoteLines:
    """Good rows and all problems of a file of quoted lines."""

    rows: tuple[QuoteLineRow, ...]
    problems: tuple[RowProblem, ...]
    ignored: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise BadInput that lists every problem, if there is one."""
        refuse_problems(self.problems, len(self.rows))


def read_request_lines(data: bytes, mapping: Mapping[str, str] | None = None) -> RequestLines:
    """Read wanted lines; raises BadInput if the file cannot be read, or has more good rows than a request has lines."""
    sheet = read_sheet(data, PRICE_ROWS)
    columns = find_columns(sheet.header, REQUEST_COLUMNS, ("quantity",), mapping or {})
    if not {"description", *_SCHEMES} & columns.places.keys():
        raise BadInput("No column for description or code", hint="Say which it is: --map description=COLUMN")
    comma = number_style(sheet, columns, ("quantity",))
    problems: list[RowProblem] = []
    rows = [_wanted(Cells(number, texts, columns, problems), comma) for number, texts in sheet.records]
    good = tuple(row for row in rows if row is not None)
    if len(good) > DOCUMENT_LINES:
        raise BadInput(f"{len(good):,} lines in one request", hint=f"At most {DOCUMENT_LINES:,}; split the file")
    return RequestLines(good, tuple(problems), columns.ignored)


def unread_columns(data: bytes, mapping: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The headings of a file of wanted lines that say nothing about a line; raises BadInput as `read_request_lines`."""
    return find_columns(read_sheet(data, PRICE_ROWS).header, REQUEST_COLUMNS, ("quantity",), mapping or {}).ignored


def read_quote_lines(
    data: bytes, mapping: Mapping[str, str] | None = None, default_currency: str | None = None
) -> QuoteLines:
    """Read quoted lines (`line,price[,quantity,text]`); raises BadInput if the file cannot be read."""
    sheet = read_sheet(data, DOCUMENT_LINES)
    columns = find_columns(sheet.header, QUOTE_COLUMNS, ("line", "price"), mapping or {})
    comma = number_style(sheet, columns, ("price", "quantity"))
    problems: list[RowProblem] = []
    rows: dict[int, QuoteLineRow] = {}
    for number, texts in sheet.records:
        cells = Cells(number, texts, columns, problems)
        row = _quoted(cells, comma, columns.currency or default_currency)
        if row is not None and row.line in rows:
            cells.complain("line", f"line {row.line} is also in row {rows[row.line].row}", "Price each line once")
        elif row is not None:
            rows[row.line] = row
    return QuoteLines(tuple(rows.values()), tuple(problems), columns.ignored)


def check_gtin(text: str) -> str:
    """A GTIN-8, -12, -13 or -14 without spaces; raises BadInput for a wrong length or check digit."""
    digits = text.replace(" ", "").replace("-", "")
    read_code(digits)
    if not (digits.isascii() and digits.isdigit() and len(digits) in {8, 12, 13, 14}):
        raise BadInput(f"{shown(text)} is not a GTIN", hint="A GTIN (EAN, UPC) has 8, 12, 13 or 14 digits")
    total = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(reversed(digits)))
    if total % 10:
        raise BadInput(f"The check digit of {shown(text)} is wrong", hint="Compare the digits with the bar code")
    return digits


def _wanted(cells: Cells, comma: bool | None) -> RequestLineRow | None:
    cells.check_width()
    codes = tuple(
        (scheme, code)
        for name, scheme in _SCHEMES.items()
        if (code := cells.read(name, check_gtin if name == "gtin" else read_code))
    )
    text = cells.read("description", read_text) or (codes[0][1] if codes else "")
    if not text and not cells.bad:
        cells.complain("description", "neither description nor code", "Say what is wanted")
    if not cells.text("quantity"):
        cells.complain("quantity", "no quantity", "Write how much is wanted")
    read = cells.read("quantity", lambda cell: _quantity(cell, comma, cells.near))
    stated = cells.read("unit", lambda cell: parse_unit(cell, near=cells.near))
    if cells.bad or read is None:
        return None
    value, written = read
    if stated and written and stated != written:
        cells.complain("unit", f"{stated} here, but {written} with the quantity", "Write one of them")
        return None
    return RequestLineRow(cells.row, value, stated or written or EACH, text, codes)


def _quantity(text: str, comma: bool | None, near: bool) -> tuple[Decimal, str | None]:
    refuse_doubtful(text, comma)
    value, unit = parse_quantity(text, comma=bool(comma), near=near)
    if value < 0:
        raise BadInput(f"quantity {decimal_text(value)} is a return", hint="A return cannot be asked for; leave it out")
    return check_quantity(value), unit


def _quoted(cells: Cells, comma: bool | None, currency: str | None) -> QuoteLineRow | None:
    cells.check_width()
    for name in ("line", "price"):
        if not cells.text(name):
            cells.complain(name, f"no {name}", "Write line and price in every row")
    line = cells.read("line", _line_number)
    price = cells.read("price", lambda text: _price(text, comma, currency, cells.near))
    quantity = cells.read("quantity", lambda text: check_quantity(number_reader(comma)(text)))
    text = cells.read("description", read_text)
    if cells.bad or line is None or price is None:
        return None
    return QuoteLineRow(cells.row, line, *price, quantity, text)


def _price(text: str, comma: bool | None, currency: str | None, near: bool) -> tuple[Decimal, str | None]:
    refuse_doubtful(text, comma)
    price, written = parse_price(text, currency, comma=bool(comma), near=near)
    if price < 0:
        raise BadInput(f"price {decimal_text(price)} is below zero", hint="Write a discount as a charge of the quote")
    return price, written


def _line_number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and 1 <= int(text) <= DOCUMENT_LINES):
        raise BadInput(f"{shown(text)} is no line number", hint=f"Lines are counted from 1 to {DOCUMENT_LINES:,}")
    return int(text)
