"""Real demand and real supply for the demo, from the order lines in demo_data/orders.csv.

An invoice of the file is what a buyer wants; the distinct articles of the whole file, with the price most of its lines
paid, are what a seller may have. Returns, zero prices, and rows that are no goods (postage, carriage, fees: their code
is no article number) are left out and counted by reason.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from statistics import median_low

FILE = Path(__file__).resolve().parent / "demo_data" / "orders.csv"
ARTICLE = re.compile(r"\d{5}[A-Za-z]*")
REASONS = ("returns", "zero prices", "postage, carriage, fees")


@dataclass(frozen=True)
class OrderLine:
    """One usable row; `code` in capitals, `price` in GBP for each."""

    invoice: str
    code: str
    text: str
    quantity: int
    price: Decimal
    country: str


@dataclass(frozen=True)
class Orders:
    """All usable lines, and for every invoice how many rows were left out for which reason."""

    lines: tuple[OrderLine, ...]
    left_out: dict[str, Counter[str]]
    rows: int

    def invoice(self, number: str) -> list[OrderLine]:
        return [line for line in self.lines if line.invoice == number]

    def left_out_in_all(self) -> Counter[str]:
        return sum(self.left_out.values(), Counter())


def read_orders(path: Path = FILE) -> Orders:
    """Read the file of real order lines."""
    lines: list[OrderLine] = []
    left_out: dict[str, Counter[str]] = {}
    rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
    for row in rows:
        reason = why_left_out(row)
        if reason is not None:
            left_out.setdefault(row["InvoiceNo"], Counter())[reason] += 1
            continue
        code = row["StockCode"].strip().upper()
        text = " ".join(row["Description"].split())
        price = Decimal(row["UnitPrice"])
        lines.append(OrderLine(row["InvoiceNo"], code, text, int(row["Quantity"]), price, row["Country"]))
    return Orders(tuple(lines), left_out, len(rows))


def why_left_out(row: dict[str, str]) -> str | None:
    """The reason to leave a row out, None if it is goods that were sold."""
    if not ARTICLE.fullmatch(row["StockCode"].strip()):
        return "postage, carriage, fees"
    if int(row["Quantity"]) <= 0:
        return "returns"
    if Decimal(row["UnitPrice"]) <= 0:
        return "zero prices"
    return None


@dataclass(frozen=True)
class Article:
    """What a seller may have: the price is the middle one of all that were paid for it."""

    code: str
    text: str
    price: Decimal


def articles_of(orders: Orders) -> list[Article]:
    """Every article of the file once."""
    paid: dict[str, list[OrderLine]] = {}
    for line in orders.lines:
        paid.setdefault(line.code, []).append(line)
    return [Article(code, lines[0].text, median_low(line.price for line in lines)) for code, lines in paid.items()]


def share(*words: str) -> float:
    """A number in [0, 1) that follows from `words`: choices of the demo are the same in every run."""
    return int.from_bytes(hashlib.sha256("/".join(words).encode()).digest()[:6], "big") / 2**48


def price_list(articles: Iterable[Article], seller: str, part: float, factor: Decimal) -> list[tuple[str, str, str]]:
    """(code, description, price) for the `part` of the articles that `seller` has, at his own prices.

    `factor` is his margin and currency; each article is a little dearer or cheaper with him than with others.
    """
    return [
        (article.code, article.text, seller_price(article.price, seller, article.code, factor))
        for article in articles
        if share(seller, article.code, "has") < part
    ]


def seller_price(price: Decimal, seller: str, code: str, factor: Decimal) -> str:
    """The unit price of one article with `seller`: within 8 % of price times factor, at least a hundredth."""
    own = Decimal(round((share(seller, code, "price") - 0.5) * 16)) / 100
    return str(max((price * factor * (1 + own)).quantize(Decimal("0.01"), ROUND_HALF_EVEN), Decimal("0.01")))


def csv_text(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    """Rows as a CSV file."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return out.getvalue()
