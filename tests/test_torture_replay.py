"""Every message of a whole trade comes again, to the right and the wrong peers: nothing changes, the answers stay."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from torture_replay import Replay, Trade, torture

from p2pmarket.store.ledger import Documents
from p2pmarket.store.rows import Document


def test_a_whole_trade_comes_again(tmp_path: Path) -> None:
    figures = torture(tmp_path, 2, seed=1)
    assert figures["kinds_not_in_it"] == []
    assert (figures["state_changes"], figures["other_answers"]) == (0, 0)
    assert isinstance(figures["deliveries"], int)
    assert figures["deliveries"] > 500


def test_a_ledger_that_forgets_its_answers_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trade = Trade(tmp_path, monkeypatch)
    trade.make()
    replay = Replay(trade, Random(1))
    get = Documents.get

    def without_answer(documents: Documents, hash_: bytes) -> Document | None:
        found = get(documents, hash_)
        return None if found is None else found._replace(ack=None)

    with monkeypatch.context() as patches:
        patches.setattr(Documents, "get", without_answer)
        replay.round()
    trade.close()
    assert replay.counts["other_answers"] > 0
