"""What the receiver of a document checks before he believes it: each field against what both sides signed before.

Rules. One pure function per kind; it returns if the document holds and raises Refusal with a reason code if not.
Arrival may be in any order, so a document is refused only for what would be wrong whenever it came, or with `unknown_…`
because what it answers is not here yet. A document that is here already is checked again without complaint: the caller
gives the answer he gave before. The wall clock (UTC seconds) serves to refuse what was signed far in the future, and
requests that came too late; whether an order can still be accepted is asked of `judge_order` once, by the seller,
before he signs. The caller keeps both documents when the reason is `equivocation`: together they are a proof.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from p2pmarket import limits
from p2pmarket.errors import Refusal
from p2pmarket.network import Network
from p2pmarket.records import is_category
from p2pmarket.trade.check_agreement import check_cancel, check_change
from p2pmarket.trade.check_bill import check_credit, check_invoice, check_payment
from p2pmarket.trade.check_delivery import check_despatch, check_receipt
from p2pmarket.trade.check_quarrel import check_dispute, check_rating
from p2pmarket.trade.check_talk import check_counter, check_note
from p2pmarket.trade.checking import (
    REASONS,
    answers_lines,
    between,
    check_terms,
    document_of,
    once,
    require,
    signed,
    signed_by_now,
)
from p2pmarket.trade.documents import (
    Acknowledgement,
    Cancel,
    Change,
    Counter,
    Credit,
    Decline,
    Despatch,
    Dispute,
    Document,
    Invoice,
    Note,
    Opened,
    Order,
    OrderResponse,
    Outcome,
    Payment,
    Quote,
    Rating,
    Receipt,
    Request,
    Withdraw,
    deal_statement,
    identity_statement,
    order_statement,
)
from p2pmarket.trade.money import check_totals, choice_problem, order_totals
from p2pmarket.trade.thread import Thread, in_time

# Reasons of `judge_order`: the order is sound, and the seller answers it with RE and this reason.
REJECTIONS = frozenset({"superseded", "withdrawn", "expired", "late"})


def check(thread: Thread, opened: Opened, wall: int) -> None:
    """Check any document of a thread but the request, by its kind. Raises Refusal (`unknown_document` for others)."""
    checker = CHECKS.get(type(opened.document))
    if checker is None:
        raise Refusal("unknown_document", f"a {opened.name} is not understood by this version")
    checker(thread, opened, wall)


def check_request(network: Network, opened: Opened, seller: bytes, wall: int) -> None:
    """A request at the seller whose identity is `seller`."""
    request = document_of(opened, Request)
    require(opened.recipient == seller, "wrong_recipient")
    require(opened.signer != seller, "wrong_signer")
    signed_by_now(request, wall)
    require(request.issued_at < request.reply_by <= request.issued_at + limits.REQUEST_SECONDS, "times")
    require(wall <= request.reply_by + limits.CLOCK_SKEW_SECONDS, "too_late")
    require(is_category(request.category), "category")
    numbers = [line.no for line in request.lines]
    require(len(set(numbers)) == len(numbers), "lines")
    require(all(line.quantity != "0" for line in request.lines), "lines")
    if request.max_total is not None:
        require(request.currency in (None, request.max_total.currency), "currency")
    require((request.identity is None) == (request.identity_signature is None), "identity")
    if request.identity is not None and request.identity_signature is not None:
        require(request.identity != opened.signer, "identity")
        statement = identity_statement(network, opened.signer, request.reply_key, request.identity)
        signed(request.identity, request.identity_signature, statement)


def check_quote(thread: Thread, opened: Opened, wall: int) -> None:
    """A quote at the buyer who asked for it."""
    quote = document_of(opened, Quote)
    between(opened, thread.seller, thread.request.signer)
    require(quote.request == thread.request.hash, "unknown_request")
    signed_by_now(quote, wall)
    require(quote.issued_at < quote.valid_until <= quote.issued_at + limits.QUOTE_SECONDS, "times")
    once(thread, opened)
    _follows(thread, opened.hash, quote)
    check_totals(quote.sheet)
    answers_lines(thread.asked.lines, quote)
    check_terms(quote.sheet, quote.terms)


def check_decline(thread: Thread, opened: Opened, wall: int) -> None:
    """A seller's no at the buyer, to the request or to a counter."""
    decline = document_of(opened, Decline)
    between(opened, thread.seller, thread.request.signer)
    require(decline.request == thread.request.hash, "unknown_request")
    require(decline.counter is None or decline.counter in thread.counters, "unknown_document")
    signed_by_now(decline, wall)


def check_withdraw(thread: Thread, opened: Opened, wall: int) -> None:
    """A quote taken back, at the buyer."""
    withdraw = document_of(opened, Withdraw)
    between(opened, thread.seller, thread.request.signer)
    require(withdraw.request == thread.request.hash, "unknown_request")
    require(withdraw.quote in thread.quotes, "unknown_quote")
    signed_by_now(withdraw, wall)


def check_outcome(thread: Thread, opened: Opened, wall: int) -> None:
    """The end of a request, at the seller."""
    outcome = document_of(opened, Outcome)
    between(opened, thread.request.signer, thread.seller)
    require(outcome.request == thread.request.hash, "unknown_request")
    require(outcome.quote is None or outcome.quote in thread.quotes, "unknown_quote")
    signed_by_now(outcome, wall)


def check_order(thread: Thread, opened: Opened, wall: int) -> None:
    """An order at the seller: all that both signed. Whether it can be accepted now is for `judge_order`."""
    order = document_of(opened, Order)
    require(opened.recipient == thread.seller, "wrong_recipient")
    require(order.request == thread.request.hash, "unknown_request")
    quote = thread.quotes.get(order.quote)
    if quote is None:
        raise Refusal("unknown_quote", REASONS["unknown_quote"])
    signed_by_now(order, wall)
    once(thread, opened)
    others = [found for found, (_, other) in thread.orders.items() if other.quote == order.quote]
    require(others in ([], [opened.hash]), "already_ordered")
    _orderer(thread, opened, order)
    require(quote.kind == "firm", "not_firm")
    require(order.issued_at <= quote.valid_until, "expired")
    require(order.issued_at < order.answer_by <= order.issued_at + limits.ORDER_SECONDS, "times")
    require((order.currency, order.exponent) == (quote.sheet.currency, quote.sheet.exponent), "currency")
    problem = choice_problem(quote.sheet, quote.terms, order.lines)
    require(problem is None, "lines", problem)
    total = order_totals(quote.sheet, order.lines).total
    require(order.total == total >= 0, "totals")
    require(quote.terms.referee is None or order.referee in (None, quote.terms.referee), "terms")
    require(order.upstream == quote.terms.upstream, "terms")


def judge_order(thread: Thread, opened: Opened, wall: int, *, by_hand: bool = False) -> None:
    """Whether the seller may sign AP for a checked order at `wall`; raises Refusal with a reason of `REJECTIONS`.

    Asked once, by the seller's own clock, right before signing. `by_hand`: a person may take an order of a quote that
    has expired or was replaced, since his signature makes it good.
    """
    order = document_of(opened, Order)
    require(order.quote not in thread.withdrawn, "withdrawn")
    require(wall <= order.answer_by, "late")
    if not by_hand:
        require(order.quote == thread.newest, "superseded")
        require(wall <= thread.quotes[order.quote].valid_until, "expired")


def check_order_response(thread: Thread, opened: Opened, wall: int) -> None:
    """The seller's word on an order, at the buyer."""
    response = document_of(opened, OrderResponse)
    require(opened.signer == thread.seller, "wrong_signer")
    if response.order not in thread.orders:
        raise Refusal("unknown_order", REASONS["unknown_order"])
    ordered, order = thread.orders[response.order]
    require(opened.recipient == ordered.signer, "wrong_recipient")
    signed_by_now(response, wall)
    once(thread, opened)
    require((response.code == "AP") == (response.deal_signature is not None), "code")
    require((response.code == "CA") == (response.quote is not None), "code")
    require(in_time(order, response), "late")
    if response.deal_signature is not None:
        statement = deal_statement(thread.network, order, ordered.signer, thread.seller)
        signed(thread.seller, response.deal_signature, statement)
    if response.quote in thread.quotes:  # it may arrive after this
        require(thread.quotes[response.quote].version > thread.quotes[order.quote].version, "version")


def check_acknowledgement(about: Opened, opened: Opened, wall: int) -> None:
    """An acknowledgement of our document `about`."""
    acknowledgement = document_of(opened, Acknowledgement)
    between(opened, about.recipient, about.signer)
    require((acknowledgement.about, acknowledgement.about_kind) == (about.hash, about.kind), "unknown_document")
    require((acknowledgement.status == "refused") == (acknowledgement.code is not None), "code")
    signed_by_now(acknowledgement, wall)


def _check_known(thread: Thread, opened: Opened, wall: int) -> None:
    about = thread.find(document_of(opened, Acknowledgement).about)
    if about is None:
        raise Refusal("unknown_document", REASONS["unknown_document"])
    check_acknowledgement(about, opened, wall)


CHECKS: Mapping[type[Document], Callable[[Thread, Opened, int], None]] = {
    Acknowledgement: _check_known,
    Decline: check_decline,
    Quote: check_quote,
    Withdraw: check_withdraw,
    Outcome: check_outcome,
    Order: check_order,
    OrderResponse: check_order_response,
    Counter: check_counter,
    Note: check_note,
    Change: check_change,
    Cancel: check_cancel,
    Despatch: check_despatch,
    Receipt: check_receipt,
    Invoice: check_invoice,
    Credit: check_credit,
    Payment: check_payment,
    Rating: check_rating,
    Dispute: check_dispute,
}


# Parts of the checks


def _follows(thread: Thread, quote_hash: bytes, quote: Quote) -> None:
    """Version 1 answers no quote, any other the version before it or a counter; as far as those are here."""
    require(quote.version == 1 or quote.answers is not None, "version")
    before = thread.quotes.get(quote.answers) if quote.answers is not None else None
    require(before is None or before.version == quote.version - 1, "version")
    counter = thread.counters.get(quote.answers) if quote.answers is not None else None
    require(counter is None or counter.version < quote.version, "version")
    for later in thread.quotes.values():
        require(later.answers != quote_hash or later.version == quote.version + 1, "version")


def _orderer(thread: Thread, opened: Opened, order: Order) -> None:
    """Who orders is who asked: the request key signed for this identity, and the identity signed the deal."""
    require(order.request_key == thread.request.signer, "identity")
    require(thread.introduced <= {opened.signer}, "identity")
    require(opened.signer not in (thread.seller, thread.request.signer), "identity")
    statement = order_statement(thread.network, order.request, order.quote, opened.signer)
    signed(order.request_key, order.request_signature, statement)
    deal = deal_statement(thread.network, order, opened.signer, thread.seller)
    signed(opened.signer, order.deal_signature, deal)


__all__ = [
    "CHECKS",
    "REASONS",
    "REJECTIONS",
    "check",
    "check_acknowledgement",
    "check_order",
    "check_order_response",
    "check_quote",
    "check_request",
    "judge_order",
]
