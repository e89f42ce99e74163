"""The fold: what follows from the documents of a thread, whatever order they came in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from p2pmarket.trade import tables
from p2pmarket.trade.documents import Acknowledgement, Decline, Opened, Outcome
from p2pmarket.trade.thread.deal import deal_events, payments_of, proposals_of
from p2pmarket.trade.thread.thread import Thread


@dataclass(frozen=True, slots=True)
class State:
    """What follows from a thread: states of `tables`, by hash of quote and order.

    `contradictions` are (hash of the quote or order, event) for what was signed against a state that stands;
    `payments` are by order and number; `proposals` name who must answer a change, cancellation or settlement.
    """

    answer: str
    quotes: Mapping[bytes, str]
    deals: Mapping[bytes, str]
    newest: bytes | None
    contradictions: tuple[tuple[bytes, str], ...]
    payments: Mapping[tuple[bytes, int], str] = field(default_factory=dict)
    proposals: Mapping[bytes, tables.Role] = field(default_factory=dict)

    @property
    def agreed(self) -> bool:
        """Whether an order of this thread was accepted and stands."""
        return any(tables.order_state(state) == "accepted" for state in self.deals.values())


def fold(thread: Thread) -> State:
    """The binding state of a thread."""
    if not thread.known_state:
        thread.known_state.append(_fold(thread))
    (state,) = thread.known_state
    assert isinstance(state, State)
    return state


def _fold(thread: Thread) -> State:
    contradictions: list[tuple[bytes, str]] = []

    def end(machine: tables.Machine, about: bytes, events: Iterable[str]) -> str:
        state, ignored = machine.end(events)
        contradictions.extend((about, event) for event in ignored if (state, event) in _CONTRADICTIONS)
        return state

    deals = {found: end(tables.DEAL, found, deal_events(thread, found)) for found in sorted(thread.orders)}
    accepted = {thread.orders[found][1].quote for found, state in deals.items() if state in tables.STANDING}
    quotes = {found: end(tables.QUOTE, found, _quote_events(thread, found, accepted)) for found in thread.quotes}
    answer, _ = tables.ANSWER.end(_answer_events(thread))
    payments = {(found, no): state for found in deals for no, state in payments_of(thread, found).items()}
    proposals = {proposal: role for found in deals for proposal, role in proposals_of(thread, found).items()}
    return State(answer, quotes, deals, thread.newest, tuple(contradictions), payments, proposals)


_CONTRADICTIONS = frozenset(
    {(state, event) for state in tables.STANDING for event in ("rejected", "amended", "withdrawn")}
    | {("amended", "rejected"), ("ordered", "withdrawn")}
)


def _answer_events(thread: Thread) -> Iterator[str]:
    if thread.quotes:
        yield "quoted"
    no = (thread.seller, thread.request.hash, None)
    if any((opened.signer, decline.request, decline.counter) == no for opened, decline in thread.each(Decline)):
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
    if any(counter.answers == found for other, counter in thread.counters.items() if other not in thread.declined):
        yield "countered"
    buyer = thread.request.signer
    ended = {
        (opened.signer, outcome.request) for opened, outcome in thread.each(Outcome) if outcome.result != "awarded"
    }
    if (buyer, thread.request.hash) in ended:
        yield "lost"


def delivery_of(document_hash: bytes, thread_documents: Iterable[Opened], *, sent: bool, given_up: bool) -> str:
    """How far a document of ours has come: from what we did and the acknowledgements of it."""
    events = {"sent"} if sent else set[str]()
    if given_up:
        events.add("given_up")
    for opened in thread_documents:
        if isinstance(opened.document, Acknowledgement) and opened.document.about == document_hash:
            events.add(opened.document.status)
    return tables.DELIVERY.end(events)[0]
