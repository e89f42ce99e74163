"""`market prices import|export|show`: the price list that answers requests by itself."""

from __future__ import annotations

import click

from . import files
from .base import App, MarketCommand, NearestGroup, pages, pass_app

EXAMPLES = """
    market prices import prices.csv --dry-run
    market prices import prices.csv --map price="Price (£)" --map code=SKU --currency GBP
    market prices show coffee
    market prices export > prices.csv
"""


@click.group("prices", cls=NearestGroup, examples=EXAMPLES)
def prices() -> None:
    """The price list: requests whose lines it covers are answered by the daemon, the others wait in the inbox."""


@prices.command(
    "import",
    cls=MarketCommand,
    writes=True,
    examples="""
        market prices import prices.csv --dry-run
        market prices import prices.csv --map price="Price (£)" --map code=SKU --currency GBP
        market prices import - --skip-bad < prices.csv
    """,
)
@click.argument("file")
@click.option("--map", "maps", multiple=True, metavar="COLUMN=HEADING", help="How the file calls a column.")
@click.option("--currency", metavar="C", help="Of prices that name none. [default: the profile's]")
@click.option("--dry-run", is_flag=True, help="Check the file and change nothing.")
@click.option("--skip-bad", is_flag=True, help="Import the good rows, leave out the bad ones.")
@pass_app
def import_(app: App, file: str, maps: tuple[str, ...], currency: str | None, dry_run: bool, skip_bad: bool) -> int:
    """Replace the price list by a CSV FILE (- is standard input).

    Columns: code, description, unit, price, per, currency, stock, min_qty, category, lead_days, tax_rate, url. All rows
    are checked first: one bad row, and nothing is imported.
    """
    from p2pmarket.api.types.bodies import ImportPrices

    body = ImportPrices(
        csv=files.read(file), mapping=files.mapping(maps), currency=currency, dry_run=dry_run, skip_bad=skip_bad
    )
    reply = app.client().prices_import(body, key=app.key)
    app.emit(reply)
    bad = reply.problems and reply.skipped  # a zero price is told of too, but its row is good: a person quotes it
    return 65 if bad and not skip_bad else 0


@prices.command(
    "export",
    cls=MarketCommand,
    examples="""
        market prices export > prices.csv
        market prices export -o prices.csv
    """,
)
@files.output_option("Where to. [default: standard output]")
@pass_app
def export(app: App, target: str | None, force: bool) -> None:
    """The price list as CSV, as `prices import` takes it."""
    from . import output
    from .safe import safe_lines

    files.check_target(target, force=force)
    reply = app.client().prices_export()
    if app.for_programs:
        if target not in {None, "-"}:
            files.write(target, reply.csv.encode(), force=force)
        app.emit_json(reply)
    elif target in {None, "-"} and output.on_terminal():
        output.write("\n".join(safe_lines(reply.csv, most=10**6)))
    else:
        files.write(target or "-", reply.csv.encode(), force=force)


@prices.command(
    "show",
    cls=MarketCommand,
    examples="""
        market prices show
        market prices show yirgacheffe
        market prices show --json --fields code,price,stock
    """,
)
@click.argument("words", nargs=-1, metavar="[WORD]...")
@pages
@pass_app
def show(app: App, words: tuple[str, ...], limit: int | None, cursor: str | None) -> None:
    """The price list, or the rows in which all WORDs occur."""
    reply = app.client().prices_show(" ".join(words) or None, limit, cursor)
    app.emit(reply, words=" ".join(words))
    app.more(reply.next)
