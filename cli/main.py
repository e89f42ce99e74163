"""`market`: the group of commands, and the way from an error to an exit code.

Rules. A command's module is imported when the command runs, so that the answer to `market --version` costs nothing
else. Errors become exit codes here and nowhere else: 0 done, 1 failed, 2 usage, 3 no daemon, 4 not allowed,
5 not found, 6 reply-by passed with no quote, 7 the other side refused, 8 still open when the time-out came, 9 wrong
state, 65 bad input data, 130 interrupted, 143 terminated. A reader that closes the pipe has had enough: that is no
error.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

import click

from p2pmarket.errors import MarketError

from .base import App, NearestGroup
from .streams import CannotWrite, ReaderLeft, guarded

# Family, then command: module, name in it, what `market --help` says.
COMMANDS: dict[str, dict[str, tuple[str, str, str]]] = {
    "Buying": {
        "request": ("request", "request", "Ask sellers for quotes, and watch the answers come."),
        "requests": ("buy", "requests", "What you asked for, open and closed."),
        "quotes": ("buy", "quotes", "The quotes of a request side by side."),
        "counter": ("talk", "counter", "Say what you want instead of a quote; as its seller, what you offer."),
        "order": ("buy", "order", "Order a quote, whole or in part."),
        "close": ("buy", "close", "End a request: ask no further sellers."),
    },
    "Selling": {
        "announce": ("announce", "announce", "Become findable in a category."),
        "announcements": ("announce", "announcements", "What you announce, and who holds it."),
        "withdraw": ("announce", "withdraw", "Take back an announcement or a quote."),
        "inbox": ("sell", "inbox", "What waits for you, and what you can do."),
        "quote": ("sell", "quote", "Answer a request with prices."),
        "decline": ("sell", "decline", "Answer a request with a no and its reason."),
        "amend": ("talk", "amend", "Accept an order with changes: the buyer has the next word."),
        "accept": ("sell", "accept", "Accept an order: from then on it is a deal."),
        "reject": ("sell", "reject", "Reject an order, with a reason."),
        "prices": ("prices", "prices", "The price list that answers requests by itself."),
    },
    "Both": {
        "deals": ("deals", "deals", "All deals: state, whose turn it is, until when."),
        "show": ("deals", "show", "Anything that has an id."),
        "export": ("deals", "export", "A deal as a file that anyone can check."),
        "verify": ("deals", "verify", "Check an exported deal, without a daemon."),
        "change": ("fulfil", "change", "Propose to change a deal; accept or refuse such a change."),
        "cancel": ("fulfil", "cancel", "Propose to end a deal or order; accept or refuse that."),
        "despatch": ("fulfil", "despatch", "Tell the buyer that goods have left."),
        "receive": ("fulfil", "receive", "Tell the seller what came, and how."),
        "invoice": ("pay", "invoice", "Bill a deal, an instalment or what was sent."),
        "credit": ("pay", "credit", "Give back part or all of an invoice."),
        "pay": ("pay", "pay", "Tell the seller that you have paid; the link to pay by."),
        "confirm-payment": ("pay", "confirm_payment", "Say that money came, or did not."),
        "refund": ("pay", "refund", "Tell the buyer that money goes back."),
        "rate": ("quarrel", "rate", "Rate the other side of a deal."),
        "ratings": ("quarrel", "ratings", "What others say of somebody, your contacts first."),
        "dispute": ("quarrel", "dispute", "Quarrel about a deal in signed steps; judge one as its referee."),
        "import": ("quarrel", "import_file", "Take a referee's opinion, or a proof, from a file."),
        "proofs": ("quarrel", "proofs", "Who signed two documents where one was allowed."),
        "note": ("talk", "note", "Talk about a request, quote or deal; name files by hash."),
        "ack": ("talk", "ack", "Tell the sender that you have seen something."),
        "contacts": ("talk", "contacts", "The address book: who sees who you are."),
        "watch": ("watch", "watch", "Events as they come; with --notify they ring."),
        "categories": ("node", "categories", "Find a category by words in any language."),
    },
    "This peer": {
        "id": ("node", "identity", "Who you are to others."),
        "profile": ("profile", "profile", "What others are told about you, and when."),
        "status": ("node", "status", "Are you seen; what waits; what is wrong."),
        "doctor": ("node", "doctor", "Check everything, and say what to do."),
        "peers": ("node", "peers", "Who is connected."),
        "backup": ("moving", "backup", "Write all that you are into one file."),
        "restore": ("moving", "restore", "Make an identity's folder from a backup."),
        "resume": ("moving", "resume", "After a restore: go on where the other side is missing."),
        "debug": ("debug", "debug", "Look at wire messages."),
    },
}
_FLAT = {name: entry for family in COMMANDS.values() for name, entry in family.items()}


class Market(NearestGroup):
    """The commands, imported one at a time."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the help."""
        return list(_FLAT)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of one command."""
        if cmd_name not in _FLAT:
            return None
        module, attribute, _ = _FLAT[cmd_name]
        command = getattr(import_module(f".{module}", __package__), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, but with the names of commands not yet imported among the suggestions."""
        if args[0] not in _FLAT and not args[0].startswith("-"):
            raise click.NoSuchCommand(args[0], possibilities=list(_FLAT), ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """By family, from the table above: no command is imported for it."""
        for family, commands in COMMANDS.items():
            with formatter.section(family):
                formatter.write_dl([(name, text) for name, (_, _, text) in commands.items()], col_max=16)
        with formatter.section("Exit codes"):
            formatter.write_text(
                "0 done, 1 failed, 2 usage, 3 no daemon, 4 not allowed, 5 not found, 6 reply-by passed with no quote, "
                "7 refused by the other side, 8 still open at the time-out, 9 wrong state, 65 bad input, "
                "130 interrupted, 143 terminated"
            )


def _print_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"market {version('p2pmarket')}")
        ctx.exit()


@click.group(
    cls=Market,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    examples="""
        marketd                                           # the daemon: first of all
        market announce coffee/roasted --serves KR        # become findable
        market request coffee/roasted "20 kg Yirgacheffe" # ask, see the quotes
        market quotes r-k3f7                              # compare them
        market order q-m2xw                               # order one
    """,
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="The version."
)
def market() -> None:
    """Ask sellers for quotes, compare, order. Every command talks to the daemon of one folder (--home)."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    args = list(sys.argv[1:] if argv is None else argv)
    with guarded():
        try:
            code = _run(args)
            sys.stdout.flush()
        except ReaderLeft:
            return 0
        except CannotWrite as error:  # what was printed last; _run has met with all that was before
            return _report(error, args)
    return code


def _run(args: Sequence[str]) -> int:
    as_json = _is_json(args)
    try:
        result = market.main(args, prog_name="market", standalone_mode=False, obj=App())
    except MarketError as error:
        return _report(error, args)
    except click.UsageError as error:
        _report_usage(error, as_json=as_json)
        return 2
    except (KeyboardInterrupt, click.Abort):
        return 130
    except click.ClickException as error:
        from .output import error_document, talk
        from .safe import safe

        message = error.format_message()
        talk(error_document("failed", message, None, False, None) if as_json else f"error: {safe(message)}")
        return error.exit_code
    return result if isinstance(result, int) else 0


def _is_json(args: Sequence[str]) -> bool:
    before = args[: args.index("--")] if "--" in args else args
    return any(arg in {"--json", "--jsonl", "--fields"} or arg.startswith("--fields=") for arg in before)


def _report(error: MarketError, args: Sequence[str]) -> int:
    from .output import report

    report(error, as_json=_is_json(args))
    return error.exit_code


def _report_usage(error: click.UsageError, *, as_json: bool) -> None:
    from .output import error_document, talk
    from .safe import safe

    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return
    path = error.ctx.command_path if error.ctx is not None else "market"
    hint = f"See: {path} --help"
    message = " ".join(error.format_message().split())  # click breaks the line before each choice
    if as_json:
        talk(error_document("usage", message, hint, False, None))
        return
    talk(f"error: {safe(message)}", colour="red")
    talk(f"hint: {hint}")


if __name__ == "__main__":
    sys.exit(main())
