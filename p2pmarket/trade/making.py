"""Our own documents: made from a thread, allowed by the tables, checked as their receiver will check them, signed.

Rules. What may be done is asked of the thread's state first (WrongState), then the document is made, sealed, and put
before the receiver's check; what that refuses is our caller's mistake (BadInput) and never leaves. Nothing is stored
here: the caller saves, then sends. Whatever is made twice is two documents, so the caller keeps the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import msgspec

from p2pmarket import limits
from p2pmarket.errors import BadInput, LimitReached, NotFound, Refusal, WrongState
from p2pmarket.keys import Secrets, SigningKey
from p2pmarket.network import Network
from p2pmarket.records import Route
from p2pmarket.trade import check, tables
from p2pmarket.trade.documents import (
    Acknowledgement,
    Decline,
    DeclineReason,
    Document,
    Opened,
    Order,
    OrderResponse,
    Outcome,
    Quote,
    Request,
    ResponseCode,
    Withdraw,
    deal_statement,
    identity_statement,
    order_statement,
    pack,
    seal_document,
)
from p2pmarket.trade.money import choice_problem, order_totals, whole
from p2pmarket.trade.thread import Thread, fold
from p2pmarket.trade.values import Money, OrderLine, Party, Sheet, Terms

_EVENTS: dict[str, str] = {"AB": "acknowledged", "AP": "accepted", "RE": "rejected", "CA": "amended"}


@dataclass(frozen=True, slots=True)
class Moment:
    """When, and with what randomness, a document is made: UTC unix seconds, and `secrets(n)` unpredictable bytes."""

    wall: int
    secrets: Secrets

    def nonce(self) -> bytes:
        """16 fresh bytes."""
        return self.secrets(16)


def introduced(request: Request, network: Network, request_key: bytes, identity: SigningKey) -> Request:
    """The request with the buyer's identity in it, for sellers who may know him."""
    signature = _introduction(network, request_key, request.reply_key, identity)
    return msgspec.structs.replace(request, identity=identity.public, identity_signature=signature)


@lru_cache(maxsize=64)
def _introduction(network: Network, request_key: bytes, reply_key: bytes, identity: SigningKey) -> bytes:
    """The identity's word for a request key: the same for all requests under that key."""
    return identity.sign(identity_statement(network, request_key, reply_key, identity.public))


def make_request(request: Request, key: SigningKey, network: Network, sellers: Iterable[bytes]) -> list[Opened]:
    """One request, one payload, sealed for each of `sellers` (identities). Raises BadInput, LimitReached."""
    payload = pack(request)
    sealed = [seal_document(request, key, network, seller, payload) for seller in sellers]
    for opened in sealed:
        with _before_leaving():
            check.check_request(network, opened, opened.recipient, request.issued_at)
    return sealed


def make_quote(
    thread: Thread,
    key: SigningKey,
    moment: Moment,
    *,
    sheet: Sheet,
    terms: Terms,
    valid_until: int,
    kind: Literal["firm", "indicative"] = "firm",
    name: str | None = None,
    url: str | None = None,
    text: str | None = None,
    reply_key: bytes | None = None,
    routes: tuple[Route, ...] | None = None,
    answers: bytes | None = None,
) -> Opened:
    """The next version of our quote; which lines are missing follows from `sheet`.

    `answers` is the hash of a counter, else that of the version before is taken. Raises BadInput, LimitReached.
    """
    before = thread.newest
    version = thread.quotes[before].version + 1 if before is not None else 1
    if version > limits.QUOTE_VERSIONS:
        raise LimitReached(f"a quote has at most {limits.QUOTE_VERSIONS} versions")
    answered = {line.request_line for line in sheet.lines}
    quote = Quote(
        nonce=moment.nonce(),
        issued_at=moment.wall,
        request=thread.request.hash,
        version=version,
        answers=answers or before,
        kind=kind,
        name=name,
        valid_until=valid_until,
        sheet=sheet,
        missing_lines=tuple(sorted(line.no for line in thread.asked.lines if line.no not in answered)),
        terms=terms,
        url=url,
        text=text,
        reply_key=reply_key,
        routes=routes,
    )
    return sealed(thread, quote, key, thread.request.signer)


def make_decline(
    thread: Thread,
    key: SigningKey,
    moment: Moment,
    reason: DeclineReason,
    text: str | None = None,
    counter: bytes | None = None,
) -> Opened:
    """Our no to a request, or to a counter. Raises NotFound, WrongState once we have answered it."""
    if counter is None:
        tables.ANSWER.step(fold(thread).answer, "declined")
    elif counter not in thread.counters:
        raise NotFound("there is no such counter")
    else:
        state = fold(thread).quotes[thread.counters[counter].answers]
        tables.require_action(tables.QUOTE, state, "seller", "decline")
    decline = Decline(
        nonce=moment.nonce(),
        issued_at=moment.wall,
        request=thread.request.hash,
        reason=reason,
        text=text,
        counter=counter,
    )
    return sealed(thread, decline, key, thread.request.signer)


def make_withdraw(
    thread: Thread, key: SigningKey, moment: Moment, quote: bytes, reason: str | None = None, text: str | None = None
) -> Opened:
    """Take back a quote that nobody has ordered. Raises NotFound, WrongState."""
    tables.QUOTE.step(state_of(fold(thread).quotes, quote, "quote"), "withdrawn")
    withdraw = Withdraw(
        nonce=moment.nonce(),
        issued_at=moment.wall,
        request=thread.request.hash,
        quote=quote,
        reason=reason,
        text=text,
    )
    return sealed(thread, withdraw, key, thread.request.signer)


def make_outcome(
    thread: Thread,
    key: SigningKey,
    moment: Moment,
    result: Literal["awarded", "lost", "enough", "expired", "cancelled"],
    price: Money | None = None,
    text: str | None = None,
) -> Opened:
    """Tell a seller how the request ended; `key` is the request key."""
    outcome = Outcome(
        nonce=moment.nonce(),
        issued_at=moment.wall,
        request=thread.request.hash,
        quote=thread.newest,
        result=result,
        price=price,
        text=text,
    )
    return sealed(thread, outcome, key, thread.seller)


def make_order(
    thread: Thread,
    identity: SigningKey,
    request_key: SigningKey,
    moment: Moment,
    *,
    quote: bytes,
    answer_by: int,
    reply_key: bytes,
    routes: tuple[Route, ...],
    lines: Sequence[OrderLine] | None = None,
    deliver_to: Party | None = None,
    reference: str | None = None,
    referee: bytes | None = None,
    text: str | None = None,
) -> Opened:
    """Order a quote, whole or the given lines. Raises NotFound, WrongState (expired, replaced, withdrawn), BadInput."""
    tables.QUOTE.step(state_of(fold(thread).quotes, quote, "quote"), "ordered")
    quoted = thread.quotes[quote]
    if moment.wall > quoted.valid_until:
        raise WrongState("the quote has expired", hint="Ask the seller for a new version, or send the request again")
    chosen = tuple(lines) if lines is not None else whole(quoted.sheet)
    problem = choice_problem(quoted.sheet, quoted.terms, chosen)
    if problem is not None:
        raise BadInput(problem)
    total = order_totals(quoted.sheet, chosen).total
    if total < 0:
        raise BadInput(
            "a discount of this quote is for all of it, and more than these lines come to",
            hint="Order more of it, or ask for a new version",
        )
    statement = order_statement(thread.network, thread.request.hash, quote, identity.public)
    order = Order(
        nonce=moment.nonce(),
        issued_at=moment.wall,
        request=thread.request.hash,
        quote=quote,
        request_key=request_key.public,
        request_signature=request_key.sign(statement),
        deal_signature=bytes(64),
        lines=chosen,
        currency=quoted.sheet.currency,
        exponent=quoted.sheet.exponent,
        total=total,
        deliver_to=deliver_to,
        reference=reference,
        answer_by=answer_by,
        reply_key=reply_key,
        routes=routes,
        referee=referee or quoted.terms.referee,
        upstream=quoted.terms.upstream,
        text=text,
    )
    signature = identity.sign(deal_statement(thread.network, order, identity.public, thread.seller))
    return sealed(thread, msgspec.structs.replace(order, deal_signature=signature), identity, thread.seller)


def make_order_response(
    thread: Thread,
    key: SigningKey,
    moment: Moment,
    order: bytes,
    code: ResponseCode,
    *,
    reason: str | None = None,
    text: str | None = None,
    quote: bytes | None = None,
    by_hand: bool = False,
    reply_key: bytes | None = None,
    routes: tuple[Route, ...] | None = None,
) -> Opened:
    """Our word on an order; `quote` is the new version that a CA points to.

    AP is judged here by our clock, once. Raises NotFound, and WrongState with the reason in its details.
    """
    tables.DEAL.step(state_of(fold(thread).deals, order, "order"), _EVENTS[code])
    opened, ordered = thread.orders[order]
    signature = None
    if code == "AP":
        _may_accept(thread, opened, moment.wall, by_hand=by_hand)
        signature = key.sign(deal_statement(thread.network, ordered, opened.signer, thread.seller))
    response = OrderResponse(
        nonce=moment.nonce(),
        issued_at=moment.wall,
        order=order,
        code=code,
        quote=quote,
        deal_signature=signature,
        reason=reason,
        text=text,
        reply_key=reply_key,
        routes=routes,
    )
    return sealed(thread, response, key, opened.signer)


def make_acknowledgement(
    about: Opened,
    key: SigningKey,
    network: Network,
    moment: Moment,
    status: Literal["received", "seen", "refused"],
    code: str | None = None,
) -> Opened:
    """Tell the signer of `about` what became of it; `key` is the one it was addressed to."""
    acknowledgement = Acknowledgement(
        nonce=moment.nonce(), issued_at=moment.wall, about=about.hash, about_kind=about.kind, status=status, code=code
    )
    opened = seal_document(acknowledgement, key, network, about.signer)
    with _before_leaving():
        check.check_acknowledgement(about, opened, moment.wall)
    return opened


@contextmanager
def _before_leaving() -> Iterator[None]:
    """Turn what the receiver would refuse into an error of ours."""
    try:
        yield
    except Refusal as refusal:
        raise BadInput(f"cannot be sent: {refusal.message}", details={"reason": refusal.reason}) from refusal


def sealed(thread: Thread, document: Document, key: SigningKey, recipient: bytes) -> Opened:
    """The document as it leaves. Raises BadInput for what its receiver would refuse."""
    opened = seal_document(document, key, thread.network, recipient)
    with _before_leaving():
        check.check(thread, opened, document.issued_at)
    return opened


def state_of(states: Mapping[bytes, str], about: bytes, what: str) -> str:
    """The state of a quote or order. Raises NotFound."""
    try:
        return states[about]
    except KeyError:
        raise NotFound(f"there is no such {what}") from None


def _may_accept(thread: Thread, order: Opened, wall: int, *, by_hand: bool) -> None:
    try:
        check.judge_order(thread, order, wall, by_hand=by_hand)
    except Refusal as refusal:
        raise WrongState(f"cannot be accepted: {refusal.message}", details={"reason": refusal.reason}) from refusal
