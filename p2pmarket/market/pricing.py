"""The price list in memory, and quotes made from it or by hand.

An automatic quote says only what is certain (`trade.quoting`); its terms are the settings. A quote by hand takes
the same terms wherever nothing else is said.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import get_args

import msgspec

from p2pmarket import limits
from p2pmarket.api.types import bodies as b
from p2pmarket.config import Incoterm, Quoting
from p2pmarket.errors import BadInput
from p2pmarket.market.drafting import bad_rows
from p2pmarket.market.payment_terms import payment_of
from p2pmarket.pricelist import PriceRow, read_quote_lines
from p2pmarket.store.rows import Price
from p2pmarket.trade import documents as d
from p2pmarket.trade import values as v
from p2pmarket.trade.money import make_sheet, priced_line
from p2pmarket.trade.quoting import Drafted, PriceIndex, quote_from_prices
from p2pmarket.vocab.currencies import exponent, money, parse_currency, parse_price
from p2pmarket.vocab.deadlines import parse_date, parse_deadline
from p2pmarket.vocab.decimals import check_decimal, decimal_text, parse_decimal
from p2pmarket.vocab.regions import parse_region
from p2pmarket.vocab.units import parse_unit

INCOTERMS: tuple[str, ...] = get_args(Incoterm)


@dataclass(frozen=True, slots=True)
class Offered:
    """The parts of a quote that its maker chooses."""

    sheet: v.Sheet
    terms: v.Terms
    kind: str
    valid_until: int
    url: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class PriceBook:
    """The rows of the price list, indexed, and the terms of quotes."""

    index: PriceIndex
    quoting: Quoting

    @classmethod
    def of(cls, rows: Iterable[Price], quoting: Quoting) -> PriceBook:
        """From the ledger's rows; rows without a tax rate take that of the settings."""
        return cls(PriceIndex([price_row(row, quoting.tax_rate) for row in rows]), quoting)

    def currency_for(self, request: d.Request) -> str | None:
        """The request's currency if the list has prices in it, else the list's own; None for an empty list."""
        currencies = [row.currency for row in self.index.rows]
        if request.currency in currencies:
            return request.currency
        return max(set(currencies), key=currencies.count) if currencies else None

    def draft(self, request: d.Request) -> tuple[Drafted, str] | None:
        """What the list answers to a request, and in which currency."""
        currency = self.currency_for(request)
        if currency is None:
            return None
        places = exponent(currency)
        return quote_from_prices(request.lines, self.index, currency=currency, exponent=places), currency

    def offer(self, drafted: Drafted, currency: str, wall: int) -> Offered:
        """An automatic quote of what was drafted."""
        charges = self._delivery_charge(currency)
        sheet = make_sheet(currency, exponent(currency), drafted.lines, charges, tax_included=self.quoting.tax_included)
        terms = self.terms(days=drafted.days, divisible=self.quoting.divisible and drafted.divisible)
        return Offered(sheet, terms, "firm", wall + self.quoting.valid_days * limits.DAY)

    def terms(self, *, days: int | None, divisible: bool) -> v.Terms:
        """The terms of the settings; the longer of the two times of delivery counts."""
        told = [each for each in (days, self.quoting.delivery_days) if each is not None]
        delivery = v.Delivery(
            days=max(told, default=None),
            incoterm=self.quoting.incoterm,
            place=self.quoting.place,
            ships_from=self.quoting.ships_from,
        )
        return v.Terms(
            divisible=divisible,
            delivery=delivery if delivery != v.Delivery() else None,
            payment=_payment(self.quoting),
        )

    def _delivery_charge(self, currency: str) -> tuple[v.Charge, ...]:
        told = self.quoting.delivery_charge
        if told is None:
            return ()
        value, written = parse_price(told, currency)
        if written != currency:
            return ()  # said for another currency: a person may add it
        return (_charge("delivery", value, currency, None, rate_of(self.quoting.tax_rate)),)

    # By hand

    def by_hand(self, body: b.NewQuote, request: d.Request, profile_currency: str | None, wall: int) -> Offered:
        """The quote that a body asks for. Raises BadInput, LimitReached."""
        prices, currency = _prices(body, request, profile_currency)
        rate = rate_of(body.tax_rate if body.tax_rate is not None else self.quoting.tax_rate)
        places = exponent(currency)
        lines = _hand_lines(body, request, prices, places, rate)
        charges = tuple(hand_charge(charge, currency, rate) for charge in body.charges)
        included = self.quoting.tax_included if body.tax_included is None else body.tax_included
        sheet = make_sheet(currency, places, lines, charges or self._delivery_charge(currency), tax_included=included)
        valid = (
            parse_deadline(body.valid, wall, body.utc_offset_s, limits.QUOTE_SECONDS)
            if body.valid
            else wall + self.quoting.valid_days * limits.DAY
        )
        terms = self.hand_terms(body)
        terms = msgspec.structs.replace(terms, payment=payment_of(terms.payment, body.payment, sheet))
        return Offered(sheet, terms, body.kind, valid, body.url, body.text)

    def hand_terms(self, body: b.NewQuote) -> v.Terms:
        """The terms of the settings with what a body says."""
        base = self.terms(days=None, divisible=self.quoting.divisible)
        told = base.delivery or v.Delivery()
        delivery = v.Delivery(
            days=told.days if body.delivery_days is None else body.delivery_days,
            latest=parse_date(body.delivery_latest) if body.delivery_latest else None,
            incoterm=_incoterm(body.incoterm) if body.incoterm else told.incoterm,
            place=body.place or told.place,
            ships_from=parse_region(body.ships_from) if body.ships_from else told.ships_from,
        )
        one_total = body.total is not None
        return v.Terms(
            divisible=not one_total and (base.divisible if body.divisible is None else body.divisible),
            delivery=delivery if delivery != v.Delivery() else None,
            payment=_with_text(base.payment, body.payment_terms),
            cancel_days=body.cancel_days,
        )


def _payment(quoting: Quoting) -> v.PaymentTerms | None:
    """The terms of payment of the settings; None if they say nothing."""
    terms = v.PaymentTerms(
        stage=quoting.payment_stage,
        days=quoting.payment_days,
        methods=tuple(quoting.pay_to),
        text=quoting.payment_terms,
    )
    return terms if terms != v.PaymentTerms() else None


def _with_text(payment: v.PaymentTerms | None, text: str | None) -> v.PaymentTerms | None:
    """A seller's own words of payment stand for all that the settings say of when; ways to pay stay."""
    if text is None:
        return payment
    return v.PaymentTerms(methods=payment.methods if payment is not None else (), text=text)


def price_row(row: Price, tax_rate: str | int | None) -> PriceRow:
    """A row of the ledger as the price list's."""
    rate = row.tax_rate if row.tax_rate is not None else rate_of(tax_rate)
    return PriceRow(
        code=row.code,
        description=row.description,
        unit=row.unit,
        price=Decimal(row.price),
        per=Decimal(row.per),
        currency=row.currency,
        stock=_decimal(row.stock),
        min_qty=_decimal(row.min_qty),
        category=row.category,
        lead_days=row.lead_days,
        tax_rate=_decimal(rate),
        url=row.url,
        row=row.row,
    )


def ledger_row(row: PriceRow) -> Price:
    """A row of the price list as the ledger keeps it."""
    return Price(
        row=row.row,
        code=row.code,
        description=row.description,
        unit=row.unit,
        price=decimal_text(row.price),
        per=decimal_text(row.per),
        currency=row.currency,
        stock=_text(row.stock),
        min_qty=_text(row.min_qty),
        category=row.category,
        lead_days=row.lead_days,
        tax_rate=_text(row.tax_rate),
        url=row.url,
    )


@dataclass(frozen=True, slots=True)
class _HandPrice:
    price: str
    quantity: str | None = None
    text: str | None = None
    tax_rate: str | None = None


def _prices(body: b.NewQuote, request: d.Request, profile_currency: str | None) -> tuple[dict[int, _HandPrice], str]:
    """Price by line of the request, and the one currency of all."""
    default = parse_currency(body.currency) if body.currency else request.currency or profile_currency
    prices: dict[int, _HandPrice] = {}
    currencies: set[str] = set()
    for no, price, quantity, text, rate in _told(body, request, default):
        value, currency = parse_price(price, default)
        if currency is None:
            raise BadInput(f"line {no}: the price has no currency", hint="Write 12.50 EUR, or give --currency")
        if no in prices:
            raise BadInput(f"line {no} is priced twice")
        if value < 0:
            raise BadInput(f"line {no}: the price is below zero", hint="Give a discount as a charge")
        currencies.add(currency)
        prices[no] = _HandPrice(decimal_text(value), quantity, text, rate_of(rate))
    if not prices:
        raise BadInput("the quote has no price", hint='Price lines with --line 1=12.50, or all with --total "99 EUR"')
    if len(currencies) > 1:
        raise BadInput(f"prices in {', '.join(sorted(currencies))}", hint="A quote is in one currency")
    return prices, currencies.pop()


def _told(
    body: b.NewQuote, request: d.Request, default: str | None
) -> list[tuple[int, str, str | None, str | None, str | None]]:
    told = [(line.no, line.price, line.quantity, line.text, line.tax_rate) for line in body.lines]
    if body.csv is not None:
        read = read_quote_lines(body.csv.data, body.csv.mapping, default)
        if read.problems:
            raise bad_rows("the file of prices", read.problems)
        for row in read.rows:
            price = f"{decimal_text(row.price)} {row.currency or ''}".strip()
            told.append((row.line, price, _text(row.quantity), row.text, None))
    if body.total is not None:
        if told:
            raise BadInput("lines and a total were given", hint="Price the lines, or give one total for all")
        told = [(line.no, "0", None, None, None) for line in request.lines]
        told[0] = (request.lines[0].no, body.total, None, None, None)
    return told


def _hand_lines(
    body: b.NewQuote, request: d.Request, prices: dict[int, _HandPrice], places: int, rate: str | None
) -> list[v.QuoteLine]:
    asked = {line.no: line for line in request.lines}
    lines = []
    for no, told in sorted(prices.items()):
        if no not in asked:
            raise BadInput(f"the request has no line {no}", hint=f"It has the lines 1 to {len(asked)}")
        wanted = asked[no]
        _check_quantity(no, told.quantity, wanted)
        per = wanted.quantity if body.total is not None else "1"  # one total: the price is that of all of line 1
        lines.append(
            priced_line(
                no,
                request_line=no,
                quantity=wanted.quantity,
                unit=wanted.unit,
                text=told.text or wanted.text,
                price=told.price,
                per=per,
                exponent=places,
                tax_rate=told.tax_rate or rate,
            )
        )
    return lines


def _check_quantity(no: int, quantity: str | None, wanted: v.RequestLine) -> None:
    """A quoted line answers all of the requested one; a different quantity would be another offer."""
    if quantity is None:
        return
    value, _, unit = quantity.strip().partition(" ")
    if parse_decimal(value) != Decimal(wanted.quantity) or (unit and parse_unit(unit) != wanted.unit):
        raise BadInput(
            f"line {no}: {quantity[:60]} is not the quantity asked for, {wanted.quantity} {wanted.unit}",
            hint="Quote the whole line; the buyer may order less of it",
        )


def hand_charge(charge: b.NewCharge, currency: str, rate: str | None) -> v.Charge:
    """A charge as a person said it. Raises BadInput."""
    value, written = parse_price(charge.amount, currency)
    if written != currency:
        raise BadInput(f"a charge in {written} on a quote in {currency}", hint="A quote is in one currency")
    return _charge(charge.kind, value, currency, charge.text, rate)


def _charge(kind: str, value: Decimal, currency: str, text: str | None, rate: str | None) -> v.Charge:
    minor = money(abs(value), currency).minor
    if kind != "discount" and value < 0:
        raise BadInput("a charge below zero", hint="Use a charge of kind discount")
    amount = -minor if kind == "discount" else minor
    return v.Charge(kind=kind, amount=amount, text=text, tax_rate=rate)  # type: ignore[arg-type]


def _incoterm(text: str) -> str:
    code = text.strip().upper()
    if code not in INCOTERMS:
        raise BadInput(f"{text[:20]!r} is no Incoterm", hint=f"Incoterms 2020: {', '.join(INCOTERMS)}")
    return code


def rate_of(rate: str | int | None) -> str | None:
    """A tax rate in per cent, as documents have it. Raises BadInput."""
    if rate is None:
        return None
    value = parse_decimal(str(rate).removesuffix("%").strip())
    if not 0 <= value <= 100:
        raise BadInput(f"a tax rate of {rate} per cent", hint="Give it in per cent: 20")
    return decimal_text(check_decimal(value))


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _text(value: Decimal | None) -> str | None:
    return None if value is None else decimal_text(value)
