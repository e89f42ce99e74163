"""Every way in which two honest ledgers can act and hear of each other, up to a number of messages.

A situation is what each side holds, as two sets of documents, and whether the deadlines have passed. From each, every
act that the tables allow and every delivery of what is under way leads to others; so all orders, losses (a message that
stays under way) and delays are covered, and copies too, since what is held is a set. Acts depend on what the actor
holds alone, so equal situations are visited once. What is searched for: a message that its receiver refuses for good,
or one that nothing can deliver. Without those, any situation heals into both sides holding the same set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from trade_world import BUYER, DAY, REQUEST_KEY, ROUTES, SELLER, WALL, a_sheet, asked, exchange, some_terms

from p2pmarket.errors import BadInput, LimitReached, NotFound, Refusal, WrongState
from p2pmarket.keys import SigningKey
from p2pmarket.trade import check
from p2pmarket.trade.agreeing import answer_proposal, propose_cancel
from p2pmarket.trade.documents import Cancel, Opened
from p2pmarket.trade.fulfilling import make_counter
from p2pmarket.trade.making import (
    Moment,
    make_decline,
    make_order,
    make_order_response,
    make_outcome,
    make_quote,
    make_withdraw,
)
from p2pmarket.trade.money import make_sheet
from p2pmarket.trade.thread import State, Thread, fold, slot

BUYS = ("counter", "order", "cancel", "grant", "keep", "lose")
SELLS = ("quote", "refuse", "withdraw", "acknowledge", "accept", "reject", "amend", "cancel", "grant", "keep")
FEWER = frozenset("quote counter refuse withdraw order accept reject cancel grant".split())  # the acts that matter most
LITTLE = make_sheet("EUR", 2, a_sheet().lines[:1])
EXPIRED = WALL + 4 * DAY
Situation = tuple[int, int, bool]  # what the buyer holds, what the seller holds, as bits; deadlines passed


@dataclass
class Explorer:
    """Walks all situations; documents are numbered as they are made."""

    verbs: frozenset[str] = frozenset({*BUYS, *SELLS})
    start: Thread = field(default_factory=lambda: asked().thread)
    documents: list[Opened] = field(default_factory=list)
    numbers: dict[bytes, int] = field(default_factory=dict)
    threads: dict[int, Thread] = field(default_factory=dict)
    folds: dict[int, State] = field(default_factory=dict)
    made: dict[tuple[str, str, int, bool], int | None] = field(default_factory=dict)
    taken: dict[tuple[int, int], bool] = field(default_factory=dict)
    ends: Counter[tuple[str, ...]] = field(default_factory=Counter)
    situations: int = 0
    steps: int = 0

    def __post_init__(self) -> None:
        self.buys = tuple(verb for verb in BUYS if verb in self.verbs)
        self.sells = tuple(verb for verb in SELLS if verb in self.verbs)

    def explore(self, messages: int) -> None:
        """Visit every situation of at most `messages` messages; expiry counts as one. Raises AssertionError."""
        seen: set[Situation] = {(0, 0, False)}
        todo = [(0, 0, False)]
        while todo:
            at = todo.pop()
            self.situations += 1
            for after in self._after(at, messages):
                self.steps += 1
                if after not in seen:
                    seen.add(after)
                    todo.append(after)

    def _after(self, at: Situation, messages: int) -> Iterator[Situation]:
        buyer, seller, expired = at
        yield from self._deliveries(at)
        if (buyer | seller).bit_count() + expired < messages:
            if not expired:
                yield buyer, seller, True
            for verb in self.buys:
                made = self.make("buyer", verb, buyer, expired)
                if made is not None:
                    yield buyer | 1 << made, seller, expired
            for verb in self.sells:
                made = self.make("seller", verb, seller, expired)
                if made is not None:
                    yield buyer, seller | 1 << made, expired

    def _deliveries(self, at: Situation) -> Iterator[Situation]:
        buyer, seller, expired = at
        if buyer == seller:
            self._ended(buyer)
            return
        delivered = 0
        for number in _bits(buyer & ~seller):
            if self.take(seller, number):
                delivered += 1
                yield buyer, seller | 1 << number, expired
        for number in _bits(seller & ~buyer):
            if self.take(buyer, number):
                delivered += 1
                yield buyer | 1 << number, seller, expired
        assert delivered, f"nothing can be delivered: {self.names(buyer)} | {self.names(seller)}"

    def _ended(self, held: int) -> None:
        """Both hold the same: nothing contradicts, no slot is filled twice, and each document holds again."""
        state = self.state(held)
        assert state.contradictions == (), self.names(held)
        documents = [self.documents[number] for number in _bits(held)]
        slots = [slot(opened) for opened in documents if slot(opened) is not None]
        assert len(slots) == len(set(slots)), self.names(held)
        for number in _bits(held):
            assert self.take(held, number), self.names(held)
        self.ends[tuple(sorted(state.deals.values()))] += 1

    def take(self, held: int, number: int) -> bool:
        """Whether who holds `held` takes the document now; False if he waits for what it answers."""
        place = (held, number)
        if place not in self.taken:
            try:
                check.check(self.thread(held), self.documents[number], EXPIRED)
                self.taken[place] = True
            except Refusal as refusal:
                names = f"{self.names(1 << number)} after {self.names(held)}: {refusal.reason}"
                if not refusal.reason.startswith("unknown_"):
                    raise AssertionError(names) from refusal
                self.taken[place] = False
        return self.taken[place]

    def make(self, role: str, verb: str, held: int, expired: bool) -> int | None:
        """The number of the document that this act makes; None if it is not allowed, or was done already."""
        place = (role, verb, held, expired)
        if place not in self.made:
            number = self._number(role, verb, held, EXPIRED if expired else WALL + 60)
            self.made[place] = None if number is None or held >> number & 1 else number
        return self.made[place]

    def _number(self, role: str, verb: str, held: int, wall: int) -> int | None:
        moment = Moment(wall, lambda n: verb.encode().ljust(n, b"."))
        try:
            opened = _act(role, verb, self.thread(held), self.state(held), moment)
        except (WrongState, NotFound, LimitReached):
            return None
        except BadInput as error:
            if error.details.get("reason") in {"equivocation", "already_ordered"}:
                return None  # done already, in other words
            raise
        if opened.hash not in self.numbers:
            self.numbers[opened.hash] = len(self.documents)
            self.documents.append(opened)
        return self.numbers[opened.hash]

    def thread(self, held: int) -> Thread:
        """The thread of these documents."""
        if held not in self.threads:
            documents = [self.documents[number] for number in _bits(held)]
            self.threads[held] = Thread.of(self.start.network, self.start.seller, self.start.request, documents)
        return self.threads[held]

    def state(self, held: int) -> State:
        """The state of these documents."""
        if held not in self.folds:
            self.folds[held] = fold(self.thread(held))
        return self.folds[held]

    def names(self, held: int) -> str:
        """The documents as words."""
        return " ".join(f"{self.documents[number].name}#{number}" for number in _bits(held))


def _bits(held: int) -> Iterator[int]:
    while held:
        low = held & -held
        yield low.bit_length() - 1
        held ^= low


def _act(role: str, verb: str, thread: Thread, state: State, moment: Moment) -> Opened:
    """Do something, as the tables allow. Raises WrongState, NotFound."""
    common: dict[str, Callable[[], Opened]] = {
        "cancel": lambda: propose_cancel(thread, _key(role), moment, _open_deal(state)),
        "grant": lambda: answer_proposal(thread, _key(role), moment, _proposal(thread, state, role), "accept"),
        "keep": lambda: answer_proposal(thread, _key(role), moment, _proposal(thread, state, role), "reject"),
    }
    return common[verb]() if verb in common else _sides(role, verb, thread, state, moment)


def _sides(role: str, verb: str, thread: Thread, state: State, moment: Moment) -> Opened:
    newest = thread.newest or b""
    until = WALL + 3 * DAY
    match verb:
        case "quote":
            if moment.wall > until:
                until = moment.wall + DAY
            return make_quote(
                thread, SELLER, moment, sheet=LITTLE, terms=some_terms(), valid_until=until, answers=_counter(thread)
            )
        case "refuse":
            counter = _counter(thread)
            if counter is None:
                raise NotFound("no counter")
            return make_decline(thread, SELLER, moment, "price", counter=counter)
        case "withdraw":
            return make_withdraw(thread, SELLER, moment, newest)
        case "counter":
            return make_counter(
                thread, REQUEST_KEY, moment, newest, sheet=LITTLE, terms=some_terms(), valid_until=moment.wall + DAY
            )
        case "order":
            answer_by = moment.wall + DAY
            return make_order(
                thread, BUYER, REQUEST_KEY, moment, quote=newest, answer_by=answer_by, reply_key=exchange("r"),
                routes=ROUTES,
            )  # fmt: skip
        case "lose":
            return make_outcome(thread, REQUEST_KEY, moment, "lost")
        case _:
            return _response(verb, thread, state, moment)


def _counter(thread: Thread) -> bytes | None:
    """The counter to the newest version that the seller has not said no to."""
    found = (hash_ for hash_, counter in thread.counters.items() if counter.answers == thread.newest)
    return next((hash_ for hash_ in found if hash_ not in thread.declined), None)


def _response(verb: str, thread: Thread, state: State, moment: Moment) -> Opened:
    code = {"acknowledge": "AB", "accept": "AP", "reject": "RE", "amend": "CA"}[verb]
    order = _open_deal(state)
    quote = thread.newest if code == "CA" else None
    if code == "CA" and quote == thread.orders[order][1].quote:
        raise WrongState("there is no newer version")
    return make_order_response(thread, SELLER, moment, order, code, quote=quote, by_hand=True)  # type: ignore[arg-type]


def _open_deal(state: State) -> bytes:
    """The first order that is not at an end."""
    for found, at in state.deals.items():
        if at in {"ordered", "acknowledged", "agreed"}:
            return found
    raise NotFound("no order")


def _proposal(thread: Thread, state: State, role: str) -> bytes:
    for found, who in state.proposals.items():
        if who == role and isinstance(thread.documents[found].document, Cancel):
            return found
    raise NotFound("nothing to answer")


def _key(role: str) -> SigningKey:
    return BUYER if role == "buyer" else SELLER
