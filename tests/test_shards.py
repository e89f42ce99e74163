"""Shards of a topic: their numbers and keys, and that readers look where publishers wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pmarket import limits
from p2pmarket.dht import shards
from p2pmarket.dht.crowd import Crowd
from p2pmarket.network import MAIN, TEST, network_named

TOPIC = bytes(range(32))
GROUPS = st.binary(min_size=3, max_size=6)
DEPTHS = st.integers(1, limits.SHARD_DEPTH)
CROWDS = st.integers(0, 400_000)


def test_the_whole_is_the_topic_itself() -> None:
    assert shards.key_of(TEST, TOPIC, shards.WHOLE) == TOPIC
    assert [*shards.below(shards.WHOLE, 0)] == [1]
    assert [*shards.below(shards.WHOLE, 2)] == [4, 5, 6, 7]
    assert [*shards.below(3, 1)] == [6, 7]


def test_every_shard_has_a_key_of_its_own() -> None:
    numbers = range(1, 2 << limits.SHARD_DEPTH)
    names = [(network, topic, n) for network in (MAIN, TEST) for topic in (TOPIC, bytes(32)) for n in numbers]
    keys = {shards.key_of(*name) for name in names}
    assert len(keys) == 4 * len(numbers) - 2  # the whole topic is the same on both networks


@given(GROUPS, DEPTHS)
def test_a_groups_shards_lie_one_below_the_other(group: bytes, depth: int) -> None:
    number = shards.number_of(TEST, TOPIC, group, depth)
    assert number in shards.below(shards.WHOLE, depth)
    assert number >> 1 == shards.number_of(TEST, TOPIC, group, depth - 1)
    assert number in shards.below(number >> 1, 1)


def test_groups_are_spread_over_the_shards() -> None:
    numbers = [shards.number_of(TEST, TOPIC, n.to_bytes(3, "big"), 4) for n in range(3200)]
    counts = [numbers.count(number) for number in shards.below(shards.WHOLE, 4)]
    assert sum(counts) == 3200
    assert min(counts) > 140
    assert max(counts) < 260


@pytest.mark.parametrize(
    ("crowd", "depth"),
    [
        (0, 0),
        (shards.FULL_FROM, 0),
        (shards.FULL_FROM + 1, 1),
        (2 * limits.SHARD_RECORDS, 1),
        (2 * limits.SHARD_RECORDS + 1, 2),
        (1000, 2),
        (20_000, 6),
        (limits.SHARD_RECORDS << limits.SHARD_DEPTH, limits.SHARD_DEPTH),
        (2**32 - 1, limits.SHARD_DEPTH),
    ],
)
def test_depths(crowd: int, depth: int) -> None:
    assert shards.depth_of(crowd) == depth


@given(CROWDS, st.integers(-15, 15))
def test_publishers_write_where_readers_look_though_they_heard_another_number(crowd: int, percent: int) -> None:
    heard = crowd + crowd * percent // 100
    depth = shards.depth_of(crowd)
    assert depth == 0 or depth in shards.depths_of(heard, early=False)
    assert len(shards.depths_of(heard, early=True)) <= 2


def test_a_topic_that_grows_is_written_to_before_it_is_read() -> None:
    assert shards.depths_of(limits.CROWD_EARLY - 1, early=True) == set()
    assert shards.depths_of(limits.CROWD_EARLY, early=True) == {1}
    assert shards.depths_of(limits.CROWD_EARLY, early=False) == set()


def test_a_minority_of_liars_moves_nothing() -> None:
    assert shards.agreed([]) == 0
    assert shards.agreed([400, 410, 420, 2**32 - 1, 2**32 - 1]) == 420
    assert shards.agreed([400, 410, 420, 0, 0]) == 400


def test_a_crowd_counts_publishers_once_and_eight_of_a_group() -> None:
    crowd = Crowd(0)
    for publisher in range(1000):
        crowd.came(1, publisher, 0)
    crowd.came(2, 0, 0)
    crowd.came(2, 0, 0)
    assert (crowd.groups(), crowd.publishers()) == (2, limits.GROUP_TOPIC_RECORDS + 1)


@given(st.integers(1, 5000))
def test_a_crowd_is_estimated_within_a_half(groups: int) -> None:
    crowd = Crowd(0)
    for number in range(groups):
        crowd.came(number * 0x9E3779B97F4A7C15 % 2**64, 7, 0)
    assert groups * 0.5 <= crowd.groups() == crowd.publishers() <= groups * 1.5


def test_the_hour_before_counts_until_this_one_is_over() -> None:
    crowd = Crowd(100)
    for number in range(50):
        crowd.came(number << 40, 0, 100)
    crowd.came(1, 0, 100 + limits.CROWD_SECONDS)
    assert crowd.publishers() == 50
    crowd.pass_time(99 + 2 * limits.CROWD_SECONDS)
    assert crowd.publishers() == 50
    crowd.pass_time(100 + 2 * limits.CROWD_SECONDS)
    assert crowd.publishers() == 1
    crowd.pass_time(100 + 9 * limits.CROWD_SECONDS)
    assert crowd.publishers() == 0


def test_the_published_vectors() -> None:
    vectors = json.loads((Path(__file__).parent.parent / "docs" / "vectors" / "shards.json").read_text())
    for one in vectors["shards"]:
        network, topic, group = network_named(one["network"]), bytes.fromhex(one["topic"]), bytes.fromhex(one["group"])
        assert shards.number_of(network, topic, group, one["depth"]) == one["number"]
        assert shards.key_of(network, topic, one["number"]).hex() == one["key"]
    for one in vectors["crowds"]:
        assert shards.depth_of(one["crowd"]) == one["depth"]
