"""`market requests`, `quotes`, `order`, `close`: the buyer's side after asking."""

from __future__ import annotations

from typing import Any

import click

from .base import App, MarketCommand, pages, pass_app


@click.command(
    "requests",
    cls=MarketCommand,
    examples="""
        market requests
        market requests --state open
        market requests --json --fields id,state,counts
    """,
)
@click.option("--state", type=click.Choice(["open", "awarded", "enough", "expired", "cancelled"]), help="Only these.")
@pages
@pass_app
def requests(app: App, state: Any, limit: int | None, cursor: str | None) -> None:
    """What you asked for, newest first."""
    reply = app.client().requests(limit, cursor, state)
    app.emit(reply, narrowed=bool(state or cursor))
    app.more(reply.next)


@click.command(
    "quotes",
    cls=MarketCommand,
    examples="""
        market quotes r-k3f7
        market quotes r-k3f7 --json --fields id,total,missing_lines
    """,
)
@click.argument("request")
@pass_app
def quotes(app: App, request: str) -> None:
    """The quotes of a REQUEST side by side: price, lines, delivery, terms, place, validity.

    Below them, how the other sellers stand who were asked; with --json the quotes only.
    """
    client = app.client()
    reply = client.quotes(request)
    counts = reply.request.counts
    others = counts.asked > counts.quoted and not app.for_programs
    app.emit(reply, sellers=client.request_get(reply.request.id).sellers if others else ())
    app.seen(client, [quote.id for quote in reply.quotes if quote.state == "open"])


@click.command(
    "order",
    cls=MarketCommand,
    writes=True,
    examples="""
        market order q-m2xw
        market order q-m2xw --line 1 --line 3=5
        market order q-m2xw --deliver-to "Cafe Roma; 1 Sejong-daero; Seoul 04524" --ref PO-17
        market order q-m2xw --max-total "500 EUR"
    """,
)
@click.argument("quote")
@click.option("--line", "lines", multiple=True, metavar="N[=QTY]", help="This line, or so much of it; several times.")
@click.option("--deliver-to", metavar="TEXT", help="Name and address, lines separated by `;`. [default: the profile's]")
@click.option("--ref", metavar="PO", help="Your own order number.")
@click.option("--max-total", metavar="M", help='Refuse if the total is above: "500 EUR".')
@click.option("--referee", metavar="PEER", help="Who shall judge a dispute: the seller agrees to him by accepting.")
@click.option("--tell-price", is_flag=True, help="Sellers who lose by it learn what it comes to.")
@click.option("--answer-by", metavar="D|TIME", help="Until when the seller may accept.")
@pass_app
def order(
    app: App,
    quote: str,
    lines: tuple[str, ...],
    deliver_to: str | None,
    ref: str | None,
    max_total: str | None,
    tell_price: bool,
    referee: str | None,
    answer_by: str | None,
) -> None:
    """Order a QUOTE, whole or in part. Ordering the same again gives the same answer and no second order."""
    from p2pmarket.api.types.bodies import NewOrder, NewOrderLine

    from . import files, times

    chosen = [files.numbered(text, "--line") for text in lines]
    body = NewOrder(
        quote=quote,
        lines=[NewOrderLine(no=no, quantity=quantity) for no, quantity in chosen],
        deliver_to_text=_lines(deliver_to),
        reference=ref,
        max_total=max_total,
        tell_price=tell_price,
        referee=referee,
        answer_by=answer_by,
        utc_offset_s=times.utc_offset(),
    )
    app.emit(app.client().order(body, key=app.key))


def _lines(text: str | None) -> str | None:
    """An address typed on one line, as lines."""
    if text is None or "\n" in text:
        return text
    return "\n".join(line.strip() for line in text.split(";"))


@click.command(
    "close",
    cls=MarketCommand,
    writes=True,
    examples="""
        market close r-k3f7
        market close r-k3f7 --enough
        market close r-k3f7 --tell-price --text "thank you all"
    """,
)
@click.argument("request")
@click.option("--enough", is_flag=True, help="No more quotes are wanted, but those that came may still be ordered.")
@click.option("--tell-price", is_flag=True, help="Sellers who lost learn what you paid.")
@click.option("--text", help="A word to the sellers.")
@pass_app
def close(app: App, request: str, enough: bool, tell_price: bool, text: str | None) -> None:
    """End a REQUEST: no further seller is asked, and those asked are told.

    Sellers who lost are told by themselves once accepted orders cover all that you asked for.
    """
    from p2pmarket.api.types.bodies import CloseRequest

    body = CloseRequest(state="enough" if enough else "cancelled", text=text, tell_price=tell_price)
    app.emit(app.client().request_close(request, body, key=app.key))
