"""CSV bytes to cells: encodings, delimiters, decimal signs, and files that are none."""

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pmarket.errors import BadInput
from p2pmarket.limits import CSV_FIELD_CHARS, IMPORT_BYTES, SHEET_ROWS
from p2pmarket.pricelist.sheet import decimal_comma, decode, read_sheet

KOREAN = "code,품명\nA1,하얀 하트 촛대\nA2,커피 원두 1kg\n"
FRENCH = "code,description\nA1,Café crème £2 – naïve Ärmel\n"


@pytest.mark.parametrize(
    ("text", "python", "found"),
    [
        (KOREAN, "utf-8", "utf-8"),
        (KOREAN, "utf-8-sig", "utf-8-sig"),
        (KOREAN, "utf-16", "utf-16"),
        (KOREAN, "cp949", "cp949"),
        (FRENCH, "utf-8", "utf-8"),
        (FRENCH, "utf-16", "utf-16"),
        (FRENCH, "utf-16-le", "utf-16-le"),
        (FRENCH, "utf-16-be", "utf-16-be"),
        (FRENCH, "cp1252", "cp1252"),
        ("code,price\nA,£2.55\n", "cp1252", "cp1252"),
        ("code,price\nA,2.55\n", "ascii", "utf-8"),
    ],
)
def test_encodings(text: str, python: str, found: str) -> None:
    assert decode(text.encode(python)) == (text, found)


def test_utf16_big_endian_with_mark() -> None:
    assert decode(codecs.BOM_UTF16_BE + KOREAN.encode("utf-16-be"))[0] == KOREAN


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("a,b\n1,2\n", ","),
        ("a;b\n1,5;2\n", ";"),
        ("a\tb\n1\t2\n", "\t"),
        ('"x;y;z",b\n1,2\n', ","),
        ("sep=;\na;b\n1;2\n", ";"),
        ("only\n1\n", ","),
        ("\n\na;b\n1;2\n", ";"),
    ],
)
def test_delimiters(text: str, delimiter: str) -> None:
    sheet = read_sheet(text.encode(), 10)
    assert sheet.delimiter == delimiter
    assert len(sheet.records) == 1


def test_rows_are_counted_as_a_spreadsheet_counts_them() -> None:
    sheet = read_sheet(b'a,b\n"two\nlines",1\n\n,,\nlast,2\n', 10)
    assert sheet.header == ("a", "b")
    assert sheet.records == ((2, ("two\nlines", "1")), (5, ("last", "2")))


def test_mac_and_windows_line_ends() -> None:
    assert read_sheet(b"a,b\r1,2\r3,4\r", 10).records == read_sheet(b"a,b\r\n1,2\r\n3,4\r\n", 10).records


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"\n \n", "empty"),
        (b"PK\x03\x04rest", "workbook"),
        (b"\xd0\xcf\x11\xe0\xa1", "workbook"),
        (b"%PDF-1.7", "PDF"),
        (b"\x1f\x8b\x08", "packed"),
        (b"a,b\n1,\x002\n", "NUL byte in line 2"),
        (b'a,b\n1,2\n"3,4\n5,6\n', r"row 3 \(line 3"),
        (b'a,b\n"1"x,2\n', "Broken quotes in row 2"),
        (b"a,b\n1," + b"x" * (CSV_FIELD_CHARS + 1), "row 2"),
        (b"\x81\x8d\xff\xfe\x90", "encoding"),
        (b"\xff\xfea", "encoding"),
    ],
)
def test_no_csv(data: bytes, message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        read_sheet(data, 10)
    assert caught.value.hint


def test_limits_of_bytes_rows_and_cells() -> None:
    with pytest.raises(BadInput, match="Line 1 has"):
        read_sheet(b"x" * IMPORT_BYTES, 10)
    with pytest.raises(BadInput, match="bytes"):
        read_sheet(b"x" * (IMPORT_BYTES + 1), 10)
    assert read_sheet(b"a" + b"\n" * SHEET_ROWS, 10).records == ()
    with pytest.raises(BadInput, match="1,048,576 rows"):
        read_sheet(b"a" + b"\n" * (SHEET_ROWS + 1), 10)
    assert len(read_sheet(b"a\n" + b"1\n" * 10, 10).records) == 10
    with pytest.raises(BadInput, match="more than 10 rows"):
        read_sheet(b"a\n" + b"1\n" * 11, 10)
    assert read_sheet(b"a\n" + b"x" * CSV_FIELD_CHARS, 1).records


@pytest.mark.parametrize(
    ("cells", "delimiter", "comma"),
    [
        (["2,55", "1.234,50"], ";", True),
        (["1,234", "2,5"], ";", True),
        (["2.55", "1,234.50"], ";", False),
        (["1,234"], ";", None),
        (["1.234"], ";", None),
        (["1.234.567"], ";", True),
        (["1,234,567"], ";", False),
        (["7", "12"], ";", None),
        (["1,234"], ",", False),
        (["12,000", "1,234,567"], ",", False),
        (["1,234"], "\t", False),
        (["2,55"], ",", None),
        (["2,55"], "\t", None),
        (["2,55", "2.55"], ",", False),
    ],
)
def test_decimal_sign(cells: list[str], delimiter: str, comma: bool | None) -> None:
    assert decimal_comma(cells, delimiter) is comma


@given(st.binary(max_size=400) | st.text().map(lambda text: text.encode("utf-8", "replace")))
def test_only_bad_input_comes_out(data: bytes) -> None:
    try:
        sheet = read_sheet(data, 50)
    except BadInput:
        return
    assert all(any(cells) for _, cells in sheet.records)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0\ufeff"), min_size=1))
def test_utf8_text_comes_back(text: str) -> None:
    assert decode(text.encode("utf-8-sig"))[0] == text
