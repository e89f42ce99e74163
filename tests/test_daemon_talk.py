"""Haggling and talk between real daemons: counters, notes, contacts, amended orders, and how far every paper has come."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from daemons import Market, Peer, a_market, until

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


def item(peer: Peer, kind: str) -> Any:
    """The newest item of a kind in an inbox, once it is there."""

    def look() -> Any:
        found = [one for one in peer.ask("inbox")["items"] if one["kind"] == kind]
        return found[-1] if found else None

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
        {"what": "line 1 price", "before": "10 EUR / KGM", "after": "9 EUR / KGM"},
        {"what": "total", "before": "40.00 EUR", "after": "37.00 EUR"},
    ]
    again = buyer.ask("counter", quote.id[:8], "--line", "1=9", "--text", "for a regular", "--idempotency-key", "c1")
    assert (again["counter"]["id"], again["created"]) == (sent["counter"]["id"], False)
    (shown,) = buyer.client.quotes(request.id).quotes
    assert (shown.state, shown.counter) == ("countered", sent["counter"]["id"])

    came = item(seller, "counter")
    assert (came["id"], came["actions"]) == (sent["counter"]["id"], ["quote", "counter", "decline", "note"])
    assert came["act_by"]
    whole = seller.ask("show", came["id"][:8])
    assert (whole["kind"], whole["role"], whole["counters"][0]["text"]) == ("counter", "seller", "for a regular")

    offer = seller.ask("counter", came["id"], "--line", "1=9.50", "--valid", "2d")
    assert (offer["counter"], offer["quote"]["version"], offer["quote"]["total"]["amount"]) == (None, 2, "38.50")
    assert offer["quote"]["answers"] == came["id"]
    (second,) = buyer.quoted(request.id, version=2)
    assert buyer.client.show(came["id"]).counters[0].state == "answered"

    third = buyer.ask("counter", second.id, "--total", "38 EUR")["counter"]
    assert item(seller, "counter")["id"] == third["id"]
    yes = seller.ask("quote", third["id"])["quote"]
    assert (yes["version"], yes["total"]["amount"], yes["state"]) == (3, "38.00", "open")
    (last,) = buyer.quoted(request.id, version=3)
    order = buyer.client.order(b.NewOrder(quote=last.id)).order
    assert order.total.amount == "38.00"
    item(seller, "order")
    seller.ask("accept", order.id)
    assert buyer.settled(order.id, "agreed").total.amount == "38.00"


def test_a_counter_is_declined_and_the_quote_stands(seller: Peer, buyer: Peer) -> None:
    _, quote = quote_for(buyer)
    sent = buyer.ask("counter", quote.id, "--total", "1 EUR")["counter"]
    until("the counter", lambda: seller.client.show(sent["id"]).counters)
    assert seller.ask("decline", sent["id"], "--reason", "price", "--text", "below cost")["created"] is True
    shown = until("the no", lambda: next((c for c in buyer.client.show(quote.id).counters if c.state != "open"), None))
    assert (shown.state, shown.reason, shown.reply) == ("declined", "price", "below cost")
    assert buyer.client.show(quote.id).quote.state == "open"  # type: ignore[union-attr]
    assert buyer.refuse(9, "counter", quote.id, "--total", "2 EUR")["code"] == "wrong_state"
    again = seller.ask("quote", sent["id"])["quote"]  # he may still change his mind
    assert (again["version"], again["total"]["amount"]) == (2, "1.00")
