"""When somebody who is lost is looked for."""

from __future__ import annotations

from p2pmarket.limits import LOST_KEPT
from p2pmarket.market.lost import FORGET_SECONDS, LATER_SECONDS, SOON_SECONDS, Lost

SELLER = (b"ours", b"his")


def test_a_look_in_vain_is_repeated_soon_by_itself_and_later_when_he_is_lost_again() -> None:
    lost, now = Lost(), 1000.0
    assert lost.add(SELLER, now)
    for pause in SOON_SECONDS:
        assert lost.now_due(now) == [SELLER]
        lost.looked(SELLER, now, in_vain=True)
        assert lost.due == {SELLER: now + pause}
        assert lost.now_due(now + pause - 1) == []
        now += pause
    for _ in range(3):
        lost.looked(SELLER, now, in_vain=True)
        assert lost.due == {}
        assert lost.add(SELLER, now + 5)
        assert lost.due == {SELLER: now + LATER_SECONDS}
        now += LATER_SECONDS


def test_one_look_is_enough_where_it_cannot_help_to_look_again() -> None:
    lost = Lost()
    lost.add(SELLER, 0)
    lost.looked(SELLER, 0, in_vain=False)
    assert lost.due == {}
    lost.add(SELLER, 1)
    assert lost.due == {SELLER: SOON_SECONDS[0]}


def test_who_is_reached_is_not_looked_for_and_coming_and_going_does_not_begin_anew() -> None:
    lost, now = Lost(), 0.0
    for _ in range(len(SOON_SECONDS) + 1):
        lost.add(SELLER, now)
        lost.reached(SELLER)
        lost.looked(SELLER, now, in_vain=True)  # he was reached during the look
        assert lost.due == {}
    lost.add(SELLER, now)
    assert lost.due == {SELLER: now + LATER_SECONDS}
    lost.reached(SELLER)
    lost.add(SELLER, now + FORGET_SECONDS - 1)
    assert lost.due == {SELLER: now + LATER_SECONDS}
    lost.reached(SELLER)
    lost.add(SELLER, now + FORGET_SECONDS)
    assert lost.now_due(now) == [SELLER]


def test_lost_links_at_the_limit_and_one_over() -> None:
    lost = Lost()
    names = [(b"ours", b"%d" % number) for number in range(LOST_KEPT + 1)]
    assert [lost.add(name, 0) for name in names] == [True] * LOST_KEPT + [False]
    assert not lost.add(names[0], 0)  # known
    lost.reached(names[0])
    assert lost.add(names[-1], 0)
    assert list(lost.due) == names[1:]


def test_looks_remembered_at_the_limit_and_one_over() -> None:
    lost = Lost()
    names = [(b"ours", b"%d" % number) for number in range(LOST_KEPT + 1)]
    for name in names[:-1]:
        lost.looked(name, 0, in_vain=False)
    lost.add(names[0], 1)
    assert lost.now_due(1) == []  # remembered
    lost.reached(names[0])
    lost.looked(names[-1], 1, in_vain=False)
    lost.add(names[0], 1)
    assert lost.now_due(1) == [names[0]]  # the oldest went
