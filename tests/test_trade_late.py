"""The term that lets a buyer end a late deal alone: counted on the documents' own dates, whatever came first."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import msgspec
import pytest
from deal_world import Trade
from fulfil_world import ordered
from trade_world import BUYER, DAY, SELLER, asked, moment, some_terms

from p2pmarket.api.types.bodies import NewQuote
from p2pmarket.api.types.bodies_talk import NewCounter
from p2pmarket.errors import WrongState
from p2pmarket.network import TEST
from p2pmarket.trade import check
from p2pmarket.trade.agreeing import answer_proposal, propose_cancel, propose_change
from p2pmarket.trade.billing import confirm_cash
from p2pmarket.trade.documents import Counter, Opened
from p2pmarket.trade.fulfilling import make_despatch, make_receipt
from p2pmarket.trade.thread import Thread, cancels_alone_from, duties_of, fold, in_force
from p2pmarket.trade.thread.deal import overpaid_of
from p2pmarket.trade.values import Delivery, Money, Terms
from p2pmarket.vocab.deadlines import parse_date

LATEST_ENDS = 1_780_531_199  # the last second of 2026-06-03 in UTC


def agreed(days: int | None = 3, delivery: Delivery | None = None) -> Trade:
    """A deal with these terms."""
    terms = msgspec.structs.replace(some_terms(), cancel_days=days, delivery=delivery or Delivery(latest="2026-06-03"))
    world = asked().quoted(terms=terms).ordered().answered()
    assert world.quote
    assert world.order
    assert world.response
    return Trade(world.thread, {"quote": world.quote, "order": world.order, "response": world.response})


def wish(trade: Trade, at: int, key: object = BUYER, refund: int | None = None) -> Opened:
    money = Money(refund, "EUR", 2) if refund is not None else None
    return propose_cancel(trade.thread, key, moment(at), trade.deal, refund=money)  # type: ignore[arg-type]


def state(trade: Trade, *papers: Opened) -> str:
    thread = trade.thread
    for opened in papers:
        thread = thread.adding(opened)
    return fold(thread).deals[trade.deal]


def test_from_the_second_after_the_days_are_over() -> None:
    trade = agreed()
    after = LATEST_ENDS + 3 * DAY
    assert cancels_alone_from(trade.thread, trade.deal) == after
    assert state(trade, wish(trade, after)) == "agreed"
    assert state(trade, wish(trade, after + 1)) == "cancelled"
    assert state(trade, wish(trade, after + 1, SELLER)) == "agreed"  # who is late does not profit


@pytest.mark.parametrize(("delivery", "days"), [(Delivery(days=5), 5), (Delivery(place="here"), 0)])
def test_where_no_day_was_agreed_they_count_from_the_acceptance(delivery: Delivery, days: int) -> None:
    trade = agreed(2, delivery)
    signed = trade.papers["response"].document.issued_at
    assert cancels_alone_from(trade.thread, trade.deal) == signed + (days + 2) * DAY


def test_without_the_term_or_the_acceptance_nobody_ends_it_alone() -> None:
    trade = agreed(None)
    assert cancels_alone_from(trade.thread, trade.deal) is None
    assert state(trade, wish(trade, LATEST_ENDS + 900 * DAY)) == "agreed"
    trade = agreed()
    bare = Trade(Thread.of(TEST, SELLER.public, trade.thread.request, [trade.papers["quote"], trade.papers["order"]]))
    bare.papers = trade.papers
    assert cancels_alone_from(bare.thread, trade.deal) is None
    assert state(bare, wish(bare, LATEST_ENDS + 900 * DAY)) == "ordered"


@pytest.mark.parametrize("kind", ["despatch", "receipt"])
def test_what_left_or_came_before_it_keeps_the_deal(kind: str) -> None:
    trade, at = agreed(), LATEST_ENDS + 4 * DAY

    def paper(when: int) -> Opened:
        if kind == "despatch":
            return make_despatch(trade.thread, SELLER, moment(when), trade.deal)
        return make_receipt(trade.thread, BUYER, moment(when), trade.deal)

    end = wish(trade, at)
    kept = {"despatch": "in_delivery", "receipt": "delivered"}[kind]
    assert state(trade, end, paper(at - 1)) == state(trade, end, paper(at)) == kept
    assert state(trade, end, paper(at + 1)) == "cancelled"


def test_it_is_the_same_in_any_order_and_the_seller_takes_it() -> None:
    trade, at = agreed(), LATEST_ENDS + 4 * DAY
    papers = [
        confirm_cash(trade.thread, SELLER, moment(at - 5), trade.deal, method="cash"),
        make_despatch(trade.thread, SELLER, moment(at + 9), trade.deal),
        wish(trade, at),
        wish(trade, at - 8 * DAY),
    ]
    states = set()
    for order in permutations(papers):
        thread = trade.thread
        for opened in order:
            check.check(thread, opened, at + DAY)
            thread = thread.adding(opened)
        folded = fold(thread)
        states.add((folded.deals[trade.deal], tuple(sorted(folded.proposals.items()))))
    (one,) = states
    assert one[0] == "cancelled"
    assert len(one[1]) == 1  # the wish of before the days were over still waits


def test_nothing_waits_for_an_answer_and_all_that_came_goes_back() -> None:
    trade, at = agreed(), LATEST_ENDS + 4 * DAY
    trade.add("cash", confirm_cash(trade.thread, SELLER, moment(at - 5), trade.deal, method="cash"))
    end = trade.add("end", wish(trade, at, refund=1))
    assert fold(trade.thread).proposals == {}
    assert overpaid_of(trade.thread, trade.deal) == in_force(trade.thread, trade.deal).sheet.total
    assert {(duty.machine, duty.who) for duty in duties_of(trade.thread, trade.deal)} == {("payment", "seller")}
    with pytest.raises(WrongState):
        answer_proposal(trade.thread, SELLER, moment(at + 1), end.hash, "reject")


def test_what_both_signed_about_the_end_counts_before_the_term() -> None:
    trade, at = agreed(), LATEST_ENDS + 4 * DAY
    trade.add("cash", confirm_cash(trade.thread, SELLER, moment(at - 5), trade.deal, method="cash"))
    early = trade.add("early", wish(trade, LATEST_ENDS, refund=700))
    end = wish(trade, at)
    granted = answer_proposal(trade.thread, SELLER, moment(at + 1), early.hash, "accept")
    thread = trade.thread.adding(end).adding(granted)
    assert fold(thread).deals[trade.deal] == "cancelled"
    assert overpaid_of(thread, trade.deal) == 700


def test_a_change_that_both_sign_moves_the_day() -> None:
    trade = agreed()
    sheet = in_force(trade.thread, trade.deal).sheet
    terms: Terms = msgspec.structs.replace(
        in_force(trade.thread, trade.deal).terms, delivery=Delivery(latest="2026-07-03"), cancel_days=0
    )
    change = trade.add("change", propose_change(trade.thread, SELLER, moment(LATEST_ENDS), trade.deal, sheet=sheet, terms=terms))  # fmt: skip # noqa: E501
    assert state(trade, wish(trade, LATEST_ENDS + 4 * DAY)) == "cancelled"
    trade.add("changed", answer_proposal(trade.thread, BUYER, moment(LATEST_ENDS), change.hash, "accept"))
    assert state(trade, wish(trade, LATEST_ENDS + 4 * DAY)) == "agreed"
    assert state(trade, wish(trade, LATEST_ENDS + 31 * DAY)) == "cancelled"


def test_two_ledgers_and_what_people_see(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deal = ordered(tmp_path, monkeypatch, accept=False)
    day = parse_date("2026-06-10")
    seller = deal.world.seller
    row = seller.orders()[0]
    seller.run(lambda tx: seller.selling.accept(tx, row, None, seller.clock()))
    assert deal.states() == ("agreed", "due")
    deal.seller.change(delivery_latest=day, cancel_days=2)
    deal.settle()
    (proposal,) = deal.buyer.life().proposals
    assert ("cancelled alone, days late", None, "2") in {
        (one.what, one.before, one.after) for one in proposal.differences
    }
    deal.buyer.answer("accept")
    deal.states()
    contract = deal.buyer.life().contract
    assert (contract.cancel_days, contract.cancels_alone_from) == (2, "2026-06-12T23:59:59Z")
    deal.wait(20 * DAY)
    deal.buyer.cancel(reason="late")
    assert deal.buyer.shown().state == "cancelled"
    assert deal.states()[0] == "cancelled"
    assert [one.state for one in deal.seller.life().proposals if one.kind == "cancellation"] == ["accepted"]
    deal.world.close()


def test_the_term_in_a_quote_and_a_counter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deal = ordered(tmp_path, monkeypatch)
    seller, buyer = deal.world.seller, deal.world.buyer
    deal.request = buyer.request("3 lamps", sellers=[seller])
    deal.settle()
    asked_for = seller.run(lambda tx: tx.requests.get(deal.request.hash))
    assert asked_for is not None
    body = NewQuote(total="90 EUR", cancel_days=4)
    seller.run(lambda tx: seller.selling.quote(tx, asked_for, body, seller.clock()))
    deal.settle()
    (quote,) = buyer.quotes(deal.request)
    (shown,) = buyer.run(lambda tx: deal.buyer.views.quotes(tx, deal.request.hash))
    assert shown.cancel_days == 4
    wanted = NewCounter(cancel_days=1)
    found, _ = buyer.run(lambda tx: buyer.talking.counter(tx, quote, wanted, buyer.clock()))
    counter = buyer.run(lambda tx: buyer.reader.document(tx, found, Counter))
    assert counter.terms.cancel_days == 1
    assert NewCounter(text="as it is").cancel_days is None
    deal.world.close()
