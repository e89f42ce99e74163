"""Feed one parser many inputs and count what became of them."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from fuzzing.inputs import inputs
from fuzzing.parsers import Build, Parser

REBUILT_EVERY = 10_000  # inputs; a parser with state starts afresh then
WORST_KEPT = 5  # inputs that are timed again alone
RETIMED = 5


@dataclass(slots=True)
class Outcome:
    """Of one parser. `crashes`: other errors than it may raise; `forged`: accepted though nobody signed it."""

    name: str
    cycles: int = 0
    accepted: int = 0
    refused: int = 0
    crashes: int = 0
    not_canonical: int = 0
    forged: int = 0
    slowest_ms: float = 0.0
    first_crash: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Slow:
    nanoseconds: int
    parser: Parser
    data: bytes


def fuzz(name: str, build: Build, cycles: int, seed: int, *, reraise: bool = False) -> Outcome:
    """`cycles` inputs to the parser; with `reraise` the first crash is raised instead of counted."""
    outcome = Outcome(name)
    slow: list[_Slow] = []
    began = time.perf_counter()
    for parser, data in _pairs(name, build, cycles, seed):
        before = time.thread_time_ns()
        held = _feed(outcome, parser, data, reraise=reraise)
        took = time.thread_time_ns() - before
        if held and (len(slow) < WORST_KEPT or took > slow[-1].nanoseconds):
            slow = sorted([*slow, _Slow(took, parser, data)], key=lambda one: -one.nanoseconds)[:WORST_KEPT]
    outcome.slowest_ms = _alone(slow)
    outcome.seconds = time.perf_counter() - began
    return outcome


def _pairs(name: str, build: Build, cycles: int, seed: int) -> Iterator[tuple[Parser, bytes]]:
    rng = Random(f"{seed}/{name}")
    for start in range(0, cycles, REBUILT_EVERY):
        parser = build(rng)
        for data in inputs(parser.valid, rng, min(REBUILT_EVERY, cycles - start)):
            yield parser, data


def _feed(outcome: Outcome, parser: Parser, data: bytes, *, reraise: bool) -> bool:
    """Whether the parser held."""
    outcome.cycles += 1
    try:
        value = parser.parse(data)
    except parser.refuses:
        outcome.refused += 1
        return True
    except Exception as error:
        if reraise:
            raise AssertionError(f"{outcome.name} must not raise {error!r} on {data.hex()}") from error
        outcome.crashes += 1
        outcome.first_crash = outcome.first_crash or f"{error!r} on {data.hex()}"
        return False
    if value is not None:
        outcome.accepted += 1
        outcome.not_canonical += parser.again is not None and parser.again(value) != data
        outcome.forged += parser.signed and data not in parser.valid
    return True


def _alone(slow: list[_Slow]) -> float:
    """Milliseconds of the worst input, each timed again with nothing else going on: the best of a few times."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        return max((_retimed(one.parser, one.data) for one in slow), default=0.0)
    finally:
        gc.enable()
        gc.unfreeze()


def _retimed(parser: Parser, data: bytes) -> float:
    return min(_time(lambda: parser.parse(data), parser.refuses) for _ in range(RETIMED)) / 1e6


def _time(action: Callable[[], object], refuses: tuple[type[Exception], ...]) -> int:
    before = time.thread_time_ns()
    try:
        action()
    except refuses:
        pass
    finally:
        took = time.thread_time_ns() - before
    return took
