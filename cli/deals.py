"""`market deals`, `show`, `export`, `verify`: what was agreed, and the proof of it."""

from __future__ import annotations

from typing import Any, get_args

import click

from . import files
from .base import App, MarketCommand, pages, pass_app


@click.command(
    "deals",
    cls=MarketCommand,
    examples="""
        market deals
        market deals --role seller --state agreed
        market deals --json --fields id,state,turn,due_at
    """,
)
@click.option("--role", type=click.Choice(["buyer", "seller"]), help="Only where you are that.")
@click.option("--state", metavar="STATE", help="Only these, as in ordered, agreed, rejected.")
@pages
@pass_app
def deals(app: App, role: Any, state: Any, limit: int | None, cursor: str | None) -> None:
    """All deals, newest first: state, whose turn it is, until when."""
    from p2pmarket.api.types import DealState

    if state is not None and state not in (states := get_args(DealState)):
        raise click.UsageError(f"--state {state!r}: states are {', '.join(states)}")
    reply = app.client().deals(limit, cursor, state, role)
    app.emit(reply, narrowed=bool(role or state or cursor))
    app.more(reply.next)


@click.command(
    "show",
    cls=MarketCommand,
    examples="""
        market show d-k3f7
        market show q-m2xw
        market show r-k3f7 --json
    """,
)
@click.argument("id_", metavar="ID")
@pass_app
def show(app: App, id_: str) -> None:
    """Anything by its ID or the beginning of it: request, quote, order, deal, announcement."""
    app.emit(app.client().show(id_))


@click.command(
    "export",
    cls=MarketCommand,
    examples="""
        market export d-k3f7
        market export d-k3f7 -o deal.json
        market export d-k3f7 -o - | market verify -
        market export z-m2xw -o proof.json    # a proof of market proofs
    """,
)
@click.argument("deal")
@files.output_option("Where to. [default: by its id; in a pipe -]")
@pass_app
def export(app: App, deal: str, target: str | None, force: bool) -> None:
    """A DEAL (by any id of it), or a proof, as a file that anyone can check offline: market verify FILE."""
    from . import output

    files.check_target(target, force=force)
    client = app.client()
    is_proof = deal.strip().lower().startswith("z-")
    reply = client.proof_export(deal) if is_proof else client.export(deal)
    if target is None and app.for_programs:
        app.emit_json(reply)
        return
    name = target or (files.plain_name(reply.name) if output.on_terminal() else "-")
    files.write(name, reply.data, force=force)
    if app.for_programs and name != "-":
        app.emit_json({"deal": reply.deal, "name": reply.name, "file": name, "bytes": len(reply.data)})
    elif name != "-":
        output.talk(f"written: {name} ({len(reply.data)} bytes); check it with: market verify {name}")


@click.command(
    "verify",
    cls=MarketCommand,
    examples="""
        market verify deal.json
        market verify - --json < deal.json
    """,
)
@click.argument("file")
@pass_app
def verify(app: App, file: str) -> int:
    """Check an exported FILE: every signature and every sum, without a daemon or a network. Exit code 65 if it fails.

    What is printed is what the signatures say, whatever else is written in the file.
    """
    from p2pmarket.trade.evidence import verify_bundle

    verdict = verify_bundle(files.read(file))
    if app.for_programs:
        app.emit_json(
            {
                "ok": verdict.ok,
                "format": verdict.format,
                "network": verdict.network,
                "parties": dict(verdict.parties),
                "summary": verdict.summary,
                "contradiction": verdict.contradiction,
                "history": verdict.history,
                "upstream": verdict.upstream,
                "problems": verdict.problems,
            }
        )
    else:
        from . import output, view_evidence

        output.show(*view_evidence.verdict_view(verdict, output.screen()))
    return 0 if verdict.ok else 65
