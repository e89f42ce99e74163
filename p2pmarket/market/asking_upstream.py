"""The chain upstream: to ask others for what a buyer asks of us. Which request serves which is in our ledger alone."""

from __future__ import annotations

import msgspec

from p2pmarket import limits
from p2pmarket.errors import BadInput, WrongState
from p2pmarket.market.papers import Reader
from p2pmarket.store.ledger import Ledger
from p2pmarket.trade import documents as d
from p2pmarket.trade import values as v

SHARE = 0.8  # of the time to reply that those upstream have, if nothing else is said


def base_of(ledger: Ledger, reader: Reader, id_: str) -> d.Request:
    """The request in our inbox that a new one is to serve. Raises NotFound, BadInput, WrongState for one that is over.

    What its buyer has ordered of us is asked for upstream, however it ended for others.
    """
    kept = ledger.documents.resolve(id_)
    row = ledger.requests.get(kept.hash)
    if row is None or row.role != "seller":
        raise BadInput(f"{id_} is no request in your inbox", hint="market inbox lists them")
    if row.state in {"enough", "cancelled"} and not ledger.orders.of_request(row.hash):
        raise WrongState(f"the buyer has closed {row.id}: nothing is to be had for it", details={"state": row.state})
    return reader.document(ledger, kept.hash, d.Request)


def taken_over(base: d.Request) -> tuple[v.RequestLine, ...]:
    """The lines of a request as we ask them of others: without the article numbers that are the buyer's own."""
    return tuple(
        msgspec.structs.replace(line, codes=tuple(code for code in line.codes or () if code.scheme != "buyer") or None)
        for line in base.lines
    )


def reply_by_for(base: d.Request, wall: int) -> int:
    """Until when those upstream may answer, so that time is left to quote: most of what is left of the buyer's."""
    left = base.reply_by - wall
    if left <= 0:
        raise WrongState("the time to reply to that request has passed", hint="Say until when: --within 2h")
    return wall + min(limits.DAY, max(1, int(left * SHARE)))
