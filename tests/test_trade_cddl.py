"""The CDDL of docs/ describes what is really written, and refuses what is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cddl_reader import Cddl
from pycddl import Schema  # type: ignore[import-untyped]
from trade_samples import samples
from trade_world import WALL, asked, exchange, key

from p2pmarket import codec, keys, messages, records
from p2pmarket.network import TEST
from p2pmarket.trade import documents
from p2pmarket.trade.documents import KINDS, NAMES, Document, Order, document_untrusted, pack, unpack_untrusted

DOCS = Path(__file__).resolve().parent.parent / "docs"
TEXT = (DOCS / "p2pmarket.cddl").read_text()
CDDL = Cddl(TEXT)
ALL = {f"{NAMES[kind]}-{size}": (kind, document) for kind, size, document in samples()}


def fits(rule: str, data: bytes) -> bool:
    return CDDL.matches(rule, data)


def rule_of(kind: int) -> str:
    return NAMES[kind].replace("_", "-")


@pytest.mark.parametrize("name", ALL)
def test_every_document_is_as_the_cddl_says(name: str) -> None:
    kind, document = ALL[name]
    payload = pack(document)
    assert fits(rule_of(kind), payload)
    assert fits("document", payload)
    assert unpack_untrusted(kind, payload) == document


@pytest.mark.parametrize("name", ALL)
def test_the_cddl_refuses_any_item_changed(name: str) -> None:
    kind, document = ALL[name]
    items = codec.decode_untrusted(pack(document), max_items=16_384)
    assert isinstance(items, list)
    for place in range(len(items)):
        wrong = [*items[:place], [[["x"]]], *items[place + 1 :]]
        assert not fits(rule_of(kind), codec.encode(wrong))
    assert not fits(rule_of(kind), codec.encode(items[:-1]))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_kinds_are_told_apart(kind: int) -> None:
    _, document = ALL[f"{NAMES[kind]}-full"]
    for other in KINDS:
        if other != kind:
            assert not fits(rule_of(other), pack(document))


def test_it_is_cddl() -> None:
    Schema(TEXT)
    with pytest.raises(ValueError, match="parser"):
        Schema(TEXT.replace("order-line = [", "order-line = ]["))


def test_envelope_and_announcement_are_as_the_cddl_says() -> None:
    assert fits("envelope", asked().request.envelope)
    announcement = records.Announcement(
        epoch=0, seq=1, issued=WALL, expires=WALL + 3600, category="coffee/roasted", regions=("KR", "DE"),
        located="KR-11", name="Roastery", service_key=exchange("service"),
        routes=(records.Route(1, bytes([192, 0, 2, 7, 17, 17])),), versions=(1, 1), withdrawn=False,
    )  # fmt: skip
    record = records.make_announcement(key("seller"), TEST, announcement)
    assert fits("envelope", record.envelope)
    assert fits("announcement", codec.pack(announcement))


MESSAGES = {
    "ping": messages.Ping(tx=1, r=None),
    "pong": messages.Pong(tx=1, wall=WALL, seen=b"123456"),
    "find": messages.Find(tx=2**32 - 1, r=7, target=b"t" * 32),
    "found": messages.Found(tx=1, wall=WALL, seen=b"123456", contacts=b""),
    "get": messages.Get(tx=1, r=0, topic=b"t" * 32, seed=5, skip=0, contacts=True),
    "got": messages.Got(tx=1, wall=WALL, seen=b"1" * 18, records=(b"r",), total=3, crowd=7, contacts=b""),
    "put": messages.Put(tx=1, r=0, topic=b"t" * 32, record=b"r", depth=3),
    "put-done": messages.PutDone(tx=1, wall=WALL, seen=b"123456", status=0, crowd=3),
    "dial-back": messages.DialBack(tx=1, r=None, nonce=b"n" * 16, port=4433),
    "dial-back-done": messages.DialBackDone(tx=1, wall=WALL, seen=b"123456", tcp_ok=True),
    "topics": messages.Topics(tx=1, r=2, target=b"k" * 32, skip=0),
    "topics-held": messages.TopicsHeld(tx=1, wall=WALL, seen=b"123456", topics=b"k" * 68, total=2),
    "document-message": messages.Document(kind=4, recipient=b"k" * 32, envelope=b"e"),
    "refused": messages.Refused(hash=b"h" * 32, code="totals"),
    "goodbye": messages.Goodbye(code="busy"),
    "keepalive": messages.Keepalive(),
    "recall": messages.Recall(b"m" * 16, 1_800_000_000, b"h" * 64, b"k" * 32, b"s" * 64),
    "recalled": messages.Recalled(2),
}


@pytest.mark.parametrize("rule", MESSAGES)
def test_messages_are_as_the_cddl_says(rule: str) -> None:
    data = messages.encode(MESSAGES[rule])
    assert fits(rule, data)
    assert fits("message", data)
    others = next(other for other in MESSAGES if other != rule)
    assert not fits(others, data)


def test_no_message_is_left_out() -> None:
    assert {type(message) for message in MESSAGES.values()} == set(messages.TYPES.values())


def test_statements_are_as_the_cddl_says() -> None:
    one, two = key("a").public, key("b").public
    _, order = ALL["order-full"]
    assert isinstance(order, Order)
    assert fits("order-statement", documents.order_statement(TEST, one, two, one))
    assert fits("deal-statement", documents.deal_statement(TEST, order, one, two))
    assert fits("identity-statement", documents.identity_statement(TEST, one, two, one))


# Vectors: fixed bytes that later versions must still read.


def vectors(name: str) -> dict[str, dict[str, object]]:
    data = json.loads((DOCS / "vectors" / name).read_text())
    return {str(vector["name"]): vector for vector in data["vectors"]}


@pytest.mark.parametrize("name", vectors("trade.json"))
def test_vectors_are_read_and_written_to_the_same_bytes(name: str) -> None:
    vector = vectors("trade.json")[name]
    kind, payload = vector["kind"], bytes.fromhex(str(vector["payload"]))
    assert isinstance(kind, int)
    document = unpack_untrusted(kind, payload)
    assert pack(document) == payload
    assert keys.digest(payload).hex() == vector["hash"]
    assert documents.document_id(kind, keys.digest(payload)) == vector["id"]
    assert document == ALL[name][1]


@pytest.mark.parametrize("name", vectors("trade_envelopes.json"))
def test_envelope_vectors_open(name: str) -> None:
    vector = vectors("trade_envelopes.json")[name]
    envelope, recipient = (bytes.fromhex(str(vector[part])) for part in ("envelope", "recipient"))
    kind = vector["kind"]
    assert isinstance(kind, int)
    opened = document_untrusted(kind, envelope, TEST, recipient)
    assert opened.signer.hex() == vector["signer"]
    assert opened.hash.hex() == vector["hash"]
    assert documents.seal_document(opened.document, key(str(vector["key"])), TEST, recipient).envelope == envelope


def test_every_kind_has_vectors() -> None:
    assert set(vectors("trade.json")) == set(ALL)
    assert issubclass(KINDS[1], Document)
