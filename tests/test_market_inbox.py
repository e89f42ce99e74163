"""The inbox of both sides of a deal: whose turn it is, in which order things stand, and what was looked at."""

from __future__ import annotations

from typing import Any

import pytest
from fulfil_world import BEANS, MUGS, Deal, Party
from market_world import row, settle

from p2pmarket.api import types as t
from p2pmarket.api.types import bodies as b
from p2pmarket.api.types import bodies_quarrel
from p2pmarket.config import Quoting
from p2pmarket.limits import DAY, HOUR
from p2pmarket.market import inbox, quarrel
from p2pmarket.market.inbox import count_new, inbox_item, inbox_state, waiting
from p2pmarket.vocab.deadlines import instant_text


@pytest.fixture(autouse=True)
def _one_clock(deal: Deal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "wall", deal.world.clock)


def items(party: Party) -> list[t.InboxItem]:
    """The inbox of one side, as a list of the API."""

    def work(tx: Any) -> list[t.InboxItem]:
        found = waiting(party.views, tx, answered=False)
        return [inbox_item(party.views, tx, one) for one in found if inbox_state(one) != "answered"]

    return party.side.run(work)


def turn_in(party: Party) -> t.InboxItem | None:
    return next((item for item in items(party) if item.kind == "deal"), None)


def kinds(party: Party) -> list[str]:
    return [item.kind for item in items(party)]


def dispute(party: Party, **fields: Any) -> None:
    body = bodies_quarrel.NewDispute(**fields)
    side = party.side
    side.run(lambda tx: quarrel.dispute(tx, side.dealing, row(side), body, side.clock()))


def test_an_order_that_was_accepted_by_itself_waits_for_its_despatch(deal: Deal) -> None:
    item = turn_in(deal.seller)
    assert item is not None
    assert (item.id, item.state, item.actions) == (deal.seller.deal, "new", ["despatch", "note", "dispute"])
    assert item.title == "beans and 1 more"
    assert deal.seller.side.run(lambda tx: count_new(deal.seller.views, tx)) == 1
    deal.seller.despatch((1, None))
    assert turn_in(deal.seller) is not None
    deal.seller.despatch()
    assert turn_in(deal.seller) is None


def test_the_deal_says_until_when(deal: Deal) -> None:
    deal.seller.change(delivery_latest="2026-06-30")
    deal.settle()
    deal.buyer.answer("accept")
    deal.settle()
    item = turn_in(deal.seller)
    assert item is not None
    assert item.act_by == deal.seller.shown().due_at is not None


def test_what_a_paper_asks_for_is_not_asked_twice(deal: Deal) -> None:
    deal.seller.despatch()
    deal.seller.invoice()
    deal.settle()
    assert sorted(kinds(deal.buyer)) == ["despatch", "invoice"]
    deal.buyer.change(lines=[], delivery_days=9)
    deal.settle()
    assert kinds(deal.seller) == ["change"]
    deal.buyer.receive()
    deal.buyer.pay()
    deal.settle()
    assert kinds(deal.buyer) == []


def test_a_payment_that_the_terms_ask_for_waits_without_an_invoice(deal: Deal) -> None:
    assert turn_in(deal.buyer) is None
    deal.seller.despatch()
    deal.settle()
    deal.buyer.receive()
    item = turn_in(deal.buyer)
    assert item is not None
    assert (item.id, item.state, item.actions[0]) == (deal.buyer.deal, "new", "pay")
    deal.buyer.pay()
    assert turn_in(deal.buyer) is None


def test_money_that_must_go_back_waits_for_the_seller(deal: Deal) -> None:
    deal.seller.despatch()
    deal.seller.invoice()
    deal.settle()
    deal.buyer.receive()
    deal.buyer.pay()
    deal.settle()
    deal.seller.confirm()
    deal.seller.credit(None, (1, "2"))
    item = turn_in(deal.seller)
    assert item is not None
    assert item.actions[0] == "refund"
    deal.seller.refund()
    assert turn_in(deal.seller) is None


def test_a_dispute_stands_before_old_news(deal: Deal) -> None:
    deal.seller.despatch()
    deal.settle()
    deal.buyer.receive((1, "9", "short"))
    deal.settle()
    deal.wait(HOUR)
    deal.buyer.receive((1, "1", "full"))
    deal.settle()
    deal.wait(3 * DAY)
    dispute(deal.buyer, step="open", reason="damaged")
    deal.settle()
    shown = items(deal.seller)
    assert [item.kind for item in shown] == ["dispute", "receipt", "receipt"]
    assert shown[1].received_at > shown[2].received_at  # of the news the newest first
    assert [item.act_by for item in shown[1:]] == [None, None]


def test_what_ends_soonest_stands_first_and_news_last(deal: Deal) -> None:
    seller, buyer = deal.world.seller, deal.world.buyer
    deal.seller.change(delivery_latest="2026-05-30")
    deal.settle()
    deal.buyer.answer("accept")
    deal.settle()
    ends = deal.seller.row.due
    assert ends is not None
    before, after = (
        buyer.request("3 kettles", sellers=[seller], reply_by=instant_text(ends + seconds)) for seconds in (-HOUR, HOUR)
    )
    for request in (before, after):
        settle(buyer, seller, request)
    shown = items(deal.seller)
    assert [item.kind for item in shown] == ["request", "deal", "request", "change"]
    assert [item.id for item in shown[:3]] == [before.id, deal.seller.deal, after.id]


def test_a_deal_without_a_date_is_overtaken_by_what_is_urgent_for_a_day_only(deal: Deal) -> None:
    seller, buyer = deal.world.seller, deal.world.buyer
    request = buyer.request("3 kettles", sellers=[seller], reply_by="30h")
    soon = buyer.request("3 kettles", sellers=[seller], reply_by="2h")
    for one in (request, soon):
        settle(buyer, seller, one)
    assert [item.id for item in items(deal.seller)] == [soon.id, deal.seller.deal, request.id]


def test_the_turn_of_a_deal_is_seen_by_its_order(deal: Deal) -> None:
    deal.seller.side.run(lambda tx: tx.orders.mark_seen(deal.seller.row.hash))
    item = turn_in(deal.seller)
    assert item is not None
    assert item.state == "seen"
    assert deal.seller.side.run(lambda tx: count_new(deal.seller.views, tx)) == 0


def test_an_order_by_hand_stays_before_the_deals(deal: Deal) -> None:
    seller, buyer = deal.world.seller, deal.world.buyer
    request = buyer.request("3 kettles", sellers=[seller])
    settle(buyer, seller, request)
    body = b.NewQuote(lines=[b.NewQuoteLine(no=1, price="20 EUR")])
    kept = seller.run(lambda tx: tx.requests.get(request.hash))
    assert kept is not None
    seller.run(lambda tx: seller.selling.quote(tx, kept, body, seller.clock()))
    settle(buyer, seller, request)
    (quote,) = buyer.quotes(request)
    buyer.order(quote)
    settle(buyer, seller, request)
    assert [item.kind for item in items(deal.seller)] == ["order", "deal"]


def test_quotes_for_the_rest_of_a_request_wait_after_an_order(deal: Deal) -> None:
    """Who bought a part still chooses from what comes for the rest; once all is bought, nobody is asked."""
    world, rival = deal.world, deal.world.rival
    rival.sell([BEANS, MUGS], Quoting(accept=True))
    buyer, request = world.buyer, world.buyer.request("10 beans", "40 mugs", sellers=[world.seller, rival])
    settle(buyer, world.seller, request)
    (first,) = buyer.quotes(request)
    buyer.order(first, b.NewOrderLine(no=1, quantity="10"))
    settle(buyer, world.seller, request)
    settle(buyer, rival, request)
    kept = buyer.run(lambda tx: tx.requests.get(request.hash))
    assert kept is not None
    assert kept.state == "awarded"
    (item,) = (item for item in items(deal.buyer) if item.kind == "quotes")
    assert item.quotes is not None
    assert (item.id, item.quotes.count, item.quotes.new) == (request.id, 1, 1)
    last = buyer.quotes(request)[-1]
    buyer.order(last, b.NewOrderLine(no=2, quantity="40"))
    settle(buyer, rival, request)
    assert "quotes" not in kinds(deal.buyer)
