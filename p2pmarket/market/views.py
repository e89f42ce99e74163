"""From signed documents and rows to the objects of the local API.

All of it runs in the ledger's thread, inside the transaction that reads. Labels such as "expired" are made here from
the clock; nothing binding is.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from p2pmarket import keys
from p2pmarket.api import types as t
from p2pmarket.clock import wall
from p2pmarket.errors import StoreError
from p2pmarket.limits import QUOTES_WANTED
from p2pmarket.market.labels import deal_state, quote_turn, request_state, turn_of
from p2pmarket.market.papers import Reader
from p2pmarket.market.progress import Dispatch, delivery_of, way_of
from p2pmarket.market.sheets import delivery_terms, money_of, payment_plan, payment_text, quote_line
from p2pmarket.network import Network
from p2pmarket.store import rows
from p2pmarket.store.ledger import Ledger
from p2pmarket.trade import documents as d
from p2pmarket.trade import values as v
from p2pmarket.trade.tables import quote_label
from p2pmarket.trade.thread.contract import fitted
from p2pmarket.vocab.categories import label_of
from p2pmarket.vocab.deadlines import instant_text
from p2pmarket.vocab.decimals import money_text

Standings = Callable[[Ledger, bytes], t.Standing | None]


def nothing_known(ledger: Ledger, identity: bytes) -> t.Standing | None:
    """The standing of everybody as long as no ratings are kept."""
    return None


@dataclass(frozen=True, slots=True)
class Views:
    """What the views need beside the ledger; `standing`: what is known of the ratings of an identity."""

    reader: Reader
    identity: bytes
    dispatch: Dispatch
    network: Network
    standing: Standings = nothing_known

    # Peers

    def peer(self, ledger: Ledger, public: bytes, name: str | None, identity: bytes | None = None) -> t.Peer:
        """Somebody by the key he signs with; `known` if he is a contact, or we have dealt with him."""
        known = identity is not None and (
            ledger.contacts.get(identity) is not None or ledger.orders.dealt_with(identity)
        )
        shown = identity or public
        return t.Peer(
            key=keys.did_key(public),
            identity=keys.did_key(identity) if identity else None,
            name=name or None,
            fingerprint=keys.fingerprint(shown),
            known=known,
            contradicted=ledger.proofs.count(shown),
            standing=self.standing(ledger, shown),
        )

    def seller(self, ledger: Ledger, request: bytes, seller: bytes) -> t.Peer:
        """A seller of a request; his name is the one he announced."""
        asked = ledger.requests.asked_one(request, seller)
        name = asked.name if asked else ledger.meta.profile().get("name") if seller == self.identity else None
        return self.peer(ledger, seller, name, seller)

    def buyer(self, ledger: Ledger, request: bytes, public: bytes) -> t.Peer:
        """The buyer of a request that somebody sent us, by a key of his; with the identity if he told it."""
        identity = self.introduced(ledger, request)
        if ledger.contacts.get(public) is not None or ledger.orders.of_party(request, public):
            identity = public
        contact = ledger.contacts.get(identity) if identity is not None else None
        return self.peer(ledger, public, contact.name if contact else None, identity)

    def introduced(self, ledger: Ledger, request: bytes) -> bytes | None:
        """The identity that the buyer of somebody else's request has made known: in the request, or in a note."""
        asked = self.reader.document(ledger, request, d.Request)
        kept = ledger.documents.get(request)
        if asked.identity is not None or kept is None:
            return asked.identity
        for note in ledger.documents.of_signer(request, d.kind_of(d.Note), kept.signer):
            said = self.reader.document(ledger, note.hash, d.Note)
            if said.identity is not None:
                return said.identity
        return None

    # Requests

    def request(self, ledger: Ledger, row: rows.Request) -> t.Request:
        """A request of either role."""
        document = self.reader.document(ledger, row.hash, d.Request)
        asked = ledger.requests.asked(row.hash)
        return t.Request(
            id=row.id,
            state=request_state(row),
            category=category_name(document.category),
            subject=document.subject,
            lines=[_request_line(line) for line in document.lines],
            region=document.region,
            from_region=document.from_region,
            currency=document.currency,
            quotes_wanted=document.quotes_wanted,
            reply_by=instant_text(document.reply_by),
            created_at=instant_text(row.created),
            reference=document.reference,
            search=search_of(row),
            counts=self._counts(ledger, row, asked),
            introduced=row.introduced,  # type: ignore[arg-type]
            made_for=d.document_id(d.REQUEST, row.made_for) if row.made_for else None,
            upstream=[one.id for one in ledger.requests.made_for(row.hash)] if row.role == "seller" else [],
            outcome=self._outcome(ledger, row),
        )

    def _outcome(self, ledger: Ledger, row: rows.Request) -> t.Outcome | None:
        """How a request of somebody else ended, as he told us last."""
        asked = ledger.documents.get(row.hash) if row.role == "seller" and row.state != "open" else None
        told = ledger.documents.of_signer(row.hash, d.OUTCOME, asked.signer) if asked is not None else []
        if not told:
            return None
        outcome = self.reader.document(ledger, told[-1].hash, d.Outcome)
        price = outcome.price
        return t.Outcome(
            result=outcome.result,
            price=t.Money(amount=money_text(price.amount, price.exponent), currency=price.currency) if price else None,
            text=outcome.text,
            issued_at=instant_text(outcome.issued_at),
        )

    def report(self, ledger: Ledger, row: rows.Request) -> t.RequestReport:
        """A request of ours with its sellers and quotes."""
        request = self.request(ledger, row)
        sellers = [self.seller_state(ledger, asked) for asked in ledger.requests.asked(row.hash)]
        quotes, ended = self.quotes(ledger, row.hash), self.ended(ledger, row)
        return t.RequestReport(request=request, sellers=sellers, quotes=quotes, ended=ended, problems=[])

    def seller_state(self, ledger: Ledger, asked: rows.Asked) -> t.SellerState:
        """What one seller has got and answered, and when we try again."""
        outgoing = ledger.outbox.of_document(asked.request, asked.seller)
        way = way_of(self.dispatch, ledger, outgoing)
        return t.SellerState(
            seller=self.peer(ledger, asked.seller, asked.name, asked.seller),
            delivery=way.delivery,
            answer=asked.answer,  # type: ignore[arg-type]
            reason=asked.reason or (outgoing.reason if outgoing else None),
            updated_at=instant_text(asked.updated),
            next=way.next,
            next_try_at=way.next_try_at,
            gives_up_at=way.gives_up_at,
        )

    def ended(self, ledger: Ledger, row: rows.Request) -> t.Ended | None:
        """Why waiting for a request of ours is over, or None while more may come."""
        answers = [one.answer for one in ledger.requests.asked(row.hash)]
        quoted = answers.count("quoted")
        if row.state in {"enough", "awarded", "cancelled"} or quoted >= (row.quotes_wanted or QUOTES_WANTED):
            return "enough"
        if row.reply_by <= wall():
            return "deadline"
        if not search_of(row).complete:
            return None
        if not answers:
            return "no_sellers"
        return "enough" if quoted and quoted + answers.count("declined") == len(answers) else None

    def _counts(self, ledger: Ledger, row: rows.Request, asked: list[rows.Asked]) -> t.Counts:
        answers = [one.answer for one in asked]
        states = [self.delivery(ledger.outbox.of_document(row.hash, one.seller)) for one in asked]
        return t.Counts(
            asked=len(asked),
            delivered=sum(state in {"delivered", "seen"} for state in states),
            seen=states.count("seen"),
            quoted=answers.count("quoted"),
            declined=answers.count("declined"),
            silent=answers.count("silent"),
            unreachable=answers.count("unreachable"),
        )

    def delivery(self, outgoing: rows.Outgoing | None) -> t.Delivery:
        """How far a document of ours has come."""
        return delivery_of(self.dispatch, outgoing)

    # Quotes

    def quotes(self, ledger: Ledger, request: bytes) -> list[t.Quote]:
        """The newest quote of each seller, and what was ordered; best first: most lines, then the lowest total."""
        rows_ = ledger.quotes.of_request(request)
        newest = {row.seller: row.hash for row in rows_}
        shown = [row for row in rows_ if row.state == "ordered" or row.hash == newest[row.seller]]
        quotes = [self.quote(ledger, row) for row in shown]
        return sorted(quotes, key=lambda quote: (len(quote.missing_lines), _total(quote), quote.id))

    def quote(self, ledger: Ledger, row: rows.Quote) -> t.Quote:
        """A quote that we gave or got."""
        document = self.reader.document(ledger, row.hash, d.Quote)
        request = ledger.requests.get(row.request)
        if request is None:
            raise StoreError("a quote without its request")
        sheet = document.sheet
        turn, then, actions = quote_turn(row, document.kind)
        return t.Quote(
            id=row.id,
            request=request.id,
            version=row.version,
            state=quote_label(row.state, row.valid_until, wall()),  # type: ignore[arg-type]
            kind=document.kind,
            seller=self.seller(ledger, row.request, row.seller),
            issued_at=instant_text(document.issued_at),
            valid_until=instant_text(document.valid_until),
            lines=[quote_line(line, sheet) for line in sheet.lines],
            missing_lines=list(document.missing_lines),
            charges=[t.Charge(kind=c.kind, text=c.text, amount=money_of(c.amount, sheet)) for c in sheet.charges],
            goods=money_of(sheet.goods, sheet),
            tax=t.Tax(included=sheet.tax_included, amount=money_of(sheet.tax, sheet)),
            total=money_of(sheet.total, sheet),
            divisible=document.terms.divisible,
            delivery=delivery_terms(document.terms.delivery),
            payment_terms=payment_text(document.terms.payment, sheet),
            payment=payment_plan(document.terms.payment, sheet),
            url=document.url,
            text=document.text,
            answers=self._named(ledger, document.answers),
            counter=d.document_id(d.COUNTER, row.counter) if row.counter else None,
            cancel_days=document.terms.cancel_days,
            referee=keys.did_key(document.terms.referee) if document.terms.referee is not None else None,
            upstream=[d.deal_id(found) for found in document.terms.upstream or ()],
            turn=turn,
            then=then,
            actions=actions,
        )

    def _named(self, ledger: Ledger, hash_: bytes | None) -> str | None:
        """The id of a document that is here."""
        kept = ledger.documents.get(hash_) if hash_ is not None else None
        return kept.id if kept is not None else None

    # Orders and deals

    def order(self, ledger: Ledger, row: rows.Order) -> t.Order:
        """An order of either role."""
        document = self.reader.document(ledger, row.hash, d.Order)
        quote = self.reader.document(ledger, row.quote, d.Quote)
        units = {line.no: line.unit for line in quote.sheet.lines}
        outgoing = ledger.outbox.of_document(row.hash, row.other)
        reason, text = self._said(ledger, row)
        return t.Order(
            id=row.id,
            deal=row.deal,
            quote=d.document_id(d.QUOTE, row.quote),
            request=d.document_id(d.REQUEST, row.request),
            state=row.state,  # type: ignore[arg-type]
            lines=[
                t.OrderLine(no=line.no, quantity=t.Quantity(value=line.quantity, unit=units.get(line.no, "C62")))
                for line in document.lines
            ],
            total=t.Money(amount=money_text(document.total, document.exponent), currency=document.currency),
            deliver_to=deliver_to(document.deliver_to),
            reference=document.reference,
            created_at=instant_text(row.created),
            answer_by=instant_text(row.answer_by),
            delivery=self.delivery(outgoing) if row.role == "buyer" else "delivered",
            reason=reason,
            text=text,
            referee=keys.did_key(document.referee) if document.referee is not None else None,
            payment=payment_plan(fitted(quote.terms, document.total).payment, quote.sheet),
        )

    def _said(self, ledger: Ledger, row: rows.Order) -> tuple[str | None, str | None]:
        """The reason and the words of a seller's answer; taking back the quote is an answer too."""
        if row.response is None:
            return "withdrawn" if row.state == "rejected" else None, None
        response = self.reader.document(ledger, row.response, d.OrderResponse)
        return response.reason, response.text

    def deal(self, ledger: Ledger, row: rows.Order) -> t.Deal:
        """The deal that an order makes; until the seller's word it is only ordered."""
        document = self.reader.document(ledger, row.hash, d.Order)
        request = self.reader.document(ledger, row.request, d.Request)
        turn, due, then = turn_of(row)
        return t.Deal(
            id=row.deal,
            role=row.role,  # type: ignore[arg-type]
            state=deal_state(row),
            other=self.other(ledger, row, document),
            title=title_of(request),
            total=t.Money(
                amount=money_text(self._total(ledger, row, document), document.exponent), currency=document.currency
            ),
            request=d.document_id(d.REQUEST, row.request),
            quote=d.document_id(d.QUOTE, row.quote),
            order=row.id,
            reference=document.reference,
            created_at=instant_text(row.created),
            agreed_at=instant_text(row.agreed) if row.agreed else None,
            payment_state=row.payment,  # type: ignore[arg-type]
            turn=turn,
            due_at=instant_text(due) if due else None,
            then=then,
            upstream=[d.deal_id(found) for found in document.upstream or ()],
            made_for=self._served(ledger, row),
        )

    def _served(self, ledger: Ledger, row: rows.Order) -> str | None:
        """The request in our inbox that we bought something for."""
        asked = ledger.requests.get(row.request)
        return d.document_id(d.REQUEST, asked.made_for) if asked is not None and asked.made_for else None

    def _total(self, ledger: Ledger, row: rows.Order, order: d.Order) -> int:
        """What a deal comes to by the contract in force."""
        if row.contract is None:
            return order.total
        change = self.reader.document(ledger, row.contract, d.Change)
        return change.sheet.total if change.sheet is not None else order.total

    def other(self, ledger: Ledger, row: rows.Order, document: d.Order) -> t.Peer:
        """The other side of an order."""
        if row.role == "buyer":
            return self.seller(ledger, row.request, row.other)
        name = document.deliver_to.name if document.deliver_to else None
        return self.peer(ledger, row.other, name, row.other)

    def announcement(self, row: rows.Announced, published: bool) -> t.Announcement:
        """An announcement of ours."""
        state: t.AnnouncementState = "published" if published else "publishing"
        if row.state == "withdrawn":
            state = "withdrawn"
        elif row.expires <= wall():
            state = "expired"
        return t.Announcement(
            id=row.id,
            category=row.category,
            regions=regions_of(row),
            holders=row.holders,
            expires_at=instant_text(row.expires),
            state=state,
        )


def title_of(request: d.Request) -> str:
    """One line that says what is wanted."""
    if request.subject:
        return request.subject
    first = request.lines[0].text
    return first if len(request.lines) == 1 else f"{first} and {len(request.lines) - 1} more"


def category_name(code: str) -> t.CategoryName:
    """A category with its label."""
    return t.CategoryName(code=code, label=label_of(code))


def search_of(row: rows.Request) -> t.Search:
    """How far the search went, as last written down."""
    said = json.loads(row.search)
    return t.Search(
        nodes_asked=said.get("nodes_asked", 0),
        sellers_found=said.get("sellers_found", 0),
        widened_to=said.get("widened_to", []),
        complete=said.get("complete", False),
    )


def regions_of(row: rows.Announced) -> list[str]:
    """The regions that an announcement serves."""
    regions: list[str] = json.loads(row.regions)
    return regions


def _total(quote: t.Quote) -> tuple[str, float]:
    return quote.total.currency, float(quote.total.amount)


def _request_line(line: v.RequestLine) -> t.Line:
    codes = [t.Code(scheme=code.scheme, value=code.value) for code in line.codes or ()]
    return t.Line(no=line.no, quantity=t.Quantity(value=line.quantity, unit=line.unit), text=line.text, codes=codes)


def deliver_to(party: v.Party | None) -> t.DeliverTo | None:
    """A name and address."""
    if party is None:
        return None
    return t.DeliverTo(
        name=party.name,
        address=list(party.address),
        region=party.region or "",
        contact=party.contact,
        tax_id=party.tax_id,
    )
