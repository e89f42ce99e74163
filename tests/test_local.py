"""The local network: greetings as bytes, and real daemons that find each other by nothing else."""

from __future__ import annotations

import random
import socket
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from daemons import Peer, until
from hypothesis import given
from hypothesis import strategies as st
from local_market import LocalMarket

from p2pmarket import codec, limits
from p2pmarket.config import Flags, load_config
from p2pmarket.dht.contact import Contact, contact_at
from p2pmarket.dht.local import MARK, greeting, greeting_untrusted
from p2pmarket.errors import BadMessage, StartError
from p2pmarket.network import DEV, MAIN

KEY = bytes(range(32))


def contact(number: int) -> Contact:
    found = contact_at(random.Random(number).randbytes(32), f"127.0.0.{number + 1}", 4000 + number, 0, DEV)
    assert found is not None
    return found


def test_a_greeting_names_its_sender_where_it_came_from_and_a_few_others() -> None:
    known = [contact(number) for number in range(limits.LOCAL_CONTACTS + 1)]
    heard = greeting_untrusted(greeting(DEV, KEY, 4751, known, asks=True), "192.168.1.7", DEV)
    assert heard is not None
    assert (heard.public, heard.asks) == (KEY, True)
    assert (heard.contacts[0].public, heard.contacts[0].address) == (KEY, ("192.168.1.7", 4751))
    assert list(heard.contacts[1:]) == known[: limits.LOCAL_CONTACTS]


def test_greetings_of_another_network_and_private_neighbours_on_the_public_one_are_not_used() -> None:
    assert greeting_untrusted(greeting(DEV, KEY, 4751, [], asks=True), "192.168.1.7", MAIN) is None
    heard = greeting_untrusted(greeting(MAIN, KEY, 4751, [contact(1)], asks=False), "192.168.1.7", MAIN)
    assert heard is not None
    assert heard.contacts == ()


def test_more_contacts_than_the_limit_are_no_greeting() -> None:
    host = "2001:db8::1"
    packed = [
        bytes([8]) + bytes([number]) * 32 + socket.inet_pton(socket.AF_INET6, host) + b"\x12\x8f" for number in range(9)
    ]
    most = b"".join(packed[: limits.LOCAL_CONTACTS])
    assert greeting_untrusted(codec.encode([MARK, "dev", KEY, 4751, True, most]), "192.168.1.7", DEV) is not None
    with pytest.raises(BadMessage):
        greeting_untrusted(codec.encode([MARK, "dev", KEY, 4751, True, most + packed[-1]]), "192.168.1.7", DEV)


@given(st.one_of(st.binary(max_size=300), st.builds(lambda cut: greeting(DEV, KEY, 1, [contact(2)], asks=True)[:cut],
                                                   st.integers(0, 200))))  # fmt: skip
def test_any_bytes_are_a_greeting_or_a_bad_message(data: bytes) -> None:
    try:
        heard = greeting_untrusted(data, "192.168.1.7", DEV)
    except BadMessage:
        return
    assert heard is None or heard.public == KEY


def test_daemons_without_any_bootstrap_node_find_each_other_on_the_local_network() -> None:
    with TemporaryDirectory(prefix="p2pm-") as folder:
        local = LocalMarket(Path(folder))
        try:
            flags = {"one": ["--local"], "two": ["--local"], "deaf": []}
            peers = [Peer(local.add(name, *given)) for name, given in flags.items()]
            local.start(peer.daemon for peer in peers)
            for peer in peers[:2]:
                until("they know each other", lambda peer=peer: peer.client.status().dht.contacts == 1)  # type: ignore[misc]
            assert peers[2].client.status().dht.contacts == 0  # nobody greets who was not asked to
        finally:
            local.stop()


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('local = "maybe"\n')
    with pytest.raises(StartError, match="local"):
        load_config(Flags(home=str(tmp_path)), {})
