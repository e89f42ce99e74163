"""The clock of the person at the terminal: only the shell of a command asks for it."""

from __future__ import annotations

import time


def utc_offset() -> int:
    """Seconds east of UTC, now, on this machine: what `fri 18:00` needs to be understood."""
    return time.localtime().tm_gmtoff


def seconds(text: str | None, *, longest: int = 366 * 86400) -> int | None:
    """A length of time as typed, `90s`, `10m`, `2h`; None stays None; raises BadInput."""
    if text is None:
        return None
    from p2pmarket.vocab.deadlines import parse_duration

    return parse_duration(text, longest)
