"""Announcements: the signed record by which a seller is found.

An announcement says: this identity sells in this category, serves these regions, and takes links at these routes under
this service key. It is a COSE_Sign1 of kind 20 without recipient, at most `limits.RECORD_BYTES` long, and lives at most
a day after it was issued; the seller signs it anew while he means it.

An identity has at most one announcement per category. The announcement's id is `a-` and the hash of (network, signer,
category): unlike the ids of trade documents it does not hash the payload, for it must stay the same when the seller
refreshes the record every hour, changes his regions or takes it back. What a record says last is told by (epoch, seq),
both signed: `seq` counts up with each signing, `epoch` goes up when a ledger was restored from a backup, so that an
old number is never used twice. A record with `withdrawn` set takes the announcement back; holders keep it, unlisted,
until it expires, so that nobody can bring an older one back.

Categories and regions are checked by their form alone: whether CPV knows a code is a question for people's input, not
for what strangers send. A category is `cpv:` and eight digits, or a free path such as `coffee/roasted` in any language.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Final

import msgspec

from p2pmarket import codec, keys, limits
from p2pmarket.errors import BadInput, BadMessage
from p2pmarket.network import Network, parse_ip

KIND: Final = 20
DIRECT: Final = 1  # a route: TCP and UDP at an address; 2 relay, 3 mailbox and 4 onion are kept for later
WORLD: Final = "world"
UNPACKED: Final = 256  # announcements kept as values, at most a KiB each

Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Instant = Annotated[int, msgspec.Meta(ge=0, le=2**40)]  # UTC seconds
Key = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Version = Annotated[int, msgspec.Meta(ge=1, le=255)]
RouteKind = Annotated[int, msgspec.Meta(ge=1, le=255)]
RouteData = Annotated[bytes, msgspec.Meta(max_length=limits.ROUTE_BYTES)]
Category = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.CATEGORY_CHARS)]
Region = Annotated[str, msgspec.Meta(min_length=2, max_length=6)]
Regions = Annotated[tuple[Region, ...], msgspec.Meta(min_length=1, max_length=limits.REGIONS_SERVED)]
Name = Annotated[str, msgspec.Meta(max_length=limits.NAME_CHARS)]

_CPV = re.compile(r"cpv:(?!00)[0-9]{8}")
_REGION = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?")
_SPACE_LIKE = re.compile(r"[\s_-]+")
# No control, format, surrogate, private or unassigned code points, no separators but the plain space.
_REFUSED_CLASSES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


class Route(msgspec.Struct, frozen=True, array_like=True):
    """One way to the seller: for DIRECT `data` is the address (4 or 16 octets) and the port (2 octets)."""

    kind: RouteKind
    data: RouteData


Routes = Annotated[tuple[Route, ...], msgspec.Meta(max_length=limits.ROUTES)]


class Announcement(msgspec.Struct, frozen=True, array_like=True):
    """What is signed. Instants are UTC seconds; `regions` are those served; `versions` lowest and highest spoken."""

    epoch: Count
    seq: Count
    issued: Instant
    expires: Instant
    category: Category
    regions: Regions
    located: Region | None
    name: Name
    service_key: Key
    routes: Routes
    versions: tuple[Version, Version]
    withdrawn: bool


@dataclass(frozen=True, slots=True)
class Record:
    """An announcement whose signature, limits and times were checked; `hash` is that of the payload."""

    announcement: Announcement
    signer: bytes
    envelope: bytes
    hash: bytes
    network: str

    @property
    def id(self) -> str:
        """The announcement's id, the same for every refresh."""
        return announcement_id(self.network, self.signer, self.announcement.category)


def record_untrusted(envelope: bytes, network: Network, wall: int) -> Record:
    """The record in `envelope` if everything about it holds at `wall` (UTC seconds); raises BadMessage."""
    if len(envelope) > limits.RECORD_BYTES:
        raise BadMessage(f"a record is at most {limits.RECORD_BYTES} bytes")
    signed = keys.open_untrusted(envelope, network, KIND)
    announcement = announcement_untrusted(signed.payload, network, wall)
    return Record(announcement, signed.signer, envelope, signed.hash, network.name)


def announcement_untrusted(payload: bytes, network: Network, wall: int) -> Announcement:
    """The announcement in a payload, if all that it says may be said at `wall`; raises BadMessage."""
    announcement = unpacked_untrusted(payload)
    _check(announcement, network, wall)
    return announcement


@lru_cache(maxsize=UNPACKED)
def unpacked_untrusted(payload: bytes) -> Announcement:
    """The announcement in a payload by its form alone; raises BadMessage. The same ones are read again and again."""
    return codec.unpack_untrusted(payload, Announcement)


def make_announcement(key: keys.SigningKey, network: Network, announcement: Announcement) -> Record:
    """`announcement` sealed by `key`, after the checks that a reader makes at the time of issue; raises BadInput."""
    try:
        _check(announcement, network, announcement.issued)
        checked = codec.convert_untrusted(msgspec.to_builtins(announcement, builtin_types=(bytes,)), Announcement)
    except BadMessage as error:
        raise BadInput(f"cannot be announced: {error.message}") from error
    payload = codec.pack(checked)
    envelope = keys.seal(key, payload, network, KIND)
    if len(envelope) > limits.RECORD_BYTES:
        raise BadInput(
            f"the announcement is {len(envelope)} bytes long, the limit is {limits.RECORD_BYTES}",
            hint="Use a shorter name or category, or fewer regions",
        )
    return Record(checked, key.public, envelope, keys.digest(payload), network.name)


def announcement_id(network: str, signer: bytes, category: str) -> str:
    """The id of `signer`'s announcement in `category`: one for each pair, whatever the record says."""
    mark = keys.digest(codec.encode(["p2pmarket/1", network, "announcement", signer, category]))
    return keys.document_id("a", mark)


def supersedes(new: Announcement, old: Announcement) -> bool:
    """Whether `new` replaces `old`, both of one signer and category. Equal numbers replace nothing."""
    return (new.epoch, new.seq) > (old.epoch, old.seq)


def newest(records: tuple[Record, ...]) -> tuple[Record, ...]:
    """Of each announcement its last record, in order of first appearance, without those that are withdrawn."""
    last: dict[tuple[bytes, str], Record] = {}
    for record in records:
        slot = (record.signer, record.announcement.category)
        held = last.get(slot)
        if held is None or supersedes(record.announcement, held.announcement):
            last[slot] = record
    return tuple(record for record in last.values() if not record.announcement.withdrawn)


def direct_route(host: str, port: int) -> Route:
    """The route to TCP and UDP at (host, port); raises BadInput if `host` is no address."""
    ip = parse_ip(host)
    if ip is None or not 0 < port < 65536:
        raise BadInput(f"{host!r} port {port} is not an address")
    return Route(DIRECT, ip.packed + port.to_bytes(2, "big"))


def route_address(route: Route) -> tuple[str, int] | None:
    """(host, port) of a direct route, None for the kinds that we cannot use and for data of a wrong length."""
    if route.kind != DIRECT or len(route.data) not in (6, 18):
        return None
    return str(ipaddress.ip_address(route.data[:-2])), int.from_bytes(route.data[-2:], "big")


def canonical_path(text: str) -> str:
    """The one spelling of a free path: NFKC and casefold, runs of space, `-` and `_` one space, no space at `/`.

    It says nothing about whether the path is admissible.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return "/".join(_SPACE_LIKE.sub(" ", level).strip() for level in folded.split("/"))


@lru_cache(maxsize=4096)
def is_category(text: str) -> bool:
    """Whether `text` has the form of a category and is spelled canonically."""
    if text.startswith("cpv:"):
        return _CPV.fullmatch(text) is not None
    levels = text.split("/")
    return (
        len(text) <= limits.CATEGORY_CHARS
        and len(levels) <= limits.CATEGORY_LEVELS
        and all(levels)
        and not any(unicodedata.category(char) in _REFUSED_CLASSES for char in text)
        and canonical_path(text) == text
    )


def is_region(text: str) -> bool:
    """Whether `text` has the form of a country (ISO 3166-1 alpha-2) or a subdivision of one (ISO 3166-2)."""
    return _REGION.fullmatch(text) is not None


def _check(announcement: Announcement, network: Network, wall: int) -> None:
    """Raise BadMessage unless times, category, regions, routes and versions hold."""
    if announcement.issued > wall + limits.CLOCK_SKEW_SECONDS:
        raise BadMessage("the record is from the future")
    if not wall < announcement.expires:
        raise BadMessage("the record has expired")
    if not 0 < announcement.expires - announcement.issued <= limits.RECORD_SECONDS:
        raise BadMessage("the record lives too long, or ends before it begins")
    if not is_category(announcement.category):
        raise BadMessage("the category is not in canonical form")
    _check_regions(announcement)
    if announcement.versions[0] > announcement.versions[1]:
        raise BadMessage("the lowest version is above the highest")
    for route in announcement.routes:
        _check_route(route, network)


def _check_regions(announcement: Announcement) -> None:
    regions = announcement.regions
    if regions != (WORLD,) and not all(map(is_region, regions)):
        raise BadMessage("a region served is not a country or subdivision, or `world` is not alone")
    if len(set(regions)) != len(regions):
        raise BadMessage("a region is named twice")
    if announcement.located is not None and not is_region(announcement.located):
        raise BadMessage("the place of the seller is not a country or subdivision")


def _check_route(route: Route, network: Network) -> None:
    """Direct routes must be addresses that this network may be sent to; kinds of later versions pass."""
    if route.kind != DIRECT:
        return
    address = route_address(route)
    if address is None or not network.admits(*address):
        raise BadMessage("a route leads to no admissible address")
