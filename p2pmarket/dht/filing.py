"""What the DHT keeps beside announcements: ratings, filed as records so that holders and readers treat both alike.

A rating lies under the topic of whom it rates, which moves weekly as all topics do, and under no other. There a rater
has one place, as a seller has under his category: of his ratings of one peer, for however many deals, the newest
counts. The rater publishes it while he is online, and the rated peer those that he holds; each place counts for the
group it was put from, so neither of them can fill the topic. It is dropped like any record two hours after the last
put: a rating has no end of its own, and its record is dated by the holder.
"""

from __future__ import annotations

from p2pmarket import keys
from p2pmarket.dht.topics import read_keys
from p2pmarket.errors import BadMessage
from p2pmarket.limits import RECORD_SECONDS
from p2pmarket.network import Network
from p2pmarket.records import WORLD, Announcement, Record
from p2pmarket.records import record_untrusted as announcement_untrusted
from p2pmarket.trade.documents import Rating
from p2pmarket.trade.ratings import is_rating, rating_untrusted

_RATED = "RATED "  # no category begins so: categories are folded to lower case


def rating_topics(network: Network, rated: bytes, wall: int) -> tuple[bytes, ...]:
    """The topics of a peer's ratings at `wall` (UTC seconds): one, or two around the weekly change."""
    return read_keys(network, _RATED + keys.did_key(rated), None, wall)


def record_untrusted(envelope: bytes, network: Network, wall: int) -> Record:
    """The announcement or rating in `envelope` as a record, if everything about it holds. Raises BadMessage."""
    if not is_rating(envelope):
        return announcement_untrusted(envelope, network, wall)
    opened = rating_untrusted(envelope, network, wall)
    rating = opened.document
    if not isinstance(rating, Rating) or rating.issued_at >= 2**40:
        raise BadMessage("not a rating")
    filed = Announcement(
        epoch=rating.issued_at,
        seq=rating.version,
        issued=wall,
        expires=wall + RECORD_SECONDS,
        category=_RATED + keys.did_key(opened.recipient),
        regions=(WORLD,),
        located=None,
        name="",
        service_key=opened.signer,
        routes=(),
        versions=(1, 1),
        withdrawn=False,
    )
    return Record(filed, opened.signer, envelope, opened.hash, network.name)
