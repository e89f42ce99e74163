"""Fill the disk under a daemon at random moments of a trade: scripts/torture diskfull --cycles N --seed S --json.

A buyer and a seller, real processes, each with its home on a small tmpfs of its own, trade without pause. In each cycle
one of the two disks is filled to the last bytes, stays full for a moment, and gets its room back. While it is full, a
write through the API must fail with the code `disk_full` and a hint (`told`); any other error is `unclear`. When there
is room again the same write must succeed without any help, and every tenth time a whole new trade too, counted from the
moment at which the room came back (`worst_recovery_s`). At the end every trade is brought to its end, and the ledgers
are compared as scripts/torture kill does. `died` counts daemons that ended. Exit code 1 if any fault is not zero.

Needs root for the tmpfs, which is mounted in a mount namespace of this test alone; otherwise it ends with code 2.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from local_market import Daemon, DaemonError, LocalMarket
from torture_kill import PRICES, SELLER, Trade, Trader, books, compare

from p2pmarket.api.types import bodies as b
from p2pmarket.client import connect
from p2pmarket.errors import DiskFull, MarketError, NoDaemon, StoreError, Unavailable

DISK_BYTES = 40 * 2**20
NO_MORE = {errno.ENOSPC, errno.EDQUOT}
LEAST_LEFT, MOST_LEFT = 0, 32_768  # bytes that stay free
FULL_SECONDS = 0.6
RECOVERY_SECONDS = 90.0
END_SECONDS = 300.0  # for all trades: who could not be dialled three times is dialled every 3 minutes
WHOLE_TRADE_EVERY = 10
INSIDE = "DISKFULL_INSIDE"  # in the environment: we are in a mount namespace of our own
TRADERS = 2
CUPS = "cups of any colour " * 25
LONG_LIST = PRICES + "".join(f"C{n},{CUPS}{n},pcs,{n}.10,EUR\n" for n in range(1, 12_001))  # longer than the log may be
FAULTS = ("lost", "doubled", "second_signatures", "damaged", "unfinished", "unclear", "died", "not_recovered")


class Disk:
    """The tmpfs of one daemon's home."""

    def __init__(self, daemon: Daemon) -> None:
        self._ballast = daemon.home / "ballast"
        options = f"size={DISK_BYTES},mode=0700"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(daemon.home)], check=True)

    def fill(self, left: int) -> None:
        """Take all room but so many bytes."""
        with self._ballast.open("wb", buffering=0) as file:
            for size in (65_536, 4096):
                with suppress(OSError):
                    while file.write(bytes(size)):
                        pass
            file.truncate(max(0, file.tell() - left))

    def free(self) -> None:
        self._ballast.unlink()


class Cycles:
    """Fills one disk after another, and looks what the daemon says."""

    def __init__(self, disks: dict[Daemon, Disk], rng: random.Random) -> None:
        self._disks, self._rng = disks, rng
        self.counts: Counter[str] = Counter(told=0, unclear=0, died=0, not_recovered=0, unnoticed=0)
        self.worst = 0.0

    def one(self, number: int, trader: Trader) -> None:
        """One disk full, and free again."""
        daemon = self._rng.choice(list(self._disks))
        time.sleep(self._rng.uniform(0, 0.4))
        self._disks[daemon].fill(self._rng.randint(LEAST_LEFT, MOST_LEFT))
        time.sleep(self._rng.uniform(0, FULL_SECONDS))
        self._write_in_vain(daemon)
        self._disks[daemon].free()
        began = time.monotonic()
        self._until_writable(daemon)
        if number % WHOLE_TRADE_EVERY == 0:
            trade = Trade(f"{trader.name}-{number}")
            trader.trades.append(trade)
            self.counts["not_recovered"] += not trader.bring_on(trade, RECOVERY_SECONDS)
        self.worst = max(self.worst, time.monotonic() - began)
        self.counts["died"] += not daemon.running()

    def _write_in_vain(self, daemon: Daemon) -> None:
        """What the API says to more than fits."""
        try:
            connect(daemon.home, {}, timeout=20).prices_import(b.ImportPrices(csv=LONG_LIST.encode()))
        except DiskFull as error:
            self.counts["told" if error.hint else "unclear"] += 1
        except MarketError as error:
            print(f"{daemon.name}: {error.code}: {error.message}", file=sys.stderr, flush=True)
            self.counts["unclear"] += 1
        else:
            self.counts["unnoticed"] += 1

    def _until_writable(self, daemon: Daemon) -> None:
        limit = time.monotonic() + RECOVERY_SECONDS
        while time.monotonic() < limit:
            try:
                connect(daemon.home, {}, timeout=20).prices_import(b.ImportPrices(csv=PRICES.encode()))
            except (StoreError, NoDaemon, Unavailable):
                time.sleep(0.05)
            else:
                return
        self.counts["not_recovered"] += 1


def torture(root: Path, cycles: int, seed: int) -> dict[str, float | int]:
    """Trade and fill; the figures."""
    began, rng, stop = time.monotonic(), random.Random(seed), threading.Event()
    with LocalMarket(root) as market:
        market.add_bootstrap()
        seller, buyer = market.add("seller"), market.add("buyer")
        disks = {daemon: Disk(daemon) for daemon in (seller, buyer)}
        market.start([seller, buyer])
        seller.market("prices", "import", "-", stdin=PRICES)
        seller.market("announce", "coffee")
        buyer.market("contacts", "add", str(seller.market("id")["identity"]), SELLER)
        bears = (NoDaemon, Unavailable, StoreError)
        traders = [Trader(buyer.home, f"trade-{seed}-{number}", stop, bears=bears) for number in range(TRADERS + 1)]
        threads = [threading.Thread(target=trader.run) for trader in traders[1:]]
        for thread in threads:
            thread.start()
        filler = Cycles(disks, rng)
        try:
            for cycle in range(1, cycles + 1):
                filler.one(cycle, traders[0])
                if cycle % 10 == 0:
                    print(f"{cycle}/{cycles} {dict(filler.counts)}", file=sys.stderr, flush=True)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        trades = [trade for trader in traders for trade in trader.trades]
        _finish(traders)
        homes = {"buyer": buyer.home, "seller": seller.home}
    sides = {name: books(home) for name, home in homes.items()}
    errors = [error for trader in traders for error in trader.borne if isinstance(error, StoreError)]
    filler.counts["told"] += sum(isinstance(error, DiskFull) and bool(error.hint) for error in errors)
    filler.counts["unclear"] += sum(not isinstance(error, DiskFull) or not error.hint for error in errors)
    return {
        "cycles": cycles,
        "seed": seed,
        **compare(sides, trades),
        **filler.counts,
        "worst_recovery_s": round(filler.worst, 1),
        "trades": len(trades),
        "acknowledged": sum(len(side.told) for side in sides.values()),
        "seconds": round(time.monotonic() - began, 1),
    }


def _finish(traders: list[Trader]) -> None:
    """Every trade is brought to its end, without any help to the daemons."""
    limit = time.monotonic() + END_SECONDS
    for trader in traders:
        for trade in trader.trades:
            trader.bring_on(trade, max(1.0, limit - time.monotonic()))


def may_mount() -> bool:
    """Whether this machine lets us have a mount namespace with a tmpfs."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    script = "mount -t tmpfs tmpfs /mnt"
    return subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True).returncode == 0


def main() -> int:
    """Print a table, or one line of JSON."""
    parser = argparse.ArgumentParser(prog="scripts/torture diskfull", description=__doc__)
    parser.add_argument("--cycles", type=int, default=100, help="how often a disk is filled")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="one flat JSON object on the last line")
    asked = parser.parse_args()
    if asked.cycles < 1:
        parser.error("--cycles from 1")
    if INSIDE not in os.environ:
        if not may_mount():
            print("torture: a tmpfs in a mount namespace of its own needs root and unshare", file=sys.stderr)
            return 2
        os.environ[INSIDE] = "1"
        os.execvp("unshare", ["unshare", "-m", sys.executable, *sys.argv])
    with tempfile.TemporaryDirectory(prefix="p2pmarket-diskfull-") as folder:
        try:
            figures = torture(Path(folder), asked.cycles, asked.seed)
        except DaemonError as error:
            print(f"torture: {error}", file=sys.stderr)
            return 1
        finally:
            for disk in ("buyer", "seller"):
                subprocess.run(["umount", "-l", str(Path(folder) / disk)], capture_output=True)
    print(json.dumps(figures) if asked.json else "\n".join(f"{name:24} {value}" for name, value in figures.items()))
    return int(any(figures[name] for name in FAULTS))


if __name__ == "__main__":
    sys.exit(main())
