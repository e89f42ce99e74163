"""The parts of a price sheet and of terms as objects of the local API."""

from __future__ import annotations

from p2pmarket.api import types as t
from p2pmarket.trade import values as v
from p2pmarket.trade.thread import Contract, Thread, cancels_alone_from, in_force
from p2pmarket.vocab.deadlines import instant_text
from p2pmarket.vocab.decimals import money_text


def money_of(minor: int, sheet: v.Sheet) -> t.Money:
    """An amount of a sheet."""
    return t.Money(amount=money_text(minor, sheet.exponent), currency=sheet.currency)


def quote_line(line: v.QuoteLine, sheet: v.Sheet) -> t.QuoteLine:
    """One priced line."""
    return t.QuoteLine(
        no=line.no,
        request_line=line.request_line,
        quantity=t.Quantity(value=line.quantity, unit=line.unit),
        text=line.text,
        code=t.Code(scheme=line.code.scheme, value=line.code.value) if line.code else None,
        price=t.Price(amount=line.price, currency=sheet.currency, per=t.Quantity(value=line.per, unit=line.unit)),
        amount=money_of(line.amount, sheet),
        tax_rate=line.tax_rate,
    )


def delivery_terms(delivery: v.Delivery | None) -> t.DeliveryTerms:
    """Terms of delivery; all null if there are none."""
    told = delivery or v.Delivery()
    return t.DeliveryTerms(
        days=told.days, latest=told.latest, incoterm=told.incoterm, place=told.place, ships_from=told.ships_from
    )


def payment_text(payment: v.PaymentTerms | None, sheet: v.Sheet) -> str | None:
    """Terms of payment in a line, with each instalment of what `sheet` comes to."""
    if payment is None:
        return None
    if payment.instalments:
        parts = [_instalment_text(no, part, sheet) for no, part in enumerate(payment.instalments, 1)]
        return "; ".join([*parts, *([payment.text] if payment.text else payment.methods)])
    stage = payment.stage.replace("_", " ") if payment.stage else None
    days = f"{payment.days} days" if payment.days is not None else None
    return payment.text or ", ".join(part for part in (stage, days, *payment.methods) if part) or None


def _instalment_text(no: int, part: v.Instalment, sheet: v.Sheet) -> str:
    """`1: 30.00 EUR before delivery`."""
    days = f" +{part.days} days" if part.days else ""
    amount = f"{money_text(part.amount, sheet.exponent)} {sheet.currency}"
    return f"{no}: {amount} {part.due or part.stage.replace('_', ' ')}{days}"


def payment_plan(terms: v.PaymentTerms | None, sheet: v.Sheet) -> t.PaymentPlan:
    """Terms of payment part by part."""
    told = terms or v.PaymentTerms()
    parts = enumerate(told.instalments or (), 1)
    return t.PaymentPlan(
        stage=told.stage,
        days=told.days,
        methods=list(told.methods),
        instalments=[
            t.Instalment(no=no, amount=money_of(part.amount, sheet), stage=part.stage, days=part.days, due=part.due)
            for no, part in parts
        ],
        text=told.text,
    )


def alone_from(thread: Thread, order: bytes, contract: Contract) -> str | None:
    """After when the buyer may end a deal alone, by its contract in force; None for any other."""
    after = cancels_alone_from(thread, order)
    return instant_text(after) if after is not None and in_force(thread, order) == contract else None
