"""Replies of the local API made from their types: every field filled, every text the one given.

So a view that prints a field without care is found, and a field added later is covered at once.
"""

from __future__ import annotations

import types
import typing
from typing import Any, Literal, TypeVar, get_args, get_origin

import msgspec

# Words that the daemon makes itself and guarantees; all other text is filled with what a test wants.
MADE_BY_US = {
    "amount": "1234.50",
    "value": "20",
    "unit": "KGM",
    "price": "2.55",
    "per": "1",
    "currency": "EUR",
    "reply_by": "2030-01-02T03:04:05Z",
    "created_at": "2029-12-31T00:00:00Z",
    "valid_until": "2030-01-05T00:00:00Z",
}


Kind = TypeVar("Kind")


def sample(kind: type[Kind], text: str = "text", *, several: int = 2, choice: int = 0) -> Kind:
    """A value of a type: lists of `several`, of enumerated words number `choice`, `text` for every free text."""
    made: Kind = _filled(kind, text, several=several, choice=choice)
    return made


def _filled(kind: Any, text: str, *, several: int, choice: int, name: str = "") -> Any:
    more = {"several": several, "choice": choice}
    origin = get_origin(kind)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        hints = typing.get_type_hints(kind)
        fields = {field: _filled(hints[field], text, name=field, **more) for field in kind.__struct_fields__}
        return kind(**fields)
    if origin is typing.Annotated:
        return _filled(get_args(kind)[0], text, name=name, **more)
    if origin is Literal:
        words = get_args(kind)
        return words[choice % len(words)]
    if origin in (types.UnionType, typing.Union):
        some = [arm for arm in get_args(kind) if arm is not type(None)]
        return _filled(some[0], text, name=name, **more)
    if origin in (list, tuple):
        return [_filled(get_args(kind)[0], text, name=name, **more) for _ in range(several)]
    if origin is dict:
        return {text: _filled(get_args(kind)[1], text, name=name, **more)}
    if kind is str:
        return MADE_BY_US.get(name, text)
    return {int: 3, float: 1.5, bool: True, bytes: b"data", Any: {"title": text}}[kind]
