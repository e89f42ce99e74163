"""What leaves the process: data on stdout, talk on stderr.

Rules. A command has one document (`--json`), a stream of them (`--jsonl`), or something for people. For people rich
draws it: as wide as the terminal, and unbounded when stdout is no terminal, so that nothing is cut in a pipe. rich is
imported only then. JSON is UTF-8 with only controls and characters that reorder or hide text escaped, so it can be
read, copied and printed without steering a terminal. Colour follows NO_COLOR and never enters a pipe. An error is one
line and a hint, or one line of JSON.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from p2pmarket.errors import MarketError

from .safe import safe

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from .grid import Screen

PIPE_WIDTH = 100_000  # no table is wider: columns take what their text needs
# Besides what JSON itself escapes (C0): DEL, C1, format, bidi and separator characters, and tag characters.
_STEERING = re.compile(
    "[\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff]"
)


def json_text(document: object, *, indent: int = 0) -> str:
    """JSON of a struct or plain value; `indent` spaces, or one line."""
    import msgspec

    data = msgspec.json.encode(document)
    if indent:
        data = msgspec.json.format(data, indent=indent)
    return _STEERING.sub(_escape, data.decode())


def _escape(found: re.Match[str]) -> str:
    units = found.group().encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def plain(document: object) -> Any:
    """A struct as dicts, lists and plain values, exactly as its JSON has it."""
    import msgspec

    return msgspec.to_builtins(document)


def pick(document: Mapping[str, Any], fields: Iterable[str]) -> dict[str, Any]:
    """The named `fields` of a document; dots go deeper, and in a listing names are those of its items.

    Raises click.UsageError that names the fields there are.
    """
    fields = tuple(fields)
    lists = [name for name, value in document.items() if _is_listing(value)]
    if not all(field.split(".")[0] in document for field in fields) and len(lists) == 1:
        name = lists[0]
        return {**document, name: [_picked(item, fields) for item in document[name]]}
    return _picked(document, fields)


def _is_listing(value: object) -> bool:
    """Whether it is a list of objects: one of plain texts has no fields to pick."""
    return isinstance(value, list) and all(isinstance(item, Mapping) for item in value)


def _picked(document: Mapping[str, Any], fields: Iterable[str]) -> dict[str, Any]:
    return {field: _at(document, field) for field in fields}


def _at(document: Mapping[str, Any], field: str) -> Any:
    value: Any = document
    for name in field.split("."):
        if value is None:
            return None
        if not isinstance(value, Mapping) or name not in value:
            known = ", ".join(document)
            raise click.UsageError(f"--fields: there is no field {field!r}; there are: {known}")
        value = value[name]
    return value


def write(text: str) -> None:
    """One piece of data on stdout, UTF-8 whatever the locale, at once."""
    click.echo(text.encode(errors="replace"))


def talk(text: str, *, colour: str | None = None) -> None:
    """A line for people on stderr; `text` is safe already."""
    click.echo(click.style(text, fg=colour) if colour and coloured(sys.stderr) else text, err=True)


def coloured(stream: Any) -> bool:
    """Whether colour may go to `stream`."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and stream.isatty()


def on_terminal() -> bool:
    """Whether stdout is a terminal."""
    return sys.stdout.isatty()


def console(*, err: bool = False) -> Console:
    """rich's console on stdout or stderr, without markup, emoji codes or highlighting of what it is given."""
    from rich.console import Console

    stream = sys.stderr if err else sys.stdout
    terminal = stream.isatty()
    return Console(
        file=stream,
        markup=False,
        emoji=False,
        highlight=False,
        no_color=not coloured(stream) or None,
        force_terminal=terminal,
        width=None if terminal else PIPE_WIDTH,
        legacy_windows=False,
    )


def screen(*, tried: bool = False) -> Screen:
    """Where stdout is seen; `tried` for what a dry run answers."""
    from .grid import Screen

    drawn_on = console()
    return Screen(width=drawn_on.width, now=time.time(), terminal=drawn_on.is_terminal, tried=tried)


def show(*parts: RenderableType) -> None:
    """Draw for people on stdout, one part below the other."""
    drawn_on = console()
    for part in parts:
        drawn_on.print(part)


def error_document(code: str, message: str, hint: str | None, retryable: bool, details: object) -> str:
    """The one line of an error with `--json`."""
    error = {"code": code, "message": message, "hint": hint, "retryable": retryable, "details": details or {}}
    return json_text({"error": error})


def report(error: MarketError, *, as_json: bool) -> None:
    """An error on stderr: a line and its hint, then each problem of a file; or one line of JSON."""
    if as_json:
        talk(error_document(error.code, error.message, error.hint, error.retryable, error.details))
        return
    talk(f"error: {safe(error.message)}", colour="red")
    for problem in _problems(error.details):
        talk("  " + safe(problem))
    if error.hint:
        talk(f"hint: {safe(error.hint)}")


def _problems(details: Mapping[str, Any]) -> Iterable[str]:
    """The bad rows of an imported file, one line each."""
    for problem in details.get("problems") or ():
        if not isinstance(problem, Mapping):
            continue
        where = ", ".join(f"{name} {problem[name]}" for name in ("row", "column") if problem.get(name) is not None)
        hint = f" ({problem['hint']})" if problem.get("hint") else ""
        yield f"{where}: {problem.get('problem', '')}{hint}"
