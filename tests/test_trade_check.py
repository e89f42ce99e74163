"""The receiver's checks beyond single fields: times, versions, slots, and what a seller judges before he accepts."""

from __future__ import annotations

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
from p2pmarket.errors import BadInput, LimitReached, Refusal, WrongState
from p2pmarket.keys import SigningKey
from p2pmarket.network import TEST
from p2pmarket.trade import check, documents
from p2pmarket.trade.documents import Opened, Order, OrderResponse, Quote, Request, seal_document
from p2pmarket.trade.making import (
    make_acknowledgement,
    make_decline,
    make_order,
    make_order_response,
    make_outcome,
    make_withdraw,
)
from p2pmarket.trade.money import make_sheet, priced_line
from p2pmarket.trade.thread import Thread
from p2pmarket.trade.values import (
    Charge,
    OrderLine,
    QuoteLineDetails,
)

NO_HASH = b"\x01" * 32
FUTURE = WALL + 3 * DAY


# Requests


def test_a_request_that_comes_too_late() -> None:
    request = asked().request
    limit = WALL + DAY + limits.CLOCK_SKEW_SECONDS
    check.check_request(TEST, request, SELLER.public, limit)
    with pytest.raises(Refusal) as refusal:
        check.check_request(TEST, request, SELLER.public, limit + 1)
    assert refusal.value.reason == "too_late"


def test_limits_of_times_hold_at_the_limit() -> None:
    request = asked(reply_by=WALL + limits.REQUEST_SECONDS)
    quote = request.quoted(valid_until=WALL + 60 + limits.QUOTE_SECONDS)
    quote.ordered(answer_by=WALL + 120 + limits.ORDER_SECONDS)
    assert quote.quote
    check.check(request.thread, quote.quote, WALL + 60 - limits.FUTURE_SECONDS)
    with pytest.raises(Refusal) as refusal:
        check.check(request.thread, quote.quote, WALL + 59 - limits.FUTURE_SECONDS)
    assert refusal.value.reason == "clock"
    with pytest.raises(BadInput):
        asked(reply_by=WALL + limits.REQUEST_SECONDS + 1)
    with pytest.raises(BadInput):
        request.quoted(valid_until=WALL + 61 + limits.QUOTE_SECONDS)
    with pytest.raises(BadInput):
        quote.ordered(answer_by=WALL + 121 + limits.ORDER_SECONDS)


def test_a_seller_does_not_ask_himself() -> None:
    opened = seal_document(asked().request.document, SELLER, TEST, SELLER.public)
    with pytest.raises(Refusal) as refusal:
        check.check_request(TEST, opened, SELLER.public, WALL)
    assert refusal.value.reason == "wrong_signer"


# Versions and slots


def test_a_second_document_in_a_slot_is_equivocation() -> None:
    world = asked().quoted().ordered().answered()
    assert world.quote
    assert world.response
    assert isinstance(world.response.document, OrderResponse)
    no = make_order_response(
        before(world, OrderResponse), SELLER, moment(), world.response.document.order, "RE", reason="stock"
    )
    for second in (changed(world.quote, SELLER, text="cheaper"), no, changed(world.response, SELLER, text="again")):
        with pytest.raises(Refusal) as refusal:
            check.check(world.thread, second, WALL + 600)
        assert refusal.value.reason == "equivocation"


def test_a_quote_is_ordered_once() -> None:
    quoted = asked().quoted()
    first, second = quoted.ordered(), quoted.ordered(reference="PO-18")
    assert second.order
    with pytest.raises(Refusal) as refusal:
        check.check(first.thread, second.order, WALL + 600)
    assert refusal.value.reason == "equivocation"
    with pytest.raises(WrongState):
        first.ordered()
    assert first.order
    check.check(first.quoted(text="v2").ordered().thread, first.order, WALL + 600)


def test_a_quote_is_ordered_once_whoever_orders() -> None:
    quoted = asked().quoted()
    first = quoted.ordered()
    assert quoted.quote
    other = make_order(
        quoted.thread, STRANGER, REQUEST_KEY, moment(WALL + 120), quote=quoted.quote.hash, answer_by=WALL + DAY,
        reply_key=exchange("reply"), routes=(),
    )  # fmt: skip
    with pytest.raises(Refusal) as refusal:
        check.check(first.thread, other, WALL + 600)
    assert refusal.value.reason == "already_ordered"


def test_an_order_that_costs_nothing() -> None:
    free = priced_line(1, request_line=1, quantity="20", unit="KGM", text="sample", price="0", exponent=2)
    world = asked().quoted(sheet=make_sheet("EUR", 2, [free])).ordered()
    assert world.order
    check.check(world.thread, world.order, WALL + 600)


def test_the_same_document_again_is_no_equivocation() -> None:
    world = asked().quoted().ordered().answered()
    for opened in world.thread.documents.values():
        check.check(world.thread, opened, WALL + 600)


def test_a_first_word_on_an_order_does_not_exclude_the_last() -> None:
    world = asked().quoted().ordered().answered("AB").answered("AP")
    assert len(list(world.thread.each(OrderResponse))) == 2


def test_versions_follow_each_other_in_any_order_of_arrival() -> None:
    first = asked().quoted()
    second = first.quoted(text="better")
    assert first.quote
    assert second.quote
    assert isinstance(second.quote.document, Quote)
    assert (second.quote.document.version, second.quote.document.answers) == (2, first.quote.hash)
    alone = Thread.of(TEST, SELLER.public, first.request)
    check.check(alone, second.quote, WALL + 600)
    check.check(alone.adding(second.quote), first.quote, WALL + 600)
    check.check(alone.adding(first.quote), second.quote, WALL + 600)


def test_a_version_out_of_line_is_refused_in_any_order_of_arrival() -> None:
    first = asked().quoted()
    assert first.quote
    third = changed(first.quote, SELLER, version=3, answers=first.quote.hash)
    for thread, opened in (
        (first.thread, third),
        (first.thread.__class__.of(TEST, SELLER.public, first.request, [third]), first.quote),
    ):
        with pytest.raises(Refusal) as refusal:
            check.check(thread, opened, WALL + 600)
        assert refusal.value.reason == "version"
    unlinked = changed(first.quote, SELLER, version=2, answers=None)
    with pytest.raises(Refusal):
        check.check(first.thread, unlinked, WALL + 600)


def test_a_first_version_answers_no_quote() -> None:
    first = asked().quoted()
    assert first.quote
    other = changed(first.quote, SELLER, version=1, answers=b"c" * 32)  # a counter that is not here yet
    check.check(before(first, Quote), other, WALL + 600)
    second = changed(first.quote, SELLER, version=2, answers=first.quote.hash)
    wrong = changed(first.quote, SELLER, version=1, answers=second.hash)
    with pytest.raises(Refusal) as refusal:
        check.check(before(first, Quote).adding(second), wrong, WALL + 600)
    assert refusal.value.reason == "version"


def test_a_line_of_the_request_is_answered_once() -> None:
    line = a_sheet().lines[0]
    twice = make_sheet("EUR", 2, [line, msgspec.structs.replace(line, no=2)])
    with pytest.raises(BadInput, match="answered twice"):
        asked().quoted(sheet=twice)


def test_bounds_of_a_line_may_be_all_of_it() -> None:
    details = QuoteLineDetails(least="20", step="20")
    line = msgspec.structs.replace(a_sheet().lines[0], details=details)
    asked().quoted(sheet=make_sheet("EUR", 2, [line]))


# What the seller judges before he accepts


def judged(world: World, wall: int, *, by_hand: bool = False) -> str | None:
    assert world.order
    try:
        check.judge_order(world.thread, world.order, wall, by_hand=by_hand)
    except Refusal as refusal:
        return refusal.reason if refusal.reason in check.REJECTIONS else f"not a rejection: {refusal.reason}"
    return None


def test_an_order_is_judged_by_the_sellers_clock() -> None:
    world = asked().quoted(valid_until=WALL + 1000).ordered(answer_by=WALL + 2000)
    assert judged(world, WALL + 1000) is None
    assert judged(world, WALL + 1001) == "expired"
    assert judged(world, WALL + 1001, by_hand=True) is None
    assert judged(world, WALL + 2000, by_hand=True) is None
    assert judged(world, WALL + 2001, by_hand=True) == "late"


def test_an_order_of_a_replaced_or_withdrawn_quote() -> None:
    ordered = asked().quoted().ordered()
    replaced = ordered.quoted(text="v2")
    assert judged(replaced, WALL + 600) == "superseded"
    assert judged(replaced, WALL + 600, by_hand=True) is None
    quoted = asked().quoted()
    assert quoted.quote
    gone = quoted.thread.adding(make_withdraw(quoted.thread, SELLER, moment(), quoted.quote.hash))
    world = quoted.ordered()
    assert world.order
    crossed = World(gone.adding(world.order), world.request, world.quote, world.order)
    assert judged(crossed, WALL + 600) == judged(crossed, WALL + 600, by_hand=True) == "withdrawn"
    with pytest.raises(WrongState):
        crossed.answered("AP")


def test_an_order_signed_after_the_quote_expired_or_of_an_indicative_quote() -> None:
    world = asked().quoted(valid_until=WALL + 120).ordered()
    assert world.order
    late = changed(world.order, BUYER, issued_at=WALL + 121)
    with pytest.raises(Refusal) as refusal:
        check.check(before(world, Order), late, WALL + 600)
    assert refusal.value.reason == "expired"
    with pytest.raises(BadInput):
        asked().quoted(kind="indicative").ordered()


def test_a_quote_that_is_not_divisible_is_ordered_whole() -> None:
    world = asked().quoted(terms=some_terms(divisible=False))
    world.ordered()
    with pytest.raises(BadInput):
        world.ordered((OrderLine(no=1, quantity="20"),))


def test_amendment_points_to_a_newer_version() -> None:
    world = asked().quoted().ordered()
    second = world.quoted(text="as I can")
    assert world.quote
    assert world.order
    assert second.quote
    second.answered("CA", quote=second.quote.hash)
    with pytest.raises(BadInput):
        second.answered("CA", quote=world.quote.hash)


# The small documents


def test_small_documents_hold_and_their_fields_are_bound() -> None:
    world = asked().quoted()
    assert world.quote
    fresh = asked()
    no = make_decline(fresh.thread, SELLER, moment(), "stock")
    gone = make_withdraw(world.thread, SELLER, moment(), world.quote.hash)
    lost = make_outcome(world.thread, REQUEST_KEY, moment(), "lost")
    refused = make_acknowledgement(world.quote, REQUEST_KEY, TEST, moment(), "refused", "totals")
    small: list[tuple[Thread, Opened, SigningKey, dict[str, Any]]] = [
        (fresh.thread, no, SELLER, {"request": NO_HASH}),
        (world.thread, gone, SELLER, {"request": NO_HASH, "quote": NO_HASH}),
        (world.thread, lost, REQUEST_KEY, {"request": NO_HASH, "quote": NO_HASH}),
        (world.thread, refused, REQUEST_KEY, {"about": NO_HASH, "about_kind": 5, "status": "seen", "code": None}),
    ]
    for thread, opened, signer, wrong in small:
        check.check(thread, opened, WALL)
        for field, value in {**wrong, "issued_at": FUTURE}.items():
            with pytest.raises(Refusal):
                check.check(thread, changed(opened, signer, **{field: value}), WALL)
        with pytest.raises(Refusal):
            check.check(thread, changed(opened, STRANGER), WALL)
        with pytest.raises(Refusal):
            check.check(thread, changed(opened, signer, recipient=STRANGER.public), WALL)


def test_every_kind_but_the_request_has_a_check_in_a_thread() -> None:
    assert set(check.CHECKS) == set(documents.KINDS.values()) - {Request}
    world = asked().quoted()
    with pytest.raises(Refusal) as refusal:
        check.check(world.thread, world.request, WALL)
    assert refusal.value.reason == "unknown_document"


def test_a_version_too_many() -> None:
    world = asked()
    for _ in range(limits.QUOTE_VERSIONS):
        world = world.quoted()
    with pytest.raises(LimitReached):
        world.quoted()


def test_a_charge_alone_cannot_make_the_total_negative() -> None:
    line = priced_line(1, request_line=1, quantity="20", unit="KGM", text="x", price="1", exponent=2)
    with pytest.raises(BadInput):
        make_sheet("EUR", 2, [line], [Charge(kind="discount", amount=-2001)])


def test_the_seller_or_the_request_key_cannot_be_the_buyer() -> None:
    quoted = asked().quoted()
    assert quoted.quote
    for identity in (SELLER, REQUEST_KEY):
        with pytest.raises(BadInput) as error:
            make_order(
                quoted.thread, identity, REQUEST_KEY, moment(WALL + 120), quote=quoted.quote.hash, answer_by=WALL + DAY,
                reply_key=exchange("reply"), routes=(),
            )  # fmt: skip
        assert error.value.details["reason"] == "identity"
