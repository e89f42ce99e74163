"""Settings: what the daemon is told by flags, the environment, HOME/config.toml and defaults, in this order.

`home_folder` is all that clients need. `load_config` makes one frozen `Config` for the daemon: every value is checked
before anything opens, and an error names the flag, the variable, or the file's line and key. A bad line in a file of
bootstrap nodes does not keep the daemon from starting: it is told in `Config.problems`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from p2pmarket.errors import BadFlag, BadInput, NotAllowed, StartError
from p2pmarket.limits import ADDRESS_LINES, QUOTE_SECONDS, TEXT_CHARS, URL_CHARS
from p2pmarket.network import Network, network_named, parse_ip

if TYPE_CHECKING:
    from p2pmarket.dht.contact import Contact

DEFAULT_LISTEN = "0.0.0.0:4751"
CONFIG_FILE = "config.toml"
BOOTSTRAP_FILE = "bootstrap_nodes.txt"
SOCKET_PATH_BYTES = 107  # unix(7): sun_path holds 108 with the zero at its end
LOG_LEVELS = ("debug", "info", "warning", "error")
TRUTH = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}

Address = tuple[str, int]
T = TypeVar("T")
Incoterm = Literal["EXW", "FCA", "CPT", "CIP", "DAP", "DPU", "DDP", "FAS", "FOB", "CFR", "CIF"]
PaymentStage = Literal["before_order", "before_delivery", "on_delivery", "after_delivery", "instalments"]
Text = Annotated[str, Meta(min_length=1, max_length=TEXT_CHARS)]
Method = Annotated[str, Meta(min_length=1, max_length=URL_CHARS)]


class Quoting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Table `[quoting]`: what automatic quotes say, and what quotes by hand say unless told otherwise.

    `auto`: quote from the price list; `accept`: accept orders of such quotes. `delivery_charge`: "4.90" in the quote's
    currency or "4.90 EUR"; `tax_rate`: percent as a decimal string, for rows without one; `ships_from`: region code.
    `payment_days` count from `payment_stage`; `pay_to`: payto: links (RFC 8905) or words such as "cash".
    """

    auto: bool = True
    accept: bool = True
    valid_days: Annotated[int, Meta(ge=1, le=QUOTE_SECONDS // 86400)] = 7
    delivery_days: Annotated[int, Meta(ge=0, le=3650)] | None = None
    delivery_charge: Text | None = None
    ships_from: Text | None = None
    tax_rate: int | Text | None = None
    tax_included: bool = False
    incoterm: Incoterm | None = None
    place: Text | None = None
    payment_terms: Text | None = None
    payment_stage: PaymentStage | None = None
    payment_days: Annotated[int, Meta(ge=0, le=3650)] | None = None
    pay_to: Annotated[list[Method], Meta(max_length=8)] = []
    divisible: bool = True


class FileSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """HOME/config.toml as it is written."""

    listen: str | None = None
    advertise: str | None = None
    network: str | None = None
    bootstrap: list[str] = []
    outbound_only: bool | None = None
    local: bool | None = None
    api_tcp: str | None = None
    hook: Annotated[list[Text], Meta(max_length=8 * ADDRESS_LINES)] = []
    log: str | None = None
    quoting: Quoting = Quoting()


@dataclass(frozen=True, slots=True)
class Flags:
    """What the command line of the daemon said; None or empty: nothing."""

    home: str | None = None
    listen: str | None = None
    advertise: str | None = None
    network: str | None = None
    bootstrap: tuple[str, ...] = ()
    outbound_only: bool | None = None
    local: bool | None = None
    api_tcp: str | None = None
    log: str | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """All settings of a daemon, checked.

    `listen` may have port 0: any free one. `outbound_only`: accept no inbound connection. `local`: look
    for nodes on the local network. `socket`: where the API is;
    `api_tcp`: also there, on loopback. `hook`: a program and its arguments, run once for each event. `log_areas`: the
    levels of single areas. `problems`: sentences for the user.
    """

    home: Path
    network: Network
    listen: Address
    advertise: Address | None
    bootstraps: tuple[Contact, ...]
    outbound_only: bool
    local: bool
    socket: Path
    api_tcp: Address | None
    hook: tuple[str, ...]
    quoting: Quoting
    log_level: str
    log_areas: Mapping[str, str]
    problems: tuple[str, ...]


def home_folder(flag: str | Path | None, environ: Mapping[str, str]) -> Path:
    """The folder that is this identity: flag, MARKET_HOME, else the XDG data folder. Absolute; raises BadInput."""
    given = flag or environ.get("MARKET_HOME")
    try:
        if given:
            return Path(given).expanduser().absolute()
        data = Path(environ.get("XDG_DATA_HOME") or "")
        # The XDG base directory specification: a relative path is to be ignored.
        return (data if data.is_absolute() else Path.home() / ".local" / "share") / "p2pmarket"
    except (RuntimeError, ValueError) as error:
        raise BadInput(f"no home folder: {error}", hint="Name one: --home DIR, or set MARKET_HOME") from None


def start_command(home: Path, *flags: str) -> str:
    """The command that starts the daemon of a home, as one types it in a shell."""
    import shlex  # needed only when something is wrong

    return shlex.join(["marketd", "--home", str(home), *flags])


def load_config(flags: Flags, environ: Mapping[str, str]) -> Config:
    """All settings; raises BadFlag, or StartError that names the variable, or the line and key of the file."""
    home = home_folder(flags.home, environ)
    file = _read_file(home / CONFIG_FILE)
    sources = _Sources(flags, environ, file)
    network = sources.get("network", network_named) or network_named("main")
    contacts, problems = _bootstraps(sources, home, network)
    levels = sources.get("log", parse_log) or {}
    listen = sources.get("listen", lambda text: parse_address(text, any_port=True))
    return Config(
        home=home,
        network=network,
        listen=listen or parse_address(DEFAULT_LISTEN),
        advertise=sources.get("advertise", parse_address),
        bootstraps=contacts,
        outbound_only=sources.get("outbound_only", _truth) or False,
        local=sources.get("local", _truth) or False,
        socket=api_socket(Path(os.path.realpath(home)), environ, os.getuid()),  # the home may be a link to another disk
        api_tcp=sources.get("api_tcp", _loopback),
        hook=_hook(file),
        quoting=_quoting(file),
        log_level=levels.get("", "info"),
        log_areas={area: level for area, level in levels.items() if area},
        problems=tuple(problems),
    )


def api_socket(home: Path, environ: Mapping[str, str], uid: int) -> Path:
    """Where the API's Unix socket goes: in the home, or, if its path is too long for one, in a short folder."""
    import hashlib  # loads OpenSSL, which clients need not wait for

    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    runtime = environ.get("XDG_RUNTIME_DIR") or ""
    candidates = [home / "api.sock"]
    if runtime.startswith("/"):
        candidates.append(Path(runtime) / "p2pmarket" / f"{digest}.sock")
    short = Path("/tmp") / f"p2pmarket-{uid}" / f"{digest}.sock"
    return next((path for path in candidates if len(os.fsencode(path)) <= SOCKET_PATH_BYTES), short)


def parse_address(text: str, *, any_port: bool = False) -> Address:
    """`HOST:PORT`, an IP address (IPv6 in brackets) or `localhost`; port 0 only with `any_port`; raises BadInput."""
    host, colon, port = text.strip().rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    ip = parse_ip("127.0.0.1" if host == "localhost" else bare)
    if not colon or ip is None or (":" in bare) != (bare != host):
        raise BadInput(f"not HOST:PORT: {text[:80]!r}", hint="Write an IP address and a port: 0.0.0.0:4751, [::]:4751")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and (0 if any_port else 1) <= int(port) < 65536):
        raise BadInput(f"not a port: {port[:20]!r}", hint="Ports go from 1 to 65535")
    return str(ip), int(port)


def parse_log(text: str) -> dict[str, str]:
    """`info,dht=debug`: area -> level, "" for all other areas; raises BadInput."""
    levels = {}
    for word in filter(None, text.replace(",", " ").split()):
        area, _, level = word.rpartition("=")
        if level not in LOG_LEVELS:
            raise BadInput(f"no log level is called {level[:40]!r}", hint=f"Levels: {', '.join(LOG_LEVELS)}")
        levels[area] = level
    return levels


def _truth(text: str) -> bool:
    try:
        return TRUTH[text.strip().lower()]
    except KeyError:
        raise BadInput(f"neither yes nor no: {text[:40]!r}") from None


def _loopback(text: str) -> Address:
    address = parse_address(text, any_port=True)
    ip = parse_ip(address[0])
    if ip is None or not ip.is_loopback:
        raise BadInput(f"the API listens on this machine only, not on {address[0]}", hint="Write 127.0.0.1:PORT")
    return address


class _File:
    """HOME/config.toml: its settings, and where a key stands."""

    def __init__(self, path: Path, text: str, settings: FileSettings) -> None:
        self.path, self.text, self.settings = path, text, settings

    def where(self, key: str) -> str:
        return _where(self.path, self.text, key)


class _Sources:
    """Looks a setting up in flags, environment and file."""

    def __init__(self, flags: Flags, environ: Mapping[str, str], file: _File) -> None:
        self.flags, self.environ, self.file = flags, environ, file

    def get(self, name: str, parse: Callable[[str], T]) -> T | None:
        """The first value found, parsed; raises StartError (BadFlag) naming where it came from."""
        flag, variable = f"--{name.replace('_', '-')}", f"MARKET_{name.upper()}"
        for value, where in (
            (getattr(self.flags, name), flag),
            (self.environ.get(variable) or None, variable),
            (getattr(self.file.settings, name), self.file.where(name)),
        ):
            if value is not None:
                return _named(where, parse, str(value))
        return None

    def contacts(self) -> Iterator[tuple[str, str]]:
        """Texts of bootstrap nodes that were given one by one, and where."""
        yield from ((text, "--bootstrap") for text in self.flags.bootstrap)
        words = self.environ.get("MARKET_BOOTSTRAP", "").replace(",", " ").split()
        yield from ((text, "MARKET_BOOTSTRAP") for text in words)
        yield from ((text, self.file.where("bootstrap")) for text in self.file.settings.bootstrap)


def _named(where: str, parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except BadInput as error:
        kind = BadFlag if where.startswith("--") else StartError
        raise kind(f"{where}: {error.message}", hint=error.hint) from None


def _bootstraps(sources: _Sources, home: Path, network: Network) -> tuple[tuple[Contact, ...], list[str]]:
    """All bootstrap nodes, without repeats, and what was wrong in the files."""
    from p2pmarket.dht.contact import parse_contact  # brings cryptography, which clients need not load

    def parse(text: str) -> Contact:
        contact = parse_contact(text)
        if not network.admits(contact.host, contact.port):
            raise BadInput(f"{contact.host}:{contact.port} cannot be reached from all of network {network.name}")
        return contact

    found = [_named(where, parse, text) for text, where in sources.contacts()]
    problems = []
    for text, where in _bootstrap_lines(home, network):
        try:
            found.append(parse(text))
        except BadInput as error:
            problems.append(f"{where}: {error.message}")
    return tuple(dict.fromkeys(found)), problems


def _bootstrap_lines(home: Path, network: Network) -> Iterable[tuple[str, str]]:
    """(text, where) of each node in the files; those in the package are for the main network."""
    files = [home / BOOTSTRAP_FILE]
    if network.name == "main":
        files.append(Path(__file__).with_name(BOOTSTRAP_FILE))
    for path in files:
        for number, line in enumerate(_read(path).splitlines(), 1):
            text = line.partition("#")[0].strip()
            if text:
                yield text, f"{path} line {number}"


def _hook(file: _File) -> tuple[str, ...]:
    from shutil import which

    command = tuple(file.settings.hook)
    if command and which(command[0]) is None:
        raise StartError(
            f"{file.where('hook')}: there is no program {command[0]!r}",
            hint='A hook is a list of a program and its arguments: hook = ["/home/me/alert", "--loud"]',
        )
    return command


def _quoting(file: _File) -> Quoting:
    """The table `[quoting]` with its values in their one written form."""
    from p2pmarket.vocab.currencies import parse_price
    from p2pmarket.vocab.decimals import decimal_text, parse_decimal
    from p2pmarket.vocab.payto import is_payto, parse_payto
    from p2pmarket.vocab.regions import parse_region

    def tax(text: str) -> str:
        rate = parse_decimal(text.removesuffix("%").strip())
        if not 0 <= rate <= 100:
            raise BadInput(f"a tax rate of {text} percent")
        return decimal_text(rate)

    def charge(text: str) -> str:
        value, currency = parse_price(text)
        if value < 0:
            raise BadInput(f"a delivery charge of {text}")
        return " ".join(filter(None, (decimal_text(value), currency)))

    changed = {}
    for name, parse in (("ships_from", parse_region), ("tax_rate", tax), ("delivery_charge", charge)):
        value = getattr(file.settings.quoting, name)
        if value is not None:
            changed[name] = _named(file.where(f"quoting.{name}"), parse, str(value))
    for method in file.settings.quoting.pay_to:
        if is_payto(method):
            _named(file.where("quoting.pay_to"), parse_payto, method)
    return msgspec.structs.replace(file.settings.quoting, **changed)


def _read(path: Path) -> str:
    """The text of a file that need not exist; raises NotAllowed, StartError."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):  # a home that is no folder is refused when it is locked
        return ""
    except PermissionError:
        raise NotAllowed(f"{path} cannot be read by this user") from None
    except (OSError, UnicodeDecodeError) as error:
        raise StartError(f"{path} cannot be read: {error}") from None


def _read_file(path: Path) -> _File:
    import tomllib

    text = _read(path)
    try:
        # Floats stay texts: a tax rate of 5.5 is a decimal, not a binary fraction.
        tables = tomllib.loads(text, parse_float=str)
        return _File(path, text, msgspec.convert(tables, FileSettings))
    except tomllib.TOMLDecodeError as error:
        raise StartError(f"{path} is not TOML: {error}") from None
    except msgspec.ValidationError as error:
        problem, _, place = str(error).partition(" - at `$")
        parts = [place.strip("`.").partition("[")[0], problem.split("`")[1] if "unknown field" in problem else ""]
        key = ".".join(filter(None, parts))
        known = Quoting if key.startswith("quoting.") else FileSettings
        hint = f"Settings here: {', '.join(known.__struct_fields__)}"
        raise StartError(f"{_where(path, text, key)}: {_plain(problem)}", hint=hint) from None


def _plain(problem: str) -> str:
    return "there is no such setting" if "unknown field" in problem else problem[:1].lower() + problem[1:]


def _where(path: Path, text: str, key: str) -> str:
    """`PATH line 3: quoting.valid_days`; without the number if the key is written in a way that we do not look for."""
    table, _, name = key.rpartition(".")
    current = ""
    for number, line in enumerate(text.splitlines(), 1):
        clean = line.strip()
        if clean.startswith("["):
            current = clean.strip("[] ")
        if (current == table and clean.partition("=")[0].strip().strip("\"'") == name) or (
            not table and current == name and clean.startswith("[")
        ):
            return f"{path} line {number}: {key}"
    return f"{path}: {key}"
