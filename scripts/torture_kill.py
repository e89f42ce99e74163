"""kill -9 of a daemon at any moment of a trade, again and again: scripts/torture kill --cycles N --seed S --json.

A buyer and a seller, real processes, trade without pause: several requests at once, each ordered and accepted, with
idempotency keys, so that a call whose answer was lost can be made again. One half of the requests finds the seller by a
search, the other names him as a contact, over a link that all of them share. Meanwhile one of the two is killed and
started anew `cycles` times, now and then before it is ready. Then both start once more, every trade is brought to its
end, and their ledgers are compared: `lost` counts what one side was told is safe (by the other's signed
acknowledgement, or by the answer of its API) and is not there, `doubled` requests, quotes and orders that exist more
than once, `second_signatures` slots that one key signed twice, `damaged` ledgers that SQLite finds fault with,
`unfinished` trades that never came to an end, `died` daemons that ended of themselves. Exit code 1 if any of these is
not zero.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from forked_daemon import ForkServer, forked
from local_market import Daemon, DaemonError, LocalMarket

from p2pmarket.api.types import bodies as b
from p2pmarket.client import Client, connect
from p2pmarket.errors import MarketError, NoDaemon, Unavailable
from p2pmarket.market.papers import Reader
from p2pmarket.store.ledger import Ledger
from p2pmarket.store.migrate import open_migrated, steps_of
from p2pmarket.trade import documents as d
from p2pmarket.trade.thread import slot

Found = TypeVar("Found")
Sides = dict[str, "Books"]
PRICES = "code,description,unit,price,currency\n" + "".join(f"B{n},beans {n},kg,{n}.25,EUR\n" for n in range(1, 21))
SELLER = "Roaster"
TRADERS = 3
AT_ONCE = 3  # unfinished trades of a trader
PAUSE = 0.02
PATIENCE_SECONDS = 4.0  # for a trade, before another is gone on with
END_SECONDS = 120.0
LONGEST_LIFE = 0.8  # seconds of a daemon between READY and its death
EARLY_DEATHS = 0.15  # of all


@dataclass
class Trade:
    """One trade as its buyer knows it: what the API has promised him."""

    key: str
    to: tuple[str, ...] = ()  # asked alone, over a link that such requests share; else found by a search
    request: str | None = None
    order: str | None = None
    agreed: bool = False


@dataclass
class Trader:
    """Buys without pause; a trade that is stuck while a daemon is dead is gone on with later, beside a few others."""

    home: Path
    name: str
    stop: threading.Event
    trades: list[Trade] = field(default_factory=list)
    bears: tuple[type[MarketError], ...] = (NoDaemon, Unavailable)
    borne: list[MarketError] = field(default_factory=list)
    _client: Client | None = None

    def run(self) -> None:
        unfinished: deque[Trade] = deque()
        while not self.stop.is_set():
            if len(unfinished) < AT_ONCE:
                unfinished.append(Trade(f"{self.name}-{len(self.trades)}", self._whom()))
                self.trades.append(unfinished[-1])
            trade = unfinished.popleft()
            if not self.bring_on(trade, PATIENCE_SECONDS):
                unfinished.append(trade)

    def _whom(self) -> tuple[str, ...]:
        """Every second trade goes to the one contact, once he was found."""
        found = any(trade.agreed for trade in self.trades)
        return (SELLER,) if found and len(self.trades) % 2 else ()

    def bring_on(self, trade: Trade, seconds: float) -> bool:
        """Take a trade as far as it goes in so many seconds; whether it came to its end."""
        limit = time.monotonic() + seconds
        if trade.request is None:
            trade.request = self._insist(limit, lambda client: self._open(client, trade))
        if trade.request is not None and trade.order is None:
            trade.order = self._insist(limit, lambda client: self._order(client, trade))
        if trade.order is not None and not trade.agreed:
            trade.agreed = bool(self._insist(limit, lambda client: self._is_agreed(client, trade)))
        return trade.agreed

    def _insist(self, limit: float, step: Callable[[Client], Found | None]) -> Found | None:
        """What a step returns, tried until the limit whatever becomes of the daemon."""
        while time.monotonic() < limit:
            try:
                self._client = self._client or connect(self.home, {}, timeout=10)
                found = step(self._client)
            except self.bears as error:
                self.borne.append(error)
            else:
                if found:
                    return found
            time.sleep(PAUSE)
        return None

    def _open(self, client: Client, trade: Trade) -> str:
        lines = [f"{n} kg beans {n}" for n in range(1, 4)]
        body = b.OpenRequest(category="coffee", line_texts=lines, reference=trade.key, to=list(trade.to))
        return client.request_open(body, key=f"{trade.key}-request").request.id

    def _order(self, client: Client, trade: Trade) -> str | None:
        quotes = client.quotes(trade.request or "").quotes
        if not quotes:
            return None
        return client.order(b.NewOrder(quote=quotes[0].id, reference=trade.key), key=f"{trade.key}-order").order.id

    def _is_agreed(self, client: Client, trade: Trade) -> bool:
        shown = client.show(trade.order or "").order
        return shown is not None and shown.state == "accepted"


class Killer:
    """Kills one of the daemons and starts it anew."""

    def __init__(self, daemons: Iterable[Daemon], rng: random.Random, life: float) -> None:
        self._daemons, self._rng, self._life = list(daemons), rng, life
        self.deaths: Counter[str] = Counter()
        self.died = 0  # of themselves

    def cycle(self) -> None:
        """One death, at a random moment of a life."""
        victim = self._rng.choice(self._daemons)
        if self._rng.random() < EARLY_DEATHS:
            self._kill(victim)
            victim.start()
            time.sleep(self._rng.uniform(0, 0.2))
        else:
            time.sleep(self._rng.uniform(0, self._life))
        self._kill(victim)
        victim.start()
        victim.wait_ready()
        self.deaths[victim.name] += 1

    def _kill(self, victim: Daemon) -> None:
        assert victim.process is not None
        self.died += victim.process.poll() is not None
        victim.process.kill()
        victim.process.wait()


@dataclass
class Books:
    """What a stopped daemon's ledger holds. `told`: hashes that the other side has acknowledged."""

    documents: dict[bytes, d.Opened]
    told: set[bytes]
    accepted: set[str]
    proofs: int
    sound: bool


def books(home: Path) -> Books:
    """Read a ledger that no daemon has open."""
    with closing(open_migrated(home / "ledger.sqlite", steps_of("ledger"), full_sync=True)) as connection:
        ledger, reader = Ledger(connection), Reader()
        hashes = [bytes(row[0]) for row in connection.execute("SELECT hash FROM documents")]
        kept = {hash_: reader.opened(row) for hash_ in hashes if (row := ledger.documents.get(hash_)) is not None}
        told = connection.execute("SELECT hash FROM outbox WHERE state IN ('delivered', 'seen')")
        (proofs,) = connection.execute("SELECT count(*) FROM proofs").fetchone()
        (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
        accepted = connection.execute("SELECT id FROM orders WHERE state = 'accepted'")
        return Books(kept, {bytes(row[0]) for row in told}, {row[0] for row in accepted}, int(proofs), verdict == "ok")


def compare(sides: Sides, trades: list[Trade]) -> dict[str, int]:
    """The counts that must be zero."""
    buyer, seller = sides["buyer"], sides["seller"]
    seen = [{opened.id for opened in side.documents.values()} for side in (buyer, seller)]
    lost = len(_told(buyer) - seller.documents.keys()) + len(_told(seller) - buyer.documents.keys())
    lost += sum(trade.request is not None and trade.request not in seen[0] for trade in trades)
    lost += sum(trade.order is not None and trade.order not in seen[0] for trade in trades)
    lost += sum(trade.agreed and trade.order not in side.accepted for trade in trades for side in (buyer, seller))
    return {
        "lost": lost,
        "doubled": sum(_doubled(side) for side in (buyer, seller)),
        "second_signatures": _second_signatures(sides) + buyer.proofs + seller.proofs,
        "damaged": sum(not side.sound for side in (buyer, seller)),
        "unfinished": sum(not trade.agreed for trade in trades),
    }


def _told(side: Books) -> set[bytes]:
    """Documents of ours that the other side said it has; acknowledgements themselves are not kept."""
    return side.told & side.documents.keys()


def _doubled(side: Books) -> int:
    """Requests of one reference, quotes and orders of one request beyond the first."""
    counts: Counter[tuple[str, object]] = Counter()
    for opened in side.documents.values():
        match opened.document:
            case d.Request(reference=reference):
                counts["request", reference] += 1
            case d.Quote(request=request):
                counts["quote", request] += 1
            case d.Order(request=request):
                counts["order", request] += 1
    return sum(count - 1 for count in counts.values())


def _second_signatures(sides: Sides) -> int:
    """Slots that hold different documents, whichever side has them."""
    signed: dict[object, set[bytes]] = {}
    for side in sides.values():
        for hash_, opened in side.documents.items():
            if (place := slot(opened)) is not None:
                signed.setdefault(place, set()).add(hash_)
    return sum(len(hashes) - 1 for hashes in signed.values())


def torture(root: Path, cycles: int, seed: int, life: float = LONGEST_LIFE) -> dict[str, float | int]:
    """Trade and kill; the figures."""
    began = time.monotonic()
    rng = random.Random(seed)
    with ForkServer() as server, LocalMarket(root) as market:
        market.add_bootstrap()
        seller, buyer = (forked(market.add(name), server) for name in ("seller", "buyer"))
        market.daemons.update(seller=seller, buyer=buyer)
        market.start([seller, buyer])
        seller.market("prices", "import", "-", stdin=PRICES)
        seller.market("announce", "coffee")
        buyer.market("contacts", "add", str(seller.market("id")["identity"]), SELLER)
        stop = threading.Event()
        traders = [Trader(buyer.home, f"trade-{seed}-{number}", stop) for number in range(TRADERS)]
        threads = [threading.Thread(target=trader.run) for trader in traders]
        for thread in threads:
            thread.start()
        killer = Killer([seller, buyer], rng, life)
        try:
            for cycle in range(1, cycles + 1):
                killer.cycle()
                _say(cycle, cycles, traders)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        _finish([seller, buyer], traders)
        homes = {"buyer": buyer.home, "seller": seller.home}
    trades = [trade for trader in traders for trade in trader.trades]
    sides = {name: books(home) for name, home in homes.items()}
    return {
        "cycles": cycles,
        "seed": seed,
        **compare(sides, trades),
        "died": killer.died,
        "trades": len(trades),
        "documents": sum(len(side.documents) for side in sides.values()),
        "acknowledged": sum(len(_told(side)) for side in sides.values()),
        "buyer_kills": killer.deaths["buyer"],
        "seller_kills": killer.deaths["seller"],
        "seconds": round(time.monotonic() - began, 1),
    }


def _finish(daemons: list[Daemon], traders: list[Trader]) -> None:
    """Both start once more, so that nobody waits for his next try, and every trade is brought to its end."""
    for daemon in daemons:
        daemon.stop()
        daemon.start()
    for daemon in daemons:
        daemon.wait_ready()
    limit = time.monotonic() + END_SECONDS
    for trader in traders:
        for trade in trader.trades:
            trader.bring_on(trade, max(1.0, limit - time.monotonic()))


def _say(cycle: int, cycles: int, traders: list[Trader]) -> None:
    if cycle % 10 == 0 or cycle == cycles:
        trades = [trade for trader in traders for trade in trader.trades]
        agreed = sum(trade.agreed for trade in trades)
        print(f"{cycle}/{cycles} kills, {len(trades)} trades, {agreed} agreed", file=sys.stderr, flush=True)


def main() -> int:
    """Print a table, or one line of JSON."""
    parser = argparse.ArgumentParser(prog="scripts/torture kill", description=__doc__)
    parser.add_argument("--cycles", type=int, default=100, help="how often a daemon is killed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--life", type=float, default=LONGEST_LIFE, help="longest life of a daemon that is ready, seconds"
    )
    parser.add_argument("--json", action="store_true", help="one flat JSON object on the last line")
    asked = parser.parse_args()
    if asked.cycles < 1:
        parser.error("--cycles from 1")
    with tempfile.TemporaryDirectory(prefix="p2pmarket-kill-") as folder:
        try:
            figures = torture(Path(folder), asked.cycles, asked.seed, asked.life)
        except DaemonError as error:
            print(f"torture: {error}", file=sys.stderr)
            return 1
    print(json.dumps(figures) if asked.json else "\n".join(f"{name:24} {value}" for name, value in figures.items()))
    return int(any(figures[name] for name in ("lost", "doubled", "second_signatures", "damaged", "unfinished", "died")))


if __name__ == "__main__":
    sys.exit(main())
