"""Everything that reads bytes from outside, fed random and mutated input.

    scripts/torture fuzz [--cycles N] [--datagrams N] [--seed S] [--json]

With `--datagrams 10000000` a whole node with real sessions is sent so many, mutated or with mutated messages in them.
`suspects` took 4 ms or more by the clock, as a busy machine makes them; they are timed again alone, with the garbage
collector frozen, and `slowest_datagram_ms` is the thread's CPU time for the worst. `rss_tenth_mb` and `rss_last_mb` are
the memory after a tenth of them, when all caches are full, and after the last. Otherwise, or with `--cycles` too, every
parser is fed on its own.

`cycles` counts inputs to each parser. A crash is any error but the one that the parser may raise; `not_canonical`
counts accepted inputs that do not re-encode to the same bytes, `forged` accepted ones that nobody signed, `slowest_ms`
the thread's CPU time for the worst input of the wire (`slowest_file_ms`: of files), timed again alone. Exit code 1 if
any of the first three is not zero.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys

from fuzzing.datagrams import Run, send
from fuzzing.parsers import PARSERS, WIRE
from fuzzing.run import Outcome, fuzz

CYCLES = 100_000
Figures = dict[str, float | int | str]


def main() -> int:
    """Print a table, or one line of JSON."""
    parser = argparse.ArgumentParser(prog="scripts/torture fuzz", description=__doc__)
    parser.add_argument("--cycles", type=int, help="inputs for each parser (100,000)")
    parser.add_argument("--datagrams", type=int, default=0, help="mutated datagrams sent to a whole node")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--parser", choices=sorted(PARSERS), action="append", help="only these")
    parser.add_argument("--json", action="store_true", help="one flat JSON object on the last line")
    asked = parser.parse_args()
    if asked.cycles is not None and asked.cycles < 1:
        parser.error("--cycles from 1")
    figures: Figures = {"seed": asked.seed, "crashes": 0, "not_canonical": 0, "forged": 0}
    if asked.datagrams:
        figures |= _to_a_node(asked.datagrams, asked.seed)
    if asked.cycles or not asked.datagrams:
        outcomes = _parsers(asked.parser or list(PARSERS), asked.cycles or CYCLES, asked.seed)
        crashes = figures["crashes"]
        figures |= _figures(outcomes)
        figures["crashes"] = int(figures["crashes"]) + int(crashes)
    print(json.dumps(figures) if asked.json else "\n".join(f"{name:24} {value}" for name, value in figures.items()))
    return int(any(figures[name] for name in ("crashes", "not_canonical", "forged")))


def _to_a_node(datagrams: int, seed: int) -> Figures:
    """The run against a whole node."""
    run = Run()
    for run in send(datagrams, seed):
        text = f"{run.datagrams:11} datagrams {run.crashes:3} crashes {run.rss_mb[-1]:7.1f} MB {run.seconds:8.1f} s"
        text = f"{text} {run.slowest_ms:7.3f} ms"
        print(f"{text} {run.first_crash}", file=sys.stderr, flush=True)
    return {
        "datagrams": run.datagrams,
        "understood": run.understood,
        "crashes": run.crashes,
        "slowest_datagram_ms": round(run.slowest_ms, 3),
        "suspects": sum(map(len, run.suspects.values())),
        "rss_tenth_mb": round(run.rss_mb[len(run.rss_mb) // 10], 1),
        "rss_last_mb": round(run.rss_mb[-1], 1),
        "datagrams_seconds": round(run.seconds, 1),
    }


def _parsers(names: list[str], cycles: int, seed: int) -> list[Outcome]:
    """The runs against parsers."""
    outcomes: list[Outcome] = []
    for name in names:
        outcome = fuzz(name, PARSERS[name], cycles, seed)
        outcomes.append(outcome)
        print(_line(outcome), file=sys.stderr, flush=True)
    return outcomes


def _line(outcome: Outcome) -> str:
    text = f"{outcome.name:18} {outcome.cycles:9} inputs {outcome.accepted:8} accepted {outcome.crashes:3} crashes"
    return f"{text} {outcome.slowest_ms:7.3f} ms worst {outcome.seconds:7.1f} s {outcome.first_crash}"


def _figures(outcomes: list[Outcome]) -> Figures:
    worst = max(outcomes, key=lambda outcome: outcome.slowest_ms if outcome.name in WIRE else 0)
    return {
        "parsers": len(outcomes),
        "cycles": sum(outcome.cycles for outcome in outcomes),
        "accepted": sum(outcome.accepted for outcome in outcomes),
        "refused": sum(outcome.refused for outcome in outcomes),
        "crashes": sum(outcome.crashes for outcome in outcomes),
        "not_canonical": sum(outcome.not_canonical for outcome in outcomes),
        "forged": sum(outcome.forged for outcome in outcomes),
        "slowest_ms": round(worst.slowest_ms, 3),
        "slowest_parser": worst.name,
        "slowest_file_ms": round(max([one.slowest_ms for one in outcomes if one.name not in WIRE], default=0), 3),
        "seconds": round(sum(outcome.seconds for outcome in outcomes), 1),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


if __name__ == "__main__":
    sys.exit(main())
