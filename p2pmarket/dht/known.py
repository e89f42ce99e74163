"""Which nodes are remembered for the next start.

Those in the table that answered last time they were asked, each with the moment when it was heard. Somebody who answers
a lot must not fill the file: `kept` takes the last heard first, but of one group of addresses (/24 or /48) only a few,
and only so many whose ids begin with the same bits. Ids follow from addresses, so who has crowded around us has ids
that begin as ours does, and those of the whole network are spread evenly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, Protocol, TypeVar

from p2pmarket import limits
from p2pmarket.dht.contact import Contact
from p2pmarket.dht.table import Table

_BUCKET_BITS: Final = 4


class Proven(NamedTuple):
    """A node that answered us, at `answered` UTC seconds."""

    contact: Contact
    address_group: bytes
    bucket: int
    answered: int


class Spread(Protocol):
    """What must not come too often."""

    @property
    def address_group(self) -> bytes: ...
    @property
    def bucket(self) -> int: ...


Some = TypeVar("Some", bound=Spread)


def proven(table: Table, now: float, wall: int) -> list[Proven]:
    """The nodes of the table that are worth remembering, heard last first; it is `wall` UTC seconds at `now`."""
    entries = sorted((entry for entry in table if not entry.failures), key=lambda entry: -entry.heard)
    return list(
        kept(
            Proven(entry.contact, entry.group, entry.contact.id[0] >> 8 - _BUCKET_BITS, wall - int(now - entry.heard))
            for entry in entries
        )
    )


def kept(nodes: Iterable[Some]) -> Iterator[Some]:
    """Of nodes with the best first, those for which there is room."""
    groups: Counter[bytes] = Counter()
    buckets: Counter[int] = Counter()
    for node in nodes:
        if (
            groups[node.address_group] < limits.KNOWN_GROUP_NODES
            and buckets[node.bucket] < limits.KNOWN_BUCKET_NODES
            and buckets.total() < limits.KNOWN_NODES
        ):
            groups[node.address_group] += 1
            buckets[node.bucket] += 1
            yield node
