#!/usr/bin/env python3
"""The curve: what a network costs by its size, simulated one size after the other.

    scripts/bench scale [--json] [--nodes 100,300,1000,3000,10000] [--seed 1]

Each size is a run of `scripts/sim --scenario scale` in a process of its own. The table goes into docs/scale.md. With
--json each figure is named by its size, as `get_median_rtt_1000`, and `lookup_rtt_per_decade` is the slope of the
median lookup over the logarithm of the size, fitted by least squares, from which larger networks are reckoned.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from pathlib import Path

from simulator.figures import Figures

SIZES = "100,300,1000,3000,10000"
COLUMNS = {
    "hops_mean": "hops",
    "lookup_median_rtt": "lookup, median RTT",
    "lookup_p95_rtt": "p95",
    "lookup_asked": "asked",
    "get_median_rtt": "read of 60, median RTT",
    "get_p95_rtt": "p95",
    "get_asked": "asked",
    "found_ratio": "sellers found",
    "contacts_mean": "contacts",
    "join_datagrams": "datagrams to join",
    "join_kb": "kB to join",
    "kb_per_node": "kB of memory",
}
EXTRA = ("joined", "unfinished", "hops_max", "seconds", "peak_rss_mb")


def run(nodes: int, seed: int) -> Figures:
    """One size."""
    command = [sys.executable, "-m", "simulator", "--scenario", "scale", "--nodes", str(nodes), "--seed", str(seed)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run([*command, "--json"], env=environment, stdout=subprocess.PIPE, check=True)
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def slope(sizes: list[int], values: list[float]) -> float:
    """By how much the values grow for each factor of ten, by least squares."""
    at = [math.log10(size) for size in sizes]
    centre, mean = sum(at) / len(at), sum(values) / len(values)
    spread = sum((x - centre) ** 2 for x in at)
    return sum((x - centre) * (y - mean) for x, y in zip(at, values, strict=True)) / spread if spread else 0.0


def main() -> None:
    """Print the table row by row, or one line of JSON."""
    parser = argparse.ArgumentParser(prog="scripts/bench scale", description=__doc__)
    parser.add_argument("--nodes", default=SIZES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    sizes = [int(size) for size in asked.nodes.split(",")]
    out = sys.stderr if asked.json else sys.stdout
    print("| nodes | " + " | ".join(COLUMNS.values()) + " |", file=out)
    print("|---:" * (len(COLUMNS) + 1) + "|", file=out, flush=True)
    figures: Figures = {"seed": asked.seed}
    medians = []
    for size in sizes:
        found = run(size, asked.seed)
        print(
            f"| {size:,} | " + " | ".join(f"{float(found[name]):.3g}" for name in COLUMNS) + " |", file=out, flush=True
        )
        figures |= {f"{name}_{size}": found[name] for name in (*COLUMNS, *EXTRA)}
        medians.append(float(found["lookup_median_rtt"]))
    figures["lookup_rtt_per_decade"] = round(slope(sizes, medians), 3)
    if asked.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
