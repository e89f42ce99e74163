"""Standing keys: the link key by which we ask a seller who is asked alone and told who asks.

Rules. A request has a link key of its own, so that strangers cannot connect two of them. Who is asked alone and learns
who asks, in the request itself, connects them anyway: requests to him share a key, and so one link carries them all,
with one handshake. A standing key belongs to one seller and is never shown to another. It serves `STANDING_REQUESTS`
requests, so that what is said again over its link after a restore stays short, and a month, as the service key does. A
restored ledger begins new ones.
"""

from __future__ import annotations

from collections.abc import Sequence

from p2pmarket.keys import ExchangeKey, Secrets
from p2pmarket.limits import STANDING_REQUESTS
from p2pmarket.market.keyring import SERVICE_KEY_SECONDS
from p2pmarket.store.ledger import Ledger


def knows_us(ledger: Ledger, sellers: Sequence[bytes], known_to: str) -> bool:
    """Whether a request to these sellers goes to one alone who is to learn who asks."""
    if len(sellers) != 1:
        return False
    return known_to == "all" or (known_to == "contacts" and ledger.contacts.get(sellers[0]) is not None)


def reply_key(ledger: Ledger, secrets: Secrets, seller: bytes | None, wall: int) -> bytes:
    """The link key (public) of a new request: the standing one of `seller`, or one made for this request alone."""
    standing = ledger.standing_keys.of(seller) if seller is not None else None
    if standing is not None and _still_serves(ledger, *standing, wall):
        return standing[0]
    key = ExchangeKey.from_seed(secrets(32))
    ledger.keys.add(key.public, key.seed, "request", wall)
    if seller is not None:
        ledger.standing_keys.put(seller, key.public, wall)
    return key.public


def _still_serves(ledger: Ledger, public: bytes, made: int, wall: int) -> bool:
    return wall - made < SERVICE_KEY_SECONDS and ledger.requests.count_of_exchange(public) < STANDING_REQUESTS
