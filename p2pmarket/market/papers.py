"""Signed documents in the ledger: keeping them, queueing them, reading them back.

Rules: a document is kept and queued in the transaction that made it, and its bytes never change. What is read back was
checked when it came, so its signature is not checked again.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TypeVar

from p2pmarket import codec, limits
from p2pmarket.errors import NotFound, StoreError, WrongState
from p2pmarket.keys import Secrets, SigningKey
from p2pmarket.limits import READ_BYTES, READ_KEPT
from p2pmarket.market.keyring import KeyRing
from p2pmarket.market.resending import take_along
from p2pmarket.network import Network
from p2pmarket.records import Announcement, unpacked_untrusted
from p2pmarket.store.ledger import Ledger
from p2pmarket.store.outbox import Link
from p2pmarket.store.rows import Asked, Outgoing
from p2pmarket.store.rows import Document as Row
from p2pmarket.trade import documents as d
from p2pmarket.trade.resending import NEVER

Kind = TypeVar("Kind", bound=d.Document)


@dataclass(frozen=True, slots=True)
class Signer:
    """What it takes to write documents: network, identity, link keys, and where nonces come from."""

    network: Network
    identity: SigningKey
    keyring: KeyRing
    secrets: Secrets


TWO_MACHINES = "two_machines"  # in the ledger's meta: since when our keys are known to be in use elsewhere


def keep(ledger: Ledger, opened: d.Opened, thread: bytes, wall: int, *, ours: bool) -> None:
    """Write a document down for ever; `thread` is the hash of the request it belongs to.

    Every signature of ours passes here: raises WrongState while nothing may be signed in this thread, or at all.
    """
    if ours:
        _may_sign(ledger, opened, thread)
    _add(ledger, opened, thread, wall, ours=ours)


def keep_returned(ledger: Ledger, opened: d.Opened, thread: bytes, link: Link, wall: int) -> None:
    """Write down a document of ours that a restored ledger had lost, and whose recipient gave it back."""
    _add(ledger, opened, thread, wall, ours=True)
    queue(ledger, opened, thread, link, wall)
    sent = ledger.outbox.of_document(opened.hash, opened.recipient)
    if sent is not None:
        ledger.outbox.set_state(sent, "delivered", None, wall)


def may_sign(ledger: Ledger, thread: bytes, *parties: bytes) -> bool:
    """Whether we may sign anything in a thread between these parties now."""
    return ledger.meta.get(TWO_MACHINES) is None and not ledger.recalls.is_read_only(thread, *parties)


def check_alone(ledger: Ledger) -> None:
    """Raise WrongState if another machine uses our keys."""
    if ledger.meta.get(TWO_MACHINES) is not None:
        raise WrongState(
            "another machine uses this identity, so nothing is signed here",
            hint="Stop marketd there for good, then say here: market resume --this-machine",
        )


def _may_sign(ledger: Ledger, opened: d.Opened, thread: bytes) -> None:
    check_alone(ledger)
    if ledger.recalls.is_read_only(thread, opened.signer, opened.recipient):
        raise WrongState(
            "this was restored from a backup: nothing is signed until the other side has returned what is missing",
            hint="Wait until he is online; or, if you know that nothing is missing: market resume ID",
        )


def _add(ledger: Ledger, opened: d.Opened, thread: bytes, wall: int, *, ours: bool) -> None:
    row = Row(
        seq=0,
        hash=opened.hash,
        kind=opened.kind,
        id=opened.id,
        thread=thread,
        ours=int(ours),
        signer=opened.signer,
        recipient=opened.recipient,
        envelope=opened.envelope,
        time=wall,
        ack=None,
    )
    ledger.documents.add(row)


def queue(ledger: Ledger, opened: d.Opened, thread: bytes, link: Link, wall: int, until: int | None = None) -> None:
    """Put a document into the outbox for its recipient; it is tried until `until`, at least for a week."""
    until = until or wall + limits.SENDING_SECONDS
    if opened.kind not in NEVER:
        take_along(ledger, thread, link, until, wall)
    outgoing = Outgoing(
        seq=0,
        hash=opened.hash,
        kind=opened.kind,
        thread=thread,
        recipient=opened.recipient,
        local=link[0],
        remote=link[1],
        envelope=opened.envelope,
        state="queued",
        reason=None,
        until=until,
        updated=wall,
    )
    ledger.outbox.queue(outgoing)


def payload_of(envelope: bytes) -> bytes:
    """The payload inside a kept envelope. Raises StoreError if the ledger was damaged."""
    match codec.decode_untrusted(envelope, max_items=8):
        case [_, _, bytes(payload), _]:
            return payload
    raise StoreError("a kept document is damaged")


def announcement_of(asked: Asked) -> Announcement:
    """The announcement by which a seller was found, or a newer one seen since."""
    return announcement_in(asked.record)


def announcement_in(envelope: bytes) -> Announcement:
    """The announcement in a kept envelope; its signature held when it came."""
    return unpacked_untrusted(payload_of(envelope))


def is_seen(row: Row) -> bool:
    """Whether the sender of a document has been told that a person looked at it."""
    if row.ack is None:
        return False
    said = d.unpack_untrusted(d.ACKNOWLEDGEMENT, payload_of(row.ack))
    return isinstance(said, d.Acknowledgement) and said.status == "seen"


class Reader:
    """Kept documents as structs; the last ones read stay decoded."""

    def __init__(self) -> None:
        self._read: OrderedDict[bytes, tuple[d.Document, int]] = OrderedDict()
        self._bytes = 0

    def document(self, ledger: Ledger, hash_: bytes, cls: type[Kind]) -> Kind:
        """The document with that hash; NotFound if it is not here or of another kind."""
        kept = self._read.get(hash_)
        if kept is not None:
            found = kept[0]
        else:
            row = ledger.documents.get(hash_)
            if row is None:
                raise NotFound("that document is not here")
            found = self.of_row(row)
        if not isinstance(found, cls):
            raise NotFound(f"that id names another thing, not a {cls.__name__.lower()}")
        return found

    def keep(self, ledger: Ledger, opened: d.Opened, thread: bytes, wall: int, *, ours: bool) -> None:
        """Write a document down, as `keep` does; it will be read soon."""
        keep(ledger, opened, thread, wall, ours=ours)
        self._remember(opened.hash, opened.document, len(opened.envelope))

    def of_row(self, row: Row) -> d.Document:
        """The struct of a row."""
        kept = self._read.get(row.hash)
        if kept is not None:
            return kept[0]
        found = d.unpack_untrusted(row.kind, payload_of(row.envelope))
        self._remember(row.hash, found, len(row.envelope))
        return found

    def _remember(self, hash_: bytes, found: d.Document, size: int) -> None:
        """Keep it decoded: what a hash stands for never changes, even if the work that wrote it down is undone."""
        if hash_ in self._read:
            return
        self._read[hash_] = (found, size)
        self._bytes += size
        while len(self._read) > READ_KEPT or self._bytes > READ_BYTES:
            _, (_, gone) = self._read.popitem(last=False)
            self._bytes -= gone

    def opened(self, row: Row) -> d.Opened:
        """The row as it was when it was opened or sealed."""
        return d.Opened(row.kind, row.signer, row.recipient, row.hash, self.of_row(row), row.envelope)
