"""The backup file: everything that makes a peer, in one file that a passphrase can lock.

Rules. The file is a fixed first line, a header, and chunks of 1 MiB. The chunks are sealed with ChaCha20-Poly1305 in
the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár: Online Authenticated-Encryption, CRYPTO 2015): the nonce
of a chunk is a random prefix, its number and whether it is the last, so that no chunk can be left out, moved or cut
off. The key comes from the passphrase by Argon2id (RFC 9106); without a passphrase it is all zeros, and the seal is a
checksum only. The header is bound to the first chunk. Inside stands a short preface (identity, settings), then the
ledger's bytes.

Bytes from outside enter by `open_backup_untrusted`, which raises BadInput with a hint, whatever they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, BinaryIO

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from p2pmarket import codec, limits
from p2pmarket.errors import BadInput, BadMessage

FIRST_LINE = b"p2pmarket backup 1\n"
SALT_BYTES, PREFIX_BYTES, KEY_BYTES, SEED_BYTES, TAG_BYTES = 16, 7, 32, 32, 16
MEMORY_KIB, PASSES, LANES = 65_536, 3, 4  # RFC 9106, section 4, second recommended option
Secrets = Callable[[int], bytes]


class Header(msgspec.Struct, frozen=True, array_like=True):
    """What is readable without the passphrase. `salt` is empty if there is none; `made_at` is in UTC seconds."""

    network: Annotated[str, msgspec.Meta(max_length=16)]
    identity: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    made_at: Annotated[int, msgspec.Meta(ge=0)]
    salt: Annotated[bytes, msgspec.Meta(max_length=SALT_BYTES)]
    memory: Annotated[int, msgspec.Meta(ge=0, le=limits.BACKUP_MEMORY_KIB)]
    passes: Annotated[int, msgspec.Meta(ge=0, le=limits.BACKUP_PASSES)]
    lanes: Annotated[int, msgspec.Meta(ge=0, le=16)]
    prefix: Annotated[bytes, msgspec.Meta(min_length=PREFIX_BYTES, max_length=PREFIX_BYTES)]


class Preface(msgspec.Struct, frozen=True, array_like=True):
    """What is needed beside the ledger: the identity's seed and the text of the settings file."""

    seed: Annotated[bytes, msgspec.Meta(min_length=SEED_BYTES, max_length=SEED_BYTES)]
    settings: Annotated[bytes, msgspec.Meta(max_length=limits.BACKUP_SETTINGS_BYTES)]


@dataclass(frozen=True, slots=True)
class Backup:
    """An opened backup; `ledger` yields the rest of the file and raises BadInput where that is damaged."""

    header: Header
    preface: Preface
    ledger: Iterator[bytes]


def seal_backup(
    network: str,
    identity: bytes,
    made_at: int,
    preface: Preface,
    ledger: BinaryIO,
    passphrase: str | None,
    secrets: Secrets,
) -> Iterator[bytes]:
    """The bytes of a backup file, piece by piece. `passphrase` None: not encrypted."""
    salt = secrets(SALT_BYTES) if passphrase is not None else b""
    header = Header(network, identity, made_at, salt, MEMORY_KIB, PASSES, LANES, secrets(PREFIX_BYTES))
    packed = codec.pack(header)
    yield FIRST_LINE + len(packed).to_bytes(2) + packed
    cipher = ChaCha20Poly1305(_key(header, passphrase))
    for number, (chunk, is_last) in enumerate(_with_last(_chunks(codec.pack(preface), ledger))):
        yield cipher.encrypt(_nonce(header, number, is_last=is_last), chunk, packed if number == 0 else None)


def open_backup_untrusted(file: BinaryIO, passphrase: str | None) -> Backup:
    """The backup in a file. Raises BadInput: not a backup, wrong passphrase, damaged."""
    header, packed = read_header_untrusted(file)
    if header.salt and passphrase is None:
        raise BadInput("this backup is locked with a passphrase", hint="Give it: --passphrase-file FILE")
    chunks = _opened(file, header, packed, ChaCha20Poly1305(_key(header, passphrase)))
    first = next(chunks)
    end = 4 + int.from_bytes(first[:4])
    try:
        preface = codec.unpack_untrusted(first[4:end], Preface)
    except BadMessage as error:
        raise _damaged() from error
    return Backup(header, preface, chain([first[end:]], chunks))


def read_header_untrusted(file: BinaryIO) -> tuple[Header, bytes]:
    """The header of a backup file and its bytes. Raises BadInput."""
    if file.read(len(FIRST_LINE)) != FIRST_LINE:
        raise BadInput("this is no backup of a market, or one of another version")
    packed = file.read(int.from_bytes(file.read(2)))
    try:
        return codec.unpack_untrusted(packed, Header), packed
    except BadMessage as error:
        raise _damaged() from error


def _key(header: Header, passphrase: str | None) -> bytes:
    if passphrase is None or not header.salt:
        return bytes(KEY_BYTES)
    kdf = Argon2id(
        salt=header.salt, length=KEY_BYTES, iterations=header.passes, lanes=header.lanes, memory_cost=header.memory
    )
    return kdf.derive(passphrase.encode())


def _chunks(preface: bytes, ledger: BinaryIO) -> Iterator[bytes]:
    """The plain text in chunks: the preface with its length, and the ledger right behind it."""
    start = len(preface).to_bytes(4) + preface
    yield start + ledger.read(limits.BACKUP_CHUNK_BYTES - len(start))
    while chunk := ledger.read(limits.BACKUP_CHUNK_BYTES):
        yield chunk


def _with_last(items: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Each item, and whether it is the last."""
    before: bytes | None = None
    for item in items:
        if before is not None:
            yield before, False
        before = item
    if before is not None:
        yield before, True


def _opened(file: BinaryIO, header: Header, packed: bytes, cipher: ChaCha20Poly1305) -> Iterator[bytes]:
    """The plain text of a file's chunks; whether one is the last shows only when nothing follows."""
    size = limits.BACKUP_CHUNK_BYTES + TAG_BYTES
    number, data = 0, file.read(size)
    while True:
        following = file.read(size)
        try:
            nonce = _nonce(header, number, is_last=not following)
            yield cipher.decrypt(nonce, data, packed if number == 0 else None)
        except InvalidTag:
            raise _wrong(header, number) from None
        if not following:
            return
        number, data = number + 1, following


def _nonce(header: Header, number: int, *, is_last: bool) -> bytes:
    return header.prefix + number.to_bytes(4) + bytes([is_last])


def _wrong(header: Header, number: int) -> BadInput:
    if header.salt and number == 0:
        return BadInput("the passphrase does not open this backup", hint="Or the file is damaged: try another copy")
    return _damaged()


def _damaged() -> BadInput:
    return BadInput("the backup is damaged or cut short; nothing was restored", hint="Take another copy of it")
