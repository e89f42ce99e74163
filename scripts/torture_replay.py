"""Replay a whole trade, message by message, to right and wrong peers: scripts/torture replay --cycles N [--json].

A buyer and two sellers with real ledgers trade in every kind of document: a request, notes, a counter, quotes, a
decline, a withdrawal, an order accepted by hand, changes, a cancellation, parcels, bills, payments, ratings, a dispute,
outcomes, and every acknowledgement. Each message is kept as it went over its link. Then all of them come again, in
another order each time, an hour later each time: to whom each was meant for, over its own link and over another, and to
the two others. `state_changes` counts messages that changed a row of a ledger, `other_answers` those that were answered
otherwise than the first time: by other bytes where the document had been taken, with another code where it is refused.
What a quote or a response acknowledged the first time must be answered in the same way each time that it comes again.
Exit code 1 if any of these is not zero.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import market_world
import pytest
from fulfil_world import ordered
from market_world import Side, inside, settle

from p2pmarket.api.types import bodies as b
from p2pmarket.api.types import bodies_quarrel, bodies_talk
from p2pmarket.errors import PeerError
from p2pmarket.limits import HOUR
from p2pmarket.market import quarrel
from p2pmarket.market.closing import Closing
from p2pmarket.market.receiving import Taken
from p2pmarket.messages import Document, Refused, decode_untrusted
from p2pmarket.network import DEV
from p2pmarket.store import rows
from p2pmarket.trade import documents as d

Link = tuple[bytes, bytes]
Answer = tuple[object, ...]


@dataclass(frozen=True)
class Sent:
    """A message as it arrived for the first time: at whom, over which link as he names it, and his answer."""

    at: str
    link: Link
    message: bytes
    answers: tuple[bytes, ...]


def listening(heard: list[Sent]) -> type[Side]:
    """Sides that write down what arrives."""

    @dataclass
    class Listening(Side):
        def take(self, messages: Iterable[bytes], link: Link, group: bytes = b"group") -> Taken:
            whole = Taken()
            for message in messages:
                taken = super().take([message], link, group)
                heard.append(Sent(self.name, link, message, tuple(taken.answers)))
                whole.answers += taken.answers
            return whole

    return Listening


class Trade:
    """Two requests, one deal, and everything that can be said about them."""

    def __init__(self, folder: Path, patches: pytest.MonkeyPatch) -> None:
        self.heard: list[Sent] = []
        patches.setattr(market_world, "Side", listening(self.heard))
        self._deal = ordered(folder, patches, accept=False)
        world = self._deal.world
        self.buyer, self.seller, self.rival, self.clock = world.buyer, world.seller, world.rival, world.clock

    def close(self) -> None:
        self._deal.world.close()

    @property
    def sides(self) -> dict[str, Side]:
        return {side.name: side for side in (self.buyer, self.seller, self.rival)}

    def make(self) -> None:
        """Say it all."""
        self._haggle()
        self._agree()
        self._deliver()
        self._pay()
        self._quarrel()

    def _settle(self) -> None:
        self._deal.settle()
        self.clock.now += 60

    def _haggle(self) -> None:
        """A second request, which comes to nothing."""
        request = self.buyer.request("3 beans", "2 mugs", sellers=[self.seller, self.rival])
        row = request.hash

        def both() -> None:
            for seller in (self.seller, self.rival):
                settle(self.buyer, seller, request)
            self.clock.now += 60

        both()
        self._say(self.buyer, row, "Do you roast yourselves?")
        both()
        quote = self.buyer.quotes(request)[0]
        counter = bodies_talk.NewCounter(lines=[bodies_talk.RevisedLine(no=1, price="2.00")])
        wish, _ = self._run(self.buyer, self.buyer.talking.counter, quote, counter)
        both()
        self._run(self.seller, self.seller.talking.grant, self._kept(self.seller, wish), b.NewQuote())
        both()
        self._run(self.seller, self.seller.selling.withdraw, self.seller.quotes(request)[-1], "sold out")
        declined = self.rival.run(lambda tx: tx.requests.get(row))
        self._run(self.rival, self.rival.selling.decline, declined, b.Decline(reason="stock"))
        both()
        closing = Closing(DEV, self.buyer.reader, self.buyer.secrets)
        ours = self.buyer.run(lambda tx: tx.requests.get(row))
        self._run(self.buyer, closing.close, ours, b.CloseRequest(state="cancelled"))
        both()

    def _agree(self) -> None:
        order = self.seller.orders()[0]
        self._run(self.seller, self.seller.selling.accept, order, "with pleasure")
        self._settle()
        self._say(self.seller, order.hash, "It leaves on Monday.")
        self._deal.buyer.change(lines=[bodies_talk.RevisedLine(no=1, quantity="9")])
        self._settle()
        self._deal.seller.answer("accept")
        self._settle()
        self._deal.seller.cancel(reason="stock")
        self._settle()
        self._deal.buyer.answer("reject")
        self._settle()

    def _deliver(self) -> None:
        self._deal.seller.despatch()
        self._settle()
        self._deal.buyer.receive()
        self._settle()

    def _pay(self) -> None:
        self._deal.seller.invoice()
        self._settle()
        self._deal.buyer.pay()
        self._settle()
        self._deal.seller.confirm()
        self._settle()
        self._deal.seller.credit(None, (2, None), text="two were chipped")
        self._settle()

    def _quarrel(self) -> None:
        self._rate(self.buyer, 4)
        self._rate(self.seller, 5)
        self._settle()
        self._step(self.buyer, "open", reason="damaged")
        self._settle()
        self._step(self.seller, "statement", text="They left here whole.")
        self._settle()
        self._step(self.seller, "proposal", outcome="refund", amount="1.00 EUR")
        self._settle()
        self._step(self.buyer, "accept")
        self._settle()

    # Single acts

    def _run(self, side: Side, verb: Callable[..., Any], *arguments: object) -> Any:
        return side.run(lambda tx: verb(tx, *arguments, side.clock()))

    def _kept(self, side: Side, hash_: bytes) -> rows.Document:
        found = side.run(lambda tx: tx.documents.get(hash_))
        assert found is not None
        return found

    def _say(self, side: Side, about: bytes, text: str) -> None:
        kept = self._kept(side, about)
        self._run(side, side.talking.note, kept, bodies_talk.NewNote(about=kept.id, text=text))

    def _rate(self, side: Side, stars: int) -> None:
        body, order = bodies_quarrel.NewRating(stars=stars), side.orders()[0]
        side.run(lambda tx: quarrel.rate(tx, side.dealing, order, body, side.clock()))

    def _step(self, side: Side, step: str, **fields: object) -> None:
        body, order = bodies_quarrel.NewDispute(step=step, **fields), side.orders()[0]  # type: ignore[arg-type]
        side.run(lambda tx: quarrel.dispute(tx, side.dealing, order, body, side.clock()))


class Replay:
    """Says again what was said, and looks what comes of it."""

    def __init__(self, trade: Trade, rng: Random) -> None:
        self._sides, self._clock, self._rng = trade.sides, trade.clock, rng
        self._heard = list(dict.fromkeys(trade.heard))
        self._known: dict[tuple[str, Link, bytes], Answer] = {}
        self.counts: Counter[str] = Counter(deliveries=0, state_changes=0, other_answers=0)

    @property
    def messages(self) -> int:
        return len(self._heard)

    def kinds(self) -> set[int]:
        """The kinds of document that were said."""
        return {inside(sent.message).kind for sent in self._heard}

    def round(self) -> None:
        """Everything once more, an hour later, in another order."""
        self._clock.now += HOUR
        before = {name: side.dump() for name, side in self._sides.items()}
        self._rng.shuffle(self._heard)
        for sent in self._heard:
            for name, side in self._sides.items():
                if name == sent.at:
                    self._say(name, sent.link, sent.message, first_answers(sent))
                other = self._rng.choice(self._heard).link
                self._say(name, other, sent.message, None)
                self._say(name, (side.service.public, sent.link[1]), sent.message, None)
        after = {name: side.dump() for name, side in self._sides.items()}
        self.counts["state_changes"] += sum(before[name] != after[name] for name in before)

    def _say(self, at: str, link: Link, message: bytes, wanted: list[Answer] | None) -> None:
        side = self._sides[at]
        before = side.connection.total_changes
        try:
            said: Answer = tuple(answer(one) for one in side.take([message], link).answers)
        except PeerError as error:
            said = ("the link ends", error.code)
        self.counts["deliveries"] += 1
        self.counts["state_changes"] += side.connection.total_changes != before
        known = tuple(wanted) if wanted is not None else self._known.setdefault((at, link, message), said)
        self.counts["other_answers"] += said != known


def first_answers(sent: Sent) -> list[Answer] | None:
    """How it was answered; None where a document that came later was the answer."""
    is_answered_by_another = inside(sent.message).kind in {d.REQUEST, d.ORDER} and not sent.answers
    return None if is_answered_by_another else [answer(one) for one in sent.answers]


def answer(message: bytes) -> Answer:
    """What must stay the same of an answer: all its bytes if it says yes; of a no, which is signed anew, the reason."""
    decoded = decode_untrusted(message)
    if isinstance(decoded, Refused):
        return ("refused", decoded.code)
    assert isinstance(decoded, Document)
    said = inside(message).document
    if not isinstance(said, d.Acknowledgement):
        return ("document", message)
    return ("no", said.code) if said.status == "refused" else ("yes", message)


def torture(folder: Path, cycles: int, seed: int) -> dict[str, object]:
    """A trade, and so many rounds of it again; the figures."""
    began = time.monotonic()
    with pytest.MonkeyPatch.context() as patches:
        trade = Trade(folder, patches)
        trade.make()
        replay = Replay(trade, Random(seed))
        for number in range(1, cycles + 1):
            replay.round()
            if number % 10 == 0:
                print(f"{number}/{cycles} {dict(replay.counts)}", file=sys.stderr, flush=True)
        trade.close()
    kinds = {d.NAMES[kind] for kind in replay.kinds()}
    return {
        "cycles": cycles,
        "seed": seed,
        "messages": replay.messages,
        "kinds": len(kinds),
        "kinds_not_in_it": sorted(set(d.NAMES.values()) - kinds),
        **replay.counts,
        "seconds": round(time.monotonic() - began, 1),
    }


def main() -> int:
    """Print a table, or one line of JSON."""
    parser = argparse.ArgumentParser(prog="scripts/torture replay", description=__doc__)
    parser.add_argument("--cycles", type=int, default=100, help="how often everything is said again")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="one flat JSON object on the last line")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="p2pmarket-replay-") as folder:
        figures = torture(Path(folder), asked.cycles, asked.seed)
    print(json.dumps(figures) if asked.json else "\n".join(f"{name:24} {value}" for name, value in figures.items()))
    return int(bool(figures["state_changes"] or figures["other_answers"]))


if __name__ == "__main__":
    sys.exit(main())
