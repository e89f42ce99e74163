#!/usr/bin/env python3
"""What a command costs, and what a daemon costs that has nothing to do.

    scripts/bench cli [--json] [--runs N] [--idle SECONDS]

`market --version` and `market status` as whole processes, beside `python -c pass`, in turns, so that whatever else the
machine does meets all three alike; medians. The daemon is idle in a market of three: joined, with one announcement to
keep; its memory and its CPU time are read from /proc after a minute's rest.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from local_market import BIN, Daemon, LocalMarket, print_figures, wait_for

SETTLE_SECONDS = 20.0


def milliseconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - began) * 1000


def commands(daemon: Daemon, runs: int) -> dict[str, object]:
    """Medians of the three commands, taken in turns."""
    kinds = {
        "baseline_ms": [sys.executable, "-c", "pass"],
        "version_ms": [str(BIN / "market"), "--version"],
        "status_ms": daemon.command("status"),
    }
    times: dict[str, list[float]] = {name: [] for name in kinds}
    for run in range(runs + 1):
        for name, command in kinds.items():
            spent = milliseconds(command)
            if run:  # the first loads files into memory
                times[name].append(spent)
    return {name: round(median(values), 1) for name, values in times.items()}


def idle(daemon: Daemon, seconds: float) -> dict[str, object]:
    """Memory and CPU of a daemon that nobody asks anything."""
    time.sleep(SETTLE_SECONDS)
    began, used = time.monotonic(), daemon.cpu_seconds()
    time.sleep(seconds)
    share = (daemon.cpu_seconds() - used) / (time.monotonic() - began)
    return {"idle_rss_mb": round(daemon.rss_bytes() / 1e6, 1), "idle_cpu_percent": round(share * 100, 2)}


def measure(net: LocalMarket, runs: int, seconds: float) -> dict[str, object]:
    net.add_bootstrap()
    daemon, other = net.add("daemon"), net.add("other")
    net.start([daemon, other])
    daemon.market("announce", "coffee/roasted", "--serves", "world")
    wait_for("the daemon to be announced", 30, lambda: daemon.market("announcements")["announcements"][0]["holders"])
    return {**commands(daemon, runs), **idle(daemon, seconds), "runs": runs, "idle_seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench cli")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--idle", type=float, default=60.0, metavar="SECONDS")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="market-") as folder, LocalMarket(Path(folder)) as net:
        figures = measure(net, options.runs, options.idle)
    print_figures(figures, as_json=options.json)


if __name__ == "__main__":
    main()
