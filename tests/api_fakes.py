"""A daemon's stand-in for the tests of the API: real server, real socket, handlers that answer from a table."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import trio

from p2pmarket.api import types as t
from p2pmarket.api.spec import ROUTES, Call
from p2pmarket.config import Config, Flags, load_config
from p2pmarket.errors import NotFound

Handler = Callable[..., Awaitable[Any]]


class FakeHandlers:
    """Has every route; one that `answers` does not name is not found. `calls` keeps what arrived."""

    def __init__(self, **answers: Handler) -> None:
        self.calls: list[tuple[str, Call, Any, dict[str, str]]] = []
        for route in ROUTES:
            setattr(self, route.name, self._recorded(route.name, answers.get(route.name, _nothing)))

    def _recorded(self, name: str, answer: Handler) -> Handler:
        async def handler(call: Call, body: Any, **path: str) -> Any:
            self.calls.append((name, call, body, path))
            return await answer(call, body, **path)

        return handler


async def _nothing(call: Call, body: Any, **path: str) -> Any:
    raise NotFound("nothing here", details={"path": path})


async def who(call: Call, body: None) -> t.Identity:
    return IDENTITY


def config_at(home: Path, **flags: Any) -> Config:
    return load_config(Flags(home=str(home), **flags), {})


def event(seq: int | None, kind: str = "quote.received", data: object = None) -> t.Event:
    return t.Event(stream="s1", seq=seq, time="2026-01-01T00:00:00Z", type=kind, id=None, data=data)


async def counted(call: Call, body: None, **path: str) -> AsyncIterator[t.Event]:
    """Five events after `since`, then nothing more, and the stream stays open."""
    since = call.number("since", 0, 0, 2**53)

    async def events() -> AsyncIterator[t.Event]:
        for seq in range(since + 1, 6):
            yield event(seq)
        await trio.sleep_forever()

    return events()


IDENTITY = t.Identity(
    identity="did:key:z6Mk",
    fingerprint="k3f7q-h2x9d",
    name=None,
    contact=None,
    contacts=[],
    network="dev",
    home="/home",
    version="0.1.0",
    protocol=1,
)
STATUS = t.Status(
    version="0.1.0",
    protocol=1,
    network="dev",
    state="ready",
    identity="did:key:z6Mk",
    started_at="2026-01-01T00:00:00Z",
    stream="s1",
    last_seq=3,
    clock_offset_s=None,
    dht=t.DhtStatus(contacts=0, estimated_nodes=1),
    reachable=t.Reachable(verdict="unknown", addresses=[], checked_by=0, checked_at=None),
    announcements=[],
    outbox=t.Outbox(waiting=0, oldest_at=None),
    inbox=0,
    problems=[],
)
