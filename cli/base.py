"""What every command has: the global options on both sides of the verb, and examples first in its help.

Rules. `--home`, `--json`, `--fields` and `--jsonl` mean the same before and after the verb. Values that only the daemon
can judge (ids, categories, regions) are passed on as typed. Nothing is asked: a value is an option or an argument.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from p2pmarket.errors import BadInput

from .examples import write_examples

if TYPE_CHECKING:
    from p2pmarket.api.types import Problem
    from p2pmarket.client import Client

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(slots=True)
class App:
    """What the command line said about the whole run."""

    home: Path | None = None
    json: bool = False
    jsonl: bool = False
    fields: tuple[str, ...] = ()
    key: str | None = None
    dry_run: bool = False

    @property
    def for_programs(self) -> bool:
        """Whether a program reads the output."""
        return self.json or self.jsonl

    def client(self) -> Client:
        """A client of the daemon of this home; raises NoDaemon."""
        import os

        from p2pmarket.client import connect
        from p2pmarket.config import home_folder

        client = connect(home_folder(self.home, os.environ))
        client.dry_run = self.dry_run
        return client

    def emit(self, document: object, **more: object) -> None:
        """Print a reply: as JSON if asked for, else as its view draws it, which may need `more`."""
        if self.for_programs:
            self.emit_json(document)
            return
        from . import output, views

        if self.dry_run:
            output.write("Dry run: nothing was signed, sent or kept. This is what would be:")
        output.show(*views.draw(document, output.screen(tried=self.dry_run), **more))
        if self.dry_run:
            output.talk("This was a dry run: nothing was signed, sent or kept.")

    def emit_json(self, document: object) -> None:
        """Print a document as JSON, of it only `--fields` if given."""
        from . import output

        if self.fields:
            document = output.pick(output.plain(document), self.fields)
        output.write(output.json_text(document, indent=0 if self.jsonl else 2))

    def emit_json_or(self, document: object, *lines: str | None) -> None:
        """Print a document as JSON if asked for, else these lines."""
        if self.for_programs:
            self.emit_json(document)
            return
        from . import output
        from .safe import safe

        for line in filter(None, lines):
            output.write(safe(line))

    @property
    def watched(self) -> bool:
        """Whether a person sees stdout."""
        return not self.for_programs and sys.stdout.isatty()

    def warn(self, problems: Sequence[Problem]) -> None:
        """Say on stderr what is in the way, and what to do, if nobody reads it from the document."""
        if self.for_programs:
            return
        from . import output
        from .safe import safe

        for problem in problems:
            output.talk(f"! {safe(problem.message)}", colour="red")
            output.talk(f"  do: {safe(problem.hint)}")

    def seen(self, client: Client, ids: list[str]) -> None:
        """Tell that a person has looked at these, if one has."""
        if ids and self.watched:
            from p2pmarket.api.types.bodies import MarkSeen

            client.inbox_seen(MarkSeen(ids=ids))

    def more(self, cursor: str | None) -> None:
        """Say how to get the next page, if there is one and nobody reads it from the document."""
        if cursor is not None and not self.for_programs:
            from . import output

            output.talk(f"There is more: {_next_page(click.get_current_context(), cursor)}")


def _next_page(ctx: click.Context, cursor: str) -> str:
    """The command as it was typed, at the next page: its filters belong to the cursor."""
    import shlex

    words = [ctx.command_path]
    if (home := _app(ctx).home) is not None:
        words += ["--home", shlex.quote(str(home))]
    for name, value in ctx.params.items():
        if isinstance(value, tuple):
            words += [shlex.quote(word) for word in value]
        elif value is not None and name != "cursor":
            words += [f"--{name}", shlex.quote(str(value))]
    return " ".join([*words, "--cursor", shlex.quote(cursor)])


pass_app = click.make_pass_decorator(App, ensure=True)


def _app(ctx: click.Context) -> App:
    return ctx.find_root().ensure_object(App)


def _set_home(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    if value is not None:
        _app(ctx).home = Path(value)


def _set_json(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    _app(ctx).json |= value


def _set_jsonl(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    _app(ctx).jsonl |= value


def _set_fields(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    if value is not None:
        names = tuple(name.strip() for name in value.split(",") if name.strip())
        if not names:
            raise click.BadParameter("name at least one field, as in --fields id,state")
        _app(ctx).fields, _app(ctx).json = names, True


def _set_key(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    if value is not None:
        _app(ctx).key = value


def _set_dry_run(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    _app(ctx).dry_run |= value


def global_options(*, hidden: bool = False, streams: bool = True, endless: bool = False) -> list[click.Parameter]:
    """`--home`, `--json`, `--fields`, `--jsonl`: fresh options, for the group and for every command.

    An `endless` command never has one document: with `--json` too it prints one a line.
    """
    as_json = "The same as --jsonl: this has no end." if endless else "Print one JSON document."
    options: list[click.Parameter] = [
        click.Option(
            ["--home"],
            metavar="DIR",
            expose_value=False,
            callback=_set_home,
            help="Folder of the identity. [default: MARKET_HOME]",
        ),
        click.Option(["--json"], is_flag=True, expose_value=False, callback=_set_json, help=as_json),
        click.Option(
            ["--fields"],
            metavar="A,B",
            expose_value=False,
            callback=_set_fields,
            help="With these fields only (implies --json).",
        ),
    ]
    jsonl = click.Option(
        ["--jsonl"],
        is_flag=True,
        expose_value=False,
        callback=_set_jsonl,
        hidden=not streams,
        help="Print one JSON document a line, as it happens.",
    )
    options.append(jsonl)
    for option in options:
        if isinstance(option, click.Option) and hidden:
            option.hidden = True
    return options


class Whole(click.IntRange):
    """A whole number within bounds, which says what it expects."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Raises click.BadParameter."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            expected = f"from {self.min} to {self.max}" if self.max is not None else f"of at least {self.min}"
            self.fail(f"{value!r} is not a whole number {expected}", param, ctx)


def _writing_options() -> list[click.Parameter]:
    """What every command that changes something has."""
    return [
        click.Option(
            ["--dry-run"],
            is_flag=True,
            expose_value=False,
            callback=_set_dry_run,
            help="Show what would be done, and do nothing.",
        ),
        click.Option(
            ["--idempotency-key"],
            metavar="K",
            expose_value=False,
            callback=_set_key,
            help="The same key again repeats the answer, not the deed.",
        ),
    ]


@contextmanager
def _of_command(ctx: click.Context) -> Iterator[None]:
    try:
        yield
    except click.UsageError as error:
        error.ctx = error.ctx or ctx
        raise
    except BadInput as error:
        if error.hint == BadInput.default_hint:
            error.hint = f"The examples show how things are written: {ctx.command_path} --help"
        raise


class MarketCommand(click.Command):
    """A command with the global options, whose help begins with its examples."""

    def __init__(
        self,
        name: str | None,
        *,
        examples: str = "",
        writes: bool = False,
        streams: bool = False,
        endless: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(name, **kwargs)
        self.examples = examples
        if writes:
            known = {param.name for param in self.params}
            self.params.extend(option for option in _writing_options() if option.name not in known)
        self.params.extend(global_options(streams=streams, endless=endless))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does it, but every error knows whose help says more."""
        with _of_command(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """The same for what the command itself finds wrong."""
        with _of_command(ctx):
            return super().invoke(ctx)

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Examples first: they answer most questions."""
        write_examples(self.examples, formatter)
        super().format_help_text(ctx, formatter)


class NearestGroup(click.Group):
    """A group that names the nearest command when there is none of that name."""

    command_class = MarketCommand

    def __init__(self, *args: Any, examples: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples
        self.params.extend(global_options(hidden=True))

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Examples first, as with commands."""
        write_examples(self.examples, formatter)
        super().format_help_text(ctx, formatter)


def pages(command: F) -> F:
    """`--limit` and `--cursor` for a listing; hands on `limit` and `cursor`."""
    command = click.option("--cursor", metavar="C", help="Go on where the last page ended.")(command)
    return click.option("--limit", type=Whole(1, 500), metavar="N", help="How many at most.")(command)
