"""Junk at 20,000 datagrams a second, from one address and from 1,000: does a node's own work go on?

    scripts/torture junk [--seconds 60] [--rate 20000] [--json]

A real node process in a network of sixteen on loopback (network `test`, each in a /24 of its own) looks things up five
times a second: for ten seconds in peace, then under junk from one address, then under junk from a thousand. Half of the
junk is shaped as first contacts, half of those hold. What succeeds and what is in the junk: the heads of
scripts/flood/nodes.py and sender.py. Printed: the rates really reached, the share of its own lookups that succeeded and
their seconds, memory in the middle and at the end of each flood, CPU time, and how many datagrams the system dropped
before the node saw them. The processes take real-time priority if they may: where the node is not let run for a fifth
of a second by other work, its socket's buffer overflows, and no order of reading helps. Exit code 1 if less than 99 %
of the lookups succeeded or memory grew by more than 3 MB in the second half of a flood. Linux.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from flood.places import TARGET, address
from local_market import print_figures

SCRIPTS = Path(__file__).resolve().parent
PEACE_SECONDS = 10.0
STOP_SECONDS = 10.0
SPELLS = {"peace": 0, "one": 1, "many": 1000}  # addresses that junk comes from
GROWTH_MB = 3.0
COUNTED = ("rate_limited", "bad", "unusable", "served", "timeouts")
LEAST = 0.99
Figures = dict[str, object]


class Process:
    """A python module that speaks in lines of JSON."""

    def __init__(self, module: str, *arguments: object) -> None:
        environment = {**os.environ, "PYTHONPATH": f"{SCRIPTS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )

    def say(self, order: dict[str, object]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        """The next line; raises RuntimeError if the process has ended instead."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} ended with {self._process.wait()}")
        told: dict[str, Any] = json.loads(line)
        return told

    def end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def process(module: str, *arguments: object) -> Iterator[Process]:
    """A process that is ready, and is ended."""
    started = Process(module, *arguments)
    try:
        started.hear()
        yield started
    finally:
        started.end()


def flood(seconds: float, rate: float, peace: float = PEACE_SECONDS) -> Figures:
    """The three spells as flat figures."""
    figures: Figures = {"seconds": seconds, "rate": rate}
    with ExitStack() as stack:
        stack.enter_context(process("flood.nodes", "neighbours"))
        target = stack.enter_context(process("flood.nodes", "target"))
        before: dict[str, Any] = {"cpu_s": 0.0, "socket_received": 0}
        dropped = _dropped()
        for name, addresses in SPELLS.items():
            length = seconds if addresses else peace
            with ExitStack() as spell:
                sender = None
                if addresses:
                    sender = spell.enter_context(process("flood.sender", rate, length + 1, addresses))
                target.say({"seconds": length})
                told = target.hear()
                junk = sender.hear() if sender is not None else {"per_s": 0.0, "cpu_s": 0.0}
            lost, dropped = _dropped() - dropped, _dropped()
            figures |= _spell(name, told, before, junk, lost, length)
            before = told
            print(f"{name}: {told['good']} of {told['lookups']} lookups", file=sys.stderr, flush=True)
    return figures


def _spell(
    name: str, told: dict[str, Any], before: dict[str, Any], junk: dict[str, Any], lost: int, length: float
) -> Figures:
    counted = {
        what: told[what] - before.get(what, 0)
        for what in (
            "socket_received",
            "node_rate_limited",
            "node_bad",
            "node_unusable",
            "node_served",
            "node_timeouts",
        )
    }
    return {
        f"{name}_junk_per_s": round(junk["per_s"]),
        f"{name}_lookups": told["lookups"],
        f"{name}_good_ratio": round(told["good"] / told["lookups"], 4),
        **{f"{name}_{what}": told[what] for what in ("median_s", "p95_s", "worst_s")},
        f"{name}_cpu_share": round((told["cpu_s"] - before["cpu_s"]) / length, 3),
        f"{name}_rss_half_mb": round(told["rss_half_mb"], 1),
        f"{name}_rss_mb": round(told["rss_mb"], 1),
        f"{name}_dropped_by_system": lost,
        **{f"{name}_{what.partition('_')[2]}": count for what, count in counted.items()},
    }


def _dropped() -> int:
    """Datagrams for the target that found its socket's buffer full."""
    host, port = address(TARGET)
    local = f"{struct.unpack('<I', socket.inet_aton(host))[0]:08X}:{port:04X}"
    for line in Path("/proc/net/udp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if fields[1] == local:
            return int(fields[-1])
    return 0


def holds(figures: Figures) -> bool:
    """Whether the node's own work went on, in the same memory."""

    def figure(name: str) -> float:
        return float(str(figures[name]))

    flat = all(figure(f"{name}_rss_mb") - figure(f"{name}_rss_half_mb") <= GROWTH_MB for name in SPELLS)
    return flat and all(figure(f"{name}_good_ratio") >= LEAST for name in SPELLS)


def main() -> int:
    """Print figures."""
    parser = argparse.ArgumentParser(
        prog="scripts/torture junk", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="of each flood")
    parser.add_argument("--rate", type=float, default=20_000.0, help="datagrams a second")
    parser.add_argument("--json", action="store_true", help="one flat JSON object on the last line")
    asked = parser.parse_args()
    figures = flood(asked.seconds, asked.rate)
    print_figures(figures, asked.json)
    return int(not holds(figures))


if __name__ == "__main__":
    sys.exit(main())
