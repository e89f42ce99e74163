"""No signed byte leaves before its row is synced: seen from outside, by the order of system calls."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from torture_strace import LOG, MARKS, SIGNATURE_BYTES, read_trace, torture

SIGNATURE = bytes(range(100, 100 + SIGNATURE_BYTES))


def hexed(data: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in data)


def written(data: bytes, file: str = LOG) -> str:
    path = hexed(f"/home/{file}".encode())
    return f'7 pwrite64(3<{path}>, "{hexed(data)}", {len(data)}, 0) = {len(data)}\n'


LOG_PATH = hexed(f"/home/{LOG}".encode())
MARK = written(b"quote " + SIGNATURE + b"\n", MARKS)
SYNC = f"7 fdatasync(3<{LOG_PATH}>) = 0\n"
SYNC_BEGINS = f"7 fdatasync(3<{LOG_PATH}> <unfinished ...>\n"
SYNC_ENDS = "7 <... fdatasync resumed>) = 0\n"
ROW = written(b"row " + SIGNATURE + b" end")


@pytest.mark.parametrize(
    ("trace", "early"),
    [
        ([ROW, SYNC, MARK], 0),
        ([ROW, SYNC_BEGINS, SYNC_ENDS, MARK], 0),
        ([written(b"row" + SIGNATURE[:40]), written(SIGNATURE[40:]), SYNC, MARK], 0),
        ([ROW, MARK, SYNC], 1),
        ([ROW, SYNC_BEGINS, MARK, SYNC_ENDS], 1),
        ([SYNC_BEGINS, ROW, SYNC_ENDS, MARK], 1),
        ([ROW, SYNC_BEGINS, SYNC_ENDS.replace("= 0", "= -1"), MARK], 1),
        ([written(b"another row"), SYNC, MARK], 1),
        ([ROW.replace(LOG_PATH, hexed(b"/home/cache.sqlite-wal")), SYNC, MARK], 1),
    ],
)
def test_what_counts_as_early(trace: list[str], early: int) -> None:
    sent, found = read_trace(trace)
    assert sent == {"quote": 1}
    assert found["quote"] == early


@pytest.mark.skipif(shutil.which("strace") is None, reason="no strace here")
def test_real_daemons_sync_before_they_send(tmp_path: Path) -> None:
    figures = torture(tmp_path, 1)
    assert figures["early"] == 0
    sent = {
        name: figures[f"sent_{name}"] for name in ("request", "quote", "order", "order_response", "acknowledgement")
    }
    assert sent == {"request": 1, "quote": 1, "order": 1, "order_response": 1, "acknowledgement": 2}
