"""docs/protocol.md says what the tables and the reasons are: it is compared, so it cannot fall behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2pmarket.trade import check, tables
from p2pmarket.trade.documents import KINDS, LETTERS, NAMES

PROTOCOL = (Path(__file__).resolve().parent.parent / "docs" / "protocol.md").read_text()


def table_of(machine: tables.Machine) -> str:
    """A machine as in the paper: one row per event and target, events in the order in which a set is walked."""
    rows: dict[tuple[str, str], list[str]] = {}
    for (state, event), to in machine.moves.items():
        rows.setdefault((event, to), []).append(state)
    order = [*machine.order, *sorted({event for event, _ in rows} - set(machine.order))]
    body = [
        f"| {event} | {', '.join(states)} | {to} |"
        for wanted in order
        for (event, to), states in rows.items()
        if event == wanted
    ]
    return "\n".join(["| event | from | to |", "|---|---|---|", *body])


@pytest.mark.parametrize("machine", tables.MACHINES.values(), ids=lambda machine: machine.name)
def test_the_tables_are_in_the_paper(machine: tables.Machine) -> None:
    assert f"begins as *{machine.start}*.\n\n{table_of(machine)}\n" in PROTOCOL


@pytest.mark.parametrize("reason", check.REASONS)
def test_the_reasons_are_in_the_paper(reason: str) -> None:
    assert f"| `{reason}` | {check.REASONS[reason]} |" in PROTOCOL


@pytest.mark.parametrize("kind", KINDS)
def test_the_kinds_are_in_the_paper(kind: int) -> None:
    letter = f"`{LETTERS[kind]}-`" if kind in LETTERS else ""
    assert f"| {kind} | {NAMES[kind]} | {letter} |" in PROTOCOL
