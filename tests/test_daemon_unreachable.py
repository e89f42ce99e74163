"""Daemons that nobody can dial: they call out, and what is written for them while they are away reaches them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from daemons import Market, Peer, a_market, until

from p2pmarket.api.types import bodies as b

AGAIN = 100  # seconds: a correspondent who was away is tried after 5, then 60


@pytest.fixture(scope="module")
def net() -> Iterator[Market]:
    """A seller whom all can reach, one whom nobody can, and a buyer of either kind."""
    closed = ["--outbound-only"]
    with a_market("seller", "hidden", "buyer", "nat", flags={"hidden": closed, "nat": closed}) as net:
        net["seller"].announce("clocks", "world")
        yield net


@pytest.fixture
def seller(net: Market) -> Peer:
    return net["seller"]


@pytest.fixture
def nat(net: Market) -> Peer:
    """The buyer who accepts no connection."""
    return net["nat"]


def test_who_cannot_be_reached_is_told_so(net: Market) -> None:
    hidden = net["hidden"]
    announced = hidden.ask("announce", "sundials")
    assert "unreachable" in {problem["code"] for problem in announced["problems"]}
    status = hidden.client.status()
    assert (status.reachable.verdict, status.reachable.addresses) == ("outbound_only", [])
    told = [problem.message for problem in status.problems]
    assert "announced, but buyers cannot reach you" in told
    doctor = {check.name: check for check in hidden.client.doctor().checks}
    assert doctor["reachability"].state == "warning"
    assert doctor["reachability"].hint
    assert "announced, but buyers cannot reach you" in hidden.market("status").out
    assert hidden.client.identity().contact is None


def test_a_seller_without_a_way_in_is_shown_as_unreachable_and_not_as_silent(net: Market, nat: Peer) -> None:
    net["hidden"].announce("sundials")
    request = nat.open("sundials", "1 sundial")
    (state,) = nat.answered(request.id, "unreachable")
    assert "accepts no connection" in (state.reason or "")


def test_a_quote_by_hand_reaches_a_buyer_behind_a_router_over_the_link_he_keeps(seller: Peer, nat: Peer) -> None:
    request = nat.open("clocks", "1 pendulum clock")
    seller.received(request.id)
    linked(seller)
    seller.client.quote(request.id, b.NewQuote(total="120 EUR"))
    (quote,) = nat.quoted(request.id)
    order = nat.client.order(b.NewOrder(quote=quote.id)).order
    seller.received(order.id)
    seller.client.accept(order.id, b.Accept())
    assert nat.settled(order.id, "agreed")
    shown = seller.client.show(order.id)
    until(
        "the acceptance to be acknowledged",
        lambda: all(
            paper.delivery in {"delivered", "seen"}
            for paper in seller.client.show(order.id).documents
            if paper.signer == "me"
        ),
    )
    assert [paper.kind for paper in shown.documents] == ["request", "quote", "order", "order_response"]


def linked(peer: Peer) -> None:
    """Wait until somebody holds a link to this daemon."""
    until("an open link", lambda: any(one.kind == "link" for one in peer.client.peers().peers))


def test_a_quote_written_after_the_seller_was_killed_reaches_the_buyer(seller: Peer, nat: Peer) -> None:
    request = nat.open("clocks", "2 cuckoo clocks")
    seller.received(request.id)
    linked(seller)
    seller.crash()
    seller.client.quote(request.id, b.NewQuote(total="240 EUR"))
    (quote,) = nat.quoted(request.id, seconds=AGAIN)
    assert quote.total.amount == "240.00"


def test_a_quote_written_while_the_buyer_was_dead_reaches_him(seller: Peer, nat: Peer) -> None:
    request = nat.open("clocks", "3 wall clocks")
    seller.received(request.id)
    nat.kill()
    until("the link to be gone", lambda: not any(one.kind == "link" for one in seller.client.peers().peers))
    made = seller.client.quote(request.id, b.NewQuote(total="90 EUR")).quote
    assert json.loads(seller.market("status", "--json").out)["outbox"]["waiting"] >= 1
    nat.start()
    (quote,) = nat.quoted(request.id, seconds=AGAIN)
    assert quote.id == made.id
    until("the outbox of the seller to be empty", lambda: seller.client.status().outbox.waiting == 0)


def test_a_seller_who_can_no_longer_be_reached_calls_a_buyer_who_can(net: Market, seller: Peer) -> None:
    buyer = net["buyer"]
    request = buyer.open("clocks", "4 alarm clocks")
    seller.received(request.id)
    seller.crash("--outbound-only")
    seller.client.quote(request.id, b.NewQuote(total="40 EUR"))
    (quote,) = buyer.quoted(request.id, seconds=AGAIN)
    order = buyer.client.order(b.NewOrder(quote=quote.id)).order
    seller.received(order.id)
    seller.client.accept(order.id, b.Accept())
    assert buyer.settled(order.id, "agreed", AGAIN)
    seller.crash()


def test_two_peers_dial_back_to_one_who_can_be_reached(net: Market) -> None:
    """Last in this file: it is long decided for daemons that were not stopped in between."""

    def reached() -> Peer | None:
        for name in ("buyer", "bootstrap"):
            reachable = net[name].client.status().reachable
            if reachable.verdict == "public" and reachable.checked_by >= 2:
                return net[name]
        return None

    peer = until("two peers to dial back", reached, 60)
    checks = {check.name: check.state for check in peer.client.doctor().checks}
    assert (checks["reachability"], checks["ports"], checks["peers"]) == ("ok", "ok", "ok")
