"""Quotes and acceptances that the daemon gives by itself, and whatever documents a peer may think of."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from market_world import Side, World, acknowledgement, new_world, price, settle, wrapped
from trade_samples import samples

from p2pmarket import limits
from p2pmarket.api.types import bodies as b
from p2pmarket.config import Quoting
from p2pmarket.errors import BadInput, LimitReached
from p2pmarket.keys import SigningKey
from p2pmarket.market import papers
from p2pmarket.market.pricing import PriceBook
from p2pmarket.market.stock import lasts
from p2pmarket.messages import Document, decode_untrusted
from p2pmarket.network import DEV
from p2pmarket.store import rows
from p2pmarket.trade import documents as d
from p2pmarket.trade import values as v

PRICES = [
    price(1, "B1", "beans"),
    price(2, "C1", "mugs", "0.10", stock="100"),
    price(3, "D1", "spoons", "0"),
    price(4, "E1", "forks", "1"),
    price(5, "E1", "big forks", "2"),
    price(6, "F1", "plates", "3"),
    price(7, "F2", "plates", "4"),
    price(8, "G1", "jam", "5", currency="GBP"),
    price(9, "H1", "honey", "6", stock="3"),
]


def seen_by(seller: Side, request: rows.Request) -> rows.Request:
    row = seller.run(lambda tx: tx.requests.get(request.hash))
    assert row is not None
    return row


def asked(world: World, *lines: str, **more: Any) -> tuple[rows.Request, list[rows.Quote]]:
    request = world.buyer.request(*lines, sellers=[world.seller], **more)
    settle(world.buyer, world.seller, request)
    return request, world.buyer.quotes(request)


def quote_in(side: Side, quote: rows.Quote) -> d.Quote:
    return side.run(lambda tx: side.reader.document(tx, quote.hash, d.Quote))


def stock(seller: Side) -> dict[str, str | None]:
    return {row.code: row.stock for row in seller.run(lambda tx: tx.prices.all())}


# From the price list


def test_what_is_certain_is_quoted_and_the_rest_waits_for_a_person(world: World) -> None:
    world.seller.sell(PRICES)
    request, (quote,) = asked(
        world, "10 beans", "5 spoons", "2 plates", "1 jam", "4 honey", "7 unheard-of", currency="EUR"
    )
    document = quote_in(world.buyer, quote)
    assert [(line.request_line, line.amount) for line in document.sheet.lines] == [(1, 2500)]
    assert document.missing_lines == (2, 3, 4, 5, 6)
    row = seen_by(world.seller, request)
    assert (row.attention, row.matched_lines) == ("new", 1)
    doubts = json.loads(row.doubts)
    assert set(doubts) == {"2", "3", "4", "5"}
    assert "zero" in doubts["2"]
    assert "several" in doubts["3"]
    assert "GBP" in doubts["4"]
    assert "stock" in doubts["5"]


def test_a_person_completes_a_partial_quote(world: World) -> None:
    world.seller.sell(PRICES)
    request, _ = asked(world, "10 beans", "5 spoons")
    row = seen_by(world.seller, request)
    lines = [b.NewQuoteLine(no=1, price="2.50 EUR"), b.NewQuoteLine(no=2, price="0.05 EUR")]
    body = b.NewQuote(lines=lines)
    world.seller.run(lambda tx: world.seller.selling.quote(tx, row, body, world.clock()))
    settle(world.buyer, world.seller, request)
    assert [quote.version for quote in world.buyer.quotes(request)] == [1, 2]
    assert quote_in(world.buyer, world.buyer.quotes(request)[1]).missing_lines == ()
    assert seen_by(world.seller, request).attention == "answered"


def test_a_complete_quote_leaves_nothing_to_do(world: World) -> None:
    world.seller.sell(PRICES)
    request, (quote,) = asked(world, "10 beans", "20 MUGS")
    assert quote_in(world.buyer, quote).missing_lines == ()
    assert seen_by(world.seller, request).attention == "answered"
    assert quote.automatic == 0  # the buyer cannot know
    assert world.seller.quotes(request)[0].automatic == 1


def test_another_currency_than_all_prices(world: World) -> None:
    """There is no rate: the list's own currency is quoted, and the buyer sees it."""
    world.seller.sell(PRICES)
    _, (quote,) = asked(world, "10 beans", currency="USD")
    assert quote_in(world.buyer, quote).sheet.currency == "EUR"


@pytest.mark.parametrize(
    ("prices", "quoting"),
    [([], Quoting()), (PRICES, Quoting(auto=False)), ([PRICES[2]], Quoting())],
    ids=["no prices", "not wanted", "nothing fits"],
)
def test_no_quote_by_itself(world: World, prices: list[rows.Price], quoting: Quoting) -> None:
    world.seller.sell(prices, quoting)
    request, quotes = asked(world, "10 beans", "3 spoons")
    assert quotes == []
    assert seen_by(world.seller, request).attention == "new"
    assert world.buyer.asked(request, world.seller).answer == "waiting"


@pytest.mark.parametrize("quantity", ["999999999999999", "0.000000001", "999999999999999.999999999"])
def test_quantities_beyond_all_measure(world: World, quantity: str) -> None:
    """Too large a sum, or one that rounds to nothing: taken in any case, quoted or not."""
    world.seller.sell(PRICES)
    code = v.Code("seller", "B1")
    line = v.RequestLine(no=1, quantity=quantity, unit="C62", text="beans", codes=(code,))
    taken = send_request(world, lines=(line, line_of(2, "mugs")))
    said = [acknowledgement(message).status for message in acknowledgements(taken)]
    (row,) = world.seller.run(lambda tx: list(tx.requests.of_role("seller")))
    assert said == ([] if world.seller.quotes(row) else ["received"])


def test_a_request_whose_quote_would_be_too_long(world: World) -> None:
    """A thousand lines with long texts fit a request, but not a quote: a person sees it."""
    text = "beans " + "x" * 200
    world.seller.sell([price(1, "B" * 60, text)], Quoting(payment_terms="p" * 200))
    codes = (v.Code("seller", "B" * 60),)
    lines = tuple(v.RequestLine(no=no, quantity="1", unit="C62", text="b", codes=codes) for no in range(1, 1001))
    taken = send_request(world, lines=lines)
    assert [acknowledgement(message).status for message in acknowledgements(taken)] == ["received"]
    (row,) = world.seller.run(lambda tx: list(tx.requests.of_role("seller")))
    assert row.attention == "new"
    assert world.seller.quotes(row) == []


def line_of(no: int, text: str, quantity: str = "1") -> v.RequestLine:
    return v.RequestLine(no=no, quantity=quantity, unit="C62", text=text)


def send_request(world: World, **changes: object) -> list[bytes]:
    """A request with any content, sealed and delivered; the answers."""
    buyer, seller = world.buyer, world.seller
    row = buyer.request("1 thing", sellers=[seller])
    document = buyer.run(lambda tx: buyer.reader.document(tx, row.hash, d.Request))
    assert row.sign_seed is not None
    key = SigningKey.from_seed(row.sign_seed)
    opened = d.seal_document(msgspec.structs.replace(document, **changes), key, DEV, seller.public)
    link = buyer.link(row, seller)
    return seller.take([wrapped(opened)], (link[1], link[0])).answers


def acknowledgements(messages: list[bytes]) -> list[bytes]:
    return [m for m in messages if getattr(decode_untrusted(m), "kind", None) == d.ACKNOWLEDGEMENT]


# Stock


def test_quoted_is_not_reserved_and_accepting_takes_the_stock(world: World) -> None:
    seller = world.seller
    seller.sell(PRICES)
    request, (quote,) = asked(world, "60 mugs")
    assert stock(seller)["C1"] == "100"
    world.buyer.order(quote)
    settle(world.buyer, seller, request)
    assert stock(seller)["C1"] == "40"
    assert seller.selling.stock_changed


def test_what_is_out_of_stock_is_left_to_a_person(world: World) -> None:
    """Two buyers were quoted the same mugs: the second order waits, and a person may take it all the same."""
    seller = world.seller
    seller.sell(PRICES)
    first, (one,) = asked(world, "60 mugs")
    second, (two,) = asked(world, "60 mugs")
    world.buyer.order(one)
    settle(world.buyer, seller, first)
    order = world.buyer.order(two)
    settle(world.buyer, seller, second)
    (waiting,) = seller.run(lambda tx: tx.orders.waiting())
    assert waiting.id == order.id
    assert stock(seller)["C1"] == "40"
    seller.run(lambda tx: seller.selling.accept(tx, waiting, None, world.clock()))
    assert stock(seller)["C1"] == "0"


def test_a_rejected_order_takes_nothing(world: World) -> None:
    seller = world.seller
    seller.sell(PRICES, Quoting(accept=False))
    request, (quote,) = asked(world, "60 mugs")
    world.buyer.order(quote)
    settle(world.buyer, seller, request)
    seller.run(lambda tx: seller.selling.reject(tx, seller.orders_in(tx)[0], "stock", None, world.clock()))
    assert stock(seller)["C1"] == "100"


def test_a_partial_order_takes_its_part(world: World) -> None:
    seller = world.seller
    seller.sell(PRICES)
    request, (quote,) = asked(world, "60 mugs")
    world.buyer.order(quote, b.NewOrderLine(no=1, quantity="25"))
    settle(world.buyer, seller, request)
    assert stock(seller)["C1"] == "75"


def test_stock_in_another_unit_and_on_two_lines(world: World) -> None:
    """Kilograms in store, grams ordered, and two lines of the same goods."""
    seller = world.seller
    seller.sell([price(1, "T1", "tea", stock="2.5")._replace(unit="KGM")], Quoting(accept=False))
    quotes = [asked(world, "900 g tea", "700 g tea") for _ in range(2)]
    for request, (quote,) in quotes:
        world.buyer.order(quote)
        settle(world.buyer, seller, request)
    seller.selling.book = PriceBook.of(seller.run(lambda tx: tx.prices.all()), Quoting())
    first, second = seller.run(lambda tx: tx.orders.waiting())
    seller.run(lambda tx: seller.selling.accept(tx, first, None, world.clock()))
    assert stock(seller)["T1"] == "0.9"
    document = seller.run(lambda tx: seller.reader.document(tx, second.hash, d.Order))
    quoted = seller.run(lambda tx: seller.reader.document(tx, second.quote, d.Quote))
    assert not seller.run(lambda tx: lasts(document, quoted, partial(seller.selling._price_of, tx)))
    seller.run(lambda tx: seller.selling.accept(tx, second, None, world.clock()))
    assert stock(seller)["T1"] == "0"


# By hand


@pytest.mark.parametrize(
    "body",
    [
        b.NewQuote(),
        b.NewQuote(lines=[b.NewQuoteLine(no=9, price="1 EUR")]),
        b.NewQuote(lines=[b.NewQuoteLine(no=1, price="1")], currency=None),
        b.NewQuote(lines=[b.NewQuoteLine(no=1, price="-1 EUR")]),
        b.NewQuote(lines=[b.NewQuoteLine(no=1, price="1 EUR"), b.NewQuoteLine(no=1, price="2 EUR")]),
        b.NewQuote(lines=[b.NewQuoteLine(no=1, price="1 EUR"), b.NewQuoteLine(no=2, price="2 GBP")]),
        b.NewQuote(lines=[b.NewQuoteLine(no=1, price="1 EUR")], total="5 EUR"),
        b.NewQuote(lines=[b.NewQuoteLine(no=1, price="1 EUR", quantity="3")]),
        b.NewQuote(total="5 EUR", valid="yesterday"),
        b.NewQuote(total="5 EUR", charges=[b.NewCharge(kind="delivery", amount="1 GBP")]),
        b.NewQuote(total="5 EUR", charges=[b.NewCharge(kind="discount", amount="6 EUR")]),
        b.NewQuote(lines=[b.NewQuoteLine(no=1, price="999999999999999 EUR")]),
        b.NewQuote(total="5 EUR", url="javascript:alert(1)"),
        b.NewQuote(total="5 EUR", tax_rate="101"),
    ],
)
def test_bad_quotes_by_hand_change_nothing(world: World, body: b.NewQuote) -> None:
    request, _ = asked(world, "10 beans", "3 forks")
    row = seen_by(world.seller, request)
    before = world.seller.dump()
    with pytest.raises((BadInput, LimitReached)):
        world.seller.run(lambda tx: world.seller.selling.quote(tx, row, body, world.clock()))
    assert world.seller.dump() == before


def test_versions_at_the_limit_and_one_over(world: World) -> None:
    request, _ = asked(world, "10 beans")
    row = seen_by(world.seller, request)
    body = b.NewQuote(total="5 EUR")
    for _ in range(limits.QUOTE_VERSIONS):
        world.seller.run(lambda tx: world.seller.selling.quote(tx, row, body, world.clock()))
    with pytest.raises(LimitReached):
        world.seller.run(lambda tx: world.seller.selling.quote(tx, row, body, world.clock()))
    settle(world.buyer, world.seller, request)
    assert len(world.buyer.quotes(request)) == limits.QUOTE_VERSIONS


# Whatever a peer may sign


@pytest.fixture(scope="module")
def trade(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, dict[str, list[object]], rows.Request]]:
    """An accepted order, and every value that its documents hold."""
    patch = pytest.MonkeyPatch()
    world = new_world(tmp_path_factory.mktemp("trade"), patch)
    world.seller.sell(PRICES)
    request, (quote,) = asked(world, "10 beans")
    world.buyer.order(quote)
    settle(world.buyer, world.seller, request)
    values: dict[str, list[object]] = {}
    thread = world.seller.thread(request, world.seller)
    for opened in (thread.request, *thread.documents.values()):
        for name in opened.document.__struct_fields__:
            values.setdefault(name, []).append(getattr(opened.document, name))
        values.setdefault("order", []).append(opened.hash)
        values.setdefault("quote", []).append(opened.hash)
    yield world, values, request
    world.close()
    patch.undo()


SAMPLES = [document for _, _, document in samples()]


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_document_of_any_signer_is_answered(
    trade: tuple[World, dict[str, list[object]], rows.Request], data: st.DataObject
) -> None:
    """Any kind, full or bare, with true values in it, at both sides: an answer, and never another error."""
    world, values, request = trade
    buyer, seller = world.buyer, world.seller
    assert request.sign_seed is not None
    key = SigningKey.from_seed(request.sign_seed)
    document = data.draw(st.sampled_from(SAMPLES))
    fields = [name for name in document.__struct_fields__ if name in values]
    changes = {name: data.draw(st.sampled_from(values[name])) for name in fields if data.draw(st.booleans())}
    changes["issued_at"] = data.draw(st.sampled_from([world.clock(), world.clock() - 1000, 0, limits.LAST_INSTANT]))
    changes["nonce"] = data.draw(st.binary(min_size=16, max_size=16))
    signer = data.draw(
        st.sampled_from([key, buyer.signer.identity, seller.signer.identity, world.rival.signer.identity])
    )
    recipient = data.draw(st.sampled_from([key.public, buyer.public, seller.public]))
    try:
        opened = d.seal_document(msgspec.structs.replace(document, **changes), signer, DEV, recipient)
    except (BadInput, LimitReached):
        return
    link = buyer.link(request, seller)
    for side, over in ((buyer, link), (seller, (link[1], link[0]))):
        before = side.run(lambda tx: tx.events.last())
        side.run(lambda tx: tx.meta.delete("two_machines"))  # what is of our own key and unknown proves a second user
        taken = side.take([wrapped(opened)], over)
        is_own = signer is side.signer.identity or (signer is key and side is buyer)
        silent = opened.kind == d.ACKNOWLEDGEMENT or (is_own and not taken.answers)
        assert len(taken.answers) == (not silent)
        for answer in taken.answers:
            decoded = decode_untrusted(answer)
            if isinstance(decoded, Document):
                said = acknowledgement(answer)
                assert said.about == opened.hash
                if said.status == "refused":
                    told = side.run(lambda tx, since=before: tx.events.since(since, 10))  # type: ignore[misc]
                    assert {event.type for event in told} <= {"proof.found"}  # of a second document in a slot
        again = side.take([wrapped(opened)], over)
        if taken.answers and refusals_or_none(taken.answers) == [None]:
            assert again.answers == taken.answers


def refusals_or_none(answers: list[bytes]) -> list[str | None]:
    return [acknowledgement(a).code if isinstance(decode_untrusted(a), Document) else "unsigned" for a in answers]


def test_decoded_documents_are_bounded_by_number_and_size(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    request, _ = asked(world, "10 beans")
    kept = world.buyer.run(lambda tx: tx.documents.get(request.hash))
    assert kept is not None
    reader = papers.Reader()
    for number in range(limits.READ_KEPT + 5):
        reader.of_row(kept._replace(hash=number.to_bytes(32, "big")))
    assert len(reader._read) == limits.READ_KEPT
    monkeypatch.setattr(papers, "READ_BYTES", 10 * len(kept.envelope))
    for number in range(1000, 1011):
        assert reader.of_row(kept._replace(hash=number.to_bytes(32, "big"))).issued_at == world.clock()
    assert len(reader._read) == 10
