"""From the bytes of a CSV file to rows of cells.

Rules: RFC 4180 with the delimiters `,`, `;` and tab, found in the first row (a line `sep=;` before it is obeyed).
Encodings: UTF-8 with or without BOM, UTF-16 with or without BOM, else cp949 if what it yields is mostly Hangul, else
cp1252. What makes the whole file unreadable (no text, NUL, a quote that never closes, a cell without end, too large)
raises BadInput and names the row; rows are counted as a spreadsheet counts them, the header is row 1.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from p2pmarket.errors import BadInput
from p2pmarket.limits import CSV_FIELD_CHARS, CSV_LINE_CHARS, IMPORT_BYTES, SHEET_ROWS

DELIMITERS: Final = (",", ";", "\t")
_KINDS: Final = {
    b"PK\x03\x04": "a workbook or archive",
    b"\xd0\xcf\x11\xe0": "an old workbook",
    b"%PDF": "a PDF",
    b"\x1f\x8b": "packed",
}
_CSV_HINT: Final = "Save it as CSV (UTF-8) and import that"
_HANGUL: Final = re.compile("[가-힣]")
_KS_X_1001_PAIR: Final = re.compile(rb"[\xb0-\xc8][\xa1-\xfe]")  # the 2,350 common Hangul syllables in cp949
_SEPARATOR_LINE: Final = re.compile(r"\"?sep=(?P<delimiter>[,;\t])\"?\r?\n?", re.IGNORECASE)
_QUOTED: Final = re.compile(r'"[^"]*"')


@dataclass(frozen=True, slots=True)
class Sheet:
    """Header and records of a file; `encoding` and `delimiter` say how it was read."""

    header: tuple[str, ...]
    records: tuple[tuple[int, tuple[str, ...]], ...]
    encoding: str
    delimiter: str


def read_sheet(data: bytes, max_rows: int) -> Sheet:
    """Read a whole CSV file; raises BadInput if it is not one or has more than `max_rows` rows after the header."""
    if len(data) > IMPORT_BYTES:
        raise BadInput(f"The file has {len(data):,} bytes", hint=f"At most {IMPORT_BYTES:,}; split it")
    text, encoding = decode(data)
    separator = _SEPARATOR_LINE.match(text)
    if separator:
        text = text[separator.end() :]
    delimiter = separator["delimiter"] if separator else find_delimiter(text)
    records = _records(text, delimiter)
    header = next((cells for _, cells in records), None)
    if header is None:
        raise BadInput("The file is empty", hint="The first row names the columns: code,description,unit,price")
    kept = []
    for record in records:
        kept.append(record)
        if len(kept) > max_rows:
            raise BadInput(f"The file has more than {max_rows:,} rows", hint="Split it")
    return Sheet(header, tuple(kept), encoding, delimiter)


def decode(data: bytes) -> tuple[str, str]:
    """The text and the name of its encoding; raises BadInput for what is no text."""
    for magic, kind in _KINDS.items():
        if data.startswith(magic):
            raise BadInput(f"The file is {kind}, not text", hint=_CSV_HINT)
    for encoding in _candidates(data):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        at = text.find("\0")
        if at >= 0:
            row = text.count("\n", 0, at) + 1
            raise BadInput(f"The file holds a NUL byte in line {row}", hint=_CSV_HINT)
        return text.removeprefix("\ufeff"), encoding
    raise BadInput("The file is in no encoding that can be read", hint=_CSV_HINT)


def find_delimiter(text: str) -> str:
    """The delimiter that is most frequent in the header, outside quotes; a comma if there is none."""
    line = next((line for line in text[:CSV_FIELD_CHARS].splitlines() if line.strip()), "")
    plain = _QUOTED.sub("", line)
    return max(DELIMITERS, key=plain.count)


def decimal_comma(cells: Iterable[str], delimiter: str) -> bool | None:
    """Whether the comma is the decimal sign in these numbers; None if it cannot be told (`1,234` in a `;` file).

    Between other columns than those of `;` it never is: `"12,000"` is twelve thousand. Only if such a file has numbers
    with a decimal comma all the same, and none with a point, nobody knows what its `1,234` was meant to be.
    """
    comma = point = False
    for cell in cells:
        comma = comma or _COMMA_SURE.search(cell) is not None
        point = point or _POINT_SURE.search(cell) is not None
    if comma and delimiter == ";":
        return True
    return False if point or not (comma or delimiter == ";") else None


_COMMA_SURE: Final = re.compile(r"\d,(\d{1,2}|\d{4,})(?!\d)|\.\d{3}[.,]")
_POINT_SURE: Final = re.compile(r"\d\.(\d{1,2}|\d{4,})(?!\d)|,\d{3}[.,]")


def _candidates(data: bytes) -> Iterator[str]:
    if data.startswith(codecs.BOM_UTF8):
        yield "utf-8-sig"
    elif data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        yield "utf-16"
    else:
        head = data[:4096]
        if head.count(0) * 4 > len(head):  # Latin text in UTF-16 is half zeros
            yield "utf-16-le" if head[1::2].count(0) >= head[::2].count(0) else "utf-16-be"
        yield "utf-8"
        if _mostly_hangul(data):
            yield "cp949"
        yield "cp1252"


def _mostly_hangul(data: bytes) -> bool:
    """Whether cp949 is the better reading: most bytes above ASCII form common Hangul syllables."""
    high = sum(byte > 0x7F for byte in data)
    return high > 0 and 2 * len(_KS_X_1001_PAIR.findall(data)) * 2 >= high


def _records(text: str, delimiter: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Row number and stripped cells of every row that is not empty."""
    reader = csv.reader(_lines(text), delimiter=delimiter, strict=True)
    for row in range(1, SHEET_ROWS + 2):
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise _broken(str(error), row, line) from error
        if cells is None:
            return
        stripped = tuple(cell.strip() for cell in cells)
        if any(stripped):
            yield row, stripped
    raise BadInput(f"The file has more than {SHEET_ROWS:,} rows", hint="Delete the empty rows at its end, or split it")


def _lines(text: str) -> Iterator[str]:
    for number, line in enumerate(io.StringIO(text, newline=""), start=1):
        if len(line) > CSV_LINE_CHARS:
            raise BadInput(
                f"Line {number} has {len(line):,} characters", hint=f"At most {CSV_LINE_CHARS:,}; {_CSV_HINT}"
            )
        yield line


def _broken(why: str, row: int, line: int) -> BadInput:
    where = f"row {row} (line {line} of the file)"
    if "end of data" in why or "field limit" in why:
        return BadInput(
            f"A quote or cell that opens in {where} never closes",
            hint=f'Write a quote inside a quoted cell twice (""); a cell has at most {CSV_FIELD_CHARS:,} characters',
        )
    return BadInput(f"Broken quotes in {where}", hint='Write a quote inside a quoted cell twice: "12"" ruler"')
