"""Handlers of the price list: checked whole, then replaced whole."""

from __future__ import annotations

import trio

from p2pmarket.api import spec
from p2pmarket.api import types as t
from p2pmarket.api.spec import Call
from p2pmarket.api.types import bodies as b
from p2pmarket.clock import wall
from p2pmarket.errors import BadInput
from p2pmarket.market.drafting import bad_rows
from p2pmarket.market.pricing import ledger_row, price_row
from p2pmarket.market.verbs.base import Handlers, page
from p2pmarket.pricelist import PriceList, read_price_list, write_price_list
from p2pmarket.store.ledger import Ledger
from p2pmarket.store.rows import Price
from p2pmarket.vocab.currencies import parse_currency
from p2pmarket.vocab.deadlines import instant_text
from p2pmarket.vocab.texts import normal_text

IMPORTED = "prices_imported"


class PriceVerbs(Handlers):
    """Import, export, look."""

    async def prices_import(self, call: Call, body: b.ImportPrices) -> t.PricesReport:
        """Replace the price list by a CSV file. One bad row refuses it all, unless bad rows are to be skipped."""
        profile = await self.read(lambda ledger: ledger.meta.profile())
        currency = parse_currency(body.currency) if body.currency else profile.get("currency") or None
        # In a thread: a list of 100,000 rows takes seconds, in which the daemon must go on answering its peers.
        read, rows = await trio.to_thread.run_sync(_read, body, currency)

        def work(ledger: Ledger) -> t.PricesReport:
            report = _report(read, rows, ledger.prices.all(), dry_run=body.dry_run)
            if not body.dry_run:
                ledger.prices.replace(rows)
                ledger.meta.set(IMPORTED, str(wall()).encode())
            return report

        reply = await self.write(call, spec.PRICES_IMPORT, body, work)
        await self.market.reload_prices()
        return reply

    async def prices_export(self, call: Call, body: None) -> t.PricesExport:
        """The price list as CSV."""
        rows = await self.read(lambda ledger: ledger.prices.all())
        return t.PricesExport(rows=len(rows), csv=write_price_list([price_row(row, None) for row in rows]))

    async def prices_show(self, call: Call, body: None) -> t.Prices:
        """The price list, or the rows that hold some words."""

        def work(ledger: Ledger) -> t.Prices:
            words = normal_text(call.text("q") or "")
            rows = [row for row in ledger.prices.all() if words in normal_text(f"{row.code} {row.description}")]
            shown, cursor = page(rows, call)
            imported = ledger.meta.get(IMPORTED)
            return t.Prices(
                rows=[_shown(row) for row in shown],
                total=len(rows),
                imported_at=instant_text(int(imported)) if imported else None,
                next=cursor,
            )

        return await self.read(work)


def _read(body: b.ImportPrices, currency: str | None) -> tuple[PriceList, list[Price]]:
    """The file, and its good rows as the ledger keeps them. Raises BadInput that lists every bad row."""
    read = read_price_list(body.csv, body.mapping, currency)
    if read.problems and not (body.skip_bad or body.dry_run):
        raise bad_rows("the price list", read.problems)
    if not read.rows and not read.problems:
        raise BadInput("the file has headings but no prices", hint="The price list was left as it is")
    return read, [ledger_row(row)._replace(row=number) for number, row in enumerate(read.rows, 1)]


def _report(read: PriceList, rows: list[Price], before: list[Price], *, dry_run: bool) -> t.PricesReport:
    old = {(row.code, row.description): row._replace(row=0) for row in before}
    new = {(row.code, row.description): row._replace(row=0) for row in rows}
    bad = {problem.row for problem in read.problems}
    problems = [
        t.RowProblem(row=one.row, column=one.column, problem=one.problem, hint=one.hint)
        for one in (*read.problems, *read.notes)
    ]
    return t.PricesReport(
        rows=len(rows) + len(bad),
        imported=0 if dry_run else len(rows),
        skipped=len(bad),
        added=len(new.keys() - old.keys()),
        changed=sum(old[key] != new[key] for key in new.keys() & old.keys()),
        removed=len(old.keys() - new.keys()),
        dry_run=dry_run,
        problems=problems,
        ignored=list(read.ignored),
    )


def _shown(row: Price) -> t.PriceRow:
    return t.PriceRow(
        code=row.code or None,
        description=row.description,
        unit=row.unit,
        price=row.price,
        per=row.per,
        currency=row.currency,
        stock=row.stock,
        min_qty=row.min_qty,
        category=row.category,
        lead_days=row.lead_days,
        tax_rate=row.tax_rate,
        url=row.url,
    )
