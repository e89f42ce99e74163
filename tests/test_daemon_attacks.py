"""Real daemons, and what a hostile or clumsy caller may ask of them: an answer, and the daemon stays."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
from daemons import Market, Peer, a_market, start_here, until

from p2pmarket.api import types as t
from p2pmarket.api.types import bodies as b

LONG_NAME = "가" * 60
REGIONS = ("KR", "JP", "DE", "FR", "GB", "US", "CA", "CN", "IN", "IT", "ES", "NL", "BE", "AT", "CH", "SE", "NO", "FI")


@pytest.fixture(scope="module")
def net() -> Iterator[Market]:
    with a_market("seller", "buyer") as net:
        yield net


@pytest.fixture
def seller(net: Market) -> Peer:
    return net["seller"]


# What is announced changes with the profile


def test_a_cleared_region_does_not_end_a_daemon_that_announces(seller: Peer) -> None:
    seller.ask("profile", "set", "region", "KR")
    seller.announce("coffee")
    seller.ask("profile", "set", "region", "")
    seller.announce("tea")  # published after the change, as everything is
    assert seller.ask("profile")["profile"]["region"] is None
    seller.crash()
    until("the announcement again", lambda: all(one.holders for one in seller.client.status().announcements) or None)


def test_a_name_that_no_announcement_has_room_for_is_refused(seller: Peer) -> None:
    seller.announce("나" * 100)
    seller.ask("announce", "나" * 100, *(word for code in REGIONS for word in ("--serves", code)))
    error = seller.refuse(65, "profile", "set", "name", LONG_NAME)
    assert error["code"] == "bad_input"
    assert seller.ask("profile")["profile"]["name"] is None
    seller.ask("profile", "set", "name", "short")
    seller.announce("milk")
    assert seller.alive()


# Homes of an odd shape


def test_a_home_that_is_a_link_to_another_folder(net: Market, tmp_path: Path) -> None:
    peer = net.add("linked", start=False)
    (tmp_path / "disk").mkdir(mode=0o700)
    peer.home.rmdir()
    peer.home.symlink_to(tmp_path / "disk")
    peer.start()
    assert peer.alive()
    assert peer.ask("id")["home"] == str(peer.home)
    assert all(stat.S_IMODE(file.lstat().st_mode) == 0o600 for file in (tmp_path / "disk").iterdir())
    assert peer.daemon.stop() == 0


def test_a_cache_that_cannot_be_made_anew_is_said(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "cache.sqlite").mkdir(parents=True, mode=0o700)
    home.chmod(0o700)
    said = start_here("--home", str(home), "--listen", "127.0.0.1:0", "--network", "dev")
    assert said.code == 1
    assert "cache.sqlite is damaged and cannot be removed" in said.err
    assert "Traceback" not in said.err


# Lists are read page by page


def test_pages_of_inbox_requests_and_deals_hold_everything_once(net: Market) -> None:
    seller, buyer = net["seller"], net["buyer"]
    seller.announce("coffee")
    asked = [buyer.open("coffee", f"{number} kg beans", reply_by=f"{number}h").id for number in (3, 1, 2)]
    for request in asked:
        seller.received(request)
    urgent = [asked[1], asked[2], asked[0]]
    seller.client.quote(asked[1], b.NewQuote(lines=[b.NewQuoteLine(no=1, price="5 EUR")]))
    (quote,) = buyer.quoted(asked[1])
    order = buyer.client.order(b.NewOrder(quote=quote.id)).order
    until("the order", lambda: any(item.kind == "order" for item in seller.client.inbox().items) or None)

    def inbox(state: str | None) -> list[str]:
        return paged(lambda cursor: seller.client.inbox(limit=1, cursor=cursor, state=cast("t.InboxState", state)))

    assert inbox(None) == [order.id, *urgent[1:]]
    assert inbox("all") == [order.id, *urgent[1:], urgent[0]]
    assert inbox("answered") == [urgent[0]]
    assert set(paged(lambda cursor: buyer.client.requests(limit=1, cursor=cursor))) == set(asked)
    assert paged(lambda cursor: buyer.client.deals(limit=1, cursor=cursor)) == [order.deal]


def paged(read: Callable[[str | None], t.Inbox | t.Requests | t.Deals]) -> list[str]:
    """The ids on all pages, from first to last."""
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = read(cursor)
        shown = (
            page.items if isinstance(page, t.Inbox) else page.requests if isinstance(page, t.Requests) else page.deals
        )
        found += [one.id for one in shown]
        cursor = page.next
        if cursor is None:
            return found


# Why not?


def test_a_buyer_reads_why_his_order_was_refused_and_whose_request_ended_well(net: Market) -> None:
    seller, buyer = net["seller"], net["buyer"]

    def ordered(line: str) -> tuple[str, str]:
        request = buyer.open("coffee", line).id
        seller.received(request)
        seller.client.quote(request, b.NewQuote(lines=[b.NewQuoteLine(no=1, price="5 EUR")]))
        order = buyer.client.order(b.NewOrder(quote=buyer.quoted(request)[0].id)).order.id
        until("the order", lambda: any(item.id == order for item in seller.client.inbox().items) or None)
        return request, order

    _, order = ordered("4 kg beans")
    seller.client.reject(order, b.Reject(reason="stock", text="sold out until May"))
    buyer.settled(order, "rejected")
    for peer in (buyer, seller):
        shown = peer.client.show(order).order
        assert shown is not None
        assert (shown.state, shown.reason, shown.text) == ("rejected", "stock", "sold out until May")
    assert "sold out until May" in buyer.market("show", order).out
    again = buyer.market("order", str(buyer.ask("show", order)["quote"]["id"]))
    assert "ask for a new one" in again.out

    request, order = ordered("5 kg beans")
    buyer.client.request_close(request, b.CloseRequest(state="cancelled"))
    assert seller.request_state(request, "open").state == "open"  # his order stands, whatever becomes of the request
    seller.client.accept(order, b.Accept())
    buyer.settled(order, "agreed")
    seller.settled(order, "agreed")
    assert buyer.request_state(request, "awarded").state == "awarded"
