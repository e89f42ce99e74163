"""What a session needs of a handshake, and a stand-in for Noise without any cryptography, for the simulator only.

The stand-in's messages have the sizes of the real ones and are refused in the same cases (wrong key asked for, wrong
network, wrong session), as long as nobody lies: the caller's key is merely claimed.
"""

from __future__ import annotations

from typing import Protocol

from p2pmarket.errors import BadMessage, WrongState
from p2pmarket.keys import KEY_BYTES, ExchangeKey, Secrets
from p2pmarket.noise import MESSAGE_1_OVERHEAD, MESSAGE_2_OVERHEAD, TAG_BYTES

_TOKEN_BYTES = 8
_CONTEXT_BYTES = MESSAGE_1_OVERHEAD - 2 * KEY_BYTES - _TOKEN_BYTES
_FILLING = bytes(MESSAGE_2_OVERHEAD - _TOKEN_BYTES)


class Cipher(Protocol):
    """One direction of a session; `n` is the number of the next packet."""

    n: int

    def encrypt(self, plaintext: bytes) -> bytes:
        """`plaintext` under the next number, 16 bytes longer."""

    def decrypt_at(self, n: int, ciphertext: bytes) -> bytes:
        """The plaintext under number `n`. Raises BadMessage."""


class Handshake(Protocol):
    """One side of a handshake, as in `p2pmarket.noise`."""

    remote_public: bytes

    def write_message(self, payload: bytes) -> bytes:
        """Our message."""

    def read_message(self, message: bytes) -> bytes:
        """The payload of the other's message. Raises BadMessage."""

    def split(self) -> tuple[Cipher, Cipher]:
        """(send, receive), once both messages are there."""


class PlainCipher:
    """Bytes pass as they are, with a tag that names session, direction and number."""

    __slots__ = ("_name", "n")

    def __init__(self, name: bytes) -> None:
        """`name`: 8 bytes that belong to this session and direction."""
        self._name = name
        self.n = 0

    def encrypt(self, plaintext: bytes) -> bytes:
        """`plaintext` under the next number."""
        sealed = plaintext + self._name + self.n.to_bytes(8, "big")
        self.n += 1
        return sealed

    def decrypt_at(self, n: int, ciphertext: bytes) -> bytes:
        """The plaintext under number `n`. Raises BadMessage."""
        if ciphertext[-TAG_BYTES:] != self._name + n.to_bytes(8, "big"):
            raise BadMessage("the packet does not decrypt")
        return ciphertext[:-TAG_BYTES]


def _context(prologue: bytes) -> bytes:
    """The end of the prologue, which differs from network to network and from call to call."""
    return prologue[-_CONTEXT_BYTES:].rjust(_CONTEXT_BYTES, b"\0")


def _ciphers(token: bytes) -> tuple[PlainCipher, PlainCipher]:
    """From initiator to responder, and back."""
    return PlainCipher(token), PlainCipher(token[::-1])


class PlainInitiator:
    """Stands in for `noise.Initiator`."""

    __slots__ = ("_context", "_head", "_token", "remote_public")

    def __init__(self, prologue: bytes, static: ExchangeKey, remote_public: bytes, secrets: Secrets) -> None:
        """As `noise.Initiator`."""
        self.remote_public = remote_public
        self._head = static.public + remote_public
        self._token = secrets(_TOKEN_BYTES)
        self._context = _context(prologue)

    def write_message(self, payload: bytes) -> bytes:
        """Message 1."""
        return self._head + self._token + self._context + payload

    def read_message(self, message: bytes) -> bytes:
        """The payload of message 2. Raises BadMessage."""
        if not message.startswith(self._token + _FILLING):
            raise BadMessage("the handshake message does not decrypt")
        return message[MESSAGE_2_OVERHEAD:]

    def split(self) -> tuple[PlainCipher, PlainCipher]:
        """The cipher states (send, receive)."""
        return _ciphers(self._token)


class PlainResponder:
    """Stands in for `noise.Responder`."""

    __slots__ = ("_context", "_public", "_token", "_written", "remote_public")

    def __init__(self, prologue: bytes, static: ExchangeKey) -> None:
        """As `noise.Responder`, without secrets."""
        self.remote_public = b""
        self._public = static.public
        self._token = b""
        self._context = _context(prologue)
        self._written = False

    def read_message(self, message: bytes) -> bytes:
        """The payload of message 1. Raises BadMessage."""
        token_end = 2 * KEY_BYTES + _TOKEN_BYTES
        asked_for, context = message[KEY_BYTES : 2 * KEY_BYTES], message[token_end:MESSAGE_1_OVERHEAD]
        if asked_for != self._public or context != self._context:
            raise BadMessage("the handshake message does not decrypt")
        self.remote_public = message[:KEY_BYTES]
        self._token = message[2 * KEY_BYTES : token_end]
        return message[MESSAGE_1_OVERHEAD:]

    def write_message(self, payload: bytes) -> bytes:
        """Message 2."""
        if self._written:
            raise WrongState("message 2 was written already")
        self._written = True
        return self._token + _FILLING + payload

    def split(self) -> tuple[PlainCipher, PlainCipher]:
        """The cipher states (send, receive)."""
        receive, send = _ciphers(self._token)
        return send, receive
