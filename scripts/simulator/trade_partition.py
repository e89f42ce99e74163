"""Two parties to trades, cut off from each other for a minute to two days, again and again.

Each partition has a buyer and a seller with ledgers of their own (the market's verbs on SQLite in memory) and clocks
that differ by up to a day. Before it, while it lasts and until its very end both act as they like: they quote anew,
withdraw, counter, order, accept, refuse, wish to cancel, answer such wishes, talk. What carries their documents are the
courier's rules on a simulated clock (see trade_links). In every third partition nobody can dial the buyer;
in every second one all requests go over one link, because the seller knows the buyer.

With more than a week (`--days 28`) every partition is longer than eight days and people act on its first day, so that
what they signed is given up by the outbox before the heal.

After the heal nobody acts any more, only what is automatic still happens. `worst_heal_s` is the longest time until both
have folded all their trades to the same states and nothing waits any more; `diverged` counts partitions after which
that had not happened in ten minutes; `given_up` counts papers given up before it, `resent` those that went out again.
`lost` is what was signed and is not on both sides, `doubled` counts slots with
two different documents.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "tests"))

from market_world import Side, price

from p2pmarket.api.types import bodies as b
from p2pmarket.config import Quoting
from p2pmarket.errors import LocalError
from p2pmarket.keys import SigningKey
from p2pmarket.limits import DAY, HOUR, MINUTE, SENDING_SECONDS
from p2pmarket.market.resending import to_knock
from p2pmarket.store import rows
from p2pmarket.store.ledger import Ledger
from p2pmarket.store.migrate import statements, steps_of
from p2pmarket.trade.agreeing import answer_proposal, propose_cancel
from p2pmarket.trade.documents import Cancel, Opened
from p2pmarket.trade.fulfilling import make_counter, make_note
from p2pmarket.trade.thread import State, Thread, fold, slot
from simulator.figures import Figures, quantile
from simulator.options import Options
from simulator.trade_links import Name, Wires
from simulator.world import World

EPOCH = 1_780_000_000
GIVE_UP_SECONDS = 10 * MINUTE
PRICES = [price(number, f"B{number}", f"beans {number}") for number in range(1, 4)]
FACTORS = (0.8, 0.9, 1.1)


@dataclass
class Clock:
    """A wall clock that is wrong by `skew` seconds."""

    wires: Wires
    skew: int

    def __call__(self) -> int:
        return EPOCH + int(self.wires.now) + self.skew


class SimSide(Side):
    """A side whose ledger is in memory."""

    def open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(":memory:", isolation_level=None)
        for step in steps_of("ledger"):
            for statement in statements(step):
                connection.execute(statement)
        return connection


class Trade(NamedTuple):
    """A request and its link, as the buyer names it; where the seller knows him, all have one."""

    request: rows.Request
    link: Name


class Partition:
    """One pair of parties, its events in order of time, and the network that they have or have not."""

    def __init__(self, seed: str, days: float = 2) -> None:
        self.rng, self.days = Random(seed), days
        self.known_to = "all" if Random(f"{seed} known").random() < 1 / 2 else "nobody"
        self.wires = Wires(self.rng, *self._times(), is_buyer_dialled=self.rng.random() < 2 / 3)
        skew = self.rng.randint(-DAY, DAY)
        folder = Path()
        self.buyer = SimSide(f"buyer {seed}", folder, Clock(self.wires, skew // 2), Quoting())  # type: ignore[arg-type]
        self.seller = SimSide(f"seller {seed}", folder, Clock(self.wires, -(skew - skew // 2)), self._quoting())  # type: ignore[arg-type]
        self.seller.sell(PRICES, self._quoting())
        self.wires.buyer, self.wires.seller = self.buyer, self.seller
        self.trades: list[Trade] = []
        self.acts = self.given_up = 0

    def _times(self) -> tuple[float, float]:
        """A cut that begins soon and lasts from a minute to so many days, as often short as long; or over a week."""
        begins = self.rng.uniform(0, HOUR)
        if self.is_long:
            return begins + MINUTE, begins + self.rng.uniform(SENDING_SECONDS + DAY, self.days * DAY)
        return begins, begins + MINUTE * (self.days * DAY / MINUTE) ** self.rng.random()

    @property
    def is_long(self) -> bool:
        """Whether what waits is given up before the heal."""
        return self.days * DAY > SENDING_SECONDS + DAY

    def _quoting(self) -> Quoting:
        return Quoting(valid_days=3, accept=self.rng.random() < 0.5)

    def close(self) -> None:
        self.buyer.close()
        self.seller.close()

    def run(self) -> float | None:
        """Act, be cut off, heal; the seconds until both agreed again, or None if they did not."""
        wires = self.wires
        asks_until = wires.cut_from - MINUTE if self.is_long else wires.cut_from  # a request is not sent again
        acts_until = min(wires.cut_until, wires.cut_from + DAY) if self.is_long else wires.cut_until
        for _ in range(self.rng.randint(1, 3)):
            wires.at(self.rng.uniform(0, asks_until), self._ask)
        for _ in range(self.rng.randint(4, 16)):
            wires.at(self.rng.uniform(0, acts_until), self._act)
        self._give_up()
        while wires.now < wires.cut_until + GIVE_UP_SECONDS and wires.step():
            if wires.now >= wires.cut_until and self.is_healed():
                return wires.now - wires.cut_until
        return 0.0 if self.is_healed() else None

    def _give_up(self) -> None:
        """What waited too long is given up; looked at once an hour."""
        for side in (self.buyer, self.seller):
            given_up = len(side.run(partial(_given_up, now=side.clock())))
            self.given_up += given_up
            if given_up:
                self._wake(side)
        if self.wires.now + HOUR < self.wires.cut_until:
            self.wires.at(self.wires.now + HOUR, self._give_up)

    def _wake(self, side: SimSide) -> None:
        """Look what there is to do for each link of a side: an acceptance, say, may belong to any of them."""
        for one in self.trades:
            self.wires.wake(side, one.link if side is self.buyer else (one.link[1], one.link[0]))

    # What people do

    def _ask(self) -> None:
        n = self.rng.randint(1, 3)
        text = f"{self.rng.randint(2, 9)} beans {n}"
        request = self.buyer.request(text, sellers=[self.seller], alone=True, reply_by="14d", known_to=self.known_to)
        self.trades.append(Trade(request, self.buyer.link(request, self.seller)))
        self.wires.wake(self.buyer, self.trades[-1].link)

    def _act(self) -> None:
        """Something that somebody may do now, if there is anything."""
        if not self.trades or self.wires.now >= self.wires.cut_until:
            return
        trade, side = self.rng.choice(self.trades), self.rng.choice((self.buyer, self.seller))
        acts = [self._cancel, self._answer, self._note, *(self._buys() if side is self.buyer else self._sells())]
        self.rng.shuffle(acts)
        for act in acts:
            try:
                act(side, trade)
            except (LocalError, LookupError):
                continue
            self.acts += 1
            self._wake(side)
            return

    def _buys(self) -> list[Callable[[SimSide, Trade], None]]:
        return [self._order, self._order, self._counter]

    def _sells(self) -> list[Callable[[SimSide, Trade], None]]:
        return [self._quote, self._withdraw, self._accept, self._reject]

    def _order(self, side: SimSide, trade: Trade) -> None:
        quote = side.quotes(trade.request)[-1]
        side.run(lambda tx: side.buying.order(tx, b.NewOrder(quote=quote.id, answer_by="5d"), side.clock()))

    def _counter(self, side: SimSide, trade: Trade) -> None:
        thread = self.thread(side, trade)
        row = side.run(lambda tx: tx.requests.get(trade.request.hash))
        quote = thread.quotes[thread.newest or b""]
        assert row is not None
        self._send(
            side,
            thread,
            make_counter(
                thread,
                SigningKey.from_seed(row.sign_seed or b""),
                side.buying.moment(side.clock()),
                thread.newest or b"",
                sheet=quote.sheet,
                terms=quote.terms,
                valid_until=side.clock() + 2 * DAY,
                text=f"cheaper by {self.rng.random()}",
            ),
        )

    def _quote(self, side: SimSide, trade: Trade) -> None:
        total = f"{self.rng.choice(FACTORS) * 20:.2f} EUR"
        row = side.run(lambda tx: tx.requests.get(trade.request.hash))
        if row is None:
            raise LookupError
        side.run(lambda tx: side.selling.quote(tx, row, b.NewQuote(total=total, valid="3d"), side.clock()))

    def _withdraw(self, side: SimSide, trade: Trade) -> None:
        quote = side.quotes(trade.request)[-1]
        if not side.run(lambda tx: side.selling.withdraw(tx, quote, None, side.clock())):
            raise LookupError

    def _accept(self, side: SimSide, trade: Trade) -> None:
        side.run(lambda tx: side.selling.accept(tx, side.orders_in(tx)[0], None, side.clock()))

    def _reject(self, side: SimSide, trade: Trade) -> None:
        side.run(lambda tx: side.selling.reject(tx, side.orders_in(tx)[0], "other", None, side.clock()))

    def _cancel(self, side: SimSide, trade: Trade) -> None:
        thread = self.thread(side, trade)
        moment = side.buying.moment(side.clock())
        if not thread.orders:
            raise LookupError
        self._send(side, thread, propose_cancel(thread, side.signer.identity, moment, [*thread.orders][-1]))

    def _answer(self, side: SimSide, trade: Trade) -> None:
        thread, step = self.thread(side, trade), self.rng.choice(("accept", "reject"))
        role = "buyer" if side is self.buyer else "seller"
        waiting = [found for found, who in fold(thread).proposals.items() if who == role]
        if not waiting or not isinstance(thread.documents[waiting[0]].document, Cancel):
            raise LookupError
        moment = side.buying.moment(side.clock())
        self._send(side, thread, answer_proposal(thread, side.signer.identity, moment, waiting[0], step))  # type: ignore[arg-type]

    def _note(self, side: SimSide, trade: Trade) -> None:
        thread = self.thread(side, trade)
        row = side.run(lambda tx: tx.requests.get(trade.request.hash))
        assert row is not None
        key = side.dealing.key(thread, row)
        moment = side.buying.moment(side.clock())
        self._send(side, thread, make_note(thread, key, moment, thread.request.hash, f"hello {self.rng.random()}"))

    def _send(self, side: SimSide, thread: Thread, opened: Opened) -> None:
        side.run(lambda tx: side.dealing.send(tx, thread, opened, side.clock()))

    # What they hold

    def thread(self, side: SimSide, trade: Trade) -> Thread:
        if side.run(lambda tx: tx.requests.get(trade.request.hash)) is None:
            raise LookupError
        return side.thread(trade.request, self.seller)

    def state(self, side: SimSide, trade: Trade) -> State | None:
        try:
            return fold(self.thread(side, trade))
        except LookupError:
            return None

    def is_healed(self) -> bool:
        """Whether nothing waits or is to go out again, and both have come to the same states."""
        for side in (self.buyer, self.seller):
            if side.run(lambda tx: tx.outbox.waiting()).documents or side.run(partial(to_knock, wall=side.clock())):
                return False
        return all(
            _binding(self.state(self.buyer, one)) == _binding(self.state(self.seller, one)) for one in self.trades
        )

    def lost(self) -> int:
        """Documents that only one of the two has."""
        held = [self._hashes(side) for side in (self.buyer, self.seller)]
        return len(held[0] ^ held[1])

    def doubled(self) -> int:
        """Slots that hold more than one document."""
        found: dict[object, set[bytes]] = {}
        for side in (self.buyer, self.seller):
            for trade in self.trades:
                for opened in self.thread(side, trade).documents.values():
                    if (place := slot(opened)) is not None:
                        found.setdefault(place, set()).add(opened.hash)
        return sum(len(hashes) - 1 for hashes in found.values())

    def _hashes(self, side: SimSide) -> set[bytes]:
        return {bytes(row[0]) for row in side.connection.execute("SELECT hash FROM documents")}


def _given_up(tx: Ledger, now: int) -> list[rows.Outgoing]:
    return tx.outbox.give_up_late(now)


def _binding(state: State | None) -> object:
    """What of a state binds."""
    if state is None:
        return None
    return state.answer, state.quotes, state.deals, state.payments, state.proposals, state.contradictions


def scenario(options: Options) -> tuple[World, Figures]:
    """As many partitions as `--lookups` says; the world of the DHT stays empty."""
    return World(options.seed, rtt=options.rtt), trade_partition(options.lookups, options.seed, options.days)


def trade_partition(partitions: int, seed: int, days: float = 2) -> Figures:
    """So many partitions, each of a pair of its own."""
    heals: list[float] = []
    diverged = lost = doubled = documents = acts = given_up = resent = 0
    longest = 0.0
    for number in range(partitions):
        world = Partition(f"{seed}-{number}", days)
        healed = world.run()
        longest = max(longest, world.wires.cut_until - world.wires.cut_from)
        diverged += healed is None
        heals.append(healed if healed is not None else GIVE_UP_SECONDS)
        lost, doubled, acts = lost + world.lost(), doubled + world.doubled(), acts + world.acts
        given_up, resent = given_up + world.given_up, resent + world.wires.resent
        documents += len(world._hashes(world.buyer))
        world.close()
    return {
        "cycles": partitions,
        "diverged": diverged,
        "lost": lost,
        "doubled": doubled,
        "worst_heal_s": max(heals),
        "median_heal_s": quantile(heals, 0.5),
        "longest_partition_h": longest / HOUR,
        "acts": acts,
        "documents": documents,
        "given_up": given_up,
        "resent": resent,
    }
