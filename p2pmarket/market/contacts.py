"""The address book: who is in it, how somebody is named, and what a request tells him. Inside one transaction.

A contact is an identity under a name of our own. His newest announcement is kept with it, so that he can be asked by
name when the cache has forgotten him. Contacts see the identity behind a request unless it says otherwise: they get it
in a note right behind the request, so that all sellers still have one and the same request.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from p2pmarket import codec, keys, limits
from p2pmarket.api import types as t
from p2pmarket.api.types import bodies_talk as b
from p2pmarket.errors import BadInput, LimitReached, NotFound
from p2pmarket.market.papers import payload_of
from p2pmarket.records import Announcement
from p2pmarket.store import rows
from p2pmarket.store.cache import Seller
from p2pmarket.store.ledger import Ledger
from p2pmarket.vocab.deadlines import instant_text
from p2pmarket.vocab.texts import normal_text


@dataclass(frozen=True, slots=True)
class Known:
    """Somebody as far as he is known here: the name he announces, and his newest announcement."""

    identity: bytes
    name: str | None
    record: bytes | None


def add(
    ledger: Ledger, body: b.AddContact, meant: bytes | None, sellers: Iterable[Seller], own: bytes, wall: int
) -> tuple[bytes, bool]:
    """Put somebody into the address book, or give him another name; False if nothing changed.

    `meant`: his identity, if it is known already. Raises BadInput, NotFound, LimitReached.
    """
    known = _with_record(ledger, meant, list(sellers)) if meant else find(ledger, body.peer, list(sellers), half=True)
    if known.identity == own:
        raise BadInput("that is yourself", hint="Contacts are others")
    before = ledger.contacts.get(known.identity)
    name = " ".join((body.name or (before.name if before else None) or known.name or "").split())
    if not name:
        raise BadInput("he announces no name", hint="Say what you call him: market contacts add PEER NAME")
    other = ledger.contacts.named(normal_text(name))
    if other is not None and other.identity != known.identity:
        raise BadInput(
            f"{name!r} is {keys.fingerprint(other.identity)} already", hint="Give another name after the peer"
        )
    if before is None and len(ledger.contacts.all()) >= limits.CONTACTS:
        raise LimitReached(f"the address book holds {limits.CONTACTS}", hint="market contacts remove NAME")
    record = known.record or (before.record if before else None)
    added = before.added if before else wall
    row = rows.Contact(known.identity, name, normal_text(name), record, added)
    ledger.contacts.put(row)
    return known.identity, before != row


def remove(ledger: Ledger, name: str) -> rows.Contact | None:
    """Take somebody out; None if he is not in it."""
    found = named(ledger, name)
    if found is not None:
        ledger.contacts.remove(found.identity)
    return found


def named(ledger: Ledger, name: str) -> rows.Contact | None:
    """The contact that our name for him, a fingerprint or a did:key means."""
    found = ledger.contacts.named(normal_text(name))
    if found is not None:
        return found
    word = name.strip().casefold()
    return next((one for one in ledger.contacts.all() if word in _names(one.identity)), None)


def view(ledger: Ledger, row: rows.Contact, categories: Iterable[str] = ()) -> t.Contact:
    """A contact as the local API shows him."""
    announced = _announcement(row.record)
    seen = [announced.category] if announced is not None else []
    return t.Contact(
        name=row.name,
        key=keys.did_key(row.identity),
        fingerprint=keys.fingerprint(row.identity),
        announced_name=(announced.name or None) if announced is not None else None,
        categories=sorted({*seen, *categories}),
        deals=ledger.contacts.deals_with(row.identity),
        added_at=instant_text(row.added),
    )


def _announcement(record: bytes | None) -> Announcement | None:
    return codec.unpack_untrusted(payload_of(record), Announcement) if record is not None else None


def find(ledger: Ledger, peer: str, sellers: list[Seller], *, half: bool = False) -> Known:
    """Whom a did:key, fingerprint, name or the id of something of his means. Raises NotFound, BadInput.

    With `half` the first five characters of a fingerprint do, where they fit one known peer: anybody can make a key
    that has them, so this is for looking, not for what binds.
    """
    text = peer.strip()
    word = text.casefold()
    if len(text) > 2 and text[1] == "-" and (found := _of_thing(ledger, text)) is not None:
        return _with_record(ledger, found, sellers)
    book = named(ledger, text)
    fits = {book.identity} if book is not None else set()
    fits |= {seller.identity for seller in sellers if word == seller.name.casefold()}
    known = {*(seller.identity for seller in sellers), *ledger.contacts.parties()}
    known |= {one.identity for one in ledger.contacts.all()}
    fits |= {one for one in known if word in _names(one) or (half and word == _half(one))}
    if not fits and text.lower().startswith("did:key:"):
        fits = {keys.parse_did_key(text)}
    if len(fits) > 1:
        raise BadInput(f"{text!r} fits {len(fits)} peers", hint="Give the fingerprint beside the name, or the did:key")
    if not fits:
        raise NotFound(
            f"nobody {text!r} is known here", hint="Give a did:key, or the id of a quote, order or deal with him"
        )
    return _with_record(ledger, fits.pop(), sellers)


def _of_thing(ledger: Ledger, id_: str) -> bytes | None:
    """The other side of a quote, order or deal, or the buyer of a request if he told who he is."""
    try:
        kept = ledger.documents.resolve(id_)
    except (NotFound, BadInput):
        return None
    if (order := ledger.orders.get(kept.hash)) is not None:
        return order.other
    quote = ledger.quotes.get(kept.hash)
    return quote.seller if quote is not None and not quote.ours else None


def _with_record(ledger: Ledger, identity: bytes, sellers: list[Seller]) -> Known:
    mine = [seller for seller in sellers if seller.identity == identity]
    newest = max(mine, key=lambda seller: seller.expires, default=None)
    asked = ledger.contacts.record_of(identity) if newest is None else None
    record = newest.record if newest is not None else asked
    announced = _announcement(record)
    return Known(identity, (announced.name or None) if announced is not None else None, record)


def _half(identity: bytes) -> str:
    return keys.fingerprint(identity).partition("-")[0]


def _names(identity: bytes) -> tuple[str, str]:
    return keys.fingerprint(identity), keys.did_key(identity).casefold()
