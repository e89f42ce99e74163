"""The table of routes of the local API: server, client, OpenAPI and docs are all made from it.

One object handles all routes. Its methods are named as the routes and have one signature:

    async def NAME(self, call: Call, body: BODY | None, **path_arguments: str) -> REPLY

where BODY and REPLY are `Route.request` and `Route.reply`; `body` is None exactly if `Route.request` is None; the path
arguments are those in braces in `Route.path`, by keyword, percent-decoded, not checked. A `stream` route returns an
asynchronous iterator of `Event` instead (a `trio.MemoryReceiveChannel` will do), or of lists of such that are there
together; the server ends it by `aclose()`, if it has one, and a stream that ends by itself ends the answer. Errors are
raised: `MarketError` becomes `ErrorReply` with the class's status, all else is logged and becomes code `internal`.

`call.query` holds the query of the URL, only names in `Route.query` pass. GET changes nothing. A writing route takes
the header `Idempotency-Key`; the handler sees that the same key has its effect once.

Scopes: `read` looks, `buy` requests, orders, receives and pays, `quote` announces, quotes, delivers and bills, `deal`
is what either side of a deal does, `admin` all else. A token over TCP opens what `POWERS` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from string import Formatter
from typing import Any, Generic, Literal, TypeVar

import msgspec

from p2pmarket.api import types as t
from p2pmarket.api.types import bodies as b
from p2pmarket.api.types import bodies_fulfil as fulfil
from p2pmarket.api.types import bodies_moving as moving
from p2pmarket.api.types import bodies_quarrel as quarrel
from p2pmarket.api.types import bodies_talk as talk
from p2pmarket.errors import BadInput

PROTOCOL = 1  # of the local API: a client of another number is refused

API_FILE = "api.json"  # in the home: see ApiFile
TOKEN_FILE = "api.token"  # in the home: what the Authorization header of a call over TCP must hold, for all scopes

DRY_RUN = "dry_run"
SWITCHES = frozenset({DRY_RUN, "skip_bad"})  # query parameters that are on or off
ON_OFF = {"1": True, "true": True, "0": False, "false": False}  # how that is written, and in no other way

Scope = Literal["read", "buy", "quote", "deal", "admin"]
Method = Literal["GET", "POST", "PATCH"]
ReplyT = TypeVar("ReplyT", bound=t.Reply)

ALL_SCOPES: frozenset[Scope] = frozenset({"read", "buy", "quote", "deal", "admin"})
POWERS: Mapping[str, frozenset[Scope]] = {  # by the file in the home that holds the token
    TOKEN_FILE: ALL_SCOPES,
    "api.read.token": frozenset({"read"}),
    "api.buy.token": frozenset({"read", "buy", "deal"}),
    "api.quote.token": frozenset({"read", "quote", "deal"}),
}


class ApiFile(msgspec.Struct, frozen=True, kw_only=True):
    """HOME/api.json, there while the daemon answers. `tcp`: HOST:PORT if it was told to listen there too."""

    socket: str
    pid: int
    version: str
    protocol: int
    tcp: str | None = None


@dataclass(frozen=True, slots=True)
class Route(Generic[ReplyT]):
    """One route. `raw`: the body is a file, not JSON, see `types.bodies.ImportPrices`."""

    name: str
    method: Method
    path: str
    request: type[b.Body] | None
    reply: type[ReplyT]
    scope: Scope
    summary: str
    query: tuple[str, ...] = ()
    stream: bool = False
    raw: bool = False

    @property
    def writes(self) -> bool:
        """Whether it changes anything, and so takes an Idempotency-Key."""
        return self.method != "GET"

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names that its query may have: whatever changes something can be tried out by `dry_run=1`."""
        return self.query if not self.writes or DRY_RUN in self.query else (*self.query, DRY_RUN)

    @property
    def arguments(self) -> tuple[str, ...]:
        """Names of the path's arguments."""
        return tuple(name for _, name, _, _ in Formatter().parse(self.path) if name)


@dataclass(frozen=True, slots=True)
class Call:
    """What a handler knows of a call beside its body."""

    idempotency_key: str | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    path: Mapping[str, str] = field(default_factory=dict)  # the arguments of the route

    @property
    def dry_run(self) -> bool:
        """Whether the caller only wants to know what would happen; raises BadInput."""
        return self.is_on(DRY_RUN)

    def is_on(self, name: str) -> bool:
        """Whether a switch is on; raises BadInput for what is neither on nor off: it must not be taken for off."""
        text = self.query.get(name, "0")
        if text not in ON_OFF:
            raise BadInput(f"{name} must be 1, true, 0 or false, not {text[:40]!r}", hint=f"Write {name}=1")
        return ON_OFF[text]

    def text(self, name: str) -> str | None:
        """The query's value, None if there is none or it is empty."""
        return self.query.get(name) or None

    def choice(self, name: str, *choices: str) -> str | None:
        """The query's value if it is one of these, None if there is none; raises BadInput for any other."""
        text = self.text(name)
        if text is not None and text not in choices:
            raise BadInput(f"{name} cannot be {text[:40]!r}", hint=f"It is one of {', '.join(choices)}")
        return text

    def number(self, name: str, default: int, low: int, high: int) -> int:
        """The query's value as an integer in [low, high]; raises BadInput."""
        text = self.text(name)
        if text is None:
            return default
        # isascii: int() also takes other scripts' digits, which no client of ours sends
        if not (text.isascii() and text.isdigit() and len(text) < 20 and low <= int(text) <= high):
            raise BadInput(f"{name} must be a number from {low} to {high}, not {text[:40]!r}")
        return int(text)


PAGE = ("limit", "cursor")

IDENTITY = Route("identity", "GET", "/v1/id", None, t.Identity, "read", "Who am I")
STATUS = Route("status", "GET", "/v1/status", None, t.Status, "read", "Am I seen, and what is wrong")
DOCTOR = Route("doctor", "GET", "/v1/doctor", None, t.Doctor, "read", "Check reachability, clock, disk, ports, peers")
PEERS = Route("peers", "GET", "/v1/peers", None, t.Peers, "read", "Known nodes and open connections")
PROFILE = Route("profile", "GET", "/v1/profile", None, t.ProfileReply, "read", "What others are told, and when")
PROFILE_SET = Route("profile_set", "PATCH", "/v1/profile", b.SetProfile, t.ProfileReply, "admin", "Change the profile")
CATEGORIES = Route(
    "categories", "GET", "/v1/categories", None, t.Categories, "read", "Find a category by words", query=("q", "limit")
)

ANNOUNCE = Route("announce", "POST", "/v1/announcements", b.Announce, t.AnnounceReply, "quote", "Become findable")
ANNOUNCEMENTS = Route(
    "announcements", "GET", "/v1/announcements", None, t.Announcements, "read", "What this daemon announces"
)
WITHDRAW = Route(
    "withdraw", "POST", "/v1/withdraw", b.Withdraw, t.Withdrawn, "quote", "Take back an announcement or a quote"
)

REQUEST_OPEN = Route(
    "request_open", "POST", "/v1/requests", b.OpenRequest, t.RequestReply, "buy", "Ask sellers for quotes"
)
REQUESTS = Route(
    "requests", "GET", "/v1/requests", None, t.Requests, "read", "Requests of ours", query=(*PAGE, "state")
)
REQUEST_GET = Route(
    "request_get", "GET", "/v1/requests/{request}", None, t.RequestReport, "read", "A request, its sellers and quotes"
)
REQUEST_WATCH = Route(
    "request_watch",
    "GET",
    "/v1/requests/{request}/events",
    None,
    t.Event,
    "read",
    "Events of one request: all of it from the beginning, or those after `since`; `end` is the last",
    query=("since",),
    stream=True,
)
REQUEST_CLOSE = Route(
    "request_close", "POST", "/v1/requests/{request}/close", b.CloseRequest, t.RequestReply, "buy", "End a request"
)
QUOTES = Route("quotes", "GET", "/v1/requests/{request}/quotes", None, t.Quotes, "read", "Quotes side by side")
QUOTE = Route("quote", "POST", "/v1/requests/{request}/quotes", b.NewQuote, t.QuoteReply, "quote", "Quote by hand")
DECLINE = Route("decline", "POST", "/v1/requests/{request}/decline", b.Decline, t.Declined, "quote", "Do not quote")

ORDER = Route("order", "POST", "/v1/orders", b.NewOrder, t.OrderReply, "buy", "Order a quote, whole or in part")
ACCEPT = Route("accept", "POST", "/v1/orders/{order}/accept", b.Accept, t.OrderReply, "quote", "Accept an order")
REJECT = Route("reject", "POST", "/v1/orders/{order}/reject", b.Reject, t.OrderReply, "quote", "Refuse an order")

INBOX = Route(
    "inbox", "GET", "/v1/inbox", None, t.Inbox, "read", "What waits for me, in both roles", query=(*PAGE, "state")
)
INBOX_SEEN = Route("inbox_seen", "POST", "/v1/inbox/seen", b.MarkSeen, t.Seen, "deal", "A person has looked at items")
DEALS = Route("deals", "GET", "/v1/deals", None, t.Deals, "read", "Deals", query=(*PAGE, "state", "role"))
EXPORT = Route("export", "GET", "/v1/deals/{deal}/export", None, t.Exported, "read", "A file that proves a deal")
SHOW = Route("show", "GET", "/v1/show/{id}", None, t.Shown, "read", "Anything, by its id or a unique prefix of it")

# Talk

COUNTER = Route(
    "counter", "POST", "/v1/quotes/{quote}/counter", talk.NewCounter, t.CounterReply, "buy", "Counter a quote"
)
AMEND = Route(
    "amend", "POST", "/v1/orders/{order}/amend", talk.Amend, t.AmendReply, "quote", "Accept an order with changes"
)
NOTE = Route("note", "POST", "/v1/notes", talk.NewNote, t.NotesReply, "deal", "Say something")
FILE = Route("file", "GET", "/v1/files/{digest}", None, t.FoundFile, "read", "Which notes name a file")
CONTACTS = Route("contacts", "GET", "/v1/contacts", None, t.Contacts, "read", "The address book")
CONTACT_ADD = Route(
    "contact_add", "POST", "/v1/contacts", talk.AddContact, t.ContactReply, "admin", "Add or rename a contact"
)
CONTACT_REMOVE = Route(
    "contact_remove", "POST", "/v1/contacts/remove", talk.RemoveContact, t.ContactReply, "admin", "Remove a contact"
)

# Deals on their way

CHANGE = Route(
    "change", "POST", "/v1/deals/{deal}/change", fulfil.ChangeDeal, t.ProposalReply, "deal", "Propose a change"
)
CANCEL = Route(
    "cancel", "POST", "/v1/deals/{deal}/cancel", fulfil.CancelDeal, t.ProposalReply, "deal", "Propose to end a deal"
)
PROPOSAL_ACCEPT = Route(
    "proposal_accept",
    "POST",
    "/v1/proposals/{id}/accept",
    fulfil.AnswerProposal,
    t.ProposalReply,
    "deal",
    "Sign a change or cancellation, by its id or the deal's",
)
PROPOSAL_REJECT = Route(
    "proposal_reject",
    "POST",
    "/v1/proposals/{id}/reject",
    fulfil.AnswerProposal,
    t.ProposalReply,
    "deal",
    "Refuse a change or cancellation, by its id or the deal's",
)
DESPATCH = Route(
    "despatch", "POST", "/v1/deals/{deal}/despatches", fulfil.NewDespatch, t.DespatchReply, "quote", "Goods have left"
)
RECEIVE = Route(
    "receive", "POST", "/v1/deals/{deal}/receipts", fulfil.NewReceipt, t.ReceiptReply, "buy", "Goods have come"
)
INVOICE = Route(
    "invoice", "POST", "/v1/deals/{deal}/invoices", fulfil.NewInvoice, t.InvoiceReply, "quote", "Bill what is owed"
)
CREDIT = Route(
    "credit", "POST", "/v1/credits/{id}", fulfil.NewCredit, t.CreditReply, "quote", "Give back of an invoice or deal"
)
PAY = Route(
    "pay", "POST", "/v1/payments/{id}", fulfil.NewPayment, t.PaymentReply, "buy", "Say that a deal or invoice is paid"
)
CONFIRM_PAYMENT = Route(
    "confirm_payment",
    "POST",
    "/v1/payments/{id}/confirm",
    fulfil.ConfirmPayment,
    t.PaymentReply,
    "quote",
    "Say that money came or did not, for a payment or a deal",
)
REFUND = Route(
    "refund", "POST", "/v1/payments/{id}/refund", fulfil.Refund, t.PaymentReply, "quote", "Say that money goes back"
)

# Ratings, disputes, evidence

RATE = Route("rate", "POST", "/v1/deals/{deal}/rating", quarrel.NewRating, t.RatingReply, "deal", "Rate the other side")
RATINGS = Route(
    "ratings", "GET", "/v1/ratings/{peer}", None, t.Ratings, "read", "What others say of a peer; `me`: of us"
)
DISPUTE = Route(
    "dispute", "POST", "/v1/deals/{deal}/disputes", quarrel.NewDispute, t.DisputeReply, "deal", "A step of a dispute"
)
DISPUTES = Route("disputes", "GET", "/v1/deals/{deal}/disputes", None, t.Disputes, "read", "The disputes about a deal")
OPINION = Route(
    "opinion", "POST", "/v1/opinions", quarrel.NewOpinion, t.OpinionReply, "admin", "Judge a dispute as its referee"
)
IMPORT = Route(
    "import_file",
    "POST",
    "/v1/import",
    quarrel.ImportFile,
    t.Imported,
    "admin",
    "Take a referee's opinion, or a proof, from a file",
)
PROOFS = Route("proofs", "GET", "/v1/proofs", None, t.Proofs, "read", "Who signed two documents where one was allowed")
PROOF_EXPORT = Route(
    "proof_export", "GET", "/v1/proofs/{proof}/export", None, t.Exported, "read", "A file with such a proof"
)

PRICES_IMPORT = Route(
    "prices_import",
    "POST",
    "/v1/prices/import",
    b.ImportPrices,
    t.PricesReport,
    "quote",
    "Replace the price list by a CSV file",
    query=("map.*", "currency", "dry_run", "skip_bad"),
    raw=True,
)
PRICES_EXPORT = Route(
    "prices_export", "GET", "/v1/prices/export", None, t.PricesExport, "read", "The price list as CSV"
)
PRICES_SHOW = Route("prices_show", "GET", "/v1/prices", None, t.Prices, "read", "The price list", query=(*PAGE, "q"))

EVENTS = Route(
    "events",
    "GET",
    "/v1/events",
    None,
    t.Event,
    "read",
    "Events from now on, or those after `since`, without a gap",
    query=("since",),
    stream=True,
)

LEDGER_COPY = Route(
    "ledger_copy",
    "POST",
    "/v1/backup",
    moving.CopyLedger,
    t.LedgerCopy,
    "admin",
    "Copy the ledger into a file, for a backup",
)
RESUME = Route("resume", "POST", "/v1/resume", moving.Resume, t.Resumed, "admin", "Go on after a restore")

ROUTES: tuple[Route[Any], ...] = (
    IDENTITY,
    STATUS,
    DOCTOR,
    PEERS,
    PROFILE,
    PROFILE_SET,
    CATEGORIES,
    ANNOUNCE,
    ANNOUNCEMENTS,
    WITHDRAW,
    REQUEST_OPEN,
    REQUESTS,
    REQUEST_GET,
    REQUEST_WATCH,
    REQUEST_CLOSE,
    QUOTES,
    QUOTE,
    DECLINE,
    ORDER,
    ACCEPT,
    REJECT,
    INBOX,
    INBOX_SEEN,
    DEALS,
    EXPORT,
    SHOW,
    COUNTER,
    AMEND,
    NOTE,
    FILE,
    CONTACTS,
    CONTACT_ADD,
    CONTACT_REMOVE,
    CHANGE,
    CANCEL,
    PROPOSAL_ACCEPT,
    PROPOSAL_REJECT,
    DESPATCH,
    RECEIVE,
    INVOICE,
    CREDIT,
    PAY,
    CONFIRM_PAYMENT,
    REFUND,
    RATE,
    RATINGS,
    DISPUTE,
    DISPUTES,
    OPINION,
    IMPORT,
    PROOFS,
    PROOF_EXPORT,
    PRICES_IMPORT,
    PRICES_EXPORT,
    PRICES_SHOW,
    LEDGER_COPY,
    RESUME,
    EVENTS,
)
