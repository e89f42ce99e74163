"""The routing table: which nodes are known, by k-buckets of 20.

Rules. A node enters only after it answered us. There is one node per address, at most one of a group (/24 or /48) in
a bucket and two in the table. A full bucket splits if our own id lies in it, else the newcomer waits among a few spares
and the bucket's longest-unheard node is pinged; a node goes only after repeated silence, and a spare that has proved
itself takes the place. Nodes that failed once are kept, but not recommended to others.

Who calls us chose us; whom we were told of by others and asked was chosen less easily. So callers have half of a bucket
at most, and in a full one leave their places to those whom we found.

`nearest` is exact: the k contacts with the smallest XOR distance, for any target.

Node and KBucket of the package `kademlia` are the base classes. What they get wrong for our purpose is mended here
and held by a test: ranges are half-open (an id on the edge belonged to two buckets), the clock is handed in, the
replacement is the spare heard last that keeps the quotas (it was the newest, whatever it was). The package's own
RoutingTable is not used: it misses nearest nodes, and its buckets split as often as their members wish.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto
from operator import attrgetter

from kademlia.node import Node
from kademlia.routing import KBucket

from p2pmarket import limits
from p2pmarket.dht.contact import ID_BITS, Contact
from p2pmarket.network import Network

_heard = attrgetter("heard")


class Added(Enum):
    """What became of a contact that answered."""

    NEW = auto()  # has a place now
    KNOWN = auto()  # had one
    SPARE = auto()  # its bucket is full; waits
    REFUSED = auto()  # quota, or an address that another node holds


class Entry(Node):  # type: ignore[misc] # the package has no types
    """A contact in the table: when it was last heard (monotonic seconds) and how often it was silent since.

    `found`: we were told of it and asked it; else it is known by its calls only.
    """

    def __init__(self, contact: Contact, group: bytes, now: float, *, found: bool) -> None:
        # Not by way of Node, which would make a number of the id once more, for each table that it is in.
        self.id, self.ip, self.port = contact.id, contact.host, contact.port
        self.long_id: int = contact.long_id
        self.contact = contact
        self.group = group
        self.heard = now
        self.failures = 0
        self.found = found


class Bucket(KBucket):  # type: ignore[misc] # the package has no types
    """Up to `k` entries whose ids lie in [low, high), least recently heard first, and spares."""

    def __init__(self, low: int, high: int, k: int) -> None:
        super().__init__(low, high, k)
        self.max_replacement_nodes = limits.SPARE_CONTACTS
        self._good: dict[int, Contact] | None = None  # made when asked for

    def touch_last_updated(self, now: float = float("-inf")) -> None:
        """Note a lookup in this range; never before means: refresh it."""
        self.last_updated = now

    def has_in_range(self, node: Node) -> bool:
        """Whether the id belongs here; the upper edge does not."""
        low, high = self.range
        return bool(low <= node.long_id < high)

    def depth(self) -> int:
        """Bits that all ids of the range share: a matter of the range, never of who is in it."""
        return ID_BITS + 1 - int(self.range[1] - self.range[0]).bit_length()

    def split(self) -> tuple[Bucket, Bucket]:
        """The lower and the upper half, with entries and spares dealt out in their order."""
        low, high = self.range
        middle = (low + high) // 2
        halves = Bucket(low, middle, self.ksize), Bucket(middle, high, self.ksize)
        for half in halves:
            half.last_updated = float("-inf")
        for entry in self.nodes.values():
            halves[entry.long_id >= middle].add_node(entry)
        for spare in self.replacement_nodes.values():
            halves[spare.long_id >= middle].replacement_nodes[spare.id] = spare
        return halves

    def add_node(self, node: Node) -> bool:
        """Add an entry; False if there is no room and it became a spare."""
        self._good = None
        return bool(super().add_node(node))

    def remove_node(self, node: Node) -> None:
        """Take an entry or a spare out; nobody moves up by himself (see `Table.remove`)."""
        self._good = None
        self.nodes.pop(node.id, None)
        self.replacement_nodes.pop(node.id, None)

    def entries(self) -> Iterator[Entry]:
        """The entries, least recently heard first."""
        return iter(self.nodes.values())

    def good(self) -> dict[int, Contact]:
        """By id, the contacts that did not fail since last heard: what every question for nearest nodes looks at."""
        if self._good is None:
            self._good = {entry.long_id: entry.contact for entry in self.nodes.values() if not entry.failures}
        return self._good

    def failures(self, entry: Entry, failures: int) -> None:
        """Note how often an entry was silent since it was last heard."""
        entry.failures = failures
        self._good = None

    def callers(self) -> int:
        """Entries known by their calls only."""
        return sum(not entry.found for entry in self.nodes.values())

    def keep_spare(self, entry: Entry) -> None:
        """Let an entry wait for a place; of too many the longest waiting goes."""
        self.replacement_nodes.pop(entry.id, None)
        self.replacement_nodes[entry.id] = entry
        while len(self.replacement_nodes) > self.max_replacement_nodes:
            self.replacement_nodes.popitem(last=False)

    def count(self, group: bytes) -> int:
        """Entries of `group`."""
        return sum(entry.group == group for entry in self.nodes.values())


class Table:
    """Contacts that answered, as seen from `own_id`. Buckets lie in order of the bits they share with it."""

    def __init__(self, own_id: bytes, network: Network, k: int = limits.BUCKET_CONTACTS) -> None:
        self.own_id = int.from_bytes(own_id, "big")
        self.network = network
        self.k = k
        self.buckets = [Bucket(0, 2**ID_BITS, k)]
        self._by_place: dict[tuple[str, int], Entry] = {}  # one node per address
        self._groups: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._by_place)

    def __iter__(self) -> Iterator[Entry]:
        for bucket in self.buckets:
            yield from bucket.entries()

    def bucket_of(self, long_id: int) -> Bucket:
        """The bucket whose range holds the id."""
        shared = ID_BITS - (long_id ^ self.own_id).bit_length()
        return self.buckets[shared] if shared < len(self.buckets) else self.buckets[-1]

    def get(self, contact: Contact) -> Entry | None:
        """The entry of exactly this contact."""
        entry: Entry | None = self.bucket_of(contact.long_id).nodes.get(contact.id)
        return entry if entry is not None and entry.contact.packed == contact.packed else None

    def nearest(self, target: int, k: int) -> list[Entry]:
        """The `k` entries nearest to `target`, nearest first."""
        found: list[Entry] = []
        for bucket in self._by_distance(target):
            part = {entry.long_id ^ target: entry for entry in bucket.entries()}
            found += [part[distance] for distance in sorted(part)]
            if len(found) >= k:
                break
        return found[:k]

    def nearest_good(self, target: int, k: int) -> list[Contact]:
        """The `k` contacts nearest to `target` that did not fail since last heard, nearest first."""
        found: list[Contact] = []
        distance = target.__xor__
        for bucket in self._by_distance(target):
            good = bucket.good()
            found += map(good.__getitem__, sorted(good, key=distance))
            if len(found) >= k:
                break
        return found[:k]

    def heard(self, contact: Contact, now: float, *, found: bool = True) -> Added:
        """`contact` has just answered us: note it, and give it a place if there is one; `found`: see `Entry`."""
        bucket = self.bucket_of(contact.long_id)
        entry: Entry | None = bucket.nodes.get(contact.id)
        if entry is not None and entry.contact.packed == contact.packed:
            entry.heard = now
            entry.found = entry.found or found
            bucket.nodes.move_to_end(contact.id)
            if entry.failures:
                bucket.failures(entry, 0)
            return Added.KNOWN
        holder = self._by_place.get(self._place(contact))
        if holder is not None:
            same = holder.contact.address == contact.address
            if not same and not holder.failures:
                return Added.REFUSED
            self.remove(holder)  # the address answers under another key, or its old node is gone
        if contact.id in bucket.nodes or not self._quota(bucket, contact):
            return Added.REFUSED
        if (spare := bucket.replacement_nodes.get(contact.id)) is not None and spare.contact.packed == contact.packed:
            spare.heard, spare.failures, spare.found = now, 0, spare.found or found
            return self._add(spare)
        return self._add(Entry(contact, contact.group(self.network), now, found=found))

    def failed(self, contact: Contact) -> None:
        """`contact` did not answer; after a few times it loses its place, to a spare at once, else a little later."""
        entry = self.get(contact)
        bucket = self.bucket_of(contact.long_id)
        if entry is None:
            bucket.replacement_nodes.pop(contact.id, None)
            return
        bucket.failures(entry, entry.failures + 1)
        patience = limits.CONTACT_FAILURES if bucket.replacement_nodes else limits.CONTACT_FAILURES + 1
        if entry.failures >= patience:
            self.remove(entry)

    def remove(self, entry: Entry) -> None:
        """Take an entry out and let the spare heard last move up."""
        bucket = self.bucket_of(entry.long_id)
        if bucket.nodes.get(entry.id) is not entry:
            return
        bucket.remove_node(entry)
        self._by_place.pop(self._place(entry.contact), None)
        self._count(entry.group, -1)
        for spare in sorted(bucket.replacement_nodes.values(), key=_heard, reverse=True):
            if self._place(spare.contact) not in self._by_place and self._quota(bucket, spare.contact):
                bucket.remove_node(spare)
                self._add(spare)
                return

    def oldest(self, contact: Contact) -> Entry:
        """The longest-unheard entry of the bucket that `contact` falls into, which must not be empty."""
        head: Entry = self.bucket_of(contact.long_id).head()
        return head

    def unheard_since(self, moment: float) -> list[Entry]:
        """Entries not heard since `moment`, longest first."""
        return sorted((entry for entry in self if entry.heard < moment), key=_heard)

    def _by_distance(self, target: int) -> Iterator[Bucket]:
        """The buckets from the nearest to `target` to the farthest; no two of them overlap in distance.

        All in bucket n share n bits with us and differ in the next one. Where the target differs from us in that bit
        too, they are nearer to it than all later buckets, else farther.
        """
        difference = target ^ self.own_id
        last = len(self.buckets) - 1
        farther = []
        for n in range(last):
            if difference >> (ID_BITS - 1 - n) & 1:
                yield self.buckets[n]
            else:
                farther.append(n)
        yield self.buckets[last]
        for n in reversed(farther):
            yield self.buckets[n]

    def _add(self, entry: Entry) -> Added:
        bucket = self.bucket_of(entry.long_id)
        if not entry.found and bucket.callers() >= limits.CALLER_CONTACTS:
            bucket.keep_spare(entry)
            return Added.SPARE
        while len(bucket) >= self.k and self._splits(bucket):
            self._split()
            bucket = self.bucket_of(entry.long_id)
        if len(bucket) >= self.k and entry.found:
            self._give_way(bucket)
        if not bucket.add_node(entry):
            return Added.SPARE
        self._by_place[self._place(entry.contact)] = entry
        self._count(entry.group, 1)
        return Added.NEW

    def _give_way(self, bucket: Bucket) -> None:
        """The caller unheard for longest, if there is one, leaves his place to somebody we found."""
        caller = next((entry for entry in bucket.entries() if not entry.found), None)
        if caller is not None:
            bucket.remove_node(caller)
            self._by_place.pop(self._place(caller.contact), None)
            self._count(caller.group, -1)
            bucket.keep_spare(caller)

    def _splits(self, bucket: Bucket) -> bool:
        """Only the bucket around our own id splits, so there are never more than 256."""
        return bucket is self.buckets[-1] and len(self.buckets) < ID_BITS

    def _split(self) -> None:
        """Part the bucket around our own id: the far half keeps its place, the near half becomes the last one."""
        lower, upper = self.buckets.pop().split()
        own_is_upper = self.own_id >= upper.range[0]
        self.buckets += [lower, upper] if own_is_upper else [upper, lower]

    def _quota(self, bucket: Bucket, contact: Contact) -> bool:
        group = contact.group(self.network)
        known = self._groups.get(group, 0)
        if known < limits.GROUP_BUCKET_CONTACTS:
            return True
        return known < limits.GROUP_TABLE_CONTACTS and bucket.count(group) < limits.GROUP_BUCKET_CONTACTS

    def _count(self, group: bytes, by: int) -> None:
        left = self._groups.get(group, 0) + by
        if left:
            self._groups[group] = left
        else:
            self._groups.pop(group, None)

    def _place(self, contact: Contact) -> tuple[str, int]:
        """What can hold one node only: the address, in `dev` with its port."""
        return (contact.host, contact.port if self.network.group_by_port else 0)
