"""Ring a person: the terminal's bell and the desktop's notification.

Rules. No shell, and no text of a peer as an option: what `notify-send` gets comes after `--`, made safe and cut, and
with markup characters taken out, for notification servers read their body as markup. A desktop that is not there is
no error: the bell and the line remain.
"""

from __future__ import annotations

import shutil
import subprocess
import sys

from .safe import safe

RINGING = frozenset({"request.received", "order.received", "counter.received", "note.received", "order.amended"})
SECONDS = 5  # a notification server that hangs must not hold up the events


def ring(title: str, body: str) -> None:
    """Bell on stderr if that is a terminal, and a notification if there is a desktop."""
    if sys.stderr.isatty():
        sys.stderr.write("\a")
        sys.stderr.flush()
    program = shutil.which("notify-send")
    if program is None:
        return
    words = [_no_markup(title, 80), _no_markup(body, 200)]
    try:
        subprocess.run(
            [program, "--app-name=market", "--", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return


def _no_markup(text: str, width: int) -> str:
    return safe(text.translate({ord("<"): "(", ord(">"): ")", ord("&"): "+"}), width)
