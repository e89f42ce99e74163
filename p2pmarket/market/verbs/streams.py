"""Handlers that stream events: all of them, or those of one request until it ends."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, nullcontext

import trio

from p2pmarket.api import types as t
from p2pmarket.api.spec import Call
from p2pmarket.clock import wall
from p2pmarket.errors import BadInput
from p2pmarket.limits import EVENTS_PAGE
from p2pmarket.market.events import Told
from p2pmarket.market.verbs.base import Handlers, request_by_id
from p2pmarket.store import rows
from p2pmarket.store.ledger import Ledger
from p2pmarket.vocab.deadlines import instant_text

LAST_SEQ = 2**62
GOING_ON = frozenset({"request.opened", "seller.asked", "delivery.changed", "note.received"})
LONGEST_WAIT_SECONDS = 60.0  # for a deadline: somebody may set the clock
Batch = list[Told]


class StreamVerbs(Handlers):
    """What happened, from where the listener left off, without a gap; what comes together is handed on together."""

    async def events(self, call: Call, body: None) -> AsyncIterator[list[t.Event]]:
        """Events from now on, or those after `since`."""
        if call.text("since") is None:
            return self._all(None)
        return self._all(await self._since(call))

    async def _since(self, call: Call) -> int:
        """Where to begin; raises BadInput for a number that no event has yet: who counts there would hear nothing."""
        since = call.number("since", 0, 0, LAST_SEQ)
        newest = await self.read(lambda ledger: ledger.events.last())
        if since > newest:
            raise BadInput(
                f"since={since}: the newest event is {newest}, of the stream {self.market.stream}",
                hint=f"Ask since={newest}, or 0 for all; after a restore events are counted anew, in another stream",
                details={"stream": self.market.stream, "newest": newest},
            )
        return since

    async def _all(self, since: int | None) -> AsyncIterator[list[t.Event]]:
        async with aclosing(self._told(since)) as all_told:
            async for batch in all_told:
                yield [told.event for told in batch]

    async def request_watch(self, call: Call, body: None, request: str) -> AsyncIterator[list[t.Event]]:
        """Events of one request: all of it from the beginning, or those after `since`; `end` is the last."""
        row = await self.read(lambda ledger: request_by_id(ledger, request, "buyer"))
        return self._of_request(row, await self._since(call))

    async def _of_request(self, row: rows.Request, since: int) -> AsyncIterator[list[t.Event]]:
        replayed = False
        async with aclosing(self._told(since, row)) as all_told:
            async for batch in all_told:
                yield [told.event for told in batch]
                replayed = replayed or not batch  # the first empty one comes after all that is kept
                if not replayed or (batch and all(_goes_on(told) for told in batch)):
                    continue
                report = await self._report_if_ended(row)
                if report is not None:
                    yield [self._end(row, report)]
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

    async def _told(self, since: int | None, request: rows.Request | None = None) -> AsyncGenerator[Batch, None]:
        """Kept events after `since` (None: none), then new ones, of one request or all. An empty batch comes after the
        kept ones, and when the time for quotes has passed.

        One joins the live ones first and then reads the kept ones, so that none is missed, and skips what it had.
        """
        bus = self.market.bus
        listener, live = bus.listen()
        try:
            last = since if since is not None else 0
            if since is not None:
                page = await bus.page(last)
                while page:
                    last = page[-1].event.seq or last
                    if kept := [told for told in page if request is None or told.thread == request.hash]:
                        yield kept
                    page = await bus.page(last) if len(page) == EVENTS_PAGE else []
            yield []
            async for batch in _batches(live, request):
                new = [told for told in batch if (told.event.seq or LAST_SEQ) > last]
                if new or not batch:
                    yield new
        finally:
            bus.leave(listener)


def _goes_on(told: Told) -> bool:
    """Whether this cannot have ended the waiting, so that nobody needs to look."""
    if told.event.type == "search.progress":
        return not told.event.data.complete
    return told.event.type in GOING_ON


async def _batches(live: trio.MemoryReceiveChannel[Told], request: rows.Request | None) -> AsyncIterator[Batch]:
    """What comes from a channel and, if it is of one request, an empty batch at its deadline; ends with the channel."""
    while True:
        batch: Batch = []
        try:
            with trio.move_on_after(_seconds_left(request)) if request is not None else nullcontext():
                batch.append(await live.receive())
            while batch and len(batch) < EVENTS_PAGE:
                batch.append(live.receive_nowait())
        except trio.WouldBlock:
            pass  # that was all
        except trio.EndOfChannel:
            if not batch:
                return
        if request is None:
            yield batch
        elif mine := [told for told in batch if told.thread == request.hash]:
            yield mine
        elif not batch and request.reply_by <= wall():
            yield []


def _seconds_left(request: rows.Request) -> float:
    """Until the time for quotes has passed; at least one, for a stream that still finds it open."""
    return min(max(request.reply_by - wall(), 1.0), LONGEST_WAIT_SECONDS)
