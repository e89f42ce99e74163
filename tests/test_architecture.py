"""The layers of the code, held by its syntax trees: nothing is imported or built here.

`ORDER` is the one order of imports: a module imports only from layers above its own in the list; modules of one
package may import each other as long as no cycle arises. The pure layers know no clock, no chance, no disk and no
network: those are handed in. Every rule is a function of sources that returns the violations as lines, so the second
half of this file can plant each violation and see it caught.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# A layer is a module, or a package with all its modules but those that are layers of their own.
ORDER = (
    "p2pmarket.errors",
    "p2pmarket.limits",
    "p2pmarket.network",
    "p2pmarket.codec",
    "p2pmarket.keys",
    "p2pmarket.data",
    "p2pmarket.vocab",
    "p2pmarket.backup",
    "p2pmarket.records",
    "p2pmarket.messages",
    "p2pmarket.trade",
    "p2pmarket.noise",
    "p2pmarket.link",
    "p2pmarket.dht",
    "p2pmarket.pricelist",
    "p2pmarket.clock",
    "p2pmarket.config",
    "p2pmarket.home",
    "p2pmarket.restore",
    "p2pmarket.store",
    "p2pmarket.sockets",
    "p2pmarket.udp",
    "p2pmarket.open_link",
    "p2pmarket.peers",
    "p2pmarket.api",
    "p2pmarket.market",
    "p2pmarket.api.server",
    "p2pmarket.client",
    "p2pmarket.daemon",
    "p2pmarket_cli",
)
PURE = {*ORDER[: ORDER.index("p2pmarket.clock")], "p2pmarket.api"}
IMPURE = {
    *("asyncio", "multiprocessing", "select", "signal", "socket", "sqlite3", "ssl", "subprocess", "threading", "trio"),
    *("importlib", "logging", "os", "pathlib", "random", "secrets", "shutil", "sys", "tempfile", "time", "uuid"),
}
PURE_MAY_ALSO = {"p2pmarket.vocab": {"importlib"}}  # its tables are package data, read once

# What only some layers may import, whatever their place in the order.
OWNERS = {
    "kademlia": {"p2pmarket.dht.table"},
    "cbor2": {"p2pmarket.codec"},
    "sqlite3": {"p2pmarket.store"},
    "h11": {"p2pmarket.api.server"},
    "click": {"p2pmarket_cli"},
    "rich": {"p2pmarket_cli"},
    "trio": {
        "p2pmarket.sockets",
        "p2pmarket.udp",
        "p2pmarket.open_link",
        "p2pmarket.peers",
        "p2pmarket.store",
        "p2pmarket.market",
        "p2pmarket.api.server",
        "p2pmarket.daemon",
    },
}
# Layers that see less of the project than their place allows.
SEES_ONLY = {
    "p2pmarket.client": {"p2pmarket.errors", "p2pmarket.limits", "p2pmarket.config", "p2pmarket.api"},
    "p2pmarket_cli": {
        "p2pmarket.errors",
        "p2pmarket.limits",
        "p2pmarket.config",
        "p2pmarket.vocab",
        "p2pmarket.api",
        "p2pmarket.client",
    },
}
# Inside a function only: what a command needs that works without a daemon.
CLI_LAZILY = {
    "p2pmarket.backup",
    "p2pmarket.restore",
    "p2pmarket.keys",
    "p2pmarket.trade",
    "p2pmarket.messages",
    "p2pmarket.network",
}

# Where a fault of ours in one call must not end the daemon for all: logged with its trace, answered as such.
MAY_CATCH_ALL = {"p2pmarket.api.server.app"}

FUNCTION_LINES = 60
FILE_LINES = 400


@dataclass(frozen=True)
class Source:
    """One module: its dotted name, whether it is a package's __init__, and its text."""

    name: str
    text: str
    package: bool = False

    @property
    def tree(self) -> ast.Module:
        return parsed(self.text)


@dataclass(frozen=True)
class Import:
    """One imported module, made absolute; `lazy` inside a function, `typing` under TYPE_CHECKING."""

    target: str
    line: int
    lazy: bool
    typing: bool


@cache
def parsed(text: str) -> ast.Module:
    return ast.parse(text)


def sources_of(folder: Path, root_name: str) -> list[Source]:
    found = []
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        package = parts[-1] == "__init__"
        name = ".".join((root_name, *(parts[:-1] if package else parts)))
        found.append(Source(name, path.read_text(encoding="utf-8"), package))
    return found


@cache
def project() -> tuple[Source, ...]:
    return (*sources_of(ROOT / "p2pmarket", "p2pmarket"), *sources_of(ROOT / "cli", "p2pmarket_cli"))


@cache
def scripts() -> tuple[Source, ...]:
    return tuple(sources_of(ROOT / "scripts", "scripts"))


# Reading a module


def imports(source: Source, modules: frozenset[str]) -> list[Import]:
    """Every import of `source`; `from package import module` counts as an import of the module."""
    found: list[Import] = []

    def visit(node: ast.AST, lazy: bool, typing: bool) -> None:
        if isinstance(node, ast.Import):
            found.extend(Import(alias.name, node.lineno, lazy, typing) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = absolute(source, node)
            for alias in node.names:
                full = f"{base}.{alias.name}"
                found.append(Import(full if full in modules else base, node.lineno, lazy, typing))
        inside = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        checked = typing or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
        for child in ast.iter_child_nodes(node):
            visit(child, inside, checked)

    visit(source.tree, lazy=False, typing=False)
    return found


def absolute(source: Source, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = source.name.split(".")
    parts = parts[: len(parts) - node.level + source.package]
    return ".".join((*parts, *filter(None, [node.module])))


def within(name: str, layer: str) -> bool:
    return name == layer or name.startswith(layer + ".")


def layer_of(name: str) -> str | None:
    return max((layer for layer in ORDER if within(name, layer)), key=len, default=None)


def ours(name: str) -> bool:
    return name.split(".")[0] in {"p2pmarket", "p2pmarket_cli"}


def names_of(sources: Iterable[Source]) -> frozenset[str]:
    return frozenset(source.name for source in sources)


# The rules: each returns its violations


def every_module_has_a_layer(sources: Iterable[Source]) -> Iterator[str]:
    """Only the empty root may stand outside the order."""
    for source in sources:
        marker = source.package and all(isinstance(node, ast.Expr | ast.Assign) for node in source.tree.body)
        if layer_of(source.name) is None and not marker:
            yield f"{source.name}: is in no layer of ORDER"


def every_layer_exists(sources: Iterable[Source]) -> Iterator[str]:
    names = names_of(sources)
    yield from (f"{layer}: in ORDER, but there is no such module" for layer in ORDER if layer not in names)


def imports_point_down(sources: Iterable[Source]) -> Iterator[str]:
    sources = list(sources)
    modules = names_of(sources)
    for source in sources:
        own = layer_of(source.name)
        for use in imports(source, modules):
            target = layer_of(use.target)
            if own is None or target is None or target == own:
                continue
            if ORDER.index(target) > ORDER.index(own):
                yield f"{source.name}:{use.line}: imports {use.target}, a layer below its own"


def narrow_layers_stay_narrow(sources: Iterable[Source]) -> Iterator[str]:
    sources = list(sources)
    modules = names_of(sources)
    for source in sources:
        own = layer_of(source.name)
        allowed = SEES_ONLY.get(own or "")
        if own is None or allowed is None:
            continue
        for use in imports(source, modules):
            lazily = CLI_LAZILY if own == "p2pmarket_cli" and (use.lazy or use.typing) else set()
            if ours(use.target) and layer_of(use.target) not in {own, *allowed, *lazily}:
                if use.target == "p2pmarket":  # its version
                    continue
                yield f"{source.name}:{use.line}: imports {use.target}, which {own} must not see"


def no_cycles(sources: Iterable[Source]) -> Iterator[str]:
    sources = list(sources)
    modules = names_of(sources)
    graph = {
        source.name: {use.target for use in imports(source, modules) if not (use.typing or use.lazy)} & modules
        for source in sources
    }
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> Iterator[str]:
        if name in path:
            yield " -> ".join((*path[path.index(name) :], name)) + ": modules import each other in a circle"
        elif name not in done:
            for target in sorted(graph[name] - {name}):
                yield from visit(target, (*path, name))
            done.add(name)

    for name in sorted(graph):
        yield from visit(name, ())


def pure_is_pure(sources: Iterable[Source]) -> Iterator[str]:
    for source in sources:
        layer = layer_of(source.name)
        if layer not in PURE:
            continue
        allowed = PURE_MAY_ALSO.get(layer, set())
        for use in imports(source, frozenset()):
            top = use.target.split(".")[0]
            if top in IMPURE - allowed and not use.typing:
                yield f"{source.name}:{use.line}: imports {use.target}, but is pure: have it handed in"
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call) and (what := reads_the_world(node.func)):
                yield f"{source.name}:{node.lineno}: calls {what}, but is pure: have it handed in"


def reads_the_world(function: ast.expr) -> str | None:
    match function:
        case ast.Name(id="open" | "input" | "print" as name):
            return name
        case ast.Attribute(attr="now" | "utcnow" | "today" as name, value=ast.Name(id="datetime" | "date" as kind)):
            return f"{kind}.{name}"
        case ast.Attribute(attr="now" | "utcnow" | "today" as name, value=ast.Attribute(attr="datetime" | "date")):
            return f"datetime.{name}"
    return None


def owned_things_stay_with_owners(sources: Iterable[Source]) -> Iterator[str]:
    for source in sources:
        for use in imports(source, frozenset()):
            owners = OWNERS.get(use.target.split(".")[0])
            if owners and not use.typing and not any(within(source.name, owner) for owner in owners):
                yield f"{source.name}:{use.line}: imports {use.target}; only {', '.join(sorted(owners))} may"


def nothing_catches_all(sources: Iterable[Source]) -> Iterator[str]:
    for source in sources:
        if any(within(source.name, module) for module in MAY_CATCH_ALL):
            continue
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ExceptHandler) and catches_all(node.type) and not passes_on(node):
                yield f"{source.name}:{node.lineno}: catches everything; name the errors"


def catches_all(caught: ast.expr | None) -> bool:
    match caught:
        case None | ast.Name(id="Exception" | "BaseException"):
            return True
        case ast.Tuple(elts=parts):
            return any(catches_all(part) for part in parts)
    return False


def passes_on(handler: ast.ExceptHandler) -> bool:
    """Whether it only tidies up and raises the same error again."""
    match handler.body[-1]:
        case ast.Raise(exc=None):
            return True
    return False


def ignores_name_their_rule(sources: Iterable[Source]) -> Iterator[str]:
    for source in sources:
        for number, line in enumerate(source.text.splitlines(), 1):
            if re.search(r"#\s*(type:\s*ignore(?!\[)|noqa(?!:)|ruff:\s*noqa|mypy:\s*ignore)", line):
                yield f"{source.name}:{number}: a blanket ignore; name the rule"


def functions_are_short(sources: Iterable[Source]) -> Iterator[str]:
    for source in sources:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES:
                    yield f"{source.name}:{node.lineno}: {node.name} has {lines} lines, at most {FUNCTION_LINES}"


def files_are_short(sources: Iterable[Source]) -> Iterator[str]:
    for source in sources:
        lines = len(source.text.splitlines())
        if lines > FILE_LINES:
            yield f"{source.name}: has {lines} lines, at most {FILE_LINES}"


def packages_are_declared(sources: Iterable[Source], pyproject: str) -> Iterator[str]:
    """An undeclared package works in an editable install and is missing from the wheel."""
    declared = set(tomllib.loads(pyproject)["tool"]["setuptools"]["packages"])
    present = {source.name for source in sources if source.package}
    holding = {source.name.rpartition(".")[0] for source in sources if not source.package}
    yield from (f"{name}: not in pyproject.toml's packages" for name in sorted((present | holding) - declared))
    yield from (f"{name}: in pyproject.toml's packages, but has no __init__.py" for name in sorted(declared - present))


RULES: tuple[Callable[[Iterable[Source]], Iterator[str]], ...] = (
    every_module_has_a_layer,
    every_layer_exists,
    imports_point_down,
    narrow_layers_stay_narrow,
    no_cycles,
    pure_is_pure,
    owned_things_stay_with_owners,
    nothing_catches_all,
    ignores_name_their_rule,
    functions_are_short,
    files_are_short,
)


def report(violations: Iterable[str]) -> None:
    lines = list(violations)
    assert not lines, f"{len(lines)} violation(s)\n  " + "\n  ".join(lines)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_project_keeps(rule: Callable[[Iterable[Source]], Iterator[str]]) -> None:
    report(rule(project()))


def test_every_package_is_declared() -> None:
    report(packages_are_declared(project(), (ROOT / "pyproject.toml").read_text(encoding="utf-8")))


@pytest.mark.parametrize("rule", RULES[-3:], ids=lambda rule: rule.__name__)  # a fuzzer has to catch everything
def test_scripts_keep(rule: Callable[[Iterable[Source]], Iterator[str]]) -> None:
    report(rule(scripts()))
