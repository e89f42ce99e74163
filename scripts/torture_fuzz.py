"""Every parser of bytes from outside, fed random and mutated input: scripts/torture fuzz --cycles N --seed S --json.

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

from fuzzing.parsers import PARSERS, WIRE
from fuzzing.run import Outcome, fuzz


def main() -> int:
    """Print a table, or one line of JSON."""
    parser = argparse.ArgumentParser(prog="scripts/torture fuzz", description=__doc__)
    parser.add_argument("--cycles", type=int, default=100_000, help="inputs for each parser")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--parser", choices=sorted(PARSERS), action="append", help="only these")
    parser.add_argument("--json", action="store_true", help="one flat JSON object on the last line")
    asked = parser.parse_args()
    if asked.cycles < 1:
        parser.error("--cycles from 1")
    outcomes: list[Outcome] = []
    for name in asked.parser or PARSERS:
        outcome = fuzz(name, PARSERS[name], asked.cycles, asked.seed)
        outcomes.append(outcome)
        print(_line(outcome), file=sys.stderr, flush=True)
    figures = _figures(outcomes, asked.seed)
    print(json.dumps(figures) if asked.json else "\n".join(f"{name:24} {value}" for name, value in figures.items()))
    return int(any(figures[name] for name in ("crashes", "not_canonical", "forged")))


def _line(outcome: Outcome) -> str:
    text = f"{outcome.name:18} {outcome.cycles:9} inputs {outcome.accepted:8} accepted {outcome.crashes:3} crashes"
    return f"{text} {outcome.slowest_ms:7.3f} ms worst {outcome.seconds:7.1f} s {outcome.first_crash}"


def _figures(outcomes: list[Outcome], seed: int) -> dict[str, float | int | str]:
    worst = max(outcomes, key=lambda outcome: outcome.slowest_ms if outcome.name in WIRE else 0)
    return {
        "seed": seed,
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
