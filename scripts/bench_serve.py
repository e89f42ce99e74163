#!/usr/bin/env python3
"""Requests served by one DHT node on one core, beside those of other nodes under the same load.

    scripts/bench serve [--json] [--requests N] [--rounds N]

Each server is a process of its own with a real socket on loopback. Its 20 contacts, each at an address of its own, keep
160 requests for the nodes nearest to random targets under way. Ours answers within established encrypted sessions; the
package `kademlia` on asyncio, and libtorrent if it is there (pip install libtorrent), answer what is not encrypted. The
servers take turns, round by round, so that whatever else the machine does meets all alike; figures are medians of the
rounds. CPU time is that of the server's process, user and system.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from local_market import print_figures
from serving import ours, stock_kademlia, stock_libtorrent
from serving.drive import CONTACTS, Load, Round, drive

KINDS = {"ours": ours, "kademlia": stock_kademlia, "libtorrent": stock_libtorrent}
WARM_UP = 100  # requests of each contact before anything is measured


def cpu_seconds(pid: int) -> float:
    """CPU time of a whole process: the clock that clock_getcpuclockid(3) names."""
    return time.clock_gettime((~pid << 3) | 2)


@dataclass(slots=True)
class Server:
    """A server process with its load, and what was measured."""

    process: subprocess.Popen[bytes]
    load: Load
    factor: int  # rounds are so many times longer
    rates: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    lost: int = 0
    largest: int = 0

    def run(self, requests: int) -> None:
        """One round of about `requests` requests."""
        before = cpu_seconds(self.process.pid)
        done: Round = drive(self.load, self.factor * requests // CONTACTS)
        spent = cpu_seconds(self.process.pid) - before
        self.rates.append(done.replies / done.seconds)
        self.cpu_us.append(spent * 1e6 / done.replies)
        self.shares.append(spent / done.seconds)
        self.lost += done.lost
        self.largest = max(self.largest, done.largest)


def kinds() -> list[str]:
    """The servers that can run here."""
    return [kind for kind in KINDS if kind != "libtorrent" or importlib.util.find_spec("libtorrent")]


def start(kind: str, stack: ExitStack) -> Server:
    """Run a server of this kind, and let its contacts join."""
    command = [sys.executable, str(Path(__file__)), "--server", kind]
    process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
    stack.callback(process.kill)
    assert process.stdout is not None
    said = json.loads(process.stdout.readline())
    load: Load = KINDS[kind].Load(said)
    for sock in load.sockets:
        stack.enter_context(sock)
    drive(load, WARM_UP)
    return Server(process, load, 5 if kind == "libtorrent" else 1)


def serve(kind: str) -> None:
    """Be the server."""

    def say(what: dict[str, object]) -> None:
        print(json.dumps(what), flush=True)

    KINDS[kind].serve(say)


def measure(requests: int, rounds: int) -> dict[str, object]:
    """All servers, in turns."""
    with ExitStack() as stack:
        servers = {kind: start(kind, stack) for kind in kinds()}
        gc.disable()
        for _ in range(rounds):
            for server in servers.values():
                server.run(requests)
        gc.enable()
    figures: dict[str, object] = {}
    for kind, server in servers.items():
        name = "" if kind == "ours" else f"{kind}_"
        figures[f"{name}requests_per_s"] = round(median(server.rates))
        figures[f"{name}cpu_us_per_request"] = round(median(server.cpu_us), 2)
        figures[f"{name}cpu_share"] = round(median(server.shares), 3)
        figures[f"{name}reply_bytes"] = server.largest
        figures[f"{name}lost"] = server.lost
    own, peer = servers["ours"], servers["kademlia"]
    figures["ratio"] = round(median(own.rates) / median(peer.rates), 3)
    figures["cpu_ratio"] = round(median(peer.cpu_us) / median(own.cpu_us), 3)
    return figures | {"contacts": CONTACTS, "requests": requests, "rounds": rounds}


def main() -> None:
    """Print a table, or one line of JSON."""
    parser = argparse.ArgumentParser(prog="scripts/bench serve", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--requests", type=int, default=30_000, help="in each round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--server", choices=KINDS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.server:
        serve(asked.server)
        return
    if min(asked.requests // CONTACTS, asked.rounds) < 1:
        parser.error(f"--requests from {CONTACTS}, --rounds from 1")
    print_figures(measure(asked.requests, asked.rounds), as_json=asked.json)


if __name__ == "__main__":
    main()
