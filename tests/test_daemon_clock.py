"""A daemon whose machine has the wrong time: told first, by the clocks of others, and it still trades."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import pytest
from daemons import Daemon, Market, Peer, a_market, until

from p2pmarket.api import types as t
from p2pmarket.api.types import bodies as b
from p2pmarket.limits import REFRESH_SECONDS
from p2pmarket.market.announcing import LIFE_SECONDS
from p2pmarket.vocab.deadlines import instant_text

FAST_SECONDS = 1800
LEFT_SECONDS = 8  # of the life of what a daemon publishes whose clock is nearly that life behind
# The clock is changed before anything of the project is imported: the daemon sees what a wrong machine shows it.
WRONG = """
import sys, time
true, wrong = time.time, int(sys.argv[1])
time.time = lambda: true() + wrong
from p2pmarket import limits
limits.REFRESH_SECONDS, limits.REFRESH_JITTER_SECONDS = int(sys.argv[2]), 0
from p2pmarket.daemon import main
main(sys.argv[3:])
"""
OTHERS = ("seller", "buyer", "three", "four", "five", "six", "seven")  # with the bootstrap node the 8 that are needed


class WrongClock(Daemon):
    """The same process with another time, so many seconds ahead, and with pauses of its own between refreshes."""

    ahead = 0
    refresh = REFRESH_SECONDS

    def program(self) -> list[str]:
        return [sys.executable, "-c", WRONG, str(self.ahead), str(self.refresh)]


def add_wrong(net: Market, name: str, ahead: int, refresh: int = REFRESH_SECONDS) -> Peer:
    """Start a daemon whose clock is `ahead` seconds ahead, and which refreshes its announcements every so often."""
    planned = net.add(name, start=False).daemon
    daemon = WrongClock(name, planned.home, planned.arguments)
    daemon.ahead, daemon.refresh = ahead, refresh
    net.local.daemons[name] = daemon
    peer = net.peers[name] = Peer(daemon)
    peer.start()
    return peer


@pytest.fixture(scope="module")
def net() -> Iterator[Market]:
    with a_market(*OTHERS) as net:
        net["seller"].announce("sand", "world")
        add_wrong(net, "wrong", FAST_SECONDS)
        yield net


@pytest.fixture
def wrong(net: Market) -> Peer:
    return net["wrong"]


def test_a_wrong_clock_is_told_first(wrong: Peer) -> None:
    def told() -> t.Status | None:
        status = wrong.client.status()
        return status if any(one.code == "wrong_clock" for one in status.problems) else None

    status = until("eight clocks", told, 60)
    assert status.clock_offset_s is not None
    assert abs(status.clock_offset_s + FAST_SECONDS) < 30
    problem = status.problems[0]
    assert (problem.code, problem.message) == ("wrong_clock", "this machine's clock is 30 minutes ahead of others'")
    assert problem.hint
    doctor = {check.name: check for check in wrong.client.doctor().checks}
    assert doctor["clock"].state == "failed"
    assert wrong.market("doctor").code != 0
    announced = wrong.ask("announce", "sand")
    assert announced["problems"][0]["code"] == "wrong_clock"
    asked = wrong.market("request", "sand", "3 kg sand", "--timeout", "1s")
    assert "30 minutes ahead" in asked.err.splitlines()[0]
    assert "30 minutes ahead" in wrong.market("status").out.splitlines()[0]


def test_clocks_of_others_stay_right(net: Market, wrong: Peer) -> None:
    """One wrong clock among many convinces nobody."""
    for name in OTHERS:
        assert "wrong_clock" not in {one.code for one in net[name].client.status().problems}


def test_a_buyer_with_a_wrong_clock_still_trades(net: Market, wrong: Peer) -> None:
    request = wrong.open("sand", "5 kg sand")
    net["seller"].received(request.id)
    net["seller"].client.quote(request.id, b.NewQuote(total="9 EUR"))
    (quote,) = wrong.quoted(request.id)
    order = wrong.client.order(b.NewOrder(quote=quote.id)).order
    net["seller"].received(order.id)
    net["seller"].client.accept(order.id, b.Accept())
    mine = wrong.settled(order.id, "agreed")
    theirs = net["seller"].settled(order.id, "agreed")
    assert (mine.id, mine.total, mine.agreed_at) == (theirs.id, theirs.total, theirs.agreed_at)


def test_an_announcement_disappears_when_it_expires(net: Market) -> None:
    """What a stopped daemon announced: here its clock makes the few seconds of the end of that life."""
    seller = add_wrong(net, "late", LEFT_SECONDS - LIFE_SECONDS)
    seller.announce("ice")
    seller.kill()
    buyer = net["buyer"]
    request = buyer.open("ice", "1 kg ice")
    until("the seller to be found", lambda: buyer.sellers(request.id) or None, LEFT_SECONDS)

    def nobody() -> bool:
        said = buyer.market("request", "ice", "1 kg ice", "--timeout", "5s", "--json")
        return said.code == 5 and said.json["sellers"] == [] and said.json["request"]["search"]["nodes_asked"] > 3

    until("the announcement to be gone", nobody)


def test_an_announcement_is_refreshed_before_it_expires(net: Market) -> None:
    seller = add_wrong(net, "fresh", LEFT_SECONDS - LIFE_SECONDS, refresh=2)
    first = seller.announce("snow")

    def renewed() -> bool:
        (now,) = seller.client.announcements().announcements
        return (now.id, now.holders > 0) == (first.id, True) and now.expires_at > first.expires_at

    until("a refresh", renewed)
    until("the end of the first record", lambda: instant_text(int(time.time())) > first.expires_at)
    request = net["buyer"].open("snow", "1 kg snow")
    assert until("the seller to be found", lambda: net["buyer"].sellers(request.id) or None)
