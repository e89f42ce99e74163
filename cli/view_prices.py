"""The price list and what an import did to it, as people see it. Pure."""

from __future__ import annotations

from rich.console import RenderableType

from p2pmarket.api import types as t

from . import values as v
from .grid import BAD, DIM, GOOD, WARN, Cell, Column, Screen, count, grid, heading, until


def report_view(report: t.PricesReport, screen: Screen) -> tuple[RenderableType, ...]:
    """Every bad row and column, then what was done."""
    parts: list[RenderableType] = []
    if report.problems:
        columns = [
            Column("row", right=True), Column("column", least=6), Column("problem", least=12),
            Column("what to do", least=12),
        ]  # fmt: skip
        rows: list[list[Cell]] = [
            [str(problem.row), problem.column or "", (problem.problem, BAD), problem.hint or ""]
            for problem in report.problems
        ]
        parts.append(grid(screen, columns, rows))
    if report.ignored:
        parts.append(heading(("Columns that were not read: ", DIM), ", ".join(report.ignored)))
    changes = f"{report.added} added, {report.changed} changed, {report.removed} removed, {report.skipped} skipped"
    if report.dry_run:
        good = report.rows - report.skipped
        tried = f"{good} of {count(report.rows, 'row')} can be imported"
        parts.append(heading((f"Tried only, nothing was changed: {tried}; {changes}.", WARN)))
    else:
        parts.append(heading((f"{count(report.imported, 'row')} of {report.rows} imported; {changes}.", GOOD)))
    return tuple(parts)


def prices_view(prices: t.Prices, screen: Screen, *, words: str = "") -> tuple[RenderableType, ...]:
    """A page of the price list, or of its rows that have the `words`."""
    if not prices.rows:
        if prices.total or words:
            return (heading("No price fits. All of them: market prices show"),)
        return (heading("There are no prices yet: market prices import FILE.csv"),)
    columns = [
        Column("code", least=6), Column("description", least=10), Column("price", right=True), Column("per"),
        Column("stock", right=True), Column("least", right=True, goes=5), Column("category", least=8, goes=2),
        Column("days", right=True, goes=4), Column("tax %", right=True, goes=3), Column("url", least=8, goes=1),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [
            row.code or "",
            row.description,
            f"{v.unit_price(row.price)} {row.currency}",
            v.unit(row.unit) if row.per == "1" else f"{row.per} {v.unit(row.unit)}",
            row.stock or "",
            row.min_qty or "",
            row.category or "",
            "" if row.lead_days is None else str(row.lead_days),
            row.tax_rate or "",
            row.url or "",
        ]
        for row in prices.rows
    ]
    since = f", imported {until(screen, prices.imported_at)}" if prices.imported_at else ""
    return (grid(screen, columns, rows), heading((f"{len(rows)} of {count(prices.total, 'price')}{since}", DIM)))
