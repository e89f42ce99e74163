"""`market id`, `status`, `doctor`, `peers`, `categories`: this peer and the network around it."""

from __future__ import annotations

import click

from .base import App, MarketCommand, Whole, pass_app


@click.command(
    "id",
    cls=MarketCommand,
    examples="""
        market id
        market id --json --fields identity,contact
        marketd --bootstrap "$(ssh shop market id --fields contact | jq -r .contact)"
    """,
)
@pass_app
def identity(app: App) -> None:
    """Who you are to others: name, fingerprint, identity, and the contact that others need to reach you."""
    app.emit(app.client().identity())


@click.command(
    "status",
    cls=MarketCommand,
    examples="""
        market status
        market status --json --fields state,reachable
    """,
)
@pass_app
def status(app: App) -> None:
    """Am I seen, what waits, what is wrong, and what to do about it."""
    app.emit(app.client().status())


@click.command(
    "doctor",
    cls=MarketCommand,
    examples="""
        market doctor
        market doctor --json | jq '.checks[] | select(.state != "ok")'
    """,
)
@pass_app
def doctor(app: App) -> int:
    """Check reachability, clock, disk, ports and peers. Exit code 1 if a check failed."""
    reply = app.client().doctor()
    app.emit(reply)
    return 0 if reply.ok else 1


@click.command(
    "peers",
    cls=MarketCommand,
    examples="""
        market peers
        market peers --json --fields kind,address,rtt_ms
    """,
)
@pass_app
def peers(app: App) -> None:
    """Known nodes of the network, and open connections."""
    app.emit(app.client().peers())


@click.command(
    "categories",
    cls=MarketCommand,
    examples="""
        market categories coffee
        market categories 커피
        market categories office chairs --limit 5
    """,
)
@click.argument("words", nargs=-1, required=True, metavar="WORD...")
@click.option("--limit", type=Whole(1, 100), metavar="N", default=20, show_default=True, help="How many at most.")
@pass_app
def categories(app: App, words: tuple[str, ...], limit: int) -> None:
    """Find a category by words in any language: labels and aliases of CPV, and what is announced nearby."""
    text = " ".join(words)
    reply = app.client().categories(text, limit)
    app.emit(reply, words=text)
