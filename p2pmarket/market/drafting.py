"""From what a person typed to the fields of a request or an order: understood strictly, refused with a hint.

Nothing here is signed or saved; every error is the user's and names the field.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from p2pmarket import limits
from p2pmarket.api.types import bodies as b
from p2pmarket.api.types.trade import DeliverTo
from p2pmarket.errors import BadInput, LimitReached, WrongState
from p2pmarket.keys import Secrets, parse_did_key
from p2pmarket.market.asking_upstream import reply_by_for, taken_over
from p2pmarket.pricelist import RowProblem, read_request_lines
from p2pmarket.trade import documents as d
from p2pmarket.trade import values as v
from p2pmarket.vocab.categories import parse_category
from p2pmarket.vocab.currencies import parse_currency, parse_money
from p2pmarket.vocab.deadlines import parse_deadline
from p2pmarket.vocab.decimals import decimal_text, parse_decimal
from p2pmarket.vocab.lines import ParsedLine, check_quantity, line_text, parse_line
from p2pmarket.vocab.regions import WORLD, parse_region
from p2pmarket.vocab.units import parse_unit

DEFAULT_REPLY_SECONDS = limits.DAY


def draft_request(
    body: b.OpenRequest,
    reply_key: bytes,
    routes: tuple[v.Route, ...],
    secrets: Secrets,
    wall: int,
    currency: str | None,
    base: d.Request | None = None,
) -> d.Request:
    """The request that a body asks for; `currency` is the profile's, `base` the request that it serves.

    Raises BadInput, LimitReached, WrongState.
    """
    has_lines = bool(body.line_texts or body.lines or body.csv) or base is not None
    own_lines = body.line_texts or body.lines or body.csv or base is None
    lines = request_lines(body) if base is None or own_lines else taken_over(base)
    wanted = parse_currency(body.currency) if body.currency else (base.currency if base else None) or currency
    return d.Request(
        nonce=secrets(16),
        issued_at=wall,
        reply_key=reply_key,
        routes=routes,
        category=_category(body, base),
        subject=line_text(body.text) if body.text and has_lines else None,
        lines=lines,
        region=_region(body.region),
        from_region=_region(body.from_region),
        currency=wanted,
        max_total=_most(body.max_total, wanted) if body.max_total else None,
        quotes_wanted=body.quotes_wanted or limits.QUOTES_WANTED,
        reply_by=reply_by(body, wall, base),
        reference=body.reference,
    )


def _category(body: b.OpenRequest, base: d.Request | None) -> str:
    if body.category:
        return parse_category(body.category).code
    if base is None:
        raise BadInput("the request has no category", hint='market request coffee/roasted "20 kg Yirgacheffe"')
    return base.category


def reply_by(body: b.OpenRequest, wall: int, base: d.Request | None = None) -> int:
    """The deadline, UTC seconds."""
    if body.reply_by is None:
        return wall + DEFAULT_REPLY_SECONDS if base is None else reply_by_for(base, wall)
    return parse_deadline(body.reply_by, wall, body.utc_offset_s)


def request_lines(body: b.OpenRequest) -> tuple[v.RequestLine, ...]:
    """All lines asked for, numbered from 1."""
    lines = [_strict_line(line) for line in body.lines]
    lines += [_typed_line(parse_line(text)) for text in body.line_texts]
    if body.csv is not None:
        lines += _csv_lines(body.csv)
    if not lines and body.text:
        lines = [_typed_line(parse_line(body.text))]
    if not lines:
        raise BadInput("the request names nothing", hint='Say what you need: market request coffee "20 kg Yirgacheffe"')
    if len(lines) > limits.DOCUMENT_LINES:
        raise LimitReached(f"{len(lines)} lines are too many", hint=f"A request has at most {limits.DOCUMENT_LINES}")
    return tuple(msgspec.structs.replace(line, no=no) for no, line in enumerate(lines, 1))


def _typed_line(line: ParsedLine) -> v.RequestLine:
    return v.RequestLine(no=1, quantity=decimal_text(line.value), unit=line.unit, text=line.text)


def _strict_line(line: b.NewLine) -> v.RequestLine:
    return v.RequestLine(
        no=1,
        quantity=decimal_text(check_quantity(parse_decimal(line.quantity.value))),
        unit=parse_unit(line.quantity.unit),
        text=line_text(line.text),
        codes=tuple(v.Code(code.scheme, code.value) for code in line.codes) or None,
    )


def _csv_lines(file: b.CsvFile) -> list[v.RequestLine]:
    read = read_request_lines(file.data, file.mapping)
    if read.problems:
        raise bad_rows("the file of lines", read.problems)
    return [
        v.RequestLine(
            no=1,
            quantity=decimal_text(row.quantity),
            unit=row.unit,
            text=row.text,
            codes=tuple(v.Code(scheme, value) for scheme, value in row.codes) or None,  # type: ignore[arg-type]
        )
        for row in read.rows
    ]


def bad_rows(what: str, problems: Sequence[RowProblem]) -> BadInput:
    """One error that lists every bad row and column of a file."""
    details = [
        {"row": problem.row, "column": problem.column, "problem": problem.problem, "hint": problem.hint}
        for problem in problems
    ]
    first = problems[0]
    where = f"row {first.row}" + (f", column {first.column}" if first.column else "")
    return BadInput(
        f"{what} has {len(problems)} bad rows or columns; nothing was taken. First: {where}: {first.problem}",
        hint=first.hint or "Mend the rows listed and try again",
        details={"problems": details},
    )


def _region(text: str | None) -> str | None:
    region = parse_region(text) if text else None
    return None if region == WORLD else region


def _most(text: str, currency: str | None) -> v.Money:
    money = parse_money(text, currency)
    if money.minor <= 0:
        raise BadInput(f"a total of at most {text[:40]!r} leaves nothing to buy", hint="Write it as 500 EUR")
    return v.Money(money.minor, money.currency, money.exponent)


def check_same_decline(before: d.Decline, body: b.Decline) -> None:
    """A no is signed once: raise WrongState for another reason, which nobody would hear of."""
    if before.reason != body.reason or body.text not in (None, before.text):
        said = before.reason + (f": {before.text}" if before.text else "")
        raise WrongState(
            f"this is declined already ({said})",
            hint="A no is said once; it was sent as it is. To quote all the same: market quote",
            details={"reason": before.reason},
        )


def check_same_order(
    body: b.NewOrder, before: d.Order, profile: Callable[[str], str | None], region: str | None
) -> None:
    """Whether the same order is meant as was given before, as far as the body names its terms. Raises WrongState."""
    told = {
        "address": (party_of(body.deliver_to, body.deliver_to_text, profile, region), before.deliver_to),
        "number": (body.reference, before.reference),
        "referee": (parse_did_key(body.referee) if body.referee else None, before.referee),
    }
    others = [name for name, (said, was) in told.items() if said is not None and said != was]
    if others:
        raise WrongState(
            f"this quote is ordered already, with another {' and '.join(others)}",
            hint="That order stands. What is agreed is changed with both signatures: market change DEAL --deliver-to …",
            details={"differs": others},
        )
    check_max_total(body, before, "it was ordered before, and that order stands")


def check_max_total(body: b.NewOrder, order: d.Order, done: str = "nothing was ordered") -> None:
    """Refuse an order above what the buyer wants to pay. Raises BadInput, WrongState."""
    if body.max_total is None:
        return
    most = parse_money(body.max_total, order.currency)
    if most.currency != order.currency:
        raise BadInput(
            f"the quote is in {order.currency}, not {most.currency}", hint="Give --max-total in its currency"
        )
    if order.total * 10**most.exponent > most.minor * 10**order.exponent:  # a seller chooses his exponent himself
        raise WrongState(f"the total is above --max-total; {done}", details={"total": order.total})


def order_lines(body: b.NewOrder, quote: d.Quote) -> tuple[v.OrderLine, ...]:
    """The lines ordered: those named, or all of the quote. Raises BadInput."""
    offered = {line.no: line for line in quote.sheet.lines}
    if not body.lines:
        return tuple(v.OrderLine(no=no, quantity=line.quantity) for no, line in offered.items())
    chosen = []
    for line in body.lines:
        if line.no not in offered:
            raise BadInput(f"the quote has no line {line.no}", hint=f"Its lines: {_numbers(list(offered))}")
        chosen.append(v.OrderLine(no=line.no, quantity=_ordered_quantity(line, offered[line.no])))
    return tuple(chosen)


def _ordered_quantity(line: b.NewOrderLine, offered: v.QuoteLine) -> str:
    if line.quantity is None:
        return offered.quantity
    parts = line.quantity.split()
    if len(parts) > 1 and parse_unit(" ".join(parts[1:])) != offered.unit:
        raise BadInput(f"line {line.no} is quoted in {offered.unit}", hint="Order it in the unit of the quote")
    return decimal_text(check_quantity(parse_decimal(parts[0] if parts else "")))


def _numbers(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:12]))
    return shown if len(numbers) <= 12 else f"{shown}, … {numbers[-1]}"


def deliver_to(body: b.NewOrder, profile: Callable[[str], str | None], region: str | None) -> v.Party | None:
    """Where goods go: as told, else the profile's name and address; None if nothing is known."""
    told = party_of(body.deliver_to, body.deliver_to_text, profile, region)
    if told is not None or body.deliver_to_text:
        return told
    name, address = profile("name"), profile("address")
    if address:
        return _party(name or "", address.splitlines(), profile("region") or region, None, profile("tax_id"))
    return None


def party_of(
    told: DeliverTo | None, text: str | None, profile: Callable[[str], str | None], region: str | None = None
) -> v.Party | None:
    """A name and address in the strict form, or from lines of text (in `region`); None if neither is given."""
    if told is not None:
        region = parse_region(told.region) if told.region else None
        return _party(told.name, told.address, region, told.contact, told.tax_id)
    lines = [line.strip() for line in (text or "").replace(";", "\n").splitlines() if line.strip()]
    return _party(lines[0], lines[1:], region, None, profile("tax_id")) if lines else None


def _party(name: str, address: list[str], region: str | None, contact: str | None, tax_id: str | None) -> v.Party:
    if len(address) > limits.ADDRESS_LINES:
        raise BadInput("the address is too long", hint=f"At most {limits.ADDRESS_LINES} lines")
    if not name.strip():
        raise BadInput("the address has no name", hint='Write it as "Name; Street 1; 12345 Town"')
    lines = tuple(line.strip() for line in address if line.strip())
    return v.Party(name=name.strip(), address=lines, region=region, contact=contact or None, tax_id=tax_id or None)


def referee_of(body: b.NewOrder, quote: d.Quote, buyer: bytes, seller: bytes) -> bytes | None:
    """Who shall judge a dispute: whom the buyer names, else whom the seller named. Raises BadInput."""
    named = quote.terms.referee
    if body.referee is None:
        return named
    referee = parse_did_key(body.referee)
    if referee in (buyer, seller):
        raise BadInput("a referee is neither buyer nor seller", hint="Name somebody whom both of you trust")
    if named not in (None, referee):
        raise BadInput("the quote names another referee", hint="Leave --referee out, or counter the quote")
    return referee
