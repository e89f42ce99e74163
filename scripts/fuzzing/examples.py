"""Valid values of any typed struct, made from its annotations: what mutations start from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random
from typing import Any

import msgspec
from msgspec import inspect

# Text of every pattern that the structs use; an unknown pattern fails loudly below, and belongs here.
TEXTS = ("KR", "world", "KR-11", "EUR", "KGM", "12.5", "0.000000001", "2027-01-15", "en", "busy", "https://a.example/x")
LONGEST = 12  # of what is repeated
TRIES = 50


def examples(kind: type[msgspec.Struct], rng: Random, count: int) -> list[msgspec.Struct]:
    """`count` different-looking valid structs of class `kind`."""
    return [msgspec.convert(example(inspect.type_info(kind), rng), kind, builtin_types=(bytes,)) for _ in range(count)]


def example(of: inspect.Type, rng: Random, depth: int = 0) -> Any:
    """A valid value of a type, in the builtin types that it decodes from."""
    match of:
        case inspect.Metadata():
            return example(of.type, rng, depth)
        case inspect.StructType():
            return _struct(of, rng, depth)
        case inspect.UnionType():
            plain = [choice for choice in of.types if not isinstance(choice, inspect.NoneType)]
            return (
                None
                if of.includes_none and rng.random() < 0.3 + 0.1 * depth
                else example(rng.choice(plain), rng, depth)
            )
        case inspect.VarTupleType() | inspect.ListType():
            return [example(of.item_type, rng, depth + 1) for _ in range(_length(of.min_length, of.max_length, rng, 2))]
        case inspect.TupleType():
            return [example(item, rng, depth + 1) for item in of.item_types]
        case _:
            return _leaf(of, rng)


def _struct(of: inspect.StructType, rng: Random, depth: int) -> list[Any]:
    fields = [example(field.type, rng, depth + 1) for field in of.fields]
    return fields if of.tag is None else [of.tag, *fields]


def _leaf(of: inspect.Type, rng: Random) -> Any:
    match of:
        case inspect.NoneType():
            return None
        case inspect.BoolType():
            return rng.random() < 0.5
        case inspect.IntType():
            low = of.ge if of.ge is not None else (of.gt + 1 if of.gt is not None else 0)
            high = of.le if of.le is not None else (of.lt - 1 if of.lt is not None else low + 1000)
            return rng.choice((low, high, rng.randint(low, high)))
        case inspect.BytesType():
            return rng.randbytes(_length(of.min_length, of.max_length, rng, LONGEST))
        case inspect.StrType() if of.pattern is not None:
            fits = [text for text in TEXTS if re.search(of.pattern, text)]
            return rng.choice(fits)
        case inspect.StrType():
            return "".join(rng.choice("abc 가é") for _ in range(_length(of.min_length, of.max_length, rng, LONGEST)))
        case inspect.LiteralType():
            return rng.choice(of.values)
    raise TypeError(f"no example of {of!r}")


def _length(least: int | None, most: int | None, rng: Random, usual: int) -> int:
    low = least or 0
    high = max(low, usual if most is None else min(most, usual))
    return rng.randint(low, high)


def packed(structs: Sequence[msgspec.Struct]) -> list[Any]:
    """As builtin values, ready for the codec."""
    return [msgspec.to_builtins(one, builtin_types=(bytes,)) for one in structs]
