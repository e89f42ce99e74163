"""What the command line says, for all scenarios."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.crowd import Crowd
from simulator.world import World


@dataclass(frozen=True, slots=True)
class Options:
    """One run."""

    nodes: int = 1000
    seed: int = 1
    rtt: float = 0.1  # seconds, the median
    loss: float = 0.01
    dead: float = 0.0  # share killed after joining, so that all tables are stale
    cipher: str = "plain"
    lookups: int = 200  # lookups, or reads
    sellers: int = 60
    victims: int = 100  # nodes that are restarted among attackers
    hours: float = 24.0  # of simulated time, where a scenario goes on for long
    days: float = 2.0  # the longest partition
    talk: bool = True


def new_crowd(options: Options) -> Crowd:
    """A world as the options say, with everybody joined."""
    world = World(options.seed, rtt=options.rtt, loss=options.loss, cipher=options.cipher)
    crowd = Crowd(world, talk=options.talk)
    crowd.join(options.nodes)
    return crowd
