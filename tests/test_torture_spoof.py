"""Spoofed datagrams bring nothing to an address that did not prove itself: the parts of scripts/torture spoof."""

from __future__ import annotations

from functools import partial

import pytest
import torture_spoof
from torture_spoof import Outcome, Spoofed

PARTS = {part.__name__: part for part in torture_spoof.PARTS}
# The script sends 770,000 forms, and calls of every length.
PARTS = {**PARTS, "calls": partial(torture_spoof.calls, step=7)}
del PARTS["forms"]
ANSWERED = {"calls": 300, "again": 20, "pressed": 1100}  # at least: a node that is deaf would pass otherwise


def harmless(outcome: Outcome) -> bool:
    return outcome.longer == outcome.more == outcome.late == 0


@pytest.mark.parametrize("name", PARTS)
def test_nothing_longer_and_no_more_than_one_comes_back(name: str) -> None:
    spoofed = Spoofed(1)
    spoofed.run(name, PARTS[name](spoofed))
    outcome = spoofed.outcome
    assert harmless(outcome), outcome.worst
    assert outcome.replies >= ANSWERED.get(name, 0)
    if name not in ANSWERED:
        assert outcome.replies == 0


def test_a_node_that_answers_at_length_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    spoofed = Spoofed(1)
    call, address = next(torture_spoof.again(spoofed))
    real = spoofed.node.datagrams_to_send
    monkeypatch.setattr(spoofed.node, "datagrams_to_send", lambda now: [(d + d, to) for d, to in real(now)] * 2)
    spoofed.run("again", iter([(call, address)]))
    assert (spoofed.outcome.longer, spoofed.outcome.more) == (1, 1)
