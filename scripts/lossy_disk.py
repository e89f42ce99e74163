"""A disk in memory under SQLite that forgets, at a power cut, what was not synced: for scripts/torture powercut.

SQLite is the one that apsw carries, because its files can be written in Python. Every file has two states: what its
readers see, and what is on the platters. A sync moves the first to the second. A cut keeps what is on the platters, and
of the writes since then any: none, the first ones, or some in any order, each whole or torn into sectors of 512 bytes
of which some arrived. The size of a file is a write like others; a file that was deleted without a sync may be back.
After the cut every call fails, as for a process that is no more.

SQLite must hold its index of the log in its own memory (`locking_mode=EXCLUSIVE`): apsw cannot share memory. `Adapter`
gives its connection the face of the standard library's, as far as the store uses it, with its errors.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import apsw

SECTOR = 512
SAFE_OVERWRITE = apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE  # what SQLite assumes of any disk: a write damages no neighbours
NAMES = count()
SQLITE_VERSION = apsw.sqlite_lib_version()


class PowerCutError(apsw.IOError):  # type: ignore[misc, unused-ignore]
    """The disk has no power."""


class Platters:
    """One file. `seen` is what readers get, `kept` what would survive; `late` the writes that only readers know."""

    def __init__(self, content: bytes = b"") -> None:
        self.seen = bytearray(content)
        self.kept = bytearray(content)
        self.late: list[tuple[int, bytes | None]] = []  # (place, bytes), or (new size, None)

    def write(self, place: int, data: bytes | None) -> None:
        self.late.append((place, data))
        apply(self.seen, place, data)

    def sync(self) -> None:
        for place, data in self.late:
            apply(self.kept, place, data)
        self.late.clear()

    def after_cut(self, rng: Random) -> bytes:
        """What the next start finds."""
        found = bytearray(self.kept)
        for place, data in survivors(self.late, rng):
            apply(found, place, data)
        return bytes(found)


def apply(content: bytearray, place: int, data: bytes | None) -> None:
    """Write at a place, or cut or stretch to a size."""
    end = place + len(data or b"")
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    if data is None:
        del content[place:]
    else:
        content[place:end] = data


def survivors(late: Sequence[tuple[int, bytes | None]], rng: Random) -> Iterator[tuple[int, bytes | None]]:
    """Which of the writes that were not synced had reached the platters, in the order in which they did."""
    fate = rng.choice(("none", "first", "some", "some"))
    if fate == "none":
        return
    chosen = list(late[: rng.randint(0, len(late))]) if fate == "first" else [one for one in late if rng.random() < 0.5]
    if fate == "some":
        rng.shuffle(chosen)
    torn = rng.randrange(len(chosen)) if chosen and rng.random() < 0.7 else -1
    for number, (place, data) in enumerate(chosen):
        if number == torn and data is not None:
            yield from _torn(place, data, rng)
        else:
            yield place, data


def _torn(place: int, data: bytes, rng: Random) -> Iterator[tuple[int, bytes]]:
    start = 0
    while start < len(data):
        end = min(len(data), start + SECTOR - (place + start) % SECTOR)
        if rng.random() < 0.5:
            yield place + start, data[start:end]
        start = end


class LossyDisk(apsw.VFS):  # type: ignore[misc, unused-ignore]
    """Files by name. `heeds_sync`: a disk that does not is one that every database loses data on."""

    def __init__(self, files: dict[str, bytes], *, heeds_sync: bool = True) -> None:
        self.name = f"lossy-{next(NAMES)}"
        self.files = {name: Platters(content) for name, content in files.items()}
        self.heeds_sync, self.calls = heeds_sync, 0
        self.without_power = self._given_up = False
        self._cut_at: int | None = None
        super().__init__(self.name, base="")

    def cut_after(self, calls: int) -> None:
        """Lose power at so many writes, syncs or changes of size from now."""
        self._cut_at = self.calls + calls

    def tick(self) -> None:
        """One call that changes something is about to be made. Raises PowerCutError."""
        self.calls += 1
        if self._cut_at is not None and self.calls >= self._cut_at:
            self.without_power = True
        self.check()

    def check(self) -> None:
        if self.without_power and not self._given_up:
            raise PowerCutError("no power")

    def give_up(self) -> None:
        """Let whoever still holds a file close it without a word."""
        self._given_up = True

    def image(self) -> dict[str, bytes]:
        """All files as their readers see them."""
        return {name: bytes(file.seen) for name, file in self.files.items()}

    def image_after_cut(self, rng: Random) -> dict[str, bytes]:
        """All files as the next start finds them."""
        return {name: file.after_cut(rng) for name, file in self.files.items()}

    def file(self, name: str) -> Platters:
        return self.files[name]

    # What SQLite calls; the names are apsw's.

    def xOpen(self, name: Any, flags: list[int]) -> LossyFile:  # type: ignore[override]  # noqa: N802
        self.check()
        asked = name.filename() if isinstance(name, apsw.URIFilename) else name
        file = Path(asked or "temporary").name
        self.files.setdefault(file, Platters())
        flags[1] = flags[0]
        return LossyFile(self, file)

    def xDelete(self, name: str, sync_folder: bool) -> None:  # noqa: N802
        self.tick()
        file = self.files.get(Path(name).name)
        if file is None:
            raise apsw.IOError("no such file")
        file.write(0, None)
        if sync_folder:
            file.sync()

    def xAccess(self, name: str, flags: int) -> bool:  # noqa: N802
        self.check()
        file = self.files.get(Path(name).name)
        return file is not None and len(file.seen) > 0

    def xFullPathname(self, name: str) -> str:  # noqa: N802
        return name


class LossyFile:
    """An open file of the disk."""

    def __init__(self, disk: LossyDisk, name: str) -> None:
        self._disk, self._name = disk, name
        self._platters = disk.file(name)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        self._disk.check()
        return bytes(self._platters.seen[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self._disk.tick()
        self._platters.write(offset, bytes(data))

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self._disk.tick()
        self._platters.write(size, None)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._disk.tick()
        if self._disk.heeds_sync:
            self._platters.sync()

    def xFileSize(self) -> int:  # noqa: N802
        self._disk.check()
        return len(self._platters.seen)

    def xClose(self) -> None:  # noqa: N802
        pass

    def xLock(self, level: int) -> None:  # noqa: N802
        pass

    def xUnlock(self, level: int) -> None:  # noqa: N802
        pass

    def xCheckReservedLock(self) -> bool:  # noqa: N802
        return False

    def xFileControl(self, op: int, ptr: int) -> bool:  # noqa: N802
        return False

    def xSectorSize(self) -> int:  # noqa: N802
        return SECTOR

    def xDeviceCharacteristics(self) -> int:  # noqa: N802
        return SAFE_OVERWRITE


class Adapter:
    """An apsw connection with the face of `sqlite3.Connection`."""

    def __init__(self, disk: LossyDisk, name: str) -> None:
        self._disk = disk
        try:
            self._apsw = apsw.Connection(name, vfs=disk.name)
        except apsw.Error as error:
            raise _translated(error) from error
        self._apsw.execute("PRAGMA locking_mode=EXCLUSIVE")

    def execute(self, sql: str, values: Sequence[object] = ()) -> Rows:
        try:
            return Rows(self._apsw, self._apsw.execute(sql, tuple(values)))  # type: ignore[arg-type, unused-ignore]
        except apsw.Error as error:
            raise _translated(error) from error

    def executemany(self, sql: str, values: Iterable[Sequence[object]]) -> None:
        for row in values:
            self.execute(sql, row)

    @property
    def total_changes(self) -> int:
        return self._apsw.total_changes()

    @property
    def in_transaction(self) -> bool:
        return self._apsw.in_transaction

    def close(self) -> None:
        """Close, and as the standard library's: that the last checkpoint met a cut is no error."""
        if self._disk.without_power:
            self._disk.give_up()  # what comes now no longer matters
        try:
            self._apsw.close(True)
        except PowerCutError:
            self._disk.give_up()


class Rows:
    """What a statement gives."""

    def __init__(self, connection: apsw.Connection, cursor: Any) -> None:
        self.lastrowid = connection.last_insert_rowid()
        self.rowcount = connection.changes()
        self._cursor = cursor

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.fetchall())

    def fetchone(self) -> tuple[Any, ...] | None:
        found = self.fetchall()  # a statement that is not read to its end would keep its transaction open
        return found[0] if found else None

    def fetchall(self) -> list[tuple[Any, ...]]:
        try:
            return list(self._cursor)
        except apsw.Error as error:
            raise _translated(error) from error


def _translated(error: apsw.Error) -> sqlite3.Error:
    kin = sqlite3.IntegrityError if isinstance(error, apsw.ConstraintError) else sqlite3.OperationalError
    made = kin(str(error))
    code = getattr(error, "result", apsw.SQLITE_IOERR)
    made.sqlite_errorcode = code
    made.sqlite_errorname = str(apsw.mapping_result_codes[code])
    return made
