"""The chain upstream: to quote a buyer what others quote us, with a margin.

The quote is not valid for longer than the one it is made from, and in its currency. What it depends on is told only
where the seller names deals of his own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

import msgspec

from p2pmarket import limits
from p2pmarket.api.types import bodies as b
from p2pmarket.errors import BadInput, WrongState
from p2pmarket.market.papers import Reader
from p2pmarket.market.pricing import Offered, PriceBook, hand_charge, rate_of
from p2pmarket.store import rows
from p2pmarket.store.ledger import Ledger
from p2pmarket.trade import documents as d
from p2pmarket.trade import values as v
from p2pmarket.trade.money import line_amount, make_sheet
from p2pmarket.vocab.currencies import parse_price
from p2pmarket.vocab.deadlines import parse_deadline
from p2pmarket.vocab.decimals import decimal_text, parse_decimal
from p2pmarket.vocab.texts import normal_text

MARGIN_PERCENT = 1000  # above that somebody has typed a price


@dataclass(frozen=True, slots=True)
class Source:
    """A quote that we got, with its request."""

    row: rows.Quote
    quote: d.Quote
    request: rows.Request


def offer_from(
    ledger: Ledger, reader: Reader, book: PriceBook, row: rows.Request, body: b.NewQuote, wall: int
) -> Offered:
    """What we offer for a request: the prices of an upstream quote plus a margin. Raises BadInput, WrongState."""
    source = _source(ledger, reader, body.from_quote or "")
    asked = reader.document(ledger, row.hash, d.Request)
    sheet = source.quote.sheet
    if asked.currency not in (None, sheet.currency):
        raise BadInput(
            f"{source.row.id} is in {sheet.currency}, the buyer wants {asked.currency}",
            hint=f"Reckon the prices yourself: market quote {row.id[:10]} --line 1=PRICE --currency {asked.currency}",
        )
    if source.quote.kind == "indicative" and body.kind == "firm":
        raise BadInput(f"{source.row.id} binds nobody", hint="Quote as openly: --indicative, or ask for a firm quote")
    places = _pairs(source, asked, served=source.request.made_for == row.hash)
    if not places:
        raise BadInput(
            f"no line of {source.row.id} is one of {row.id}", hint="Price the lines yourself: --line N=PRICE"
        )
    made = make_sheet(
        sheet.currency,
        sheet.exponent,
        _lines(source, asked, places, body, book),
        _charges(sheet, places, body, book),
        tax_included=sheet.tax_included if body.tax_included is None else body.tax_included,
    )
    valid = _valid_until(source, body, book, wall)
    return Offered(made, _terms(book, body, source.quote.terms), body.kind, valid, body.url, body.text)


def upstream_of(ledger: Ledger, ids: Sequence[str]) -> tuple[bytes, ...] | None:
    """The hashes of deals in which we buy, by their ids; None for none. Raises NotFound, BadInput."""
    found = []
    for id_ in ids:
        order = ledger.orders.get(ledger.documents.resolve(id_).hash)
        if order is None or order.role != "buyer":
            raise BadInput(f"{id_} is no deal in which you buy", hint="market deals --role buyer lists them")
        found.append(order.hash)
    return tuple(dict.fromkeys(found)) or None


def _source(ledger: Ledger, reader: Reader, id_: str) -> Source:
    row = ledger.quotes.get(ledger.documents.resolve(id_).hash)
    request = ledger.requests.get(row.request) if row is not None else None
    if row is None or row.ours or request is None:
        raise BadInput(f"{id_} is no quote that you got", hint="market requests, then market quotes REQUEST")
    if row.state not in {"open", "countered", "ordered"}:
        raise WrongState(f"{row.id} is {row.state}", hint=f"See what is newer: market quotes {request.id[:10]}")
    return Source(row, reader.document(ledger, row.hash, d.Quote), request)


def _pairs(source: Source, asked: d.Request, *, served: bool) -> dict[int, int]:
    """Line of the upstream quote -> line of the request: by number if we asked for it, else by what it says."""
    wanted = {line.no: line for line in asked.lines}
    texts: dict[str, list[int]] = {}
    for line in asked.lines:
        texts.setdefault(normal_text(line.text), []).append(line.no)
    pairs: dict[int, int] = {}
    for offered in source.quote.sheet.lines:
        same = texts.get(normal_text(offered.text), [])
        no = offered.request_line if served else same[0] if len(same) == 1 else None
        found = wanted.get(no or 0)
        if found is not None and (found.quantity, found.unit) == (offered.quantity, offered.unit):
            pairs[offered.no] = found.no
    return pairs


def _lines(
    source: Source, asked: d.Request, places: dict[int, int], body: b.NewQuote, book: PriceBook
) -> list[v.QuoteLine]:
    """The lines with our prices, numbered as the request's."""
    sheet, factor = source.quote.sheet, 1 + _margin(body.margin) / 100
    told = {line.no: line for line in body.lines}
    rate = rate_of(body.tax_rate if body.tax_rate is not None else book.quoting.tax_rate)
    texts = {line.no: line.text for line in asked.lines}
    made = []
    for offered in sheet.lines:
        no = places.get(offered.no)
        if no is None:
            continue
        mine = told.pop(no, None)
        price = _price(mine.price, sheet.currency, no) if mine else _plus(offered.price, factor, sheet.exponent)
        made.append(
            msgspec.structs.replace(
                offered,
                no=no,
                request_line=no,
                text=(mine.text if mine else None) or texts[no],
                code=None,
                price=price,
                amount=line_amount(price, offered.quantity, offered.per, sheet.exponent),
                tax_rate=rate or offered.tax_rate,
                details=_details(offered.details),
            )
        )
    if told:
        raise BadInput(
            f"{source.row.id} has no line for line {min(told)}", hint="Quote it whole by hand: --line N=PRICE"
        )
    return sorted(made, key=lambda line: line.no)


def _details(details: v.QuoteLineDetails | None) -> v.QuoteLineDetails | None:
    """What our buyer may know of a line: bounds and times, not where we buy it."""
    return msgspec.structs.replace(details, url=None, attachments=None) if details is not None else None


def _charges(sheet: v.Sheet, places: dict[int, int], body: b.NewQuote, book: PriceBook) -> list[v.Charge]:
    """Charges as they are upstream, without their words; those told replace all of their kind."""
    rate = rate_of(body.tax_rate if body.tax_rate is not None else book.quoting.tax_rate)
    told = [hand_charge(charge, sheet.currency, rate) for charge in body.charges]
    kinds = {charge.kind for charge in told}
    passed = [
        msgspec.structs.replace(
            charge,
            text=None,
            line=places[charge.line] if charge.line is not None else None,
            tax_rate=rate or charge.tax_rate,
        )
        for charge in sheet.charges
        if charge.kind not in kinds and (charge.line is None or charge.line in places)
    ]
    return [*passed, *told]


def _price(text: str, currency: str, no: int) -> str:
    value, written = parse_price(text, currency)
    if written != currency or value < 0:
        raise BadInput(f"line {no}: the quote is in {currency}", hint="One quote, one currency, no price below zero")
    return decimal_text(value)


def _plus(price: str, factor: Decimal, exponent: int) -> str:
    """A unit price with the margin, to as many places as it has, at least those of the currency."""
    value = Decimal(price)
    places = max(exponent, -int(value.as_tuple().exponent))
    return decimal_text((value * factor).quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP))


def _margin(text: str | None) -> Decimal:
    if text is None:
        return Decimal(0)
    value = parse_decimal(text.strip().removesuffix("%").strip())
    if not 0 <= value <= MARGIN_PERCENT:
        raise BadInput(f"a margin of {text[:20]}", hint="Give it in per cent of the upstream price: --margin 12%")
    return value


def _valid_until(source: Source, body: b.NewQuote, book: PriceBook, wall: int) -> int:
    """As said or as the settings have it, but not beyond the upstream quote, unless we have ordered that."""
    last = None if source.row.state == "ordered" else source.quote.valid_until
    if last is not None and last <= wall:
        raise WrongState(f"{source.row.id} has expired", hint="Ask for a new version: market note QUOTE TEXT")
    if not body.valid:
        usual = wall + book.quoting.valid_days * limits.DAY
        return usual if last is None else min(usual, last)
    valid = parse_deadline(body.valid, wall, body.utc_offset_s, limits.QUOTE_SECONDS)
    if last is not None and valid > last:
        raise BadInput(
            f"{source.row.id} is valid for a shorter time than that",
            hint="Leave --valid out: your quote is then good as long as that one",
        )
    return valid


def _terms(book: PriceBook, body: b.NewQuote, upstream: v.Terms) -> v.Terms:
    """Our terms; goods arrive no sooner than they do here, and are sold in part only if we can buy them so."""
    terms = book.hand_terms(body)
    delivery, theirs = terms.delivery or v.Delivery(), upstream.delivery or v.Delivery()
    days = delivery.days
    if body.delivery_days is None and body.delivery_latest is None and theirs.days is not None:
        days = theirs.days + (days or 0)
    latest = delivery.latest or (theirs.latest if body.delivery_days is None else None)
    delivery = msgspec.structs.replace(delivery, days=days, latest=latest)
    return msgspec.structs.replace(
        terms,
        divisible=terms.divisible and (upstream.divisible or bool(body.divisible)),
        delivery=delivery if delivery != v.Delivery() else None,
    )
