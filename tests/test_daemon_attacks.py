"""Real daemons, and what a hostile or clumsy caller may ask of them: an answer, and the daemon stays."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from daemons import Market, Peer, a_market, until

LONG_NAME = "가" * 60
REGIONS = ("KR", "JP", "DE", "FR", "GB", "US", "CA", "CN", "IN", "IT", "ES", "NL", "BE", "AT", "CH", "SE", "NO", "FI")


@pytest.fixture(scope="module")
def net() -> Iterator[Market]:
    with a_market("seller", "buyer") as net:
        yield net


@pytest.fixture
def seller(net: Market) -> Peer:
    return net["seller"]


# What is announced changes with the profile


def test_a_cleared_region_does_not_end_a_daemon_that_announces(seller: Peer) -> None:
    seller.ask("profile", "set", "region", "KR")
    seller.announce("coffee")
    seller.ask("profile", "set", "region", "")
    seller.announce("tea")  # published after the change, as everything is
    assert seller.ask("profile")["profile"]["region"] is None
    seller.crash()
    until("the announcement again", lambda: all(one.holders for one in seller.client.status().announcements) or None)


def test_a_name_that_no_announcement_has_room_for_is_refused(seller: Peer) -> None:
    seller.announce("나" * 100)
    seller.ask("announce", "나" * 100, *(word for code in REGIONS for word in ("--serves", code)))
    error = seller.refuse(65, "profile", "set", "name", LONG_NAME)
    assert error["code"] == "bad_input"
    assert seller.ask("profile")["profile"]["name"] is None
    seller.ask("profile", "set", "name", "short")
    seller.announce("milk")
    assert seller.alive()
