"""Ratings in the network: those we gave and got are published, those of whom we deal with are looked for.

Rules. A rating counts once for each rater: of his ratings of one peer the newest. What strangers say of a stranger
may be one person's invention, so it is shown apart from what we and our contacts said, and nothing is ranked by it. We
publish what we said while we are online, and what was said of us, as far as our share of the topic goes; what nobody
publishes any more is gone in two hours. Whoever quotes us, or orders from us, is looked up once an hour at most, one
peer after another; what was found is kept in the cache with the time it was seen.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import trio

from p2pmarket import limits
from p2pmarket.api import types as t
from p2pmarket.clock import wall
from p2pmarket.dht import events as dht
from p2pmarket.dht.filing import rating_topics
from p2pmarket.keys import digest
from p2pmarket.market.papers import Reader, Signer, payload_of
from p2pmarket.market.proofs import keep_proof
from p2pmarket.records import Record
from p2pmarket.store.cache import Cache
from p2pmarket.store.database import Database
from p2pmarket.store.ledger import Ledger
from p2pmarket.store.rows import Document as Row
from p2pmarket.store.rows import Event
from p2pmarket.store.seen import SeenRating
from p2pmarket.trade import documents as d
from p2pmarket.trade.ratings import stars_of, stars_text
from p2pmarket.udp import DhtService
from p2pmarket.vocab.deadlines import instant_text

FRESH_SECONDS = limits.HOUR  # what was found by ourselves is believed for so long
ASKED_SECONDS = 5  # and when a person asks
LOOK_SECONDS = 8  # for one search
IDLE_SECONDS = 1  # between two looks at what waits: the quote comes first, what is said of its seller after it
RETRY_SECONDS = 30  # after a publication that nobody took


@dataclass(frozen=True, slots=True)
class Known:
    """One rating of somebody, as it was found. `stars`: 1 to 5."""

    row: SeenRating
    stars: Fraction


class Reputation:
    """What is known of others' ratings; publishes ours. `standing` and `overhear` run in the ledger's thread."""

    def __init__(self, ledger: Database[Ledger], cache: Database[Cache], signer: Signer, reader: Reader) -> None:
        self.dht: DhtService  # set before run
        self._ledger, self._cache, self._signer, self._reader = ledger, cache, signer, reader
        self._known: dict[bytes, dict[bytes, Known]] = {}  # rated -> rater
        self._looked: dict[bytes, int] = {}  # rated -> when, UTC seconds
        self._wanted: deque[bytes] = deque(maxlen=limits.RATINGS_WANTED)
        self._friends: tuple[int, frozenset[bytes]] = (0, frozenset())
        self._published: dict[bytes, float] = {}  # hash -> when it is due again, in trio time
        self._news = False  # a rating was signed or came
        self._rng = random.Random()

    # What is known

    def standing(self, ledger: Ledger, identity: bytes) -> t.Standing | None:
        """What is known of the ratings of somebody; None if nothing is."""
        own = self.own(ledger, identity)
        known = self._known.get(identity, {})
        if own is None and not known:
            return None
        friends = self._people(ledger)
        me = self._signer.identity.public
        said = {rater: found.stars for rater, found in known.items() if rater != me}
        seen = max((found.row.seen for found in known.values()), default=None)
        return t.Standing(
            own=_score([stars_of(_rating(own).aspects)] if own is not None else []),
            contacts=_score([stars for rater, stars in said.items() if rater in friends]),
            others=_score([stars for rater, stars in said.items() if rater not in friends]),
            seen_at=instant_text(seen) if seen is not None else None,
        )

    def own(self, ledger: Ledger, identity: bytes) -> d.Opened | None:
        """Our newest rating of somebody."""
        row = ledger.documents.newest_rating(self._signer.identity.public, identity)
        return self._reader.opened(row) if row is not None else None

    def found(self, ledger: Ledger, identity: bytes) -> list[tuple[d.Opened, int | None]]:
        """Ratings of somebody with when they were seen: ours, those of contacts, then the newest."""
        me, friends = self._signer.identity.public, self._people(ledger)
        known = sorted(
            (found.row for found in self._known.get(identity, {}).values() if found.row.rater != me),
            key=lambda row: (row.rater not in friends, -row.issued),
        )
        own = self.own(ledger, identity)
        mine: list[tuple[d.Opened, int | None]] = [(own, None)] if own is not None else []
        if identity == me:
            mine = [(self._reader.opened(row), None) for row in _newest(ledger, me, of_us=True)]
            known = [row for row in known if row.rater not in {opened.signer for opened, _ in mine}]
        return [*mine, *((_opened(row), row.seen) for row in known)]

    def is_fresh(self, identity: bytes, seconds: int = FRESH_SECONDS) -> bool:
        """Whether somebody was looked up so lately."""
        return wall() - self._looked.get(identity, 0) < seconds

    def _people(self, ledger: Ledger) -> frozenset[bytes]:
        """The address book, read once a second at most. A deal makes no friend: a small order is soon made."""
        now = wall()
        if self._friends[0] != now:
            self._friends = (now, frozenset(contact.identity for contact in ledger.contacts.all()))
        return self._friends[1]

    # Looking

    def overhear(self, ledger: Ledger, events: Sequence[Event]) -> None:
        """Look up whoever quotes us or orders from us, and publish anew when a rating came."""
        for event in events:
            quote = ledger.quotes.get(event.party) if event.type == "quote.received" else None
            order = ledger.orders.get(event.party) if event.type == "order.received" else None
            other = quote.seller if quote is not None else order.other if order is not None else None
            if other is not None and not self.is_fresh(other) and other not in self._wanted:
                self._wanted.append(other)
            self._news = self._news or event.type == "rating.received"

    def said(self) -> None:
        """A rating of ours was signed: publish it soon."""
        self._news = True

    def refresh(self) -> None:
        """Publish everything again soon: the network was joined, or the address changed."""
        self._published = {}  # another one, for a publication may be under way that notes its times in the old one

    async def look(self, identity: bytes) -> int:
        """Search the network for ratings of somebody; returns how many nodes were asked."""
        records: list[Record] = []
        asked = 0
        topics = rating_topics(self._signer.network, identity, wall())
        with trio.move_on_after(LOOK_SECONDS):
            async with self.dht.get(topics, limits.RATINGS_READ) as events:
                async for event in events:
                    if isinstance(event, dht.RecordsFound):
                        records += event.records[: limits.RATINGS_READ - len(records)]  # the last answer may hold more
                    elif isinstance(event, dht.GetProgress | dht.GetDone):
                        asked = max(asked, event.asked)
        await self.take(identity, records)
        return asked

    async def take(self, identity: bytes, records: Iterable[Record]) -> None:
        """Keep what was found of somebody: contacts' ratings first, then the newest, as many as there is room for."""
        now, records = wall(), list(records)
        if identity == self._signer.identity.public:
            said = [_opened(_seen(record, identity, now).row) for record in records]
            await self._ledger.run(partial(compare, reader=self._reader, ratings=said, now=now))
        friends: frozenset[bytes] = await self._ledger.run(self._people)
        known = dict(self._known.get(identity, {}))
        for record in records:
            found = _seen(record, identity, now)
            before = known.get(record.signer)
            if before is None or (found.row.issued, found.row.version) >= (before.row.issued, before.row.version):
                known[record.signer] = found
        ranked = sorted(known.values(), key=lambda one: (one.row.rater not in friends, -one.row.issued))
        kept = {one.row.rater: one for one in ranked[: limits.RATINGS_OF_ONE]}
        self._looked.pop(identity, None)
        self._looked[identity] = now
        if kept:
            self._known.pop(identity, None)  # the last one looked up stands last
            self._known[identity] = kept
            rows = [one.row for one in kept.values()]
            await self._cache.run(lambda cache: cache.ratings.replace(identity, rows))
        self._forget()

    def _forget(self) -> None:
        """Of more than can be remembered those looked up first go."""
        while len(self._looked) > limits.RATINGS_KEPT:
            del self._looked[next(iter(self._looked))]
        while sum(map(len, self._known.values())) > limits.RATINGS_KEPT:
            del self._known[next(iter(self._known))]

    # Running

    async def run(self) -> None:
        """Look for what is wanted and keep ours published, until cancelled."""
        rows: list[SeenRating] = await self._cache.run(lambda cache: cache.ratings.all())
        for row in rows:
            self._known.setdefault(row.rated, {})[row.rater] = Known(row, stars_of(_rating(_opened(row)).aspects))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._look_on)
            nursery.start_soon(self._publish_on)

    async def _look_on(self) -> None:
        while True:
            await trio.sleep(IDLE_SECONDS)
            while self._wanted:
                identity = self._wanted.popleft()
                if not self.is_fresh(identity):
                    await self.look(identity)

    async def _publish_on(self) -> None:
        while True:
            now = trio.current_time()
            if self._news or min(self._published.values(), default=now) <= now:
                self._news = False
                await self._publish()
            await trio.sleep(IDLE_SECONDS)

    async def _publish(self) -> None:
        """Put those whose time has come."""
        me = self._signer.identity.public
        ours: list[tuple[bytes, bytes, bytes]] = await self._ledger.run(partial(_to_publish, me=me))
        due = {hash_: self._published.get(hash_, 0.0) for hash_, _, _ in ours}
        self._published = due or {b"": trio.current_time() + limits.REFRESH_SECONDS}
        for hash_, rated, envelope in ours:
            if due[hash_] <= trio.current_time():
                stored = 0
                for topic in rating_topics(self._signer.network, rated, wall()):
                    stored += (await self.dht.put(topic, envelope)).stored
                jitter = self._rng.uniform(-limits.REFRESH_JITTER_SECONDS, limits.REFRESH_JITTER_SECONDS)
                pause = limits.REFRESH_SECONDS + jitter if stored else RETRY_SECONDS
                due[hash_] = trio.current_time() + pause


def compare(ledger: Ledger, reader: Reader, ratings: Iterable[d.Opened], now: int) -> None:
    """Whoever tells the world another thing of a deal than he told us has signed two ratings in one place."""
    for opened in ratings:
        keep_proof(ledger, reader, opened, now)


def _to_publish(ledger: Ledger, me: bytes) -> list[tuple[bytes, bytes, bytes]]:
    """(hash, rated, envelope) of what we say, and of what is said of us as far as our share of the topic goes."""
    given = _newest(ledger, me, of_us=False)[: limits.RATINGS_PUBLISHED]
    got = _newest(ledger, me, of_us=True)[: limits.GROUP_TOPIC_RECORDS]
    rows = [row for row in (*given, *got) if len(row.envelope) <= limits.RECORD_BYTES]
    return [(row.hash, row.recipient, row.envelope) for row in rows]


def _newest(ledger: Ledger, me: bytes, *, of_us: bool) -> list[Row]:
    """The newest rating of each whom we rated, or of each who rated us; the newest first."""
    found: dict[bytes, Row] = {}
    for row in reversed(ledger.documents.ratings()):
        if (row.recipient if of_us else row.signer) == me:
            found.setdefault(row.signer if of_us else row.recipient, row)
    return list(found.values())


def _seen(record: Record, rated: bytes, now: int) -> Known:
    rating = d.unpack_untrusted(d.kind_of(d.Rating), payload_of(record.envelope))
    assert isinstance(rating, d.Rating)
    row = SeenRating(rated, record.signer, record.envelope, rating.issued_at, rating.version, now)
    return Known(row, stars_of(rating.aspects))


def _opened(row: SeenRating) -> d.Opened:
    """A kept rating as it was when it was checked."""
    payload = payload_of(row.envelope)
    kind = d.kind_of(d.Rating)
    return d.Opened(kind, row.rater, row.rated, digest(payload), d.unpack_untrusted(kind, payload), row.envelope)


def _rating(opened: d.Opened) -> d.Rating:
    assert isinstance(opened.document, d.Rating)
    return opened.document


def _score(stars: Sequence[Fraction]) -> t.Score | None:
    if not stars:
        return None
    return t.Score(counterparties=len(stars), stars=stars_text(sum(stars, Fraction(0)) / len(stars)))
