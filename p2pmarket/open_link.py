"""A link whose other end has proved its key: who is there, what is on its way, what may be said."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import trio

from p2pmarket import limits
from p2pmarket.errors import PeerGone
from p2pmarket.link import Link
from p2pmarket.messages import Keepalive, encode

Address = tuple[str, int]
Name = tuple[bytes, bytes]
"""Our and their X25519 public key."""
QUIET_SECONDS = limits.LINK_IDLE_SECONDS / 3
KEEPALIVE = encode(Keepalive())


@dataclass(eq=False, slots=True)
class OpenLink:
    """A link whose other end has proved its key.

    `in_flight`: documents sent on it and not acknowledged, with sizes. `unsent`: bytes that the stream has not taken.
    `answering`: messages of the other side are being worked at, and what follows from them is to go out here.
    """

    name: Name
    address: Address
    inbound: bool
    keep: bool = False
    in_flight: dict[bytes, int] = field(default_factory=dict)
    last_heard: float = 0.0
    oldest_sent: float = 0.0
    unsent: int = 0
    answering: bool = False
    kept_at: float = float("-inf")
    ended: bool = False
    _link: Link = field(repr=False, kw_only=True)
    _stream: trio.SocketStream = field(repr=False, kw_only=True)
    _wake: trio.Event = field(default_factory=trio.Event, repr=False)
    _drained: trio.Event = field(default_factory=trio.Event, repr=False)

    @property
    def confirmed(self) -> bool:
        """Whether the other side has shown that it is there now; the first flight alone may be a replay."""
        return self._link.confirmed

    def send(self, message: bytes) -> None:
        """Queue a message; the link's writer sends it. Raises PeerGone if the link has ended."""
        if self._link.closed or self.ended:
            raise PeerGone("the link has ended")
        self._link.send(message)
        self.unsent += len(message)
        self._wake.set()

    def keep_alive(self) -> None:
        """Let the other side hear something, unless it just has: answers to answers come to an end."""
        now = trio.current_time()
        if not self._link.closed and not self.ended and now - self.kept_at >= QUIET_SECONDS / 2:
            self.kept_at = now
            self.send(KEEPALIVE)

    def has_room(self, size: int) -> bool:
        """Whether one more document may go before others are acknowledged."""
        bytes_ = sum(self.in_flight.values()) + size
        return not self.in_flight or (len(self.in_flight) < limits.UNACKED_DOCUMENTS and bytes_ <= limits.UNACKED_BYTES)

    async def close(self) -> None:
        """End it; its tasks notice."""
        await trio.aclose_forcefully(self._stream)

    def is_idle(self, now: float) -> bool:
        """Whether nothing is on its way over it, nor was lately, and we do not want it kept."""
        busy = self.keep or self.in_flight or self.unsent or self.answering
        return not busy and now - self.last_heard >= limits.LINK_SPARE_SECONDS


def longest_idle(links: Iterable[OpenLink], now: float) -> OpenLink | None:
    """The link that gives way to a new one: of the idle ones, first those that the other side does not keep alive."""
    idle = (link for link in links if link.is_idle(now))
    return min(idle, key=lambda link: (link.kept_at, link.last_heard), default=None)
