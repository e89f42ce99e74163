"""What the local API answers about ratings, disputes and proofs."""

from __future__ import annotations

from typing import Literal

from p2pmarket.api.types.trade import Deal
from p2pmarket.api.types.values import Money, Peer, Reply, Role, Score

DisputeState = Literal["open", "settled", "closed"]
DisputeVerb = Literal["open", "statement", "proposal", "accept", "opinion", "close"]
By = Literal["me", "other", "referee"]


class Aspect(Reply, frozen=True, kw_only=True):
    """One thing rated, from 1 (bad) to 5 (good)."""

    name: str
    score: int


class Rating(Reply, frozen=True, kw_only=True):
    """What one side of a deal says of the other. `stars`: the mean of its aspects, or the one called `overall`.

    `deal` and `request` name the deal that both signed; `role` is the rater's in it. `seen_at`: when it was last found
    in the network, null for those of our own deals.
    """

    id: str
    deal: str
    request: str
    rater: Peer
    rated: Peer
    role: Role
    aspects: list[Aspect]
    stars: str
    text: str | None
    url: str | None
    issued_at: str
    seen_at: str | None


class RatingReply(Reply, frozen=True, kw_only=True):
    """Answer to `market rate`; `created` is false if the same was said before."""

    rating: Rating
    created: bool


class Ratings(Reply, frozen=True, kw_only=True):
    """All ratings of one peer that are known here, our own first, then those of contacts, then the newest.

    `holders`: how many nodes were asked just now; null if what was found before is still fresh.
    """

    peer: Peer
    own: Score | None
    contacts: Score | None
    others: Score | None
    ratings: list[Rating]
    holders: int | None


class DisputeMove(Reply, frozen=True, kw_only=True):
    """One signed step of a dispute. `share`: the part of the total (0 to 1) that goes back to the buyer."""

    id: str
    step: DisputeVerb
    by: By
    about: str | None
    reason: str | None
    outcome: str | None
    amount: Money | None
    share: str | None
    text: str | None
    attachments: list[str]
    issued_at: str


class Dispute(Reply, frozen=True, kw_only=True):
    """A dispute by the step that opened it; `proposals` are those that nobody has answered, by their ids."""

    id: str
    deal: str
    state: DisputeState
    opened_by: By
    reason: str | None
    referee: str | None
    proposals: list[str]
    moves: list[DisputeMove]


class DisputeReply(Reply, frozen=True, kw_only=True):
    """Answer to a step of ours; `created` is false if the same step was taken before."""

    deal: Deal
    dispute: Dispute
    created: bool


class Disputes(Reply, frozen=True, kw_only=True):
    """The disputes about one deal, the newest last."""

    deal: Deal
    disputes: list[Dispute]


class OpinionReply(Reply, frozen=True, kw_only=True):
    """A referee's opinion. `data`: the deal's file with the opinion in it (base64 in JSON), for both sides."""

    deal: str
    dispute: str
    opinion: str
    name: str
    data: bytes
    created: bool


class Imported(Reply, frozen=True, kw_only=True):
    """What was taken from a file: the ids of `opinions` about a deal of ours, or of a proof against somebody."""

    kind: Literal["deal", "equivocation"]
    deal: str | None
    opinions: list[str]
    proof: str | None
    created: bool


class Proof(Reply, frozen=True, kw_only=True):
    """Two documents by which somebody contradicts himself."""

    id: str
    signer: Peer
    kind: str
    documents: list[str]
    found_at: str


class Proofs(Reply, frozen=True, kw_only=True):
    """Newest first."""

    proofs: list[Proof]
