"""OpenDHT (C++ with Python bindings) with its default settings and a network id of its own.

A get hands values over as they come; it is done when the search has synced with the nearest nodes.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import socket
import time
from typing import Any

from peers.marks import mark

PACKAGES = ("opendht",)
NETWORK = 77
SECONDS = 60.0
JOIN_LOOKS = 150  # of a tenth of a second


class Node:
    """One node."""

    def __init__(self, seed: int) -> None:
        self._library: Any = importlib.import_module("opendht")
        self._runner: Any = None

    async def start(self, host: str, port: int, index: int, contacts: list[tuple[str, int, int]]) -> dict[str, Any]:
        """Join."""
        config = self._library.DhtConfig()
        config.setNetwork(NETWORK)
        config.setPeerDiscovery(False, False)
        self._runner = self._library.DhtRunner()
        self._runner.run(port=port, ipv4=host, config=config)
        for other, at, _ in contacts:
            self._runner.bootstrap(other, str(at))
        for _ in range(JOIN_LOOKS if contacts else 0):
            await asyncio.sleep(0.1)
            if self._contacts():
                return {}
        return {"ok": not contacts}

    async def put(self, key: bytes, value: bytes, writer: int) -> dict[str, Any]:
        """Add a value under a key."""
        done, finish = self._ending()
        self._runner.put(self._key(key), self._library.Value(value), finish)
        return {"ok": await asyncio.wait_for(done, SECONDS)}

    async def get(self, key: bytes, want: int) -> dict[str, Any]:
        """All values of a key."""
        began = time.monotonic()
        came: list[tuple[float, bytes]] = []

        def got(value: Any) -> bool:
            came.append((time.monotonic() - began, value.data))
            return True

        done, finish = self._ending()
        self._runner.get(self._key(key), got, finish)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(done, SECONDS)
        taken = list(came)
        marks: dict[str, float] = {}
        for at, value in taken:
            marks.setdefault(mark(value), at)
        return {
            "marks": list(marks),
            "first_s": taken[0][0] if taken else None,
            "last_s": max(marks.values(), default=None),
        }

    put_many = put
    get_many = get

    async def info(self) -> dict[str, Any]:
        """How many contacts it has."""
        return {} if self._runner is None else {"contacts": self._contacts()}

    def _ending(self) -> tuple[asyncio.Future[bool], Any]:
        """A future, and what the library calls from its own thread to fulfil it."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[bool] = loop.create_future()

        def fulfil(ok: bool) -> None:
            if not done.done():
                done.set_result(ok)

        def finish(ok: bool, nodes: Any) -> None:
            loop.call_soon_threadsafe(fulfil, ok)

        return done, finish

    def _key(self, key: bytes) -> Any:
        return self._library.InfoHash(key.hex().encode())  # 20 bytes are used as they are

    def _contacts(self) -> int:
        lines = self._runner.getRoutingTablesLog(socket.AF_INET).splitlines()
        return sum("node" in line.lower() for line in lines if "Bucket" not in line)
