"""Bodies of the routes about backups and about going on after a restore."""

from __future__ import annotations

from p2pmarket.api.types.bodies import Body

__all__ = ["CopyLedger", "Resume"]


class CopyLedger(Body, frozen=True, kw_only=True):
    """Copy the ledger for a backup."""


class Resume(Body, frozen=True, kw_only=True):
    """Open a thread (any id in it) or all; `this_machine`: the other machine is stopped for good, go on here."""

    id: str | None = None
    all: bool = False
    this_machine: bool = False
