"""Inputs: random bytes, and valid ones with a few things wrong. All choices come from the generator handed in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random

RANDOM_SHARE = 0.1
RANDOM_BYTES = 300
# Pieces of CBOR and of frames that parsers have stumbled over: lengths of 64 bits, deep nesting, tags, floats.
NASTY = (
    b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",
    b"\x9f\xff",
    b"\x5f\x41\x00\xff",
    b"\x81" * 32,
    b"\xc2\x49\x01" + bytes(8),
    b"\xd8\x23\x61\x2a",
    b"\xf9\x7e\x00",
    b"\xfb\x7f\xf0\x00\x00\x00\x00\x00\x00",
    b"\xf7",
    b"\x18\x00",
    b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x3b\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\xa1\x00\x00",
    b"\x62\xc3\x28",
    b"\x63\xed\xa0\x80",
    b"\xff\xff",
    b"\x00\x00",
    b"\xf6",
    b'"',
    b"\r\n",
    b",,",
)


def inputs(valid: Sequence[bytes], rng: Random, count: int) -> Iterator[bytes]:
    """`count` inputs; every hundredth is one of `valid` as it is, so that the parser is seen to accept something."""
    for number in range(count):
        if number % 100 == 0:
            yield valid[number // 100 % len(valid)]
        elif rng.random() < RANDOM_SHARE:
            yield rng.randbytes(rng.randrange(RANDOM_BYTES))
        else:
            yield mutated(valid[rng.randrange(len(valid))], valid, rng)


def mutated(data: bytes, others: Sequence[bytes], rng: Random) -> bytes:
    """`data` with one to three changes."""
    for _ in range(1 + int(rng.random() * rng.random() * 3)):
        data = MUTATIONS[int(rng.random() * len(MUTATIONS))](data, others, rng)
    return data


def _place(data: bytes, rng: Random) -> int:
    return int(rng.random() * (len(data) + 1))


def _flip_bit(data: bytes, others: Sequence[bytes], rng: Random) -> bytes:
    return _set(data, _place(data, rng), 1 << int(rng.random() * 8))


def _change_byte(data: bytes, others: Sequence[bytes], rng: Random) -> bytes:
    return _set(data, _place(data, rng), 1 + int(rng.random() * 255))


def _change_early_byte(data: bytes, others: Sequence[bytes], rng: Random) -> bytes:
    return _set(data, int(rng.random() * 12), 1 + int(rng.random() * 255))


def _set(data: bytes, at: int, mask: int) -> bytes:
    if at >= len(data):
        return data + bytes((mask,))
    return data[:at] + bytes((data[at] ^ mask,)) + data[at + 1 :]


def _cut_end(data: bytes, others: Sequence[bytes], rng: Random) -> bytes:
    return data[: _place(data, rng)]


def _cut_middle(data: bytes, others: Sequence[bytes], rng: Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + data[at + 1 + int(rng.random() * 8) :]


def _insert_nasty(data: bytes, others: Sequence[bytes], rng: Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + NASTY[int(rng.random() * len(NASTY))] + data[at:]


def _overwrite_nasty(data: bytes, others: Sequence[bytes], rng: Random) -> bytes:
    at = _place(data, rng)
    nasty = NASTY[int(rng.random() * len(NASTY))]
    return data[:at] + nasty + data[at + len(nasty) :]


def _repeat_piece(data: bytes, others: Sequence[bytes], rng: Random) -> bytes:
    at = _place(data, rng)
    piece = data[at : at + 1 + int(rng.random() * 40)]
    return data[:at] + piece * (2 + int(rng.random() * 3)) + data[at + len(piece) :]


def _splice(data: bytes, others: Sequence[bytes], rng: Random) -> bytes:
    other = others[int(rng.random() * len(others))]
    return data[: _place(data, rng)] + other[_place(other, rng) :]


Mutation = Callable[[bytes, Sequence[bytes], Random], bytes]
MUTATIONS: tuple[Mutation, ...] = (
    _flip_bit,
    _flip_bit,
    _change_byte,
    _change_byte,
    _change_early_byte,
    _cut_end,
    _cut_middle,
    _insert_nasty,
    _overwrite_nasty,
    _repeat_piece,
    _splice,
)
