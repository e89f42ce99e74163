"""Routes on the wire and the addresses they mean: how others can dial us, how we can dial them."""

from __future__ import annotations

import msgspec

from p2pmarket import codec
from p2pmarket.limits import ROUTES_OF_EACH, ROUTES_TRIED
from p2pmarket.network import Network
from p2pmarket.records import direct_route, route_address
from p2pmarket.trade.values import Route

Address = tuple[str, int]
_Routes = tuple[Route, ...]


class _Packed(msgspec.Struct, frozen=True, array_like=True):
    routes: tuple[Route, ...]


def routes_of(addresses: list[Address]) -> _Routes:
    """Direct routes to these addresses."""
    return tuple(Route(route.kind, route.data) for route in (direct_route(*address) for address in addresses))


def packed(routes: _Routes) -> bytes:
    """Routes as the ledger keeps them."""
    return codec.pack(_Packed(routes))


def joined(routes: _Routes, packed_routes: bytes) -> _Routes:
    """The routes kept and a few of these, each once, up to a number that can be tried in turn."""
    kept = codec.unpack_untrusted(packed_routes, _Packed).routes
    return tuple(dict.fromkeys((*kept, *routes[:ROUTES_OF_EACH])))[:ROUTES_TRIED]


def addresses_of(packed_routes: bytes, network: Network) -> list[Address]:
    """The addresses that this network may dial, in the order told."""
    routes = codec.unpack_untrusted(packed_routes, _Packed).routes
    found = [address for route in routes if (address := route_address(route)) is not None]
    return [address for address in found if network.admits(*address)]
