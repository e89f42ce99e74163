"""The whole life of a deal on two real daemons and over the command line, from the order to the last payment.

One market for all tests: a seller with a price list that answers and accepts by itself, a buyer. Every test makes deals
of its own. Both ledgers must say the same after each of them: states, totals, and the file of the deal byte by byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from daemons import Market, Peer, a_market, until

from p2pmarket.api import types as t
from p2pmarket.api.types import bodies as b

CSV = b"code,description,unit,price,per,currency,stock,min_qty,category,lead_days,tax_rate,url\n" + b"".join(
    b"%s,%s,C62,%s,1,EUR,,,coffee/roasted,3,,\n" % row for row in ((b"B1", b"beans", b"2.50"), (b"M1", b"mugs", b"4"))
)
IBAN = "payto://iban/DE75512108001245126199"


@pytest.fixture(scope="module")
def net() -> Iterator[Market]:
    with a_market("seller", "buyer") as market:
        seller = market["seller"]
        seller.client.prices_import(b.ImportPrices(csv=CSV))
        seller.announce("coffee/roasted", "world")
        yield market


class Deal:
    """One deal, seen and handled from both sides."""

    def __init__(self, net: Market, order: t.Order) -> None:
        self.buyer, self.seller = net["buyer"], net["seller"]
        self.order, self.id = order.id, order.deal

    def show(self, peer: Peer) -> Any:
        return peer.ask("show", self.id)

    def both(self, state: str, payment: str) -> tuple[Any, Any]:
        """What both sides show, once both say that deal and payment are in these states."""

        def look() -> tuple[Any, Any] | None:
            shown = self.show(self.buyer), self.show(self.seller)
            said = [(one["deal"]["state"], one["deal"]["payment_state"]) for one in shown]
            return shown if said == [(state, payment)] * 2 and _arrived(*shown) else None

        return until(f"{self.id} to be {state} and {payment} on both sides", look)

    def same(self) -> None:
        """Both ledgers hold the same papers and say the same of them."""

        def files() -> bool:
            return self.buyer.client.export(self.id).data == self.seller.client.export(self.id).data

        until(f"the files of {self.id} to be the same", files)  # acknowledgements may still be under way
        ours, theirs = self.show(self.buyer), self.show(self.seller)
        for part in ("contract", "despatches", "receipts", "invoices", "credits", "payments", "balance", "unsent"):
            assert _mutual(ours[part]) == _mutual(theirs[part]), part
        assert {one["hash"] for one in ours["documents"]} == {one["hash"] for one in theirs["documents"]}

    def waits(self, peer: Peer, kind: str) -> Any:
        """The item of this deal that waits in an inbox."""

        def look() -> Any:
            items = peer.ask("inbox")["items"]
            found = [one for one in items if one["kind"] == kind and one["state"] != "answered"]
            mine = [one for one in found if any(one["id"] == paper["id"] for paper in self.show(peer)["documents"])]
            return mine[0] if mine else None

        return until(f"{kind} in an inbox", look)


def _arrived(ours: Any, theirs: Any) -> bool:
    return {one["hash"] for one in ours["documents"]} == {one["hash"] for one in theirs["documents"]}


def _mutual(part: Any) -> Any:
    """A part without what only its maker sees: how far his own paper has come, and who is `me`."""
    if isinstance(part, dict):
        return {name: _mutual(value) for name, value in part.items() if name not in {"delivery", "by"}}
    return [_mutual(one) for one in part] if isinstance(part, list) else part


def agreed(net: Market, *lines: str, **more: Any) -> Deal:
    """A deal about these lines, accepted."""
    buyer = net["buyer"]
    request = buyer.open("coffee/roasted", *(lines or ("10 beans", "4 mugs")))
    (quote,) = buyer.quoted(request.id)
    made = buyer.ask("order", quote.id, *(word for name, value in more.items() for word in (f"--{name}", value)))
    deal = Deal(net, buyer.client.show(made["order"]["id"]).order)  # type: ignore[arg-type]
    deal.both("agreed", "due")
    return deal


def test_an_order_that_was_accepted_by_itself_is_in_the_inbox_until_it_is_sent(net: Market) -> None:
    deal = agreed(net, "3 beans")
    seller = deal.seller
    before = seller.ask("status")["inbox"]

    def item() -> Any:
        return next((one for one in seller.ask("inbox")["items"] if one["id"] == deal.id), None)

    assert (item()["kind"], item()["state"], item()["actions"][0]) == ("deal", "new", "despatch")
    assert deal.id in seller.market("inbox").out
    assert seller.ask("ack", "--seen", deal.id)["seen"] == 1
    assert (item()["state"], seller.ask("status")["inbox"]) == ("seen", before - 1)
    assert seller.market("despatch", deal.id, "--expected", "2020-01-01").code == 65
    seller.ask("despatch", deal.id)
    assert item() is None
    deal.waits(deal.buyer, "despatch")
    deal.buyer.ask("receive", deal.id, "--damaged", "1=1")
    deal.both("delivered", "due")
    assert "1: all 3 pcs came, 1 pcs damaged" in seller.market("show", deal.id).out
    due = next(one for one in deal.buyer.ask("inbox")["items"] if one["id"] == deal.id)
    assert (due["state"], due["actions"][0]) == ("new", "pay")
    assert deal.buyer.ask("ack", "--seen", deal.id)["seen"] == 1  # our own order: nobody is told
    assert next(one for one in deal.buyer.ask("inbox")["items"] if one["id"] == deal.id)["state"] == "seen"


def by_hand(net: Market) -> Deal:
    """An order that nobody has answered yet: of a quote given by hand."""
    buyer, seller = net["buyer"], net["seller"]
    request = buyer.open("coffee/roasted", "3 kettles")
    seller.received(request.id)
    seller.ask("quote", request.id, "--line", "1=20 EUR", "--delivery-days", "3")
    (quote,) = buyer.quoted(request.id)
    made = buyer.ask("order", quote.id)
    deal = Deal(net, buyer.client.show(made["order"]["id"]).order)  # type: ignore[arg-type]
    until("the order at the seller", lambda: any(one["id"] == deal.order for one in seller.ask("inbox")["items"]))
    return deal


def test_the_whole_life_of_a_deal(net: Market) -> None:
    deal = agreed(net)
    buyer, seller = deal.buyer, deal.seller
    # A change that both sign
    assert buyer.market("change", deal.id, "--line", "1=8", "--line", "2=5@3.80", "--latest", "2030-01-31").code == 0
    item = deal.waits(seller, "change")
    assert item["actions"][:2] == ["accept", "reject"]
    shown = deal.show(seller)
    (proposal,) = shown["proposals"]
    assert (proposal["state"], proposal["by"], shown["contract"]["version"]) == ("open", "other", 0)
    changed = {one["what"]: (one["before"], one["after"]) for one in proposal["differences"]}
    assert changed["total"] == ("41.00 EUR", "39.00 EUR")
    assert seller.market("accept", item["id"]).code == 0
    ours, _ = deal.both("agreed", "due")
    assert (ours["contract"]["version"], ours["contract"]["total"]["amount"]) == (1, "39.00")
    assert ours["deal"]["total"]["amount"] == "39.00"
    # Two parcels; of the second less comes than was sent, and some of it is damaged
    seller.ask("despatch", deal.id, "--line", "1", "--carrier", "Hanjin", "--tracking", "4711")
    seller.ask("despatch", deal.id, "--expected", "2030-01-31")
    ours, theirs = deal.both("in_delivery", "due")
    assert [one["no"] for one in ours["despatches"]] == [1, 2]
    assert (ours["deal"]["turn"], theirs["deal"]["turn"], theirs["unsent"]) == ("me", "other", [])
    first = deal.waits(buyer, "despatch")
    assert first["actions"][0] == "receive"
    assert buyer.ask("note", first["id"], "which carrier?")["created"]  # an answer to a paper is about its deal
    buyer.ask("receive", deal.id, "--despatch", "1")
    buyer.ask("receive", deal.id, "--short", "2=3", "--damaged", "2=1", "--text", "wet carton")
    ours, theirs = deal.both("in_delivery", "due")
    assert [(one["no"], one["quantity"]["value"]) for one in theirs["unsent"]] == [(2, "1")]
    assert (ours["deal"]["turn"], theirs["deal"]["turn"]) == ("other", "me")
    again = buyer.refuse(9, "receive", deal.id)  # said twice it signs for nothing that was not sent
    assert "nothing is on its way" in again["message"]
    assert "--short 2=QTY" in again["hint"]
    deal.both("in_delivery", "due")
    seller.ask("despatch", deal.id)
    deal.waits(buyer, "despatch")
    buyer.ask("receive", deal.id)
    deal.both("delivered", "due")
    # A bill, something given back, and the money
    bill = seller.ask("invoice", deal.id, "--due", "14d", "--pay-to", IBAN)["invoice"]
    assert bill["payto"] == [f"{IBAN}?amount=EUR:39.00&message={bill['number']}"]
    deal.waits(buyer, "invoice")
    assert buyer.ask("dispute", bill["id"])["deal"]["id"] == deal.id
    seller.ask("credit", bill["id"], "--line", "2=1", "--reason", "damaged")
    deal.waits(buyer, "credit")
    ours = deal.show(buyer)
    assert (ours["invoices"][0]["open"]["amount"], ours["balance"]["owed"]["amount"]) == ("35.20", "35.20")
    assert (ours["deal"]["turn"], ours["deal"]["due_at"] is not None) == ("me", True)
    said = buyer.market("pay", bill["id"], "--reference", "PO-17")
    assert f"pay by: {IBAN}?amount=EUR:35.20&message=PO-17" in said.out
    assert deal.waits(seller, "payment")["actions"][0] == "confirm-payment"
    deal.both("delivered", "advised")
    seller.ask("confirm-payment", deal.id)
    ours, theirs = deal.both("completed", "confirmed")
    assert ours["balance"]["owed"]["amount"] == "0.00"
    assert (ours["deal"]["turn"], ours["deal"]["due_at"], ours["deal"]["then"]) == ("none", None, None)
    assert [step["step"] for step in ours["payments"][0]["steps"]] == ["advised", "confirmed"]
    for peer in (buyer, seller):  # any id of the deal names it
        ids = [one["id"] for one in deal.show(peer)["documents"] if one["id"] and one["kind"] != "request"]
        assert {id_[0] for id_ in ids} >= set("qomsgikpn")
        assert {peer.client.export(id_).deal for id_ in ids} == {deal.id}
    deal.same()
    for peer in (buyer, seller):
        out = peer.market("show", deal.id).out
        assert all(word in out for word in ("change 1, signed by both", "Hanjin", "damaged", bill["number"], "PO-17"))
        kinds = {one["kind"] for one in peer.ask("inbox")["items"] if one["state"] != "answered" and one["actions"]}
        assert not kinds & {"change", "despatch", "invoice", "payment"} or peer.ask("inbox")["items"]


def test_a_cancellation_needs_both(net: Market) -> None:
    deal = agreed(net)
    buyer, seller = deal.buyer, deal.seller
    wish = seller.ask("cancel", deal.id, "--reason", "stock", "--refund", "all")["proposal"]
    again = seller.ask("cancel", deal.id, "--reason", "stock", "--refund", "all")
    assert (again["proposal"]["id"], again["created"]) == (wish["id"], False)
    other = seller.refuse(9, "cancel", deal.id, "--reason", "stock")
    assert (other["code"], other["details"]) == ("wrong_state", {"proposal": wish["id"]})
    assert seller.ask("note", deal.id[:10], "we were wrong about the refund")["created"]
    deal.waits(buyer, "cancellation")
    seller.refuse(9, "accept", wish["id"])
    refused = buyer.ask("cancel", deal.id, "--refuse", "--text", "we need it")["proposal"]
    assert (refused["state"], refused["answer"]) == ("rejected", "we need it")
    until("the refusal at the seller", lambda: deal.show(seller)["proposals"][0]["state"] == "rejected")
    buyer.refuse(9, "cancel", deal.id, "--accept")
    deal.both("agreed", "due")
    mine = buyer.ask("cancel", deal.id, "--reason", "late")["proposal"]
    until("the wish at the seller", lambda: mine["id"] in {one.id for one in seller.client.show(deal.id).proposals})
    assert seller.ask("accept", mine["id"])["deal"]["state"] == "cancelled"
    ours, _ = deal.both("cancelled", "none")
    assert (ours["deal"]["turn"], ours["order"]["state"]) == ("none", "cancelled")
    for words in (("despatch",), ("invoice",), ("change", "--line", "1=1")):
        seller.refuse(9, words[0], deal.id, *words[1:])
    deal.same()


def test_an_order_is_taken_back_before_it_is_accepted(net: Market) -> None:
    deal = by_hand(net)
    buyer, seller = deal.buyer, deal.seller
    buyer.refuse(9, "receive", deal.id)
    buyer.refuse(9, "pay", deal.id)
    buyer.ask("cancel", deal.order, "--reason", "mistake")
    item = deal.waits(seller, "cancellation")
    assert seller.ask("accept", item["id"])["created"] is True
    assert seller.ask("accept", item["id"])["created"] is False
    deal.both("cancelled", "none")
    seller.refuse(9, "accept", deal.order)


def test_changes_that_cross_or_are_refused(net: Market) -> None:
    deal = agreed(net)
    buyer, seller = deal.buyer, deal.seller
    seller.kill()
    mine = buyer.ask("change", deal.id, "--line", "1=9")["proposal"]
    buyer.kill()
    seller.start()
    theirs = seller.ask("change", deal.id, "--line", "1=11")["proposal"]
    buyer.start()
    ours, _ = deal.both("agreed", "due")
    assert {one["id"] for one in ours["proposals"]} == {mine["id"], theirs["id"]}
    error = seller.refuse(9, "accept", mine["id"])
    assert "cross" in error["message"]
    buyer.refuse(9, "change", deal.id, "--accept")
    assert seller.ask("reject", mine["id"])["proposal"]["state"] == "rejected"
    assert buyer.ask("change", deal.id, "--refuse")["proposal"]["id"] == theirs["id"]
    both = seller.ask("change", deal.id, "--line", "1=10", "--total", "40 EUR")["proposal"]
    deal.waits(buyer, "change")
    assert buyer.ask("change", both["id"], "--accept")["proposal"]["state"] == "accepted"
    ours, _ = deal.both("agreed", "due")
    assert (ours["contract"]["version"], ours["contract"]["change"]) == (2, both["id"])
    assert ours["contract"]["total"]["amount"] == "40.00"
    buyer.refuse(65, "change", deal.id)
    buyer.refuse(65, "change", deal.id, "--line", "1=10")
    buyer.refuse(65, "change", deal.id, "--line", "7=1")
    deal.same()


def test_a_dry_run_does_nothing_and_a_key_does_it_once(net: Market) -> None:
    deal = agreed(net)
    buyer, seller = deal.buyer, deal.seller
    before = [paper["hash"] for paper in deal.show(seller)["documents"]]
    for words in (
        ("despatch", "--line", "1=2"),
        ("invoice",),
        ("change", "--line", "1=2"),
        ("cancel",),
        ("confirm-payment", "--cash"),
    ):
        tried = seller.ask(words[0], deal.id, *words[1:], "--dry-run")
        assert tried["created"] is True
    assert [paper["hash"] for paper in deal.show(seller)["documents"]] == before
    one = seller.ask("despatch", deal.id, "--line", "1=2", "--idempotency-key", "d1")
    two = seller.ask("despatch", deal.id, "--line", "1=2", "--idempotency-key", "d1")
    assert (one["despatch"]["id"], one["created"], two["created"]) == (two["despatch"]["id"], True, False)
    assert len(deal.show(seller)["despatches"]) == 1
    seller.refuse(65, "despatch", deal.id, "--line", "1=3", "--idempotency-key", "d1")
    other = agreed(net)  # a key that was used for one deal does not answer for another
    seller.refuse(65, "despatch", other.id, "--line", "1=2", "--idempotency-key", "d1")
    link = buyer.market("pay", deal.id, "--method", IBAN, "--dry-run")
    assert f"{IBAN}?amount=EUR:41.00" in link.out
    assert "dry run" in link.err
    assert deal.show(buyer)["payments"] == []
    deal.both("in_delivery", "due")


def test_papers_survive_kills_on_both_sides(net: Market) -> None:
    """What a command has answered is never lost, whichever daemon dies when; nothing is done twice."""
    deal = agreed(net)
    buyer, seller = deal.buyer, deal.seller
    buyer.kill()
    for number in (1, 2):
        seller.ask("despatch", deal.id, "--line", "2=1", "--idempotency-key", f"k{number}")
        seller.crash()
        assert seller.ask("despatch", deal.id, "--line", "2=1", "--idempotency-key", f"k{number}")["created"] is False
    buyer.start()
    buyer.ask("cancel", deal.id, "--idempotency-key", "wish")
    buyer.kill()
    seller.ask("invoice", deal.id, "--idempotency-key", "bill")
    buyer.start()
    assert buyer.ask("cancel", deal.id, "--idempotency-key", "wish")["created"] is False
    ours, theirs = deal.both("in_delivery", "due")
    assert [one["no"] for one in ours["despatches"]] == [1, 2]
    assert len(theirs["proposals"]) == len(theirs["invoices"]) == 1
    deal.same()


def test_money_without_words_and_money_back(net: Market) -> None:
    deal = agreed(net, "10 beans")
    buyer, seller = deal.buyer, deal.seller
    seller.refuse(9, "confirm-payment", deal.id)
    seller.refuse(9, "refund", deal.id)
    seller.refuse(65, "confirm-payment", deal.id, "--cash", "--amount", "5 USD")
    seller.ask("confirm-payment", deal.id, "--cash", "--amount", "5 EUR")
    ours, _ = deal.both("agreed", "due")
    assert ours["balance"]["owed"]["amount"] == "20.00"
    advice = buyer.ask("pay", deal.id, "--txid", "4a5e1e4b")["payment"]
    assert (advice["amount"]["amount"], advice["proof"]) == ("20.00", "4a5e1e4b")
    deal.both("agreed", "advised")
    buyer.refuse(9, "pay", deal.id)
    assert seller.ask("confirm-payment", advice["id"], "--not-received")["payment"]["state"] == "due"
    deal.both("agreed", "due")
    again = buyer.ask("pay", deal.id)["payment"]
    deal.both("agreed", "advised")
    assert seller.ask("confirm-payment", again["id"])["created"] is True
    assert seller.ask("confirm-payment", again["id"])["created"] is False
    deal.both("agreed", "confirmed")
    seller.ask("credit", deal.id, "--amount", "4 EUR", "--reason", "late")
    until("the credit", lambda: deal.show(buyer)["balance"]["overpaid"]["amount"] == "4.00")
    assert seller.ask("deals")["deals"][0]["turn"] == "me"
    back = seller.ask("refund", deal.id)["payment"]
    assert (back["state"], back["amount"]["amount"]) == ("refund_due", "4.00")
    deal.both("agreed", "refund_due")
    deal.waits(buyer, "payment")
    buyer.ask("confirm-payment", deal.id)
    ours, _ = deal.both("agreed", "refunded")
    assert (ours["balance"]["overpaid"]["amount"], ours["balance"]["refunded"]["amount"]) == ("0.00", "4.00")
    deal.same()


def test_money_is_paid_once_by_deal_or_by_invoice_and_its_link_is_shown(net: Market) -> None:
    deal = agreed(net)
    buyer, seller = deal.buyer, deal.seller
    said = buyer.market("pay", deal.id, "--dry-run").out
    assert "Nobody has named a way to pay" in said
    assert f"market note {deal.id}" in said
    bill = seller.ask("invoice", deal.id, "--pay-to", IBAN)["invoice"]
    deal.waits(buyer, "invoice")
    said = buyer.market("pay", deal.id, "--dry-run").out
    assert f"for: 41.00 EUR of invoice {bill['number']}" in said
    assert said.count(f"pay by: {IBAN}?amount=EUR:41.00&message={bill['number']}") == 1
    error = buyer.refuse(65, "pay", deal.id, "--amount", "1000")
    assert "41.00 EUR is left to be paid" in error["message"]
    buyer.ask("pay", deal.id, "--amount", "31")
    for about in (bill["id"], deal.id):
        tried = buyer.ask("pay", about, "--dry-run")
        assert tried["payto"] == [f"{IBAN}?amount=EUR:10.00&message={bill['number']}"]
    error = buyer.refuse(9, "pay", bill["id"], "--amount", "41")
    assert "--anyway" in error["hint"]
    advice = buyer.ask("pay", bill["id"])["payment"]
    for about in (bill["id"], deal.id):
        assert "nothing is left to be paid" in buyer.refuse(9, "pay", about)["message"]
    ours, _ = deal.both("agreed", "advised")
    assert (ours["balance"]["advised"]["amount"], ours["invoices"][0]["open"]["amount"]) == ("41.00", "0.00")
    for words in ((), ("--not-received",)):
        error = seller.refuse(9, "confirm-payment", deal.id, *words)
        assert f"{advice['id']} (10.00 EUR)" in error["hint"]
    seller.ask("confirm-payment", advice["id"])
    seller.ask("confirm-payment", deal.id)
    assert (
        "more than this payment was: 31.00"
        in seller.refuse(65, "refund", ours["payments"][0]["id"], "--amount", "500")["message"]
    )
    seller.ask("despatch", deal.id)
    deal.waits(buyer, "despatch")
    buyer.ask("receive", deal.id)
    ours, theirs = deal.both("completed", "confirmed")
    for one in (ours, theirs):
        assert [(bill["paid"]["amount"], bill["open"]["amount"]) for bill in one["invoices"]] == [("41.00", "0.00")]
    assert "this deal is completed" in buyer.refuse(9, "pay", bill["id"])["message"]
    deal.same()


def test_instalments_are_agreed_billed_and_paid_one_by_one(net: Market) -> None:
    deal = agreed(net, "10 beans")
    buyer, seller = deal.buyer, deal.seller
    seller.ask("change", deal.id, "--instalment", "30%@before_delivery", "--instalment", "rest@after_delivery+14d",
               "--pay-to", IBAN)  # fmt: skip
    buyer.ask("accept", deal.waits(buyer, "change")["id"])
    ours, _ = deal.both("agreed", "due")
    parts = [(one["no"], one["amount"]["amount"], one["stage"]) for one in ours["contract"]["payment"]["instalments"]]
    assert parts == [(1, "7.50", "before_delivery"), (2, "17.50", "after_delivery")]
    assert ours["deal"]["turn"] == "me"  # the first part is due before anything leaves
    first = seller.ask("invoice", deal.id)["invoice"]
    assert (first["instalment"], first["total"]["amount"]) == (1, "7.50")
    deal.waits(buyer, "invoice")
    assert buyer.ask("pay", first["id"])["payment"]["instalment"] == 1
    deal.both("agreed", "advised")
    seller.ask("confirm-payment", deal.id)
    second = seller.ask("invoice", deal.id)["invoice"]
    assert (second["instalment"], second["total"]["amount"]) == (2, "17.50")
    seller.refuse(9, "invoice", deal.id)
    assert "instalment 1 is billed" in seller.refuse(9, "invoice", deal.id, "--instalment", "1")["message"]
    deal.both("agreed", "due")
    deal.same()


def test_what_makes_no_sense_is_refused_with_a_hint(net: Market) -> None:
    deal = agreed(net)
    buyer, seller = deal.buyer, deal.seller
    buyer.refuse(9, "despatch", deal.id)
    seller.refuse(9, "receive", deal.id)
    buyer.refuse(9, "invoice", deal.id)
    seller.refuse(9, "pay", deal.id)
    seller.refuse(65, "despatch", deal.id, "--line", "1=99")
    seller.refuse(65, "despatch", deal.id, "--line", "1=1 kg")
    seller.refuse(65, "despatch", deal.id, "--line", "9=1")
    seller.refuse(65, "invoice", deal.id, "--pay-to", "payto://iban/DE00")
    seller.refuse(5, "invoice", deal.id, "--despatch", "3")
    seller.refuse(5, "despatch", "d-aaaaaaaaaa")
    buyer.refuse(65, "receive", deal.id, "--on", "2090-01-01")
    buyer.refuse(2, "change", deal.id, "--accept", "--line", "1=2")
    buyer.refuse(2, "cancel", deal.id, "--accept", "--refuse")
    seller.ask("invoice", deal.id)
    error = seller.refuse(9, "invoice", deal.id)
    assert "credit" in error["hint"]
    seller.ask("despatch", deal.id)
    error = seller.refuse(9, "despatch", deal.id)
    assert "--line" in error["hint"]
    deal.waits(buyer, "despatch")
    buyer.ask("receive", deal.id)
    buyer.refuse(9, "receive", deal.id)
    deal.both("delivered", "due")
    buyer.refuse(9, "cancel", deal.id)


def test_the_table_of_deals_fits_a_terminal_and_says_who_and_until_when(net: Market) -> None:
    from io import StringIO

    from p2pmarket_cli import views
    from p2pmarket_cli.grid import Screen
    from rich.console import Console

    deal = agreed(net)
    for peer in (deal.buyer, deal.seller):
        reply = peer.client.deals()
        out = StringIO()
        console = Console(file=out, width=80, force_terminal=False)
        for part in views.draw(reply, Screen(width=80, now=until_now(reply), terminal=True)):
            console.print(part)
        lines = out.getvalue().splitlines()
        assert all(len(line) <= 80 for line in lines), out.getvalue()
        assert re.search(r"\bwho\b.*\buntil\b.*\bthen\b", lines[0])
        mine = next(line for line in lines if deal.id[:10] in line)
        assert ("you" in mine) == (peer is deal.seller)
        assert "in " in mine


def until_now(reply: t.Deals) -> float:
    from p2pmarket_cli.grid import instant

    found = instant(reply.deals[0].created_at)
    assert found is not None
    return found


def test_events_of_a_deal_carry_it_whole(net: Market) -> None:
    deal = agreed(net)
    buyer, seller = deal.buyer, deal.seller
    last = buyer.client.status().last_seq
    seller.ask("despatch", deal.id)
    seller.ask("invoice", deal.id)
    with buyer.client.events(since=last) as stream:
        found: dict[str, t.Event] = {}
        for event in stream:
            if event.id == deal.id:
                found[event.type] = event
            if {"despatch.received", "invoice.received"} <= found.keys():
                break
    for event in found.values():
        assert isinstance(event.data, dict)
        assert (event.data["id"], event.data["state"]) == (deal.id, "in_delivery")
