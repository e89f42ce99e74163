"""The handshake against vectors, forgeries and misuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pmarket.errors import BadMessage, WrongState
from p2pmarket.keys import ExchangeKey
from p2pmarket.noise import MESSAGE_1_OVERHEAD, MESSAGE_2_OVERHEAD, MESSAGE_BYTES, PROTOCOL, Initiator, Responder

FOLDER = Path(__file__).parent.parent / "docs/vectors"
VECTORS = [
    vector
    for file in sorted(FOLDER.glob("noise*.json"))
    for vector in json.loads(file.read_text())["vectors"]
    if vector.get("protocol_name") == PROTOCOL.decode()
]
CALLER, ANSWERER = ExchangeKey.from_seed(b"a" * 32), ExchangeKey.from_seed(b"b" * 32)


def always(secret: bytes) -> Callable[[int], bytes]:
    return lambda size: secret[:size]


def pair(prologue: bytes = b"p") -> tuple[Initiator, Responder]:
    return (
        Initiator(prologue, CALLER, ANSWERER.public, always(b"c" * 32)),
        Responder(prologue, ANSWERER, always(b"d" * 32)),
    )


@pytest.mark.parametrize("vector", VECTORS)
def test_vectors(vector: dict[str, Any]) -> None:
    def part(name: str) -> bytes:
        return bytes.fromhex(vector[name])

    static = ExchangeKey.from_seed(part("init_static"))
    caller = Initiator(part("init_prologue"), static, part("init_remote_static"), always(part("init_ephemeral")))
    answerer = Responder(
        part("resp_prologue"), ExchangeKey.from_seed(part("resp_static")), always(part("resp_ephemeral"))
    )
    first, second, *rest = ((bytes.fromhex(m["payload"]), bytes.fromhex(m["ciphertext"])) for m in vector["messages"])
    assert caller.write_message(first[0]) == first[1]
    assert answerer.read_message(first[1]) == first[0]
    assert answerer.remote_public == static.public
    assert answerer.write_message(second[0]) == second[1]
    assert caller.read_message(second[1]) == second[0]
    assert caller.hash == answerer.hash == part("handshake_hash")
    ends = [caller.split(), answerer.split()]
    for turn, (payload, ciphertext) in enumerate(rest):
        assert ends[turn % 2][0].encrypt(payload) == ciphertext
        assert ends[1 - turn % 2][1].decrypt(ciphertext) == payload


def test_there_are_vectors() -> None:
    assert len(VECTORS) >= 2


@settings(max_examples=30)
@given(st.binary(max_size=300), st.binary(max_size=300))
def test_payloads_and_overheads(first: bytes, second: bytes) -> None:
    caller, answerer = pair()
    one = caller.write_message(first)
    assert len(one) == len(first) + MESSAGE_1_OVERHEAD
    assert answerer.read_message(one) == first
    two = answerer.write_message(second)
    assert len(two) == len(second) + MESSAGE_2_OVERHEAD
    assert caller.read_message(two) == second


def test_every_changed_byte_of_message_1_is_refused() -> None:
    good = pair()[0].write_message(b"question")
    for at in range(len(good)):
        changed = bytearray(good)
        changed[at] ^= 1
        with pytest.raises(BadMessage):
            pair()[1].read_message(bytes(changed))


def test_forged_answers_do_not_disturb_the_true_one() -> None:
    caller, answerer = pair()
    answerer.read_message(caller.write_message(b""))
    good = answerer.write_message(b"reply")
    forgeries = [good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :] for at in range(len(good))]
    for forged in [*forgeries, b"", good[:-1], good + b"\0", bytes(48), bytes(MESSAGE_BYTES + 1)]:
        with pytest.raises(BadMessage):
            caller.read_message(forged)
    assert caller.read_message(good) == b"reply"
    assert answerer.split()[1].decrypt(caller.split()[0].encrypt(b"x")) == b"x"


@pytest.mark.parametrize("size", [0, 1, MESSAGE_1_OVERHEAD - 1, MESSAGE_1_OVERHEAD, MESSAGE_BYTES, MESSAGE_BYTES + 1])
def test_message_1_of_zeros(size: int) -> None:
    """An ephemeral key of zeros is a point of small order."""
    with pytest.raises(BadMessage):
        pair()[1].read_message(bytes(size))


def test_another_key_or_prologue_cannot_read() -> None:
    message = pair()[0].write_message(b"")
    for answerer in (Responder(b"q", ANSWERER, always(b"d" * 32)), Responder(b"p", CALLER, always(b"d" * 32))):
        with pytest.raises(BadMessage):
            answerer.read_message(message)


def test_calling_a_point_of_small_order() -> None:
    with pytest.raises(BadMessage):
        Initiator(b"p", CALLER, bytes(32), always(b"c" * 32)).write_message(b"")


def test_order_of_calls() -> None:
    caller, answerer = pair()
    with pytest.raises(WrongState):
        answerer.split()
    with pytest.raises(WrongState):
        caller.split()
    with pytest.raises(WrongState):
        answerer.write_message(b"")
    with pytest.raises(WrongState):
        caller.read_message(b"")
    answerer.read_message(caller.write_message(b""))
    caller.read_message(answerer.write_message(b""))
    with pytest.raises(WrongState):
        caller.write_message(b"")
    with pytest.raises(WrongState):
        caller.read_message(b"")
    with pytest.raises(WrongState):
        answerer.read_message(b"")
    with pytest.raises(WrongState):
        answerer.write_message(b"")


def test_packets_in_and_out_of_order() -> None:
    caller, answerer = pair()
    answerer.read_message(caller.write_message(b""))
    caller.read_message(answerer.write_message(b""))
    send, receive = caller.split()[0], answerer.split()[1]
    packets = [send.encrypt(bytes([n])) for n in range(4)]
    assert [receive.decrypt_at(n, packets[n]) for n in (3, 0, 2)] == [b"\3", b"\0", b"\2"]
    with pytest.raises(BadMessage):
        receive.decrypt_at(2, packets[1])
    with pytest.raises(BadMessage):
        receive.decrypt(packets[1])
    assert receive.decrypt(packets[0]) == b"\0"  # a refused packet did not use the number up
    with pytest.raises(BadMessage):
        caller.split()[1].decrypt_at(0, packets[0])  # the two directions have different keys
