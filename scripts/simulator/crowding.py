"""Scenarios of popular keys: many honest sellers under one, and floods against some of them."""

from __future__ import annotations

from functools import partial

from p2pmarket.keys import SigningKey
from simulator.figures import Figures, mean, quantile
from simulator.options import Options, new_crowd
from simulator.sellers import Market, Seller
from simulator.world import World

FLOOD_FACTOR = 20
FLOOD_SUBNETS = (1, 10, 50, 200)
FLOOD_SECONDS = 120.0


def hot_topic(options: Options) -> tuple[World, Figures]:
    """`--sellers` sellers under one key, each with an address of his own; reads that want all, and that want 20."""
    crowd = new_crowd(options)
    market = Market(crowd)
    places = [crowd.world.members[number % options.nodes] for number in range(options.sellers)]
    market.open(options.sellers, members=places, refresh=False)
    crowd.world.run_until(crowd.world.now + 60)
    few = crowd.gets(options.lookups, market.keys(), 20)
    before = crowd.world.tally.sent
    every = market.read(options.lookups)
    rtt = crowd.world.rtt
    return crowd.world, {
        "sellers": options.sellers,
        "found_ratio": market.found_ratio(every),
        "datagrams_per_read": (crowd.world.tally.sent - before) / len(every),
        "median_rtt": quantile([get.ended - get.started for get in every if get.ended], 0.5) / rtt,
        "p95_rtt": quantile([get.ended - get.started for get in every if get.ended], 0.95) / rtt,
        "found_of_20_mean": mean([min(20, len(get.found)) for get in few]),
        "few_median_rtt": quantile([get.ended - get.started for get in few if get.ended], 0.5) / rtt,
    }


def flood(options: Options) -> tuple[World, Figures]:
    """Twenty times as many records as there are honest ones are put under their key, from 1 to 200 subnets.

    The attackers hold no records: nodes that join only to lie belong to another scenario.
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
    hosts = [crowd.join_one(reachable=False) for _ in range(subnets)]
    world.run_until(world.now + 30)
    count = FLOOD_FACTOR * options.sellers
    attackers.sellers = [Seller(hosts[n % subnets], SigningKey(crowd.rng.randbytes(32))) for n in range(count)]
    for number, seller in enumerate(attackers.sellers):
        world.call_at(world.now + FLOOD_SECONDS * number / count, partial(attackers.announce, seller))
    world.run_until(world.now + FLOOD_SECONDS + 30)
    gets = crowd.gets(options.lookups, market.keys(), 10**6)
    share = market.found_ratio(gets)
    crowd.say(f"flood from {subnets} subnets: found {share:.4f} of the honest sellers")
    return world, share
