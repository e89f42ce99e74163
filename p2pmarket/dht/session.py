"""Encrypted sessions over datagrams of at most 1,200 bytes; each carries one opaque message.

    call       version, 1, caller's index (4), cookie (16), Noise message 1         always 1,200 bytes
               payload: u16 length, message, zeros up to the end
    answer     version, 2, caller's index (4), Noise message 2                      never longer than the call
               payload: answerer's index (4), message
    packet     version, 3, receiver's index (4), number (8), message encrypted under that number
    cookie     version, 4, caller's index (4), cookie (16)                          22 bytes, for the call of 1,200

Numbers are in network order. The prologue of the handshake is the network's and the first six bytes of the call.

First contact costs one round trip: the call carries the first question, the answer the first reply. A call can be
replayed or come from a false address, so what it carries is `confirmed=False`: the caller above must take nothing but
reads from it. Nothing is kept for a call until it is replied to; then its session is unconfirmed for at most
`limits.UNCONFIRMED_SECONDS`, in a table of its own, and counts once a packet under it decrypts. Only then may it take
the place of the session before. When calls come too often they must show a cookie (`p2pmarket.dht.cookie`).

Sessions belong to (address, public key). Each peer has up to two: we ask under the newer and take packets under both,
for two peers may call each other at once and each then prefers another one; replies go under the session of the
question. Several calls may be on their way to one peer: each gets its answer, the first answered makes the session.

A session ends after ten idle minutes, and is renewed by a new call after an hour or 2**20 packets. A peer that lost
its session ignores our packets. So does a dead one: when a question has gone unanswered for
`limits.SESSION_SILENCE_SECONDS` the next question is a call again, and works if the peer is there. Questions that may
not ride in a call (writes) ask `has_session` first; a read before them makes one. `forget` forces it.

Unknown, replayed and late datagrams are nothing (`None`); datagrams that never were right raise BadMessage. Neither is
answered.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from p2pmarket import limits
from p2pmarket.dht.cookie import COOKIE_BYTES, NO_COOKIE, Allowance, Cookies
from p2pmarket.dht.plain import Cipher, Handshake, PlainInitiator, PlainResponder
from p2pmarket.dht.replay import ReplayWindow
from p2pmarket.errors import BadMessage, LimitReached
from p2pmarket.keys import ExchangeKey, Secrets
from p2pmarket.network import Network
from p2pmarket.noise import MESSAGE_1_OVERHEAD, MESSAGE_2_OVERHEAD, TAG_BYTES, Initiator, Responder

if TYPE_CHECKING:
    from random import Random

VERSION = 1
_CALL, _ANSWER, _PACKET, _COOKIE = 1, 2, 3, 4
_HEAD = struct.Struct(">BBI")  # version, type, index
_PACKET_HEAD = struct.Struct(">BBIQ")
_INDEX_BYTES = 4
_LENGTH_BYTES = 2
_NOISE_AT = _HEAD.size + COOKIE_BYTES

FIRST_CONTACT_OVERHEAD = _NOISE_AT + MESSAGE_1_OVERHEAD + _LENGTH_BYTES  # 120
FIRST_REPLY_OVERHEAD = _HEAD.size + MESSAGE_2_OVERHEAD + _INDEX_BYTES  # 58
TRANSPORT_OVERHEAD = _PACKET_HEAD.size + TAG_BYTES  # 30
FIRST_CONTACT_ROOM = limits.DATAGRAM_BYTES - FIRST_CONTACT_OVERHEAD  # 1,080: the longest question without a session
FIRST_REPLY_ROOM = limits.DATAGRAM_BYTES - FIRST_REPLY_OVERHEAD  # 1,142: the longest reply to it
TRANSPORT_ROOM = limits.DATAGRAM_BYTES - TRANSPORT_OVERHEAD  # 1,170: the longest message within a session

_KEPT_PER_PEER = 2
_RENEW_SPREAD = 0.1  # a session's life is up to so much shorter, so that both ends do not call at once

Address = tuple[str, int]  # text of an IPv4 or IPv6 address, port


class Peer(NamedTuple):
    """Whom a session belongs to: where it is, and its X25519 key."""

    address: Address
    public: bytes


@dataclass(slots=True, eq=False)
class _Session:
    peer: Peer
    local: int  # index by which the peer names it
    remote: int  # index by which we name it to the peer
    send: Cipher
    receive: Cipher
    born: float
    renew: float  # when we stop asking under it
    heard: float
    asked: float | None = None  # when the oldest question that was not followed by anything was sent
    window: ReplayWindow | None = None  # of the packets that came under it; until one did it is not proven


@dataclass(slots=True, eq=False)
class _Call:
    """A call of ours that waits for its answer; `index` in it is ours."""

    peer: Peer
    index: int
    handshake: Handshake
    datagram: bytes
    born: float
    cookie_shown: bool


@dataclass(slots=True, eq=False)
class _Called:
    """A call of somebody else that may be replied to once; `index` is his."""

    peer: Peer
    index: int
    handshake: Handshake


@dataclass(slots=True, eq=False)
class Opened:
    """A message that came.

    `confirmed`: the peer is at that address, and this is no replay. Otherwise only reads may be served.
    `reply_limit`: the longest message that `seal_reply` takes, in bytes.
    """

    peer: Peer
    message: bytes
    confirmed: bool
    reply_limit: int
    via: _Session | _Called = field(repr=False)


class Sessions:
    """All sessions of one node."""

    def __init__(self, static: ExchangeKey, network: Network, secrets: Secrets, rng: Random) -> None:
        """`static` is the node's key; `rng` spreads renewals, `secrets` makes keys and indices."""
        self._static = static
        self._prologue = network.prologue("dht")
        self._secrets = secrets
        self._rng = rng
        self._cookies = Cookies(secrets(32))
        self._calls_free = Allowance(limits.HANDSHAKES_PER_SECOND, limits.HANDSHAKES_BURST)
        self._calls_with_cookie = Allowance(limits.COOKIE_HANDSHAKES_PER_SECOND, limits.HANDSHAKES_BURST)
        self._cookies_given = Allowance(limits.COOKIES_PER_SECOND, limits.COOKIES_PER_SECOND)
        self._by_peer: dict[Peer, tuple[_Session, ...]] = {}  # newest first; last heard last
        self._by_index: dict[int, _Session] = {}  # those of `_by_peer`
        self._unconfirmed: dict[int, _Session] = {}  # oldest first, as is `_calls`
        self._calls: dict[int, _Call] = {}
        self._shown: dict[Address, tuple[bytes, float]] = {}  # cookies that others gave us
        self.outgoing: list[tuple[bytes, Address]] = []  # on account of cookies, for `datagrams_to_send`

    # Asking

    def has_session(self, peer: Peer, now: float) -> bool:
        """Whether `seal` would use a session, of a peer that was there and has not fallen silent."""
        return self._current(peer, now) is not None

    def room(self, peer: Peer, now: float) -> int:
        """The longest message that `seal` takes for this peer now, in bytes."""
        return FIRST_CONTACT_ROOM if self._current(peer, now) is None else TRANSPORT_ROOM

    def seal(self, peer: Peer, message: bytes, now: float) -> bytes:
        """The datagram that brings a question to `peer`: a packet in its session, else a call.

        Raises LimitReached if the message is longer than `room` says, BadMessage if the peer's key is unusable.
        """
        session = self._current(peer, now)
        if session is None:
            return self._call(peer, message, now)
        if session.asked is None:
            session.asked = now
        return _packet(session, message)

    def forget(self, peer: Peer) -> None:
        """End all sessions with `peer`; the next question is a call."""
        for session in self._by_peer.pop(peer, ()):
            del self._by_index[session.local]

    def _current(self, peer: Peer, now: float) -> _Session | None:
        """The session under which to ask now."""
        sessions = self._by_peer.get(peer)
        if sessions is None:
            return None
        session = sessions[0]
        silent = session.asked is not None and now - session.asked >= limits.SESSION_SILENCE_SECONDS
        idle = now - session.heard >= limits.SESSION_IDLE_SECONDS
        worn = now >= session.renew or session.send.n >= limits.SESSION_PACKETS
        # Until a packet came under it the other side may hold it as unconfirmed, and forget it.
        unsure = session.window is None and now - session.born >= limits.UNCONFIRMED_SECONDS / 2
        return None if silent or idle or worn or unsure else session

    def _call(self, peer: Peer, message: bytes, now: float) -> bytes:
        """A new handshake that carries `message`."""
        _check_room(message, FIRST_CONTACT_ROOM)
        _drop_old(self._calls, now)
        head = _HEAD.pack(VERSION, _CALL, self._new_index())
        handshake = self._initiator(head, peer.public)
        payload = len(message).to_bytes(_LENGTH_BYTES, "big") + message.ljust(FIRST_CONTACT_ROOM, b"\0")
        cookie, given = self._shown.get(peer.address, (NO_COOKIE, now))
        if now - given >= limits.COOKIE_SECONDS:
            cookie = NO_COOKIE
        datagram = head + cookie + handshake.write_message(payload)
        index = _HEAD.unpack(head)[2]
        self._calls[index] = _Call(peer, index, handshake, datagram, now, cookie_shown=False)
        return datagram

    def _new_index(self) -> int:
        """Unpredictable, so that only who sees our datagrams can answer them."""
        while True:
            index = int.from_bytes(self._secrets(_INDEX_BYTES), "big")
            if index not in self._by_index and index not in self._unconfirmed and index not in self._calls:
                return index

    # Replying

    def seal_reply(self, opened: Opened, message: bytes, now: float) -> bytes:
        """The datagram that brings the reply to a question. A call can be replied to once (WrongState).

        Raises LimitReached if the message is longer than `opened.reply_limit`.
        """
        via = opened.via
        return _packet(via, message) if isinstance(via, _Session) else self._answer(via, message, now)

    def _answer(self, called: _Called, message: bytes, now: float) -> bytes:
        """Noise message 2; the session it makes waits to be confirmed."""
        _check_room(message, FIRST_REPLY_ROOM)
        _drop_old(self._unconfirmed, now)
        index = self._new_index()
        noise = called.handshake.write_message(index.to_bytes(_INDEX_BYTES, "big") + message)
        self._unconfirmed[index] = self._session(called.peer, index, called.index, called.handshake, now)
        return _HEAD.pack(VERSION, _ANSWER, called.index) + noise

    def datagrams_to_send(self) -> list[tuple[bytes, Address]]:
        """What must be sent on account of cookies; handed out once."""
        outgoing, self.outgoing = self.outgoing, []
        return outgoing

    # Receiving

    def open_untrusted(self, datagram: bytes, address: Address, now: float) -> Opened | None:
        """The message in a datagram from `address`; None if it needs nothing more. Raises BadMessage."""
        if not _HEAD.size <= len(datagram) <= limits.DATAGRAM_BYTES:
            raise BadMessage("a datagram has a wrong length")
        version, kind, index = _HEAD.unpack_from(datagram)
        if version != VERSION:
            raise BadMessage("unknown version")
        if kind == _PACKET:
            return self._open_packet(datagram, index, address, now)
        if kind == _CALL:
            return self._open_call(datagram, index, address, now)
        if kind == _ANSWER:
            return self._open_answer(datagram, index, address, now)
        if kind != _COOKIE:
            raise BadMessage("unknown type of datagram")
        self._take_cookie(datagram, index, address, now)
        return None

    def _open_packet(self, datagram: bytes, index: int, address: Address, now: float) -> Opened | None:
        if len(datagram) < TRANSPORT_OVERHEAD:
            raise BadMessage("a packet is too short")
        unconfirmed = self._unconfirmed.get(index)
        session = unconfirmed or self._by_index.get(index)
        if session is None or session.peer.address != address or _is_over(session, unconfirmed is not None, now):
            return None
        number = _PACKET_HEAD.unpack_from(datagram)[3]
        window = session.window
        # Twice the packets after which an honest peer renews: it may still reply under an old session.
        if number >= 2 * limits.SESSION_PACKETS or (window is not None and not window.is_new(number)):
            return None
        message = session.receive.decrypt_at(number, datagram[_PACKET_HEAD.size :])
        if window is None:
            window = session.window = ReplayWindow()
        window.enter(number)
        session.heard = now
        session.asked = None
        if unconfirmed is not None:
            del self._unconfirmed[index]
            self._install(session, now)
        elif (sessions := self._by_peer.pop(session.peer, None)) is not None:
            self._by_peer[session.peer] = sessions  # last heard last
        return Opened(session.peer, message, True, TRANSPORT_ROOM, session)

    def _open_call(self, datagram: bytes, index: int, address: Address, now: float) -> Opened | None:
        if len(datagram) != limits.DATAGRAM_BYTES:
            raise BadMessage("a call is not padded")
        if not self._admits(datagram, index, address, now):
            return None
        handshake = self._responder(datagram[: _HEAD.size])
        payload = handshake.read_message(datagram[_NOISE_AT:])
        end = _LENGTH_BYTES + int.from_bytes(payload[:_LENGTH_BYTES], "big")
        if end > len(payload) or payload.count(0, end) != len(payload) - end:
            raise BadMessage("the message of a call is not what its length says")
        if handshake.remote_public == self._static.public:
            raise BadMessage("a call under our own key")
        peer = Peer(address, handshake.remote_public)
        message = payload[_LENGTH_BYTES:end]
        return Opened(peer, message, False, FIRST_REPLY_ROOM, _Called(peer, index, handshake))

    def _admits(self, datagram: bytes, index: int, address: Address, now: float) -> bool:
        """Whether the handshake may cost us its time; else a cookie may go out."""
        if self._calls_free.take(now):
            return True
        if self._cookies.good(datagram[_HEAD.size : _NOISE_AT], address, now):
            return self._calls_with_cookie.take(now)
        if len(self.outgoing) < limits.UNCONFIRMED_SESSIONS and self._cookies_given.take(now):
            cookie = self._cookies.cookie(address, now)
            self.outgoing.append((_HEAD.pack(VERSION, _COOKIE, index) + cookie, address))
        return False

    def _open_answer(self, datagram: bytes, index: int, address: Address, now: float) -> Opened | None:
        call = self._calls.get(index)
        if call is None or call.peer.address != address or now - call.born >= limits.UNCONFIRMED_SECONDS:
            return None
        if len(datagram) < FIRST_REPLY_OVERHEAD:
            raise BadMessage("an answer is too short")
        payload = call.handshake.read_message(datagram[_HEAD.size :])
        del self._calls[index]
        remote = int.from_bytes(payload[:_INDEX_BYTES], "big")
        session = self._session(call.peer, index, remote, call.handshake, now)
        current = self._by_peer.get(call.peer)
        if current is not None and current[0].born >= call.born:
            session = current[0]  # made while this call was on its way: the peer may use it already
            session.asked = None
        else:
            self._install(session, now)
        return Opened(call.peer, payload[_INDEX_BYTES:], True, TRANSPORT_ROOM, session)

    def _take_cookie(self, datagram: bytes, index: int, address: Address, now: float) -> None:
        """Show the cookie: send the same call once more with it, and the next ones."""
        call = self._calls.get(index)
        if call is None or call.peer.address != address or call.cookie_shown:
            return
        cookie = datagram[_HEAD.size :]
        if len(cookie) != COOKIE_BYTES:
            raise BadMessage("a cookie has a wrong length")
        call.cookie_shown = True
        self._shown.pop(address, None)
        self._shown[address] = cookie, now
        if len(self._shown) > limits.UNCONFIRMED_SESSIONS:
            del self._shown[next(iter(self._shown))]
        self.outgoing.append((call.datagram[: _HEAD.size] + cookie + call.datagram[_NOISE_AT:], address))

    # The tables

    def _initiator(self, head: bytes, remote_public: bytes) -> Handshake:
        return Initiator(self._prologue + head, self._static, remote_public, self._secrets)

    def _responder(self, head: bytes) -> Handshake:
        return Responder(self._prologue + head, self._static, self._secrets)

    def _session(self, peer: Peer, local: int, remote: int, handshake: Handshake, now: float) -> _Session:
        send, receive = handshake.split()
        life = limits.SESSION_SECONDS * (1 - _RENEW_SPREAD * self._rng.random())
        return _Session(peer, local, remote, send, receive, born=now, renew=now + life, heard=now)

    def _install(self, session: _Session, now: float) -> None:
        """Make a confirmed session the one to ask under; what is idle or too much goes."""
        kept = (session, *self._by_peer.pop(session.peer, ()))
        for old in kept[_KEPT_PER_PEER:]:
            del self._by_index[old.local]
        self._by_peer[session.peer] = kept[:_KEPT_PER_PEER]
        self._by_index[session.local] = session
        while len(self._by_peer) > limits.SESSIONS or self._oldest_is_idle(now):
            self.forget(next(iter(self._by_peer)))

    def _oldest_is_idle(self, now: float) -> bool:
        heard = [session.heard for session in next(iter(self._by_peer.values()))]
        return now - max(heard) >= limits.SESSION_IDLE_SECONDS


class PlainSessions(Sessions):
    """The same without cryptography, for the simulator: same rules, same sizes, claimed keys."""

    def _initiator(self, head: bytes, remote_public: bytes) -> Handshake:
        return PlainInitiator(self._prologue + head, self._static, remote_public, self._secrets)

    def _responder(self, head: bytes) -> Handshake:
        return PlainResponder(self._prologue + head, self._static)


def _is_over(session: _Session, unconfirmed: bool, now: float) -> bool:
    """Whether packets under this session come too late."""
    if unconfirmed:
        return now - session.born >= limits.UNCONFIRMED_SECONDS
    age_limit = limits.SESSION_SECONDS + limits.SESSION_IDLE_SECONDS
    return now - session.heard >= limits.SESSION_IDLE_SECONDS or now - session.born >= age_limit


def _packet(session: _Session, message: bytes) -> bytes:
    _check_room(message, TRANSPORT_ROOM)
    return _PACKET_HEAD.pack(VERSION, _PACKET, session.remote, session.send.n) + session.send.encrypt(message)


def _check_room(message: bytes, room: int) -> None:
    if len(message) > room:
        raise LimitReached(f"a message of {len(message)} bytes where {room} fit")


def _drop_old(table: dict[int, _Call] | dict[int, _Session], now: float) -> None:
    """Make room for one more in a table that is ordered by age."""
    while table:
        oldest = next(iter(table))
        if len(table) < limits.UNCONFIRMED_SESSIONS and now - table[oldest].born < limits.UNCONFIRMED_SECONDS:
            return
        del table[oldest]
