"""A trade between two ledgers, document by document: what is taken, answered, refused and kept."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import msgspec
import pytest
from fulfil_world import NoDispatch
from market_world import (
    Link,
    Side,
    World,
    acknowledgement,
    carry,
    inside,
    price,
    refusals,
    settle,
    wrapped,
)

from p2pmarket import limits
from p2pmarket.api.types import bodies as b
from p2pmarket.api.types import bodies_talk as t
from p2pmarket.config import Quoting
from p2pmarket.errors import BadInput, BadMessage, MarketError, PeerGone, WrongState
from p2pmarket.keys import ExchangeKey, SigningKey, did_key
from p2pmarket.market.delivery import message_of
from p2pmarket.market.market import _pass_deadlines
from p2pmarket.market.papers import keep
from p2pmarket.market.views import Views
from p2pmarket.messages import Goodbye, Refused, decode_untrusted, encode
from p2pmarket.network import DEV
from p2pmarket.records import direct_route
from p2pmarket.store import rows
from p2pmarket.store.ledger import Ledger
from p2pmarket.trade import documents as d
from p2pmarket.trade import making
from p2pmarket.trade.evidence import export_deal, export_equivocation, verify_bundle
from p2pmarket.trade.tables import order_state
from p2pmarket.trade.thread import slot

BEANS = price(1, "B1", "beans")


def quoted(world: World, quoting: Quoting | None = None) -> tuple[rows.Request, rows.Quote]:
    """A request for ten beans with the seller's automatic quote."""
    world.seller.sell([BEANS], quoting)
    request = world.buyer.request("10 beans", sellers=[world.seller])
    settle(world.buyer, world.seller, request)
    (quote,) = world.buyer.quotes(request)
    return request, quote


def by_hand(seller: Side, request: rows.Request, amount: str = "3 EUR", **more: Any) -> rows.Quote:
    """A quote of the seller's person."""
    row = seller.run(lambda tx: tx.requests.get(request.hash))
    assert row is not None
    body = b.NewQuote(lines=[b.NewQuoteLine(no=1, price=amount)], **more)
    return seller.run(lambda tx: seller.selling.quote(tx, row, body, seller.clock()))


def resealed(original: d.Opened, key: SigningKey, recipient: bytes | None = None, **changes: object) -> bytes:
    """The document with other fields, signed anew by somebody, as a message."""
    document = msgspec.structs.replace(original.document, nonce=bytes(16), **changes)
    return wrapped(d.seal_document(document, key, DEV, original.recipient if recipient is None else recipient))


def request_key(side: Side, request: rows.Request) -> SigningKey:
    row = side.run(lambda tx: tx.requests.get(request.hash))
    assert row is not None
    assert row.sign_seed is not None
    return SigningKey.from_seed(bytes(row.sign_seed))


def check_copies(side: Side, request: rows.Request, seller: Side) -> None:
    """The columns that lists read are what the documents fold to."""
    state = side.state(request, seller)
    kept = [quote for quote in side.quotes(request) if quote.seller == seller.public]
    assert {quote.hash: quote.state for quote in kept} == dict(state.quotes)
    orders = {order.hash: order.state for order in side.orders() if order.hash in state.deals}
    assert orders == {hash_: order_state(deal) for hash_, deal in state.deals.items()}
    row = side.run(lambda tx: tx.requests.get(request.hash))
    assert row is not None
    if row.role == "buyer" and state.answer != "waiting":
        assert side.asked(request, seller).answer == state.answer
        assert (row.state == "awarded") == state.agreed


# The whole way


def test_from_request_to_deal(world: World) -> None:
    buyer, seller = world.buyer, world.seller
    request, quote = quoted(world)
    order = buyer.order(quote)
    settle(buyer, seller, request)
    assert [side.orders()[0].state for side in (buyer, seller)] == ["accepted", "accepted"]
    for side in (buyer, seller):
        check_copies(side, request, seller)
    files = [export_deal(side.thread(request, seller), order.hash) for side in (buyer, seller)]
    assert files[0] == files[1]
    assert verify_bundle(files[0]).ok
    assert [event for event in buyer.events() if event != "delivery.changed"] == [
        "request.opened", "seller.asked", "quote.received", "order.accepted",
    ]  # fmt: skip
    assert seller.events().count("request.received") == 1
    assert seller.events().count("order.received") == 1


def test_every_document_is_acknowledged_by_its_recipient(world: World) -> None:
    request, quote = quoted(world)
    world.buyer.order(quote)
    settle(world.buyer, world.seller, request)
    for side in (world.buyer, world.seller):
        with_request = partial(outbox_of, request=request)
        states = {(row.kind, row.state) for row in side.run(with_request)}
        assert {state for _, state in states} == {"delivered"}


def test_a_person_quotes_and_accepts(world: World) -> None:
    buyer, seller = world.buyer, world.seller
    request = buyer.request("10 beans", sellers=[seller])
    settle(buyer, seller, request)
    assert buyer.quotes(request) == []
    by_hand(seller, request)
    settle(buyer, seller, request)
    order = buyer.order(buyer.quotes(request)[0])
    settle(buyer, seller, request)
    assert seller.orders()[0].state == "ordered"
    assert [row.id for row in seller.run(lambda tx: tx.orders.waiting())] == [order.id]
    assert seller.run(lambda tx: seller.selling.accept(tx, seller.orders_in(tx)[0], None, world.clock()))
    settle(buyer, seller, request)
    assert buyer.orders()[0].state == "accepted"
    assert not seller.run(lambda tx: seller.selling.accept(tx, seller.orders_in(tx)[0], None, world.clock()))
    with pytest.raises(WrongState):
        seller.run(lambda tx: seller.selling.reject(tx, seller.orders_in(tx)[0], "stock", None, world.clock()))


def test_a_person_rejects(world: World) -> None:
    buyer, seller = world.buyer, world.seller
    request, quote = quoted(world, Quoting(accept=False))
    buyer.order(quote)
    settle(buyer, seller, request)
    assert seller.run(lambda tx: seller.selling.reject(tx, seller.orders_in(tx)[0], "stock", "sold out", world.clock()))
    settle(buyer, seller, request)
    assert buyer.orders()[0].state == "rejected"
    assert "order.rejected" in buyer.events()
    for side in (buyer, seller):
        check_copies(side, request, seller)
    with pytest.raises(WrongState):
        seller.run(lambda tx: seller.selling.accept(tx, seller.orders_in(tx)[0], None, world.clock()))


NEXT_WEEK = b.Decline(reason="stock", text="next week")


def seller_row(tx: Ledger, request: rows.Request) -> rows.Request:
    row = tx.requests.get(request.hash)
    assert row is not None
    return row


def test_a_decline_and_then_a_quote_after_all(world: World) -> None:
    buyer, seller = world.buyer, world.seller
    request = buyer.request("10 beans", sellers=[seller])
    settle(buyer, seller, request)

    def decline(tx: Ledger, body: b.Decline = NEXT_WEEK) -> bool:
        return seller.selling.decline(tx, seller_row(tx, request), body, world.clock())

    assert seller.run(decline)
    assert not seller.run(decline)
    for other in (b.Decline(reason="stock", text="never"), b.Decline(reason="price")):
        with pytest.raises(WrongState, match=r"declined already \(stock: next week\)"):
            seller.run(partial(decline, body=other))
    settle(buyer, seller, request)
    asked = buyer.asked(request, seller)
    assert (asked.answer, asked.reason) == ("declined", "stock: next week")
    by_hand(seller, request)
    settle(buyer, seller, request)
    assert buyer.asked(request, seller).answer == "quoted"
    with pytest.raises(WrongState):
        seller.run(lambda tx: making_decline(seller, tx, request, world))
    check_copies(buyer, request, seller)


def outbox_of(tx: Ledger, request: rows.Request) -> list[rows.Outgoing]:
    return tx.outbox.of_thread(request.hash)


def kept(tx: Ledger, message: bytes) -> rows.Document | None:
    return tx.documents.get(inside(message).hash)


def making_decline(seller: Side, tx: Any, request: rows.Request, world: World) -> d.Opened:
    thread = seller.selling.thread(tx, request.hash)
    return making.make_decline(thread, seller.signer.identity, seller.selling.moment(world.clock()), "stock")


def test_a_second_quote_replaces_the_first(world: World) -> None:
    buyer, seller = world.buyer, world.seller
    request, first = quoted(world)
    second = by_hand(seller, request, "2 EUR")
    assert (first.version, second.version) == (1, 2)
    settle(buyer, seller, request)
    assert [quote.state for quote in buyer.quotes(request)] == ["superseded", "open"]
    with pytest.raises(WrongState) as error:
        buyer.order(first)
    assert error.value.details["newest"] == second.id
    for side in (buyer, seller):
        check_copies(side, request, seller)


def test_what_was_ordered_whole_is_not_quoted_anew(world: World) -> None:
    buyer, seller = world.buyer, world.seller
    request, first = quoted(world)
    buyer.order(first)
    settle(buyer, seller, request)
    with pytest.raises(WrongState) as error:
        by_hand(seller, request, "2 EUR")
    assert "market change d-" in (error.value.hint or "")
    body = t.NewCounter(lines=[t.RevisedLine(no=1, price="2 EUR")])
    kept = seller.run(lambda tx: tx.documents.get(first.hash))
    assert kept is not None
    with pytest.raises(WrongState):
        seller.run(lambda tx: seller.talking.counter_back(tx, kept, body, world.clock()))
    assert [quote.state for quote in seller.quotes(request)] == ["ordered"]


def test_what_was_not_ordered_may_be_quoted_anew(world: World) -> None:
    buyer, seller = world.buyer, world.seller
    request, first = quoted(world)
    buyer.order(first, b.NewOrderLine(no=1, quantity="4"))
    settle(buyer, seller, request)
    assert by_hand(seller, request, "2 EUR").version == 2


def test_the_ordered_version_stays_in_the_list_of_quotes(world: World) -> None:
    """A new version that was under way when the order was accepted hides nothing."""
    buyer, seller = world.buyer, world.seller
    request, first = quoted(world)
    buyer.order(first)
    second = by_hand(seller, request, "4 EUR")
    settle(buyer, seller, request)
    assert seller.run(lambda tx: seller.selling.accept(tx, seller.orders_in(tx)[0], None, world.clock()))
    settle(buyer, seller, request)
    for side in (buyer, seller):
        views = Views(side.reader, side.public, NoDispatch(), DEV)
        listed = side.run(partial(views.quotes, request=request.hash))
        assert {(quote.id, quote.state) for quote in listed} >= {(first.id, "ordered")}
        assert second.id in {quote.id for quote in listed}


@pytest.mark.parametrize("closed", [True, False])
def test_a_request_that_is_over_is_neither_quoted_nor_declined(world: World, closed: bool) -> None:
    buyer, seller = world.buyer, world.seller
    request = buyer.request("10 kettles", sellers=[seller])
    settle(buyer, seller, request)
    if closed:
        row = buyer.run(lambda tx: tx.requests.get(request.hash))
        assert row is not None
        buyer.run(lambda tx: buyer.buying.close(tx, row, b.CloseRequest(state="cancelled"), world.clock()))
        settle(buyer, seller, request)
    else:
        world.clock.now = request.reply_by
    kept = seller.run(lambda tx: tx.requests.get(request.hash))
    assert kept is not None
    with pytest.raises(WrongState):
        seller.run(lambda tx: seller.selling.decline(tx, kept, b.Decline(reason="stock"), world.clock()))
    with pytest.raises(WrongState):
        by_hand(seller, request)


@pytest.mark.parametrize("field", ["delivery_latest", "due"])
def test_a_quote_promises_no_day_that_is_over(world: World, field: str) -> None:
    buyer, seller = world.buyer, world.seller
    request = buyer.request("10 kettles", sellers=[seller])
    settle(buyer, seller, request)
    parts = [b.NewInstalment(amount="rest", due="2026-05-27")]
    terms: Any = {"payment": b.NewPaymentTerms(instalments=parts)} if field == "due" else {field: "2026-05-27"}
    with pytest.raises(BadInput, match="already past"):
        by_hand(seller, request, **terms)
    assert by_hand(seller, request, delivery_latest="2026-05-28").version == 1  # today


def test_an_order_that_meets_a_new_version_under_way(world: World) -> None:
    """It was ordered before the new version arrived: not accepted by itself, but a person may."""
    buyer, seller = world.buyer, world.seller
    request, first = quoted(world)
    buyer.order(first)
    by_hand(seller, request, "4 EUR")
    settle(buyer, seller, request)
    assert [side.orders()[0].state for side in (buyer, seller)] == ["ordered", "ordered"]
    assert seller.run(lambda tx: seller.selling.accept(tx, seller.orders_in(tx)[0], None, world.clock()))
    settle(buyer, seller, request)
    assert buyer.orders()[0].state == "accepted"
    for side in (buyer, seller):
        check_copies(side, request, seller)
    assert buyer.state(request, seller) == seller.state(request, seller)


def test_an_order_that_meets_the_withdrawal_under_way(world: World) -> None:
    buyer, seller = world.buyer, world.seller
    request, quote = quoted(world)
    buyer.order(quote)
    mine = seller.quotes(request)[0]
    assert seller.run(lambda tx: seller.selling.withdraw(tx, mine, None, world.clock()))
    settle(buyer, seller, request)
    assert [side.orders()[0].state for side in (buyer, seller)] == ["rejected", "rejected"]
    assert seller.run(lambda tx: tx.orders.waiting()) == []
    assert "order.rejected" in buyer.events()
    for side in (buyer, seller):
        check_copies(side, request, seller)


def test_a_withdrawn_quote_cannot_be_ordered(world: World) -> None:
    buyer, seller = world.buyer, world.seller
    request, quote = quoted(world)
    assert seller.run(lambda tx: seller.selling.withdraw(tx, seller.quotes_in(tx, request)[0], "sorry", world.clock()))
    assert not seller.run(lambda tx: seller.selling.withdraw(tx, seller.quotes_in(tx, request)[0], None, world.clock()))
    settle(buyer, seller, request)
    with pytest.raises(WrongState):
        buyer.order(quote)
    check_copies(buyer, request, seller)


def test_an_order_of_an_expired_quote(world: World) -> None:
    buyer, seller = world.buyer, world.seller
    request, quote = quoted(world)
    world.clock.now = quote.valid_until
    buyer.order(quote)  # in the last second
    world.clock.now += 1
    settle(buyer, seller, request)
    assert seller.orders()[0].state == "ordered"  # a person decides
    assert buyer.orders()[0].state == "ordered"


def test_an_expired_quote_cannot_be_ordered(world: World) -> None:
    _, quote = quoted(world)
    world.clock.now = quote.valid_until + 1
    with pytest.raises(WrongState):
        world.buyer.order(quote)


def test_the_order_is_good_until_its_own_deadline(world: World) -> None:
    buyer, seller = world.buyer, world.seller
    request, quote = quoted(world, Quoting(accept=False))
    order = buyer.order(quote)
    settle(buyer, seller, request)
    world.clock.now = order.answer_by + 1
    with pytest.raises(WrongState):
        seller.run(lambda tx: seller.selling.accept(tx, seller.orders_in(tx)[0], None, world.clock()))
    world.clock.now = order.answer_by
    assert seller.run(lambda tx: seller.selling.accept(tx, seller.orders_in(tx)[0], None, world.clock()))
    world.clock.now += 30 * limits.DAY  # however late it arrives, it binds
    link = buyer.link(request, seller)
    messages = [wrapped(seller.thread(request, seller).documents[seller.orders()[0].response])]  # type: ignore[index]
    assert refusals(buyer.take(messages, link)) == [None]
    assert buyer.orders()[0].state == "accepted"


def test_ordering_twice_is_one_order(world: World) -> None:
    buyer = world.buyer
    request, quote = quoted(world)
    first = buyer.order(quote)
    assert buyer.order(quote).id == first.id
    assert len(buyer.orders()) == 1
    with pytest.raises(WrongState):
        buyer.order(quote, b.NewOrderLine(no=1, quantity="5"))
    settle(buyer, world.seller, request)
    assert buyer.order(quote).id == first.id


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"deliver_to_text": "Somebody else; 1 Street; 12345 Town"}, "ordered already, with another address"),
        ({"reference": "PO-2"}, "ordered already, with another number"),
        ({"referee": did_key(SigningKey(bytes(32)).public)}, "ordered already, with another referee"),
        ({"max_total": "1 EUR"}, "the total is above --max-total; it was ordered before, and that order stands"),
    ],
)
def test_an_order_given_again_with_other_terms_is_told(world: World, other: dict[str, str], why: str) -> None:
    """Who believes that it goes elsewhere must not hear that all is well."""
    buyer = world.buyer
    _, quote = quoted(world)
    terms = {"deliver_to_text": "Me; 2 Street; 12345 Town", "reference": "PO-1", "max_total": "500 EUR"}

    def order(**more: Any) -> tuple[rows.Order, bool]:
        body = b.NewOrder(quote=quote.id, **more)
        return buyer.run(lambda tx: buyer.buying.order(tx, body, world.clock()))

    first, created = order(**terms)
    assert created
    for same in (terms, {}):
        again, created = order(**same)
        assert (again.id, created) == (first.id, False)
    with pytest.raises(WrongState, match=why):
        order(**terms | other)
    assert len(buyer.orders()) == 1


def test_a_part_is_ordered(world: World) -> None:
    buyer, seller = world.buyer, world.seller
    request, quote = quoted(world)
    buyer.order(quote, b.NewOrderLine(no=1, quantity="4"))
    settle(buyer, seller, request)
    order = seller.run(lambda tx: seller.reader.document(tx, seller.orders_in(tx)[0].hash, d.Order))
    assert (order.lines[0].quantity, order.total) == ("4", 1000)
    assert seller.orders()[0].state == "accepted"


def test_closing_tells_the_sellers(world: World) -> None:
    buyer, seller = world.buyer, world.seller
    request, quote = quoted(world)
    row = buyer.run(lambda tx: tx.requests.get(request.hash))
    assert row is not None
    assert buyer.run(lambda tx: buyer.buying.close(tx, row, b.CloseRequest(state="enough"), world.clock()))
    settle(buyer, seller, request)
    got = seller.run(lambda tx: tx.requests.get(request.hash))
    assert got is not None
    assert got.state == "enough"
    assert [side.quotes(request)[0].state for side in (buyer, seller)] == ["lost", "lost"]
    buyer.order(quote)  # quotes stay orderable
    settle(buyer, seller, request)
    assert [side.orders()[0].state for side in (buyer, seller)] == ["accepted", "accepted"]
    for side in (buyer, seller):
        check_copies(side, request, seller)


def test_a_closed_request_that_never_left_is_not_sent(world: World) -> None:
    buyer, seller = world.buyer, world.seller
    request = buyer.request("10 beans", sellers=[seller])
    buyer.run(lambda tx: buyer.buying.close(tx, request, b.CloseRequest(), world.clock()))
    assert buyer.waiting(buyer.link(request, seller)) == []
    assert not buyer.ask(request, world.rival)


# Again and again


def all_messages(world: World) -> tuple[rows.Request, list[bytes], list[bytes]]:
    """A trade with two quotes, an order and its acceptance: what came to the seller, and to the buyer."""
    buyer, seller = world.buyer, world.seller
    world.seller.sell([BEANS])
    request = buyer.request("10 beans", sellers=[seller])
    link = buyer.link(request, seller)
    back = (link[1], link[0])
    to_seller, to_buyer = [], []
    for step in range(4):
        to_seller += buyer.waiting(link)
        carry(buyer, seller, link)
        to_buyer += seller.waiting(back)
        carry(seller, buyer, back)
        if step == 0:
            by_hand(seller, request, "2 EUR")
        if step == 1:
            order = buyer.order(buyer.quotes(request)[-1])
            assert order.state == "ordered"
        if step == 2:
            seller.run(lambda tx: seller.selling.accept(tx, seller.orders_in(tx)[0], None, world.clock()))
    assert [inside(message).kind for message in to_seller] == [d.REQUEST, d.ORDER]
    assert [inside(message).kind for message in to_buyer] == [d.QUOTE, d.QUOTE, d.ORDER_RESPONSE]
    return request, to_seller, to_buyer


def test_a_document_that_comes_again_gets_the_same_answer_and_changes_nothing(world: World) -> None:
    request, to_seller, to_buyer = all_messages(world)
    link = world.buyer.link(request, world.seller)
    for side, messages, over in (
        (world.seller, to_seller, (link[1], link[0])),
        (world.buyer, to_buyer, link),
    ):
        first = side.take(messages, over).answers
        before = side.dump()
        for _ in range(3):
            assert side.take(messages, over).answers == first
            assert sorted(side.take(reversed(messages), over).answers) == sorted(first)
        assert side.dump() == before
        rows_kept = [side.run(partial(kept, message=message)) for message in messages]
        acks = [row.ack for row in rows_kept if row is not None]
        told = [answer for answer in first if inside(answer).kind == d.ACKNOWLEDGEMENT]
        assert [acknowledgement(answer).about for answer in told] == [inside(message).hash for message in messages]
        assert {inside(answer).envelope for answer in told} >= {ack for ack in acks if ack is not None}
        assert acks.count(None) == (side is world.seller)  # the request: its quote has said that it is here
        assert len(first) - len(told) == (side is world.seller)  # should he have lost that quote, here it is


def test_an_acknowledgement_that_comes_again_changes_nothing(world: World) -> None:
    request, to_seller, _ = all_messages(world)
    link = world.buyer.link(request, world.seller)
    said = world.seller.take(to_seller, (link[1], link[0])).answers
    answers = [answer for answer in said if inside(answer).kind == d.ACKNOWLEDGEMENT]
    before = world.buyer.dump()
    for _ in range(3):
        taken = world.buyer.take(answers, link)
        assert taken.answers == []
        assert taken.acknowledged == [inside(message).hash for message in to_seller]
    assert world.buyer.dump() == before


def test_documents_in_one_batch_and_their_copies(world: World) -> None:
    """The copy in one batch gets the answer of the first."""
    world.seller.sell([BEANS], Quoting(auto=False))
    request = world.buyer.request("10 beans", sellers=[world.seller])
    link = world.buyer.link(request, world.seller)
    answers = world.seller.take(world.buyer.waiting(link) * 3, (link[1], link[0])).answers
    assert len(set(answers)) == 1
    assert len(answers) == 3
    assert world.seller.quotes(request) == []


def asked_for_beans(world: World) -> tuple[rows.Request, Link, Link]:
    """A request to a seller who quotes at once, not yet sent, and its link as either side names it."""
    world.seller.sell([BEANS])
    request = world.buyer.request("10 beans", sellers=[world.seller])
    local, remote = world.buyer.link(request, world.seller)
    return request, (local, remote), (remote, local)


def test_copies_of_what_was_answered_at_once(world: World) -> None:
    """One quote, and nothing beside it, tells the buyer that his request has come; a copy is acknowledged."""
    buyer, seller = world.buyer, world.seller
    request, link, back = asked_for_beans(world)
    taken = seller.take(buyer.waiting(link) * 3, back)
    assert refusals(taken) == [None, None]
    assert len(set(taken.answers)) == 1
    (quote,) = seller.quotes(request)
    assert [one.hash for one in taken.waiting] == [quote.hash]
    assert buyer.take(seller.waiting(back), link).acknowledged == [request.hash]
    assert buyer.waiting(link) == []
    order = buyer.order(buyer.quotes(request)[0])
    assert seller.take(buyer.waiting(link), back).answers == []
    assert buyer.take(seller.waiting(back), link).acknowledged == [request.hash, order.hash]
    assert buyer.waiting(link) == []
    (kept,) = buyer.orders()
    assert kept.state == "accepted"


def test_a_quote_that_is_refused_tells_all_the_same_that_the_request_came(world: World) -> None:
    buyer, seller = world.buyer, world.seller
    request, link, back = asked_for_beans(world)
    seller.take(buyer.waiting(link), back)
    sent = seller.waiting(back)
    world.clock.now -= 7 * limits.DAY  # a clock that was set back: the quote is from the future
    taken = buyer.take(sent, link)
    assert refusals(taken) != [None]
    assert taken.acknowledged == [request.hash]
    assert buyer.events()[-1] == "delivery.changed"  # as nothing else tells it


def test_nobody_else_s_quote_tells_that_a_request_has_come(world: World) -> None:
    """Neither a rival's over the same link, nor the seller's over another."""
    buyer, seller, rival = world.buyer, world.seller, world.rival
    seller.sell([BEANS])
    rival.sell([BEANS])
    request = buyer.request("10 beans", sellers=[seller, rival])
    link, other = buyer.link(request, seller), buyer.link(request, rival)
    seller.take(buyer.waiting(link), (link[1], link[0]))
    rival.take(buyer.waiting(other), (other[1], other[0]))
    buyer.take(rival.waiting((other[1], other[0])), link)
    assert [inside(message).recipient for message in buyer.waiting(link)] == [seller.public]
    assert buyer.take(seller.waiting((link[1], link[0])), (b"other".ljust(32), link[1])).acknowledged == []
    assert len(buyer.waiting(link)) == 1


def test_quotes_that_arrive_in_the_wrong_order(world: World) -> None:
    buyer, seller = world.buyer, world.seller
    world.seller.sell([BEANS])
    request = buyer.request("10 beans", sellers=[seller])
    link = buyer.link(request, seller)
    carry(buyer, seller, link)
    by_hand(seller, request, "2 EUR")
    first, second = seller.waiting((link[1], link[0]))
    assert refusals(buyer.take([second], link)) == [None]
    assert refusals(buyer.take([first], link)) == [None]
    assert [quote.state for quote in buyer.quotes(request)] == ["superseded", "open"]
    check_copies(buyer, request, seller)


# Refused


def test_a_refused_document_gets_a_signed_refusal_and_is_not_kept(world: World) -> None:
    request, quote = quoted(world)
    buyer, seller = world.buyer, world.seller
    link = buyer.link(request, seller)
    original = seller.thread(request, seller).documents[quote.hash]
    before = buyer.dump()
    wrong = resealed(original, seller.signer.identity, version=2)  # answers no version
    taken = buyer.take([wrong], link)
    assert refusals(taken) == ["version"]
    answer = inside(taken.answers[0])
    assert answer.signer == request_key(buyer, request).public
    assert answer.recipient == seller.public
    assert acknowledgement(taken.answers[0]).about == inside(wrong).hash
    assert buyer.dump() == before


def test_the_sender_of_a_refused_document_sees_it(world: World) -> None:
    buyer, seller = world.buyer, world.seller
    request = buyer.request("10 beans", sellers=[seller], reply_by="1h")
    world.clock.now += 2 * limits.HOUR + limits.CLOCK_SKEW_SECONDS
    link = buyer.link(request, seller)
    sent = [message_of(row) for row in buyer.run(lambda tx: tx.outbox.of_thread(request.hash))]
    taken = seller.take(sent, (link[1], link[0]))
    assert refusals(taken) == ["too_late"]
    buyer.take(taken.answers, link)
    row = buyer.run(lambda tx: tx.outbox.of_document(request.hash, seller.public))
    assert row is not None
    assert (row.state, row.reason) == ("failed", "too_late")
    asked = buyer.asked(request, seller)
    assert (asked.answer, asked.reason) == ("declined", "the time to reply has passed")


def test_a_document_for_somebody_else(world: World) -> None:
    """It is said so, unsigned: we hold no key that could sign for that recipient."""
    request, quote = quoted(world)
    original = world.seller.thread(request, world.seller).documents[quote.hash]
    stray = resealed(original, world.seller.signer.identity, recipient=world.rival.public)
    taken = world.buyer.take([stray], world.buyer.link(request, world.seller))
    assert [decode_untrusted(answer) for answer in taken.answers] == [Refused(inside(stray).hash, "wrong_recipient")]


def test_a_request_must_come_over_its_own_link(world: World) -> None:
    buyer, seller = world.buyer, world.seller
    request = buyer.request("10 beans", sellers=[seller])
    link = buyer.link(request, seller)
    stranger = ExchangeKey.from_seed(bytes(32)).public
    assert refusals(seller.take(buyer.waiting(link), (link[1], stranger))) == ["wrong_signer"]


@pytest.mark.parametrize("kind", ["quote", "decline", "withdraw"])
def test_answers_of_somebody_who_was_not_asked(world: World, kind: str) -> None:
    request, quote = quoted(world)
    buyer, seller, rival = world.buyer, world.seller, world.rival
    original = seller.thread(request, seller).documents[quote.hash]
    documents: dict[str, d.Document] = {
        "quote": original.document,
        "decline": d.Decline(nonce=bytes(16), issued_at=world.clock(), request=request.hash, reason="stock"),
        "withdraw": d.Withdraw(nonce=bytes(16), issued_at=world.clock(), request=request.hash, quote=quote.hash),
    }
    message = wrapped(d.seal_document(documents[kind], rival.signer.identity, DEV, original.recipient))
    before = buyer.dump()
    (code,) = refusals(buyer.take([message], buyer.link(request, rival)))
    assert code in {"unknown_request", "wrong_signer"}  # the quote is word for word the seller's
    assert buyer.dump() == before


def test_garbage_ends_the_link_and_changes_nothing(world: World) -> None:
    request, quote = quoted(world)
    buyer, seller = world.buyer, world.seller
    link = buyer.link(request, seller)
    good = wrapped(seller.thread(request, seller).documents[quote.hash])
    before = buyer.dump()
    for bad in (b"", b"\xff", good[:-1], good + b"x", good.replace(b"beans", b"bones")):
        with pytest.raises(BadMessage):
            buyer.take([good, bad], link)
    assert buyer.dump() == before
    with pytest.raises(PeerGone):
        buyer.take([encode(Goodbye("bad_message"))], link)


def test_a_message_of_a_later_version_is_passed_over(world: World) -> None:
    request, quote = quoted(world)
    good = wrapped(world.seller.thread(request, world.seller).documents[quote.hash])
    unknown = bytes([0x82, 0x18, 99, 0x01])  # [99, 1]
    taken = world.buyer.take([unknown, good], world.buyer.link(request, world.seller))
    assert refusals(taken) == [None]


# Two documents in one slot


def test_a_second_document_in_a_slot_is_kept_as_a_proof(world: World) -> None:
    request, first = quoted(world)
    buyer, seller = world.buyer, world.seller
    by_hand(seller, request, "2 EUR")
    settle(buyer, seller, request)  # version 2 is here too: the proof must show version 1
    original = seller.thread(request, seller).documents[first.hash]
    other = resealed(original, seller.signer.identity, text="another version 1")
    link = buyer.link(request, seller)
    assert refusals(buyer.take([other], link)) == ["equivocation"]
    (one, two) = proofs(buyer)[0]
    papers = [d.document_untrusted(d.QUOTE, envelope, DEV, original.recipient) for envelope in (one, two)]
    assert slot(papers[0]) == slot(papers[1])
    assert verify_bundle(export_equivocation(DEV, *papers)).ok
    assert [quote.version for quote in buyer.quotes(request)] == [1, 2]
    check_copies(buyer, request, seller)


def test_two_answers_to_one_order(world: World) -> None:
    request, quote = quoted(world)
    buyer, seller = world.buyer, world.seller
    buyer.order(quote)
    settle(buyer, seller, request)
    response = seller.orders()[0].response
    assert response is not None
    original = seller.thread(request, seller).documents[response]
    no = resealed(original, seller.signer.identity, code="RE", deal_signature=None, reason="stock")
    assert refusals(buyer.take([no], buyer.link(request, seller))) == ["equivocation"]
    papers = [d.document_untrusted(d.ORDER_RESPONSE, envelope, DEV, buyer.public) for envelope in proofs(buyer)[0]]
    assert verify_bundle(export_equivocation(DEV, *papers)).ok
    assert buyer.orders()[0].state == "accepted"


def test_proofs_against_one_signer_are_bounded(world: World) -> None:
    request, first = quoted(world)
    buyer, seller = world.buyer, world.seller
    original = seller.thread(request, seller).documents[first.hash]
    link = buyer.link(request, seller)
    for no in range(limits.PROOFS_PER_SIGNER + 5):
        other = resealed(original, seller.signer.identity, text=f"another version 1, the {no}th")
        assert refusals(buyer.take([other], link)) == ["equivocation"]
    assert len(proofs(buyer)) == limits.PROOFS_PER_SIGNER


def proofs(side: Side) -> list[tuple[bytes, bytes]]:
    found = side.connection.execute("SELECT first, second FROM proofs").fetchall()
    return [(bytes(first), bytes(second)) for first, second in found]


def test_two_orders_of_one_quote(world: World) -> None:
    request, quote = quoted(world)
    buyer, seller = world.buyer, world.seller
    order = buyer.order(quote)
    settle(buyer, seller, request)
    original = buyer.thread(request, seller).documents[order.hash]
    again = resealed(original, buyer.signer.identity, reference="the same goods once more")
    link = buyer.link(request, seller)
    (code,) = refusals(seller.take([again], (link[1], link[0])))
    assert code is not None
    assert len(seller.orders()) == 1


# What a peer cannot make grow


@pytest.mark.parametrize("kind", ["decline", "withdraw", "outcome"])
def test_documents_of_one_signer_in_a_thread_at_the_limit_and_one_over(world: World, kind: str) -> None:
    request, quote = quoted(world)
    buyer, seller = world.buyer, world.seller
    key = request_key(buyer, request)
    link = buyer.link(request, seller)
    about = {"issued_at": world.clock(), "request": request.hash}
    taker, over, signer, recipient = buyer, link, seller.signer.identity, key.public
    if kind == "outcome":
        taker, over, signer, recipient = seller, (link[1], link[0]), key, seller.public

    def message(no: int) -> bytes:
        nonce = no.to_bytes(16, "big")
        documents: dict[str, d.Document] = {
            "decline": d.Decline(nonce=nonce, reason="stock", **about),  # type: ignore[arg-type]
            "withdraw": d.Withdraw(nonce=nonce, quote=quote.hash, **about),  # type: ignore[arg-type]
            "outcome": d.Outcome(nonce=nonce, result="lost", **about),  # type: ignore[arg-type]
        }
        return wrapped(d.seal_document(documents[kind], signer, DEV, recipient))

    here = sum(1 for document in taker.thread(request, seller).documents.values() if document.signer == signer.public)
    for no in range(limits.THREAD_DOCUMENTS - here):
        assert refusals(taker.take([message(no)], over)) == [None]
    before = taker.dump()
    assert refusals(taker.take([message(10_000)], over)) == ["busy"]
    assert taker.dump() == before
    assert refusals(taker.take([message(0)], over)) == [None]  # one that is here already


@pytest.mark.parametrize("left", [0, 1])
def test_an_outcome_is_told_as_long_as_there_is_room_for_it(world: World, left: int) -> None:
    """Else the two sides would not hold the same: he would refuse it."""
    request, _ = quoted(world)
    buyer, seller = world.buyer, world.seller
    key, link = request_key(buyer, request), buyer.link(request, seller)
    here = [one for one in buyer.thread(request, seller).documents.values() if one.signer == key.public]
    for no in range(limits.THREAD_DOCUMENTS - len(here) - left):
        outcome = d.Outcome(
            nonce=no.to_bytes(16, "big"), issued_at=world.clock(), request=request.hash, result="expired"
        )
        opened = d.seal_document(outcome, key, DEV, seller.public)
        buyer.run(partial(keep, opened=opened, thread=request.hash, wall=world.clock(), ours=True))
        assert refusals(seller.take([wrapped(opened)], (link[1], link[0]))) == [None]
    row = buyer.run(lambda tx: tx.requests.get(request.hash))
    assert row is not None
    assert buyer.run(lambda tx: buyer.buying.close(tx, row, b.CloseRequest(state="enough"), world.clock()))
    settle(buyer, seller, request)
    assert set(buyer.thread(request, seller).documents) == set(seller.thread(request, seller).documents)
    told = [one for _, one in seller.thread(request, seller).each(d.Outcome) if one.result == "enough"]
    assert len(told) == left


def test_contradicting_acknowledgements_come_to_rest(world: World) -> None:
    request, _ = quoted(world)
    buyer, seller = world.buyer, world.seller
    link = buyer.link(request, seller)
    asked = buyer.thread(request, seller).request
    messages = []
    said: list[tuple[Literal["received", "seen", "refused"], str | None]] = [
        ("received", None),
        ("refused", "busy"),
        ("seen", None),
    ]
    for status, code in said:
        opened = making.make_acknowledgement(
            asked,
            seller.signer.identity,
            DEV,
            seller.selling.moment(world.clock()),
            status,
            code,
        )
        messages.append(wrapped(opened))
    buyer.take(messages * 2, link)
    before = buyer.dump()
    buyer.take(messages * 10, link)
    assert buyer.dump() == before
    check_copies(buyer, request, seller)  # he has quoted, so that is his answer


def test_requests_from_one_place_at_the_limit_and_one_over(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "REQUESTS_PER_HOUR", 5)
    buyer, seller = world.buyer, world.seller
    for no in range(6):
        request = buyer.request("10 beans", sellers=[seller])
        link = buyer.link(request, seller)
        assert refusals(seller.take(buyer.waiting(link), (link[1], link[0]), b"one")) == [None if no < 5 else "busy"]
    request = buyer.request("10 beans", sellers=[seller])
    link = buyer.link(request, seller)
    assert refusals(seller.take(buyer.waiting(link), (link[1], link[0]), b"another")) == [None]


def test_an_inbox_at_the_limit_and_one_over(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "INBOX_REQUESTS", 3)
    buyer, seller = world.buyer, world.seller
    codes = []
    for no in range(4):
        request = buyer.request("10 beans", sellers=[seller])
        link = buyer.link(request, seller)
        codes += refusals(seller.take(buyer.waiting(link), (link[1], link[0]), str(no).encode()))
    assert codes == [None, None, None, "busy"]


def test_many_quotes_of_others_do_not_shut_a_seller_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "QUOTES_PER_REQUEST", 2)
    buyer, seller, rival = world.buyer, world.seller, world.rival
    seller.sell([BEANS])
    rival.sell([BEANS])
    request = buyer.request("10 beans", sellers=[seller, rival])
    carry(buyer, seller, buyer.link(request, seller))
    by_hand(seller, request, "2 EUR")
    by_hand(seller, request, "1 EUR")
    link = buyer.link(request, seller)
    assert refusals(carry(seller, buyer, (link[1], link[0]))) == [None, None, "busy"]
    settle(buyer, rival, request)
    assert {quote.seller for quote in buyer.quotes(request)} == {seller.public, rival.public}


# Where others tell us to call


def test_a_quote_cannot_redirect_another_sellers_link(world: World) -> None:
    """Keys are public: a rival's quote may name the seller's key with an address of his own."""
    buyer, seller, rival = world.buyer, world.seller, world.rival
    rival.sell([BEANS])
    request = buyer.request("10 beans", sellers=[seller, rival])
    link = buyer.link(request, rival)
    carry(buyer, rival, link)
    original = next(iter(rival.thread(request, rival).quotes))
    evil = resealed(
        rival.thread(request, rival).documents[original],
        rival.signer.identity,
        reply_key=seller.service.public,
        routes=(direct_route("127.0.0.1", 6666),),
    )
    before = buyer.run(lambda tx: tx.outbox.correspondent(buyer.link(request, seller)))
    assert refusals(buyer.take([evil], link)) == [None]
    assert buyer.run(lambda tx: tx.outbox.correspondent(buyer.link(request, seller))) == before


def test_an_order_cannot_redirect_another_buyers_link(world: World) -> None:
    buyer, seller, rival = world.buyer, world.seller, world.rival
    seller.sell([BEANS])
    victim = rival.request("10 beans", sellers=[seller])
    settle(rival, seller, victim)
    back = rival.link(victim, seller)[::-1]
    before = seller.run(lambda tx: tx.outbox.correspondent(back))
    assert before is not None
    request, quote = quoted(world)
    evil = making.make_order(
        buyer.thread(request, seller),
        buyer.signer.identity,
        request_key(buyer, request),
        buyer.buying.moment(world.clock()),
        quote=quote.hash,
        answer_by=world.clock() + limits.DAY,
        reply_key=back[1],
        routes=(direct_route("127.0.0.1", 6666),),
    )
    link = buyer.link(request, seller)
    assert refusals(seller.take([wrapped(evil)], (link[1], link[0]))) == []  # accepted at once
    assert [order.state for order in seller.orders()] == ["accepted"]
    assert seller.run(lambda tx: tx.outbox.correspondent(back)) == before


def test_a_seller_who_moves_is_found_again(world: World) -> None:
    buyer, seller = world.buyer, world.seller
    request = buyer.request("10 beans", sellers=[seller])
    old = seller.record()
    seller.address = ("127.0.0.1", 7777)
    world.clock.now += limits.HOUR
    assert not buyer.run(lambda tx: buyer.buying.ask(tx, request.hash, seller.record(seq=2), world.clock()))
    moved = buyer.run(lambda tx: tx.outbox.correspondent(buyer.link(request, seller)))
    assert not buyer.run(lambda tx: buyer.buying.ask(tx, request.hash, old, world.clock()))  # an old copy
    assert buyer.run(lambda tx: tx.outbox.correspondent(buyer.link(request, seller))) == moved
    assert moved is not None
    assert (7777).to_bytes(2, "big") in bytes(moved.routes)


# Time passes


def test_the_end_of_a_request_is_told_once(world: World) -> None:
    buyer, seller, rival = world.buyer, world.seller, world.rival
    seller.sell([BEANS])
    request = buyer.request("10 beans", sellers=[seller, rival], reply_by="1h")
    settle(buyer, seller, request)
    for side in (buyer, seller):
        before = side.events()
        for last, now in ((world.clock.now, request.reply_by), (request.reply_by, request.reply_by + 5)):
            side.run(partial(_pass_deadlines, last=last, now=now))
        new = side.events()[len(before) :]
        assert new == (["delivery.changed", "request.closed"] if side is buyer else ["request.closed"])
    assert buyer.asked(request, rival).answer == "silent"
    assert buyer.asked(request, seller).answer == "quoted"
    row = buyer.run(lambda tx: tx.outbox.of_document(request.hash, rival.public))
    assert row is not None
    assert row.state == "failed"


def test_an_order_that_nobody_took_fails_visibly(world: World) -> None:
    _, quote = quoted(world)
    buyer = world.buyer
    order = buyer.order(quote)
    end = world.clock.now + limits.SENDING_SECONDS
    before = buyer.events()
    buyer.run(partial(_pass_deadlines, last=end - 1, now=end - 1))
    assert buyer.events() == before
    buyer.run(partial(_pass_deadlines, last=end, now=end))
    assert buyer.events() == [*before, "delivery.changed"]
    row = buyer.run(lambda tx: tx.outbox.of_document(order.hash, world.seller.public))
    assert row is not None
    assert row.state == "failed"
    assert buyer.orders()[0].state == "ordered"  # it may have arrived: only the seller's word ends it


# Nobody but those concerned


def test_verbs_refuse_the_wrong_role(world: World) -> None:
    buyer, seller = world.buyer, world.seller
    request, quote = quoted(world)
    mine = buyer.run(lambda tx: tx.requests.get(request.hash))
    assert mine is not None
    with pytest.raises(BadInput):
        buyer.run(lambda tx: buyer.selling.quote(tx, mine, b.NewQuote(total="1 EUR"), world.clock()))
    with pytest.raises(MarketError):
        buyer.run(lambda tx: buyer.selling.decline(tx, mine, b.Decline(reason="stock"), world.clock()))
    with pytest.raises(BadInput):
        buyer.run(lambda tx: buyer.selling.withdraw(tx, quote, None, world.clock()))
    with pytest.raises(BadInput):
        seller.order(seller.quotes(request)[0])
    order = buyer.order(quote)
    with pytest.raises(BadInput):
        buyer.run(lambda tx: buyer.selling.accept(tx, order, None, world.clock()))
