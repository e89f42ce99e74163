"""Greetings on the local network, for a node that was told to look for others there.

Rules. A greeting names the network, the sender's key and port, whether an answer is wanted, and a few nodes that have
answered the sender. It goes to one multicast group of administrative scope (RFC 2365), so it never leaves the site. It
is signed by nobody: whoever is named counts only after it has answered, as with any other contact. A greeting is heard
only by a node that knows nobody, so a neighbour can help a newcomer in and can turn nobody else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

import msgspec

from p2pmarket import codec, limits
from p2pmarket.dht.contact import Contact, contact_at, contacts_untrusted, pieces_untrusted
from p2pmarket.errors import BadMessage
from p2pmarket.network import Network

GROUP, PORT = "239.192.77.75", 4752
MARK = b"p2pmarket/1/local"


class _Greeting(msgspec.Struct, frozen=True, array_like=True):
    mark: Annotated[bytes, msgspec.Meta(min_length=len(MARK), max_length=len(MARK))]
    network: Annotated[str, msgspec.Meta(max_length=16)]
    public: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    asks: bool
    contacts: Annotated[bytes, msgspec.Meta(max_length=limits.LOCAL_CONTACTS * 51)]


@dataclass(frozen=True, slots=True)
class Greeting:
    """A neighbour at the address that it was heard from, and the nodes that it knows; `asks` for one in return."""

    public: bytes
    asks: bool
    contacts: tuple[Contact, ...]


def greeting(network: Network, public: bytes, port: int, known: Iterable[Contact], *, asks: bool) -> bytes:
    """The datagram of a greeting; at most LOCAL_CONTACTS nodes are named."""
    packed = b"".join(contact.packed for contact in list(known)[: limits.LOCAL_CONTACTS])
    return codec.pack(_Greeting(MARK, network.name, public, port, asks, packed))


def greeting_untrusted(data: bytes, host: str, network: Network) -> Greeting | None:
    """The greeting in a datagram from `host`; None if it is of another network. Raises BadMessage."""
    if len(data) > limits.DATAGRAM_BYTES:
        raise BadMessage("a greeting fits a datagram")
    said = codec.unpack_untrusted(data, _Greeting)
    if said.mark != MARK:
        raise BadMessage("no greeting")
    if said.network != network.name:
        return None
    named = contacts_untrusted(pieces_untrusted(said.contacts), network)
    own = contact_at(said.public, host, said.port, 0, network)
    return Greeting(said.public, said.asks, (*([own] if own else []), *named))
