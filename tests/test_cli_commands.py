"""Every command as a process against a scripted daemon: what it asks, what it prints, how it ends."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from cli_samples import sample
from cli_stub import MARKET, Stub, running

from p2pmarket import errors
from p2pmarket.api import types as t
from p2pmarket.api.types import bodies as b
from p2pmarket.api.types import bodies_talk as talk

ID = "r-k3f7q2h9aaaaaaaaaaaaaaaaaa"


@pytest.fixture
def stub() -> Iterator[Stub]:
    with running() as stub:
        yield stub


# Command line, route it calls, what the body says.
CALLS = [
    (["id"], "identity", {}),
    (["status"], "status", {}),
    (["peers"], "peers", {}),
    (["profile"], "profile", {}),
    (["profile", "set", "name", "Cafe", "Roma"], "profile_set", {"name": "Cafe Roma"}),
    (["profile", "set", "tax-id", ""], "profile_set", {"tax_id": None}),
    (["profile", "set", "address", "1 Street", "Seoul"], "profile_set", {"address": ["1 Street", "Seoul"]}),
    (["announce", "coffee", "--serves", "KR", "--serves", "JP"], "announce", {"serves": ["KR", "JP"]}),
    (["announcements"], "announcements", {}),
    (["withdraw", "a-1234"], "withdraw", {"id": "a-1234"}),
    (["requests", "--state", "open", "--limit", "3"], "requests", {}),
    (["quotes", "r-1234"], "quotes", {}),
    (["close", "r-1234", "--enough"], "request_close", {"state": "enough"}),
    (["close", "r-1234"], "request_close", {"state": "cancelled"}),
    (["order", "q-1", "--line", "1", "--line", "3=5 kg", "--ref", "PO"], "order", {"reference": "PO"}),
    (["order", "q-1", "--deliver-to", "Roma; 1 Street;Seoul"], "order", {"deliver_to_text": "Roma\n1 Street\nSeoul"}),
    (["quote", "r-1", "--line", "2=15.50"], "quote", {"lines": [b.NewQuoteLine(no=2, price="15.50")]}),
    (["quote", "r-1", "--total", "12.50 EUR", "--indicative"], "quote", {"total": "12.50 EUR", "kind": "indicative"}),
    (
        ["quote", "r-1", "--total", "9", "--tax-added", "--whole-only"],
        "quote",
        {"tax_included": False, "divisible": False},
    ),
    (["quote", "c-1", "--valid", "2d"], "quote", {"lines": [], "valid": "2d"}),
    (["quote", "r-1", "--from", "q-1", "--margin", "12%"], "quote", {"from_quote": "q-1", "margin": "12%"}),
    (
        ["counter", "q-1", "--line", "2=3", "--quantity", "2=5 kg", "--drop", "4", "--charge", "delivery=0"],
        "counter",
        {
            "lines": [talk.RevisedLine(no=2, price="3", quantity="5 kg")],
            "drop": [4],
            "charges": [b.NewCharge(kind="delivery", amount="0")],
        },
    ),
    (["amend", "o-1", "--quantity", "1=2", "--upstream", "d-1"], "amend", {"upstream": ["d-1"]}),
    (["note", "q-1", "Is", "it", "so?", "--to", "A"], "note", {"about": "q-1", "text": "Is it so?", "to": ["A"]}),
    (["ack", "--seen", "q-1", "--seen", "n-2"], "inbox_seen", {"ids": ["q-1", "n-2"]}),
    (["ack", "--seen", "q-1", "n-2", "o-3"], "inbox_seen", {"ids": ["q-1", "n-2", "o-3"]}),
    (["contacts"], "contacts", {}),
    (["contacts", "add", "k3f7q-h2x9d", "Roma"], "contact_add", {"peer": "k3f7q-h2x9d", "name": "Roma"}),
    (["contacts", "remove", "Roma"], "contact_remove", {"contact": "Roma"}),
    (["decline", "r-1", "--reason", "stock"], "decline", {"reason": "stock"}),
    (["accept", "o-1"], "accept", {}),
    (["reject", "o-1", "--reason", "price", "--text", "no"], "reject", {"reason": "price", "text": "no"}),
    (["inbox", "--state", "new"], "inbox", {}),
    (["deals", "--role", "seller", "--state", "agreed"], "deals", {}),
    (["show", "d-1234"], "show", {}),
    (["export", "d-1234", "-o", "-"], "export", {}),
    (["prices", "show", "word"], "prices_show", {}),
    (["prices", "export"], "prices_export", {}),
    (["request", "coffee", "20", "kg", "--detach"], "request_open", {"text": "20 kg", "category": "coffee"}),
    (
        ["request", "coffee", "--line", "2 a", "--line", "3 b", "--detach"],
        "request_open",
        {"line_texts": ["2 a", "3 b"]},
    ),
    (["request", "--for", "r-1", "--anonymous", "--detach"], "request_open", {"made_for": "r-1", "known_to": "nobody"}),
    (["request", "c", "x", "--detach", "--quotes", "5"], "request_open", {"quotes_wanted": 5}),
    (["request", "c", "x", "--detach", "--to", "A", "--to", "B"], "request_open", {"to": ["A", "B"]}),
    (["request", "c", "x", "--detach", "--from", "KR", "--region", "JP"], "request_open", {"from_region": "KR"}),
]


@pytest.mark.parametrize(
    ("words", "route", "fields"), CALLS, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_what_a_command_asks(stub: Stub, words: list[str], route: str, fields: dict[str, object]) -> None:
    done = stub.market(*words)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    (call,) = stub.calls
    assert call.route == route
    assert {name: getattr(call.body, name) for name in fields} == fields


def test_ids_go_to_the_daemon_as_typed(stub: Stub) -> None:
    stub.market("show", "d-12/../x y")
    assert stub.calls[0].arguments == {"id": "d-12/../x y"}


def test_price_list_bytes_go_through_untouched(stub: Stub, tmp_path: Path) -> None:
    file = tmp_path / "prices.csv"
    file.write_bytes(b"\xff\xfecode\0")
    stub.answers["prices_import"] = msgspec.structs.replace(sample(t.PricesReport), problems=[], dry_run=True)
    done = stub.market("prices", "import", str(file), "--map", "price=Price (£)", "--dry-run", "--currency", "GBP")
    assert done.returncode == 0, done.stderr
    assert stub.calls[0].body == b"\xff\xfecode\0"
    assert stub.calls[0].query == {"map.price": "Price (£)", "dry_run": "true", "currency": "GBP"}
    assert "nothing was changed" in done.stdout


def test_bad_rows_end_with_65_and_are_all_listed(stub: Stub) -> None:
    problems = [{"row": n, "column": "price", "problem": f"bad {n}", "hint": "write 1.50"} for n in (3, 9)]
    refused = errors.BadInput("2 rows are bad, nothing was imported", hint="Mend them", details={"problems": problems})

    def refuse(_: object) -> None:
        raise refused

    stub.answers["prices_import"] = refuse
    done = stub.market("prices", "import", "-", stdin=b"code,price\n")
    assert done.returncode == 65
    assert "row 3, column price: bad 3 (write 1.50)" in done.stderr
    assert "row 9" in done.stderr
    assert done.stdout == ""


def test_idempotency_key_on_writing_commands(stub: Stub) -> None:
    assert stub.market("order", "q-1", "--idempotency-key", "k-1").returncode == 0
    assert stub.calls[0].key == "k-1"
    assert stub.market("status", "--idempotency-key", "k").returncode == 2


@pytest.mark.parametrize("words", [["--json", "status"], ["status", "--json"]])
def test_json_is_one_document_before_and_after_the_verb(stub: Stub, words: list[str]) -> None:
    done = stub.market(*words)
    assert msgspec.json.decode(done.stdout, type=t.Status) == sample(t.Status)


def test_home_after_the_verb(stub: Stub) -> None:
    for words in (["--home", str(stub.home), "id"], ["id", "--home", str(stub.home)]):
        assert stub.market(*words, MARKET_HOME="/nonexistent").returncode == 0


def test_fields_pick(stub: Stub) -> None:
    done = stub.market("status", "--fields", "state,dht.contacts")
    assert json.loads(done.stdout) == {"state": "joining", "dht.contacts": 3}
    done = stub.market("deals", "--fields", "id,total")
    assert list(json.loads(done.stdout)["deals"][0]) == ["id", "total"]
    done = stub.market("status", "--fields", "nonsense")
    assert done.returncode == 2
    assert "nonsense" in done.stderr


def test_json_escapes_what_steers_and_keeps_the_rest(stub: Stub) -> None:
    text = "한글 é \u202e\x9b\x7f\U000e0041"
    stub.answers["identity"] = msgspec.structs.replace(sample(t.Identity), name=text)
    out = stub.market("id", "--json").stdout
    assert "한글 é \\u202e\\u009b\\u007f\\udb40\\udc41" in out
    assert json.loads(out)["name"] == text


def test_a_terminal_without_unicode_shows_the_rest(stub: Stub) -> None:
    stub.answers["identity"] = msgspec.structs.replace(sample(t.Identity), name="한 Cafe")
    done = stub.market("id", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr
    assert "\\ud55c Cafe" in done.stdout


def test_errors_on_stderr_with_hint_and_code(stub: Stub) -> None:
    def fail(_: object) -> None:
        raise errors.WrongState("the quote \x1b[31mexpired", hint="Ask again", details={"state": "expired"})

    stub.answers["order"] = fail
    done = stub.market("order", "q-1")
    assert (done.returncode, done.stdout) == (9, "")
    assert done.stderr == "error: the quote ^[[31mexpired\nhint: Ask again\n"
    done = stub.market("order", "q-1", "--json")
    assert (done.returncode, done.stdout) == (9, "")
    error = json.loads(done.stderr)["error"]
    assert error["code"] == "wrong_state"
    assert error["details"] == {"state": "expired"}
    assert done.stderr.count("\n") == 1


def test_a_hint_about_how_things_are_written_names_the_command(stub: Stub) -> None:
    def fail(_: object) -> None:
        raise errors.BadInput("reason cannot be so")

    stub.answers["decline"] = fail
    done = stub.market("decline", "r-1", "--reason", "stock")
    assert done.returncode == 65
    assert done.stderr.endswith("hint: The examples show how things are written: market decline --help\n")


def test_doctor_fails_if_a_check_fails(stub: Stub) -> None:
    assert stub.market("doctor").returncode == 0
    stub.answers["doctor"] = msgspec.structs.replace(sample(t.Doctor, choice=2), ok=False)
    done = stub.market("doctor")
    assert done.returncode == 1
    assert "failed" in done.stdout


def test_export_to_a_file(stub: Stub, tmp_path: Path) -> None:
    target = tmp_path / "deal.json"
    assert stub.market("export", "d-1", "-o", str(target)).returncode == 0
    assert target.read_bytes() == b"data"
    done = stub.market("export", "d-1", "-o", str(tmp_path / "no" / "deal"))
    assert done.returncode == 65
    assert list(tmp_path.iterdir()) == [target]


def test_a_reader_that_leaves_is_no_error(stub: Stub) -> None:
    stub.answers["events"] = [*(event("order.received", sample(t.InboxItem), n) for n in range(2000))]
    process = subprocess.Popen(
        [*MARKET, "watch", "--since", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=stub.environment()
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(30) == 0
    process.stderr.close()


# Waiting for quotes


def the_request(**changes: object) -> t.Request:
    return msgspec.structs.replace(sample(t.Request), id=ID, state="open", **changes)


def event(kind: str, data: object, seq: int | None = 1) -> t.Event:
    return t.Event(stream="s", seq=seq, time="2030-01-01T00:00:00Z", type=kind, id=ID, data=data)


def report(ended: t.Ended | None, *, quotes: int = 0) -> t.RequestReport:
    made = [msgspec.structs.replace(sample(t.Quote), id=f"q-{n}aaaaaaaaaa", state="open") for n in range(quotes)]
    return t.RequestReport(
        request=the_request(), sellers=[sample(t.SellerState)], quotes=made, ended=ended, problems=[]
    )


def waits(stub: Stub, *events: object, now: t.RequestReport | None = None) -> None:
    stub.answers["request_open"] = t.RequestReply(request=the_request(), created=True, problems=[])
    stub.answers["request_watch"] = lambda _: [event("request.opened", the_request()), *events]
    stub.answers["request_get"] = now or report(None)


@pytest.mark.parametrize(
    ("ended", "quotes", "code"), [("enough", 1, 0), ("deadline", 1, 0), ("deadline", 0, 6), ("no_sellers", 0, 5)]
)
def test_how_a_wait_ends(stub: Stub, ended: t.Ended, quotes: int, code: int) -> None:
    waits(stub, event("quote.received", sample(t.Quote), 2), event("end", report(ended, quotes=quotes), 3))
    done = stub.market("request", "coffee", "20 kg", "--json")
    assert done.returncode == code, done.stderr
    printed = msgspec.json.decode(done.stdout, type=t.RequestReport)
    assert printed == report(ended, quotes=quotes)


def test_timeout_leaves_the_request_open(stub: Stub) -> None:
    waits(stub)
    done = stub.market("request", "coffee", "20 kg", "--json", "--timeout", "1s")
    assert done.returncode == 8
    assert json.loads(done.stdout)["ended"] == "timeout"
    assert {call.route for call in stub.calls} == {"request_open", "request_watch", "request_get"}


@pytest.mark.parametrize(("words", "later"), [([], "whoever appears"), (["--to", "Roaster"], "nobody else is asked")])
def test_who_is_asked_later_is_said_where_too_few_were_found(stub: Stub, words: list[str], later: str) -> None:
    few = msgspec.structs.replace(report("enough", quotes=1), request=the_request(quotes_wanted=9))
    waits(stub, event("quote.received", sample(t.Quote), 2), event("end", few, 3))
    assert later in stub.market("request", "coffee", "20 kg", *words).stderr


def test_one_cannot_be_known_to_all_and_to_nobody(stub: Stub) -> None:
    done = stub.market("request", "coffee", "20 kg", "--introduce", "--anonymous")
    assert (done.returncode, stub.calls) == (2, [])
    assert "not both" in done.stderr


def test_a_bad_timeout_opens_no_request(stub: Stub) -> None:
    done = stub.market("request", "coffee", "20 kg", "--timeout", "soon")
    assert done.returncode == 65
    assert stub.calls == []


def test_jsonl_is_every_event_and_end_last(stub: Stub) -> None:
    waits(stub, event("quote.received", sample(t.Quote), 2))
    done = stub.market("request", "coffee", "20 kg", "--jsonl", "--timeout", "1s")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["type"] for line in lines] == ["request.opened", "quote.received", "end"]
    assert lines[-1]["data"]["ended"] == "timeout"
    assert done.returncode == 8


def test_in_a_pipe_the_result_is_data_and_the_rest_talk(stub: Stub) -> None:
    waits(stub, event("quote.received", sample(t.Quote), 2), event("end", report("enough", quotes=1), 3))
    done = stub.market("request", "coffee", "20 kg")
    assert done.returncode == 0
    assert "understood: 20 kg · text" in done.stdout
    assert "q-0aaaaaaaaaa" in done.stdout
    assert "quote text from text (text) !: 1,234.50 EUR" in done.stderr
    assert "market order q-0aaaaaaa" in done.stderr


def test_detach_prints_the_id(stub: Stub) -> None:
    waits(stub)
    done = stub.market("request", "coffee", "20 kg", "--detach")
    assert (done.returncode, done.stdout) == (0, ID + "\n")
    assert "understood: 20 kg · text" in done.stderr
    printed = json.loads(stub.market("request", "coffee", "20 kg", "--detach", "--json").stdout)
    assert (printed["request"]["id"], printed["ended"]) == (ID, None)


def test_a_dry_run_of_a_request_says_what_would_be_asked_and_names_nothing_that_is_not_there(stub: Stub) -> None:
    waits(stub)
    done = stub.market("request", "coffee", "20 kg", "--dry-run")
    assert done.returncode == 0
    assert stub.calls[0].query == {"dry_run": "1"}
    assert done.stdout.startswith("Dry run: sellers of text text would be asked for quotes until\n2030-01-02T03:04:05Z")
    assert "understood: 20 kg · text" in done.stdout
    assert ID[:6] not in done.stdout + done.stderr
    assert "market quotes" not in done.stdout + done.stderr
    printed = json.loads(stub.market("request", "coffee", "20 kg", "--dry-run", "--json").stdout)
    assert printed["request"]["id"] == ID
    named = stub.market("request", "coffee", "20 kg", "--dry-run", "--to", "Roma", "--to", "Milano")
    assert named.stdout.startswith("Dry run: Roma, Milano would be asked for quotes until\n")


def test_an_empty_id_is_told_before_it_is_sent(stub: Stub) -> None:
    for words in (["show", ""], ["pay", " "], ["cancel", ""]):
        done = stub.market(*words)
        assert (done.returncode, stub.calls) == (65, [])
        assert "an id is empty" in done.stderr


def test_interrupt_prints_what_is_known_and_leaves_it_open(stub: Stub) -> None:
    waits(stub, event("quote.received", sample(t.Quote), 2), now=report(None, quotes=2))
    process = subprocess.Popen(
        [*MARKET, "request", "coffee", "20 kg", "--jsonl"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=stub.environment(),
        text=True,
    )
    assert process.stdout is not None
    seen = [process.stdout.readline(), process.stdout.readline()]
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    lines = [json.loads(line) for line in [*seen, *out.splitlines()]]
    assert [line["type"] for line in lines] == ["request.opened", "quote.received", "end"]
    assert lines[-1]["data"]["ended"] == "interrupted"
    assert len(lines[-1]["data"]["quotes"]) == 2
    assert not [call for call in stub.calls if call.route == "request_close"]


def waiting(stub: Stub, *more: str) -> subprocess.Popen[str]:
    """A request in a pipe, with a seller asked and a quote told on its standard error."""
    search = t.Search(nodes_asked=17, sellers_found=1, widened_to=[], complete=True)
    asked = event("seller.asked", sample(t.SellerState, "Cafe"), 2)
    told = [event("search.progress", search, None), asked, event("quote.received", sample(t.Quote), 3)]
    waits(stub, *told, now=report(None, quotes=2))
    words = [*MARKET, "request", "coffee", "20 kg", *more]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=stub.environment(), text=True)


@pytest.mark.parametrize("more", [[], ["--json"]], ids=["for people", "--json"])
def test_a_wait_in_a_pipe_says_at_once_how_it_stands_and_ends_well_by_sigterm(stub: Stub, more: list[str]) -> None:
    process = waiting(stub, *more)
    assert process.stderr is not None
    lines = [process.stderr.readline() for _ in range(4)]
    assert lines == [
        f"request {ID} is open until 2030-01-02T03:04:05Z\n",
        "searched: 3 nodes asked, 3 sellers found\n",  # by the first event, and only once
        "asked Cafe (Cafe) !\n",
        "quote text from text (text) !: 1,234.50 EUR\n",
    ]
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 143, err
    if more:
        printed = json.loads(out)
        assert (printed["ended"], printed["request"]["id"], len(printed["quotes"])) == ("interrupted", ID, 2)
    else:
        assert "1,234.50 EUR" in out
        assert f"stays open. Rejoin: market quotes {ID[:10]}" in err
        assert f"market close {ID[:10]}" in err
    assert not [call for call in stub.calls if call.route == "request_close"]


def on_terminal(stub: Stub, *words: str, until: str, send: bytes = b"", **environment: str) -> tuple[int, str]:
    """Run `market` on a pseudo-terminal; once `until` was printed, type `send`; exit code and all that was shown."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(
            MARKET[0], [*MARKET, *words], stub.environment(TERM="xterm", COLUMNS="100", LINES="30", **environment)
        )
    shown = b""
    ends = time.monotonic() + 30
    while time.monotonic() < ends:
        if not select.select([terminal], [], [], 0.1)[0]:
            continue
        try:
            data = os.read(terminal, 65536)
        except OSError:  # Linux says so when the other side is closed
            break
        shown += data
        if send and until.encode() in shown:
            os.write(terminal, send)
            send = b""
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()


def test_ctrl_c_at_the_live_table_says_how_to_come_back(stub: Stub) -> None:
    waits(stub, event("quote.received", sample(t.Quote), 2), now=report(None, quotes=1))
    code, shown = on_terminal(stub, "request", "coffee", "20 kg", until="1,234.50 EUR", send=b"\x03")
    assert code == 130
    assert "understood:" in shown
    assert "stays open" in shown
    assert "market quotes r-k3f7q2h9" in shown
    assert "market watch" in shown


def test_nobody_sells_it_on_a_terminal(stub: Stub) -> None:
    search = t.Search(nodes_asked=17, sellers_found=0, widened_to=["coffee"], complete=True)
    nobody = t.RequestReport(request=the_request(search=search), sellers=[], quotes=[], ended="no_sellers", problems=[])
    match = t.CategoryMatch(code="cpv:15861000", label="Coffee", score=1.0, why="label", announced=2)
    stub.answers["categories"] = t.Categories(matches=[match])
    waits(stub, event("search.progress", nobody.request, None), event("end", nobody, 2))
    code, shown = on_terminal(stub, "request", "coffee/roasted", "20 kg", until="")
    assert code == 5
    for words in ("17 nodes asked", "also under coffee", "cpv:15861000 (Coffee)", "Try:"):
        assert words in shown


def test_no_color_on_a_terminal(stub: Stub) -> None:
    _, coloured = on_terminal(stub, "status", until="")
    _, plain = on_terminal(stub, "status", until="", NO_COLOR="1")
    colour = re.compile(r"\x1b\[[0-9;]*3[0-7]m")
    assert colour.search(coloured)
    assert not colour.search(plain)


def test_the_inbox_is_seen_by_people_only(stub: Stub) -> None:
    stub.market("inbox", "--json")
    stub.market("inbox")
    assert [call.route for call in stub.calls] == ["inbox", "inbox"]
    on_terminal(stub, "inbox", until="")
    assert stub.calls[-1].route == "inbox_seen"


def test_quotes_are_seen_where_they_stand_side_by_side(stub: Stub) -> None:
    item = sample(t.InboxItem)
    quotes = msgspec.structs.replace(item, kind="quotes", id="r-" + "k" * 26, actions=["quotes"])
    stub.answers["inbox"] = t.Inbox(items=[item, quotes], next=None, not_listed=0)
    _, shown = on_terminal(stub, "inbox", until="")
    assert "3 new quotes" in shown
    assert "market quotes r-kkkkkkk" in shown
    assert stub.calls[-1].body == b.MarkSeen(ids=[item.id])
    stub.market("quotes", "r-kkkk")
    assert stub.calls[-1].route != "inbox_seen"
    on_terminal(stub, "quotes", "r-kkkk", until="")
    assert stub.calls[-1].body == b.MarkSeen(ids=["text", "text"])


# Watching


def test_watch_prints_events_and_goes_on_after(stub: Stub) -> None:
    stub.answers["events"] = lambda seen: [
        event("order.received", sample(t.InboxItem), int(seen.query["since"]) + 1),
    ]
    process = subprocess.Popen(
        [*MARKET, "watch", "--jsonl", "--since", "7"], stdout=subprocess.PIPE, env=stub.environment(), text=True
    )
    assert process.stdout is not None
    line = json.loads(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert (line["type"], line["seq"]) == ("order.received", 8)


def test_watch_takes_every_type_that_there_is(stub: Stub) -> None:
    stub.answers["events"] = [event(name, {}, seq) for seq, name in enumerate(["new.type", *t.EVENT_TYPES])]
    types = [word for name in t.EVENT_TYPES for word in ("--type", name)]
    line = [*MARKET, "watch", "--since", "0", "--json", *types]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, env=stub.environment(), text=True)
    assert process.stdout is not None
    told = [json.loads(process.stdout.readline())["type"] for _ in t.EVENT_TYPES]  # --json is a document a line too
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert told == list(t.EVENT_TYPES)


def test_notify_runs_the_desktop_without_a_shell(stub: Stub, tmp_path: Path) -> None:
    told = tmp_path / "told"
    program = tmp_path / "notify-send"
    program.write_text(
        f"#!{sys.executable}\nimport json, sys\nopen({str(told)!r}, 'a').write(json.dumps(sys.argv[1:]) + '\\n')\n"
    )
    program.chmod(0o755)
    item = msgspec.structs.replace(sample(t.InboxItem), title="--urgency=critical <b>$(id)</b>\x1b[31m")
    stub.answers["events"] = [event("request.received", item, 1), event("seller.asked", {}, 2)]
    path = f"{tmp_path}:{os.environ['PATH']}"
    code, shown = on_terminal(stub, "watch", "--notify", "--since", "0", until="seller.asked", send=b"\x03", PATH=path)
    assert code == 130
    assert shown.count("\a") == 1
    (line,) = told.read_text().splitlines()
    words = json.loads(line)
    assert words[:3] == ["--app-name=market", "--", "Request received"]
    assert "(b)$(id)(/b)^[[31m" in words[3]


def test_the_next_page_has_the_filters_of_this_one(stub: Stub) -> None:
    stub.answers["requests"] = sample(t.Requests, text="7")
    done = stub.market("requests", "--state", "open", "--limit", "2", "--home", str(stub.home))
    assert f"market requests --home {stub.home} --state open --limit 2 --cursor 7" in done.stderr


def test_fields_of_a_document_with_a_list_of_texts(stub: Stub) -> None:
    done = stub.market("id", "--fields", "nope")
    assert done.returncode == 2
    assert "there are: identity, fingerprint" in done.stderr


def test_a_missing_choice_is_told_in_one_line(stub: Stub) -> None:
    done = stub.market("decline", "r-1234")
    assert done.returncode == 2
    assert "Choose from: stock, region, size" in done.stderr


def test_quotes_show_who_was_asked_and_did_not_quote(stub: Stub) -> None:
    reply = sample(t.Quotes)
    counts = msgspec.structs.replace(reply.request.counts, asked=2, quoted=0)
    request = msgspec.structs.replace(reply.request, counts=counts)
    stub.answers["quotes"] = t.Quotes(request=request, quotes=[])
    stub.answers["request_get"] = sample(t.RequestReport, text="Silent Ltd")
    assert "Silent Ltd" in stub.market("quotes", "r-1234").stdout
    assert [call.route for call in stub.calls] == ["quotes", "request_get"]


@pytest.mark.parametrize(
    "words", [["deals", "--state", "closed"], ["requests", "--state", "open"], ["prices", "show", "x"]]
)
def test_nothing_found_is_not_nothing_there(stub: Stub, words: list[str]) -> None:
    stub.answers["deals"] = t.Deals(deals=[], next=None)
    stub.answers["requests"] = t.Requests(requests=[], next=None)
    stub.answers["prices_show"] = t.Prices(rows=[], total=0, imported_at=None, next=None)
    assert f"All of them: market {words[0]}" in stub.market(*words).stdout


def test_a_tried_import_counts_the_rows_that_are_good(stub: Stub) -> None:
    report = sample(t.PricesReport)
    stub.answers["prices_import"] = msgspec.structs.replace(report, dry_run=True, rows=5, skipped=3, imported=0)
    done = stub.market("prices", "import", "-", "--dry-run", stdin=b"code,price\n")
    assert "2 of 5 rows can be imported" in done.stdout
