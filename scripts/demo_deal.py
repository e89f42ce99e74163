"""One deal of the demo from its agreement to the last payment, as its two sides would type it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import demo_tables as show
from local_market import Daemon, wait_for

IBAN = "payto://iban/DE75512108001245126199"
JSON = Any


def finish(buyer: Daemon, seller: Daemon, deal: str, say: Callable[[str], None]) -> list[JSON]:
    """Change, two parcels, a bill with something given back, the money; the deal at its end as each side has it."""
    first, second, *_ = _shown(buyer, deal)["contract"]["lines"]
    fewer = max(1, int(second["quantity"]["value"]) // 2)
    before = _shown(buyer, deal)["contract"]["total"]
    proposal = buyer.market("change", deal, "--line", f"{second['no']}={fewer}", "--text", "fewer of these")["proposal"]
    _wait(seller, deal, lambda one: one["proposals"])
    seller.market("accept", proposal["id"])
    after = _wait(buyer, deal, lambda one: one["contract"]["version"] == 1)["contract"]["total"]
    say(
        f"the buyer wants fewer of line {second['no']}, and both sign it: {show.money(after)}, not {show.money(before)}"
    )
    much = int(first["quantity"]["value"])
    seller.market("despatch", deal, "--line", str(first["no"]), "--carrier", "DHL", "--tracking", "00340434")
    seller.market("despatch", deal)
    _wait(buyer, deal, lambda one: len(one["despatches"]) == 2)
    buyer.market("receive", deal, "--despatch", "1", "--damaged", f"{first['no']}=1")
    buyer.market("receive", deal, "--despatch", "2")
    say(f"two parcels: of {much} pieces in the first one is damaged, the second is in order")
    bill = seller.market("invoice", deal, "--due", "14d", "--pay-to", IBAN)["invoice"]
    back = seller.market("credit", bill["id"], "--line", f"{first['no']}=1", "--reason", "damaged")["credit"]
    _wait(buyer, deal, lambda one: one["credits"])
    paid = buyer.market("pay", bill["id"], "--reference", bill["number"])
    say(f"billed {show.money(bill['total'])}, given back {show.money(back['total'])}, to pay by {paid['payto'][0]}")
    _wait(seller, deal, lambda one: one["payments"])
    seller.market("confirm-payment", deal)
    ends = [_wait(one, deal, lambda shown: shown["deal"]["state"] == "completed")["deal"] for one in (buyer, seller)]
    assert ends[0]["payment_state"] == ends[1]["payment_state"] == "confirmed"
    say(f"the money came: on both sides the deal is {ends[0]['state']}, its payment {ends[0]['payment_state']}")
    return ends


def _shown(daemon: Daemon, deal: str) -> JSON:
    return daemon.market("show", deal)


def _wait(daemon: Daemon, deal: str, look: Callable[[Mapping[str, Any]], object]) -> JSON:
    """What a side shows of a deal, once `look` finds in it what it waits for."""

    def seen() -> JSON:
        shown = _shown(daemon, deal)
        return shown if look(shown) else None

    return wait_for(f"the deal at {daemon.name}", 20, seen)
