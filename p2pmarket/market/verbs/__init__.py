"""The handlers of the local API: one method for each route of `api.spec.ROUTES`, named as it."""

from __future__ import annotations

from p2pmarket.market.verbs.buyer import BuyerVerbs
from p2pmarket.market.verbs.daemon import DaemonVerbs
from p2pmarket.market.verbs.fulfil import FulfilVerbs
from p2pmarket.market.verbs.moving import MovingVerbs
from p2pmarket.market.verbs.prices import PriceVerbs
from p2pmarket.market.verbs.quarrel import QuarrelVerbs
from p2pmarket.market.verbs.seller import SellerVerbs
from p2pmarket.market.verbs.streams import StreamVerbs
from p2pmarket.market.verbs.talk import TalkVerbs
from p2pmarket.market.verbs.trade import TradeVerbs


class Verbs(
    MovingVerbs,
    QuarrelVerbs,
    DaemonVerbs,
    BuyerVerbs,
    SellerVerbs,
    TradeVerbs,
    PriceVerbs,
    StreamVerbs,
    TalkVerbs,
    FulfilVerbs,
):
    """All of them; each part holds the same market and nothing else."""


__all__ = ["Verbs"]
