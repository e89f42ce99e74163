"""The keys of a request of ours, from its row."""

from __future__ import annotations

from functools import lru_cache

from p2pmarket.errors import StoreError
from p2pmarket.keys import SigningKey
from p2pmarket.market.papers import payload_of
from p2pmarket.network import Network
from p2pmarket.store import rows
from p2pmarket.trade.documents import Opened, seal_document


def sign_key(row: rows.Request) -> SigningKey:
    """The key that signed a request of ours."""
    if row.sign_seed is None:
        raise StoreError("a request of ours without its key")
    return _signing_key(bytes(row.sign_seed))


@lru_cache(maxsize=64)
def _signing_key(seed: bytes) -> SigningKey:
    return SigningKey.from_seed(seed)


def sealed_for(seller: bytes, row: rows.Request, kept: Opened, network: Network) -> Opened:
    """A request of ours as this seller gets it."""
    if kept.recipient == seller:
        return kept
    return seal_document(kept.document, sign_key(row), network, seller, payload_of(kept.envelope))


def exchange_of(row: rows.Request) -> bytes:
    """The X25519 key (public) of a request of ours."""
    if row.exchange_public is None:
        raise StoreError("a request of ours without its link key")
    return bytes(row.exchange_public)
