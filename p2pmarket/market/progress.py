"""How far a document of ours has come, what the daemon does about it next and when, and when it gives up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from p2pmarket.api import types as t
from p2pmarket.market.resending import is_heard_of
from p2pmarket.store import rows
from p2pmarket.store.ledger import Ledger
from p2pmarket.vocab.deadlines import instant_text


class Dispatch(Protocol):
    """Where documents are on their way, as the courier knows it."""

    def in_flight(self, hash_: bytes, name: tuple[bytes, bytes]) -> bool:
        """Sent on an open link and not acknowledged."""

    def next_try(self, name: tuple[bytes, bytes]) -> int | None:
        """When a correspondent who did not answer is dialled again, UTC seconds."""

    def can_call(self, routes: bytes) -> bool:
        """Whether any of these (packed) routes is one that we may dial."""


@dataclass(frozen=True, slots=True)
class Way:
    """The way of one document: `next` is what comes next; `resent`, how often it was tried anew after a week."""

    delivery: t.Delivery
    reason: str | None = None
    updated_at: str | None = None
    next: t.NextStep | None = None
    next_try_at: str | None = None
    gives_up_at: str | None = None
    resent: int = 0


def delivery_of(dispatch: Dispatch, outgoing: rows.Outgoing | None) -> t.Delivery:
    """One word for it."""
    if outgoing is None:
        return "queued"
    if outgoing.state == "queued" and dispatch.in_flight(outgoing.hash, (outgoing.local, outgoing.remote)):
        return "sent"
    return outgoing.state  # type: ignore[return-value]


def way_of(dispatch: Dispatch, ledger: Ledger, outgoing: rows.Outgoing | None) -> Way:
    """All of it. What is delivered or seen has nothing to come; what was given up, when its recipient is heard."""
    delivery = delivery_of(dispatch, outgoing)
    if outgoing is None:
        return Way(delivery)
    updated = instant_text(outgoing.updated)
    if outgoing.state != "queued":
        then: t.NextStep | None = "heard" if is_heard_of(ledger, outgoing) else None
        return Way(delivery, outgoing.reason, updated, then, resent=outgoing.resent)
    name = (outgoing.local, outgoing.remote)
    gives_up = instant_text(outgoing.until)
    if delivery == "sent":
        return Way(delivery, None, updated, "acknowledgement", None, gives_up, outgoing.resent)
    other = ledger.outbox.correspondent(name)
    if other is None or not dispatch.can_call(other.routes):
        return Way(delivery, outgoing.reason, updated, "their_call", None, gives_up, outgoing.resent)
    at = dispatch.next_try(name)
    then_at = instant_text(at) if at else None
    return Way(delivery, outgoing.reason, updated, "call", then_at, gives_up, outgoing.resent)
