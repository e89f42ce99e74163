"""The blocking client against the real server, and against daemons that are gone, old or mad."""

from __future__ import annotations

import inspect
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from api_fakes import IDENTITY, STATUS, FakeHandlers, config_at, counted, event, who

from p2pmarket import client, errors
from p2pmarket.api import types as t
from p2pmarket.api.server import serve_api
from p2pmarket.api.server.app import error_response
from p2pmarket.api.server.events import encode_event
from p2pmarket.api.spec import ROUTES, Call
from p2pmarket.api.types import bodies as b
from p2pmarket.client.find import Endpoint, find_daemon
from p2pmarket.client.stream import EventStream, parse_block
from p2pmarket.client.wire import Connection

in_thread: Callable[..., Any] = partial(trio.to_thread.run_sync, abandon_on_cancel=True)


def kinds(kind: type[errors.MarketError] = errors.MarketError) -> list[type[errors.MarketError]]:
    """All classes with a code of their own."""
    own = [kind] if "code" in vars(kind) else []
    return [*own, *(grandchild for child in kind.__subclasses__() for grandchild in kinds(child))]


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
def test_every_error_arrives_as_itself(kind: type[errors.MarketError]) -> None:
    sent = kind("what", "why") if kind is errors.Refusal else kind("why", hint="try", details={"n": [1]})
    info = msgspec.json.decode(error_response(sent).body, type=t.ErrorReply).error
    got = client.rebuilt(info)
    assert type(got) is kind
    assert (got.message, got.hint, got.details) == (sent.message, sent.hint, sent.details)
    assert (got.exit_code, got.retryable, str(got)) == (kind.exit_code, kind.retryable, "why")


@pytest.mark.parametrize("kind", [errors.BadInput, errors.WrongState])
def test_a_hint_about_a_command_is_for_who_typed_one(kind: type[errors.MarketError]) -> None:
    info = msgspec.json.decode(error_response(kind("why")).body, type=t.ErrorReply).error
    assert info.hint is None
    assert client.rebuilt(info).hint == kind.default_hint


def test_codes_are_of_one_class_each() -> None:
    codes = [kind.code for kind in kinds()]
    assert len(codes) == len(set(codes))


def test_an_unknown_error_keeps_its_words() -> None:
    info = t.ErrorInfo(code="new_one", message="m", hint=None, retryable=False, details={"a": 1})
    got = client.rebuilt(info)
    assert (type(got), got.message, got.details) == (errors.MarketError, "m", {"code": "new_one", "a": 1})


def test_there_is_a_method_for_each_route() -> None:
    for route in ROUTES:
        parameters = list(inspect.signature(getattr(client.Client, route.name)).parameters)
        assert parameters[1 : 1 + len(route.arguments)] == list(route.arguments), route.name
        assert ("key" in parameters, "since" in parameters) == (route.writes, route.stream), route.name


async def test_arguments_and_answers_pass_unchanged(tmp_path: Path, nursery: trio.Nursery) -> None:
    async def requests(call: Call, body: None) -> t.Requests:
        return t.Requests(requests=[], next="한 &=?/%")

    handlers = FakeHandlers(identity=who, requests=requests)
    await nursery.start(serve_api, config_at(tmp_path), handlers)
    market = client.connect(tmp_path, {})
    assert await in_thread(market.identity) == IDENTITY
    page = await in_thread(partial(market.requests, limit=5, cursor="한 &=?/%"))
    assert page.next == handlers.calls[-1][1].query["cursor"] == "한 &=?/%"
    assert handlers.calls[-1][1].number("limit", 1, 1, 9) == 5
    body = b.NewOrder(quote="q-가", lines=[b.NewOrderLine(no=2, quantity="5 kg")])
    with pytest.raises(errors.NotFound):
        await in_thread(partial(market.order, body, key="k"))
    assert handlers.calls[-1][1].idempotency_key == "k"
    assert handlers.calls[-1][2] == body
    with pytest.raises(errors.NotFound) as caught:
        await in_thread(market.show, "r-한 %?#")
    assert caught.value.details == {"path": {"id": "r-한 %?#"}}
    with pytest.raises(errors.BadInput):
        market.order(body, key="x\r\nOrigin: y")


def test_no_daemon_says_what_was_tried(tmp_path: Path) -> None:
    with pytest.raises(errors.NoDaemon, match="no folder"):
        client.connect(tmp_path / "none", {})
    with pytest.raises(errors.NoDaemon, match=r"no .*api\.json") as caught:
        client.connect(tmp_path, {})
    assert caught.value.hint == f"Start it with: marketd --home {tmp_path}"
    with pytest.raises(errors.NoDaemon) as caught:
        client.connect(tmp_path, {"MARKET_HOME": str(tmp_path)})
    assert caught.value.hint == "Start it with: marketd"
    where = {"socket": str(tmp_path / "api.sock"), "pid": 4321, "version": "1", "protocol": 1}
    (tmp_path / "api.json").write_text(json.dumps(where))
    with pytest.raises(errors.NoDaemon, match=r"api\.sock \(.*api\.json, written by process 4321\): No such file"):
        client.connect(tmp_path, {}).status()
    (tmp_path / "api.json").write_text("{")
    with pytest.raises(errors.NoDaemon, match="does not say where"):
        client.connect(tmp_path, {})
    (tmp_path / "api.json").write_text(json.dumps(where | {"protocol": 2, "version": "9.9"}))
    with pytest.raises(errors.VersionDiffers, match=r"marketd 9\.9 speaks version 2"):
        client.connect(tmp_path, {})


def test_market_api_goes_first(tmp_path: Path) -> None:
    assert find_daemon(tmp_path, {"MARKET_API": "unix:/x/y"}).address == "/x/y"
    with pytest.raises(errors.NotAllowed, match="no token"):
        find_daemon(tmp_path, {"MARKET_API": "http://127.0.0.1:99"})
    found = find_daemon(tmp_path, {"MARKET_API": "http://127.0.0.1:99/", "MARKET_TOKEN": "t"})
    assert (found.address, found.token, found.host) == (("127.0.0.1", 99), "t", "127.0.0.1:99")
    for wrong in ("http://127.0.0.1", "http://127.0.0.1:x", "http://:1", "ftp", "127.0.0.1:70000"):
        with pytest.raises(errors.BadInput):
            find_daemon(tmp_path, {"MARKET_API": wrong, "MARKET_TOKEN": "t"})
    with pytest.raises(errors.BadInput):
        find_daemon(tmp_path, {"MARKET_API": "http://127.0.0.1:1", "MARKET_TOKEN": "é"})


@contextmanager
def answering(path: Path, *answers: bytes) -> Any:
    """A server that gives each connection one of the answers, reads a little, and closes."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def run() -> None:
            for answer in answers:
                peer, _ = listener.accept()
                with peer:
                    peer.recv(65536)
                    peer.sendall(answer)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield client.Client(lambda: Endpoint(str(path)), timeout=5, patience=2)
        finally:
            thread.join()


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\n"])
def test_a_daemon_that_stops_before_a_stream_has_begun_is_told_in_words(tmp_path: Path, begun: bytes) -> None:
    path = tmp_path / "sock"
    market = client.Client(lambda: Endpoint(str(path)))
    with answering(path, begun), pytest.raises(errors.NoDaemon, match="stopped before it had answered"):
        market.request_watch("r-k3f7")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", errors.NoDaemon),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", errors.NoDaemon),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", errors.VersionDiffers),
        (b"HTTP/1.1 404 \r\nContent-Length: 5\r\n\r\noops!", errors.VersionDiffers),
        (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n{}", errors.VersionDiffers),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", errors.VersionDiffers),
        (b"SSH-2.0-OpenSSH\r\n\r\n", errors.VersionDiffers),
        (b"x" * 100_000, errors.VersionDiffers),
    ],
)
def test_what_is_not_marketd(tmp_path: Path, data: bytes, kind: type[errors.MarketError]) -> None:
    with answering(tmp_path / "s", data) as market, pytest.raises(kind):
        market.identity()


def test_a_silent_daemon(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        market = client.Client(lambda: Endpoint(str(tmp_path / "s")), timeout=0.05)
        with pytest.raises(errors.Unavailable, match=r"within 0\.05 s"):
            market.identity()


STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunks(data: bytes, size: int) -> bytes:
    parts = (data[start : start + size] for start in range(0, len(data), size))
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_stream_resumes_where_it_was_lost(tmp_path: Path, size: int) -> None:
    """The first connection breaks within the third event, the second ends cleanly, the third sends the end."""
    blocks = [encode_event(event(seq, data="x" * 50)) for seq in (1, 2, 3)]
    end = encode_event(event(4, "end"))
    progress = encode_event(event(None, "search.progress"))
    first = STREAM + chunks(b": hello\n\n" + blocks[0] + progress + blocks[1] + blocks[2][:20], size)
    second = STREAM + chunks(blocks[2], size) + b"0\r\n\r\n"
    with answering(tmp_path / "s", first, second, STREAM + chunks(end, size)) as market:
        stream = market.request_watch("r-x")
        assert [(got.seq, got.type) for got in stream] == [
            (1, "quote.received"),
            (None, "search.progress"),
            (2, "quote.received"),
            (3, "quote.received"),
            (4, "end"),
        ]
        assert stream.ended
        assert stream.wait() is None


def test_a_stream_asks_for_what_follows_its_last_event() -> None:
    asked: list[int | None] = []

    def connect(since: int | None) -> Connection:
        asked.append(since)
        ours, theirs = socket.socketpair()
        connection = Connection.__new__(Connection)
        connection._socket, connection._buffer = ours, bytearray()
        with theirs:
            theirs.sendall(chunks(encode_event(event(len(asked) * 10)), 99999) + b"0\r\n\r\n")
        return connection

    with EventStream(connect, None, last=None, patience=1) as stream:
        got = iter(stream)
        assert [next(got).seq for _ in range(3)] == [10, 20, 30]
    assert asked == [None, 10, 20]


async def test_events_begin_at_the_status(tmp_path: Path, nursery: trio.Nursery) -> None:
    async def status(call: Call, body: None) -> t.Status:
        return STATUS

    handlers = FakeHandlers(status=status, events=counted)
    await nursery.start(serve_api, config_at(tmp_path), handlers)

    def watch() -> list[int | None]:
        with client.connect(tmp_path, {}).events() as stream:
            got = [event.seq for event in (stream.wait(5), stream.wait(5)) if event is not None]
            assert stream.wait(0.02) is None
            return got

    assert await in_thread(watch) == [4, 5]


async def test_a_stream_outlives_the_daemon(tmp_path: Path) -> None:
    """Stop the daemon under a stream, start it again: no event is missing or doubled."""
    config = config_at(tmp_path)
    seen: list[int | None] = []
    marks = {seq: trio.Event() for seq in (2, 4, 6)}

    async def events(call: Call, body: None) -> AsyncIterator[t.Event]:
        since = call.number("since", 0, 0, 100)

        async def some() -> AsyncIterator[t.Event]:
            for seq in range(since + 1, since + 3):
                yield event(seq)
            await trio.sleep_forever()

        return some()

    def watch() -> None:
        with client.connect(tmp_path, {}).events(since=0) as stream:
            for got in stream:
                seen.append(got.seq)
                if got.seq in marks:
                    trio.from_thread.run_sync(marks[got.seq].set)
                if got.seq == 6:
                    return

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            for seq in marks:
                async with trio.open_nursery() as daemon:
                    await daemon.start(serve_api, config, FakeHandlers(events=events))
                    if seq == 2:
                        nursery.start_soon(trio.to_thread.run_sync, watch)
                    await marks[seq].wait()
                    daemon.cancel_scope.cancel()
    assert seen == [1, 2, 3, 4, 5, 6]


def test_a_stream_gives_up(tmp_path: Path) -> None:
    with answering(tmp_path / "s", STREAM + chunks(encode_event(event(1)), 99)) as market:
        market._patience = 0.3
        stream = market.request_watch("r-x")
        first = stream.wait(5)
        assert first is not None
        assert first.seq == 1
        (tmp_path / "s").unlink()
        with pytest.raises(errors.NoDaemon):
            stream.wait()


def test_an_error_before_the_first_event(tmp_path: Path) -> None:
    body = bytes(error_response(errors.NotFound("no such request")).body)
    head = b"HTTP/1.1 404 \r\nContent-Length: %d\r\n\r\n" % len(body)
    with answering(tmp_path / "s", head + body) as market, pytest.raises(errors.NotFound):
        market.request_watch("r-x")


def test_blocks() -> None:
    assert parse_block(b": comment") is None
    assert parse_block(b"id: 3\n" + b"data: " + msgspec.json.encode(event(3))) == event(3)


async def test_ctrl_c_ends_a_wait_at_once(tmp_path: Path, nursery: trio.Nursery) -> None:
    await nursery.start(serve_api, config_at(tmp_path), FakeHandlers(events=counted))
    code = (
        "import sys, p2pmarket.client as c; from pathlib import Path\n"
        "try:\n"
        "  for e in c.connect(Path(sys.argv[1]), {}).events(since=4): print(e.seq, flush=True)\n"
        "except KeyboardInterrupt: print('interrupted')\n"
    )
    process = await trio.lowlevel.open_process(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    output = b""
    with trio.fail_after(20):
        async for part in process.stdout:
            output += part
            if output == b"5\n":
                process.send_signal(signal.SIGINT)
        assert await process.wait() == 0
    assert output == b"5\ninterrupted\n"


def test_importing_it_stays_cheap() -> None:
    """What costs a command its start: TLS, mail headers, the event loop, the curves."""
    code = "import sys, p2pmarket.client, p2pmarket.config; print(' '.join(sys.modules))"
    got = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"ssl", "email", "http.client", "trio", "cryptography", "h11", "asyncio", "tomllib"} & set(got)
