"""Every view with every field filled: fits the terminal, and no text of a peer gets out of its cell."""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Iterable
from datetime import UTC
from typing import Any

import msgspec
import pytest
from cli_samples import sample
from hypothesis import given, settings
from hypothesis import strategies as st
from p2pmarket_cli.grid import Column, Screen, ago, grid, span, until
from p2pmarket_cli.view_event import event_line
from p2pmarket_cli.view_evidence import verdict_view
from p2pmarket_cli.view_request import best_quote, no_sellers, waiting_view
from p2pmarket_cli.view_trade import deal_view
from p2pmarket_cli.views import VIEWS, draw
from rich.cells import cell_len
from rich.console import Console, RenderableType

from p2pmarket.api import spec
from p2pmarket.api import types as t
from p2pmarket.trade.evidence import Contradiction, Verdict
from p2pmarket.trade.summary import Entry, Summary, SummaryLine

NOW = 1893553445.0  # 2030-01-02T03:04:05Z
WIDTHS = (40, 80, 200)
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07",
    "\x9b31m\x90q\x9c",
    "a\nb\r\x08\x0b\t\0",
    "\u202egnp.exe\u2066\u200b\u200d",
    "[bold red]markup[/] :skull: \\[link=file:///etc]",
    "Z\u0351\u0358\u0361\u0489\u0301" * 20,
    "한글과 漢字 " * 12,
    "│─┐" * 20,
    "x" * 300,
    "\ud800\udfff\U000e0041\u3164",
)


def screen(width: int, *, terminal: bool = True) -> Screen:
    return Screen(width=width, now=NOW, terminal=terminal, zone=UTC)


def drawn(parts: Iterable[RenderableType], width: int, *, colour: bool = False) -> str:
    out = io.StringIO()
    console = Console(
        file=out, width=width, force_terminal=colour, markup=False, emoji=False, highlight=False, _environ={}
    )
    for part in parts:
        console.print(part)
    return out.getvalue()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", VIEWS, ids=lambda kind: kind.__name__)
def test_views_fit_and_keep_hostile_text_in_its_cell(kind: type, width: int) -> None:
    for hostile in HOSTILE:
        coloured = drawn(draw(sample(kind, hostile), screen(width)), width, colour=True)
        shown = ESCAPE.sub("", coloured)
        assert "\x1b" not in shown
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069]", shown)
        assert max(map(cell_len, shown.splitlines())) <= width


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_text_moves_no_column(hostile: str) -> None:
    plain, bad = quote("1234.50", name="plain"), sample(t.Quote, hostile)
    bad = msgspec.structs.replace(
        bad, id="q-bad", seller=msgspec.structs.replace(bad.seller, fingerprint="k3f7q-h2x9d")
    )
    plain = msgspec.structs.replace(plain, seller=msgspec.structs.replace(plain.seller, fingerprint="k3f7q-h2x9d"))
    text = drawn(draw(t.Quotes(request=request(), quotes=[plain, bad]), screen(200)), 200)
    rows = [line for line in text.splitlines() if line.startswith("q-")]
    assert len(rows) == 2
    for word in ("k3f7q-h2x9d", "1,234.50 EUR"):
        assert len({cell_len(row[: row.index(word)]) for row in rows}) == 1


@pytest.mark.parametrize("choice", range(8))
@pytest.mark.parametrize("kind", VIEWS, ids=lambda kind: kind.__name__)
def test_views_know_every_word_of_the_api(kind: type, choice: int) -> None:
    assert drawn(draw(sample(kind, choice=choice), screen(100)), 100).strip()


@pytest.mark.parametrize("kind", VIEWS, ids=lambda kind: kind.__name__)
def test_an_empty_reply_is_no_blank_page(kind: type) -> None:
    assert drawn(draw(sample(kind, several=0), screen(80)), 80).strip()


def test_every_reply_has_a_view() -> None:
    for_programs = {t.Event, t.Exported, t.LedgerCopy, t.PricesExport, t.OpinionReply, t.Resumed, t.Seen}
    assert {route.reply for route in spec.ROUTES} == set(VIEWS) | for_programs


@pytest.mark.parametrize("kind", VIEWS, ids=lambda kind: kind.__name__)
def test_nothing_is_cut_in_a_pipe(kind: type) -> None:
    long = "word " * 11 + "end"
    assert "…" not in drawn(draw(sample(kind, long), screen(100_000, terminal=False)), 100_000)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=80), st.sampled_from(WIDTHS), st.sampled_from(list(VIEWS)))
def test_any_text_in_any_view(text: str, width: int, kind: type) -> None:
    for line in drawn(draw(sample(kind, text), screen(width)), width).splitlines():
        assert cell_len(line) <= width
        assert not re.search(r"[\x00-\x1f\x7f-\x9f]", line)


DONE = re.compile(r"Signed and on its way|\bis told|will be told|on the way\.|Both signed|Next: |Taken: |Kept|Removed")
WRITTEN = [route.reply for route in spec.ROUTES if route.writes and route.reply in VIEWS]


@pytest.mark.parametrize("choice", range(6))
@pytest.mark.parametrize("kind", WRITTEN, ids=lambda kind: kind.__name__)
def test_a_dry_run_says_what_would_be_and_nothing_to_go_on_with(kind: type, choice: int) -> None:
    for role in ("buyer", "seller") if kind is t.OrderReply else (None,):
        more = {"role": role} if role else {}
        text = drawn(
            draw(sample(kind, "word", choice=choice), dataclasses.replace(screen(200), tried=True), **more), 200
        )
        assert not DONE.search(text), text
        assert "market " not in text.replace("market proofs", ""), text


# Grids


ROWS = [["Cafe Roma", "12.50 EUR", ""], ["a much longer name of a seller", "1,234.50 EUR", ""]]
COLUMNS = [Column("seller", least=8), Column("total", right=True), Column("notes")]


def test_a_table_that_fits_is_whole() -> None:
    text = drawn([grid(screen(80), COLUMNS, ROWS)], 80)
    assert "a much longer name of a seller" in text
    assert "notes" not in text  # empty in every row


def test_long_texts_are_cut_first_and_numbers_never() -> None:
    text = drawn([grid(screen(30), COLUMNS, ROWS)], 30)
    assert "a much longer n…" in text
    assert "1,234.50 EUR" in text


def test_columns_that_may_go_go_in_their_order_and_are_named() -> None:
    columns = [Column("id"), Column("long", goes=2), Column("longer", goes=1)]
    rows = [["x", "a" * 10, "b" * 20]]
    assert "no room" not in drawn([grid(screen(40), columns, rows)], 40)
    narrow = drawn([grid(screen(30), columns, rows)], 30)
    assert "a" * 10 in narrow
    assert "no room for: longer\n" in narrow
    assert "no room for: longer, long" in " ".join(drawn([grid(screen(10), columns, rows)], 10).split())
    assert "b" * 20 in drawn([grid(screen(10, terminal=False), columns, rows)], 100)


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("width", [80, 100])
def test_quotes_stand_side_by_side_on_a_common_terminal(width: int, terminal: bool) -> None:
    quotes = [quote(f"{n}00.00", name=f"seller {n}", missing=(n,)) for n in (1, 2, 3)]
    quotes = [
        msgspec.structs.replace(
            each,
            id=each.id.replace(" ", "") + "a" * 20,
            version=int(each.total.amount[0]),
            seller=msgspec.structs.replace(each.seller, fingerprint="k3f7q-h2x9d"),
            delivery=t.DeliveryTerms(days=5, latest=None, incoterm="DAP", place="Seoul", ships_from="KR"),
        )
        for each in quotes
    ]
    side_by_side = t.Quotes(request=request(), quotes=quotes)
    for reply in (side_by_side, t.RequestReport(request=request(), sellers=[], quotes=quotes, ended=None, problems=[])):
        seen = screen(width if terminal else 1000, terminal=terminal)
        text = drawn(draw(reply, seen), seen.width)
        rows = [line for line in text.splitlines() if line.startswith("q-seller")]
        assert len(rows) == 3
        for row, each in zip(rows, quotes, strict=True):
            for part in (each.total.amount, "k3f7q-h2x9d", "5 days"):
                assert part in row
            assert (f"{each.id[:10]} v{each.version} " in row) == (terminal and each.version > 1)


@pytest.mark.parametrize("width", [40, 50, 60, 70, 80, 100])
def test_what_one_must_do_and_until_when_is_never_cut(width: int) -> None:
    peer = msgspec.structs.replace(sample(t.Peer), name="Addis Roasters of Seoul", fingerprint="k3f7q-h2x9d")
    item = msgspec.structs.replace(
        sample(t.InboxItem),
        id="o-k3f7q2h9" + "a" * 18,
        kind="order",
        sender=peer,
        title="20 kg Yirgacheffe, washed",
        actions=["accept", "reject", "amend"],
        act_by="2030-01-08T14:00:00Z",
    )
    text = drawn(draw(t.Inbox(items=[item], next=None, not_listed=0), screen(width)), width)
    for words in ("o-k3f7q2h9", "in 6 days", "accept, reject, amend"):
        assert words in text


@pytest.mark.parametrize("width", [40, 50, 60, 70, 80, 100])
def test_the_steps_of_a_dispute_keep_the_ids_that_answers_name(width: int) -> None:
    made = sample(t.Dispute)
    moves = [msgspec.structs.replace(made.moves[0], id=f"t-{n}3f7q2h9aaaa", text="late and wet") for n in "ab"]
    reply = t.Disputes(deal=sample(t.Deal), disputes=[msgspec.structs.replace(made, moves=moves)])
    text = drawn(draw(reply, screen(width)), width)
    assert "t-a3f7q2h9" in text
    assert "t-b3f7q2h9" in text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (65, "1 min 5 s"),
        (600, "10 min"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (90000, "25 h"),
        (172800, "2 days"),
    ],
)
def test_spans(seconds: int, words: str) -> None:
    assert span(seconds) == words


def test_instants_are_local_on_a_terminal_and_exact_in_a_pipe() -> None:
    at = "2030-01-02T05:04:05Z"
    assert until(screen(80), at) == "05:04 (in 2 h)"
    assert until(screen(80, terminal=False), at) == at
    assert ago(screen(80), "2030-01-02T03:00:00Z") == "4 min ago"
    assert until(screen(80), "no instant") == "no instant"


def test_a_terminal_too_narrow_gets_cards_with_everything() -> None:
    text = drawn([grid(screen(18), COLUMNS, ROWS)], 18)
    for word in ("seller", "Cafe", "1,234.50"):
        assert word in text
    assert "…" not in text.replace("─", "")


# Requests


def quote(
    total: str, currency: str = "EUR", missing: tuple[int, ...] = (), state: str = "open", name: str = "s"
) -> t.Quote:
    made = sample(t.Quote)
    return msgspec.structs.replace(
        made,
        id=f"q-{name}",
        state=state,
        total=t.Money(amount=total, currency=currency),
        missing_lines=list(missing),
        seller=msgspec.structs.replace(made.seller, key=f"did:key:{name}", name=name),
    )


def request(**changes: object) -> t.Request:
    return msgspec.structs.replace(sample(t.Request), **{"state": "open", "currency": "EUR", **changes})


def test_the_best_quote_has_most_lines_then_the_lowest_total() -> None:
    dear, cheap = quote("20.00", name="dear"), quote("9.00", name="cheap")
    part, foreign = quote("1.00", missing=(2,), name="part"), quote("1.00", "KRW", name="foreign")
    gone = quote("1.00", state="withdrawn", name="gone")
    best = best_quote(request(), [dear, part, foreign, gone, cheap])
    assert best is not None
    assert best.id == "q-cheap"
    assert best_quote(request(), [foreign]) is None


def test_another_currency_is_marked_and_not_compared() -> None:
    reply = t.Quotes(request=request(), quotes=[quote("1.00", "KRW", name="foreign"), quote("9.00", name="cheap")])
    text = drawn(draw(reply, screen(200)), 200)
    assert "1.00 KRW *" in text
    assert "another currency than EUR: not compared" in text
    assert "market order q-cheap" in text


def test_a_partial_quote_names_what_is_missing() -> None:
    lines = [msgspec.structs.replace(sample(t.Line), no=no) for no in range(1, 9)]
    reply = t.Quotes(request=request(lines=lines), quotes=[quote("9.00", missing=(2, 5, 6, 7))])
    text = drawn(draw(reply, screen(200)), 200)
    assert "2, 5-7" in text
    assert "of 8" in text


def test_waiting_shows_every_seller_with_delivery_and_answer() -> None:
    def seller(name: str, delivery: str, answer: str, reason: str | None = None) -> t.SellerState:
        made = sample(t.SellerState)
        peer = msgspec.structs.replace(made.seller, key=f"did:key:{name}", name=name)
        return msgspec.structs.replace(made, seller=peer, delivery=delivery, answer=answer, reason=reason)

    report = t.RequestReport(
        problems=[],
        request=request(quotes_wanted=5),
        sellers=[
            seller("a", "queued", "unreachable"),
            seller("b", "seen", "declined", "stock"),
            seller("c", "delivered", "waiting"),
            seller("d", "seen", "quoted"),
        ],
        quotes=[quote("12.50", name="d")],
        ended=None,
    )
    text = drawn([waiting_view(report, screen(200))], 200)
    rows = [line for line in text.splitlines() if re.search(r"\b[abcd]  ", line)]
    assert rows[0].startswith("q-d ")
    for words in ("declined: stock", "12.50 EUR", "1 quoted, 1 waiting, 1 declined, 1 unreachable", "1 of 5 quotes"):
        assert words in text
    assert "understood: 20 kg · text" in text


def test_only_so_many_sellers_as_fit() -> None:
    sellers = [
        msgspec.structs.replace(sample(t.SellerState), seller=msgspec.structs.replace(sample(t.Peer), key=str(n)))
        for n in range(50)
    ]
    report = t.RequestReport(request=request(), sellers=sellers, quotes=[], ended=None, problems=[])
    text = drawn([waiting_view(report, screen(120), rows=10)], 120)
    assert "40 more sellers" in text
    assert len(text.splitlines()) < 24


def test_nobody_sells_it_says_how_far_was_looked_and_what_to_try() -> None:
    search = t.Search(nodes_asked=41, sellers_found=0, widened_to=["coffee"], complete=True)
    near = [t.CategoryMatch(code="cpv:15861000", label="Coffee", score=1.0, why="label", announced=3)]
    text = drawn([no_sellers(request(search=search), near)], 80)
    for words in (
        "41 nodes asked",
        "also under coffee",
        "cpv:15861000 (Coffee)",
        "market categories",
        "--to",
        "stays open",
    ):
        assert words in " ".join(text.split())


def test_a_peer_cannot_forge_the_fingerprint() -> None:
    peer = msgspec.structs.replace(sample(t.Peer), name="Bank (aaaaa-aaaaa) " + "x" * 300, fingerprint="k3f7q-h2x9d")
    reply = t.Deals(deals=[msgspec.structs.replace(sample(t.Deal), other=peer)], next=None)
    for width in WIDTHS:
        assert "k3f7q-h2x9d" in drawn(draw(reply, screen(width)), width)


# Events and evidence


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("kind", [t.Request, t.Quote, t.Order, t.SellerState, t.InboxItem, t.Search, t.RequestReport])
def test_events_of_any_shape_are_one_safe_text(kind: type, hostile: str) -> None:
    data = msgspec.to_builtins(sample(kind, hostile.encode("utf-8", "replace").decode()))
    for event_type in (*t.EVENT_TYPES, hostile):
        event = t.Event(stream="s", seq=1, time=hostile, type=event_type, id=hostile, data=data)
        assert not re.search(r"[\x00-\x1f\x7f-\x9f]", event_line(event, screen(80)).plain)


@pytest.mark.parametrize("data", [None, [], "text", 3, {"seller": 1, "total": [], "lines": {}, "search": None}])
def test_events_of_unknown_shape_do_no_harm(data: object) -> None:
    event = t.Event(stream="s", seq=None, time="?", type="new.type", id=None, data=data)
    assert "new.type" in event_line(event, screen(80)).plain


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([("14", "short")], "1: 14 of 20 kg came, 6 kg missing"),
        ([("1", "damaged"), ("19", "short")], "1: all 20 kg came, 1 kg damaged"),
        ([("12", "short"), ("2", "damaged"), ("1", "refused")], "1: 15 of 20 kg came, 2 kg damaged, 1 kg refused"),
        ([("0", "short")], "1: 0 of 20 kg came, 20 kg missing"),
        ([("20", "full")], "1: all 20 kg came"),
    ],
)
def test_a_receipt_is_read_in_one_way(parts: list[tuple[str, Any]], said: str) -> None:
    lines = [
        t.ReceivedLine(
            no=1,
            quantity=t.Quantity(value=much, unit="KGM"),
            condition=how,
            text=None,
            of=t.Quantity(value="20", unit="KGM"),
        )
        for much, how in parts
    ]
    receipt = msgspec.structs.replace(sample(t.Receipt), lines=lines)
    reply = msgspec.structs.replace(sample(t.ReceiptReply), receipts=[receipt])
    assert said in drawn(draw(reply, screen(300)), 300)


@pytest.mark.parametrize(
    ("due", "then", "said"),
    [
        (None, "overdue: the buyer may ask", "theirs, no date is set; else the buyer may ask"),
        (None, "stays open", "theirs, no date is set; else stays open"),
        ("2030-01-03T03:04:05Z", "overdue: the buyer may ask", "); after that overdue: the buyer may ask"),
        ("2030-01-03T03:04:05Z", "after that it may lapse", "); after that it may lapse"),
    ],
)
def test_a_turn_is_overdue_only_after_its_date(due: str | None, then: str, said: str) -> None:
    deal = msgspec.structs.replace(sample(t.Deal), turn="other", due_at=due, then=then)
    assert said in drawn([deal_view(deal, screen(300))], 300)
    listed = drawn(draw(t.Deals(deals=[deal], next=None), screen(300)), 300)
    assert ("overdue" in listed) == (due is not None and "overdue" in then)


def test_the_history_says_what_an_answer_to_an_order_was() -> None:
    entries = tuple(msgspec.structs.replace(sample(Entry), step=code) for code in ("AP", "RE", "CA", "AB", "open"))
    shown = drawn(verdict_view(Verdict(ok=True, history=entries), screen(300)), 300)
    for word in ("accepted", "rejected", "accepted with changes", "acknowledged", "open"):
        assert word in shown
    assert " AP " not in shown


def test_a_verdict() -> None:
    line = SummaryLine(no=1, quantity="20", unit="KGM", text="\x1b[31mcoffee")
    summary = msgspec.structs.replace(sample(Summary), lines=(line,), total="310.00", currency="EUR")
    claim = Contradiction("did:key:z", "order", ("o-1", "o-2"))
    good = Verdict(
        ok=True, parties=(("buyer", "did:key:z"),), summary=summary, contradiction=claim, upstream=("d-1", "d-2")
    )
    text = drawn(verdict_view(good, screen(80)), 80)
    assert re.search("depends on +d-1, d-2", text)
    assert "VALID" in text
    assert "20 kg" in text
    assert "\x1b" not in text
    bad = drawn(
        verdict_view(Verdict(ok=False, summary=summary, problems=("a signature does not hold",)), screen(80)), 80
    )
    assert "NOT VALID" in bad
    assert "310" not in bad
