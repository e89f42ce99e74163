"""`market profile`, `market profile set`: what others are told about this peer."""

from __future__ import annotations

import click
from click import Choice

from .base import App, MarketCommand, NearestGroup, pass_app

FIELDS = ("name", "region", "currency", "address", "tax-id")


@click.group(
    "profile",
    cls=NearestGroup,
    invoke_without_command=True,
    examples="""
        market profile
        market profile set name "Cafe Roma"
        market profile set region KR
        market profile set currency KRW
        market profile set address "1 Sejong-daero" "Seoul 04524"
        market profile set tax-id ''   # an empty value clears the field
    """,
)
@click.pass_context
def profile(ctx: click.Context) -> None:
    """What others are told, and when: name and region with every announcement, address and tax id in an order."""
    if ctx.invoked_subcommand is None:
        app = ctx.find_root().ensure_object(App)
        app.emit(app.client().profile())


@profile.command(
    "set",
    cls=MarketCommand,
    writes=True,
    examples="""
        market profile set name "Cafe Roma"
        market profile set address "1 Sejong-daero" "Seoul 04524"
    """,
)
@click.argument("field", type=Choice(FIELDS, case_sensitive=False), metavar="name|region|currency|address|tax-id")
@click.argument("value", nargs=-1, required=True)
@pass_app
def set_(app: App, field: str, value: tuple[str, ...]) -> None:
    """Change one field of the profile; an address may have several lines, an empty value clears the field."""
    from p2pmarket.api.types.bodies import SetProfile

    text = " ".join(value).strip()
    match field:
        case "name":
            body = SetProfile(name=text or None)
        case "region":
            body = SetProfile(region=text or None)
        case "currency":
            body = SetProfile(currency=text or None)
        case "tax-id":
            body = SetProfile(tax_id=text or None)
        case _:
            lines = [line.strip() for part in value for line in part.splitlines()]
            body = SetProfile(address=[line for line in lines if line])
    app.emit(app.client().profile_set(body, key=app.key))
