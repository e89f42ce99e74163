"""What the demo shows: tables made of the JSON that `market … --json` printed, and of nothing else."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from demo_orders import REASONS, Orders
from demo_sellers import Seller
from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

JSON = Any
NO_QUOTE = {"declined", "unreachable"}


def make_console() -> Console:
    """Wide enough for the tables where nobody looks, as wide as the window where somebody does."""
    console = Console(highlight=False, markup=False)
    return console if console.is_terminal else Console(highlight=False, markup=False, width=118)


def table(title: str, *columns: str, right: Iterable[str] = ()) -> Table:
    made = Table(title=title, title_justify="left", title_style="bold", pad_edge=False, box=box.SIMPLE_HEAD)
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left")
    return made


def money(value: JSON) -> str:
    return f"{float(value['amount']):,.2f} {value['currency']}"


def sellers_table(rows: Iterable[tuple[Seller, JSON, int]]) -> Table:
    """Who sells: (seller, his `market id`, rows imported)."""
    right = ("articles", "days", "delivery")
    made = table("Sellers", "name", "fingerprint", "sits in", "serves", "articles", "delivery", "days", "", right=right)
    for seller, identity, imported in rows:
        note = "accepts no connection" if seller.no_inbound else "quotes by hand" if seller.by_hand else ""
        serves = " ".join(seller.serves)
        delivery = f"{seller.delivery} {seller.currency}"
        count = f"{imported:,}" if imported else "-"
        name, mark = str(identity["name"]), str(identity["fingerprint"])
        made.add_row(name, mark, seller.region, serves, count, delivery, str(seller.days), note)
    return made


def left_out_table(orders: Orders, invoices: Iterable[str]) -> Table:
    """What is not asked for and not in a price list, by reason."""
    title = "Left out of the real order lines"
    made = table(title, "invoice", "rows", *REASONS, "asked for", right=("rows", *REASONS, "asked for"))
    for number in invoices:
        out = orders.left_out.get(number, Counter[str]())
        asked = len(orders.invoice(number))
        rows = asked + sum(out.values())
        made.add_row(number, str(rows), *(str(out.get(reason, 0)) for reason in REASONS), str(asked))
    total = orders.left_out_in_all()
    counts = [str(total[reason]) for reason in REASONS]
    made.add_row("whole file", f"{orders.rows:,}", *counts, f"{len(orders.lines):,}", style="dim")
    return made


@dataclass
class Progress:
    """One request as its events tell it: what became of each seller's copy, and the quotes by seller."""

    lines: int
    sellers: dict[str, JSON] = field(default_factory=dict)
    quotes: dict[str, JSON] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    search: JSON = None
    began: float = field(default_factory=time.monotonic)

    def take(self, event: JSON) -> None:
        data = event["data"]
        if event["type"] == "end":
            self.sellers.update({state["seller"]["key"]: state for state in data["sellers"]})
            self.search = data["request"]["search"]
        elif "nodes_asked" in data:
            self.search = data
        elif "answer" in data:
            self.sellers[data["seller"]["key"]] = data
        elif event["type"] == "quote.received":
            key = data["seller"]["key"]
            self.quotes[key] = data
            self.seconds.setdefault(key, time.monotonic() - self.began)

    def settled(self, sellers: int, by_hand: set[str]) -> bool:
        """Whether all `sellers` have answered, or have the request and answer by hand."""
        done = set(self.quotes)
        for key, state in self.sellers.items():
            delivered = state["delivery"] in {"delivered", "seen"} and state["seller"]["name"] in by_hand
            if state["answer"] in NO_QUOTE or delivered:
                done.add(key)
        return len(done) >= sellers

    def table(self, title: str) -> Table:
        right = ("lines", "delivery", "total", "days", "after")
        made = table(title, "seller", "answer", "lines", "delivery", "total", "days", "after", right=right)
        for key, state in self.sellers.items():
            quote = self.quotes.get(key)
            name = Text(str(state["seller"]["name"]))
            if quote is None:
                made.add_row(name, answer_text(state))
                continue
            after = f"{self.seconds[key]:.2f} s" if key in self.seconds else ""
            made.add_row(name, "quoted", *quote_cells(quote, self.lines), after)
        return made


def answer_text(state: JSON) -> str:
    reason = f": {state['reason']}" if state["reason"] else ""
    return f"{state['answer']} ({state['delivery']}){reason}"


def quote_cells(quote: JSON, lines: int) -> tuple[str, str, str, str]:
    """Lines quoted, delivery charge, total payable, days."""
    charges = sum(float(charge["amount"]["amount"]) for charge in quote["charges"])
    days = quote["delivery"]["days"]
    quoted = lines - len(quote["missing_lines"])
    return f"{quoted}/{lines}", f"{charges:,.2f}", money(quote["total"]), "" if days is None else str(days)


def quotes_table(title: str, reply: JSON, best: str) -> Table:
    """Quotes side by side, the best marked."""
    lines = len(reply["request"]["lines"])
    right = ("lines", "delivery", "total", "days")
    made = table(title, "", "seller", "quote", "lines", "delivery", "total", "days", "valid until", right=right)
    for quote in reply["quotes"]:
        chosen = quote["id"] == best
        name = Text(str(quote["seller"]["name"]))
        cells = quote_cells(quote, lines)
        until = str(quote["valid_until"])[:10]
        style = "bold green" if chosen else None
        made.add_row("->" if chosen else "", name, quote["id"][:12], *cells, until, style=style)
    return made


def deal_table(rows: Iterable[tuple[str, JSON, str]]) -> Table:
    """The deal as each side has it: (side, deal, digest of its exported file)."""
    columns = ("at the", "deal", "state", "with", "total", "exported file (SHA-256)")
    made = table("The deal on both sides", *columns, right=("total",))
    for side, deal, digest in rows:
        other = Text(f"{deal['other']['name']} ({deal['other']['fingerprint']})")
        made.add_row(side, deal["id"][:16], deal["state"], other, money(deal["total"]), digest)
    return made


@contextlib.contextmanager
def live_view(console: Console, progress: Progress, title: str) -> Any:
    """A table that follows `progress` where somebody looks; elsewhere it is printed once, at the end."""
    if not console.is_terminal:
        yield lambda: None
        console.print(progress.table(title))
        return
    with Live(progress.table(title), console=console, refresh_per_second=8) as live:
        yield lambda: live.update(progress.table(title))
        live.update(progress.table(title))
