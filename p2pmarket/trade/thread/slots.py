"""Slots: what a signer may fill only once."""

from __future__ import annotations

from p2pmarket.trade.documents import (
    Cancel,
    Change,
    Counter,
    Credit,
    Despatch,
    Dispute,
    Invoice,
    Opened,
    Order,
    OrderResponse,
    Payment,
    Quote,
    Rating,
    Receipt,
)

Slot = tuple[object, ...]


def slot(opened: Opened) -> Slot | None:
    """What a signer may fill only once; None for kinds of which he may sign many.

    Two documents with one slot and different hashes prove that their signer contradicts himself. AB is no final word,
    so it has a slot of its own. Who proposes a version of a change agrees to it: he cannot accept another of that
    number. An answer to a proposal is given once.
    """
    place = _place(opened)
    return None if place is None else (opened.kind, opened.signer, *place)


def _place(opened: Opened) -> Slot | None:
    match opened.document:
        case Quote(request=request, version=version) | Counter(request=request, version=version):
            return (request, version)
        case Order(quote=quote):
            return (quote,)
        case OrderResponse(order=order, code=code):
            return (order, code == "AB")
        case _:
            return _place_in_deal(opened)


def _place_in_deal(opened: Opened) -> Slot | None:
    match opened.document:
        case Change(deal=deal, version=version, step=step, about=about):
            return (deal, about) if step == "reject" else (deal, version)
        case Cancel(deal=deal, step=step, about=about):
            return None if step == "propose" else (deal, about)
        case Despatch(deal=deal, no=no) | Receipt(deal=deal, no=no):
            return (deal, no)
        case Invoice(deal=deal, number=number) | Credit(deal=deal, number=number):
            return (deal, number)
        case Payment(deal=deal, no=no, step=step):
            return (deal, no, step)
        case Rating(deal=deal, version=version):
            return (deal, version)
        case Dispute(deal=deal, step="opinion", about=about):
            return (deal, "opinion", about)
        case Dispute(deal=deal, no=no):
            return (deal, no)
        case _:
            return None
