"""Documents from agreement to rating: change, despatch, receipt, invoice, payment, rating, dispute and the like.

Their formats hold although the daemon does not issue them yet. `deal` is always the hash of the order's payload. Where
both must sign, one side signs a document with `step` "propose" and the other one whose `about` is its hash and whose
`step` is "accept" or "reject".
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from p2pmarket import limits
from p2pmarket.trade.kinds import Document, document
from p2pmarket.trade.values import (
    Aspect,
    Attachments,
    Date,
    Decimal9,
    Hash,
    Instant,
    Key,
    LineText,
    Method,
    Money,
    Nonce,
    Number,
    OrderLine,
    Party,
    ReceiptLine,
    Sheet,
    Signature,
    Terms,
    Text,
    Token,
    Url,
)

Step: TypeAlias = Literal["propose", "accept", "reject"]
Lines: TypeAlias = Annotated[tuple[OrderLine, ...], Meta(min_length=1, max_length=limits.DOCUMENT_LINES)]


@document("change")
class Change(Document, tag=10, frozen=True, kw_only=True):
    """New prices, terms or address for an agreed deal: in full, not as a difference. Binds when both have signed."""

    deal: Hash
    version: Number
    step: Step
    about: Hash | None = None
    sheet: Sheet | None = None
    terms: Terms | None = None
    deliver_to: Party | None = None
    reason: Token | None = None
    text: Text | None = None


@document("cancel")
class Cancel(Document, tag=11, frozen=True, kw_only=True):
    """The end of an order or deal. Binds when both have signed, before agreement too."""

    deal: Hash
    step: Step
    about: Hash | None = None
    reason: Token | None = None
    refund: Money | None = None
    text: Text | None = None


@document("despatch")
class Despatch(Document, tag=12, frozen=True, kw_only=True):
    """Goods have left: which, with whom, how to follow them. `files` of digital goods by hash."""

    deal: Hash
    no: Number
    lines: Lines
    carrier: LineText | None = None
    tracking: LineText | None = None
    url: Url | None = None
    parcels: Number | None = None
    despatched_at: Instant | None = None
    expected: Date | None = None
    files: Attachments | None = None
    text: Text | None = None


@document("receipt")
class Receipt(Document, tag=13, frozen=True, kw_only=True):
    """Goods have arrived: per line how many and how."""

    deal: Hash
    no: Number
    despatch: Hash | None = None
    lines: Annotated[tuple[ReceiptLine, ...], Meta(min_length=1, max_length=limits.DOCUMENT_LINES)]
    received_on: Date | None = None
    text: Text | None = None
    attachments: Attachments | None = None


@document("invoice")
class Invoice(Document, tag=14, frozen=True, kw_only=True):
    """What is owed for the whole deal or for named despatches; `number` is the seller's own."""

    deal: Hash
    number: LineText
    sheet: Sheet
    date: Date
    due: Date | None = None
    instalment: Number | None = None
    despatches: Annotated[tuple[Hash, ...], Meta(min_length=1, max_length=64)] | None = None
    payee: Party | None = None
    payer: Party | None = None
    methods: Annotated[tuple[Method, ...], Meta(max_length=8)] = ()
    text: Text | None = None
    attachments: Attachments | None = None


@document("credit")
class Credit(Document, tag=15, frozen=True, kw_only=True):
    """What is given back on an invoice or deal; its total is above zero."""

    deal: Hash
    number: LineText
    invoice: Hash | None = None
    sheet: Sheet
    date: Date
    reason: Token | None = None
    text: Text | None = None
    attachments: Attachments | None = None


@document("payment")
class Payment(Document, tag=16, frozen=True, kw_only=True):
    """Money on its way: advised by the payer, confirmed (or not found) by the payee with `about` the advice.

    A refund is announced (`refund_due`) by the seller and confirmed (`refunded`) by the buyer.
    """

    deal: Hash
    step: Literal["advised", "confirmed", "not_received", "refund_due", "refunded"]
    no: Number
    about: Hash | None = None
    invoice: Hash | None = None
    instalment: Number | None = None
    amount: Money
    method: Method | None = None
    reference: LineText | None = None
    paid_at: Instant | None = None
    proof: Annotated[bytes, Meta(min_length=1, max_length=1024)] | None = None
    text: Text | None = None


@document("rating")
class Rating(Document, tag=17, frozen=True, kw_only=True):
    """A judgement on the other side of a deal, with both sides' signatures of `documents.deal_statement`.

    The statement names hashes and keys only, so a rating can be published without an address or a price.
    """

    deal: Hash
    request: Hash
    quote: Hash
    order_nonce: Nonce
    buyer: Key
    seller: Key
    buyer_signature: Signature
    seller_signature: Signature
    version: Number
    aspects: Annotated[tuple[Aspect, ...], Meta(min_length=1, max_length=8)]
    text: Text | None = None
    url: Url | None = None


@document("dispute")
class Dispute(Document, tag=18, frozen=True, kw_only=True):
    """One move of a quarrel: opened, stated, proposed, judged by the referee named in the order, or closed.

    `share` is the part of the total, 0 to 1, that goes back to the buyer.
    """

    deal: Hash
    step: Literal["open", "statement", "proposal", "accept", "opinion", "close"]
    no: Number
    about: Hash | None = None
    reason: Token | None = None
    outcome: Token | None = None
    amount: Money | None = None
    share: Decimal9 | None = None
    text: Text | None = None
    attachments: Attachments | None = None


@document("note")
class Note(Document, tag=19, frozen=True, kw_only=True):
    """Talk about a request, quote or deal: `about` is that document's hash.

    A buyer who wants one seller to know him signs `documents.identity_statement` and sends it in a note.
    """

    about: Hash
    answers: Hash | None = None
    text: Text | None = None
    attachments: Attachments | None = None
    identity: Key | None = None
    identity_signature: Signature | None = None
