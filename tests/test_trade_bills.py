"""To which invoices payments count, whether they name one or not, and what each still asks for."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

import pytest
from deal_world import LATER, Trade, agreed_trade, cancelled_trade, lines_of
from hypothesis import given, settings
from hypothesis import strategies as st
from trade_world import BUYER, SELLER, a_sheet, asked, moment, some_terms

from p2pmarket.errors import BadInput, WrongState
from p2pmarket.network import TEST
from p2pmarket.trade import check
from p2pmarket.trade.billing import (
    advise_payment,
    answer_payment,
    confirm_cash,
    credit_amount_sheet,
    make_credit,
    make_invoice,
)
from p2pmarket.trade.bills import bills_of, paid_of, shares_of
from p2pmarket.trade.documents import Opened, Payment
from p2pmarket.trade.fulfilling import make_despatch
from p2pmarket.trade.money import make_sheet, priced_line
from p2pmarket.trade.thread import Thread, fold
from p2pmarket.trade.thread.deal import left_of, overpaid_of, owed_of, payable_of

PARTS = (100, 250, 650)  # what the three invoices of `three_bills` come to


def three_bills(billed: int = 3) -> Trade:
    """Forty cups at 0.25, sent in three parcels of which so many are billed."""
    line = priced_line(2, request_line=2, quantity="40", unit="EA", text="cups", price="0.25", exponent=2)
    world = asked().quoted(sheet=make_sheet("EUR", 2, [line]), terms=some_terms()).ordered().answered()
    assert world.order
    made = Trade(world.thread, {"order": world.order})
    for n, much in enumerate(("4", "10", "26")[:billed], 1):
        sent = made.add(f"s{n}", make_despatch(made.thread, SELLER, moment(LATER), made.deal, lines_of((2, much))))
        number = f"R-{n + 8}"  # in the order of numbers, not of letters
        made.add(f"i{n}", make_invoice(made.thread, SELLER, moment(LATER), made.deal, number, date="2026-06-01", despatches=(sent.hash,)))  # fmt: skip # noqa: E501
    return made


def pay(made: Trade, amount: int | None = None, invoice: str | None = None, instalment: int | None = None) -> Opened:
    about = made.papers[invoice].hash if invoice else None
    opened = advise_payment(made.thread, BUYER, moment(LATER), made.deal, amount, invoice=about, instalment=instalment)
    return made.add(f"p{len(made.papers)}", opened)


def answer(made: Trade, about: Opened, step: str = "confirmed") -> None:
    made.add(f"a{len(made.papers)}", answer_payment(made.thread, SELLER, moment(LATER), about.hash, step))  # type: ignore[arg-type]


def opens(made: Trade) -> list[int]:
    return [bill.open for bill in bills_of(made.thread, made.deal)]


def paids(made: Trade) -> list[int]:
    return [bill.paid for bill in bills_of(made.thread, made.deal)]


def number_of(opened: Opened) -> int:
    assert isinstance(opened.document, Payment)
    return opened.document.no


def test_what_names_no_invoice_counts_to_the_oldest_that_are_open() -> None:
    made = three_bills()
    assert opens(made) == list(PARTS)
    first = pay(made, 300)
    assert (opens(made), paids(made)) == ([0, 50, 650], [0, 0, 0])
    answer(made, first)
    assert (opens(made), paids(made)) == ([0, 50, 650], [100, 200, 0])
    second = pay(made, 650, "i3")
    assert opens(made) == [0, 50, 0]
    answer(made, second, "not_received")
    assert opens(made) == [0, 50, 650]
    rest = pay(made)
    assert opens(made) == [0, 0, 0]
    hashes = [made.papers[name].hash for name in ("i2", "i3")]
    assert shares_of(made.thread, made.deal, number_of(rest)) == dict(zip(hashes, (50, 650), strict=True))
    with pytest.raises(WrongState):
        pay(made)


def test_what_is_named_stays_there_and_pushes_the_rest_on() -> None:
    made = three_bills()
    pay(made, 250)
    assert opens(made) == [0, 100, 650]
    pay(made, 250, "i2")  # now the other counts to the first and the third
    assert opens(made) == [0, 0, 500]


def test_what_an_invoice_does_not_need_any_more_counts_to_the_others() -> None:
    made = three_bills()
    answer(made, pay(made, 250, "i2"))
    back = credit_amount_sheet(bills_of(made.thread, made.deal)[1].invoice.sheet, 200)  # fmt: skip
    made.add("c", make_credit(made.thread, SELLER, moment(LATER), made.deal, "C1", sheet=back, date="2026-06-01", invoice=made.papers["i2"].hash))  # fmt: skip # noqa: E501
    assert (paids(made), opens(made)) == ([100, 50, 100], [0, 0, 550])


def test_what_nobody_needs_stays_where_it_was_named() -> None:
    made = agreed_trade()
    bill = made.add("i", make_invoice(made.thread, SELLER, moment(LATER), made.deal, "1", date="2026-06-01"))
    answer(made, pay(made, a_sheet().total, "i"))
    back = credit_amount_sheet(a_sheet(), 500)
    made.add("c", make_credit(made.thread, SELLER, moment(LATER), made.deal, "C", sheet=back, date="2026-06-01", invoice=bill.hash))  # fmt: skip # noqa: E501
    assert paids(made) == [a_sheet().total]
    assert overpaid_of(made.thread, made.deal) == 500


def test_open_is_at_most_what_is_left_of_the_deal() -> None:
    made = three_bills()
    back = credit_amount_sheet(bills_of(made.thread, made.deal)[2].invoice.sheet, 400)
    made.add("c", make_credit(made.thread, SELLER, moment(LATER), made.deal, "C1", sheet=back, date="2026-06-01"))
    assert opens(made) == [100, 250, 250]  # a credit on the deal names no invoice: the last asks for less
    part = three_bills(1)
    assert opens(part) == [100]
    pay(part, 30)
    assert opens(part) == [70]


def test_a_payment_of_an_instalment_counts_to_its_invoice() -> None:
    made = agreed_trade()
    for n in (1, 2):
        made.add(f"i{n}", make_invoice(made.thread, SELLER, moment(LATER), made.deal, f"{n}", date="2026-06-01", instalment=n))  # fmt: skip # noqa: E501
    total = a_sheet().total
    pay(made, 400, instalment=2)
    assert opens(made) == [1000, total - 1400]


def test_what_names_an_invoice_counts_before_what_names_an_instalment() -> None:
    made = agreed_trade()
    first = made.add("i1", make_invoice(made.thread, SELLER, moment(LATER), made.deal, "1", date="2026-06-01", instalment=1))  # fmt: skip # noqa: E501
    back = credit_amount_sheet(bills_of(made.thread, made.deal)[0].invoice.sheet, 300)
    made.add("c", make_credit(made.thread, SELLER, moment(LATER), made.deal, "C", sheet=back, date="2026-06-01", invoice=first.hash))  # fmt: skip # noqa: E501
    made.add("i2", make_invoice(made.thread, SELLER, moment(LATER), made.deal, "2", date="2026-06-01", instalment=1))
    answer(made, pay(made, 900, instalment=1))
    answer(made, pay(made, 1000, "i2"))
    assert paids(made) == [900, 1000]  # 200 more than the first needs, and the second is paid by what names it


def test_money_that_nobody_advised_counts_too() -> None:
    made = three_bills()
    made.add("cash", confirm_cash(made.thread, SELLER, moment(LATER), made.deal, 120))
    assert (paids(made), opens(made)) == ([100, 20, 0], [0, 230, 650])


def test_of_a_cancelled_deal_nothing_is_left() -> None:
    made = cancelled_trade()
    assert owed_of(made.thread, made.deal) > 0
    assert left_of(made.thread, made.deal) == 0
    with pytest.raises(WrongState):
        pay(made)
    pay(made, 100)  # money may have moved all the same
    assert left_of(made.thread, made.deal) == 0


def test_more_than_is_owed_is_taken_from_whoever_signed_it() -> None:
    """Older programs let it be signed; what both hold must not depend on who holds it."""
    made = three_bills()
    first, second = pay(made), pay(made, 650, "i3")
    check.check(made.thread, second, LATER)
    assert (left_of(made.thread, made.deal), opens(made)) == (-650, [0, 0, 0])
    answer(made, first)
    answer(made, second)
    assert overpaid_of(made.thread, made.deal) == 650


def test_a_payment_denied_in_error_is_confirmed_although_nothing_is_owed_by_now() -> None:
    """After the denial all was credited: the payment is shown no more, and has its place all the same."""
    made = three_bills()
    paid = pay(made, 500)
    answer(made, paid, "not_received")
    _credit(made, 2, PARTS[2], on_deal=False)
    _credit(made, 1, PARTS[1], on_deal=False)
    _credit(made, 0, PARTS[0], on_deal=False)
    assert fold(made.thread).payments == {}
    answer(made, paid)
    assert overpaid_of(made.thread, made.deal) == 500


# Whatever is done

Act = Callable[[Trade, int, int], None]


def _pay_deal(made: Trade, which: int, amount: int) -> None:
    pay(made, amount if which else None)


def _pay_bill(made: Trade, which: int, amount: int) -> None:
    pay(made, amount, f"i{which + 1}")


def _pay_open(made: Trade, which: int, amount: int) -> None:
    pay(made, bills_of(made.thread, made.deal)[which].open, f"i{which + 1}")


def _answer(made: Trade, which: int, amount: int, step: str) -> None:
    waiting = [one for one in made.papers.values() if isinstance(one.document, Payment)]
    answer(made, waiting[amount % len(waiting)], step)


def _credit(made: Trade, which: int, amount: int, on_deal: bool) -> None:
    sheet = credit_amount_sheet(bills_of(made.thread, made.deal)[which].invoice.sheet, amount)
    about = None if on_deal else made.papers[f"i{which + 1}"].hash
    number = f"C{len(made.papers)}"
    made.add(number, make_credit(made.thread, SELLER, moment(LATER), made.deal, number, sheet=sheet, date="2026-06-01", invoice=about))  # fmt: skip # noqa: E501


ACTS: dict[str, Act] = {
    "pay": _pay_deal,
    "pay bill": _pay_bill,
    "pay open": _pay_open,
    "confirm": partial(_answer, step="confirmed"),
    "deny": partial(_answer, step="not_received"),
    "credit bill": partial(_credit, on_deal=False),
    "credit deal": partial(_credit, on_deal=True),
}
DEEDS = st.lists(st.tuples(st.sampled_from(sorted(ACTS)), st.integers(0, 2), st.integers(1, 700)), max_size=9)


def done(deeds: list[tuple[str, int, int]]) -> Trade:
    """A trade in which all was done of these that can be."""
    made = three_bills()
    for name, which, amount in deeds:
        try:
            ACTS[name](made, which, amount)
        except (BadInput, WrongState, ZeroDivisionError):
            continue
    return made


@given(DEEDS)
@settings(max_examples=150, deadline=None)
def test_invoices_ask_for_what_is_left_and_no_cent_counts_twice(deeds: list[tuple[str, int, int]]) -> None:
    made = done(deeds)
    bills, money = bills_of(made.thread, made.deal), paid_of(made.thread, made.deal)
    left = left_of(made.thread, made.deal)
    assert sum(bill.open for bill in bills) == max(0, left)  # all of the deal is billed
    assert all(0 <= bill.paid <= bill.told and bill.open >= 0 for bill in bills)
    assert sum(bill.told for bill in bills) <= sum(one.amount for one in money.values())
    assert left == payable_of(made.thread, made.deal) - sum(one.amount for one in money.values())
    shares = {no: shares_of(made.thread, made.deal, no) for no in money}
    assert all(sum(shares[no].values()) <= money[no].amount for no in money)
    assert all(share > 0 for each in shares.values() for share in each.values())


@given(DEEDS, st.randoms())
@settings(max_examples=60, deadline=None)
def test_both_sides_reckon_the_same_in_any_order_of_arrival(
    deeds: list[tuple[str, int, int]], chance: random.Random
) -> None:
    made = done(deeds)
    papers = list(made.thread.documents.values())
    chance.shuffle(papers)
    other = Thread.of(TEST, made.thread.seller, made.thread.request, papers)
    assert bills_of(other, made.deal) == bills_of(made.thread, made.deal)
    for no in paid_of(made.thread, made.deal):
        assert shares_of(other, made.deal, no) == shares_of(made.thread, made.deal, no)


@given(DEEDS)
@settings(max_examples=60, deadline=None)
def test_who_pays_what_each_invoice_asks_for_pays_the_deal_and_no_more(deeds: list[tuple[str, int, int]]) -> None:
    made = done([deed for deed in deeds if deed[0] not in {"pay bill"}])
    before = left_of(made.thread, made.deal)
    for which in range(3):
        asks = bills_of(made.thread, made.deal)[which].open
        if asks:
            answer(made, pay(made, asks, f"i{which + 1}"))
    assert left_of(made.thread, made.deal) == min(0, before)
    assert fold(made.thread).contradictions == ()
