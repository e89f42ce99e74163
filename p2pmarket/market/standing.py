"""Standing keys: the keys by which we ask a seller who is asked alone and told who asks.

Rules. A request has a link key and a signing key of its own, so that strangers cannot connect two of them. Who is asked
alone and learns who asks, in the request itself, connects them anyway: requests to him share both keys, and so one link
carries them all, with one handshake, and the identity vouches for one key once. A standing key belongs to one seller at
one service key of his, as the key of a request does, and is never shown to another. It serves `STANDING_REQUESTS`
requests, so that what is said again over its link after a restore stays short, and a month, as the service key does. A
restored ledger begins new ones.
"""

from __future__ import annotations

from collections.abc import Sequence

from p2pmarket.keys import ExchangeKey, Secrets, SigningKey
from p2pmarket.limits import STANDING_REQUESTS
from p2pmarket.market.keyring import SERVICE_KEY_SECONDS
from p2pmarket.market.own_keys import sign_key
from p2pmarket.records import Record
from p2pmarket.store.ledger import Ledger
from p2pmarket.store.rows import StandingKey


def knows_us(ledger: Ledger, sellers: Sequence[Record], known_to: str) -> Record | None:
    """The seller whom a request goes to, if he is alone and is to learn who asks."""
    if len(sellers) != 1:
        return None
    told = known_to == "all" or (known_to == "contacts" and ledger.contacts.get(sellers[0].signer) is not None)
    return sellers[0] if told else None


def reply_key(ledger: Ledger, secrets: Secrets, seller: Record | None, wall: int) -> bytes:
    """The link key (public) of a new request: the standing one of `seller`, or one made for this request alone."""
    standing = ledger.standing_keys.of(seller.signer) if seller is not None else None
    if standing is not None and seller is not None and _serves(ledger, standing, seller, wall):
        return standing.public
    key = ExchangeKey.from_seed(secrets(32))
    ledger.keys.add(key.public, key.seed, "request", wall)
    if seller is not None:
        ledger.standing_keys.put(StandingKey(seller.signer, seller.announcement.service_key, key.public, wall))
    return key.public


def request_key(ledger: Ledger, secrets: Secrets, link_key: bytes) -> SigningKey:
    """The key that signs a new request: that of the others with its link key, or one made for this request alone."""
    other = ledger.requests.by_exchange(link_key)
    return sign_key(other) if other is not None else SigningKey.from_seed(secrets(32))


def _serves(ledger: Ledger, standing: StandingKey, seller: Record, wall: int) -> bool:
    """Whether it is still good for one more request."""
    if standing.service != seller.announcement.service_key or wall - standing.made >= SERVICE_KEY_SECONDS:
        return False
    return ledger.requests.count_of_exchange(standing.public) < STANDING_REQUESTS
