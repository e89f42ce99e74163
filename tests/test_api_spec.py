"""The table of routes against the shapes that outsiders rely on, and against its documents."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from p2pmarket.api import types as t
from p2pmarket.api.server.openapi import document
from p2pmarket.api.spec import ROUTES, Call, Route
from p2pmarket.api.types import bodies as b
from p2pmarket.errors import BadInput

DOCS = Path(__file__).parent.parent / "docs" / "api.md"

# Programs outside the repository read these keys, in this spelling; more may be added, none taken away.
KEYS: dict[type[msgspec.Struct], str] = {
    t.Peer: "key identity name fingerprint known",
    t.Line: "no quantity text codes",
    t.Code: "scheme value",
    t.Money: "amount currency",
    t.Quantity: "value unit",
    t.Identity: "identity fingerprint name contact contacts network home version protocol",
    t.CategoryName: "code label",
    t.Request: "id state category subject lines region from_region currency quotes_wanted reply_by created_at "
    "reference search counts introduced made_for upstream outcome",
    t.Search: "nodes_asked sellers_found widened_to complete",
    t.Counts: "asked delivered seen quoted declined silent unreachable",
    t.RequestReport: "request sellers quotes ended",
    t.SellerState: "seller delivery answer reason updated_at next next_try_at gives_up_at",
    t.DocumentInfo: (
        "kind hash id signer recipient issued_at delivery reason updated_at next next_try_at gives_up_at resent"
    ),
    t.CounterReply: "counter quote differences created",
    t.Counter: "id request quote version state seller issued_at valid_until lines missing_lines charges goods tax "
    "total divisible delivery payment_terms text differences reason reply",
    t.Difference: "what before after",
    t.AmendReply: "order quote differences created",
    t.NotesReply: "notes created",
    t.Note: "id about answers sender peer text attachments introduces issued_at delivery",
    t.Attachment: "name size sha256 media",
    t.FoundFile: "sha256 notes",
    t.Contacts: "contacts",
    t.Contact: "name key fingerprint announced_name categories deals added_at",
    t.ContactReply: "contact created removed",
    t.Outcome: "result price text issued_at",
    t.Event: "stream seq time type id data",
    t.Quote: "id request version state kind seller issued_at valid_until lines missing_lines charges goods tax total "
    "divisible delivery cancel_days payment_terms url text answers counter upstream turn then actions",
    t.QuoteLine: "no request_line quantity text code price amount tax_rate",
    t.Price: "amount currency per",
    t.Charge: "kind text amount",
    t.Tax: "included amount",
    t.DeliveryTerms: "days latest incoterm place ships_from",
    t.Quotes: "request quotes",
    t.OrderReply: "order created",
    t.Order: "id deal quote request state lines total deliver_to reference created_at answer_by delivery",
    t.OrderLine: "no quantity",
    t.DeliverTo: "name address region contact tax_id",
    t.Deals: "deals next",
    t.Deal: "id role state other title total request quote order reference created_at agreed_at payment_state turn "
    "due_at then upstream made_for",
    t.Inbox: "items next",
    t.InboxItem: "id kind from title category region lines matched_lines received_at act_by state actions",
    t.Status: "version protocol network state identity started_at stream last_seq clock_offset_s dht reachable "
    "announcements outbox inbox problems",
    t.DhtStatus: "contacts estimated_nodes",
    t.Reachable: "verdict addresses checked_by checked_at",
    t.Announcement: "id category regions holders expires_at state",
    t.Outbox: "waiting oldest_at",
    t.Problem: "code message hint",
    t.ErrorReply: "error",
    t.ErrorInfo: "code message hint retryable details",
}


@pytest.mark.parametrize("kind", KEYS, ids=lambda kind: kind.__name__)
def test_keys_stay(kind: type[msgspec.Struct]) -> None:
    assert set(KEYS[kind].split()) <= set(kind.__struct_encode_fields__)


def structs(module: Any) -> list[type[msgspec.Struct]]:
    found = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, msgspec.Struct)]
    return [kind for kind in found if kind.__struct_encode_fields__]


@pytest.mark.parametrize("kind", structs(t), ids=lambda kind: kind.__name__)
def test_every_key_is_always_there(kind: type[msgspec.Struct]) -> None:
    """Nothing has a default, so nobody forgets a key; nothing is left out of the JSON; readers ignore what is new."""
    assert kind.__struct_defaults__ == ()
    assert not kind.__struct_config__.omit_defaults
    assert not kind.__struct_config__.forbid_unknown_fields
    assert kind.__struct_config__.frozen
    with pytest.raises(TypeError):
        kind("positional")


@pytest.mark.parametrize("kind", structs(b), ids=lambda kind: kind.__name__)
def test_bodies_refuse_what_they_do_not_know(kind: type[msgspec.Struct]) -> None:
    if issubclass(kind, b.Body):
        with pytest.raises(msgspec.ValidationError, match=r"unknown field `surely_not`|missing required"):
            msgspec.convert({"surely_not": 1}, kind)


def test_routes_are_told_apart() -> None:
    assert len({route.name for route in ROUTES}) == len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)
    for route in ROUTES:
        assert re.fullmatch(r"/v1(/[a-z]+|/\{[a-z]+\})+", route.path)
        assert route.writes == (route.request is not None)
        assert (route.scope == "read") == (not route.writes)
        assert route.stream == (route.reply is t.Event)


def test_a_price_bot_cannot_order() -> None:
    buying = {"request_open", "request_close", "counter", "order", "receive", "pay"}
    assert {route.name for route in ROUTES if route.scope == "buy"} == buying


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("500", 500), ("", 50)])
def test_numbers_of_a_query(text: str, number: int) -> None:
    assert Call(query={"limit": text}).number("limit", 50, 1, 500) == number


@pytest.mark.parametrize("text", ["0", "501", "-1", "1.5", "x", "٣", "9" * 5000])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(BadInput):
        Call(query={"limit": text}).number("limit", 50, 1, 500)


def test_openapi_says_which_parameters_are_on_or_off() -> None:
    schemas = {
        (one["name"], one["schema"]["type"])
        for path in document()["paths"].values()
        for operation in path.values()
        for one in operation["parameters"]
        if one["in"] == "query"
    }
    assert {name for name, kind in schemas if kind == "boolean"} == {"dry_run", "skip_bad"}
    assert not {("dry_run", "string"), ("skip_bad", "string")} & schemas


def test_openapi_holds_every_route_and_no_loose_end() -> None:
    found = document()
    text = json.dumps(found)
    operations = {o["operationId"]: o for path in found["paths"].values() for o in path.values()}
    assert set(operations) == {route.name for route in ROUTES}
    assert set(re.findall(r'"#/components/schemas/(\w+)"', text)) <= set(found["components"]["schemas"])
    assert "null" in json.dumps(found["components"]["schemas"]["Status"]["properties"]["clock_offset_s"])


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_the_docs_list_every_route(route: Route[Any]) -> None:
    text = DOCS.read_text(encoding="utf-8")
    row = next((line for line in text.splitlines() if f"| `{route.method} {route.path}` |" in line), None)
    assert row is not None, f"docs/api.md lacks {route.method} {route.path}"
    body = f"`{route.request.__name__}`" if route.request else "–"
    wanted = [f"`{route.name}`", body, f"`{route.reply.__name__}`", route.scope]
    assert [cell.strip() for cell in row.split("|")[2:6]] == wanted
    assert all(f"`{name}`" in row for name in route.query)


def test_the_docs_list_no_other_route() -> None:
    listed = re.findall(r"^\| `([A-Z]+ /\S+)` \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert listed == [f"{route.method} {route.path}" for route in ROUTES]
