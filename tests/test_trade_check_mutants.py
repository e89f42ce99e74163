"""Checks at their edges: each test fails if one condition of a check is spoiled, as scripts/torture mutation does."""

from __future__ import annotations

import msgspec
import pytest
from check_edges import OTHER, holding, lacking, paper, refusal_of, whole, with_more
from deal_fields import KEYS, trades
from deal_world import LATER, cancelled_trade, deal_terms
from talk_fields import NO_HASH, NO_SIGNATURE
from trade_world import BUYER, DAY, REQUEST_KEY, SELLER, STRANGER, WALL, a_sheet, changed, moment

from p2pmarket.errors import Refusal
from p2pmarket.network import TEST
from p2pmarket.trade import check
from p2pmarket.trade.agreeing import make_dispute
from p2pmarket.trade.check_quarrel import check_rating_alone
from p2pmarket.trade.checking import document_of
from p2pmarket.trade.documents import Opened, Quote, Rating
from p2pmarket.trade.fulfilling import make_note, make_rating
from p2pmarket.trade.making import make_acknowledgement, make_decline
from p2pmarket.trade.money import make_sheet, priced_line
from p2pmarket.trade.thread import Thread
from p2pmarket.trade.values import Aspect, QuoteLineDetails

PAPERS = [(trade, name) for trade in ("whole", "quarrel", "parts") for name in trades()[trade].papers]


@pytest.mark.parametrize(("trade", "name"), PAPERS)
def test_every_paper_holds_when_it_comes_and_when_it_comes_again(trade: str, name: str) -> None:
    assert refusal_of(trades()[trade].without(name), paper(trade, name)) is None
    assert refusal_of(whole(trade), paper(trade, name)) is None


SLOTS = ["counter", "change", "changed", "despatch", "receipt", "invoice", "credit", "paid", "rating", "second"]


@pytest.mark.parametrize("name", SLOTS)
def test_a_second_paper_in_a_slot(name: str) -> None:
    opened = paper("whole", name)
    assert refusal_of(whole(), changed(opened, KEYS[opened.signer], nonce=OTHER)) == "equivocation"


def test_a_second_answer_or_step_in_a_slot() -> None:
    for name in ("refused", "open", "statement", "opinion", "settled"):
        opened = paper("quarrel", name)
        again = changed(opened, KEYS[opened.signer], nonce=OTHER)
        assert refusal_of(whole("quarrel"), again) == "equivocation", name


@pytest.mark.parametrize("name", ["deposit", "advice", "despatch", "receipt", "change", "rating", "credit"])
def test_nothing_about_a_deal_that_is_not_agreed(name: str) -> None:
    assert refusal_of(lacking("whole", "response"), paper("whole", name)) == "unknown_deal"


# Quotes, orders, declines, acknowledgements


def test_a_quote_that_answers_a_counter_has_a_later_version() -> None:
    thread = holding("whole", ["counter"])
    assert refusal_of(thread, changed(paper("whole", "second"), SELLER, version=1)) == "version"
    assert refusal_of(thread, paper("whole", "second")) is None


def test_a_counter_comes_before_the_quote_that_answers_it() -> None:
    thread = holding("whole", ["quote"], changed(paper("whole", "second"), SELLER, version=1, nonce=OTHER))
    assert refusal_of(thread, paper("whole", "counter")) == "version"


def test_a_decline_of_a_counter_that_is_not_here() -> None:
    thread = holding("whole", ["quote", "counter"])
    counter = paper("whole", "counter").hash
    decline = make_decline(thread, SELLER, moment(), "price", counter=counter)
    assert refusal_of(thread, decline) is None
    assert refusal_of(holding("whole", ["quote"]), decline) == "unknown_document"
    assert refusal_of(thread, changed(decline, SELLER, counter=NO_HASH)) == "unknown_document"


def test_an_acknowledgement_is_of_the_very_document() -> None:
    one, other = paper("whole", "quote"), paper("whole", "second")
    acknowledgement = make_acknowledgement(other, REQUEST_KEY, TEST, moment(), "received")
    check.check_acknowledgement(other, acknowledgement, WALL)
    with pytest.raises(Refusal, match="no such document"):
        check.check_acknowledgement(one, acknowledgement, WALL)
    assert refusal_of(whole(), changed(acknowledgement, REQUEST_KEY, about=NO_HASH)) == "unknown_document"


def test_a_document_of_another_class() -> None:
    with pytest.raises(Refusal) as refusal:
        document_of(paper("whole", "order"), Quote)
    assert refusal.value.reason == "unknown_document"


# Changes and cancellations


def test_a_change_follows_the_one_before_it_in_the_same_deal() -> None:
    first = paper("whole", "change")
    second = changed(first, SELLER, version=2, nonce=OTHER)
    assert refusal_of(lacking("whole", "change", "changed"), second) == "unknown_document"
    assert refusal_of(whole(), second) is None
    assert refusal_of(whole(), changed(first, SELLER, version=3, nonce=OTHER)) == "unknown_document"
    elsewhere = changed(first, SELLER, deal=NO_HASH)
    assert refusal_of(with_more(lacking("whole", "change", "changed"), elsewhere), second) == "unknown_document"


def test_nobody_accepts_his_own_change_or_answers_an_answer() -> None:
    accepted = paper("whole", "changed")
    own = changed(accepted, SELLER, recipient=BUYER.public, step="reject")
    assert refusal_of(lacking("whole", "changed"), own) == "wrong_signer"
    answer = changed(accepted, SELLER, recipient=BUYER.public, about=accepted.hash, version=1, step="reject")
    assert refusal_of(whole(), answer) == "code"
    refused = paper("quarrel", "refused")
    again = changed(refused, BUYER, recipient=SELLER.public, about=refused.hash)
    assert refusal_of(whole("quarrel"), again) == "code"
    own_wish = changed(refused, BUYER, recipient=SELLER.public)
    assert refusal_of(lacking("quarrel", "refused"), own_wish) == "wrong_signer"


def test_who_has_accepted_a_change_cannot_refuse_it_after_all() -> None:
    accepted = paper("whole", "changed")
    assert refusal_of(whole(), changed(accepted, BUYER, step="reject")) == "answered"


def test_only_ones_own_answers_to_the_same_proposal_count() -> None:
    accepted, proposal = paper("whole", "changed"), paper("whole", "change")
    his = changed(accepted, SELLER, recipient=BUYER.public, step="reject")
    assert refusal_of(with_more(lacking("whole", "changed"), his), accepted) is None
    another = changed(proposal, SELLER, version=2, nonce=OTHER)
    to_another = changed(accepted, BUYER, about=another.hash, version=2, step="reject")
    assert refusal_of(with_more(lacking("whole", "changed"), another, to_another), accepted) is None


def test_what_is_named_is_of_the_right_class_and_deal() -> None:
    credit = paper("whole", "credit")
    assert refusal_of(whole(), changed(credit, SELLER, invoice=paper("whole", "despatch").hash, number="X")) == "code"
    elsewhere = changed(paper("whole", "invoice"), SELLER, deal=NO_HASH)
    thread = with_more(whole(), elsewhere)
    assert refusal_of(thread, changed(credit, SELLER, invoice=elsewhere.hash, number="X")) == "code"


def test_a_bill_of_a_change_whose_acceptance_is_under_way() -> None:
    assert refusal_of(lacking("whole", "changed"), paper("whole", "invoice")) == "unknown_document"


# Ratings and disputes


def rating(thread: Thread, key: object = BUYER, **fields: object) -> Opened:
    made = make_rating(thread, BUYER, moment(LATER + 60), trades()["whole"].deal, [Aspect("goods", 3)])
    return changed(made, key, **fields) if fields or key is not BUYER else made  # type: ignore[arg-type]


def test_a_rating_follows_ones_own_before_it() -> None:
    thread = whole()
    second = rating(thread)
    assert isinstance(second.document, Rating)
    assert second.document.version == 2
    assert refusal_of(thread, second) is None
    assert refusal_of(lacking("whole", "rating"), second) == "unknown_document"
    assert refusal_of(thread, changed(second, BUYER, version=3)) == "unknown_document"
    third = changed(second, BUYER, version=3)
    assert refusal_of(with_more(thread, second), third) is None
    elsewhere = changed(second, BUYER, deal=NO_HASH)
    assert refusal_of(with_more(thread, elsewhere), third) == "unknown_document"
    his = changed(second, SELLER, recipient=BUYER.public)
    assert refusal_of(with_more(thread, his), third) == "unknown_document"


def alone(opened: Opened) -> str | None:
    try:
        check_rating_alone(TEST, opened, LATER + DAY)
    except Refusal as refusal:
        return refusal.reason
    return None


def test_a_rating_alone_is_by_one_side_of_the_other() -> None:
    his, hers = paper("whole", "rating"), paper("whole", "rated_back")
    assert alone(his) is alone(hers) is None
    assert alone(changed(his, STRANGER)) == "wrong_signer"
    assert alone(changed(his, BUYER, recipient=BUYER.public)) == "wrong_recipient"
    assert alone(changed(hers, SELLER, recipient=SELLER.public)) == "wrong_recipient"
    assert alone(changed(his, BUYER, seller=BUYER.public, recipient=BUYER.public)) == "identity"
    assert alone(changed(his, BUYER, buyer_signature=NO_SIGNATURE)) == "signature"
    stranger = changed(his, STRANGER)
    assert refusal_of(lacking("whole", "rating"), stranger) == "wrong_signer"


def test_only_a_proposal_is_accepted() -> None:
    settled = paper("quarrel", "settled")
    thread = lacking("quarrel", "settled", "due", "refunded")
    assert refusal_of(thread, changed(settled, BUYER, about=paper("quarrel", "statement").hash)) == "code"
    opened = paper("quarrel", "open")
    again = make_dispute(thread, BUYER, moment(LATER + 9), trades()["quarrel"].deal, "statement", about=opened.hash, text="late")  # fmt: skip # noqa: E501
    assert refusal_of(thread, again) is None


# Notes


def test_a_note_answers_a_note_about_the_same() -> None:
    thread = whole()
    quote, counter = paper("whole", "quote").hash, paper("whole", "counter").hash
    note, chat = paper("whole", "note").hash, paper("whole", "chat").hash
    answer = paper("whole", "answer")
    assert refusal_of(thread, changed(answer, SELLER, nonce=OTHER)) is None
    assert refusal_of(thread, changed(answer, SELLER, answers=quote)) == "code"
    assert refusal_of(thread, changed(answer, SELLER, answers=chat)) == "code"
    assert refusal_of(thread, changed(answer, SELLER, about=counter, answers=note)) == "code"


def test_talk_about_the_request_is_for_its_key_and_about_an_order_for_its_orderer() -> None:
    thread = whole()
    note = make_note(thread, SELLER, moment(), thread.request.hash, "hello")
    assert refusal_of(thread, note) is None
    assert refusal_of(thread, changed(note, BUYER, recipient=SELLER.public)) == "wrong_signer"
    chat = paper("whole", "chat")
    assert refusal_of(thread, changed(chat, REQUEST_KEY)) == "wrong_signer"
    assert refusal_of(thread, changed(note, SELLER, about=paper("whole", "despatch").hash)) == "code"


def test_who_is_introduced_is_the_buyer_and_nobody_else() -> None:
    introduction = paper("whole", "introduction")
    thread = whole()
    other = make_note(
        holding("whole", ["quote"]), REQUEST_KEY, moment(), paper("whole", "quote").hash, introduce=STRANGER
    )
    assert refusal_of(holding("whole", ["quote"]), other) is None
    assert refusal_of(lacking("whole", "order", "response"), other) == "identity"
    assert refusal_of(lacking("whole", "introduction"), other) == "identity"
    assert refusal_of(lacking("whole", "introduction"), introduction) is None
    assert refusal_of(thread, introduction) is None
    by_seller = changed(introduction, SELLER, recipient=REQUEST_KEY.public)
    assert refusal_of(thread, by_seller) == "identity"


# Lines


def test_a_line_that_answers_none_is_the_sellers_own() -> None:
    extra = priced_line(3, quantity="1", unit="EA", text="filter", price="1", exponent=2)
    first = paper("whole", "quote")
    sheet = make_sheet("EUR", 2, [*a_sheet().lines, extra])
    terms = msgspec.structs.replace(deal_terms(), payment=None)
    offered = changed(first, SELLER, sheet=sheet, terms=terms)
    assert refusal_of(holding("whole", []), offered) is None
    twice = msgspec.structs.replace(a_sheet().lines[0], no=3)
    again = changed(offered, SELLER, sheet=make_sheet("EUR", 2, [*a_sheet().lines, twice]))
    assert refusal_of(holding("whole", []), again) == "lines"
    unasked = msgspec.structs.replace(extra, request_line=7)
    strange = changed(offered, SELLER, sheet=make_sheet("EUR", 2, [*a_sheet().lines, unasked]))
    assert refusal_of(holding("whole", []), strange) == "lines"


def test_the_least_quantity_may_be_one_and_not_nothing() -> None:
    first, lines = paper("whole", "quote"), a_sheet().lines
    for least, reason in (("1", None), ("0", "terms")):
        details = QuoteLineDetails(least=least, step=least)
        sheet = make_sheet(
            "EUR", 2, [msgspec.structs.replace(lines[0], details=details), *lines[1:]], a_sheet().charges
        )
        assert refusal_of(holding("whole", []), changed(first, SELLER, sheet=sheet)) == reason


def test_a_cancellation_in_force_is_granted_once() -> None:
    trade = cancelled_trade()
    granted = trade.papers["granted"]
    assert refusal_of(trade.thread, changed(granted, BUYER, nonce=OTHER)) == "equivocation"
