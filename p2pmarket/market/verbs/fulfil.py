"""Handlers of deals on their way: changes, cancellations, delivery, bills, payments."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from p2pmarket.api import spec
from p2pmarket.api import types as t
from p2pmarket.api.spec import Call, Route
from p2pmarket.api.types import bodies_fulfil as b
from p2pmarket.clock import wall
from p2pmarket.market.billing import Billing
from p2pmarket.market.deal_papers import Done
from p2pmarket.market.deal_views import DealView
from p2pmarket.market.fulfilling import Answer, Fulfilling
from p2pmarket.market.verbs.base import Handlers
from p2pmarket.market.ways_to_pay import Ways, ways_of
from p2pmarket.store.ledger import Ledger
from p2pmarket.trade import documents as d
from p2pmarket.trade.bills import bills_of

Body = TypeVar("Body")
Reply = TypeVar("Reply", bound=t.Reply)
KINDS: dict[str | None, type[d.Change] | type[d.Cancel] | None] = {
    None: None,
    "change": d.Change,
    "cancellation": d.Cancel,
}


class FulfilVerbs(Handlers):
    """What follows an order."""

    @property
    def _fulfilling(self) -> Fulfilling:
        return Fulfilling(self.market.dealing)

    @property
    def _billing(self) -> Billing:
        return Billing(self.market.dealing)

    async def _do(
        self,
        call: Call,
        route: Route[Reply],
        deed: Callable[[Ledger, str, Body, int], Done],
        id_: str,
        body: Body,
        told: Callable[[DealView, Done, t.Deal], Reply],
    ) -> Reply:
        """Do something about what `id_` names, and answer with what was made of it and the deal as it stands now."""

        def work(ledger: Ledger) -> Reply:
            done = deed(ledger, id_, body, wall())
            view = DealView.of(self.market.views, ledger, done.row)
            return told(view, done, self.market.views.deal(ledger, done.row))

        return await self.write(call, route, body, work)

    # Agreement

    async def change(self, call: Call, body: b.ChangeDeal, deal: str) -> t.ProposalReply:
        """Propose other lines, prices or terms."""
        return await self._do(call, spec.CHANGE, self._fulfilling.change, deal, body, _proposed)

    async def cancel(self, call: Call, body: b.CancelDeal, deal: str) -> t.ProposalReply:
        """Propose to end an order or deal."""
        return await self._do(call, spec.CANCEL, self._fulfilling.cancel, deal, body, _proposed)

    async def proposal_accept(self, call: Call, body: b.AnswerProposal, id: str) -> t.ProposalReply:
        """Sign what the other side proposed."""
        return await self._do(call, spec.PROPOSAL_ACCEPT, partial(self._answer, "accept"), id, body, _proposed)

    async def proposal_reject(self, call: Call, body: b.AnswerProposal, id: str) -> t.ProposalReply:
        """Refuse what the other side proposed."""
        return await self._do(call, spec.PROPOSAL_REJECT, partial(self._answer, "reject"), id, body, _proposed)

    def _answer(self, step: Answer, ledger: Ledger, id_: str, body: b.AnswerProposal, now: int) -> Done:
        return self._fulfilling.answer(ledger, id_, step, body, now, KINDS[body.kind])

    # Delivery

    async def despatch(self, call: Call, body: b.NewDespatch, deal: str) -> t.DespatchReply:
        """Goods have left."""
        return await self._do(call, spec.DESPATCH, self._fulfilling.despatch, deal, body, _despatched)

    async def receive(self, call: Call, body: b.NewReceipt, deal: str) -> t.ReceiptReply:
        """Goods have come."""
        return await self._do(call, spec.RECEIVE, self._fulfilling.receive, deal, body, _received)

    # Money

    async def invoice(self, call: Call, body: b.NewInvoice, deal: str) -> t.InvoiceReply:
        """Bill what is owed."""
        return await self._do(call, spec.INVOICE, self._billing.invoice, deal, body, _billed)

    async def credit(self, call: Call, body: b.NewCredit, id: str) -> t.CreditReply:
        """Give back what was billed."""
        return await self._do(call, spec.CREDIT, self._billing.credit, id, body, _credited)

    async def pay(self, call: Call, body: b.NewPayment, id: str) -> t.PaymentReply:
        """Say that we have paid."""
        return await self._do(call, spec.PAY, self._billing.pay, id, body, _paid)

    async def confirm_payment(self, call: Call, body: b.ConfirmPayment, id: str) -> t.PaymentReply:
        """Say that money came, or did not."""
        return await self._do(call, spec.CONFIRM_PAYMENT, self._billing.confirm, id, body, _paid)

    async def refund(self, call: Call, body: b.Refund, id: str) -> t.PaymentReply:
        """Say that money goes back."""
        return await self._do(call, spec.REFUND, self._billing.refund, id, body, _paid)


def _proposed(view: DealView, done: Done, deal: t.Deal) -> t.ProposalReply:
    return t.ProposalReply(proposal=view.proposal(view.opened(done.papers[0])), deal=deal, created=done.created)


def _despatched(view: DealView, done: Done, deal: t.Deal) -> t.DespatchReply:
    return t.DespatchReply(despatch=view.despatch(view.opened(done.papers[0])), deal=deal, created=done.created)


def _received(view: DealView, done: Done, deal: t.Deal) -> t.ReceiptReply:
    receipts = [view.receipt(view.opened(paper)) for paper in done.papers]
    return t.ReceiptReply(receipts=receipts, deal=deal, created=done.created)


def _billed(view: DealView, done: Done, deal: t.Deal) -> t.InvoiceReply:
    (bill,) = [one for one in bills_of(view.thread, view.row.hash) if one.hash == done.papers[0]]
    return t.InvoiceReply(invoice=view.invoice(bill), deal=deal, created=done.created)


def _credited(view: DealView, done: Done, deal: t.Deal) -> t.CreditReply:
    return t.CreditReply(credit=view.credit(view.opened(done.papers[0])), deal=deal, created=done.created)


def _paid(view: DealView, done: Done, deal: t.Deal) -> t.PaymentReply:
    move = view.opened(done.papers[0]).document
    assert isinstance(move, d.Payment)
    ways = ways_of(view.thread, view.row.hash, move) if move.step == "advised" else Ways([], [], [])
    return t.PaymentReply(
        payment=view.payment(move.no),
        payto=ways.payto,
        methods=ways.methods,
        shares=ways.shares,
        deal=deal,
        created=done.created,
    )
