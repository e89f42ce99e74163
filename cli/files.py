"""Files that people name: read and written here, each failure an error with its reason.

Rules. `-` is standard input or output. A file that is there is overwritten only with `--force`, and then at once or not
at all; of a symbolic link what it points to is written, and the link stays. A device, a pipe or whatever else is no
regular file is written to and never replaced.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import click

from p2pmarket import limits
from p2pmarket.errors import BadInput, WrongState

F = TypeVar("F", bound=Callable[..., Any])
FORCE = click.option("--force", is_flag=True, help="Overwrite the file if it is there.")
SHARED = 0o666  # what the umask leaves of it


def output_option(help_: str) -> Callable[[F], F]:
    """`-o FILE` and `--force`; hands on `target` and `force`."""

    def both(command: F) -> F:
        named = click.option("-o", "--output", "target", metavar="FILE", help=help_)
        return named(FORCE(command))

    return both


def read(name: str, *, most: int = limits.IMPORT_BYTES) -> bytes:
    """The bytes of a file, `-` standard input; raises BadInput for what cannot be read or is above `most` bytes."""
    try:
        if name == "-":
            data = b"" if sys.stdin is None else sys.stdin.buffer.read(most + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(most + 1)
    except OSError as error:
        raise BadInput(f"cannot read {name}: {error.strerror or error}", hint="Is the path right?") from None
    if len(data) > most:
        raise BadInput(f"{name} is larger than {most // limits.KIB} KiB", hint="Split it")
    return data


def named_file(name: str) -> Any:
    """A file by its name, size and SHA-256, read piece by piece; raises BadInput if it cannot be read."""
    import hashlib
    import mimetypes

    from p2pmarket.api.types.bodies_talk import NamedFile

    path = Path(name)
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
    except OSError as error:
        raise BadInput(f"cannot read {name}: {error.strerror or error}", hint="Is the path right?") from None
    shown = path.name[-limits.NAME_CHARS :] or "file"
    return NamedFile(name=shown, size=size, sha256=digest, media=mimetypes.guess_type(path.name)[0])


def check_target(name: str | None, *, force: bool) -> None:
    """Before anything is done. Raises WrongState for a file that is there, BadInput for what cannot be written."""
    if name is not None and name != "-":
        with _told(name):
            _status(name, force=force)


def write(name: str, data: bytes, *, force: bool = False) -> None:
    """Write a file whole, `-` standard output; raises WrongState, and BadInput if it cannot be written."""
    if name == "-":
        click.echo(data, nl=False)
        return
    with opened(name, force=force) as file:
        file.write(data)


@contextmanager
def opened(name: str, *, force: bool, mode: int = SHARED) -> Iterator[BinaryIO]:
    """A file to write: under its name once it is whole and on disk. Raises WrongState, and BadInput on any failure."""
    with _told(name):
        there = _status(name, force=force)
        if there is not None and not stat.S_ISREG(there.st_mode):
            with open(name, "wb", opener=_present) as file:
                yield file
        else:
            kept = SHARED if there is None else stat.S_IMODE(there.st_mode)
            with _replacing(Path(os.path.realpath(name)), mode & kept) as file:
                yield file


@contextmanager
def _told(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = "Choose another place"
        raise BadInput(f"cannot write {name}: {error.strerror or error}", hint=hint) from None


def _status(name: str, *, force: bool) -> os.stat_result | None:
    """What is there, at the end of all links; None if there is nothing. Raises WrongState, BadInput, OSError."""
    try:
        there = os.stat(name)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(there.st_mode):
        raise BadInput(f"{name} is a folder", hint="Name a file in it")
    if stat.S_ISREG(there.st_mode) and not force:
        hint = "Choose another name, or overwrite it with --force"
        raise WrongState(f"{name} is there already; nothing was written", hint=hint)
    return there


def _present(name: str, _flags: int) -> int:
    """Open what is there, and make nothing where it has gone."""
    return os.open(name, os.O_WRONLY | os.O_CLOEXEC)


@contextmanager
def _replacing(path: Path, mode: int) -> Iterator[BinaryIO]:
    part = path.with_name(f".{path.name}.{os.urandom(4).hex()}.part")
    try:
        with open(part, "xb", opener=lambda made, flags: os.open(made, flags, mode)) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        _sync(path.parent)
    finally:
        part.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Have the new name on disk too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def plain_name(proposed: str) -> str:
    """A file name in this folder and nowhere else, whatever was proposed."""
    name = "".join(char for char in proposed if char.isascii() and (char.isalnum() or char in "-_."))
    return name.lstrip(".")[:120] or "deal.json"


def mapping(pairs: Sequence[str]) -> dict[str, str]:
    """`--map price="Price (£)"`: our column name to the file's heading."""
    return dict(pair(text, "--map") for text in pairs)


def pair(text: str, option: str) -> tuple[str, str]:
    """`name=value`; raises click.UsageError."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip() or not value.strip():
        raise click.UsageError(f"{option} {text!r}: write NAME=VALUE")
    return name.strip(), value.strip()


def numbered(text: str, option: str) -> tuple[int, str | None]:
    """`N` or `N=VALUE`, the number of a line; raises click.UsageError."""
    number, equals, value = text.partition("=")
    if not number.strip().isdecimal() or not number.isascii() or (equals and not value.strip()):
        raise click.UsageError(f"{option} {text!r}: write the number of a line, as in 2 or 2=5")
    return int(number), value.strip() or None
