"""Who must act, until when, and what follows: read from signed fields."""

from __future__ import annotations

import msgspec
import pytest
from deal_world import LATER, agreed_trade, changed_terms, quarrel, whole_trade
from trade_world import BUYER, DAY, SELLER, WALL, a_sheet, asked, moment, some_terms

from p2pmarket.trade.agreeing import propose_change
from p2pmarket.trade.billing import make_invoice
from p2pmarket.trade.fulfilling import make_receipt
from p2pmarket.trade.thread import Duty, Thread, duties
from p2pmarket.trade.values import Delivery


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
    assert found(world.thread, "payment") == [("due", "buyer", None)]  # it has not been delivered
    receipt = make_receipt(world.thread, BUYER, moment(LATER), deal)
    assert found(world.thread.adding(receipt), "payment") == [("due", "buyer", LATER + 14 * DAY)]
    bill = make_invoice(world.thread, SELLER, moment(LATER), deal, "1", date="2026-06-01", due="2026-06-30")
    assert found(world.thread.adding(bill), "payment") == [("due", "buyer", 1_782_863_999)]
    early = msgspec.structs.replace(some_terms().payment, stage="before_delivery")  # type: ignore[type-var]
    prepaid = asked().quoted(terms=msgspec.structs.replace(some_terms(), payment=early)).ordered().answered()
    assert found(prepaid.thread, "payment") == [("due", "buyer", WALL + 180 + 14 * DAY)]


def test_a_proposal_waits_for_the_other_side() -> None:
    made = agreed_trade()
    change = propose_change(made.thread, BUYER, moment(LATER), made.deal, sheet=a_sheet(), terms=changed_terms())
    assert Duty("proposal", "proposed", change.hash, "seller", None, "nothing changes") in duties(
        made.thread.adding(change)
    )


def test_nothing_is_expected_once_all_is_done() -> None:
    assert duties(whole_trade().thread) == ()
    assert duties(quarrel().thread) == ()
