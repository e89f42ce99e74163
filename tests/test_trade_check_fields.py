"""The receiver's checks: every field copied from, or bound by, an earlier document, changed alone and in pairs.

Each table names all fields of its document: those bound (with wrong values and the reason that must come) and those
that are the signer's own word. A field that is in neither fails the test, so a new field must be decided on.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import msgspec
import pytest
from trade_world import (
    BUYER,
    DAY,
    REQUEST_KEY,
    SELLER,
    STRANGER,
    WALL,
    World,
    a_sheet,
    asked,
    before,
    changed,
    exchange,
    moment,
    some_terms,
)

from p2pmarket import limits
from p2pmarket.errors import Refusal
from p2pmarket.network import DEV, TEST
from p2pmarket.trade import check, documents
from p2pmarket.trade.documents import Opened, Order, OrderResponse, Quote, seal_document
from p2pmarket.trade.making import make_decline
from p2pmarket.trade.money import make_sheet, priced_line
from p2pmarket.trade.thread import Thread
from p2pmarket.trade.values import (
    Instalment,
    Money,
    OrderLine,
    PaymentTerms,
    QuoteLineDetails,
    RequestLine,
)

NO_HASH = b"\x01" * 32
NO_SIGNATURE = b"\x02" * 64
UPSTREAM = (b"\x03" * 32,)  # a deal of others that ours depends on
FUTURE = WALL + 3 * DAY
Wrong = list[tuple[str, Any]]  # (reason, value)
Bound = dict[str, Wrong]


def sheet_with(**changes: Any) -> Any:
    return msgspec.structs.replace(a_sheet(), **changes)


def line_with(place: int = 0, **changes: Any) -> Any:
    lines = list(a_sheet().lines)
    lines[place] = msgspec.structs.replace(lines[place], **changes)
    return sheet_with(lines=tuple(lines))


def charge_with(place: int = 0, **changes: Any) -> Any:
    charges = list(a_sheet().charges)
    charges[place] = msgspec.structs.replace(charges[place], **changes)
    return sheet_with(charges=tuple(charges))


def tax_with(**changes: Any) -> Any:
    first, *others = a_sheet().taxes
    return sheet_with(taxes=(msgspec.structs.replace(first, **changes), *others))


def resummed(place: int, **changes: Any) -> Any:
    """A sheet that adds up, but answers the request wrongly."""
    sheet = line_with(place, **changes)
    lines = [
        priced_line(
            line.no, request_line=line.request_line, quantity=line.quantity, unit=line.unit, text=line.text,
            price=line.price, per=line.per, exponent=2, tax_rate=line.tax_rate, code=line.code, details=line.details,
        )
        for line in sheet.lines
    ]  # fmt: skip
    return make_sheet("EUR", 2, lines, sheet.charges)


def instalments(*amounts: int) -> Any:
    parts = tuple(Instalment(amount=amount, stage="on_delivery") for amount in amounts)
    return msgspec.structs.replace(some_terms(), payment=PaymentTerms(stage="instalments", instalments=parts))


REQUEST: Bound = {
    "issued_at": [("clock", FUTURE), ("times", WALL + DAY), ("times", WALL - limits.REQUEST_SECONDS)],
    "category": [("category", "Coffee/roasted"), ("category", "cpv:123"), ("category", "a/b/c/d/e")],
    "lines": [
        ("lines", (RequestLine(no=1, quantity="1", unit="EA", text="a"),) * 2),
        ("lines", (RequestLine(no=1, quantity="0", unit="EA", text="a"),)),
    ],
    "max_total": [("currency", Money(100, "USD", 2))],
    "reply_by": [("times", WALL), ("times", WALL + limits.REQUEST_SECONDS + 1)],
    "reply_key": [("signature", exchange("other"))],
    "identity": [("signature", SELLER.public), ("identity", None), ("identity", REQUEST_KEY.public)],
    "identity_signature": [("signature", NO_SIGNATURE), ("identity", None)],
}
REQUEST_OWN = (
    "nonce language routes subject region place from_region currency quotes_wanted wanted_by delivery "
    "payment reference text attachments replaces"
)
QUOTE: Bound = {
    "issued_at": [("clock", FUTURE), ("times", WALL - 90 * DAY)],
    "request": [("unknown_request", NO_HASH)],
    "version": [("version", 2)],
    "valid_until": [("times", WALL), ("times", WALL + 60), ("times", WALL + 61 + limits.QUOTE_SECONDS)],
    "sheet": [
        ("totals", sheet_with(exponent=3)),
        ("totals", sheet_with(goods=a_sheet().goods + 1)),
        ("totals", sheet_with(tax=a_sheet().tax - 1)),
        ("totals", sheet_with(total=a_sheet().total - 1)),
        ("totals", sheet_with(taxes=a_sheet().taxes[:1])),
        ("totals", sheet_with(taxes=a_sheet().taxes[::-1])),
        ("totals", sheet_with(tax_included=True)),
        ("totals", sheet_with(charges=())),
        ("lines", sheet_with(lines=a_sheet().lines[:1] * 2)),
        *[("totals", tax_with(**{field: value})) for field, value in (("rate", "8"), ("base", 1), ("amount", 1))],
        ("totals", line_with(price="12.4")),
        ("totals", line_with(per="2")),
        ("totals", line_with(quantity="21")),
        ("totals", line_with(amount=1)),
        ("totals", line_with(tax_rate=None)),
        ("totals", line_with(tax_rate="19")),
        ("lines", line_with(no=2)),
        ("lines", line_with(per="0")),
        ("lines", line_with(quantity="0")),
        ("totals", charge_with(amount=991)),
        ("totals", charge_with(tax_rate="7")),
        ("lines", charge_with(1, line=9)),
        ("lines", resummed(0, quantity="19")),
        ("lines", resummed(0, unit="GRM")),
        ("lines", resummed(0, request_line=9)),
        ("lines", resummed(0, request_line=2)),
        ("lines", resummed(0, request_line=None)),
        ("terms", line_with(details=QuoteLineDetails(least="21"))),
        ("terms", line_with(details=QuoteLineDetails(step="0"))),
    ],
    "missing_lines": [("lines", ()), ("lines", (2,)), ("lines", (3, 3)), ("lines", (3, 4))],
    "terms": [("terms", instalments(1, 2)), ("terms", instalments(a_sheet().total + 1))],
}
QUOTE_OWN = "nonce language answers kind name url text attachments reply_key routes"
SECOND: Bound = {**QUOTE, "version": [("version", 3), ("equivocation", 1)], "answers": [("version", None)]}
SECOND_OWN = "nonce language kind name url text attachments reply_key routes"
DECLINE: Bound = {
    "issued_at": [("clock", FUTURE)],
    "request": [("unknown_request", NO_HASH)],
    "counter": [("unknown_document", NO_HASH)],
}
DECLINE_OWN = "nonce language reason text"
ORDER: Bound = {
    "nonce": [("signature", b"n" * 16)],
    "issued_at": [("clock", FUTURE + 120), ("times", WALL + 2 * DAY)],
    "request": [("unknown_request", NO_HASH)],
    "quote": [("unknown_quote", NO_HASH)],
    "request_key": [("identity", STRANGER.public), ("identity", BUYER.public)],
    "request_signature": [("signature", NO_SIGNATURE), ("signature", bytes(64))],
    "deal_signature": [("signature", NO_SIGNATURE)],
    "lines": [
        ("lines", (OrderLine(no=1, quantity="21"),)),
        ("lines", (OrderLine(no=9, quantity="1"),)),
        ("lines", (OrderLine(no=1, quantity="0"),)),
        ("lines", (OrderLine(no=2, quantity="0.5"),)),
        ("lines", (OrderLine(no=1, quantity="20"),) * 2),
        ("totals", (OrderLine(no=1, quantity="20"),)),
        ("totals", (OrderLine(no=1, quantity="19"), OrderLine(no=2, quantity="40"))),
    ],
    "currency": [("currency", "USD")],
    "exponent": [("currency", 3)],
    "total": [("totals", a_sheet().total - 1), ("totals", a_sheet().total + 1), ("totals", -1)],
    "answer_by": [("times", WALL + 120), ("times", WALL + 121 + limits.ORDER_SECONDS)],
    "referee": [("terms", STRANGER.public)],
    "upstream": [("terms", (NO_HASH,)), ("terms", (*UPSTREAM, NO_HASH)), ("terms", None)],
}
ORDER_OWN = "language deliver_to bill_to reference reply_key routes wanted_by payment text attachments"
RESPONSE: Bound = {
    "issued_at": [("clock", FUTURE + 180), ("late", WALL + 2 * DAY + 1)],
    "order": [("unknown_order", NO_HASH)],
    "code": [("code", "RE"), ("code", "AB"), ("code", "CA")],
    "quote": [("code", NO_HASH)],
    "deal_signature": [("signature", NO_SIGNATURE), ("code", None)],
}
RESPONSE_OWN = "nonce language reason text expected reply_key routes"


def known() -> World:
    return asked(known=True, max_total=Money(10**9, "EUR", 2))


def with_referee() -> World:
    terms = msgspec.structs.replace(some_terms(), referee=BUYER.public, upstream=UPSTREAM)
    return asked().quoted(terms=terms).ordered()


def case(kind: str) -> tuple[Opened, Any, Callable[[Opened], None], Bound, str]:
    """(document, its signer's key, the check, bound fields, own fields)."""
    if kind == "request":
        world = known()
        return (
            world.request,
            REQUEST_KEY,
            lambda o: check.check_request(TEST, o, SELLER.public, WALL),
            REQUEST,
            REQUEST_OWN,
        )
    if kind == "second":
        world = asked().quoted()
        thread = world.thread
        world = world.quoted()
        assert world.quote
        return world.quote, SELLER, lambda o: check.check(thread, o, WALL + 600), SECOND, SECOND_OWN
    if kind == "decline":
        world = asked()
        opened = make_decline(world.thread, SELLER, moment(WALL + 60), "stock")
        return opened, SELLER, lambda o: check.check(world.thread, o, WALL + 600), DECLINE, DECLINE_OWN
    world = with_referee().answered()
    assert world.quote
    assert world.order
    assert world.response
    opened, signer, cls, bound, own = {
        "quote": (world.quote, SELLER, Quote, QUOTE, QUOTE_OWN),
        "order": (world.order, BUYER, Order, ORDER, ORDER_OWN),
        "order_response": (world.response, SELLER, OrderResponse, RESPONSE, RESPONSE_OWN),
    }[kind]
    thread = before(world, cls)
    return opened, signer, lambda o: check.check(thread, o, WALL + 600), bound, own


KINDS = ("request", "decline", "quote", "second", "order", "order_response")
SINGLE = [(kind, field, n) for kind in KINDS for field, wrong in case(kind)[3].items() for n in range(len(wrong))]


@pytest.mark.parametrize("kind", KINDS)
def test_the_document_itself_holds_and_every_field_is_decided_on(kind: str) -> None:
    opened, _, checked, bound, own = case(kind)
    checked(opened)
    assert sorted([*bound, *own.split()]) == sorted(type(opened.document).__struct_fields__)


@pytest.mark.parametrize(("kind", "field", "n"), SINGLE)
def test_a_bound_field_changed_is_refused(kind: str, field: str, n: int) -> None:
    opened, signer, checked, bound, _ = case(kind)
    reason, value = bound[field][n]
    with pytest.raises(Refusal) as refusal:
        checked(changed(opened, signer, **{field: value}))
    assert refusal.value.reason == reason
    assert reason in check.REASONS


@pytest.mark.parametrize("kind", KINDS)
def test_two_bound_fields_changed_are_refused(kind: str) -> None:
    opened, signer, checked, bound, _ = case(kind)
    for one, two in combinations(bound, 2):
        for (_, first), (_, second) in zip(bound[one], bound[two][::-1], strict=False):
            if {one, two} == {"identity", "identity_signature"} and first is second is None:
                continue  # a stranger's request, which is in order
            if (one, two, second) == ("code", "quote", NO_HASH) or (one, two, second) == (
                "code",
                "deal_signature",
                None,
            ):
                continue  # another answer, which the seller may give
            with pytest.raises(Refusal):
                checked(changed(opened, signer, **{one: first, two: second}))


@pytest.mark.parametrize("kind", KINDS)
def test_signed_by_or_meant_for_somebody_else(kind: str) -> None:
    opened, signer, checked, _, _ = case(kind)
    for other in {BUYER, SELLER, REQUEST_KEY, STRANGER} - {signer}:
        if (kind, other) != ("request", STRANGER) and (kind, other) != ("request", BUYER):
            with pytest.raises(Refusal):
                checked(changed(opened, other))
        if other.public != opened.recipient:
            with pytest.raises(Refusal) as refusal:
                checked(changed(opened, signer, recipient=other.public))
            assert refusal.value.reason == "wrong_recipient"


def test_an_order_by_another_identity_than_introduced() -> None:
    world = known().quoted()
    order = asked().quoted().ordered().order
    assert world.quote
    assert order
    statement = documents.order_statement(TEST, world.request.hash, world.quote.hash, STRANGER.public)
    document = msgspec.structs.replace(
        order.document,
        request=world.request.hash,
        quote=world.quote.hash,
        request_signature=REQUEST_KEY.sign(statement),
    )
    assert isinstance(document, Order)
    deal = STRANGER.sign(documents.deal_statement(TEST, document, STRANGER.public, SELLER.public))
    document = msgspec.structs.replace(document, deal_signature=deal)
    with pytest.raises(Refusal) as refusal:
        check.check(world.thread, seal_document(document, STRANGER, TEST, SELLER.public), WALL + 600)
    assert refusal.value.reason == "identity"


def test_signatures_of_another_network_do_not_hold() -> None:
    world = asked().quoted().ordered()
    foreign = Thread.of(DEV, SELLER.public, world.request, world.thread.documents.values())
    assert world.order
    with pytest.raises(Refusal) as refusal:
        check.check(foreign, world.order, WALL + 600)
    assert refusal.value.reason == "signature"
