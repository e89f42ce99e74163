"""Evidence: one file that lets a third person check a deal, or a signer who contradicts himself, without a network.

Rules. The file is JSON: a format name, the network, the signed envelopes (base64url) with the facts their signatures
cover from outside (kind, recipient), and a summary for readers. Nothing in it is believed: the envelopes are opened,
checked as their receivers checked them, and the file is written anew from them; unless that gives the same bytes, it
is refused. So no bit of it can be changed, and the summary says what the signatures say. The formats are numbered.

A deal's file holds all that its two sides signed about the request: quotes, counters, orders and answers, and all that
followed, the receipts of delivery too. They stand in one order: each document after those that it names, and what is
about a deal after its acceptance; of those that may come next the one signed first, then by hash. So both sides write
the same file when they hold the same documents. It shows what the order told: names, addresses, prices. Give it to
those who need it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush

import msgspec

from p2pmarket import keys, limits
from p2pmarket.errors import BadInput, BadMessage, NotFound, Refusal, WrongState
from p2pmarket.network import Network, network_named
from p2pmarket.trade import check, tables
from p2pmarket.trade.documents import NAMES, REQUEST, Opened, OrderResponse, deal_id, document_untrusted
from p2pmarket.trade.summary import Entry, Summary, SummaryLine, history_of, summary_of
from p2pmarket.trade.thread import Thread, fold, slot

DEAL = "p2pmarket-deal/1"
EQUIVOCATION = "p2pmarket-equivocation/1"
_KINDS = {name: kind for kind, name in NAMES.items()}
_WANTED = ("request", "quote", "order", "order_response")


class Paper(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One envelope: `kind` by name, `recipient` as did:key, `envelope` as base64url without padding."""

    kind: str
    recipient: str
    envelope: str


class Contradiction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who signed two documents where one was allowed."""

    signer: str
    kind: str
    documents: tuple[str, str]


class Bundle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file."""

    format: str
    network: str
    documents: tuple[Paper, ...]
    summary: Summary | None = None
    contradiction: Contradiction | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a file proves. Where `ok` is false, `problems` say why and nothing else may be relied on.

    `parties`: role ("buyer", "seller", "referee", or "signer" of a contradiction) to did:key. `history`: the documents
    of a deal in the order of the file. `upstream`: the deals that it depends on, as quote and order name them.
    """

    ok: bool
    format: str | None = None
    network: str | None = None
    parties: tuple[tuple[str, str], ...] = ()
    summary: Summary | None = None
    contradiction: Contradiction | None = None
    history: tuple[Entry, ...] = ()
    upstream: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[SummaryLine, ...]:
        """The lines of a deal."""
        return self.summary.lines if self.summary else ()

    @property
    def total(self) -> str | None:
        """What a deal comes to, "12.50 EUR"."""
        return f"{self.summary.total} {self.summary.currency}" if self.summary else None


def export_deal(thread: Thread, order_hash: bytes) -> bytes:
    """The file of an agreed deal, with all documents of `thread`, acknowledgements too if it holds any.

    Raises NotFound, or WrongState if it was not accepted.
    """
    if order_hash not in thread.orders:
        raise NotFound("there is no such deal")
    if order_hash not in thread.accepted or fold(thread).deals[order_hash] not in _AGREED:
        raise WrongState("the order was not accepted, so there is no deal to show")
    papers = (thread.request, *in_order(thread.documents.values()))
    return _written(Bundle(DEAL, thread.network.name, _papers(papers), summary=summary_of(thread, order_hash)))


def export_equivocation(network: Network, first: Opened, second: Opened) -> bytes:
    """The proof that one signer filled one slot twice. Raises BadInput if these two do not show it."""
    one, two = sorted((first, second), key=lambda opened: opened.hash)
    if slot(one) is None or slot(one) != slot(two) or one.hash == two.hash:
        raise BadInput("these two documents do not contradict each other")
    claim = Contradiction(keys.did_key(one.signer), one.name, (one.id, two.id))
    return _written(Bundle(EQUIVOCATION, network.name, _papers((one, two)), contradiction=claim))


@dataclass(frozen=True, slots=True)
class Shown:
    """What a good file holds: the thread of a deal with the hash of its order, or the two documents of a proof."""

    verdict: Verdict
    thread: Thread | None = None
    order: bytes = b""
    pair: tuple[Opened, Opened] | None = None


def verify_bundle(data: bytes) -> Verdict:
    """What the file proves. Never raises, whatever the bytes are; needs no network, no daemon and no clock."""
    return _examined(data).verdict


def deal_untrusted(data: bytes, network: Network) -> tuple[Thread, bytes]:
    """The thread in a deal's file of this network and the hash of the deal's order. Raises BadInput for any other."""
    shown = _good(data, DEAL, network)
    assert shown.thread is not None
    return shown.thread, shown.order


def equivocation_untrusted(data: bytes, network: Network) -> tuple[Opened, Opened]:
    """The two documents of a proof of this network, by rising hash. Raises BadInput for any other."""
    shown = _good(data, EQUIVOCATION, network)
    assert shown.pair is not None
    return shown.pair


def format_of(data: bytes) -> str | None:
    """What the file says that it is; None if it is none of these files."""
    try:
        return _read(data).format
    except BadInput:
        return None


# Deals

# An acceptance stands in each of these, or did until both cancelled it.
_AGREED = tables.STANDING | {"cancelled"}


def in_order(documents: Iterable[Opened]) -> Iterator[Opened]:
    """The documents in the one order of a file."""
    here = {opened.hash: opened for opened in documents}
    accepted: dict[bytes, set[bytes]] = {}
    for opened in here.values():
        if isinstance(opened.document, OrderResponse) and opened.document.code == "AP":
            accepted.setdefault(opened.document.order, set()).add(opened.hash)
    after: dict[bytes, list[Opened]] = {}
    missing: dict[bytes, int] = {}
    ready: list[tuple[int, bytes]] = []
    for opened in here.values():
        named = (_named_by(opened) & here.keys()) | accepted.get(getattr(opened.document, "deal", b""), set())
        missing[opened.hash] = len(named)
        for other in named:
            after.setdefault(other, []).append(opened)
        if not named:
            heappush(ready, (opened.document.issued_at, opened.hash))
    while ready:
        opened = here[heappop(ready)[1]]
        yield opened
        for later in after.get(opened.hash, ()):
            missing[later.hash] -= 1
            if not missing[later.hash]:
                heappush(ready, (later.document.issued_at, later.hash))


def _named_by(opened: Opened) -> set[bytes]:
    """All hashes that a document may name others by; it cannot hold its own."""
    values = (getattr(opened.document, name) for name in opened.document.__struct_fields__)
    found: set[bytes] = set()
    for value in values:
        several = value if isinstance(value, tuple) else (value,)
        found.update(one for one in several if isinstance(one, bytes))
    return found


def _examined(data: bytes) -> Shown:
    """Open, check and write anew; the verdict says what was found."""
    try:
        bundle = _read(data)
        network = network_named(bundle.network)
        if bundle.format == DEAL:
            shown, again = _verify_deal(network, bundle)
        elif bundle.format == EQUIVOCATION:
            shown, again = _verify_equivocation(network, bundle)
        else:
            return _failed(f"the format {bundle.format[:60]!r} is not known to this version")
    except (BadInput, BadMessage, NotFound, WrongState) as error:
        return _failed(error.message)
    except Refusal as refusal:
        return _failed(f"{refusal.message} ({refusal.reason})")
    return shown if again == data else _failed(_CHANGED)


def _good(data: bytes, wanted: str, network: Network) -> Shown:
    """What a file holds that must be good, of this format and network. Raises BadInput."""
    shown = _examined(data)
    verdict = shown.verdict
    if not verdict.ok:
        raise BadInput(f"the file does not hold: {'; '.join(verdict.problems)}", hint="Have it exported again")
    if verdict.format != wanted:
        raise BadInput(f"the file is a {verdict.format}, not a {wanted}", hint="market verify FILE says what it is")
    if verdict.network != network.name:
        raise BadInput(f"the file is of the network {verdict.network}, not {network.name}")
    return shown


def _verify_deal(network: Network, bundle: Bundle) -> tuple[Shown, bytes]:
    """Check every document, then write the file anew."""
    thread, order_hash = _deal(network, bundle)
    again = export_deal(thread, order_hash)
    summary = summary_of(thread, order_hash)
    parties = [("buyer", summary.buyer), ("seller", summary.seller), ("referee", summary.referee)]
    verdict = Verdict(
        ok=True,
        format=bundle.format,
        network=network.name,
        parties=tuple((role, key) for role, key in parties if key is not None),
        summary=summary,
        history=history_of(thread, (thread.request, *in_order(thread.documents.values()))),
        upstream=tuple(map(deal_id, thread.orders[order_hash][1].upstream or ())),
    )
    return Shown(verdict, thread, order_hash), again


def _deal(network: Network, bundle: Bundle) -> tuple[Thread, bytes]:
    """The thread of checked documents, and which order the file is about."""
    found = {paper.kind for paper in bundle.documents}
    missing = [name for name in _WANTED if name not in found]
    if missing:
        raise BadInput(f"the file lacks the {', the '.join(name.replace('_', ' ') for name in missing)}")
    if len(bundle.documents) > limits.EVIDENCE_DOCUMENTS:
        raise BadInput("the file holds more documents than a deal can have")
    request, *others = (_open(network, paper) for paper in bundle.documents)
    if request.kind != REQUEST:
        raise BadInput(_CHANGED)
    check.check_request(network, request, request.recipient, request.document.issued_at)
    thread = _checked(Thread.of(network, request.recipient, request), others)
    named = bundle.summary.deal if bundle.summary is not None else None
    for order_hash in thread.orders:
        if deal_id(order_hash) == named:
            return thread, order_hash
    raise BadInput(_CHANGED)


def _checked(thread: Thread, documents: list[Opened]) -> Thread:
    """The thread with all of these, each checked at the instant it was signed. Raises Refusal.

    Not all that a check asks for is named by hash (an invoice fits a change, or takes the room that a credit has made),
    and clocks tell whole seconds: the file's order may not be the one in which both sides took them. So what is refused
    is tried again as long as others go in; and bills that others leave no room for then go in before them if they can.
    """
    early: list[Opened] = []
    while True:
        found, refused = _as_far_as_possible(thread, documents, early)
        if not refused:
            return found
        blocked = [one for one, refusal in refused if refusal.reason == "totals" and one not in early]
        if not blocked or len(early) + len(blocked) > limits.EVIDENCE_EARLY:
            raise refused[0][1]
        early += blocked


def _as_far_as_possible(
    thread: Thread, documents: list[Opened], early: list[Opened]
) -> tuple[Thread, list[tuple[Opened, Refusal]]]:
    """The thread with those that fit, the early ones first, and the others with what stands against them."""
    while True:
        why: dict[bytes, Refusal] = {}
        grown = True  # since the early ones were tried
        for opened in documents:
            tried = (*early, opened) if grown else (opened,)
            grown = False
            for one in tried:
                if thread.find(one.hash) is not None:
                    continue
                if (refusal := _refusal(thread, one)) is None:
                    thread, grown = thread.adding(one), True
                else:
                    why[one.hash] = refusal
        left = [opened for opened in documents if thread.find(opened.hash) is None]
        if not left or len(left) == len(documents):
            return thread, [(opened, why[opened.hash]) for opened in left]
        documents = left


def _refusal(thread: Thread, opened: Opened) -> Refusal | None:
    try:
        check.check(thread, opened, opened.document.issued_at)
    except Refusal as refusal:
        return refusal
    return None


def _verify_equivocation(network: Network, bundle: Bundle) -> tuple[Shown, bytes]:
    if len(bundle.documents) != 2:
        raise BadInput("two documents are needed to show a contradiction")
    one, two = (_open(network, paper) for paper in bundle.documents)
    verdict = Verdict(
        ok=True,
        format=bundle.format,
        network=network.name,
        parties=(("signer", keys.did_key(one.signer)),),
        contradiction=bundle.contradiction,
    )
    return Shown(verdict, pair=(one, two)), export_equivocation(network, one, two)


# The file

_CHANGED = "the file was changed: it is not what its signed documents say"


def _read(data: bytes) -> Bundle:
    if len(data) > limits.EVIDENCE_BYTES:
        raise BadInput("the file is too large")
    try:
        return msgspec.json.decode(data, type=Bundle)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput("this is no file of a deal", hint="Make one with: market export DEAL -o FILE") from error


def _written(bundle: Bundle) -> bytes:
    return msgspec.json.format(msgspec.json.encode(bundle), indent=2) + b"\n"


def _papers(documents: Iterable[Opened]) -> tuple[Paper, ...]:
    return tuple(Paper(o.name, keys.did_key(o.recipient), _text(o.envelope)) for o in documents)


def _open(network: Network, paper: Paper) -> Opened:
    if paper.kind not in _KINDS:
        raise BadInput("a document is of a kind that this version does not know")
    recipient = keys.parse_did_key(paper.recipient)
    return document_untrusted(_KINDS[paper.kind], _bytes(paper.envelope), network, recipient)


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadInput("an envelope is not base64url") from error


def _failed(problem: str) -> Shown:
    return Shown(Verdict(ok=False, problems=(problem,)))
