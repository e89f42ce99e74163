"""Popular topics in a small simulated network, with small limits: shards are used, found, left and emptied again."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))

from simulator.crowd import Crowd
from simulator.options import Options, new_crowd
from simulator.sellers import Market

from p2pmarket import limits
from p2pmarket.dht import shards, values

NODES = 8
SELLERS = 70
EVERY = 10_000
FEW = 24  # more than the first questions bring


@pytest.fixture(scope="module")
def small() -> Iterator[None]:
    """Room for 20 instead of 512: 70 sellers are a crowd for shards of depth 3."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "TOPIC_RECORDS", 20)
        patch.setattr(limits, "SHARD_RECORDS", 12)
        patch.setattr(limits, "CROWD_GROUPS", 18)
        patch.setattr(limits, "CROWD_EARLY", 8)
        patch.setattr(shards, "FULL_FROM", 16)
        patch.setattr(values, "_SAMPLED", 18)
        patch.setattr("p2pmarket.dht.get._FEW", FEW)
        yield


def market_of(sellers: int) -> Market:
    market = Market(new_crowd(Options(nodes=NODES, seed=5, loss=0.0, talk=False)))
    market.visit(sellers)
    for _ in range(2):
        market.announce_all(market.sellers, 20)
    return market


@pytest.fixture(scope="module")
def market(small: None) -> Market:
    """70 sellers who came twice; tests must not change it."""
    return market_of(SELLERS)


def found(market: Market, want: int, reads: int = 4) -> list[set[bytes]]:
    """What as many reads found, by nodes that hold nothing."""
    crowd = market.crowd
    readers = [crowd.join_one(reachable=False) for _ in range(reads)]
    crowd.world.run_until(crowd.world.now + 10)
    gets = crowd.gets(reads, market.keys(), want, readers=readers)
    assert all(get.ended is not None for get in gets)
    for reader in readers:
        crowd.world.kill(reader)
    return [get.found for get in gets]


def keys(market: Market) -> set[bytes]:
    return {seller.key.public for seller in market.sellers}


def shards_held(crowd: Crowd) -> set[int]:
    """Numbers of the shards of which some node holds something."""
    held = [member.node.values.nearest_keys(0, 0, EVERY) for member in crowd.nodes()]
    return {number for keys in held for _, number in keys}


def test_all_of_a_crowd_are_found_and_nobody_holds_more_than_he_may(market: Market) -> None:
    for sellers in found(market, EVERY):
        assert sellers == keys(market)
    for member in market.crowd.nodes():
        assert member.node.values.held(market.keys()[0]) <= limits.TOPIC_RECORDS
    assert shards_held(market.crowd) >= {1, *shards.below(shards.WHOLE, 3)}


def test_every_seller_is_drawn_by_those_who_want_few(market: Market) -> None:
    reads = found(market, FEW, 20)
    assert all(len(sellers) >= FEW for sellers in reads)
    assert len(set[bytes]().union(*reads)) > 0.9 * SELLERS  # 1 - exp(-20 * 24 / 70) is nearly all


def test_withdrawn_sellers_are_found_nowhere(small: None) -> None:
    market = market_of(40)
    leaving = market.sellers[::2]
    for seller in leaving:
        market.announce(seller, withdrawn=True)
    market.crowd.world.run_until(market.crowd.world.now + 30)
    gone = {seller.key.public for seller in leaving}
    for sellers in found(market, EVERY):
        assert not sellers & gone
        assert sellers == keys(market) - gone


def test_a_crowd_that_goes_leaves_empty_shards_and_those_who_stay_are_found(small: None) -> None:
    market = market_of(40)
    world = market.crowd.world
    market.sellers = market.sellers[:10]
    for _ in range(5):
        world.run_until(world.now + limits.REFRESH_SECONDS - 10)
        market.announce_all(market.sellers, 10)
        assert all(sellers == keys(market) for sellers in (one & keys(market) for one in found(market, EVERY, 2)))
    assert len(shards_held(market.crowd)) <= 3  # the topic, and depth 1 in readiness
    assert found(market, EVERY, 1) == [keys(market)]


def test_liars_who_tell_of_a_crowd_hide_nobody(small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    market = market_of(12)
    rng = Random(3)
    for member in rng.sample(market.crowd.nodes(), NODES * 2 // 3):
        monkeypatch.setattr(member.node.values, "crowd", lambda key: EVERY)
        page = member.node.values.page
        monkeypatch.setattr(
            member.node.values,
            "page",
            lambda *asked, page=page: values.Page(page(*asked).envelopes[:1], limits.TOPIC_RECORDS, EVERY),
        )
    market.announce_all(market.sellers, 10)
    for sellers in found(market, EVERY, 2):
        assert sellers == keys(market)


def test_in_a_flood_from_many_subnets_all_sellers_are_found(small: None) -> None:
    market = market_of(12)
    flood = Market(market.crowd)
    flood.visit(10)
    for subnet in [*flood.sellers]:  # eight names of each subnet
        for _ in range(7):
            flood.visit(1)
            flood.sellers[-1].member.address = subnet.member.address
    flood.announce_all(flood.sellers, 30)
    market.announce_all(market.sellers, 10)
    for sellers in found(market, EVERY):
        assert sellers >= keys(market)
