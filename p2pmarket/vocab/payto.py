"""Links that say where to pay: `payto://iban/DE75512108001245126199` (RFC 8905).

Rules: only the form is checked, and the two check digits of an IBAN: whether an account exists, and whose it is, nobody
here knows. A link is never followed. Amount and message are added for the payer's own bank program.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from p2pmarket.errors import BadInput
from p2pmarket.limits import URL_CHARS
from p2pmarket.vocab.decimals import shown

_HINT: Final = "Write it as payto://iban/DE75512108001245126199?receiver-name=Kaffee%20GmbH (RFC 8905)"
_NAME: Final = r"[A-Za-z][A-Za-z0-9.-]*"
_PCHAR: Final = r"(?:[A-Za-z0-9._~!$'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
_LINK: Final = re.compile(rf"(?i:payto)://(?P<type>{_NAME})(?P<path>(?:/{_PCHAR}*)*)(?:\?(?P<options>.*))?")
_OPTION: Final = re.compile(rf"(?P<name>{_NAME})=(?P<value>{_PCHAR}*)")
_IBAN: Final = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_BIC: Final = re.compile(r"[A-Z]{6}[A-Z0-9]{2}([A-Z0-9]{3})?")
_AMOUNT: Final = re.compile(r"[A-Za-z]{1,11}:[0-9]{1,16}(\.[0-9]{1,8})?")


@dataclass(frozen=True, slots=True)
class Payto:
    """A link taken apart: `type` of the account (iban, bic, bitcoin, …) in small letters, its path, its options."""

    type: str
    path: tuple[str, ...]
    options: tuple[tuple[str, str], ...] = ()


def is_payto(text: str) -> bool:
    """Whether a way to pay claims to be such a link: then it must be a good one."""
    return text[:6].lower() == "payto:"


def parse_payto(text: str) -> Payto:
    """The parts of a link; raises BadInput for what RFC 8905 does not allow."""
    found = _LINK.fullmatch(text) if len(text) <= URL_CHARS else None
    path = found["path"].split("/")[1:] if found else []
    if found is None or not any(path):
        raise BadInput(f"{shown(text)} is not a payto link", hint=_HINT)
    options = _options(found["options"], text)
    kind = found["type"].lower()
    if kind == "iban" and not _is_iban(path):
        raise BadInput(f"{shown(text)}: the IBAN is not right", hint="Its check digits catch most slips: look again")
    if kind == "bic" and not (len(path) == 1 and _BIC.fullmatch(path[0].upper())):
        raise BadInput(f"{shown(text)}: the BIC is not right", hint="It has 8 or 11 letters and digits")
    return Payto(kind, tuple(path), options)


def is_wellformed(text: str) -> bool:
    """Whether a way to pay is a word, or a link as RFC 8905 has it."""
    if not is_payto(text):
        return True
    try:
        parse_payto(text)
    except BadInput:
        return False
    return True


def payto_for(link: str, amount: str, currency: str, message: str) -> str:
    """The link with what to pay and what to write with it; what it says of these itself is replaced.

    A link that would become too long stays without the message. Raises BadInput for a link that is none.
    """
    parsed = parse_payto(link)
    kept = [(name, value) for name, value in parsed.options if name.lower() not in {"amount", "message"}]
    asked = [("amount", f"{currency}:{amount}")]
    told = [("message", quote(message, safe=""))] if message else []
    base = link.partition("?")[0]
    for options in ((*kept, *asked, *told), (*kept, *asked)):
        full = f"{base}?{'&'.join(f'{name}={value}' for name, value in options)}"
        if len(full) <= URL_CHARS:
            return full
    return link


def _options(text: str | None, link: str) -> tuple[tuple[str, str], ...]:
    """The options, each named once, the amount in its form."""
    if text is None:
        return ()
    found = [_OPTION.fullmatch(part) for part in text.split("&")]
    pairs = tuple((match["name"], match["value"]) for match in found if match is not None)
    names = [name.lower() for name, _ in pairs]
    if len(pairs) < len(found) or len(set(names)) < len(names):
        raise BadInput(f"{shown(link)}: what stands after the question mark is not right", hint=_HINT)
    if not all(_AMOUNT.fullmatch(value) for name, value in pairs if name.lower() == "amount"):
        raise BadInput(f"{shown(link)}: the amount is not right", hint="Write it as amount=EUR:12.50")
    return pairs


def _is_iban(path: list[str]) -> bool:
    """One IBAN, with the BIC of its bank before it or without; its remainder by 97 is 1 (ISO 13616)."""
    *bic, iban = (part.upper() for part in path)
    if len(bic) > 1 or not all(_BIC.fullmatch(part) for part in bic) or not _IBAN.fullmatch(iban):
        return False
    return int("".join(str(int(letter, 36)) for letter in iban[4:] + iban[:4])) % 97 == 1
