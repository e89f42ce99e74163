"""SQLite's errors as the project's: a full disk is told from a damaged file, and both from the rest."""

from __future__ import annotations

import errno
import sqlite3

from p2pmarket.errors import DiskFull, StoreError

NO_ROOM = frozenset(
    {"SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC", "SQLITE_IOERR_TRUNCATE", "SQLITE_IOERR_SHMSIZE"}
)
DAMAGED = frozenset({"SQLITE_CORRUPT", "SQLITE_NOTADB"})


def translated(error: sqlite3.Error | OSError) -> StoreError:
    """The project's error for one of SQLite or of the file system."""
    if _name(error) in NO_ROOM or getattr(error, "errno", None) in {errno.ENOSPC, errno.EDQUOT}:
        return DiskFull(f"the disk refused to save: {error}")
    return StoreError(f"the store failed: {error}")


def is_damage(error: Exception) -> bool:
    """Whether the file itself is bad: retrying is of no use."""
    return _name(error).startswith("SQLITE_CORRUPT") or _name(error) in DAMAGED


def _name(error: Exception) -> str:
    return getattr(error, "sqlite_errorname", "")
