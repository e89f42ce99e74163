"""Opening an SQLite file and bringing it to the newest schema, or refusing to.

Rules: a new file is made under another name and takes its own when it is whole, so a file that is there was whole once.
Steps are numbered SQL files, each run in one explicit transaction that also sets `user_version`, so a crash leaves a
whole number of steps. Before the first step on an existing file a copy is kept beside it. A file of a newer version, a
damaged, an emptied or a foreign one is refused and never replaced.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from importlib.resources import files
from pathlib import Path

from p2pmarket.errors import LedgerCorrupt, LedgerNewer, StoreError
from p2pmarket.store.failures import is_damage, translated

STATEMENTS = 400  # kept compiled: more than there are in the package
PAGE_BYTES = 2048  # a commit changes some words in each of thirty pages; a document takes one or two
LOG_BYTES = 4 * 1024 * 1024  # of the log that stay on disk for the next writes, when it has grown beyond

Steps = tuple[str, ...]
"""The SQL scripts of one file, in order; the number of steps done is kept in `user_version`."""

RESTORE_HINT = (
    "Nothing was changed. Put back a copy of this file from your backup, "
    "or move the whole home folder away to begin with a new identity"
)


def steps_of(name: str) -> Steps:
    """The scripts `schema/NAME_001.sql`, `NAME_002.sql`, ... carried with the package."""
    folder = files("p2pmarket.store.schema")
    names = sorted(item.name for item in folder.iterdir() if item.name.startswith(f"{name}_"))
    return tuple(folder.joinpath(item).read_text(encoding="utf-8") for item in names)


def open_migrated(path: Path, steps: Steps, *, full_sync: bool) -> sqlite3.Connection:
    """Open `path` (made when missing, mode 0600), check it and run the steps that are missing.

    Raises LedgerCorrupt, LedgerNewer, DiskFull, StoreError; then nothing is left open.
    """
    try:
        if not path.exists():
            _create(path, steps)
        return _open_existing(path, steps, full_sync=full_sync)
    except (sqlite3.Error, OSError) as error:
        raise _unusable(path, error) from error


def _create(path: Path, steps: Steps) -> None:
    """Make the file whole before it gets its name."""
    if _beside(path, "-wal").exists():
        raise LedgerCorrupt(f"{path} is missing, but its log is there", hint=RESTORE_HINT)
    draft = _beside(path, ".new")
    for leftover in (draft, _beside(draft, "-journal")):
        leftover.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
        _run_steps(connection, steps, done=0)
    _settle(draft, path)


def _open_existing(path: Path, steps: Steps, *, full_sync: bool) -> sqlite3.Connection:
    if _is_cut(path):
        raise LedgerCorrupt(f"{path} is empty or cut short", hint=RESTORE_HINT)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=STATEMENTS)
    try:
        done = _version(connection, path, steps)
        prepare(connection, full_sync=full_sync)
        _check(connection, path)
        if done < len(steps):
            _keep_copy(connection, path, done)
            _run_steps(connection, steps, done)
    except BaseException:
        connection.close()
        raise
    return connection


def _is_cut(path: Path) -> bool:
    """Whether the end is missing, which SQLite reads as zeros. With a log beside it, SQLite mends what a crash left."""
    with path.open("rb") as file:
        header = file.read(18)
    size = path.stat().st_size
    page = int.from_bytes(header[16:18], "big")  # 1 stands for 65,536
    whole = page == 0 or size % (page if page > 1 else 65_536) == 0
    return size == 0 or (not whole and not _beside(path, "-wal").exists())


def _version(connection: sqlite3.Connection, path: Path, steps: Steps) -> int:
    """How many steps the file has behind it; looked at before anything is changed."""
    (done,) = connection.execute("PRAGMA user_version").fetchone()
    if done > len(steps):
        raise LedgerNewer(f"{path} has schema {done}, this version knows {len(steps)}")
    if done < 1:
        raise LedgerCorrupt(f"{path} was not written by this program", hint=RESTORE_HINT)
    return int(done)


def prepare(connection: sqlite3.Connection, *, full_sync: bool) -> None:
    """Set how the file is written; `full_sync`: a commit is on disk when it returns."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA synchronous={'FULL' if full_sync else 'NORMAL'}")
    connection.execute(f"PRAGMA journal_size_limit={LOG_BYTES}")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA temp_store=MEMORY")


def _check(connection: sqlite3.Connection, path: Path) -> None:
    (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if answer != "ok":
        raise LedgerCorrupt(f"{path} is damaged: {answer}", hint=RESTORE_HINT)
    if connection.execute("PRAGMA foreign_key_check").fetchone() is not None:
        raise LedgerCorrupt(f"{path} is damaged: rows refer to rows that are gone", hint=RESTORE_HINT)


def _run_steps(connection: sqlite3.Connection, steps: Steps, done: int) -> None:
    for number in range(done + 1, len(steps) + 1):
        connection.execute("BEGIN EXCLUSIVE")
        for statement in statements(steps[number - 1]):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version={number}")
        connection.execute("COMMIT")


def _keep_copy(connection: sqlite3.Connection, path: Path, done: int) -> None:
    """Keep the file as it was before step `done + 1`."""
    draft = _beside(path, ".copy")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    connection.execute("VACUUM INTO ?", (str(draft),))
    _settle(draft, _beside(path, f".before-{done + 1}"))


def _settle(draft: Path, path: Path) -> None:
    """Give a finished file its name; both are on disk then."""
    _sync(draft)
    draft.rename(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(f"{path.name}{ending}")


def statements(script: str) -> Iterator[str]:
    """The single statements of a script: `executescript` would commit before it begins."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _unusable(path: Path, error: sqlite3.Error | OSError) -> StoreError:
    if is_damage(error):
        return LedgerCorrupt(f"{path} is damaged or is no database: {error}", hint=RESTORE_HINT)
    kin = translated(error)
    hint = f"Check that you own {path.parent} and that its disk has room"
    return type(kin)(f"cannot open {path}: {error}", hint=hint)
