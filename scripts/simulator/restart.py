"""Scenario of a node that comes back among attackers: they call it before it has asked anybody."""

from __future__ import annotations

from simulator.crowd import BOOTSTRAPS, Crowd
from simulator.figures import Figures, mean
from simulator.liars import besiege
from simulator.options import Options, new_crowd
from simulator.world import Member, World

VICTIMS = 10  # restarted one after the other
ATTACKER_SUBNETS = 20
IDS_PER_SUBNET = 10
SAVED = 8  # contacts that the victim has on disk and tries
HEAD_START_SECONDS = 30.0  # during which only the attackers talk to it
WATCHED_SECONDS = 600.0


def restart_eclipse(options: Options) -> tuple[World, Figures]:
    """The share of honest nodes in the table of a restarted node after ten minutes, in the worst case and the mean."""
    crowd = new_crowd(options)
    shares = [_restarted(crowd) for _ in range(VICTIMS)]
    return crowd.world, {
        "victims": len(shares),
        "attackers": ATTACKER_SUBNETS * IDS_PER_SUBNET,
        "honest_share_worst": min(shares),
        "honest_share_mean": mean(shares),
        "held_ratio": mean([float(share >= 0.5) for share in shares]),
    }


def _restarted(crowd: Crowd) -> float:
    world = crowd.world
    candidates = [member for member in world.living() if member.honest and member.index >= BOOTSTRAPS]
    old = crowd.rng.choice(candidates)
    known = old.node.contacts()
    world.kill(old)
    victim = world.add(address=old.address)
    target = world.contact(victim)
    hosts = [_subnet(world.new_host()) for _ in range(ATTACKER_SUBNETS)]
    first = len(world.members)
    besiege(world, target.id, hosts, IDS_PER_SUBNET, victims=[target])
    world.run_until(world.now + HEAD_START_SECONDS)
    victim.node.bootstrap(crowd.rng.sample(known, min(SAVED, len(known))), world.now)
    world.flush(victim)
    world.run_until(world.now + WATCHED_SECONDS)
    share = _honest_share(world, victim)
    crowd.say(f"{len(victim.node.table)} contacts, {share:.3f} of them honest")
    for attacker in world.members[first:]:
        world.kill(attacker)
    return share


def _honest_share(world: World, victim: Member) -> float:
    """Of the contacts in the victim's table, those of honest nodes."""
    honest = {contact.public for contact in world.contacts()}
    return mean([float(contact.public in honest) for contact in victim.node.contacts()])


def _subnet(host: str) -> list[str]:
    head = host.rsplit(".", 1)[0]
    return [f"{head}.{last}" for last in range(1, 255)]
