"""The links' side of recalls: each one that comes up is asked for what is missing, and shown what concerns its key.

Who gets a recall shows it to the other links under that key, and if there is none he calls the address at which its
owner was known: if another machine answers there, it hears of the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import trio

from p2pmarket.clock import wall
from p2pmarket.errors import PeerError, PeerGone
from p2pmarket.limits import RECALL_CALLS, RECALL_SECONDS
from p2pmarket.market.papers import Signer
from p2pmarket.market.places import Places
from p2pmarket.market.recalling import Recalling
from p2pmarket.market.routes import addresses_of
from p2pmarket.open_link import Name, OpenLink
from p2pmarket.peers import Peers
from p2pmarket.store.database import Database
from p2pmarket.store.ledger import Ledger
from p2pmarket.store.rows import Correspondent


class RecallService:
    """Says recalls on links; what does not arrive is said again on the next link."""

    def __init__(self, ledger: Database[Ledger], recalling: Recalling, peers: Peers, signer: Signer) -> None:
        self._ledger, self._recalling, self._peers, self._signer = ledger, recalling, peers, signer
        self._places = Places(signer.network)  # whoever recalls may have named anybody's address before
        self._links: list[OpenLink] = []
        self._to_call: set[Name] = set()
        self._news = trio.Event()

    def came_up(self, link: OpenLink) -> None:
        """A link is open."""
        self._links.append(link)
        self._news.set()

    def ask_all(self) -> None:
        """Ask on every open link: threads have become read-only."""
        for link in self._peers.links():
            self.came_up(link)

    def show(self, link: OpenLink, message: bytes) -> None:
        """Show a recall that came over `link` to the others under the same key."""
        others = [other for other in self._peers.named(link.name) if other is not link]
        for other in others:
            _say(other, [message])
        if not others and len(self._to_call) < RECALL_CALLS:
            self._to_call.add(link.name)
            self._news.set()

    async def run(self) -> None:
        """Until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                with trio.move_on_after(RECALL_SECONDS) as pause:
                    await self._news.wait()
                self._news = trio.Event()
                if pause.cancelled_caught and self._recalling.expecting:
                    self._links = self._peers.links()  # an answer may have been lost
                links, self._links = [link for link in self._links if not link.ended], []
                for link in links:
                    await self._tell(link)
                while self._to_call:
                    nursery.start_soon(self._call, self._to_call.pop())

    async def _tell(self, link: OpenLink) -> None:
        if (shown := self._recalling.shown.get(link.name)) is not None:
            _say(link, [shown])
        if self._recalling.moved:
            _say(link, await self._ledger.run(partial(self._recalling.ask, link=link.name, wall=wall())))

    async def _call(self, name: Name) -> None:
        """Open a link to where the key's owner was known before; what it must hear is told when it is up."""
        known: Correspondent | None = await self._ledger.run(lambda ledger: ledger.outbox.correspondent(name))
        key = self._signer.keyring.get(name[0])
        if known is None or key is None:
            return
        addresses = self._places.to_call(addresses_of(known.routes, self._signer.network), trio.current_time())
        try:
            await self._peers.dial(key, name[1], addresses, [])
        except* PeerError:
            self._places.failed(addresses)


def _say(link: OpenLink, messages: Sequence[bytes]) -> None:
    with suppress(PeerGone):
        for message in messages:
            link.send(message)
