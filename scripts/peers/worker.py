"""One process for each node of a peer: python -m peers.worker PEER SOCKET SEED SPACE...

The process that is started imports the peer's library once and forks a child for each namespace, which moves there and
connects to the runner's socket. If it may, it takes real-time priority (below the router's), so that what else this
machine does counts for no peer. A child is driven by lines of JSON and answers with lines of JSON:

    -> {"id": 1, "do": "start", "index": 3, "contacts": [0, 2]}      contacts: indices of nodes to join by
    -> {"id": 2, "do": "put", "key": HEX, "value": HEX, "writer": 7}
    -> {"id": 3, "do": "get", "key": HEX, "want": 1}
    <- {"id": 3, "ok": true, "s": 0.21, "first_s": 0.1, "last_s": 0.15, "marks": [HEX]}

Seconds are taken inside the child, from accepting the line to the result. A mark is what tells values apart.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

import trio

from peers import kademlia_peer, libtorrent_peer, opendht_peer, ours
from peers.wan import address

CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
LINE_BYTES = 1 << 24
PORT = 4000
Answer = dict[str, Any]


class Peer(Protocol):
    """What a peer's module defines as `Node`: one node, told what to do. All but `info` are coroutines."""

    async def start(self, host: str, port: int, index: int, contacts: list[tuple[str, int, int]]) -> Answer: ...
    async def put(self, key: bytes, value: bytes, writer: int) -> Answer: ...
    async def get(self, key: bytes, want: int) -> Answer: ...
    async def put_many(self, key: bytes, value: bytes, writer: int) -> Answer: ...
    async def get_many(self, key: bytes, want: int) -> Answer: ...
    async def info(self) -> Answer: ...


PEERS: dict[str, Callable[[int], Peer]] = {
    "ours": ours.Node,
    "kademlia": kademlia_peer.Node,
    "opendht": opendht_peer.Node,
    "libtorrent": libtorrent_peer.Node,
}


async def _do(peer: Peer, order: dict[str, Any]) -> bytes:
    """The answer to one line, as a line."""
    began = time.monotonic()
    match order["do"]:
        case "start":
            contacts = [(address(index), PORT, index) for index in order["contacts"]]
            answer = await peer.start(address(order["index"]), PORT, order["index"], contacts)
        case "put" | "put_many" as what:
            act = peer.put if what == "put" else peer.put_many
            answer = await act(bytes.fromhex(order["key"]), bytes.fromhex(order["value"]), order["writer"])
        case "get" | "get_many" as what:
            look = peer.get if what == "get" else peer.get_many
            answer = await look(bytes.fromhex(order["key"]), order["want"])
        case _:
            answer = await peer.info()
    answer.setdefault("s", time.monotonic() - began)
    return json.dumps({"ok": True, **answer, "id": order["id"]}).encode() + b"\n"


async def _with_asyncio(peer: Peer, path: str, hello: bytes) -> None:
    reader, writer = await asyncio.open_unix_connection(path, limit=LINE_BYTES)
    writer.write(hello)
    tasks = set[asyncio.Task[None]]()

    async def serve(line: bytes) -> None:
        writer.write(await _do(peer, json.loads(line)))

    while line := await reader.readline():
        task = asyncio.ensure_future(serve(line))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


async def _with_trio(peer: ours.Node, path: str, hello: bytes) -> None:
    stream = await trio.open_unix_socket(path)
    await stream.send_all(hello)
    sending = trio.Lock()

    async def serve(line: bytes) -> None:
        answer = await _do(peer, json.loads(line))
        async with sending:
            await stream.send_all(answer)

    async with trio.open_nursery() as nursery:
        peer.nursery = nursery
        buffer = b""
        async for chunk in stream:
            *lines, buffer = (buffer + chunk).split(b"\n")
            for line in lines:
                nursery.start_soon(serve, line)
        nursery.cancel_scope.cancel()


def _enter(space: str) -> None:
    """Move this process into a network namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(space, os.O_RDONLY | os.O_CLOEXEC)
    if libc.setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), f"cannot enter {space}")
    os.close(descriptor)


def _child(name: str, path: str, seed: int, index: int, space: str) -> None:
    """Be one node until the runner closes its socket."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    _enter(space)
    hello = json.dumps({"index": index, "pid": os.getpid()}).encode() + b"\n"
    peer = PEERS[name](seed)
    if isinstance(peer, ours.Node):
        trio.run(_with_trio, peer, path, hello)
    else:
        asyncio.run(_with_asyncio(peer, path, hello))


def main() -> None:
    """Fork the children and wait until standard input ends."""
    name, path, seed, *spaces = sys.argv[1:]
    PEERS[name](int(seed))  # imports its library
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    gc.collect()
    gc.freeze()  # as the daemon does, and the children share the pages
    children = []
    for index, space in enumerate(spaces):
        child = os.fork()
        if not child:
            try:
                _child(name, path, int(seed), index, space)
            finally:
                os._exit(0)  # libraries with threads of their own do not always end
        children.append(child)
    sys.stdin.read()
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
