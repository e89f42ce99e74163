"""A rating as anybody finds it: without the deal, the thread, or whoever it was sent to.

Rules. A rating carries both sides' signatures of their deal, so it is checked alone. It is sealed for the rated side,
whom it names itself: the reader derives the recipient from the signer. It is short enough to be a record of the DHT.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from p2pmarket import codec, limits
from p2pmarket.errors import BadMessage, Refusal
from p2pmarket.network import Network
from p2pmarket.trade.check_quarrel import check_rating_alone
from p2pmarket.trade.documents import Opened, Rating, document_untrusted, kind_of, unpack_untrusted
from p2pmarket.trade.values import Aspect

KIND = kind_of(Rating)
OVERALL = "overall"  # the aspect that sums a rating up


def rating_untrusted(envelope: bytes, network: Network, wall: int) -> Opened:
    """The rating in `envelope` if everything about it holds at `wall` (UTC seconds). Raises BadMessage."""
    if len(envelope) > limits.RECORD_BYTES:
        raise BadMessage(f"a rating is at most {limits.RECORD_BYTES} bytes")
    match codec.decode_untrusted(envelope, max_items=5, max_depth=2):
        case [bytes(protected), _, bytes(payload), _]:
            rating = unpack_untrusted(KIND, payload)
        case _:
            raise BadMessage("not a COSE_Sign1 envelope")
    assert isinstance(rating, Rating)
    rated = rating.seller if protected.endswith(rating.buyer) else rating.buyer
    opened = document_untrusted(KIND, envelope, network, rated)
    try:
        check_rating_alone(network, opened, wall)
    except Refusal as refusal:
        raise BadMessage(f"the rating does not hold: {refusal.message}") from refusal
    return opened


def is_rating(envelope: bytes) -> bool:
    """Whether an envelope claims to hold a rating: by its kind's number and the nonce after it. Proves nothing."""
    start = _PAYLOAD_AT + (3 if envelope[_PAYLOAD_AT : _PAYLOAD_AT + 1] == b"\x59" else 2)
    return envelope[start + 1 : start + 3] == _RATING_BEGINS


_PAYLOAD_AT = 1 + 2 + 38 + 1  # after the heads of array and header, the header (38 bytes), and an empty map
_RATING_BEGINS = bytes([KIND, 0x50])  # behind the array's head: the number, then the head of 16 bytes


def stars_of(aspects: Sequence[Aspect]) -> Fraction:
    """One number for a rating: what its rater called `overall`, else the mean of its aspects."""
    scores = [aspect.score for aspect in aspects if aspect.name == OVERALL] or [aspect.score for aspect in aspects]
    return Fraction(sum(scores), len(scores))


def stars_text(stars: Fraction) -> str:
    """One decimal place, half up: "4.5"."""
    tenths = int(stars * 10 + Fraction(1, 2))
    return f"{tenths // 10}.{tenths % 10}"
