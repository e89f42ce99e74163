"""Terms of payment as people type them: when, how, in which parts."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import msgspec

from p2pmarket.api.types.bodies import NewInstalment, NewPaymentTerms
from p2pmarket.errors import BadInput
from p2pmarket.trade import values as v
from p2pmarket.trade.money import round_half_even
from p2pmarket.trade.thread import Thread, contracts
from p2pmarket.vocab.currencies import parse_money
from p2pmarket.vocab.deadlines import parse_date
from p2pmarket.vocab.decimals import money_text, parse_decimal, shown
from p2pmarket.vocab.payto import is_payto, parse_payto


def payment_of(before: v.PaymentTerms | None, told: NewPaymentTerms | None, sheet: v.Sheet) -> v.PaymentTerms | None:
    """The terms with what was told; what is null stays. Instalments come to the sheet's total. Raises BadInput."""
    if told is None or told == NewPaymentTerms():
        return before
    old = before or v.PaymentTerms()
    payment = msgspec.structs.replace(
        old,
        stage=told.stage or old.stage,
        days=told.days if told.days is not None else old.days,
        methods=checked_methods(told.methods) or old.methods,
        text=told.text or old.text,
    )
    if told.instalments:
        parts = _instalments(told.instalments, sheet)
        payment = msgspec.structs.replace(payment, stage="instalments", instalments=parts)
    return payment


def checked_methods(methods: Sequence[str]) -> tuple[str, ...]:
    """Ways to pay, whose payto: links are well formed. Raises BadInput."""
    for method in methods:
        if is_payto(method):
            parse_payto(method)
    return tuple(methods)


def minor_of(text: str, sheet: v.Sheet) -> int:
    """An amount above zero in the currency of a sheet, in minor units. Raises BadInput."""
    money = parse_money(text, sheet.currency)
    if money.currency != sheet.currency or money.exponent != sheet.exponent:
        raise BadInput(f"this is in {sheet.currency}, not {money.currency}", hint="Give the amount in its currency")
    if money.minor <= 0:
        raise BadInput(f"{shown(text)} is no amount to pay", hint=f"Write it as 12.50 {sheet.currency}")
    return money.minor


def within_total(thread: Thread, deal: bytes, amount: int) -> int:
    """The amount. Raises BadInput for nothing, and for more than the deal comes to, which no receiver takes."""
    contract = max(contracts(thread, deal), key=lambda one: one.sheet.total)
    comes = "comes" if len(contracts(thread, deal)) == 1 else "ever came"
    total = f"{money_text(contract.sheet.total, contract.sheet.exponent)} {contract.sheet.currency}"
    if 0 < amount <= contract.sheet.total:
        return amount
    typed = f"{money_text(amount, contract.sheet.exponent)} {contract.sheet.currency}"
    what = f"more than the deal {comes} to: {total}" if amount > 0 else "no amount above zero"
    raise BadInput(f"{typed} is {what}", hint=f"Name at most {total}")


def _instalments(told: Sequence[NewInstalment], sheet: v.Sheet) -> tuple[v.Instalment, ...]:
    """The parts, which come to the total; "rest" is what the others leave."""
    shares = [_share(part.amount, sheet) for part in told]
    named = [share for share in shares if share is not None]
    rest, rests = sheet.total - sum(named), len(shares) - len(named)
    if rests > 1 or (rest > 0) != (rests == 1) or rest < 0 or any(amount <= 0 for amount in named):
        raise BadInput(
            "the instalments do not come to the total", hint="Write the last one as: --instalment rest@after_delivery"
        )
    return tuple(
        v.Instalment(
            amount=rest if share is None else share,
            stage=part.stage,
            days=part.days,
            due=parse_date(part.due) if part.due else None,
        )
        for share, part in zip(shares, told, strict=True)
    )


def _share(text: str, sheet: v.Sheet) -> int | None:
    """An amount, a percentage of the total, or None for the rest."""
    word = text.strip().lower()
    if word == "rest":
        return None
    if word.endswith("%"):
        part = Fraction(parse_decimal(word[:-1].strip())) / 100 * sheet.total
        return round_half_even(part.numerator, part.denominator)
    return minor_of(text, sheet)
