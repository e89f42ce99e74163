"""From a call to its answer, by the table of routes and one object with a method for each.

Every answer is JSON with one shape of errors. A fault that is no MarketError is logged with its trace and becomes
`internal`: a fault of ours in one call must not end the daemon for all, and this is the one place that sees to it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import h11
import msgspec
import trio

from p2pmarket import limits
from p2pmarket.api.server.events import Encoder, EventSender
from p2pmarket.api.server.guard import Door, admit, call_of, permit
from p2pmarket.api.server.openapi import PATH, document
from p2pmarket.api.server.routing import Table, WrongMethod
from p2pmarket.api.server.wire import Answer, Asked, Header, Wire
from p2pmarket.api.server.words import plain_words
from p2pmarket.api.spec import PROTOCOL, ROUTES, Call, Route
from p2pmarket.api.types import ErrorInfo, ErrorReply
from p2pmarket.api.types.bodies import Body, ImportPrices
from p2pmarket.errors import BadInput, Internal, MarketError, Unavailable, WrongState

HEADERS: tuple[Header, ...] = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"market-protocol", b"%d" % PROTOCOL),
)
Handler = Callable[..., Awaitable[Any]]
OF_COMMANDS = frozenset({BadInput.default_hint, WrongState.default_hint})  # hints for who has typed one
log = logging.getLogger("p2pmarket.api")


class Api:
    """Answers calls. `handlers` has a method for each route: see `api.spec`."""

    def __init__(self, handlers: object) -> None:
        missing = [route.name for route in ROUTES if not callable(getattr(handlers, route.name, None))]
        if missing:
            raise TypeError(f"no handler for the routes {', '.join(missing)}")
        self._handlers: dict[str, Handler] = {route.name: getattr(handlers, route.name) for route in ROUTES}
        self._table = Table(ROUTES)
        self._encoder = Encoder()
        self._streams = 0

    async def serve(self, wire: Wire, asked: Asked, door: Door) -> None:
        """Answer one call; raises what `Wire` raises."""
        try:
            answer = await self._answer(wire, asked, door)
        except MarketError as error:
            answer = error_response(error)
        except (trio.BrokenResourceError, h11.RemoteProtocolError):
            raise
        except Exception:
            log.exception("a fault in %s %s", asked.method, asked.target[:200])
            answer = error_response(Internal("marketd could not do this because of a fault of its own"))
        if answer is not None and not wire.answering:
            await wire.answer(answer)

    async def _answer(self, wire: Wire, asked: Asked, door: Door) -> Answer | None:
        """The answer; None if it has been streamed."""
        scopes = admit(door, asked.headers)
        path, _, query = asked.target.partition("?")
        if path == PATH and asked.method in {"GET", "HEAD"}:
            return json_response(document())
        route, arguments = self._table.find(asked.method, path)
        permit(route, scopes)
        call = call_of(route, asked.headers, parse_qsl(query, keep_blank_values=True) if query else [], arguments)
        body = await _body(route, wire, call)
        if route.stream:
            await self._stream(wire, route, call, arguments)
            return None
        return json_response(await self._handlers[route.name](call, body, **arguments))

    async def _stream(self, wire: Wire, route: Route[Any], call: Call, arguments: Mapping[str, str]) -> None:
        if self._streams >= limits.STREAMS:
            raise Unavailable(f"{limits.STREAMS} event streams are open, and that is the limit")
        self._streams += 1
        try:
            events = await self._handlers[route.name](call, None, **arguments)
            await EventSender(wire, self._encoder).run(aiter(events))
        finally:
            self._streams -= 1


async def _body(route: Route[Any], wire: Wire, call: Call) -> Body | None:
    if route.request is None:
        return None
    data = await wire.read_body(limits.IMPORT_BYTES if route.raw else limits.API_BODY_BYTES)
    try:
        if route.raw:
            return _import_of(data, call.query)
        return msgspec.json.decode(data or b"{}", type=route.request)
    except msgspec.ValidationError as error:
        raise BadInput(plain_words(str(error), route.request)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"the body is not JSON: {error}") from None


def _import_of(data: bytes, query: Mapping[str, str]) -> ImportPrices:
    mapping = {name[4:]: value for name, value in query.items() if name.startswith("map.")}
    options = {name: value for name, value in query.items() if not name.startswith("map.")}
    return msgspec.convert({"csv": data, "mapping": mapping, **options}, ImportPrices, strict=False)


def json_response(value: object, status: int = 200, headers: tuple[Header, ...] = HEADERS) -> Answer:
    """An answer; `value` is encoded by msgspec."""
    return Answer(status, msgspec.json.encode(value), headers)


def error_response(error: MarketError, status: int | None = None) -> Answer:
    """The answer that says what was wrong."""
    hint = None if error.hint in OF_COMMANDS else error.hint
    info = ErrorInfo(
        code=error.code, message=error.message, hint=hint, retryable=error.retryable, details=error.details
    )
    allowed = ((b"allow", ", ".join(error.allowed).encode()),) if isinstance(error, WrongMethod) else ()
    return json_response(ErrorReply(error=info), status or error.status, HEADERS + allowed)
