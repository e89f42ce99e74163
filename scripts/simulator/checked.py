"""Records that somebody in this world has checked: the signature of one envelope is worked out once, not by each node.

It is the same for everybody; a world of many holders would spend most of its time on it.
"""

from __future__ import annotations

from p2pmarket.dht.filing import record_untrusted
from p2pmarket.errors import BadMessage
from p2pmarket.network import Network
from p2pmarket.records import Record

KEPT = 100_000


class Checked:
    """Reads records as nodes do, but remembers the good ones."""

    def __init__(self) -> None:
        self._known: dict[bytes, Record] = {}

    def __call__(self, envelope: bytes, network: Network, wall: int) -> Record:
        """The record in `envelope`. Raises BadMessage."""
        record = self._known.get(envelope)
        if record is None:
            record = record_untrusted(envelope, network, wall)
            if len(self._known) >= KEPT:
                self._known.clear()
            self._known[envelope] = record
        elif record.announcement.expires <= wall:
            raise BadMessage("the record has expired")
        return record
