"""A deal on its way as the local API shows it: contract, proposals, parcels, bills, payments.

Everything is read from the signed documents of the thread; nothing binding is decided here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from p2pmarket.api import types as t
from p2pmarket.market.arrivals import came_lines
from p2pmarket.market.differences import differences
from p2pmarket.market.sheets import alone_from, delivery_terms, money_of, payment_plan, quote_line
from p2pmarket.market.threads import load_thread
from p2pmarket.market.views import Views, deliver_to
from p2pmarket.market.ways_to_pay import links
from p2pmarket.store import rows
from p2pmarket.store.ledger import Ledger
from p2pmarket.trade import documents as d
from p2pmarket.trade import tables
from p2pmarket.trade import values as v
from p2pmarket.trade.bills import Bill, bills_of
from p2pmarket.trade.check_bill import billed_of, credited_on
from p2pmarket.trade.money import decimal_text
from p2pmarket.trade.thread import Contract, State, Thread, cancelled_alone, contracts, fold, in_force
from p2pmarket.trade.thread.deal import (
    advised_of,
    credited_of,
    cut_of,
    is_cancelled,
    missing_of,
    overpaid_of,
    owed_of,
    payable_of,
    unreceived_of,
    unsent_of,
)
from p2pmarket.vocab.deadlines import instant_text
from p2pmarket.vocab.decimals import money_text


@dataclass(frozen=True, slots=True)
class DealView:
    """One deal as it is shown: its order, its thread and what that folds to."""

    views: Views
    ledger: Ledger
    row: rows.Order
    thread: Thread
    state: State

    @classmethod
    def of(cls, views: Views, ledger: Ledger, row: rows.Order) -> DealView:
        """The deal of an order of either role."""
        seller = row.other if row.role == "buyer" else views.identity
        thread = load_thread(ledger, views.reader, views.network, row.request, seller)
        return cls(views, ledger, row, thread, fold(thread))

    # The whole

    def life(self) -> t.Life:
        """All that follows the order."""
        contract = in_force(self.thread, self.row.hash)
        return t.Life(
            contract=self.contract(contract),
            proposals=[self.proposal(found) for found in self._sorted(d.Change, d.Cancel) if _proposes(found)],
            despatches=[self.despatch(found) for found in self._sorted(d.Despatch)],
            receipts=[self.receipt(found) for found in self._sorted(d.Receipt)],
            invoices=[self.invoice(bill) for bill in bills_of(self.thread, self.row.hash)],
            credits=[self.credit(found) for found in self._sorted(d.Credit)],
            payments=[self.payment(number) for number in self._numbers()],
            balance=self.balance(contract),
            unsent=self._lines(contract, unsent_of(self.thread, self.row.hash)),
            missing=self._lines(contract, missing_of(self.thread, self.row.hash)),
            actions=list(tables.actions(tables.DEAL, self.state.deals[self.row.hash], self._role)),
        )

    @property
    def _role(self) -> tables.Role:
        return "buyer" if self.row.role == "buyer" else "seller"

    def contract(self, contract: Contract) -> t.Contract:
        """What both have signed, or would."""
        sheet, terms = contract.sheet, contract.terms
        change = self.thread.documents.get(contract.change or b"")
        return t.Contract(
            version=contract.version,
            change=change.id if change is not None else None,
            lines=[quote_line(line, sheet) for line in sheet.lines],
            charges=[t.Charge(kind=c.kind, text=c.text, amount=money_of(c.amount, sheet)) for c in sheet.charges],
            goods=money_of(sheet.goods, sheet),
            tax=t.Tax(included=sheet.tax_included, amount=money_of(sheet.tax, sheet)),
            total=money_of(sheet.total, sheet),
            delivery=delivery_terms(terms.delivery),
            payment=payment_plan(terms.payment, sheet),
            deliver_to=deliver_to(contract.deliver_to),
            cancel_days=terms.cancel_days,
            cancels_alone_from=alone_from(self.thread, self.row.hash, contract),
        )

    # Agreement

    def proposal(self, opened: d.Opened) -> t.Proposal:
        """A change or cancellation, and what became of it."""
        document = opened.document
        assert isinstance(document, d.Change | d.Cancel)
        answer = self._answer_to(opened)
        would_be = self._would_be(opened) if isinstance(document, d.Change) else None
        before = self._before(document) if isinstance(document, d.Change) else None
        word = answer.document if answer is not None else None
        refund = document.refund if isinstance(document, d.Cancel) else None
        sheet = in_force(self.thread, self.row.hash).sheet
        return t.Proposal(
            id=opened.id,
            kind="change" if isinstance(document, d.Change) else "cancellation",
            state=self._state_of(opened, word),
            by=self._by(opened),
            proposed_at=instant_text(document.issued_at),
            answered_at=instant_text(word.issued_at) if word is not None else None,
            reason=document.reason,
            text=document.text,
            answer=_said(word),
            contract=self.contract(would_be) if would_be is not None else None,
            differences=_changes(before, would_be),
            refund=money_of(refund.amount, sheet) if refund is not None else None,
            delivery=self._delivery(opened if self._by(opened) == "me" else answer),
        )

    def _state_of(self, proposal: d.Opened, answer: d.Document | None) -> t.ProposalState:
        if answer is not None:
            return "accepted" if getattr(answer, "step", None) == "accept" else "rejected"
        if proposal.hash in cancelled_alone(self.thread, self.row.hash):
            return "accepted"
        newest = in_force(self.thread, self.row.hash).version
        late = isinstance(proposal.document, d.Change) and proposal.document.version < newest
        return "superseded" if late else "open"

    def _answer_to(self, proposal: d.Opened) -> d.Opened | None:
        """The other side's word on a proposal."""
        answers = [
            opened
            for opened in self._sorted(d.Change, d.Cancel)
            if getattr(opened.document, "about", None) == proposal.hash and opened.signer != proposal.signer
        ]
        return answers[0] if answers else None

    def _would_be(self, opened: d.Opened) -> Contract | None:
        change = opened.document
        if not isinstance(change, d.Change) or change.sheet is None or change.terms is None:
            return None
        return Contract(change.version, change.sheet, change.terms, change.deliver_to, opened.hash)

    def _before(self, change: d.Change) -> Contract:
        """The contract that was in force below a change's version."""
        found = [one for one in contracts(self.thread, self.row.hash) if one.version < change.version]
        return found[-1]

    # Delivery

    def despatch(self, opened: d.Opened) -> t.Despatch:
        """Goods that have left."""
        sent = opened.document
        assert isinstance(sent, d.Despatch)
        waiting = {found for found, _ in unreceived_of(self.thread, self.row.hash)}
        return t.Despatch(
            id=opened.id,
            no=sent.no,
            lines=[self._line(line.no, line.quantity) for line in sent.lines],
            carrier=sent.carrier,
            tracking=sent.tracking,
            url=sent.url,
            parcels=sent.parcels,
            despatched_at=instant_text(sent.despatched_at) if sent.despatched_at is not None else None,
            expected=sent.expected,
            files=[
                t.Attachment(name=one.name, size=one.size, sha256=one.hash.hex(), media=one.media)
                for one in sent.files or ()
            ],
            text=sent.text,
            received=opened.hash not in waiting,
            delivery=self._delivery(opened),
        )

    def receipt(self, opened: d.Opened) -> t.Receipt:
        """What the buyer says has come."""
        came = opened.document
        assert isinstance(came, d.Receipt)
        lines = self._known_lines()
        return t.Receipt(
            id=opened.id,
            no=came.no,
            despatch=self._id(came.despatch),
            lines=came_lines(self.thread, came, lambda no: _unit(lines.get(no))),
            received_on=came.received_on,
            received_at=instant_text(came.issued_at),
            text=came.text,
            delivery=self._delivery(opened),
        )

    def _lines(self, contract: Contract, quantities: Mapping[int, Fraction]) -> list[t.SentLine]:
        return [self._line(no, decimal_text(much)) for no, much in sorted(quantities.items())]

    def _line(self, no: int, quantity: str) -> t.SentLine:
        line = self._known_lines().get(no)
        return t.SentLine(
            no=no, quantity=t.Quantity(value=quantity, unit=_unit(line)), text=line.text if line is not None else None
        )

    def _known_lines(self) -> dict[int, v.QuoteLine]:
        """The lines of every contract of the deal, the newest before the older."""
        known: dict[int, v.QuoteLine] = {}
        for contract in contracts(self.thread, self.row.hash):
            known.update(contract.lines)
        return known

    # Money

    def invoice(self, counted: Bill) -> t.Invoice:
        """A bill, and what is open of it."""
        opened, bill = self.opened(counted.hash), counted.invoice
        sheet, left = bill.sheet, counted.open
        return t.Invoice(
            id=opened.id,
            number=bill.number,
            date=bill.date,
            due=bill.due,
            instalment=bill.instalment,
            despatches=[found for one in bill.despatches or () if (found := self._id(one)) is not None],
            lines=[quote_line(line, sheet) for line in sheet.lines],
            charges=[t.Charge(kind=c.kind, text=c.text, amount=money_of(c.amount, sheet)) for c in sheet.charges],
            goods=money_of(sheet.goods, sheet),
            tax=t.Tax(included=sheet.tax_included, amount=money_of(sheet.tax, sheet)),
            total=money_of(sheet.total, sheet),
            credited=money_of(credited_on(self.thread, self.row.hash, opened.hash), sheet),
            paid=money_of(counted.paid, sheet),
            open=money_of(left, sheet),
            methods=list(bill.methods),
            payto=links(bill.methods, money_text(left, sheet.exponent), sheet.currency, bill.number)
            if left > 0
            else [],
            text=bill.text,
            issued_at=instant_text(bill.issued_at),
            delivery=self._delivery(opened),
        )

    def credit(self, opened: d.Opened) -> t.Credit:
        """What is given back."""
        credit = opened.document
        assert isinstance(credit, d.Credit)
        sheet = credit.sheet
        return t.Credit(
            id=opened.id,
            number=credit.number,
            invoice=self._id(credit.invoice),
            date=credit.date,
            lines=[quote_line(line, sheet) for line in sheet.lines],
            tax=t.Tax(included=sheet.tax_included, amount=money_of(sheet.tax, sheet)),
            total=money_of(sheet.total, sheet),
            reason=credit.reason,
            text=credit.text,
            issued_at=instant_text(credit.issued_at),
            delivery=self._delivery(opened),
        )

    def payment(self, number: int) -> t.Payment:
        """One payment with all that was said of it."""
        told_all = self.thread.each(d.Payment)
        found = [(opened, move) for opened, move in told_all if (move.deal, move.no) == (self.row.hash, number)]
        moves = sorted(found, key=lambda one: tables.PAYMENT.order.index(one[1].step))
        (first, told), (_, newest) = moves[0], moves[-1]
        sheet = in_force(self.thread, self.row.hash).sheet
        paid_at = next((move.paid_at for _, move in moves if move.paid_at is not None), None)
        proof = next((move.proof for _, move in moves if move.proof is not None), None)
        state = self.state.payments.get((self.row.hash, number), "due")
        return t.Payment(
            id=first.id,
            no=number,
            state=state,  # type: ignore[arg-type]
            amount=money_of(newest.amount.amount, sheet),
            invoice=self._id(told.invoice),
            instalment=told.instalment,
            method=told.method,
            reference=told.reference,
            proof=proof.decode(errors="backslashreplace") if proof is not None else None,
            paid_at=instant_text(paid_at) if paid_at is not None else None,
            steps=[
                t.PaymentMove(
                    id=opened.id,
                    step=move.step,
                    by=self._by(opened),
                    amount=money_of(move.amount.amount, sheet),
                    issued_at=instant_text(move.issued_at),
                    text=move.text,
                    delivery=self._delivery(opened),
                )
                for opened, move in moves
            ],
        )

    def balance(self, contract: Contract) -> t.Balance:
        """The money of the deal in one place."""
        thread, deal, sheet = self.thread, self.row.hash, contract.sheet
        payable, owed = payable_of(thread, deal), owed_of(thread, deal)
        back = [p.amount.amount for _, p in thread.each(d.Payment) if p.deal == deal and p.step == "refunded"]
        sums = {
            "total": sheet.total,
            "credited": credited_of(thread, deal),
            "cut": cut_of(thread, deal),
            "payable": payable,
            "billed": billed_of(thread, deal),
            "paid": payable - owed,
            "advised": advised_of(thread, deal),
            "owed": max(0, owed) if deal in thread.accepted and not is_cancelled(thread, deal) else 0,
            "overpaid": overpaid_of(thread, deal),
            "refunded": sum(back),
        }
        return t.Balance(**{name: money_of(amount, sheet) for name, amount in sums.items()})

    # Parts

    def opened(self, hash_: bytes) -> d.Opened:
        """A paper of the thread."""
        return self.thread.documents[hash_]

    def _sorted(self, *kinds: type[d.Document]) -> list[d.Opened]:
        """The papers of these kinds in this deal, the oldest first."""
        found = [opened for opened, paper in self.thread.documents_of_deal(self.row.hash) if isinstance(paper, kinds)]
        return sorted(found, key=lambda opened: (opened.document.issued_at, _number(opened.document), opened.hash))

    def _numbers(self) -> list[int]:
        return sorted(
            {opened.document.no for opened in self._sorted(d.Payment) if isinstance(opened.document, d.Payment)}
        )

    def _by(self, opened: d.Opened) -> t.Side:
        return "me" if opened.signer == self.views.identity else "other"

    def _id(self, hash_: bytes | None) -> str | None:
        opened = self.thread.documents.get(hash_) if hash_ is not None else None
        return opened.id if opened is not None else None

    def _delivery(self, opened: d.Opened | None) -> t.Delivery | None:
        """How far a paper of ours has come; null for theirs."""
        if opened is None or opened.signer != self.views.identity:
            return None
        return self.views.delivery(self.ledger.outbox.of_document(opened.hash, opened.recipient))


def _number(document: d.Document) -> int:
    """A paper's number among its kind; what has none stands first."""
    found = getattr(document, "no", None) or getattr(document, "version", None)
    return found if isinstance(found, int) else 0


def _proposes(opened: d.Opened) -> bool:
    return getattr(opened.document, "step", None) == "propose"


def _said(answer: d.Document | None) -> str | None:
    """The other side's words on a proposal, or his reason."""
    return getattr(answer, "text", None) or getattr(answer, "reason", None)


def _changes(before: Contract | None, after: Contract | None) -> list[t.Difference]:
    if before is None or after is None:
        return []
    found = differences((before.sheet, before.terms), (after.sheet, after.terms))
    if after.deliver_to is not None and after.deliver_to != before.deliver_to:
        found.append(t.Difference(what="deliver to", before=_place(before.deliver_to), after=_place(after.deliver_to)))
    return found


def _place(party: v.Party | None) -> str | None:
    return ", ".join([party.name, *party.address]) if party is not None else None


def _unit(line: v.QuoteLine | None) -> str:
    return line.unit if line is not None else "C62"
