"""What the local API is asked about ratings, disputes and proofs: see `api.types.bodies` for the rules."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from p2pmarket import limits
from p2pmarket.api.types.bodies import Body, Text, Word

Stars = Annotated[int, Meta(ge=1, le=5)]


class NewRating(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Stars from 1 (bad) to 5 (good): one for all (`stars`), or by `aspects` (see `vocab.judging`)."""

    stars: Stars | None = None
    aspects: dict[str, Stars] = field(default_factory=dict)
    text: Text | None = None
    url: Annotated[str, Meta(max_length=limits.URL_CHARS)] | None = None


class NewAttachment(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file by its SHA-256 (hex); its bytes travel elsewhere."""

    name: Annotated[str, Meta(min_length=1, max_length=limits.NAME_CHARS)]
    sha256: Annotated[str, Meta(min_length=64, max_length=64)]
    size: Annotated[int, Meta(ge=0, le=2**40)]
    media: Annotated[str, Meta(min_length=1, max_length=100)] | None = None


class NewDispute(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A step of a dispute. `open` needs a `reason` (see `vocab.judging`), `statement` words or attachments.

    `proposal` needs an `outcome`.

    `amount` ("12.50 EUR") or `share` (0 to 1 of the total): what goes back to the buyer. `about`: the id of the
    dispute, or of the proposal to accept; may be left out where there is only one.
    """

    step: Literal["open", "statement", "proposal", "accept", "close"]
    about: str | None = None
    reason: Word | None = None
    outcome: Word | None = None
    amount: str | None = None
    share: str | None = None
    text: Text | None = None
    attachments: Annotated[list[NewAttachment], Meta(max_length=16)] = field(default_factory=list)


class NewOpinion(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A referee's opinion, from the deal's file `data` of either side. `dispute` may be left out if there is one."""

    data: bytes
    outcome: Word
    dispute: str | None = None
    amount: str | None = None
    share: str | None = None
    text: Text | None = None


class ImportFile(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of evidence: a deal with an opinion, or a proof."""

    data: bytes
