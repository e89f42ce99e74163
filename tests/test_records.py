"""Announcements: what is accepted, what refused, and what replaces what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pmarket import codec, keys, limits, records
from p2pmarket.errors import BadInput, BadMessage, BadSignature
from p2pmarket.network import DEV, MAIN, TEST

NOW = 1_800_000_000
KEY = keys.SigningKey.from_seed(bytes(range(32)))
VECTORS = Path(__file__).parent.parent / "docs" / "vectors"


def announcement(**changes: Any) -> records.Announcement:
    fields: dict[str, Any] = {
        "epoch": 0,
        "seq": 1,
        "issued": NOW,
        "expires": NOW + limits.RECORD_SECONDS,
        "category": "coffee/roasted",
        "regions": ("KR", "JP"),
        "located": "KR-11",
        "name": "김 커피",
        "service_key": b"\x07" * 32,
        "routes": (records.direct_route("10.1.2.3", 4001),),
        "versions": (1, 1),
        "withdrawn": False,
    }
    return records.Announcement(**(fields | changes))


def sealed(what: records.Announcement, *, kind: int = records.KIND) -> bytes:
    """An envelope that the sealing checks of the real publisher did not see."""
    return keys.seal(KEY, codec.pack(what), TEST, kind)


def test_a_record_comes_back_as_it_was_sealed() -> None:
    made = records.make_announcement(KEY, TEST, announcement())
    assert records.record_untrusted(made.envelope, TEST, NOW) == made
    assert made.signer == KEY.public
    assert made.hash == keys.digest(codec.pack(announcement()))


@pytest.mark.parametrize(
    "changes",
    [
        {"category": "Coffee"},
        {"category": "coffee-beans"},
        {"category": "coffee/ roasted"},
        {"category": "coffee//roasted"},
        {"category": "a/b/c/d/e"},
        {"category": "ｃｏｆｆｅｅ"},
        {"category": "cpv:1586100"},
        {"category": "cpv:00861000"},
        {"category": "cpv:1586100x"},
        {"category": "coffee\n"},
        {"category": "coffee\u202e"},
        {"category": "coffee\u0378"},
        {"regions": ("kr",)},
        {"regions": ("KOR",)},
        {"regions": ("world", "KR")},
        {"regions": ("KR", "KR")},
        {"regions": ("KR-",)},
        {"located": "world"},
        {"versions": (2, 1)},
        {"expires": NOW + limits.RECORD_SECONDS + 1},
        {"expires": NOW},
        {"issued": NOW + limits.CLOCK_SKEW_SECONDS + 1, "expires": NOW + 3600},
        {"routes": (records.Route(records.DIRECT, b"\x0a\x01\x02\x03\x0f"),)},
        {"routes": (records.Route(records.DIRECT, b"\x0a\x01\x02\x03\x00\x00"),)},
        {"routes": (records.direct_route("224.0.0.1", 4001),)},
        {"routes": (records.direct_route("10.1.2.3", 53),)},
    ],
    ids=repr,
)
def test_what_is_not_in_form_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BadMessage):
        records.record_untrusted(sealed(announcement(**changes)), TEST, NOW)


@pytest.mark.parametrize(
    "category",
    [
        "coffee",
        "coffee/roasted",
        "커피/원두",
        "cpv:15861000",
        "a/b/c/d",
        "fruit & nuts",
        "großhandel".casefold(),
        "2. hand",
    ],
)
def test_categories_of_the_canonical_form_pass(category: str) -> None:
    record = records.make_announcement(KEY, TEST, announcement(category=category))
    assert records.record_untrusted(record.envelope, TEST, NOW).announcement.category == category


@given(st.text(max_size=30))
def test_the_canonical_spelling_of_a_path_is_final(text: str) -> None:
    once = records.canonical_path(text)
    if records.is_category(once) and not once.startswith("cpv:"):
        assert records.canonical_path(once) == once


def test_spellings_that_people_mean_alike_fall_together() -> None:
    spellings = (
        "Coffee_Beans/ROASTED",
        "coffee beans / roasted",
        " COFFEE--beans/Roasted ",
        "ｃｏｆｆｅｅ beans/roasted",
    )
    assert {records.canonical_path(text) for text in spellings} == {"coffee beans/roasted"}


@pytest.mark.parametrize(
    ("changes", "one_over"),
    [
        ({"name": "x" * limits.NAME_CHARS}, {"name": "x" * (limits.NAME_CHARS + 1)}),
        ({"category": "x" * limits.CATEGORY_CHARS}, {"category": "x" * (limits.CATEGORY_CHARS + 1)}),
        ({"category": "a/" * (limits.CATEGORY_LEVELS - 1) + "a"}, {"category": "a/" * limits.CATEGORY_LEVELS + "a"}),
        (
            {"regions": tuple(f"A{chr(65 + n)}" for n in range(limits.REGIONS_SERVED))},
            {"regions": tuple(f"A{chr(65 + n)}" for n in range(limits.REGIONS_SERVED + 1))},
        ),
        (
            {"routes": (records.Route(9, b"x" * limits.ROUTE_BYTES),) * limits.ROUTES},
            {"routes": (records.Route(9, b"x"),) * (limits.ROUTES + 1)},
        ),
        ({"routes": (records.Route(9, b"x" * limits.ROUTE_BYTES),)}, {"routes": (records.Route(9, b"x" * 65),)}),
        ({"expires": NOW + limits.RECORD_SECONDS}, {"expires": NOW + limits.RECORD_SECONDS + 1}),
        ({"issued": NOW + limits.CLOCK_SKEW_SECONDS}, {"issued": NOW + limits.CLOCK_SKEW_SECONDS + 1}),
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_limits_hold_at_the_limit_and_refuse_one_over(changes: dict[str, Any], one_over: dict[str, Any]) -> None:
    if "issued" in changes:
        changes, one_over = changes | {"expires": NOW + 3600}, one_over | {"expires": NOW + 3600}
    records.record_untrusted(sealed(announcement(**changes)), TEST, NOW)
    with pytest.raises(BadMessage):
        records.record_untrusted(sealed(announcement(**one_over)), TEST, NOW)


def test_the_envelope_has_a_limit() -> None:
    def of_size(spare: int) -> records.Announcement:
        return announcement(routes=(records.Route(9, b"x" * 62),) * 4, category="x" * spare, name="가" * 60)

    sizes = [len(sealed(of_size(spare))) for spare in range(24, limits.CATEGORY_CHARS)]
    spare = 24 + sizes.index(limits.RECORD_BYTES)
    exact = records.make_announcement(KEY, TEST, of_size(spare))
    records.record_untrusted(exact.envelope, TEST, NOW)
    with pytest.raises(BadInput):
        records.make_announcement(KEY, TEST, of_size(spare + 1))
    with pytest.raises(BadMessage):
        records.record_untrusted(sealed(of_size(spare + 1)), TEST, NOW)


def test_a_record_ends_with_the_second_it_names() -> None:
    envelope = sealed(announcement(expires=NOW + 100))
    records.record_untrusted(envelope, TEST, NOW + 99)
    with pytest.raises(BadMessage):
        records.record_untrusted(envelope, TEST, NOW + 100)


def test_networks_and_kinds_do_not_mix() -> None:
    what = announcement(routes=(records.direct_route("1.1.1.1", 4001),))
    envelope = records.make_announcement(KEY, TEST, what).envelope
    for network in (MAIN, DEV):
        with pytest.raises(BadSignature):
            records.record_untrusted(envelope, network, NOW)
    with pytest.raises(BadSignature):
        records.record_untrusted(sealed(what, kind=1), TEST, NOW)


def test_private_addresses_are_no_routes_on_the_main_network() -> None:
    with pytest.raises(BadInput):
        records.make_announcement(KEY, MAIN, announcement())


def test_a_publisher_is_told_what_nobody_would_accept() -> None:
    with pytest.raises(BadInput, match="canonical"):
        records.make_announcement(KEY, TEST, announcement(category="Coffee"))
    with pytest.raises(BadInput):
        records.make_announcement(KEY, TEST, announcement(name="x" * 61))


def test_fields_of_later_versions_are_ignored_and_stay_signed() -> None:
    fields = list(msgspec.structs.astuple(announcement()))
    fields[9] = [[1, b"\x0a\x01\x02\x03\x0f\xa1", "of a later version"]]
    payload = codec.encode([*fields, "of a later version", 7])
    record = records.record_untrusted(keys.seal(KEY, payload, TEST, records.KIND), TEST, NOW)
    assert record.announcement == announcement()
    assert record.hash == keys.digest(payload)


def test_the_id_is_the_sellers_and_the_categorys_and_survives_refreshes() -> None:
    first = records.make_announcement(KEY, TEST, announcement())
    later = records.make_announcement(KEY, TEST, announcement(seq=2, issued=NOW + 9, regions=("world",), name="New"))
    other = records.make_announcement(KEY, TEST, announcement(category="coffee"))
    stranger = records.make_announcement(keys.SigningKey.from_seed(b"\1" * 32), TEST, announcement())
    assert first.id == later.id
    assert len({first.id, other.id, stranger.id}) == 3
    assert first.id.startswith("a-")
    assert len(first.id) == 28


@given(st.tuples(st.integers(0, 3), st.integers(0, 3)), st.tuples(st.integers(0, 3), st.integers(0, 3)))
def test_the_higher_epoch_then_the_higher_number_wins(new: tuple[int, int], old: tuple[int, int]) -> None:
    later = announcement(epoch=new[0], seq=new[1])
    earlier = announcement(epoch=old[0], seq=old[1])
    assert records.supersedes(later, earlier) == (new > old)


def test_readers_keep_the_newest_and_drop_what_was_withdrawn() -> None:
    def made(**changes: Any) -> records.Record:
        return records.make_announcement(KEY, TEST, announcement(**changes))

    old, new, gone = made(seq=1), made(seq=2), made(seq=3, withdrawn=True)
    other = made(category="tea")
    assert records.newest((old, other, new, old)) == (new, other)
    assert records.newest((gone, new, other)) == (other,)


@pytest.mark.parametrize("host", ["10.1.2.3", "2001:db8::7"])
def test_a_direct_route_gives_its_address_back(host: str) -> None:
    assert records.route_address(records.direct_route(host, 4001)) == (host, 4001)


def test_routes_of_unknown_kinds_lead_nowhere_yet() -> None:
    assert records.route_address(records.Route(3, b"x" * 6)) is None


@given(st.binary(max_size=limits.RECORD_BYTES))
def test_any_bytes_raise_one_error(data: bytes) -> None:
    with pytest.raises(BadMessage):
        records.record_untrusted(data, TEST, NOW)


@given(st.integers(0, 250), st.integers(1, 255))
def test_one_changed_byte_breaks_a_record(at: int, by: int) -> None:
    envelope = bytearray(records.make_announcement(KEY, TEST, announcement()).envelope)
    envelope[at % len(envelope)] ^= by
    with pytest.raises(BadMessage):
        records.record_untrusted(bytes(envelope), TEST, NOW)


def vectors() -> list[dict[str, Any]]:
    return json.loads((VECTORS / "records.json").read_text())["records"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("vector", vectors(), ids=lambda vector: vector["name"])
def test_vectors(vector: dict[str, Any]) -> None:
    network = {"main": MAIN, "test": TEST}[vector["network"]]
    envelope = bytes.fromhex(vector["envelope"])
    if not vector["good"]:
        with pytest.raises(BadMessage):
            records.record_untrusted(envelope, network, vector["wall"])
        return
    record = records.record_untrusted(envelope, network, vector["wall"])
    assert record.id == vector["id"]
    assert record.signer.hex() == vector["signer"]
    assert record.announcement == codec.unpack_untrusted(bytes.fromhex(vector["payload"]), records.Announcement)
    seed = bytes.fromhex(vector["seed"])
    assert records.make_announcement(keys.SigningKey.from_seed(seed), network, record.announcement) == record
