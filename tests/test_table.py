"""The routing table: exact, bounded by quotas, and faithful to those who answered."""

from __future__ import annotations

import inspect
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kademlia.node import Node as BaseNode
from kademlia.routing import KBucket

from p2pmarket import limits
from p2pmarket.dht.contact import Contact
from p2pmarket.dht.table import Added, Bucket, Entry, Table
from p2pmarket.network import DEV, TEST

TOP = 2**256


def contact(long_id: int, number: int = 0, *, host: str | None = None, port: int = 4001) -> Contact:
    """A contact with an id of our choice, as nobody can make one, in a /24 of its own."""
    made = Contact(long_id.to_bytes(32, "big"), host or f"60.{number // 256}.{number % 256}.1", port, 0)
    made.id, made.long_id = long_id.to_bytes(32, "big"), long_id
    return made


def table(own: int = 0) -> Table:
    return Table(own.to_bytes(32, "big"), TEST)


def near_own(own: int, rng: Random) -> int:
    """An id that shares a random number of bits with `own`."""
    return own ^ (rng.getrandbits(256) >> rng.randrange(256))


ids = st.one_of(
    st.integers(0, TOP - 1),
    st.integers(0, 255).map(lambda bit: 1 << bit),
    st.integers(0, 255).map(lambda bit: (1 << bit) - 1),
    st.integers(1, 64).map(lambda small: TOP - small),
)


@settings(max_examples=60, deadline=None)
@given(st.sets(ids, max_size=90), ids, ids, st.integers(1, 30))
def test_nearest_is_exact_for_any_ids(members: set[int], own: int, target: int, k: int) -> None:
    held = table(own)
    for number, member in enumerate(sorted(members)):
        held.heard(contact(member, number), float(number))
    inside = sorted((entry.long_id for entry in held), key=lambda one: one ^ target)
    assert [entry.long_id for entry in held.nearest(target, k)] == inside[:k]
    assert [one.long_id for one in held.nearest_good(target, k)] == inside[:k]
    assert len(held) == len(inside)


@pytest.mark.parametrize("k", [8, 20])
def test_nearest_is_exact_in_a_crowd(k: int) -> None:
    rng = Random(k)
    own = rng.getrandbits(256)
    held = table(own)
    for number in range(2000):
        held.heard(contact(near_own(own, rng) if number % 2 else rng.getrandbits(256), number), 0.0)
    members = [entry.long_id for entry in held]
    for _ in range(300):
        target = near_own(own, rng) if rng.random() < 0.5 else rng.getrandbits(256)
        best = sorted(members, key=lambda one: one ^ target)[:k]
        assert [entry.long_id for entry in held.nearest(target, k)] == best
        assert [one.long_id for one in held.nearest_good(target, k)] == best


@settings(max_examples=60, deadline=None)
@given(st.lists(ids, max_size=120), ids)
def test_buckets_part_the_space_and_hold_their_own(members: list[int], own: int) -> None:
    held = table(own)
    for number, member in enumerate(members):
        held.heard(contact(member, number), 0.0)
    ranges = sorted(bucket.range for bucket in held.buckets)
    assert ranges[0][0] == 0
    assert ranges[-1][1] == TOP
    assert all(one[1] == two[0] for one, two in pairwise(ranges))
    assert len(held.buckets) <= 256
    for bucket in held.buckets:
        assert len(bucket) <= limits.BUCKET_CONTACTS
        assert all(bucket.has_in_range(entry) for entry in bucket.entries())
    low, high = held.buckets[-1].range
    assert low <= own < high


def test_an_id_on_an_edge_has_one_place_and_can_be_removed() -> None:
    held = table()
    for number in range(60):
        held.heard(contact(number * (TOP // 64), number), 0.0)
    edge = contact(TOP // 2, 32)
    entry = held.get(edge)
    assert entry is not None
    assert sum(edge.id in bucket.nodes for bucket in held.buckets) == 1
    held.remove(entry)
    assert held.get(edge) is None
    assert all(entry.long_id != TOP // 2 for entry in held.nearest(TOP // 2, 20))


def far(number: int, **more: object) -> Contact:
    """One of many contacts that share a bucket, in the half of the space that is not ours (own id 0)."""
    return contact(TOP // 2 + number, number, **more)  # type: ignore[arg-type]


def full_bucket() -> Table:
    held = table()
    for number in range(limits.BUCKET_CONTACTS):
        assert held.heard(far(number), float(number)) is Added.NEW
    held.heard(contact(1, 900), 0.0)  # makes the table split
    return held


def test_a_full_bucket_keeps_its_members_and_lets_newcomers_wait() -> None:
    held = full_bucket()
    assert held.heard(far(100), 50.0) is Added.SPARE
    assert held.get(far(100)) is None
    assert held.oldest(far(100)).contact == far(0)
    assert held.heard(far(0), 51.0) is Added.KNOWN
    assert held.oldest(far(100)).contact == far(1)


def test_who_falls_silent_often_enough_gives_way_to_the_spare_heard_last() -> None:
    held = full_bucket()
    held.heard(far(100), 50.0)
    held.heard(far(101), 51.0)
    held.failed(far(3))
    entry = held.get(far(3))
    assert entry is not None
    assert entry.contact not in held.nearest_good(far(3).long_id, 20)
    assert entry in held.nearest(far(3).long_id, 20)
    held.failed(far(3))
    assert held.get(far(3)) is None
    assert held.get(far(101)) is not None
    assert held.get(far(100)) is None


def test_an_answer_wipes_out_failures() -> None:
    held = full_bucket()
    held.heard(far(100), 50.0)
    for moment in range(10):
        held.failed(far(3))
        assert far(3) not in held.nearest_good(far(3).long_id, 1)
        held.heard(far(3), 60.0 + moment)
        assert held.nearest_good(far(3).long_id, 1) == [far(3)]
    assert held.get(far(3)) is not None


def test_without_a_spare_there_is_more_patience() -> None:
    held = table()
    held.heard(far(1), 0.0)
    for _ in range(limits.CONTACT_FAILURES):
        held.failed(far(1))
    assert held.get(far(1)) is not None
    held.failed(far(1))
    assert held.get(far(1)) is None
    held.failed(far(1))  # a stranger: nothing happens


def test_a_silent_spare_is_forgotten() -> None:
    held = full_bucket()
    held.heard(far(100), 50.0)
    held.failed(far(100))
    for _ in range(3):
        held.failed(far(3))
    assert held.get(far(100)) is None


def test_spares_are_few() -> None:
    held = full_bucket()
    for number in range(100, 200):
        held.heard(far(number), float(number))
    assert len(held.bucket_of(TOP // 2).replacement_nodes) == limits.SPARE_CONTACTS


def test_quota_of_a_group_in_a_bucket() -> None:
    held = table()
    for number in range(limits.GROUP_BUCKET_CONTACTS):
        assert held.heard(far(number, host=f"60.0.0.{number + 1}"), 0.0) is Added.NEW
    assert held.heard(far(50, host="60.0.0.99"), 0.0) is Added.REFUSED
    assert held.heard(far(51, host="60.0.1.99"), 0.0) is Added.NEW


def test_quota_of_a_group_in_the_table() -> None:
    held = table()
    for bit in range(255, 200, -1):
        for other in range(limits.BUCKET_CONTACTS // 2):
            assert held.heard(contact((1 << bit) + other, bit * 40 + other), 0.0) is Added.NEW
    results = [
        held.heard(contact((1 << bit) + 99, host=f"99.0.0.{bit}"), 0.0)
        for bit in range(255, 255 - limits.GROUP_TABLE_CONTACTS - 1, -1)
    ]
    assert results == [Added.NEW] * limits.GROUP_TABLE_CONTACTS + [Added.REFUSED]
    gone = held.get(contact((1 << 255) + 99, host="99.0.0.255"))
    assert gone is not None
    held.remove(gone)
    assert held.heard(contact((1 << 255) + 99, host="99.0.0.255"), 0.0) is Added.NEW


def test_one_node_per_address() -> None:
    held = table()
    assert held.heard(far(1, host="60.0.0.1", port=1000), 0.0) is Added.NEW
    assert held.heard(far(2, host="60.0.0.1", port=2000), 0.0) is Added.REFUSED
    assert held.heard(far(3, host="60.0.0.1", port=1000), 1.0) is Added.NEW  # answers there under a new key
    assert held.get(far(1, host="60.0.0.1", port=1000)) is None
    held.failed(far(3, host="60.0.0.1", port=1000))
    assert held.heard(far(2, host="60.0.0.1", port=2000), 2.0) is Added.NEW  # the other one fell silent
    assert len(held) == 1


def test_on_the_dev_network_the_port_makes_the_address() -> None:
    held = Table(bytes(32), DEV)
    for port in range(4000, 4040):
        assert held.heard(contact(near_own(0, Random(port)), host="127.0.0.1", port=port), 0.0) is not Added.REFUSED
    assert len(held) >= limits.BUCKET_CONTACTS


def test_unheard_since_begins_with_the_longest() -> None:
    held = table()
    for number in (3, 1, 2):
        held.heard(far(number), float(number))
    assert [entry.heard for entry in held.unheard_since(3.0)] == [1.0, 2.0]


# What we override in the package, and how it must look there.

OVERRIDDEN = {
    (KBucket, "__init__"): ["self", "rangeLower", "rangeUpper", "ksize", "replacementNodeFactor"],
    (KBucket, "touch_last_updated"): ["self"],
    (KBucket, "has_in_range"): ["self", "node"],
    (KBucket, "depth"): ["self"],
    (KBucket, "split"): ["self"],
    (KBucket, "remove_node"): ["self", "node"],
    (KBucket, "add_node"): ["self", "node"],  # used as it is
    (KBucket, "head"): ["self"],  # used as it is
    (KBucket, "__len__"): ["self"],  # used as it is
    (BaseNode, "__init__"): ["self", "node_id", "ip", "port"],
}


@pytest.mark.parametrize(("owner", "name"), OVERRIDDEN, ids=lambda one: getattr(one, "__name__", one))
def test_the_package_still_has_what_we_build_on(owner: type, name: str) -> None:
    assert list(inspect.signature(getattr(owner, name)).parameters) == OVERRIDDEN[owner, name]


def test_the_package_calls_our_clock_and_keeps_its_order() -> None:
    bucket = Bucket(0, TOP, 2)
    assert isinstance(bucket, KBucket)
    assert bucket.last_updated == float("-inf")
    entries = [Entry(contact(number, number), b"g", 0.0, found=True) for number in range(3)]
    assert isinstance(entries[0], BaseNode)
    assert [bucket.add_node(entry) for entry in entries] == [True, True, False]
    assert list(bucket.entries()) == entries[:2]
    assert list(bucket.replacement_nodes.values()) == entries[2:]
    assert bucket.add_node(entries[0])
    assert bucket.head() is entries[1]


def test_callers_have_half_of_a_bucket_and_make_room_for_those_found() -> None:
    held = table()
    far = [contact(TOP // 2 + number, number) for number in range(60)]
    results = [held.heard(one, 1.0 + number, found=False) for number, one in enumerate(far[:30])]
    assert results == [Added.NEW] * limits.CALLER_CONTACTS + [Added.SPARE] * (30 - limits.CALLER_CONTACTS)
    near = contact(1, 100)
    assert held.heard(near, 40.0) is Added.NEW
    found = far[30 : 30 + limits.BUCKET_CONTACTS]
    assert [held.heard(one, 50.0 + number) for number, one in enumerate(found)] == [Added.NEW] * len(found)
    assert {entry.contact for entry in held} == {*found, near}
    assert held.heard(far[55], 90.0) is Added.SPARE  # nobody gives way to another who was found
    assert held.heard(far[0], 91.0, found=False) is Added.SPARE


def test_a_caller_whom_we_find_is_a_caller_no_more() -> None:
    held = table()
    callers = [contact(TOP // 2 + number, number) for number in range(limits.BUCKET_CONTACTS)]
    for number, one in enumerate(callers):
        held.heard(one, float(number), found=False)
        assert held.heard(one, float(number), found=True) is Added.KNOWN
    assert len(held) == limits.BUCKET_CONTACTS
    assert not any(bucket.callers() for bucket in held.buckets)
