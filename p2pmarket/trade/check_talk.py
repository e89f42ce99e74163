"""Checks of a counter, which wishes for another quote, and of notes, which are talk and bind nobody.

Rules. A counter is a full document under the request key; it has the number of the version it answers, so a version is
countered once. A note is bound to a document of the thread; talk about a request, quote or counter is between request
key and seller, talk about an order or deal between the two identities. A note may introduce the buyer, once for all.
"""

from __future__ import annotations

from p2pmarket import limits
from p2pmarket.trade.checking import (
    answers_lines,
    between,
    check_terms,
    document_of,
    once,
    require,
    signed,
    signed_by_now,
    unknown,
)
from p2pmarket.trade.documents import Counter, Note, Opened, Order, identity_statement
from p2pmarket.trade.money import check_totals
from p2pmarket.trade.thread import Thread


def check_counter(thread: Thread, opened: Opened, wall: int) -> None:
    """A counter at the seller."""
    counter = document_of(opened, Counter)
    between(opened, thread.request.signer, thread.seller)
    require(counter.request == thread.request.hash, "unknown_request")
    quote = thread.quotes.get(counter.answers)
    if quote is None:
        raise unknown("unknown_quote")
    signed_by_now(counter, wall)
    require(counter.version == quote.version, "version")
    answered = [later.version for later in thread.quotes.values() if later.answers == opened.hash]
    require(all(version > counter.version for version in answered), "version")
    once(thread, opened)
    require(counter.issued_at < counter.valid_until <= counter.issued_at + limits.QUOTE_SECONDS, "times")
    sheet = counter.sheet
    require((sheet.currency, sheet.exponent) == (quote.sheet.currency, quote.sheet.exponent), "currency")
    check_totals(sheet)
    answers_lines(thread.asked.lines, counter)
    check_terms(sheet, counter.terms)


def check_note(thread: Thread, opened: Opened, wall: int) -> None:
    """Talk, at whom it is addressed to."""
    note = document_of(opened, Note)
    _talkers(thread, opened, note)
    signed_by_now(note, wall)
    if note.answers is not None:
        before = thread.documents.get(note.answers)
        if before is None:
            raise unknown("unknown_document")
        require(isinstance(before.document, Note) and before.document.about == note.about, "code")
    require((note.identity is None) == (note.identity_signature is None), "identity")
    require(note.text is not None or note.attachments is not None or note.identity is not None, "code")
    if note.identity is not None and note.identity_signature is not None:
        require(opened.signer == thread.request.signer, "identity")
        _introduction(thread, note.identity, note.identity_signature)


def _talkers(thread: Thread, opened: Opened, note: Note) -> None:
    """Signer and recipient are those whose matter `about` is."""
    about = thread.find(note.about)
    if about is None:
        raise unknown("unknown_document")
    if isinstance(about.document, Order):
        buyer = about.signer
    else:
        require(about.hash == thread.request.hash or about.hash in {*thread.quotes, *thread.counters}, "code")
        buyer = thread.request.signer
    require(opened.signer in (buyer, thread.seller), "wrong_signer")
    between(opened, opened.signer, thread.seller if opened.signer == buyer else buyer)


def _introduction(thread: Thread, identity: bytes, signature: bytes) -> None:
    orderers = {opened.signer for opened, _ in thread.orders.values()}
    require({*thread.introduced, *orderers} <= {identity}, "identity")
    require(identity not in (thread.request.signer, thread.seller), "identity")
    signed(identity, signature, identity_statement(thread.network, thread.request.signer, thread.asked.reply_key, identity))  # fmt: skip # noqa: E501
