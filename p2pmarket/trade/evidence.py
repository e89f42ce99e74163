"""Evidence: one file that lets a third person check a deal, or a signer who contradicts himself, without a network.

Rules. The file is JSON: a format name, the network, the signed envelopes (base64url) with the facts their signatures
cover from outside (kind, recipient), and a summary for readers. Nothing in it is believed: the envelopes are opened,
checked as their receivers checked them, and the file is written anew from them; unless that gives the same bytes, it
is refused. So no bit of it can be changed, and the summary says what the signatures say. The formats are numbered; a
reader keeps knowing the old ones. A deal's file holds what the order told: names, addresses, prices. Give it to those
who need it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from p2pmarket import keys, limits
from p2pmarket.errors import BadInput, BadMessage, NotFound, Refusal, WrongState
from p2pmarket.network import Network, network_named
from p2pmarket.trade import check, tables
from p2pmarket.trade.documents import NAMES, Opened, Order, OrderResponse, Quote, deal_id, document_untrusted
from p2pmarket.trade.thread import Thread, fold, slot
from p2pmarket.trade.values import Sheet
from p2pmarket.vocab.decimals import money_text

DEAL = "p2pmarket-deal/1"
EQUIVOCATION = "p2pmarket-equivocation/1"
_KINDS = {name: kind for kind, name in NAMES.items()}
_WANTED = ("request", "quote", "order", "order_response")


class Paper(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One envelope: `kind` by name, `recipient` as did:key, `envelope` as base64url without padding."""

    kind: str
    recipient: str
    envelope: str


class SummaryLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An ordered line: how much of what; `no` is that of the quote."""

    no: int
    quantity: str
    unit: str
    text: str


class Summary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the signatures say of a deal; instants RFC 3339, `total` a decimal."""

    deal: str
    request: str
    quote: str
    order: str
    buyer: str
    seller: str
    ordered_at: str
    agreed_at: str
    lines: tuple[SummaryLine, ...]
    total: str
    currency: str


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

    `parties`: role ("buyer", "seller", or "signer" of a contradiction) to did:key.
    """

    ok: bool
    format: str | None = None
    network: str | None = None
    parties: tuple[tuple[str, str], ...] = ()
    summary: Summary | None = None
    contradiction: Contradiction | None = None
    problems: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[SummaryLine, ...]:
        """The ordered lines of a deal."""
        return self.summary.lines if self.summary else ()

    @property
    def total(self) -> str | None:
        """What a deal comes to, "12.50 EUR"."""
        return f"{self.summary.total} {self.summary.currency}" if self.summary else None


def export_deal(thread: Thread, order_hash: bytes) -> bytes:
    """The file of an agreed deal. Raises NotFound, or WrongState if it was not accepted."""
    if order_hash not in thread.orders:
        raise NotFound("there is no such deal")
    opened, order = thread.orders[order_hash]
    yes = _acceptance(thread, order_hash)
    if yes is None:
        raise WrongState("the order was not accepted, so there is no deal to show")
    return _deal_file(thread, (thread.request, thread.documents[order.quote], opened, yes))


def export_equivocation(network: Network, first: Opened, second: Opened) -> bytes:
    """The proof that one signer filled one slot twice. Raises BadInput if these two do not show it."""
    one, two = sorted((first, second), key=lambda opened: opened.hash)
    if slot(one) is None or slot(one) != slot(two) or one.hash == two.hash:
        raise BadInput("these two documents do not contradict each other")
    claim = Contradiction(keys.did_key(one.signer), one.name, (one.id, two.id))
    return _written(Bundle(EQUIVOCATION, network.name, _papers((one, two)), contradiction=claim))


def verify_bundle(data: bytes) -> Verdict:
    """What the file proves. Never raises, whatever the bytes are; needs no network, no daemon and no clock."""
    try:
        bundle = _read(data)
        network = network_named(bundle.network)
        if bundle.format == DEAL:
            verdict, again = _verify_deal(network, bundle)
        elif bundle.format == EQUIVOCATION:
            verdict, again = _verify_equivocation(network, bundle)
        else:
            return _failed(f"the format {bundle.format[:60]!r} is not known to this version")
    except (BadInput, BadMessage, NotFound, WrongState) as error:
        return _failed(error.message)
    except Refusal as refusal:
        return _failed(f"{refusal.message} ({refusal.reason})")
    if again != data:
        return _failed("the file was changed: it is not what its signed documents say")
    return verdict


# Deals


def _acceptance(thread: Thread, order_hash: bytes) -> Opened | None:
    yes = (o for o, r in thread.each(OrderResponse) if (r.order, r.code) == (order_hash, "AP"))
    return next(yes, None) if fold(thread).deals[order_hash] in _STANDING else None


_STANDING = tables.STANDING | {"cancelled"}


def _deal_file(thread: Thread, documents: tuple[Opened, Opened, Opened, Opened]) -> bytes:
    request, quoted, ordered, yes = documents
    assert isinstance(quoted.document, Quote)
    assert isinstance(ordered.document, Order)
    order, sheet = ordered.document, quoted.document.sheet
    summary = Summary(
        deal=deal_id(ordered.hash),
        request=request.id,
        quote=quoted.id,
        order=ordered.id,
        buyer=keys.did_key(ordered.signer),
        seller=keys.did_key(thread.seller),
        ordered_at=_instant(order.issued_at),
        agreed_at=_instant(yes.document.issued_at),
        lines=_lines(order, sheet),
        total=money_text(order.total, order.exponent),
        currency=order.currency,
    )
    return _written(Bundle(DEAL, thread.network.name, _papers(documents), summary=summary))


def _lines(order: Order, sheet: Sheet) -> tuple[SummaryLine, ...]:
    offered = {line.no: line for line in sheet.lines}
    return tuple(SummaryLine(o.no, o.quantity, offered[o.no].unit, offered[o.no].text) for o in order.lines)


def _verify_deal(network: Network, bundle: Bundle) -> tuple[Verdict, bytes]:
    """Check each document against those before it, at the instant it was signed; then write the file anew."""
    found = {paper.kind: paper for paper in bundle.documents}
    missing = [name for name in _WANTED if name not in found]
    if missing:
        raise BadInput(f"the file lacks the {', the '.join(name.replace('_', ' ') for name in missing)}")
    request, quoted, ordered, yes = (_open(network, found[name]) for name in _WANTED)
    check.check_request(network, request, request.recipient, request.document.issued_at)
    thread = Thread.of(network, request.recipient, request)
    for opened in (quoted, ordered, yes):
        check.check(thread, opened, opened.document.issued_at)
        thread = thread.adding(opened)
    verdict = Verdict(
        ok=True,
        format=bundle.format,
        network=network.name,
        parties=(("buyer", keys.did_key(ordered.signer)), ("seller", keys.did_key(thread.seller))),
        summary=bundle.summary,
    )
    return verdict, export_deal(thread, ordered.hash)


def _verify_equivocation(network: Network, bundle: Bundle) -> tuple[Verdict, bytes]:
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
    return verdict, export_equivocation(network, one, two)


# The file


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


def _instant(wall: int) -> str:
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _failed(problem: str) -> Verdict:
    return Verdict(ok=False, problems=(problem,))
