"""Handlers of deals on their way: changes, cancellations, delivery, bills, payments."""

from __future__ import annotations

from p2pmarket.api import spec
from p2pmarket.api import types as t
from p2pmarket.api.spec import Call
from p2pmarket.api.types import bodies_fulfil as b
from p2pmarket.clock import wall
from p2pmarket.market.billing import Billing
from p2pmarket.market.deal_papers import Done
from p2pmarket.market.deal_views import DealView
from p2pmarket.market.fulfilling import Answer, Fulfilling
from p2pmarket.market.verbs.base import Handlers
from p2pmarket.store.ledger import Ledger
from p2pmarket.trade import documents as d

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

    # Agreement

    async def change(self, call: Call, body: b.ChangeDeal, deal: str) -> t.ProposalReply:
        """Propose other lines, prices or terms."""

        def work(ledger: Ledger) -> t.ProposalReply:
            return self._proposed(ledger, self._fulfilling.change(ledger, deal, body, wall()))

        return await self.write(call, spec.CHANGE, body, work)

    async def cancel(self, call: Call, body: b.CancelDeal, deal: str) -> t.ProposalReply:
        """Propose to end an order or deal."""

        def work(ledger: Ledger) -> t.ProposalReply:
            return self._proposed(ledger, self._fulfilling.cancel(ledger, deal, body, wall()))

        return await self.write(call, spec.CANCEL, body, work)

    async def proposal_accept(self, call: Call, body: b.AnswerProposal, id: str) -> t.ProposalReply:
        """Sign what the other side proposed."""

        def work(ledger: Ledger) -> t.ProposalReply:
            return self._answered(ledger, id, "accept", body)

        return await self.write(call, spec.PROPOSAL_ACCEPT, body, work)

    async def proposal_reject(self, call: Call, body: b.AnswerProposal, id: str) -> t.ProposalReply:
        """Refuse what the other side proposed."""

        def work(ledger: Ledger) -> t.ProposalReply:
            return self._answered(ledger, id, "reject", body)

        return await self.write(call, spec.PROPOSAL_REJECT, body, work)

    def _answered(self, ledger: Ledger, id_: str, step: Answer, body: b.AnswerProposal) -> t.ProposalReply:
        done = self._fulfilling.answer(ledger, id_, step, body, wall(), KINDS[body.kind])
        return self._proposed(ledger, done)

    def _proposed(self, ledger: Ledger, done: Done) -> t.ProposalReply:
        view = self._view(ledger, done)
        made = view.proposal(view.opened(done.papers[0]))
        return t.ProposalReply(proposal=made, deal=self.market.views.deal(ledger, done.row), created=done.created)

    # Delivery

    async def despatch(self, call: Call, body: b.NewDespatch, deal: str) -> t.DespatchReply:
        """Goods have left."""

        def work(ledger: Ledger) -> t.DespatchReply:
            done = self._fulfilling.despatch(ledger, deal, body, wall())
            view = self._view(ledger, done)
            made = view.despatch(view.opened(done.papers[0]))
            return t.DespatchReply(despatch=made, deal=self.market.views.deal(ledger, done.row), created=done.created)

        return await self.write(call, spec.DESPATCH, body, work)

    async def receive(self, call: Call, body: b.NewReceipt, deal: str) -> t.ReceiptReply:
        """Goods have come."""

        def work(ledger: Ledger) -> t.ReceiptReply:
            done = self._fulfilling.receive(ledger, deal, body, wall())
            view = self._view(ledger, done)
            made = [view.receipt(view.opened(paper)) for paper in done.papers]
            return t.ReceiptReply(receipts=made, deal=self.market.views.deal(ledger, done.row), created=done.created)

        return await self.write(call, spec.RECEIVE, body, work)

    # Money

    async def invoice(self, call: Call, body: b.NewInvoice, deal: str) -> t.InvoiceReply:
        """Bill what is owed."""

        def work(ledger: Ledger) -> t.InvoiceReply:
            done = self._billing.invoice(ledger, deal, body, wall())
            view = self._view(ledger, done)
            made = view.invoice(view.opened(done.papers[0]))
            return t.InvoiceReply(invoice=made, deal=self.market.views.deal(ledger, done.row), created=done.created)

        return await self.write(call, spec.INVOICE, body, work)

    async def credit(self, call: Call, body: b.NewCredit, id: str) -> t.CreditReply:
        """Give back what was billed."""

        def work(ledger: Ledger) -> t.CreditReply:
            done = self._billing.credit(ledger, id, body, wall())
            view = self._view(ledger, done)
            made = view.credit(view.opened(done.papers[0]))
            return t.CreditReply(credit=made, deal=self.market.views.deal(ledger, done.row), created=done.created)

        return await self.write(call, spec.CREDIT, body, work)

    async def pay(self, call: Call, body: b.NewPayment, id: str) -> t.PaymentReply:
        """Say that we have paid."""

        def work(ledger: Ledger) -> t.PaymentReply:
            return self._paid(ledger, self._billing.pay(ledger, id, body, wall()))

        return await self.write(call, spec.PAY, body, work)

    async def confirm_payment(self, call: Call, body: b.ConfirmPayment, id: str) -> t.PaymentReply:
        """Say that money came, or did not."""

        def work(ledger: Ledger) -> t.PaymentReply:
            return self._paid(ledger, self._billing.confirm(ledger, id, body, wall()))

        return await self.write(call, spec.CONFIRM_PAYMENT, body, work)

    async def refund(self, call: Call, body: b.Refund, id: str) -> t.PaymentReply:
        """Say that money goes back."""

        def work(ledger: Ledger) -> t.PaymentReply:
            return self._paid(ledger, self._billing.refund(ledger, id, body, wall()))

        return await self.write(call, spec.REFUND, body, work)

    def _paid(self, ledger: Ledger, done: Done) -> t.PaymentReply:
        view = self._view(ledger, done)
        move = view.opened(done.papers[0]).document
        assert isinstance(move, d.Payment)
        made = view.payment(move.no)
        payto = view.to_pay(made) if move.step == "advised" else []
        deal = self.market.views.deal(ledger, done.row)
        return t.PaymentReply(payment=made, payto=payto, deal=deal, created=done.created)

    def _view(self, ledger: Ledger, done: Done) -> DealView:
        return DealView.of(self.market.views, ledger, done.row)
