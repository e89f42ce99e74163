"""The PyPI package `kademlia` as it comes: its `Server` on asyncio, and contacts that ask it find_node.

The packets are those of rpcudp: a zero byte, 20 bytes that name the request, then a msgpack array of procedure and
arguments. A contact enters the server's table with its first request. Nothing is encrypted or signed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from kademlia.network import Server

from serving.drive import DATAGRAM_BYTES, open_sockets

_ID_BYTES = 20
_BYTES_20 = b"\xc4\x14"  # msgpack: 20 bytes follow
_RESPONSE = b"\x01"


def serve(say: Callable[[dict[str, object]], None]) -> None:
    """Run the server until the process is ended."""
    asyncio.run(_serve(say))


async def _serve(say: Callable[[dict[str, object]], None]) -> None:
    server = Server()
    await server.listen(0, "127.0.0.1")
    say({"port": server.transport.get_extra_info("sockname")[1]})
    await asyncio.Event().wait()


class Load:
    """Contacts that the server knows."""

    def __init__(self, said: dict[str, object]) -> None:
        port = said["port"]
        assert isinstance(port, int)
        self.sockets = open_sockets(port)
        self._ids = [random.randbytes(_ID_BYTES) for _ in self.sockets]
        for sock, own in zip(self.sockets, self._ids, strict=True):
            sock.send(_find(own))
            sock.recv(DATAGRAM_BYTES)

    def requests(self, count: int) -> list[list[bytes]]:
        """`count` questions of each contact for random targets."""
        return [[_find(own) for _ in range(count)] for own in self._ids]

    def check(self, number: int, reply: bytes) -> None:
        """A response that names all contacts but the asker."""
        others = self._ids[:number] + self._ids[number + 1 :]
        if not reply.startswith(_RESPONSE) or not all(_BYTES_20 + other in reply for other in others):
            raise ValueError(f"not a good answer: {reply!r}")


def _find(own: bytes) -> bytes:
    """find_node(own id, a random target)."""
    arguments = b"\x92\xa9find_node\x92" + _BYTES_20 + own + _BYTES_20 + random.randbytes(_ID_BYTES)
    return b"\x00" + random.randbytes(_ID_BYTES) + arguments
