"""Two real ledgers, any verbs in any order: whoever is told to act can, by what his inbox names, and all comes to rest.

The verbs pick what they are about as people do, by what is left; what they refuse they refuse with a hint.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
from fulfil_world import Deal, Party, ordered

from p2pmarket.api import types as t
from p2pmarket.api.types.bodies import NewCharge, NewInstalment, NewPaymentTerms
from p2pmarket.api.types.bodies_quarrel import NewDispute
from p2pmarket.api.types.bodies_talk import RevisedLine
from p2pmarket.errors import LocalError
from p2pmarket.market import inbox
from p2pmarket.market.inbox import inbox_item, inbox_state, waiting
from p2pmarket.market.quarrel import dispute
from p2pmarket.market.quarrel_views import disputes_of_deal

WALKS, MOVES, ENOUGH = 60, 30, 100
PARTS = NewPaymentTerms(instalments=[NewInstalment(amount="30%"), NewInstalment(amount="rest", stage="after_delivery")])
CHANGES: Sequence[dict[str, Any]] = (
    {"lines": [RevisedLine(no=1, quantity="4")]},
    {"lines": [RevisedLine(no=1, quantity="12")]},
    {"charges": [NewCharge(kind="discount", amount="12 EUR")]},
    {"payment": PARTS},
    {"total": "30 EUR"},
    {"drop": [2]},
)
BILLS: Sequence[dict[str, Any]] = ({}, {"instalment": 1}, {"instalment": 2}, {"despatches": ["1"]})
AMOUNTS = (None, "1 EUR", "5 EUR", "19.20 EUR", "38.40 EUR")
ACTS = {"accept", "receive", "despatch", "pay", "confirm-payment", "refund", "dispute"}


def say(party: Party, step: str, **fields: Any) -> None:
    body = NewDispute(step=step, **fields)  # type: ignore[arg-type]
    party.side.run(lambda tx: dispute(tx, party.side.dealing, party.row, body, party.side.clock()))


def open_disputes(party: Party) -> list[str]:
    found = party.side.run(lambda tx: disputes_of_deal(party.views, tx, party.row))
    return [one.id for one in found if one.state == "open"]


# Anything


def anything(rng: Random, deal: Deal) -> None:
    """One thing that one side does; or what both have said is carried, or time passes."""
    party = rng.choice([deal.buyer, deal.seller])
    kind = rng.choice([agree, deliver, bill, pay, quarrel, quarrel, carry, carry])
    with suppress(LocalError):
        kind(rng, deal, party)


def carry(rng: Random, deal: Deal, party: Party) -> None:
    deal.settle()
    deal.wait(rng.choice([0, 1, 3600, 86_400]))


def agree(rng: Random, deal: Deal, party: Party) -> None:
    match rng.randrange(4):
        case 0:
            party.change(**rng.choice(CHANGES))
        case 1:
            party.cancel(refund=rng.choice([None, "all", "5 EUR"]))
        case _:
            ids = [one.id for one in party.life().proposals]
            party.answer(rng.choice(["accept", "reject"]), rng.choice([None, *ids]))


def deliver(rng: Random, deal: Deal, party: Party) -> None:
    if party is deal.seller:
        party.despatch(*rng.choice([(), ((1, "2"),), ((2, "20"),), ((1, None),)]))
    else:
        told = rng.choice([(), (), ((1, "1", "damaged"),), ((1, "1", "short"),), ((2, "3", "refused"),)])
        party.receive(*told, despatch=rng.choice([None, "1", "2"]))


def bill(rng: Random, deal: Deal, party: Party) -> None:
    bills = [one.id for one in party.life().invoices]
    if rng.random() < 0.5:
        party.invoice(**rng.choice(BILLS))
    else:
        party.credit(rng.choice([None, *bills]), amount=rng.choice(AMOUNTS))


def pay(rng: Random, deal: Deal, party: Party) -> None:
    life, amount = party.life(), rng.choice(AMOUNTS)
    about = rng.choice([None, *(one.id for one in life.payments)])
    match rng.randrange(4):
        case 0:
            party.pay(rng.choice([None, *(one.id for one in life.invoices)]), amount=amount, anyway=rng.random() < 0.3)
        case 1:
            party.confirm(about, not_received=rng.random() < 0.3)
        case 2:
            party.confirm(method="cash", amount=amount)
        case _:
            party.refund(about, amount=amount)


def quarrel(rng: Random, deal: Deal, party: Party) -> None:
    outcomes = ["refund", "price_cut", "deliver_again", "cancel", "none", "other"]
    match rng.choice(["open", "open", "open", "proposal", "proposal", "accept", "close", "statement"]):
        case "open":
            say(party, "open", reason=rng.choice(["late", "lost", "short", "unpaid"]))
        case "proposal":
            amount = rng.choice(AMOUNTS)
            share = rng.choice(["0.1", "50%", "1"]) if amount is None else None
            say(party, "proposal", outcome=rng.choice(outcomes), amount=amount, share=share)
        case "statement":
            say(party, "statement", text="so it was")
        case step:
            say(party, step)


# What is asked for


def asked(party: Party) -> list[t.InboxItem]:
    """What the inbox names first, as far as it is something to do."""

    def work(tx: Any) -> list[t.InboxItem]:
        return [inbox_item(party.views, tx, one) for one in waiting(party.views, tx, answered=False)]

    states = party.side.run(lambda tx: [inbox_state(one) for one in waiting(party.views, tx, answered=False)])
    items = zip(party.side.run(work), states, strict=True)
    return [item for item, state in items if state != "answered" and item.actions and item.actions[0] in ACTS]


def act(party: Party, item: t.InboxItem) -> None:
    """Do the first thing that an item names, in the plainest way."""
    about = item.id if item.kind != "deal" else None
    match item.actions[0]:
        case "accept":
            try:
                party.answer("accept", item.id)
            except LocalError:  # two that crossed, or of a deal that is over
                party.answer("reject", item.id)
        case "receive":
            party.receive(about=about)
        case "despatch":
            despatch(party)
        case "pay":
            party.pay(about)
        case "confirm-payment":
            party.confirm(about)
        case "refund":
            party.refund()
        case _:
            speak(party)


def despatch(party: Party) -> None:
    try:
        party.despatch()
    except LocalError:  # all has left: something is to be sent once more
        line = party.life().contract.lines[0]
        party.despatch((line.no, line.quantity.value))


def speak(party: Party) -> None:
    """Accept what was proposed, close one's own dispute, or propose to leave it at that."""
    with suppress(LocalError):
        say(party, "accept")
        return
    for about in open_disputes(party):
        with suppress(LocalError):
            say(party, "close", about=about)
            return
    say(party, "proposal", outcome="none", about=next(iter(open_disputes(party)), None))


@pytest.mark.parametrize("seed", range(WALKS))
def test_whoever_is_told_to_act_can(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deal, rng = ordered(tmp_path, monkeypatch), Random(seed)
    monkeypatch.setattr(inbox, "wall", deal.world.clock)
    for _ in range(rng.randrange(MOVES)):
        anything(rng, deal)
    deal.settle()
    for _ in range(ENOUGH):
        turns = {party.shown().turn for party in (deal.buyer, deal.seller)}
        if "me" not in turns:
            break
        todo = [(party, item) for party in (deal.buyer, deal.seller) for item in asked(party)]
        party, item = rng.choice(todo)
        with suppress(LocalError):  # news names what it may lead to; a turn is not news, and must end
            act(party, item)
        deal.settle()
        deal.wait(1)
    lives = [party.life() for party in (deal.buyer, deal.seller)]
    assert [party.shown().turn for party in (deal.buyer, deal.seller)] == ["none", "none"]
    assert lives[0].balance == lives[1].balance
    assert lives[0].balance.overpaid.amount == "0.00"
    assert deal.buyer.export() == deal.seller.export()
    deal.world.close()
