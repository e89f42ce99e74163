"""Announcements of ours: signed, published, refreshed, taken back.

Rules: the number of a record is written down before the record leaves, so no number is used twice. A record lives for
hours only and is signed anew at every refresh, so what a stopped daemon announced disappears by itself. When our
address changes, everything is published again at once.
"""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Callable
from functools import partial

import trio

from p2pmarket import limits, records
from p2pmarket.clock import wall
from p2pmarket.dht.topics import publish_keys
from p2pmarket.errors import BadInput, BadMessage, LimitReached, WrongState
from p2pmarket.market.papers import Signer, check_alone
from p2pmarket.records import Announcement, Record, announcement_id
from p2pmarket.store.database import Database
from p2pmarket.store.ledger import Ledger
from p2pmarket.store.rows import Announced
from p2pmarket.udp import DhtService

LIFE_SECONDS = 6 * limits.HOUR  # a record outlives several refreshes, and a stopped daemon not for long
PUBLISH_SECONDS = 8  # how long a verb waits for the first holders
RETRY_SECONDS = 30  # after a publication that nobody took
PUTS = 4  # topics published at once
WIDER = 2  # times the region, for what strangers did not find
WIRE_VERSIONS = (1, 1)
Routes = tuple[records.Route, ...]
log = logging.getLogger("p2pmarket.market")


class Announcer:
    """Keeps what the ledger announces alive in the DHT."""

    def __init__(self, ledger: Database[Ledger], signer: Signer, routes: Callable[[], Routes]) -> None:
        self.dht: DhtService  # set before run
        self.published: dict[str, float] = {}  # category -> when, in trio time
        self.hidden: set[str] = set()  # categories in which a stranger did not find us: published in a wider region
        self._ledger, self._signer, self._routes = ledger, signer, routes
        self._news, self._refreshed = trio.Event(), trio.Event()
        self._rng = random.Random()
        self._due: dict[str, float] = {}

    def refresh(self) -> None:
        """Publish everything again soon: the address changed or the network was joined."""
        self._due.clear()
        self._news.set()

    def announce(self, ledger: Ledger, category: str, regions: list[str]) -> tuple[Announced, bool]:
        """Write an announcement down; the row, and whether it is new. Raises BadInput, LimitReached.

        Runs in the ledger's thread; `publish` follows.
        """
        old = ledger.announcements.get(category)
        live = [row for row in ledger.announcements.all() if row.state == "announced" and row.category != category]
        if len(live) >= limits.ANNOUNCED_CATEGORIES:
            raise LimitReached(f"{len(live)} categories are announced", hint="Take one back: market withdraw ID")
        same = old is not None and old.state == "announced" and json.loads(old.regions) == regions
        return self._sign(ledger, category, regions, withdrawn=False), not same

    def withdraw(self, ledger: Ledger, category: str) -> bool:
        """Write down that an announcement is taken back; False if it was before. As `announce`."""
        old = ledger.announcements.get(category)
        if old is None or old.state == "withdrawn":
            return False
        self._sign(ledger, category, json.loads(old.regions), withdrawn=True)
        return True

    async def run(self) -> None:
        """Refresh until cancelled."""
        while True:
            self._news = trio.Event()
            now = trio.current_time()
            rows: list[Announced] = await self._ledger.run(lambda ledger: ledger.announcements.all())
            for row in rows:
                if self._due.get(row.category, 0) <= now:
                    await self._refresh(row.category)
            soonest = min(self._due.values(), default=now + limits.REFRESH_SECONDS)
            with trio.move_on_at(max(soonest, now + 1)):
                await self._news.wait()

    async def publish(self, category: str) -> None:
        """Have the runner publish this one now, and wait a little for the first holders."""
        before = self.published.get(category)
        self._due.pop(category, None)
        self._news.set()
        with trio.move_on_after(PUBLISH_SECONDS):
            while self.published.get(category) == before:
                await self._refreshed.wait()

    async def _refresh(self, category: str) -> None:
        """Publish one anew and note who holds it. Who strikes it out of `_due` meanwhile wants it published again."""
        self._due[category] = trio.current_time() + RETRY_SECONDS
        holders = 0
        try:
            row: Announced | None = await self._ledger.run(partial(self._renew, category=category))
            if row is None:
                self._due.pop(category, None)
                return
            holders = await self._publish(row)
        except (BadInput, BadMessage, WrongState) as error:  # its routes, say: no reason to stop, and may change
            log.warning("the announcement in %r cannot be published: %s", category, error.message)
        await self._ledger.run(lambda ledger: ledger.announcements.set_holders(category, holders))
        if category in self._due:
            self.published[category] = trio.current_time()
            self._due[category] = trio.current_time() + self._pause(holders)
        self._refreshed.set()
        self._refreshed = trio.Event()

    def _pause(self, holders: int) -> float:
        """Seconds until the next refresh."""
        jitter = self._rng.uniform(-limits.REFRESH_JITTER_SECONDS, limits.REFRESH_JITTER_SECONDS)
        return limits.REFRESH_SECONDS + jitter if holders else RETRY_SECONDS

    def _renew(self, ledger: Ledger, category: str) -> Announced | None:
        """What is to be published now, signed anew if it stands. What was taken back is forgotten when it has expired.

        Runs in the ledger's thread: what was read before may have been changed or taken back since.
        """
        row = ledger.announcements.get(category)
        if row is None or row.state == "announced":
            return row and self._sign(ledger, category, json.loads(row.regions), withdrawn=False)
        if row.expires <= wall():
            ledger.announcements.remove(category)
            return None
        return row

    async def _publish(self, row: Announced) -> int:
        """Store the record under all its topics; returns how many nodes hold it under its own category."""
        record = records.record_untrusted(row.envelope, self._signer.network, wall())
        topics = publish_keys(self._signer.network, record.announcement, wall())
        room, wide = trio.CapacityLimiter(PUTS), WIDER if row.category in self.hidden else 1
        held: dict[bytes, int] = {}

        async def put(topic: bytes) -> None:
            async with room:
                held[topic] = (await self.dht.put(topic, row.envelope, wide)).stored

        async with trio.open_nursery() as nursery:
            for topic in topics:
                nursery.start_soon(put, topic)
        return held[topics[0]]

    async def contradict(self, row: Announced) -> None:
        """Publish, above all that another machine has signed under our identity, that nobody is reached by it."""

        def sign(ledger: Ledger) -> Record:
            regions = json.loads(row.regions)
            return self._record(ledger, row.category, regions, row.seq + 1, wall(), withdrawn=False, routes=())

        record: Record = await self._ledger.run(sign)
        await self._publish(row._replace(envelope=record.envelope))

    def check(self, ledger: Ledger) -> None:
        """Raise BadInput if what is announced could not be signed with the profile as it is now."""
        for row in ledger.announcements.all():
            if row.state == "announced":
                self._record(ledger, row.category, json.loads(row.regions), row.seq, wall(), withdrawn=False)

    def _sign(self, ledger: Ledger, category: str, regions: list[str], *, withdrawn: bool) -> Announced:
        """The next record of a category, written down. Runs in the ledger's thread. Raises WrongState."""
        check_alone(ledger)
        old = ledger.announcements.get(category)
        now, seq = wall(), (old.seq if old else 0) + 1
        record = self._record(ledger, category, regions, seq, now, withdrawn=withdrawn)
        row = Announced(
            category=category,
            id=announcement_id(self._signer.network.name, self._signer.identity.public, category),
            regions=json.dumps(regions),
            envelope=record.envelope,
            seq=seq,
            expires=now + LIFE_SECONDS,
            holders=old.holders if old else 0,
            state="withdrawn" if withdrawn else "announced",
        )
        ledger.announcements.put(row)
        return row

    def _record(
        self,
        ledger: Ledger,
        category: str,
        regions: list[str],
        seq: int,
        now: int,
        *,
        withdrawn: bool,
        routes: Routes | None = None,
    ) -> Record:
        profile = ledger.meta.profile()
        located = profile.get("region") or None
        return records.make_announcement(
            self._signer.identity,
            self._signer.network,
            Announcement(
                epoch=int(ledger.meta.get("epoch") or b"0"),
                seq=seq,
                issued=now,
                expires=now + LIFE_SECONDS,
                category=category,
                regions=tuple(regions),
                located=None if located == records.WORLD else located,
                name=profile.get("name", ""),
                service_key=self._signer.keyring.service.public,
                routes=self._routes() if routes is None else routes,
                versions=WIRE_VERSIONS,
                withdrawn=withdrawn,
            ),
        )
