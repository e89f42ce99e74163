"""Scenarios of an attacker who wants a category, or a node, to see nobody but him."""

from __future__ import annotations

from simulator.figures import Figures
from simulator.liars import besiege
from simulator.options import Options, new_crowd
from simulator.sellers import Market
from simulator.world import World

SUBNETS = (20, 100, 200)
HOST_IDS = 4000  # of one host
IDS_PER_SUBNET = 4
INVENTED = 2000  # sellers
SUBNETS_INVENTING = (20, 100)
EVERY = 10**6
SIEGE_SECONDS = 120.0  # before the sellers announce


def eclipse(options: Options) -> tuple[World, Figures]:
    """Liars near the key of a category: one host with 4,000 ids, then 20, 100 and 200 subnets.

    Then 20 and 100 once more, where half of the liars hold what 2,000 invented sellers have signed, and reads want all:
    a tenth of the reads, for each of them has to look through all of that.
    """
    figures: Figures = {"sellers": options.sellers}
    world, figures["found_ratio_host1"] = _besieged(options, 1, HOST_IDS)
    for subnets in SUBNETS:
        world, figures[f"found_ratio_{subnets}"] = _besieged(options, subnets, IDS_PER_SUBNET)
    for subnets in SUBNETS_INVENTING:
        world, figures[f"found_ratio_{subnets}_invented"] = _besieged(options, subnets, IDS_PER_SUBNET, INVENTED)
    figures["found_ratio"] = figures["found_ratio_20"]
    return world, figures


def _besieged(options: Options, subnets: int, ids: int, invented: int = 0) -> tuple[World, float]:
    crowd = new_crowd(options)
    world = crowd.world
    market = Market(crowd)
    honest = crowd.some(len(world.members))
    hosts = [_subnet(world.new_host()) for _ in range(subnets)]
    records = [market.record(seller).envelope for seller in market.strangers(honest[-1], invented)]
    liars = besiege(world, market.keys()[0], hosts, ids, records=records)
    world.run_until(world.now + SIEGE_SECONDS)
    market.open(options.sellers, members=honest[: options.sellers])
    readers = [honest[number % len(honest)] for number in range(options.lookups)]
    want, reads = (EVERY, -(-options.lookups // 10)) if invented else (len(market.sellers), options.lookups)
    share = market.found_ratio(crowd.gets(reads, market.keys(), want, readers=readers[:reads], spread=20))
    crowd.say(f"{liars} liars in {subnets} subnets: found {share:.4f} of the sellers")
    return world, share


def _subnet(host: str) -> list[str]:
    """All hosts of the /24 of `host`."""
    head = host.rsplit(".", 1)[0]
    return [f"{head}.{last}" for last in range(1, 255)]
