"""Ratings, quarrels and evidence between two real ledgers: what is kept, what is refused, what both can show."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from fulfil_world import Deal, ordered
from market_world import Side, refusals, row, wrapped
from trade_world import key

from p2pmarket.api.types import bodies as orders
from p2pmarket.api.types import bodies_quarrel as b
from p2pmarket.errors import BadInput, MarketError, NotFound, WrongState
from p2pmarket.keys import SigningKey, did_key
from p2pmarket.market import quarrel
from p2pmarket.market.proofs import documents_of, proof_file
from p2pmarket.market.quarrel import evidence_of
from p2pmarket.market.rating import compare
from p2pmarket.network import DEV
from p2pmarket.trade import documents as d
from p2pmarket.trade.agreeing import make_opinion
from p2pmarket.trade.evidence import deal_untrusted, export_deal, verify_bundle
from p2pmarket.trade.making import Moment
from p2pmarket.trade.thread import Thread
from p2pmarket.vocab.judging import ASPECTS, DISPUTE_OUTCOMES, DISPUTE_REASONS, known_word

JUDGE = key("judge")


def rate(side: Side, stars: int = 4, **fields: object) -> tuple[d.Opened, bool]:
    body = b.NewRating(stars=stars, **fields)  # type: ignore[arg-type]
    return side.run(lambda tx: quarrel.rate(tx, side.dealing, row(side), body, side.clock()))


def step(side: Side, name: str, **fields: object) -> tuple[d.Opened, bool]:
    body = b.NewDispute(step=name, **fields)  # type: ignore[arg-type]
    return side.run(lambda tx: quarrel.dispute(tx, side.dealing, row(side), body, side.clock()))


def exported(side: Side) -> bytes:
    return side.run(lambda tx: evidence_of(tx, side.dealing, row(side)))


def resealed(opened: d.Opened, key: SigningKey, **fields: object) -> bytes:
    """The message with the same document but for some fields, signed by its signer."""
    document = msgspec.structs.replace(opened.document, **fields)
    return wrapped(d.seal_document(document, key, DEV, opened.recipient))


def link_of(deal: Deal) -> tuple[bytes, bytes]:
    """The link as the seller names it."""
    ours, theirs = deal.world.buyer.link(deal.request, deal.world.seller)
    return theirs, ours


def test_both_sides_write_the_same_file_when_nothing_is_under_way(deal: Deal) -> None:
    buyer, seller = deal.world.buyer, deal.world.seller
    rate(buyer)
    step(seller, "open", reason="unpaid")
    deal.settle()
    step(buyer, "statement", text="paid on Monday")
    deal.settle()
    one, other = exported(buyer), exported(seller)
    assert one == other
    verdict = verify_bundle(one)
    assert verdict.ok, verdict.problems
    assert verdict.summary
    assert verdict.summary.state == "disputed"
    kinds = [entry.kind for entry in verdict.history]
    unsaid = {"request", "order", "acknowledgement"}  # the order was answered at once
    assert kinds.count("acknowledgement") == len([kind for kind in kinds if kind not in unsaid])
    assert {"rating", "dispute"} <= set(kinds)


def test_a_rating_reaches_the_inbox_and_is_said_once(deal: Deal) -> None:
    buyer, seller = deal.world.buyer, deal.world.seller
    first, created = rate(buyer, aspects={"goods": 5})
    assert created
    assert rate(buyer, aspects={"goods": 5}) == (first, False)
    deal.settle()
    assert "rating.received" in seller.events()
    assert [one.kind for one in seller.run(lambda tx: tx.notices.waiting())] == ["rating"]
    again, _ = rate(buyer, 3)
    assert again.document.issued_at == first.document.issued_at + 1  # so that it is known which one is newer
    deal.settle()
    newest = seller.run(lambda tx: tx.documents.newest_rating(buyer.public, seller.public))
    assert newest is not None
    assert newest.hash == again.hash


def test_a_rating_without_a_deal_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = ordered(tmp_path, monkeypatch, accept=False)
    for side in (waiting.world.buyer, waiting.world.seller):
        with pytest.raises(WrongState):
            rate(side)
        with pytest.raises(WrongState):
            step(side, "open", reason="late")
        with pytest.raises(WrongState):
            exported(side)
    waiting.world.close()


def test_words_that_nobody_knows_are_refused_with_those_that_are(deal: Deal) -> None:
    with pytest.raises(BadInput, match="'leate' is no reason") as refused:
        step(deal.world.buyer, "open", reason="leate")
    assert refused.value.hint == f"Did you mean late? Known: {', '.join(DISPUTE_REASONS)}"
    with pytest.raises(BadInput, match="'smell' is no aspect") as refused:
        rate(deal.world.buyer, aspects={"goods": 5, "smell": 1})
    assert refused.value.hint == f"Known: {', '.join(ASPECTS)}"
    step(deal.world.buyer, "open", reason="late")
    with pytest.raises(BadInput, match="'foo' is no outcome") as refused:
        step(deal.world.buyer, "proposal", outcome="foo")
    assert refused.value.hint == f"Known: {', '.join(DISPUTE_OUTCOMES)}"
    step(deal.world.buyer, "proposal", outcome="Price-cut", share="25%")
    for known in (DISPUTE_REASONS, DISPUTE_OUTCOMES, ASPECTS):
        assert [known_word(f" {word.upper()} ", known, "word") for word in known] == list(known)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("open", {}),
        ("open", {"reason": "Too late!"}),
        ("open", {"reason": "late", "outcome": "refund"}),
        ("statement", {}),
        ("statement", {"text": "nothing is open"}),
        ("proposal", {}),
        ("proposal", {"outcome": "refund"}),
        ("accept", {}),
        ("close", {}),
        ("close", {"about": "t-aaaaaaaa"}),
    ],
)
def test_steps_that_make_no_sense_are_refused_with_a_reason(deal: Deal, name: str, fields: dict[str, object]) -> None:
    buyer = deal.world.buyer
    before = buyer.dump()
    with pytest.raises(MarketError) as refused:
        step(buyer, name, **fields)
    assert isinstance(refused.value, BadInput | WrongState | NotFound)
    assert buyer.dump() == before


@pytest.mark.parametrize(
    ("amount", "why"),
    [
        ("38.41 EUR", "38.41 EUR is more than the deal comes to: 38.40 EUR"),
        ("0 EUR", "0.00 EUR is no amount above zero"),
        ("1 USD", "the deal is in EUR, not USD"),
        ("1.005", "cannot be paid"),
        ("a lot", "a lot"),
    ],
)
def test_amounts_that_do_not_fit_are_refused(deal: Deal, amount: str, why: str) -> None:
    buyer = deal.world.buyer
    step(buyer, "open", reason="short")
    with pytest.raises(BadInput, match=why):
        step(buyer, "proposal", outcome="refund", amount=amount)
    with pytest.raises(BadInput):
        step(buyer, "proposal", outcome="refund", amount="1", share="0.5")
    assert step(buyer, "proposal", outcome="refund", share="100%")[1]


def test_a_refund_that_settled_a_dispute_goes_back(deal: Deal) -> None:
    buyer, seller = deal.world.buyer, deal.world.seller
    deal.buyer.pay()
    deal.settle()
    deal.seller.confirm()
    deal.settle()
    step(buyer, "open", reason="damaged")
    step(buyer, "proposal", outcome="refund", amount="30 EUR")
    deal.settle()
    step(seller, "accept")
    assert deal.states() == ("settled", "confirmed")
    for party, turn in ((deal.buyer, "other"), (deal.seller, "me")):
        assert (party.shown().turn, party.life().balance.overpaid.amount) == (turn, "30.00")
    with pytest.raises(BadInput, match=r"39\.00 EUR is more than this payment was: 38\.40 EUR"):
        deal.seller.refund(amount="39 EUR")
    deal.seller.refund()
    assert deal.states() == ("settled", "refund_due")
    with pytest.raises(WrongState, match="each payment that was confirmed goes back already"):
        deal.seller.refund()
    assert deal.buyer.notices()["payment"] == "new"
    deal.buyer.confirm()
    assert deal.states() == ("settled", "refunded")
    for party in (deal.buyer, deal.seller):
        balance = party.life().balance
        assert (party.shown().turn, balance.overpaid.amount, balance.refunded.amount) == ("none", "0.00", "30.00")


def test_what_is_due_back_later_goes_back_beside_payments_that_did(deal: Deal) -> None:
    """A payment goes back once, but its seller may owe more of it later."""
    deal.buyer.pay()
    deal.settle()
    deal.seller.confirm()
    deal.seller.credit(amount="5 EUR")
    deal.seller.refund()
    deal.settle()
    with pytest.raises(WrongState, match="goes back already: each does so once"):
        deal.seller.refund(deal.seller.life().payments[0].id)
    deal.buyer.confirm()
    deal.settle()
    deal.seller.credit(amount="8 EUR")
    assert (deal.states(), deal.seller.shown().turn) == (("agreed", "refunded"), "me")
    with pytest.raises(BadInput, match=r"8\.01 EUR is more than what was paid too much: 8\.00 EUR"):
        deal.seller.refund(amount="8.01 EUR")
    deal.seller.refund(amount="3 EUR")
    deal.seller.refund()
    with pytest.raises(WrongState, match="nothing was paid too much beyond that"):
        deal.seller.refund()
    deal.settle()
    assert [one.amount.amount for one in deal.buyer.life().payments] == ["5.00", "3.00", "5.00"]
    for number in (1, 2):
        deal.buyer.confirm(deal.buyer.life().payments[number].id)
    deal.settle()
    for party in (deal.buyer, deal.seller):
        balance = party.life().balance
        assert (balance.paid.amount, balance.refunded.amount, balance.overpaid.amount) == ("38.40", "13.00", "0.00")
        assert party.shown().payment_state == "refunded"
    assert deal.buyer.export() == deal.seller.export()


def test_more_than_the_deal_comes_to_goes_back_in_several_parts(deal: Deal) -> None:
    for _ in range(3):
        deal.seller.confirm(method="cash", amount="38.40 EUR")
    for payment in deal.seller.life().payments:
        deal.seller.refund(payment.id, amount="1 EUR")
    deal.settle()
    for payment in deal.buyer.life().payments:
        deal.buyer.confirm(payment.id)
    deal.settle()
    assert deal.seller.life().balance.overpaid.amount == "73.80"
    for _ in range(2):
        deal.seller.refund()
    deal.settle()
    assert [one.amount.amount for one in deal.buyer.life().payments[3:]] == ["38.40", "35.40"]


def test_a_deal_that_was_settled_can_be_disputed_again(deal: Deal) -> None:
    """What was promised to end it may not come."""
    buyer, seller = deal.world.buyer, deal.world.seller
    step(buyer, "open", reason="late")
    step(buyer, "proposal", outcome="deliver_again")
    deal.settle()
    step(seller, "accept")
    assert deal.states()[0] == "settled"
    deal.wait(1)
    step(buyer, "open", reason="late", text="again")
    assert deal.states()[0] == "disputed"
    step(seller, "proposal", outcome="price_cut", amount="8.40 EUR")
    deal.settle()
    step(buyer, "accept")
    assert deal.states()[0] == "settled"
    assert deal.seller.life().balance.owed.amount == "30.00"


def test_who_opened_closes_and_the_other_cannot(deal: Deal) -> None:
    buyer, seller = deal.world.buyer, deal.world.seller
    step(buyer, "open", reason="late")
    deal.settle()
    with pytest.raises(WrongState, match="the buyer opened this dispute: only he can close it") as error:
        step(seller, "close")
    assert error.value.hint is not None
    assert error.value.hint.endswith(f"market dispute {row(seller).deal[:10]} propose|accept")
    step(buyer, "close")
    assert deal.states()[0] == "closed"
    step(buyer, "open", reason="late")  # once closed, the same may be opened again
    assert deal.states()[0] == "disputed"


def test_one_dispute_is_open_at_a_time_but_two_may_cross(deal: Deal) -> None:
    buyer, seller = deal.world.buyer, deal.world.seller
    first, _ = step(buyer, "open", reason="late")
    with pytest.raises(WrongState, match="open already") as error:
        step(buyer, "open", reason="damaged")
    assert first.id in str(error.value.details)
    assert f"market dispute DEAL state --about {first.id[:10]} " in str(error.value.hint)
    step(seller, "open", reason="unpaid")  # he has not heard of it
    deal.settle()
    for side in (buyer, seller):
        with pytest.raises(WrongState, match="open already"):
            step(side, "open", reason="other")
    step(buyer, "close", about=first.id)
    with pytest.raises(WrongState, match="open already"):
        step(buyer, "open", reason="damaged")
    deal.settle()
    (other,) = [one for one, move in deal_thread(seller).each(d.Dispute) if move.reason == "unpaid"]
    step(seller, "close", about=other.id)
    deal.settle()
    assert step(buyer, "open", reason="damaged")[1]


def deal_thread(side: Side) -> Thread:
    return side.run(lambda tx: side.dealing.deal_thread(tx, row(side)))


@pytest.mark.parametrize("kind", ["rating", "dispute"])
def test_two_papers_of_a_deal_in_one_place_are_a_proof(deal: Deal, kind: str) -> None:
    buyer, seller = deal.world.buyer, deal.world.seller
    made = rate(buyer)[0] if kind == "rating" else step(buyer, "open", reason="late")[0]
    deal.settle()
    other = resealed(made, buyer.signer.identity, text="something else")
    assert refusals(seller.take([other], link_of(deal))) == ["equivocation"]
    assert refusals(seller.take([other], link_of(deal))) == ["equivocation"]
    assert seller.events().count("proof.found") == 1
    (proof,) = seller.run(lambda tx: tx.proofs.latest())
    assert (proof.signer, proof.kind) == (buyer.public, made.kind)
    assert {one.hash for one in documents_of(proof, DEV)} > {made.hash}
    verdict = verify_bundle(proof_file(proof, DEV))
    assert verdict.ok
    assert verdict.contradiction
    assert verdict.contradiction.kind == kind


def test_who_tells_the_world_another_thing_than_us_is_caught(deal: Deal) -> None:
    buyer, seller = deal.world.buyer, deal.world.seller
    made, _ = rate(buyer, 5)
    deal.settle()
    world = msgspec.structs.replace(made.document, text="never again")
    published = d.seal_document(world, buyer.signer.identity, DEV, seller.public)
    strange, _ = rate(seller, 1)
    for _ in range(2):
        seller.run(lambda tx: compare(tx, seller.reader, [made, published, strange], seller.clock()))
    (proof,) = seller.run(lambda tx: tx.proofs.latest())
    assert proof.signer == buyer.public
    assert {one.hash for one in documents_of(proof, DEV)} == {made.hash, published.hash}


# Referees


@pytest.fixture
def judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deal]:
    """A deal with a referee, and a dispute that only the buyer has so far."""
    made = ordered(tmp_path, monkeypatch)
    buyer, seller = made.world.buyer, made.world.seller
    request = buyer.request("10 beans", sellers=[seller])
    made.request = request
    made.settle()
    (quote,) = buyer.quotes(request)
    body = orders.NewOrder(quote=quote.id, referee=None)
    row_, _ = buyer.run(lambda tx: buyer.buying.order(tx, with_judge(body), buyer.clock()))
    made.settle()
    assert row(seller).state == "ordered"  # a person says yes to a referee
    seller.run(lambda tx: seller.selling.accept(tx, row(seller), None, seller.clock()))
    made.settle()
    assert row(buyer).hash == row_.hash
    assert row(buyer).state == "accepted"
    step(buyer, "open", reason="damaged")
    yield made
    made.world.close()


def with_judge(body: orders.NewOrder) -> orders.NewOrder:
    return msgspec.structs.replace(body, referee=did_key(JUDGE.public))


def test_a_referee_whom_the_quote_names_is_the_orders(deal: Deal) -> None:
    buyer, seller = deal.world.buyer, deal.world.seller
    deal.request = buyer.request("3 lamps", sellers=[seller])
    deal.settle()
    asked = seller.run(lambda tx: tx.requests.get(deal.request.hash))
    assert asked is not None
    body = orders.NewQuote(total="90 EUR", referee=did_key(JUDGE.public))
    seller.run(lambda tx: seller.selling.quote(tx, asked, body, seller.clock()))
    deal.settle()
    (quote,) = buyer.quotes(deal.request)
    other = orders.NewOrder(quote=quote.id, referee=did_key(key("another").public))
    with pytest.raises(BadInput, match="another referee"):
        buyer.run(lambda tx: buyer.buying.order(tx, other, buyer.clock()))
    for party in (buyer, seller):
        himself = orders.NewOrder(quote=quote.id, referee=did_key(party.public))
        with pytest.raises(BadInput, match="neither"):
            buyer.buying.order(buyer.tx, himself, buyer.clock())
    made = buyer.order(quote)
    ordered_ = buyer.run(lambda tx: buyer.reader.document(tx, made.hash, d.Order))
    assert ordered_.referee == JUDGE.public


def opinion(data: bytes, signer: SigningKey = JUDGE, text: str = "half") -> bytes:
    """What a referee hands back for the file of one side."""
    thread, order = deal_untrusted(data, DEV)
    (opened,) = [one for one, move in thread.each(d.Dispute) if move.step == "open"]
    moment = Moment(opened.document.issued_at, lambda n: bytes(range(n)))
    made = make_opinion(thread, signer, moment, opened.hash, "seller", outcome="refund", share="0.5", text=text)
    return export_deal(thread.adding(made), order)


def take(side: Side, data: bytes) -> list[d.Opened]:
    thread, order = deal_untrusted(data, DEV)
    return side.run(lambda tx: quarrel.take_opinions(tx, side.dealing, thread, order, side.clock()))[1]


def test_an_opinion_is_taken_once_by_each_side_and_told(judged: Deal) -> None:
    buyer, seller = judged.world.buyer, judged.world.seller
    data = opinion(exported(buyer))
    with pytest.raises(BadInput, match="does not fit"):
        take(seller, data)  # the dispute itself is still on its way to him
    judged.settle()
    for side in (buyer, seller):
        assert len(take(side, data)) == 1
        assert take(side, data) == []
        assert side.events()[-1] == "dispute.received"
        assert row(side).stage == "disputed"  # it is heard, and moves nothing
    judged.settle()
    assert exported(buyer) == exported(seller)
    verdict = verify_bundle(exported(seller))
    assert verdict.summary
    assert verdict.summary.disputes[0].share == "0.5"


def test_a_second_opinion_of_one_referee_is_refused(judged: Deal) -> None:
    buyer = judged.world.buyer
    data = exported(buyer)
    assert take(buyer, opinion(data))
    with pytest.raises(BadInput, match="does not fit"):
        take(buyer, opinion(data, text="all of it"))


def test_a_restored_referee_gives_the_opinion_that_the_file_shows(judged: Deal) -> None:
    """His ledger has lost it: then what it says binds him all the same."""
    buyer, referee = judged.world.buyer, Side("judge", judged.world.rival.folder, judged.world.clock)
    referee.dealing = replace(referee.dealing, signer=replace(referee.signer, identity=JUDGE))
    file, order = deal_untrusted(exported(buyer), DEV)
    shown, _ = deal_untrusted(opinion(exported(buyer)), DEV)

    def judge(thread: Thread, **fields: str) -> tuple[d.Opened, Thread, bool]:
        body = b.NewOpinion(data=b"", outcome="refund", share="0.5", **fields)
        return referee.run(lambda tx: quarrel.opinion(tx, referee.dealing, thread, order, body, referee.clock()))

    with pytest.raises(WrongState, match="already"):
        judge(shown, text="all of it")
    said, thread, created = judge(shown, text="half")
    assert (created, said.hash in shown.documents, len(thread.documents)) == (False, True, len(shown.documents))
    assert judge(file, text="half")[0].hash == said.hash  # it is kept again: a file without it changes nothing
    with pytest.raises(WrongState, match="already"):
        judge(file, text="all of it")
    referee.close()


def test_files_of_others_and_forged_files_are_not_taken(judged: Deal) -> None:
    buyer, rival = judged.world.buyer, judged.world.rival
    data = opinion(exported(buyer))
    with pytest.raises(NotFound):
        take(rival, data)
    forged = json.loads(data)
    forged["summary"]["disputes"][0]["share"] = "1"
    for bad in (data[:-2], json.dumps(forged).encode(), b"", b"[]"):
        with pytest.raises(BadInput):
            take(buyer, bad)


def test_only_whom_the_order_names_can_judge(judged: Deal) -> None:
    data = exported(judged.world.buyer)
    thread, order = deal_untrusted(data, DEV)
    rival = judged.world.rival
    body = b.NewOpinion(data=data, outcome="refund")
    before = rival.dump()
    with pytest.raises(WrongState, match="another referee"):
        rival.run(lambda tx: quarrel.opinion(tx, rival.dealing, thread, order, body, rival.clock()))
    assert rival.dump() == before
    with pytest.raises(MarketError):
        opinion(data, rival.signer.identity)
