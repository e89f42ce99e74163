"""What the local API answers about trade: requests, quotes, orders, deals, the inbox."""

from __future__ import annotations

from typing import Literal

import msgspec

from p2pmarket.api.types.priced import PaymentPlan, Priced
from p2pmarket.api.types.values import (
    Answer,
    CategoryName,
    Code,
    DealState,
    Delivery,
    Ended,
    InboxKind,
    InboxState,
    Introduced,
    Money,
    NextStep,
    OrderState,
    PaymentState,
    Peer,
    Problem,
    Quantity,
    QuoteKind,
    QuoteState,
    Reply,
    RequestState,
    Role,
    Turn,
)


class Line(Reply, frozen=True, kw_only=True):
    """One line of a request."""

    no: int
    quantity: Quantity
    text: str
    codes: list[Code]


class Search(Reply, frozen=True, kw_only=True):
    """How far the search for sellers went; `widened_to` the categories tried after the one named."""

    nodes_asked: int
    sellers_found: int
    widened_to: list[str]
    complete: bool


class Counts(Reply, frozen=True, kw_only=True):
    """Sellers by what became of the request at them."""

    asked: int
    delivered: int
    seen: int
    quoted: int
    declined: int
    silent: int
    unreachable: int


class Outcome(Reply, frozen=True, kw_only=True):
    """How a request ended for a seller, in the buyer's words; `price`: what won, if he wanted it told."""

    result: Literal["awarded", "lost", "enough", "expired", "cancelled"]
    price: Money | None
    text: str | None
    issued_at: str


class Request(Reply, frozen=True, kw_only=True):
    """A request for quotation. `region`: where goods must arrive; `from_region`: where sellers sit.

    `introduced`: whether the buyer's identity is told (`all`, `contacts` or `nobody`; null in requests of others).
    `made_for`: the request of our inbox that this one of ours serves, and `upstream` the other way round: both are
    known to us alone. `outcome`: what the buyer of a request in our inbox told of its end.
    """

    id: str
    state: RequestState
    category: CategoryName
    subject: str | None
    lines: list[Line]
    region: str | None
    from_region: str | None
    currency: str | None
    quotes_wanted: int
    reply_by: str
    created_at: str
    reference: str | None
    search: Search
    counts: Counts
    introduced: Introduced | None
    made_for: str | None
    upstream: list[str]
    outcome: Outcome | None


class SellerState(Reply, frozen=True, kw_only=True):
    """What one seller has got and answered; and what the daemon does next while he has not got it, until when."""

    seller: Peer
    delivery: Delivery
    answer: Answer
    reason: str | None
    updated_at: str
    next: NextStep | None
    next_try_at: str | None
    gives_up_at: str | None


class Quote(Priced, frozen=True, kw_only=True):
    """A seller's answer.

    `answers`: the version or counter that it follows; `counter`: the buyer's counter to it; `upstream`: the deals that
    it depends on, as the seller names them. `turn` must act until `valid_until`, `then` says what follows if he does
    not; `actions` are what we can do, as verbs of the command line.
    """

    state: QuoteState
    kind: QuoteKind
    url: str | None
    answers: str | None
    counter: str | None
    cancel_days: int | None
    referee: str | None
    upstream: list[str]
    turn: Turn
    then: str | None
    actions: list[str]


class RequestReply(Reply, frozen=True, kw_only=True):
    """Answer to opening or closing a request; `created` is false on a repeat. `problems`: why few may answer."""

    request: Request
    created: bool
    problems: list[Problem]


class RequestReport(Reply, frozen=True, kw_only=True):
    """What `market request --json` prints; `ended` is null while the request runs.

    `problems`: why few may answer, as far as it was known when the request was opened.
    """

    request: Request
    sellers: list[SellerState]
    quotes: list[Quote]
    ended: Ended | None
    problems: list[Problem]


class Requests(Reply, frozen=True, kw_only=True):
    """Newest first; `next` is the `cursor` of the next page."""

    requests: list[Request]
    next: str | None


class Quotes(Reply, frozen=True, kw_only=True):
    """The quotes for one request, best first."""

    request: Request
    quotes: list[Quote]


class QuoteReply(Reply, frozen=True, kw_only=True):
    """Answer to a quote by hand; `created` is false on a repeat."""

    quote: Quote
    created: bool


class Declined(Reply, frozen=True, kw_only=True):
    """Answer to `market decline`."""

    request: str
    reason: str
    created: bool


# Orders and deals


class DeliverTo(Reply, frozen=True, kw_only=True):
    """Where goods go."""

    name: str
    address: list[str]
    region: str
    contact: str | None
    tax_id: str | None


class OrderLine(Reply, frozen=True, kw_only=True):
    """Line `no` of the quote, and how much of it."""

    no: int
    quantity: Quantity


class Order(Reply, frozen=True, kw_only=True):
    """`delivery`: of the order document, not of the goods; `answer_by`: until when the seller may accept.

    `reason` (a code) and `text`: what the seller said with his answer. `referee`: did:key of who judges a dispute.
    `payment`: the terms of the quote for what is ordered of it.
    """

    id: str
    deal: str
    quote: str
    request: str
    state: OrderState
    lines: list[OrderLine]
    total: Money
    deliver_to: DeliverTo | None
    reference: str | None
    created_at: str
    answer_by: str
    delivery: Delivery
    reason: str | None
    text: str | None
    referee: str | None
    payment: PaymentPlan


class OrderReply(Reply, frozen=True, kw_only=True):
    """`created` is false on a repeat."""

    order: Order
    created: bool


class Deal(Reply, frozen=True, kw_only=True):
    """`turn` must act until `due_at`; `then` says what follows if he does not.

    `upstream`: the deals that it depends on, as both have signed; `made_for`: the request of our inbox that we bought
    this for, which we alone know.
    """

    id: str
    role: Role
    state: DealState
    other: Peer
    title: str
    total: Money
    request: str
    quote: str
    order: str
    reference: str | None
    created_at: str
    agreed_at: str | None
    payment_state: PaymentState
    turn: Turn
    due_at: str | None
    then: str | None
    upstream: list[str]
    made_for: str | None


class Deals(Reply, frozen=True, kw_only=True):
    """Newest first; `next` is the `cursor` of the next page."""

    deals: list[Deal]
    next: str | None


class QuotesCame(Reply, frozen=True, kw_only=True):
    """The quotes for a request of ours that can be ordered: how many, of them `new`, and the id of the `newest`."""

    count: int
    new: int
    newest: str


class InboxItem(Reply, frozen=True, kw_only=True):
    """What waits for the user. `lines` and `matched_lines` are numbers: how many, and how many our prices cover.

    The `id` of an amendment is that of the new version of the quote; the `title` of a note is what it says. An item of
    kind `quotes` stands for a request of ours, with its id, and has `quotes`: `sender`, `matched_lines` and
    `received_at` are those of the newest, and one of them ends at `act_by`. An item of kind `deal` is an agreed deal in
    which it is our turn and no other item says so.
    """

    id: str
    kind: InboxKind
    sender: Peer = msgspec.field(name="from")
    title: str
    category: str | None
    region: str | None
    lines: int
    matched_lines: int
    received_at: str
    act_by: str | None
    state: InboxState
    actions: list[str]
    quotes: QuotesCame | None


class Inbox(Reply, frozen=True, kw_only=True):
    """What asks for an act first, the soonest deadline first (what names none: a day after it came), then news, the
    newest first, then what is answered; `next` is the `cursor` of the next page. `not_listed`: so many papers, the
    oldest that ask for nothing, are on no page.
    """

    items: list[InboxItem]
    next: str | None
    not_listed: int


class Seen(Reply, frozen=True, kw_only=True):
    """How many items were new before."""

    seen: int


class Exported(Reply, frozen=True, kw_only=True):
    """`data` is the file that `market verify` checks (base64 in JSON), `name` a proposal for its name."""

    deal: str
    name: str
    data: bytes
