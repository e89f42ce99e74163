"""All interleavings of a quote's and a deal's documents: whatever is lost, doubled or late, both ledgers end alike."""

from __future__ import annotations

import pytest
from interleavings import EXPIRED, FEWER, Explorer

from p2pmarket.errors import Refusal
from p2pmarket.trade import check
from p2pmarket.trade.documents import Document, Opened, Order
from p2pmarket.trade.thread import Thread


def test_seven_messages_in_every_interleaving_lead_both_sides_to_one_end() -> None:
    explorer = Explorer(FEWER)
    explorer.explore(7)
    assert explorer.situations > 100_000
    ends = {state for end in explorer.ends for state in end}
    assert ends == {"ordered", "agreed", "rejected", "cancelled"}


def test_all_acts_in_every_interleaving_of_five_messages() -> None:
    explorer = Explorer()
    explorer.explore(5)
    assert explorer.situations > 5_000
    assert {"acknowledged", "amended"} <= {state for end in explorer.ends for state in end}


def test_a_check_that_depends_on_what_came_first_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def jealous(thread: Thread, opened: Opened, wall: int) -> None:
        check.check_order(thread, opened, wall)
        if thread.withdrawn:
            raise Refusal("withdrawn", "came after the withdrawal")

    checks: dict[type[Document], object] = {**check.CHECKS, Order: jealous}
    monkeypatch.setattr(check, "CHECKS", checks)
    with pytest.raises(AssertionError, match="withdrawn"):
        Explorer(FEWER).explore(3)


def test_a_check_that_waits_for_what_never_comes_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def deaf(thread: Thread, opened: Opened, wall: int) -> None:
        if wall == EXPIRED and opened.document.issued_at < EXPIRED:  # as a receiver, not before sending
            raise Refusal("unknown_order", "never heard of it")

    checks: dict[type[Document], object] = {**check.CHECKS, Order: deaf}
    monkeypatch.setattr(check, "CHECKS", checks)
    with pytest.raises(AssertionError, match="nothing can be delivered"):
        Explorer(FEWER).explore(3)
