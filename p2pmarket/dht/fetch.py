"""A newcomer takes over what its neighbours hold: otherwise a node would stand in its region with empty hands until
every publisher has refreshed, and half a region exchanged within the hour would answer for nobody.

Up to four of the nearest nodes are asked, one after another: which topics they hold near the newcomer's place, and
then for the records under each of those that lie in a region with it. What is held already is not asked for again
beyond its first page. A neighbour may lie, so every record is checked as if its publisher had put it, counts for the
group that its own route names, and is kept no longer than two hours after it was signed; and each neighbour has a
share of the bytes, so that an endless one only uses up his own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from p2pmarket import limits, messages
from p2pmarket.dht.search import Host
from p2pmarket.dht.shards import NUMBER_BYTES, key_of

if TYPE_CHECKING:
    from p2pmarket.dht.calls import Call
    from p2pmarket.dht.contact import Contact
    from p2pmarket.dht.values import Values

_NAME_BYTES: Final = 32 + NUMBER_BYTES  # of a topic with the number of the shard
_AT_ONCE: Final = 4  # questions in flight
_QUESTION_BYTES: Final = 256  # that each question counts besides what it brings, so that empty answers end too


@dataclass(frozen=True, slots=True)
class Books:
    """The question for records: of shard `number` of `topic`, after the first `skip`."""

    topic: bytes
    number: int
    key: bytes
    skip: int = 0


Question = Books | int  # or for topics, how many to skip


class Shelf(Host, Protocol):
    """What fetching needs of its node, besides what a search needs."""

    values: Values


class Fetch:
    """Takes over the records of one region, neighbour by neighbour."""

    def __init__(self, host: Shelf, own_id: bytes, neighbours: Iterable[Contact]) -> None:
        """`neighbours`: nearest first, each of another group."""
        self.bytes = 0  # taken from the present neighbour
        self._host = host
        self._own_id = own_id
        self._neighbours = deque(list(neighbours)[: limits.FETCH_NEIGHBOURS])
        self._now_asked: Contact | None = None
        self._questions: deque[Question] = deque()
        self._flying = 0

    @property
    def over(self) -> bool:
        """Whether nobody is asked any more."""
        return not self._neighbours and not self._flying

    def start(self, now: float) -> None:
        """Ask the first neighbour."""
        self._next_neighbour(now)

    def answered(self, call: Call, answer: messages.Answer, now: float) -> None:
        """Topics, or records under one."""
        self._flying -= 1
        question = call.subject
        if call.contact is self._now_asked:
            if isinstance(question, int) and isinstance(answer, messages.TopicsHeld):
                self._topics_came(answer, question)
            elif isinstance(question, Books) and isinstance(answer, messages.Got):
                self._records_came(call.contact, question, answer, now)
        self._go_on(now)

    def slow(self, call: Call, now: float) -> None:
        """There is no hurry."""

    def failed(self, call: Call, now: float) -> None:
        """A silent neighbour gives way to the next one."""
        self._flying -= 1
        if call.contact is self._now_asked:
            self._questions.clear()
        self._go_on(now)

    def _topics_came(self, answer: messages.TopicsHeld, skip: int) -> None:
        radius = self._host.size.radius(self._host.known)
        own = int.from_bytes(self._own_id, "big")
        books = self._books(answer.topics)
        near = [one for one in books if int.from_bytes(one.key, "big") ^ own <= radius]
        self._questions += near
        if near and len(near) == len(books) and skip + len(books) < min(answer.total, limits.FETCH_TOPICS):
            self._questions.append(skip + len(books))

    def _books(self, told: bytes) -> list[Books]:
        """The shards named, 34 bytes each."""
        books = []
        for at in range(0, len(told) - _NAME_BYTES + 1, _NAME_BYTES):
            topic, number = told[at : at + 32], int.from_bytes(told[at + 32 : at + _NAME_BYTES], "big")
            if 0 < number < 2 << limits.SHARD_DEPTH:
                books.append(Books(topic, number, key_of(self._host.network, topic, number)))
        return books

    def _records_came(self, source: Contact, asked: Books, answer: messages.Got, now: float) -> None:
        host = self._host
        group = host.group_of(source)
        for envelope in answer.records:
            self.bytes += len(envelope)
            host.values.take_over(asked.topic, asked.number, envelope, group, now, host.wall(now))
        if asked.skip == 0:
            host.values.hint(asked.key, answer.crowd, now)
        skip = asked.skip + len(answer.records)
        most = min(answer.total, limits.TOPIC_RECORDS)
        if answer.records and skip < most and host.values.held(asked.key) < answer.total:
            self._questions.append(replace(asked, skip=skip))

    def _go_on(self, now: float) -> None:
        """Keep a few questions in flight; when there are no more, turn to the next neighbour."""
        while self._now_asked is not None and self._questions and self._flying < _AT_ONCE:
            if self.bytes > limits.FETCH_BYTES // limits.FETCH_NEIGHBOURS:
                self._questions.clear()
                break
            question = self._questions.popleft()
            if not self._ask(self._now_asked, question, now):
                self._questions.clear()
                break
            self._flying += 1
            self.bytes += _QUESTION_BYTES
        if not self._questions and not self._flying:
            self._next_neighbour(now)

    def _ask(self, neighbour: Contact, question: Question, now: float) -> bool:
        kind: type[messages.Request] = messages.Topics
        fields: tuple[object, ...] = (self._own_id, question)
        if isinstance(question, Books):
            kind, fields = messages.Get, (question.key, 0, question.skip, False)
        return self._host.ask(neighbour, kind, fields, self, question, now)

    def _next_neighbour(self, now: float) -> None:
        if not self._neighbours:
            self._now_asked = None
            return
        self._now_asked = self._neighbours.popleft()
        self.bytes = 0
        self._questions.append(0)
        self._go_on(now)
