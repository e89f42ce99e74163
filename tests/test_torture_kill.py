"""What scripts/torture kill counts: two honest ledgers give zeros, and each fault its own number."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import msgspec
import pytest
from market_world import new_world, price, settle
from torture_kill import Books, Trade, books, compare, torture

from p2pmarket.trade import documents as d

CLEAN = {"lost": 0, "doubled": 0, "second_signatures": 0, "damaged": 0, "unfinished": 0}


@pytest.fixture
def traded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Books], Trade]:
    """The books of both sides after one trade."""
    world = new_world(tmp_path, monkeypatch)
    world.seller.sell([price(1, "B1", "beans")])
    request = world.buyer.request("10 beans", sellers=[world.seller])
    settle(world.buyer, world.seller, request)
    order = world.buyer.order(world.buyer.quotes(request)[0])
    settle(world.buyer, world.seller, request)
    world.close()
    for name in ("buyer", "seller"):
        (tmp_path / name).mkdir()
        shutil.move(tmp_path / f"{name}.sqlite", tmp_path / name / "ledger.sqlite")
    return {name: books(tmp_path / name) for name in ("buyer", "seller")}, Trade("one", (), request.id, order.id, True)


def test_an_honest_trade_has_no_faults(traded: tuple[dict[str, Books], Trade]) -> None:
    sides, trade = traded
    assert compare(sides, [trade]) == CLEAN
    assert all(len(side.documents) == 4 and len(side.told) == 2 for side in sides.values())


@pytest.mark.parametrize("kind", [d.REQUEST, d.QUOTE, d.ORDER, d.ORDER_RESPONSE])
@pytest.mark.parametrize("name", ["buyer", "seller"])
def test_an_acknowledged_document_that_is_gone_is_lost(
    traded: tuple[dict[str, Books], Trade], name: str, kind: int
) -> None:
    """From either ledger, except our own that nobody acknowledged to the API."""
    sides, trade = traded
    left = {hash_: opened for hash_, opened in sides[name].documents.items() if opened.kind != kind}
    found = compare({**sides, name: dataclasses.replace(sides[name], documents=left)}, [trade])
    ours = {"buyer": {d.REQUEST, d.ORDER}, "seller": {d.QUOTE, d.ORDER_RESPONSE}}[name]
    assert found["lost"] == (kind not in ours or name == "buyer")


def test_what_is_there_twice_is_counted(traded: tuple[dict[str, Books], Trade]) -> None:
    sides, trade = traded
    seller = sides["seller"]
    order = next(opened for opened in seller.documents.values() if opened.kind == d.ORDER)
    again = dataclasses.replace(
        order, hash=bytes(32), document=msgspec.structs.replace(order.document, nonce=bytes(16))
    )
    more = dataclasses.replace(seller, documents={**seller.documents, again.hash: again})
    assert compare({**sides, "seller": more}, [trade]) == {**CLEAN, "doubled": 1, "second_signatures": 1}


def test_promises_that_were_not_kept(traded: tuple[dict[str, Books], Trade]) -> None:
    sides, trade = traded
    assert compare(sides, [trade, Trade("two", (), "r-unknown")]) == {**CLEAN, "lost": 1, "unfinished": 1}
    unkept = dataclasses.replace(sides["seller"], accepted=set(), sound=False)
    assert compare({**sides, "seller": unkept}, [trade]) == {**CLEAN, "lost": 1, "damaged": 1}


def test_a_hundred_kills_of_real_daemons(tmp_path: Path) -> None:
    figures = torture(tmp_path, 100, seed=5, life=0.15)
    assert {name: figures[name] for name in CLEAN} == CLEAN
    assert figures["acknowledged"] > 0
    assert figures["trades"] > 0
