"""`market change`, `cancel`, `despatch`, `receive`: what follows an order, on both sides.

Where a command takes a deal, it also takes the id of the paper meant: a change, a despatch.
"""

from __future__ import annotations

from typing import Any

import click

from .base import App, MarketCommand, Whole, pass_app
from .payment import paying, payment_of


@click.command(
    "change",
    cls=MarketCommand,
    writes=True,
    examples="""
        market change d-k3f7 --line 1=15 --latest 2026-12-20
        market change d-k3f7 --line 2=40@2.40 --drop 3 --text "as we said on the phone"
        market change d-k3f7 --deliver-to "Kim Min-su; Jongno 1; Seoul"
        market change d-k3f7 --instalment 30%@before_delivery --instalment rest@after_delivery+14d
        market change d-k3f7 --accept
        market change d-k3f7 --refuse --text "too late for that"
    """,
)
@click.argument("deal", metavar="DEAL|CHANGE")
@click.option("--line", "lines", multiple=True, metavar="N=QTY[@PRICE]", help="Another quantity, price; 0 drops it.")
@click.option("--drop", "drop", multiple=True, type=Whole(1), metavar="N", help="Take line N out.")
@click.option("--total", metavar="M", help="What all of it is to come to.")
@click.option("--charge", "charges", multiple=True, metavar="KIND=AMOUNT", help="delivery, service, discount, other.")
@click.option("--deliver-to", "deliver_to", metavar="TEXT", help='Another address: "Name; Street 1; 12345 Town".')
@click.option("--latest", metavar="DATE", help="Latest day of delivery, YYYY-MM-DD.")
@click.option("--delivery-days", type=Whole(0, 3650), metavar="N", help="Days from order to delivery.")
@click.option("--incoterm", metavar="CODE", help="As in DAP, EXW.")
@click.option("--place", metavar="TEXT", help="Of the Incoterm.")
@click.option("--cancel-days", type=Whole(0, 3650), metavar="N", help="So late, the buyer may cancel alone.")
@paying
@click.option("--accept", is_flag=True, help="Sign what the other side proposed.")
@click.option("--refuse", is_flag=True, help="Do not sign it.")
@click.option("--reason", metavar="CODE", help="In one word, as in late, size.")
@click.option("--text", help="A word to the other side.")
@pass_app
def change(app: App, /, deal: str, **options: Any) -> None:
    """Propose to change a DEAL both have signed: it holds once the other side accepts.

    What is not named stays as it is. The other side answers with --accept or --refuse, or with market accept CHANGE.
    """
    if _answered(app, deal, "change", options):
        return
    from p2pmarket.api.types.bodies_fulfil import ChangeDeal

    from . import times
    from .sell import charges_of

    body = ChangeDeal(
        lines=[_changed(text) for text in options["lines"]],
        drop=list(options["drop"]),
        total=options["total"],
        charges=charges_of(options["charges"]),
        deliver_to_text=options["deliver_to"],
        delivery_latest=options["latest"],
        delivery_days=options["delivery_days"],
        incoterm=options["incoterm"],
        place=options["place"],
        cancel_days=options["cancel_days"],
        payment=payment_of(options),
        reason=options["reason"],
        text=options["text"],
        utc_offset_s=times.utc_offset(),
    )
    app.emit(app.client().change(deal, body, key=app.key))


@click.command(
    "cancel",
    cls=MarketCommand,
    writes=True,
    examples="""
        market cancel d-k3f7 --reason late
        market cancel o-9xk2 --text "ordered twice by mistake"    # before it was accepted, too
        market cancel d-k3f7 --refund all
        market cancel d-k3f7 --accept
        market cancel d-k3f7 --refuse --text "it left this morning"
    """,
)
@click.argument("deal", metavar="DEAL|ORDER|CANCELLATION")
@click.option("--refund", metavar="AMOUNT|all", help="What the seller shall give back of what was paid.")
@click.option("--accept", is_flag=True, help="Sign what the other side proposed.")
@click.option("--refuse", is_flag=True, help="Do not sign it.")
@click.option("--reason", metavar="CODE", help="In one word, as in late, mistake.")
@click.option("--text", help="A word to the other side.")
@pass_app
def cancel(app: App, /, deal: str, **options: Any) -> None:
    """Propose to end a DEAL, or an order that was not answered: it is over once the other side accepts.

    Until then all that was signed stands. What was sent or paid is not undone by it: name a --refund.
    It is due as far as the money came: `all` is all that was paid.
    """
    if _answered(app, deal, "cancellation", options):
        return
    from p2pmarket.api.types.bodies_fulfil import CancelDeal

    body = CancelDeal(refund=options["refund"], reason=options["reason"], text=options["text"])
    app.emit(app.client().cancel(deal, body, key=app.key))


def _answered(app: App, id_: str, kind: Any, options: dict[str, Any]) -> bool:
    """Answer a proposal, if that was asked for."""
    if not options["accept"] and not options["refuse"]:
        return False
    others = sorted(name for name, value in options.items() if value and name not in _ANSWERS)
    if options["accept"] and options["refuse"]:
        raise click.UsageError("--accept or --refuse, not both")
    if others:
        raise click.UsageError(f"an answer takes no --{others[0].rstrip('s').replace('_', '-')}: propose it instead")
    answer_proposal(app, id_, accept=options["accept"], reason=options["reason"], text=options["text"], kind=kind)
    return True


_ANSWERS = {"accept", "refuse", "reason", "text"}


def answer_proposal(
    app: App, id_: str, *, accept: bool, reason: str | None, text: str | None, kind: Any = None
) -> None:
    """Sign or refuse a change or cancellation, by its id or the deal's."""
    from p2pmarket.api.types.bodies_fulfil import AnswerProposal

    client, body = app.client(), AnswerProposal(kind=kind, reason=reason, text=text)
    answer = client.proposal_accept if accept else client.proposal_reject
    app.emit(answer(id_, body, key=app.key))


def is_proposal(id_: str) -> bool:
    """Whether an id is that of a change (m-) or a cancellation (e-)."""
    return id_.strip().lower()[:2] in {"m-", "e-"}


def _changed(text: str) -> Any:
    """`N=QTY`, `N=QTY@PRICE` or `N=@PRICE`."""
    from p2pmarket.api.types.bodies_talk import RevisedLine

    from . import files

    no, value = files.numbered(text, "--line")
    quantity, at, price = (value or "").partition("@")
    if not value or (at and not price.strip()):
        raise click.UsageError(f"--line {text!r}: write the quantity too, as in {no}=5, or {no}=5@2.50")
    return RevisedLine(no=no, quantity=quantity.strip() or None, price=price.strip() or None)


@click.command(
    "despatch",
    cls=MarketCommand,
    writes=True,
    examples="""
        market despatch d-k3f7 --carrier "Hanjin" --tracking 4711
        market despatch d-k3f7 --line 1=15 --expected fri
        market despatch d-k3f7 --file manual.pdf                 # digital goods, by hash
    """,
)
@click.argument("deal")
@click.option("--line", "lines", multiple=True, metavar="N[=QTY]", help="Only so much of line N; several times.")
@click.option("--carrier", metavar="NAME", help="Who carries it.")
@click.option("--tracking", metavar="NUMBER", help="By which it can be followed.")
@click.option("--url", help="Where it can be followed.")
@click.option("--parcels", type=Whole(1, 1_000_000), metavar="N", help="How many pieces.")
@click.option("--expected", metavar="DATE", help="The day it should come: 2026-12-01, fri, 3d.")
@click.option("--file", "names", multiple=True, metavar="FILE", help="A file that is the goods; only its hash is told.")
@click.option("--text", help="A word to the buyer.")
@pass_app
def despatch(app: App, /, deal: str, **options: Any) -> None:
    """Tell the buyer that goods of a DEAL have left: all that is neither there nor on its way, or some lines."""
    from p2pmarket.api.types.bodies_fulfil import NewDespatch

    from . import files, times

    body = NewDespatch(
        lines=parts_of(options["lines"]),
        carrier=options["carrier"],
        tracking=options["tracking"],
        url=options["url"],
        parcels=options["parcels"],
        expected=options["expected"],
        files=[files.named_file(name) for name in options["names"]],
        text=options["text"],
        utc_offset_s=times.utc_offset(),
    )
    app.emit(app.client().despatch(deal, body, key=app.key))


@click.command(
    "receive",
    cls=MarketCommand,
    writes=True,
    examples="""
        market receive d-k3f7                      # all that is on its way has come, whole and in order
        market receive d-k3f7 --despatch 2
        market receive d-k3f7 --short 1=18         # 18 came, though more was sent
        market receive d-k3f7 --damaged 2=3        # all of line 2 came, three of it damaged
        market receive d-k3f7 --short 1=18 --damaged 1=2 --text "wet cartons"  # 20 came, 2 of them damaged
    """,
)
@click.argument("deal", metavar="DEAL|DESPATCH")
@click.option("--despatch", "parcel", metavar="N|ID", help="Which parcel, if several are on their way.")
@click.option("--short", multiple=True, metavar="N=QTY", help="Of line N only QTY came, damaged ones not counted.")
@click.option("--damaged", multiple=True, metavar="N=QTY", help="QTY of what came of line N is damaged.")
@click.option("--refused", multiple=True, metavar="N=QTY", help="QTY of what came of line N went back.")
@click.option("--on", "received_on", metavar="DATE", help="The day it came. [default: today]")
@click.option("--text", help="A word to the seller.")
@pass_app
def receive(app: App, /, deal: str, **options: Any) -> None:
    """Say what came of a DEAL: in full and in order, but for what is named.

    What is damaged or refused came too: of its line all has come, unless --short says how much came in good order.

    Without --despatch it is all that is on its way. If the seller never announced a parcel, it is all that is missing.
    If all his parcels have come, goods that he did not announce are received line by line, with --short N=QTY.
    """
    from p2pmarket.api.types.bodies_fulfil import NewReceipt

    from . import times

    body = NewReceipt(
        despatch=options["parcel"],
        lines=[part for how in ("short", "damaged", "refused") for part in _conditions(options[how], how)],
        received_on=options["received_on"],
        text=options["text"],
        utc_offset_s=times.utc_offset(),
    )
    app.emit(app.client().receive(deal, body, key=app.key))


def parts_of(texts: tuple[str, ...]) -> list[Any]:
    """`N` or `N=QTY`."""
    from p2pmarket.api.types.bodies_fulfil import PartLine

    from . import files

    return [PartLine(no=no, quantity=much) for no, much in (files.numbered(text, "--line") for text in texts)]


def _conditions(texts: tuple[str, ...], condition: Any) -> list[Any]:
    """`N=QTY` of one condition."""
    from p2pmarket.api.types.bodies_fulfil import ReceivedPart

    from . import files

    parts = []
    for text in texts:
        no, much = files.numbered(text, f"--{condition}")
        if much is None:
            raise click.UsageError(f"--{condition} {text!r}: write how much too, as in {no}=2")
        parts.append(ReceivedPart(no=no, quantity=much, condition=condition))
    return parts
