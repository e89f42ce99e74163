"""The event stream: what was saved is made into objects once and handed to everyone who listens.

Rules: an event is written in the transaction of what it tells, so its number has no gap and it survives a crash. It is
rendered at the end of that transaction and handed on after the commit. A listener has a bounded queue; one that does
not keep up is cut off and comes back with `since=`, missing nothing. Progress of a search is told, but not kept: it has
no number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import trio

from p2pmarket.api import types as t
from p2pmarket.errors import Unavailable
from p2pmarket.limits import EVENT_QUEUE, EVENTS_PAGE, STREAMS
from p2pmarket.store.database import Database
from p2pmarket.store.ledger import Ledger
from p2pmarket.store.rows import Event


@dataclass(frozen=True, slots=True)
class Told:
    """An event as listeners get it, and the request, quote or order (hash) that it belongs to."""

    event: t.Event
    thread: bytes


Render = Callable[[Ledger, Event], Told | None]
Listener = trio.MemorySendChannel[Told]


class Bus:
    """Reads new events from the ledger and hands them on. `render` runs in the ledger's thread."""

    def __init__(self, ledger: Database[Ledger], render: Render, stream: str) -> None:
        self.stream = stream
        self.cut_off = 0
        self.overhear: Callable[[Ledger, Sequence[Event]], None] = lambda ledger, events: None  # as rows, unrendered
        self._ledger, self._render = ledger, render
        self._listeners: set[Listener] = set()

    def harvest(self, ledger: Ledger) -> list[Told]:
        """The events of the work that just ended, rendered; runs in the ledger's thread, in its transaction."""
        added = ledger.events.take_added()
        self.overhear(ledger, added)
        if not self._listeners:
            return []
        return [told for event in added if (told := self._render(ledger, event)) is not None]

    def deliver(self, news: Sequence[Told]) -> None:
        """Hand on what was committed."""
        for told in news:
            self._hand_on(told)

    async def page(self, since: int, limit: int = EVENTS_PAGE) -> list[Told]:
        """The next `limit` kept events after `since`; fewer only if there are no more."""
        render = self._render

        def read(ledger: Ledger) -> list[Told]:
            told: list[Told] = []
            last, more = since, True
            while more and len(told) < limit:
                events = ledger.events.since(last, limit - len(told))
                last, more = (events[-1].seq, True) if events else (last, False)
                told += [one for event in events if (one := render(ledger, event)) is not None]
            return told

        page: list[Told] = await self._ledger.run(read)
        return page

    def tell(self, told: Told) -> None:
        """Hand on an event that is not kept."""
        self._hand_on(told)

    def listen(self) -> tuple[Listener, trio.MemoryReceiveChannel[Told]]:
        """A queue of what comes from now on; close both ends to leave. Raises Unavailable if too many listen."""
        if len(self._listeners) >= STREAMS:
            raise Unavailable(f"{STREAMS} programs listen to events already", hint="End one of them: market watch")
        send, receive = trio.open_memory_channel[Told](EVENT_QUEUE)
        self._listeners.add(send)
        return send, receive

    def leave(self, listener: Listener) -> None:
        """End a queue."""
        self._listeners.discard(listener)
        listener.close()

    def _hand_on(self, told: Told) -> None:
        for listener in list(self._listeners):
            try:
                listener.send_nowait(told)
            except (trio.WouldBlock, trio.BrokenResourceError):
                self.cut_off += 1
                self.leave(listener)
