"""Handlers of ratings, disputes, referees' opinions, evidence and proofs."""

from __future__ import annotations

import trio

from p2pmarket.api import spec
from p2pmarket.api import types as t
from p2pmarket.api.spec import Call
from p2pmarket.api.types import bodies_quarrel as b
from p2pmarket.clock import wall
from p2pmarket.errors import BadInput
from p2pmarket.market import contacts, quarrel
from p2pmarket.market.deal_papers import open_deal
from p2pmarket.market.proofs import add_proof, proof_file
from p2pmarket.market.quarrel_views import disputes_view, proof_view, rating_view, somebody
from p2pmarket.market.rating import ASKED_SECONDS
from p2pmarket.market.verbs.base import Handlers
from p2pmarket.store import rows
from p2pmarket.store.ledger import Ledger
from p2pmarket.trade import documents as d
from p2pmarket.trade import evidence
from p2pmarket.trade.thread import Thread
from p2pmarket.trade.thread.disputes import dispute_of


class QuarrelVerbs(Handlers):
    """Rate, quarrel, judge, prove."""

    async def rate(self, call: Call, body: b.NewRating, deal: str) -> t.RatingReply:
        """Rate the other side of a deal."""

        def work(ledger: Ledger) -> t.RatingReply:
            order = open_deal(self.market.dealing, ledger, deal).row
            opened, created = quarrel.rate(ledger, self.market.dealing, order, body, wall())
            return t.RatingReply(rating=rating_view(self.market.views, ledger, opened), created=created)

        reply = await self.write(call, spec.RATE, (deal, body), work)
        self.market.reputation.said()
        return reply

    async def ratings(self, call: Call, body: None, peer: str) -> t.Ratings:
        """What others say of a peer: looked up unless that was done lately."""
        sellers = await self.market.remembered()
        me = self.market.signer.identity.public

        def named(ledger: Ledger) -> tuple[bytes, str | None]:
            found = contacts.find(ledger, peer, sellers, half=True) if peer != "me" else None
            return (found.identity, found.name) if found is not None else (me, None)

        identity, name = await self.read(named)
        reputation = self.market.reputation
        fresh = reputation.is_fresh(identity, ASKED_SECONDS)
        holders = None if fresh else await reputation.look(identity)

        def work(ledger: Ledger) -> t.Ratings:
            views = self.market.views
            standing = reputation.standing(ledger, identity)
            found = reputation.found(ledger, identity)
            return t.Ratings(
                peer=somebody(views, ledger, identity, name),
                own=standing.own if standing else None,
                contacts=standing.contacts if standing else None,
                others=standing.others if standing else None,
                ratings=[rating_view(views, ledger, opened, seen) for opened, seen in found],
                holders=holders,
            )

        return await self.read(work)

    async def dispute(self, call: Call, body: b.NewDispute, deal: str) -> t.DisputeReply:
        """A step of a dispute."""

        def work(ledger: Ledger) -> t.DisputeReply:
            order = open_deal(self.market.dealing, ledger, deal).row
            opened, created = quarrel.dispute(ledger, self.market.dealing, order, body, wall())
            about = self._about(ledger, order, opened)
            return t.DisputeReply(deal=self._deal(ledger, order), dispute=about, created=created)

        return await self.write(call, spec.DISPUTE, (deal, body), work)

    async def disputes(self, call: Call, body: None, deal: str) -> t.Disputes:
        """The disputes about a deal."""

        def work(ledger: Ledger) -> t.Disputes:
            order = open_deal(self.market.dealing, ledger, deal).row
            thread = self.market.dealing.deal_thread(ledger, order)
            found = disputes_view(self.market.views, thread, order) if order.hash in thread.orders else []
            return t.Disputes(deal=self._deal(ledger, order), disputes=found)

        return await self.read(work)

    async def opinion(self, call: Call, body: b.NewOpinion) -> t.OpinionReply:
        """Judge a dispute as the referee whom both sides named, from the file of either."""
        dealing = self.market.dealing
        thread, deal = await trio.to_thread.run_sync(evidence.deal_untrusted, body.data, dealing.signer.network)

        def work(ledger: Ledger) -> t.OpinionReply:
            opened, judged, created = quarrel.opinion(ledger, dealing, thread, deal, body, wall())
            move = opened.document
            assert isinstance(move, d.Dispute)
            return t.OpinionReply(
                deal=d.deal_id(deal),
                dispute=judged.documents[move.about or b""].id,
                opinion=opened.id,
                name=f"{d.deal_id(deal)}-opinion.json",
                data=evidence.export_deal(judged, deal),
                created=created,
            )

        return await self.write(call, spec.OPINION, body, work)

    async def import_file(self, call: Call, body: b.ImportFile) -> t.Imported:
        """Take opinions about deals of ours, or a proof, from a file."""
        kind = evidence.format_of(body.data)
        network = self.market.config.network
        if kind == evidence.DEAL:
            shown = await trio.to_thread.run_sync(evidence.deal_untrusted, body.data, network)
            return await self.write(call, spec.IMPORT, body, lambda ledger: self._import_deal(ledger, *shown))
        if kind == evidence.EQUIVOCATION:
            pair = evidence.equivocation_untrusted(body.data, network)
            return await self.write(call, spec.IMPORT, body, lambda ledger: self._import_proof(ledger, *pair))
        raise BadInput("this is neither the file of a deal nor a proof", hint="market verify FILE says what it is")

    def _import_deal(self, ledger: Ledger, thread: Thread, deal: bytes) -> t.Imported:
        order, taken = quarrel.take_opinions(ledger, self.market.dealing, thread, deal, wall())
        ids = [opened.id for opened in taken]
        return t.Imported(kind="deal", deal=order.deal, opinions=ids, proof=None, created=bool(taken))

    def _import_proof(self, ledger: Ledger, one: d.Opened, two: d.Opened) -> t.Imported:
        proof, created = add_proof(ledger, one, two, wall())
        found = proof.id if proof is not None else None
        return t.Imported(kind="equivocation", deal=None, opinions=[], proof=found, created=created)

    async def export(self, call: Call, body: None, deal: str) -> t.Exported:
        """A file that proves a deal."""

        def work(ledger: Ledger) -> t.Exported:
            row = open_deal(self.market.dealing, ledger, deal).row
            data = quarrel.evidence_of(ledger, self.market.dealing, row)
            return t.Exported(deal=row.deal, name=f"{row.deal}.json", data=data)

        return await self.read(work)

    async def proofs(self, call: Call, body: None) -> t.Proofs:
        """Who has signed two documents where one was allowed."""

        def work(ledger: Ledger) -> t.Proofs:
            return t.Proofs(proofs=[proof_view(self.market.views, ledger, row) for row in ledger.proofs.latest()])

        return await self.read(work)

    async def proof_export(self, call: Call, body: None, proof: str) -> t.Exported:
        """A file that proves that somebody contradicts himself."""

        def work(ledger: Ledger) -> t.Exported:
            row = ledger.proofs.resolve(proof)
            data = proof_file(row, self.market.config.network)
            return t.Exported(deal=row.id, name=f"{row.id}.json", data=data)

        return await self.read(work)

    def _deal(self, ledger: Ledger, order: rows.Order) -> t.Deal:
        return self.market.views.deal(ledger, ledger.orders.get(order.hash) or order)

    def _about(self, ledger: Ledger, order: rows.Order, opened: d.Opened) -> t.Dispute:
        """The dispute that a step of ours belongs to."""
        thread = self.market.dealing.deal_thread(ledger, order)
        begun = thread.documents[dispute_of(thread, opened)].id
        return next(found for found in disputes_view(self.market.views, thread, order) if found.id == begun)
