"""The load: sockets that keep so many requests under way, with packets made beforehand.

A round is a number of requests, not a time: it is over when all were answered or given up. What the driver does per
request is one `send` and one `recv` on a connected socket, so it is several times as quick as any server in Python.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

CONTACTS = 20
PER_CONTACT = 8  # requests of one contact under way
PATIENCE_SECONDS = 0.5  # without any reply; then what is under way counts as lost
RECEIVE_BYTES = 4 * 1024 * 1024
DATAGRAM_BYTES = 65_535
SHORTEST_REPLY, LONGEST_REPLY = 200, 1199  # what is shorter or longer is a question of the server's own


class Load(Protocol):
    """What asks one kind of server."""

    sockets: list[socket.socket]

    def requests(self, count: int) -> list[list[bytes]]:
        """`count` requests of each contact, made now."""

    def check(self, number: int, reply: bytes) -> None:
        """Raise ValueError unless `reply` is a good answer to contact `number`."""


@dataclass(slots=True)
class Round:
    """What came of one round."""

    seconds: float
    replies: int = 0
    lost: int = 0
    largest: int = 0
    last: dict[int, bytes] = field(default_factory=dict)  # by contact


def open_sockets(server_port: int, first_host: int = 1) -> list[socket.socket]:
    """A socket for each contact, in a /24 of its own, connected to the server on loopback."""
    opened = []
    for number in range(CONTACTS):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        sock.bind((f"127.0.{first_host + number}.1", 0))
        sock.connect(("127.0.0.1", server_port))
        opened.append(sock)
    return opened


def drive(load: Load, count: int) -> Round:
    """Ask `count` requests of each contact and wait for the replies."""
    waiting = {sock.fileno(): iter(packets) for sock, packets in zip(load.sockets, load.requests(count), strict=True)}
    numbers = {sock.fileno(): number for number, sock in enumerate(load.sockets)}
    by_fd = {sock.fileno(): sock for sock in load.sockets}
    under_way = 0
    done = Round(0.0)
    with select.epoll() as poll:
        for fd in by_fd:
            poll.register(fd, select.EPOLLIN)
        began = ended = time.perf_counter()
        for fd, sock in by_fd.items():
            under_way += _send(sock, waiting[fd], PER_CONTACT)
        while under_way:
            ready = poll.poll(PATIENCE_SECONDS)
            for fd, _ in ready:
                sock = by_fd[fd]
                reply = sock.recv(DATAGRAM_BYTES)
                if not SHORTEST_REPLY <= len(reply) <= LONGEST_REPLY:
                    continue
                done.replies += 1
                done.last[numbers[fd]] = reply
                under_way += _send(sock, waiting[fd], 1) - 1
            if ready:
                ended = time.perf_counter()
            else:
                done.lost += under_way
                under_way = sum(_send(sock, waiting[fd], PER_CONTACT) for fd, sock in by_fd.items())
        done.seconds = ended - began
    done.largest = max(map(len, done.last.values()), default=0)
    for number, reply in done.last.items():
        load.check(number, reply)
    return done


def _send(sock: socket.socket, packets: Iterator[bytes], count: int) -> int:
    """Send up to `count` more; returns how many."""
    for sent in range(count):
        packet = next(packets, None)
        if packet is None:
            return sent
        sock.send(packet)
    return count
