"""Which packet numbers of a session were seen: each is taken once, and old ones not at all (RFC 6479's purpose).

Only packets that decrypted are entered, so nobody else can move the window.
"""

from __future__ import annotations

from p2pmarket import limits

_MASK = (1 << limits.REPLAY_WINDOW) - 1


class ReplayWindow:
    """The newest number seen and a bit for each of the `limits.REPLAY_WINDOW` numbers up to it."""

    __slots__ = ("_bits", "_newest")

    def __init__(self) -> None:
        """Nothing seen."""
        self._newest = -1
        self._bits = 0  # bit i: number newest - i was seen

    def is_new(self, number: int) -> bool:
        """Whether a packet of this number may be taken."""
        behind = self._newest - number
        return behind < 0 or (behind < limits.REPLAY_WINDOW and not self._bits >> behind & 1)

    def enter(self, number: int) -> None:
        """Mark a number that is new as seen."""
        behind = self._newest - number
        if behind >= 0:
            self._bits |= 1 << behind
            return
        # A shift by a number from outside must not make an integer of that many bits.
        self._bits = (self._bits << -behind & _MASK if -behind < limits.REPLAY_WINDOW else 0) | 1
        self._newest = number
