"""The examples at the head of every help, as wide as any terminal.

Rules. A line that is too long gets its comment above it, and is broken before an option as a shell takes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import click

WIDTH = 80
_COMMENT = re.compile(r"(?P<command>.*?\S)\s+(?P<comment># .*)")


def write_examples(examples: str, formatter: click.HelpFormatter) -> None:
    """The section of them, if there are any."""
    if not examples:
        return
    with formatter.section("Examples"):
        indent = " " * formatter.current_indent
        for example in examples.strip().splitlines():
            for line in folded(example.strip(), WIDTH - len(indent)):
                formatter.write(f"{indent}{line}\n")


def folded(example: str, width: int) -> Iterator[str]:
    """One example as lines of at most `width`."""
    found = _COMMENT.fullmatch(example)
    if len(example) > width and found is not None:
        yield found["comment"]
        example = found["command"]
    line, *options = re.split(r" (?=--)", example)
    for option in options:
        if len(f"{line} {option} \\") > width:
            yield f"{line} \\"
            line = f"    {option}"
        else:
            line = f"{line} {option}"
    yield line
