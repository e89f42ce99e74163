"""The wire messages: one registry of frozen structs, each with a number that is never used again.

On the wire a message is the CBOR array [number, field, field, ...]. Fields may be added at the end: a reader ignores
those it does not know. Any other change takes a new number. A message of an unknown number is ignored and counted.

Numbers 1 to 31 travel in datagrams between DHT nodes, 32 and up over links between peers. Requests of the DHT are even
steps of a pair: request n, answer n + 1. Every request names a transaction and the asker's `r` (None: a client that
nobody may store); every answer repeats the transaction, tells the answerer's clock and the asker's address as seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, ClassVar, Final, TypeVar

import msgspec

from p2pmarket import codec, limits
from p2pmarket.errors import BadMessage, UnknownMessage

Bytes32 = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Nonce = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
Transaction = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]
R = Annotated[int, msgspec.Meta(ge=0, le=7)]  # which of the eight ids of an address
Wall = Annotated[int, msgspec.Meta(ge=0, lt=2**40)]  # UTC seconds
Packed = Annotated[bytes, msgspec.Meta(min_length=6, max_length=18)]  # address and port
Contacts = Annotated[bytes, msgspec.Meta(max_length=limits.FOUND_CONTACTS * 39)]  # packed contacts, one after another
Envelope = Annotated[bytes, msgspec.Meta(min_length=1, max_length=limits.RECORD_BYTES)]
Seed = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]
Count = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]
Status = Annotated[int, msgspec.Meta(ge=0, le=255)]
Depth = Annotated[int, msgspec.Meta(ge=0, le=limits.SHARD_DEPTH)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Code = Annotated[str, msgspec.Meta(max_length=limits.CODE_CHARS)]


class Message(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Base of all wire messages."""

    number: ClassVar[int] = 0


class Request(Message, frozen=True, array_like=True, gc=False):
    """What one DHT node asks of another."""

    tx: Transaction
    r: R | None


class Answer(Message, frozen=True, array_like=True, gc=False):
    """Base of answers: counts only if transaction, key and address match what was asked."""

    tx: Transaction
    wall: Wall
    seen: Packed


FIRST_OF_LINKS: Final = 32
AnyMessage = TypeVar("AnyMessage", bound=Message)
TYPES: Final[dict[int, type[Message]]] = {}


def message(number: int) -> Callable[[type[AnyMessage]], type[AnyMessage]]:
    """Register a message class under `number`."""

    def register(kind: type[AnyMessage]) -> type[AnyMessage]:
        if number in TYPES:
            raise ValueError(f"message number {number} is taken by {TYPES[number].__name__}")
        kind.number = number
        TYPES[number] = kind
        return kind

    return register


# Datagrams


@message(1)
class Ping(Request, frozen=True, array_like=True, gc=False):
    """Are you there?"""


@message(2)
class Pong(Answer, frozen=True, array_like=True, gc=False):
    """Yes."""


@message(3)
class Find(Request, frozen=True, array_like=True, gc=False):
    """Which nodes do you know nearest to `target`?"""

    target: Bytes32


@message(4)
class Found(Answer, frozen=True, array_like=True, gc=False):
    """The nearest contacts, nearest first."""

    contacts: Contacts


@message(5)
class Get(Request, frozen=True, array_like=True, gc=False):
    """What is stored under `topic`, or the key of a shard?

    `seed` says where in its order the holder begins, `skip` how many to leave out; `contacts`: whether the nearest
    nodes are wanted too (at least 8 of them then).
    """

    topic: Bytes32
    seed: Seed
    skip: Count
    contacts: bool


@message(6)
class Got(Answer, frozen=True, array_like=True, gc=False):
    """Some of the `total` records under the topic; `crowd`: about how many publishers came within the hour."""

    records: Annotated[tuple[Envelope, ...], msgspec.Meta(max_length=16)]
    total: Count
    crowd: Count
    contacts: Contacts


@message(7)
class Put(Request, frozen=True, array_like=True, gc=False):
    """Keep this record under `topic`, or in the shard of it at `depth` that belongs to the asker's address."""

    topic: Bytes32
    record: Envelope
    depth: Depth


@message(8)
class PutDone(Answer, frozen=True, array_like=True, gc=False):
    """What became of it: `status` is one of the numbers of docs/protocol.md; `crowd` as in Got."""

    status: Status
    crowd: Count


@message(9)
class DialBack(Request, frozen=True, array_like=True, gc=False):
    """Please dial TCP `port` at the address that you see me at, and show `nonce` there."""

    nonce: Nonce
    port: Port


@message(10)
class DialBackDone(Answer, frozen=True, array_like=True, gc=False):
    """Whether it worked."""

    tcp_ok: bool


@message(11)
class Topics(Request, frozen=True, array_like=True, gc=False):
    """Which topics and shards do you hold nearest to `target`, after the first `skip` of them?"""

    target: Bytes32
    skip: Count


@message(12)
class TopicsHeld(Answer, frozen=True, array_like=True, gc=False):
    """Topics, each with the number of its shard (2 bytes), nearest first, 34 bytes each; `total` are held."""

    topics: Annotated[bytes, msgspec.Meta(max_length=limits.ANSWER_TOPICS * 34)]
    total: Count


# Links


@message(32)
class Document(Message, frozen=True, array_like=True, gc=False):
    """One signed trade document: its kind, whom it is for (32 bytes) and its envelope."""

    kind: Annotated[int, msgspec.Meta(ge=0, le=255)]
    recipient: Bytes32
    envelope: Annotated[bytes, msgspec.Meta(max_length=limits.DOCUMENT_BYTES + limits.KIB)]


@message(33)
class Refused(Message, frozen=True, array_like=True, gc=False):
    """A document (named by the hash of its payload) that could not be taken at all, and why."""

    hash: Bytes32
    code: Code


@message(34)
class Goodbye(Message, frozen=True, array_like=True, gc=False):
    """The last message of a link."""

    code: Code


@message(35)
class Keepalive(Message, frozen=True, array_like=True, gc=False):
    """Nothing but a sign of life."""


@message(36)
class Recall(Message, frozen=True, array_like=True, gc=False):
    """Said by a peer that was restored from a backup: give back what you hold of this link's thread beside `have`,
    hashes of 32 bytes one after another.

    `machine` is new with every restore; `signature` by the peer's key in the thread over `keys.recall_statement`, so
    that the other side can show the recall to whoever else answers under that key.
    """

    machine: Nonce
    issued: Wall
    have: Annotated[bytes, msgspec.Meta(max_length=limits.RECALL_HASHES * 32)]
    signer: Bytes32
    signature: Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]


@message(37)
class Recalled(Message, frozen=True, array_like=True, gc=False):
    """That was all; `documents` were given back."""

    documents: Count


def encode(value: Message) -> bytes:
    """The bytes of a message."""
    if value.number < FIRST_OF_LINKS:
        return codec.encode_own([value.number, *msgspec.structs.astuple(value)])
    return codec.encode([value.number, *msgspec.structs.astuple(value)])


def decode_untrusted(data: bytes) -> Message:
    """The message in `data`. Raises BadMessage, and of its kinds UnknownMessage for a number without a meaning here."""
    value = codec.decode_untrusted(data)
    if not isinstance(value, list) or not value:
        raise BadMessage("a message is an array")
    number = value[0]
    if type(number) is not int:
        raise BadMessage("a message begins with its number")
    kind = TYPES.get(number)
    if kind is None:
        raise UnknownMessage(f"message {number} is not known here")
    return codec.convert_untrusted(value[1:], kind)
