"""How the values of the API look to people: money, quantities, peers, delivery terms, states.

Rules. Pure: a struct in, a short string out, in our own words; text of peers in it is made safe here where it is cut,
and by `grid` in any case. A peer's name never stands without his fingerprint, and never pushes it out of sight.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

from p2pmarket.api import types as t

from .grid import BAD, DIM, GOOD, WARN, count, grouped
from .safe import safe

NAME_CELLS = 120  # the longest name of the protocol, in wide characters

STYLES = {
    **dict.fromkeys(("quoted", "accepted", "agreed", "completed", "published", "ready", "ok", "delivered"), GOOD),
    **dict.fromkeys(("awarded", "ordered", "settled", "confirmed", "firm", "new", "public", "mapped"), GOOD),
    **dict.fromkeys(("declined", "rejected", "failed", "unreachable", "disputed", "offline", "overdue"), BAD),
    **dict.fromkeys(("waiting", "queued", "joining", "publishing", "warning", "indicative", "outbound_only"), WARN),
    **dict.fromkeys(("expired", "withdrawn", "superseded", "lost", "cancelled", "silent", "closed", "none"), DIM),
}

# What the table of names says of these is right and not what people write.
UNITS = {"C62": "pcs", "H87": "pcs", "EA": "pcs", "MTK": "m²", "MTQ": "m³"}


def word(state: str | None) -> str:
    """A snake_case word of the API as people write it."""
    return (state or "").replace("_", " ")


def styled(state: str | None) -> tuple[str, str]:
    """A state word in its colour."""
    return (word(state), STYLES.get(state or "", ""))


def money(value: t.Money) -> str:
    """`1,234.50 EUR`."""
    return f"{grouped(value.amount)} {value.currency}"


@cache
def unit(code: str) -> str:
    """`kg` for `KGM`; a code that is not in the table stays as it is."""
    if code in UNITS:
        return UNITS[code]
    from p2pmarket.vocab.units import unit_label

    return unit_label(code)


def quantity(value: t.Quantity) -> str:
    """`20 kg`."""
    return f"{grouped(value.value)} {unit(value.unit)}"


def price(value: t.Price) -> str:
    """`2.55 EUR / pcs`, `310 EUR / 100 kg`."""
    per = unit(value.per.unit) if value.per.value == "1" else quantity(value.per)
    return f"{unit_price(value.amount)} {value.currency} / {per}"


def unit_price(amount: str) -> str:
    """`15.50` for `15.5`; more places stay, for unit prices may have nine."""
    whole, point, cents = amount.partition(".")
    return grouped(whole) + point + (cents + "0" if len(cents) == 1 else cents)


def name(peer: t.Peer) -> str:
    """The self-chosen name alone, for a table whose next column is the fingerprint."""
    return safe(peer.name, NAME_CELLS) if peer.name else "-"


def key(value: t.Peer) -> tuple[str, str]:
    """The fingerprint, for a table's column; marked if its owner has contradicted himself."""
    return (f"{value.fingerprint} !", BAD) if value.contradicted else (value.fingerprint, "")


def peer(value: t.Peer) -> str:
    """`Name (k3f7q-h2x9d)`; what is in the last brackets is ours, whatever the name says.

    A ! behind them: he has contradicted himself, and there is proof of it.
    """
    shown = f"{name(value)} ({value.fingerprint})" if value.name else value.fingerprint
    return f"{shown} !" if value.contradicted else shown


def standing(value: t.Peer) -> str:
    """`you 4.0, contacts 4.5 (3)`; strangers' word only where nobody else's is known: `strangers 4.9 (12)`."""
    known = value.standing
    if known is None:
        return ""
    told = [f"you {known.own.stars}"] if known.own else []
    told += [f"contacts {known.contacts.stars} ({known.contacts.counterparties})"] if known.contacts else []
    if not told and known.others:
        told = [f"strangers {known.others.stars} ({known.others.counterparties})"]
    return ", ".join(told)


def category(value: t.CategoryName) -> str:
    """Code and label."""
    return f"{value.code} {value.label}" if value.label else value.code


def line(value: t.Line) -> str:
    """`20 kg · Yirgacheffe`, with its article numbers."""
    codes = "".join(f" [{code.scheme} {code.value}]" for code in value.codes)
    return f"{quantity(value.quantity)} · {value.text}{codes}"


def numbers(values: Iterable[int]) -> str:
    """`1-3, 7`: line numbers with runs drawn together."""
    runs: list[list[int]] = []
    for value in sorted(values):
        if runs and value == runs[-1][1] + 1:
            runs[-1][1] = value
        else:
            runs.append([value, value])
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)


def delivery(terms: t.DeliveryTerms) -> str:
    """`5 days`, `by 2026-12-01`, with the Incoterm."""
    parts = [f"{terms.days} days" if terms.days is not None else "", f"by {terms.latest}" if terms.latest else ""]
    return " ".join(part for part in [*parts, terms.incoterm or ""] if part)


def recipient(to: t.DeliverTo) -> str:
    """Whom goods go to, on one line; the region once, if the address ends with it."""
    lines = [to.name, *to.address]
    last = lines[-1].replace(",", " ").split()
    return ", ".join(lines if last[-1:] == [to.region] else [*lines, to.region])


def place(terms: t.DeliveryTerms) -> str:
    """Where it is delivered, and where it comes from."""
    source = f"from {terms.ships_from}" if terms.ships_from else ""
    return ", ".join(part for part in (terms.place or "", source) if part)


def covered(quote: t.Quote, wanted: int) -> str:
    """`3 of 4`: how many of the request's lines a quote prices."""
    priced = len({line.request_line for line in quote.lines if line.request_line is not None})
    return f"{priced or wanted - len(quote.missing_lines)} of {wanted}"


def title(lines: Sequence[t.Line], subject: str | None) -> str:
    """A request in one short text: its subject, or how many lines more than the first, and the first."""
    if subject or not lines:
        return subject or ""
    more = f"{len(lines)} lines: " if len(lines) > 1 else ""
    return more + line(lines[0])


def plan(told: t.PaymentPlan) -> str:
    """When and how to pay, part by part."""
    parts = [
        f"{part.no}: {money(part.amount)} {part.due or word(part.stage)}" + (f" +{part.days} days" if part.days else "")
        for part in told.instalments
    ]
    simple = [word(told.stage) if not parts else "", f"{told.days} days" if told.days is not None else ""]
    return "; ".join(part for part in [*parts, *simple, *told.methods, told.text or ""] if part)


def late(days: int | None) -> str:
    """What both sign for the case that nothing leaves in time."""
    return "" if days is None else f"{count(days, 'day')} after the agreed day the buyer may cancel alone"
