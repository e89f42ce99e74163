"""Which view draws which reply of the daemon: one each, imported only when a person is to see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.console import RenderableType

from p2pmarket.api import types as t

from . import view_fulfil, view_node, view_prices, view_quarrel, view_request, view_shown, view_talk, view_trade
from .grid import Screen

VIEWS: dict[type, Callable[..., RenderableType | tuple[RenderableType, ...]]] = {
    t.Identity: view_node.identity_view,
    t.Status: view_node.status_view,
    t.Doctor: view_node.doctor_view,
    t.Peers: view_node.peers_view,
    t.ProfileReply: view_node.profile_view,
    t.Categories: view_node.categories_view,
    t.AnnounceReply: view_node.announced_view,
    t.Announcements: view_node.announcements_view,
    t.Withdrawn: view_trade.withdrawn_view,
    t.RequestReport: view_request.waiting_view,
    t.RequestReply: view_trade.closed_view,
    t.Requests: view_request.requests_view,
    t.Quotes: view_request.quotes_view,
    t.QuoteReply: view_trade.quoted_view,
    t.Declined: view_trade.declined_view,
    t.OrderReply: view_trade.ordered_view,
    t.Deals: view_trade.deals_view,
    t.Inbox: view_trade.inbox_view,
    t.Shown: view_shown.shown_view,
    t.Seen: view_talk.seen_view,
    t.CounterReply: view_talk.countered_view,
    t.AmendReply: view_talk.amended_view,
    t.NotesReply: view_talk.noted_view,
    t.FoundFile: view_talk.file_view,
    t.Contacts: view_talk.contacts_view,
    t.ContactReply: view_talk.contact_view,
    t.ProposalReply: view_fulfil.proposed_view,
    t.DespatchReply: view_fulfil.despatched_view,
    t.ReceiptReply: view_fulfil.received_view,
    t.InvoiceReply: view_fulfil.invoiced_view,
    t.CreditReply: view_fulfil.credited_view,
    t.PaymentReply: view_fulfil.paid_view,
    t.RatingReply: view_quarrel.rated_view,
    t.Ratings: view_quarrel.ratings_view,
    t.DisputeReply: view_quarrel.disputed_view,
    t.Disputes: view_quarrel.disputes_view,
    t.Imported: view_quarrel.imported_view,
    t.Proofs: view_quarrel.proofs_view,
    t.PricesReport: view_prices.report_view,
    t.Prices: view_prices.prices_view,
}


def draw(reply: object, screen: Screen, **more: Any) -> tuple[RenderableType, ...]:
    """What a person sees of a reply, part by part."""
    drawn = VIEWS[type(reply)](reply, screen, **more)
    return drawn if isinstance(drawn, tuple) else (drawn,)
