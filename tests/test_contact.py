"""Contacts: the id follows from key, address and r, and no bytes or text can say otherwise."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from p2pmarket.dht.contact import (
    PACKED_IPV4,
    PACKED_IPV6,
    Contact,
    address_untrusted,
    contact_at,
    contacts_untrusted,
    node_id,
    pack_address,
    parse_contact,
    pieces_untrusted,
    split_contact,
)
from p2pmarket.errors import BadInput, BadMessage
from p2pmarket.network import DEV, MAIN, TEST

KEY = bytes(range(32))
hosts = st.ip_addresses().map(str)
keys = st.binary(min_size=32, max_size=32)
ports = st.integers(1, 65_535)
rs = st.integers(0, 7)


@given(keys, hosts, ports, rs)
def test_packed_and_text_lead_back_to_the_contact(key: bytes, host: str, port: int, r: int) -> None:
    contact = Contact(key, host, port, r)
    assert len(contact.packed) == (PACKED_IPV6 if ":" in contact.host else PACKED_IPV4)
    assert parse_contact(contact.text()) == contact
    assert address_untrusted(pack_address(contact.address)) == contact.address
    if DEV.admits(contact.host, port):
        assert contacts_untrusted(pieces_untrusted(contact.packed * 2), DEV) == [contact, contact]
        assert contact_at(key, contact.host, port, r, DEV) == contact


def test_the_id_of_a_known_contact() -> None:
    place = hashlib.sha256(bytes([0x01, 0x02, 0x03, 0x04, 5])).digest()  # 1.2.3.4 and the mask 03.0f.3f.ff
    own = hashlib.sha256(KEY).digest()
    bits = f"{int.from_bytes(place, 'big'):0256b}"[:21] + f"{int.from_bytes(own, 'big'):0256b}"[:235]
    assert Contact(KEY, "1.2.3.4", 4001, 5).long_id == int(bits, 2)
    assert Contact(KEY, "1.2.3.4", 4001, 5).id == int(bits, 2).to_bytes(32, "big")


@given(keys, keys, st.integers(0, 2**32 - 1), rs)
def test_the_address_decides_the_first_21_bits_and_the_key_the_rest(one: bytes, two: bytes, ip: int, r: int) -> None:
    assume(one != two)
    packed = ip.to_bytes(4, "big")
    first, second = (int.from_bytes(node_id(key, packed, r), "big") for key in (one, two))
    assert first >> 235 == second >> 235
    assert first != second
    masked = (ip & 0x030F3FFF).to_bytes(4, "big")
    assert node_id(one, packed, r) == node_id(one, masked, r)
    assert first % 2**235 == int.from_bytes(node_id(one, bytes(4), 0), "big") % 2**235


def test_ipv6_counts_its_top_48_bits() -> None:
    one, same, other = (Contact(KEY, host, 1, 0) for host in ("2001:db8:1::1", "2001:db8:1:ffff::2", "2001:db8:2::1"))
    assert one.id == same.id
    assert one.id != other.id
    assert one != same


def test_an_address_has_eight_places() -> None:
    assert len({Contact(KEY, "1.2.3.4", 1, r).long_id >> 235 for r in range(8)}) == 8


@pytest.mark.parametrize(
    ("key", "host", "port", "r"),
    [(KEY[:31], "1.2.3.4", 1, 0), (KEY, "example", 1, 0), (KEY, "1.2.3.4", 0, 0), (KEY, "1.2.3.4", 65_536, 0),
     (KEY, "1.2.3.4", 1, 8), (KEY, "1.2.3.4", 1, -1)],
)  # fmt: skip
def test_parts_that_make_no_contact(key: bytes, host: str, port: int, r: int) -> None:
    with pytest.raises(BadInput):
        Contact(key, host, port, r)
    assert contact_at(key, host, port, r, TEST) is None


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "@1.2.3.4:1", Contact(KEY, "1.2.3.4", 1, 0).text().replace(".0@", ".8@"),
     Contact(KEY, "1.2.3.4", 1, 0).text()[1:], Contact(KEY, "1.2.3.4", 4001, 0).text().replace("4001", "70000"),
     Contact(KEY, "1.2.3.4", 1, 0).text().replace("1.2.3.4", "::1"), Contact(KEY, "1.2.3.4", 1, 0).text() + "x"],
)  # fmt: skip
def test_text_that_is_no_contact(text: str) -> None:
    with pytest.raises(BadInput):
        parse_contact(text)


def test_a_host_name_is_left_to_be_resolved() -> None:
    text = Contact(KEY, "1.2.3.4", 4001, 3).text().replace("1.2.3.4", "node.example")
    assert split_contact(text) == (KEY, "node.example", 4001, 3)
    with pytest.raises(BadInput):
        parse_contact(text)


def test_bytes_cut_short_are_refused_and_other_networks_addresses_left_out() -> None:
    private, public = Contact(KEY, "10.0.0.1", 4001, 0), Contact(KEY, "8.8.8.8", 4001, 0)
    reflector = Contact(KEY, "8.8.4.4", 53, 0)
    pieces = pieces_untrusted(private.packed + public.packed + reflector.packed)
    assert contacts_untrusted(pieces, MAIN) == [public]
    assert contacts_untrusted(pieces, TEST) == [private, public]
    with pytest.raises(BadMessage):
        pieces_untrusted(public.packed[:-1])
    with pytest.raises(BadMessage):
        contacts_untrusted([b"\x10" + public.packed[1:]], MAIN)


@given(st.binary(max_size=200))
def test_any_bytes_are_contacts_or_one_error(data: bytes) -> None:
    try:
        found = contacts_untrusted(pieces_untrusted(data), TEST)
    except BadMessage:
        return
    assert len(found) <= len(data) // PACKED_IPV4


@given(st.binary(max_size=20))
def test_any_bytes_are_an_address_or_one_error(data: bytes) -> None:
    if len(data) in (6, 18):
        assert len(pack_address(address_untrusted(data))) in (6, 18)
    else:
        with pytest.raises(BadMessage):
            address_untrusted(data)
