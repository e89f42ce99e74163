"""This peer as its owner sees it: who it is, whether others see it, what is wrong and what to do about it.

Rules. Pure: structs of the API in, something rich can draw out. A trouble never stands without its way out.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from p2pmarket.api import types as t

from . import values as v
from .grid import (
    BAD,
    BOLD,
    DIM,
    GOOD,
    WARN,
    Cell,
    Column,
    Screen,
    ago,
    away,
    count,
    grid,
    heading,
    pairs_of,
    short_id,
    when,
)  # fmt: skip

TOLD = {"announced": "with every announcement", "in_an_order": "to the seller, in an order", "not_told": "nobody"}
REACH = {
    "public": "yes",
    "mapped": "yes, through the router",
    "outbound_only": "no: others cannot dial this peer, it dials them",
    "unknown": "not known yet",
}
CLOCK_TOLERANCE_S = 600


def identity_view(identity: t.Identity, screen: Screen) -> RenderableType:
    """Who am I, and what others need to reach me."""
    return pairs_of(
        screen,
        [
            ("name", identity.name or '(none: market profile set name "Your name")'),
            ("fingerprint", (identity.fingerprint, BOLD)),
            ("identity", identity.identity),
            ("contact", identity.contact or "not known yet"),
            *(("", contact) for contact in identity.contacts if contact != identity.contact),
            ("network", identity.network),
            ("home", identity.home),
            ("version", f"{identity.version}, protocol {identity.protocol}"),
        ],
    )


def problems_view(problems: Sequence[t.Problem]) -> list[RenderableType]:
    """Each trouble, and under it what to do."""
    parts: list[RenderableType] = []
    for problem in problems:
        parts.append(heading(("! ", BAD), problem.message))
        if problem.hint:
            parts.append(heading(("  do: ", DIM), problem.hint))
    return parts


def status_view(status: t.Status, screen: Screen) -> tuple[RenderableType, ...]:
    """Troubles first, then the network, what is announced, and what waits."""
    reach = status.reachable
    clock = status.clock_offset_s
    late = clock is not None and abs(clock) > CLOCK_TOLERANCE_S
    network = f"{status.network}, {count(status.dht.contacts, 'known node')}, about {status.dht.estimated_nodes} in all"
    checked = f"by {count(reach.checked_by, 'peer')}, {ago(screen, reach.checked_at)}" if reach.checked_at else ""
    facts = pairs_of(
        screen,
        [
            ("state", v.styled(status.state)),
            ("network", network),
            ("reachable", (REACH[reach.verdict], v.STYLES.get(reach.verdict, ""))),
            ("address", ", ".join(reach.addresses)),
            ("checked", checked),
            ("clock", (f"{clock:+.0f} s against the other peers", BAD if late else "") if clock is not None else ""),
            ("inbox", (f"{count(status.inbox, 'item')} waiting: market inbox", WARN) if status.inbox else "empty"),
            ("outbox", _outbox(status.outbox, screen)),
            ("running", f"since {when(screen, status.started_at)}, version {status.version}"),
        ],
    )  # fmt: skip
    parts: list[RenderableType] = [*problems_view(status.problems), facts]
    if status.announcements:
        parts += [Text(""), announcements_table(status.announcements, screen)]
    return tuple(parts)


def _outbox(outbox: t.Outbox, screen: Screen) -> Cell:
    if not outbox.waiting:
        return "empty"
    since = f", the oldest for {ago(screen, outbox.oldest_at).removesuffix(' ago')}" if outbox.oldest_at else ""
    return (f"{count(outbox.waiting, 'document')} not delivered yet{since}", WARN)


def announcements_table(announcements: Sequence[t.Announcement], screen: Screen) -> RenderableType:
    """What is announced, where, and how many nodes hold it."""
    columns = [
        Column("announcement"), Column("category", least=10), Column("serves", least=6), Column("state"),
        Column("held by", right=True), Column("expires"),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [
            short_id(screen, announcement.id),
            announcement.category,
            ", ".join(announcement.regions),
            v.styled(announcement.state),
            count(announcement.holders, "node"),
            away(screen, announcement.expires_at),
        ]
        for announcement in announcements
    ]
    return grid(screen, columns, rows)


def announcements_view(reply: t.Announcements, screen: Screen) -> RenderableType:
    """All announcements of this peer."""
    if not reply.announcements:
        return heading("Nothing is announced: buyers cannot find you. Announce: market announce CATEGORY")
    return announcements_table(reply.announcements, screen)


def announced_view(reply: t.AnnounceReply, screen: Screen) -> tuple[RenderableType, ...]:
    """The announcement made; what keeps buyers from it is said on stderr."""
    note = "" if reply.created else "It was announced before."
    parts: list[RenderableType] = [announcements_table([reply.announcement], screen)]
    if note:
        parts.append(heading((note, DIM)))
    return tuple(parts)


def doctor_view(doctor: t.Doctor, screen: Screen) -> tuple[RenderableType, ...]:
    """Every check with its result and, if it is not right, what to do."""
    columns = [Column("check"), Column("result"), Column("found", least=12), Column("what to do", least=12)]
    rows: list[list[Cell]] = [
        [v.word(check.name), v.styled(check.state), check.message, check.hint or ""] for check in doctor.checks
    ]
    verdict = ("All is well.", GOOD) if doctor.ok else ("Something needs you.", BAD)
    parts: list[RenderableType] = [grid(screen, columns, rows), heading(verdict)]
    # A fix must be readable in full, however narrow the table had to be.
    todo = [check for check in doctor.checks if check.state != "ok" and check.hint and screen.terminal]
    parts += [heading((f"{v.word(check.name)}: ", WARN), check.hint or "") for check in todo]
    return tuple(parts)


def peers_view(reply: t.Peers, screen: Screen) -> RenderableType:
    """Known nodes and open connections."""
    if not reply.peers:
        return heading("No peers yet. See: market doctor")
    columns = [
        Column("kind"), Column("address", least=12), Column("peer", least=8), Column("key"),
        Column("direction", goes=2),
        Column("rtt", right=True), Column("last seen"), Column("contact", least=12, goes=1),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [
            info.kind,
            info.address,
            v.name(info.peer) if info.peer is not None else "",
            info.peer.fingerprint if info.peer is not None else "",
            info.direction or "",
            f"{info.rtt_ms:.0f} ms" if info.rtt_ms is not None else "",
            ago(screen, info.last_seen_at),
            info.contact or "",
        ]
        for info in reply.peers
    ]
    return grid(screen, columns, rows)


def profile_view(reply: t.ProfileReply, screen: Screen) -> RenderableType:
    """What others are told about us, and when."""
    profile = reply.profile
    values = {
        "name": profile.name,
        "region": profile.region,
        "currency": profile.currency,
        "address": ", ".join(profile.address),
        "tax_id": profile.tax_id,
    }
    rows: list[list[Cell]] = [
        [v.word(name), value or ("not set", DIM), TOLD.get(reply.told.get(name, ""), "")]
        for name, value in values.items()
    ]
    return grid(screen, [Column("field"), Column("value", least=10), Column("told", least=10)], rows)


def categories_view(reply: t.Categories, screen: Screen, *, words: str = "") -> RenderableType:
    """Categories that fit some words, best first."""
    if not reply.matches:
        return Group(
            heading(("No category fits ", WARN), words, "."),
            heading("Any path in any language will do: market announce coffee/roasted; buyers must use the same."),
        )
    columns = [
        Column("category", least=12), Column("label", least=12), Column("sellers", right=True),
        Column("why", least=8)
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [match.code, match.label or "", str(match.announced) if match.announced is not None else "", match.why]
        for match in reply.matches
    ]
    return grid(screen, columns, rows)
