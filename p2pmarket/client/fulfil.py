"""The calls about deals on their way, a part of `Client`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from p2pmarket.api import spec
from p2pmarket.api import types as t
from p2pmarket.api.spec import ReplyT, Route
from p2pmarket.api.types import bodies as b
from p2pmarket.api.types import bodies_fulfil as fulfil


class _Caller(Protocol):
    """What `Client` has."""

    def _call(
        self,
        route: Route[ReplyT],
        *path: str,
        query: Mapping[str, str | int | None] | None = None,
        body: b.Body | None = None,
        key: str | None = None,
    ) -> ReplyT: ...


class FulfilCalls:
    """Changes, cancellations, delivery, bills, payments. `id`: the deal's, or that of the paper meant."""

    def change(self: _Caller, deal: str, body: fulfil.ChangeDeal, key: str | None = None) -> t.ProposalReply:
        """Propose other lines, prices or terms."""
        return self._call(spec.CHANGE, deal, body=body, key=key)

    def cancel(self: _Caller, deal: str, body: fulfil.CancelDeal, key: str | None = None) -> t.ProposalReply:
        """Propose to end an order or deal."""
        return self._call(spec.CANCEL, deal, body=body, key=key)

    def proposal_accept(self: _Caller, id: str, body: fulfil.AnswerProposal, key: str | None = None) -> t.ProposalReply:
        """Sign what the other side proposed."""
        return self._call(spec.PROPOSAL_ACCEPT, id, body=body, key=key)

    def proposal_reject(self: _Caller, id: str, body: fulfil.AnswerProposal, key: str | None = None) -> t.ProposalReply:
        """Refuse what the other side proposed."""
        return self._call(spec.PROPOSAL_REJECT, id, body=body, key=key)

    def despatch(self: _Caller, deal: str, body: fulfil.NewDespatch, key: str | None = None) -> t.DespatchReply:
        """Goods have left."""
        return self._call(spec.DESPATCH, deal, body=body, key=key)

    def receive(self: _Caller, deal: str, body: fulfil.NewReceipt, key: str | None = None) -> t.ReceiptReply:
        """Goods have come."""
        return self._call(spec.RECEIVE, deal, body=body, key=key)

    def invoice(self: _Caller, deal: str, body: fulfil.NewInvoice, key: str | None = None) -> t.InvoiceReply:
        """Bill what is owed."""
        return self._call(spec.INVOICE, deal, body=body, key=key)

    def credit(self: _Caller, id: str, body: fulfil.NewCredit, key: str | None = None) -> t.CreditReply:
        """Give back what was billed."""
        return self._call(spec.CREDIT, id, body=body, key=key)

    def pay(self: _Caller, id: str, body: fulfil.NewPayment, key: str | None = None) -> t.PaymentReply:
        """Say that we have paid."""
        return self._call(spec.PAY, id, body=body, key=key)

    def confirm_payment(self: _Caller, id: str, body: fulfil.ConfirmPayment, key: str | None = None) -> t.PaymentReply:
        """Say that money came, or did not."""
        return self._call(spec.CONFIRM_PAYMENT, id, body=body, key=key)

    def refund(self: _Caller, id: str, body: fulfil.Refund, key: str | None = None) -> t.PaymentReply:
        """Say that money goes back."""
        return self._call(spec.REFUND, id, body=body, key=key)


__all__ = ["FulfilCalls"]
