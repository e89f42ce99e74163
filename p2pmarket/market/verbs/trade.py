"""Handlers that look at what there is, in both roles: inbox, deals, show, export."""

from __future__ import annotations

from typing import TypeAlias

from p2pmarket.api import types as t
from p2pmarket.api.spec import Call
from p2pmarket.clock import wall
from p2pmarket.errors import NotFound, WrongState
from p2pmarket.market.inbox import inbox_notice, inbox_order, inbox_request
from p2pmarket.market.labels import deal_state, inbox_state
from p2pmarket.market.threads import load_thread
from p2pmarket.market.verbs.base import Handlers, order_by_id, page
from p2pmarket.store import rows
from p2pmarket.store.ledger import Ledger
from p2pmarket.trade import documents
from p2pmarket.trade.evidence import export_deal
from p2pmarket.trade.thread import Thread
from p2pmarket.vocab.deadlines import instant_text

Waiting: TypeAlias = rows.Request | rows.Order | rows.Notice


class TradeVerbs(Handlers):
    """Inbox, deals, any id, the file that proves a deal."""

    async def inbox(self, call: Call, body: None) -> t.Inbox:
        """What waits for me, the most urgent first; what is answered is shown when asked for by state."""

        def work(ledger: Ledger) -> t.Inbox:
            wanted = call.text("state")
            waiting: list[Waiting] = [
                *ledger.orders.waiting(),
                *ledger.notices.waiting(),
                *ledger.requests.open_until("seller", wall()),
            ]
            chosen = [row for row in waiting if _is_wanted(inbox_state(row), wanted)]
            shown, cursor = page(sorted(chosen, key=_urgency), call)
            return t.Inbox(items=[self._item(ledger, row) for row in shown], next=cursor)

        return await self.read(work)

    def _item(self, ledger: Ledger, row: Waiting) -> t.InboxItem:
        views = self.market.views
        if isinstance(row, rows.Notice):
            return inbox_notice(views, ledger, row)
        return inbox_order(views, ledger, row) if isinstance(row, rows.Order) else inbox_request(views, ledger, row)

    async def deals(self, call: Call, body: None) -> t.Deals:
        """Deals, newest first."""

        def work(ledger: Ledger) -> t.Deals:
            state, role = call.text("state"), call.text("role")
            chosen = [row for row in ledger.orders.latest() if state in (None, deal_state(row))]
            shown, cursor = page([row for row in chosen if role in (None, row.role)], call)
            return t.Deals(deals=[self.market.views.deal(ledger, row) for row in shown], next=cursor)

        return await self.read(work)

    async def export(self, call: Call, body: None, deal: str) -> t.Exported:
        """A file that proves a deal."""

        def work(ledger: Ledger) -> t.Exported:
            row = order_by_id(ledger, deal)
            if row.state != "accepted":
                raise WrongState(f"{row.deal} is {row.state}: only what both signed can be exported")
            data = export_deal(self._thread(ledger, row), row.hash)
            return t.Exported(deal=row.deal, name=f"{row.deal}.json", data=data)

        return await self.read(work)

    async def show(self, call: Call, body: None, id: str) -> t.Shown:
        """Anything, by its id or a unique prefix of it."""
        return await self.read(lambda ledger: self._show(ledger, id))

    def _show(self, ledger: Ledger, id_: str) -> t.Shown:
        if id_.strip().lower().startswith("a-"):
            return self._show_announcement(ledger, id_.strip().lower())
        document = ledger.documents.resolve(id_)
        if (order := ledger.orders.get(document.hash)) is not None:
            return self._show_order(ledger, order, deal=id_.strip().lower().startswith("d-"))
        if (quote := ledger.quotes.get(document.hash)) is not None:
            return self._show_quote(ledger, quote)
        request = ledger.requests.get(document.hash)
        if request is None:
            raise NotFound(f"{id_} cannot be shown")
        return self._shown(ledger, "request", request)

    def _show_announcement(self, ledger: Ledger, prefix: str) -> t.Shown:
        for row in ledger.announcements.all():
            if row.id.startswith(prefix):
                shown = self.market.views.announcement(row, row.holders > 0)
                return _empty("announcement", row.id, announcement=shown)
        raise NotFound(f"no announcement has the id {prefix}", hint="market announcements lists them")

    def _show_order(self, ledger: Ledger, order: rows.Order, *, deal: bool) -> t.Shown:
        views = self.market.views
        made = views.deal(ledger, order)
        request, quote = ledger.requests.get(order.request), ledger.quotes.get(order.quote)
        return _empty(
            "deal" if deal else "order",
            order.deal if deal else order.id,
            role=order.role,
            other=made.other,
            request=views.request(ledger, request) if request else None,
            quote=views.quote(ledger, quote) if quote else None,
            order=views.order(ledger, order),
            deal=made,
            documents=self._documents(ledger, order.request, quote.seller if quote else None),
        )

    def _show_quote(self, ledger: Ledger, quote: rows.Quote) -> t.Shown:
        request = ledger.requests.get(quote.request)
        shown = self.market.views.quote(ledger, quote)
        return _empty(
            "quote",
            quote.id,
            role="seller" if quote.ours else "buyer",
            other=None if quote.ours else shown.seller,
            request=self.market.views.request(ledger, request) if request else None,
            quote=shown,
            documents=self._documents(ledger, quote.request, quote.seller),
        )

    def _shown(self, ledger: Ledger, kind: t.ShownKind, request: rows.Request) -> t.Shown:
        return _empty(
            kind,
            request.id,
            role=request.role,
            request=self.market.views.request(ledger, request),
            documents=self._documents(ledger, request.hash, None),
        )

    def _documents(self, ledger: Ledger, thread: bytes, seller: bytes | None) -> list[t.DocumentInfo]:
        """The papers of a thread, with how far those of ours have come."""
        papers = ledger.documents.of_thread(thread)
        if seller is not None:
            papers = [one for one in papers if one.hash == thread or seller in (one.signer, one.recipient)]
        return [self._document_info(ledger, one) for one in papers]

    def _document_info(self, ledger: Ledger, paper: rows.Document) -> t.DocumentInfo:
        signed = self.market.reader.of_row(paper)
        outgoing = ledger.outbox.of_document(paper.hash, paper.recipient) if paper.ours else None
        return t.DocumentInfo(
            kind=documents.NAMES[paper.kind],
            hash=paper.hash.hex(),
            id=paper.id if not paper.id.startswith("x-") else None,
            signer="me" if paper.ours else "other",
            issued_at=instant_text(signed.issued_at),
            delivery=self.market.views.delivery(outgoing) if outgoing else None,
        )

    def _thread(self, ledger: Ledger, order: rows.Order) -> Thread:
        ours = self.market.signer.identity.public
        seller = order.other if order.role == "buyer" else ours
        return load_thread(ledger, self.market.reader, self.market.config.network, order.request, seller)


def _is_wanted(state: str, wanted: str | None) -> bool:
    return wanted in (state, "all") or (wanted is None and state != "answered")


def _urgency(row: Waiting) -> tuple[bool, bool, int]:
    """What is answered comes last, orders and papers of deals come first, then what ends soonest."""
    if isinstance(row, rows.Order):
        return False, False, row.answer_by
    if isinstance(row, rows.Notice):
        return row.state == "answered", False, row.time
    return inbox_state(row) == "answered", True, row.reply_by


def _empty(kind: str, id_: str, **parts: object) -> t.Shown:
    """The answer with these parts, all others null."""
    names = {"role", "other", "request", "quote", "order", "deal", "announcement"}
    nothing: dict[str, object] = dict.fromkeys(names)
    return t.Shown(kind=kind, id=id_, documents=parts.pop("documents", []), **{**nothing, **parts})  # type: ignore[arg-type]
