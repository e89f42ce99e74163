"""A checker for the part of CDDL (RFC 8610) that docs/p2pmarket.cddl uses, over values as `codec` decodes them.

Known: rules, choices, literals, ranges, arrays with named items and the occurrences `*` and `+`, maps with literal
keys, the controls .size, .regexp and .cbor, and the names tstr, text, bstr, bool, null, uint, int. pycddl parses the
same file in the tests, so it is CDDL; its own matching of arrays (cddl-rs 0.9) fails on choices within arrays.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from p2pmarket import codec
from p2pmarket.errors import BadMessage

Test = Callable[[Any], bool]
_TOKEN = re.compile(r'\s+|;[^\n]*|(?P<token>"(?:[^"\\]|\\.)*"|-?\d+|\.\.|\.[a-z]+|[A-Za-z][\w-]*|[=/\[\]{}:,*+])')

PLAIN: dict[str, Test] = {
    "tstr": lambda v: isinstance(v, str),
    "text": lambda v: isinstance(v, str),
    "bstr": lambda v: isinstance(v, bytes),
    "bool": lambda v: isinstance(v, bool),
    "null": lambda v: v is None,
    "int": lambda v: type(v) is int,
    "uint": lambda v: type(v) is int and v >= 0,
}


class Cddl:
    """The rules of one text; `matches(rule, value)`."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._at = 0
        self.rules: dict[str, Test] = {}
        while self._at < len(self._tokens):
            name = self._take()
            self._take("=")
            assert name not in self.rules, f"{name} is defined twice"
            self.rules[name] = self._type()

    def matches(self, rule: str, data: bytes) -> bool:
        """Whether `data` is one deterministic CBOR value that the rule allows."""
        try:
            return self.rules[rule](codec.decode_untrusted(data, max_items=16_384))
        except BadMessage:
            return False

    def _peek(self, ahead: int = 0) -> str:
        return self._tokens[self._at + ahead] if self._at + ahead < len(self._tokens) else ""

    def _take(self, expected: str | None = None) -> str:
        token = self._peek()
        assert expected is None or token == expected, f"{token!r} instead of {expected!r}"
        self._at += 1
        return token

    def _type(self) -> Test:
        choices = [self._one()]
        while self._peek() == "/":
            self._take()
            choices.append(self._one())
        return lambda value: any(choice(value) for choice in choices)

    def _one(self) -> Test:
        token = self._take()
        if token == "[":
            return self._array()
        if token == "{":
            return self._map()
        if token.startswith('"'):
            literal = _string(token)
            return lambda value: type(value) is str and value == literal
        if token.lstrip("-").isdigit():
            low = high = int(token)
            if self._peek() == "..":
                self._take()
                high = int(self._take())
            return lambda value: type(value) is int and low <= value <= high
        base: Test = PLAIN.get(token) or (lambda value: self.rules[token](value))
        return self._controlled(base) if self._peek().startswith(".") else base

    def _controlled(self, base: Test) -> Test:
        control, argument = self._take(), self._take()
        if control == ".size":
            return lambda value: base(value) and len(value) == int(argument)
        if control == ".regexp":
            pattern = re.compile(_string(argument))
            return lambda value: base(value) and pattern.fullmatch(value) is not None
        assert control == ".cbor", control
        return lambda value: base(value) and self.matches(argument, value)

    def _array(self) -> Test:
        items: list[tuple[str, Test]] = []
        while self._peek() != "]":
            occurrence = self._take() if self._peek() in {"*", "+"} else ""
            if self._peek(1) == ":":
                self._take()
                self._take()
            items.append((occurrence, self._type()))
            if self._peek() == ",":
                self._take()
        self._take("]")
        if items and items[0][0]:
            assert len(items) == 1, "a repeated item stands alone"
            least, item = len(items[0][0].strip("*")), items[0][1]
            return lambda value: isinstance(value, list) and len(value) >= least and all(map(item, value))
        tests = [test for _, test in items]
        return lambda value: (
            isinstance(value, list)
            and len(value) == len(tests)
            and all(t(v) for t, v in zip(tests, value, strict=True))
        )

    def _map(self) -> Test:
        entries: dict[int, Test] = {}
        while self._peek() != "}":
            key = int(self._take())
            self._take(":")
            entries[key] = self._type()
            if self._peek() == ",":
                self._take()
        self._take("}")
        return lambda value: (
            isinstance(value, dict) and value.keys() == entries.keys() and all(t(value[k]) for k, t in entries.items())
        )


def _tokens(text: str) -> list[str]:
    tokens, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        assert match, text[at : at + 40]
        if match["token"]:
            tokens.append(match["token"])
        at = match.end()
    return tokens


def _string(token: str) -> str:
    return token[1:-1].replace("\\\\", "\\").replace('\\"', '"')
