"""A market of real daemons on loopback, for the demo and the benchmarks: `marketd` processes and `market` calls.

Nothing of the project is imported: what is used is what anyone can use. Every daemon has a home of its own under one
folder, listens on a free port of 127.0.0.1 on the network `dev`, and writes stdout and stderr to files in that folder.
Whatever happens, `LocalMarket` as a context manager ends every process that it started, by its process id.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any

BIN = Path(sysconfig.get_path("scripts"))
READY_SECONDS = 30.0
STOP_SECONDS = 10.0
COMMAND_SECONDS = 60.0


class CommandError(Exception):
    """A `market` command ended with another exit code than expected; the text is what it said."""

    def __init__(self, command: Iterable[str], code: int, said: str) -> None:
        super().__init__(f"{' '.join(command)} ended with {code}: {said.strip()}")
        self.code = code
        self.said = said


class DaemonError(Exception):
    """A daemon did not get ready, or ended by itself; the text ends with the last lines of its log."""


class Daemon:
    """One `marketd` with its home, and `market` calls to it."""

    def __init__(self, name: str, home: Path, arguments: Iterable[str]) -> None:
        self.name = name
        self.home = home
        self.arguments = list(arguments)
        self.log = home.with_suffix(".log")
        self.out = home.with_suffix(".out")
        self.process: subprocess.Popen[bytes] | None = None
        self.started = 0.0

    def start(self) -> None:
        """Start the process; `wait_ready` says when it can be used."""
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        command = [*self.program(), "--home", str(self.home), "--network", "dev", *self.arguments]
        with self.out.open("wb") as out, self.log.open("ab") as log:
            # A session of its own: Ctrl-C at the terminal reaches us alone, and we end the daemons in order.
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=log, start_new_session=True
            )
        self.started = time.monotonic()

    def program(self) -> list[str]:
        """What is run, without its flags."""
        return [str(BIN / "marketd")]

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def wait_ready(self) -> float:
        """Seconds from the start to READY; raises DaemonError."""
        while time.monotonic() - self.started < READY_SECONDS:
            if "READY" in self.out.read_text(encoding="utf-8", errors="replace").split():
                return time.monotonic() - self.started
            if not self.running():
                break
            time.sleep(0.01)
        raise DaemonError(f"{self.name} did not get ready\n{self.last_words()}")

    def last_words(self, lines: int = 20) -> str:
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def ask_to_stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def wait_stopped(self) -> int | None:
        """The exit code of the process; it is killed if SIGTERM is not enough. None: it was not started."""
        if self.process is None:
            return None
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def stop(self) -> int | None:
        self.ask_to_stop()
        return self.wait_stopped()

    def command(self, *arguments: str) -> list[str]:
        return [str(BIN / "market"), "--home", str(self.home), *arguments]

    def market(self, *arguments: str, stdin: str | None = None, expect: Iterable[int] = (0,)) -> Any:
        """The JSON that `market ARGUMENTS --json` prints; raises CommandError."""
        return market(self.command(*arguments, "--json"), stdin=stdin, expect=expect)

    def stream(self, *arguments: str) -> Stream:
        """`market ARGUMENTS --jsonl`, read line by line."""
        return Stream(self.command(*arguments, "--jsonl"))

    def cpu_seconds(self) -> float:
        """CPU time of the process so far (Linux)."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_bytes(self) -> int:
        """Resident memory of the process (Linux)."""
        return int(Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGESIZE")


def market(command: list[str], stdin: str | None = None, expect: Iterable[int] = (0,)) -> Any:
    """The JSON document on stdout of `command`, or the text if it is none; raises CommandError."""
    done = subprocess.run(
        command, input=stdin or "", capture_output=True, text=True, encoding="utf-8", timeout=COMMAND_SECONDS
    )
    if done.returncode not in expect:
        raise CommandError(command, done.returncode, done.stderr or done.stdout)
    try:
        return json.loads(done.stdout or done.stderr)
    except ValueError:
        return done.stdout


class Stream:
    """A command that prints one JSON object a line; iterate with a time limit, then `interrupt` or wait for its end."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        self.command = command

    def objects(self, seconds: float) -> Iterator[Any]:
        """Objects as they come, at most for `seconds`, until the command ends."""
        assert self.process.stdout is not None
        limit = time.monotonic() + seconds
        buffer = b""
        while (left := limit - time.monotonic()) > 0:
            ready, _, _ = select.select([self.process.stdout], [], [], left)
            if not ready:
                return
            chunk = os.read(self.process.stdout.fileno(), 1 << 16)
            if not chunk:
                return
            *lines, buffer = (buffer + chunk).split(b"\n")
            yield from (json.loads(line) for line in lines if line.strip())

    def interrupt(self) -> int:
        """What Ctrl-C does; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.finish()

    def finish(self) -> int:
        """Read what is left, and the exit code."""
        try:
            _, said = self.process.communicate(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            _, said = self.process.communicate()
        if self.process.returncode not in (0, 6, 8, 130):
            raise CommandError(self.command, self.process.returncode, said.decode(errors="replace"))
        return self.process.returncode


class LocalMarket:
    """The daemons of one local network; the first is the bootstrap node of all others."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.daemons: dict[str, Daemon] = {}
        self.contact: str | None = None

    def __enter__(self) -> LocalMarket:
        signal.signal(signal.SIGTERM, _leave)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def add(self, name: str, *arguments: str, config: str = "", listen: bool = True) -> Daemon:
        """A daemon, not yet started. `config` is the text of its config.toml."""
        home = self.root / name
        home.mkdir(parents=True, mode=0o700)
        if config:
            (home / "config.toml").write_text(config, encoding="utf-8")
        flags = ["--listen", f"127.0.0.1:{free_port()}"] if listen else []
        if self.contact:
            flags += ["--bootstrap", self.contact]
        daemon = self.daemons[name] = Daemon(name, home, [*flags, *arguments])
        return daemon

    def add_bootstrap(self, name: str = "bootstrap") -> Daemon:
        """Start an ordinary daemon that the others know; it tells its contact."""
        port = free_port()
        daemon = self.add(name, "--listen", f"127.0.0.1:{port}", "--advertise", f"127.0.0.1:{port}", listen=False)
        daemon.start()
        daemon.wait_ready()
        self.contact = str(daemon.market("id")["contact"])
        return daemon

    def start(self, daemons: Iterable[Daemon], at_once: int = 4) -> None:
        """Start `daemons`, a few at a time, and wait until all are ready."""
        waiting: list[Daemon] = []
        for daemon in daemons:
            daemon.start()
            waiting.append(daemon)
            if len(waiting) >= at_once:
                waiting.pop(0).wait_ready()
        for daemon in waiting:
            daemon.wait_ready()

    def stop(self) -> dict[str, int | None]:
        """End all daemons; their exit codes."""
        for daemon in self.daemons.values():
            daemon.ask_to_stop()
        return {daemon.name: daemon.wait_stopped() for daemon in self.daemons.values()}

    def pids(self) -> list[int]:
        return [daemon.pid for daemon in self.daemons.values() if daemon.running()]


def _leave(number: int, frame: object) -> None:
    sys.exit(128 + number)


def free_port() -> int:
    """A port of 127.0.0.1 that neither TCP nor UDP uses now."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            port = int(tcp.getsockname()[1])
            with contextlib.suppress(OSError):
                udp.bind(("127.0.0.1", port))
                return port


def wait_for(what: str, seconds: float, look: Any, pause: float = 0.1) -> Any:
    """What `look()` returns as soon as it is true; raises TimeoutError naming `what`."""
    limit = time.monotonic() + seconds
    while not (seen := look()):
        if time.monotonic() > limit:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        time.sleep(pause)
    return seen


def print_figures(figures: dict[str, object], as_json: bool, out: IO[str] | None = None) -> None:
    """Figures for people, or with `--json` as one flat JSON object on the last line."""
    stream = out or sys.stdout
    if as_json:
        print(json.dumps(figures), file=stream)
        return
    width = max(len(name) for name in figures)
    for name, value in figures.items():
        print(f"{name:<{width}}  {value}", file=stream)
