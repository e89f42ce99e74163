"""The strict scanner: one encoding per value, and nothing else gets through."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from p2pmarket import codec, limits
from p2pmarket.errors import BadInput, BadMessage

VECTORS = json.loads((Path(__file__).parent.parent / "docs/vectors/cbor.json").read_text())

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.binary(max_size=300)
    | st.text(st.characters(codec="utf-8"), max_size=300)
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=30) | st.dictionaries(st.integers(0, 23), inner, max_size=5)
)


def depth(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


def in_order(value: object) -> object:
    """The same with map keys rising, as `encode` wants them."""
    if isinstance(value, dict):
        return {key: in_order(value[key]) for key in sorted(value)}
    return [in_order(item) for item in value] if isinstance(value, list) else value


def survives(data: bytes) -> None:
    """Either refused, or the one encoding of what it decodes to."""
    try:
        value = codec.decode_untrusted(data)
    except BadMessage:
        return
    assert codec.encode(value) == data


@pytest.mark.parametrize("vector", VECTORS["accepted"], ids=lambda v: v["hex"][:24])
def test_accepted(vector: dict[str, str]) -> None:
    data = bytes.fromhex(vector["hex"])
    assert codec.encode(codec.decode_untrusted(data)) == data


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=lambda v: v["hex"][:24])
def test_refused(vector: dict[str, str]) -> None:
    with pytest.raises(BadMessage):
        codec.decode_untrusted(bytes.fromhex(vector["hex"]))


@given(values.map(in_order).filter(lambda value: depth(value) <= limits.CBOR_DEPTH))
def test_round_trip(value: object) -> None:
    data = codec.encode(value)
    again = codec.decode_untrusted(data, max_items=limits.DOCUMENT_ITEMS)
    assert again == value
    assert codec.encode(again) == data


@given(st.binary(max_size=60))
@example(b"\x9f\xff")
def test_any_bytes(data: bytes) -> None:
    survives(data)


@given(values.map(in_order), st.data())
def test_changed_bytes(value: object, data: st.DataObject) -> None:
    try:
        good = bytearray(codec.encode(value))
    except BadInput:
        return  # nested too deep
    for _ in range(data.draw(st.integers(1, 3))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    survives(bytes(good))
    survives(bytes(good[: data.draw(st.integers(0, len(good)))]))


@given(values.map(in_order))
def test_every_cut_is_refused(value: object) -> None:
    try:
        good = codec.encode(value)
    except BadInput:
        return
    for end in range(min(len(good), 80)):
        with pytest.raises(BadMessage):
            codec.decode_untrusted(good[:end], max_items=limits.DOCUMENT_ITEMS)
    with pytest.raises(BadMessage):
        codec.decode_untrusted(good + b"\0", max_items=limits.DOCUMENT_ITEMS)


@pytest.mark.parametrize("wrap", [lambda items: items, lambda items: [items[1:]]], ids=["flat", "nested"])
def test_items_at_the_limit(wrap: Callable[[list[object]], object]) -> None:
    """An array counts itself, so 511 others are allowed; the second shape spends one of them on an inner array."""
    codec.decode_untrusted(codec.encode(wrap([None] * (limits.DATAGRAM_ITEMS - 1))))
    with pytest.raises(BadMessage, match="too many"):
        codec.decode_untrusted(codec.encode(wrap([None] * limits.DATAGRAM_ITEMS)))


def test_document_items_at_the_limit() -> None:
    codec.decode_untrusted(codec.encode([0] * (limits.DOCUMENT_ITEMS - 1)), max_items=limits.DOCUMENT_ITEMS)
    with pytest.raises(BadInput):
        codec.encode([0] * limits.DOCUMENT_ITEMS)


def test_items_of_a_converted_value_at_the_limit() -> None:
    most: list[object] = [0] * (limits.DOCUMENT_ITEMS - 1)
    assert codec.encode_converted(most) == codec.encode(most)
    with pytest.raises(BadInput):
        codec.encode_converted([*most, 0])
    with pytest.raises(BadInput):
        codec.encode_converted(["\ud800"])


def test_map_keys_count_as_items() -> None:
    data = codec.encode(dict.fromkeys(range(5)))
    codec.decode_untrusted(data, max_items=11)
    with pytest.raises(BadMessage, match="too many"):
        codec.decode_untrusted(data, max_items=10)


def test_depth_at_the_limit() -> None:
    assert codec.decode_untrusted(b"\x81" * 7 + b"\x80") is not None
    with pytest.raises(BadMessage, match="deep"):
        codec.decode_untrusted(b"\x81" * 8 + b"\x80")
    assert codec.decode_untrusted(b"\x00", max_depth=0) == 0


@pytest.mark.parametrize("text", ["é" * 40_000, "가" * 30_000, "a" + "😀" * 20_000])
def test_long_text(text: str) -> None:
    data = codec.encode(text)
    assert codec.decode_untrusted(data) == text
    with pytest.raises(BadMessage, match="UTF-8"):
        codec.decode_untrusted(data[:-1] + b"\xff")


@pytest.mark.parametrize(
    "value",
    [1.5, 2**64, -(2**63) - 1, "\ud800", {1}, object(), {2: 0, 1: 0}, {"a": 0}, {True: 0}, {24: 0}, float("nan")],
    ids=repr,
)
def test_encode_refuses(value: object) -> None:
    with pytest.raises(BadInput):
        codec.encode([value])


class Line(msgspec.Struct, array_like=True, frozen=True):
    text: Annotated[str, msgspec.Meta(max_length=5)]
    amount: int
    note: bytes | None = None


class Order(msgspec.Struct, array_like=True, frozen=True):
    id: Annotated[bytes, msgspec.Meta(min_length=4, max_length=4)]
    lines: tuple[Line, ...]
    firm: bool = False


ORDER = Order(b"abcd", (Line("쌀", 2**63 - 1), Line("tea", -1, b"\0")), True)


def test_structs_round_trip() -> None:
    assert codec.unpack_untrusted(codec.pack(ORDER), Order) == ORDER


def test_fields_of_later_versions_are_ignored() -> None:
    data = codec.encode([b"abcd", [["tea", -1, None, 7, "new"]], True, [1, 2]])
    assert codec.unpack_untrusted(data, Order) == Order(b"abcd", (Line("tea", -1),), True)


@pytest.mark.parametrize(
    "value",
    [
        [b"abcd"],
        [b"abc", []],
        [b"abcde", []],
        ["YWJjZA==", []],
        [b"abcd", [["tea", True]]],
        [b"abcd", [["tea", "1"]]],
        [b"abcd", [[b"tea", 1]]],
        [b"abcd", [["coffee", 1]]],
        [b"abcd", None],
        [b"abcd", [], 1],
        {0: b"abcd", 1: []},
        None,
    ],
    ids=repr,
)
def test_structs_refuse(value: object) -> None:
    with pytest.raises(BadMessage):
        codec.unpack_untrusted(codec.encode(value), Order)


@given(values.map(in_order))
def test_structs_refuse_with_one_error(value: object) -> None:
    try:
        data = codec.encode(value)
    except BadInput:
        return
    with pytest.raises(BadMessage):
        codec.unpack_untrusted(data, Order, max_items=limits.DOCUMENT_ITEMS)
