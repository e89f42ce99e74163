"""Moving to another machine: real daemons, a backup with deals in flight, and two machines under one identity."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from daemons import Market, Peer, a_market, free_port, market, until

PRICES = b"code,description,unit,price,per,currency\nYIR,Yirgacheffe,KGM,15.50,1,EUR\n"


@pytest.fixture
def net() -> Iterator[Market]:
    with a_market("seller", "buyer") as net:
        net["seller"].ask("prices", "import", "-", stdin=PRICES)
        net["seller"].announce("coffee/roasted", "world")
        yield net


def bought(buyer: Peer, amount: str, *more: str) -> str:
    """A deal that both have; its id."""
    report = buyer.ask("request", "coffee/roasted", f"{amount} kg Yirgacheffe", "--quotes", "1", *more)
    order = buyer.ask("order", report["quotes"][0]["id"])["order"]
    buyer.settled(order["id"], "agreed")
    return str(order["deal"])


def moved(peer: Peer, backup: Path, *more: str, keep: bool = False) -> None:
    """The peer's home made anew from a backup, as on another machine; the old one is kept aside if wanted.

    `more`: flags of the daemon there.
    """
    peer.daemon.stop()
    if keep:
        shutil.copytree(peer.home, peer.home.with_suffix(".old"))
    shutil.rmtree(peer.home)
    said = market("restore", str(backup), "--json", home=peer.home)
    assert said.code == 0, said.err
    peer.start(*more)


def proved(peer: Peer, deal: str, folder: Path) -> Any:
    """What anyone learns from the file that a side exports."""
    path = folder / f"{peer.daemon.name}-{deal}.json"
    path.write_bytes(peer.client.export(deal).data)
    checked = peer.ask("verify", str(path))
    return checked["ok"], checked["summary"]


def problems(peer: Peer) -> list[str]:
    return [problem.code for problem in peer.client.status().problems]


def is_stopped(peer: Peer, *first: str) -> bool:
    """Whether it signs nothing more, once it has carried out the command given."""
    if first:
        peer.market(*first)
    return "two_machines" in problems(peer)


@pytest.mark.parametrize("one_link", [False, True])
def test_a_seller_moves_with_deals_in_flight_and_gets_back_what_the_backup_lacks(
    net: Market, tmp_path: Path, one_link: bool
) -> None:
    seller, buyer = net["seller"], net["buyer"]
    to = ("--to", "Roaster") if one_link else ()
    if one_link:
        buyer.ask("request", "coffee/roasted", "1 kg Yirgacheffe", "--quotes", "1")
        buyer.ask("contacts", "add", seller.client.identity().identity, "Roaster")
    before = bought(buyer, "3", *to)
    backup = tmp_path / "shop.backup"
    made = seller.ask("backup", str(backup), "--plain")
    assert made["bytes"] == backup.stat().st_size
    assert backup.stat().st_mode & 0o777 == 0o600
    assert list(seller.home.glob("backup-*")) == []

    after = bought(buyer, "5", *to)  # the backup knows nothing of it, nor of the request
    identity = seller.client.identity().identity
    moved(seller, backup)
    assert seller.client.identity().identity == identity
    shown = seller.ask("show", before)
    assert shown["deal"]["state"] == "agreed"
    buyer.ask("note", after, "is it under way?")  # the seller learns of the lost thread by this
    lost = until(
        "the lost deal", lambda: seller.market("show", after, "--json").code == 0 and seller.ask("show", after)
    )
    assert lost["deal"]["state"] == "agreed"
    kinds = [document["kind"] for document in lost["documents"]]
    assert kinds[:4] == ["request", "quote", "order", "order_response"]
    until("all threads open again", lambda: "restored" not in problems(seller))
    for deal in (before, after):
        assert proved(seller, deal, tmp_path) == proved(buyer, deal, tmp_path)
    assert seller.ask("note", after, "yes")["created"]


def waits(peer: Peer, deal: str) -> float:
    """Seconds until the next try to send the newest document of a thread; 0 if none has failed."""
    next_try = peer.ask("show", deal)["documents"][-1]["next_try_at"]
    return (datetime.fromisoformat(next_try) - datetime.now(UTC)).total_seconds() if next_try else 0


def test_a_seller_who_moves_to_another_address_is_found_there(net: Market, tmp_path: Path) -> None:
    """He cannot call those whom his backup does not know, and they know only where he was. They have looked for him
    before he announced where he is now, and look again."""
    seller, buyer = net["seller"], net["buyer"]
    backup = tmp_path / "shop.backup"
    seller.ask("backup", str(backup), "--plain")
    after = bought(buyer, "5")
    seller.daemon.stop()
    buyer.ask("note", after, "is it under way?")
    until("a second try", lambda: waits(buyer, after) > 30)  # seconds; with it he has begun to look
    moved(seller, backup, "--listen", f"127.0.0.1:{free_port()}")
    until("the lost deal", lambda: seller.market("show", after, "--json").code == 0, seconds=120)
    until("the note", lambda: "is it under way?" in seller.market("show", after).out, seconds=20)


def test_a_buyer_moves_and_his_thread_is_read_only_until_the_seller_is_there(net: Market, tmp_path: Path) -> None:
    seller, buyer = net["seller"], net["buyer"]
    report = buyer.ask("request", "coffee/roasted", "3 kg Yirgacheffe", "--quotes", "1")
    quote = report["quotes"][0]["id"]
    backup, secret = tmp_path / "me.backup", tmp_path / "secret"
    secret.write_text("correct horse\n")
    buyer.ask("backup", str(backup), "--passphrase-file", str(secret))
    order = buyer.ask("order", quote)["order"]
    buyer.settled(order["id"], "agreed")

    seller.daemon.stop()
    buyer.daemon.stop()
    shutil.rmtree(buyer.home)
    wrong = tmp_path / "wrong"
    wrong.write_text("wrong horse")
    for words, code in ((["--passphrase-file", str(wrong)], 65), ([], 2)):
        assert market("restore", str(backup), *words, "--json", home=buyer.home).code == code
    assert market("restore", str(backup), "--passphrase-file", str(secret), home=buyer.home).code == 0
    buyer.start()
    error = buyer.refuse(9, "order", quote)  # it was ordered already, as only the seller knows
    assert "restored" in error["message"]
    assert "restored" in problems(buyer)

    seller.start()
    until("the order is back", lambda: any(one.id == order["deal"] for one in buyer.client.deals().deals))
    buyer.settled(order["id"], "agreed")
    until("the thread is open again", lambda: "restored" not in problems(buyer))
    assert buyer.ask("order", quote)["created"] is False
    assert proved(seller, order["deal"], tmp_path) == proved(buyer, order["deal"], tmp_path)


def test_two_machines_under_one_identity_both_stop_signing(net: Market, tmp_path: Path) -> None:
    seller, buyer = net["seller"], net["buyer"]
    deal = bought(buyer, "3")
    backup = tmp_path / "me.backup"
    buyer.ask("backup", str(backup), "--plain")
    old = net.add("old", start=False)
    assert market("restore", str(backup), home=old.home).code == 0
    old.start()  # while the first machine goes on

    for machine in (buyer, old):
        until("it has noticed", partial(is_stopped, machine))
        for words in (["note", deal, "who am I?"], ["resume", deal], ["resume", "--all"]):
            error = machine.refuse(9, *words)
            assert "another machine" in error["message"]
            assert "market resume --this-machine" in error["hint"]
    old.daemon.stop()
    assert buyer.ask("resume", "--this-machine")["this_machine"]
    until("its threads are open", lambda: not {"two_machines", "restored"} & set(problems(buyer)))
    assert buyer.ask("note", deal, "it is me")["created"]
    until("the seller has it", lambda: any(item.kind == "note" for item in seller.client.inbox().items))


def test_two_machines_that_sell_notice_each_other_by_what_strangers_see(net: Market, tmp_path: Path) -> None:
    seller = net["seller"]
    backup = tmp_path / "shop.backup"
    seller.ask("backup", str(backup), "--plain")
    (found,) = (check for check in seller.ask("doctor")["checks"] if check["name"] == "found")
    assert found["state"] == "ok"
    assert "found you" in found["message"]
    other = net.add("other", start=False)
    assert market("restore", str(backup), home=other.home).code == 0
    other.start()
    until("it publishes too", lambda: other.client.announcements().announcements[0].holders > 0)
    for machine in (seller, other):
        until("it has noticed", partial(is_stopped, machine, "doctor"))
        assert "another machine" in machine.refuse(9, "announce", "tea/green")["message"]
    other.daemon.stop()
    seller.ask("resume", "--this-machine")
    seller.announce("coffee/roasted", "world")
    report = net["buyer"].ask("request", "coffee/roasted", "2 kg Yirgacheffe", "--quotes", "1")
    assert report["request"]["counts"]["quoted"] == 1


def test_restore_and_backup_refuse_what_would_lose_something(net: Market, tmp_path: Path) -> None:
    buyer = net["buyer"]
    backup = tmp_path / "me.backup"
    buyer.ask("backup", str(backup), "--plain")
    said = market("restore", str(backup), "--json", home=buyer.home)
    assert (said.code, said.error["code"]) == (1, "home_in_use")
    assert "a daemon runs" in said.error["message"]
    assert f"move {buyer.home} away, once its daemon is stopped" in said.error["hint"]
    for damage in (b"", backup.read_bytes()[:-1], backup.read_bytes()[:-20] + bytes(20), b"p2pmarket backup 2\n"):
        bad = tmp_path / "bad"
        bad.write_bytes(damage)
        said = market("restore", str(bad), "--json", home=tmp_path / "new")
        assert said.code == 65
        kept = sorted(one.name for one in (tmp_path / "new").iterdir()) if (tmp_path / "new").exists() else []
        assert kept in ([], ["ledger.db", "lock", "restored"], ["lock", "restored"])  # nothing, or what says so
    assert market("restore", str(backup), home=tmp_path / "new").code == 0  # what was cut short can be repeated
    said = market("restore", str(backup), "--json", home=tmp_path / "new")
    assert (said.code, said.error["code"]) == (9, "wrong_state")
    assert "--home DIR" in said.error["hint"]
    before = backup.read_bytes()
    assert "--force" in buyer.refuse(9, "backup", str(backup), "--plain")["hint"]
    assert backup.read_bytes() == before
    buyer.ask("backup", str(backup), "--plain", "--force")
    assert backup.read_bytes() != before
    link = tmp_path / "newest.backup"
    link.symlink_to(backup)
    assert "--force" in buyer.refuse(9, "backup", str(link), "--plain")["hint"]
    before = backup.read_bytes()
    buyer.ask("backup", str(link), "--plain", "--force")
    assert (link.is_symlink(), backup.read_bytes() != before) == (True, True)
    assert backup.stat().st_mode & 0o777 == 0o600
    buyer.refuse(65, "backup", str(tmp_path), "--plain")
    buyer.refuse(65, "backup", str(tmp_path / "none" / "x"), "--plain")
    other = tmp_path / "other.backup"
    assert buyer.market("backup", str(other), "--json").code == 2  # nothing is asked without a terminal
    assert buyer.market("resume", "--json").code == 2
    assert buyer.ask("resume", "--all") == {"threads": 0, "this_machine": False}
    for text in (b"\xff\xfe", b"", b"\n"):
        (tmp_path / "odd").write_bytes(text)
        buyer.refuse(65, "backup", str(other), "--passphrase-file", str(tmp_path / "odd"))
    assert not other.exists()
    assert buyer.alive()
