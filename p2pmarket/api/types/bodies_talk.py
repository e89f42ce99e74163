"""Bodies of the routes about talk: counters, amended orders, notes, the address book. Rules as in `types.bodies`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, field

from p2pmarket import limits
from p2pmarket.api.types.bodies import Body, LineNo, LineText, Name, NewCharge, Text, UtcOffset, Word

Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Deals = Annotated[list[str], Meta(max_length=16)]


class RevisedLine(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Line `no` of the offer, changed; what is null stays. `price` is for as much as the line's price is for.

    A line of the request that the offer leaves out is added if it has a price. `quantity`: "15" or "15 kg".
    """

    no: LineNo
    price: str | None = None
    quantity: str | None = None
    text: LineText | None = None


class Revision(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be different from the offer that one starts from; all else stays, and the result is sent in full.

    `drop`: lines left out. A charge replaces all of its kind, zero takes it away. `total`: what all of it is to come
    to; the difference is written as one charge, of which a part of the offer bears its part. `valid`: "3d" or an
    instant; a new version without it is good for as long as the one before.
    """

    lines: Annotated[list[RevisedLine], Meta(max_length=limits.DOCUMENT_LINES)] = field(default_factory=list)
    drop: Annotated[list[LineNo], Meta(max_length=limits.DOCUMENT_LINES)] = field(default_factory=list)
    total: str | None = None
    charges: Annotated[list[NewCharge], Meta(max_length=limits.CHARGES)] = field(default_factory=list)
    valid: str | None = None
    utc_offset_s: UtcOffset = 0
    divisible: bool | None = None
    delivery_days: Annotated[int, Meta(ge=0, le=3650)] | None = None
    delivery_latest: str | None = None
    incoterm: Word | None = None
    place: LineText | None = None
    ships_from: Word | None = None
    cancel_days: Annotated[int, Meta(ge=0, le=3650)] | None = None
    payment_terms: Text | None = None
    text: Text | None = None


class NewCounter(Revision, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A counter to a quote; from its seller a new version of it, or what he offers instead of a buyer's counter."""


class Amend(Revision, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An order accepted with changes. `upstream`: deals of ours that the new version depends on, told to the buyer."""

    upstream: Deals = field(default_factory=list)


class NamedFile(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file by its hash; the file itself does not travel."""

    name: Name
    size: Annotated[int, Meta(ge=0, le=2**40)]
    sha256: Sha256
    media: Annotated[str, Meta(min_length=1, max_length=100)] | None = None


class NewNote(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something to say about a request, quote, counter, order or deal, or in answer to a note, by its id.

    A note about a request of ours goes to all sellers who got it, or to those in `to` (fingerprint or name).
    """

    about: str
    text: Text | None = None
    attachments: Annotated[list[NamedFile], Meta(max_length=16)] = field(default_factory=list)
    to: Annotated[list[str], Meta(max_length=limits.SELLERS_ASKED)] = field(default_factory=list)


class AddContact(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`peer`: did:key, fingerprint or name of somebody known here, or the id of a quote, order or deal with him.

    `name` null: the name that he announces.
    """

    peer: Annotated[str, Meta(min_length=1, max_length=limits.NAME_CHARS)]
    name: Name | None = None


class RemoveContact(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`contact`: our name for him, his fingerprint or did:key."""

    contact: Annotated[str, Meta(min_length=1, max_length=limits.NAME_CHARS)]
