"""Links that say where to pay."""

from __future__ import annotations

import pytest

from p2pmarket.errors import BadInput
from p2pmarket.limits import URL_CHARS
from p2pmarket.vocab.payto import Payto, is_payto, is_wellformed, parse_payto, payto_for

IBAN = "payto://iban/DE75512108001245126199"


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        (IBAN, Payto("iban", ("DE75512108001245126199",))),
        (
            "payto://iban/SOGEDEFFXXX/DE75512108001245126199?amount=EUR:200.0&message=hello",
            Payto("iban", ("SOGEDEFFXXX", "DE75512108001245126199"), (("amount", "EUR:200.0"), ("message", "hello"))),
        ),
        ("PAYTO://IBAN/de75512108001245126199", Payto("iban", ("de75512108001245126199",))),
        ("payto://bic/SOGEDEFFXXX", Payto("bic", ("SOGEDEFFXXX",))),
        ("payto://ach/122000661/1234", Payto("ach", ("122000661", "1234"))),
        (
            "payto://upi/alice@example.com?receiver-name=Al%20Ice",
            Payto("upi", ("alice@example.com",), (("receiver-name", "Al%20Ice"),)),
        ),
        ("payto://void/kiosk-3", Payto("void", ("kiosk-3",))),
    ],
)
def test_links_as_the_rfc_has_them(text: str, parsed: Payto) -> None:
    assert parse_payto(text) == parsed
    assert is_payto(text)
    assert is_wellformed(text)


@pytest.mark.parametrize(
    "text",
    [
        "payto:iban/DE75512108001245126199",
        "payto://iban",
        "payto://iban/",
        "payto://iban/DE76512108001245126199",
        "payto://iban/DE75512108001245126199/more",
        "payto://iban/A/B/DE75512108001245126199",
        "payto://iban/DE7551210800",
        "payto://bic/SOGE",
        "payto://bic/SOGEDEFFXXX/1",
        "payto://1ban/x",
        "payto://void/a b",
        "payto://void/a\n",
        "payto://void/%zz",
        "payto://void/x?amount=200",
        "payto://void/x?amount=EUR:1,50",
        "payto://void/x?amount=EUR:1&amount=EUR:2",
        "payto://void/x?message",
        "payto://void/x?",
        "payto://void/x#fragment",
        "payto://void/" + "x" * URL_CHARS,
    ],
)
def test_what_is_no_link(text: str) -> None:
    assert not is_wellformed(text)
    with pytest.raises(BadInput) as error:
        parse_payto(text)
    assert error.value.hint


def test_words_are_ways_to_pay_too() -> None:
    assert is_wellformed("cash")
    assert is_wellformed("https://pay.example/17")
    assert not is_payto("pay to the bearer")


def test_amount_and_message_for_the_payers_bank() -> None:
    assert payto_for(IBAN, "12.50", "EUR", "PO 17 & more") == f"{IBAN}?amount=EUR:12.50&message=PO%2017%20%26%20more"
    told = f"{IBAN}?receiver-name=Kim&amount=EUR:1&Message=old"
    assert payto_for(told, "2", "KRW", "") == f"{IBAN}?receiver-name=Kim&amount=KRW:2"
    assert payto_for(IBAN, "2", "EUR", "x" * URL_CHARS) == f"{IBAN}?amount=EUR:2"
    long = f"payto://void/{'y' * (URL_CHARS - 14)}"
    assert payto_for(long, "2", "EUR", "x") == long
    assert all(is_wellformed(link) for link in (payto_for(IBAN, "12.50", "EUR", "é/?&="), long))
