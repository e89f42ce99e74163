"""The local API's server: Starlette on hypercorn's connection handler for trio.

hypercorn is given single connections, not the sockets. So we decide who may connect (the same user, by SO_PEERCRED),
how many, and how it ends: hypercorn shields its writes from cancellation, and a reader that has stopped reading would
keep a stopping daemon alive for ever. Nor does it then touch signals, or take away a socket on which another daemon
listens.
"""

from __future__ import annotations

import logging
import os
import socket
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import cast

import msgspec
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config as HypercornConfig
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState

from p2pmarket import limits
from p2pmarket.api.server import place
from p2pmarket.api.server.app import Api
from p2pmarket.api.server.guard import UNIX_DOOR, Door, tcp_door
from p2pmarket.api.spec import API_FILE, PROTOCOL, TOKEN_FILE, ApiFile
from p2pmarket.config import Address, Config
from p2pmarket.errors import PortInUse

IDLE_SECONDS = 30  # how long a connection may stay open between two calls
SSLStream = trio.SSLStream[trio.SocketStream]
log = logging.getLogger("p2pmarket.api")


async def serve_api(
    config: Config, handlers: object, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve until cancelled; started when it answers. The caller holds the lock of the home.

    When cancelled, calls under way have `limits.API_STOP_SECONDS` to end; what they need must live that long. Raises
    StartError, HomeInUse, PortInUse.
    """
    with ExitStack() as traces:
        listeners = [_unix_listener(config.socket, traces)]
        doors = {socket.AF_UNIX: UNIX_DOOR}
        where = ApiFile(
            socket=os.fspath(config.socket), pid=os.getpid(), version=version("p2pmarket"), protocol=PROTOCOL
        )
        if config.api_tcp is not None:
            listener, door = await _tcp_listener(config.api_tcp, place.token(config.home / TOKEN_FILE))
            listeners.append(listener)
            doors[listener.socket.family] = door
            where = msgspec.structs.replace(where, tcp=door.name)
        _tell_clients(config.home / API_FILE, where, traces)
        await _Server(handlers, doors).run(listeners, task_status)


class _Connection:
    """The stream that hypercorn is given. When the other side has left, it ends hypercorn's wait for a next call.

    hypercorn would keep what it holds of a connection until its idle time is over. A call under way is not stopped: who
    presses Ctrl-C while he orders has ordered.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        self.socket = stream.socket
        self.context = WorkerContext(None)
        self.scope = trio.CancelScope()
        self._stream = stream
        self._sending = trio.Lock()

    async def receive_some(self, max_bytes: int) -> bytes:
        data = b""
        try:
            data = bytes(await self._stream.receive_some(max_bytes))
        finally:
            if not data:
                await self.context.terminated.set()
        return data

    async def send_all(self, data: bytes) -> None:
        if data.startswith(b"HTTP/1.1 101"):
            # hypercorn offers HTTP/2 to all who ask, and loses such connections when they end badly.
            self.scope.cancel()
        async with self._sending:
            await self._stream.send_all(data)

    async def send_eof(self) -> None:
        async with self._sending:  # hypercorn does not wait for its own writes here
            await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Server:
    """The open connections, and how they end."""

    def __init__(self, handlers: object, doors: dict[socket.AddressFamily, Door]) -> None:
        self._doors = doors
        self._stopping = trio.Event()
        self._app = ASGIWrapper(cast("ASGIFramework", Api(handlers, self._stopping)))
        self._connections: set[_Connection] = set()
        self._left = trio.Event()
        self._config = HypercornConfig()
        self._config.errorlog = log
        self._config.include_server_header = False
        self._config.keep_alive_timeout = IDLE_SECONDS

    async def run(self, listeners: list[trio.SocketListener], task_status: trio.TaskStatus[None]) -> None:
        """Accept until cancelled, then let the connections end."""
        async with trio.open_nursery() as nursery:
            connections = await nursery.start(self._hold)
            try:
                task_status.started()
                await trio.serve_listeners(self._serve, listeners, handler_nursery=connections)
            finally:
                self._stopping.set()

    async def _hold(self, *, task_status: trio.TaskStatus[trio.Nursery]) -> None:
        """The nursery of the connections, which outlives a cancellation from outside by a moment."""
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as nursery:
                task_status.started(nursery)
                await self._stopping.wait()
                for connection in self._connections:
                    await connection.context.terminated.set()  # ends those that wait for a call
                with trio.move_on_after(limits.API_STOP_SECONDS):
                    await self._until_all_left()
                for connection in self._connections:
                    connection.socket.close()  # the only thing that ends a shielded write
                nursery.cancel_scope.cancel()

    async def _until_all_left(self) -> None:
        while self._connections:
            await self._left.wait()

    async def _serve(self, stream: trio.SocketStream) -> None:
        if len(self._connections) >= limits.API_CONNECTIONS or not self._may_connect(stream.socket):
            await stream.aclose()
            return
        connection = _Connection(stream)
        self._connections.add(connection)
        state = ConnectionState({"door": self._doors[stream.socket.family], "close": stream.aclose})
        try:
            with connection.scope:
                # It takes plain streams too, only its annotation does not.
                await TCPServer(self._app, self._config, connection.context, state, cast("SSLStream", connection))
        except* Exception:
            # The one place that stops any fault: garbage on a connection makes hypercorn fail in ways that it does not
            # name, and that must not end the daemon.
            log.debug("a connection ended by a fault", exc_info=True)
        finally:
            self._connections.discard(connection)
            self._left.set()
            self._left = trio.Event()

    def _may_connect(self, sock: trio.socket.SocketType) -> bool:
        return sock.family != socket.AF_UNIX or place.same_user(sock)


def _unix_listener(path: Path, traces: ExitStack) -> trio.SocketListener:
    sock = place.bind_socket(path)
    traces.callback(path.unlink, missing_ok=True)
    return trio.SocketListener(trio.socket.from_stdlib_socket(sock))


async def _tcp_listener(address: Address, token: str) -> tuple[trio.SocketListener, Door]:
    host, port = address
    try:
        (listener,) = await trio.open_tcp_listeners(port, host=host)
    except OSError as error:
        raise PortInUse(f"the API cannot listen on {host}:{port}: {error}", hint="Choose another: --api-tcp") from None
    return listener, tcp_door(host, listener.socket.getsockname()[1], token)


def _tell_clients(path: Path, where: ApiFile, traces: ExitStack) -> None:
    place.write_private(path, msgspec.json.encode(where))
    traces.callback(path.unlink, missing_ok=True)
