"""Scenarios of popular keys: many honest sellers under one, and floods against some of them."""

from __future__ import annotations

from functools import partial
from math import ceil, exp, log

from p2pmarket import limits
from p2pmarket.keys import SigningKey
from simulator.crowd import Crowd, Get
from simulator.figures import Figures, mean, quantile
from simulator.options import Options, new_crowd
from simulator.sellers import Market, Seller
from simulator.world import World

FEW = limits.SELLERS_ASKED  # what a buyer's request wants
EVERY = 10**6
PUTS_PER_SECOND = 100
WHOLE_READS = 10  # that want all sellers
REACHED = 0.01  # share of sellers that repeated draws of FEW may leave out by chance

FLOOD_FACTOR = 20
FLOOD_SUBNETS = (1, 10, 50, 200)
FLOOD_SECONDS = 120.0


def hot_topic(options: Options) -> tuple[World, Figures]:
    """`--sellers` sellers under one key, each in a /24 of his own: all of them read, and few as by a buyer's request.

    They come in one burst, and once more as they refresh. The last reads are repeated until every seller should have
    been drawn.
    """
    crowd = new_crowd(options)
    market = Market(crowd)
    market.visit(options.sellers)
    seconds = max(30.0, options.sellers / PUTS_PER_SECOND)
    figures: Figures = {"sellers": options.sellers}
    for name in ("burst_", ""):
        market.announce_all(market.sellers, seconds)
        crowd.say(f"{options.sellers} sellers have announced")
        figures |= _read_all(market, name, min(WHOLE_READS, options.lookups))
    figures |= _read_few(market, options.lookups)
    return crowd.world, figures


def _read_all(market: Market, name: str, count: int) -> Figures:
    crowd = market.crowd
    before, bytes_before = crowd.world.tally.sent, crowd.world.tally.bytes
    gets = crowd.gets(count, market.keys(), EVERY, spread=10)
    figures: Figures = {
        f"{name}found_ratio": market.found_ratio(gets),
        f"{name}read_datagrams": (crowd.world.tally.sent - before) / count,
        f"{name}read_bytes": (crowd.world.tally.bytes - bytes_before) / count,
        **_durations(crowd, gets, f"{name}read_"),
    }
    crowd.say(f"read all: {figures}")
    return figures


def _durations(crowd: Crowd, gets: list[Get], name: str) -> Figures:
    done = [get.ended - get.started for get in gets if get.ended is not None]
    rtt = crowd.world.rtt
    return {
        f"{name}median_rtt": quantile(done, 0.5) / rtt,
        f"{name}p95_rtt": quantile(done, 0.95) / rtt,
        f"{name}worst_s": quantile(done, 1.0),
    }


def _read_few(market: Market, count: int) -> Figures:
    """Reads that want few: what one costs, what it asks of the busiest node, and whom many reach together."""
    crowd, world = market.crowd, market.crowd.world
    served = {member.index: member.node.counters.served for member in crowd.nodes()}
    before, bytes_before = world.tally.sent, world.tally.bytes
    gets = crowd.gets(count, market.keys(), FEW, spread=10)
    load = [member.node.counters.served - served[member.index] for member in crowd.nodes()]
    figures: Figures = {
        "few_found_mean": mean([len(get.found) for get in gets]),
        "few_read_datagrams": (world.tally.sent - before) / count,
        "few_read_bytes": (world.tally.bytes - bytes_before) / count,
        "few_busiest_served": max(load) / count,
        **_durations(crowd, gets, "few_read_"),
    }
    crowd.say(f"read few: {figures}")
    sellers = {seller.key.public for seller in market.sellers}
    wanted = ceil(-log(REACHED) * len(sellers) / FEW)
    while len(gets) < wanted:
        gets += crowd.gets(min(500, wanted - len(gets)), market.keys(), FEW, spread=10)
    reached = set[bytes]().union(*(get.found for get in gets)) & sellers
    draws = sum(len(get.found) for get in gets)
    return figures | {
        "few_reads": len(gets),
        "few_reached_ratio": len(reached) / len(sellers),
        "few_reached_by_chance": 1 - exp(-draws / len(sellers)),
    }


def flood(options: Options) -> tuple[World, Figures]:
    """Twenty times as many records as there are honest ones are put under their key, from 1 to 200 subnets.

    The attackers are nodes of the network like all others, and hold records too; liars belong to another scenario.
    """
    figures: Figures = {"sellers": options.sellers}
    world = World(options.seed)
    for subnets in FLOOD_SUBNETS:
        world, share = _flooded(options, subnets)
        figures[f"found_ratio_{subnets}"] = share
    figures["found_ratio"] = min(float(figures[f"found_ratio_{subnets}"]) for subnets in FLOOD_SUBNETS)
    return world, figures


def _flooded(options: Options, subnets: int) -> tuple[World, float]:
    crowd = new_crowd(options)
    world = crowd.world
    market = Market(crowd)
    market.open(options.sellers)
    attackers = Market(crowd)
    honest = crowd.nodes()
    hosts = [crowd.join_one() for _ in range(subnets)]
    world.run_until(world.now + 60)
    count = FLOOD_FACTOR * options.sellers
    attackers.sellers = [Seller(hosts[n % subnets], SigningKey(crowd.rng.randbytes(32))) for n in range(count)]
    for number, seller in enumerate(attackers.sellers):
        world.call_at(world.now + FLOOD_SECONDS * number / count, partial(attackers.announce, seller))
    world.run_until(world.now + FLOOD_SECONDS + 30)
    readers = [honest[number % len(honest)] for number in range(options.lookups)]
    gets = crowd.gets(options.lookups, market.keys(), EVERY, readers=readers, spread=20)
    share = market.found_ratio(gets)
    crowd.say(f"flood from {subnets} subnets: found {share:.4f} of the honest sellers")
    return world, share
