"""Trade documents: request to order response, and how any document becomes a signed envelope and back.

Rules. A document is a frozen struct; its payload is its deterministic CBOR; its hash is SHA-256 of the payload, and its
id is made of that hash. What is signed is never packed again: the payload's bytes are kept. An envelope binds network,
kind and recipient from outside the payload, so a request is one payload and one id for all sellers, each of whom gets
an envelope of his own. Nothing here asks whether a document is true; `trade.check` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from p2pmarket import codec, keys, limits
from p2pmarket.errors import BadInput, BadMessage, LimitReached
from p2pmarket.network import Network
from p2pmarket.trade.fulfilment import (
    Cancel,
    Change,
    Credit,
    Despatch,
    Dispute,
    Invoice,
    Lines,
    Note,
    Payment,
    Rating,
    Receipt,
)
from p2pmarket.trade.kinds import KINDS, LETTERS, NAMES, Document, document, kind_of
from p2pmarket.trade.values import (
    Attachments,
    Category,
    Currency,
    Date,
    Delivery,
    Exponent,
    Hash,
    Instant,
    Key,
    LineText,
    Minor,
    Money,
    Name,
    Numbers,
    Party,
    PaymentTerms,
    Region,
    RequestLine,
    Routes,
    Sheet,
    Signature,
    Terms,
    Text,
    Token,
    Upstream,
    Url,
)

REQUEST, ACKNOWLEDGEMENT, DECLINE, QUOTE, COUNTER, WITHDRAW, OUTCOME, ORDER, ORDER_RESPONSE = range(1, 10)

DeclineReason: TypeAlias = Literal["stock", "region", "size", "date", "trade", "price", "busy", "other"]
ResponseCode: TypeAlias = Literal["AB", "AP", "RE", "CA"]  # Peppol: acknowledged, accepted, rejected, with changes


@document("request")
class Request(Document, tag=REQUEST, frozen=True, kw_only=True):
    """A request for quotation. Its signer is the request key, made for it alone; quotes name that key as recipient.

    `reply_key` (X25519) and `routes` say how to reach the buyer; `region` is where goods must arrive, `from_region`
    where sellers must sit. `identity` is null to strangers; else `identity_signature` signs `identity_statement`.
    """

    reply_key: Key
    routes: Routes
    category: Category
    subject: LineText | None = None
    lines: Annotated[tuple[RequestLine, ...], Meta(min_length=1, max_length=limits.DOCUMENT_LINES)]
    region: Region | None = None
    place: LineText | None = None
    from_region: Region | None = None
    currency: Currency | None = None
    max_total: Money | None = None
    quotes_wanted: Annotated[int, Meta(ge=1, le=limits.QUOTES_WANTED)]
    reply_by: Instant
    wanted_by: Date | None = None
    delivery: Delivery | None = None
    payment: PaymentTerms | None = None
    reference: LineText | None = None
    text: Text | None = None
    attachments: Attachments | None = None
    replaces: Hash | None = None
    identity: Key | None = None
    identity_signature: Signature | None = None


@document("acknowledgement")
class Acknowledgement(Document, tag=ACKNOWLEDGEMENT, frozen=True, kw_only=True):
    """What became of a document: signed by its recipient, addressed to its signer. `code` says why it was refused."""

    about: Hash
    about_kind: Annotated[int, Meta(ge=1, le=255)]
    status: Literal["received", "seen", "refused"]
    code: Token | None = None


@document("decline")
class Decline(Document, tag=DECLINE, frozen=True, kw_only=True):
    """The seller's no to a request; or, if `counter` names one, to that counter: then his quote stands as it was."""

    request: Hash
    reason: DeclineReason
    text: Text | None = None
    counter: Hash | None = None


@document("quote")
class Quote(Document, tag=QUOTE, frozen=True, kw_only=True):
    """A seller's full answer to a request. Version n replaces all before it; (request, version) is signed once only.

    `answers` is the hash of the version or counter it follows. `missing_lines` are the lines of the request that it
    leaves out. `reply_key` (X25519) and `routes`: how to reach the seller later.
    """

    request: Hash
    version: Annotated[int, Meta(ge=1, le=limits.QUOTE_VERSIONS)]
    answers: Hash | None = None
    kind: Literal["firm", "indicative"]
    name: Name | None = None
    valid_until: Instant
    sheet: Sheet
    missing_lines: Numbers = ()
    terms: Terms
    url: Url | None = None
    text: Text | None = None
    attachments: Attachments | None = None
    reply_key: Key | None = None
    routes: Routes | None = None


@document("counter")
class Counter(Document, tag=COUNTER, frozen=True, kw_only=True):
    """The buyer's wish for another quote, as a full document; a seller's counter is a new version of his quote."""

    request: Hash
    version: Annotated[int, Meta(ge=1, le=limits.QUOTE_VERSIONS)]
    answers: Hash
    valid_until: Instant
    sheet: Sheet
    missing_lines: Numbers = ()
    terms: Terms
    text: Text | None = None
    attachments: Attachments | None = None


@document("withdraw")
class Withdraw(Document, tag=WITHDRAW, frozen=True, kw_only=True):
    """The seller takes back a quote that he has not accepted an order for."""

    request: Hash
    quote: Hash
    reason: Token | None = None
    text: Text | None = None


@document("outcome")
class Outcome(Document, tag=OUTCOME, frozen=True, kw_only=True):
    """What the buyer tells a seller at the end of a request; `price`, the winning total, only if he wants it told."""

    request: Hash
    quote: Hash | None = None
    result: Literal["awarded", "lost", "enough", "expired", "cancelled"]
    price: Money | None = None
    reason: Token | None = None
    text: Text | None = None


@document("order")
class Order(Document, tag=ORDER, frozen=True, kw_only=True):
    """The buyer's signed yes to a quote, by his identity. It binds when the seller signs AP before `answer_by`.

    `request_signature` is the request key's, of `order_statement`: who asked is who orders. `deal_signature` is the
    buyer's, of `deal_statement`. Every ordered line is named, of a whole order too; `total` is what it comes to.
    """

    request: Hash
    quote: Hash
    request_key: Key
    request_signature: Signature
    deal_signature: Signature
    lines: Lines
    currency: Currency
    exponent: Exponent
    total: Minor
    deliver_to: Party | None = None
    bill_to: Party | None = None
    reference: LineText | None = None
    answer_by: Instant
    reply_key: Key
    routes: Routes
    wanted_by: Date | None = None
    payment: LineText | None = None
    referee: Key | None = None
    upstream: Upstream | None = None
    text: Text | None = None
    attachments: Attachments | None = None


@document("order_response")
class OrderResponse(Document, tag=ORDER_RESPONSE, frozen=True, kw_only=True):
    """The seller's word on an order: AB received, AP accepted, RE rejected, CA only as in version `quote` of his quote.

    AP carries the seller's signature of `deal_statement`.
    """

    order: Hash
    code: ResponseCode
    quote: Hash | None = None
    deal_signature: Signature | None = None
    reason: Token | None = None
    text: Text | None = None
    expected: Date | None = None
    reply_key: Key | None = None
    routes: Routes | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """A document whose signature holds, with the facts of its envelope. `hash` is that of the payload."""

    kind: int
    signer: bytes
    recipient: bytes
    hash: bytes
    document: Document
    envelope: bytes

    @property
    def id(self) -> str:
        """The document's id: a letter and 26 base32 characters."""
        return document_id(self.kind, self.hash)

    @property
    def name(self) -> str:
        """The kind's word."""
        return NAMES[self.kind]


def document_id(kind: int, payload_hash: bytes) -> str:
    """The id that people see: "r-…", "q-…", "o-…"; "x-…" for kinds that nobody names."""
    return keys.document_id(LETTERS.get(kind, "x"), payload_hash)


def deal_id(order_hash: bytes) -> str:
    """The id of the deal that an order makes: "d-" and the characters of the order's id."""
    return keys.document_id("d", order_hash)


def pack(document: Document) -> bytes:
    """The payload: what is hashed and signed.

    Raises LimitReached above 256 KiB, BadInput for anything else that a reader would refuse.
    """
    value = msgspec.to_builtins(document, builtin_types=(bytes,))
    try:
        codec.convert_untrusted(value, type(document))
    except BadMessage as error:
        raise BadInput(f"cannot be sent: {error.message}") from error
    payload = codec.encode_converted(value)
    if len(payload) > limits.DOCUMENT_BYTES:
        raise LimitReached(
            f"the {NAMES[kind_of(document)]} takes {len(payload)} bytes; a document may have {limits.DOCUMENT_BYTES}",
            hint="Send it in two parts, or with shorter texts",
        )
    return payload


def unpack_untrusted(kind: int, payload: bytes) -> Document:
    """The document in a payload. Raises BadMessage."""
    cls = KINDS.get(kind)
    if cls is None:
        raise BadMessage(f"no document has the kind {kind}")
    if len(payload) > limits.DOCUMENT_BYTES:
        raise BadMessage("the document is too large")
    return codec.unpack_untrusted(payload, cls, max_items=limits.DOCUMENT_ITEMS)


def seal_document(
    document: Document, key: keys.SigningKey, network: Network, recipient: bytes, payload: bytes | None = None
) -> Opened:
    """Sign a document for `recipient` (an Ed25519 public key). Raises BadInput, LimitReached.

    `payload`: the packed document, when the same one is sealed for many recipients. What comes back is what the
    recipient will see after `document_untrusted`; only what a reader accepts is signed.
    """
    kind = kind_of(document)
    if payload is None:
        payload = pack(document)
    envelope = keys.seal(key, payload, network, kind, recipient)
    return Opened(kind, key.public, recipient, keys.digest(payload), document, envelope)


def document_untrusted(kind: int, envelope: bytes, network: Network, recipient: bytes) -> Opened:
    """The document in a signed envelope that is meant for `recipient`. Raises BadMessage, whatever the bytes are."""
    if len(envelope) > limits.ENVELOPE_BYTES:
        raise BadMessage("the document is too large")
    signed = keys.open_untrusted(envelope, network, kind, recipient)
    return Opened(kind, signed.signer, recipient, signed.hash, unpack_untrusted(kind, signed.payload), envelope)


# What is signed beside the documents


def order_statement(network: Network, request: bytes, quote: bytes, identity: bytes) -> bytes:
    """What the request key signs in an order: this identity may order this quote."""
    return codec.encode(["order", network.name, request, quote, identity])


def deal_statement(network: Network, order: Order, buyer: bytes, seller: bytes) -> bytes:
    """What buyer and seller both sign of a deal: hashes and keys only, so that a rating can show it to anyone."""
    return deal_statement_of(network, order.request, order.quote, order.nonce, buyer, seller)


def deal_statement_of(
    network: Network, request: bytes, quote: bytes, order_nonce: bytes, buyer: bytes, seller: bytes
) -> bytes:
    """The same from the fields of a rating, whose reader has no order."""
    return codec.encode(["deal", network.name, request, quote, order_nonce, buyer, seller])


def identity_statement(network: Network, request_key: bytes, reply_key: bytes, identity: bytes) -> bytes:
    """What an identity signs to be known as the one behind a request."""
    return codec.encode(["identity", network.name, request_key, reply_key, identity])


__all__ = [
    "ACKNOWLEDGEMENT",
    "COUNTER",
    "DECLINE",
    "KINDS",
    "LETTERS",
    "NAMES",
    "ORDER",
    "ORDER_RESPONSE",
    "OUTCOME",
    "QUOTE",
    "REQUEST",
    "WITHDRAW",
    "Acknowledgement",
    "Cancel",
    "Change",
    "Counter",
    "Credit",
    "Decline",
    "Despatch",
    "Dispute",
    "Document",
    "Invoice",
    "Note",
    "Opened",
    "Order",
    "OrderResponse",
    "Outcome",
    "Payment",
    "Quote",
    "Rating",
    "Receipt",
    "Request",
    "Withdraw",
    "deal_id",
    "deal_statement",
    "deal_statement_of",
    "document_id",
    "document_untrusted",
    "identity_statement",
    "kind_of",
    "order_statement",
    "pack",
    "seal_document",
    "unpack_untrusted",
]
