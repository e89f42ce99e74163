"""What happens while a service is busy is not slept over: it looks again at once."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

import pytest
import trio

from p2pmarket.clock import wall
from p2pmarket.dht import events as dht
from p2pmarket.market.reach import PEERS_NEEDED, Reach, Reachability
from p2pmarket.market.searching import PAUSES, Searcher
from p2pmarket.store.rows import Request

SOON_SECONDS = 3


@dataclass
class Willing:
    """A node whose peers dial back at once; while they do so for the first time, they see us at a new address."""

    reachability: Reachability
    asked: list[int] = field(default_factory=list)
    twice: trio.Event = field(default_factory=trio.Event)

    @property
    def node(self) -> Willing:
        return self

    def ask_dial_back(self, nonce: bytes, port: int, now: float) -> None:
        self.asked.append(port)
        for number in range(PEERS_NEEDED):
            self.reachability.on_event(dht.DialBackAnswered(bytes([number]) * 32, True))
        if len(self.asked) == 1:
            self.reachability.on_event(dht.AddressSeen(("203.0.113.9", 4799)))
        else:
            self.twice.set()

    def contacts(self) -> list[None]:
        return [None] * PEERS_NEEDED

    def set_address(self, address: tuple[str, int] | None, now: float) -> None:
        """As it is told."""

    def flush(self) -> None:
        """Nothing waits."""


async def test_an_address_that_changes_during_a_check_is_checked_at_once(nursery: trio.Nursery) -> None:
    reachability = Reachability(Reach(None, outbound_only=False), 4751, secrets.token_bytes, lambda: None)
    willing = Willing(reachability)
    reachability.dht = willing  # type: ignore[assignment]
    await nursery.start(reachability.run)
    with trio.fail_after(SOON_SECONDS):
        await willing.twice.wait()
    assert willing.asked == [4751, 4799]


class Busy(Searcher):
    """The network is joined during the first of two searches."""

    searches = 0

    async def _wants_more(self, request: Request) -> bool:
        return self.searches < 2

    async def _search(self, request: Request) -> None:
        self.searches += 1
        if self.searches == 1:
            self.nudge()
        else:
            raise Enough


class Enough(Exception):
    """All that a test waits for has happened."""


async def test_joining_the_network_during_a_search_begins_another_at_once() -> None:
    assert min(PAUSES) > SOON_SECONDS
    searcher = Busy(None, None, None, None)  # type: ignore[arg-type]
    now = wall()
    row = Request(b"", "r-aaaa", "buyer", "open", "tea", now, now + 3600)
    with trio.fail_after(SOON_SECONDS), pytest.raises(Enough):
        await searcher._look(row)
