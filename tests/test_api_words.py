"""What does not fit in a body is told in words for people, whatever body it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, get_args

import msgspec
import pytest

from p2pmarket.api.server.words import plain_words
from p2pmarket.api.spec import ROUTES
from p2pmarket.api.types import bodies as b
from p2pmarket.api.types import bodies_fulfil as fulfil


class Line(msgspec.Struct, forbid_unknown_fields=True):
    no: Annotated[int, msgspec.Meta(ge=1, lt=100)] = 1
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=5)] = "x"


class Body(msgspec.Struct, forbid_unknown_fields=True):
    category: Annotated[str, msgspec.Meta(min_length=1)]
    lines: Annotated[list[Line], msgspec.Meta(max_length=1)] = []
    share: float | None = None
    reason: Annotated[str, msgspec.Meta(pattern="^[a-z]+$")] = "a"
    kind: Literal["a", "b"] = "a"
    sure: bool = False
    words: dict[str, Annotated[str, msgspec.Meta(min_length=2)]] = {}


def told(kind: type[msgspec.Struct], text: bytes) -> str:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(text, type=kind)
    return plain_words(str(caught.value))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b'{"category": ""}', "category must not be empty"),
        (b"{}", "category is missing"),
        (b"[]", "the body must be an object, not a list"),
        (b'{"category": "a", "kinds": 1}', "unknown field: kinds"),
        (b'{"category": 7}', "category must be a text, not a number"),
        (b'{"category": null}', "category must be a text, not null"),
        (b'{"category": "a", "lines": "x"}', "lines must be a list, not a text"),
        (b'{"category": "a", "lines": [{}, {}]}', "lines must have at most 1 item"),
        (b'{"category": "a", "lines": [{"no": 0}]}', "lines[0].no must be at least 1"),
        (b'{"category": "a", "lines": [{"no": 100}]}', "lines[0].no must be at most 99"),
        (b'{"category": "a", "lines": [{"no": 1.5}]}', "lines[0].no must be a whole number, not a decimal number"),
        (b'{"category": "a", "lines": [{"text": "123456"}]}', "lines[0].text must have at most 5 characters"),
        (b'{"category": "a", "lines": [{"texts": ""}]}', "unknown field: lines[0].texts"),
        (b'{"category": "a", "share": "x"}', "share must be a number or null, not a text"),
        (b'{"category": "a", "kind": "c"}', "kind cannot be 'c'"),
        (b'{"category": "a", "reason": "No"}', "reason is not written as it must be (^[a-z]+$)"),
        (b'{"category": "a", "sure": 1}', "sure must be true or false, not a number"),
        (b'{"category": "a", "words": {"x": "y"}}', "words[...] must have at least 2 characters"),
    ],
)
def test_what_does_not_fit_is_named_in_plain_words(text: bytes, words: str) -> None:
    assert told(Body, text) == words


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        (
            b.Decline,
            b'{"reason": "mood"}',
            f"reason cannot be 'mood': it is one of {', '.join(sorted(get_args(b.DeclineReason)))}",
        ),
        (b.CloseRequest, b'{"state": "open"}', "state cannot be 'open': it is one of cancelled, enough"),
        (
            fulfil.NewReceipt,
            b'{"lines": [{"no": 2, "quantity": "1", "condition": "wet"}]}',
            "lines[0].condition cannot be 'wet': it is one of damaged, full, refused, short",
        ),
    ],
)
def test_the_values_that_a_field_may_have_are_listed(kind: type[msgspec.Struct], text: bytes, words: str) -> None:
    assert plain_words(wrong(kind, text) or "", kind) == words


def test_what_msgspec_may_say_in_later_versions_is_handed_on() -> None:
    assert plain_words("Something `new` - at `$.lines[0]`") == "lines[0] does not fit: something `new`"
    assert plain_words("") == "the body does not fit: "


def wrong_bodies(kind: type[msgspec.Struct]) -> Iterator[bytes]:
    """Each field with a value of each type; most are wrong."""
    yield b"[]"
    yield b'{"no such field": 1}'
    for field in msgspec.structs.fields(kind):
        values: tuple[object, ...] = (
            None,
            True,
            -1,
            1.5,
            "",
            "\0" * 100_000,
            [],
            [[]],
            [{}],
            [""],
            {},
            {"": ""},
            {"x": {}},
        )
        for value in values:
            yield msgspec.json.encode({field.encode_name: value})


def test_no_route_answers_in_the_words_of_programmers() -> None:
    bodies = {route.request for route in ROUTES if route.request is not None and not route.raw}
    said = [(kind, found) for kind in bodies for text in wrong_bodies(kind) if (found := wrong(kind, text)) is not None]
    assert len(said) > len(bodies)
    for kind, problem in said:
        words = plain_words(problem, kind)
        assert not words.endswith("one of "), (problem, words)
        assert not {"`", "$"} & set(words), (problem, words)
        assert "does not fit" not in words or "base64" in words, problem


def wrong(kind: type[msgspec.Struct], text: bytes) -> str | None:
    try:
        msgspec.json.decode(text, type=kind)
    except msgspec.ValidationError as error:
        return str(error)
    return None
