"""A whole node fed by a peer that says anything, under sessions that hold and under ones that do not."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import msgspec

from fuzzing.examples import examples
from p2pmarket import codec, messages
from p2pmarket.dht.node import Node
from p2pmarket.dht.session import Peer, PlainSessions, Sessions
from p2pmarket.errors import BadMessage, LimitReached
from p2pmarket.keys import ExchangeKey
from p2pmarket.network import TEST

WALL = 1_800_000_000
PER_KIND = 12
ANSWERS = tuple(
    kind.number for kind in messages.TYPES.values() if issubclass(kind, messages.Answer)
)  # what is compared with them may be anything
STEP_SECONDS = 0.03  # between two inputs, each of two datagrams: below the rate limit of one address
Address = tuple[str, int]
OURS: Address = ("10.0.0.1", 4001)
THEIRS: Address = ("10.0.1.1", 4001)


class Victim:
    """A node and the one peer it knows, who controls every byte of his messages."""

    def __init__(self, rng: Random, sessions: type[Sessions] = PlainSessions) -> None:
        key, liar = ExchangeKey(rng.randbytes(32)), ExchangeKey(rng.randbytes(32))
        self.rng = rng
        self.public = key.public
        self.now = 0.0
        self.node = Node(
            TEST,
            key,
            sessions(key, TEST, rng.randbytes, rng),
            rng=rng,
            secrets=rng.randbytes,
            now=0.0,
            wall=WALL,
            listen_port=OURS[1],
            address=OURS,
        )
        self._liar = sessions(liar, TEST, rng.randbytes, rng)
        self._peer = Peer(OURS, key.public)
        for question in (messages.Ping(1, 0), messages.Ping(2, 0)):  # the second one confirms the session
            self.node.receive_datagram(self._liar.seal(self._peer, messages.encode(question), 0.0), THEIRS, 0.0)
            for datagram, _ in self.node.datagrams_to_send(0.0):
                self._liar.open_untrusted(datagram, THEIRS, 0.0)

    def says(self, data: bytes) -> None:
        """The peer sends `data` as a message; an answer in form gets the number of a question that is open."""
        self.pass_time(STEP_SECONDS)
        for datagram in (self.sealed(self._aimed(data)), data):
            self.node.receive_datagram(datagram, THEIRS, self.now)
        while self.node.next_event() is not None:
            pass

    def pass_time(self, seconds: float) -> None:
        """Let the node do what is due, and sometimes have it ask something."""
        self.now += seconds
        if self.node.next_timeout() <= self.now:
            self.node.handle_timeouts(self.now)
        if self.rng.random() < 0.02:
            start = self.rng.choice((self._look_up, self._get, self._dial_back))
            start(self.rng.randbytes(32))

    def _look_up(self, target: bytes) -> None:
        self.node.start_lookup(target, self.now)

    def _get(self, target: bytes) -> None:
        self.node.start_get([target], 10, self.now)

    def _dial_back(self, target: bytes) -> None:
        self.node.ask_dial_back(target[:16], 4001, self.now)

    def _aimed(self, data: bytes) -> bytes:
        """An answer with the transaction of a question that was asked of the peer, and a get to ask for it."""
        try:
            value = codec.decode_untrusted(data)
        except BadMessage:
            return data
        asked = self.last_question()
        if isinstance(value, list) and len(value) > 1 and value[0] in ANSWERS and asked is not None:
            value[1] = asked
            return codec.encode(value)
        return data

    def last_question(self) -> int | None:
        """The transaction of the last question that the node has sent to the peer since it was asked for before."""
        asked = None
        for datagram, address in self.node.datagrams_to_send(self.now):
            if address == THEIRS:
                opened = self._opened(datagram)
                asked = opened if opened is not None else asked
        return asked

    def _opened(self, datagram: bytes) -> int | None:
        try:
            opened = self._liar.open_untrusted(datagram, OURS, self.now)
        except BadMessage:
            return None
        if opened is None:
            return None
        question = messages.decode_untrusted(opened.message)
        return question.tx if isinstance(question, messages.Request) else None

    def sealed(self, data: bytes) -> bytes:
        """`data` as a message of the peer; as it is if it is too long for one."""
        try:
            return self._liar.seal(self._peer, data, self.now)
        except LimitReached:
            return data


def conversation(rng: Random) -> tuple[Callable[[bytes], None], tuple[bytes, ...]]:
    """What a node is told, and messages to start from."""
    return Victim(rng).says, valid_messages(rng)


def valid_messages(rng: Random) -> tuple[bytes, ...]:
    """Some messages of every type."""
    made = [(kind, one) for kind in messages.TYPES.values() for one in examples(kind, rng, PER_KIND)]
    return tuple(codec.encode([kind.number, *msgspec.to_builtins(one, builtin_types=(bytes,))]) for kind, one in made)
