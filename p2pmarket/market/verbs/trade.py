"""Handlers that look at what there is, in both roles: inbox, deals, show."""

from __future__ import annotations

from typing import TypeAlias

from p2pmarket.api import types as t
from p2pmarket.api.spec import Call
from p2pmarket.clock import wall
from p2pmarket.market.inbox import inbox_notice, inbox_order, inbox_request, is_over
from p2pmarket.market.labels import deal_state, inbox_state
from p2pmarket.market.showing import shown
from p2pmarket.market.verbs.base import Handlers, page
from p2pmarket.store import rows
from p2pmarket.store.ledger import Ledger

Waiting: TypeAlias = rows.Request | rows.Order | rows.Notice


class TradeVerbs(Handlers):
    """Inbox, deals, any id."""

    async def inbox(self, call: Call, body: None) -> t.Inbox:
        """What waits for me, the most urgent first; what is answered is shown when asked for by state."""

        def work(ledger: Ledger) -> t.Inbox:
            wanted = call.text("state")
            notices = ledger.notices.latest() if wanted in {"answered", "all"} else ledger.notices.waiting()
            waiting: list[Waiting] = [
                *ledger.orders.waiting(),
                *(row for row in notices if not is_over(self.market.views, ledger, row)),
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

    async def show(self, call: Call, body: None, id: str) -> t.Shown:
        """Anything, by its id or a unique prefix of it."""
        return await self.read(lambda ledger: shown(self.market.views, ledger, id))


def _is_wanted(state: str, wanted: str | None) -> bool:
    return wanted in (state, "all") or (wanted is None and state != "answered")


def _urgency(row: Waiting) -> tuple[bool, bool, int]:
    """What is answered comes last, orders and papers of deals come first, then what ends soonest."""
    if isinstance(row, rows.Order):
        return False, False, row.answer_by
    if isinstance(row, rows.Notice):
        return row.state == "answered", False, row.time
    return inbox_state(row) == "answered", True, row.reply_by
