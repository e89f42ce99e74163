"""What the local API answers about a deal on its way: contract, changes, delivery, bills and payments."""

from __future__ import annotations

from typing import Literal

from p2pmarket.api.types.priced import Charge, DeliveryTerms, PaymentPlan, QuoteLine, Tax
from p2pmarket.api.types.talk import Attachment, Difference
from p2pmarket.api.types.trade import Deal, DeliverTo
from p2pmarket.api.types.values import Delivery, Money, PaymentState, Quantity, Reply

Side = Literal["me", "other"]
ProposalKind = Literal["change", "cancellation"]
ProposalState = Literal["open", "accepted", "rejected", "superseded"]
PaymentStep = Literal["advised", "confirmed", "not_received", "refund_due", "refunded"]
Condition = Literal["full", "short", "damaged", "refused"]


class Contract(Reply, frozen=True, kw_only=True):
    """What both have signed: `version` 0 is the order as accepted, any other the change `change` (an id).

    `cancels_alone_from`: after that the buyer may end the deal without the seller, if he has despatched nothing.
    """

    version: int
    change: str | None
    lines: list[QuoteLine]
    charges: list[Charge]
    goods: Money
    tax: Tax
    total: Money
    delivery: DeliveryTerms
    payment: PaymentPlan
    deliver_to: DeliverTo | None
    cancel_days: int | None
    cancels_alone_from: str | None


class Proposal(Reply, frozen=True, kw_only=True):
    """A change or cancellation that needs both signatures; `by` who proposed it.

    Of a change: `contract` as it would be, and its `differences` to what was in force. Of a cancellation: `refund`.
    `delivery` of the newest paper of ours about it; `reason` and `text` are the proposer's, `answer` the other's.
    """

    id: str
    kind: ProposalKind
    state: ProposalState
    by: Side
    proposed_at: str
    answered_at: str | None
    reason: str | None
    text: str | None
    answer: str | None
    contract: Contract | None
    differences: list[Difference]
    refund: Money | None
    delivery: Delivery | None


class SentLine(Reply, frozen=True, kw_only=True):
    """How much of line `no` of the contract; `text` is that line's."""

    no: int
    quantity: Quantity
    text: str | None


class Despatch(Reply, frozen=True, kw_only=True):
    """Goods that have left; `received`: whether the buyer has said what came of them."""

    id: str
    no: int
    lines: list[SentLine]
    carrier: str | None
    tracking: str | None
    url: str | None
    parcels: int | None
    despatched_at: str | None
    expected: str | None
    files: list[Attachment]
    text: str | None
    received: bool
    delivery: Delivery | None


class ReceivedLine(Reply, frozen=True, kw_only=True):
    """What came of line `no`, and how; a line may come in several conditions.

    `short` is what came whole where that is not all of the line; `of`: how much had been sent, or, where no despatch
    is named, was still to come.
    """

    no: int
    quantity: Quantity
    condition: Condition
    text: str | None
    of: Quantity


class Receipt(Reply, frozen=True, kw_only=True):
    """What the buyer says has come; `despatch` is an id."""

    id: str
    no: int
    despatch: str | None
    lines: list[ReceivedLine]
    received_on: str | None
    received_at: str
    text: str | None
    delivery: Delivery | None


class Invoice(Reply, frozen=True, kw_only=True):
    """A bill; `number` is the seller's own. `credited` on it, `paid` as confirmed, `open` of it.

    Payments that name no invoice count to the oldest that are open; `open` is at most what is left of the deal.

    `payto`: links for the payer's own bank program, amount and reference filled in. `despatches` are ids.
    """

    id: str
    number: str
    date: str
    due: str | None
    instalment: int | None
    despatches: list[str]
    lines: list[QuoteLine]
    charges: list[Charge]
    goods: Money
    tax: Tax
    total: Money
    credited: Money
    paid: Money
    open: Money
    methods: list[str]
    payto: list[str]
    text: str | None
    issued_at: str
    delivery: Delivery | None


class Credit(Reply, frozen=True, kw_only=True):
    """What the seller gives back; `invoice` is an id, null if it is on the deal."""

    id: str
    number: str
    invoice: str | None
    date: str
    lines: list[QuoteLine]
    tax: Tax
    total: Money
    reason: str | None
    text: str | None
    issued_at: str
    delivery: Delivery | None


class PaymentMove(Reply, frozen=True, kw_only=True):
    """One signed word about a payment."""

    id: str
    step: PaymentStep
    by: Side
    amount: Money
    issued_at: str
    text: str | None
    delivery: Delivery | None


class Payment(Reply, frozen=True, kw_only=True):
    """Payment `no` of a deal and all that was said of it, the oldest first; its id is that of the first word.

    `amount` is what the newest word names. `proof`: what the payer showed for it (a transaction id, say).
    """

    id: str
    no: int
    state: PaymentState
    amount: Money
    invoice: str | None
    instalment: int | None
    method: str | None
    reference: str | None
    proof: str | None
    paid_at: str | None
    steps: list[PaymentMove]


class Balance(Reply, frozen=True, kw_only=True):
    """The money of a deal: `total` of the contract, `credited`, `cut` by settlements of disputes, hence `payable`.

    A credit since the dispute says the same as the cut. `billed` is less what was credited on it,
    `paid` as the seller confirmed it, `advised` by the buyer and not answered, `owed` of the payable, `overpaid` if
    something must go back (by credits, a cancellation or a settlement), `refunded` as the buyer confirmed it.
    """

    total: Money
    credited: Money
    cut: Money
    payable: Money
    billed: Money
    paid: Money
    advised: Money
    owed: Money
    overpaid: Money
    refunded: Money


class Life(Reply, frozen=True, kw_only=True):
    """All that follows an order: the contract in force, what is done of it, and what `actions` are open to us.

    `unsent` is neither there nor on its way, `missing` has not arrived.
    """

    contract: Contract
    proposals: list[Proposal]
    despatches: list[Despatch]
    receipts: list[Receipt]
    invoices: list[Invoice]
    credits: list[Credit]
    payments: list[Payment]
    balance: Balance
    unsent: list[SentLine]
    missing: list[SentLine]
    actions: list[str]


# Answers


class ProposalReply(Reply, frozen=True, kw_only=True):
    """Answer to a change, a cancellation, and an answer to either; `created` is false on a repeat."""

    proposal: Proposal
    deal: Deal
    created: bool


class DespatchReply(Reply, frozen=True, kw_only=True):
    """`created` is false on a repeat."""

    despatch: Despatch
    deal: Deal
    created: bool


class ReceiptReply(Reply, frozen=True, kw_only=True):
    """One receipt for each despatch; `created` is false on a repeat."""

    receipts: list[Receipt]
    deal: Deal
    created: bool


class InvoiceReply(Reply, frozen=True, kw_only=True):
    """`created` is false on a repeat."""

    invoice: Invoice
    deal: Deal
    created: bool


class CreditReply(Reply, frozen=True, kw_only=True):
    """`created` is false on a repeat."""

    credit: Credit
    deal: Deal
    created: bool


class PaymentShare(Reply, frozen=True, kw_only=True):
    """How much of a payment counts to an invoice (its id and the seller's `number`), and the links for that."""

    invoice: str
    number: str
    amount: Money
    payto: list[str]


class PaymentReply(Reply, frozen=True, kw_only=True):
    """`payto`: links to pay by, with amount and reference: nothing here moves money. `created`: false on a repeat.

    Of a payment that is advised now also `shares`, what it counts to by invoice, and `methods`: all ways to pay it that
    somebody named, words too; empty if nobody did.
    """

    payment: Payment
    payto: list[str]
    methods: list[str]
    shares: list[PaymentShare]
    deal: Deal
    created: bool
