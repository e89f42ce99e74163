"""Documents as bytes: one form, every limit at the limit and one over, and no input that does more than BadMessage."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trade_samples import samples
from trade_world import BUYER, REQUEST_KEY, SELLER, STRANGER, WALL, a_request, a_sheet, arrived, asked, changed, moment

from p2pmarket import codec, keys, limits
from p2pmarket.errors import BadInput, BadMessage, BadSignature, LimitReached
from p2pmarket.network import DEV, TEST
from p2pmarket.trade import kinds
from p2pmarket.trade.documents import (
    KINDS,
    NAMES,
    Decline,
    Note,
    Quote,
    Request,
    deal_id,
    document_untrusted,
    kind_of,
    pack,
    seal_document,
    unpack_untrusted,
)
from p2pmarket.trade.making import make_request
from p2pmarket.trade.money import priced_line
from p2pmarket.trade.values import Code, QuoteLineDetails, RequestLine, Route

PARSED_INPUTS = 100_000


def lines(count: int, text: str = "x", codes: tuple[Code, ...] | None = None) -> tuple[RequestLine, ...]:
    return tuple(RequestLine(no=n + 1, quantity="6", unit="EA", text=text, codes=codes) for n in range(count))


def test_kinds_are_those_of_the_protocol() -> None:
    words = (
        "request acknowledgement decline quote counter withdraw outcome order order_response change cancel despatch "
        "receipt invoice credit payment rating dispute note"
    )
    assert {kind: NAMES[kind] for kind in KINDS} == dict(enumerate(words.split(), 1))
    assert [kind_of(cls) for cls in KINDS.values()] == list(KINDS)


def test_a_number_cannot_be_taken_twice() -> None:
    with pytest.raises(TypeError):

        @kinds.document("again")
        class Again(kinds.Document, tag=1, frozen=True, kw_only=True):
            """A request?"""


def test_all_sellers_see_one_payload_and_one_id() -> None:
    one, two = make_request(a_request(), REQUEST_KEY, TEST, [SELLER.public, STRANGER.public])
    assert one.hash == two.hash
    assert one.id == two.id
    assert one.envelope != two.envelope
    assert arrived(one).document == arrived(two).document
    assert one.id.startswith("r-")
    assert len(one.id) == 28
    assert deal_id(one.hash)[1:] == one.id[1:]


def test_an_envelope_is_for_one_network_kind_and_recipient() -> None:
    opened = asked().request
    assert arrived(opened) == opened
    for kind, network, recipient in ((1, DEV, SELLER.public), (2, TEST, SELLER.public), (1, TEST, BUYER.public)):
        with pytest.raises(BadSignature):
            document_untrusted(kind, opened.envelope, network, recipient)


def test_a_payload_of_another_kind_is_refused() -> None:
    payload = pack(asked().request.document)
    envelope = keys.seal(SELLER, payload, TEST, 4, BUYER.public)
    with pytest.raises(BadMessage):
        document_untrusted(4, envelope, TEST, BUYER.public)
    with pytest.raises(BadMessage):
        unpack_untrusted(99, payload)


def test_fields_of_later_versions_are_ignored_and_stay_signed() -> None:
    value = codec.decode_untrusted(pack(asked().request.document), max_items=limits.DOCUMENT_ITEMS)
    assert isinstance(value, list)
    payload = codec.encode([*value, "new", [1, 2]])
    opened = document_untrusted(1, keys.seal(REQUEST_KEY, payload, TEST, 1, SELLER.public), TEST, SELLER.public)
    assert opened.hash == keys.digest(payload)
    assert isinstance(opened.document, Request)


# Limits


def test_lines_at_the_limit_and_one_over() -> None:
    codes = (Code("buyer", "85123A"),)
    request = a_request(lines=lines(limits.DOCUMENT_LINES, codes=codes))
    (opened,) = make_request(request, REQUEST_KEY, TEST, [SELLER.public])
    assert arrived(opened) == opened
    with pytest.raises(BadInput):
        pack(a_request(lines=lines(limits.DOCUMENT_LINES + 1)))
    with pytest.raises(BadInput):
        pack(a_request(lines=()))


def test_a_quote_of_a_thousand_lines_fits() -> None:
    world = asked(lines=lines(limits.DOCUMENT_LINES))
    code = Code("seller", "85123A")
    many = [
        priced_line(n + 1, request_line=n + 1, quantity="6", unit="EA", text="WHITE HANGING HEART T-LIGHT HOLDER",
                    price="2.55", exponent=2, code=code, tax_rate="20")
        for n in range(limits.DOCUMENT_LINES)
    ]  # fmt: skip
    sheet = msgspec.structs.replace(a_sheet(), lines=tuple(many), charges=(), goods=1, taxes=(), tax=0, total=1)
    quote = Quote(
        nonce=moment().nonce(), issued_at=WALL, request=world.request.hash, version=1, kind="firm",
        valid_until=WALL + 1, sheet=sheet, terms=asked().quoted().quote.document.terms,  # type: ignore[union-attr]
    )  # fmt: skip
    assert unpack_untrusted(4, pack(quote)) == quote
    details = QuoteLineDetails(least="1", days=2)
    detailed = tuple(msgspec.structs.replace(line, details=details) for line in many)
    bigger = msgspec.structs.replace(quote, sheet=msgspec.structs.replace(sheet, lines=detailed))
    with pytest.raises(BadInput):
        pack(bigger)


def test_bytes_at_the_limit_and_one_over() -> None:
    request = a_request(lines=lines(520, "x" * 440), text="x" * 1000)
    texts = (limits.DOCUMENT_BYTES - len(pack(request))) // 520  # what the lines can still take, roughly
    request = a_request(lines=lines(520, "x" * (440 + texts)), text="x" * 1000)
    room = limits.DOCUMENT_BYTES - len(pack(request))

    def sized(spare: int) -> Request:
        return msgspec.structs.replace(request, text="x" * (1000 + spare))

    fits = sized(room)
    assert len(pack(fits)) == limits.DOCUMENT_BYTES
    opened = seal_document(fits, REQUEST_KEY, TEST, SELLER.public)
    assert arrived(opened) == opened
    with pytest.raises(LimitReached):
        pack(sized(room + 1))
    envelope = keys.seal(REQUEST_KEY, bytes(limits.ENVELOPE_BYTES), TEST, 1, SELLER.public)
    with pytest.raises(BadMessage, match="too large"):
        document_untrusted(1, envelope, TEST, SELLER.public)


@pytest.mark.parametrize(
    ("field", "at", "over"),
    [
        ("category", "x" * limits.CATEGORY_CHARS, "x" * (limits.CATEGORY_CHARS + 1)),
        ("subject", "x" * limits.LINE_TEXT_CHARS, "x" * (limits.LINE_TEXT_CHARS + 1)),
        ("text", "x" * limits.TEXT_CHARS, "x" * (limits.TEXT_CHARS + 1)),
        ("text", "x", ""),
        ("quotes_wanted", limits.QUOTES_WANTED, limits.QUOTES_WANTED + 1),
        ("quotes_wanted", 1, 0),
        ("reply_by", limits.LAST_INSTANT, limits.LAST_INSTANT + 1),
        ("nonce", b"n" * 16, b"n" * 15),
        ("reply_key", b"k" * 32, b"k" * 33),
        ("routes", (Route(1, b"1"),) * limits.ROUTES, (Route(1, b"1"),) * (limits.ROUTES + 1)),
        ("currency", "EUR", "eur"),
        ("currency", "EUR", "EUR\n"),
        ("region", "world", "World"),
        ("region", "DE-BY", "DEU"),
        ("language", "de-CH-1996", "de_CH"),
        ("wanted_by", "2026-12-31", "2026-13-01"),
    ],
)
def test_fields_at_the_limit_and_over(field: str, at: object, over: object) -> None:
    request = a_request(**{field: at})
    assert unpack_untrusted(1, pack(request)) == request
    with pytest.raises(BadInput):
        pack(a_request(**{field: over}))


@pytest.mark.parametrize("text", ["0", "1", "999999999999999", "0.000000001", "1.5", "12.345"])
def test_decimals_have_one_form(text: str) -> None:
    pack(a_request(lines=(RequestLine(no=1, quantity=text, unit="EA", text="x"),)))


@pytest.mark.parametrize("text", ["", "01", "1.0", "1.", ".5", "-1", "+1", "1e3", "1,5", "１", "0.0000000001", "1" * 16, "1\n"])  # fmt: skip # noqa: E501
def test_other_forms_of_decimals_are_refused(text: str) -> None:
    with pytest.raises(BadInput):
        pack(a_request(lines=(RequestLine(no=1, quantity=text, unit="EA", text="x"),)))


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "https://", "https://a b", "ftp://x", "https://x\n", " https://x"]
)
def test_urls_are_http(url: str) -> None:
    quote = asked().quoted().quote
    assert quote
    with pytest.raises(BadInput):
        changed(quote, SELLER, url=url)
    assert changed(quote, SELLER, url="https://x")


def test_text_that_is_no_text_is_refused() -> None:
    with pytest.raises(BadInput):
        pack(a_request(text="lone \ud800 surrogate"))


# Whatever the bytes are


@given(st.binary(max_size=200), st.sampled_from(sorted(KINDS)))
def test_any_bytes_are_a_document_or_a_bad_message(data: bytes, kind: int) -> None:
    with pytest.raises(BadMessage):
        unpack_untrusted(kind, data)
    with pytest.raises(BadMessage):
        document_untrusted(kind, data, TEST, SELLER.public)


@given(st.sampled_from(["커피", "e\u0301", "‮x", "\x00", "\x1b[2J"]), st.text(min_size=1, max_size=50))
@settings(max_examples=50)
def test_any_text_comes_back_as_it_was(prefix: str, text: str) -> None:
    decline = Decline(nonce=b"n" * 16, issued_at=WALL, request=b"r" * 32, reason="other", text=prefix + text)
    assert unpack_untrusted(3, pack(decline)) == decline


def test_mutated_payloads_are_documents_or_bad_messages() -> None:
    """Seeded mutations of every kind: what is accepted encodes to the very bytes that came."""
    chance = random.Random(1)
    payloads = [(kind, pack(document)) for kind, _, document in samples()]
    accepted = 0
    for n in range(PARSED_INPUTS):
        kind, payload = payloads[n % len(payloads)]
        data = mutated(payload, chance)
        try:
            document = unpack_untrusted(kind, data)
        except BadMessage:
            continue
        accepted += 1
        assert codec.encode(codec.decode_untrusted(data, max_items=limits.DOCUMENT_ITEMS)) == data
        assert kind_of(document) == kind
    assert 0 < accepted < PARSED_INPUTS


def mutated(data: bytes, chance: random.Random) -> bytes:
    changed_bytes = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        place = chance.randrange(len(changed_bytes))
        match chance.randrange(4):
            case 0:
                changed_bytes[place] = chance.randrange(256)
            case 1:
                changed_bytes[place] ^= 1 << chance.randrange(8)
            case 2:
                del changed_bytes[place : place + chance.randrange(1, 9)]
            case _:
                changed_bytes[place:place] = chance.randbytes(chance.randrange(1, 5))
        if not changed_bytes:
            break
    return bytes(changed_bytes)


def test_mutated_envelopes_never_open() -> None:
    chance = random.Random(2)
    note = Note(nonce=b"n" * 16, issued_at=WALL, about=b"a" * 32, text="hello")
    envelope = seal_document(note, SELLER, TEST, BUYER.public).envelope
    for _ in range(5000):
        data = mutated(envelope, chance)
        if data != envelope:
            with pytest.raises(BadMessage):
                document_untrusted(19, data, TEST, BUYER.public)
