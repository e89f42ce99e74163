"""Who am I, am I seen, why not, and what to do: `id`, `status`, `doctor`, `peers`."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import trio

from p2pmarket import keys
from p2pmarket.api import types as t
from p2pmarket.api.spec import PROTOCOL
from p2pmarket.clock import wall
from p2pmarket.config import Config
from p2pmarket.dht.contact import Contact
from p2pmarket.dht.node import Node
from p2pmarket.limits import CLOCK_SKEW_SECONDS
from p2pmarket.market.announcing import Announcer
from p2pmarket.market.events import Bus
from p2pmarket.market.inbox import count_new
from p2pmarket.market.papers import TWO_MACHINES, Signer
from p2pmarket.market.reach import Reach
from p2pmarket.market.views import Views
from p2pmarket.network import DEV
from p2pmarket.open_link import OpenLink
from p2pmarket.peers import Peers
from p2pmarket.store.ledger import Ledger
from p2pmarket.vocab.deadlines import instant_text

CLOCK_PEERS = 8  # fewer clocks than this say nothing
LOW_DISK_BYTES = 256 * 1024 * 1024
JOIN_SECONDS = 10  # after the start; a bootstrap node answers at once, or after its second try
NAMED = 3  # of many bootstrap nodes, in a sentence
log = logging.getLogger("p2pmarket.market")


@dataclass(frozen=True, slots=True)
class Health:
    """Reads the state of the daemon's parts; changes nothing."""

    config: Config
    signer: Signer
    node: Node
    peers: Peers
    reach: Reach
    announcer: Announcer
    views: Views
    bus: Bus
    port: int
    started: int

    def identity(self, ledger: Ledger) -> t.Identity:
        """Answer of `market id`."""
        public = self.signer.identity.public
        contacts = [contact.text() for contact in self.contacts()]
        return t.Identity(
            identity=keys.did_key(public),
            fingerprint=keys.fingerprint(public),
            name=ledger.meta.profile().get("name"),
            contact=contacts[0] if contacts and self.reach.verdict != "outbound_only" else None,
            contacts=contacts,
            network=self.config.network.name,
            home=str(self.config.home),
            version=version("p2pmarket"),
            protocol=PROTOCOL,
        )

    def contacts(self) -> list[Contact]:
        """What others may use as `--bootstrap`: none while we are known to be unreachable."""
        return [self.node.contact] if self.node.contact is not None else []

    def status(self, ledger: Ledger) -> t.Status:
        """Answer of `market status`."""
        waiting = ledger.outbox.waiting()
        reach = self.reach
        return t.Status(
            version=version("p2pmarket"),
            protocol=PROTOCOL,
            network=self.config.network.name,
            state=self.state(),
            identity=keys.did_key(self.signer.identity.public),
            started_at=instant_text(self.started),
            stream=self.bus.stream,
            last_seq=ledger.events.last(),
            clock_offset_s=reach.clock_offset,
            dht=t.DhtStatus(contacts=len(self.node.contacts()), estimated_nodes=self.node.estimated_size()),
            reachable=t.Reachable(
                verdict=reach.verdict,  # type: ignore[arg-type]
                addresses=[_address(*address) for address in reach.announced()],
                checked_by=reach.checked_by,
                checked_at=instant_text(reach.checked_at) if reach.checked_at else None,
            ),
            announcements=self.announcements(ledger),
            outbox=t.Outbox(
                waiting=waiting.documents, oldest_at=instant_text(waiting.oldest) if waiting.oldest else None
            ),
            inbox=count_new(self.views, ledger),
            problems=self.problems(ledger),
        )

    def state(self) -> t.NodeState:
        """Whether the network is joined."""
        if self.node.contacts():
            return "ready"
        return "joining" if wall() - self.started < 30 and self.config.bootstraps else "offline"

    def announcements(self, ledger: Ledger) -> list[t.Announcement]:
        """Our announcements with how they fare."""
        rows = ledger.announcements.all()
        return [self.views.announcement(row, row.holders > 0) for row in rows if row.state == "announced"]

    def problems(self, ledger: Ledger) -> list[t.Problem]:
        """What the user should know now, the gravest first."""
        now = [self._clock(), self._offline(), self._unreachable(ledger), self._unheld(ledger), self._disk()]
        found = [_two_machines(ledger), *now, _restored(ledger)]
        return [*(problem for problem in found if problem is not None), *self._settings()]

    def _settings(self) -> list[t.Problem]:
        return [
            t.Problem(code="bad_setting", message=text, hint="Mend or remove that line")
            for text in self.config.problems
        ]

    def _clock(self) -> t.Problem | None:
        offset = self.reach.clock_offset
        if offset is None or self.reach.clock_peers < CLOCK_PEERS or abs(offset) <= CLOCK_SKEW_SECONDS:
            return None
        minutes = abs(offset) / 60
        return t.Problem(
            code="wrong_clock",
            message=f"this machine's clock is {minutes:.0f} minutes {'behind' if offset > 0 else 'ahead of'} others'",
            hint="Set the clock (timedatectl set-ntp true): deadlines are judged by it",
        )

    def _offline(self) -> t.Problem | None:
        if self.node.contacts():
            return None
        if self.config.bootstraps:
            return unanswered(self.config.bootstraps)
        own = next((contact.text() for contact in self.contacts()), "CONTACT")
        if self._is_first:
            message = "no other daemon is known: this one waits for others to join it"
            hint = f"They are started with: marketd --home DIR --network dev --bootstrap {own}"
        else:
            message = "no other daemon is known"
            hint = "Add one: marketd --bootstrap NODEKEY.r@HOST:PORT, or a line in the home's bootstrap_nodes.txt"
        return t.Problem(code="no_peers", message=message, hint=hint)

    async def tell_if_alone(self) -> None:
        """Say in the log, once and some seconds after the start, that nobody whom we were told of has answered."""
        await trio.sleep(JOIN_SECONDS)
        if self.config.bootstraps and (problem := self._offline()) is not None:
            log.warning("%s. %s", problem.message, problem.hint)

    @property
    def _is_first(self) -> bool:
        """Whether a daemon alone is what its owner wants: somebody's network of his own begins with one."""
        told = self.config.bootstraps or self.config.problems  # a line that could not be read was to name somebody
        return self.config.network is DEV and not told

    def _unreachable(self, ledger: Ledger) -> t.Problem | None:
        if self.reach.verdict != "outbound_only":
            return None
        selling = any(row.state == "announced" for row in ledger.announcements.all())
        subject = "announced, but buyers cannot reach you" if selling else "others cannot reach you"
        if self.config.outbound_only:
            hint = "It was started with --outbound-only: to sell, start it without"
        else:
            hint = f"forward TCP and UDP port {self.port} to this machine in your router"
            subject += f" ({self.reach.checked_by} peers tried to dial back)"
        return t.Problem(code="unreachable", message=subject, hint=hint)

    def _unheld(self, ledger: Ledger) -> t.Problem | None:
        rows = [row for row in ledger.announcements.all() if row.state == "announced" and not row.holders]
        if not rows:
            return None
        return t.Problem(
            code="not_published",
            message=f"no node holds your announcement in {rows[0].category} yet",
            hint="It is tried again by itself; a seller is found once another reachable daemon holds it",
        )

    def _disk(self) -> t.Problem | None:
        free = shutil.disk_usage(self.config.home).free
        if free >= LOW_DISK_BYTES:
            return None
        return t.Problem(
            code="low_disk", message=f"only {free // 2**20} MiB are free for the ledger", hint="Free some disk space"
        )

    # Doctor

    def doctor(self, ledger: Ledger) -> t.Doctor:
        """One line for each thing looked at."""
        checks = [
            self._check_peers(),
            self._check_reachability(ledger),
            self._check("clock", self._clock(), self._clock_words()),
            self._check("disk", self._disk(), f"{shutil.disk_usage(self.config.home).free // 2**20} MiB free"),
            self._check_ports(),
            self._check("announcements", self._unheld(ledger), self._announced_words(ledger), state=self._alone_state),
            self._check_outbox(ledger),
            self._check_home(self.config.home),
            *(
                t.DoctorCheck(name="settings", state="warning", message=problem.message, hint=problem.hint)
                for problem in self._settings()
            ),
        ]
        return t.Doctor(ok=all(check.state != "failed" for check in checks), checks=checks)

    def _check_peers(self) -> t.DoctorCheck:
        problem = self._offline()
        return self._check("peers", problem, f"{len(self.node.contacts())} nodes answer", state=self._alone_state)

    @property
    def _alone_state(self) -> t.CheckState:
        """How grave it is that others are missing."""
        return "warning" if self._is_first and not self.node.contacts() else "failed"

    def _check_reachability(self, ledger: Ledger) -> t.DoctorCheck:
        reach = self.reach
        if reach.verdict == "unknown":
            hint = "Two other daemons are needed to try it" if self.node.contacts() else "Join the network first"
            return t.DoctorCheck(name="reachability", state="warning", message="nobody has tried yet", hint=hint)
        if reach.verdict == "outbound_only":
            return self._check("reachability", self._unreachable(ledger), "", state="warning")
        where = ", ".join(_address(*address) for address in reach.announced())
        return t.DoctorCheck(
            name="reachability", state="ok", message=f"{reach.verdict}: dialled back at {where}", hint=None
        )

    def _check_ports(self) -> t.DoctorCheck:
        if self.reach.verdict in {"public", "mapped"} and not self.reach.udp_ok:
            return t.DoctorCheck(
                name="ports",
                state="warning",
                message=f"TCP port {self.port} is open, UDP did not come through",
                hint=f"Forward UDP port {self.port} too",
            )
        return t.DoctorCheck(name="ports", state="ok", message=f"TCP and UDP on port {self.port}", hint=None)

    def _check_outbox(self, ledger: Ledger) -> t.DoctorCheck:
        waiting = ledger.outbox.waiting()
        late = waiting.oldest is not None and wall() - waiting.oldest > 600
        message = f"{waiting.documents} documents wait for an acknowledgement"
        hint = "market show ID tells to whom, and when it is tried next" if late else None
        return t.DoctorCheck(name="outbox", state="warning" if late else "ok", message=message, hint=hint)

    def _check_home(self, home: Path) -> t.DoctorCheck:
        if home.stat().st_mode & 0o077:
            hint = f"chmod 700 {home}"
            return t.DoctorCheck(name="home", state="warning", message="other users may look into it", hint=hint)
        return t.DoctorCheck(name="home", state="ok", message=str(home), hint=None)

    def _check(
        self, name: str, problem: t.Problem | None, good: str, *, state: t.CheckState = "failed"
    ) -> t.DoctorCheck:
        if problem is None:
            return t.DoctorCheck(name=name, state="ok", message=good, hint=None)
        return t.DoctorCheck(name=name, state=state, message=problem.message, hint=problem.hint)

    def _clock_words(self) -> str:
        offset, count = self.reach.clock_offset, self.reach.clock_peers
        if offset is None or count < CLOCK_PEERS:
            return f"too few peers to tell: {CLOCK_PEERS} are needed"
        return f"within {abs(offset):.0f} s of {count} peers"

    def _announced_words(self, ledger: Ledger) -> str:
        rows = [row for row in ledger.announcements.all() if row.state == "announced"]
        return f"{len(rows)} published" if rows else "nothing announced"

    # Peers

    def peer_list(self) -> t.Peers:
        """Nodes that answered us, and open links."""
        nodes = [
            t.PeerInfo(
                kind="node",
                address=_address(contact.host, contact.port),
                contact=contact.text(),
                peer=None,
                direction=None,
                rtt_ms=None,
                last_seen_at=None,
            )
            for contact in self.node.contacts()
        ]
        return t.Peers(peers=[*map(_link, self.peers.links()), *nodes])


def unanswered(bootstraps: Sequence[Contact]) -> t.Problem:
    """None of the daemons that we were told to join by has answered."""
    named = ", ".join(contact.text() for contact in bootstraps[:NAMED])
    rest = f" and {len(bootstraps) - NAMED} more" if len(bootstraps) > NAMED else ""
    return t.Problem(
        code="no_peers",
        message=f"no other daemon has answered yet, not {named}{rest}",
        hint="It goes on trying. Check that one of them runs, that its contact is what market id prints there, "
        "and that UDP gets through",
    )


def _link(link: OpenLink) -> t.PeerInfo:
    seconds = trio.current_time() - link.last_heard
    return t.PeerInfo(
        kind="link",
        address=_address(*link.address),
        contact=None,
        peer=None,
        direction="inbound" if link.inbound else "outbound",
        rtt_ms=None,
        last_seen_at=instant_text(wall() - int(seconds)),
    )


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _two_machines(ledger: Ledger) -> t.Problem | None:
    if ledger.meta.get(TWO_MACHINES) is None:
        return None
    return t.Problem(
        code="two_machines",
        message="another machine uses this identity: nothing is signed and nothing is taken here",
        hint="Stop marketd there for good, then say here: market resume --this-machine",
    )


def _restored(ledger: Ledger) -> t.Problem | None:
    count = ledger.recalls.count()
    if not count:
        return None
    return t.Problem(
        code="restored",
        message=f"{count} threads of before the restore wait for the other side's papers, and are read-only until then",
        hint="They open by themselves when he is online; or one by one: market resume ID",
    )
