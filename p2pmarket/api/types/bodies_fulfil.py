"""What the local API is asked about deals on their way: the bodies of the writing routes. Rules as in `bodies`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from p2pmarket import limits
from p2pmarket.api.types.bodies import Body, LineNo, LineText, Method, NewPaymentTerms, Text, UtcOffset
from p2pmarket.api.types.bodies_talk import NamedFile, Revision
from p2pmarket.api.types.trade import DeliverTo

Reason = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,39}\Z", max_length=40)]
DateText = Annotated[str, Meta(min_length=1, max_length=40)]
Number = Annotated[int, Meta(ge=1, le=1_000_000)]


class ChangeDeal(Revision, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The deal as it shall be: what is left out stays as it is. Binds when the other side accepts.

    Instalments that are not named keep their proportions. `valid` means nothing here.
    """

    deliver_to: DeliverTo | None = None
    deliver_to_text: Text | None = None
    payment: NewPaymentTerms | None = None
    reason: Reason | None = None


class CancelDeal(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The wish to end an order or deal; `refund`: what the seller shall give back ("100 EUR", "all")."""

    refund: str | None = None
    reason: Reason | None = None
    text: Text | None = None


class AnswerProposal(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Our word on what the other side proposed; `kind`: which of two, where only the deal is named."""

    kind: Literal["change", "cancellation"] | None = None
    reason: Reason | None = None
    text: Text | None = None


class PartLine(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much of line `no`: "5" or "5 kg", null: all that is left of it."""

    no: LineNo
    quantity: str | None = None


class NewDespatch(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What has left; without lines all that is neither there nor on its way."""

    lines: Annotated[list[PartLine], Meta(max_length=limits.DOCUMENT_LINES)] = field(default_factory=list)
    carrier: LineText | None = None
    tracking: LineText | None = None
    url: Annotated[str, Meta(max_length=limits.URL_CHARS)] | None = None
    parcels: Number | None = None
    expected: DateText | None = None
    files: Annotated[list[NamedFile], Meta(max_length=16)] = field(default_factory=list)
    text: Text | None = None
    utc_offset_s: UtcOffset = 0


class ReceivedPart(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of line `no` so much came short, damaged or was refused. `short`: how much there is, not how much lacks."""

    no: LineNo
    quantity: str
    condition: Literal["full", "short", "damaged", "refused"]
    text: LineText | None = None


class NewReceipt(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What has come of `despatch` (its id, or its number within the deal); null: of all that is on its way.

    Lines that are not named came in full. If the seller never announced a despatch, null is all that is missing. If he
    did and nothing is on its way, null needs `lines`, and only those came. `received_on`: a day, null: today.
    """

    despatch: str | None = None
    lines: Annotated[list[ReceivedPart], Meta(max_length=limits.DOCUMENT_LINES)] = field(default_factory=list)
    received_on: DateText | None = None
    text: Text | None = None
    utc_offset_s: UtcOffset = 0


class NewInvoice(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bill for all, for an `instalment`, or for `despatches` (ids or numbers within the deal).

    Without either: the next instalment if the contract has some, else what was sent and not billed if parts were
    billed before, else the whole deal. `number`: the seller's own, null: made from the deal's id. `due`: a day,
    "14d"; null: as the terms say. `pay_to`: payto: links or words; null: as the terms say.
    """

    number: LineText | None = None
    instalment: Number | None = None
    despatches: Annotated[list[str], Meta(max_length=64)] = field(default_factory=list)
    due: DateText | None = None
    pay_to: Annotated[list[Method], Meta(max_length=8)] = field(default_factory=list)
    text: Text | None = None
    utc_offset_s: UtcOffset = 0


class NewCredit(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is given back: `lines` of the invoice (null quantity: all of it), or an `amount`; neither: all of it."""

    lines: Annotated[list[PartLine], Meta(max_length=limits.DOCUMENT_LINES)] = field(default_factory=list)
    amount: str | None = None
    number: LineText | None = None
    reason: Reason | None = None
    text: Text | None = None


class NewPayment(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The payer's word that he has paid; nothing here moves money. `amount` null: what the invoice, or the deal, owes.

    `invoice`: id or number. `instalment`: of the contract. `proof`: a transaction id, a preimage; at most 1,024 bytes.
    `anyway`: also for an `amount` above what is left, because it has moved.
    """

    amount: str | None = None
    invoice: str | None = None
    instalment: Number | None = None
    anyway: bool = False
    method: Method | None = None
    reference: LineText | None = None
    proof: Annotated[str, Meta(min_length=1, max_length=1024)] | None = None
    text: Text | None = None


class ConfirmPayment(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The payee's word on the payment, or on the deal's payment that waits for it.

    Money that nobody advised (cash, say) is confirmed for the deal, with its `amount` or all that is owed.
    `not_received`: it was looked for and not found.
    """

    amount: str | None = None
    not_received: bool = False
    method: Method | None = None
    text: Text | None = None


class Refund(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The seller's word that a payment goes back, once; the buyer confirms when it came.

    `amount` null: what is overpaid (by credits, a cancellation or a settlement) and not on its way back; if that is
    nothing, all of a payment that was named.
    """

    amount: str | None = None
    text: Text | None = None
