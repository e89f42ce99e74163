"""Options that say when and how is paid, of all commands that make an offer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from .base import Whole

F = TypeVar("F", bound=Callable[..., Any])
STAGES = click.Choice(["before_order", "before_delivery", "on_delivery", "after_delivery", "instalments"])


def paying(command: F) -> F:
    """`--pay-stage`, `--pay-days`, `--pay-to`, `--instalment`."""
    options = [
        click.option("--pay-stage", type=STAGES, help="When payment begins to be due."),
        click.option("--pay-days", type=Whole(0, 3650), metavar="N", help="Days to pay from then on."),
        click.option("--pay-to", multiple=True, metavar="LINK|WORD", help="payto: link, or a word such as cash."),
        click.option(
            "--instalment",
            "instalments",
            multiple=True,
            metavar="AMOUNT[@STAGE][+Nd]",
            help="30%, 100 EUR or rest; a date may stand for the stage; several times.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def payment_of(options: dict[str, Any]) -> Any:
    """The body of these options; None if none was given."""
    names = ("pay_stage", "pay_days", "pay_to", "instalments")
    if not any(options[name] not in (None, ()) for name in names):
        return None
    from p2pmarket.api.types.bodies import NewPaymentTerms

    return NewPaymentTerms(
        stage=options["pay_stage"],
        days=options["pay_days"],
        methods=list(options["pay_to"]),
        instalments=[_instalment(text) for text in options["instalments"]],
    )


def _instalment(text: str) -> Any:
    """`AMOUNT[@STAGE][+DAYS]`, or a date instead of the stage."""
    from p2pmarket.api.types.bodies import NewInstalment

    amount, _, rest = text.partition("@")
    stage, _, days = rest.partition("+")
    number = days.strip().removesuffix("d")
    if not amount.strip() or (days and not (number.isascii() and number.isdecimal())):
        raise click.UsageError(f"--instalment {text!r}: write it as 30%@before_delivery, or 100 EUR@2026-12-01")
    known: Any = stage.strip().replace("-", "_") or "before_delivery"
    dated = known[:1].isdigit()
    if not dated and known not in STAGES.choices:
        raise click.UsageError(f"--instalment {text!r}: stages are {', '.join(STAGES.choices)}, or a date")
    return NewInstalment(
        amount=amount.strip(),
        stage="after_delivery" if dated else known,
        days=int(number) if number else None,
        due=stage.strip() if dated else None,
    )
