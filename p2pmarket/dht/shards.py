"""Shards: where the sellers of a popular topic go when its holders cannot list them all.

Rules. The shards of a topic are a binary tree, numbered as a heap: the topic itself is 1, the shards below shard n are
2 n and 2 n + 1, so the 2^d shards of depth d are 2^d to 2^(d+1) - 1. Every shard but the topic has a key of its own:

    key   = SHA-256(prologue "shard" ‖ 0 ‖ topic ‖ number, 2 octets)
    place = SHA-256(prologue "shard-place" ‖ 0 ‖ topic ‖ group of the publisher's address)

and a publisher's shard of depth d is the one whose number is 1 followed by the first d bits of his place. It follows
from his group (/24 or /48), not from his record: an address can be had once, names without end, so who holds one subnet
speaks in one shard of each depth and cannot outnumber there those who were scattered over all of them.

Every answer about a topic tells its *crowd*: how many publishers came within the hour, at most eight of each group. It
says how deep the topic is split, by the same formula for all. Publishers always write to the topic itself, and besides
to the shard of the depth that the median of its holders tells; near the border between two depths, to both, for others
may have heard another number. Readers begin with the topic and read the shards of that depth only if they need more.
So a lie about the crowd can make publishers write, or readers look, at one place more, but never at one less.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from statistics import median_low
from typing import Final

from p2pmarket import limits
from p2pmarket.network import Network

WHOLE: Final = 1  # the number of the topic itself
NUMBER_BYTES: Final = 2
FULL_FROM: Final = limits.TOPIC_RECORDS * limits.TOPIC_FULL_PERCENT // 100


def key_of(network: Network, topic: bytes, number: int) -> bytes:
    """The key in the DHT of shard `number` of `topic`."""
    if number == WHOLE:
        return topic
    name = network.prologue("shard") + b"\0" + topic + number.to_bytes(NUMBER_BYTES, "big")
    return hashlib.sha256(name).digest()


def number_of(network: Network, topic: bytes, group: bytes, depth: int) -> int:
    """The shard of `topic` at `depth` for publishers whose address belongs to `group`."""
    place = hashlib.sha256(network.prologue("shard-place") + b"\0" + topic + group).digest()
    return 1 << depth | int.from_bytes(place, "big") >> 256 - depth


def below(number: int, depth: int) -> range:
    """The shards `depth` levels below shard `number`."""
    return range(number << depth, number + 1 << depth)


def depth_of(crowd: int) -> int:
    """How many levels below a key with such a crowd its readers look."""
    if crowd <= FULL_FROM:
        return 0
    return min((-(-crowd // limits.SHARD_RECORDS) - 1).bit_length(), limits.SHARD_DEPTH)


def depths_of(crowd: int, *, early: bool) -> set[int]:
    """How many levels below a key with such a crowd its publishers write: as readers may hear, or others have heard.

    `early`: one level is written to long before readers look there, so that a topic may grow at once.
    """
    slack = crowd * limits.CROWD_SLACK_PERCENT // 100
    depths = {depth_of(crowd - slack), depth_of(crowd + slack)} - {0}
    return depths or ({1} if early and crowd >= limits.CROWD_EARLY else set())


def agreed(crowds: Iterable[int]) -> int:
    """What holders say together: the lower median, which a minority of liars cannot move far; 0 of nobody."""
    told = list(crowds)
    return median_low(told) if told else 0
