"""Whole trades: one end for any order of arrival, states on the way, slots; counters and notes before the order."""

from __future__ import annotations

from functools import cache

import pytest
from deal_world import (
    LATER,
    REFEREE,
    Trade,
    agreed_trade,
    cancelled_trade,
    parts_trade,
    quarrel,
    whole_trade,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from trade_world import (
    BUYER,
    DAY,
    REQUEST_KEY,
    SELLER,
    STRANGER,
    WALL,
    World,
    a_sheet,
    asked,
    changed,
    moment,
    some_terms,
)

from p2pmarket.errors import BadInput, NotFound, Refusal, WrongState
from p2pmarket.network import TEST
from p2pmarket.trade import check, tables
from p2pmarket.trade.documents import KINDS, Opened, kind_of
from p2pmarket.trade.fulfilling import make_counter, make_note
from p2pmarket.trade.thread import Thread, fold, slot

TRADES = {"whole": whole_trade, "quarrel": quarrel, "cancelled": cancelled_trade, "parts": parts_trade}


@cache
def trade(name: str) -> Trade:
    return TRADES[name]()


def deal_state(made: Trade) -> str:
    return fold(made.thread).deals[made.deal]


def refused(thread: Thread, opened: Opened) -> str | None:
    try:
        check.check(thread, opened, LATER + DAY)
    except Refusal as refusal:
        return refusal.reason
    return None


# The fold


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_the_fold_of_whole_trades_is_commutative_and_idempotent(data: st.DataObject) -> None:
    made = trade(data.draw(st.sampled_from(sorted(TRADES))))
    names = data.draw(st.sets(st.sampled_from(sorted(made.papers))))
    shuffled = data.draw(st.permutations(sorted(names)))
    copies = data.draw(st.lists(st.sampled_from(sorted(names)), max_size=5)) if names else []
    one_by_one = Thread.of(TEST, SELLER.public, made.thread.request)
    for name in (*shuffled, *copies):
        one_by_one = one_by_one.adding(made.papers[name])
    at_once = Thread.of(TEST, SELLER.public, made.thread.request, [made.papers[name] for name in sorted(names)])
    assert fold(one_by_one) == fold(at_once)


@given(st.sampled_from(sorted(TRADES)), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_any_order_of_arrival_is_taken_in_the_end(name: str, chance: object) -> None:
    """Documents of one signer come in the order in which he made them; those of several in any."""
    made = trade(name)
    queues: dict[bytes, list[Opened]] = {}
    for opened in made.papers.values():
        queues.setdefault(opened.signer, []).append(opened)
    turns = [signer for signer, queue in queues.items() for _ in queue]
    chance.shuffle(turns)  # type: ignore[attr-defined]
    waiting = [queues[signer].pop(0) for signer in turns]
    thread = Thread.of(TEST, SELLER.public, made.thread.request)
    while waiting:
        left = []
        for opened in waiting:
            reason = refused(thread, opened)
            if reason is None:
                thread = thread.adding(opened)
            else:
                assert reason.startswith("unknown_"), (opened.name, reason)
                left.append(opened)
        assert len(left) < len(waiting), [opened.name for opened in left]
        waiting = left
    assert fold(thread) == fold(made.thread)


def test_the_trades_hold_every_kind_and_end_as_they_should() -> None:
    kinds = {opened.kind for name in TRADES for opened in trade(name).papers.values()}
    assert {kind_of(cls) for cls in KINDS.values()} - kinds == {1, 2, 3, 6, 7}
    ends = {name: deal_state(trade(name)) for name in TRADES}
    assert ends == {"whole": "completed", "quarrel": "settled", "cancelled": "cancelled", "parts": "completed"}
    for name in TRADES:
        state = fold(trade(name).thread)
        assert state.contradictions == ()
        assert state.proposals == {}
    assert [state for _, state in sorted(fold(trade("whole").thread).payments.items())] == ["confirmed", "confirmed"]
    assert [state for _, state in sorted(fold(trade("cancelled").thread).payments.items())] == []


def test_states_on_the_way() -> None:
    made = trade("whole")
    expected = {
        "quote": None, "order": None, "response": "ordered", "chat": "agreed", "despatch": "agreed",
        "receipt": "in_delivery", "rest": "in_delivery", "rest_received": "in_delivery", "invoice": "delivered",
        "paid_in": "delivered", "rating": "completed",
    }  # fmt: skip
    for name, state in expected.items():
        assert fold(made.without(name)).deals.get(made.deal) == state, name
    payments = {
        "deposit": ["due"],
        "confirmed": ["advised"],
        "despatch": ["confirmed", "due"],
        "rating": ["confirmed"] * 2,
    }
    for name, states in payments.items():
        found = fold(made.without(name)).payments
        assert [found[place] for place in sorted(found)] == states, name


def test_a_document_again_changes_nothing_and_another_in_its_place_is_equivocation() -> None:
    for name in TRADES:
        made = trade(name)
        for opened in made.papers.values():
            assert refused(made.thread, opened) is None
            assert made.thread.adding(opened) == made.thread
            signer = next(key for key in (BUYER, SELLER, REQUEST_KEY, REFEREE) if key.public == opened.signer)
            second = changed(opened, signer, nonce=b"2" * 16)
            if slot(opened) is not None:
                assert slot(second) == slot(opened)
                assert refused(made.thread, second) in {"equivocation", "signature"}, opened.name


# Before the order


def test_a_counter_is_answered_by_the_next_version() -> None:
    made = agreed_trade()
    before = made.without("second")
    first = made.papers["quote"].hash
    assert fold(before).quotes[first] == "countered"
    assert tables.turn(tables.QUOTE, "countered", "seller") == "me"
    with pytest.raises(WrongState):
        make_counter(before, REQUEST_KEY, moment(), first, sheet=a_sheet(), terms=some_terms(), valid_until=WALL + DAY)
    assert fold(made.without("order")).quotes[first] == "superseded"
    counter = made.papers["counter"]
    early = changed(made.papers["second"], SELLER, version=1)
    assert refused(before, early) == "equivocation"
    alone = Thread.of(TEST, SELLER.public, made.thread.request, [made.papers["quote"], made.papers["second"]])
    assert refused(alone, counter) is None
    late = changed(counter, REQUEST_KEY, version=2, answers=made.papers["second"].hash)
    assert refused(alone, late) is None
    wrong = changed(made.papers["second"], SELLER, answers=late.hash)
    others = Thread.of(TEST, SELLER.public, made.thread.request, [made.papers["quote"]])
    assert refused(others.adding(late), wrong) == "version"
    assert refused(others.adding(wrong), changed(counter, REQUEST_KEY)) is None


def test_who_was_introduced_is_who_orders() -> None:
    world = asked().quoted()
    assert world.quote
    note = make_note(world.thread, REQUEST_KEY, moment(), world.request.hash, introduce=STRANGER)
    told = World(world.thread.adding(note), world.request, world.quote)
    with pytest.raises(BadInput) as error:
        told.ordered()
    assert error.value.details["reason"] == "identity"
    ordered = world.ordered()
    assert refused(ordered.thread, note) == "identity"
    for thread, introduced in ((told.thread, BUYER), (ordered.thread, STRANGER)):
        with pytest.raises(BadInput):
            make_note(thread, REQUEST_KEY, moment(), world.request.hash, introduce=introduced)
    make_note(ordered.thread, REQUEST_KEY, moment(), world.request.hash, introduce=BUYER)
    with pytest.raises(BadInput):
        make_note(world.thread, SELLER, moment(), world.request.hash, introduce=BUYER)


def test_notes_need_something_to_say_and_to_be_about() -> None:
    world = asked().quoted().ordered()
    assert world.order
    with pytest.raises(NotFound):
        make_note(world.thread, SELLER, moment(), b"x" * 32, "hello")
    with pytest.raises(BadInput):
        make_note(world.thread, SELLER, moment(), world.request.hash)
    for key in (REQUEST_KEY, STRANGER):  # of an order the identities talk
        with pytest.raises(BadInput):
            make_note(world.thread, key, moment(), world.order.hash, "hello")
    note = make_note(world.thread, BUYER, moment(), world.order.hash, "hello")
    talk = world.thread.adding(note)
    make_note(talk, SELLER, moment(), world.order.hash, "yes?", answers=note.hash)
    with pytest.raises(BadInput):  # an answer stays with its matter
        make_note(talk, SELLER, moment(), world.request.hash, "yes?", answers=note.hash)
    with pytest.raises(BadInput):  # and a note is not a matter
        make_note(talk, SELLER, moment(), note.hash, "yes?")
