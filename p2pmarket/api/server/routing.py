"""From method and path to a route. Pure.

The arguments of a path are whole segments, percent-decoded one by one: what is a slash within an argument stays there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from p2pmarket.api.spec import Route
from p2pmarket.errors import NotFound

Shape = tuple[str | None, ...]  # a path's segments, None where any will do


class WrongMethod(NotFound):
    """There is such a path, but not to be called like this; `allowed`: the methods that it has."""

    status = 405

    def __init__(self, message: str, allowed: Iterable[str] = ()) -> None:
        super().__init__(message, hint=HINT)
        self.allowed = tuple(allowed)


HINT = "GET /v1/openapi.json lists all"


@dataclass(slots=True)
class _Place:
    """One path: where its arguments stand, and its routes by method."""

    arguments: dict[int, str]
    routes: dict[str, Route[Any]] = field(default_factory=dict)


class Table:
    """All routes."""

    def __init__(self, routes: Iterable[Route[Any]]) -> None:
        self._places: dict[Shape, _Place] = {}
        self._open: dict[int, list[frozenset[int]]] = {}  # by a path's length: where arguments can stand; none first
        for route in routes:
            self._add(route)

    def _add(self, route: Route[Any]) -> None:
        segments = route.path.split("/")
        arguments = {number: part[1:-1] for number, part in enumerate(segments) if part.startswith("{")}
        shape = tuple(None if number in arguments else part for number, part in enumerate(segments))
        place = self._places.setdefault(shape, _Place(arguments))
        place.routes[route.method] = route
        if route.method == "GET":
            place.routes["HEAD"] = route  # RFC 9110, section 9.1: every server has both
        known = self._open.setdefault(len(segments), [])
        if frozenset(arguments) not in known:
            known.append(frozenset(arguments))
            known.sort(key=len)

    def find(self, method: str, path: str) -> tuple[Route[Any], dict[str, str]]:
        """The route and its arguments; raises NotFound, WrongMethod."""
        segments = path.split("/")
        for places in self._open.get(len(segments), ()):
            shape = tuple(None if at in places and part else part for at, part in enumerate(segments))
            place = self._places.get(shape)
            if place is None:
                continue
            if (route := place.routes.get(method)) is None:
                raise WrongMethod(_missing(method, path), place.routes)
            return route, {name: unquote(segments[at]) for at, name in place.arguments.items()}
        raise NotFound(_missing(method, path), hint=HINT)


def _missing(method: str, path: str) -> str:
    return f"there is no {method} {path}"[:140]
