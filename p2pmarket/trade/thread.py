"""A thread: all documents between one buyer and one seller about one request, and the state that follows from them.

Rules. A thread holds documents that `trade.check` accepted. Its state is a fold over that set alone: it reads no clock,
and is the same for any order of arrival and any number of copies. A document whose antecedent has not arrived yet has
no effect until it does. An acceptance counts if it was signed, by its own word, before the order's `answer_by`.

Two documents of one signer in one slot contradict each other (`slot`); `check` refuses the second. Should a set hold
both nevertheless, the higher hash stands for the slot of quotes, and a yes to an order stands before a no.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from p2pmarket.network import Network
from p2pmarket.trade import tables
from p2pmarket.trade.documents import (
    Acknowledgement,
    Cancel,
    Counter,
    Decline,
    Despatch,
    Dispute,
    Document,
    Opened,
    Order,
    OrderResponse,
    Outcome,
    Quote,
    Receipt,
    Request,
    Withdraw,
)

Class = TypeVar("Class", bound=Document)
Slot = tuple[object, ...]

_RESPONSES = {"AB": "acknowledged", "AP": "accepted", "RE": "rejected", "CA": "amended"}


@dataclass(frozen=True)
class Thread:
    """The documents of one request between its buyer and one seller.

    `request` is the request as sealed for this seller; `seller` his identity; `documents` all others by hash.
    """

    network: Network
    request: Opened
    seller: bytes
    documents: Mapping[bytes, Opened] = field(default_factory=dict)

    @classmethod
    def of(cls, network: Network, seller: bytes, request: Opened, documents: Iterable[Opened] = ()) -> Thread:
        """A thread of these documents, in any order; copies count once."""
        others = {opened.hash: opened for opened in documents if opened.hash != request.hash}
        return cls(network, request, seller, dict(sorted(others.items())))

    def adding(self, opened: Opened) -> Thread:
        """The thread with one more document."""
        return Thread.of(self.network, self.seller, self.request, (*self.documents.values(), opened))

    def each(self, kind: type[Class]) -> Iterator[tuple[Opened, Class]]:
        """All documents of a class, by rising hash."""
        for opened in self.documents.values():
            if isinstance(opened.document, kind):
                yield opened, opened.document

    @property
    def asked(self) -> Request:
        """The request itself."""
        assert isinstance(self.request.document, Request)
        return self.request.document

    @cached_property
    def quotes(self) -> dict[bytes, Quote]:
        """The seller's quotes by hash, by rising version."""
        mine = [
            (quote.version, opened.hash, quote)
            for opened, quote in self.each(Quote)
            if (opened.signer, quote.request) == (self.seller, self.request.hash)
        ]
        return {found: quote for _, found, quote in sorted(mine, key=lambda entry: entry[:2])}

    @cached_property
    def newest(self) -> bytes | None:
        """The hash of the newest version."""
        return next(reversed(self.quotes), None)

    @cached_property
    def orders(self) -> dict[bytes, tuple[Opened, Order]]:
        """The orders of quotes that are here, by hash."""
        return {opened.hash: (opened, order) for opened, order in self.each(Order) if order.quote in self.quotes}

    @cached_property
    def withdrawn(self) -> frozenset[bytes]:
        """Hashes of the quotes that the seller has taken back."""
        return frozenset(w.quote for opened, w in self.each(Withdraw) if opened.signer == self.seller)

    def find(self, payload_hash: bytes) -> Opened | None:
        """A document by hash, the request too."""
        return self.request if payload_hash == self.request.hash else self.documents.get(payload_hash)


@dataclass(frozen=True, slots=True)
class State:
    """What follows from a thread: states of `tables`, by hash of quote and order.

    `contradictions` are (hash of the quote or order, event) for what was signed against a state that stands.
    """

    answer: str
    quotes: Mapping[bytes, str]
    deals: Mapping[bytes, str]
    newest: bytes | None
    contradictions: tuple[tuple[bytes, str], ...]

    @property
    def agreed(self) -> bool:
        """Whether an order of this thread was accepted and stands."""
        return any(tables.order_state(state) == "accepted" for state in self.deals.values())


def fold(thread: Thread) -> State:
    """The binding state of a thread."""
    contradictions: list[tuple[bytes, str]] = []

    def end(machine: tables.Machine, about: bytes, events: Iterable[str]) -> str:
        state, ignored = machine.end(events)
        contradictions.extend((about, event) for event in ignored if (state, event) in _CONTRADICTIONS)
        return state

    deals = {found: end(tables.DEAL, found, deal_events(thread, found)) for found in sorted(thread.orders)}
    accepted = {thread.orders[found][1].quote for found, state in deals.items() if state in _ACCEPTED}
    quotes = {found: end(tables.QUOTE, found, _quote_events(thread, found, accepted)) for found in thread.quotes}
    answer, _ = tables.ANSWER.end(_answer_events(thread))
    return State(answer, quotes, deals, thread.newest, tuple(contradictions))


_ACCEPTED = frozenset({"agreed", "in_delivery", "delivered", "completed", "disputed", "settled"})
_CONTRADICTIONS = frozenset(
    {(state, event) for state in _ACCEPTED for event in ("rejected", "amended", "withdrawn")}
    | {("amended", "rejected"), ("ordered", "withdrawn")}
)


def _answer_events(thread: Thread) -> Iterator[str]:
    if thread.quotes:
        yield "quoted"
    no = (thread.seller, thread.request.hash)
    if any((opened.signer, decline.request) == no for opened, decline in thread.each(Decline)):
        yield "declined"


def _quote_events(thread: Thread, found: bytes, accepted: set[bytes]) -> Iterator[str]:
    """What happened to one version of the quote."""
    version = thread.quotes[found].version
    if found in accepted:
        yield "agreed"
    if found in thread.withdrawn:
        yield "withdrawn"
    if any((quote.version, other) > (version, found) for other, quote in thread.quotes.items()):
        yield "superseded"
    if any(order.quote == found for _, order in thread.orders.values()):
        yield "ordered"
    buyer = thread.request.signer
    if any(counter.answers == found for opened, counter in thread.each(Counter) if opened.signer == buyer):
        yield "countered"
    ended = {
        (opened.signer, outcome.request) for opened, outcome in thread.each(Outcome) if outcome.result != "awarded"
    }
    if (buyer, thread.request.hash) in ended:
        yield "lost"


def deal_events(thread: Thread, order_hash: bytes) -> Iterator[str]:
    """What happened to one order."""
    opened, order = thread.orders[order_hash]
    for answer, response in thread.each(OrderResponse):
        if response.order == order_hash and answer.signer == thread.seller and in_time(order, response):
            yield _RESPONSES[response.code]
    if order.quote in thread.withdrawn:
        yield "withdrawn"
    if _both_cancelled(thread, order_hash, opened.signer):
        yield "cancelled"
    if any(left.signer == thread.seller and sent.deal == order_hash for left, sent in thread.each(Despatch)):
        yield "despatched"
    if any(taken.signer == opened.signer and got.deal == order_hash for taken, got in thread.each(Receipt)):
        yield "received"
    both = (opened.signer, thread.seller)
    steps = {d.step for moved, d in thread.each(Dispute) if d.deal == order_hash and moved.signer in both}
    if "open" in steps:
        yield "disputed"
    if "accept" in steps or "close" in steps:
        yield "settled"


def in_time(order: Order, response: OrderResponse) -> bool:
    """Whether an acceptance was signed within the order's validity; other answers are never late."""
    return response.code != "AP" or response.issued_at <= order.answer_by


def _both_cancelled(thread: Thread, order_hash: bytes, buyer: bytes) -> bool:
    """Whether one side has signed the cancellation that the other proposed."""
    wishes = {opened.hash: (opened.signer, c) for opened, c in thread.each(Cancel) if c.deal == order_hash}
    for signer, cancel in wishes.values():
        if cancel.step == "accept" and cancel.about in wishes:
            proposer, proposal = wishes[cancel.about]
            if proposal.step == "propose" and {signer, proposer} == {buyer, thread.seller}:
                return True
    return False


def delivery_of(document_hash: bytes, thread_documents: Iterable[Opened], *, sent: bool, given_up: bool) -> str:
    """How far a document of ours has come: from what we did and the acknowledgements of it."""
    events = {"sent"} if sent else set[str]()
    if given_up:
        events.add("given_up")
    for opened in thread_documents:
        if isinstance(opened.document, Acknowledgement) and opened.document.about == document_hash:
            events.add(opened.document.status)
    return tables.DELIVERY.end(events)[0]


def slot(opened: Opened) -> Slot | None:
    """What a signer may fill only once; None for kinds of which he may sign many.

    Two documents with one slot and different hashes prove that their signer contradicts himself. AB is no final word,
    so it has a slot of its own.
    """
    match opened.document:
        case Quote(request=request, version=version) | Counter(request=request, version=version):
            return (opened.kind, opened.signer, request, version)
        case Order(quote=quote):
            return (opened.kind, opened.signer, quote)
        case OrderResponse(order=order, code=code):
            return (opened.kind, opened.signer, order, code == "AB")
        case _:
            return None
