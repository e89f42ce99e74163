"""The API as an OpenAPI 3.1 document, made from the table of routes."""

from __future__ import annotations

from typing import Any

import msgspec

from p2pmarket.api.spec import PROTOCOL, ROUTES, SWITCHES, Route
from p2pmarket.api.types import ErrorReply

PATH = "/v1/openapi.json"
REF = "#/components/schemas/{name}"


def document() -> dict[str, Any]:
    """The whole document, as JSON values."""
    bodies = [route.request for route in ROUTES if route.request is not None and not route.raw]
    types = dict.fromkeys([*bodies, *(route.reply for route in ROUTES), ErrorReply])
    _, schemas = msgspec.json.schema_components(types, ref_template=REF)
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "p2pmarket local API", "version": str(PROTOCOL)},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _operation(route: Route[Any]) -> dict[str, Any]:
    kind = "text/event-stream" if route.stream else "application/json"
    found: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "x-scope": route.scope,
        "parameters": _parameters(route),
        "responses": {
            "200": {"description": "done", "content": {kind: {"schema": _ref(route.reply)}}},
            "default": {"description": "not done", "content": {"application/json": {"schema": _ref(ErrorReply)}}},
        },
    }
    if route.raw:
        found["requestBody"] = {"required": True, "content": {"text/csv": {"schema": {"type": "string"}}}}
    elif route.request is not None:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": _ref(route.request)}}}
    return found


def _parameters(route: Route[Any]) -> list[dict[str, Any]]:
    places = [("path", name, True) for name in route.arguments] + [("query", name, False) for name in route.parameters]
    if route.writes:
        places.append(("header", "Idempotency-Key", False))
    return [{"in": place, "name": name, "required": must, "schema": _schema(name)} for place, name, must in places]


def _schema(name: str) -> dict[str, str]:
    return {"type": "boolean" if name in SWITCHES else "string"}


def _ref(kind: type) -> dict[str, str]:
    return {"$ref": REF.format(name=kind.__name__)}
