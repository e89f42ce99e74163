"""libtorrent (rasterbar; C++ with Python bindings): BEP 5 and mutable items of BEP 44.

put and get: one signed item per key, whose key pair is derived from the key so that a reader can find it. Many writers
under one key: items with salts cannot be listed, so that is announce_peer and get_peers, which bring addresses and no
records, and tell nothing of their end.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib
import threading
import time
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from peers.marks import mark

PACKAGES = ("libtorrent",)
SECONDS = 60.0
ANNOUNCE_SECONDS = 3.0  # given to an announce
LISTEN_SECONDS = 8.0  # for answers to get_peers
JOIN_LOOKS = 100  # of a tenth of a second
SETTINGS = {
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "enable_dht": True,
    "dht_bootstrap_nodes": "",
    "enable_incoming_tcp": False,
    "enable_outgoing_tcp": False,
    "allow_multiple_connections_per_ip": True,
    # Not the defaults, which refuse many nodes on private addresses.
    "dht_restrict_routing_ips": False,
    "dht_restrict_search_ips": False,
    "dht_enforce_node_id": False,
    "dht_ignore_dark_internet": False,
    "dht_prefer_verified_node_ids": False,
}
Alert = tuple[str, Any, float]  # its class, what of it we keep, when it came
Take = Callable[[Alert, asyncio.Future[Any]], None]


class Node:
    """One node: a session of its own."""

    def __init__(self, seed: int) -> None:
        self._library: Any = importlib.import_module("libtorrent")
        self._session: Any = None
        self._waiting: list[tuple[Take, asyncio.Future[Any]]] = []

    async def start(self, host: str, port: int, index: int, contacts: list[tuple[str, int, int]]) -> dict[str, Any]:
        """Join."""
        category = self._library.alert.category_t
        mask = category.dht_notification | category.error_notification | category.dht_operation_notification
        self._session = self._library.session({**SETTINGS, "listen_interfaces": f"{host}:{port}", "alert_mask": mask})
        for other, at, _ in contacts:
            self._session.add_dht_node((other, at))
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._read_alerts, args=(loop,), daemon=True).start()
        for _ in range(JOIN_LOOKS if contacts else 0):
            await asyncio.sleep(0.1)
            if sum(await self._stats()):
                return {}
        if not contacts:
            await asyncio.sleep(1)
        return {"ok": not contacts and bool(self._session.is_dht_running())}

    async def put(self, key: bytes, value: bytes, writer: int) -> dict[str, Any]:
        """Store the item of a key."""
        secret, public = _keys(key)

        def take(alert: Alert, done: asyncio.Future[Any]) -> None:
            if alert[0] == "dht_put_alert" and alert[1][0] == public:
                done.set_result(alert[1][1])

        self._session.dht_put_mutable_item(secret, public, value, b"")
        return {"ok": bool(await self._wait(take, SECONDS))}

    async def get(self, key: bytes, want: int) -> dict[str, Any]:
        """The item of a key."""
        _, public = _keys(key)
        began = time.monotonic()
        came: list[tuple[float, bytes]] = []

        def take(alert: Alert, done: asyncio.Future[Any]) -> None:
            if alert[0] == "dht_mutable_item_alert" and alert[1][0] == public:
                if alert[1][1]:
                    came.append((alert[2] - began, alert[1][1]))
                if alert[1][2]:  # authoritative: the lookup has ended
                    done.set_result(True)

        self._session.dht_get_mutable_item(public, b"")
        await self._wait(take, SECONDS)
        return {"marks": [mark(came[0][1])] if came else [], "first_s": came[0][0] if came else None, "ok": bool(came)}

    async def put_many(self, key: bytes, value: bytes, writer: int) -> dict[str, Any]:
        """Announce one more address: writers that share one take different ports."""
        self._session.dht_announce(self._library.sha1_hash(hashlib.sha1(key).digest()), 10_000 + writer, 0)
        await asyncio.sleep(ANNOUNCE_SECONDS)
        return {}

    async def get_many(self, key: bytes, want: int) -> dict[str, Any]:
        """Count the addresses announced."""
        topic = self._library.sha1_hash(hashlib.sha1(key).digest())
        began = time.monotonic()
        found: dict[str, float] = {}

        def take(alert: Alert, done: asyncio.Future[Any]) -> None:
            if alert[0] == "dht_get_peers_reply_alert" and alert[1][0] == str(topic):
                for peer in alert[1][1]:
                    found.setdefault(mark(repr(peer).encode()), alert[2] - began)

        self._session.dht_get_peers(topic)
        await self._wait(take, LISTEN_SECONDS)
        times = sorted(found.values())
        edges = {"first_s": times[0], "last_s": times[-1]} if times else {}
        return {"marks": list(found), "unrecorded": True, **edges}

    async def info(self) -> dict[str, Any]:
        """How many contacts it has, heard or only heard of."""
        return {} if self._session is None else {"contacts": sum(await self._stats())}

    async def _stats(self) -> tuple[int, int]:
        def take(alert: Alert, done: asyncio.Future[Any]) -> None:
            if alert[0] == "dht_stats_alert":
                done.set_result(alert[1])

        self._session.post_dht_stats()
        counted: tuple[int, int] = await self._wait(take, 2) or (0, 0)
        return counted

    async def _wait(self, take: Take, seconds: float) -> Any:
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        entry = (take, done)
        self._waiting.append(entry)
        try:
            with contextlib.suppress(TimeoutError):
                return await asyncio.wait_for(done, seconds)
        finally:
            self._waiting.remove(entry)
        return None

    def _read_alerts(self, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            if self._session.wait_for_alert(1000) is None:
                continue
            for alert in self._session.pop_alerts():
                kept = _kept(alert)
                if kept is not None:
                    loop.call_soon_threadsafe(self._dispatch, (type(alert).__name__, kept, time.monotonic()))

    def _dispatch(self, alert: Alert) -> None:
        for take, done in list(self._waiting):
            if not done.done():
                take(alert, done)


def _kept(alert: Any) -> Any:
    """What we need of an alert, copied: the object dies with the next ones."""
    match type(alert).__name__:
        case "dht_put_alert":
            return bytes(alert.public_key), alert.num_success
        case "dht_mutable_item_alert":
            return bytes(alert.key), alert.item if isinstance(alert.item, bytes) else None, alert.authoritative
        case "dht_get_peers_reply_alert":
            return str(alert.info_hash), [tuple(peer) for peer in alert.peers()]
        case "dht_stats_alert":
            table = alert.routing_table
            return sum(b["num_nodes"] for b in table), sum(b["num_replacements"] for b in table)
    return None


def _keys(key: bytes) -> tuple[bytes, bytes]:
    """The item's key pair as the library takes it: the expanded secret, and the public key."""
    seed = hashlib.sha256(key).digest()
    secret = bytearray(hashlib.sha512(seed).digest())
    secret[0] &= 248
    secret[31] = secret[31] & 63 | 64
    return bytes(secret), Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
