"""Checks of bills and payments at their edges: each test fails if one condition of a check is spoiled."""

from __future__ import annotations

from typing import Any

import msgspec
from check_edges import OTHER, lacking, paper, refusal_of, whole, with_more
from deal_world import LATER, changed_terms, sheet_of
from talk_fields import NO_HASH
from trade_world import BUYER, SELLER, a_sheet, changed, moment

from p2pmarket.trade.billing import answer_payment, refund_alone
from p2pmarket.trade.documents import Opened
from p2pmarket.trade.money import make_sheet, priced_line
from p2pmarket.trade.thread import Thread
from p2pmarket.trade.thread.contract import reduced_line
from p2pmarket.trade.values import Charge, Money, Sheet

# Bills


def bill(opened: Opened, sheet: Sheet | None = None, **fields: Any) -> Opened:
    """The invoice under another number."""
    if sheet is not None:
        fields["sheet"] = sheet
    return changed(opened, SELLER, number="X", nonce=OTHER, **fields)


def credit_of(amount: int, invoice: bytes | None, number: str = "X") -> Opened:
    """A credit of one line that comes to an amount."""
    price = f"{amount / 100:.2f}".rstrip("0").rstrip(".")
    sheet = make_sheet("EUR", 2, [priced_line(2, quantity="1", unit="EA", text="back", price=price, exponent=2)])
    assert sheet.total == amount
    return changed(paper("whole", "credit"), SELLER, number=number, nonce=OTHER, sheet=sheet, invoice=invoice)


def test_all_invoices_together_come_to_the_deal_at_most() -> None:
    invoice = paper("whole", "invoice")
    assert refusal_of(whole(), bill(invoice)) == "totals"
    returned = credit_of(sheet_of(invoice).total, invoice.hash)
    assert refusal_of(with_more(lacking("whole", "credit"), returned), bill(invoice)) is None
    most = 2 * sheet_of(invoice).total - a_sheet().total  # of the two contracts the first comes to more
    just, less = credit_of(most, invoice.hash), credit_of(most - 1, invoice.hash)
    assert refusal_of(with_more(lacking("whole", "credit"), just), bill(invoice)) is None
    assert refusal_of(with_more(lacking("whole", "credit"), less), bill(invoice)) == "totals"


def test_only_the_sellers_bills_of_this_deal_count() -> None:
    invoice = paper("whole", "invoice")
    thread = lacking("whole", "invoice", "credit", "paid", "paid_in")
    for stranger in (changed(invoice, BUYER, number="Y"), changed(invoice, SELLER, deal=NO_HASH, number="Y")):
        assert refusal_of(with_more(thread, stranger), invoice) is None


def test_a_credit_that_came_before_its_bill_is_counted() -> None:
    thread = lacking("whole", "invoice", "paid", "paid_in", "credit")
    invoice = paper("whole", "invoice")
    first = bill(invoice)
    returned = credit_of(sheet_of(invoice).total, first.hash)
    assert refusal_of(with_more(thread, returned, invoice), first) is None


def test_credits_come_to_their_invoice_at_most() -> None:
    invoice = paper("whole", "invoice")
    thread = lacking("whole", "credit")
    total = sheet_of(invoice).total
    assert refusal_of(thread, credit_of(total, invoice.hash)) is None
    assert refusal_of(thread, credit_of(total + 1, invoice.hash)) == "totals"
    half = credit_of(total // 2, invoice.hash, "H")
    assert refusal_of(with_more(thread, half), half) is None
    assert refusal_of(with_more(thread, half), credit_of(total - total // 2, invoice.hash)) is None
    assert refusal_of(with_more(thread, half), credit_of(total - total // 2 + 1, invoice.hash)) == "totals"


def test_credits_on_the_deal_come_to_the_deal_at_most() -> None:
    total = max(a_sheet().total, sheet_of(paper("whole", "invoice")).total)
    thread = whole()
    assert refusal_of(thread, credit_of(1, None)) is None
    assert refusal_of(thread, credit_of(total, None)) is None
    assert refusal_of(thread, credit_of(total + 1, None)) == "totals"
    foreign = [
        changed(credit_of(total, None, "F"), BUYER, recipient=SELLER.public),
        changed(credit_of(total, None, "F"), SELLER, deal=NO_HASH),
        credit_of(total, paper("whole", "deposit").hash, "F"),
    ]
    for other in foreign:
        assert refusal_of(with_more(thread, other), credit_of(total, None)) is None
    strange = msgspec.structs.replace(sheet_of(credit_of(5, None)).lines[0], no=9)
    sheet = make_sheet("EUR", 2, [strange])
    assert refusal_of(thread, changed(credit_of(5, None), SELLER, sheet=sheet)) == "lines"
    line_by_line = changed(credit_of(5, paper("whole", "invoice").hash), SELLER, sheet=sheet)
    assert refusal_of(thread, line_by_line) == "lines"


def test_a_credit_of_all_lines_of_the_deal() -> None:
    lines = [priced_line(no, quantity="1", unit="EA", text="part", price="1", exponent=2) for no in (1, 2)]
    credit = changed(credit_of(200, None), SELLER, sheet=make_sheet("EUR", 2, lines))
    assert refusal_of(whole(), credit) is None
    on_invoice = changed(credit, SELLER, invoice=paper("whole", "invoice").hash)
    assert refusal_of(lacking("whole", "credit"), on_invoice) is None


# Bills of parts


def part_bill(charge: Charge | None, **fields: Any) -> Opened:
    """The first part's bill with one more charge."""
    billed = paper("parts", "billed")
    sheet = sheet_of(billed)
    charges = sheet.charges if charge is None else (*sheet.charges, charge)
    return bill(billed, make_sheet("EUR", 2, sheet.lines, charges), **fields)


def rounding(amount: int) -> Charge:
    return Charge(kind="discount", text="rounding", amount=-amount)


def without_bills() -> Thread:
    return lacking("parts", "billed", "billed_rest", "cash")


def test_a_discount_for_rounding_is_as_large_as_roundings_are() -> None:
    sheet = sheet_of(paper("parts", "billed"))
    most = len(sheet.lines) + len(sheet.taxes)
    for amount in (1, most):
        assert refusal_of(without_bills(), part_bill(rounding(amount))) is None, amount
    for amount in (0, -1, most + 1, most + 2):
        assert refusal_of(without_bills(), part_bill(rounding(amount))) == "totals", amount
    assert refusal_of(without_bills(), part_bill(msgspec.structs.replace(rounding(1), text="gift"))) == "totals"
    assert refusal_of(without_bills(), part_bill(msgspec.structs.replace(rounding(1), kind="delivery"))) == "totals"


def test_parts_are_named_once_and_tax_is_as_in_the_deal() -> None:
    billed = paper("parts", "billed")
    sheet, sent = sheet_of(billed), paper("parts", "sent").hash
    twice = [reduced_line(line, str(2 * int(line.quantity)), 2) for line in sheet.lines]
    assert refusal_of(without_bills(), bill(billed, make_sheet("EUR", 2, twice), despatches=(sent, sent))) == "lines"
    included = make_sheet("EUR", 2, sheet.lines, sheet.charges, tax_included=True)
    assert refusal_of(without_bills(), bill(billed, included)) == "totals"


# Payments


def advice(amount: int, **fields: Any) -> Opened:
    return changed(paper("whole", "advice"), BUYER, no=9, nonce=OTHER, amount=Money(amount, "EUR", 2), **fields)


def test_a_payment_of_an_invoice_or_of_a_part_comes_to_it_at_most() -> None:
    deposit = paper("whole", "deposit").hash
    thread = lacking("whole", "change", "changed")
    for invoice, instalment in ((deposit, 1), (None, 1), (deposit, None)):
        for amount, reason in ((1000, None), (999, None), (1001, "totals")):
            paid = advice(amount, invoice=invoice, instalment=instalment)
            assert refusal_of(thread, paid) == reason, (invoice, instalment, amount)


def test_money_back_is_at_most_what_came() -> None:
    thread = lacking("whole", "change", "changed")
    due = answer_payment(thread, SELLER, moment(LATER), paper("whole", "confirmed").hash, "refund_due", 1000)
    assert refusal_of(thread, due) is None
    assert refusal_of(thread, changed(due, SELLER, amount=Money(999, "EUR", 2))) is None
    assert refusal_of(thread, changed(due, SELLER, amount=Money(1001, "EUR", 2))) == "totals"


def test_money_back_beyond_all_payments_names_none_of_them() -> None:
    deal, deposit = paper("whole", "order").hash, paper("whole", "deposit").hash
    thread = lacking("whole", "change", "changed")
    more = refund_alone(thread, SELLER, moment(LATER), deal, 1000)
    assert refusal_of(thread, more) is None
    for fields in ({"invoice": deposit}, {"instalment": 1}, {"invoice": deposit, "instalment": 1}):
        assert refusal_of(thread, changed(more, SELLER, **fields)) == "code"
    assert refusal_of(thread, changed(more, SELLER, amount=Money(a_sheet().total + 1, "EUR", 2))) == "totals"


def test_an_instalment_of_terms_that_have_none() -> None:
    assert refusal_of(whole(), bill(paper("whole", "deposit"), instalment=3)) == "terms"
    assert refusal_of(whole(), advice(1, invoice=None, instalment=3)) == "terms"


def test_terms_without_payment_hold() -> None:
    change = paper("whole", "change")
    terms = msgspec.structs.replace(changed_terms(), payment=None)
    proposal = changed(change, SELLER, version=2, nonce=OTHER, terms=terms)
    assert refusal_of(whole(), proposal) is None
    accepted = changed(paper("whole", "changed"), BUYER, about=proposal.hash, version=2)
    assert refusal_of(with_more(whole(), proposal), accepted) is None
    thread = with_more(whole(), proposal, accepted)
    assert refusal_of(thread, advice(1, invoice=None, instalment=3)) == "terms"
