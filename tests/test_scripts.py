"""The scripts that people and CI call: they can be run, and say clearly what is wrong."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PLAIN = [path for path in sorted((ROOT / "scripts").iterdir()) if path.is_file() and not path.suffix]
SCRIPTS = [*PLAIN, ROOT / ".ci/run"]


def run(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(ROOT / script), *arguments]
    variables = {**os.environ, **environment}
    return subprocess.run(command, env=variables, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_can_be_run_from_anywhere_by_a_plain_shell(script: Path) -> None:
    assert os.access(script, os.X_OK)
    text = script.read_text(encoding="utf-8")
    assert text.startswith("#!/bin/sh\n")
    assert "set -eu" in text
    assert 'cd "$(dirname "$0")/.."' in text
    assert subprocess.run(["sh", "-n", str(script)], check=False).returncode == 0


def test_all_promised_scripts_are_there() -> None:
    names = {script.name for script in SCRIPTS}
    assert {"venv", "test", "check", "demo", "bench", "sim", "torture", "lock", "run"} <= names


def test_ci_runs_what_a_person_runs() -> None:
    assert "exec scripts/check" in (ROOT / ".ci/run").read_text(encoding="utf-8")


def test_venv_without_a_usable_python_says_what_is_needed(tmp_path: Path) -> None:
    done = run("scripts/venv", PYTHON="false no-such-python", P2PMARKET_VENV=str(tmp_path / "venv"))
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Python 3.11 or newer" in done.stderr
    assert "hint:" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_venv_that_is_up_to_date_is_left_alone(tmp_path: Path) -> None:
    files = [str(ROOT / "requirements-dev.lock"), str(ROOT / "pyproject.toml")]
    joined = b"".join(Path(file).read_bytes() for file in files)
    stamp = subprocess.run(["cksum"], input=joined, capture_output=True, check=True).stdout.decode()
    (tmp_path / "p2pmarket.stamp").write_text(stamp, encoding="ascii")
    done = run("scripts/venv", PYTHON="false", P2PMARKET_VENV=str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("arguments", [(), ("no-such-benchmark",)])
def test_bench_lists_what_there_is(arguments: tuple[str, ...]) -> None:
    done = run("scripts/bench", *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert {"cli", "lookup", "request"} <= set(done.stderr.replace(":", " ").split())
