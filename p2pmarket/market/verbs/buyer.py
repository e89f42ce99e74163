"""Handlers of the buyer's side: requests, quotes, orders."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import get_args

import msgspec

from p2pmarket import keys
from p2pmarket.api import spec
from p2pmarket.api import types as t
from p2pmarket.api.spec import Call
from p2pmarket.api.types import bodies as b
from p2pmarket.clock import wall
from p2pmarket.errors import BadInput, NotFound
from p2pmarket.market import contacts
from p2pmarket.market.labels import request_state
from p2pmarket.market.own_keys import exchange_of
from p2pmarket.market.searching import last_record_of, record_of
from p2pmarket.market.verbs.base import Handlers, page, request_by_id
from p2pmarket.pricelist import unread_columns
from p2pmarket.pricelist.wanted import REQUEST_COLUMNS
from p2pmarket.records import Record
from p2pmarket.store import rows
from p2pmarket.store.cache import Seller
from p2pmarket.store.ledger import Ledger
from p2pmarket.vocab.categories import parse_category

TOLD_WHEN_ASKING = frozenset({"wrong_clock", "no_peers"})  # problems that keep answers away


def _unread(body: b.OpenRequest) -> list[t.Problem]:
    """The columns of a file that no seller hears of."""
    names = unread_columns(body.csv.data, body.csv.mapping) if body.csv is not None else ()
    if not names:
        return []
    told = ", ".join(name[:40] for name in names[:12]) + (", …" if len(names) > 12 else "")
    hint = "Say what they are, or leave them: --map FIELD=COLUMN, of " + ", ".join(REQUEST_COLUMNS)
    return [t.Problem(code="columns_not_read", message=f"these columns of the file are not sent: {told}", hint=hint)]


class BuyerVerbs(Handlers):
    """Ask, compare, order."""

    async def request_open(self, call: Call, body: b.OpenRequest) -> t.RequestReply:
        """Ask sellers for quotes."""
        known = await self.market.remembered() if body.to else []
        asks_all = body.category and not body.to
        doubts = await self.doubts(parse_category(body.category or "").code) if asks_all else []
        opened: list[tuple[rows.Request, bytes, list[bytes]]] = []

        def work(ledger: Ledger) -> t.RequestReply:
            records = {record.signer: record for record in (self._named(ledger, name, known) for name in body.to)}
            row = self.market.buying.open(ledger, body, list(records.values()) if body.to else None, wall())
            for record in records.values():
                self.market.buying.ask(ledger, row.hash, record, wall())
            if body.to:
                ledger.requests.set_search(row.hash, json.dumps({"sellers_found": len(records), "complete": True}))
            services = [record.announcement.service_key for record in records.values()]
            opened.append((row, ledger.keys.seed(exchange_of(row)), services))
            told = [one for one in self.market.health.problems(ledger) if one.code in TOLD_WHEN_ASKING]
            shown = self.market.views.request(ledger, row)
            return t.RequestReply(request=shown, created=True, problems=[*_unread(body), *doubts, *told])

        reply = await self.write(call, spec.REQUEST_OPEN, body, work)
        for row, seed, services in opened if not call.dry_run else ():
            self._begin(row, seed, services)
        return reply

    def _begin(self, row: rows.Request, seed: bytes, services: Sequence[bytes]) -> None:
        """Answer links to the request's key, dial by it the sellers named, at once, or look for sellers."""
        exchange = exchange_of(row)
        if self.market.signer.keyring.get(exchange) is None:
            self.market.signer.keyring.add(keys.ExchangeKey.from_seed(seed))
        for service in services:
            if self.market.peers.link((exchange, service)) is None:
                self.market.courier.try_now((exchange, service))
        if row.target is None:
            self.market.searcher.begin(row)

    def _named(self, ledger: Ledger, name: str, known: list[Seller]) -> Record:
        """The announcement of a peer named by our name for a contact, did:key, fingerprint or announced name."""
        contact = contacts.named(ledger, name)
        if contact is not None:
            known = [seller for seller in known if seller.identity == contact.identity]
        found = {
            seller.identity: seller for seller in reversed(known) if contact is not None or _is_named(seller, name)
        }
        if len(found) > 1:
            raise BadInput(f"{name!r} fits {len(found)} sellers", hint="Give the fingerprint beside the name")
        records = [record_of(seller.record, self.market.buying) for seller in found.values()]
        if contact is not None and contact.record not in {record.envelope for record in records if record}:
            records.append(last_record_of(contact.record, self.market.buying))
        if any(records):
            return max(filter(None, records), key=lambda record: record.announcement.issued)
        raise NotFound(
            f"no seller {name!r} is known here",
            hint="Known are contacts and those found by earlier requests: ask without --to first",
        )

    async def requests(self, call: Call, body: None) -> t.Requests:
        """Requests of ours, newest first."""

        def work(ledger: Ledger) -> t.Requests:
            wanted = call.choice("state", *get_args(t.RequestState))
            chosen = (row for row in ledger.requests.of_role("buyer") if wanted in (None, request_state(row)))
            shown, cursor = page(chosen, call)
            return t.Requests(requests=[self.market.views.request(ledger, row) for row in shown], next=cursor)

        return await self.read(work)

    async def request_get(self, call: Call, body: None, request: str) -> t.RequestReport:
        """A request, its sellers and quotes."""
        return await self.read(lambda ledger: self.market.views.report(ledger, request_by_id(ledger, request, "buyer")))

    async def request_close(self, call: Call, body: b.CloseRequest, request: str) -> t.RequestReply:
        """End a request."""

        def work(ledger: Ledger) -> t.RequestReply:
            row = request_by_id(ledger, request, "buyer")
            changed = self.market.buying.close(ledger, row, body, wall())
            now = ledger.requests.get(row.hash) or row
            return t.RequestReply(request=self.market.views.request(ledger, now), created=changed, problems=[])

        return await self.write(call, spec.REQUEST_CLOSE, body, work)

    async def quotes(self, call: Call, body: None, request: str) -> t.Quotes:
        """Quotes side by side."""

        def work(ledger: Ledger) -> t.Quotes:
            row = request_by_id(ledger, request)
            views = self.market.views
            return t.Quotes(request=views.request(ledger, row), quotes=views.quotes(ledger, row.hash))

        return await self.read(work)

    async def order(self, call: Call, body: b.NewOrder) -> t.OrderReply:
        """Order a quote, whole or in part."""
        sellers = await self.market.remembered() if body.referee is not None else []
        return await self.write(call, spec.ORDER, body, partial(self._order, body=body, sellers=sellers))

    def _order(self, ledger: Ledger, body: b.NewOrder, sellers: list[Seller]) -> t.OrderReply:
        if body.referee is not None:
            referee = contacts.find(ledger, body.referee, sellers).identity
            body = msgspec.structs.replace(body, referee=keys.did_key(referee))
        row, created = self.market.buying.order(ledger, body, wall())
        now = ledger.orders.get(row.hash) or row
        return t.OrderReply(order=self.market.views.order(ledger, now), created=created)


def _is_named(seller: Seller, name: str) -> bool:
    wanted = name.strip().casefold()
    names = (seller.name.casefold(), keys.fingerprint(seller.identity), keys.did_key(seller.identity).casefold())
    return bool(wanted) and wanted in names
