"""`market inbox`, `quote`, `decline`, `accept`, `reject`: the seller's side."""

from __future__ import annotations

from typing import Any

import click

from .base import App, MarketCommand, Whole, pages, pass_app
from .payment import paying, payment_of

REASONS = click.Choice(["stock", "region", "size", "date", "trade", "price", "busy", "other"], case_sensitive=False)


@click.command(
    "inbox",
    cls=MarketCommand,
    examples="""
        market inbox
        market inbox --state new
        market inbox --json --fields id,kind,title,act_by
    """,
)
@click.option("--state", type=click.Choice(["new", "seen", "answered", "all"]), help="Only these.")
@pages
@pass_app
def inbox(app: App, state: Any, limit: int | None, cursor: str | None) -> None:
    """What waits for you in both roles, with what you can do and until when.

    On a terminal new items become seen, and quotes once market quotes shows them; a pipe or --json changes nothing.
    """
    from . import output

    client = app.client()
    reply = client.inbox(limit, cursor, state)
    app.emit(reply)
    app.more(reply.next)
    if reply.not_listed and not app.for_programs:
        output.talk(
            f"{reply.not_listed} older papers are not listed; a deal has its own: market deals, market show DEAL"
        )
    app.seen(client, [item.id for item in reply.items if item.state == "new" and item.kind != "quotes"])


@click.command(
    "quote",
    cls=MarketCommand,
    writes=True,
    examples="""
        market quote r-k3f7 --line 1=15.50 --line 2=2.55
        market quote r-k3f7 --total "310 EUR" --valid 3d
        market quote r-k3f7 --file prices.csv --delivery-days 5 --incoterm DAP --place Seoul
        market quote r-k3f7 --line 1=15.50 --charge delivery="4.90 EUR" --terms "net 30 days"
        market quote r-k3f7 --total "310 EUR" --pay-stage after_delivery --pay-days 14 --pay-to cash
        market quote r-k3f7 --from q-m2xw --margin 12%     # what you were quoted upstream, and your share
        market quote c-9xk2                                # yes to a buyer's counter, as he wants it
    """,
)
@click.argument("request")
@click.option("--line", "lines", multiple=True, metavar="N=PRICE", help="Unit price of line N; several times.")
@click.option("--total", metavar='"12.50 EUR"', help="One price for all.")
@click.option("--file", "file", metavar="CSV|-", help="Prices from a CSV file: columns line, price.")
@click.option("--map", "maps", multiple=True, metavar="COLUMN=HEADING", help="How the file calls a column.")
@click.option("--valid", metavar="D|TIME", help="How long the quote binds you.")
@click.option("--indicative", is_flag=True, help="Not binding: it cannot be ordered.")
@click.option("--currency", metavar="C", help="Of prices that name none.")
@click.option("--charge", "charges", multiple=True, metavar="KIND=AMOUNT", help="delivery, service, discount or other.")
@click.option("--tax-rate", metavar="PERCENT", help="On all lines.")
@click.option("--tax-included/--tax-added", default=None, help="Whether prices contain the tax.")
@click.option("--divisible/--whole-only", default=None, help="Whether it may be ordered in part.")
@click.option("--delivery-days", type=Whole(0, 3650), metavar="N", help="Days from order to delivery.")
@click.option("--delivery-by", metavar="DATE", help="Latest day of delivery, YYYY-MM-DD.")
@click.option("--incoterm", metavar="CODE", help="As in DAP, EXW.")
@click.option("--place", metavar="TEXT", help="Of the Incoterm.")
@click.option("--ships-from", metavar="REGION", help="Where the goods are.")
@click.option("--cancel-days", type=Whole(0, 3650), metavar="N", help="So late, the buyer may cancel alone.")
@click.option("--terms", metavar="TEXT", help="Of payment.")
@paying
@click.option("--from", "from_quote", metavar="QUOTE", help="Take the prices of a quote that you got.")
@click.option("--margin", metavar="P%", help="Added to the prices of --from.")
@click.option("--upstream", multiple=True, metavar="DEAL", help="A deal of yours it depends on; the buyer is told.")
@click.option("--referee", metavar="PEER", help="Who shall judge a dispute: the buyer agrees to him by ordering.")
@click.option("--url", help="A page about the goods.")
@click.option("--text", help="Free text to the buyer.")
@pass_app
def quote(app: App, /, request: str, **options: Any) -> None:
    """Answer a REQUEST with prices. Quoting again replaces the first quote by version 2.

    The id of a buyer's counter instead of the request's says yes to it: a version with just what he wants.
    """
    body = _quote_of(options, granted=request.strip().lower().startswith("c-"))
    app.emit(app.client().quote(request, body, key=app.key))


def _quote_of(options: dict[str, Any], *, granted: bool) -> Any:
    from p2pmarket.api.types.bodies import CsvFile, NewQuote

    from . import files, times

    csv = None
    if options["file"] is not None:
        csv = CsvFile(data=files.read(options["file"]), mapping=files.mapping(options["maps"]))
    lines = _priced(options["lines"])
    priced = bool(lines) or options["total"] is not None or csv is not None
    if granted and priced:
        raise click.UsageError("to change what a counter wants: market counter COUNTER --line N=PRICE")
    if not priced and not granted and options["from_quote"] is None:
        raise click.UsageError("a quote needs prices: --line N=PRICE, --total AMOUNT, --file CSV or --from QUOTE")
    if options["margin"] is not None and options["from_quote"] is None:
        raise click.UsageError("--margin belongs to --from QUOTE")
    return NewQuote(
        lines=lines,
        total=options["total"],
        csv=csv,
        kind="indicative" if options["indicative"] else "firm",
        valid=options["valid"],
        utc_offset_s=times.utc_offset(),
        currency=options["currency"],
        charges=charges_of(options["charges"]),
        tax_rate=options["tax_rate"],
        tax_included=options["tax_included"],
        divisible=options["divisible"],
        delivery_days=options["delivery_days"],
        delivery_latest=options["delivery_by"],
        incoterm=options["incoterm"],
        place=options["place"],
        ships_from=options["ships_from"],
        cancel_days=options["cancel_days"],
        payment_terms=options["terms"],
        payment=payment_of(options),
        url=options["url"],
        text=options["text"],
        from_quote=options["from_quote"],
        margin=options["margin"],
        upstream=list(options["upstream"]),
        referee=options["referee"],
    )


def _priced(texts: tuple[str, ...]) -> list[Any]:
    from p2pmarket.api.types.bodies import NewQuoteLine

    from . import files

    lines = []
    for text in texts:
        no, price = files.numbered(text, "--line")
        if price is None:
            raise click.UsageError(f"--line {text!r}: write the price too, as in {no}=2.55")
        lines.append(NewQuoteLine(no=no, price=price))
    return lines


def charges_of(texts: tuple[str, ...]) -> list[Any]:
    """`--charge KIND=AMOUNT` as bodies."""
    from p2pmarket.api.types.bodies import NewCharge

    from . import files

    charges = []
    for text in texts:
        kind, amount = files.pair(text, "--charge")
        match kind:
            case "delivery" | "service" | "discount" | "other":
                charges.append(NewCharge(kind=kind, amount=amount))
            case _:
                raise click.UsageError(f"--charge {text!r}: kinds are delivery, service, discount, other")
    return charges


@click.command(
    "decline",
    cls=MarketCommand,
    writes=True,
    examples="""
        market decline r-k3f7 --reason stock
        market decline r-k3f7 --reason date --text "not before March"
    """,
)
@click.argument("request")
@click.option("--reason", type=REASONS, required=True, help="Why; the buyer is told.")
@click.option("--text", help="A word to the buyer.")
@pass_app
def decline(app: App, request: str, reason: Any, text: str | None) -> None:
    """Answer a REQUEST with a no, so that the buyer need not wait for you."""
    from p2pmarket.api.types.bodies import Decline

    app.emit(app.client().decline(request, Decline(reason=reason, text=text), key=app.key))


@click.command(
    "accept",
    cls=MarketCommand,
    writes=True,
    examples="""
        market accept o-9xk2
        market accept o-9xk2 --text "ready on Friday"
        market accept m-k3f7        # a change that the other side proposed
    """,
)
@click.argument("order", metavar="ORDER|CHANGE|CANCELLATION")
@click.option("--text", help="A word to the other side.")
@pass_app
def accept(app: App, order: str, text: str | None) -> None:
    """Accept an ORDER: from then on both have signed. Or sign a change or cancellation of a deal."""
    from p2pmarket.api.types.bodies import Accept

    from .fulfil import answer_proposal, is_proposal

    if is_proposal(order):
        answer_proposal(app, order, accept=True, reason=None, text=text)
        return
    app.emit(app.client().accept(order, Accept(text=text), key=app.key), role="seller")


@click.command(
    "reject",
    cls=MarketCommand,
    writes=True,
    examples="""
        market reject o-9xk2 --reason stock
        market reject m-k3f7 --text "too late for that"
    """,
)
@click.argument("order", metavar="ORDER|CHANGE|CANCELLATION")
@click.option("--reason", type=REASONS, help="Why; the other side is told. Of an order it must be said.")
@click.option("--text", help="A word to the other side.")
@pass_app
def reject(app: App, order: str, reason: Any, text: str | None) -> None:
    """Reject an ORDER, or refuse a change or cancellation of a deal."""
    from p2pmarket.api.types.bodies import Reject

    from .fulfil import answer_proposal, is_proposal

    if is_proposal(order):
        answer_proposal(app, order, accept=False, reason=reason, text=text)
        return
    if reason is None:
        raise click.UsageError("an order is rejected with its --reason")
    app.emit(app.client().reject(order, Reject(reason=reason, text=text), key=app.key), role="seller")
