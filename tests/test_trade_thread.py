"""State as a fold: any order, any number of copies, the same end; and two honest ledgers agree in the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from itertools import combinations, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trade_world import (
    BUYER,
    DAY,
    REQUEST_KEY,
    ROUTES,
    SELLER,
    WALL,
    a_sheet,
    asked,
    changed,
    exchange,
    moment,
    some_terms,
)

from p2pmarket.errors import NotFound, Refusal, WrongState
from p2pmarket.network import TEST
from p2pmarket.trade import check, tables
from p2pmarket.trade.documents import Cancel, Counter, Despatch, Opened, OrderResponse, Quote, seal_document
from p2pmarket.trade.fulfilling import make_counter
from p2pmarket.trade.making import (
    make_acknowledgement,
    make_decline,
    make_order,
    make_order_response,
    make_outcome,
    make_quote,
    make_withdraw,
)
from p2pmarket.trade.thread import State, Thread, delivery_of, fold, slot
from p2pmarket.trade.values import OrderLine


@dataclass(frozen=True)
class Pool:
    """One request and a heap of documents about it, some of which contradict each other."""

    request: Opened
    documents: dict[str, Opened]

    def thread(self, *names: str) -> Thread:
        return Thread.of(TEST, SELLER.public, self.request, [self.documents[name] for name in names])

    def state(self, *names: str) -> State:
        return fold(self.thread(*names))


@cache
def pool() -> Pool:
    one = asked().quoted()
    ordered = one.ordered()
    two = ordered.quoted(text="v2")
    assert one.quote
    assert two.quote
    assert ordered.order
    order = ordered.order
    answers = {code: ordered.answered(code).response for code in ("AB", "AP", "RE")}
    answers["CA"] = two.answered("CA", quote=two.quote.hash).response
    late = changed(answers["AP"], SELLER, issued_at=WALL + 2 * DAY + 1) if answers["AP"] else None
    wish = Cancel(nonce=b"1" * 16, issued_at=WALL + 200, deal=order.hash, step="propose")
    wished = seal_document(wish, BUYER, TEST, SELLER.public)
    granted = Cancel(nonce=b"2" * 16, issued_at=WALL + 300, deal=order.hash, step="accept", about=wished.hash)
    counter = Counter(
        nonce=b"3" * 16, issued_at=WALL + 90, request=one.request.hash, version=1, answers=one.quote.hash,
        valid_until=WALL + DAY, sheet=a_sheet(), terms=some_terms(),
    )  # fmt: skip
    sent = Despatch(
        nonce=b"4" * 16, issued_at=WALL + 400, deal=order.hash, no=1, lines=(OrderLine(no=1, quantity="1"),)
    )
    documents = {
        "v1": one.quote,
        "v2": two.quote,
        "order": order,
        "AB": answers["AB"],
        "AP": answers["AP"],
        "RE": answers["RE"],
        "CA": answers["CA"],
        "late": late,
        "decline": make_decline(asked().thread, SELLER, moment(), "busy"),
        "withdraw": make_withdraw(one.thread, SELLER, moment(), one.quote.hash),
        "lost": make_outcome(one.thread, REQUEST_KEY, moment(), "lost"),
        "counter": seal_document(counter, REQUEST_KEY, TEST, SELLER.public),
        "wish": wished,
        "granted": seal_document(granted, SELLER, TEST, BUYER.public),
        "sent": seal_document(sent, SELLER, TEST, BUYER.public),
    }
    return Pool(one.request, {name: opened for name, opened in documents.items() if opened is not None})


NAMES = sorted(pool().documents)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_the_fold_is_commutative_and_idempotent(data: st.DataObject) -> None:
    names = data.draw(st.sets(st.sampled_from(NAMES)))
    shuffled = data.draw(st.permutations(sorted(names)))
    copies = data.draw(st.lists(st.sampled_from(sorted(names)), max_size=5)) if names else []
    one_by_one = pool().thread()
    for name in (*shuffled, *copies):
        one_by_one = one_by_one.adding(pool().documents[name])
    assert fold(one_by_one) == pool().state(*sorted(names)) == pool().state(*copies, *shuffled)


def deal(*names: str) -> str | None:
    state = pool().state(*names)
    order = pool().documents["order"].hash
    return state.deals.get(order)


def test_what_weighs_more_wins_in_every_order() -> None:
    for names in permutations(("v1", "order", "AP", "RE", "withdraw")):
        assert deal(*names) == "agreed"


@pytest.mark.parametrize(
    ("names", "state"),
    [
        ("v1 order", "ordered"),
        ("order", None),  # its quote is not here yet
        ("v1 AP", None),
        ("v1 order AB", "acknowledged"),
        ("v1 order AB AP", "agreed"),
        ("v1 order RE", "rejected"),
        ("v1 order withdraw", "rejected"),
        ("v1 order CA", "amended"),
        ("v1 order CA v2 RE", "amended"),
        ("v1 order CA v2 AP", "agreed"),
        ("v1 v2 order", "ordered"),
        ("v1 v2 order AP", "agreed"),
        ("v1 order late", "ordered"),  # signed after the order's validity: binds nobody
        ("v1 order wish", "ordered"),  # a wish alone frees nobody
        ("v1 order AP wish", "agreed"),
        ("v1 order AP wish granted", "cancelled"),
        ("v1 order wish granted", "cancelled"),
        ("v1 order AP granted", "agreed"),
        ("v1 order AP sent", "in_delivery"),
        ("v1 order sent", "ordered"),
    ],
)
def test_deals(names: str, state: str | None) -> None:
    assert deal(*names.split()) == state


@pytest.mark.parametrize(
    ("names", "state"),
    [
        ("v1", "open"),
        ("v1 v2", "superseded"),
        ("v1 counter", "countered"),
        ("v1 counter v2", "superseded"),
        ("v1 withdraw", "withdrawn"),
        ("v1 lost", "lost"),
        ("v1 order", "ordered"),
        ("v1 order RE", "ordered"),
        ("v1 order lost", "ordered"),
        ("v1 order withdraw", "withdrawn"),
        ("v1 order v2", "superseded"),
        ("v1 order v2 AP withdraw", "ordered"),
    ],
)
def test_quotes(names: str, state: str) -> None:
    found = pool().state(*names.split())
    assert found.quotes[pool().documents["v1"].hash] == state
    newest = "v2" if "v2" in names.split() else "v1"
    assert found.newest == pool().documents[newest].hash


def test_answers_of_a_seller() -> None:
    assert pool().state().answer == "waiting"
    assert pool().state("decline").answer == "waiting"  # it declines another request
    world = asked()
    decline = make_decline(world.thread, SELLER, moment(), "stock")
    assert fold(world.thread.adding(decline)).answer == "declined"
    assert fold(world.quoted().thread.adding(decline)).answer == "quoted"


def test_contradictions_are_named() -> None:
    state = pool().state("v1", "order", "AP", "RE", "withdraw")
    order, quote = pool().documents["order"].hash, pool().documents["v1"].hash
    assert set(state.contradictions) == {(order, "rejected"), (order, "withdrawn"), (quote, "withdrawn")}
    assert pool().state("v1", "order", "v2", "AP", "lost").contradictions == ()
    assert pool().state("v1", "order", "withdraw").contradictions == ()


def test_documents_of_others_change_nothing() -> None:
    stranger = changed(pool().documents["withdraw"], BUYER)
    thread = pool().thread("v1").adding(stranger)
    assert fold(thread).quotes == pool().state("v1").quotes


def test_slots() -> None:
    documents = pool().documents
    assert slot(documents["AP"]) == slot(documents["RE"]) != slot(documents["AB"])
    assert slot(documents["v1"]) != slot(documents["v2"])
    assert slot(documents["order"]) is not None
    assert slot(documents["withdraw"]) is None


def test_delivery_from_acknowledgements() -> None:
    quote = pool().documents["v1"]
    received, seen = (make_acknowledgement(quote, REQUEST_KEY, TEST, moment(), s) for s in ("received", "seen"))
    refused = make_acknowledgement(quote, REQUEST_KEY, TEST, moment(), "refused", "totals")
    states = [
        ((), False, False, "queued"),
        ((), True, False, "sent"),
        ((), True, True, "failed"),
        ((received,), True, True, "delivered"),
        ((seen, received), True, False, "seen"),
        ((refused, received), True, False, "failed"),
    ]
    for documents, sent, given_up, state in states:
        assert delivery_of(quote.hash, documents, sent=sent, given_up=given_up) == state
    assert delivery_of(b"\0" * 32, (received,), sent=True, given_up=False) == "sent"


# Two ledgers


@dataclass
class Side:
    """One party: his thread, what came too early, what is on its way to him."""

    thread: Thread
    early: list[Opened] = field(default_factory=list)
    coming: list[Opened] = field(default_factory=list)

    def take(self, place: int) -> None:
        """One of the documents under way arrives; then all that waited for it."""
        self.early.append(self.coming.pop(place % len(self.coming)))
        for _ in range(len(self.early)):
            for opened in list(self.early):
                try:
                    check.check(self.thread, opened, WALL + 500)
                except Refusal as refusal:
                    if not refusal.reason.startswith("unknown_"):
                        raise
                else:
                    self.thread = self.thread.adding(opened)
                    self.early.remove(opened)


def act(verb: str, me: Side, wall: int) -> Opened:
    """Do something if the tables allow it. Raises WrongState, NotFound."""
    thread = me.thread
    now = moment(wall)
    newest = thread.newest or b""
    order = max(thread.orders, default=b"")
    if verb == "quote":
        return make_quote(thread, SELLER, now, sheet=a_sheet(), terms=some_terms(), valid_until=WALL + DAY)
    if verb == "decline":
        return make_decline(thread, SELLER, now, "stock")
    if verb == "withdraw":
        return make_withdraw(thread, SELLER, now, newest)
    if verb == "order":
        return make_order(thread, BUYER, REQUEST_KEY, now, quote=newest, answer_by=WALL + DAY, reply_key=exchange("r"), routes=ROUTES)  # fmt: skip # noqa: E501
    if verb == "lose":
        return make_outcome(thread, REQUEST_KEY, now, "lost")
    code = {"accept": "AP", "reject": "RE", "receive": "AB"}[verb]
    return make_order_response(thread, SELLER, now, order, code, by_hand=True)  # type: ignore[arg-type]


SELLS = ("quote", "quote", "decline", "withdraw", "accept", "accept", "reject", "receive")
BUYS = ("order", "order", "lose")
steps = st.lists(
    st.one_of(st.sampled_from(SELLS), st.sampled_from(BUYS), st.tuples(st.sampled_from("bs"), st.integers(0, 5))),
    max_size=14,
)


@given(steps, st.randoms(use_true_random=False))
@settings(max_examples=250, deadline=None)
def test_two_honest_ledgers_reach_the_same_end(moves: list[str | tuple[str, int]], chance: object) -> None:
    world = asked()
    buyer, seller = Side(world.thread), Side(world.thread)
    for n, move in enumerate(moves):
        if isinstance(move, tuple):
            side = buyer if move[0] == "b" else seller
            if side.coming:
                side.take(move[1])
            continue
        me, other = (seller, buyer) if move in SELLS else (buyer, seller)
        try:
            made = act(move, me, WALL + n)
        except (WrongState, NotFound):
            continue
        me.thread = me.thread.adding(made)
        other.coming.append(made)
    for side in (buyer, seller):
        while side.coming:
            side.take(chance.randrange(9))  # type: ignore[attr-defined]
        assert not side.early
    assert fold(buyer.thread) == fold(seller.thread)
    assert fold(seller.thread).contradictions == ()
    slots = [slot(opened) for opened in seller.thread.documents.values() if slot(opened)]
    assert len(slots) == len(set(slots))


# The tables


@pytest.mark.parametrize("machine", tables.MACHINES.values(), ids=lambda machine: machine.name)
def test_every_state_can_be_reached_and_every_event_is_ordered(machine: tables.Machine) -> None:
    reached, todo = {machine.start}, [machine.start]
    while todo:
        state = todo.pop()
        after = {to for (at, _), to in machine.moves.items() if at == state} - reached
        reached |= after
        todo += after
    assert reached == machine.states
    assert {event for _, event in machine.moves} - {"reached"} == set(machine.order)


@pytest.mark.parametrize("machine", tables.MACHINES.values(), ids=lambda machine: machine.name)
def test_a_missing_key_is_the_error(machine: tables.Machine) -> None:
    events = {event for _, event in machine.moves}
    for state in machine.states:
        for event in events:
            if machine.may(state, event):
                assert machine.step(state, event) in machine.states
            else:
                with pytest.raises(WrongState):
                    machine.step(state, event)


@pytest.mark.parametrize("machine", tables.MACHINES.values(), ids=lambda machine: machine.name)
def test_a_set_of_events_has_one_end(machine: tables.Machine) -> None:
    for size in range(min(4, len(machine.order)) + 1):
        for events in combinations(machine.order, size):
            ends = {machine.end(order) for order in permutations(events)} | {machine.end(events * 2)}
            assert len(ends) == 1


def test_turns_and_actions_name_states_that_exist() -> None:
    for name, state in tables.TURNS:
        assert state in tables.MACHINES[name].states
    for name, state, _ in tables.ACTIONS:
        assert state in tables.MACHINES[name].states
    assert tables.turn(tables.DEAL, "ordered", "seller") == "me"
    assert tables.turn(tables.DEAL, "ordered", "buyer") == "other"
    assert tables.turn(tables.DEAL, "rejected", "buyer") == "none"
    assert tables.actions(tables.DEAL, "ordered", "seller")[:2] == ("accept", "reject")
    assert tables.actions(tables.DEAL, "ordered", "buyer") == ("cancel", "note")
    assert tables.actions(tables.DEAL, "rejected", "buyer") == ()


def test_labels_come_from_the_clock_and_bind_nobody() -> None:
    assert tables.quote_label("open", WALL, WALL) == "open"
    assert tables.quote_label("open", WALL, WALL + 1) == "expired"
    assert tables.quote_label("ordered", WALL, WALL + 1) == "ordered"
    assert tables.overdue(tables.DEAL, "ordered", WALL, WALL) is None
    assert tables.overdue(tables.DEAL, "ordered", WALL, WALL + 1) == "overdue: may still be accepted"
    assert tables.overdue(tables.DEAL, "rejected", WALL, WALL + 1) is None


def test_order_states_are_those_of_the_interface() -> None:
    shown = {tables.order_state(state) for state in tables.DEAL.states}
    assert shown == {"ordered", "accepted", "rejected", "amended", "cancelled"}
    assert isinstance(pool().documents["AP"].document, OrderResponse)
    assert isinstance(pool().documents["v1"].document, Quote)


def test_a_declined_counter_leaves_the_quote_as_it_was() -> None:
    world = asked().quoted()
    assert world.quote is not None
    wish = make_counter(
        world.thread,
        REQUEST_KEY,
        moment(WALL + 90),
        world.quote.hash,
        sheet=a_sheet(),
        terms=some_terms(),
        valid_until=WALL + DAY,
    )
    countered = world.thread.adding(wish)
    assert fold(countered).quotes[world.quote.hash] == "countered"
    no = make_decline(countered, SELLER, moment(WALL + 100), "price", counter=wish.hash)
    check.check(countered, no, WALL + 200)
    with pytest.raises(Refusal) as refusal:
        check.check(world.thread, no, WALL + 200)  # the counter is not here
    assert refusal.value.reason == "unknown_document"
    after = countered.adding(no)
    assert fold(after).quotes[world.quote.hash] == "open"
    assert fold(after).answer == "quoted"
    with pytest.raises(WrongState):
        make_decline(after, SELLER, moment(WALL + 110), "price", counter=wish.hash)
    with pytest.raises(NotFound):
        make_decline(after, SELLER, moment(WALL + 110), "price", counter=no.hash)
