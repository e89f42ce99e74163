"""A deal that two sides made of chance: its file, a proof that one of them contradicts himself, and ratings of it."""

from __future__ import annotations

from random import Random

import msgspec

from p2pmarket import records
from p2pmarket.keys import ExchangeKey, SigningKey
from p2pmarket.network import TEST
from p2pmarket.trade import evidence, making
from p2pmarket.trade.documents import Opened, Request, seal_document
from p2pmarket.trade.fulfilling import make_note, make_rating
from p2pmarket.trade.money import make_sheet, priced_line
from p2pmarket.trade.thread import Thread
from p2pmarket.trade.values import Aspect, RequestLine, Terms

DAY = 86_400


class Deal:
    """Request, quote, order and acceptance, signed at `wall`."""

    def __init__(self, rng: Random, wall: int) -> None:
        self.rng, self.wall = rng, wall
        self.asker, self.buyer, self.seller = (SigningKey(rng.randbytes(32)) for _ in range(3))
        reply_key = ExchangeKey(rng.randbytes(32)).public
        routes = (records.direct_route("10.1.2.3", 4001),)
        request = Request(
            nonce=rng.randbytes(16),
            issued_at=wall,
            reply_key=reply_key,
            routes=routes,
            category="coffee/roasted",
            lines=(RequestLine(no=1, quantity="3", unit="C62", text="cups"),),
            quotes_wanted=3,
            reply_by=wall + DAY,
        )
        (sealed,) = making.make_request(request, self.asker, TEST, [self.seller.public])
        self.thread = Thread.of(TEST, self.seller.public, sealed)
        price = f"{rng.randrange(1, 99)}.5"
        line = priced_line(1, request_line=1, quantity="3", unit="C62", text="cups", price=price, exponent=2)
        self.quote = self._add(
            making.make_quote(
                self.thread,
                self.seller,
                self._moment(),
                sheet=make_sheet("EUR", 2, [line]),
                terms=Terms(divisible=True),
                valid_until=wall + DAY,
            )
        )
        self.order = self._add(
            making.make_order(
                self.thread,
                self.buyer,
                self.asker,
                self._moment(),
                quote=self.quote.hash,
                answer_by=wall + DAY,
                reply_key=reply_key,
                routes=routes,
            )
        )
        self._add(making.make_order_response(self.thread, self.seller, self._moment(), self.order.hash, "AP"))
        self._add(make_note(self.thread, self.buyer, self._moment(), self.order.hash, "thank you, 김 커피"))

    def file(self) -> bytes:
        """What `market export` writes."""
        return evidence.export_deal(self.thread, self.order.hash)

    def contradiction(self) -> bytes:
        """A proof that the seller has signed two quotes in one place."""
        again = msgspec.structs.replace(self.quote.document, nonce=self.rng.randbytes(16))
        other = seal_document(again, self.seller, TEST, self.asker.public)
        return evidence.export_equivocation(TEST, self.quote, other)

    def rating(self) -> bytes:
        """The envelope of a rating by either side."""
        rater = self.rng.choice((self.buyer, self.seller))
        aspects = [Aspect("goods", self.rng.randint(1, 5)), Aspect("talk", 3)]
        text = self.rng.choice((None, "good", "좋아요"))
        return make_rating(self.thread, rater, self._moment(), self.order.hash, aspects, text).envelope

    def _moment(self) -> making.Moment:
        return making.Moment(self.wall, self.rng.randbytes)

    def _add(self, opened: Opened) -> Opened:
        self.thread = self.thread.adding(opened)
        return opened
