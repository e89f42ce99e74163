"""What the papers say of the code is so: limits with their values, links, files and commands named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from p2pmarket import limits

ROOT = Path(__file__).resolve().parent.parent
PAPERS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
UNITS = {"KIB", "MINUTE", "HOUR", "DAY"}


def constants() -> dict[str, float]:
    values = {name: value for name, value in vars(limits).items() if name.isupper() and name not in UNITS}
    return {name: value for name, value in values.items() if isinstance(value, int | float)}


def documented(text: str) -> dict[str, float]:
    rows = re.findall(r"(?m)^\| `([A-Z0-9_]+)` \| ([\d,.]+) \| (.*) \|$", text)
    assert all(remark.strip() for _, _, remark in rows), "a limit without a remark"
    return {name: float(value.replace(",", "")) for name, value, _ in rows}


def test_every_limit_is_in_the_paper_on_threats_with_its_value() -> None:
    written = documented((ROOT / "docs" / "threats.md").read_text(encoding="utf-8"))
    real = constants()
    assert len(real) > 50
    assert sorted(real.keys() - written.keys()) == [], "limits that docs/threats.md does not name"
    assert sorted(written.keys() - real.keys()) == [], "limits of docs/threats.md that are gone"
    wrong = [(name, written[name], value) for name, value in real.items() if written[name] != value]
    assert wrong == [], "limits whose value in docs/threats.md is not that of the code"


@pytest.mark.parametrize("paper", PAPERS, ids=lambda path: path.name)
def test_links_lead_somewhere(paper: Path) -> None:
    text = paper.read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", text)
    assert [target for target in targets if not (paper.parent / target).exists()] == []


@pytest.mark.parametrize("paper", PAPERS, ids=lambda path: path.name)
def test_files_named_are_there(paper: Path) -> None:
    named = re.findall(r"`((?:p2pmarket|cli|tests|docs|scripts)/[\w./-]+?)/?[` ]", paper.read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_first_screen_of_the_readme_has_the_two_commands() -> None:
    first = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:24]
    assert any(line.startswith("$ marketd") for line in first)
    assert any(line.startswith("$ market request") for line in first)


def test_every_dependency_has_its_reason() -> None:
    text = (ROOT / "docs" / "rationale.md").read_text(encoding="utf-8")
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    names = re.findall(r'(?m)^    "([a-z0-9-]+)[>=<]', project)
    assert len(names) > 10
    rows = " ".join(re.findall(r"(?m)^\| ([^|]+) \|", text)).replace(",", " ").split()
    assert [name for name in names if name not in rows] == []
