"""Deals from agreement to rating: states, both signatures, numbers and slots, and what the tables allow to whom."""

from __future__ import annotations

from functools import cache
from itertools import permutations
from typing import Any

import msgspec
import pytest
from deal_world import (
    LATER,
    REFEREE,
    Trade,
    agreed_trade,
    changed_terms,
    cheaper_sheet,
    lines_of,
    quarrel,
    received,
    whole_trade,
)
from trade_world import (
    BUYER,
    DAY,
    REQUEST_KEY,
    SELLER,
    STRANGER,
    a_sheet,
    asked,
    changed,
    moment,
    some_terms,
)

from p2pmarket.errors import BadInput, NotFound, Refusal, WrongState
from p2pmarket.keys import SigningKey
from p2pmarket.network import DEV, TEST
from p2pmarket.trade import check
from p2pmarket.trade.agreeing import answer_proposal, make_dispute, make_opinion, propose_cancel, propose_change
from p2pmarket.trade.billing import advise_payment, answer_payment, confirm_cash, make_credit, make_invoice
from p2pmarket.trade.check_quarrel import check_rating_alone
from p2pmarket.trade.documents import Opened
from p2pmarket.trade.fulfilling import make_despatch, make_rating, make_receipt
from p2pmarket.trade.money import make_sheet, order_totals, whole
from p2pmarket.trade.thread import Thread, contracts, fold, in_force
from p2pmarket.trade.thread.contract import ordered_sheet
from p2pmarket.trade.values import Aspect, Charge, Money, OrderLine


@cache
def trade(name: str) -> Trade:
    return {"whole": whole_trade, "quarrel": quarrel}[name]()


def deal_state(made: Trade) -> str:
    return fold(made.thread).deals[made.deal]


def refused(thread: Thread, opened: Opened) -> str | None:
    try:
        check.check(thread, opened, LATER + DAY)
    except Refusal as refusal:
        return refusal.reason
    return None


# Both signatures


def test_a_change_binds_with_both_signatures_only() -> None:
    made = agreed_trade()
    first = in_force(made.thread, made.deal)
    assert first.sheet.total == a_sheet().total
    change = made.add(
        "change",
        propose_change(made.thread, BUYER, moment(LATER), made.deal, sheet=cheaper_sheet(), terms=changed_terms()),
    )
    assert in_force(made.thread, made.deal) == first
    assert fold(made.thread).proposals == {change.hash: "seller"}
    with pytest.raises(WrongState):
        answer_proposal(made.thread, BUYER, moment(LATER), change.hash, "accept")
    no = answer_proposal(made.thread, SELLER, moment(LATER), change.hash, "reject")
    yes = answer_proposal(made.thread, SELLER, moment(LATER), change.hash, "accept")
    assert in_force(made.thread.adding(no), made.deal) == first
    assert in_force(made.thread.adding(yes), made.deal).sheet == cheaper_sheet()
    assert refused(made.thread.adding(no), yes) == "answered"
    assert refused(made.thread.adding(yes), no) == "answered"
    bill = make_invoice(made.thread.adding(yes), SELLER, moment(LATER), made.deal, "1", date="2026-06-01")
    assert refused(made.thread, bill) == "unknown_document"  # the acceptance is under way
    assert refused(made.without("change"), bill) == "totals"


def test_two_changes_that_cross_cannot_both_bind() -> None:
    made = agreed_trade()

    def proposed(key: SigningKey) -> Opened:
        return propose_change(made.thread, key, moment(LATER), made.deal, sheet=cheaper_sheet(), terms=changed_terms())

    one, two = proposed(BUYER), proposed(SELLER)
    crossed = made.thread.adding(one).adding(two)
    assert refused(made.thread.adding(one), two) is None
    for key, other in ((BUYER, two), (SELLER, one)):
        with pytest.raises(WrongState) as error:
            answer_proposal(crossed, key, moment(LATER), other.hash, "accept")
        assert error.value.hint
        answer_proposal(crossed, key, moment(LATER), other.hash, "reject")
    third = propose_change(crossed, SELLER, moment(LATER), made.deal, sheet=cheaper_sheet(), terms=changed_terms())
    yes = answer_proposal(crossed.adding(third), BUYER, moment(LATER), third.hash, "accept")
    assert [c.version for c in contracts(crossed.adding(third).adding(yes), made.deal)] == [0, 2]


def test_a_cancellation_binds_with_both_signatures_only() -> None:
    made = agreed_trade()
    wish = made.add("wish", propose_cancel(made.thread, BUYER, moment(LATER), made.deal))
    assert deal_state(made) == "agreed"
    own = changed(wish, BUYER, step="accept", about=wish.hash)
    assert refused(made.thread, own) == "wrong_signer"
    assert fold(made.thread.adding(own)).deals[made.deal] == "agreed"
    made.add("granted", answer_proposal(made.thread, SELLER, moment(LATER), wish.hash, "accept"))
    assert deal_state(made) == "cancelled"
    assert fold(made.thread).payments == {}
    with pytest.raises(WrongState):
        answer_proposal(made.thread, SELLER, moment(LATER), wish.hash, "reject")
    with pytest.raises(NotFound):
        answer_proposal(made.thread, SELLER, moment(LATER), made.deal, "reject")


# Delivery and money


def test_a_receipt_of_everything_delivers_and_of_less_does_not() -> None:
    made = agreed_trade()
    part = make_receipt(made.thread, BUYER, moment(LATER), made.deal, received((1, "20", "full"), (2, "39", "short")))
    back = make_receipt(made.thread, BUYER, moment(LATER), made.deal, received((1, "20", "full"), (2, "40", "refused")))
    full = make_receipt(made.thread, BUYER, moment(LATER), made.deal)
    for receipt, state in ((part, "in_delivery"), (back, "in_delivery"), (full, "delivered")):
        assert fold(made.thread.adding(receipt)).deals[made.deal] == state


def test_money_that_nobody_advised() -> None:
    made = agreed_trade()
    made.add("receipt", make_receipt(made.thread, BUYER, moment(LATER), made.deal))
    assert deal_state(made) == "delivered"
    made.add("some", confirm_cash(made.thread, SELLER, moment(LATER), made.deal, 100))
    assert deal_state(made) == "delivered"
    made.add("rest", confirm_cash(made.thread, SELLER, moment(LATER), made.deal, a_sheet().total - 100))
    assert deal_state(made) == "completed"
    with pytest.raises(WrongState):
        confirm_cash(made.thread, BUYER, moment(LATER), made.deal)


def test_steps_of_a_payment_are_the_table_s() -> None:
    made = agreed_trade()
    advice = made.add("advice", advise_payment(made.thread, BUYER, moment(LATER), made.deal))
    with pytest.raises(WrongState):
        answer_payment(made.thread, SELLER, moment(LATER), advice.hash, "refund_due")
    with pytest.raises(WrongState):
        answer_payment(made.thread, BUYER, moment(LATER), advice.hash, "confirmed")
    with pytest.raises(NotFound):
        answer_payment(made.thread, SELLER, moment(LATER), made.deal, "confirmed")
    made.add("no", answer_payment(made.thread, SELLER, moment(LATER), advice.hash, "not_received"))
    assert list(fold(made.thread).payments.values()) == ["due"]
    made.add("yes", answer_payment(made.thread, SELLER, moment(LATER), advice.hash, "confirmed"))
    assert list(fold(made.thread).payments.values()) == ["confirmed"]


def test_the_sheet_of_a_partial_order_is_what_the_order_comes_to() -> None:
    charges = [
        *a_sheet().charges,
        Charge(kind="other", amount=333, scaled=True),
        Charge(kind="other", amount=7, line=2),
    ]
    sheet = make_sheet("EUR", 2, a_sheet().lines, charges)
    for chosen in (lines_of((1, "7.5")), lines_of((2, "3")), lines_of((1, "3"), (2, "40")), whole(sheet)):
        assert ordered_sheet(sheet, chosen).total == order_totals(sheet, chosen).total
    assert ordered_sheet(sheet, whole(sheet)[::-1]) == sheet


def test_an_invoice_of_parcels_and_a_credit() -> None:
    made = agreed_trade()
    one = made.add("one", make_despatch(made.thread, SELLER, moment(LATER), made.deal, lines_of((2, "10"))))
    two = made.add("two", make_despatch(made.thread, SELLER, moment(LATER), made.deal, lines_of((2, "5"))))
    bill = make_invoice(
        made.thread, SELLER, moment(LATER), made.deal, "1", date="2026-06-01", despatches=(one.hash, two.hash)
    )
    lines = [(line.no, line.quantity) for line in bill.document.sheet.lines]  # type: ignore[attr-defined]
    assert lines == [(2, "15")]
    with pytest.raises(BadInput):
        make_invoice(made.thread, SELLER, moment(LATER), made.deal, "2", date="2026-06-01", despatches=(one.hash,) * 2)
    made.add("bill", bill)
    billed = bill.document.sheet  # type: ignore[attr-defined]
    one_kilo = msgspec.structs.replace(a_sheet().lines[0], quantity="0.1", amount=123)
    dear = msgspec.structs.replace(a_sheet().lines[1], quantity="16", amount=1600)
    for sheet, reason in (
        (billed, None),
        (make_sheet("EUR", 2, [one_kilo]), "lines"),
        (make_sheet("EUR", 2, [dear]), "totals"),
    ):
        try:
            make_credit(made.thread, SELLER, moment(LATER), made.deal, "C", sheet=sheet, date="2026-06-01", invoice=bill.hash)  # fmt: skip # noqa: E501
        except BadInput as error:
            assert error.details["reason"] == reason  # noqa: PT017
        else:
            assert reason is None


def test_a_credit_without_an_invoice_is_within_the_contract() -> None:
    made = agreed_trade()
    lines = a_sheet().lines
    twice = make_sheet("EUR", 2, [msgspec.structs.replace(lines[0], price="30", amount=60000)])
    other = make_sheet("EUR", 2, [msgspec.structs.replace(lines[1], no=9)])
    free = make_sheet("EUR", 2, [msgspec.structs.replace(lines[1], price="0", amount=0)])
    for sheet, reason in ((a_sheet(), None), (twice, "totals"), (other, "lines"), (free, "totals")):
        if reason is None:
            make_credit(made.thread, SELLER, moment(LATER), made.deal, "C", sheet=sheet, date="2026-06-01")
            continue
        with pytest.raises(BadInput) as error:
            make_credit(made.thread, SELLER, moment(LATER), made.deal, "C", sheet=sheet, date="2026-06-01")
        assert error.value.details["reason"] == reason


# Disputes and ratings


def test_a_dispute_ends_by_the_other_sides_yes_or_the_openers_end() -> None:
    made = agreed_trade()
    deal = made.deal
    opened = made.add("open", make_dispute(made.thread, BUYER, moment(LATER), deal, "open", reason="late"))
    assert deal_state(made) == "disputed"
    offer = made.add(
        "offer", make_dispute(made.thread, SELLER, moment(LATER), deal, "proposal", about=opened.hash, outcome="none")
    )
    with pytest.raises(WrongState):
        make_dispute(made.thread, SELLER, moment(LATER), deal, "accept", about=offer.hash)
    with pytest.raises(BadInput):
        make_dispute(made.thread, SELLER, moment(LATER), deal, "close", about=opened.hash)
    closed = make_dispute(made.thread, BUYER, moment(LATER), deal, "close", about=opened.hash)
    agreed = make_dispute(made.thread, BUYER, moment(LATER), deal, "accept", about=offer.hash)
    for documents, state in (([closed], "closed"), ([agreed], "settled")):
        assert fold(Thread.of(TEST, SELLER.public, made.thread.request, [*made.thread.documents.values(), *documents])).deals[deal] == state  # fmt: skip # noqa: E501
    again = make_dispute(made.thread.adding(closed), SELLER, moment(LATER), deal, "open", reason="unpaid")
    for three in permutations((closed, again)):
        assert fold(made.thread.adding(three[0]).adding(three[1])).deals[deal] == "disputed"


def test_only_the_referee_of_the_order_has_an_opinion_and_one() -> None:
    made = trade("quarrel")
    thread, opened = made.without("opinion"), made.papers["open"]
    for role in ("buyer", "seller"):
        opinion = make_opinion(thread, REFEREE, moment(LATER), opened.hash, role, outcome="refund")
        assert fold(thread.adding(opinion)).deals == fold(thread).deals
    with pytest.raises(BadInput) as error:
        make_opinion(made.thread, REFEREE, moment(LATER), opened.hash, "buyer", outcome="none")
    assert error.value.details["reason"] == "equivocation"
    for key in (BUYER, SELLER, STRANGER):
        with pytest.raises(BadInput):
            make_opinion(thread, key, moment(LATER), opened.hash, "buyer", outcome="refund")
    with pytest.raises(NotFound):
        make_opinion(thread, REFEREE, moment(LATER), made.deal, "buyer", outcome="refund")
    plain = asked().quoted().ordered().answered()
    assert plain.order
    first = make_dispute(plain.thread, BUYER, moment(LATER), plain.order.hash, "open", reason="late")
    with pytest.raises(BadInput):  # nobody was named
        make_opinion(plain.thread.adding(first), REFEREE, moment(LATER), first.hash, "buyer", outcome="refund")


def test_a_rating_is_checked_by_anybody_and_counts_with_both_signatures() -> None:
    for name in ("rating", "rated_back"):
        rating = trade("whole").papers[name]
        check_rating_alone(TEST, rating, LATER)
        with pytest.raises(Refusal) as refusal:
            check_rating_alone(DEV, rating, LATER)
        assert refusal.value.reason == "signature"
    rating = trade("whole").papers["rating"]
    wrong: dict[str, Any] = {
        "buyer": STRANGER.public, "seller": STRANGER.public, "request": b"x" * 32, "quote": b"x" * 32,
        "order_nonce": b"x" * 16, "buyer_signature": b"x" * 64, "seller_signature": b"x" * 64,
        "aspects": (Aspect("goods", 1),) * 2, "issued_at": LATER + 9 * DAY,
    }  # fmt: skip
    for field, value in wrong.items():
        with pytest.raises(Refusal):
            check_rating_alone(TEST, changed(rating, BUYER, **{field: value}), LATER)
    himself = msgspec.structs.replace(rating.document, seller=BUYER.public)
    with pytest.raises(Refusal):
        check_rating_alone(TEST, changed(rating, BUYER, BUYER.public, seller=himself.seller), LATER)  # type: ignore[attr-defined]


def test_a_deal_that_was_not_accepted_is_not_rated() -> None:
    world = asked().quoted().ordered()
    assert world.order
    deal = world.order.hash
    with pytest.raises(WrongState):
        make_rating(world.thread, BUYER, moment(LATER), deal, [Aspect("goods", 1)])
    wish = propose_cancel(world.thread, BUYER, moment(LATER), deal)
    both = world.thread.adding(wish)
    both = both.adding(answer_proposal(both, SELLER, moment(LATER), wish.hash, "accept"))
    with pytest.raises(WrongState):
        make_rating(both, BUYER, moment(LATER), deal, [Aspect("goods", 1)])
    again = agreed_trade()
    first = again.add("first", make_rating(again.thread, BUYER, moment(LATER), again.deal, [Aspect("goods", 1)]))
    second = make_rating(again.thread, BUYER, moment(LATER), again.deal, [Aspect("goods", 2)])
    assert (first.document.version, second.document.version) == (1, 2)  # type: ignore[attr-defined]


# The tables


def test_nothing_of_a_deal_before_agreement_or_by_strangers() -> None:
    world = asked().quoted().ordered()
    assert world.order
    deal = world.order.hash
    agreed = agreed_trade()
    line = [OrderLine(no=1, quantity="1")]
    for thread, found, seller, buyer in (
        (world.thread, deal, SELLER, BUYER),
        (agreed.thread, agreed.deal, BUYER, SELLER),
        (agreed.thread, agreed.deal, STRANGER, REQUEST_KEY),
    ):
        with pytest.raises(WrongState):
            make_despatch(thread, seller, moment(LATER), found, line)
        with pytest.raises(WrongState):
            make_receipt(thread, buyer, moment(LATER), found)
        with pytest.raises(WrongState):
            make_invoice(thread, seller, moment(LATER), found, "1", date="2026-06-01")
        with pytest.raises(WrongState):
            advise_payment(thread, buyer, moment(LATER), found)
    with pytest.raises(NotFound):
        make_receipt(agreed.thread, BUYER, moment(LATER), b"x" * 32)
    with pytest.raises(WrongState):
        make_dispute(world.thread, BUYER, moment(LATER), deal, "open", reason="late")
    with pytest.raises(WrongState):
        propose_change(world.thread, BUYER, moment(LATER), deal, sheet=a_sheet(), terms=some_terms())


def test_an_amount_of_nothing_is_no_payment() -> None:
    made = agreed_trade()
    for amount in (0, -1, a_sheet().total + 1):
        with pytest.raises(BadInput):
            advise_payment(made.thread, BUYER, moment(LATER), made.deal, amount)
    with pytest.raises(BadInput):
        propose_cancel(made.thread, BUYER, moment(LATER), made.deal, refund=Money(1, "USD", 2))


def test_a_partial_order_of_extreme_amounts_has_a_sheet() -> None:
    """Amounts of one rate may exceed what a sheet may hold, while the total that was signed does not."""
    big = 9 * 10**14
    line = a_sheet().lines[1]
    lines = [msgspec.structs.replace(line, tax_rate="7"), msgspec.structs.replace(line, no=1, request_line=None)]
    charges = [
        Charge(kind="other", amount=big, tax_rate="0", line=2),
        Charge(kind="other", amount=big, tax_rate="0", line=2),
        Charge(kind="other", amount=-big),
        Charge(kind="other", amount=-big, tax_rate="0", line=1),
    ]
    sheet = make_sheet("EUR", 2, lines, charges)
    chosen = lines_of((2, "40"))
    assert ordered_sheet(sheet, chosen).total == order_totals(sheet, chosen).total
    assert ordered_sheet(sheet, chosen).taxes[0].base == 2 * big


def test_amounts_of_payments_are_within_what_they_are_for() -> None:
    made = trade("whole")
    cases: list[tuple[str, SigningKey, dict[str, Any]]] = [
        ("advice", BUYER, {"instalment": None, "amount": Money(1001, "EUR", 2)}),  # the invoice comes to 1000
        ("advice", BUYER, {"invoice": None, "amount": Money(1001, "EUR", 2)}),  # and so does the instalment
    ]
    for name, key, changes in cases:
        assert refused(made.without(name), changed(made.papers[name], key, **changes)) == "totals"
    got = made.papers["confirmed"].hash
    answer_payment(made.thread, SELLER, moment(LATER), got, "refund_due", 1000)
    with pytest.raises(BadInput):
        answer_payment(made.thread, SELLER, moment(LATER), got, "refund_due", 1001)
    rest = made.papers["paid_in"]  # less than its invoice
    with pytest.raises(BadInput):
        answer_payment(made.thread, SELLER, moment(LATER), rest.hash, "refund_due", rest.document.amount.amount + 1)  # type: ignore[attr-defined]
    answer_payment(made.thread, BUYER, moment(LATER), got, "refunded", 1000)
    with pytest.raises(BadInput):
        answer_payment(made.thread, BUYER, moment(LATER), got, "refunded", 1001)


def test_what_was_sent_again_is_not_billed_again() -> None:
    made = agreed_trade()
    parcels = [
        made.add(name, make_despatch(made.thread, SELLER, moment(LATER), made.deal, lines_of((1, "20")))).hash
        for name in ("lost", "again")
    ]
    bill = make_invoice(
        made.thread, SELLER, moment(LATER), made.deal, "1", date="2026-06-01", despatches=(parcels[0],)
    )  # fmt: skip
    with pytest.raises(BadInput) as error:
        make_invoice(made.thread, SELLER, moment(LATER), made.deal, "2", date="2026-06-01", despatches=tuple(parcels))
    assert error.value.details["reason"] == "totals"
    included = make_sheet("EUR", 2, bill.document.sheet.lines, tax_included=True)  # type: ignore[attr-defined]
    assert refused(made.thread, changed(bill, SELLER, sheet=included)) == "totals"
