"""What was given up after a week goes out again once its recipient is heard: the rule, two ledgers, a courier."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fulfil_world import Deal
from market_world import Side, carry, new_world, refusals
from p2pmarket_cli.grid import Screen
from p2pmarket_cli.view_way import way as way_text

from p2pmarket.api.types import bodies_talk as talk
from p2pmarket.limits import DAY, KNOCK_SECONDS, KNOCKED_LINKS, RESENDINGS, SENDING_SECONDS
from p2pmarket.market.market import _pass_deadlines
from p2pmarket.market.resending import hear, to_knock
from p2pmarket.market.showing import document_info
from p2pmarket.store import rows
from p2pmarket.store.ledger import Ledger
from p2pmarket.store.outbox import CLOSED
from p2pmarket.store.rows import NO_ANSWER
from p2pmarket.trade import documents as d
from p2pmarket.trade.resending import goes_again, goes_along

NOTE, CHANGE, CANCEL = (d.kind_of(kind) for kind in (d.Note, d.Change, d.Cancel))


@pytest.mark.parametrize("kind", sorted(d.KINDS))
def test_the_rule(kind: int) -> None:
    never = kind in {d.REQUEST, d.ACKNOWLEDGEMENT}
    for request in (None, "delivered", "seen"):
        assert goes_again(kind, 0, request) is goes_along(kind, request) is not never
        assert goes_again(kind, RESENDINGS - 1, request) is not never
        assert not goes_again(kind, RESENDINGS, request)
        assert goes_along(kind, request) is not never
    for request in ("queued", "failed"):  # a note would tell who asked to somebody who was not asked
        assert goes_again(kind, 0, request) is not (never or kind == NOTE)
        assert goes_along(kind, request) is not (never or kind == NOTE)


def pass_time(side: Side, seconds: int) -> None:
    """Let a side's clock go on, and what ends meanwhile end."""
    before = side.clock.now
    side.clock.now += seconds
    side.run(partial(_pass_deadlines, last=before, now=side.clock.now))


def sent(side: Side, kind: int) -> rows.Outgoing:
    """The one paper of a kind in an outbox."""
    row = side.connection.execute("SELECT hash, recipient FROM outbox WHERE kind = ?", (kind,)).fetchall()
    assert len(row) == 1
    found = side.run(lambda tx: tx.outbox.of_document(bytes(row[0][0]), bytes(row[0][1])))
    assert found is not None
    return found


def half_signed(deal: Deal) -> rows.Outgoing:
    """The buyer has signed a change that the seller never heard of: a week of tries was in vain."""
    deal.seller.change(delivery_latest="2026-12-24")
    deal.settle()
    deal.buyer.answer("accept")
    before = sent(deal.world.buyer, CHANGE)
    pass_time(deal.world.buyer, SENDING_SECONDS)
    row = sent(deal.world.buyer, CHANGE)
    assert (row.state, row.reason, row.resent) == ("failed", NO_ANSWER, 0)
    assert deal.buyer.life().contract.version == 1
    assert deal.seller.life().contract.version == 0
    return before


def test_an_acceptance_given_up_goes_out_with_the_same_bytes_once_a_link_is_there(deal: Deal) -> None:
    before, buyer = half_signed(deal), deal.world.buyer
    link, told = buyer.link(deal.request, deal.world.seller), buyer.events()
    assert not buyer.waiting(link)
    buyer.run(lambda tx: hear(tx, link[1], (), buyer.clock()))
    row = sent(buyer, CHANGE)
    assert (row.state, row.reason, row.resent, row.until) == ("queued", None, 1, buyer.clock() + SENDING_SECONDS)
    assert (row.seq, row.envelope) == (before.seq, before.envelope)
    assert buyer.events() == [*told, "delivery.changed"]
    assert link in buyer.run(lambda tx: tx.outbox.take_queued())
    deal.settle()
    assert deal.states() == ("agreed", "due")
    assert deal.seller.life().contract.version == 1


@pytest.mark.parametrize("word", ["note", "a receipt alone"])
def test_any_document_of_his_is_enough(deal: Deal, word: str) -> None:
    half_signed(deal)
    buyer, seller = deal.world.buyer, deal.world.seller
    link = buyer.link(deal.request, seller)
    if word == "note":
        row = deal.seller.row
        body = talk.NewNote(about=row.id, text="are you there?")
        kept = seller.run(lambda tx: tx.documents.get(row.hash))
        seller.run(lambda tx: seller.talking.note(tx, kept, body, seller.clock()))  # type: ignore[arg-type]
        taken = carry(seller, buyer, (link[1], link[0]))
    else:  # of something that he has had long ago
        taken = buyer.take([_message(buyer.public, receipt(deal))], link)
    assert [one.kind for one in taken.waiting] == [CHANGE]  # goes out on that very link
    deal.settle()
    assert deal.seller.life().contract.version == 1


def receipt(deal: Deal) -> bytes:
    """What the seller says when he looks at an order that he has had long ago."""
    seller, hash_ = deal.world.seller, deal.buyer.row.hash

    def look(tx: Ledger) -> bytes | None:
        kept = tx.documents.get(hash_)
        assert kept is not None
        seller.receiving.tell_seen(tx, kept)
        for word in tx.outbox.of_thread(kept.thread):
            if word.kind == d.ACKNOWLEDGEMENT:
                tx.outbox.set_state(word, "delivered", None, seller.clock())  # as couriers do: it is said once
        seen = tx.documents.get(hash_)
        return seen and seen.ack

    ack = seller.run(look)
    assert ack is not None
    return ack


def _message(recipient: bytes, ack: bytes) -> bytes:
    from p2pmarket.messages import Document, encode

    return encode(Document(d.ACKNOWLEDGEMENT, recipient, ack))


def test_he_is_known_by_his_signature_on_any_link(deal: Deal) -> None:
    half_signed(deal)
    buyer, seller = deal.world.buyer, deal.world.seller
    assert not buyer.run(lambda tx: hear(tx, b"another key".ljust(32), [b"somebody else".ljust(32)], buyer.clock()))
    found = buyer.run(lambda tx: hear(tx, b"another key".ljust(32), [seller.public], buyer.clock()))
    assert [one.kind for one in found] == [CHANGE]


def test_a_second_machine_sends_nothing_again(deal: Deal) -> None:
    half_signed(deal)
    buyer, seller = deal.world.buyer, deal.world.seller
    buyer.run(lambda tx: tx.meta.set("two_machines", b"1"))
    buyer.take([_message(buyer.public, receipt(deal))], buyer.link(deal.request, seller))
    assert sent(buyer, CHANGE).state == "failed"


def test_it_is_tried_so_often_and_no_more(deal: Deal) -> None:
    half_signed(deal)
    buyer = deal.world.buyer
    link = buyer.link(deal.request, deal.world.seller)
    for number in range(RESENDINGS):
        assert buyer.run(lambda tx: to_knock(tx, buyer.clock()))
        assert len(buyer.run(lambda tx: hear(tx, link[1], (), buyer.clock()))) == 1
        assert buyer.run(lambda tx: hear(tx, link[1], (), buyer.clock())) == []  # it waits already
        assert sent(buyer, CHANGE).resent == number + 1
        pass_time(buyer, SENDING_SECONDS)
    assert buyer.run(lambda tx: hear(tx, link[1], (), buyer.clock())) == []
    assert buyer.run(lambda tx: to_knock(tx, buyer.clock())) == []
    assert sent(buyer, CHANGE).state == "failed"


@pytest.mark.parametrize("reason", [CLOSED, "terms"])
def test_what_was_called_back_or_refused_stays(deal: Deal, reason: str) -> None:
    half_signed(deal)
    buyer = deal.world.buyer
    change = sent(buyer, CHANGE)
    buyer.run(lambda tx: tx.outbox.set_state(change, "failed", reason, buyer.clock()))
    link = buyer.link(deal.request, deal.world.seller)
    assert buyer.run(lambda tx: hear(tx, link[1], [deal.world.seller.public], buyer.clock())) == []
    assert buyer.run(lambda tx: to_knock(tx, buyer.clock())) == []


def test_a_request_ends_with_its_reply_by_and_a_note_behind_it_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = new_world(tmp_path, monkeypatch)
    buyer, seller = world.buyer, world.seller
    name = rows.Contact(seller.public, "Roma", "roma", None, buyer.clock())
    buyer.run(lambda tx: tx.contacts.put(name))
    request = buyer.request("3 beans", sellers=[seller], reply_by="1d")
    link = buyer.link(request, seller)
    messages = buyer.waiting(link)
    pass_time(buyer, DAY)
    assert [sent(buyer, kind).is_given_up for kind in (d.REQUEST, NOTE)] == [True, True]
    assert buyer.run(lambda tx: hear(tx, link[1], [seller.public], buyer.clock())) == []
    assert buyer.run(lambda tx: to_knock(tx, buyer.clock())) == []
    seller.clock.now -= DAY
    taken = seller.take(messages[:1], (link[1], link[0]))  # it had come in time; its receipt was lost
    seller.clock.now += DAY
    buyer.take(taken.answers, link)
    assert (sent(buyer, d.REQUEST).state, sent(buyer, NOTE).state) == ("delivered", "queued")
    world.close()


# Order


def test_a_new_paper_takes_what_was_given_up_along(deal: Deal) -> None:
    """What a paper names is there before it: else it would be refused for good."""
    half_signed(deal)
    deal.buyer.cancel(reason="late")
    buyer = deal.world.buyer
    link = buyer.link(deal.request, deal.world.seller)
    waiting = buyer.run(lambda tx: tx.outbox.waiting_for(link, buyer.clock()))
    assert [one.kind for one in waiting] == [CHANGE, CANCEL]
    assert waiting[0].resent == 0  # it is our own wish, and no count of theirs
    taken = carry(buyer, deal.world.seller, link)
    assert refusals(taken)[:2] == [None, None]


def test_nothing_is_given_up_before_what_follows_it(deal: Deal) -> None:
    deal.seller.change(delivery_latest="2026-12-24")
    deal.settle()
    deal.buyer.answer("accept")
    buyer = deal.world.buyer
    pass_time(buyer, SENDING_SECONDS - 1)
    deal.buyer.cancel(reason="late")
    pass_time(buyer, 2)
    assert {sent(buyer, kind).state for kind in (CHANGE, CANCEL)} == {"queued"}
    pass_time(buyer, SENDING_SECONDS)
    assert {sent(buyer, kind).state for kind in (CHANGE, CANCEL)} == {"failed"}


def test_papers_of_other_requests_are_not_taken_along(deal: Deal) -> None:
    """Who asks again and again under one key, and never hears, would have us keep all that we ever told him."""
    half_signed(deal)
    buyer = deal.world.buyer
    row = sent(buyer, CHANGE)
    waiting = row._replace(hash=b"waiting", thread=b"another", state="queued", reason=None, until=buyer.clock() + 9)
    given_up = row._replace(hash=b"given up", thread=b"another")
    for one in (waiting, given_up):
        buyer.run(partial(_note_given_up, one=one))
    deal.buyer.cancel(reason="late")

    def found(one: rows.Outgoing) -> Any:
        return buyer.run(lambda tx: tx.outbox.of_document(one.hash, one.recipient))

    assert found(row).state == "queued"
    for one in (waiting, given_up):
        assert found(one) == one._replace(seq=found(one).seq)


# Calling


def test_he_is_called_for_a_while(deal: Deal) -> None:
    half_signed(deal)
    buyer = deal.world.buyer
    link = buyer.link(deal.request, deal.world.seller)
    (other,) = buyer.run(lambda tx: to_knock(tx, buyer.clock()))
    assert (other.local, other.remote) == link
    assert buyer.run(lambda tx: to_knock(tx, buyer.clock() + KNOCK_SECONDS - 1)) == [other]
    assert buyer.run(lambda tx: to_knock(tx, buyer.clock() + KNOCK_SECONDS)) == []


def test_links_called_at_the_limit_and_one_over(deal: Deal) -> None:
    buyer = deal.world.buyer
    row = sent(buyer, d.ORDER)
    for number in range(KNOCKED_LINKS + 1):
        key = number.to_bytes(32, "big")
        one = row._replace(hash=key, remote=key, state="failed", reason=NO_ANSWER, updated=buyer.clock() + number)
        buyer.run(partial(_note_given_up, one=one))
    called = buyer.run(lambda tx: to_knock(tx, buyer.clock()))
    assert len(called) == KNOCKED_LINKS
    assert (0).to_bytes(32, "big") not in {other.remote for other in called}  # the one given up first


def test_who_waits_for_a_paper_of_a_deal_is_called_before_all_others(deal: Deal) -> None:
    half_signed(deal)
    buyer = deal.world.buyer
    link = buyer.link(deal.request, deal.world.seller)
    row = sent(buyer, d.ORDER)._replace(kind=d.QUOTE, state="failed", reason=NO_ANSWER)
    for number in range(5 * KNOCKED_LINKS):
        key = number.to_bytes(32, "big")
        one = row._replace(hash=key, remote=key, updated=buyer.clock() + 1 + number)
        buyer.run(partial(_note_given_up, one=one))
    called = buyer.run(lambda tx: to_knock(tx, buyer.clock()))
    assert len(called) == KNOCKED_LINKS
    assert (called[0].local, called[0].remote) == link


def test_papers_tried_often_enough_are_not_looked_at_again(deal: Deal) -> None:
    """However many there are: they are neither read with everything that comes, nor in the way of others."""
    half_signed(deal)
    buyer = deal.world.buyer
    link = buyer.link(deal.request, deal.world.seller)
    row = sent(buyer, CHANGE)._replace(resent=RESENDINGS, updated=buyer.clock() + 1)
    for number in range(5 * KNOCKED_LINKS):
        buyer.run(partial(_note_given_up, one=row._replace(hash=number.to_bytes(32, "big"))))
    assert len(buyer.run(lambda tx: tx.outbox.given_up_to(link[1], RESENDINGS))) == 1
    assert len(buyer.run(lambda tx: tx.outbox.given_up_for(row.recipient, RESENDINGS))) == 1
    (other,) = buyer.run(lambda tx: to_knock(tx, buyer.clock()))
    assert (other.local, other.remote) == link


def _note_given_up(tx: Any, one: rows.Outgoing) -> None:
    tx.outbox.meet((one.local, one.remote), b"", 0)
    tx.outbox.queue(one)


# What people see


def test_what_comes_next_is_shown_and_counted(deal: Deal) -> None:
    half_signed(deal)
    buyer = deal.world.buyer
    paper = buyer.run(lambda tx: tx.documents.get(sent(buyer, CHANGE).hash))
    assert paper is not None

    def shown() -> tuple[Any, str]:
        info = buyer.run(lambda tx: document_info(deal.buyer.views, tx, paper))
        return info, way_text(info, Screen(width=200, now=0.0, terminal=False))

    info, text = shown()
    assert (info.delivery, info.next, info.resent, info.gives_up_at) == ("failed", "heard", 0, None)
    assert text == "no answer: goes out again when they are heard"
    link = buyer.link(deal.request, deal.world.seller)
    buyer.run(lambda tx: hear(tx, link[1], (), buyer.clock()))
    info, text = shown()
    assert (info.delivery, info.next, info.resent) == ("queued", "their_call", 1)
    assert text.startswith("waits for their call, tried anew (1 time), until ")
    for _ in range(RESENDINGS):
        pass_time(buyer, SENDING_SECONDS)
        buyer.run(lambda tx: hear(tx, link[1], (), buyer.clock()))
    info, text = shown()
    assert (info.next, info.resent, text) == (None, RESENDINGS, f"given up: {NO_ANSWER}")
