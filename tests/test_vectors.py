"""The published examples of ratings and of evidence, good and bad: each says what any implementation must say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from p2pmarket import keys
from p2pmarket.dht.filing import rating_topics, record_untrusted
from p2pmarket.errors import BadInput, BadMessage
from p2pmarket.network import TEST, network_named
from p2pmarket.trade.documents import Rating
from p2pmarket.trade.evidence import deal_untrusted, equivocation_untrusted, verify_bundle
from p2pmarket.trade.ratings import rating_untrusted, stars_of, stars_text

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "vectors"
RATINGS: list[dict[str, Any]] = json.loads((FOLDER / "ratings.json").read_text(encoding="utf-8"))["ratings"]
FILES: list[dict[str, Any]] = json.loads((FOLDER / "evidence.json").read_text(encoding="utf-8"))["files"]


@pytest.mark.parametrize("one", RATINGS, ids=lambda one: one["name"])
def test_ratings(one: dict[str, Any]) -> None:
    envelope, network = bytes.fromhex(one["envelope"]), network_named(one["network"])
    if not one["good"]:
        for reader in (rating_untrusted, record_untrusted):
            with pytest.raises(BadMessage):
                reader(envelope, network, one["wall"])
        return
    opened = rating_untrusted(envelope, network, one["wall"])
    rating = opened.document
    assert isinstance(rating, Rating)
    assert (opened.signer.hex(), opened.recipient.hex(), opened.hash.hex()) == (one["rater"], one["rated"], one["hash"])
    assert (rating.version, rating.issued_at, stars_text(stars_of(rating.aspects))) == (
        one["version"],
        one["issued"],
        one["stars"],
    )
    assert bytes.fromhex(one["topic"]) in rating_topics(network, opened.recipient, one["topic_wall"])
    assert record_untrusted(envelope, network, one["wall"]).signer == opened.signer


def text_of(one: dict[str, Any]) -> bytes:
    if "file" in one:
        return str(one["file"]).encode()
    text = next(other["file"] for other in FILES if other["name"] == one["of"])
    for before, after in one["replace"]:
        assert before in text
        text = text.replace(before, after, 1)
    return str(text).encode()


@pytest.mark.parametrize("one", FILES, ids=lambda one: one["name"])
def test_evidence(one: dict[str, Any]) -> None:
    data = text_of(one)
    verdict = verify_bundle(data)
    assert verdict.ok is one["good"]
    if not verdict.ok:
        assert verdict.problems
        for reader in (deal_untrusted, equivocation_untrusted):
            with pytest.raises(BadInput):
                reader(data, TEST)
        return
    assert dict(verdict.parties) == one["parties"]
    if verdict.summary is None:
        first, second = equivocation_untrusted(data, TEST)
        assert {keys.did_key(first.signer), keys.did_key(second.signer)} == set(one["parties"].values())
        return
    assert (verdict.summary.state, verdict.total) == (one["state"], one["total"])
    assert [entry.kind for entry in verdict.history] == one["history"]
    assert deal_untrusted(data, TEST)[0].documents


def test_there_are_good_and_bad_ones_of_both() -> None:
    for all_ in (RATINGS, FILES):
        assert {one["good"] for one in all_} == {True, False}
        assert len({one["name"] for one in all_}) == len(all_)


def test_every_file_of_vectors_is_named() -> None:
    told = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert [file.name for file in FOLDER.glob("*.json") if f"| `{file.name}` |" not in told] == []
