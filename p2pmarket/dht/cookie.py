"""Cookies: proof of address without memory, asked for when too many strangers call.

A cookie is a keyed BLAKE2s over address, port and a time slot of `limits.COOKIE_SECONDS`; that of the present and of
the last slot are good. So it lives one to two slots, and nothing is stored for whoever asks (the idea of WireGuard's
and QUIC's retry). The key is drawn when the node starts and is never sent.
"""

from __future__ import annotations

import hashlib
import hmac

from p2pmarket import limits

COOKIE_BYTES = 16
NO_COOKIE = bytes(COOKIE_BYTES)


class Cookies:
    """Makes and checks the cookies of one node."""

    def __init__(self, secret: bytes) -> None:
        """`secret`: 32 bytes."""
        self._secret = secret

    def cookie(self, address: tuple[str, int], now: float) -> bytes:
        """What proves that packets to `address` arrive there."""
        return self._at(int(now // limits.COOKIE_SECONDS), address)

    def good(self, cookie: bytes, address: tuple[str, int], now: float) -> bool:
        """Whether `cookie` was given to `address` in this time slot or the last."""
        if cookie == NO_COOKIE:  # as in most calls of a flood
            return False
        slot = int(now // limits.COOKIE_SECONDS)
        return any(hmac.compare_digest(cookie, self._at(slot - back, address)) for back in (0, 1))

    def _at(self, slot: int, address: tuple[str, int]) -> bytes:
        host, port = address
        return hashlib.blake2s(f"{slot} {port} {host}".encode(), key=self._secret, digest_size=COOKIE_BYTES).digest()


class Allowance:
    """So many a second, and `burst` at once after a quiet while (a token bucket)."""

    __slots__ = ("_burst", "_left", "_rate", "_then")

    def __init__(self, per_second: float, burst: float) -> None:
        """Full at first."""
        self._rate = per_second
        self._left = self._burst = burst
        self._then = float("-inf")

    def take(self, now: float) -> bool:
        """Use one up, if there is one."""
        self._left = min(self._burst, self._left + (now - self._then) * self._rate)
        self._then = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
