"""What follows when a counter or a note of the other side has been kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from p2pmarket.store.ledger import Ledger
from p2pmarket.trade import documents as d
from p2pmarket.trade.thread import Thread

if TYPE_CHECKING:
    from p2pmarket.market.dealing import Dealing


def heard_counter(ledger: Ledger, dealing: Dealing, thread: Thread, opened: d.Opened, wall: int) -> None:
    """The quote remembers its counter, for lists."""
    counter = opened.document
    assert isinstance(counter, d.Counter)
    ledger.quotes.set_counter(counter.answers, opened.hash)


def heard_note(ledger: Ledger, dealing: Dealing, thread: Thread, opened: d.Opened, wall: int) -> None:
    """A note that only introduces the buyer says nothing that somebody has to read."""
    note = opened.document
    assert isinstance(note, d.Note)
    if note.text is None and note.attachments is None:
        ledger.notices.set_state(opened.hash, "answered")
