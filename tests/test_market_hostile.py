"""What a counterparty, a stranger or a referee with a daemon of his own may try: all signatures are sound."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from fulfil_world import Deal, ordered
from market_world import Side, World, inside, price, refusals, row, settle, wrapped
from trade_world import key

from p2pmarket import limits
from p2pmarket.api.types import bodies as orders
from p2pmarket.api.types import bodies_quarrel as b
from p2pmarket.errors import LimitReached
from p2pmarket.keys import did_key
from p2pmarket.market import quarrel, threads
from p2pmarket.market.dealing import Dealing
from p2pmarket.market.own_keys import sign_key
from p2pmarket.market.recalling import after_restore
from p2pmarket.messages import Document, Recall, Recalled, Refused, decode_untrusted, encode
from p2pmarket.network import DEV
from p2pmarket.store import rows
from p2pmarket.trade import documents as d
from p2pmarket.trade.agreeing import make_opinion
from p2pmarket.trade.making import Moment
from p2pmarket.trade.thread import Thread

JUDGE = key("judge")
Link = tuple[bytes, bytes]


@pytest.fixture
def world(world: World) -> World:
    for side in (world.seller, world.buyer):
        side.sell([price(1, "B1", "beans")])
    return world


def thread_of(side: Side, order: rows.Order) -> Thread:
    dealing: Dealing = side.dealing
    return side.run(lambda tx: dealing.deal_thread(tx, order))


def step(side: Side, name: str, **fields: object) -> d.Opened:
    body = b.NewDispute(step=name, **fields)  # type: ignore[arg-type]
    return side.run(lambda tx: quarrel.dispute(tx, side.dealing, row(side), body, side.clock()))[0]


def back(link: Link) -> Link:
    return link[1], link[0]


# What has no end


def test_a_proposal_is_not_accepted_without_end(deal: Deal, monkeypatch: pytest.MonkeyPatch) -> None:
    buyer, seller = deal.world.buyer, deal.world.seller
    step(buyer, "open", reason="late")
    proposal = step(buyer, "proposal", outcome="refund", share="0.5")
    deal.settle()
    first = step(seller, "accept", about=proposal.id)
    deal.settle()
    monkeypatch.setattr(threads, "THREAD_DOCUMENTS", 10)
    said = [
        d.seal_document(
            msgspec.structs.replace(first.document, no=no, nonce=bytes([no]) * 16),
            seller.signer.identity,
            DEV,
            buyer.public,
        )
        for no in range(2, 30)
    ]
    taken = buyer.take(map(wrapped, said), buyer.link(deal.request, seller))
    assert refusals(taken)[-1] == "busy"
    kept = [one for one in thread_of(buyer, row(buyer)).documents.values() if one.signer == seller.public]
    assert len(kept) == 10


def test_an_answer_is_taken_when_there_is_no_room_left(deal: Deal, monkeypatch: pytest.MonkeyPatch) -> None:
    buyer, seller = deal.world.buyer, deal.world.seller
    step(buyer, "open", reason="late")
    proposal = step(buyer, "proposal", outcome="refund", share="0.5")
    deal.settle()
    monkeypatch.setattr(threads, "THREAD_DOCUMENTS", 1)
    step(seller, "accept", about=proposal.id)
    deal.settle()
    assert row(buyer).stage == row(seller).stage == "settled"


def test_a_referee_says_one_thing_whomever_he_seals_it_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An opinion sealed for the buyer is of the thread like any other: not kept without end, and not given twice."""
    made = ordered(tmp_path, monkeypatch)
    buyer, seller = made.world.buyer, made.world.seller
    made.request = buyer.request("10 beans", sellers=[seller])
    made.settle()
    (quote,) = buyer.quotes(made.request)
    body = orders.NewOrder(quote=quote.id, referee=did_key(JUDGE.public))
    judged, _ = buyer.run(lambda tx: buyer.buying.order(tx, body, buyer.clock()))
    made.settle()
    seller.run(lambda tx: seller.selling.accept(tx, row(seller), None, seller.clock()))
    made.settle()
    opening = step(buyer, "open", reason="damaged")
    made.settle()
    thread = thread_of(buyer, judged)
    said = [
        make_opinion(
            thread, JUDGE, Moment(buyer.clock(), lambda n: bytes(n)), opening.hash, "buyer", outcome="refund", text=text
        )
        for text in ("half", "all")
    ]
    link = buyer.link(made.request, seller)
    assert refusals(buyer.take(map(wrapped, said), link)) == [None, "equivocation"]
    assert said[0].hash in thread_of(buyer, judged).documents
    assert buyer.run(lambda tx: tx.proofs.count(JUDGE.public)) == 1
    other = next(one for one in buyer.orders() if one.hash != judged.hash)
    assert said[0].hash not in thread_of(buyer, other).documents
    made.world.close()


# What one side has and the other refuses


def test_nothing_is_signed_that_the_other_side_has_no_room_for(deal: Deal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "THREAD_DOCUMENTS", 5)
    step(deal.buyer.side, "open", reason="late")
    for number in range(3):
        deal.seller.despatch((1, "1"))
        step(deal.buyer.side, "statement", text=f"{number} came")
    with pytest.raises(LimitReached):
        deal.seller.despatch((1, "1"))
    with pytest.raises(LimitReached):
        step(deal.buyer.side, "statement", text="one more")
    deal.settle()
    assert {one.state for side in (deal.buyer, deal.seller) for one in sent(side.side, deal.request)} <= {
        "delivered",
        "seen",
    }
    assert deal.buyer.export() == deal.seller.export()


def test_a_quote_is_not_withdrawn_unheard(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    buyer, seller = world.buyer, world.seller
    request = buyer.request("10 beans", sellers=[seller])
    settle(buyer, seller, request)
    monkeypatch.setattr(threads, "THREAD_DOCUMENTS", 1)
    with pytest.raises(LimitReached):
        seller.run(lambda tx: seller.selling.withdraw(tx, seller.quotes_in(tx, request)[0], None, seller.clock()))
    settle(buyer, seller, request)
    assert [side.quotes(request)[0].state for side in (buyer, seller)] == ["open", "open"]


def sent(side: Side, request: rows.Request) -> list[rows.Outgoing]:
    return [one for one in side.run(lambda tx: tx.outbox.of_thread(request.hash)) if one.kind != d.ACKNOWLEDGEMENT]


# Who asks


def asked_and_quoted(world: World) -> tuple[rows.Request, d.Opened]:
    """A request of somebody unknown, and a quote that is not sent yet."""
    request = world.buyer.request("10 beans", sellers=[world.seller])
    link = world.buyer.link(request, world.seller)
    world.seller.take(world.buyer.waiting(link), back(link))
    (quote,) = world.seller.waiting(back(link))
    return request, inside(quote)


def says_nothing(answers: list[bytes]) -> bool:
    """Whether nothing is signed: what a stranger to all this would say as well."""
    return all(isinstance(decode_untrusted(answer), Refused) for answer in answers) and len(answers) == 1


def test_a_guess_who_asked_is_not_confirmed_by_the_suspects_own_line(world: World) -> None:
    """The quote is brought to the one who may have asked, over the line that his announcements name."""
    buyer, seller = world.buyer, world.seller
    request, quote = asked_and_quoted(world)
    suspected = (buyer.service.public, seller.service.public)
    other = (world.rival.service.public, seller.service.public)
    assert says_nothing(world.rival.take([wrapped(quote)], other).answers)
    assert says_nothing(buyer.take([wrapped(quote)], suspected).answers)
    assert buyer.quotes(request) == []
    assert refusals(buyer.take([wrapped(quote)], buyer.link(request, seller))) == [None]
    assert says_nothing(buyer.take([wrapped(quote)], suspected).answers)


def test_a_guess_who_asked_is_not_confirmed_over_the_line_of_the_request(world: World) -> None:
    """What is addressed to the suspect, what he signed before, and a claim in his name, all over the unknown's line."""
    buyer, seller, rival = world.buyer, world.seller, world.rival
    before = seller.request("10 beans", sellers=[buyer])
    settle(seller, buyer, before)
    (given,) = seller.quotes(before)
    first = seller.run(lambda tx: tx.outbox.of_document(before.hash, buyer.public))
    theirs = seller.run(lambda tx: tx.documents.get(given.hash))
    assert first is not None
    assert theirs is not None
    request, _ = asked_and_quoted(world)
    link = buyer.link(request, seller)
    already = encode_document(d.REQUEST, buyer.public, first.envelope)
    signed = encode_document(d.QUOTE, theirs.recipient, theirs.envelope)
    fresh = inside_request(seller, buyer, link)
    for message in (already, signed, fresh):
        assert says_nothing(buyer.take([message], link).answers)
    claim = encode(Recall(bytes(16), buyer.clock(), b"", buyer.public, bytes(64)))
    (answer,) = buyer.take([claim], link).answers[-1:]
    assert isinstance(decode_untrusted(answer), Recalled)
    assert rival.events() == []


def encode_document(kind: int, recipient: bytes, envelope: bytes) -> bytes:
    return encode(Document(kind, recipient, envelope))


def inside_request(asker: Side, suspect: Side, link: Link) -> bytes:
    """A request to a suspect that names the other end of this link."""
    made = asker.request("10 beans")
    kept = asker.run(lambda tx: tx.documents.get(made.hash))
    assert kept is not None
    document = asker.reader.of_row(kept)
    changed = msgspec.structs.replace(document, reply_key=link[1])
    return wrapped(d.seal_document(changed, sign_key(made), DEV, suspect.public))


def test_a_quote_never_goes_over_the_line_of_a_request_of_ours(world: World) -> None:
    """Who was asked by somebody unknown asks the suspect under the same key: two lines of ours end at one key."""
    asker, suspect = world.seller, world.rival
    for _ in range(8):
        suspect.request("10 beans", sellers=[asker])
    link = (suspect.service.public, asker.service.public)
    assert refusals(suspect.take([inside_request(asker, suspect, link)], link)) == [None]
    (got,) = suspect.run(lambda tx: list(tx.requests.of_role("seller")))
    body = orders.NewQuote(total="90 EUR")
    quote = suspect.run(lambda tx: suspect.selling.quote(tx, got, body, suspect.clock()))
    way = suspect.run(lambda tx: tx.outbox.of_document(quote.hash, tx.documents.get(quote.hash).recipient))  # type: ignore[union-attr]
    assert way is not None
    assert (way.local, way.remote) == link


# What was lost


def test_a_request_dated_ahead_is_not_quoted_twice_after_a_restore(world: World, tmp_path: Path) -> None:
    """It looks newer than the restore, and was answered before it."""
    buyer, seller = world.buyer, world.seller
    world.clock.now += limits.DAY
    request = buyer.request("10 beans", sellers=[seller])
    world.clock.now -= limits.DAY
    link = buyer.link(request, seller)
    messages = buyer.waiting(link)
    seller.take(messages, back(link))
    assert len(seller.quotes(request)) == 1
    (tmp_path / "restored").mkdir()
    restored = Side("seller", tmp_path / "restored", world.clock)
    restored.sell([price(1, "B1", "beans", "9")])
    assert restored.service.public == seller.service.public
    restored.run(lambda tx: after_restore(tx, restored.public, bytes(16), world.clock()))
    restored.take(messages, back(link))
    assert restored.quotes(request) == []
    restored.close()
