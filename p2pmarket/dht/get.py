"""Getting records: what one caller wants, read from as many keys as it takes.

A get reads the topics it is given (`reading`). When the holders of one tell of a crowd that they cannot list, and more
is wanted than they have, it goes on in the shards of that topic: in all of the depth that the crowd calls for, in
random order, some at once. Then it looks into the depths above, where publishers may still stand who came when the
crowd was smaller. A depth whose first shards bring nothing new is given up: nobody can send a reader on a long way.

Who wants few asks no more nodes at a time than it takes, and in a crowd takes the first of them from the topic and the
others from a shard drawn by lot: so every seller may be drawn at any time, and it costs no more than in a small topic.
If that takes long he asks everybody: a crowd that is none, or holders who say much and give little, cost two seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from p2pmarket import limits
from p2pmarket.dht import shards
from p2pmarket.dht.contact import Contact
from p2pmarket.dht.events import GetDone, GetProgress, RecordsFound
from p2pmarket.dht.reading import Reading
from p2pmarket.dht.search import Host, Search
from p2pmarket.dht.timers import Timer
from p2pmarket.dht.topics import belongs
from p2pmarket.dht.values import Values
from p2pmarket.errors import BadMessage
from p2pmarket.records import Record, supersedes

if TYPE_CHECKING:
    from p2pmarket.network import Network

ReadRecord = Callable[[bytes, "Network", int], Record]

_TRIED: Final = 8  # shards of a depth that may bring nothing new before it is given up: somebody lied
_TRIED_ABOVE: Final = 2  # likewise of a depth where hardly anybody is expected
_FEW: Final = limits.SELLERS_ASKED  # who wants more reads in full breadth
_FEW_SECONDS: Final = 2.0  # then who wants few does so too: it takes too long, and somebody may be to blame
_FIRST_QUESTIONS: Final = 6  # about each topic of who wants few, until somebody has told what there is
_ANSWER_RECORDS: Final = 3  # that an answer brings at least
_REMEMBERED: Final = 8  # regions that the next get may ask at once


class Base(Host, Protocol):
    """What a get needs of its node, besides what a search needs."""

    values: Values

    def warm(self, key: bytes) -> Sequence[Contact]: ...


class Level:
    """Shards of one depth below a key, still to be read unless the first `tried` of them bring nothing."""

    def __init__(self, topic: bytes, numbers: list[int], tried: int) -> None:
        self.topic = topic
        self.numbers = numbers
        self.begun: list[Reading] = []
        self._tried = tried

    def next(self) -> int | None:
        """The number of the shard to read next; None if there is none now."""
        if len(self.begun) >= self._tried and not any(reading.news for reading in self.begun):
            if all(reading.over for reading in self.begun):
                self.numbers.clear()
            return None
        return self.numbers.pop() if self.numbers else None


class Get:
    """What one caller wants: records under some topics, until there are `want` sellers."""

    def __init__(
        self,
        host: Base,
        number: int,
        want: int,
        read_record: ReadRecord,
        on_done: Callable[[Get], None],
    ) -> None:
        self.host: Base = host
        self.number = number
        self.over = False
        self._want = want
        self._few = want <= _FEW
        self._patience: Timer | None = None
        self._read_record = read_record
        self._on_done = on_done
        self._readings: list[Reading] = []
        self._levels: list[Level] = []
        self._stopped = False
        self._going = False
        self._asked: set[bytes] = set()  # nodes, by packed contact
        self._answered: set[bytes] = set()
        self._planned: set[tuple[bytes, int]] = set()  # keys whose shards are to be read, and these shards
        self._found: dict[tuple[bytes, str], Record] = {}
        self._sellers: set[bytes] = set()
        self._read: dict[tuple[bytes, bytes], Record | None] = {}  # by topic and envelope: nothing is checked twice

    def start(self, topics: Sequence[bytes], now: float) -> None:
        """Begin with what we know and hold ourselves."""
        for topic in topics:
            self._planned.add((topic, shards.WHOLE))
        begun = [self._reading(topic, shards.WHOLE, now) for topic in topics]
        if self._few:
            self._patience = self.host.at(now + _FEW_SECONDS, self._hurry)
        for reading in begun:
            if not self.over:
                reading.start(now)
        if not begun:
            self._end()

    def stop(self, now: float) -> None:
        """End every search; GetDone follows."""
        self._stopped = True
        self._levels.clear()
        for reading in self._readings:
            reading.end(now)

    def read(self, topic: bytes, envelope: bytes, now: float) -> Record | None:
        """The record in `envelope`, if it holds and belongs to `topic`."""
        key = (topic, envelope)
        if key not in self._read:
            self._read[key] = self._checked(topic, envelope, self.host.wall(now))
        return self._read[key]

    def add(self, topic: bytes, records: Sequence[Record], now: float) -> bool:
        """Tell of those that are new or newer, and stop when there are enough; whether any was new."""
        news = []
        for record in records:
            slot = (record.signer, record.announcement.category)
            known = self._found.get(slot)
            if known is None or supersedes(record.announcement, known.announcement):
                self._found[slot] = record
                self._sellers.add(record.signer)
                news.append(record)
        if news and not self.over:
            self.host.emit(RecordsFound(self.number, topic, tuple(news)))
            if len(self._sellers) >= self._want:
                self.stop(now)
        return bool(news)

    def asking(self, contact: Contact) -> None:
        """A node is asked for records."""
        self._asked.add(contact.packed)

    def room(self) -> int:
        """How many more questions a reading for few may ask now."""
        listed = max((reading.total for reading in self._readings), default=0)
        if not self._few or 0 < listed < 2 * self._want:
            return limits.LOOKUP_QUERIES  # it takes nearly all that there are
        missing = self._want - len(self._sellers)
        most = 1 - -missing // _ANSWER_RECORDS if listed else _FIRST_QUESTIONS * len(self._readings)
        return max(0, most - sum(reading.open() for reading in self._readings))

    def heard(self, reading: Reading, contact: Contact, now: float) -> None:
        """A node has answered: tell how far the searches are, and look whether there is a crowd."""
        self._answered.add(contact.packed)
        self.host.emit(GetProgress(self.number, len(self._asked), len(self._answered)))
        self._plan(reading)
        self._go_on(now)
        self._share(reading, now)

    def ended(self, search: Search, now: float) -> None:
        """A search has ended; the get ends with the last."""
        if self.over:
            return
        if isinstance(search, Reading):
            self._plan(search)
            self._go_on(now)
            self._share(search, now)
        if all(other.over for other in self._readings) and not self._levels:
            self._end()

    def regions(self) -> list[tuple[bytes, tuple[Contact, ...]]]:
        """The first keys with the live nodes of their regions."""
        return [(reading.target, tuple(reading.lookup.nearest())) for reading in self._readings[:_REMEMBERED]]

    def _plan(self, reading: Reading) -> None:
        """Put down the shards to read if there is a crowd under this key."""
        depth = 0 if self._stopped else shards.depth_of(reading.crowd())
        for levels in range(depth, 0, -1):
            numbers = [
                number
                for number in shards.below(reading.number, levels)
                if number < 2 << limits.SHARD_DEPTH and (reading.topic, number) not in self._planned
            ]
            if numbers:
                self._planned.update((reading.topic, number) for number in numbers)
                self.host.rng.shuffle(numbers)
                reading.parked = self._few
                self._levels.append(Level(reading.topic, numbers, _TRIED if levels == depth else _TRIED_ABOVE))

    def _go_on(self, now: float) -> None:
        """Keep some shards in work."""
        if self._going:
            return  # a search was over as soon as it began
        self._going = True
        while self._levels and self._busy() < (1 if self._few else limits.SHARDS_AT_ONCE):
            level = self._levels[0]
            number = level.next()
            if number is not None:
                reading = self._reading(level.topic, number, now)
                level.begun.append(reading)
                reading.start(now)
            elif level.numbers:
                break  # its first shards will tell
            else:
                self._levels.pop(0)
        self._going = False

    def _busy(self) -> int:
        """Keys that are being read."""
        return sum(not reading.over and not reading.parked for reading in self._readings)

    def _share(self, present: Reading, now: float) -> None:
        """Let others ask too if few are wanted; without any shard left, those put aside go on."""
        if self._few and not self._stopped:
            if not self._levels and not self._busy():
                self._unpark()
            for reading in self._readings:
                if reading is not present and not reading.over:
                    reading.pump(now)

    def _unpark(self) -> None:
        for reading in self._readings:
            reading.parked = False

    def _hurry(self, now: float) -> None:
        """Few have taken too long."""
        if not self.over and not self._stopped:
            self._few = False
            self._unpark()
            self._go_on(now)
            for reading in self._readings:
                if not reading.over:
                    reading.pump(now)

    def _reading(self, topic: bytes, number: int, now: float) -> Reading:
        """A search that knows what we know; to be started."""
        key = shards.key_of(self.host.network, topic, number)
        reading = Reading(self, topic, number, now, self.host.warm(key), few=self._few)
        self._readings.append(reading)
        room = limits.TOPIC_RECORDS * limits.RECORD_BYTES
        reading.take_local(self.host.values.page(key, 0, room, 0, self.host.wall(now)).envelopes, now)
        return reading

    def _checked(self, topic: bytes, envelope: bytes, wall: int) -> Record | None:
        try:
            record = self._read_record(envelope, self.host.network, wall)
        except BadMessage:
            record = None
        if record is not None and belongs(self.host.network, record.announcement, topic, wall):
            return record
        self.host.bad_record()
        return None

    def _end(self) -> None:
        if self.over:
            return
        self.over = True
        if self._patience is not None:
            self._patience.cancel()
        total = max((reading.total for reading in self._readings), default=0)
        crowd = max((reading.crowd() for reading in self._readings if reading.number == shards.WHOLE), default=0)
        found = len(self._sellers)
        self.host.emit(GetDone(self.number, len(self._asked), len(self._answered), found, total, max(crowd, found)))
        self._on_done(self)
