"""Handlers that stream events: all of them, or those of one request until it ends."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import trio

from p2pmarket.api import types as t
from p2pmarket.api.spec import Call
from p2pmarket.clock import wall
from p2pmarket.limits import EVENTS_PAGE
from p2pmarket.market.events import Told
from p2pmarket.market.verbs.base import Handlers, request_by_id
from p2pmarket.store import rows
from p2pmarket.store.ledger import Ledger
from p2pmarket.vocab.deadlines import instant_text

LAST_SEQ = 2**62
END_CHECK_SECONDS = 1.0  # a deadline passes without an event


class StreamVerbs(Handlers):
    """What happened, from where the listener left off, without a gap."""

    async def events(self, call: Call, body: None) -> AsyncIterator[t.Event]:
        """Events from now on, or those after `since`."""
        since = call.number("since", LAST_SEQ, 0, LAST_SEQ)
        return self._all(None if since == LAST_SEQ else since)

    async def _all(self, since: int | None) -> AsyncIterator[t.Event]:
        async with aclosing(self._told(since)) as all_told:
            async for told in all_told:
                if told is not None:
                    yield told.event

    async def request_watch(self, call: Call, body: None, request: str) -> AsyncIterator[t.Event]:
        """Events of one request: all of it from the beginning, or those after `since`; `end` is the last."""
        row = await self.read(lambda ledger: request_by_id(ledger, request, "buyer"))
        return self._of_request(row, call.number("since", 0, 0, LAST_SEQ))

    async def _of_request(self, row: rows.Request, since: int) -> AsyncIterator[t.Event]:
        replayed = False
        async with aclosing(self._told(since, row.hash)) as all_told:
            async for told in all_told:
                if told is not None:
                    yield told.event
                replayed = replayed or told is None  # the first None comes after all that is kept
                if not replayed or (told and told.event.type == "search.progress" and not told.event.data.complete):
                    continue
                report = await self._report_if_ended(row)
                if report is not None:
                    yield self._end(row, report)
                    return

    async def _report_if_ended(self, row: rows.Request) -> t.RequestReport | None:
        """The whole report, which is long to make, once waiting is over."""
        views = self.market.views

        def read(ledger: Ledger) -> t.RequestReport | None:
            now = ledger.requests.get(row.hash) or row
            return views.report(ledger, now) if views.ended(ledger, now) is not None else None

        return await self.read(read)

    def _end(self, row: rows.Request, report: t.RequestReport) -> t.Event:
        now = instant_text(wall())
        return t.Event(stream=self.market.stream, seq=None, time=now, type="end", id=row.id, data=report)

    async def _told(self, since: int | None, thread: bytes | None = None) -> AsyncGenerator[Told | None, None]:
        """Kept events after `since` (None: none), then new ones; None when nothing came for a while.

        One joins the live ones first and then reads the kept ones, so that none is missed, and skips what it had.
        """
        bus = self.market.bus
        listener, live = bus.listen()
        try:
            last = since if since is not None else 0
            if since is not None:
                page = await bus.page(last)
                while page:
                    for kept in page:
                        last = kept.event.seq or last
                        if thread in (None, kept.thread):
                            yield kept
                    page = await bus.page(last) if len(page) == EVENTS_PAGE else []
            yield None
            async for told in _with_pauses(live):
                if told is None or (thread in (None, told.thread) and (told.event.seq or LAST_SEQ) > last):
                    yield told
        finally:
            bus.leave(listener)


async def _with_pauses(live: trio.MemoryReceiveChannel[Told]) -> AsyncIterator[Told | None]:
    """What comes from a channel, and None after each quiet second; ends with the channel."""
    while True:
        told: Told | None = None
        with trio.move_on_after(END_CHECK_SECONDS):
            try:
                told = await live.receive()
            except trio.EndOfChannel:
                return
        yield told
