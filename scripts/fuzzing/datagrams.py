"""A whole node with real sessions, sent datagrams that somebody made up: mutated, or with mutated messages well sealed.

Everything is drawn from one generator and time is handed in, so a block of datagrams can be sent again exactly: that is
how the slowest ones are timed alone.
"""

from __future__ import annotations

import gc
import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from fuzzing.inputs import mutated
from fuzzing.node import ANSWERS, OURS, THEIRS, WALL, Address, Victim, valid_messages
from p2pmarket import codec, limits, messages, records
from p2pmarket.dht.session import Peer, Sessions
from p2pmarket.dht.topics import topic_key
from p2pmarket.errors import BadMessage
from p2pmarket.keys import ExchangeKey, SigningKey
from p2pmarket.network import TEST

BLOCK = 100_000  # datagrams to one node
STEP_SECONDS = 0.025  # between two of them: below the rate limit of one address
GREET_EVERY = 20  # datagrams between honest pings, which keep the session alive
STRANGERS = 40  # calls of others to mutate
SELLERS = 24  # whose records are put, read and mutated
CATEGORY = "fuzz"
SUSPECT_SECONDS = 0.004
RANDOM_BYTES = 1300


@dataclass(slots=True)
class Run:
    """What came of a run."""

    datagrams: int = 0
    crashes: int = 0
    first_crash: str = ""
    understood: int = 0  # messages that the node answered or took as an answer
    suspects: dict[int, list[int]] = field(default_factory=dict)  # by block: those that took long by the clock
    slowest_ms: float = 0.0  # of the suspects, timed again alone
    seconds: float = 0.0
    rss_mb: list[float] = field(default_factory=list)  # after each block


class Target(Victim):
    """A node with real sessions, and what it is sent."""

    def __init__(self, rng: Random) -> None:
        super().__init__(rng, Sessions)
        self._topic = topic_key(TEST, CATEGORY, None, WALL)
        self._records = [_record(rng, number) for number in range(SELLERS)]
        self._messages = (*valid_messages(rng), *self._about_records())
        self._strangers = [self._call_of_a_stranger(number) for number in range(STRANGERS)]
        self._asked: int | None = None
        self._sent = list(self._strangers)  # datagrams of a right form, to mutate
        self._number = 0

    def next_datagram(self) -> tuple[bytes, Address]:
        """Let time pass, and make one datagram; nothing of this is timed."""
        self._number += 1
        self.pass_time(STEP_SECONDS)
        if self._number % GREET_EVERY == 0:
            self._greet()
        rng = self.rng
        chance = rng.random()
        if chance < 0.5:
            message = mutated(rng.choice(self._messages), self._messages, rng)
            return self.sealed(self._aimed_at(message, self._asked)), THEIRS
        if chance < 0.95:
            return mutated(rng.choice(self._sent), self._sent, rng), self._some_address()
        return rng.randbytes(rng.randrange(RANDOM_BYTES)), self._some_address()

    def settle(self) -> None:
        """Take what the node has to say, and note its last question to us."""
        self._asked = self.last_question() or self._asked
        while self.node.next_event() is not None:
            pass

    def _get(self, target: bytes) -> None:
        """Reads are of a topic that has records, mostly; and we publish ourselves."""
        chance = self.rng.random()
        if chance < 0.3:
            self.node.start_put(self._topic, self.rng.choice(self._records), self.now)
        else:
            super()._get(self._topic if chance < 0.8 else target)

    def _about_records(self) -> list[bytes]:
        """Puts, gets and answers with records that hold."""
        made: list[messages.Message] = []
        for number, record in enumerate(self._records):
            some = tuple(self._records[number : number + 3])
            made += [
                messages.Put(number, 0, self._topic, record, 0),
                messages.Get(number, 0, self._topic, number, number % 8, True),
                messages.Got(number, WALL, bytes(6), some, SELLERS, 0, b""),
            ]
        return [messages.encode(one) for one in made]

    def _some_address(self) -> Address:
        return THEIRS if self.rng.random() < 0.5 else (f"10.0.{self.rng.randrange(2, 250)}.1", 4001)

    def _greet(self) -> None:
        """An honest ping; its packet is one more to mutate."""
        ping = self.sealed(messages.encode(messages.Ping(self._number, 0)))
        self.node.receive_datagram(ping, THEIRS, self.now)
        self._sent[STRANGERS:] = [*self._sent[STRANGERS:][-STRANGERS:], ping]
        self.settle()

    def _call_of_a_stranger(self, number: int) -> bytes:
        stranger = Sessions(ExchangeKey(self.rng.randbytes(32)), TEST, self.rng.randbytes, self.rng)
        question = messages.encode(messages.Find(number, 0, self.rng.randbytes(32)))
        return stranger.seal(Peer(OURS, self.public), question, self.now)

    def _aimed_at(self, data: bytes, asked: int | None) -> bytes:
        """An answer in form gets the transaction of a question of the node."""
        if asked is None or self.rng.random() < 0.3:
            return data
        try:
            value = codec.decode_untrusted(data)
        except BadMessage:
            return data
        if isinstance(value, list) and len(value) > 1 and value[0] in ANSWERS:
            value[1] = asked
            return codec.encode(value)
        return data


def _record(rng: Random, number: int) -> bytes:
    """One seller's announcement."""
    seller = SigningKey(rng.randbytes(32))
    announcement = records.Announcement(
        epoch=0,
        seq=number,
        issued=WALL,
        expires=WALL + limits.RECORD_SECONDS,
        category=CATEGORY,
        regions=(records.WORLD,),
        located=None,
        name=f"Seller {number}",
        service_key=seller.public,
        routes=(records.direct_route("10.1.2.3", 4001),),
        versions=(1, 1),
        withdrawn=number % 5 == 0,
    )
    return records.make_announcement(seller, TEST, announcement).envelope


def send(datagrams: int, seed: int, *, reraise: bool = False) -> Iterator[Run]:
    """Send so many; the same `Run` after each block, at last with the suspects timed again.

    Asking for CPU time costs more than most datagrams do, so the clock says whom to suspect: what took less than
    `SUSPECT_SECONDS` by the clock took less of the CPU too. With `reraise` the first crash is raised.
    """
    run = Run()
    began = time.perf_counter()
    for block in range(-(-datagrams // BLOCK)):
        count = min(BLOCK, datagrams - block * BLOCK)
        took = array("d", _block(run, seed, block, count, time.perf_counter, reraise=reraise))
        slow = [number for number, seconds in enumerate(took) if seconds >= SUSPECT_SECONDS]
        if slow:
            run.suspects[block] = slow
        run.rss_mb.append(rss_mb())
        run.seconds = time.perf_counter() - began
        yield run
    for block, numbers in run.suspects.items():
        run.slowest_ms = max(run.slowest_ms, 1000 * _alone(seed, block, numbers))
        run.seconds = time.perf_counter() - began
        yield run


def _block(
    run: Run, seed: int, block: int, count: int, clock: Callable[[], float], *, reraise: bool = False
) -> Iterator[float]:
    """Send one block; yields the seconds that each datagram took by `clock`."""
    target = Target(Random(f"{seed}/{block}"))
    for _ in range(count):
        data, address = target.next_datagram()
        before = clock()
        try:
            target.node.receive_datagram(data, address, target.now)
        except Exception as error:
            if reraise:
                raise AssertionError(f"the node must not raise {error!r} on {data.hex()}") from error
            run.crashes += 1
            run.first_crash = run.first_crash or f"{error!r} on {data.hex()} in block {block}"
        yield clock() - before
        run.datagrams += 1
        target.settle()
    counters = target.node.counters
    run.understood += counters.served + counters.answers


def _alone(seed: int, block: int, numbers: list[int]) -> float:
    """CPU seconds of the slowest of these datagrams, their block sent again without the garbage collector."""
    wanted = set(numbers)
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        again = enumerate(_block(Run(), seed, block, max(numbers) + 1, time.thread_time))
        return max(took for number, took in again if number in wanted)
    finally:
        gc.enable()
        gc.unfreeze()


def rss_mb() -> float:
    """Resident memory of this process (Linux)."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0
