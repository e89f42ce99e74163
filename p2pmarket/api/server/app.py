"""The Starlette application made from the table of routes and one object with a method for each.

Every answer is JSON with one shape of errors. A fault that is no MarketError becomes `internal` by Starlette's handler
for faults, which hands it on to hypercorn, which logs it with its traceback.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from typing import Any

import msgspec
import trio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from p2pmarket import limits
from p2pmarket.api.server.events import EventResponse
from p2pmarket.api.server.guard import admit, call_of
from p2pmarket.api.server.openapi import document
from p2pmarket.api.spec import PROTOCOL, ROUTES, Route
from p2pmarket.api.types import ErrorInfo, ErrorReply
from p2pmarket.api.types.bodies import Body, ImportPrices
from p2pmarket.errors import BadInput, Internal, LimitReached, MarketError, NotFound, Unavailable

Handler = Callable[..., Awaitable[Any]]
DRAIN_SECONDS = 5


class Api:
    """The ASGI application. `handlers` has a method for each route: see `api.spec`. `stopping` ends event streams."""

    def __init__(self, handlers: object, stopping: trio.Event) -> None:
        missing = [route.name for route in ROUTES if not callable(getattr(handlers, route.name, None))]
        if missing:
            raise TypeError(f"no handler for the routes {', '.join(missing)}")
        self._streams = trio.CapacityLimiter(limits.STREAMS)
        self._stopping = stopping
        routes = [self._bind(route, getattr(handlers, route.name)) for route in ROUTES]
        routes.append(StarletteRoute("/v1/openapi.json", _openapi, methods=["GET"]))
        self._app = Starlette(
            routes=routes,
            exception_handlers={MarketError: _refused, HTTPException: _no_route, Exception: _fault},
        )
        self._app.router.redirect_slashes = False
        # Paths without an argument, which are called most, need no search through all patterns.
        self._plain = {
            (method, route.path): ServerErrorMiddleware(_answering(route.endpoint), handler=_fault)
            for route in routes
            if "{" not in route.path
            for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        body = _Incoming(receive, send)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            admit(scope["state"]["door"], headers)
        except MarketError as error:
            await error_response(error)(scope, body.receive, body.send)
        else:
            app = self._plain.get((scope["method"], scope["path"]), self._app)
            await app(scope, body.receive, body.send)
        await body.leave(scope["state"]["close"])

    def _bind(self, route: Route[Any], handler: Handler) -> StarletteRoute:
        async def endpoint(request: Request) -> Response:
            call = call_of(route, request.headers, request.query_params.multi_items())
            body = await _body(route, request, call.query)
            if route.stream:
                return await self._open_stream(lambda: handler(call, body, **request.path_params))
            return json_response(await handler(call, body, **request.path_params))

        return StarletteRoute(route.path, endpoint, methods=[route.method], name=route.name)

    async def _open_stream(self, open_events: Callable[[], Awaitable[Any]]) -> EventResponse:
        reader = object()
        try:
            self._streams.acquire_on_behalf_of_nowait(reader)
        except trio.WouldBlock:
            raise Unavailable(f"{limits.STREAMS} event streams are open, and that is the limit") from None
        with ExitStack() as stack:
            stack.callback(self._streams.release_on_behalf_of, reader)
            events = await open_events()
            return EventResponse(aiter(events), self._stopping, stack.pop_all())
        raise AssertionError("unreachable")


def _answering(endpoint: Callable[[Request], Awaitable[Response]]) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await endpoint(Request(scope, receive, send))
        except MarketError as error:
            response = error_response(error)
        await response(scope, receive, send)

    return app


class _Incoming:
    """The body as it comes in. What nobody wants of it is read and thrown away before the answer goes out.

    An answer in the middle of a body would reach a caller who is still writing as a broken pipe, and hypercorn waits
    for a reader of every part before it looks at the connection again.
    """

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._ended = False

    async def receive(self) -> Message:
        message = await self._receive()
        self._ended = message["type"] == "http.disconnect" or not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and not self._ended:
            with trio.move_on_after(DRAIN_SECONDS):
                await self._read_out()
        await self._send(message)

    async def leave(self, close: Callable[[], Awaitable[None]]) -> None:
        """End a connection whose body has not come to its end."""
        if not self._ended:
            await close()
            await self._read_out()

    async def _read_out(self) -> None:
        while not self._ended:
            await self.receive()


async def _body(route: Route[Any], request: Request, query: Mapping[str, str]) -> Body | None:
    if route.request is None:
        return None
    data = await _read(request, limits.IMPORT_BYTES if route.raw else limits.API_BODY_BYTES)
    try:
        if route.raw:
            return _import_of(data, query)
        return msgspec.json.decode(data or b"{}", type=route.request)
    except msgspec.ValidationError as error:
        raise BadInput(f"the body does not fit: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"the body is not JSON: {error}") from None


def _import_of(data: bytes, query: Mapping[str, str]) -> ImportPrices:
    mapping = {name[4:]: value for name, value in query.items() if name.startswith("map.")}
    options = {name: value for name, value in query.items() if not name.startswith("map.")}
    return msgspec.convert({"csv": data, "mapping": mapping, **options}, ImportPrices, strict=False)


async def _read(request: Request, limit: int) -> bytes:
    """The body; raises LimitReached above `limit` bytes, BadInput if it does not come to its end."""
    parts, total = [], 0
    try:
        with trio.fail_after(limits.API_BODY_SECONDS):
            async for part in request.stream():
                parts.append(part)
                total += len(part)
                if total > limit:
                    raise LimitReached(f"the body has more than {limit} bytes")
    except trio.TooSlowError:
        raise BadInput(f"the body did not arrive within {limits.API_BODY_SECONDS} s") from None
    except ClientDisconnect:
        raise BadInput("the caller left before the body was complete") from None
    return b"".join(parts)


def json_response(value: object, status: int = 200) -> Response:
    """An answer; `value` is encoded by msgspec."""
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Market-Protocol": str(PROTOCOL)}
    return Response(msgspec.json.encode(value), status, headers, "application/json")


def error_response(error: MarketError, status: int | None = None) -> Response:
    """The answer that says what was wrong."""
    info = ErrorInfo(
        code=error.code, message=error.message, hint=error.hint, retryable=error.retryable, details=error.details
    )
    return json_response(ErrorReply(error=info), status or error.status)


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, MarketError)
    return error_response(error)


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    what = f"{request.method} {request.url.path}"[:120]
    return error_response(NotFound(f"there is no {what}", hint="GET /v1/openapi.json lists all"), error.status_code)


async def _fault(_request: Request, _error: Exception) -> Response:
    return error_response(Internal("marketd could not do this because of a fault of its own"))


async def _openapi(_request: Request) -> Response:
    return json_response(document())
