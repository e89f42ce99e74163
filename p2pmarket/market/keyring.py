"""Our X25519 keys that links are encrypted to, found by public key or by the hint that opens a connection.

The service key is named in announcements and changes every month; the one before stays usable for whoever still holds
an old announcement. Each request of ours has a key of its own, so that two requests share nothing; those to one seller
alone who is told who asks share one (`market.standing`).
"""

from __future__ import annotations

from p2pmarket.keys import ExchangeKey, Secrets, digest
from p2pmarket.limits import DAY
from p2pmarket.store.ledger import Ledger

SERVICE_KEY_SECONDS = 30 * DAY
SERVICE_KEYS_KEPT = 3
HINT_BYTES = 8


class KeyRing:
    """Keys in memory; the ledger holds their seeds."""

    def __init__(self) -> None:
        self._by_public: dict[bytes, ExchangeKey] = {}
        self._by_hint: dict[bytes, ExchangeKey] = {}
        self._service: ExchangeKey | None = None

    def add(self, key: ExchangeKey) -> None:
        """Answer links to this key from now on."""
        self._by_public[key.public] = key
        self._by_hint[digest(key.public)[:HINT_BYTES]] = key

    def drop(self, public: bytes) -> None:
        """Answer links to this key no longer."""
        self._by_public.pop(public, None)
        self._by_hint.pop(digest(public)[:HINT_BYTES], None)

    def get(self, public: bytes) -> ExchangeKey | None:
        """Our key with that public part."""
        return self._by_public.get(public)

    def by_hint(self, hint: bytes) -> ExchangeKey | None:
        """Our key that a connection asks for."""
        return self._by_hint.get(hint)

    @property
    def service(self) -> ExchangeKey:
        """The key that announcements name."""
        assert self._service is not None, "load() comes first"
        return self._service

    def load(self, ledger: Ledger, secrets: Secrets, wall: int) -> None:
        """Read the keys; make a service key if there is none or the newest is a month old."""
        services = ledger.keys.all("service")
        if not services or wall - services[0][2] > SERVICE_KEY_SECONDS:
            key = ExchangeKey.from_seed(secrets(32))
            ledger.keys.add(key.public, key.seed, "service", wall)
            services = ledger.keys.all("service")
        for _, seed, _ in services[:SERVICE_KEYS_KEPT]:
            self.add(ExchangeKey.from_seed(bytes(seed)))
        self._service = ExchangeKey.from_seed(bytes(services[0][1]))
        for _, seed, _ in ledger.keys.all("request"):
            self.add(ExchangeKey.from_seed(bytes(seed)))
