"""Lookups of random keys among 1,000 simulated nodes: median RTT 100 ms, 1 % loss; then again with 25 % dead.

Figures are in round trips of the simulated network and in its seconds, not in those of this machine, so they are the
same everywhere. Recall counts how many of the true nearest 20 living nodes a lookup ended with.
"""

from __future__ import annotations

import argparse
import time

from simulator.__main__ import show
from simulator.figures import Figures
from simulator.options import Options
from simulator.scenarios import run

TARGETS = {  # figure: (worst value to pass, whether smaller is better)
    "median_rtt": (4.0, True),
    "p95_rtt": (6.0, True),
    "recall": (0.99, False),
    "dead25_p95_s": (2.0, True),
    "dead25_recall": (0.95, False),
}


def measure(nodes: int, seed: int, lookups: int) -> Figures:
    """Both runs as one flat object."""
    began = time.perf_counter()
    clean = run("lookup", Options(nodes=nodes, seed=seed, lookups=lookups))
    dead = run("lookup", Options(nodes=nodes, seed=seed, lookups=lookups, dead=0.25))
    kept = ("unfinished", "median_rtt", "p95_rtt", "median_s", "p95_s", "recall", "dead_in_answer")
    figures: Figures = {"nodes": nodes, "seed": seed, "lookups": lookups, "joined": clean["joined"]}
    figures |= {name: clean[name] for name in kept}
    figures |= {f"dead25_{name}": dead[name] for name in kept}
    figures |= {"trace_hash": clean["trace_hash"], "seconds": time.perf_counter() - began}
    return figures


def main() -> None:
    """Print a table of figures and targets, or one line of JSON."""
    parser = argparse.ArgumentParser(prog="scripts/bench lookup", description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lookups", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    figures = measure(asked.nodes, asked.seed, asked.lookups)
    print(f"{'figure':24} {'measured':>10} {'to reach':>10}")
    for name, (worst, smaller) in TARGETS.items():
        value = float(figures[name])
        good = value <= worst if smaller else value >= worst
        print(f"{name:24} {value:10.3f} {'<=' if smaller else '>='} {worst:7.2f}  {'yes' if good else 'NO'}")
    show(figures, as_json=asked.json)


if __name__ == "__main__":
    main()
