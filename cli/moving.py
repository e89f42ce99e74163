"""`market backup`, `restore`, `resume`: moving to another machine, with deals in flight."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from p2pmarket.errors import BadInput

from . import files
from .base import App, MarketCommand, pass_app
from .files import FORCE

PRIVATE = 0o600  # a backup has the keys in it
LOCKED = click.option(
    "--passphrase-file", metavar="FILE", help="The passphrase is the first line of this file (- reads it from stdin)."
)


@click.command(
    "backup",
    cls=MarketCommand,
    examples="""
        market backup shop.backup                              # asks for a passphrase
        market backup shop.backup --passphrase-file pass.txt
        market backup /media/stick/shop.backup --plain         # readable for whoever has the file
        market backup shop.backup --force                      # in the place of an older one
    """,
)
@click.argument("file")
@LOCKED
@click.option("--plain", is_flag=True, help="No passphrase: whoever has the file is you.")
@FORCE
@pass_app
def backup(app: App, /, file: str, passphrase_file: str | None, plain: bool, force: bool) -> None:
    """Write all that you are into one FILE: identity, settings, and every signed paper up to this moment."""
    from p2pmarket.api.types.bodies_moving import CopyLedger
    from p2pmarket.restore import write_backup

    if plain and passphrase_file is not None:
        raise click.UsageError("--plain takes no passphrase")
    files.check_target(file, force=force)
    passphrase = None if plain else _passphrase(passphrase_file, confirm=True)
    copy = app.client().ledger_copy(CopyLedger())
    source, folder = Path(copy.path), Path(copy.home)
    try:
        with files.opened(file, force=force, mode=PRIVATE) as out:
            size = write_backup(folder, source, out, copy.network, _seconds(copy.made_at), passphrase)
    finally:
        source.unlink(missing_ok=True)
    app.emit_json_or(
        {"file": str(Path(file).absolute()), "bytes": size, "identity": copy.identity, "made_at": copy.made_at},
        f"{file}: {size / 1024:,.0f} KiB, all papers up to {copy.made_at}",
        None if plain else "Keep the passphrase elsewhere: without it nobody can open the file.",
    )


@click.command(
    "restore",
    cls=MarketCommand,
    examples="""
        market restore shop.backup --home ~/.shop
        market restore shop.backup --home ~/.shop --passphrase-file pass.txt
    """,
)
@click.argument("file")
@LOCKED
@pass_app
def restore(app: App, /, file: str, passphrase_file: str | None) -> None:
    """Make the folder of an identity (--home) from a backup FILE; no daemon runs there yet.

    Stop the daemon of the old machine first. Threads of before are read-only until the other side has returned what
    the backup lacks.
    """
    from p2pmarket.backup import read_header_untrusted
    from p2pmarket.config import home_folder, start_command
    from p2pmarket.keys import did_key
    from p2pmarket.restore import empty_home, restore_home
    from p2pmarket.vocab.deadlines import instant_text

    source, home = Path(file), home_folder(app.home, os.environ)
    try:
        with source.open("rb") as head:
            header, _ = read_header_untrusted(head)
    except OSError as error:
        raise BadInput(f"cannot read {file}: {error.strerror or error}", hint="Is the path right?") from None
    with empty_home(home):  # said before a passphrase is asked for
        pass
    restore_home(home, source, _passphrase(passphrase_file, confirm=False) if header.salt else None)
    made_at = instant_text(header.made_at)
    network = () if header.network == "main" else ("--network", header.network)
    app.emit_json_or(
        {"home": str(home), "identity": did_key(header.identity), "network": header.network, "made_at": made_at},
        f"{home} is {did_key(header.identity)} again, as of {made_at}.",
        f"Start it: {start_command(home, *network)}; never run the old machine's daemon again",
    )


@click.command(
    "resume",
    cls=MarketCommand,
    writes=True,
    examples="""
        market resume d-k3f7             # this deal lacks nothing: go on before the other side has said so
        market resume --this-machine     # the other machine is stopped for good
    """,
)
@click.argument("id_", metavar="[ID]", required=False)
@click.option("--all", "all_", is_flag=True, help="All threads that are read-only.")
@click.option("--this-machine", is_flag=True, help="Two machines had this identity: this one goes on.")
@pass_app
def resume(app: App, /, id_: str | None, all_: bool, this_machine: bool) -> None:
    """After a restore: sign again in a thread that waits for the other side, or as the only machine."""
    from p2pmarket.api.types.bodies_moving import Resume

    if sum([id_ is not None, all_, this_machine]) != 1:
        raise click.UsageError("name one ID, or --all, or --this-machine")
    reply = app.client().resume(Resume(id=id_, all=all_, this_machine=this_machine), key=app.key)
    would = "wait for what the other machine signed" if this_machine else "be open again"
    will = f"Dry run: {reply.threads} threads would" if app.dry_run else f"{reply.threads} threads will"
    app.emit_json_or(reply, f"{will} {would}")


def _passphrase(file: str | None, *, confirm: bool) -> str:
    if file is not None:
        try:
            lines = files.read(file, most=4096).decode().splitlines()
        except UnicodeDecodeError:
            raise BadInput(f"{file} is no text", hint="The passphrase is its first line, in UTF-8") from None
        if not lines or not lines[0]:
            raise BadInput(f"{file} holds no passphrase", hint="Its first line is the passphrase")
        return lines[0]
    if not sys.stdin.isatty():
        raise click.UsageError("no terminal to ask for the passphrase: give --passphrase-file FILE")
    return str(click.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm, err=True))


def _seconds(instant: str) -> int:
    from datetime import datetime

    return int(datetime.fromisoformat(instant).timestamp())
