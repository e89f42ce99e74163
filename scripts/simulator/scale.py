"""The scenario of the curve: what one size of the network costs, in one world, after all have joined."""

from __future__ import annotations

import resource
import sys

from simulator.figures import Figures, mean, quantile
from simulator.options import Options, new_crowd
from simulator.sellers import Market
from simulator.world import World


def scale(options: Options) -> tuple[World, Figures]:
    """Joins, then lookups of random keys, then sellers of one category and reads that want them all.

    Memory is that of the whole process for each node: table, sessions and the simulator's own part.
    """
    before = resident_bytes()
    crowd = new_crowd(options)
    world = crowd.world
    tally = world.tally
    figures: Figures = {
        "joined": len(crowd.joined),
        "join_datagrams": tally.sent / options.nodes,
        "join_kb": tally.bytes / options.nodes / 1000,
        "contacts_mean": mean([len(member.node.table) for member in world.members]),
        "kb_per_node": (resident_bytes() - before) / options.nodes / 1000,
    }
    lookups = crowd.lookups(options.lookups)
    seconds = [one.ended - one.started for one in lookups if one.ended is not None]
    figures |= {
        "lookups": len(lookups),
        "unfinished": len(lookups) - len(seconds),
        "hops_mean": mean([one.hops for one in lookups]),
        "hops_max": max(one.hops for one in lookups),
        "lookup_median_rtt": quantile(seconds, 0.5) / world.rtt,
        "lookup_p95_rtt": quantile(seconds, 0.95) / world.rtt,
        "lookup_asked": mean([one.asked for one in lookups]),
    }
    market = Market(crowd)
    market.open(options.sellers)
    reads = market.read(options.lookups)
    seconds = [one.ended - one.started for one in reads if one.ended is not None]
    figures |= {
        "sellers": options.sellers,
        "get_median_rtt": quantile(seconds, 0.5) / world.rtt,
        "get_p95_rtt": quantile(seconds, 0.95) / world.rtt,
        "get_asked": mean([one.asked for one in reads]),
        "found_ratio": market.found_ratio(reads),
    }
    return world, figures


def resident_bytes() -> int:
    """What this process holds in memory now, or has held at most where that cannot be told."""
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
