"""Handlers for moving to another machine: a copy of the ledger, and going on after a restore."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from p2pmarket import keys
from p2pmarket.api import spec
from p2pmarket.api import types as t
from p2pmarket.api.spec import Call
from p2pmarket.api.types import bodies_moving as b
from p2pmarket.clock import wall
from p2pmarket.errors import BadInput
from p2pmarket.market.papers import check_alone
from p2pmarket.market.verbs.base import Handlers
from p2pmarket.store.ledger import Ledger
from p2pmarket.vocab.deadlines import instant_text

COPY_PREFIX = "backup-"


class MovingVerbs(Handlers):
    """Backup, and what follows a restore."""

    async def ledger_copy(self, call: Call, body: b.CopyLedger) -> t.LedgerCopy:
        """A copy of the ledger as it is now; those of backups that were cut short are removed."""
        market, now = self.market, wall()
        home = Path(market.config.home)
        path = _fresh_copy(home, now)
        if not call.dry_run:
            await market.ledger.copy_to(path)
        return t.LedgerCopy(
            path=str(path),
            bytes=path.stat().st_size if path.exists() else 0,
            home=str(home),
            network=market.config.network.name,
            identity=keys.did_key(market.signer.identity.public),
            made_at=instant_text(now),
        )

    async def resume(self, call: Call, body: b.Resume) -> t.Resumed:
        """Go on without what may be missing, or as the only machine."""
        if sum([body.id is not None, body.all, body.this_machine]) != 1:
            raise BadInput("say what to resume: one ID, all, or this machine", hint="One of id, all and this_machine")
        reply = await self.write(call, spec.RESUME, body, partial(self._resume, body=body))
        if body.this_machine and not call.dry_run:
            self.market.recalls.ask_all()
            self.market.announcer.refresh()
        return reply

    def _resume(self, ledger: Ledger, body: b.Resume) -> t.Resumed:
        recalling = self.market.recalling
        if body.this_machine:
            return t.Resumed(threads=recalling.only_here(ledger, wall()), this_machine=True)
        check_alone(ledger)
        thread = ledger.documents.resolve(body.id).thread if body.id is not None else None
        return t.Resumed(threads=recalling.resume(ledger, thread), this_machine=False)


def _fresh_copy(home: Path, now: int) -> Path:
    """Where to copy to; what backups left that were cut short goes."""
    for left in home.glob(f"{COPY_PREFIX}*.sqlite"):
        left.unlink(missing_ok=True)
    return home / f"{COPY_PREFIX}{now}.sqlite"
