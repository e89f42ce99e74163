"""Nodes remembered for the next start: the last heard, but few of one group and few whose ids begin alike."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import trio

from p2pmarket import limits
from p2pmarket.dht.contact import Contact
from p2pmarket.dht.known import kept, proven
from p2pmarket.dht.table import Table
from p2pmarket.network import TEST
from p2pmarket.store.cache import Cache, Node, cache_database


def node(number: int, *, group: int | None = None, bucket: int | None = None, answered: int = 0) -> Node:
    of = number if group is None else group
    return Node(f"node {number}", of.to_bytes(3, "big"), number % 16 if bucket is None else bucket, answered)


def test_so_many_are_kept_in_all_and_not_one_more() -> None:
    nodes = [node(number) for number in range(limits.KNOWN_NODES + 1)]
    assert list(kept(nodes[:-1])) == nodes[:-1]
    assert list(kept(nodes)) == nodes[:-1]


def test_so_many_are_kept_in_a_bucket_and_not_one_more() -> None:
    crowd = [node(number, bucket=3) for number in range(limits.KNOWN_BUCKET_NODES + 1)]
    other = node(1000, bucket=4)
    assert list(kept([*crowd, other])) == [*crowd[:-1], other]


def test_so_many_are_kept_of_a_group_and_not_one_more() -> None:
    subnet = [node(number, group=7) for number in range(limits.KNOWN_GROUP_NODES + 1)]
    other = node(1000)
    assert list(kept([*subnet, other])) == [*subnet[:-1], other]


def test_of_the_table_those_that_answer_are_proven_heard_last_first() -> None:
    table = Table(bytes(32), TEST)
    random = Random(1)
    contacts = [Contact(random.randbytes(32), f"60.1.{number}.1", 4001, 0) for number in range(8)]
    for number, contact in enumerate(contacts):
        table.heard(contact, 100.0 + number)
    table.failed(contacts[5])
    found = proven(table, 110.0, 1_000)
    assert [one.contact for one in found] == [contacts[n] for n in (7, 6, 4, 3, 2, 1, 0)]
    assert [one.answered for one in found][:2] == [997, 996]
    assert all(one.bucket == one.contact.id[0] >> 4 for one in found)
    assert all(one.address_group == TEST.group(*one.contact.address) for one in found)


def keep(home: Path, nodes: list[Node]) -> list[Node]:
    """What the cache of `home` knows once it was told of these too."""

    def work(cache: Cache) -> list[Node]:
        cache.keep_nodes(nodes)
        return cache.nodes()

    async def run() -> Any:
        with cache_database(home).open() as cache:
            return await cache.run(work)

    found: list[Node] = trio.run(run)
    return found


def test_on_disk_who_answers_a_lot_does_not_push_out_others(tmp_path: Path) -> None:
    honest = [node(number, answered=number) for number in range(400)]
    keep(tmp_path, honest)
    crowd = [node(1000 + number, bucket=3, answered=10_000 + number) for number in range(limits.KNOWN_NODES)]
    subnet = [node(2000 + number, group=7, bucket=4, answered=20_000 + number) for number in range(100)]
    found = keep(tmp_path, [*crowd, *subnet])
    assert set(crowd[-limits.KNOWN_BUCKET_NODES :]) < set(found)
    assert set(subnet[-limits.KNOWN_GROUP_NODES :]) < set(found)
    assert len(set(found) & {*crowd, *subnet}) == limits.KNOWN_BUCKET_NODES + limits.KNOWN_GROUP_NODES
    assert {one for one in honest if one.bucket != 3 and one.address_group != subnet[0].address_group} < set(found)


def test_on_disk_the_last_heard_of_too_many_stay(tmp_path: Path) -> None:
    nodes = [node(number, answered=number) for number in range(limits.KNOWN_NODES + 20)]
    assert keep(tmp_path, nodes[: limits.KNOWN_NODES]) == nodes[limits.KNOWN_NODES - 1 :: -1]
    assert set(keep(tmp_path, nodes[limits.KNOWN_NODES :])) == set(nodes[20:])
    again = nodes[30]._replace(answered=5_000)
    assert keep(tmp_path, [again])[0] == again
