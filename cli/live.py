"""Waiting for the answers to a request: a live table on a terminal, JSON lines, or else lines on stderr.

Rules. The daemon does the waiting and looks for sellers whether we watch or not; we fold its events into one report
and draw it. Whoever leaves, by Ctrl-C or by his time-out, leaves the request open and is told how to come back.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from p2pmarket.api import types as t
from p2pmarket.errors import MarketError

from . import output

if TYPE_CHECKING:
    from rich.console import RenderableType

    from p2pmarket.client import Client

    from .base import App

TICK = 0.5  # seconds between two pictures when nothing happens
FRAME = 0.1  # and at least this much between two pictures when much happens
HEAD_ROWS = 14  # lines of the picture around the sellers' rows


class Fold:
    """A request's report, made of its events as they come."""

    def __init__(self, request: t.Request) -> None:
        self.request = request
        self.sellers: dict[str, t.SellerState] = {}
        self.quotes: dict[str, t.Quote] = {}
        self.ended: t.Ended | None = None

    def take(self, event: t.Event) -> None:
        """Fold in one event; one of an unknown shape changes nothing."""
        data = event.data if isinstance(event.data, dict) else {}
        if event.type == "end":
            self._take_report(msgspec.convert(data, t.RequestReport))
        elif "nodes_asked" in data:
            self.request = msgspec.structs.replace(self.request, search=msgspec.convert(data, t.Search))
        elif "reply_by" in data and "search" in data:
            self.request = msgspec.convert(data, t.Request)
        elif "answer" in data and "delivery" in data:
            state = msgspec.convert(data, t.SellerState)
            self.sellers[state.seller.key] = state
        elif "valid_until" in data and "missing_lines" in data:
            quote = msgspec.convert(data, t.Quote)
            self.quotes[quote.id] = quote

    def _take_report(self, report: t.RequestReport) -> None:
        self.request, self.ended = report.request, report.ended
        self.sellers = {state.seller.key: state for state in report.sellers}
        self.quotes = {quote.id: quote for quote in report.quotes}

    def report(self, ended: t.Ended | None = None) -> t.RequestReport:
        """All that is known now."""
        return t.RequestReport(
            request=self.request,
            sellers=list(self.sellers.values()),
            quotes=list(self.quotes.values()),
            ended=ended or self.ended,
            problems=[],
        )


def wait(app: App, client: Client, request: t.Request, timeout: int | None) -> t.RequestReport:
    """Watch a request until it ends, `timeout` seconds have passed, or Ctrl-C; the report says which in `ended`."""
    fold = Fold(request)
    try:
        if app.jsonl:
            _follow(client, fold, timeout, _show_jsonl(app), _silent)
        elif app.watched:
            _follow_live(client, fold, timeout)
        else:
            from .turning import TurningPoints

            _follow(client, fold, timeout, TurningPoints(request).tell, _silent)
    except KeyboardInterrupt:
        return _report_now(client, fold, "interrupted")
    if fold.ended is None:
        return _report_now(client, fold, "timeout")
    return fold.report()


def _report_now(client: Client, fold: Fold, ended: t.Ended) -> t.RequestReport:
    """What the daemon knows now, else what we have heard: leaving must not fail."""
    try:
        report = client.request_get(fold.request.id)
    except (MarketError, KeyboardInterrupt):
        return fold.report(ended)
    return msgspec.structs.replace(report, ended=report.ended or ended)


def _follow(
    client: Client, fold: Fold, timeout: int | None, show: Callable[[t.Event], None], tick: Callable[..., None]
) -> None:
    """Take events until the last one or the time-out; `tick` is called at least twice a second."""
    deadline = None if timeout is None else time.monotonic() + timeout
    with client.request_watch(fold.request.id) as events:
        while not events.ended:
            left = TICK if deadline is None else min(TICK, deadline - time.monotonic())
            if left <= 0:
                return
            event = events.wait(left)
            if event is not None:
                fold.take(event)
                show(event)
            tick()


def _silent(*_: Any) -> None:
    """Show nothing."""


def _show_jsonl(app: App) -> Callable[[t.Event], None]:
    """One line of JSON an event."""
    return app.emit_json


def _follow_live(client: Client, fold: Fold, timeout: int | None) -> None:
    from rich.live import Live

    console = output.console()
    near: list[t.CategoryMatch] = []
    drawn = 0.0

    def picture() -> RenderableType:
        from .view_request import waiting_view

        rows = max(3, console.height - HEAD_ROWS)
        return waiting_view(fold.report(), output.screen(), rows=rows, near=near)

    with Live(picture(), console=console, auto_refresh=False, vertical_overflow="ellipsis") as live:

        def tick() -> None:
            nonlocal drawn
            if not near and fold.request.search.complete and not fold.sellers:
                near.extend(near_categories(client, fold.request))
            if time.monotonic() - drawn >= FRAME:
                live.update(picture(), refresh=True)
                drawn = time.monotonic()

        try:
            _follow(client, fold, timeout, _silent, tick)
        finally:
            live.update(picture(), refresh=True)


def near_categories(client: Client, request: t.Request) -> list[t.CategoryMatch]:
    """What is near a category that nobody announces; nothing if it cannot be said."""
    try:
        matches = client.categories(request.category.code, 8).matches
    except MarketError:
        return []
    return [match for match in matches if match.code != request.category.code]
