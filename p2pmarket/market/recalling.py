"""After a restore: getting back what was lost since the backup, and noticing a second machine under the same keys.

Rules. A restored ledger may lack documents that we have signed or acknowledged, and signing anew could contradict them.
So every thread is read-only (`papers.keep` refuses) until its other side has returned what it holds: on each link the
restored side says which documents it has (Recall), the other side sends the rest as they are, in its own order, and
says that this was all (Recalled). The user may open a thread without that.

A thread that we have lost altogether comes back the same way: where a restored peer does not know what a document is
about, or gets a request older than the restore, it answers nothing and recalls first.

A recall is signed and names the machine. Whoever gets one shows it to every other link under the same key. So a daemon
that is shown a recall of another machine, signed with its own key after it was set up itself, knows that its keys are
in use twice. It says so in a recall of its own, which reaches the other machine, and signs nothing more: nor does the
other one, until the user has said which of them goes on. A document of our own that was signed after our restore and
that we do not know proves the same. Nothing that others could forge stops anybody.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from p2pmarket import keys
from p2pmarket.errors import Refusal
from p2pmarket.keys import SigningKey, check_signature, recall_statement
from p2pmarket.limits import (
    DAY,
    FUTURE_SECONDS,
    RECALL_ANSWERS,
    RECALL_HASHES,
    RECALL_SECONDS,
    RECALLS_KEPT,
)
from p2pmarket.market.buying import note_response, quote_row
from p2pmarket.market.dealing import Dealing
from p2pmarket.market.own_keys import sign_key
from p2pmarket.market.papers import TWO_MACHINES, keep_returned
from p2pmarket.market.threads import order_row, project
from p2pmarket.messages import Document, Recall, Recalled, encode
from p2pmarket.store import rows
from p2pmarket.store.ledger import Ledger
from p2pmarket.trade import documents as d
from p2pmarket.trade.thread import Thread, slot

MACHINE, RESTORED = "machine", "restored"  # in the ledger's meta
MACHINE_BYTES = 16
EXPECTING_SECONDS = 30 * DAY  # after a restore, how long every line is kept for what may come back
EPOCHS_AHEAD = 10  # the other machine may have gone on by some that we have not seen
Link = tuple[bytes, bytes]
Kept = TypeVar("Kept")


def after_restore(ledger: Ledger, ours: bytes, machine: bytes, wall: int) -> int:
    """The first thing done with a ledger that came from a backup; how many threads are read-only."""
    ledger.meta.set("stream", keys.base32(machine).encode())  # who counted events on the old machine begins anew
    ledger.announcements.forget_holders()  # what they hold says where the old machine was
    return begin_anew(ledger, ours, machine, wall)


def begin_anew(ledger: Ledger, ours: bytes, machine: bytes, wall: int) -> int:
    """From now on this machine alone signs, and on nothing of before until it is back; how many threads that are."""
    epoch = max(int(ledger.meta.get("epoch") or b"0") + EPOCHS_AHEAD, wall)
    ledger.meta.set("epoch", str(epoch).encode())
    ledger.meta.set(MACHINE, machine)
    restored = max(wall, int(ledger.meta.get(RESTORED) or b"0") + 1)  # whatever the clocks of the two machines say
    ledger.meta.set(RESTORED, str(restored).encode())
    ledger.meta.delete(TWO_MACHINES)
    ledger.standing_keys.forget()
    return ledger.recalls.begin(ours, wall + EXPECTING_SECONDS)


def is_restored(ledger: Ledger) -> bool:
    """Whether this ledger ever came from a backup."""
    return ledger.meta.get(RESTORED) is not None


def is_restored_lately(ledger: Ledger, wall: int) -> bool:
    """Whether we moved so short ago that others may still look for us at the old place."""
    return wall - int(ledger.meta.get(RESTORED) or b"0") < EXPECTING_SECONDS


@dataclass(slots=True)
class Recalling:
    """Both sides of a recall, in the ledger's thread. `shown` holds the last recall on each link, as it came."""

    dealing: Dealing
    moved: bool = False  # this ledger was restored at some time: else nothing can be missing
    expecting: bool = False  # restored lately: others may not know where we are, so we call them
    shown: OrderedDict[Link, bytes] = field(default_factory=OrderedDict)
    answered: OrderedDict[Link, tuple[int, int]] = field(default_factory=OrderedDict)
    asked: OrderedDict[Link, int] = field(default_factory=OrderedDict)  # when
    lost: OrderedDict[Link, int] = field(
        default_factory=OrderedDict
    )  # links over which something came that we do not know at all
    whole: OrderedDict[Link, int] = field(default_factory=OrderedDict)  # links over which all was returned

    # The restored side

    def ask(self, ledger: Ledger, link: Link, wall: int) -> list[bytes]:
        """The recall for a link with threads that are read-only or lost; empty if nothing is to be asked there."""
        threads = list(self._threads(ledger, link))
        waiting = [found for found in threads if ledger.recalls.is_read_only(*found)]
        if not waiting and link not in self.lost:
            return []
        _remember(self.asked, link, wall)
        have = [request for request, _ in threads]  # the longest papers first
        have += [opened.hash for found in threads for opened in ledger.documents.between(*found)]
        return [self._recall(ledger, self._key(ledger, link), have, max(wall, self._restored(ledger)))]

    def postpones(self, ledger: Ledger, opened: d.Opened, link: Link, refusal: Refusal) -> bool:
        """Whether a document that answers something unknown must wait for what we may have lost."""
        if not self._restored(ledger) or not refusal.reason.startswith("unknown_") or link in self.whole:
            return False
        _remember(self.lost, link, 0)
        return True

    def is_old(self, ledger: Ledger, opened: d.Opened, link: Link) -> bool:
        """Whether a request may have been here before our restore, by whatever clock: we may have answered it.

        Where all was returned over its link it is a new one, for it was not among that.
        """
        restored = self._restored(ledger)
        return restored > 0 and opened.document.issued_at <= restored + FUTURE_SECONDS and link not in self.whole

    def take_own(self, ledger: Ledger, opened: d.Opened, link: Link, wall: int) -> bool:
        """Whether a document that came is one of ours: put back where it was lost, else a proof of a second machine.

        Over the link of a request only what belongs to it is ours: nothing there tells what else we have signed.
        """
        row = self._row_of(ledger, opened)
        mine = {self.dealing.signer.identity.public}
        if ledger.requests.by_exchange(link[0]) is not None:
            mine = {*mine, sign_key(row).public} if row is not None and row.exchange_public == link[0] else set()
        if opened.signer not in mine:
            return False
        if row is None or ledger.documents.get(opened.hash) is not None:
            return True
        if opened.document.issued_at > self._restored(ledger):
            self._stop(ledger, wall)
        elif ledger.recalls.is_read_only(row.hash, opened.signer, opened.recipient):
            self._put_back(ledger, row, opened, wall)
        return True

    def finish(self, ledger: Ledger, link: Link, wall: int) -> list[rows.Request]:
        """The other side has returned all, as asked: its threads are open again; the requests that they are about."""
        opened: list[rows.Request] = []
        if link not in self.asked:
            return opened
        self.lost.pop(link, None)
        _remember(self.whole, link, wall)
        for request, seller in self._threads(ledger, link):
            row = ledger.requests.get(request)
            if ledger.recalls.end(request, seller) and row is not None:
                ledger.events.add(wall, "thread.recalled", row.id, request)
                opened.append(row)
        return opened

    def resume(self, ledger: Ledger, thread: bytes | None) -> int:
        """Open a thread again, or all: the user knows that nothing is missing; how many were read-only."""
        return ledger.recalls.end(thread) if thread is not None else ledger.recalls.end_all()

    def only_here(self, ledger: Ledger, wall: int) -> int:
        """This machine goes on and the other one does not; how many threads wait for what was signed there."""
        signer = self.dealing.signer
        self.moved = self.expecting = True
        self.whole.clear()
        return begin_anew(ledger, signer.identity.public, signer.secrets(MACHINE_BYTES), wall)

    # The other side

    def answer(self, ledger: Ledger, link: Link, recall: Recall, wall: int) -> list[bytes]:
        """What to send back; nothing to who asks again too often."""
        since, count = self.answered.get(link, (0, 0))
        since, count = (wall, 0) if wall - since >= RECALL_SECONDS else (since, count)
        if count >= RECALL_ANSWERS:
            return []
        _remember(self.answered, link, (since, count + 1))
        have = {recall.have[at : at + 32] for at in range(0, len(recall.have), 32)}
        messages = [
            encode(Document(paper.kind, paper.recipient, paper.envelope))
            for request, seller in self._threads(ledger, link)
            for paper in self._papers(ledger, request, seller)
            if paper.hash not in have
        ]
        return [*messages, encode(Recalled(len(messages)))]

    def show(self, link: Link, recall: Recall) -> bytes:
        """Keep a recall for the other links under its key; the message."""
        message = encode(recall)
        _remember(self.shown, link, message)
        return message

    # Two machines

    def is_ours(self, ledger: Ledger, link: Link, recall: Recall) -> bool:
        """Whether a recall claims one of our own keys: then it is a claim shown to us, and nothing to answer."""
        return recall.signer == self._key(ledger, link).public

    def hear_claim(self, ledger: Ledger, link: Link, recall: Recall, wall: int) -> list[bytes]:
        """Another machine may use our keys; what to say if so. Raises BadMessage for a false signature."""
        network = self.dealing.signer.network
        statement = recall_statement(network, recall.signer, recall.machine, recall.issued)
        check_signature(recall.signer, recall.signature, statement)
        if recall.machine == self._machine(ledger) or recall.issued < self._restored(ledger):
            return []
        if not self._stop(ledger, wall):
            return []
        # Whatever the two clocks say, this one comes later than what it answers.
        return [self._recall(ledger, self._key(ledger, link), [], max(wall, recall.issued + 1))]

    def _stop(self, ledger: Ledger, wall: int) -> bool:
        """Sign nothing more; False if that was so before."""
        if ledger.meta.get(TWO_MACHINES) is not None:
            return False
        ledger.meta.set(TWO_MACHINES, str(wall).encode())
        return True

    # Parts

    def _restored(self, ledger: Ledger) -> int:
        """When this ledger was restored, UTC seconds; 0 if never."""
        return int(ledger.meta.get(RESTORED) or b"0")

    def _machine(self, ledger: Ledger) -> bytes:
        machine = ledger.meta.get(MACHINE)
        if machine is None:
            machine = self.dealing.signer.secrets(MACHINE_BYTES)
            ledger.meta.set(MACHINE, machine)
        return machine

    def _recall(self, ledger: Ledger, key: SigningKey, have: list[bytes], wall: int) -> bytes:
        machine = self._machine(ledger)
        signature = key.sign(recall_statement(self.dealing.signer.network, key.public, machine, wall))
        return encode(Recall(machine, wall, b"".join(have[:RECALL_HASHES]), key.public, signature))

    def _key(self, ledger: Ledger, link: Link) -> SigningKey:
        """The key that we sign recalls of a link with: strangers must not learn a buyer's identity.

        It is the key of the link's first request, which every machine knows that has the link's key.
        """
        row = ledger.requests.by_exchange(link[0])
        return sign_key(row) if row is not None else self.dealing.signer.identity

    def _threads(self, ledger: Ledger, link: Link) -> Iterator[tuple[bytes, bytes]]:
        """The threads (request, seller) that are talked about over a link."""
        ours = ledger.requests.of_exchange(link[0])
        for row in ours:
            for seller in ledger.outbox.recipients(row.hash, link):
                yield row.hash, seller
        for asked in ledger.requests.of_buyer(link[1]) if not ours else ():
            yield asked.hash, self.dealing.signer.identity.public

    def _papers(self, ledger: Ledger, request: bytes, seller: bytes) -> Iterator[rows.Document]:
        """All documents of a thread in the order in which we got or made them, the request as this seller has it."""
        first = ledger.documents.get(request)
        sent = ledger.outbox.of_document(request, seller)
        if first is not None:
            own = first._replace(recipient=seller, envelope=sent.envelope) if sent is not None else first
            yield own
        yield from ledger.documents.between(request, seller)

    def _row_of(self, ledger: Ledger, opened: d.Opened) -> rows.Request | None:
        about = self.dealing.about(ledger, opened)
        return ledger.requests.get(about) if about is not None else None

    def _put_back(self, ledger: Ledger, row: rows.Request, opened: d.Opened, wall: int) -> None:
        """One of our own documents, with the rows that belong to it; its recipient has it."""
        seller = self.dealing.signer.identity.public if row.role == "seller" else opened.recipient
        thread = self.dealing.thread(ledger, row.hash, seller)
        if not _fits(thread, opened):
            return
        link = self.dealing.link(ledger, row, seller)
        keep_returned(ledger, opened, row.hash, link, wall)
        match opened.document:
            case d.Quote() as quote:
                ledger.quotes.add(quote_row(opened, quote, opened.signer, ours=True))
            case d.Order() as order:
                ledger.orders.add(order_row(opened, order, wall)._replace(role="buyer", other=opened.recipient))
        thread = thread.adding(opened)
        if isinstance(opened.document, d.OrderResponse) and (made := ledger.orders.get(opened.document.order)):
            note_response(ledger, thread, made, opened.hash, opened.document, wall)
        else:
            project(ledger, thread, wall)


def _fits(thread: Thread, opened: d.Opened) -> bool:
    """Whether what a returned document rests on is here, and nothing else in its place."""
    place = slot(opened)
    if place is not None and any(slot(other) == place for other in thread.documents.values()):
        return False
    match opened.document:
        case d.Quote(request=request):
            return request == thread.request.hash
        case d.Order(quote=quote):
            return quote in thread.quotes
        case d.OrderResponse(order=order):
            return order in thread.orders
    return True


def _remember(kept: OrderedDict[Link, Kept], link: Link, value: Kept) -> None:
    """Keep the newest of so many links."""
    kept[link] = value
    kept.move_to_end(link)
    if len(kept) > RECALLS_KEPT:
        kept.popitem(last=False)
