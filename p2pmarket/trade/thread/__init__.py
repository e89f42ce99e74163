"""A thread: all documents between one buyer and one seller about one request, and the state that follows from them.

Rules. A thread holds documents that `trade.check` accepted. Its state is a fold over that set alone: it reads no clock,
and is the same for any order of arrival and any number of copies. A document whose antecedent has not arrived yet has
no effect until it does. An acceptance counts if it was signed, by its own word, before the order's `answer_by`.

Two documents of one signer in one slot contradict each other (`slot`); `check` refuses the second. Should a set hold
both nevertheless, the higher hash stands for the slot of quotes, and a yes to an order stands before a no.
"""

from p2pmarket.trade.thread.contract import Contract, contracts, in_force
from p2pmarket.trade.thread.deal import deal_events
from p2pmarket.trade.thread.duties import Duty, completes_at, duties, duties_of
from p2pmarket.trade.thread.fold import State, delivery_of, fold
from p2pmarket.trade.thread.late import cancelled_alone, cancels_alone_from
from p2pmarket.trade.thread.slots import Slot, slot
from p2pmarket.trade.thread.thread import Class, Thread, in_time

__all__ = [
    "Class",
    "Contract",
    "Duty",
    "Slot",
    "State",
    "Thread",
    "cancelled_alone",
    "cancels_alone_from",
    "completes_at",
    "contracts",
    "deal_events",
    "delivery_of",
    "duties",
    "duties_of",
    "fold",
    "in_force",
    "in_time",
    "slot",
]
