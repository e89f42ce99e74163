"""Hosts where nobody answers: called rarely, one by one, and forgiven at once when somebody does."""

from __future__ import annotations

import pytest

from p2pmarket import limits
from p2pmarket.market.places import Places
from p2pmarket.network import DEV, MAIN, Network

VICTIM, OTHER_PORT, OTHER = ("203.0.113.7", 443), ("203.0.113.7", 80), ("203.0.113.8", 443)


def failing(network: Network = MAIN) -> Places:
    """A victim that was called in vain as often as that passes."""
    places = Places(network)
    for _ in range(limits.PLACE_FAILURES):
        assert places.to_call([VICTIM], 0) == [VICTIM]
        places.failed([VICTIM])
    return places


def test_failures_at_the_limit_and_one_over() -> None:
    places = failing()
    assert places.to_call([VICTIM, OTHER], 1) == [OTHER]
    assert places.to_call([VICTIM], limits.PLACE_SECONDS - 1) == []
    assert places.to_call([VICTIM], limits.PLACE_SECONDS) == [VICTIM]
    assert places.to_call([VICTIM], limits.PLACE_SECONDS) == []


def test_all_ports_of_a_host_count_together_except_where_a_market_is_one_host() -> None:
    assert failing().to_call([OTHER_PORT], 1) == []
    assert failing(DEV).to_call([OTHER_PORT], 1) == [OTHER_PORT]


def test_a_host_that_answers_is_called_as_before() -> None:
    places = failing()
    places.reached(OTHER_PORT)
    assert places.to_call([VICTIM], 1) == [VICTIM]


def test_a_flood_that_names_one_victim_calls_it_once_a_minute() -> None:
    """Ten requests a second for ten minutes."""
    places, calls = Places(MAIN), 0
    for tick in range(6000):
        now, port = tick / 10, 1024 + tick
        if chosen := places.to_call([(VICTIM[0], port)], now):
            calls += len(chosen)
            places.failed(chosen)
    assert calls <= limits.PLACE_FAILURES + 600 / limits.PLACE_SECONDS


def test_places_remembered_at_the_limit_and_one_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("p2pmarket.market.places.PLACES", 2)
    places = failing()
    places.failed([OTHER])
    assert places.to_call([VICTIM], 1) == []
    places.failed([OTHER, ("203.0.113.9", 1)])
    assert places.to_call([VICTIM], 1) == [VICTIM]
