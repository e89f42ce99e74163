"""Handlers of the seller's side: announcements, quotes by hand, answers to orders."""

from __future__ import annotations

import msgspec

from p2pmarket import keys
from p2pmarket.api import spec
from p2pmarket.api import types as t
from p2pmarket.api.spec import Call
from p2pmarket.api.types import bodies as b
from p2pmarket.clock import wall
from p2pmarket.errors import BadInput, LimitReached, NotFound
from p2pmarket.limits import REGIONS_SERVED
from p2pmarket.market import contacts
from p2pmarket.market.notices import only_tells
from p2pmarket.market.papers import is_seen
from p2pmarket.market.verbs.base import Handlers, order_by_id, request_by_id
from p2pmarket.records import WORLD
from p2pmarket.store import rows
from p2pmarket.store.ledger import Ledger
from p2pmarket.trade import documents
from p2pmarket.vocab.categories import parse_category
from p2pmarket.vocab.regions import parse_region


class SellerVerbs(Handlers):
    """Become findable, quote, accept."""

    async def announce(self, call: Call, body: b.Announce) -> t.AnnounceReply:
        """Become findable."""
        category = parse_category(body.category).code
        regions = await self._regions(body.serves)
        doubts = await self.doubts(category)
        signed: list[rows.Announced] = []  # empty if the call was answered before

        def work(ledger: Ledger) -> t.AnnounceReply:
            row, created = self.market.announcer.announce(ledger, category, regions)
            signed.append(row)
            return self._announced(ledger, row, created, doubts)

        reply = await self.write(call, spec.ANNOUNCE, body, work)
        if call.dry_run:
            return reply
        if signed:
            await self.market.announcer.publish(category)

        def look(ledger: Ledger) -> t.AnnounceReply:
            row = ledger.announcements.get(category)
            return self._announced(ledger, row, reply.created, doubts) if row is not None else reply

        return await self.read(look)

    def _announced(
        self, ledger: Ledger, row: rows.Announced, created: bool, doubts: list[t.Problem]
    ) -> t.AnnounceReply:
        problems = [
            problem
            for problem in self.market.health.problems(ledger)
            if problem.code in {"wrong_clock", "no_peers", "unreachable", "not_published"}
        ]
        shown = self.market.views.announcement(row, row.holders > 0)
        return t.AnnounceReply(announcement=shown, created=created, problems=[*doubts, *problems])

    async def _regions(self, serves: list[str]) -> list[str]:
        """The regions served, in their one form; `world` stands alone. Raises BadInput, LimitReached."""
        if not serves:
            profile = await self.read(lambda ledger: ledger.meta.profile())
            serves = [profile.get("region") or WORLD]
        regions = list(dict.fromkeys(parse_region(text) for text in serves))
        if len(regions) > REGIONS_SERVED:
            raise LimitReached(f"{len(regions)} regions are too many", hint=f"At most {REGIONS_SERVED}, or 'world'")
        return [WORLD] if WORLD in regions else regions

    async def announcements(self, call: Call, body: None) -> t.Announcements:
        """What this daemon announces."""
        return await self.read(lambda ledger: t.Announcements(announcements=self.market.health.announcements(ledger)))

    async def withdraw(self, call: Call, body: b.Withdraw) -> t.Withdrawn:
        """Take back an announcement or a quote."""
        if not body.id.strip().lower().startswith("a-"):
            return await self.write(call, spec.WITHDRAW, body, lambda ledger: self._withdraw_quote(ledger, body))
        categories: list[str] = []

        def work(ledger: Ledger) -> t.Withdrawn:
            found = [row for row in ledger.announcements.all() if row.id.startswith(body.id.strip().lower())]
            if len(found) != 1:
                raise NotFound(f"no announcement has the id {body.id}", hint="market announcements lists them")
            created = self.market.announcer.withdraw(ledger, found[0].category)
            categories.append(found[0].category)
            return t.Withdrawn(id=found[0].id, kind="announcement", created=created)

        reply = await self.write(call, spec.WITHDRAW, body, work)
        if reply.created and not call.dry_run:
            await self.market.announcer.publish(categories[0])
        return reply

    def _withdraw_quote(self, ledger: Ledger, body: b.Withdraw) -> t.Withdrawn:
        row = ledger.quotes.get(ledger.documents.resolve(body.id).hash)
        if row is None:
            raise NotFound(f"{body.id} is no quote and no announcement")
        created = self.market.selling.withdraw(ledger, row, body.text, wall())
        return t.Withdrawn(id=row.id, kind="quote", created=created)

    async def quote(self, call: Call, body: b.NewQuote, request: str) -> t.QuoteReply:
        """Quote by hand."""
        sellers = await self.market.remembered() if body.referee is not None else []

        def work(ledger: Ledger) -> t.QuoteReply:
            kept = ledger.documents.resolve(request)
            if kept.kind == documents.COUNTER:
                made = self.market.talking.grant(ledger, kept, body, wall())
            else:
                told = body
                if body.referee is not None:
                    referee = contacts.find(ledger, body.referee, sellers).identity
                    told = msgspec.structs.replace(body, referee=keys.did_key(referee))
                made = self.market.selling.quote(ledger, request_by_id(ledger, request, "seller"), told, wall())
            return t.QuoteReply(quote=self.market.views.quote(ledger, made), created=True)

        return await self.write(call, spec.QUOTE, body, work)

    async def decline(self, call: Call, body: b.Decline, request: str) -> t.Declined:
        """Do not quote."""

        def work(ledger: Ledger) -> t.Declined:
            kept = ledger.documents.resolve(request)
            if kept.kind == documents.COUNTER:
                created = self.market.talking.decline(ledger, kept, body, wall())
                return t.Declined(request=kept.id, reason=body.reason, created=created)
            row = request_by_id(ledger, request, "seller")
            created = self.market.selling.decline(ledger, row, body, wall())
            return t.Declined(request=row.id, reason=body.reason, created=created)

        return await self.write(call, spec.DECLINE, body, work)

    async def accept(self, call: Call, body: b.Accept, order: str) -> t.OrderReply:
        """Accept an order."""

        def work(ledger: Ledger) -> t.OrderReply:
            row = self._order_for_us(ledger, order)
            created = self.market.selling.accept(ledger, row, body.text, wall())
            return self._order_reply(ledger, row, created)

        return await self.write(call, spec.ACCEPT, body, work)

    async def reject(self, call: Call, body: b.Reject, order: str) -> t.OrderReply:
        """Refuse an order."""

        def work(ledger: Ledger) -> t.OrderReply:
            row = self._order_for_us(ledger, order)
            created = self.market.selling.reject(ledger, row, body.reason, body.text, wall())
            return self._order_reply(ledger, row, created)

        return await self.write(call, spec.REJECT, body, work)

    def _order_for_us(self, ledger: Ledger, order: str) -> rows.Order:
        row = order_by_id(ledger, order)
        if row.role != "seller":
            raise BadInput(f"{row.id} is an order that you gave", hint="Only its seller can answer it")
        return row

    def _order_reply(self, ledger: Ledger, row: rows.Order, created: bool) -> t.OrderReply:
        now = ledger.orders.get(row.hash) or row
        return t.OrderReply(order=self.market.views.order(ledger, now), created=created)

    async def inbox_seen(self, call: Call, body: b.MarkSeen) -> t.Seen:
        """A person has looked at items: new ones become seen, and their senders are told."""

        def work(ledger: Ledger) -> t.Seen:
            return t.Seen(seen=sum(self._mark_seen(ledger, id_) for id_ in body.ids))

        return await self.write(call, spec.INBOX_SEEN, body, work)

    def _mark_seen(self, ledger: Ledger, id_: str) -> bool:
        document = ledger.documents.resolve(id_)
        if document.kind == documents.REQUEST and document.ours:
            came = [quote.id for quote in ledger.quotes.to_choose(wall()) if quote.request == document.hash]
            if came:
                return sum(self._mark_seen(ledger, quote) for quote in came) > 0
        if document.kind == documents.REQUEST:
            row = ledger.requests.get(document.hash)
            if row is not None and row.attention == "new":
                ledger.requests.set_attention(row.hash, "seen")
            if row is None or row.role != "seller":
                raise BadInput(f"{document.id} is your own", hint="Only what others sent can be acknowledged")
            if not (told := is_seen(document)):
                self.market.receiving.tell_seen(ledger, document)
            return not told
        order = ledger.orders.get(document.hash)
        if order is not None and order.role == "buyer" and order.agreed is not None:
            ledger.orders.mark_seen(order.hash)  # that the deal is our turn; there is nobody to tell
            return not order.seen
        if document.ours:
            raise BadInput(f"{document.id} is your own", hint="Only what others sent can be acknowledged")
        if order is not None:
            ledger.orders.mark_seen(order.hash)
        ledger.quotes.mark_seen(document.hash)
        for paper in self._noticed(ledger, document):
            if (notice := ledger.notices.get(paper.hash)) is not None and notice.state == "new":
                done = only_tells(self.market.reader.of_row(paper))
                ledger.notices.set_state(notice.hash, "answered" if done else "seen")
            self.market.receiving.tell_seen(ledger, paper)
        return not is_seen(document)

    def _noticed(self, ledger: Ledger, document: rows.Document) -> list[rows.Document]:
        """The paper itself, if it is not told yet that it was seen; and the word on an order that points to a quote."""
        papers = [document]
        for notice in ledger.notices.of_thread(document.thread):
            paper = ledger.documents.get(notice.hash) if notice.kind == "amendment" else None
            said = self.market.reader.of_row(paper) if paper is not None else None
            if paper is not None and isinstance(said, documents.OrderResponse) and said.quote == document.hash:
                papers.append(paper)
        return [paper for paper in papers if not is_seen(paper)]
