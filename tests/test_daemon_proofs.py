"""A seller who signs two quotes for one place, with a program of his own: caught, proved, and marked everywhere."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from daemons import SECONDS, Market, Peer, a_market, market

from p2pmarket.api.types import bodies as b
from p2pmarket.keys import ExchangeKey, SigningKey
from p2pmarket.link import Link, MessageReceived
from p2pmarket.messages import Document, decode_untrusted, encode
from p2pmarket.network import DEV
from p2pmarket.trade import documents as d

PRICES = b"code,description,unit,price,per,currency,category\nYIR,Yirgacheffe,KGM,15.50,1,EUR,coffee\n"


@pytest.fixture(scope="module")
def net() -> Iterator[Market]:
    with a_market("seller", "buyer", "friend") as net:
        net["seller"].client.profile_set(b.SetProfile(name="Two Prices"))
        assert net["seller"].ask("prices", "import", "-", stdin=PRICES)["imported"] == 1
        net["seller"].announce("coffee", "world")
        yield net


class HandMade:
    """What somebody can do who has the keys of a home, and does not run our program."""

    def __init__(self, peer: Peer) -> None:
        self.identity = SigningKey.from_seed(bytes.fromhex((peer.home / "identity.key").read_text().strip()))
        with sqlite3.connect(f"file:{peer.home / 'ledger.sqlite'}?mode=ro", uri=True) as ledger:
            self.quotes = ledger.execute("SELECT envelope, recipient FROM documents WHERE kind = 4").fetchall()
            self.seed = ledger.execute("SELECT seed FROM exchange_keys WHERE use = 'service'").fetchone()[0]
            (request,) = ledger.execute("SELECT envelope FROM documents WHERE kind = 1").fetchone()
        opened = d.document_untrusted(d.REQUEST, request, DEV, self.identity.public)
        assert isinstance(opened.document, d.Request)
        self.asked = opened.document

    def another(self, **fields: object) -> d.Opened:
        """The quote that was sent, with other words in the same place."""
        envelope, recipient = self.quotes[0]
        first = d.document_untrusted(d.QUOTE, envelope, DEV, recipient)
        return d.seal_document(msgspec.structs.replace(first.document, **fields), self.identity, DEV, recipient)

    def say(self, opened: d.Opened, port: int) -> d.Acknowledgement:
        """Send a document over a link of its own; what the other side signed about it."""
        message = encode(Document(opened.kind, opened.recipient, opened.envelope))
        link = Link.initiate(ExchangeKey.from_seed(self.seed), self.asked.reply_key, DEV, os.urandom, [message])
        with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as stream:
            stream.sendall(link.data_to_send())
            while True:
                data = stream.recv(65_536)
                assert data, "the link was closed without an answer"
                link.receive_bytes(data)
                while (event := link.next_event()) is not None:
                    answer = decode_untrusted(event.data) if isinstance(event, MessageReceived) else None
                    if isinstance(answer, Document):
                        told = d.document_untrusted(answer.kind, answer.envelope, DEV, self.identity.public).document
                        if isinstance(told, d.Acknowledgement) and told.about == opened.hash:
                            return told


def test_two_quotes_in_one_place_are_caught_proved_and_shown(net: Market, tmp_path: Path) -> None:
    seller, buyer, friend = net["seller"], net["buyer"], net["friend"]
    request = buyer.open("coffee", "20 kg Yirgacheffe")
    (quote,) = buyer.quoted(request.id)
    assert quote.seller.contradicted == 0
    by_hand = HandMade(seller)
    told = by_hand.say(by_hand.another(text="the same for more money"), buyer.port)
    assert (told.status, told.code) == ("refused", "equivocation")

    (proof,) = buyer.ask("proofs")["proofs"]
    with buyer.client.events(since=0) as events:
        found = next(event for event in events if event.type == "proof.found")
    assert (found.id, found.data["signer"]["fingerprint"]) == (proof["id"], quote.seller.fingerprint)
    assert proof["signer"]["key"] == seller.client.identity().identity
    assert quote.id in proof["documents"]
    assert buyer.client.quotes(request.id).quotes[0].seller.contradicted == 1
    assert "market proofs" in buyer.market("quotes", request.id).out
    again = by_hand.say(by_hand.another(text="the same for more money"), buyer.port)
    assert again.code == "equivocation"
    assert len(buyer.client.proofs().proofs) == 1

    # Anybody can check the file, on a machine that has never heard of the two.
    path = tmp_path / "proof.json"
    assert buyer.market("export", proof["id"], "-o", str(path)).code == 0
    elsewhere = market("verify", str(path), "--json", home=tmp_path / "empty")
    assert elsewhere.code == 0
    assert elsewhere.json["parties"] == {"signer": seller.client.identity().identity}
    assert set(elsewhere.json["contradiction"]["documents"]) == set(proof["documents"])

    # A friend takes it, and sees it beside the seller's next quote.
    taken = friend.ask("import", str(path))
    assert (taken["kind"], taken["proof"], taken["created"]) == ("equivocation", proof["id"], True)
    assert friend.ask("import", str(path))["created"] is False
    later = friend.open("coffee", "5 kg Yirgacheffe")
    assert friend.quoted(later.id)[0].seller.contradicted == 1
    assert friend.client.proofs().proofs[0].id == proof["id"]

    forged = json.loads(path.read_text())
    forged["documents"] = forged["documents"][::-1]
    path.write_text(json.dumps(forged))
    assert market("verify", str(path), home=tmp_path).code == 65
    friend.refuse(65, "import", str(path))
