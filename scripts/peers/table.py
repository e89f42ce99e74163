"""Figures from what the operations answered, and the tables that people read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from peers.workload import WRITERS, Done

Figures = dict[str, float | int | str]

# What a figure of ours must not exceed, in seconds; those in round trips are multiplied by one.
IN_ROUND_TRIPS = {
    "clean_first_median": 1.2,
    "clean_first_p95": 2.2,
    "clean_done_median": 3.0,
    "clean_put_median": 4.0,
    "dead25_first_p95": 2.2,
}
IN_SECONDS = {
    "dead25_done_median": 0.4,
    "dead25_done_p95": 0.9,
    "dead25_put_median": 0.5,
    "dead25_put_p95": 1.2,
    "loss2_done_median": 0.2,
    "loss2_done_p95": 0.5,
    "loss2_put_median": 0.3,
    "loss2_put_p95": 0.8,
    "many_all": 1.0,
    "many1000_all": 1.0,
}


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of all do not exceed, or the next one."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def figures_of(peer: str, case: str, done: Done, rtt: float) -> Figures:
    """The flat figures of one case of one peer.

    A get that was answered in less than half a round trip was answered from the node's own store: it counts as found,
    but not for the times.
    """
    if case in WRITERS:
        return _many_figures(f"{peer}_{case}", done)
    prefix = f"{peer}_{case}"
    far = [get for get in done.gets if get["ok"] and _at(get, "first_s") >= rtt / 2]
    figures: Figures = {}
    figures |= _times(f"{prefix}_first", [_at(get, "first_s") for get in far])
    figures |= _times(f"{prefix}_done", [get["s"] for get in far])
    figures |= _times(f"{prefix}_put", [put["s"] for put in done.puts if put["ok"]])
    figures[f"{prefix}_get_ok"] = _share(done.gets)
    figures[f"{prefix}_put_ok"] = _share(done.puts)
    figures[f"{prefix}_local"] = round(1 - len(far) / max(1, sum(get["ok"] for get in done.gets)), 3)
    figures[f"{prefix}_contacts"] = done.contacts
    figures[f"{prefix}_cpu_ms_per_operation"] = round(1000 * done.cpu_s / (len(done.puts) + len(done.gets)), 1)
    figures[f"{prefix}_router_late_ms"] = done.late_ms
    return figures


def _many_figures(prefix: str, done: Done) -> Figures:
    """Found by the worst reader; seconds until the last record of the slowest one."""
    return {
        f"{prefix}_found": min(get["found"] for get in done.gets),
        f"{prefix}_all_s": round(max(_at(get, "last_s") for get in done.gets), 4),
        f"{prefix}_all_median_s": round(median(_at(get, "last_s") for get in done.gets), 4),
        f"{prefix}_done_s": round(max(get["s"] for get in done.gets), 4),
        f"{prefix}_put_ok": _share(done.puts),
        f"{prefix}_cpu_ms_per_operation": round(1000 * done.cpu_s / (len(done.puts) + len(done.gets)), 1),
        f"{prefix}_router_late_ms": done.late_ms,
    }


def _at(get: dict[str, Any], what: str) -> float:
    """When the first or the last value came; a peer that does not tell gives all of them at the end."""
    seconds = get.get(what)
    return float(get["s"] if seconds is None else seconds)


def _times(prefix: str, values: list[float]) -> Figures:
    if not values:
        return {}
    return {f"{prefix}_median_s": round(median(values), 4), f"{prefix}_p95_s": round(quantile(values, 0.95), 4)}


def _share(answers: list[dict[str, Any]]) -> float:
    return round(sum(bool(answer["ok"]) for answer in answers) / len(answers), 4) if answers else 0.0


def aims(figures: Mapping[str, float | int | str], rtt: float) -> list[str]:
    """A line for each aim that was measured: figure, value, aim, whether it is reached."""
    limits = {name: times * rtt for name, times in IN_ROUND_TRIPS.items()} | IN_SECONDS
    lines = []
    for name, most in limits.items():
        value = figures.get(f"ours_{name}_s")
        if value is not None:
            lines.append(f"{name:22} {float(value):7.3f} s   <= {most:5.3f}  {'yes' if float(value) <= most else 'NO'}")
    for case, writers in WRITERS.items():
        found = figures.get(f"ours_{case}_found")
        if found is not None:
            lines.append(f"{case + '_found':22} {found:7}     = {writers:6}  {'yes' if found == writers else 'NO'}")
    return lines


def markdown(figures: Mapping[str, float | int | str], peers: Sequence[str], cases: Sequence[str]) -> str:
    """A table for docs/scale.md: median / p95 of every peer, and how many times ours the best of the others took."""
    lines = ["| seconds, median / p95 | " + " | ".join(peers) + " | best other : ours |"]
    lines.append("|---|" + "---:|" * (len(peers) + 1))
    for case in (case for case in cases if case not in WRITERS):
        lines += [_row(figures, peers, f"{case}_{what}") for what in ("first", "done", "put")]
    for case in (case for case in cases if case in WRITERS):
        cells = [
            f"{figures[f'{p}_{case}_found']} in {float(figures[f'{p}_{case}_all_s']):.2f}"
            if f"{p}_{case}_found" in figures
            else "-"
            for p in peers
        ]
        lines.append(f"| {case}: found of {WRITERS[case]}, all in | " + " | ".join(cells) + " | |")
    return "\n".join(lines)


def _row(figures: Mapping[str, float | int | str], peers: Sequence[str], name: str) -> str:
    pairs = {peer: [figures.get(f"{peer}_{name}_{part}_s") for part in ("median", "p95")] for peer in peers}
    cells = [" / ".join("-" if one is None else f"{float(one):.2f}" for one in pairs[peer]) for peer in peers]
    ratios = []
    for part in (0, 1):
        own = pairs.get("ours", [None, None])[part]
        others = [float(pair[part] or 0) for peer, pair in pairs.items() if peer != "ours" and pair[part] is not None]
        ratios.append(f"{min(others) / float(own):.1f}" if own and others else "-")
    return f"| {name.replace('_', ', ')} | " + " | ".join(cells) + f" | {' / '.join(ratios)} |"
