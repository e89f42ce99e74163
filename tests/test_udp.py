"""The UDP shell under a flood: what is awaited is heard first, and only so many strangers wait for their turn."""

from __future__ import annotations

import random
import secrets
import socket

import pytest
import trio
import trio.testing

from p2pmarket import udp
from p2pmarket.dht.contact import Contact
from p2pmarket.dht.node import Node
from p2pmarket.dht.session import Sessions
from p2pmarket.keys import ExchangeKey
from p2pmarket.limits import CALL_SECONDS, DATAGRAM_BYTES
from p2pmarket.network import TEST

JUNK = 300
ROUNDS = 20  # trio draws which task runs first
WALL = 1_800_000_000


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


def made(kind: type[Node], address: tuple[str, int] | None = None) -> Node:
    key = ExchangeKey(secrets.token_bytes(32))
    sessions = Sessions(key, TEST, secrets.token_bytes, random.Random(1))
    now = trio.current_time()
    return kind(
        TEST, key, sessions, rng=random.Random(1), secrets=secrets.token_bytes, now=now, wall=WALL, address=address
    )


async def running(node: Node, sock: socket.socket, nursery: trio.Nursery) -> udp.DhtService:
    service = udp.DhtService(node, sock, lambda event: None, lambda probe: None)
    await nursery.start(service.run)
    await trio.testing.wait_all_tasks_blocked()
    return service


@pytest.mark.parametrize("backlog", [JUNK, JUNK - 1, udp.BATCH])
async def test_awaited_answers_are_heard_before_a_flood(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch, backlog: int
) -> None:
    monkeypatch.setattr(udp, "BACKLOG", backlog)
    with bound() as ours, bound() as friend, bound() as stranger:
        node = made(Hearing)
        assert isinstance(node, Hearing)
        node.heard = []
        service = await running(node, ours, nursery)
        host, port = friend.getsockname()
        public = ExchangeKey(secrets.token_bytes(32)).public
        node.bootstrap([Contact(public, host, port, 0)], trio.current_time())
        service.flush()
        for number in range(JUNK):
            stranger.sendto(number.to_bytes(2, "big"), ours.getsockname())
        friend.sendto(b"late", ours.getsockname())
        await trio.testing.wait_all_tasks_blocked()
        assert node.heard == [friend.getsockname()] + [stranger.getsockname()] * backlog
        assert service.counters.crowded_out == JUNK - backlog
        nursery.cancel_scope.cancel()


async def test_an_answer_that_waits_at_the_socket_is_in_time(
    nursery: trio.Nursery, mock_clock: trio.testing.MockClock
) -> None:
    with bound() as ours, bound() as friend:
        other = made(Node, friend.getsockname())
        assert other.contact is not None
        node = made(Node)
        service = await running(node, ours, nursery)
        for asked in range(1, ROUNDS + 1):
            node.ping(other.contact, trio.current_time())
            service.flush()
            other.receive_datagram(*friend.recvfrom(DATAGRAM_BYTES), trio.current_time())
            for datagram, address in other.datagrams_to_send(trio.current_time()):
                friend.sendto(datagram, address)
            mock_clock.jump(CALL_SECONDS + 1)  # we were kept from running for so long
            await trio.testing.wait_all_tasks_blocked()
            assert (node.counters.answers, node.counters.timeouts) == (asked, 0)
        nursery.cancel_scope.cancel()
