"""What buyer and seller have both signed: the order as accepted, and every change of it that has both signatures.

Rules. A contract is a sheet with what was ordered of it and the terms; of a part that was ordered, instalments keep
their proportions. A change is in force when one side proposed it and the other accepted it; the highest version so
signed stands. As each signer may agree to one content per version, no version can be in force twice. Documents signed
under an older contract stay good: a parcel may leave while a change is on its way, so a document holds if it fits any
contract of its deal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import msgspec

from p2pmarket.trade.documents import Change, Opened, Order
from p2pmarket.trade.money import fraction as value_of
from p2pmarket.trade.money import line_amount, round_half_even, totals, whole
from p2pmarket.trade.thread.thread import Thread
from p2pmarket.trade.values import Charge, OrderLine, Party, QuoteLine, Sheet, Terms


@dataclass(frozen=True, slots=True)
class Contract:
    """What is to be delivered and paid: `sheet` holds the ordered lines alone.

    `version` 0 is the order itself, any other that of `change`, the hash of the proposal.
    """

    version: int
    sheet: Sheet
    terms: Terms
    deliver_to: Party | None
    change: bytes | None = None

    @property
    def lines(self) -> Mapping[int, QuoteLine]:
        """The lines by number."""
        return {line.no: line for line in self.sheet.lines}

    @property
    def quantities(self) -> Mapping[int, Fraction]:
        """How much of each line."""
        return {line.no: value_of(line.quantity) for line in self.sheet.lines}

    @property
    def chosen(self) -> tuple[OrderLine, ...]:
        """All lines with their quantities."""
        return whole(self.sheet)


def contracts(thread: Thread, order_hash: bytes) -> tuple[Contract, ...]:
    """The order and its changes with both signatures, by rising version. Raises KeyError for an unknown order."""
    known = thread.known_contracts.get(order_hash)
    if not isinstance(known, tuple):
        known = thread.known_contracts[order_hash] = _contracts(thread, order_hash)
    return known


def _contracts(thread: Thread, order_hash: bytes) -> tuple[Contract, ...]:
    _, order = thread.orders[order_hash]
    first = _of_order(thread, order)
    signed = sorted(_signed_changes(thread, order_hash), key=lambda found: (found[1].version, found[0]))
    return (first, *(_of_change(first, change, found) for found, change in signed))


def in_force(thread: Thread, order_hash: bytes) -> Contract:
    """The contract that stands. Raises KeyError for an unknown order."""
    return contracts(thread, order_hash)[-1]


def proposed(thread: Thread, order_hash: bytes) -> tuple[Contract, ...]:
    """Changes that were proposed, signed by both or not: their acceptance may be under way."""
    first = _of_order(thread, thread.orders[order_hash][1])
    found = [(o.hash, c) for o, c in thread.each(Change) if c.deal == order_hash and c.step == "propose"]
    return tuple(_of_change(first, change, hash_) for hash_, change in found if change.sheet and change.terms)


def ordered_sheet(sheet: Sheet, chosen: Sequence[OrderLine]) -> Sheet:
    """The sheet of a partial order: its lines priced anew for their quantities, charges scaled or dropped."""
    offered = {line.no: line for line in sheet.lines}
    if chosen == whole(sheet):
        return sheet
    wanted = {line.no: line.quantity for line in chosen}
    lines = [reduced_line(line, wanted[no], sheet.exponent) for no, line in offered.items() if no in wanted]
    goods = sum(line.amount for line in lines)
    charges = []
    for charge in sheet.charges:
        if charge.line is None:
            share = Fraction(goods, sheet.goods) if sheet.goods else Fraction(1)
        elif charge.line in wanted:
            share = value_of(wanted[charge.line]) / value_of(offered[charge.line].quantity)
        else:
            continue
        charges.append(scaled(charge, share))
    return _summed(sheet, lines, charges)


def fitted(terms: Terms, total: int) -> Terms:
    """The terms with instalments that come to `total`, each in its proportion; the last takes what is left."""
    payment = terms.payment
    if payment is None or payment.instalments is None:
        return terms
    before = sum(part.amount for part in payment.instalments)
    if before in (total, 0):
        return terms
    amounts = [part.amount * total // before for part in payment.instalments]
    amounts[-1] += total - sum(amounts)
    parts = tuple(
        msgspec.structs.replace(part, amount=amount) for part, amount in zip(payment.instalments, amounts, strict=True)
    )
    return msgspec.structs.replace(terms, payment=msgspec.structs.replace(payment, instalments=parts))


def _summed(sheet: Sheet, lines: list[QuoteLine], charges: list[Charge]) -> Sheet:
    """A sheet of these lines and charges; whoever ordered it signed its total, so no amount is refused here."""
    sums = totals(
        ((line.tax_rate, line.amount) for line in lines),
        ((charge.tax_rate, charge.amount) for charge in charges),
        tax_included=sheet.tax_included,
    )
    return msgspec.structs.replace(
        sheet,
        lines=tuple(lines),
        charges=tuple(charges),
        goods=sums.goods,
        taxes=sums.taxes,
        tax=sums.tax,
        total=sums.total,
    )


def reduced_line(line: QuoteLine, quantity: str, exponent: int) -> QuoteLine:
    """The line for another quantity, at its price."""
    amount = line_amount(line.price, quantity, line.per, exponent)
    return msgspec.structs.replace(line, quantity=quantity, amount=amount)


def scaled(charge: Charge, share: Fraction) -> Charge:
    """The charge for this share of what it was for; one that is not scaled is paid whole."""
    if not charge.scaled:
        return charge
    amount = charge.amount * share
    return msgspec.structs.replace(charge, amount=round_half_even(amount.numerator, amount.denominator))


def _of_order(thread: Thread, order: Order) -> Contract:
    quote = thread.quotes[order.quote]
    sheet = ordered_sheet(quote.sheet, order.lines)
    return Contract(0, sheet, fitted(quote.terms, sheet.total), order.deliver_to)


def _of_change(first: Contract, change: Change, found: bytes) -> Contract:
    assert change.sheet is not None
    assert change.terms is not None
    return Contract(change.version, change.sheet, change.terms, change.deliver_to or first.deliver_to, found)


def _signed_changes(thread: Thread, order_hash: bytes) -> list[tuple[bytes, Change]]:
    """Proposals of changes that the other side has accepted."""
    found: dict[bytes, tuple[Opened, Change]] = {o.hash: (o, c) for o, c in thread.each(Change) if c.deal == order_hash}
    signed = {}
    for opened, answer in found.values():
        if answer.step == "accept" and answer.about in found:
            proposer, proposal = found[answer.about]
            other = thread.other_side(order_hash, proposer.signer)
            if proposal.step == "propose" and other == opened.signer and proposal.sheet and proposal.terms:
                signed[proposer.hash] = proposal
    return list(signed.items())
