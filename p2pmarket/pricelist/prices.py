"""A seller's price list as a CSV file.

The columns are `code,description,unit,price,per,currency,stock,min_qty,category,lead_days,tax_rate,url`.

Rules: price is needed, and a code or a description; the rest may be missing (unit: each, per: 1, currency: the one
given with the price, in the column's name, or the seller's own). All rows are read and every bad cell is listed; the
caller decides whether good rows may go in without the bad. A zero price and a code that stands twice are no errors,
but a person answers for them: `notes` says which rows.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from p2pmarket.errors import BadInput
from p2pmarket.limits import CODE_CHARS, PRICE_ROWS, URL_CHARS
from p2pmarket.pricelist.columns import Cells, Columns, RowProblem, find_columns, refuse_problems
from p2pmarket.pricelist.sheet import Sheet, decimal_comma, read_sheet
from p2pmarket.vocab.categories import parse_category
from p2pmarket.vocab.currencies import parse_currency, parse_price
from p2pmarket.vocab.decimals import decimal_text, parse_decimal, refuse_spreadsheet_damage, shown
from p2pmarket.vocab.lines import check_quantity, line_text
from p2pmarket.vocab.texts import one_line, unprintable
from p2pmarket.vocab.units import EACH, parse_unit

COLUMNS: Final = (
    "code", "description", "unit", "price", "per", "currency",
    "stock", "min_qty", "category", "lead_days", "tax_rate", "url",
)  # fmt: skip
_NUMBERS: Final = ("price", "per", "stock", "min_qty", "tax_rate")
_EITHER_WAY: Final = re.compile(r"\D*\d{1,3}[.,]\d{3}(?![\d.,])\D*")
_URL: Final = re.compile(r"https?://[^\s/]+\S*", re.IGNORECASE)
LEAD_DAYS: Final = 999


@dataclass(frozen=True, slots=True)
class PriceRow:
    """One thing at one price: `price` for `per` `unit`s; `tax_rate` in percent; `row` is its place in the file."""

    code: str
    description: str
    unit: str
    price: Decimal
    per: Decimal
    currency: str
    stock: Decimal | None = None
    min_qty: Decimal | None = None
    category: str | None = None
    lead_days: int | None = None
    tax_rate: Decimal | None = None
    url: str | None = None
    row: int = 0

    @property
    def needs_person(self) -> bool:
        """Whether it must not be quoted automatically: a price of zero is a gap in the list more often than a gift."""
        return self.price == 0


@dataclass(frozen=True, slots=True)
class PriceList:
    """Good rows, all problems, notes (good rows a person answers for), and how the file was read."""

    rows: tuple[PriceRow, ...]
    problems: tuple[RowProblem, ...]
    notes: tuple[RowProblem, ...] = ()
    ignored: tuple[str, ...] = ()
    encoding: str = "utf-8"
    delimiter: str = ","

    def check(self) -> None:
        """Raise BadInput that lists every problem, if there is one."""
        refuse_problems(self.problems, len(self.rows))


def read_price_list(
    data: bytes, mapping: Mapping[str, str] | None = None, default_currency: str | None = None
) -> PriceList:
    """Read a price list; `mapping` is field to column name. Raises BadInput if the file as a whole cannot be read."""
    sheet = read_sheet(data, PRICE_ROWS)
    columns = find_columns(sheet.header, COLUMNS, ("price",), mapping or {})
    if not {"code", "description"} & columns.places.keys():
        raise BadInput("No column for code or description", hint="Say which it is: --map description=COLUMN")
    reader = _Reader(columns, number_style(sheet, columns, _NUMBERS), default_currency)
    problems: list[RowProblem] = []
    rows = []
    for number, texts in sheet.records:
        cells = Cells(number, texts, columns, problems)
        row = reader.row(cells)
        if row is not None:
            rows.append(row)
    notes = tuple(_notes(rows, columns))
    return PriceList(tuple(rows), tuple(problems), notes, columns.ignored, sheet.encoding, sheet.delimiter)


def write_price_list(rows: Iterable[PriceRow]) -> str:
    """The rows as CSV text that `read_price_list` reads back to equal rows."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_cell(getattr(row, name)) for name in COLUMNS])
    return file.getvalue()


def number_style(sheet: Sheet, columns: Columns, names: Iterable[str]) -> bool | None:
    """Whether the file's numbers have decimal commas (None: it cannot be told)."""
    places = [columns.places[name] for name in names if name in columns.places]
    cells = (texts[place] for _, texts in sheet.records for place in places if place < len(texts))
    return decimal_comma(cells, sheet.delimiter)


def number_reader(comma: bool | None) -> Callable[[str], Decimal]:
    """A parser of numbers in the file's style, which refuses what could be read two ways."""

    def read(text: str) -> Decimal:
        refuse_doubtful(text, comma)
        return parse_decimal(text, comma=bool(comma))

    return read


def refuse_doubtful(text: str, comma: bool | None) -> None:
    """Raise BadInput for `1,234` in a file that does not show whether its comma is decimal."""
    if comma is None and _EITHER_WAY.fullmatch(text):
        raise BadInput(
            f"{shown(text)} can be read two ways", hint="Write 1234 or 1.2340, with decimal points in the whole file"
        )


def read_code(text: str) -> str:
    """An article code, as written; raises BadInput for spreadsheet damage, control characters, too many characters."""
    refuse_spreadsheet_damage(text)
    clean = one_line(text)
    if len(clean) > CODE_CHARS:
        raise BadInput(f"The code has {len(clean)} characters", hint=f"At most {CODE_CHARS}")
    if char := unprintable(clean):
        raise BadInput(f"The code holds the character {char}", hint="Remove control characters")
    return clean


def read_text(text: str) -> str:
    """A description, white space tidied; raises BadInput as `line_text` and for `#REF!` and the like."""
    if text.startswith("#"):
        refuse_spreadsheet_damage(text)
    return line_text(text)


class _Reader:
    """Reads rows of one file: what is the same for all of them."""

    def __init__(self, columns: Columns, comma: bool | None, default_currency: str | None) -> None:
        self._comma = comma
        self._number = number_reader(comma)
        self._default = columns.currency or default_currency

    def row(self, cells: Cells) -> PriceRow | None:
        """The row, or None if it has a problem (then the cells have noted it)."""
        cells.check_width()
        code = cells.read("code", read_code) or ""
        description = cells.read("description", read_text) or ""
        if not code and not description and not cells.bad:
            cells.complain("description", "neither code nor description", "Fill in one of them")
        unit = cells.read("unit", lambda text: parse_unit(text, near=cells.near)) or EACH
        price, currency = self._price(cells)
        per = cells.read("per", self._positive) or Decimal(1)
        rest = self._rest(cells)
        if cells.bad or price is None or currency is None:
            return None
        return PriceRow(code, description, unit, price, per, currency, *rest, row=cells.row)

    def _rest(
        self, cells: Cells
    ) -> tuple[Decimal | None, Decimal | None, str | None, int | None, Decimal | None, str | None]:
        """The fields that may be missing, in the order of `PriceRow`."""
        return (
            cells.read("stock", self._stock),
            cells.read("min_qty", self._positive),
            cells.read("category", lambda text: parse_category(text, near=cells.near).code),
            cells.read("lead_days", self._days),
            cells.read("tax_rate", self._percent),
            cells.read("url", _url),
        )

    def _price(self, cells: Cells) -> tuple[Decimal | None, str | None]:
        if not cells.text("price"):
            cells.complain("price", "no price", "Write 0 if a person shall answer for this row")
        stated = cells.read("currency", lambda text: parse_currency(text, self._default, near=cells.near))
        read = cells.read("price", lambda text: self._amount(text, stated or self._default, cells.near))
        if read is None:
            return None, None
        price, written = read
        if price < 0:
            cells.complain("price", f"price {decimal_text(price)} is below zero", "Leave out returns and discounts")
        if stated and written and stated != written:
            cells.complain("currency", f"{stated} here, but {written} with the price", "Write one of them")
        if not written and not cells.bad:
            cells.complain(
                "currency", "no currency", "Add a column currency, write £2.55, or: market profile set currency GBP"
            )
        return price, written

    def _amount(self, text: str, currency: str | None, near: bool) -> tuple[Decimal, str | None]:
        refuse_doubtful(text, self._comma)
        return parse_price(text, currency, comma=bool(self._comma), near=near)

    def _positive(self, text: str) -> Decimal:
        return check_quantity(self._number(text))

    def _stock(self, text: str) -> Decimal:
        value = self._number(text)
        if value < 0:
            raise BadInput(f"stock {decimal_text(value)} is below zero", hint="Write 0 for nothing in stock")
        return value

    def _days(self, text: str) -> int:
        value = self._number(text)
        if value != value.to_integral_value() or not 0 <= value <= LEAD_DAYS:
            raise BadInput(f"{shown(text)} is no number of days", hint=f"Whole days from 0 to {LEAD_DAYS}")
        return int(value)

    def _percent(self, text: str) -> Decimal:
        value = self._number(text.removesuffix("%").strip())
        if 0 < value < 1 and "%" not in text:
            raise BadInput(f"tax rate {shown(text)} is doubtful", hint="Write percent: 20 for 20 %")
        if not 0 <= value <= 100:
            raise BadInput(f"tax rate {shown(text)} is not between 0 and 100", hint="Write percent: 20 for 20 %")
        return value


def _notes(rows: Iterable[PriceRow], columns: Columns) -> Iterable[RowProblem]:
    """What needs a person: zero prices, and codes that stand twice."""
    first: dict[str, int] = {}
    for row in rows:
        if row.needs_person:
            yield RowProblem(row.row, columns.title("price"), "price is zero: requests for it go to a person")
        before = first.setdefault(row.code, row.row) if row.code else row.row
        if before != row.row:
            again = f"code {row.code!r} is also in row {before}: requests for it go to a person"
            yield RowProblem(row.row, columns.title("code"), again)


def _url(text: str) -> str:
    if len(text) > URL_CHARS or not _URL.fullmatch(text) or unprintable(text):
        raise BadInput(f"{shown(text)} is not a web address", hint=f"https://…, at most {URL_CHARS} characters")
    return text


def _cell(value: object) -> str:
    if isinstance(value, Decimal):
        return decimal_text(value)
    return "" if value is None else str(value)
