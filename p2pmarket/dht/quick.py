"""The four messages that travel most, read and written by their fixed shape.

A ping, a find and their answers always look alike: the same heads at the same places, if the transaction number fills
four octets, as all but one of 65,536 do, and the address seen is one of IPv4. Such bytes are taken apart by one
`struct`; whatever differs in anything goes the general way of `p2pmarket.messages`, which also says what is wrong with
it. Both ways read and write the same; a test holds them to it.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Final

from p2pmarket import limits, messages
from p2pmarket.dht.contact import PACKED_IPV4
from p2pmarket.messages import Find, Found, Message, Ping, Pong

_LEAST: Final = 1 << 16  # smaller numbers are written shorter
_NO_R: Final = 0xF6  # null: a client
_UINT: Final = 0x1A  # a number of four octets follows
_SEEN: Final = 0x46  # six octets follow
_KEY: Final = 0x5820  # 32 octets follow
_SHORT: Final = 0x58  # octets follow, as many as one octet says
_LONG: Final = 0x59  # octets follow, as many as two octets say
_CONTACTS: Final = limits.FOUND_CONTACTS * PACKED_IPV4

_PING: Final = Struct(">3sIB")
_FIND: Final = Struct(">3sIBH32s")
_ANSWER: Final = Struct(">3sIBIB6s")  # and nothing more in a pong
_PING_HEAD, _PONG_HEAD = b"\x83\x01\x1a", b"\x84\x02\x1a"
_FIND_HEAD, _FOUND_HEAD = b"\x84\x03\x1a", b"\x85\x04\x1a"
_CONTACTS_AT: Final = _ANSWER.size


def encode(value: Message) -> bytes:
    """The bytes of a message."""
    if type(value) is Find:
        tx, r, target = value.tx, value.r, value.target
        if tx >= _LEAST and len(target) == 32:
            return _FIND.pack(_FIND_HEAD, tx, _NO_R if r is None else r, _KEY, target)
    elif type(value) is Found:
        contacts = value.contacts
        length = len(contacts)
        if length >= 256 and value.tx >= _LEAST and _LEAST <= value.wall < 1 << 32 and len(value.seen) == 6:
            head = _ANSWER.pack(_FOUND_HEAD, value.tx, _UINT, value.wall, _SEEN, value.seen)
            return b"%b\x59%b%b" % (head, length.to_bytes(2, "big"), contacts)
    return messages.encode(value)


def decode_untrusted(data: bytes) -> Message:
    """The message in `data`. Raises BadMessage, and of its kinds UnknownMessage for a number without a meaning here."""
    read = _READERS.get(data[:3])
    message = None if read is None else read(data)
    return messages.decode_untrusted(data) if message is None else message


def _ping(data: bytes) -> Ping | None:
    if len(data) != _PING.size:
        return None
    _, tx, r = _PING.unpack(data)
    if tx < _LEAST or (r > 7 and r != _NO_R):
        return None
    return Ping(tx, None if r == _NO_R else r)


def _find(data: bytes) -> Find | None:
    if len(data) != _FIND.size:
        return None
    _, tx, r, key, target = _FIND.unpack(data)
    if tx < _LEAST or key != _KEY or (r > 7 and r != _NO_R):
        return None
    return Find(tx, None if r == _NO_R else r, target)


def _pong(data: bytes) -> Pong | None:
    if len(data) != _ANSWER.size:
        return None
    _, tx, uint, wall, six, seen = _ANSWER.unpack(data)
    if tx < _LEAST or uint != _UINT or wall < _LEAST or six != _SEEN:
        return None
    return Pong(tx, wall, seen)


def _found(data: bytes) -> Found | None:
    length = len(data) - _CONTACTS_AT
    if length < 2:
        return None
    _, tx, uint, wall, six, seen = _ANSWER.unpack_from(data)
    if tx < _LEAST or uint != _UINT or wall < _LEAST or six != _SEEN:
        return None
    head, size = data[_CONTACTS_AT], data[_CONTACTS_AT + 1]
    if head == _LONG and length > 256:
        contacts = data[_CONTACTS_AT + 3 :]
        size = size << 8 | data[_CONTACTS_AT + 2]
        least = 256
    elif head == _SHORT:
        contacts = data[_CONTACTS_AT + 2 :]
        least = 24
    else:
        return None
    if not least <= size <= _CONTACTS or size != len(contacts):
        return None
    return Found(tx, wall, seen, contacts)


_READERS: Final[dict[bytes, Callable[[bytes], Message | None]]] = {
    _PING_HEAD: _ping,
    _PONG_HEAD: _pong,
    _FIND_HEAD: _find,
    _FOUND_HEAD: _found,
}
