"""Signed documents in the ledger: keeping them, queueing them, reading them back.

Rules: a document is kept and queued in the transaction that made it, and its bytes never change. What is read back was
checked when it came, so its signature is not checked again.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TypeVar

from p2pmarket import codec, limits
from p2pmarket.errors import NotFound, StoreError
from p2pmarket.keys import Secrets, SigningKey
from p2pmarket.limits import READ_BYTES, READ_KEPT
from p2pmarket.market.keyring import KeyRing
from p2pmarket.network import Network
from p2pmarket.store.ledger import Ledger
from p2pmarket.store.outbox import Link
from p2pmarket.store.rows import Document as Row
from p2pmarket.store.rows import Outgoing
from p2pmarket.trade import documents as d

Kind = TypeVar("Kind", bound=d.Document)


@dataclass(frozen=True, slots=True)
class Signer:
    """What it takes to write documents: network, identity, link keys, and where nonces come from."""

    network: Network
    identity: SigningKey
    keyring: KeyRing
    secrets: Secrets


def keep(ledger: Ledger, opened: d.Opened, thread: bytes, wall: int, *, ours: bool) -> None:
    """Write a document down for ever; `thread` is the hash of the request it belongs to."""
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
        until=until or wall + limits.SENDING_SECONDS,
        updated=wall,
    )
    ledger.outbox.queue(outgoing)


def payload_of(envelope: bytes) -> bytes:
    """The payload inside a kept envelope. Raises StoreError if the ledger was damaged."""
    match codec.decode_untrusted(envelope, max_items=8):
        case [_, _, bytes(payload), _]:
            return payload
    raise StoreError("a kept document is damaged")


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

    def of_row(self, row: Row) -> d.Document:
        """The struct of a row."""
        kept = self._read.get(row.hash)
        if kept is not None:
            return kept[0]
        found = d.unpack_untrusted(row.kind, payload_of(row.envelope))
        self._read[row.hash] = (found, len(row.envelope))
        self._bytes += len(row.envelope)
        while len(self._read) > READ_KEPT or self._bytes > READ_BYTES:
            _, (_, size) = self._read.popitem(last=False)
            self._bytes -= size
        return found

    def opened(self, row: Row) -> d.Opened:
        """The row as it was when it was opened or sealed."""
        return d.Opened(row.kind, row.signer, row.recipient, row.hash, self.of_row(row), row.envelope)
