"""Checks of what needs both signatures: changes and cancellations. And the parts that all checks of a deal share.

Rules. A proposal is complete; its answer names it and repeats nothing but its number. Proposing is agreeing, so an
answer is the other side's. A deal is an order with an acceptance; who does not have the acceptance yet waits for it.
"""

from __future__ import annotations

from collections.abc import Callable

from p2pmarket.errors import Refusal
from p2pmarket.trade.checking import (
    REASONS,
    between,
    check_terms,
    document_of,
    once,
    require,
    signed_by_now,
    unknown,
)
from p2pmarket.trade.documents import Cancel, Change, Document, Opened, Order
from p2pmarket.trade.money import check_totals
from p2pmarket.trade.thread import Class, Contract, Thread, contracts
from p2pmarket.trade.thread.contract import proposed
from p2pmarket.trade.values import Money


def check_change(thread: Thread, opened: Opened, wall: int) -> None:
    """A change of an agreed deal: proposed, accepted or rejected."""
    change = document_of(opened, Change)
    order = agreed(thread, change.deal)
    from_party(thread, opened, change.deal)
    signed_by_now(change, wall)
    once(thread, opened)
    if change.step == "propose":
        _proposal(thread, opened, change, order)
        return
    proposer, proposal = answered(thread, opened, change.about, Change, change.deal)
    require(proposal.step == "propose", "code")
    require(change.version == proposal.version, "version")
    require((change.sheet, change.terms, change.deliver_to) == (None, None, None), "code")
    for other, answer in thread.each(Change):
        same = (other.signer, answer.about) == (opened.signer, proposer.hash)
        require(not same or answer.step == change.step, "answered")


def _proposal(thread: Thread, opened: Opened, change: Change, order: Order) -> None:
    """New prices and terms, in full, in the order's currency, with its referee."""
    require(change.about is None, "code")
    if change.sheet is None or change.terms is None:
        raise Refusal("code", REASONS["code"])
    require((change.sheet.currency, change.sheet.exponent) == (order.currency, order.exponent), "currency")
    check_totals(change.sheet)
    check_terms(change.sheet, change.terms)
    require(change.terms.referee == order.referee, "terms")
    if change.version > 1:
        others = (c for o, c in thread.each(Change) if c.deal == change.deal and o.hash != opened.hash)
        require(any(c.version == change.version - 1 for c in others), "unknown_document")


def check_cancel(thread: Thread, opened: Opened, wall: int) -> None:
    """The end of an order or deal: proposed, accepted or rejected. It needs no acceptance: one may be under way."""
    cancel = document_of(opened, Cancel)
    ordered(thread, cancel.deal)
    from_party(thread, opened, cancel.deal)
    signed_by_now(cancel, wall)
    once(thread, opened)
    if cancel.step == "propose":
        require(cancel.about is None, "code")
        if cancel.refund is not None:
            at_most_total(thread, cancel.deal, cancel.refund)
        return
    _, proposal = answered(thread, opened, cancel.about, Cancel, cancel.deal)
    require(proposal.step == "propose", "code")
    require(cancel.refund is None, "code")


# Parts of the checks of a deal


def ordered(thread: Thread, order_hash: bytes) -> Order:
    """The order, which must be here."""
    if order_hash not in thread.orders:
        raise unknown("unknown_order")
    return thread.orders[order_hash][1]


def agreed(thread: Thread, order_hash: bytes) -> Order:
    """The order, which must be here with its acceptance."""
    order = ordered(thread, order_hash)
    if order_hash not in thread.accepted:
        raise unknown("unknown_deal")
    return order


def from_party(thread: Thread, opened: Opened, order_hash: bytes) -> None:
    """Refuse what is not from one side of a deal to the other."""
    other = thread.other_side(order_hash, opened.signer)
    if other is None:
        raise Refusal("wrong_signer", REASONS["wrong_signer"])
    between(opened, opened.signer, other)


def from_seller(thread: Thread, opened: Opened, order_hash: bytes) -> None:
    """Refuse what is not from the seller to the buyer of a deal."""
    between(opened, thread.seller, thread.buyer_of(order_hash))


def from_buyer(thread: Thread, opened: Opened, order_hash: bytes) -> None:
    """Refuse what is not from the buyer of a deal to the seller."""
    between(opened, thread.buyer_of(order_hash), thread.seller)


def named(thread: Thread, found: bytes | None, kind: type[Class], order_hash: bytes) -> tuple[Opened, Class]:
    """The document of this class and deal that another one names; it must be here."""
    if found is None:
        raise Refusal("code", REASONS["code"])
    opened = thread.documents.get(found)
    if opened is None:
        raise unknown("unknown_document")
    document: Document = opened.document
    if not isinstance(document, kind) or getattr(document, "deal", None) != order_hash:
        raise Refusal("code", REASONS["code"])
    return opened, document


def answered(
    thread: Thread, opened: Opened, about: bytes | None, kind: type[Class], order_hash: bytes
) -> tuple[Opened, Class]:
    """The proposal of the other side that this document answers."""
    proposer, proposal = named(thread, about, kind, order_hash)
    require(proposer.signer == opened.recipient, "wrong_signer")
    return proposer, proposal


def fits(thread: Thread, order_hash: bytes, problem: Callable[[Contract], str | None]) -> None:
    """Refuse what fits no contract of the deal; what fits one that waits for its acceptance is not known yet."""
    reasons = [problem(contract) for contract in contracts(thread, order_hash)]
    if None in reasons:
        return
    if any(problem(contract) is None for contract in proposed(thread, order_hash)):
        raise unknown("unknown_document")
    reason = reasons[-1] or "lines"
    raise Refusal(reason, REASONS[reason])


def at_most_total(thread: Thread, order_hash: bytes, money: Money) -> None:
    """Refuse another currency than the order's, nothing, and more than the deal comes to."""
    order = ordered(thread, order_hash)
    require((money.currency, money.exponent) == (order.currency, order.exponent), "currency")
    require(money.amount > 0, "totals")
    fits(thread, order_hash, lambda contract: None if money.amount <= contract.sheet.total else "totals")
