"""Finding the market through the local network, when the user wants it: greetings by multicast.

A node that knows nobody greets at once, then ever more rarely, and joins by whoever greets back. One that has joined
answers greetings, once in a few seconds at most, and says nothing by itself.
"""

from __future__ import annotations

import logging
import socket
from contextlib import suppress

import trio

from p2pmarket.dht.local import GROUP, PORT, Greeting, greeting, greeting_untrusted
from p2pmarket.errors import BadMessage
from p2pmarket.limits import DATAGRAM_BYTES, LOCAL_CONTACTS
from p2pmarket.udp import DhtService

ASK_SECONDS = (1, 2, 5, 15, 60, 300)  # pauses between greetings of a node that knows nobody, then the last
ANSWER_SECONDS = 2  # between two answers, whoever asks
HOPS = 1  # routers do not pass it on
log = logging.getLogger("p2pmarket.market")


class Neighbours:
    """Greets and answers until cancelled. `address`: what the daemon listens at."""

    def __init__(self, dht: DhtService, public: bytes, address: tuple[str, int]) -> None:
        self._dht, self._public, self._host, self._port = dht, public, address[0], address[1]
        self._answered = float("-inf")

    async def run(self) -> None:
        """Until cancelled; a machine without multicast is told so once, and does without."""
        try:
            sock = _group_socket(self._host)
        except OSError as error:
            log.warning("no neighbours are looked for on the local network: %s", error.strerror or error)
            return
        with sock:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._ask, sock)
                await self._listen(sock)

    async def _ask(self, sock: trio.socket.SocketType) -> None:
        pauses = iter(ASK_SECONDS)
        while True:
            if not self._dht.node.contacts():
                await self._greet(sock, asks=True)
            await trio.sleep(next(pauses, ASK_SECONDS[-1]))

    async def _listen(self, sock: trio.socket.SocketType) -> None:
        while True:
            data, address = await sock.recvfrom(DATAGRAM_BYTES + 1)
            with suppress(BadMessage):
                heard = greeting_untrusted(data, address[0], self._dht.node.network)
                if heard is not None and heard.public != self._public:
                    await self._hear(sock, heard)

    async def _hear(self, sock: trio.socket.SocketType, heard: Greeting) -> None:
        if not self._dht.node.contacts():
            self._dht.node.bootstrap(heard.contacts, trio.current_time())
            self._dht.flush()
        if heard.asks and trio.current_time() - self._answered >= ANSWER_SECONDS:
            self._answered = trio.current_time()
            await self._greet(sock, asks=False)

    async def _greet(self, sock: trio.socket.SocketType, *, asks: bool) -> None:
        known = self._dht.node.contacts()[:LOCAL_CONTACTS]
        data = greeting(self._dht.node.network, self._public, self._port, known, asks=asks)
        with suppress(OSError):  # the network is down: another greeting follows
            await sock.sendto(data, (GROUP, PORT))


def _group_socket(host: str) -> trio.socket.SocketType:
    """A socket in the multicast group, on the interface of `host` (0.0.0.0: the system's choice). Raises OSError."""
    interface = socket.inet_aton(host if ":" not in host else "0.0.0.0")
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((GROUP, PORT))  # nothing but what is sent to the group
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP) + interface)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, interface)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, HOPS)
        sock.setblocking(False)
        return trio.socket.from_stdlib_socket(sock)
    except OSError:
        sock.close()
        raise
