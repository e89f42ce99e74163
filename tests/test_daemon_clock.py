"""A daemon whose machine has the wrong time: told first, by the clocks of others, and it still trades."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from daemons import Daemon, Market, Peer, a_market, until

from p2pmarket.api.types import bodies as b

FAST_SECONDS = 1800
# The clock is changed before anything of the project is imported: the daemon sees what a wrong machine shows it.
WRONG = f"""
import sys, time
true = time.time
time.time = lambda: true() + {FAST_SECONDS}
from p2pmarket.daemon import main
main(sys.argv[1:])
"""
OTHERS = ("seller", "buyer", "three", "four", "five", "six", "seven")  # with the bootstrap node the 8 that are needed


class WrongClock(Daemon):
    """The same process with another time."""

    def program(self) -> list[str]:
        return [sys.executable, "-c", WRONG]


@pytest.fixture(scope="module")
def net() -> Iterator[Market]:
    with a_market(*OTHERS) as net:
        net["seller"].announce("sand", "world")
        wrong = net.add("wrong", start=False)
        fast = WrongClock("wrong", wrong.home, wrong.daemon.arguments)
        net.local.daemons["wrong"] = fast
        net.peers["wrong"] = Peer(fast)
        net["wrong"].start()
        yield net


@pytest.fixture
def wrong(net: Market) -> Peer:
    return net["wrong"]


def test_a_wrong_clock_is_told_first(wrong: Peer) -> None:
    def offset() -> float | None:
        status = wrong.client.status()
        return status.clock_offset_s if any(one.code == "wrong_clock" for one in status.problems) else None

    assert abs(until("eight clocks", offset, 60) + FAST_SECONDS) < 30
    problem = wrong.client.status().problems[0]
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
