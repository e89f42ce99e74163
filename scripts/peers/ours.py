"""Our own node: the `Node`, sessions and UDP shell that the daemon runs, with an address that is known to it.

A key of the workload stands for a category, a value for a seller's signed record in it (the mark of the value is his
name), a put for publishing under the category's topic. Of many writers under one key each has a key of his own; they
publish by further nodes in the same process, clients at the process's spare addresses, so that each /24 stays within
the quotas of those who hold the records.
"""

from __future__ import annotations

import gc
import hashlib
import random
import secrets
import socket
import sys
from typing import Any

import trio

from p2pmarket import limits
from p2pmarket.clock import wall
from p2pmarket.dht import events
from p2pmarket.dht.contact import Contact
from p2pmarket.dht.node import Node as DhtNode
from p2pmarket.dht.session import Sessions
from p2pmarket.dht.topics import publish_keys, read_keys
from p2pmarket.keys import ExchangeKey, SigningKey
from p2pmarket.network import TEST
from p2pmarket.records import WORLD, Announcement, Record, direct_route, make_announcement
from p2pmarket.sockets import BUFFER_BYTES
from p2pmarket.udp import DhtService
from peers.marks import mark
from peers.wan import address

PACKAGES = ("p2pmarket",)
JOIN_SECONDS = 15.0
SWITCH_SECONDS = 0.0005  # as in the daemon
EVERYTHING = 10**6  # a get that wants all


class Node:
    """One node, and the clients that publish for it."""

    nursery: trio.Nursery  # lasts as long as the process; set before anything else

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._index = 0
        self._port = 0
        self._dht: DhtService | None = None
        self._publishers: dict[int, DhtService] = {}
        self._making = trio.Lock()

    async def start(self, host: str, port: int, index: int, contacts: list[tuple[str, int, int]]) -> dict[str, Any]:
        """Join."""
        gc.collect()
        gc.freeze()
        sys.setswitchinterval(SWITCH_SECONDS)
        self._index, self._port = index, port
        known = [_contact(self._seed, other, at, number) for other, at, number in contacts]
        self._dht = await self._join((host, port), _key(self._seed, index), known, client=False)
        return {"ok": self._dht is not None}

    async def put(self, key: bytes, value: bytes, writer: int) -> dict[str, Any]:
        """Publish."""
        assert self._dht is not None
        return await self._publish(self._dht, key, value)

    async def get(self, key: bytes, want: int) -> dict[str, Any]:
        """All sellers of a category."""
        assert self._dht is not None
        began = trio.current_time()
        found: dict[str, float] = {}
        topics = read_keys(TEST, _category(key), None, wall())
        async with self._dht.get(topics, EVERYTHING) as channel:
            async for event in channel:
                if isinstance(event, events.RecordsFound):
                    at = trio.current_time() - began
                    for record in event.records:
                        found.setdefault(record.announcement.name, at)
        edges = {"first_s": min(found.values()), "last_s": max(found.values())} if found else {}
        return {"marks": list(found), "dropped": self._dht.counters.records_dropped, **edges}

    async def put_many(self, key: bytes, value: bytes, writer: int) -> dict[str, Any]:
        """Publish by one of the clients, in turn."""
        return await self._publish(await self._publisher(writer), key, value)

    get_many = get

    async def info(self) -> dict[str, Any]:
        """How many contacts it has, and what it has counted."""
        if self._dht is None:
            return {}
        node = self._dht.node
        return {"contacts": len(node.table), "size": node.estimated_size(), "counters": _totals(node.counters)}

    async def _publish(self, dht: DhtService, key: bytes, value: bytes) -> dict[str, Any]:
        record = _record(key, value, dht.node.contact or _contact(self._seed, *self._at(0), self._index))
        began = trio.current_time()
        done = [await dht.put(topic, record.envelope) for topic in publish_keys(TEST, record.announcement, wall())]
        seconds = trio.current_time() - began
        stored, asked = sum(one.stored for one in done), sum(one.asked for one in done)
        return {"ok": stored > 0, "s": seconds, "stored": stored, "asked": asked, "reasons": done[0].reasons}

    async def _publisher(self, writer: int) -> DhtService:
        """The client at one of our spare addresses."""
        async with self._making:
            spare = 1 + writer % SPARE
            if spare not in self._publishers:
                own = [_contact(self._seed, *self._at(0), self._index)]
                key = ExchangeKey(secrets.token_bytes(32))
                self._publishers[spare] = await self._join(self._at(spare), key, own, client=True)
            return self._publishers[spare]

    def _at(self, spare: int) -> tuple[str, int]:
        return address(self._index, spare), self._port

    async def _join(
        self, at: tuple[str, int], key: ExchangeKey, contacts: list[Contact], *, client: bool
    ) -> DhtService:
        """A node at a real socket; returns when it has joined."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        sock.bind(at)
        sock.setblocking(False)
        now = trio.current_time()
        node = DhtNode(
            TEST,
            key,
            Sessions(key, TEST, secrets.token_bytes, random.Random()),
            rng=random.Random(),
            secrets=secrets.token_bytes,
            now=now,
            wall=wall(),
            listen_port=at[1],
            address=None if client else at,
        )
        joined = trio.Event()

        def hear(event: events.Event) -> None:
            if isinstance(event, events.Joined):
                joined.set()

        dht = DhtService(node, sock, hear, lambda probe: None)
        await self.nursery.start(dht.run)
        if contacts:
            node.bootstrap(contacts, trio.current_time())
            dht.flush()
            with trio.move_on_after(JOIN_SECONDS):
                await joined.wait()
        return dht


SPARE = 4  # addresses of a process besides the node's own: 58 writing processes reach 232 /24s


def _key(seed: int, index: int) -> ExchangeKey:
    """The key of node `index`: whoever knows the seed knows all contacts."""
    return ExchangeKey(hashlib.sha256(f"{seed}/{index}".encode()).digest())


def _contact(seed: int, host: str, port: int, index: int) -> Contact:
    public = _key(seed, index).public
    return Contact(public, host, port, public[0] & 7)


def _category(key: bytes) -> str:
    """Of one level, so that its records have one topic."""
    return key.hex()


def _record(key: bytes, value: bytes, at: Contact) -> Record:
    """The record that stands for a value."""
    seller = SigningKey(hashlib.sha256(value).digest())
    issued = wall()
    announcement = Announcement(
        epoch=0,
        seq=1,
        issued=issued,
        expires=issued + limits.HOUR,
        category=_category(key),
        regions=(WORLD,),
        located=None,
        name=mark(value),
        service_key=seller.public,
        routes=(direct_route(*at.address),),
        versions=(1, 1),
        withdrawn=False,
    )
    return make_announcement(seller, TEST, announcement)


def _totals(counters: Any) -> dict[str, int]:
    return {name: getattr(counters, name) for name in counters.__slots__}
