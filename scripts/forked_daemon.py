"""Daemons that start quickly: forked from a process that has loaded everything, where `marketd` would load it anew.

The start of an interpreter and its imports take several times as long as the start of a daemon. `ForkServer` is one
process without threads that forks a daemon for each line of JSON that it reads; `ForkedDaemon` is a `Daemon` of
local_market that is started so. From the fork on it is a process like any other: with its own session, its own files
for stdout and stderr, and it can be killed.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from types import TracebackType

from local_market import Daemon

FOREVER = 1_000_000.0


class ForkServer:
    """The process that others are forked from; a context manager. It ends when its stdin does."""

    def __init__(self) -> None:
        command = [sys.executable, __file__]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )

    def __enter__(self) -> ForkServer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.communicate()

    def fork(self, arguments: list[str], out: Path, log: Path) -> ForkedProcess:
        """Start a daemon with these arguments."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        told = {"arguments": arguments, "out": str(out), "log": str(log)}
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()
        return ForkedProcess(int(self._process.stdout.readline()))


class ForkedProcess:
    """As much of `subprocess.Popen` as a `Daemon` needs, for a process that is no child of ours."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        try:
            self._handle = os.pidfd_open(pid)
        except ProcessLookupError:
            self.returncode = -1

    def poll(self) -> int | None:
        return self._look(0)

    def wait(self, timeout: float = FOREVER) -> int:
        """Its end; the exit code itself is not known here."""
        if self._look(timeout) is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout)
        return 0

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            signal.pidfd_send_signal(self._handle, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _look(self, timeout: float) -> int | None:
        if self.returncode is None and select.select([self._handle], [], [], timeout)[0]:
            os.close(self._handle)
            self.returncode = 0
        return self.returncode


class ForkedDaemon(Daemon):
    """A daemon that `server` forks."""

    server: ForkServer

    def start(self) -> None:
        self.out.write_bytes(b"")  # what an earlier life said, READY above all, is gone
        arguments = ["--home", str(self.home), "--network", "dev", *self.arguments]
        self.process = self.server.fork(arguments, self.out, self.log)  # type: ignore[assignment]
        self.started = time.monotonic()


def forked(daemon: Daemon, server: ForkServer) -> ForkedDaemon:
    """The same daemon, to be started by the server."""
    made = ForkedDaemon(daemon.name, daemon.home, daemon.arguments)
    made.server = server
    return made


def serve() -> None:
    """Fork a daemon for each line of stdin, and print its process id."""
    from p2pmarket.daemon import main as marketd

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    for line in sys.stdin:
        told = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _be_daemon(marketd, told)
        print(pid, flush=True)


def _be_daemon(marketd: object, told: dict[str, object]) -> None:
    """What a new process does until its end."""
    assert callable(marketd)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    for number, path, how in ((0, os.devnull, os.O_RDONLY), (1, told["out"], flags), (2, told["log"], flags)):
        opened = os.open(str(path), how)
        os.dup2(opened, number)
        os.close(opened)
    code = 1
    try:
        marketd(told["arguments"])
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
