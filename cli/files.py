"""Files that people name: read and written here, each failure an error with its reason.

Rules. `-` is standard input or output. What is written replaces the file at once or not at all.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from p2pmarket import limits
from p2pmarket.errors import BadInput


def read(name: str, *, most: int = limits.IMPORT_BYTES) -> bytes:
    """The bytes of a file, `-` standard input; raises BadInput for what cannot be read or is above `most` bytes."""
    try:
        if name == "-":
            data = sys.stdin.buffer.read(most + 1)
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


def write(name: str, data: bytes) -> None:
    """Write a file whole, `-` standard output; raises BadInput if it cannot be written."""
    if name == "-":
        click.echo(data, nl=False)
        return
    path = Path(name)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise BadInput(f"cannot write {name}: {error.strerror or error}", hint="Choose another with -o FILE") from None


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
