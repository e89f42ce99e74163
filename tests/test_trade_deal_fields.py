"""Every field of the documents of a deal: bound by what both signed before, or the signer's own.

Each bound field is changed alone, and in pairs, to values that never fit; the document is signed anew by its signer and
must be refused for a reason of the list. `OWN` names the fields that nothing binds; together they are all fields.
"""

from __future__ import annotations

from itertools import combinations

import pytest
from deal_fields import CASES, KEYS, NAMES, SINGLE, TOGETHER, trades
from deal_world import (
    LATER,
    REFEREE,
)
from trade_world import BUYER, DAY, REQUEST_KEY, SELLER, STRANGER, changed

from p2pmarket.errors import Refusal
from p2pmarket.keys import SigningKey
from p2pmarket.trade import check
from p2pmarket.trade.documents import Opened


def refusal_of(name: tuple[str, str], opened: Opened) -> str | None:
    trade = trades()[name[0]]
    try:
        check.check(trade.without(name[1]), opened, LATER + DAY)
    except Refusal as refusal:
        return refusal.reason
    return None


def paper(name: tuple[str, str]) -> tuple[Opened, SigningKey]:
    opened = trades()[name[0]].papers[name[1]]
    return opened, KEYS[opened.signer]


@pytest.mark.parametrize("name", NAMES, ids="-".join)
def test_the_document_itself_holds_and_every_field_is_decided_on(name: tuple[str, str]) -> None:
    opened, _ = paper(name)
    assert refusal_of(name, opened) is None
    bound, own = CASES[name]
    assert sorted([*bound, *own.split()]) == sorted(type(opened.document).__struct_fields__)


@pytest.mark.parametrize(("name", "field", "n"), SINGLE)
def test_a_bound_field_changed_is_refused(name: tuple[str, str], field: str, n: int) -> None:
    opened, signer = paper(name)
    reason, value = CASES[name][0][field][n]
    assert refusal_of(name, changed(opened, signer, **{field: value})) == reason
    assert reason in check.REASONS


@pytest.mark.parametrize("name", NAMES, ids="-".join)
def test_two_bound_fields_changed_are_refused(name: tuple[str, str]) -> None:
    opened, signer = paper(name)
    bound = CASES[name][0]
    for one, two in combinations(bound, 2):
        for n in range(max(len(bound[one]), len(bound[two]))):
            first, second = bound[one][n % len(bound[one])][1], bound[two][-1 - n % len(bound[two])][1]
            if (name[1], one, two) in TOGETHER:
                continue
            changes = {one: first, two: second}
            assert refusal_of(name, changed(opened, signer, **changes)) is not None, changes


@pytest.mark.parametrize("name", NAMES, ids="-".join)
def test_signed_by_or_meant_for_somebody_else(name: tuple[str, str]) -> None:
    opened, signer = paper(name)
    for other in {BUYER, SELLER, REQUEST_KEY, STRANGER, REFEREE} - {signer}:
        assert refusal_of(name, changed(opened, other)) is not None
        if other.public != opened.recipient and (name[1], other) != ("opinion", SELLER):
            assert refusal_of(name, changed(opened, signer, recipient=other.public)) == "wrong_recipient"


@pytest.mark.parametrize("name", NAMES, ids="-".join)
def test_before_the_deal_is_known_a_document_waits(name: tuple[str, str]) -> None:
    trade = trades()[name[0]]
    opened, _ = paper(name)
    empty = trade.thread.of(trade.thread.network, SELLER.public, trade.thread.request)
    with pytest.raises(Refusal) as refusal:
        check.check(empty, opened, LATER + DAY)
    assert refusal.value.reason.startswith("unknown_")
