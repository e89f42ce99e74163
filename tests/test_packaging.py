"""What is installed is what was written: a wheel, built from a copy of the tree and installed into a fresh environment.

The copy matters: setuptools reuses a `build` folder and would pack modules that are long gone. The fresh environment
sees the dependencies of this one through a path file, but not its editable install: path files of a folder that a
path file names are not read. So a module or data file that the wheel lacks is missing here, and no index is asked.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TREE = ("p2pmarket", "cli", "pyproject.toml", "README.md", "LICENSE", "bootstrap_nodes.txt")
LOCKS = ("requirements.lock", "requirements-dev.lock")


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tree")
    for name in TREE:
        source = ROOT / name
        if source.is_dir():
            leave = shutil.ignore_patterns("__pycache__", "*.pyc")
            shutil.copytree(source, folder / name, symlinks=True, ignore=leave)
        else:
            shutil.copy(source, folder / name)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", "--wheel-dir", "out", ".", cwd=folder)
    (built,) = (folder / "out").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of an environment that holds the wheel, and the dependencies of this one."""
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", "--without-pip", "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "--python", python, "install", "-q", "--no-deps", "--no-index", wheel, cwd=folder)
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return python.parent


def test_the_wheel_holds_the_two_packages_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"p2pmarket", "p2pmarket_cli", f"p2pmarket-{PROJECT['version']}.dist-info"}
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_every_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    wanted = set()
    for folder, name in ((ROOT / "p2pmarket", "p2pmarket"), (ROOT / "cli", "p2pmarket_cli")):
        for path in folder.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                wanted.add(f"{name}/{path.relative_to(folder).as_posix()}")
    assert sorted(wanted - packed) == []
    assert {"p2pmarket/py.typed", "p2pmarket_cli/py.typed", "p2pmarket/bootstrap_nodes.txt"} <= packed


def test_every_module_can_be_imported_where_it_is_installed(installed: Path, tmp_path: Path) -> None:
    code = (
        "import importlib, pkgutil, p2pmarket, p2pmarket_cli, sys\n"
        "assert p2pmarket.__file__.startswith(sys.prefix), p2pmarket.__file__\n"
        "for package in (p2pmarket, p2pmarket_cli):\n"
        "    for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        if not module.name.endswith('__main__'):\n"
        "            importlib.import_module(module.name); print(module.name)\n"
    )
    assert "p2pmarket.errors" in run(installed / "python", "-c", code, cwd=tmp_path).split()


def test_the_bootstrap_list_arrives_as_a_file(installed: Path, tmp_path: Path) -> None:
    code = (
        "from importlib.resources import files\n"
        "print(files('p2pmarket').joinpath('bootstrap_nodes.txt').read_text(encoding='utf-8'), end='')"
    )
    assert run(installed / "python", "-c", code, cwd=tmp_path) == (ROOT / "bootstrap_nodes.txt").read_text("utf-8")


def test_the_commands_run_where_they_are_installed(installed: Path, tmp_path: Path) -> None:
    assert PROJECT["version"] in run(installed / "market", "--version", cwd=tmp_path)
    assert "--home" in run(installed / "marketd", "--help", cwd=tmp_path)
    assert "request" in run(installed / "market", "--help", cwd=tmp_path)


# The locks


def pins(name: str) -> dict[str, str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return {canonicalize_name(match[1]): match[2] for match in re.finditer(r"(?m)^([A-Za-z0-9._-]+)==(\S+)", text)}


def needed(requirements: list[str]) -> set[str]:
    """The names that `requirements` need on this machine, by what is installed, each checked against its range."""
    found: set[str] = set()
    todo = [Requirement(text) for text in requirements]
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        assert requirement.specifier.contains(metadata.version(name)), f"{requirement} against what is installed"
        if name not in found:
            found.add(name)
            todo.extend(Requirement(text) for text in metadata.requires(name) or [])
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_pins_by_hash_and_names_no_index(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert re.findall(r"(?m)^\s*-(?!-hash).*|.*://.*", text.replace("#   -c requirements.lock", "")) == []
    entries = re.split(r"(?m)^(?=[A-Za-z0-9])", re.sub(r"(?m)^\s*#.*\n", "", text))[1:]
    assert len(entries) > 10
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_the_locks_hold_all_that_is_needed_and_what_is_installed() -> None:
    runtime, development = pins("requirements.lock"), pins("requirements-dev.lock")
    wanted = needed(PROJECT["dependencies"])
    assert wanted <= set(runtime)
    assert wanted | needed(PROJECT["optional-dependencies"]["dev"]) <= set(development)
    assert runtime.items() <= development.items()
    assert {name: metadata.version(name) for name in wanted} == {name: runtime[name] for name in wanted}
    assert "setuptools" in development
