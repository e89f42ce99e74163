"""What we do about a deal: changes and cancellations, despatches and receipts. All of it inside one transaction.

Each verb finds its papers, takes what a person typed for what it means, makes the document by `trade` (which asks the
tables whether it may be done, and the receiver's check whether it will be believed) and sends it. Quantities that are
left out are what is left to be done.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from p2pmarket.api.types import bodies_fulfil as b
from p2pmarket.errors import BadInput, WrongState
from p2pmarket.market.deal_drafting import (
    changed,
    check_sendable,
    coming_day,
    day_at,
    day_of,
    order_lines,
    parts_of,
    received_lines,
)
from p2pmarket.market.deal_papers import Done, Open, Paper, open_deal, paper_named, send
from p2pmarket.market.dealing import Dealing
from p2pmarket.market.payment_terms import minor_of, within_total
from p2pmarket.market.revising import refuse_past_days
from p2pmarket.store.ledger import Ledger
from p2pmarket.trade import agreeing, fulfilling
from p2pmarket.trade import documents as d
from p2pmarket.trade import values as v
from p2pmarket.trade.money import fraction
from p2pmarket.trade.thread import fold, in_force
from p2pmarket.trade.thread.deal import is_cancelled, missing_of, unreceived_of, unsent_of
from p2pmarket.vocab.decimals import money_text

Answer = Literal["accept", "reject"]
Proposed = d.Change | d.Cancel


@dataclass(frozen=True, slots=True)
class Fulfilling:
    """The verbs of agreement and delivery, for both sides."""

    dealing: Dealing

    # Agreement

    def change(self, ledger: Ledger, prefix: str, body: b.ChangeDeal, wall: int) -> Done:
        """Propose other lines, prices or terms; a proposal of ours that still waits is not made twice."""
        deal = open_deal(self.dealing, ledger, prefix)
        fulfilling.acting(deal.thread, deal.key, deal.hash, "change")
        contract = in_force(deal.thread, deal.hash)
        refuse_past_days(body, wall)
        sheet, terms, deliver_to = changed(contract, deal.thread.asked, body, ledger.meta.profile().get)
        for opened, before in _waiting(deal, d.Change, ours=True):
            if (before.sheet, before.terms, before.deliver_to) == (sheet, terms, deliver_to):
                return Done(deal.row, (opened.hash,), created=False)
        elsewhere = deliver_to is not None and deliver_to != contract.deliver_to
        if (sheet, terms) == (contract.sheet, contract.terms) and not elsewhere:
            raise BadInput("nothing would change", hint="Say what: --line 1=5, --latest 2026-12-01, --deliver-to …")
        opened = agreeing.propose_change(
            deal.thread,
            deal.key,
            self.dealing.moment(wall),
            deal.hash,
            sheet=sheet,
            terms=terms,
            deliver_to=deliver_to,
            reason=body.reason,
            text=body.text,
        )
        return send(self.dealing, ledger, deal, opened, wall)

    def cancel(self, ledger: Ledger, prefix: str, body: b.CancelDeal, wall: int) -> Done:
        """Propose to end an order or deal; a wish of ours that still waits is not made twice, nor another beside it.

        Nothing takes a proposal back: the other side could sign whichever it likes better.
        """
        deal = open_deal(self.dealing, ledger, prefix)
        fulfilling.acting(deal.thread, deal.key, deal.hash, "cancel")
        refund = _refund(deal, body.refund) if body.refund is not None else None
        for opened, before in _waiting(deal, d.Cancel, ours=True):
            if (before.reason, before.refund, before.text) != (body.reason, refund, body.text):
                raise _wish_stands(deal, opened, before)
            return Done(deal.row, (opened.hash,), created=False)
        opened = agreeing.propose_cancel(
            deal.thread,
            deal.key,
            self.dealing.moment(wall),
            deal.hash,
            refund=refund,
            reason=body.reason,
            text=body.text,
        )
        return send(self.dealing, ledger, deal, opened, wall)

    def answer(
        self,
        ledger: Ledger,
        prefix: str,
        step: Answer,
        body: b.AnswerProposal,
        wall: int,
        kind: type[d.Change] | type[d.Cancel] | None = None,
    ) -> Done:
        """Our word on a change or cancellation: by its id, or by the deal's if only one (of a kind) waits for us."""
        deal = open_deal(self.dealing, ledger, prefix)
        named = deal.named
        if named.hash == deal.hash:
            named = _only(deal, kind)
        if isinstance(named.document, Proposed) and named.document.step == "propose":
            answers: list[tuple[d.Opened, Proposed]] = [*deal.each(d.Change), *deal.each(d.Cancel)]
            if any((o.signer, a.about, a.step) == (deal.key.public, named.hash, step) for o, a in answers):
                return Done(deal.row, (named.hash,), created=False)
            if named.signer == deal.key.public:
                raise WrongState("you proposed this yourself", hint="Now the other side accepts or rejects it")
        opened = agreeing.answer_proposal(
            deal.thread, deal.key, self.dealing.moment(wall), named.hash, step, reason=body.reason, text=body.text
        )
        done = send(self.dealing, ledger, deal, opened, wall)
        return Done(done.row, (named.hash,))

    # Delivery

    def despatch(self, ledger: Ledger, prefix: str, body: b.NewDespatch, wall: int) -> Done:
        """Goods have left: the lines named, or all that is neither there nor on its way."""
        deal = open_deal(self.dealing, ledger, prefix)
        fulfilling.acting(deal.thread, deal.key, deal.hash, "despatch")
        if is_cancelled(deal.thread, deal.hash):
            raise WrongState("this deal is cancelled: nothing is to be sent", hint=f"See: market show {deal.row.deal}")
        left = unsent_of(deal.thread, deal.hash)
        contract = in_force(deal.thread, deal.hash)
        parts = parts_of(contract.sheet, body.lines, left) if body.lines else left
        check_sendable(contract, parts, left)
        opened = fulfilling.make_despatch(
            deal.thread,
            deal.key,
            self.dealing.moment(wall),
            deal.hash,
            order_lines(parts),
            carrier=body.carrier,
            tracking=body.tracking,
            url=body.url,
            parcels=body.parcels,
            expected=coming_day(body.expected, wall, body.utc_offset_s) if body.expected else None,
            files=_files(body),
            text=body.text,
        )
        return send(self.dealing, ledger, deal, opened, wall)

    def receive(self, ledger: Ledger, prefix: str, body: b.NewReceipt, wall: int) -> Done:
        """Goods have come: of one despatch, of all that are on their way, or goods that nobody announced.

        Once something was announced, goods that were not are received only where their lines are named.
        """
        deal = open_deal(self.dealing, ledger, prefix)
        fulfilling.acting(deal.thread, deal.key, deal.hash, "receive")
        received_on = day_at(wall + body.utc_offset_s)
        if body.received_on:
            received_on = _past_day(body.received_on, wall, body.utc_offset_s)
        papers: list[bytes] = []
        row = deal.row
        for despatch in self._arrived(ledger, deal, body):
            opened = fulfilling.make_receipt(
                deal.thread,
                deal.key,
                self.dealing.moment(wall),
                deal.hash,
                _came(deal, despatch, body),
                despatch=despatch,
                received_on=received_on,
                text=body.text,
            )
            row = send(self.dealing, ledger, deal, opened, wall).row
            deal = deal.adding(opened)
            papers.append(opened.hash)
        return Done(row, tuple(papers))

    def _arrived(self, ledger: Ledger, deal: Open, body: b.NewReceipt) -> list[bytes | None]:
        """The despatches that a receipt is about; None: goods that nobody announced."""
        if isinstance(deal.named.document, d.Despatch):
            return [deal.named.hash]
        if body.despatch is not None:
            return [paper_named(ledger, deal, d.Despatch, body.despatch)]
        waiting = unreceived_of(deal.thread, deal.hash)
        if len(waiting) > 1 and body.lines:
            numbers = ", ".join(str(sent.no) for _, sent in waiting)
            raise WrongState("more than one despatch is on its way", hint=f"Say which: --despatch {numbers}")
        if not waiting and not body.lines:
            _check_unannounced(deal)
        return [found for found, _ in waiting] or [None]


def _waiting(deal: Open, kind: type[Paper], *, ours: bool) -> list[tuple[d.Opened, Paper]]:
    """Proposals of one side that nobody has answered."""
    waiting = fold(deal.thread).proposals
    found = [(opened, paper) for opened, paper in deal.each(kind) if opened.hash in waiting]
    return [one for one in found if (one[0].signer == deal.key.public) == ours]


def _refund(deal: Open, told: str) -> v.Money:
    """What a cancellation shall give back: of what both signed, not more than it comes to. Raises BadInput."""
    sheet = in_force(deal.thread, deal.hash).sheet
    whole = told.strip().lower() == "all"
    if whole and not sheet.total:
        raise BadInput("the deal comes to nothing, so nothing can be given back", hint="Cancel it without --refund")
    amount = sheet.total if whole else within_total(deal.thread, deal.hash, minor_of(told, sheet))
    return v.Money(amount, sheet.currency, sheet.exponent)


def _wish_stands(deal: Open, opened: d.Opened, wish: d.Cancel) -> WrongState:
    """The error for a cancellation beside one that waits."""
    refund = f"a refund of {_said(wish.refund)}" if wish.refund is not None else "no refund"
    return WrongState(
        f"you have proposed to cancel this before ({opened.id}, with {refund}), and that waits for an answer",
        hint="It cannot be taken back. Propose another once they refuse it, and ask them for that with: "
        f"market note {deal.row.deal[:10]} TEXT",
        details={"proposal": opened.id},
    )


def _said(money: v.Money) -> str:
    return f"{money_text(money.amount, money.exponent)} {money.currency}"


def _only(deal: Open, kind: type[d.Change] | type[d.Cancel] | None) -> d.Opened:
    """The one proposal of the other side that waits for us."""
    kinds: tuple[type[d.Document], ...] = (kind,) if kind is not None else (d.Change, d.Cancel)
    waiting = [opened for one in kinds for opened, _ in _waiting(deal, one, ours=False)]
    if not waiting:
        raise WrongState("no proposal waits for your answer", hint=f"See: market show {deal.row.deal}")
    if len(waiting) > 1:
        raise WrongState(
            "more than one proposal waits for your answer", hint=f"Name one: {', '.join(one.id for one in waiting)}"
        )
    return waiting[0]


def _announced(deal: Open) -> bool:
    """Whether the seller has ever said that something was on its way."""
    return any(opened.signer == deal.thread.seller for opened, _ in deal.each(d.Despatch))


def _check_unannounced(deal: Open) -> None:
    """Raise WrongState if parcels were announced and have all come: a repeated word must not sign for what is to come.

    What is missing then was never sent, as far as anybody has said.
    """
    missing = missing_of(deal.thread, deal.hash)
    if missing and _announced(deal):
        raise WrongState(
            "nothing is on its way: all that was announced has been received",
            hint=f"Goods that nobody announced are named by line: market receive {deal.row.deal} "
            f"--short {min(missing)}=QTY (so much came)",
        )


def _came(deal: Open, despatch: bytes | None, body: b.NewReceipt) -> tuple[v.ReceiptLine, ...] | None:
    """What is said to have come, line by line; None for all of it.

    Of goods that nobody announced beside parcels that were, only the lines named came: the others may yet be sent.
    """
    if not body.lines:
        return None
    came = received_lines(in_force(deal.thread, deal.hash).sheet, body.lines, _sent(deal, despatch))
    if despatch is not None or not _announced(deal):
        return came
    named = {part.no for part in body.lines}
    return tuple(line for line in came if line.no in named)


def _sent(deal: Open, despatch: bytes | None) -> dict[int, Fraction]:
    """What a receipt is measured by: the despatch, or all that is missing."""
    if despatch is None:
        return missing_of(deal.thread, deal.hash)
    sent = fulfilling.one(deal.thread, d.Despatch, despatch, "despatch")
    return {line.no: fraction(line.quantity) for line in sent.lines}


def _past_day(text: str, wall: int, utc_offset: int) -> str:
    day = day_of(text, wall, utc_offset)
    if day > day_at(wall + utc_offset):
        raise BadInput(f"{day} is still to come", hint="Write the day on which the goods came, such as 2026-12-01")
    return day


def _files(body: b.NewDespatch) -> tuple[v.Attachment, ...] | None:
    files = (
        v.Attachment(hash=bytes.fromhex(one.sha256), size=one.size, name=one.name, media=one.media)
        for one in body.files
    )
    return tuple(files) or None
