"""Prices and terms as the local API shows them: what quotes, counters, orders and contracts say alike."""

from __future__ import annotations

from p2pmarket.api.types.values import ChargeKind, Code, Money, Peer, Price, Quantity, Reply


class QuoteLine(Reply, frozen=True, kw_only=True):
    """One priced line; `amount` is price times quantity, rounded half-even once."""

    no: int
    request_line: int | None
    quantity: Quantity
    text: str
    code: Code | None
    price: Price
    amount: Money
    tax_rate: str | None


class Charge(Reply, frozen=True, kw_only=True):
    """What is added to (or, a discount, taken from) the goods."""

    kind: ChargeKind
    text: str | None
    amount: Money


class Tax(Reply, frozen=True, kw_only=True):
    """`included`: whether line prices contain it."""

    included: bool
    amount: Money


class DeliveryTerms(Reply, frozen=True, kw_only=True):
    """`days` after the order, or `latest` date; `incoterm` with its `place`."""

    days: int | None
    latest: str | None
    incoterm: str | None
    place: str | None
    ships_from: str | None


class Instalment(Reply, frozen=True, kw_only=True):
    """Part `no` of the total: due at `stage`, `days` after it, or on the day `due`."""

    no: int
    amount: Money
    stage: str
    days: int | None
    due: str | None


class PaymentPlan(Reply, frozen=True, kw_only=True):
    """When and how to pay; `methods` are words or payto: links."""

    stage: str | None
    days: int | None
    methods: list[str]
    instalments: list[Instalment]
    text: str | None


class Priced(Reply, frozen=True, kw_only=True):
    """What a quote and a counter to it say alike. `total` is all that is payable: goods, charges and tax.

    `payment_terms` says in a line what `payment` says part by part.
    """

    id: str
    request: str
    version: int
    seller: Peer
    issued_at: str
    valid_until: str
    lines: list[QuoteLine]
    missing_lines: list[int]
    charges: list[Charge]
    goods: Money
    tax: Tax
    total: Money
    divisible: bool
    delivery: DeliveryTerms
    payment_terms: str | None
    payment: PaymentPlan
    text: str | None
