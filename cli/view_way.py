"""How far a paper has come, and what the daemon does next about it and until when, in a few words. Pure."""

from __future__ import annotations

from p2pmarket.api import types as t

from . import values as v
from .grid import Screen, count, until, when


def way(one: t.DocumentInfo | t.SellerState, screen: Screen) -> str:
    """What comes next for a paper on its way; why it failed; nothing once it has arrived."""
    if one.next == "heard":
        return f"no answer{_times(one)}: goes out again when they are heard"
    if one.delivery == "failed":
        return f"given up: {v.word(one.reason)}" if one.reason else "given up"
    if one.next is None:
        return ""
    does = {
        "acknowledgement": "waits for the receipt",
        "call": f"calls again {until(screen, one.next_try_at)}" if one.next_try_at else "calls now",
        "their_call": "waits for their call",
    }[one.next]
    does += f", tried anew{_times(one)}" if _times(one) else ""
    return f"{does}, until {when(screen, one.gives_up_at)}" if one.gives_up_at else does


def _times(one: t.DocumentInfo | t.SellerState) -> str:
    """How often it was tried anew."""
    resent = getattr(one, "resent", None)
    return f" ({count(resent, 'time')})" if resent else ""
