"""Answers about backups and about going on after a restore."""

from __future__ import annotations

from p2pmarket.api.types.values import Reply

__all__ = ["LedgerCopy", "Resumed"]


class LedgerCopy(Reply, frozen=True, kw_only=True):
    """A copy of the ledger, as of `made_at`, in the file `path` of mode 0600; whoever asked for it removes it."""

    path: str
    bytes: int
    home: str
    network: str
    identity: str
    made_at: str


class Resumed(Reply, frozen=True, kw_only=True):
    """`threads`: how many were opened; with `this_machine`, how many wait for what the other machine signed."""

    threads: int
    this_machine: bool
