"""What every command has in common: help, usage errors, exit codes, start-up; and what works without a daemon."""

from __future__ import annotations

import ast
import itertools
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from cli_stub import MARKET
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from p2pmarket_cli import base, files, output
from p2pmarket_cli.debug import unhexed
from p2pmarket_cli.main import COMMANDS, main, market

from p2pmarket import codec, errors, messages

NAMES = [name for family in COMMANDS.values() for name in family]
# As the interface has them; a name that goes missing breaks scripts outside the repository.
PROMISED = """
    request requests quotes counter order close announce announcements withdraw inbox quote decline amend accept
    reject prices deals show export verify change cancel despatch receive invoice credit pay confirm-payment
    refund rate ratings dispute import proofs note ack contacts watch categories id profile status doctor peers
    backup restore resume debug
"""
WRITING = """
    request, counter, order, close, announce, withdraw, quote, decline, amend, accept, reject, prices import,
    change, cancel, despatch, receive, invoice, credit, pay, confirm-payment, refund, rate, dispute, import,
    note, ack, contacts add, contacts remove, profile set, resume
"""


def commands() -> list[tuple[str, click.Command]]:
    found = []
    context = click.Context(market)
    for name in NAMES:
        command = market.get_command(context, name)
        assert command is not None
        found.append((name, command))
        if isinstance(command, click.Group):
            found += [(f"{name} {inner}", each) for inner, each in command.commands.items()]
    return found


def run(*words: str, stdin: bytes = b"", home: str = "/nonexistent/home") -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*MARKET, *words], input=stdin, capture_output=True, timeout=30, env={"MARKET_HOME": home, "PATH": "/usr/bin"}
    )
    return subprocess.CompletedProcess(words, done.returncode, done.stdout.decode(), done.stderr.decode())


def test_all_promised_commands_are_there() -> None:
    assert sorted(NAMES) == sorted(PROMISED.split())
    assert {"profile set", "prices import", "prices export", "prices show", "debug decode"} <= dict(commands()).keys()


@pytest.mark.parametrize(("name", "command"), commands(), ids=lambda value: value if isinstance(value, str) else "")
def test_help_begins_with_examples(name: str, command: click.Command) -> None:
    done = CliRunner().invoke(market, [*name.split(), "--help"])
    assert done.exit_code == 0
    usage, _, rest = done.output.partition("\n\n")
    assert usage.startswith("Usage: ")
    assert rest.startswith("Examples:\n")
    first = name.split()[0]
    assert re.search(rf"\bmarket( \S+)? {first}\b|market {first}\b", rest), "an example with the command itself"
    assert command.help
    section = rest.partition("\n\n")[0].splitlines()
    assert [line for line in section if len(line) > 80] == []
    shown = [word for line in " ".join(section).split("\n") for word in line.replace("\\ ", " ").split()]
    given = getattr(command, "examples", "").split()
    assert sorted(shown) == sorted(["Examples:", *given]), "folded, with nothing lost"


def test_the_help_of_watch_does_not_promise_one_document() -> None:
    shown = CliRunner().invoke(market, ["watch", "--help"]).output
    assert "--json        The same as --jsonl" in shown
    assert "Print one JSON document." in CliRunner().invoke(market, ["deals", "--help"]).output


@pytest.mark.parametrize(("name", "command"), commands(), ids=lambda value: value if isinstance(value, str) else "")
def test_global_options_are_on_every_command(name: str, command: click.Command) -> None:
    options = {option for parameter in command.params for option in parameter.opts}
    assert {"--home", "--json", "--fields", "--jsonl"} <= options


def test_idempotency_key_on_every_command_that_writes() -> None:
    having = [name for name, command in commands() if any("--idempotency-key" in p.opts for p in command.params)]
    assert sorted(having) == sorted(" ".join(WRITING.split()).split(", "))


def test_examples_are_valid_command_lines() -> None:
    """Every example parses: commands and options exist, choices are choices."""
    tried = 0
    for name, command in commands():
        for line in getattr(command, "examples", "").splitlines():
            words = _words(line)
            if words[:1] != ["market"]:
                continue
            tried += 1
            try:
                _parse(words[1:])
            except click.UsageError as error:
                raise AssertionError(f"{name}: {line.strip()}: {error.format_message()}") from None
    assert tried > 40


def _words(line: str) -> list[str]:
    """The words of the first command of a line of shell."""
    reader = shlex.shlex(line, posix=True, punctuation_chars=";<>|&")
    reader.whitespace_split = True
    return list(itertools.takewhile(lambda word: not word or not set(word) <= set(";<>|&"), reader))


def _parse(words: list[str]) -> None:
    command: click.Command | None = market
    context = click.Context(market)
    while isinstance(command, click.Group) and words:
        command, words = command.get_command(context, words[0]), words[1:]
    if command is not None and words:
        command.make_context("x", list(words), obj=base.App())


def test_an_unknown_command_names_the_nearest() -> None:
    done = run("statsu")
    assert done.returncode == 2
    assert "status" in done.stderr
    assert done.stdout == ""
    assert "requests" in run("reqests").stderr
    assert run("prices", "imprt").returncode == 2


@pytest.mark.parametrize(
    "words",
    [
        ["request"],
        ["request", "c", "x", "--quotes", "0"],
        ["request", "c", "x", "--quotes", "51"],
        ["request", "c", "x", "--file", "/dev/null", "--map", "nonsense"],
        ["order", "q-1", "--line", "one"],
        ["order", "q-1", "--line", "1="],
        ["quote", "r-1"],
        ["quote", "r-1", "--line", "1"],
        ["quote", "r-1", "--line", "1=2", "--charge", "bribe=5"],
        ["decline", "r-1", "--reason", "mood"],
        ["decline", "r-1"],
        ["profile", "set", "colour", "red"],
        ["watch", "--type", "nonsense"],
        ["watch", "--since", "-1"],
        ["status", "extra"],
        ["--nonsense"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_2_and_says_so_on_stderr(words: list[str]) -> None:
    plain = run(*words)
    assert (plain.returncode, plain.stdout) == (2, "")
    assert plain.stderr.startswith("error: ")
    assert "\nhint: " in plain.stderr
    told = run(*words, "--json")
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr.count("\n") == 1
    error = json.loads(told.stderr)["error"]
    assert error["code"] == "usage"
    assert set(error) == {"code", "message", "hint", "retryable", "details"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("deals --limit abc", "'abc' is not a whole number from 1 to 500"),
        ("request c x --quotes 51", "'51' is not a whole number from 1 to 50"),
        ("watch --since soon", "'soon' is not a whole number of at least 0"),
        ("deals --state agreeed", "'agreeed': states are ordered, agreed, rejected, "),
        ("ack --seen", "requires an argument"),
        ("order q-1 --line one", "write the number of a line"),
    ],
)
def test_wrong_usage_says_what_is_expected_and_names_the_help_of_its_command(words: str, told: str) -> None:
    done = run(*words.split())
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stderr.endswith(f"\nhint: See: market {words.split()[0]} --help\n")


def test_no_option_has_the_words_of_click_for_a_range() -> None:
    ranges = [p for _, command in commands() for p in command.params if isinstance(p.type, click.IntRange)]
    assert len(ranges) > 10
    assert [p.name for p in ranges if not isinstance(p.type, base.Whole)] == []


def test_without_arguments_the_help_is_shown() -> None:
    done = run()
    assert done.returncode == 2
    assert "Examples:" in done.stderr


@pytest.mark.parametrize("words", [["status"], ["request", "c", "x"], ["watch"], ["deals"], ["prices", "show"]])
def test_no_daemon_is_3(words: list[str]) -> None:
    done = run(*words)
    assert (done.returncode, done.stdout) == (3, "")
    assert "hint: Start it with: marketd" in done.stderr
    error = json.loads(run("--json", *words).stderr)["error"]
    assert (error["code"], error["retryable"]) == ("no_daemon", True)


def test_a_file_that_is_not_there_is_65(tmp_path: Path) -> None:
    (tmp_path / "api.json").write_text('{"socket": "/nowhere", "pid": 1, "version": "0", "protocol": 1}')
    done = run("prices", "import", str(tmp_path / "none.csv"), home=str(tmp_path))
    assert done.returncode == 65
    assert "none.csv" in done.stderr


def test_version() -> None:
    done = run("--version")
    assert done.returncode == 0
    assert re.fullmatch(r"market \d+\.\d+\.\d+\n", done.stdout)


def test_starting_imports_nothing_that_is_not_needed() -> None:
    heavy = {"rich", "trio", "cryptography", "cbor2", "h11", "kademlia", "asyncio", "ssl", "email"}
    for words in (["--help"], ["status"]):
        script = (
            f"import sys; sys.argv[1:] = {words!r}\nfrom p2pmarket_cli.main import main\nmain()\nprint(*sys.modules)"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, env={"MARKET_HOME": "/none"}
        )
        loaded = {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}
        assert not loaded & heavy


def test_interrupted_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("p2pmarket_cli.base.App.client", interrupted)
    assert main(["status"]) == 130


def test_every_error_of_the_tree_has_an_exit_code_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    def kinds(kind: type[errors.MarketError]) -> list[type[errors.MarketError]]:
        return [kind, *(deeper for child in kind.__subclasses__() for deeper in kinds(child))]

    for kind in kinds(errors.MarketError):

        def fail(*_: object, kind: type[errors.MarketError] = kind) -> None:
            raise kind("it failed")

        monkeypatch.setattr("p2pmarket_cli.base.App.client", fail)
        assert main(["status"]) == kind.exit_code
        assert kind.exit_code in {1, 2, 3, 4, 5, 6, 7, 8, 9, 65, 130}


# Without a daemon: decode, verify


def test_decode_a_message_raw_or_as_hex() -> None:
    message = messages.Goodbye(code="stopping")
    wire = messages.encode(message)
    for given_ in (wire, wire.hex().encode(), b" " + wire.hex().upper().encode() + b"\n"):
        done = run("debug", "decode", stdin=given_)
        assert done.returncode == 0, done.stderr
        shown = json.loads(done.stdout)
        assert (shown["type"], shown["number"], shown["fields"]["code"]) == (
            "Goodbye",
            messages.Goodbye.number,
            "stopping",
        )


@pytest.mark.parametrize("data", [b"", b"\xff", b"81", b"zz", b"\x82\x19\xff\xff\x00", b"8218", b"\x00" * 400_000])
def test_decode_refuses_with_65_and_one_code(data: bytes) -> None:
    done = run("debug", "decode", stdin=data)
    assert (done.returncode, done.stdout) == (65, "")
    assert re.fullmatch(r"error: [a-z_]+: [^\n]+\nhint: [^\n]+\n", done.stderr)
    error = json.loads(run("debug", "decode", "--json", stdin=data).stderr)["error"]
    assert done.stderr.startswith(f"error: {error['code']}: ")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_decode_never_fails_otherwise(data: bytes) -> None:
    done = CliRunner().invoke(market, ["debug", "decode"], input=data, standalone_mode=False)
    assert done.exception is None, done.exception
    assert done.return_value in {0, 65}


@given(st.binary(min_size=1, max_size=50))
def test_hex_is_told_from_raw(data: bytes) -> None:
    assert unhexed(data.hex().encode()) == data
    wire = codec.encode([35, data])
    assert unhexed(wire) == wire


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff\xfe", b"[" * 100_000, b'{"format": "p2pmarket/deal/1"}'])
def test_verify_says_what_is_wrong(data: bytes, tmp_path: Path) -> None:
    file = tmp_path / "deal.json"
    file.write_bytes(data)
    done = run("verify", str(file))
    assert done.returncode == 65
    assert done.stdout.startswith("NOT VALID. ")
    shown = json.loads(run("verify", str(file), "--json").stdout)
    assert shown["ok"] is False
    assert shown["problems"]


# Small parts


@pytest.mark.parametrize(("proposed", "name"), [
    ("d-k3f7.json", "d-k3f7.json"), ("../../etc/passwd", "etcpasswd"), (".bashrc", "bashrc"), ("", "deal.json"),
    ("a\n\x1b/b", "ab"), ("x" * 500, "x" * 120),
])  # fmt: skip
def test_a_proposed_file_name_stays_in_this_folder(proposed: str, name: str) -> None:
    assert files.plain_name(proposed) == name


def test_numbered() -> None:
    assert files.numbered("3", "--line") == (3, None)
    assert files.numbered("3=5 kg", "--line") == (3, "5 kg")
    for wrong in ("", "=5", "x=5", "3=", "٣=1", "-1"):
        with pytest.raises(click.UsageError):
            files.numbered(wrong, "--line")


def test_reading_is_limited(tmp_path: Path) -> None:
    file = tmp_path / "big"
    file.write_bytes(b"x" * 11)
    assert files.read(str(file), most=11) == b"x" * 11
    with pytest.raises(errors.BadInput):
        files.read(str(file), most=10)


@given(
    st.recursive(
        st.text() | st.integers(-(2**53), 2**53) | st.none(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_json_text_is_json_without_what_steers(value: object) -> None:
    text = output.json_text({"value": value})
    assert json.loads(text) == {"value": value}
    assert not re.search("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\U000e0000-\U000e0fff]", text)


def test_only_output_and_views_import_rich_at_the_top() -> None:
    for path in Path(base.__file__).parent.glob("*.py"):
        tree = ast.parse(path.read_text())
        top = {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
        if any((module or "").startswith("rich") for module in top):
            assert path.stem.startswith("view") or path.stem == "grid", path
