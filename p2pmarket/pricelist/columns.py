"""Which column of a file is which field, and what is wrong in which cell.

Rules: a mapping given by the person (`price="Price (£)"`) wins over everything; other columns are known by their names
and the synonyms below, folded. A column with a currency in brackets gives that currency to its cells. Two columns for
one field are refused, unknown columns are left out. Every cell is checked, problems are gathered and never stop a run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from p2pmarket.errors import BadInput
from p2pmarket.limits import NEAR_HINTS
from p2pmarket.vocab.currencies import parse_currency
from p2pmarket.vocab.decimals import shown
from p2pmarket.vocab.texts import normal_text

Value = TypeVar("Value")

SYNONYMS: Final[Mapping[str, str]] = {
    "code": "stockcode|stock code|sku|item code|item no|item number|article|article no|article number|product code"
    "|part no|seller code|artikelnummer|art nr|référence|상품코드|품번|제품코드|코드",
    "description": "text|name|title|product|product name|item|item name|item description|bezeichnung|beschreibung"
    "|désignation|품명|상품명|제품명|품목|설명|내용",
    "unit": "uom|unit of measure|unit code|einheit|unité|단위",
    "price": "unitprice|unit price|net price|price each|list price|preis|prix|단가|가격|판매가",
    "per": "price per|price unit|base quantity|price base|pro|기준수량",
    "currency": "ccy|currency code|währung|devise|통화|화폐",
    "stock": "in stock|on hand|stock qty|qty in stock|available|bestand|재고|재고수량",
    "min_qty": "min qty|minimum|moq|min order|minimum order|minimum quantity|mindestmenge|최소수량"
    "|최소주문|최소주문수량",
    "category": "cpv|category code|kategorie|분류|카테고리",
    "lead_days": "lead time|leadtime|lead time days|delivery days|lieferzeit|납기|납기일|배송일",
    "tax_rate": "tax|vat|vat rate|vat %|tax %|mwst|tva|세율|부가세율",
    "url": "link|web|website|product url|링크",
    "quantity": "qty|order qty|order quantity|menge|quantité|수량|개수|주문수량",
    "gtin": "ean|ean13|upc|barcode|isbn|바코드",
    "mpn": "manufacturer part number|manufacturer code|mfr part no|제조사품번",
    "buyer_code": "our code|our ref|buyer ref|buyers code|customer code|우리코드|관리번호",
    "line": "line no|no|position|pos|번호|순번",
}
HEADER_CHARS: Final = 200  # no column of ours has a longer name
_PUNCTUATION: Final = re.compile(r"[\s_.\-#:]+")
_CURRENCY_IN_NAME: Final = re.compile(r"(?P<name>.*?)\s*(\((?P<round>[^()]{1,10})\)|\[(?P<square>[^\[\]]{1,10})\])\s*")


@dataclass(frozen=True, slots=True)
class RowProblem:
    """What is wrong in one cell: `row` as a spreadsheet counts (header is 1), `column` as the file names it."""

    row: int
    column: str
    problem: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Columns:
    """Where each field stands (`places`), the currency its name gives (`currency`) and the columns left out."""

    header: tuple[str, ...]
    places: Mapping[str, int]
    currency: str | None
    ignored: tuple[str, ...]

    def title(self, name: str) -> str:
        """The file's name for a field; the field's own if the file has no such column."""
        return self.header[self.places[name]] if name in self.places else name


def find_columns(
    header: Sequence[str], fields: Sequence[str], required: Sequence[str], mapping: Mapping[str, str]
) -> Columns:
    """Find the columns of the fields in a header; raises BadInput for missing, doubtful or unknown ones."""
    places = _mapped(header, fields, mapping)
    for place, title in enumerate(header):
        name = _field_of(title, fields)
        if name is None or name in mapping or place in places.values():
            continue
        if name in places:
            both = f"{header[places[name]]!r} and {title!r}"
            raise BadInput(f"Two columns for {name}: {both}", hint=f"Choose one: --map {name}={shown(title)}")
        places[name] = place
    missing = [name for name in required if name not in places]
    if missing:
        there = ", ".join(shown(title) for title in header[:20])
        raise BadInput(
            f"No column for {', '.join(missing)}",
            hint=f"The file has {there}; say which it is: --map {missing[0]}=COLUMN",
        )
    priced = header[places["price"]] if "price" in places else ""
    ignored = tuple(title for place, title in enumerate(header) if title and place not in places.values())
    return Columns(tuple(header), places, _currency_in(priced), ignored)


@dataclass(slots=True)
class Cells:
    """The cells of one row, read field by field; what cannot be read is added to `problems`."""

    row: int
    texts: tuple[str, ...]
    columns: Columns
    problems: list[RowProblem]
    bad: bool = field(default=False)

    @property
    def near(self) -> bool:
        """Whether a wrong word is still worth a "did you mean": a file with a wrong column has thousands."""
        return len(self.problems) < NEAR_HINTS

    def text(self, name: str) -> str:
        """The cell of a field, empty if the row or the file has none."""
        place = self.columns.places.get(name)
        return self.texts[place] if place is not None and place < len(self.texts) else ""

    def read(self, name: str, parse: Callable[[str], Value]) -> Value | None:
        """The parsed cell; None if it is empty or wrong (then it is a problem of the list)."""
        text = self.text(name)
        if not text:
            return None
        try:
            return parse(text)
        except BadInput as error:
            self.complain(name, error.message, error.hint)
            return None

    def complain(self, name: str, problem: str, hint: str | None = None) -> None:
        """Note a problem in the column of a field."""
        self.bad = True
        self.problems.append(RowProblem(self.row, self.columns.title(name), problem, hint))

    def check_width(self) -> None:
        """A row longer than the header has a delimiter too many: everything behind it would stand in a wrong column."""
        if any(self.texts[len(self.columns.header) :]):
            self.complain(
                "columns",
                f"{len(self.texts)} cells under {len(self.columns.header)} column names",
                "Put a text that holds the separator in quotes",
            )


def refuse_problems(problems: Sequence[RowProblem], rows: int) -> None:
    """Raise BadInput naming every problem if there is one; `details` carries all of them for programs."""
    if not problems:
        return
    bad = len({problem.row for problem in problems})
    lines = [f"row {one.row}, {one.column}: {one.problem}" + (f" ({one.hint})" if one.hint else "") for one in problems]
    raise BadInput(
        f"{bad} of {rows + bad} rows cannot be used\n" + "\n".join(lines),
        hint="Nothing was imported; mend these rows, or leave them out with --skip-bad",
        details={
            "problems": [
                {"row": one.row, "column": one.column, "problem": one.problem, "hint": one.hint} for one in problems
            ]
        },
    )


def _mapped(header: Sequence[str], fields: Sequence[str], mapping: Mapping[str, str]) -> dict[str, int]:
    places: dict[str, int] = {}
    for name, title in mapping.items():
        if name not in fields:
            raise BadInput(f"Unknown field {shown(name)} in --map", hint=f"Fields: {', '.join(fields)}")
        wanted = normal_text(title)
        found = [place for place, other in enumerate(header) if normal_text(other) == wanted]
        if len(found) != 1:
            there = ", ".join(shown(title) for title in header[:20])
            many = "several columns" if found else "no column"
            raise BadInput(f"The file has {many} named {shown(title)}", hint=f"It has {there}")
        places[name] = found[0]
    return places


def _field_of(title: str, fields: Sequence[str]) -> str | None:
    if len(title) > HEADER_CHARS:
        return None
    word = _plain(title)
    match = _CURRENCY_IN_NAME.fullmatch(normal_text(title))
    bare = _plain(match["name"]) if match else word
    if not bare:
        return None
    for name in fields:
        names = {_plain(name), *(_plain(other) for other in SYNONYMS.get(name, "").split("|"))}
        if word in names or bare in names:
            return name
    return None


def _plain(title: str) -> str:
    return _PUNCTUATION.sub("", normal_text(title))


def _currency_in(title: str) -> str | None:
    match = _CURRENCY_IN_NAME.fullmatch(normal_text(title[:HEADER_CHARS]))
    if not match:
        return None
    try:
        return parse_currency(match["round"] or match["square"])
    except BadInput:  # `Price (net)`: no currency, and a shared sign settles nothing
        return None
