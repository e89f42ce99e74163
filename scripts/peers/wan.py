"""A wide-area network between network namespaces, for kernels without netem: delay, loss, nodes cut off.

Each emulated node is a namespace with one TUN device; every packet between two namespaces crosses one process
(wan_router.c, compiled on first use), which keeps it for half a round trip. What is sent to any other address is
dropped. Needs Linux 5.11, root, `ip` and a C compiler. Everything is gone after `down`, and after the router's end.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

HERE = Path(__file__).resolve().parent
SPACES = Path("/run/netns")
READY_SECONDS = 30.0
ANSWER_BYTES = 1 << 20
FIRST_OCTET = 77  # 10.77.x.y; spare addresses of a node lie in 10.78.x.y, 10.79.x.y, ...
NODES_PER_LAST_OCTET = 250


class WanError(Exception):
    """The emulated network cannot be had here; the text says what is missing."""


def missing() -> str:
    """What this machine lacks for an emulated network, or nothing."""
    if os.geteuid() != 0:
        return "root (namespaces and TUN devices)"
    absent = [tool for tool in ("ip", "gcc") if shutil.which(tool) is None]
    if absent:
        return f"the program `{absent[0]}`"
    return "" if Path("/dev/net/tun").exists() else "/dev/net/tun"


def address(node: int, spare: int = 0) -> str:
    """The address of a node; `spare` counts its further ones from 1."""
    return f"10.{FIRST_OCTET + spare}.{node % NODES_PER_LAST_OCTET}.{1 + node // NODES_PER_LAST_OCTET}"


class Wan:
    """One emulated network; a context manager."""

    def __init__(self, name: str, folder: Path, nodes: int, *, rtt_ms: float, seed: int, spare: int = 0) -> None:
        """`name` begins the namespaces' names; `folder` takes the router's files; `spare` addresses more per node."""
        self.name, self.nodes = name, nodes
        self._folder, self._spare = folder, spare
        self._first = {"rtt_ms": rtt_ms, "loss": 0.0, "seed": seed}
        self._router: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Wan:
        self.up()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.down()

    def up(self) -> None:
        """Build it; raises WanError."""
        self._delete_spaces()  # left by a run that was killed
        program = self._folder / "wan_router"
        if not program.exists():
            subprocess.run(["gcc", "-O2", "-o", program, HERE / "wan_router.c", "-lm"], check=True)
        self._ip(f"netns add {self._space(node)}\n" for node in range(self.nodes))
        log = self._folder / "router.log"
        with log.open("wb") as out:
            self._router = subprocess.Popen(
                [program, self._control, str(self._spare), *(SPACES / self._space(n) for n in range(self.nodes))],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        limit = time.monotonic() + READY_SECONDS
        while time.monotonic() < limit and self._router.poll() is None:
            with contextlib.suppress(OSError):
                self.set(**self._first)
                return
            time.sleep(0.05)
        raise WanError(f"the router did not start: {log.read_text(encoding='utf-8', errors='replace').strip()}")

    def down(self) -> None:
        """Take it away."""
        if self._router is not None:
            self._router.kill()
            self._router.wait()
            self._router = None
        self._delete_spaces()

    def set(self, **values: float) -> None:
        """Change `rtt_ms`, `loss` (of each packet, one way), `jitter_ms`."""
        self._say("set " + " ".join(f"{name} {value}" for name, value in values.items()))

    def kill(self, nodes: list[int]) -> None:
        """Nothing reaches or leaves these nodes any more."""
        self._say("kill " + " ".join(map(str, nodes)))

    def reset(self) -> None:
        """Counters to zero."""
        self._say("reset")

    def stats(self) -> dict[str, Any]:
        """The router's counters since the last `reset`; `late_us` tells how late it was itself."""
        return self._say("stats")

    def space(self, node: int) -> Path:
        """The namespace of a node."""
        return SPACES / self._space(node)

    @property
    def _control(self) -> Path:
        return self._folder / "router.sock"

    def _space(self, node: int) -> str:
        return f"{self.name}-{node}"

    def _say(self, line: str) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            sock.settimeout(10)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ANSWER_BYTES)
            sock.connect(str(self._control))
            sock.send(line.encode())
            answer: dict[str, Any] = json.loads(sock.recv(ANSWER_BYTES))
            return answer

    def _delete_spaces(self) -> None:
        if SPACES.exists():
            left = [path.name for path in SPACES.glob(f"{self.name}-*") if path.name[len(self.name) + 1 :].isdigit()]
            self._ip((f"netns del {name}\n" for name in left), check=False)

    def _ip(self, lines: Any, *, check: bool = True) -> None:
        text = "".join(lines)
        if text:
            subprocess.run(["ip", "-force", "-batch", "-"], input=text, text=True, check=check, capture_output=True)
