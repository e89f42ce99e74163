"""Invoices in parts, credits, what is owed after them, and what is too much."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import msgspec
import pytest
from deal_world import (
    LATER,
    Trade,
    agreed_trade,
    cancelled_trade,
    changed_terms,
    cheaper_sheet,
    deal_terms,
    lines_of,
    parts_trade,
    received,
    sheet_of,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st
from trade_world import BUYER, DAY, SELLER, a_sheet, asked, changed, moment, some_terms

from p2pmarket.errors import BadInput, NotFound, Refusal, WrongState
from p2pmarket.trade import check
from p2pmarket.trade.agreeing import answer_proposal, propose_cancel, propose_change
from p2pmarket.trade.billing import (
    advise_payment,
    answer_payment,
    confirm_cash,
    credit_amount_sheet,
    credit_sheet,
    instalment_sheet,
    make_credit,
    make_invoice,
)
from p2pmarket.trade.check_bill import billed_of, credited_on, rounding, roundings_of
from p2pmarket.trade.documents import Despatch, Opened
from p2pmarket.trade.fulfilling import make_despatch, make_receipt
from p2pmarket.trade.money import check_totals, make_sheet, priced_line
from p2pmarket.trade.thread import Contract, Thread, fold, in_force
from p2pmarket.trade.thread.contract import fitted
from p2pmarket.trade.thread.deal import (
    advised_of,
    missing_of,
    overpaid_of,
    owed_of,
    payable_of,
    unreceived_of,
    unsent_of,
)
from p2pmarket.trade.values import Charge, Instalment, Money, PaymentTerms, Sheet, Terms

TOTAL = a_sheet().total


def bill(made: Trade, number: str, **more: object) -> Opened:
    return made.add(number, make_invoice(made.thread, SELLER, moment(LATER), made.deal, number, date="2026-06-01", **more))  # type: ignore[arg-type] # fmt: skip # noqa: E501


def credit(made: Trade, number: str, sheet: Sheet, invoice: Opened | None = None) -> Opened:
    about = invoice.hash if invoice else None
    return made.add(number, make_credit(made.thread, SELLER, moment(LATER), made.deal, number, sheet=sheet, date="2026-06-01", invoice=about))  # fmt: skip # noqa: E501


def reason_of(thread: Thread, opened: Opened) -> str | None:
    try:
        check.check(thread, opened, LATER + DAY)
    except Refusal as refusal:
        return refusal.reason
    return None


# Together no more than the contract


def test_all_invoices_together_come_to_the_contract_at_most() -> None:
    made = agreed_trade()
    first = bill(made, "1")
    assert billed_of(made.thread, made.deal) == TOTAL
    assert billed_of(made.thread, made.deal, besides=first.hash) == 0
    assert reason_of(made.thread, changed(first, SELLER, due="2026-06-30")) == "equivocation"
    again = changed(first, SELLER, nonce=b"n" * 16, number="2")
    assert reason_of(made.thread, again) == "totals"
    assert reason_of(made.without("1"), again) is None
    with pytest.raises(BadInput) as error:
        bill(made, "2", instalment=1)
    assert error.value.details["reason"] == "totals"
    credit(made, "C", sheet_of(first), first)
    assert reason_of(made.thread, again) is None
    bill(made, "3")
    for paper in ("1", "C", "3"):
        assert reason_of(made.thread, made.papers[paper]) is None  # what is here already holds
    with pytest.raises(BadInput):
        bill(made, "4", instalment=1)


def test_one_minor_unit_over_the_contract_is_too_much() -> None:
    made = agreed_trade()
    first = bill(made, "1")
    credit(made, "C", credit_amount_sheet(a_sheet(), 1000), first)
    bill(made, "2", instalment=1)  # of 1000
    assert billed_of(made.thread, made.deal) == TOTAL
    short = agreed_trade()
    first = bill(short, "1")
    credit(short, "C", credit_amount_sheet(a_sheet(), 999), first)
    with pytest.raises(BadInput):
        bill(short, "2", instalment=1)


def test_credits_on_an_invoice_come_to_it_at_most_and_others_to_the_deal() -> None:
    made = agreed_trade()
    first = bill(made, "1")
    part = credit(made, "C1", credit_amount_sheet(a_sheet(), TOTAL - 100), first)
    assert reason_of(made.thread, changed(part, SELLER, text="other words")) == "equivocation"
    with pytest.raises(BadInput) as error:
        credit(made, "C2", credit_amount_sheet(a_sheet(), 101), first)
    assert error.value.details["reason"] == "totals"
    credit(made, "C2", credit_amount_sheet(a_sheet(), 100), first)
    assert credited_on(made.thread, made.deal, first.hash) == TOTAL
    assert credited_on(made.thread, made.deal, first.hash, besides=part.hash) == 100
    assert credited_on(made.thread, made.deal, None) == 0
    credit(made, "C3", credit_amount_sheet(a_sheet(), TOTAL - 1))
    with pytest.raises(BadInput) as error:
        credit(made, "C4", credit_amount_sheet(a_sheet(), 2))
    assert error.value.details["reason"] == "totals"
    credit(made, "C4", credit_amount_sheet(a_sheet(), 1))
    for name in ("1", "C1", "C2", "C3", "C4"):
        assert reason_of(made.thread, made.papers[name]) is None


def test_only_the_sellers_papers_of_this_deal_count() -> None:
    """A thread may hold anything; what somebody else signed weighs nothing."""
    made = agreed_trade()
    first = bill(made, "1")
    credit(made, "C", credit_amount_sheet(a_sheet(), 500), first)
    for thread in (
        made.without("1").adding(changed(first, BUYER)).adding(changed(made.papers["C"], BUYER)),
        made.without("1").adding(changed(first, SELLER, deal=b"d" * 32)),
    ):
        assert billed_of(thread, made.deal) == 0
        assert payable_of(thread, made.deal) == TOTAL
        assert credited_on(thread, made.deal, first.hash) == 0


def cups(price: str) -> Trade:
    """A deal about 40 cups, not taxed."""
    line = priced_line(2, request_line=2, quantity="40", unit="EA", text="cups", price=price, exponent=2)
    world = asked().quoted(sheet=make_sheet("EUR", 2, [line]), terms=some_terms()).ordered().answered()
    assert world.order
    return Trade(world.thread, {"order": world.order})


@example([1, 3, 18, 20], "7.77777")
@given(st.lists(st.integers(1, 39), max_size=4, unique=True), st.sampled_from(["1.25", "0.335", "9.999", "7.77777"]))
@settings(max_examples=60, deadline=None)
def test_parts_are_billed_to_the_end_and_never_exceed_the_whole(cuts: list[int], price: str) -> None:
    """However the goods are cut into parcels, every parcel can be billed, and what is billed is the contract's sum."""
    made = cups(price)
    ends = [0, *sorted(cuts), 40]
    for n, (low, high) in enumerate(pairwise(ends)):
        lines = lines_of((2, str(high - low)))
        sent = made.add(f"s{n}", make_despatch(made.thread, SELLER, moment(LATER), made.deal, lines))
        bill(made, f"{n}", despatches=(sent.hash,))
    total = in_force(made.thread, made.deal).sheet.total
    assert 0 <= total - billed_of(made.thread, made.deal) <= len(ends)


def test_rounding_takes_off_what_the_parts_add() -> None:
    made = cups("0.335")
    assert in_force(made.thread, made.deal).sheet.total == 1340
    for n, much in enumerate(("1", "1", "38")):
        sent = made.add(f"s{n}", make_despatch(made.thread, SELLER, moment(LATER), made.deal, lines_of((2, much))))
        bill(made, f"{n}", despatches=(sent.hash,))
    bills = [sheet_of(made.papers[str(n)]) for n in range(3)]
    assert [sheet.total for sheet in bills] == [34, 34, 1272]
    assert [sheet.charges for sheet in bills] == [(), (), (rounding(1),)]


def test_what_is_taken_off_for_rounding_is_small_and_said_once() -> None:
    made = cups("0.335")
    sent = made.add("s", make_despatch(made.thread, SELLER, moment(LATER), made.deal, lines_of((2, "39"))))
    paper = bill(made, "1", despatches=(sent.hash,))
    lines = sheet_of(paper).lines
    last = made.add("t", make_despatch(made.thread, SELLER, moment(LATER), made.deal))
    assert isinstance(last.document, Despatch)
    part = [msgspec.structs.replace(lines[0], quantity="1", amount=34)]
    for charges, reason in (
        ([rounding(1)], None),
        ([rounding(2)], None),  # a line of this one, and one of the other
        ([rounding(3)], "totals"),
        ([rounding(1), rounding(1)], "totals"),
        ([rounding(0)], "totals"),
    ):
        sheet = make_sheet("EUR", 2, part, charges)
        opened = changed(paper, SELLER, number="2", despatches=(last.hash,), sheet=sheet)
        assert reason_of(made.thread, opened) == reason
        if reason is None:
            assert reason_of(made.thread.adding(opened), opened) is None
    made.add("D", make_invoice(made.thread, SELLER, moment(LATER), made.deal, "D", date="2026-06-01", despatches=(last.hash,)))  # fmt: skip # noqa: E501
    forged = changed(made.papers["D"], BUYER, number="F")
    assert roundings_of(made.thread.adding(forged), made.deal, sheet_of(paper)) == 3
    assert roundings_of(made.thread, made.deal, sheet_of(paper), besides=paper.hash) == 2
    assert roundings_of(made.thread, b"d" * 32, sheet_of(paper)) == 1


# What is owed


def test_what_was_credited_and_billed_anew_is_owed() -> None:
    made = agreed_trade()
    first = bill(made, "1")
    assert payable_of(made.thread, made.deal) == TOTAL
    credit(made, "C", sheet_of(first), first)
    assert payable_of(made.thread, made.deal) == 0
    bill(made, "2")
    assert payable_of(made.thread, made.deal) == TOTAL
    credit(made, "D", credit_amount_sheet(a_sheet(), 300), made.papers["2"])
    assert payable_of(made.thread, made.deal) == TOTAL - 300


def test_a_cheaper_change_and_the_credit_that_follows_it_count_once() -> None:
    made = agreed_trade()
    first = bill(made, "1")
    change = made.add("change", propose_change(made.thread, SELLER, moment(LATER), made.deal, sheet=cheaper_sheet(), terms=changed_terms()))  # fmt: skip # noqa: E501
    made.add("changed", answer_proposal(made.thread, BUYER, moment(LATER), change.hash, "accept"))
    less = TOTAL - cheaper_sheet().total
    assert payable_of(made.thread, made.deal) == TOTAL - less
    credit(made, "C", credit_amount_sheet(a_sheet(), less), first)
    assert payable_of(made.thread, made.deal) == TOTAL - less
    credit(made, "D", credit_amount_sheet(a_sheet(), 1), first)
    assert payable_of(made.thread, made.deal) == TOTAL - less - 1


def test_payments_default_to_what_is_owed_and_not_advised() -> None:
    made = agreed_trade()
    made.add("some", advise_payment(made.thread, BUYER, moment(LATER), made.deal, 100))
    assert advised_of(made.thread, made.deal) == 100
    rest = made.add("rest", advise_payment(made.thread, BUYER, moment(LATER), made.deal))
    assert rest.document.amount == Money(TOTAL - 100, "EUR", 2)  # type: ignore[attr-defined]
    with pytest.raises(WrongState):
        advise_payment(made.thread, BUYER, moment(LATER), made.deal)
    with pytest.raises(WrongState):
        confirm_cash(made.thread, SELLER, moment(LATER), made.deal)
    made.add("got", answer_payment(made.thread, SELLER, moment(LATER), made.papers["some"].hash, "confirmed"))
    assert advised_of(made.thread, made.deal) == TOTAL - 100
    assert owed_of(made.thread, made.deal) == TOTAL - 100
    made.add("lost", answer_payment(made.thread, SELLER, moment(LATER), rest.hash, "not_received"))
    assert advised_of(made.thread, made.deal) == 0


def test_what_was_paid_too_much_goes_back() -> None:
    made = agreed_trade()
    first = bill(made, "1")
    got = made.add("cash", confirm_cash(made.thread, SELLER, moment(LATER), made.deal))
    assert overpaid_of(made.thread, made.deal) == 0
    credit(made, "C", credit_amount_sheet(a_sheet(), 500), first)
    assert overpaid_of(made.thread, made.deal) == 500
    due = made.add("due", answer_payment(made.thread, SELLER, moment(LATER), got.hash, "refund_due", 500))
    assert overpaid_of(made.thread, made.deal) == 500
    made.add("back", answer_payment(made.thread, BUYER, moment(LATER), due.hash, "refunded"))
    assert overpaid_of(made.thread, made.deal) == 0
    assert fold(made.thread).payments == {(made.deal, 1): "refunded"}


def test_nobody_uses_up_the_numbers_of_payments() -> None:
    """A seller who gives a payment the last number there is keeps the buyer from nothing."""
    made = agreed_trade()
    cash = confirm_cash(made.thread, SELLER, moment(LATER), made.deal, 100)
    last = made.add("last", changed(cash, SELLER, no=1_000_000))
    assert reason_of(made.thread, last) is None
    assert set(fold(made.thread).payments) == {(made.deal, 1), (made.deal, 1_000_000)}
    advice = made.add("advice", advise_payment(made.thread, BUYER, moment(LATER), made.deal))
    assert advice.document.no == 1  # type: ignore[attr-defined]
    assert reason_of(made.thread, advice) is None


def test_of_a_cancelled_deal_the_refund_that_both_signed_goes_back() -> None:
    made = agreed_trade()
    made.add("cash", confirm_cash(made.thread, SELLER, moment(LATER), made.deal))
    wish = made.add("wish", propose_cancel(made.thread, BUYER, moment(LATER), made.deal, refund=Money(700, "EUR", 2)))
    assert overpaid_of(made.thread, made.deal) == 0
    made.add("yes", answer_proposal(made.thread, SELLER, moment(LATER), wish.hash, "accept"))
    assert overpaid_of(made.thread, made.deal) == 700
    nothing = cancelled_trade()
    assert overpaid_of(nothing.thread, nothing.deal) == 0


# Instalments


def contract_of(sheet: Sheet, *amounts: int) -> Contract:
    parts = tuple(Instalment(amount=amount, stage="before_delivery") for amount in amounts)
    return Contract(0, sheet, Terms(divisible=True, payment=PaymentTerms(instalments=parts)), None)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_an_instalment_is_shared_out_over_the_rates_to_the_last_unit(data: st.DataObject) -> None:
    included = data.draw(st.booleans())
    sheet = make_sheet("EUR", 2, a_sheet().lines, a_sheet().charges, tax_included=included)
    if data.draw(st.booleans()):  # what makes a total round has no tax of its own
        off = data.draw(st.integers(1, sheet.total - 1))
        less = Charge(kind="discount", text="to the total", amount=-off)
        sheet = make_sheet("EUR", 2, sheet.lines, (*sheet.charges, less), tax_included=included)
    amount = data.draw(st.integers(1, sheet.total))
    part = instalment_sheet(contract_of(sheet, amount), 1)
    check_totals(part)
    assert part.total == amount
    assert part.tax_included
    assert abs(part.tax - Fraction(sheet.tax * amount, sheet.total)) <= 2
    assert {one.text for one in part.lines} | {one.text for one in part.charges} == {"instalment 1 of 1"}


def test_a_discount_without_tax_is_shared_out_over_the_instalments_too() -> None:
    """Ten at 10.00 and 19 % on top, to a total of 100.00: the discount of 19.00 has no tax."""
    line = priced_line(1, quantity="10", unit="C62", text="x", price="10", exponent=2, tax_rate="19")
    less = Charge(kind="discount", text="to the total", amount=-1900)
    sheet = make_sheet("EUR", 2, [line], [less])
    assert sheet.total == 10000
    parts = [instalment_sheet(contract_of(sheet, 3000, 7000), number) for number in (1, 2)]
    assert [(one.lines[0].amount, one.charges[0].amount, one.tax, one.total) for one in parts] == [
        (3570, -570, 570, 3000),
        (8330, -1330, 1330, 7000),
    ]


def test_an_instalment_of_untaxed_and_of_free_goods() -> None:
    plain = make_sheet("EUR", 2, [a_sheet().lines[1]])
    untaxed = make_sheet("EUR", 2, [msgspec.structs.replace(a_sheet().lines[1], tax_rate=None)])
    mixed = make_sheet("EUR", 2, [a_sheet().lines[0], untaxed.lines[0]])
    for sheet, rates in ((plain, ["19"]), (untaxed, [None]), (mixed, ["7", None])):
        part = instalment_sheet(contract_of(sheet, 100, sheet.total - 100), 1)
        assert [line.tax_rate for line in part.lines] == rates
        assert part.total == 100
    for number in (0, 3):
        with pytest.raises(BadInput):
            instalment_sheet(contract_of(plain, 100, plain.total - 100), number)
    with pytest.raises(BadInput):
        instalment_sheet(Contract(0, plain, Terms(divisible=True), None), 1)


def test_instalments_are_billed_one_after_the_other() -> None:
    made = agreed_trade()
    parts = deal_terms().payment
    assert parts is not None
    assert parts.instalments is not None
    for number, part in enumerate(parts.instalments, 1):
        assert sheet_of(bill(made, f"{number}", instalment=number)).total == part.amount
    assert billed_of(made.thread, made.deal) == TOTAL


def test_instalments_of_a_part_that_was_ordered_keep_their_proportions() -> None:
    world = asked().quoted(terms=deal_terms()).ordered(lines_of((2, "40")))
    answered = world.answered()
    assert answered.order
    contract = in_force(answered.thread, answered.order.hash)
    assert contract.terms.payment is not None
    parts = contract.terms.payment.instalments or ()
    assert sum(part.amount for part in parts) == contract.sheet.total < TOTAL
    assert parts[0].amount == 1000 * contract.sheet.total // TOTAL
    made = Trade(answered.thread, {"order": answered.order})
    for number in (1, 2):
        bill(made, f"{number}", instalment=number)
    assert billed_of(made.thread, made.deal) == contract.sheet.total
    free = PaymentTerms(instalments=(Instalment(amount=0, stage="before_delivery"),))
    assert fitted(Terms(divisible=True, payment=free), 10).payment == free
    assert fitted(Terms(divisible=True), 10) == Terms(divisible=True)


# Credits


def test_a_credit_of_lines_and_of_an_amount() -> None:
    sheet = credit_sheet(a_sheet(), {2: Fraction(5), 1: Fraction(1, 2)})
    assert [(line.no, line.quantity, line.tax_rate) for line in sheet.lines] == [(1, "0.5", "7"), (2, "5", "19")]
    check_totals(sheet)
    part = credit_amount_sheet(a_sheet(), 107)
    assert (part.total, part.tax, part.lines[0].no) == (107, 7, 1)
    wrong: list[dict[int, Fraction]] = [{}, {3: Fraction(1)}, {2: Fraction(41)}, {2: Fraction(0)}]
    for quantities in wrong:
        with pytest.raises(BadInput):
            credit_sheet(a_sheet(), quantities)
    for amount in (0, TOTAL + 1):
        with pytest.raises(BadInput):
            credit_amount_sheet(a_sheet(), amount)


# What is on its way


def test_parcels_hold_what_is_left_unless_said_otherwise() -> None:
    made = agreed_trade()
    one = made.add("one", make_despatch(made.thread, SELLER, moment(LATER), made.deal, lines_of((1, "20"), (2, "10"))))
    assert unsent_of(made.thread, made.deal) == {2: 30}
    assert missing_of(made.thread, made.deal) == {1: 20, 2: 40}
    two = made.add("two", make_despatch(made.thread, SELLER, moment(LATER), made.deal))
    assert isinstance(two.document, Despatch)
    assert two.document.lines == lines_of((2, "30"))
    with pytest.raises(WrongState):
        make_despatch(made.thread, SELLER, moment(LATER), made.deal)
    assert [found for found, _ in unreceived_of(made.thread, made.deal)] == [one.hash, two.hash]
    short = received((1, "20", "full"), (2, "8", "short"), (2, "1", "refused"))
    made.add("short", make_receipt(made.thread, BUYER, moment(LATER), made.deal, short, despatch=one.hash))
    with pytest.raises(WrongState):
        make_receipt(made.thread, BUYER, moment(LATER), made.deal, despatch=one.hash)
    with pytest.raises(NotFound):
        make_receipt(made.thread, BUYER, moment(LATER), made.deal, despatch=made.deal)
    assert unsent_of(made.thread, made.deal) == {2: 2}
    assert missing_of(made.thread, made.deal) == {2: 32}
    made.add("rest", make_despatch(made.thread, SELLER, moment(LATER), made.deal))
    made.add("all", make_receipt(made.thread, BUYER, moment(LATER), made.deal))  # without naming a parcel
    assert (missing_of(made.thread, made.deal), unsent_of(made.thread, made.deal)) == ({}, {})
    assert fold(made.thread).deals[made.deal] == "delivered"
    with pytest.raises(WrongState):
        make_receipt(made.thread, BUYER, moment(LATER), made.deal)


def test_a_trade_in_parts_ends_completed() -> None:
    made = parts_trade()
    assert fold(made.thread).deals[made.deal] == "completed"
    assert sum(sheet_of(made.papers[name]).total for name in ("billed", "billed_rest")) <= TOTAL
