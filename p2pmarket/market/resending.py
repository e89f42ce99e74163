"""Given-up papers on their way again, inside one transaction: their recipient was heard, or a new one follows them.

Rules as in `trade.resending`. The bytes are in the outbox since they were signed; they are queued again before anything
is sent, for another week, and counted. Papers for one recipient go out in the order in which they were made, so a new
one takes all before it of its request along: what waits is not given up before it, and what was given up is queued
again. Papers of other requests rest on none of them; else who asks again and again could have us keep all for ever.

Somebody who was silent for a week may wait for our call as we do for his. So we go on calling those for whom something
was given up, at the same pace and without sending anything, the last `KNOCKED_LINKS` of them for `KNOCK_SECONDS`: first
those for whom it was an order or a paper of a deal.
"""

from __future__ import annotations

from collections.abc import Iterable

from p2pmarket import limits
from p2pmarket.store.ledger import Ledger
from p2pmarket.store.outbox import Link
from p2pmarket.store.rows import Correspondent, Outgoing
from p2pmarket.trade.documents import document_id
from p2pmarket.trade.resending import goes_again, goes_along


def hear(ledger: Ledger, remote: bytes, signers: Iterable[bytes], wall: int) -> list[Outgoing]:
    """The other end of a link is there, and these have signed what came; the papers that go out again for it."""
    if not ledger.outbox.gave_up():
        return []
    found = ledger.outbox.given_up_to(remote, limits.RESENDINGS)
    for signer in signers:
        found += ledger.outbox.given_up_for(signer, limits.RESENDINGS)
    again = [one for one in dict.fromkeys(found) if goes_again(one.kind, one.resent, _request(ledger, one))]
    _queue_again(ledger, again, wall, counted=1)
    return again


def take_along(ledger: Ledger, thread: bytes, link: Link, until: int, wall: int) -> None:
    """A new paper of a request is queued for a link until then: what was made before it is there before it."""
    ledger.outbox.wait_longer(thread, link, until)
    if not ledger.outbox.gave_up():
        return
    found = ledger.outbox.given_up_in(thread, link)
    _queue_again(ledger, [one for one in found if goes_along(one.kind, _request(ledger, one))], wall, counted=0)


def to_knock(ledger: Ledger, wall: int) -> list[Correspondent]:
    """Whom we go on calling, for they may wait for us."""
    links: dict[Link, None] = {}
    since, most = wall - limits.KNOCK_SECONDS, 4 * limits.KNOCKED_LINKS
    for binding in (True, False):
        for one in ledger.outbox.given_up_since(since, most, limits.RESENDINGS, binding=binding):
            if len(links) < limits.KNOCKED_LINKS and goes_again(one.kind, one.resent, _request(ledger, one)):
                links[one.local, one.remote] = None
    return [other for link in links if (other := ledger.outbox.correspondent(link)) is not None]


def is_heard_of(ledger: Ledger, sent: Outgoing) -> bool:
    """Whether a paper that was given up goes out again once its recipient is heard."""
    return sent.is_given_up and goes_again(sent.kind, sent.resent, _request(ledger, sent))


def _request(ledger: Ledger, sent: Outgoing) -> str | None:
    """How far the request of a paper's thread has come to its recipient; None if we got that request."""
    asked = ledger.outbox.of_document(sent.thread, sent.recipient)
    return asked.state if asked is not None else None


def _queue_again(ledger: Ledger, papers: Iterable[Outgoing], wall: int, counted: int) -> None:
    for one in papers:
        ledger.outbox.queue_again(one, wall + limits.SENDING_SECONDS, wall, counted)
        ledger.events.add(wall, "delivery.changed", document_id(one.kind, one.hash), one.thread, one.hash)
