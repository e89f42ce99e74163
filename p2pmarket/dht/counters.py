"""What a node counts, above all what it dropped and why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Totals since the start of the node."""

    received: int = 0  # datagrams
    sent: int = 0
    asked: int = 0  # requests sent
    answers: int = 0  # answers that counted
    served: int = 0  # requests answered
    timeouts: int = 0  # requests without an answer
    rate_limited: int = 0  # datagrams of a group that asks too often
    bad: int = 0  # datagrams or messages that are not what they should be
    unknown: int = 0  # messages of numbers unknown here
    unusable: int = 0  # datagrams without a message: stale, replayed, handshakes, cookies
    unsolicited: int = 0  # answers to nothing that we asked there
    unproven: int = 0  # requests that need a proven address, without one
    misplaced: int = 0  # messages that do not belong into a datagram
    bad_records: int = 0  # records in answers that do not hold or belong elsewhere
    not_asked: int = 0  # requests not sent because too many are under way
    not_sent: int = 0  # datagrams dropped because too many wait
