"""What is wrong with a body, in plain words: msgspec's sentences are for programmers. Pure.

msgspec says `Expected `str` of length >= 1 - at `$.lines[0].text``; a person reads `lines[0].text must have at least 1
character`. Indexes count from 0, as in the JSON that was sent.
"""

from __future__ import annotations

import re

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
SIGNS = {"<=": "at most", ">=": "at least", "<": "less than", ">": "more than", "==": "exactly"}


def plain_words(told: str) -> str:
    """A sentence about the field that does not fit; what msgspec says itself if its words are not known here."""
    found = _PLACE.fullmatch(told)
    problem, place = (found["problem"], found["place"] or "$") if found else (told, "$")
    field = place.removeprefix("$").removeprefix(".")
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


def _below(field: str, name: str) -> str:
    return f"{field}.{name}" if field else name
