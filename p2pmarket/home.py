"""The home folder: one folder is one identity. Its lock, and the two secret keys that are files.

Rules: the lock is held before anything else opens and until the process ends, so two daemons never share a folder. A
new identity is made only in a folder that has neither a key nor a ledger; a ledger without its key, or with another
one, is refused, for a silent new identity would lose every deal, and so is a key whose ledger is gone. A first start
that was cut short leaves such a key too, so it leaves a mark until the ledger belongs to the identity.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from p2pmarket.errors import HomeInUse, LedgerCorrupt, NotAllowed, StartError
from p2pmarket.keys import ExchangeKey, SigningKey

LOCK = "lock"
IDENTITY = "identity.key"
NODE = "node.key"
LEDGER = "ledger.sqlite"
FIRST_START = "first-start"  # an empty file: the ledger may still be missing
SEED_BYTES = 32
OTHER_HOME = "Choose another: marketd --home DIR"
RESTORE_HINT = "Put the file back from your backup; nothing was changed. Or move the folder away to begin anew"


@contextmanager
def locked_home(home: Path) -> Iterator[None]:
    """Hold the folder, made when missing with mode 0700. Raises HomeInUse, NotAllowed, StartError."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(home / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except PermissionError:
        raise NotAllowed(f"{home} cannot be used by this user", hint=OTHER_HOME) from None
    except (FileExistsError, NotADirectoryError):
        raise StartError(f"{home} is no folder, or lies in something that is none", hint=OTHER_HOME) from None
    except OSError as error:
        raise StartError(f"{home} cannot be used: {error.strerror}", hint=OTHER_HOME) from None
    try:
        if os.fstat(descriptor).st_uid != os.getuid():
            raise NotAllowed(f"{home} belongs to another user", hint=OTHER_HOME)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HomeInUse(f"another daemon uses {home}") from None
        yield
    finally:
        os.close(descriptor)


def load_identity(home: Path) -> SigningKey:
    """The identity of a held home, made if the folder is new. Raises LedgerCorrupt, StartError."""
    path, ledger = home / IDENTITY, home / LEDGER
    if not path.exists():
        if ledger.exists():
            raise LedgerCorrupt(f"{path} is missing, but there is a ledger", hint=RESTORE_HINT)
        _mark_first_start(home)
    elif not is_first_start(home) and not (ledger.exists() and ledger.stat().st_size):
        raise lost_ledger(home)
    return SigningKey.from_seed(_seed(path))


def is_first_start(home: Path) -> bool:
    """Whether the ledger may be new: the first start has not come to its end yet."""
    return (home / FIRST_START).exists()


def end_first_start(home: Path) -> None:
    """The ledger belongs to the identity now, and must be there from now on."""
    (home / FIRST_START).unlink(missing_ok=True)


def lost_ledger(home: Path) -> LedgerCorrupt:
    """There is an identity, and nothing is left of its ledger."""
    return LedgerCorrupt(
        f"{home / LEDGER} is missing or empty, but there is an identity: its deals would be lost",
        hint=f"Put the ledger back from your backup. To go on without its deals: touch {home / FIRST_START}",
    )


def _mark_first_start(home: Path) -> None:
    try:
        (home / FIRST_START).touch(mode=0o600)
    except OSError as error:
        raise StartError(f"{home} cannot be written: {error.strerror}") from None


def load_node_key(home: Path) -> ExchangeKey:
    """The key of our place in the DHT; it is worth nothing, so a damaged one is replaced."""
    path = home / NODE
    try:
        return ExchangeKey.from_seed(_seed(path))
    except LedgerCorrupt:
        path.unlink()
        return ExchangeKey.from_seed(_seed(path))


def _seed(path: Path) -> bytes:
    """The seed in a file, or a new one that is on disk before it is used."""
    if not path.exists():
        return write_seed(path, secrets.token_bytes(SEED_BYTES))
    return read_seed(path)


def read_seed(path: Path) -> bytes:
    """The seed in a file. Raises LedgerCorrupt, StartError."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except UnicodeDecodeError:
        text = ""
    except OSError as error:
        raise StartError(f"{path} cannot be read: {error.strerror}") from None
    try:
        seed = bytes.fromhex(text)
    except ValueError:
        seed = b""
    if len(seed) != SEED_BYTES:
        raise LedgerCorrupt(f"{path} is damaged", hint=RESTORE_HINT)
    return seed


def write_seed(path: Path, seed: bytes) -> bytes:
    """Put a seed into a file; it is on disk then. Raises StartError."""
    draft = path.with_suffix(".new")
    try:
        with open(draft, "w", encoding="ascii", opener=private) as file:
            file.write(seed.hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        raise StartError(f"{path} cannot be written: {error.strerror}") from None
    return seed


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def private(path: str, flags: int) -> int:
    """An `opener` of files for their owner only."""
    return os.open(path, flags, 0o600)
