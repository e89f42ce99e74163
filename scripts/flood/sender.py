"""Junk: python -m flood.sender RATE SECONDS ADDRESSES

Sends so many datagrams a second to the target from so many addresses, a few at each thousandth of a second, and tells
at its end what rate it reached. A quarter are first contacts that hold, made beforehand and sent again and again; a
quarter only look like first contacts; a quarter look like packets of a session; the rest is noise of any length.
"""

from __future__ import annotations

import contextlib
import json
import resource
import socket
import sys
import time
from random import Random

from flood.places import TARGET, address, contact, junk_address, key, take_priority
from p2pmarket import limits, messages
from p2pmarket.dht.session import FIRST_CONTACT_ROOM, Peer, Sessions
from p2pmarket.keys import ExchangeKey
from p2pmarket.network import TEST

POOL = 1024  # datagrams of each kind
TICK_SECONDS = 0.001
SMALL_BUFFER = 4096  # of sockets whose answers nobody reads
SPARE_FILES = 64


def main() -> None:
    """Send, then tell."""
    rate, seconds, count = float(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    rng = Random(1)
    pool = _pool(rng)
    sockets = _sockets(count)
    take_priority()
    to = address(TARGET)
    print(json.dumps({"ready": True}), flush=True)
    sent = refused = 0
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        while sent < rate * passed:
            sent += 1
            try:
                sockets[sent % count].sendto(pool[sent % len(pool)], to)
            except OSError:
                refused += 1
        time.sleep(TICK_SECONDS)
    used = resource.getrusage(resource.RUSAGE_SELF)
    told = {"per_s": (sent - refused) / passed, "refused": refused, "cpu_s": used.ru_utime + used.ru_stime}
    print(json.dumps(told), flush=True)


def _pool(rng: Random) -> list[bytes]:
    """Datagrams of all kinds, in turn."""
    peer = Peer(address(TARGET), key(TARGET).public)
    holds = []
    for number in range(POOL // 4):
        stranger = Sessions(ExchangeKey(rng.randbytes(32)), TEST, rng.randbytes, rng)
        question = messages.encode(messages.Find(number, contact(TARGET).r, rng.randbytes(32)))
        holds.append(stranger.seal(peer, question, 0.0))
    pool = []
    for number in range(POOL):
        pool.append(holds[number % len(holds)])
        pool.append(b"\x01\x01" + rng.randbytes(4) + bytes(16) + rng.randbytes(limits.DATAGRAM_BYTES - 22))
        pool.append(b"\x01\x03" + rng.randbytes(rng.randrange(30, limits.DATAGRAM_BYTES)))
        pool.append(rng.randbytes(rng.randrange(1, FIRST_CONTACT_ROOM)))
    return pool


def _sockets(count: int) -> list[socket.socket]:
    """One at each address."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, count + SPARE_FILES), most))
    made = []
    for number in range(count):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        sock.bind((junk_address(number), 4001))
        sock.setblocking(False)
        made.append(sock)
    return made


if __name__ == "__main__":
    main()
