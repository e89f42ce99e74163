"""What scripts hang on: events, hooks, waits and how they end, searches that widen."""

from __future__ import annotations

import io
import json
import os
import pty
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from daemons import Market, Peer, Said, a_market, until

from p2pmarket.api.types import bodies as b

PRICES = b"code,description,unit,price,currency\nR1,rake,pcs,12.00,EUR\n"
HOOK = """#!/bin/sh
# One file for each run: two runs for one event would leave two.
cat > "$(mktemp "$(dirname "$0")/run-$MARKET_SEQ-$MARKET_EVENT-XXXXXX")"
"""


@pytest.fixture(scope="module")
def hooks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the seller's hook leaves what it was given."""
    folder = tmp_path_factory.mktemp("hooks")
    (folder / "hook").write_text(HOOK)
    (folder / "hook").chmod(0o700)
    return folder


@pytest.fixture(scope="module")
def net(hooks: Path) -> Iterator[Market]:
    with a_market("seller", "buyer", config={"seller": f'hook = ["{hooks}/hook"]\n'}) as net:
        seller = net["seller"]
        seller.client.profile_set(b.SetProfile(name="Gärtner"))
        seller.ask("prices", "import", "-", stdin=PRICES)
        seller.announce("garden/tools", "DE", "KR")
        seller.announce("cpv:15860000", "world")
        yield net


@pytest.fixture
def seller(net: Market) -> Peer:
    return net["seller"]


@pytest.fixture
def buyer(net: Market) -> Peer:
    return net["buyer"]


def ended(process: subprocess.Popen[bytes]) -> Said:
    out, err = process.communicate(timeout=30)
    return Said(process.returncode, out.decode(), err.decode())


def lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


# Events


def test_watch_prints_each_event_as_it_comes_one_json_a_line(seller: Peer, buyer: Peer) -> None:
    """Started with --since, so that what happens before it listens is not missed either."""
    since = seller.client.status().last_seq
    watch = seller.spawn("watch", "--jsonl", "--since", str(since))
    assert watch.stdout is not None
    request = buyer.open("garden/tools", "3 pcs rake")
    (quote,) = buyer.quoted(request.id)
    order = buyer.client.order(b.NewOrder(quote=quote.id)).order
    buyer.settled(order.id, "agreed")
    seen: list[Any] = []
    while not seen or seen[-1]["type"] != "order.accepted":
        seen.append(json.loads(watch.stdout.readline()))
    watch.send_signal(signal.SIGINT)
    assert ended(watch).code == 130
    numbers = [event["seq"] for event in seen]
    assert numbers == list(range(since + 1, since + 1 + len(seen)))
    types = [event["type"] for event in seen]
    assert [one for one in types if one != "delivery.changed"] == [
        "request.received",
        "order.received",
        "order.accepted",
    ]
    assert seen[0]["id"] == request.id
    assert seen[0]["data"]["actions"]
    assert {event["stream"] for event in seen} == {seller.client.status().stream}
    assert seen[-1]["data"]["id"] == order.id


def test_watch_keeps_to_the_types_that_were_asked_for(seller: Peer, buyer: Peer) -> None:
    watch = seller.spawn("watch", "--jsonl", "--since", "0", "--type", "request.received")
    assert watch.stdout is not None
    first = json.loads(watch.stdout.readline())
    assert first["type"] == "request.received"
    watch.send_signal(signal.SIGINT)
    rest = lines(ended(watch).out)
    assert {event["type"] for event in rest} <= {"request.received"}


def test_the_hook_runs_once_for_each_event_with_its_json(hooks: Path, seller: Peer, buyer: Peer) -> None:
    request = buyer.open("garden/tools", "4 pcs rake")
    buyer.quoted(request.id)
    last = seller.client.status().last_seq

    def runs() -> dict[int, list[Path]] | None:
        found: dict[int, list[Path]] = {}
        for path in hooks.glob("run-*"):
            found.setdefault(int(path.name.split("-")[1]), []).append(path)
        return found if last in found and all(path.stat().st_size for path in found[last]) else None

    found = until("the hook to have seen the last event", runs)
    assert all(len(paths) == 1 for paths in found.values())
    assert sorted(found) == list(range(min(found), last + 1))
    with seller.client.events(min(found) - 1) as stream:
        for _ in range(min(found), last + 1):
            event = stream.wait(10)
            assert event is not None
            assert event.seq is not None
            (path,) = found[event.seq]
            told = json.loads(path.read_text())
            assert (told["seq"], told["type"], told["id"]) == (event.seq, event.type, event.id)
            assert event.type in path.name
            assert told["data"]


# How a wait ends


def test_ctrl_c_leaves_the_request_open_and_reports_what_there_is(seller: Peer, buyer: Peer) -> None:
    asking = buyer.spawn("request", "garden/tools", "1 pcs wheelbarrow, red", "--jsonl")
    assert asking.stdout is not None
    request = json.loads(asking.stdout.readline())["id"]
    seller.received(request)
    asking.send_signal(signal.SIGINT)
    said = ended(asking)
    assert said.code == 130
    last = lines(said.out)[-1]
    assert (last["type"], last["data"]["ended"], last["data"]["request"]["id"]) == ("end", "interrupted", request)
    assert last["data"]["request"]["state"] == "open"
    seller.client.quote(request, b.NewQuote(total="50 EUR"))
    assert buyer.quoted(request)


def test_ctrl_c_tells_people_how_to_rejoin(seller: Peer, buyer: Peer) -> None:
    before = {one.id for one in buyer.client.requests().requests}
    asking = buyer.spawn("request", "garden/tools", "1 pcs wheelbarrow, blue")
    assert asking.stderr is not None
    request = until(
        "the request", lambda: next((o.id for o in buyer.client.requests().requests if o.id not in before), None)
    )
    seller.received(request)
    seller.client.decline(request, b.Decline(reason="trade"))
    told = [asking.stderr.readline().decode() for _ in range(4)]
    assert told[0].startswith(f"request {request} is open until 20")
    assert "1 seller found" in "".join(told)
    assert "asked Gärtner (" in "".join(told)
    assert told[3].startswith("declined by Gärtner (")
    asking.send_signal(signal.SIGINT)
    said = ended(asking)
    assert said.code == 130
    assert request[:10] in said.err
    assert "stays open" in said.err
    assert buyer.client.request_get(request).request.state == "open"


def test_a_terminal_shows_each_seller_and_ctrl_c_leaves_it_clean(seller: Peer, buyer: Peer) -> None:
    before = {one.id for one in buyer.client.requests().requests}
    master, slave = pty.openpty()
    words = buyer.daemon.command("request", "garden/tools", "1 pcs wheelbarrow, green")
    asking = subprocess.Popen(words, stdin=slave, stdout=slave, stderr=slave, env={**os.environ, "TERM": "xterm"})
    os.close(slave)
    shown = io.BytesIO()
    reading = threading.Thread(target=lambda: read_to_end(master, shown))
    reading.start()
    request = until(
        "the request", lambda: next((o.id for o in buyer.client.requests().requests if o.id not in before), None)
    )
    seller.received(request)
    until("the seller's row", lambda: "Gärtner" in shown.getvalue().decode(errors="replace"))
    asking.send_signal(signal.SIGINT)
    assert asking.wait(20) == 130
    reading.join(20)
    os.close(master)
    picture = shown.getvalue().decode()
    assert "wheelbarrow" in picture
    assert "stays open" in picture
    assert picture.rfind("\x1b[?25h") >= picture.rfind("\x1b[?25l")  # the cursor is back


def read_to_end(terminal: int, into: io.BytesIO) -> None:
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:  # Linux: the other side has closed it
            return
        if not data:
            return
        into.write(data)


def test_a_time_out_ends_the_command_and_not_the_request(buyer: Peer) -> None:
    said = buyer.market("request", "garden/tools", "2 pcs wheelbarrow", "--timeout", "1s", "--json")
    assert (said.code, said.json["ended"]) == (8, "timeout")
    assert said.json["request"]["state"] == "open"
    streamed = buyer.market("request", "garden/tools", "2 pcs wheelbarrow", "--timeout", "1s", "--jsonl")
    assert streamed.code == 8
    types = [event["type"] for event in lines(streamed.out)]
    assert types[0] == "request.opened"
    assert {"seller.asked", "delivery.changed"} <= set(types)
    assert types[-1] == "end"
    assert lines(streamed.out)[-1]["data"]["ended"] == "timeout"


def test_reply_by_passes_without_a_quote(seller: Peer, buyer: Peer) -> None:
    said = buyer.market("request", "garden/tools", "5 pcs wheelbarrow", "--within", "2s", "--json")
    assert (said.code, said.json["ended"], said.json["request"]["state"]) == (6, "deadline", "expired")
    assert [one["answer"] for one in said.json["sellers"]] == ["silent"]
    error = seller.refuse(9, "quote", said.json["request"]["id"], "--total", "5 EUR")
    assert "passed" in error["message"]


def test_reply_by_passes_with_a_quote_in_hand(seller: Peer, buyer: Peer) -> None:
    request = buyer.ask("request", "garden/tools", "1 pcs rake", "--within", "1h")
    assert request["ended"] == "enough"
    assert len(request["quotes"]) == 1


def test_a_wait_goes_on_across_a_restart_of_the_daemon(seller: Peer, buyer: Peer) -> None:
    said: list[Said] = []
    words = ("request", "garden/tools", "6 pcs wheelbarrow", "--quotes", "1", "--json")
    waiting = threading.Thread(target=lambda: said.append(ended(buyer.spawn(*words))))
    before = {one.id for one in buyer.client.requests().requests}
    waiting.start()
    request = until(
        "the request", lambda: next((o.id for o in buyer.client.requests().requests if o.id not in before), None)
    )
    seller.received(request)
    buyer.crash()
    seller.client.quote(request, b.NewQuote(total="500 EUR"))
    waiting.join(60)
    (one,) = said
    assert (one.code, one.json["ended"]) == (0, "enough")
    assert one.json["quotes"][0]["total"]["amount"] == "500.00"


# Searches


def test_a_search_widens_to_the_levels_above_and_says_so(buyer: Peer) -> None:
    request = buyer.ask("request", "garden/tools/rakes", "7 pcs rake")
    assert request["request"]["search"]["widened_to"][0] == "garden/tools"
    assert request["request"]["search"]["nodes_asked"] >= 2
    assert request["quotes"][0]["total"]["amount"] == "84.00"
    shown = buyer.market("request", "garden/tools/rakes", "8 pcs rake")
    assert shown.code == 0
    assert "garden/tools" in shown.out + shown.err
    cpv = buyer.ask("request", "cpv:15861000", "2 pcs rake")
    assert cpv["request"]["search"]["widened_to"][0] == "cpv:15860000"
    assert len(cpv["quotes"]) == 1


def test_sellers_elsewhere_are_not_asked(buyer: Peer) -> None:
    assert buyer.ask("request", "garden/tools", "1 pcs rake", "--region", "KR")["ended"] == "enough"
    said = buyer.market("request", "garden/tools", "1 pcs rake", "--region", "BR", "--json")
    assert (said.code, said.json["ended"], said.json["sellers"]) == (5, "no_sellers", [])


def test_a_category_that_nobody_uses_shows_what_was_asked_and_what_is_near(buyer: Peer) -> None:
    said = buyer.market("request", "roasted coffee", "3 kg beans")
    assert said.code == 5
    talk = said.out + said.err
    assert "cpv:158" in talk
    assert "Coffee" in talk
    assert "nodes" in talk
    as_json = buyer.market("request", "roasted coffee", "3 kg beans", "--json").json
    assert as_json["request"]["search"]["complete"] is True
    assert as_json["request"]["search"]["nodes_asked"] >= 2
    near = buyer.market("request", "garden", "3 pcs rake", "--json")
    assert near.code == 0  # the seller of garden/tools has part of what belongs there


@pytest.mark.parametrize("words", ["coffee", "커피", "Kaffee coffee"])
def test_categories_are_found_in_words_of_people(buyer: Peer, words: str) -> None:
    codes = [match["code"] for match in buyer.ask("categories", words)["matches"]]
    assert any(code.startswith("cpv:1586") for code in codes)


def test_known_sellers_are_asked_by_name_without_a_search(seller: Peer, buyer: Peer) -> None:
    buyer.ask("request", "garden/tools", "1 pcs rake")
    for name in ("Gärtner", seller.client.identity().fingerprint, seller.client.identity().identity):
        request = buyer.ask("request", "garden/tools", "9 pcs rake", "--to", name)
        assert request["request"]["search"]["nodes_asked"] == 0
        assert [one["seller"]["name"] for one in request["sellers"]] == ["Gärtner"]
        assert len(request["quotes"]) == 1


def test_a_seller_who_announces_later_is_asked_too(net: Market, buyer: Peer) -> None:
    request = buyer.open("comets", "1 comet")
    until("the first search to be over", lambda: buyer.client.request_get(request.id).request.search.complete)
    assert buyer.sellers(request.id) == []
    net["seller"].announce("comets")
    assert net["seller"].received(request.id).state == "new"
