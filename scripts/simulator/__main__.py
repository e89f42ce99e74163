"""The command line of the simulator: `scripts/sim --nodes 1000 --seed 1 [--scenario NAME] [--json]`."""

from __future__ import annotations

import argparse
import gc
import json
import resource
import time
from collections.abc import Sequence

from simulator.figures import Figures, rounded
from simulator.options import Options
from simulator.scenarios import SCENARIOS, run

# A world is many small objects without cycles: looking for those as often as usual costs a fifth of the time.
GC_THRESHOLDS = (2_000_000, 20, 100)
# What trouble hides there is counted in tenths of a percent, which 200 reads do not show.
WANT_MANY, MANY_LOOKUPS = ("eclipse", "flood", "mass-death"), 1000


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """What is asked for, with the defaults of its scenario."""
    parser = argparse.ArgumentParser(prog="scripts/sim", description="A deterministic simulation of the DHT.")
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scenario", choices=sorted(SCENARIOS), default="lookup")
    parser.add_argument("--cipher", choices=("plain", "noise"), default="plain", help="plain: same sizes, no crypto")
    parser.add_argument("--dead", type=float, default=0.0, help="share of nodes killed once all have joined")
    parser.add_argument("--loss", type=float, default=0.01, help="share of datagrams lost")
    parser.add_argument("--rtt-ms", type=float, default=100.0, help="median round trip")
    parser.add_argument(
        "--lookups",
        type=int,
        help=f"lookups, reads, or partitions; {MANY_LOOKUPS} in {', '.join(WANT_MANY)}, else {Options().lookups}",
    )
    parser.add_argument("--sellers", type=int, default=60, help="sellers under one key")
    parser.add_argument("--victims", type=int, default=100, help="nodes restarted among attackers")
    parser.add_argument("--hours", type=float, default=24.0, help="of simulated time (churn)")
    parser.add_argument(
        "--days", type=float, default=2.0, help="longest partition; above 8, none is shorter (trade-partition)"
    )
    parser.add_argument("--json", action="store_true", help="one flat JSON object on the last line")
    asked = parser.parse_args(arguments)
    if asked.lookups is None:
        asked.lookups = MANY_LOOKUPS if asked.scenario in WANT_MANY else Options().lookups
    if (
        asked.nodes < 2
        or not 0 <= asked.dead < 1
        or not 0 <= asked.loss < 1
        or asked.rtt_ms <= 0
        or min(asked.lookups, asked.sellers, asked.victims) < 1
        or asked.days <= 0
    ):
        parser.error(
            "--nodes from 2, --dead and --loss from 0 to below 1, --rtt-ms above 0, "
            "--lookups, --sellers and --victims from 1, --days above 0"
        )
    return asked


def main() -> None:
    """Run one scenario; figures go to stdout, progress to stderr."""
    asked = parsed()
    options = Options(
        nodes=asked.nodes,
        seed=asked.seed,
        rtt=asked.rtt_ms / 1000,
        loss=asked.loss,
        dead=asked.dead,
        cipher=asked.cipher,
        lookups=asked.lookups,
        sellers=asked.sellers,
        victims=asked.victims,
        hours=asked.hours,
        days=asked.days,
    )
    gc.set_threshold(*GC_THRESHOLDS)
    began = time.perf_counter()
    figures = run(asked.scenario, options)
    figures["seconds"] = time.perf_counter() - began
    figures["peak_rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    show(figures, as_json=asked.json)


def show(figures: Figures, *, as_json: bool) -> None:
    """A table, or one line of JSON."""
    figures = rounded(figures)
    if as_json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:24} {value}")


if __name__ == "__main__":
    main()
