"""What every verb of a deal needs: the deal by any of its ids, its thread, one of its papers, and the way out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from p2pmarket.errors import NotFound
from p2pmarket.keys import SigningKey
from p2pmarket.market.dealing import Dealing
from p2pmarket.store import rows
from p2pmarket.store.ledger import Ledger
from p2pmarket.trade import documents as d
from p2pmarket.trade.thread import Thread

Paper = TypeVar("Paper", bound=d.Document)


@dataclass(frozen=True, slots=True)
class Done:
    """What a verb made (or, with `created` false, had made before): the order it is about, the papers by hash."""

    row: rows.Order
    papers: tuple[bytes, ...]
    created: bool = True


@dataclass(frozen=True, slots=True)
class Open:
    """A deal that a verb works on: its order, the paper that was named, its thread, our key."""

    row: rows.Order
    named: d.Opened
    thread: Thread
    key: SigningKey

    @property
    def hash(self) -> bytes:
        """The deal's hash, which is its order's."""
        return self.row.hash

    def each(self, kind: type[Paper]) -> list[tuple[d.Opened, Paper]]:
        """The papers of a kind in this deal, the oldest first."""
        found = [(o, paper) for o, paper in self.thread.each(kind) if getattr(paper, "deal", None) == self.hash]
        return sorted(found, key=lambda one: (one[1].issued_at, one[0].hash))

    def adding(self, opened: d.Opened) -> Open:
        """The same with one more paper."""
        return Open(self.row, self.named, self.thread.adding(opened), self.key)


def open_deal(dealing: Dealing, ledger: Ledger, prefix: str) -> Open:
    """A deal by any of its ids: the deal's, the order's, or that of one of its papers. Raises NotFound, BadInput."""
    named = dealing.reader.opened(ledger.documents.resolve(prefix))
    row = _order_of(ledger, named)
    if row is None:
        raise NotFound(f"{prefix} is no deal and no paper of one", hint="market deals lists them")
    return Open(row, named, dealing.deal_thread(ledger, row), dealing.signer.identity)


def _order_of(ledger: Ledger, named: d.Opened) -> rows.Order | None:
    """The order that a paper belongs to; a quote has one order at most."""
    if isinstance(named.document, d.Quote):
        orders = ledger.orders.of_quote(named.document.request, named.hash)
        return orders[-1] if orders else None
    names = ("deal", "order", "about")
    about = next(
        (found for name in names if isinstance(found := getattr(named.document, name, None), bytes)), named.hash
    )
    return ledger.orders.get(about)


def send(dealing: Dealing, ledger: Ledger, deal: Open, opened: d.Opened, wall: int) -> Done:
    """Keep and queue a paper of ours."""
    dealing.send(ledger, deal.thread, opened, wall)
    return Done(ledger.orders.get(deal.hash) or deal.row, (opened.hash,))


def paper_named(ledger: Ledger, deal: Open, kind: type[Paper], named: str) -> bytes:
    """A paper of the deal by its number within it, or by its id. Raises NotFound, BadInput."""
    text = named.strip()
    for opened, paper in deal.each(kind):
        if (getattr(paper, "number", None) or str(getattr(paper, "no", ""))) == text:
            return opened.hash
    found = None if text.isdecimal() else deal.thread.documents.get(ledger.documents.resolve(text).hash)
    if found is None or not isinstance(found.document, kind) or getattr(found.document, "deal", None) != deal.hash:
        word = kind.__name__.lower()
        raise NotFound(f"{deal.row.deal} has no {word} {text}", hint=f"See: market show {deal.row.deal}")
    return found.hash
