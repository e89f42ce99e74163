"""What the local API answers about the daemon, its place in the network and its price list; events and errors."""

from __future__ import annotations

from typing import Any, Literal

from p2pmarket.api.types.values import (
    AnnouncementState,
    CheckState,
    NodeState,
    Peer,
    Problem,
    Reply,
    Told,
    Verdict,
)

# All that the daemon tells; docs/api.md says what each carries, and `market watch --type` takes just these.
EVENT_TYPES = (
    "request.opened",
    "request.received",
    "search.progress",
    "seller.asked",
    "delivery.changed",
    "quote.received",
    "seller.declined",
    "quote.countered",
    "counter.received",
    "counter.declined",
    "note.received",
    "order.received",
    "order.accepted",
    "order.rejected",
    "order.amended",
    "change.received",
    "cancel.received",
    "despatch.received",
    "receipt.received",
    "invoice.received",
    "credit.received",
    "payment.advised",
    "payment.confirmed",
    "payment.not_received",
    "payment.refund_due",
    "payment.refunded",
    "rating.received",
    "dispute.received",
    "proof.found",
    "thread.recalled",
    "request.closed",
    "end",
)


class Identity(Reply, frozen=True, kw_only=True):
    """Answer of `market id`. `contacts` are texts for `--bootstrap`, `contact` the first of them that is proven."""

    identity: str
    fingerprint: str
    name: str | None
    contact: str | None
    contacts: list[str]
    network: str
    home: str
    version: str
    protocol: int


class DhtStatus(Reply, frozen=True, kw_only=True):
    """`estimated_nodes`: how large the network seems."""

    contacts: int
    estimated_nodes: int


class Reachable(Reply, frozen=True, kw_only=True):
    """Whether others can dial this daemon; `checked_by` peers tried."""

    verdict: Verdict
    addresses: list[str]
    checked_by: int
    checked_at: str | None


class Announcement(Reply, frozen=True, kw_only=True):
    """An announcement of ours; `holders` nodes are known to keep it."""

    id: str
    category: str
    regions: list[str]
    holders: int
    expires_at: str
    state: AnnouncementState


class Outbox(Reply, frozen=True, kw_only=True):
    """Documents not yet acknowledged by their recipients."""

    waiting: int
    oldest_at: str | None


class Status(Reply, frozen=True, kw_only=True):
    """Answer of `market status`. `inbox` counts what waits for the user; `stream`, `last_seq` are for `since=`."""

    version: str
    protocol: int
    network: str
    state: NodeState
    identity: str
    started_at: str
    stream: str
    last_seq: int
    clock_offset_s: float | None
    dht: DhtStatus
    reachable: Reachable
    announcements: list[Announcement]
    outbox: Outbox
    inbox: int
    problems: list[Problem]


class DoctorCheck(Reply, frozen=True, kw_only=True):
    """One thing looked at, what was found, and what to do if it is not right."""

    name: str
    state: CheckState
    message: str
    hint: str | None


class Doctor(Reply, frozen=True, kw_only=True):
    """`ok` if no check failed."""

    ok: bool
    checks: list[DoctorCheck]


class PeerInfo(Reply, frozen=True, kw_only=True):
    """A DHT contact (`kind` node) or an open connection (`kind` link). `rtt_ms` milliseconds."""

    kind: Literal["node", "link"]
    address: str
    contact: str | None
    peer: Peer | None
    direction: Literal["inbound", "outbound"] | None
    rtt_ms: float | None
    last_seen_at: str | None


class Peers(Reply, frozen=True, kw_only=True):
    """Answer of `market peers`."""

    peers: list[PeerInfo]


class Profile(Reply, frozen=True, kw_only=True):
    """What others are told about us; `address` lines without the name."""

    name: str | None
    region: str | None
    currency: str | None
    address: list[str]
    tax_id: str | None


class ProfileReply(Reply, frozen=True, kw_only=True):
    """`told`: for each field of the profile when others learn it."""

    profile: Profile
    told: dict[str, Told]


class CategoryMatch(Reply, frozen=True, kw_only=True):
    """`why`: what of the category fitted the words; `announced`: sellers seen lately, null if nobody looked."""

    code: str
    label: str | None
    score: float
    why: str
    announced: int | None


class Categories(Reply, frozen=True, kw_only=True):
    """Answer of `market categories`, best match first."""

    matches: list[CategoryMatch]


class AnnounceReply(Reply, frozen=True, kw_only=True):
    """`created` is false on a repeat; `problems`: that buyers cannot reach us, or a category that looks misspelt."""

    announcement: Announcement
    created: bool
    problems: list[Problem]


class Announcements(Reply, frozen=True, kw_only=True):
    """Answer of `market announcements`."""

    announcements: list[Announcement]


class Withdrawn(Reply, frozen=True, kw_only=True):
    """`created` is false if it was withdrawn before."""

    id: str
    kind: Literal["announcement", "quote"]
    created: bool


# Price list


class PriceRow(Reply, frozen=True, kw_only=True):
    """One row of the price list; numbers are decimal strings."""

    code: str | None
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


class RowProblem(Reply, frozen=True, kw_only=True):
    """What is wrong in a row of a file, counted as a spreadsheet shows it."""

    row: int
    column: str | None
    problem: str
    hint: str | None


class PricesReport(Reply, frozen=True, kw_only=True):
    """Answer to an import: it replaces the list. With `dry_run` nothing was changed.

    `ignored`: columns of the file that a price list does not have.
    """

    rows: int
    imported: int
    skipped: int
    added: int
    changed: int
    removed: int
    dry_run: bool
    problems: list[RowProblem]
    ignored: list[str]


class PricesExport(Reply, frozen=True, kw_only=True):
    """The price list as CSV text."""

    rows: int
    csv: str


class Prices(Reply, frozen=True, kw_only=True):
    """A page of the price list."""

    rows: list[PriceRow]
    total: int
    imported_at: str | None
    next: str | None


# Events and errors


class Event(Reply, frozen=True, kw_only=True):
    """One event. `seq` counts without gaps within `stream` and is null for what is not kept (search.progress).

    `type` is one of `EVENT_TYPES`; `data` the whole object it is about, in the shape of this file.
    """

    stream: str
    seq: int | None
    time: str
    type: str
    id: str | None
    data: Any


class ErrorInfo(Reply, frozen=True, kw_only=True):
    """`code` stays the same from version to version, `message` and `hint` are for people."""

    code: str
    message: str
    hint: str | None
    retryable: bool
    details: dict[str, Any]


class ErrorReply(Reply, frozen=True, kw_only=True):
    """Body of every answer that is not 200."""

    error: ErrorInfo
