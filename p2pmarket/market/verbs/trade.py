"""Handlers that look at what there is, in both roles: inbox, deals, show."""

from __future__ import annotations

from typing import get_args

from p2pmarket.api import types as t
from p2pmarket.api.spec import Call
from p2pmarket.market.inbox import inbox_item, inbox_state, not_listed, waiting
from p2pmarket.market.labels import deal_state
from p2pmarket.market.showing import shown
from p2pmarket.market.verbs.base import Handlers, page
from p2pmarket.store.ledger import Ledger

INBOX_STATES = (*get_args(t.InboxState), "all")


class TradeVerbs(Handlers):
    """Inbox, deals, any id."""

    async def inbox(self, call: Call, body: None) -> t.Inbox:
        """What waits for me, the most urgent first; what is answered is shown when asked for by state."""

        def work(ledger: Ledger) -> t.Inbox:
            views, wanted = self.market.views, call.choice("state", *INBOX_STATES)
            answered = wanted in {"answered", "all"}
            found = waiting(views, ledger, answered=answered)
            shown, cursor = page([row for row in found if _is_wanted(inbox_state(row), wanted)], call)
            items, more = [inbox_item(views, ledger, row) for row in shown], not_listed(ledger, answered=answered)
            return t.Inbox(items=items, next=cursor, not_listed=more)

        return await self.read(work)

    async def deals(self, call: Call, body: None) -> t.Deals:
        """Deals, newest first."""

        def work(ledger: Ledger) -> t.Deals:
            state, role = call.choice("state", *get_args(t.DealState)), call.choice("role", *get_args(t.Role))
            chosen = (row for row in ledger.orders.latest() if state in (None, deal_state(row)))
            shown, cursor = page((row for row in chosen if role in (None, row.role)), call)
            return t.Deals(deals=[self.market.views.deal(ledger, row) for row in shown], next=cursor)

        return await self.read(work)

    async def show(self, call: Call, body: None, id: str) -> t.Shown:
        """Anything, by its id or a unique prefix of it."""
        return await self.read(lambda ledger: shown(self.market.views, ledger, id))


def _is_wanted(state: str, wanted: str | None) -> bool:
    return wanted in (state, "all") or (wanted is None and state != "answered")
