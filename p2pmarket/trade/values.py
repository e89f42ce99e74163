"""The values that trade documents are made of: constrained numbers and texts, and the small structs that hold them.

Rules. A quantity, a price and a rate are decimals written as text in one canonical form (no sign, no leading zero, no
trailing zero after the point, at most 9 places), so a value has one encoding. An amount of money is an integer of the
currency's smallest unit; the exponent stands beside it, so a document is checked without a table. Instants are UTC unix
seconds, dates are text of the calendar at the place of delivery. Hashes are SHA-256 of payloads. What is not known is
null, never an empty text or zero. Every struct is an array on the wire; fields are only ever added at the end.

A request line takes 10 CBOR items with one code, a quote line 15: a thousand of them stay within the limit.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from p2pmarket import limits
from p2pmarket.records import Route as Route
from p2pmarket.records import Routes as Routes

Hash: TypeAlias = Annotated[bytes, Meta(min_length=32, max_length=32)]
Key: TypeAlias = Annotated[bytes, Meta(min_length=32, max_length=32)]
Signature: TypeAlias = Annotated[bytes, Meta(min_length=64, max_length=64)]
Nonce: TypeAlias = Annotated[bytes, Meta(min_length=16, max_length=16)]
Instant: TypeAlias = Annotated[int, Meta(ge=0, le=limits.LAST_INSTANT)]
Decimal9: TypeAlias = Annotated[str, Meta(pattern=r"^(0|[1-9][0-9]{0,14})(\.[0-9]{0,8}[1-9])?\Z", max_length=25)]
Minor: TypeAlias = Annotated[int, Meta(ge=-limits.AMOUNT, le=limits.AMOUNT)]
Exponent: TypeAlias = Annotated[int, Meta(ge=0, le=4)]
Number: TypeAlias = Annotated[int, Meta(ge=1, le=1_000_000)]
Days: TypeAlias = Annotated[int, Meta(ge=0, le=3650)]
Currency: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z", max_length=3)]
Unit: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Z0-9]{2,3}\Z", max_length=3)]
Region: TypeAlias = Annotated[str, Meta(pattern=r"^(world|[A-Z]{2}(-[A-Z0-9]{1,3})?)\Z", max_length=6)]
Category: TypeAlias = Annotated[str, Meta(min_length=1, max_length=limits.CATEGORY_CHARS)]
Date: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])\Z", max_length=10)]
Language: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*\Z", max_length=35)]
Incoterm: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z", max_length=3)]
Url: TypeAlias = Annotated[str, Meta(pattern=r"^https?://[^\s\x00-\x1f\x7f]+\Z", max_length=limits.URL_CHARS)]
Method: TypeAlias = Annotated[
    str, Meta(min_length=1, max_length=limits.URL_CHARS)
]  # "cash", or a payto: link (RFC 8905)
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=limits.NAME_CHARS)]
CodeText: TypeAlias = Annotated[str, Meta(min_length=1, max_length=limits.CODE_CHARS)]
LineText: TypeAlias = Annotated[str, Meta(min_length=1, max_length=limits.LINE_TEXT_CHARS)]
Text: TypeAlias = Annotated[str, Meta(min_length=1, max_length=limits.TEXT_CHARS)]
Token: TypeAlias = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,39}\Z", max_length=40)]  # a reason code

Scheme: TypeAlias = Literal["gtin", "mpn", "seller", "buyer"]
ChargeKind: TypeAlias = Literal["delivery", "service", "discount", "other"]
Stage: TypeAlias = Literal["before_order", "before_delivery", "on_delivery", "after_delivery", "instalments"]


class Value(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """Base of the structs within documents; an array of its fields, in order."""


class Code(msgspec.Struct, frozen=True, array_like=True):
    """What an article is called: `scheme` gtin, mpn (maker's part number), seller or buyer; `value` as written."""

    scheme: Scheme
    value: CodeText


class Money(msgspec.Struct, frozen=True, array_like=True):
    """`amount` in units of 10**-exponent of `currency`."""

    amount: Minor
    currency: Currency
    exponent: Exponent


class Attachment(Value, frozen=True, kw_only=True):
    """A file by its SHA-256; `size` in bytes, `media` its media type. The bytes travel elsewhere."""

    hash: Hash
    size: Annotated[int, Meta(ge=0, le=2**40)]
    name: Name
    media: Annotated[str, Meta(min_length=1, max_length=100)] | None = None


Codes: TypeAlias = Annotated[tuple[Code, ...], Meta(min_length=1, max_length=4)]
Attachments: TypeAlias = Annotated[tuple[Attachment, ...], Meta(min_length=1, max_length=16)]
Upstream: TypeAlias = Annotated[tuple[Hash, ...], Meta(min_length=1, max_length=16)]
Numbers: TypeAlias = Annotated[tuple[Number, ...], Meta(max_length=limits.DOCUMENT_LINES)]


class RequestLineDetails(Value, frozen=True, kw_only=True):
    """What few request lines need: a specification, the date this line is wanted by, a link, files."""

    specification: Text | None = None
    wanted_by: Date | None = None
    url: Url | None = None
    attachments: Attachments | None = None


class RequestLine(Value, frozen=True, kw_only=True):
    """One thing wanted: `quantity` of `unit` (UN/ECE rec 20); `no` names the line within the request."""

    no: Number
    quantity: Decimal9
    unit: Unit
    text: LineText
    codes: Codes | None = None
    details: RequestLineDetails | None = None


class QuoteLineDetails(Value, frozen=True, kw_only=True):
    """What few quote lines need: `least` quantity and `step` of a partial order, days or date of delivery, links."""

    least: Decimal9 | None = None
    step: Decimal9 | None = None
    days: Days | None = None
    latest: Date | None = None
    specification: Text | None = None
    url: Url | None = None
    attachments: Attachments | None = None


class QuoteLine(Value, frozen=True, kw_only=True):
    """One thing for sale: `price` for `per` of `unit`, `amount` = price x quantity / per in minor units.

    `request_line` is the line of the request it answers (null: an extra); `tax_rate` is in per cent.
    """

    no: Number
    request_line: Number | None = None
    quantity: Decimal9
    unit: Unit
    text: LineText
    code: Code | None = None
    price: Decimal9
    per: Decimal9
    amount: Minor
    tax_rate: Decimal9 | None = None
    details: QuoteLineDetails | None = None


class Charge(Value, frozen=True, kw_only=True):
    """What is charged beside the goods; a discount is negative. `line`: it belongs to that line alone.

    `scaled` says what a partial order pays: false the whole charge (of a line: if the line is ordered at all), true
    the part that the goods ordered have in the goods quoted.
    """

    kind: ChargeKind
    text: LineText | None = None
    amount: Minor
    tax_rate: Decimal9 | None = None
    line: Number | None = None
    scaled: bool = False


class Tax(Value, frozen=True, kw_only=True):
    """Tax of one `rate` (per cent) on `base`, the sum of lines and charges of that rate, in minor units."""

    rate: Decimal9
    base: Minor
    amount: Minor


class Sheet(Value, frozen=True, kw_only=True):
    """Lines, charges and totals, all in one currency; `trade.money.check_totals` recomputes every amount of it.

    goods = sum of the lines; tax = sum of `taxes`; total = goods + charges + tax, or without tax where prices
    include it.
    """

    currency: Currency
    exponent: Exponent
    lines: Annotated[tuple[QuoteLine, ...], Meta(min_length=1, max_length=limits.DOCUMENT_LINES)]
    charges: Annotated[tuple[Charge, ...], Meta(max_length=limits.CHARGES)] = ()
    tax_included: bool = False
    goods: Minor
    taxes: Annotated[tuple[Tax, ...], Meta(max_length=limits.TAX_RATES)] = ()
    tax: Minor
    total: Annotated[int, Meta(ge=0, le=limits.AMOUNT)]


class Delivery(Value, frozen=True, kw_only=True):
    """Terms of delivery: `days` after the order or `latest` date; incoterm with its place; where goods leave from."""

    days: Days | None = None
    latest: Date | None = None
    incoterm: Incoterm | None = None
    place: LineText | None = None
    ships_from: Region | None = None
    in_parts: bool | None = None
    text: Text | None = None


class Instalment(Value, frozen=True, kw_only=True):
    """Part of the total: due at `stage`, `days` after it, or at a date."""

    amount: Minor
    stage: Stage
    days: Days | None = None
    due: Date | None = None


class PaymentTerms(Value, frozen=True, kw_only=True):
    """When and how to pay: `days` after the stage; `methods` are words or payto: links; `escrow` a page of others."""

    stage: Stage | None = None
    days: Days | None = None
    methods: Annotated[tuple[Method, ...], Meta(max_length=8)] = ()
    instalments: Annotated[tuple[Instalment, ...], Meta(max_length=36)] | None = None
    escrow: Url | None = None
    text: Text | None = None


class Terms(Value, frozen=True, kw_only=True):
    """All of a quote that is not a price. `divisible`: lines and quantities may be chosen when ordering.

    `cancel_days`: so many days after the agreed day of delivery the buyer may end the deal alone, if nothing left.
    """

    divisible: bool
    delivery: Delivery | None = None
    payment: PaymentTerms | None = None
    referee: Key | None = None
    upstream: Upstream | None = None
    cancel_days: Days | None = None
    text: Text | None = None


class OrderLine(Value, frozen=True, kw_only=True):
    """A line of the quote by its number, and how much of it."""

    no: Number
    quantity: Decimal9


class ReceiptLine(Value, frozen=True, kw_only=True):
    """What arrived of an ordered line, and how."""

    no: Number
    quantity: Decimal9
    condition: Literal["full", "short", "damaged", "refused"]
    text: LineText | None = None


class Party(Value, frozen=True, kw_only=True):
    """Name and address of a person or firm, told in an order only."""

    name: Annotated[str, Meta(min_length=1, max_length=limits.LINE_TEXT_CHARS)]
    address: Annotated[tuple[LineText, ...], Meta(max_length=limits.ADDRESS_LINES)] = ()
    region: Region | None = None
    contact: LineText | None = None
    tax_id: CodeText | None = None


class Aspect(msgspec.Struct, frozen=True, array_like=True):
    """One thing rated, from 1 (bad) to 5 (good): "goods", "delivery", "talk", …"""

    name: Token
    score: Annotated[int, Meta(ge=1, le=5)]
