"""`market rate`, `ratings`, `dispute`, `import`, `proofs`: judging each other, and what proves it."""

from __future__ import annotations

from typing import Any

import click

from p2pmarket.vocab.judging import ASPECTS, DISPUTE_OUTCOMES, DISPUTE_REASONS

from . import files
from .base import App, MarketCommand, Whole, pass_app

STEPS = {"open": "open", "state": "statement", "propose": "proposal", "accept": "accept", "close": "close"}


@click.command(
    "rate",
    cls=MarketCommand,
    writes=True,
    examples="""
        market rate d-k3f7 --stars 5
        market rate d-k3f7 --aspect goods=5 --aspect delivery=2 --text "good beans, a week late"
    """,
)
@click.argument("deal")
@click.option("--stars", type=Whole(1, 5), metavar="N", help="One judgement for all, 1 (bad) to 5 (good).")
@click.option("--aspect", "aspects", multiple=True, metavar="NAME=N", help=f"{', '.join(ASPECTS)}; several times.")
@click.option("--text", help="Why, in a few words: a rating is published.")
@click.option("--url", help="A page that says more.")
@pass_app
def rate(app: App, deal: str, stars: int | None, aspects: tuple[str, ...], text: str | None, url: str | None) -> None:
    """Rate the other side of a DEAL that both signed. Rating again replaces what you said before.

    Everybody can see it: the deal's hashes and both keys, your stars and words, but no price, goods or address.
    """
    from p2pmarket.api.types.bodies_quarrel import NewRating

    body = NewRating(stars=stars, aspects=dict(map(_aspect, aspects)), text=text, url=url)
    app.emit(app.client().rate(deal, body, key=app.key))


def _aspect(text: str) -> tuple[str, int]:
    name, equals, stars = text.partition("=")
    if not equals or stars not in {"1", "2", "3", "4", "5"}:
        raise click.UsageError(f"--aspect {text!r}: write NAME=N with N from 1 to 5, as in goods=4")
    return name.strip(), int(stars)


@click.command(
    "ratings",
    cls=MarketCommand,
    examples="""
        market ratings                     # what is said of you
        market ratings "Addis Roasters"
        market ratings q-m2xw              # of the seller who quoted that
        market ratings did:key:z6Mk… --json
    """,
)
@click.argument("peer", default="me")
@pass_app
def ratings(app: App, peer: str) -> None:
    """What others say of a PEER (did:key, fingerprint, name, or the id of a quote, order or deal with him).

    Yours first, then your contacts', then those of strangers, who may all be one person. Nothing is ranked by them.
    """
    app.emit(app.client().ratings(peer))


@click.command(
    "dispute",
    cls=MarketCommand,
    writes=True,
    examples="""
        market dispute d-k3f7                                      # how it stands
        market dispute d-k3f7 open --reason late --text "due on Friday"
        market dispute d-k3f7 state --text "it left on time" --attach slip.pdf
        market dispute d-k3f7 propose --outcome price_cut --share 25%
        market dispute d-k3f7 accept
        market dispute --opinion deal.json --outcome refund --amount 12.50 -o opinion.json
    """,
)
@click.argument("deal", required=False)
@click.argument("step", required=False, type=click.Choice(list(STEPS)))
@click.option("--reason", metavar="WORD", help=f"Of opening: {', '.join(DISPUTE_REASONS)}.")
@click.option("--outcome", metavar="WORD", help=f"Of a proposal or opinion: {', '.join(DISPUTE_OUTCOMES)}.")
@click.option("--amount", metavar="M", help='What goes back to the buyer: "12.50 EUR".')
@click.option("--share", metavar="PART", help="The same as a part of the total: 0.25, 25%.")
@click.option("--text", help="What you have to say.")
@click.option("--attach", multiple=True, metavar="FILE", help="Name this file by its hash; you hand it over yourself.")
@click.option("--about", metavar="ID", help="Which dispute or proposal, if there is more than one.")
@click.option("--opinion", "file", metavar="FILE", help="As the referee: judge the dispute in this exported deal.")
@files.output_option("With --opinion: where the file for both sides goes.")
@pass_app
def dispute(app: App, /, deal: str | None, step: str | None, **options: Any) -> None:
    """Quarrel about a DEAL in signed steps: open, state, propose, accept, close. Without a step: how it stands.

    A proposal that the other side accepts settles it; whoever opened may close it. A referee named in the order works
    with --opinion from the file of either side (market export); both then take his file with: market import FILE
    """
    if options["file"] is not None:
        if deal is not None:
            raise click.UsageError("--opinion FILE names the deal: give no DEAL beside it")
        _judge(app, options)
    elif deal is None:
        raise click.UsageError("which DEAL? market deals lists them; a referee gives --opinion FILE")
    elif step is None:
        app.emit(app.client().disputes(deal))
    else:
        app.emit(app.client().dispute(deal, _step(step, options), key=app.key))


def _step(step: str, options: dict[str, Any]) -> Any:
    import msgspec

    from p2pmarket.api.types.bodies_quarrel import NewDispute

    named = {name: options[name] for name in ("reason", "outcome", "amount", "share", "text", "about")}
    attachments = [msgspec.to_builtins(files.named_file(name)) for name in options["attach"]]
    return msgspec.convert({**named, "step": STEPS[step], "attachments": attachments}, NewDispute)


def _judge(app: App, options: dict[str, Any]) -> None:
    from p2pmarket.api.types.bodies_quarrel import NewOpinion

    from . import output

    if options["outcome"] is None:
        raise click.UsageError(f"an opinion names an --outcome: {', '.join(DISPUTE_OUTCOMES)}")
    body = NewOpinion(
        data=files.read(options["file"]),
        outcome=options["outcome"],
        dispute=options["about"],
        amount=options["amount"],
        share=options["share"],
        text=options["text"],
    )
    files.check_target(options["target"], force=options["force"])
    reply = app.client().opinion(body, key=app.key)
    if options["target"] is None and app.for_programs:
        app.emit_json(reply)
        return
    name = options["target"] or (files.plain_name(reply.name) if output.on_terminal() else "-")
    if not app.dry_run:
        files.write(name, reply.data, force=options["force"])
    if app.for_programs and name != "-":
        told = {"deal": reply.deal, "dispute": reply.dispute, "opinion": reply.opinion, "file": name}
        app.emit_json({**told, "created": reply.created})
    elif app.dry_run:
        app.emit_json_or(reply, "Dry run: the opinion would be signed and written to the file; nothing was.")
    elif name != "-":
        output.talk(f"written: {name}; give it to both sides: they take it with market import {name}")


@click.command(
    "import",
    cls=MarketCommand,
    writes=True,
    examples="""
        market import opinion.json
        market import z-k3f7.json
    """,
)
@click.argument("file")
@pass_app
def import_file(app: App, file: str) -> None:
    """Take what a FILE proves: a referee's opinion about a deal of yours, or that somebody contradicts himself."""
    from p2pmarket.api.types.bodies_quarrel import ImportFile

    app.emit(app.client().import_file(ImportFile(data=files.read(file)), key=app.key))


@click.command(
    "proofs",
    cls=MarketCommand,
    examples="""
        market proofs
        market export z-k3f7 -o proof.json
        market verify proof.json
    """,
)
@pass_app
def proofs(app: App) -> None:
    """Who signed two documents where one was allowed. Each proof can be exported, and checked by anyone."""
    app.emit(app.client().proofs())
