"""Papers that nobody acknowledged in time: which of them go out again, once their recipient is heard.

Rules. What was given up after a week is not over: an acceptance may have been among it, and then it stands on one side
only. So whatever is still of use goes out again, the same bytes, when its recipient is heard: by any document of his,
or a link with him. A request is of use until its reply-by only, and a receipt is made anew whenever its document comes
again. A note behind a request goes nowhere before the request. What its recipient has refused, or the user has called
back, stays where it is; and nobody is sent one paper for ever: `RESENDINGS` times a week is enough.
"""

from __future__ import annotations

from p2pmarket.limits import RESENDINGS
from p2pmarket.trade.documents import ACKNOWLEDGEMENT, REQUEST, Note, kind_of

NOTE = kind_of(Note)
NEVER = frozenset({REQUEST, ACKNOWLEDGEMENT})
UNTOLD = frozenset({"queued", "failed"})


def goes_again(kind: int, resent: int, request: str | None) -> bool:
    """Whether a paper that was given up goes out when its recipient is heard.

    `resent`: how often it has. `request`: how far the request of its thread has come to him, None if it is his own.
    """
    return resent < RESENDINGS and goes_along(kind, request)


def goes_along(kind: int, request: str | None) -> bool:
    """Whether it goes out before a new paper for the same recipient, which may rest on it."""
    return kind not in NEVER and not (kind == NOTE and request in UNTOLD)
