"""The Noise handshake IK: Noise_IK_25519_AESGCM_SHA256 (Noise Protocol Framework, revision 34).

The one who calls knows the other's static public key and sends his own, encrypted, in message 1. Both messages carry
a payload. After message 2 each side holds two cipher states, one per direction.

    <- s                 known beforehand
    -> e, es, s, ss      message 1: 96 bytes more than its payload
    <- e, ee, se         message 2: 48 bytes more than its payload

What a payload is worth: message 1 proves the caller's key, but it can be replayed by whoever saw it, and who learns
the answerer's static key later can read it. From message 2 on both sides are fresh and the keys are gone with them.

A refused message 2 changes nothing: the true one is still welcome after any number of forgeries. In this pattern
every handshake key encrypts exactly once, so the handshake's nonce is always zero.
"""

from __future__ import annotations

import hashlib
import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from p2pmarket.errors import BadMessage, WrongState
from p2pmarket.keys import KEY_BYTES, ExchangeKey, Secrets

PROTOCOL = b"Noise_IK_25519_AESGCM_SHA256"
TAG_BYTES = 16
MESSAGE_1_OVERHEAD = KEY_BYTES + KEY_BYTES + TAG_BYTES + TAG_BYTES
MESSAGE_2_OVERHEAD = KEY_BYTES + TAG_BYTES
MESSAGE_BYTES = 65_535  # the framework's limit of one message
_NONCE_ZERO = bytes(12)


def _hash(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _hkdf(key: bytes, material: bytes) -> tuple[bytes, bytes]:
    """Two keys of 32 bytes (framework section 4.3; RFC 5869 with an empty info)."""
    secret = hmac.digest(key, material, "sha256")
    first = hmac.digest(secret, b"\x01", "sha256")
    return first, hmac.digest(secret, first + b"\x02", "sha256")


_START = PROTOCOL.ljust(32, b"\0")  # a name of up to 32 bytes is padded, not hashed


class CipherState:
    """One direction of a finished handshake: a key and a counter that is the nonce.

    `n` is the nonce of the next `encrypt` or `decrypt`. Where packets get lost or change places the caller carries
    the counter himself and uses `decrypt_at`. No caller comes near 2**64 messages.
    """

    __slots__ = ("_aead", "n")

    def __init__(self, key: bytes) -> None:
        """From its 32 secret bytes."""
        self._aead = AESGCM(key)
        self.n = 0

    def encrypt(self, plaintext: bytes) -> bytes:
        """`plaintext` sealed under the next nonce, 16 bytes longer."""
        sealed = self._aead.encrypt(b"\0\0\0\0" + self.n.to_bytes(8, "big"), plaintext, None)
        self.n += 1
        return sealed

    def decrypt(self, ciphertext: bytes) -> bytes:
        """The plaintext under the next nonce, which moves on only if it is good. Raises BadMessage."""
        plaintext = self.decrypt_at(self.n, ciphertext)
        self.n += 1
        return plaintext

    def decrypt_at(self, n: int, ciphertext: bytes) -> bytes:
        """The plaintext under nonce `n`. Raises BadMessage; whether `n` was seen before is the caller's matter."""
        try:
            return self._aead.decrypt(b"\0\0\0\0" + n.to_bytes(8, "big"), ciphertext, None)
        except InvalidTag as error:
            raise BadMessage("the packet does not decrypt") from error


class _Symmetric:
    """The chaining key, the hash of all that was said, and the key that encrypts next (framework section 5.2)."""

    __slots__ = ("_chain", "_key", "hash")

    def __init__(self, chain: bytes, hashed: bytes) -> None:
        self._chain = chain
        self._key = b""
        self.hash = hashed

    @classmethod
    def start(cls, prologue: bytes, responder_public: bytes) -> _Symmetric:
        """The state before message 1, the responder's static key mixed in."""
        return cls(_START, _hash(_hash(_START + prologue) + responder_public))

    def copy(self) -> _Symmetric:
        return _Symmetric(self._chain, self.hash)

    def mix_hash(self, data: bytes) -> None:
        self.hash = _hash(self.hash + data)

    def mix_key(self, secret: bytes) -> None:
        self._chain, self._key = _hkdf(self._chain, secret)

    def seal(self, plaintext: bytes) -> bytes:
        sealed = AESGCM(self._key).encrypt(_NONCE_ZERO, plaintext, self.hash)
        self.mix_hash(sealed)
        return sealed

    def open(self, sealed: bytes) -> bytes:
        try:
            plaintext = AESGCM(self._key).decrypt(_NONCE_ZERO, sealed, self.hash)
        except InvalidTag as error:
            raise BadMessage("the handshake message does not decrypt") from error
        self.mix_hash(sealed)
        return plaintext

    def split(self) -> tuple[CipherState, CipherState]:
        """The cipher states of initiator to responder and of responder to initiator."""
        first, second = _hkdf(self._chain, b"")
        return CipherState(first), CipherState(second)


class Initiator:
    """The side that calls: `write_message` once, then `read_message` until one is good, then `split`."""

    def __init__(self, prologue: bytes, static: ExchangeKey, remote_public: bytes, secrets: Secrets) -> None:
        """`prologue` must be the same on both sides; `remote_public` is the key we want to talk to."""
        self.remote_public = remote_public
        self._static = static
        self._ephemeral = ExchangeKey(secrets(KEY_BYTES))
        self._symmetric = _Symmetric.start(prologue, remote_public)
        self._written = False
        self._ciphers: tuple[CipherState, CipherState] | None = None

    def write_message(self, payload: bytes) -> bytes:
        """Message 1. Raises BadMessage if `remote_public` is a point of small order."""
        if self._written:
            raise WrongState("message 1 was written already")
        self._written = True
        state = self._symmetric
        state.mix_hash(self._ephemeral.public)
        state.mix_key(self._ephemeral.shared(self.remote_public))
        sealed_static = state.seal(self._static.public)
        state.mix_key(self._static.shared(self.remote_public))
        return self._ephemeral.public + sealed_static + state.seal(payload)

    def read_message(self, message: bytes) -> bytes:
        """The payload of message 2. Raises BadMessage, after which another message 2 may be tried."""
        if not self._written or self._ciphers is not None:
            raise WrongState("message 2 is not expected")
        if not MESSAGE_2_OVERHEAD <= len(message) <= MESSAGE_BYTES:
            raise BadMessage("handshake message 2 has a wrong length")
        state = self._symmetric.copy()
        ephemeral = message[:KEY_BYTES]
        state.mix_hash(ephemeral)
        state.mix_key(self._ephemeral.shared(ephemeral))
        state.mix_key(self._static.shared(ephemeral))
        payload = state.open(message[KEY_BYTES:])
        self._symmetric = state
        self._ciphers = state.split()
        return payload

    def split(self) -> tuple[CipherState, CipherState]:
        """The cipher states (send, receive) of the finished handshake."""
        if self._ciphers is None:
            raise WrongState("the handshake is not finished")
        return self._ciphers

    @property
    def hash(self) -> bytes:
        """What both sides have said, as 32 bytes: the same on both sides of one handshake and of no other."""
        return self._symmetric.hash


class Responder:
    """The side that is called: `read_message`, `write_message`, then `split`, each once."""

    def __init__(self, prologue: bytes, static: ExchangeKey, secrets: Secrets) -> None:
        """`prologue` must be the same on both sides. The ephemeral key is drawn when message 2 is written."""
        self.remote_public = b""
        self._static = static
        self._secrets = secrets
        self._remote_ephemeral = b""
        self._symmetric = _Symmetric.start(prologue, static.public)
        self._ciphers: tuple[CipherState, CipherState] | None = None

    def read_message(self, message: bytes) -> bytes:
        """The payload of message 1; `remote_public` is the caller's key from then on.

        Raises BadMessage, after which this object is of no use.
        """
        if self._remote_ephemeral:
            raise WrongState("message 1 was read already")
        if not MESSAGE_1_OVERHEAD <= len(message) <= MESSAGE_BYTES:
            raise BadMessage("handshake message 1 has a wrong length")
        static_end = KEY_BYTES + KEY_BYTES + TAG_BYTES
        self._remote_ephemeral = message[:KEY_BYTES]
        state = self._symmetric
        state.mix_hash(self._remote_ephemeral)
        state.mix_key(self._static.shared(self._remote_ephemeral))
        remote_public = state.open(message[KEY_BYTES:static_end])
        state.mix_key(self._static.shared(remote_public))
        payload = state.open(message[static_end:])
        self.remote_public = remote_public
        return payload

    def write_message(self, payload: bytes) -> bytes:
        """Message 2."""
        if not self.remote_public or self._ciphers is not None:
            raise WrongState("message 2 cannot be written now")
        state = self._symmetric
        ephemeral = ExchangeKey(self._secrets(KEY_BYTES))
        state.mix_hash(ephemeral.public)
        state.mix_key(ephemeral.shared(self._remote_ephemeral))
        state.mix_key(ephemeral.shared(self.remote_public))
        message = ephemeral.public + state.seal(payload)
        receive, send = state.split()
        self._ciphers = send, receive
        return message

    def split(self) -> tuple[CipherState, CipherState]:
        """The cipher states (send, receive) of the finished handshake."""
        if self._ciphers is None:
            raise WrongState("the handshake is not finished")
        return self._ciphers

    @property
    def hash(self) -> bytes:
        """What both sides have said, as 32 bytes: the same on both sides of one handshake and of no other."""
        return self._symmetric.hash
