"""The wall clock, in one place."""

from __future__ import annotations

import time


def wall() -> int:
    """UTC unix seconds."""
    return int(time.time())
