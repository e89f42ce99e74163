"""Handlers of talk: counters, amended orders, notes and the files they name, the address book."""

from __future__ import annotations

from p2pmarket.api import spec
from p2pmarket.api import types as t
from p2pmarket.api.spec import Call
from p2pmarket.api.types import bodies_talk as b
from p2pmarket.clock import wall
from p2pmarket.errors import BadInput, NotFound, StoreError
from p2pmarket.market import contacts
from p2pmarket.market.differences import Offer, differences
from p2pmarket.market.talk_views import counter_view, note_view
from p2pmarket.market.verbs.base import Handlers, order_by_id
from p2pmarket.store import rows
from p2pmarket.store.cache import Seller
from p2pmarket.store.ledger import Ledger
from p2pmarket.trade import documents as d

HASH_CHARS = 64


class TalkVerbs(Handlers):
    """Haggle, talk, and know people."""

    async def counter(self, call: Call, body: b.NewCounter, quote: str) -> t.CounterReply:
        """Counter a quote; as its seller send a new version of it, made from the quote or from a buyer's counter."""
        return await self.write(call, spec.COUNTER, (quote, body), lambda ledger: self._counter(ledger, quote, body))

    def _counter(self, ledger: Ledger, id_: str, body: b.NewCounter) -> t.CounterReply:
        kept = ledger.documents.resolve(id_)
        row = ledger.quotes.get(kept.hash)
        if row is not None and not row.ours:
            hash_, created = self.market.talking.counter(ledger, row, body, wall())
            made = ledger.documents.get(hash_)
            if made is None:
                raise StoreError("a counter that was not kept")
            shown = counter_view(self.market.views, ledger, made)
            return t.CounterReply(counter=shown, quote=None, differences=shown.differences, created=created)
        if row is None and kept.kind != d.COUNTER:
            raise NotFound(f"{id_} is no quote and no counter", hint="market quotes REQUEST and market inbox list them")
        before = self._newest(ledger, kept.thread)
        version = self.market.talking.counter_back(ledger, kept, body, wall())
        return t.CounterReply(
            counter=None,
            quote=self.market.views.quote(ledger, version),
            differences=self._changed(ledger, before, version),
            created=True,
        )

    def _newest(self, ledger: Ledger, request: bytes) -> rows.Quote | None:
        """The newest version of ours."""
        mine = ledger.quotes.of_thread(request, self.market.signer.identity.public)
        return mine[-1] if mine else None

    def _changed(self, ledger: Ledger, before: rows.Quote | None, after: rows.Quote) -> list[t.Difference]:
        if before is None:
            return []
        return differences(self._offer(ledger, before), self._offer(ledger, after))

    def _offer(self, ledger: Ledger, row: rows.Quote) -> Offer:
        quote = self.market.reader.document(ledger, row.hash, d.Quote)
        return quote.sheet, quote.terms

    async def amend(self, call: Call, body: b.Amend, order: str) -> t.AmendReply:
        """Accept an order with changes."""

        def work(ledger: Ledger) -> t.AmendReply:
            row = order_by_id(ledger, order)
            if row.role != "seller":
                raise BadInput(f"{row.id} is an order that you gave", hint="Only its seller can answer it")
            version, created = self.market.talking.amend(ledger, row, body, wall())
            views, quoted = self.market.views, ledger.quotes.get(row.quote)
            now = ledger.orders.get(row.hash) or row
            return t.AmendReply(
                order=views.order(ledger, now),
                quote=views.quote(ledger, ledger.quotes.get(version.hash) or version),
                differences=self._changed(ledger, quoted, version),
                created=created,
            )

        return await self.write(call, spec.AMEND, (order, body), work)

    # Notes

    async def note(self, call: Call, body: b.NewNote) -> t.NotesReply:
        """Say something about a request, quote, counter, order or deal, or in answer to a note."""

        def work(ledger: Ledger) -> t.NotesReply:
            made = self.market.talking.note(ledger, ledger.documents.resolve(body.about), body, wall())
            return t.NotesReply(notes=self._notes(ledger, made), created=True)

        return await self.write(call, spec.NOTE, body, work)

    async def file(self, call: Call, body: None, digest: str) -> t.FoundFile:
        """The notes that name a file."""
        wanted = digest.strip().lower()
        if len(wanted) != HASH_CHARS or not all(char in "0123456789abcdef" for char in wanted):
            raise BadInput("that is no SHA-256", hint="64 hexadecimal digits; market note --check FILE reckons them")

        def work(ledger: Ledger) -> t.FoundFile:
            found = self._naming(ledger, bytes.fromhex(wanted))
            return t.FoundFile(sha256=wanted, notes=self._notes(ledger, found))

        return await self.read(work)

    def _naming(self, ledger: Ledger, sha256: bytes) -> list[bytes]:
        """The notes in whose envelope the hash stands; which is looked for in their bytes first."""
        kept = ledger.documents.holding(d.kind_of(d.Note), sha256)
        named = []
        for one in kept:
            note = self.market.reader.document(ledger, one, d.Note)
            if any(file.hash == sha256 for file in note.attachments or ()):
                named.append(one)
        return named

    def _notes(self, ledger: Ledger, hashes: list[bytes]) -> list[t.Note]:
        kept = (ledger.documents.get(one) for one in hashes)
        return [note_view(self.market.views, ledger, one) for one in kept if one is not None]

    # The address book

    async def contacts(self, call: Call, body: None) -> t.Contacts:
        """The address book."""
        sellers = await self.market.remembered()

        def work(ledger: Ledger) -> t.Contacts:
            return t.Contacts(contacts=[self._contact(ledger, row, sellers) for row in ledger.contacts.all()])

        return await self.read(work)

    async def contact_add(self, call: Call, body: b.AddContact) -> t.ContactReply:
        """Add or rename a contact."""
        sellers = await self.market.remembered()

        def work(ledger: Ledger) -> t.ContactReply:
            own = self.market.signer.identity.public
            identity, created = contacts.add(ledger, body, self._meant(ledger, body), sellers, own, wall())
            row = ledger.contacts.get(identity)
            if row is None:
                raise StoreError("a contact that was not kept")
            return t.ContactReply(contact=self._contact(ledger, row, sellers), created=created, removed=False)

        return await self.write(call, spec.CONTACT_ADD, body, work)

    def _meant(self, ledger: Ledger, body: b.AddContact) -> bytes | None:
        """The buyer who has made himself known in a request of the inbox, if it is that id that was given."""
        text = body.peer.strip().lower()
        if not text.startswith("r-"):
            return None
        kept = ledger.documents.resolve(text)
        row = ledger.requests.get(kept.hash)
        found = self.market.views.introduced(ledger, kept.hash) if row is not None and row.role == "seller" else None
        if found is None:
            raise NotFound(f"nobody has made himself known by {body.peer}", hint="Only a buyer who did can be added")
        return found

    async def contact_remove(self, call: Call, body: b.RemoveContact) -> t.ContactReply:
        """Remove a contact."""
        sellers = await self.market.remembered()

        def work(ledger: Ledger) -> t.ContactReply:
            row = contacts.remove(ledger, body.contact)
            if row is None:
                raise NotFound(f"{body.contact!r} is not in the address book", hint="market contacts lists it")
            return t.ContactReply(contact=self._contact(ledger, row, sellers), created=True, removed=True)

        return await self.write(call, spec.CONTACT_REMOVE, body, work)

    def _contact(self, ledger: Ledger, row: rows.Contact, sellers: list[Seller]) -> t.Contact:
        return contacts.view(ledger, row, {one.category for one in sellers if one.identity == row.identity})
