"""Spoil the checks of a receiver in every small way, and see whether a test notices: scripts/torture mutation [--json].

Each mutant is one change of one function in p2pmarket/trade/check*.py: another comparison, `and` for `or`, a number one
more, a statement left out, a condition always true or false, a copied field no longer compared, another reason. It runs
in a process forked from one that has collected the tests and loaded everything, with the new code put in place of the
old in the function itself, until a test fails. `score` is the share of mutants that were found, in percent; those that
were not are listed. `SAME` names the changes that change nothing, with the reason: they count as neither. Words for
people (texts with spaces) are not mutated. Exit code 1 below --least (95).
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import importlib
import io
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
TRADE = ROOT / "p2pmarket" / "trade"
MODULES = sorted(path.stem for path in TRADE.glob("check*.py"))
TESTS = [
    f"test_trade_{name}.py"
    for name in (
        *"check_mutants check_bills check check_fields deal_fields".split(),
        *"billing deal settlement thread quoting whole".split(),
    )
]
MUTANT_SECONDS = 30  # of CPU time; one that runs in circles is found then
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
# The kind of a mutant (its name without the line) -> why it cannot be told from the original.
SAME = {
    "check._follows if quote.answers is not None: True": "nothing has the hash None",
    "check.check_request request.identity is not None and request.identity_signature is not None: Or": "both or none",
    "check_talk.check_note note.identity is not None and note.identity_signature is not None: Or": "both or none",
    "check_agreement.fits 'lines': another": "where no contract fits each has a reason",
    "check_bill._pays_part 0: 1": "asked only of payments that have an instalment",
    "checking.answers_lines 0: 1": "asked only of lines that answer one",
    "check_quarrel.check_rating without: from_party(thread, opened, rating.deal)": "sides are checked again at the end",
}

Change = Callable[[Any], object]  # of a node of the kind that it was made for


@dataclass(frozen=True)
class Mutant:
    """One changed function: the module, the function's name, where and what was changed, and its new code."""

    module: str
    function: str
    line: int
    what: str
    code: CodeType

    @property
    def name(self) -> str:
        return f"{self.module}.{self.function}:{self.line} {self.what}"

    @property
    def kind(self) -> str:
        """The name without the line, which moves."""
        return f"{self.module}.{self.function} {self.what}"


def mutants_of(module: ModuleType) -> Iterator[Mutant]:
    """Every mutant of a module's functions that differs from them."""
    assert module.__file__ is not None
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef):
            continue
        before = _code_of(node)
        for line, what, changed in _changed(node):
            code = _code_of(changed)
            if (code.co_code, code.co_consts, code.co_names) != (before.co_code, before.co_consts, before.co_names):
                yield Mutant(module.__name__.rpartition(".")[2], node.name, line, what, code)


def _code_of(function: ast.FunctionDef) -> CodeType:
    """The code of a function alone, with its annotations evaluated never."""
    future = ast.ImportFrom("__future__", [ast.alias("annotations")], 0)
    module = ast.fix_missing_locations(ast.Module([future, function], []))
    found = [const for const in compile(module, "<mutant>", "exec").co_consts if isinstance(const, CodeType)]
    return next(code for code in found if code.co_name == function.name)


def _changed(function: ast.FunctionDef) -> Iterator[tuple[int, str, ast.FunctionDef]]:
    """Copies of a function, each with one change."""
    for place, node in enumerate(ast.walk(function)):
        for what, change in _changes(node):
            spoiled = copy.deepcopy(function)
            change(list(ast.walk(spoiled))[place])
            yield getattr(node, "lineno", function.lineno), what, spoiled


def _changes(node: ast.AST) -> Iterator[tuple[str, Change]]:
    """What can be done to one node, in words and as a function that does it to a copy."""
    if isinstance(node, ast.Compare):
        yield from _of_comparison(node)
    elif isinstance(node, ast.BoolOp | ast.BinOp) and type(node.op) in SWAPS:
        new = SWAPS[type(node.op)]
        yield f"{_text(node)}: {new.__name__}", _setting("op", new())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield f"{_text(node)}: without not", _negate_again
    elif isinstance(node, ast.Constant):
        yield from _of_constant(node)
    elif isinstance(node, ast.If | ast.IfExp | ast.While):
        for value in (True, False):
            yield f"if {_text(node.test)}: {value}", _setting("test", ast.Constant(value))
    elif isinstance(node, ast.comprehension):
        for number, test in enumerate(node.ifs):
            yield f"for ... if {_text(test)}: without", partial(_drop, ("ifs",), number)
    if isinstance(body := getattr(node, "body", None), list):
        yield from _of_body(body)


def _of_comparison(node: ast.Compare) -> Iterator[tuple[str, Change]]:
    for number, operator in enumerate(node.ops):
        new = SWAPS[type(operator)]
        yield f"{_text(node)}: {type(operator).__name__} -> {new.__name__}", partial(_put, "ops", number, new())
    left, right = node.left, node.comparators[0]
    if isinstance(left, ast.Tuple) and isinstance(right, ast.Tuple) and len(left.elts) == len(right.elts):
        for number, element in enumerate(left.elts):
            yield f"{_text(node)}: without {_text(element)}", partial(_drop_element, number)


def _of_constant(node: ast.Constant) -> Iterator[tuple[str, Change]]:
    value = node.value
    if isinstance(value, bool):
        yield f"{value}: {not value}", _setting("value", not value)
    elif isinstance(value, int):
        yield f"{value}: {value + 1}", _setting("value", value + 1)
    elif isinstance(value, str) and value and " " not in value:
        yield f"{value!r}: another", _setting("value", f"{value}_")


def _of_body(body: list[ast.stmt]) -> Iterator[tuple[str, Change]]:
    """Statements left out."""
    for number, statement in enumerate(body):
        is_docstring = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        if isinstance(statement, ast.Expr | ast.Raise | ast.Return | ast.For | ast.AugAssign) and not is_docstring:
            yield f"without: {_text(statement)}", partial(_put, "body", number, ast.Pass())
        elif isinstance(statement, ast.Continue):
            yield "continue: break", partial(_put, "body", number, ast.Break())


# What is done to a copy of a node


def _setting(name: str, value: object) -> Change:
    return lambda at: setattr(at, name, value)


def _put(name: str, number: int, new: ast.AST, at: Any) -> None:
    getattr(at, name)[number] = new


def _drop(names: Iterable[str], number: int, at: Any) -> None:
    for name in names:
        getattr(at, name).pop(number)


def _drop_element(number: int, at: Any) -> None:
    """Of both tuples of a comparison."""
    for side in (at.left, at.comparators[0]):
        _drop(("elts",), number, side)


def _negate_again(at: Any) -> None:
    at.operand = ast.UnaryOp(ast.Not(), at.operand)


def _text(node: ast.AST) -> str:
    return " ".join(ast.unparse(node).split())[:100]


class Mutation:
    """A plugin of pytest that runs the collected tests against one mutant after another."""

    def __init__(self, mutants: list[Mutant], jobs: int) -> None:
        self._mutants, self._jobs = mutants, jobs
        self.survivors: list[Mutant] = []
        self.whole = False

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Instead of running the tests once."""
        self.whole = self._outcome(self._fork(session, None)) == 0
        if not self.whole:
            return True
        running: dict[int, Mutant] = {}
        for number, mutant in enumerate(self._mutants):
            if len(running) == self._jobs:
                self._reap(running)
            running[self._fork(session, mutant)] = mutant
            if number % 50 == 0:
                print(f"{number}/{len(self._mutants)}, {len(self.survivors)} survive", file=sys.__stderr__, flush=True)
        while running:
            self._reap(running)
        return True

    def _reap(self, running: dict[int, Mutant]) -> None:
        pid, status = os.wait()
        mutant = running.pop(pid)
        if status == 0:
            self.survivors.append(mutant)

    def _outcome(self, pid: int) -> int:
        return os.waitpid(pid, 0)[1]

    def _fork(self, session: pytest.Session, mutant: Mutant | None) -> int:
        pid = os.fork()
        if pid == 0:
            signal.setitimer(signal.ITIMER_PROF, MUTANT_SECONDS)
            if mutant is not None:
                put_in_place(mutant)
            os._exit(_run(session))
        return pid


def put_in_place(mutant: Mutant) -> None:
    """Everyone who has imported the function runs the mutant from now on."""
    function = getattr(importlib.import_module(f"p2pmarket.trade.{mutant.module}"), mutant.function)
    assert isinstance(function, FunctionType)
    function.__code__ = mutant.code


def _run(session: pytest.Session) -> int:
    """0 if all tests pass, 1 at the first that fails."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        for number, item in enumerate(session.items):
            after = session.items[number + 1] if number + 1 < len(session.items) else None
            session.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
            if session.testsfailed:
                return 1
    return 0


def measure(jobs: int, only: str = "", again: Collection[str] = ()) -> dict[str, object]:
    """Run all mutants, or those of the kinds in `again`; the figures."""
    began = time.monotonic()
    sys.path.insert(0, str(ROOT / "tests"))
    modules = [importlib.import_module(f"p2pmarket.trade.{name}") for name in MODULES]
    made = [mutant for module in modules for mutant in mutants_of(module) if only in mutant.name]
    made = [mutant for mutant in made if not again or mutant.kind in again]
    mutants = [mutant for mutant in made if mutant.kind not in SAME]
    mutation = Mutation(mutants, jobs)
    settings.register_profile("mutation", derandomize=True, database=None)  # the same examples for every mutant
    settings.load_profile("mutation")
    with contextlib.redirect_stdout(io.StringIO()):
        tests = [str(ROOT / "tests" / name) for name in TESTS]
        pytest.main(["-q", "-p", "no:cacheprovider", *tests], plugins=[mutation])
    if not mutation.whole:
        raise SystemExit("torture: the tests fail without any mutant")
    found = len(mutants) - len(mutation.survivors)
    return {
        "mutants": len(mutants),
        "found": found,
        "score": round(100 * found / max(1, len(mutants)), 1),
        "same": len(made) - len(mutants),
        "survivors": sorted(mutant.name for mutant in mutation.survivors),
        "seconds": round(time.monotonic() - began, 1),
    }


def main() -> int:
    """Print the survivors and the figures, or one line of JSON."""
    parser = argparse.ArgumentParser(prog="scripts/torture mutation", description=__doc__)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="mutants at once")
    parser.add_argument("--only", default="", help="mutants whose name (module.function:line what) has this in it")
    parser.add_argument("--again", type=Path, help="only the survivors that an earlier run has listed in this file")
    parser.add_argument("--least", type=float, default=95.0, help="the score below which it ends with 1")
    parser.add_argument("--json", action="store_true", help="one flat JSON object on the last line")
    asked = parser.parse_args()
    again = asked.again.read_text(encoding="utf-8").splitlines() if asked.again else []
    figures = measure(asked.jobs, asked.only, {re.sub(r":\d+ ", " ", line, count=1) for line in again})
    if asked.json:
        print(json.dumps(figures))
    else:
        survivors = figures.pop("survivors")
        assert isinstance(survivors, list)
        print("\n".join(survivors))
        print("\n".join(f"{name:24} {value}" for name, value in figures.items()))
        figures["survivors"] = survivors
    return int(float(str(figures["score"])) < asked.least)


if __name__ == "__main__":
    sys.exit(main())
