"""Settings: where each value comes from, and what is said when one is wrong."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from p2pmarket import config as c
from p2pmarket.dht.contact import Contact
from p2pmarket.errors import BadInput, MarketError, NotAllowed, StartError

CONTACT = Contact(bytes(range(32)), "8.8.4.4", 4751, 3)
OTHER = Contact(bytes(range(1, 33)), "127.0.0.1", 4751, 3)


def load(home: Path, environ: dict[str, str] | None = None, **flags: Any) -> c.Config:
    return c.load_config(c.Flags(home=str(home), **flags), environ or {})


def test_a_home_is_a_flag_a_variable_or_a_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert c.home_folder("/a", {"MARKET_HOME": "/b"}) == Path("/a")
    assert c.home_folder(None, {"MARKET_HOME": "/b", "XDG_DATA_HOME": "/c"}) == Path("/b")
    assert c.home_folder(None, {"MARKET_HOME": "", "XDG_DATA_HOME": "/c"}) == Path("/c/p2pmarket")
    assert c.home_folder(None, {"XDG_DATA_HOME": "relative"}) == Path("/home/me/.local/share/p2pmarket")
    assert c.home_folder("~/x", {}) == Path("/home/me/x")
    monkeypatch.chdir(tmp_path)
    assert c.home_folder("x", {}) == tmp_path / "x"


def test_without_any_setting(tmp_path: Path) -> None:
    config = load(tmp_path / "new")
    assert (config.network.name, config.listen, config.advertise) == ("main", ("0.0.0.0", 4751), None)
    assert (config.outbound_only, config.api_tcp, config.hook, config.log_level) == (False, None, (), "info")
    assert config.quoting == c.Quoting()
    assert config.problems == ()
    assert not (tmp_path / "new").exists()


def test_precedence(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('listen = "127.0.0.1:1"\nadvertise = "8.8.8.8:1"\nlog = "debug,dht=error"\n')
    environ = {"MARKET_LISTEN": "127.0.0.1:2", "MARKET_ADVERTISE": "8.8.8.8:2", "MARKET_OUTBOUND_ONLY": "yes"}
    config = load(tmp_path, environ, listen="127.0.0.1:3", network="dev")
    assert (config.listen[1], config.advertise, config.network.name) == (3, ("8.8.8.8", 2), "dev")
    assert (config.log_level, config.log_areas, config.outbound_only) == ("debug", {"dht": "error"}, True)
    assert load(tmp_path, environ, outbound_only=False).outbound_only is False


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0.0.0.0:0", ("0.0.0.0", 0)),
        ("[::]:65535", ("::", 65535)),
        ("localhost:1", ("127.0.0.1", 1)),
        (" 1.2.3.4:80 ", ("1.2.3.4", 80)),
    ],
)
def test_addresses(text: str, address: c.Address) -> None:
    assert c.parse_address(text, any_port=True) == address


@pytest.mark.parametrize(
    "text",
    ["", "1.2.3.4", ":80", "::1:80", "[1.2.3.4]:80", "a.b:80", "1.2.3.4:65536", "1.2.3.4:-1", "1.2.3.4:٣", "1:"],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(BadInput):
        c.parse_address(text, any_port=True)


def test_port_0_is_for_listening_only(tmp_path: Path) -> None:
    assert load(tmp_path, listen="127.0.0.1:0").listen == ("127.0.0.1", 0)
    with pytest.raises(StartError, match="--advertise: not a port"):
        load(tmp_path, advertise="1.2.3.4:0")


def test_the_api_stays_on_this_machine(tmp_path: Path) -> None:
    assert load(tmp_path, api_tcp="[::1]:0").api_tcp == ("::1", 0)
    with pytest.raises(StartError, match="--api-tcp: the API listens on this machine only"):
        load(tmp_path, api_tcp="0.0.0.0:1")


QUOTING = "[quoting]\n# how we sell\n\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lisen = 3", "line 1: lisen: there is no such setting"),
        ("\n\nlisten = 3", "line 3: listen: expected `str"),
        ('listen = "x"', "line 1: listen: not HOST:PORT"),
        ('network = "prod"', "line 1: network: no network is called 'prod'"),
        ('log = "loud"', "line 1: log: no log level is called 'loud'"),
        ('hook = "beep"', "line 1: hook: expected `array`, got `str`"),
        ('hook = ["/no/such/program"]', "line 1: hook: there is no program"),
        ('bootstrap = ["x"]', "line 1: bootstrap: "),
        ("[[", "is not TOML: "),
        ("[other]\nx = 1", "line 1: other: there is no such setting"),
        (QUOTING + "valid = 3", "line 4: quoting.valid: there is no such setting"),
        (QUOTING + "valid_days = 0", "line 4: quoting.valid_days: expected `int` >= 1"),
        (QUOTING + "valid_days = 91", "line 4: quoting.valid_days: expected `int` <= 90"),
        (QUOTING + 'pay_to = ["cash", "payto://iban/DE0"]', "line 4: quoting.pay_to: 'payto://iban/DE0': the IBAN is"),
        (QUOTING + 'incoterm = "FREE"', "line 4: quoting.incoterm: invalid enum value"),
        (QUOTING + 'ships_from = "Atlantis"', "line 4: quoting.ships_from: Unknown region"),
        (QUOTING + "tax_rate = 101", "line 4: quoting.tax_rate: a tax rate of 101 percent"),
        (QUOTING + 'delivery_charge = "-1 EUR"', "line 4: quoting.delivery_charge: "),
        (QUOTING + 'delivery_charge = "1 XYZ"', "line 4: quoting.delivery_charge: "),
    ],
)
def test_a_wrong_file_names_line_and_key(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(StartError) as caught:
        load(tmp_path)
    assert f"{tmp_path / 'config.toml'} {message}" in caught.value.message


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="MARKET_OUTBOUND_ONLY: neither yes nor no: 'maybe'"):
        load(tmp_path, {"MARKET_OUTBOUND_ONLY": "maybe"})


def test_quoting_is_put_into_one_form(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        '[quoting]\nships_from = "korea"\ntax_rate = 5.5\ndelivery_charge = "€4.90"\nvalid_days = 90\nincoterm = "DAP"'
    )
    quoting = load(tmp_path).quoting
    assert (quoting.ships_from, quoting.tax_rate, quoting.delivery_charge) == ("KR", "5.5", "4.9 EUR")
    assert (quoting.valid_days, quoting.incoterm) == (90, "DAP")


def test_a_hook_is_a_list(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('hook = ["sh", "-c", "cat"]')
    assert load(tmp_path).hook == ("sh", "-c", "cat")


def test_bootstraps_come_from_everywhere_once(tmp_path: Path) -> None:
    (tmp_path / "bootstrap_nodes.txt").write_text(f"# friends\n{CONTACT.text()} # Ann\n\n{OTHER.text()}\nnonsense\n")
    (tmp_path / "config.toml").write_text(f'bootstrap = ["{CONTACT.text()}"]')
    config = load(tmp_path, {"MARKET_BOOTSTRAP": CONTACT.text()}, bootstrap=(CONTACT.text(),))
    assert config.bootstraps == (CONTACT,)
    assert [problem.partition(": ")[0] for problem in config.problems] == [
        f"{tmp_path / 'bootstrap_nodes.txt'} line 4",  # loopback is nowhere on the main network
        f"{tmp_path / 'bootstrap_nodes.txt'} line 5",
    ]
    assert load(tmp_path, network="dev").bootstraps == (CONTACT, OTHER)


def test_a_wrong_bootstrap_flag_stops(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="--bootstrap: "):
        load(tmp_path, bootstrap=("nonsense",))
    with pytest.raises(StartError, match="cannot be reached from all of network main"):
        load(tmp_path, bootstrap=(OTHER.text(),))


def test_a_file_of_another_user(tmp_path: Path) -> None:
    (tmp_path / "config.toml").mkdir()
    with pytest.raises(StartError, match="cannot be read"):
        load(tmp_path)
    (tmp_path / "config.toml").rmdir()
    (tmp_path / "config.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(StartError, match="cannot be read"):
        load(tmp_path)


@pytest.mark.skipif(os.getuid() == 0, reason="root reads everything")
def test_a_file_we_may_not_read(tmp_path: Path) -> None:
    (tmp_path / "config.toml").touch(mode=0)
    with pytest.raises(NotAllowed):
        load(tmp_path)


@pytest.mark.parametrize("length", [c.SOCKET_PATH_BYTES, c.SOCKET_PATH_BYTES + 1])
def test_the_socket_fits_its_address(length: int) -> None:
    home = Path("/" + "h" * (length - len("/api.sock") - 1))
    path = c.api_socket(home, {"XDG_RUNTIME_DIR": "/run/user/7"}, 7)
    if length == c.SOCKET_PATH_BYTES:
        assert path == home / "api.sock"
        return
    assert path.parent == Path("/run/user/7/p2pmarket")
    assert c.api_socket(home, {}, 7) == Path("/tmp/p2pmarket-7") / path.name
    assert c.api_socket(home, {"XDG_RUNTIME_DIR": "/" + "r" * 99}, 7) == Path("/tmp/p2pmarket-7") / path.name
    assert c.api_socket(home.with_name("i" * 120), {}, 7).name != path.name


def test_errors_have_a_hint_where_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[quoting]\nvalid = 3")
    with pytest.raises(MarketError) as caught:
        load(tmp_path)
    assert "valid_days" in (caught.value.hint or "")
