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
from p2pmarket.errors import BadSignature, Refusal
from p2pmarket.keys import check_signature
from p2pmarket.network import Network
from p2pmarket.records import is_category
from p2pmarket.trade.documents import (
    Acknowledgement,
    Decline,
    Document,
    Opened,
    Order,
    OrderResponse,
    Outcome,
    Quote,
    Request,
    Withdraw,
    deal_statement,
    identity_statement,
    order_statement,
)
from p2pmarket.trade.money import check_totals, choice_problem, fraction, order_totals
from p2pmarket.trade.thread import Class, Thread, in_time, slot
from p2pmarket.trade.values import QuoteLine, RequestLine, Sheet, Terms

# Every reason a document may be refused or an order rejected for, as a sentence. Codes are never reused.
REASONS: Mapping[str, str] = {
    "wrong_signer": "signed by somebody who has no say in this",
    "wrong_recipient": "meant for somebody else",
    "unknown_request": "there is no such request here",
    "unknown_quote": "there is no such quote here",
    "unknown_order": "there is no such order here",
    "unknown_document": "there is no such document here",
    "clock": "signed in the future: one of the two clocks is wrong",
    "too_late": "the time to reply has passed",
    "times": "a deadline lies before the signing or too far after it",
    "category": "the category is not written in its one form",
    "lines": "lines or quantities do not fit",
    "totals": "the sums do not add up",
    "currency": "currency or exponent differ",
    "version": "the version does not follow the one before",
    "identity": "the identity does not belong to the request",
    "signature": "a signature within the document does not hold",
    "terms": "the terms contradict each other or what was quoted",
    "already_ordered": "this quote has been ordered already",
    "not_firm": "an indicative quote cannot be ordered",
    "code": "code and content do not fit together",
    "equivocation": "the signer has signed something else in the same place",
    "busy": "there is no room for more at the moment",
    "superseded": "there is a newer version of the quote",
    "withdrawn": "the quote was withdrawn",
    "expired": "the quote has expired",
    "late": "the answer was signed after the order's validity",
}

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
    request = _document(opened, Request)
    _require(opened.recipient == seller, "wrong_recipient")
    _require(opened.signer != seller, "wrong_signer")
    _signed_by_now(request, wall)
    _require(request.issued_at < request.reply_by <= request.issued_at + limits.REQUEST_SECONDS, "times")
    _require(wall <= request.reply_by + limits.CLOCK_SKEW_SECONDS, "too_late")
    _require(is_category(request.category), "category")
    numbers = [line.no for line in request.lines]
    _require(len(set(numbers)) == len(numbers), "lines")
    _require(all(line.quantity != "0" for line in request.lines), "lines")
    if request.max_total is not None:
        _require(request.currency in (None, request.max_total.currency), "currency")
    _require((request.identity is None) == (request.identity_signature is None), "identity")
    if request.identity is not None and request.identity_signature is not None:
        _require(request.identity != opened.signer, "identity")
        statement = identity_statement(network, opened.signer, request.reply_key, request.identity)
        _signed(request.identity, request.identity_signature, statement)


def check_quote(thread: Thread, opened: Opened, wall: int) -> None:
    """A quote at the buyer who asked for it."""
    quote = _document(opened, Quote)
    _between(opened, thread.seller, thread.request.signer)
    _require(quote.request == thread.request.hash, "unknown_request")
    _signed_by_now(quote, wall)
    _require(quote.issued_at < quote.valid_until <= quote.issued_at + limits.QUOTE_SECONDS, "times")
    _once(thread, opened)
    _follows(thread, opened.hash, quote)
    check_totals(quote.sheet)
    _answers_lines(thread.asked.lines, quote)
    _check_terms(quote.sheet, quote.terms)


def check_decline(thread: Thread, opened: Opened, wall: int) -> None:
    """A seller's no at the buyer."""
    decline = _document(opened, Decline)
    _between(opened, thread.seller, thread.request.signer)
    _require(decline.request == thread.request.hash, "unknown_request")
    _signed_by_now(decline, wall)


def check_withdraw(thread: Thread, opened: Opened, wall: int) -> None:
    """A quote taken back, at the buyer."""
    withdraw = _document(opened, Withdraw)
    _between(opened, thread.seller, thread.request.signer)
    _require(withdraw.request == thread.request.hash, "unknown_request")
    _require(withdraw.quote in thread.quotes, "unknown_quote")
    _signed_by_now(withdraw, wall)


def check_outcome(thread: Thread, opened: Opened, wall: int) -> None:
    """The end of a request, at the seller."""
    outcome = _document(opened, Outcome)
    _between(opened, thread.request.signer, thread.seller)
    _require(outcome.request == thread.request.hash, "unknown_request")
    _require(outcome.quote is None or outcome.quote in thread.quotes, "unknown_quote")
    _signed_by_now(outcome, wall)


def check_order(thread: Thread, opened: Opened, wall: int) -> None:
    """An order at the seller: all that both signed. Whether it can be accepted now is for `judge_order`."""
    order = _document(opened, Order)
    _require(opened.recipient == thread.seller, "wrong_recipient")
    _require(order.request == thread.request.hash, "unknown_request")
    quote = thread.quotes.get(order.quote)
    if quote is None:
        raise Refusal("unknown_quote", REASONS["unknown_quote"])
    _signed_by_now(order, wall)
    _once(thread, opened)
    others = [found for found, (_, other) in thread.orders.items() if other.quote == order.quote]
    _require(others in ([], [opened.hash]), "already_ordered")
    _orderer(thread, opened, order)
    _require(quote.kind == "firm", "not_firm")
    _require(order.issued_at <= quote.valid_until, "expired")
    _require(order.issued_at < order.answer_by <= order.issued_at + limits.ORDER_SECONDS, "times")
    _require((order.currency, order.exponent) == (quote.sheet.currency, quote.sheet.exponent), "currency")
    problem = choice_problem(quote.sheet, quote.terms, order.lines)
    _require(problem is None, "lines", problem)
    total = order_totals(quote.sheet, order.lines).total
    _require(order.total == total >= 0, "totals")
    _require(quote.terms.referee is None or order.referee in (None, quote.terms.referee), "terms")


def judge_order(thread: Thread, opened: Opened, wall: int, *, by_hand: bool = False) -> None:
    """Whether the seller may sign AP for a checked order at `wall`; raises Refusal with a reason of `REJECTIONS`.

    Asked once, by the seller's own clock, right before signing. `by_hand`: a person may take an order of a quote that
    has expired or was replaced, since his signature makes it good.
    """
    order = _document(opened, Order)
    _require(order.quote not in thread.withdrawn, "withdrawn")
    _require(wall <= order.answer_by, "late")
    if not by_hand:
        _require(order.quote == thread.newest, "superseded")
        _require(wall <= thread.quotes[order.quote].valid_until, "expired")


def check_order_response(thread: Thread, opened: Opened, wall: int) -> None:
    """The seller's word on an order, at the buyer."""
    response = _document(opened, OrderResponse)
    _require(opened.signer == thread.seller, "wrong_signer")
    if response.order not in thread.orders:
        raise Refusal("unknown_order", REASONS["unknown_order"])
    ordered, order = thread.orders[response.order]
    _require(opened.recipient == ordered.signer, "wrong_recipient")
    _signed_by_now(response, wall)
    _once(thread, opened)
    _require((response.code == "AP") == (response.deal_signature is not None), "code")
    _require((response.code == "CA") == (response.quote is not None), "code")
    _require(in_time(order, response), "late")
    if response.deal_signature is not None:
        statement = deal_statement(thread.network, order, ordered.signer, thread.seller)
        _signed(thread.seller, response.deal_signature, statement)
    if response.quote in thread.quotes:  # it may arrive after this
        _require(thread.quotes[response.quote].version > thread.quotes[order.quote].version, "version")


def check_acknowledgement(about: Opened, opened: Opened, wall: int) -> None:
    """An acknowledgement of our document `about`."""
    acknowledgement = _document(opened, Acknowledgement)
    _between(opened, about.recipient, about.signer)
    _require((acknowledgement.about, acknowledgement.about_kind) == (about.hash, about.kind), "unknown_document")
    _require((acknowledgement.status == "refused") == (acknowledgement.code is not None), "code")
    _signed_by_now(acknowledgement, wall)


def _check_known(thread: Thread, opened: Opened, wall: int) -> None:
    about = thread.find(_document(opened, Acknowledgement).about)
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
}


# Parts of the checks


def _require(holds: bool, reason: str, message: str | None = None) -> None:
    if not holds:
        raise Refusal(reason, message or REASONS[reason])


def _document(opened: Opened, kind: type[Class]) -> Class:
    """The document, which must be of this class."""
    if not isinstance(opened.document, kind):
        raise Refusal("unknown_document", f"a {opened.name} came instead of a {kind.__name__.lower()}")
    return opened.document


def _between(opened: Opened, signer: bytes, recipient: bytes) -> None:
    _require(opened.signer == signer, "wrong_signer")
    _require(opened.recipient == recipient, "wrong_recipient")


def _signed_by_now(document: Document, wall: int) -> None:
    _require(document.issued_at <= wall + limits.FUTURE_SECONDS, "clock")


def _signed(public: bytes, signature: bytes, statement: bytes) -> None:
    try:
        check_signature(public, signature, statement)
    except BadSignature as error:
        raise Refusal("signature", REASONS["signature"]) from error


def _once(thread: Thread, opened: Opened) -> None:
    """Refuse a second document in a slot."""
    place = slot(opened)
    for other in thread.documents.values():
        if other.hash != opened.hash and slot(other) == place:
            raise Refusal("equivocation", REASONS["equivocation"])


def _follows(thread: Thread, quote_hash: bytes, quote: Quote) -> None:
    """Version 1 answers no quote, any other the version before it or a counter; as far as those are here."""
    _require(quote.version == 1 or quote.answers is not None, "version")
    before = thread.quotes.get(quote.answers) if quote.answers is not None else None
    _require(before is None or before.version == quote.version - 1, "version")
    for later in thread.quotes.values():
        _require(later.answers != quote_hash or later.version == quote.version + 1, "version")


def _answers_lines(asked: tuple[RequestLine, ...], quote: Quote) -> None:
    """A line that answers a line of the request is for all of it; what no line answers is named as missing."""
    wanted = {line.no: line for line in asked}
    answered = [line for line in quote.sheet.lines if line.request_line is not None]
    for line in answered:
        _require(line.request_line in wanted, "lines", f"line {line.no} answers a line that was not asked for")
        _require(_same_quantity(line, wanted[line.request_line or 0]), "lines", f"line {line.no}: another quantity")
    covered = [line.request_line for line in answered]
    _require(len(set(covered)) == len(covered), "lines", "a line of the request is answered twice")
    missing = sorted(wanted.keys() - set(covered))
    _require(list(quote.missing_lines) == missing, "lines", "missing_lines are not those that no line answers")


def _same_quantity(line: QuoteLine, asked: RequestLine) -> bool:
    return (line.quantity, line.unit) == (asked.quantity, asked.unit)


def _check_terms(sheet: Sheet, terms: Terms) -> None:
    """Instalments add up to the total; least quantities and steps fit their lines."""
    if terms.payment is not None and terms.payment.instalments is not None:
        _require(sum(part.amount for part in terms.payment.instalments) == sheet.total, "terms")
    for line in sheet.lines:
        for bound in (line.details.least, line.details.step) if line.details else ():
            _require(bound is None or 0 < fraction(bound) <= fraction(line.quantity), "terms")


def _orderer(thread: Thread, opened: Opened, order: Order) -> None:
    """Who orders is who asked: the request key signed for this identity, and the identity signed the deal."""
    _require(order.request_key == thread.request.signer, "identity")
    _require(thread.asked.identity in (None, opened.signer), "identity")
    _require(opened.signer not in (thread.seller, thread.request.signer), "identity")
    statement = order_statement(thread.network, order.request, order.quote, opened.signer)
    _signed(order.request_key, order.request_signature, statement)
    deal = deal_statement(thread.network, order, opened.signer, thread.seller)
    _signed(opened.signer, order.deal_signature, deal)
