"""Sockets: one port for UDP and TCP, and connections to addresses in numbers."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from p2pmarket.config import Config
from p2pmarket.errors import PortInUse, StartError

Address = tuple[str, int]
BACKLOG = 128
BUFFER_BYTES = 4 * 1024 * 1024  # asked for; the kernel may give less
PORT_TRIES = 20  # with port 0: UDP and TCP must both be free


async def connected(address: Address) -> trio.SocketStream:
    """A TCP connection to an address in numbers: no name is looked up. Raises OSError."""
    family = trio.socket.AF_INET6 if ":" in address[0] else trio.socket.AF_INET
    sock = trio.socket.socket(family, trio.socket.SOCK_STREAM)
    try:
        await sock.connect(address)
    except BaseException:  # cancelled too: the descriptor must not leak
        sock.close()
        raise
    return trio.SocketStream(sock)


def written(stream: trio.SocketStream, data: bytes) -> int:
    """How much the socket takes without waiting: mostly all, which spares a turn of the scheduler.

    Raises BrokenResourceError.
    """
    try:
        return os.write(stream.socket.fileno(), data)
    except BlockingIOError:
        return 0
    except OSError as error:
        raise trio.BrokenResourceError from error


@contextmanager
def open_sockets(config: Config) -> Iterator[tuple[socket.socket, trio.SocketListener | None]]:
    """UDP and TCP on one port; no TCP listener if no connection is wanted. Raises PortInUse, StartError."""
    udp, tcp = _bind(config)
    udp.setblocking(False)
    with udp:
        if config.outbound_only:
            tcp.close()
            yield udp, None
            return
        with tcp:
            tcp.listen(BACKLOG)
            yield udp, trio.SocketListener(trio.socket.from_stdlib_socket(tcp))


def _bind(config: Config) -> tuple[socket.socket, socket.socket]:
    host, port = config.listen
    for _ in range(PORT_TRIES):
        udp, tcp = _pair(host)
        try:
            udp.bind((host, port))
            tcp.bind((host, udp.getsockname()[1]))
        except OSError as error:
            udp.close()
            tcp.close()
            if port:
                raise _no_socket(host, port, error) from None
        else:
            return udp, tcp
    raise StartError("no port is free for both UDP and TCP", hint="Name one: marketd --listen 0.0.0.0:PORT")


def _pair(host: str) -> tuple[socket.socket, socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    udp, tcp = socket.socket(family, socket.SOCK_DGRAM), socket.socket(family, socket.SOCK_STREAM)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return udp, tcp


def _no_socket(host: str, port: int, error: OSError) -> StartError:
    if error.errno in {98, 48}:  # EADDRINUSE on Linux and BSD
        shown = f"[{host}]" if ":" in host else host
        return PortInUse(f"port {port} is taken on {host}", hint=f"Choose another port: marketd --listen {shown}:PORT")
    return StartError(f"cannot listen on {host}:{port}: {error.strerror}", hint="marketd --listen HOST:PORT")
