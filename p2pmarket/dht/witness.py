"""What others say about us: the address that they see us at, and how far their clocks are from ours.

One peer may lie, so peers count by where they are: each /16 of IPv4 (/32 of IPv6; in the network `dev` each address
with its port) has one voice. An address counts when three voices agree on it and no other has more; while fewer
voices exist at all, when all of them agree. Clocks count from eight voices on, by their median.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from statistics import median
from typing import Final

from p2pmarket.dht.contact import Address
from p2pmarket.network import Network, parse_ip

ADDRESS_VOICES: Final = 3
CLOCK_VOICES: Final = 8
_KEPT: Final = 32  # voices remembered
_IPV4_ADDRESS: Final = 6  # octets, packed with its port
_IPV6_ADDRESS: Final = 18
_CLOCK_STEP: Final = 30.0  # seconds by which the median must move to be told again


@lru_cache(maxsize=16_384)
def voice(network: Network, address: Address) -> bytes:
    """The unit that has one voice."""
    ip = parse_ip(address[0])
    packed = ip.packed if ip is not None else b""
    if network.group_by_port:
        return packed + address[1].to_bytes(2, "big")
    return packed[:2] if len(packed) == 4 else packed[:4]


class Witness:
    """Collects what answers say; remembers what was told last."""

    __slots__ = ("_heard", "_network", "_said", "address", "offset")

    def __init__(self, network: Network) -> None:
        self._network = network
        self._said: dict[bytes, tuple[bytes, float]] = {}  # packed address and clock by voice, oldest first
        self._heard = 0
        self.address: bytes | None = None
        self.offset: float | None = None

    def heard(self, source: Address, seen: bytes, offset: float) -> None:
        """A peer at `source` sees us at `seen` (packed); its clock is `offset` seconds ahead.

        What has not the length of an address is no voice at all.
        """
        if len(seen) not in (_IPV4_ADDRESS, _IPV6_ADDRESS):
            return
        who = voice(self._network, source)
        self._heard += 1
        said = self._said
        said.pop(who, None)
        said[who] = seen, offset
        if len(said) > _KEPT:
            del said[next(iter(said))]

    def new_address(self, known: Iterable[Address]) -> bytes | None:
        """The packed address agreed on, if it differs from the last; `known`: where all known nodes are."""
        if not self._said:
            return None
        ranked = Counter(seen for seen, _ in self._said.values()).most_common(2)
        best, votes = ranked[0]
        if best == self.address or (len(ranked) > 1 and ranked[1][1] == votes):
            return None
        voices = len({voice(self._network, address) for address in known} | set(self._said))
        if votes >= ADDRESS_VOICES or (voices < ADDRESS_VOICES and votes == len(self._said) == voices):
            self.address = best
            return best
        return None

    def new_offset(self) -> tuple[float, int] | None:
        """Median offset in seconds and the number of voices, if they are enough and it moved; looked at at times."""
        if len(self._said) < CLOCK_VOICES or (self.offset is not None and self._heard % _KEPT):
            return None
        offset = median(offset for _, offset in self._said.values())
        if self.offset is not None and abs(offset - self.offset) < _CLOCK_STEP:
            return None
        self.offset = offset
        return offset, len(self._said)
