"""The simulator: one seed is one run, both ciphers carry the same lookups, and small crowds find what they look for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))

from bench_lookup import TARGETS, measure
from simulator import crowding, eclipse, liars
from simulator.__main__ import parsed
from simulator.figures import Figures, mean, quantile, rounded
from simulator.options import Options, new_crowd
from simulator.scenarios import SCENARIOS, run
from simulator.sellers import Market
from simulator.world import World

from p2pmarket import limits, messages
from p2pmarket.dht.node import Node
from p2pmarket.dht.session import Opened

SCRIPTS = Path(__file__).parent.parent / "scripts"


@cache
def figures(
    scenario: str = "lookup", nodes: int = 60, seed: int = 1, cipher: str = "plain", dead: float = 0.0
) -> Figures:
    options = Options(nodes=nodes, seed=seed, cipher=cipher, dead=dead, lookups=40, talk=False)
    return run(scenario, options)


def in_a_process(hash_seed: str, *arguments: str) -> Figures:
    """The last line of `scripts/sim`, run by an interpreter with its own hash seed."""
    done = subprocess.run(
        [sys.executable, "-m", "simulator", "--nodes", "40", "--lookups", "20", "--json", *arguments],
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(SCRIPTS)},
        capture_output=True,
        text=True,
        check=True,
    )
    result: Figures = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.mark.parametrize("scenario", sorted(SCENARIOS))
def test_how_many_lookups_depends_on_the_scenario_unless_it_is_said(scenario: str) -> None:
    many = scenario in {"eclipse", "flood", "mass-death"}
    assert parsed(["--scenario", scenario]).lookups == (1000 if many else 200)
    assert parsed(["--scenario", scenario, "--lookups", "3"]).lookups == 3


@pytest.mark.parametrize("scenario", ["lookup", "get"])
def test_one_seed_is_one_run_in_any_process(scenario: str) -> None:
    one = in_a_process("1", "--seed", "3", "--scenario", scenario)
    same = in_a_process("2", "--seed", "3", "--scenario", scenario)
    other = in_a_process("1", "--seed", "4", "--scenario", scenario)
    for result in (one, same, other):
        del result["seconds"], result["peak_rss_mb"]
    assert one == same
    assert one["trace_hash"] != other["trace_hash"]


def test_both_ciphers_carry_the_same_lookups() -> None:
    plain, noise = figures(nodes=30), figures(nodes=30, cipher="noise")
    for name in ("results_hash", "median_s", "p95_s", "recall", "datagrams", "datagram_bytes"):
        assert plain[name] == noise[name], name
    assert plain["trace_hash"] != noise["trace_hash"]  # the bytes themselves differ


def test_lookups_find_the_nearest_nodes() -> None:
    found = figures()
    assert found["joined"] == 60
    assert found["unfinished"] == 0
    assert float(found["recall"]) >= 0.97
    assert found["dead_in_answer"] == 0


def test_lookups_find_the_nearest_of_the_living() -> None:
    found = figures(dead=0.25)
    assert found["unfinished"] == 0
    assert float(found["recall"]) >= 0.9
    assert found["dead_in_answer"] == 0


@pytest.mark.parametrize("dead", [0.0, 0.25])
def test_reads_find_all_sellers(dead: float) -> None:
    found = figures("get", dead=dead)
    assert found["unfinished"] == 0
    assert float(found["found_ratio"]) >= 0.99


@pytest.mark.parametrize(
    ("scenario", "figure"),
    [
        ("churn", "found_ratio"),
        ("mass-death", "found_ratio_1_min"),
        ("hot-topic", "found_ratio"),
        ("partition", "found_ratio_180_min"),
    ],
)
def test_sellers_are_found_in_trouble(scenario: str, figure: str) -> None:
    options = Options(nodes=30, seed=1, lookups=20, sellers=5, hours=0.5, talk=False)
    assert float(run(scenario, options)[figure]) >= 0.9


def test_floods_do_not_hide_sellers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowding, "FLOOD_SUBNETS", (10,))
    options = Options(nodes=30, seed=1, lookups=10, sellers=5, talk=False)
    assert run("flood", options)["found_ratio"] == 1.0


def test_only_nodes_near_a_key_are_asked_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "REGION_NODES", 4)  # so that most of a small network is far
    crowd = new_crowd(Options(nodes=100, seed=1, talk=False))
    market = Market(crowd)
    (key,) = market.keys()
    served: list[tuple[Node, bytes]] = []
    serve = Node._serve

    def watched(node: Node, opened: Opened, request: messages.Request, now: float) -> None:
        if isinstance(request, messages.Find | messages.Get):
            served.append((node, request.target if isinstance(request, messages.Find) else request.topic))
        serve(node, opened, request, now)

    monkeypatch.setattr(Node, "_serve", watched)
    market.open(5, refresh=False)
    assert market.found_ratio(market.read(40)) == 1.0
    wanted = int.from_bytes(key, "big")
    far = [(node, target) for node, target in served if node.table.own_id ^ wanted > 2**256 * 3 // 10]
    assert far
    assert not [node for node, target in far if target == key]


@pytest.fixture
def few_phantoms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liars, "PHANTOMS", 300)
    monkeypatch.setattr(liars, "PHANTOM_TRIES", 2**14)


@pytest.mark.usefixtures("few_phantoms")
@pytest.mark.parametrize(("subnets", "ids", "least"), [(1, 100, 0.99), (20, 2, 0.99), (60, 1, 0.95)])
def test_crowding_a_key_does_not_hide_sellers(subnets: int, ids: int, least: float) -> None:
    options = Options(nodes=60, seed=1, lookups=10, sellers=5, talk=False)
    _, share = eclipse._besieged(options, subnets, ids)
    assert share >= least


@pytest.mark.usefixtures("few_phantoms")
def test_invented_sellers_do_not_hide_sellers() -> None:
    options = Options(nodes=60, seed=1, lookups=5, sellers=12, talk=False)
    _, share = eclipse._besieged(options, 5, 2, 600)
    assert share == 1.0


@pytest.mark.usefixtures("few_phantoms")
def test_a_node_that_restarts_among_attackers_keeps_honest_contacts() -> None:
    options = Options(nodes=80, seed=1, victims=1, talk=False)
    found = run("restart-eclipse", options)
    assert found["attackers"] == 200
    assert found["held_ratio"] == 1.0


@pytest.mark.usefixtures("few_phantoms")
def test_liars_stand_nearer_than_the_honest_and_what_they_invent_nearer_still() -> None:
    world = World(seed=1)
    rng = world.rng("test")
    target = rng.randbytes(32)
    wanted = int.from_bytes(target, "big")
    hosts = [f"60.1.2.{last}" for last in range(1, 255)]
    places = [place.contact for place in liars.best_places(target, hosts, 4, rng)]
    assert len({contact.host for contact in places}) == 4
    assert all(contact.long_id ^ wanted < 2**256 >> 6 for contact in places)
    invented = liars.phantoms(target, world.network, rng)
    assert len(invented) >= 250
    assert all(contact.long_id ^ wanted < 2**256 >> 4 for contact in invented)


def test_no_datagram_is_larger_than_allowed() -> None:
    assert float(figures("get")["largest_datagram_bytes"]) <= 1200


def test_the_benchmark_prints_what_it_promises() -> None:
    result = measure(nodes=30, seed=1, lookups=20)
    assert result.keys() >= {*TARGETS, "nodes", "seed", "seconds", "trace_hash"}
    json.dumps(rounded(result), allow_nan=False)


def test_delays_are_those_of_the_pair_and_spread_around_the_median() -> None:
    world = World(seed=1, rtt=0.1)
    delays = [world._delay(one, other) for one in range(40) for other in range(one)]
    assert 0.045 < quantile(delays, 0.5) < 0.06
    assert min(delays) >= 0.025
    assert max(delays) <= 0.075 * 1.1
    there, back = world._delay(3, 9), world._delay(9, 3)
    assert there / back == pytest.approx(1, abs=0.11)


def test_nodes_stand_in_subnets_of_their_own() -> None:
    world = World(seed=1)
    hosts = [world.new_host() for _ in range(2000)]
    assert len({host.rsplit(".", 1)[0] for host in hosts}) == 2000


def test_quantiles() -> None:
    assert quantile([3, 1, 2], 0.5) == 2
    assert quantile(range(1, 101), 0.95) == 95
    assert rounded({"a": quantile([], 0.5), "b": mean([1, 2]), "c": "x", "d": 1 / 3}) == {
        "a": -1.0,
        "b": 1.5,
        "c": "x",
        "d": 0.3333,
    }
