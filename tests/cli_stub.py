"""A daemon that answers from a script: the local API's routes over a real Unix socket, with answers a test chooses.

It decodes every body as the daemon does, so a command that sends what the API does not know fails.
"""

from __future__ import annotations

import json
import os
import re
import socketserver
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec
from cli_samples import sample

from p2pmarket.api import spec
from p2pmarket.errors import MarketError


@dataclass
class Seen:
    """One call as it arrived."""

    route: str
    arguments: dict[str, str]
    query: dict[str, str]
    body: Any
    key: str | None


@dataclass
class Stub:
    """The home folder, what was called, and what to answer: a reply, an error, a list of events, or a function."""

    home: Path
    calls: list[Seen] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=dict)
    done: threading.Event = field(default_factory=threading.Event)

    def answer(self, route: spec.Route[Any], seen: Seen) -> Any:
        self.calls.append(seen)
        found = self.answers.get(route.name, None)
        found = found(seen) if callable(found) else found
        return sample(route.reply) if found is None else found

    def market(
        self, *words: str, stdin: bytes = b"", timeout: float = 30, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run `market` as a process on this home."""
        done = subprocess.run(
            [*MARKET, *words], input=stdin, capture_output=True, timeout=timeout, env=self.environment(**environment)
        )
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MARKET")}
        return {**kept, "MARKET_HOME": str(self.home), "PYTHONUTF8": "1", **more}


MARKET = (sys.executable, "-m", "p2pmarket_cli.main")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stub: Stub

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PATCH(self) -> None:
        self._serve()

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        route, arguments = self._route(parts.path)
        body = raw if route.raw else msgspec.json.decode(raw, type=route.request) if route.request else None
        query = dict(parse_qsl(parts.query))
        seen = Seen(route.name, arguments, query, body, self.headers.get("Idempotency-Key"))
        try:
            reply = self.stub.answer(route, seen)
        except MarketError as error:
            info = {name: getattr(error, name) for name in ("code", "message", "hint", "retryable", "details")}
            self._send(error.status, json.dumps({"error": info}).encode())
            return
        if route.stream:
            self._stream(reply)
        else:
            self._send(200, msgspec.json.encode(reply))

    def _route(self, path: str) -> tuple[spec.Route[Any], dict[str, str]]:
        for route in spec.ROUTES:
            match = re.fullmatch(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", route.path), path)
            if match and route.method == self.command:
                return route, {name: unquote(value) for name, value in match.groupdict().items()}
        raise AssertionError(f"no route {self.command} {path}")

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, events: Iterable[Any]) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for event in events:
                self._chunk(b"data: " + msgspec.json.encode(event) + b"\n\n")
            while not self.stub.done.wait(0.05):
                self._chunk(b": still here\n\n")
        except OSError:  # the client has left
            self.close_connection = True

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))


@contextmanager
def running(answers: dict[str, Any] | None = None) -> Iterator[Stub]:
    """A stub daemon with its home; `answers` by name of route, else a sample."""
    with tempfile.TemporaryDirectory(prefix="cli") as folder:
        stub = Stub(Path(folder), answers=dict(answers or {}))
        handler: Callable[..., Any] = type("Bound", (Handler,), {"stub": stub})
        server = socketserver.ThreadingUnixStreamServer(str(stub.home / "api.sock"), handler)
        server.daemon_threads = True
        told = {"socket": server.server_address, "pid": os.getpid(), "version": "0", "protocol": spec.PROTOCOL}
        (stub.home / "api.json").write_text(json.dumps(told))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield stub
        finally:
            stub.done.set()
            server.shutdown()
            thread.join()
            server.server_close()
