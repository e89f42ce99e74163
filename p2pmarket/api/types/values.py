"""Values and words that all objects of the local API share.

Rules of all of them: every key is present, null if there is none; the top level of an answer is always an object. Money
is a decimal string with its currency, a quantity a decimal string with its unit code, an instant RFC 3339 in UTC ending
in `Z`, a date `YYYY-MM-DD`, an id the full id. Enumerated words are snake_case. Fields are only ever added, so readers
ignore those they do not know.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Role = Literal["buyer", "seller"]
Delivery = Literal["queued", "sent", "delivered", "seen", "failed"]
Answer = Literal["waiting", "quoted", "declined", "silent", "unreachable"]
Ended = Literal["enough", "deadline", "timeout", "interrupted", "no_sellers"]
RequestState = Literal["open", "awarded", "enough", "expired", "cancelled"]
QuoteState = Literal["open", "superseded", "countered", "ordered", "withdrawn", "expired", "lost"]
QuoteKind = Literal["firm", "indicative"]
ChargeKind = Literal["delivery", "service", "discount", "other"]
CodeScheme = Literal["gtin", "mpn", "seller", "buyer"]
OrderState = Literal["ordered", "accepted", "rejected", "amended", "cancelled"]
DealState = Literal[
    "ordered",
    "agreed",
    "rejected",
    "amended",
    "in_delivery",
    "delivered",
    "completed",
    "cancelled",
    "disputed",
    "settled",
    "closed",
]
PaymentState = Literal["none", "due", "advised", "confirmed", "refund_due", "refunded"]
Turn = Literal["me", "other", "none"]
InboxKind = Literal[
    "request",
    "order",
    "quotes",
    "counter",
    "amendment",
    "change",
    "cancellation",
    "despatch",
    "receipt",
    "invoice",
    "credit",
    "payment",
    "rating",
    "dispute",
    "note",
    "deal",
]
InboxState = Literal["new", "seen", "answered"]
AnnouncementState = Literal["publishing", "published", "expired", "withdrawn"]
NodeState = Literal["joining", "ready", "offline"]
Verdict = Literal["public", "mapped", "outbound_only", "unknown"]
Told = Literal["announced", "in_an_order", "not_told"]
CheckState = Literal["ok", "warning", "failed"]
ShownKind = Literal["request", "quote", "counter", "order", "deal", "note", "announcement"]
NextStep = Literal["acknowledgement", "call", "their_call", "heard"]
Introduced = Literal["all", "contacts", "nobody"]


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all objects that the API answers."""


class Money(Reply, frozen=True, kw_only=True):
    """`{"amount": "12.50", "currency": "EUR"}`."""

    amount: str
    currency: str


class Quantity(Reply, frozen=True, kw_only=True):
    """`{"value": "20", "unit": "KGM"}`, the unit a code of UN/ECE recommendation 20."""

    value: str
    unit: str


class Price(Reply, frozen=True, kw_only=True):
    """A unit price: `amount` for each `per`."""

    amount: str
    currency: str
    per: Quantity


class Code(Reply, frozen=True, kw_only=True):
    """An article number."""

    scheme: CodeScheme
    value: str


class CategoryName(Reply, frozen=True, kw_only=True):
    """A category's code and, if it has one, its label."""

    code: str
    label: str | None


class Score(Reply, frozen=True, kw_only=True):
    """What several say of one: how many different counterparties, and the mean of their stars, "4.5" of 5."""

    counterparties: int
    stars: str


class Standing(Reply, frozen=True, kw_only=True):
    """What is known here of the ratings of a peer: our own, those of contacts, those of all others.

    Others may be anybody, and many of them one person; nothing is ranked by them. `seen_at`: when ratings of him were
    last looked for, null if never.
    """

    own: Score | None
    contacts: Score | None
    others: Score | None
    seen_at: str | None


class Peer(Reply, frozen=True, kw_only=True):
    """Another participant. `key` did:key he signs with here; `identity` his long-lived one, if he told it.

    `contradicted`: how many proofs there are that he signed two documents where one was allowed. `standing`: his
    ratings, null if none is known.
    """

    key: str
    identity: str | None
    name: str | None
    fingerprint: str
    known: bool
    contradicted: int
    standing: Standing | None


class Problem(Reply, frozen=True, kw_only=True):
    """Something the user should know, and what to do."""

    code: str
    message: str
    hint: str
