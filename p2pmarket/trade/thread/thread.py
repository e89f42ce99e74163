"""The documents of a thread and plain views of them: quotes by version, orders, acceptances, what was taken back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from p2pmarket.network import Network
from p2pmarket.trade.documents import (
    Counter,
    Decline,
    Document,
    Note,
    Opened,
    Order,
    OrderResponse,
    Quote,
    Request,
    Withdraw,
)

Class = TypeVar("Class", bound=Document)


@dataclass(frozen=True)
class Thread:
    """The documents of one request between its buyer and one seller.

    `request` is the request as sealed for this seller; `seller` his identity; `documents` all others by hash.
    """

    network: Network
    request: Opened
    seller: bytes
    documents: Mapping[bytes, Opened] = field(default_factory=dict)

    @classmethod
    def of(cls, network: Network, seller: bytes, request: Opened, documents: Iterable[Opened] = ()) -> Thread:
        """A thread of these documents, in any order; copies count once."""
        others = {opened.hash: opened for opened in documents if opened.hash != request.hash}
        return cls(network, request, seller, dict(sorted(others.items())))

    def adding(self, opened: Opened) -> Thread:
        """The thread with one more document."""
        return Thread.of(self.network, self.seller, self.request, (*self.documents.values(), opened))

    def each(self, kind: type[Class]) -> Iterator[tuple[Opened, Class]]:
        """All documents of a class, by rising hash."""
        for opened in self._by_class.get(kind, ()):
            assert isinstance(opened.document, kind)
            yield opened, opened.document

    @cached_property
    def _by_class(self) -> dict[type[Document], list[Opened]]:
        """The documents of each class, by rising hash."""
        found: dict[type[Document], list[Opened]] = {}
        for opened in self.documents.values():
            found.setdefault(type(opened.document), []).append(opened)
        return found

    def documents_of_deal(self, order_hash: bytes) -> Iterator[tuple[Opened, Document]]:
        """All documents that name an order as their deal, by rising hash."""
        for opened in self.documents.values():
            if getattr(opened.document, "deal", None) == order_hash:
                yield opened, opened.document

    @cached_property
    def deals(self) -> frozenset[object]:
        """Hashes of the orders that documents name as their deal: of any other nothing has happened since."""
        return frozenset([getattr(opened.document, "deal", None) for opened in self.documents.values()])

    @property
    def asked(self) -> Request:
        """The request itself."""
        assert isinstance(self.request.document, Request)
        return self.request.document

    @cached_property
    def quotes(self) -> dict[bytes, Quote]:
        """The seller's quotes by hash, by rising version."""
        mine = [
            (quote.version, opened.hash, quote)
            for opened, quote in self.each(Quote)
            if (opened.signer, quote.request) == (self.seller, self.request.hash)
        ]
        return {found: quote for _, found, quote in sorted(mine, key=lambda entry: entry[:2])}

    @cached_property
    def counters(self) -> dict[bytes, Counter]:
        """The buyer's counters by hash."""
        buyer = self.request.signer
        return {opened.hash: counter for opened, counter in self.each(Counter) if opened.signer == buyer}

    @cached_property
    def declined(self) -> frozenset[bytes]:
        """Hashes of the counters that the seller has said no to."""
        told = [decline.counter for opened, decline in self.each(Decline) if opened.signer == self.seller]
        return frozenset(counter for counter in told if counter is not None)

    @cached_property
    def newest(self) -> bytes | None:
        """The hash of the newest version."""
        return next(reversed(self.quotes), None)

    @cached_property
    def orders(self) -> dict[bytes, tuple[Opened, Order]]:
        """The orders of quotes that are here, by hash."""
        return {opened.hash: (opened, order) for opened, order in self.each(Order) if order.quote in self.quotes}

    @cached_property
    def withdrawn(self) -> frozenset[bytes]:
        """Hashes of the quotes that the seller has taken back."""
        return frozenset(w.quote for opened, w in self.each(Withdraw) if opened.signer == self.seller)

    @cached_property
    def accepted(self) -> dict[bytes, Opened]:
        """The seller's acceptance of each order that he accepted in time, by the order's hash."""
        found: dict[bytes, Opened] = {}
        for opened, response in self.each(OrderResponse):
            yes = response.code == "AP" and opened.signer == self.seller and response.order in self.orders
            if yes and in_time(self.orders[response.order][1], response):
                found.setdefault(response.order, opened)
        return found

    @cached_property
    def introduced(self) -> frozenset[bytes]:
        """The identities that the buyer has told this seller: in the request, or in a note of the request key."""
        told = [note.identity for opened, note in self.each(Note) if opened.signer == self.request.signer]
        return frozenset(identity for identity in (self.asked.identity, *told) if identity is not None)

    @cached_property
    def known_state(self) -> list[object]:
        """What `fold.fold` has made of these documents, once it has."""
        return []

    @cached_property
    def known_contracts(self) -> dict[bytes, object]:
        """What `contract.contracts` has made of these documents, by order: with many lines that takes its time."""
        return {}

    def buyer_of(self, order_hash: bytes) -> bytes:
        """The identity that signed an order. Raises KeyError."""
        return self.orders[order_hash][0].signer

    def other_side(self, order_hash: bytes, signer: bytes) -> bytes | None:
        """The counterparty of `signer` in a deal; None if he is no party to it."""
        buyer = self.buyer_of(order_hash)
        return {buyer: self.seller, self.seller: buyer}.get(signer)

    def find(self, payload_hash: bytes) -> Opened | None:
        """A document by hash, the request too."""
        return self.request if payload_hash == self.request.hash else self.documents.get(payload_hash)


def in_time(order: Order, response: OrderResponse) -> bool:
    """Whether an acceptance was signed within the order's validity; other answers are never late."""
    return response.code != "AP" or response.issued_at <= order.answer_by
