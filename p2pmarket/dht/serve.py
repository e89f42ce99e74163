"""Answering what others ask.

An answer is never longer than what its session allows, and at an address that has not proved itself not longer than
the question was. Such an address is served reads only: a put, a dial-back or a question for topics needs a session
that was confirmed. What may not be answered is counted and left in silence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from p2pmarket import limits, messages
from p2pmarket.dht.contact import PACKED_IPV4, pack_address
from p2pmarket.dht.limiter import Bucket, Limiter
from p2pmarket.dht.put import STATUS_NUMBERS
from p2pmarket.dht.shards import NUMBER_BYTES, WHOLE, key_of, number_of
from p2pmarket.dht.values import ENVELOPE_HEAD, PutStatus, Values

if TYPE_CHECKING:
    from p2pmarket.dht.counters import Counters
    from p2pmarket.dht.region import NetworkSize
    from p2pmarket.dht.session import Opened
    from p2pmarket.dht.table import Table
    from p2pmarket.network import Network

_FOUND_BYTES: Final = 36  # of a Found without its contacts, at most
_GOT_BYTES: Final = 64  # of a Got without its records and contacts, at most
_FAR: Final = 4  # regions; nothing is kept from farther away


class Library:
    """What this node answers from: its table and the records it keeps."""

    def __init__(
        self,
        network: Network,
        values: Values,
        size: NetworkSize,
        counters: Counters,
        on_dial_back: Callable[[Opened, messages.DialBack, float], None],
        now: float,
    ) -> None:
        self.values = values
        self._network = network
        self._size = size
        self._counters = counters
        self._on_dial_back = on_dial_back
        self._puts = Bucket(limits.PUTS_PER_SECOND, limits.PUTS_BURST, now)
        self._fetches = Bucket(limits.FETCHES_PER_SECOND, limits.FETCHES_BURST, now)
        self._dial_backs = Limiter(1 / limits.DIAL_BACK_SECONDS, 1, limits.PACKET_GROUPS)

    def answer(
        self, opened: Opened, request: messages.Request, table: Table, server: bool, now: float, wall: int
    ) -> messages.Answer | None:
        """The answer to `request`; None if there is none (yet). `server`: whether we hold records at all."""
        seen = pack_address(opened.peer.address)
        if isinstance(request, messages.Find):
            room = min(opened.reply_limit - _FOUND_BYTES, limits.FOUND_CONTACTS * PACKED_IPV4)
            contacts = _fitting(_nearest(table, request.target, limits.FOUND_CONTACTS), room)
            return messages.Found(request.tx, wall, seen, contacts)
        if isinstance(request, messages.Get):
            return self._got(opened, request, table, wall)
        if isinstance(request, messages.Ping):
            return messages.Pong(request.tx, wall, seen)
        if not opened.confirmed:
            self._counters.unproven += 1
        elif isinstance(request, messages.Put):
            return self._put(opened, request, table, server, now, wall)
        elif isinstance(request, messages.Topics):
            return self._topics_held(opened, request, now, wall)
        elif isinstance(request, messages.DialBack):
            self._dial_back(opened, request, now)
        return None

    def _got(self, opened: Opened, request: messages.Get, table: Table, wall: int) -> messages.Got:
        room = opened.reply_limit - _GOT_BYTES
        contacts = _nearest(table, request.topic, limits.FOUND_CONTACTS) if request.contacts else []
        least = sum(map(len, contacts[: limits.ANSWER_CONTACTS]))
        page = self.values.page(request.topic, request.seed, room - least, request.skip, wall)
        room -= sum(len(envelope) + ENVELOPE_HEAD for envelope in page.envelopes)
        seen = pack_address(opened.peer.address)
        return messages.Got(request.tx, wall, seen, page.envelopes, page.total, page.crowd, _fitting(contacts, room))

    def _topics_held(
        self, opened: Opened, request: messages.Topics, now: float, wall: int
    ) -> messages.TopicsHeld | None:
        if not self._fetches.take(now):
            self._counters.rate_limited += 1
            return None
        near = self.values.nearest_keys(int.from_bytes(request.target, "big"), request.skip, limits.ANSWER_TOPICS)
        topics = b"".join(topic + number.to_bytes(NUMBER_BYTES, "big") for topic, number in near)
        seen = pack_address(opened.peer.address)
        return messages.TopicsHeld(request.tx, wall, seen, topics, len(self.values.keys()))

    def _put(
        self, opened: Opened, request: messages.Put, table: Table, server: bool, now: float, wall: int
    ) -> messages.PutDone | None:
        if not self._puts.take(now):
            self._counters.rate_limited += 1
            return None
        group = self._network.group(*opened.peer.address)
        topic, depth = request.topic, request.depth
        number = number_of(self._network, topic, group, depth) if depth else WHOLE
        key = key_of(self._network, topic, number)
        status = PutStatus.NOT_MINE
        if server and table.own_id ^ int.from_bytes(key, "big") <= _FAR * self._size.radius(len(table)):
            status = self.values.put(topic, request.record, group, now, wall, number)
        seen = pack_address(opened.peer.address)
        return messages.PutDone(request.tx, wall, seen, STATUS_NUMBERS[status], self.values.crowd(key))

    def _dial_back(self, opened: Opened, request: messages.DialBack, now: float) -> None:
        if self._dial_backs.take(self._network.group(*opened.peer.address), now):
            self._on_dial_back(opened, request, now)
        else:
            self._counters.rate_limited += 1


def _nearest(table: Table, target: bytes, count: int) -> list[bytes]:
    """The packed contacts nearest to `target` that did not fail lately."""
    return [contact.packed for contact in table.nearest_good(int.from_bytes(target, "big"), count)]


def _fitting(contacts: list[bytes], room: int) -> bytes:
    """As many of them as fit `room` bytes, nearest first."""
    packed = b"".join(contacts)
    while len(packed) > room:
        packed = packed[: -len(contacts.pop())]
    return packed
