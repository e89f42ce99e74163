"""Requests to one contact over one link, between real daemons."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from daemons import Market, Peer, a_market, until

PRICES = b"code,description,unit,price,per,currency\nYIR,Yirgacheffe,KGM,15.50,1,EUR\n"


@pytest.fixture
def net() -> Iterator[Market]:
    with a_market("seller", "buyer") as net:
        seller, buyer = net["seller"], net["buyer"]
        seller.ask("prices", "import", "-", stdin=PRICES)
        seller.announce("coffee/roasted", "world")
        buyer.ask("request", "coffee/roasted", "1 kg Yirgacheffe", "--quotes", "1")
        buyer.ask("contacts", "add", seller.client.identity().identity, "Roaster")
        yield net


def asked(buyer: Peer, amount: str) -> str:
    """The id of a request to the contact alone, which nobody waits for."""
    report = buyer.ask(
        "request", "coffee/roasted", f"{amount} kg Yirgacheffe", "--quotes", "1", "--to", "Roaster", "--detach"
    )
    return str(report["request"]["id"])


def state(buyer: Peer, request: str) -> Any:
    """What the only seller of a request has answered, and when he is dialled again."""
    (seller,) = buyer.ask("show", request)["sellers"]
    return seller


def test_a_contact_who_was_away_is_dialled_at_once_when_he_is_asked_again(net: Market) -> None:
    """The pause before the next try is a minute by then; it is for those who wait, not for who asks anew."""
    seller, buyer = net["seller"], net["buyer"]
    seller.daemon.stop()
    requests = [asked(buyer, "3"), asked(buyer, "4")]
    for request in requests:
        until("the first try", lambda request=request: state(buyer, request)["answer"] == "unreachable")  # type: ignore[misc]
    before = state(buyer, requests[0])["next_try_at"]
    until("the second try", lambda: state(buyer, requests[0])["next_try_at"] not in {None, before})
    seller.start()
    requests.append(asked(buyer, "5"))
    for request in requests:
        until("the quote", lambda request=request: state(buyer, request)["answer"] == "quoted", seconds=20)  # type: ignore[misc]
