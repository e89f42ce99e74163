"""Threads in the ledger: loading the documents between a buyer and a seller, and writing down the state they fold to.

The columns `quotes.state`, `orders.state`, `asked.answer` and `requests.state` are copies of that fold, made in the
transaction that added a document, so that lists are quick. They never decide anything.
"""

from __future__ import annotations

from p2pmarket.errors import LimitReached, NotFound, Refusal, WrongState
from p2pmarket.limits import THREAD_BYTES, THREAD_DOCUMENTS, THREAD_NOTES
from p2pmarket.market.notices import is_answered
from p2pmarket.market.papers import Reader
from p2pmarket.network import Network
from p2pmarket.store import rows
from p2pmarket.store.ledger import Ledger
from p2pmarket.trade import check, tables
from p2pmarket.trade.documents import ORDER, ORDER_RESPONSE, Note, Opened, Order, deal_id
from p2pmarket.trade.money import whole
from p2pmarket.trade.thread import State, Thread, completes_at, duties_of, fold, in_force
from p2pmarket.trade.thread.deal import is_cancelled

LATEST = 2**62  # sorts behind all that has a deadline


def load_thread(ledger: Ledger, reader: Reader, network: Network, request: bytes, seller: bytes) -> Thread:
    """All documents of a request between its buyer and one seller."""
    return _kept(ledger, request, seller) or _loaded(ledger, reader, network, request, seller)


def _kept(ledger: Ledger, request: bytes, seller: bytes) -> Thread | None:
    """The thread as it was projected last, if nothing was added since."""
    kept = ledger.made.get(request, seller)
    return kept if isinstance(kept, Thread) else None


def _loaded(ledger: Ledger, reader: Reader, network: Network, request: bytes, seller: bytes) -> Thread:
    row = ledger.documents.get(request)
    if row is None:
        raise NotFound("no such request here")
    sent = ledger.outbox.of_document(request, seller)  # ours has one envelope for each seller
    envelope = sent.envelope if sent is not None else row.envelope
    opened = Opened(row.kind, row.signer, seller, row.hash, reader.of_row(row), envelope)
    others = [reader.opened(other) for other in ledger.documents.between(request, seller)]
    # A referee may seal his opinion for the buyer.
    if orders := {other.hash for other in others if other.kind == ORDER}:
        said = map(reader.opened, ledger.documents.disputes_beside(request, seller))
        others += [other for other in said if getattr(other.document, "deal", None) in orders]
    return Thread.of(network, seller, opened, others)


def check_room(thread: Thread, opened: Opened) -> None:
    """Refuse one more document of a signer who has said all that can be said about a request. Raises Refusal.

    Orders, and answers to them and to proposals, are bounded by their slots, and never refused for room: one side alone
    would have them.
    """
    if opened.kind in {ORDER, ORDER_RESPONSE} or _is_first_answer(thread, opened):
        return
    if isinstance(opened.document, Note):
        _check_talk(thread, opened)
    sizes = [len(other.envelope) for other in thread.documents.values() if other.signer == opened.signer]
    if len(sizes) >= THREAD_DOCUMENTS or sum(sizes) + len(opened.envelope) > THREAD_BYTES:
        raise Refusal("busy", check.REASONS["busy"])


def has_room(thread: Thread, opened: Opened) -> bool:
    """Whether the other side has room for one more document of ours: what only tells something is left out else."""
    try:
        check_room(thread, opened)
    except Refusal:
        return False
    return True


def require_room(thread: Thread, opened: Opened) -> None:
    """Sign nothing that the other side would refuse for room: the two ledgers would differ. Raises LimitReached."""
    try:
        check_room(thread, opened)
    except Refusal as refusal:
        raise LimitReached(
            "too much has been said about this already", hint="Talk elsewhere; orders and answers are still sent"
        ) from refusal


def _is_first_answer(thread: Thread, opened: Opened) -> bool:
    """Whether this is a signer's yes or no to a proposal that he has not answered."""
    answers = {"accept", "reject"}
    if getattr(opened.document, "step", None) not in answers:
        return False
    about = getattr(opened.document, "about", None)
    said = (one.document for one in thread.documents.values() if one.signer == opened.signer)
    return all(getattr(one, "about", None) != about or getattr(one, "step", None) not in answers for one in said)


def _check_talk(thread: Thread, opened: Opened) -> None:
    """Talk must not take the room of what counts: half of it at most. Raises Refusal."""
    notes = [len(one.envelope) for one, _ in thread.each(Note) if one.signer == opened.signer]
    if len(notes) >= THREAD_NOTES or sum(notes) + len(opened.envelope) > THREAD_BYTES // 2:
        raise Refusal("busy", check.REASONS["busy"])


def check_not_sold(thread: Thread) -> None:
    """Raise WrongState once all that a request asks for was ordered of us and stands: a new offer would be for nothing.

    Whoever lacks something still quotes it: lines that the quote left out, or what was not ordered.
    """
    for hash_, (_, order) in thread.orders.items():
        quote = thread.quotes[order.quote]
        standing = hash_ in thread.accepted and not is_cancelled(thread, hash_)
        if standing and order.lines == whole(quote.sheet) and not quote.missing_lines:
            deal = deal_id(hash_)
            raise WrongState(
                "the buyer has ordered all of your quote, and you accepted it",
                hint=f"What is agreed is changed with both signatures: market change {deal[:10]}",
                details={"deal": deal},
            )


def waiting_counter(thread: Thread) -> bytes | None:
    """The counter to the newest version, which the next one answers."""
    found = (hash_ for hash_, counter in thread.counters.items() if counter.answers == thread.newest)
    return next((hash_ for hash_ in found if hash_ not in thread.declined), None)


def project(ledger: Ledger, thread: Thread, wall: int) -> State:
    """Write the state of a thread, all of whose documents are saved, into the columns that lists read."""
    state = fold(thread)
    size = sum([len(opened.envelope) for opened in thread.documents.values()])
    ledger.made.keep(thread.request.hash, thread.seller, thread, size)
    for hash_, quote_state in state.quotes.items():
        ledger.quotes.set_state(hash_, quote_state)
    for hash_ in state.deals:
        _project_deal(ledger, thread, state, hash_)
    for notice in ledger.notices.of_thread(thread.request.hash):
        if (told := thread.find(notice.hash)) is not None and is_answered(thread, state, told):
            ledger.notices.set_state(notice.hash, "answered")
    request = ledger.requests.get(thread.request.hash)
    if request is not None and request.role == "buyer":
        _project_answer(ledger, request, thread, state, wall)
    elif request is not None and state.agreed and request.state in {"enough", "cancelled"}:
        ledger.requests.set_state(request.hash, tables.REQUEST.step(request.state, "agreed"))  # he ordered after all
    return state


def _project_deal(ledger: Ledger, thread: Thread, state: State, order: bytes) -> None:
    """The columns of one order: its own duty first, so that "my turn" is never hidden behind the other side's."""
    row = ledger.orders.get(order)
    if row is None:
        return
    expected = sorted(duties_of(thread, order, state), key=lambda duty: (duty.who != row.role, duty.until or LATEST))
    duty = expected[0] if expected else None
    folded = rows.Folded(
        state=tables.order_state(state.deals[order]),
        stage=state.deals[order],
        payment=payment_of(state, order),
        turn=duty.who if duty else "none",
        due=duty.until if duty else None,
        follows=duty.then if duty else None,
        contract=in_force(thread, order).change,
        completes=completes_at(thread, order, state),
    )
    ledger.orders.set_state(order, folded)


def payment_of(state: State, order: bytes) -> str:
    """The state of a deal's payments in one word: of the newest that is not confirmed, else of the newest."""
    states = [found for (about, _), found in sorted(state.payments.items()) if about == order]
    waiting = [found for found in states if found not in {"confirmed", "refunded"}]
    return (waiting or states or ["none"])[-1]


def _project_answer(ledger: Ledger, request: rows.Request, thread: Thread, state: State, wall: int) -> None:
    asked = ledger.requests.asked_one(request.hash, thread.seller)
    if asked is not None and state.answer != "waiting" and asked.answer != state.answer:
        ledger.requests.set_answer(request.hash, thread.seller, state.answer, None, wall)
    if state.agreed and request.state != "awarded":
        ledger.requests.set_state(request.hash, tables.REQUEST.step(request.state, "agreed"))


def order_row(opened: Opened, order: Order, wall: int) -> rows.Order:
    """The row of an order that came, until the fold says otherwise."""
    return rows.Order(
        hash=opened.hash,
        id=opened.id,
        deal=deal_id(opened.hash),
        request=order.request,
        quote=order.quote,
        role="seller",
        other=opened.signer,
        state="ordered",
        created=wall,
        answer_by=order.answer_by,
    )
