"""Whether others can reach us: two peers are asked to dial back, and what they found decides what we tell.

Verdicts: `public` (dialled back at the address we are bound to), `mapped` (dialled back at another one: a router
forwards), `outbound_only` (tried, nobody got through, or the user wants no connections), `unknown` (nobody has tried).
Only a node that is public or mapped has a DHT id and holds records; the others are clients.

A peer counts if its TCP connection brought back the nonce; UDP is known to work when a datagram with the nonce came
from an address that we had not spoken to.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from p2pmarket.clock import wall
from p2pmarket.dht import events as dht
from p2pmarket.keys import Secrets
from p2pmarket.limits import DIAL_BACKS
from p2pmarket.peers import Peers
from p2pmarket.udp import PROBE, DhtService

Address = tuple[str, int]
PEERS_NEEDED = 2
ANSWER_SECONDS = 12
CHECK_SECONDS = 20 * 60
RETRY_SECONDS = (1, 2, 4, 8, 15, 60)  # while too few could be asked
NONCE_BYTES = 16


@dataclass(slots=True)
class Reach:
    """What is known about our reachability. `address` is where others see us."""

    bound: Address | None
    outbound_only: bool
    advertised: Address | None = None
    seen: Address | None = None
    verdict: str = "unknown"
    checked_by: int = 0
    checked_at: int | None = None
    udp_ok: bool = False
    clock_offset: float | None = None
    clock_peers: int = 0
    _answers: dict[bytes, bool] = field(default_factory=dict)
    _nonce: bytes = b""
    _probed: bool = False

    @property
    def address(self) -> Address | None:
        """Where we believe others can dial us."""
        return self.advertised or self.bound or self.seen

    @property
    def reachable(self) -> bool:
        """Proven: somebody dialled us."""
        return self.verdict in {"public", "mapped"}

    def announced(self) -> list[Address]:
        """The addresses to tell others: none once it is clear that nobody gets through."""
        if self.outbound_only or self.verdict == "outbound_only" or self.address is None:
            return []
        return [self.address]


class Reachability:
    """Asks for dial-backs, and dials back for others."""

    def __init__(self, reach: Reach, port: int, secrets: Secrets, changed: Callable[[], None]) -> None:
        self.dht: DhtService  # set before run
        self.peers: Peers
        self.reach = reach
        self._port, self._secrets, self._changed = port, secrets, changed
        self._news, self._changes = trio.Event(), trio.Event()
        self._asked, self._asked_receive = trio.open_memory_channel[dht.DialBackAsked](8)
        self._rng = random.Random()

    def on_event(self, event: dht.Event) -> None:
        """What the node saw."""
        if isinstance(event, dht.DialBackAsked):
            try:
                self._asked.send_nowait(event)
            except trio.WouldBlock:
                return  # busy with other peers: the asker has two more to ask
        elif isinstance(event, dht.DialBackAnswered):
            self.reach._answers[event.peer] = event.tcp_ok
            self._news.set()
        elif isinstance(event, dht.AddressSeen):
            self._see(event.address)
        elif isinstance(event, dht.ClockSeen):
            self.reach.clock_offset, self.reach.clock_peers = event.offset_s, event.peers
        elif isinstance(event, dht.Joined):
            self._changed()
            self._changes.set()

    def on_probe(self, nonce: bytes) -> None:
        """A datagram of a dial-back has come through."""
        if nonce == self.reach._nonce:
            self.reach._probed = True

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Check now and then, answer others, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._dial_back)
            task_status.started()
            if self.reach.outbound_only:
                self._conclude("outbound_only")
                await trio.sleep_forever()
            tries = 0
            while True:
                self._changes = trio.Event()  # of before the check: what changes during it counts too
                await self._check()
                tries = 0 if self._conclusive else tries + 1
                pause = RETRY_SECONDS[min(tries, len(RETRY_SECONDS)) - 1] if tries else CHECK_SECONDS
                with trio.move_on_after(pause * self._rng.uniform(0.8, 1.2)):
                    await self._changes.wait()

    @property
    def _conclusive(self) -> bool:
        """Whether enough peers have tried for the verdict to stand for a while."""
        return self.reach.checked_at is not None and len(self.reach._answers) >= PEERS_NEEDED

    async def _check(self) -> None:
        reach = self.reach
        reach._answers, reach._nonce, reach._probed = {}, self._secrets(NONCE_BYTES), False
        port = reach.address[1] if reach.address else self._port
        self.dht.node.ask_dial_back(reach._nonce, port, trio.current_time())
        self.dht.flush()
        asked = min(DIAL_BACKS, len(self.dht.node.contacts()))
        with trio.move_on_after(ANSWER_SECONDS if asked else 0):
            while sum(reach._answers.values()) < PEERS_NEEDED and len(reach._answers) < asked:
                self._news = trio.Event()
                await self._news.wait()
        if reach._answers:
            self._judge()

    def _judge(self) -> None:
        """Two peers got through, or as many as there were to ask."""
        reach = self.reach
        through = sum(reach._answers.values())
        reach.udp_ok = reach._probed
        reach.checked_by, reach.checked_at = len(reach._answers), wall()
        if through < min(PEERS_NEEDED, len(reach._answers)):
            self._conclude("outbound_only")
        else:
            self._conclude("public" if reach.seen in {None, reach.bound, reach.advertised} else "mapped")

    def _conclude(self, verdict: str) -> None:
        reach = self.reach
        before = (reach.verdict, tuple(reach.announced()))
        reach.verdict = verdict
        node_address = reach.address if verdict != "outbound_only" and reach.udp_ok else None
        self.dht.node.set_address(node_address, trio.current_time())
        self.dht.flush()
        if before != (verdict, tuple(reach.announced())):
            self._changed()

    def _see(self, address: Address) -> None:
        if address != self.reach.seen:
            known = self.reach.address
            self.reach.seen = address
            if self.reach.address != known:
                self._changes.set()

    async def _dial_back(self) -> None:
        async for asked in self._asked_receive:
            ok = await self.peers.probe(asked.address, asked.nonce)
            await self._probe_by_datagram(asked)
            self.dht.node.answer_dial_back(asked, ok, trio.current_time())
            self.dht.flush()

    async def _probe_by_datagram(self, asked: dht.DialBackAsked) -> None:
        """From a socket that the asker has never sent to, so that no router has a hole for it."""
        family = trio.socket.AF_INET6 if ":" in asked.address[0] else trio.socket.AF_INET
        with trio.socket.socket(family, trio.socket.SOCK_DGRAM) as sock:
            try:
                await sock.sendto(PROBE + asked.nonce, asked.address)
            except OSError:
                return  # no route: the asker sees that nothing came
