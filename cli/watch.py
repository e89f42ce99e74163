"""`market watch`: events as they come, and a bell for what waits for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .base import App, MarketCommand, Whole, pass_app

if TYPE_CHECKING:
    from p2pmarket.api import types as t


@click.command(
    "watch",
    cls=MarketCommand,
    streams=True,
    endless=True,
    examples="""
        market watch --notify
        market watch --jsonl | while read -r event; do ...; done
        market watch --since 120
        market watch --type order.received --type invoice.received
    """,
)
@click.option("--since", type=Whole(0), metavar="SEQ", help="Begin after this event. [default: now]")
@click.option("--notify", is_flag=True, help="Ring terminal and desktop for what waits for you.")
@click.option("--type", "types", multiple=True, metavar="TYPE", help="Only events of this type; several times.")
@pass_app
def watch(app: App, since: int | None, notify: bool, types: tuple[str, ...]) -> None:
    """Events as they come, until Ctrl-C. If the daemon restarts, it goes on where it was; nothing is missed."""
    wanted = _known(types)
    client = app.client()
    with client.events(since) as events:
        for event in events:
            if wanted and event.type not in wanted:
                continue
            if app.for_programs:
                _one_line(app, event)
            else:
                _print(event)
            if notify:
                _notify(event)


def _known(types: tuple[str, ...]) -> frozenset[str]:
    from p2pmarket.api.types import EVENT_TYPES

    for name in types:
        if name not in EVENT_TYPES:
            raise click.UsageError(f"--type {name!r}: types are {', '.join(EVENT_TYPES)}")
    return frozenset(types)


def _one_line(app: App, event: t.Event) -> None:
    """A stream is always a document a line, whichever of the two flags asked for it."""
    app.jsonl = True
    app.emit_json(event)


def _print(event: t.Event) -> None:
    from . import output
    from .view_event import event_line

    output.show(event_line(event, output.screen()))


def _notify(event: t.Event) -> None:
    from . import notify
    from .view_event import summary

    if event.type in notify.RINGING:
        notify.ring(event.type.replace(".", " ").capitalize(), summary(event))
