"""Points in time as people type them: `2h`, `fri 18:00`, `tomorrow 9:00`, `2026-12-01`, RFC 3339.

Rules: no clock and no time zone table here: `wall` (UTC unix seconds) and `utc_offset` (seconds east of UTC, of the
person who types) are handed in. A date without time is the last second of that day. A weekday or a bare time is the
next one to come; a date or instant that is past is refused, and so is anything beyond the longest allowed.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final

from p2pmarket.errors import BadInput
from p2pmarket.limits import DAY, HOUR, MINUTE, REQUEST_SECONDS
from p2pmarket.vocab.decimals import shown
from p2pmarket.vocab.texts import normal_text

_HINT: Final = "Write 2h, 3d, 18:00, fri 18:00, tomorrow 9:00, 2026-12-01 or 2026-12-01T18:00:00Z"
_SECONDS: Final = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds", "초"), 1),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes", "분"), MINUTE),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours", "시간"), HOUR),
    **dict.fromkeys(("d", "day", "days", "일"), DAY),
    **dict.fromkeys(("w", "week", "weeks", "주"), 7 * DAY),
}
_PIECE: Final = re.compile(r"(\d{1,9})\s*([^\W\d_]+)\s*")
_CLOCK: Final = re.compile(
    r"(?P<hour>\d{1,2})(:(?P<minute>\d\d)(:(?P<second>\d\d))?( ?(?P<half>am|pm))?|시( ?(?P<minutes>\d{1,2})분)?)"
)
_HALF_DAY: Final = re.compile(r"(?P<hour>\d{1,2}) ?(?P<half>am|pm)")
_DATE: Final = re.compile(r"(\d{4})-(\d\d?)-(\d\d?)")
_RFC3339: Final = re.compile(r"(\d{4}-\d\d-\d\d)[t ](\d\d:\d\d:\d\d)(\.\d{1,9})? ?(z|[+-]\d\d:\d\d)")
_WEEKDAYS: Final = {
    word: number
    for number, words in enumerate(
        (
            "mon monday 월 월요일",
            "tue tues tuesday 화 화요일",
            "wed wednesday 수 수요일",
            "thu thur thurs thursday 목 목요일",
            "fri friday 금 금요일",
            "sat saturday 토 토요일",
            "sun sunday 일요일",
        )
    )
    for word in words.split()
}
_EPOCH: Final = date(1970, 1, 1)
_UTC_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAYS: Final = {"today": 0, "오늘": 0, "tonight": 0, "tomorrow": 1, "내일": 1, "모레": 2}


def parse_duration(text: str, longest: int = REQUEST_SECONDS) -> int:
    """Seconds in `90s`, `10m`, `2h`, `3d`, `1h30m`, `2시간`; raises BadInput for zero and above `longest`."""
    seconds = _duration(normal_text(text))
    if seconds is None:
        raise BadInput(f"{shown(text)} is not a length of time", hint="Write 10m, 2h, 3d or 1h30m")
    return _within(seconds, longest, text)


def parse_deadline(text: str, wall: int, utc_offset: int, longest: int = REQUEST_SECONDS) -> int:
    """The UTC unix second meant; raises BadInput for what is past or more than `longest` seconds away."""
    word = normal_text(text)
    seconds = _duration(word)
    if seconds is None:
        instant = _instant(word, wall, utc_offset)
        if instant is None:
            raise BadInput(f"{shown(text)} is not a time", hint=_HINT)
        seconds = instant - wall
    return wall + _within(seconds, longest, text)


@lru_cache(maxsize=1024)
def instant_text(wall: int) -> str:
    """RFC 3339 in UTC, whole seconds: `2026-12-01T18:00:00Z`."""
    return f"{(_UTC_EPOCH + timedelta(seconds=wall)):%Y-%m-%dT%H:%M:%SZ}"


def parse_date(text: str) -> str:
    """A calendar date `YYYY-MM-DD` in its one form ("wanted by" is a date at the place of delivery)."""
    match = _DATE.fullmatch(normal_text(text))
    day = _day(match) if match else None
    if day is None:
        raise BadInput(f"{shown(text)} is not a date", hint="Write YYYY-MM-DD, such as 2026-12-01")
    return day.isoformat()


def refuse_past_day(text: str, wall: int, utc_offset: int) -> None:
    """Raise BadInput for what is no date, or a date before today where the person is who types."""
    today = _UTC_EPOCH + timedelta(seconds=wall + utc_offset)
    if parse_date(text) < today.date().isoformat():
        raise BadInput(f"{shown(text)} is already past", hint="Write a day to come, such as fri, 10d or 2027-12-01")


def _within(seconds: int, longest: int, text: str) -> int:
    if seconds <= 0:
        raise BadInput(f"{shown(text)} is already past", hint="Write a time to come, such as 2h or tomorrow 18:00")
    if seconds > longest:
        raise BadInput(f"{shown(text)} is too far away", hint=f"At most {longest // DAY} days from now")
    return seconds


def _duration(word: str) -> int | None:
    total, at = 0, 0
    while at < len(word):
        piece = _PIECE.match(word, at)
        if not piece or piece[2] not in _SECONDS:
            return None
        total, at = total + int(piece[1]) * _SECONDS[piece[2]], piece.end()
    return total if word else None


def _instant(word: str, wall: int, utc_offset: int) -> int | None:
    """The UTC second of an instant, a day, a clock time, or a day with a clock time; None if it is none of them."""
    rfc = _RFC3339.fullmatch(word)
    if rfc:
        return _rfc3339(rfc)
    here = wall + utc_offset
    head, _, tail = word.replace("t", " ", 1).partition(" ") if _DATE.match(word) else word.partition(" ")
    bare = _second_of_day(word)
    if bare is not None:
        local = here // DAY * DAY + bare
        return (local if local > here else local + DAY) - utc_offset
    second = _second_of_day(tail.removeprefix("at ").strip()) if tail else DAY - 1
    days = _days_ahead(head, here // DAY)
    if second is None or days is None:
        return None
    local = (here // DAY + days) * DAY + second
    return (local + 7 * DAY if head in _WEEKDAYS and local <= here else local) - utc_offset


def _days_ahead(word: str, today: int) -> int | None:
    """Days from `today` (counted from 1970-01-01) to the day named."""
    if word in _DAYS:
        return _DAYS[word]
    if word in _WEEKDAYS:
        return (_WEEKDAYS[word] - (today + 3)) % 7  # 1970-01-01 was a Thursday
    match = _DATE.fullmatch(word)
    day = _day(match) if match else None
    return None if day is None else (day - _EPOCH).days - today


def _day(match: re.Match[str]) -> date | None:
    try:
        return date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return None


def _second_of_day(word: str) -> int | None:
    match = _CLOCK.fullmatch(word) or _HALF_DAY.fullmatch(word)
    if not match:
        return None
    parts = match.groupdict()
    hour, minute = int(parts["hour"]), int(parts.get("minute") or parts.get("minutes") or 0)
    second, half = int(parts.get("second") or 0), parts.get("half")
    if half and not 1 <= hour <= 12:
        return None
    if half:
        hour = hour % 12 + (12 if half == "pm" else 0)
    if minute > 59 or second > 59 or hour > 24 or (hour == 24 and minute + second > 0):
        return None
    return hour * HOUR + minute * MINUTE + second


def _rfc3339(match: re.Match[str]) -> int | None:
    """Fractions of a second are cut off: a deadline is a whole second."""
    zone = "+00:00" if match[4] == "z" else match[4]
    try:
        return int((datetime.fromisoformat(f"{match[1]}T{match[2]}{zone}") - _UTC_EPOCH).total_seconds())
    except (ValueError, OverflowError):
        return None
