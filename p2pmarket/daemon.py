"""`marketd`: reads its settings, opens everything in order, runs it in one nursery, and ends cleanly.

Order: settings, home lock, identity, sockets, ledger, cache, market, local API; only then READY on stdout (and to
systemd). SIGTERM and SIGINT end it in the reverse order. Every error of the start is one sentence with a hint, and the
exit code of its class.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

import msgspec
import trio

from p2pmarket.api.server import serve_api
from p2pmarket.clock import wall
from p2pmarket.config import Config, Flags, load_config, start_command
from p2pmarket.errors import LedgerCorrupt, MarketError, StartError, StoreError
from p2pmarket.home import end_first_start, is_first_start, load_identity, load_node_key, locked_home, lost_ledger
from p2pmarket.keys import SigningKey
from p2pmarket.market.market import Market
from p2pmarket.market.recalling import MACHINE_BYTES, after_restore
from p2pmarket.market.verbs import Verbs
from p2pmarket.restore import end_restore, is_restored
from p2pmarket.sockets import open_sockets
from p2pmarket.store.cache import Cache, cache_database, discard_cache
from p2pmarket.store.database import Database
from p2pmarket.store.ledger import Ledger, ledger_database

SWITCH_SECONDS = 0.0005
GC_THRESHOLDS = (10_000, 20, 20)  # what is made for one call or message is rarely in a circle
log = logging.getLogger("p2pmarket")


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script."""
    flags = _flags(sys.argv[1:] if arguments is None else arguments)
    try:
        config = load_config(flags, os.environ)
        _log_to_stderr(config)
        for problem in config.problems:
            log.warning("%s: this line is passed over", problem)
        trio.run(_run_to_end, config)
    except MarketError as error:
        sys.exit(_complain(error))
    except BaseExceptionGroup as group:
        wanted, rest = group.split(MarketError)
        if wanted is None or rest is not None:
            raise
        sys.exit(_complain(_first(wanted)))


def _first(group: BaseExceptionGroup[MarketError]) -> MarketError:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, MarketError)
    return error


def _complain(error: MarketError) -> int:
    print(f"marketd: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"  {error.hint}", file=sys.stderr)
    return error.exit_code


def _flags(arguments: Sequence[str]) -> Flags:
    parser = argparse.ArgumentParser(
        prog="marketd",
        description="The daemon of a decentralised marketplace: runs in the foreground, works without arguments.",
        epilog="Then use: market status, market announce, market request. SIGTERM or Ctrl-C ends it.",
    )
    parser.add_argument("--home", metavar="DIR", help="the folder that is this identity (MARKET_HOME)")
    parser.add_argument("--listen", metavar="HOST:PORT", help="UDP and TCP; port 0 takes a free one (0.0.0.0:4751)")
    parser.add_argument("--advertise", metavar="HOST:PORT", help="the public address, if peers cannot tell it")
    parser.add_argument(
        "--bootstrap", metavar="CONTACT", action="append", default=[], help="a node to join by: NODEKEY.r@HOST:PORT"
    )
    parser.add_argument("--network", metavar="NAME", help="main, dev or test; a home stays on its first (main)")
    parser.add_argument("--outbound-only", action="store_true", default=None, help="accept no connection from others")
    parser.add_argument("--local", action="store_true", default=None, help="look for others on the local network too")
    parser.add_argument("--api-tcp", metavar="HOST:PORT", help="also serve the local API on loopback, with a token")
    parser.add_argument("--log", metavar="LEVEL", help="debug, info, warning, error; for areas: info,dht=debug")
    parser.add_argument("--version", action="version", version=f"marketd {version('p2pmarket')}")
    told = parser.parse_args(arguments)
    return Flags(
        home=told.home,
        listen=told.listen,
        advertise=told.advertise,
        network=told.network,
        bootstrap=tuple(told.bootstrap),
        outbound_only=told.outbound_only,
        local=told.local,
        api_tcp=told.api_tcp,
        log=told.log,
    )


async def _run_to_end(config: Config) -> None:
    """Run until a signal comes; signals count from the first moment."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run, config, nursery.cancel_scope)
            async for number in signals:
                log.info("ending on %s", signal.Signals(number).name)
                nursery.cancel_scope.cancel()
                break


async def run(config: Config, ending: trio.CancelScope) -> None:
    """The daemon, until cancelled; `ending` is cancelled if it ends by itself."""
    work_out_types()
    with ExitStack() as stack:
        stack.enter_context(locked_home(config.home))
        identity = load_identity(config.home)
        node_key = load_node_key(config.home)
        udp, listener = stack.enter_context(open_sockets(config))
        ledger = stack.enter_context(ledger_database(config.home).open())
        await ledger.run(lambda tx: _claim(tx, identity, config))
        end_first_start(config.home)
        if is_restored(config.home):
            await ledger.run(lambda tx: after_restore(tx, identity.public, secrets.token_bytes(MACHINE_BYTES), wall()))
            end_restore(config.home)
        cache = _open_cache(config.home, stack)
        market = Market(config, identity, node_key, ledger, cache, udp, listener)
        async with trio.open_nursery() as nursery:
            await nursery.start(market.run)
            await nursery.start(serve_api, config, Verbs(market))
            _settle()
            _say_ready(market.port)
            await trio.sleep_forever()
    ending.cancel()


def work_out_types() -> None:
    """msgspec works a class out at its first use, and can crash if two threads meet there: do it while there is one."""
    waiting: list[type[msgspec.Struct]] = [msgspec.Struct]
    while waiting:
        for kind in waiting.pop().__subclasses__():
            msgspec.json.Decoder(kind)
            waiting.append(kind)


def _open_cache(home: Path, stack: ExitStack) -> Database[Cache]:
    """The cache; a damaged one is made anew."""
    try:
        return stack.enter_context(cache_database(home).open())
    except StoreError as error:
        log.warning("the cache is made anew: %s", error.message)
        discard_cache(home)
        return stack.enter_context(cache_database(home).open())


def _claim(ledger: Ledger, identity: SigningKey, config: Config) -> None:
    """A ledger belongs to one identity and one network for ever."""
    home, owner = config.home, ledger.meta.get("identity")
    if owner is None:
        if not is_first_start(home):
            raise lost_ledger(home)
        ledger.meta.set("identity", identity.public)
        # Above any that this identity has used with an earlier ledger, so no number of a record is used twice.
        ledger.meta.set("epoch", str(wall()).encode())
    elif owner != identity.public:
        raise LedgerCorrupt(
            f"the ledger in {home} belongs to another identity than identity.key",
            hint="Put both files back from one backup; nothing was changed",
        )
    _keep_network(ledger, config)


def _keep_network(ledger: Ledger, config: Config) -> None:
    """What was signed on one network says nothing on another, and what is announced must not get there by mistake."""
    noted, network = ledger.meta.get("network"), config.network.name
    if noted is None:
        ledger.meta.set("network", network.encode())
    elif (own := noted.decode()) != network:
        raise StartError(
            f"{config.home} is a home of the network {own}, and this start is for {network}; nothing was changed",
            hint=f"Start it with: {start_command(config.home, '--network', own)}; "
            f"for {network} take another home: marketd --home DIR --network {network}",
        )


def _settle() -> None:
    """What was built at the start lives to the end: take it out of the garbage collector's rounds.

    The two threads (trio's and the ledger's) hand the interpreter to each other at once rather than after 5 ms.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def _say_ready(port: int) -> None:
    log.info("listening on UDP and TCP port %s", port)
    print("READY", flush=True)
    where = os.environ.get("NOTIFY_SOCKET")
    if where:
        address = f"\0{where[1:]}" if where.startswith("@") else where
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"READY=1", address)


def _log_to_stderr(config: Config) -> None:
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s", level=config.log_level.upper())
    for area, level in config.log_areas.items():
        logging.getLogger(f"p2pmarket.{area}").setLevel(level.upper())


if __name__ == "__main__":
    main()
