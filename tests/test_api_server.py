"""The API's server as programs meet it: over its real socket."""

from __future__ import annotations

import json
import os
import socket
import stat
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
import trio
import trio.testing
from api_fakes import FakeHandlers, config_at, counted, event, who

from p2pmarket import client, limits
from p2pmarket.api import types as t
from p2pmarket.api.server import place, serve_api
from p2pmarket.api.server.events import KEPT, SILENCE, Encoder, EventSender, encode_event
from p2pmarket.api.server.wire import Answer, Wire
from p2pmarket.api.spec import ApiFile, Call
from p2pmarket.api.types import bodies as b
from p2pmarket.errors import BadInput, HomeInUse, NoDaemon, NotAllowed, StartError, Unavailable, WrongState

GET_ID = "GET /v1/id HTTP/1.1"


async def raw(path: Path, data: bytes, *, until: bytes | None = None) -> bytes:
    """Send bytes, and read until the server closes or `until` has come."""
    stream = await trio.open_unix_socket(path)
    async with stream:
        await stream.send_all(data)
        got = b""
        with trio.fail_after(10):
            while until is None or until not in got:
                part = await stream.receive_some(65536)
                if not part:
                    break
                got += part
        return got


def http(first: str, *headers: str, body: bytes | None = None, host: str = "localhost") -> bytes:
    lines = [first, f"Host: {host}", "Connection: close", *headers]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


def answer(data: bytes) -> tuple[int, dict[str, Any]]:
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


async def ask(path: Path, first: str, *headers: str, body: bytes | None = None, host: str = "localhost") -> Any:
    return answer(await raw(path, http(first, *headers, body=body, host=host)))


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


JSON = "Content-Type: application/json"


async def test_it_tells_clients_where_it_is_and_leaves_no_trace(tmp_path: Path, nursery: trio.Nursery) -> None:
    config = config_at(tmp_path)
    async with trio.open_nursery() as daemon:
        await daemon.start(serve_api, config, FakeHandlers(identity=who))
        told = json.loads((tmp_path / "api.json").read_text())
        assert told == {
            "socket": str(tmp_path / "api.sock"),
            "pid": os.getpid(),
            "version": ApiFile(**told).version,
            "protocol": 1,
            "tcp": None,
        }
        assert modes(tmp_path) == {"api.json": 0o600, "api.sock": 0o600}
        status, document = await ask(config.socket, GET_ID)
        assert (status, document["identity"], document["name"]) == (200, "did:key:z6Mk", None)
        daemon.cancel_scope.cancel()
    assert modes(tmp_path) == {}


@pytest.fixture
async def served(tmp_path: Path, nursery: trio.Nursery) -> Path:
    async def fault(call: Call, body: None) -> t.Status:
        raise ZeroDivisionError("our secret")

    async def wrong_state(call: Call, body: b.Accept, order: str) -> t.OrderReply:
        raise WrongState("already answered", hint="market show", details={"order": order})

    config = config_at(tmp_path)
    await nursery.start(serve_api, config, FakeHandlers(identity=who, status=fault, accept=wrong_state))
    return config.socket


FORGED = [
    ((), "evil.example", "host of a page that was rebound"),
    ((), "localhost:80", "host with a port"),
    (("Origin: http://localhost",), "localhost", "page"),
    (("Origin: null",), "localhost", "sandboxed page"),
    (("Sec-Fetch-Site: cross-site",), "localhost", "page"),
    (("Sec-Fetch-Site: none",), "localhost", "typed address"),
]


@pytest.mark.parametrize(("headers", "host", "_why"), FORGED)
async def test_web_pages_are_refused(served: Path, headers: tuple[str, ...], host: str, _why: str) -> None:
    status, document = await ask(served, GET_ID, *headers, host=host)
    assert (status, document["error"]["code"]) == (403, "not_allowed")


@pytest.mark.parametrize(
    ("first", "headers", "body", "status", "word"),
    [
        ("GET /v1/nothing", (), None, 404, "there is no GET /v1/nothing"),
        ("DELETE /v1/id", (), None, 405, "there is no DELETE"),
        ("GET /v1/id/", (), None, 404, "there is no"),
        ("GET /v1/id?x=1", (), None, 422, "no query parameter is called 'x'"),
        ("GET /v1/deals?limit=1&limit=2", (), None, 422, "there twice"),
        ("POST /v1/orders", ("Content-Type: text/plain",), b"{}", 422, "application/json, not text/plain"),
        ("POST /v1/orders", (), b"{}", 422, "application/json, not none"),
        ("POST /v1/orders", (JSON,), b"{", 422, "not JSON"),
        ("POST /v1/orders", (JSON,), b"\xff", 422, "body"),
        (
            "POST /v1/orders",
            (JSON,),
            b'{"quote":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
            422,
            "quote must be a text, not a list",
        ),
        ("POST /v1/orders", (JSON,), b"[]", 422, "the body must be an object, not a list"),
        ("POST /v1/orders", (JSON,), b"{}", 422, "quote is missing"),
        ("POST /v1/orders", (JSON,), b'{"quote":"q-x","line":[]}', 422, "unknown field: line"),
        ("POST /v1/orders", (JSON,), b'{"quote":"q-x","lines":[{"no":0}]}', 422, "lines[0].no must be at least 1"),
        ("POST /v1/orders", (JSON, "Idempotency-Key: " + "x" * 201), b'{"quote":"q"}', 422, "1 to 200"),
        ("POST /v1/orders", (JSON, "Idempotency-Key: \xe9"), b'{"quote":"q"}', 422, "1 to 200"),
        ("GET /v1/id", ("Market-Protocol: 2",), None, 400, "version 1"),
        ("GET /v1/status", (), None, 500, "fault of its own"),
        ("POST /v1/orders/o-abc/accept", (JSON,), b"", 409, "already answered"),
    ],
)
async def test_errors_have_one_shape(
    served: Path, first: str, headers: tuple[str, ...], body: bytes | None, status: int, word: str
) -> None:
    got, document = await ask(served, f"{first} HTTP/1.1", *headers, body=body)
    assert set(document) == {"error"}
    assert set(document["error"]) == {"code", "message", "hint", "retryable", "details"}
    assert got == status
    assert word in document["error"]["message"]
    assert "secret" not in json.dumps(document)


async def test_details_and_path_arguments_come_through(served: Path) -> None:
    _, document = await ask(served, "POST /v1/orders/o-%C3%A9%20x/accept HTTP/1.1", JSON, body=b"{}")
    assert document["error"]["details"] == {"order": "o-é x"}
    assert document["error"]["hint"] == "market show"


@pytest.mark.parametrize("over", [0, 1])
async def test_bodies_are_bounded(tmp_path: Path, nursery: trio.Nursery, over: int) -> None:
    async def profile_set(call: Call, body: b.SetProfile) -> t.ProfileReply:
        return t.ProfileReply(
            profile=t.Profile(name=None, region=None, currency=None, address=[], tax_id=None), told={}
        )

    config = config_at(tmp_path)
    await nursery.start(serve_api, config, FakeHandlers(profile_set=profile_set))
    body = b"{}".ljust(limits.API_BODY_BYTES + over)
    status, document = await ask(config.socket, "PATCH /v1/profile HTTP/1.1", JSON, body=body)
    assert (status, "error" in document) == ((422, True) if over else (200, False))


async def test_a_refused_body_holds_nobody_up(served: Path) -> None:
    # Far more than a socket queues for a reader who has lost interest.
    status, _ = await ask(served, "POST /v1/nothing HTTP/1.1", JSON, body=b" " * 3_000_000)
    assert status == 404


ACCEPT = "POST /v1/orders/o-x/accept"


@pytest.mark.parametrize("switch", ["dry_run=1", "dry_run=true", "dry_run=0", "dry_run=false"])
async def test_a_dry_run_is_switched_on_and_off(tmp_path: Path, nursery: trio.Nursery, switch: str) -> None:
    handlers = FakeHandlers()
    await nursery.start(serve_api, config := config_at(tmp_path), handlers)
    await ask(config.socket, f"{ACCEPT}?{switch} HTTP/1.1", JSON, body=b"{}")
    ((_, call, _, _),) = handlers.calls
    assert call.dry_run is (switch in {"dry_run=1", "dry_run=true"})


SLIPS = ("dry_run", "dry_run=", "dry_run=2", "dry_run=no", "dry_run=yes", "dry_run=TRUE", "dry_run=%201")


@pytest.mark.parametrize("query", [*SLIPS, "dryrun=1", "dry-run=1", "dry_run=0&dry_run=1"])
async def test_a_slip_in_a_dry_run_does_not_do_the_deed(tmp_path: Path, nursery: trio.Nursery, query: str) -> None:
    handlers = FakeHandlers()
    await nursery.start(serve_api, config := config_at(tmp_path), handlers)
    status, document = await ask(config.socket, f"{ACCEPT}?{query} HTTP/1.1", JSON, body=b"{}")
    assert (status, handlers.calls) == (422, [])
    told = f"{document['error']['message']} {document['error']['hint']}"
    assert "1, true, 0 or false" in told or "Here: dry_run" in told or "twice" in told


async def test_skip_bad_is_on_or_off_and_nothing_else(tmp_path: Path, nursery: trio.Nursery) -> None:
    handlers = FakeHandlers()
    await nursery.start(serve_api, config := config_at(tmp_path), handlers)
    first = "POST /v1/prices/import?skip_bad=no HTTP/1.1"
    status, document = await ask(config.socket, first, "Content-Type: text/csv", body=b"code,price\n")
    assert (status, handlers.calls) == (422, [])
    assert "1, true, 0 or false" in document["error"]["message"]


async def test_csv_goes_as_it_is(tmp_path: Path, nursery: trio.Nursery) -> None:
    report = t.PricesReport(
        rows=1, imported=1, skipped=0, added=1, changed=0, removed=0, dry_run=True, problems=[], ignored=[]
    )

    async def prices_import(call: Call, body: b.ImportPrices) -> t.PricesReport:
        return report

    handlers = FakeHandlers(prices_import=prices_import)
    await nursery.start(serve_api, config_at(tmp_path), handlers)
    market = client.connect(tmp_path, {})
    body = b.ImportPrices(csv=b"\xff\xfe,\r\n", mapping={"price": "Price (£) & 가격"}, dry_run=True, currency="EUR")
    assert await trio.to_thread.run_sync(partial(market.prices_import, body, key="k 1")) == report
    ((name, call, got, path),) = handlers.calls
    assert (name, got, call.idempotency_key, path) == ("prices_import", body, "k 1", {})


async def test_events_are_numbered_lines(tmp_path: Path, nursery: trio.Nursery) -> None:
    await nursery.start(serve_api, config := config_at(tmp_path), FakeHandlers(events=counted))
    got = await raw(config.socket, http("GET /v1/events?since=3 HTTP/1.1"), until=b"id: 5")
    assert b"content-type: text/event-stream" in got
    assert got.count(b"data: {") >= 1
    assert b'id: 4\ndata: {"stream":"s1","seq":4,"time":"2026-01-01T00:00:00Z","type":"quote.received"' in got


async def test_an_event_source_may_come_back(tmp_path: Path, nursery: trio.Nursery) -> None:
    await nursery.start(serve_api, config := config_at(tmp_path), FakeHandlers(events=counted))
    got = await raw(config.socket, http("GET /v1/events HTTP/1.1", "Last-Event-ID: 4"), until=b"id: 5")
    assert b"id: 4" not in got


def pair() -> tuple[trio.SocketStream, trio.SocketStream]:
    """Two ends of one connection."""
    one, other = socket.socketpair()
    return trio.SocketStream(trio.socket.from_stdlib_socket(one)), trio.SocketStream(
        trio.socket.from_stdlib_socket(other)
    )


async def test_a_silent_stream_shows_life(autojump_clock: trio.testing.MockClock) -> None:
    ours, stream = pair()
    wire = Wire(ours)
    await stream.send_all(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await wire.next_call()
    into, out = trio.open_memory_channel[t.Event](1)
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(EventSender(wire, Encoder()).run, out)
        await stream.receive_some()
        for times in (1, 2):
            assert SILENCE in await stream.receive_some()
            assert trio.current_time() - start == limits.STREAM_SILENCE_SECONDS * times
        await trio.sleep(5)
        into.send_nowait(event(1))
        assert b"id: 1" in await stream.receive_some()
        assert SILENCE in await stream.receive_some()
        assert trio.current_time() - start == limits.STREAM_SILENCE_SECONDS * 3 + 5
        into.close()
        assert await stream.receive_some() == b"0\r\n\r\n"
    await wire.aclose()
    await stream.aclose()


async def test_streams_are_bounded_and_places_come_free(tmp_path: Path, nursery: trio.Nursery) -> None:
    left = trio.Event()

    async def events(call: Call, body: None) -> AsyncIterator[t.Event]:
        async def forever() -> AsyncIterator[t.Event]:
            try:
                yield event(1)
                await trio.sleep_forever()
            finally:
                left.set()

        return forever()

    await nursery.start(serve_api, config := config_at(tmp_path), FakeHandlers(events=events))
    call = http("GET /v1/events HTTP/1.1")
    streams = []
    for _ in range(limits.STREAMS):
        stream = await trio.open_unix_socket(config.socket)
        await stream.send_all(call)
        assert (await stream.receive_some(9)) == b"HTTP/1.1 "
        streams.append(stream)
    status, document = answer(await raw(config.socket, call))
    assert (status, document["error"]["code"], document["error"]["retryable"]) == (503, "unavailable", True)
    await streams.pop().aclose()
    with trio.fail_after(10):
        await left.wait()
        await trio.testing.wait_all_tasks_blocked()
    assert b"200" in await raw(config.socket, call, until=b"\r\n")
    for stream in streams:
        await stream.aclose()


async def test_it_stops_though_a_reader_does_not_read(tmp_path: Path) -> None:
    flowing = trio.Event()

    async def events(call: Call, body: None) -> AsyncIterator[t.Event]:
        async def flood() -> AsyncIterator[t.Event]:
            for seq in range(10_000):
                yield event(seq, data="x" * 10_000)
                flowing.set()

        return flood()

    with trio.fail_after(10):
        async with trio.open_nursery() as daemon:
            await daemon.start(serve_api, config := config_at(tmp_path), FakeHandlers(events=events))
            stream = await trio.open_unix_socket(config.socket)
            await stream.send_all(http("GET /v1/events HTTP/1.1"))
            await flowing.wait()
            await trio.testing.wait_all_tasks_blocked(0.05)  # the write to the full socket is one of them
            daemon.cancel_scope.cancel()
    await stream.aclose()


async def test_a_call_under_way_may_end_when_it_stops(tmp_path: Path) -> None:
    begun, go_on = trio.Event(), trio.Event()

    async def slow(call: Call, body: None) -> t.Identity:
        begun.set()
        await go_on.wait()
        return await who(call, body)

    async with trio.open_nursery() as outer:
        config = config_at(tmp_path)
        async with trio.open_nursery() as daemon:
            await daemon.start(serve_api, config, FakeHandlers(identity=slow))
            results: list[bytes] = []

            async def call() -> None:
                results.append(await raw(config.socket, http(GET_ID)))

            outer.start_soon(call)
            await begun.wait()
            daemon.cancel_scope.cancel()
            go_on.set()
    assert answer(results[0])[0] == 200


async def test_a_caller_who_leaves_does_not_stop_what_he_began(tmp_path: Path, nursery: trio.Nursery) -> None:
    begun, go_on, done = trio.Event(), trio.Event(), trio.Event()

    async def order(call: Call, body: b.NewOrder) -> t.OrderReply:
        begun.set()
        await go_on.wait()
        done.set()
        raise WrongState("whatever")

    await nursery.start(serve_api, config := config_at(tmp_path), FakeHandlers(order=order))
    stream = await trio.open_unix_socket(config.socket)
    await stream.send_all(http("POST /v1/orders HTTP/1.1", JSON, body=b'{"quote":"q-x"}'))
    await begun.wait()
    await stream.aclose()
    await trio.testing.wait_all_tasks_blocked(0.05)
    go_on.set()
    with trio.fail_after(5):
        await done.wait()


# HTTP itself


async def test_calls_follow_one_another_on_a_connection_in_order(served: Path) -> None:
    many = b"GET /v1/id HTTP/1.1\r\nHost: localhost\r\n\r\nGET /v1/deals HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20
    got = await raw(served, many + http("GET /v1/nothing HTTP/1.1"))
    assert [part[:3] for part in got.split(b"HTTP/1.1 ")[1:]] == [b"200", b"404"] * 20 + [b"404"]


async def test_others_have_their_turn_between_calls_that_were_sent_at_once(served: Path, nursery: trio.Nursery) -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    many = 300
    stream = await trio.open_unix_socket(served)
    async with stream:
        await stream.send_all(b"PUT /v1/id HTTP/1.1\r\nHost: localhost\r\n\r\n" * many)
        nursery.start_soon(others)
        got, begun = b"", 0
        while got.count(b"HTTP/1.1 405 ") < many:
            got += await stream.receive_some(65536)
            begun = begun or turns
    assert turns - begun >= many * 9 // 10  # calls that one reading brought may share a turn


async def test_a_body_in_single_bytes_takes_little_more_than_its_size() -> None:
    ours, theirs = pair()
    wire, size = Wire(ours), 8_000
    head = b"POST /v1/orders HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(theirs.send_all, head + b"1\r\nx\r\n" * size + b"0\r\n\r\n")
        await wire.next_call()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        body = await wire.read_body(size)
        peak = tracemalloc.get_traced_memory()[1] - before
        tracemalloc.stop()
    assert body == b"x" * size
    assert peak < 60 * size
    await wire.aclose()
    await theirs.aclose()


async def test_a_body_may_come_in_chunks(served: Path) -> None:
    head = b"POST /v1/orders/o-x/accept HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    data = head + JSON.encode() + b"\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"
    assert answer(await raw(served, data))[0] == 409
    status, document = answer(await raw(served, data.replace(b"1\r\n}", b"zz\r\n}")))
    assert (status, document["error"]["code"]) == (400, "bad_input")


async def test_head_is_get_without_its_body(served: Path) -> None:
    whole = await raw(served, http(GET_ID))
    got = await raw(served, http("HEAD /v1/id HTTP/1.1"))
    assert got.endswith(b"\r\n\r\n")
    assert whole.startswith(got)
    got = await raw(served, http("HEAD /v1/events HTTP/1.1"))
    assert (got[:12], got[-4:]) == (b"HTTP/1.1 404", b"\r\n\r\n")


async def test_a_stream_answers_head_by_its_head(tmp_path: Path, nursery: trio.Nursery) -> None:
    await nursery.start(serve_api, config := config_at(tmp_path), FakeHandlers(events=counted))
    got = await raw(config.socket, http("HEAD /v1/events?since=0 HTTP/1.1"))
    assert b"text/event-stream" in got
    assert got.endswith(b"\r\n\r\n")


async def test_what_is_allowed_instead_is_told(served: Path) -> None:
    got = await raw(served, http("PUT /v1/requests HTTP/1.1"))
    assert got.startswith(b"HTTP/1.1 405 ")
    assert b"allow: GET, HEAD, POST\r\n" in got or b"allow: POST, GET, HEAD\r\n" in got


async def test_a_caller_who_waits_for_leave_to_send_gets_it_or_his_answer(served: Path) -> None:
    expect = (JSON, "Expect: 100-continue", "Content-Length: 2")
    stream = await trio.open_unix_socket(served)
    async with stream:
        with trio.fail_after(10):
            await stream.send_all(http("POST /v1/orders/o-x/accept HTTP/1.1", *expect))
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 100 ")
            await stream.send_all(b"{}")
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 409 ")
    with trio.fail_after(2):  # nothing is waited for that was not asked for
        assert (await raw(served, http("POST /v1/nothing HTTP/1.1", *expect))).startswith(b"HTTP/1.1 404 ")


def head_of(size: int) -> bytes:
    head = http(GET_ID, "A: b")
    return head.replace(b"A: b", b"A: b" + b"b" * (size - len(head)))


@pytest.mark.parametrize("pieces", [1, 2, 5])
@pytest.mark.parametrize(("over", "status"), [(0, b"200"), (1, b"431"), (2, b"431"), (4000, b"431")])
async def test_heads_are_bounded(served: Path, over: int, status: bytes, pieces: int) -> None:
    """To the byte, whether they come at once or little by little."""
    head = head_of(limits.API_HEAD_BYTES + over)
    assert len(head) == limits.API_HEAD_BYTES + over
    stream = await trio.open_unix_socket(served)
    async with stream:
        with trio.fail_after(10):
            for piece in range(pieces):
                begin, end = len(head) * piece // pieces, len(head) * (piece + 1) // pieces
                with suppress(trio.BrokenResourceError):  # it is known before its end that it is too long
                    await stream.send_all(head[begin:end])
                await trio.testing.wait_all_tasks_blocked(0.01)
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 " + status)


@pytest.mark.parametrize(("over", "answers"), [(0, [b"200", b"200"]), (1, [b"200", b"431"])])
async def test_heads_are_bounded_in_what_came_along(served: Path, over: int, answers: list[bytes]) -> None:
    first = f"{GET_ID}\r\nHost: localhost\r\n\r\n".encode()
    got = await raw(served, first + head_of(limits.API_HEAD_BYTES + over))
    assert [part[:3] for part in got.split(b"HTTP/1.1 ")[1:]] == answers


LARGE = (JSON, f"Content-Length: {30_000_000}")


async def test_a_body_announced_as_too_large_is_answered_before_it_comes(served: Path) -> None:
    with trio.fail_after(2):  # less than anything that is waited for
        status, document = answer(await raw(served, http("POST /v1/orders HTTP/1.1", *LARGE)))
    assert (status, document["error"]["code"]) == (422, "limit_reached")
    with trio.fail_after(2):
        got = await raw(served, http("POST /v1/orders HTTP/1.1", *LARGE, "Expect: 100-continue"))
    assert got.startswith(b"HTTP/1.1 422 ")
    assert b"connection: close" in got.lower()


async def test_who_writes_all_of_a_body_that_is_too_large_sees_the_answer(served: Path) -> None:
    data = http("POST /v1/orders HTTP/1.1", JSON, body=b" " * 30_000_000)
    with trio.fail_after(30):
        status, document = answer(await raw(served, data))
    assert (status, document["error"]["code"]) == (422, "limit_reached")
    assert (await ask(served, GET_ID))[0] == 200


@pytest.mark.parametrize("head", ["", "GET /v1/id HTTP/1.1\r\nHost: local"])
async def test_who_is_slow_with_a_call_is_left(autojump_clock: trio.testing.MockClock, head: str) -> None:
    """Byte after byte, so that none is long in coming, gives no more time."""
    ours, theirs = pair()
    wire = Wire(ours)
    start = trio.current_time()
    async with trio.open_nursery() as nursery:

        async def trickle() -> None:
            for byte in head.encode():
                await trio.sleep(limits.API_IDLE_SECONDS / 4)
                await theirs.send_all(bytes([byte]))

        nursery.start_soon(trickle)
        with wire.scope:
            await wire.next_call()
        assert wire.scope.cancelled_caught
        assert trio.current_time() - start == limits.API_IDLE_SECONDS
        nursery.cancel_scope.cancel()
    await wire.aclose()


async def test_a_call_in_the_moment_that_patience_ends_is_not_taken(mock_clock: trio.testing.MockClock) -> None:
    """Else it would be done, and its answer never sent."""
    ours, theirs = pair()
    wire = Wire(ours)
    taken = []

    async def serve() -> None:
        with wire.scope:
            taken.append(await wire.next_call())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        await trio.testing.wait_all_tasks_blocked(0.01)
        os.write(theirs.socket.fileno(), http(GET_ID))  # there before anybody has looked
        mock_clock.jump(limits.API_IDLE_SECONDS)
    assert taken in ([None], [])
    await wire.aclose()


async def test_who_is_slow_with_a_body_is_told(autojump_clock: trio.testing.MockClock) -> None:
    ours, theirs = pair()
    wire = Wire(ours)
    await theirs.send_all(http("POST /v1/orders HTTP/1.1", "Content-Length: 10") + b"{")
    start = trio.current_time()
    await wire.next_call()
    with pytest.raises(BadInput, match="did not arrive within"):
        await wire.read_body(100)
    assert trio.current_time() - start == limits.API_BODY_SECONDS
    await wire.aclose()


async def test_who_does_not_read_his_answer_is_left(autojump_clock: trio.testing.MockClock) -> None:
    ours, theirs = pair()
    wire = Wire(ours)
    await theirs.send_all(http(GET_ID))
    with wire.scope:
        await wire.next_call()
        start = trio.current_time()
        await wire.answer(Answer(200, bytes(10_000_000)))
    assert wire.scope.cancelled_caught
    assert trio.current_time() - start == limits.API_SEND_SECONDS
    await wire.aclose()


async def test_an_answer_larger_than_the_socket_comes_whole(tmp_path: Path, nursery: trio.Nursery) -> None:
    async def prices_export(call: Call, body: None) -> t.PricesExport:
        return t.PricesExport(csv="x" * 5_000_000, rows=1)

    await nursery.start(serve_api, config := config_at(tmp_path), FakeHandlers(prices_export=prices_export))
    status, document = await ask(config.socket, "GET /v1/prices/export HTTP/1.1")
    assert (status, len(document["csv"])) == (200, 5_000_000)


async def test_a_stream_that_is_stopped_comes_to_its_end(tmp_path: Path) -> None:
    async with trio.open_nursery() as outer, trio.open_nursery() as daemon:
        await daemon.start(serve_api, config := config_at(tmp_path), FakeHandlers(events=counted))
        got: list[bytes] = []

        async def read() -> None:
            got.append(await raw(config.socket, http("GET /v1/events?since=4 HTTP/1.1")))

        outer.start_soon(read)
        await trio.testing.wait_all_tasks_blocked(0.05)
        daemon.cancel_scope.cancel()
    assert got[0].endswith(b"0\r\n\r\n")
    assert b"id: 5" in got[0]


async def test_events_that_come_together_go_out_together(tmp_path: Path, nursery: trio.Nursery) -> None:
    async def events(call: Call, body: None) -> AsyncIterator[list[t.Event]]:
        async def some() -> AsyncIterator[list[t.Event]]:
            yield [event(1), event(2)]
            yield []
            yield [event(3)]

        return some()

    await nursery.start(serve_api, config := config_at(tmp_path), FakeHandlers(events=events))
    got = await raw(config.socket, http("GET /v1/events HTTP/1.1"))
    chunks = got.split(b"\r\n\r\n", 1)[1].split(b"\r\n")[1::2]
    assert [chunk.count(b"data: ") for chunk in chunks] == [0, 2, 1, 0]


def test_an_event_is_encoded_once_and_few_are_kept() -> None:
    encoder = Encoder()
    one, two = event(1), event(1, data="other")
    first = encoder.blocks(one)
    assert encoder.blocks([one, two]) == first + encode_event(two)
    assert encoder.blocks(one) is first
    encoder.blocks([event(seq) for seq in range(KEPT)])
    assert encoder.blocks(one) is not first
    assert len(encoder._made) == KEPT


GARBAGE = [
    b"\0" * 100,
    b"GET /v1/\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0",
    b"PRI * HTTP/2.0\r\n\r\ngarbage",
    b"GET /v1/id HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n",
    b"GET /v1/id HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    b"POST /v1/orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\n{}",
    b"GET /v1/id HTTP/1.1\r\n" + b"A: b\r\n" * 5000,
    http(GET_ID),
]


async def test_garbage_ends_its_connection_only(served: Path) -> None:
    """Twice as many as may be open at once: were they kept, the last call would find no room."""
    for number in range(2 * limits.API_CONNECTIONS):
        data = GARBAGE[number % len(GARBAGE)]
        stream = await trio.open_unix_socket(served)
        async with stream:
            await stream.send_all(data[: len(data) - number % 3])
            if number % 2:
                await stream.send_eof()
                with trio.move_on_after(0.02):
                    await stream.receive_some()
    with trio.fail_after(10):
        while True:
            got = await raw(served, http(GET_ID))
            if got:
                break
    assert answer(got)[0] == 200


PIECES = [
    *(http(GET_ID).replace(b"Connection: close\r\n", b""), b"HEAD /v1/id HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    b"HEAD /v1/deals HTTP/1.0\r\nHost: localhost\r\n\r\n",
    b"POST /v1/orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n",
    *(
        b"Content-Length: 2\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Expect: 100-continue\r\n",
        b"\r\n",
        b"{}",
        b"2\r\n{}\r\n",
    ),
    *(b"0\r\n\r\n", b"\0", b"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n", b"OPTIONS * HTTP/1.1\r\n"),
    b"GET /v1/id HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n",
    b"GET http://localhost/v1/id HTTP/1.1\r\nHost: localhost\r\nHost: other\r\n\r\n",
]


async def test_no_order_of_bytes_leads_to_an_answer_that_http_forbids(
    served: Path, caplog: pytest.LogCaptureFixture
) -> None:
    random = Random(1)
    for _ in range(300):
        data = b"".join(random.choices(PIECES, k=random.randint(1, 6)))
        stream = await trio.open_unix_socket(served)
        async with stream:
            with suppress(trio.BrokenResourceError):
                await stream.send_all(data)
                await stream.send_eof()
                with trio.fail_after(10):
                    while await stream.receive_some():
                        pass
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    assert (await ask(served, GET_ID))[0] == 200


async def test_tcp_needs_the_token(tmp_path: Path, nursery: trio.Nursery) -> None:
    await nursery.start(serve_api, config_at(tmp_path, api_tcp="127.0.0.1:0"), FakeHandlers(identity=who))
    told = json.loads((tmp_path / "api.json").read_text())["tcp"]
    token = (tmp_path / "api.token").read_text()
    assert modes(tmp_path)["api.token"] == 0o600
    assert len(bytes.fromhex(token)) == 32
    url = {"MARKET_API": f"http://{told}"}
    assert (await trio.to_thread.run_sync(client.connect(tmp_path, url).identity)).network == "dev"
    with pytest.raises(NotAllowed):
        await trio.to_thread.run_sync(client.connect(tmp_path, url | {"MARKET_TOKEN": "f" * 64}).identity)
    host, port = told.rsplit(":", 1)
    stream = await trio.open_tcp_stream(host, int(port))
    async with stream:
        await stream.send_all(http(GET_ID, f"Authorization: Bearer {token}", host="evil.example"))
        assert b"403" in await stream.receive_some()


@pytest.mark.parametrize(
    ("file", "opens"),
    [
        ("api.token", {"identity", "order", "accept", "note", "contact_add"}),
        ("api.read.token", {"identity"}),
        ("api.buy.token", {"identity", "order", "note"}),
        ("api.quote.token", {"identity", "accept", "note"}),
    ],
)
async def test_a_token_opens_its_scopes_and_no_more(
    tmp_path: Path, nursery: trio.Nursery, file: str, opens: set[str]
) -> None:
    handlers = FakeHandlers(identity=who)
    await nursery.start(serve_api, config_at(tmp_path, api_tcp="127.0.0.1:0"), handlers)
    host, port = json.loads((tmp_path / "api.json").read_text())["tcp"].rsplit(":", 1)
    assert modes(tmp_path)[file] == 0o600
    bearer = f"Authorization: Bearer {(tmp_path / file).read_text()}"
    calls = {
        "GET /v1/id": None,
        "POST /v1/orders": b'{"quote":"q-x"}',
        "POST /v1/orders/o-x/accept": b"{}",
        "POST /v1/notes": b'{"about":"r-x","text":"hello"}',
        "POST /v1/contacts": b'{"peer":"k3f7q","name":"x"}',
    }
    refused = 0
    for first, body in calls.items():
        async with await trio.open_tcp_stream(host, int(port)) as stream:
            await stream.send_all(http(f"{first} HTTP/1.1", JSON, bearer, body=body, host=f"{host}:{port}"))
            refused += (await stream.receive_some()).startswith(b"HTTP/1.1 403 ")
    assert {name for name, *_ in handlers.calls} == opens
    assert refused == len(calls) - len(opens)


def test_a_token_that_others_can_read_is_refused(tmp_path: Path) -> None:
    first = place.token(tmp_path / "api.token")
    assert place.token(tmp_path / "api.token") == first
    (tmp_path / "api.token").chmod(0o640)
    with pytest.raises(StartError, match="others can read"):
        place.token(tmp_path / "api.token")


def test_a_live_socket_is_not_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    with place.bind_socket(path), pytest.raises(HomeInUse):
        place.bind_socket(path)
    # Closed, but its file is still there: left by a daemon that died.
    place.bind_socket(path).close()


def test_what_is_no_socket_stays(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    path.write_text("mine")
    with pytest.raises(StartError, match="not a socket"):
        place.bind_socket(path)
    assert path.read_text() == "mine"


def test_the_socket_is_never_open_to_others(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        with place.bind_socket(tmp_path / "sub" / "api.sock"):
            found = modes(tmp_path) | modes(tmp_path / "sub")
    finally:
        os.umask(old)
    assert found == {"sub": 0o700, "api.sock": 0o600}


def test_a_folder_that_others_can_change_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(StartError, match="only this user"):
        place.bind_socket(tmp_path / "api.sock")
    link = tmp_path / "link"
    link.symlink_to("/")
    with pytest.raises(StartError):
        place.bind_socket(link / "api.sock")


def test_the_other_end_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert place.same_user(ours)
        monkeypatch.setattr(os, "getuid", lambda: 12345)
        assert not place.same_user(ours)


async def test_who_fills_one_door_leaves_the_other_open(tmp_path: Path, nursery: trio.Nursery) -> None:
    config = config_at(tmp_path, api_tcp="127.0.0.1:0")
    await nursery.start(serve_api, config, FakeHandlers(identity=who))
    host, port = json.loads((tmp_path / "api.json").read_text())["tcp"].rsplit(":", 1)
    streams = [await trio.open_tcp_stream(host, int(port)) for _ in range(limits.API_CONNECTIONS)]
    one_more = await trio.open_tcp_stream(host, int(port))
    with trio.fail_after(10):
        told = await one_more.receive_some()
        assert told.startswith(b"HTTP/1.1 503 ")
        assert b"that is the limit" in told
        assert await one_more.receive_some() == b""
    assert (await ask(config.socket, GET_ID))[0] == 200
    for stream in (*streams, one_more):
        await trio.aclose_forcefully(stream)


async def test_a_client_who_finds_no_room_is_told(tmp_path: Path, nursery: trio.Nursery) -> None:
    """Not that the daemon stopped: it runs."""
    await nursery.start(serve_api, config := config_at(tmp_path), FakeHandlers(identity=who))
    streams = [await trio.open_unix_socket(config.socket) for _ in range(limits.API_CONNECTIONS)]
    with pytest.raises(Unavailable, match="that is the limit"):
        await trio.to_thread.run_sync(client.connect(tmp_path, {}).identity)
    for stream in streams:
        await trio.aclose_forcefully(stream)


async def test_another_users_process_is_not_answered(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    await nursery.start(serve_api, config_at(tmp_path), FakeHandlers(identity=who))
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(NoDaemon, match="before it had answered"):
        await trio.to_thread.run_sync(client.connect(tmp_path, {}).identity)


async def test_handlers_must_be_complete(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="identity, status"):
        await serve_api(config_at(tmp_path), object())
