"""The fields of what is not in a deal that goes well: noes, withdrawals, ends, receipts, other words on an order.

As in deal_fields: values that never fit for each bound field, and the names of those that nothing binds.
"""

from __future__ import annotations

from typing import Any

from deal_world import LATER, Trade, agreed_trade, cancelled_trade, changed_terms, cheaper_sheet, deal_terms
from trade_world import BUYER, DAY, REQUEST_KEY, SELLER, WALL, a_sheet, asked, moment, some_terms

from p2pmarket.limits import CLOCK_SKEW_SECONDS
from p2pmarket.network import TEST
from p2pmarket.trade.agreeing import answer_proposal, make_dispute, propose_change
from p2pmarket.trade.fulfilling import make_counter
from p2pmarket.trade.making import (
    make_acknowledgement,
    make_decline,
    make_order_response,
    make_outcome,
    make_withdraw,
)
from p2pmarket.trade.values import Money, Party

Wrong = list[tuple[str, Any]]
Bound = dict[str, Wrong]
NO_HASH = b"\x01" * 32
NO_SIGNATURE = b"\x02" * 64
SOON = LATER + CLOCK_SKEW_SECONDS + 2
CLOCK: Wrong = [("clock", LATER + 4 * DAY)]
DEAL: Wrong = [("unknown_order", NO_HASH)]
REQUEST: Wrong = [("unknown_request", NO_HASH)]
EURO = Money(100, "EUR", 2)


def no_trade() -> Trade:
    """A quote that is countered, refused to be bettered, lost and taken back; with receipts of it."""
    world = asked().quoted(terms=deal_terms())
    assert world.quote
    trade, quote = Trade(world.thread), world.quote
    trade.papers["quote"] = quote
    counter = trade.add(
        "counter",
        make_counter(
            trade.thread, REQUEST_KEY, moment(WALL + 70), quote.hash,
            sheet=a_sheet(), terms=some_terms(), valid_until=WALL + DAY,
        ),
    )  # fmt: skip
    trade.add("no", make_decline(trade.thread, SELLER, moment(WALL + 80), "price", counter=counter.hash))
    trade.add("here", make_acknowledgement(quote, REQUEST_KEY, TEST, moment(WALL + 80), "received"))
    trade.add("looked", make_acknowledgement(quote, REQUEST_KEY, TEST, moment(WALL + 85), "seen"))
    trade.add("unfit", make_acknowledgement(counter, SELLER, TEST, moment(WALL + 80), "refused", "busy"))
    trade.add("end", make_outcome(trade.thread, REQUEST_KEY, moment(WALL + 90), "lost", Money(100, "EUR", 2)))
    trade.add("back", make_withdraw(trade.thread, SELLER, moment(WALL + 90), quote.hash))
    return trade


def amended_trade() -> Trade:
    """An order that is noted, and accepted with changes."""
    world = asked().quoted(terms=deal_terms()).ordered()
    assert world.quote
    assert world.order
    trade = Trade(world.thread, {"quote": world.quote, "order": world.order})
    deal = world.order.hash
    trade.add("noted", make_order_response(trade.thread, SELLER, moment(WALL + 130), deal, "AB"))
    newer = type(world)(trade.thread, world.request).quoted(terms=deal_terms())
    assert newer.quote
    trade.add("newer", newer.quote)
    response = make_order_response(trade.thread, SELLER, moment(WALL + 140), deal, "CA", quote=newer.quote.hash)
    trade.add("amended", response)
    return trade


def rejected_trade() -> Trade:
    """An order that is rejected."""
    world = asked().quoted(terms=deal_terms()).ordered()
    assert world.quote
    assert world.order
    trade = Trade(world.thread, {"quote": world.quote, "order": world.order})
    response = make_order_response(trade.thread, SELLER, moment(WALL + 140), world.order.hash, "RE", reason="stock")
    trade.add("rejected", response)
    return trade


def undone_trade() -> Trade:
    """A deal whose change is refused, whose dispute is closed, and whose end both sign."""
    trade = agreed_trade()
    deal = trade.deal
    change = propose_change(trade.thread, SELLER, moment(LATER), deal, sheet=cheaper_sheet(), terms=changed_terms())
    trade.add("change", change)
    trade.add("unwanted", answer_proposal(trade.thread, BUYER, moment(LATER), change.hash, "reject"))
    opened = trade.add("open", make_dispute(trade.thread, BUYER, moment(LATER), deal, "open", reason="late"))
    trade.add("closed", make_dispute(trade.thread, BUYER, moment(LATER), deal, "close", about=opened.hash))
    return trade


TRADES = {
    "no": no_trade,
    "amended": amended_trade,
    "rejected": rejected_trade,
    "undone": undone_trade,
    "granted": cancelled_trade,
}
# What binds most documents of a kind, whole: a case replaces what is otherwise with its own.
RESPONSE: Bound = {"issued_at": CLOCK, "order": DEAL, "deal_signature": [("code", NO_SIGNATURE)]}
RESPONSE_OWN = "nonce language reason text expected reply_key routes"
RECEIPT: Bound = {
    "issued_at": CLOCK,
    "about": [("unknown_document", NO_HASH)],
    "about_kind": [("unknown_document", 5)],
    "status": [("code", "refused")],
    "code": [("code", "busy")],
}
CHANGE_ANSWER: Bound = {
    "issued_at": CLOCK,
    "deal": DEAL,
    "version": [("version", 2)],
    "step": [("code", "propose")],
    "about": [("unknown_document", NO_HASH), ("code", None)],
    "sheet": [("code", a_sheet())],
    "terms": [("code", changed_terms())],
    "deliver_to": [("code", Party(name="me"))],
}
CANCEL_ANSWER: Bound = {
    "issued_at": CLOCK,
    "deal": DEAL,
    "step": [("code", "propose")],
    "about": [("unknown_document", NO_HASH), ("code", None)],
    "refund": [("code", EURO)],
}
DISPUTE_STEP: Bound = {
    "issued_at": CLOCK,
    "deal": DEAL,
    "step": [("code", "open"), ("code", "proposal"), ("code", "statement"), ("wrong_signer", "opinion")],
    "about": [("unknown_document", NO_HASH), ("code", None)],
    "outcome": [("code", "refund")],
    "amount": [("code", EURO)],
    "share": [("code", "0.5")],
}
PAYMENT_ANSWER: Bound = {
    "issued_at": CLOCK,
    "deal": DEAL,
    "step": [("wrong_signer", "advised"), ("wrong_signer", "refunded"), ("code", "refund_due")],
    "no": [("code", 2), ("code", 3)],
    "about": [("unknown_document", NO_HASH), ("code", None)],
    "invoice": [("unknown_document", NO_HASH)],
    "instalment": [("terms", 3), ("totals", 2)],
    "amount": [("currency", Money(100, "USD", 2)), ("totals", Money(0, "EUR", 2)), ("totals", EURO)],
    "method": [("terms", "payto://iban/DE00")],
    "paid_at": [("times", SOON)],
}
CASES: dict[tuple[str, str], tuple[Bound, str]] = {
    ("no", "no"): (
        {"issued_at": CLOCK, "request": REQUEST, "counter": [("unknown_document", NO_HASH)]},
        "nonce language reason text",
    ),
    ("no", "here"): (RECEIPT, "nonce language"),
    ("no", "looked"): (RECEIPT, "nonce language"),
    ("no", "unfit"): (
        {
            **RECEIPT,
            "about_kind": [("unknown_document", 4)],
            "status": [("code", "received"), ("code", "seen")],
            "code": [("code", None)],
        },
        "nonce language",
    ),
    ("no", "end"): (
        {"issued_at": CLOCK, "request": REQUEST, "quote": [("unknown_quote", NO_HASH)]},
        "nonce language result price reason text",
    ),
    ("no", "back"): (
        {"issued_at": CLOCK, "request": REQUEST, "quote": [("unknown_quote", NO_HASH)]},
        "nonce language reason text",
    ),
    ("amended", "noted"): (
        {**RESPONSE, "code": [("code", "AP"), ("code", "CA")], "quote": [("code", NO_HASH)]},
        RESPONSE_OWN,
    ),
    ("amended", "amended"): (
        {**RESPONSE, "code": [("code", "AP"), ("code", "RE")], "quote": [("code", None)]},
        RESPONSE_OWN,
    ),
    ("rejected", "rejected"): (
        {**RESPONSE, "code": [("code", "AP"), ("code", "CA")], "quote": [("code", NO_HASH)]},
        RESPONSE_OWN,
    ),
    ("undone", "unwanted"): (CHANGE_ANSWER, "nonce language reason text"),
    ("granted", "granted"): (CANCEL_ANSWER, "nonce language reason text"),
    ("undone", "closed"): (DISPUTE_STEP, "nonce language no reason text attachments"),
    ("quarrel", "missing"): (PAYMENT_ANSWER, "nonce language reference proof text"),
}
TOGETHER = {
    ("here", "status", "code"),  # a refusal
    ("looked", "status", "code"),
    ("unfit", "status", "code"),  # a receipt
    ("noted", "code", "quote"),  # an acceptance with changes, whose quote may come after it
    ("rejected", "code", "quote"),
    ("amended", "code", "quote"),  # a rejection
    ("unwanted", "step", "about"),  # of nothing
    ("granted", "step", "about"),  # a wish of one's own
    ("granted", "step", "refund"),
    ("closed", "step", "outcome"),  # a proposal
}
