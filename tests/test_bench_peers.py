"""The benchmark beside other DHTs: its arguments, its figures, and a small run of our own nodes where that can be."""

from __future__ import annotations

import json
from typing import Any

import bench_peers
import pytest
from peers.table import aims, figures_of, markdown
from peers.wan import address, missing
from peers.workload import Done

from p2pmarket.network import TEST


def get(s: float, first: float | None = None, *, ok: bool = True, **more: Any) -> dict[str, Any]:
    return {"ok": ok, "s": s, **({} if first is None else {"first_s": first}), **more}


@pytest.mark.parametrize("arguments", [["--peers", "ours,bittorrent"], ["--cases", ""], ["--nodes", "3"]])
def test_wrong_arguments_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        bench_peers.main(arguments)
    assert ended.value.code == 2
    assert "usage: scripts/bench peers" in capsys.readouterr().err


def test_parts_are_run_in_their_own_order() -> None:
    asked = bench_peers._parser().parse_args(["--peers", "kademlia, ours", "--cases", "many,clean"])
    assert (asked.peers, asked.cases) == (["ours", "kademlia"], ["clean", "many"])
    assert bench_peers._networks(asked.cases) == [["clean"], ["many"]]
    assert bench_peers._networks(["clean", "dead25"]) == [["clean", "dead25"], ["dead25 puts"]]


def test_a_peer_that_is_not_installed_is_known_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(bench_peers.PACKAGES, "opendht", ("no_such_package_anywhere",))
    assert not bench_peers._is_here("opendht")
    assert bench_peers._is_here("ours")


def test_gets_answered_at_home_do_not_count_for_the_times() -> None:
    gets = [get(0.3, 0.0), get(0.1, 0.05), get(0.2, 0.06), get(5.0, ok=False)]
    figures = figures_of("ours", "clean", Done(puts=[get(0.2), get(9.0, ok=False)], gets=gets), 0.05)
    assert (figures["ours_clean_first_median_s"], figures["ours_clean_first_p95_s"]) == (0.055, 0.06)
    assert (figures["ours_clean_done_median_s"], figures["ours_clean_done_p95_s"]) == (0.15, 0.2)
    assert figures["ours_clean_put_p95_s"] == 0.2
    assert (figures["ours_clean_get_ok"], figures["ours_clean_put_ok"]) == (0.75, 0.5)
    assert figures["ours_clean_local"] == 0.333


def test_of_many_writers_the_worst_reader_counts() -> None:
    gets = [get(0.9, 0.1, found=200, last_s=0.4), get(0.5, 0.1, found=199, last_s=0.3)]
    figures = figures_of("ours", "many", Done(puts=[get(0.1)], gets=gets), 0.05)
    assert (figures["ours_many_found"], figures["ours_many_all_s"], figures["ours_many_done_s"]) == (199, 0.4, 0.9)
    said = aims(figures, 0.05)
    assert [line.split()[-1] for line in said] == ["yes", "NO"]


def test_the_table_has_a_column_for_each_peer_and_a_ratio() -> None:
    figures = figures_of("ours", "clean", Done(puts=[get(0.1)], gets=[get(0.1, 0.05)]), 0.05)
    figures |= figures_of("kademlia", "clean", Done(puts=[get(0.25)], gets=[get(0.05)]), 0.05)
    *_, put = markdown(figures, ["ours", "kademlia"], ["clean"]).splitlines()
    assert put == "| clean, put | 0.10 / 0.10 | 0.25 / 0.25 | 2.5 / 2.5 |"


def test_the_emulated_network_gives_each_node_subnets_of_its_own() -> None:
    groups = {TEST.group(address(node, spare), 4000) for node in range(64) for spare in range(5)}
    assert len(groups) == 64 * 5


@pytest.mark.skipif(bool(missing()), reason=f"needs {missing()}")
def test_our_nodes_over_an_emulated_network(capfd: pytest.CaptureFixture[str]) -> None:
    run = ["--peers", "ours", "--cases", "clean", "--nodes", "4", "--operations", "4", "--settle", "0", "--json"]
    assert bench_peers.main(run) == 0
    figures = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert (figures["ours_clean_get_ok"], figures["ours_clean_put_ok"]) == (1.0, 1.0)
    assert figures["ours_clean_put_median_s"] >= 0.05  # a round trip at least: it did go over the network
    assert figures["missing"] == ""
