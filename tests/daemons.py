"""Real daemons for tests: `marketd` processes on loopback, each with a home, a client and `market` commands.

Commands run in this process (`Peer.market`): the same `main` as on a terminal, without 0.2 s for a new interpreter.
`Peer.spawn` starts a real one where signals matter. Nothing sleeps to hide a race: `until` looks at real state and has
a deadline. Whatever happens, `a_market` ends every process that it started, by its process id.
"""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar
from unittest.mock import patch

from local_market import BIN, Daemon, LocalMarket, free_port
from p2pmarket_cli.main import main

from p2pmarket.api import types as t
from p2pmarket.api.types import bodies as b
from p2pmarket.client import Client, connect
from p2pmarket.daemon import main as daemon_main

Found = TypeVar("Found")
SECONDS = 30.0  # for anything that must happen soon; far more than it takes
PAUSE = 0.05


def until(what: str, look: Callable[[], Found | None], seconds: float = SECONDS) -> Found:
    """What `look()` returns as soon as it is neither None nor False; fails the test naming `what`."""
    limit = time.monotonic() + seconds
    while True:
        seen = look()
        if seen is not None and seen is not False:
            return seen
        assert time.monotonic() < limit, f"waited {seconds:.0f} s for {what}"
        time.sleep(PAUSE)


@dataclass(frozen=True)
class Said:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        """The error of a command with --json: one line on stderr, and nothing on stdout."""
        assert self.out == ""
        (line,) = self.err.splitlines()
        return json.loads(line)["error"]


def market(*words: str, home: Path, stdin: bytes = b"") -> Said:
    """`market --home HOME WORDS…` in this process."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
    given = io.TextIOWrapper(io.BytesIO(stdin), "utf-8")
    with redirect_stdout(out), redirect_stderr(err), patch.object(sys, "stdin", given):
        code = main(["--home", str(home), *words])
    return Said(code, _written(out), _written(err))


def _written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue().decode()


class Peer:
    """One daemon: its process may die and come back, its home stays."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.home = daemon.home

    @property
    def client(self) -> Client:
        """A client of the daemon as it runs now."""
        return connect(self.home, {}, timeout=20)

    @property
    def port(self) -> int:
        flags = self.daemon.arguments
        return int(flags[flags.index("--listen") + 1].rpartition(":")[2])

    def market(self, *words: str, stdin: bytes = b"") -> Said:
        """Any `market` command."""
        return market(*words, home=self.home, stdin=stdin)

    def ask(self, *words: str, stdin: bytes = b"") -> Any:
        """The JSON of a command that must succeed."""
        said = self.market(*words, "--json", stdin=stdin)
        assert said.code == 0, said.err
        return said.json

    def refuse(self, code: int, *words: str, stdin: bytes = b"") -> Any:
        """The error of a command that must fail with exactly this exit code, and with a hint."""
        said = self.market(*words, "--json", stdin=stdin)
        assert said.code == code, said
        assert said.error["message"]
        assert said.error["hint"], said.error
        return said.error

    def spawn(self, *words: str) -> subprocess.Popen[bytes]:
        """A command as a process of its own, its stdout and stderr as pipes."""
        return subprocess.Popen(
            self.daemon.command(*words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def kill(self) -> None:
        """What a power cut does."""
        assert self.daemon.process is not None
        self.daemon.process.kill()
        self.daemon.process.wait()

    def start(self, *more: str) -> None:
        """Start it again with the same flags, and `more` for this time."""
        before = list(self.daemon.arguments)
        self.daemon.arguments += more
        try:
            self.daemon.start()
            self.daemon.wait_ready()
        finally:
            self.daemon.arguments = before

    def crash(self, *more: str) -> None:
        """kill -9, then start again."""
        self.kill()
        self.start(*more)

    def alive(self) -> bool:
        """Whether it runs and answers."""
        return self.daemon.running() and bool(self.client.status().identity)

    # Trade, in the fewest words

    def announce(self, category: str, *serves: str) -> t.Announcement:
        """Announce, and wait until somebody holds it."""
        self.client.announce(b.Announce(category=category, serves=list(serves)))
        return until(
            f"holders of {category}",
            lambda: next((a for a in self.client.status().announcements if a.category == category and a.holders), None),
        )

    def open(self, category: str, *lines: str, **more: Any) -> t.Request:
        """Open a request with these lines."""
        return self.client.request_open(b.OpenRequest(category=category, line_texts=list(lines), **more)).request

    def received(self, request: str) -> t.InboxItem:
        """The item of a request in the inbox, once it is there."""
        return until(
            f"{request} in an inbox",
            lambda: next((item for item in self.client.inbox(state=_ALL).items if item.id == request), None),
        )

    def quoted(self, request: str, version: int = 1, count: int = 1, seconds: float = SECONDS) -> list[t.Quote]:
        """The quotes for a request, once there are `count` of at least that version."""

        def look() -> list[t.Quote] | None:
            quotes = [quote for quote in self.client.quotes(request).quotes if quote.version >= version]
            return quotes if len(quotes) >= count else None

        return until(f"{count} quotes of version {version} for {request}", look, seconds)

    def settled(self, order: str, state: str, seconds: float = SECONDS) -> t.Deal:
        """The deal of an order, once it is in `state`."""
        return until(
            f"{order} to be {state}",
            lambda: next(
                (deal for deal in self.client.deals().deals if deal.order == order and deal.state == state), None
            ),
            seconds,
        )

    def answered(self, request: str, answer: str) -> list[t.SellerState]:
        """The sellers of a request, once one has given this answer."""
        return until(
            f"{answer} on {request}", lambda: [one for one in self.sellers(request) if one.answer == answer] or None
        )

    def quote_state(self, quote: str, state: str) -> t.Quote:
        """A quote, once it is in `state`."""

        def look() -> t.Quote | None:
            shown = self.client.show(quote).quote
            return shown if shown is not None and shown.state == state else None

        return until(f"{quote} to be {state}", look)

    def request_state(self, request: str, state: str) -> t.Request:
        """A request of either role, once it is in `state`."""

        def look() -> t.Request | None:
            shown = self.client.show(request).request
            return shown if shown is not None and shown.state == state else None

        return until(f"{request} to be {state}", look)

    def sellers(self, request: str) -> list[t.SellerState]:
        return self.client.request_get(request).sellers


_ALL: Any = "all"  # the daemon shows answered items too


@dataclass
class Market:
    """Daemons of one network by name; the first is the bootstrap node."""

    local: LocalMarket
    peers: dict[str, Peer]

    def __getitem__(self, name: str) -> Peer:
        return self.peers[name]

    def add(self, name: str, *flags: str, config: str = "", start: bool = True) -> Peer:
        """One more daemon."""
        peer = self.peers[name] = Peer(self.local.add(name, *flags, config=config))
        if start:
            peer.start()
        return peer


@contextmanager
def a_market(
    *names: str, flags: dict[str, list[str]] | None = None, config: dict[str, str] | None = None
) -> Iterator[Market]:
    """A network of `bootstrap` and the daemons named, all ready and joined; `flags` and `config` by name."""
    with TemporaryDirectory(prefix="p2pm-") as folder:
        local = LocalMarket(Path(folder))
        try:
            boot = Peer(local.add_bootstrap())
            net = Market(local, {"bootstrap": boot})
            for name in names:
                net.add(name, *(flags or {}).get(name, []), config=(config or {}).get(name, ""), start=False)
            local.start(net[name].daemon for name in names)
            joined(net, names)
            yield net
        finally:
            local.stop()


def joined(net: Market, names: Iterable[str]) -> None:
    """Wait until these daemons know the network."""
    for name in names:
        until(f"{name} to join", lambda name=name: net[name].client.status().state == "ready")  # type: ignore[misc]


def marketd(*flags: str) -> Said:
    """`marketd` as a process that must end by itself; it is killed if it does not."""
    done = subprocess.run([str(BIN / "marketd"), "--network", "dev", *flags], capture_output=True, timeout=SECONDS)
    return Said(done.returncode, done.stdout.decode(), done.stderr.decode())


def start_here(*flags: str, network: str | None = "dev") -> Said:
    """The same in this process, without the second that an interpreter takes: for starts that must fail.

    A start that does not fail is ended by the signal that ends every daemon, and shows by its code 0.
    """
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
    ending = threading.Timer(SECONDS, os.kill, (os.getpid(), signal.SIGTERM))
    ending.start()
    try:
        with redirect_stdout(out), redirect_stderr(err):
            daemon_main([*(["--network", network] if network is not None else []), *flags])
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0
    finally:
        ending.cancel()
    return Said(code, _written(out), _written(err))


__all__ = [
    "BIN",
    "Daemon",
    "Market",
    "Peer",
    "Said",
    "a_market",
    "free_port",
    "joined",
    "market",
    "marketd",
    "start_here",
    "until",
]
