"""Partitions between two parties heal: both ledgers come to the same states soon after."""

from __future__ import annotations

import pytest
from simulator.trade_partition import trade_partition

from p2pmarket.limits import MINUTE
from p2pmarket.market import delivery
from p2pmarket.trade import resending


def test_both_agree_soon_after_a_partition() -> None:
    figures = trade_partition(20, seed=4)
    assert figures["diverged"] == figures["lost"] == figures["doubled"] == 0
    assert float(figures["worst_heal_s"]) <= 300
    assert int(figures["acts"]) > 100


def test_both_agree_soon_after_longer_than_the_outbox_tries() -> None:
    figures = trade_partition(4, seed=4, days=10)
    assert figures["diverged"] == figures["lost"] == figures["doubled"] == 0
    assert float(figures["worst_heal_s"]) <= 300
    assert int(figures["resent"]) > 10


def test_without_another_try_one_side_alone_has_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resending, "RESENDINGS", 0)
    figures = trade_partition(2, seed=4, days=10)
    assert int(figures["lost"]) > 0


def test_the_same_seed_gives_the_same_figures() -> None:
    assert trade_partition(3, seed=9) == trade_partition(3, seed=9)


def test_who_dials_too_seldom_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "BACK_OFF_SECONDS", (30 * MINUTE,))
    assert float(trade_partition(8, seed=4)["worst_heal_s"]) > 300
