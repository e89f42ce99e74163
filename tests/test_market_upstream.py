"""The chain upstream: lines taken over, prices passed on with a margin, never for longer or in another currency."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from market_world import Side, World, price, settle

from p2pmarket.api import types as t
from p2pmarket.api.types import bodies as b
from p2pmarket.config import Quoting
from p2pmarket.errors import BadInput, WrongState
from p2pmarket.limits import DAY, HOUR
from p2pmarket.market.quoting_upstream import _plus
from p2pmarket.store import rows
from p2pmarket.trade import documents as d


@pytest.fixture
def world(world: World) -> World:
    """The seller makes, the rival resells."""
    world.seller.sell(
        [price(1, "A", "beans", "10.0125"), price(2, "B", "lids", "2.50")],
        Quoting(delivery_days=5, delivery_charge="4.90 EUR", tax_rate="7"),
    )
    return world


def document(side: Side, hash_: bytes, kind: type[Any]) -> Any:
    return side.run(lambda tx: side.reader.document(tx, hash_, kind))


def in_the_middle(world: World, *lines: str, **more: Any) -> tuple[rows.Request, rows.Quote]:
    """A buyer's request at the reseller, and what the maker quotes him for it."""
    wanted = world.buyer.request(*(lines or ("3 beans", "1 spoon", "4 lids")), sellers=[world.rival], **more)
    settle(world.buyer, world.rival, wanted)
    body = b.OpenRequest(made_for=wanted.id)
    asked = world.rival.run(lambda tx: world.rival.buying.open(tx, body, None, world.clock()))
    world.rival.ask(asked, world.seller)
    settle(world.rival, world.seller, asked)
    (quote,) = world.rival.quotes(asked)
    return wanted, quote


def passed_on(world: World, wanted: rows.Request, quote: rows.Quote, **more: Any) -> d.Quote:
    side = world.rival

    def work(tx: Any) -> rows.Quote:
        row = tx.requests.get(wanted.hash)
        return side.selling.quote(tx, row, b.NewQuote(from_quote=quote.id, **more), world.clock())

    made: d.Quote = document(side, side.run(work).hash, d.Quote)
    return made


def test_prices_are_passed_on_with_a_margin_and_all_else_that_counts(world: World) -> None:
    wanted, quote = in_the_middle(world)
    made = passed_on(world, wanted, quote, margin="10%", delivery_days=None)
    assert [(line.no, line.price, line.code, line.tax_rate) for line in made.sheet.lines] == [
        (1, "11.0138", None, "7"),  # as many places as it had
        (3, "2.75", None, "7"),
    ]
    assert made.missing_lines == (2,)
    assert [(one.kind, one.amount, one.text) for one in made.sheet.charges] == [("delivery", 490, None)]
    assert made.terms.delivery is not None
    assert made.terms.delivery.days == 5
    assert made.valid_until == quote.valid_until
    assert made.terms.upstream is None  # what is not named is not told
    settle(world.buyer, world.rival, wanted)
    (at_buyer,) = world.buyer.quotes(wanted)
    assert document(world.buyer, at_buyer.hash, d.Quote) == made


def test_what_is_said_goes_before_what_is_passed_on(world: World) -> None:
    wanted, quote = in_the_middle(world)
    made = passed_on(
        world,
        wanted,
        quote,
        lines=[b.NewQuoteLine(no=3, price="3", text="good lids")],
        charges=[b.NewCharge(kind="delivery", amount="9.90")],
        delivery_days=9,
        valid="1h",
        tax_rate="19",
    )
    assert [(line.no, line.price, line.text, line.tax_rate) for line in made.sheet.lines] == [
        (1, "10.0125", "beans", "19"),
        (3, "3", "good lids", "19"),
    ]
    assert [(one.amount, one.tax_rate) for one in made.sheet.charges] == [(990, "19")]
    assert made.terms.delivery is not None
    assert (made.terms.delivery.days, made.valid_until) == (9, world.clock() + HOUR)


def test_a_request_that_serves_another_leaves_time_and_the_buyers_numbers_out(world: World) -> None:
    codes = [t.Code(scheme="buyer", value="OUR-1"), t.Code(scheme="gtin", value="4006381333931")]
    line = b.NewLine(quantity=t.Quantity(value="3", unit="C62"), text="beans", codes=codes)
    body = b.OpenRequest(category="coffee", lines=[line], reply_by="10h", currency="EUR", reference="PO-1")
    wanted = world.buyer.run(lambda tx: world.buyer.buying.open(tx, body, None, world.clock()))
    world.buyer.ask(wanted, world.rival)
    settle(world.buyer, world.rival, wanted)
    asked = world.rival.run(
        lambda tx: world.rival.buying.open(tx, b.OpenRequest(made_for=wanted.id), None, world.clock())
    )
    request = document(world.rival, asked.hash, d.Request)
    assert [(code.scheme, code.value) for code in request.lines[0].codes] == [("gtin", "4006381333931")]
    assert (request.category, request.currency, request.reference) == ("coffee", "EUR", None)
    assert request.reply_by == world.clock() + 8 * HOUR
    assert asked.made_for == wanted.hash
    row = world.buyer.run(lambda tx: tx.requests.get(wanted.hash))
    assert row is not None
    close = b.CloseRequest(state="enough")
    assert world.buyer.run(lambda tx: world.buyer.buying.close(tx, row, close, world.clock()))
    settle(world.buyer, world.rival, wanted)
    with pytest.raises(WrongState, match="the buyer has closed"):
        world.rival.run(lambda tx: world.rival.buying.open(tx, b.OpenRequest(made_for=wanted.id), None, world.clock()))
    world.rival.run(lambda tx: tx.requests.set_state(wanted.hash, "open"))
    world.clock.now += 10 * HOUR
    with pytest.raises(WrongState, match="has passed"):
        world.rival.run(lambda tx: world.rival.buying.open(tx, b.OpenRequest(made_for=wanted.id), None, world.clock()))
    with pytest.raises(BadInput, match="no request in your inbox"):
        world.rival.run(lambda tx: world.rival.buying.open(tx, b.OpenRequest(made_for=asked.id), None, world.clock()))


def test_a_quote_asked_for_otherwise_fits_by_what_the_lines_say(world: World) -> None:
    asked = world.rival.request("4 lids", "3 beans", sellers=[world.seller])
    settle(world.rival, world.seller, asked)
    (quote,) = world.rival.quotes(asked)
    wanted = world.buyer.request("3 Beans", "5 lids", sellers=[world.rival])  # another quantity of lids
    settle(world.buyer, world.rival, wanted)
    made = passed_on(world, wanted, quote)
    assert [(line.no, line.text, line.quantity) for line in made.sheet.lines] == [(1, "Beans", "3")]
    assert made.missing_lines == (2,)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"valid": "60d"}, "shorter time"),
        ({"margin": "much"}, "number"),
        ({"margin": "-5%"}, "margin"),
        ({"margin": "2000%"}, "margin"),
        ({"lines": [b.NewQuoteLine(no=2, price="1")]}, "no line for line 2"),
        ({"lines": [b.NewQuoteLine(no=1, price="1 USD")]}, "in EUR"),
        ({"upstream": ["o-aaaaaaaa"]}, "nothing here"),
    ],
)
def test_what_is_not_passed_on(world: World, more: dict[str, Any], why: str) -> None:
    wanted, quote = in_the_middle(world)
    with pytest.raises(Exception, match=why):
        passed_on(world, wanted, quote, **more)
    assert world.rival.run(lambda tx: tx.quotes.of_request(wanted.hash)) == []


def test_a_margin_belongs_to_a_quote_that_was_got(world: World) -> None:
    wanted, _ = in_the_middle(world)
    body = b.NewQuote(lines=[b.NewQuoteLine(no=1, price="1 EUR")], margin="12%")

    def work(tx: Any) -> rows.Quote:
        return world.rival.selling.quote(tx, tx.requests.get(wanted.hash), body, world.clock())

    with pytest.raises(BadInput, match="margin belongs") as refused:
        world.rival.run(work)
    assert "from_quote" in str(refused.value.hint)
    assert world.rival.run(lambda tx: tx.quotes.of_request(wanted.hash)) == []


def test_an_upstream_quote_that_is_over_cannot_be_passed_on(world: World) -> None:
    wanted, quote = in_the_middle(world)
    world.clock.now = quote.valid_until - HOUR
    with pytest.raises(WrongState, match="time to reply"):
        passed_on(world, wanted, quote)
    wanted, quote = in_the_middle(world)
    (given,) = world.seller.run(lambda tx: tx.quotes.of_request(quote.request))
    world.seller.run(lambda tx: world.seller.selling.withdraw(tx, given, None, world.clock()))
    asked = world.rival.run(lambda tx: tx.requests.get(quote.request))
    assert asked is not None
    settle(world.rival, world.seller, asked)
    with pytest.raises(WrongState, match="withdrawn"):
        passed_on(world, wanted, quote)


def test_another_currency_is_told_with_what_to_do(world: World) -> None:
    wanted, quote = in_the_middle(world, currency="EUR")
    assert passed_on(world, wanted, quote).sheet.currency == "EUR"
    dollars = world.buyer.request("3 beans", sellers=[world.rival], currency="USD")
    settle(world.buyer, world.rival, dollars)
    with pytest.raises(BadInput, match="EUR") as error:
        passed_on(world, dollars, quote)
    assert "--currency USD" in (error.value.hint or "")


@pytest.mark.parametrize(
    ("upstream", "percent", "exponent", "ours"),
    [
        ("10", "12", 2, "11.2"),
        ("0.0375", "12", 2, "0.042"),
        ("1000", "12.5", 0, "1125"),
        ("999", "1", 0, "1009"),
        ("2.55", "0", 2, "2.55"),
        ("0.005", "10", 2, "0.006"),
    ],
)
def test_rounding(upstream: str, percent: str, exponent: int, ours: str) -> None:
    assert _plus(upstream, 1 + Decimal(percent) / 100, exponent) == ours


def test_a_deal_upstream_is_named_only_if_the_seller_names_it(world: World) -> None:
    wanted, quote = in_the_middle(world)
    order = world.rival.order(quote)
    asked = world.rival.run(lambda tx: tx.requests.get(quote.request))
    assert asked is not None
    settle(world.rival, world.seller, asked)
    made = passed_on(world, wanted, quote, margin="5%", upstream=[order.deal], valid="20d")  # bought: his own promise
    assert made.terms.upstream == (order.hash,)
    assert made.valid_until == world.clock() + 20 * DAY
    settle(world.buyer, world.rival, wanted)
    (offered,) = world.buyer.quotes(wanted)
    sold = world.buyer.order(offered)
    assert document(world.buyer, sold.hash, d.Order).upstream == (order.hash,)
