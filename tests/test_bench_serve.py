"""The benchmark of served requests: both servers answer every request of a small load, and the figures are there."""

from __future__ import annotations

import sys

import bench_serve
import pytest
from serving import stock_kademlia

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs epoll and all of 127.0.0.0/8")


def test_every_request_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(bench_serve.KINDS, "libtorrent")
    figures = bench_serve.measure(requests=400, rounds=1)
    assert (figures["lost"], figures["kademlia_lost"]) == (0, 0)
    for name in ("requests_per_s", "cpu_us_per_request", "ratio", "cpu_ratio"):
        assert float(str(figures[name])) > 0
    for name in ("kademlia_requests_per_s", "kademlia_cpu_us_per_request"):
        assert float(str(figures[name])) > 0


def test_a_wrong_answer_is_found_out() -> None:
    load = object.__new__(stock_kademlia.Load)
    load._ids = [bytes(20), b"1" * 20]
    load.check(0, b"\x01" + bytes(20) + b"\xc4\x14" + b"1" * 20)
    with pytest.raises(ValueError, match="not a good answer"):
        load.check(1, b"\x01" + bytes(20) + b"\xc4\x14" + b"1" * 20)
