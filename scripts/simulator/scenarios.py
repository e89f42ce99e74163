"""The scenarios: each lets a crowd join, does something to it, and returns figures.

A scenario is a function in `SCENARIOS`; a new one needs nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from p2pmarket import limits
from simulator import crowding, eclipse, restart, scale, trouble
from simulator.crowd import Crowd, Get, Lookup
from simulator.figures import Figures, mean, quantile
from simulator.options import Options, new_crowd
from simulator.sellers import Market
from simulator.world import World

RECALL_OF = limits.BUCKET_CONTACTS  # a lookup should end with the true nearest 20


def lookup(options: Options) -> tuple[World, Figures]:
    """Random keys looked up by random nodes."""
    crowd = new_crowd(options)
    joined = len(crowd.joined)
    if options.dead:
        crowd.kill(options.dead)
    done = crowd.lookups(options.lookups)
    return crowd.world, {"joined": joined, **lookup_figures(crowd, done)}


def lookup_figures(crowd: Crowd, lookups: Sequence[Lookup]) -> Figures:
    """Durations in RTTs and seconds, and recall of the true nearest 20 living nodes."""
    seconds = [one.ended - one.started for one in lookups if one.ended is not None]
    recalls = [_recall(crowd, one) for one in lookups]
    living = {contact.public for contact in crowd.world.contacts()}
    answers = [contact.public in living for one in lookups for contact in one.contacts]
    rtt = crowd.world.rtt
    return {
        "lookups": len(lookups),
        "unfinished": len(lookups) - len(seconds),
        "median_rtt": quantile(seconds, 0.5) / rtt,
        "p95_rtt": quantile(seconds, 0.95) / rtt,
        "median_s": quantile(seconds, 0.5),
        "p95_s": quantile(seconds, 0.95),
        "recall": mean(recalls),
        "dead_in_answer": answers.count(False),
        "results_hash": _results_hash(lookups),
    }


def get(options: Options) -> tuple[World, Figures]:
    """Sellers of one category, read by random nodes that want all of them; then read again by the same nodes."""
    crowd = new_crowd(options)
    market = Market(crowd)
    market.open(options.sellers)
    if options.dead:
        crowd.kill(options.dead)
    done = market.read(options.lookups)
    again = market.read(options.lookups, readers=[one.member for one in done])
    sellers = {seller.key.public for seller in market.sellers}
    warm = get_figures(crowd, again, sellers)
    return crowd.world, {
        "sellers": len(sellers),
        **get_figures(crowd, done, sellers),
        **{f"warm_{name}": warm[name] for name in ("median_rtt", "p95_rtt", "found_ratio", "asked_mean")},
    }


def get_figures(crowd: Crowd, gets: Sequence[Get], sellers: set[bytes]) -> Figures:
    """Durations to the end and to the first record, and the share of sellers found."""
    rtt = crowd.world.rtt
    done = [one.ended - one.started for one in gets if one.ended is not None]
    first = [one.first - one.started for one in gets if one.first is not None]
    return {
        "reads": len(gets),
        "unfinished": len(gets) - len(done),
        "median_rtt": quantile(done, 0.5) / rtt,
        "p95_rtt": quantile(done, 0.95) / rtt,
        "first_median_rtt": quantile(first, 0.5) / rtt,
        "first_p95_rtt": quantile(first, 0.95) / rtt,
        "found_ratio": mean([len(one.found & sellers) / len(sellers) for one in gets]),
        "complete_ratio": mean([float(one.found >= sellers) for one in gets]),
        "asked_mean": mean([one.asked for one in gets]),
    }


def _recall(crowd: Crowd, one: Lookup) -> float:
    nearest = crowd.nearest(one.target, RECALL_OF)
    return len(nearest & {contact.public for contact in one.contacts}) / len(nearest)


def _results_hash(lookups: Sequence[Lookup]) -> str:
    """Equal for equal answers, whatever bytes carried them."""
    digest = hashlib.sha256()
    for one in lookups:
        digest.update(one.target + b"".join(contact.public for contact in one.contacts))
    return digest.hexdigest()


def trade_partition(options: Options) -> tuple[World, Figures]:
    """Two parties to trades, cut off from each other; its parts are loaded by this scenario alone."""
    from simulator.trade_partition import scenario

    return scenario(options)


SCENARIOS: dict[str, Callable[[Options], tuple[World, Figures]]] = {
    "lookup": lookup,
    "get": get,
    "churn": trouble.churn,
    "mass-death": trouble.mass_death,
    "partition": trouble.partition,
    "hot-topic": crowding.hot_topic,
    "flood": crowding.flood,
    "eclipse": eclipse.eclipse,
    "restart-eclipse": restart.restart_eclipse,
    "scale": scale.scale,
    "trade-partition": trade_partition,
}


def run(name: str, options: Options) -> Figures:
    """The figures of scenario `name` with those of its world."""
    world, figures = SCENARIOS[name](options)
    tally = world.tally
    return {
        "scenario": name,
        "nodes": options.nodes,
        "seed": options.seed,
        "cipher": options.cipher,
        "dead": options.dead,
        "loss": options.loss,
        "rtt_ms": options.rtt * 1000,
        **figures,
        "virtual_s": world.now,
        "datagrams": tally.sent,
        "datagram_bytes": tally.bytes,
        "largest_datagram_bytes": tally.largest,
        "trace_hash": world.trace_hash,
    }
