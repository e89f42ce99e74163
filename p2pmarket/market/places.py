"""Hosts that somebody named and where nobody of ours answers: called rarely, whoever names them.

Anybody can write any address into a request. Without this a flood of requests that name one victim would make every
seller call there again and again. A host counts as a whole, all its ports together (on `dev`, where a market lives on
one host, each port by itself); after a few failures in a row it is called once in a while only, until a call gets
through.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

from p2pmarket.limits import PLACE_FAILURES, PLACE_SECONDS, PLACES
from p2pmarket.network import Network

Address = tuple[str, int]


class _Record(NamedTuple):
    failures: int = 0
    called: float = float("-inf")


class Places:
    """Failures in a row by host; the oldest are forgotten."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._records: OrderedDict[tuple[str, int], _Record] = OrderedDict()

    def to_call(self, addresses: Iterable[Address], now: float) -> list[Address]:
        """Those of these addresses that may be called now; they count as called."""
        chosen = []
        for address in addresses:
            record = self._records.get(self._place(address), _Record())
            if record.failures < PLACE_FAILURES or now - record.called >= PLACE_SECONDS:
                self._keep(address, record._replace(called=now))
                chosen.append(address)
        return chosen

    def failed(self, addresses: Iterable[Address]) -> None:
        """Nobody of ours answered there."""
        for address in addresses:
            record = self._records.get(self._place(address), _Record())
            self._keep(address, record._replace(failures=record.failures + 1))

    def reached(self, address: Address) -> None:
        """Somebody did."""
        self._records.pop(self._place(address), None)

    def _keep(self, address: Address, record: _Record) -> None:
        place = self._place(address)
        self._records[place] = record
        self._records.move_to_end(place)
        if len(self._records) > PLACES:
            self._records.popitem(last=False)

    def _place(self, address: Address) -> tuple[str, int]:
        return (address[0], address[1] if self._network.group_by_port else 0)
