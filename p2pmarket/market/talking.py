"""Haggling and talk: counters, answers to them, orders accepted with changes, notes. Inside one transaction.

Either side counters with a full document made from the offer that stands: the buyer by a counter, the seller by a new
version of his quote. A version is countered once; the seller answers it with a version or says no to it, and then his
quote stands as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from p2pmarket import keys, limits
from p2pmarket.api.types import bodies as bodies
from p2pmarket.api.types import bodies_talk as b
from p2pmarket.errors import BadInput, LimitReached, NotFound, Refusal, StoreError, WrongState
from p2pmarket.market.buying import note_response
from p2pmarket.market.dealing import Dealing
from p2pmarket.market.differences import Offer
from p2pmarket.market.drafting import check_same_decline
from p2pmarket.market.own_keys import sign_key
from p2pmarket.market.pricing import Offered
from p2pmarket.market.quoting_upstream import upstream_of
from p2pmarket.market.revising import as_answer, refuse_past_days, revised_sheet, revised_terms
from p2pmarket.market.selling import Selling
from p2pmarket.market.threads import check_not_sold, check_room
from p2pmarket.store import rows
from p2pmarket.store.ledger import Ledger
from p2pmarket.trade import documents as d
from p2pmarket.trade import making, tables
from p2pmarket.trade import values as v
from p2pmarket.trade.fulfilling import make_counter, make_note
from p2pmarket.trade.thread import Thread, fold
from p2pmarket.trade.thread.contract import fitted, ordered_sheet
from p2pmarket.vocab.deadlines import parse_deadline

ANSWER_SECONDS = limits.DAY  # an answer to a counter or a note is expected so long, if nothing else is said
LINE_SECONDS = limits.HOUR  # how much longer the line is kept


@dataclass(frozen=True, slots=True)
class Talking:
    """What both sides say to each other beside a deal."""

    dealing: Dealing
    selling: Selling

    # Counters

    def counter(self, ledger: Ledger, quote: rows.Quote, body: b.NewCounter, wall: int) -> tuple[bytes, bool]:
        """A buyer's counter to a quote; its hash, and False on a repeat. Raises WrongState, BadInput, LimitReached."""
        row = self._row(ledger, quote.request)
        thread = self.dealing.thread(ledger, quote.request, quote.seller)
        document = thread.quotes[quote.hash]
        sheet, terms = self._revised((document.sheet, document.terms), thread.asked, body, wall)
        before = {counter.answers: (found, counter) for found, counter in thread.counters.items()}.get(quote.hash)
        if before is not None:
            if (before[1].sheet, before[1].terms, before[1].text) == (sheet, terms, body.text):
                return before[0], False
            raise WrongState(
                f"you have countered version {quote.version} before: each version is countered once",
                hint=f"Order it, let it go, or ask for a new version: market note {quote.id[:10]} TEXT",
            )
        if tables.quote_label(quote.state, quote.valid_until, wall) == "expired":
            raise WrongState(
                "the quote has expired",
                hint=f"Ask for a new version: market note {quote.id[:10]} TEXT",
                details={"state": "expired"},
            )
        if (sheet, terms) == (document.sheet, document.terms) and body.text is None:
            raise BadInput(
                "this counter changes nothing", hint="Say what is to be different: --line 1=PRICE, --total M"
            )
        opened = make_counter(
            thread,
            sign_key(row),
            self.dealing.moment(wall),
            quote.hash,
            sheet=sheet,
            terms=terms,
            valid_until=_counter_until(body, document, wall),
            text=body.text,
        )
        self.dealing.send(ledger, thread, opened, wall)
        ledger.quotes.set_counter(quote.hash, opened.hash)
        ledger.events.add(wall, "quote.countered", quote.id, quote.request, quote.hash)
        assert isinstance(opened.document, d.Counter)
        self._expect(ledger, row, quote.seller, opened.document.valid_until)
        return opened.hash, True

    def counter_back(self, ledger: Ledger, kept: rows.Document, body: b.NewCounter, wall: int) -> rows.Quote:
        """The seller's counter: a new version, made from a buyer's counter or from his own newest version."""
        row, thread = self._ours(ledger, kept)
        base = thread.counters.get(kept.hash) or thread.quotes.get(kept.hash)
        if base is None:
            raise NotFound(f"{kept.id} is no quote and no counter")
        self._check_newest(ledger, thread, base.answers if isinstance(base, d.Counter) else kept.hash)
        check_not_sold(thread)
        sheet, terms = self._revised((base.sheet, base.terms), thread.asked, body, wall)
        newest = thread.quotes[thread.newest or b""]
        if (sheet, terms) == (newest.sheet, newest.terms) and not (body.text or body.valid):
            raise BadInput("this changes nothing", hint="Say what is to be different: --line 1=PRICE, --total M")
        return self._new_version(ledger, row, thread, (sheet, terms), body, wall)

    def grant(self, ledger: Ledger, kept: rows.Document, body: bodies.NewQuote, wall: int) -> rows.Quote:
        """The seller's yes to a counter: a version that says just what the buyer wants. Raises WrongState, BadInput."""
        if body.lines or any(told is not None for told in (body.total, body.csv, body.from_quote, body.margin)):
            raise BadInput(
                "a yes to a counter takes its prices", hint=f"Others make a new version: market counter {kept.id[:10]}"
            )
        row, thread = self._ours(ledger, kept)
        counter = thread.counters[kept.hash]
        self._check_newest(ledger, thread, counter.answers)
        told = b.Revision(valid=body.valid, utc_offset_s=body.utc_offset_s, text=body.text)
        return self._new_version(ledger, row, thread, (counter.sheet, counter.terms), told, wall, body.kind)

    def decline(self, ledger: Ledger, kept: rows.Document, body: bodies.Decline, wall: int) -> bool:
        """The seller's no to a counter; False if it was given before. Raises WrongState."""
        _, thread = self._ours(ledger, kept)
        for _, no in thread.each(d.Decline):
            if no.counter == kept.hash:
                check_same_decline(no, body)
                return False
        opened = making.make_decline(
            thread, self.dealing.signer.identity, self.dealing.moment(wall), body.reason, body.text, kept.hash
        )
        self.dealing.send(ledger, thread, opened, wall)
        return True

    # Orders with changes

    def amend(self, ledger: Ledger, order: rows.Order, body: b.Amend, wall: int) -> tuple[rows.Quote, bool]:
        """Accept an order with changes: a new version of the quote, and the word that only that one is good.

        The version, and False on a repeat. Raises WrongState, BadInput.
        """
        row = self._row(ledger, order.request)
        thread = self.dealing.deal_thread(ledger, order)
        if order.state == "amended" and order.response is not None:
            return self._amended(ledger, thread, order, body, wall), False
        tables.require_action(tables.DEAL, fold(thread).deals[order.hash], "seller", "amend")
        before, offer = self._changes(ledger, thread, order, body, wall)
        if offer == before:
            raise BadInput("nothing is changed", hint=f"Accept it as it is: market accept {order.id[:10]}")
        version = self._new_version(ledger, row, thread, offer, body, wall)
        thread = self.dealing.deal_thread(ledger, order)
        opened = making.make_order_response(
            thread,
            self.dealing.signer.identity,
            self.dealing.moment(wall),
            order.hash,
            "CA",
            text=body.text,
            quote=version.hash,
            by_hand=True,
            routes=self.dealing.routes(),
        )
        self.dealing.send(ledger, thread, opened, wall)
        assert isinstance(opened.document, d.OrderResponse)
        note_response(ledger, thread.adding(opened), order, opened.hash, opened.document, wall)
        return version, True

    def _changes(
        self, ledger: Ledger, thread: Thread, order: rows.Order, body: b.Amend, wall: int
    ) -> tuple[Offer, Offer]:
        """What was ordered, and what is offered instead. Raises BadInput."""
        _, document = thread.orders[order.hash]
        quoted = thread.quotes[document.quote]
        ordered = ordered_sheet(quoted.sheet, document.lines)
        base = msgspec.structs.replace(ordered, lines=tuple(as_answer(line, thread.asked) for line in ordered.lines))
        before = fitted(quoted.terms, base.total)
        sheet, terms = self._revised((base, before), thread.asked, body, wall)
        terms = msgspec.structs.replace(terms, upstream=upstream_of(ledger, body.upstream) or terms.upstream)
        return (base, before), (sheet, terms)

    def _amended(self, ledger: Ledger, thread: Thread, order: rows.Order, body: b.Amend, wall: int) -> rows.Quote:
        """The version that an order was amended to. Raises WrongState unless the same changes are told again."""
        response = self.dealing.reader.document(ledger, order.response or b"", d.OrderResponse)
        found = ledger.quotes.get(response.quote or b"")
        if found is None:
            raise StoreError("an amended order without the version that it points to")
        version = thread.quotes[found.hash]
        _, offer = self._changes(ledger, thread, order, body, wall)
        said = (*offer, _valid_until(body, _before(thread, version), version.issued_at), body.text)
        if said != (version.sheet, version.terms, version.valid_until, version.text):
            raise WrongState(
                f"you have amended this order before, to version {version.version} ({found.id})",
                hint=f"The buyer orders that or lets it go; offer something else with: market counter {found.id[:10]}",
                details={"quote": found.id},
            )
        return found

    # Notes

    def note(self, ledger: Ledger, kept: rows.Document, body: b.NewNote, wall: int) -> list[bytes]:
        """Say something about a document, or answer a note; the hashes of the notes. Raises BadInput, NotFound."""
        before = self.dealing.reader.of_row(kept)
        answers = kept.hash if isinstance(before, d.Note) else None
        about = _subject(before) or kept.hash
        if not (body.text or body.attachments):
            raise BadInput("the note says nothing", hint="Give a text, or files with --attach")
        row = self._row(ledger, kept.thread)
        files = tuple(
            v.Attachment(hash=bytes.fromhex(one.sha256), size=one.size, name=one.name, media=one.media)
            for one in body.attachments
        )
        sellers = [self.dealing.signer.identity.public] if row.role == "seller" else self._to(ledger, row, kept, body)
        return [self._say(ledger, row, seller, (about, answers), body.text, files or None, wall) for seller in sellers]

    def _say(
        self,
        ledger: Ledger,
        row: rows.Request,
        seller: bytes,
        about: tuple[bytes, bytes | None],
        text: str | None,
        files: tuple[v.Attachment, ...] | None,
        wall: int,
    ) -> bytes:
        thread = self.dealing.thread(ledger, row.hash, seller)
        mine = row.role == "seller" or about[0] in thread.orders
        key = self.dealing.signer.identity if mine else sign_key(row)
        moment = self.dealing.moment(wall)
        opened = make_note(thread, key, moment, about[0], text, answers=about[1], attachments=files)
        _check_room(thread, opened)
        if about[1] is not None and ledger.notices.get(about[1]) is not None:
            ledger.notices.set_state(about[1], "answered")
        self.dealing.send(ledger, thread, opened, wall)
        self._expect(ledger, row, seller, wall + ANSWER_SECONDS)
        return opened.hash

    def _to(self, ledger: Ledger, row: rows.Request, kept: rows.Document, body: b.NewNote) -> list[bytes]:
        """The sellers that a note of the buyer is for: of a quote or order its own, of a request all who got it."""
        if kept.hash != row.hash:
            other = kept.recipient if kept.ours else kept.signer
            return [other]
        asked = ledger.requests.asked(row.hash)
        if body.to:
            return [_named(asked, name) for name in body.to]
        got = [
            one.seller
            for one in asked
            if (sent := ledger.outbox.of_document(row.hash, one.seller)) is not None
            and sent.state in {"delivered", "seen"}
        ]
        if not got:
            raise WrongState("no seller has the request yet", hint=f"See how they stand: market quotes {row.id[:10]}")
        return got

    # Parts

    def _revised(self, base: Offer, asked: d.Request, body: b.Revision, wall: int) -> Offer:
        refuse_past_days(body, wall)
        sheet = revised_sheet(base[0], asked, body)
        return sheet, fitted(revised_terms(base[1], body), sheet.total)

    def _new_version(
        self,
        ledger: Ledger,
        row: rows.Request,
        thread: Thread,
        offer: Offer,
        body: b.Revision,
        wall: int,
        kind: str | None = None,
    ) -> rows.Quote:
        newest = thread.quotes[thread.newest or b""]
        valid = _valid_until(body, newest, wall)
        offered = Offered(offer[0], offer[1], kind or newest.kind, valid, newest.url, body.text)
        return self.selling.send_version(ledger, row, offered, wall)

    def _check_newest(self, ledger: Ledger, thread: Thread, quote: bytes) -> None:
        if quote != thread.newest:
            newest = ledger.quotes.get(thread.newest or b"")
            raise WrongState(
                "there is a newer version of this quote",
                hint=f"Go on from it: market show {newest.id[:10]}" if newest else None,
                details={"newest": newest.id if newest else None},
            )

    def _ours(self, ledger: Ledger, kept: rows.Document) -> tuple[rows.Request, Thread]:
        """The request and the thread of a counter or quote in which we sell."""
        row = self._row(ledger, kept.thread)
        if row.role != "seller":
            raise BadInput(f"{kept.id} belongs to a request of yours", hint="Only its seller can answer it")
        return row, self.dealing.thread(ledger, row.hash, self.dealing.signer.identity.public)

    def _row(self, ledger: Ledger, request: bytes) -> rows.Request:
        row = ledger.requests.get(request)
        if row is None:
            raise StoreError("a document without its request")
        return row

    def _expect(self, ledger: Ledger, row: rows.Request, seller: bytes, until: int) -> None:
        """A buyer behind a router keeps the line as long as an answer may come."""
        if row.role == "buyer":
            ledger.outbox.keep_until(self.dealing.link(ledger, row, seller), until + LINE_SECONDS)


def _check_room(thread: Thread, opened: d.Opened) -> None:
    """Raise LimitReached for a note that the other side would refuse."""
    try:
        check_room(thread, opened)
    except Refusal as refusal:
        raise LimitReached(
            "too much has been said about this already", hint="Talk elsewhere; what binds is still sent"
        ) from refusal


def _subject(document: d.Document) -> bytes | None:
    """What a note in answer to this document is about: notes are about requests, quotes, counters and orders only."""
    if isinstance(document, d.Note):
        return document.about
    if isinstance(document, d.OrderResponse):
        return document.order
    deal = getattr(document, "deal", None)
    return deal if isinstance(deal, bytes) else None


def _named(asked: Sequence[rows.Asked], name: str) -> bytes:
    """The seller among those asked whom a fingerprint, did:key or name means."""
    wanted = name.strip().casefold()
    found = [
        one.seller
        for one in asked
        if wanted in {one.name.casefold(), keys.fingerprint(one.seller), keys.did_key(one.seller).casefold()}
    ]
    if len(found) != 1:
        problem = "none" if not found else f"{len(found)}"
        raise NotFound(f"{name!r} fits {problem} of the sellers asked", hint="Give the fingerprint beside the name")
    return found[0]


def _valid_until(body: b.Revision, before: d.Quote, wall: int) -> int:
    """Until when a new version is good: as said, else for as long as the one before was when it was made."""
    if body.valid:
        return parse_deadline(body.valid, wall, body.utc_offset_s, limits.QUOTE_SECONDS)
    return wall + before.valid_until - before.issued_at


def _before(thread: Thread, version: d.Quote) -> d.Quote:
    """The version before this one."""
    return max((one for one in thread.quotes.values() if one.version < version.version), key=lambda one: one.version)


def _counter_until(body: b.Revision, quote: d.Quote, wall: int) -> int:
    """Until when the buyer wants an answer: as said, else as long as the quote is good, at least a day."""
    if body.valid:
        return parse_deadline(body.valid, wall, body.utc_offset_s, limits.QUOTE_SECONDS)
    return min(max(quote.valid_until, wall + ANSWER_SECONDS), wall + limits.QUOTE_SECONDS)
