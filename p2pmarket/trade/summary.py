"""What the documents of a deal say, in words for readers: the summary of an exported deal and its history.

Rules. All of it follows from the signed documents of a thread; no clock is read and nothing is taken from elsewhere, so
whoever has the same documents writes the same summary. Lines and total are those of the contract in force: the order,
or the last change that both signed.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from p2pmarket import keys
from p2pmarket.trade import documents as d
from p2pmarket.trade.thread import Thread, fold, in_force
from p2pmarket.trade.thread.disputes import disputes_of
from p2pmarket.trade.values import Attachment, Money, Sheet
from p2pmarket.vocab.decimals import money_text


class SummaryLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of the deal: how much of what; `no` is that of the quote."""

    no: int
    quantity: str
    unit: str
    text: str


class SummaryPayment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A payment by its number: due, advised, confirmed, refund_due or refunded."""

    no: int
    state: str


class SummaryDispute(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A dispute: who opened it (buyer or seller) and why, what became of it, and the referee's opinion if there is one.

    `amount` ("12.50 EUR") or `share` (of the total) goes back to the buyer.
    """

    dispute: str
    opened_by: str
    reason: str
    state: str
    opinion: str | None = None
    amount: str | None = None
    share: str | None = None


class Summary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the signatures say of a deal; instants RFC 3339, `total` a decimal, `change` the last one both signed."""

    deal: str
    request: str
    quote: str
    order: str
    buyer: str
    seller: str
    referee: str | None
    ordered_at: str
    agreed_at: str
    state: str
    change: int
    lines: tuple[SummaryLine, ...]
    total: str
    currency: str
    payments: tuple[SummaryPayment, ...]
    disputes: tuple[SummaryDispute, ...]


class Entry(msgspec.Struct, frozen=True):
    """One document of a history: what, by whom (buyer, seller, referee), when, and the step or code that it is.

    `said`: its reason, remedy and free text; `files`: names and SHA-256 of what was handed over beside it.
    """

    kind: str
    signer: str
    issued_at: str
    id: str
    step: str | None
    said: str | None = None
    files: tuple[str, ...] = ()


def summary_of(thread: Thread, order_hash: bytes) -> Summary:
    """What the thread says of an agreed deal. Raises KeyError for what is not one."""
    ordered, order = thread.orders[order_hash]
    yes = thread.accepted[order_hash]
    state, contract = fold(thread), in_force(thread, order_hash)
    paid = sorted((no, at) for (found, no), at in state.payments.items() if found == order_hash)
    return Summary(
        deal=d.deal_id(order_hash),
        request=thread.request.id,
        quote=d.document_id(d.QUOTE, order.quote),
        order=ordered.id,
        buyer=keys.did_key(ordered.signer),
        seller=keys.did_key(thread.seller),
        referee=keys.did_key(order.referee) if order.referee is not None else None,
        ordered_at=instant(order.issued_at),
        agreed_at=instant(yes.document.issued_at),
        state=state.deals[order_hash],
        change=contract.version,
        lines=_lines(contract.sheet),
        total=money_text(contract.sheet.total, contract.sheet.exponent),
        currency=contract.sheet.currency,
        payments=tuple(SummaryPayment(no, at) for no, at in paid),
        disputes=tuple(_disputes(thread, order_hash)),
    )


def history_of(thread: Thread, papers: Iterable[d.Opened]) -> tuple[Entry, ...]:
    """These documents of a thread, as a reader needs them."""
    buyers = {thread.request.signer, *(opened.signer for opened, _ in thread.orders.values())}
    roles = {thread.seller: "seller", **dict.fromkeys(buyers, "buyer")}
    return tuple(
        Entry(
            opened.name,
            roles.get(opened.signer, "referee"),
            instant(opened.document.issued_at),
            opened.id,
            _step(opened.document),
            _said(opened.document),
            tuple(f"{file.name} sha256:{file.hash.hex()}" for file in _files(opened.document)),
        )
        for opened in papers
    )


def instant(wall: int) -> str:
    """RFC 3339 of UTC seconds."""
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _step(document: d.Document) -> str | None:
    for name in ("step", "code", "status", "result"):
        if (word := getattr(document, name, None)) is not None:
            return str(word)
    return None


def _said(document: d.Document) -> str | None:
    """What a reader wants of a document beside its kind, as one line for each part."""
    words = [getattr(document, name, None) for name in ("reason", "outcome")]
    if isinstance(document, d.Dispute):
        words += [_amount(document.amount) if document.amount else None]
        words += [f"{document.share} of the total" if document.share else None]
    if isinstance(document, d.Payment):
        words.append(_amount(document.amount))
    if isinstance(document, d.Rating):
        words += [f"{aspect.name} {aspect.score}" for aspect in document.aspects]
    words.append(getattr(document, "text", None))
    return "; ".join(word for word in words if word) or None


def _files(document: d.Document) -> tuple[Attachment, ...]:
    named = getattr(document, "attachments", None) or getattr(document, "files", None) or ()
    return tuple(file for file in named if isinstance(file, Attachment))


def _lines(sheet: Sheet) -> tuple[SummaryLine, ...]:
    return tuple(SummaryLine(line.no, line.quantity, line.unit, line.text) for line in sheet.lines)


def _disputes(thread: Thread, order_hash: bytes) -> Iterable[SummaryDispute]:
    opinions = {move.about: move for _, move in thread.each(d.Dispute) if move.step == "opinion"}
    for found, state in disputes_of(thread, order_hash).items():
        opened = thread.documents[found]
        assert isinstance(opened.document, d.Dispute)
        opinion = opinions.get(found)
        yield SummaryDispute(
            dispute=opened.id,
            opened_by="seller" if opened.signer == thread.seller else "buyer",
            reason=opened.document.reason or "",
            state=state,
            opinion=opinion.outcome if opinion else None,
            amount=_amount(opinion.amount) if opinion and opinion.amount else None,
            share=opinion.share if opinion else None,
        )


def _amount(money: Money) -> str:
    return f"{money_text(money.amount, money.exponent)} {money.currency}"
