"""Network profiles: `main`, `dev` and `test` are three networks that cannot mix.

A profile is one frozen value. Its name goes into the Noise prologue, the topics and the signatures' context, so what
belongs to one network is noise on another. `main` counts addresses by subnet and refuses private ones; `test` keeps
every rule of `main` but treats private and loopback addresses as public; `dev` counts address and port where `main`
counts subnets, so that a whole market fits on loopback.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import lru_cache

from p2pmarket.errors import BadInput

# Reflection targets: services that answer UDP or TCP with more than they are sent.
REFUSED_PORTS = frozenset({0, 7, 13, 17, 19, 53, 69, 111, 123, 137, 161, 389, 520, 1900, 3702, 5353, 11211})

IPv4 = ipaddress.IPv4Address
IPv6 = ipaddress.IPv6Address


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """One network profile.

    `private_is_public`: loopback and private addresses may be contacts. `group_by_port`: quotas count (address, port)
    instead of the /24 or /48.
    """

    name: str
    private_is_public: bool
    group_by_port: bool

    def prologue(self, use: str) -> bytes:
        """The context of `use` ("dht", "link", "topic", ...) on this network, as bytes for a hash."""
        return f"p2pmarket/1/{self.name}/{use}".encode()

    def public(self, host: str) -> bool:
        """Whether peers may be told to contact `host` (text of an IPv4 or IPv6 address)."""
        ip = parse_ip(host)
        if ip is None or ip.is_multicast or ip.is_unspecified or (ip.is_reserved and not ip.is_loopback):
            return False
        return self.private_is_public or ip.is_global

    def admits(self, host: str, port: int) -> bool:
        """Whether (host, port) may be a contact of this network."""
        return 0 < port < 65536 and port not in REFUSED_PORTS and self.public(host)

    def group(self, host: str, port: int) -> bytes:
        """The unit that quotas count: /24, /48, or in `dev` the address with its port."""
        return _group(host, port if self.group_by_port else None)


@lru_cache(maxsize=16_384)
def _group(host: str, port: int | None) -> bytes:
    ip = parse_ip(host)
    packed = ip.packed if ip is not None else b""
    if port is not None:
        return packed + port.to_bytes(2, "big")
    return packed[:3] if len(packed) == 4 else packed[:6]


@lru_cache(maxsize=4096)
def parse_ip(host: str) -> IPv4 | IPv6 | None:
    """The address in `host`, an IPv4-mapped IPv6 address as its IPv4 one; None if it is no address."""
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return None
    return (ip.ipv4_mapped or ip) if isinstance(ip, IPv6) else ip


MAIN = Network("main", private_is_public=False, group_by_port=False)
DEV = Network("dev", private_is_public=True, group_by_port=True)
TEST = Network("test", private_is_public=True, group_by_port=False)
NETWORKS = {network.name: network for network in (MAIN, DEV, TEST)}


def network_named(name: str) -> Network:
    """The profile called `name`; raises BadInput."""
    try:
        return NETWORKS[name]
    except KeyError:
        raise BadInput(f"no network is called {name!r}", hint="Networks: main, dev, test") from None
