"""Every rule of the layers test catches a planted violation and lets the nearest innocent neighbour pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pytest
from test_architecture import (
    FILE_LINES,
    FUNCTION_LINES,
    ORDER,
    Source,
    every_layer_exists,
    every_module_has_a_layer,
    files_are_short,
    functions_are_short,
    ignores_name_their_rule,
    imports_point_down,
    narrow_layers_stay_narrow,
    no_cycles,
    nothing_catches_all,
    owned_things_stay_with_owners,
    packages_are_declared,
    pure_is_pure,
)

Rule = Callable[[Iterable[Source]], Iterator[str]]

PYPROJECT = '[tool.setuptools]\npackages = ["p2pmarket", "p2pmarket.dht"]\n'
MANY = "pass\n"


def one(name: str, text: str, *, package: bool = False) -> list[Source]:
    return [Source(name, text, package)]


GUARDED = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from random import Random\n"
LAZY = "def verify():\n    from p2pmarket.trade import evidence\n"
LONG = "def long():\n" + "    pass\n" * FUNCTION_LINES
RING = [Source("p2pmarket.dht.a", "from .b import x"), Source("p2pmarket.dht.b", "from p2pmarket.dht import a")]

CAUGHT: list[tuple[Rule, list[Source]]] = [
    (every_module_has_a_layer, one("p2pmarket.helpers", "x = 1")),
    (every_module_has_a_layer, one("p2pmarket", "from . import codec", package=True)),
    (imports_point_down, one("p2pmarket.codec", "from p2pmarket.keys import seal")),
    (imports_point_down, one("p2pmarket.codec", "from . import keys") + one("p2pmarket.keys", "")),
    (imports_point_down, one("p2pmarket.dht.node", "def f():\n    from ..store import ledger")),
    (imports_point_down, one("p2pmarket.market.buyer", "import p2pmarket.daemon")),
    (imports_point_down, one("p2pmarket.api.spec", "from p2pmarket.market import verbs")),
    (imports_point_down, one("p2pmarket.market.buyer", "from p2pmarket.api.server import serve")),
    (imports_point_down, one("p2pmarket.api.spec", "from .server import serve")),
    (narrow_layers_stay_narrow, one("p2pmarket_cli.main", "from p2pmarket.store import ledger")),
    (narrow_layers_stay_narrow, one("p2pmarket_cli.verify", "from p2pmarket.trade import evidence")),
    (narrow_layers_stay_narrow, one("p2pmarket.client", "import p2pmarket.codec")),
    (no_cycles, RING),
    (pure_is_pure, one("p2pmarket.codec", "import os")),
    (pure_is_pure, one("p2pmarket.dht.node", "from time import monotonic")),
    (pure_is_pure, one("p2pmarket.trade.state", "def f():\n    import trio.abc")),
    (pure_is_pure, one("p2pmarket.trade.state", "import datetime\nx = datetime.datetime.now()")),
    (pure_is_pure, one("p2pmarket.records", "x = open('f')")),
    (pure_is_pure, one("p2pmarket.records", "from importlib import resources")),
    (owned_things_stay_with_owners, one("p2pmarket.dht.node", "from kademlia.node import Node")),
    (owned_things_stay_with_owners, one("p2pmarket.market.buyer", "import sqlite3")),
    (owned_things_stay_with_owners, one("p2pmarket.config", "import trio")),
    (nothing_catches_all, one("p2pmarket.udp", "try:\n    pass\nexcept Exception:\n    pass")),
    (nothing_catches_all, one("p2pmarket.udp", "try:\n    pass\nexcept (OSError, BaseException):\n    pass")),
    (nothing_catches_all, one("p2pmarket.udp", "try:\n    pass\nexcept:\n    pass")),
    (nothing_catches_all, one("p2pmarket.udp", "try:\n    pass\nexcept Exception as e:\n    raise ValueError from e")),
    (ignores_name_their_rule, one("p2pmarket.udp", "x = 1  # type: ignore")),
    (ignores_name_their_rule, one("p2pmarket.udp", "x = 1  # noqa")),
    (functions_are_short, one("p2pmarket.udp", LONG)),
    (functions_are_short, one("p2pmarket.udp", "class A:\n  async " + LONG.replace("\n", "\n  "))),
    (files_are_short, one("p2pmarket.udp", MANY * (FILE_LINES + 1))),
]

PASSES: list[tuple[Rule, list[Source]]] = [
    (every_module_has_a_layer, one("p2pmarket", '"""The root."""\n__version__ = "1"', package=True)),
    (imports_point_down, one("p2pmarket.keys", "from p2pmarket.codec import pack\nimport hashlib")),
    (imports_point_down, one("p2pmarket.dht.node", "from .table import Table\nfrom p2pmarket import limits")),
    (imports_point_down, one("p2pmarket.market.a", "from p2pmarket.api import spec") + one("p2pmarket.api.spec", "")),
    (narrow_layers_stay_narrow, one("p2pmarket_cli.verify", LAZY)),
    (narrow_layers_stay_narrow, one("p2pmarket_cli.main", "from .render import a\nfrom p2pmarket.client import b")),
    (no_cycles, [RING[0], Source("p2pmarket.dht.b", "def f():\n    from p2pmarket.dht import a")]),
    (pure_is_pure, one("p2pmarket.dht.lookup", GUARDED)),
    (pure_is_pure, one("p2pmarket.vocab.regions", "from importlib import resources")),
    (pure_is_pure, one("p2pmarket.trade.state", "import datetime\nx = datetime.timedelta(1)\ny = 1 .now()")),
    (pure_is_pure, one("p2pmarket.daemon", "import os, time, trio")),
    (owned_things_stay_with_owners, one("p2pmarket.dht.table", "from kademlia.node import Node")),
    (owned_things_stay_with_owners, one("p2pmarket.market.buyer", "import trio")),
    (nothing_catches_all, one("p2pmarket.udp", "try:\n    pass\nexcept OSError:\n    pass")),
    (nothing_catches_all, one("p2pmarket.udp", "try:\n    pass\nexcept BaseException:\n    x = 1\n    raise")),
    (nothing_catches_all, one("p2pmarket.api.server.app", "try:\n    pass\nexcept Exception:\n    x = 1")),
    (ignores_name_their_rule, one("p2pmarket.udp", "x = 1  # type: ignore[misc]  # noqa: E501")),
    (functions_are_short, one("p2pmarket.udp", "def f():\n" + "    pass\n" * (FUNCTION_LINES - 1))),
    (files_are_short, one("p2pmarket.udp", MANY * FILE_LINES)),
]


@pytest.mark.parametrize(("rule", "sources"), CAUGHT, ids=lambda value: getattr(value, "__name__", None))
def test_a_planted_violation_is_caught_and_named(rule: Rule, sources: list[Source]) -> None:
    violations = list(rule(sources))
    assert len(violations) == 1
    assert violations[0].startswith("p2pmarket")


@pytest.mark.parametrize(("rule", "sources"), PASSES, ids=lambda value: getattr(value, "__name__", None))
def test_an_innocent_module_passes(rule: Rule, sources: list[Source]) -> None:
    assert list(rule(sources)) == []


def test_a_layer_that_is_gone_is_named() -> None:
    present = [Source(layer, "") for layer in ORDER if layer != "p2pmarket.link"]
    assert [line.split(":")[0] for line in every_layer_exists(present)] == ["p2pmarket.link"]


def test_packages_missing_on_either_side_are_named() -> None:
    root = one("p2pmarket", "", package=True)
    here = [*root, *one("p2pmarket.trade", "", package=True), *one("p2pmarket.store.ledger", "")]
    named = [line.split(":")[0] for line in packages_are_declared(here, PYPROJECT)]
    assert named == ["p2pmarket.store", "p2pmarket.trade", "p2pmarket.dht"]
    assert list(packages_are_declared([*root, *one("p2pmarket.dht", "", package=True)], PYPROJECT)) == []
