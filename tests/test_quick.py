"""The quick way of the commonest messages reads and writes what the general way does, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from p2pmarket import limits, messages
from p2pmarket.dht import quick
from p2pmarket.errors import BadMessage

MOST = limits.FOUND_CONTACTS * 39
numbers = st.sampled_from([0, 23, 24, 255, 256, 65_535, 65_536, 2**32 - 1]) | st.integers(0, 2**32 - 1)
walls = numbers | st.sampled_from([2**32, 2**40 - 1])
rs = st.none() | st.integers(0, 7)
seen = st.binary(min_size=6, max_size=6) | st.binary(min_size=18, max_size=18)
lengths = st.sampled_from([0, 23, 24, 39, 255, 256, 257, 780, MOST])
contacts = lengths.flatmap(lambda length: st.binary(min_size=length, max_size=length))
keys = st.binary(min_size=32, max_size=32)
common = st.one_of(
    st.builds(messages.Ping, numbers, rs),
    st.builds(messages.Find, numbers, rs, keys),
    st.builds(messages.Pong, numbers, walls, seen),
    st.builds(messages.Found, numbers, walls, seen, contacts),
)


def outcome(read: object, data: bytes) -> object:
    assert callable(read)
    try:
        return read(data)
    except BadMessage as error:
        return type(error), str(error)


def same(data: bytes) -> None:
    assert outcome(quick.decode_untrusted, data) == outcome(messages.decode_untrusted, data)


@given(common)
def test_both_ways_write_and_read_the_same(message: messages.Message) -> None:
    data = quick.encode(message)
    assert data == messages.encode(message)
    assert quick.decode_untrusted(data) == message


@given(common, st.data())
def test_both_ways_take_and_refuse_the_same(message: messages.Message, draw: st.DataObject) -> None:
    data = bytearray(messages.encode(message))
    for _ in range(draw.draw(st.integers(1, 3))):
        at = draw.draw(st.integers(0, min(len(data), 48)))
        data[at : at + draw.draw(st.integers(0, 2))] = draw.draw(st.binary(max_size=2))
    same(bytes(data))


@given(st.sampled_from([b"\x83\x01\x1a", b"\x84\x02\x1a", b"\x84\x03\x1a", b"\x85\x04\x1a"]), st.binary(max_size=60))
@example(b"\x85\x04\x1a", b"")
def test_any_bytes_after_a_usual_head(head: bytes, rest: bytes) -> None:
    same(head + rest)


@pytest.mark.parametrize("length", [23, 24, 255, 256, MOST, MOST + 1])
@pytest.mark.parametrize("head", [b"\x57", b"\x58\x17", b"\x58\x18", b"\x58\xff", b"\x59\x00\xff", b"\x59\x01\x00"])
def test_contacts_of_any_length_under_any_head(head: bytes, length: int) -> None:
    answer = b"\x85\x04\x1a\x12\x34\x56\x78\x1a\x6b\x49\xd2\x00\x46abcdef"
    same(answer + head + bytes(length))
    same(answer + b"\x59" + length.to_bytes(2, "big") + bytes(length))


def test_the_usual_messages_go_the_quick_way(monkeypatch: pytest.MonkeyPatch) -> None:
    usual: list[messages.Message] = [
        messages.Ping(70_000, None),
        messages.Pong(70_000, 1_800_000_000, b"abcdef"),
        messages.Find(70_000, 7, bytes(32)),
        messages.Found(70_000, 1_800_000_000, b"abcdef", bytes(39)),
        messages.Found(70_000, 1_800_000_000, b"abcdef", bytes(780)),
    ]
    written = [messages.encode(message) for message in usual]
    monkeypatch.delattr(messages, "decode_untrusted")
    assert [quick.decode_untrusted(data) for data in written] == usual
