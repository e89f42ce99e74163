"""The worker processes of one peer on one emulated network, as the runner sees them."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from statistics import median
from typing import IO, Any

import trio

from peers.marks import mark
from peers.wan import Wan

SCRIPTS = Path(__file__).resolve().parent.parent
LAUNCH_SECONDS = 60.0
CALL_SECONDS = 120.0
JOIN_BATCH = 8
STOP_SECONDS = 10.0


class CrewError(Exception):
    """The workers of a peer did not start."""


class Worker:
    """One node's process: orders out, answers in."""

    def __init__(self, stream: trio.SocketStream, pid: int) -> None:
        self.pid = pid
        self._stream = stream
        self._number = 0
        self._sending = trio.Lock()
        self._waiting: dict[int, tuple[trio.Event, dict[str, Any]]] = {}

    async def call(self, what: str, **fields: object) -> dict[str, Any]:
        """The answer to an order; one that says `ok` false if none came in time."""
        self._number += 1
        number = self._number
        came, answer = self._waiting[number] = trio.Event(), dict[str, Any]()
        async with self._sending:
            await self._stream.send_all(json.dumps({"id": number, "do": what, **fields}).encode() + b"\n")
        with trio.move_on_after(CALL_SECONDS):
            await came.wait()
        return answer or {"ok": False, "error": "no answer", "s": CALL_SECONDS}

    async def read(self, buffer: bytes) -> None:
        """Take answers until the process is gone."""
        async for chunk in self._stream:
            *lines, buffer = (buffer + chunk).split(b"\n")
            for line in lines:
                answer = json.loads(line)
                came, place = self._waiting.pop(answer["id"])
                place.update(answer)
                came.set()
        for came, place in self._waiting.values():
            place.update(ok=False, error="the worker died", s=0.0)
            came.set()


class Crew:
    """All nodes of one peer."""

    def __init__(self, wan: Wan, workers: list[Worker]) -> None:
        self.wan = wan
        self.nodes = len(workers)
        self._workers = workers

    async def join(self, seed: int) -> int:
        """Let all nodes join; how many could not."""
        rng = Random(seed)
        answers = [await self._start(0, [])]
        for first in range(1, self.nodes, JOIN_BATCH):
            batch = range(first, min(first + JOIN_BATCH, self.nodes))
            others = [sorted({0, rng.randrange(first)}) for _ in batch]
            async with trio.open_nursery() as nursery:
                for index, contacts in zip(batch, others, strict=True):
                    nursery.start_soon(self._start_into, index, contacts, answers)
        return sum(not answer["ok"] for answer in answers)

    async def contacts(self) -> float:
        """Contacts that a node has, in the median."""
        return median([float((await worker.call("info")).get("contacts", math.nan)) for worker in self._workers])

    async def info(self) -> list[dict[str, Any]]:
        """What each node says of itself."""
        return [await worker.call("info") for worker in self._workers]

    def cpu_seconds(self) -> float:
        """CPU time that the processes have used, all together."""
        return sum(_cpu_seconds(worker.pid) for worker in self._workers)

    async def put(self, node: int, how: str, key: bytes, value: bytes, writer: int) -> dict[str, Any]:
        """One put; `s` is its seconds."""
        return await self._workers[node].call(how, key=key.hex(), value=value.hex(), writer=writer)

    async def get(self, node: int, how: str, key: bytes, values: list[bytes], *, want: int) -> dict[str, Any]:
        """One get; `found` counts the values that came of those wanted, `ok` tells whether there was any."""
        answer = await self._workers[node].call(how, key=key.hex(), want=want)
        marks = set(answer.pop("marks", ()))
        # Addresses without records cannot be told apart by what was put: then all that came counts.
        answer["found"] = len(marks if answer.get("unrecorded") else marks & {mark(value) for value in values})
        answer["ok"] = bool(answer["ok"] and answer["found"])
        return answer

    async def _start(self, index: int, contacts: list[int]) -> dict[str, Any]:
        return await self._workers[index].call("start", index=index, contacts=contacts)

    async def _start_into(self, index: int, contacts: list[int], answers: list[dict[str, Any]]) -> None:
        answers.append(await self._start(index, contacts))


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def crew(peer: str, wan: Wan, folder: Path, seed: int) -> AsyncIterator[Crew]:
    """The processes of `peer`, one in each namespace, not yet joined."""
    path = folder / "workers.sock"
    path.unlink(missing_ok=True)
    command = [sys.executable, "-m", "peers.worker", peer, str(path), str(seed)]
    command += [str(wan.space(node)) for node in range(wan.nodes)]
    listener = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
    with listener, (folder / f"{peer}.log").open("ab") as log:
        await listener.bind(str(path))
        listener.listen(wan.nodes)
        path_too = os.environ.get("PYTHONPATH", "")
        environment = {**os.environ, "PYTHONPATH": f"{SCRIPTS}{os.pathsep}{path_too}"}
        parent = _spawn(command, log, environment)
        try:
            async with trio.open_nursery() as nursery:
                workers = await _accept(listener, wan.nodes, nursery, folder / f"{peer}.log")
                yield Crew(wan, workers)
                nursery.cancel_scope.cancel()
        finally:
            _end(parent)


def _spawn(command: list[str], log: IO[bytes], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment, start_new_session=True
    )


def _end(parent: subprocess.Popen[bytes]) -> None:
    """Closing its standard input makes the parent end its children, and then itself."""
    if parent.stdin is not None:
        parent.stdin.close()
    try:
        parent.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        parent.kill()
        parent.wait()


def _last_words(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:])


async def _accept(listener: Any, nodes: int, nursery: trio.Nursery, log: Path) -> list[Worker]:
    """Wait until each process has connected and said which it is. Raises CrewError."""
    workers: dict[int, Worker] = {}
    with trio.move_on_after(LAUNCH_SECONDS):
        while len(workers) < nodes:
            sock, _ = await listener.accept()
            stream = trio.SocketStream(sock)
            line = b""
            while not line.endswith(b"\n"):
                line += await stream.receive_some(1)
            hello = json.loads(line)
            worker = workers[hello["index"]] = Worker(stream, hello["pid"])
            nursery.start_soon(worker.read, b"")
    if len(workers) < nodes:
        raise CrewError(f"only {len(workers)} of {nodes} workers started\n{_last_words(log)}")
    return [workers[index] for index in range(nodes)]
