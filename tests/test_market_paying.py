"""What is paid by deal and by invoice, between two real ledgers: nothing twice, the links, and which one is meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fulfil_world import Deal, ordered
from market_world import settle

from p2pmarket.api.types.bodies import NewInstalment, NewOrderLine, NewPaymentTerms, NewQuote, NewQuoteLine
from p2pmarket.errors import BadInput, WrongState
from p2pmarket.market.deal_papers import Done
from p2pmarket.market.ways_to_pay import Ways, ways_of
from p2pmarket.trade import documents as d

IBAN = "payto://iban/DE75512108001245126199"
OTHER = "payto://iban/GB29NWBK60161331926819"
TOTAL = "38.40 EUR"


def billed(deal: Deal, **fields: Any) -> str:
    """The id of a bill that both have."""
    done = deal.seller.invoice(**fields)
    deal.settle()
    return deal.seller.id(done.papers[0])


def told(deal: Deal) -> tuple[list[str], list[str], list[str], str]:
    """What both sides say of the bills: paid, open; advised and owed of the deal."""
    deal.settle()
    ours, theirs = deal.buyer.life(), deal.seller.life()
    for part in ("invoices", "payments", "balance"):
        assert mutual(getattr(ours, part)) == mutual(getattr(theirs, part))
    paid, left = ([getattr(one, name).amount for one in ours.invoices] for name in ("paid", "open"))
    return paid, left, [ours.balance.advised.amount, ours.balance.paid.amount], ours.balance.owed.amount


def mutual(part: Any) -> Any:
    """A part without what only its maker sees."""
    if isinstance(part, list):
        return [mutual(one) for one in part]
    if hasattr(part, "__struct_fields__"):
        names = [name for name in part.__struct_fields__ if name not in {"delivery", "by"}]
        return {name: mutual(getattr(part, name)) for name in names}
    return part


def ways(deal: Deal, done: Done) -> Ways:
    side, row = deal.buyer.side, deal.buyer.row
    thread = side.run(lambda tx: side.dealing.deal_thread(tx, row))
    payment = thread.documents[done.papers[0]].document
    assert isinstance(payment, d.Payment)
    return ways_of(thread, row.hash, payment)


def deposit_paid(deal: Deal) -> None:
    """The deal is to be paid in two parts, and the buyer says that he has paid the first."""
    parts = [NewInstalment(amount="10 EUR"), NewInstalment(amount="rest", stage="after_delivery")]
    deal.seller.change(payment=NewPaymentTerms(instalments=parts))
    deal.settle()
    deal.buyer.answer("accept")
    deal.settle()
    deal.buyer.pay(instalment=1)
    deal.settle()


# Nothing twice


def test_what_was_paid_by_deal_is_not_asked_for_by_invoice(deal: Deal) -> None:
    bill = billed(deal)
    deal.buyer.pay()
    assert told(deal) == (["0.00"], ["0.00"], ["38.40", "0.00"], "38.40")
    for about, amount in ((None, None), (bill, None), (bill, TOTAL)):
        with pytest.raises(WrongState) as error:
            deal.buyer.pay(about, amount=amount)
        assert "38.40 EUR is advised and waits for the seller's word" in (error.value.hint or "")
    deal.seller.confirm()
    assert told(deal) == (["38.40"], ["0.00"], ["0.00", "38.40"], "0.00")
    with pytest.raises(WrongState):
        deal.buyer.pay(bill)


def test_what_was_paid_by_invoice_is_not_asked_for_by_deal(deal: Deal) -> None:
    bill = billed(deal)
    deal.buyer.pay(bill, amount="30 EUR")
    deal.buyer.pay()
    assert [one.amount.amount for one in deal.buyer.life().payments] == ["30.00", "8.40"]
    assert told(deal) == (["0.00"], ["0.00"], ["38.40", "0.00"], "38.40")


def test_a_bill_asks_for_no_more_than_is_left_of_the_deal(deal: Deal) -> None:
    bill = billed(deal, pay_to=[IBAN])
    deal.seller.confirm(amount="28.40 EUR", method="cash")
    deal.settle()
    (shown,) = deal.buyer.life().invoices
    assert (shown.open.amount, shown.payto) == ("10.00", [f"{IBAN}?amount=EUR:10.00&message={shown.number}"])
    assert ways(deal, deal.buyer.pay(bill)).payto == shown.payto


def test_a_deal_that_was_paid_and_received_leaves_no_bill_open(deal: Deal) -> None:
    bill = billed(deal)
    deal.seller.despatch()
    deal.buyer.pay()
    deal.settle()
    deal.buyer.receive()
    deal.seller.confirm()
    assert deal.states() == ("completed", "confirmed")
    assert told(deal) == (["38.40"], ["0.00"], ["0.00", "38.40"], "0.00")
    for about in (bill, None):
        with pytest.raises(WrongState, match="this deal is completed: all of it is paid, nothing is left"):
            deal.buyer.pay(about)
    with pytest.raises(WrongState, match="completed") as error:
        deal.seller.despatch()
    assert "refund" in (error.value.hint or "")


def test_an_instalment_is_paid_once(deal: Deal) -> None:
    deposit_paid(deal)
    with pytest.raises(WrongState, match="nothing is left to be paid of instalment 1"):
        deal.buyer.pay(instalment=1)
    with pytest.raises(BadInput, match=r"11\.00 EUR is more than instalment 1 comes to, which is 10\.00 EUR"):
        deal.buyer.pay(instalment=1, amount="11 EUR")
    billed(deal, instalment=1)
    with pytest.raises(WrongState):
        deal.buyer.pay(instalment=1)
    billed(deal, instalment=2)
    deal.buyer.pay(amount="8.40 EUR")
    assert told(deal)[1] == ["0.00", "20.00"]
    deal.buyer.pay(instalment=2)
    assert deal.buyer.life().payments[-1].amount.amount == "20.00"
    assert told(deal)[1] == ["0.00", "0.00"]


# More than is owed


def test_more_than_is_left_needs_a_word_of_its_own(deal: Deal) -> None:
    bill = billed(deal)
    deal.buyer.pay(amount="30 EUR")
    deal.settle()
    for about in (bill, None):
        with pytest.raises(WrongState, match=r"10\.00 EUR is more than is owed: .* 8\.40 EUR is left") as error:
            deal.buyer.pay(about, amount="10 EUR")
        assert "--anyway" in (error.value.hint or "")
    deal.buyer.pay(amount="10 EUR", anyway=True)
    deal.settle()
    deal.seller.confirm(deal.seller.life().payments[0].id)
    deal.seller.confirm()
    deal.settle()
    assert told(deal)[0] == ["38.40"]  # what is over counts to the deal alone, until it goes back
    assert deal.buyer.life().balance.overpaid.amount == "1.60"


def test_what_the_other_side_would_not_take_is_said_in_plain_words(deal: Deal) -> None:
    bill = billed(deal)
    left = r"1000\.00 EUR is more than .* comes to, which is 38\.40 EUR; 38\.40 EUR is left to be paid"
    for about in (bill, None):
        with pytest.raises(BadInput, match=left):
            deal.buyer.pay(about, amount="1000 EUR", anyway=True)
    with pytest.raises(BadInput, match=r"500\.00 EUR is more than the deal comes to: 38\.40 EUR"):
        deal.seller.confirm(amount="500 EUR")
    deal.buyer.pay()
    deal.settle()
    with pytest.raises(BadInput, match=r"this payment is of 38\.40 EUR") as error:
        deal.seller.confirm(amount="38 EUR")
    assert "--not-received" in (error.value.hint or "")
    deal.seller.confirm(amount=TOTAL)
    deal.seller.credit(bill, amount="8 EUR")
    with pytest.raises(BadInput, match=r"31\.00 EUR is more than what can still be given back: 30\.40 EUR"):
        deal.seller.credit(bill, amount="31 EUR")
    with pytest.raises(BadInput, match=r"500\.00 EUR is more than this payment was: 38\.40 EUR"):
        deal.seller.refund(amount="500 EUR")
    assert deal.seller.life().payments[0].state == "confirmed"


# The links


def test_paying_by_deal_shows_the_links_of_the_bills_it_counts_to(deal: Deal) -> None:
    deal.seller.despatch((1, "4"))
    first = billed(deal, despatches=["1"], pay_to=[IBAN], number="R-1")
    made = ways(deal, deal.buyer.pay(amount="4 EUR", reference="PO"))
    assert made.payto == [f"{IBAN}?amount=EUR:4.00&message=PO"]
    deal.seller.despatch()
    second = billed(deal, despatches=["2"], pay_to=["cash", OTHER], number="R-2")
    made = ways(deal, deal.buyer.pay())
    assert [(one.invoice, one.number, one.amount.amount) for one in made.shares] == [
        (first, "R-1", "6.00"),
        (second, "R-2", "28.40"),
    ]
    assert made.payto == [f"{IBAN}?amount=EUR:6.00&message=R-1", f"{OTHER}?amount=EUR:28.40&message=R-2"]
    assert made.methods == [IBAN, "cash", OTHER]


def test_what_is_not_billed_yet_is_paid_to_the_same_account(deal: Deal) -> None:
    assert ways(deal, deal.buyer.pay(amount="1 EUR")) == Ways([], [], [])
    deal.seller.despatch((1, "4"))
    billed(deal, despatches=["1"], pay_to=[IBAN], number="R-1")
    made = ways(deal, deal.buyer.pay())
    assert made.payto == [f"{IBAN}?amount=EUR:9.00&message=R-1", f"{IBAN}?amount=EUR:28.40&message={deal.buyer.deal}"]
    assert made.methods == [IBAN]


def test_the_way_the_payer_names_and_that_of_the_contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deal = ordered(tmp_path, monkeypatch, pay_to=[IBAN])
    made = ways(deal, deal.buyer.pay(amount="8.40 EUR"))
    assert made.payto == [f"{IBAN}?amount=EUR:8.40&message={deal.buyer.deal}"]
    made = ways(deal, deal.buyer.pay(amount="10 EUR", method="cash"))
    assert (made.payto, made.methods) == ([], ["cash"])
    made = ways(deal, deal.buyer.pay(method=OTHER))
    assert made.payto == [f"{OTHER}?amount=EUR:20.00&message={deal.buyer.deal}"]
    deal.world.close()


# Which one is meant


def test_of_two_payments_that_wait_one_is_named(deal: Deal) -> None:
    deal.buyer.pay(amount="30 EUR")
    deal.buyer.pay()
    deal.settle()
    first, second = (one.id for one in deal.seller.life().payments)
    for fields in ({}, {"not_received": True}, {"method": "cash"}):
        with pytest.raises(WrongState, match="more than one payment waits for your word") as error:
            deal.seller.confirm(**fields)
        assert f"{first} (30.00 EUR), {second} (8.40 EUR)" in (error.value.hint or "")
    deal.seller.confirm(second, not_received=True)
    deal.seller.confirm()
    deal.settle()
    assert [one.state for one in deal.buyer.life().payments] == ["confirmed", "due"]
    deal.buyer.pay()
    deal.settle()
    deal.seller.confirm()
    for about in (first, deal.seller.life().payments[-1].id):
        deal.seller.refund(about)
    deal.settle()
    with pytest.raises(WrongState, match="more than one payment waits"):
        deal.buyer.confirm()
    deal.buyer.confirm(first)
    deal.buyer.confirm()
    assert deal.states() == ("agreed", "refunded")


def test_an_instalment_paid_before_it_is_billed_pays_for_no_other(deal: Deal) -> None:
    deposit_paid(deal)
    deal.seller.confirm()
    billed(deal, instalment=2)
    assert told(deal) == (["0.00"], ["28.40"], ["0.00", "10.00"], "28.40")
    deal.buyer.pay(instalment=2)
    assert told(deal)[2] == ["28.40", "10.00"]


def test_what_was_paid_too_much_goes_back_once(deal: Deal) -> None:
    for amount in ("20 EUR", None):
        deal.buyer.pay(amount=amount)
        deal.settle()
        deal.seller.confirm()
        deal.settle()
    deal.seller.credit(amount="5 EUR")
    deal.settle()
    deal.seller.refund()
    with pytest.raises(WrongState, match="not on its way back") as error:
        deal.seller.refund()
    assert error.value.details == {"under_way": "5.00 EUR"}
    deal.settle()
    deal.buyer.confirm()
    deal.settle()
    with pytest.raises(WrongState, match="not on its way back"):
        deal.seller.refund()
    assert [(one.no, one.state) for one in deal.seller.life().payments] == [(1, "confirmed"), (2, "refunded")]
    assert deal.seller.life().balance.overpaid.amount == "0.00"


# Before the order


def test_who_orders_sees_the_instalments_before(deal: Deal) -> None:
    world, buyer, seller = deal.world, deal.world.buyer, deal.world.seller
    request = buyer.request("3 chairs", sellers=[seller])
    settle(buyer, seller, request)
    got = seller.run(lambda tx: tx.requests.get(request.hash))
    assert got is not None
    parts = [NewInstalment(amount="30%"), NewInstalment(amount="rest", stage="after_delivery", days=14)]
    payment = NewPaymentTerms(instalments=parts, methods=[IBAN])
    body = NewQuote(lines=[NewQuoteLine(no=1, price="40 EUR")], payment=payment, divisible=True)
    seller.run(lambda tx: seller.selling.quote(tx, got, body, world.clock()))
    settle(buyer, seller, request)
    (quote,) = buyer.quotes(request)
    shown = buyer.run(lambda tx: deal.buyer.views.quote(tx, quote))
    told = [(part.amount.amount, part.stage, part.days) for part in shown.payment.instalments]
    assert told == [("36.00", "before_delivery", None), ("84.00", "after_delivery", 14)]
    assert shown.payment_terms == f"1: 36.00 EUR before delivery; 2: 84.00 EUR after delivery +14 days; {IBAN}"
    order = buyer.order(quote, NewOrderLine(no=1, quantity="1"))
    plan = buyer.run(lambda tx: deal.buyer.views.order(tx, order)).payment
    assert [part.amount.amount for part in plan.instalments] == ["12.00", "28.00"]  # of a third


def test_a_change_of_instalments_is_told(deal: Deal) -> None:
    parts = [NewInstalment(amount="10 EUR"), NewInstalment(amount="rest", stage="after_delivery")]
    done = deal.seller.change(payment=NewPaymentTerms(instalments=parts))
    deal.settle()
    (proposal,) = deal.buyer.life().proposals
    told = {one.what: one.after for one in proposal.differences}
    assert told == {"payment": "1: 10.00 EUR before delivery; 2: 28.40 EUR after delivery"}
    assert done.created
