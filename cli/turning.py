"""The turning points of a wait for quotes, a line each on stderr: for whoever has no live table, or only its end.

What draws values is imported when there is one to draw: the wait is to begin at once.
"""

from __future__ import annotations

import msgspec

from p2pmarket.api import types as t

from . import output
from .safe import safe


class TurningPoints:
    """Tells of one request: its id at once, for that is the way back, and the end of the search only once."""

    def __init__(self, request: t.Request) -> None:
        self._searched = False
        output.talk(f"request {safe(request.id)} is {request.state} until {safe(request.reply_by)}")

    def tell(self, event: t.Event) -> None:
        """The line of an event, if it changes anything for whoever waits."""
        data = event.data if isinstance(event.data, dict) else {}
        line = self._search(data) if "search" in data or "nodes_asked" in data else _line(event.type, data)
        if line is not None:
            output.talk(safe(line))

    def _search(self, data: dict[str, object]) -> str | None:
        search = msgspec.convert(data.get("search", data), t.Search)
        if self._searched or not search.complete:
            return None
        self._searched = True
        from .grid import count

        return f"searched: {count(search.nodes_asked, 'node')} asked, {count(search.sellers_found, 'seller')} found"


def _line(type_: str, data: dict[str, object]) -> str | None:
    from . import values as v

    match type_:
        case "seller.asked":
            return f"asked {v.peer(msgspec.convert(data, t.SellerState).seller)}"
        case "quote.received":
            quote = msgspec.convert(data, t.Quote)
            return f"quote {quote.id} from {v.peer(quote.seller)}: {v.money(quote.total)}"
        case "quote.countered" | "counter.declined":
            return f"{type_.replace('.', ' ')}: {data.get('id')}"
        case "seller.declined":
            state = msgspec.convert(data, t.SellerState)
            return f"declined by {v.peer(state.seller)}: {v.word(state.reason)}"
        case _:
            return None
