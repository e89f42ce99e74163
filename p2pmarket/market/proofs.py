"""Proofs against those who sign two documents in one slot: kept when the second comes, listed, written as files.

Rules. Both documents are kept as they came, with whom they were sealed for, so that anybody can check them. A proof is
known by the hashes of its two documents: whoever finds it has the same id. Of one signer a few are kept: more prove
nothing new. What somebody else found is taken from his file if it holds.
"""

from __future__ import annotations

from p2pmarket import keys
from p2pmarket.limits import PROOFS_PER_SIGNER
from p2pmarket.market.papers import Reader
from p2pmarket.network import Network
from p2pmarket.store import rows
from p2pmarket.store.ledger import Ledger
from p2pmarket.trade import documents as d
from p2pmarket.trade import evidence
from p2pmarket.trade.thread import slot

LETTER = "z"  # of a proof's id


def keep_proof(ledger: Ledger, reader: Reader, opened: d.Opened, wall: int) -> None:
    """Keep, and tell, what a refused document proves together with the one in its slot."""
    request = _request_of(ledger, opened)
    kept = map(reader.opened, ledger.documents.of_signer(request, opened.kind, opened.signer))
    same = (other for other in kept if slot(other) == slot(opened) and other.hash != opened.hash)
    if (first := next(same, None)) is not None:
        proof, created = add_proof(ledger, first, opened, wall)
        if created and proof is not None:
            ledger.events.add(wall, "proof.found", proof.id, request, proof.hash)


def add_proof(ledger: Ledger, first: d.Opened, second: d.Opened, wall: int) -> tuple[rows.Proof | None, bool]:
    """Keep a proof unless there are enough against its signer; the proof, and whether it is new."""
    one, two = sorted((first, second), key=lambda opened: opened.hash)
    mark = keys.digest(one.hash + two.hash)
    known = ledger.proofs.get(mark)
    if known is not None or ledger.proofs.count(one.signer) >= PROOFS_PER_SIGNER:
        return known, False
    proof = rows.Proof(
        hash=mark,
        id=keys.document_id(LETTER, mark),
        signer=one.signer,
        kind=one.kind,
        first=one.envelope,
        first_to=one.recipient,
        second=two.envelope,
        second_to=two.recipient,
        time=wall,
    )
    ledger.proofs.add(proof)
    return proof, True


def documents_of(proof: rows.Proof, network: Network) -> tuple[d.Opened, d.Opened]:
    """The two documents of a kept proof."""
    return (
        d.document_untrusted(proof.kind, proof.first, network, proof.first_to),
        d.document_untrusted(proof.kind, proof.second, network, proof.second_to),
    )


def proof_file(proof: rows.Proof, network: Network) -> bytes:
    """The file that anyone can check."""
    return evidence.export_equivocation(network, *documents_of(proof, network))


def _request_of(ledger: Ledger, opened: d.Opened) -> bytes:
    """The request that a document belongs to, by what it names."""
    document = opened.document
    about: bytes = getattr(document, "order", getattr(document, "deal", b""))
    order = ledger.orders.get(about)
    return order.request if order is not None else getattr(document, "request", b"")
