"""Real nodes on loopback in one process, ordered about by lines of JSON: python -m flood.nodes neighbours|target

`neighbours` are the small network; once they have joined, sellers announce through them. `target` is the node that is
flooded. On `{"seconds": 60}` it looks things up for so long, several times a second, and answers with one line: how
many lookups succeeded, how long they took, and what its socket and its node have counted. It is a client, which holds
no records, so that all it finds has come through the flood: a category read succeeds if it finds every seller, a lookup
if the node that stands nearest to the target is among the result.
"""

from __future__ import annotations

import gc
import json
import os
import random
import resource
import secrets
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import trio

from flood.places import NEIGHBOURS, PORT, TARGET, address, contact, key, take_priority
from p2pmarket import limits
from p2pmarket.clock import wall
from p2pmarket.dht import events
from p2pmarket.dht.node import Node
from p2pmarket.dht.session import Sessions
from p2pmarket.dht.topics import topic_key
from p2pmarket.keys import SigningKey
from p2pmarket.network import TEST
from p2pmarket.records import WORLD, Announcement, direct_route, make_announcement
from p2pmarket.sockets import BUFFER_BYTES
from p2pmarket.udp import DhtService

CATEGORIES, SELLERS = 8, 12
PAUSE_SECONDS = 0.2  # between two lookups of the target
SWITCH_SECONDS = 0.0005  # as in the daemon


@dataclass(slots=True)
class Tally:
    """Of one spell."""

    lookups: int = 0
    good: int = 0
    seconds: list[float] = field(default_factory=list)
    rss_half_mb: float = 0.0  # memory when half of the spell was over


class Running:
    """One node at a real socket."""

    def __init__(self, number: int, *, client: bool = False) -> None:
        self.number = number
        own = key(number)
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        sock.bind(address(number))
        sock.setblocking(False)
        self.joined = trio.Event()
        self.found: dict[int, trio.MemorySendChannel[events.LookupDone]] = {}
        node = Node(
            TEST,
            own,
            Sessions(own, TEST, secrets.token_bytes, random.Random()),
            rng=random.Random(),
            secrets=secrets.token_bytes,
            now=trio.current_time(),
            wall=wall(),
            listen_port=PORT,
            address=None if client else address(number),
        )
        self.dht = DhtService(node, sock, self._hear, lambda probe: None)

    def _hear(self, event: events.Event) -> None:
        if isinstance(event, events.Joined):
            self.joined.set()
        elif isinstance(event, events.LookupDone):
            channel = self.found.pop(event.lookup, None)
            if channel is not None:
                channel.send_nowait(event)

    async def join(self, nursery: trio.Nursery, others: list[int]) -> None:
        """Begin, and wait until somebody was found."""
        await nursery.start(self.dht.run)
        if others:
            self.dht.node.bootstrap([contact(other) for other in others], trio.current_time())
            self.dht.flush()
            await self.joined.wait()

    async def look_up(self, target: bytes) -> events.LookupDone:
        """The nodes nearest to `target`."""
        send, receive = trio.open_memory_channel[events.LookupDone](1)
        self.found[self.dht.node.start_lookup(target, trio.current_time())] = send
        self.dht.flush()
        return await receive.receive()


async def neighbours() -> None:
    """The network, and its sellers."""
    async with trio.open_nursery() as nursery:
        nodes: list[Running] = []
        for number in range(NEIGHBOURS):
            node = Running(number)
            await node.join(nursery, [other.number for other in nodes[:3]])
            nodes.append(node)
        for category in range(CATEGORIES):
            for seller in range(SELLERS):
                await nodes[(category + seller) % NEIGHBOURS].dht.put(_topic(category), _record(category, seller))
        print(json.dumps({"ready": True}), flush=True)
        async for _ in trio.lowlevel.FdStream(os.dup(0)):
            pass
        nursery.cancel_scope.cancel()


async def target() -> None:
    """The node that is flooded."""
    async with trio.open_nursery() as nursery:
        running = Running(TARGET, client=True)
        await running.join(nursery, list(range(3)))
        gc.collect()
        gc.freeze()
        sys.setswitchinterval(SWITCH_SECONDS)
        print(json.dumps({"ready": True}), flush=True)
        async for order in trio.lowlevel.FdStream(os.dup(0)):
            tally = await _spell(running, float(json.loads(order)["seconds"]))
            print(json.dumps(_told(running, tally)), flush=True)
        nursery.cancel_scope.cancel()


async def _spell(running: Running, seconds: float) -> Tally:
    """Look up one thing after another."""
    tally = Tally()
    end = trio.current_time() + seconds
    async with trio.open_nursery() as nursery:
        while (now := trio.current_time()) < end:
            if not tally.rss_half_mb and end - now < seconds / 2:
                tally.rss_half_mb = _rss_mb()
            what = _read if tally.lookups % 2 else _find
            nursery.start_soon(_timed, what, running, tally)
            tally.lookups += 1
            await trio.sleep(PAUSE_SECONDS)
    return tally


async def _timed(what: Any, running: Running, tally: Tally) -> None:
    began = trio.current_time()
    tally.good += await what(running)
    tally.seconds.append(trio.current_time() - began)


async def _read(running: Running) -> bool:
    """A category: were all its sellers found?"""
    sellers = set[bytes]()
    async with running.dht.get([_topic(random.randrange(CATEGORIES))], 2 * SELLERS) as channel:
        async for event in channel:
            if isinstance(event, events.RecordsFound):
                sellers.update(record.signer for record in event.records)
    return len(sellers) == SELLERS


async def _find(running: Running) -> bool:
    """A random place: was the node nearest to it found?"""
    wanted = secrets.token_bytes(32)
    place = int.from_bytes(wanted, "big")
    nearest = min((contact(number) for number in range(NEIGHBOURS)), key=lambda one: one.long_id ^ place)
    return nearest in (await running.look_up(wanted)).contacts


def _told(running: Running, tally: Tally) -> dict[str, Any]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    node, shell = running.dht.node.counters, running.dht.counters
    ordered = sorted(tally.seconds) or [0.0]
    return {
        "lookups": tally.lookups,
        "good": tally.good,
        "median_s": round(median(ordered), 4),
        "p95_s": round(ordered[int(0.95 * (len(ordered) - 1))], 4),
        "worst_s": round(ordered[-1], 4),
        "cpu_s": used.ru_utime + used.ru_stime,
        "rss_half_mb": tally.rss_half_mb,
        "rss_mb": _rss_mb(),
        "known": len(running.dht.node.table),
        **{f"node_{name}": getattr(node, name) for name in node.__slots__},
        **{f"socket_{name}": getattr(shell, name) for name in shell.__slots__},
    }


def _rss_mb() -> float:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20


def _topic(category: int) -> bytes:
    return topic_key(TEST, f"goods {category}", None, wall())


def _record(category: int, seller: int) -> bytes:
    """The announcement of one seller."""
    signer = SigningKey(secrets.token_bytes(32))
    issued = wall()
    announcement = Announcement(
        epoch=0,
        seq=1,
        issued=issued,
        expires=issued + limits.HOUR,
        category=f"goods {category}",
        regions=(WORLD,),
        located=None,
        name=f"Seller {seller}",
        service_key=signer.public,
        routes=(direct_route(*address(seller)),),
        versions=(1, 1),
        withdrawn=False,
    )
    return make_announcement(signer, TEST, announcement).envelope


if __name__ == "__main__":
    take_priority()
    trio.run(neighbours if sys.argv[1] == "neighbours" else target)
