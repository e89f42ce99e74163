"""What is wrong with a body, in plain words: msgspec's sentences are for programmers. Pure.

msgspec says `Expected `str` of length >= 1 - at `$.lines[0].text``; a person reads `lines[0].text must have at least 1
character`. Indexes count from 0, as in the JSON that was sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import inspect

TYPES = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
GOT = TYPES | {"int": "a number", "float": "a decimal number"}
LENGTHS = {"str": "character", "array": "item", "object": "field"}
_PLACE = re.compile(r"(?P<problem>.*?)(?: - at `(?P<place>[^`]*)`)?", re.DOTALL)
_GOT = re.compile(r"Expected `(?P<wanted>[^`]*)`, got `(?P<got>[^`]*)`")
_LENGTH = re.compile(r"Expected `(?P<type>str|array|object)` of length (?P<sign><=|>=|==) (?P<count>\d+)")
_RANGE = re.compile(r"Expected `(?:int|float)` (?P<sign><=|>=|<|>) (?P<limit>\S+)")
_MISSING = re.compile(r"Object missing required field `(?P<name>[^`]*)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>[^`]*)`")
_PATTERN = re.compile(r"Expected `str` matching regex '(?P<form>.*)'", re.DOTALL)
_CHOICE = re.compile(r"Invalid enum value (?P<value>.*)", re.DOTALL)
_STEP = re.compile(r"\.(?P<name>[^.\[\]]+)|\[[^\]]*\]")  # one further into a value: a field, or whatever is in there
SIGNS = {"<=": "at most", ">=": "at least", "<": "less than", ">": "more than", "==": "exactly"}


def plain_words(told: str, kind: type | None = None) -> str:
    """A sentence about the field that does not fit; what msgspec says itself if its words are not known here.

    `kind`: what the whole should have been, so that the values that a field may have can be listed.
    """
    found = _PLACE.fullmatch(told)
    problem, place = (found["problem"], found["place"] or "$") if found else (told, "$")
    field = place.removeprefix("$").removeprefix(".")
    if (choice := _CHOICE.fullmatch(problem)) and kind is not None:
        return f"{field} cannot be {choice['value']}: it is one of {', '.join(_choices(kind, place))}"
    for shape, words in (
        (_MISSING, _missing),
        (_UNKNOWN, _unknown),
        (_GOT, _other_type),
        (_LENGTH, _length),
        (_RANGE, _range),
        (_PATTERN, _form),
        (_CHOICE, _choice),
    ):
        if match := shape.fullmatch(problem):
            return words(field, match)
    return f"{field or 'the body'} does not fit: {problem[:1].lower()}{problem[1:]}"


def _missing(field: str, match: re.Match[str]) -> str:
    return f"{_below(field, match['name'])} is missing"


def _unknown(field: str, match: re.Match[str]) -> str:
    return f"unknown field: {_below(field, match['name'])}"


def _other_type(field: str, match: re.Match[str]) -> str:
    wanted = " or ".join(TYPES.get(name.strip(), name.strip()) for name in match["wanted"].split("|"))
    return f"{field or 'the body'} must be {wanted}, not {GOT.get(match['got'], match['got'])}"


def _length(field: str, match: re.Match[str]) -> str:
    count, what = int(match["count"]), LENGTHS[match["type"]]
    if match["sign"] == ">=" and count == 1:
        return f"{field} must not be empty"
    return f"{field} must have {SIGNS[match['sign']]} {count} {what}{'' if count == 1 else 's'}"


def _range(field: str, match: re.Match[str]) -> str:
    return f"{field} must be {SIGNS[match['sign']]} {match['limit']}"


def _form(field: str, match: re.Match[str]) -> str:
    return f"{field} is not written as it must be ({match['form']})"


def _choice(field: str, match: re.Match[str]) -> str:
    return f"{field} cannot be {match['value']}"


def _choices(kind: type, place: str) -> list[str]:
    """What may stand at a place of a body."""
    found = [inspect.type_info(kind)]
    for step in _STEP.finditer(place):
        found = [inner for outer in found for inner in _within(outer, step["name"])]
    chosen = [one for outer in found for one in _plain(outer) if isinstance(one, inspect.LiteralType)]
    return [str(value) for one in chosen for value in one.values]


def _within(outer: inspect.Type, name: str | None) -> Iterator[inspect.Type]:
    """The types one step further in: of a field, or of what a list or a mapping holds."""
    for one in _plain(outer):
        match one:
            case inspect.StructType(fields=fields):
                yield from (field.type for field in fields if field.encode_name == name)
            case inspect.ListType(item_type=item) | inspect.DictType(value_type=item):
                yield item


def _plain(outer: inspect.Type) -> Iterator[inspect.Type]:
    """The type without its bounds, and each of several that it may be."""
    match outer:
        case inspect.Metadata(type=inner):
            yield from _plain(inner)
        case inspect.UnionType(types=several):
            for one in several:
                yield from _plain(one)
        case _:
            yield outer


def _below(field: str, name: str) -> str:
    return f"{field}.{name}" if field else name
