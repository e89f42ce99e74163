"""Deals on their way as people see them: contract, proposals, parcels, bills, payments, and what comes next. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import groupby

from rich.console import Group, RenderableType
from rich.text import Text

from p2pmarket.api import types as t
from p2pmarket.vocab.payto import is_payto

from . import values as v
from .grid import (
    BOLD,
    DIM,
    GOOD,
    WARN,
    Cell,
    Column,
    Screen,
    grid,
    heading,
    next_step,
    outcome,
    pairs_of,
    short_id,
    until,
    when,
)
from .view_trade import free_text

Parts = tuple[RenderableType, ...]
SIDES = {"me": "you", "other": "they"}


# What `market show` adds to a deal


def life_views(shown: t.Shown, screen: Screen) -> list[RenderableType]:
    """The parts of a deal on its way, each only if there is something of it."""
    if shown.contract is None or shown.deal is None:
        return []
    parts: list[RenderableType] = []
    begun = shown.proposals or shown.despatches or shown.receipts or shown.invoices or shown.payments
    if shown.contract.version:
        parts.append(contract_view(shown.contract, screen))
    parts += [proposal_view(one, screen) for one in shown.proposals]
    if shown.despatches:
        parts.append(_despatches(shown.despatches, screen))
    if shown.receipts:
        parts.append(_receipts(shown.receipts, screen))
    if shown.unsent and (shown.despatches or shown.receipts):
        parts.append(heading(("still to send: ", DIM), _lines(shown.unsent)))
    if shown.invoices or shown.credits:
        parts.append(_bills(shown.invoices, shown.credits, screen))
    if shown.payments:
        parts.append(_payments(shown.payments, screen))
    if shown.balance is not None and begun:
        parts.append(balance_view(shown.balance, screen))
    if shown.actions:
        parts.append(heading(("you can: ", DIM), ", ".join(shown.actions)))
    return parts


def contract_view(contract: t.Contract, screen: Screen) -> RenderableType:
    """What both have signed."""
    columns = [
        Column("no", right=True), Column("quantity", right=True), Column("text", least=10),
        Column("price", right=True, goes=1), Column("amount", right=True),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [str(line.no), v.quantity(line.quantity), line.text, v.price(line.price), v.money(line.amount)]
        for line in contract.lines
    ]
    name = f"change {contract.version}, signed by both" if contract.version else "as ordered"
    to = contract.deliver_to
    facts: list[tuple[str, Cell]] = [
        ("contract", (name, BOLD)),
        *((charge.kind, v.money(charge.amount)) for charge in contract.charges),
        ("total", (v.money(contract.total), BOLD)),
        ("delivers", v.delivery(contract.delivery)),
        ("place", v.place(contract.delivery)),
        ("deliver to", v.recipient(to) if to is not None else ""),
        ("if late", v.late(contract.cancel_days)),
        ("from then on", when(screen, contract.cancels_alone_from) if contract.cancels_alone_from else ""),
        ("payment", v.plan(contract.payment)),
    ]
    return Group(grid(screen, columns, rows), Text(""), pairs_of(screen, facts))


def proposal_view(proposal: t.Proposal, screen: Screen) -> RenderableType:
    """A change or cancellation: what it would make different, and what became of it."""
    answered = f" {when(screen, proposal.answered_at)}" if proposal.answered_at else ""
    facts: list[tuple[str, Cell]] = [
        (proposal.kind, (proposal.id, BOLD)),
        ("proposed", f"by {'you' if proposal.by == 'me' else 'them'}, {when(screen, proposal.proposed_at)}"),
        ("state", (v.word(proposal.state) + answered, _PROPOSAL_STYLES[proposal.state])),
        ("reason", v.word(proposal.reason)),
        ("refund", f"{v.money(proposal.refund)}, at most what was paid" if proposal.refund is not None else ""),
        ("answer", proposal.answer or ""),
        ("on its way", v.word(proposal.delivery)),
    ]
    parts: list[RenderableType] = [pairs_of(screen, facts)]
    if proposal.differences:
        columns = [Column("what", least=8), Column("before", least=8), Column("after", least=8)]
        rows: list[list[Cell]] = [[one.what, one.before or "-", one.after or "-"] for one in proposal.differences]
        parts.append(grid(screen, columns, rows))
    if proposal.text:
        parts += free_text(proposal.text)
    if proposal.state == "open" and proposal.by == "other":
        id_ = short_id(screen, proposal.id)
        parts += next_step(screen, f"market accept {id_}, or market reject {id_}")
    return Group(*parts)


_PROPOSAL_STYLES = {"open": WARN, "accepted": GOOD, "rejected": DIM, "superseded": DIM}


def _lines(lines: Sequence[t.SentLine]) -> str:
    return ", ".join(f"{v.quantity(line.quantity)} {line.text or f'of line {line.no}'}" for line in lines)


def _despatches(despatches: Sequence[t.Despatch], screen: Screen) -> RenderableType:
    columns = [
        Column("despatch"), Column("no", right=True), Column("lines", least=12), Column("carrier", least=6, goes=2),
        Column("tracking", least=6, goes=1), Column("left"), Column("expected", goes=3), Column("state"),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [
            short_id(screen, one.id),
            str(one.no),
            _lines(one.lines) or ", ".join(file.name for file in one.files),
            one.carrier or "",
            one.tracking or "",
            when(screen, one.despatched_at),
            one.expected or "",
            ("received", GOOD) if one.received else ("on its way", WARN),
        ]
        for one in despatches
    ]
    return grid(screen, columns, rows)


def _receipts(receipts: Sequence[t.Receipt], screen: Screen) -> RenderableType:
    columns = [
        Column("receipt"), Column("of", goes=2), Column("came", least=12), Column("day", goes=1),
        Column("said", least=6, goes=3),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [
            short_id(screen, one.id),
            short_id(screen, one.despatch),
            "; ".join(_came(no, list(lines)) for no, lines in groupby(_by_line(one), key=lambda line: line.no)),
            one.received_on or "",
            one.text or "",
        ]
        for one in receipts
    ]
    return grid(screen, columns, rows)


def _by_line(receipt: t.Receipt) -> list[t.ReceivedLine]:
    return sorted(receipt.lines, key=lambda line: line.no)


def _came(no: int, lines: Sequence[t.ReceivedLine]) -> str:
    """`1: 14 of 20 kg came, 6 kg missing`; `2: all 3 pcs came, 1 pcs damaged`: never a bare number of what is short."""
    of = lines[0].of
    came = sum((Decimal(line.quantity.value) for line in lines), Decimal(0))
    missing = Decimal(of.value) - came
    said = [f"{no}: all {v.quantity(of)} came" if missing <= 0 else f"{no}: {came:,f} of {v.quantity(of)} came"]
    said += [
        f"{v.quantity(line.quantity)} {line.condition}" for line in lines if line.condition in {"damaged", "refused"}
    ]
    if missing > 0:
        said.append(f"{missing:,f} {v.unit(of.unit)} missing")
    return ", ".join(said)


def _bills(invoices: Sequence[t.Invoice], credits_: Sequence[t.Credit], screen: Screen) -> RenderableType:
    columns = [
        Column("bill"), Column("id"), Column("number", least=6), Column("date", goes=2), Column("due", goes=1),
        Column("total", right=True), Column("open", right=True),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [
            "invoice",
            short_id(screen, one.id),
            one.number,
            one.date,
            one.due or "",
            v.money(one.total),
            v.money(one.open),
        ]
        for one in invoices
    ]
    rows += [
        ["credit", short_id(screen, one.id), one.number, one.date, "", f"-{v.money(one.total)}", ""] for one in credits_
    ]
    return grid(screen, columns, rows)


def _payments(payments: Sequence[t.Payment], screen: Screen) -> RenderableType:
    columns = [
        Column("payment"), Column("no", right=True), Column("amount", right=True), Column("state"),
        Column("reference", least=6, goes=2), Column("how", least=6, goes=3), Column("said", least=10),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [
            short_id(screen, one.id),
            str(one.no),
            v.money(one.amount),
            v.styled(one.state),
            one.reference or "",
            one.method or "",
            ", ".join(f"{SIDES[step.by]} {v.word(step.step)} {when(screen, step.issued_at)}" for step in one.steps),
        ]
        for one in payments
    ]
    return grid(screen, columns, rows)


def balance_view(balance: t.Balance, screen: Screen) -> RenderableType:
    """The money of a deal; what is nothing is left out."""
    sums = [
        ("total", balance.total), ("credited", balance.credited), ("cut", balance.cut), ("billed", balance.billed),
        ("paid", balance.paid), ("advised", balance.advised), ("owed", balance.owed), ("overpaid", balance.overpaid),
        ("refunded", balance.refunded),
    ]  # fmt: skip
    return heading(
        ("money: ", DIM), ", ".join(f"{name} {v.money(sum_)}" for name, sum_ in sums if Decimal(sum_.amount))
    )


# Answers


def _stands(deal: t.Deal, screen: Screen) -> Text:
    """How the deal stands now, or would, and who must act."""
    who = {"me": "yours", "other": "theirs", "none": ""}[deal.turn]
    turn = f"; the turn is {who}" + (f" until {until(screen, deal.due_at)}" if deal.due_at else "") if who else ""
    rating = deal.state == "completed" and not screen.tried
    next_ = f"; next: market rate {short_id(screen, deal.id)} --stars N" if rating else ""
    is_ = "would be" if screen.tried else "is"
    return heading(("deal ", DIM), (short_id(screen, deal.id), BOLD), f" {is_} {v.word(deal.state)}, payment "
                   f"{v.word(deal.payment_state)}{turn}{next_}")  # fmt: skip


def proposed_view(reply: t.ProposalReply, screen: Screen) -> Parts:
    """A proposal of ours on its way, or our word on theirs."""
    one = reply.proposal
    done, would = {
        "open": ("Proposed. It holds once the other side accepts.", "it would be proposed to the other side"),
        "accepted": ("Both signed: it holds.", "both would have signed, and it would hold"),
        "rejected": ("Refused: everything stays as it was.", "it would be refused"),
        "superseded": ("A later change that both signed stands instead.", "a later change would stand instead"),
    }[one.state]
    note = outcome(screen, reply.created, done, would=would)
    return (proposal_view(one, screen), Text(""), note, _stands(reply.deal, screen))


def despatched_view(reply: t.DespatchReply, screen: Screen) -> Parts:
    """A parcel that has left."""
    return (
        _despatches([reply.despatch], screen),
        Text(""),
        outcome(screen, reply.created, "The buyer is told.", would="the buyer would be told"),
        _stands(reply.deal, screen),
    )


def received_view(reply: t.ReceiptReply, screen: Screen) -> Parts:
    """What came."""
    return (
        _receipts(reply.receipts, screen),
        Text(""),
        outcome(screen, reply.created, "The seller is told.", would="the seller would be told"),
        _stands(reply.deal, screen),
    )


def invoiced_view(reply: t.InvoiceReply, screen: Screen) -> Parts:
    """A bill as the buyer will see it."""
    return (
        invoice_view(reply.invoice, screen),
        Text(""),
        outcome(screen, reply.created, "The buyer is told.", would="the buyer would be told"),
        _stands(reply.deal, screen),
    )


def invoice_view(invoice: t.Invoice, screen: Screen) -> RenderableType:
    """One bill whole."""
    columns = [
        Column("no", right=True), Column("quantity", right=True), Column("text", least=10),
        Column("price", right=True, goes=1), Column("tax %", right=True), Column("amount", right=True),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [
            str(line.no),
            v.quantity(line.quantity),
            line.text,
            v.price(line.price),
            line.tax_rate or "",
            v.money(line.amount),
        ]
        for line in invoice.lines
    ]
    facts: list[tuple[str, Cell]] = [
        ("invoice", (invoice.id, BOLD)),
        ("number", invoice.number),
        ("date", invoice.date),
        ("due", invoice.due or ""),
        ("instalment", str(invoice.instalment or "")),
        *((charge.kind, v.money(charge.amount)) for charge in invoice.charges),
        ("tax included" if invoice.tax.included else "tax", _unless_zero(invoice.tax.amount)),
        ("total", (v.money(invoice.total), BOLD)),
        ("open", v.money(invoice.open)),
        ("pay to", ", ".join(invoice.methods)),
        ("said", invoice.text or ""),
    ]
    return Group(grid(screen, columns, rows), Text(""), pairs_of(screen, facts))


def _unless_zero(money: t.Money) -> str:
    return v.money(money) if Decimal(money.amount) else ""


def credited_view(reply: t.CreditReply, screen: Screen) -> Parts:
    """What is given back."""
    one = reply.credit
    facts: list[tuple[str, Cell]] = [
        ("credit", (one.id, BOLD)),
        ("number", one.number),
        ("on", one.invoice or "the deal"),
        ("lines", ", ".join(f"{line.no}: {v.quantity(line.quantity)}" for line in one.lines)),
        ("total", (v.money(one.total), BOLD)),
        ("reason", v.word(one.reason)),
    ]
    return (
        pairs_of(screen, facts),
        Text(""),
        outcome(screen, reply.created, "The buyer is told.", would="the buyer would be told"),
        _stands(reply.deal, screen),
    )


def paid_view(reply: t.PaymentReply, screen: Screen) -> Parts:
    """A payment, and the links by which the payer can pay it."""
    parts: list[RenderableType] = [_payments([reply.payment], screen), Text("")]
    parts += _ways(reply)
    done, would = PAID[reply.payment.state]
    return (*parts, outcome(screen, reply.created, done, would=would), _stands(reply.deal, screen))


def _ways(reply: t.PaymentReply) -> list[RenderableType]:
    """For which invoices a payment is, and how it is paid."""
    parts: list[RenderableType] = []
    for share in reply.shares:
        parts.append(heading(("for: ", DIM), f"{v.money(share.amount)} of invoice {share.number}"))
        parts += [heading(("pay by: ", DIM), link) for link in share.payto]
    shown = [link for share in reply.shares for link in share.payto]
    words = [method for method in reply.methods if not is_payto(method)]
    parts += [heading(("pay by: ", DIM), one) for one in [*(link for link in reply.payto if link not in shown), *words]]
    if reply.payment.state == "advised" and not reply.methods:
        ask = f'market note {reply.deal.id} "Where shall I pay?"'
        parts.append(heading(("Nobody has named a way to pay: no link, no account. ", WARN), f"Ask the seller: {ask}"))
    return parts


# What a step of a payment tells whom, and would tell.
PAID = {
    "advised": (
        "The seller is told that you paid. No money moved here.",
        "the seller would be told that you paid; no money moves here",
    ),
    "confirmed": ("The other side is told that it came.", "the other side would be told that it came"),
    "due": ("The other side is told that it has not come.", "the other side would be told that it has not come"),
    "refund_due": (
        "The buyer is told that it goes back. No money moved here.",
        "the buyer would be told that it goes back; no money moves here",
    ),
    "refunded": ("The seller is told that the refund came.", "the seller would be told that the refund came"),
    "none": ("The other side is told.", "the other side would be told"),
}
