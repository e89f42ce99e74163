"""What all handlers share: reading, writing once, and finding things by id."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import TypeVar

import msgspec
import trio

from p2pmarket import keys
from p2pmarket.api import types as t
from p2pmarket.api.spec import Call, Route
from p2pmarket.clock import wall
from p2pmarket.errors import BadInput, NotFound
from p2pmarket.limits import IDEMPOTENCY_KEY_CHARS
from p2pmarket.market.delivery import Queued
from p2pmarket.market.market import Market
from p2pmarket.store import rows
from p2pmarket.store.ledger import Ledger
from p2pmarket.vocab import search
from p2pmarket.vocab.categories import CPV

Reply = TypeVar("Reply", bound=t.Reply)
Item = TypeVar("Item")
PAGE_ITEMS = 100


class _Undone(Exception):
    """Ends a dry run: raised inside the work, so that the ledger undoes it; carries the answer out."""

    def __init__(self, reply: t.Reply) -> None:
        super().__init__()
        self.reply = reply


class Handlers:
    """A part of the API; all it knows is the market."""

    def __init__(self, market: Market) -> None:
        self.market = market

    async def read(self, work: Callable[[Ledger], Item]) -> Item:
        """Run `work` in the ledger's thread."""
        result: Item = await self.market.ledger.run(work)
        return result

    async def doubts(self, category: str) -> list[t.Problem]:
        """That a free path which nobody announces looks like a known category, misspelt."""
        if category.startswith(CPV):
            return []
        known = list({seller.category for seller in await self.market.remembered()})
        if category in known:
            return []
        found = await trio.to_thread.run_sync(search.meant, category, known)  # it takes tens of milliseconds
        if not found:
            return []
        named = " or ".join(match.code + (f" ({match.label})" if match.label else "") for match in found)
        told = f"{category} is no category that is known here"
        return [t.Problem(code="unknown_category", message=told, hint=f"Did you mean {named}? Else leave it as it is")]

    async def write(self, call: Call, route: Route[Reply], body: object, work: Callable[[Ledger], Reply]) -> Reply:
        """Run `work` once for each idempotency key; the same key gets the same answer, with `created` false.

        A dry run answers what would be, and the ledger undoes it.
        """
        asked = (route.name, body, call.path) if call.path else (route.name, body)
        mark = keys.digest(msgspec.json.encode(asked))
        queued: Queued = []

        def once(ledger: Ledger) -> Reply:
            if call.dry_run:
                raise _Undone(work(ledger))
            key = _key(call)
            if key is not None and (before := ledger.meta.replied(key)) is not None:
                return _again(before, route, mark)
            reply = work(ledger)
            queued.extend(self.market.courier.collect(ledger))
            if key is not None:
                ledger.meta.keep_reply(rows.Replied(key, route.name, mark, msgspec.json.encode(reply), wall()))
            return reply

        try:
            reply: Reply = await self.market.ledger.run(once)
        except _Undone as undone:
            return undone.reply  # type: ignore[return-value]
        await self.market.after_write(queued)
        return reply


def _key(call: Call) -> str | None:
    key = call.idempotency_key
    if key is not None and not 0 < len(key) <= IDEMPOTENCY_KEY_CHARS:
        raise BadInput("an idempotency key has 1 to 200 characters")
    return key


def _again(before: rows.Replied, route: Route[Reply], mark: bytes) -> Reply:
    if (before.route, before.body) != (route.name, mark):
        raise BadInput(
            "this idempotency key was used for another call", hint="Use a new key for every new thing that you want"
        )
    reply: Reply = msgspec.json.decode(before.reply, type=route.reply)
    return msgspec.structs.replace(reply, created=False) if hasattr(reply, "created") else reply


def request_by_id(ledger: Ledger, prefix: str, role: str | None = None) -> rows.Request:
    """The request whose id begins with `prefix`. Raises NotFound, BadInput."""
    row = ledger.requests.get(ledger.documents.resolve(prefix).hash)
    if row is None:
        raise NotFound(f"{prefix} is no request", hint="market requests and market inbox list them")
    if role is not None and row.role != role:
        whose = "a request of yours" if row.role == "buyer" else "somebody else's request"
        raise NotFound(f"{row.id} is {whose}", hint="market requests lists yours, market inbox those of others")
    return row


def order_by_id(ledger: Ledger, prefix: str) -> rows.Order:
    """The order whose id, or whose deal's id, begins with `prefix`. Raises NotFound, BadInput."""
    row = ledger.orders.get(ledger.documents.resolve(prefix).hash)
    if row is None:
        raise NotFound(f"{prefix} is no order", hint="market inbox and market deals list them")
    return row


def page(items: Iterable[Item], call: Call) -> tuple[list[Item], str | None]:
    """The page that a call asks for, and the cursor of the next one. Reads no more of `items` than it must."""
    limit = call.number("limit", PAGE_ITEMS, 1, 1000)
    start = call.number("cursor", 0, 0, 10**9)
    end = start + limit
    found = list(islice(items, start, end + 1))
    return found[:limit], str(end) if len(found) > limit else None
