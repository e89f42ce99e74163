"""A full disk: said clearly, nothing lost, and it goes on by itself. Real daemons on a small tmpfs; needs root."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from torture_diskfull import FAULTS, may_mount

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "torture_diskfull.py"


@pytest.mark.skipif(not may_mount(), reason="no tmpfs may be mounted here")
def test_daemons_outlive_a_full_disk() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--cycles", "3", "--json"], capture_output=True, timeout=120)
    assert done.stdout, done.stderr.decode()
    figures = json.loads(done.stdout.splitlines()[-1])
    assert {name: figures[name] for name in FAULTS} == dict.fromkeys(FAULTS, 0), done.stderr.decode()
    assert done.returncode == 0
    assert figures["told"] > 0
    assert figures["trades"] > 0
