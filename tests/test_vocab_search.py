"""Search: the words of buyers lead to categories, in English and Korean, and never to a blank page."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pmarket.limits import SEARCH_CHARS, SEARCH_WORDS
from p2pmarket.vocab.categories import is_category, label_of
from p2pmarket.vocab.search import meant, near, search, stem
from p2pmarket.vocab.tables import rows
from p2pmarket.vocab.texts import fold


def test_every_alias_names_known_codes_and_is_found() -> None:
    seen = list(rows("aliases.tsv"))
    assert 150 <= len(seen) <= 400
    for codes, names in seen:
        assert all(label_of(f"cpv:{code}") for code in codes.split()), names
        for name in names.split("|")[:1]:
            found = [match.code for match in search(name, 12)]
            assert f"cpv:{codes.split()[0]}" in found, name


@pytest.mark.parametrize(
    ("path", "code"),
    [("cofee/roasted", "coffee/roasted"), ("cofee/roasted", "cpv:15861100"), ("bananna", "cpv:03222111")],
)
def test_a_misspelt_path_means_a_known_category(path: str, code: str) -> None:
    assert code in [match.code for match in meant(path, ["coffee/roasted"])]


@pytest.mark.parametrize("path", ["coffee/roasted", "coffee/beans", "coffee/sidamo", "zorble", "cofee/roasted", "커피"])
def test_a_path_of_known_words_or_of_ones_own_means_itself(path: str) -> None:
    assert meant(path, ["cofee/roasted"]) == []


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("coffee", "cpv:15861000"),
        ("커피", "cpv:15861000"),
        ("chairs", "cpv:39112000"),
        ("의자", "cpv:39112000"),
        ("Roasted Coffee", "cpv:15861100"),
        ("office furnitre", "cpv:39130000"),
        ("트럭 타이어", "cpv:34350000"),
        ("hydraulic excavators", "cpv:43260000"),
    ],
)
def test_words(words: str, code: str) -> None:
    assert code in [match.code for match in search(words, 12)]


def test_announced_paths_come_first_and_in_any_language() -> None:
    announced = ["coffee/roasted", "steel", "cpv:15861200"]
    found = search("커피", 10, announced)
    assert [match.code for match in found[:2]] == ["coffee/roasted", "cpv:15861200"]
    assert found[0].why == "announced"
    assert "steel" not in [match.code for match in found]


def test_near_an_unused_code() -> None:
    found = near("cpv:15861000", 8, ["coffee/green", "cpv:15861100", "cpv:45000000"])
    codes = [match.code for match in found]
    assert codes[0] == "cpv:15861100"
    assert "coffee/green" in codes
    assert "cpv:15860000" in codes
    assert "cpv:15861000" not in codes
    assert "cpv:45000000" not in codes


def test_near_an_unused_path() -> None:
    codes = [match.code for match in near("coffee/decaf", 8, ["coffee/roasted", "커피", "steel"])]
    assert codes[0] == "coffee/roasted"
    assert "cpv:15861000" in codes
    assert "steel" not in codes


def test_no_words_no_finds() -> None:
    assert search("") == []
    assert search("the of and") == []
    assert search("qzxqzx") == []


def test_limit_and_order_are_kept() -> None:
    found = search("machine", 5)
    assert len(found) == 5
    assert [match.score for match in found] == sorted((match.score for match in found), reverse=True)
    assert len({match.code for match in search("machine", 50)}) == 50


@pytest.mark.parametrize(
    ("word", "stemmed"),
    [("chairs", "chair"), ("boxes", "box"), ("glass", "glass"), ("berries", "berry"), ("bus", "bus")],
)
def test_stem(word: str, stemmed: str) -> None:
    assert stem(word) == stemmed


@settings(max_examples=20, deadline=None)
@given(st.text(max_size=60), st.lists(st.sampled_from(["coffee", "steel/rebar", "cpv:15861000"]), max_size=3))
def test_any_text_can_be_searched(words: str, announced: list[str]) -> None:
    found = search(words, 3, announced)
    assert len(found) <= 3
    assert all(is_category(match.code) for match in found)


def test_words_at_the_limit_and_one_over() -> None:
    """No search looks for more than so many words, and a word that is there twice counts once."""
    filler = [f"q{number}zz" for number in range(SEARCH_WORDS)]
    within, beyond = " ".join([*filler[1:], "coffee"]), " ".join([*filler, "coffee"])
    assert search(within)[0].code == search("coffee")[0].code
    assert search(beyond) == []
    assert search("coffee coffee coffee") == search("coffee")


def test_characters_that_fold_to_many_are_cut() -> None:
    assert len("\ufdfa") < len(fold("\ufdfa"))
    assert search("\ufdfa" * SEARCH_CHARS + " coffee") == []
