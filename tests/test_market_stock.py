"""What a cancelled deal had taken from the stock is there again, once, and as far as it did not leave."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fulfil_world import Deal, Party
from market_world import price, settle

from p2pmarket.api.types.bodies_quarrel import NewDispute
from p2pmarket.market.quarrel import dispute
from p2pmarket.store import rows

BEANS, MUGS = price(1, "B1", "beans", stock="25"), price(2, "", "mugs", stock="40")
KILOS = price(3, "K1", "sugar", stock="5000")._replace(unit="GRM")


def again(deal: Deal, prices: list[rows.Price], *lines: str, quantity: str | None = None) -> Deal:
    """Another deal, from this price list; its order accepted by itself."""
    world = deal.world
    world.seller.sell(prices)
    request = world.buyer.request(*lines, sellers=[world.seller])
    settle(world.buyer, world.seller, request)
    (quote,) = world.buyer.quotes(request)
    row = world.buyer.order(quote)
    settle(world.buyer, world.seller, request)
    return Deal(world, request, Party(world.buyer, row.deal), Party(world.seller, row.deal))


def stocks(deal: Deal) -> list[str | None]:
    return [one.stock for one in deal.world.seller.run(lambda tx: tx.prices.all())]


def ended(deal: Deal, *, by: str = "buyer") -> None:
    """Both sign the end."""
    first, second = (deal.buyer, deal.seller) if by == "buyer" else (deal.seller, deal.buyer)
    wish = first.cancel(reason="late")
    deal.settle()
    second.answer("accept", second.id(wish.papers[0]))
    deal.settle()


@pytest.mark.parametrize("by", ["buyer", "seller"])
def test_the_end_that_both_sign_gives_it_back_once(deal: Deal, by: str) -> None:
    made = again(deal, [BEANS, MUGS, KILOS], "10 beans", "4 mugs", "2 kg sugar")
    assert stocks(made) == ["15", "36", "3000"]
    made.world.seller.selling.stock_changed = False
    wish = made.buyer.cancel(reason="late")
    made.settle()
    assert stocks(made) == ["15", "36", "3000"]
    made.seller.answer("reject", made.seller.id(wish.papers[0]))
    made.settle()
    assert not made.world.seller.selling.stock_changed
    ended(made, by=by)
    assert stocks(made) == ["25", "40", "5000"]
    assert made.world.seller.selling.stock_changed  # the list in memory is read anew
    made.world.seller.run(lambda tx: made.world.seller.selling.give_back(tx, thread(made)))
    assert stocks(made) == ["25", "40", "5000"]
    assert made.world.buyer.orders()[0].taken is None


def said(deal: Deal, party: Party, step: str, **fields: Any) -> None:
    """A step of a dispute about this deal."""
    (row,) = (one for one in party.side.orders() if one.deal == party.deal)
    body = NewDispute(step=step, **fields)  # type: ignore[arg-type]
    party.side.run(lambda tx: dispute(tx, party.side.dealing, row, body, party.side.clock()))
    deal.settle()


@pytest.mark.parametrize("by", ["buyer", "seller"])
def test_a_dispute_that_is_settled_by_cancelling_gives_it_back(deal: Deal, by: str) -> None:
    made = again(deal, [BEANS, MUGS, KILOS], "10 beans", "4 mugs", "2 kg sugar")
    first, second = (made.buyer, made.seller) if by == "buyer" else (made.seller, made.buyer)
    said(made, first, "open", reason="late")
    said(made, first, "proposal", outcome="cancel")
    assert stocks(made) == ["15", "36", "3000"]
    said(made, second, "accept")
    assert stocks(made) == ["25", "40", "5000"]


def thread(deal: Deal):  # type: ignore[no-untyped-def]
    return deal.world.seller.thread(deal.request, deal.world.seller)


def test_what_has_left_does_not_come_back(deal: Deal) -> None:
    made = again(deal, [BEANS, MUGS, KILOS], "10 beans", "4 mugs", "2 kg sugar")
    made.seller.despatch((1, "3"), (3, "0.5"))
    made.settle()
    ended(made)
    assert stocks(made) == ["22", "40", "4500"]


def test_a_person_who_sold_more_than_there_was_gets_back_what_there_was(deal: Deal) -> None:
    made = again(deal, [BEANS], "20 beans")
    assert stocks(made) == ["5"]
    world = made.world
    world.seller.selling.book = replace(world.seller.selling.book)  # as it was when the second request came
    request = world.buyer.request("20 beans", sellers=[world.seller])
    settle(world.buyer, world.seller, request)
    (quote,) = world.buyer.quotes(request)
    row = world.buyer.order(quote)
    settle(world.buyer, world.seller, request)
    (waiting,) = [one for one in world.seller.orders() if one.hash == row.hash]
    assert waiting.state == "ordered"  # it does not last: a person decides
    assert stocks(made) == ["5"]
    world.seller.run(lambda tx: world.seller.selling.accept(tx, waiting, None, world.clock()))
    assert stocks(made) == ["0"]
    second = Deal(world, request, Party(world.buyer, row.deal), Party(world.seller, row.deal))
    ended(second)
    assert stocks(made) == ["5"]


@pytest.mark.parametrize(
    ("after", "left"),
    [
        ([price(1, "B2", "beans", stock="9")], ["9"]),  # the row is gone
        ([price(1, "B1", "beans")], [None]),  # it counts nothing any more
        ([price(1, "A", "tea", stock="1"), price(7, "B1", "better beans", stock="2")], ["1", "12"]),  # it moved
    ],
)
def test_a_price_list_that_was_read_anew_meanwhile(deal: Deal, after: list[rows.Price], left: list[str | None]) -> None:
    made = again(deal, [BEANS], "10 beans")
    made.world.seller.sell(after)
    ended(made)
    assert stocks(made) == left


def test_two_rows_of_one_description_get_nothing(deal: Deal) -> None:
    made = again(deal, [MUGS], "10 mugs")
    assert stocks(made) == ["30"]
    made.world.seller.sell([price(1, "", "mugs", stock="1"), price(2, "", "mugs", stock="2")])
    ended(made)
    assert stocks(made) == ["1", "2"]
