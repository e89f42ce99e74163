"""The disputes about a deal: which are open, which are over and how, and who has to speak in one.

Rules. A dispute is opened by either side; it is closed by who opened it, or settled when one side accepts a proposal of
the other: of several the one with the lowest hash, so that both sides find the same. Whoever did not speak last has to
speak; a referee's opinion is no side's word.
"""

from __future__ import annotations

from collections.abc import Mapping

from p2pmarket.trade import tables
from p2pmarket.trade.documents import Dispute, Opened
from p2pmarket.trade.thread.thread import Thread


def disputes_of(thread: Thread, order_hash: bytes) -> dict[bytes, str]:
    """Each dispute by the hash of the document that opened it: open, settled, or closed without a settlement."""
    moves = _moves_of(thread, order_hash)
    opened = _opened_of(thread, order_hash, moves)
    states = dict.fromkeys(opened, "open")
    for signer, move in moves.values():
        if move.step == "close" and move.about in opened and opened[move.about] == signer:
            states[move.about] = "closed"
    return states | dict.fromkeys(settlements_of(thread, order_hash), "settled")


def settlements_of(thread: Thread, order_hash: bytes) -> dict[bytes, Dispute]:
    """The proposal that settled each dispute: one that the other side has accepted, of several the lowest hash."""
    moves = _moves_of(thread, order_hash)
    opened = _opened_of(thread, order_hash, moves)
    found: dict[bytes, bytes] = {}
    for signer, move in moves.values():
        if move.step == "accept" and move.about in moves:
            proposer, proposal = moves[move.about]
            theirs = thread.other_side(order_hash, proposer) == signer
            if theirs and proposal.step == "proposal" and proposal.about in opened:
                found[proposal.about] = min(move.about, found.get(proposal.about, move.about))
    return {dispute: moves[proposal][1] for dispute, proposal in found.items()}


def _moves_of(thread: Thread, order_hash: bytes) -> dict[bytes, tuple[bytes, Dispute]]:
    """The steps of all disputes about a deal by hash, each with its signer."""
    return {o.hash: (o.signer, move) for o, move in thread.each(Dispute) if move.deal == order_hash}


def _opened_of(thread: Thread, order_hash: bytes, moves: Mapping[bytes, tuple[bytes, Dispute]]) -> dict[bytes, bytes]:
    """Who opened each dispute, of the two whose deal it is."""
    return {
        found: signer
        for found, (signer, move) in moves.items()
        if move.step == "open" and thread.other_side(order_hash, signer) is not None
    }


def dispute_of(thread: Thread, opened: Opened) -> bytes:
    """The hash of the step that opened the dispute of which this is a step."""
    move = opened.document
    assert isinstance(move, Dispute)
    if move.about is None:
        return opened.hash
    found = thread.documents.get(move.about)
    if found is None or not isinstance(found.document, Dispute) or found.document.step == "open":
        return move.about
    return found.document.about or found.hash


def speakers_of(thread: Thread, order_hash: bytes) -> list[tables.Role]:
    """The sides that have to speak in an open dispute: of each the one that did not speak last."""
    buyer, seller = thread.buyer_of(order_hash), thread.seller
    last: dict[bytes, tuple[int, bytes, bytes]] = {}
    for opened, move in thread.each(Dispute):
        if move.deal == order_hash and opened.signer in {buyer, seller}:
            dispute = dispute_of(thread, opened)
            last[dispute] = max(last.get(dispute, (0, b"", b"")), (move.issued_at, opened.hash, opened.signer))
    states = disputes_of(thread, order_hash)
    spoke = {last[found][2] for found, state in states.items() if state == "open"}
    others: list[tuple[tables.Role, bytes]] = [("buyer", seller), ("seller", buyer)]
    return [role for role, other in others if other in spoke]
