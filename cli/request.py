"""`market request`: ask sellers for quotes, and watch the answers come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from p2pmarket import limits

from .base import App, MarketCommand, Whole, pass_app
from .safe import safe

# How the wait ended, to the exit code; a deadline that passed with quotes is no failure, and before it nobody to ask
# is "not found", for the request is still open.
INTERRUPTED = 130
EXITS = {"enough": 0, "deadline": 0, "no_sellers": 5, "timeout": 8, "interrupted": INTERRUPTED}


@click.command(
    "request",
    cls=MarketCommand,
    writes=True,
    streams=True,
    examples="""
        market request coffee/roasted "20 kg Yirgacheffe"
        market request furniture "40 chairs" --region KR --quotes 5 --within 2h
        market request stationery --line "500 A4 paper" --line "3 boxes pencils" --currency EUR
        market request cpv:30190000 --file order.csv --within "fri 18:00" --timeout 10m
        market request coffee/roasted "20 kg Sidamo" --detach --json
        market request coffee/roasted "20 kg Sidamo" --to "Cafe Roma"
        market request --for r-k3f7 --detach      # ask upstream for what a buyer asks of you
    """,
)
@click.argument("category", required=False)
@click.argument("text", nargs=-1)
@click.option("--line", "lines", multiple=True, metavar='"QTY [UNIT] TEXT"', help="One line; several times.")
@click.option("--file", "file", metavar="CSV", help="Lines from a CSV file; - reads standard input.")
@click.option("--map", "maps", multiple=True, metavar="COLUMN=HEADING", help="How the file calls a column.")
@click.option("--region", metavar="R", help="Where the goods must arrive.")
@click.option("--from", "from_region", metavar="R", help="Where the sellers must sit.")
@click.option(
    "--quotes",
    type=Whole(1, limits.QUOTES_WANTED),
    metavar="N",
    help="End at N quotes; ask no more sellers.",
)
@click.option("--within", metavar="D|TIME", help="Reply-by, told to sellers: 2h, 3d, 'fri 18:00'. [default: 24h]")
@click.option("--timeout", metavar="D", help="How long this command stays; the request goes on.")
@click.option("--detach", is_flag=True, help="Print the id and return at once.")
@click.option("--to", multiple=True, metavar="PEER", help="Ask this known peer, without a search; several times.")
@click.option("--currency", metavar="C", help="The currency quotes should be in.")
@click.option("--max-total", metavar="M", help='Quotes above are not wanted: "500 EUR".')
@click.option("--ref", metavar="TEXT", help="Your own number for it; sellers see it.")
@click.option(
    "--for", "made_for", metavar="REQUEST", help="Ask for what this request of your inbox wants; told to none."
)
@click.option("--introduce", is_flag=True, help="Tell all sellers who you are. [default: contacts]")
@click.option("--anonymous", is_flag=True, help="Tell nobody who you are, contacts neither.")
@pass_app
def request(app: App, /, category: str | None, **options: Any) -> int:
    """Ask the sellers of a CATEGORY for quotes. TEXT alone is one line: "40 chairs", "20kg coffee", "40개 의자".

    Contacts learn who you are, strangers do not (--introduce, --anonymous).
    Columns of a file: quantity, unit, and at least one of description, code (the seller's), gtin, mpn, buyer_code.
    """
    from . import times
    from .stopping import TERMINATED, sigterm_interrupts

    if category is None and options["made_for"] is None:
        raise click.UsageError("Missing argument 'CATEGORY'.")
    if options["introduce"] and options["anonymous"]:
        raise click.UsageError("--introduce or --anonymous, not both")
    timeout = times.seconds(options["timeout"])
    body = body_of(category, options)
    with sigterm_interrupts() as stopped:
        try:
            code = _ask(app, body, timeout, detach=options["detach"])
        except KeyboardInterrupt:
            if not stopped.by_sigterm:
                raise
            return TERMINATED
        return TERMINATED if stopped.by_sigterm and code == INTERRUPTED else code


def _ask(app: App, body: Any, timeout: int | None, *, detach: bool) -> int:
    from . import live

    client = app.client()
    opened = client.request_open(body, key=app.key)
    app.warn(opened.problems)
    if app.dry_run:
        _tried(app, opened, body.to)
        return 0
    if detach:
        _detached(app, opened)
        return 0
    try:
        report = _with_problems(live.wait(app, client, opened.request, timeout), opened)
    except KeyboardInterrupt:  # before the wait had begun, or after its end
        _rejoin(opened.request)
        raise
    if app.jsonl:
        _end_jsonl(app, report)
    elif app.json:
        app.emit_json(report)
    else:
        _finish(app, client, report, searched=not body.to)
    return exit_code(report)


def body_of(category: str | None, options: dict[str, Any]) -> Any:
    """The body of the call, of the command's options."""
    from p2pmarket.api.types.bodies import CsvFile, OpenRequest

    from . import files, times

    csv = None
    if options["file"] is not None:
        csv = CsvFile(data=files.read(options["file"]), mapping=files.mapping(options["maps"]))
    return OpenRequest(
        category=category,
        text=" ".join(options["text"]) or None,
        line_texts=list(options["lines"]),
        csv=csv,
        region=options["region"],
        from_region=options["from_region"],
        quotes_wanted=options["quotes"],
        reply_by=options["within"],
        utc_offset_s=times.utc_offset(),
        to=list(options["to"]),
        currency=options["currency"],
        max_total=options["max_total"],
        reference=options["ref"],
        known_to="all" if options["introduce"] else "nobody" if options["anonymous"] else None,
        made_for=options["made_for"],
    )


def exit_code(report: Any) -> int:
    """0 if quotes came by the deadline or enough of them, else why not."""
    if report.ended == "deadline" and not report.quotes:
        return 6
    return EXITS.get(report.ended or "", 0)


def _tried(app: App, reply: Any, named: Sequence[str]) -> None:
    """What a dry run would have asked; without the id, for nothing has it."""
    from . import output, values

    if app.for_programs:
        _emit_opened(app, reply)
        return
    opened = reply.request
    asked = safe(", ".join(named)) if named else f"sellers of {safe(values.category(opened.category))}"
    output.write(f"Dry run: {asked} would be asked for quotes until")
    output.write(f"{safe(opened.reply_by)}, for this:")
    for line in _understood(opened):
        output.write(line)
    output.talk("This was a dry run: nobody was asked.")


def _emit_opened(app: App, reply: Any) -> None:
    from p2pmarket.api import types as t

    report = t.RequestReport(request=reply.request, sellers=[], quotes=[], ended=None, problems=[])
    app.emit_json(_with_problems(report, reply))


def _understood(opened: Any) -> list[str]:
    """The lines of a request as the daemon has read them."""
    from . import values

    lines = [f"understood: {safe(values.line(line))}" for line in opened.lines[:5]]
    more = len(opened.lines) - len(lines)
    return [*lines, f"            and {more} more lines"] if more else lines


def _with_problems(report: Any, opened: Any) -> Any:
    """The report with what was in the way when the request was opened, for programs."""
    import msgspec

    return msgspec.structs.replace(report, problems=opened.problems)


def _detached(app: App, reply: Any) -> None:
    from . import output

    opened = reply.request
    if app.for_programs:
        _emit_opened(app, reply)
        return
    output.write(opened.id)
    for line in _understood(opened):
        output.talk(line)
    output.talk(f"compare with: market quotes {opened.id[:10]}; market inbox says when quotes came")


def _end_jsonl(app: App, report: Any) -> None:
    """The last line is always `end`: the daemon's, or ours if we leave before."""
    from p2pmarket.api import types as t

    if report.ended in {"timeout", "interrupted"}:
        from datetime import UTC, datetime

        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        app.emit_json(t.Event(stream="", seq=None, time=now, type="end", id=report.request.id, data=report))


def _rejoin(request: Any) -> None:
    """How to come back to a request that stays open."""
    from . import output

    short = request.id[:10]
    output.talk(f"The request stays open. Rejoin: market quotes {short}, or market watch")
    output.talk(f"End it: market close {short}")


def _finish(app: App, client: Any, report: Any, *, searched: bool) -> None:
    """The result on stdout unless the live table is there already, and what comes next on stderr."""
    from . import live, output

    try:
        if not output.on_terminal():
            near = [] if report.sellers or report.quotes else live.near_categories(client, report.request)
            app.emit(report, near=near)
        elif report.ended != "interrupted":  # leaving must not fail
            app.seen(client, [quote.id for quote in report.quotes if quote.state == "open"])
    finally:  # Ctrl-C ends the reader of our pipe too, and the way back is said all the same
        _next_steps(report, searched=searched)


def _next_steps(report: Any, *, searched: bool) -> None:
    from . import output
    from .view_request import best_quote

    short = report.request.id[:10]
    best = best_quote(report.request, report.quotes)
    if best is not None:
        output.talk(f"compare: market quotes {short}")
        output.talk(f"order the best: market order {best.id[:10]}")
    if report.ended in {"timeout", "interrupted", "no_sellers"} and report.request.state == "open":
        _rejoin(report.request)
    elif report.ended == "enough" and len(report.quotes) < report.request.quotes_wanted:
        later = "whoever appears before reply-by is asked too" if searched else "nobody else is asked"
        output.talk(f"All sellers asked have answered; {later}.")
    elif not report.quotes:
        output.talk(f"No quote came by reply-by. Ask again with more time or wider: market show {short}")
