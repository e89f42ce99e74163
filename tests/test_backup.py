"""The backup file: it opens again whole, and not at all when anything in it was changed."""

from __future__ import annotations

import io
import random
from itertools import pairwise

import pytest

from p2pmarket import backup, codec, limits
from p2pmarket.backup import Header, Preface, open_backup_untrusted, read_header_untrusted, seal_backup
from p2pmarket.errors import BadInput

PREFACE = Preface(bytes(range(32)), b'listen = "0.0.0.0:4751"\n')
IDENTITY = b"\x07" * 32


def sealed(ledger: bytes, passphrase: str | None = None) -> bytes:
    secrets = random.Random(1).randbytes
    return b"".join(seal_backup("dev", IDENTITY, 1_780_000_000, PREFACE, io.BytesIO(ledger), passphrase, secrets))


def opened(data: bytes, passphrase: str | None = None) -> tuple[Header, Preface, bytes]:
    found = open_backup_untrusted(io.BytesIO(data), passphrase)
    return found.header, found.preface, b"".join(found.ledger)


@pytest.mark.parametrize(
    "size", [0, 1, limits.BACKUP_CHUNK_BYTES - 200, limits.BACKUP_CHUNK_BYTES, 3 * limits.BACKUP_CHUNK_BYTES + 5]
)
def test_what_was_sealed_opens_again(size: int) -> None:
    ledger = random.Random(size).randbytes(size)
    header, preface, found = opened(sealed(ledger))
    assert (header.network, header.identity, header.made_at) == ("dev", IDENTITY, 1_780_000_000)
    assert (preface, found) == (PREFACE, ledger)


def test_a_passphrase_locks_all_but_the_header() -> None:
    data = sealed(b"ledger " * 100, "길고 좋은 열쇠")
    assert opened(data, "길고 좋은 열쇠")[2] == b"ledger " * 100
    assert read_header_untrusted(io.BytesIO(data))[0].identity == IDENTITY
    assert b"ledger" not in data
    assert PREFACE.seed not in data
    for wrong in ("길고 좋은 열쇠 ", "", "x"):
        with pytest.raises(BadInput, match="passphrase"):
            opened(data, wrong)
    with pytest.raises(BadInput, match="locked"):
        opened(data)


def test_no_byte_can_be_changed_added_or_cut_off() -> None:
    data = sealed(b"x" * 300)
    for place in range(len(data)):
        changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        if changed != data and read_or_none(changed) == (IDENTITY, PREFACE, b"x" * 300):
            pytest.fail(f"byte {place} may be changed")
        assert read_or_none(data[:place]) is None
    assert read_or_none(data + b"\0") is None


def read_or_none(data: bytes) -> tuple[bytes, Preface, bytes] | None:
    """What is in a file, None if it is refused; no other error."""
    try:
        header, preface, ledger = opened(data)
    except BadInput:
        return None
    return header.identity, preface, ledger


def test_chunks_cannot_be_left_out_or_moved() -> None:
    size = limits.BACKUP_CHUNK_BYTES + backup.TAG_BYTES
    data = sealed(random.Random(2).randbytes(4 * limits.BACKUP_CHUNK_BYTES))
    start = len(data) - _body(data)
    chunks = [data[at : at + size] for at in range(start, len(data), size)]
    assert opened(data[:start] + b"".join(chunks))[0]
    for one, two in pairwise(range(len(chunks))):
        for order in ([*chunks[:one], *chunks[two:]], [*chunks[:one], chunks[two], chunks[one], *chunks[two + 1 :]]):
            with pytest.raises(BadInput):
                opened(data[:start] + b"".join(order))
    with pytest.raises(BadInput):
        opened(data[:start] + b"".join(chunks[:-1]))


def _body(data: bytes) -> int:
    """How many bytes follow the header."""
    file = io.BytesIO(data)
    read_header_untrusted(file)
    return len(data) - file.tell()


@pytest.mark.parametrize(("field", "most"), [("memory", limits.BACKUP_MEMORY_KIB), ("passes", limits.BACKUP_PASSES)])
def test_a_header_may_not_ask_for_endless_work(field: str, most: int) -> None:
    values = {"memory": 8, "passes": 1} | {field: most}
    good = Header("dev", IDENTITY, 0, b"", values["memory"], values["passes"], 1, bytes(7))
    assert read_header_untrusted(_file(good))[0] == good
    values[field] = most + 1
    with pytest.raises(BadInput):
        read_header_untrusted(_file(Header("dev", IDENTITY, 0, b"", values["memory"], values["passes"], 1, bytes(7))))


def _file(header: Header) -> io.BytesIO:
    packed = codec.encode(_values(header))
    return io.BytesIO(backup.FIRST_LINE + len(packed).to_bytes(2) + packed)


def _values(header: Header) -> list[object]:
    return [getattr(header, name) for name in header.__struct_fields__]


def test_settings_have_room_and_a_limit() -> None:
    for size, fits in ((limits.BACKUP_SETTINGS_BYTES, True), (limits.BACKUP_SETTINGS_BYTES + 1, False)):
        preface = Preface(bytes(32), b"#" * size)
        secrets = random.Random(1).randbytes
        data = b"".join(seal_backup("dev", IDENTITY, 0, preface, io.BytesIO(b"l"), None, secrets))
        assert (read_or_none(data) is not None) == fits
