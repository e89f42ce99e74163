"""Ratings, disputes and proofs as people see them. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from p2pmarket.api import types as t

from . import values as v
from .grid import (
    BAD,
    BOLD,
    DIM,
    SENT,
    WARN,
    WOULD_SEND,
    Cell,
    Column,
    Screen,
    count,
    grid,
    heading,
    outcome,
    pairs_of,
    short_id,
    when,
)
from .view_trade import free_text

STAR, NO_STAR = "★", "☆"


def stars(text: str) -> str:
    """`★★★★☆ 4.2`; what is no number stays as it is."""
    if len(text) != 3 or not text[0].isdecimal() or not text.isascii():
        return text
    full = min(5, int(text[0]) + (text[2] >= "5"))
    return f"{STAR * full}{NO_STAR * (5 - full)} {text}"


def rated_view(reply: t.RatingReply, screen: Screen) -> tuple[RenderableType, ...]:
    """A rating that we gave."""
    rating = reply.rating
    note = outcome(screen, reply.created, SENT, would=WOULD_SEND, again="You said just that before.")
    parts: list[RenderableType] = [
        pairs_of(
            screen,
            [
                ("rating", (rating.id, BOLD)),
                ("of", v.peer(rating.rated)),
                ("stars", stars(rating.stars)),
                ("for", ", ".join(f"{v.word(aspect.name)} {aspect.score}" for aspect in rating.aspects)),
                ("deal", rating.deal),
                ("url", rating.url or ""),
            ],
        )
    ]
    if rating.text:
        parts += free_text(rating.text)
    return (*parts, Text(""), note)


def ratings_view(reply: t.Ratings, screen: Screen) -> tuple[RenderableType, ...]:
    """What is said of a peer: sums first, then each rating."""
    facts = pairs_of(
        screen,
        [
            ("peer", (v.peer(reply.peer), BOLD)),
            ("key", reply.peer.identity or reply.peer.key),
            ("you say", _score(reply.own, "")),
            ("contacts say", _score(reply.contacts, "counterparty", "counterparties")),
            ("strangers say", _score(reply.others, "key", "keys")),
            ("contradicts", (count(reply.peer.contradicted, "proof") if reply.peer.contradicted else "", BAD)),
        ],
    )
    if not reply.ratings:
        where = f" on {count(reply.holders, 'node')}" if reply.holders is not None else ""
        return (facts, heading(f"No rating was found{where}."))
    return (facts, Text(""), ratings_table(reply.ratings, screen))


def ratings_table(ratings: Sequence[t.Rating], screen: Screen) -> RenderableType:
    """Ratings one by one."""
    columns = [
        Column("stars"), Column("by", least=8), Column("key"), Column("as"), Column("for", least=8, goes=1),
        Column("said", least=12), Column("signed"), Column("seen", goes=2),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [
            stars(one.stars),
            v.name(one.rater),
            v.key(one.rater),
            one.role,
            ", ".join(f"{v.word(aspect.name)} {aspect.score}" for aspect in one.aspects),
            one.text or "",
            when(screen, one.issued_at),
            when(screen, one.seen_at),
        ]
        for one in ratings
    ]
    return grid(screen, columns, rows)


def _score(score: t.Score | None, one: str, many: str = "") -> str:
    if score is None:
        return ""
    return stars(score.stars) + (f" from {count(score.counterparties, one, many)}" if one else "")


def disputed_view(reply: t.DisputeReply, screen: Screen) -> tuple[RenderableType, ...]:
    """A step of ours, and the dispute as it stands."""
    note = outcome(screen, reply.created, SENT, would=WOULD_SEND, again="You did this before.")
    return (*dispute_view(reply.dispute, screen), Text(""), note)


def disputes_view(reply: t.Disputes, screen: Screen) -> tuple[RenderableType, ...]:
    """All disputes of a deal."""
    if not reply.disputes:
        hint = f"market dispute {short_id(screen, reply.deal.id)} open --reason WORD"
        return (heading("Nobody disputes this deal. ", ("To open one: ", DIM), hint),)
    parts: list[RenderableType] = []
    for dispute in reply.disputes:
        parts += [*([Text("")] if parts else []), *dispute_view(dispute, screen)]
    return tuple(parts)


def dispute_view(dispute: t.Dispute, screen: Screen) -> tuple[RenderableType, ...]:
    """One dispute with all its steps."""
    columns = [
        Column("step"),
        Column("by"),
        Column("said", least=14),
        Column("signed"),
        Column("id"),  # an answer names it: --about ID
    ]
    rows: list[list[Cell]] = [
        [
            v.word(move.step),
            _who(move.by),
            _said(move),
            when(screen, move.issued_at),
            short_id(screen, move.id),
        ]
        for move in dispute.moves
    ]
    facts = pairs_of(
        screen,
        [
            ("dispute", (dispute.id, BOLD)),
            ("state", v.styled(dispute.state)),
            ("opened by", _who(dispute.opened_by)),
            ("reason", v.word(dispute.reason)),
            ("referee", dispute.referee or ""),
            ("not answered", (", ".join(short_id(screen, one) for one in dispute.proposals), WARN)),
        ],
    )
    return (facts, Text(""), grid(screen, columns, rows))


def _who(by: str) -> str:
    return {"me": "you", "other": "the other side", "referee": "the referee"}[by]


def _said(move: t.DisputeMove) -> str:
    remedy = v.money(move.amount) if move.amount else f"{move.share} of the total" if move.share else ""
    words = [v.word(move.reason), v.word(move.outcome), remedy, move.text or "", *move.attachments]
    return " · ".join(word for word in words if word)


def imported_view(reply: t.Imported, screen: Screen) -> RenderableType:
    """What a file brought."""
    if not reply.created:
        return heading(("Nothing new in it: ", WARN), "all that it proves is here already.")
    if reply.kind == "deal":
        taken = f"{count(len(reply.opinions), 'opinion')} about {reply.deal}"
        done = f"Taken: {taken}; see market dispute {reply.deal}"
        return outcome(screen, reply.created, done, would=f"{taken} would be taken")
    done = f"Kept: proof {reply.proof}; it shows beside the peer from now on"
    return outcome(screen, reply.created, done, would="a proof would be kept, and show beside the peer")


def proofs_view(reply: t.Proofs, screen: Screen) -> RenderableType:
    """Who contradicted himself, and in what."""
    if not reply.proofs:
        return heading("No proof against anybody.")
    columns = [
        Column("proof"), Column("against", least=8), Column("key"), Column("two of", least=6),
        Column("documents", least=10, goes=1), Column("found"),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [
            short_id(screen, proof.id),
            v.name(proof.signer),
            (proof.signer.fingerprint, BAD),
            v.word(proof.kind),
            ", ".join(short_id(screen, one) for one in proof.documents),
            when(screen, proof.found_at),
        ]
        for proof in reply.proofs
    ]
    return grid(screen, columns, rows)
