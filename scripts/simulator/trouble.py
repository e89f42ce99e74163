"""Scenarios in which nodes come, go, die at once, or cannot reach each other.

Sellers sit on nodes that live on and refresh their announcements within the hour, as daemons do; everything else is
fair game. What is measured is what the market promises: the share of announced sellers that a read finds.
"""

from __future__ import annotations

from functools import partial

from simulator.crowd import BOOTSTRAPS
from simulator.figures import Figures, mean
from simulator.options import Options, new_crowd
from simulator.sellers import Market, Seller
from simulator.world import Member, World

REPLACED_PER_HOUR = 0.5
READ_EVERY = 600.0  # seconds
HEALED_MINUTES = (1, 10, 60, 180)  # after the last, whatever was stored before the cut is forgotten
NEWCOMER_SECONDS = 60.0  # who has been there for so long is expected to read well


def churn(options: Options) -> tuple[World, Figures]:
    """Half the nodes are replaced each hour, one at a time, without a word; traffic is idle between reads."""
    crowd = new_crowd(options)
    world = crowd.world
    market = Market(crowd)
    market.open(options.sellers)
    settled = {seller.member for seller in market.sellers} | set(world.members[:BOOTSTRAPS])
    pause = 3600 / (REPLACED_PER_HOUR * options.nodes)
    start, end = world.now, world.now + options.hours * 3600
    bytes_before = world.tally.bytes

    def replace_one() -> None:
        leaving = [member for member in world.living() if member not in settled]
        if leaving:
            world.kill(crowd.rng.choice(leaving))
        crowd.join_one()
        if world.now + pause < end:
            world.call_at(world.now + pause, replace_one)

    world.call_at(start + pause, replace_one)
    shares: list[float] = []
    idle_bytes, idle_seconds = 0, 0.0
    while world.now < end:
        since, sent = world.now, world.tally.bytes
        world.run_until(min(end, world.now + READ_EVERY))
        idle_bytes, idle_seconds = idle_bytes + world.tally.bytes - sent, idle_seconds + world.now - since
        readers = [member for member in world.living() if world.now - member.born > NEWCOMER_SECONDS]
        gets = market.read(10, readers=crowd.rng.sample(readers, 10))
        shares.append(market.found_ratio(gets))
        crowd.say(f"found {shares[-1]:.4f} of the sellers, {len(world.members) - options.nodes} nodes replaced")
    seconds = world.now - start
    return world, {
        "sellers": options.sellers,
        "reads": 10 * len(shares),
        "found_ratio": mean(shares),
        "found_ratio_worst": min(shares),
        "replaced": len(world.members) - options.nodes,
        "hours": seconds / 3600,
        "bytes_per_s": (world.tally.bytes - bytes_before) / seconds / options.nodes,
        "idle_bytes_per_s": idle_bytes / idle_seconds / options.nodes,
    }


def mass_death(options: Options) -> tuple[World, Figures]:
    """Half of all nodes die at once; reads a minute later, and after an hour."""
    crowd = new_crowd(options)
    world = crowd.world
    market = Market(crowd)
    market.open(options.sellers)
    settled = {seller.member for seller in market.sellers}
    others = [member for member in world.members if member not in settled]
    for member in crowd.rng.sample(others, min(options.nodes // 2, len(others))):
        world.kill(member)
    moment = world.now
    figures: Figures = {"sellers": options.sellers, "living": len(world.living())}
    for name, seconds in (("at_once", 0), ("1_min", 60), ("60_min", 3600)):
        world.run_until(max(world.now, moment + seconds))
        gets = market.read(options.lookups)
        figures[f"found_ratio_{name}"] = market.found_ratio(gets)
        crowd.say(f"{name}: found {figures[f'found_ratio_{name}']:.4f}")
    idle_from, idle_bytes = world.now, world.tally.bytes
    world.run_until(world.now + 1800)
    figures["idle_bytes_per_s"] = (world.tally.bytes - idle_bytes) / (world.now - idle_from) / len(world.living())
    figures["found_ratio"] = figures["found_ratio_60_min"]
    return world, figures


def partition(options: Options) -> tuple[World, Figures]:
    """For an hour nothing passes between two halves; reads during it, and after it is over."""
    crowd = new_crowd(options)
    world = crowd.world
    market = Market(crowd)
    market.open(options.sellers)
    east = set(crowd.rng.sample(range(options.nodes), options.nodes // 2))
    world.cut = partial(_apart, east)
    world.run_until(world.now + 3600)
    figures: Figures = {"sellers": options.sellers}
    figures["found_ratio_own_side"] = mean([_read_side(market, east, side, options) for side in (True, False)])
    world.cut = None
    healed = world.now
    for minutes in HEALED_MINUTES:
        world.run_until(healed + 60 * minutes)
        figures[f"found_ratio_{minutes}_min"] = market.found_ratio(market.read(options.lookups))
        crowd.say(f"{minutes} min after: found {figures[f'found_ratio_{minutes}_min']:.4f}")
    figures["found_ratio"] = figures[f"found_ratio_{HEALED_MINUTES[-1]}_min"]
    return world, figures


def _apart(east: set[int], one: Member, other: Member) -> bool:
    return (one.index in east) != (other.index in east)


def _read_side(market: Market, east: set[int], side: bool, options: Options) -> float:
    """What the nodes of one side find of the sellers of their side."""
    members = [member for member in market.crowd.world.living() if (member.index in east) is side]
    readers = market.crowd.rng.sample(members, min(len(members), options.lookups // 2))
    sellers: list[Seller] = [seller for seller in market.sellers if (seller.member.index in east) is side]
    return market.found_ratio(market.read(len(readers), readers=readers), sellers)
