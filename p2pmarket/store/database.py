"""One SQLite file, one thread that reads and writes it, commits in groups.

Rules:
- Nobody else opens the file. SQLite 3.7.0 to 3.51.2 can corrupt a WAL that several connections reset; one connection
  in one thread cannot meet that, and it needs no busy time-outs.
- `run(work)` hands `work` to the thread and returns when its transaction is on disk (`synchronous=FULL`). Work that
  arrives while a commit runs shares the next one: that is the group commit.
- Each work has a savepoint: when it raises, only its own changes are undone and the error goes to its caller.
- The wait cannot be cancelled: a caller never leaves between "saved" and "knows that it is saved".
- News (`harvest`) are gathered at the end of each work, in its transaction, and handed to `deliver` in trio's thread
  after the commit, in the order of the works: listeners hear at once of what is on disk, and of nothing else.
- Nobody waits for ever: whatever the disk does every work gets an outcome, and once the file is closing none is taken.
"""

from __future__ import annotations

import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import outcome
import trio

from p2pmarket.errors import Unavailable
from p2pmarket.limits import STORE_QUEUE
from p2pmarket.store.failures import translated
from p2pmarket.store.migrate import Steps, open_migrated

T = TypeVar("T")
GROUP = 64  # works in one commit


@dataclass(slots=True)
class _Job:
    work: Callable[[], Any] = lambda: None
    task: trio.lowlevel.Task | None = None
    outcome: outcome.Outcome[Any] | None = None
    news: Sequence[Any] = ()
    copy_to: Path | None = None


class Database(Generic[T]):
    """A file open in its thread; use as a context manager inside trio.

    `wrap` turns the connection into what works are handed (typed methods over SQL).
    Raises StoreError and its kin from opening and from `run`.
    """

    def __init__(self, path: Path, steps: Steps, wrap: Callable[[sqlite3.Connection], T], *, full_sync: bool) -> None:
        self.path = path
        self.commits = 0
        self.begin: Callable[[T], None] = lambda tx: None  # called before each work
        self.undone: Callable[[T], None] = lambda tx: None  # called when one was undone, or a whole transaction
        self.harvest: Callable[[T], Sequence[Any]] = lambda tx: ()
        self.deliver: Callable[[Sequence[Any]], None] = lambda news: None
        self._steps, self._wrap, self._full_sync = steps, wrap, full_sync
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._token: trio.lowlevel.TrioToken | None = None
        self._taking = False

    @contextmanager
    def open(self) -> Iterator[Database[T]]:
        """Open and migrate the file, run its thread until the end of the block."""
        self._token = trio.lowlevel.current_trio_token()
        opened: queue.Queue[outcome.Outcome[sqlite3.Connection]] = queue.Queue()
        thread = threading.Thread(target=self._main, args=(opened,), name=f"store-{self.path.name}")
        thread.start()
        result = opened.get()
        if isinstance(result, outcome.Error):
            thread.join()
        result.unwrap()
        self._taking = True
        try:
            yield self
        finally:
            self._taking = False
            self._jobs.put(None)
            thread.join()

    async def run(self, work: Callable[[T], Any]) -> Any:
        """Run `work(tx)` in one transaction; return its result once that is on disk, or raise what it raised."""
        job = _Job()
        job.work = partial(self._work, job, work)
        return await self._done(job)

    async def copy_to(self, path: Path) -> None:
        """Write all that is committed into a new file of mode 0600, whole and on disk; nothing else runs meanwhile."""
        await self._done(_Job(copy_to=path))

    async def _done(self, job: _Job) -> Any:
        if not self._taking:
            raise Unavailable("the store is closed")
        if self._jobs.qsize() >= STORE_QUEUE:
            raise Unavailable("too much waits to be saved")
        job.task = trio.lowlevel.current_task()
        self._jobs.put(job)
        return await trio.lowlevel.wait_task_rescheduled(_never_leave)

    # The thread.

    def _main(self, opened: queue.Queue[outcome.Outcome[sqlite3.Connection]]) -> None:
        result = outcome.capture(self._connect)
        opened.put(result)
        if isinstance(result, outcome.Error):
            return
        ending = False
        with closing(result.value) as connection:
            while not ending:
                jobs, ending = self._next_group()
                if jobs:
                    self._commit(connection, jobs)
                    for job in jobs:
                        _copy(connection, job)
                    self._tell(jobs)

    def _connect(self) -> sqlite3.Connection:
        connection = open_migrated(self.path, self._steps, full_sync=self._full_sync)
        self._tx = self._wrap(connection)
        return connection

    def _next_group(self) -> tuple[list[_Job], bool]:
        first = self._jobs.get()
        if first is None:
            return [], True
        jobs = [first]
        while len(jobs) < GROUP:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is None:
                return jobs, True
            jobs.append(job)
        return jobs, False

    def _commit(self, connection: sqlite3.Connection, jobs: list[_Job]) -> None:
        before = connection.total_changes
        try:
            connection.execute("BEGIN")
            if len(jobs) == 1:
                _attempt_alone(connection, jobs[0])
            else:
                for job in jobs:
                    _attempt(connection, job)
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):  # SQLite may have undone everything already, and says so by an error
                connection.execute("ROLLBACK")
            self.undone(self._tx)
            for job in jobs:
                if not isinstance(job.outcome, outcome.Error):
                    job.outcome = outcome.Error(translated(error))
        else:
            self.commits += connection.total_changes != before

    def _work(self, job: _Job, work: Callable[[T], Any]) -> Any:
        self.begin(self._tx)
        done = False
        try:
            result = work(self._tx)
            job.news = self.harvest(self._tx)
            done = True
        finally:
            if not done:
                self.undone(self._tx)
        return result

    def _tell(self, jobs: list[_Job]) -> None:
        assert self._token is not None
        try:
            self._token.run_sync_soon(self._told, jobs)
        except trio.RunFinishedError:
            return  # nobody is left to hear it; what was committed stays committed

    def _told(self, jobs: list[_Job]) -> None:
        """In trio's thread: news first, then whoever waits."""
        for job in jobs:
            if job.news and isinstance(job.outcome, outcome.Value):
                self.deliver(job.news)
            assert job.task is not None
            assert job.outcome is not None
            trio.lowlevel.reschedule(job.task, job.outcome)


def _never_leave(_: Callable[[], None]) -> trio.lowlevel.Abort:
    """The wait for a commit goes on when its task is cancelled."""
    return trio.lowlevel.Abort.FAILED


def _attempt_alone(connection: sqlite3.Connection, job: _Job) -> None:
    """The only work of a transaction needs no savepoint: if it fails nothing is committed."""
    job.outcome = outcome.capture(job.work)
    if not isinstance(job.outcome, outcome.Error):
        connection.execute("COMMIT")
        return
    error = job.outcome.error
    if isinstance(error, sqlite3.Error):
        job.outcome = outcome.Error(translated(error))
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _attempt(connection: sqlite3.Connection, job: _Job) -> None:
    """One work under its savepoint; when the disk fails SQLite may end the transaction, and with it the group."""
    connection.execute("SAVEPOINT work")
    job.outcome = outcome.capture(job.work)
    if isinstance(job.outcome, outcome.Error):
        error = job.outcome.error
        if isinstance(error, sqlite3.Error):
            job.outcome = outcome.Error(translated(error))
            if not connection.in_transaction:
                raise error
        connection.execute("ROLLBACK TO work")
    connection.execute("RELEASE work")


def _copy(connection: sqlite3.Connection, job: _Job) -> None:
    """Between two transactions: VACUUM INTO reads what is committed and writes a whole new file."""
    if job.copy_to is None or isinstance(job.outcome, outcome.Error):
        return
    try:
        job.copy_to.touch(mode=0o600, exist_ok=False)
        connection.execute("VACUUM INTO ?", (str(job.copy_to),))
        with open(job.copy_to, "rb") as file:
            os.fsync(file.fileno())
    except (sqlite3.Error, OSError) as error:
        job.copy_to.unlink(missing_ok=True)
        job.outcome = outcome.Error(translated(error))
