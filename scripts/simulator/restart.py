"""Scenario of nodes that come back among attackers: they are called before they have asked anybody.

Each victim has lost its table and knows eight of the contacts it had; for half a minute two hundred attackers of
twenty subnets of their own, who stand as near to it as those subnets allow, are the only ones who talk to it. What is
measured is the table after ten minutes: the share of honest nodes in it, and whether that is at least a half.
"""

from __future__ import annotations

from simulator.crowd import BOOTSTRAPS, Crowd
from simulator.figures import Figures, mean
from simulator.liars import besiege
from simulator.options import Options, new_crowd
from simulator.world import Member, World

NODES_A_VICTIM = 200  # one in so many restarts at a time: the attackers of one victim are to be no crowd to others
ATTACKER_SUBNETS = 20
IDS_PER_SUBNET = 10
SAVED = 8  # contacts that the victim has on disk and tries
HEAD_START_SECONDS = 30.0  # during which only the attackers talk to it
WATCHED_SECONDS = 600.0


def restart_eclipse(options: Options) -> tuple[World, Figures]:
    """The share of honest nodes in the tables of `--victims` restarted nodes after ten minutes."""
    crowd = new_crowd(options)
    shares: list[float] = []
    while len(shares) < options.victims:
        at_once = max(1, options.nodes // NODES_A_VICTIM)
        shares += _restarted(crowd, min(at_once, options.victims - len(shares)))
    return crowd.world, {
        "victims": len(shares),
        "attackers": ATTACKER_SUBNETS * IDS_PER_SUBNET,
        "honest_share_worst": min(shares),
        "honest_share_mean": mean(shares),
        "held_ratio": mean([float(share >= 0.5) for share in shares]),
    }


def _restarted(crowd: Crowd, count: int) -> list[float]:
    """`count` nodes restart at the same time, each with attackers of its own; they are gone afterwards."""
    world = crowd.world
    candidates = [member for member in world.living() if member.honest and member.index >= BOOTSTRAPS]
    gone = crowd.rng.sample(candidates, count)
    known = [old.node.contacts() for old in gone]
    for old in gone:
        world.kill(old)
    victims = [world.add(address=old.address) for old in gone]
    first = len(world.members)
    for victim in victims:
        hosts = [_subnet(world.new_host()) for _ in range(ATTACKER_SUBNETS)]
        target = world.contact(victim)
        besiege(world, target.id, hosts, IDS_PER_SUBNET, victims=[target])
    world.run_until(world.now + HEAD_START_SECONDS)
    for victim, contacts in zip(victims, known, strict=True):
        victim.node.bootstrap(crowd.rng.sample(contacts, min(SAVED, len(contacts))), world.now)
        world.flush(victim)
    world.run_until(world.now + WATCHED_SECONDS)
    shares = [_honest_share(crowd, victim) for victim in victims]
    for attacker in world.members[first:]:
        world.kill(attacker)
    return shares


def _honest_share(crowd: Crowd, victim: Member) -> float:
    """Of the contacts in the victim's table, those of honest nodes."""
    honest = {contact.public for contact in crowd.world.contacts()}
    share = mean([float(contact.public in honest) for contact in victim.node.contacts()])
    crowd.say(f"{len(victim.node.table)} contacts, {share:.3f} of them honest")
    return share


def _subnet(host: str) -> list[str]:
    head = host.rsplit(".", 1)[0]
    return [f"{head}.{last}" for last in range(1, 255)]
