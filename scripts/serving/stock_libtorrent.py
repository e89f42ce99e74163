"""libtorrent's DHT (C++, BEP 5) as the Python package brings it, and contacts that ask it find_node.

Its limits on how often an address may ask are lifted, and it is allowed private addresses. A contact enters its table
when it has answered a ping, so the contacts answer what they are asked until enough have done so.
"""

from __future__ import annotations

import importlib
import random
import re
import select
import time
from collections.abc import Callable

from serving.drive import DATAGRAM_BYTES, open_sockets

_ID_BYTES = 20
_SETTINGS = {
    "listen_interfaces": "127.0.0.1:0",
    "enable_dht": True,
    "dht_bootstrap_nodes": "",
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "dht_restrict_routing_ips": False,
    "dht_restrict_search_ips": False,
    "dht_enforce_node_id": False,
    "dht_ignore_dark_internet": False,
    "dht_prefer_verified_node_ids": False,
    "dht_upload_rate_limit": 1_000_000_000,
    "dht_block_ratelimit": 1_000_000,
}
_MEETING_SECONDS = 8.0
_TRANSACTION = re.compile(rb"1:t(\d+):", re.DOTALL)


def serve(say: Callable[[dict[str, object]], None]) -> None:
    """Run the server until the process is ended."""
    session = importlib.import_module("libtorrent").session(_SETTINGS)
    while not session.is_dht_running():
        time.sleep(0.1)
    say({"port": session.listen_port()})
    while True:
        time.sleep(60)


class Load:
    """Contacts that have asked the server and answer its pings for a while."""

    def __init__(self, said: dict[str, object]) -> None:
        port = said["port"]
        assert isinstance(port, int)
        self.sockets = open_sockets(port)
        self._ids = [random.randbytes(_ID_BYTES) for _ in self.sockets]
        self._meet()

    def requests(self, count: int) -> list[list[bytes]]:
        """`count` questions of each contact for random targets."""
        return [[_find(own) for _ in range(count)] for own in self._ids]

    def check(self, number: int, reply: bytes) -> None:
        """A response that names eight contacts, as many as this DHT names."""
        if b"5:nodes208:" not in reply or not reply.endswith(b"1:y1:re"):
            raise ValueError(f"not a good answer: {reply!r}")

    def _meet(self) -> None:
        """Ask now and then, and answer what is asked."""
        end = time.monotonic() + _MEETING_SECONDS
        numbers = {sock.fileno(): number for number, sock in enumerate(self.sockets)}
        asked = 0.0
        while time.monotonic() < end:
            if time.monotonic() - asked > 0.5:
                asked = time.monotonic()
                for sock, own in zip(self.sockets, self._ids, strict=True):
                    sock.send(_find(own))
            for fd in select.select(list(numbers), [], [], 0.1)[0]:
                number = numbers[fd]
                query = self.sockets[number].recv(DATAGRAM_BYTES)
                match = _TRANSACTION.search(query)
                if match is not None and query.endswith(b"1:y1:qe"):
                    transaction = query[match.end() : match.end() + int(match[1])]
                    self.sockets[number].send(self._pong(number, transaction))

    def _pong(self, number: int, transaction: bytes) -> bytes:
        """An answer to any question: no nodes."""
        named = b"%d:" % len(transaction) + transaction
        return b"d1:rd2:id20:" + self._ids[number] + b"5:nodes0:e1:t" + named + b"1:y1:re"


def _find(own: bytes) -> bytes:
    """find_node(own id, a random target)."""
    target = random.randbytes(_ID_BYTES)
    return b"d1:ad2:id20:" + own + b"6:target20:" + target + b"e1:q9:find_node1:t2:" + random.randbytes(2) + b"1:y1:qe"
