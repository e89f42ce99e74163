"""Haggling and talk between real daemons: counters, notes, contacts, amended orders, chains, the way of every paper."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from daemons import Market, Peer, a_market, until
from p2pmarket_cli.grid import Screen
from p2pmarket_cli.view_event import event_line

from p2pmarket.api import types as t
from p2pmarket.api.types import bodies as b

PRICES = b"""code,description,unit,price,currency,category
BEAN,beans,KGM,10.00,EUR,coffee/talk
LID,lids,pcs,2.50,EUR,coffee/talk
"""


@pytest.fixture(scope="module")
def net() -> Iterator[Market]:
    with a_market("seller", "rival", "buyer") as net:
        for name, shown in (("seller", "Roma"), ("rival", "Napoli")):
            net[name].client.profile_set(b.SetProfile(name=shown))
            net[name].announce("coffee/talk", "world")
        net["seller"].ask("prices", "import", "-", stdin=PRICES)
        yield net


@pytest.fixture
def seller(net: Market) -> Peer:
    return net["seller"]


@pytest.fixture
def rival(net: Market) -> Peer:
    return net["rival"]


@pytest.fixture
def buyer(net: Market) -> Peer:
    return net["buyer"]


def item(peer: Peer, kind: str, **fields: str) -> Any:
    """An item of a kind in an inbox with these fields, once it is there."""

    def look() -> Any:
        wanted = {"kind": kind, **fields}
        return next((one for one in peer.ask("inbox")["items"] if wanted.items() <= one.items()), None)

    return until(f"a {kind} in the inbox of {peer.daemon.name}", look)


def quote_for(buyer: Peer, *lines: str) -> tuple[t.Request, t.Quote]:
    request = buyer.open("coffee/talk", *(lines or ("3 kg beans", "4 lids")))
    (quote,) = buyer.quoted(request.id)
    return request, quote


def test_a_counter_goes_to_and_fro_until_it_is_ordered(seller: Peer, buyer: Peer) -> None:
    request, quote = quote_for(buyer)
    tried = buyer.ask("counter", quote.id, "--line", "1=9", "--dry-run")
    assert tried["counter"]["total"]["amount"] == "37.00"
    assert buyer.client.show(quote.id).counters == []

    sent = buyer.ask("counter", quote.id[:8], "--line", "1=9", "--text", "for a regular", "--idempotency-key", "c1")
    assert sent["created"] is True
    assert sent["quote"] is None
    assert sent["differences"] == [
        {"what": "line 1 price", "before": "10 EUR / kg", "after": "9 EUR / kg"},
        {"what": "total", "before": "40.00 EUR", "after": "37.00 EUR"},
    ]
    again = buyer.ask("counter", quote.id[:8], "--line", "1=9", "--text", "for a regular", "--idempotency-key", "c1")
    assert (again["counter"]["id"], again["created"]) == (sent["counter"]["id"], False)
    (shown,) = buyer.client.quotes(request.id).quotes
    assert (shown.state, shown.counter) == ("countered", sent["counter"]["id"])

    came = item(seller, "counter", id=sent["counter"]["id"])
    assert came["actions"] == ["quote", "counter", "decline", "note"]
    assert came["act_by"]
    whole = seller.ask("show", came["id"][:8])
    assert (whole["kind"], whole["role"], whole["counters"][0]["text"]) == ("counter", "seller", "for a regular")

    offer = seller.ask("counter", came["id"], "--line", "1=9.50", "--valid", "2d")
    assert (offer["counter"], offer["quote"]["version"], offer["quote"]["total"]["amount"]) == (None, 2, "38.50")
    assert offer["quote"]["answers"] == came["id"]
    (second,) = buyer.quoted(request.id, version=2)
    assert buyer.client.show(came["id"]).counters[0].state == "answered"

    third = buyer.ask("counter", second.id, "--total", "38 EUR")["counter"]
    item(seller, "counter", id=third["id"])
    yes = seller.ask("quote", third["id"])["quote"]
    assert (yes["version"], yes["total"]["amount"], yes["state"]) == (3, "38.00", "open")
    (last,) = buyer.quoted(request.id, version=3)
    order = buyer.client.order(b.NewOrder(quote=last.id)).order
    assert order.total.amount == "38.00"
    item(seller, "order", id=order.id)
    seller.ask("accept", order.id)
    assert buyer.settled(order.id, "agreed").total.amount == "38.00"


def test_a_counter_is_declined_and_the_quote_stands(seller: Peer, buyer: Peer) -> None:
    _, quote = quote_for(buyer)
    sent = buyer.ask("counter", quote.id, "--total", "1 EUR")["counter"]
    item(seller, "counter", id=sent["id"])
    assert seller.ask("decline", sent["id"], "--reason", "price", "--text", "below cost")["created"] is True
    shown = until("the no", lambda: next((c for c in buyer.client.show(quote.id).counters if c.state != "open"), None))
    assert (shown.state, shown.reason, shown.reply) == ("declined", "price", "below cost")
    assert buyer.client.show(quote.id).quote.state == "open"  # type: ignore[union-attr]
    assert buyer.refuse(9, "counter", quote.id, "--total", "2 EUR")["code"] == "wrong_state"
    again = seller.ask("quote", sent["id"])["quote"]  # he may still change his mind
    assert (again["version"], again["total"]["amount"]) == (2, "1.00")


def test_who_comes_back_finds_his_quotes_in_the_inbox(seller: Peer, buyer: Peer) -> None:
    lines = ("--line", "2 bridles", "--line", "1 saddle")
    request = buyer.ask("request", "coffee/talk", *lines, "--detach")["request"]
    seller.received(request["id"])
    seller.ask("quote", request["id"], "--line", "1=10 EUR")
    came = item(buyer, "quotes", id=request["id"])
    (first,) = buyer.client.quotes(request["id"]).quotes
    assert (came["quotes"], came["state"]) == ({"count": 1, "new": 1, "newest": first.id}, "new")
    assert (came["from"]["name"], came["lines"], came["matched_lines"]) == ("Roma", 2, 1)
    assert (came["act_by"], came["actions"][0]) == (first.valid_until, "quotes")
    assert buyer.client.status().inbox >= 1

    before = buyer.client.status().inbox
    assert buyer.ask("ack", "--seen", first.id)["seen"] == 1
    seen = item(buyer, "quotes", id=request["id"])
    assert (seen["quotes"]["new"], seen["state"]) == (0, "seen")
    assert buyer.client.status().inbox == before - 1
    until("the seller to know", lambda: seller.client.show(first.id).documents[-1].delivery == "seen")

    seller.ask("quote", request["id"], "--line", "1=9 EUR", "--line", "2=80 EUR")
    (second,) = buyer.quoted(request["id"], version=2)
    again = item(buyer, "quotes", id=request["id"], state="new")
    assert (again["quotes"], again["matched_lines"]) == ({"count": 1, "new": 1, "newest": second.id}, 2)
    assert buyer.ask("ack", "--seen", request["id"])["seen"] == 1  # all that came for it
    assert item(buyer, "quotes", id=request["id"])["state"] == "seen"

    buyer.ask("close", request["id"])
    assert request["id"] not in [one["id"] for one in buyer.ask("inbox")["items"]]


def test_notes_go_both_ways_and_name_files_by_hash(seller: Peer, buyer: Peer, tmp_path: Path) -> None:
    request, quote = quote_for(buyer)
    drawing = tmp_path / "drawing.pdf"
    drawing.write_bytes(b"%PDF as agreed")
    sent = buyer.ask("note", quote.id, "As", "drawn", "--attach", str(drawing))
    (said,) = sent["notes"]
    (file,) = said["attachments"]
    assert (file["name"], file["size"], file["media"]) == ("drawing.pdf", 14, "application/pdf")
    assert file["sha256"] == hashlib.sha256(drawing.read_bytes()).hexdigest()
    assert (said["sender"], said["about"], said["text"]) == ("me", quote.id, "As drawn")

    came = item(seller, "note", id=said["id"])
    assert (came["title"], came["actions"]) == ("As drawn", ["note"])
    (heard,) = seller.ask("show", quote.id)["notes"]
    assert (heard["sender"], heard["attachments"]) == ("other", said["attachments"])
    assert seller.ask("note", "--check", str(drawing))["notes"][0]["id"] == said["id"]
    assert seller.ask("note", quote.id, "--check", str(drawing))["notes"][0]["id"] == said["id"]
    _, elsewhere = quote_for(buyer)
    assert buyer.market("note", elsewhere.id, "--check", str(drawing)).code == 5
    other = tmp_path / "other.pdf"
    other.write_bytes(b"%PDF as agreeD")
    wrong = seller.market("note", "--check", str(other), "--json")
    assert (wrong.code, wrong.json["notes"]) == (5, [])

    answer = seller.ask("note", came["id"], "Seen, fits")["notes"][0]
    assert (answer["answers"], answer["about"]) == (said["id"], quote.id)
    assert said["id"] not in {one["id"] for one in seller.ask("inbox")["items"]}
    item(buyer, "note", id=answer["id"])
    assert [one["text"] for one in buyer.ask("show", request.id)["notes"]] == ["As drawn", "Seen, fits"]

    assert buyer.refuse(65, "note", quote.id)["code"] == "bad_input"
    assert buyer.refuse(5, "note", "q-aaaaaaaa", "hello")["code"] == "not_found"
    assert buyer.market("note", "--json").code == 2


def test_a_note_about_a_request_goes_to_all_who_have_it_or_to_one(seller: Peer, rival: Peer, buyer: Peer) -> None:
    request, _ = quote_for(buyer)
    until("the rival to have it", lambda: len([s for s in buyer.sellers(request.id) if s.delivery != "queued"]) == 2)
    rival.received(request.id)
    seller.received(request.id)
    until("both to have it", lambda: all(one.delivery in {"delivered", "seen"} for one in buyer.sellers(request.id)))
    sent = buyer.ask("note", request.id, "The gate is low")
    assert {note["peer"]["name"] for note in sent["notes"]} == {"Roma", "Napoli"}
    item(rival, "note", title="The gate is low")
    (one,) = buyer.ask("note", request.id, "Call me", "--to", "napoli")["notes"]
    assert one["peer"]["name"] == "Napoli"
    item(rival, "note", title="Call me")
    assert buyer.refuse(5, "note", request.id, "x", "--to", "Torino")["code"] == "not_found"
    assert {note["text"] for note in seller.ask("show", request.id)["notes"]} == {"The gate is low"}


def test_seen_is_told_and_every_paper_shows_how_far_it_has_come(seller: Peer, buyer: Peer) -> None:
    request, quote = quote_for(buyer)
    before = {paper["kind"]: paper for paper in seller.ask("show", quote.id)["documents"]}
    assert (before["quote"]["signer"], before["quote"]["delivery"]) == ("me", "delivered")
    assert before["quote"]["next"] is None
    assert before["request"]["delivery"] is None
    assert buyer.ask("ack", "--seen", quote.id)["seen"] == 1
    assert buyer.ask("ack", "--seen", quote.id)["seen"] == 0

    def quote_way() -> str:
        papers = seller.ask("show", quote.id)["documents"]
        return str(next(one["delivery"] for one in papers if one["kind"] == "quote"))

    until("the seller to hear it", lambda: quote_way() == "seen")
    assert seller.ask("ack", "--seen", request.id)["seen"] == 1

    def told() -> list[str | None]:
        return [state.seller.name for state in buyer.sellers(request.id) if state.delivery == "seen"]

    until("the buyer to hear it", lambda: told() == ["Roma"])
    assert buyer.ask("ack", "--seen", request.id)["seen"] == 0  # its quotes: their seller knows already
    assert buyer.refuse(65, "ack", "--seen", buyer.open("nobody sells this", "1 dodo").id)["code"] == "bad_input"
    note = buyer.ask("note", quote.id, "look")["notes"][0]
    item(seller, "note", id=note["id"])
    assert seller.ask("ack", "--seen", note["id"])["seen"] == 1
    until("the note to be seen", lambda: buyer.ask("show", note["id"])["notes"][0]["delivery"] == "seen")
    assert note["id"] not in {one["id"] for one in seller.ask("inbox")["items"]}  # it asks for nothing
    assert note["id"] in {one["id"] for one in seller.ask("inbox", "--state", "answered")["items"]}


def test_an_amended_order_goes_back_as_a_new_version(seller: Peer, buyer: Peer) -> None:
    _, quote = quote_for(buyer, "6 kg beans", "4 lids")
    order = buyer.client.order(b.NewOrder(quote=quote.id)).order
    # the seller's daemon accepts automatic quotes by itself; a quote by hand waits for a person
    assert buyer.settled(order.id, "agreed")
    request = buyer.open("coffee/talk", "6 hand mills")
    seller.received(request.id)
    seller.ask("quote", request.id, "--line", "1=30 EUR")
    (quote,) = buyer.quoted(request.id)
    order = buyer.client.order(b.NewOrder(quote=quote.id)).order
    item(seller, "order", id=order.id)
    tried = seller.ask("amend", order.id, "--quantity", "1=4", "--dry-run")
    assert tried["order"]["state"] == "amended"
    assert seller.client.show(order.id).order.state == "ordered"  # type: ignore[union-attr]
    done = seller.ask("amend", order.id[:9], "--quantity", "1=4", "--delivery-days", "3", "--text", "only four left")
    assert (done["order"]["state"], done["quote"]["version"], done["created"]) == ("amended", 2, True)
    assert done["quote"]["total"]["amount"] == "120.00"
    again = seller.ask("amend", order.id, "--quantity", "1=4", "--delivery-days", "3", "--text", "only four left")
    assert (again["quote"]["id"], again["created"]) == (done["quote"]["id"], False)
    refused = seller.refuse(9, "amend", order.id, "--quantity", "1=5")
    assert (refused["code"], refused["details"]) == ("wrong_state", {"quote": done["quote"]["id"]})

    came = item(buyer, "amendment", id=done["quote"]["id"])
    assert came["actions"] == ["order", "note"]
    assert came["act_by"] == done["quote"]["valid_until"]
    assert buyer.settled(order.id, "amended").turn == "me"
    assert buyer.ask("ack", "--seen", came["id"])["seen"] == 1
    second = buyer.ask("order", came["id"])["order"]
    assert second["total"]["amount"] == "120.00"
    item(seller, "order", id=second["id"])
    seller.ask("accept", second["id"])
    deal = buyer.settled(second["id"], "agreed")
    assert deal.total.amount == "120.00"
    said = buyer.ask("note", deal.id, "which carrier?")["notes"][0]
    item(seller, "note", id=said["id"])
    assert seller.ask("show", deal.id)["notes"][-1]["text"] == "which carrier?"
    assert not [one for one in buyer.ask("inbox")["items"] if one["kind"] == "amendment"]
    assert seller.refuse(9, "amend", second["id"], "--line", "1=1")["code"] == "wrong_state"


def lost(peer: Peer, request: str) -> t.Outcome:
    """How a request ended for a seller, once he was told."""

    def look() -> t.Outcome | None:
        shown = peer.client.show(request).request
        return shown.outcome if shown is not None else None

    return until(f"the outcome of {request} at {peer.daemon.name}", look)


def two_quotes(buyer: Peer, rival: Peer) -> tuple[t.Request, t.Quote, t.Quote]:
    """A request that the seller has answered by himself and the rival by hand."""
    request, first = quote_for(buyer)
    rival.received(request.id)
    rival.ask("quote", request.id, "--line", "1=11 EUR", "--line", "2=3 EUR")
    quotes = {quote.seller.name: quote for quote in buyer.quoted(request.id, count=2)}
    assert quotes["Roma"].id == first.id
    return request, first, quotes["Napoli"]


@pytest.mark.parametrize("told", [True, False])
def test_losing_sellers_learn_it_and_the_price_if_the_buyer_wants(
    seller: Peer, rival: Peer, buyer: Peer, told: bool
) -> None:
    request, first, _ = two_quotes(buyer, rival)
    order = buyer.ask("order", first.id, *(["--tell-price"] if told else []))["order"]
    buyer.settled(order["id"], "agreed")
    outcome = lost(rival, request.id)
    assert outcome.result == "lost"
    assert outcome.price == (t.Money(amount="40.00", currency="EUR") if told else None)
    assert seller.client.show(request.id).request.outcome is None  # type: ignore[union-attr]
    assert buyer.ask("close", request.id)["created"] is False  # everybody knows


def test_after_a_part_the_buyer_says_when_it_is_over(seller: Peer, rival: Peer, buyer: Peer) -> None:
    request, first, second = two_quotes(buyer, rival)
    order = buyer.ask("order", first.id, "--line", "1")["order"]
    buyer.settled(order["id"], "agreed")
    assert rival.client.show(request.id).request.outcome is None  # type: ignore[union-attr]
    assert buyer.client.show(second.id).quote.state == "open"  # type: ignore[union-attr]
    closed = buyer.ask("close", request.id, "--tell-price", "--text", "thanks to all")
    assert (closed["created"], closed["request"]["state"]) == (True, "awarded")
    outcome = lost(rival, request.id)
    assert outcome.text == "thanks to all"
    assert outcome.price == t.Money(amount="30.00", currency="EUR")
    assert rival.quote_state(second.id, "lost")


def test_contacts_see_who_asks_and_strangers_do_not(seller: Peer, rival: Peer, buyer: Peer) -> None:
    identity = buyer.client.identity().identity
    _, quote = quote_for(buyer)
    assert buyer.ask("contacts")["contacts"] == []
    added = buyer.ask("contacts", "add", quote.id, "My roaster")
    assert (added["created"], added["contact"]["announced_name"]) == (True, "Roma")
    assert added["contact"]["categories"] == ["coffee/talk"]
    assert buyer.ask("contacts", "add", quote.id)["created"] is False
    assert buyer.refuse(65, "contacts", "add", "Napoli", "my ROASTER")["code"] == "bad_input"
    (listed,) = buyer.ask("contacts", "list")["contacts"]
    assert listed["key"] == seller.client.identity().identity

    request = buyer.open("coffee/talk", "1 kg beans")
    assert (request.introduced, request.made_for) == ("contacts", None)
    rival.received(request.id)
    seen = until("the contact to know", lambda: seller.received(request.id).sender.identity)
    assert seen == identity
    assert rival.received(request.id).sender.identity is None
    assert not [one for one in rival.client.show(request.id).documents if one.kind == "note"]
    told = seller.ask("contacts", "add", request.id, "Buyer")  # he has made himself known
    assert told["contact"]["key"] == identity

    words = ("request", "coffee/talk", "2 kg beans", "--anonymous", "--to", "my roaster", "--detach")
    hidden = buyer.ask(*words)["request"]
    seller.received(hidden["id"])
    buyer.quoted(hidden["id"])
    assert hidden["introduced"] == "nobody"
    assert seller.received(hidden["id"]).sender.identity is None
    assert buyer.ask("show", hidden["id"])["notes"] == []

    known = buyer.ask("request", "coffee/talk", "3 kg beans", "--introduce", "--detach")["request"]
    assert rival.received(known["id"]).sender.identity == identity
    assert buyer.ask("contacts", "remove", "MY ROASTER")["removed"] is True
    assert buyer.refuse(5, "contacts", "remove", "my roaster")["code"] == "not_found"
    assert buyer.refuse(5, "request", "coffee/talk", "x", "--to", "my roaster", "--detach")["code"] == "not_found"


def test_a_chain_of_three_buyer_reseller_producer(
    net: Market, seller: Peer, rival: Peer, buyer: Peer, tmp_path: Path
) -> None:
    producer, reseller = seller, rival
    reseller.announce("chain/retail", "world")
    producer.announce("chain/maker", "world")
    wanted = buyer.ask(
        "request", "chain/retail", "--line", "3 kg beans", "--line", "4 lids", "--line", "1 spoon", "--detach"
    )["request"]
    reseller.received(wanted["id"])

    asked = reseller.ask("request", "chain/maker", "--for", wanted["id"], "--detach")["request"]
    assert [(one["no"], one["text"]) for one in asked["lines"]] == [(1, "beans"), (2, "lids"), (3, "spoon")]
    assert asked["made_for"] == wanted["id"]
    assert asked["reply_by"] < wanted["reply_by"]
    assert reseller.client.show(wanted["id"]).request.upstream == [asked["id"]]  # type: ignore[union-attr]
    (bought,) = reseller.quoted(asked["id"])
    assert (bought.total.amount, bought.missing_lines) == ("40.00", [3])
    upstream = producer.client.show(asked["id"]).request
    assert upstream is not None
    assert (upstream.made_for, upstream.reference, upstream.subject) == (None, None, None)

    made = reseller.ask("quote", wanted["id"], "--from", bought.id, "--margin", "12%", "--dry-run")["quote"]
    assert made["total"]["amount"] == "44.80"
    assert reseller.refuse(65, "quote", wanted["id"], "--from", bought.id, "--valid", "60d")["hint"]
    made = reseller.ask("quote", wanted["id"], "--from", bought.id, "--margin", "12%")["quote"]
    assert [(one["no"], one["price"]["amount"], one["code"]) for one in made["lines"]] == [
        (1, "11.2", None),
        (2, "2.8", None),
    ]
    assert (made["missing_lines"], made["valid_until"]) == ([3], bought.valid_until)

    order = reseller.client.order(b.NewOrder(quote=bought.id)).order
    assert reseller.settled(order.id, "agreed")
    words = ("quote", wanted["id"], "--from", bought.id, "--margin", "12%", "--upstream", order.deal)
    made = reseller.ask(*words)["quote"]
    assert (made["version"], made["upstream"]) == (2, [order.deal])
    (offered,) = buyer.quoted(wanted["id"], version=2)
    assert offered.upstream == [order.deal]
    sold = buyer.ask("order", offered.id)["order"]
    item(reseller, "order", id=sold["id"])
    reseller.ask("accept", sold["id"])
    deal = buyer.settled(sold["id"], "agreed")
    assert (deal.total.amount, deal.upstream) == ("44.80", [order.deal])
    assert reseller.settled(sold["id"], "agreed").upstream == [order.deal]
    file = tmp_path / "deal.json"
    buyer.ask("export", deal.id, "-o", str(file))
    assert buyer.ask("verify", str(file))["upstream"] == [order.deal]
    assert reseller.settled(order.id, "agreed").made_for == wanted["id"]
    assert producer.settled(order.id, "agreed").made_for is None


def test_what_cannot_be_passed_on(seller: Peer, rival: Peer, buyer: Peer) -> None:
    request = buyer.open("coffee/talk", "3 kg beans", currency="USD")
    rival.received(request.id)
    asked = rival.ask("request", "coffee/talk", "--for", request.id, "--currency", "EUR", "--to", "Roma", "--detach")
    (quote,) = rival.quoted(asked["request"]["id"])
    error = rival.refuse(65, "quote", request.id, "--from", quote.id)
    assert "EUR" in error["message"]
    assert "USD" in error["message"]
    assert "--line" in error["hint"]
    assert rival.refuse(65, "quote", request.id, "--from", request.id)["code"] == "bad_input"
    assert rival.refuse(65, "quote", request.id, "--from", quote.id, "--margin", "much")["code"] == "bad_input"
    assert rival.market("quote", request.id, "--line", "1=2", "--margin", "5%", "--json").code == 2
    other = buyer.open("coffee/talk", "3 tins of paint", currency="EUR")
    rival.received(other.id)
    assert "no line" in rival.refuse(65, "quote", other.id, "--from", quote.id)["message"]
    assert buyer.refuse(65, "request", "--for", request.id, "--detach")["code"] == "bad_input"  # it is his own
    assert buyer.market("request", "--json").code == 2


def told(peer: Peer, since: int, *types: str) -> list[t.Event]:
    """The first event of each of these types after `since`, once all have come."""
    found: dict[str, t.Event] = {}

    def look() -> bool:
        while (event := events.wait(0.05)) is not None:
            found.setdefault(event.type, event)
        return set(types) <= set(found)

    with peer.client.events(since) as events:
        until(f"{types} at {peer.daemon.name}", look)
    return [found[one] for one in types]


def test_who_watches_hears_of_it(seller: Peer, rival: Peer, buyer: Peer) -> None:
    at_seller, at_buyer, at_rival = (peer.client.status().last_seq for peer in (seller, buyer, rival))
    request, quote, _ = two_quotes(buyer, rival)
    question = seller.ask("note", request.id, "which grind?")["notes"][0]
    counter = buyer.ask("counter", quote.id, "--total", "35 EUR")["counter"]
    heard, came, delivered = told(buyer, at_buyer, "note.received", "quote.countered", "delivery.changed")
    assert heard.data["id"] == request.id
    assert (came.data["id"], came.data["state"], came.data["counter"]) == (quote.id, "countered", counter["id"])
    assert delivered.data["delivery"] in {"delivered", "seen"}
    (got,) = told(seller, at_seller, "counter.received")
    assert (got.data["id"], got.data["counter"]) == (quote.id, counter["id"])
    assert item(buyer, "note", id=question["id"])["from"]["name"] == "Roma"

    def ways() -> set[str]:
        with buyer.client.events(at_buyer) as events:
            seen = iter(lambda: events.wait(0.2), None)
            return {one.data["kind"] for one in seen if one.type == "delivery.changed" and "kind" in one.data}

    until("the way of the counter", lambda: "counter" in ways())
    seller.ask("decline", counter["id"], "--reason", "price")
    (no,) = told(buyer, at_buyer, "counter.declined")
    assert (no.id, no.data["state"]) == (counter["id"], "open")
    order = buyer.ask("order", quote.id, "--tell-price")["order"]
    buyer.settled(order["id"], "agreed")
    (end,) = told(rival, at_rival, "request.closed")
    assert end.data["outcome"]["price"] == {"amount": "40.00", "currency": "EUR"}
    out = "\n".join(str(event_line(one, Screen(width=200, now=0.0, terminal=False))) for one in (no, end, got))
    assert "lost for 40.00 EUR" in out


def test_what_does_not_arrive_says_what_comes_next(net: Market, seller: Peer, rival: Peer, buyer: Peer) -> None:
    request, _ = quote_for(buyer)
    rival.received(request.id)
    rival.ask("quote", request.id, "--line", "1=11 EUR")
    quotes = {quote.seller.name: quote for quote in buyer.quoted(request.id, count=2)}
    rival.kill()
    said = buyer.ask("note", quotes["Napoli"].id, "are you there?")["notes"][0]

    def paper() -> Any:
        return buyer.ask("show", said["id"])["documents"][0]

    until("a call that failed", lambda: paper()["next_try_at"])
    now = paper()
    assert (now["delivery"], now["next"], now["recipient"]["name"]) == ("queued", "call", "Napoli")
    assert now["issued_at"] < now["next_try_at"] < now["gives_up_at"]
    text = buyer.market("show", said["id"]).out
    assert "calls again" in text
    assert "until" in text
    rival.start()
    until("it to arrive", lambda: paper()["delivery"] == "delivered")
    assert (paper()["next"], paper()["gives_up_at"]) == (None, None)
    item(rival, "note", id=said["id"])


def test_a_quote_says_whose_turn_it_is_and_what_can_be_done(seller: Peer, buyer: Peer) -> None:
    _, quote = quote_for(buyer)
    assert (quote.turn, quote.then, quote.actions) == ("me", "the quote expires", ["order", "counter", "note"])
    sent = buyer.ask("counter", quote.id, "--total", "39 EUR")["counter"]
    item(seller, "counter", id=sent["id"])
    mine, theirs = buyer.client.show(quote.id).quote, seller.client.show(quote.id).quote
    assert mine is not None
    assert theirs is not None
    assert (mine.turn, mine.actions) == ("other", ["order", "note"])
    assert (theirs.turn, theirs.actions) == ("me", ["quote", "decline", "withdraw", "note"])
    assert "yours" in seller.market("show", quote.id).out
