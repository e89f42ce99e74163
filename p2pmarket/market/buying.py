"""The buyer's side, inside one transaction: opening a request, asking a seller, taking answers, ordering.

Every function here runs in the ledger's thread and leaves everything as it was (an error) or has written all that
belongs together: the document, its place in the outbox, the state that follows and the event that tells of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from p2pmarket import limits
from p2pmarket.api.types import bodies as b
from p2pmarket.errors import BadInput, NotFound, Refusal, StoreError, WrongState
from p2pmarket.keys import did_key
from p2pmarket.market import drafting
from p2pmarket.market.asking_upstream import base_of
from p2pmarket.market.closing import AFTER_DEADLINE_SECONDS, Closing
from p2pmarket.market.notices import notice
from p2pmarket.market.own_keys import exchange_of, sealed_for, sign_key
from p2pmarket.market.papers import Reader, Signer, announcement_in, announcement_of, may_sign, queue
from p2pmarket.market.routes import joined, packed
from p2pmarket.market.standing import knows_us, reply_key, request_key
from p2pmarket.market.threads import check_room, has_room, load_thread, project
from p2pmarket.records import Announcement, Record, Route
from p2pmarket.store import rows
from p2pmarket.store.ledger import Ledger
from p2pmarket.store.outbox import Link
from p2pmarket.trade import check, documents, making
from p2pmarket.trade import values as v
from p2pmarket.trade.fulfilling import make_note
from p2pmarket.trade.thread import Thread
from p2pmarket.vocab.deadlines import parse_deadline

ORDER_ANSWER_SECONDS = 2 * limits.DAY  # how long a seller has for his word, if nothing else is said
NO_ROUTE = "accepts no connection, and has not been asked yet"


@dataclass(frozen=True, slots=True)
class Buying:
    """What a buyer does. `routes`: how others can dial us now."""

    signer: Signer
    reader: Reader
    routes: Callable[[], tuple[Route, ...]]

    def moment(self, wall: int) -> making.Moment:
        """Now, with fresh randomness."""
        return making.Moment(wall, self.signer.secrets)

    def thread(self, ledger: Ledger, request: bytes, seller: bytes) -> Thread:
        """All that passed between us and a seller about a request."""
        return load_thread(ledger, self.reader, self.signer.network, request, seller)

    # Asking

    def open(self, ledger: Ledger, body: b.OpenRequest, named: Sequence[Record] | None, wall: int) -> rows.Request:
        """A new request of ours, written down, not yet sent to anyone; `named`: only these sellers will be asked.

        Raises BadInput, LimitReached.
        """
        known_to = body.known_to or "contacts"
        alone = knows_us(ledger, named or (), known_to)
        link_key = reply_key(ledger, self.signer.secrets, alone, wall)
        key = request_key(ledger, self.signer.secrets, link_key)
        currency = ledger.meta.profile().get("currency")
        base = base_of(ledger, self.reader, body.made_for) if body.made_for else None
        request = drafting.draft_request(body, link_key, self.routes(), self.signer.secrets, wall, currency, base)
        if known_to == "all" or alone is not None:
            request = making.introduced(request, self.signer.network, key.public, self.signer.identity)
        sealed_for = alone.signer if alone is not None else b""
        (opened,) = making.make_request(request, key, self.signer.network, [sealed_for])
        row = rows.Request(
            hash=opened.hash,
            id=opened.id,
            role="buyer",
            state="open",
            category=request.category,
            created=wall,
            reply_by=request.reply_by,
            sign_seed=key.seed,
            exchange_public=link_key,
            quotes_wanted=request.quotes_wanted,
            target=json.dumps([did_key(seller.signer) for seller in named]) if named is not None else None,
            introduced=known_to,
            made_for=ledger.documents.resolve(body.made_for).hash if body.made_for else None,
        )
        self.reader.keep(ledger, opened, opened.hash, wall, ours=True)
        ledger.requests.add(row)
        ledger.events.add(wall, "request.opened", row.id, row.hash)
        return row

    def ask(self, ledger: Ledger, request: bytes, record: Record, wall: int) -> bool:
        """Send the request to one more seller; False if he was asked before or no more sellers are wanted."""
        row = ledger.requests.get(request)
        if row is None or row.state != "open" or row.reply_by <= wall or record.signer == self.signer.identity.public:
            return False
        before = ledger.requests.asked_one(request, record.signer)
        if before is not None:
            self.follow(ledger, request, record)
            return False
        if ledger.requests.count_asked(request) >= limits.SELLERS_ASKED:
            return False
        announcement = record.announcement
        asked = rows.Asked(request, record.signer, announcement.name, record.envelope, "waiting", None, wall)
        ledger.requests.ask(asked)
        kept = ledger.documents.get(request)
        if kept is None:
            raise StoreError("a request without its document")
        opened = sealed_for(record.signer, row, self.reader.opened(kept), self.signer.network)
        link = (exchange_of(row), announcement.service_key)
        queue(ledger, opened, request, link, wall, row.reply_by)
        if self._keep_record(ledger, record):
            self._introduce(ledger, row, record.signer, link, wall)
        self._meet(ledger, row, announcement, record.signer)
        if not announcement.routes:
            ledger.requests.set_answer(request, record.signer, "unreachable", NO_ROUTE, wall)
        ledger.events.add(wall, "seller.asked", row.id, request, record.signer)
        return True

    def _keep_record(self, ledger: Ledger, record: Record) -> bool:
        """Keep the newest announcement of a contact, so that he can be asked; whether he is one."""
        contact = ledger.contacts.get(record.signer)
        if contact is None:
            return False
        if contact.record is None or announcement_in(contact.record).issued < record.announcement.issued:
            ledger.contacts.set_record(record.signer, record.envelope)
        return True

    def _introduce(self, ledger: Ledger, row: rows.Request, contact: bytes, link: Link, wall: int) -> None:
        """Tell a contact who asks, right behind the request: what strangers get has the same bytes, and no name."""
        said = self.reader.document(ledger, row.hash, documents.Request).identity is not None
        if said or row.introduced != "contacts" or not may_sign(ledger, row.hash, contact):
            return
        thread, moment = self.thread(ledger, row.hash, contact), self.moment(wall)
        opened = make_note(thread, sign_key(row), moment, row.hash, introduce=self.signer.identity)
        if not has_room(thread, opened):
            return
        self.reader.keep(ledger, opened, row.hash, wall, ours=True)
        queue(ledger, opened, row.hash, link, wall, row.reply_by)

    def follow(self, ledger: Ledger, request: bytes, record: Record) -> bool:
        """Dial a seller whom we asked where his newest announcement says, by the same key; whether he has moved."""
        row, asked = ledger.requests.get(request), ledger.requests.asked_one(request, record.signer)
        if row is None or asked is None:
            return False
        old, new = announcement_of(asked), record.announcement
        if new.issued <= old.issued or new.service_key != old.service_key:
            return False
        self._meet(ledger, row, new, record.signer)
        ledger.requests.set_record(request, record.signer, record.envelope)
        self._keep_record(ledger, record)
        return new.routes != old.routes

    def _meet(self, ledger: Ledger, row: rows.Request, announcement: Announcement, seller: bytes) -> None:
        """Dial a seller where he says he is.

        Nobody proves in an announcement that its service key is his own. Where two sellers name one key, the routes of
        both are tried: the false one cannot keep us from the true one, whoever was found first.
        """
        link = (exchange_of(row), announcement.service_key)
        routes = announcement.routes
        if ledger.outbox.is_shared(link, row.hash, seller) and (known := ledger.outbox.correspondent(link)) is not None:
            routes = joined(routes, known.routes)
        ledger.outbox.meet(link, packed(routes), row.reply_by + AFTER_DEADLINE_SECONDS)

    # Taking answers

    def take_quote(self, ledger: Ledger, opened: documents.Opened, link: Link, wall: int) -> None:
        """A seller's quote. Raises Refusal.

        Where to dial him is believed of the link that the quote came over only: his keys are known to others, who may
        not send our calls astray.
        """
        quote = opened.document
        assert isinstance(quote, documents.Quote)
        row = self._request(ledger, quote.request, opened.signer)
        thread = self.thread(ledger, row.hash, opened.signer)
        check.check_quote(thread, opened, wall)
        check_room(thread, opened)
        full = len(ledger.quotes.of_request(row.hash)) >= limits.QUOTES_PER_REQUEST
        if full and thread.quotes:  # whoever has quoted often must not shut out who has not yet
            raise Refusal("busy", "there are too many quotes already")
        self.reader.keep(ledger, opened, row.hash, wall, ours=False)
        ledger.quotes.add(quote_row(opened, quote, opened.signer, ours=False))
        if quote.routes is not None and (exchange_of(row), quote.reply_key) == link:
            ledger.outbox.meet(link, packed(quote.routes), row.reply_by + AFTER_DEADLINE_SECONDS)
        project(ledger, thread.adding(opened), wall)
        ledger.events.add(wall, "quote.received", opened.id, row.hash, opened.hash)

    def take_decline(self, ledger: Ledger, opened: documents.Opened, wall: int) -> None:
        """A seller's no. Raises Refusal."""
        decline = opened.document
        assert isinstance(decline, documents.Decline)
        row = self._request(ledger, decline.request, opened.signer)
        thread = self.thread(ledger, row.hash, opened.signer)
        check.check_decline(thread, opened, wall)
        check_room(thread, opened)
        self.reader.keep(ledger, opened, row.hash, wall, ours=False)
        state = project(ledger, thread.adding(opened), wall)
        if decline.counter is not None:
            counter = documents.document_id(documents.COUNTER, decline.counter)
            ledger.events.add(wall, "counter.declined", counter, row.hash, decline.counter)
        elif state.answer == "declined":
            reason = decline.reason if decline.text is None else f"{decline.reason}: {decline.text}"
            ledger.requests.set_answer(row.hash, opened.signer, "declined", reason, wall)
            ledger.events.add(wall, "seller.declined", row.id, row.hash, opened.signer)

    def take_withdraw(self, ledger: Ledger, opened: documents.Opened, wall: int) -> None:
        """A seller takes a quote back. Raises Refusal."""
        withdraw = opened.document
        assert isinstance(withdraw, documents.Withdraw)
        row = self._request(ledger, withdraw.request, opened.signer)
        thread = self.thread(ledger, row.hash, opened.signer)
        check.check_withdraw(thread, opened, wall)
        check_room(thread, opened)
        self.reader.keep(ledger, opened, row.hash, wall, ours=False)
        ended = [order for order in ledger.orders.of_quote(row.hash, withdraw.quote) if order.state == "ordered"]
        project(ledger, thread.adding(opened), wall)
        for order in ended:
            ledger.events.add(wall, "order.rejected", order.id, row.hash, order.hash)
        quote = ledger.quotes.get(withdraw.quote)
        if quote is not None:
            ledger.events.add(wall, "quote.received", quote.id, row.hash, quote.hash)

    def take_response(self, ledger: Ledger, opened: documents.Opened, wall: int) -> None:
        """A seller's word on our order. Raises Refusal."""
        response = opened.document
        assert isinstance(response, documents.OrderResponse)
        order = ledger.orders.get(response.order)
        if order is None or order.role != "buyer":
            raise Refusal("unknown_order", check.REASONS["unknown_order"])
        thread = self.thread(ledger, order.request, opened.signer)
        check.check_order_response(thread, opened, wall)
        check_room(thread, opened)
        self.reader.keep(ledger, opened, order.request, wall, ours=False)
        if response.code == "CA":
            notice(ledger, opened, order.request, wall)
        note_response(ledger, thread.adding(opened), order, opened.hash, response, wall)
        if response.code == "AP":
            self._closing.settle(ledger, order.request, wall)

    # Ordering

    def order(self, ledger: Ledger, body: b.NewOrder, wall: int) -> tuple[rows.Order, bool]:
        """Order a quote; the order, and False on a repeat. Raises WrongState, BadInput, NotFound."""
        quote_row_, quote, request = self._quote_to_order(ledger, body)
        lines = drafting.order_lines(body, quote)
        for before in ledger.orders.of_quote(quote_row_.request, quote_row_.hash):
            given = self.reader.document(ledger, before.hash, documents.Order)
            if given.lines == lines:
                asked = self.reader.document(ledger, request.hash, documents.Request)
                drafting.check_same_order(body, given, ledger.meta.profile().get, asked.region)
                return before, False
        thread = self.thread(ledger, request.hash, quote_row_.seller)
        self._check_changed(ledger, quote_row_)
        opened = self._make_order(ledger, thread, request, quote_row_, quote, lines, body, wall)
        order = opened.document
        assert isinstance(order, documents.Order)
        drafting.check_max_total(body, order)
        row = rows.Order(
            hash=opened.hash,
            id=opened.id,
            deal=documents.deal_id(opened.hash),
            request=request.hash,
            quote=quote_row_.hash,
            role="buyer",
            other=quote_row_.seller,
            state="ordered",
            created=wall,
            answer_by=order.answer_by,
            tell_price=int(body.tell_price),
        )
        self.reader.keep(ledger, opened, request.hash, wall, ours=True)
        ledger.orders.add(row)
        self._send_order(ledger, request, quote_row_, opened, order, wall)
        project(ledger, thread.adding(opened), wall)
        return row, True

    def close(self, ledger: Ledger, row: rows.Request, body: b.CloseRequest, wall: int) -> bool:
        """End a request of ours and tell the sellers; False if it was ended before. Raises WrongState."""
        return self._closing.close(ledger, row, body, wall)

    # Parts

    @property
    def _closing(self) -> Closing:
        return Closing(self.signer.network, self.reader, self.signer.secrets)

    def _request(self, ledger: Ledger, hash_: bytes, seller: bytes) -> rows.Request:
        """A request of ours that this seller was asked."""
        row = ledger.requests.get(hash_)
        if row is None or row.role != "buyer" or ledger.requests.asked_one(hash_, seller) is None:
            raise Refusal("unknown_request", check.REASONS["unknown_request"])
        return row

    def _quote_to_order(self, ledger: Ledger, body: b.NewOrder) -> tuple[rows.Quote, documents.Quote, rows.Request]:
        row = ledger.quotes.get(ledger.documents.resolve(body.quote).hash)
        if row is None:
            raise NotFound(f"{body.quote} is no quote", hint="market quotes REQUEST lists the quotes")
        request = ledger.requests.get(row.request)
        if request is None or row.ours or request.role != "buyer":
            raise BadInput(f"{row.id} is a quote that you gave", hint="Only the buyer can order it")
        return row, self.reader.document(ledger, row.hash, documents.Quote), request

    def _check_changed(self, ledger: Ledger, quote: rows.Quote) -> None:
        newest = ledger.quotes.of_thread(quote.request, quote.seller)[-1]
        if quote.state == "superseded":
            raise WrongState(
                f"the seller has replaced {quote.id}",
                hint=f"Look at the new version: market show {newest.id}",
                details={"newest": newest.id},
            )
        if quote.state == "withdrawn":
            raise WrongState(f"the seller has taken {quote.id} back", hint="Order another one: market quotes REQUEST")

    def _make_order(
        self,
        ledger: Ledger,
        thread: Thread,
        request: rows.Request,
        quote: rows.Quote,
        document: documents.Quote,
        lines: tuple[v.OrderLine, ...],
        body: b.NewOrder,
        wall: int,
    ) -> documents.Opened:
        if document.kind != "firm":
            raise WrongState("the quote is indicative", hint="Ask the seller for a firm one")
        answer_by = (
            parse_deadline(body.answer_by, wall, body.utc_offset_s, limits.ORDER_SECONDS)
            if body.answer_by
            else wall + ORDER_ANSWER_SECONDS
        )
        asked = self.reader.document(ledger, request.hash, documents.Request)
        return making.make_order(
            thread,
            self.signer.identity,
            sign_key(request),
            self.moment(wall),
            quote=quote.hash,
            answer_by=answer_by,
            reply_key=exchange_of(request),
            routes=self.routes(),
            lines=lines,
            deliver_to=drafting.deliver_to(body, ledger.meta.profile().get, asked.region),
            reference=body.reference,
            referee=drafting.referee_of(body, document, self.signer.identity.public, quote.seller),
        )

    def _send_order(
        self,
        ledger: Ledger,
        request: rows.Request,
        quote: rows.Quote,
        opened: documents.Opened,
        order: documents.Order,
        wall: int,
    ) -> None:
        link = self._link_to(ledger, request, quote.seller)
        queue(ledger, opened, request.hash, link, wall)
        ledger.outbox.keep_until(link, order.answer_by + AFTER_DEADLINE_SECONDS)

    def _link_to(self, ledger: Ledger, request: rows.Request, seller: bytes) -> Link:
        sent = ledger.outbox.of_document(request.hash, seller)
        if sent is None:
            raise StoreError("a quote from a seller who was not asked")
        return (sent.local, sent.remote)


def quote_row(
    opened: documents.Opened, quote: documents.Quote, seller: bytes, *, ours: bool, automatic: bool = False
) -> rows.Quote:
    """The row of a quote, open until the fold says otherwise."""
    return rows.Quote(
        hash=opened.hash,
        id=opened.id,
        request=quote.request,
        seller=seller,
        ours=int(ours),
        version=quote.version,
        state="open",
        valid_until=quote.valid_until,
        automatic=int(automatic),
    )


def note_response(
    ledger: Ledger, thread: Thread, order: rows.Order, hash_: bytes, response: documents.OrderResponse, wall: int
) -> None:
    """Write down what a seller's word makes of an order, on either side."""
    agreed = response.issued_at if response.code == "AP" else None
    if response.code != "AB":
        ledger.orders.answer(order.hash, hash_, agreed)
    project(ledger, thread, wall)
    event = {"AP": "order.accepted", "RE": "order.rejected", "CA": "order.amended"}.get(response.code)
    if event is not None:
        ledger.events.add(wall, event, order.id, order.request, order.hash)
