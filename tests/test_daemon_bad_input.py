"""What people and programs get wrong, against a running daemon: exit code, message, hint, and nothing is lost by it."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, get_args

import pytest
from daemons import Market, Peer, a_market, until

from p2pmarket.api import types as t
from p2pmarket.api.types import bodies as b
from p2pmarket.client import Client
from p2pmarket.errors import BadInput

GOOD = b"code,description,unit,price,currency\nA1,green tea,KGM,12.00,EUR\nA2,black tea,KGM,9.00,EUR\n"


@pytest.fixture(scope="module")
def net() -> Iterator[Market]:
    with a_market("seller", "buyer") as net:
        assert net["seller"].ask("prices", "import", "-", stdin=GOOD)["imported"] == 2
        net["seller"].announce("tea", "KR", "DE")
        yield net
        assert all(peer.alive() for peer in net.peers.values())


@pytest.fixture
def seller(net: Market) -> Peer:
    return net["seller"]


@pytest.fixture
def buyer(net: Market) -> Peer:
    return net["buyer"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["cpv:123", "3 kg tea"], "cpv:123"),
        (["cpv:15861009", "3 kg tea"], "15861009"),
        (["cpv:1586100x", "3 kg tea"], "cpv:1586100x"),
        (["a/b/c/d/e", "3 kg tea"], "level"),
        (["tea//green", "3 kg tea"], ""),
        (["tea\x00", "3 kg tea"], ""),
        (["", "3 kg tea"], ""),
        (["tea"], "nothing"),
        (["tea", "0 kg tea"], ""),
        (["tea", "--line", "-3 kg tea"], ""),
        (["tea", "3 kg tea", "--currency", "XXQ"], "XXQ"),
        (["tea", "3 kg tea", "--region", "Atlantis"], "Atlantis"),
        (["tea", "3 kg tea", "--from", "KRR"], "KRR"),
        (["tea", "3 kg tea", "--within", "yesterday"], "yesterday"),
        (["tea", "3 kg tea", "--within", "400d"], "400d"),
        (["tea", "3 kg tea", "--within", "2020-01-01"], "2020-01-01"),
        (["tea", "3 kg tea", "--timeout", "soon"], "soon"),
        (["tea", "3 kg tea", "--max-total", "much"], "much"),
        (["tea", "3 kg tea", "--max-total", "1.234 EUR"], "1.234"),
        (["tea", "3 kg tea", "--max-total", "-5 EUR"], ""),
        (["tea", "--file", "/nonexistent.csv"], "/nonexistent.csv"),
    ],
)
def test_a_bad_request_is_refused_with_65_and_opens_nothing(buyer: Peer, words: list[str], said: str) -> None:
    before = len(buyer.client.requests().requests)
    error = buyer.refuse(65, "request", *words, "--detach")
    assert said in error["message"]
    assert len(buyer.client.requests().requests) == before


@pytest.mark.parametrize(
    "words",
    [
        ["announce", "cpv:123"],
        ["announce", "cpv:15861009"],
        ["announce", "tea/green", "--serves", "Atlantis"],
        ["profile", "set", "region", "Atlantis"],
        ["profile", "set", "currency", "XQZ"],
        ["profile", "set", "name", "x" * 61],
        ["profile", "set", "name", "a\x1b[31mb"],
        ["categories", " "],
        ["show", "whatever"],
        ["show", "r-a"],
        ["prices", "import", "/nonexistent.csv"],
        ["verify", "/nonexistent.json"],
    ],
)
def test_other_bad_words_are_refused_with_65(seller: Peer, words: list[str]) -> None:
    before = seller.client.profile(), seller.client.announcements()
    seller.refuse(65, *words)
    assert (seller.client.profile(), seller.client.announcements()) == before


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (2, ["request", "tea", "3 kg tea", "--quotes", "0"]),
        (2, ["request", "tea", "3 kg tea", "--quotes", "many"]),
        (2, ["reqest", "tea"]),
        (2, ["quote", "r-aaaa"]),
        (2, ["order", "q-aaaa", "--line", "one"]),
        (2, ["watch", "--type", "no.such"]),
        (5, ["show", "r-aaaaaaaaaa"]),
        (5, ["quotes", "r-aaaaaaaaaa"]),
        (5, ["order", "q-aaaaaaaaaa"]),
        (5, ["accept", "o-aaaaaaaaaa"]),
        (5, ["export", "d-aaaaaaaaaa"]),
        (5, ["withdraw", "a-aaaaaaaaaa"]),
        (5, ["close", "r-aaaaaaaaaa"]),
        (5, ["request", "tea", "3 kg tea", "--to", "Nobody", "--detach"]),
    ],
)
def test_usage_and_unknown_ids_have_codes_of_their_own(buyer: Peer, code: int, words: list[str]) -> None:
    assert buyer.refuse(code, *words)["code"] in {"usage", "not_found"}


ANYTHING: Any = "foo"  # a program may send what the client's types do not have


@pytest.mark.parametrize(
    ("ask", "values"),
    [
        (lambda client: client.deals(role=ANYTHING), get_args(t.Role)),
        (lambda client: client.deals(state=ANYTHING), get_args(t.DealState)),
        (lambda client: client.requests(state=ANYTHING), get_args(t.RequestState)),
        (lambda client: client.inbox(state=ANYTHING), (*get_args(t.InboxState), "all")),
    ],
)
def test_a_list_of_what_nothing_can_be_is_refused(
    buyer: Peer, ask: Callable[[Client], object], values: tuple[str, ...]
) -> None:
    with pytest.raises(BadInput, match="cannot be 'foo'") as refused:
        ask(buyer.client)
    assert str(refused.value.hint).endswith(", ".join(values))


def test_a_list_of_each_that_can_be_is_given(buyer: Peer) -> None:
    for state in (*get_args(t.InboxState), "all"):
        buyer.client.inbox(state=state)
    for deals in get_args(t.DealState):
        buyer.client.deals(state=deals, role="seller")
    for requests in get_args(t.RequestState):
        buyer.client.requests(state=requests)


def test_events_that_are_not_yet_are_not_waited_for_without_a_word(buyer: Peer) -> None:
    """After a restore the numbers are lower, and who goes on with his own would hear nothing for long."""
    request, stream = buyer.open("tea", "3 kg nothing of it").id, buyer.client.status().stream
    before = buyer.client.status().last_seq
    buyer.client.events(before).close()
    ahead = before + 99_999
    for listen in (partial(buyer.client.events, ahead), partial(buyer.client.request_watch, request, since=ahead)):
        with pytest.raises(BadInput, match="newest event is") as refused:
            listen()
        details = refused.value.details
        assert details["stream"] == stream
        assert before <= int(str(details["newest"])) <= buyer.client.status().last_seq
        assert f"since={details['newest']}," in str(refused.value.hint)
    error = buyer.refuse(65, "watch", "--since", str(ahead))
    assert stream in error["message"]
    assert error["details"]["newest"] >= before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--line", "1=abc"], "abc"),
        (["--line", "1=-3 EUR"], "below zero"),
        (["--line", "1=3"], "currency"),
        (["--line", "1=3 EUR", "--line", "1=4 EUR"], "twice"),
        (["--line", "7=3 EUR"], "7"),
        (["--line", "1=3 EUR", "--line", "2=3 USD"], "EUR, USD"),
        (["--line", "1=3 EUR", "--total", "9 EUR"], "total"),
        (["--line", "1=3 EUR", "--valid", "1 fortnight"], "fortnight"),
        (["--line", "1=3 EUR", "--valid", "100d"], "100d"),
        (["--line", "1=3 EUR", "--tax-rate", "120"], "120"),
        (["--line", "1=3 EUR", "--tax-rate", "some"], "some"),
        (["--line", "1=3 EUR", "--ships-from", "Atlantis"], "Atlantis"),
        (["--line", "1=3 EUR", "--incoterm", "XYZ", "--place", "Seoul"], "XYZ"),
        (["--line", "1=3 EUR", "--delivery-by", "soon"], "soon"),
        (["--line", "1=3 EUR", "--charge", "delivery=much"], "much"),
        (["--line", "1=99999999999999999 EUR"], ""),
    ],
)
def test_a_bad_quote_is_refused_and_not_sent(seller: Peer, buyer: Peer, words: list[str], said: str) -> None:
    request = asked_by_hand(seller, buyer)
    assert said in seller.refuse(65, "quote", request, *words)["message"]
    assert seller.client.quotes(request).quotes == []


def asked_by_hand(seller: Peer, buyer: Peer) -> str:
    """One request for all tests of bad quotes; it is never answered."""
    for open_ in buyer.client.requests(state="open").requests:
        if open_.subject == "never quoted":
            return open_.id
    request = buyer.open("tea", "3 kg moon dust", "4 kg sun dust", text="never quoted")
    seller.received(request.id)
    return request.id


def test_an_order_of_what_was_not_quoted_is_refused(buyer: Peer) -> None:
    request = buyer.open("tea", "3 kg green tea")
    (quote,) = buyer.quoted(request.id)
    for words, said in (
        (["--line", "2"], "line 2"),
        (["--line", "1=5 pcs"], "KGM"),
        (["--line", "1=5 florbs"], "florbs"),
        (["--line", "1=30"], ""),
        (["--line", "1=0"], ""),
        (["--max-total", "5 USD"], "EUR"),
        (["--answer-by", "never"], "never"),
    ):
        assert said in buyer.refuse(65, "order", quote.id, *words)["message"]
    assert buyer.refuse(9, "order", quote.id, "--max-total", "35.99 EUR")["details"]
    assert not [deal for deal in buyer.client.deals().deals if deal.quote == quote.id]
    assert buyer.refuse(5, "quote", request.id, "--total", "5 EUR")
    assert buyer.ask("order", quote.id, "--max-total", "36.00 EUR")["created"] is True


BROKEN = b"""code,description,unit,price,currency,stock
A1,green tea,KGM,13.00,EUR,5
8.51E+04,black tea,KGM,9.00,EUR,5
A3,white tea,florbs,9.00,EUR,5
A4,red tea,KGM,cheap,EUR,5
A5,blue tea,KGM,9.00,EUX,lots
"""


def test_a_price_list_with_broken_rows_is_refused_whole(seller: Peer) -> None:
    before = seller.client.prices_export().csv
    error = seller.refuse(65, "prices", "import", "-", stdin=BROKEN)
    places = [(problem["row"], problem["column"]) for problem in error["details"]["problems"]]
    assert places == [(3, "code"), (4, "unit"), (5, "price"), (6, "currency"), (6, "stock")]
    assert all(problem["problem"] for problem in error["details"]["problems"])
    assert "8.51E+04" in error["details"]["problems"][0]["problem"]
    assert seller.client.prices_export().csv == before
    for_people = seller.market("prices", "import", "-", stdin=BROKEN)
    assert (for_people.code, for_people.out) == (65, "")
    for part in ("8.51E+04", "florbs", "cheap", "EUX", "lots"):
        assert part in for_people.err


def test_a_dry_run_changes_nothing_and_skip_bad_takes_the_rest(seller: Peer) -> None:
    before = seller.client.prices_export().csv
    dry = seller.market("prices", "import", "-", "--dry-run", "--json", stdin=BROKEN)
    assert dry.code == 65
    assert (dry.json["dry_run"], dry.json["imported"], dry.json["skipped"]) == (True, 0, 4)
    assert seller.client.prices_export().csv == before
    fine = seller.ask("prices", "import", "-", "--dry-run", stdin=GOOD.replace(b"9.00", b"8.00"))
    assert (fine["imported"], fine["changed"], fine["ignored"]) == (0, 1, [])
    wider = seller.market("prices", "import", "-", "--dry-run", stdin=b"code,price,shelf\nA1,13 EUR,left\n")
    assert "Columns that were not read: shelf" in wider.out
    assert seller.client.prices_export().csv == before
    taken = seller.ask("prices", "import", "-", "--skip-bad", stdin=BROKEN)
    assert (taken["imported"], taken["skipped"]) == (1, 4)
    assert seller.client.prices_show().total == 1
    assert seller.ask("prices", "import", "-", stdin=GOOD)["imported"] == 2


def test_columns_of_other_names_are_mapped(seller: Peer) -> None:
    file = "Foo;Bar;Baz (£)\nA1;green tea;12,00\nA2;black tea;9,00\n".encode("cp1252")
    seller.refuse(65, "prices", "import", "-", stdin=file)
    words = ["--map", "code=Foo", "--map", "description=Bar", "--map", "price=Baz (£)"]
    report = seller.ask("prices", "import", "-", "--dry-run", *words, "--currency", "GBP", stdin=file)
    assert (report["rows"], report["skipped"]) == (2, 0)
    seller.refuse(65, "prices", "import", "-", "--map", "price=Nowhere", stdin=file)
    seller.refuse(2, "prices", "import", "-", "--map", "price", stdin=file)
    for_others = b"\x00\x01\x02\xff" * 50
    seller.refuse(65, "prices", "import", "-", stdin=for_others)
    seller.refuse(65, "prices", "import", "-", stdin=b"")
    assert seller.client.prices_show().total == 2


def test_a_file_of_lines_with_broken_rows_opens_no_request(buyer: Peer) -> None:
    before = len(buyer.client.requests().requests)
    rows = b"quantity,unit,text,code\n3,kg,green tea,A1\nmany,kg,black tea,A2\n4,florbs,red tea,8.51E+04\n"
    error = buyer.refuse(65, "request", "tea", "--file", "-", "--detach", stdin=rows)
    places = {(problem["row"], problem["column"]) for problem in error["details"]["problems"]}
    assert {(3, "quantity"), (4, "unit"), (4, "code")} <= places
    assert len(buyer.client.requests().requests) == before


def test_an_expired_quote_cannot_be_ordered(seller: Peer, buyer: Peer) -> None:
    request = buyer.open("tea", "1 teapot")
    seller.received(request.id)
    seller.client.quote(request.id, b.NewQuote(total="20 EUR", valid="2s"))
    (quote,) = buyer.quoted(request.id)
    buyer.quote_state(quote.id, "expired")

    def refused() -> bool:
        said = buyer.market("order", quote.id, "--json")
        return said.code == 9 and "expired" in said.error["message"] and bool(said.error["hint"])

    until("the order of an expired quote to be refused", refused)
    assert not [deal for deal in buyer.client.deals().deals if deal.quote == quote.id]


def test_an_order_is_given_once(buyer: Peer) -> None:
    request = buyer.open("tea", "2 kg black tea")
    (quote,) = buyer.quoted(request.id)
    first, again = buyer.ask("order", quote.id), buyer.ask("order", quote.id)
    assert (first["created"], again["created"]) == (True, False)
    assert first["order"]["id"] == again["order"]["id"]
    buyer.settled(first["order"]["id"], "agreed")
    assert buyer.refuse(9, "order", quote.id, "--line", "1=1")
    assert len([deal for deal in buyer.client.deals().deals if deal.quote == quote.id]) == 1


def test_a_seller_who_is_gone_is_shown_as_unreachable_and_tried_again(net: Market, buyer: Peer) -> None:
    goner = net.add("goner")
    goner.announce("dodo eggs")
    goner.kill()
    request = buyer.open("dodo eggs", "2 eggs")
    (state,) = buyer.answered(request.id, "unreachable")
    assert state.delivery == "queued"
    assert state.reason
    assert state.next_try_at
    assert buyer.client.status().outbox.waiting >= 1
    goner.start()
    until("delivery after his return", lambda: buyer.sellers(request.id)[0].delivery == "delivered", 90)
    assert goner.received(request.id).state == "new"
    del net.peers["goner"]
    goner.daemon.stop()


def test_random_bytes_do_not_stop_a_daemon(seller: Peer, buyer: Peer) -> None:
    rng = random.Random(7)
    address = ("127.0.0.1", seller.port)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        for length in [0, 1, 16, 17, 31, 64, 1199, 1200, 1201, 1400] * 40:
            first = rng.choice([b"", b"\x01", b"\xfe", b"\x00"])
            udp.sendto((first + rng.randbytes(length))[:length], address)
    for number in range(60):
        with socket.create_connection(address, timeout=5) as tcp:
            tcp.settimeout(5)
            junk = rng.choice([b"", b"\x01", b"\xfe", b"GET / HTTP/1.1\r\n\r\n"]) + rng.randbytes(rng.randrange(2000))
            try:
                tcp.sendall(junk)
                if number % 3:
                    tcp.shutdown(socket.SHUT_WR)
                    tcp.recv(4096)
            except OSError:
                continue  # cut off at once: as good
    assert seller.alive()
    assert os.path.exists(f"/proc/{seller.daemon.pid}")
    request = buyer.open("tea", "3 kg green tea")
    (quote,) = buyer.quoted(request.id)
    order = buyer.client.order(b.NewOrder(quote=quote.id)).order
    assert buyer.settled(order.id, "agreed")
