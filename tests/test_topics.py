"""Topic keys: where a seller is stored, how keys change, what a holder accepts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_records import NOW, announcement

from p2pmarket import limits
from p2pmarket.dht import topics
from p2pmarket.network import MAIN, TEST

WALLS = st.integers(NOW, NOW + 60 * limits.DAY)
CATEGORIES = st.sampled_from(["coffee", "coffee/roasted", "cpv:15861200", "커피/원두/예가체프"])
REGIONS = st.sampled_from([("world",), ("KR",), ("KR-11", "KR-26", "JP"), ("DE", "AT", "CH")])


@pytest.mark.parametrize(
    ("category", "wider"),
    [
        ("cpv:15861200", ["cpv:15861000", "cpv:15860000", "cpv:15800000", "cpv:15000000"]),
        ("cpv:15000000", []),
        ("cpv:30000000", []),
        ("cpv:30200000", ["cpv:30000000"]),
        ("cpv:12345678", [f"cpv:{'12345678'[:n]:0<8}" for n in range(7, 1, -1)]),
        ("cpv:15020300", ["cpv:15020000", "cpv:15000000"]),
        ("coffee", []),
        ("a/b/c/d", ["a/b/c", "a/b", "a"]),
    ],
)
def test_ancestors(category: str, wider: list[str]) -> None:
    assert topics.ancestors(category) == wider


def test_a_seller_is_stored_under_category_and_ancestors_plain_and_by_country() -> None:
    wall = NOW + 3 * limits.HOUR
    wanted = {
        topics.topic_key(TEST, category, place, wall)
        for category in ("coffee/roasted", "coffee")
        for place in (None, "KR", "JP")
    }
    seller = announcement(regions=("KR-11", "KR-26", "JP"))
    assert wanted <= set(topics.publish_keys(TEST, seller, wall))
    assert all(topics.belongs(TEST, seller, key, wall) for key in wanted)


def test_who_serves_the_world_is_stored_plain_only() -> None:
    seller = announcement(regions=("world",), category="coffee")
    assert topics.topic_key(TEST, "coffee", None, NOW) in topics.publish_keys(TEST, seller, NOW)
    assert not topics.belongs(TEST, seller, topics.topic_key(TEST, "coffee", "KR", NOW), NOW)


def test_networks_and_places_have_keys_of_their_own() -> None:
    keys = {
        topics.topic_key(TEST, "coffee", None, NOW),
        topics.topic_key(MAIN, "coffee", None, NOW),
        topics.topic_key(TEST, "coffee", "KR", NOW),
        topics.topic_key(TEST, "coffee/kr", None, NOW),
        topics.topic_key(TEST, "tea", None, NOW),
    }
    assert len(keys) == 5
    assert all(len(key) == 32 for key in keys)


def changes_of(category: str, region: str | None) -> int:
    """The next second in which the key of the topic differs from that of the second before."""
    low, high = NOW, NOW + limits.TOPIC_SECONDS
    first = topics.topic_key(TEST, category, region, low)
    assert topics.topic_key(TEST, category, region, high) != first
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if topics.topic_key(TEST, category, region, middle) == first else (low, middle)
    return high


@given(CATEGORIES, st.sampled_from([None, "KR", "DE"]))
def test_a_key_lives_for_exactly_a_week(category: str, region: str | None) -> None:
    change = changes_of(category, region)
    key = topics.topic_key(TEST, category, region, change)
    assert topics.topic_key(TEST, category, region, change + limits.TOPIC_SECONDS - 1) == key
    assert topics.topic_key(TEST, category, region, change + limits.TOPIC_SECONDS) != key


def test_topics_change_at_moments_spread_over_the_week() -> None:
    moments = sorted(changes_of(f"goods {n}", None) - NOW for n in range(200))
    sevenths = [sum(1 for moment in moments if moment * 7 // limits.TOPIC_SECONDS == day) for day in range(7)]
    assert min(sevenths) >= 10


@given(CATEGORIES, st.sampled_from([None, "KR"]))
def test_around_the_change_both_weeks_are_read(category: str, region: str | None) -> None:
    change = changes_of(category, region)
    old = topics.topic_key(TEST, category, region, change - 1)
    new = topics.topic_key(TEST, category, region, change)
    hour = limits.TOPIC_OVERLAP_SECONDS
    assert topics.read_keys(TEST, category, region, change - hour - 1) == (old,)
    assert topics.read_keys(TEST, category, region, change - hour) == (old, new)
    assert topics.read_keys(TEST, category, region, change - 1) == (old, new)
    assert topics.read_keys(TEST, category, region, change) == (new, old)
    assert topics.read_keys(TEST, category, region, change + hour - 1) == (new, old)
    assert topics.read_keys(TEST, category, region, change + hour) == (new,)


@given(CATEGORIES, REGIONS, WALLS)
def test_what_a_reader_asks_for_is_where_sellers_publish(category: str, regions: tuple[str, ...], wall: int) -> None:
    seller = announcement(category=category, regions=regions)
    published = set(topics.publish_keys(TEST, seller, wall))
    for name in (category, *topics.ancestors(category)):
        places = [None] if regions == ("world",) else [None, *(topics.country(region) for region in regions)]
        for place in places:
            assert set(topics.read_keys(TEST, name, place, wall)) <= published


@given(CATEGORIES, REGIONS, WALLS, st.integers(-limits.CLOCK_SKEW_SECONDS, limits.CLOCK_SKEW_SECONDS))
def test_holders_whose_clock_is_off_take_what_is_published(
    category: str, regions: tuple[str, ...], wall: int, skew: int
) -> None:
    seller = announcement(category=category, regions=regions)
    assert all(topics.belongs(TEST, seller, key, wall + skew) for key in topics.publish_keys(TEST, seller, wall))


@given(CATEGORIES, REGIONS, WALLS)
def test_holders_refuse_topics_of_others_and_of_other_weeks(category: str, regions: tuple[str, ...], wall: int) -> None:
    seller = announcement(category=category, regions=regions)
    for key in (
        topics.topic_key(TEST, category, "FR", wall),
        topics.topic_key(TEST, category + " other", None, wall),
        topics.topic_key(TEST, category, None, wall + 2 * limits.TOPIC_SECONDS),
        topics.topic_key(TEST, category, None, wall - 2 * limits.TOPIC_SECONDS),
        topics.topic_key(MAIN, category, None, wall),
    ):
        assert not topics.belongs(TEST, seller, key, wall)
