"""Standing keys: which requests share one link, and that whatever rests on a link's key still finds its request."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from market_world import Side, World, acknowledgement, carry, inside, price, refusals, settle, wrapped

from p2pmarket import limits
from p2pmarket.api.types import bodies as b
from p2pmarket.keys import ExchangeKey
from p2pmarket.limits import HOUR
from p2pmarket.market import standing
from p2pmarket.market.delivery import message_of
from p2pmarket.market.keyring import SERVICE_KEY_SECONDS
from p2pmarket.market.papers import may_sign
from p2pmarket.market.recalling import after_restore
from p2pmarket.market.whereabouts import Whereabouts
from p2pmarket.messages import Recall, Recalled, Refused, decode_untrusted, encode
from p2pmarket.store import rows
from p2pmarket.store.ledger import Ledger
from p2pmarket.trade import documents as d


@pytest.fixture
def world(world: World) -> World:
    for side in (world.seller, world.rival):
        side.sell([price(1, "A", "beans", "10")])
        know(world.buyer, side)
    return world


def know(buyer: Side, seller: Side) -> None:
    """Put a seller into the address book."""
    contact = rows.Contact(seller.public, seller.name, seller.name, None, buyer.clock())
    buyer.run(lambda tx: tx.contacts.put(contact))


def ask(buyer: Side, *sellers: Side, text: str = "3 beans", **more: object) -> rows.Request:
    """A request to these alone."""
    body = b.OpenRequest(category="coffee", line_texts=[text], **more)  # type: ignore[arg-type]
    named = [seller.record() for seller in sellers]
    row = buyer.run(lambda tx: buyer.buying.open(tx, body, named, buyer.clock()))
    for seller in sellers:
        buyer.ask(row, seller)
    return row


def keys_of(*requests: rows.Request) -> set[bytes | None]:
    return {request.exchange_public for request in requests}


def asked_of(buyer: Side, request: rows.Request) -> d.Request:
    return buyer.run(lambda tx: buyer.reader.document(tx, request.hash, d.Request))


def papers(side: Side, request: rows.Request) -> set[bytes]:
    """The hashes of all that a side holds of a request."""
    return {row.hash for row in side.run(lambda tx: tx.documents.of_thread(request.hash))}


def test_requests_to_one_contact_alone_share_their_keys(world: World) -> None:
    buyer, seller = world.buyer, world.seller
    first, second = ask(buyer, seller), ask(buyer, seller)
    assert len(keys_of(first, second)) == 1
    assert first.sign_seed == second.sign_seed
    assert first.hash != second.hash
    assert {asked_of(buyer, row).identity for row in (first, second)} == {buyer.public}
    assert buyer.run(lambda tx: tx.documents.of_thread(first.hash))[1:] == []  # no note has to tell who asks
    settle(buyer, seller, second)
    assert len(buyer.quotes(first)) == len(buyer.quotes(second)) == 1


def test_whoever_may_not_connect_two_requests_gets_a_key_for_each(world: World) -> None:
    buyer, seller, rival = world.buyer, world.seller, world.rival
    shared = [ask(buyer, seller), ask(buyer, rival)]
    own = [ask(buyer, seller, known_to="nobody") for _ in range(2)]
    several = [ask(buyer, seller, rival) for _ in range(2)]
    open_ = [buyer.request("3 beans", sellers=[seller]) for _ in range(2)]
    buyer.run(lambda tx: tx.contacts.remove(seller.public))
    strangers = [ask(buyer, seller) for _ in range(2)]
    every = [*shared, *own, *several, *open_, *strangers]
    assert len(keys_of(*every)) == len({row.sign_seed for row in every}) == len(every)
    for request in [*own, *several, *open_, *strangers]:
        assert asked_of(buyer, request).identity is None


def test_a_stranger_who_is_told_who_asks_gets_a_standing_key_too(world: World) -> None:
    buyer, seller = world.buyer, world.seller
    buyer.run(lambda tx: tx.contacts.remove(seller.public))
    assert len(keys_of(*(ask(buyer, seller, known_to="all") for _ in range(2)))) == 1


def test_requests_of_one_standing_key_at_the_limit_and_one_over(world: World) -> None:
    buyer, seller = world.buyer, world.seller
    every = [ask(buyer, seller) for _ in range(limits.STANDING_REQUESTS + 1)]
    assert len(keys_of(*every[:-1])) == 1
    assert len(keys_of(*every)) == 2
    assert len(keys_of(every[-1], ask(buyer, seller))) == 1


def test_a_standing_key_serves_a_month(world: World) -> None:
    buyer, seller = world.buyer, world.seller
    first = ask(buyer, seller)
    world.clock.now += SERVICE_KEY_SECONDS - 1
    second = ask(buyer, seller)
    world.clock.now += 1
    assert len(keys_of(first, second)) == 1
    assert len(keys_of(first, ask(buyer, seller))) == 2


def test_a_seller_with_another_service_key_is_asked_by_another_standing_key(world: World) -> None:
    """Each key of ours has one other end, so it is known over which link a request came."""
    buyer, seller = world.buyer, world.seller
    first = ask(buyer, seller)
    seller.signer.keyring._service = ExchangeKey.from_seed(bytes(32))
    second = ask(buyer, seller)
    assert len(keys_of(first, second)) == 2
    assert len(keys_of(second, ask(buyer, seller))) == 1


def test_a_work_undone_leaves_no_standing_key(world: World) -> None:
    buyer, seller = world.buyer, world.seller

    def dry(tx: Ledger) -> None:
        buyer.buying.open(
            tx, b.OpenRequest(category="coffee", line_texts=["3 beans"]), [seller.record()], buyer.clock()
        )
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        buyer.run(dry)
    request = ask(buyer, seller)
    assert buyer.run(lambda tx: tx.keys.seed(request.exchange_public or b""))


def test_an_answer_is_taken_by_the_request_whose_key_it_names(world: World) -> None:
    """Both quotes come over one link; sealed for the other request's key, each is refused."""
    buyer, seller = world.buyer, world.seller
    first, second = ask(buyer, seller), ask(buyer, seller, known_to="nobody")
    link, other = buyer.link(first, seller), buyer.link(second, seller)
    for one in (link, other):
        seller.take(buyer.waiting(one), (one[1], one[0]))
    (quote,) = seller.quotes(second)
    sent = seller.run(lambda tx: tx.outbox.of_document(quote.hash, asked_key(buyer, second)))
    assert sent is not None
    wrong = buyer.take([message_of(sent)], link)
    answer = decode_untrusted(wrong.answers[0])
    assert isinstance(answer, Refused)
    assert answer.code == "wrong_recipient"
    assert not buyer.quotes(second)
    right = buyer.take([message_of(sent)], other)
    assert refusals(right) == [None]


def asked_key(buyer: Side, request: rows.Request) -> bytes:
    row = buyer.run(lambda tx: tx.documents.get(request.hash))
    assert row is not None
    return row.signer


def test_an_answer_about_another_request_is_refused_by_the_key_that_it_was_sent_to(world: World) -> None:
    buyer, seller, rival = world.buyer, world.seller, world.rival
    first, second = ask(buyer, seller), ask(buyer, seller)
    settle(buyer, seller, second)
    other = ask(buyer, rival)
    settle(buyer, rival, other)
    quote = rival.run(lambda tx: tx.documents.get(rival.quotes(other)[0].hash))
    assert quote is not None
    about_other = rival.reader.opened(quote)
    key = asked_key(buyer, second)
    forged = d.seal_document(about_other.document, seller.signer.identity, seller.signer.network, key)
    taken = buyer.take([wrapped(forged)], buyer.link(second, seller))
    assert refusals(taken) == ["wrong_signer"]
    assert inside(taken.answers[0]).signer == key
    assert first.exchange_public == second.exchange_public


def test_deals_over_one_link_do_not_meet(world: World) -> None:
    """Both are ordered and accepted; each side holds the same papers of each."""
    buyer, seller = world.buyer, world.seller
    requests = [ask(buyer, seller), ask(buyer, seller)]
    settle(buyer, seller, requests[0])
    for request in requests:
        buyer.order(buyer.quotes(request)[0])
    settle(buyer, seller, requests[0])
    assert [order.state for order in buyer.orders()] == ["accepted", "accepted"]
    for request in requests:
        assert papers(buyer, request) == papers(seller, request)
        assert len(papers(buyer, request)) == 4


def test_the_end_of_a_request_leaves_the_link_to_the_others(world: World) -> None:
    buyer, seller = world.buyer, world.seller
    first, second = ask(buyer, seller), ask(buyer, seller)
    link = buyer.link(first, seller)

    def kept() -> int:
        known = buyer.run(lambda tx: tx.outbox.correspondent(link))
        assert known is not None
        return known.keep_until

    until = kept()
    buyer.run(lambda tx: buyer.buying.close(tx, first, b.CloseRequest(), buyer.clock()))
    assert kept() == until
    buyer.run(lambda tx: buyer.buying.close(tx, second, b.CloseRequest(), buyer.clock()))
    assert kept() == 0


def test_a_request_that_has_expired_keeps_no_link(world: World) -> None:
    buyer, seller = world.buyer, world.seller
    first = ask(buyer, seller, reply_by="1h")
    world.clock.now += HOUR + 1
    second, third = ask(buyer, seller, reply_by="3h"), ask(buyer, seller, reply_by="2h")

    def kept() -> int:
        known = buyer.run(lambda tx: tx.outbox.correspondent(buyer.link(first, seller)))
        assert known is not None
        return known.keep_until

    buyer.run(lambda tx: buyer.buying.close(tx, second, b.CloseRequest(), buyer.clock()))
    assert kept() == third.reply_by + HOUR
    buyer.run(lambda tx: buyer.buying.close(tx, third, b.CloseRequest(), buyer.clock()))
    assert kept() == 0


def test_requests_by_one_key_of_a_buyer_at_the_limit_and_one_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever other programs do: all that a recall must bring back over one link stays bounded."""
    buyer, seller = world.buyer, world.seller
    monkeypatch.setattr(standing, "STANDING_REQUESTS", limits.STANDING_REQUESTS + 1)
    every = [ask(buyer, seller) for _ in range(limits.STANDING_REQUESTS + 1)]
    assert len(keys_of(*every)) == 1
    taken = carry(buyer, seller, buyer.link(every[0], seller))
    assert refusals(taken) == ["busy"]
    assert [len(seller.quotes(row)) for row in every] == [1] * limits.STANDING_REQUESTS + [0]


def test_an_older_announcement_replaces_no_newer_one_of_a_contact(world: World) -> None:
    buyer, seller = world.buyer, world.seller
    old = seller.record()
    world.clock.now += 10
    new = seller.record(seq=2)
    request = buyer.request("3 beans")
    for record, kept in ((old, old), (new, new), (old, new)):
        buyer.run(lambda tx, record=record: buyer.buying.ask(tx, request.hash, record, buyer.clock()))  # type: ignore[misc]
        buyer.run(lambda tx, record=record: buyer.buying._keep_record(tx, record))  # type: ignore[misc]
        contact = buyer.run(lambda tx: tx.contacts.get(seller.public))
        assert contact is not None
        assert contact.record == kept.envelope


def test_who_moved_is_sought_by_what_he_announced_last(world: World) -> None:
    buyer, seller = world.buyer, world.seller
    first = ask(buyer, seller)
    world.clock.now += 10
    second = ask(buyer, seller)
    whereabouts = Whereabouts(None, buyer.buying, lambda name: None)  # type: ignore[arg-type]
    (sought,) = buyer.run(lambda tx: whereabouts._sought(tx, buyer.link(first, seller)))
    assert (sought.request, sought.seller) == (second.hash, seller.public)


def restored(side: Side, copy: Path, folder: Path) -> Side:
    """The same peer on a new machine, from a copy of its ledger."""
    side.close()
    folder.mkdir()
    shutil.copy(copy, folder / f"{side.name}.sqlite")
    new = Side(side.name, folder, side.clock, side.quoting)
    new.secrets = os.urandom
    new.run(lambda tx: after_restore(tx, new.public, os.urandom(16), new.clock()))
    new.recalling.moved = new.recalling.expecting = True
    return new


def copied(side: Side, path: Path) -> Path:
    side.connection.execute("VACUUM INTO ?", (str(path),))
    return path


def test_a_restored_seller_gets_all_threads_of_a_link_back(world: World, tmp_path: Path) -> None:
    """Two deals went on after the backup; one recall on their one link brings both, and then both are open again."""
    buyer = world.buyer
    requests = [ask(buyer, world.seller), ask(buyer, world.seller)]
    settle(buyer, world.seller, requests[0])
    copy = copied(world.seller, tmp_path / "copy.sqlite")
    for request in requests:
        buyer.order(buyer.quotes(request)[0])
    settle(buyer, world.seller, requests[0])
    world.clock.now += 100
    seller = world.seller = restored(world.seller, copy, tmp_path / "new")
    link = buyer.link(requests[0], seller)
    back = (link[1], link[0])
    for request in requests:
        assert not seller.run(lambda tx, thread=request.hash: may_sign(tx, thread, seller.public))  # type: ignore[misc]
    recall = seller.run(lambda tx: seller.recalling.ask(tx, back, seller.clock()))
    said = buyer.take(recall, link).answers
    assert isinstance(decode_untrusted(said[-1]), Recalled)
    seller.take(said, back)
    for request in requests:
        assert papers(seller, request) == papers(buyer, request)
        assert seller.run(lambda tx, thread=request.hash: may_sign(tx, thread, seller.public))  # type: ignore[misc]
    assert [order.state for order in seller.orders()] == ["accepted", "accepted"]


def test_an_order_that_crosses_the_recall_of_a_restored_seller_is_not_refused(world: World, tmp_path: Path) -> None:
    """He has lost the request that it is about, and asks over the link because of another one."""
    buyer = world.buyer
    first = ask(buyer, world.seller)
    settle(buyer, world.seller, first)
    copy = copied(world.seller, tmp_path / "copy.sqlite")
    second = ask(buyer, world.seller)
    settle(buyer, world.seller, second)
    order = buyer.order(buyer.quotes(second)[0])
    world.clock.now += 100
    seller = world.seller = restored(world.seller, copy, tmp_path / "new")
    link = buyer.link(first, seller)
    back = (link[1], link[0])
    recall = seller.run(lambda tx: seller.recalling.ask(tx, back, seller.clock()))
    crossing = seller.take(buyer.waiting(link), back).answers
    assert [type(decode_untrusted(answer)) for answer in crossing] == [Recall]
    seller.take(buyer.take(recall, link).answers, back)
    settle(buyer, seller, first)
    sent = buyer.run(lambda tx: tx.outbox.of_document(order.hash, seller.public))
    assert sent is not None
    assert sent.state == "delivered"
    assert papers(seller, second) == papers(buyer, second)


def test_an_end_of_a_recall_that_nobody_asked_for_is_passed_over(world: World, tmp_path: Path) -> None:
    """Else whoever holds an old request could have it answered twice, and prove that against the seller."""
    buyer = world.buyer
    first = ask(buyer, world.seller)
    copy = copied(world.seller, tmp_path / "copy.sqlite")
    said = buyer.waiting(buyer.link(first, world.seller))
    world.clock.now += 100
    seller = world.seller = restored(world.seller, copy, tmp_path / "new")
    link = buyer.link(first, seller)
    back = (link[1], link[0])
    seller.take([encode(Recalled(0))], back)
    taken = seller.take(said, back)
    assert not seller.quotes(first)
    assert isinstance(decode_untrusted(taken.answers[-1]), Recall)


def test_papers_for_requests_that_a_restored_buyer_has_lost_keep_no_others_waiting(
    world: World, tmp_path: Path
) -> None:
    seller = world.seller
    first = ask(world.buyer, seller)
    settle(world.buyer, seller, first)
    copy = copied(world.buyer, tmp_path / "copy.sqlite")
    lost = ask(world.buyer, seller)
    link = world.buyer.link(first, seller)
    back = (link[1], link[0])
    seller.take(world.buyer.waiting(link), back)
    assert len(seller.waiting(back)) == 1
    world.clock.now += 100
    buyer = world.buyer = restored(world.buyer, copy, tmp_path / "new")
    taken = buyer.take(seller.waiting(back), link)
    noted = seller.take(taken.answers, back)
    assert noted.acknowledged == [quote.hash for quote in seller.quotes(lost)]
    assert seller.waiting(back) == []
    (sent,) = seller.run(lambda tx: tx.outbox.of_thread(lost.hash))
    assert (sent.state, sent.reason) == ("failed", "wrong_recipient")
    assert seller.events()[-1] == "delivery.changed"


def test_a_buyer_restored_to_before_an_answer_gets_it_again(world: World, tmp_path: Path) -> None:
    """The seller knows that his answer was taken, and so it is not in his outbox any more."""
    seller = world.seller
    request = ask(world.buyer, seller)
    link = world.buyer.link(request, seller)
    copy = copied(world.buyer, tmp_path / "copy.sqlite")
    settle(world.buyer, seller, request)
    world.clock.now += 100
    buyer = world.buyer = restored(world.buyer, copy, tmp_path / "new")
    assert len(buyer.waiting(link)) == 1
    assert buyer.quotes(request) == []
    taken = seller.take(buyer.waiting(link), (link[1], link[0]))
    buyer.take(taken.answers, link)
    assert buyer.waiting(link) == []
    assert len(buyer.quotes(request)) == 1


def test_a_seller_behind_another_one_s_key_is_unreachable(world: World) -> None:
    """He announced a service key that is not his: whoever has it answers for himself only."""
    buyer, seller, rival = world.buyer, world.seller, world.rival
    own = rival.service
    rival.signer.keyring._service = seller.service
    request = buyer.request("3 beans", sellers=[seller, rival])
    link = buyer.link(request, seller)
    back = (link[1], link[0])
    taken = seller.take(buyer.waiting(link), back)
    buyer.take([*taken.answers, *seller.waiting(back)], link)
    assert buyer.asked(request, rival).answer == "unreachable"
    assert buyer.asked(request, seller).answer == "quoted"
    rival.signer.keyring._service = own
    assert buyer.waiting(link) == []


def test_a_restored_seller_who_has_all_of_a_link_back_answers_what_comes_over_it(world: World, tmp_path: Path) -> None:
    """A recall for each would be answered four times a minute only."""
    buyer = world.buyer
    first = ask(buyer, world.seller)
    settle(buyer, world.seller, first)
    copy = copied(world.seller, tmp_path / "copy.sqlite")
    seller = world.seller = restored(world.seller, copy, tmp_path / "new")
    seller.sell([price(1, "A", "beans", "10")])
    link = buyer.link(first, seller)
    back = (link[1], link[0])
    later = [ask(buyer, seller)]
    taken = seller.take(buyer.waiting(link), back)  # it may have been here before: recalled first
    assert not seller.quotes(later[0])
    seller.take(buyer.take(taken.answers, link).answers, back)
    later += [ask(buyer, seller) for _ in range(limits.RECALL_ANSWERS + 1)]
    settle(buyer, seller, first)
    assert [len(buyer.quotes(request)) for request in later] == [1] * len(later)


def test_a_restored_buyer_gets_all_threads_of_a_link_back_and_takes_a_new_key(world: World, tmp_path: Path) -> None:
    seller = world.seller
    requests = [ask(world.buyer, seller), ask(world.buyer, seller)]
    settle(world.buyer, seller, requests[0])
    copy = copied(world.buyer, tmp_path / "copy.sqlite")
    for request in requests:
        world.buyer.order(world.buyer.quotes(request)[0])
    settle(world.buyer, seller, requests[0])
    held = [papers(world.buyer, request) for request in requests]
    world.clock.now += 100
    buyer = world.buyer = restored(world.buyer, copy, tmp_path / "new")
    link = buyer.link(requests[0], seller)
    back = (link[1], link[0])
    recall = buyer.run(lambda tx: buyer.recalling.ask(tx, link, buyer.clock()))
    buyer.take(seller.take(recall, back).answers, link)
    assert [papers(buyer, request) for request in requests] == held
    for request in requests:
        assert buyer.run(lambda tx, thread=request.hash: may_sign(tx, thread, buyer.public, seller.public))  # type: ignore[misc]
    assert ask(buyer, seller).exchange_public not in keys_of(*requests)


def test_what_a_restored_buyer_has_lost_for_good_stays_delivered_at_the_seller(world: World, tmp_path: Path) -> None:
    """A whole trade since the backup, over a link that the backup knows: its papers come back with the others'."""
    seller = world.seller
    first = ask(world.buyer, seller)
    settle(world.buyer, seller, first)
    world.buyer.order(world.buyer.quotes(first)[0])
    settle(world.buyer, seller, first)
    copy = copied(world.buyer, tmp_path / "copy.sqlite")
    second = ask(world.buyer, seller)
    settle(world.buyer, seller, second)
    world.buyer.order(world.buyer.quotes(second)[0])
    settle(world.buyer, seller, second)
    world.clock.now += 100
    buyer = world.buyer = restored(world.buyer, copy, tmp_path / "new")
    link = buyer.link(first, seller)
    back = (link[1], link[0])

    def states() -> list[tuple[bytes, str]]:
        return [(one.hash, one.state) for one in seller.run(lambda tx: tx.outbox.of_thread(second.hash))]

    before = states()
    assert {state for _, state in before} == {"delivered"}
    recall = buyer.run(lambda tx: buyer.recalling.ask(tx, link, buyer.clock()))
    said = seller.take(recall, back).answers
    assert len(said) == 5  # the lost trade, and that this was all
    seller.take(buyer.take(said, link).answers, back)
    assert states() == before
    assert buyer.run(lambda tx: may_sign(tx, first.hash, buyer.public, seller.public))


def test_acknowledgements_over_one_link_are_each_of_its_own_paper(world: World) -> None:
    buyer, seller = world.buyer, world.seller
    seller.sell([])
    requests = [ask(buyer, seller), ask(buyer, seller)]
    taken = carry(buyer, seller, buyer.link(requests[0], seller))
    assert [acknowledgement(answer).about for answer in taken.answers] == [request.hash for request in requests]
    for request in requests:
        sent = buyer.run(lambda tx, hash_=request.hash: tx.outbox.of_document(hash_, seller.public))  # type: ignore[misc]
        assert sent is not None
        assert sent.state == "delivered"
