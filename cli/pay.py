"""`market invoice`, `credit`, `pay`, `confirm-payment`, `refund`: what is asked, paid and got. No money moves here.

Where a command takes a deal, it also takes the id of the paper meant: an invoice, a payment.
"""

from __future__ import annotations

from typing import Any

import click

from .base import App, MarketCommand, Whole, pass_app
from .fulfil import parts_of


@click.command(
    "invoice",
    cls=MarketCommand,
    writes=True,
    examples="""
        market invoice d-k3f7 --due 14d --pay-to payto://iban/DE75512108001245126199
        market invoice d-k3f7 --despatch 1 --number 2026-117
        market invoice d-k3f7 --instalment 1
    """,
)
@click.argument("deal")
@click.option("--number", metavar="TEXT", help="Your own number of it. [default: made from the deal's id]")
@click.option("--due", metavar="DATE", help="Until when it is to be paid: 2026-12-01, 14d. [default: by the terms]")
@click.option("--pay-to", "methods", multiple=True, metavar="LINK|WORD", help="payto: link, or a word such as cash.")
@click.option("--despatch", "parcels", multiple=True, metavar="N|ID", help="Bill these parcels only.")
@click.option("--instalment", type=Whole(1, 36), metavar="N", help="Bill this part of the total only.")
@click.option("--text", help="A word to the buyer.")
@pass_app
def invoice(app: App, /, deal: str, **options: Any) -> None:
    """Bill a DEAL: its next instalment; all of it, if nothing was billed yet; else what was sent and not billed.

    All invoices together never come to more than what both have signed.
    """
    from p2pmarket.api.types.bodies_fulfil import NewInvoice

    from . import times

    body = NewInvoice(
        number=options["number"],
        due=options["due"],
        pay_to=list(options["methods"]),
        despatches=list(options["parcels"]),
        instalment=options["instalment"],
        text=options["text"],
        utc_offset_s=times.utc_offset(),
    )
    app.emit(app.client().invoice(deal, body, key=app.key))


@click.command(
    "credit",
    cls=MarketCommand,
    writes=True,
    examples="""
        market credit i-k3f7 --line 2=3 --reason damaged
        market credit i-k3f7 --amount "12.50 EUR"
        market credit i-k3f7                       # all of it, to bill it anew
    """,
)
@click.argument("invoice", metavar="INVOICE|DEAL")
@click.option("--line", "lines", multiple=True, metavar="N[=QTY]", help="So much of line N; several times.")
@click.option("--amount", metavar="M", help="An amount, tax included.")
@click.option("--number", metavar="TEXT", help="Your own number of it. [default: made from the deal's id]")
@click.option("--reason", metavar="CODE", help="In one word, as in damaged, late.")
@click.option("--text", help="A word to the buyer.")
@pass_app
def credit(app: App, /, invoice: str, **options: Any) -> None:
    """Give back part or all of an INVOICE, or of a deal."""
    from p2pmarket.api.types.bodies_fulfil import NewCredit

    body = NewCredit(
        lines=parts_of(options["lines"]),
        amount=options["amount"],
        number=options["number"],
        reason=options["reason"],
        text=options["text"],
    )
    app.emit(app.client().credit(invoice, body, key=app.key))


@click.command(
    "pay",
    cls=MarketCommand,
    writes=True,
    examples="""
        market pay i-k3f7 --dry-run                # what to pay, and the payto: link; says nothing to anybody
        market pay i-k3f7 --reference "PO-17"
        market pay d-k3f7 --amount "100 EUR" --txid 4a5e1e4baab8
        market pay d-k3f7 --amount "100 EUR" --anyway   # more than is left, but it has moved
    """,
)
@click.argument("deal", metavar="DEAL|INVOICE")
@click.option("--amount", metavar="M", help="How much. [default: what is left to be paid]")
@click.option("--anyway", is_flag=True, help="Say so even if --amount is more than is left: it has moved.")
@click.option("--invoice", metavar="NUMBER|ID", help="For which invoice.")
@click.option("--instalment", type=Whole(1, 36), metavar="N", help="Which part of the total.")
@click.option("--method", metavar="LINK|WORD", help="How: a payto: link, or a word such as cash.")
@click.option("--reference", metavar="TEXT", help="What you wrote with it.")
@click.option("--txid", "--proof", "proof", metavar="TEXT", help="What proves it: a transaction id, a preimage.")
@click.option("--text", help="A word to the seller.")
@pass_app
def pay(app: App, /, deal: str, **options: Any) -> None:
    """Tell the seller that you have paid a DEAL or INVOICE. No money moves here: pay by your own bank or wallet.

    The payto: link that is printed opens many of those with amount and reference filled in. What names no invoice
    counts to the oldest that are open.
    """
    from p2pmarket.api.types.bodies_fulfil import NewPayment

    body = NewPayment(**options)
    app.emit(app.client().pay(deal, body, key=app.key))


@click.command(
    "confirm-payment",
    cls=MarketCommand,
    writes=True,
    examples="""
        market confirm-payment d-k3f7              # what the buyer said he paid has come
        market confirm-payment p-m2xw --not-received
        market confirm-payment d-k3f7 --cash       # all that is owed, in cash, though nobody said so
        market confirm-payment d-k3f7 --cash --amount "100 EUR"
    """,
)
@click.argument("payment", metavar="PAYMENT|DEAL")
@click.option("--amount", metavar="M", help="How much came, of money that nobody told you of.")
@click.option("--cash", is_flag=True, help="It came in cash, and nobody told you of it before.")
@click.option("--not-received", is_flag=True, help="You looked for it and it is not there.")
@click.option("--text", help="A word to the other side.")
@pass_app
def confirm_payment(
    app: App, /, payment: str, amount: str | None, cash: bool, not_received: bool, text: str | None
) -> None:
    """Say that the money of a PAYMENT or DEAL came; as the buyer, that a refund came. Of several, name the PAYMENT."""
    from p2pmarket.api.types.bodies_fulfil import ConfirmPayment

    if not_received and (cash or amount):
        raise click.UsageError("--not-received takes no --amount and no --cash")
    body = ConfirmPayment(amount=amount, method="cash" if cash else None, not_received=not_received, text=text)
    app.emit(app.client().confirm_payment(payment, body, key=app.key))


@click.command(
    "refund",
    cls=MarketCommand,
    writes=True,
    examples="""
        market refund d-k3f7                       # what was paid too much, or all of the last payment
        market refund p-m2xw --amount "12.50 EUR"
    """,
)
@click.argument("payment", metavar="PAYMENT|DEAL")
@click.option("--amount", metavar="M", help="How much goes back.")
@click.option("--text", help="A word to the buyer.")
@pass_app
def refund(app: App, payment: str, amount: str | None, text: str | None) -> None:
    """Tell the buyer that money of a PAYMENT goes back to him. No money moves here; he confirms when it came.

    A payment goes back once: without --amount it is all that is overpaid, by credits, a cancellation or a settlement.
    """
    from p2pmarket.api.types.bodies_fulfil import Refund

    app.emit(app.client().refund(payment, Refund(amount=amount, text=text), key=app.key))
