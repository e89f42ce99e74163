"""Reading one key of the DHT: a search that asks every node of its region for the records there.

Each node asked answers with as many records as fit, in an order of its own, and with nearer nodes. The first holder
that lists more than it could send is then read page by page, many pages at once, while the search goes on; what the
others sent fills gaps. A holder whose pages bring nothing new for a while gives way to the next one, and one that
sends no record that holds is read no further, so nobody can hold a reader up with promises. A record counts when its
signature holds and it belongs to the topic; of each seller and category the newest (epoch, seq) counts.

There is nothing more to wait for when as many sellers are found as the best holder lists, most of the region has
answered and all others of it are slow; or when the search is over and all holders are read. In a crowded region records
are put to some holders only, so there all of them are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from p2pmarket import limits, messages
from p2pmarket.dht import shards
from p2pmarket.dht.calls import Call
from p2pmarket.dht.contact import Contact
from p2pmarket.dht.lookup import Candidate, State
from p2pmarket.dht.search import Host, Search
from p2pmarket.records import Record

_PAGE_BYTES: Final = 1_090  # records that surely fit an answer without contacts
_FRUITLESS: Final = 8  # pages without news in a row before another holder is read
_BARREN: Final = 8  # times that this may happen before all that can be found is found
_MOST: Final = 0.75  # of the region must have answered before the rest may be left out
_VOICES: Final = 5  # of the region that must tell of a crowd before it is believed
_FEW_VOICES: Final = 3  # likewise if few are wanted; and as many holders are read


class Reader(Protocol):
    """Whom a search reads for."""

    @property
    def host(self) -> Host: ...
    def read(self, topic: bytes, envelope: bytes, now: float) -> Record | None: ...
    def add(self, topic: bytes, records: Sequence[Record], now: float) -> bool: ...
    def asking(self, contact: Contact) -> None: ...
    def room(self) -> int: ...
    def heard(self, reading: Reading, contact: Contact, now: float) -> None: ...
    def ended(self, search: Search, now: float) -> None: ...


class Holder:
    """A node that lists more than it could send: which positions of its list are still unread."""

    __slots__ = ("contact", "fruitless", "page", "seed", "silent", "unread")

    def __init__(self, contact: Contact, seed: int, sent: Sequence[bytes], total: int) -> None:
        self.contact = contact
        self.seed = seed
        self.fruitless = 0
        self.silent = 0
        self.page = max(1, _PAGE_BYTES // (max((len(envelope) for envelope in sent), default=limits.RECORD_BYTES) + 3))
        self.unread = [(len(sent), total)] if total > len(sent) else []

    def next_page(self) -> tuple[int, int] | None:
        """The first and last + 1 position to ask for next."""
        if not self.unread:
            return None
        first, last = self.unread.pop()
        end = min(first + self.page, last)
        if end < last:
            self.unread.append((end, last))
        return first, end


class Page:
    """A page under way: `span` are positions of the holder's list."""

    __slots__ = ("asks", "flying", "holder", "span")

    def __init__(self, holder: Holder, span: tuple[int, int]) -> None:
        self.holder = holder
        self.span = span
        self.asks = 1
        self.flying = True


class Reading(Search):
    """The search under one key, shard `number` of `topic`, for a `Reader`."""

    def __init__(
        self, reader: Reader, topic: bytes, number: int, now: float, more: Sequence[Contact], *, few: bool
    ) -> None:
        """`more`: contacts to begin with; `few`: ask no more at a time than it takes."""
        key = shards.key_of(reader.host.network, topic, number)
        super().__init__(reader.host, key, now, reader.ended, more=more, region=True)
        self.reader = reader
        self.topic = topic
        self.number = number
        self.total = 0
        self.news = 0  # answers that brought the reader something new
        self.sellers: set[bytes] = set()
        self._barren = 0  # times that a holder brought nothing for long, after one was read to the end
        self._finished = 0  # holders read to the end
        self.parked = False  # nothing is asked here for the time being
        self._few = few
        self._open: set[bytes] = set()  # nodes asked that are still within their time, by packed contact
        self._crowds: dict[bytes, int] = {}  # told, by packed contact
        self._holders: list[Holder] = []  # the first one is being read
        self._flying = 0
        self._pages = 0

    def query(self, candidate: Candidate, now: float) -> bool:
        """Ask for records and contacts, who is far for contacts only."""
        if self.far(candidate):
            self.reader.asking(candidate.contact)
            self._open.add(candidate.contact.packed)
            return super().query(candidate, now)
        seed = self.host.rng.getrandbits(32)
        self.reader.asking(candidate.contact)
        self._open.add(candidate.contact.packed)
        return self._ask(candidate.contact, (self.target, seed, 0, True), (candidate, seed), now)

    def answered(self, call: Call, answer: messages.Answer, now: float) -> None:
        """Records, and contacts or a page."""
        subject = call.subject
        if self.over or not isinstance(answer, messages.Found | messages.Got):
            return
        if isinstance(subject, Candidate):
            self._open.discard(subject.contact.packed)
            self.lookup.answered(subject, self.host.contacts_in(answer.contacts))
            self.reader.heard(self, subject.contact, now)
            self.pump(now)
            return
        if isinstance(answer, messages.Found):
            return
        if isinstance(subject, Page):
            self._page_came(subject, answer, now)
        elif isinstance(subject, tuple):
            candidate, seed = subject
            self._open.discard(candidate.contact.packed)
            again = candidate.state is State.ANSWERED
            self.lookup.answered(candidate, self.host.contacts_in(answer.contacts))
            if self._records(answer.records, now) or not answer.records:
                total = min(answer.total, limits.TOPIC_RECORDS)
                if total > len(answer.records) and not again:
                    self._holders.append(Holder(candidate.contact, seed, answer.records, total))
                self.total = max(self.total, total)
            self._crowds[candidate.contact.packed] = answer.crowd
            self.reader.heard(self, candidate.contact, now)
        self.pump(now)

    def slow(self, call: Call, now: float) -> None:
        """A page is asked for once more, then left to others; for a candidate the lookup decides."""
        subject = call.subject
        if self.over:
            return
        if isinstance(subject, tuple | Candidate):
            candidate = subject if isinstance(subject, Candidate) else subject[0]
            self._open.discard(candidate.contact.packed)
            self.lookup.slow(candidate)
        elif isinstance(subject, Page) and subject.asks == 1:
            subject.asks += 1
            self._ask_page(subject, now)
        elif isinstance(subject, Page) and subject.flying:
            self._lost(subject)
        self.pump(now)

    def failed(self, call: Call, now: float) -> None:
        """The lookup goes on without this candidate."""
        subject = call.subject
        if not self.over and isinstance(subject, tuple | Candidate):
            candidate = subject if isinstance(subject, Candidate) else subject[0]
            self._open.discard(candidate.contact.packed)
            self.lookup.failed(candidate)
            self.pump(now)

    def pump(self, now: float) -> None:
        """Ask on, read on."""
        if not self.parked:
            self._read_on(now)
            super().pump(now)

    def room(self) -> int:
        """How many nodes may be asked now."""
        return self.reader.room() if self._few else limits.LOOKUP_QUERIES

    def open(self) -> int:
        """Questions under way whose answers are still to be expected."""
        return 0 if self.over else len(self._open) + self._flying

    def is_over(self) -> bool:
        """See the head of this module."""
        if self.total > 0 and self._enough() and self._only_slow_left():
            return True
        return self.lookup.done and self._flying == 0 and not self._unread()

    def crowd(self) -> int:
        """What the region says together about the crowd here, once enough of it has spoken; until then 0."""
        if max(self._crowds.values(), default=0) <= shards.FULL_FROM:
            return 0
        goal = [candidate.contact.packed for candidate in self.lookup.goal() if candidate.state is State.ANSWERED]
        told = [self._crowds[packed] for packed in goal if packed in self._crowds]
        enough = _FEW_VOICES if self._few else _VOICES
        return shards.agreed(told) if len(told) >= enough or self.lookup.done or self.over else 0

    def holders(self) -> int:
        """How many nodes have said that they hold something."""
        return sum(crowd > 0 for crowd in self._crowds.values())

    def take_local(self, envelopes: Sequence[bytes], now: float) -> None:
        """Records that we hold ourselves."""
        self._records(envelopes, now)

    def _only_slow_left(self) -> bool:
        """Whether most of the region has answered and nobody in it is still within his time."""
        goal = self.lookup.goal()
        if any(
            candidate.state is State.NEW or (candidate.state is State.ASKED and candidate.asks == 1)
            for candidate in goal
        ):
            return False
        answered = sum(candidate.state is State.ANSWERED for candidate in goal)
        return self.lookup.endgame(goal) and answered >= _MOST * len(goal)

    def _unread(self) -> bool:
        if self._pages >= limits.PAGES or (self._barren >= _BARREN and not self.besieged):
            return False
        return not self._enough() and any(holder.unread for holder in self._holders)

    def _enough(self) -> bool:
        """Whether as many are found as any holder lists; where they have not room for all, one is read to his end."""
        if self.besieged or len(self.sellers) < self.total:
            return False
        return self.total <= shards.FULL_FROM or self._finished > 0

    def _read_on(self, now: float) -> None:
        """Keep pages of the holder in front in flight; a fruitless one steps back behind the others."""
        if self._few and self.holders() < _FEW_VOICES and not self.lookup.done:
            return  # few are not to come from one or two who may lie
        most = limits.PAGES_AT_ONCE * (2 if self.number == shards.WHOLE else 1)  # shards are read several at once
        while not self.over and self._unread() and self._flying < most and self._pages < limits.PAGES:
            if not self.room():
                return
            if self._few:
                self._holders.append(self._holders.pop(0))
            holder = self._holders[0]
            if not holder.unread and not self._few:
                if self._flying:
                    return  # his last pages come yet
                self._finished += 1
            if holder.fruitless >= _FRUITLESS or not holder.unread:
                self._barren += self._finished > 0 and holder.fruitless >= _FRUITLESS
                holder.fruitless = 0
                self._holders.append(self._holders.pop(0))
                if not holder.unread or holder.silent >= _FRUITLESS:
                    self._holders.pop()
                continue
            span = holder.next_page()
            if span is None or not self._ask_page(Page(holder, span), now):
                return
            self._flying += 1
            self._pages += 1

    def _ask_page(self, page: Page, now: float) -> bool:
        return self._ask(page.holder.contact, (self.target, page.holder.seed, page.span[0], False), page, now)

    def _page_came(self, page: Page, answer: messages.Got, now: float) -> None:
        first, end = page.span
        came = len(answer.records)
        holder = page.holder
        if page.flying and 0 < came < end - first:
            holder.unread.append((first + came, end))
        self._landed(page)
        known = len(self.sellers)
        if not self._records(answer.records, now):  # he promised records that he has not
            holder.unread.clear()
        holder.fruitless = 0 if len(self.sellers) > known else holder.fruitless + 1

    def _lost(self, page: Page) -> None:
        """A page that was asked for twice: maybe later, after other holders."""
        self._landed(page)
        holder = page.holder
        holder.unread.append(page.span)
        holder.silent += 1
        holder.fruitless += 2

    def _landed(self, page: Page) -> None:
        """One flight less for a page, however often it was asked for."""
        self._flying -= page.flying
        page.flying = False

    def _records(self, envelopes: Sequence[bytes], now: float) -> int:
        """How many of them hold."""
        records = [record for envelope in envelopes if (record := self.reader.read(self.topic, envelope, now))]
        self.sellers.update(record.signer for record in records)
        self.news += self.reader.add(self.topic, records, now)
        return len(records)

    def _ask(self, contact: Contact, fields: tuple[object, ...], subject: object, now: float) -> bool:
        return self.host.ask(contact, messages.Get, fields, self, subject, now)
