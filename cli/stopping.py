"""SIGTERM taken as Ctrl-C, so that a command that is timed out from outside still says how to come back."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

TERMINATED = 128 + signal.SIGTERM


@dataclass(slots=True)
class Stopped:
    """Whether SIGTERM has come."""

    by_sigterm: bool = False


@contextmanager
def sigterm_interrupts() -> Iterator[Stopped]:
    """While this lasts, SIGTERM raises KeyboardInterrupt; outside the main thread, which alone has signals, nothing."""
    stopped = Stopped()

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        stopped.by_sigterm = True
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGTERM, before)
