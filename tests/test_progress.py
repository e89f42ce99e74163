"""What the daemon does next about a paper on its way, and until when."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from market_world import World

from p2pmarket.market.progress import way_of
from p2pmarket.store import rows
from p2pmarket.store.outbox import CLOSED
from p2pmarket.vocab.deadlines import instant_text


@dataclass
class Post:
    """A courier as the views know it."""

    flying: set[bytes] = field(default_factory=set)
    again: int | None = None
    dialable: bool = True

    def in_flight(self, hash_: bytes, name: tuple[bytes, bytes]) -> bool:
        return hash_ in self.flying

    def next_try(self, name: tuple[bytes, bytes]) -> int | None:
        return self.again

    def can_call(self, routes: bytes) -> bool:
        return self.dialable


def outgoing(world: World) -> rows.Outgoing:
    request = world.buyer.request("3 beans", sellers=[world.seller])
    found = world.buyer.run(lambda tx: tx.outbox.of_document(request.hash, world.seller.public))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("post", "delivery", "then", "at"),
    [
        (Post(), "queued", "call", None),
        (Post(again=1_780_000_300), "queued", "call", 1_780_000_300),
        (Post(dialable=False), "queued", "their_call", None),
    ],
)
def test_what_waits(world: World, post: Post, delivery: str, then: str, at: int | None) -> None:
    sent = outgoing(world)
    way = world.buyer.run(lambda tx: way_of(post, tx, sent))
    assert (way.delivery, way.next, way.next_try_at) == (delivery, then, instant_text(at) if at else None)
    assert way.gives_up_at == instant_text(sent.until)


def test_what_is_out_waits_for_its_receipt_and_what_is_over_for_nothing(world: World) -> None:
    sent = outgoing(world)
    way = world.buyer.run(lambda tx: way_of(Post({sent.hash}), tx, sent))
    assert (way.delivery, way.next) == ("sent", "acknowledgement")
    for state in ("delivered", "seen", "failed"):
        over = sent._replace(state=state, reason=CLOSED if state == "failed" else None)
        way = world.buyer.run(lambda tx, over=over: way_of(Post(), tx, over))  # type: ignore[misc]
        assert (way.delivery, way.next, way.next_try_at, way.gives_up_at) == (state, None, None, None)
        assert (way.reason is not None) == (state == "failed")
