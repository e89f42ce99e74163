"""The one registry of trade documents: kind number to class, and the words and id letters of the kinds.

Rules. A kind's number is the first item of its payload and stands under the envelope's signature too; numbers are never
reused. Every document opens with the same four fields: number, nonce, instant of signing, language. The nonce makes two
equal orders two documents, and keeps a hash from telling what was hashed (the losers of a request learn the hash of
the quote that won, not its price).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from p2pmarket.trade.values import Instant, Language, Nonce


class Document(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """Base of all trade documents: `nonce` 16 random bytes, `issued_at` by the signer's clock, `language` BCP 47."""

    nonce: Nonce
    issued_at: Instant
    language: Language | None = None


KINDS: dict[int, type[Document]] = {}
NAMES: dict[int, str] = {}  # kind -> word used in the API, in events and in the CLI
LETTERS = {  # of ids; documents that nobody names have "x"
    1: "r", 4: "q", 5: "c", 8: "o", 10: "m", 11: "e", 12: "s", 13: "g", 14: "i", 15: "k", 16: "p", 17: "b", 18: "t",
    19: "n", 20: "a",
}  # fmt: skip

Class = TypeVar("Class", bound=type[Document])


def document(name: str) -> Callable[[Class], Class]:
    """Register a class under its tag number; `name` is the kind's word."""

    def register(cls: Class) -> Class:
        kind = cls.__struct_config__.tag
        if not isinstance(kind, int) or kind in KINDS:
            raise TypeError(f"{cls.__name__}: kind {kind!r} is no free number")
        KINDS[kind] = cls
        NAMES[kind] = name
        return cls

    return register


def kind_of(document: Document | type[Document]) -> int:
    """The kind number of a document or of its class."""
    kind = document.__struct_config__.tag
    assert isinstance(kind, int)
    return kind
