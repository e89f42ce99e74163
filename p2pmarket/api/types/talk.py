"""What the local API answers about talk before and beside a deal: counters, notes, the address book, files by hash."""

from __future__ import annotations

from typing import Literal

from p2pmarket.api.types.priced import Priced
from p2pmarket.api.types.trade import Order, Quote
from p2pmarket.api.types.values import Delivery, Peer, Reply

CounterState = Literal["open", "answered", "declined", "expired"]


class Difference(Reply, frozen=True, kw_only=True):
    """What a counter or a new version changes: `what` names it ("line 1 price"), null where there is nothing."""

    what: str
    before: str | None
    after: str | None


class Counter(Priced, frozen=True, kw_only=True):
    """The buyer's wish for another version of a quote, in full; `differences` to the `quote` that it answers.

    `state`: open waits for the seller; answered by a later version, `declined` by his word, or nobody minds any more.
    """

    quote: str
    state: CounterState
    differences: list[Difference]
    reason: str | None
    reply: str | None


class CounterReply(Reply, frozen=True, kw_only=True):
    """Answer to `market counter`: from the buyer a `counter`, from the seller a new version of his `quote`.

    `differences` are those to what stood before; `created` is false on a repeat.
    """

    counter: Counter | None
    quote: Quote | None
    differences: list[Difference]
    created: bool


class Attachment(Reply, frozen=True, kw_only=True):
    """A file that a note names: `size` in bytes, `sha256` in hex. The file itself is handed over by other means."""

    name: str
    size: int
    sha256: str
    media: str | None


class Note(Reply, frozen=True, kw_only=True):
    """What one side said. `about` is the id of a request, quote, counter or order; `sender` me or other.

    `introduces`: the identity (did:key) that the buyer makes known by it. `delivery` of a note of ours.
    """

    id: str
    about: str
    answers: str | None
    sender: Literal["me", "other"]
    peer: Peer
    text: str | None
    attachments: list[Attachment]
    introduces: str | None
    issued_at: str
    delivery: Delivery | None


class NotesReply(Reply, frozen=True, kw_only=True):
    """Answer to `market note`: one note for each recipient; `created` is false on a repeat."""

    notes: list[Note]
    created: bool


class FoundFile(Reply, frozen=True, kw_only=True):
    """The notes that name a file with this hash, the oldest first; none: nobody has spoken of it."""

    sha256: str
    notes: list[Note]


class AmendReply(Reply, frozen=True, kw_only=True):
    """The order as it stands now, and the new version of the quote that the buyer may order."""

    order: Order
    quote: Quote
    differences: list[Difference]
    created: bool


class Contact(Reply, frozen=True, kw_only=True):
    """Somebody in the address book; `name` is ours for him. `categories`: what he was last seen to announce."""

    name: str
    key: str
    fingerprint: str
    announced_name: str | None
    categories: list[str]
    deals: int
    added_at: str


class Contacts(Reply, frozen=True, kw_only=True):
    """The address book, by name."""

    contacts: list[Contact]


class ContactReply(Reply, frozen=True, kw_only=True):
    """`created`: whether anything was changed."""

    contact: Contact
    created: bool
    removed: bool
