"""An event as one line for people. Pure.

The data of an event is the whole object it is about, in a shape that may have grown since this was written; so its
parts are looked up and not demanded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from p2pmarket.api import types as t

from . import values as v
from .grid import BAD, DIM, GOOD, WARN, Screen, count, grouped, heading, short_id, when
from .safe import cut, safe

STYLES = {
    "request.received": WARN,
    "order.received": WARN,
    "counter.received": WARN,
    "note.received": WARN,
    "quote.received": GOOD,
    "order.accepted": GOOD,
    "order.rejected": BAD,
    "seller.declined": BAD,
    "counter.declined": BAD,
    "order.amended": WARN,
    "change.received": WARN,
    "cancel.received": WARN,
    "invoice.received": WARN,
    "payment.not_received": BAD,
    "payment.refund_due": WARN,
    "dispute.received": BAD,
    "proof.found": BAD,
}
LONGEST_TYPE = max(map(len, t.EVENT_TYPES))


def event_line(event: t.Event, screen: Screen) -> Text:
    """Time, type, id, and what it is about."""
    style = STYLES.get(event.type, "")
    about = summary(event)
    if screen.terminal:
        about = cut(about, 200)
    return heading(
        (f"{when(screen, event.time)}  ", DIM),
        (f"{event.type:<{LONGEST_TYPE}} ", style),
        f"{short_id(screen, event.id)}  ",
        about,
    )


def summary(event: t.Event) -> str:
    """What an event is about, in safe words of one line."""
    data = event.data if isinstance(event.data, Mapping) else {}
    pieces = [
        _who(data),
        _text(data, "title") or _text(data, "subject") or _lines(data),
        _category(data),
        _region(data),
        _total(data),
        _answer(data),
        _next(data),
        _outcome(data),
        _search(data),
    ]
    return ", ".join(piece for piece in pieces if piece)


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    return safe(value) if isinstance(value, str) else ""


def _inner(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = data.get(name)
    return value if isinstance(value, Mapping) else {}


def _who(data: Mapping[str, Any]) -> str:
    for name in ("from", "seller", "other", "signer"):
        peer = _inner(data, name)
        if isinstance(peer.get("fingerprint"), str):
            shown = safe(peer["fingerprint"])
            return f"{safe(peer['name'], v.NAME_CELLS)} ({shown})" if peer.get("name") else shown
    return ""


def _lines(data: Mapping[str, Any]) -> str:
    lines = data.get("lines")
    return count(len(lines), "line") if isinstance(lines, list) else ""


def _category(data: Mapping[str, Any]) -> str:
    value = data.get("category")
    return safe(value) if isinstance(value, str) else _text(_inner(data, "category"), "code")


def _region(data: Mapping[str, Any]) -> str:
    region = _text(data, "region")
    return f"to {region}" if region else ""


def _total(data: Mapping[str, Any]) -> str:
    total = _inner(data, "total")
    amount, currency = total.get("amount"), total.get("currency")
    return safe(f"{grouped(amount)} {currency}") if isinstance(amount, str) and isinstance(currency, str) else ""


def _answer(data: Mapping[str, Any]) -> str:
    words = [_text(data, name) for name in ("delivery", "answer", "reason", "state")]
    return " ".join(v.word(word) for word in words if word)


def _next(data: Mapping[str, Any]) -> str:
    """What the daemon does next for a paper on its way, and when."""
    does = {
        "acknowledgement": "waits for the receipt",
        "call": "calls again",
        "their_call": "waits for their call",
        "heard": "goes out again when they are heard",
    }
    word, at = does.get(_text(data, "next"), ""), _text(data, "next_try_at")
    return f"{word} {at}" if word and at else word


def _outcome(data: Mapping[str, Any]) -> str:
    outcome = _inner(data, "outcome")
    price = _total({"total": outcome.get("price")})
    return v.word(_text(outcome, "result")) + (f" for {price}" if price else "")


def _search(data: Mapping[str, Any]) -> str:
    search = data if "nodes_asked" in data else _inner(data, "search")
    if not isinstance(search.get("nodes_asked"), int) or not isinstance(search.get("sellers_found"), int):
        return ""
    return f"{count(search['nodes_asked'], 'node')} asked, {count(search['sellers_found'], 'seller')} found"
