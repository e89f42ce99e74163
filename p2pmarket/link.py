"""A link: encrypted messages over one byte stream. No sockets here: bytes in, events and bytes out.

The dialler knows the static key he wants to reach. What goes over the wire:

    dialler:   version, hint (8 bytes), frame(Noise message 1), then transport frames
    answerer:  version, frame(Noise message 2), then transport frames
    frame:     u16 length in network order, then that many bytes
    hint:      the first 8 bytes of SHA-256 of the answerer's static key, who may hold several
    payload of message 1: early messages, each u16 length and bytes; that of message 2: empty, else ignored
    transport frame, decrypted: one byte, 0 "more follows" or 1 "last of the message", then a piece of the message

Early messages ride in message 1 as long as whole ones fit, the rest follows message 2; they arrive in order, each once
per link. Whoever recorded message 1 can replay it, so early messages must be safe to receive twice, and `LinkUp` at the
answerer proves the dialler's key but not that he is there now: `confirmed` does, from the first transport frame on.
The dialler therefore sends an empty message right after message 2; empty messages are no events.

A stream whose first byte is another version is answered with b"\\0", our lowest and highest version, and the byte that
came; both ends then fail with VersionMismatch. A link that failed stays failed and raises the same error again, but
what was received in order before it failed can still be had from `next_event`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from p2pmarket import limits
from p2pmarket.errors import BadMessage, LimitReached, PeerError, VersionMismatch, WrongState
from p2pmarket.keys import ExchangeKey, Secrets, digest
from p2pmarket.network import Network
from p2pmarket.noise import (
    MESSAGE_1_OVERHEAD,
    MESSAGE_2_OVERHEAD,
    TAG_BYTES,
    CipherState,
    Initiator,
    Responder,
)

VERSION = 1  # lowest and highest that this code speaks
HINT_BYTES = 8
PIECE_BYTES = limits.FRAME_BYTES - TAG_BYTES - 1  # of a message, in one frame
EARLY_BYTES = limits.FRAME_BYTES - MESSAGE_1_OVERHEAD  # of message 1's payload
EARLY_OVERHEAD = 2  # per early message
_VERSIONS_NOTICE = 0  # a first byte that is no version
_NOTICE_BYTES = 4
_MORE, _LAST = b"\0", b"\1"

KeyByHint = Callable[[bytes], ExchangeKey | None]


@dataclass(frozen=True, slots=True)
class LinkUp:
    """The handshake is done: who is there, and which key of ours was asked for."""

    remote_public: bytes
    local_public: bytes


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """One whole message of 1 to `limits.LINK_MESSAGE_BYTES` bytes."""

    data: bytes


Event = LinkUp | MessageReceived
_Step = Callable[[], bool]


def hint_of(static_public: bytes) -> bytes:
    """How a dialler says which static key he wants."""
    return digest(static_public)[:HINT_BYTES]


class Link:
    """One end of a link; make it with `Link.initiate` or `Link.respond`.

    `remote_public` is empty until `LinkUp`. `confirmed`: the other side has shown that it is there now.
    """

    def __init__(self) -> None:
        """Used by `initiate` and `respond` only."""
        self.remote_public = b""
        self.local_public = b""
        self.confirmed = False
        self.closed = False
        self._dials = False
        self._failure: PeerError | None = None
        self._received = bytearray()
        self._outgoing = bytearray()
        self._events: deque[Event] = deque()
        self._waiting: deque[bytes] = deque()  # messages that go once message 2 is there
        self._send_cipher: CipherState | None = None
        self._receive_cipher: CipherState | None = None
        self._pieces: list[bytes] = []
        self._piece_bytes = 0
        self._step: _Step = self._read_frame  # reads one thing from `_received`; False if it is not all there yet

    @classmethod
    def initiate(
        cls, static: ExchangeKey, remote_public: bytes, network: Network, secrets: Secrets, early: Sequence[bytes] = ()
    ) -> Link:
        """The dialler's end; `early` messages go first, in this order.

        Raises LimitReached if one is empty or too long, BadMessage if `remote_public` is a point of small order.
        """
        link = cls()
        link._dials = True
        link.local_public = static.public
        for message in early:
            _check_size(message)
        link._waiting.extend(early)
        noise = Initiator(network.prologue("link"), static, remote_public, secrets)
        payload = b"".join(link._take_early())
        link._outgoing += bytes([VERSION]) + hint_of(remote_public) + _frame(noise.write_message(payload))
        link._step = lambda: link._read_answer(noise)
        return link

    @classmethod
    def respond(cls, key_by_hint: KeyByHint, network: Network, secrets: Secrets) -> Link:
        """The answerer's end; `key_by_hint` gives the static key that a dialler asks for, or None."""
        link = cls()
        link._step = lambda: link._read_call(key_by_hint, network, secrets)
        return link

    # What the shell does

    def receive_bytes(self, data: bytes) -> None:
        """Take bytes as they came from the stream, in pieces of any size. Raises PeerError and nothing else."""
        if self._failure is not None:
            raise self._failure
        if self.closed:
            return
        self._received += data
        try:
            while self._step():
                pass
        except PeerError as error:
            self._failure = error
            self.closed = True
            self._received.clear()
            self._pieces.clear()
            raise

    def next_event(self) -> Event | None:
        """The next thing that happened, in order; None if nothing is left."""
        return self._events.popleft() if self._events else None

    def send(self, message: bytes) -> None:
        """Send a message of 1 to `limits.LINK_MESSAGE_BYTES` bytes, or keep it until the handshake is done.

        Raises LimitReached, or WrongState on a closed or failed link and at the answerer before `LinkUp`.
        """
        if self.closed:
            raise WrongState("the link is closed")
        _check_size(message)
        if self._send_cipher is not None:
            self._write(self._send_cipher, message)
        elif self._dials:
            self._waiting.append(message)
        else:
            raise WrongState("nobody has called yet")

    def data_to_send(self) -> bytes:
        """The bytes that must go to the stream now; they are handed out once."""
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    def close(self) -> None:
        """Take and send nothing more; what is in `data_to_send` already may still go."""
        self.closed = True

    # The handshake

    def _take_early(self) -> Iterator[bytes]:
        """The waiting messages that fit into message 1, as its payload has them."""
        room = EARLY_BYTES
        while self._waiting and len(self._waiting[0]) + EARLY_OVERHEAD <= room:
            message = self._waiting.popleft()
            room -= len(message) + EARLY_OVERHEAD
            yield _frame(message)

    def _read_call(self, key_by_hint: KeyByHint, network: Network, secrets: Secrets) -> bool:
        """At the answerer: version and hint."""
        if not self._received:
            return False
        version = self._received[0]
        if version != VERSION:
            self._outgoing += bytes([_VERSIONS_NOTICE, VERSION, VERSION, version])
            raise _mismatch(version, version)
        call = self._take(1 + HINT_BYTES)
        if call is None:
            return False
        static = key_by_hint(call[1:])
        if static is None:
            raise BadMessage("called for a key that is not here")
        noise = Responder(network.prologue("link"), static, secrets)
        self.local_public = static.public
        self._step = lambda: self._read_message_1(noise)
        return True

    def _read_message_1(self, noise: Responder) -> bool:
        message = self._take_frame(MESSAGE_1_OVERHEAD)
        if message is None:
            return False
        payload = noise.read_message(message)
        self._outgoing += bytes([VERSION]) + _frame(noise.write_message(b""))
        self._come_up(noise)
        for early in _early_untrusted(payload):
            self._events.append(MessageReceived(early))
        return True

    def _read_answer(self, noise: Initiator) -> bool:
        """At the dialler: the version, or what versions the other side speaks instead."""
        if not self._received:
            return False
        if self._received[0] == _VERSIONS_NOTICE:
            notice = self._take(_NOTICE_BYTES)
            if notice is None:
                return False
            raise _mismatch(notice[1], notice[2])
        if self._received[0] != VERSION:
            raise _mismatch(self._received[0], self._received[0])
        self._take(1)
        self._step = lambda: self._read_message_2(noise)
        return True

    def _read_message_2(self, noise: Initiator) -> bool:
        message = self._take_frame(MESSAGE_2_OVERHEAD)
        if message is None:
            return False
        noise.read_message(message)
        self.confirmed = True
        cipher = self._come_up(noise)
        self._write(cipher, b"")
        while self._waiting:
            self._write(cipher, self._waiting.popleft())
        return True

    def _come_up(self, noise: Initiator | Responder) -> CipherState:
        """The handshake is done. Returns the cipher to send with."""
        self.remote_public = noise.remote_public
        self._send_cipher, self._receive_cipher = noise.split()
        self._events.append(LinkUp(self.remote_public, self.local_public))
        self._step = self._read_frame
        return self._send_cipher

    # Transport frames

    def _read_frame(self) -> bool:
        frame = self._take_frame(TAG_BYTES + 1)
        if frame is None or self._receive_cipher is None:
            return False
        plaintext = self._receive_cipher.decrypt(frame)
        self.confirmed = True
        self._take_piece(plaintext[:1], plaintext[1:])
        return True

    def _take_piece(self, mark: bytes, piece: bytes) -> None:
        """Add a piece to the message; with the last one it is an event."""
        self._piece_bytes += len(piece)
        if mark not in (_MORE, _LAST) or (mark == _MORE and not piece):
            raise BadMessage("a frame has no proper mark or no content")
        if self._piece_bytes > limits.LINK_MESSAGE_BYTES:
            raise BadMessage("a message is too long")
        self._pieces.append(piece)
        if mark == _LAST:
            if self._piece_bytes:
                self._events.append(MessageReceived(b"".join(self._pieces)))
            self._pieces.clear()
            self._piece_bytes = 0

    def _write(self, cipher: CipherState, message: bytes) -> None:
        for start in range(0, max(len(message), 1), PIECE_BYTES):
            mark = _LAST if start + PIECE_BYTES >= len(message) else _MORE
            self._outgoing += _frame(cipher.encrypt(mark + message[start : start + PIECE_BYTES]))

    # The stream

    def _take(self, count: int) -> bytes | None:
        """The next `count` received bytes, or None while they are not all there."""
        if len(self._received) < count:
            return None
        data = bytes(self._received[:count])
        del self._received[:count]
        return data

    def _take_frame(self, least: int) -> bytes | None:
        """The content of the next frame, or None while it is not all there. Raises BadMessage if below `least`."""
        if len(self._received) < 2:
            return None
        length = int.from_bytes(self._received[:2], "big")
        if length < least:
            raise BadMessage("a frame is too short")
        frame = self._take(2 + length)
        return None if frame is None else frame[2:]


def _frame(content: bytes) -> bytes:
    return len(content).to_bytes(2, "big") + content


def _check_size(message: bytes) -> None:
    if not 0 < len(message) <= limits.LINK_MESSAGE_BYTES:
        raise LimitReached(f"a message has 1 to {limits.LINK_MESSAGE_BYTES} bytes, this one {len(message)}")


def _early_untrusted(payload: bytes) -> Iterator[bytes]:
    """The early messages in message 1's payload; raises BadMessage."""
    at = 0
    while at < len(payload):
        start = at + EARLY_OVERHEAD
        length = int.from_bytes(payload[at:start], "big")
        at = start + length
        if not length or at > len(payload):
            raise BadMessage("an early message is empty or cut short")
        yield payload[start:at]


def _mismatch(lowest: int, highest: int) -> VersionMismatch:
    return VersionMismatch(
        f"the other side speaks version {lowest} to {highest} of the link protocol, this one {VERSION}",
        details={"theirs": [lowest, highest], "ours": [VERSION, VERSION]},
    )
