"""What arrives over links: opened, taken by the right side, acknowledged, saved, and only then answered.

Rules: everything about a batch of messages is one transaction. A document that is here already gets the stored answer
and changes nothing. A document that may not be accepted gets a signed refusal with a reason code. What cannot be opened
at all ends the link. Two documents in one slot are kept as a proof against their signer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from p2pmarket import limits
from p2pmarket.clock import wall
from p2pmarket.errors import BadMessage, PeerGone, Refusal, UnknownMessage
from p2pmarket.keys import SigningKey
from p2pmarket.limits import HOUR
from p2pmarket.market.buying import Buying
from p2pmarket.market.dealing import Dealing
from p2pmarket.market.notices import NOTICES
from p2pmarket.market.own_keys import sign_key
from p2pmarket.market.papers import TWO_MACHINES, queue
from p2pmarket.market.proofs import keep_proof
from p2pmarket.market.recalling import Recalling
from p2pmarket.market.resending import hear
from p2pmarket.market.selling import Selling
from p2pmarket.messages import Document, Goodbye, Message, Recall, Recalled, Refused, decode_untrusted, encode
from p2pmarket.store.ledger import Ledger
from p2pmarket.store.outbox import GIVEN_UP
from p2pmarket.store.rows import Document as Row
from p2pmarket.store.rows import Outgoing, Request
from p2pmarket.trade import check, documents, making

Link = tuple[bytes, bytes]
WRONG_RECIPIENT = "wrong_recipient"
NOT_HIS_KEY = "somebody else answers where he says he is"


@dataclass(slots=True)
class Taken:
    """What a batch led to: messages to send back, what waits for the same link now, and what was acknowledged.

    `shown`: a recall that other links under the same key should hear of. `for_others`: something was queued for another
    link.
    """

    answers: list[bytes] = field(default_factory=list)
    shown: list[bytes] = field(default_factory=list)
    waiting: list[Outgoing] = field(default_factory=list)
    acknowledged: list[bytes] = field(default_factory=list)
    for_others: bool = False


@dataclass(frozen=True, slots=True)
class Arrived:
    """A document as it came: opened, with the link and the address group that it came from."""

    opened: documents.Opened
    link: Link
    group: bytes


@dataclass(frozen=True, slots=True)
class Said:
    """A message that is no document, as it came: about recalls, or that nobody there answers for a recipient."""

    message: Recall | Recalled | Refused
    link: Link


class Receiving:
    """Opens and takes what peers send."""

    def __init__(self, buying: Buying, selling: Selling, dealing: Dealing, recalling: Recalling) -> None:
        self._buying, self._selling, self._dealing = buying, selling, dealing
        self._recalling = recalling
        self._signer = buying.signer

    def open_untrusted(self, messages: Sequence[bytes], link: Link, group: bytes) -> list[Arrived | Said]:
        """The documents, recalls and refusals among these messages; keepalives pass, and what a later version may say.

        Raises BadMessage, PeerGone for a goodbye.
        """
        opened = (self._open(_decoded(message), link, group) for message in messages)
        return [arrived for arrived in opened if arrived is not None]

    def _open(self, message: Message | None, link: Link, group: bytes) -> Arrived | Said | None:
        if isinstance(message, Document):
            network = self._signer.network
            opened = documents.document_untrusted(message.kind, message.envelope, network, message.recipient)
            return Arrived(opened, link, group)
        if isinstance(message, Recall | Recalled | Refused):
            return Said(message, link)
        if isinstance(message, Goodbye):
            raise PeerGone(f"the other side ended the link: {message.code}")
        return None

    def take(self, ledger: Ledger, batch: Sequence[Arrived | Said]) -> Taken:
        """Take a batch in one transaction; nothing but claims while another machine signs with our keys."""
        taken = Taken()
        stopped = ledger.meta.get(TWO_MACHINES) is not None
        for arrived in sorted(batch, key=_is_refused):  # whose copy is meant may follow from what came with it
            if isinstance(arrived, Said):
                self._take_said(ledger, arrived, taken)
            elif stopped:
                continue
            elif arrived.opened.kind == documents.ACKNOWLEDGEMENT:
                self._take_acknowledgement(ledger, arrived, taken)
            else:
                reached = self._take_receipt(ledger, arrived, taken)
                taken.answers += self._answer(ledger, arrived)
                if reached is not None and ledger.documents.get(arrived.opened.hash) is None:
                    self._tell_delivery(ledger, reached)  # what was refused has told of nothing else
        if batch and not stopped:
            signers = {arrived.opened.signer for arrived in batch if isinstance(arrived, Arrived)}
            hear(ledger, batch[0].link[1], signers, wall())
        queued = ledger.outbox.take_queued()
        if queued and batch:
            taken.waiting = ledger.outbox.waiting_for(batch[0].link, wall())
            taken.for_others = bool(queued - {batch[0].link})
        return taken

    def _take_said(self, ledger: Ledger, said: Said, taken: Taken) -> None:
        """A recall of the other side, one of another machine under our keys, the end of our own, or a refusal."""
        now, recalling = wall(), self._recalling
        if isinstance(said.message, Refused):
            self._take_refused(ledger, said.message, said.link, taken)
        elif isinstance(said.message, Recalled):
            for row in recalling.finish(ledger, said.link, now):
                self._selling.answer_late(ledger, row, said.link, now)
        elif recalling.is_ours(ledger, said.link, said.message):
            taken.answers += recalling.hear_claim(ledger, said.link, said.message, now)
        else:
            answers = recalling.answer(ledger, said.link, said.message, now)
            taken.answers += answers
            if answers:
                taken.shown.append(recalling.show(said.link, said.message))

    def _take_refused(self, ledger: Ledger, refused: Refused, link: Link, taken: Taken) -> None:
        """Nobody at the other end answers for a recipient: said again and again, it would keep others waiting.

        Of a paper that goes to several over this link we cannot tell whose copy is meant, until the rest is taken.
        """
        found = ledger.outbox.queued_for(refused.hash, link)
        if refused.code != WRONG_RECIPIENT or len(found) != 1:
            return
        (sent,) = found
        taken.acknowledged.append(sent.hash)
        ledger.outbox.set_state(sent, "failed", WRONG_RECIPIENT, wall())
        if sent.kind == documents.REQUEST:
            ledger.requests.set_answer(sent.thread, sent.recipient, "unreachable", NOT_HIS_KEY, wall())
        self._tell_delivery(ledger, sent)

    def _tell_delivery(self, ledger: Ledger, sent: Outgoing) -> None:
        """How far a paper of ours has come is another thing now; of a request that is a state of its seller."""
        party = sent.recipient if sent.kind == documents.REQUEST else sent.hash
        id_ = documents.document_id(sent.kind, sent.hash)
        ledger.events.add(wall(), "delivery.changed", id_, sent.thread, party)

    def _answer(self, ledger: Ledger, arrived: Arrived) -> list[bytes]:
        """Take one document and say so: the message with our signed acknowledgement.

        None to one of our own, nor to one that we answer at once: our answer names it. Should that come again, its
        sender may have lost our answer in a restore, so he gets both.
        """
        opened = arrived.opened
        now = wall()
        if self._recalling.take_own(ledger, opened, arrived.link, now):
            return []
        key = self._key_of(ledger, opened, arrived.link)
        if key is None:
            return [encode(Refused(opened.hash, WRONG_RECIPIENT))]
        kept = ledger.documents.get(opened.hash)
        if kept is not None and kept.ack is not None and not kept.ours and kept.signer == opened.signer:
            return [_message(opened.signer, kept.ack)]
        if kept is not None and kept.signer == opened.signer and self._answer_to(ledger, opened) is not None:
            return self._once_more(ledger, kept, opened, key)
        moment = self._buying.moment(now)
        try:
            self._take(ledger, arrived, kept, now)
        except Refusal as refusal:
            if self._recalling.postpones(ledger, opened, arrived.link, refusal):
                return self._recalling.ask(ledger, arrived.link, now)
            self._keep_proof(ledger, opened, refusal, now)
            code = refusal.reason
            answer = making.make_acknowledgement(opened, key, self._signer.network, moment, "refused", code)
            return [_message(opened.signer, answer.envelope)]
        if self._answer_to(ledger, opened) is not None:
            return []
        answer = making.make_acknowledgement(opened, key, self._signer.network, moment, "received")
        ledger.documents.set_ack(opened.hash, answer.envelope)
        answers = [_message(opened.signer, answer.envelope)]
        if opened.kind == documents.REQUEST and self._recalling.is_old(ledger, opened, arrived.link):
            answers += self._recalling.ask(ledger, arrived.link, now)
        return answers

    def _answer_to(self, ledger: Ledger, opened: documents.Opened) -> bytes | None:
        """Our newest quote for a request, or our response to an order: its hash."""
        if opened.kind == documents.REQUEST:
            row = ledger.requests.get(opened.hash)
            is_sellers = row is not None and row.role == "seller"
            return self._selling.thread(ledger, opened.hash).newest if is_sellers else None
        order = ledger.orders.get(opened.hash) if opened.kind == documents.ORDER else None
        return order.response if order is not None and order.role == "seller" else None

    def _once_more(self, ledger: Ledger, kept: Row, opened: documents.Opened, key: SigningKey) -> list[bytes]:
        """What to say when something comes again that we have answered at once; the same each time, and not kept.

        Our answer is in the outbox until it is taken. Where it was, it goes out again beside the acknowledgement.
        """
        moment = making.Moment(kept.time, lambda count: kept.hash[:count])
        said = making.make_acknowledgement(opened, key, self._signer.network, moment, "received")
        hash_ = self._answer_to(ledger, opened)
        sent = ledger.outbox.of_document(hash_, opened.signer) if hash_ is not None else None
        taken = sent is not None and sent.state in {"delivered", "seen"}
        again = [encode(Document(sent.kind, sent.recipient, sent.envelope))] if sent is not None and taken else []
        return [_message(opened.signer, said.envelope), *again]

    def _take(self, ledger: Ledger, arrived: Arrived, kept: Row | None, now: int) -> None:
        opened = arrived.opened
        if kept is not None:  # the same words, signed by somebody who did not write them
            raise Refusal("wrong_signer", check.REASONS["wrong_signer"])
        match opened.kind:
            case documents.REQUEST:
                old = self._recalling.is_old(ledger, opened, arrived.link)
                self._selling.take_request(ledger, opened, arrived.link, arrived.group, now, returned=old)
            case documents.ORDER:
                self._selling.take_order(ledger, opened, arrived.link, now)
            case documents.OUTCOME:
                self._selling.take_outcome(ledger, opened, now)
            case documents.QUOTE:
                self._buying.take_quote(ledger, opened, arrived.link, now)
            case documents.DECLINE:
                self._buying.take_decline(ledger, opened, now)
            case documents.WITHDRAW:
                self._buying.take_withdraw(ledger, opened, now)
            case documents.ORDER_RESPONSE:
                self._buying.take_response(ledger, opened, now)
            case _ if opened.kind in NOTICES:
                self._dealing.take(ledger, opened, now)
            case _:
                raise Refusal("unknown_document", check.REASONS["unknown_document"])

    def tell_seen(self, ledger: Ledger, kept: Row) -> None:
        """Tell the sender of a kept document that a person has looked at it."""
        opened = self._buying.reader.opened(kept)
        link = self._dealing.link_of(ledger, opened)
        key = self._key_of(ledger, opened, link) if link is not None else None
        if key is None or link is None:
            return
        now = wall()
        seen = making.make_acknowledgement(opened, key, self._signer.network, self._buying.moment(now), "seen")
        ledger.documents.set_ack(kept.hash, seen.envelope)
        queue(ledger, seen, kept.thread, link, now, now + HOUR)

    def _key_of(self, ledger: Ledger, opened: documents.Opened, link: Link) -> SigningKey | None:
        """The key of ours that a document is addressed to, if it is one that answers on this link.

        Over a link of a request its own key does, and the identity to whom we have ordered from, or about that order;
        over any other link the identity alone. Else whoever guesses who asked could try his guess.
        """
        identity = self._signer.identity
        if ledger.requests.by_exchange(link[0]) is None:
            return identity if opened.recipient == identity.public else None
        here = self._requests_of(ledger, opened, link)
        if opened.recipient != identity.public:
            return next((key for key in map(sign_key, here) if key.public == opened.recipient), None)
        about = getattr(opened.document, "deal", b"")
        orders = (order for row in here for order in ledger.orders.of_request(row.hash))
        return identity if any(opened.signer == order.other or about == order.hash for order in orders) else None

    def _requests_of(self, ledger: Ledger, opened: documents.Opened, link: Link) -> Sequence[Request]:
        """The request of ours over this link that a document is about; where it names no request at all, all of them.

        Requests of one link have one key: what is about a request that a restore has lost is for nobody here.
        """
        if (named := getattr(opened.document, "request", b"")) and ledger.documents.get(named) is None:
            return []
        about = self._dealing.about(ledger, opened)
        row = ledger.requests.get(about) if about is not None else None
        return [row] if row is not None and row.exchange_public == link[0] else ledger.requests.of_exchange(link[0])

    def _keep_proof(self, ledger: Ledger, opened: documents.Opened, refusal: Refusal, now: int) -> None:
        """Two documents in one slot: both are kept, for together they prove that their signer contradicts himself."""
        if refusal.reason == "equivocation":
            keep_proof(ledger, self._buying.reader, opened, now)

    def _take_receipt(self, ledger: Ledger, arrived: Arrived, taken: Taken) -> Outgoing | None:
        """A quote names the request that its signer has got, a response the order: they are acknowledged by that.

        Returns the paper that has so become delivered.
        """
        match arrived.opened.document:
            case documents.Quote(request=about) | documents.OrderResponse(order=about):
                sent = ledger.outbox.of_document(about, arrived.opened.signer)
            case _:
                return None
        if sent is None or sent.local != arrived.link[0]:
            return None
        taken.acknowledged.append(about)
        if not _moves(sent, "delivered"):
            return None
        ledger.outbox.set_state(sent, "delivered", None, wall())
        return sent

    def _take_acknowledgement(self, ledger: Ledger, arrived: Arrived, taken: Taken) -> None:
        """Somebody has saved, seen or refused a document of ours. What does not fit is passed over."""
        opened = arrived.opened
        ack = opened.document
        assert isinstance(ack, documents.Acknowledgement)
        sent = ledger.outbox.of_document(ack.about, opened.signer)
        ours = ledger.documents.get(ack.about)
        if sent is None or sent.local != arrived.link[0] or ours is None or not ours.ours:
            return
        about = documents.Opened(
            sent.kind, ours.signer, opened.signer, ack.about, self._buying.reader.of_row(ours), sent.envelope
        )
        try:
            check.check_acknowledgement(about, opened, wall())
        except Refusal as refusal:
            raise BadMessage(f"a wrong acknowledgement: {refusal.message}") from refusal
        taken.acknowledged.append(ack.about)
        state = {"received": "delivered", "seen": "seen", "refused": "failed"}[ack.status]
        if not _moves(sent, state):
            return
        ledger.outbox.set_state(sent, state, ack.code, wall())
        if ours.kind != documents.REQUEST:
            ledger.documents.set_ack(ours.hash, opened.envelope)
        self._note_delivery(ledger, sent.thread, opened.signer, ours, ack)

    def _note_delivery(
        self, ledger: Ledger, thread: bytes, seller: bytes, ours: Row, ack: documents.Acknowledgement
    ) -> None:
        request = ledger.requests.get(thread)
        if request is None:
            return
        asked = ledger.requests.asked_one(thread, seller)
        answered = asked is None or asked.answer in {"quoted", "declined"}
        if ours.kind == documents.REQUEST and ack.status == "refused" and not answered:
            reason = check.REASONS.get(ack.code or "", ack.code or "refused")
            ledger.requests.set_answer(thread, seller, "declined", reason, wall())
        party = seller if ours.kind == documents.REQUEST else ours.hash
        ledger.events.add(wall(), "delivery.changed", ours.id, thread, party)


def _moves(sent: Outgoing, state: str) -> bool:
    """Whether this can still become of a paper: what was taken or refused stays so, whatever is said later."""
    if sent.state == "seen" or (sent.state == "delivered" and state != "seen"):
        return False
    return sent.state != "failed" or (state != "failed" and sent.reason in GIVEN_UP)


def _is_refused(one: Arrived | Said) -> bool:
    return isinstance(one, Said) and isinstance(one.message, Refused)


def portions(messages: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """What came over one link, in order and in portions that take a few milliseconds each."""
    portion: list[bytes] = []
    size = 0
    for message in messages:
        if portion and (len(portion) == limits.PORTION_MESSAGES or size + len(message) > limits.PORTION_BYTES):
            yield portion
            portion, size = [], 0
        portion.append(message)
        size += len(message)
    if portion:
        yield portion


def _decoded(message: bytes) -> Message | None:
    try:
        return decode_untrusted(message)
    except UnknownMessage:
        return None


def _message(recipient: bytes, ack: bytes) -> bytes:
    return encode(Document(documents.ACKNOWLEDGEMENT, recipient, ack))
