"""The work that every peer is given, and what is measured of it.

Nodes join eight at a time, each by node 0 and a random earlier one; then a while of quiet. Operations begin a tenth of
a second apart, whether or not the earlier ones have ended. Readers and writers are random nodes, as different as can
be. Three networks are built for each peer, so that no case sees what another one left:

    first    clean: puts, then gets by others; loss2: the same with 2 % of all packets lost; dead25: puts, then a
             quarter of the nodes is cut off at once, then gets by the others
    second   dead25: a quarter is cut off, then puts by the others
    third    many and many1000: 200 and 1,000 writers under one key, then reads by nodes that did not write
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

import trio

from peers.crew import Crew

VALUE_BYTES = 300
GAP_SECONDS = 0.1
MANY_GAP_SECONDS = 0.05
QUIET_SECONDS = 2.0
READERS = 5  # of many writers' records: the last nodes, which do not write
DEAD = 0.25
LOSS = 0.02
CASES = ("clean", "dead25", "loss2", "many", "many1000")
WRITERS = {"many": 200, "many1000": 1000}


@dataclass(slots=True)
class Done:
    """What came of the operations of one case."""

    puts: list[dict[str, Any]] = field(default_factory=list)
    gets: list[dict[str, Any]] = field(default_factory=list)
    late_ms: float = 0.0  # of the router: 99 of 100 packets were less late than this
    contacts: float = 0.0  # in the middle node's table before it
    cpu_s: float = 0.0  # of all nodes together, for these operations and whatever else they do meanwhile


def value(tag: str) -> bytes:
    """The 300 bytes that a writer puts."""
    return (hashlib.sha512(tag.encode()).digest() * 5)[:VALUE_BYTES]


class Work:
    """The cases for one peer on one network; results are added to `done`."""

    def __init__(self, crew: Crew, seed: int, operations: int, done: dict[str, Done]) -> None:
        self.crew, self.seed, self.operations = crew, seed, operations
        self.done = done
        self._cpu_before = 0.0

    async def reads_and_writes(self, cases: Sequence[str]) -> None:
        """What is done on the first network."""
        everybody = list(range(self.crew.nodes))
        for case, loss in (("clean", 0.0), ("loss2", LOSS)):
            if case in cases:
                self.crew.wan.set(loss=loss)
                await self._case(case, everybody, everybody)
                self.crew.wan.set(loss=0.0)
        if "dead25" in cases:
            await self._case("dead25", everybody, None, keep_puts=False)

    async def writes_after_deaths(self) -> None:
        """What is done on the second network."""
        living = self._kill()
        self._count_anew()
        puts = await self._puts("dead25 puts", living)
        self._note("dead25", puts, [])

    async def many(self, case: str) -> None:
        """What is done on the third network."""
        writers = WRITERS[case]
        key = self._key(case, 0)
        values = [value(f"{case}/{self.seed}/{number}") for number in range(writers)]
        self._count_anew()
        nodes = self.crew.nodes - READERS - 1
        puts = await self._begin_apart(
            MANY_GAP_SECONDS,
            [
                # A process is given a writer's number among its own, so that it can spread them over its addresses.
                partial(self.crew.put, 1 + number % nodes, "put_many", key, values[number], number // nodes)
                for number in range(writers)
            ],
        )
        await trio.sleep(QUIET_SECONDS)
        readers = range(self.crew.nodes - READERS, self.crew.nodes)
        gets = [await self.crew.get(reader, "get_many", key, values, want=writers) for reader in readers]
        self._note(case, puts, gets)
        times = ", ".join(f"{get['found']} in {get.get('last_s') or get['s']:.2f} s" for get in gets)
        print(f"  {case}: {times}", file=sys.stderr, flush=True)

    async def _case(self, case: str, writers: list[int], readers: list[int] | None, *, keep_puts: bool = True) -> None:
        """Puts, a pause, gets; without `readers` a quarter of the nodes dies in the pause."""
        self._count_anew()
        contacts = await self.crew.contacts()
        order = Random(f"{case}/{self.seed}").sample(writers, len(writers))
        puts = await self._puts(case, order)
        await trio.sleep(QUIET_SECONDS)
        living = self._kill() if readers is None else list(readers)
        Random(f"{case}/{self.seed}/readers").shuffle(living)
        chosen = []
        for number in range(self.operations):
            reader = living[number % len(living)]
            wrote = order[number % len(order)]
            chosen.append(reader if reader != wrote else living[(number + 1) % len(living)])
        gets = await self._begin_apart(
            GAP_SECONDS,
            [
                partial(self.crew.get, reader, "get", self._key(case, number), [self._value(case, number)], want=1)
                for number, reader in enumerate(chosen)
            ],
        )
        self._note(case, puts if keep_puts else [], gets, contacts)

    async def _puts(self, case: str, nodes: list[int]) -> list[dict[str, Any]]:
        return await self._begin_apart(
            GAP_SECONDS,
            [
                partial(
                    self.crew.put,
                    nodes[number % len(nodes)],
                    "put",
                    self._key(case, number),
                    self._value(case, number),
                    0,
                )
                for number in range(self.operations)
            ],
        )

    def _count_anew(self) -> None:
        self.crew.wan.reset()
        self._cpu_before = self.crew.cpu_seconds()

    def _kill(self) -> list[int]:
        """Cut a quarter of the nodes off, but never the first; the others."""
        nodes = self.crew.nodes
        dead = set(Random(self.seed).sample(range(1, nodes), round(DEAD * nodes)))
        self.crew.wan.kill(sorted(dead))
        return [node for node in range(nodes) if node not in dead]

    async def _begin_apart(
        self, gap: float, operations: list[Callable[[], Awaitable[dict[str, Any]]]]
    ) -> list[dict[str, Any]]:
        """Begin one after another, `gap` seconds apart; their results in order, when all have ended."""
        results: list[dict[str, Any]] = [{}] * len(operations)

        async def run(number: int) -> None:
            await trio.sleep(number * gap)
            results[number] = await operations[number]()

        async with trio.open_nursery() as nursery:
            for number in range(len(operations)):
                nursery.start_soon(run, number)
        return results

    def _note(
        self, case: str, puts: list[dict[str, Any]], gets: list[dict[str, Any]], contacts: float | None = None
    ) -> None:
        """Add what came, and say so."""
        done = self.done.setdefault(case, Done())
        done.puts += puts
        done.gets += gets
        late = float(self.crew.wan.stats()["late_us"]["p99_below"]) / 1000
        done.late_ms = max(done.late_ms, late)
        done.cpu_s += self.crew.cpu_seconds() - self._cpu_before
        done.contacts = done.contacts if contacts is None else contacts
        failed = [answer.get("error", "no value") for answer in (*puts, *gets) if not answer.get("ok")]
        text = f"{case}: {len(puts)} puts, {len(gets)} gets, {len(failed)} failed, router late {late:.1f} ms"
        print(f"  {text} {sorted(set(failed)) or ''}", file=sys.stderr, flush=True)

    def _key(self, case: str, number: int) -> bytes:
        return hashlib.sha1(f"{case}/{self.seed}/{number}".encode()).digest()

    def _value(self, case: str, number: int) -> bytes:
        return value(f"{case}/{self.seed}/{number}")
