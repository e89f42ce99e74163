"""Topics: the keys in the DHT under which a seller is stored and looked for.

A seller is stored under his category and under every ancestor of it, each plain and with each country that he serves;
who serves the world is stored plain only. A buyer asks for (category, country), then (category, plain), then the
ancestors. The ancestors of a CPV code are found by zeroing its digits down to the division of two digits
(`cpv:15861200`, `cpv:15861000`, `cpv:15860000`, `cpv:15800000`, `cpv:15000000`), those of a path by cutting levels.

A topic's key changes every week, so that node ids shopped for one week are worthless in the next, and each topic has
its own moment in the week, so that the network never moves all at once:

    offset = SHA-256(prologue "topic-offset" ‖ 0 ‖ category ‖ 0 ‖ region)[:8] mod one week
    key    = SHA-256(prologue "topic" ‖ 0 ‖ category ‖ 0 ‖ region ‖ 0 ‖ number of the week of (wall + offset), 8 octets)

with an empty region for plain. Within an hour of the change publishers write and readers ask both weeks; holders take
both for ten minutes more, for clocks may be off by that. A holder derives a record's topics itself and refuses any
other: nobody can store a record where it does not belong.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

from p2pmarket import limits
from p2pmarket.network import Network
from p2pmarket.records import WORLD, Announcement

WEEK_SECONDS = limits.TOPIC_SECONDS


def ancestors(category: str) -> list[str]:
    """The wider categories of a canonical `category`, nearest first, without itself."""
    if category.startswith("cpv:"):
        return _cpv_ancestors(category[4:])
    levels = category.split("/")
    return ["/".join(levels[:count]) for count in range(len(levels) - 1, 0, -1)]


def _cpv_ancestors(code: str) -> list[str]:
    found: list[str] = []
    for kept in range(len(code) - 1, 1, -1):
        wider = code[:kept].ljust(len(code), "0")
        if wider != code and wider not in found:
            found.append(wider)
    return [f"cpv:{wider}" for wider in found]


def country(region: str) -> str:
    """The country of a region: `KR` of `KR-11`."""
    return region[:2]


def topic_key(network: Network, category: str, region: str | None, wall: int) -> bytes:
    """The 32-byte key of (category, country or None for plain) in the week of `wall` (UTC seconds)."""
    place = region or ""
    return _key(network, category, place, _week(network, category, place, wall))


def read_keys(network: Network, category: str, region: str | None, wall: int) -> tuple[bytes, ...]:
    """The keys to ask for (category, country or None): one, or two around the change, the current week's first."""
    return _keys(network, category, region or "", wall, limits.TOPIC_OVERLAP_SECONDS)


def publish_keys(network: Network, announcement: Announcement, wall: int) -> tuple[bytes, ...]:
    """Every key that the announcement must be stored under at `wall`: own category first, then its ancestors."""
    return tuple(
        key
        for category, place in _places(announcement)
        for key in _keys(network, category, place, wall, limits.TOPIC_OVERLAP_SECONDS)
    )


def belongs(network: Network, announcement: Announcement, topic: bytes, wall: int) -> bool:
    """Whether a holder at `wall` may keep the announcement under `topic`."""
    margin = limits.TOPIC_OVERLAP_SECONDS + limits.CLOCK_SKEW_SECONDS
    return any(topic in _keys(network, category, place, wall, margin) for category, place in _places(announcement))


def _places(announcement: Announcement) -> list[tuple[str, str]]:
    """The (category, country or "") pairs of an announcement."""
    countries = [""]
    if announcement.regions != (WORLD,):
        countries += dict.fromkeys(country(region) for region in announcement.regions)
    categories = [announcement.category, *ancestors(announcement.category)]
    return [(category, place) for category in categories for place in countries]


def _keys(network: Network, category: str, place: str, wall: int, margin: int) -> tuple[bytes, ...]:
    """The key of the week of `wall`, and that of the neighbouring week if its change is within `margin` seconds."""
    current = _week(network, category, place, wall)
    near = {_week(network, category, place, wall - margin), _week(network, category, place, wall + margin)} - {current}
    return tuple(_key(network, category, place, week) for week in (current, *near))


def _week(network: Network, category: str, place: str, wall: int) -> int:
    return max(0, wall + _offset(network, category, place)) // WEEK_SECONDS


@lru_cache(maxsize=8192)
def _offset(network: Network, category: str, place: str) -> int:
    digest = hashlib.sha256(_name(network, "topic-offset", category, place)).digest()
    return int.from_bytes(digest[:8], "big") % WEEK_SECONDS


@lru_cache(maxsize=8192)
def _key(network: Network, category: str, place: str, week: int) -> bytes:
    return hashlib.sha256(_name(network, "topic", category, place) + b"\0" + week.to_bytes(8, "big")).digest()


def _name(network: Network, use: str, category: str, place: str) -> bytes:
    return b"\0".join((network.prologue(use), category.encode(), place.encode()))
