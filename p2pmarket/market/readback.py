"""Do strangers find us? Own announcements are read back as anybody would read them.

Rules. The reader is a node of its own, with a fresh key, socket and place in the DHT, so that nobody who hides us from
others can show us to ourselves. It begins with a few nodes that our own one knows. A category in which it does not find
us is published again, in a region twice as wide, until a stranger has found us there.

The newest record says also who publishes it: one under our identity that is newer than anything we have signed comes
from another machine. Then nothing more is signed here but one newer record, by which nobody is to be reached, so that
the other machine notices too when it reads back.
"""

from __future__ import annotations

import random
import socket
from functools import partial
from typing import NamedTuple

import trio

from p2pmarket import codec, limits
from p2pmarket.clock import wall
from p2pmarket.config import Config
from p2pmarket.dht import events as dht
from p2pmarket.dht.node import Node
from p2pmarket.dht.session import Sessions
from p2pmarket.dht.topics import publish_keys
from p2pmarket.keys import ExchangeKey
from p2pmarket.market.announcing import Announcer
from p2pmarket.market.papers import TWO_MACHINES, Signer, payload_of
from p2pmarket.records import Announcement, Record
from p2pmarket.store.database import Database
from p2pmarket.store.ledger import Ledger
from p2pmarket.store.rows import Announced
from p2pmarket.udp import DhtService

FIRST_SECONDS = 60  # after the start: what we announce is published by then
ROUND_SECONDS = limits.HOUR  # each category once, spread over it
READ_SECONDS = 30
NOW_SECONDS, NOW_CATEGORIES = 10, 4  # when somebody waits
BEGIN_WITH = 16  # nodes that the reader is told
Version = tuple[int, int]  # epoch and number of a record


class Seen(NamedTuple):
    """What a stranger saw of one category: our newest record there, if any, and how many nodes answered him."""

    newest: Record | None
    answered: int


class ReadBack:
    """Reads what we announce until cancelled."""

    def __init__(
        self, config: Config, ledger: Database[Ledger], signer: Signer, announcer: Announcer, own: DhtService
    ) -> None:
        self._config, self._ledger, self._signer = config, ledger, signer
        self._announcer, self._own = announcer, own
        self._rng = random.Random()

    async def run(self) -> None:
        """One category after the other."""
        await trio.sleep(FIRST_SECONDS)
        while True:
            rows: list[Announced] = await self._ledger.run(lambda ledger: ledger.announcements.all())
            live = [row for row in rows if row.state == "announced" and row.category in self._announcer.published]
            for row in live:
                await self.look(row)
                await trio.sleep(ROUND_SECONDS / len(live) * self._rng.uniform(0.8, 1.2))
            if not live:
                await trio.sleep(FIRST_SECONDS)

    async def look_now(self) -> dict[str, Seen]:
        """A few of our announcements, looked at now, by category; for somebody who waits for it."""
        rows: list[Announced] = await self._ledger.run(lambda ledger: ledger.announcements.all())
        live = [row for row in rows if row.state == "announced" and row.category in self._announcer.published]
        found: dict[str, Seen] = {}

        async def look(row: Announced) -> None:
            found[row.category] = await self.look(row)

        with trio.move_on_after(NOW_SECONDS):
            async with trio.open_nursery() as nursery:
                for row in live[:NOW_CATEGORIES]:
                    nursery.start_soon(look, row)
        return found

    async def look(self, row: Announced) -> Seen:
        """Look for one announcement as a stranger, and do what follows."""
        seen = await self._read(row)
        if seen.answered:  # else the stranger got nowhere, which says nothing
            await self._conclude(row, seen)
        return seen

    async def _conclude(self, row: Announced, seen: Seen) -> None:
        if seen.newest is not None and _version(seen.newest.announcement) > (await self._signed(row)):
            await self._ledger.run(partial(_stop, epoch=seen.newest.announcement.epoch + 1, wall=wall()))
            await self._announcer.contradict(row)
        elif seen.newest is None:
            self._announcer.hidden.add(row.category)
            await self._announcer.publish(row.category)
        else:
            self._announcer.hidden.discard(row.category)

    async def _signed(self, row: Announced) -> Version:
        """The newest version that we have signed by now."""
        now: Announced | None = await self._ledger.run(lambda ledger: ledger.announcements.get(row.category))
        return _version(_announced(now or row))

    async def _read(self, row: Announced) -> Seen:
        """One get by a node made for it."""
        with socket.socket(self._family(), socket.SOCK_DGRAM) as sock:
            sock.bind((self._config.listen[0], 0))
            sock.setblocking(False)
            node, joined = self._stranger(sock.getsockname()[1]), trio.Event()
            service = DhtService(node, sock, partial(_hear, joined), lambda nonce: None)
            seen = Seen(None, 0)
            async with trio.open_nursery() as nursery:
                await nursery.start(service.run)
                with trio.move_on_after(READ_SECONDS):
                    known = self._own.node.contacts()
                    node.bootstrap(self._rng.sample(known, min(BEGIN_WITH, len(known))), trio.current_time())
                    service.flush()
                    await joined.wait()
                    seen = await self._get(service, row)
                nursery.cancel_scope.cancel()
        return seen

    def _stranger(self, port: int) -> Node:
        network, secrets = self._config.network, self._signer.secrets
        key = ExchangeKey.from_seed(secrets(32))
        rng = random.Random()
        sessions = Sessions(key, network, secrets, rng)
        return Node(
            network, key, sessions, rng=rng, secrets=secrets, now=trio.current_time(), wall=wall(), listen_port=port
        )

    async def _get(self, service: DhtService, row: Announced) -> Seen:
        topic = publish_keys(self._config.network, _announced(row), wall())[0]
        newest, answered = None, 0
        async with service.get([topic], limits.SELLERS_KEPT) as events:
            async for event in events:
                if isinstance(event, dht.GetDone):
                    answered = event.answered
                for found in event.records if isinstance(event, dht.RecordsFound) else ():
                    ours = found.signer == self._signer.identity.public
                    if ours and found.announcement.category == row.category:
                        newest = found
        return Seen(newest, answered)

    def _family(self) -> socket.AddressFamily:
        return socket.AF_INET6 if ":" in self._config.listen[0] else socket.AF_INET


def _announced(row: Announced) -> Announcement:
    """What we signed; it may have expired meanwhile, when the machine slept for hours."""
    return codec.unpack_untrusted(payload_of(row.envelope), Announcement)


def _version(announcement: Announcement) -> Version:
    return announcement.epoch, announcement.seq


def _stop(ledger: Ledger, epoch: int, wall: int) -> None:
    """Another machine publishes under our identity: whoever goes on must come after it."""
    ledger.meta.set("epoch", str(epoch).encode())
    if ledger.meta.get(TWO_MACHINES) is None:
        ledger.meta.set(TWO_MACHINES, str(wall).encode())


def _hear(joined: trio.Event, event: dht.Event) -> None:
    if isinstance(event, dht.Joined):
        joined.set()
