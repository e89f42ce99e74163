"""Who stands where on loopback: in the network `test` a /24 counts as a subnet there too."""

from __future__ import annotations

import contextlib
import hashlib
import os

from p2pmarket.dht.contact import Contact
from p2pmarket.keys import ExchangeKey

PORT = 4001
NEIGHBOURS = 15
TARGET = 100  # the number of the node that is flooded


def address(number: int) -> tuple[str, int]:
    """Where node `number` stands: each in a /24 of its own."""
    return f"127.1.{number}.1", PORT


def key(number: int) -> ExchangeKey:
    """Its key, which everybody here can work out."""
    return ExchangeKey(hashlib.sha256(f"flood/{number}".encode()).digest())


def contact(number: int) -> Contact:
    """It as a contact."""
    public = key(number).public
    return Contact(public, *address(number), public[0] & 7)


def junk_address(number: int) -> str:
    """The address that junk of sender `number` comes from: each in another /24."""
    return f"127.{10 + number // 250}.{number % 250}.7"


def take_priority() -> None:
    """Real-time priority if we may: what else this machine does is not what is measured."""
    with contextlib.suppress(AttributeError, PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
