"""The states of a trade: small machines, each a table of (state, event) -> state, with whose turn it is in each.

Rules. A missing key is the error: for our own acts WrongState. States of what both signed come from sets of events, not
from the order in which they arrived: `Machine.end` walks a set in the machine's own order of events, in which the
stronger comes first, and names the events that found no key (a rejection of what was accepted, say). So the end is the
same whatever was lost, doubled or late, on both sides. No table knows a clock: "expired", "silent" and "enough" are
events or labels that `labels` derives from a signed instant and the wall clock for showing, and bind nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from p2pmarket.errors import WrongState

Role: TypeAlias = Literal["buyer", "seller"]


@dataclass(frozen=True, slots=True)
class Machine:
    """A life cycle. `order` is the order in which a set of events is walked, the strongest first."""

    name: str
    start: str
    order: tuple[str, ...]
    moves: Mapping[tuple[str, str], str]

    def step(self, state: str, event: str) -> str:
        """The state after an event; raises WrongState if there is none."""
        try:
            return self.moves[state, event]
        except KeyError:
            raise WrongState(f"a {self.name} that is {state} cannot be {event}", details={"state": state}) from None

    def may(self, state: str, event: str) -> bool:
        """Whether the event is possible."""
        return (state, event) in self.moves

    def end(self, events: Iterable[str]) -> tuple[str, tuple[str, ...]]:
        """The state that a set of events leads to, and the events that had no effect because they contradict it."""
        happened = frozenset(events)
        state, ignored = self.start, []
        for event in self.order:
            if event in happened:
                if (state, event) in self.moves:
                    state = self.moves[state, event]
                else:
                    ignored.append(event)
        return state, tuple(ignored)

    @property
    def states(self) -> frozenset[str]:
        """All states that the table names."""
        return frozenset({self.start, *self.moves.values(), *(state for state, _ in self.moves)})


def _from(states: str, event: str, to: str) -> dict[tuple[str, str], str]:
    return {(state, event): to for state in states.split()}


# The buyer's request. An acceptance in flight when he closes still binds, so every state may become awarded.
REQUEST = Machine(
    "request",
    "open",
    ("agreed", "cancelled", "closed", "expired"),
    {
        **_from("open expired enough cancelled awarded", "agreed", "awarded"),
        **_from("open expired", "closed", "enough"),
        **_from("open expired", "cancelled", "cancelled"),
        ("open", "expired"): "expired",
    },
)

# What one seller made of a request. A quote weighs more than a decline, whichever was first.
ANSWER = Machine(
    "answer",
    "waiting",
    ("quoted", "declined", "unreachable", "silent"),
    {
        **_from("waiting silent unreachable declined", "quoted", "quoted"),
        **_from("waiting silent unreachable", "declined", "declined"),
        **_from("waiting silent unreachable", "unreachable", "unreachable"),
        **_from("waiting unreachable", "silent", "silent"),
        ("unreachable", "reached"): "waiting",
    },
)

# One version of a quote. An order that the seller accepted stands, whatever else he signed about the quote; an order
# that waits does not keep a quote from being withdrawn or replaced by what was signed before it came.
QUOTE = Machine(
    "quote",
    "open",
    ("agreed", "withdrawn", "superseded", "ordered", "lost", "countered"),
    {
        **_from("open countered lost", "agreed", "ordered"),
        **_from("open countered lost", "withdrawn", "withdrawn"),
        **_from("open countered lost", "superseded", "superseded"),
        **_from("open countered lost", "ordered", "ordered"),
        **_from("open countered", "lost", "lost"),
        ("open", "countered"): "countered",
    },
)

# An order and the deal it becomes. A quote withdrawn before an acceptance was signed is a no; an acceptance stands.
DEAL = Machine(
    "deal",
    "ordered",
    (
        "acknowledged",
        "accepted",
        "amended",
        "rejected",
        "withdrawn",
        "cancelled",
        "despatched",
        "received",
        "disputed",
        "settled",
        "closed",
        "completed",
    ),
    {
        ("ordered", "acknowledged"): "acknowledged",
        **_from("ordered acknowledged", "accepted", "agreed"),
        **_from("ordered acknowledged", "amended", "amended"),
        **_from("ordered acknowledged", "rejected", "rejected"),
        **_from("ordered acknowledged", "withdrawn", "rejected"),
        **_from("ordered acknowledged agreed in_delivery", "cancelled", "cancelled"),
        **_from("agreed in_delivery", "despatched", "in_delivery"),
        **_from("agreed in_delivery delivered", "received", "delivered"),
        **_from("agreed in_delivery delivered completed cancelled", "disputed", "disputed"),
        ("disputed", "settled"): "settled",
        ("disputed", "closed"): "closed",
        ("delivered", "completed"): "completed",
    },
)

# A deal in one of these was agreed, and not cancelled since.
STANDING = frozenset({"agreed", "in_delivery", "delivered", "completed", "disputed", "settled", "closed"})

# One document on its way. What the other side said of it weighs more than what we gave up on.
DELIVERY = Machine(
    "delivery",
    "queued",
    ("sent", "given_up", "received", "seen", "refused"),
    {
        **_from("queued sent", "sent", "sent"),
        **_from("queued sent failed", "given_up", "failed"),
        **_from("queued sent failed delivered", "received", "delivered"),
        **_from("queued sent failed delivered seen", "seen", "seen"),
        **_from("queued sent failed delivered seen", "refused", "failed"),
        **_from("delivered", "sent", "delivered"),
        **_from("seen", "sent", "seen"),
        **_from("seen", "received", "seen"),
        **_from("failed", "sent", "sent"),
    },
)

# One payment, beside the deal and never a state of it.
PAYMENT = Machine(
    "payment",
    "due",
    ("advised", "not_received", "confirmed", "refund_due", "refunded"),
    {
        ("due", "advised"): "advised",
        ("advised", "not_received"): "due",
        **_from("due advised", "confirmed", "confirmed"),
        **_from("due confirmed", "refund_due", "refund_due"),
        **_from("confirmed refund_due", "refunded", "refunded"),
    },
)

MACHINES = {machine.name: machine for machine in (REQUEST, ANSWER, QUOTE, DEAL, DELIVERY, PAYMENT)}

# What `order` shows of its deal.
ORDER_STATES = {
    "ordered": "ordered",
    "acknowledged": "ordered",
    "rejected": "rejected",
    "amended": "amended",
    "cancelled": "cancelled",
}


def order_state(deal_state: str) -> str:
    """The state of the order whose deal is in `deal_state`: ordered, accepted, rejected, amended, cancelled."""
    return ORDER_STATES.get(deal_state, "accepted")


# Whose turn it is


@dataclass(frozen=True, slots=True)
class Turn:
    """Who must act; `until` names the signed field with the deadline, `then` says what follows if he does not."""

    who: Role
    until: str | None
    then: str


TURNS: Mapping[tuple[str, str], Turn] = {
    ("answer", "waiting"): Turn("seller", "reply_by", "the buyer stops waiting"),
    ("quote", "open"): Turn("buyer", "valid_until", "the quote expires"),
    ("quote", "countered"): Turn("seller", "valid_until", "the quote stands until it expires"),
    ("deal", "ordered"): Turn("seller", "answer_by", "overdue: may still be accepted"),
    ("deal", "acknowledged"): Turn("seller", "answer_by", "overdue: may still be accepted"),
    ("deal", "amended"): Turn("buyer", "valid_until", "the new version expires"),
    ("deal", "agreed"): Turn("seller", "latest", "overdue: the buyer may ask, cancel or dispute"),
    ("deal", "in_delivery"): Turn("buyer", "latest", "counts as received: in two weeks, if nobody objects"),
    ("deal", "disputed"): Turn("seller", None, "stays open"),
    ("payment", "due"): Turn("buyer", "due", "overdue: the seller may remind or dispute"),
    ("payment", "advised"): Turn("seller", None, "stays unconfirmed"),
    ("payment", "refund_due"): Turn("seller", None, "stays due"),
}


def _actions(state: str, buyer: str, seller: str) -> dict[tuple[str, str, Role], tuple[str, ...]]:
    return {("deal", state, "buyer"): tuple(buyer.split()), ("deal", state, "seller"): tuple(seller.split())}


ACTIONS: Mapping[tuple[str, str, Role], tuple[str, ...]] = {
    ("request", "open", "buyer"): ("order", "close"),
    ("request", "expired", "buyer"): ("order", "close"),
    ("answer", "waiting", "seller"): ("quote", "decline"),
    ("answer", "silent", "seller"): ("quote", "decline"),
    ("answer", "declined", "seller"): ("quote",),
    ("answer", "quoted", "seller"): ("quote", "withdraw"),
    ("quote", "open", "buyer"): ("order", "counter", "note"),
    ("quote", "open", "seller"): ("quote", "withdraw", "note"),
    ("quote", "countered", "buyer"): ("order", "note"),
    ("quote", "countered", "seller"): ("quote", "decline", "withdraw", "note"),
    ("quote", "lost", "seller"): ("withdraw",),
    ("deal", "ordered", "buyer"): ("cancel", "note"),
    ("deal", "ordered", "seller"): ("accept", "reject", "amend", "cancel", "note"),
    ("deal", "acknowledged", "buyer"): ("cancel", "note"),
    ("deal", "acknowledged", "seller"): ("accept", "reject", "amend", "cancel", "note"),
    ("deal", "amended", "buyer"): ("order", "note"),
    **_actions(
        "agreed",
        "export receive pay change cancel note dispute rate",
        "export despatch invoice confirm-payment refund credit change cancel note dispute rate",
    ),
    **_actions(
        "in_delivery",
        "export receive pay change cancel note dispute rate",
        "export despatch invoice confirm-payment refund credit change cancel note dispute rate",
    ),
    **_actions(
        "delivered",
        "export pay rate receive change note dispute",
        "export invoice confirm-payment refund rate credit change note dispute",
    ),
    **_actions(
        "completed", "export rate note dispute", "export rate invoice confirm-payment refund credit note dispute"
    ),
    **_actions(
        "disputed",
        "export dispute note receive pay change cancel rate",
        "export dispute note despatch confirm-payment refund credit invoice change cancel rate",
    ),
    **_actions(
        "settled",
        "export receive pay rate note dispute cancel",
        "export despatch confirm-payment refund credit invoice rate note dispute cancel",
    ),
    **_actions(
        "closed",
        "export receive pay change rate note dispute cancel",
        "export despatch confirm-payment refund credit invoice change rate note dispute cancel",
    ),
    **_actions("cancelled", "export rate note pay dispute", "export rate note confirm-payment refund credit dispute"),
    ("payment", "due", "buyer"): ("pay",),
    ("payment", "due", "seller"): ("confirm-payment",),
    ("payment", "advised", "seller"): ("confirm-payment",),
    ("payment", "confirmed", "seller"): ("confirm-payment",),
    ("payment", "confirmed", "buyer"): ("confirm-payment",),
    ("payment", "refund_due", "buyer"): ("confirm-payment",),
}


def turn_of(machine: Machine, state: str) -> Turn | None:
    """Who must act in this state; None if nobody."""
    return TURNS.get((machine.name, state))


def turn(machine: Machine, state: str, role: Role) -> Literal["me", "other", "none"]:
    """Whether `role` must act."""
    due = turn_of(machine, state)
    if due is None:
        return "none"
    return "me" if due.who == role else "other"


def actions(machine: Machine, state: str, role: Role) -> tuple[str, ...]:
    """What `role` can do in this state, as verbs of the command line, the likely one first."""
    return ACTIONS.get((machine.name, state, role), ())


def require_action(machine: Machine, state: str, role: Role, verb: str) -> None:
    """Raise WrongState unless `role` may do this in this state."""
    possible = ACTIONS.get((machine.name, state, role), ())
    if verb not in possible:
        raise WrongState(
            f"this {machine.name} is {state.replace('_', ' ')}: the {role} cannot do that now ({verb})",
            hint=f"What the {role} can do now: {', '.join(possible)}" if possible else None,
            details={"state": state},
        )


# Labels


def quote_label(state: str, valid_until: int, wall: int) -> str:
    """The quote's state as shown: a quote that waits for an order is `expired` after `valid_until`."""
    return "expired" if state in {"open", "countered"} and wall > valid_until else state


def overdue(machine: Machine, state: str, until: int | None, wall: int) -> str | None:
    """What to say once the deadline of the turn has passed; None before, or if there is none."""
    due = turn_of(machine, state)
    return due.then if due is not None and until is not None and wall > until else None
