"""What a modified daemon may try on the other side of a trade, with documents that are signed as they must be."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from market_world import Side, World, inside, price, refusals, settle, wrapped

from p2pmarket import limits
from p2pmarket.api.types import bodies as b
from p2pmarket.config import Quoting
from p2pmarket.errors import BadInput, LimitReached, WrongState
from p2pmarket.market import threads
from p2pmarket.market.buying import quote_row
from p2pmarket.market.papers import keep
from p2pmarket.market.receiving import portions
from p2pmarket.market.routes import addresses_of
from p2pmarket.network import DEV
from p2pmarket.records import Record, make_announcement
from p2pmarket.store import rows
from p2pmarket.store.ledger import Ledger
from p2pmarket.trade import documents as d
from p2pmarket.trade import making
from p2pmarket.trade.money import make_sheet, priced_line
from p2pmarket.trade.values import Terms

# Whose line is it


def announced(side: Side, service_key: bytes, seq: int = 1) -> Record:
    """A side's announcement that names any key as its own."""
    told = msgspec.structs.replace(side.record(seq=seq).announcement, service_key=service_key)
    return make_announcement(side.signer.identity, DEV, told)


def ask(buyer: Side, request: rows.Request, record: Record) -> bool:
    return buyer.run(lambda tx: buyer.buying.ask(tx, request.hash, record, buyer.clock()))


def dialled(buyer: Side, request: rows.Request, seller: Side) -> list[tuple[str, int]]:
    """The addresses that the buyer tries for a seller."""
    link = buyer.link(request, seller)
    known = buyer.run(lambda tx: tx.outbox.correspondent(link))
    assert known is not None
    return addresses_of(bytes(known.routes), DEV)


@pytest.mark.parametrize("first", ["seller", "rival"])
def test_an_announcement_with_somebody_elses_key_hides_nobody(world: World, first: str) -> None:
    """The rival names the seller's service key and an address of his own; the seller is still dialled."""
    buyer, seller, rival = world.buyer, world.seller, world.rival
    request = buyer.request("10 beans")
    for side in sorted((seller, rival), key=lambda side: side.name != first):
        assert ask(buyer, request, announced(side, seller.service.public))
    assert set(dialled(buyer, request, seller)) == {seller.address, rival.address}
    world.clock.now += limits.HOUR
    assert not ask(buyer, request, announced(rival, seller.service.public, seq=2))
    assert seller.address in dialled(buyer, request, seller)


# What may be paid


def quote_of(seller: Side, buyer: Side, request: rows.Request, exponent: int) -> d.Opened:
    """Ten beans for 30 EUR, written with any exponent."""
    unit = buyer.thread(request, seller).asked.lines[0].unit
    line = priced_line(1, request_line=1, quantity="10", unit=unit, text="beans", price="3", exponent=exponent)
    return making.make_quote(
        buyer.thread(request, seller),
        seller.signer.identity,
        seller.selling.moment(seller.clock()),
        sheet=make_sheet("EUR", exponent, [line]),
        terms=Terms(divisible=True),
        valid_until=seller.clock() + limits.DAY,
    )


@pytest.mark.parametrize("exponent", [0, 2, 4])
def test_the_highest_total_whatever_the_exponent(world: World, exponent: int) -> None:
    """A seller who writes EUR without places asks 30 EUR for 30 units, not 0.30 EUR."""
    buyer, seller = world.buyer, world.seller
    request = buyer.request("10 beans", sellers=[seller])
    settle(buyer, seller, request)
    made = quote_of(seller, buyer, request, exponent)
    assert refusals(buyer.take([wrapped(made)], buyer.link(request, seller))) == [None]
    too_little, enough = (b.NewOrder(quote=made.id, max_total=most) for most in ("29.99 EUR", "30 EUR"))
    with pytest.raises(WrongState, match="above --max-total"):
        buyer.run(lambda tx: buyer.buying.order(tx, too_little, world.clock()))
    assert buyer.run(lambda tx: buyer.buying.order(tx, enough, world.clock()))[1]


# What a person types


@pytest.mark.parametrize("quantity", [None, "10", " 10 ", "10 pcs", "10.0"])
def test_the_quantity_of_a_quote_by_hand(world: World, quantity: str | None) -> None:
    assert by_hand(world, quantity)


@pytest.mark.parametrize("quantity", ["", " ", "\t", "9", "10 kg", "10 no-such-unit", "ten"])
def test_another_quantity_than_the_one_asked_for(world: World, quantity: str) -> None:
    """Also in another unit: the quote would be for what was asked, not for what was said."""
    with pytest.raises(BadInput):
        by_hand(world, quantity)


def by_hand(world: World, quantity: str | None) -> rows.Quote:
    """A quote for ten beans that names a quantity."""
    buyer, seller = world.buyer, world.seller
    request = buyer.request("10 pcs beans", sellers=[seller])
    settle(buyer, seller, request)
    row = seller.run(lambda tx: tx.requests.get(request.hash))
    assert row is not None
    body = b.NewQuote(lines=[b.NewQuoteLine(no=1, price="3 EUR", quantity=quantity)])
    return seller.run(lambda tx: seller.selling.quote(tx, row, body, seller.clock()))


# Everybody has a turn


@given(st.lists(st.integers(1, 2 * limits.PORTION_BYTES), max_size=60))
def test_portions_hold_everything_in_order_and_no_more_than_their_limits(sizes: list[int]) -> None:
    messages = [bytes([number % 256]) * size for number, size in enumerate(sizes)]
    found = list(portions(messages))
    assert [message for portion in found for message in portion] == messages
    for portion in found:
        assert 1 <= len(portion) <= limits.PORTION_MESSAGES
        assert len(portion) == 1 or sum(map(len, portion)) <= limits.PORTION_BYTES


def test_portions_at_the_limit_and_one_over() -> None:
    most = limits.PORTION_MESSAGES
    assert [len(portion) for portion in portions([b"x"] * most)] == [most]
    assert [len(portion) for portion in portions([b"x"] * (most + 1))] == [most, 1]
    half = bytes(limits.PORTION_BYTES // 2)
    assert [len(portion) for portion in portions([half, half])] == [2]
    assert [len(portion) for portion in portions([half, half + b"x"])] == [1, 1]


# How much there may be in a thread


def long_quote(world: World, request: rows.Request, version: int, text: str) -> bytes:
    """One more version of a quote for ten beans, with a long text."""
    quote = quote_of(world.seller, world.buyer, request, 2)
    about = {"version": version, "text": text, "answers": bytes(32) if version > 1 else None}
    changed = msgspec.structs.replace(quote.document, **about)
    return wrapped(d.seal_document(changed, world.seller.signer.identity, DEV, quote.recipient))


def test_bytes_of_one_signer_in_a_thread_at_the_limit_and_one_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An order and its answer are taken whatever else was said: the two ledgers must not differ."""
    buyer, seller = world.buyer, world.seller
    request = buyer.request("10 beans", sellers=[seller])
    settle(buyer, seller, request)
    link = buyer.link(request, seller)
    first, second = (long_quote(world, request, version, "x" * 3000) for version in (1, 2))
    monkeypatch.setattr(threads, "THREAD_BYTES", sum(len(inside(message).envelope) for message in (first, second)))
    assert refusals(buyer.take([first], link)) == [None]
    longer = long_quote(world, request, 2, "x" * 3001)
    assert refusals(buyer.take([longer], link)) == ["busy"]
    assert refusals(buyer.take([second], link)) == [None]
    assert refusals(buyer.take([long_quote(world, request, 3, "x")], link)) == ["busy"]
    seller.run(lambda tx: keep_own(seller, tx, [inside(message) for message in (first, second)]))
    order = buyer.order(buyer.quotes(request)[-1])
    settle(buyer, seller, request)
    received = seller.orders()[0]
    assert received.hash == order.hash
    seller.run(lambda tx: seller.selling.accept(tx, received, None, world.clock()))
    settle(buyer, seller, request)
    assert [side.orders()[0].state for side in (buyer, seller)] == ["accepted", "accepted"]


def keep_own(seller: Side, tx: Ledger, quotes: list[d.Opened]) -> None:
    """Write quotes into their seller's books."""
    for opened in quotes:
        assert isinstance(opened.document, d.Quote)
        keep(tx, opened, opened.document.request, seller.clock(), ours=True)
        tx.quotes.add(quote_row(opened, opened.document, seller.public, ours=True))


def test_a_seller_does_not_sign_a_quote_that_has_no_room(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert by_hand(world, None)
    monkeypatch.setattr(threads, "THREAD_BYTES", 100)
    with pytest.raises(LimitReached):
        by_hand(world, None)


def test_stock_of_an_article_without_a_code_is_taken_too(world: World) -> None:
    """Nobody can order the same ten again and again."""
    buyer, seller = world.buyer, world.seller
    seller.sell([price(1, "", "beans", stock="15"), price(2, "", "rice", stock="5")], Quoting(accept=True))
    states = []
    for _ in range(2):
        request = buyer.request("10 pcs beans", sellers=[seller])
        settle(buyer, seller, request)
        order = buyer.order(buyer.quotes(request)[0])
        settle(buyer, seller, request)
        states.append(next(one.state for one in seller.orders() if one.hash == order.hash))
    assert states == ["accepted", "ordered"]
    assert [row.stock for row in seller.run(lambda tx: tx.prices.all())] == ["5", "5"]
