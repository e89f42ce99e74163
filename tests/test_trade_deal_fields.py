"""Every field of the documents of a deal: bound by what both signed before, or the signer's own.

Each bound field is changed alone, and in pairs, to values that never fit; the document is signed anew by its signer and
must be refused for a reason of the list. `OWN` names the fields that nothing binds; together they are all fields.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import pytest
from deal_fields import CASES, KEYS, NAMES, SINGLE, TOGETHER, trades
from deal_world import LATER, REFEREE, lines_of, received
from test_trade_check_fields import KINDS, case
from trade_world import BUYER, DAY, REQUEST_KEY, SELLER, STRANGER, WALL, changed

from p2pmarket import limits
from p2pmarket.errors import BadInput, Refusal
from p2pmarket.keys import SigningKey
from p2pmarket.trade import check
from p2pmarket.trade import documents as d
from p2pmarket.trade.documents import Opened
from p2pmarket.trade.values import Attachment, Money

FILE = Attachment(hash=b"f" * 32, size=10, name="photo.jpg")


# Fields that nothing earlier binds, whatever the document says or answers: the signer's own word. `routes` and reply
# keys are believed of the link that they came over only; texts, dates and references are for people.
FREE = {
    "request": "nonce language routes subject region place from_region currency quotes_wanted wanted_by delivery "
    "payment reference text attachments replaces",
    "acknowledgement": "nonce language",
    "decline": "nonce language reason text",
    "quote": "nonce language kind name url text attachments reply_key routes",
    "counter": "nonce language text attachments",
    "withdraw": "nonce language reason text",
    "outcome": "nonce language result price reason text",
    "order": "language deliver_to bill_to reference reply_key routes wanted_by payment text attachments",
    "order_response": "nonce language reason text expected reply_key routes",
    "change": "nonce language reason text",
    "cancel": "nonce language reason text",
    "despatch": "nonce language no carrier tracking url parcels expected files text",
    "receipt": "nonce language no received_on text attachments",
    "invoice": "nonce language number payee payer text attachments",
    "credit": "nonce language number date reason text attachments",
    "payment": "nonce language reference proof text",
    "rating": "nonce language text url",
    "dispute": "nonce language no attachments",
    "note": "nonce language attachments",
}
SORTS = ("step", "code", "status")  # what says which of several things a document is: each has a case of its own


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


def all_cases() -> Iterator[tuple[Opened, set[str]]]:
    """Every document that a case is about, with the names of its bound fields."""
    for name in NAMES:
        yield paper(name)[0], set(CASES[name][0])
    for kind in KINDS:
        opened, _, _, bound, _ = case(kind)
        yield opened, set(bound)


@pytest.mark.parametrize("kind", sorted(d.KINDS), ids=lambda kind: d.NAMES[kind])
def test_every_field_of_every_document_is_bound_or_named_as_free(kind: int) -> None:
    cls, free = d.KINDS[kind], set(FREE[d.NAMES[kind]].split())
    bound = {field for opened, fields in all_cases() if opened.kind == kind for field in fields}
    assert bound & free == set(), "bound in one case and called free"
    assert bound | free == set(cls.__struct_fields__), "a new field must be decided on"


@pytest.mark.parametrize("kind", sorted(d.KINDS), ids=lambda kind: d.NAMES[kind])
def test_every_sort_of_every_document_has_a_case(kind: int) -> None:
    hints = get_type_hints(d.KINDS[kind])
    for field in set(SORTS) & set(d.KINDS[kind].__struct_fields__):
        if get_origin(hints[field]) is Literal:
            cases = {getattr(opened.document, field) for opened, _ in all_cases() if opened.kind == kind}
            assert cases == set(get_args(hints[field]))


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


def spoiled(value: Any) -> Iterator[Any]:
    """Copies of a value, each with one thing within it changed, left out, or there twice."""
    match value:
        case msgspec.Struct():
            for field in value.__struct_fields__:
                for other in spoiled(getattr(value, field)):
                    yield msgspec.structs.replace(value, **{field: other})
        case tuple():
            yield value[1:]
            yield (*value, *value[:1])
            for place, item in enumerate(value):
                yield from ((*value[:place], other, *value[place + 1 :]) for other in spoiled(item))
        case bool():
            yield not value
        case int():
            yield value + 1
        case str():
            yield value + "1"
        case None:
            yield from ("1", 1, True)


def test_a_bill_of_all_has_the_sheet_of_the_contract_to_the_last_field() -> None:
    opened, signer = paper(("whole", "invoice"))
    tried = 0
    for sheet in spoiled(opened.document.sheet):  # type: ignore[attr-defined]
        try:
            bill = changed(opened, signer, sheet=sheet)
        except BadInput:
            continue  # no reader takes it
        tried += 1
        assert refusal_of(("whole", "invoice"), bill) is not None, sheet
    assert tried > 40


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


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        (("whole", "counter"), {"valid_until": WALL + 70 + limits.QUOTE_SECONDS}),
        (("whole", "counter"), {"valid_until": WALL + 71}),
        (("whole", "despatch"), {"despatched_at": LATER + limits.CLOCK_SKEW_SECONDS}),
        (("whole", "despatch"), {"despatched_at": None}),
        (("whole", "despatch"), {"lines": lines_of((1, "0.5"))}),
        (("whole", "advice"), {"paid_at": LATER + limits.CLOCK_SKEW_SECONDS}),
        (("whole", "advice"), {"paid_at": None}),
        (("whole", "advice"), {"instalment": None}),
        (("whole", "receipt"), {"lines": received((1, "20", "full"), (2, "0", "short"))}),
        (("whole", "receipt"), {"despatch": None, "lines": received((1, "20", "short"))}),
        (("whole", "invoice"), {"due": "2026-06-02"}),
        (("whole", "invoice"), {"due": None}),
        (("quarrel", "proposal"), {"share": "1"}),
        (("quarrel", "proposal"), {"share": "0"}),
        (("quarrel", "proposal"), {"share": None, "amount": Money(1, "EUR", 2)}),
        (("quarrel", "statement"), {"text": None, "attachments": (FILE,)}),
        (("whole", "answer"), {"text": None, "attachments": (FILE,)}),
        (("quarrel", "wish"), {"refund": None}),
    ],
)
def test_what_is_just_within_the_bounds_holds(name: tuple[str, str], changes: dict[str, Any]) -> None:
    opened, signer = paper(name)
    assert refusal_of(name, changed(opened, signer, **changes)) is None
