"""Daemons that are killed at any time: what they had said comes back, what was under way goes on, nobody is doubled."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import msgspec
import pytest
from daemons import Market, Peer, a_market, joined, until

from p2pmarket.api.types import bodies as b

PRICES = b"code,description,unit,price,currency\nT1,green tea,KGM,12.00,EUR\n"
AGAIN = 100  # seconds: a correspondent who was away is tried after 5, then 60


@pytest.fixture(scope="module")
def net() -> Iterator[Market]:
    with a_market("seller", "buyer") as net:
        net["seller"].client.profile_set(b.SetProfile(name="Tea House", region="KR", address=["1 Tea Road", "Seoul"]))
        assert net["seller"].ask("prices", "import", "-", stdin=PRICES)["imported"] == 1
        net["seller"].announce("tea", "world")
        yield net


@pytest.fixture
def seller(net: Market) -> Peer:
    return net["seller"]


@pytest.fixture
def buyer(net: Market) -> Peer:
    return net["buyer"]


def known_nodes(peer: Peer) -> int:
    """How many nodes its cache holds on disk."""
    with closing(sqlite3.connect(f"file:{peer.home}/cache.sqlite?mode=ro", uri=True)) as cache:
        return int(cache.execute("SELECT count(*) FROM nodes").fetchone()[0])


def everything(peer: Peer) -> dict[str, Any]:
    """All that a daemon has to remember, as its API tells it."""
    client = peer.client
    requests = client.requests().requests
    identity = client.identity()
    shown = {
        "identity": (identity.identity, identity.name, identity.fingerprint),
        "profile": client.profile(),
        "requests": requests,
        "reports": [client.request_get(request.id) for request in requests],
        "inbox": client.inbox(),
        "deals": client.deals(),
        "orders": [client.show(deal.order).documents for deal in client.deals().deals],
        "prices": client.prices_export(),
        "announced": [(one.id, one.category, one.regions) for one in client.announcements().announcements],
        "events": [(event.seq, event.type, event.id) for event in events_after(peer, 0)],
        "stream": client.status().stream,
    }
    return {name: msgspec.to_builtins(value) for name, value in shown.items()}


def events_after(peer: Peer, since: int) -> list[Any]:
    """All kept events up to now."""
    last = peer.client.status().last_seq
    events: list[Any] = []
    with peer.client.events(since) as stream:
        while (stream.since or 0) < last:
            event = stream.wait(10)
            assert event is not None, f"{last} events were promised"
            events.append(event)
    return events


def test_all_comes_back_after_a_kill(seller: Peer, buyer: Peer) -> None:
    done = buyer.open("tea", "5 kg green tea")
    order = buyer.client.order(b.NewOrder(quote=buyer.quoted(done.id)[0].id, reference="PO-1")).order
    buyer.settled(order.id, "agreed")
    by_hand = buyer.open("tea", "1 tea house")
    seller.received(by_hand.id)
    seller.client.quote(by_hand.id, b.NewQuote(total="9000 EUR"))
    buyer.quoted(by_hand.id)
    for peer in (seller, buyer):
        until("nothing to be under way", lambda peer=peer: peer.client.status().outbox.waiting == 0)  # type: ignore[misc]
        before = everything(peer)
        peer.crash()
        assert everything(peer) == before
    ordered = buyer.client.order(b.NewOrder(quote=buyer.quoted(by_hand.id)[0].id)).order
    seller.received(ordered.id)
    seller.client.accept(ordered.id, b.Accept())
    assert buyer.settled(ordered.id, "agreed", AGAIN)


@pytest.mark.parametrize("victims", [["seller"], ["buyer"], ["seller", "buyer"]], ids="+".join)
@pytest.mark.parametrize("moment", ["asked", "ordered"])
def test_a_kill_in_the_middle_of_a_trade_loses_and_doubles_nothing(
    net: Market, seller: Peer, buyer: Peer, moment: str, victims: list[str]
) -> None:
    def crash() -> None:
        for name in victims:
            net[name].kill()
        for name in victims:
            net[name].start()

    request = buyer.open("tea", "2 kg green tea")
    if moment == "asked":
        crash()
    (quote,) = buyer.quoted(request.id, seconds=AGAIN)
    order = buyer.client.order(b.NewOrder(quote=quote.id)).order
    if moment == "ordered":
        crash()
    again = buyer.client.order(b.NewOrder(quote=quote.id))
    assert (again.created, again.order.id) == (False, order.id)
    mine = buyer.settled(order.id, "agreed", AGAIN)
    theirs = seller.settled(order.id, "agreed")
    assert (mine.total, mine.agreed_at, mine.quote) == (theirs.total, theirs.agreed_at, theirs.quote)
    for peer in (seller, buyer):
        assert [deal.order for deal in peer.client.deals().deals if deal.request == request.id] == [order.id]
    assert len(buyer.client.quotes(request.id).quotes) == 1
    assert [item.id for item in seller.client.inbox().items if item.id in {order.id, request.id}] == []


def test_events_have_no_gap_and_no_double_across_a_kill(buyer: Peer) -> None:
    before = buyer.client.status()
    with buyer.client.events(before.last_seq) as stream:
        buyer.open("tea", "1 kg green tea")
        seen = [wait(stream)]
        buyer.crash()
        request = buyer.open("tea", "3 kg green tea")
        while seen[-1].type != "quote.received" or seen[-1].data["request"] != request.id:
            seen.append(wait(stream))
    numbers = [event.seq for event in seen if event.seq is not None]
    assert numbers == list(range(before.last_seq + 1, before.last_seq + 1 + len(numbers)))
    assert {event.stream for event in seen} == {before.stream}
    assert [event.seq for event in events_after(buyer, before.last_seq)][: len(numbers)] == numbers


def wait(stream: Any) -> Any:
    event = stream.wait(30)
    assert event is not None
    return event


def test_a_deadline_that_passes_while_the_daemon_is_dead_is_told_afterwards(seller: Peer, buyer: Peer) -> None:
    request = buyer.open("tea", "1 dragon", reply_by="3s")
    seller.received(request.id)
    for peer in (seller, buyer):
        peer.kill()
    seller.start()
    seller.request_state(request.id, "expired")
    buyer.start()
    report = buyer.client.request_get(request.id)
    assert (report.request.state, report.ended) == ("expired", "deadline")
    assert buyer.answered(request.id, "silent")
    for peer in (seller, buyer):
        until("the end to be told", lambda peer=peer: times_closed(peer, request.id) == 1)  # type: ignore[misc]
    buyer.crash()
    another = buyer.open("tea", "1 phoenix", reply_by="1s")
    until("a later end to be told", lambda: times_closed(buyer, another.id) == 1)
    assert times_closed(buyer, request.id) == 1


def times_closed(peer: Peer, request: str) -> int:
    return [(event.type, event.id) for event in events_after(peer, 0)].count(("request.closed", request))


def test_an_idempotency_key_holds_across_a_kill(seller: Peer, buyer: Peer) -> None:
    words = ("request", "tea", "4 kg green tea", "--detach", "--idempotency-key", "once")
    first = buyer.ask(*words)["request"]
    buyer.crash()
    assert buyer.ask(*words)["request"]["id"] == first["id"]
    assert "another call" in buyer.refuse(65, *words[:2], "5 kg green tea", *words[3:])["message"]
    (quote,) = buyer.quoted(first["id"], seconds=AGAIN)
    ordered = buyer.ask("order", quote.id, "--idempotency-key", "order-1")
    buyer.crash()
    again = buyer.ask("order", quote.id, "--idempotency-key", "order-1")
    assert (ordered["created"], again["created"]) == (True, False)
    assert again["order"]["id"] == ordered["order"]["id"]


def test_a_withdrawn_announcement_is_found_no_more(net: Market, seller: Peer, buyer: Peer) -> None:
    announced = seller.announce("matcha bowls")
    assert seller.ask("withdraw", announced.id)["created"] is True
    assert seller.ask("withdraw", announced.id)["created"] is False
    request = buyer.open("matcha bowls", "1 bowl")
    until("the search to be over", lambda: buyer.client.request_get(request.id).request.search.complete)
    assert [one.seller.name for one in buyer.sellers(request.id)] == []
    seller.crash()
    assert "matcha bowls" not in {one.category for one in seller.client.announcements().announcements}


def test_announcements_are_published_anew_by_a_daemon_that_comes_back(net: Market, seller: Peer, buyer: Peer) -> None:
    """Holders keep records in memory: after all have died the publisher's return makes him findable again."""
    for peer in net.peers.values():
        peer.kill()
    for peer in net.peers.values():
        peer.start()
    joined(net, net.peers)
    request = buyer.open("tea", "6 kg green tea")
    assert buyer.quoted(request.id, seconds=AGAIN)


def test_the_network_is_joined_again_without_its_bootstrap(net: Market, seller: Peer, buyer: Peer) -> None:
    for peer in (seller, buyer):
        until("two known nodes on disk", lambda peer=peer: known_nodes(peer) >= 2)  # type: ignore[misc]
    net["bootstrap"].kill()
    for peer in (seller, buyer):
        flags = peer.daemon.arguments
        at = flags.index("--bootstrap")
        del flags[at : at + 2]
        peer.kill()
    seller.start()
    buyer.start()
    joined(net, ["seller", "buyer"])
    request = buyer.open("tea", "7 kg green tea")
    assert buyer.quoted(request.id, seconds=AGAIN)
    late = net.add("late", "--bootstrap", contact(seller))
    assert until("contacts", lambda: late.client.status().dht.contacts >= 2 or None)


def contact(peer: Peer) -> str:
    told = until("a contact to give away", lambda: peer.client.identity().contact)
    assert isinstance(told, str)
    return told
