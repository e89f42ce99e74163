"""The table of everything that reads bytes from outside.

A parser is added by a function that builds it from a generator: what it may raise, valid inputs to mutate, and, where
that can be said, what an accepted input must re-encode to. Parsers with state are built anew every few thousand inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from fuzzing.deals import Deal
from fuzzing.examples import examples, packed
from fuzzing.node import conversation
from p2pmarket import codec, keys, messages, records
from p2pmarket.dht import contact
from p2pmarket.dht.session import Peer, Sessions
from p2pmarket.errors import BadInput, BadMessage, MarketError, PeerError
from p2pmarket.keys import ExchangeKey, SigningKey
from p2pmarket.limits import RECORD_SECONDS
from p2pmarket.link import Link
from p2pmarket.network import TEST
from p2pmarket.noise import Initiator, Responder
from p2pmarket.pricelist.prices import read_price_list
from p2pmarket.pricelist.wanted import read_quote_lines, read_request_lines
from p2pmarket.trade import documents
from p2pmarket.trade.evidence import deal_untrusted, equivocation_untrusted, verify_bundle
from p2pmarket.trade.kinds import KINDS
from p2pmarket.trade.ratings import rating_untrusted

WALL = 1_800_000_000
ADDRESS = ("10.9.8.7", 4001)
PER_KIND = 6


@dataclass(frozen=True, slots=True)
class Parser:
    """`parse` returns None for what it ignores, and raises only `refuses` (nothing, if that is empty).

    `again`: the bytes that an accepted input must be equal to. `signed`: nothing but `valid` may be accepted.
    """

    parse: Callable[[bytes], object]
    valid: tuple[bytes, ...]
    refuses: tuple[type[MarketError], ...] = (BadMessage,)
    again: Callable[[object], bytes] | None = None
    signed: bool = False


Build = Callable[[Random], Parser]
WIRE: dict[str, Build] = {}  # what strangers' bytes reach over the network
FILES: dict[str, Build] = {}  # what people hand in, which may come from strangers too


def wire(build: Build) -> Build:
    """Add a parser of wire bytes, named by its function."""
    WIRE[build.__name__] = build
    return build


def file(build: Build) -> Build:
    """Add a parser of files."""
    FILES[build.__name__] = build
    return build


def _announcement(rng: Random) -> records.Announcement:
    return records.Announcement(
        epoch=rng.randrange(3),
        seq=rng.randrange(10**6),
        issued=WALL - rng.randrange(600),
        expires=WALL + RECORD_SECONDS - 600,
        category=rng.choice(("cpv:15861000", "coffee/roasted", "커피/원두")),
        regions=rng.choice((("world",), ("KR", "JP-13"))),
        located=rng.choice((None, "KR-11")),
        name="김 커피",
        service_key=rng.randbytes(32),
        routes=(records.direct_route("10.1.2.3", 4001), records.Route(7, rng.randbytes(9))),
        versions=(1, 2),
        withdrawn=rng.random() < 0.2,
    )


@wire
def cbor(rng: Random) -> Parser:
    """The strict scanner and decoder."""
    structs = [one for kind in KINDS.values() for one in examples(kind, rng, 1)]
    valid = [codec.encode(value) for value in packed(structs)]
    valid += [
        codec.encode([0, -1, 2**64 - 1, -(2**63), None, True, b"", "가", [[[[[]]]]]]),
        b"\xa2\x01\x00\x04\x41\xff",
    ]
    return Parser(codec.decode_untrusted, tuple(valid), again=codec.encode)


@wire
def envelope(rng: Random) -> Parser:
    """COSE_Sign1."""
    valid = [keys.seal(SigningKey(rng.randbytes(32)), rng.randbytes(rng.randrange(80)), TEST, 1) for _ in range(20)]
    return Parser(lambda data: keys.open_untrusted(data, TEST, 1), tuple(valid), signed=True)


@wire
def record(rng: Random) -> Parser:
    """A signed announcement."""
    made = [records.make_announcement(SigningKey(rng.randbytes(32)), TEST, _announcement(rng)) for _ in range(20)]
    valid = tuple(one.envelope for one in made)
    return Parser(lambda data: records.record_untrusted(data, TEST, WALL), valid, signed=True)


@wire
def announcement(rng: Random) -> Parser:
    """What a dishonest publisher may sign."""
    valid = tuple(codec.pack(_announcement(rng)) for _ in range(20))
    return Parser(lambda data: records.announcement_untrusted(data, TEST, WALL), valid)


@wire
def message(rng: Random) -> Parser:
    """Messages of datagrams and links."""
    valid = [messages.encode(one) for kind in messages.TYPES.values() for one in _messages(kind, rng)]
    return Parser(messages.decode_untrusted, tuple(valid))


def _messages(kind: type[messages.Message], rng: Random) -> list[messages.Message]:
    return [one for one in examples(kind, rng, PER_KIND) if isinstance(one, messages.Message)]


@wire
def contacts(rng: Random) -> Parser:
    """Packed contacts out of an answer."""
    hosts = ("10.0.0.1", "93.184.216.34", "2001:db8::1", "::ffff:10.0.0.1")
    one = [contact.Contact(rng.randbytes(32), rng.choice(hosts), rng.randrange(1024, 65536), 3) for _ in range(60)]
    valid = tuple(b"".join(each.packed for each in rng.sample(one, rng.randrange(1, 21))) for _ in range(20))
    return Parser(lambda data: contact.contacts_untrusted(contact.pieces_untrusted(data), TEST), valid)


@wire
def seen_address(rng: Random) -> Parser:
    """Our own address, as an answer tells it."""
    valid = (contact.pack_address(ADDRESS), contact.pack_address(("2001:db8::1", 4001)))
    return Parser(contact.address_untrusted, valid, again=_address_bytes)


def _address_bytes(address: object) -> bytes:
    assert isinstance(address, tuple)
    return contact.pack_address(address)


@wire
def datagram(rng: Random) -> Parser:
    """The sessions of a node: calls of strangers, answers to its own calls, packets of a session."""
    target, clock = _sessions(rng), iter(range(10**9))
    victim, valid = target[0], target[1]
    return Parser(lambda data: victim.open_untrusted(data, ADDRESS, next(clock) / 500), tuple(valid))


def _sessions(rng: Random) -> tuple[Sessions, list[bytes]]:
    """A node's sessions, and datagrams that it will open when they come from ADDRESS soon."""
    ours, theirs = ExchangeKey(rng.randbytes(32)), ExchangeKey(rng.randbytes(32))
    victim, friend = Sessions(ours, TEST, rng.randbytes, rng), Sessions(theirs, TEST, rng.randbytes, rng)
    to_victim, to_friend = Peer(ADDRESS, ours.public), Peer(ADDRESS, theirs.public)
    opened = victim.open_untrusted(friend.seal(to_victim, b"hello", 0.0), ADDRESS, 0.0)
    assert opened is not None
    friend.open_untrusted(victim.seal_reply(opened, b"welcome", 0.0), ADDRESS, 0.0)
    valid = [friend.seal(to_victim, rng.randbytes(40), 0.0) for _ in range(60)]
    for _ in range(10):
        stranger = Sessions(ExchangeKey(rng.randbytes(32)), TEST, rng.randbytes, rng)
        valid.append(stranger.seal(to_victim, rng.randbytes(40), 0.0))
    question = friend.open_untrusted(victim.seal(to_friend, b"question", 0.0), ADDRESS, 0.0)
    assert question is not None
    valid.append(friend.seal_reply(question, b"answer", 0.0))
    return victim, valid


@wire
def noise_1(rng: Random) -> Parser:
    """The first message of a handshake."""
    ours = ExchangeKey(rng.randbytes(32))
    calls = [Initiator(b"fuzz", ExchangeKey(rng.randbytes(32)), ours.public, rng.randbytes) for _ in range(10)]
    valid = tuple(call.write_message(rng.randbytes(rng.randrange(60))) for call in calls)
    return Parser(lambda data: Responder(b"fuzz", ours, rng.randbytes).read_message(data), valid, signed=True)


@wire
def noise_2(rng: Random) -> Parser:
    """The second message of a handshake, at the caller."""
    ours, theirs = ExchangeKey(rng.randbytes(32)), ExchangeKey(rng.randbytes(32))
    call = Initiator(b"fuzz", ours, theirs.public, rng.randbytes)
    first = call.write_message(b"")

    def answer() -> bytes:
        responder = Responder(b"fuzz", theirs, rng.randbytes)
        responder.read_message(first)
        return responder.write_message(rng.randbytes(20))

    def parse(data: bytes) -> object:
        if data in valid:
            return None  # it would end the handshake, and with it the test
        return call.read_message(data)

    valid = tuple(answer() for _ in range(5))
    return Parser(parse, valid, signed=True)


@wire
def link_answerer(rng: Random) -> Parser:
    """A stream from its first byte, at the side that is called."""
    ours = ExchangeKey(rng.randbytes(32))
    valid = [b"\x02", b"\x00\x01\x01\x07"]
    for _ in range(8):
        early = [rng.randbytes(20)] * rng.randrange(3)
        valid.append(
            Link.initiate(ExchangeKey(rng.randbytes(32)), ours.public, TEST, rng.randbytes, early).data_to_send()
        )

    def parse(data: bytes) -> object:
        link = Link.respond(lambda hint: ours, TEST, rng.randbytes)
        link.receive_bytes(data)
        return link.next_event()

    return Parser(parse, tuple(valid), refuses=(PeerError,))


@wire
def link_frames(rng: Random) -> Parser:
    """Frames within an established link; a bad one ends the link, so a new one stands ready behind it."""
    ours, theirs = ExchangeKey(rng.randbytes(32)), ExchangeKey(rng.randbytes(32))
    link, valid = _established(ours, theirs, rng)

    def parse(data: bytes) -> object:
        nonlocal link
        if link.closed:
            link, _ = _established(ours, theirs, rng)
        link.receive_bytes(data)
        return link.next_event()

    return Parser(parse, valid, refuses=(PeerError,))


def _established(ours: ExchangeKey, theirs: ExchangeKey, rng: Random) -> tuple[Link, tuple[bytes, ...]]:
    """An answerer with a finished handshake, and the frames that its caller sent since."""
    caller = Link.initiate(theirs, ours.public, TEST, rng.randbytes)
    link = Link.respond(lambda hint: ours, TEST, rng.randbytes)
    link.receive_bytes(caller.data_to_send())
    caller.receive_bytes(link.data_to_send())
    caller.send(b"x" * 50)
    return link, (caller.data_to_send(),)


@wire
def document(rng: Random) -> Parser:
    """The payload of every kind of trade document, behind one byte that says which."""
    made = [(kind, one) for kind, cls in KINDS.items() for one in examples(cls, rng, PER_KIND)]
    valid = tuple(
        bytes((kind,)) + codec.encode(value)
        for (kind, _), value in zip(made, packed([m for _, m in made]), strict=True)
    )
    return Parser(lambda data: documents.unpack_untrusted(data[0] if data else 0, data[1:]), valid)


@wire
def document_envelope(rng: Random) -> Parser:
    """A signed trade document for us."""
    recipient = SigningKey(rng.randbytes(32)).public
    payloads = [codec.encode(value) for value in packed(examples(documents.Quote, rng, 20))]
    valid = tuple(
        keys.seal(SigningKey(rng.randbytes(32)), payload, TEST, documents.QUOTE, recipient) for payload in payloads
    )
    return Parser(lambda data: documents.document_untrusted(documents.QUOTE, data, TEST, recipient), valid, signed=True)


@wire
def rating(rng: Random) -> Parser:
    """A rating as anybody finds it in the DHT."""
    valid = tuple(Deal(rng, WALL).rating() for _ in range(12))
    return Parser(lambda data: rating_untrusted(data, TEST, WALL), valid, signed=True)


@wire
def node(rng: Random) -> Parser:
    """A whole node: nothing that it is sent may raise."""
    says, valid = conversation(rng)
    return Parser(says, valid, refuses=())


@wire
def contact_text(rng: Random) -> Parser:
    """A contact as people and files write it."""
    one = [contact.Contact(rng.randbytes(32), host, 4001, 2).text() for host in ("10.0.0.1", "2001:db8::1")]
    valid = tuple(text.encode() for text in one)
    return Parser(lambda data: contact.parse_contact(data.decode("utf-8", "replace")), valid, refuses=(BadInput,))


PRICES = (
    "code,description,unit,price,per,currency,stock,min_qty,category,lead_days,tax_rate,url\n"
    "85123A,WHITE HANGING HEART,pcs,2.55,1,GBP,100,6,cpv:39000000,3,20,https://a.example/1\n"
    "71053,큰 상자,박스,1 234.50,10,KRW,,,,,,\n",
    "code;description;price\r\n1;Stuhl;12,50 €\r\n2;Tisch;1.234,50 €\r\n",
    'code,description,"Price (£)"\n"8.51E+04","a ""quoted"" name",£0.00\n',
)
WANTED = ("quantity,unit,description\n40,pcs,chairs\n2.5,kg,Yirgacheffe\n", "code,quantity\n85123A,6\n")
QUOTED = ("line,price,quantity,text\n1,12.50 EUR,40,oak\n2,3.99,,\n",)


def _encodings(texts: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(
        text.encode(name, "replace") for text in texts for name in ("utf-8", "utf-8-sig", "utf-16", "cp1252", "cp949")
    )


@file
def price_list(rng: Random) -> Parser:
    """A price list in any of the encodings that spreadsheets write."""
    mapping = {"price": "Price (£)"}
    return Parser(
        lambda data: read_price_list(data, mapping if rng.random() < 0.1 else None, "EUR"),
        _encodings(PRICES),
        refuses=(BadInput,),
    )


@file
def request_lines(rng: Random) -> Parser:
    """The lines of a request."""
    return Parser(lambda data: read_request_lines(data, {}), _encodings(WANTED), refuses=(BadInput,))


@file
def quote_lines(rng: Random) -> Parser:
    """The lines of a quote."""
    return Parser(lambda data: read_quote_lines(data, {}, "EUR"), _encodings(QUOTED), refuses=(BadInput,))


@file
def evidence(rng: Random) -> Parser:
    """The file of a deal, from whoever hands it in."""
    valid = tuple(Deal(rng, WALL).file() for _ in range(4))
    return Parser(lambda data: deal_untrusted(data, TEST), valid, refuses=(BadInput,), signed=True)


@file
def contradiction(rng: Random) -> Parser:
    """A proof that somebody signed two things in one place."""
    valid = tuple(Deal(rng, WALL).contradiction() for _ in range(4))
    return Parser(lambda data: equivocation_untrusted(data, TEST), valid, refuses=(BadInput,), signed=True)


@file
def verdict(rng: Random) -> Parser:
    """What `market verify` says of any file: it never raises."""
    deal = Deal(rng, WALL)
    valid = (deal.file(), deal.contradiction())
    return Parser(lambda data: verify_bundle(data) if verify_bundle(data).ok else None, valid, refuses=(), signed=True)


PARSERS = {**WIRE, **FILES}
