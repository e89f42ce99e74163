"""A whole trade between real daemons: automatic and by hand, in part and whole, up to a file anyone can check."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemons import Market, Peer, a_market, market

from p2pmarket.api import types as t
from p2pmarket.api.types import bodies as b
from p2pmarket.errors import WrongState

PRICES = b"""code,description,unit,price,per,currency,stock,min_qty,category,lead_days
YIR,Yirgacheffe,KGM,15.50,1,EUR,100,,coffee/roasted,3
SID,Sidamo,KGM,14.25,1,EUR,,,coffee/roasted,5
CUP,paper cups,pcs,4.00,100,EUR,,,coffee/roasted,1
FREE,sample bag,pcs,0,1,EUR,,,coffee/roasted,
TWIN,twin one,pcs,2.00,1,EUR,,,coffee/roasted,
TWIN2,same words,pcs,3.00,1,EUR,,,coffee/roasted,
TWIN3,same words,pcs,4.00,1,EUR,,,coffee/roasted,
"""


@pytest.fixture(scope="module")
def net() -> Iterator[Market]:
    with a_market("seller", "buyer") as net:
        net["seller"].client.profile_set(b.SetProfile(name="Addis Roasters", region="DE"))
        assert net["seller"].ask("prices", "import", "-", stdin=PRICES)["imported"] == 7
        net["seller"].announce("coffee/roasted", "world")
        yield net


@pytest.fixture
def seller(net: Market) -> Peer:
    return net["seller"]


@pytest.fixture
def buyer(net: Market) -> Peer:
    return net["buyer"]


def exported(peer: Peer, deal: str, folder: Path) -> Path:
    path = folder / f"{peer.daemon.name}.json"
    path.write_bytes(peer.client.export(deal).data)
    return path


def same_deal(one: t.Deal, two: t.Deal) -> bool:
    def told(deal: t.Deal) -> tuple[object, ...]:
        return deal.id, deal.order, deal.quote, deal.request, deal.state, deal.total, deal.agreed_at, deal.reference

    return told(one) == told(two) and {one.role, two.role} == {"buyer", "seller"}


def test_an_automatic_quote_is_ordered_in_part_accepted_and_proved(seller: Peer, buyer: Peer, tmp_path: Path) -> None:
    request = buyer.ask(
        "request", "coffee/roasted", "--line", "20 kg Yirgacheffe", "--line", "500 paper cups", "--quotes", "1"
    )
    assert request["ended"] == "enough"
    assert request["request"]["counts"]["quoted"] == 1
    (quote,) = request["quotes"]
    assert quote["total"] == {"amount": "330.00", "currency": "EUR"}
    assert [line["amount"]["amount"] for line in quote["lines"]] == ["310.00", "20.00"]
    assert (quote["missing_lines"], quote["kind"], quote["state"]) == ([], "firm", "open")
    assert quote["delivery"]["days"] == 3
    assert quote["seller"]["name"] == "Addis Roasters"

    ordered = buyer.ask(
        "order", quote["id"], "--line", "1=5", "--ref", "PO-17", "--deliver-to", "Cafe Roma; 1 Sejong-daero; Seoul"
    )
    assert ordered["created"] is True
    assert ordered["order"]["total"]["amount"] == "77.50"
    assert ordered["order"]["lines"] == [{"no": 1, "quantity": {"value": "5", "unit": "KGM"}}]
    mine = buyer.settled(ordered["order"]["id"], "agreed")
    theirs = seller.settled(ordered["order"]["id"], "agreed")
    assert same_deal(mine, theirs)
    assert (mine.id, mine.reference) == (ordered["order"]["deal"], "PO-17")
    assert buyer.ask("order", quote["id"], "--line", "1=5")["created"] is False

    bought, sold = exported(buyer, mine.id, tmp_path), exported(seller, mine.id, tmp_path)
    one, other = (market("verify", str(path), "--json", home=tmp_path) for path in (bought, sold))
    assert (one.code, other.code) == (0, 0)
    assert one.json["ok"] is True
    assert one.json["summary"] == other.json["summary"]
    assert one.json["parties"] == other.json["parties"]
    assert set(one.json["parties"].values()) >= {buyer.client.identity().identity, seller.client.identity().identity}
    assert seller.client.prices_show("Yirgacheffe").rows[0].stock == "95"


def test_a_file_that_was_changed_is_refused(buyer: Peer, tmp_path: Path) -> None:
    deal = next(deal for deal in buyer.client.deals().deals if deal.state == "agreed")
    data = json.loads(buyer.client.export(deal.id).data)

    def strings(value: object) -> Iterator[tuple[dict[str, object], str, str]]:
        if isinstance(value, dict):
            for key, item in value.items():
                if isinstance(item, str):
                    yield value, key, item
                yield from strings(item)
        elif isinstance(value, list):
            for item in value:
                yield from strings(item)

    longest = max(strings(data), key=lambda found: len(found[2]))
    holder, key, text = longest
    middle = len(text) // 2
    holder[key] = text[:middle] + ("A" if text[middle] != "A" else "B") + text[middle + 1 :]
    path = tmp_path / "forged.json"
    path.write_text(json.dumps(data))
    said = market("verify", str(path), "--json", home=tmp_path)
    assert said.code == 65
    assert said.json["ok"] is False
    assert said.json["problems"]
    path.write_bytes(b"{}")
    assert market("verify", str(path), home=tmp_path).code == 65


def test_a_whole_quote_is_ordered(seller: Peer, buyer: Peer) -> None:
    request = buyer.open("coffee/roasted", "3 kg Sidamo")
    (quote,) = buyer.quoted(request.id)
    order = buyer.client.order(b.NewOrder(quote=quote.id)).order
    assert order.total == quote.total
    assert buyer.settled(order.id, "agreed").state == "agreed"
    assert buyer.client.request_get(request.id).request.state == "awarded"
    assert seller.settled(order.id, "agreed").total.amount == "42.75"


def test_quote_by_hand_then_version_2_then_accepted_by_hand(seller: Peer, buyer: Peer, tmp_path: Path) -> None:
    request = buyer.open("coffee/roasted", "7 hand grinders", "7 brushes")
    item = seller.received(request.id)
    assert (item.state, item.matched_lines, item.lines) == ("new", 0, 2)
    assert item.actions == ["quote", "decline"]
    first = seller.ask("quote", request.id, "--line", "1=30 EUR", "--valid", "3d")["quote"]
    assert (first["version"], first["missing_lines"], first["total"]["amount"]) == (1, [2], "210.00")
    assert buyer.quoted(request.id)[0].id == first["id"]

    second = seller.ask(
        "quote", request.id, "--line", "1=28 EUR", "--line", "2=1.50 EUR", "--charge", "delivery=4.90 EUR"
    )["quote"]
    assert (second["version"], second["missing_lines"], second["total"]["amount"]) == (2, [], "211.40")
    (newest,) = buyer.quoted(request.id, version=2)
    assert newest.id == second["id"]
    old = buyer.client.show(first["id"]).quote
    assert old is not None
    assert old.state == "superseded"

    refused = buyer.refuse(9, "order", first["id"])
    assert refused["details"]["newest"] == second["id"]
    assert second["id"] in refused["hint"]

    order = buyer.ask("order", second["id"])["order"]
    waiting = seller.received(order["id"])
    assert waiting.kind == "order"
    assert waiting.actions == ["accept", "reject", "amend"]
    assert buyer.client.deals().deals[0].turn == "other"
    accepted = seller.ask("accept", order["id"])
    assert (accepted["created"], accepted["order"]["state"]) == (True, "accepted")
    assert seller.ask("accept", order["id"])["created"] is False
    mine = buyer.settled(order["id"], "agreed")
    assert same_deal(mine, seller.settled(order["id"], "agreed"))
    assert seller.refuse(9, "reject", order["id"], "--reason", "stock")
    path = exported(buyer, mine.id, tmp_path)
    assert market("verify", str(path), home=tmp_path).code == 0


def test_an_order_is_rejected_by_hand(seller: Peer, buyer: Peer) -> None:
    request = buyer.open("coffee/roasted", "1 espresso machine")
    seller.received(request.id)
    seller.client.quote(request.id, b.NewQuote(total="900 EUR"))
    (quote,) = buyer.quoted(request.id)
    assert quote.divisible is False
    order = buyer.client.order(b.NewOrder(quote=quote.id)).order
    seller.received(order.id)
    assert (
        seller.ask("reject", order.id, "--reason", "stock", "--text", "sold yesterday")["order"]["state"] == "rejected"
    )
    assert buyer.settled(order.id, "rejected").state == "rejected"
    with pytest.raises(WrongState):
        buyer.client.export(order.deal)
    assert buyer.market("export", order.deal).code == 9


def test_a_seller_declines_and_may_quote_after_all(seller: Peer, buyer: Peer) -> None:
    request = buyer.open("coffee/roasted", "9 tampers")
    seller.received(request.id)
    assert seller.ask("decline", request.id, "--reason", "size")["created"] is True
    assert seller.ask("decline", request.id, "--reason", "size")["created"] is False
    (state,) = buyer.answered(request.id, "declined")
    assert state.reason == "size"
    seller.client.quote(request.id, b.NewQuote(total="90 EUR"))
    buyer.quoted(request.id)
    assert buyer.answered(request.id, "quoted")


def test_a_partial_quote_names_the_missing_lines_and_a_person_adds_the_rest(seller: Peer, buyer: Peer) -> None:
    request = buyer.open("coffee/roasted", "2 kg Yirgacheffe", "1 samovar")
    (first,) = buyer.quoted(request.id)
    assert first.missing_lines == [2]
    item = seller.received(request.id)
    assert (item.state, item.matched_lines, item.lines) == ("new", 1, 2)
    seller.client.quote(
        request.id,
        b.NewQuote(lines=[b.NewQuoteLine(no=1, price="15.50 EUR"), b.NewQuoteLine(no=2, price="80 EUR")]),
    )
    (second,) = buyer.quoted(request.id, version=2)
    assert (second.missing_lines, second.total.amount) == ([], "111.00")
    order = buyer.client.order(b.NewOrder(quote=second.id)).order
    assert seller.received(order.id).kind == "order"


def test_what_is_doubtful_goes_to_a_person(seller: Peer, buyer: Peer) -> None:
    request = buyer.open("coffee/roasted", "3 sample bag", "4 same words", "5 kg Sidamo")
    (quote,) = buyer.quoted(request.id)
    assert [line.request_line for line in quote.lines] == [3]
    assert quote.missing_lines == [1, 2]
    assert seller.received(request.id).state == "new"

    nothing = buyer.open("coffee/roasted", "3 sample bag", "4 same words")
    item = seller.received(nothing.id)
    assert (item.state, item.matched_lines) == ("new", 0)
    assert buyer.client.quotes(nothing.id).quotes == []


def test_more_than_the_stock_is_not_quoted_by_itself(seller: Peer, buyer: Peer) -> None:
    request = buyer.open("coffee/roasted", "5000 kg Yirgacheffe")
    assert seller.received(request.id).state == "new"
    assert seller.client.quotes(request.id).quotes == []


def test_a_withdrawn_quote_cannot_be_ordered(seller: Peer, buyer: Peer) -> None:
    request = buyer.open("coffee/roasted", "1 kg Sidamo")
    (quote,) = buyer.quoted(request.id)
    assert seller.ask("withdraw", quote.id)["kind"] == "quote"
    buyer.quote_state(quote.id, "withdrawn")
    assert "market quotes" in buyer.refuse(9, "order", quote.id)["hint"]


def test_closing_a_request_tells_its_sellers(seller: Peer, buyer: Peer) -> None:
    request = buyer.open("coffee/roasted", "1 roasting drum")
    seller.received(request.id)
    assert buyer.ask("close", request.id)["request"]["state"] == "cancelled"
    assert buyer.ask("close", request.id)["created"] is False
    seller.request_state(request.id, "cancelled")
    seller.refuse(9, "quote", request.id, "--total", "5 EUR")


def test_sellers_just_found_can_be_named_by_many_calls_at_once(net: Market) -> None:
    """The first of them writes down who was found, and the others wait for that."""
    seller, buyer = net["seller"], net["buyer"]
    buyer.ask("request", "coffee/roasted", "1 kg Yirgacheffe", "--quotes", "1")
    body = b.OpenRequest(
        category="coffee/roasted",
        line_texts=["1 kg Yirgacheffe"],
        reply_by="1h",
        to=[seller.client.identity().identity],
    )
    opened: list[t.RequestReply] = []
    threads = [threading.Thread(target=lambda: opened.append(buyer.client.request_open(body))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == len(threads)
