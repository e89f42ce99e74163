"""One HTTP/1.1 call over one socket: enough of RFC 9112 for our own server, and quick to import.

`http.client` would do the same, but brings in `email` and `ssl`, which cost the command line a third of its start.
Calls may follow each other on a connection. Reading never loses its place: a time-out leaves the buffer as it was, so
it can go on.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import ExitStack

from p2pmarket.client.find import Endpoint
from p2pmarket.errors import NoDaemon, NotAllowed, VersionDiffers

HEAD_BYTES = 64 * 1024
RECEIVE_BYTES = 256 * 1024
NOT_MARKETD = "what answers there is not marketd"
Headers = Mapping[str, str]


class ClosedError(ConnectionError):
    """The daemon closed the connection before the answer was complete."""


class Connection:
    """A connection to the daemon; `timeout` seconds for every wait, None for no end."""

    def __init__(self, endpoint: Endpoint, timeout: float | None) -> None:
        self._buffer = bytearray()
        self._endpoint = endpoint
        self._socket = _dial(endpoint, timeout)

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it; safe to repeat."""
        self._socket.close()

    def send(self, method: str, target: str, headers: Headers, body: bytes | None) -> None:
        """Send a whole request; raises ClosedError, TimeoutError."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self._endpoint.host}"]
        if self._endpoint.token is not None:
            lines.append(f"Authorization: Bearer {self._endpoint.token}")
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        head = "\r\n".join((*lines, "", "")).encode("ascii")
        try:
            self._socket.sendall(head + (body or b""))
        except (BrokenPipeError, ConnectionResetError):
            # The server may refuse a body before it has all of it: its answer is still to be read.
            return

    def read_head(self) -> tuple[int, dict[str, str]]:
        """Status and headers (names in lower case) of the answer; raises ClosedError, TimeoutError, VersionDiffers."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > HEAD_BYTES:
                raise VersionDiffers(NOT_MARKETD)
            self.fill()
        first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        version, _, rest = first.partition(" ")
        if not (version.startswith("HTTP/1.") and rest[:3].isdigit()):
            raise VersionDiffers(NOT_MARKETD)
        pairs = (line.partition(":") for line in lines)
        return int(rest[:3]), {name.strip().lower(): value.strip() for name, _, value in pairs}

    def read_body(self, headers: Headers) -> bytes:
        """The whole body; raises ClosedError, TimeoutError."""
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return b"".join(iter(self._next_chunk, b""))
        length = _number(headers.get("content-length", "0"), 10)
        while len(self._buffer) < length:
            self.fill()
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        return body

    def take_chunk(self) -> bytes | None:
        """One chunk if all of it has arrived, b"" for the last; None: `fill` first."""
        end = self._buffer.find(b"\r\n")
        if end < 0:
            return None
        start, size = end + 2, _number(self._buffer[:end].decode("latin-1"), 16)
        if len(self._buffer) < start + size + 2:
            return None
        chunk = bytes(self._buffer[start : start + size])
        del self._buffer[: start + size + 2]
        return chunk

    def fill(self, timeout: float | None = None) -> None:
        """Wait for more bytes, at most `timeout` seconds if given; raises ClosedError, TimeoutError."""
        if timeout is not None:
            self._socket.settimeout(max(timeout, 0.001))  # 0 would mean: do not wait at all, with another error
        try:
            data = self._socket.recv(RECEIVE_BYTES)
        except ConnectionResetError:
            raise ClosedError from None
        if not data:
            raise ClosedError
        self._buffer += data

    def _next_chunk(self) -> bytes:
        while (chunk := self.take_chunk()) is None:
            self.fill()
        return chunk


def _number(text: str, base: int) -> int:
    try:
        return int(text, base)
    except ValueError:
        raise VersionDiffers(NOT_MARKETD) from None


def _dial(endpoint: Endpoint, timeout: float | None) -> socket.socket:
    unix = isinstance(endpoint.address, str)
    family = socket.AF_UNIX if unix else socket.AF_INET6 if ":" in endpoint.address[0] else socket.AF_INET
    with ExitStack() as if_it_fails:
        sock = socket.socket(family, socket.SOCK_STREAM)
        if_it_fails.callback(sock.close)
        sock.settimeout(timeout)
        try:
            sock.connect(endpoint.address)
        except PermissionError:
            raise NotAllowed(f"{endpoint.text} belongs to another user") from None
        except OSError as error:
            reason = error.strerror or error
            raise NoDaemon(
                f"no daemon answers at {endpoint.text} ({endpoint.source}): {reason}",
                hint=f"Start it with: {endpoint.start}",
            ) from None
        if_it_fails.pop_all()
    return sock
