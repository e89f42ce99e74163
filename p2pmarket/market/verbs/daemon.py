"""Handlers about the daemon itself: identity, status, doctor, peers, profile, categories."""

from __future__ import annotations

from collections import Counter

import trio

from p2pmarket import limits
from p2pmarket.api import spec
from p2pmarket.api import types as t
from p2pmarket.api.spec import Call
from p2pmarket.api.types import bodies as b
from p2pmarket.errors import BadInput
from p2pmarket.market.readback import Seen
from p2pmarket.market.verbs.base import Handlers
from p2pmarket.store.ledger import Ledger
from p2pmarket.vocab import search
from p2pmarket.vocab.categories import is_category
from p2pmarket.vocab.currencies import parse_currency
from p2pmarket.vocab.regions import parse_region

TOLD: dict[str, t.Told] = {
    "name": "announced",
    "region": "announced",
    "currency": "not_told",
    "address": "in_an_order",
    "tax_id": "in_an_order",
}


class DaemonVerbs(Handlers):
    """Who am I, am I seen, what do I call things."""

    async def identity(self, call: Call, body: None) -> t.Identity:
        """Who am I."""
        return await self.read(self.market.health.identity)

    async def status(self, call: Call, body: None) -> t.Status:
        """Am I seen, and what is wrong."""
        return await self.read(self.market.health.status)

    async def doctor(self, call: Call, body: None) -> t.Doctor:
        """Check reachability, clock, disk, ports, peers, and whether strangers find what we announce."""
        seen = await self.market.readback.look_now()
        found = [
            t.DoctorCheck(
                name="found",
                state="ok" if look.newest is not None or not look.answered else "warning",
                message=f"{category}: {_seen_words(look)}",
                hint=None if look.newest is not None or not look.answered else "It is being published more widely",
            )
            for category, look in seen.items()
        ]
        doctor = await self.read(self.market.health.doctor)
        return t.Doctor(ok=doctor.ok, checks=[*doctor.checks, *found])

    async def peers(self, call: Call, body: None) -> t.Peers:
        """Known nodes and open connections."""
        return self.market.health.peer_list()

    async def profile(self, call: Call, body: None) -> t.ProfileReply:
        """What others are told, and when."""
        return await self.read(_profile)

    async def profile_set(self, call: Call, body: b.SetProfile) -> t.ProfileReply:
        """Change the profile; announcements are published anew when they tell of it."""
        changes = _changes(body)

        def work(ledger: Ledger) -> t.ProfileReply:
            for name, value in changes.items():
                ledger.meta.set_profile(name, value)
            self.market.announcer.check(ledger)
            return _profile(ledger)

        reply = await self.write(call, spec.PROFILE_SET, body, work)
        if changes.keys() & {"name", "region"}:
            self.market.announcer.refresh()
        return reply

    async def categories(self, call: Call, body: None) -> t.Categories:
        """Find a category by words; for a category's code, those near it."""
        words = call.text("q") or ""
        if not words.strip():
            raise BadInput("no word to look for", hint="market categories coffee")
        known = Counter(seller.category for seller in await self.market.remembered())
        limit = call.number("limit", 20, 1, 100)
        is_code = is_category(words) and ("/" in words or words.startswith("cpv:"))
        find = search.near if is_code else search.search
        found = await trio.to_thread.run_sync(find, words, limit, list(known))  # others may announce thousands
        return t.Categories(
            matches=[
                t.CategoryMatch(
                    code=match.code,
                    label=match.label,
                    score=float(match.score),
                    why=match.why,
                    announced=known.get(match.code),
                )
                for match in found
            ]
        )


def _profile(ledger: Ledger) -> t.ProfileReply:
    told = ledger.meta.profile()
    profile = t.Profile(
        name=told.get("name") or None,
        region=told.get("region") or None,
        currency=told.get("currency") or None,
        address=told.get("address", "").splitlines(),
        tax_id=told.get("tax_id") or None,
    )
    return t.ProfileReply(profile=profile, told=dict(TOLD))


def _changes(body: b.SetProfile) -> dict[str, str]:
    """The fields to write, in their one form; an empty text clears one. Raises BadInput."""
    changes: dict[str, str] = {}
    if isinstance(body.name, str | None):
        changes["name"] = _clean_name(body.name)
    if isinstance(body.region, str | None):
        changes["region"] = parse_region(body.region) if body.region else ""
    if isinstance(body.currency, str | None):
        changes["currency"] = parse_currency(body.currency) if body.currency else ""
    if isinstance(body.tax_id, str | None):
        changes["tax_id"] = (body.tax_id or "").strip()
    if isinstance(body.address, list):
        changes["address"] = "\n".join(line.strip() for line in body.address)
    return changes


def _clean_name(name: str | None) -> str:
    text = " ".join((name or "").split())
    if len(text) > limits.NAME_CHARS:
        raise BadInput("the name is too long", hint=f"At most {limits.NAME_CHARS} characters")
    if not text.isprintable():
        raise BadInput("the name holds characters that cannot be shown")
    return text


def _seen_words(look: Seen) -> str:
    if not look.answered:
        return "nobody answered the stranger who was to look"
    found = "found you" if look.newest is not None else "did not find you"
    return f"a stranger {found} ({look.answered} nodes answered)"
