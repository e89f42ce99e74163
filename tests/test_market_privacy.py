"""Two requests to strangers share nothing but the network address: every byte that leaves the buyer is compared.

What protocol and content have in common is known from another buyer who says the same things to the same sellers:
what two requests of one buyer share and his does not is what could tell that they have one author.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from market_world import Side, World, price

from p2pmarket.api.types import bodies as b
from p2pmarket.api.types import bodies_talk as talk
from p2pmarket.keys import ExchangeKey
from p2pmarket.link import Link
from p2pmarket.market.routes import routes_of
from p2pmarket.network import DEV
from p2pmarket.store import rows

WINDOW = 8  # bytes; chance does not make two random strings share so many in a row


@pytest.fixture
def world(world: World) -> World:
    for side in (world.seller, world.rival):
        side.sell([price(1, "A", "beans", "10")])
    return world


def windows(texts: Iterable[bytes]) -> set[bytes]:
    return {text[at : at + WINDOW] for text in texts for at in range(len(text) - WINDOW + 1)}


def moved(buyer: Side, seller: Side, request: rows.Request) -> list[bytes]:
    """Carry what waits both ways until nothing does; every message that left the buyer."""
    link = buyer.link(request, seller)
    back, said = (link[1], link[0]), []
    for _ in range(6):
        mine = buyer.waiting(link)
        answers = seller.take(mine, back).answers
        buyer.take(answers, link)
        taken = buyer.take(seller.waiting(back), link)
        seller.take(taken.answers, back)
        said += [*mine, *taken.answers]
    return said


def talk_of(buyer: Side, seller: Side) -> list[bytes]:
    """All that a buyer says to a stranger without ordering: request, receipts, a counter, a note, seen, the end."""
    request = buyer.request("3 beans", sellers=[seller])
    said = moved(buyer, seller, request)
    (quote,) = buyer.quotes(request)

    def more(tx: object) -> None:
        talking, now = buyer.talking, buyer.clock()
        kept = buyer.tx.documents.get(quote.hash)
        assert kept is not None
        buyer.receiving.tell_seen(buyer.tx, kept)
        talking.counter(buyer.tx, quote, talk.NewCounter(lines=[talk.RevisedLine(no=1, price="9")]), now)
        talking.note(buyer.tx, kept, talk.NewNote(about=quote.id, text="is it fresh?"), now)

    buyer.run(more)
    said += moved(buyer, seller, request)
    row = buyer.run(lambda tx: tx.requests.get(request.hash))
    assert row is not None
    buyer.run(lambda tx: buyer.buying.close(tx, row, b.CloseRequest(), buyer.clock()))
    said += moved(buyer, seller, request)
    assert len(said) >= 7
    return said


def wire_of(buyer: Side, seller: Side) -> bytes:
    """The bytes of a whole call that carries a request, as somebody on the way sees them."""
    request = buyer.request("3 beans", sellers=[seller])
    link = buyer.link(request, seller)
    local = ExchangeKey.from_seed(buyer.run(lambda tx: tx.keys.seed(link[0])))
    dialler = Link.initiate(local, link[1], DEV, buyer.secrets, buyer.waiting(link))
    answerer = Link.respond(lambda hint: seller.service, DEV, seller.secrets)
    first = dialler.data_to_send()
    answerer.receive_bytes(first)
    dialler.receive_bytes(answerer.data_to_send())
    return first + dialler.data_to_send()


def a_buyer(world: World, name: str, tmp_path: Path) -> Side:
    side = Side(name, tmp_path, world.clock)
    for field, value in (("name", "Kim Min-su"), ("address", "1 Sejong-daero"), ("tax_id", "KR-1234567")):
        side.run(lambda tx, field=field, value=value: tx.meta.set_profile(field, value))  # type: ignore[misc]
    return side


@pytest.mark.parametrize("same_seller", [True, False])
def test_two_requests_share_no_identifier(world: World, tmp_path: Path, same_seller: bool) -> None:
    other = a_buyer(world, "control", tmp_path)
    sellers = [world.seller, world.seller if same_seller else world.rival]
    one, two = (talk_of(world.buyer, seller) for seller in sellers)
    control = windows([*talk_of(other, world.seller), *talk_of(other, world.rival)])
    address = at_address(world.buyer, [*one, *two])
    shared = (windows(one) & windows(two)) - control
    assert shared & address  # it is in both: the comparison sees what it should
    assert shared - address == set()
    other.close()


def at_address(buyer: Side, texts: Iterable[bytes]) -> set[bytes]:
    """Windows that overlap the buyer's address."""
    (route,) = routes_of([buyer.address])
    size = len(route.data)
    places = [(text, at) for text in texts for at in range(len(text)) if text.startswith(route.data, at)]
    return {text[start : start + WINDOW] for text, at in places for start in range(max(0, at - WINDOW + 1), at + size)}


def test_two_calls_look_like_calls_of_two(world: World, tmp_path: Path) -> None:
    other = a_buyer(world, "control", tmp_path)
    one, two = (windows([wire_of(world.buyer, world.seller)]) for _ in range(2))
    control = windows([wire_of(other, world.seller)])
    assert one & two <= control  # version and hint: which seller is called
    assert one & two
    other.close()


def test_nothing_that_a_stranger_has_says_who_asked(world: World, tmp_path: Path) -> None:
    buyer = a_buyer(world, "private", tmp_path)
    said = talk_of(buyer, world.seller)
    for secret in (buyer.public, b"Kim Min-su", b"Sejong-daero", b"KR-1234567", buyer.service.public):
        assert not any(secret in message for message in said)
    held = "\n".join(world.seller.dump()).lower()
    assert buyer.public.hex() not in held
    assert "kim min-su" not in held
    buyer.close()


def test_a_contact_is_told_beside_the_same_request(world: World) -> None:
    buyer, seller, rival = world.buyer, world.seller, world.rival
    known = rows.Contact(seller.public, "Roma", "roma", None, buyer.clock())
    buyer.run(lambda tx: tx.contacts.put(known))
    request = buyer.request("3 beans", sellers=[seller, rival])
    to_contact, to_stranger = moved(buyer, seller, request), moved(buyer, rival, request)
    assert any(buyer.public in message for message in to_contact)
    assert not any(buyer.public in message for message in to_stranger)
    kept = [side.run(lambda tx: tx.requests.get(request.hash)) for side in (seller, rival)]
    assert all(kept)  # one request, one id
    assert seller.run(lambda tx: tx.notices.waiting()) == []  # nothing that a person has to read
    (quote,) = [one for one in buyer.quotes(request) if one.seller == seller.public]
    order = buyer.order(quote)
    moved(buyer, seller, request)
    assert [one.hash for one in seller.orders()] == [order.hash]

    hidden = buyer.request("4 beans", sellers=[seller], known_to="nobody")
    assert not any(buyer.public in message for message in moved(buyer, seller, hidden))
    open_ = buyer.request("5 beans", sellers=[rival], known_to="all")
    assert any(buyer.public in message for message in moved(buyer, rival, open_))


def test_who_never_got_the_request_does_not_learn_who_asked(world: World) -> None:
    buyer, seller = world.buyer, world.seller
    buyer.run(lambda tx: tx.contacts.put(rows.Contact(seller.public, "Roma", "roma", None, buyer.clock())))
    request = buyer.request("3 beans", sellers=[seller])
    assert len(buyer.waiting(buyer.link(request, seller))) == 2
    buyer.run(lambda tx: buyer.buying.close(tx, request, b.CloseRequest(), buyer.clock()))
    assert buyer.waiting(buyer.link(request, seller)) == []
