"""Who must act, until when, and what follows: read from signed fields."""

from __future__ import annotations

import msgspec
import pytest
from deal_world import (
    LATER,
    agreed_trade,
    changed_terms,
    credit_sheet,
    lines_of,
    parts_trade,
    quarrel,
    received,
    whole_trade,
)
from trade_world import BUYER, DAY, SELLER, WALL, a_sheet, asked, changed, moment, some_terms

from p2pmarket.limits import COMPLETE_SECONDS
from p2pmarket.trade.agreeing import make_dispute, propose_change
from p2pmarket.trade.billing import advise_payment, answer_payment, confirm_cash, make_credit, make_invoice
from p2pmarket.trade.fulfilling import make_despatch, make_receipt
from p2pmarket.trade.thread import Duty, Thread, completes_at, duties, duties_of
from p2pmarket.trade.values import Delivery, Instalment, PaymentTerms, Stage


def found(thread: Thread, machine: str) -> list[tuple[str, str, int | None]]:
    return [(duty.state, duty.who, duty.until) for duty in duties(thread) if duty.machine == machine]


def test_duties_before_agreement() -> None:
    world = asked()
    assert found(world.thread, "answer") == [("waiting", "seller", WALL + DAY)]
    quoted = world.quoted()
    assert found(quoted.thread, "answer") == []
    assert found(quoted.thread, "quote") == [("open", "buyer", WALL + 3 * DAY)]
    ordered = quoted.ordered()
    assert found(ordered.thread, "deal") == [("ordered", "seller", WALL + 2 * DAY)]
    second = ordered.quoted(text="less", valid_until=WALL + 9 * DAY)
    assert second.quote
    amended = second.answered("CA", quote=second.quote.hash)
    assert found(amended.thread, "deal") == [("amended", "buyer", WALL + 9 * DAY)]
    assert found(amended.thread, "payment") == []
    assert duties(ordered.answered("RE").thread) == ()


@pytest.mark.parametrize(
    ("delivery", "until"),
    [
        (None, None),
        (Delivery(days=3), WALL + 180 + 3 * DAY),
        (Delivery(latest="2026-06-30"), 1_782_863_999),
        (Delivery(latest="2026-02-31"), None),
        (Delivery(), None),
    ],
)
def test_delivery_is_due_when_the_terms_say(delivery: Delivery | None, until: int | None) -> None:
    terms = msgspec.structs.replace(some_terms(), delivery=delivery)
    world = asked().quoted(terms=terms).ordered().answered()
    assert found(world.thread, "deal") == [("agreed", "seller", until)]


def test_payment_is_due_by_the_invoice_or_the_terms() -> None:
    world = asked().quoted().ordered().answered()
    assert world.order
    deal = world.order.hash
    assert found(world.thread, "payment") == []  # after delivery, say the terms
    receipt = make_receipt(world.thread, BUYER, moment(LATER), deal)
    assert found(world.thread.adding(receipt), "payment") == [("due", "buyer", LATER + 14 * DAY)]
    some = make_receipt(world.thread, BUYER, moment(LATER), deal, received((1, "20", "full")))
    assert found(world.thread.adding(some), "payment") == []
    bill = make_invoice(world.thread, SELLER, moment(LATER), deal, "1", date="2026-06-01", due="2026-06-30")
    assert found(world.thread.adding(bill), "payment") == [("due", "buyer", 1_782_863_999)]
    forged = changed(bill, BUYER, due="2026-07-30")
    assert found(world.thread.adding(forged), "payment") == []
    open_ended = make_invoice(world.thread, SELLER, moment(LATER), deal, "1", date="2026-06-01")
    assert found(world.thread.adding(open_ended), "payment") == [("due", "buyer", None)]
    assert found(world.thread.adding(open_ended).adding(receipt), "payment") == [("due", "buyer", LATER + 14 * DAY)]


@pytest.mark.parametrize(
    ("stage", "days", "agreed", "partly", "delivered"),
    [
        ("before_order", None, None, None, None),
        ("before_delivery", 2, WALL + 180 + 2 * DAY, WALL + 180 + 2 * DAY, WALL + 180 + 2 * DAY),
        ("on_delivery", 0, "later", LATER, LATER),
        ("after_delivery", None, "later", "later", None),
        (None, 7, "later", "later", LATER + 7 * DAY),
    ],
)
def test_payment_waits_for_its_stage(
    stage: Stage | None, days: int | None, agreed: object, partly: object, delivered: object
) -> None:
    terms = msgspec.structs.replace(some_terms(), payment=PaymentTerms(stage=stage, days=days))
    world = asked().quoted(terms=terms).ordered().answered()
    assert world.order
    deal = world.order.hash
    some = make_receipt(world.thread, BUYER, moment(LATER), deal, received((1, "20", "full")))
    whole = make_receipt(world.thread, BUYER, moment(LATER), deal)
    for thread, until in (
        (world.thread, agreed),
        (world.thread.adding(some), partly),
        (world.thread.adding(whole), delivered),
    ):
        assert found(thread, "payment") == ([] if until == "later" else [("due", "buyer", until)])


def test_instalments_are_due_one_by_one() -> None:
    made = agreed_trade()  # 1000 before delivery, the rest 14 days after
    assert found(made.thread, "payment") == [("due", "buyer", None)]
    made.add("first", advise_payment(made.thread, BUYER, moment(LATER), made.deal, 1000, instalment=1))
    assert found(made.thread, "payment") == [("advised", "seller", None)]
    advice = made.papers["first"].hash
    no = made.thread.adding(answer_payment(made.thread, SELLER, moment(LATER), advice, "not_received"))
    assert found(no, "payment") == [("due", "buyer", None)]
    made.add("yes", answer_payment(made.thread, SELLER, moment(LATER), advice, "confirmed"))
    assert found(made.thread, "payment") == []
    made.add("receipt", make_receipt(made.thread, BUYER, moment(LATER), made.deal))
    assert found(made.thread, "payment") == [("due", "buyer", LATER + 14 * DAY)]


def test_a_part_due_on_a_day_is_due_then() -> None:
    total = a_sheet().total
    parts = (
        Instalment(amount=total - 100, stage="after_delivery", due="2026-06-30"),
        Instalment(amount=100, stage="before_delivery", days=1),
    )
    terms = msgspec.structs.replace(some_terms(), payment=PaymentTerms(stage="instalments", instalments=parts))
    world = asked().quoted(terms=terms).ordered().answered()
    assert world.order
    assert found(world.thread, "payment") == [("due", "buyer", WALL + 180 + DAY)]
    paid = advise_payment(world.thread, BUYER, moment(LATER), world.order.hash, 100, instalment=2)
    yes = answer_payment(world.thread.adding(paid), SELLER, moment(LATER), paid.hash, "confirmed")
    assert found(world.thread.adding(paid).adding(yes), "payment") == [("due", "buyer", 1_782_863_999)]


def test_while_goods_are_under_way_both_may_have_to_act() -> None:
    made = agreed_trade()
    until = WALL + 180 + 3 * DAY
    part = make_despatch(made.thread, SELLER, moment(LATER), made.deal, lines_of((1, "20")), expected="2026-06-30")
    made.add("part", part)
    assert found(made.thread, "deal") == [("in_delivery", "seller", until), ("in_delivery", "buyer", 1_782_863_999)]
    made.add("rest", make_despatch(made.thread, SELLER, moment(LATER), made.deal))
    assert found(made.thread, "deal") == [("in_delivery", "buyer", 1_782_863_999), ("in_delivery", "buyer", until)]
    made.add("came", make_receipt(made.thread, BUYER, moment(LATER), made.deal, despatch=part.hash))
    assert found(made.thread, "deal") == [("in_delivery", "buyer", until)]


def test_money_paid_too_much_is_the_sellers_to_send_back() -> None:
    made = agreed_trade()
    got = made.add("cash", confirm_cash(made.thread, SELLER, moment(LATER), made.deal))
    assert found(made.thread, "payment") == []
    made.add("less", make_credit(made.thread, SELLER, moment(LATER), made.deal, "C", sheet=credit_sheet(), date="2026-06-01"))  # fmt: skip # noqa: E501
    assert found(made.thread, "payment") == [("overpaid", "seller", None)]
    due = made.add("due", answer_payment(made.thread, SELLER, moment(LATER), got.hash, "refund_due", 200))
    assert found(made.thread, "payment") == [("refund_due", "seller", None)]
    made.add("back", answer_payment(made.thread, BUYER, moment(LATER), due.hash, "refunded"))
    assert [duty for duty in duties_of(made.thread, made.deal) if duty.machine == "payment"] != []  # 38 cents of tax


def test_when_a_deal_counts_as_completed() -> None:
    made = agreed_trade()
    advice = made.add("paid", advise_payment(made.thread, BUYER, moment(LATER), made.deal))
    assert completes_at(made.thread, made.deal) is None  # nothing has left
    made.add("part", make_despatch(made.thread, SELLER, moment(LATER), made.deal, lines_of((1, "20"))))
    assert completes_at(made.thread, made.deal) is None
    made.add("rest", make_despatch(made.thread, SELLER, moment(LATER + 5), made.deal))
    assert completes_at(made.thread, made.deal) == LATER + 5 + COMPLETE_SECONDS
    expected = make_despatch(made.without("rest"), SELLER, moment(LATER), made.deal, expected="2026-06-30")
    assert completes_at(made.without("rest").adding(expected), made.deal) == 1_782_863_999 + COMPLETE_SECONDS
    wish = propose_change(made.thread, BUYER, moment(LATER), made.deal, sheet=a_sheet(), terms=changed_terms())
    assert completes_at(made.thread.adding(wish), made.deal) is None
    no = answer_payment(made.thread, SELLER, moment(LATER), advice.hash, "not_received")
    assert completes_at(made.thread.adding(no), made.deal) is None  # something is owed
    quarrel_ = make_dispute(made.thread, BUYER, moment(LATER), made.deal, "open", reason="late")
    assert completes_at(made.thread.adding(quarrel_), made.deal) is None
    made.add("came", make_receipt(made.thread, BUYER, moment(LATER + 9), made.deal))
    assert completes_at(made.thread, made.deal) == LATER + 9 + COMPLETE_SECONDS
    done = parts_trade()
    assert completes_at(done.thread, done.deal) is None  # it is


def test_a_proposal_waits_for_the_other_side() -> None:
    made = agreed_trade()
    change = propose_change(made.thread, BUYER, moment(LATER), made.deal, sheet=a_sheet(), terms=changed_terms())
    assert Duty("proposal", "proposed", change.hash, "seller", None, "nothing changes") in duties(
        made.thread.adding(change)
    )


def test_nothing_is_expected_once_all_is_done() -> None:
    assert duties(whole_trade().thread) == ()
    left = [(duty.machine, duty.state, duty.who) for duty in duties(quarrel().thread)]
    # Nothing had left, and the price was cut by what both had paid and confirmed
    assert left == [("deal", "settled", "seller"), ("payment", "overpaid", "seller")]
