"""A whole trade for tests, document by document, made as both sides make them."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
from trade_world import BUYER, DAY, REQUEST_KEY, SELLER, WALL, a_sheet, asked, key, moment, some_terms

from p2pmarket.network import TEST
from p2pmarket.trade import check
from p2pmarket.trade.agreeing import answer_proposal, make_dispute, make_opinion, propose_cancel, propose_change
from p2pmarket.trade.billing import (
    advise_payment,
    answer_payment,
    confirm_cash,
    make_credit,
    make_invoice,
    refund_alone,
)
from p2pmarket.trade.documents import Credit, Invoice, Opened
from p2pmarket.trade.fulfilling import make_counter, make_despatch, make_note, make_rating, make_receipt
from p2pmarket.trade.money import make_sheet
from p2pmarket.trade.thread import Thread
from p2pmarket.trade.values import Aspect, Charge, Instalment, Money, OrderLine, PaymentTerms, ReceiptLine, Sheet, Terms

REFEREE = key("referee")
LATER = WALL + 5 * DAY


def lines_of(*quantities: tuple[int, str]) -> tuple[OrderLine, ...]:
    return tuple(OrderLine(no=no, quantity=quantity) for no, quantity in quantities)


def received(*lines: tuple[int, str, str]) -> tuple[ReceiptLine, ...]:
    return tuple(ReceiptLine(no=no, quantity=quantity, condition=how) for no, quantity, how in lines)  # type: ignore[arg-type]


def cheaper_sheet() -> Sheet:
    """The sheet with another discount: what buyer and seller agree on later."""
    sheet = a_sheet()
    more = Charge(kind="discount", amount=-500, tax_rate="7", line=1)
    return make_sheet(sheet.currency, sheet.exponent, sheet.lines, (*sheet.charges, more))


def one_line_sheet() -> Sheet:
    return make_sheet("EUR", 2, a_sheet().lines[1:])


def deal_terms() -> Terms:
    """Terms with a referee and two instalments."""
    total = a_sheet().total
    parts = (
        Instalment(amount=1000, stage="before_delivery"),
        Instalment(amount=total - 1000, stage="after_delivery", days=14),
    )
    payment = PaymentTerms(stage="instalments", instalments=parts)
    return msgspec.structs.replace(some_terms(), referee=REFEREE.public, payment=payment)


def changed_terms() -> Terms:
    return msgspec.structs.replace(some_terms(), referee=REFEREE.public)


@dataclass
class Trade:
    """A thread that grows; the documents by name."""

    thread: Thread
    papers: dict[str, Opened] = field(default_factory=dict)

    def add(self, name: str, opened: Opened) -> Opened:
        self.thread = self.thread.adding(opened)
        self.papers[name] = opened
        return opened

    @property
    def deal(self) -> bytes:
        return self.papers["order"].hash

    def without(self, name: str) -> Thread:
        """The thread as it was before a document came."""
        names = list(self.papers)
        earlier = [self.papers[other] for other in names[: names.index(name)]]
        return Thread.of(TEST, self.thread.seller, self.thread.request, earlier)


def agreed_trade() -> Trade:
    """Request, quote, counter, second version with notes, order, acceptance."""
    world = asked().quoted(terms=deal_terms(), sheet=a_sheet())
    assert world.quote
    trade = Trade(world.thread)
    trade.papers["quote"] = world.quote
    note = trade.add("note", make_note(trade.thread, REQUEST_KEY, moment(WALL + 65), world.quote.hash, "when?"))
    trade.add("answer", make_note(trade.thread, SELLER, moment(WALL + 66), world.quote.hash, "soon", answers=note.hash))
    counter = trade.add(
        "counter",
        make_counter(
            trade.thread, REQUEST_KEY, moment(WALL + 70), world.quote.hash,
            sheet=a_sheet(), terms=some_terms(), valid_until=WALL + DAY,
        ),
    )  # fmt: skip
    trade.add(
        "introduction",
        make_note(trade.thread, REQUEST_KEY, moment(WALL + 71), counter.hash, introduce=BUYER),
    )
    second = type(world)(trade.thread, world.request).quoted(terms=deal_terms(), answers=counter.hash)
    assert second.quote
    trade.add("second", second.quote)
    done = second.ordered().answered()
    assert done.order
    assert done.response
    trade.add("order", done.order)
    trade.add("response", done.response)
    return trade


def whole_trade() -> Trade:
    """All kinds of documents through to ratings; the final invoice replaces that of the deposit."""
    trade = agreed_trade()
    deal = trade.deal
    trade.add("chat", make_note(trade.thread, BUYER, moment(LATER), deal, "thank you"))
    deposit = trade.add(
        "deposit", make_invoice(trade.thread, SELLER, moment(LATER), deal, "D-1", date="2026-06-01", instalment=1)
    )
    advice = trade.add(
        "advice",
        advise_payment(
            trade.thread, BUYER, moment(LATER), deal, 1000, invoice=trade.papers["deposit"].hash, instalment=1
        ),
    )
    trade.add("confirmed", answer_payment(trade.thread, SELLER, moment(LATER + 1), advice.hash, "confirmed"))
    sent = trade.add(
        "despatch", make_despatch(trade.thread, SELLER, moment(LATER), deal, lines_of((1, "20"), (2, "10")))
    )
    trade.add(
        "receipt",
        make_receipt(
            trade.thread, BUYER, moment(LATER), deal,
            received((1, "20", "full"), (2, "8", "short"), (2, "2", "damaged")), despatch=sent.hash,
        ),
    )  # fmt: skip
    change = trade.add(
        "change",
        propose_change(trade.thread, SELLER, moment(LATER), deal, sheet=cheaper_sheet(), terms=changed_terms()),
    )
    trade.add("changed", answer_proposal(trade.thread, BUYER, moment(LATER), change.hash, "accept"))
    rest = trade.add("rest", make_despatch(trade.thread, SELLER, moment(LATER), deal, lines_of((2, "30"))))
    trade.add("rest_received", make_receipt(trade.thread, BUYER, moment(LATER), deal, despatch=rest.hash))
    trade.add(
        "replaced",
        make_credit(
            trade.thread, SELLER, moment(LATER), deal, "C-0",
            sheet=sheet_of(deposit), date="2026-06-02", invoice=deposit.hash,
        ),
    )  # fmt: skip
    invoice = trade.add(
        "invoice", make_invoice(trade.thread, SELLER, moment(LATER), deal, "I-1", date="2026-06-02", due="2026-06-16")
    )
    trade.add(
        "credit",
        make_credit(
            trade.thread, SELLER, moment(LATER), deal, "C-1",
            sheet=credit_sheet(), date="2026-06-03", invoice=invoice.hash, reason="damaged",
        ),
    )  # fmt: skip
    owed = cheaper_sheet().total - credit_sheet().total - 1000
    paid = trade.add("paid", advise_payment(trade.thread, BUYER, moment(LATER), deal, owed, invoice=invoice.hash))
    trade.add("paid_in", answer_payment(trade.thread, SELLER, moment(LATER), paid.hash, "confirmed"))
    aspects = [Aspect("goods", 4), Aspect("talk", 5)]
    trade.add("rating", make_rating(trade.thread, BUYER, moment(LATER), deal, aspects, "good beans"))
    trade.add("rated_back", make_rating(trade.thread, SELLER, moment(LATER), deal, [Aspect("payment", 5)]))
    return trade


def parts_trade() -> Trade:
    """A deal delivered and billed in two parts, paid in cash."""
    trade = agreed_trade()
    deal = trade.deal
    first = lines_of((1, "20"), (2, "10"))
    sent = trade.add("sent", make_despatch(trade.thread, SELLER, moment(LATER), deal, first))
    rest = trade.add("rest", make_despatch(trade.thread, SELLER, moment(LATER), deal))
    trade.add("sent_received", make_receipt(trade.thread, BUYER, moment(LATER), deal, despatch=sent.hash))
    trade.add("rest_received", make_receipt(trade.thread, BUYER, moment(LATER), deal, despatch=rest.hash))
    date, charges = "2026-06-02", a_sheet().charges
    trade.add(
        "billed",
        make_invoice(
            trade.thread, SELLER, moment(LATER), deal, "I-1", date=date, despatches=(sent.hash,), charges=charges
        ),
    )
    trade.add(
        "billed_rest",
        make_invoice(trade.thread, SELLER, moment(LATER), deal, "I-2", date=date, despatches=(rest.hash,)),
    )
    trade.add("cash", confirm_cash(trade.thread, SELLER, moment(LATER), deal, method="cash"))
    trade.add("more", refund_alone(trade.thread, SELLER, moment(LATER), deal, 300))
    return trade


def sheet_of(opened: Opened) -> Sheet:
    """The sheet of an invoice or credit."""
    assert isinstance(opened.document, Invoice | Credit)
    return opened.document.sheet


def credit_sheet() -> Sheet:
    line = msgspec.structs.replace(a_sheet().lines[1], quantity="2", amount=200)
    return make_sheet("EUR", 2, [line])


def quarrel() -> Trade:
    """A deal that goes wrong: a payment not found, a cancellation refused, a dispute with an opinion, a settlement."""
    trade = agreed_trade()
    deal = trade.deal
    advice = trade.add("advice", advise_payment(trade.thread, BUYER, moment(LATER), deal))
    trade.add("missing", answer_payment(trade.thread, SELLER, moment(LATER), advice.hash, "not_received"))
    again = trade.add("advice2", advise_payment(trade.thread, BUYER, moment(LATER), deal))
    got = trade.add("confirmed", answer_payment(trade.thread, SELLER, moment(LATER), again.hash, "confirmed"))
    wish = trade.add(
        "wish", propose_cancel(trade.thread, BUYER, moment(LATER), deal, refund=Money(a_sheet().total, "EUR", 2))
    )
    trade.add("refused", answer_proposal(trade.thread, SELLER, moment(LATER), wish.hash, "reject", reason="sent"))
    opened = trade.add("open", make_dispute(trade.thread, BUYER, moment(LATER), deal, "open", reason="late"))
    trade.add(
        "statement",
        make_dispute(trade.thread, SELLER, moment(LATER), deal, "statement", about=opened.hash, text="it left"),
    )
    trade.add(
        "opinion",
        make_opinion(
            trade.thread, REFEREE, moment(LATER), opened.hash, "buyer", outcome="refund", amount=Money(500, "EUR", 2)
        ),
    )
    offer = trade.add(
        "proposal",
        make_dispute(
            trade.thread, SELLER, moment(LATER), deal, "proposal", about=opened.hash, outcome="price_cut", share="0.25"
        ),
    )
    trade.add("settled", make_dispute(trade.thread, BUYER, moment(LATER), deal, "accept", about=offer.hash))
    due = trade.add("due", answer_payment(trade.thread, SELLER, moment(LATER), got.hash, "refund_due", 500))
    trade.add("refunded", answer_payment(trade.thread, BUYER, moment(LATER), due.hash, "refunded"))
    return trade


def cancelled_trade() -> Trade:
    trade = agreed_trade()
    wish = trade.add("wish", propose_cancel(trade.thread, SELLER, moment(LATER), trade.deal))
    trade.add("granted", answer_proposal(trade.thread, BUYER, moment(LATER), wish.hash, "accept"))
    return trade


def holds(thread: Thread, opened: Opened) -> None:
    check.check(thread, opened, LATER + DAY)
