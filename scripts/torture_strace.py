"""No signed byte leaves a daemon before its row is on disk: scripts/torture strace [--cycles TRADES] [--json].

A buyer and a seller, real processes under strace, make real trades. Each daemon writes the signature of every document
into a file of marks in the moment in which it hands the document to a link (or an announcement to the DHT), so the
order of the system calls tells: at every mark, that signature must be in bytes that were written to the ledger's log
and that an `fdatasync` has covered, which had returned. `early` counts those that were not. `--deaf` runs the daemons
with a store that does not sync, where all must be early. Exit code 1 if any is early.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from local_market import Daemon, DaemonError, LocalMarket, wait_for

from p2pmarket.api.types import bodies as b
from p2pmarket.client import connect
from p2pmarket.daemon import main as marketd
from p2pmarket.dht.node import Node
from p2pmarket.errors import UnknownMessage
from p2pmarket.link import Link
from p2pmarket.messages import Document, decode_untrusted
from p2pmarket.store.database import Database
from p2pmarket.trade.documents import NAMES

MARKS, LOG = "marks", "ledger.sqlite-wal"
SIGNATURE_BYTES = 64
DEAF = "STRACE_DEAF"
CALLS = "write,pwrite64,fdatasync,fsync"
PRICES = "code,description,unit,price,currency\nB1,beans,kg,2.50,EUR\n"
SECONDS = 60
ENDED = re.compile(r"(?P<pid>\d+) +<\.\.\. (?P<call>\w+) resumed>.*= (?P<result>-?\d+)")
BEGUN = re.compile(r'(?P<pid>\d+) +(?P<call>\w+)\(\d+<(?P<path>[^>]*)>(?:, "(?P<data>[^"]*)")?')


class TracedDaemon(Daemon):
    """A daemon under strace, with marks."""

    def program(self) -> list[str]:
        # -D: the daemon is our child and hears our signals, strace watches from aside.
        options = [
            "-D",
            "-f",
            "--seccomp-bpf",
            "-e",
            f"trace={CALLS}",
            "-y",
            "-xx",
            "-s",
            "1000000",
            "-e",
            "signal=none",
        ]
        return ["strace", *options, "-o", str(self.trace), sys.executable, __file__, "--as-daemon"]

    @property
    def trace(self) -> Path:
        return self.home.with_suffix(".trace")

    def is_traced_to_its_end(self) -> bool:
        """Whether strace has written down that the daemon ended."""
        ended = rf"^{self.pid} +\+\+\+ exited".encode()  # short numbers are filled up with spaces
        return re.search(ended, self.trace.read_bytes()[-4096:], re.MULTILINE) is not None


def run_daemon(arguments: list[str]) -> None:
    """`marketd` that marks what it lets go, and is otherwise as ever."""
    marks = os.open(Path(arguments[arguments.index("--home") + 1]) / MARKS, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def mark(name: str, envelope: bytes) -> None:
        os.write(marks, name.encode() + b" " + envelope[-SIGNATURE_BYTES:] + b"\n")

    def mark_message(message: bytes) -> None:
        try:
            decoded = decode_untrusted(message)
        except UnknownMessage:
            return
        if isinstance(decoded, Document):
            mark(NAMES[decoded.kind], decoded.envelope)

    send, initiate, start_put = Link.send, Link.initiate, Node.start_put

    def marked_send(link: Link, message: bytes) -> None:
        mark_message(message)
        send(link, message)

    def marked_initiate(*given: Any) -> Link:
        for message in given[4] if len(given) > 4 else ():
            mark_message(message)
        return initiate(*given)

    def marked_put(node: Node, topic: bytes, envelope: bytes, *more: Any, **named: Any) -> int:
        mark("announcement", envelope)
        return start_put(node, topic, envelope, *more, **named)

    Link.send, Link.initiate, Node.start_put = marked_send, marked_initiate, marked_put  # type: ignore[method-assign, assignment]
    if DEAF in os.environ:
        _stop_syncing()
    marketd(arguments)


def _stop_syncing() -> None:
    connect_file = Database._connect

    def connect_deaf(database: Database[object]) -> Any:
        connection = connect_file(database)
        connection.execute("PRAGMA synchronous=OFF")
        return connection

    Database._connect = connect_deaf  # type: ignore[method-assign, assignment]


def read_trace(lines: Iterable[str]) -> tuple[Counter[str], Counter[str]]:
    """What left, by kind; and what of it left before it was on disk."""
    sent: Counter[str] = Counter()
    early: Counter[str] = Counter()
    written, safe = bytearray(), bytearray()
    syncing: dict[str, int] = {}  # thread -> how much was written when its sync began
    for line in lines:
        if (ended := ENDED.match(line)) is not None:
            covered = syncing.pop(ended["pid"], 0)
            safe += written[len(safe) : covered] if ended["result"] == "0" else b""
            continue
        begun = BEGUN.match(line)
        if begun is None:
            continue
        file, data = _bytes(begun["path"]).decode().rpartition("/")[2], _bytes(begun["data"] or "")
        if file == MARKS:
            name, _, signature = data.partition(b" ")
            kind = name.decode()
            sent[kind] += 1
            early[kind] += not _is_in(safe, signature[:SIGNATURE_BYTES])
        elif file == LOG and begun["call"] in {"write", "pwrite64"}:
            written += data
        elif file == LOG and line.rstrip().endswith("= 0"):
            safe += written[len(safe) :]
        elif file == LOG:
            syncing[begun["pid"]] = len(written)
    return sent, early


def _bytes(text: str) -> bytes:
    """strace's "\\x01\\x02"; newer ones leave the names of pipes and sockets plain."""
    return bytes.fromhex(text.replace("\\x", "")) if text.startswith("\\x") else text.encode()


def _is_in(safe: bytes | bytearray, signature: bytes) -> bool:
    """Whether a signature is there; the border of two pages may part it, but not both its halves."""
    half = SIGNATURE_BYTES // 2
    return signature[:half] in safe or signature[half:] in safe


def trade(seller: Daemon, buyer: Daemon, trades: int) -> None:
    """So many trades from request to acceptance."""
    seller.market("prices", "import", "-", stdin=PRICES)
    seller.market("announce", "coffee")
    client = connect(buyer.home)
    for _ in range(trades):
        request = client.request_open(b.OpenRequest(category="coffee", line_texts=["2 kg beans"])).request.id
        quotes = wait_for("a quote", SECONDS, lambda request=request: client.quotes(request).quotes)
        order = client.order(b.NewOrder(quote=quotes[0].id)).order.id
        wait_for("the acceptance", SECONDS, lambda order=order: _is_accepted(client.show(order).order))


def _is_accepted(order: Any) -> bool:
    return order is not None and order.state == "accepted"


def torture(root: Path, trades: int) -> dict[str, object]:
    """The trades under strace; the figures."""
    began = time.monotonic()
    with LocalMarket(root) as market:
        market.add_bootstrap()
        traced = []
        for name in ("seller", "buyer"):
            plain = market.add(name)
            daemon = market.daemons[name] = TracedDaemon(name, plain.home, plain.arguments)
            traced.append(daemon)
        market.start(traced)
        seller, buyer = traced
        trade(seller, buyer, trades)
    sent: Counter[str] = Counter()
    early: Counter[str] = Counter()
    for daemon in traced:
        wait_for(f"the trace of {daemon.name}", SECONDS, daemon.is_traced_to_its_end)
        with daemon.trace.open(encoding="ascii") as lines:
            found = read_trace(lines)
        sent, early = sent + found[0], early + found[1]
    return {
        "cycles": trades,
        "signed_documents_sent": sum(sent.values()),
        "early": sum(early.values()),
        **{f"sent_{name}": number for name, number in sorted(sent.items())},
        "seconds": round(time.monotonic() - began, 1),
    }


def main(arguments: Sequence[str]) -> int:
    """Print a table, or one line of JSON."""
    if arguments[:1] == ["--as-daemon"]:
        run_daemon(list(arguments[1:]))
        return 0
    parser = argparse.ArgumentParser(prog="scripts/torture strace", description=__doc__)
    parser.add_argument("--cycles", type=int, default=5, help="trades")
    parser.add_argument("--deaf", action="store_true", help="a store that does not sync: must find all early")
    parser.add_argument("--json", action="store_true", help="one flat JSON object on the last line")
    asked = parser.parse_args(arguments)
    if shutil.which("strace") is None:
        print("torture: there is no strace on this machine", file=sys.stderr)
        return 2
    if asked.deaf:
        os.environ[DEAF] = "1"
    with tempfile.TemporaryDirectory(prefix="p2pmarket-strace-") as folder:
        try:
            figures = torture(Path(folder), asked.cycles)
        except DaemonError as error:
            print(f"torture: {error}", file=sys.stderr)
            return 1
    print(json.dumps(figures) if asked.json else "\n".join(f"{name:32} {value}" for name, value in figures.items()))
    return int(bool(figures["early"]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
