"""Fixtures of several files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fulfil_world import Deal
    from market_world import World


@pytest.fixture
def deal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deal]:
    """An order accepted by itself, as both sides know."""
    from fulfil_world import ordered  # here: this file is loaded for every test, also where the market cannot be

    made = ordered(tmp_path, monkeypatch)
    assert made.states() == ("agreed", "due")
    yield made
    made.world.close()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A buyer and two sellers with real ledgers."""
    from market_world import new_world  # here, as above

    made = new_world(tmp_path, monkeypatch)
    yield made
    made.close()
