#!/usr/bin/env python3
"""Trades between two real daemons on loopback, one after another and many at once.

    scripts/bench trade [--json] [--trades N] [--in-flight N] [--profile FOLDER]

A trade is a request of two lines to one seller named with `to`, his automatic quote, the order of it and his automatic
acceptance: four signed documents, of which the seller's two acknowledge the buyer's, and two signed acknowledgements.
The seller is a contact of the buyer and learns who asks, so that 16 requests share a link (docs/protocol.md); the
figures that begin with `stranger_` are from requests that tell nobody who asks, each with link keys, a connection and a
handshake of its own. The buyer is driven by two calls of his API (request, order) over one kept connection for each
trade in flight, and hears of quotes and acceptances on one stream of events. Both ledgers are on disk, synced.

`cpu_ms_per_trade` is all CPU time, user and system, of both daemon processes from the first call to the last answer,
divided by the trades: the local API, the rendered events, signing and checking, links, and the ledgers with their
syncs. Not in it: this program, and the search for sellers (scripts/bench request has it).
`best_cpu_ms_per_trade` is that of the best fifth of these trades: a shared host runs at another speed each second.
`commits_per_trade` are the commits that changed something, of both ledgers together. `raw_commits_per_s` and
`raw_commit_cpu_ms` are those of a bare SQLite file beside them that saves one row in each commit, synced in the same
way; the rate is what one fsync after another costs on this disk.
`floor_cpu_ms_per_trade` is what the cryptography and the commits of a trade with a contact cost by themselves in the
same minute: nine signatures and nine checks of them, and as many raw commits as were counted. Hosts that are shared run
at another speed every minute: compare figures by it.
Figures that begin with `single_` are from trades one at a time, where nothing can share a commit.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from types import FrameType
from typing import Any, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from local_market import Daemon, LocalMarket, print_figures, wait_for

from p2pmarket.api import spec
from p2pmarket.api.spec import ReplyT, Route
from p2pmarket.api.types import Code, Event, OrderReply, Quantity, RequestReply
from p2pmarket.api.types.bodies import Body, NewLine, NewOrder, OpenRequest
from p2pmarket.client import EventStream, connect
from p2pmarket.client.find import find_daemon
from p2pmarket.client.wire import Connection
from p2pmarket.daemon import main as marketd
from p2pmarket.store.database import Database

KnownTo = Literal["contacts", "nobody"]

CATEGORY = "coffee/roasted"
PRICES = "code,description,unit,price,currency\nYIRG-1,Yirgacheffe,kg,15.50,EUR\nSIDA-1,Sidamo,kg,14.20,EUR\n"
TRADE_SECONDS = 30.0
WARM_TRADES = 30
PARTS = 5
RAW_COMMITS = 1000
CRYPTO_TRADES = 200
SIGNED = 9  # four documents, two acknowledgements, that asker and buyer are one, the deal by both
COUNTED = "commits"  # a file in the home, written at SIGUSR1
PROFILE = "BENCH_TRADE_PROFILE"  # in the environment: where the daemon leaves its profile


class CountedDaemon(Daemon):
    """A daemon that says how often its ledger was committed."""

    def program(self) -> list[str]:
        return [sys.executable, __file__, "--as-daemon"]

    def commits(self) -> int:
        """Commits of the ledger that changed something, until now."""
        told = self.home / COUNTED
        told.unlink(missing_ok=True)
        os.kill(self.pid, signal.SIGUSR1)
        text = wait_for("the commits to be told", 10, lambda: told.read_text() if told.exists() else "", pause=0.005)
        return int(text)


def run_daemon(arguments: list[str]) -> None:
    """`marketd`, with a signal that makes it write down its ledger's commits; all else is as ever."""
    databases: list[Database[object]] = []
    opened = Database.open

    @contextmanager
    def noted(database: Database[object]) -> Iterator[Database[object]]:
        databases.append(database)
        with opened(database) as running:
            yield running

    def tell(number: int, frame: FrameType | None) -> None:
        for database in databases:
            if database.path.name == "ledger.sqlite":
                draft = database.path.with_name(f"{COUNTED}.new")
                draft.write_text(str(database.commits))
                draft.rename(database.path.with_name(COUNTED))

    Database.open = noted  # type: ignore[method-assign, assignment]
    signal.signal(signal.SIGUSR1, tell)
    folder = os.environ.get(PROFILE)
    if folder is None:
        marketd(arguments)
        return
    with _profiled(Path(folder)):
        marketd(arguments)


@contextmanager
def _profiled(folder: Path) -> Iterator[None]:
    """Profiles of both threads, trio's and the ledger's, in CPU time, as files for `python -m pstats`."""
    home = Path(sys.argv[sys.argv.index("--home") + 1]).name
    main = Database._main

    def profiled_main(database: Database[object], opened: Any) -> None:
        profile = cProfile.Profile(time.thread_time)
        profile.runcall(main, database, opened)
        profile.dump_stats(folder / f"{home}-{database.path.stem}.prof")

    Database._main = profiled_main  # type: ignore[method-assign, assignment]
    profile = cProfile.Profile(time.thread_time)
    profile.enable()
    try:
        yield
    finally:
        profile.disable()
        profile.dump_stats(folder / f"{home}-main.prof")


class Caller:
    """Calls of the local API over one connection that stays open."""

    def __init__(self, home: Path) -> None:
        self._connection = Connection(find_daemon(home, {}), TRADE_SECONDS)

    def call(self, route: Route[ReplyT], body: Body) -> ReplyT:
        headers = {"Market-Protocol": str(spec.PROTOCOL), "Content-Type": "application/json"}
        self._connection.send(route.method, route.path, headers, msgspec.json.encode(body))
        status, answered = self._connection.read_head()
        data = self._connection.read_body(answered)
        if status != 200:
            raise ValueError(f"{route.name} answered {status}: {data.decode()}")
        return msgspec.json.decode(data, type=route.reply)

    def close(self) -> None:
        self._connection.close()


class Waiting:
    """Hands events of the stream to whoever waits for the quote of a request, or for the acceptance of an order."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queues: dict[str, SimpleQueue[str]] = {}

    def queue(self, key: str) -> SimpleQueue[str]:
        with self._lock:
            return self._queues.setdefault(key, SimpleQueue())

    def read(self, events: EventStream, stop: threading.Event) -> None:
        while not stop.is_set():
            event = events.wait(0.2)
            if event is not None:
                self._note(event)

    def _note(self, event: Event) -> None:
        if event.type == "quote.received":
            self.queue(event.data["request"]).put(event.data["id"])
        elif event.type == "order.accepted":
            self.queue(event.data["id"]).put(event.data["id"])

    def wait(self, key: str) -> str:
        found = self.queue(key).get(timeout=TRADE_SECONDS)
        with self._lock:
            del self._queues[key]
        return found


@dataclass(frozen=True)
class Spent:
    """What some trades took: seconds, CPU seconds and commits of both sides."""

    trades: int
    seconds: float
    cpu: tuple[float, float]
    commits: int


def whole(parts: Sequence[Spent]) -> Spent:
    """What the parts of a run took together."""
    cpu = sum(part.cpu[0] for part in parts), sum(part.cpu[1] for part in parts)
    trades, commits = sum(part.trades for part in parts), sum(part.commits for part in parts)
    return Spent(trades, sum(part.seconds for part in parts), cpu, commits)


def cpu_ms(spent: Spent) -> float:
    """CPU milliseconds of a trade, of both sides together."""
    return sum(spent.cpu) * 1000 / spent.trades


class Bench:
    """A seller with prices, a buyer who knows him, and trades between them."""

    def __init__(self, seller: CountedDaemon, buyer: CountedDaemon, waiting: Waiting) -> None:
        self._seller, self._buyer, self._waiting = seller, buyer, waiting
        self._known = str(seller.market("id")["identity"])

    def measure(self, trades: int, in_flight: int, known_to: KnownTo = "contacts") -> Spent:
        """So many trades, so many at once; `known_to`: whether the seller learns who asks."""
        before = self._counters()
        began = time.perf_counter()
        self._trade(trades, in_flight, known_to)
        seconds = time.perf_counter() - began
        after = self._counters()
        cpu = after[0] - before[0], after[1] - before[1]
        return Spent(trades, seconds, cpu, after[2] - before[2])

    def _counters(self) -> tuple[float, float, int]:
        commits = self._seller.commits() + self._buyer.commits()
        return self._seller.cpu_seconds(), self._buyer.cpu_seconds(), commits

    def _trade(self, trades: int, in_flight: int, known_to: KnownTo) -> None:
        left: SimpleQueue[int] = SimpleQueue()
        for number in range(trades):
            left.put(number)
        faults: list[Exception] = []

        def trader() -> None:
            caller = Caller(self._buyer.home)
            with closing(caller):
                while not left.empty() and not faults:
                    left.get()
                    try:
                        self._one(caller.call, known_to)
                    except Exception as fault:  # noqa: BLE001 (a thread's fault must reach the main one)
                        faults.append(fault)

        threads = [threading.Thread(target=trader) for _ in range(in_flight)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if faults:
            raise faults[0]

    def _one(self, call: Callable[..., RequestReply | OrderReply], known_to: KnownTo) -> None:
        body = OpenRequest(
            category=CATEGORY,
            lines=LINES,
            region="DE",
            currency="EUR",
            reply_by="1h",
            to=[self._known],
            known_to=known_to,
        )
        opened = call(spec.REQUEST_OPEN, body)
        assert isinstance(opened, RequestReply)
        quote = self._waiting.wait(opened.request.id)
        ordered = call(spec.ORDER, NewOrder(quote=quote))
        assert isinstance(ordered, OrderReply)
        self._waiting.wait(ordered.order.id)


def line(quantity: str, text: str, code: str) -> NewLine:
    codes = [Code(scheme="seller", value=code)]
    return NewLine(quantity=Quantity(value=quantity, unit="KGM"), text=text, codes=codes)


LINES = [line("20", "Yirgacheffe", "YIRG-1"), line("5", "Sidamo", "SIDA-1")]


def open_shop(seller: Daemon, buyer: Daemon) -> None:
    """Prices, an announcement, and a buyer who has found it."""
    prices = seller.home.with_suffix(".csv")
    prices.write_text(PRICES, encoding="utf-8")
    seller.market("prices", "import", str(prices))
    seller.market("announce", CATEGORY, "--serves", "world")
    client = connect(buyer.home)
    body = OpenRequest(category=CATEGORY, lines=LINES, region="DE", currency="EUR", reply_by="1h")
    request = client.request_open(body).request.id
    wait_for("the first quote", 60, lambda: client.quotes(request).quotes)
    buyer.market("contacts", "add", str(seller.market("id")["identity"]), "Roaster")


def raw_commits(folder: Path) -> tuple[float, float]:
    """Commits in a second, and CPU milliseconds of one, of a bare file with the ledger's settings."""
    with closing(sqlite3.connect(folder / "raw.sqlite", isolation_level=None)) as connection:
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("CREATE TABLE saved (number INTEGER PRIMARY KEY, row BLOB)")
        began, cpu = time.perf_counter(), time.process_time()
        for _ in range(RAW_COMMITS):
            connection.execute("INSERT INTO saved (row) VALUES (?)", (bytes(400),))
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    return RAW_COMMITS / seconds, cpu * 1000 / RAW_COMMITS


def cryptography_ms() -> float:
    """CPU milliseconds of what is signed and checked in a trade."""
    signing, said = Ed25519PrivateKey.generate(), bytes(600)
    public, signature = signing.public_key(), signing.sign(said)
    began = time.process_time()
    for _ in range(CRYPTO_TRADES):
        for _ in range(SIGNED):
            signing.sign(said)
            public.verify(signature, said)
    return (time.process_time() - began) * 1000 / CRYPTO_TRADES


def bench(root: Path, trades: int, in_flight: int) -> dict[str, object]:
    with LocalMarket(root) as net, ExitStack() as stack:
        net.add_bootstrap()
        seller, buyer = counted(net, "seller"), counted(net, "buyer")
        net.start([seller, buyer])
        open_shop(seller, buyer)
        waiting, stop = Waiting(), threading.Event()
        events = stack.enter_context(connect(buyer.home).events())
        reader = threading.Thread(target=waiting.read, args=(events, stop))
        reader.start()
        stack.callback(reader.join)
        stack.callback(stop.set)
        market = Bench(seller, buyer, waiting)
        market.measure(WARM_TRADES, 4)
        single = market.measure(max(trades // 4, 1), 1)
        parts = [market.measure(max(trades // PARTS, 1), in_flight) for _ in range(PARTS)]
        many, best = whole(parts), min(parts, key=cpu_ms)
        market.measure(WARM_TRADES, in_flight, "nobody")
        stranger = market.measure(trades, in_flight, "nobody")
    rate, commit_cpu = raw_commits(root)
    floor = cryptography_ms() + commit_cpu * many.commits / many.trades
    return {
        "trades_per_s": round(many.trades / many.seconds, 1),
        **_shares("", many),
        "best_cpu_ms_per_trade": round(cpu_ms(best), 2),
        "floor_cpu_ms_per_trade": round(floor, 2),
        "single_trades_per_s": round(single.trades / single.seconds, 1),
        **_shares("single_", single),
        "stranger_trades_per_s": round(stranger.trades / stranger.seconds, 1),
        **_shares("stranger_", stranger),
        "raw_commits_per_s": round(rate),
        "raw_commit_cpu_ms": round(commit_cpu, 3),
        "trades": trades,
        "in_flight": in_flight,
    }


def _shares(prefix: str, spent: Spent) -> dict[str, object]:
    """For each trade."""
    return {
        f"{prefix}cpu_ms_per_trade": round(cpu_ms(spent), 2),
        f"{prefix}seller_cpu_ms_per_trade": round(spent.cpu[0] * 1000 / spent.trades, 2),
        f"{prefix}buyer_cpu_ms_per_trade": round(spent.cpu[1] * 1000 / spent.trades, 2),
        f"{prefix}commits_per_trade": round(spent.commits / spent.trades, 2),
    }


def counted(net: LocalMarket, name: str) -> CountedDaemon:
    """A daemon of the market that counts its commits."""
    plain = net.add(name)
    daemon = net.daemons[name] = CountedDaemon(name, plain.home, plain.arguments)
    return daemon


def main() -> None:
    if sys.argv[1:2] == ["--as-daemon"]:
        run_daemon(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(prog="scripts/bench trade", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--trades", type=int, default=300)
    parser.add_argument("--in-flight", type=int, default=8)
    parser.add_argument("--profile", type=Path, metavar="FOLDER", help="leave cProfile files of both daemons there")
    options = parser.parse_args()
    if options.profile is not None:
        options.profile.mkdir(parents=True, exist_ok=True)
        os.environ[PROFILE] = str(options.profile.resolve())
    with tempfile.TemporaryDirectory(prefix="market-") as folder:
        figures = bench(Path(folder), options.trades, options.in_flight)
    print_figures(figures, as_json=options.json)


if __name__ == "__main__":
    main()
