"""What an exported file proves, as people see it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.text import Text

from . import values as v
from .grid import BAD, BOLD, GOOD, Cell, Column, Screen, grid, grouped, heading, pairs_of

if TYPE_CHECKING:
    from p2pmarket.trade.evidence import Contradiction, Verdict
    from p2pmarket.trade.summary import Entry, Summary, SummaryDispute


# The codes of an answer to an order, as people say them.
RESPONSES = {"AB": "acknowledged", "AP": "accepted", "RE": "rejected", "CA": "accepted with changes"}


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
        parts += [Text(""), *_deal(verdict.summary, verdict.upstream, screen)]
    if verdict.history:
        parts += [Text(""), _history(verdict.history, screen)]
    if verdict.contradiction is not None:
        parts += [Text(""), _contradiction(verdict.contradiction, screen)]
    return tuple(parts)


def _deal(summary: Summary, upstream: Sequence[str], screen: Screen) -> list[RenderableType]:
    facts: list[tuple[str, Cell]] = [
        ("deal", (summary.deal, BOLD)),
        ("state", v.styled(summary.state)),
        ("ordered", summary.ordered_at),
        ("agreed", summary.agreed_at),
        ("changed", f"version {summary.change}, signed by both" if summary.change else ""),
        ("total", (f"{grouped(summary.total)} {summary.currency}", BOLD)),
        ("request", summary.request),
        ("quote", summary.quote),
        ("order", summary.order),
        ("depends on", ", ".join(upstream)),
        *((f"payment {paid.no}", v.styled(paid.state)) for paid in summary.payments),
        *(("dispute", _dispute(dispute)) for dispute in summary.disputes),
    ]
    columns = [Column("no", right=True), Column("quantity", right=True), Column("text", least=10)]
    rows: list[list[Cell]] = [
        [str(line.no), f"{grouped(line.quantity)} {v.unit(line.unit)}", line.text] for line in summary.lines
    ]
    return [pairs_of(screen, facts), Text(""), grid(screen, columns, rows)]


def _dispute(dispute: SummaryDispute) -> str:
    """`opened by the buyer (late), settled; the referee: refund 5.00 EUR`."""
    told = f"opened by the {dispute.opened_by} ({v.word(dispute.reason)}), {v.word(dispute.state)}"
    if dispute.opinion is None:
        return told
    share = f"{dispute.share} of the total" if dispute.share else ""
    words = [v.word(dispute.opinion), dispute.amount or share]
    return f"{told}; the referee: {' '.join(word for word in words if word)}"


def _history(history: tuple[Entry, ...], screen: Screen) -> RenderableType:
    columns = [
        Column("document"), Column("step"), Column("signed by"), Column("signed"), Column("said", least=14),
        Column("files", least=10, goes=2), Column("id", least=10, goes=1),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [
            v.word(entry.kind),
            RESPONSES.get(entry.step or "", v.word(entry.step)),
            entry.signer,
            entry.issued_at,
            entry.said or "",
            ", ".join(entry.files),
            entry.id,
        ]
        for entry in history
    ]
    return grid(screen, columns, rows)


def _contradiction(claim: Contradiction, screen: Screen) -> RenderableType:
    said = f"signed two documents where one was allowed ({v.word(claim.kind)})"
    return pairs_of(screen, [("signer", claim.signer), (said, ", ".join(claim.documents))])
