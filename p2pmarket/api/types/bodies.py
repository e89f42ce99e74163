"""What the local API is asked: the bodies of the writing routes.

Amounts, quantities, units, regions, categories and deadlines come as a person types them ("2.55", "12.50 EUR", "20 kg",
"fri 18:00") or in the strict form of `api.types`; the daemon understands both and answers with what it understood. What
may be left out has a default here. Unknown keys are refused, so a misspelt option never passes silently.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from p2pmarket import limits
from p2pmarket.api.types.trade import DeliverTo
from p2pmarket.api.types.values import ChargeKind, Code, Introduced, Quantity, QuoteKind

Text = Annotated[str, Meta(max_length=limits.TEXT_CHARS)]
LineText = Annotated[str, Meta(min_length=1, max_length=limits.LINE_TEXT_CHARS)]
Word = Annotated[str, Meta(min_length=1, max_length=limits.CATEGORY_CHARS)]
Name = Annotated[str, Meta(min_length=1, max_length=limits.NAME_CHARS)]
LineNo = Annotated[int, Meta(ge=1, le=limits.DOCUMENT_LINES)]
UtcOffset = Annotated[int, Meta(ge=-14 * limits.HOUR, le=14 * limits.HOUR)]
AddressLines = Annotated[list[LineText], Meta(max_length=limits.ADDRESS_LINES)]
Method = Annotated[str, Meta(min_length=1, max_length=limits.URL_CHARS)]
PaymentDays = Annotated[int, Meta(ge=0, le=3650)]
PaymentStage = Literal["before_order", "before_delivery", "on_delivery", "after_delivery", "instalments"]
DeclineReason = Literal["stock", "region", "size", "date", "trade", "price", "busy", "other"]


class Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all bodies."""


class CsvFile(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A CSV file as it lies on disk (base64 in JSON); `mapping` our column name -> the file's heading."""

    data: bytes
    mapping: dict[str, str] = {}


class SetProfile(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fields to change; null clears one, those left out stay."""

    name: Name | UnsetType | None = UNSET
    region: Word | UnsetType | None = UNSET
    currency: Word | UnsetType | None = UNSET
    address: AddressLines | UnsetType = UNSET
    tax_id: Name | UnsetType | None = UNSET


class Announce(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`serves` empty: the profile's region, else the world."""

    category: Word
    serves: Annotated[list[Word], Meta(max_length=limits.REGIONS_SERVED)] = []


class Withdraw(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`id` of an announcement or of a quote, or a unique prefix."""

    id: str
    text: Text | None = None


class NewLine(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line in the strict form."""

    quantity: Quantity
    text: LineText
    codes: list[Code] = []


class OpenRequest(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request for quotation. The lines are `lines`, then `line_texts` ("20 kg Yirgacheffe"), then those of `csv`;

    without any of them `text` is the only line, else the subject. `reply_by`: "2h", "fri 18:00" (at `utc_offset_s`
    seconds east of UTC) or RFC 3339, null: 24 hours. `quotes_wanted` null: as many as come. `max_total`: "500 EUR".
    `to`: known peers, by our name for a contact, did:key, fingerprint or name, instead of a search. `known_to`: who is
    told our identity: `all` in the request itself, `contacts` beside it, or `nobody`; null: contacts.

    `made_for`: a request in our inbox that this one serves. What is not said here is taken from it: category, lines,
    currency; reply-by leaves time to answer it. Nobody else is told of it.
    """

    category: Word | None = None
    text: Text | None = None
    line_texts: Annotated[list[LineText], Meta(max_length=limits.DOCUMENT_LINES)] = []
    lines: Annotated[list[NewLine], Meta(max_length=limits.DOCUMENT_LINES)] = []
    csv: CsvFile | None = None
    region: Word | None = None
    from_region: Word | None = None
    quotes_wanted: Annotated[int, Meta(ge=1, le=limits.QUOTES_WANTED)] | None = None
    reply_by: str | None = None
    utc_offset_s: UtcOffset = 0
    to: Annotated[list[str], Meta(max_length=limits.SELLERS_ASKED)] = []
    currency: Word | None = None
    max_total: str | None = None
    reference: Name | None = None
    known_to: Introduced | None = None
    made_for: str | None = None


class CloseRequest(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`enough`: quotes stay orderable, no more are wanted; `cancelled`: nothing will be bought.

    Sellers learn it, with `text`; if something was bought, those who lost learn that, with `tell_price` for how much.
    """

    state: Literal["enough", "cancelled"] = "cancelled"
    text: Text | None = None
    tell_price: bool = False


class NewQuoteLine(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A price for line `no` of the request: "2.55", "2.55 EUR". `quantity`, `text` null: as requested."""

    no: LineNo
    price: str
    quantity: str | None = None
    text: LineText | None = None
    tax_rate: str | None = None


class NewCharge(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`amount`: "4.90 EUR"; of a discount, what is taken off, positive."""

    kind: ChargeKind
    amount: str
    text: LineText | None = None


class NewInstalment(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`amount` "100 EUR", "30%" or "rest"; at `stage`, `days` after it, or on the day `due`."""

    amount: str
    stage: PaymentStage = "before_delivery"
    days: PaymentDays | None = None
    due: str | None = None


class NewPaymentTerms(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When and how to pay; what is left out stays as it is. `methods`: payto: links or words."""

    stage: PaymentStage | None = None
    days: PaymentDays | None = None
    methods: Annotated[list[Method], Meta(max_length=8)] = []
    instalments: Annotated[list[NewInstalment], Meta(max_length=36)] = []
    text: Text | None = None


class NewQuote(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A quote by hand: prices per line, from `csv`, or one `total` for all. What is null comes from the settings.

    `valid`: "3d" or an instant. A second quote for one request is version 2 and replaces the first.

    `from_quote`: a quote that we got: its prices plus `margin` ("12%") where no other are said, and it is not valid for
    longer. `upstream`: deals in which we buy and on which this quote depends; the buyer is told. `referee`: a peer who
    shall judge a dispute; whoever orders agrees to him. `cancel_days`: so many days after the agreed day of delivery
    the buyer may end the deal alone if nothing was despatched, and gets back what he paid.
    """

    lines: Annotated[list[NewQuoteLine], Meta(max_length=limits.DOCUMENT_LINES)] = []
    total: str | None = None
    csv: CsvFile | None = None
    kind: QuoteKind = "firm"
    valid: str | None = None
    utc_offset_s: UtcOffset = 0
    currency: Word | None = None
    charges: list[NewCharge] = []
    tax_rate: str | None = None
    tax_included: bool | None = None
    divisible: bool | None = None
    delivery_days: Annotated[int, Meta(ge=0, le=3650)] | None = None
    delivery_latest: str | None = None
    incoterm: Word | None = None
    place: LineText | None = None
    ships_from: Word | None = None
    cancel_days: Annotated[int, Meta(ge=0, le=3650)] | None = None
    payment_terms: Text | None = None
    payment: NewPaymentTerms | None = None
    url: Annotated[str, Meta(max_length=limits.URL_CHARS)] | None = None
    text: Text | None = None
    from_quote: str | None = None
    margin: str | None = None
    upstream: Annotated[list[str], Meta(max_length=16)] = []
    referee: Word | None = None


class Decline(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why the seller does not quote."""

    reason: DeclineReason
    text: Text | None = None


class NewOrderLine(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Line `no` of the quote; `quantity` "5" or "5 kg", null: all of it."""

    no: LineNo
    quantity: str | None = None


class NewOrder(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An order of `lines`, or of the whole quote if there are none.

    `deliver_to` in the strict form, or `deliver_to_text`: lines of text, name first; without either the profile's
    address. `reference`: the buyer's order number. `max_total`: refuse if the quote's total is above. `referee`: a
    peer (did:key, fingerprint or name) who shall judge a dispute; the seller agrees by accepting. Null: the quote's.
    `tell_price`: sellers who lose by this order learn what it comes to.
    """

    quote: str
    lines: Annotated[list[NewOrderLine], Meta(max_length=limits.DOCUMENT_LINES)] = []
    deliver_to: DeliverTo | None = None
    deliver_to_text: Text | None = None
    reference: Name | None = None
    referee: Word | None = None
    max_total: str | None = None
    tell_price: bool = False
    answer_by: str | None = None
    utc_offset_s: UtcOffset = 0


class Accept(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The seller's word for an order."""

    text: Text | None = None


class Reject(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The seller's refusal of an order."""

    reason: DeclineReason
    text: Text | None = None


class MarkSeen(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ids of inbox items that a person has looked at."""

    ids: Annotated[list[str], Meta(max_length=limits.INBOX_REQUESTS)]


class ImportPrices(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A price list. Over HTTP `csv` is the raw body and the rest is in the query (`map.price=Price (£)`).

    All rows are checked first: one bad row refuses the import, unless `skip_bad`.
    """

    csv: bytes
    mapping: dict[str, str] = {}
    currency: str | None = None
    dry_run: bool = False
    skip_bad: bool = False
