"""Counters, notes, named files and the address book as people see them. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from p2pmarket.api import types as t

from . import values as v
from .grid import (
    BOLD,
    DIM,
    GOOD,
    SENT,
    WARN,
    WOULD_SEND,
    Cell,
    Column,
    Screen,
    ago,
    count,
    grid,
    heading,
    next_step,
    outcome,
    pairs_of,
    short_id,
    until,
    when,
)
from .safe import safe_lines


def said(text: str) -> list[Text]:
    """A peer's words, marked as quoted on every line."""
    return [heading(("│ ", DIM), line) for line in safe_lines(text)]


def differences_view(changes: Sequence[t.Difference], screen: Screen) -> RenderableType:
    """What changes, from what to what."""
    if not changes:
        return heading("Nothing but the time it is good for changes.")
    columns = [Column("what", least=8), Column("before", least=8), Column("now", least=8)]
    rows: list[list[Cell]] = [[one.what, one.before or "-", (one.after or "-", BOLD)] for one in changes]
    return grid(screen, columns, rows)


def counter_view(counter: t.Counter, screen: Screen) -> RenderableType:
    """A counter: what the buyer wants instead, and what became of it."""
    facts: list[tuple[str, Cell]] = [
        ("counter", (counter.id, BOLD)),
        ("state", v.styled(counter.state)),
        ("to quote", f"{counter.quote}, version {counter.version}"),
        ("seller", v.peer(counter.seller)),
        ("sent", when(screen, counter.issued_at)),
        ("good until", until(screen, counter.valid_until)),
        ("total", (v.money(counter.total), BOLD)),
        ("delivers", v.delivery(counter.delivery)),
        ("payment", v.plan(counter.payment)),
        ("declined", v.word(counter.reason)),
        ("said", counter.reply or ""),
    ]
    parts = [pairs_of(screen, facts), Text(""), differences_view(counter.differences, screen)]
    return Group(*parts, *([Text(""), *said(counter.text)] if counter.text else []))


def countered_view(reply: t.CounterReply, screen: Screen) -> tuple[RenderableType, ...]:
    """Answer to `market counter`, from either side."""
    note = outcome(screen, reply.created, SENT, would=WOULD_SEND, again="This counter was sent before.")
    parts: list[RenderableType] = []
    if reply.counter is not None:
        parts += [counter_view(reply.counter, screen), Text(""), note]
        parts += next_step(screen, "the seller answers with a new version, or declines; market watch")
    if reply.quote is not None:
        head: list[tuple[str, Cell]] = [
            ("quote", (reply.quote.id, BOLD)),
            ("version", str(reply.quote.version)),
            ("total", (v.money(reply.quote.total), BOLD)),
            ("valid until", until(screen, reply.quote.valid_until)),
        ]
        parts += [
            pairs_of(screen, head),
            Text(""),
            differences_view(reply.differences, screen),
            Text(""),
            note,
        ]
    return tuple(parts) or (note,)


def amended_view(reply: t.AmendReply, screen: Screen) -> tuple[RenderableType, ...]:
    """An order that went back to its buyer as a new version."""
    facts: list[tuple[str, Cell]] = [
        ("order", (reply.order.id, BOLD)),
        ("state", v.styled(reply.order.state)),
        ("now offered", (reply.quote.id, BOLD)),
        ("total", (v.money(reply.quote.total), BOLD)),
        ("valid until", until(screen, reply.quote.valid_until)),
    ]
    return (
        pairs_of(screen, facts),
        Text(""),
        differences_view(reply.differences, screen),
        Text(""),
        outcome(screen, reply.created, SENT, would=WOULD_SEND),
        *next_step(screen, "the buyer orders the new version, or lets it go"),
    )


def note_parts(note: t.Note, screen: Screen) -> list[RenderableType]:
    """A note: who, when, about what, the words, the files."""
    who = "you" if note.sender == "me" else v.peer(note.peer)
    to = f" to {v.peer(note.peer)}" if note.sender == "me" else ""
    way = f", {v.word(note.delivery)}" if note.delivery else ""
    head = heading(
        (f"{short_id(screen, note.id)}  ", BOLD),
        f"{who}{to}, {when(screen, note.issued_at)}{way}, about {short_id(screen, note.about)}",
    )
    parts: list[RenderableType] = [head, *(said(note.text) if note.text else [])]
    parts += [
        heading(("  file ", DIM), f"{one.name}, {count(one.size, 'byte')}, SHA-256 {one.sha256}")
        for one in note.attachments
    ]
    if note.introduces:
        parts.append(heading(("  says who the buyer is: ", DIM), note.introduces))
    return parts


def notes_view(notes: Sequence[t.Note], screen: Screen) -> RenderableType:
    """A talk, the oldest first."""
    return Group(*(part for note in notes for part in note_parts(note, screen)))


def noted_view(reply: t.NotesReply, screen: Screen) -> tuple[RenderableType, ...]:
    """Answer to `market note`."""
    notes = count(len(reply.notes), "note")
    again = "This was said before: nothing was sent twice."
    sent = outcome(screen, reply.created, f"{notes} on the way.", would=f"{notes} would be sent", again=again)
    files = any(note.attachments for note in reply.notes)
    hand = [heading(("Files do not travel: ", DIM), "hand them over; the other side checks them with --check FILE")]
    return (notes_view(reply.notes, screen), sent, *(hand if files else []))


def file_view(reply: t.FoundFile, screen: Screen, *, name: str = "") -> tuple[RenderableType, ...]:
    """Whether a file is one that somebody named."""
    if not reply.notes:
        return (heading(("No note names this file: ", WARN), f"SHA-256 {reply.sha256}"),)
    names = {one.name for note in reply.notes for one in note.attachments if one.sha256 == reply.sha256}
    return (
        heading(("This is the file ", GOOD), f"{', '.join(sorted(names))}; it is named by:"),
        notes_view(reply.notes, screen),
    )


def seen_view(reply: t.Seen, screen: Screen) -> RenderableType:
    """How many senders are told."""
    if not reply.seen:
        return heading(("Their senders knew it already.", DIM))
    senders = count(reply.seen, "sender")
    done, would = f"{senders} will be told that you have seen it.", f"{senders} would be told that you have seen it"
    return outcome(screen, True, done, would=would)


def contacts_view(reply: t.Contacts, screen: Screen) -> RenderableType:
    """The address book."""
    if not reply.contacts:
        return heading("The address book is empty. Add somebody: market contacts add PEER [NAME]")
    columns = [
        Column("name", least=8), Column("fingerprint"), Column("calls himself", least=6, goes=3),
        Column("sells", least=8, goes=2), Column("deals", right=True), Column("added", goes=1),
        Column("key", least=12, goes=4),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [
            (one.name, BOLD),
            one.fingerprint,
            one.announced_name or "",
            ", ".join(one.categories),
            str(one.deals),
            ago(screen, one.added_at),
            one.key,
        ]
        for one in reply.contacts
    ]
    return grid(screen, columns, rows)


def contact_view(reply: t.ContactReply, screen: Screen) -> tuple[RenderableType, ...]:
    """A change of the address book."""
    one = reply.contact
    facts: list[tuple[str, Cell]] = [("name", (one.name, BOLD)), ("fingerprint", one.fingerprint), ("key", one.key)]
    if reply.removed:
        done, would = "Removed: he is a stranger to your next requests.", "he would be a stranger to your next requests"
        return (pairs_of(screen, facts), outcome(screen, True, done, would=would))
    done = "Kept. He sees who you are in your requests, unless you say --anonymous."
    would = "he would see who you are in your requests"
    return (pairs_of(screen, facts), outcome(screen, reply.created, done, would=would, again="He was there already."))
