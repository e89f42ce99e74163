"""Sessions over datagrams: first contact, confirmation, replay, renewal, restart, crossing calls, cookies, bounds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pmarket import limits
from p2pmarket.dht.cookie import COOKIE_BYTES, Allowance, Cookies
from p2pmarket.dht.replay import ReplayWindow
from p2pmarket.dht.session import (
    FIRST_CONTACT_ROOM,
    FIRST_REPLY_OVERHEAD,
    FIRST_REPLY_ROOM,
    TRANSPORT_OVERHEAD,
    TRANSPORT_ROOM,
    Opened,
    Peer,
    PlainSessions,
    Sessions,
)
from p2pmarket.errors import BadMessage, LimitReached, WrongState
from p2pmarket.keys import ExchangeKey
from p2pmarket.network import DEV, MAIN, TEST, Network
from p2pmarket.noise import Initiator

VECTOR = json.loads((Path(__file__).parent.parent / "docs/vectors/session.json").read_text())
Kind = type[Sessions]
both = pytest.mark.parametrize("kind", [Sessions, PlainSessions])


class End:
    """One node's sessions with its address."""

    def __init__(self, kind: Kind, number: int, network: Network = TEST) -> None:
        self.kind, self.number, self.network = kind, number, network
        self.key = ExchangeKey.from_seed(number.to_bytes(32, "big"))
        self.peer = Peer((f"192.0.2.{number}", 4000 + number), self.key.public)
        self.restart()

    def restart(self, run: int = 0) -> None:
        source = Random(f"{self.number}/{run}")
        self.sessions = self.kind(self.key, self.network, source.randbytes, source)

    def ask(self, other: End, message: bytes, now: float) -> bytes:
        return self.sessions.seal(other.peer, message, now)

    def hear(self, other: End, datagram: bytes, now: float) -> Opened | None:
        return self.sessions.open_untrusted(datagram, other.peer.address, now)

    def must_hear(self, other: End, datagram: bytes, now: float) -> Opened:
        opened = self.hear(other, datagram, now)
        assert opened is not None
        assert opened.peer == other.peer
        return opened

    def reply(self, opened: Opened, message: bytes, now: float) -> bytes:
        return self.sessions.seal_reply(opened, message, now)


def exchange(asker: End, answerer: End, now: float, question: bytes = b"question") -> Opened:
    """One question with its reply, nothing lost. Returns what the answerer saw."""
    seen = answerer.must_hear(asker, asker.ask(answerer, question, now), now)
    assert seen.message == question
    assert asker.must_hear(answerer, answerer.reply(seen, b"reply", now), now).message == b"reply"
    return seen


def ends(kind: Kind) -> tuple[End, End]:
    return End(kind, 1), End(kind, 2)


def met(kind: Kind, now: float = 0.0) -> tuple[End, End]:
    """Two ends with a session that both have confirmed."""
    a, b = ends(kind)
    exchange(a, b, now)
    exchange(a, b, now)
    return a, b


def test_vector() -> None:
    def drawn(name: str) -> Callable[[int], bytes]:
        source: Iterator[str] = iter(VECTOR[name])
        return lambda size: bytes.fromhex(next(source))[:size]

    def end(name: str) -> tuple[Sessions, Peer]:
        key = ExchangeKey.from_seed(bytes.fromhex(VECTOR[f"{name}_static"]))
        host, port = VECTOR[f"{name}_address"]
        return Sessions(key, MAIN, drawn(f"{name}_secrets"), Random(0)), Peer((host, port), key.public)

    (asker, asks), (answerer, answers) = end("asker"), end("answerer")
    messages = [bytes.fromhex(text) for text in VECTOR["messages"]]
    datagrams = [bytes.fromhex(text) for text in VECTOR["datagrams"]]
    for turn in (0, 2):
        assert asker.seal(answers, messages[turn], 0.0) == datagrams[turn]
        seen = answerer.open_untrusted(datagrams[turn], asks.address, 0.0)
        assert seen is not None
        assert (seen.peer, seen.message, seen.confirmed) == (asks, messages[turn], turn == 2)
        assert answerer.seal_reply(seen, messages[turn + 1], 0.0) == datagrams[turn + 1]
        reply = asker.open_untrusted(datagrams[turn + 1], answers.address, 0.0)
        assert reply is not None
        assert reply.message == messages[turn + 1]


# First contact and confirmation


@both
def test_first_contact(kind: Kind) -> None:
    a, b = ends(kind)
    call = a.ask(b, b"question", 0.0)
    assert len(call) == limits.DATAGRAM_BYTES
    seen = b.must_hear(a, call, 0.0)
    assert (seen.message, seen.confirmed, seen.reply_limit) == (b"question", False, FIRST_REPLY_ROOM)
    answer = b.reply(seen, b"r" * seen.reply_limit, 0.1)
    assert len(answer) == len(call)
    assert not b.sessions.has_session(a.peer, 0.1)
    reply = a.must_hear(b, answer, 0.2)
    assert (reply.message, reply.confirmed) == (b"r" * FIRST_REPLY_ROOM, True)
    assert a.sessions.has_session(b.peer, 0.2)
    packet = a.ask(b, b"next", 0.3)
    assert len(packet) == len(b"next") + TRANSPORT_OVERHEAD
    assert b.must_hear(a, packet, 0.4).confirmed
    assert b.sessions.has_session(a.peer, 0.4)
    back = b.ask(a, b"own question", 0.5)
    assert len(back) == len(b"own question") + TRANSPORT_OVERHEAD
    assert a.must_hear(b, back, 0.6).message == b"own question"


@both
def test_sizes_at_the_limit(kind: Kind) -> None:
    a, b = ends(kind)
    assert a.sessions.room(b.peer, 0.0) == FIRST_CONTACT_ROOM
    for size in (0, FIRST_CONTACT_ROOM):
        assert b.must_hear(a, a.ask(b, b"q" * size, 0.0), 0.0).message == b"q" * size
    with pytest.raises(LimitReached):
        a.ask(b, b"q" * (FIRST_CONTACT_ROOM + 1), 0.0)
    seen = b.must_hear(a, a.ask(b, b"", 0.0), 0.0)
    with pytest.raises(LimitReached):
        b.reply(seen, b"r" * (seen.reply_limit + 1), 0.0)
    empty = b.reply(seen, b"", 0.0)
    assert len(empty) == FIRST_REPLY_OVERHEAD
    a.must_hear(b, empty, 0.0)
    assert a.sessions.room(b.peer, 0.0) == TRANSPORT_ROOM
    full = a.ask(b, b"q" * TRANSPORT_ROOM, 0.0)
    assert len(full) == limits.DATAGRAM_BYTES
    assert b.must_hear(a, full, 0.0).reply_limit == TRANSPORT_ROOM
    with pytest.raises(LimitReached):
        a.ask(b, b"q" * (TRANSPORT_ROOM + 1), 0.0)


@both
def test_a_call_is_replied_to_once(kind: Kind) -> None:
    a, b = ends(kind)
    seen = b.must_hear(a, a.ask(b, b"", 0.0), 0.0)
    b.reply(seen, b"", 0.0)
    with pytest.raises(WrongState):
        b.reply(seen, b"", 0.0)


@both
def test_an_unconfirmed_session_lasts_ten_seconds(kind: Kind) -> None:
    for wait, heard in ((limits.UNCONFIRMED_SECONDS - 0.01, True), (limits.UNCONFIRMED_SECONDS, False)):
        a, b = ends(kind)
        exchange(a, b, 0.0)
        assert (b.hear(a, a.ask(b, b"", 0.0), wait) is not None) == heard


@both
def test_the_asker_does_not_trust_a_session_that_may_be_forgotten(kind: Kind) -> None:
    """Until a packet came back under it, the other side may have dropped it as unconfirmed."""
    for wait, used in ((limits.UNCONFIRMED_SECONDS / 2 - 0.01, True), (limits.UNCONFIRMED_SECONDS / 2, False)):
        a, b = ends(kind)
        exchange(a, b, 0.0)
        assert a.sessions.has_session(b.peer, wait) == used
        exchange(a, b, 0.0)
        assert a.sessions.has_session(b.peer, wait)


@both
def test_a_call_does_not_replace_a_confirmed_session(kind: Kind) -> None:
    """Whoever replays a call, or calls under a stolen address, leaves what is there alone."""
    a, b = met(kind)
    old_call = End(kind, 1).ask(b, b"replayed", 0.0)
    for _ in range(3):
        assert not b.must_hear(a, old_call, 1.0).confirmed
        b.reply(b.must_hear(a, old_call, 1.0), b"", 1.0)
    packet = b.ask(a, b"under the old one", 1.0)
    assert a.must_hear(b, packet, 1.0).message == b"under the old one"


@both
def test_several_calls_at_once(kind: Kind) -> None:
    a, b = ends(kind)
    calls = [a.ask(b, bytes([n]), 0.0) for n in range(4)]
    answers = [b.reply(seen, seen.message, 0.0) for seen in [b.must_hear(a, call, 0.0) for call in calls]]
    assert {a.must_hear(b, answer, 0.1).message for answer in reversed(answers)} == {b"\0", b"\1", b"\2", b"\3"}
    for _ in range(3):
        exchange(a, b, 0.2)
        exchange(b, a, 0.2)


@both
def test_late_answers_do_not_displace_the_session_in_use(kind: Kind) -> None:
    a, b = ends(kind)
    seen = [b.must_hear(a, a.ask(b, bytes([n]), 0.0), 0.0) for n in range(4)]
    first, *late = [b.reply(one, one.message, 0.0) for one in seen]
    a.must_hear(b, first, 0.1)
    b.must_hear(a, a.ask(b, b"packet", 0.1), 0.1)
    for answer in late:
        assert a.must_hear(b, answer, 0.2).confirmed
    assert a.must_hear(b, b.ask(a, b"own question", 0.3), 0.3).message == b"own question"


# What is not taken


@pytest.mark.parametrize(
    ("payload", "good"),
    [
        (b"\0\2ab", True),
        (b"\0\2abc", False),
        (b"\0\2ab".ljust(FIRST_CONTACT_ROOM + 1, b"\0") + b"\1", False),
        ((FIRST_CONTACT_ROOM + 1).to_bytes(2, "big"), False),
        (b"\xff\xff", False),
    ],
)
def test_the_content_of_a_call(payload: bytes, good: bool) -> None:
    a, b = ends(Sessions)
    head = b"\1\1\0\0\0\7"
    noise = Initiator(TEST.prologue("dht") + head, a.key, b.key.public, Random(1).randbytes)
    call = head + bytes(COOKIE_BYTES) + noise.write_message(payload.ljust(FIRST_CONTACT_ROOM + 2, b"\0"))
    if good:
        assert b.must_hear(a, call, 0.0).message == b"ab"
        return
    with pytest.raises(BadMessage, match="length says"):
        b.hear(a, call, 0.0)


@both
def test_replayed_packets_and_answers(kind: Kind) -> None:
    a, b = ends(kind)
    seen = b.must_hear(a, a.ask(b, b"", 0.0), 0.0)
    answer = b.reply(seen, b"", 0.0)
    assert a.hear(b, answer, 0.0) is not None
    assert a.hear(b, answer, 0.0) is None
    packet = a.ask(b, b"once", 0.0)
    assert b.hear(a, packet, 0.0) is not None
    assert b.hear(a, packet, 0.0) is None


@both
def test_packets_out_of_order(kind: Kind) -> None:
    a, b = met(kind)
    packets = [a.ask(b, n.to_bytes(2, "big"), 0.0) for n in range(limits.REPLAY_WINDOW + 1)]
    assert b.hear(a, packets[-1], 0.0) is not None
    assert b.hear(a, packets[0], 0.0) is None  # one too far behind
    order = list(range(1, limits.REPLAY_WINDOW))
    Random(5).shuffle(order)
    assert all(b.hear(a, packets[n], 0.0) for n in order)
    assert not any(b.hear(a, packets[n], 0.0) for n in order)


@both
def test_another_address_or_network_or_key(kind: Kind) -> None:
    a, b = ends(kind)
    c = End(kind, 3)
    call = a.ask(b, b"", 0.0)
    with pytest.raises(BadMessage):
        c.hear(a, call, 0.0)  # meant for b
    for network in (MAIN, DEV):
        with pytest.raises(BadMessage):
            End(kind, 2, network).hear(a, call, 0.0)
    answer = b.reply(b.must_hear(a, call, 0.0), b"", 0.0)
    assert a.hear(c, answer, 0.0) is None
    assert a.hear(b, answer, 0.0) is not None
    packet = a.ask(b, b"", 0.0)
    assert b.hear(c, packet, 0.0) is None
    assert b.hear(a, packet, 0.0) is not None


@both
def test_our_own_key(kind: Kind) -> None:
    a = End(kind, 1)
    with pytest.raises(BadMessage, match="own key"):
        a.hear(a, a.ask(a, b"", 0.0), 0.0)


def test_every_changed_byte() -> None:
    """A changed datagram is never a message, and never spoils the true one; only a call's cookie is free to differ."""
    a, b = ends(Sessions)
    call = a.ask(b, b"question", 0.0)
    cookie = range(6, 6 + COOKIE_BYTES)
    for at in [n for n in range(0, len(call), 13) if n not in cookie]:
        assert heard(b, a, flipped(call, at)) is None
    answer = b.reply(b.must_hear(a, call, 0.0), b"reply", 0.0)
    assert all(heard(a, b, flipped(answer, at)) is None for at in range(len(answer)))
    assert a.must_hear(b, answer, 0.0).message == b"reply"
    packet = a.ask(b, b"next", 0.0)
    assert all(heard(b, a, flipped(packet, at)) is None for at in range(len(packet)))
    assert b.must_hear(a, packet, 0.0).message == b"next"


def flipped(datagram: bytes, at: int) -> bytes:
    return datagram[:at] + bytes([datagram[at] ^ 0x40]) + datagram[at + 1 :]


def heard(end: End, other: End, datagram: bytes) -> Opened | None:
    try:
        return end.hear(other, datagram, 0.0)
    except BadMessage:
        return None


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=80) | st.just(bytes(1200)), st.sampled_from([b"", b"\1\1", b"\1\2", b"\1\3", b"\1\4", b"\2\3"])
)
def test_any_bytes(data: bytes, head: bytes) -> None:
    a, b = met(Sessions)
    assert heard(a, b, head + data) is None
    assert heard(a, b, (head + data).ljust(1200, b"\7")[:1200]) is None
    assert a.sessions.datagrams_to_send() == []


@pytest.mark.parametrize("size", [0, 5, limits.DATAGRAM_BYTES + 1])
def test_lengths(size: int) -> None:
    with pytest.raises(BadMessage, match="length"):
        End(Sessions, 1).sessions.open_untrusted(b"\1\3".ljust(size, b"\0")[:size], ("192.0.2.9", 9), 0.0)


def test_a_short_call_is_not_worth_a_handshake() -> None:
    a, b = ends(Sessions)
    with pytest.raises(BadMessage, match="padded"):
        b.hear(a, a.ask(b, b"", 0.0)[:-1], 0.0)


# Renewal, silence, restart


def taken_up(end: End, other: End, now: float) -> bool:
    """Whether the next question goes as a call."""
    return len(end.ask(other, b"", now)) == limits.DATAGRAM_BYTES


@both
def test_silence_leads_to_a_call(kind: Kind) -> None:
    a, b = met(kind)
    a.ask(b, b"lost", 10.0)
    assert not taken_up(a, b, 10.0 + limits.SESSION_SILENCE_SECONDS - 0.01)
    assert not a.sessions.has_session(b.peer, 10.0 + limits.SESSION_SILENCE_SECONDS)
    assert taken_up(a, b, 10.0 + limits.SESSION_SILENCE_SECONDS)


@both
def test_replies_are_no_questions(kind: Kind) -> None:
    a, b = met(kind)
    seen = b.must_hear(a, a.ask(b, b"", 10.0), 10.0)
    b.reply(seen, b"", 10.0)
    assert b.sessions.has_session(a.peer, 20.0)


@both
@pytest.mark.parametrize("who", [0, 1])
def test_a_restarted_peer(kind: Kind, who: int) -> None:
    """Either end forgets everything; either end may ask next; one repeated question repairs it."""
    for asker in (0, 1):
        pair = met(kind)
        pair[who].restart(run=1)
        one, two = pair[asker], pair[1 - asker]
        first = one.ask(two, b"question", 10.0)
        if two.hear(one, first, 10.0) is None:
            exchange(one, two, 10.0 + limits.SESSION_SILENCE_SECONDS)
        for _ in range(2):  # the second one confirms the new session at the other end too
            exchange(one, two, 20.0)
        exchange(two, one, 21.0)
        assert one.sessions.has_session(two.peer, 21.0)
        assert two.sessions.has_session(one.peer, 21.0)


@both
def test_forget(kind: Kind) -> None:
    a, b = met(kind)
    late = b.ask(a, b"late", 0.0)
    a.sessions.forget(b.peer)
    a.sessions.forget(b.peer)
    assert a.hear(b, late, 0.0) is None
    assert taken_up(a, b, 0.0)


@both
def test_idle_sessions_end(kind: Kind) -> None:
    a, b = met(kind)
    packet = a.ask(b, b"", 0.0)
    assert not b.sessions.has_session(a.peer, limits.SESSION_IDLE_SECONDS)
    assert b.hear(a, packet, limits.SESSION_IDLE_SECONDS) is None
    assert b.hear(a, packet, limits.SESSION_IDLE_SECONDS - 0.01) is not None


@both
def test_renewal_after_an_hour(kind: Kind) -> None:
    a, b = met(kind)
    now = 0.0
    while a.sessions.has_session(b.peer, now):
        exchange(a, b, now)
        now += 60.0
    assert 0.9 * limits.SESSION_SECONDS <= now <= limits.SESSION_SECONDS + 60
    exchange(a, b, now)
    assert a.sessions.has_session(b.peer, now)
    exchange(a, b, now)


@both
def test_packets_of_a_session_are_counted(kind: Kind) -> None:
    a, b = met(kind)
    session = a.sessions._by_peer[b.peer][0]
    session.send.n = limits.SESSION_PACKETS - 1
    assert not taken_up(a, b, 0.0)
    assert taken_up(a, b, 0.0)
    session.send.n = 2 * limits.SESSION_PACKETS - 1
    seen = a.must_hear(b, b.ask(a, b"", 0.0), 0.0)
    assert b.hear(a, a.reply(seen, b"", 0.0), 0.0) is not None
    assert b.hear(a, a.reply(seen, b"", 0.0), 0.0) is None


@both
def test_old_sessions_are_not_taken_for_ever(kind: Kind) -> None:
    a, b = met(kind)
    ends_at = limits.SESSION_SECONDS + limits.SESSION_IDLE_SECONDS
    session = a.sessions._by_peer[b.peer][0]
    for now in range(0, ends_at, 300):
        session.renew = float(ends_at + 300)  # an end that does not renew
        assert b.hear(a, a.ask(b, b"", float(now)), float(now)) is not None
        session.asked = None
        session.heard = float(now)
    assert b.hear(a, a.ask(b, b"", ends_at), ends_at) is None


# Both call at once


@both
@pytest.mark.parametrize("order", range(6))
def test_simultaneous_calls(kind: Kind, order: int) -> None:
    a, b = ends(kind)
    call_a, call_b = a.ask(b, b"from a", 0.0), b.ask(a, b"from b", 0.0)
    answer_b = b.reply(b.must_hear(a, call_a, 0.1), b"to a", 0.1)
    answer_a = a.reply(a.must_hear(b, call_b, 0.1), b"to b", 0.1)
    steps: list[Callable[[], object]] = [
        lambda: a.must_hear(b, answer_b, 0.2),
        lambda: b.must_hear(a, answer_a, 0.2),
    ]
    for step in steps if order % 2 else reversed(steps):
        step()
    for turn in range(20):  # questions cross in pairs
        now = 0.3 + turn
        to_b, to_a = a.ask(b, b"x", now), b.ask(a, b"y", now)
        assert len(to_b) == len(to_a) == 1 + TRANSPORT_OVERHEAD
        seen_b, seen_a = b.must_hear(a, to_b, now), a.must_hear(b, to_a, now)
        a.must_hear(b, b.reply(seen_b, b"", now), now)
        b.must_hear(a, a.reply(seen_a, b"", now), now)
    assert len(a.sessions._by_index) <= 2


steps = st.lists(st.tuples(st.sampled_from("ABabrsw"), st.integers(0, 40)), max_size=40)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_any_history_recovers(steps: list[tuple[str, int]]) -> None:
    """Questions, losses, reordering, restarts, waiting: nothing comes twice, and afterwards a second try works."""
    a, b = ends(PlainSessions)
    wire: list[tuple[End, End, bytes]] = []
    now, run, seen = 0.0, 0, set[bytes]()
    for step, pick in steps:
        now += 0.1
        sender, other = (a, b) if step in "Aa" else (b, a)
        if step in "AB":
            wire.append((sender, other, sender.ask(other, f"{len(seen)}/{now}".encode(), now)))
        elif step in "ab" and wire:
            source, target, datagram = wire[pick % len(wire)]  # delivered now, perhaps again later
            opened = target.hear(source, datagram, now)
            if opened is not None and opened.message:
                assert not opened.confirmed or opened.message not in seen
                if opened.confirmed:
                    seen.add(opened.message)
                wire.append((target, source, target.reply(opened, b"", now)))
        elif step in "rs":
            run += 1
            (a if step == "r" else b).restart(run)
        elif step == "w":
            now += pick * 20.0
    for one, two in ((a, b), (b, a)):
        now += limits.SESSION_SILENCE_SECONDS
        if two.hear(one, one.ask(two, b"first try", now), now) is None:
            now += limits.SESSION_SILENCE_SECONDS
            assert two.must_hear(one, one.ask(two, b"second try", now), now).message == b"second try"


# Bounds


@both
def test_tables_are_bounded(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SESSIONS", 5)
    monkeypatch.setattr(limits, "UNCONFIRMED_SESSIONS", 3)
    a, others = End(kind, 1), [End(kind, number) for number in range(2, 12)]
    for other in others:
        exchange(a, other, 0.0)
        exchange(other, a, 0.0)
    assert len(a.sessions._by_peer) == len(a.sessions._by_index) == 5
    assert [a.sessions.has_session(other.peer, 0.0) for other in others] == [False] * 5 + [True] * 5
    packets = []
    for other in others[:5]:
        other.sessions.forget(a.peer)
        call = other.ask(a, b"", 100.0)
        other.must_hear(a, a.reply(a.must_hear(other, call, 100.0), b"", 100.0), 100.0)
        packets.append(other.ask(a, b"", 100.0))
    assert len(a.sessions._unconfirmed) == 3
    assert [a.hear(o, p, 100.0) is not None for o, p in zip(others, packets, strict=False)] == [False] * 2 + [True] * 3
    for other in others:
        a.sessions.forget(other.peer)
        a.ask(other, b"", 200.0)
    assert len(a.sessions._calls) == 3


@both
def test_the_least_recently_heard_goes_first(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SESSIONS", 2)
    a, b, c, d = (End(kind, number) for number in range(1, 5))
    exchange(a, b, 0.0)
    exchange(a, c, 0.0)
    exchange(a, b, 0.0)
    exchange(a, d, 0.0)
    assert [a.sessions.has_session(end.peer, 0.0) for end in (b, c, d)] == [True, False, True]


@both
def test_idle_sessions_are_dropped_when_a_new_one_comes(kind: Kind) -> None:
    a, b = met(kind)
    c = End(kind, 3)
    exchange(a, c, limits.SESSION_IDLE_SECONDS - 0.01)
    assert len(a.sessions._by_peer) == 2
    exchange(a, End(kind, 4), limits.SESSION_IDLE_SECONDS)
    assert set(a.sessions._by_peer) == {c.peer, End(kind, 4).peer}
    assert len(a.sessions._by_index) == 2
    assert not a.sessions.has_session(b.peer, limits.SESSION_IDLE_SECONDS)


@both
def test_nothing_is_kept_for_calls_without_reply(kind: Kind) -> None:
    a, b = ends(kind)
    for _ in range(50):
        b.must_hear(a, a.ask(b, b"", 0.0), 0.0)
    assert (len(b.sessions._unconfirmed), len(b.sessions._by_peer)) == (0, 0)


# Cookies


def under_load(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> tuple[End, End]:
    """b has answered all the strangers it answers within this second."""
    monkeypatch.setattr(limits, "HANDSHAKES_PER_SECOND", 4)
    monkeypatch.setattr(limits, "COOKIE_HANDSHAKES_PER_SECOND", 2)
    monkeypatch.setattr(limits, "HANDSHAKES_BURST", 2)
    a, b = ends(kind)
    for _ in range(limits.HANDSHAKES_BURST):
        b.must_hear(a, a.ask(b, b"", 0.0), 0.0)
    return a, b


@both
def test_cookie_round(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = under_load(kind, monkeypatch)
    assert b.hear(a, a.ask(b, b"question", 0.0), 0.0) is None
    ((cookie, address),) = b.sessions.datagrams_to_send()
    assert (address, len(cookie)) == (a.peer.address, 22)
    assert b.sessions.datagrams_to_send() == []
    assert a.hear(b, cookie, 0.0) is None
    ((again, address),) = a.sessions.datagrams_to_send()
    assert address == b.peer.address
    assert a.hear(b, cookie, 0.0) is None
    assert a.sessions.datagrams_to_send() == []  # a call is repeated once
    seen = b.must_hear(a, again, 0.0)
    assert (seen.message, seen.confirmed) == (b"question", False)
    assert a.must_hear(b, b.reply(seen, b"reply", 0.0), 0.0).message == b"reply"


@both
def test_the_next_call_shows_the_cookie_at_once(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = under_load(kind, monkeypatch)
    assert b.hear(a, a.ask(b, b"", 0.0), 0.0) is None
    a.hear(b, b.sessions.datagrams_to_send()[0][0], 0.0)
    a.sessions.datagrams_to_send()
    assert b.hear(a, a.ask(b, b"", 0.0), 0.0) is not None
    assert b.hear(a, a.ask(b, b"", 0.0), 0.0) is not None
    assert b.hear(a, a.ask(b, b"", 0.0), 0.0) is None  # those with a cookie are limited too
    assert b.sessions.datagrams_to_send() == []
    assert b.hear(a, a.ask(b, b"", 0.5), 0.5) is not None


@both
def test_a_cookie_of_somebody_else(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = under_load(kind, monkeypatch)
    c = End(kind, 3)
    assert b.hear(a, a.ask(b, b"", 0.0), 0.0) is None
    stolen = b.sessions.datagrams_to_send()[0][0][6:]
    call = c.ask(b, b"", 0.0)
    assert b.hear(c, call[:6] + stolen + call[6 + COOKIE_BYTES :], 0.0) is None
    assert len(b.sessions.datagrams_to_send()) == 1


@both
def test_forged_cookies(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = ends(kind)
    call = a.ask(b, b"", 0.0)
    good = b"\1\4" + call[2:6] + bytes(COOKIE_BYTES)
    for forged, source in ((b"\1\4\0\0\0\0" + good[6:], b), (good, End(kind, 3))):
        assert a.hear(source, forged, 0.0) is None
        assert a.sessions.datagrams_to_send() == []
    for wrong in (good[:-1], good + b"\0"):
        with pytest.raises(BadMessage):
            a.hear(b, wrong, 0.0)


def test_cookies_waiting_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = under_load(PlainSessions, monkeypatch)
    monkeypatch.setattr(limits, "UNCONFIRMED_SESSIONS", 7)
    for _ in range(20):
        b.hear(a, a.ask(b, b"", 0.0), 0.0)
    assert len(b.sessions.datagrams_to_send()) == 7


def test_cookies_given_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "COOKIES_PER_SECOND", 3)
    a, b = under_load(PlainSessions, monkeypatch)
    for at, number in ((0.0, 3), (1.0, 3), (1.1, 0)):
        while b.sessions._calls_free.take(at):
            pass
        for _ in range(10):
            b.hear(a, a.ask(b, b"", at), at)
        assert len(b.sessions.datagrams_to_send()) == number


def test_cookies_live_one_to_two_slots() -> None:
    cookies, here = Cookies(b"k" * 32), ("192.0.2.1", 1)
    life = limits.COOKIE_SECONDS
    start = cookies.cookie(here, 10.0 * life)
    assert all(cookies.good(start, here, at * life) for at in (10.0, 10.99, 11.0, 11.99))
    assert not any(cookies.good(start, here, at * life) for at in (9.99, 12.0))
    assert not cookies.good(start, ("192.0.2.1", 2), 10.0 * life)
    assert not cookies.good(start, ("192.0.2.11", 1), 10.0 * life)
    assert not Cookies(b"j" * 32).good(start, here, 10.0 * life)
    assert not cookies.good(bytes(COOKIE_BYTES), here, 10.0 * life)


def test_replies_are_never_longer_than_what_came(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = under_load(Sessions, monkeypatch)
    call = a.ask(b, b"", 0.0)
    b.hear(a, call, 0.0)
    assert all(len(datagram) < len(call) for datagram, _ in b.sessions.datagrams_to_send())


def test_allowance() -> None:
    allowance = Allowance(4, 3)
    assert [allowance.take(100.0) for _ in range(4)] == [True, True, True, False]
    assert [allowance.take(100.25) for _ in range(2)] == [True, False]
    assert [allowance.take(200.0) for _ in range(4)] == [True, True, True, False]


@given(st.lists(st.integers(0, 3000) | st.integers(0, 2**64 - 1), max_size=60))
def test_replay_window(numbers: list[int]) -> None:
    window, seen = ReplayWindow(), set[int]()
    for number in numbers:
        expected = number not in seen and number > max(seen, default=-1) - limits.REPLAY_WINDOW
        assert window.is_new(number) == expected
        if expected:
            window.enter(number)
            seen.add(number)


def test_sim_stand_in_has_the_real_sizes() -> None:
    sizes: list[list[int]] = []
    for kind in (Sessions, PlainSessions):
        a, b = ends(kind)
        call = a.ask(b, b"q", 0.0)
        answer = b.reply(b.must_hear(a, call, 0.0), b"r", 0.0)
        a.must_hear(b, answer, 0.0)
        sizes.append([len(call), len(answer), len(a.ask(b, b"p", 0.0))])
    assert sizes[0] == sizes[1]


def test_vector_has_all_kinds_of_datagrams() -> None:
    vector: dict[str, Any] = VECTOR
    assert [bytes.fromhex(text)[1] for text in vector["datagrams"]] == [1, 2, 3, 3]
