"""Reading one key of the DHT: a search that asks every node of its region for the records there.

Each node asked answers with as many records as fit, in an order of its own, and with nearer nodes. The first holder
that lists more than it could send is then read page by page, many pages at once, while the search goes on; what the
others sent fills gaps. A holder whose pages get lost, or in a crowd bring nothing new for a while, gives way to the
next one, and one that sends no record that holds is read no further, so nobody can hold a reader up with promises. A
record counts when its signature holds and it belongs to the topic; of each seller and category the newest (epoch, seq)
counts.

There is nothing more to wait for when enough is found, most of the region has answered and all others of it are slow;
or when the search is over and all holders are read. Enough is found when the lists that were read to their end name
all that most of the other holders have sent, and as many sellers are found as the longest usual list has: so who holds
sellers that he invented, however many, is read, but does not make the reader leave before he has read the others. In a
crowd, where no holder has room for all, the rest is in shards; whoever came before the crowd did stands in the topic
only, so the lists of two holders in the inner half of the region, to whom all publishers went, are read to their end.
In a crowded region records are put to some holders only, so there all of them are read, a page of each in turn, most
of them once all holders are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median_low
from typing import Final, Protocol

from p2pmarket import limits, messages
from p2pmarket.dht import shards
from p2pmarket.dht.calls import Call
from p2pmarket.dht.contact import Contact
from p2pmarket.dht.holder import Holder, Page
from p2pmarket.dht.lookup import Candidate, State
from p2pmarket.dht.search import Host, Search
from p2pmarket.records import Record

_FRUITLESS: Final = 8  # pages without news in a row before another holder is read
_BARREN: Final = 8  # times that this may happen before all that can be found is found
_MOST: Final = 0.75  # of the region must have answered before the rest may be left out; of holders, be of one mind
_FULL_LISTS: Final = 2  # read to their end in a crowd: one holder alone may have missed a seller
_SILENT: Final = 2  # pages lost, from which on a holder must bring something new
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
        self._finished = 0  # lists of the inner half read to the end
        self._read: set[bytes] = set()  # sellers that they name
        self._lists: list[Holder] = []  # of all who list something
        self._usual = 0  # as long as a list may be if it is not much longer than most
        self._longest = 0  # of these lists
        self._full = False  # there is a crowd: no list has room for all
        self._sated = False  # see the head of this module
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
            sellers = self._records(answer.records, now)
            if sellers or not answer.records:
                total = min(answer.total, limits.TOPIC_RECORDS)
                if total and not again:
                    inner = candidate.distance <= self.lookup.radius // 2
                    holder = Holder(candidate.contact, seed, answer.records, sellers, total, inner=inner)
                    self._lists_records(holder)
                self.total = max(self.total, total)
            self._crowds[candidate.contact.packed] = answer.crowd
            self._judge()
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
        self._read |= self._records(envelopes, now)

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
        """Whether all that can be found here is found; see the head of this module."""
        return self._sated and not self.besieged

    def _judge(self) -> None:
        """Look anew at what is found."""
        lists = self._lists
        totals = sorted(holder.total for holder in lists)
        usual = median_low(totals) if totals else 0
        self._usual = usual + usual // 2 + _FRUITLESS
        self._longest = max((total for total in totals if total <= self._usual), default=0)
        crowds = [crowd for crowd in self._crowds.values() if crowd]
        self._full = bool(crowds) and median_low(crowds) > shards.FULL_FROM
        if len(self.sellers) < self._longest:
            self._sated = False
        elif self._full:
            self._sated = self._finished >= _FULL_LISTS
        else:
            self._sated = sum(holder.first <= self._read for holder in lists) >= _MOST * len(lists)

    def _lists_records(self, holder: Holder) -> None:
        """Somebody lists records, perhaps more than he could send."""
        self._lists.append(holder)
        if holder.unread:
            self._holders.append(holder)
        else:
            self._finish(holder)

    def _finish(self, holder: Holder) -> None:
        """A list is read to its end."""
        self._finished += holder.inner and not holder.done
        holder.done = True
        self._read |= holder.sellers

    def _read_on(self, now: float) -> None:
        """Keep pages of the holder in front in flight; a fruitless one steps back behind the others."""
        if self._few and self.holders() < _FEW_VOICES and not self.lookup.done:
            return  # few are not to come from one or two who may lie
        most = limits.PAGES_AT_ONCE * (2 if self.number == shards.WHOLE else 1)  # shards are read several at once
        pages = limits.PAGES // 4 if self.besieged and self.lookup.waiting else limits.PAGES
        while not self.over and self._unread() and self._flying < most and self._pages < pages:
            if not self.room():
                return
            by_turns = self._few or self.besieged
            holder = self._next_holder(by_turns=by_turns)
            if not holder.unread and holder.flying and not by_turns and holder.total >= self._longest:
                return  # his last pages come yet, and nobody has a longer list
            fruitless = holder.fruitless >= _FRUITLESS and not self._to_its_end(holder)
            if fruitless or not holder.unread:
                self._barren += self._finished > 0 and fruitless
                holder.fruitless = 0
                self._holders.append(self._holders.pop(0))
                if not holder.unread or holder.silent >= _FRUITLESS:
                    self._holders.pop()
                continue
            span = holder.next_page()
            if span is None or not self._ask_page(Page(holder, span), now):
                return
            holder.flying += 1
            holder.pages += 1
            self._flying += 1
            self._pages += 1

    def _to_its_end(self, holder: Holder) -> bool:
        """Whether this list is read on although it brings nothing new."""
        return holder.silent < _SILENT and (not self._full or self._is_needed(holder))

    def _next_holder(self, *, by_turns: bool) -> Holder:
        """The one in front: each in turn, or else one whose list is needed, if there is one."""
        holders = self._holders
        if by_turns:
            best = min(holders, key=lambda one: one.pages)
        elif holders[0].unread and not self._is_needed(holders[0]):
            best = max(holders, key=lambda one: self._is_needed(one) and one.total)
        else:
            return holders[0]
        holders.remove(best)
        holders.insert(0, best)
        return best

    def _is_needed(self, holder: Holder) -> bool:
        """Whether enough may be found once this list is read to its end."""
        if self._full:
            return holder.inner and self._finished < _FULL_LISTS
        if holder.total > self._usual:
            return False
        return holder.total > len(self.sellers) or not holder.first <= self._read

    def _ask_page(self, page: Page, now: float) -> bool:
        return self._ask(page.holder.contact, (self.target, page.holder.seed, page.span[0], False), page, now)

    def _page_came(self, page: Page, answer: messages.Got, now: float) -> None:
        first, end = page.span
        came = len(answer.records)
        holder = page.holder
        if page.flying and 0 < came < end - first:
            holder.unread.append((first + came, end))
        known = len(self.sellers)
        sellers = self._records(answer.records, now)
        holder.sellers |= sellers
        holder.fruitless = 0 if len(self.sellers) > known else holder.fruitless + 1
        if not sellers:  # he promised records that he has not
            holder.unread.clear()
            if holder in self._lists:
                self._lists.remove(holder)
        self._landed(page)
        self._judge()

    def _lost(self, page: Page) -> None:
        """A page that was asked for twice: maybe later, after other holders."""
        holder = page.holder
        holder.unread.append(page.span)
        holder.silent += 1
        holder.fruitless += 2
        if holder not in self._holders:
            self._holders.append(holder)
        self._landed(page)

    def _landed(self, page: Page) -> None:
        """One flight less for a page, however often it was asked for."""
        if page.flying:
            page.flying = False
            page.holder.flying -= 1
            self._flying -= 1
            if not page.holder.unread and not page.holder.flying and page.holder in self._lists:
                self._finish(page.holder)

    def _records(self, envelopes: Sequence[bytes], now: float) -> set[bytes]:
        """The sellers of those that hold."""
        records = [record for envelope in envelopes if (record := self.reader.read(self.topic, envelope, now))]
        sellers = {record.signer for record in records}
        self.sellers |= sellers
        self.news += self.reader.add(self.topic, records, now)
        return sellers

    def _ask(self, contact: Contact, fields: tuple[object, ...], subject: object, now: float) -> bool:
        return self.host.ask(contact, messages.Get, fields, self, subject, now)
