"""A small world for tests of the trade: two parties, a request with three lines, and every document of a deal."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import msgspec

from p2pmarket import keys
from p2pmarket.network import TEST
from p2pmarket.records import Route
from p2pmarket.trade.documents import Document, Opened, Request, document_untrusted, seal_document
from p2pmarket.trade.making import (
    Moment,
    introduced,
    make_order,
    make_order_response,
    make_quote,
    make_request,
)
from p2pmarket.trade.money import make_sheet, priced_line
from p2pmarket.trade.thread import Thread
from p2pmarket.trade.values import (
    Charge,
    Code,
    Delivery,
    OrderLine,
    Party,
    PaymentTerms,
    RequestLine,
    Sheet,
    Terms,
)

DAY = 86_400
WALL = 1_780_000_000
ROUTES = (Route(1, bytes([192, 0, 2, 7, 17, 17])),)


def key(name: str) -> keys.SigningKey:
    return keys.SigningKey(hashlib.sha256(name.encode()).digest())


def exchange(name: str) -> bytes:
    return keys.ExchangeKey(hashlib.sha256(name.encode()).digest()).public


BUYER, SELLER, REQUEST_KEY, STRANGER = key("buyer"), key("seller"), key("request"), key("stranger")

_numbers = count()


def moment(wall: int = WALL) -> Moment:
    """A moment whose random bytes never repeat in a run."""
    return Moment(wall, lambda n: hashlib.sha512(str(next(_numbers)).encode()).digest()[:n])


def a_request(**changes: object) -> Request:
    request = Request(
        nonce=moment().nonce(),
        issued_at=WALL,
        reply_key=exchange("reply"),
        routes=ROUTES,
        category="coffee/roasted",
        subject="beans for the office",
        lines=(
            RequestLine(no=1, quantity="20", unit="KGM", text="Yirgacheffe", codes=(Code("buyer", "Y-1"),)),
            RequestLine(no=2, quantity="40", unit="EA", text="cups"),
            RequestLine(no=3, quantity="1.5", unit="KGM", text="sugar"),
        ),
        region="KR-11",
        currency="EUR",
        quotes_wanted=5,
        reply_by=WALL + DAY,
    )
    return msgspec.structs.replace(request, **changes)


def a_sheet() -> Sheet:
    lines = [
        priced_line(1, request_line=1, quantity="20", unit="KGM", text="Yirgacheffe", price="12.345", exponent=2,
                    code=Code("seller", "A7"), tax_rate="7"),
        priced_line(2, request_line=2, quantity="40", unit="EA", text="cups", price="99.99", per="100", exponent=2,
                    tax_rate="19"),
    ]  # fmt: skip
    charges = [
        Charge(kind="delivery", amount=990, tax_rate="19"),
        Charge(kind="discount", amount=-100, tax_rate="7", line=1, scaled=True),
    ]
    return make_sheet("EUR", 2, lines, charges)


def some_terms(*, divisible: bool = True) -> Terms:
    return Terms(
        divisible=divisible,
        delivery=Delivery(days=3, incoterm="DAP", place="Seoul", ships_from="DE"),
        payment=PaymentTerms(stage="after_delivery", days=14, methods=("payto://iban/DE75512108001245126199",)),
    )


@dataclass(frozen=True)
class World:
    """A thread with the documents of a deal, in their order."""

    thread: Thread
    request: Opened
    quote: Opened | None = None
    order: Opened | None = None
    response: Opened | None = None

    def quoted(self, **changes: object) -> World:
        options = {"sheet": a_sheet(), "terms": some_terms(), "valid_until": WALL + 3 * DAY, "name": "Roastery"}
        quote = make_quote(self.thread, SELLER, moment(WALL + 60), **{**options, **changes})  # type: ignore[arg-type]
        return replace(self, thread=self.thread.adding(quote), quote=quote)

    def ordered(self, lines: tuple[OrderLine, ...] | None = None, **changes: object) -> World:
        assert self.quote is not None
        options = {
            "quote": self.quote.hash,
            "answer_by": WALL + 2 * DAY,
            "reply_key": exchange("reply"),
            "routes": ROUTES,
            "deliver_to": Party(name="Kim Min-su", address=("Jongno 1", "Seoul"), region="KR-11"),
            "reference": "PO-17",
        }
        order = make_order(self.thread, BUYER, REQUEST_KEY, moment(WALL + 120), lines=lines, **{**options, **changes})  # type: ignore[arg-type]
        return replace(self, thread=self.thread.adding(order), order=order)

    def answered(self, code: str = "AP", wall: int = WALL + 180, **changes: object) -> World:
        assert self.order is not None
        response = make_order_response(self.thread, SELLER, moment(wall), self.order.hash, code, **changes)  # type: ignore[arg-type]
        return replace(self, thread=self.thread.adding(response), response=response)


def asked(*, known: bool = False, **changes: object) -> World:
    """A request that the seller has."""
    request = a_request(**changes)
    if known:
        request = introduced(request, TEST, REQUEST_KEY.public, BUYER)
    (opened,) = make_request(request, REQUEST_KEY, TEST, [SELLER.public])
    return World(Thread.of(TEST, SELLER.public, opened), opened)


def arrived(opened: Opened) -> Opened:
    """The document as its recipient reads it."""
    return document_untrusted(opened.kind, opened.envelope, TEST, opened.recipient)


def changed(opened: Opened, signer: keys.SigningKey, recipient: bytes | None = None, **changes: object) -> Opened:
    """The document with other fields, signed anew."""
    document: Document = msgspec.structs.replace(opened.document, **changes)
    return seal_document(document, signer, TEST, opened.recipient if recipient is None else recipient)


def before(world: World, kind: type[Any]) -> Thread:
    """The thread without the documents of a kind."""
    return Thread.of(
        TEST,
        SELLER.public,
        world.request,
        [d for d in world.thread.documents.values() if not isinstance(d.document, kind)],
    )
