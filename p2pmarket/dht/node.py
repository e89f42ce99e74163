"""A node of the DHT: datagrams in, datagrams and events out, time handed in.

The node has no socket and no clock. The program around it calls `receive_datagram` for what comes, sends what
`datagrams_to_send` gives, reads `next_event` until None, and calls `handle_timeouts` when `next_timeout` says so.
After every call there may be new datagrams and events. Nothing that a datagram holds raises.

Rules. A contact enters the table when it has answered us, or called in a session that it confirmed, which takes our
answer at its address. Requests are limited per group before any cryptography; who owes us an answer is always heard.
Without a known public address the node is a client: it has no id, holds nothing, and nobody stores it. All tables
are bounded, and what is dropped is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from p2pmarket import limits, messages
from p2pmarket.dht.calls import Call
from p2pmarket.dht.contact import (
    Address,
    Contact,
    address_untrusted,
    contact_at,
    contacts_untrusted,
    pack_address,
    pieces_untrusted,
)
from p2pmarket.dht.dialback import DialBackAsking, chosen
from p2pmarket.dht.events import (
    AddressSeen,
    Asked,
    ClockSeen,
    DialBackAsked,
    Event,
    EventQueue,
    LookupDone,
)
from p2pmarket.dht.events import DialBackAnswered as DialBackAnswered
from p2pmarket.dht.events import GetDone as GetDone
from p2pmarket.dht.events import GetProgress as GetProgress
from p2pmarket.dht.events import Joined as Joined
from p2pmarket.dht.events import PutDone as PutDone
from p2pmarket.dht.events import RecordsFound as RecordsFound
from p2pmarket.dht.exchange import Exchange
from p2pmarket.dht.filing import record_untrusted
from p2pmarket.dht.get import Get, ReadRecord
from p2pmarket.dht.join import Greeting, Membership
from p2pmarket.dht.put import Put
from p2pmarket.dht.region import NetworkSize
from p2pmarket.dht.search import Search
from p2pmarket.dht.serve import Library
from p2pmarket.dht.session import Opened, Sessions
from p2pmarket.dht.shards import key_of
from p2pmarket.dht.table import Added, Table
from p2pmarket.dht.timers import Timer, Timers
from p2pmarket.dht.values import Values
from p2pmarket.dht.witness import Witness
from p2pmarket.errors import BadMessage, Unavailable
from p2pmarket.keys import ExchangeKey
from p2pmarket.network import Network

if TYPE_CHECKING:
    from random import Random

_OLD_SECONDS = 60.0  # the head of a full bucket is pinged for a newcomer if it was not heard for so long
_WARM_TOPICS = 64  # topics whose region is remembered
_GREETING = Greeting()


class Node:
    """One node. `now` is monotonic seconds, `wall` UTC seconds; addresses are (IP text, port)."""

    def __init__(
        self,
        network: Network,
        key: ExchangeKey,
        sessions: Sessions,
        *,
        rng: Random,
        secrets: Callable[[int], bytes],
        now: float,
        wall: int,
        listen_port: int = 0,
        address: Address | None = None,
        client: bool = True,
        read_record: ReadRecord = record_untrusted,
    ) -> None:
        """`address`: our public address if it is known. `client=False`: take the address that peers agree on at once.

        With `client=True` that is left to the program around, which hears of it by AddressSeen and calls
        `set_address`. `key` is the node's, the one that `sessions` use.
        """
        self.network = network
        self.rng = rng
        self.size = NetworkSize()
        self.values = Values(network, rng, secrets, read_record)
        self.listen_port = listen_port
        self.contact: Contact | None = None  # ourselves, if we have a public address
        self._key = key
        self._auto = not client
        self._read_record = read_record
        self._wall_offset = wall - now
        self._client_id = secrets(32)
        self.table = Table(self._client_id, network)
        self._exchange = Exchange(network, sessions, int.from_bytes(secrets(4), "big"))
        self.counters = self._exchange.counters
        self.ask, self.awaited = self._exchange.ask, self._exchange.calls.awaited  # the latter: whom to hear first
        self._library = Library(network, self.values, self.size, self.counters, self._dial_back_asked, now)
        self._witness = Witness(network)
        self._events = EventQueue()
        self._timers = Timers()
        self._number = 0
        self._running: dict[int, Get | Put | Search] = {}
        self._warm: dict[bytes, tuple[Contact, ...]] = {}  # regions that gets have found, newest last
        self._pinged: dict[bytes, float] = {}  # when, by packed contact
        self.membership = Membership(self, now)
        if address is not None:
            self.set_address(address, now)

    # What the program around calls

    def receive_datagram(self, data: bytes, address: Address, now: float) -> None:
        """Take a datagram that came from `address`. Never raises for what it holds."""
        arrived = self._exchange.open_untrusted(data, address, now)
        if arrived is None:
            return
        opened, message = arrived
        if isinstance(message, messages.Request):
            self._serve(opened, message, now)
        elif isinstance(message, messages.Answer):
            self._answered(opened, message, now)
        else:
            self.counters.misplaced += 1

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Address]]:
        """What must be sent now; handed out once."""
        return self._exchange.datagrams()

    def next_event(self) -> Event | None:
        """The oldest event not read yet."""
        return self._events.next()

    def next_timeout(self) -> float:
        """When `handle_timeouts` must be called, on the clock of `now`."""
        return min(self._timers.next(), self._exchange.calls.next_timeout())

    def handle_timeouts(self, now: float) -> None:
        """Do what is due."""
        while (call := self._exchange.calls.expired(now)) is not None:
            if call.slow:
                call.owner.slow(call, now)
            else:
                self._silent(call, now)
        self._timers.run(now)

    def set_wall(self, now: float, wall: int) -> None:
        """UTC is `wall` seconds at `now`."""
        self._wall_offset = wall - now

    def set_address(self, address: Address | None, now: float) -> None:
        """Our public address: with one we are a full node with an id, with None a client."""
        contact = None
        if address is not None:
            contact = contact_at(self._key.public, *address, self._key.public[0] & 7, self.network)
        if contact is not None and self.contact is not None and contact.packed == self.contact.packed:
            return
        self.contact = contact
        self._exchange.r = contact.r if contact is not None else None
        old, self.table = self.table, Table(contact.id if contact is not None else self._client_id, self.network)
        for entry in sorted(old, key=lambda entry: entry.heard):
            if entry.contact != contact:
                self.table.heard(entry.contact, entry.heard, found=entry.found)
        self.membership.moved(now)

    def bootstrap(self, contacts: Iterable[Contact], now: float) -> None:
        """Join by way of these contacts: saved ones first, then those of bootstrap nodes."""
        mine = self._key.public
        self.membership.bootstrap([contact for contact in contacts if contact.public != mine], now)

    def contacts(self) -> list[Contact]:
        """Proven contacts, heard last first."""
        return [entry.contact for entry in sorted(self.table, key=lambda entry: (entry.failures, -entry.heard))]

    def start_get(self, topics: Sequence[bytes], want: int, now: float) -> int:
        """Get records under `topics` until `want` sellers are found: RecordsFound, GetProgress, then GetDone."""
        number = self._next_number()
        get = Get(self, number, want, self._read_record, self._get_done)
        self._running[number] = get
        get.start(topics, now)
        return number

    def start_put(self, topic: bytes, envelope: bytes, now: float, wide: int = 1) -> int:
        """Store `envelope` in the region of `topic`, which may include ourselves, and in its shards; PutDone comes.

        `wide`: on so many times as many nodes, where an earlier put did not suffice.
        """
        number = self._next_number()
        put = Put(self, number, topic, envelope, self._put_done, wide)
        self._running[number] = put
        put.start(now)
        return number

    def start_lookup(self, target: bytes, now: float) -> int:
        """Find the live nodes nearest to `target` (32 bytes), ourselves among them if we are one; LookupDone comes."""
        number = self._next_number()

        def done(search: Search, now: float) -> None:
            self._running.pop(number, None)
            lookup = search.lookup
            live = [*lookup.nearest(), *([self.contact] if self.contact is not None else [])]
            live.sort(key=lambda contact: contact.long_id ^ lookup.target)
            self.emit(LookupDone(number, tuple(live[: limits.BUCKET_CONTACTS]), lookup.asked_count, lookup.hops))

        search = self.search(target, now, done)
        if not search.over:
            self._running[number] = search
        return number

    def stop(self, number: int, now: float = 0.0) -> None:
        """End a get, put or lookup early; its last event comes at once. Unknown numbers are ignored."""
        running = self._running.get(number)
        if isinstance(running, Search):
            running.end(now)
        elif running is not None:
            running.stop(now)

    def ask_dial_back(self, nonce: bytes, port: int, now: float) -> None:
        """Ask a few peers of distinct groups to dial TCP `port` at our address; DialBackAnswered comes from each."""
        for contact in chosen(self.contacts(), self.group_of):
            DialBackAsking(contact, nonce, port, self._exchange.ask, self.emit).start(now)

    def answer_dial_back(self, asked: DialBackAsked, tcp_ok: bool, now: float) -> None:
        """Tell whether the connection that a peer asked for could be made."""
        opened, tx = asked.asked.opened, asked.asked.tx
        seen = pack_address(opened.peer.address)
        self._exchange.reply(opened, messages.DialBackDone(tx, self.wall(now), seen, tcp_ok), now)

    def estimated_size(self) -> int:
        """Live nodes in the network, about, ourselves included if we are one."""
        return self.size.size(self.known) + (self.contact is not None)

    # What searches and the membership call

    @property
    def known(self) -> int:
        """Contacts in the table."""
        return len(self.table)

    def wall(self, now: float) -> int:
        """UTC seconds at `now`."""
        return max(0, int(now + self._wall_offset))

    def starting_points(self, target: int, count: int) -> list[Contact]:
        """The nearest contacts known, without those that failed lately unless there are few others."""
        good = self.table.nearest_good(target, count)
        return good if len(good) >= limits.PATHS else [entry.contact for entry in self.table.nearest(target, count)]

    def group_of(self, contact: Contact) -> bytes:
        """The group of addresses that a contact belongs to."""
        return contact.group(self.network)

    def contacts_in(self, packed: bytes) -> list[Contact]:
        """The contacts of an answer; none if they are not contacts."""
        try:
            return contacts_untrusted(pieces_untrusted(packed), self.network)
        except BadMessage:
            self.counters.bad += 1
            return []

    def bad_record(self) -> None:
        """Count a record that does not hold."""
        self.counters.bad_records += 1

    def ping(self, contact: Contact, now: float) -> None:
        """See whether `contact` lives, unless that is being seen already."""
        if now - self._pinged.get(contact.packed, float("-inf")) < limits.CALL_SECONDS:
            return
        if len(self._pinged) >= 4 * limits.PROBES:
            self._pinged = {name: at for name, at in self._pinged.items() if now - at < limits.CALL_SECONDS}
        self._pinged[contact.packed] = now
        self.ask(contact, messages.Ping, (), _GREETING, None, now)

    def search(
        self,
        target: bytes,
        now: float,
        on_done: Callable[[Search, float], None],
        more: Iterable[Contact] = (),
        size: int = limits.BUCKET_CONTACTS,
    ) -> Search:
        """Start a lookup; it may be over at once."""
        self.table.bucket_of(int.from_bytes(target, "big")).touch_last_updated(now)
        search = Search(self, target, now, on_done, more=more, size=size)
        search.start(now)
        return search

    def keep(self, topic: bytes, number: int, envelope: bytes, now: float) -> None:
        """Keep a record of ours in a shard of `topic` ourselves, if we are in its region."""
        contact, key = self.contact, int.from_bytes(key_of(self.network, topic, number), "big")
        if contact is not None and contact.long_id ^ key <= self.size.radius(self.known):
            self.values.put(topic, envelope, self.group_of(contact), now, self.wall(now), number)

    def warm(self, key: bytes) -> tuple[Contact, ...]:
        """The region of `key`, if a get found it lately."""
        return self._warm.get(key, ())

    def sweep(self, now: float) -> None:
        """Drop expired records."""
        self.values.sweep(now, self.wall(now))

    def at(self, moment: float, act: Callable[[float], None]) -> Timer:
        """Call `act(now)` at `moment`, unless the timer is cancelled."""
        return self._timers.at(moment, act)

    def emit(self, event: Event) -> None:
        """Tell the program around."""
        self._events.put(event)

    # What comes in

    def _serve(self, opened: Opened, request: messages.Request, now: float) -> None:
        """Answer, and note who is there."""
        server = self.contact is not None
        answer = self._library.answer(opened, request, self.table, server, now, self.wall(now))
        if answer is not None:
            self._exchange.reply(opened, answer, now)
        if request.r is not None and opened.confirmed and self.membership.open_to_callers:
            caller = contact_at(opened.peer.public, *opened.peer.address, request.r, self.network)
            if caller is not None:
                self._lives(caller, now, found=False)
                self.membership.met(now)

    def _answered(self, opened: Opened, answer: messages.Answer, now: float) -> None:
        """Hand an answer to whoever waits for it."""
        call = self._exchange.match(opened, answer, now)
        if call is None:
            return
        self._lives(call.contact, now, found=call.wants is not messages.Pong or self.membership.was_given(call.contact))
        call.owner.answered(call, answer, now)
        self._hear(call.contact.address, answer, now)

    def _lives(self, contact: Contact, now: float, *, found: bool) -> None:
        """A contact has proved itself; where its bucket is full the one unheard for longest must do so again."""
        if self.table.heard(contact, now, found=found) is Added.SPARE:
            oldest = self.table.oldest(contact)
            if now - oldest.heard > _OLD_SECONDS:
                self.ping(oldest.contact, now)

    def _silent(self, call: Call, now: float) -> None:
        """A request was never answered. It counts against the contact only if others were heard meanwhile."""
        self.counters.timeouts += 1
        if self._exchange.calls.last_answer > call.sent:
            self.table.failed(call.contact)
        call.owner.failed(call, now)

    def _hear(self, source: Address, answer: messages.Answer, now: float) -> None:
        """What an answer says about our address and clock."""
        witness = self._witness
        witness.heard(source, answer.seen, answer.wall - self._wall_offset - now)
        if answer.seen != witness.address and self.membership.joined:
            seen = witness.new_address(entry.contact.address for entry in self.table)
            if seen is not None:
                self._seen_at(address_untrusted(seen), now)
        clock = witness.new_offset()
        if clock is not None:
            self.emit(ClockSeen(*clock))

    def _seen_at(self, address: Address, now: float) -> None:
        self.emit(AddressSeen(address))
        if self._auto:
            self.set_address(address, now)

    def _dial_back_asked(self, opened: Opened, request: messages.DialBack, now: float) -> None:
        address = (opened.peer.address[0], request.port)
        if self.network.admits(*address):
            self.emit(DialBackAsked(opened.peer.public, address, request.nonce, Asked(opened, request.tx)))

    # Lookups

    def _get_done(self, get: Get) -> None:
        """Remember where the regions are: the next get asks them at once."""
        self._running.pop(get.number, None)
        for topic, contacts in get.regions():
            self._warm.pop(topic, None)
            self._warm[topic] = contacts
            if len(self._warm) > _WARM_TOPICS:
                del self._warm[next(iter(self._warm))]

    def _put_done(self, put: Put) -> None:
        self._running.pop(put.number, None)

    def _next_number(self) -> int:
        if len(self._running) >= limits.LOOKUPS:
            raise Unavailable(f"{limits.LOOKUPS} lookups are under way")
        self._number += 1
        return self._number
