"""Counters and notes as objects of the local API. All of it runs in the ledger's thread."""

from __future__ import annotations

from p2pmarket import keys
from p2pmarket.api import types as t
from p2pmarket.clock import wall
from p2pmarket.errors import StoreError
from p2pmarket.market.differences import differences
from p2pmarket.market.sheets import delivery_terms, money_of, payment_plan, payment_text, quote_line
from p2pmarket.market.views import Views
from p2pmarket.store import rows
from p2pmarket.store.ledger import Ledger
from p2pmarket.trade import documents as d
from p2pmarket.vocab.deadlines import instant_text


def counter_view(views: Views, ledger: Ledger, kept: rows.Document) -> t.Counter:
    """A counter that we gave or got, with what it changes."""
    counter = views.reader.document(ledger, kept.hash, d.Counter)
    quote = views.reader.document(ledger, counter.answers, d.Quote)
    row = ledger.quotes.get(counter.answers)
    if row is None:
        raise StoreError("a counter without its quote")
    no = _decline(views, ledger, kept.thread, row.seller, kept.hash)
    sheet = counter.sheet
    return t.Counter(
        id=kept.id,
        request=d.document_id(d.REQUEST, counter.request),
        quote=row.id,
        version=counter.version,
        state=_state(row, counter, declined=no is not None),
        seller=views.seller(ledger, row.request, row.seller),
        issued_at=instant_text(counter.issued_at),
        valid_until=instant_text(counter.valid_until),
        lines=[quote_line(line, sheet) for line in sheet.lines],
        missing_lines=list(counter.missing_lines),
        charges=[t.Charge(kind=c.kind, text=c.text, amount=money_of(c.amount, sheet)) for c in sheet.charges],
        goods=money_of(sheet.goods, sheet),
        tax=t.Tax(included=sheet.tax_included, amount=money_of(sheet.tax, sheet)),
        total=money_of(sheet.total, sheet),
        divisible=counter.terms.divisible,
        delivery=delivery_terms(counter.terms.delivery),
        payment_terms=payment_text(counter.terms.payment, sheet),
        payment=payment_plan(counter.terms.payment, sheet),
        text=counter.text,
        differences=differences((quote.sheet, quote.terms), (sheet, counter.terms)),
        reason=no.reason if no else None,
        reply=no.text if no else None,
    )


def _decline(views: Views, ledger: Ledger, thread: bytes, seller: bytes, counter: bytes) -> d.Decline | None:
    """The seller's no to a counter."""
    for kept in ledger.documents.of_signer(thread, d.DECLINE, seller):
        decline = views.reader.document(ledger, kept.hash, d.Decline)
        if decline.counter == counter:
            return decline
    return None


def _state(row: rows.Quote, counter: d.Counter, *, declined: bool) -> t.CounterState:
    if row.state == "countered":
        return "expired" if counter.valid_until < wall() else "open"
    return "declined" if declined else "answered"


def note_view(views: Views, ledger: Ledger, kept: rows.Document) -> t.Note:
    """A note of either side."""
    note = views.reader.document(ledger, kept.hash, d.Note)
    about, before = ledger.documents.get(note.about), ledger.documents.get(note.answers or b"")
    outgoing = ledger.outbox.of_document(kept.hash, kept.recipient) if kept.ours else None
    return t.Note(
        id=kept.id,
        about=about.id if about is not None else "",
        answers=before.id if before is not None else None,
        sender="me" if kept.ours else "other",
        peer=_other(views, ledger, kept),
        text=note.text,
        attachments=[
            t.Attachment(name=one.name, size=one.size, sha256=one.hash.hex(), media=one.media)
            for one in note.attachments or ()
        ],
        introduces=keys.did_key(note.identity) if note.identity else None,
        issued_at=instant_text(note.issued_at),
        delivery=views.delivery(outgoing) if outgoing is not None else None,
    )


def _other(views: Views, ledger: Ledger, kept: rows.Document) -> t.Peer:
    """Who is on the other end of a note."""
    other = kept.recipient if kept.ours else kept.signer
    request = ledger.requests.get(kept.thread)
    if request is not None and request.role == "buyer":
        return views.seller(ledger, kept.thread, other)
    return views.buyer(ledger, kept.thread, other)
