"""Money that a settled dispute moves, a refund or a cut of the price: how much, and that any order gives the same."""

from __future__ import annotations

from itertools import permutations

import pytest
from deal_world import LATER, REFEREE, Trade, agreed_trade
from trade_world import BUYER, DAY, SELLER, a_sheet, changed, moment

from p2pmarket.errors import Refusal
from p2pmarket.keys import SigningKey
from p2pmarket.network import TEST
from p2pmarket.trade import check
from p2pmarket.trade.agreeing import answer_proposal, make_dispute, make_opinion, propose_cancel
from p2pmarket.trade.billing import (
    advise_payment,
    answer_payment,
    confirm_cash,
    credit_amount_sheet,
    make_credit,
    make_invoice,
)
from p2pmarket.trade.documents import Opened
from p2pmarket.trade.thread import Thread, duties_of, fold
from p2pmarket.trade.thread.deal import cut_of, left_of, overpaid_of, owed_of, settled_refund_of
from p2pmarket.trade.values import Money

TOTAL = a_sheet().total


def cancelled(made: Trade, refund: int | None) -> Trade:
    """The deal after both have signed to end it."""
    back = euro(refund) if refund is not None else None
    wish = made.add("wish", propose_cancel(made.thread, BUYER, moment(LATER), made.deal, refund=back))
    made.add("granted", answer_proposal(made.thread, SELLER, moment(LATER), wish.hash, "accept"))
    return made


def euro(minor: int) -> Money:
    return Money(minor, "EUR", 2)


CUT = {"outcome": "price_cut", "amount": euro(200)}


def paid(amount: int | None = None) -> Trade:
    made = agreed_trade()
    made.add("cash", confirm_cash(made.thread, SELLER, moment(LATER), made.deal, amount))
    return made


def step(made: Trade, name: str, key: SigningKey, kind: str, **fields: object) -> Opened:
    return made.add(name, make_dispute(made.thread, key, moment(LATER), made.deal, kind, **fields))  # type: ignore[arg-type]


def settled(made: Trade, name: str = "", /, **remedy: object) -> Trade:
    """The deal after a dispute that ended with the buyer's proposal."""
    opened = step(made, f"open{name}", BUYER, "open", reason="short")
    offer = step(made, f"offer{name}", BUYER, "proposal", about=opened.hash, **remedy)
    step(made, f"yes{name}", SELLER, "accept", about=offer.hash)
    return made


def settled_both(made: Trade, *remedies: dict[str, object]) -> Trade:
    """The deal after a dispute that each side opened, both ended with a proposal of the buyer's."""
    begun = [step(made, f"open {key.public.hex()}", key, "open", reason="other") for key in (BUYER, SELLER)]
    for opened, remedy in zip(begun, remedies, strict=True):
        offer = step(made, str(remedy), BUYER, "proposal", about=opened.hash, **remedy)
        step(made, f"yes to {remedy}", SELLER, "accept", about=offer.hash)
    return made


def refunded(made: Trade, amount: int) -> None:
    due = answer_payment(made.thread, SELLER, moment(LATER), made.papers["cash"].hash, "refund_due", amount)
    made.add("due", due)
    made.add("back", answer_payment(made.thread, BUYER, moment(LATER), due.hash, "refunded"))


def owed_back(made: Trade) -> list[tuple[str, str]]:
    """Who is told that money goes back."""
    return [(duty.state, duty.who) for duty in duties_of(made.thread, made.deal) if duty.machine == "payment"]


def test_a_settlements_refund_is_due_until_it_came_back() -> None:
    made = settled(paid(), outcome="refund", amount=euro(700))
    assert fold(made.thread).deals[made.deal] == "settled"
    assert (overpaid_of(made.thread, made.deal), owed_back(made)) == (700, [("overpaid", "seller")])
    due = answer_payment(made.thread, SELLER, moment(LATER), made.papers["cash"].hash, "refund_due", 700)
    check.check(made.thread, due, LATER + DAY)
    made.add("due", due)
    assert (overpaid_of(made.thread, made.deal), owed_back(made)) == (700, [("refund_due", "seller")])
    back = answer_payment(made.thread, BUYER, moment(LATER), due.hash, "refunded")
    check.check(made.thread, back, LATER + DAY)
    made.add("back", back)
    assert (overpaid_of(made.thread, made.deal), owed_back(made)) == (0, [])
    assert owed_of(made.thread, made.deal) == 0  # what came back is not owed again


@pytest.mark.parametrize(
    ("remedy", "due"),
    [
        ({"outcome": "refund", "amount": euro(TOTAL)}, TOTAL),
        ({"outcome": "refund", "share": "1"}, TOTAL),
        ({"outcome": "refund", "share": "0.25"}, round(TOTAL / 4)),
        ({"outcome": "refund", "share": "0"}, 0),
        ({"outcome": "refund"}, 0),
        ({"outcome": "price_cut", "amount": euro(700)}, 700),
        ({"outcome": "price_cut", "share": "0.25"}, round(TOTAL / 4)),
        ({"outcome": "price_cut"}, 0),
        ({"outcome": "deliver_again", "amount": euro(700)}, 0),
        ({"outcome": "none"}, 0),
    ],
)
def test_only_an_amount_or_a_share_of_a_refund_or_a_cut_counts(remedy: dict[str, object], due: int) -> None:
    made = settled(paid(), **remedy)
    assert overpaid_of(made.thread, made.deal) == due
    assert owed_back(made) == ([("overpaid", "seller")] if due else [])


def test_it_is_never_more_than_came() -> None:
    made = settled(agreed_trade(), outcome="refund", amount=euro(700))
    assert (overpaid_of(made.thread, made.deal), owed_back(made)) == (0, [("due", "buyer")])
    advice = made.add("advice", advise_payment(made.thread, BUYER, moment(LATER), made.deal, 500))
    assert overpaid_of(made.thread, made.deal) == 0
    made.add("got", answer_payment(made.thread, SELLER, moment(LATER), advice.hash, "confirmed"))
    assert overpaid_of(made.thread, made.deal) == 500
    made.add("cash", confirm_cash(made.thread, SELLER, moment(LATER), made.deal))
    assert overpaid_of(made.thread, made.deal) == 700


def test_words_that_settle_nothing_move_no_money() -> None:
    made = paid()
    opened = step(made, "open", BUYER, "open", reason="short")
    remedy = {"outcome": "refund", "amount": euro(700)}
    ours = step(made, "ours", BUYER, "proposal", about=opened.hash, **remedy)
    step(made, "theirs", SELLER, "proposal", about=opened.hash, **remedy)
    made.add("opinion", make_opinion(made.thread, REFEREE, moment(LATER), opened.hash, "buyer", **remedy))  # type: ignore[arg-type]
    assert overpaid_of(made.thread, made.deal) == 0
    made.add("closed", make_dispute(made.thread, BUYER, moment(LATER), made.deal, "close", about=opened.hash))
    assert overpaid_of(made.thread, made.deal) == 0
    before = made.without("closed")
    yes = make_dispute(before, SELLER, moment(LATER), made.deal, "accept", about=ours.hash)
    assert settled_refund_of(made.thread.adding(yes), made.deal) == 700  # who ended it heard of the yes too late


def test_who_closed_his_dispute_accepts_nothing_in_it_afterwards() -> None:
    """Else what was offered to end it could be taken up years later; a yes of the other side may be under way."""
    made = paid()
    opened = step(made, "open", BUYER, "open", reason="short")
    ours = step(made, "ours", BUYER, "proposal", about=opened.hash, **CUT)
    theirs = step(made, "theirs", SELLER, "proposal", about=opened.hash, **CUT)
    step(made, "words", BUYER, "statement", about=opened.hash, text="no")
    other = step(made, "other", BUYER, "open", reason="late")
    yes = make_dispute(made.thread, BUYER, moment(LATER), made.deal, "accept", about=theirs.hash)
    agreed = make_dispute(made.thread, SELLER, moment(LATER), made.deal, "accept", about=ours.hash)
    step(made, "another closed", BUYER, "close", about=other.hash)
    assert _taken(made.thread, changed(yes, BUYER, no=9))
    step(made, "closed", BUYER, "close", about=opened.hash)
    with pytest.raises(Refusal) as error:
        check.check(made.thread, changed(yes, BUYER, no=9), LATER + DAY)
    assert error.value.reason == "answered"
    assert _taken(made.thread, agreed)


def test_two_disputes_add_up_and_one_counts_once() -> None:
    made = paid()
    settled_both(made, {"outcome": "refund", "amount": euro(300)}, {"outcome": "refund", "amount": euro(200)})
    assert overpaid_of(made.thread, made.deal) == 500
    assert fold(made.thread).deals[made.deal] == "settled"
    # Both sides accept the other's proposal at once: the one of the lowest hash settles it, on either side
    made = paid()
    opened = step(made, "open", BUYER, "open", reason="short")
    more = step(made, "more", BUYER, "proposal", about=opened.hash, outcome="refund", amount=euro(300))
    less = step(made, "less", SELLER, "proposal", about=opened.hash, outcome="refund", amount=euro(100))
    answers = [
        make_dispute(made.thread, SELLER, moment(LATER), made.deal, "accept", about=more.hash),
        make_dispute(made.thread, BUYER, moment(LATER), made.deal, "accept", about=less.hash),
    ]
    lowest = 300 if more.hash < less.hash else 100
    for first, second in permutations(answers):
        assert overpaid_of(made.thread.adding(first).adding(second), made.deal) == lowest


def test_what_a_credit_or_a_cancellation_says_too_is_not_owed_twice() -> None:
    made = settled(paid(), outcome="refund", amount=euro(700))
    for number, amount, due in (("C-1", 500, 700), ("C-2", 400, 900)):
        sheet = credit_amount_sheet(a_sheet(), amount)
        credit = make_credit(made.thread, SELLER, moment(LATER), made.deal, number, sheet=sheet, date="2026-06-01")
        made.add(number, credit)
        assert overpaid_of(made.thread, made.deal) == due
    refunded(made, 900)
    assert overpaid_of(made.thread, made.deal) == 0
    for refund, due in ((500, 700), (900, 900)):
        made = cancelled(paid(), refund)
        assert overpaid_of(settled(made, outcome="refund", amount=euro(700)).thread, made.deal) == due


@pytest.mark.parametrize(
    ("came", "refund", "due"), [(None, TOTAL, 0), (500, TOTAL, 500), (500, 300, 300), (500, None, 0)]
)
def test_a_cancellation_gives_back_no_more_than_came(came: int | None, refund: int | None, due: int) -> None:
    made = cancelled(agreed_trade() if came is None else paid(came), refund)
    assert (overpaid_of(made.thread, made.deal), owed_back(made)) == (due, [("overpaid", "seller")] if due else [])


def test_what_came_after_a_cancellation_goes_back_by_it_too() -> None:
    made = agreed_trade()
    advice = made.add("advice", advise_payment(made.thread, BUYER, moment(LATER), made.deal, 500))
    cancelled(made, TOTAL)
    assert owed_back(made) == [("advised", "seller")]
    made.add("cash", answer_payment(made.thread, SELLER, moment(LATER), advice.hash, "confirmed"))
    assert owed_back(made) == [("overpaid", "seller")]
    refunded(made, 500)
    assert (overpaid_of(made.thread, made.deal), owed_back(made)) == (0, [])


@pytest.mark.parametrize("outcome", ["refund", "price_cut"])
def test_both_sides_come_to_the_same_in_any_order(outcome: str) -> None:
    made = settled(agreed_trade(), outcome=outcome, share="0.3")
    names = list(made.papers)
    agreed = Thread.of(TEST, SELLER.public, made.thread.request, [made.papers[n] for n in names[: names.index("open")]])
    made.add("cash", confirm_cash(made.thread, SELLER, moment(LATER), made.deal, TOTAL))
    refunded(made, 100)
    papers = [made.papers[name] for name in ("open", "offer", "yes", "cash", "due", "back")]
    ends = set()
    for order in permutations(papers):
        thread, waiting = agreed, list(order)
        while waiting:
            left = [opened for opened in waiting if not _taken(thread, opened)]
            assert len(left) < len(waiting)
            for opened in (one for one in waiting if one not in left):
                thread = thread.adding(opened)
            waiting = left
        folded = fold(thread)
        duties = tuple(sorted((duty.state, duty.who) for duty in duties_of(thread, made.deal)))
        ends.add((folded.deals[made.deal], overpaid_of(thread, made.deal), duties))
    to_send = (("settled", "seller"),) if outcome == "price_cut" else ()  # nothing had left
    assert ends == {("settled", round(TOTAL * 3 / 10) - 100, (("overpaid", "seller"), *to_send))}


def _taken(thread: Thread, opened: Opened) -> bool:
    try:
        check.check(thread, opened, LATER + DAY)
    except Refusal as refusal:
        if not refusal.reason.startswith("unknown_"):
            raise
        return False
    return True


def test_what_went_back_before_a_dispute_was_for_something_else() -> None:
    made = paid()
    sheet = credit_amount_sheet(a_sheet(), 500)
    credit = make_credit(made.thread, SELLER, moment(LATER), made.deal, "C-1", sheet=sheet, date="2026-06-03")
    made.add("credit", credit)
    refunded(made, 500)
    assert overpaid_of(made.thread, made.deal) == 0
    opened = made.add("open", make_dispute(made.thread, BUYER, moment(LATER + DAY), made.deal, "open", reason="short"))
    offer = step(made, "offer", BUYER, "proposal", about=opened.hash, outcome="refund", amount=euro(400))
    step(made, "yes", SELLER, "accept", about=offer.hash)
    assert overpaid_of(made.thread, made.deal) == 400


def credited(made: Trade, number: str, amount: int, at: int = LATER) -> None:
    sheet = credit_amount_sheet(a_sheet(), amount)
    made.add(number, make_credit(made.thread, SELLER, moment(at), made.deal, number, sheet=sheet, date="2026-06-01"))


def owed(made: Trade) -> tuple[int, int]:
    """What the buyer owes, and the seller."""
    return owed_of(made.thread, made.deal), overpaid_of(made.thread, made.deal)


def test_a_price_that_was_cut_is_owed_no_more() -> None:
    made = settled(agreed_trade(), outcome="price_cut", amount=euro(700))
    assert owed(made) == (TOTAL - 700, 0)
    assert left_of(made.thread, made.deal) == TOTAL - 700
    made.add("cash", confirm_cash(made.thread, SELLER, moment(LATER), made.deal))  # what is owed
    assert owed(made) == (0, 0)
    assert fold(made.thread).payments == {(made.deal, 1): "confirmed"}


def test_what_was_paid_of_a_cut_goes_back() -> None:
    made = settled(paid(TOTAL - 300), outcome="price_cut", amount=euro(700))
    assert owed(made) == (-400, 400)
    refunded(made, 400)
    assert owed(made) == (-400, 0)


def test_a_cut_is_never_more_than_the_price() -> None:
    made = settled_both(agreed_trade(), {"outcome": "price_cut", "amount": euro(TOTAL)}, CUT)
    assert cut_of(made.thread, made.deal) == TOTAL
    assert owed(made) == (0, 0)


def test_a_credit_for_a_cut_is_not_counted_twice() -> None:
    made = settled(paid(), outcome="price_cut", amount=euro(700))
    for number, amount, back in (("C-1", 500, 700), ("C-2", 400, 900)):
        credited(made, number, amount)
        assert owed(made) == (-back, back)


def test_a_credit_before_a_dispute_was_for_something_else() -> None:
    made = paid()
    credited(made, "C-1", 500)
    refunded(made, 500)
    opened = made.add("open", make_dispute(made.thread, BUYER, moment(LATER + DAY), made.deal, "open", reason="short"))
    offer = step(made, "offer", BUYER, "proposal", about=opened.hash, outcome="price_cut", amount=euro(400))
    step(made, "yes", SELLER, "accept", about=offer.hash)
    assert owed(made) == (-900, 400)


def test_a_cut_and_a_refund_of_two_disputes_add_up() -> None:
    made = settled_both(paid(), {"outcome": "refund", "amount": euro(300)}, CUT)
    assert owed(made) == (-200, 500)
    refunded(made, 500)
    assert owed(made) == (-200, 0)


def test_a_cut_of_what_is_billed_twice_lowers_what_is_owed_once() -> None:
    """The seller takes his bill back and writes it again."""
    made = agreed_trade()
    bill = made.add("bill", make_invoice(made.thread, SELLER, moment(LATER), made.deal, "I-1", date="2026-06-01"))
    settled(made, outcome="price_cut", amount=euro(700))
    whole = a_sheet()
    taken = make_credit(
        made.thread, SELLER, moment(LATER), made.deal, "C-1", sheet=whole, date="2026-06-01", invoice=bill.hash
    )
    made.add("taken", taken)
    assert owed(made) == (0, 0)  # nothing is billed
    made.add("again", make_invoice(made.thread, SELLER, moment(LATER), made.deal, "I-2", date="2026-06-01"))
    assert owed(made) == (TOTAL - 700, 0)
