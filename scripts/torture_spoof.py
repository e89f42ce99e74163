"""Spoofed datagrams: whoever writes a false address on his envelope must gain nothing from this node.

    scripts/torture spoof [--seed S] [--json]

A node with a full table and many records, so that its answers are as long as they can be, is sent datagrams from
addresses that never proved themselves; time, chance and addresses are handed in, cryptography is real:

    forms      every type of datagram (one octet) in every size from 0 to 1,500, filled with zeros and with noise
    calls      well-made first contacts with every type of message in every length that fits one
    cut        a well-made first contact, cut or extended to every size
    again      the same first contact ten times
    pressed    4,000 first contacts within one instant, so that cookies are asked for, and the same with their cookies
    sessions   packets of a session that exists, in every size, from an address that is not the session's
    answers    answers and cookies to calls that were never made, in every size

For each datagram: at most one comes back, not longer than it; and in the minute after each part nothing more is sent to
any of the addresses. `worst_ratio` is the most that came back for one octet sent. Exit code 1 if any of this fails.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random

import msgspec
from fuzzing.examples import examples
from local_market import print_figures

from p2pmarket import codec, limits, messages, records
from p2pmarket.dht.contact import Contact
from p2pmarket.dht.node import Node
from p2pmarket.dht.session import FIRST_CONTACT_ROOM, Peer, Sessions
from p2pmarket.dht.topics import topic_key
from p2pmarket.errors import LimitReached
from p2pmarket.keys import ExchangeKey, SigningKey
from p2pmarket.network import TEST

WALL = 1_800_000_000
OURS = ("10.0.0.1", 4001)
LONGEST = 1500
STEP_SECONDS = 0.02
LATER_SECONDS = 60.0
SELLERS, CONTACTS = 100, 400
AGAIN, PRESSED = 10, 4000
VERSION, CALL, ANSWER, PACKET, COOKIE = 1, 1, 2, 3, 4  # of the datagram format
HEAD_BYTES = 6  # version, type, index
Address = tuple[str, int]
Sent = Iterator[tuple[bytes, Address]]


@dataclass(slots=True)
class Outcome:
    """What was sent under false addresses, and what went to them."""

    sent: int = 0
    replies: int = 0
    longer: int = 0  # replies longer than what they answer
    more: int = 0  # datagrams that more than one reply answered
    late: int = 0  # datagrams sent to these addresses later, by themselves
    worst_ratio: float = 0.0
    worst: str = ""
    by_part: dict[str, int] = field(default_factory=dict)  # replies


class Spoofed:
    """The node, and those who write false addresses."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.now = 0.0
        self.outcome = Outcome()
        self.key = ExchangeKey(self.rng.randbytes(32))
        self.topic = topic_key(TEST, "coffee", None, WALL)
        self._used: set[Address] = set()
        self._number = 0
        self.node = Node(
            TEST,
            self.key,
            Sessions(self.key, TEST, self.rng.randbytes, self.rng),
            rng=self.rng,
            secrets=self.rng.randbytes,
            now=0.0,
            wall=WALL,
            listen_port=OURS[1],
            address=OURS,
        )
        self._fill()

    def address(self) -> Address:
        """One that was never seen, each in a subnet of its own."""
        self._number += 1
        return f"10.{1 + self._number // 250 % 250}.{self._number % 250}.{1 + self._number // 62_500}", 4001

    def run(self, name: str, datagrams: Sent) -> None:
        """Send them all, and count what comes back."""
        before = self.outcome.replies
        for datagram, address in datagrams:
            self._one(name, datagram, address)
        self._later()
        self.outcome.by_part[name] = self.outcome.replies - before

    def call(self, message: bytes) -> bytes:
        """A first contact that carries `message`, by a stranger."""
        return self.stranger().seal(self.peer, message, self.now)

    def stranger(self) -> Sessions:
        return Sessions(ExchangeKey(self.rng.randbytes(32)), TEST, self.rng.randbytes, self.rng)

    @property
    def peer(self) -> Peer:
        return Peer(OURS, self.key.public)

    def _fill(self) -> None:
        """Records of many sellers and a full table."""
        for number in range(SELLERS):
            seller = SigningKey(self.rng.randbytes(32))
            announcement = records.Announcement(
                epoch=0,
                seq=number,
                issued=WALL,
                expires=WALL + limits.RECORD_SECONDS,
                category="coffee",
                regions=(records.WORLD,),
                located=None,
                name="n" * 40,
                service_key=seller.public,
                routes=(records.direct_route("10.3.3.3", 4001),),
                versions=(1, 1),
                withdrawn=False,
            )
            self.node.start_put(self.topic, records.make_announcement(seller, TEST, announcement).envelope, 0.0)
        for number in range(CONTACTS):
            host = f"172.16.{number % 250}.{1 + number // 250}" if number % 4 else f"2001:db8:{number:x}::1"
            self.node.table.heard(Contact(self.rng.randbytes(32), host, 4001, 0), 0.0)
        self._drain()

    def _one(self, name: str, datagram: bytes, address: Address) -> None:
        self._used.add(address)
        self.node.receive_datagram(datagram, address, self.now)
        outcome = self.outcome
        outcome.sent += 1
        back = [reply for reply, to in self._drain() if to == address]
        outcome.replies += len(back)
        outcome.more += len(back) > 1
        size = sum(map(len, back))
        outcome.longer += size > len(datagram)
        if back and size / len(datagram) > outcome.worst_ratio:
            outcome.worst_ratio, outcome.worst = size / len(datagram), f"{name}: {size} for {len(datagram)}"

    def _later(self) -> None:
        """Let a minute pass; nobody may hear of it who did not prove himself."""
        end = self.now + LATER_SECONDS
        while (due := self.node.next_timeout()) <= end:
            self.now = max(self.now, due)
            self.node.handle_timeouts(self.now)
            self.outcome.late += sum(to in self._used for _, to in self._drain())
        self.now = end

    def _drain(self) -> list[tuple[bytes, Address]]:
        while self.node.next_event() is not None:
            pass
        return self.node.datagrams_to_send(self.now)


def forms(spoofed: Spoofed) -> Sent:
    """Every type of datagram in every size."""
    noise = spoofed.rng.randbytes(LONGEST)
    for kind in range(256):
        for size in range(LONGEST + 1):
            spoofed.now += STEP_SECONDS
            for filling in (noise, bytes(LONGEST)):
                yield (bytes((VERSION, kind)) + filling)[:size], spoofed.address()
    for version in (0, 2, 0xFE, 0xFF):
        for size in range(LONGEST + 1):
            spoofed.now += STEP_SECONDS
            yield (bytes((version, CALL)) + noise)[:size], spoofed.address()


def calls(spoofed: Spoofed, step: int = 1) -> Sent:
    """Every type of message in every length that fits a first contact: a field more makes it longer.

    With `step` only every so many-th length.
    """
    for kind in messages.TYPES.values():
        if kind.number >= messages.FIRST_OF_LINKS:
            continue
        example = msgspec.to_builtins(examples(kind, spoofed.rng, 1)[0], builtin_types=(bytes,))
        for length in range(0, FIRST_CONTACT_ROOM + 1, step):
            message = codec.encode([kind.number, *_about(kind, example, spoofed), bytes(length)])
            spoofed.now += STEP_SECONDS
            try:
                yield spoofed.call(message), spoofed.address()
            except LimitReached:
                break


def _about(kind: type[messages.Message], example: list[object], spoofed: Spoofed) -> list[object]:
    """A get is for the topic that has records."""
    if kind is messages.Get:
        return [*example[:2], spoofed.topic, 1, 0, spoofed.rng.random() < 0.5]
    return example


def cut(spoofed: Spoofed) -> Sent:
    """A first contact in every size but its own."""
    call = spoofed.call(messages.encode(messages.Find(1, 0, bytes(32))))
    for size in range(LONGEST + 1):
        spoofed.now += STEP_SECONDS
        if size != len(call):
            yield (call + bytes(LONGEST))[:size], spoofed.address()


def again(spoofed: Spoofed) -> Sent:
    """The same first contact many times, from one address and from others."""
    for one_address in (True, False):
        call = spoofed.call(messages.encode(messages.Get(1, 0, spoofed.topic, 1, 0, True)))
        address = spoofed.address()
        for _ in range(AGAIN):
            spoofed.now += STEP_SECONDS
            yield call, address if one_address else spoofed.address()


def pressed(spoofed: Spoofed) -> Sent:
    """So many at once that a cookie is asked for; then with what was guessed for one."""
    call = spoofed.call(messages.encode(messages.Get(1, 0, spoofed.topic, 1, 0, True)))
    for _ in range(PRESSED):
        yield call, spoofed.address()
    for _ in range(PRESSED):
        guess = spoofed.rng.randbytes(16)
        yield call[:HEAD_BYTES] + guess + call[HEAD_BYTES + len(guess) :], spoofed.address()


def sessions(spoofed: Spoofed) -> Sent:
    """Packets of somebody's session in every size, from where he is not."""
    friend, home = spoofed.stranger(), spoofed.address()
    ping = messages.encode(messages.Ping(1, 0))
    for _ in range(2):
        spoofed.node.receive_datagram(friend.seal(spoofed.peer, ping, spoofed.now), home, spoofed.now)
        for datagram, to in spoofed.node.datagrams_to_send(spoofed.now):
            if to == home:
                friend.open_untrusted(datagram, OURS, spoofed.now)
    for size, packet in enumerate([friend.seal(spoofed.peer, ping, spoofed.now) for _ in range(LONGEST + 1)]):
        spoofed.now += STEP_SECONDS
        yield (packet + bytes(LONGEST))[: max(size, len(packet))], spoofed.address()
        yield packet[:size], spoofed.address()


def answers(spoofed: Spoofed) -> Sent:
    """Answers and cookies that nobody asked for, in every size."""
    for kind in (ANSWER, COOKIE):
        for size in range(LONGEST + 1):
            spoofed.now += STEP_SECONDS
            yield (bytes((VERSION, kind)) + spoofed.rng.randbytes(LONGEST))[:size], spoofed.address()


PARTS: tuple[Callable[[Spoofed], Sent], ...] = (forms, calls, cut, again, pressed, sessions, answers)


def spoof(seed: int) -> Outcome:
    """All parts against one node."""
    spoofed = Spoofed(seed)
    for part in PARTS:
        spoofed.run(part.__name__, part(spoofed))
        print(f"{part.__name__:9} {spoofed.outcome.by_part[part.__name__]:6} replies", file=sys.stderr, flush=True)
    return spoofed.outcome


def main() -> int:
    """Print figures."""
    parser = argparse.ArgumentParser(
        prog="scripts/torture spoof", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="one flat JSON object on the last line")
    asked = parser.parse_args()
    outcome = spoof(asked.seed)
    figures: dict[str, object] = {
        "seed": asked.seed,
        "sent": outcome.sent,
        "replies": outcome.replies,
        "longer": outcome.longer,
        "more_than_one": outcome.more,
        "sent_later": outcome.late,
        "worst_ratio": round(outcome.worst_ratio, 3),
        "worst": outcome.worst,
        **{f"{name}_replies": replies for name, replies in outcome.by_part.items()},
    }
    print_figures(figures, asked.json)
    return int(bool(outcome.longer or outcome.more or outcome.late))


if __name__ == "__main__":
    sys.exit(main())
