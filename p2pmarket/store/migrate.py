"""Opening an SQLite file and bringing it to the newest schema, or refusing to.

Rules: steps are numbered SQL files, each run in one explicit transaction that also sets `user_version`, so a crash
leaves a whole number of steps. Before the first step on an existing file a copy is kept beside it. A file of a newer
version, or a damaged one, is refused and never replaced.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from p2pmarket.errors import LedgerCorrupt, LedgerNewer, StoreError

Steps = tuple[str, ...]
"""The SQL scripts of one file, in order; the number of steps done is kept in `user_version`."""

RESTORE_HINT = (
    "Nothing was changed. Put back a copy of this file (daily copies lie beside it as *.backup-*), "
    "or move the whole home folder away to begin with a new identity"
)


def steps_of(name: str) -> Steps:
    """The scripts `schema/NAME_001.sql`, `NAME_002.sql`, ... carried with the package."""
    folder = files("p2pmarket.store.schema")
    names = sorted(item.name for item in folder.iterdir() if item.name.startswith(f"{name}_"))
    return tuple(folder.joinpath(item).read_text(encoding="utf-8") for item in names)


def open_migrated(path: Path, steps: Steps, *, full_sync: bool) -> sqlite3.Connection:
    """Open `path` (made when missing, mode 0600), check it and run the steps that are missing.

    Raises LedgerCorrupt, LedgerNewer, StoreError.
    """
    existed = path.exists()
    try:
        path.touch(mode=0o600)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        _prepare(connection, full_sync=full_sync)
        if existed:
            _check(connection, path)
        _upgrade(connection, steps, path if existed else None)
    except (sqlite3.Error, OSError) as error:
        raise _unusable(path, error) from error
    return connection


def _prepare(connection: sqlite3.Connection, *, full_sync: bool) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA synchronous={'FULL' if full_sync else 'NORMAL'}")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA temp_store=MEMORY")


def _check(connection: sqlite3.Connection, path: Path) -> None:
    (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if answer != "ok":
        raise LedgerCorrupt(f"{path} is damaged: {answer}", hint=RESTORE_HINT)
    if connection.execute("PRAGMA foreign_key_check").fetchone() is not None:
        raise LedgerCorrupt(f"{path} is damaged: rows refer to rows that are gone", hint=RESTORE_HINT)


def _upgrade(connection: sqlite3.Connection, steps: Steps, existing: Path | None) -> None:
    (done,) = connection.execute("PRAGMA user_version").fetchone()
    if done > len(steps):
        raise LedgerNewer(f"the store has schema {done}, this version knows {len(steps)}")
    if existing is not None and 0 < done < len(steps):
        _copy(connection, existing.with_name(f"{existing.name}.before-{len(steps)}"))
    for number in range(done + 1, len(steps) + 1):
        connection.execute("BEGIN EXCLUSIVE")
        for statement in statements(steps[number - 1]):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version={number}")
        connection.execute("COMMIT")


def _copy(connection: sqlite3.Connection, target: Path) -> None:
    target.unlink(missing_ok=True)
    connection.execute("VACUUM INTO ?", (str(target),))
    target.chmod(0o600)


def statements(script: str) -> Iterator[str]:
    """The single statements of a script: `executescript` would commit before it begins."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _unusable(path: Path, error: Exception) -> StoreError:
    if isinstance(error, sqlite3.DatabaseError) and getattr(error, "sqlite_errorname", "") in {
        "SQLITE_CORRUPT",
        "SQLITE_NOTADB",
    }:
        return LedgerCorrupt(f"{path} is damaged or is no database: {error}", hint=RESTORE_HINT)
    return StoreError(
        f"cannot open {path}: {error}", hint=f"Check that you own {path.parent} and that its disk has room"
    )
