"""Reading the tables carried in `p2pmarket/data`.

Rules: a table is tab separated UTF-8 text, one entry a line; it is read when first asked for, never at import, so
that a command that needs no table pays for none. Big tables stay one string that is scanned (a dict of 9,458 labels
would cost a daemon megabytes for nothing); small ones become dictionaries in the module that knows their columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache


@cache
def table(name: str) -> str:
    """The text of one table, kept once read."""
    from importlib.resources import files  # slow to import, and most commands need no table

    return (files("p2pmarket.data") / name).read_text(encoding="utf-8")


def rows(name: str) -> Iterator[list[str]]:
    """The cells of each line."""
    for line in table(name).splitlines():
        yield line.split("\t")
