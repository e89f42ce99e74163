"""The typed, blocking client of the local API: one method for each route, named as it.

Errors of the daemon arrive as the classes of `errors`, rebuilt from their code. Every method raises NoDaemon if none
answers, and leaves no socket open, whatever interrupts it. A writing call that was interrupted may have been done;
repeating it with the same `key` does it once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import quote, urlencode

import msgspec

from p2pmarket import errors
from p2pmarket.api import spec
from p2pmarket.api import types as t
from p2pmarket.api.spec import ReplyT, Route
from p2pmarket.api.types import bodies as b
from p2pmarket.api.types import bodies_moving as moving
from p2pmarket.api.types import bodies_quarrel as quarrel
from p2pmarket.api.types import bodies_talk as talk
from p2pmarket.client.find import Endpoint, find_daemon
from p2pmarket.client.fulfil import FulfilCalls
from p2pmarket.client.stream import EventStream
from p2pmarket.client.wire import ClosedError, Connection

__all__ = ["Client", "Endpoint", "EventStream", "connect", "rebuilt"]

CALL_SECONDS = 60.0
PATIENCE_SECONDS = 60.0
Query = Mapping[str, str | int | None]
Payload = tuple[str, bytes] | None  # content type and body


def connect(home: Path, environ: Mapping[str, str] = os.environ, *, timeout: float = CALL_SECONDS) -> Client:
    """A client of the daemon of `home`; raises NoDaemon, NotAllowed, VersionDiffers, BadInput (MARKET_API)."""
    return Client(lambda: find_daemon(home, environ), timeout=timeout)


class Client(FulfilCalls):
    """Calls one daemon. `find` says where it is, again after each lost connection.

    `timeout`: seconds without a byte after which a call fails. `patience`: seconds that an event stream waits for a
    daemon that has gone.
    """

    def __init__(
        self, find: Callable[[], Endpoint], *, timeout: float = CALL_SECONDS, patience: float = PATIENCE_SECONDS
    ) -> None:
        self.endpoint = find()
        self.dry_run = False  # ask writing calls what they would do
        self._find, self._timeout, self._patience = find, timeout, patience

    # The daemon

    def identity(self) -> t.Identity:
        """Who am I."""
        return self._call(spec.IDENTITY)

    def status(self) -> t.Status:
        """Am I seen, and what is wrong."""
        return self._call(spec.STATUS)

    def doctor(self) -> t.Doctor:
        """All checks; may take some seconds."""
        return self._call(spec.DOCTOR)

    def peers(self) -> t.Peers:
        """Known nodes and open connections."""
        return self._call(spec.PEERS)

    def profile(self) -> t.ProfileReply:
        """What others are told, and when."""
        return self._call(spec.PROFILE)

    def profile_set(self, body: b.SetProfile, key: str | None = None) -> t.ProfileReply:
        """Change the profile."""
        return self._call(spec.PROFILE_SET, body=body, key=key)

    def categories(self, words: str, limit: int | None = None) -> t.Categories:
        """Find a category."""
        return self._call(spec.CATEGORIES, query={"q": words, "limit": limit})

    def announce(self, body: b.Announce, key: str | None = None) -> t.AnnounceReply:
        """Become findable."""
        return self._call(spec.ANNOUNCE, body=body, key=key)

    def announcements(self) -> t.Announcements:
        """What this daemon announces."""
        return self._call(spec.ANNOUNCEMENTS)

    def withdraw(self, body: b.Withdraw, key: str | None = None) -> t.Withdrawn:
        """Take back an announcement or a quote."""
        return self._call(spec.WITHDRAW, body=body, key=key)

    # Requests and quotes

    def request_open(self, body: b.OpenRequest, key: str | None = None) -> t.RequestReply:
        """Ask sellers for quotes."""
        return self._call(spec.REQUEST_OPEN, body=body, key=key)

    def requests(
        self, limit: int | None = None, cursor: str | None = None, state: t.RequestState | None = None
    ) -> t.Requests:
        """Requests of ours, newest first."""
        return self._call(spec.REQUESTS, query={"limit": limit, "cursor": cursor, "state": state})

    def request_get(self, request: str) -> t.RequestReport:
        """A request with its sellers and quotes."""
        return self._call(spec.REQUEST_GET, request)

    def request_watch(self, request: str, since: int | None = None) -> EventStream:
        """Events of one request, from its beginning or after `since`, until `end`."""
        return self._stream(spec.REQUEST_WATCH, request, since=since, last="end")

    def request_close(self, request: str, body: b.CloseRequest, key: str | None = None) -> t.RequestReply:
        """End a request."""
        return self._call(spec.REQUEST_CLOSE, request, body=body, key=key)

    def quotes(self, request: str) -> t.Quotes:
        """The quotes for a request."""
        return self._call(spec.QUOTES, request)

    def quote(self, request: str, body: b.NewQuote, key: str | None = None) -> t.QuoteReply:
        """Quote by hand."""
        return self._call(spec.QUOTE, request, body=body, key=key)

    def decline(self, request: str, body: b.Decline, key: str | None = None) -> t.Declined:
        """Do not quote."""
        return self._call(spec.DECLINE, request, body=body, key=key)

    # Orders and deals

    def order(self, body: b.NewOrder, key: str | None = None) -> t.OrderReply:
        """Order a quote, whole or in part."""
        return self._call(spec.ORDER, body=body, key=key)

    def accept(self, order: str, body: b.Accept, key: str | None = None) -> t.OrderReply:
        """Accept an order."""
        return self._call(spec.ACCEPT, order, body=body, key=key)

    def reject(self, order: str, body: b.Reject, key: str | None = None) -> t.OrderReply:
        """Refuse an order."""
        return self._call(spec.REJECT, order, body=body, key=key)

    def inbox(self, limit: int | None = None, cursor: str | None = None, state: t.InboxState | None = None) -> t.Inbox:
        """What waits for the user."""
        return self._call(spec.INBOX, query={"limit": limit, "cursor": cursor, "state": state})

    def inbox_seen(self, body: b.MarkSeen, key: str | None = None) -> t.Seen:
        """A person has looked at these items."""
        return self._call(spec.INBOX_SEEN, body=body, key=key)

    def deals(
        self,
        limit: int | None = None,
        cursor: str | None = None,
        state: t.DealState | None = None,
        role: t.Role | None = None,
    ) -> t.Deals:
        """Deals, newest first."""
        return self._call(spec.DEALS, query={"limit": limit, "cursor": cursor, "state": state, "role": role})

    def export(self, deal: str) -> t.Exported:
        """A file that proves a deal."""
        return self._call(spec.EXPORT, deal)

    def show(self, id: str) -> t.Shown:
        """Anything, by its id or a unique prefix."""
        return self._call(spec.SHOW, id)

    # Talk

    def counter(self, quote: str, body: talk.NewCounter, key: str | None = None) -> t.CounterReply:
        """Counter a quote, or as its seller a counter."""
        return self._call(spec.COUNTER, quote, body=body, key=key)

    def amend(self, order: str, body: talk.Amend, key: str | None = None) -> t.AmendReply:
        """Accept an order with changes."""
        return self._call(spec.AMEND, order, body=body, key=key)

    def note(self, body: talk.NewNote, key: str | None = None) -> t.NotesReply:
        """Say something about a request, quote, counter, order or deal."""
        return self._call(spec.NOTE, body=body, key=key)

    def file(self, digest: str) -> t.FoundFile:
        """The notes that name a file, by the SHA-256 of its content in hex."""
        return self._call(spec.FILE, digest)

    def contacts(self) -> t.Contacts:
        """The address book."""
        return self._call(spec.CONTACTS)

    def contact_add(self, body: talk.AddContact, key: str | None = None) -> t.ContactReply:
        """Add or rename a contact."""
        return self._call(spec.CONTACT_ADD, body=body, key=key)

    def contact_remove(self, body: talk.RemoveContact, key: str | None = None) -> t.ContactReply:
        """Remove a contact."""
        return self._call(spec.CONTACT_REMOVE, body=body, key=key)

    # Ratings, disputes, evidence

    def rate(self, deal: str, body: quarrel.NewRating, key: str | None = None) -> t.RatingReply:
        """Rate the other side of a deal."""
        return self._call(spec.RATE, deal, body=body, key=key)

    def ratings(self, peer: str) -> t.Ratings:
        """What others say of a peer; `me`: of us."""
        return self._call(spec.RATINGS, peer)

    def dispute(self, deal: str, body: quarrel.NewDispute, key: str | None = None) -> t.DisputeReply:
        """A step of a dispute."""
        return self._call(spec.DISPUTE, deal, body=body, key=key)

    def disputes(self, deal: str) -> t.Disputes:
        """The disputes about a deal."""
        return self._call(spec.DISPUTES, deal)

    def opinion(self, body: quarrel.NewOpinion, key: str | None = None) -> t.OpinionReply:
        """Judge a dispute as its referee."""
        return self._call(spec.OPINION, body=body, key=key)

    def import_file(self, body: quarrel.ImportFile, key: str | None = None) -> t.Imported:
        """Take an opinion or a proof from a file."""
        return self._call(spec.IMPORT, body=body, key=key)

    def proofs(self) -> t.Proofs:
        """Who contradicted himself."""
        return self._call(spec.PROOFS)

    def proof_export(self, proof: str) -> t.Exported:
        """A proof as a file."""
        return self._call(spec.PROOF_EXPORT, proof)

    # Price list

    def prices_import(self, body: b.ImportPrices, key: str | None = None) -> t.PricesReport:
        """Replace the price list by a CSV file."""
        query: dict[str, str | int | None] = {f"map.{ours}": theirs for ours, theirs in body.mapping.items()}
        query["currency"] = body.currency
        query |= {name: "true" for name in ("dry_run", "skip_bad") if getattr(body, name)}
        return self._exchange(spec.PRICES_IMPORT, (), query, ("text/csv", body.csv), key)

    def prices_export(self) -> t.PricesExport:
        """The price list as CSV."""
        return self._call(spec.PRICES_EXPORT)

    def prices_show(self, words: str | None = None, limit: int | None = None, cursor: str | None = None) -> t.Prices:
        """The price list, page by page."""
        return self._call(spec.PRICES_SHOW, query={"q": words, "limit": limit, "cursor": cursor})

    # Moving to another machine

    def ledger_copy(self, body: moving.CopyLedger, key: str | None = None) -> t.LedgerCopy:
        """A copy of the ledger in a file that the caller removes."""
        return self._call(spec.LEDGER_COPY, body=body, key=key)

    def resume(self, body: moving.Resume, key: str | None = None) -> t.Resumed:
        """Go on after a restore."""
        return self._call(spec.RESUME, body=body, key=key)

    # Events

    def events(self, since: int | None = None) -> EventStream:
        """Events after `since`, or from now on, without a gap."""
        # Asked first, so that a connection lost before the first event loses none.
        since = self.status().last_seq if since is None else since
        return self._stream(spec.EVENTS, since=since, last=None)

    def _call(
        self,
        route: Route[ReplyT],
        *path: str,
        query: Query | None = None,
        body: b.Body | None = None,
        key: str | None = None,
    ) -> ReplyT:
        if not all(part.strip() for part in path):
            raise errors.BadInput(
                "an id is empty", hint="List what is here: market requests, market inbox, market deals"
            )
        payload = None if body is None else ("application/json", msgspec.json.encode(body))
        if self.dry_run and route.writes:
            query = {**(query or {}), spec.DRY_RUN: 1}
        return self._exchange(route, path, query or {}, payload, key)

    def _exchange(
        self, route: Route[ReplyT], path: tuple[str, ...], query: Query, payload: Payload, key: str | None
    ) -> ReplyT:
        with self._told_in_words(), Connection(self.endpoint, self._timeout) as connection:
            status, headers = _ask(connection, route, path, query, payload, key)
            return _answer(route, status, connection.read_body(headers))

    def _stream(self, route: Route[t.Event], *path: str, since: int | None, last: str | None) -> EventStream:
        def open_stream(since: int | None) -> Connection:
            with ExitStack() as if_it_fails:
                connection = if_it_fails.enter_context(Connection(self._find(), self._timeout))
                status, headers = _ask(connection, route, path, {"since": since}, None, None)
                if status != 200:
                    _answer(route, status, connection.read_body(headers))
                if_it_fails.pop_all()
            return connection

        with self._told_in_words():
            return EventStream(open_stream, since, last=last, patience=self._patience)

    @contextmanager
    def _told_in_words(self) -> Iterator[None]:
        """A daemon that is silent, or stops before it has answered, is an error as any other."""
        try:
            yield
        except TimeoutError:
            raise errors.Unavailable(f"marketd did not answer within {self._timeout:g} s") from None
        except ClosedError:
            raise errors.NoDaemon(
                "marketd stopped before it had answered",
                hint=f"Start it again: {self.endpoint.start}; then look what was done",
            ) from None


def _ask(
    connection: Connection,
    route: Route[ReplyT],
    path: tuple[str, ...],
    query: Query,
    payload: Payload,
    key: str | None,
) -> tuple[int, dict[str, str]]:
    target = route.path.format(
        **{name: quote(value, safe="") for name, value in zip(route.arguments, path, strict=True)}
    )
    given = {name: str(value) for name, value in query.items() if value is not None}
    headers = {"Market-Protocol": str(spec.PROTOCOL), "Connection": "close"}
    if key is not None:
        if not (key.isascii() and key.isprintable()):
            raise errors.BadInput("an idempotency key has printable ASCII characters only")
        headers["Idempotency-Key"] = key
    if payload is not None:
        headers["Content-Type"] = payload[0]
    connection.send(route.method, f"{target}?{urlencode(given)}" if given else target, headers, payload and payload[1])
    return connection.read_head()


def _answer(route: Route[ReplyT], status: int, body: bytes) -> ReplyT:
    try:
        if status == 200:
            return msgspec.json.decode(body, type=route.reply)
        error = msgspec.json.decode(body, type=t.ErrorReply).error
    except msgspec.DecodeError as fault:
        raise errors.VersionDiffers(f"marketd's answer to {route.name} is not understood: {fault}") from None
    raise rebuilt(error)


def rebuilt(info: t.ErrorInfo) -> errors.MarketError:
    """The error that the daemon raised; of an unknown code the root class, with the code among its details."""
    kind = next((kind for kind in _kinds(errors.MarketError) if kind.code == info.code), None)
    if kind is None:
        return errors.MarketError(info.message, hint=info.hint, details={"code": info.code, **info.details})
    if kind is errors.Refusal:
        error: errors.MarketError = errors.Refusal(str(info.details.get("reason", "")), info.message)
    else:
        error = kind(info.message)
    error.hint, error.details = info.hint or error.hint, dict(info.details)
    return error


def _kinds(kind: type[errors.MarketError]) -> Iterator[type[errors.MarketError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _kinds(child)
