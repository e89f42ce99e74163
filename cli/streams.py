"""Standard output and error as they were handed to us, whatever became of them.

Rules. A failure of standard output is told from every other failure, so that `main` can say it in one line: a reader
that left is no error, a full disk or an output that was closed is one. After the first failure the rest is dropped, so
that nothing fails a second time on the way out. What cannot be said on standard error is not said.
"""

from __future__ import annotations

import errno
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from p2pmarket.errors import MarketError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class CannotWrite(MarketError):
    """Standard output takes nothing: what was done is done, but cannot be shown."""


class ReaderLeft(Exception):
    """Whoever read our output has had enough. No OSError: click and rich have their own exit codes for those."""


class Closed(io.RawIOBase):
    """What stands for an output that was closed before we began."""

    def writable(self) -> bool:
        return True

    def write(self, _data: ReadableBuffer) -> int:
        raise OSError(errno.EBADF, "standard output is closed")


class Stream(io.BufferedWriter):
    """A buffer on its way out; only a `strict` one says that it failed.

    A layer above the descriptor: one in its place would be interrupted between a write and the news of it, and what
    was written would be written again.
    """

    def __init__(self, raw: io.RawIOBase, *, strict: bool) -> None:
        super().__init__(raw)
        self._strict, self._failed = strict, False

    def write(self, data: ReadableBuffer) -> int:
        size = memoryview(data).nbytes
        if self._failed:
            return size
        try:
            return super().write(data)
        except OSError as error:
            self._fail(error)
            return size

    def flush(self) -> None:
        if self._failed:
            return
        try:
            super().flush()
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        self._failed = True
        if not self._strict:
            return
        if isinstance(error, BrokenPipeError):
            raise ReaderLeft from None
        raise CannotWrite(f"cannot write the output: {error.strerror or error}") from None


@contextmanager
def guarded() -> Iterator[None]:
    """While this lasts, standard output and error fail as the rules say; a stream of somebody else is left as it is."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _ours(sys.stdout, strict=True), _ours(sys.stderr, strict=False)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _ours(stream: TextIO | None, *, strict: bool) -> TextIO:
    if stream is None:
        return io.TextIOWrapper(Stream(Closed(), strict=strict), "utf-8")
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    stream.reconfigure(errors="backslashreplace")  # a terminal without Unicode still shows the rest
    if not isinstance(getattr(stream.buffer, "raw", stream.buffer), io.FileIO):
        return stream
    stream.flush()
    out = Stream(io.FileIO(stream.fileno(), "wb", closefd=False), strict=strict)
    return io.TextIOWrapper(out, stream.encoding, stream.errors, line_buffering=stream.line_buffering)
