"""The file that shows a deal, or a contradiction, to anyone: right, and refused after any change."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from itertools import combinations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trade_world import BUYER, SELLER, STRANGER, WALL, World, asked, before, changed, moment, some_terms

from p2pmarket import keys, limits
from p2pmarket.errors import BadInput, NotFound, WrongState
from p2pmarket.network import TEST
from p2pmarket.trade.documents import Order, OrderResponse, Quote, deal_id
from p2pmarket.trade.evidence import Verdict, export_deal, export_equivocation, verify_bundle
from p2pmarket.trade.making import make_order_response
from p2pmarket.trade.values import OrderLine


def agreed() -> World:
    return asked().quoted().ordered((OrderLine(no=1, quantity="7.5"), OrderLine(no=2, quantity="40"))).answered()


def exported(world: World) -> bytes:
    assert world.order
    return export_deal(world.thread, world.order.hash)


WORLD = agreed()
FILE = exported(WORLD)


def refused(data: bytes) -> str:
    """Why a file is refused; fails if it is not."""
    verdict = verify_bundle(data)
    assert not verdict.ok
    assert verdict == Verdict(ok=False, problems=verdict.problems)
    return verdict.problems[0]


def edited(**changes: object) -> bytes:
    """The file with other top fields, written in the same way."""
    return msgspec.json.format(msgspec.json.encode({**json.loads(FILE), **changes}), indent=2) + b"\n"


def test_a_deal_is_shown_with_all_that_was_signed() -> None:
    verdict = verify_bundle(FILE)
    assert verdict.ok
    assert verdict.problems == ()
    assert dict(verdict.parties) == {"buyer": keys.did_key(BUYER.public), "seller": keys.did_key(SELLER.public)}
    assert [(line.no, line.quantity, line.unit, line.text) for line in verdict.lines] == [
        (1, "7.5", "KGM", "Yirgacheffe"),
        (2, "40", "EA", "cups"),
    ]
    assert WORLD.order
    assert isinstance(WORLD.order.document, Order)
    assert verdict.total == f"{WORLD.order.document.total / 100:.2f} EUR"
    assert verdict.summary
    assert verdict.summary.deal[1:] == WORLD.order.id[1:]
    assert verdict.network == "test"


def test_the_deals_that_a_deal_depends_on_are_shown() -> None:
    terms = msgspec.structs.replace(some_terms(), upstream=(bytes(32), b"\x01" * 32))
    verdict = verify_bundle(exported(asked().quoted(terms=terms).ordered().answered()))
    assert verdict.upstream == (deal_id(bytes(32)), deal_id(b"\x01" * 32))
    assert verify_bundle(FILE).upstream == ()


def test_both_sides_export_the_same_file() -> None:
    turned = replace(WORLD, thread=WORLD.thread.of(TEST, SELLER.public, WORLD.request, [*WORLD.thread.documents.values()][::-1]))  # fmt: skip # noqa: E501
    assert exported(turned) == FILE


def test_a_deal_is_shown_with_its_history() -> None:
    world = asked(known=True).quoted().quoted(text="v2").ordered().answered("AB").answered("AP")
    verdict = verify_bundle(exported(world))
    assert verdict.ok, verdict.problems
    kinds = [(entry.kind, entry.signer) for entry in verdict.history]
    assert kinds[:1] + kinds[3:] == [("request", "buyer"), ("order", "buyer"), *[("order_response", "seller")] * 2]
    assert kinds[1:3] == [("quote", "seller")] * 2
    assert {entry.step for entry in verdict.history} == {None, "AB", "AP"}


def test_one_bit_changed_in_any_byte_is_refused() -> None:
    chance = random.Random(3)
    for place in range(len(FILE)):
        data = bytearray(FILE)
        data[place] ^= 1 << chance.randrange(8)
        assert not verify_bundle(bytes(data)).ok, place


def test_bytes_taken_away_or_added_are_refused() -> None:
    for data in (FILE[:-1], FILE[1:], FILE + b" ", b" " + FILE, FILE.replace(b"\n", b"\r\n"), b"", FILE * 2):
        refused(data)


def test_pieces_that_are_missing_are_named() -> None:
    documents = json.loads(FILE)["documents"]
    for count in range(4):
        for kept in combinations(documents, count):
            problem = refused(edited(documents=kept))
            missing = [document["kind"].replace("_", " ") for document in documents if document not in kept]
            assert problem == f"the file lacks the {', the '.join(missing)}"
    assert "changed" in refused(edited(documents=documents[::-1]))


def test_a_summary_that_says_something_else_is_refused() -> None:
    summary = json.loads(FILE)["summary"]
    for field, value in {"total": "1.00", "buyer": keys.did_key(STRANGER.public), "lines": []}.items():
        assert "changed" in refused(edited(summary={**summary, field: value}))
    assert "changed" in refused(edited(summary=None))
    assert "changed" in refused(edited(contradiction={"signer": "x", "kind": "quote", "documents": ["a", "b"]}))


def test_other_networks_formats_and_kinds_are_refused() -> None:
    refused(edited(network="main"))
    assert "called" in refused(edited(network="nowhere"))
    assert "not known" in refused(edited(format="p2pmarket-deal/2"))
    refused(edited(format="p2pmarket-equivocation/1"))
    documents = json.loads(FILE)["documents"]
    refused(edited(documents=[*documents, {**documents[0], "kind": "present"}]))
    refused(edited(more=1))


def test_documents_of_two_deals_do_not_make_one() -> None:
    other = json.loads(exported(agreed()))["documents"]
    documents = json.loads(FILE)["documents"]
    for place in range(4):
        refused(edited(documents=[*documents[:place], other[place], *documents[place + 1 :]]))


def test_a_document_signed_anew_with_another_field_is_refused() -> None:
    assert WORLD.order
    assert WORLD.response
    assert isinstance(WORLD.order.document, Order)
    cheaper = changed(WORLD.order, BUYER, total=1)
    thread = before(WORLD, Order).adding(cheaper)
    answer = changed(WORLD.response, SELLER, order=cheaper.hash)
    forged = export_deal(thread.adding(answer), cheaper.hash)
    assert "totals" in refused(forged)


def test_what_was_not_agreed_is_not_exported() -> None:
    ordered = asked().quoted().ordered()
    assert ordered.order
    for world in (ordered, ordered.answered("AB"), ordered.answered("RE", reason="stock")):
        with pytest.raises(WrongState):
            exported(world)
    with pytest.raises(NotFound):
        export_deal(ordered.thread, b"x" * 32)


def test_an_acceptance_that_came_too_late_is_not_exported() -> None:
    assert WORLD.response
    late = changed(WORLD.response, SELLER, issued_at=WALL + 10 * 86_400)
    with pytest.raises(WrongState):
        exported(replace(WORLD, thread=before(WORLD, OrderResponse).adding(late)))


# Contradictions


def test_two_documents_in_one_slot_are_a_proof() -> None:
    assert WORLD.quote
    assert WORLD.response
    dearer = changed(WORLD.quote, SELLER, text="dearer")
    proof = export_equivocation(TEST, WORLD.quote, dearer)
    assert proof == export_equivocation(TEST, dearer, WORLD.quote)
    verdict = verify_bundle(proof)
    assert verdict.ok
    assert dict(verdict.parties) == {"signer": keys.did_key(SELLER.public)}
    assert verdict.contradiction
    assert set(verdict.contradiction.documents) == {WORLD.quote.id, dearer.id}
    assert isinstance(WORLD.response.document, OrderResponse)
    no = make_order_response(before(WORLD, OrderResponse), SELLER, moment(), WORLD.response.document.order, "RE")
    assert verify_bundle(export_equivocation(TEST, no, WORLD.response)).ok


def test_what_does_not_contradict_is_no_proof() -> None:
    second = WORLD.quoted(text="v2").quote
    assert WORLD.quote
    assert WORLD.order
    assert second
    assert isinstance(second.document, Quote)
    foreign = changed(WORLD.quote, STRANGER, text="not mine")
    for other in (second, WORLD.quote, WORLD.order, foreign):
        with pytest.raises(BadInput):
            export_equivocation(TEST, WORLD.quote, other)


def test_a_forged_proof_is_refused() -> None:
    assert WORLD.quote
    proof = json.loads(export_equivocation(TEST, WORLD.quote, changed(WORLD.quote, SELLER, text="dearer")))
    one, two = proof["documents"]
    for documents in ([one], [one, one], [two, one], [one, two, two], []):
        data = msgspec.json.format(msgspec.json.encode({**proof, "documents": documents}), indent=2) + b"\n"
        refused(data)
    data = json.dumps(proof).encode()
    assert "changed" in refused(data)


# Whatever the bytes are


@given(st.binary(max_size=300))
def test_any_bytes_get_a_verdict(data: bytes) -> None:
    refused(data)


@pytest.mark.parametrize(
    "data", [b"[" * 100_000, b'{"format":' * 50_000, b'{"documents":' + b"[" * 50_000, b"null", b"\xff"]
)
def test_deep_or_odd_json_gets_a_verdict(data: bytes) -> None:
    refused(data)


def test_size_at_the_limit_and_one_over() -> None:
    assert "too large" not in refused(b" " * limits.EVIDENCE_BYTES)
    assert "too large" in refused(b" " * (limits.EVIDENCE_BYTES + 1))
