"""Our own documents of a deal: despatch, receipt, rating; and counters and notes before it.

Rules as in `trade.making`: what may be done is asked of the tables (`tables.ACTIONS`, WrongState), then the document
is made, sealed, and put before the receiver's check (BadInput). Numbers count on from our own documents, so a slot is
never filled twice by one ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from p2pmarket.errors import NotFound, WrongState
from p2pmarket.keys import SigningKey
from p2pmarket.trade import tables
from p2pmarket.trade.documents import (
    Counter,
    Despatch,
    Dispute,
    Note,
    Opened,
    OrderResponse,
    Rating,
    Receipt,
    identity_statement,
)
from p2pmarket.trade.making import Moment, sealed, state_of
from p2pmarket.trade.money import decimal_text
from p2pmarket.trade.thread import Class, Thread, fold
from p2pmarket.trade.thread.deal import missing_of, unreceived_of, unsent_of
from p2pmarket.trade.values import (
    Aspect,
    Attachment,
    OrderLine,
    ReceiptLine,
    Sheet,
    Terms,
)


def make_counter(
    thread: Thread,
    request_key: SigningKey,
    moment: Moment,
    quote: bytes,
    *,
    sheet: Sheet,
    terms: Terms,
    valid_until: int,
    text: str | None = None,
) -> Opened:
    """Wish for another quote: a full document about one version. Raises NotFound, WrongState, BadInput."""
    state = state_of(fold(thread).quotes, quote, "quote")
    tables.require_action(tables.QUOTE, state, "buyer", "counter")
    answered = {line.request_line for line in sheet.lines}
    counter = Counter(
        nonce=moment.nonce(),
        issued_at=moment.wall,
        request=thread.request.hash,
        version=thread.quotes[quote].version,
        answers=quote,
        valid_until=valid_until,
        sheet=sheet,
        missing_lines=tuple(sorted(line.no for line in thread.asked.lines if line.no not in answered)),
        terms=terms,
        text=text,
    )
    return sealed(thread, counter, request_key, thread.seller)


def make_note(
    thread: Thread,
    key: SigningKey,
    moment: Moment,
    about: bytes,
    text: str | None = None,
    *,
    answers: bytes | None = None,
    attachments: tuple[Attachment, ...] | None = None,
    introduce: SigningKey | None = None,
) -> Opened:
    """Say something about a request, quote, counter or order; `introduce` tells the seller the buyer's identity.

    `key`: the seller's identity, or the request key, or the buyer's identity once there is an order.
    """
    if thread.find(about) is None:
        raise NotFound("there is nothing here that the note could be about")
    buyer = thread.buyer_of(about) if about in thread.orders else thread.request.signer
    signature = None
    if introduce is not None:
        statement = identity_statement(
            thread.network, thread.request.signer, thread.asked.reply_key, introduce.public
        )  # fmt: skip
        signature = introduce.sign(statement)
    note = Note(
        nonce=moment.nonce(),
        issued_at=moment.wall,
        about=about,
        answers=answers,
        text=text,
        attachments=attachments,
        identity=introduce.public if introduce is not None else None,
        identity_signature=signature,
    )
    return sealed(thread, note, key, thread.seller if key.public != thread.seller else buyer)


# Delivery


def make_despatch(
    thread: Thread,
    key: SigningKey,
    moment: Moment,
    deal: bytes,
    lines: Sequence[OrderLine] | None = None,
    *,
    carrier: str | None = None,
    tracking: str | None = None,
    url: str | None = None,
    parcels: int | None = None,
    expected: str | None = None,
    files: tuple[Attachment, ...] | None = None,
    text: str | None = None,
) -> Opened:
    """Goods have left: all that is neither there nor on its way, or `lines`. Raises NotFound, WrongState, BadInput."""
    buyer = acting(thread, key, deal, "despatch")
    if lines is None:
        lines = [OrderLine(no=no, quantity=decimal_text(left)) for no, left in unsent_of(thread, deal).items()]
    if not lines:
        raise WrongState("everything has been sent", hint="Name the lines that are sent again: --line 1=5")
    despatch = Despatch(
        nonce=moment.nonce(),
        issued_at=moment.wall,
        deal=deal,
        no=next_number(thread, Despatch, key, deal),
        lines=tuple(lines),
        carrier=carrier,
        tracking=tracking,
        url=url,
        parcels=parcels,
        despatched_at=moment.wall,
        expected=expected,
        files=files,
        text=text,
    )
    return sealed(thread, despatch, key, buyer)


def make_receipt(
    thread: Thread,
    key: SigningKey,
    moment: Moment,
    deal: bytes,
    lines: Sequence[ReceiptLine] | None = None,
    *,
    despatch: bytes | None = None,
    received_on: str | None = None,
    text: str | None = None,
) -> Opened:
    """Goods have arrived: all of the despatch (or what is missing of the deal, if none is named), or `lines`."""
    seller = acting(thread, key, deal, "receive")
    if despatch is not None and all(despatch != found for found, _ in unreceived_of(thread, deal)):
        one(thread, Despatch, despatch, "despatch")
        raise WrongState("what was sent with this despatch has been received already")
    if lines is None:
        lines = _all_of(thread, deal, despatch)
    if not lines:
        raise WrongState("everything has been received")
    receipt = Receipt(
        nonce=moment.nonce(),
        issued_at=moment.wall,
        deal=deal,
        no=next_number(thread, Receipt, key, deal),
        despatch=despatch,
        lines=tuple(lines),
        received_on=received_on,
        text=text,
    )
    return sealed(thread, receipt, key, seller)


def _all_of(thread: Thread, deal: bytes, despatch: bytes | None) -> tuple[ReceiptLine, ...]:
    if despatch is None:
        sent = {no: decimal_text(left) for no, left in missing_of(thread, deal).items()}
    else:
        sent = {line.no: line.quantity for line in one(thread, Despatch, despatch, "despatch").lines}
    return tuple(ReceiptLine(no=no, quantity=quantity, condition="full") for no, quantity in sent.items())


# Rating


def make_rating(
    thread: Thread,
    key: SigningKey,
    moment: Moment,
    deal: bytes,
    aspects: Iterable[Aspect],
    text: str | None = None,
    url: str | None = None,
) -> Opened:
    """Rate the other side of a deal; a further rating replaces ours before it."""
    other = acting(thread, key, deal, "rate")
    if deal not in thread.accepted:
        raise WrongState("only a deal that both have signed can be rated")
    ordered, order = thread.orders[deal]
    response = thread.accepted[deal].document
    assert isinstance(response, OrderResponse)
    assert response.deal_signature is not None
    mine = [r.version for o, r in thread.each(Rating) if (o.signer, r.deal) == (key.public, deal)]
    rating = Rating(
        nonce=moment.nonce(),
        issued_at=moment.wall,
        deal=deal,
        request=order.request,
        quote=order.quote,
        order_nonce=order.nonce,
        buyer=ordered.signer,
        seller=thread.seller,
        buyer_signature=order.deal_signature,
        seller_signature=response.deal_signature,
        version=max(mine, default=0) + 1,
        aspects=tuple(aspects),
        text=text,
        url=url,
    )
    return sealed(thread, rating, key, other)


# Parts


def role_of(thread: Thread, key: SigningKey, deal: bytes) -> tables.Role:
    """Whose key this is in a deal. Raises NotFound for a deal that is not here, WrongState for a stranger."""
    if deal not in thread.orders:
        raise NotFound("there is no such deal")
    if key.public == thread.seller:
        return "seller"
    if key.public == thread.buyer_of(deal):
        return "buyer"
    raise WrongState("this is the deal of others")


def acting(thread: Thread, key: SigningKey, deal: bytes, verb: str | None) -> bytes:
    """The other side of a deal in which the tables allow us `verb` now. Raises NotFound, WrongState."""
    role = role_of(thread, key, deal)
    if verb is not None:
        tables.require_action(tables.DEAL, fold(thread).deals[deal], role, verb)
    return thread.buyer_of(deal) if role == "seller" else thread.seller


def next_number(thread: Thread, kind: type[Despatch | Receipt | Dispute], key: SigningKey, deal: bytes) -> int:
    """One more than the highest number of our documents of a kind in a deal."""
    mine = [d.no for o, d in thread.documents_of_deal(deal) if o.signer == key.public and isinstance(d, kind)]
    return max(mine, default=0) + 1


def one(thread: Thread, kind: type[Class], found: bytes, what: str) -> Class:
    """The document with this hash, which must be of this class. Raises NotFound."""
    opened = thread.documents.get(found)
    if opened is None or not isinstance(opened.document, kind):
        raise NotFound(f"there is no such {what}")
    return opened.document
