"""Answer of `market show`: a thing and all that belongs to it."""

from __future__ import annotations

from p2pmarket.api.types.daemon import Announcement
from p2pmarket.api.types.fulfil import (
    Balance,
    Contract,
    Credit,
    Despatch,
    Invoice,
    Payment,
    Proposal,
    Receipt,
    SentLine,
)
from p2pmarket.api.types.quarrel import Dispute, Rating
from p2pmarket.api.types.talk import Counter, Note
from p2pmarket.api.types.trade import Deal, Order, Quote, Request, SellerState
from p2pmarket.api.types.values import Delivery, NextStep, Peer, Reply, Role, ShownKind


class DocumentInfo(Reply, frozen=True, kw_only=True):
    """A signed document of a thread; `hash` hex SHA-256 of its payload; `signer` me, other or referee.

    Of a document of ours to `recipient`: how far it has come, since when, why it failed; and while it is on its way
    what the daemon waits for or does `next`, when it calls again, and when it gives up. What was given up goes out
    again once its recipient is heard; `resent` counts that.
    """

    kind: str
    hash: str
    id: str | None
    signer: str
    recipient: Peer | None
    issued_at: str | None
    delivery: Delivery | None
    reason: str | None
    updated_at: str | None
    next: NextStep | None
    next_try_at: str | None
    gives_up_at: str | None
    resent: int | None


class Shown(Reply, frozen=True, kw_only=True):
    """Answer of `market show`: the thing named and, where they exist here, those it rests on."""

    kind: ShownKind
    id: str
    role: Role | None
    other: Peer | None
    request: Request | None
    quote: Quote | None
    order: Order | None
    deal: Deal | None
    announcement: Announcement | None
    sellers: list[SellerState]
    counters: list[Counter]
    notes: list[Note]
    contract: Contract | None
    proposals: list[Proposal]
    despatches: list[Despatch]
    receipts: list[Receipt]
    invoices: list[Invoice]
    credits: list[Credit]
    payments: list[Payment]
    balance: Balance | None
    unsent: list[SentLine]
    missing: list[SentLine]
    actions: list[str]
    disputes: list[Dispute]
    ratings: list[Rating]
    documents: list[DocumentInfo]
