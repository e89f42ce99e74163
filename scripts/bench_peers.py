"""Our node beside stock kademlia, OpenDHT and libtorrent: real processes on the same emulated wide-area network.

    scripts/bench peers [--peers ours,kademlia] [--cases clean,many] [--nodes 64] [--rtt-ms 50] [--json]

Needs Linux, root, `ip` (iproute2) and a C compiler; 64 processes of each peer take 2 to 4 GB. Every node is a process
of its own in a network namespace of its own; ours is the node and UDP shell of the daemon, and holds, for the cases
with many writers, further nodes of the same kind that publish from other subnets. The peers' libraries are for this
benchmark only:

    .venv/bin/pip install opendht==4.4.2 libtorrent==2.1.1

A peer that is missing is said to be missing, and the run goes on without it. What is done and counted: the heads of
scripts/peers/workload.py and table.py. `router_late_ms` over 1 means that the machine was too busy to believe in.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import trio
from peers import kademlia_peer, libtorrent_peer, opendht_peer, ours
from peers.crew import CrewError, crew
from peers.table import Figures, aims, figures_of, markdown
from peers.wan import Wan, WanError, missing
from peers.workload import CASES, WRITERS, Done, Work

PACKAGES = {
    "ours": ours.PACKAGES,
    "kademlia": kademlia_peer.PACKAGES,
    "opendht": opendht_peer.PACKAGES,
    "libtorrent": libtorrent_peer.PACKAGES,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print tables, or one line of JSON; 2 if it cannot be run here."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    if asked.nodes < 4:
        parser.error("--nodes from 4")
    lacks = missing()
    if lacks:
        print(f"bench peers: this machine has no {lacks}", file=sys.stderr)
        return 2
    present = [peer for peer in asked.peers if _is_here(peer)]
    absent = [peer for peer in asked.peers if peer not in present]
    for peer in absent:
        print(f"bench peers: {peer} is MISSING: pip install {PACKAGES[peer][0]}; going on without it", file=sys.stderr)
    figures: Figures = {"nodes": asked.nodes, "rtt_ms": asked.rtt_ms, "seed": asked.seed, "missing": ",".join(absent)}
    for peer in present:
        figures |= {f"{name}_version": version(name) for name in PACKAGES[peer]}
        figures |= _measure(peer, asked)
    figures["load1"] = round(os.getloadavg()[0], 2)
    rtt = asked.rtt_ms / 1000
    print("\n".join(aims(figures, rtt)), file=sys.stderr)
    print(markdown(figures, present, asked.cases), file=sys.stderr if asked.json else sys.stdout)
    if asked.json:
        print(json.dumps(figures))
    return 0


def _interrupt(number: int, frame: object) -> None:
    """Be ended as by Ctrl-C, so that the namespaces go too."""
    signal.raise_signal(signal.SIGINT)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", type=_some_of(tuple(PACKAGES)), default=list(PACKAGES), help="some, with commas")
    parser.add_argument("--cases", type=_some_of(CASES), default=list(CASES), help=f"some of {','.join(CASES)}")
    parser.add_argument("--nodes", type=int, default=64)
    parser.add_argument("--rtt-ms", type=float, default=50.0)
    parser.add_argument("--operations", type=int, default=50, help="puts and gets of each case")
    parser.add_argument("--repeats", type=int, default=1, help="networks of each kind, with other seeds; pooled")
    parser.add_argument("--settle", type=float, default=30.0, help="seconds of quiet after joining")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="one flat JSON object on the last line")
    return parser


def _some_of(names: Sequence[str]) -> Callable[[str], list[str]]:
    """A type for argparse: names with commas between them, in their own order."""

    def chosen(text: str) -> list[str]:
        asked = [name.strip() for name in text.split(",") if name.strip()]
        unknown = [name for name in asked if name not in names]
        if unknown or not asked:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown) or 'nothing'}: choose from {', '.join(names)}")
        return [name for name in names if name in asked]

    return chosen


def _is_here(peer: str) -> bool:
    return all(importlib.util.find_spec(package) is not None for package in PACKAGES[peer])


def _measure(peer: str, asked: argparse.Namespace) -> Figures:
    """All cases of one peer, as flat figures."""
    done: dict[str, Done] = {}
    for seed in range(asked.seed, asked.seed + asked.repeats):
        for network in _networks(asked.cases):
            print(f"{peer}, seed {seed}: {', '.join(network)}", file=sys.stderr, flush=True)
            try:
                trio.run(_one_network, peer, network, seed, asked, done)
            except (CrewError, WanError) as error:
                print(f"bench peers: {peer}: {error}", file=sys.stderr)
                return {f"{peer}_error": str(error).splitlines()[0]}
    figures: Figures = {}
    for case, what in done.items():
        figures |= figures_of(peer, case, what, asked.rtt_ms / 1000)
    return figures


def _networks(cases: Sequence[str]) -> list[list[str]]:
    """Which cases share a network."""
    first = [case for case in cases if case not in WRITERS]
    third = [case for case in cases if case in WRITERS]
    return [network for network in (first, ["dead25 puts"] if "dead25" in cases else [], third) if network]


async def _one_network(
    peer: str, cases: Sequence[str], seed: int, asked: argparse.Namespace, done: dict[str, Done]
) -> None:
    """Build a network, let the peer's nodes join, do what belongs there."""
    with tempfile.TemporaryDirectory(prefix="peers-") as folder:
        wan = Wan(f"peers{os.getpid()}", Path(folder), asked.nodes, rtt_ms=asked.rtt_ms, seed=seed, spare=ours.SPARE)
        with wan:
            async with crew(peer, wan, Path(folder), seed) as nodes:
                failed = await nodes.join(seed)
                if failed:
                    print(f"  {failed} of {asked.nodes} nodes could not join", file=sys.stderr)
                await trio.sleep(asked.settle)
                work = Work(nodes, seed, asked.operations, done)
                if cases[0] in WRITERS:
                    for case in cases:
                        await work.many(case)
                elif cases[0] == "dead25 puts":
                    await work.writes_after_deaths()
                else:
                    await work.reads_and_writes(cases)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(main())
