"""The end of a request, told to its sellers: who won, who lost, and for how much if the buyer wants that known.

A seller is told once the request is settled: when accepted orders cover all that was asked for, or when the buyer ends
it. Being told binds nobody: an order that a seller accepts afterwards stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from p2pmarket.api.types import bodies as b
from p2pmarket.keys import Secrets
from p2pmarket.limits import HOUR
from p2pmarket.market.own_keys import exchange_of, sign_key
from p2pmarket.market.papers import Reader, keep, may_sign, queue
from p2pmarket.market.threads import has_room, load_thread, project
from p2pmarket.network import Network
from p2pmarket.store import rows
from p2pmarket.store.ledger import Ledger
from p2pmarket.store.outbox import CLOSED
from p2pmarket.trade import documents as d
from p2pmarket.trade import making, tables
from p2pmarket.trade import values as v

AFTER_DEADLINE_SECONDS = HOUR  # how much longer the line to a seller is kept
Result = Literal["awarded", "lost", "enough", "expired", "cancelled"]


@dataclass(frozen=True, slots=True)
class Closing:
    """Ends requests of ours."""

    network: Network
    reader: Reader
    secrets: Secrets

    def close(self, ledger: Ledger, row: rows.Request, body: b.CloseRequest, wall: int) -> bool:
        """End a request and tell the sellers; False if it was ended before. Raises WrongState."""
        orders = ledger.orders.of_request(row.hash)
        if row.state == "awarded":
            return self._tell_all(ledger, row, orders, "lost", body, wall)
        if row.state == body.state:
            return False
        event = "closed" if body.state == "enough" else "cancelled"
        ledger.requests.set_state(row.hash, tables.REQUEST.step(row.state, event))
        ledger.outbox.cancel_thread(row.hash, d.REQUEST, wall)
        self._cancel_introductions(ledger, row, wall)
        self._release(ledger, exchange_of(row), wall)
        self._tell_all(ledger, row, orders, body.state, body, wall)
        ledger.events.add(wall, "request.closed", row.id, row.hash)
        return True

    def _release(self, ledger: Ledger, exchange: bytes, wall: int) -> None:
        """Expect nothing more over the links of a request, but for others of the same key that go on."""
        rows_ = ledger.requests.of_exchange(exchange)
        if not any(ledger.orders.open_of_request(row.hash) for row in rows_):
            ends = [row.reply_by for row in rows_ if row.state == "open" and row.reply_by > wall]
            ledger.outbox.release(exchange, max(ends) + AFTER_DEADLINE_SECONDS if ends else 0)

    def _cancel_introductions(self, ledger: Ledger, row: rows.Request, wall: int) -> None:
        """Who never got the request need not learn who asked."""
        papers = ledger.outbox.of_thread(row.hash)
        without = {one.recipient for one in papers if one.kind == d.REQUEST and one.state == "failed"}
        for one in papers:
            if one.kind == d.kind_of(d.Note) and one.state == "queued" and one.recipient in without:
                ledger.outbox.set_state(one, "failed", CLOSED, wall)

    def settle(self, ledger: Ledger, request: bytes, wall: int) -> None:
        """An order was accepted: if nothing is left to buy, the other sellers learn that they lost."""
        row = ledger.requests.get(request)
        if row is None or row.role != "buyer":
            return
        orders = ledger.orders.of_request(request)
        if self._is_covered(ledger, request, [one for one in orders if one.state == "accepted"]):
            body = b.CloseRequest(tell_price=any(one.tell_price for one in orders))
            self._tell_all(ledger, row, orders, "lost", body, wall)

    def _is_covered(self, ledger: Ledger, request: bytes, accepted: Sequence[rows.Order]) -> bool:
        """Whether accepted orders hold all of every line that was asked for."""
        left = {line.no: Fraction(line.quantity) for line in self.reader.document(ledger, request, d.Request).lines}
        for row in accepted:
            quote = self.reader.document(ledger, row.quote, d.Quote)
            answers = {line.no: line.request_line for line in quote.sheet.lines}
            for line in self.reader.document(ledger, row.hash, d.Order).lines:
                asked = answers.get(line.no)
                if asked in left:
                    left[asked] -= Fraction(line.quantity)
        return bool(accepted) and all(quantity <= 0 for quantity in left.values())

    def _tell_all(
        self,
        ledger: Ledger,
        row: rows.Request,
        orders: Sequence[rows.Order],
        result: Result,
        body: b.CloseRequest,
        wall: int,
    ) -> bool:
        """Tell every seller who has the request and was not told yet, but those with an order under way."""
        won = {one.other for one in orders if one.state == "accepted"}
        waiting = {one.other for one in orders if one.state == "ordered"}
        price = self._price(ledger, orders) if body.tell_price else None
        told = False
        for asked in ledger.requests.asked(row.hash):
            if asked.seller not in won | waiting:
                ended: Result = "lost" if won else result
                told |= self._tell(ledger, row, asked.seller, (ended, price, body.text), wall)
        return told

    def _price(self, ledger: Ledger, orders: Sequence[rows.Order]) -> v.Money | None:
        """What the accepted orders come to, if they are in one currency."""
        accepted = [self.reader.document(ledger, one.hash, d.Order) for one in orders if one.state == "accepted"]
        places = {(order.currency, order.exponent) for order in accepted}
        if len(places) != 1:
            return None
        currency, exponent = places.pop()
        return v.Money(sum(order.total for order in accepted), currency, exponent)

    def _tell(
        self,
        ledger: Ledger,
        row: rows.Request,
        seller: bytes,
        said: tuple[Result, v.Money | None, str | None],
        wall: int,
    ) -> bool:
        sent = ledger.outbox.of_document(row.hash, seller)
        if sent is None or sent.state not in {"delivered", "seen"} or not may_sign(ledger, row.hash, seller):
            return False
        thread = load_thread(ledger, self.reader, self.network, row.hash, seller)
        if any(outcome.result == said[0] for _, outcome in thread.each(d.Outcome)):
            return False
        moment = making.Moment(wall, self.secrets)
        opened = making.make_outcome(thread, sign_key(row), moment, said[0], said[1], said[2])
        if not has_room(thread, opened):
            return False
        keep(ledger, opened, row.hash, wall, ours=True)
        queue(ledger, opened, row.hash, (sent.local, sent.remote), wall)
        project(ledger, thread.adding(opened), wall)
        return True
