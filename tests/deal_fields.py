"""Values that never fit, for each bound field of each document of a deal; and the fields that nothing binds."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
import talk_fields
from deal_world import (
    REFEREE,
    Trade,
    changed_terms,
    cheaper_sheet,
    deal_terms,
    lines_of,
    one_line_sheet,
    parts_trade,
    quarrel,
    received,
    sheet_of,
    whole_trade,
)
from talk_fields import (
    CANCEL_ANSWER,
    CHANGE_ANSWER,
    CLOCK,
    DEAL,
    DISPUTE_STEP,
    EURO,
    NO_HASH,
    NO_SIGNATURE,
    PAYMENT_ANSWER,
    SOON,
    Bound,
    Wrong,
)
from trade_world import BUYER, DAY, REQUEST_KEY, SELLER, STRANGER, WALL, a_sheet, some_terms

from p2pmarket import limits
from p2pmarket.trade.check_bill import rounding
from p2pmarket.trade.money import make_sheet
from p2pmarket.trade.values import Aspect, Money, PaymentTerms, Sheet

KEYS = {key.public: key for key in (BUYER, SELLER, REQUEST_KEY, STRANGER, REFEREE)}
BAD_LINK = ("cash", "payto://iban/DE00")


@cache
def trades() -> dict[str, Trade]:
    made = {"whole": whole_trade(), "quarrel": quarrel(), "parts": parts_trade()}
    return made | {name: make() for name, make in talk_fields.TRADES.items()}


def hash_of(name: str, trade: str = "whole") -> bytes:
    return trades()[trade].papers[name].hash


def with_sheet(sheet: Sheet, **changes: Any) -> Sheet:
    return msgspec.structs.replace(sheet, **changes)


def dearer(sheet: Sheet) -> Sheet:
    """A sheet that adds up, at another price."""
    first, *others = sheet.lines
    line = msgspec.structs.replace(first, price="13", amount=26000)
    return make_sheet(sheet.currency, sheet.exponent, [line, *others], sheet.charges)


def in_dollars(sheet: Sheet) -> Sheet:
    return with_sheet(sheet, currency="USD")


SUMS = [("totals", with_sheet(a_sheet(), total=1)), ("totals", with_sheet(a_sheet(), tax=1))]
WRONG_SHEETS: Wrong = [*SUMS, ("currency", in_dollars(a_sheet())), ("currency", with_sheet(a_sheet(), exponent=3))]
PARTS = msgspec.structs.replace(deal_terms(), payment=msgspec.structs.replace(deal_terms().payment, instalments=(deal_terms().payment.instalments[0],)))  # type: ignore[union-attr, index, type-var] # fmt: skip # noqa: E501
LINKED = msgspec.structs.replace(changed_terms(), payment=PaymentTerms(methods=BAD_LINK))
MUCH = Money(10**9, "EUR", 2)


def parts_sheet() -> Sheet:
    """What the first part comes to."""
    return sheet_of(trades()["parts"].papers["billed"])


def rounded(amount: int, **changes: Any) -> Sheet:
    """The same with a discount for rounding."""
    charge = msgspec.structs.replace(rounding(amount), **changes)
    return make_sheet("EUR", 2, parts_sheet().lines, (*a_sheet().charges, charge))


def money(*reasons: str) -> Wrong:
    """Amounts that never fit, for these reasons."""
    values = {
        "currency": [Money(100, "USD", 2), Money(100, "EUR", 3)],
        "totals": [Money(0, "EUR", 2), Money(-1, "EUR", 2), MUCH],
    }
    return [(reason, value) for reason in reasons for value in values[reason]]


CASES: dict[tuple[str, str], tuple[Bound, str]] = {
    ("whole", "counter"): (
        {
            "issued_at": [*CLOCK, ("times", WALL + 2 * DAY)],
            "request": [("unknown_request", NO_HASH)],
            "version": [("version", 2), ("version", 20)],
            "answers": [("unknown_quote", NO_HASH)],
            "valid_until": [("times", WALL + 70), ("times", WALL + 71 + limits.QUOTE_SECONDS)],
            "sheet": [*WRONG_SHEETS, ("lines", one_line_sheet())],
            "missing_lines": [("lines", ()), ("lines", (2, 3))],
            "terms": [("terms", PARTS), ("terms", LINKED)],
        },
        "nonce language text attachments",
    ),
    ("whole", "answer"): (
        {
            "issued_at": CLOCK,
            "about": [("unknown_document", NO_HASH)],
            "answers": [("unknown_document", NO_HASH)],
            "text": [("code", None)],
            "identity": [("identity", BUYER.public)],
            "identity_signature": [("identity", NO_SIGNATURE)],
        },
        "nonce language attachments",
    ),
    ("whole", "introduction"): (
        {
            "issued_at": CLOCK,
            "about": [("unknown_document", NO_HASH)],
            "answers": [("unknown_document", NO_HASH)],
            "identity": [("identity", None), ("signature", STRANGER.public), ("identity", SELLER.public)],
            "identity_signature": [("identity", None), ("signature", NO_SIGNATURE)],
        },
        "nonce language text attachments",
    ),
    ("whole", "change"): (
        {
            "issued_at": CLOCK,
            "deal": DEAL,
            "version": [("unknown_document", 2), ("unknown_document", 3)],
            "step": [("code", "accept"), ("code", "reject")],
            "about": [("code", NO_HASH)],
            "sheet": [*WRONG_SHEETS, ("code", None)],
            "terms": [("terms", some_terms()), ("terms", PARTS), ("terms", LINKED), ("code", None)],
        },
        "nonce language deliver_to reason text",
    ),
    ("whole", "changed"): (CHANGE_ANSWER, "nonce language reason text"),
    ("quarrel", "wish"): (
        {
            "issued_at": CLOCK,
            "deal": DEAL,
            "step": [("code", "accept"), ("code", "reject")],
            "about": [("code", NO_HASH)],
            "refund": money("currency", "totals"),
        },
        "nonce language reason text",
    ),
    ("quarrel", "refused"): (CANCEL_ANSWER, "nonce language reason text"),
    ("whole", "despatch"): (
        {
            "issued_at": CLOCK,
            "deal": DEAL,
            "lines": [
                ("lines", lines_of((1, "21"))),
                ("lines", lines_of((9, "1"))),
                ("lines", lines_of((1, "0"))),
                ("lines", lines_of((2, "0.5"))),
                ("lines", lines_of((1, "1"), (1, "2"))),
            ],
            "despatched_at": [("times", SOON)],
        },
        "nonce language no carrier tracking url parcels expected files text",
    ),
    ("whole", "receipt"): (
        {
            "issued_at": CLOCK,
            "deal": DEAL,
            "despatch": [("unknown_document", NO_HASH)],
            "lines": [
                ("lines", received((1, "21", "full"))),
                ("lines", received((1, "19", "full"))),
                ("lines", received((1, "20", "short"))),
                ("lines", received((2, "11", "damaged"))),
                ("lines", received((2, "8", "damaged"), (2, "3", "refused"))),
                ("lines", received((2, "1.5", "damaged"))),
                ("lines", received((2, "0", "damaged"))),
                ("lines", received((9, "1", "refused"))),
                ("lines", received((1, "1", "short"), (1, "2", "short"))),
            ],
        },
        "nonce language no received_on text attachments",
    ),
    ("whole", "deposit"): (
        {
            "issued_at": CLOCK,
            "deal": DEAL,
            "sheet": [*WRONG_SHEETS, ("totals", a_sheet())],
            "due": [("times", "2026-05-31")],
            "instalment": [("terms", 3), ("totals", 2), ("lines", None)],
            "despatches": [("code", (NO_HASH,))],
            "methods": [("terms", BAD_LINK)],
        },
        "nonce language number date payee payer text attachments",
    ),
    ("whole", "invoice"): (
        {
            "issued_at": CLOCK,
            "deal": DEAL,
            "sheet": [
                *WRONG_SHEETS,
                ("totals", dearer(a_sheet())),
                ("lines", one_line_sheet()),
                ("totals", make_sheet("EUR", 2, a_sheet().lines)),
                ("totals", make_sheet("EUR", 2, a_sheet().lines, cheaper_sheet().charges, tax_included=True)),
            ],
            "date": [("times", "2026-06-17")],
            "due": [("times", "2026-06-01")],
            "instalment": [("terms", 3), ("terms", 1)],
            "despatches": [("unknown_document", (NO_HASH,))],
            "methods": [("terms", BAD_LINK)],
        },
        "nonce language number payee payer text attachments",
    ),
    ("parts", "billed"): (
        {
            "issued_at": CLOCK,
            "deal": DEAL,
            "sheet": [
                *WRONG_SHEETS,
                ("totals", dearer(parts_sheet())),
                ("lines", one_line_sheet()),
                ("totals", make_sheet("EUR", 2, parts_sheet().lines, (*a_sheet().charges, a_sheet().charges[1]))),
                ("totals", rounded(-1)),
                ("totals", rounded(5)),
                ("totals", rounded(1, text="rebate")),
                ("totals", rounded(1, tax_rate="7")),
                ("totals", rounded(1, line=1)),
            ],
            "instalment": [("code", 1)],
            "due": [("times", "2026-06-01")],
            "despatches": [("unknown_document", (NO_HASH,)), ("lines", None)],
            "methods": [("terms", BAD_LINK)],
        },
        "nonce language number date payee payer text attachments",
    ),
    ("parts", "cash"): (
        {
            "issued_at": CLOCK,
            "deal": DEAL,
            "step": [("wrong_signer", "advised"), ("wrong_signer", "refunded"), ("code", "not_received")],
            "about": [("unknown_document", NO_HASH)],
            "invoice": [("unknown_document", NO_HASH)],
            "instalment": [("terms", 3)],
            "amount": money("currency", "totals"),
            "method": [("terms", "payto://iban/DE00")],
            "paid_at": [("times", SOON)],
        },
        "nonce language no reference proof text",
    ),
    ("parts", "more"): (
        {
            "issued_at": CLOCK,
            "deal": DEAL,
            "step": [("wrong_signer", "advised"), ("wrong_signer", "refunded"), ("code", "not_received")],
            "about": [("unknown_document", NO_HASH)],
            "invoice": [("unknown_document", NO_HASH)],
            "instalment": [("terms", 3), ("code", 1)],
            "amount": money("currency", "totals"),
            "method": [("terms", "payto://iban/DE00")],
            "paid_at": [("times", SOON)],
        },
        "nonce language no reference proof text",
    ),
    ("whole", "credit"): (
        {
            "issued_at": CLOCK,
            "deal": DEAL,
            "invoice": [("unknown_document", NO_HASH)],
            "sheet": [
                *WRONG_SHEETS,
                ("totals", dearer(a_sheet())),
                ("lines", make_sheet("EUR", 2, [msgspec.structs.replace(a_sheet().lines[1], no=7)])),
                (
                    "totals",
                    make_sheet(
                        "EUR", 2, [msgspec.structs.replace(a_sheet().lines[1], quantity="2", price="0", amount=0)]
                    ),
                ),
            ],
        },
        "nonce language number date reason text attachments",
    ),
    ("whole", "advice"): (
        {
            "issued_at": CLOCK,
            "deal": DEAL,
            "step": [("wrong_signer", "confirmed"), ("wrong_signer", "not_received"), ("wrong_signer", "refund_due")],
            "about": [("code", NO_HASH)],
            "invoice": [("unknown_document", NO_HASH)],
            "instalment": [("terms", 3), ("code", 2)],
            "amount": money("currency", "totals"),
            "method": [("terms", "payto://iban/DE00")],
            "paid_at": [("times", SOON)],
        },
        "nonce language no reference proof text",
    ),
    ("whole", "confirmed"): (
        {
            "issued_at": CLOCK,
            "deal": DEAL,
            "step": [("wrong_signer", "advised"), ("wrong_signer", "refunded"), ("code", "refund_due")],
            "no": [("code", 2)],
            "about": [("unknown_document", NO_HASH)],
            "invoice": [("unknown_document", NO_HASH), ("code", None)],
            "instalment": [("code", 2), ("terms", 3), ("code", None)],
            "amount": [*money("currency", "totals"), ("totals", Money(999, "EUR", 2))],
            "method": [("terms", "payto://iban/DE00")],
            "paid_at": [("times", SOON)],
        },
        "nonce language reference proof text",
    ),
    ("quarrel", "due"): (
        {
            **PAYMENT_ANSWER,
            "step": [("wrong_signer", "advised"), ("wrong_signer", "refunded"), ("code", "not_received")],
            "about": [("unknown_document", NO_HASH)],
            "no": [("code", 1), ("code", 3)],
            "instalment": [("terms", 3), ("code", 2)],
            "amount": money("currency", "totals"),
        },
        "nonce language reference proof text",
    ),
    ("quarrel", "refunded"): (
        {
            **PAYMENT_ANSWER,
            "step": [("wrong_signer", "confirmed"), ("wrong_signer", "refund_due"), ("equivocation", "advised")],
            "no": [("code", 1), ("code", 3)],
            "instalment": [("terms", 3), ("code", 2)],
            "amount": [*money("currency", "totals"), ("totals", Money(499, "EUR", 2))],
        },
        "nonce language reference proof text",
    ),
    ("whole", "rating"): (
        {
            "issued_at": CLOCK,
            "deal": DEAL,
            "request": [("code", NO_HASH)],
            "quote": [("code", NO_HASH)],
            "order_nonce": [("code", b"n" * 16)],
            "buyer": [("identity", STRANGER.public), ("identity", SELLER.public)],
            "seller": [("identity", STRANGER.public), ("identity", BUYER.public)],
            "buyer_signature": [("signature", NO_SIGNATURE)],
            "seller_signature": [("signature", NO_SIGNATURE)],
            "version": [("unknown_document", 2)],
            "aspects": [("code", (Aspect("goods", 4), Aspect("goods", 5)))],
        },
        "nonce language text url",
    ),
    ("quarrel", "open"): (
        {
            "issued_at": CLOCK,
            "deal": DEAL,
            "step": [("code", "statement"), ("code", "proposal"), ("wrong_signer", "opinion"), ("code", "close")],
            "about": [("code", NO_HASH)],
            "reason": [("code", None)],
            "outcome": [("code", "refund")],
            "amount": [("code", EURO)],
            "share": [("code", "0.5")],
        },
        "nonce language no text attachments",
    ),
    ("quarrel", "statement"): (
        {
            **DISPUTE_STEP,
            "step": [("code", "open"), ("code", "proposal"), ("wrong_signer", "opinion"), ("wrong_signer", "close")],
            "text": [("code", None)],
        },
        "nonce language no reason attachments",
    ),
    ("quarrel", "proposal"): (
        {
            **DISPUTE_STEP,
            "step": [("code", "open"), ("code", "accept"), ("wrong_signer", "opinion"), ("code", "close")],
            "outcome": [("code", None)],
            "share": [("totals", "1.01")],
        },
        "nonce language no reason text attachments",
    ),
    ("quarrel", "opinion"): (
        {
            **DISPUTE_STEP,
            "step": [("wrong_signer", "open"), ("wrong_signer", "accept"), ("wrong_signer", "proposal")],
            "outcome": [("code", None)],
            "amount": money("currency", "totals"),
        },
        "nonce language no reason text attachments",
    ),
    ("quarrel", "settled"): (
        {
            **DISPUTE_STEP,
            "step": [("code", "open"), ("code", "proposal"), ("code", "statement"), ("code", "close")],
        },
        "nonce language no reason text attachments",
    ),
}
CASES |= talk_fields.CASES
NAMES = list(CASES)
SINGLE = [(name, field, n) for name in NAMES for field, wrong in CASES[name][0].items() for n in range(len(wrong))]
# Pairs that are good documents again: fields that only fit together.
TOGETHER: set[tuple[str, str, str]] = {
    ("refused", "step", "about"),  # a proposal
    ("missing", "step", "about"),  # a refund beyond all payments
    ("statement", "step", "outcome"),  # a proposal
} | talk_fields.TOGETHER
