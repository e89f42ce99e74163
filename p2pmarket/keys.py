"""Keys, the names made from them, and signed envelopes.

Two kinds of key: Ed25519 signs (identities, request keys), X25519 agrees on secrets (nodes, services, request links).
A public key is its 32 bytes everywhere; objects of the crypto library stay inside this module.

Signatures are strict where libraries differ: a key or an R that is no canonical encoding, or is one of the points of
small order, is refused before the library sees it (RFC 8032 section 5.1.3; "Taming the many EdDSAs", Chalkias,
Garillot, Nikolaenko 2020). Things are named by the hash of what was signed, never by the signature.

An envelope is an untagged COSE_Sign1 (RFC 9052 section 4.2) of exactly one shape: protected header {1: -19 (Ed25519,
RFC 9864), 4: the signer's public key}, empty unprotected header, payload, signature. Network, kind of document and
recipient are not in it but under its signature, as `external_aad`: a document cannot be passed off as another kind, on
another network, or as meant for somebody else.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from p2pmarket import codec
from p2pmarket.errors import BadInput, BadMessage, BadSignature
from p2pmarket.network import Network

Secrets = Callable[[int], bytes]  # n -> n unpredictable bytes

KEY_BYTES = 32
SIGNATURE_BYTES = 64
ID_CHARS = 26  # 130 bits of a hash
_KEYS_KEPT = 4096  # library objects of public keys, about 200 bytes each
_HOLDING_KEPT = 256  # signatures that are known to hold

_P = 2**255 - 19
_ORDER_8 = (  # y coordinates of the points of order 8; those of order 1, 2 and 4 are 1, -1 and 0
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
)


def _refused_points() -> frozenset[bytes]:
    """All encodings of points of small order, and all that are not canonical (y not below p), with either sign bit."""
    ys = {0, 1, _P - 1, *(int.from_bytes(bytes.fromhex(y), "little") for y in _ORDER_8), *range(_P, 2**255)}
    return frozenset((y | sign << 255).to_bytes(KEY_BYTES, "little") for y in ys for sign in (0, 1))


_REFUSED_POINTS = _refused_points()


class SigningKey:
    """An Ed25519 key pair."""

    __slots__ = ("_key", "public", "seed")

    def __init__(self, seed: bytes) -> None:
        """From its 32 secret bytes."""
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.seed = seed
        self.public = self._key.public_key().public_bytes_raw()

    @classmethod
    def from_seed(cls, seed: bytes) -> SigningKey:
        """The pair of these 32 secret bytes."""
        return cls(seed)

    def sign(self, data: bytes) -> bytes:
        """The signature, 64 bytes."""
        signature = self._key.sign(data)
        known = _holding(self.public + signature + digest(data))
        if not known:  # who has us sign the same again and again makes nothing longer
            known.append(True)
        return signature


class ExchangeKey:
    """An X25519 key pair."""

    __slots__ = ("_key", "public", "seed")

    def __init__(self, seed: bytes) -> None:
        """From its 32 secret bytes."""
        self._key = X25519PrivateKey.from_private_bytes(seed)
        self.seed = seed
        self.public = self._key.public_key().public_bytes_raw()

    @classmethod
    def from_seed(cls, seed: bytes) -> ExchangeKey:
        """The pair of these 32 secret bytes."""
        return cls(seed)

    def shared(self, peer_public: bytes) -> bytes:
        """The common secret with `peer_public`, 32 bytes. Raises BadMessage for a point of small order."""
        try:
            return self._key.exchange(X25519PublicKey.from_public_bytes(peer_public))
        except ValueError as error:  # wrong length, or the secret would be all zero (RFC 7748 section 6.1)
            raise BadMessage("not a usable X25519 key") from error


@lru_cache(maxsize=_KEYS_KEPT)
def _verifier(public: bytes) -> Ed25519PublicKey:
    """The library's object for a public key; raises BadSignature for keys that nobody may use."""
    check_public(public)
    return Ed25519PublicKey.from_public_bytes(public)


def check_public(public: bytes) -> None:
    """Raise BadSignature unless this may be somebody's Ed25519 public key."""
    if len(public) != KEY_BYTES or public in _REFUSED_POINTS:
        raise BadSignature("not a usable Ed25519 key")


def check_signature(public: bytes, signature: bytes, data: bytes) -> None:
    """Raise BadSignature unless `signature` is that of `data` under the Ed25519 key `public`."""
    if len(signature) != SIGNATURE_BYTES or signature[:32] in _REFUSED_POINTS:
        raise BadSignature("not a usable signature")
    verifier = _verifier(public)
    known = _holding(public + signature + digest(data))
    if known:
        return
    try:
        verifier.verify(signature, data)
    except InvalidSignature as error:
        raise BadSignature("the signature does not hold") from error
    known.append(True)


@lru_cache(maxsize=_HOLDING_KEPT)
def _holding(_mark: bytes) -> list[bool]:
    """Not empty for the last signatures that this process made or has checked: they hold, and need no other check."""
    return []


# Names


def digest(data: bytes) -> bytes:
    """SHA-256."""
    return hashlib.sha256(data).digest()


def base32(data: bytes) -> str:
    """RFC 4648 base32, lower case, no padding."""
    return base64.b32encode(data).decode().rstrip("=").lower()


@lru_cache(maxsize=_KEYS_KEPT)
def fingerprint(public: bytes) -> str:
    """What people see beside a name: "k3f7q-h2x9d", 50 bits of the key's SHA-256."""
    text = base32(digest(public))
    return f"{text[:5]}-{text[5:10]}"


@lru_cache(maxsize=_KEYS_KEPT)
def document_id(letter: str, payload_hash: bytes) -> str:
    """The id of a document: its kind's letter and 130 bits of the hash of its payload, "q-" + 26 characters."""
    return f"{letter}-{base32(payload_hash[:20])[:ID_CHARS]}"  # 20 bytes are 32 characters


_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_ED25519 = b"\xed\x01"  # multicodec ed25519-pub
_DID_PREFIX = "did:key:z"
_DID_CHARS = len(_DID_PREFIX) + 47  # 34 bytes that start with 0xed take 47 digits of base 58


@lru_cache(maxsize=_KEYS_KEPT)
def did_key(public: bytes) -> str:
    """The identity's full name, "did:key:z6Mk…" (W3C did:key, base58btc)."""
    number = int.from_bytes(_ED25519 + public, "big")
    digits = ""
    while number:
        number, digit = divmod(number, 58)
        digits = _BASE58[digit] + digits
    return _DID_PREFIX + digits


def parse_did_key(text: str) -> bytes:
    """The Ed25519 public key that `text` names. Raises BadInput."""
    wrong = BadInput("not a did:key of an Ed25519 key", hint="It starts with did:key:z6Mk and has 56 characters")
    if len(text) != _DID_CHARS or not text.startswith(_DID_PREFIX):
        raise wrong
    number = 0
    for character in text[len(_DID_PREFIX) :]:
        digit = _BASE58.find(character)
        if digit < 0:
            raise wrong
        number = number * 58 + digit
    data = number.to_bytes(35, "big")  # 58**47 is below 2**280
    if not data.startswith(b"\0" + _ED25519) or data[3:] in _REFUSED_POINTS:
        raise wrong
    return data[3:]


# Envelopes

_PROTECTED = b"\xa2\x01\x32\x04\x58\x20"  # the map {1: -19, 4: bytes(32)} up to its last value
_AAD_NAME = "p2pmarket/1"


@dataclass(frozen=True, slots=True)
class Signed:
    """What an envelope held: the signer's public key, the payload and its SHA-256."""

    signer: bytes
    payload: bytes
    hash: bytes


def sig_structure(protected: bytes, aad: bytes, payload: bytes) -> bytes:
    """The bytes that a COSE_Sign1 signature covers (RFC 9052 section 4.4)."""
    return codec.encode_own(["Signature1", protected, aad, payload])


def external_aad(network: Network, kind: int, recipient: bytes) -> bytes:
    """What every envelope of this kind is bound to; `recipient` is a public key, or empty for everybody."""
    return codec.encode_own([_AAD_NAME, network.name, kind, recipient])


def seal(key: SigningKey, payload: bytes, network: Network, kind: int, recipient: bytes = b"") -> bytes:
    """The signed envelope of `payload`."""
    protected = _PROTECTED + key.public
    signature = key.sign(sig_structure(protected, external_aad(network, kind, recipient), payload))
    return codec.encode_own([protected, {}, payload, signature])


def open_untrusted(envelope: bytes, network: Network, kind: int, recipient: bytes = b"") -> Signed:
    """What a good envelope holds. Raises BadMessage (BadSignature where only the signature is wrong)."""
    match codec.decode_untrusted(envelope, max_items=5, max_depth=2):
        case [bytes(protected), dict(unprotected), bytes(payload), bytes(signature)] if not unprotected:
            pass
        case _:
            raise BadMessage("not a COSE_Sign1 envelope")
    signer = protected[len(_PROTECTED) :]
    if not protected.startswith(_PROTECTED) or len(signer) != KEY_BYTES:
        raise BadMessage("the envelope's header is not {alg: Ed25519, kid: public key}")
    check_signature(signer, signature, sig_structure(protected, external_aad(network, kind, recipient), payload))
    return Signed(signer, payload, digest(payload))


def recall_statement(network: Network, signer: bytes, machine: bytes, issued: int) -> bytes:
    """What a restored peer signs with each recall, so that another machine under the same key learns of it."""
    return codec.encode(["recall", network.name, signer, machine, issued])
