#!/usr/bin/env python3
"""The whole market on this machine: real daemons, real order lines, the main job from a request to a checked deal.

    scripts/demo [--keep] [--json] [--folder DIR]

One bootstrap node, nine sellers and a buyer, each a `marketd` process with a home of its own under .demo/, on loopback.
The buyer, and one seller, accept no connection from outside. The buyer sends three real invoices as requests, the
largest of 592 rows; quotes come from price lists drawn from the same order lines; one seller writes his quote by hand
while the buyer is away. The best quotes are ordered; deals are exported and checked as a stranger would; one of them is
taken to its end: changed, delivered in two parcels, billed, credited and paid. Nothing is used but `marketd` and
`market … --json`, and every number shown comes from this run.

`--keep` leaves the market running and says how to use it; `--json` prints the figures as one flat object at the end.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import demo_tables as show
from demo_deal import finish
from demo_orders import Article, OrderLine, articles_of, csv_text, read_orders, seller_price
from demo_sellers import SELLERS, Seller
from local_market import BIN, CommandError, Daemon, DaemonError, LocalMarket, print_figures, wait_for

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".demo"
CATEGORY = "cpv:39298900"
BY_HAND = next(seller for seller in SELLERS if seller.by_hand)
BY_HAND_FACTOR = Decimal(BY_HAND.factor)
NO_INBOUND = next(seller for seller in SELLERS if seller.no_inbound)
JSON = Any


@dataclass(frozen=True)
class Wanted:
    """An invoice that the buyer sends as a request, and where its goods must arrive."""

    invoice: str
    region: str
    address: str


WANTED = (
    Wanted("536527", "DE", "Haus Linde; Lindenweg 3; 20095 Hamburg"),
    Wanted("536532", "NO", "Butikk Fjord; Strandgaten 12; 5013 Bergen"),
    Wanted("536592", "GB", "The Gift Room; 14 Castle Street; Norwich NR2 1PD"),
)


@dataclass
class Demo:
    """The run: its daemons, what it shows, and its figures."""

    net: LocalMarket
    began: float = field(default_factory=time.monotonic)
    figures: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.console = show.make_console()
        self.orders = read_orders()
        self.articles: list[Article] = articles_of(self.orders)
        self.buyer: Daemon
        self.sellers: dict[str, Daemon] = {}

    def say(self, text: str) -> None:
        self.console.print(f"[{time.monotonic() - self.began:5.1f} s] {text}")

    # The market comes up

    def open(self) -> None:
        """Start all daemons; sellers tell who they are, import their prices and announce themselves."""
        bootstrap = self.net.add_bootstrap()
        self.say(f"bootstrap node ready: {bootstrap.market('id')['contact']}")
        for seller in SELLERS:
            flags = ["--outbound-only"] if seller.no_inbound else []
            self.sellers[seller.key] = self.net.add(seller.key, *flags, config=seller.config())
        self.buyer = self.net.add("buyer", "--outbound-only")
        self.net.start([*self.sellers.values(), self.buyer])
        self.say(f"{len(self.net.daemons)} daemons ready, each a process with its own home, key and database")
        with ThreadPoolExecutor(4) as pool:
            opened = list(pool.map(self.open_shop, SELLERS))
            pool.submit(self.introduce_buyer).result()
        self.console.print(show.sellers_table(zip(SELLERS, *zip(*opened, strict=True), strict=True)))
        verdict = self.buyer.market("status")["reachable"]["verdict"]
        self.say(f"the buyer accepts no connection either ({verdict}): quotes come over links that he dialled")

    def open_shop(self, seller: Seller) -> tuple[JSON, int]:
        """A seller's first steps, as he would type them; his identity and how many prices he imported."""
        daemon = self.sellers[seller.key]
        daemon.market("profile", "set", "name", seller.name)
        daemon.market("profile", "set", "region", seller.region)
        imported = 0
        if not seller.by_hand:
            file = self.net.root / f"{seller.key}-prices.csv"
            file.write_text(seller.price_file(self.articles), encoding="utf-8")
            imported = int(daemon.market("prices", "import", str(file))["imported"])
        serves = [word for region in seller.serves for word in ("--serves", region)]
        daemon.market("announce", CATEGORY, *serves)
        return daemon.market("id"), imported

    def introduce_buyer(self) -> None:
        self.buyer.market("profile", "set", "name", "The Gift Room")
        self.buyer.market("profile", "set", "region", "GB")

    def wait_until_found(self) -> None:
        """Until every announcement is held by other nodes."""

        def held(daemon: Daemon) -> int:
            return min((int(each["holders"]) for each in daemon.market("announcements")["announcements"]), default=0)

        for daemon in self.sellers.values():
            wait_for(f"the announcement of {daemon.name} to be held", 20, lambda one=daemon: held(one))
        self.say("all nine are announced; other nodes hold their signed records")

    # A request and its quotes

    def ask(self, wanted: Wanted) -> tuple[JSON, show.Progress]:
        """Send an invoice as a request, watch the quotes come, and leave by Ctrl-C: the request stays open."""
        lines = self.orders.invoice(wanted.invoice)
        file = self.net.root / f"{wanted.invoice}.csv"
        file.write_text(request_file(lines), encoding="utf-8")
        options = ("--file", str(file), "--region", wanted.region, "--currency", "GBP", "--ref", wanted.invoice)
        expected = sum(serves(seller, wanted.region) for seller in SELLERS)
        progress = show.Progress(len(lines))
        title = f"Invoice {wanted.invoice}: {len(lines)} lines to {wanted.region}"
        stream = self.buyer.stream("request", CATEGORY, *options, "--timeout", "20s")
        request = None
        with show.live_view(self.console, progress, title) as update:
            for event in stream.objects(25):
                progress.take(event)
                request = request or event["id"]
                update()
                if progress.settled(expected, {BY_HAND.name}):
                    break
            stream.interrupt()
        return self.buyer.market("quotes", str(self.newest_request())), progress

    def newest_request(self) -> str:
        return str(self.buyer.market("requests")["requests"][0]["id"])

    def compare(self, reply: JSON, wanted: Wanted) -> JSON:
        """Show the quotes side by side and choose: most lines, then the lowest total in the request's currency."""
        best = best_quote(reply)
        self.console.print(show.quotes_table(f"Quotes for invoice {wanted.invoice}", reply, best["id"]))
        missing = len(best["missing_lines"])
        name, total = best["seller"]["name"], show.money(best["total"])
        self.say(f"best: {name}, {total}, {f'{missing} lines missing' if missing else 'every line'}")
        return best

    def order(self, quote: JSON, wanted: Wanted) -> None:
        """Order a quote, have it accepted, and show the deal as each side has it; the first one is taken to its end."""
        order = self.buyer.market(
            "order", quote["id"], "--deliver-to", wanted.address, "--ref", f"PO-{wanted.invoice}"
        )["order"]
        seller = next(seller for seller in SELLERS if seller.name == quote["seller"]["name"])
        daemon = self.sellers[seller.key]
        if seller.by_hand:
            wait_for("the order in the seller's inbox", 20, lambda: self.orders_waiting(daemon, order["id"]))
            daemon.market("accept", order["id"])
        deals = [wait_for("the deal", 20, lambda one=one: agreed(one, order["deal"])) for one in (self.buyer, daemon)]
        how = "by hand" if seller.by_hand else "by his daemon, because the quote was firm"
        self.say(f"ordered and accepted {how}: {show.money(deals[0]['total'])}, order {order['id'][:12]}")
        if wanted is WANTED[0]:
            deals = finish(self.buyer, daemon, order["deal"], self.say)
            self.count("completed")
        files = wait_for("the same papers on both sides", 20, lambda: self.same_files(daemon, order["deal"]))
        digests = [digest(file) for file in files]
        self.count("equal_on_both_sides", len(set(digests)) == 1)
        self.console.print(show.deal_table(zip(("buyer", "seller"), deals, digests, strict=True)))
        self.verify(files)

    @staticmethod
    def orders_waiting(daemon: Daemon, order: str) -> bool:
        return any(item["id"] == order for item in daemon.market("inbox")["items"])

    def same_files(self, daemon: Daemon, deal: str) -> list[Path] | None:
        """The files of both sides, once nothing is under way: the last receipts of delivery may still be."""
        files = [self.export(one, deal) for one in (self.buyer, daemon)]
        return files if len(set(map(digest, files))) == 1 else None

    def export(self, daemon: Daemon, deal: str) -> Path:
        file = self.net.root / f"{deal[:12]}-{daemon.name}.deal"
        daemon.market("export", deal, "-o", str(file), "--force")
        return file

    def verify(self, files: Iterable[Path]) -> None:
        """Check the files as a stranger would: an empty home, no daemon; then one of them with another total."""
        stranger = Daemon("stranger", self.net.root / "stranger", ())
        for file in files:
            assert stranger.market("verify", str(file))["ok"]
            self.count("files_verified")
        forged = file.with_suffix(".forged")
        true = file.read_bytes()
        total = str(json.loads(true)["summary"]["total"])
        forged.write_bytes(true.replace(f'"{total}"'.encode(), b'"1.00"'))
        assert forged.read_bytes() != true
        refusal = stranger.market("verify", str(forged), expect=(65,))
        self.count("forgeries_refused")
        self.say(f"both files verified without a daemon; with a total of 1.00 in it: {reason_of(refusal)}")

    def count(self, name: str, more: int = 1) -> None:
        self.figures[name] = int(str(self.figures.get(name, 0))) + more

    # A quote by hand, over a link that dropped and came back

    def quote_by_hand(self, request: str) -> float:
        """The buyer's daemon goes away; the seller quotes; the buyer comes back. Seconds from READY to the quote."""
        daemon = self.sellers[BY_HAND.key]
        item = next(item for item in daemon.market("inbox")["items"] if item["id"] == request)
        self.say(f"{BY_HAND.name} finds in his inbox: {item['title']}, {item['lines']} lines, to {item['region']}")
        self.buyer.stop()
        self.say("the buyer's daemon is stopped: every link to him is down, and nobody can dial him")
        lines = daemon.market("show", request)["request"]["lines"]
        file = self.net.root / "by-hand.csv"
        file.write_text(csv_text(("line", "price"), hand_prices(lines, self.articles)), encoding="utf-8")
        terms = ("--delivery-days", str(BY_HAND.days), "--charge", f"delivery={BY_HAND.delivery} GBP", "--valid", "30d")
        made = daemon.market("quote", request, "--file", str(file), "--currency", BY_HAND.currency, *terms)["quote"]
        waiting = daemon.market("status")["outbox"]["waiting"]
        self.say(f"he quotes all the same: {show.money(made['total'])}; {waiting} document waits in his outbox")
        self.buyer.start()
        self.buyer.wait_ready()
        back = time.monotonic()
        wait_for("the quote by hand", 30, lambda: self.has_quote(request, made["id"]), pause=0.05)
        seconds = time.monotonic() - back
        self.say(f"the buyer is back and has dialled him again: the quote is there {seconds:.1f} s after READY")
        return seconds

    def has_quote(self, request: str, quote: str) -> bool:
        return any(one["id"] == quote for one in self.buyer.market("quotes", request)["quotes"])

    # All of it

    def run(self) -> None:
        self.open()
        self.wait_until_found()
        self.console.print(show.left_out_table(self.orders, [wanted.invoice for wanted in WANTED]))
        for wanted in WANTED:
            reply, progress = self.ask(wanted)
            search = reply["request"]["search"]
            found, nodes = search["sellers_found"], search["nodes_asked"]
            self.say(f"{found} sellers found by asking {nodes} nodes; {len(progress.quotes)} quotes so far")
            if serves(BY_HAND, wanted.region):
                request = reply["request"]["id"]
                self.figures["hand_quote_after_ready_s"] = round(self.quote_by_hand(request), 2)
                reply = self.buyer.market("quotes", request)
            self.count("requests")
            self.count("lines_asked", len(reply["request"]["lines"]))
            self.count("quotes", len(reply["quotes"]))
            self.order(self.compare(reply, wanted), wanted)
            self.count("deals")


def serves(seller: Seller, region: str) -> bool:
    return region in seller.serves or "world" in seller.serves


def request_file(lines: Iterable[OrderLine]) -> str:
    """An invoice's lines as the CSV that `market request --file` reads."""
    rows = ((line.code, line.text, line.quantity, "pcs") for line in lines)
    return csv_text(("code", "description", "quantity", "unit"), rows)


def hand_prices(lines: Iterable[JSON], articles: Iterable[Article]) -> list[tuple[int, str]]:
    """(line, price) as the seller without a price list writes them."""
    known = {article.code: article.price for article in articles}
    prices = []
    for line in lines:
        code = next(code["value"] for code in line["codes"])
        prices.append((int(line["no"]), seller_price(known[code], BY_HAND.key, code, BY_HAND_FACTOR)))
    return prices


def best_quote(reply: JSON) -> JSON:
    """Most lines, then the lowest total, among firm quotes in the request's currency."""
    currency = reply["request"]["currency"]
    open_ones = [quote for quote in reply["quotes"] if quote["state"] == "open" and quote["kind"] == "firm"]
    comparable = [quote for quote in open_ones if quote["total"]["currency"] == currency]
    return min(comparable, key=lambda quote: (len(quote["missing_lines"]), float(quote["total"]["amount"])))


def agreed(daemon: Daemon, deal: str) -> JSON:
    """The deal, once it is agreed."""
    deals = daemon.market("deals")["deals"]
    return next((one for one in deals if one["id"] == deal and one["state"] == "agreed"), None)


def reason_of(refusal: JSON) -> str:
    """What `market verify` said against a file, as one line."""
    problems = refusal.get("problems") or [refusal.get("error", {}).get("message", "")]
    return f"refused ({problems[0]})"


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def fresh_folder(folder: Path) -> Path:
    """An empty folder for the run; refuses to empty one that is not the demo's, or of a market that still runs."""
    if folder.exists() and any(folder.iterdir()) and not (folder / "bootstrap").is_dir():
        sys.exit(f"{shown(folder)} holds other things than a demo: name another folder")
    pids = folder / "pids"
    if pids.exists() and any(still_runs(int(pid)) for pid in pids.read_text(encoding="ascii").split()):
        sys.exit(f"A market that was kept is still running. End it with: kill $(cat {shown(pids)})")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    return folder


def shown(path: Path) -> str:
    """A path as one would type it here."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def still_runs(pid: int) -> bool:
    """Whether `pid` is one of our daemons: a number alone may have been given to another process."""
    try:
        return b"marketd" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def keep_running(demo: Demo) -> None:
    """Leave all daemons to the user and tell him how to go on."""
    net = demo.net
    (net.root / "pids").write_text("\n".join(map(str, net.pids())) + "\n", encoding="ascii")
    bin_folder, root = shown(BIN), shown(net.root)
    demo.console.print("The market goes on. Try:")
    for home, command in (
        ("buyer", "requests"),
        ("buyer", f'request {CATEGORY} "12 pcs WHITE METAL LANTERN" --region GB --timeout 10s'),
        (BY_HAND.key, "inbox"),
        (NO_INBOUND.key, "doctor"),
    ):
        demo.console.print(f"  {bin_folder}/market --home {root}/{home} {command}")
    demo.console.print(f"End it with: kill $(cat {root}/pids)")
    net.daemons.clear()


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/demo", description="The whole market on this machine.")
    parser.add_argument("--keep", action="store_true", help="leave the market running and print how to use it")
    parser.add_argument("--json", action="store_true", help="end with the figures as one JSON object")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the homes go; it is emptied first")
    options = parser.parse_args()
    with LocalMarket(fresh_folder(options.folder.absolute())) as net:
        demo = Demo(net)
        try:
            demo.run()
        except (CommandError, DaemonError, TimeoutError, AssertionError) as error:
            print(f"the demo failed: {error}\nlogs: {net.root}/*.log", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            demo.say("interrupted")
            return 130
        if options.keep:
            keep_running(demo)
            return 0
        codes = net.stop()
        demo.say(f"{len(codes)} daemons stopped cleanly" if not any(codes.values()) else f"exit codes: {codes}")
        demo.figures["daemons"] = len(codes)
        demo.figures["unclean_ends"] = sum(code != 0 for code in codes.values())
        demo.figures["seconds"] = round(time.monotonic() - demo.began, 1)
    if options.json:
        print_figures(demo.figures, as_json=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
