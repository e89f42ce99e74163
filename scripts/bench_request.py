#!/usr/bin/env python3
"""From a request to its quotes, with real processes on loopback: 20 sellers, a bootstrap node and a buyer.

    scripts/bench request [--json] [--sellers N] [--runs N]

A run begins with POST at the buyer's API and ends with the last of all automatic quotes on his event stream. The DHT
lookup is in it, and so are the links: every request has a key of its own, so none is open before. Tables are warm: the
sellers are announced and the buyer has joined; the run before has ended on all sides. Figures: medians over the runs
of the first quote and of all; CPU time of the buyer and of a seller for each quote, over all runs, with closing the
request in it; and beside them, from the same run, one plain call of the API, and a bare exchange over TCP with as
many echo processes as there are sellers, which nothing on this machine beats.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from local_market import Daemon, LocalMarket, print_figures, wait_for

from p2pmarket.api.types import Code, Quantity
from p2pmarket.api.types.bodies import CloseRequest, NewLine, OpenRequest
from p2pmarket.client import Client, EventStream, connect

CATEGORY = "coffee/roasted"
PRICES = "code,description,unit,price,currency\nYIRG-1,Yirgacheffe,kg,15.50,EUR\nSIDA-1,Sidamo,kg,14.20,EUR\n"


def line(quantity: str, text: str, code: str) -> NewLine:
    codes = [Code(scheme="seller", value=code)]
    return NewLine(quantity=Quantity(value=quantity, unit="KGM"), text=text, codes=codes)


LINES = [line("20", "Yirgacheffe", "YIRG-1"), line("5", "Sidamo", "SIDA-1")]
RUN_SECONDS = 30.0
SETTLE_SECONDS = 0.3
ECHO = """
import socket
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    stream, _ = listener.accept()
    stream.sendall(stream.recv(4096))
    stream.close()
"""


def open_shop(daemon: Daemon, number: int) -> None:
    """A seller with a price list who is announced."""
    prices = daemon.home.with_suffix(".csv")
    prices.write_text(PRICES, encoding="utf-8")
    daemon.market("profile", "set", "name", f"Seller {number}")
    daemon.market("prices", "import", str(prices))
    daemon.market("announce", CATEGORY, "--serves", "world")


def ready(daemon: Daemon) -> bool:
    return all(one["holders"] > 0 for one in daemon.market("announcements")["announcements"])


def settle(client: Client) -> None:
    """Wait until every seller has acknowledged that the request is closed: nothing is under way at the next run."""
    wait_for("the outbox to empty", RUN_SECONDS, lambda: client.status().outbox.waiting == 0)
    time.sleep(SETTLE_SECONDS)


def one_run(client: Client, events: EventStream, sellers: int) -> list[float]:
    """Milliseconds from POST to each quote on the event stream."""
    ids: list[str] = []

    def post() -> None:
        body = OpenRequest(category=CATEGORY, lines=LINES, region="DE", currency="EUR", reply_by="1h")
        ids.append(client.request_open(body).request.id)

    poster = threading.Thread(target=post)
    began = time.perf_counter()
    poster.start()
    arrived: dict[str, float] = {}
    while len(arrived) < sellers and time.perf_counter() - began < RUN_SECONDS:
        event = events.wait(RUN_SECONDS)
        if event is not None and event.type == "quote.received":
            arrived.setdefault(event.data["id"], (time.perf_counter() - began) * 1000)
    poster.join()
    client.request_close(ids[0], CloseRequest())
    settle(client)
    if len(arrived) < sellers:
        raise TimeoutError(f"{len(arrived)} of {sellers} quotes within {RUN_SECONDS:.0f} s")
    return sorted(arrived.values())


def api_call_ms(client: Client, runs: int) -> float:
    """A plain GET of the buyer's API."""
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        client.identity()
        times.append((time.perf_counter() - began) * 1000)
    return median(times)


@contextlib.contextmanager
def echoes(count: int) -> Iterator[list[int]]:
    """Ports of `count` processes that send back what they get."""
    command = [sys.executable, "-c", ECHO]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    try:
        yield [int(process.stdout.readline()) for process in processes if process.stdout is not None]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def tcp_floor_ms(sellers: int, runs: int) -> float:
    """Connect to as many processes, send 1 kB and read it back from all: first opened all, then read."""
    times = []
    with echoes(sellers) as ports:
        for _ in range(runs):
            began = time.perf_counter()
            streams = [socket.create_connection(("127.0.0.1", port)) for port in ports]
            for stream in streams:
                stream.sendall(bytes(1024))
            for stream in streams:
                stream.recv(4096)
                stream.close()
            times.append((time.perf_counter() - began) * 1000)
    return median(times)


def measure(net: LocalMarket, sellers: int, runs: int) -> dict[str, object]:
    net.add_bootstrap()
    shops = [net.add(f"seller-{number}") for number in range(1, sellers + 1)]
    buyer = net.add("buyer")
    net.start([*shops, buyer])
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(open_shop, shops, range(1, sellers + 1)))
    for shop in shops:
        wait_for(f"the announcement of {shop.name}", 60, lambda one=shop: ready(one))
    wait_for("the buyer to join", 60, lambda: buyer.market("status")["state"] == "ready")
    client = connect(buyer.home)
    with client.events() as events:
        one_run(client, events, sellers)  # not counted: modules load, tables fill
        before = buyer.cpu_seconds(), sum(shop.cpu_seconds() for shop in shops)
        times = [one_run(client, events, sellers) for _ in range(runs)]
        after = buyer.cpu_seconds(), sum(shop.cpu_seconds() for shop in shops)
    quotes = runs * sellers
    return {
        "first_quote_ms_median": round(median(run[0] for run in times), 1),
        "all_quotes_ms_median": round(median(run[-1] for run in times), 1),
        "first_quote_ms_max": round(max(run[0] for run in times), 1),
        "all_quotes_ms_max": round(max(run[-1] for run in times), 1),
        "buyer_cpu_ms_per_quote": round((after[0] - before[0]) * 1000 / quotes, 2),
        "seller_cpu_ms_per_quote": round((after[1] - before[1]) * 1000 / quotes, 2),
        "api_call_ms_median": round(api_call_ms(client, runs), 2),
        "tcp_floor_ms_median": round(tcp_floor_ms(sellers, runs), 2),
        "sellers": sellers,
        "runs": runs,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench request")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--sellers", type=int, default=20)
    parser.add_argument("--runs", type=int, default=30)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="market-") as folder, LocalMarket(Path(folder)) as net:
        figures = measure(net, options.sellers, options.runs)
    print_figures(figures, as_json=options.json)


if __name__ == "__main__":
    main()
