"""A seller who has moved is called where he says; that he is looked for and found is in test_daemon_restore.py."""

from __future__ import annotations

from market_world import World

from p2pmarket.market.routes import addresses_of
from p2pmarket.network import DEV
from p2pmarket.records import Record


def test_a_newer_announcement_of_the_same_key_moves_a_seller(world: World) -> None:
    buyer, seller = world.buyer, world.seller
    request = buyer.request("2 pcs mug", sellers=[seller])
    link = (bytes(request.exchange_public or b""), seller.service.public)

    def follow(record: Record) -> bool:
        return buyer.run(lambda tx: buyer.buying.follow(tx, request.hash, record))

    def dialled() -> list[tuple[str, int]]:
        known = buyer.run(lambda tx: tx.outbox.correspondent(link))
        assert known is not None
        return addresses_of(known.routes, DEV)

    old = seller.record()
    here = dialled()
    world.clock.now += 10
    seller.address = ("127.0.0.1", 5999)
    moved = seller.record(seq=2)
    assert not follow(old)
    assert dialled() == here
    assert follow(moved)
    assert dialled() == [seller.address] != here
    assert not follow(moved)
    world.clock.now += 10
    assert not follow(world.rival.record())  # whom we did not ask
    assert dialled() == [seller.address]
