"""Strict deterministic CBOR: the one door for bytes from outside.

A value is None, a bool, an integer of 64 bits, bytes, text or an array of values; the scanner also lets a map pass
whose keys are the integers 0 to 23 in rising order (COSE headers need one). Each value has exactly one encoding, that
of RFC 8949 section 4.2.1: definite lengths, shortest heads, sorted unique keys. Tags, floats, `undefined` and other
simple values do not exist here, nor do bytes after the value.

The scanner looks at the bytes before any library builds objects from them. It costs time linear in the number of
items, which is bounded as soon as an array says its length, and never recurses deeper than `max_depth`. What it lets
pass is decoded by cbor2, which also checks the UTF-8. Thus whatever is accepted re-encodes to the same bytes, and two
readers cannot see different values in them.

Maps with wider keys are refused on purpose: in Python `1 == True`, and keys chosen to collide make a dict slow.

On top lie typed messages: frozen `msgspec.Struct` classes with `array_like=True`, written as arrays of their fields.
A reader ignores fields that a later version added at the end, so a signature is checked over bytes, never over a
struct that was packed again.
"""

from __future__ import annotations

from typing import TypeVar

import cbor2
import msgspec

from p2pmarket import limits
from p2pmarket.errors import BadInput, BadMessage

Struct = TypeVar("Struct", bound=msgspec.Struct)

_UINT, _NINT, _BYTES, _TEXT, _ARRAY, _MAP = range(6)
_WIDTHS = {24: (1, 24), 25: (2, 0x100), 26: (4, 0x1_0000), 27: (8, 0x1_0000_0000)}  # minor: octets, least argument


def _whole_items() -> bytes:
    """By first byte: the length of an item that the first byte tells in full, else 0."""
    table = bytearray(256)
    for minor in range(24):
        table[_UINT << 5 | minor] = table[_NINT << 5 | minor] = 1
        table[_BYTES << 5 | minor] = table[_TEXT << 5 | minor] = 1 + minor
    table[0xF4] = table[0xF5] = table[0xF6] = 1  # false, true, null
    return bytes(table)


def _heads() -> tuple[tuple[int, int, int] | None, ...]:
    """By first byte: (major type, octets of the argument, least argument allowed in them); None where refused."""
    table: list[tuple[int, int, int] | None] = [None] * 256
    for major in range(6):
        for minor, (octets, least) in _WIDTHS.items():
            table[major << 5 | minor] = (major, octets, least)
    for major in (_ARRAY, _MAP):
        for minor in range(24):
            table[major << 5 | minor] = (major, 0, 0)
    return tuple(table)


_LONG, _LEAST_LONG = frozenset({_BYTES << 5 | 24, _TEXT << 5 | 24}), 24  # whose length takes one octet
_FIRST_ARRAY, _FIRST_MAP = _ARRAY << 5, _MAP << 5
_WHOLE = _whole_items()
_HEADS = _heads()


def encode(value: object) -> bytes:
    """The one encoding of `value` (tuples count as arrays).

    Raises BadInput if it holds anything that a reader would refuse: a float, a wider integer, a lone surrogate, an
    unsorted map, more than `limits.DOCUMENT_ITEMS` items or `limits.CBOR_DEPTH` levels.
    """
    try:
        data = cbor2.dumps(value)
        _check(data, limits.DOCUMENT_ITEMS, limits.CBOR_DEPTH)
    except (cbor2.CBOREncodeError, UnicodeEncodeError, BadMessage) as error:
        raise BadInput(f"cannot be encoded: {error}") from error
    return data


def encode_own(value: object) -> bytes:
    """As `encode`, without the second look at the bytes: for values built here that hold nothing from outside."""
    return cbor2.dumps(value)


def encode_converted(value: object) -> bytes:
    """As `encode`, for what `convert_untrusted` has just let pass: its class has bounded its numbers and its depth."""
    try:
        data = cbor2.dumps(value)
        if len(data) > limits.DOCUMENT_ITEMS:  # fewer bytes cannot hold more items
            _check(data, limits.DOCUMENT_ITEMS, limits.CBOR_DEPTH)
    except (cbor2.CBOREncodeError, UnicodeEncodeError, BadMessage) as error:
        raise BadInput(f"cannot be encoded: {error}") from error
    return data


def decode_untrusted(
    data: bytes, *, max_items: int = limits.DATAGRAM_ITEMS, max_depth: int = limits.CBOR_DEPTH
) -> object:
    """The value in `data`; arrays come as lists. Raises BadMessage, whatever the bytes are.

    `max_items` counts every value, containers and map keys too; `max_depth` counts nested containers.
    """
    _check(data, max_items, max_depth)
    try:
        value: object = cbor2.loads(data)
    except cbor2.CBORDecodeError as error:  # what is left is text that is not UTF-8
        raise BadMessage("text is not UTF-8") from error
    return value


def pack(message: msgspec.Struct) -> bytes:
    """The encoding of an `array_like` struct: an array of its fields, structs within it likewise. Raises BadInput."""
    return encode(msgspec.to_builtins(message, builtin_types=(bytes,)))


def unpack_untrusted(
    data: bytes,
    kind: type[Struct],
    *,
    max_items: int = limits.DATAGRAM_ITEMS,
    max_depth: int = limits.CBOR_DEPTH,
) -> Struct:
    """The struct of class `kind` in `data`, within the limits its annotations set. Raises BadMessage whatever comes."""
    return convert_untrusted(decode_untrusted(data, max_items=max_items, max_depth=max_depth), kind)


def convert_untrusted(value: object, kind: type[Struct]) -> Struct:
    """The struct of class `kind` in an already decoded value; raises BadMessage."""
    try:
        return msgspec.convert(value, kind, builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        raise BadMessage(f"not a {kind.__name__}: {error}") from error


def _check(data: bytes, max_items: int, max_depth: int) -> None:
    """Raise BadMessage unless `data` is exactly one value in its one encoding."""
    try:
        end, _ = _scan(data, 0, max_depth, max_items - 1)
    except IndexError:
        raise BadMessage("the value is cut short") from None
    if end != len(data):
        raise BadMessage("the value is cut short" if end > len(data) else "bytes follow the value")


def _scan(data: bytes, at: int, depth: int, room: int) -> tuple[int, int]:
    """Step over one value from `at`; `depth` levels and `room` items within it are allowed.

    Returns the place behind it (which may lie behind the end) and the room left; raises BadMessage or IndexError.
    """
    left, outer = 1, list[int]()  # how many items are left in the array at hand, and in those around it
    while True:
        while left:
            left -= 1
            head = data[at]
            if whole := _WHOLE[head]:
                at += whole
                continue
            if head in _LONG and (length := data[at + 1]) >= _LEAST_LONG:  # hashes, keys, signatures: most of all
                at += 2 + length
                continue
            at, inside = _head(data, at, head)
            if head < _FIRST_ARRAY:
                continue
            room -= inside
            if room < 0 or len(outer) == depth:
                raise BadMessage("too many items" if room < 0 else "nested too deep")
            if head >= _FIRST_MAP:
                at, room = _scan_map(data, at, inside // 2, depth - len(outer) - 1, room)
            else:
                outer.append(left)
                left = inside
        if not outer:
            return at, room
        left = outer.pop()


def _scan_map(data: bytes, at: int, count: int, depth: int, room: int) -> tuple[int, int]:
    """Step over `count` keys and values."""
    previous = -1
    for _ in range(count):
        key = data[at]
        if not previous < key < 24:
            raise BadMessage("map keys must be the integers 0 to 23, rising")
        previous = key
        at, room = _scan(data, at + 1, depth, room)
    return at, room


def _head(data: bytes, at: int, head: int) -> tuple[int, int]:
    """Step over an item whose first byte does not tell its length, or over the head of an array or map.

    Returns the place behind it, and how many items are in the array or map.
    """
    rule = _HEADS[head]
    if rule is None:
        raise BadMessage(f"first byte {head:#04x} is not allowed")
    major, octets, least = rule
    at += 1
    argument = int.from_bytes(data[at : at + octets], "big") if octets else head & 31
    if argument < least:
        raise BadMessage("a length or number is not in its shortest form")
    at += octets
    if major == _NINT and argument >> 63:
        raise BadMessage("an integer is wider than 64 bits")
    if major in (_BYTES, _TEXT):
        return at + argument, 0
    return at, 2 * argument if major == _MAP else argument
