"""The tree of errors.

Two branches matter: `LocalError` says that we were asked for something that cannot be done, `PeerError` says that
the other side broke the protocol. A class knows the sentence's code, the hint the user reads, the exit code of the
command line and the status of the local API, so no other place maps errors.

Exit codes: 1 failed, 2 usage, 3 no daemon, 4 not allowed, 5 not found, 6 no quote by the deadline, 7 refused by the
other side, 8 still open when the time-out came, 9 wrong state, 65 bad input data, 130 interrupted, 143
terminated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class MarketError(Exception):
    """Root of all errors of the project; `details` is data for programs (JSON values only)."""

    code: ClassVar[str] = "failed"
    exit_code: ClassVar[int] = 1
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    default_hint: ClassVar[str | None] = None

    def __init__(self, message: str, *, hint: str | None = None, details: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint if hint is not None else self.default_hint
        self.details = dict(details or {})


class Internal(MarketError):
    """A fault of ours: the daemon's log has more."""

    code = "internal"
    default_hint = "This is a fault in marketd; what it was doing is in its log"


# What we were asked for cannot be done.


class LocalError(MarketError):
    """We were asked for something that we must not or cannot do."""

    status = 400


class BadInput(LocalError):
    """A value, a line or a file that a person or a program gave us is not usable."""

    code = "bad_input"
    exit_code = 65
    status = 422
    default_hint = "The examples of each command show how things are written: market COMMAND --help"


class NotFound(LocalError):
    """No such id here."""

    code = "not_found"
    exit_code = 5
    status = 404
    default_hint = "List what is here: market requests, market inbox, market deals"


class WrongState(LocalError):
    """The thing exists, but is not in a state in which this can be done; or it has expired or changed."""

    code = "wrong_state"
    exit_code = 9
    status = 409
    default_hint = "See how it stands now: market show ID"


class NotAllowed(LocalError):
    """The caller may not do this."""

    code = "not_allowed"
    exit_code = 4
    status = 403


class LimitReached(LocalError):
    """A named limit of docs/threats.md would be passed."""

    code = "limit_reached"
    exit_code = 65
    status = 422


class Unavailable(LocalError):
    """Cannot be done now, may work later: the store is full or the daemon is stopping."""

    code = "unavailable"
    status = 503
    retryable = True


class NoDaemon(LocalError):
    """The command line found no daemon to talk to."""

    code = "no_daemon"
    exit_code = 3
    status = 503
    retryable = True
    default_hint = "Start it with: marketd"


class VersionDiffers(LocalError):
    """Daemon and command line do not speak the same version of the local API."""

    code = "version_differs"
    exit_code = 3
    default_hint = "Install the same version of market and marketd, then restart marketd"


class StartError(LocalError):
    """The daemon cannot start: port, home folder, lock or settings."""

    code = "cannot_start"


class BadFlag(StartError):
    """A flag of marketd has a value that it cannot have."""

    code = "bad_flag"
    exit_code = 2


class HomeInUse(StartError):
    """Another daemon holds this home folder."""

    code = "home_in_use"
    default_hint = "Stop the other daemon, or give this one a home of its own: marketd --home DIR"


class PortInUse(StartError):
    """UDP or TCP port taken."""

    code = "port_in_use"
    default_hint = "Choose another port: marketd --listen HOST:PORT"


# What the other side did.


class PeerError(MarketError):
    """The other side broke the protocol: drop it, do not crash."""

    code = "peer_error"
    exit_code = 7
    status = 502


class BadMessage(PeerError):
    """Bytes from outside that are not what they should be. The only error of every `*_untrusted` function."""

    code = "bad_message"


class BadSignature(BadMessage):
    """A signature, or a key, that does not hold."""

    code = "bad_signature"


class UnknownMessage(BadMessage):
    """A well-formed message of a number that this version does not know: ignored and counted."""

    code = "unknown_message"


class VersionMismatch(PeerError):
    """The other side speaks another version of the wire protocol."""

    code = "version_mismatch"


class PeerGone(PeerError):
    """The connection ended or could not be made."""

    code = "peer_gone"
    retryable = True


class Refusal(PeerError):
    """A well-formed document that may not be accepted: `reason` is one of the codes of docs/protocol.md."""

    code = "refused"

    def __init__(self, reason: str, message: str = "") -> None:
        super().__init__(message or reason, details={"reason": reason})
        self.reason = reason


# What the disk did.


class StoreError(MarketError):
    """The ledger or the cache cannot be read or written."""

    code = "store_error"
    status = 503


class LedgerCorrupt(StoreError):
    """The ledger is damaged or does not belong to this identity: never replaced by a new one."""

    code = "ledger_corrupt"


class LedgerNewer(StoreError):
    """The ledger was written by a newer version."""

    code = "ledger_newer"
    default_hint = "Install the version that wrote it, or a newer one"


class DiskFull(StoreError):
    """No room to save; nothing was sent."""

    code = "disk_full"
    retryable = True
    default_hint = "Free some disk space; nothing was lost, and the daemon goes on by itself"
