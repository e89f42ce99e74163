"""Haggling and talk between two ledgers: counters, answers to them, orders with changes, notes, who is known."""

from __future__ import annotations

from typing import Any

import pytest
from market_world import START, Side, World, price, settle

from p2pmarket import keys
from p2pmarket.api.types import bodies as b
from p2pmarket.api.types import bodies_talk as talk
from p2pmarket.config import Quoting
from p2pmarket.errors import BadInput, LimitReached, NotFound, WrongState
from p2pmarket.limits import CONTACTS, DAY, THREAD_NOTES
from p2pmarket.market import contacts, labels
from p2pmarket.store import rows
from p2pmarket.store.cache import Seller
from p2pmarket.trade import documents as d

PRICES = [price(1, "A", "beans", "10"), price(2, "B", "lids", "2.50")]


@pytest.fixture
def world(world: World) -> World:
    world.seller.sell(PRICES)
    return world


def quoted(world: World, *lines: str) -> tuple[rows.Request, rows.Quote]:
    """A request with an automatic quote at the buyer."""
    request = world.buyer.request(*(lines or ("3 beans", "4 lids")), sellers=[world.seller])
    settle(world.buyer, world.seller, request)
    (quote,) = world.buyer.quotes(request)
    return request, quote


def counter(side: Side, quote: rows.Quote, **changes: Any) -> tuple[bytes, bool]:
    body = talk.NewCounter(**changes)
    return side.run(lambda tx: side.talking.counter(tx, quote, body, side.clock()))


def amend(side: Side, order: rows.Order, **changes: Any) -> tuple[rows.Quote, bool]:
    """The seller's yes with changes."""

    def work(tx: Any) -> tuple[rows.Quote, bool]:
        return side.talking.amend(tx, tx.orders.get(order.hash), talk.Amend(**changes), side.clock())

    return side.run(work)


def counter_back(side: Side, about: bytes, **changes: Any) -> rows.Quote:
    """The seller's new version instead of a counter, or of his own."""
    body = talk.NewCounter(**changes)
    return side.run(lambda tx: side.talking.counter_back(tx, kept(side, about), body, side.clock()))


def kept(side: Side, hash_: bytes) -> rows.Document:
    found = side.run(lambda tx: tx.documents.get(hash_))
    assert found is not None
    return found


def line(no: int, **changes: str) -> talk.RevisedLine:
    return talk.RevisedLine(no=no, **changes)


def document(side: Side, hash_: bytes, kind: type[Any]) -> Any:
    return side.run(lambda tx: side.reader.document(tx, hash_, kind))


def newest(side: Side, request: rows.Request) -> rows.Quote:
    return side.quotes(request)[-1]


def notices(side: Side) -> list[tuple[str, str]]:
    return [(one.kind, one.state) for one in side.run(lambda tx: tx.notices.waiting())]


def test_a_counter_is_a_full_document_and_the_seller_says_yes(world: World) -> None:
    request, quote = quoted(world)
    hash_, created = counter(world.buyer, quote, lines=[line(1, price="9")], delivery_days=3, text="if by Friday")
    assert created
    settle(world.buyer, world.seller, request)
    told = document(world.seller, hash_, d.Counter)
    assert [(one.no, one.price, one.amount) for one in told.sheet.lines] == [(1, "9", 2700), (2, "2.5", 1000)]
    assert (told.sheet.total, told.terms.delivery.days, told.text) == (3700, 3, "if by Friday")
    assert world.buyer.quotes(request)[0].state == world.seller.quotes(request)[0].state == "countered"
    assert world.buyer.quotes(request)[0].counter == world.seller.quotes(request)[0].counter == hash_
    assert notices(world.seller) == [("counter", "new")]
    assert "counter.received" in world.seller.events()

    seller = world.seller
    body = b.NewQuote()
    seller.run(lambda tx: seller.talking.grant(tx, kept(seller, hash_), body, world.clock()))
    settle(world.buyer, seller, request)
    second = newest(world.buyer, request)
    granted = document(world.buyer, second.hash, d.Quote)
    assert (second.version, second.state, granted.answers) == (2, "open", hash_)
    assert (granted.sheet, granted.terms) == (told.sheet, told.terms)
    assert world.buyer.quotes(request)[0].state == "superseded"
    assert notices(seller) == []  # answered
    order = world.buyer.order(second)
    settle(world.buyer, seller, request)
    assert world.buyer.orders()[0].hash == order.hash


def test_the_same_counter_again_is_one_counter_and_another_one_is_refused(world: World) -> None:
    request, quote = quoted(world)
    first, _ = counter(world.buyer, quote, total="35 EUR")
    again, created = counter(world.buyer, quote, total="35 EUR")
    assert (again, created) == (first, False)
    with pytest.raises(WrongState, match="once"):
        counter(world.buyer, quote, total="34 EUR")
    settle(world.buyer, world.seller, request)
    assert [one.kind for one in world.seller.run(lambda tx: tx.documents.of_thread(request.hash))].count(5) == 1


def test_a_total_is_reached_by_one_charge_whatever_was_countered_before(world: World) -> None:
    request, quote = quoted(world)
    hash_, _ = counter(world.buyer, quote, total="35 EUR")
    settle(world.buyer, world.seller, request)
    sheet = document(world.seller, hash_, d.Counter).sheet
    assert (sheet.total, [(one.kind, one.amount) for one in sheet.charges]) == (3500, [("discount", -500)])
    seller = world.seller
    body = talk.NewCounter(total="38 EUR")
    version = seller.run(lambda tx: seller.talking.counter_back(tx, kept(seller, hash_), body, world.clock()))
    settle(world.buyer, seller, request)
    sheet = document(world.buyer, version.hash, d.Quote).sheet
    assert (sheet.total, [(one.kind, one.amount) for one in sheet.charges]) == (3800, [("discount", -200)])


def haggled(world: World, total: str) -> tuple[rows.Request, rows.Quote]:
    """Twenty beans for 370 EUR, quoted by itself, countered with a total, which the seller takes."""
    world.seller.sell([price(1, "A", "beans", "18.50")])
    request, quote = quoted(world, "20 beans")
    hash_, _ = counter(world.buyer, quote, total=total)
    settle(world.buyer, world.seller, request)
    seller = world.seller
    seller.run(lambda tx: seller.talking.grant(tx, kept(seller, hash_), b.NewQuote(), world.clock()))
    settle(world.buyer, seller, request)
    return request, newest(world.buyer, request)


@pytest.mark.parametrize(
    ("total", "ordered", "paid"),
    [("296", "20", 29600), ("296", "4", 5920), ("296", "1", 1480), ("400", "10", 20000), ("0", "3", 0)],
)
def test_a_part_costs_that_part_of_the_total_agreed_on(world: World, total: str, ordered: str, paid: int) -> None:
    request, quote = haggled(world, total)
    order = world.buyer.order(quote, b.NewOrderLine(no=1, quantity=ordered))
    settle(world.buyer, world.seller, request)
    assert document(world.seller, order.hash, d.Order).total == paid


def test_a_discount_for_all_of_a_quote_is_no_discount_for_less_than_it(world: World) -> None:
    request, quote = quoted(world)
    hash_, _ = counter(world.buyer, quote, charges=[b.NewCharge(kind="discount", amount="20")])
    settle(world.buyer, world.seller, request)
    seller = world.seller
    seller.run(lambda tx: seller.talking.grant(tx, kept(seller, hash_), b.NewQuote(), world.clock()))
    settle(world.buyer, seller, request)
    with pytest.raises(BadInput, match="for all of it"):
        world.buyer.order(newest(world.buyer, request), b.NewOrderLine(no=1, quantity="1"))


def test_an_order_amended_to_less_keeps_its_part_of_the_discount(world: World) -> None:
    request, quote = haggled(world, "296")
    order = world.buyer.order(quote, b.NewOrderLine(no=1, quantity="4"))
    settle(world.buyer, world.seller, request)
    version = amend(world.seller, order, lines=[line(1, quantity="3")])[0]
    settle(world.buyer, world.seller, request)
    sheet = document(world.buyer, version.hash, d.Quote).sheet
    assert (sheet.total, [(one.amount, one.scaled) for one in sheet.charges]) == (4440, [(-1110, True)])


def test_other_changes_of_an_amended_order_are_not_taken_for_the_first(world: World) -> None:
    seller = world.seller
    seller.sell(PRICES, Quoting(accept=False))
    request, quote = quoted(world)
    order = world.buyer.order(quote)
    settle(world.buyer, seller, request)
    with pytest.raises(BadInput, match="no line is left") as none_left:
        amend(seller, order, drop=[1, 2])
    assert "market reject" in (none_left.value.hint or "")
    version, _ = amend(seller, order, lines=[line(1, quantity="2")], valid="2d", text="two left")
    world.clock.now += 60
    assert amend(seller, order, lines=[line(1, quantity="2")], valid="2d", text="two left") == (version, False)
    others: list[dict[str, Any]] = [
        {"lines": [line(1, quantity="1")], "valid": "2d", "text": "two left"},
        {"lines": [line(1, quantity="2")], "valid": "3d", "text": "two left"},
        {"lines": [line(1, quantity="2")], "valid": "2d"},
        {},
    ]
    for other in others:
        with pytest.raises(WrongState, match="to version 2") as error:
            amend(seller, order, **other)
        assert f"market counter {version.id[:10]}" in (error.value.hint or "")
    third = counter_back(seller, version.hash, lines=[line(1, quantity="1")])
    settle(world.buyer, seller, request)
    assert world.buyer.order(newest(world.buyer, request)).quote == third.hash


def test_a_new_version_is_good_for_as_long_as_the_one_before(world: World) -> None:
    world.seller.sell(PRICES, Quoting(valid_days=3))
    request, quote = quoted(world)
    hash_, _ = counter(world.buyer, quote, total="35 EUR")
    settle(world.buyer, world.seller, request)
    world.seller.sell(PRICES, Quoting(valid_days=7))
    world.clock.now += DAY
    version = counter_back(world.seller, hash_, total="36 EUR")
    assert version.valid_until == world.clock() + 3 * DAY
    assert counter_back(world.seller, version.hash, valid="5d").valid_until == world.clock() + 5 * DAY


def test_a_quote_that_has_expired_is_not_countered(world: World) -> None:
    request, quote = quoted(world)
    first, _ = counter(world.buyer, quote, total="35 EUR")
    settle(world.buyer, world.seller, request)
    version = counter_back(world.seller, first, total="36 EUR", valid="2h")
    settle(world.buyer, world.seller, request)
    world.clock.now = version.valid_until + 1
    assert counter(world.buyer, quote, total="35 EUR") == (first, False)  # said before
    assert labels.quote_turn(version._replace(ours=False, valid_until=1), "firm")[2] == ["note"]
    with pytest.raises(WrongState, match="expired") as error:
        counter(world.buyer, newest(world.buyer, request), total="35 EUR")
    assert f"market note {version.id[:10]}" in (error.value.hint or "")


def test_another_quantity_is_an_extra_and_the_requests_line_is_left_out(world: World) -> None:
    request, quote = quoted(world)
    hash_, _ = counter(world.buyer, quote, lines=[line(1, quantity="2", price="9.50")], drop=[2])
    settle(world.buyer, world.seller, request)
    told = document(world.seller, hash_, d.Counter)
    (only,) = told.sheet.lines
    assert (only.no, only.request_line, only.quantity, only.amount) == (1, None, "2", 1900)
    assert told.missing_lines == (1, 2)


def test_a_line_that_was_not_quoted_is_wished_for(world: World) -> None:
    request, quote = quoted(world, "3 beans", "1 spoon")
    assert document(world.buyer, quote.hash, d.Quote).missing_lines == (2,)
    with pytest.raises(BadInput, match="was not quoted"):
        counter(world.buyer, quote, lines=[line(2, quantity="2")])
    hash_, _ = counter(world.buyer, quote, lines=[line(2, price="0.80")])
    settle(world.buyer, world.seller, request)
    told = document(world.seller, hash_, d.Counter)
    assert ([one.text for one in told.sheet.lines], told.missing_lines) == (["beans", "spoon"], ())


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, "changes nothing"),
        ({"lines": [line(9, price="1")]}, "no line 9"),
        ({"drop": [1, 2]}, "no line is left"),
        ({"drop": [7]}, "no line 7"),
        ({"lines": [line(1, price="9 USD")]}, "in USD"),
        ({"lines": [line(1, price="-1")]}, "below zero"),
        ({"lines": [line(1, quantity="2 kg")]}, "is in EA"),
        ({"total": "9 USD"}, "in USD"),
        ({"incoterm": "XXX"}, "no Incoterm"),
    ],
)
def test_what_is_no_counter(world: World, changes: dict[str, Any], why: str) -> None:
    _, quote = quoted(world)
    with pytest.raises(BadInput, match=why):
        counter(world.buyer, quote, **changes)
    (still,) = world.buyer.run(lambda tx: tx.quotes.of_request(quote.request))
    assert still.state == "open"


def test_a_no_to_a_counter_leaves_the_quote_as_it_was(world: World) -> None:
    request, quote = quoted(world)
    hash_, _ = counter(world.buyer, quote, total="10 EUR")
    settle(world.buyer, world.seller, request)
    seller = world.seller
    no = b.Decline(reason="price", text="not below cost")
    assert seller.run(lambda tx: seller.talking.decline(tx, kept(seller, hash_), no, world.clock()))
    assert not seller.run(lambda tx: seller.talking.decline(tx, kept(seller, hash_), no, world.clock()))
    settle(world.buyer, seller, request)
    assert world.buyer.quotes(request)[0].state == seller.quotes(request)[0].state == "open"
    assert world.buyer.asked(request, seller).answer == "quoted"
    assert "counter.declined" in world.buyer.events()
    assert notices(seller) == []
    with pytest.raises(WrongState, match="once"):
        counter(world.buyer, quote, total="11 EUR")
    order = world.buyer.order(quote)
    settle(world.buyer, seller, request)
    assert order.hash in {one.hash for one in seller.orders()}


def test_only_the_newest_version_is_haggled_about(world: World) -> None:
    request, quote = quoted(world)
    first, _ = counter(world.buyer, quote, total="30 EUR")
    settle(world.buyer, world.seller, request)
    seller = world.seller
    offer = talk.NewCounter(total="33 EUR")
    seller.run(lambda tx: seller.talking.counter_back(tx, kept(seller, first), offer, world.clock()))
    with pytest.raises(WrongState, match="newer version"):
        seller.run(lambda tx: seller.talking.grant(tx, kept(seller, first), b.NewQuote(), world.clock()))
    settle(world.buyer, seller, request)
    with pytest.raises(WrongState):
        counter(world.buyer, quote, total="31 EUR")
    second = newest(world.buyer, request)
    hash_, _ = counter(world.buyer, second, total="32 EUR")
    settle(world.buyer, seller, request)
    assert document(seller, hash_, d.Counter).version == 2
    with pytest.raises(BadInput, match="request of yours"):
        world.buyer.run(lambda tx: world.buyer.talking.grant(tx, kept(world.buyer, hash_), b.NewQuote(), world.clock()))


@pytest.mark.parametrize(
    "said",
    [
        {"lines": [b.NewQuoteLine(no=1, price="12 EUR")]},
        {"total": "40 EUR"},
        {"margin": "12%"},
        {"from_quote": "q-aaaaaaaa"},
        {"csv": b.CsvFile(data=b"no,price\n1,12\n")},
    ],
)
def test_a_yes_to_a_counter_takes_no_other_prices(world: World, said: dict[str, Any]) -> None:
    request, quote = quoted(world)
    hash_, _ = counter(world.buyer, quote, total="30 EUR")
    settle(world.buyer, world.seller, request)
    seller = world.seller
    with pytest.raises(BadInput, match="takes its prices"):
        seller.run(lambda tx: seller.talking.grant(tx, kept(seller, hash_), b.NewQuote(**said), world.clock()))
    assert newest(seller, request).version == 1


def test_an_answer_may_come_after_the_time_to_reply(world: World) -> None:
    request, quote = quoted(world)
    hash_, _ = counter(world.buyer, quote, total="30 EUR", valid="3d")
    settle(world.buyer, world.seller, request)
    world.clock.now += 2 * DAY
    seller = world.seller
    seller.run(lambda tx: seller.talking.grant(tx, kept(seller, hash_), b.NewQuote(), world.clock()))
    settle(world.buyer, seller, request)
    assert newest(world.buyer, request).version == 2


def note(side: Side, about: bytes, text: str, **more: Any) -> list[bytes]:
    paper = kept(side, about)
    body = talk.NewNote(about=paper.id, text=text, **more)
    return side.run(lambda tx: side.talking.note(tx, paper, body, side.clock()))


def test_talk_does_not_take_the_room_of_what_binds(world: World) -> None:
    request, quote = quoted(world)
    for number in range(THREAD_NOTES):
        note(world.buyer, quote.hash, f"and {number}?")
        settle(world.buyer, world.seller, request)
    with pytest.raises(LimitReached, match="too much"):
        note(world.buyer, quote.hash, "one more")
    counter(world.buyer, quote, total="30 EUR")
    settle(world.buyer, world.seller, request)
    assert world.seller.quotes(request)[0].state == "countered"
    note(world.seller, quote.hash, "at last")  # he has his own
    settle(world.buyer, world.seller, request)
    assert len([one for one in notices(world.seller) if one[0] == "note"]) == THREAD_NOTES


def test_a_note_is_signed_by_the_key_of_its_matter(world: World) -> None:
    request, quote = quoted(world)
    (before,) = note(world.buyer, quote.hash, "before the order")
    order = world.buyer.order(quote)
    settle(world.buyer, world.seller, request)
    (after,) = note(world.buyer, order.hash, "after it")
    (about_request,) = note(world.buyer, request.hash, "and about the request")
    settle(world.buyer, world.seller, request)
    asker = kept(world.buyer, request.hash).signer
    assert [kept(world.seller, one).signer for one in (before, after, about_request)] == [
        asker,
        world.buyer.public,
        asker,
    ]
    (answer,) = note(world.seller, after, "thanks")
    settle(world.buyer, world.seller, request)
    said = document(world.buyer, answer, d.Note)
    assert (said.about, said.answers, kept(world.buyer, answer).recipient) == (order.hash, after, world.buyer.public)


def test_a_losing_seller_is_told_once_and_not_what_it_cost(world: World) -> None:
    world.rival.sell(PRICES)
    request = world.buyer.request("3 beans", sellers=[world.seller, world.rival])
    for seller in (world.seller, world.rival):
        settle(world.buyer, seller, request)
    mine = next(one for one in world.buyer.quotes(request) if one.seller == world.seller.public)
    world.buyer.order(mine)
    settle(world.buyer, world.seller, request)
    settle(world.buyer, world.rival, request)
    told = [one for one in world.rival.run(lambda tx: tx.documents.of_thread(request.hash)) if one.kind == d.OUTCOME]
    assert [document(world.rival, one.hash, d.Outcome).price for one in told] == [None]
    assert world.rival.quotes(request)[0].state == "lost"
    at_winner = world.seller.run(lambda tx: tx.documents.of_thread(request.hash))
    assert d.OUTCOME not in {one.kind for one in at_winner}


# The address book


def add_contact(side: Side, peer: str, name: str | None = None) -> tuple[bytes, bool]:
    body = talk.AddContact(peer=peer, name=name)
    return side.run(lambda tx: contacts.add(tx, body, None, [], side.public, side.clock()))


def test_half_a_fingerprint_means_the_one_known_peer_who_has_it(world: World) -> None:
    buyer, seller, rival = world.buyer, world.seller, world.rival
    whole = keys.fingerprint(seller.public)
    half = whole[:5]

    def find(text: str, *sellers: Seller, half: bool = True) -> bytes:
        return buyer.run(lambda tx: contacts.find(tx, text, list(sellers), half=half)).identity

    known = [Seller(side.public, "coffee", side.name, side.record().envelope, START + 60) for side in (seller, rival)]
    assert find(half.upper(), *known) == find(f" {whole} ", *known) == seller.public
    for refused in (half[:4], whole[:6], whole[6:], whole[:-1]):
        with pytest.raises(NotFound):
            find(refused, *known)
    with pytest.raises(NotFound):
        find(half, *known, half=False)  # for what binds
    with pytest.raises(BadInput, match="fits 2 peers"):  # somebody calls himself so
        find(half, known[0], known[1]._replace(name=half))
    add_contact(buyer, keys.did_key(seller.public), "Roma")
    assert find(half) == seller.public
    assert add_contact(buyer, half, "Napoli") == (seller.public, True)


def test_people_are_found_by_key_name_or_something_of_theirs(world: World) -> None:
    _, quote = quoted(world)
    buyer, seller = world.buyer, world.seller
    assert add_contact(buyer, quote.id) == (seller.public, True)
    assert add_contact(buyer, quote.id[:8]) == (seller.public, False)
    assert add_contact(buyer, keys.fingerprint(seller.public), " My  Roaster ") == (seller.public, True)  # renamed
    for name in ("MY ROASTER", keys.fingerprint(seller.public), keys.did_key(seller.public)):
        found = buyer.run(lambda tx, name=name: contacts.named(tx, name))  # type: ignore[misc]
        assert found is not None
        assert found.name == "My Roaster"
    stranger = keys.did_key(world.rival.public)
    with pytest.raises(BadInput, match="no name"):
        add_contact(buyer, stranger)
    with pytest.raises(BadInput, match="already"):
        add_contact(buyer, stranger, "my roaster")
    with pytest.raises(BadInput, match="yourself"):
        add_contact(buyer, keys.did_key(buyer.public), "me")
    with pytest.raises(NotFound):
        add_contact(buyer, "nobody at all", "x")
    assert add_contact(buyer, stranger, "Napoli")[1]
    removed = buyer.run(lambda tx: contacts.remove(tx, "napoli"))
    assert removed is not None
    assert buyer.run(lambda tx: contacts.remove(tx, "napoli")) is None


def test_the_address_book_has_an_end(world: World) -> None:
    side = world.buyer

    def fill(tx: Any) -> None:
        for number in range(CONTACTS - 1):
            tx.contacts.put(rows.Contact(number.to_bytes(32, "big"), f"n{number}", f"n{number}", None, 0))

    side.run(fill)
    add_contact(side, keys.did_key(world.seller.public), "last")
    with pytest.raises(LimitReached):
        add_contact(side, keys.did_key(world.rival.public), "one more")
    add_contact(side, keys.did_key(world.seller.public), "renamed")  # who is in it may be renamed
