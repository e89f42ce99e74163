"""Asking others whether our TCP port can be reached from outside, and being asked.

The request may only travel in a session, so a peer without one is pinged first. Three peers of distinct groups are
asked, for one may be wrong or lie. What a peer asks of us concerns its own address only, at which it has proved itself,
and each group may ask only once in a while (see `serve`): nobody can send us knocking at other doors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from p2pmarket import limits, messages
from p2pmarket.dht.calls import Call, Owner
from p2pmarket.dht.contact import Contact
from p2pmarket.dht.events import DialBackAnswered, Event

Ask = Callable[[Contact, type[messages.Request], tuple[object, ...], Owner, object, float], bool]


class _Sink(Protocol):
    def __call__(self, event: Event) -> None: ...


class DialBackAsking:
    """One question to one peer: a ping that makes a session, then the request in it."""

    def __init__(self, contact: Contact, nonce: bytes, port: int, ask: Ask, emit: _Sink) -> None:
        self._contact = contact
        self._fields = (nonce, port)
        self._ask = ask
        self._emit = emit

    def start(self, now: float) -> None:
        """Ping."""
        self._ask(self._contact, messages.Ping, (), self, None, now)

    def answered(self, call: Call, answer: messages.Answer, now: float) -> None:
        """The peer lives, or has tried."""
        if isinstance(answer, messages.Pong):
            self._ask(self._contact, messages.DialBack, self._fields, self, None, now)
        elif isinstance(answer, messages.DialBackDone):
            self._emit(DialBackAnswered(call.contact.public, answer.tcp_ok))

    def slow(self, call: Call, now: float) -> None:
        """The peer may take its time."""

    def failed(self, call: Call, now: float) -> None:
        """No answer: the peer tells nothing."""


def chosen(contacts: list[Contact], group_of: Callable[[Contact], bytes]) -> list[Contact]:
    """The first few of `contacts`, each of another group."""
    by_group: dict[bytes, Contact] = {}
    for contact in contacts:
        by_group.setdefault(group_of(contact), contact)
    return list(by_group.values())[: limits.DIAL_BACKS]
