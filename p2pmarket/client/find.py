"""Where the daemon is: HOME/api.json, which it writes when its API answers and removes when it stops.

`MARKET_API` goes before the file: `unix:PATH`, or `http://127.0.0.1:PORT` with the token in `MARKET_TOKEN` or
HOME/api.token. Each way to fail is an error that says what was tried.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from p2pmarket.api.spec import API_FILE, PROTOCOL, TOKEN_FILE, ApiFile
from p2pmarket.config import home_folder, start_command
from p2pmarket.errors import BadInput, NoDaemon, NotAllowed, VersionDiffers


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One way to the daemon: a Unix socket's path, or (host, port) on loopback with a token.

    `start`: the command that starts it.
    """

    address: str | tuple[str, int]
    token: str | None = None
    source: str = "given"
    start: str = "marketd"

    @property
    def host(self) -> str:
        """What the Host header must say."""
        return "localhost" if isinstance(self.address, str) else f"{self.address[0]}:{self.address[1]}"

    @property
    def text(self) -> str:
        """The address for people."""
        return self.address if isinstance(self.address, str) else self.host


def find_daemon(home: Path, environ: Mapping[str, str]) -> Endpoint:
    """The endpoint of the daemon of `home`; raises NoDaemon, NotAllowed, VersionDiffers, BadInput (MARKET_API)."""
    given = environ.get("MARKET_API")
    if given:
        return _parse_api(given, home, environ)
    start = _start_of(home, environ)
    told = _read_api_file(home, start)
    if told.protocol != PROTOCOL:
        raise VersionDiffers(
            f"marketd {told.version} speaks version {told.protocol} of the local API, this market speaks {PROTOCOL}"
        )
    return Endpoint(told.socket, source=f"{home / API_FILE}, written by process {told.pid}", start=start)


def _start_of(home: Path, environ: Mapping[str, str]) -> str:
    """The command that starts the daemon of `home`: without its name it would start the one of another home."""
    try:
        usual = home_folder(None, environ)
    except BadInput:  # there is none, so this one was named
        usual = None
    return "marketd" if home == usual else start_command(home)


def _read_api_file(home: Path, start: str) -> ApiFile:
    """HOME/api.json; raises NoDaemon or NotAllowed."""
    path, hint = home / API_FILE, f"Start it with: {start}"
    try:
        return msgspec.json.decode(path.read_bytes(), type=ApiFile)
    except FileNotFoundError:
        where = f"there is no {path}" if home.is_dir() else f"there is no folder {home}"
        raise NoDaemon(f"no daemon runs on this home: {where}", hint=hint) from None
    except NotADirectoryError:
        raise NoDaemon(f"no daemon runs on this home: {home} is no folder", hint="Name another: --home DIR") from None
    except PermissionError:
        raise NotAllowed(f"{path} cannot be read: this home belongs to another user") from None
    except (OSError, msgspec.DecodeError) as error:
        raise NoDaemon(f"{path} does not say where the daemon is: {error}", hint=hint) from None


def _parse_api(text: str, home: Path, environ: Mapping[str, str]) -> Endpoint:
    if text.startswith(("unix:", "/")):
        return Endpoint(text.removeprefix("unix:"), source="MARKET_API")
    host, _, port = text.removeprefix("http://").rstrip("/").rpartition(":")
    if not (host and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise BadInput(f"MARKET_API is {text!r}", hint="Write unix:PATH or http://127.0.0.1:PORT")
    token = environ.get("MARKET_TOKEN") or _token(home)
    if not (token.isascii() and token.isprintable()):
        raise BadInput("the token for MARKET_API has characters that no token has")
    return Endpoint((host, int(port)), token=token, source="MARKET_API")


def _token(home: Path) -> str:
    path = home / TOKEN_FILE
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError as error:
        raise NotAllowed(f"no token: {path}: {error.strerror}", hint="Set MARKET_TOKEN") from None
