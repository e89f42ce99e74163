"""Ratings, disputes, referees and proofs between real daemons."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemons import Market, Peer, a_market, market, until

from p2pmarket.api import types as t
from p2pmarket.api.types import bodies as b

PRICES = b"""code,description,unit,price,per,currency,stock,min_qty,category,lead_days
YIR,Yirgacheffe,KGM,15.50,1,EUR,,,coffee/roasted,3
"""


@pytest.fixture(scope="module")
def net() -> Iterator[Market]:
    with a_market("seller", "buyer", "referee") as net:
        net["seller"].client.profile_set(b.SetProfile(name="Addis Roasters", region="DE"))
        assert net["seller"].ask("prices", "import", "-", stdin=PRICES)["imported"] == 1
        net["seller"].announce("coffee/roasted", "world")
        yield net


@pytest.fixture
def seller(net: Market) -> Peer:
    return net["seller"]


@pytest.fixture
def buyer(net: Market) -> Peer:
    return net["buyer"]


@pytest.fixture
def referee(net: Market) -> Peer:
    return net["referee"]


def ordered(buyer: Peer, *more: str, amount: int = 20) -> t.Order:
    """An order that the seller has."""
    request = buyer.open("coffee/roasted", f"{amount} kg Yirgacheffe")
    (quote,) = buyer.quoted(request.id)
    return buyer.client.show(buyer.ask("order", quote.id, *more)["order"]["id"]).order or pytest.fail("no order")


def agreed(seller: Peer, buyer: Peer, amount: int = 20) -> str:
    """A deal that both have signed."""
    order = ordered(buyer, amount=amount)
    seller.settled(order.id, "agreed")
    return buyer.settled(order.id, "agreed").id


def moves(peer: Peer, deal: str, count: int) -> t.Dispute:
    """The only dispute of a deal, once it has so many steps."""

    def look() -> t.Dispute | None:
        found = peer.client.disputes(deal).disputes
        return found[0] if found and len(found[0].moves) >= count else None

    return until(f"{count} steps about {deal}", look)


def state(peer: Peer, deal: str, wanted: str) -> t.Deal:
    return until(
        f"{deal} to be {wanted}",
        lambda: next((one for one in peer.client.deals().deals if one.id == deal and one.state == wanted), None),
    )


def exported(peer: Peer, deal: str, folder: Path) -> Path:
    path = folder / f"{peer.daemon.name}.json"
    path.write_bytes(peer.client.export(deal).data)
    return path


def test_a_dispute_is_opened_stated_and_settled(seller: Peer, buyer: Peer, tmp_path: Path) -> None:
    deal = agreed(seller, buyer)
    assert buyer.ask("dispute", deal)["disputes"] == []
    opened = buyer.ask("dispute", deal, "open", "--reason", "late", "--text", "due on Friday")
    assert (opened["created"], opened["deal"]["state"]) == (True, "disputed")
    assert buyer.ask("dispute", deal, "open", "--reason", "late", "--text", "due on Friday")["created"] is False
    moves(seller, deal, 1)
    state(seller, deal, "disputed")
    slip = tmp_path / "slip.txt"
    slip.write_text("left on Monday")
    seller.ask("dispute", deal, "state", "--text", "it left on time", "--attach", str(slip))
    seller.ask("dispute", deal, "propose", "--outcome", "price_cut", "--share", "25%")
    seen = moves(buyer, deal, 3)
    assert [move.step for move in seen.moves] == ["open", "statement", "proposal"]
    assert [move.by for move in seen.moves] == ["me", "other", "other"]
    assert seen.moves[1].attachments[0].startswith("slip.txt sha256:")
    assert (seen.moves[2].share, seen.proposals) == ("0.25", [seen.moves[2].id])
    settled = buyer.ask("dispute", deal, "accept")
    assert settled["dispute"]["state"] == "settled"
    state(seller, deal, "settled")

    def files() -> tuple[Path, Path] | None:
        both = exported(buyer, deal, tmp_path), exported(seller, deal, tmp_path)
        return both if both[0].read_bytes() == both[1].read_bytes() else None

    one, _ = until("both sides to export one file", files)
    told = market("verify", str(one), "--json", home=tmp_path)
    assert told.code == 0
    assert told.json["summary"]["state"] == "settled"
    assert told.json["summary"]["disputes"][0]["state"] == "settled"
    assert {"acknowledgement", "dispute"} <= {entry["kind"] for entry in told.json["history"]}
    assert "settled" in market("verify", str(one), home=tmp_path).out
    data = bytearray(one.read_bytes())
    data[len(data) // 2] ^= 1
    one.write_bytes(data)
    assert market("verify", str(one), home=tmp_path).code == 65


def test_a_refund_that_settled_a_dispute_is_asked_for_until_it_came(seller: Peer, buyer: Peer) -> None:
    deal = agreed(seller, buyer)

    def stands(peer: Peer, payment: str, turn: str) -> None:
        def look() -> bool:
            (one,) = [one for one in peer.client.deals().deals if one.id == deal]
            return (one.payment_state, one.turn) == (payment, turn)

        until(f"{deal}: payment {payment}, turn {turn}", look)

    assert buyer.ask("pay", deal)["created"]
    until("the advice", lambda: seller.ask("show", deal)["payments"])
    seller.ask("confirm-payment", deal)
    buyer.ask("dispute", deal, "open", "--reason", "damaged")
    error = buyer.refuse(65, "dispute", deal, "propose", "--outcome", "refund", "--amount", "999")
    assert "is more than the deal comes to" in error["message"]
    buyer.ask("dispute", deal, "propose", "--outcome", "refund", "--amount", "3")
    moves(seller, deal, 2)
    seller.ask("dispute", deal, "accept")
    stands(seller, "confirmed", "me")
    stands(buyer, "confirmed", "other")
    back = seller.ask("refund", deal)["payment"]
    assert (back["state"], back["amount"]["amount"]) == ("refund_due", "3.00")
    until("the refund", lambda: buyer.ask("show", deal)["payments"][0]["state"] == "refund_due")
    buyer.ask("confirm-payment", deal)
    stands(buyer, "refunded", "none")
    stands(seller, "refunded", "none")


def test_a_referee_judges_from_the_papers_of_one_side(seller: Peer, buyer: Peer, referee: Peer, tmp_path: Path) -> None:
    judge = referee.client.identity().identity
    buyer.ask("contacts", "add", judge, "The Judge")
    order = ordered(buyer, "--referee", "the judge")
    assert order.referee == judge
    seller.settled(order.id, "ordered")  # a referee whom the seller did not name is for a person to accept
    seller.ask("accept", order.id)
    deal = buyer.settled(order.id, "agreed").id
    buyer.ask("dispute", deal, "open", "--reason", "damaged")
    moves(seller, deal, 1)
    papers = exported(seller, deal, tmp_path)
    judged = tmp_path / "opinion.json"
    words = ("dispute", "--opinion", str(papers), "--outcome", "refund", "--amount", "12.50", "--text", "half each")
    told = referee.ask(*words, "-o", str(judged))
    assert (told["deal"], told["created"]) == (deal, True)
    assert "--force" in referee.refuse(9, *words, "-o", str(judged))["hint"]
    assert referee.ask(*words, "-o", str(judged), "--force")["created"] is False
    again = referee.refuse(9, "dispute", "--opinion", str(papers), "--outcome", "none", "-o", str(judged), "--force")
    assert "already" in again["message"]
    seller.refuse(9, "dispute", "--opinion", str(papers), "--outcome", "none", "-o", str(tmp_path / "no.json"))
    for peer in (buyer, seller):
        taken = peer.ask("import", str(judged))
        assert taken["opinions"] == [told["opinion"]]
        assert peer.ask("import", str(judged))["created"] is False
        opinion = peer.client.disputes(deal).disputes[0].moves[-1]
        assert (opinion.step, opinion.by, opinion.outcome) == ("opinion", "referee", "refund")
        assert opinion.amount == t.Money(amount="12.50", currency="EUR")
    assert "the referee" in buyer.market("dispute", deal).out
    assert "the referee" in buyer.market("show", deal).out
    shown = seller.client.show(deal)
    assert shown.disputes[0].moves[-1].by == "referee"
    assert [one.signer for one in shown.documents if one.kind == "dispute"] == ["other", "referee"]
    assert referee.market("import", str(judged), "--json").code == 5
    verdict = market("verify", str(exported(buyer, deal, tmp_path)), "--json", home=tmp_path).json
    assert verdict["parties"]["referee"] == judge
    assert verdict["summary"]["disputes"][0]["opinion"] == "refund"


def test_a_deal_is_rated_by_both_sides(seller: Peer, buyer: Peer) -> None:
    deal = agreed(seller, buyer)
    rated = buyer.ask("rate", deal, "--aspect", "goods=5", "--aspect", "delivery=2", "--text", "good, but late")
    assert (rated["created"], rated["rating"]["stars"]) == (True, "3.5")
    assert rated["rating"]["rated"]["key"] == seller.client.identity().identity
    same = ("rate", deal, "--aspect", "delivery=2", "--aspect", "goods=5", "--text", "good, but late")
    assert buyer.ask(*same)["created"] is False
    assert buyer.ask("rate", deal, "--stars", "4")["created"] is True
    assert seller.ask("rate", deal, "--stars", "5")["rating"]["role"] == "seller"
    until(
        "two ratings at the seller",
        lambda: len([one for one in seller.client.inbox(state="new").items if one.kind == "rating"]) == 2 or None,
    )


def test_a_third_party_sees_ratings_before_it_orders(net: Market, seller: Peer, buyer: Peer, referee: Peer) -> None:
    deal, rated = agreed(seller, buyer), seller.client.identity().identity
    buyer.ask("rate", deal, "--stars", "2", "--text", "half of it was missing")
    found = until(
        "the rating in the network",
        lambda: next((one for one in referee.client.ratings(rated).ratings if one.stars == "2.0"), None),
    )
    assert (found.text, found.role, found.deal) == ("half of it was missing", "buyer", deal)
    assert found.seen_at is not None
    referee.ask("contacts", "add", buyer.client.identity().identity, "Cafe Roma")
    until("the rating to be a contact's", lambda: referee.client.ratings(rated).contacts)
    assert referee.client.ratings(rated).others is None
    assert "2.0" in referee.market("ratings", rated).out
    assert buyer.client.ratings(rated).own == t.Score(counterparties=1, stars="2.0")
    until("it at the rated too", lambda: [one.stars for one in seller.client.ratings("me").ratings] == ["2.0"])
    # Whoever gets a quote need not ask.
    late = net.add("late")
    request = late.open("coffee/roasted", "3 kg Yirgacheffe")
    (quote,) = late.quoted(request.id)
    seen = until("the rating beside the quote", lambda: late.client.quotes(request.id).quotes[0].seller.standing)
    assert (seen.own, seen.contacts, seen.others) == (None, None, t.Score(counterparties=1, stars="2.0"))
    assert late.client.show(quote.id).documents


def test_what_cannot_be_said_is_refused(seller: Peer, buyer: Peer, tmp_path: Path) -> None:
    deal = agreed(seller, buyer)
    buyer.refuse(65, "rate", deal)
    buyer.refuse(65, "rate", deal, "--stars", "5", "--text", "x" * 300)
    assert buyer.market("rate", deal, "--stars", "6").code == 2
    assert buyer.market("rate", deal, "--aspect", "goods").code == 2
    buyer.refuse(65, "dispute", deal, "open")
    buyer.refuse(9, "dispute", deal, "state", "--text", "nothing is open")
    buyer.refuse(9, "dispute", deal, "accept")
    buyer.refuse(65, "dispute", deal, "open", "--reason", "late", "--amount", "5")
    buyer.ask("dispute", deal, "open", "--reason", "late")
    buyer.refuse(65, "dispute", deal, "propose", "--outcome", "refund", "--amount", "9999999")
    buyer.refuse(65, "dispute", deal, "propose", "--outcome", "refund", "--share", "150%")
    buyer.refuse(65, "dispute", deal, "propose", "--outcome", "refund", "--amount", "5 USD")
    nonsense = tmp_path / "nonsense.json"
    nonsense.write_bytes(b"{}")
    buyer.refuse(65, "import", str(nonsense))
    buyer.refuse(65, "dispute", "--opinion", str(nonsense), "--outcome", "refund")
    assert buyer.market("dispute").code == 2
    buyer.refuse(5, "export", "z-abcdefg")
    assert json.loads(buyer.market("proofs", "--json").out) == {"proofs": []}


def test_the_rated_peer_carries_what_was_said_of_him(net: Market, seller: Peer, buyer: Peer) -> None:
    """The last test: only he and the bootstrap node are left, and what they held for others is lost."""
    rated = seller.client.identity().identity
    buyer.ask("rate", agreed(seller, buyer), "--stars", "3")
    until("the rating at the seller", lambda: "3.0" in [one.stars for one in seller.client.ratings("me").ratings])
    for name, peer in net.peers.items():
        if name not in {"bootstrap", "seller"}:
            peer.kill()
    net["bootstrap"].crash()
    seller.crash()
    reader = net.add("reader")
    found = until("the rating, from the seller alone", lambda: reader.client.ratings(rated).ratings or None)
    assert [one.stars for one in found] == ["3.0"]
