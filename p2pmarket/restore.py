"""Backups: written from a running home, and turned into a home again.

Rules. A backup goes into a file that the caller opened; all that is made of it has the mode 0600. A home is restored
only where there is none: first a mark, then the ledger, then the identity, so that a restore cut short can be repeated
and is never taken for a home. The mark makes the next start of the daemon treat everything in the ledger as possibly
outdated (`market.recalling`).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from p2pmarket.backup import Backup, Preface, open_backup_untrusted, seal_backup
from p2pmarket.config import CONFIG_FILE
from p2pmarket.errors import BadInput, HomeInUse, WrongState
from p2pmarket.home import IDENTITY, LEDGER, LOCK, locked_home, private, read_seed, sync_folder, write_seed
from p2pmarket.keys import SigningKey

RESTORED = "restored"  # an empty file: the next start is the first one after a restore


def write_backup(home: Path, ledger: Path, file: BinaryIO, network: str, made_at: int, passphrase: str | None) -> int:
    """Write the backup of a home whose ledger was copied to `ledger`; how many bytes it has. Raises OSError."""
    seed = read_seed(home / IDENTITY)
    identity = SigningKey.from_seed(seed).public
    preface = Preface(seed, _settings(home))
    with ledger.open("rb") as copy:
        sealed = seal_backup(network, identity, made_at, preface, copy, passphrase, secrets.token_bytes)
        return sum(map(file.write, sealed))


@contextmanager
def empty_home(home: Path) -> Iterator[None]:
    """Hold a folder that is nobody's home: made when missing, and gone again if nothing became of it.

    Raises HomeInUse, WrongState, NotAllowed, StartError.
    """
    way_out = f"Restore into another folder: market restore FILE --home DIR; or first move {home} away"
    is_new = not home.exists()
    try:
        with locked_home(home):
            if _is_home(home):
                raise WrongState(f"there is an identity in {home} already; nothing was changed", hint=way_out)
            try:
                yield
            finally:
                if is_new and not _is_home(home) and not is_restored(home):
                    _remove(home)
    except HomeInUse:
        raise HomeInUse(
            f"a daemon runs in {home}; nothing was changed", hint=f"{way_out}, once its daemon is stopped"
        ) from None


def restore_home(home: Path, source: Path, passphrase: str | None) -> Backup:
    """Make a home of a backup file. Raises BadInput, and what `empty_home` raises."""
    with empty_home(home):
        try:
            with source.open("rb") as file:
                backup = open_backup_untrusted(file, passphrase)
                if SigningKey.from_seed(backup.preface.seed).public != backup.header.identity:
                    raise BadInput("the backup's identity does not fit its key; nothing was restored")
                _unpack(home, backup)
        except OSError as error:
            raise BadInput(f"cannot restore {source}: {error.strerror or error}") from None
    return backup


def is_restored(home: Path) -> bool:
    """Whether this is the first start after a restore."""
    return (home / RESTORED).exists()


def end_restore(home: Path) -> None:
    """The ledger knows of the restore now."""
    (home / RESTORED).unlink(missing_ok=True)


def _is_home(home: Path) -> bool:
    """Whether an identity or a ledger is there, other than the ledger of a restore cut short."""
    began = is_restored(home)
    kept = (name for name in (IDENTITY, LEDGER, f"{LEDGER}-wal") if not (began and name == LEDGER))
    return any((home / name).exists() for name in kept)


def _remove(home: Path) -> None:
    """Take a folder away that holds nothing but its lock."""
    if os.listdir(home) == [LOCK]:
        (home / LOCK).unlink()
        home.rmdir()


def _unpack(home: Path, backup: Backup) -> None:
    _write(home / RESTORED, [])
    _write(home / LEDGER, backup.ledger)
    if backup.preface.settings and not (home / CONFIG_FILE).exists():
        _write(home / CONFIG_FILE, [backup.preface.settings])
    write_seed(home / IDENTITY, backup.preface.seed)


def _settings(home: Path) -> bytes:
    try:
        return (home / CONFIG_FILE).read_bytes()
    except FileNotFoundError:
        return b""


def _write(target: Path, pieces: Iterable[bytes]) -> None:
    """Write a file whole and on disk before it gets its name. Raises OSError."""
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with open(part, "wb", opener=private) as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
        sync_folder(target.parent)
    finally:
        part.unlink(missing_ok=True)
