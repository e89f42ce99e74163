"""A deal between two real ledgers, for tests of what follows an order: verbs on one side, carried to the other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from market_world import Side, World, new_world, price, settle

from p2pmarket import clock
from p2pmarket.api import types as t
from p2pmarket.api.types import bodies_fulfil as b
from p2pmarket.config import Quoting
from p2pmarket.market import billing, deal_views, fulfilling, labels, views
from p2pmarket.market.billing import Billing
from p2pmarket.market.deal_papers import Done
from p2pmarket.market.deal_views import DealView
from p2pmarket.market.fulfilling import Fulfilling
from p2pmarket.market.views import Views
from p2pmarket.network import DEV
from p2pmarket.store import rows
from p2pmarket.trade.evidence import export_deal

BEANS, MUGS = price(1, "B1", "beans", "2.50"), price(2, "C1", "mugs", "0.335")


class NoDispatch:
    """Nothing is ever under way: tests carry documents themselves."""

    def in_flight(self, hash_: bytes, name: tuple[bytes, bytes]) -> bool:
        return False

    def next_try(self, name: tuple[bytes, bytes]) -> int | None:
        return None

    def can_call(self, routes: bytes) -> bool:
        return False


@dataclass
class Party:
    """One side of a deal with its verbs; every call is a transaction of its own."""

    side: Side
    deal: str = ""

    def _do(self, verb: Any, *arguments: Any) -> Done:
        done: Done = self.side.run(lambda tx: verb(tx, *arguments, self.side.clock()))
        return done

    def _verbs(self) -> Fulfilling:
        return Fulfilling(self.side.dealing)

    def _bills(self) -> Billing:
        return Billing(self.side.dealing)

    def change(self, about: str | None = None, **fields: Any) -> Done:
        return self._do(self._verbs().change, about or self.deal, b.ChangeDeal(**fields))

    def cancel(self, **fields: Any) -> Done:
        return self._do(self._verbs().cancel, self.deal, b.CancelDeal(**fields))

    def answer(self, step: str, about: str | None = None, **fields: Any) -> Done:
        verb, body = self._verbs().answer, b.AnswerProposal(**fields)
        done: Done = self.side.run(lambda tx: verb(tx, about or self.deal, step, body, self.side.clock()))  # type: ignore[arg-type]
        return done

    def despatch(self, *lines: tuple[int, str | None], **fields: Any) -> Done:
        told = [b.PartLine(no=no, quantity=much) for no, much in lines]
        return self._do(self._verbs().despatch, self.deal, b.NewDespatch(lines=told, **fields))

    def receive(self, *lines: tuple[int, str, str], about: str | None = None, **fields: Any) -> Done:
        told = [b.ReceivedPart(no=no, quantity=much, condition=how) for no, much, how in lines]  # type: ignore[arg-type]
        return self._do(self._verbs().receive, about or self.deal, b.NewReceipt(lines=told, **fields))

    def invoice(self, **fields: Any) -> Done:
        return self._do(self._bills().invoice, self.deal, b.NewInvoice(**fields))

    def credit(self, about: str | None = None, *lines: tuple[int, str | None], **fields: Any) -> Done:
        told = [b.PartLine(no=no, quantity=much) for no, much in lines]
        return self._do(self._bills().credit, about or self.deal, b.NewCredit(lines=told, **fields))

    def pay(self, about: str | None = None, **fields: Any) -> Done:
        return self._do(self._bills().pay, about or self.deal, b.NewPayment(**fields))

    def confirm(self, about: str | None = None, **fields: Any) -> Done:
        return self._do(self._bills().confirm, about or self.deal, b.ConfirmPayment(**fields))

    def refund(self, about: str | None = None, **fields: Any) -> Done:
        return self._do(self._bills().refund, about or self.deal, b.Refund(**fields))

    @property
    def views(self) -> Views:
        return Views(self.side.reader, self.side.public, NoDispatch(), DEV)

    @property
    def row(self) -> rows.Order:
        (row,) = self.side.orders()
        return row

    def shown(self) -> t.Deal:
        return self.side.run(lambda tx: self.views.deal(tx, self.row))

    def life(self) -> t.Life:
        return self.side.run(lambda tx: DealView.of(self.views, tx, self.row).life())

    def id(self, paper: bytes) -> str:
        found = self.side.run(lambda tx: tx.documents.get(paper))
        assert found is not None
        return found.id

    def notices(self) -> dict[str, str]:
        """What the inbox holds: kind of notice -> state."""
        found = self.side.run(lambda tx: tx.notices.waiting())
        return {one.kind: one.state for one in found}

    def export(self) -> bytes:
        """The file of the deal."""
        row = self.row
        thread = self.side.run(lambda tx: self.side.dealing.deal_thread(tx, row))
        return export_deal(thread, row.hash)


@dataclass
class Deal:
    """A deal between a buyer and a seller."""

    world: World
    request: rows.Request
    buyer: Party
    seller: Party

    def settle(self) -> None:
        """Carry everything both ways."""
        settle(self.world.buyer, self.world.seller, self.request)

    def states(self) -> tuple[str, str]:
        """What both sides say of deal and payment, once all is carried; they must say the same."""
        self.settle()
        ours, theirs = self.buyer.shown(), self.seller.shown()
        assert (ours.state, ours.payment_state, ours.total) == (theirs.state, theirs.payment_state, theirs.total)
        assert {"me": "other", "other": "me"}.get(ours.turn, "none") == theirs.turn or ours.turn == theirs.turn == "me"
        return ours.state, ours.payment_state

    def wait(self, seconds: int) -> None:
        """Let time pass."""
        self.world.clock.now += seconds


def ordered(folder: Path, monkeypatch: pytest.MonkeyPatch, *, accept: bool = True, **quoting: Any) -> Deal:
    """Ten beans at 2.50 and forty mugs at 0.335, ordered and (if `accept`) accepted by itself."""
    world = new_world(folder, monkeypatch)
    for module in (labels, views, fulfilling, billing, deal_views, clock):
        if hasattr(module, "wall"):
            monkeypatch.setattr(module, "wall", world.clock)
    world.seller.sell([BEANS, MUGS], Quoting(accept=accept, **quoting))
    request = world.buyer.request("10 beans", "40 mugs", sellers=[world.seller])
    settle(world.buyer, world.seller, request)
    (quote,) = world.buyer.quotes(request)
    row = world.buyer.order(quote)
    settle(world.buyer, world.seller, request)
    return Deal(world, request, Party(world.buyer, row.deal), Party(world.seller, row.deal))
