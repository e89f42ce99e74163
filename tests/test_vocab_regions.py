"""Regions: codes, names in several languages, parts of countries, what covers what."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pmarket.errors import BadInput
from p2pmarket.vocab.regions import WORLD, country_of, covers, is_region, parse_region, region_name
from p2pmarket.vocab.tables import rows

CODES = [row[0] for row in rows("regions.tsv")]


def test_every_name_of_the_table_leads_to_its_country() -> None:
    assert len(CODES) == len(set(CODES)) == 249
    for code, english, korean, others in rows("regions.tsv"):
        for name in (code, code.lower(), english, korean, *filter(None, others.split("|"))):
            assert parse_region(name) == code, name


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Korea", "KR"),
        ("한국", "KR"),
        (" united  kingdom ", "GB"),
        ("UK", "GB"),
        ("EIRE", "IE"),
        ("Deutschland", "DE"),
        ("日本", "JP"),
        ("USA", "US"),
        ("kr-11", "KR-11"),
        ("GB-ENG", "GB-ENG"),
        ("The Netherlands", "NL"),
        ("World", "world"),
        ("전세계", "world"),
    ],
)
def test_names(text: str, code: str) -> None:
    assert parse_region(text) == code


@pytest.mark.parametrize(
    ("text", "hint"), [("Grmany", "DE"), ("EU", "countries"), ("xq", "country code"), ("XX", "Write"), ("", "KR")]
)
def test_refused_with_a_hint(text: str, hint: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_region(text)
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize(
    ("served", "wanted", "answer"),
    [
        ("world", "KR", True),
        ("KR", "KR", True),
        ("KR", "KR-11", True),
        ("KR-11", "KR", False),
        ("KR-11", "KR-26", False),
        ("DE", "KR", False),
        ("KR", "world", False),
        ("KR-1", "KR-11", False),
    ],
)
def test_covers(served: str, wanted: str, answer: bool) -> None:
    assert covers(served, wanted) is answer


def test_names_and_countries() -> None:
    assert region_name("KR") == "South Korea"
    assert region_name("KR-11") == "South Korea (KR-11)"
    assert region_name("QQ") == "QQ"
    assert region_name(WORLD) == "worldwide"
    assert (country_of("KR-11"), country_of("KR"), country_of(WORLD)) == ("KR", "KR", None)


@given(st.text())
def test_only_bad_input_comes_out(text: str) -> None:
    is_region(text)
    try:
        code = parse_region(text)
    except BadInput:
        return
    assert is_region(code)
    assert parse_region(code) == code
