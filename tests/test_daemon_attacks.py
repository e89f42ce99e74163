"""Real daemons, and what a hostile or clumsy caller may ask of them: an answer, and the daemon stays."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemons import Market, Peer, a_market, start_here, until

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


# Homes of an odd shape


def test_a_home_that_is_a_link_to_another_folder(net: Market, tmp_path: Path) -> None:
    peer = net.add("linked", start=False)
    (tmp_path / "disk").mkdir(mode=0o700)
    peer.home.rmdir()
    peer.home.symlink_to(tmp_path / "disk")
    peer.start()
    assert peer.alive()
    assert peer.ask("id")["home"] == str(peer.home)
    assert all(stat.S_IMODE(file.lstat().st_mode) == 0o600 for file in (tmp_path / "disk").iterdir())
    assert peer.daemon.stop() == 0


def test_a_cache_that_cannot_be_made_anew_is_said(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "cache.sqlite").mkdir(parents=True, mode=0o700)
    home.chmod(0o700)
    said = start_here("--home", str(home), "--listen", "127.0.0.1:0", "--network", "dev")
    assert said.code == 1
    assert "cache.sqlite is damaged and cannot be removed" in said.err
    assert "Traceback" not in said.err
