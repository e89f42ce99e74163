"""Tables that fit the terminal, and the small values in them.

Rules. Every cell passes `safe` here, so no view can forget it. A table that fits is drawn whole; else its long texts
are cut, each with an ellipsis; else columns that may go are left out, the least needed first, and named below; else, on
a very narrow terminal, every row becomes a card of `name  value` lines. Outside a terminal nothing is cut, shortened or
left out. A column empty in every row is not drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from .safe import cells, cut, safe

Cell = str | tuple[str, str]  # text, or text and style
GAP = 2  # cells between columns
GOOD, BAD, WARN, DIM, BOLD = "green", "red", "yellow", "dim", "bold"


@dataclass(frozen=True, slots=True)
class Screen:
    """Where a view will be seen: `now` in unix seconds; `zone` None is the local time of this machine.

    On a `tried` one nothing that is shown was done: a view says there what would be, and names no command to go on.
    """

    width: int
    now: float
    terminal: bool = True
    zone: tzinfo | None = None
    tried: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """One column; `least` is how narrow it may be cut, None: never; `goes` 1 is the first to be left out, 0 none."""

    title: str
    right: bool = False
    least: int | None = None
    goes: int = 0


def grid(screen: Screen, columns: Sequence[Column], rows: Iterable[Sequence[Cell]]) -> RenderableType:
    """The rows as a table as wide as `screen` at most, or as cards if it cannot be that narrow."""
    body = [[_split(cell) for cell in row] for row in rows]
    used = [at for at in range(len(columns)) if any(row[at][0] for row in body)]
    if not used:
        return Text("")
    going = sorted((at for at in used if columns[at].goes), key=lambda at: columns[at].goes)
    for gone in range(len(going) + 1):
        kept = [at for at in used if at not in going[:gone]]
        table = _table(screen, [columns[at] for at in kept], [[row[at] for at in kept] for row in body])
        if table is not None:
            missed = ", ".join(columns[at].title for at in going[:gone])
            return Group(table, Text(f"no room for: {missed}", DIM)) if missed else table
    return _cards(screen, [columns[at] for at in used], [[row[at] for at in used] for row in body])


def _table(screen: Screen, columns: Sequence[Column], body: Sequence[Sequence[tuple[str, str]]]) -> _Lines | None:
    """The rows as a table; None if it cannot be narrow enough."""
    natural = [max(cells(column.title), max(cells(row[at][0]) for row in body)) for at, column in enumerate(columns)]
    widths = natural if not screen.terminal else _fit(natural, columns, screen.width)
    return None if widths is None else _Lines(screen, columns, body, widths)


def _split(cell: Cell) -> tuple[str, str]:
    return (safe(cell), "") if isinstance(cell, str) else (safe(cell[0]), cell[1])


def _fit(natural: Sequence[int], columns: Sequence[Column], width: int) -> list[int] | None:
    """Widths that sum to `width` at most: the widest column that may be cut gives way first; None if it cannot be."""
    widths = list(natural)
    over = sum(widths) + GAP * (len(widths) - 1) - width
    while over > 0:
        room = [(widths[at], at) for at, column in enumerate(columns) if _least(column) < widths[at]]
        if not room:
            return None
        size, at = max(room)
        second = max((other for other, place in room if place != at), default=0)
        take = min(over, max(1, size - second), size - _least(columns[at]))
        widths[at] -= take
        over -= take
    return widths


def _least(column: Column) -> int:
    return 10**9 if column.least is None else max(column.least, cells(column.title))


class _Lines:
    """Rows at given widths, drawn without rich's own table: that takes a millisecond a row, and widths are known."""

    def __init__(
        self,
        screen: Screen,
        columns: Sequence[Column],
        body: Sequence[Sequence[tuple[str, str]]],
        widths: Sequence[int],
    ) -> None:
        self._screen, self._columns, self._body, self._widths = screen, columns, body, widths

    def __rich_console__(self, console: Console, _options: ConsoleOptions) -> RenderResult:
        yield from self._row(console, [(column.title, BOLD) for column in self._columns])
        if self._screen.terminal:
            rule = "─" * (sum(self._widths) + GAP * (len(self._widths) - 1))
            yield Segment(f"{rule}\n", console.get_style(DIM))
        for row in self._body:
            yield from self._row(console, row)

    def _row(self, console: Console, row: Sequence[tuple[str, str]]) -> Iterator[Segment]:
        owed = 0  # spaces that are drawn only if something follows
        for (text, style), column, width in zip(row, self._columns, self._widths, strict=True):
            shown = cut(text, width)
            left = width - cells(shown) if column.right else 0
            if shown:
                yield Segment(" " * (owed + left))
                yield Segment(shown, console.get_style(style) if style else None)
                owed = 0
            owed += width - cells(shown) - (left if shown else 0) + GAP
        yield Segment("\n")


def _cards(screen: Screen, columns: Sequence[Column], body: Sequence[Sequence[tuple[str, str]]]) -> Group:
    label = max(cells(column.title) for column in columns)
    blocks: list[RenderableType] = []
    for row in body:
        if blocks:
            blocks.append(Text("─" * min(screen.width, 20), DIM))
        pairs = [(column.title, cell) for column, cell in zip(columns, row, strict=True) if cell[0]]
        blocks.append(pairs_of(screen, pairs, label=label))
    return Group(*blocks)


def pairs_of(screen: Screen, pairs: Iterable[tuple[str, Cell]], *, label: int = 0) -> RenderableType:
    """`name  value` lines under one another, long values folded; a pair without a value is left out."""
    shown = [(safe(name), _split(cell)) for name, cell in pairs]
    shown = [(name, value) for name, value in shown if value[0]]
    label = max([label, *(cells(name) for name, _ in shown)])
    if not screen.terminal:
        return Group(*(Text(f"{name}{' ' * (label - cells(name) + GAP)}{value}") for name, (value, _) in shown))
    table = Table.grid(padding=(0, GAP, 0, 0), pad_edge=False)
    table.add_column(width=min(label, max(4, screen.width // 3)), no_wrap=True)
    table.add_column(overflow="fold")
    for name, (value, style) in shown:
        table.add_row(Text(name, DIM), Text(value, style))
    return table


def heading(*cells_: Cell) -> Text:
    """One line of text made of safe pieces; it folds like any text."""
    line = Text()
    for cell in cells_:
        text, style = _split(cell)
        line.append(text, style)
    return line


SENT, WOULD_SEND = "Signed and on its way.", "it would be signed and sent"
AGAIN = "This was done before: nothing was done twice."


def outcome(screen: Screen, created: bool, done: str, *, would: str, again: str = AGAIN) -> Text:
    """The last line of a deed: that it is `done`, was done before, or what a dry run `would` have done."""
    if not created:
        return heading((again, WARN))
    return heading((f"Dry run: {would}.", WARN)) if screen.tried else heading((done, GOOD))


def next_step(screen: Screen, words: str) -> list[Text]:
    """What comes next; after a dry run nothing does."""
    return [] if screen.tried else [heading(("Next: ", DIM), words)]


# Values


def short_id(screen: Screen, full: str | None) -> str:
    """An id as a terminal needs it: any prefix that is unique is accepted everywhere."""
    full = full or ""
    return full[:10] if screen.terminal else full


def instant(text: str | None) -> float | None:
    """Unix seconds of an RFC 3339 instant; None if there is none, or it is not one."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def when(screen: Screen, text: str | None) -> str:
    """An instant as local time, as short as it can be understood; outside a terminal as it is."""
    seconds = instant(text)
    if text is None or seconds is None:
        return text or ""
    if not screen.terminal:
        return text
    then = datetime.fromtimestamp(seconds, screen.zone)
    away = abs(seconds - screen.now)
    if away < 20 * 3600:
        return f"{then:%H:%M}"
    if away < 6 * 86400:
        return f"{then:%a %H:%M}"
    return f"{then:%Y-%m-%d}"


def until(screen: Screen, text: str | None) -> str:
    """An instant with how far away it is: `18:00 (in 3 h)`, `Fri 18:00 (2 days ago)`."""
    seconds = instant(text)
    if seconds is None or not screen.terminal:
        return text or ""
    ahead = seconds - screen.now
    return f"{when(screen, text)} ({'in ' + span(ahead) if ahead >= 0 else span(-ahead) + ' ago'})"


def ago(screen: Screen, text: str | None) -> str:
    """How long ago an instant was, in its largest unit."""
    seconds = instant(text)
    if seconds is None or not screen.terminal:
        return text or ""
    words = span(max(0.0, screen.now - seconds)).split()
    return f"{' '.join(words[:2])} ago"


def away(screen: Screen, text: str | None) -> str:
    """How far away an instant is, in its largest unit: `in 3 days`, `2 h over`."""
    seconds = instant(text)
    if seconds is None or not screen.terminal:
        return text or ""
    ahead = seconds - screen.now
    words = " ".join(span(abs(ahead)).split()[:2])
    return f"in {words}" if ahead >= 0 else f"{words} over"


def span(seconds: float) -> str:
    """A duration in its two largest units at most: `42 s`, `3 min 20 s`, `2 h 5 min`, `3 days`."""
    total = int(seconds)
    if total >= 2 * 86400:
        return f"{total // 86400} days"
    for size, name, smaller, small_name, alone in _UNITS:
        if total >= size:
            large, small = divmod(total, size)
            rest = f" {small // smaller} {small_name}" if large < alone and small >= smaller else ""
            return f"{large} {name}{rest}"
    return f"{total} s"


# Size in seconds, name, the next smaller unit, and from how many on that one is left out.
_UNITS = ((3600, "h", 60, "min", 24), (60, "min", 1, "s", 10))


def count(number: int, one: str, many: str | None = None) -> str:
    """`1 quote`, `3 quotes`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def grouped(amount: str) -> str:
    """A decimal string with a comma between thousands; text that is no number stays as it is."""
    head, point, tail = amount.partition(".")
    digits = head.removeprefix("-")
    if not digits.isdecimal() or not digits.isascii():
        return amount
    return ("-" if head.startswith("-") else "") + f"{int(digits):,}" + point + tail
