"""Wire messages: every kind survives the way, the registry keeps its numbers, bad bytes raise one error."""

from __future__ import annotations

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pmarket import codec, limits, messages
from p2pmarket.dht.session import FIRST_REPLY_ROOM
from p2pmarket.errors import BadMessage, UnknownMessage

KEY = bytes(range(32))
SEEN = b"\x01\x02\x03\x04\x0f\xa1"
SAMPLES: list[messages.Message] = [
    messages.Ping(7, None),
    messages.Pong(7, 1_800_000_000, SEEN),
    messages.Find(0, 7, KEY),
    messages.Found(2**32 - 1, 0, SEEN, b"x" * 39),
    messages.Get(1, 0, KEY, 5, 2, True),
    messages.Got(1, 2**40 - 1, bytes(18), (b"a", b"b" * limits.RECORD_BYTES), 20_000, 30_000, b""),
    messages.Put(3, 4, KEY, b"r" * limits.RECORD_BYTES, limits.SHARD_DEPTH),
    messages.PutDone(3, 1, SEEN, 255, 7),
    messages.DialBack(9, 1, bytes(16), 65_535),
    messages.DialBackDone(9, 1, SEEN, False),
    messages.Topics(2, 3, KEY, 32),
    messages.TopicsHeld(2, 1, SEEN, (KEY + b"\0\1") * limits.ANSWER_TOPICS, 500),
    messages.Document(2, KEY, b"d" * (limits.DOCUMENT_BYTES + limits.KIB)),
    messages.Refused(KEY, "too_long"),
    messages.Goodbye("bye"),
    messages.Keepalive(),
    messages.Recall(bytes(16), 1_800_000_000, KEY * limits.RECALL_HASHES, KEY, bytes(64)),
    messages.Recalled(3),
]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: type(sample).__name__)
def test_every_message_survives_the_way(sample: messages.Message) -> None:
    data = messages.encode(sample)
    assert messages.decode_untrusted(data) == sample
    assert data == codec.encode([sample.number, *msgspec.structs.astuple(sample)])


def test_there_is_a_sample_of_every_message() -> None:
    assert {type(sample) for sample in SAMPLES} == set(messages.TYPES.values())


def test_numbers_are_fixed() -> None:
    names = {number: kind.__name__ for number, kind in messages.TYPES.items()}
    assert names == {
        1: "Ping", 2: "Pong", 3: "Find", 4: "Found", 5: "Get", 6: "Got", 7: "Put", 8: "PutDone", 9: "DialBack",
        10: "DialBackDone", 11: "Topics", 12: "TopicsHeld", 32: "Document",
        33: "Refused", 34: "Goodbye", 35: "Keepalive", 36: "Recall", 37: "Recalled",
    }  # fmt: skip
    for number, kind in messages.TYPES.items():
        assert kind.number == number


def test_a_number_cannot_be_used_twice() -> None:
    with pytest.raises(ValueError, match="taken by Ping"):
        messages.message(1)(messages.Keepalive)


def test_an_unknown_number_is_its_own_error() -> None:
    with pytest.raises(UnknownMessage):
        messages.decode_untrusted(codec.encode([31, 1, 2]))
    with pytest.raises(UnknownMessage):
        messages.decode_untrusted(codec.encode([-1]))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: type(sample).__name__)
def test_fields_added_later_are_ignored_and_missing_ones_are_not(sample: messages.Message) -> None:
    fields = msgspec.structs.astuple(sample)
    assert messages.decode_untrusted(codec.encode([sample.number, *fields, "new", None])) == sample
    if fields:
        with pytest.raises(BadMessage):
            messages.decode_untrusted(codec.encode([sample.number, *fields[:-1]]))


@pytest.mark.parametrize(
    "value",
    [
        [],
        5,
        None,
        [True],
        ["1", 7, None],
        [b"\x01", 7, None],
        [1, -1, None],
        [1, 2**32, None],
        [1, 7, 8],
        [1, True, None],
        [1, "7", None],
        [2, 7, 2**40, SEEN],
        [2, 7, 1, bytes(5)],
        [2, 7, 1, bytes(19)],
        [3, 7, None, bytes(31)],
        [3, 7, None, bytes(33)],
        [3, 7, None, "0" * 32],
        [4, 7, 1, SEEN, bytes(limits.FOUND_CONTACTS * 39 + 1)],
        [5, 7, None, KEY, 2**32, 0, True],
        [5, 7, None, KEY, 0, 0, 1],
        [6, 7, 1, SEEN, [b""], 1, False, b""],
        [6, 7, 1, SEEN, [bytes(limits.RECORD_BYTES + 1)], 1, False, b""],
        [6, 7, 1, SEEN, [b"a"] * 17, 17, False, b""],
        [7, 7, None, KEY, bytes(limits.RECORD_BYTES + 1)],
        [9, 7, None, bytes(15), 4001],
        [9, 7, None, bytes(16), 0],
        [9, 7, None, bytes(16), 65_536],
        [32, 256, KEY, b""],
        [32, 1, KEY, bytes(limits.DOCUMENT_BYTES + limits.KIB + 1)],
        [33, KEY, "c" * (limits.CODE_CHARS + 1)],
    ],
)
def test_what_is_out_of_bounds_is_refused(value: object) -> None:
    with pytest.raises(BadMessage):
        messages.decode_untrusted(codec.encode(value))


@given(st.binary(max_size=80))
def test_random_bytes_raise_one_error_only(data: bytes) -> None:
    try:
        decoded = messages.decode_untrusted(data)
    except BadMessage:
        return
    assert messages.decode_untrusted(messages.encode(decoded)) == decoded


@given(st.sampled_from(SAMPLES[:10]), st.data())
def test_changed_bytes_raise_one_error_only(sample: messages.Message, data: st.DataObject) -> None:
    wire = bytearray(messages.encode(sample))
    at = data.draw(st.integers(0, min(len(wire), 60) - 1))
    wire[at] ^= data.draw(st.integers(1, 255))
    with suppress(BadMessage):
        messages.decode_untrusted(bytes(wire))


def test_the_longest_answers_fit_a_first_reply() -> None:
    found = messages.Found(2**32 - 1, 2**40 - 1, bytes(6), bytes(limits.FOUND_CONTACTS * 39))
    assert len(messages.encode(found)) <= FIRST_REPLY_ROOM
    records = (bytes(limits.RECORD_BYTES),)
    got = messages.Got(
        2**32 - 1, 2**40 - 1, bytes(18), records, 2**32 - 1, 2**32 - 1, bytes(limits.ANSWER_CONTACTS * 39)
    )
    assert len(messages.encode(got)) <= FIRST_REPLY_ROOM
