"""Our own documents that need the other side's signature, and the steps of a dispute.

Rules as in `trade.making`. What we propose we agree to; the other side's proposal is answered once. A referee signs his
opinion from the papers of one side alone, and sends the same words to both.
"""

from __future__ import annotations

from typing import Literal

from p2pmarket.errors import NotFound, WrongState
from p2pmarket.keys import SigningKey
from p2pmarket.trade import tables
from p2pmarket.trade.documents import Cancel, Change, Dispute, Opened
from p2pmarket.trade.fulfilling import acting, next_number, role_of
from p2pmarket.trade.making import Moment, sealed
from p2pmarket.trade.thread import Thread, fold, in_force
from p2pmarket.trade.values import Attachment, Money, Party, Sheet, Terms


def propose_change(
    thread: Thread,
    key: SigningKey,
    moment: Moment,
    deal: bytes,
    *,
    sheet: Sheet,
    terms: Terms,
    deliver_to: Party | None = None,
    reason: str | None = None,
    text: str | None = None,
) -> Opened:
    """New prices and terms for an agreed deal, in full; `deliver_to` null: where the order says."""
    other = acting(thread, key, deal, "change")
    versions = [change.version for _, change in thread.each(Change) if change.deal == deal]
    change = Change(
        nonce=moment.nonce(),
        issued_at=moment.wall,
        deal=deal,
        version=max(versions, default=0) + 1,
        step="propose",
        sheet=sheet,
        terms=terms,
        deliver_to=deliver_to,
        reason=reason,
        text=text,
    )
    return sealed(thread, change, key, other)


def propose_cancel(
    thread: Thread,
    key: SigningKey,
    moment: Moment,
    deal: bytes,
    *,
    refund: Money | None = None,
    reason: str | None = None,
    text: str | None = None,
) -> Opened:
    """Wish to end an order or deal; it binds when the other side accepts."""
    other = acting(thread, key, deal, "cancel")
    cancel = Cancel(
        nonce=moment.nonce(),
        issued_at=moment.wall,
        deal=deal,
        step="propose",
        reason=reason,
        refund=refund,
        text=text,
    )
    return sealed(thread, cancel, key, other)


def answer_proposal(
    thread: Thread,
    key: SigningKey,
    moment: Moment,
    proposal: bytes,
    step: Literal["accept", "reject"],
    *,
    reason: str | None = None,
    text: str | None = None,
) -> Opened:
    """Our word on a change or cancellation that the other side proposed. Raises NotFound, WrongState, BadInput."""
    found = thread.documents.get(proposal)
    if found is None or not isinstance(found.document, Change | Cancel):
        raise NotFound("there is no such proposal")
    proposed = found.document
    if isinstance(proposed, Change):
        _check_newest(thread, proposed)
    _waits_for_us(thread, key, proposed.deal, proposal)
    if isinstance(proposed, Change) and step == "accept":
        _check_crossed(thread, key, proposed)
    verb = "change" if isinstance(proposed, Change) else "cancel"
    other = acting(thread, key, proposed.deal, verb if step == "accept" else None)
    answer: Change | Cancel
    if isinstance(proposed, Change):
        answer = Change(
            nonce=moment.nonce(),
            issued_at=moment.wall,
            deal=proposed.deal,
            version=proposed.version,
            step=step,
            about=proposal,
            reason=reason,
            text=text,
        )
    else:
        answer = Cancel(
            nonce=moment.nonce(),
            issued_at=moment.wall,
            deal=proposed.deal,
            step=step,
            about=proposal,
            reason=reason,
            text=text,
        )
    return sealed(thread, answer, key, other)


def _check_newest(thread: Thread, proposed: Change) -> None:
    """A change cannot hold any more once both have signed one of a higher number."""
    standing = in_force(thread, proposed.deal)
    if standing.version > proposed.version:
        raise WrongState(
            f"both have signed change {standing.version} since, which stands instead of change {proposed.version}",
            hint="If you want what this one says, propose it anew: market change DEAL …",
        )


def _waits_for_us(thread: Thread, key: SigningKey, deal: bytes, proposal: bytes) -> None:
    role = role_of(thread, key, deal)
    if fold(thread).proposals.get(proposal) != role:
        raise WrongState("this proposal does not wait for an answer of ours")


def _check_crossed(thread: Thread, key: SigningKey, proposed: Change) -> None:
    """Who has proposed a change under the same number cannot agree to another one."""
    for opened, change in thread.each(Change):
        ours = (opened.signer, change.deal, change.version) == (key.public, proposed.deal, proposed.version)
        if ours and change.step == "propose":
            raise WrongState(
                "your own change crossed this one, and only one of the two can hold",
                hint="Refuse this one, or let them accept yours; then propose what you both want",
            )


# Disputes


def make_dispute(
    thread: Thread,
    key: SigningKey,
    moment: Moment,
    deal: bytes,
    step: Literal["open", "statement", "proposal", "accept", "close"],
    *,
    about: bytes | None = None,
    reason: str | None = None,
    outcome: str | None = None,
    amount: Money | None = None,
    share: str | None = None,
    text: str | None = None,
    attachments: tuple[Attachment, ...] | None = None,
) -> Opened:
    """A step of a dispute. `about`: what it answers, a proposal to accept or the step that opened the dispute.

    Raises NotFound, WrongState, BadInput.
    """
    other = acting(thread, key, deal, "dispute")
    if step == "accept" and about is not None:
        _waits_for_us(thread, key, deal, about)
    dispute = Dispute(
        nonce=moment.nonce(),
        issued_at=moment.wall,
        deal=deal,
        step=step,
        no=next_number(thread, Dispute, key, deal),
        about=about,
        reason=reason,
        outcome=outcome,
        amount=amount,
        share=share,
        text=text,
        attachments=attachments,
    )
    return sealed(thread, dispute, key, other)


def make_opinion(
    thread: Thread,
    key: SigningKey,
    moment: Moment,
    dispute: bytes,
    recipient: tables.Role,
    *,
    outcome: str,
    amount: Money | None = None,
    share: str | None = None,
    text: str | None = None,
) -> Opened:
    """The opinion of the referee named in the order, about the dispute that `dispute` opened; sealed for one side."""
    found = thread.documents.get(dispute)
    if found is None or not isinstance(found.document, Dispute):
        raise NotFound("there is no such dispute")
    deal = found.document.deal
    opinion = Dispute(
        nonce=moment.nonce(),
        issued_at=moment.wall,
        deal=deal,
        step="opinion",
        no=next_number(thread, Dispute, key, deal),
        about=dispute,
        outcome=outcome,
        amount=amount,
        share=share,
        text=text,
    )
    return sealed(thread, opinion, key, thread.buyer_of(deal) if recipient == "buyer" else thread.seller)
