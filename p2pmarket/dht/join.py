"""Getting into the network, and staying there.

A node that knows nobody tries the contacts it was given: five times with growing pauses, then for ever with long ones.
The first lookup of its own place that finds somebody makes it a member: it greets the nearest nodes (the greeting
confirms its sessions with them, so that they know it too), takes over the records that they hold of its region, and
looks up its own place once more after twenty seconds, when those who came at the same time are known. Then it fills
its buckets by one small lookup each, one after another.

Somebody may have called us before we asked anybody, in order to fill our table. So for some minutes the contacts given
take part in every lookup of ours, on paths of their own, and of many given those of distinct networks come first.

Later, at each tick: contacts that were not heard of for a quarter of an hour are pinged, few at a time; the own place
is looked up every quarter of an hour, each bucket that saw no lookup for an hour once; what expired is dropped. With
the own place one of the contacts given at the start is tried that is in the table no more: two halves of a network
that was cut for so long that they forgot each other grow together again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import zip_longest
from typing import TYPE_CHECKING, Final, Protocol

from p2pmarket import limits, messages
from p2pmarket.dht.calls import Call
from p2pmarket.dht.contact import Contact
from p2pmarket.dht.events import Joined
from p2pmarket.dht.fetch import Fetch
from p2pmarket.dht.search import Host, Search
from p2pmarket.dht.table import Bucket, Table
from p2pmarket.dht.witness import voice
from p2pmarket.network import Network

if TYPE_CHECKING:
    from random import Random

    from p2pmarket.dht.values import Values

TICK_SECONDS: Final = 30.0
UNHEARD_SECONDS: Final = 900.0
PINGS_A_TICK: Final = 8
OWN_PLACE_SECONDS: Final = 900.0
BUCKET_SECONDS: Final = 3600.0
SECOND_LOOK_SECONDS: Final = 20.0
QUICK_TRIES: Final = 5
QUICK_PAUSE_SECONDS: Final = 1.0  # doubled after each try
SLOW_PAUSE_SECONDS: Final = 60.0
SEEDS_KEPT: Final = 64
SEEDS_PINGED: Final = 16
YOUNG_SECONDS: Final = 300.0  # during which the contacts given take part in every lookup of ours
FILL_CONTACTS: Final = 8  # that a lookup for a bucket goes on for; the rest comes with use


class Home(Host, Protocol):
    """What joining needs of its node, besides what a search needs."""

    table: Table
    rng: Random
    values: Values

    def ping(self, contact: Contact, now: float) -> None: ...
    def search(
        self,
        target: bytes,
        now: float,
        on_done: Callable[[Search, float], None],
        more: Iterable[Contact] = (),
        size: int = limits.BUCKET_CONTACTS,
    ) -> Search: ...
    def sweep(self, now: float) -> None: ...


class Membership:
    """Keeps one node in the network."""

    def __init__(self, home: Home, now: float) -> None:
        self.joined = False
        self._home = home
        self._seeds: dict[bytes, Contact] = {}
        self._greeted: dict[bytes, float] = {}  # when, by packed contact
        self._fetched_at: bytes | None = None  # our id when we took over records
        self._tries = 0
        self._trying = False
        self._filling = False
        self._young_until = now + YOUNG_SECONDS
        self._own_place_at = now
        home.at(now + TICK_SECONDS * home.rng.uniform(0.5, 1.0), self._tick)

    @property
    def open_to_callers(self) -> bool:
        """Whether those who call us may enter the table: not before our own lookup had its chance to fill it."""
        return self.joined or not self._seeds

    def bootstrap(self, contacts: Iterable[Contact], now: float) -> None:
        """Try these contacts, best first; what was given before is tried too.

        Whoever called us before this may have come to fill the table: the contacts given are then pinged as well, for
        a lookup of our own place would ask none but those callers if they stand nearer to it.
        """
        admitted = [contact for contact in contacts if self._home.network.admits(*contact.address)]
        for contact in spread_out(admitted, self._home.network):
            if len(self._seeds) < SEEDS_KEPT:
                self._seeds.setdefault(contact.packed, contact)
        self._tries = 0
        self._young_until = now + YOUNG_SECONDS
        if self._home.known:
            for contact in list(self._seeds.values())[:SEEDS_PINGED]:
                self._home.ping(contact, now)
        self._try(now)

    def was_given(self, contact: Contact) -> bool:
        """Whether this is one of the contacts given at the start."""
        return contact.packed in self._seeds

    def met(self, now: float) -> None:
        """Somebody has come to us: a first node joins by those who call it."""
        if not self.joined and not self._seeds:
            self._try(now)

    def moved(self, now: float) -> None:
        """Our own id has changed: find its place, and be known there."""
        self._greeted.clear()
        if self.joined or self._seeds:
            self._try(now)

    def _try(self, now: float) -> None:
        """Look up our own place."""
        if self._trying:
            return
        self._trying = True
        self._own_place_at = now
        self._home.search(self._own_id(), now, self._tried, self._start(now))

    def _start(self, now: float) -> tuple[Contact, ...]:
        """Contacts to begin with besides the table's, while those in it may all have come to us of their own accord."""
        young = not self.joined or now < self._young_until
        return tuple(self._seeds.values()) if young else ()

    def _tried(self, search: Search, now: float) -> None:
        self._trying = False
        found = search.lookup.nearest()
        if not found:
            if self._seeds:
                self._home.at(now + self._pause(), self._again)
            return
        self._tries = 0
        self._greet(found, now)
        self._fetch(found, now)
        if self.joined:
            self._fill(now)
            return
        self.joined = True
        self._home.emit(Joined(len(found)))
        self._home.at(now + SECOND_LOOK_SECONDS * self._home.rng.uniform(0.9, 1.1), self._try)

    def _greet(self, neighbours: Iterable[Contact], now: float) -> None:
        """Let the nodes nearest to us know us, again each quarter of an hour: they may have missed us meanwhile."""
        if self._home.contact is None:
            return
        for contact in neighbours:
            if now - self._greeted.get(contact.packed, float("-inf")) > OWN_PLACE_SECONDS / 2:
                self._greeted[contact.packed] = now
                self._home.ping(contact, now)
        self._greeted = {name: at for name, at in self._greeted.items() if now - at <= OWN_PLACE_SECONDS / 2}

    def _fetch(self, neighbours: list[Contact], now: float) -> None:
        """Take over the records of our region, once at each place that we stand at."""
        contact = self._home.contact
        if contact is not None and contact.id != self._fetched_at:
            self._fetched_at = contact.id
            Fetch(self._home, contact.id, neighbours).start(now)

    def _again(self, now: float) -> None:
        """Another try, if there is still nobody."""
        if not self._home.known:
            self._try(now)

    def _pause(self) -> float:
        self._tries += 1
        pause = QUICK_PAUSE_SECONDS * 2 ** (self._tries - 1) if self._tries < QUICK_TRIES else SLOW_PAUSE_SECONDS
        return pause * self._home.rng.uniform(0.5, 1.0)

    def _fill(self, now: float) -> None:
        """Look up something in one bucket that needs it; the next one follows when that is done."""
        stale = None if self._filling else self._stale_bucket(now)
        if stale is None:
            return
        self._filling = True
        low, high = stale.range
        target = low + self._home.rng.randrange(high - low)
        self._home.search(target.to_bytes(32, "big"), now, self._filled, self._start(now), size=FILL_CONTACTS)

    def _filled(self, search: Search, now: float) -> None:
        self._filling = False
        self._fill(now)

    def _stale_bucket(self, now: float) -> Bucket | None:
        """A bucket without a lookup for long.

        The last one is our own place, which is looked up anyway; but if it is full, those in it may stand so near to
        us that such a lookup meets nobody else in its range, so a point elsewhere in it is looked up too.
        """
        *others, last = self._home.table.buckets
        for bucket in others:
            if bucket.last_updated == float("-inf") and len(bucket) - bucket.callers() >= FILL_CONTACTS:
                bucket.touch_last_updated(now)
            elif now - bucket.last_updated > BUCKET_SECONDS:
                return bucket
        full = len(last) >= limits.BUCKET_CONTACTS
        return last if full and now - last.last_updated > BUCKET_SECONDS else None

    def _tick(self, now: float) -> None:
        home = self._home
        home.at(now + TICK_SECONDS * home.rng.uniform(0.9, 1.1), self._tick)
        home.sweep(now)
        for entry in home.table.unheard_since(now - UNHEARD_SECONDS)[:PINGS_A_TICK]:
            home.ping(entry.contact, now)
        if now - self._own_place_at > OWN_PLACE_SECONDS and (home.known or self._seeds):
            self._feel(now)
            self._try(now)
        elif self.joined:
            self._fill(now)

    def _feel(self, now: float) -> None:
        """Try one of those given at the start whom we lost: behind him may be the other half of a cut network."""
        lost = [contact for contact in self._seeds.values() if self._home.table.get(contact) is None]
        if lost:
            self._home.ping(self._home.rng.choice(lost), now)

    def _own_id(self) -> bytes:
        return self._home.table.own_id.to_bytes(32, "big")


def spread_out(contacts: Iterable[Contact], network: Network) -> list[Contact]:
    """The same, one of each /16 (/32 of IPv6) first, then the second of each, and so on: few can be one attacker's."""
    by_voice: dict[bytes, list[Contact]] = {}
    for contact in contacts:
        by_voice.setdefault(voice(network, contact.address), []).append(contact)
    return [contact for some in zip_longest(*by_voice.values()) for contact in some if contact is not None]


class Greeting:
    """Waits for the answer to a ping; the node itself notes that the contact lives or does not."""

    def answered(self, call: Call, answer: messages.Answer, now: float) -> None:
        """It lives."""

    def slow(self, call: Call, now: float) -> None:
        """Patience."""

    def failed(self, call: Call, now: float) -> None:
        """It does not answer."""
