"""Deadlines: what people type, against a fixed wall clock and offset."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pmarket.errors import BadInput
from p2pmarket.limits import DAY, REQUEST_SECONDS
from p2pmarket.vocab.deadlines import instant_text, parse_date, parse_deadline, parse_duration

WALL = int(datetime(2026, 11, 18, 11, 6, 40, tzinfo=UTC).timestamp())  # a Wednesday, 20:06:40 in Seoul
SEOUL = 9 * 3600
NEW_YORK = -5 * 3600


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2h", "2026-11-18T13:06:40Z"),
        ("10m", "2026-11-18T11:16:40Z"),
        ("1h30m", "2026-11-18T12:36:40Z"),
        ("3d", "2026-11-21T11:06:40Z"),
        ("2 시간", "2026-11-18T13:06:40Z"),
        ("fri 18:00", "2026-11-20T09:00:00Z"),
        ("Friday at 18:00", "2026-11-20T09:00:00Z"),
        ("금요일 18시", "2026-11-20T09:00:00Z"),
        ("wed 18:00", "2026-11-25T09:00:00Z"),
        ("wed", "2026-11-18T14:59:59Z"),
        ("fri", "2026-11-20T14:59:59Z"),
        ("22:30", "2026-11-18T13:30:00Z"),
        ("18:00", "2026-11-19T09:00:00Z"),
        ("24:00", "2026-11-18T15:00:00Z"),
        ("11pm", "2026-11-18T14:00:00Z"),
        ("tomorrow 9:00", "2026-11-19T00:00:00Z"),
        ("tomorrow", "2026-11-19T14:59:59Z"),
        ("내일 9시 30분", "2026-11-19T00:30:00Z"),
        ("today", "2026-11-18T14:59:59Z"),
        ("2026-12-01", "2026-12-01T14:59:59Z"),
        ("2026-12-01 18:00", "2026-12-01T09:00:00Z"),
        ("2026-12-01T18:00", "2026-12-01T09:00:00Z"),
        ("2026-12-01T18:00:00Z", "2026-12-01T18:00:00Z"),
        ("2026-12-01T18:00:00.75+09:00", "2026-12-01T09:00:00Z"),
    ],
)
def test_times_in_seoul(text: str, instant: str) -> None:
    assert instant_text(parse_deadline(text, WALL, SEOUL)) == instant


def test_the_day_is_that_of_the_person() -> None:
    assert instant_text(parse_deadline("today", WALL, NEW_YORK)) == "2026-11-19T04:59:59Z"
    assert instant_text(parse_deadline("6:30", WALL, NEW_YORK)) == "2026-11-18T11:30:00Z"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2026-11-17", "past"),
        ("today 9:00", "past"),
        ("2020-01-01T00:00:00Z", "past"),
        ("0h", "past"),
        ("31d", "far"),
        ("2027-12-01", "far"),
        ("9999-12-31", "far"),
        ("soon", "not a time"),
        ("25:00", "not a time"),
        ("18:60", "not a time"),
        ("13pm", "not a time"),
        ("2026-02-30", "not a time"),
        ("2026-13-01T00:00:00Z", "not a time"),
        ("fri fri", "not a time"),
        ("", "not a time"),
        ("-2h", "not a time"),
        ("1.5h", "not a time"),
    ],
)
def test_refused_with_a_hint(text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        parse_deadline(text, WALL, SEOUL)
    assert caught.value.hint


def test_longest_is_allowed_and_one_more_is_not() -> None:
    assert parse_deadline("30d", WALL, 0) == WALL + REQUEST_SECONDS
    assert parse_duration(f"{REQUEST_SECONDS}s") == REQUEST_SECONDS
    assert parse_deadline("90d", WALL, 0, longest=90 * DAY) == WALL + 90 * DAY
    with pytest.raises(BadInput) as caught:
        parse_duration(f"{REQUEST_SECONDS + 1}s")
    assert "30 days" in str(caught.value.hint)


def test_dates() -> None:
    assert parse_date("2026-12-1") == "2026-12-01"
    for text in ("2026-02-30", "1.12.2026", ""):
        with pytest.raises(BadInput):
            parse_date(text)


walls = st.integers(0, 4_000_000_000)
offsets = st.integers(-14 * 3600, 14 * 3600)


@given(st.text() | st.text("0123456789:-tz+ hdmfriamp"), walls, offsets)
def test_only_bad_input_comes_out(text: str, wall: int, offset: int) -> None:
    try:
        deadline = parse_deadline(text, wall, offset)
    except BadInput:
        return
    assert wall < deadline <= wall + REQUEST_SECONDS


@given(walls, offsets, st.sampled_from(["mon", "tue", "wed", "thu", "fri", "sat", "sun"]), st.integers(0, 23))
def test_weekday_is_the_next_one(wall: int, offset: int, day: str, hour: int) -> None:
    deadline = parse_deadline(f"{day} {hour}:00", wall, offset)
    assert 0 < deadline - wall <= 7 * DAY
    there = datetime.fromtimestamp(deadline + offset, UTC)
    assert (f"{there:%a}".lower(), there.hour, there.minute) == (day, hour, 0)


@given(walls, st.integers(1, REQUEST_SECONDS))
def test_instants_read_back(wall: int, ahead: int) -> None:
    assert parse_deadline(instant_text(wall + ahead), wall, SEOUL) == wall + ahead
