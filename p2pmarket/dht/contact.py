"""Contacts: who a node is and where it is reached.

A node id has 256 bits: 21 from its IP address and r (one of eight ids an address may have), 235 from the hash of its
node key. Whoever owns few addresses therefore cannot choose where in the key space his nodes stand, and whoever
reads a contact derives the id himself, so that it cannot be claimed:

    id = SHA-256(masked address ‖ r)[first 21 bits] ‖ SHA-256(node key)[first 235 bits]

The mask leaves of an IPv4 address 03.0f.3f.ff, as in BEP 42, of an IPv6 address the top 48 bits. (BEP 42 takes a
CRC-32C instead of a hash; the idea is the same.)

Packed, a contact is 39 or 51 bytes: r (plus 8 for IPv6), key, address, port; packed contacts can stand one after
another. In text it is `NODEKEY.r@HOST:PORT` with the key in lower-case base32 and an IPv6 host in brackets.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import repeat
from struct import Struct
from typing import Final

from p2pmarket.errors import BadInput, BadMessage
from p2pmarket.network import Network, parse_ip

Address = tuple[str, int]

ID_BITS: Final = 256
ADDRESS_BITS: Final = 21
PACKED_IPV4: Final = 39
PACKED_IPV6: Final = 51
_PACKED_ADDRESS_IPV4: Final = 6
_ALL_IPV4: Final = Struct(f"{PACKED_IPV4}s")
_KEY_BITS: Final = ID_BITS - ADDRESS_BITS
_IPV6_FLAG: Final = 8
_IPV4_MASK: Final = 0x030F3FFF
_TEXT = re.compile(r"([a-z2-7]{52})\.([0-7])@(\[[0-9a-f:.]+\]|[^\[\]@\s:]+):([0-9]{1,5})", re.ASCII)


class Contact:
    """A node: its public key, where it is, which of the eight ids of its address it uses, and the id that follows."""

    __slots__ = ("_group", "address", "host", "id", "long_id", "packed", "port", "public", "r")

    def __init__(self, public: bytes, host: str, port: int, r: int) -> None:
        """`host` is the text of an IP address; raises BadInput if the parts do not make a contact."""
        ip = parse_ip(host)
        if ip is None or len(public) != 32 or not 0 < port < 65536 or not 0 <= r < 8:
            raise BadInput("not a contact: it takes a 32-byte key, an IP address, a port and r from 0 to 7")
        self.public = public
        self.host = str(ip)
        self.port = port
        self.r = r
        self.address = (self.host, port)
        self._group: tuple[Network, bytes] | None = None
        self.id = node_id(public, ip.packed, r)
        self.long_id = int.from_bytes(self.id, "big")
        first = r if ip.version == 4 else r | _IPV6_FLAG
        self.packed = b"".join((bytes((first,)), public, ip.packed, port.to_bytes(2, "big")))

    def group(self, network: Network) -> bytes:
        """The group of addresses that quotas of `network` count it under; asked for often, so remembered."""
        if self._group is None or self._group[0] is not network:
            self._group = (network, network.group(self.host, self.port))
        return self._group[1]

    def text(self) -> str:
        """`NODEKEY.r@HOST:PORT`, as people write it."""
        key = base64.b32encode(self.public).decode().rstrip("=").lower()
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{key}.{self.r}@{host}:{self.port}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Contact) and other.packed == self.packed

    def __hash__(self) -> int:
        return hash(self.packed)

    def __repr__(self) -> str:
        return f"Contact({self.text()!r})"


def node_id(public: bytes, packed_ip: bytes, r: int) -> bytes:
    """The 32-byte id of the node with key `public` at the address `packed_ip` (4 or 16 octets)."""
    if len(packed_ip) == 4:
        masked = (int.from_bytes(packed_ip, "big") & _IPV4_MASK).to_bytes(4, "big")
    else:
        masked = packed_ip[:6]
    place = int.from_bytes(hashlib.sha256(masked + bytes((r,))).digest()[:3], "big") >> (24 - ADDRESS_BITS)
    own = int.from_bytes(hashlib.sha256(public).digest(), "big") >> ADDRESS_BITS
    return (place << _KEY_BITS | own).to_bytes(32, "big")


def parse_contact(text: str) -> Contact:
    """The contact that a person or a file wrote as `NODEKEY.r@HOST:PORT`, HOST being an IP address. Raises BadInput."""
    return Contact(*split_contact(text))


def split_contact(text: str) -> tuple[bytes, str, int, int]:
    """Key, host (which may be a name still to be resolved), port and r of a contact's text. Raises BadInput."""
    match = _TEXT.fullmatch(text.strip())
    if match is None:
        raise BadInput(
            f"not a node: {text[:120]!r}",
            hint="A node is written NODEKEY.r@HOST:PORT: market id prints it, on that node's machine",
        )
    key, r, host, port = match.groups()
    try:
        public = base64.b32decode(key.upper() + "====")
    except binascii.Error:
        raise BadInput("the key of the node is cut short") from None
    if not 0 < int(port) < 65536:
        raise BadInput(f"{port} is no port")
    return public, host.strip("[]"), int(port), int(r)


@lru_cache(maxsize=16_384)
def pack_address(address: Address) -> bytes:
    """Address and port in 6 or 18 octets; `address` is one that a socket reported."""
    ip = parse_ip(address[0])
    if ip is None:
        raise BadInput(f"{address[0]!r} is no IP address")
    return ip.packed + address[1].to_bytes(2, "big")


def address_untrusted(data: bytes) -> Address:
    """The address in 6 or 18 octets. Raises BadMessage."""
    if len(data) not in (_PACKED_ADDRESS_IPV4, 18):
        raise BadMessage("an address has 6 or 18 octets")
    return (_host(data[:-2]), int.from_bytes(data[-2:], "big"))


def pieces_untrusted(data: bytes) -> list[bytes]:
    """The packed contacts that stand one after another in `data`. Raises BadMessage if the last is cut short."""
    length = len(data)
    if length % PACKED_IPV4 == 0 and max(data[::PACKED_IPV4], default=0) < _IPV6_FLAG:
        return [piece for (piece,) in _ALL_IPV4.iter_unpack(data)]  # the usual case, quickly
    pieces: list[bytes] = []
    at = 0
    while at < length:
        end = at + (PACKED_IPV6 if data[at] & _IPV6_FLAG else PACKED_IPV4)
        pieces.append(data[at:end])
        at = end
    if at != length:
        raise BadMessage("a contact is cut short")
    return pieces


def contacts_untrusted(pieces: Iterable[bytes], network: Network) -> list[Contact]:
    """The contacts in `pieces` that `network` admits, in their order. Raises BadMessage if one is none."""
    return [contact for contact in map(_unpacked, pieces, repeat(network)) if contact is not None]


@lru_cache(maxsize=16_384)
def _unpacked(piece: bytes, network: Network) -> Contact | None:
    """The one contact in `piece`, shared by all who hear of it; None if the network does not admit it."""
    if piece[0] > 15:
        raise BadMessage("r is at most 7")
    host, port = _host(piece[33:-2]), int.from_bytes(piece[-2:], "big")
    if not network.admits(host, port):
        return None
    return Contact(piece[1:33], host, port, piece[0] & 7)


def contact_at(public: bytes, host: str, port: int, r: int, network: Network) -> Contact | None:
    """The contact of a peer heard from; None if the network does not admit it."""
    if parse_ip(host) is None or not 0 < port < 65536 or not 0 <= r < 8 or len(public) != 32:
        return None
    address = pack_address((host, port))
    first = r if len(address) == _PACKED_ADDRESS_IPV4 else r | _IPV6_FLAG
    return _unpacked(bytes((first,)) + public + address, network)


@lru_cache(maxsize=4096)
def _host(packed: bytes) -> str:
    if len(packed) == 4:
        return ".".join(map(str, packed))
    text = ":".join(packed[at : at + 2].hex() for at in range(0, 16, 2))
    return str(parse_ip(text))
