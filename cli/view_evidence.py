"""What an exported file proves, as people see it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.text import Text

from . import values as v
from .grid import BAD, BOLD, GOOD, Cell, Column, Screen, grid, grouped, heading, pairs_of

if TYPE_CHECKING:
    from p2pmarket.trade.evidence import Contradiction, Summary, Verdict


def verdict_view(verdict: Verdict, screen: Screen) -> tuple[RenderableType, ...]:
    """Whether it holds, and what it says if it does; of a file that does not hold nothing is repeated as true."""
    if not verdict.ok:
        return (heading(("NOT VALID. ", BAD), "; ".join(verdict.problems)),)
    parties: list[tuple[str, Cell]] = list(verdict.parties)
    parts: list[RenderableType] = [
        heading(("VALID. ", GOOD), "Every signature and every sum holds."),
        pairs_of(screen, [*parties, ("network", verdict.network or ""), ("format", verdict.format or "")]),
    ]
    if verdict.summary is not None:
        parts += [Text(""), *_deal(verdict.summary, screen)]
    if verdict.contradiction is not None:
        parts += [Text(""), _contradiction(verdict.contradiction, screen)]
    return tuple(parts)


def _deal(summary: Summary, screen: Screen) -> list[RenderableType]:
    facts: list[tuple[str, Cell]] = [
        ("deal", (summary.deal, BOLD)),
        ("ordered", summary.ordered_at),
        ("agreed", summary.agreed_at),
        ("total", (f"{grouped(summary.total)} {summary.currency}", BOLD)),
        ("request", summary.request),
        ("quote", summary.quote),
        ("order", summary.order),
    ]
    columns = [Column("no", right=True), Column("quantity", right=True), Column("text", least=10)]
    rows: list[list[Cell]] = [
        [str(line.no), f"{grouped(line.quantity)} {v.unit(line.unit)}", line.text] for line in summary.lines
    ]
    return [pairs_of(screen, facts), Text(""), grid(screen, columns, rows)]


def _contradiction(claim: Contradiction, screen: Screen) -> RenderableType:
    said = f"signed two documents where one was allowed ({v.word(claim.kind)})"
    return pairs_of(screen, [("signer", claim.signer), (said, ", ".join(claim.documents))])
