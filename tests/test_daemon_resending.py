"""Real daemons that do not hear of each other for longer than the outbox tries: the deal is the same again at both."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from daemons import Daemon, Market, Peer, a_market, until

from p2pmarket.api.types import bodies as b
from p2pmarket.limits import DAY, SENDING_SECONDS

AGAIN = 100  # seconds: a correspondent who was away is tried after 5, then 60
LATER = """
import sys, time
true, ahead = time.time, int(sys.argv[1])
time.time = lambda: true() + ahead
from p2pmarket.daemon import main
main(sys.argv[2:])
"""


class Later(Daemon):
    """The same process, so many seconds later."""

    ahead = 0

    def program(self) -> list[str]:
        return [sys.executable, "-c", LATER, str(self.ahead)]


@pytest.fixture(scope="module")
def net() -> Iterator[Market]:
    with a_market("seller", "buyer") as net:
        net["seller"].announce("glass", "world")
        yield net


def start_later(net: Market, name: str) -> Peer:
    """Start a daemon that was killed, as if more than a week had passed."""
    before = net[name].daemon
    daemon = Later(name, before.home, before.arguments)
    daemon.ahead = SENDING_SECONDS + DAY
    net.local.daemons[name] = daemon
    peer = net.peers[name] = Peer(daemon)
    peer.start()
    return peer


def test_an_acceptance_given_up_binds_both_once_they_meet_again(net: Market) -> None:
    seller, buyer = net["seller"], net["buyer"]
    request = buyer.open("glass", "4 panes")
    seller.received(request.id)
    seller.client.quote(request.id, b.NewQuote(total="40 EUR"))
    (quote,) = buyer.quoted(request.id)
    order = buyer.client.order(b.NewOrder(quote=quote.id)).order
    seller.received(order.id)
    seller.client.accept(order.id, b.Accept())
    deal = buyer.settled(order.id, "agreed")
    seller.ask("change", deal.id, "--total", "36 EUR", "--reason", "price")

    def proposals() -> Any:
        return buyer.client.show(deal.id).proposals or None

    (proposal,) = until("the change", proposals)
    until("nothing to be under way", lambda: seller.client.status().outbox.waiting == 0)
    seller.kill()
    buyer.ask("accept", proposal.id)
    buyer.kill()
    buyer = start_later(net, "buyer")

    def answer() -> Any:
        return buyer.client.show(deal.id).documents[-1]

    until("the answer to be given up", lambda: answer().delivery == "failed")
    assert (answer().next, answer().resent) == ("heard", 0)
    assert "goes out again when they are heard" in buyer.market("show", deal.id).out
    seller = start_later(net, "seller")

    def totals() -> set[str]:
        shown = [peer.client.show(deal.id).contract for peer in (seller, buyer)]
        return {contract.total.amount for contract in shown if contract is not None}

    until("both to say the same", lambda: totals() == {"36.00"}, AGAIN)
    until("its receipt", lambda: answer().delivery in {"delivered", "seen"})
    assert answer().resent == 1
