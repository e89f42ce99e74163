"""Links: the same events however the bytes come, and nothing else whatever they are."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pmarket import limits
from p2pmarket.errors import BadMessage, LimitReached, PeerError, VersionMismatch, WrongState
from p2pmarket.keys import ExchangeKey
from p2pmarket.link import (
    EARLY_BYTES,
    EARLY_OVERHEAD,
    PIECE_BYTES,
    Event,
    Link,
    LinkUp,
    MessageReceived,
    hint_of,
)
from p2pmarket.network import MAIN, TEST, Network, network_named
from p2pmarket.noise import TAG_BYTES, Initiator

VECTORS = json.loads((Path(__file__).parent.parent / "docs/vectors/link.json").read_text())
DIALLER, ANSWERER, OTHER = (ExchangeKey.from_seed(bytes([n]) * 32) for n in (1, 2, 3))
KEYS = {hint_of(key.public): key for key in (ANSWERER, OTHER)}
UP = LinkUp(DIALLER.public, ANSWERER.public)


def always(secret: bytes) -> Callable[[int], bytes]:
    return lambda size: secret[:size]


def dial(early: Sequence[bytes] = (), network: Network = MAIN) -> Link:
    return Link.initiate(DIALLER, ANSWERER.public, network, always(b"e" * 32), early)


def answer(network: Network = MAIN) -> Link:
    return Link.respond(KEYS.get, network, always(b"f" * 32))


def events(link: Link) -> list[Event]:
    return list(iter(link.next_event, None))


def joined(early: Sequence[bytes] = ()) -> tuple[Link, Link]:
    """A finished link whose LinkUp events (and early messages) are taken."""
    dialler, answerer = dial(early), answer()
    answerer.receive_bytes(dialler.data_to_send())
    dialler.receive_bytes(answerer.data_to_send())
    answerer.receive_bytes(dialler.data_to_send())
    events(dialler), events(answerer)
    return dialler, answerer


def received(link: Link, data: bytes, cuts: Sequence[int] = ()) -> tuple[list[Event], str]:
    """All events of `data`, cut into pieces there, and how it ended."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    outcome = "open"
    for start, end in pairwise(places):
        try:
            link.receive_bytes(data[start:end])
        except PeerError as error:
            outcome = f"{error.code}: {error}"
    return events(link), outcome


@pytest.mark.parametrize("vector", VECTORS["links"], ids=lambda v: v["network"])
def test_vectors(vector: dict[str, Any]) -> None:
    def part(name: str) -> bytes:
        return bytes.fromhex(vector[name])

    def parts(name: str) -> list[bytes]:
        return [bytes.fromhex(text) for text in vector[name]]

    network, static = network_named(vector["network"]), ExchangeKey.from_seed(part("answerer_static"))
    caller = ExchangeKey.from_seed(part("dialler_static"))
    dialler = Link.initiate(caller, static.public, network, always(part("dialler_ephemeral")), parts("early"))
    answerer = Link.respond({hint_of(static.public): static}.get, network, always(part("answerer_ephemeral")))
    first, second, third = parts("flights")
    assert dialler.data_to_send() == first
    answerer.receive_bytes(first)
    for message in parts("back"):
        answerer.send(message)
    assert answerer.data_to_send() == second
    dialler.receive_bytes(second)
    for message in parts("later"):
        dialler.send(message)
    assert dialler.data_to_send() == third
    answerer.receive_bytes(third)
    assert events(answerer) == [
        LinkUp(caller.public, static.public),
        *map(MessageReceived, parts("early") + parts("later")),
    ]
    assert events(dialler) == [LinkUp(static.public, caller.public), *map(MessageReceived, parts("back"))]


def test_both_sides_come_up_and_are_confirmed() -> None:
    dialler, answerer = dial(), answer()
    answerer.receive_bytes(dialler.data_to_send())
    assert events(answerer) == [UP]
    assert not answerer.confirmed  # it might be a replay
    dialler.receive_bytes(answerer.data_to_send())
    assert events(dialler) == [LinkUp(ANSWERER.public, DIALLER.public)]
    assert dialler.confirmed
    answerer.receive_bytes(dialler.data_to_send())
    assert answerer.confirmed
    assert events(answerer) == []
    assert answerer.remote_public == DIALLER.public


messages = st.lists(st.binary(min_size=1, max_size=200) | st.sampled_from([b"x" * 70_000, b"y" * 30_000]), max_size=5)


@settings(max_examples=40, deadline=None)
@given(messages, messages, messages, st.lists(st.integers(0, 2**20), max_size=12))
def test_fragments_give_the_same_events(
    early: list[bytes], later: list[bytes], back: list[bytes], cuts: list[int]
) -> None:
    dialler, answerer = dial(early), answer()
    first = dialler.data_to_send()
    up, outcome = received(answerer, first, cuts)
    assert outcome == "open"
    for message in back:
        answerer.send(message)
    answered, outcome = received(dialler, answerer.data_to_send(), cuts)
    assert (answered[1:], outcome) == ([MessageReceived(m) for m in back], "open")
    for message in later:
        dialler.send(message)
    rest, outcome = received(answerer, dialler.data_to_send(), cuts)
    assert outcome == "open"
    assert up + rest == [UP, *map(MessageReceived, early + later)]


def test_byte_by_byte() -> None:
    dialler, answerer = dial([b"one", b"two"]), answer()
    first = dialler.data_to_send()
    assert received(answerer, first, range(len(first)))[0] == [UP, MessageReceived(b"one"), MessageReceived(b"two")]


def transcript() -> bytes:
    """All that an answerer receives in a short link."""
    dialler, answerer = dial([b"early"]), answer()
    first = dialler.data_to_send()
    answerer.receive_bytes(first)
    dialler.receive_bytes(answerer.data_to_send())
    dialler.send(b"z" * (PIECE_BYTES + 5))
    dialler.send(b"last")
    return first + dialler.data_to_send()


TRANSCRIPT = transcript()
EXPECTED: list[Event] = [
    UP,
    MessageReceived(b"early"),
    MessageReceived(b"z" * (PIECE_BYTES + 5)),
    MessageReceived(b"last"),
]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 400) | st.integers(0, len(TRANSCRIPT) - 1), st.integers(1, 255), st.lists(st.integers(0, 70_000)))
def test_a_changed_byte_ends_the_link(at: int, change: int, cuts: list[int]) -> None:
    """Only what came whole before the change is an event, in one piece or in many."""
    changed = bytearray(TRANSCRIPT)
    changed[at] ^= change
    whole = received(answer(), bytes(changed))
    assert whole[0] == EXPECTED[: len(whole[0])]
    assert len(whole[0]) < len(EXPECTED)
    assert received(answer(), bytes(changed), cuts) == whole


def test_the_unchanged_bytes_give_all() -> None:
    assert received(answer(), TRANSCRIPT) == (EXPECTED, "open")


@pytest.mark.parametrize("cut", [0, 1, 8, 9, 10, 11, 100, 115, 130, 150, len(TRANSCRIPT) - 1])
def test_cut_short(cut: int) -> None:
    got, outcome = received(answer(), TRANSCRIPT[:cut])
    assert got == EXPECTED[: len(got)]
    assert len(got) < len(EXPECTED)
    assert outcome == "open"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.booleans(), st.booleans(), st.lists(st.integers(0, 300), max_size=5))
def test_hostile_bytes(data: bytes, at_dialler: bool, versioned: bool, cuts: list[int]) -> None:
    def fresh() -> Link:
        return dial() if at_dialler else answer()

    prefix = b"" if not versioned else b"\1" if at_dialler else b"\1" + hint_of(ANSWERER.public)
    whole = received(fresh(), prefix + data)
    assert whole[0] == []
    assert received(fresh(), prefix + data, cuts) == whole


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=1, max_size=100))
def test_hostile_frames_after_the_handshake(data: bytes) -> None:
    _, answerer = joined()
    assert received(answerer, data)[0] == []


# Early messages

FULL = EARLY_BYTES - EARLY_OVERHEAD


@pytest.mark.parametrize(
    "early",
    [
        [],
        [b"a"] * 50,
        [b"x" * FULL],
        [b"x" * (FULL + 1)],
        [b"x" * (FULL - 3), b"y"],
        [b"x" * (FULL - 2), b"y"],
        [b"a", b"x" * (FULL + 1), b"b"],
        [b"x" * limits.LINK_MESSAGE_BYTES] * 2,
    ],
    ids=lambda early: "-".join(str(len(m)) for m in early[:3]) or "none",
)
def test_early_messages_arrive_once_and_in_order(early: list[bytes]) -> None:
    dialler, answerer = dial(early), answer()
    dialler.send(b"later")  # before the handshake is done
    first = dialler.data_to_send()
    answerer.receive_bytes(first)
    got = events(answerer)
    fits = sum(len(m) + EARLY_OVERHEAD for m in early[: len(got) - 1])
    assert fits <= EARLY_BYTES
    if len(got) - 1 < len(early):
        assert fits + len(early[len(got) - 1]) + EARLY_OVERHEAD > EARLY_BYTES
    dialler.receive_bytes(answerer.data_to_send())
    answerer.receive_bytes(dialler.data_to_send())
    assert got + events(answerer) == [UP, *map(MessageReceived, early), MessageReceived(b"later")]


@pytest.mark.parametrize("payload", [b"\0", b"\0\1", b"\0\0", b"\0\1a\0", b"\0\1a\0\2b"])
def test_bad_early_messages(payload: bytes) -> None:
    noise = Initiator(MAIN.prologue("link"), DIALLER, ANSWERER.public, always(b"e" * 32))
    message = noise.write_message(payload)
    answerer = answer()
    with pytest.raises(BadMessage, match="early"):
        answerer.receive_bytes(b"\1" + hint_of(ANSWERER.public) + len(message).to_bytes(2, "big") + message)


# Sizes


def test_message_sizes() -> None:
    dialler, answerer = joined()
    for size in (1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES, limits.LINK_MESSAGE_BYTES):
        dialler.send(b"m" * size)
        answerer.receive_bytes(dialler.data_to_send())
        assert events(answerer) == [MessageReceived(b"m" * size)]
    for size in (0, limits.LINK_MESSAGE_BYTES + 1):
        with pytest.raises(LimitReached):
            dialler.send(b"m" * size)
        with pytest.raises(LimitReached):
            dial([b"m" * size])


def frames(*plaintexts: bytes) -> tuple[Link, bytes]:
    """An answerer, and frames that a dialler who breaks the rules sends him."""
    noise = Initiator(MAIN.prologue("link"), DIALLER, ANSWERER.public, always(b"e" * 32))
    message = noise.write_message(b"")
    answerer = answer()
    answerer.receive_bytes(b"\1" + hint_of(ANSWERER.public) + len(message).to_bytes(2, "big") + message)
    noise.read_message(answerer.data_to_send()[3:])
    events(answerer)
    sealed = map(noise.split()[0].encrypt, plaintexts)
    return answerer, b"".join(len(frame).to_bytes(2, "big") + frame for frame in sealed)


def test_the_largest_message_that_is_taken() -> None:
    whole, spare = divmod(limits.LINK_MESSAGE_BYTES, PIECE_BYTES)
    start = [b"\0" + b"m" * PIECE_BYTES] * whole
    answerer, data = frames(*start, b"\1" + b"m" * spare)
    assert received(answerer, data) == ([MessageReceived(b"m" * limits.LINK_MESSAGE_BYTES)], "open")
    for last in (b"\1", b"\0"):
        answerer, data = frames(*start, last + b"m" * (spare + 1))
        assert received(answerer, data) == ([], "bad_message: a message is too long")


@pytest.mark.parametrize("plaintext", [b"\0", b"\2a", b"\xff"])
def test_bad_marks(plaintext: bytes) -> None:
    answerer, data = frames(plaintext)
    assert received(answerer, data)[1].startswith("bad_message")


def test_short_frames() -> None:
    for length in range(TAG_BYTES + 1):
        _, answerer = joined()
        with pytest.raises(BadMessage, match="short"):
            answerer.receive_bytes(length.to_bytes(2, "big"))


def test_replayed_and_swapped_frames() -> None:
    dialler, answerer = joined()
    dialler.send(b"one")
    one = dialler.data_to_send()
    dialler.send(b"two")
    two = dialler.data_to_send()
    answerer.receive_bytes(one)
    with pytest.raises(BadMessage):
        answerer.receive_bytes(one)
    assert events(answerer) == [MessageReceived(b"one")]
    _, answerer = joined()
    with pytest.raises(BadMessage):
        answerer.receive_bytes(two)


# Versions, keys, networks, states


@pytest.mark.parametrize("version", [0, 2, 255])
@pytest.mark.parametrize("cuts", [[], [1, 2, 3]])
def test_unknown_version_at_the_answerer(version: int, cuts: list[int]) -> None:
    answerer = answer()
    got, outcome = received(answerer, bytes([version]) + b"GET / HTTP/1.1\r\n", cuts)
    assert (got, outcome[:16]) == ([], "version_mismatch")
    assert answerer.data_to_send() == bytes([0, 1, 1, version])


@pytest.mark.parametrize("data", [b"\0\2\3\1", b"\2", b"HTTP/1.1 400"])
@pytest.mark.parametrize("cuts", [[], [1, 2, 3]])
def test_unknown_version_at_the_dialler(data: bytes, cuts: list[int]) -> None:
    dialler = dial([b"early"])
    got, outcome = received(dialler, data, cuts)
    assert (got, outcome[:16]) == ([], "version_mismatch")


def test_the_notice_names_both_versions() -> None:
    dialler, answerer = dial(), answer()
    with pytest.raises(VersionMismatch):
        answerer.receive_bytes(bytes([VECTORS["version_notice"]["first_byte"]]))
    notice = answerer.data_to_send()
    assert notice.hex() == VECTORS["version_notice"]["answer"]
    with pytest.raises(VersionMismatch) as caught:
        dialler.receive_bytes(b"\0\2\3\1")
    assert caught.value.details == {"theirs": [2, 3], "ours": [1, 1]}


def test_a_key_that_is_not_here() -> None:
    stranger = Link.initiate(DIALLER, DIALLER.public, MAIN, always(b"e" * 32))
    answerer = answer()
    with pytest.raises(BadMessage, match="not here"):
        answerer.receive_bytes(stranger.data_to_send())
    assert answerer.data_to_send() == b""


def test_each_key_answers_under_its_own_hint() -> None:
    dialler, answerer = Link.initiate(DIALLER, OTHER.public, MAIN, always(b"e" * 32)), answer()
    answerer.receive_bytes(dialler.data_to_send())
    assert events(answerer) == [LinkUp(DIALLER.public, OTHER.public)]


def test_networks_do_not_mix() -> None:
    with pytest.raises(BadMessage):
        answer(TEST).receive_bytes(dial(network=MAIN).data_to_send())


def test_dialling_a_point_of_small_order() -> None:
    with pytest.raises(BadMessage):
        Link.initiate(DIALLER, bytes(32), MAIN, always(b"e" * 32))


def test_a_failed_link_stays_failed() -> None:
    dialler, answerer = joined()
    dialler.send(b"before")
    good = dialler.data_to_send()
    with pytest.raises(BadMessage) as first:
        answerer.receive_bytes(good + b"\0\0")
    assert answerer.closed
    with pytest.raises(BadMessage) as second:
        answerer.receive_bytes(b"")
    assert second.value is first.value
    with pytest.raises(WrongState):
        answerer.send(b"x")
    assert events(answerer) == [MessageReceived(b"before")]


def test_sending_before_and_after() -> None:
    with pytest.raises(WrongState):
        answer().send(b"to nobody")
    dialler, answerer = joined()
    dialler.close()
    with pytest.raises(WrongState):
        dialler.send(b"x")
    answerer.send(b"y")
    dialler.receive_bytes(answerer.data_to_send())
    assert events(dialler) == []
