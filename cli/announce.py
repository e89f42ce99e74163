"""`market announce`, `announcements`, `withdraw`: become findable, and stop being it."""

from __future__ import annotations

import click

from .base import App, MarketCommand, pass_app


@click.command(
    "announce",
    cls=MarketCommand,
    writes=True,
    examples="""
        market announce coffee/roasted
        market announce coffee/roasted --serves KR --serves JP
        market announce cpv:15861000 --serves world
    """,
)
@click.argument("category")
@click.option("--serves", multiple=True, metavar="REGION", help="Where you deliver; several times, or `world`.")
@pass_app
def announce(app: App, category: str, serves: tuple[str, ...]) -> None:
    """Become findable in a CATEGORY: `cpv:` and 8 digits, or a path of your own. Words: market categories WORD."""
    from p2pmarket.api.types.bodies import Announce

    reply = app.client().announce(Announce(category=category, serves=list(serves)), key=app.key)
    app.emit(reply)
    app.warn(reply.problems)


@click.command(
    "announcements",
    cls=MarketCommand,
    examples="""
        market announcements
        market announcements --json --fields id,category,holders
    """,
)
@pass_app
def announcements(app: App) -> None:
    """What you announce, in which state, and how many nodes hold it."""
    app.emit(app.client().announcements())


@click.command(
    "withdraw",
    cls=MarketCommand,
    writes=True,
    examples="""
        market withdraw a-k3f7
        market withdraw q-m2xw --text "out of stock"
    """,
)
@click.argument("id_", metavar="ID")
@click.option("--text", help="A word to the buyers who hold the quote.")
@pass_app
def withdraw(app: App, id_: str, text: str | None) -> None:
    """Take back an announcement, or a quote that was not ordered yet, by its ID."""
    from p2pmarket.api.types.bodies import Withdraw

    app.emit(app.client().withdraw(Withdraw(id=id_, text=text), key=app.key))
