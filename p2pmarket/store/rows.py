"""The rows of the ledger as values: one NamedTuple a table, its fields in the order of the table's columns.

Times are UTC seconds, hashes and keys 32 bytes. States are the words of docs/protocol.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from functools import cache
from typing import Any, NamedTuple, TypeVar

from p2pmarket.store.remembering import Remembering

Row = TypeVar("Row", bound=tuple[Any, ...])
NO_ANSWER = "no acknowledgement in time"  # the reason of a paper that we have given up; the schema names it too


class Document(NamedTuple):
    """One signed document, ours or theirs."""

    seq: int
    hash: bytes
    kind: int
    id: str
    thread: bytes
    ours: int
    signer: bytes
    recipient: bytes
    envelope: bytes
    time: int
    ack: bytes | None


class Request(NamedTuple):
    """A request for quotation: ours (role buyer) or somebody's (role seller)."""

    hash: bytes
    id: str
    role: str
    state: str
    category: str
    created: int
    reply_by: int
    sign_seed: bytes | None = None
    exchange_public: bytes | None = None
    quotes_wanted: int | None = None
    search: str = "{}"
    target: str | None = None
    attention: str | None = None
    buyer_exchange: bytes | None = None
    buyer_routes: bytes | None = None
    matched_lines: int | None = None
    doubts: str = "{}"
    address_group: bytes | None = None
    introduced: str | None = None
    made_for: bytes | None = None


class Asked(NamedTuple):
    """One seller that a request of ours went to."""

    request: bytes
    seller: bytes
    name: str
    record: bytes
    answer: str
    reason: str | None
    updated: int


class Quote(NamedTuple):
    """A quote that we gave or got."""

    hash: bytes
    id: str
    request: bytes
    seller: bytes
    ours: int
    version: int
    state: str
    valid_until: int
    automatic: int
    counter: bytes | None = None
    seen: int = 0


class Order(NamedTuple):
    """An order that we gave (role buyer) or got (role seller), and the deal it became."""

    hash: bytes
    id: str
    deal: str
    request: bytes
    quote: bytes
    role: str
    other: bytes
    state: str
    created: int
    answer_by: int
    seen: int = 0
    response: bytes | None = None
    agreed: int | None = None
    stage: str = "ordered"
    payment: str = "none"
    turn: str = "seller"
    due: int | None = None
    follows: str | None = None
    contract: bytes | None = None
    completes: int | None = None
    tell_price: int = 0
    taken: str | None = None


class Folded(NamedTuple):
    """What the documents of an order fold to: the columns of `Order` that are copies of it."""

    state: str
    stage: str
    payment: str
    turn: str
    due: int | None
    follows: str | None
    contract: bytes | None
    completes: int | None


class Notice(NamedTuple):
    """A document that a person should look at."""

    hash: bytes
    thread: bytes
    kind: str
    state: str
    time: int


class Outgoing(NamedTuple):
    """A document on its way to one recipient over the link (local, remote)."""

    seq: int
    hash: bytes
    kind: int
    thread: bytes
    recipient: bytes
    local: bytes
    remote: bytes
    envelope: bytes
    state: str
    reason: str | None
    until: int
    updated: int
    resent: int = 0

    @property
    def is_given_up(self) -> bool:
        """Whether nobody acknowledged it in time; refused and called back is not given up."""
        return self.state == "failed" and self.reason == NO_ANSWER


class Correspondent(NamedTuple):
    """The other end of a link: how to dial it, and how long something is expected from it."""

    local: bytes
    remote: bytes
    routes: bytes
    keep_until: int


class StandingKey(NamedTuple):
    """The link key that serves requests to one seller, at one service key of his."""

    seller: bytes
    service: bytes
    public: bytes
    made: int


class Contact(NamedTuple):
    """Somebody in the address book."""

    identity: bytes
    name: str
    folded: str
    record: bytes | None
    added: int


class Announced(NamedTuple):
    """One announcement of ours."""

    category: str
    id: str
    regions: str
    envelope: bytes
    seq: int
    expires: int
    holders: int
    state: str


class Price(NamedTuple):
    """One row of the price list; decimals as text."""

    row: int
    code: str
    description: str
    unit: str
    price: str
    per: str
    currency: str
    stock: str | None
    min_qty: str | None
    category: str | None
    lead_days: int | None
    tax_rate: str | None
    url: str | None


class Event(NamedTuple):
    """One entry of the event stream."""

    seq: int
    time: int
    type: str
    id: str
    subject: bytes
    party: bytes


class Proof(NamedTuple):
    """Two documents of one signer in one slot, by rising hash, each with whom it was sealed for."""

    hash: bytes
    id: str
    signer: bytes
    kind: int
    first: bytes
    first_to: bytes
    second: bytes
    second_to: bytes
    time: int


class Replied(NamedTuple):
    """The stored answer of a call that carried an idempotency key."""

    key: str
    route: str
    body: bytes
    reply: bytes
    time: int


@cache
def columns(row_type: type[Row]) -> str:
    """The column list of a SELECT, quoted: some are SQL words."""
    names: Sequence[str] = row_type._fields  # type: ignore[attr-defined]
    return ", ".join(f'"{name}"' for name in names)


@cache
def _selecting(row_type: type[Row], table: str, rest: str) -> str:
    return f"SELECT {columns(row_type)} FROM {table} {rest}"


@cache
def _inserting(row_type: type[tuple[object, ...]], table: str, verb: str) -> str:
    names = columns(row_type)
    marks = ", ".join("?" * len(row_type._fields))  # type: ignore[attr-defined]
    return f"{verb} INTO {table} ({names}) VALUES ({marks})"


def select(connection: Remembering, row_type: type[Row], table: str, rest: str, values: Sequence[object]) -> list[Row]:
    """The rows of `table` that `rest` (WHERE ... ORDER BY ...) picks. SQL comes from this package only."""
    return [row_type(*row) for row in connection.execute(_selecting(row_type, table, rest), values)]


def select_each(
    connection: Remembering, row_type: type[Row], table: str, rest: str, values: Sequence[object]
) -> Iterator[Row]:
    """The same one by one, for who may need the first only; over before its transaction ends."""
    with closing(connection.execute(_selecting(row_type, table, rest), values)) as found:
        for row in found:
            yield row_type(*row)


def select_one(
    connection: Remembering, row_type: type[Row], table: str, rest: str, values: Sequence[object]
) -> Row | None:
    """The first such row, or None; `rest` looks at no other table."""
    row = connection.first(table, _selecting(row_type, table, f"{rest} LIMIT 1"), values)
    return None if row is None else row_type(*row)


def insert(connection: Remembering, table: str, row: tuple[object, ...], *, verb: str = "INSERT") -> int:
    """Add a row; returns its rowid. `verb` may be INSERT OR IGNORE or INSERT OR REPLACE."""
    return connection.execute(_inserting(type(row), table, verb), row).lastrowid or 0


def insert_many(connection: Remembering, table: str, rows: Iterable[tuple[object, ...]]) -> None:
    """Add rows of one type."""
    for row in rows:
        insert(connection, table, row)
