"""Ratings, disputes and proofs as the local API shows them. Runs in the ledger's thread."""

from __future__ import annotations

from p2pmarket import keys
from p2pmarket.api import types as t
from p2pmarket.market.proofs import documents_of
from p2pmarket.market.threads import load_thread
from p2pmarket.market.views import Views
from p2pmarket.store import rows
from p2pmarket.store.ledger import Ledger
from p2pmarket.trade import documents as d
from p2pmarket.trade.ratings import stars_of, stars_text
from p2pmarket.trade.thread import Thread, fold
from p2pmarket.trade.thread.disputes import dispute_of, disputes_of
from p2pmarket.trade.values import Money
from p2pmarket.vocab.deadlines import instant_text
from p2pmarket.vocab.decimals import money_text


def somebody(views: Views, ledger: Ledger, identity: bytes, name: str | None = None) -> t.Peer:
    """A peer under our own name for him, if he is in the address book; else under `name`, what he calls himself."""
    contact = ledger.contacts.get(identity)
    own = ledger.meta.profile().get("name") if identity == views.identity else None
    return views.peer(ledger, identity, contact.name if contact else own or name, identity)


def rating_view(views: Views, ledger: Ledger, opened: d.Opened, seen: int | None = None) -> t.Rating:
    """One rating, ours or another's; `seen` in UTC seconds."""
    rating = opened.document
    assert isinstance(rating, d.Rating)
    rated = rating.seller if opened.signer == rating.buyer else rating.buyer
    return t.Rating(
        id=opened.id,
        deal=d.deal_id(rating.deal),
        request=d.document_id(d.REQUEST, rating.request),
        rater=somebody(views, ledger, opened.signer),
        rated=somebody(views, ledger, rated),
        role="buyer" if opened.signer == rating.buyer else "seller",
        aspects=[t.Aspect(name=aspect.name, score=aspect.score) for aspect in rating.aspects],
        stars=stars_text(stars_of(rating.aspects)),
        text=rating.text,
        url=rating.url,
        issued_at=instant_text(rating.issued_at),
        seen_at=instant_text(seen) if seen is not None else None,
    )


def ratings_of_deal(views: Views, ledger: Ledger, order: rows.Order) -> list[t.Rating]:
    """What the two sides of a deal said of each other last."""
    newest: dict[bytes, d.Opened] = {}
    for row in ledger.documents.of_thread(order.request):
        if row.kind == d.kind_of(d.Rating):
            opened = views.reader.opened(row)
            if getattr(opened.document, "deal", None) == order.hash:
                newest[opened.signer] = opened
    return [rating_view(views, ledger, opened) for opened in newest.values()]


def disputes_of_deal(views: Views, ledger: Ledger, order: rows.Order) -> list[t.Dispute]:
    """The disputes of a deal; most have none, and cost nothing."""
    if all(row.kind != d.kind_of(d.Dispute) for row in ledger.documents.of_thread(order.request)):
        return []
    seller = order.other if order.role == "buyer" else views.identity
    thread = load_thread(ledger, views.reader, views.network, order.request, seller)
    return disputes_view(views, thread, order) if order.hash in thread.orders else []


def disputes_view(views: Views, thread: Thread, order: rows.Order) -> list[t.Dispute]:
    """The disputes of a deal by the time they were opened."""
    states = disputes_of(thread, order.hash)
    waiting = fold(thread).proposals
    moves: dict[bytes, list[d.Opened]] = {}
    for opened, move in thread.each(d.Dispute):
        if move.deal == order.hash:
            moves.setdefault(dispute_of(thread, opened), []).append(opened)
    found = [
        _dispute(views, thread, order, thread.documents[opened], state, moves.get(opened, []), set(waiting))
        for opened, state in states.items()
    ]
    return sorted(found, key=lambda one: (one.moves[0].issued_at, one.id))


def _dispute(
    views: Views,
    thread: Thread,
    order: rows.Order,
    opened: d.Opened,
    state: str,
    moves: list[d.Opened],
    waiting: set[bytes],
) -> t.Dispute:
    begun = opened.document
    assert isinstance(begun, d.Dispute)
    moves.sort(key=lambda one: (one.hash != opened.hash, one.document.issued_at, getattr(one.document, "no", 0)))
    referee = thread.orders[order.hash][1].referee
    return t.Dispute(
        id=opened.id,
        deal=order.deal,
        state=state,  # type: ignore[arg-type]
        opened_by=_by(views, order, opened.signer),
        reason=begun.reason,
        referee=keys.did_key(referee) if referee is not None else None,
        proposals=[one.id for one in moves if one.hash in waiting],
        moves=[_move(views, thread, order, one) for one in moves],
    )


def _move(views: Views, thread: Thread, order: rows.Order, opened: d.Opened) -> t.DisputeMove:
    move = opened.document
    assert isinstance(move, d.Dispute)
    about = thread.documents.get(move.about) if move.about is not None else None
    return t.DisputeMove(
        id=opened.id,
        step=move.step,
        by=_by(views, order, opened.signer),
        about=about.id if about is not None else None,
        reason=move.reason,
        outcome=move.outcome,
        amount=money_view(move.amount),
        share=move.share,
        text=move.text,
        attachments=[f"{file.name} sha256:{file.hash.hex()}" for file in move.attachments or ()],
        issued_at=instant_text(move.issued_at),
    )


def proof_view(views: Views, ledger: Ledger, row: rows.Proof) -> t.Proof:
    """Two documents by which somebody contradicts himself."""
    one, two = documents_of(row, views.network)
    return t.Proof(
        id=row.id,
        signer=somebody(views, ledger, row.signer),
        kind=one.name,
        documents=[one.id, two.id],
        found_at=instant_text(row.time),
    )


def money_view(money: Money | None) -> t.Money | None:
    """An amount of a document."""
    if money is None:
        return None
    return t.Money(amount=money_text(money.amount, money.exponent), currency=money.currency)


def _by(views: Views, order: rows.Order, signer: bytes) -> t.By:
    if signer == views.identity:
        return "me"
    return "other" if signer == order.other else "referee"
