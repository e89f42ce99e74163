#!/usr/bin/env python3
"""A buyer and a seller behind routers that let nobody in, with real network namespaces and real NAT.

    scripts/torture nat [--cycles N] [--seed S] [--json]

Needs Linux, root, `ip` (iproute2) and `nft` (nftables). Four daemons stand on a wide network, each in a /16 of its own;
two more sit behind routers that masquerade and drop what was not asked for. Checked: all six know how reachable they
are; the hidden seller is told that buyers cannot reach him and which port to forward; the hidden buyer gets a quote
that was written while he was dead, without being dialled, and both sides agree on the deal. `lost` counts cycles in
which a quote or the seller's word did not arrive. Nothing outside the namespaces is touched; they go at the end.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local_market import Daemon, print_figures, wait_for

SECONDS = 60.0
PORT = 4751
PUBLIC = {"first": "10.1.1.2", "second": "10.2.1.2", "seller": "10.3.1.2", "fourth": "10.4.1.2"}
HIDDEN = {"buyer": ("10.50.1.1", "192.168.7"), "hidden": ("10.60.1.1", "192.168.8")}


class Host(Daemon):
    """A daemon in a namespace of its own."""

    def __init__(self, name: str, space: str, home: Path, *arguments: str) -> None:
        super().__init__(name, home, ["--network", "test", "--listen", f"0.0.0.0:{PORT}", *arguments])
        self.space = space

    def program(self) -> list[str]:
        return ["ip", "netns", "exec", self.space, *super().program()]


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def plug(prefix: str, name: str, address: str) -> None:
    """A namespace with one leg on the wide network."""
    space = prefix + name
    inner, outer = f"{prefix}i{name}"[:15], f"{prefix}o{name}"[:15]
    ip("netns", "add", space)
    ip("-n", space, "link", "set", "lo", "up")
    ip("link", "add", inner, "type", "veth", "peer", "name", outer)
    ip("link", "set", inner, "netns", space)
    ip("link", "set", outer, "netns", f"{prefix}wide")
    ip("-n", f"{prefix}wide", "link", "set", outer, "master", "bridge", "up")
    ip("-n", space, "addr", "add", f"{address}/8", "dev", inner)
    ip("-n", space, "link", "set", inner, "up")


def hide(prefix: str, name: str, address: str, lan: str) -> None:
    """A namespace behind a router with NAT."""
    router, space = f"r{name}", prefix + name
    plug(prefix, router, address)
    near, far = f"{prefix}n{name}"[:15], f"{prefix}f{name}"[:15]
    ip("netns", "add", space)
    ip("-n", space, "link", "set", "lo", "up")
    ip("link", "add", near, "type", "veth", "peer", "name", far)
    ip("link", "set", near, "netns", prefix + router)
    ip("link", "set", far, "netns", space)
    ip("-n", prefix + router, "addr", "add", f"{lan}.1/24", "dev", near)
    ip("-n", prefix + router, "link", "set", near, "up")
    ip("-n", space, "addr", "add", f"{lan}.2/24", "dev", far)
    ip("-n", space, "link", "set", far, "up")
    ip("-n", space, "route", "add", "default", "via", f"{lan}.1")
    rules = (
        "add table ip home",
        "add chain ip home out { type nat hook postrouting priority 100 ; }",
        f'add rule ip home out oifname "{prefix}i{router}" masquerade',
        "add chain ip home through { type filter hook forward priority 0 ; policy drop ; }",
        "add rule ip home through ct state established,related accept",
        f'add rule ip home through iifname "{near}" accept',
    )
    inside = ["ip", "netns", "exec", prefix + router]
    subprocess.run([*inside, "sysctl", "-qw", "net.ipv4.ip_forward=1"], check=True)
    subprocess.run([*inside, "nft", "-f", "-"], input="\n".join(rules) + "\n", text=True, check=True)


@contextmanager
def networks() -> Iterator[str]:
    """The namespaces, by the prefix of their names."""
    prefix = f"m{os.getpid() % 100_000}"
    try:
        ip("netns", "add", f"{prefix}wide")
        ip("-n", f"{prefix}wide", "link", "add", "bridge", "type", "bridge")
        ip("-n", f"{prefix}wide", "link", "set", "bridge", "up")
        for name, address in PUBLIC.items():
            plug(prefix, name, address)
        for name, (address, lan) in HIDDEN.items():
            hide(prefix, name, address, lan)
        yield prefix
    finally:
        names = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout.split()
        for name in names:
            if name.startswith(prefix):
                ip("netns", "delete", name)


def start(hosts: dict[str, Host]) -> None:
    for host in hosts.values():
        host.start()
    for host in hosts.values():
        host.wait_ready()
    for host in hosts.values():
        wait_for(
            f"{host.name} to know how reachable it is",
            SECONDS,
            lambda one=host: one.market("status")["reachable"]["verdict"] != "unknown",
        )


def check_verdicts(hosts: dict[str, Host]) -> None:
    """Who can be dialled knows it, who cannot is told what to do."""
    for name, host in hosts.items():
        verdict = host.market("status")["reachable"]["verdict"]
        expected = {"outbound_only"} if name in HIDDEN else {"public", "mapped"}
        if verdict not in expected:
            raise AssertionError(f"{name} is {verdict}")
    problems = hosts["hidden"].market("announce", "coffee")["problems"]
    told = " ".join(f"{one['message']} {one['hint']}" for one in problems)
    if "buyers cannot reach you" not in told or f"forward TCP and UDP port {PORT}" not in told:
        raise AssertionError(f"the hidden seller was told: {told}")


def one_trade(hosts: dict[str, Host]) -> float:
    """A quote written while the buyer is dead; returns the seconds from his return until it was there."""
    buyer, seller = hosts["buyer"], hosts["seller"]
    request = buyer.market("request", "coffee", "20 kg Yirgacheffe", "--detach")["request"]["id"]
    wait_for("the request", SECONDS, lambda: request in {one["id"] for one in seller.market("inbox")["items"]})
    if buyer.process is not None:
        buyer.process.kill()
        buyer.process.wait()
    seller.market("quote", request, "--total", "430 EUR")
    buyer.start()
    buyer.wait_ready()
    began = time.monotonic()
    wait_for("the quote", SECONDS, lambda: buyer.market("quotes", request)["quotes"])
    waited = time.monotonic() - began
    quote = buyer.market("quotes", request)["quotes"][0]["id"]
    order = buyer.market("order", quote)["order"]
    wait_for("the order", SECONDS, lambda: order["id"] in {one["id"] for one in seller.market("inbox")["items"]})
    seller.market("accept", order["id"])
    for host in (buyer, seller):
        wait_for("the deal", SECONDS, lambda one=host: state(one, order["deal"]) == "agreed")
    return waited


def state(host: Host, deal: str) -> str | None:
    return next((one["state"] for one in host.market("deals")["deals"] if one["id"] == deal), None)


def torture(cycles: int, prefix: str, folder: Path) -> dict[str, object]:
    first = Host("first", f"{prefix}first", folder / "first", "--advertise", f"{PUBLIC['first']}:{PORT}")
    first.start()
    first.wait_ready()
    hosts = {"first": first}
    try:
        contact = first.market("id")["contact"]
        for name in (*list(PUBLIC)[1:], *HIDDEN):
            hosts[name] = Host(name, prefix + name, folder / name, "--bootstrap", contact)
        start({name: host for name, host in hosts.items() if host is not first})
        check_verdicts(hosts)
        hosts["seller"].market("announce", "coffee")
        waited = []
        lost = 0
        for _ in range(cycles):
            try:
                waited.append(one_trade(hosts))
            except TimeoutError:
                lost += 1
    finally:
        for host in hosts.values():
            host.stop()
    return {"cycles": cycles, "lost": lost, "quote_after_return_s_max": round(max(waited, default=0.0), 2)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/torture nat")
    parser.add_argument("--cycles", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1, help="accepted for the likeness of all tests; nothing is random")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if os.geteuid() != 0 or not (shutil.which("ip") and shutil.which("nft")):
        sys.exit("this test needs Linux, root, ip (iproute2) and nft (nftables)")
    with tempfile.TemporaryDirectory(prefix="market-") as folder, networks() as prefix:
        figures = torture(options.cycles, prefix, Path(folder))
    print_figures(figures, as_json=options.json)
    sys.exit(1 if figures["lost"] else 0)


if __name__ == "__main__":
    main()
