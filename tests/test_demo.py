"""The demo's choices on the real order lines, and the demo itself on real daemons, up to a checked deal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import demo
import demo_orders
import pytest
from demo_orders import OrderLine, articles_of, price_list, read_orders, why_left_out
from demo_sellers import SELLERS
from demo_tables import Progress

SCRIPTS = Path(demo.__file__).parent
ROW = {"InvoiceNo": "1", "StockCode": "85123A", "Description": "T-LIGHT", "Quantity": "6", "UnitPrice": "2.55"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"StockCode": " 22752 "}, None),
        ({"Quantity": "-6"}, "returns"),
        ({"UnitPrice": "0"}, "zero prices"),
        ({"StockCode": "POST"}, "postage, carriage, fees"),
        ({"StockCode": "DOT", "Quantity": "-1"}, "postage, carriage, fees"),
        ({"StockCode": "C2", "UnitPrice": "0"}, "postage, carriage, fees"),
    ],
)
def test_a_row_that_is_no_sale_of_goods_is_left_out_for_a_reason(change: dict[str, str], reason: str | None) -> None:
    assert why_left_out({**ROW, **change}) == reason


def test_every_row_of_the_file_is_used_or_counted() -> None:
    orders = read_orders()
    assert len(orders.lines) + orders.left_out_in_all().total() == orders.rows == 1971
    assert set(orders.left_out_in_all()) == set(demo_orders.REASONS)
    assert min(line.quantity for line in orders.lines) > 0
    assert min(line.price for line in orders.lines) > 0
    assert all(line.text and line.code for line in orders.lines)


def test_the_largest_invoice_is_asked_for_whole() -> None:
    orders = read_orders()
    assert len(orders.invoice("536592")) + orders.left_out["536592"].total() == 592


def test_price_lists_differ_and_stay_the_same_from_run_to_run() -> None:
    articles = articles_of(read_orders())
    lists = {seller.key: seller.prices(articles) for seller in SELLERS}
    assert lists == {seller.key: seller.prices(articles) for seller in SELLERS}
    assert len({tuple(rows) for rows in lists.values()}) == len(SELLERS)
    for seller in SELLERS:
        codes = Counter(code for code, _, _ in lists[seller.key])
        assert max(codes.values()) == 1
        assert abs(len(codes) / len(articles) - seller.part) < 0.05
        assert all(Decimal(price) > 0 for _, _, price in lists[seller.key])


def test_a_margin_moves_prices_within_its_bounds() -> None:
    articles = [demo_orders.Article(str(number), "x", Decimal("10.00")) for number in range(10_000, 10_400)]
    prices = [Decimal(price) for _, _, price in price_list(articles, "someone", 1.0, Decimal("1.10"))]
    assert Decimal("10.12") <= min(prices) < Decimal("10.60") < Decimal("11.40") < max(prices) <= Decimal("11.88")


def quote(total: str, currency: str = "GBP", missing: int = 0, state: str = "open", kind: str = "firm") -> Any:
    amount = {"amount": total, "currency": currency}
    return {"total": amount, "missing_lines": list(range(missing)), "state": state, "kind": kind}


def test_the_best_quote_has_most_lines_then_the_lowest_total_in_the_currency_asked_for() -> None:
    best = quote("100.00")
    worse = [
        quote("9.00", missing=1),
        quote("100.01"),
        quote("1.00", currency="EUR"),
        quote("2.00", state="expired"),
        quote("3.00", kind="indicative"),
    ]
    for quotes in ([best, *worse], [*worse, best]):
        assert demo.best_quote({"request": {"currency": "GBP"}, "quotes": quotes}) is best


def test_lines_of_a_hand_written_quote_carry_the_numbers_of_the_request() -> None:
    article = demo_orders.Article("22752", "x", Decimal("7.65"))
    lines = [{"no": 7, "codes": [{"scheme": "seller", "value": "22752"}]}]
    ((number, price),) = demo.hand_prices(lines, [article])
    assert number == 7
    assert abs(Decimal(price) / Decimal("7.65") - 1) < Decimal("0.10")


def test_a_request_file_holds_code_text_and_quantity_but_no_price() -> None:
    text = demo.request_file([OrderLine("1", "22752", 'SET 7 "BABUSHKA", RED', 2, Decimal("7.65"), "x")])
    assert text == 'code,description,quantity,unit\n22752,"SET 7 ""BABUSHKA"", RED",2,pcs\n'


def event(kind: str, seller: str, **data: object) -> Any:
    return {"type": kind, "data": {"seller": {"key": seller, "name": seller}, **data}}


def test_a_request_is_settled_when_all_have_answered_or_will_by_hand() -> None:
    progress = Progress(3)
    assert not progress.settled(3, {"hand"})
    progress.take(event("seller.asked", "auto", answer="waiting", delivery="queued"))
    progress.take(event("seller.asked", "hand", answer="waiting", delivery="sent"))
    progress.take(event("delivery.changed", "gone", answer="unreachable", delivery="queued"))
    assert not progress.settled(3, {"hand"})
    progress.take(event("quote.received", "auto"))
    assert not progress.settled(3, {"hand"})
    progress.take(event("delivery.changed", "hand", answer="waiting", delivery="delivered"))
    assert progress.settled(3, {"hand"})
    assert not progress.settled(3, set())


def test_the_demo_runs_from_a_request_to_a_verified_deal() -> None:
    with tempfile.TemporaryDirectory(prefix="market-demo-") as folder:
        command = [sys.executable, str(SCRIPTS / "demo.py"), "--json", "--folder", folder]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=180)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        figures = json.loads(done.stdout.splitlines()[-1])
        assert figures["requests"] == figures["deals"] == 3
        assert figures["lines_asked"] == 14 + 73 + 591
        assert figures["quotes"] >= 12
        assert figures["equal_on_both_sides"] == 3
        assert figures["files_verified"] == 6
        assert figures["forgeries_refused"] == 3
        assert figures["completed"] == 1
        assert figures["daemons"] == 11
        assert figures["unclean_ends"] == 0
        assert processes_with(folder) == []


def processes_with(folder: str) -> list[str]:
    """Command lines of processes that still name `folder` (Linux)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if folder in line and int(entry.name) != os.getpid():
            found.append(line)
    return found
