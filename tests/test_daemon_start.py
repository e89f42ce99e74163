"""What keeps a daemon from starting, or a command from finding one: said in a sentence, with the way back."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemons import Daemon, Market, Peer, Said, a_market, joined, market, marketd, start_here, until

from p2pmarket.api.types import bodies as b

LEDGER = ("ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm")


@pytest.fixture(scope="module")
def net() -> Iterator[Market]:
    """One daemon that runs and has something to lose, and one that is stopped between tests."""
    with a_market("stopped") as net:
        peer = net["stopped"]
        peer.client.profile_set(b.SetProfile(name="Keeper"))
        peer.open("tea", "3 kg tea")
        assert peer.daemon.stop() == 0
        yield net


@pytest.fixture
def home(net: Market, tmp_path: Path) -> Path:
    """A copy of the stopped daemon's home, to be damaged."""
    copy = tmp_path / "home"
    shutil.copytree(net["stopped"].home, copy)
    return copy


def start(home: Path, *flags: str, network: str | None = "dev") -> Said:
    return start_here("--home", str(home), "--listen", "127.0.0.1:0", *flags, network=network)


def files(home: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in home.iterdir() if path.name not in {"lock", "node.key"}}


def refused(said: Said, code: int, *words: str) -> None:
    """It ended with `code`, never said READY, and told what is wrong and what to do."""
    assert said.code == code, said
    assert "READY" not in said.out
    assert "Traceback" not in said.err
    message, hint = said.err.rstrip().splitlines()
    assert message.startswith("marketd: ")
    assert hint.strip()
    for word in words:
        assert word in said.err


def test_the_home_as_it_was_left_starts_again(net: Market) -> None:
    """The tests below damage copies of this home: undamaged, it works."""
    peer = net["stopped"]
    peer.start()
    assert peer.client.profile().profile.name == "Keeper"
    assert peer.client.requests().requests[0].lines[0].text == "tea"
    assert peer.daemon.stop() == 0
    assert not (peer.home / "api.json").exists()


def test_a_second_daemon_on_one_home_is_refused(net: Market) -> None:
    boot = net["bootstrap"]
    refused(marketd("--home", str(boot.home)), 1, "another daemon uses", str(boot.home), "--home")
    assert boot.alive()


def test_a_taken_port_is_refused_and_leaves_the_home_usable(net: Market, home: Path) -> None:
    before = files(home)
    port = net["bootstrap"].port
    said = start_here("--home", str(home), "--listen", f"127.0.0.1:{port}")
    refused(said, 1, str(port), "marketd --listen 127.0.0.1:PORT")
    with socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        taken = udp.getsockname()[1]
        refused(start_here("--home", str(home), "--listen", f"127.0.0.1:{taken}"), 1, str(taken))
    assert files(home) == before


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (["--listen", "somewhere"], "--listen"),
        (["--listen", "127.0.0.1:99999"], "99999"),
        (["--bootstrap", "nonsense"], "market id prints it"),
        (["--network", "moon"], "moon"),
        (["--log", "loud"], "loud"),
        (["--api-tcp", "8.8.8.8:80"], "8.8.8.8"),
    ],
)
def test_a_bad_flag_is_named(tmp_path: Path, flags: list[str], word: str) -> None:
    said = start_here("--home", str(tmp_path / "new"), *flags)
    refused(said, 2, word)
    assert not (tmp_path / "new").exists()


def test_a_bad_line_of_the_settings_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[quoting]\nvalid_days = 0\n")
    said = start(tmp_path)
    assert said.code == 1
    assert "line 2" in said.err
    (tmp_path / "config.toml").write_text('hook = ["/no/such/program"]\n')
    refused(start(tmp_path), 1, "/no/such/program")
    assert os.listdir(tmp_path) == ["config.toml"]


def test_a_home_that_is_a_file_or_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for home in (tmp_path / "file", tmp_path / "file" / "below", Path("/dev/null")):
        refused(start(home), 1, f"{home} is no folder", "--home")
        assert "Errno" not in market("status", home=home).err
    said = start(Path("/proc/nothing/here"))
    assert said.code in {1, 4}
    assert said.err.startswith("marketd: ")
    assert "--home" in said.err
    assert "Traceback" not in said.err


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a folder of somebody else")
def test_the_home_of_somebody_else_is_refused(home: Path) -> None:
    for path in (home, *home.iterdir()):
        os.chown(path, 12345, 12345)
    before = files(home)
    refused(start(home), 4, "another user", "--home")
    assert files(home) == before


def test_a_damaged_ledger_is_refused_and_nothing_is_made_anew(home: Path) -> None:
    whole = (home / "ledger.sqlite").read_bytes()
    for damaged in (
        b"this is no database" * 500,
        whole[: len(whole) // 2 // 4096 * 4096],
        whole[:100] + b"\xff" * 8000 + whole[8100:],
        whole[:4096] + bytes(len(whole) - 4096),
    ):
        for name in LEDGER:
            (home / name).unlink(missing_ok=True)
        (home / "ledger.sqlite").write_bytes(damaged)
        key = (home / "identity.key").read_bytes()
        refused(start(home), 1, str(home), "damaged", "Nothing was changed")
        assert (home / "ledger.sqlite").read_bytes() == damaged
        assert (home / "identity.key").read_bytes() == key


def test_an_emptied_ledger_is_refused(home: Path) -> None:
    """Zero bytes, and a file without tables, are sound databases to SQLite, but here they are a loss."""
    for name in LEDGER:
        (home / name).unlink(missing_ok=True)
    (home / "ledger.sqlite").write_bytes(b"")
    refused(start(home), 1, str(home), "backup")
    with sqlite3.connect(home / "ledger.sqlite") as db:
        db.execute("PRAGMA journal_mode=WAL")
    db.close()
    refused(start(home), 1, str(home), "backup")


def test_a_missing_ledger_beside_an_identity_is_refused_until_its_owner_gives_it_up(home: Path) -> None:
    for name in LEDGER:
        (home / name).unlink(missing_ok=True)
    said = start(home)
    refused(said, 1, str(home), "ledger")
    assert not (home / "ledger.sqlite").exists()
    way_back = Path(said.err.split("touch ")[1].strip())
    way_back.touch()
    daemon = Daemon("again", home, ["--listen", "127.0.0.1:0"])
    daemon.start()
    try:
        daemon.wait_ready()
        assert Peer(daemon).client.requests().requests == []
    finally:
        daemon.stop()
    assert not way_back.exists()


def test_a_missing_identity_is_refused_and_never_replaced(home: Path) -> None:
    (home / "identity.key").unlink()
    before = files(home)
    refused(start(home), 1, "identity.key", "backup")
    assert files(home) == before


def test_a_damaged_identity_is_refused(home: Path) -> None:
    for damaged in (b"", b"00" * 16, b"no hex at all" * 4, os.urandom(32)):
        (home / "identity.key").write_bytes(damaged)
        refused(start(home), 1, "identity.key", "backup")
        assert (home / "identity.key").read_bytes() == damaged


def test_a_swapped_identity_is_refused(net: Market, home: Path) -> None:
    shutil.copy(net["bootstrap"].home / "identity.key", home / "identity.key")
    refused(start(home), 1, "another identity", "backup")


@pytest.mark.parametrize("network", ["main", None])
def test_a_home_stays_on_its_network(home: Path, network: str | None) -> None:
    """`main` is also what is meant by no word about it."""
    before = files(home)
    refused(start(home, network=network), 1, "network dev", "is for main", f"marketd --home {home} --network dev")
    assert {name: files(home)[name] for name in before if name != "ledger.sqlite-shm"} == {
        name: data for name, data in before.items() if name != "ledger.sqlite-shm"
    }


def test_a_home_of_before_networks_were_noted_keeps_that_of_its_next_start(home: Path) -> None:
    with sqlite3.connect(home / "ledger.sqlite") as db:
        assert db.execute("DELETE FROM meta WHERE key = 'network'").rowcount == 1
    db.close()
    daemon = Daemon("noted", home, ["--listen", "127.0.0.1:0"])
    daemon.start()
    try:
        daemon.wait_ready()
    finally:
        daemon.stop()
    refused(start(home, network="main"), 1, "network dev")


def test_a_restored_home_stays_on_its_network(net: Market, tmp_path: Path) -> None:
    backup, home = tmp_path / "a.backup", tmp_path / "made anew"
    net["bootstrap"].ask("backup", str(backup), "--plain")
    said = market("restore", str(backup), home=home)
    assert f"marketd --home '{home}' --network dev" in said.out
    refused(start(home, network=None), 1, f"marketd --home '{home}' --network dev")


def test_a_ledger_of_a_newer_version_is_refused(home: Path) -> None:
    with sqlite3.connect(home / "ledger.sqlite") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    refused(start(home), 1, "99", "newer")


def test_a_damaged_cache_and_node_key_are_made_anew(net: Market) -> None:
    peer = net["stopped"]
    identity = (peer.home / "identity.key").read_bytes()
    (peer.home / "cache.sqlite").write_bytes(b"garbage" * 1000)
    (peer.home / "node.key").write_bytes(b"garbage")
    peer.start()
    assert peer.client.profile().profile.name == "Keeper"
    assert (peer.home / "identity.key").read_bytes() == identity
    peer.daemon.stop()


def words_of(peer: Peer) -> list[str]:
    """The lines of its log."""
    return peer.daemon.last_words(1000).splitlines()


def test_a_bad_line_in_the_file_of_bootstrap_nodes_is_told_everywhere(net: Market) -> None:
    peer = net["stopped"]
    lines = peer.home / "bootstrap_nodes.txt"
    lines.write_text("# friends\nthe shop next door\n")
    peer.start()
    try:
        (said,) = [line for line in words_of(peer) if "next door" in line]
        assert said.startswith("WARNING")
        assert f"{lines} line 2" in said
        (problem,) = [one for one in peer.client.status().problems if one.code == "bad_setting"]
        assert f"{lines} line 2" in problem.message
        (check,) = [one for one in peer.client.doctor().checks if one.name == "settings"]
        assert (check.state, check.message) == ("warning", problem.message)
    finally:
        lines.unlink()
        peer.daemon.stop()


def test_an_announcement_repeated_by_its_key_tells_how_it_is_now(net: Market) -> None:
    peer = net["stopped"]
    peer.start()
    try:
        joined(net, ["stopped"])
        words = ("announce", "ice", "--idempotency-key", "a1")
        first = peer.ask(*words)
        assert first["created"]
        until("a holder", lambda: peer.ask("announcements")["announcements"][0]["holders"])
        again = peer.ask(*words)
        assert again["created"] is False
        assert again["announcement"]["id"] == first["announcement"]["id"]
        assert (again["announcement"]["state"], again["announcement"]["holders"]) == ("published", 1)
        assert "not_published" not in [problem["code"] for problem in again["problems"]]
        peer.ask("withdraw", first["announcement"]["id"])
        assert peer.ask(*words)["announcement"]["state"] == "withdrawn"
        assert peer.ask("announcements")["announcements"] == []
    finally:
        peer.daemon.stop()


# Commands that find no daemon


def test_without_a_daemon_commands_say_how_to_start_one(tmp_path: Path) -> None:
    for words in (["status"], ["request", "tea", "3 kg"], ["watch"], ["id"]):
        home = tmp_path / "there is none"
        said = market(*words, "--json", home=home)
        assert (said.code, said.error["code"]) == (3, "no_daemon")
        assert said.error["hint"] == f"Start it with: marketd --home '{home}'"
        assert said.error["retryable"] is True
        for_people = market(*words, home=home)
        assert (for_people.code, for_people.out) == (3, "")
        assert f"marketd --home '{home}'" in for_people.err


def test_what_a_killed_daemon_left_is_not_taken_for_a_daemon(net: Market) -> None:
    peer = net["stopped"]
    peer.start()
    peer.kill()
    assert (peer.home / "api.json").exists()
    error = peer.refuse(3, "status")
    assert (error["code"], error["hint"]) == ("no_daemon", f"Start it with: marketd --home {peer.home}")
    peer.start()
    assert peer.alive()
    peer.daemon.stop()


def test_a_daemon_of_another_version_is_told_from_none(net: Market, tmp_path: Path) -> None:
    told = json.loads((net["bootstrap"].home / "api.json").read_text())
    (tmp_path / "api.json").write_text(json.dumps({**told, "protocol": told["protocol"] + 1, "version": "9.9"}))
    said = market("status", "--json", home=tmp_path)
    assert (said.code, said.error["code"]) == (3, "version_differs")
    assert "9.9" in said.error["message"]
    assert "restart marketd" in said.error["hint"]
    (tmp_path / "api.json").write_text("{ broken")
    assert market("status", "--json", home=tmp_path).code == 3


# A daemon alone


def test_a_daemon_without_peers_works_and_says_what_is_missing(tmp_path: Path) -> None:
    with a_market() as net:
        alone: Peer = net["bootstrap"]
        status = alone.ask("status")
        assert status["state"] == "offline"
        (problem,) = [one for one in status["problems"] if one["code"] == "no_peers"]
        assert f"--bootstrap {alone.client.identity().contact}" in problem["hint"]
        doctor = alone.market("doctor", "--json")
        assert doctor.code == 0  # whoever starts the first daemon of a network of his own wants it so
        assert {check["name"]: check["state"] for check in doctor.json["checks"]}["peers"] == "warning"
        announced = alone.ask("announce", "tea")
        assert announced["announcement"]["state"] == "publishing"
        assert [one["code"] for one in announced["problems"]] == ["no_peers", "not_published"]
        assert alone.market("doctor").code == 0
        misspelt = alone.market("announce", "bananna")
        assert misspelt.code == 0
        assert "Did you mean cpv:03222111 (Bananas)" in misspelt.err
        assert "bananna" in misspelt.out
        asked = alone.market("request", "bananna", "3 kg fruit", "--dry-run")
        assert asked.code == 0
        assert "Did you mean cpv:03222111 (Bananas)" in asked.err
        asked = alone.market("request", "coffe", "3 kg beans", "--detach", "--json")
        assert asked.json["problems"][0]["code"] == "unknown_category"
        file = b"description,quantity,unit,deliver by,note\nbeans,3,kg,soon,ripe\n"
        read = alone.market("request", "coffe", "--file", "-", "--detach", "--json", stdin=file)
        (columns,) = (one for one in read.json["problems"] if one["code"] == "columns_not_read")
        assert "deliver by, note" in columns["message"]
        said = alone.market("request", "tea", "3 kg tea", "--json")
        assert "unknown_category" not in {one["code"] for one in said.json["problems"]}
        assert (said.code, said.json["ended"]) == (5, "no_sellers")
        assert said.json["request"]["state"] == "open"
        for_people = alone.market("request", "tea", "3 kg tea")
        assert for_people.code == 5
        assert "no other daemon is known" in for_people.err
        assert "--bootstrap" in for_people.err
        assert "0 nodes" in for_people.out + for_people.err or "no node" in for_people.out + for_people.err


def test_a_wait_for_a_bootstrap_that_is_dead_is_told(tmp_path: Path) -> None:
    with a_market() as net:
        contact = net.local.contact
        assert contact is not None
        net["bootstrap"].kill()
        late = net.add("late")
        problems = {one.code: one for one in late.client.status().problems}
        assert contact in problems["no_peers"].message
        assert "goes on trying" in (problems["no_peers"].hint or "")
        doctor = late.market("doctor", "--json")
        assert doctor.code == 1
        assert {check["name"]: check["state"] for check in doctor.json["checks"]}["peers"] == "failed"
        said = until("a word in the log", lambda: [one for one in words_of(late) if "WARNING" in one] or None)
        assert len(said) == 1
        assert contact in said[0]
        assert "market id" in said[0]
        net["bootstrap"].start()
        joined(net, ["late"])
