"""What tells values apart: so nothing but their marks has to be brought back to the runner."""

from __future__ import annotations

import hashlib

MARK_BYTES = 16


def mark(value: bytes) -> str:
    """The mark of a value, in hexadecimal."""
    return hashlib.sha256(value).hexdigest()[: 2 * MARK_BYTES]
