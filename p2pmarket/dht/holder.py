"""Nodes that list records under a key which is being read, and the pages of their lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from p2pmarket import limits
from p2pmarket.dht.contact import Contact

_PAGE_BYTES: Final = 1_090  # records that surely fit an answer without contacts


class Holder:
    """A node that lists records: which positions of its list are still unread, and whose records it has sent."""

    __slots__ = (
        "contact",
        "done",
        "first",
        "flying",
        "fruitless",
        "inner",
        "page",
        "pages",
        "seed",
        "sellers",
        "silent",
        "total",
        "unread",
    )

    def __init__(
        self, contact: Contact, seed: int, sent: Sequence[bytes], sellers: set[bytes], total: int, *, inner: bool
    ) -> None:
        """`inner`: it stands so near to the key that nobody who puts there can think it lies outside the region."""
        self.contact = contact
        self.inner = inner
        self.seed = seed
        self.total = total
        self.first = frozenset(sellers)
        self.sellers = sellers
        self.pages = 0
        self.flying = 0
        self.done = False
        self.fruitless = 0
        self.silent = 0
        self.page = max(1, _PAGE_BYTES // (max((len(envelope) for envelope in sent), default=limits.RECORD_BYTES) + 3))
        self.unread = [(len(sent), total)] if total > len(sent) else []

    def next_page(self) -> tuple[int, int] | None:
        """The first and last + 1 position to ask for next."""
        if not self.unread:
            return None
        first, last = self.unread.pop()
        end = min(first + self.page, last)
        if end < last:
            self.unread.append((end, last))
        return first, end


class Page:
    """A page under way: `span` are positions of the holder's list."""

    __slots__ = ("asks", "flying", "holder", "span")

    def __init__(self, holder: Holder, span: tuple[int, int]) -> None:
        self.holder = holder
        self.span = span
        self.asks = 1
        self.flying = True
