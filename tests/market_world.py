"""Two sides of a market without a network: real ledgers in files, and documents that a test carries by hand.

A side has the verbs of buyer and seller and what receives documents. `carry` takes what waits in one outbox to the
other side and the answers back, as two couriers would.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import pytest

from p2pmarket.api.types import bodies as b
from p2pmarket.config import Quoting
from p2pmarket.keys import ExchangeKey, SigningKey
from p2pmarket.limits import HOUR
from p2pmarket.market import receiving, threads
from p2pmarket.market.buying import Buying
from p2pmarket.market.dealing import Dealing
from p2pmarket.market.delivery import message_of
from p2pmarket.market.keyring import KeyRing
from p2pmarket.market.papers import Reader, Signer
from p2pmarket.market.pricing import PriceBook
from p2pmarket.market.recalling import Recalling
from p2pmarket.market.receiving import Receiving, Taken
from p2pmarket.market.routes import routes_of
from p2pmarket.market.selling import Selling
from p2pmarket.market.talking import Talking
from p2pmarket.messages import Document, decode_untrusted, encode
from p2pmarket.network import DEV
from p2pmarket.records import Announcement, Record, direct_route, make_announcement
from p2pmarket.store import ledger as ledger_module
from p2pmarket.store import outbox as outbox_module
from p2pmarket.store import rows
from p2pmarket.store.keyed import Keyed, Row
from p2pmarket.store.ledger import Ledger
from p2pmarket.store.migrate import open_migrated, steps_of
from p2pmarket.store.remembering import Remembering
from p2pmarket.trade import documents as d
from p2pmarket.trade.thread import State, Thread, fold

T = TypeVar("T")
Link = tuple[bytes, bytes]
START = 1_780_000_000


@dataclass
class Clock:
    """The wall clock of a test."""

    now: int = START

    def __call__(self) -> int:
        return self.now


def price(
    row: int, code: str, description: str, amount: str = "2.50", *, stock: str | None = None, currency: str = "EUR"
) -> rows.Price:
    """A row of a price list, per piece."""
    return rows.Price(
        row, code, description, "C62", amount, "1", currency, stock, None, None, None, None, None
    )  # fmt: skip


class CheckedMemory(Remembering):
    """A memory whose every answer is compared with what the file says."""

    def first(self, table: str, sql: str, values: Sequence[object]) -> Any:
        found = super().first(table, sql, values)
        assert found == self._connection.execute(sql, values).fetchone(), table
        return found


class CheckedRows(Keyed[Row]):
    """The same for rows found by their key."""

    def get(self, *key: object) -> Row | None:
        found = super().get(*key)
        assert found == self.read(key), self._table
        return found


def check_kept_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every thread that is not loaded, because it is known, compared with what would be loaded."""
    kept_as, loaded_as = threads._kept, threads._loaded
    kept: list[Thread | None] = []

    def note(ledger: Ledger, request: bytes, seller: bytes) -> None:
        kept[:] = [kept_as(ledger, request, seller)]

    def compare(*arguments: Any) -> Thread:
        loaded = loaded_as(*arguments)
        assert kept[0] is None or kept[0] == loaded
        return kept[0] or loaded

    monkeypatch.setattr(threads, "_kept", note)
    monkeypatch.setattr(threads, "_loaded", compare)


@dataclass
class Side:
    """One daemon's ledger and verbs."""

    name: str
    folder: Path
    clock: Clock
    quoting: Quoting = field(default_factory=Quoting)

    def __post_init__(self) -> None:
        numbers = count()
        self.secrets: Callable[[int], bytes] = lambda n: hashlib.sha512(
            f"{self.name}{next(numbers)}".encode()
        ).digest()[:n]
        identity = SigningKey.from_seed(hashlib.sha256(self.name.encode()).digest())
        self.connection = self.open()
        self.tx = Ledger(self.connection)
        self.signer = Signer(DEV, identity, KeyRing(), self.secrets)
        self.reader = Reader()
        self.run(lambda tx: self.signer.keyring.load(tx, self.secrets, self.clock()))
        self.address = ("127.0.0.1", 2000 + sum(self.name.encode()))
        routes = lambda: routes_of([self.address])  # noqa: E731
        self.buying = Buying(self.signer, self.reader, routes)
        self.selling = Selling(self.signer, self.reader, PriceBook.of([], self.quoting), routes)
        self.dealing = Dealing(self.signer, self.reader, routes, self.selling.give_back)
        self.talking = Talking(self.dealing, self.selling)
        self.recalling = Recalling(self.dealing)
        self.receiving = Receiving(self.buying, self.selling, self.dealing, self.recalling)

    def open(self) -> sqlite3.Connection:
        """The ledger's file."""
        return open_migrated(self.folder / f"{self.name}.sqlite", steps_of("ledger"), full_sync=False)

    @property
    def public(self) -> bytes:
        return self.signer.identity.public

    @property
    def service(self) -> ExchangeKey:
        return self.signer.keyring.service

    def close(self) -> None:
        self.connection.close()

    def run(self, work: Callable[[Ledger], T]) -> T:
        """One transaction, as the ledger's thread runs it."""
        if self.connection.in_transaction:  # within another work
            return work(self.tx)
        self.tx.begin_work()
        self.connection.execute("BEGIN")
        try:
            result = work(self.tx)
        except BaseException:
            self.connection.execute("ROLLBACK")
            self.tx.forget()
            raise
        self.connection.execute("COMMIT")
        return result

    def sell(self, prices: Iterable[rows.Price], quoting: Quoting | None = None) -> None:
        """Have a price list."""
        kept = list(prices)
        self.run(lambda tx: tx.prices.replace(kept))
        self.selling.book = PriceBook.of(kept, quoting or self.quoting)

    def record(self, category: str = "coffee", *, seq: int = 1) -> Record:
        """Our announcement."""
        now = self.clock()
        announcement = Announcement(
            0, seq, now, now + 6 * HOUR, category, ("world",), None, self.name, self.service.public,
            (direct_route(*self.address),), (1, 1), False,
        )  # fmt: skip
        return make_announcement(self.signer.identity, DEV, announcement)

    def request(self, *lines: str, sellers: Iterable[Side] = (), alone: bool = False, **more: object) -> rows.Request:
        """A request of ours, to these sellers, or to these alone."""
        body = b.OpenRequest(category="coffee", line_texts=list(lines), **more)  # type: ignore[arg-type]
        sellers = list(sellers)
        named = [seller.record() for seller in sellers] if alone else None
        row = self.run(lambda tx: self.buying.open(tx, body, named, self.clock()))
        for seller in sellers:
            self.ask(row, seller)
        return row

    def ask(self, row: rows.Request, seller: Side) -> bool:
        return self.run(lambda tx: self.buying.ask(tx, row.hash, seller.record(), self.clock()))

    def order(self, quote: rows.Quote, *lines: b.NewOrderLine) -> rows.Order:
        body = b.NewOrder(quote=quote.id, lines=list(lines))
        return self.run(lambda tx: self.buying.order(tx, body, self.clock()))[0]

    def waiting(self, link: Link) -> list[bytes]:
        """The messages that wait for a link."""
        return [message_of(outgoing) for outgoing in self.run(lambda tx: tx.outbox.waiting_for(link, self.clock()))]

    def take(self, messages: Iterable[bytes], link: Link, group: bytes = b"group") -> Taken:
        """Receive messages over a link."""
        batch = self.receiving.open_untrusted(list(messages), link, group)
        return self.run(lambda tx: self.receiving.take(tx, batch))

    def link(self, request: rows.Request, seller: Side) -> Link:
        """Our link with a seller about a request of ours."""
        row = self.run(lambda tx: tx.requests.get(request.hash))
        assert row is not None
        assert row.exchange_public is not None
        return (bytes(row.exchange_public), seller.service.public)

    def quotes(self, request: rows.Request) -> list[rows.Quote]:
        return self.run(lambda tx: tx.quotes.of_request(request.hash))

    def orders(self) -> list[rows.Order]:
        return self.run(lambda tx: list(tx.orders.latest()))

    def orders_in(self, tx: Ledger) -> list[rows.Order]:
        """The orders, from within a transaction."""
        return list(tx.orders.latest())

    def quotes_in(self, tx: Ledger, request: rows.Request) -> list[rows.Quote]:
        """The quotes of a request, from within a transaction."""
        return tx.quotes.of_request(request.hash)

    def asked(self, request: rows.Request, seller: Side) -> rows.Asked:
        found = self.run(lambda tx: tx.requests.asked_one(request.hash, seller.public))
        assert found is not None
        return found

    def events(self) -> list[str]:
        return [event.type for event in self.run(lambda tx: tx.events.since(0, 10_000))]

    def thread(self, request: rows.Request, seller: Side) -> Thread:
        return self.run(lambda tx: self.buying.thread(tx, request.hash, seller.public))

    def state(self, request: rows.Request, seller: Side) -> State:
        return fold(self.thread(request, seller))

    def dump(self) -> list[str]:
        """All that the ledger holds."""
        return list(self.connection.iterdump())


def carry(sender: Side, receiver: Side, link: Link) -> Taken:
    """Take what waits on a link to the other side, and its acknowledgements back; `link` as the sender names it."""
    back = (link[1], link[0])
    taken = receiver.take(sender.waiting(link), back)
    sender.take(taken.answers, link)
    return taken


def settle(buyer: Side, seller: Side, request: rows.Request) -> None:
    """Carry both ways until nothing waits."""
    link = buyer.link(request, seller)
    back = (link[1], link[0])
    for _ in range(10):
        if not buyer.waiting(link) and not seller.waiting(back):
            return
        carry(buyer, seller, link)
        carry(seller, buyer, back)
    raise AssertionError("it does not come to rest")


def row(side: Side) -> rows.Order:
    """The newest order."""
    return side.orders()[0]


def inside(message: bytes) -> d.Opened:
    """The document in a message."""
    decoded = decode_untrusted(message)
    assert isinstance(decoded, Document)
    return d.document_untrusted(decoded.kind, decoded.envelope, DEV, decoded.recipient)


def wrapped(opened: d.Opened) -> bytes:
    """The message that carries a document."""
    return encode(Document(opened.kind, opened.recipient, opened.envelope))


def acknowledgement(message: bytes) -> d.Acknowledgement:
    """The acknowledgement in a message."""
    document = inside(message).document
    assert isinstance(document, d.Acknowledgement)
    return document


def refusals(taken: Taken) -> list[str | None]:
    """What each document of a batch was answered with: None or the code of the refusal."""
    return [acknowledgement(answer).code for answer in taken.answers]


@dataclass
class World:
    """A buyer and two sellers with one clock."""

    clock: Clock
    buyer: Side
    seller: Side
    rival: Side

    def close(self) -> None:
        for side in (self.buyer, self.seller, self.rival):
            side.close()


def new_world(folder: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    clock = Clock()
    monkeypatch.setattr(receiving, "wall", clock)
    check_kept_threads(monkeypatch)
    monkeypatch.setattr(ledger_module, "Remembering", CheckedMemory)
    monkeypatch.setattr(ledger_module, "Keyed", CheckedRows)
    monkeypatch.setattr(outbox_module, "Keyed", CheckedRows)
    return World(clock, *(Side(name, folder, clock) for name in ("buyer", "seller", "rival")))
