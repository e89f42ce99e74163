"""Deliveries lost, doubled, late and in any order: two ledgers end equal, and nothing is done twice."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from market_world import Side, World, acknowledgement, inside, new_world, price

from p2pmarket.api.types import bodies as b
from p2pmarket.config import Quoting
from p2pmarket.errors import LocalError
from p2pmarket.store.ledger import Ledger
from p2pmarket.trade.documents import ACKNOWLEDGEMENT, OrderResponse
from p2pmarket.trade.tables import order_state

PICK = st.integers(0, 10**6)


class Trade(RuleBasedStateMachine):
    """A buyer and a seller who act on what they know, and a network that delivers what it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.folder = tempfile.TemporaryDirectory()
        self.world: World = new_world(Path(self.folder.name), self.patch)
        self.buyer, self.seller = self.world.buyer, self.world.seller
        self.to_seller: list[bytes] = []
        self.to_buyer: list[bytes] = []
        self.answers: dict[bytes, set[bytes]] = {}
        self.answered: set[bytes] = set()  # messages that were not acknowledged: a quote or a response did it

    def teardown(self) -> None:
        try:
            self.comes_to_rest()
        finally:
            self.world.close()
            self.folder.cleanup()
            self.patch.undo()

    @initialize(auto=st.booleans(), accept=st.booleans(), stock=st.sampled_from([None, "10", "15"]))
    def ask(self, auto: bool, accept: bool, stock: str | None) -> None:
        self.seller.sell([price(1, "B1", "beans", stock=stock)], Quoting(auto=auto, accept=accept))
        self.request = self.buyer.request("10 beans", sellers=[self.seller])
        self.link = self.buyer.link(self.request, self.seller)
        self.collect()

    # The two sides act

    def attempt(self, side: Side, work: Callable[[Ledger], object]) -> None:
        """Do it, if it can be done in this state."""
        try:
            side.run(work)
        except LocalError:
            return
        self.collect()

    @rule()
    def quote(self) -> None:
        def work(tx: Ledger) -> object:
            row = tx.requests.get(self.request.hash)
            body = b.NewQuote(lines=[b.NewQuoteLine(no=1, price="2 EUR")])
            return row and self.seller.selling.quote(tx, row, body, self.world.clock())

        self.attempt(self.seller, work)

    @rule()
    def decline(self) -> None:
        def work(tx: Ledger) -> object:
            row = tx.requests.get(self.request.hash)
            return row and self.seller.selling.decline(tx, row, b.Decline(reason="stock"), self.world.clock())

        self.attempt(self.seller, work)

    @rule(pick=PICK)
    def withdraw(self, pick: int) -> None:
        quotes = self.seller.quotes(self.request)
        if quotes:
            quote = quotes[pick % len(quotes)]
            self.attempt(self.seller, lambda tx: self.seller.selling.withdraw(tx, quote, None, self.world.clock()))

    @rule(pick=PICK, yes=st.booleans())
    def answer(self, pick: int, yes: bool) -> None:
        orders = self.seller.orders()
        if not orders:
            return
        order, now, selling = orders[pick % len(orders)], self.world.clock(), self.seller.selling
        if yes:
            self.attempt(self.seller, lambda tx: selling.accept(tx, order, None, now))
        else:
            self.attempt(self.seller, lambda tx: selling.reject(tx, order, "stock", None, now))

    @rule(pick=PICK, part=st.booleans())
    def order(self, pick: int, part: bool) -> None:
        quotes = self.buyer.quotes(self.request)
        if quotes:
            lines = [b.NewOrderLine(no=1, quantity="4")] if part else []
            body = b.NewOrder(quote=quotes[pick % len(quotes)].id, lines=lines)
            self.attempt(self.buyer, lambda tx: self.buyer.buying.order(tx, body, self.world.clock()))

    @rule(state=st.sampled_from(["enough", "cancelled"]))
    def close(self, state: str) -> None:
        def work(tx: Ledger) -> object:
            row = tx.requests.get(self.request.hash)
            body = b.CloseRequest(state=state)  # type: ignore[arg-type]
            return row and self.buyer.buying.close(tx, row, body, self.world.clock())

        self.attempt(self.buyer, work)

    @rule(seconds=st.sampled_from([1, 3600, 86_400, 8 * 86_400]))
    def wait(self, seconds: int) -> None:
        self.world.clock.now += seconds

    # The network delivers

    def collect(self) -> None:
        """Whatever was ever sent may come at any time, again and again."""
        for pool, side in ((self.to_seller, self.buyer), (self.to_buyer, self.seller)):
            link = self.link if side is self.buyer else self.link[::-1]
            pool.extend(message for message in side.waiting((link[0], link[1])) if message not in pool)

    def deliver(self, side: Side, messages: list[bytes]) -> None:
        link = self.link[::-1] if side is self.seller else self.link
        by_hash = {inside(message).hash: message for message in messages}
        told = side.take(messages, (link[0], link[1])).answers
        assert {one for one in told if inside(one).kind != ACKNOWLEDGEMENT} <= {*self.to_seller, *self.to_buyer}
        answers = {one: acknowledgement(one).about for one in told if inside(one).kind == ACKNOWLEDGEMENT}
        for answer, about in answers.items():
            self.answers.setdefault(by_hash[about], set()).add(answer)
        for hash_ in by_hash.keys() - set(answers.values()):
            assert side is self.seller
            assert hash_ in self.named_by_the_seller()
            self.answered.add(by_hash[hash_])
        self.collect()

    def named_by_the_seller(self) -> set[bytes]:
        """The request if he has quoted, and the orders that he has answered."""
        thread = self.seller.thread(self.request, self.seller)
        return {quote.request for quote in thread.quotes.values()} | {
            response.order for _, response in thread.each(OrderResponse)
        }

    @precondition(lambda self: self.to_seller)
    @rule(picks=st.lists(PICK, min_size=1, max_size=4))
    def arrive_at_the_seller(self, picks: list[int]) -> None:
        self.deliver(self.seller, [self.to_seller[pick % len(self.to_seller)] for pick in picks])

    @precondition(lambda self: self.to_buyer)
    @rule(picks=st.lists(PICK, min_size=1, max_size=4))
    def arrive_at_the_buyer(self, picks: list[int]) -> None:
        self.deliver(self.buyer, [self.to_buyer[pick % len(self.to_buyer)] for pick in picks])

    @precondition(lambda self: self.answers)
    @rule(pick=PICK)
    def an_answer_arrives(self, pick: int) -> None:
        """To whom it is addressed; the two take in what was said before about their documents."""
        message = sorted(self.answers)[pick % len(self.answers)]
        side = self.buyer if message in self.to_seller else self.seller
        link = self.link if side is self.buyer else self.link[::-1]
        side.take(sorted(self.answers[message]), (link[0], link[1]))
        self.collect()

    # What always holds

    @invariant()
    def copies_are_what_the_documents_fold_to(self) -> None:
        for side in (self.buyer, self.seller):
            if side.run(lambda tx: tx.requests.get(self.request.hash)) is None:
                continue
            state = side.state(self.request, self.seller)
            assert {quote.hash: quote.state for quote in side.quotes(self.request)} == dict(state.quotes)
            orders = {order.hash: order.state for order in side.orders()}
            assert orders == {hash_: order_state(deal) for hash_, deal in state.deals.items()}
            assert state.contradictions == ()

    @invariant()
    def what_was_taken_once_is_answered_the_same_for_ever(self) -> None:
        for answers in self.answers.values():
            assert sum(acknowledgement(answer).status == "received" for answer in answers) <= 1

    @invariant()
    def stock_is_taken_once(self) -> None:
        (kept,) = self.seller.run(lambda tx: tx.prices.all())
        if kept.stock is not None:
            assert int(kept.stock) >= 0

    def comes_to_rest(self) -> None:
        """Everything is sent again in its order, as it is until it is acknowledged: both have the same."""
        for _ in range(3):
            self.deliver(self.seller, list(self.to_seller))
            self.deliver(self.buyer, list(self.to_buyer))
        if self.seller.run(lambda tx: tx.requests.get(self.request.hash)) is None:
            return  # it came too late, and was refused
        ours, theirs = (side.thread(self.request, self.seller) for side in (self.buyer, self.seller))
        assert ours.documents.keys() - self.refused(self.to_seller) == theirs.documents.keys() - self.refused(
            self.to_buyer
        )
        if ours.documents.keys() == theirs.documents.keys():
            assert self.buyer.state(self.request, self.seller) == self.seller.state(self.request, self.seller)
        waiting = {inside(message).hash for message in self.buyer.waiting((self.link[0], self.link[1]))}
        assert not waiting & {inside(message).hash for message in self.answered}
        before = [side.dump() for side in (self.buyer, self.seller)]
        self.deliver(self.seller, list(self.to_seller))
        self.deliver(self.buyer, list(self.to_buyer))
        assert [side.dump() for side in (self.buyer, self.seller)] == before
        self.copies_are_what_the_documents_fold_to()
        self.what_was_taken_once_is_answered_the_same_for_ever()

    def refused(self, messages: list[bytes]) -> set[bytes]:
        """Documents that the other side has refused in the end: what it may never take, and what was then unsent."""
        return {inside(message).hash for message in messages if not self.was_taken(message)}

    def was_taken(self, message: bytes) -> bool:
        said = (acknowledgement(answer).status for answer in self.answers.get(message, ()))
        return message in self.answered or "received" in said


Trade.TestCase.settings = settings(
    max_examples=40, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
TestTrade = Trade.TestCase
