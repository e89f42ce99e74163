"""Reads of a category with 60 sellers among 1,000 simulated nodes: median RTT 100 ms, 1 % loss; then with 25 % dead.

Each read is made by a node that never read the category before, and wants all sellers; then each reads once more, which
is what the `warm_` figures tell. Figures are in round trips of the simulated network, so they are the same on every
machine.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

from simulator.__main__ import show
from simulator.figures import Figures
from simulator.options import Options
from simulator.scenarios import run

WARM = ("warm_median_rtt", "warm_p95_rtt", "warm_found_ratio")
KEPT = ("unfinished", "median_rtt", "p95_rtt", "first_median_rtt", "first_p95_rtt", "found_ratio", "complete_ratio")


def measure(nodes: int, seed: int, reads: int, sellers: int) -> Figures:
    """Both runs as one flat object."""
    began = time.perf_counter()
    options = Options(nodes=nodes, seed=seed, lookups=reads, sellers=sellers)
    clean = run("get", options)
    dead = run("get", replace(options, dead=0.25))
    figures: Figures = {"nodes": nodes, "seed": seed, "reads": reads, "sellers": sellers}
    figures |= {name: clean[name] for name in (*KEPT, *WARM, "asked_mean")}
    figures |= {f"dead25_{name}": dead[name] for name in (*KEPT, *WARM, "asked_mean")}
    figures |= {"trace_hash": clean["trace_hash"], "seconds": time.perf_counter() - began}
    return figures


def main() -> None:
    """Print a table, or one line of JSON."""
    parser = argparse.ArgumentParser(prog="scripts/bench get", description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--reads", type=int, default=500)
    parser.add_argument("--sellers", type=int, default=60)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    show(measure(asked.nodes, asked.seed, asked.reads, asked.sellers), as_json=asked.json)


if __name__ == "__main__":
    main()
