"""What tests of checks at their edges share: the papers of whole trades, and threads with some of them."""

from __future__ import annotations

from collections.abc import Iterable

from deal_fields import trades
from deal_world import LATER
from trade_world import DAY, SELLER

from p2pmarket.errors import Refusal
from p2pmarket.network import TEST
from p2pmarket.trade import check
from p2pmarket.trade.documents import Opened
from p2pmarket.trade.thread import Thread

OTHER = b"another nonce..."


def refusal_of(thread: Thread, opened: Opened) -> str | None:
    try:
        check.check(thread, opened, LATER + DAY)
    except Refusal as refusal:
        return refusal.reason
    return None


def paper(trade: str, name: str) -> Opened:
    return trades()[trade].papers[name]


def whole(trade: str = "whole") -> Thread:
    return trades()[trade].thread


def holding(trade: str, names: Iterable[str], *more: Opened) -> Thread:
    """A thread with only these papers."""
    thread = whole(trade)
    return Thread.of(TEST, SELLER.public, thread.request, [*(paper(trade, name) for name in names), *more])


def lacking(trade: str, *names: str) -> Thread:
    """The whole thread but for these papers."""
    return holding(trade, [name for name in trades()[trade].papers if name not in names])


def with_more(thread: Thread, *papers: Opened) -> Thread:
    for opened in papers:
        thread = thread.adding(opened)
    return thread
