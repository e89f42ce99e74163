"""Notices: which documents of the other side a person should look at, and when they need no more attention.

Rules. A notice is made when such a document is saved, in the same transaction. It goes from new to seen when a person
has looked at it, and to answered when what it asks for has been done or has lost its object; what only tells something
(a note, a receipt) is done with once it is seen. Nothing binding hangs on a notice.
"""

from __future__ import annotations

from p2pmarket.store import rows
from p2pmarket.store.ledger import Ledger
from p2pmarket.trade import documents as d
from p2pmarket.trade import tables
from p2pmarket.trade.bills import bills_of
from p2pmarket.trade.thread import State, Thread
from p2pmarket.trade.thread.deal import awaited_of

# Kind of document -> kind of notice, as the inbox names it.
NOTICES = {
    d.COUNTER: "counter",
    d.ORDER_RESPONSE: "amendment",  # code CA only
    d.kind_of(d.Change): "change",
    d.kind_of(d.Cancel): "cancellation",
    d.kind_of(d.Despatch): "despatch",
    d.kind_of(d.Receipt): "receipt",
    d.kind_of(d.Invoice): "invoice",
    d.kind_of(d.Credit): "credit",
    d.kind_of(d.Payment): "payment",
    d.kind_of(d.Rating): "rating",
    d.kind_of(d.Dispute): "dispute",
    d.kind_of(d.Note): "note",
}
OVER = frozenset({"rejected", "cancelled", "delivered", "completed"})  # deals in which no parcel is waited for


def notice(ledger: Ledger, opened: d.Opened, thread: bytes, wall: int) -> None:
    """Put a saved document before the person."""
    ledger.notices.add(rows.Notice(opened.hash, thread, NOTICES[opened.kind], "new", wall))


def is_answered(thread: Thread, state: State, opened: d.Opened) -> bool:
    """Whether nothing is left to do about a document that asks for something; what only tells is never answered."""
    match opened.document:
        case d.Counter(answers=quote):
            return state.quotes.get(quote) != "countered"
        case d.OrderResponse(order=order, quote=quote):
            offered = state.quotes.get(quote or b"", "open") in {"open", "countered"}
            return state.deals.get(order) != "amended" or not offered
        case d.Change(step="propose") | d.Cancel(step="propose") | d.Dispute(step="proposal"):
            return opened.hash not in state.proposals
        case d.Dispute(step="open", deal=deal):
            return state.deals.get(deal) != "disputed"
        case d.Despatch(deal=deal):
            return state.deals.get(deal) in OVER or opened.hash not in dict(awaited_of(thread, deal))
        case d.Invoice(deal=deal):
            return not any(bill.open for bill in bills_of(thread, deal) if bill.hash == opened.hash)
        case d.Payment(step="advised", deal=deal, no=no):
            return state.payments.get((deal, no)) != "advised"
        case d.Payment(step="refund_due", deal=deal, no=no):
            return state.payments.get((deal, no)) != "refund_due"
    return False


def only_tells(document: d.Document) -> bool:
    """Whether nothing is asked for: then it is done with once a person has seen it."""
    match document:
        case d.Counter() | d.OrderResponse() | d.Despatch() | d.Invoice():
            return False
        case d.Change(step="propose") | d.Cancel(step="propose") | d.Dispute(step="open" | "proposal"):
            return False
        case d.Payment(step="advised" | "refund_due"):
            return False
    return True


def actions_of(opened: d.Opened, stage: str, role: tables.Role) -> list[str]:
    """What can be done about a noticed document, as verbs of the command line, the likely one first."""
    match opened.document:
        case d.Counter():
            return ["quote", "counter", "decline", "note"]
        case d.OrderResponse():
            return ["order", "note"]
        case d.Change(step="propose") | d.Cancel(step="propose"):
            return ["accept", "reject", "note"]
        case d.Despatch():
            return ["receive", "note", "dispute"]
        case d.Invoice():
            return ["pay", "note", "dispute"]
        case d.Payment(step="advised" | "refund_due"):
            return ["confirm-payment", "note"]
        case d.Dispute():
            return ["dispute", "note"]
        case d.Note():
            return ["note"]
    return list(tables.actions(tables.DEAL, stage, role))
