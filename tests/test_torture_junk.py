"""A small flood against a real node process: the script holds, and the node's own lookups go on."""

from __future__ import annotations

import sys

import pytest
from torture_junk import flood, holds

PEACE = {
    f"{name}_{what}": value
    for name in ("peace", "one", "many")
    for what, value in (("good_ratio", 1.0), ("rss_half_mb", 50.0), ("rss_mb", 52.0))
}


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and all of 127.0.0.0/8")
def test_lookups_go_on_under_a_small_flood() -> None:
    figures = flood(1.0, 3000.0, peace=0.5)
    assert [figures[f"{name}_good_ratio"] for name in ("peace", "one", "many")] == [1.0] * 3
    for name in ("one", "many"):
        assert int(str(figures[f"{name}_received"])) > 2000
    assert int(str(figures["one_rate_limited"])) > 1000
    assert int(str(figures["many_served"])) > 0  # first contacts that hold are answered as far as there is room


@pytest.mark.parametrize(
    ("figure", "value"), [("many_good_ratio", 0.98), ("one_good_ratio", 0.5), ("many_rss_mb", 54.0)]
)
def test_what_does_not_hold_is_found_out(figure: str, value: float) -> None:
    assert holds(dict(PEACE))
    assert not holds({**PEACE, figure: value})
