"""Threads in the ledger: loading the documents between a buyer and a seller, and writing down the state they fold to.

The columns `quotes.state`, `orders.state`, `asked.answer` and `requests.state` are copies of that fold, made in the
transaction that added a document, so that lists are quick. They never decide anything.
"""

from __future__ import annotations

from p2pmarket.errors import NotFound, Refusal
from p2pmarket.limits import THREAD_BYTES, THREAD_DOCUMENTS
from p2pmarket.market.papers import Reader
from p2pmarket.network import Network
from p2pmarket.store import rows
from p2pmarket.store.ledger import Ledger
from p2pmarket.trade import check, tables
from p2pmarket.trade.documents import ORDER, ORDER_RESPONSE, Opened
from p2pmarket.trade.thread import State, Thread, fold


def load_thread(ledger: Ledger, reader: Reader, network: Network, request: bytes, seller: bytes) -> Thread:
    """All documents of a request between its buyer and one seller."""
    row = ledger.documents.get(request)
    if row is None:
        raise NotFound("no such request here")
    sent = ledger.outbox.of_document(request, seller)  # ours has one envelope for each seller
    envelope = sent.envelope if sent is not None else row.envelope
    opened = Opened(row.kind, row.signer, seller, row.hash, reader.of_row(row), envelope)
    others = [reader.opened(other) for other in ledger.documents.between(request, seller)]
    return Thread.of(network, seller, opened, others)


def check_room(thread: Thread, opened: Opened) -> None:
    """Refuse one more document of a signer who has said all that can be said about a request. Raises Refusal.

    Orders and answers to them are bounded by their slots, and never refused for room: one side alone would have them.
    """
    if opened.kind in {ORDER, ORDER_RESPONSE}:
        return
    sizes = [len(other.envelope) for other in thread.documents.values() if other.signer == opened.signer]
    if len(sizes) >= THREAD_DOCUMENTS or sum(sizes) + len(opened.envelope) > THREAD_BYTES:
        raise Refusal("busy", check.REASONS["busy"])


def project(ledger: Ledger, thread: Thread, wall: int) -> State:
    """Write the state of a thread into the columns that lists read."""
    state = fold(thread)
    for hash_, quote_state in state.quotes.items():
        ledger.quotes.set_state(hash_, quote_state)
    for hash_, deal_state in state.deals.items():
        ledger.orders.set_state(hash_, tables.order_state(deal_state))
    request = ledger.requests.get(thread.request.hash)
    if request is not None and request.role == "buyer":
        _project_answer(ledger, request, thread, state, wall)
    elif request is not None and state.agreed and request.state in {"enough", "cancelled"}:
        ledger.requests.set_state(request.hash, tables.REQUEST.step(request.state, "agreed"))  # he ordered after all
    return state


def _project_answer(ledger: Ledger, request: rows.Request, thread: Thread, state: State, wall: int) -> None:
    asked = ledger.requests.asked_one(request.hash, thread.seller)
    if asked is not None and state.answer != "waiting" and asked.answer != state.answer:
        ledger.requests.set_answer(request.hash, thread.seller, state.answer, None, wall)
    if state.agreed and request.state != "awarded":
        ledger.requests.set_state(request.hash, tables.REQUEST.step(request.state, "agreed"))
