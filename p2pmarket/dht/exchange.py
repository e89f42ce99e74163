"""Messages in and out: sessions below, requests under way, rates and counters.

Everything that a datagram may do wrong ends here, counted and unanswered.
"""

from __future__ import annotations

from typing import Final

from p2pmarket import limits, messages
from p2pmarket.dht import quick
from p2pmarket.dht.calls import Call, Calls, Owner
from p2pmarket.dht.contact import Address, Contact
from p2pmarket.dht.counters import Counters
from p2pmarket.dht.limiter import Limiter
from p2pmarket.dht.session import Opened, Peer, Sessions
from p2pmarket.errors import BadMessage, UnknownMessage
from p2pmarket.network import Network

_ANSWERS: Final[dict[type[messages.Request], type[messages.Answer]]] = {
    messages.Ping: messages.Pong,
    messages.Find: messages.Found,
    messages.Get: messages.Got,
    messages.Put: messages.PutDone,
    messages.Topics: messages.TopicsHeld,
    messages.DialBack: messages.DialBackDone,
}
_WRITES: Final = (messages.Put, messages.DialBack)  # travel only in a session that exists


class Exchange:
    """What one node sends and receives."""

    def __init__(self, network: Network, sessions: Sessions, first_tx: int) -> None:
        self.calls = Calls(first_tx)
        self.counters = Counters()
        self.r: int | None = None  # ours; None for a client
        self._network = network
        self._sessions = sessions
        self._limiter = Limiter(limits.PACKETS_PER_SECOND, limits.PACKETS_BURST, limits.PACKET_GROUPS)
        self._out: list[tuple[bytes, Address]] = []

    def open_untrusted(self, data: bytes, address: Address, now: float) -> tuple[Opened, messages.Message] | None:
        """The message in a datagram; None, counted, if there is nothing to do. Never raises for what it holds."""
        counters = self.counters
        counters.received += 1
        if address not in self.calls.awaited and not self._limiter.take(self._network.group(*address), now):
            counters.rate_limited += 1
            return None
        try:
            opened = self._sessions.open_untrusted(data, address, now)
            if opened is not None:
                return opened, quick.decode_untrusted(opened.message)
            counters.unusable += 1
        except UnknownMessage:
            counters.unknown += 1
        except BadMessage:
            counters.bad += 1
        return None

    def ask(
        self,
        contact: Contact,
        kind: type[messages.Request],
        fields: tuple[object, ...],
        owner: Owner,
        subject: object,
        now: float,
    ) -> bool:
        """Send a request; False if too many are under way, or if a write has no session to travel in."""
        calls = self.calls
        peer = Peer(contact.address, contact.public)
        if calls.full or (kind in _WRITES and not self._sessions.has_session(peer, now)):
            self.counters.not_asked += 1
            return False
        tx = calls.tx()
        try:
            datagram = self._sessions.seal(peer, quick.encode(kind(tx, self.r, *fields)), now)
        except BadMessage:  # a key that no honest node has
            self.counters.not_asked += 1
            return False
        seconds = limits.DIAL_BACK_SECONDS if kind is messages.DialBack else limits.CALL_SECONDS
        calls.add(Call(tx, contact, _ANSWERS[kind], owner, subject, now, now + seconds))
        self.counters.asked += 1
        self._send(datagram, contact.address)
        return True

    def reply(self, opened: Opened, answer: messages.Answer, now: float) -> None:
        """Send the answer to a request."""
        self.counters.served += 1
        self._send(self._sessions.seal_reply(opened, quick.encode(answer), now), opened.peer.address)

    def match(self, opened: Opened, answer: messages.Answer, now: float) -> Call | None:
        """The request that was answered; None, counted, if we asked nothing of the kind there."""
        call = self.calls.match(answer, opened.peer.public, opened.peer.address, now)
        if call is None:
            self.counters.unsolicited += 1
        else:
            self.counters.answers += 1
        return call

    def datagrams(self) -> list[tuple[bytes, Address]]:
        """What must be sent; handed out once."""
        out, self._out = self._out, []
        if self._sessions.outgoing:
            out += self._sessions.datagrams_to_send()
        self.counters.sent += len(out)
        return out

    def _send(self, datagram: bytes, address: Address) -> None:
        if len(self._out) >= limits.OUTGOING:
            self.counters.not_sent += 1
        else:
            self._out.append((datagram, address))
