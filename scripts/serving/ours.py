"""Our node as a daemon runs it, and contacts in established encrypted sessions with it.

The server is `DhtService` on a real socket in a trio process of its own, a full node in the profile `test`. Only the
rate that one subnet may ask at is lifted: the limiter still runs for every packet. The contacts call first, confirm
their sessions, and so enter the server's table; their requests are then encrypted beforehand.
"""

from __future__ import annotations

import random
import secrets
import socket
import time
from collections.abc import Callable
from typing import Final

import trio

from p2pmarket import limits, messages
from p2pmarket.clock import wall
from p2pmarket.dht.contact import PACKED_IPV4, Contact
from p2pmarket.dht.limiter import Limiter
from p2pmarket.dht.node import Node
from p2pmarket.dht.session import Peer, Sessions
from p2pmarket.keys import ExchangeKey
from p2pmarket.network import TEST
from p2pmarket.sockets import BUFFER_BYTES
from p2pmarket.udp import DhtService
from serving.drive import CONTACTS, DATAGRAM_BYTES, open_sockets

LIFTED: Final = 1e9  # packets a second of one subnet


class Trusting(Node):
    """Takes who calls for somebody it found: these contacts answer no questions, and all must get into its table."""

    def _lives(self, contact: Contact, now: float, *, found: bool) -> None:
        super()._lives(contact, now, found=True)


def serve(say: Callable[[dict[str, object]], None]) -> None:
    """Run the server until the process is ended."""
    trio.run(_serve, say)


async def _serve(say: Callable[[dict[str, object]], None]) -> None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    sock.bind(("127.0.0.1", 0))
    sock.setblocking(False)
    key = ExchangeKey.from_seed(secrets.token_bytes(32))
    rng = random.SystemRandom()
    now = trio.current_time()
    node = Trusting(
        TEST,
        key,
        Sessions(key, TEST, secrets.token_bytes, rng),
        rng=rng,
        secrets=secrets.token_bytes,
        now=now,
        wall=wall(),
        address=sock.getsockname(),
        client=False,
    )
    node._exchange._limiter = Limiter(LIFTED, LIFTED, limits.PACKET_GROUPS)
    say({"port": sock.getsockname()[1], "public": key.public.hex()})
    await DhtService(node, sock, lambda event: None, lambda probe: None).run()


class Load:
    """Contacts whose sessions with the server are confirmed."""

    def __init__(self, said: dict[str, object]) -> None:
        port, public = said["port"], said["public"]
        assert isinstance(port, int)
        assert isinstance(public, str)
        self.sockets = open_sockets(port)
        self._server = Peer(("127.0.0.1", port), bytes.fromhex(public))
        self._now = time.monotonic()  # stands still, so that no session is renewed
        self._tx = 0
        self._sessions = [self._join(sock) for sock in self.sockets]

    def requests(self, count: int) -> list[list[bytes]]:
        """`count` encrypted questions of each contact for random targets."""
        return [[self._find(sessions) for _ in range(count)] for sessions in self._sessions]

    def check(self, number: int, reply: bytes) -> None:
        """The reply decrypts and names the contacts, all of them."""
        message = self._open(self._sessions[number], reply)
        if not isinstance(message, messages.Found) or len(message.contacts) < CONTACTS * PACKED_IPV4:
            raise ValueError(f"not a good answer: {message}")

    def _join(self, sock: socket.socket) -> Sessions:
        """Call the server, then ask it within the session, which confirms it."""
        sessions = Sessions(ExchangeKey.from_seed(secrets.token_bytes(32)), TEST, secrets.token_bytes, random.Random())
        for _ in range(2):
            self._tx += 1
            ping = messages.encode(messages.Ping(self._tx, 0))
            sock.send(sessions.seal(self._server, ping, self._now))
            self._open(sessions, sock.recv(DATAGRAM_BYTES))
        return sessions

    def _find(self, sessions: Sessions) -> bytes:
        self._tx += 1
        find = messages.encode(messages.Find(self._tx, 0, random.randbytes(32)))
        return sessions.seal(self._server, find, self._now)

    def _open(self, sessions: Sessions, reply: bytes) -> messages.Message:
        opened = sessions.open_untrusted(reply, self._server.address, self._now)
        if opened is None:
            raise ValueError("the reply does not open")
        return messages.decode_untrusted(opened.message)
