"""`market counter`, `amend`, `note`, `ack`, `contacts`: haggling, talk, and who is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from .base import App, MarketCommand, NearestGroup, Whole, pass_app

F = TypeVar("F", bound=Callable[..., Any])


def revising(command: F) -> F:
    """The options that say what is to be different from an offer."""
    options = [
        click.option("--line", "lines", multiple=True, metavar="N=PRICE", help="Another unit price; several times."),
        click.option("--quantity", "quantities", multiple=True, metavar="N=QTY", help="Another quantity of line N."),
        click.option("--drop", "drop", multiple=True, type=Whole(1), metavar="N", help="Leave out line N."),
        click.option("--total", metavar="M", help="What all of it is to come to."),
        click.option("--charge", "charges", multiple=True, metavar="KIND=AMOUNT", help="delivery, service, discount."),
        click.option("--valid", metavar="D|TIME", help="How long this stands."),
        click.option("--divisible/--whole-only", default=None, help="Whether it may be ordered in part."),
        click.option("--delivery-days", type=Whole(0, 3650), metavar="N", help="Days from order to delivery."),
        click.option("--delivery-by", metavar="DATE", help="Latest day of delivery, YYYY-MM-DD."),
        click.option("--incoterm", metavar="CODE", help="As in DAP, EXW."),
        click.option("--place", metavar="TEXT", help="Of the Incoterm."),
        click.option("--cancel-days", type=Whole(0, 3650), metavar="N", help="So late, the buyer may cancel alone."),
        click.option("--terms", metavar="TEXT", help="Of payment."),
        click.option("--text", help="A word to the other side."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.command(
    "counter",
    cls=MarketCommand,
    writes=True,
    examples="""
        market counter q-m2xw --line 1=14.50
        market counter q-m2xw --total "300 EUR" --delivery-days 3 --text "if it comes by Friday"
        market counter q-m2xw --quantity 2=60 --drop 3
        market counter c-9xk2 --line 1=15      # as the seller: what you offer instead
    """,
)
@click.argument("quote", metavar="QUOTE|COUNTER")
@revising
@pass_app
def counter(app: App, /, quote: str, **options: Any) -> None:
    """Answer a QUOTE with what you want instead: name what is to be different, all else stays.

    The seller gets a full document. He answers with a new version (market quote COUNTER says yes as it is, market
    counter COUNTER makes another offer) or with a no (market decline COUNTER). Each version is countered once.
    """
    from p2pmarket.api.types.bodies_talk import NewCounter

    app.emit(app.client().counter(quote, NewCounter(**_revision(options)), key=app.key))


@click.command(
    "amend",
    cls=MarketCommand,
    writes=True,
    examples="""
        market amend o-9xk2 --quantity 1=15 --text "only 15 left, the rest in March"
        market amend o-9xk2 --delivery-days 10
        market amend o-9xk2 --line 2=2.80 --valid 2d
    """,
)
@click.argument("order")
@revising
@click.option(
    "--upstream", multiple=True, metavar="DEAL", help="A deal of yours that it depends on; the buyer is told."
)
@pass_app
def amend(app: App, /, order: str, **options: Any) -> None:
    """Accept an ORDER with changes: it goes back to the buyer as a new version, which he orders or lets go."""
    from p2pmarket.api.types.bodies_talk import Amend

    body = Amend(**_revision(options), upstream=list(options["upstream"]))
    app.emit(app.client().amend(order, body, key=app.key))


def _revision(options: dict[str, Any]) -> dict[str, Any]:
    """The fields of a `Revision` body."""
    from p2pmarket.api.types.bodies_talk import RevisedLine

    from . import files, times
    from .sell import charges_of

    changes: dict[int, dict[str, str]] = {}
    for name, option, texts in (
        ("price", "--line", options["lines"]),
        ("quantity", "--quantity", options["quantities"]),
    ):
        for text in texts:
            no, value = files.numbered(text, option)
            if value is None:
                raise click.UsageError(f"{option} {text!r}: write the {name} too, as in {no}=2.55")
            changes.setdefault(no, {})[name] = value
    return {
        "lines": [RevisedLine(no=no, **values) for no, values in sorted(changes.items())],
        "drop": list(options["drop"]),
        "total": options["total"],
        "charges": charges_of(options["charges"]),
        "valid": options["valid"],
        "utc_offset_s": times.utc_offset(),
        "divisible": options["divisible"],
        "delivery_days": options["delivery_days"],
        "delivery_latest": options["delivery_by"],
        "incoterm": options["incoterm"],
        "place": options["place"],
        "cancel_days": options["cancel_days"],
        "payment_terms": options["terms"],
        "text": options["text"],
    }


@click.command(
    "note",
    cls=MarketCommand,
    writes=True,
    examples="""
        market note q-m2xw "Is it the washed lot?"
        market note r-k3f7 "The gate is 2.2 m high" --to "Cafe Roma"
        market note d-k3f7 "Drawing as agreed" --attach drawing.pdf
        market note n-c8h2 "Yes, it is"
        market note --check drawing.pdf          # is this a file that was meant?
        market note d-k3f7 --check drawing.pdf   # the one of this deal?
    """,
)
@click.argument("about", required=False, metavar="REQUEST|QUOTE|COUNTER|DEAL|NOTE")
@click.argument("text", nargs=-1)
@click.option("--attach", multiple=True, metavar="FILE", help="Name this file by its hash; you hand it over yourself.")
@click.option("--to", multiple=True, metavar="SELLER", help="Of your request's sellers only this one; several times.")
@click.option("--check", metavar="FILE", help="Say which notes name this very file.")
@pass_app
def note(app: App, /, about: str | None, text: tuple[str, ...], **options: Any) -> int:
    """Say something about a request, quote, counter or deal. It binds nobody.

    A file is named by name, size and SHA-256; the file itself travels by other means, and --check tells whether the
    one you got is the one that was meant (exit code 5 if no note names it).
    """
    if options["check"] is not None:
        return _check(app, options["check"], about, text)
    if about is None:
        raise click.UsageError("say what the note is about: market note ID TEXT")
    from p2pmarket.api.types.bodies_talk import NewNote

    from . import files

    attachments = [files.named_file(name) for name in options["attach"]]
    body = NewNote(about=about, text=" ".join(text) or None, attachments=attachments, to=list(options["to"]))
    app.emit(app.client().note(body, key=app.key))
    return 0


def _check(app: App, name: str, about: str | None, text: tuple[str, ...]) -> int:
    """Which notes name a file, of those about one thing if it is given; 5 if none does."""
    import msgspec

    from . import files

    if text:
        raise click.UsageError("--check says nothing: leave the text out")
    client = app.client()
    found = client.file(files.named_file(name).sha256)
    if about is not None:
        said = {note.id for note in client.show(about).notes}
        found = msgspec.structs.replace(found, notes=[note for note in found.notes if note.id in said])
    app.emit(found, name=name)
    return 0 if found.notes else 5


@click.command(
    "ack",
    cls=MarketCommand,
    writes=True,
    examples="""
        market ack --seen q-m2xw
        market ack --seen r-k3f7 n-c8h2
    """,
)
@click.option("--seen", "ids", multiple=True, required=True, metavar="ID", help="What you have looked at.")
@click.argument("more", nargs=-1, metavar="[ID]...")
@pass_app
def ack(app: App, ids: tuple[str, ...], more: tuple[str, ...]) -> None:
    """Tell the sender of a request, quote, order, note or other paper that a person has looked at it."""
    from p2pmarket.api.types.bodies import MarkSeen

    app.emit(app.client().inbox_seen(MarkSeen(ids=[*ids, *more]), key=app.key))


@click.group(
    "contacts",
    cls=NearestGroup,
    invoke_without_command=True,
    examples="""
        market contacts
        market contacts add k3f7q-h2x9d "Roma"
        market contacts add d-k3f7               # the other side of a deal, by his own name
        market contacts remove Roma
    """,
)
@click.pass_context
def contacts(ctx: click.Context) -> None:
    """The address book: who is in it sees your identity in your requests, strangers never do."""
    if ctx.invoked_subcommand is None:
        app = ctx.find_root().ensure_object(App)
        app.emit(app.client().contacts())


@contacts.command("list", examples="market contacts list --json")
@pass_app
def list_(app: App) -> None:
    """Who is in the address book."""
    app.emit(app.client().contacts())


@contacts.command(
    "add",
    writes=True,
    examples="""
        market contacts add k3f7q-h2x9d Roma
        market contacts add k3f7q                # the first half, where it fits only one
        market contacts add did:key:z6Mk… "Roma"
        market contacts add q-m2xw
    """,
)
@click.argument("peer")
@click.argument("name", required=False)
@pass_app
def add(app: App, peer: str, name: str | None) -> None:
    """Add a PEER under a NAME of your own: did:key, fingerprint, announced name, or the id of something of his."""
    from p2pmarket.api.types.bodies_talk import AddContact

    app.emit(app.client().contact_add(AddContact(peer=peer, name=name), key=app.key))


@contacts.command("remove", writes=True, examples="market contacts remove Roma")
@click.argument("contact")
@pass_app
def remove(app: App, contact: str) -> None:
    """Take a CONTACT out, by name, fingerprint or did:key."""
    from p2pmarket.api.types.bodies_talk import RemoveContact

    app.emit(app.client().contact_remove(RemoveContact(contact=contact), key=app.key))
