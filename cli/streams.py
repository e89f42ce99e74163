"""Standard output and error as they were handed to us, whatever became of them.

Rules. A failure of standard output is told from every other failure, so that `main` can say it in one line: a reader
that left is no error, a full disk or an output that was closed is one. After the first failure the rest is dropped, so
that nothing fails a second time on the way out. What cannot be said on standard error is not said.
"""

from __future__ import annotations

import io
import os
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


class Stream(io.RawIOBase):
    """A descriptor to write to; None if it was closed before we began. Only a `strict` one says that it failed."""

    def __init__(self, descriptor: int | None, *, strict: bool) -> None:
        self._descriptor, self._strict, self._failed = descriptor, strict, False

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._descriptor is not None and os.isatty(self._descriptor)

    def fileno(self) -> int:
        if self._descriptor is None:
            raise io.UnsupportedOperation("it is closed")
        return self._descriptor

    def write(self, data: ReadableBuffer) -> int:
        if self._descriptor is None:
            return self._fails(data, "standard output is closed")
        if self._failed:
            return memoryview(data).nbytes
        try:
            return os.write(self._descriptor, data)
        except BrokenPipeError:
            self._failed = True
            if self._strict:
                raise ReaderLeft from None
        except OSError as error:
            return self._fails(data, error.strerror or str(error))
        return memoryview(data).nbytes

    def _fails(self, data: ReadableBuffer, why: str) -> int:
        if self._strict and not self._failed:
            self._failed = True
            raise CannotWrite(f"cannot write the output: {why}")
        return memoryview(data).nbytes


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
        return io.TextIOWrapper(io.BufferedWriter(Stream(None, strict=strict)), "utf-8")
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    stream.reconfigure(errors="backslashreplace")  # a terminal without Unicode still shows the rest
    if not isinstance(getattr(stream.buffer, "raw", stream.buffer), io.FileIO):
        return stream
    stream.flush()
    buffered = io.BufferedWriter(Stream(stream.fileno(), strict=strict))
    return io.TextIOWrapper(buffered, stream.encoding, stream.errors, line_buffering=stream.line_buffering)
