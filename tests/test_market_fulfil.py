"""What follows an order, between two real ledgers: what is understood, kept, noticed, shown and refused."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from fulfil_world import Deal, Party, ordered
from market_world import refusals

from p2pmarket import limits
from p2pmarket.api.types.bodies import NewCharge, NewInstalment, NewPaymentTerms
from p2pmarket.api.types.bodies_quarrel import NewDispute
from p2pmarket.api.types.bodies_talk import NamedFile, RevisedLine
from p2pmarket.api.types.trade import DeliverTo
from p2pmarket.errors import BadInput, MarketError, NotFound, WrongState
from p2pmarket.limits import DAY
from p2pmarket.market.deal_drafting import day_at, day_of
from p2pmarket.market.quarrel import dispute
from p2pmarket.market.ways_to_pay import links
from p2pmarket.trade import documents as d
from p2pmarket.trade.evidence import verify_bundle
from p2pmarket.vocab.deadlines import instant_text

IBAN = "payto://iban/DE75512108001245126199"


@pytest.fixture
def unanswered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deal]:
    made = ordered(tmp_path, monkeypatch, accept=False)
    assert made.states() == ("ordered", "none")
    yield made
    made.world.close()


def line(no: int, quantity: str | None = None, price: str | None = None) -> RevisedLine:
    return RevisedLine(no=no, quantity=quantity, price=price)


# Agreement


def test_a_change_replaces_only_what_it_names(deal: Deal) -> None:
    before = deal.buyer.life().contract
    deal.buyer.change(
        lines=[line(1, "8", "3 EUR")],
        charges=[NewCharge(kind="delivery", amount="4.90")],
        delivery_latest="2026-12-24",
        deliver_to_text="Kim Min-su; Jongno 1; Seoul",
    )
    deal.settle()
    deal.seller.answer("accept")
    assert deal.states() == ("agreed", "due")
    after = deal.seller.life().contract
    assert [(one.no, one.quantity.value, one.price.amount) for one in after.lines] == [
        (1, "8", "3"),
        (2, "40", "0.335"),
    ]
    assert [(one.kind, one.amount.amount) for one in after.charges] == [("delivery", "4.90")]
    assert (after.total.amount, after.version) == ("42.30", 1)
    assert (after.delivery.latest, after.delivery.days) == ("2026-12-24", None)
    assert after.deliver_to is not None
    assert (after.deliver_to.name, after.deliver_to.address) == ("Kim Min-su", ["Jongno 1", "Seoul"])
    assert after.payment == before.payment
    assert deal.buyer.shown().total.amount == "42.30"


def test_a_quantity_of_zero_takes_a_line_out(deal: Deal) -> None:
    deal.seller.change(lines=[line(2, "0")])
    deal.settle()
    deal.buyer.answer("accept")
    deal.states()
    assert [one.no for one in deal.buyer.life().contract.lines] == [1]
    assert deal.buyer.life().contract.total.amount == "25.00"
    deal.seller.change(deliver_to=DeliverTo(name="Lee", address=[], region="KR", contact=None, tax_id=None))
    deal.settle()
    (_, proposal) = deal.buyer.life().proposals
    assert [(one.what, one.before, one.after) for one in proposal.differences] == [("deliver to", None, "Lee")]
    deal.buyer.answer("reject", reason="trade")
    assert deal.states() == ("agreed", "due")
    assert deal.seller.life().proposals[-1].answer == "trade"
    assert deal.seller.life().contract.deliver_to is None


def test_without_its_last_line_a_deal_is_cancelled(deal: Deal) -> None:
    with pytest.raises(BadInput, match="no line is left") as error:
        deal.buyer.change(drop=[1, 2])
    assert "market cancel" in (error.value.hint or "")


def test_the_same_change_is_not_proposed_twice(deal: Deal) -> None:
    first = deal.buyer.change(lines=[line(1, "8")])
    again = deal.buyer.change(lines=[line(1, "8")])
    other = deal.buyer.change(lines=[line(1, "7")])
    assert (again.papers, again.created) == (first.papers, False)
    assert other.papers != first.papers
    deal.settle()
    with pytest.raises(WrongState) as error:
        deal.seller.answer("accept")
    assert deal.seller.id(other.papers[0]) in (error.value.hint or "")
    deal.seller.answer("accept", deal.seller.id(other.papers[0]))
    deal.states()
    assert [one.state for one in deal.seller.life().proposals] == ["superseded", "accepted"]
    assert deal.buyer.life().contract.total.amount == "30.90"
    assert [one.state for one in deal.buyer.life().proposals].count("accepted") == 1


def test_an_answer_given_twice_is_given_once_and_never_taken_back(deal: Deal) -> None:
    done = deal.buyer.change(lines=[line(1, "8")])
    proposal = deal.buyer.id(done.papers[0])
    deal.settle()
    assert deal.seller.answer("accept", proposal).created is True
    assert deal.seller.answer("accept", proposal).created is False
    with pytest.raises(WrongState):
        deal.seller.answer("reject", proposal)
    with pytest.raises(WrongState):
        deal.buyer.answer("accept", proposal)
    with pytest.raises(WrongState):
        deal.seller.answer("accept")
    with pytest.raises(NotFound):
        deal.seller.answer("accept", d.document_id(d.QUOTE, deal.seller.row.quote))


def test_a_wish_to_cancel_waits_and_ends_the_deal_when_signed(deal: Deal) -> None:
    first = deal.seller.cancel(reason="stock", refund="all")
    again = deal.seller.cancel(reason="stock", refund="38.40 EUR")
    assert (again.papers, again.created) == (first.papers, False)
    deal.settle()
    assert deal.buyer.shown().turn == "me"
    (proposal,) = deal.buyer.life().proposals
    assert (proposal.kind, proposal.by, proposal.state) == ("cancellation", "other", "open")
    assert proposal.refund is not None
    assert proposal.refund.amount == "38.40"
    deal.buyer.answer("accept", kind=None)
    assert deal.states() == ("cancelled", "none")
    for work in (deal.seller.despatch, deal.buyer.receive, deal.seller.invoice, deal.buyer.cancel):
        with pytest.raises(WrongState):
            work()
    with pytest.raises(WrongState):
        deal.buyer.change(lines=[line(1, "1")])


def test_another_cancellation_is_not_taken_for_the_one_that_waits(deal: Deal) -> None:
    first = deal.buyer.id(deal.buyer.cancel(reason="late").papers[0])
    for other in ({"refund": "20 EUR", "text": "please"}, {"reason": "mistake"}, {"reason": "late", "refund": "all"}):
        with pytest.raises(WrongState, match=f"{first}, with no refund") as error:
            deal.buyer.cancel(**other)
        assert error.value.details == {"proposal": first}
    deal.settle()
    deal.seller.answer("reject")
    deal.settle()
    deal.world.clock.now += 1
    deal.buyer.cancel(refund="20 EUR", text="please")
    deal.settle()
    assert [one.state for one in deal.seller.life().proposals] == ["rejected", "open"]


def test_of_a_deal_that_comes_to_nothing_nothing_is_given_back(deal: Deal) -> None:
    deal.seller.change(total="0 EUR")
    deal.settle()
    deal.buyer.answer("accept")
    deal.settle()
    with pytest.raises(BadInput, match="comes to nothing"):
        deal.buyer.cancel(refund="all")


def test_an_order_that_nobody_answered_is_taken_back(unanswered: Deal) -> None:
    deal = unanswered
    for work in (deal.buyer.change, deal.seller.despatch, deal.seller.invoice):
        with pytest.raises(WrongState):
            work()
    deal.buyer.cancel(reason="mistake")
    deal.settle()
    assert deal.seller.notices() == {"cancellation": "new"}
    deal.seller.answer("accept")
    assert deal.states() == ("cancelled", "none")
    with pytest.raises(WrongState):
        deal.seller.side.run(lambda tx: deal.seller.side.selling.accept(tx, deal.seller.row, None, 0))


def test_an_acceptance_that_crosses_the_wish_stands(unanswered: Deal) -> None:
    deal = unanswered
    deal.buyer.cancel(reason="mistake")
    deal.seller.side.run(lambda tx: deal.seller.side.selling.accept(tx, deal.seller.row, None, deal.world.clock()))
    assert deal.states() == ("agreed", "due")
    assert deal.seller.life().proposals[0].state == "open"
    deal.seller.answer("reject", text="it is packed")
    assert deal.states() == ("agreed", "due")


# Delivery


def test_parcels_until_everything_is_there(deal: Deal) -> None:
    file = NamedFile(name="manual.pdf", size=7, sha256="ab" * 32)
    deal.seller.despatch((1, "4 EA"), (2, None), carrier="Hanjin", expected="3d", parcels=2, files=[file])
    deal.settle()
    (sent,) = deal.buyer.life().despatches
    assert [(one.no, one.quantity.value, one.text) for one in sent.lines] == [(1, "4", "beans"), (2, "40", "mugs")]
    assert (sent.parcels, sent.expected, sent.files[0].sha256) == (2, day_at(deal.world.clock() + 3 * DAY), "ab" * 32)
    assert deal.seller.life().despatches[0].delivery == "delivered"
    assert sent.delivery is None
    assert [one.quantity.value for one in deal.seller.life().unsent] == ["6"]
    done = deal.buyer.receive((2, "3", "damaged"), (2, "1", "refused"), about=sent.id, text="wet")
    deal.settle()
    (came,) = deal.seller.life().receipts
    assert {(one.no, one.quantity.value, one.condition) for one in came.lines} == {
        (1, "4", "full"), (2, "36", "short"), (2, "3", "damaged"), (2, "1", "refused"),
    }  # fmt: skip
    assert (came.despatch, came.received_on, len(done.papers)) == (sent.id, day_at(deal.world.clock()), 1)
    assert [(one.no, one.quantity.value) for one in deal.seller.life().unsent] == [(1, "6"), (2, "1")]
    deal.seller.despatch((1, "6"))
    deal.seller.despatch((2, "1"))
    deal.settle()
    with pytest.raises(WrongState) as error:
        deal.buyer.receive((1, "5", "short"))
    assert "2, 3" in (error.value.hint or "")
    assert len(deal.buyer.receive().papers) == 2
    assert deal.states() == ("delivered", "due")
    with pytest.raises(WrongState):
        deal.buyer.receive()


def test_goods_that_nobody_announced(deal: Deal) -> None:
    deal.buyer.receive((2, "0", "short"), received_on="2026-05-20")
    deal.settle()
    (came,) = deal.seller.life().receipts
    assert (came.despatch, came.received_on) == (None, "2026-05-20")
    assert [one.no for one in deal.seller.life().unsent] == [2]
    deal.buyer.receive()
    assert deal.states() == ("delivered", "due")


def test_received_again_signs_for_nothing_that_was_not_sent(deal: Deal) -> None:
    deal.seller.despatch((1, "4"))
    deal.settle()
    deal.buyer.receive()
    before = deal.buyer.side.dump()
    for fields in ({}, {"text": "all here"}, {"received_on": "2026-05-20"}):
        with pytest.raises(WrongState, match="nothing is on its way") as error:
            deal.buyer.receive(**fields)
        assert "--short 1=QTY" in (error.value.hint or "")
    assert deal.buyer.side.dump() == before
    deal.settle()
    assert deal.states()[0] == "in_delivery"
    assert [(one.no, one.quantity.value) for one in deal.seller.life().unsent] == [(1, "6"), (2, "40")]
    deal.seller.despatch()
    deal.settle()
    deal.buyer.receive()
    assert deal.states()[0] == "delivered"
    with pytest.raises(WrongState, match="everything has been received"):
        deal.buyer.receive()


def test_beside_parcels_only_the_lines_named_came_unannounced(deal: Deal) -> None:
    deal.seller.despatch((1, "4"))
    deal.settle()
    deal.buyer.receive()
    with pytest.raises(BadInput, match="line 3 was not sent"):
        deal.buyer.receive((3, "1", "short"))
    deal.buyer.receive((1, "2", "short"))
    deal.settle()
    came = deal.seller.life().receipts[-1]
    assert (came.despatch, [(one.no, one.quantity.value) for one in came.lines]) == (None, [(1, "2")])
    assert [(one.no, one.quantity.value) for one in deal.seller.life().unsent] == [(1, "4"), (2, "40")]
    deal.buyer.receive((1, "4", "full"), (2, "40", "full"))
    assert deal.states()[0] == "delivered"


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        ([(1, "11")], BadInput),
        ([(1, "0.5")], BadInput),
        ([(1, "2 kg")], BadInput),
        ([(1, "many")], BadInput),
        ([(3, "1")], BadInput),
        ([(1, "1"), (1, "2")], BadInput),
        ([(1, "0")], BadInput),
    ],
)
def test_what_cannot_be_sent(deal: Deal, lines: list[tuple[int, str]], kind: type[MarketError]) -> None:
    with pytest.raises(kind):
        deal.seller.despatch(*lines)
    assert deal.seller.life().despatches == []


def test_a_line_that_does_not_fit_is_named_with_what_is_ordered_and_left(deal: Deal) -> None:
    deal.seller.despatch((1, "4"))
    with pytest.raises(BadInput, match="line 1: 99 pcs are more than the 10 ordered") as error:
        deal.seller.despatch((1, "99"))
    assert "6 are left to send" in (error.value.hint or "")
    with pytest.raises(BadInput, match=r"line 2: 0\.5 pcs is no whole number of pieces"):
        deal.seller.despatch((2, "0.5"))
    deal.seller.despatch((1, "10"))  # what is sent again may exceed what is left


def test_nothing_is_promised_for_a_day_that_is_over(deal: Deal) -> None:
    with pytest.raises(BadInput, match="already past"):
        deal.seller.despatch(expected="2020-01-01")
    with pytest.raises(BadInput, match="already past"):
        deal.seller.invoice(due="2026-05-27")
    with pytest.raises(BadInput, match="already past"):
        deal.seller.change(delivery_latest="2026-05-27")
    parts = [NewInstalment(amount="rest", due="2026-05-27")]
    with pytest.raises(BadInput, match="already past"):
        deal.buyer.change(payment=NewPaymentTerms(instalments=parts))
    assert deal.seller.shown().due_at is None
    deal.seller.despatch(expected="2026-05-28")  # today


def said(deal: Deal, party: Party, step: str, **fields: Any) -> None:
    """A step of a dispute, a second later."""
    deal.wait(1)
    body = NewDispute(step=step, **fields)  # type: ignore[arg-type]
    party.side.run(lambda tx: dispute(tx, party.side.dealing, party.row, body, party.side.clock()))
    deal.settle()


def test_a_deal_goes_on_after_a_dispute_that_was_closed(deal: Deal) -> None:
    """Who opened it has let it go: what was agreed is to be delivered, or ended by both."""
    said(deal, deal.buyer, "open", reason="late")
    said(deal, deal.buyer, "close")
    assert deal.states()[0] == "closed"
    assert (deal.seller.shown().turn, deal.seller.shown().then) == ("me", "the buyer may ask, cancel or dispute")
    deal.seller.despatch((1, None))
    deal.settle()
    assert deal.buyer.notices()["despatch"] == "new"
    assert (deal.buyer.shown().turn, deal.seller.shown().turn) == ("me", "me")
    deal.buyer.receive()
    deal.buyer.cancel()
    deal.settle()
    deal.seller.answer("accept")
    assert deal.states()[0] == "closed"
    assert (deal.buyer.shown().turn, deal.buyer.life().balance.owed.amount) == ("none", "0.00")
    with pytest.raises(WrongState, match="cancelled"):
        deal.seller.despatch()


def test_what_was_promised_to_settle_a_dispute_is_waited_for(deal: Deal) -> None:
    deal.seller.despatch()
    deal.settle()
    deal.buyer.receive((1, "10", "damaged"))
    deal.buyer.pay()
    deal.settle()
    deal.seller.confirm()
    deal.settle()

    said(deal, deal.buyer, "open", reason="damaged")
    assert (deal.buyer.shown().turn, deal.seller.shown().turn) == ("other", "me")
    said(deal, deal.seller, "statement", text="what is broken?")
    assert (deal.buyer.shown().turn, deal.seller.shown().turn) == ("me", "other")
    said(deal, deal.buyer, "proposal", outcome="deliver_again")
    assert (deal.buyer.shown().turn, deal.seller.shown().turn) == ("other", "me")
    said(deal, deal.seller, "accept")
    assert (deal.states()[0], deal.seller.shown().turn) == ("settled", "me")
    deal.wait(1)
    deal.seller.despatch((1, "10"))
    deal.settle()
    assert deal.buyer.notices()["despatch"] == "new"
    assert (deal.buyer.shown().turn, deal.seller.shown().turn) == ("me", "other")
    deal.buyer.receive()
    deal.settle()
    assert (deal.buyer.shown().turn, deal.seller.shown().turn) == ("none", "none")


def test_a_deal_that_was_settled_by_cancelling_it_is_owed_no_more(deal: Deal) -> None:
    deal.buyer.pay(amount="20 EUR")
    deal.settle()
    deal.seller.confirm()
    said(deal, deal.buyer, "open", reason="late")
    said(deal, deal.buyer, "proposal", outcome="cancel", share="100%")
    said(deal, deal.seller, "accept")
    assert deal.states() == ("settled", "confirmed")
    balance = deal.buyer.life().balance
    assert (balance.owed.amount, balance.overpaid.amount, deal.seller.shown().turn) == ("0.00", "20.00", "me")
    deal.seller.refund()
    deal.settle()
    deal.buyer.confirm()
    deal.settle()
    assert (deal.buyer.shown().turn, deal.seller.shown().turn) == ("none", "none")
    with pytest.raises(WrongState, match="nothing is left to be paid"):
        deal.buyer.pay()


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ([(1, "4", "short")], {(1, "4", "short", "10"), (2, "40", "full", "40")}),
        ([(1, "1", "damaged")], {(1, "1", "damaged", "10"), (1, "9", "short", "10"), (2, "40", "full", "40")}),
    ],
)
@pytest.mark.parametrize("announced", [True, False])
def test_a_receipt_says_of_how_much_it_speaks(
    deal: Deal, told: list[tuple[int, str, str]], said: set[tuple[int, str, str, str]], announced: bool
) -> None:
    if announced:
        deal.seller.despatch()
        deal.settle()
    deal.buyer.receive(*told)
    deal.settle()
    (came,) = deal.seller.life().receipts
    assert {(one.no, one.quantity.value, one.condition, one.of.value) for one in came.lines} == said
    missing = [(one.no, one.quantity.value) for one in deal.seller.life().unsent]
    assert missing == ([(1, "6")] if told[0][2] == "short" else [])


def test_what_comes_later_is_measured_by_what_was_missing(deal: Deal) -> None:
    deal.buyer.receive((1, "4", "short"))
    deal.buyer.receive((1, "5", "short"))
    (_, second) = deal.buyer.life().receipts
    assert [(one.quantity.value, one.of.value) for one in second.lines if one.no == 1] == [("5", "6")]


@pytest.mark.parametrize(
    "lines",
    [[(1, "11", "short")], [(1, "6", "damaged"), (1, "5", "refused")], [(3, "1", "short")], [(1, "0", "damaged")]],
)
def test_what_cannot_have_come(deal: Deal, lines: list[tuple[int, str, str]]) -> None:
    deal.seller.despatch()
    deal.settle()
    with pytest.raises(BadInput):
        deal.buyer.receive(*lines)
    with pytest.raises(BadInput):
        deal.buyer.receive(received_on="2026-06-30")
    assert deal.buyer.life().receipts == []


# Money


def test_bills_of_parts_never_come_to_more_than_the_whole(deal: Deal) -> None:
    for much in ("13", "13", "14"):
        deal.seller.despatch((2, much))
    deal.seller.invoice(despatches=["1"], number="2026-1")
    second = deal.seller.invoice(despatches=[deal.seller.life().despatches[1].id])
    third = deal.seller.invoice()  # what was sent and not billed
    deal.seller.despatch()
    deal.seller.invoice()
    deal.settle()
    bills = deal.buyer.life().invoices
    own = deal.buyer.deal[2:8].upper()
    assert {one.number for one in bills} == {"2026-1", f"{own}-1", f"{own}-2", f"{own}-3"}
    assert second.papers != third.papers
    assert sum(Decimal(one.total.amount) for one in bills) == Decimal("38.40")  # the parts would be 38.41
    with pytest.raises(WrongState):
        deal.seller.invoice()
    with pytest.raises(BadInput):
        deal.seller.invoice(despatches=["1"], instalment=1)
    with pytest.raises(WrongState, match=r"what was sent with this despatch is billed by .*-\d already"):
        deal.seller.invoice(despatches=["1", "2", "3"])
    with pytest.raises(NotFound):
        deal.seller.invoice(despatches=["9"])


def test_an_instalment_or_a_parcel_is_billed_once_until_it_is_given_back(deal: Deal) -> None:
    """Billed twice it would leave no room for the others."""
    deal.seller.despatch((2, "20"))
    deal.seller.invoice(despatches=["1"], number="P-1")
    with pytest.raises(WrongState, match="what was sent with this despatch is billed by P-1 already"):
        deal.seller.invoice(despatches=["1"])
    deal.seller.credit(deal.seller.life().invoices[0].id)
    parts = [NewInstalment(amount="50%"), NewInstalment(amount="rest", stage="after_delivery")]
    deal.seller.change(payment=NewPaymentTerms(instalments=parts))
    deal.settle()
    deal.buyer.answer("accept")
    deal.settle()
    first = deal.seller.invoice(number="I-1")
    with pytest.raises(WrongState, match="instalment 1 is billed by I-1 already") as error:
        deal.seller.invoice(instalment=1)
    assert "market credit" in (error.value.hint or "")
    deal.seller.credit(deal.seller.id(first.papers[0]))
    deal.seller.invoice(instalment=1)
    deal.seller.invoice()
    with pytest.raises(WrongState, match="all of it has been billed"):
        deal.seller.invoice()


def test_a_credit_of_lines_names_what_is_left_of_the_bill(deal: Deal) -> None:
    bill = deal.seller.id(deal.seller.invoice().papers[0])
    deal.seller.credit(bill, (1, "9"), amount=None)
    with pytest.raises(BadInput, match=r"these lines come to 25\.00 EUR, and 15\.90 EUR can still be given back"):
        deal.seller.credit(bill, (1, "10"))
    deal.seller.credit(bill, (2, "10"), (1, "1"))


def test_a_discount_larger_than_the_first_parcel_is_told(deal: Deal) -> None:
    deal.buyer.change(charges=[NewCharge(kind="discount", amount="30 EUR")])
    deal.settle()
    deal.seller.answer("accept")
    deal.seller.despatch((1, "1"))
    with pytest.raises(BadInput, match="comes to more than these parcels") as error:
        deal.seller.invoice(despatches=["1"])
    assert "market invoice DEAL" in (error.value.hint or "")


def test_an_older_change_cannot_be_accepted_after_a_newer_one(deal: Deal) -> None:
    older = deal.seller.id(deal.seller.change(charges=[NewCharge(kind="discount", amount="1 EUR")]).papers[0])
    deal.settle()
    deal.buyer.change(charges=[NewCharge(kind="discount", amount="2 EUR")])
    deal.settle()
    deal.seller.answer("accept")
    deal.settle()
    assert deal.buyer.shown().turn == "other"  # nobody waits for his word on the older one
    for step in ("accept", "reject"):
        with pytest.raises(WrongState, match="both have signed change 2 since, which stands instead of change 1"):
            deal.buyer.answer(step, older)
    assert deal.states()[0] == "agreed"
    assert deal.buyer.life().contract.version == 2


def test_a_bill_that_was_given_back_is_made_anew(deal: Deal) -> None:
    deal.seller.invoice(text="wrong date")
    with pytest.raises(WrongState):
        deal.seller.invoice()
    first = deal.seller.life().invoices[0]
    deal.seller.credit(first.id)
    with pytest.raises(WrongState):
        deal.seller.credit(first.id)
    deal.seller.invoice()
    assert deal.states() == ("agreed", "due")
    life = deal.buyer.life()
    assert [one.open.amount for one in life.invoices].count("38.40") == 1
    assert (life.balance.billed.amount, life.balance.owed.amount) == ("38.40", "38.40")
    with pytest.raises(BadInput):
        deal.seller.credit(None, (1, "1"), amount="1 EUR")


def test_what_an_invoice_asks_for_is_what_is_paid(deal: Deal) -> None:
    deal.seller.invoice(due="10d", pay_to=["cash", IBAN])
    deal.settle()
    (bill,) = deal.buyer.life().invoices
    assert (bill.due, bill.methods) == (day_at(deal.world.clock() + 10 * DAY), ["cash", IBAN])
    assert bill.payto == [f"{IBAN}?amount=EUR:38.40&message={bill.number}"]
    assert deal.buyer.shown().due_at == f"{bill.due}T23:59:59Z"
    deal.buyer.pay(bill.id, amount="30 EUR", reference="first")
    deal.seller.credit(bill.id, (1, None), reason="damaged")
    deal.settle()
    assert deal.buyer.life().invoices[0].open.amount == "0.00"
    with pytest.raises(WrongState):
        deal.buyer.pay(bill.id)
    deal.seller.confirm(not_received=True)
    deal.settle()
    assert deal.buyer.life().invoices[0].open.amount == "13.40"
    deal.buyer.pay(invoice=bill.number, proof="tx é")
    deal.settle()
    payment = deal.seller.life().payments[-1]
    assert (payment.amount.amount, payment.invoice, payment.proof) == ("13.40", bill.id, "tx é")
    deal.seller.confirm(payment.id)
    assert deal.states() == ("agreed", "confirmed")
    assert deal.seller.life().invoices[0].paid.amount == "13.40"
    with pytest.raises(BadInput):
        deal.buyer.pay(amount="1 EUR", method="payto://nowhere")
    with pytest.raises(BadInput):
        deal.buyer.pay(amount="1 EUR", proof="é" * 1024)
    with pytest.raises(BadInput):
        deal.buyer.pay(amount="0 EUR")


def test_instalments_come_to_the_total(deal: Deal) -> None:
    wrong = (
        ["50%", "40%"],
        ["100%", "rest"],
        ["rest", "rest"],
        ["0 EUR", "rest"],
        ["40 EUR", "rest"],
    )
    for amounts in wrong:
        with pytest.raises(BadInput):
            deal.seller.change(payment=NewPaymentTerms(instalments=[NewInstalment(amount=one) for one in amounts]))
    parts = [
        NewInstalment(amount="25%"),
        NewInstalment(amount="10 EUR", due="2026-07-01"),
        NewInstalment(amount="rest", stage="after_delivery", days=30),
    ]
    deal.seller.change(payment=NewPaymentTerms(instalments=parts))
    deal.settle()
    deal.buyer.answer("accept")
    deal.settle()
    plan = deal.buyer.life().contract.payment
    assert [one.amount.amount for one in plan.instalments] == ["9.60", "10.00", "18.80"]
    assert (plan.stage, plan.instalments[1].due) == ("instalments", "2026-07-01")
    assert deal.buyer.shown().turn == "me"
    deal.buyer.pay(instalment=1)
    deal.settle()
    deal.seller.confirm()
    deal.settle()
    assert deal.buyer.shown().due_at == "2026-07-01T23:59:59Z"
    # Another total keeps the proportions
    deal.seller.change(lines=[line(1, "20")])
    deal.settle()
    deal.buyer.answer("accept")
    deal.settle()
    plan = deal.seller.life().contract.payment
    assert sum(Decimal(one.amount.amount) for one in plan.instalments) == Decimal("63.40")


def test_terms_of_payment_come_with_the_quote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings: dict[str, Any] = {"payment_stage": "before_delivery", "payment_days": 5, "pay_to": [IBAN, "cash"]}
    deal = ordered(tmp_path, monkeypatch, **settings)
    assert deal.states() == ("agreed", "due")
    assert deal.buyer.life().contract.payment.methods == [IBAN, "cash"]
    ours, theirs = deal.buyer.shown(), deal.seller.shown()
    assert (ours.turn, theirs.turn) == ("me", "me")  # one pays, the other may send
    assert ours.due_at == instant_text(deal.world.clock() + 5 * DAY)
    done = deal.buyer.pay()
    assert links([IBAN, "cash"], "38.40", "EUR", "x") == [f"{IBAN}?amount=EUR:38.40&message=x"]
    assert deal.buyer.id(done.papers[0]).startswith("p-")
    deal.world.close()


def test_money_back_after_a_cancellation(deal: Deal) -> None:
    deal.buyer.pay()
    deal.settle()
    deal.seller.confirm()
    deal.settle()
    deal.buyer.cancel(refund="30 EUR")
    deal.settle()
    deal.seller.answer("accept")
    deal.settle()
    assert deal.states() == ("cancelled", "confirmed")
    assert (deal.seller.shown().turn, deal.seller.life().balance.overpaid.amount) == ("me", "30.00")
    deal.seller.refund()
    deal.settle()
    assert deal.buyer.notices()["payment"] == "new"
    assert deal.states() == ("cancelled", "refund_due")
    deal.buyer.confirm()
    assert deal.states() == ("cancelled", "refunded")
    assert deal.seller.shown().turn == "none"
    with pytest.raises(WrongState):
        deal.buyer.confirm()


def test_a_cancellation_gives_back_no_more_than_the_deal_comes_to(deal: Deal) -> None:
    with pytest.raises(BadInput, match=r"38\.41 EUR is more than the deal comes to: 38\.40 EUR") as error:
        deal.buyer.cancel(refund="38.41 EUR")
    assert error.value.hint == "Name at most 38.40 EUR"
    assert deal.buyer.life().proposals == []
    deal.buyer.cancel(refund="38.40 EUR")


# What is shown


def test_without_objection_a_deal_is_shown_as_completed_and_binds_as_before(deal: Deal) -> None:
    deal.seller.despatch()
    deal.settle()
    deal.wait(limits.COMPLETE_SECONDS + DAY)
    assert deal.states() == ("in_delivery", "due")  # nothing was paid
    deal.buyer.pay()
    assert deal.states() == ("completed", "advised")
    assert deal.buyer.row.stage == "in_delivery"
    deal.buyer.receive()  # he still may
    assert deal.states() == ("delivered", "advised")
    deal.wait(limits.COMPLETE_SECONDS - 1)
    assert deal.states() == ("delivered", "advised")
    deal.wait(1)
    assert deal.states() == ("completed", "advised")
    deal.seller.confirm(not_received=True)
    assert deal.states() == ("delivered", "due")


def test_notices_come_and_are_answered_by_what_they_ask_for(deal: Deal) -> None:
    deal.seller.despatch()
    deal.seller.invoice()
    deal.buyer.change(lines=[line(1, "9")])
    deal.settle()
    assert deal.buyer.notices() == {"despatch": "new", "invoice": "new"}
    assert deal.seller.notices() == {"change": "new"}
    deal.seller.answer("reject")
    deal.buyer.receive()
    deal.buyer.pay()
    deal.settle()
    assert deal.buyer.notices() == {"change": "new"}  # the answer, which asks for nothing
    assert deal.seller.notices() == {"receipt": "new", "payment": "new"}
    deal.seller.confirm()
    deal.settle()
    assert deal.seller.notices() == {"receipt": "new"}
    assert deal.states() == ("completed", "confirmed")


def test_both_files_are_the_same_and_prove_the_deal(deal: Deal) -> None:
    deal.seller.despatch()
    deal.seller.invoice()
    deal.settle()
    deal.buyer.receive()
    deal.buyer.pay()
    deal.settle()
    deal.seller.confirm()
    deal.settle()
    assert deal.buyer.export() == deal.seller.export()
    verdict = verify_bundle(deal.buyer.export())
    assert verdict.ok, verdict.problems


def test_every_paper_again_changes_nothing(deal: Deal) -> None:
    deal.seller.despatch()
    deal.seller.invoice()
    deal.buyer.change(lines=[line(1, "9")])
    deal.settle()
    deal.buyer.receive()
    deal.seller.answer("accept")
    deal.settle()
    for one, other in ((deal.buyer.side, deal.seller.side), (deal.seller.side, deal.buyer.side)):
        back = deal.world.buyer.link(deal.request, deal.world.seller)
        link = back if one is deal.world.seller else (back[1], back[0])
        kept = one.run(lambda tx: tx.documents.of_thread(deal.request.hash))
        mine = [row for row in kept if row.ours and row.kind >= 10]
        before = other.dump()
        from market_world import wrapped

        opened = [d.Opened(r.kind, r.signer, r.recipient, r.hash, one.reader.of_row(r), r.envelope) for r in mine]
        taken = other.take(
            [wrapped(paper) for paper in opened], (link[1], link[0]) if one is deal.world.buyer else link
        )
        assert refusals(taken) == [None] * len(mine)
        assert other.dump() == before


def test_days_as_people_write_them() -> None:
    wall = 1_780_000_000  # 2026-05-28, a Thursday
    assert day_of("2026-12-01", wall, 0) == "2026-12-01"
    assert day_of("2020-01-01", wall, 0) == "2020-01-01"
    assert day_of("10d", wall, 0) == "2026-06-07"
    assert day_of("fri", wall, 0) == "2026-05-29"
    assert day_of("tomorrow", wall, 9 * 3600) == "2026-05-30"
    with pytest.raises(BadInput):
        day_of("soon", wall, 0)
