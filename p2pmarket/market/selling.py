"""The seller's side, inside one transaction: taking requests and orders, quoting, declining, accepting.

Every function here runs in the ledger's thread and leaves everything as it was (an error) or has written all that
belongs together. Quoted is not reserved; accepting takes the stock.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import msgspec

from p2pmarket import limits
from p2pmarket.api.types import bodies as b
from p2pmarket.errors import BadInput, LimitReached, LocalError, NotFound, Refusal, StoreError, WrongState
from p2pmarket.keys import parse_did_key
from p2pmarket.market import stock
from p2pmarket.market.buying import note_response, quote_row
from p2pmarket.market.drafting import check_same_decline
from p2pmarket.market.papers import Reader, Signer, may_sign, queue
from p2pmarket.market.pricing import Offered, PriceBook
from p2pmarket.market.quoting_upstream import offer_from, upstream_of
from p2pmarket.market.revising import refuse_past_days
from p2pmarket.market.routes import packed
from p2pmarket.market.threads import (
    check_not_sold,
    check_room,
    load_thread,
    order_row,
    project,
    require_room,
    waiting_counter,
)
from p2pmarket.pricelist import PriceRow
from p2pmarket.records import Route
from p2pmarket.store import rows
from p2pmarket.store.ledger import Ledger
from p2pmarket.trade import check, documents, making
from p2pmarket.trade.thread import Thread
from p2pmarket.trade.values import QuoteLine


@dataclass(slots=True)
class Selling:
    """What a seller does. `book` is replaced when the price list changes; `routes`: how others can dial us now."""

    signer: Signer
    reader: Reader
    book: PriceBook
    routes: Callable[[], tuple[Route, ...]]
    stock_changed: bool = False  # the ledger's price list is ahead of `book`

    def moment(self, wall: int) -> making.Moment:
        """Now, with fresh randomness."""
        return making.Moment(wall, self.signer.secrets)

    def thread(self, ledger: Ledger, request: bytes) -> Thread:
        """All that passed between a buyer and us about a request."""
        return load_thread(ledger, self.reader, self.signer.network, request, self.signer.identity.public)

    # Taking

    def take_request(
        self,
        ledger: Ledger,
        opened: documents.Opened,
        link: tuple[bytes, bytes],
        group: bytes,
        wall: int,
        *,
        returned: bool = False,
    ) -> None:
        """A buyer's request; answered at once from the price list as far as that is certain. Raises Refusal.

        `returned`: of before our restore, so that we may have answered it; it is not, until all is back.
        """
        request = opened.document
        assert isinstance(request, documents.Request)
        judged = min(wall, request.reply_by) if returned else wall
        check.check_request(self.signer.network, opened, self.signer.identity.public, judged)
        if request.reply_key != link[1]:
            raise Refusal("wrong_signer", "the request names another key than the link it came over")
        if ledger.requests.count_waiting(wall) >= limits.INBOX_REQUESTS:
            raise Refusal("busy", "the inbox is full")
        full = ledger.requests.count_of_buyer(link[1]) >= limits.STANDING_REQUESTS
        if full or ledger.requests.count_from_group(group, wall - limits.HOUR) >= limits.REQUESTS_PER_HOUR:
            raise Refusal("busy", "too many requests from one place, or by one key")
        self.reader.keep(ledger, opened, opened.hash, wall, ours=False)
        row = self._request_row(opened, request, group, wall)
        ledger.requests.add(row)
        ledger.outbox.meet(link, packed(request.routes), 0)
        if returned:
            ledger.recalls.add(row.hash, self.signer.identity.public)
        else:
            self._quote_from_prices(ledger, row, request, link, wall)
        ledger.events.add(wall, "request.received", row.id, row.hash)

    def answer_late(self, ledger: Ledger, row: rows.Request, link: tuple[bytes, bytes], wall: int) -> None:
        """Quote from the price list what we might have answered before a restore, and have not."""
        ours = self.signer.identity.public
        if row.role == "seller" and row.state == "open" and wall < row.reply_by:
            answered = any(True for _ in self.thread(ledger, row.hash).each(documents.Decline))
            if not answered and not ledger.quotes.of_thread(row.hash, ours):
                request = self.reader.document(ledger, row.hash, documents.Request)
                self._quote_from_prices(ledger, row, request, link, wall)

    def take_order(self, ledger: Ledger, opened: documents.Opened, link: tuple[bytes, bytes], wall: int) -> None:
        """A buyer's order; accepted at once if the quote was automatic and still stands. Raises Refusal."""
        order = opened.document
        assert isinstance(order, documents.Order)
        request = ledger.requests.get(order.request)
        quote = ledger.quotes.get(order.quote)
        if request is None or request.role != "seller" or quote is None or not quote.ours:
            raise Refusal("unknown_quote", check.REASONS["unknown_quote"])
        thread = self.thread(ledger, request.hash)
        check.check_order(thread, opened, wall)
        check_room(thread, opened)
        if ledger.orders.of_quote(request.hash, quote.hash):
            raise Refusal("equivocation", "this quote has been ordered already")
        self.reader.keep(ledger, opened, request.hash, wall, ours=False)
        row = order_row(opened, order, wall)
        ledger.orders.add(row)
        if order.reply_key == link[1]:  # of another key he may not say where it lives
            ledger.outbox.meet(link, packed(order.routes), 0)
        ledger.events.add(wall, "order.received", row.id, request.hash, row.hash)
        signs = may_sign(ledger, request.hash, self.signer.identity.public)
        automatic = quote.automatic and self.book.quoting.accept and signs
        thread = thread.adding(opened)
        if not (automatic and self._accept_if_it_stands(ledger, row, order, thread, wall)):
            project(ledger, thread, wall)

    def take_outcome(self, ledger: Ledger, opened: documents.Opened, wall: int) -> None:
        """A buyer tells how his request ended. Raises Refusal."""
        outcome = opened.document
        assert isinstance(outcome, documents.Outcome)
        request = ledger.requests.get(outcome.request)
        if request is None or request.role != "seller":
            raise Refusal("unknown_request", check.REASONS["unknown_request"])
        thread = self.thread(ledger, request.hash)
        check.check_outcome(thread, opened, wall)
        check_room(thread, opened)
        self.reader.keep(ledger, opened, request.hash, wall, ours=False)
        project(ledger, thread.adding(opened), wall)
        if outcome.result != "awarded":
            ledger.requests.set_state(request.hash, "cancelled" if outcome.result == "cancelled" else "enough")
            ledger.requests.set_attention(request.hash, "answered")
            ledger.events.add(wall, "request.closed", request.id, request.hash)

    # Answering

    def quote(self, ledger: Ledger, row: rows.Request, body: b.NewQuote, wall: int) -> rows.Quote:
        """A quote by hand; the second for one request is version 2. Raises BadInput, WrongState."""
        self._check_open(row, wall)
        check_not_sold(self.thread(ledger, row.hash))
        refuse_past_days(body, wall)
        if body.margin is not None and body.from_quote is None:
            raise BadInput(
                "a margin belongs to the prices of a quote that you got",
                hint="Say which by from_quote, or leave it out",
            )
        if body.from_quote is not None:
            offered = offer_from(ledger, self.reader, self.book, row, body, wall)
        else:
            request = self.reader.document(ledger, row.hash, documents.Request)
            offered = self.book.by_hand(body, request, ledger.meta.profile().get("currency"), wall)
        if (named := upstream_of(ledger, body.upstream)) is not None:
            offered = replace(offered, terms=msgspec.structs.replace(offered.terms, upstream=named))
        if body.referee is not None:
            referee = parse_did_key(body.referee)
            offered = replace(offered, terms=msgspec.structs.replace(offered.terms, referee=referee))
        return self._send_quote(ledger, row, offered, self._link(ledger, row), wall, automatic=False)

    def send_version(self, ledger: Ledger, row: rows.Request, offered: Offered, wall: int) -> rows.Quote:
        """A further version, also after the time to reply: the buyer has asked for it. Raises BadInput."""
        return self._send_quote(ledger, row, offered, self._link(ledger, row), wall, automatic=False)

    def decline(self, ledger: Ledger, row: rows.Request, body: b.Decline, wall: int) -> bool:
        """A no to a request; False if it was given before. Raises WrongState."""
        thread = self.thread(ledger, row.hash)
        said = [no for _, no in thread.each(documents.Decline) if no.counter is None]
        if said:
            check_same_decline(said[0], body)
            return False
        self._check_open(row, wall)
        opened = making.make_decline(thread, self.signer.identity, self.moment(wall), body.reason, body.text)
        self._send(ledger, row, thread, opened, wall)
        project(ledger, thread.adding(opened), wall)
        ledger.requests.set_attention(row.hash, "answered")
        return True

    def withdraw(self, ledger: Ledger, quote: rows.Quote, text: str | None, wall: int) -> bool:
        """Take a quote of ours back; False if it was before. Raises WrongState."""
        if quote.state == "withdrawn":
            return False
        row = ledger.requests.get(quote.request)
        if row is None or not quote.ours:
            raise BadInput(f"{quote.id} is not a quote of yours")
        thread = self.thread(ledger, row.hash)
        opened = making.make_withdraw(thread, self.signer.identity, self.moment(wall), quote.hash, text=text)
        self._send(ledger, row, thread, opened, wall)
        project(ledger, thread.adding(opened), wall)
        return True

    def accept(self, ledger: Ledger, row: rows.Order, text: str | None, wall: int) -> bool:
        """Sign a person's yes to an order; False if it was given before. Raises WrongState."""
        return self._respond(ledger, row, self.thread(ledger, row.request), "AP", None, text, wall, by_hand=True)

    def reject(self, ledger: Ledger, row: rows.Order, reason: str, text: str | None, wall: int) -> bool:
        """Sign a no to an order; False if it was given before. Raises WrongState."""
        return self._respond(ledger, row, self.thread(ledger, row.request), "RE", reason, text, wall, by_hand=True)

    # Parts

    def _request_row(
        self, opened: documents.Opened, request: documents.Request, group: bytes, wall: int
    ) -> rows.Request:
        return rows.Request(
            hash=opened.hash,
            id=opened.id,
            role="seller",
            state="open",
            category=request.category,
            created=wall,
            reply_by=request.reply_by,
            attention="new",
            buyer_exchange=request.reply_key,
            buyer_routes=packed(request.routes),
            matched_lines=0,
            address_group=group,
        )

    def _quote_from_prices(
        self, ledger: Ledger, row: rows.Request, request: documents.Request, link: tuple[bytes, bytes], wall: int
    ) -> None:
        """Quote what is certain; what is not stays for a person. No doubt and no error sends a default price."""
        try:
            found = self.book.draft(request)
        except LocalError:
            return  # sums that no document can hold
        if found is None:
            return
        drafted, currency = found
        ledger.requests.set_matched(row.hash, len(drafted.lines), json.dumps(dict(drafted.needs_person)))
        if not drafted.lines or not self.book.quoting.auto:
            return
        try:
            offered = self.book.offer(drafted, currency, wall)
            self._send_quote(ledger, row, offered, link, wall, automatic=True)
        except LocalError:
            return  # the prices do not make a quote, or one too long: a person sees the request in the inbox
        if drafted.missing_lines:
            ledger.requests.set_attention(row.hash, "new")

    def _send_quote(
        self,
        ledger: Ledger,
        row: rows.Request,
        offered: Offered,
        link: tuple[bytes, bytes],
        wall: int,
        *,
        automatic: bool,
    ) -> rows.Quote:
        thread = self.thread(ledger, row.hash)
        opened = making.make_quote(
            thread,
            self.signer.identity,
            self.moment(wall),
            sheet=offered.sheet,
            terms=offered.terms,
            valid_until=offered.valid_until,
            kind=offered.kind,  # type: ignore[arg-type]
            name=ledger.meta.profile().get("name") or None,
            url=offered.url,
            text=offered.text,
            reply_key=link[0],
            routes=self.routes(),
            answers=waiting_counter(thread),
        )
        quote = opened.document
        assert isinstance(quote, documents.Quote)
        _check_room(thread, opened)
        self.reader.keep(ledger, opened, row.hash, wall, ours=True)
        made = quote_row(opened, quote, self.signer.identity.public, ours=True, automatic=automatic)
        ledger.quotes.add(made)
        queue(ledger, opened, row.hash, link, wall)
        project(ledger, thread.adding(opened), wall)
        ledger.requests.set_attention(row.hash, "answered")
        return made

    def _accept_if_it_stands(
        self, ledger: Ledger, row: rows.Order, order: documents.Order, thread: Thread, wall: int
    ) -> bool:
        """Sign our yes and write down what follows; False, and nothing done, where a person decides."""
        quote = self.reader.document(ledger, row.quote, documents.Quote)
        if order.referee != quote.terms.referee or not stock.lasts(order, quote, partial(self._price_of, ledger)):
            return False
        try:
            return self._respond(ledger, row, thread, "AP", None, None, wall, by_hand=False)
        except WrongState:  # it expired or changed while it was under way
            return False

    def _respond(
        self,
        ledger: Ledger,
        row: rows.Order,
        thread: Thread,
        code: str,
        reason: str | None,
        text: str | None,
        wall: int,
        *,
        by_hand: bool,
    ) -> bool:
        if row.state == {"AP": "accepted", "RE": "rejected"}[code]:
            return False
        request = ledger.requests.get(row.request)
        if request is None or row.role != "seller":
            raise BadInput(f"{row.id} is an order that you gave", hint="Only its seller can answer it")
        opened = making.make_order_response(
            thread,
            self.signer.identity,
            self.moment(wall),
            row.hash,
            code,  # type: ignore[arg-type]
            reason=reason,
            text=text,
            by_hand=by_hand,
            reply_key=self._link(ledger, request)[0],
            routes=self.routes(),
        )
        self._send(ledger, request, thread, opened, wall)
        response = opened.document
        assert isinstance(response, documents.OrderResponse)
        note_response(ledger, thread.adding(opened), row, opened.hash, response, wall)
        if code == "AP":
            order = self.reader.document(ledger, row.hash, documents.Order)
            quote = self.reader.document(ledger, row.quote, documents.Quote)
            took = stock.take(ledger, row.hash, order, quote, partial(self._price_of, ledger))
            self.stock_changed = took or self.stock_changed
        return True

    def give_back(self, ledger: Ledger, thread: Thread) -> None:
        """Put what the cancelled deals of a thread had taken back into the price list."""
        if thread.seller == self.signer.identity.public:
            for order in thread.orders:
                self.stock_changed = stock.give_back(ledger, thread, order) or self.stock_changed

    def _price_of(self, ledger: Ledger, line: QuoteLine) -> rows.Price | None:
        """The row of the price list that a line was quoted from: by its code, or by its text if it has none."""
        if line.code is not None:
            return ledger.prices.by_code(line.code.value)
        found = [self.book.index.rows[place] for place in self.book.index.by_text(line.text)]
        if len(found) != 1 or not isinstance(found[0], PriceRow):
            return None
        price = ledger.prices.by_row(found[0].row)
        return price if price is not None and price.description == line.text else None

    def _send(self, ledger: Ledger, row: rows.Request, thread: Thread, opened: documents.Opened, wall: int) -> None:
        require_room(thread, opened)
        self.reader.keep(ledger, opened, row.hash, wall, ours=True)
        queue(ledger, opened, row.hash, self._link(ledger, row), wall)

    def _link(self, ledger: Ledger, row: rows.Request) -> tuple[bytes, bytes]:
        """The link over which the buyer asked."""
        if row.buyer_exchange is None:
            raise NotFound(f"{row.id} is a request of yours", hint="Only others can quote it")
        link = ledger.outbox.link_with(bytes(row.buyer_exchange))
        if link is None:
            raise StoreError("a request without the link it came over")
        return link

    def _check_open(self, row: rows.Request, wall: int) -> None:
        if row.role != "seller":
            raise BadInput(f"{row.id} is a request of yours", hint="Only others can quote it")
        if row.state != "open":
            raise WrongState(f"the buyer has closed {row.id}")
        if row.reply_by <= wall:
            raise WrongState(f"the time to reply to {row.id} has passed")


def _check_room(thread: Thread, opened: documents.Opened) -> None:
    """Raise LimitReached for a quote that the buyer would refuse, because there are so many and long ones already."""
    try:
        check_room(thread, opened)
    except Refusal as refusal:
        raise LimitReached(
            "the quotes for this request have become too long together", hint="Quote fewer lines, or with shorter texts"
        ) from refusal
