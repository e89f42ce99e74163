"""The commands about deals on their way: what they ask of a scripted daemon, and what they refuse to ask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from cli_samples import sample
from cli_stub import Stub, running
from daemons import market

from p2pmarket.api import types as t
from p2pmarket.api.types import bodies as b
from p2pmarket.api.types import bodies_fulfil as f
from p2pmarket.api.types import bodies_talk as talk

IBAN = "payto://iban/DE75512108001245126199"


@pytest.fixture(scope="module")
def stub() -> Iterator[Stub]:
    with running() as stub:
        yield stub


# Command line, route it calls, id in its path, what the body says.
CALLS: list[tuple[str, str, str, dict[str, Any]]] = [
    (
        "change d-1 --line 1=15 --line 2=4@2.40 --line 3=@7 --drop 4 --latest 2026-12-20 --charge delivery=5",
        "change",
        "d-1",
        {
            "lines": [
                talk.RevisedLine(no=1, quantity="15"),
                talk.RevisedLine(no=2, quantity="4", price="2.40"),
                talk.RevisedLine(no=3, price="7"),
            ],
            "drop": [4],
            "delivery_latest": "2026-12-20",
            "charges": [b.NewCharge(kind="delivery", amount="5")],
            "payment": None,
        },
    ),
    ("change d-1 --deliver-to Kim;Seoul --total 40", "change", "d-1", {"deliver_to_text": "Kim;Seoul", "total": "40"}),
    (
        f"change d-1 --pay-stage on_delivery --pay-days 3 --pay-to {IBAN}",
        "change",
        "d-1",
        {"payment": b.NewPaymentTerms(stage="on_delivery", days=3, methods=[IBAN])},
    ),
    (
        "change d-1 --instalment 30% --instalment 9@on-delivery+7 --instalment rest@2027-01-01",
        "change",
        "d-1",
        {
            "payment": b.NewPaymentTerms(
                instalments=[
                    b.NewInstalment(amount="30%"),
                    b.NewInstalment(amount="9", stage="on_delivery", days=7),
                    b.NewInstalment(amount="rest", stage="after_delivery", due="2027-01-01"),
                ]
            )
        },
    ),
    ("change d-1 --accept", "proposal_accept", "d-1", {"kind": "change"}),
    ("change m-1 --refuse --text no", "proposal_reject", "m-1", {"kind": "change", "text": "no"}),
    ("cancel o-1 --refund all --reason late", "cancel", "o-1", {"refund": "all", "reason": "late"}),
    ("cancel d-1 --accept", "proposal_accept", "d-1", {"kind": "cancellation"}),
    ("cancel e-1 --refuse --reason sent", "proposal_reject", "e-1", {"kind": "cancellation", "reason": "sent"}),
    ("accept m-1", "proposal_accept", "m-1", {"kind": None}),
    ("reject E-1 --text no", "proposal_reject", "E-1", {"text": "no"}),
    ("despatch d-1", "despatch", "d-1", {"lines": []}),
    (
        "despatch d-1 --line 1 --line 2=5 --carrier DHL --tracking 47 --parcels 2 --expected fri",
        "despatch",
        "d-1",
        {
            "lines": [f.PartLine(no=1), f.PartLine(no=2, quantity="5")],
            "carrier": "DHL",
            "tracking": "47",
            "parcels": 2,
            "expected": "fri",
        },
    ),
    ("receive s-1", "receive", "s-1", {"lines": [], "despatch": None}),
    (
        "receive d-1 --despatch 2 --short 1=18 --damaged 2=3 --refused 2=1 --on 2026-11-01",
        "receive",
        "d-1",
        {
            "despatch": "2",
            "received_on": "2026-11-01",
            "lines": [
                f.ReceivedPart(no=1, quantity="18", condition="short"),
                f.ReceivedPart(no=2, quantity="3", condition="damaged"),
                f.ReceivedPart(no=2, quantity="1", condition="refused"),
            ],
        },
    ),
    (
        f"invoice d-1 --number R-7 --due 14d --pay-to {IBAN} --pay-to cash --despatch 1 --despatch s-2",
        "invoice",
        "d-1",
        {"number": "R-7", "due": "14d", "pay_to": [IBAN, "cash"], "despatches": ["1", "s-2"]},
    ),
    ("invoice d-1 --instalment 2", "invoice", "d-1", {"instalment": 2}),
    ("credit i-1 --line 2=3 --reason damaged", "credit", "i-1", {"lines": [f.PartLine(no=2, quantity="3")]}),
    ("credit d-1 --amount 12.50", "credit", "d-1", {"amount": "12.50", "lines": []}),
    (
        "pay i-1 --amount 5 --reference PO --txid 4a5e --method cash",
        "pay",
        "i-1",
        {"amount": "5", "reference": "PO", "proof": "4a5e", "method": "cash"},
    ),
    ("pay d-1 --amount 5 --anyway", "pay", "d-1", {"amount": "5", "anyway": True}),
    ("confirm-payment p-1", "confirm_payment", "p-1", {"not_received": False, "method": None}),
    ("confirm-payment d-1 --cash --amount 5", "confirm_payment", "d-1", {"method": "cash", "amount": "5"}),
    ("confirm-payment d-1 --not-received", "confirm_payment", "d-1", {"not_received": True}),
    ("refund p-1 --amount 5 --text sorry", "refund", "p-1", {"amount": "5", "text": "sorry"}),
]


@pytest.mark.parametrize(("line", "route", "id_", "says"), CALLS, ids=[line for line, *_ in CALLS])
def test_what_a_command_asks(stub: Stub, line: str, route: str, id_: str, says: dict[str, Any]) -> None:
    stub.calls.clear()
    said = market(*line.split(), "--json", "--idempotency-key", "k", home=stub.home)
    assert said.code == 0, said.err
    (seen,) = stub.calls
    assert (seen.route, seen.key, list(seen.arguments.values())) == (route, "k", [id_])
    assert {name: getattr(seen.body, name) for name in says} == says
    assert said.json["created"] is not None


@pytest.mark.parametrize(
    "line",
    [
        "change d-1 --line 1",
        "change d-1 --line 1=5@",
        "change d-1 --line x=5",
        "change d-1 --accept --refuse",
        "change d-1 --accept --line 1=5",
        "change d-1 --instalment @on_delivery",
        "change d-1 --instalment 5@sometime",
        "change d-1 --instalment 5@on_delivery+soon",
        "cancel d-1 --refuse --refund all",
        "receive d-1 --short 1",
        "confirm-payment d-1 --not-received --cash",
        "reject o-1",
    ],
)
def test_what_is_no_command_line(stub: Stub, line: str) -> None:
    stub.calls.clear()
    said = market(*line.split(), home=stub.home)
    assert said.code == 2, said
    assert stub.calls == []


def test_a_dry_run_is_passed_on_and_said(stub: Stub) -> None:
    stub.calls.clear()
    reply = sample(t.PaymentReply)
    stub.answers["pay"] = msgspec.structs.replace(
        reply, payment=msgspec.structs.replace(reply.payment, state="advised")
    )
    said = market("pay", "d-1", "--dry-run", home=stub.home)
    del stub.answers["pay"]
    assert (said.code, stub.calls[0].query) == (0, {"dry_run": "1"})
    assert "dry run" in said.err
    assert said.out.startswith("Dry run: nothing was signed, sent or kept.")
    assert "Dry run: the seller would be told that you paid" in said.out
    assert "would be" in said.out.splitlines()[-1]


def test_the_link_to_pay_by_is_printed_and_nothing_of_it_can_steer_a_terminal(stub: Stub) -> None:
    reply = msgspec.structs.replace(sample(t.PaymentReply), payto=[f"{IBAN}?message=\x1b[31mred"])
    stub.answers["pay"] = reply
    said = market("pay", "d-1", home=stub.home)
    del stub.answers["pay"]
    assert f"pay by: {IBAN}" in said.out
    assert "\x1b" not in said.out
    assert "No money moved here" in said.out or reply.payment.state != "advised"


def test_for_which_invoices_a_payment_is_and_how_it_is_paid(stub: Stub) -> None:
    reply = sample(t.PaymentReply)
    advised = msgspec.structs.replace(reply.payment, state="advised")
    shares = [msgspec.structs.replace(reply.shares[0], number=number, payto=[f"{IBAN}?{number}"]) for number in "AB"]
    links = [f"{IBAN}?A", f"{IBAN}?B", f"{IBAN}?rest"]
    stub.answers["pay"] = msgspec.structs.replace(
        reply, payment=advised, shares=shares, payto=links, methods=[IBAN, "cash"]
    )
    lines = market("pay", "d-1", home=stub.home).out.splitlines()
    assert [line for line in lines if line.startswith(("for: ", "pay by: "))] == [
        "for: 1,234.50 EUR of invoice A",
        f"pay by: {IBAN}?A",
        "for: 1,234.50 EUR of invoice B",
        f"pay by: {IBAN}?B",
        f"pay by: {IBAN}?rest",
        "pay by: cash",
    ]
    stub.answers["pay"] = msgspec.structs.replace(reply, payment=advised, shares=[], payto=[], methods=[])
    said = market("pay", "d-1", home=stub.home)
    del stub.answers["pay"]
    assert "Nobody has named a way to pay" in said.out
