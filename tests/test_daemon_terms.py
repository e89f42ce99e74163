"""What sellers and buyers may ask of each other beyond the plain trade: several sellers, stock, terms, settings."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from daemons import Market, Peer, a_market, until

from p2pmarket.api import types as t
from p2pmarket.api.types import bodies as b

CHEAP = b"code,description,unit,price,currency,stock,min_qty\nL1,desk lamp,pcs,20.00,EUR,5,\nL2,bulb,pcs,1.00,EUR,,10\n"
DEAR = b"code,description,unit,price,currency,tax_rate\nX1,desk lamp,pcs,21.00,EUR,20\nX2,bulb,pcs,1.10,EUR,20\n"
QUOTING = """
[quoting]
accept = false
valid_days = 3
delivery_days = 4
delivery_charge = "4.90 EUR"
ships_from = "DE"
incoterm = "DAP"
place = "Seoul"
payment_terms = "net 30 days"
divisible = false
"""


@pytest.fixture(scope="module")
def net() -> Iterator[Market]:
    with a_market("cheap", "dear", "buyer", config={"dear": QUOTING}) as net:
        for name, prices in (("cheap", CHEAP), ("dear", DEAR)):
            net[name].client.profile_set(b.SetProfile(name=name))
            net[name].ask("prices", "import", "-", stdin=prices)
            net[name].announce("lamps", "world")
        yield net


@pytest.fixture
def buyer(net: Market) -> Peer:
    return net["buyer"]


def by_name(quotes: list[t.Quote]) -> dict[str | None, t.Quote]:
    return {quote.seller.name: quote for quote in quotes}


def test_quotes_are_compared_and_the_best_comes_first(buyer: Peer) -> None:
    request = buyer.ask("request", "lamps", "--line", "1 pcs desk lamp", "--line", "4 pcs bulb")
    assert request["ended"] == "enough"
    quotes = buyer.quoted(request["request"]["id"], count=2)
    assert [(quote.seller.name, quote.missing_lines) for quote in quotes] == [("dear", []), ("cheap", [2])]
    shown = buyer.market("quotes", request["request"]["id"])
    assert shown.code == 0
    assert shown.out.index("dear") < shown.out.index("cheap")


def test_the_settings_of_a_seller_are_in_his_quotes(buyer: Peer) -> None:
    request = buyer.open("lamps", "1 pcs desk lamp")
    quote = by_name(buyer.quoted(request.id, count=2))["dear"]
    assert (quote.goods.amount, quote.tax.amount.amount, quote.total.amount) == ("21.00", "4.20", "30.10")
    assert [(charge.kind, charge.amount.amount) for charge in quote.charges] == [("delivery", "4.90")]
    told = quote.delivery
    assert (told.days, told.incoterm, told.place, told.ships_from) == (4, "DAP", "Seoul", "DE")
    assert (quote.payment_terms, quote.divisible) == ("net 30 days", False)


def test_what_is_sold_whole_only_cannot_be_ordered_in_part(buyer: Peer) -> None:
    request = buyer.open("lamps", "2 pcs desk lamp", "20 pcs bulb")
    quote = by_name(buyer.quoted(request.id, count=2))["dear"]
    buyer.refuse(65, "order", quote.id, "--line", "1")
    buyer.refuse(65, "order", quote.id, "--line", "1=1", "--line", "2")


def test_an_order_waits_for_a_person_where_the_settings_say_so(net: Market, buyer: Peer) -> None:
    request = buyer.open("lamps", "3 pcs desk lamp")
    quote = by_name(buyer.quoted(request.id, count=2))["dear"]
    order = buyer.client.order(b.NewOrder(quote=quote.id)).order
    item = net["dear"].received(order.id)
    assert (item.kind, item.state) == ("order", "new")
    assert net["dear"].client.deals().deals[0].turn == "me"
    assert net["dear"].ask("inbox")["items"][0]["id"] == order.id  # orders before requests
    net["dear"].client.accept(order.id, b.Accept())
    assert buyer.settled(order.id, "agreed")


def test_the_last_of_a_stock_is_sold_by_itself_only_once(net: Market, buyer: Peer) -> None:
    """Quoted is not reserved; accepting takes the stock, and what is beyond it waits for a person."""
    quotes = []
    for _ in range(2):
        request = buyer.open("lamps", "4 pcs desk lamp")
        quotes.append(by_name(buyer.quoted(request.id, count=2))["cheap"])
    order = buyer.client.order(b.NewOrder(quote=quotes[0].id)).order  # each request has a line of its own
    assert buyer.settled(order.id, "agreed")
    second = buyer.client.order(b.NewOrder(quote=quotes[1].id)).order
    assert net["cheap"].received(second.id).kind == "order"
    assert {deal.id: deal.state for deal in buyer.client.deals().deals}[second.deal] == "ordered"
    assert net["cheap"].client.prices_show("desk lamp").rows[0].stock == "1"
    net["cheap"].client.reject(second.id, b.Reject(reason="stock"))
    assert buyer.settled(second.id, "rejected")


def test_less_than_the_least_quantity_of_a_line_cannot_be_ordered(buyer: Peer) -> None:
    request = buyer.open("lamps", "30 pcs bulb")
    quote = by_name(buyer.quoted(request.id, count=2))["cheap"]
    buyer.refuse(65, "order", quote.id, "--line", "1=9")
    order = buyer.ask("order", quote.id, "--line", "1=10")["order"]
    assert order["total"]["amount"] == "10.00"
    assert buyer.settled(order["id"], "agreed")


def test_an_indicative_quote_cannot_be_ordered(net: Market, buyer: Peer) -> None:
    request = buyer.open("lamps", "1 pcs chandelier")
    net["cheap"].received(request.id)
    net["cheap"].ask("quote", request.id, "--total", "700 EUR", "--indicative")
    (quote,) = buyer.quoted(request.id)
    assert quote.kind == "indicative"
    assert "firm" in buyer.refuse(9, "order", quote.id)["hint"]


def test_enough_quotes_end_the_asking_and_stay_orderable(net: Market, buyer: Peer) -> None:
    request = buyer.open("lamps", "12 pcs bulb")
    quote = by_name(buyer.quoted(request.id, count=2))["cheap"]
    assert buyer.ask("close", request.id, "--enough")["request"]["state"] == "enough"
    net["dear"].request_state(request.id, "enough")
    order = buyer.client.order(b.NewOrder(quote=quote.id)).order
    assert buyer.settled(order.id, "agreed")
    assert buyer.client.request_get(request.id).request.state == "awarded"


def test_the_buyer_is_told_when_a_person_has_looked(net: Market, buyer: Peer) -> None:
    request = buyer.open("lamps", "1 pcs night light")
    net["cheap"].received(request.id)
    assert net["cheap"].client.inbox_seen(b.MarkSeen(ids=[request.id])).seen == 1
    assert net["cheap"].client.inbox_seen(b.MarkSeen(ids=[request.id])).seen == 0
    until("one who has seen it", lambda: buyer.client.request_get(request.id).request.counts.seen == 1)
    assert net["cheap"].received(request.id).state == "seen"


def test_calls_at_once_with_one_key_do_it_once(buyer: Peer) -> None:
    request = buyer.open("lamps", "14 pcs bulb")
    quote = by_name(buyer.quoted(request.id, count=2))["cheap"]
    replies: list[t.OrderReply] = []

    def order(key: str | None) -> None:
        replies.append(buyer.client.order(b.NewOrder(quote=quote.id), key=key))

    threads = [threading.Thread(target=order, args=(key,)) for key in ["one", "one", "one", None, None]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(reply.created for reply in replies) == [False] * 4 + [True]
    assert len({reply.order.id for reply in replies}) == 1


def test_the_profile_goes_into_the_order_and_nowhere_before(net: Market, buyer: Peer) -> None:
    buyer.client.profile_set(b.SetProfile(name="Cafe Roma", region="KR", address=["1 Sejong-daero", "Seoul"]))
    request = buyer.open("lamps", "16 pcs bulb")
    quote = by_name(buyer.quoted(request.id, count=2))["cheap"]
    sender = next(item for item in net["cheap"].client.inbox(state=ALL).items if item.id == request.id).sender
    assert (sender.identity, sender.name) == (None, None)
    order = buyer.client.order(b.NewOrder(quote=quote.id)).order
    net["cheap"].settled(order.id, "agreed")
    shown = net["cheap"].client.show(order.id).order
    assert shown is not None
    assert shown.deliver_to is not None
    assert (shown.deliver_to.name, shown.deliver_to.address) == ("Cafe Roma", ["1 Sejong-daero", "Seoul"])
    other = net["cheap"].client.deals().deals[0].other
    assert (other.identity, other.known) == (buyer.client.identity().identity, True)


def test_a_request_of_a_thousand_lines_is_answered_and_one_more_is_refused(net: Market, buyer: Peer) -> None:
    rows = "quantity,unit,text\n" + "20,pcs,bulb\n" * 1000
    asked = buyer.ask("request", "lamps", "--file", "-", "--detach", stdin=rows.encode())["request"]
    quote = by_name(buyer.quoted(asked["id"], count=2, seconds=60))["cheap"]
    assert (len(quote.lines), quote.total.amount) == (1000, "20000.00")
    buyer.refuse(65, "request", "lamps", "--file", "-", "--detach", stdin=f"{rows}20,pcs,bulb\n".encode())


ALL: t.InboxState = "all"  # type: ignore[assignment]  # the daemon shows answered items too


def test_one_key_announces_once_even_after_a_withdrawal(net: Market) -> None:
    seller = net["dear"]
    first = seller.ask("announce", "shades", "--idempotency-key", "announce-shades")
    id_ = first["announcement"]["id"]
    gone = [seller.ask("withdraw", id_, "--idempotency-key", "withdraw-shades")["created"] for _ in range(2)]
    again = seller.ask("announce", "shades", "--idempotency-key", "announce-shades")
    assert (first["created"], gone, again["created"]) == (True, [True, False], False)
    assert id_ not in {one["id"] for one in seller.ask("announcements")["announcements"]}
