"""One full and one bare document of every kind, built from the types of the fields alone.

`full` has every optional field set, `bare` none; both are made by walking the annotations, so a new field is covered
as soon as it exists.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from p2pmarket.trade.documents import KINDS, Document

# What the patterns of `values` let pass, by a word of the pattern.
_TEXTS = {
    r"^(0|[1-9][0-9]{0,14})(\.[0-9]{0,8}[1-9])?\Z": "12.5",
    r"^[A-Z]{3}\Z": "EUR",
    r"^[A-Z0-9]{2,3}\Z": "KGM",
    r"^(world|[A-Z]{2}(-[A-Z0-9]{1,3})?)\Z": "KR-11",
    r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])\Z": "2026-12-31",
    r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*\Z": "ko-KR",
    r"^https?://[^\s\x00-\x1f\x7f]+\Z": "https://example.org/커피?x=1",
    r"^[a-z][a-z0-9_]{0,39}\Z": "out_of_stock",
}


def samples() -> Iterator[tuple[int, str, Document]]:
    """(kind, "full" or "bare", document) of every kind."""
    for kind, cls in KINDS.items():
        yield kind, "full", _struct(cls, full=True)
        yield kind, "bare", _struct(cls, full=False)


def _struct(cls: type[Any], *, full: bool) -> Any:
    hints = get_type_hints(cls, include_extras=True)
    return cls(**{name: _value(hints[name], None, full=full) for name in cls.__struct_fields__})


def _value(kind: Any, meta: msgspec.Meta | None, *, full: bool) -> Any:
    origin = get_origin(kind)
    if origin is Annotated:
        base, *metas = get_args(kind)
        return _value(base, metas[0], full=full)
    if origin in (Union, types.UnionType):
        options = [option for option in get_args(kind) if option is not type(None)]
        return _value(options[0], None, full=full) if full else None
    if origin is Literal:
        return get_args(kind)[-1 if full else 0]
    if origin is tuple:
        return _tuple(get_args(kind), meta, full=full)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _struct(kind, full=full)
    return _scalar(kind, meta, full=full)


def _tuple(items: tuple[Any, ...], meta: msgspec.Meta | None, *, full: bool) -> tuple[Any, ...]:
    least = (meta.min_length or 0) if meta else 0
    return tuple(_value(items[0], None, full=full) for _ in range(max(least, 2 if full else 0)))


def _scalar(kind: Any, meta: msgspec.Meta | None, *, full: bool) -> Any:
    if kind is bool:
        return full
    if kind is int:
        low = meta.ge if meta and meta.ge is not None else 0
        return (meta.le if meta and meta.le is not None else 10) if full else max(low, 0)
    if kind is bytes:
        return b"\x07" * ((meta.min_length or 4) if meta else 4)
    if meta is not None and meta.pattern is not None:
        return _TEXTS[meta.pattern]
    return "커피 ☕ x"[: meta.max_length if meta and meta.max_length else None]
