"""kademlia (bmuller; asyncio and rpcudp) with its default settings: k = 20, alpha = 3."""

from __future__ import annotations

import importlib
from typing import Any

from peers.marks import mark

PACKAGES = ("kademlia", "rpcudp")


class Node:
    """One node. A get ends with the first value; a second writer under a key overwrites the first."""

    def __init__(self, seed: int) -> None:
        self._server: Any = None
        self._library = importlib.import_module("kademlia.network")

    async def start(self, host: str, port: int, index: int, contacts: list[tuple[str, int, int]]) -> dict[str, Any]:
        """Join."""
        self._server = self._library.Server()
        await self._server.listen(port, host)
        found = await self._server.bootstrap([(other, at) for other, at, _ in contacts]) if contacts else True
        return {"ok": bool(found)}

    async def put(self, key: bytes, value: bytes, writer: int) -> dict[str, Any]:
        """Set the value of a key."""
        return {"ok": bool(await self._server.set(key, value))}

    async def get(self, key: bytes, want: int) -> dict[str, Any]:
        """The value of a key."""
        value = await self._server.get(key)
        return {"marks": [mark(value)] if value is not None else []}

    put_many = put
    get_many = get

    async def info(self) -> dict[str, Any]:
        """How many contacts it has."""
        if self._server is None:
            return {}
        return {"contacts": sum(len(bucket) for bucket in self._server.protocol.router.buckets)}
