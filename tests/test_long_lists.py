"""Lists of somebody who has traded for long: nothing of them is out of reach, or it is counted."""

from __future__ import annotations

import pytest
from fulfil_world import Deal
from market_world import World, row
from trade_samples import samples

from p2pmarket.limits import INBOX_PAPERS
from p2pmarket.market.inbox import not_listed
from p2pmarket.market.notices import NOTICES, only_tells
from p2pmarket.store.ledger import Ledger
from p2pmarket.store.news import NEWS
from p2pmarket.store.rows import Notice, insert

MANY = 1001


@pytest.fixture
def ledger(world: World) -> Ledger:
    """An empty ledger that takes rows without their documents."""
    world.buyer.connection.execute("PRAGMA foreign_keys=OFF")
    return world.buyer.run(lambda tx: tx)


def test_all_requests_and_orders_are_there_and_those_of_one_second_in_their_order(deal: Deal) -> None:
    side = deal.buyer.side
    (request,), order = side.run(lambda tx: list(tx.requests.of_role("buyer"))), row(side)
    side.connection.execute("PRAGMA foreign_keys=OFF")

    def add(tx: Ledger) -> None:
        for number in range(MANY):
            hash_, id_ = number.to_bytes(32, "big"), f"{number:04}"
            insert(tx.requests._db, "requests", request._replace(hash=hash_, id=id_))
            insert(tx.orders._db, "orders", order._replace(hash=hash_, id=id_, deal=id_))

    side.run(add)
    for found in (lambda tx: tx.requests.of_role("buyer"), lambda tx: tx.orders.latest()):
        ids = [one.id for one in side.run(lambda tx, found=found: list(found(tx)))]  # type: ignore[misc]
        assert ids[:-1] == [f"{number:04}" for number in reversed(range(MANY))]


def noticed(number: int, kind: str, state: str = "new", time: int = 0) -> Notice:
    return Notice(number.to_bytes(32, "big"), b"thread", kind, state, time)


def test_papers_of_an_inbox_at_the_limit_and_one_over(ledger: Ledger) -> None:
    for number in range(INBOX_PAPERS - 1):
        ledger.notices.add(noticed(number, "note", time=10 + number))
    asks = noticed(INBOX_PAPERS, "cancellation", time=1)
    ledger.notices.add(asks)
    assert len(ledger.notices.waiting()) == INBOX_PAPERS
    assert not_listed(ledger, answered=False) == 0

    oldest = noticed(INBOX_PAPERS + 1, "receipt", time=2)
    ledger.notices.add(oldest)
    found = ledger.notices.waiting()
    assert len(found) == INBOX_PAPERS
    assert found[0] == asks
    assert oldest not in found
    assert ledger.notices.asking() == [asks]
    assert not_listed(ledger, answered=False) == 1
    assert not_listed(ledger, answered=True) == 1

    ledger.notices.add(noticed(INBOX_PAPERS + 2, "invoice", "answered", time=10**9))
    assert ledger.notices.latest() == found
    assert not_listed(ledger, answered=False) == 1
    assert not_listed(ledger, answered=True) == 2


def test_news_are_the_kinds_that_never_ask() -> None:
    asking = {NOTICES[kind] for kind, _, document in samples() if kind in NOTICES and not only_tells(document)}
    assert set(NOTICES.values()) - set(NEWS) >= asking
    assert {NOTICES[kind] for kind, _, document in samples() if kind in NOTICES and only_tells(document)} >= set(NEWS)
