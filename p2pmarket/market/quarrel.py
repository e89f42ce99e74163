"""Ratings, the steps of a dispute and a referee's opinion, each inside one transaction of the ledger's thread.

Rules. Only our own documents are made here; what comes is taken by `market.dealing`. The same words said twice are said
once: the first document is the answer. A referee has no part in the deal: he works from the file of one side, keeps his
opinion so that he never signs another about the same dispute, and hands back the file with the opinion in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from p2pmarket import limits
from p2pmarket.api.types import bodies_quarrel as b
from p2pmarket.errors import BadInput, NotFound, Refusal, WrongState
from p2pmarket.market.dealing import Dealing
from p2pmarket.market.papers import keep
from p2pmarket.market.payment_terms import within_total
from p2pmarket.store import rows
from p2pmarket.store.ledger import Ledger
from p2pmarket.trade import agreeing, evidence, fulfilling
from p2pmarket.trade import documents as d
from p2pmarket.trade.ratings import OVERALL
from p2pmarket.trade.thread import Thread, fold
from p2pmarket.trade.thread.disputes import disputes_of
from p2pmarket.trade.values import Aspect, Attachment, Money
from p2pmarket.vocab.currencies import parse_money
from p2pmarket.vocab.decimals import decimal_text, parse_decimal
from p2pmarket.vocab.judging import ASPECTS, DISPUTE_OUTCOMES, DISPUTE_REASONS, known_word

# Ratings


def rate(ledger: Ledger, dealing: Dealing, order: rows.Order, body: b.NewRating, wall: int) -> tuple[d.Opened, bool]:
    """Rate the other side of a deal; the rating, and False if we said just that before.

    Raises WrongState for what both have not signed, BadInput.
    """
    scores = {known_word(name, ASPECTS, "aspect of a deal"): score for name, score in sorted(body.aspects.items())}
    if body.stars is not None:
        scores[OVERALL] = body.stars
    if not scores:
        raise BadInput("a rating needs stars", hint="As in --stars 4, or --aspect goods=5 --aspect delivery=3")
    thread = dealing.deal_thread(ledger, order)
    me = dealing.signer.identity
    aspects = tuple(Aspect(name, score) for name, score in scores.items())
    text, url = body.text or None, body.url or None
    before = ratings_by(thread, me.public, order.hash)
    if before and _said(before[-1]) == (aspects, text, url):
        return before[-1], False
    last = ledger.documents.newest_rating(me.public, order.other)  # of one peer the newest counts: no two at once
    moment = dealing.moment(max(wall, dealing.reader.of_row(last).issued_at + 1 if last is not None else 0))
    opened = fulfilling.make_rating(thread, me, moment, order.hash, aspects, text, url)
    if len(opened.envelope) > limits.RECORD_BYTES:
        over = len(opened.envelope) - limits.RECORD_BYTES
        raise BadInput(
            f"the rating is {over} bytes too long to be published", hint="Say it in fewer words, or with fewer aspects"
        )
    dealing.send(ledger, thread, opened, wall)
    return opened, True


def ratings_by(thread: Thread, signer: bytes, deal: bytes) -> list[d.Opened]:
    """The ratings of one side of a deal, by rising version."""
    mine = [(rating.version, opened) for opened, rating in thread.each(d.Rating) if rating.deal == deal]
    return [opened for _, opened in sorted(mine, key=lambda found: found[0]) if opened.signer == signer]


def _said(opened: d.Opened) -> tuple[tuple[Aspect, ...], str | None, str | None]:
    rating = opened.document
    assert isinstance(rating, d.Rating)
    return rating.aspects, rating.text, rating.url


# Disputes


def dispute(
    ledger: Ledger, dealing: Dealing, order: rows.Order, body: b.NewDispute, wall: int
) -> tuple[d.Opened, bool]:
    """A step of ours; the document, and False if we took it before. Raises NotFound, WrongState, BadInput."""
    thread = dealing.deal_thread(ledger, order)
    me = dealing.signer.identity
    _check_step(body)
    reason = known_word(body.reason, DISPUTE_REASONS, "reason of a dispute") if body.reason is not None else None
    about = _about(ledger, thread, order.hash, me.public, body)
    fields = (
        reason,
        known_word(body.outcome, DISPUTE_OUTCOMES, "outcome of a dispute") if body.outcome is not None else None,
        _amount(thread, order.hash, body.amount),
        _share(body.share),
        body.text or None,
        _attachments(body.attachments),
    )
    for opened, move in thread.each(d.Dispute):
        said = (move.reason, move.outcome, move.amount, move.share, move.text, move.attachments)
        ours = (opened.signer, move.deal, move.step) == (me.public, order.hash, body.step)
        again = _is_open(thread, opened) if body.step == "open" else move.about == about
        if ours and again and said == fields:
            return opened, False
    reason, outcome, amount, share, text, attachments = fields
    if body.step == "open":
        _check_none_open(thread, order.hash)
    if body.step == "close" and about is not None:
        _check_closer(thread, order, about, me.public)
    opened = agreeing.make_dispute(
        thread,
        me,
        dealing.moment(wall),
        order.hash,
        body.step,
        about=about,
        reason=reason,
        outcome=outcome,
        amount=amount,
        share=share,
        text=text,
        attachments=attachments,
    )
    dealing.send(ledger, thread, opened, wall)
    return opened, True


def _check_none_open(thread: Thread, deal: bytes) -> None:
    """Raise WrongState while a dispute about the deal is open, whoever opened it; two that cross stand both."""
    for found, state in disputes_of(thread, deal).items():
        if state == "open":
            id_ = thread.documents[found].id[:10]
            raise WrongState(
                "a dispute about this deal is open already",
                hint=f"Say what there is to say in it: market dispute DEAL state --about {id_} --text WORDS",
                details={"dispute": thread.documents[found].id},
            )


def _check_closer(thread: Thread, order: rows.Order, about: bytes, me: bytes) -> None:
    """Raise WrongState for who closes a dispute that the other side opened."""
    opened = thread.documents[about]
    if isinstance(opened.document, d.Dispute) and opened.document.step == "open" and opened.signer != me:
        who = "seller" if opened.signer == thread.seller else "buyer"
        raise WrongState(
            f"the {who} opened this dispute: only he can close it",
            hint=f"Propose how to end it, or accept what he proposed: market dispute {order.deal[:10]} propose|accept",
            details={"reason": "wrong_signer", "dispute": opened.id},
        )


def _is_open(thread: Thread, opened: d.Opened) -> bool:
    move = opened.document
    assert isinstance(move, d.Dispute)
    return disputes_of(thread, move.deal).get(opened.hash) == "open"


def _check_step(body: b.NewDispute) -> None:
    """Raise BadInput for what a step lacks, or what it cannot have."""
    if body.step == "open" and body.reason is None:
        raise BadInput("a dispute is opened with a reason", hint=f"One of {', '.join(DISPUTE_REASONS)}")
    if body.step == "statement" and not body.text and not body.attachments:
        raise BadInput("a statement says something", hint="--text WORDS, or --attach FILE")
    if body.step == "proposal" and body.outcome is None:
        raise BadInput("a proposal names an outcome", hint=f"One of {', '.join(DISPUTE_OUTCOMES)}")
    if body.step != "proposal" and (body.outcome, body.amount, body.share) != (None, None, None):
        raise BadInput(f"an outcome is proposed: {body.step} has none", hint="market dispute DEAL propose …")


def _about(ledger: Ledger, thread: Thread, deal: bytes, me: bytes, body: b.NewDispute) -> bytes | None:
    """What a step answers: the dispute, or the proposal that is accepted. Raises NotFound, BadInput, WrongState."""
    if body.step == "open":
        return None
    if body.about is not None:
        found = ledger.documents.resolve(body.about).hash
        if found not in thread.documents:
            raise NotFound(f"{body.about} is no step of this deal's disputes", hint="market show DEAL lists them")
        return found
    if body.step == "accept":
        waiting = fold(thread).proposals
        role = "seller" if me == thread.seller else "buyer"
        moves = ((opened, move) for opened, move in thread.each(d.Dispute) if move.deal == deal)
        proposals = [o.hash for o, move in moves if move.step == "proposal" and waiting.get(o.hash) == role]
        return _only(proposals, "proposal that waits for you")
    open_ = [found for found, state in disputes_of(thread, deal).items() if state == "open"]
    return _only(open_, "open dispute")


def _only(found: list[bytes], what: str) -> bytes:
    if not found:
        raise WrongState(f"there is no {what}", hint="market show DEAL says how things stand")
    if len(found) > 1:
        raise BadInput(f"there is more than one {what}", hint="Name it: --about ID; market show DEAL lists the ids")
    return found[0]


def _amount(thread: Thread, deal: bytes, text: str | None) -> Money | None:
    if text is None:
        return None
    order = thread.orders[deal][1]
    money = parse_money(text, order.currency)
    if money.currency != order.currency:
        raise BadInput(f"the deal is in {order.currency}, not {money.currency}")
    scaled = Fraction(money.minor) * Fraction(10) ** (order.exponent - money.exponent)
    if scaled.denominator != 1:
        raise BadInput(f"{text[:40]!r} has more places than the deal's amounts")
    return Money(within_total(thread, deal, int(scaled)), order.currency, order.exponent)


def _share(text: str | None) -> str | None:
    """A part of the total, "0.25" or "25%"."""
    if text is None:
        return None
    plain = text.strip()
    value = parse_decimal(plain.removesuffix("%"))
    if plain.endswith("%"):
        value = value / 100
    if not 0 <= value <= 1:
        raise BadInput(f"{text[:40]!r} is no part of the total", hint="From 0 to 1, or as 25%")
    return decimal_text(value)


def _attachments(files: Iterable[b.NewAttachment]) -> tuple[Attachment, ...] | None:
    found = []
    for file in files:
        try:
            hash_ = bytes.fromhex(file.sha256)
        except ValueError:
            raise BadInput(f"{file.sha256!r} is no SHA-256 in hex") from None
        found.append(Attachment(hash=hash_, size=file.size, name=file.name, media=file.media))
    return tuple(found) or None


# Referees


def opinion(
    ledger: Ledger, dealing: Dealing, thread: Thread, deal: bytes, body: b.NewOpinion, wall: int
) -> tuple[d.Opened, Thread, bool]:
    """Our opinion as the referee of a deal that `thread` shows; the thread with it, and False if we gave it before.

    One opinion for each dispute: the file may show one that we gave before this ledger was restored.

    Raises WrongState for a second opinion or where we are not the referee, NotFound, BadInput.
    """
    me, order = dealing.signer.identity, thread.orders[deal][1]
    if order.referee != me.public:
        raise WrongState(
            "this deal names another referee, or none", hint="Only whom both sides named in the order can judge"
        )
    about = _disputed(thread, deal, body.dispute)
    judged = known_word(body.outcome, DISPUTE_OUTCOMES, "outcome of a dispute")
    remedy = (judged, _amount(thread, deal, body.amount), _share(body.share), body.text or None)
    before = _judged(ledger, dealing, thread, about)
    if before is not None:
        move = before.document
        assert isinstance(move, d.Dispute)
        if (move.outcome, move.amount, move.share, move.text) != remedy:
            raise WrongState("you have judged this dispute already", hint="An opinion is given once")
        if ledger.documents.get(before.hash) is None:
            keep(ledger, before, thread.request.hash, wall, ours=True)
        return before, thread.adding(before), False
    outcome, amount, share, text = remedy
    opened = agreeing.make_opinion(
        thread, me, dealing.moment(wall), about, "seller", outcome=outcome, amount=amount, share=share, text=text
    )
    keep(ledger, opened, thread.request.hash, wall, ours=True)
    return opened, thread.adding(opened), True


def _judged(ledger: Ledger, dealing: Dealing, thread: Thread, dispute: bytes) -> d.Opened | None:
    """Our opinion about a dispute, as we kept it or as the file shows it."""
    me, kind = dealing.signer.identity.public, d.kind_of(d.Dispute)
    kept = map(dealing.reader.opened, ledger.documents.of_signer(thread.request.hash, kind, me))
    shown = (opened for opened, _ in thread.each(d.Dispute) if opened.signer == me)
    for opened in (*kept, *shown):
        move = opened.document
        if isinstance(move, d.Dispute) and (move.step, move.about) == ("opinion", dispute):
            return opened
    return None


def _disputed(thread: Thread, deal: bytes, prefix: str | None) -> bytes:
    """The dispute that an opinion is about: the one named, or the only open one."""
    states = disputes_of(thread, deal)
    if prefix is not None:
        named = [found for found in states if thread.documents[found].id.startswith(prefix.strip().lower())]
        if not named:
            raise NotFound(f"no dispute of this deal has the id {prefix}")
        return _only(named, "dispute of that id")
    return _only([found for found, state in states.items() if state == "open"], "open dispute in this file")


def take_opinions(
    ledger: Ledger, dealing: Dealing, thread: Thread, deal: bytes, wall: int
) -> tuple[rows.Order, list[d.Opened]]:
    """The opinions about a deal of ours that a file shows, as far as they are new. Raises BadInput, NotFound."""
    order = ledger.orders.get(deal)
    if order is None:
        raise NotFound("the file is about a deal of others", hint="market verify FILE says what it proves")
    taken = []
    for opened, move in thread.each(d.Dispute):
        if move.step == "opinion" and ledger.documents.get(opened.hash) is None:
            try:
                dealing.take(ledger, opened, wall)
            except Refusal as refusal:
                raise BadInput(
                    f"the opinion does not fit the deal as it is here: {refusal.message}",
                    hint="What the other side sent last may still be on its way",
                ) from refusal
            taken.append(opened)
    return order, taken


# Evidence


def evidence_of(ledger: Ledger, dealing: Dealing, order: rows.Order) -> bytes:
    """The file of a deal: all documents of its thread, and what was signed about their delivery.

    The request itself is left to the quote that names it: only the seller keeps its receipt.
    """
    seller = dealing.seller_of(order)
    thread = dealing.thread(ledger, order.request, seller)
    receipts = [
        d.document_untrusted(d.ACKNOWLEDGEMENT, row.ack, dealing.signer.network, row.signer)
        for row in ledger.documents.between(order.request, seller)
        if row.ack is not None
    ]
    whole = Thread.of(thread.network, seller, thread.request, (*thread.documents.values(), *receipts))
    return evidence.export_deal(whole, order.hash)
