"""The home folder: its lock, its two keys, and what is refused rather than replaced."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from p2pmarket.errors import HomeInUse, LedgerCorrupt, NotAllowed, StartError
from p2pmarket.home import IDENTITY, LEDGER, NODE, end_first_start, load_identity, load_node_key, locked_home


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "deep" / "home"
    with locked_home(folder):
        pass
    return folder


def test_a_new_home_is_for_its_owner_alone(home: Path) -> None:
    load_identity(home)
    load_node_key(home)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in home.iterdir()} == {0o600}


def test_the_keys_stay_the_same(home: Path) -> None:
    identity, node = load_identity(home).public, load_node_key(home).public
    assert (load_identity(home).public, load_node_key(home).public) == (identity, node)


def test_one_daemon_at_a_time(home: Path) -> None:
    """Also across processes; the end of the holder frees it, however it comes."""
    with locked_home(home):
        with pytest.raises(HomeInUse), locked_home(home):
            pytest.fail("two hold it")
        program = f"from p2pmarket.home import *\nwith locked_home(Path({str(home)!r})): pass"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert "HomeInUse" in done.stderr
    killed = f"from p2pmarket.home import *\nlocked_home(Path({str(home)!r})).__enter__()\nos.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", killed], check=False).returncode == -9
    with locked_home(home):
        pass


def test_places_that_are_no_home(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    for place in (file, file / "below"):
        with pytest.raises(StartError) as error, locked_home(place):
            pytest.fail("it was held")
        assert error.value.hint


def test_a_home_of_another_user(home: Path) -> None:
    if os.getuid():
        pytest.skip("needs root to give a file away")
    os.chown(home / "lock", 12_345, 12_345)
    with pytest.raises(NotAllowed), locked_home(home):
        pytest.fail("it was held")


@pytest.mark.parametrize("content", [b"", b"00", b"zz" * 32, b"00" * 33, b"\xff\xfe", b"0" * 63])
def test_a_damaged_identity_is_refused_and_left_alone(home: Path, content: bytes) -> None:
    load_identity(home)
    (home / IDENTITY).write_bytes(content)
    with pytest.raises(LedgerCorrupt) as error:
        load_identity(home)
    assert error.value.hint
    assert (home / IDENTITY).read_bytes() == content


@pytest.mark.parametrize("content", [b"", b"garbage", b"\xff"])
def test_a_damaged_node_key_is_replaced(home: Path, content: bytes) -> None:
    before = load_node_key(home).public
    (home / NODE).write_bytes(content)
    after = load_node_key(home).public
    assert after != before
    assert load_node_key(home).public == after


def test_a_ledger_without_its_identity_is_refused(home: Path) -> None:
    """A silent new identity would lose every deal."""
    (home / LEDGER).write_bytes(b"whatever")
    with pytest.raises(LedgerCorrupt):
        load_identity(home)
    assert not (home / IDENTITY).exists()


def test_an_identity_without_its_ledger_is_refused(home: Path) -> None:
    """But for the first start, which may have been stopped before there was one."""
    identity = load_identity(home).public
    assert load_identity(home).public == identity
    (home / LEDGER).write_bytes(b"a ledger")
    end_first_start(home)
    assert load_identity(home).public == identity
    for lost in (lambda: (home / LEDGER).write_bytes(b""), (home / LEDGER).unlink):
        lost()
        with pytest.raises(LedgerCorrupt) as error:
            load_identity(home)
        assert error.value.hint


def test_an_identity_that_cannot_be_read(home: Path) -> None:
    load_identity(home)
    (home / IDENTITY).unlink()
    (home / IDENTITY).mkdir()
    with pytest.raises(StartError):
        load_identity(home)


def test_what_a_crash_while_writing_left_is_no_obstacle(home: Path) -> None:
    (home / "identity.new").write_bytes(b"half")
    identity = load_identity(home).public
    assert load_identity(home).public == identity
    assert len((home / IDENTITY).read_text().strip()) == 64
