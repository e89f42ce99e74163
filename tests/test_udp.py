"""The UDP shell under a flood: what is awaited is heard first, and strangers are worked at a few at a time."""

from __future__ import annotations

import random
import secrets
import socket

import trio
import trio.testing

from p2pmarket import udp
from p2pmarket.dht.contact import Contact
from p2pmarket.dht.node import Node
from p2pmarket.dht.session import Sessions
from p2pmarket.keys import ExchangeKey
from p2pmarket.network import TEST

JUNK = 300


def bound() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.bind(("127.0.0.1", 0))
    sock.setblocking(False)
    return sock


class Hearing(Node):
    """Notes from whom datagrams are handed in."""

    heard: list[tuple[str, int]]

    def receive_datagram(self, data: bytes, address: tuple[str, int], now: float) -> None:
        self.heard.append(address)
        super().receive_datagram(data, address, now)


async def test_awaited_answers_are_heard_before_a_flood(nursery: trio.Nursery) -> None:
    with bound() as ours, bound() as friend, bound() as stranger:
        key = ExchangeKey(secrets.token_bytes(32))
        sessions = Sessions(key, TEST, secrets.token_bytes, random.Random(1))
        now = trio.current_time()
        node = Hearing(
            TEST, key, sessions, rng=random.Random(1), secrets=secrets.token_bytes, now=now, wall=1_800_000_000
        )
        node.heard = []
        service = udp.DhtService(node, ours, lambda event: None, lambda probe: None)
        await nursery.start(service.run)
        await trio.testing.wait_all_tasks_blocked()
        public = ExchangeKey(secrets.token_bytes(32)).public
        host, port = friend.getsockname()
        node.bootstrap([Contact(public, host, port, 0)], trio.current_time())
        service.flush()
        for number in range(JUNK):
            stranger.sendto(number.to_bytes(2, "big"), ours.getsockname())
        friend.sendto(b"late", ours.getsockname())
        await trio.testing.wait_all_tasks_blocked()
        assert node.heard == [friend.getsockname()] + [stranger.getsockname()] * udp.BATCH
        assert service.counters.crowded_out == JUNK - udp.BATCH
        nursery.cancel_scope.cancel()
