"""Cut the power under a ledger at any write, again and again: scripts/torture powercut --cycles N --seed S --json.

A buyer and a seller trade without a network between them: the market's own verbs over the store's own database thread,
two trades at a time, so that commits are shared. Their files are on lossy disks (see lossy_disk), and one of the two
loses power at a random write, sync or change of size: what was not synced is gone, torn, or there in another order.
What is left becomes real files again, and the standard library's SQLite must open them. Then both go on with it.

`lost` counts what a commit had promised and is not there: documents, acknowledgements, states of the outbox, and what
one side signed to have. `doubled` counts orders and quotes of one request beyond the first, `second_signatures` slots
for which one key has signed different documents, of all that ever left a side, whatever was forgotten since. `damaged`
files that fail `integrity_check`. Exit code 1 if any of these is not zero.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import TypeVar

import trio
from lossy_disk import SQLITE_VERSION, Adapter, LossyDisk

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from market_world import Side, carry, inside, price

from p2pmarket.clock import wall
from p2pmarket.config import Quoting
from p2pmarket.errors import NotFound, Refusal, StoreError
from p2pmarket.market.receiving import Taken
from p2pmarket.messages import Refused, decode_untrusted
from p2pmarket.store import rows
from p2pmarket.store.database import Database
from p2pmarket.store.ledger import Ledger
from p2pmarket.store.migrate import open_migrated, prepare, steps_of
from p2pmarket.trade import documents as d
from p2pmarket.trade.thread import slot

T = TypeVar("T")
Link = tuple[bytes, bytes]
Image = dict[str, bytes]
FILE = "ledger.sqlite"
PRICES = [price(number, f"B{number}", f"beans {number}") for number in range(1, 6)]
LONGEST_LIFE = 400  # writes, syncs and changes of size until the power goes
GENERATION = 50  # cuts until both begin with empty ledgers, so that a cycle stays short
TRADERS = 2
REACHED = {"queued": 0, "failed": 1, "delivered": 1, "seen": 2}


@dataclass
class Promises:
    """What commits have said is safe: hashes of documents, of those with an acknowledgement, states of the outbox."""

    documents: set[bytes] = field(default_factory=set)
    acknowledged: set[bytes] = field(default_factory=set)
    states: dict[int, str] = field(default_factory=dict)

    def note(self, news: Sequence[tuple[str, bytes | int, str]]) -> None:
        for what, which, state in news:
            if isinstance(which, int):
                self.states[which] = state
            else:
                (self.documents if what == "document" else self.acknowledged).add(which)

    def broken(self, connection: sqlite3.Connection) -> int:
        """How many of them a file does not keep."""
        kept = {bytes(hash_): ack for hash_, ack in connection.execute("SELECT hash, ack FROM documents")}
        states = dict(connection.execute("SELECT seq, state FROM outbox"))
        lost = len(self.documents - kept.keys())
        lost += sum(kept.get(hash_) is None for hash_ in self.acknowledged)
        return lost + sum(REACHED[states.get(seq, "queued")] < REACHED[state] for seq, state in self.states.items())


class NotedLedger(Ledger):
    """A ledger that knows what the work at hand has written."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self._news: list[tuple[str, bytes | int, str]] = []
        add, set_ack, set_state = self.documents.add, self.documents.set_ack, self.outbox.set_state

        def noted_add(document: rows.Document) -> None:
            add(document)
            self._news.append(("document", document.hash, ""))

        def noted_ack(hash_: bytes, ack: bytes) -> None:
            set_ack(hash_, ack)
            self._news.append(("ack", hash_, ""))

        def noted_state(sent: rows.Outgoing, state: str, reason: str | None, wall: int) -> None:
            set_state(sent, state, reason, wall)
            self._news.append(("state", sent.seq, state))

        self.documents.add = noted_add  # type: ignore[method-assign]
        self.documents.set_ack = noted_ack  # type: ignore[method-assign]
        self.outbox.set_state = noted_state  # type: ignore[method-assign]

    def take_news(self) -> list[tuple[str, bytes | int, str]]:
        news, self._news = self._news, []
        return news


class LossyDatabase(Database[NotedLedger]):
    """The store's database with its file on a lossy disk."""

    def __init__(self, disk: LossyDisk, pages: int) -> None:
        super().__init__(Path(FILE), (), NotedLedger, full_sync=True)
        self._disk, self._pages = disk, pages

    def _connect(self) -> sqlite3.Connection:
        connection: sqlite3.Connection = Adapter(self._disk, FILE)  # type: ignore[assignment]
        prepare(connection, full_sync=True)
        connection.execute(f"PRAGMA wal_autocheckpoint={self._pages}")
        self._tx = self._wrap(connection)
        return connection


@dataclass
class LossySide(Side):
    """A side of the market whose ledger runs in its own thread; called from any other thread but trio's."""

    database: LossyDatabase | None = None
    left: set[bytes] = field(default_factory=set)

    def open(self) -> sqlite3.Connection:
        return sqlite3.connect(":memory:")  # never used: `run` goes to the database

    def run(self, work: Callable[[Ledger], T]) -> T:
        assert self.database is not None
        result: T = trio.from_thread.run(self.database.run, work)
        return result

    def waiting(self, link: Link) -> list[bytes]:
        messages = super().waiting(link)
        self.left.update(messages)
        return messages

    def take(self, messages: Iterable[bytes], link: Link, group: bytes = b"group") -> Taken:
        taken = super().take(messages, link, group)
        self.left.update(taken.answers)
        return taken


@dataclass
class Site:
    """A side across its lives."""

    name: str
    image: Image
    promises: Promises = field(default_factory=Promises)


@dataclass
class Trade:
    """What a buyer knows of one trade."""

    reference: str
    request: rows.Request | None = None
    ordered: bool = False


class World:
    """Two sites, their trades, and all that ever left them."""

    def __init__(self, folder: Path, rng: Random, *, heeds_sync: bool) -> None:
        self._folder, self._rng, self._heeds_sync = folder, rng, heeds_sync
        self.left: set[bytes] = set()
        self.trades: list[Trade] = []
        self.cuts = 0
        empty = self._empty()
        self.sites = [Site(name, dict(empty)) for name in ("buyer", "seller")]

    def _empty(self) -> Image:
        with closing(self._opened(Site("new", {}))):
            pass
        return self._read(self._folder / "new")

    def _opened(self, site: Site) -> sqlite3.Connection:
        """What a cut has left, opened as a daemon opens it. Raises StoreError."""
        folder = self._folder / site.name
        folder.mkdir(exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        for name, content in site.image.items():
            (folder / name).write_bytes(content)
        return open_migrated(folder / FILE, steps_of("ledger"), full_sync=True)

    def _read(self, folder: Path) -> Image:
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    async def live(self) -> Counter[str]:
        """One life of both, until one has no power; the faults found after it."""
        victim = self._rng.choice(self.sites)
        disks = {site.name: LossyDisk(site.image, heeds_sync=self._heeds_sync) for site in self.sites}
        disks[victim.name].cut_after(self._rng.randint(1, LONGEST_LIFE))
        faults: Counter[str] = Counter()
        try:
            await self._trade(disks)
        except* (StoreError, sqlite3.Error):
            if not disks[victim.name].without_power:
                raise
        except* (AssertionError, Refusal, NotFound) as group:  # what a trader had in hand is not there
            print(*group.exceptions, sep="\n", file=sys.stderr)
            faults["lost"] += 1
        self.cuts += disks[victim.name].without_power
        for site in self.sites:
            disk = disks[site.name]
            survived = disk.image_after_cut(self._rng) if disk.without_power else disk.image()
            site.image = {name: content for name, content in survived.items() if content and "journal" not in name}
        return faults + self._faults()

    async def _trade(self, disks: dict[str, LossyDisk]) -> None:
        pages = self._rng.choice((4, 20, 1000))
        bases = [LossyDatabase(disks[site.name], pages) for site in self.sites]
        with bases[0].open(), bases[1].open():
            for base, site in zip(bases, self.sites, strict=True):
                base.harvest, base.deliver = NotedLedger.take_news, site.promises.note
            buyer, seller = await trio.to_thread.run_sync(self._meet, bases)
            async with trio.open_nursery() as nursery:
                for number in range(TRADERS):
                    nursery.start_soon(trio.to_thread.run_sync, partial(self._go_on, buyer, seller, number))

    def _meet(self, bases: Sequence[LossyDatabase]) -> tuple[LossySide, LossySide]:
        made = [
            LossySide(site.name, self._folder, wall, Quoting(), base, self.left)  # type: ignore[arg-type]
            for site, base in zip(self.sites, bases, strict=True)
        ]
        for side in made:
            side.secrets = self._rng.randbytes  # another life draws other nonces
            object.__setattr__(side.signer, "secrets", self._rng.randbytes)
        buyer, seller = made
        seller.sell(PRICES)
        return buyer, seller

    def _go_on(self, buyer: LossySide, seller: LossySide, number: int) -> None:
        """Bring this trader's trades to their end, and begin others, until the power goes."""
        for trade in [one for one in self.trades if not one.ordered and one.reference.startswith(f"{number}-")]:
            self._bring_on(buyer, seller, trade)
        while True:
            trade = Trade(f"{number}-{len(self.trades)}")
            self.trades.append(trade)
            self._bring_on(buyer, seller, trade)

    def _bring_on(self, buyer: LossySide, seller: LossySide, trade: Trade) -> None:
        if trade.request is None:
            trade.request = buyer.request("3 beans 1", "4 beans 2", reference=trade.reference)
        buyer.ask(trade.request, seller)
        link = buyer.link(trade.request, seller)
        _carry_all(buyer, seller, link)
        quotes = buyer.quotes(trade.request)
        if quotes:
            buyer.order(quotes[0])
            _carry_all(buyer, seller, link)
            trade.ordered = True

    def _faults(self) -> Counter[str]:
        """What two files at rest lack."""
        faults: Counter[str] = Counter()
        told: dict[str, set[bytes]] = {}
        kept: dict[str, set[bytes]] = {}
        for site in self.sites:
            try:
                connection = self._opened(site)
            except StoreError as error:
                print(f"{site.name}: {error.message}", file=sys.stderr)
                faults["damaged"] += 1
                continue
            with closing(connection):
                (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
                faults["damaged"] += verdict != "ok"
                faults["lost"] += site.promises.broken(connection)
                delivered = connection.execute("SELECT hash FROM outbox WHERE state IN ('delivered', 'seen')")
                told[site.name] = {bytes(row[0]) for row in delivered}
                kept[site.name] = {bytes(row[0]) for row in connection.execute("SELECT hash FROM documents")}
                faults["doubled"] += _doubled(connection)
                (proofs,) = connection.execute("SELECT count(*) FROM proofs").fetchone()
                faults["second_signatures"] += proofs
            site.image = self._read(self._folder / site.name)
        for one, other in (("buyer", "seller"), ("seller", "buyer")):
            faults["lost"] += len((told.get(one, set()) & kept.get(one, set())) - kept.get(other, set()))
        return faults

    def second_signatures(self) -> int:
        """Slots that one key has signed twice, of all that left."""
        signed: dict[object, set[bytes]] = {}
        for message in self.left:
            if isinstance(decode_untrusted(message), Refused):  # signed by nobody
                continue
            opened = inside(message)
            if opened.kind != d.ACKNOWLEDGEMENT and (place := slot(opened)) is not None:
                signed.setdefault(place, set()).add(opened.hash)
        return sum(len(hashes) - 1 for hashes in signed.values())


def _carry_all(buyer: LossySide, seller: LossySide, link: Link) -> None:
    """Carry both ways until nothing waits on a link."""
    while buyer.waiting(link) or seller.waiting((link[1], link[0])):
        carry(buyer, seller, link)
        carry(seller, buyer, (link[1], link[0]))


def _doubled(connection: sqlite3.Connection) -> int:
    """Quotes and orders of one request beyond the first."""
    found = 0
    for table in ("quotes", "orders"):
        (count,) = connection.execute(f"SELECT count(*) - count(DISTINCT request) FROM {table}").fetchone()
        found += count
    return found


def torture(root: Path, cycles: int, seed: int, *, heeds_sync: bool = True) -> dict[str, object]:
    """So many cuts; the figures."""
    began, rng = time.monotonic(), Random(seed)
    faults: Counter[str] = Counter(lost=0, doubled=0, second_signatures=0, damaged=0)
    cuts = trades = left = 0
    while cuts < cycles:
        with tempfile.TemporaryDirectory(dir=root) as folder:
            world = World(Path(folder), rng, heeds_sync=heeds_sync)
            while world.cuts < min(GENERATION, cycles - cuts):
                faults += trio.run(world.live)
                if faults["damaged"]:
                    break  # nothing can go on with such a file
            faults["second_signatures"] += world.second_signatures()
        cuts, trades, left = (
            cuts + world.cuts,
            trades + sum(one.ordered for one in world.trades),
            left + len(world.left),
        )
        print(f"{cuts}/{cycles} cuts, {trades} trades", file=sys.stderr, flush=True)
        if faults["damaged"]:
            break
    counted = {name: faults[name] for name in ("lost", "doubled", "second_signatures", "damaged")}
    return {
        "cycles": cuts,
        "seed": seed,
        **counted,
        "trades": trades,
        "signed_messages": left,
        "sqlite_of_the_disk": SQLITE_VERSION,
        "sqlite_of_the_store": sqlite3.sqlite_version,
        "seconds": round(time.monotonic() - began, 1),
    }


def main() -> int:
    """Print a table, or one line of JSON."""
    parser = argparse.ArgumentParser(prog="scripts/torture powercut", description=__doc__)
    parser.add_argument("--cycles", type=int, default=500, help="how often the power is cut")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--deaf", action="store_true", help="a disk that syncs nothing: must find losses")
    parser.add_argument("--json", action="store_true", help="one flat JSON object on the last line")
    asked = parser.parse_args()
    if asked.cycles < 1:
        parser.error("--cycles from 1")
    with tempfile.TemporaryDirectory(prefix="p2pmarket-powercut-") as folder:
        figures = torture(Path(folder), asked.cycles, asked.seed, heeds_sync=not asked.deaf)
    print(json.dumps(figures) if asked.json else "\n".join(f"{name:24} {value}" for name, value in figures.items()))
    return int(any(figures[name] for name in ("lost", "doubled", "second_signatures", "damaged")))


if __name__ == "__main__":
    sys.exit(main())
