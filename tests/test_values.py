"""The store of foreign records: rules, quotas, floods, pages; a state machine against a naive model."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from test_records import NOW, announcement

from p2pmarket import keys, limits, records
from p2pmarket.dht import shards, topics
from p2pmarket.dht.shards import WHOLE
from p2pmarket.dht.values import PutStatus, Values
from p2pmarket.network import TEST

CATEGORY = "coffee/roasted"
TOPIC = topics.topic_key(TEST, CATEGORY, None, NOW)
COFFEE = topics.topic_key(TEST, "coffee", None, NOW)
ROOM = 10**6


@cache
def seller(number: int) -> keys.SigningKey:
    return keys.SigningKey.from_seed(keys.digest(b"seller %d" % number))


@cache
def envelope(number: int, **changes: Any) -> bytes:
    what = announcement(**({"regions": ("world",), "routes": ()} | changes))
    return records.make_announcement(seller(number), TEST, what).envelope


def group(number: int) -> bytes:
    return number.to_bytes(3, "big")


def values(seed: int = 1) -> Values:
    return Values(TEST, random.Random(seed), random.Random(seed).randbytes)


def signers(store: Values, topic: bytes = TOPIC, wall: int = NOW) -> list[bytes]:
    return [records.record_untrusted(one, TEST, NOW).signer for one in store.page(topic, 0, ROOM, 0, wall).envelopes]


def put(store: Values, number: int, where: int, topic: bytes = TOPIC, now: float = 0, **changes: Any) -> PutStatus:
    return store.put(topic, envelope(number, **changes), group(where), now, NOW)


def test_a_record_is_kept_and_listed() -> None:
    store = values()
    assert put(store, 1, 1) is PutStatus.STORED
    page = store.page(TOPIC, 0, ROOM, 0, NOW)
    assert page.envelopes == (envelope(1),)
    assert (page.total, page.crowd, len(store)) == (1, 1, 1)


def test_nothing_is_known_of_other_topics() -> None:
    assert values().page(TOPIC, 0, ROOM, 0, NOW).envelopes == ()


@pytest.mark.parametrize(
    ("topic", "data"),
    [
        (TOPIC, b""),
        (TOPIC, b"\x84\x00"),
        (TOPIC, envelope(1)[:-1]),
        (topics.topic_key(TEST, "tea", None, NOW), envelope(1)),
        (topics.topic_key(TEST, CATEGORY, "KR", NOW), envelope(1)),
        (TOPIC, envelope(1, issued=NOW - limits.RECORD_SECONDS, expires=NOW)),
    ],
)
def test_what_does_not_hold_is_not_kept(topic: bytes, data: bytes) -> None:
    store = values()
    if data == envelope(1)[:-1]:
        assert store.put(topic, data, group(1), 0, NOW) is PutStatus.BAD
    assert store.put(topic, data, group(1), 0, NOW) is PutStatus.BAD
    assert len(store) == 0


def test_the_newer_record_wins_whatever_the_order() -> None:
    store = values()
    assert put(store, 1, 1, seq=2) is PutStatus.STORED
    assert put(store, 1, 1, seq=1) is PutStatus.STALE
    assert put(store, 1, 1, seq=2) is PutStatus.STORED  # a refresh
    assert put(store, 1, 1, seq=2, name="fork") is PutStatus.STALE
    assert put(store, 1, 1, epoch=1, seq=0) is PutStatus.STORED
    assert store.page(TOPIC, 0, ROOM, 0, NOW).envelopes == (envelope(1, epoch=1, seq=0),)


def test_a_withdrawn_announcement_does_not_come_back() -> None:
    store = values()
    put(store, 1, 1, seq=1)
    assert put(store, 1, 1, seq=2, withdrawn=True) is PutStatus.STORED
    assert store.page(TOPIC, 0, ROOM, 0, NOW).envelopes == ()
    assert put(store, 1, 1, seq=1) is PutStatus.STALE
    assert put(store, 1, 1, seq=2, withdrawn=True) is PutStatus.STORED
    store.sweep(limits.HELD_SECONDS + 1, NOW)
    assert put(store, 1, 1, seq=1) is PutStatus.STALE  # remembered beyond two hours
    assert put(store, 1, 1, seq=3) is PutStatus.STORED  # announced again
    assert store.page(TOPIC, 0, ROOM, 0, NOW).total == 1


def test_the_mark_of_a_withdrawn_announcement_ends_with_it() -> None:
    store = values()
    put(store, 1, 1, seq=2, withdrawn=True, expires=NOW + 100)
    store.sweep(0, NOW + 99)
    assert len(store) == 1
    store.sweep(0, NOW + 100)
    assert len(store) == 0


def test_two_announcements_under_one_ancestor_share_a_place_whatever_the_order() -> None:
    for order in (("coffee/green", "coffee/roasted"), ("coffee/roasted", "coffee/green")):
        store = values()
        for category in order:
            put(store, 1, 1, topic=COFFEE, category=category)
        assert store.page(COFFEE, 0, ROOM, 0, NOW).envelopes == (envelope(1, category="coffee/green"),)
        put(store, 1, 1, topic=COFFEE, category="coffee/roasted", seq=9, withdrawn=True)
        assert store.page(COFFEE, 0, ROOM, 0, NOW).total == 1
        put(store, 1, 1, topic=COFFEE, category="coffee/green", seq=9, withdrawn=True)
        assert store.page(COFFEE, 0, ROOM, 0, NOW).total == 0
        assert put(store, 1, 1, topic=COFFEE, category="coffee/green", seq=8) is PutStatus.STALE
        assert put(store, 1, 1, topic=COFFEE, category="coffee/roasted", seq=10) is PutStatus.STORED


def test_marks_of_withdrawn_announcements_are_bounded() -> None:
    store = values()
    for number in range(limits.WITHDRAWN_PER_PUBLISHER + 1):
        put(store, 1, 1, topic=COFFEE, category=f"coffee/{number}", seq=2, withdrawn=True, expires=NOW + 100 + number)
    assert put(store, 1, 1, topic=COFFEE, category="coffee/0", seq=1) is PutStatus.STORED  # the first to expire went
    assert put(store, 1, 1, topic=COFFEE, category="coffee/1", seq=1) is PutStatus.STALE


def test_records_leave_when_they_expire_or_are_not_refreshed() -> None:
    store = values()
    put(store, 1, 1, expires=NOW + 100)
    put(store, 2, 2)
    put(store, 3, 3)
    assert len(signers(store, wall=NOW + 100)) == 2  # not listed, though not yet swept
    store.sweep(1, NOW + 100)
    assert set(signers(store)) == {seller(2).public, seller(3).public}
    put(store, 3, 3, now=60)
    store.sweep(limits.HELD_SECONDS - 1, NOW + 200)
    assert len(store) == 2
    store.sweep(limits.HELD_SECONDS, NOW + 200)
    assert signers(store) == [seller(3).public]


def test_a_group_has_a_share_of_a_topic() -> None:
    store = values()
    stored = [put(store, number, 1) for number in range(limits.GROUP_TOPIC_RECORDS)]
    assert stored == [PutStatus.STORED] * limits.GROUP_TOPIC_RECORDS
    assert put(store, 99, 1) is PutStatus.QUOTA
    assert put(store, 0, 1) is PutStatus.STORED  # a refresh needs no room
    assert put(store, 99, 2) is PutStatus.STORED


def topic_of(number: int) -> tuple[str, bytes]:
    category = f"goods {number}"
    return category, topics.topic_key(TEST, category, None, NOW)


def test_a_group_has_a_share_of_a_node() -> None:
    store = values()
    for number in range(limits.GROUP_RECORDS):
        category, topic = topic_of(number // 8)
        assert put(store, number, 1, topic=topic, category=category) is PutStatus.STORED
    category, topic = topic_of(10_000)
    assert put(store, 999, 1, topic=topic, category=category) is PutStatus.QUOTA
    assert put(store, 999, 2, topic=topic, category=category) is PutStatus.STORED


def test_a_publisher_has_a_share_of_a_node() -> None:
    store = values()
    for number in range(limits.PUBLISHER_RECORDS):
        category, topic = topic_of(number)
        assert put(store, 1, number, topic=topic, category=category) is PutStatus.STORED
    category, topic = topic_of(10_000)
    assert put(store, 1, 10_000, topic=topic, category=category) is PutStatus.QUOTA
    assert put(store, 2, 10_000, topic=topic, category=category) is PutStatus.STORED


def test_a_topic_says_how_large_its_crowd_is() -> None:
    """Those who find no room are counted too, each once, and of a group no more than may have places."""
    store = values()
    for number in range(limits.CROWD_GROUPS):
        assert store.crowd(TOPIC) == store.page(TOPIC, 0, ROOM, 0, NOW).crowd == number
        put(store, number, number)
    for number in range(limits.CROWD_GROUPS, 2000):
        put(store, number, number)
        put(store, number, number)
    assert 0.6 * 2000 < store.crowd(TOPIC) < 1.6 * 2000
    alone = values()
    for number in range(2000):
        put(alone, number, number % 50)
    assert 50 * 6 < alone.crowd(TOPIC) <= 50 * limits.GROUP_TOPIC_RECORDS


def test_the_crowd_is_forgotten_after_two_hours() -> None:
    store = values()
    for number in range(1000):
        put(store, number, number)
    for moment in (1, limits.CROWD_SECONDS, 2 * limits.CROWD_SECONDS - 1):
        store.sweep(moment, NOW)
        assert store.crowd(TOPIC) > 700
    put(store, 1, 1, now=2 * limits.CROWD_SECONDS - 1, seq=9)
    store.sweep(2 * limits.CROWD_SECONDS, NOW)
    store.sweep(3 * limits.CROWD_SECONDS, NOW)
    assert store.crowd(TOPIC) == 1


def test_a_topic_never_holds_more_than_its_limit() -> None:
    store = values()
    for number in range(limits.TOPIC_RECORDS):
        assert put(store, number, number) is PutStatus.STORED
    assert put(store, 1000, 0) in (PutStatus.FULL, PutStatus.QUOTA)  # a second place of a group that has one
    assert len(store) == limits.TOPIC_RECORDS
    put(store, 1001, 1001)
    assert len(store) == limits.TOPIC_RECORDS


def test_what_a_neighbour_passes_on_counts_for_its_publishers_route() -> None:
    store = values()
    routes = (records.direct_route("60.1.2.3", 4001),)
    assert store.take_over(TOPIC, WHOLE, envelope(1, routes=routes), group(7), 0, NOW) is PutStatus.STORED
    full = [put(store, number, 7) for number in range(2, 2 + limits.GROUP_TOPIC_RECORDS)]
    assert full == [PutStatus.STORED] * limits.GROUP_TOPIC_RECORDS
    routeless = store.take_over(TOPIC, WHOLE, envelope(100), group(7), 0, NOW)
    assert routeless is PutStatus.QUOTA  # counts for the neighbour's group


def test_what_a_neighbour_passes_on_is_kept_two_hours_from_its_signing() -> None:
    store = values()
    issued = announcement().issued
    late = issued + limits.HELD_SECONDS
    assert store.take_over(TOPIC, WHOLE, envelope(1), group(1), 0, late) is PutStatus.STALE
    assert store.take_over(TOPIC, WHOLE, envelope(1), group(1), 0, late - 10) is PutStatus.STORED
    assert store.take_over(TOPIC, WHOLE, envelope(1), group(2), 0, late - 10) is PutStatus.STALE  # is held
    assert store.take_over(TOPIC, WHOLE, b"junk", group(2), 0, late - 10) is PutStatus.BAD
    store.sweep(9, late - 1)
    assert store.held(TOPIC) == 1
    store.sweep(10, late)
    assert store.held(TOPIC) == 0


def test_topics_are_told_nearest_first() -> None:
    store = values()
    for number in range(5):
        category, topic = topic_of(number)
        put(store, 1, 1, topic, category=category)
    target = int.from_bytes(topic_of(3)[1], "big")
    every = store.nearest_keys(target, 0, 10)
    assert [topic for topic, _ in every] == sorted(store.keys(), key=lambda key: int.from_bytes(key, "big") ^ target)
    assert every[0] == (topic_of(3)[1], WHOLE)
    assert store.nearest_keys(target, 2, 2) == every[2:4]
    assert store.nearest_keys(target, 5, 2) == []


def test_shards_are_told_by_topic_and_number() -> None:
    store = values()
    assert store.put(TOPIC, envelope(1), group(1), 0, NOW, 5) is PutStatus.STORED
    key = shards.key_of(TEST, TOPIC, 5)
    assert store.nearest_keys(0, 0, 10) == [(TOPIC, 5)]
    assert [*store.keys()] == [key]
    assert store.held(key) == 1
    assert store.held(TOPIC) == 0
    assert store.put(topic_of(1)[1], envelope(1), group(1), 0, NOW, 5) is PutStatus.BAD


def test_a_full_node_makes_room_at_the_largest_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "NODE_RECORDS", 40)
    store = values()
    for number in range(40):
        category, topic = topic_of(number)
        put(store, number, number if number < 20 else 500, topic=topic, category=category)
    category, topic = topic_of(777)
    assert put(store, 777, 777, topic=topic, category=category) is PutStatus.STORED
    assert put(store, 778, 500, topic=topic, category=category) is PutStatus.FULL
    assert len(store) == 40
    held = [store.page(topic_of(number)[1], 0, ROOM, 0, NOW).total for number in range(40)]
    assert sum(held[:20]) == 20
    assert sum(held[20:]) == 19


def test_a_place_counts_for_where_its_publisher_lives() -> None:
    """Whoever passes a seller's record on first cannot make it share the fate of his own flood."""
    store = values()
    route = {"routes": (records.direct_route("10.0.7.9", 4001),)}
    home = TEST.group("10.0.7.9", 4001)
    mine = envelope(1, **route)
    assert store.put(TOPIC, mine, group(666), 0, NOW) is PutStatus.STORED
    assert store.put(TOPIC, mine, home, 0, NOW) is PutStatus.STORED
    assert store.put(TOPIC, mine, group(666), 0, NOW) is PutStatus.STORED  # does not take it back
    for number in range(2, 2 + limits.GROUP_TOPIC_RECORDS):
        assert put(store, number, 666) is PutStatus.STORED
    assert put(store, 99, 666) is PutStatus.QUOTA


@pytest.mark.parametrize("groups", [1, 10, 50, 200])
@pytest.mark.parametrize("flood_first", [True, False])
def test_a_flood_of_twenty_times_the_honest_records_displaces_none(groups: int, flood_first: bool) -> None:
    honest = [(number, number) for number in range(200)]
    flood = [(1000 + number, 5000 + number % groups) for number in range(20 * 200)]
    store = values()
    for number, where in [*flood, *honest] if flood_first else [*honest, *flood]:
        put(store, number, where)
    assert {seller(number).public for number, _ in honest} <= set(signers(store))
    assert len(store) <= limits.TOPIC_RECORDS


def test_a_flood_mixed_with_honest_records_displaces_none() -> None:
    arrivals = [(number, number) for number in range(200)]
    arrivals += [(1000 + number, 5000 + number % 200) for number in range(20 * 200)]
    random.Random(7).shuffle(arrivals)
    store = values()
    for number, where in arrivals:
        put(store, number, where)
    held = set(signers(store))
    missing = [number for number in range(200) if seller(number).public not in held]
    for number in missing:  # refused while the topic was full of ones: the next refresh finds the flood's seconds
        put(store, number, number)
    assert {seller(number).public for number in range(200)} <= set(signers(store))


def test_two_nodes_keep_different_samples_of_a_crowd() -> None:
    stores = [values(1), values(2)]
    for number in range(2 * limits.TOPIC_RECORDS):
        for store in stores:
            put(store, number, number)
    one, other = (set(signers(store)) for store in stores)
    assert len(one) == len(other) == limits.TOPIC_RECORDS
    hour = limits.CROWD_SECONDS
    for number in range(2 * limits.TOPIC_RECORDS):
        for store in stores:
            store.put(TOPIC, envelope(number), group(number), hour - 60, NOW + hour - 60)
    one, other = (set(signers(store)) for store in stores)
    assert 0.7 * limits.TOPIC_RECORDS < len(one) <= limits.TOPIC_RECORDS
    assert len(one & other) < 0.7 * limits.TOPIC_RECORDS  # half is expected of two independent halves


def test_everybody_has_a_turn() -> None:
    """A crowd twice as large as the places: in each hour others are kept."""
    store, kept, hour = values(), set[bytes](), limits.CROWD_SECONDS
    for hours in range(6):
        wall = NOW + hours * hour
        for number in range(2 * limits.TOPIC_RECORDS):
            store.put(TOPIC, envelope(number, expires=NOW + limits.DAY), group(number), hours * hour, wall)
        page = store.page(TOPIC, 0, ROOM, 0, wall)
        now_kept = {records.record_untrusted(one, TEST, wall).signer for one in page.envelopes}
        assert len(now_kept) < 0.7 * 2 * limits.TOPIC_RECORDS
        kept |= now_kept
    assert len(kept) > 0.9 * 2 * limits.TOPIC_RECORDS


def crowded() -> Values:
    """Twenty groups of one seller and one group of eight."""
    store = values()
    for number in range(8):
        put(store, 100 + number, 100)
    for number in range(20):
        put(store, number, number)
    return store


def test_pages_of_one_reader_show_each_record_once() -> None:
    store = crowded()
    size = len(envelope(1)) + 3
    seen: list[bytes] = []
    while True:
        page = store.page(TOPIC, 12345, 5 * size, len(seen), NOW)
        if not page.envelopes:
            break
        assert len(page.envelopes) <= 5
        seen += page.envelopes
    assert len(seen) == len(set(seen)) == 28


def test_a_page_keeps_to_its_room() -> None:
    store = values()
    put(store, 1, 1)
    size = len(envelope(1)) + 3  # the CBOR head of its bytes
    assert len(store.page(TOPIC, 0, size, 0, NOW).envelopes) == 1
    assert len(store.page(TOPIC, 0, size - 1, 0, NOW).envelopes) == 0


def test_page_one_cannot_be_bought() -> None:
    """In the first 21 places of any reader every group stands once, however many records it holds."""
    store = crowded()
    flood = {seller(100 + number).public for number in range(8)}
    for seed in range(50):
        page = store.page(TOPIC, seed, 21 * (len(envelope(1)) + 3), 0, NOW)
        shown = [records.record_untrusted(one, TEST, NOW).signer for one in page.envelopes]
        assert len(flood & set(shown)) == 1


def test_readers_begin_at_different_places() -> None:
    store = crowded()
    firsts = {store.page(TOPIC, seed, 500, 0, NOW).envelopes[0] for seed in range(100)}
    assert len(firsts) == 21


@dataclass
class Kept:
    """The naive model's record of a place."""

    seq: int
    expires: int
    held_until: float
    where: int
    withdrawn: bool


class Model(RuleBasedStateMachine):
    """Random puts, sweeps and pages, with small limits, against a dictionary that is searched in full each time."""

    @initialize()
    def begin(self) -> None:
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(limits, "GROUP_TOPIC_RECORDS", 2)
        self.patch.setattr(limits, "GROUP_RECORDS", 3)
        self.patch.setattr(limits, "PUBLISHER_RECORDS", 2)
        self.patch.setattr(limits, "TOPIC_RECORDS", 5)
        self.patch.setattr(limits, "NODE_RECORDS", 9)
        self.store = values()
        self.kept: dict[tuple[int, int], Kept] = {}  # (topic, publisher)
        self.now = 0.0

    def teardown(self) -> None:
        if hasattr(self, "patch"):
            self.patch.undo()

    def wall(self) -> int:
        return NOW + int(self.now)

    def size(self, topic: int | None = None, where: int | None = None, publisher: int | None = None) -> int:
        return sum(
            1
            for (under, who), kept in self.kept.items()
            if (topic is None or under == topic)
            and (where is None or kept.where == where)
            and (publisher is None or who == publisher)
        )

    @rule(
        topic=st.integers(0, 2),
        publisher=st.integers(0, 9),
        where=st.integers(0, 5),
        seq=st.integers(1, 3),
        withdrawn=st.booleans(),
    )
    def put(self, topic: int, publisher: int, where: int, seq: int, withdrawn: bool) -> None:
        category, key = topic_of(topic)
        data = envelope(publisher, category=category, seq=seq, withdrawn=withdrawn)
        status = self.store.put(key, data, group(where), self.now, self.wall())
        if self.wall() >= NOW + limits.RECORD_SECONDS:
            assert status is PutStatus.BAD
            return
        old = self.kept.get((topic, publisher))
        fresh = Kept(seq, NOW + limits.RECORD_SECONDS, self.now + limits.HELD_SECONDS, where, withdrawn)
        if old is not None:
            fresh.where = old.where
            self._renew(status, old, fresh, (topic, publisher))
        elif self.size(where=where) >= 3 or self.size(topic, where) >= 2 or self.size(publisher=publisher) >= 2:
            assert status is PutStatus.QUOTA
        elif self.size(topic) < 5 and self.size() < 9:
            assert status is PutStatus.STORED
            self.kept[topic, publisher] = fresh
        elif status is PutStatus.STORED:
            self.kept[topic, publisher] = fresh
            self._find_evicted(topic, where)
        else:
            assert status is PutStatus.FULL

    def _renew(self, status: PutStatus, old: Kept, fresh: Kept, place: tuple[int, int]) -> None:
        if fresh.seq < old.seq or (fresh.seq == old.seq and fresh.withdrawn < old.withdrawn):
            assert status is PutStatus.STALE
            return
        assert status is PutStatus.STORED
        self.kept[place] = fresh

    def _find_evicted(self, topic: int, where: int) -> None:
        """Whoever had to go belonged to a group that held as much as any, the newcomer counted with his own."""
        gone = [place for place in self.kept if seller(place[1]).public not in self._listed(place[0])]
        gone = [place for place in gone if not self.kept[place].withdrawn] or self._hidden()
        assert len(gone) <= 1 + (self.size() - len(self.store) == 2)
        for place in gone:
            assert self.kept[place].where != where
            del self.kept[place]

    def _hidden(self) -> list[tuple[int, int]]:
        """The evicted among withdrawn ones, which no page shows: found by what the store no longer remembers."""
        surplus = self.size() - len(self.store)
        assert surplus > 0
        return [place for place in self.kept if self.kept[place].withdrawn and not self._remembers(place)]

    def _remembers(self, place: tuple[int, int]) -> bool:
        under = self.store._shelves.get(topic_of(place[0])[1])
        return under is not None and seller(place[1]).public in under.places

    def _listed(self, topic: int) -> set[bytes]:
        return set(signers(self.store, topic_of(topic)[1], self.wall()))

    @rule(seconds=st.sampled_from([60, limits.HELD_SECONDS - 30, limits.HELD_SECONDS, limits.RECORD_SECONDS]))
    def pass_time(self, seconds: int) -> None:
        self.now += seconds
        self.store.sweep(self.now, self.wall())
        for place, kept in list(self.kept.items()):
            if kept.expires <= self.wall() or (not kept.withdrawn and kept.held_until <= self.now):
                del self.kept[place]

    @invariant()
    def the_same_is_listed(self) -> None:
        if not hasattr(self, "store"):
            return
        assert len(self.store) == len(self.kept)
        for topic in range(3):
            wanted = {
                seller(who).public for (under, who), kept in self.kept.items() if under == topic and not kept.withdrawn
            }
            listed = signers(self.store, topic_of(topic)[1], self.wall())
            assert len(listed) == len(set(listed)) == self.store.page(topic_of(topic)[1], 0, ROOM, 0, NOW).total
            assert set(listed) == wanted


Model.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestModel = Model.TestCase
