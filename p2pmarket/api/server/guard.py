"""Who may call the API at all, and how a call must look. Pure.

A web page can make a browser send requests to this machine (CSRF), and by DNS rebinding even under a name of its own.
So the Host header must be one of a fixed list, whatever a browser adds on behalf of a page (Origin, Sec-Fetch-Site) is
refused, and bodies must have a type that a page cannot send without asking first. Over TCP a token is needed as well,
and opens only the routes of its scopes.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from p2pmarket.api.spec import ALL_SCOPES, PROTOCOL, SWITCHES, Call, Route, Scope
from p2pmarket.errors import BadInput, NotAllowed, VersionDiffers
from p2pmarket.limits import IDEMPOTENCY_KEY_CHARS

JSON = "application/json"
CSV = "text/csv"


@dataclass(frozen=True, slots=True)
class Door:
    """One place where calls come in: its name, the Host headers it answers to, its tokens and what they open.

    Without tokens (a Unix socket) everything is open.
    """

    name: str
    hosts: frozenset[str]
    tokens: tuple[tuple[bytes, frozenset[Scope]], ...] = ()


UNIX_DOOR = Door("localhost", frozenset({"localhost"}))


def tcp_door(host: str, port: int, tokens: Mapping[str, frozenset[Scope]]) -> Door:
    """The door at a loopback address."""
    name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    keys = tuple((token.encode(), scopes) for token, scopes in tokens.items())
    return Door(name, frozenset({name, f"localhost:{port}"}), keys)


def admit(door: Door, headers: Mapping[str, str]) -> frozenset[Scope]:
    """The scopes that are open to a call with these headers (names in lower case).

    Raises NotAllowed or VersionDiffers if it may not pass at all.
    """
    if headers.get("host", "").lower() not in door.hosts:
        raise NotAllowed("wrong Host header", hint=f"Call it as http://{door.name}/v1/...")
    for name in ("origin", "sec-fetch-site"):
        if name in headers:
            raise NotAllowed(f"calls of web pages are refused: there is a header {name.title()}")
    scopes = _scopes(door, headers) if door.tokens else ALL_SCOPES
    spoken = headers.get("market-protocol", str(PROTOCOL))
    if spoken != str(PROTOCOL):
        raise VersionDiffers(f"this marketd speaks version {PROTOCOL} of the local API, the caller {spoken[:20]}")
    return scopes


def _scopes(door: Door, headers: Mapping[str, str]) -> frozenset[Scope]:
    scheme, _, given = headers.get("authorization", "").partition(" ")
    found: frozenset[Scope] = frozenset()
    for token, scopes in door.tokens:  # all of them, so that the time tells nothing
        if hmac.compare_digest(given.strip().encode(), token) and scheme.lower() == "bearer":
            found = scopes
    if not found:
        raise NotAllowed("no token, or a wrong one", hint="Authorization: Bearer, and the text of HOME/api.token")
    return found


def permit(route: Route[Any], scopes: frozenset[Scope]) -> None:
    """Raise NotAllowed unless one of these scopes is the route's."""
    if route.scope not in scopes:
        may = ", ".join(sorted(scopes))
        raise NotAllowed(f"this token is for {may}: {route.name} needs {route.scope}", hint="Use HOME/api.token")


def call_of(
    route: Route[Any], headers: Mapping[str, str], query: list[tuple[str, str]], path: Mapping[str, str]
) -> Call:
    """The checked Call; raises BadInput for a wrong type of body, query or Idempotency-Key."""
    if route.request is not None:
        wanted = CSV if route.raw else JSON
        given = headers.get("content-type", "").partition(";")[0].strip().lower()
        if given != wanted:
            raise BadInput(f"the body must be of type {wanted}, not {given or 'none'}")
    found = _query(route, query)
    last = headers.get("last-event-id")
    if route.stream and last:
        found.setdefault("since", last)  # what an EventSource sends when it comes back
    call = Call(_key(headers.get("idempotency-key")), found, path)
    for name in SWITCHES & found.keys():
        call.is_on(name)  # whoever mistypes dry_run must not find the deed done
    return call


def _key(text: str | None) -> str | None:
    if text is None:
        return None
    if not (0 < len(text) <= IDEMPOTENCY_KEY_CHARS and text.isascii() and text.isprintable()):
        raise BadInput(f"an Idempotency-Key has 1 to {IDEMPOTENCY_KEY_CHARS} printable ASCII characters")
    return text


def _query(route: Route[Any], pairs: list[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in pairs:
        if name not in route.parameters and not (name.startswith("map.") and "map.*" in route.query):
            hint = f"Here: {', '.join(route.parameters)}" if route.parameters else "There are none here"
            raise BadInput(f"no query parameter is called {name[:40]!r}", hint=hint)
        if name in found:
            raise BadInput(f"the query parameter {name[:40]!r} is there twice")
        found[name] = value
    return found
