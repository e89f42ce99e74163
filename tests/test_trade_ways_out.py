"""From wherever two sides have got to with a deal, those who are told to act can, and acting brings it to an end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

import msgspec
import pytest
from deal_world import LATER, agreed_trade, cheaper_sheet, deal_terms
from trade_world import BUYER, SELLER, a_sheet, moment

from p2pmarket.errors import LocalError
from p2pmarket.keys import SigningKey
from p2pmarket.network import TEST
from p2pmarket.trade import agreeing, billing, check, fulfilling
from p2pmarket.trade.documents import Cancel, Change, Despatch, Dispute, Invoice, Opened, Payment
from p2pmarket.trade.money import decimal_text
from p2pmarket.trade.thread import Duty, Thread, duties_of, fold, in_force
from p2pmarket.trade.thread.contract import fitted
from p2pmarket.trade.thread.deal import awaited_of, confirmed_of, left_of, never_sent_of, overpaid_of, unsent_of
from p2pmarket.trade.thread.disputes import dispute_of, disputes_of, settlements_of
from p2pmarket.trade.values import Money, OrderLine, ReceiptLine

WALKS, MOVES, ENOUGH = 200, 40, 120
OUTCOMES = ("refund", "price_cut", "deliver_again", "cancel", "none")
KEYS = {"buyer": BUYER, "seller": SELLER}


class Walk:
    """A deal on which both sides do what comes to their minds; what they may not do is refused and changes nothing."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.trade = agreed_trade()
        self.clock = LATER

    @property
    def thread(self) -> Thread:
        return self.trade.thread

    @property
    def deal(self) -> bytes:
        return self.trade.deal

    def of(self, kind: type[Any], **wanted: object) -> list[Opened]:
        """The documents of a kind in this deal, with these fields."""
        found = [o for o, paper in self.thread.each(kind) if paper.deal == self.deal]
        return [o for o in found if all(getattr(o.document, name) == value for name, value in wanted.items())]

    def said(self, make: Callable[..., Opened], key: SigningKey, *about: Any, **fields: Any) -> Opened:
        """Sign a document that the other side takes. Raises LocalError where it may not be signed."""
        self.clock += self.rng.choice([0, 1, 3600])
        opened = make(self.thread, key, moment(self.clock), *about, **fields)
        check.check(self.thread, opened, self.clock)
        return self.trade.add(str(len(self.trade.papers)), opened)

    # What comes to mind

    def step(self) -> None:
        """One move of either side."""
        moves = (
            *(self.propose_change, self.propose_cancel, self.answer, self.answer),
            *(self.despatch, self.despatch, self.receive, self.invoice, self.credit),
            *(self.pay, self.cash, self.answer_money, self.answer_money, self.refund),
            *(self.dispute, self.propose, self.settle, self.close),
        )
        with suppress(LocalError):
            self.rng.choice(moves)(KEYS[self.rng.choice(["buyer", "seller"])])

    def money(self) -> Money:
        sheet = in_force(self.thread, self.deal).sheet
        return Money(
            self.rng.choice([1, 500, sheet.total // 2, sheet.total, left_of(self.thread, self.deal)]), "EUR", 2
        )

    def propose_change(self, key: SigningKey) -> None:
        sheet = self.rng.choice([a_sheet(), cheaper_sheet()])
        terms = fitted(
            self.rng.choice([deal_terms(), msgspec.structs.replace(deal_terms(), payment=None)]), sheet.total
        )
        self.said(agreeing.propose_change, key, self.deal, sheet=sheet, terms=terms)

    def propose_cancel(self, key: SigningKey) -> None:
        refund = self.money() if self.rng.random() < 0.5 else None
        self.said(agreeing.propose_cancel, key, self.deal, refund=refund)

    def answer(self, key: SigningKey) -> None:
        proposals = [*self.of(Change, step="propose"), *self.of(Cancel, step="propose")]
        if proposals:
            self.said(
                agreeing.answer_proposal, key, self.rng.choice(proposals).hash, self.rng.choice(["accept", "reject"])
            )

    def despatch(self, key: SigningKey) -> None:
        lines = in_force(self.thread, self.deal).sheet.lines
        part = [OrderLine(no=line.no, quantity=line.quantity) for line in lines if self.rng.random() < 0.5]
        self.said(fulfilling.make_despatch, key, self.deal, part or None)

    def receive(self, key: SigningKey) -> None:
        sent = self.rng.choice([None, *self.of(Despatch)])
        about = sent.hash if sent is not None else None
        lines = None
        if sent is not None and self.rng.random() < 0.4:
            how = self.rng.choice(["damaged", "refused"])
            parts = sent.document.lines  # type: ignore[attr-defined]
            lines = [ReceiptLine(no=part.no, quantity=part.quantity, condition=how) for part in parts]  # type: ignore[arg-type]
        self.said(fulfilling.make_receipt, key, self.deal, lines, despatch=about)

    def invoice(self, key: SigningKey) -> None:
        number = f"I-{len(self.trade.papers)}"
        part = self.rng.choice([None, 1, 2])
        self.said(billing.make_invoice, key, self.deal, number, date="2026-06-01", instalment=part)

    def credit(self, key: SigningKey) -> None:
        bill = self.rng.choice([None, *self.of(Invoice)])
        whole = bill.document.sheet if bill is not None else in_force(self.thread, self.deal).sheet  # type: ignore[attr-defined]
        sheet = billing.credit_amount_sheet(whole, self.money().amount)
        about, number = (bill.hash if bill is not None else None), f"C-{len(self.trade.papers)}"
        self.said(billing.make_credit, key, self.deal, number, sheet=sheet, date="2026-06-01", invoice=about)

    def pay(self, key: SigningKey) -> None:
        self.said(billing.advise_payment, key, self.deal, self.rng.choice([None, self.money().amount]))

    def cash(self, key: SigningKey) -> None:
        self.said(billing.confirm_cash, key, self.deal, self.rng.choice([None, self.money().amount]))

    def answer_money(self, key: SigningKey) -> None:
        step = self.rng.choice(["confirmed", "not_received", "refunded"])
        moves = self.of(Payment)
        if moves:
            self.said(billing.answer_payment, key, self.rng.choice(moves).hash, step)

    def refund(self, key: SigningKey) -> None:
        came = self.of(Payment, step="confirmed")
        if came:
            self.said(
                billing.answer_payment, key, self.rng.choice(came).hash, "refund_due", self.rng.choice([None, 100])
            )

    def dispute(self, key: SigningKey) -> None:
        if "open" not in disputes_of(self.thread, self.deal).values() or self.rng.random() < 0.1:
            self.said(agreeing.make_dispute, key, self.deal, "open", reason="late")

    def open_disputes(self) -> list[bytes]:
        return [found for found, state in disputes_of(self.thread, self.deal).items() if state == "open"]

    def propose(self, key: SigningKey) -> None:
        for about in self.open_disputes():
            outcome, amount = self.rng.choice(OUTCOMES), self.rng.choice([None, self.money()])
            self.said(agreeing.make_dispute, key, self.deal, "proposal", about=about, outcome=outcome, amount=amount)

    def settle(self, key: SigningKey) -> None:
        for offer in self.of(Dispute, step="proposal"):
            self.said(agreeing.make_dispute, key, self.deal, "accept", about=offer.hash)

    def close(self, key: SigningKey) -> None:
        for about in self.open_disputes():
            if self.thread.documents[about].signer == key.public:
                self.said(agreeing.make_dispute, key, self.deal, "close", about=about)

    # What is asked for

    def duties(self) -> tuple[Duty, ...]:
        return duties_of(self.thread, self.deal)

    def act(self, duty: Duty) -> None:
        """Do what is asked of somebody, in the plainest way."""
        key = KEYS[duty.who]
        match duty.machine, duty.state, duty.who:
            case "proposal", _, _:
                self.accept(key, self.thread.documents[duty.about])
            case "deal", "disputed", _:
                self.speak(key)
            case "deal", _, "seller":
                self.said(fulfilling.make_despatch, key, self.deal, self.left())
            case "deal", _, "buyer":
                self.receive_next(key)
            case "payment", "due", "buyer":
                self.said(billing.advise_payment, key, self.deal)
            case "payment", "overpaid", "seller":
                self.give_back(key)
            case "payment", _, _:
                self.end_payment(duty.number or 0)
            case other:
                raise AssertionError(other)

    def accept(self, key: SigningKey, proposal: Opened) -> None:
        if isinstance(proposal.document, Dispute):
            self.said(agreeing.make_dispute, key, self.deal, "accept", about=proposal.hash)
            return
        try:
            self.said(agreeing.answer_proposal, key, proposal.hash, "accept")
        except LocalError:
            self.said(agreeing.answer_proposal, key, proposal.hash, "reject")  # two that cross, or a deal that is over

    def speak(self, key: SigningKey) -> None:
        """Close one's own dispute, or propose to leave it at that."""
        about = self.open_disputes()[0]
        last = max(
            (move for move in self.of(Dispute) if dispute_of(self.thread, move) == about),
            key=lambda move: (move.document.issued_at, move.hash),
        )
        if self.thread.documents[about].signer == key.public:
            self.said(agreeing.make_dispute, key, self.deal, "close", about=about)
        elif last.signer != key.public:
            self.said(agreeing.make_dispute, key, self.deal, "proposal", about=about, outcome="none")

    def left(self) -> list[OrderLine]:
        unsent = never_sent_of(self.thread, self.deal) or unsent_of(self.thread, self.deal)
        much = unsent or in_force(self.thread, self.deal).quantities
        return [OrderLine(no=no, quantity=decimal_text(quantity)) for no, quantity in much.items()]

    def receive_next(self, key: SigningKey) -> None:
        found = awaited_of(self.thread, self.deal)[0][0]
        self.said(fulfilling.make_receipt, key, self.deal, despatch=found)

    def give_back(self, key: SigningKey) -> None:
        much, states = overpaid_of(self.thread, self.deal), fold(self.thread).payments
        for opened in self.of(Payment, step="confirmed"):
            paid = opened.document
            assert isinstance(paid, Payment)
            if states.get((self.deal, paid.no)) == "confirmed":
                back = min(much, paid.amount.amount)
                self.said(billing.answer_payment, key, opened.hash, "refund_due", back)
                return
        self.said(billing.refund_alone, key, self.deal, much)

    def end_payment(self, number: int) -> None:
        """Whoever gets money says that it came."""
        moves = {move.document.step: move for move in self.of(Payment, no=number)}  # type: ignore[attr-defined]
        if fold(self.thread).payments[self.deal, number] == "advised":
            self.said(billing.answer_payment, SELLER, moves["advised"].hash, "confirmed")
        else:
            self.said(billing.answer_payment, BUYER, moves["refund_due"].hash, "refunded")


@pytest.mark.parametrize("seed", range(WALKS))
def test_who_is_told_to_act_can_and_it_comes_to_an_end(seed: int) -> None:
    walk = Walk(seed)
    for _ in range(walk.rng.randrange(MOVES)):
        walk.step()
    for _ in range(ENOUGH):
        duties = walk.duties()
        if not duties:
            break
        walk.act(walk.rng.choice(duties))
    assert not walk.duties()
    refunded = "refund" in {settled.outcome for settled in settlements_of(walk.thread, walk.deal).values()}
    assert left_of(walk.thread, walk.deal) <= 0 or refunded  # what is not sent then, nobody waits for
    assert overpaid_of(walk.thread, walk.deal) == 0
    back = sum(move.document.amount.amount for move in walk.of(Payment, step="refunded"))  # type: ignore[attr-defined]
    assert back <= confirmed_of(walk.thread, walk.deal)
    papers = list(walk.trade.papers.values())
    walk.rng.shuffle(papers)
    other = Thread.of(TEST, SELLER.public, walk.thread.request, papers)
    assert fold(other) == fold(walk.thread)
    assert duties_of(other, walk.deal) == walk.duties()
