"""Where output goes: files, links, pipes and devices named by -o; a full disk, a closed output, a reader that left."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from cli_samples import sample
from cli_stub import MARKET, Stub, running

from p2pmarket.api import types as t

FULL = Path("/dev/full")  # only ever as the standard output of a process, where it cannot be replaced
EVENTS = [
    t.Event(stream="s", seq=n, time="2030-01-01T00:00:00Z", type="order.received", id="o-1", data={})
    for n in range(5000)  # more than a pipe holds
]


@pytest.fixture
def stub() -> Iterator[Stub]:
    with running() as stub:
        yield stub


# Files


@pytest.fixture(params=["export d-1", "prices export"])
def words(request: pytest.FixtureRequest, stub: Stub) -> list[str]:
    stub.answers["prices_export"] = t.PricesExport(rows=1, csv="data")
    return str(request.param).split()


def test_a_new_file_is_written(stub: Stub, words: list[str], tmp_path: Path) -> None:
    target = tmp_path / "new"
    done = stub.market(*words, "-o", str(target))
    assert done.returncode == 0, done.stderr
    assert target.read_bytes() == b"data"
    assert list(tmp_path.iterdir()) == [target]


def test_a_program_gets_the_file_too(stub: Stub, words: list[str], tmp_path: Path) -> None:
    target = tmp_path / "new"
    done = stub.market(*words, "--json", "-o", str(target))
    assert done.returncode == 0, done.stderr
    assert isinstance(json.loads(done.stdout), dict)
    assert target.read_bytes() == b"data"


def test_a_file_that_is_there_is_overwritten_only_if_asked_for(stub: Stub, words: list[str], tmp_path: Path) -> None:
    target = tmp_path / "there"
    target.write_text("precious")
    target.chmod(0o600)
    done = stub.market(*words, "-o", str(target))
    assert (done.returncode, done.stdout) == (9, "")
    assert "--force" in done.stderr
    assert stub.calls == []
    assert target.read_text() == "precious"
    before = target.stat().st_ino
    assert stub.market(*words, "-o", str(target), "--force").returncode == 0
    assert target.read_bytes() == b"data"
    assert target.stat().st_ino != before, "replaced at once, not written over"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_of_a_link_the_target_is_written(stub: Stub, words: list[str], tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    link.symlink_to(target)
    assert stub.market(*words, "-o", str(link)).returncode == 0
    assert link.is_symlink()
    assert target.read_bytes() == b"data"
    target.write_text("precious")
    assert stub.market(*words, "-o", str(link)).returncode == 9
    assert stub.market(*words, "-o", str(link), "--force").returncode == 0
    assert link.is_symlink()
    assert target.read_bytes() == b"data"


def test_a_named_pipe_is_written_to(stub: Stub, words: list[str], tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    done = stub.market(*words, "-o", str(pipe))
    reader.join(30)
    assert (done.returncode, read) == (0, [b"data"]), done.stderr
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_full_device_is_an_error_and_stays_a_device(stub: Stub, words: list[str], tmp_path: Path) -> None:
    device = tmp_path / "full"
    try:
        os.mknod(device, 0o600 | stat.S_IFCHR, os.makedev(1, 7))
        device.open("wb").close()
    except PermissionError:
        pytest.skip("devices cannot be made here")
    for more in ([], ["--force"]):
        done = stub.market(*words, "-o", str(device), *more)
        assert done.returncode == 65
        assert done.stderr.startswith(f"error: cannot write {device}: No space left on device\n")
        assert "written" not in done.stderr
        assert stat.S_ISCHR(device.stat().st_mode)
    assert list(tmp_path.iterdir()) == [device]


def test_what_is_no_file_is_refused_before_anything_is_asked(stub: Stub, words: list[str], tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for name in (tmp_path, loop):
        done = stub.market(*words, "-o", str(name), "--force")
        assert done.returncode == 65
        assert done.stderr.startswith("error: ")
    assert stub.calls == []


# Standard output that takes nothing


PRINTING = (
    ["deals"],
    ["deals", "--json"],
    ["export", "d-1"],
    ["prices", "export"],
    ["--help"],
    ["deals", "--help"],
    ["--version"],
    ["watch", "--since", "0"],
    ["watch", "--since", "0", "--jsonl"],
    ["request", "coffee", "20 kg", "--detach"],
)


def ended(stub: Stub, words: list[str], stdout: int) -> tuple[int, str]:
    """Exit code and standard error of `market` with this standard output."""
    stub.answers["events"] = EVENTS
    process = subprocess.Popen(
        [*MARKET, *words], stdout=stdout, stderr=subprocess.PIPE, env=stub.environment(), text=True
    )
    _, err = process.communicate(timeout=60)
    return process.returncode, err


@pytest.mark.parametrize("words", PRINTING, ids=" ".join)
def test_a_full_disk_is_one_plain_error(stub: Stub, words: list[str]) -> None:
    with FULL.open("wb") as full:
        code, err = ended(stub, words, full.fileno())
    assert code == 1
    told = "cannot write the output: No space left on device"
    if "--json" in words or "--jsonl" in words:
        error = json.loads(err)["error"]
        assert (error["code"], error["message"]) == ("failed", told)
    else:
        assert err.endswith(f"error: {told}\n")
        assert "Traceback" not in err


@pytest.mark.parametrize("words", PRINTING, ids=" ".join)
def test_an_output_closed_on_purpose_is_one_plain_error(stub: Stub, words: list[str]) -> None:
    stub.answers["events"] = EVENTS
    line = ["sh", "-c", 'exec "$@" >&-', "sh", *MARKET, *words]
    done = subprocess.run(line, stderr=subprocess.PIPE, env=stub.environment(), text=True, timeout=60)
    assert done.returncode == 1
    assert "cannot write the output: standard output is closed" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_cannot_be_said_on_standard_error_is_not_said(stub: Stub) -> None:
    for redirected in ("2>&-", "2>/dev/full"):
        line = ["sh", "-c", f'exec "$@" {redirected}', "sh", *MARKET, "request", "coffee", "20 kg", "--detach"]
        done = subprocess.run(line, stdout=subprocess.PIPE, env=stub.environment(), text=True, timeout=60)
        assert (done.returncode, done.stdout) == (0, "text\n")


@pytest.mark.parametrize("words", PRINTING, ids=" ".join)
def test_a_reader_that_has_left_is_no_error(stub: Stub, words: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        code, err = ended(stub, words, writer)
    finally:
        os.close(writer)
    assert code == 0, err
    assert "rror" not in err


def test_a_stream_whose_reader_takes_one_line_is_no_error(stub: Stub) -> None:
    stub.answers["events"] = EVENTS
    line = f"set -o pipefail; {' '.join(MARKET)} watch --since 0 --jsonl | head -1"
    done = subprocess.run(["bash", "-c", line], capture_output=True, env=stub.environment(), text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["seq"] == 0


def test_an_export_whose_reader_leaves_midway_is_no_error(stub: Stub) -> None:
    stub.answers["export"] = msgspec.structs.replace(sample(t.Exported), data=b"x" * 1_000_000)
    line = f"set -o pipefail; {' '.join(MARKET)} export d-1 | head -c 10"
    done = subprocess.run(["bash", "-c", line], capture_output=True, env=stub.environment(), text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "x" * 10, "")
