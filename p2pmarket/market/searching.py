"""Looking for sellers while a request is open.

A request is looked up under its category with the country of delivery and without; while fewer sellers than wanted are
known, under wider categories too. Whoever is found is asked at once, not at the end of the search. It is repeated, at
growing intervals, until reply-by, so that a seller who announces later is asked too. What was asked, found and widened
is told all along: there is no blank page.
"""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import msgspec
import trio

from p2pmarket import records
from p2pmarket.clock import wall
from p2pmarket.dht import events as dht
from p2pmarket.dht.topics import ancestors, country, read_keys
from p2pmarket.errors import BadMessage
from p2pmarket.limits import SEARCHES, SELLERS_ASKED
from p2pmarket.market.buying import Buying
from p2pmarket.market.papers import announcement_in
from p2pmarket.records import WORLD, Record
from p2pmarket.store.database import Database
from p2pmarket.store.ledger import Ledger
from p2pmarket.store.rows import Request
from p2pmarket.trade import documents
from p2pmarket.udp import DhtService
from p2pmarket.vocab.regions import covers

FEW = 5  # with fewer sellers than this (or than wanted) a search widens
PAUSES = (5, 10, 30, 60, 120, 300, 600)  # seconds between the searches for one request, the last one again and again
PROGRESS_SECONDS = 0.1  # between two tellings

Progress = Callable[[Request, "Search"], Awaitable[None]]
Seen = Callable[[tuple[Record, ...]], None]


class Search(msgspec.Struct, kw_only=True):
    """How far the search for one request went; what `requests.search` keeps."""

    nodes_asked: int = 0
    sellers_found: int = 0
    widened_to: list[str] = []
    complete: bool = False


@dataclass(slots=True)
class Wanted:
    """What a record must fit. `found`: sellers that do, by identity."""

    category: str
    region: str | None
    from_region: str | None
    found: set[bytes] = field(default_factory=set)

    def fits(self, record: Record, widened: str) -> bool:
        """Whether a seller sells this kind of thing (or, once widened, that of `widened`) to and from the regions."""
        told = record.announcement
        served = self.region is None or any(covers(region, self.region) for region in told.regions)
        placed = self.from_region is None or (told.located is not None and covers(self.from_region, told.located))
        return served and placed and not told.withdrawn and _akin(told.category, self.category, widened)


class Searcher:
    """One task for each open request of ours."""

    def __init__(self, ledger: Database[Ledger], buying: Buying, progress: Progress, seen: Seen) -> None:
        self.dht: DhtService  # set before run
        self.asked: Callable[[], None] = lambda: None  # somebody new has something waiting
        self._ledger, self._buying, self._progress, self._seen = ledger, buying, progress, seen
        self._begin, self._begun = trio.open_memory_channel[Request](1024)
        self._room = trio.CapacityLimiter(SEARCHES)
        self._rng = random.Random()
        self._nudge = trio.Event()

    def begin(self, request: Request) -> None:
        """Look for sellers of a new request."""
        try:
            self._begin.send_nowait(request)
        except trio.WouldBlock:
            return  # a thousand are waiting: `run` finds it in the ledger after a restart

    def nudge(self) -> None:
        """We have joined the network, or come back: do not wait for the next search."""
        self._nudge.set()
        self._nudge = trio.Event()

    async def run(self) -> None:
        """Search until cancelled, for the requests that are open now and those that are begun later."""
        async with trio.open_nursery() as nursery:
            open_: list[Request] = await self._ledger.run(lambda ledger: ledger.requests.open_until("buyer", wall()))
            for request in open_:
                if request.target is None:
                    nursery.start_soon(self._look, request)
            async for request in self._begun:
                nursery.start_soon(self._look, request)

    async def _look(self, request: Request) -> None:
        pauses = iter(PAUSES)
        pause = PAUSES[0]
        while await self._wants_more(request):
            nudge = self._nudge  # of before the search: what comes during it counts too
            async with self._room:
                await self._search(request)
            pause = next(pauses, pause)
            with trio.move_on_after(min(pause * self._rng.uniform(0.9, 1.1), max(0, request.reply_by - wall()))):
                await nudge.wait()

    async def _wants_more(self, request: Request) -> bool:
        def read(ledger: Ledger) -> bool:
            row = ledger.requests.get(request.hash)
            if row is None or row.state != "open" or row.reply_by <= wall():
                return False
            asked = ledger.requests.asked(request.hash)
            quoted = sum(one.answer == "quoted" for one in asked)
            return quoted < (row.quotes_wanted or SELLERS_ASKED) and len(asked) < SELLERS_ASKED

        wants: bool = await self._ledger.run(read)
        return wants

    async def _search(self, request: Request) -> None:
        """One search, from the narrowest topic outwards."""
        document = await self._document(request)
        wanted = Wanted(document.category, document.region, document.from_region)
        search = msgspec.convert(json.loads(request.search), Search)
        search.widened_to, search.nodes_asked = [], 0
        enough = min(document.quotes_wanted, FEW)
        for category in (document.category, *ancestors(document.category)):
            if category != document.category:
                if len(wanted.found) >= enough:
                    break
                search.widened_to.append(category)
            await self._get(request, wanted, category, search)
        search.complete = True
        await self._note(request, search)

    async def _document(self, request: Request) -> documents.Request:
        read = self._buying.reader.document
        document: documents.Request = await self._ledger.run(
            lambda ledger: read(ledger, request.hash, documents.Request)
        )
        return document

    async def _get(self, request: Request, wanted: Wanted, category: str, search: Search) -> None:
        network = self._buying.signer.network
        now = wall()
        topics = list(read_keys(network, category, None, now))
        if wanted.region is not None and wanted.region != WORLD:
            topics = [*read_keys(network, category, country(wanted.region), now), *topics]
        told = -PROGRESS_SECONDS
        async with self.dht.get(topics, SELLERS_ASKED) as events:
            async for event in events:
                if isinstance(event, dht.RecordsFound):
                    await self._ask(request, wanted, event.records, category, search)
                elif isinstance(event, dht.GetProgress | dht.GetDone):
                    search.nodes_asked = max(search.nodes_asked, event.asked)
                    told = await self._tell(request, search, told)

    async def _tell(self, request: Request, search: Search, told: float) -> float:
        """Tell of progress, but not more often than a person can read; returns when it was last told."""
        now = trio.current_time()
        if now - told < PROGRESS_SECONDS:
            return told
        await self._progress(request, search)
        return now

    async def _ask(
        self, request: Request, wanted: Wanted, found: tuple[Record, ...], widened: str, search: Search
    ) -> None:
        """Ask whoever is new among the records; all in one transaction."""
        self._seen(found)
        ours = self._buying.signer.identity.public
        fitting = [record for record in found if record.signer != ours and wanted.fits(record, widened)]
        wanted.found.update(record.signer for record in fitting)
        search.sellers_found = max(search.sellers_found, len(wanted.found))
        if not fitting:
            return

        def ask(ledger: Ledger) -> list[bool]:
            return [self._buying.ask(ledger, request.hash, record, wall()) for record in fitting]

        if any(await self._ledger.run(ask)):
            self.asked()

    async def _note(self, request: Request, search: Search) -> None:
        text = msgspec.json.encode(search).decode()
        await self._ledger.run(lambda ledger: ledger.requests.set_search(request.hash, text))
        await self._progress(request, search)


def record_of(envelope: bytes, buying: Buying) -> Record | None:
    """A remembered announcement if it still holds."""
    try:
        return records.record_untrusted(envelope, buying.signer.network, wall())
    except BadMessage:
        return None


def last_record_of(envelope: bytes | None, buying: Buying) -> Record | None:
    """A kept announcement that may have expired: where its signer was last."""
    if envelope is None:
        return None
    issued = announcement_in(envelope).issued
    try:
        return records.record_untrusted(envelope, buying.signer.network, issued)
    except BadMessage:
        return None


def _akin(announced: str, wanted: str, widened: str) -> bool:
    """Whether a seller of `announced` may have `wanted`: one contains the other, or `widened` contains both."""
    return (
        announced in {wanted, widened}
        or announced in ancestors(wanted)
        or wanted in ancestors(announced)
        or (widened != wanted and widened in ancestors(announced))
    )
