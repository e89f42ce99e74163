"""What others have made of all documents of a thread with one party, so that it need not be made again.

Rules: it is remembered until a document is added to the thread, or a work is undone. Of too much nothing is kept.
"""

from __future__ import annotations

MADE_THREADS = 64
MADE_BYTES = 64 * 1024  # of documents in one of them; others are made anew


class Made:
    """Values by thread (hash of the request) and party (identity)."""

    def __init__(self) -> None:
        self._made: dict[bytes, dict[bytes, object]] = {}
        self._begun = False

    def begin(self) -> None:
        """A work begins; before the first one nothing is remembered."""
        self._begun = True

    def get(self, thread: bytes, party: bytes) -> object:
        """What was made of the documents as they are, or None."""
        made = self._made.get(thread)
        return None if made is None else made.get(party)

    def keep(self, thread: bytes, party: bytes, made: object, size: int) -> None:
        """Remember what was made of documents of so many bytes."""
        if not self._begun or size > MADE_BYTES:
            return
        if sum(map(len, self._made.values())) >= MADE_THREADS:
            self.clear()
        self._made.setdefault(thread, {})[party] = made

    def drop(self, thread: bytes) -> None:
        """The thread has one more document."""
        self._made.pop(thread, None)

    def clear(self) -> None:
        """Remember nothing."""
        self._made.clear()
