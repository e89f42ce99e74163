"""The file of a deal that went all its way: every document in it, one order on both sides, the state it folds to."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable

import msgspec
import pytest
from deal_world import LATER, REFEREE, Trade, agreed_trade, cancelled_trade, quarrel, sheet_of, whole_trade
from trade_world import BUYER, REQUEST_KEY, SELLER, STRANGER, WALL, changed, key, moment

from p2pmarket import keys, limits
from p2pmarket.errors import BadInput
from p2pmarket.network import DEV, TEST
from p2pmarket.trade.agreeing import make_dispute, make_opinion
from p2pmarket.trade.billing import make_credit, make_invoice
from p2pmarket.trade.documents import NAMES, Note, deal_id
from p2pmarket.trade.evidence import (
    Verdict,
    deal_untrusted,
    equivocation_untrusted,
    export_deal,
    export_equivocation,
    format_of,
    in_order,
    verify_bundle,
)
from p2pmarket.trade.fulfilling import make_note
from p2pmarket.trade.making import make_acknowledgement
from p2pmarket.trade.thread import Thread, fold
from p2pmarket.trade.values import Attachment, Money

SIGNERS = {signer.public: signer for signer in (BUYER, SELLER, REQUEST_KEY, REFEREE)}


def acknowledged(trade: Trade) -> Trade:
    """The trade with what its two sides said of each other's documents."""
    for opened in list(trade.thread.documents.values()):
        if opened.signer != REFEREE.public:
            signer = SIGNERS[opened.recipient]
            trade.thread = trade.thread.adding(make_acknowledgement(opened, signer, TEST, moment(LATER), "received"))
    return trade


def good(trade: Trade) -> Verdict:
    verdict = verify_bundle(export_deal(trade.thread, trade.deal))
    assert verdict.ok, verdict.problems
    return verdict


WHOLE = acknowledged(whole_trade())
FILE = export_deal(WHOLE.thread, WHOLE.deal)


def rewritten(documents: Iterable[object], **more: object) -> bytes:
    """The file with these documents, written in its way."""
    bundle = {**json.loads(FILE), "documents": list(documents), **more}
    return msgspec.json.format(msgspec.json.encode(bundle), indent=2) + b"\n"


def test_every_document_of_the_thread_is_in_the_file() -> None:
    verdict = good(WHOLE)
    assert len(verdict.history) == 1 + len(WHOLE.thread.documents)
    assert {entry.kind for entry in verdict.history} >= set(NAMES.values()) - {
        *("announcement", "decline", "withdraw", "outcome", "cancel", "dispute"),
    }
    assert {entry.signer for entry in verdict.history} == {"buyer", "seller"}


def test_what_was_signed_in_one_second_holds_in_whatever_order_the_file_has_it() -> None:
    """Hashes decide there: an invoice may stand before the one that it replaces and the credit that made its room."""
    for _ in range(80):
        good(whole_trade())


def test_the_summary_says_what_the_documents_fold_to() -> None:
    summary = good(WHOLE).summary
    assert summary
    state = fold(WHOLE.thread)
    assert summary.state == state.deals[WHOLE.deal] == "completed"
    assert [(one.no, one.state) for one in summary.payments] == [(1, "confirmed"), (2, "confirmed")]
    assert summary.change == 1
    assert summary.deal == deal_id(WHOLE.deal)
    assert summary.referee == keys.did_key(REFEREE.public)


def test_a_dispute_is_shown_with_its_opinion_and_end() -> None:
    verdict = good(acknowledged(quarrel()))
    assert verdict.summary
    (dispute,) = verdict.summary.disputes
    assert (dispute.opened_by, dispute.reason, dispute.state) == ("buyer", "late", "settled")
    assert (dispute.opinion, dispute.amount, dispute.share) == ("refund", "5.00 EUR", None)
    assert ("referee", "opinion") in {(entry.signer, entry.step) for entry in verdict.history}
    assert dict(verdict.parties)["referee"] == keys.did_key(REFEREE.public)
    said = {entry.step: entry.said for entry in verdict.history if entry.kind == "dispute"}
    assert said["open"] == "late"
    assert said["statement"] == "it left"
    assert said["proposal"] == "price_cut; 0.25 of the total"
    assert said["opinion"] == "refund; 5.00 EUR"


def test_a_cancelled_deal_can_be_shown() -> None:
    summary = good(acknowledged(cancelled_trade())).summary
    assert summary
    assert summary.state == "cancelled"


@pytest.mark.parametrize("seed", range(5))
def test_the_file_is_the_same_in_whatever_order_documents_came(seed: int) -> None:
    papers = list(WHOLE.thread.documents.values())
    random.Random(seed).shuffle(papers)
    assert export_deal(Thread.of(TEST, SELLER.public, WHOLE.thread.request, papers), WHOLE.deal) == FILE
    assert [one.hash for one in in_order(papers)] == [one.hash for one in in_order(papers[::-1])]


def test_each_document_stands_after_those_it_names() -> None:
    seen = {WHOLE.thread.request.hash}
    for opened in in_order(WHOLE.thread.documents.values()):
        named = [getattr(opened.document, name, None) for name in ("order", "quote", "deal", "about", "answers")]
        assert all(one is None or one in seen for one in named), opened.name
        seen.add(opened.hash)
    assert len(seen) == 1 + len(WHOLE.thread.documents)


def test_what_is_about_a_deal_stands_after_its_acceptance() -> None:
    kinds = [entry.kind for entry in good(quarrel()).history]
    assert kinds.index("order_response") < kinds.index("dispute")
    assert kinds.index("order_response") < kinds.index("payment")


def test_a_byte_changed_anywhere_is_refused() -> None:
    chance = random.Random(7)
    for place in chance.sample(range(len(FILE)), 400):
        data = bytearray(FILE)
        data[place] ^= 1 << chance.randrange(8)
        assert not verify_bundle(bytes(data)).ok, place


def test_what_others_rest_on_cannot_be_left_out() -> None:
    papers = json.loads(FILE)["documents"]
    loose = {"acknowledgement", "note", "rating", "credit", "invoice"}  # nothing names these, nor does the summary
    for place, paper in enumerate(papers):
        assert not verify_bundle(rewritten(papers[:place] + papers[place + 1 :])).ok or paper["kind"] in loose
    assert not verify_bundle(rewritten(papers[:1] + papers[2:] + papers[1:2])).ok
    assert not verify_bundle(rewritten([*papers, papers[-1]])).ok


def test_a_document_of_another_deal_is_refused() -> None:
    other = quarrel()
    papers = json.loads(FILE)["documents"]
    strange = json.loads(export_deal(other.thread, other.deal))["documents"]
    for paper in strange:
        assert not verify_bundle(rewritten([*papers, paper])).ok


def test_an_opinion_of_somebody_else_than_the_referee_is_refused() -> None:
    trade = quarrel()
    opinion = trade.papers["opinion"]
    before = Thread.of(
        TEST, SELLER.public, trade.thread.request, [o for o in trade.thread.documents.values() if o != opinion]
    )
    for signer in (STRANGER, BUYER, SELLER):
        verdict = verify_bundle(export_deal(before.adding(changed(opinion, signer)), trade.deal))
        assert not verdict.ok
        assert "wrong_signer" in verdict.problems[0]


def test_a_second_document_in_a_slot_is_refused() -> None:
    trade = quarrel()
    for name, signer in (("open", BUYER), ("statement", SELLER), ("opinion", REFEREE), ("response", SELLER)):
        second = changed(trade.papers[name], signer, text="something else")
        verdict = verify_bundle(export_deal(trade.thread.adding(second), trade.deal))
        assert not verdict.ok
        assert "equivocation" in verdict.problems[0]
        proof = export_equivocation(TEST, trade.papers[name], second)
        assert verify_bundle(proof).ok
        assert {one.hash for one in equivocation_untrusted(proof, TEST)} == {trade.papers[name].hash, second.hash}


def test_a_referee_works_from_the_file_of_one_side() -> None:
    trade = agreed_trade()
    trade.add("open", make_dispute(trade.thread, BUYER, moment(LATER), trade.deal, "open", reason="late"))
    thread, order = deal_untrusted(export_deal(trade.thread, trade.deal), TEST)
    assert order == trade.deal
    opinion = make_opinion(
        thread, REFEREE, moment(LATER + 5), trade.papers["open"].hash, "seller",
        outcome="refund", amount=Money(100, "EUR", 2),
    )  # fmt: skip
    told = verify_bundle(export_deal(thread.adding(opinion), order))
    assert told.ok
    assert told.summary
    assert told.summary.disputes[0].opinion == "refund"


def test_what_is_no_deal_of_this_network_is_not_taken() -> None:
    proof = export_equivocation(TEST, WHOLE.papers["quote"], changed(WHOLE.papers["quote"], SELLER, text="dearer"))
    for data, network in ((FILE, DEV), (proof, TEST), (FILE[:-1], TEST), (b"", TEST)):
        with pytest.raises(BadInput):
            deal_untrusted(data, network)
    for data, network in ((proof, DEV), (FILE, TEST), (proof[1:], TEST)):
        with pytest.raises(BadInput):
            equivocation_untrusted(data, network)
    assert format_of(FILE) == "p2pmarket-deal/1"
    assert format_of(proof) == "p2pmarket-equivocation/1"
    assert format_of(b"{}") is None


def test_notes_carry_the_hashes_of_what_was_attached() -> None:
    trade = agreed_trade()
    photo = Attachment(name="parcel.jpg", media="image/jpeg", size=123_456, hash=bytes(range(32)))
    note = make_note(trade.thread, BUYER, moment(LATER), trade.deal, "dented", attachments=(photo,))
    data = export_deal(trade.thread.adding(note), trade.deal)
    thread, _ = deal_untrusted(data, TEST)
    kept = thread.documents[note.hash].document
    assert isinstance(kept, Note)
    assert kept.attachments == (photo,)
    told = next(entry for entry in verify_bundle(data).history if entry.id == note.id)
    assert (told.said, told.files) == ("dented", (f"parcel.jpg sha256:{photo.hash.hex()}",))


def test_documents_at_the_limit_and_one_over() -> None:
    trade = agreed_trade()
    room = limits.EVIDENCE_DOCUMENTS - 1 - len(trade.thread.documents)
    signer = key("seller")
    notes = [make_note(trade.thread, signer, moment(WALL + 900), trade.deal, str(n)) for n in range(room + 1)]
    papers = [*trade.thread.documents.values(), *notes]
    full = Thread.of(TEST, SELLER.public, trade.thread.request, papers[:-1])
    assert verify_bundle(export_deal(full, trade.deal)).ok
    over = verify_bundle(export_deal(full.adding(papers[-1]), trade.deal))
    assert "more documents" in over.problems[0]


@pytest.mark.parametrize("over", [0, 1])
def test_bills_tried_early_at_the_limit_and_one_over(over: int) -> None:
    """The last bill, whose clock was slow, stands before all that made room for it."""
    trade = agreed_trade()
    for number in range(limits.EVIDENCE_EARLY + over):
        bill = make_invoice(trade.thread, SELLER, moment(LATER), trade.deal, f"R-{number}", date="2026-06-01")
        trade.add(f"bill {number}", bill)
        credit = make_credit(
            trade.thread, SELLER, moment(LATER), trade.deal, f"C-{number}",
            sheet=sheet_of(bill), date="2026-06-01", invoice=bill.hash,
        )  # fmt: skip
        trade.add(f"credit {number}", credit)
    last = make_invoice(trade.thread, SELLER, moment(LATER - 1), trade.deal, "R-last", date="2026-06-01")
    trade.add("last", last)
    assert verify_bundle(export_deal(trade.thread, trade.deal)).ok is not bool(over)
