"""The local API's server: HTTP/1.1 by h11 on trio, on a Unix socket and, if told to, on loopback TCP.

Who may connect (the same user, by SO_PEERCRED), how many, and how it ends is decided here: connections that wait for a
call, and streams, end at once; calls under way have a moment; who does not read holds nobody up.
"""

from __future__ import annotations

import logging
import os
import socket
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from importlib.metadata import version
from pathlib import Path

import h11
import msgspec
import trio

from p2pmarket import limits
from p2pmarket.api.server import place
from p2pmarket.api.server.app import Api, error_response
from p2pmarket.api.server.guard import UNIX_DOOR, Door, tcp_door
from p2pmarket.api.server.wire import Wire
from p2pmarket.api.spec import API_FILE, POWERS, PROTOCOL, ApiFile, Scope
from p2pmarket.config import Address, Config
from p2pmarket.errors import BadInput, PortInUse, Unavailable

FULL = f"{limits.API_CONNECTIONS} connections are open, and that is the limit"
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
            tokens = {place.token(config.home / name): scopes for name, scopes in POWERS.items()}
            listener, door = await _tcp_listener(config.api_tcp, tokens)
            listeners.append(listener)
            doors[listener.socket.family] = door
            where = msgspec.structs.replace(where, tcp=door.name)
        _tell_clients(config.home / API_FILE, where, traces)
        await _Server(handlers, doors).run(listeners, task_status)


class _Server:
    """The open connections, and how they end."""

    def __init__(self, handlers: object, doors: dict[socket.AddressFamily, Door]) -> None:
        self._doors = doors
        self._api = Api(handlers)
        self._wires: set[Wire] = set()
        self._open = Counter[int]()  # by the family of the socket: who fills one door leaves the other open
        self._turned_away = 0
        self._stopping = trio.Event()
        self._left = trio.Event()

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
                for wire in self._wires:
                    wire.stop()
                with trio.move_on_after(limits.API_STOP_SECONDS):
                    while self._wires:
                        await self._left.wait()
                nursery.cancel_scope.cancel()

    async def _serve(self, stream: trio.SocketStream) -> None:
        family = stream.socket.family
        if self._open[family] >= limits.API_CONNECTIONS or not _may_connect(stream.socket):
            await self._turn_away(stream)
            return
        wire = Wire(stream)
        self._wires.add(wire)
        self._open[family] += 1
        try:
            with wire.scope:
                await self._converse(wire, self._doors[family])
        except trio.BrokenResourceError:
            log.debug("a caller has left before his answer was sent")
        except h11.LocalProtocolError:
            log.exception("an answer that HTTP does not allow here")
        finally:
            self._open[family] -= 1
            self._wires.discard(wire)
            self._left.set()
            self._left = trio.Event()
            await wire.aclose()

    async def _turn_away(self, stream: trio.SocketStream) -> None:
        """Close it; a caller who may call, but finds no room, is told why."""
        self._turned_away += 1
        if self._turned_away & (self._turned_away - 1) == 0:  # 1, 2, 4, 8: a flood fills no log
            log.info("%s connections were turned away since the start", self._turned_away)
        wire = Wire(stream)
        if _may_connect(stream.socket):
            with suppress(trio.BrokenResourceError):  # so little fits into any socket at once
                await wire.refuse(error_response(Unavailable(FULL, hint="End one of the programs that hold them")))
        await wire.aclose()

    async def _converse(self, wire: Wire, door: Door) -> None:
        """One call after another."""
        try:
            while (asked := await wire.next_call()) is not None:
                await self._api.serve(wire, asked, door)
                if not wire.ready_again():
                    return
        except h11.RemoteProtocolError as error:
            await wire.refuse(error_response(BadInput(f"this is no call: {error}"), error.error_status_hint))


def _may_connect(sock: trio.socket.SocketType) -> bool:
    return sock.family != socket.AF_UNIX or place.same_user(sock)


def _unix_listener(path: Path, traces: ExitStack) -> trio.SocketListener:
    sock = place.bind_socket(path)
    traces.callback(path.unlink, missing_ok=True)
    return trio.SocketListener(trio.socket.from_stdlib_socket(sock))


async def _tcp_listener(address: Address, tokens: Mapping[str, frozenset[Scope]]) -> tuple[trio.SocketListener, Door]:
    host, port = address
    try:
        (listener,) = await trio.open_tcp_listeners(port, host=host)
    except OSError as error:
        raise PortInUse(f"the API cannot listen on {host}:{port}: {error}", hint="Choose another: --api-tcp") from None
    return listener, tcp_door(host, listener.socket.getsockname()[1], tokens)


def _tell_clients(path: Path, where: ApiFile, traces: ExitStack) -> None:
    place.write_private(path, msgspec.json.encode(where))
    traces.callback(path.unlink, missing_ok=True)
