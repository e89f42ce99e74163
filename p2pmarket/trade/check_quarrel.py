"""Checks of ratings and of the steps of a dispute.

Rules. A rating counts with both signatures of the deal's statement, and only then; anybody can check them with
`check_rating_alone`, without the thread. A side opens a dispute about a deal; both may state and propose; only the
other side accepts a proposal; who opened may close, and accepts nothing in that dispute afterwards. An opinion is that
of the referee named in the order, once per dispute, and each step says what it needs and nothing else.
"""

from __future__ import annotations

from p2pmarket.network import Network
from p2pmarket.trade.check_agreement import agreed, answered, at_most_total, from_party, named
from p2pmarket.trade.checking import document_of, once, require, signed, signed_by_now
from p2pmarket.trade.documents import Dispute, Opened, Order, Rating, deal_statement_of
from p2pmarket.trade.money import fraction
from p2pmarket.trade.thread import Thread


def check_rating_alone(network: Network, opened: Opened, wall: int) -> None:
    """A rating as anybody can check it: both sides signed this deal, and one of them rates the other."""
    rating = document_of(opened, Rating)
    require(rating.buyer != rating.seller, "identity")
    require(opened.signer in (rating.buyer, rating.seller), "wrong_signer")
    rated = rating.seller if opened.signer == rating.buyer else rating.buyer
    require(opened.recipient == rated, "wrong_recipient")
    signed_by_now(rating, wall)
    names = [aspect.name for aspect in rating.aspects]
    require(len(set(names)) == len(names), "code")
    statement = deal_statement_of(
        network, rating.request, rating.quote, rating.order_nonce, rating.buyer, rating.seller
    )  # fmt: skip
    signed(rating.buyer, rating.buyer_signature, statement)
    signed(rating.seller, rating.seller_signature, statement)


def check_rating(thread: Thread, opened: Opened, wall: int) -> None:
    """A rating at the rated side, who has the deal."""
    rating = document_of(opened, Rating)
    order = agreed(thread, rating.deal)
    from_party(thread, opened, rating.deal)
    require((rating.buyer, rating.seller) == (thread.buyer_of(rating.deal), thread.seller), "identity")
    require((rating.request, rating.quote, rating.order_nonce) == (order.request, order.quote, order.nonce), "code")
    once(thread, opened)
    mine = {r.version for o, r in thread.each(Rating) if (o.signer, r.deal) == (opened.signer, rating.deal)}
    require(rating.version == 1 or rating.version - 1 in mine, "unknown_document")
    check_rating_alone(thread.network, opened, wall)


def check_dispute(thread: Thread, opened: Opened, wall: int) -> None:
    """A step of a dispute, at the other side."""
    dispute = document_of(opened, Dispute)
    order = agreed(thread, dispute.deal)
    if dispute.step == "opinion":
        _by_referee(thread, opened, dispute, order)
    else:
        from_party(thread, opened, dispute.deal)
    signed_by_now(dispute, wall)
    once(thread, opened)
    _says(dispute)
    _about(thread, opened, dispute)
    if dispute.amount is not None:
        at_most_total(thread, dispute.deal, dispute.amount)
    require(dispute.share is None or fraction(dispute.share) <= 1, "totals")


def _by_referee(thread: Thread, opened: Opened, dispute: Dispute, order: Order) -> None:
    require(order.referee is not None and opened.signer == order.referee, "wrong_signer")
    require(opened.recipient in (thread.buyer_of(dispute.deal), thread.seller), "wrong_recipient")


def _says(dispute: Dispute) -> None:
    """Which fields a step has: a reason to open, words to state, an outcome to propose or to judge."""
    words = dispute.text is not None or dispute.attachments is not None
    remedy = (dispute.outcome, dispute.amount, dispute.share)
    require(dispute.step != "open" or dispute.reason is not None, "code")
    require(dispute.step != "statement" or words, "code")
    if dispute.step in {"proposal", "opinion"}:
        require(dispute.outcome is not None, "code")
        require(dispute.amount is None or dispute.share is None, "code")
    else:
        require(remedy == (None, None, None), "code")


def _about(thread: Thread, opened: Opened, dispute: Dispute) -> None:
    """What a step answers: nothing, the dispute's opening, or a proposal of the other side."""
    if dispute.step == "open":
        require(dispute.about is None, "code")
    elif dispute.step == "accept":
        _, proposal = answered(thread, opened, dispute.about, Dispute, dispute.deal)
        require(proposal.step == "proposal", "code")
        require(proposal.about not in _closed_by(thread, opened.signer), "answered")
    else:
        opener, begun = named(thread, dispute.about, Dispute, dispute.deal)
        require(begun.step == "open", "code")
        require(dispute.step != "close" or opener.signer == opened.signer, "wrong_signer")


def _closed_by(thread: Thread, signer: bytes) -> set[bytes | None]:
    """The disputes that one side has closed."""
    return {move.about for opened, move in thread.each(Dispute) if opened.signer == signer and move.step == "close"}
