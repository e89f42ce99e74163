"""Documents are found by the beginning of their ids, by way of the hashes that the ids spell."""

from __future__ import annotations

from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pmarket.errors import BadInput, NotFound
from p2pmarket.keys import document_id
from p2pmarket.store.ledger import Ledger, _hashes_of
from p2pmarket.store.migrate import open_migrated, steps_of
from p2pmarket.store.rows import Document

WORDS = st.text(alphabet="abcdefghijklmnopqrstuvwxyz234567", min_size=1, max_size=26)


@given(st.binary(min_size=32, max_size=32), st.integers(1, 26))
def test_every_beginning_of_an_id_covers_its_hash(hash_: bytes, length: int) -> None:
    least, greatest = _hashes_of(document_id("q", hash_)[2 : 2 + length])
    assert least <= hash_ <= greatest


@given(WORDS, st.binary(min_size=32, max_size=32))
def test_what_lies_between_begins_so(prefix: str, hash_: bytes) -> None:
    least, greatest = _hashes_of(prefix)
    assert (least <= hash_ <= greatest) == document_id("q", hash_)[2:].startswith(prefix)


@pytest.mark.parametrize("prefix", ["abc1", "ab d", "é", "abcd-", "ABC!" * 20])
def test_what_no_id_can_begin_with_covers_nothing(prefix: str) -> None:
    least, greatest = _hashes_of(prefix)
    assert least > greatest


def test_prefixes_in_a_ledger(tmp_path: Path) -> None:
    with closing(open_migrated(tmp_path / "ledger.sqlite", steps_of("ledger"), full_sync=False)) as connection:
        ledger = Ledger(connection)
        hashes = [sha256(bytes([number])).digest() for number in range(50)]
        for number, hash_ in enumerate(hashes):
            id_ = document_id("q", hash_)
            ledger.documents.add(Document(0, hash_, 4, id_, b"t", 1, b"s", b"r", b"e", number, None))
        for hash_ in hashes:
            id_ = document_id("q", hash_)
            assert ledger.documents.resolve(id_).hash == hash_
            assert ledger.documents.resolve(f" {id_[:12].upper()}").hash == hash_
            with pytest.raises(NotFound):
                ledger.documents.resolve("o" + id_[1:])
            with pytest.raises(NotFound):
                ledger.documents.resolve(id_ + "a")
        with pytest.raises(NotFound):
            ledger.documents.resolve("q-é!é!")
        twin = hashes[0][:20] + bytes(12)
        ledger.documents.add(Document(0, twin, 4, document_id("q", twin), b"t", 1, b"s", b"r", b"e", 0, None))
        with pytest.raises(BadInput, match="more than one"):
            ledger.documents.resolve(document_id("q", twin))
