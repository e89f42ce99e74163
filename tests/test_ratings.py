"""Ratings as anybody finds them: checked alone, filed in the DHT, summed up; crowds of invented ones move nothing."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path

import msgspec
import pytest
import trio
from deal_world import LATER, agreed_trade, whole_trade
from fulfil_world import NoDispatch
from market_world import Clock, Side, World, price, settle
from test_records import announcement
from trade_world import BUYER, SELLER, STRANGER, key, moment

from p2pmarket import keys, limits, records
from p2pmarket.dht import events as dht
from p2pmarket.dht.filing import rating_topics, record_untrusted
from p2pmarket.dht.topics import topic_key
from p2pmarket.dht.values import PutStatus, Values
from p2pmarket.errors import BadMessage
from p2pmarket.market import rating as rating_module
from p2pmarket.market.keyring import KeyRing
from p2pmarket.market.papers import Reader, Signer
from p2pmarket.market.rating import Reputation, _to_publish
from p2pmarket.market.views import Views
from p2pmarket.network import DEV, MAIN, TEST
from p2pmarket.store import rows
from p2pmarket.store.cache import Cache, cache_database
from p2pmarket.store.database import Database
from p2pmarket.store.ledger import Ledger, ledger_database
from p2pmarket.trade import documents as d
from p2pmarket.trade.fulfilling import make_rating
from p2pmarket.trade.ratings import is_rating, rating_untrusted, stars_of, stars_text
from p2pmarket.trade.values import Aspect

WALL = 1_780_000_000
_numbers = count()


@cache
def rating(
    rater: str, rated: str = "shop", stars: int = 5, issued: int = WALL, text: str | None = None, version: int = 1
) -> d.Opened:
    """A rating with a deal that its two sides invented: nobody asked, quoted or delivered anything."""
    buyer, seller = key(rater), key(rated)
    request, quote, nonce = (keys.digest(f"{rater}{next(_numbers)}".encode()) for _ in range(3))
    statement = d.deal_statement_of(TEST, request, quote, nonce[:16], buyer.public, seller.public)
    document = d.Rating(
        nonce=nonce[16:],
        issued_at=issued,
        deal=keys.digest(nonce),
        request=request,
        quote=quote,
        order_nonce=nonce[:16],
        buyer=buyer.public,
        seller=seller.public,
        buyer_signature=buyer.sign(statement),
        seller_signature=seller.sign(statement),
        version=version,
        aspects=(Aspect("overall", stars),),
        text=text,
    )
    return d.seal_document(document, buyer, TEST, seller.public)


def records_of(*ratings: d.Opened) -> list[records.Record]:
    return [record_untrusted(one.envelope, TEST, WALL) for one in ratings]


# Alone


def test_a_rating_is_checked_without_its_deal() -> None:
    trade = whole_trade()
    for name, rater, rated in (("rating", BUYER, SELLER), ("rated_back", SELLER, BUYER)):
        opened = rating_untrusted(trade.papers[name].envelope, TEST, LATER)
        assert (opened.signer, opened.recipient) == (rater.public, rated.public)
        assert opened.hash == trade.papers[name].hash


@pytest.mark.parametrize("field", ["request", "quote", "order_nonce", "buyer", "seller", "buyer_signature", "seller_signature"])  # fmt: skip # noqa: E501
def test_a_rating_without_both_signatures_of_that_deal_is_refused(field: str) -> None:
    trade = whole_trade()
    document = trade.papers["rating"].document
    value = bytearray(getattr(document, field))
    value[0] ^= 1
    forged = msgspec.structs.replace(document, **{field: bytes(value)})
    for recipient in (SELLER.public, BUYER.public):
        with pytest.raises(BadMessage):
            rating_untrusted(d.seal_document(forged, BUYER, TEST, recipient).envelope, TEST, LATER)


def test_a_rating_of_strangers_or_of_another_network_is_refused() -> None:
    document = whole_trade().papers["rating"].document
    for opened in (
        d.seal_document(document, STRANGER, TEST, SELLER.public),
        d.seal_document(document, BUYER, MAIN, SELLER.public),
        d.seal_document(document, BUYER, TEST, STRANGER.public),
        whole_trade().papers["quote"],
    ):
        with pytest.raises(BadMessage):
            rating_untrusted(opened.envelope, TEST, LATER)
    for data in (b"", b"\x84", bytes(700)):
        with pytest.raises(BadMessage):
            rating_untrusted(data, TEST, LATER)


def test_no_changed_byte_passes() -> None:
    envelope, chance = rating("a buyer", text="good").envelope, random.Random(5)
    for place in range(len(envelope)):
        data = bytearray(envelope)
        data[place] ^= 1 << chance.randrange(8)
        with pytest.raises(BadMessage):
            record_untrusted(bytes(data), TEST, WALL)
    for _ in range(300):
        cut, more = chance.randrange(len(envelope)), chance.randbytes(chance.randrange(300))
        with pytest.raises(BadMessage):
            record_untrusted(envelope[:cut] + more, TEST, WALL)


def test_length_at_the_limit_and_one_over() -> None:
    trade = agreed_trade()
    bare = make_rating(trade.thread, BUYER, moment(LATER), trade.deal, [Aspect("goods", 4)], "x")
    room = limits.RECORD_BYTES - len(bare.envelope)
    texts = {len(sealed.envelope): sealed for n in range(room - 4, room + 4) for sealed in [rated(trade, "x" * n)]}
    assert rating_untrusted(texts[limits.RECORD_BYTES].envelope, TEST, LATER)
    with pytest.raises(BadMessage, match="at most"):
        rating_untrusted(texts[limits.RECORD_BYTES + 1].envelope, TEST, LATER)


def rated(trade: object, text: str) -> d.Opened:
    return make_rating(trade.thread, BUYER, moment(LATER), trade.deal, [Aspect("goods", 4)], text)  # type: ignore[attr-defined]


def test_stars() -> None:
    assert stars_text(stars_of((Aspect("goods", 5), Aspect("talk", 2)))) == "3.5"
    assert stars_text(stars_of((Aspect("goods", 5), Aspect("overall", 2)))) == "2.0"
    assert stars_text(stars_of((Aspect("a", 5), Aspect("b", 5), Aspect("c", 4)))) == "4.7"


# In the DHT


def store() -> Values:
    return Values(TEST, random.Random(1), random.Random(1).randbytes)


def group(number: int) -> bytes:
    return number.to_bytes(3, "big")


def test_both_kinds_of_records_come_in_by_one_door() -> None:
    told = records.make_announcement(key("shop"), TEST, announcement(issued=WALL, expires=WALL + 3600))
    assert not is_rating(told.envelope)
    assert record_untrusted(told.envelope, TEST, WALL) == told
    opened = rating("a buyer")
    (record,) = records_of(opened)
    assert (record.signer, record.hash) == (opened.signer, opened.hash)
    assert not records.is_category(record.announcement.category)


def test_a_rating_lies_under_the_topic_of_whom_it_rates_and_nowhere_else() -> None:
    held, opened = store(), rating("a buyer")
    (topic,) = rating_topics(TEST, key("shop").public, WALL)
    assert held.put(topic, opened.envelope, group(1), 0, WALL) is PutStatus.STORED
    assert held.page(topic, 0, 10_000, 0, WALL).envelopes == (opened.envelope,)
    for other in (*rating_topics(TEST, opened.signer, WALL), topic_key(TEST, "coffee", None, WALL)):
        assert held.put(other, opened.envelope, group(1), 0, WALL) is PutStatus.BAD
    told = records.make_announcement(key("shop"), TEST, announcement(issued=WALL, expires=WALL + 3600))
    assert held.put(topic, told.envelope, group(1), 0, WALL) is PutStatus.BAD


def test_of_one_rater_the_newest_rating_counts() -> None:
    held = store()
    (topic,) = rating_topics(TEST, key("shop").public, WALL)
    old, new = rating("a buyer", stars=1), rating("a buyer", stars=4, issued=WALL + 60)
    for opened in (old, new, old):
        held.put(topic, opened.envelope, group(1), 0, WALL)
    assert held.page(topic, 0, 10_000, 0, WALL).envelopes == (new.envelope,)
    held.sweep(limits.HELD_SECONDS + 1, WALL)
    assert held.page(topic, 0, 10_000, 0, WALL).total == 0


@pytest.fixture(scope="module")
def invented() -> list[d.Opened]:
    """A thousand deals of one person with himself, all five stars."""
    return [rating(f"nobody {number}") for number in range(1000)]


def test_a_thousand_invented_deals_have_the_share_of_the_one_place_they_come_from(invented: list[d.Opened]) -> None:
    held = store()
    (topic,) = rating_topics(TEST, key("shop").public, WALL)
    honest = [rating(f"honest {number}", stars=2) for number in range(20)]
    for opened in invented[:500]:
        held.put(topic, opened.envelope, group(1), 0, WALL)
    for number, opened in enumerate(honest):
        assert held.put(topic, opened.envelope, group(100 + number), 0, WALL) is PutStatus.STORED
    for opened in invented[500:]:
        held.put(topic, opened.envelope, group(1), 0, WALL)
    kept = held.page(topic, 0, 10**6, 0, WALL).envelopes
    assert {opened.envelope for opened in honest} <= set(kept)
    assert len(kept) == len(honest) + limits.GROUP_TOPIC_RECORDS


# Summed up


@pytest.fixture
async def reputation(tmp_path: Path) -> AsyncIterator[tuple[Reputation, Database[Ledger], Database[Cache]]]:
    (tmp_path / "ours").mkdir()
    with ledger_database(tmp_path / "ours").open() as ledger, cache_database(tmp_path / "ours").open() as cache:
        signer = Signer(TEST, key("me"), KeyRing(), random.Random(1).randbytes)
        yield Reputation(ledger, cache, signer, Reader()), ledger, cache


Kept = tuple[Reputation, Database[Ledger], Database[Cache]]


async def test_a_thousand_invented_deals_move_nobodys_rank(reputation: Kept, world: World) -> None:
    about, _, _ = reputation
    buyer, seller, rival = world.buyer, world.seller, world.rival
    seller.sell([price(1, "CUP", "paper cups", "2.50")])
    rival.sell([price(1, "CUP", "paper cups", "2.60")])
    request = buyer.request("10 paper cups", sellers=[seller, rival])
    for side in (seller, rival):
        settle(buyer, side, request)
    views = Views(buyer.reader, buyer.public, NoDispatch(), DEV, about.standing)

    def ranked(side: Side) -> list[str]:
        return side.run(lambda tx: [quote.id for quote in views.quotes(tx, request.hash)])

    before = ranked(buyer)
    assert len(before) == 2
    flattered = [rating(f"nobody {n}", "rival") for n in range(1000)]
    assert key("rival").public == rival.public
    await about.take(rival.public, records_of(*flattered))
    assert ranked(buyer) == before
    shown = buyer.run(lambda tx: views.peer(tx, rival.public, None, rival.public)).standing
    assert shown is not None
    assert (shown.own, shown.contacts) == (None, None)
    assert shown.others is not None
    assert shown.others.counterparties == limits.RATINGS_OF_ONE


async def test_contacts_are_heard_through_any_crowd(reputation: Kept, invented: list[d.Opened]) -> None:
    about, ledger, _ = reputation
    friend = rating("friend", stars=2, issued=WALL - 1000)
    contact = rows.Contact(friend.signer, "Friend", "friend", None, WALL)
    await ledger.run(lambda tx: tx.contacts.put(contact))
    await about.take(key("shop").public, records_of(friend, *invented[:300]))
    standing = await ledger.run(lambda tx: about.standing(tx, key("shop").public))
    assert (standing.contacts.counterparties, standing.contacts.stars) == (1, "2.0")
    assert standing.others.counterparties == limits.RATINGS_OF_ONE - 1
    found = await ledger.run(lambda tx: about.found(tx, key("shop").public))
    assert found[0][0].hash == friend.hash
    assert found[0][1] is not None


async def test_counterparties_are_counted_not_deals(reputation: Kept) -> None:
    about, ledger, _ = reputation
    same = [rating("a buyer", stars=n, issued=WALL + n, version=n) for n in (1, 2, 3)]
    await about.take(key("shop").public, records_of(*same[::-1]))
    await about.take(key("shop").public, records_of(same[0], rating("another", stars=5)))
    standing = await ledger.run(lambda tx: about.standing(tx, key("shop").public))
    assert (standing.others.counterparties, standing.others.stars) == (2, "4.0")


async def test_what_was_found_outlives_a_restart_within_its_limits(
    reputation: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    about, ledger, cache = reputation
    monkeypatch.setattr(limits, "RATINGS_KEPT", 6)
    monkeypatch.setattr("p2pmarket.store.seen.RATINGS_KEPT", 6)
    clock = Clock(WALL)
    monkeypatch.setattr(rating_module, "wall", clock)
    for number in range(7):
        clock.now = WALL + number
        await about.take(key(f"shop {number}").public, records_of(rating("a buyer", f"shop {number}")))
    kept = await cache.run(lambda tx: tx.ratings.all())
    assert [row.rated for row in kept] == [key(f"shop {number}").public for number in range(1, 7)]
    shops = [key(f"shop {number}").public for number in range(7)]
    standing = await ledger.run(lambda tx: [about.standing(tx, shop) for shop in shops])
    assert [one is None for one in standing] == [True, *[False] * 6]


async def test_peers_wait_to_be_looked_up_once_and_not_without_end(reputation: Kept, world: World) -> None:
    about, _, _ = reputation
    buyer, seller = world.buyer, world.seller
    seller.sell([price(1, "CUP", "paper cups", "2.50")])
    request = buyer.request("10 paper cups", sellers=[seller])
    settle(buyer, seller, request)
    events = buyer.run(lambda tx: tx.events.since(0, 100))
    buyer.run(lambda tx: about.overhear(tx, events * 3))
    assert list(about._wanted) == [seller.public]
    for number in range(limits.RATINGS_WANTED + 1):
        about._wanted.append(number.to_bytes(32, "big"))
    assert len(about._wanted) == limits.RATINGS_WANTED


@dataclass
class Crowd:
    """A network that has found so many ratings: a real one on one machine holds only those of one address group."""

    found: list[d.Opened]
    wanted: int = 0

    @asynccontextmanager
    async def get(self, topics: Sequence[bytes], want: int) -> AsyncIterator[trio.MemoryReceiveChannel[dht.Event]]:
        self.wanted = want
        send, receive = trio.open_memory_channel[dht.Event](len(self.found) + 1)
        for place in range(0, len(self.found), 10):
            send.send_nowait(dht.RecordsFound(1, topics[0], tuple(records_of(*self.found[place : place + 10]))))
        send.send_nowait(dht.GetDone(1, 20, 20, len(self.found)))
        send.close()
        yield receive


@pytest.mark.parametrize("more", [0, 1])
async def test_ratings_looked_at_at_the_limit_and_one_over(
    reputation: Kept, invented: list[d.Opened], monkeypatch: pytest.MonkeyPatch, more: int
) -> None:
    about, ledger, _ = reputation
    monkeypatch.setattr(limits, "RATINGS_OF_ONE", limits.RATINGS_READ + 1)
    monkeypatch.setattr(rating_module, "wall", Clock(WALL))
    crowd = Crowd(invented[: limits.RATINGS_READ + more])
    about.dht = crowd  # type: ignore[assignment]
    assert await about.look(key("shop").public) == 20
    assert crowd.wanted == limits.RATINGS_READ
    standing = await ledger.run(lambda tx: about.standing(tx, key("shop").public))
    assert standing.others.counterparties == limits.RATINGS_READ


# Published


@dataclass
class Takers:
    """A network that takes all, and is joined anew while it takes the first: a real one is too quick for that."""

    about: Reputation
    took: list[bytes]
    enough: int

    async def put(self, topic: bytes, envelope: bytes, wide: int = 1) -> dht.PutDone:
        self.took.append(envelope)
        await trio.lowlevel.checkpoint()
        if len(self.took) == 1:
            self.about.refresh()
        if len(self.took) == self.enough:
            raise Enough
        return dht.PutDone(1, 3, 0, 3)


class Enough(Exception):
    """All that a test waits for has happened."""


async def test_all_ratings_are_published_again_if_the_network_is_joined_while_they_are(reputation: Kept) -> None:
    about, ledger, _ = reputation
    given = [rating("me", f"shop {number}") for number in range(3)]

    def fill(tx: Ledger) -> None:
        for number, opened in enumerate(given):
            kept(tx, opened, number)

    await ledger.run(fill)
    takers = Takers(about, [], 2 * len(given))
    about.dht = takers  # type: ignore[assignment]
    with trio.fail_after(10), pytest.RaisesGroup(Enough, flatten_subgroups=True):
        await about.run()
    assert sorted(takers.took) == sorted([opened.envelope for opened in given] * 2)


def kept(ledger: Ledger, opened: d.Opened, number: int) -> None:
    ledger.documents.add(
        rows.Document(0, opened.hash, opened.kind, opened.id, bytes(32), 0, opened.signer, opened.recipient,
                      opened.envelope, WALL + number, None)
    )  # fmt: skip


async def test_we_publish_what_we_say_and_our_share_of_what_is_said_of_us(reputation: Kept) -> None:
    _, ledger, _ = reputation
    me = key("me").public
    given = [rating("me", f"shop {n}") for n in range(limits.RATINGS_PUBLISHED + 1)]
    got = [rating(f"buyer {n}", "me") for n in range(limits.GROUP_TOPIC_RECORDS + 1)]
    again = rating("me", "shop 64", stars=1, version=2, issued=WALL + 5)

    def fill(tx: Ledger) -> None:
        for number, opened in enumerate((*given, *got, again)):
            kept(tx, opened, number)

    await ledger.run(fill)
    published = await ledger.run(lambda tx: _to_publish(tx, me))
    ours = [hash_ for hash_, rated, _ in published if rated != me]
    of_us = [hash_ for hash_, rated, _ in published if rated == me]
    assert len(ours) == limits.RATINGS_PUBLISHED
    assert again.hash in ours
    assert given[64].hash not in ours
    assert given[0].hash not in ours
    assert of_us == [opened.hash for opened in got[:0:-1]]
