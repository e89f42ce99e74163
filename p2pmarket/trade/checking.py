"""The parts that checks of all kinds are made of, and the reasons they refuse for."""

from __future__ import annotations

from collections.abc import Mapping

from p2pmarket import limits
from p2pmarket.errors import BadSignature, Refusal
from p2pmarket.keys import check_signature
from p2pmarket.trade.documents import Counter, Document, Opened, Quote
from p2pmarket.trade.money import fraction
from p2pmarket.trade.thread import Class, Thread, slot
from p2pmarket.trade.values import QuoteLine, RequestLine, Sheet, Terms
from p2pmarket.vocab.payto import is_wellformed

# Every reason a document may be refused or an order rejected for, as a sentence. Codes are never reused.
REASONS: Mapping[str, str] = {
    "wrong_signer": "signed by somebody who has no say in this",
    "wrong_recipient": "meant for somebody else",
    "unknown_request": "there is no such request here",
    "unknown_quote": "there is no such quote here",
    "unknown_order": "there is no such order here",
    "unknown_deal": "there is no such agreed deal here",
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
    "answered": "the signer has answered this in another way",
    "busy": "there is no room for more at the moment",
    "superseded": "there is a newer version of the quote",
    "withdrawn": "the quote was withdrawn",
    "expired": "the quote has expired",
    "late": "the answer was signed after the order's validity",
}


def require(holds: bool, reason: str, message: str | None = None) -> None:
    """Refuse for this reason unless it holds."""
    if not holds:
        raise Refusal(reason, message or REASONS[reason])


def document_of(opened: Opened, kind: type[Class]) -> Class:
    """The document, which must be of this class."""
    if not isinstance(opened.document, kind):
        raise Refusal("unknown_document", f"a {opened.name} came instead of a {kind.__name__.lower()}")
    return opened.document


def between(opened: Opened, signer: bytes, recipient: bytes) -> None:
    """Refuse what is not from this signer to this recipient."""
    require(opened.signer == signer, "wrong_signer")
    require(opened.recipient == recipient, "wrong_recipient")


def signed_by_now(document: Document, wall: int) -> None:
    """Refuse what was signed far in the future."""
    require(document.issued_at <= wall + limits.FUTURE_SECONDS, "clock")


def signed(public: bytes, signature: bytes, statement: bytes) -> None:
    """Refuse a signature within the document that does not hold."""
    try:
        check_signature(public, signature, statement)
    except BadSignature as error:
        raise Refusal("signature", REASONS["signature"]) from error


def once(thread: Thread, opened: Opened) -> None:
    """Refuse a second document in a slot."""
    place = slot(opened)
    for other in thread.documents.values():
        if place is not None and other.hash != opened.hash and slot(other) == place:
            raise Refusal("equivocation", REASONS["equivocation"])


def answers_lines(asked: tuple[RequestLine, ...], quote: Quote | Counter) -> None:
    """A line that answers a line of the request is for all of it; what no line answers is named as missing."""
    wanted = {line.no: line for line in asked}
    answered = [line for line in quote.sheet.lines if line.request_line is not None]
    for line in answered:
        require(line.request_line in wanted, "lines", f"line {line.no} answers a line that was not asked for")
        require(_same_quantity(line, wanted[line.request_line or 0]), "lines", f"line {line.no}: another quantity")
    covered = [line.request_line for line in answered]
    require(len(set(covered)) == len(covered), "lines", "a line of the request is answered twice")
    missing = sorted(wanted.keys() - set(covered))
    require(list(quote.missing_lines) == missing, "lines", "missing_lines are not those that no line answers")


def _same_quantity(line: QuoteLine, asked: RequestLine) -> bool:
    return (line.quantity, line.unit) == (asked.quantity, asked.unit)


def check_terms(sheet: Sheet, terms: Terms) -> None:
    """Instalments add up to the total; links to pay by are well formed; least quantities and steps fit their lines."""
    if terms.payment is not None:
        require(all(map(is_wellformed, terms.payment.methods)), "terms")
    if terms.payment is not None and terms.payment.instalments is not None:
        require(sum(part.amount for part in terms.payment.instalments) == sheet.total, "terms")
    for line in sheet.lines:
        for bound in (line.details.least, line.details.step) if line.details else ():
            require(bound is None or 0 < fraction(bound) <= fraction(line.quantity), "terms")


def unknown(reason: str) -> Refusal:
    """The refusal of what answers something that is not here, or not yet."""
    return Refusal(reason, REASONS[reason])
